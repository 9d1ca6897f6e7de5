//! The broker's standing with the controller: registration, heartbeats, controlled shutdown.
//!
//! * [`state`] says when what is sent;
//! * the task here sends it, over a connection that carries nothing else, and fills in what a
//!   request tells: how far this node has applied the metadata, which directories are lost.
//!
//! The task shares nothing with the data path that could keep it waiting. It ends when the broker
//! shuts down or when nobody holds the [`Lifecycle`] any more.
//!
//! Kafka: `BrokerLifecycleManager.java`, `BrokerRegistrationTracker.java` (4.3).

pub(crate) mod state;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{anyhow, bail};
use kafka_protocol::{
    messages::{
        BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerId, BrokerRegistrationRequest,
        BrokerRegistrationResponse,
        broker_registration_request::{Feature, Listener},
    },
    protocol::StrBytes,
};
use kafka_shared::{
    error::ErrorCode,
    protocol::messages::set_cordoned_log_dirs,
    task,
    time::Clock,
    types::{Uuid, random_uuid},
};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout_at},
};
use tracing::{debug, error, info, warn};

use self::state::{BrokerState, Machine, Next};
use crate::{
    config::DynamicConfig,
    controller::{ControllerChannel, RequestContext},
    log::manager::LogManager,
    metadata::{
        ListenerEndpoint, MetadataDelta, MetadataHandle, MetadataImage, MetadataPublisher,
        features,
        records::{CORDONED_DIRECTORIES_SINCE, DIRECTORY_ASSIGNMENT_SINCE},
    },
};

/// Most events that wait for the task; each of them says only that there is something to look at.
const EVENTS_MAX: usize = 16;

/// How often a refusal is heard again in the hope that the metadata tells its reason.
const UNEXPLAINED_REFUSALS_MAX: u32 = 8;

/// What the broker says of itself.
#[derive(Debug, Clone)]
pub(super) struct Registration {
    pub(super) node_id: i32,
    pub(super) cluster_id: Arc<str>,
    pub(super) rack: Option<String>,
    pub(super) listeners: Vec<ListenerEndpoint>,
    /// The epoch that the last clean shutdown left behind, -1 after any other end.
    pub(super) previous_broker_epoch: i64,
}

/// What the task works with.
pub(super) struct Parts {
    pub(super) registration: Registration,
    pub(super) controller: ControllerChannel,
    pub(super) metadata: MetadataHandle,
    pub(super) config: Arc<DynamicConfig>,
    pub(super) logs: Arc<LogManager>,
    pub(super) clock: Arc<dyn Clock>,
}

/// How the broker stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) state: BrokerState,
    /// -1 until the controller has taken the registration.
    pub(super) broker_epoch: i64,
    /// Why the controller will never take this broker.
    pub(super) refusal: Option<String>,
    /// A lost directory could not be told for too long; the broker must not go on.
    pub(super) failure: Option<String>,
    /// How many heartbeats the controller has taken.
    pub(super) answers: u64,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    ReadyToUnfence,
    /// Something that heartbeats carry.
    Changed,
    RegisterAgain,
    ControlledShutdown,
    Stop,
}

/// The broker's standing, and a way to change it.
#[derive(Debug)]
pub(super) struct Lifecycle {
    node_id: i32,
    events: mpsc::Sender<Event>,
    standing: watch::Receiver<Standing>,
    metadata: MetadataHandle,
}

impl Lifecycle {
    /// Starts to register, and to send heartbeats once that is done.
    pub(super) fn start(parts: Parts) -> Self {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let (sender, standing) = watch::channel(Standing {
            state: BrokerState::Starting,
            broker_epoch: -1,
            refusal: None,
            failure: None,
            answers: 0,
        });
        let config = parts.config.current();
        let news = events.downgrade();
        let lifecycle = Self {
            node_id: parts.registration.node_id,
            events,
            standing,
            metadata: parts.metadata.clone(),
        };
        parts.metadata.add_publisher(Arc::new(RegistrationTracker {
            node_id: parts.registration.node_id,
            events: news.clone(),
        }));
        let (news, cordoned) = (news, Mutex::new(None));
        parts.config.on_change(move |config| {
            let dirs = config.values.list("cordoned.log.dirs").to_vec();
            let before = cordoned.lock().replace(dirs.clone());
            // A full queue has the task look at everything soon.
            if before.is_some_and(|before| before != dirs)
                && let Some(events) = news.upgrade()
            {
                let _full = events.try_send(Event::Changed);
            }
        });
        let task = Task {
            machine: Machine::new(
                config.broker_heartbeat_interval_ms,
                parts.clock.monotonic_ms(),
            ),
            timeout: millis(config.broker_heartbeat_interval_ms),
            directory_failure_timeout_ms: config.values.integer("log.dir.failure.timeout.ms"),
            incarnation_id: random_uuid(),
            broker_epoch: -1,
            offline: BTreeMap::new(),
            was_refused: false,
            unexplained_refusals: 0,
            standing: sender,
            parts,
        };
        drop(task::spawn("broker-lifecycle", task.run(receiver)));
        lifecycle
    }

    /// How the broker stands.
    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// The epoch of the newest registration; -1 if there is none.
    pub(super) fn broker_epoch(&self) -> i64 {
        self.standing.borrow().broker_epoch
    }

    /// Waits until the controller says that this node has read the metadata far enough to know of
    /// its own registration.
    ///
    /// # Errors
    /// When the controller refuses the broker for good, or it doesn't happen before `deadline`.
    pub(super) async fn wait_until_caught_up(&self, deadline: Instant) -> anyhow::Result<()> {
        self.wait_for(BrokerState::Recovery, deadline).await
    }

    /// Lets the controller unfence the broker; returns when it has and this node knows it.
    ///
    /// # Errors
    /// As [`Self::wait_until_caught_up`].
    pub(super) async fn unfence(&self, deadline: Instant) -> anyhow::Result<()> {
        self.tell(Event::ReadyToUnfence).await;
        self.wait_for(BrokerState::Running, deadline).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        let epoch = self.broker_epoch();
        let is_known = |image: &MetadataImage| {
            image
                .cluster
                .alive_broker(self.node_id)
                .is_some_and(|broker| broker.epoch == epoch)
        };
        match self.metadata.wait_until(left, is_known).await {
            Ok(_) => Ok(()),
            Err(error) => bail!("the broker was unfenced, but this node doesn't know it: {error}"),
        }
    }

    async fn wait_for(&self, state: BrokerState, deadline: Instant) -> anyhow::Result<()> {
        let mut standing = self.standing.clone();
        let is_decided = |now: &Standing| now.state >= state || now.refusal.is_some();
        let waited = timeout_at(deadline, standing.wait_for(is_decided)).await;
        let now = match waited {
            Ok(Ok(now)) => now.clone(),
            Ok(Err(_)) => bail!("the broker's lifecycle has ended"),
            Err(_) => self.standing.borrow().clone(),
        };
        if let Some(refusal) = now.refusal {
            bail!("{refusal}");
        }
        match now.state {
            reached if reached >= state => Ok(()),
            _ if now.broker_epoch < 0 => Err(anyhow!(
                "the broker could not register in time: no active controller took the request"
            )),
            BrokerState::Starting => Err(anyhow!("the broker did not catch up in time")),
            _ => Err(anyhow!(
                "the broker was not admitted to the cluster in time"
            )),
        }
    }

    /// Asks to leave, until the controller lets the broker go; at most until `deadline`, and no
    /// longer than `silence` without any answer of a controller.
    pub(super) async fn leave(&self, deadline: Instant, silence: Duration) {
        self.tell(Event::ControlledShutdown).await;
        let mut standing = self.standing.clone();
        loop {
            let now = standing.borrow_and_update().clone();
            if now.state == BrokerState::ShuttingDown {
                return;
            }
            let patience = deadline.min(Instant::now() + silence);
            let changed = timeout_at(patience, standing.changed()).await;
            match changed {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => break,
            }
        }
        warn!("leaving without the controller's consent");
    }

    /// Ends the heartbeats.
    pub(super) async fn stop(&self) {
        self.tell(Event::Stop).await;
    }

    async fn tell(&self, event: Event) {
        // A task that has ended has nothing to be told.
        let _ended = self.events.send(event).await;
    }
}

/// Has the broker register again where the controller has no directories of it: they belong to the
/// registration since metadata.version 3.7-IV2, and an upgrade makes them due.
struct RegistrationTracker {
    node_id: i32,
    events: mpsc::WeakSender<Event>,
}

impl MetadataPublisher for RegistrationTracker {
    fn name(&self) -> &'static str {
        "registration tracker"
    }

    fn on_metadata_update(&self, delta: &MetadataDelta, image: &Arc<MetadataImage>) {
        let is_concerned =
            delta.is_features_changed() || delta.changed_brokers().any(|id| id == self.node_id);
        let lacks_directories = is_concerned
            && image.features.metadata_version >= DIRECTORY_ASSIGNMENT_SINCE
            && image
                .cluster
                .broker(self.node_id)
                .is_some_and(|broker| broker.directories.is_empty());
        if !lacks_directories {
            return;
        }
        // A queue that is full has events that were not looked at since the last image.
        if let Some(events) = self.events.upgrade()
            && events.try_send(Event::RegisterAgain).is_err()
        {
            debug!("the broker's lifecycle is busy or over");
        }
    }
}

struct Task {
    parts: Parts,
    machine: Machine,
    /// For one request, the search for a controller included.
    timeout: Duration,
    directory_failure_timeout_ms: i64,
    /// Made anew by every start of the process.
    incarnation_id: Uuid,
    broker_epoch: i64,
    /// Lost directories: since when they are, and whether the controller knows.
    offline: BTreeMap<Uuid, (i64, bool)>,
    was_refused: bool,
    unexplained_refusals: u32,
    standing: watch::Sender<Standing>,
}

/// A request to the controller.
enum Asking {
    Registration(BrokerRegistrationRequest),
    /// With the lost directories that it tells of.
    Heartbeat(BrokerHeartbeatRequest, Vec<Uuid>),
}

/// What came of it.
enum Answer {
    Registration(BrokerRegistrationResponse),
    Heartbeat(BrokerHeartbeatResponse, Vec<Uuid>),
}

async fn ask(controller: ControllerChannel, asking: Asking, timeout: Duration) -> Answer {
    let cx = RequestContext {
        timeout,
        ..RequestContext::default()
    };
    match asking {
        Asking::Registration(request) => {
            Answer::Registration(controller.register_broker(&cx, request).await)
        }
        Asking::Heartbeat(request, offline) => {
            Answer::Heartbeat(controller.broker_heartbeat(&cx, request).await, offline)
        }
    }
}

impl Task {
    async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        let mut failures = self.parts.logs.watch_failures();
        while self.machine.state() != BrokerState::ShuttingDown {
            let now_ms = self.now_ms();
            self.look_for_lost_directories(now_ms);
            let asked = self.machine.poll(now_ms).map(|next| {
                let controller = self.parts.controller.clone();
                ask(controller, self.request(next), self.timeout)
            });
            if let Some(asked) = asked {
                tokio::pin!(asked);
                // Events are noted while the request is under way; the machine has them told
                // right after it.
                let answer = loop {
                    tokio::select! {
                        biased;
                        answer = &mut asked => break answer,
                        event = events.recv() => {
                            if self.takes_the_end(event) {
                                return;
                            }
                        }
                        Ok(()) = failures.changed() => self.machine.changed(self.now_ms()),
                    }
                };
                self.answered(answer);
                continue;
            }
            let wait_ms = self
                .machine
                .deadline_ms()
                .map_or(i64::MAX, |at| at - now_ms);
            tokio::select! {
                event = events.recv() => {
                    if self.takes_the_end(event) {
                        return;
                    }
                }
                Ok(()) = failures.changed() => self.machine.changed(self.now_ms()),
                () = sleep(millis(wait_ms)) => {}
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.parts.clock.monotonic_ms()
    }

    /// Takes an event to the machine; true when it is the last one.
    fn takes_the_end(&mut self, event: Option<Event>) -> bool {
        let now_ms = self.now_ms();
        match event {
            Some(Event::ReadyToUnfence) => self.machine.ready_to_unfence(now_ms),
            Some(Event::Changed) => self.machine.changed(now_ms),
            Some(Event::RegisterAgain) if self.machine.was_registered() => {
                info!("the controller has no directories of this broker; registering again");
                self.machine.register_again(now_ms);
            }
            Some(Event::RegisterAgain) => {}
            Some(Event::ControlledShutdown) => self.machine.begin_controlled_shutdown(now_ms),
            Some(Event::Stop) | None => return true,
        }
        self.publish(0);
        self.machine.state() == BrokerState::ShuttingDown
    }

    fn look_for_lost_directories(&mut self, now_ms: i64) {
        for dir in self.parts.logs.dirs() {
            if let Some(id) = dir.id.filter(|_| dir.is_offline) {
                self.offline.entry(id).or_insert((now_ms, false));
            }
        }
        let limit_ms = self.directory_failure_timeout_ms;
        let untold = self.offline.iter().find(|(_, (since_ms, is_known))| {
            !is_known && now_ms.saturating_sub(*since_ms) >= limit_ms
        });
        if let Some((id, _)) = untold
            && self.machine.was_registered()
        {
            let id = kafka_shared::types::uuid_to_base64(*id);
            let why = format!("the controller could not be told that log directory {id} is lost");
            self.standing.send_if_modified(|standing| {
                standing.failure.is_none() && {
                    error!("{why}");
                    standing.failure = Some(why);
                    true
                }
            });
        }
    }

    fn request(&self, next: Next) -> Asking {
        let (want_fence, want_shut_down) = match next {
            Next::Registration => return Asking::Registration(self.registration()),
            Next::Heartbeat {
                want_fence,
                want_shut_down,
            } => (want_fence, want_shut_down),
        };
        let offline: Vec<Uuid> = self.offline.keys().copied().collect();
        let mut request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(self.parts.registration.node_id))
            .with_broker_epoch(self.broker_epoch)
            .with_current_metadata_offset(self.parts.metadata.applied_offset())
            .with_want_fence(want_fence)
            .with_want_shut_down(want_shut_down)
            .with_offline_log_dirs(offline.clone());
        let image = self.parts.metadata.image();
        // Before it has caught up, the broker doesn't know its own configuration.
        if self.machine.state() > BrokerState::Starting
            && image.features.metadata_version >= CORDONED_DIRECTORIES_SINCE
        {
            set_cordoned_log_dirs(&mut request, &self.cordoned());
        }
        Asking::Heartbeat(request, offline)
    }

    /// The directories of `cordoned.log.dirs`.
    fn cordoned(&self) -> Vec<Uuid> {
        let config = self.parts.config.current();
        let cordoned = config.values.list("cordoned.log.dirs");
        let is_cordoned = |path: &std::path::Path| {
            let is = |dir: &String| dir == "*" || std::path::Path::new(dir) == path;
            cordoned.iter().any(is)
        };
        let dirs = self.parts.logs.dirs();
        let dirs = dirs.iter().filter(|dir| is_cordoned(&dir.path));
        dirs.filter_map(|dir| dir.id).collect()
    }

    fn registration(&self) -> BrokerRegistrationRequest {
        let registration = &self.parts.registration;
        let listeners = registration.listeners.iter().map(|listener| {
            Listener::default()
                .with_name(own(&listener.name))
                .with_host(own(&listener.host))
                .with_port(listener.port)
                .with_security_protocol(listener.security_protocol)
        });
        let features = features::SUPPORTED
            .iter()
            .filter(|feature| feature.supported.max > 0)
            .map(|feature| {
                Feature::default()
                    .with_name(own(feature.name))
                    .with_min_supported_version(feature.supported.min)
                    .with_max_supported_version(feature.supported.max)
            });
        let dirs = self.parts.logs.dirs();
        let mut dirs: Vec<Uuid> = dirs.iter().filter_map(|dir| dir.id).collect();
        dirs.sort();
        BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(registration.node_id))
            .with_cluster_id(own(&registration.cluster_id))
            .with_incarnation_id(self.incarnation_id)
            .with_listeners(listeners.collect())
            .with_features(features.collect())
            .with_rack(registration.rack.as_deref().map(own))
            .with_log_dirs(dirs)
            .with_previous_broker_epoch(registration.previous_broker_epoch)
    }

    fn answered(&mut self, answer: Answer) {
        let now_ms = self.now_ms();
        match answer {
            Answer::Registration(response) => match ErrorCode(response.error_code) {
                ErrorCode::NONE => {
                    let broker_epoch = response.broker_epoch;
                    info!(broker_epoch, "registered with the controller");
                    self.broker_epoch = broker_epoch;
                    self.machine.registered(now_ms);
                }
                code => self.registration_failed(now_ms, code),
            },
            Answer::Heartbeat(response, told) => match ErrorCode(response.error_code) {
                ErrorCode::NONE => {
                    self.was_refused = false;
                    for dir in told {
                        self.offline
                            .entry(dir)
                            .and_modify(|(_, is_known)| *is_known = true);
                    }
                    let before = self.machine.state();
                    self.machine.heartbeat_answered(now_ms, &response);
                    if self.machine.state() != before {
                        info!(from = ?before, to = ?self.machine.state(), "the broker goes on");
                    }
                    if before == BrokerState::Running && response.is_fenced {
                        warn!("the controller has fenced this broker; it will be unfenced again");
                    }
                    return self.publish(1);
                }
                code => self.heartbeat_failed(now_ms, code),
            },
        }
        self.publish(0);
    }

    fn registration_failed(&mut self, now_ms: i64, code: ErrorCode) {
        let why = match code {
            ErrorCode::REQUEST_TIMED_OUT => {
                debug!("no controller took the registration yet");
                return self.machine.timed_out(now_ms);
            }
            // The refusal may be quicker than the metadata that explains it.
            ErrorCode::UNSUPPORTED_VERSION
                if self.parts.metadata.image().features.metadata_version == 0
                    && self.unexplained_refusals < UNEXPLAINED_REFUSALS_MAX =>
            {
                self.unexplained_refusals += 1;
                return self.machine.failed(now_ms);
            }
            ErrorCode::UNSUPPORTED_VERSION => format!(
                "the cluster uses features that this broker does not have: {}",
                missing_features(&self.parts.metadata)
            ),
            ErrorCode::INCONSISTENT_CLUSTER_ID => format!(
                "the controllers belong to another cluster than this broker, whose folders belong \
                 to {}",
                self.parts.registration.cluster_id
            ),
            ErrorCode::INVALID_REGISTRATION => {
                format!("the controller refuses this broker: {}", code.message())
            }
            // The registration of this broker's last life stands until its session ends.
            code => {
                info!(error = code.name(), "the registration has to wait");
                return self.machine.failed(now_ms);
            }
        };
        self.machine.failed(now_ms);
        if self.machine.was_registered() {
            return error!("the broker could not register again: {why}");
        }
        self.standing
            .send_modify(|standing| standing.refusal = Some(why));
    }

    fn heartbeat_failed(&mut self, now_ms: i64, code: ErrorCode) {
        if !std::mem::replace(&mut self.was_refused, true) {
            let error = code.name();
            warn!(
                error,
                "the controller does not take this broker's heartbeats"
            );
        }
        let is_gone = [
            ErrorCode::BROKER_ID_NOT_REGISTERED,
            ErrorCode::STALE_BROKER_EPOCH,
        ]
        .contains(&code);
        if is_gone {
            self.machine.not_registered(now_ms);
            if self.machine.state() == BrokerState::ShuttingDown {
                warn!("leaving a cluster in which this broker is not registered any more");
            }
        } else if code == ErrorCode::REQUEST_TIMED_OUT {
            self.machine.timed_out(now_ms);
        } else {
            self.machine.failed(now_ms);
        }
    }

    /// Tells how the broker stands, and of so many more answers.
    fn publish(&self, answers: u64) {
        let (state, broker_epoch) = (self.machine.state(), self.broker_epoch);
        self.standing.send_if_modified(|standing| {
            let is_new =
                answers > 0 || (standing.state, standing.broker_epoch) != (state, broker_epoch);
            standing.state = state;
            standing.broker_epoch = broker_epoch;
            standing.answers += answers;
            is_new
        });
    }
}

fn millis(ms: i64) -> Duration {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    Duration::from_millis(u64::try_from(ms.clamp(0, DAY_MS)).unwrap_or(0))
}

fn own(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Finalized levels beyond what this broker supports, for people.
fn missing_features(metadata: &MetadataHandle) -> String {
    let image = metadata.image();
    let missing = image.features.unsupported().into_iter();
    let missing = missing.map(|(name, level)| match features::supported(&name) {
        Some(feature) => {
            let max = feature.supported.max;
            format!("{name} is at {level}, supported up to {max}")
        }
        None => format!("{name} is at {level}, not supported"),
    });
    let missing: Vec<_> = missing.collect();
    match missing.as_slice() {
        [] => "the controller does not say which".to_owned(),
        missing => missing.join("; "),
    }
}
