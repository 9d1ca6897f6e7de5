//! The task of the controller: becomes active when Raft says so, then one decision at a time.
//!
//! A decision's records go to Raft's queue and into the controller's own state at once; whoever
//! asked waits, outside of this task, until this node's image holds them. So the disk's latency
//! holds up nobody but those who wait for it.
//!
//! Timers, none of which ends a decision: a NoOpRecord after idleness, so that the high watermark
//! and with it time-outs of others move; brokers that are not there any more; partitions whose
//! preferred leader is back; partitions without leader whose topics allow an unclean one.
//!
//! Kafka: `controller/QuorumController.java`, `controller/ActivationRecordsGenerator.java` (4.3).

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::BrokerHeartbeatRequest;
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::schema::metadata::{
    AbortTransactionRecord, BeginTransactionRecord, ConfigRecord, EndTransactionRecord,
    MetadataRecord, NoOpRecord,
};
use kafka_shared::task;
use kafka_shared::time::Clock;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::config::{ConfigValidator, ControllerConfig};
use super::handle::ControllerHandle;
use super::heartbeat::{Absence, Heartbeats, Sighting};
use super::random::Random;
use super::state::{Cx, Outcome, QuorumController};
use super::watch::Watch;
use crate::metadata::batches::encode_batches;
use crate::metadata::features::{ELR_VERSION, METADATA_VERSION};
use crate::metadata::format::bootstrap_level;
use crate::metadata::records::TRANSACTIONS_SINCE;
use crate::metadata::{MetadataHandle, ResourceType};
use crate::raft::RaftHandle;
use crate::raft::driver::{AppendError, Status};

/// Most requests that wait for the controller.
const QUEUE_LENGTH: usize = 1_000;

/// `unclean.leader.election.interval.ms`.
const UNCLEAN_ELECTION_INTERVAL_MS: i64 = 300_000;

/// Runs on the controller's task with its active state, or with the reason why there is none.
pub(super) type Command = Box<dyn FnOnce(Result<&mut Active, ApiError>) + Send>;

/// The response of a decision, and what has to be committed before it may be told.
#[derive(Debug)]
pub(super) struct Decided<T> {
    pub(super) response: T,
    pub(super) epoch: i32,
    /// Inclusive.
    pub(super) offset: i64,
}

/// The controller while it is active.
pub(super) struct Active {
    epoch: i32,
    controller: QuorumController,
    heartbeats: Heartbeats,
    random: RefCell<Random>,
    raft: RaftHandle,
    clock: Arc<dyn Clock>,
    last_append_ms: i64,
    next_balance_ms: i64,
    next_unclean_ms: i64,
}

/// Starts the controller's task.
pub(super) fn start(
    config: Arc<ControllerConfig>,
    validator: Arc<dyn ConfigValidator>,
    bootstrap: Vec<MetadataRecord>,
    raft: RaftHandle,
    metadata: MetadataHandle,
    clock: Arc<dyn Clock>,
) -> ControllerHandle {
    let (sender, commands) = mpsc::channel(QUEUE_LENGTH);
    let (active_sender, active) = watch::channel(false);
    let handle = raft.without_stop();
    let watch = Watch::start(config.node_id, &metadata, Arc::clone(&clock));
    let driver = Driver {
        config,
        validator,
        bootstrap,
        raft,
        metadata: metadata.clone(),
        clock,
        commands,
        active: None,
        is_active: active_sender,
        watch,
        is_look_due: false,
        last_leader: None,
    };
    let task = task::spawn("controller", driver.run());
    ControllerHandle::new(sender, metadata, &handle, active, task)
}

struct Driver {
    config: Arc<ControllerConfig>,
    validator: Arc<dyn ConfigValidator>,
    bootstrap: Vec<MetadataRecord>,
    raft: RaftHandle,
    metadata: MetadataHandle,
    clock: Arc<dyn Clock>,
    commands: mpsc::Receiver<Command>,
    active: Option<Active>,
    is_active: watch::Sender<bool>,
    watch: Watch,
    /// It may be found at once that a broker is absent.
    is_look_due: bool,
    /// The node that led last, if it was not this one.
    last_leader: Option<i32>,
}

impl Driver {
    async fn run(mut self) {
        let mut status = self.raft.status();
        loop {
            let now = status.borrow_and_update().clone();
            if now.is_closed {
                break;
            }
            self.follow(&now).await;
            let timer = self.until_next_timer();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.execute(command),
                    None => break,
                },
                changed = status.changed() => if changed.is_err() { break },
                () = self.watch.is_gone() => self.is_look_due = true,
                () = tokio::time::sleep(timer) => {}
            }
            self.run_timers();
        }
        self.is_active.send_replace(false);
        // Who still waits is told, instead of being kept until its time-out.
        self.commands.close();
        self.active = None;
        while let Some(command) = self.commands.recv().await {
            command(Err(ErrorCode::NOT_CONTROLLER.into()));
        }
    }

    fn execute(&mut self, command: Command) {
        match &mut self.active {
            Some(active) => command(Ok(active)),
            None => command(Err(ErrorCode::NOT_CONTROLLER.into())),
        }
    }

    /// Becomes active, or no longer is, as Raft says.
    async fn follow(&mut self, status: &Status) {
        let leader_id = status.leader.leader_id;
        if leader_id >= 0 && leader_id != self.config.node_id {
            self.last_leader = Some(leader_id);
        }
        if self.active.as_ref().map(|active| active.epoch) == status.leading_epoch {
            return;
        }
        if self.active.take().is_some() {
            self.is_active.send_replace(false);
            tracing::info!("the controller is no longer active");
        }
        let Some(epoch) = status.leading_epoch else {
            return;
        };
        match self.activate(epoch, status.activation_offset).await {
            Ok(mut active) => {
                if let Some(id) = self.last_leader.take() {
                    active.heartbeats.led_before(id);
                }
                self.active = Some(active);
                self.is_look_due = true;
                self.is_active.send_replace(true);
            }
            Err(error) => tracing::error!(%error, epoch, "the controller can't become active"),
        }
    }

    async fn activate(&mut self, epoch: i32, offset: i64) -> Result<Active, ApiError> {
        let transaction = self
            .metadata
            .wait_until_loaded(offset)
            .await
            .map_err(|error| ApiError::new(ErrorCode::NOT_CONTROLLER, error.to_string()))?;
        let image = self.metadata.image();
        // The node ends over this; until then, nothing is decided by rules that it does not know.
        if let Some((name, level)) = image.features.unsupported().first() {
            let message = format!("{name} is at level {level}, which is not supported here");
            return Err(ApiError::new(ErrorCode::UNSUPPORTED_VERSION, message));
        }
        let now_ms = self.clock.monotonic_ms();
        let session_timeout_ms = self.config.broker_session_timeout_ms;
        let heartbeats = Heartbeats::new(&image, self.config.node_id, session_timeout_ms, now_ms);
        let is_empty = image.features.metadata_version == 0;
        let config = Arc::clone(&self.config);
        let seed = Uuid::new_v4().as_u128();
        let balance_ms = self.config.leader_imbalance_check_interval_ms;
        let mut active = Active {
            epoch,
            controller: QuorumController::new(config, Arc::clone(&self.validator), image),
            heartbeats,
            random: RefCell::new(Random::new(seed)),
            raft: self.raft.clone(),
            clock: Arc::clone(&self.clock),
            last_append_ms: now_ms,
            next_balance_ms: now_ms.saturating_add(balance_ms.unwrap_or(i64::MAX)),
            next_unclean_ms: now_ms.saturating_add(UNCLEAN_ELECTION_INTERVAL_MS),
        };
        let min_isr = self.config.min_insync_replicas;
        let records = if is_empty {
            first_records(&self.bootstrap, transaction.is_some(), min_isr)
        } else if transaction.is_some() {
            vec![abort_transaction()]
        } else {
            Vec::new()
        };
        tracing::info!(
            epoch,
            records = records.len(),
            "the controller becomes active"
        );
        active.append(Outcome::sequence(records, ()))?;
        Ok(active)
    }

    fn until_next_timer(&self) -> Duration {
        let Some(active) = &self.active else {
            return Duration::from_secs(60);
        };
        let idle_ms = self.config.metadata_max_idle_interval_ms;
        let noop_ms = if idle_ms > 0 {
            active.last_append_ms.saturating_add(idle_ms)
        } else {
            i64::MAX
        };
        let next_ms = noop_ms
            .min(active.next_balance_ms)
            .min(active.next_unclean_ms)
            .min(active.heartbeats.next_check_ms().unwrap_or(i64::MAX))
            .min(active.heartbeats.next_look_ms().unwrap_or(i64::MAX));
        let wait_ms = next_ms
            .saturating_sub(self.clock.monotonic_ms())
            .clamp(1, 60_000);
        Duration::from_millis(wait_ms.unsigned_abs())
    }

    fn run_timers(&mut self) {
        let Some(active) = &mut self.active else {
            return;
        };
        let now_ms = self.clock.monotonic_ms();
        if active.next_balance_ms <= now_ms {
            let interval_ms = self
                .config
                .leader_imbalance_check_interval_ms
                .unwrap_or(i64::MAX);
            let is_more = active.run_timer(|controller, _| Some(controller.balance_leaders()));
            active.next_balance_ms = if is_more == Some(true) {
                now_ms
            } else {
                now_ms.saturating_add(interval_ms)
            };
        }
        if active.next_unclean_ms <= now_ms {
            let is_more =
                active.run_timer(|controller, _| Some(controller.elect_unclean_leaders()));
            let interval_ms = if is_more == Some(true) {
                0
            } else {
                UNCLEAN_ELECTION_INTERVAL_MS
            };
            active.next_unclean_ms = now_ms.saturating_add(interval_ms);
        }
        let hearts = &active.heartbeats;
        let mut deadlines = hearts
            .next_check_ms()
            .into_iter()
            .chain(hearts.next_look_ms());
        if std::mem::take(&mut self.is_look_due) || deadlines.any(|at_ms| at_ms <= now_ms) {
            active.fence_absent_brokers(&self.watch);
        }
        let idle_ms = self.config.metadata_max_idle_interval_ms;
        if idle_ms > 0 && active.last_append_ms.saturating_add(idle_ms) <= now_ms {
            let noop = Outcome::atomic(vec![NoOpRecord::default().into()], ());
            active.run_timer(|_, _| Some(noop));
        }
    }
}

impl Active {
    /// One at a time, so that the next election sees the effect of the one before.
    fn fence_absent_brokers(&mut self, watch: &Watch) {
        self.heartbeats.looked(self.clock.monotonic_ms());
        let raft = self.raft.clone();
        let sight = |id, epoch| Sighting {
            fetched_ms: raft.last_fetch_ms(id),
            ..watch.sighting(id, epoch)
        };
        while let Some((id, absence)) = self.run_timer_with_cx(|controller, cx, heartbeats| {
            controller.fence_absent_broker(cx, heartbeats, sight)
        }) {
            let why = match absence {
                Absence::Session => "whose session has timed out",
                Absence::Refused => "that listens nowhere any more",
                Absence::Silent => "that is silent and answers nothing",
            };
            tracing::warn!(broker = id, "fenced a broker {why}");
        }
    }

    /// Decides, and queues what was decided.
    pub(super) fn decide<T>(
        &mut self,
        is_forwarded: bool,
        decide: impl FnOnce(&QuorumController, &Cx<'_>, &mut Heartbeats) -> Result<Outcome<T>, ApiError>,
    ) -> Result<Decided<T>, ApiError> {
        let next_offset = self
            .raft
            .next_offset(self.epoch)
            .ok_or(ErrorCode::NOT_CONTROLLER)?;
        let cx = Cx {
            now_ms: self.clock.monotonic_ms(),
            next_offset,
            random: &self.random,
            is_forwarded,
            kraft_version: self.raft.kraft_version(),
        };
        let outcome = decide(&self.controller, &cx, &mut self.heartbeats)?;
        self.append(outcome)
    }

    /// Notes that a broker was heard of, and nothing else.
    pub(super) fn late_heartbeat(&mut self, request: &BrokerHeartbeatRequest) {
        let (id, epoch) = (request.broker_id.0, request.broker_epoch);
        if self.controller.check_broker_epoch(id, epoch).is_ok() {
            tracing::warn!(
                broker = id,
                "a heartbeat has waited too long: the controller is behind"
            );
            let now_ms = self.clock.monotonic_ms();
            self.heartbeats.contact(id, epoch, now_ms);
            self.heartbeats.touch(id, request.current_metadata_offset);
        }
    }

    fn append<T>(&mut self, outcome: Outcome<T>) -> Result<Decided<T>, ApiError> {
        let Outcome {
            records,
            response,
            is_atomic,
        } = outcome;
        let epoch = self.epoch;
        if records.is_empty() {
            // What was read may not be committed yet, and may be told only then.
            let offset = self.controller.image().offset();
            return Ok(Decided {
                response,
                epoch,
                offset,
            });
        }
        let base_offset = self
            .raft
            .next_offset(epoch)
            .ok_or(ErrorCode::NOT_CONTROLLER)?;
        let internal = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "the controller has made records that can't be applied");
            ApiError::from(ErrorCode::UNKNOWN_SERVER_ERROR)
        };
        let prepared = self
            .controller
            .prepare(base_offset, &records)
            .map_err(|error| internal(&error))?;
        let metadata_version = prepared.metadata_version();
        let append_time_ms = self.clock.wall_ms();
        let appended = self.raft.append(epoch, |base_offset| {
            encode_batches(
                &records,
                metadata_version,
                base_offset,
                epoch,
                append_time_ms,
                is_atomic,
            )
        });
        let offset = appended.map_err(|error| match error {
            AppendError::NotLeader(_) => ErrorCode::NOT_CONTROLLER.into(),
            AppendError::Full => ApiError::new(
                ErrorCode::REQUEST_TIMED_OUT,
                "too much waits for the metadata log",
            ),
            AppendError::Encode(error) => internal(&error),
        })?;
        self.controller.install(prepared, &mut self.heartbeats);
        self.last_append_ms = self.clock.monotonic_ms();
        Ok(Decided {
            response,
            epoch,
            offset,
        })
    }

    fn run_timer<T>(
        &mut self,
        decide: impl FnOnce(&QuorumController, &Cx<'_>) -> Option<Outcome<T>>,
    ) -> Option<T> {
        self.run_timer_with_cx(|controller, cx, _| decide(controller, cx))
    }

    fn run_timer_with_cx<T>(
        &mut self,
        decide: impl FnOnce(&QuorumController, &Cx<'_>, &mut Heartbeats) -> Option<Outcome<T>>,
    ) -> Option<T> {
        let decided = self.decide(true, |controller, cx, heartbeats| {
            decide(controller, cx, heartbeats).ok_or(ApiError::from(ErrorCode::NONE))
        });
        match decided {
            Ok(decided) => Some(decided.response),
            Err(error) => {
                if error.code != ErrorCode::NONE && error.code != ErrorCode::NOT_CONTROLLER {
                    tracing::warn!(%error, "a periodic task of the controller failed");
                }
                None
            }
        }
    }
}

fn abort_transaction() -> MetadataRecord {
    AbortTransactionRecord {
        reason: Some("Controller failover".into()),
    }
    .into()
}

/// The records with which an empty log begins.
fn first_records(
    bootstrap: &[MetadataRecord],
    is_transaction_open: bool,
    min_insync_replicas: i32,
) -> Vec<MetadataRecord> {
    let is_transaction = bootstrap_level(bootstrap, METADATA_VERSION) >= TRANSACTIONS_SINCE;
    let mut records = Vec::new();
    if is_transaction_open {
        records.push(abort_transaction());
    }
    if is_transaction {
        records.push(
            BeginTransactionRecord {
                name: Some("Bootstrap records".into()),
            }
            .into(),
        );
    }
    records.extend_from_slice(bootstrap);
    if bootstrap_level(bootstrap, ELR_VERSION) > 0 {
        let record = ConfigRecord {
            resource_type: ResourceType::Broker.id(),
            resource_name: String::new(),
            name: "min.insync.replicas".into(),
            value: Some(min_insync_replicas.to_string()),
        };
        records.push(record.into());
    }
    if is_transaction {
        records.push(EndTransactionRecord::default().into());
    }
    records
}
