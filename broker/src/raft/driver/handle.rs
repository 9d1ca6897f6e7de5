//! How the rest of the node uses Raft.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::record::batch::BatchHeader;
use tokio::sync::{oneshot, watch};

use super::{AppendError, Command, Pending, Served, Shared, Status};
use crate::metadata::loader::Committed;
use crate::raft::machine::QuorumInfo;
use crate::raft::quorum_records::QuorumRecords;
use crate::raft::rpc::{BatchInfo, Fetched, Request, SnapshotId};
use crate::raft::store::StoreError;
use crate::raft::voters::{VoterSet, address};

/// Most bytes that may wait for the disk.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most requests and answers that may wait for the thread; connections wait for theirs one by one.
const COMMANDS_MAX: usize = 10_000;

/// How long a leader may take to hand over when the node stops.
const HAND_OVER_MS: i64 = 5_000;

/// Access to Raft. Clones share it; when the last one is dropped, Raft stops at once, without
/// handing over.
#[derive(Clone)]
pub struct RaftHandle {
    shared: Arc<Shared>,
    _stop: Option<Arc<StopOnDrop>>,
}

/// Ends the thread when nobody can reach it any more: a runtime waits for its threads when it ends.
struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop(0);
    }
}

impl std::fmt::Debug for RaftHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RaftHandle")
            .field("status", &*self.shared.status.borrow())
            .finish()
    }
}

impl RaftHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let stop = Some(Arc::new(StopOnDrop(Arc::clone(&shared))));
        Self {
            shared,
            _stop: stop,
        }
    }

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
        let inbox = self.shared.inbox.lock();
        (inbox.epoch == Some(epoch)).then_some(inbox.next_offset)
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
        let mut inbox = self.shared.inbox.lock();
        if inbox.epoch != Some(epoch) || inbox.stop_within_ms.is_some() {
            return Err(AppendError::NotLeader(epoch));
        }
        if inbox.bytes > PENDING_BYTES_MAX {
            return Err(AppendError::Full);
        }
        let batches = encode(inbox.next_offset).map_err(AppendError::Encode)?;
        for bytes in batches {
            let header = BatchHeader::parse(&bytes).expect("the caller has encoded a batch");
            debug_assert_eq!(header.base_offset, inbox.next_offset);
            inbox.next_offset = header.next_offset();
            inbox.bytes += bytes.len();
            let content = Fetched {
                batches: vec![BatchInfo {
                    base_offset: header.base_offset,
                    next_offset: header.next_offset(),
                    epoch: header.partition_leader_epoch,
                }],
                control: Vec::new(),
            };
            inbox.batches.push_back(Pending { bytes, content });
        }
        self.shared.wake.notify_one();
        Ok(inbox.next_offset - 1)
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

    /// Says that this node has written a snapshot of what is committed.
    pub fn snapshot_created(&self, id: SnapshotId) {
        self.shared.command(Command::SnapshotCreated(id));
    }

    /// Lets go of the log below this offset, for which there is a snapshot. Blocks.
    ///
    /// # Errors
    /// If files can't be removed, or Raft has ended.
    pub fn advance_log_start_offset(&self, offset: i64) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let ended = || StoreError("the metadata log is closed".into());
        if !self
            .shared
            .command(Command::AdvanceLogStart { offset, reply })
        {
            return Err(ended());
        }
        answer.blocking_recv().map_err(|_| ended())?
    }

    /// What Raft itself remembers of the log below this offset (exclusive). Static voters are not
    /// among it.
    pub fn quorum_records(&self, end_offset: i64) -> QuorumRecords {
        self.shared.raft.lock().quorum_records(end_offset)
    }

    /// The level of kraft.version that is in force.
    pub fn kraft_version(&self) -> i16 {
        self.shared.raft.lock().kraft_version()
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

    /// When a node last fetched the log from this one, which leads; by the clock that was given at
    /// the start. `None` if it didn't.
    pub fn last_fetch_ms(&self, id: i32) -> Option<i64> {
        self.shared.raft.lock().last_fetch_ms(id)
    }

    /// The voters in force, with their endpoints; static ones too.
    pub fn voters(&self) -> VoterSet {
        self.shared.raft.lock().voters().clone()
    }

    /// Id, host and port of the active controller's listener with this name, if both are known.
    pub fn leader_endpoint(&self, listener: &str) -> Option<(i32, String, u16)> {
        let raft = self.shared.raft.lock();
        let leader = raft.leader();
        let id = leader.id?;
        let (host, port) = raft
            .voters()
            .address(id, listener)
            .or_else(|| address(&leader.endpoints, listener))?;
        Some((id, host, port))
    }

    /// The folder of the metadata log, with the snapshots.
    pub fn dir(&self) -> &Path {
        &self.shared.config.dir
    }

    /// The id of the cluster that the quorum belongs to.
    pub fn cluster_id(&self) -> &str {
        &self.shared.config.cluster_id
    }

    /// Answers a request of another node; a fetch waits as long as it says.
    ///
    /// # Errors
    /// BROKER_NOT_AVAILABLE if this node goes down or has too much to do.
    pub async fn request(&self, request: Request) -> Result<Served, ErrorCode> {
        let (reply, answer) = oneshot::channel();
        if self.shared.inbox.lock().commands.len() >= COMMANDS_MAX
            || !self.shared.command(Command::Request { request, reply })
        {
            return Err(ErrorCode::BROKER_NOT_AVAILABLE);
        }
        answer.await.map_err(|_| ErrorCode::BROKER_NOT_AVAILABLE)
    }

    /// Raises kraft.version; the answer comes when it is clear whether that will be done, and the
    /// record may not be committed yet.
    ///
    /// # Errors
    /// Why it can't be, with words for people if there are any.
    pub async fn upgrade_kraft_version(
        &self,
        epoch: i32,
        version: i16,
        validate_only: bool,
    ) -> Result<(), (ErrorCode, Option<String>)> {
        let (reply, answer) = oneshot::channel();
        self.shared.command(Command::UpgradeKRaftVersion {
            epoch,
            version,
            validate_only,
            reply,
        });
        match answer.await {
            Ok((ErrorCode::NONE, _)) => Ok(()),
            Ok(error) => Err(error),
            Err(_) => Err((ErrorCode::NOT_CONTROLLER, None)),
        }
    }

    /// The controller can't go on in this epoch: another node is to lead.
    pub fn resign(&self, epoch: i32) {
        self.shared.command(Command::Resign { epoch });
    }

    /// Tells the thread to end at once, and does not wait for it.
    pub fn stop(&self) {
        self.shared.stop(0);
    }

    /// Stops: writes what is queued, hands over the leadership, closes the log. Returns when done.
    pub async fn shutdown(&self) {
        self.shared.stop(HAND_OVER_MS);
        let mut status = self.status();
        // The sender lives as long as this handle.
        let _closed = status.wait_for(|status| status.is_closed).await;
    }
}
