//! The task of one shard: requests in, record batches out, answers once they are committed.
//!
//! A task lives as long as this broker leads the partition. It loads the shard, then takes commands
//! from its queue, high watermarks from the replica manager and its own timers, one at a time.
//! A command's records are one batch (consecutive commits of offsets share one), which is appended
//! before it is replayed; the answer is parked until the high watermark has passed the batch, or
//! `offsets.commit.timeout.ms`. When an append fails nothing was replayed, and when the log turns out
//! to be elsewhere than it should be, or a handler panics, the shard is thrown away and loaded again.
//!
//! | phase | requests get | ends by |
//! |---|---|---|
//! | Loading | COORDINATOR_LOAD_IN_PROGRESS | the end of the log is reached |
//! | Active | answers | resignation, or a reload |
//! | Failed | NOT_COORDINATOR | election in a later epoch |
//!
//! Kafka: coordinator-common `CoordinatorRuntime` (4.3).

mod shard_task;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::task;
use kafka_shared::time::Clock;
use kafka_shared::types::TopicPartition;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::shard_task::ShardTask;
use super::group::{Cx, Effects, GroupShard, JoinReply, JoinRequest, SyncReply, SyncRequest};
use super::loader::{self, Loaded};
use super::{GroupCoordinatorConfig, PartitionWriter};

/// Commands that wait for a shard; who sends more waits.
const QUEUE_LEN: usize = 256;
/// Before a shard is loaded again.
const RELOAD_BACKOFF: Duration = Duration::from_millis(500);

/// What all shards share.
#[derive(Clone)]
pub struct Shared {
    /// The coordinator's settings.
    pub config: Arc<GroupCoordinatorConfig>,
    /// The log.
    pub writer: Arc<dyn PartitionWriter>,
    /// Wall clock for records, monotonic for timers.
    pub clock: Arc<dyn Clock>,
    /// Limits how many partitions are loaded at once.
    pub loads: Arc<Semaphore>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Sends the answer of a handler, or the error that kept it from being stored.
type Answer = Box<dyn FnOnce(Result<(), ErrorCode>) + Send>;
/// A handler that may append: what it wants stored is in the effects, what it answers is sent by
/// the returned closure once that is done.
pub type WriteOperation = Box<dyn FnOnce(&mut GroupShard, &Cx<'_>, &mut Effects) -> Answer + Send>;
/// A handler that only reads, and answers at once.
pub type ReadOperation = Box<dyn FnOnce(&GroupShard) + Send>;

/// What a shard's task can be asked.
pub enum Command {
    /// JoinGroup: the answer may take as long as a rebalance.
    Join(Box<JoinRequest>, oneshot::Sender<JoinReply>),
    /// SyncGroup: the answer may take as long as a rebalance.
    Sync(Box<SyncRequest>, oneshot::Sender<SyncReply>),
    /// OffsetCommit, whose records may share a batch with others.
    Commit(WriteOperation),
    /// Anything else that may append, or must see what is appended as committed.
    Write(WriteOperation),
    /// Anything that reads what is committed.
    Read(ReadOperation),
}

/// Builds a [`WriteOperation`] out of a handler and the caller that waits for its answer.
pub fn write_operation<T: Send + 'static>(
    reply: oneshot::Sender<Result<T, ErrorCode>>,
    handler: impl FnOnce(&mut GroupShard, &Cx<'_>, &mut Effects) -> Result<T, ErrorCode>
    + Send
    + 'static,
) -> WriteOperation {
    Box::new(move |shard, cx, fx| {
        // The caller may be gone with its connection; then nobody wants to know.
        match handler(shard, cx, fx) {
            Err(error) => {
                drop(reply.send(Err(error)));
                Box::new(|_| {})
            }
            Ok(result) => Box::new(move |stored| drop(reply.send(stored.map(|()| result)))),
        }
    })
}

/// Whether a shard can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading the log.
    Loading,
    /// Serving.
    Active,
    /// Not serving until it is elected again.
    Failed,
}

/// How the rest of the broker reaches a shard.
#[derive(Debug)]
pub struct ShardHandle {
    commands: mpsc::Sender<Command>,
    phase: Arc<AtomicU8>,
    leader_epoch: Arc<AtomicI32>,
    stop: CancellationToken,
    done: CancellationToken,
}

impl ShardHandle {
    /// Starts the task of a partition that this broker leads in `leader_epoch`.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(shared: Shared, partition: TopicPartition, leader_epoch: i32) -> Self {
        let (commands, receiver) = mpsc::channel(QUEUE_LEN);
        let handle = Self {
            commands,
            phase: Arc::new(AtomicU8::new(Phase::Loading as u8)),
            leader_epoch: Arc::new(AtomicI32::new(leader_epoch)),
            stop: CancellationToken::new(),
            done: CancellationToken::new(),
        };
        let owner = Owner {
            shared,
            partition,
            commands: receiver,
            phase: Arc::clone(&handle.phase),
            leader_epoch: Arc::clone(&handle.leader_epoch),
            stop: handle.stop.clone(),
        };
        let done = handle.done.clone().drop_guard();
        task::spawn("group-coordinator", async move {
            owner.run().await;
            drop(done);
        });
        handle
    }

    /// Whether the shard can answer.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            phase if phase == Phase::Loading as u8 => Phase::Loading,
            phase if phase == Phase::Active as u8 => Phase::Active,
            _ => Phase::Failed,
        }
    }

    /// The epoch in which this broker leads.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch.load(Ordering::Relaxed)
    }

    /// This broker goes on leading, in a later epoch.
    pub fn set_leader_epoch(&self, leader_epoch: i32) {
        self.leader_epoch.store(leader_epoch, Ordering::Relaxed);
    }

    /// The queue of the shard.
    pub fn commands(&self) -> mpsc::Sender<Command> {
        self.commands.clone()
    }

    /// Ends the task: who waits gets NOT_COORDINATOR.
    pub fn stop(&self) {
        self.phase.store(Phase::Failed as u8, Ordering::Release);
        self.stop.cancel();
    }

    /// Waits until the task has ended.
    pub async fn stopped(&self) {
        self.done.cancelled().await;
    }
}

/// Keeps the queue while shards come and go.
struct Owner {
    shared: Shared,
    partition: TopicPartition,
    commands: mpsc::Receiver<Command>,
    phase: Arc<AtomicU8>,
    leader_epoch: Arc<AtomicI32>,
    stop: CancellationToken,
}

enum Exit {
    Stopped,
    Reload,
}

impl Owner {
    async fn run(mut self) {
        loop {
            let exit = match self.load().await {
                Ok((loaded, high_watermark)) => self.serve(loaded, high_watermark).await,
                Err(error) => {
                    if !self.stop.is_cancelled() {
                        tracing::error!(partition = %self.partition, %error, "groups not loaded");
                    }
                    Exit::Stopped
                }
            };
            if matches!(exit, Exit::Stopped) || self.stop.is_cancelled() {
                self.phase.store(Phase::Failed as u8, Ordering::Release);
                return;
            }
            tracing::warn!(partition = %self.partition, "groups are loaded again");
            self.enter(Phase::Loading);
            // What was asked before is not answered from another state of the log.
            while self.commands.try_recv().is_ok() {}
            tokio::time::sleep(RELOAD_BACKOFF).await;
        }
    }

    /// Changes the phase, unless the shard was told to stop.
    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        if self.stop.is_cancelled() {
            self.phase.store(Phase::Failed as u8, Ordering::Release);
        }
    }

    async fn load(&self) -> Result<(Loaded, watch::Receiver<i64>), ApiError> {
        let shared = self.shared.clone();
        let partition = self.partition.clone();
        let high_watermark = shared.writer.high_watermark(&partition)?;
        let range = shared.writer.log_range(&partition)?;
        if range.log_start_offset >= range.log_end_offset {
            let shard = GroupShard::default();
            let log_end_offset = range.log_end_offset;
            return Ok((
                Loaded {
                    shard,
                    log_end_offset,
                    record_count: 0,
                },
                high_watermark,
            ));
        }
        let Ok(permit) = Arc::clone(&shared.loads).acquire_owned().await else {
            return Err(ApiError::from(ErrorCode::NOT_COORDINATOR));
        };
        let stop_flag = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stop_flag);
        let started_ms = shared.clock.monotonic_ms();
        let buffer_bytes =
            usize::try_from(self.shared.config.offsets_load_buffer_size).unwrap_or(1);
        let mut load = task::spawn_blocking("group-load", move || {
            let _permit = permit;
            let writer = &*shared.writer;
            let loaded = loader::load(writer, &partition, &high_watermark, buffer_bytes, &stop);
            loaded.map(|loaded| (loaded, high_watermark))
        });
        let loaded = tokio::select! {
            loaded = &mut load => loaded,
            () = self.stop.cancelled() => {
                stop_flag.store(true, Ordering::Relaxed);
                load.await
            }
        };
        let unknown = |_| ApiError::from(ErrorCode::UNKNOWN_SERVER_ERROR);
        let (loaded, high_watermark) = loaded.map_err(unknown)??;
        tracing::info!(
            partition = %self.partition,
            records = loaded.record_count,
            groups = loaded.shard.group_count(),
            ms = self.shared.clock.monotonic_ms() - started_ms,
            "groups loaded"
        );
        Ok((loaded, high_watermark))
    }

    async fn serve(&mut self, loaded: Loaded, high_watermark: watch::Receiver<i64>) -> Exit {
        let mut shard = ShardTask::new(
            self.shared.clone(),
            self.partition.clone(),
            Arc::clone(&self.leader_epoch),
            loaded,
            high_watermark,
        );
        // A handler that panics leaves the shard in no state to go on from. The log has what
        // counts.
        let served = AssertUnwindSafe(async {
            shard.on_loaded();
            self.enter(Phase::Active);
            shard.serve(&mut self.commands, &self.stop).await
        });
        let served = served.catch_unwind().await;
        let is_sound = served.is_ok();
        let exit = served.unwrap_or(Exit::Reload);
        if matches!(exit, Exit::Stopped) {
            self.phase.store(Phase::Failed as u8, Ordering::Release);
        } else {
            self.enter(Phase::Loading);
        }
        shard.unload(is_sound);
        exit
    }
}
