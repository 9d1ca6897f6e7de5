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

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::task;
use kafka_shared::time::Clock;
use kafka_shared::types::TopicPartition;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::group::{
    Continuation, Cx, Effects, GroupShard, JoinReply, JoinRequest, Record, Reply, Stored,
    SyncReply, SyncRequest, TimerEvent, TimerKey, Token, append_error,
};
use super::loader::{self, Loaded};
use super::timer::TimerQueue;
use super::{GroupCoordinatorConfig, PartitionWriter};

/// Commands that wait for a shard; who sends more waits.
const QUEUE_LEN: usize = 256;
/// Commands that are taken at once; commits among them may share a batch.
const COMMANDS_AT_ONCE: usize = 64;
/// Timers that fire before commands get their turn.
const TIMERS_AT_ONCE: usize = 256;
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
        let mut shard = ShardTask {
            shared: self.shared.clone(),
            partition: self.partition.clone(),
            leader_epoch: Arc::clone(&self.leader_epoch),
            shard: loaded.shard,
            timers: TimerQueue::default(),
            waiting: HashMap::new(),
            next_token: 0,
            log_end_offset: loaded.log_end_offset,
            high_watermark,
            parked: VecDeque::new(),
            needs_reload: false,
        };
        // A handler that panics leaves the shard in no state to go on from. The log has what
        // counts.
        let served = AssertUnwindSafe(async {
            shard.with_shard(|shard, cx, fx| shard.on_loaded(cx, fx));
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

/// Something that waits for the high watermark.
struct Parked {
    /// The high watermark must get this far.
    until_offset: i64,
    deadline_ms: i64,
    then: Then,
}

enum Then {
    Answer(Answer),
    Continue(Continuation),
}

/// The records of an operation that are yet to be appended, with what comes after.
struct Unwritten {
    records: Vec<Record>,
    replay: bool,
    atomic: bool,
    then: Vec<Then>,
}

struct ShardTask {
    shared: Shared,
    partition: TopicPartition,
    leader_epoch: Arc<AtomicI32>,
    shard: GroupShard,
    timers: TimerQueue<TimerKey, TimerEvent>,
    waiting: HashMap<Token, Waiter>,
    next_token: Token,
    /// Where the next record goes, if nobody else writes to this log.
    log_end_offset: i64,
    high_watermark: watch::Receiver<i64>,
    /// In the order of their offsets and of their deadlines.
    parked: VecDeque<Parked>,
    needs_reload: bool,
}

enum Waiter {
    Join(oneshot::Sender<JoinReply>),
    Sync(oneshot::Sender<SyncReply>),
}

impl ShardTask {
    async fn serve(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        stop: &CancellationToken,
    ) -> Exit {
        let mut batch = Vec::with_capacity(COMMANDS_AT_ONCE);
        loop {
            if self.needs_reload {
                return Exit::Reload;
            }
            let wake_in = self.next_wake_in();
            let wake = async {
                match wake_in {
                    Some(duration) => tokio::time::sleep(duration).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Exit::Stopped,
                changed = self.high_watermark.changed() => {
                    if changed.is_err() {
                        return Exit::Stopped;
                    }
                    self.advance();
                }
                () = wake => self.on_time(),
                received = commands.recv_many(&mut batch, COMMANDS_AT_ONCE) => {
                    if received == 0 {
                        return Exit::Stopped;
                    }
                    self.execute(batch.drain(..));
                }
            }
        }
    }

    fn next_wake_in(&self) -> Option<Duration> {
        let parked = self.parked.front().map(|parked| parked.deadline_ms);
        let due_ms = self.timers.next_due_ms().into_iter().chain(parked).min()?;
        let wait_ms = due_ms.saturating_sub(self.shared.clock.monotonic_ms());
        Some(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)))
    }

    fn execute(&mut self, commands: impl Iterator<Item = Command>) {
        let mut commits: Vec<Unwritten> = Vec::new();
        for command in commands {
            if !matches!(command, Command::Commit(_)) {
                self.write(std::mem::take(&mut commits));
            }
            match command {
                Command::Commit(operation) => {
                    let unwritten = self.prepare(operation);
                    commits.push(unwritten);
                }
                Command::Write(operation) => {
                    let unwritten = self.prepare(operation);
                    self.write(vec![unwritten]);
                }
                Command::Read(operation) => operation(&self.shard),
                Command::Join(request, reply) => {
                    let token = self.wait(Waiter::Join(reply));
                    self.with_shard(|shard, cx, fx| shard.join(cx, &request, token, fx));
                }
                Command::Sync(request, reply) => {
                    let token = self.wait(Waiter::Sync(reply));
                    self.with_shard(|shard, _, fx| shard.sync(&request, token, fx));
                }
            }
        }
        self.write(commits);
    }

    fn wait(&mut self, waiter: Waiter) -> Token {
        self.next_token += 1;
        self.waiting.insert(self.next_token, waiter);
        self.next_token
    }

    /// Calls a handler and does all that it wants done but the appending.
    fn call<T>(
        &mut self,
        handler: impl FnOnce(&mut GroupShard, &Cx<'_>, &mut Effects) -> T,
    ) -> (T, Unwritten) {
        let mut fx = Effects::default();
        let config = Arc::clone(&self.shared.config);
        let cx = Cx {
            now_ms: self.shared.clock.wall_ms(),
            config: &config,
        };
        let result = handler(&mut self.shard, &cx, &mut fx);
        let now_ms = self.shared.clock.monotonic_ms();
        for change in fx.timers {
            self.timers.apply(now_ms, change);
        }
        for (token, reply) in fx.replies {
            // Who waited may be gone with its connection.
            match (self.waiting.remove(&token), reply) {
                (Some(Waiter::Join(waiter)), Reply::Join(reply)) => drop(waiter.send(reply)),
                (Some(Waiter::Sync(waiter)), Reply::Sync(reply)) => drop(waiter.send(reply)),
                _ => {}
            }
        }
        let unwritten = Unwritten {
            records: fx.records,
            replay: fx.replay,
            atomic: fx.atomic,
            then: fx.then.map(Then::Continue).into_iter().collect(),
        };
        (result, unwritten)
    }

    fn prepare(&mut self, operation: WriteOperation) -> Unwritten {
        let (answer, mut unwritten) = self.call(operation);
        unwritten.then.push(Then::Answer(answer));
        unwritten
    }

    /// Calls a handler that nobody waits for, and appends what it wants appended.
    fn with_shard(&mut self, handler: impl FnOnce(&mut GroupShard, &Cx<'_>, &mut Effects)) {
        let ((), unwritten) = self.call(handler);
        self.write(vec![unwritten]);
    }

    /// Appends the records of some operations, as far as possible in one batch, and parks what
    /// comes after.
    fn write(&mut self, operations: Vec<Unwritten>) {
        if operations.is_empty() {
            return;
        }
        let max_bytes = self.shared.writer.max_batch_bytes(&self.partition);
        let mut pending = Pending::default();
        for operation in operations {
            if operation.records.is_empty() && pending.records.is_empty() {
                self.park(operation.then);
                continue;
            }
            if let Err(error) = self.add(&mut pending, operation, max_bytes) {
                tracing::warn!(partition = %self.partition, %error, "records refused");
            }
        }
        self.flush(pending);
        self.advance();
    }

    /// Adds the records of an operation to a batch, which is appended first when it is full.
    fn add(
        &mut self,
        pending: &mut Pending,
        operation: Unwritten,
        max_bytes: usize,
    ) -> Result<(), ApiError> {
        let now_ms = self.shared.clock.wall_ms();
        let encoded: Result<Vec<_>, _> = operation.records.iter().map(Record::encode).collect();
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(error) => {
                self.complete(
                    operation.then,
                    Stored::Failed(ErrorCode::UNKNOWN_SERVER_ERROR),
                );
                return Err(ApiError::new(
                    ErrorCode::UNKNOWN_SERVER_ERROR,
                    error.to_string(),
                ));
            }
        };
        let size: usize = encoded.iter().map(encoded_size_max).sum();
        if operation.atomic && pending.builder.size_in_bytes() + size > max_bytes {
            self.flush(std::mem::take(pending));
        }
        for (record, (key, value)) in operation.records.into_iter().zip(&encoded) {
            let is_full = pending.builder.size_after(Some(key), value.as_deref()) > max_bytes;
            if is_full && !operation.atomic {
                self.flush(std::mem::take(pending));
            }
            if let Err(error) = pending
                .builder
                .append(now_ms, Some(key), value.as_deref(), &[])
            {
                // Half of the operation must not be stored, and the rest of the batch neither.
                pending.then.extend(operation.then);
                let failed = std::mem::take(pending);
                self.complete(failed.then, Stored::Failed(ErrorCode::UNKNOWN_SERVER_ERROR));
                return Err(ApiError::new(
                    ErrorCode::UNKNOWN_SERVER_ERROR,
                    error.to_string(),
                ));
            }
            pending.records.push((record, operation.replay));
        }
        pending.then.extend(operation.then);
        Ok(())
    }

    /// Appends a batch, replays its records, and parks what comes after.
    fn flush(&mut self, pending: Pending) {
        if self.needs_reload {
            return self.complete(pending.then, Stored::Failed(ErrorCode::NOT_COORDINATOR));
        }
        if pending.records.is_empty() {
            return self.park(pending.then);
        }
        let count = pending.records.len() as i64;
        let batch = BytesMut::from(pending.builder.build());
        let leader_epoch = self.leader_epoch.load(Ordering::Relaxed);
        let base_offset = self.log_end_offset;
        match self
            .shared
            .writer
            .append(&self.partition, leader_epoch, batch)
        {
            Ok(next_offset) if next_offset == base_offset + count => {
                self.log_end_offset = next_offset;
                for (offset, (record, replay)) in (base_offset..).zip(pending.records) {
                    if replay {
                        self.shard.replay(offset, None, record);
                    }
                }
                self.park(pending.then);
            }
            Ok(next_offset) => {
                tracing::error!(
                    partition = %self.partition,
                    next_offset,
                    expected = base_offset + count,
                    "the log is not where the groups think it is"
                );
                self.needs_reload = true;
                self.complete(pending.then, Stored::Failed(ErrorCode::NOT_COORDINATOR));
            }
            Err(error) => {
                tracing::warn!(partition = %self.partition, %error, "groups not stored");
                self.complete(pending.then, Stored::Failed(append_error(&error)));
            }
        }
    }

    /// Lets things wait until all that was appended so far is committed.
    fn park(&mut self, then: Vec<Then>) {
        let timeout_ms = i64::from(self.shared.config.offsets_commit_timeout_ms);
        let deadline_ms = self.shared.clock.monotonic_ms().saturating_add(timeout_ms);
        let until_offset = self.log_end_offset;
        self.parked.extend(then.into_iter().map(|then| Parked {
            until_offset,
            deadline_ms,
            then,
        }));
    }

    fn advance(&mut self) {
        let high_watermark = *self.high_watermark.borrow_and_update();
        self.shard.advance_committed(high_watermark);
        while self
            .parked
            .front()
            .is_some_and(|parked| parked.until_offset <= high_watermark)
        {
            if let Some(parked) = self.parked.pop_front() {
                self.complete(vec![parked.then], Stored::Committed);
            }
        }
    }

    fn complete(&mut self, then: Vec<Then>, stored: Stored) {
        for then in then {
            match then {
                Then::Answer(answer) => answer(stored.error().map_or(Ok(()), Err)),
                Then::Continue(continuation) => {
                    self.with_shard(|shard, cx, fx| {
                        shard.on_stored(cx, continuation, stored, fx);
                    });
                }
            }
        }
    }

    fn on_time(&mut self) {
        let now_ms = self.shared.clock.monotonic_ms();
        while self
            .parked
            .front()
            .is_some_and(|parked| parked.deadline_ms <= now_ms)
        {
            if let Some(parked) = self.parked.pop_front() {
                let error = ErrorCode::COORDINATOR_NOT_AVAILABLE;
                self.complete(vec![parked.then], Stored::TimedOut(error));
            }
        }
        for _ in 0..TIMERS_AT_ONCE {
            let Some((key, event)) = self.timers.pop_due(now_ms) else {
                break;
            };
            self.with_shard(|shard, cx, fx| shard.on_timer(cx, &key, event, fx));
        }
    }

    /// Fails all that waits. A shard that is not sound is not asked who does.
    fn unload(mut self, is_sound: bool) {
        for parked in std::mem::take(&mut self.parked) {
            if let Then::Answer(answer) = parked.then {
                answer(Err(ErrorCode::NOT_COORDINATOR));
            }
        }
        if is_sound {
            self.call(|shard, cx, fx| shard.on_unloaded(cx, fx));
        }
        for (_, waiter) in self.waiting.drain() {
            match waiter {
                Waiter::Join(waiter) => {
                    drop(waiter.send(JoinReply::error(ErrorCode::NOT_COORDINATOR, Arc::from(""))));
                }
                Waiter::Sync(waiter) => {
                    drop(waiter.send(SyncReply::error(ErrorCode::NOT_COORDINATOR)));
                }
            }
        }
    }
}

/// A batch in the making.
#[derive(Default)]
struct Pending {
    builder: BatchBuilder,
    records: Vec<(Record, bool)>,
    then: Vec<Then>,
}

/// The most that a record takes in a batch: lengths and deltas are varints of at most ten bytes.
fn encoded_size_max((key, value): &(Vec<u8>, Option<Vec<u8>>)) -> usize {
    key.len() + value.as_ref().map_or(0, Vec::len) + 36
}
