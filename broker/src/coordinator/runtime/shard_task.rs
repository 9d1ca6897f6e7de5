//! What the task of a shard does with a command, a timer and a high watermark.
//!
//! Kafka: coordinator-common `CoordinatorRuntime.CoordinatorContext` (4.3).

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::compression::Compression;
use kafka_shared::record::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use kafka_shared::types::TopicPartition;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{Answer, Command, Exit, Shared, WriteOperation};
use crate::coordinator::group::{
    Continuation, Cx, Effects, GroupShard, JoinReply, Record, Reply, Stored, SyncReply, TimerEvent,
    TimerKey, Token, append_error,
};
use crate::coordinator::loader::Loaded;
use crate::coordinator::timer::TimerQueue;

/// Commands that are taken at once; commits among them may share a batch.
const COMMANDS_AT_ONCE: usize = 64;
/// Timers that fire before commands get their turn.
const TIMERS_AT_ONCE: usize = 256;

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

pub(super) struct ShardTask {
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
    pub(super) fn new(
        shared: Shared,
        partition: TopicPartition,
        leader_epoch: Arc<AtomicI32>,
        loaded: Loaded,
        high_watermark: watch::Receiver<i64>,
    ) -> Self {
        Self {
            shared,
            partition,
            leader_epoch,
            shard: loaded.shard,
            timers: TimerQueue::default(),
            waiting: HashMap::new(),
            next_token: 0,
            log_end_offset: loaded.log_end_offset,
            high_watermark,
            parked: VecDeque::new(),
            needs_reload: false,
        }
    }

    /// The log was read: from now on members have to show up.
    pub(super) fn on_loaded(&mut self) {
        self.with_shard(|shard, cx, fx| shard.on_loaded(cx, fx));
    }

    /// Works until it is stopped, the replica is gone, or the log has to be read again.
    pub(super) async fn serve(
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
        let mut pending = self.pending();
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

    fn pending(&self) -> Pending {
        Pending::new(self.shared.config.offsets_topic_compression)
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
            let full = std::mem::replace(pending, self.pending());
            self.flush(full);
        }
        for (record, (key, value)) in operation.records.into_iter().zip(&encoded) {
            let is_full = pending.builder.size_after(Some(key), value.as_deref()) > max_bytes;
            if is_full && !operation.atomic {
                let full = std::mem::replace(pending, self.pending());
                self.flush(full);
            }
            if let Err(error) = pending
                .builder
                .append(now_ms, Some(key), value.as_deref(), &[])
            {
                // Half of the operation must not be stored, and the rest of the batch neither.
                pending.then.extend(operation.then);
                let failed = std::mem::replace(pending, self.pending());
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
    pub(super) fn unload(mut self, is_sound: bool) {
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
struct Pending {
    builder: BatchBuilder,
    records: Vec<(Record, bool)>,
    then: Vec<Then>,
}

impl Pending {
    fn new(compression: Compression) -> Self {
        // Kafka's coordinators write sequence 0 although there is no producer.
        let builder = BatchBuilder::new().with_producer(NO_PRODUCER_ID, NO_PRODUCER_EPOCH, 0);
        Self {
            builder: builder.with_compression(compression),
            records: Vec::new(),
            then: Vec::new(),
        }
    }
}

/// The most that a record takes in a batch: lengths and deltas are varints of at most ten bytes.
fn encoded_size_max((key, value): &(Vec<u8>, Option<Vec<u8>>)) -> usize {
    key.len() + value.as_ref().map_or(0, Vec::len) + 36
}
