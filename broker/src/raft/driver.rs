//! The thread that owns the metadata log: carries out what the machine says, in its order.
//!
//! Appends come from the active controller through [`RaftHandle::append`], which gives them their
//! offsets at once and queues them. The thread takes all that is queued, appends it, and flushes
//! once: while one flush runs, the next group gathers. Only then the machine hears of it, and only
//! the machine moves the high watermark. An I/O error ends the thread for good: what the disk holds
//! then is unknown until a restart.
//!
//! Kafka: `raft/KafkaRaftClient.java`, `raft/internals/BatchAccumulator.java` (4.3).

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_shared::record::batch::BatchHeader;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::control::{ControlRecord, KRaftVersion, LeaderChange, LeaderChangeVoter};
use kafka_shared::task;
use kafka_shared::time::Clock;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::quorum_records::{QuorumRecords, note, scan, voters_record};
use super::quorum_state::{ElectionState, FILE_NAME};
use super::state::{Config, Input, Output, QuorumInfo, Raft};
use super::store::{LogStore, StoreError};
use super::voters::{ReplicaKey, VoterEndpoint, VoterNode, VoterSet};
use crate::log::fsx;
use crate::metadata::loader::Committed;

/// Most bytes that may wait for the disk.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the driver has to know to start.
#[derive(Debug, Clone)]
pub struct RaftConfig {
    pub local: ReplicaKey,
    /// Where the other nodes reach this node's controller.
    pub endpoints: Vec<VoterEndpoint>,
    /// The folder of the metadata log, with quorum-state and snapshots.
    pub dir: PathBuf,
    /// `controller.quorum.election.timeout.ms`.
    pub election_timeout_ms: i64,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout_ms: i64,
}

/// Why Raft can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{}: {reason}", path.display())]
    QuorumState { path: PathBuf, reason: String },
    #[error("read the metadata log")]
    Store(#[from] StoreError),
    #[error("the metadata log is damaged at offset {offset}: {reason}")]
    Damaged { offset: i64, reason: String },
    #[error(
        "there are no voters in {}: the folder is not formatted for a dynamic quorum",
        .0.display()
    )]
    NoVoters(PathBuf),
    #[error("node {node_id} with directory {directory_id} is not among the voters {voters}")]
    NotAVoter {
        node_id: i32,
        directory_id: String,
        voters: String,
    },
    #[error("the quorum has {0} voters; this version runs a quorum of one")]
    TooManyVoters(usize),
}

/// Why records were not appended. Nothing of them is in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError<E> {
    #[error("this node does not lead in epoch {0}")]
    NotLeader(i32),
    #[error("too much waits for the disk")]
    Full,
    #[error(transparent)]
    Encode(E),
}

/// Who leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderAndEpoch {
    /// -1 if unknown.
    pub leader_id: i32,
    pub epoch: i32,
}

/// What everybody may know of Raft's progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub leader: LeaderAndEpoch,
    /// The epoch in which this node leads and accepts appends.
    pub leading_epoch: Option<i32>,
    /// The last offset that was written when this node became leader (inclusive).
    pub activation_offset: i64,
    /// Everything below this offset is committed.
    pub high_watermark: i64,
    /// Why there will be no progress any more.
    pub failure: Option<String>,
    pub is_closed: bool,
}

struct Accumulator {
    /// The epoch in which appends are taken; `None` while this node doesn't lead.
    epoch: Option<i32>,
    next_offset: i64,
    batches: VecDeque<Bytes>,
    bytes: usize,
    stop: bool,
}

struct Shared {
    accumulator: Mutex<Accumulator>,
    wake: Condvar,
    status: watch::Sender<Status>,
    committed: watch::Sender<Committed>,
    raft: Mutex<Raft>,
    /// Raft's records by the offset from which on they are in force.
    history: Mutex<Vec<(i64, QuorumRecords)>>,
    store: Arc<dyn LogStore>,
    clock: Arc<dyn Clock>,
    config: RaftConfig,
}

/// Access to Raft. Clones share it; when the last one is dropped, Raft stops as by
/// [`RaftHandle::shutdown`].
#[derive(Clone)]
pub struct RaftHandle {
    shared: Arc<Shared>,
    _stop: Option<Arc<StopOnDrop>>,
}

/// Ends the thread when nobody can reach it any more: a runtime waits for its threads when it ends.
struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl std::fmt::Debug for RaftHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RaftHandle")
            .field("status", &*self.shared.status.borrow())
            .finish()
    }
}

/// Starts Raft on an open log. `snapshot` is what the newest snapshot says, and its end offset.
///
/// # Errors
/// If the log or the quorum-state file can't be read, or this node can't be the only voter.
pub fn start(
    config: RaftConfig,
    store: Arc<dyn LogStore>,
    snapshot: (i64, QuorumRecords),
    clock: Arc<dyn Clock>,
) -> Result<RaftHandle, StartError> {
    let election = read_election(&config.dir)?;
    let (snapshot_end, snapshot_records) = snapshot;
    let mut history = vec![(snapshot_end, snapshot_records)];
    scan(&*store, snapshot_end, &mut history)?;
    let current = history.last().expect("the snapshot's").1.clone();
    check_voters(&config, &current.voters)?;
    let seed = u64::try_from(clock.wall_ms()).unwrap_or(0) ^ (config.local.id as u64) << 48;
    let raft = Raft::new(
        Config {
            local: config.local,
            election_timeout_ms: config.election_timeout_ms,
            fetch_timeout_ms: config.fetch_timeout_ms,
        },
        current.voters,
        election,
        store.end(),
        snapshot_end,
        seed,
        clock.monotonic_ms(),
    );
    let status = Status {
        leader: LeaderAndEpoch {
            leader_id: -1,
            epoch: raft.epoch(),
        },
        leading_epoch: None,
        activation_offset: -1,
        high_watermark: snapshot_end,
        failure: None,
        is_closed: false,
    };
    let shared = Arc::new(Shared {
        accumulator: Mutex::new(Accumulator {
            epoch: None,
            next_offset: store.end().end_offset,
            batches: VecDeque::new(),
            bytes: 0,
            stop: false,
        }),
        wake: Condvar::new(),
        status: watch::Sender::new(status),
        committed: watch::Sender::new(Committed {
            high_watermark: snapshot_end,
            is_closed: false,
        }),
        raft: Mutex::new(raft),
        history: Mutex::new(history),
        store,
        clock,
        config,
    });
    let thread = Arc::clone(&shared);
    drop(task::spawn_blocking("raft", move || thread.run()));
    let stop = Some(Arc::new(StopOnDrop(Arc::clone(&shared))));
    Ok(RaftHandle {
        shared,
        _stop: stop,
    })
}

fn read_election(dir: &Path) -> Result<ElectionState, StartError> {
    let path = dir.join(FILE_NAME);
    match std::fs::read_to_string(&path) {
        Ok(text) => ElectionState::from_json(&text)
            .map_err(|reason| StartError::QuorumState { path, reason }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ElectionState::default()),
        Err(error) => Err(StartError::QuorumState {
            path,
            reason: error.to_string(),
        }),
    }
}

fn check_voters(config: &RaftConfig, voters: &VoterSet) -> Result<(), StartError> {
    if voters.is_empty() {
        return Err(StartError::NoVoters(config.dir.clone()));
    }
    if !voters.contains(config.local) {
        let ids: Vec<_> = voters
            .iter()
            .map(|voter| voter.key.id.to_string())
            .collect();
        return Err(StartError::NotAVoter {
            node_id: config.local.id,
            directory_id: kafka_shared::types::uuid_to_base64(config.local.directory_id),
            voters: ids.join(", "),
        });
    }
    if voters.len() > 1 {
        return Err(StartError::TooManyVoters(voters.len()));
    }
    Ok(())
}

impl RaftHandle {
    /// A handle that doesn't keep Raft running, for those who end when Raft does.
    pub fn without_stop(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            _stop: None,
        }
    }

    /// Progress; watch it to be told.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    /// How far the log is committed, for readers of the committed log.
    pub fn committed(&self) -> watch::Receiver<Committed> {
        self.shared.committed.subscribe()
    }

    /// The offset that the next record gets, if this node leads in the epoch.
    pub fn next_offset(&self, epoch: i32) -> Option<i64> {
        let accumulator = self.shared.accumulator.lock();
        (accumulator.epoch == Some(epoch)).then_some(accumulator.next_offset)
    }

    /// Queues batches for the log. `encode` gets the offset of the first record and returns batches
    /// at consecutive offsets from there on. Returns the offset of the last record (inclusive),
    /// which is committed once the high watermark is greater.
    ///
    /// # Errors
    /// If this node doesn't lead in the epoch, too much waits, or encoding fails.
    pub fn append<E>(
        &self,
        epoch: i32,
        encode: impl FnOnce(i64) -> Result<Vec<Bytes>, E>,
    ) -> Result<i64, AppendError<E>> {
        let mut accumulator = self.shared.accumulator.lock();
        if accumulator.epoch != Some(epoch) || accumulator.stop {
            return Err(AppendError::NotLeader(epoch));
        }
        if accumulator.bytes > PENDING_BYTES_MAX {
            return Err(AppendError::Full);
        }
        let batches = encode(accumulator.next_offset).map_err(AppendError::Encode)?;
        for batch in batches {
            let header = BatchHeader::parse(&batch).expect("the caller has encoded a batch");
            debug_assert_eq!(header.base_offset, accumulator.next_offset);
            accumulator.next_offset = header.next_offset();
            accumulator.bytes += batch.len();
            accumulator.batches.push_back(batch);
        }
        self.shared.wake.notify_one();
        Ok(accumulator.next_offset - 1)
    }

    /// Reads committed batches from `from` on: whole ones, about `max_bytes`, none at the end.
    ///
    /// # Errors
    /// If the offset is no longer in the log or the file can't be read.
    pub fn read_committed(&self, from: i64, max_bytes: usize) -> Result<Bytes, StoreError> {
        let high_watermark = self.shared.status.borrow().high_watermark;
        if from >= high_watermark {
            return Ok(Bytes::new());
        }
        self.shared.store.read(from, high_watermark, max_bytes)
    }

    /// The first offset that is kept in the log.
    pub fn log_start_offset(&self) -> i64 {
        self.shared.store.start_offset()
    }

    /// Bytes of the log on disk.
    pub fn log_size_bytes(&self) -> u64 {
        self.shared.store.size_in_bytes()
    }

    /// Lets go of the log below this offset, for which there is a snapshot.
    ///
    /// # Errors
    /// If files can't be removed.
    pub fn advance_log_start_offset(&self, offset: i64) -> Result<(), StoreError> {
        self.shared.store.advance_start_offset(offset)
    }

    /// What Raft itself remembers of the log below this offset (exclusive).
    pub fn quorum_records(&self, end_offset: i64) -> QuorumRecords {
        let history = self.shared.history.lock();
        let known = history
            .iter()
            .rev()
            .find(|(offset, _)| *offset < end_offset);
        known
            .or(history.first())
            .map(|(_, records)| records.clone())
            .unwrap_or_default()
    }

    /// The state for those who describe the quorum. Times are wall times in milliseconds.
    pub fn quorum_info(&self) -> QuorumInfo {
        let clock = &self.shared.clock;
        let mut info = self.shared.raft.lock().info(clock.monotonic_ms());
        let offset = clock.wall_ms() - clock.monotonic_ms();
        for (_, progress) in info.voters.iter_mut().chain(&mut info.observers) {
            for time in [&mut progress.last_fetch_ms, &mut progress.last_caught_up_ms] {
                if *time >= 0 {
                    *time += offset;
                }
            }
        }
        info
    }

    /// The voters in force, with their endpoints.
    pub fn voters(&self) -> VoterSet {
        let history = self.shared.history.lock();
        history
            .last()
            .map(|(_, records)| records.voters.clone())
            .unwrap_or_default()
    }

    /// Tells the thread to end, and does not wait for it.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Stops: writes what is queued, gives up the leadership, closes the log. Returns when done.
    pub async fn shutdown(&self) {
        self.stop();
        let mut status = self.status();
        // The sender lives as long as this handle.
        let _closed = status.wait_for(|status| status.is_closed).await;
    }
}

impl Shared {
    fn stop(&self) {
        self.accumulator.lock().stop = true;
        self.wake.notify_one();
    }

    fn run(&self) {
        let result = self.run_until_stopped().and_then(|()| {
            self.raft
                .lock()
                .step(self.clock.monotonic_ms(), Input::Resign);
            self.carry_out()?;
            self.store.close()
        });
        if let Err(error) = &result {
            tracing::error!(%error, "the metadata log failed; this node can't go on");
        }
        let mut accumulator = self.accumulator.lock();
        accumulator.epoch = None;
        accumulator.stop = true;
        accumulator.batches.clear();
        drop(accumulator);
        self.status.send_modify(|status| {
            status.leading_epoch = None;
            status.failure = result.err().map(|error| error.to_string());
            status.is_closed = true;
        });
        self.committed
            .send_modify(|committed| committed.is_closed = true);
    }

    fn run_until_stopped(&self) -> Result<(), StoreError> {
        self.carry_out()?;
        loop {
            let (batches, stop) = self.wait();
            if !batches.is_empty() {
                self.append_and_flush(&batches)?;
            } else if stop {
                return Ok(());
            }
            self.raft
                .lock()
                .step(self.clock.monotonic_ms(), Input::Tick);
            self.carry_out()?;
        }
    }

    /// Waits for appends, for the machine's deadline, or for the end.
    fn wait(&self) -> (VecDeque<Bytes>, bool) {
        let deadline_ms = self.raft.lock().deadline_ms();
        let mut accumulator = self.accumulator.lock();
        if accumulator.batches.is_empty() && !accumulator.stop {
            let wait_ms = deadline_ms
                .saturating_sub(self.clock.monotonic_ms())
                .clamp(0, 60_000);
            let timeout = Duration::from_millis(wait_ms.unsigned_abs());
            self.wake.wait_for(&mut accumulator, timeout);
        }
        accumulator.bytes = 0;
        (std::mem::take(&mut accumulator.batches), accumulator.stop)
    }

    fn append_and_flush(&self, batches: &VecDeque<Bytes>) -> Result<(), StoreError> {
        for batch in batches {
            self.store.append(batch)?;
        }
        let end = self.store.end();
        let now_ms = self.clock.monotonic_ms();
        self.raft.lock().step(now_ms, Input::Appended(end));
        self.store.flush()?;
        self.raft.lock().step(
            now_ms,
            Input::Flushed {
                end_offset: end.end_offset,
            },
        );
        Ok(())
    }

    fn carry_out(&self) -> Result<(), StoreError> {
        loop {
            let Some(output) = self.raft.lock().poll_output() else {
                return Ok(());
            };
            match output {
                Output::PersistElection(election) => self.persist(election)?,
                Output::BecomeLeader {
                    epoch,
                    epoch_start_offset,
                    granting_voters,
                } => {
                    self.become_leader(epoch, epoch_start_offset, &granting_voters)?;
                }
                Output::StepDown { epoch } => {
                    self.accumulator.lock().epoch = None;
                    self.status.send_modify(|status| {
                        status.leading_epoch = None;
                        status.leader = LeaderAndEpoch {
                            leader_id: -1,
                            epoch,
                        };
                    });
                }
                Output::HighWatermark(offset) => {
                    self.store.set_high_watermark(offset);
                    self.status
                        .send_modify(|status| status.high_watermark = offset);
                    self.committed
                        .send_modify(|committed| committed.high_watermark = offset);
                }
                // A quorum of one asks nobody and is asked by nobody.
                Output::RequestVote { .. } | Output::Vote { .. } => {}
            }
        }
    }

    fn persist(&self, election: ElectionState) -> Result<(), StoreError> {
        let path = self.config.dir.join(FILE_NAME);
        fsx::write_atomically(&path, election.to_json().as_bytes())
            .map_err(|error| StoreError(format!("write {}: {error}", path.display())))?;
        let leader_id = election.leader_id.unwrap_or(-1);
        let leader = LeaderAndEpoch {
            leader_id,
            epoch: election.epoch,
        };
        self.status.send_modify(|status| status.leader = leader);
        Ok(())
    }

    /// Writes the first batch of the epoch, then takes appends.
    fn become_leader(
        &self,
        epoch: i32,
        epoch_start_offset: i64,
        granting_voters: &[i32],
    ) -> Result<(), StoreError> {
        let records = self.first_records(epoch_start_offset, granting_voters);
        let mut batch = BatchBuilder::new()
            .with_base_offset(epoch_start_offset)
            .with_leader_epoch(epoch)
            .with_control(true);
        for record in &records {
            batch
                .append_control(self.clock.wall_ms(), record)
                .map_err(|error| StoreError(error.to_string()))?;
        }
        let mut history = self.history.lock();
        for (offset, record) in (epoch_start_offset..).zip(&records) {
            note(&mut history, offset, record);
        }
        let voters = history.last().expect("never empty").1.voters.clone();
        drop(history);
        let now_ms = self.clock.monotonic_ms();
        self.raft.lock().step(now_ms, Input::VotersChanged(voters));
        self.append_and_flush(&VecDeque::from([batch.build()]))?;
        let next_offset = self.store.end().end_offset;
        let mut accumulator = self.accumulator.lock();
        accumulator.epoch = Some(epoch);
        accumulator.next_offset = next_offset;
        drop(accumulator);
        tracing::info!(
            epoch,
            epoch_start_offset,
            "became the leader of the metadata quorum"
        );
        self.status.send_modify(|status| {
            status.leading_epoch = Some(epoch);
            status.activation_offset = next_offset - 1;
        });
        Ok(())
    }

    /// LeaderChange, and voters that the log doesn't hold yet or that have moved.
    fn first_records(&self, start_offset: i64, granting_voters: &[i32]) -> Vec<ControlRecord> {
        let history = self.history.lock();
        let (_, current) = history.last().expect("never empty");
        let local = self.config.local;
        let leader_change_voter = |voter: &VoterNode| LeaderChangeVoter {
            voter_id: voter.key.id,
            voter_directory_id: voter.key.directory_id,
        };
        let granting = |voter: &&VoterNode| granting_voters.contains(&voter.key.id);
        // The version is 0 as Kafka writes it; directory ids belong to version 1.
        let no_directory = |mut voter: LeaderChangeVoter| {
            voter.voter_directory_id = uuid::Uuid::nil();
            voter
        };
        let voters = current
            .voters
            .iter()
            .map(leader_change_voter)
            .map(no_directory)
            .collect();
        let granted = current.voters.iter().filter(granting);
        let granting_voters = granted.map(leader_change_voter).map(no_directory).collect();
        let leader_change = LeaderChange {
            version: 0,
            leader_id: local.id,
            voters,
            granting_voters,
        };
        let mut records = vec![ControlRecord::LeaderChange(leader_change)];
        if current.kraft_version == 0 {
            return records;
        }
        let own = current.voters.get(local.id);
        let is_moved = own.is_some_and(|own| own.endpoints != self.config.endpoints);
        // The snapshot 0-0 is never given to others, so what only it says goes into the log.
        let is_only_in_bootstrap_snapshot = history.len() == 1 && start_offset == 0;
        if is_only_in_bootstrap_snapshot {
            let kraft_version = current.kraft_version;
            records.push(ControlRecord::KRaftVersion(KRaftVersion {
                version: 0,
                kraft_version,
            }));
        }
        if is_only_in_bootstrap_snapshot || is_moved {
            let mut voters = current.voters.clone();
            if let Some(own) = own
                && is_moved
            {
                let endpoints = self.config.endpoints.clone();
                voters = voters.with(VoterNode {
                    endpoints,
                    ..own.clone()
                });
            }
            records.push(ControlRecord::Voters(voters_record(&voters)));
        }
        records
    }
}
