//! One partition's replica on this broker: its log, its replication state, and who waits for it.
//!
//! [`state::PartitionState`] decides, the log stores, and this type carries decisions over to the
//! log and wakes waiting requests.
//!
//! Invariants:
//! - An append holds the state for reading, so that leadership can't be lost between the check of
//!   the leader epoch and the write; it is the only file operation under a lock here, and it goes to
//!   the page cache. Changes of the state are rare and short.
//! - The high watermark is only raised here, and whoever raises it checks the wait list after all
//!   locks are released.
//!
//! Kafka: `cluster/Partition.scala` (4.3).

mod follower;
mod relocation;
pub mod state;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use kafka_shared::error::ErrorCode;
use kafka_shared::types::{TopicPartition, Uuid};
use parking_lot::RwLock;
use tokio::sync::watch;

pub use self::follower::{FollowerAppend, FollowerError, FollowerRecords};
pub use self::relocation::CopyStep;
use self::state::isr::{AlteredIsr, IsrOutcome, IsrProposal};
use self::state::{Change, FollowerFetch, PartitionState, Registration};
use super::ReplicaManagerConfig;
use super::delayed::{WaitList, Watched};
use super::fetch::{FetchedPartition, Records};
use super::fetch_session::FetchPartition;
use super::isr::IsrUpdates;
use crate::log::{
    AppendContext, AppendInfo, AppendOrigin, FetchIsolation, Log, LogConfig, LogError,
    LogOffsetMetadata,
};
use crate::metadata::MetadataHandle;

/// Who a follower says it is in a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerId {
    pub id: i32,
    /// Its broker epoch, −1 when the request carried none.
    pub epoch: i64,
}

/// What an append as the leader has come to.
#[derive(Debug, Clone)]
pub struct LeaderAppend {
    pub info: AppendInfo,
    /// [`PartitionState::leading_since_epoch`] at the append, for [`Partition::acks_all_outcome`].
    pub leading_since_epoch: i32,
}

/// What one read found.
#[derive(Debug)]
pub struct PartitionRead {
    pub partition: FetchedPartition,
    /// Where the read began.
    pub fetch_offset: LogOffsetMetadata,
    /// The log end offset before the read.
    pub log_end_offset: i64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Partition {
    topic_partition: TopicPartition,
    topic_id: Uuid,
    log: ArcSwap<Log>,
    /// The copy that is to replace the log in another log directory.
    future: ArcSwapOption<Log>,
    state: RwLock<PartitionState>,
    waiters: WaitList,
    /// Tells the high watermark to a coordinator; made when the first one asks.
    high_watermarks: ArcSwapOption<watch::Sender<i64>>,
    metadata: MetadataHandle,
    isr_updates: Arc<IsrUpdates>,
    replica_lag_time_max_ms: i64,
}

impl Watched for Arc<Partition> {
    fn wait_list(&self) -> &WaitList {
        &self.waiters
    }
}

impl Partition {
    /// A partition that nobody leads yet.
    pub fn new(
        config: &ReplicaManagerConfig,
        metadata: MetadataHandle,
        isr_updates: Arc<IsrUpdates>,
        topic_id: Uuid,
        log: Arc<Log>,
    ) -> Self {
        Self {
            topic_partition: log.topic_partition().clone(),
            topic_id,
            log: ArcSwap::new(log),
            future: ArcSwapOption::empty(),
            state: RwLock::new(PartitionState::new(config.node_id)),
            waiters: WaitList::default(),
            high_watermarks: ArcSwapOption::empty(),
            metadata,
            isr_updates,
            replica_lag_time_max_ms: config.replica_lag_time_max_ms,
        }
    }

    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// The log as it is now; another one takes its place when the replica is moved to another log
    /// directory.
    pub fn log(&self) -> Guard<Arc<Log>> {
        self.log.load()
    }

    pub fn is_leader(&self) -> bool {
        self.state.read().is_leader()
    }

    pub fn leader_epoch(&self) -> i32 {
        self.state.read().leader_epoch()
    }

    pub fn partition_epoch(&self) -> i32 {
        self.state.read().partition_epoch()
    }

    /// Whether fewer replicas are in sync than `min.insync.replicas` asks for.
    pub fn is_under_min_isr(&self) -> bool {
        self.state
            .read()
            .is_under_min_isr(min_insync_replicas(&self.log().config()))
    }

    /// Takes over what the metadata log says and carries out what follows from it.
    pub fn apply(&self, registration: &Registration, now_ms: i64) -> Change {
        let change = {
            let mut state = self.state.write();
            let change = state.apply(registration, self.log().log_end_offset(), now_ms);
            if let Change::Leader {
                epoch_start: Some((epoch, offset)),
                ..
            } = change
            {
                self.log().assign_epoch_start_offset(epoch, offset);
            }
            self.raise_high_watermark(&state, now_ms);
            change
        };
        if !matches!(change, Change::Leader { .. } | Change::Stale) {
            self.high_watermarks.store(None);
        }
        self.moved();
        change
    }

    /// Takes over a new configuration of the topic.
    pub fn update_config(&self, config: Arc<LogConfig>, now_ms: i64) {
        if let Some(future) = &*self.future.load() {
            future.update_config(Arc::clone(&config));
        }
        self.log().update_config(config);
        // A lower min.insync.replicas may let the high watermark move on.
        self.raise_high_watermark(&self.state.read(), now_ms);
        self.moved();
    }

    /// Makes everybody who waits for this partition look at it once more; they find that it is no
    /// longer led here. To be called when the replica is dropped.
    pub fn retire(&self) {
        self.state.write().retire();
        self.high_watermarks.store(None);
        self.waiters.check();
    }

    /// The high watermark and its changes, for as long as this replica leads.
    ///
    /// # Errors
    /// `NOT_LEADER_OR_FOLLOWER`.
    pub fn watch_high_watermark(&self) -> Result<watch::Receiver<i64>, ErrorCode> {
        // The state is held, so that losing leadership can't come between check and store.
        let state = self.state.read();
        state.check_access(None, true)?;
        let sender = self.high_watermarks.rcu(|sender| match sender {
            Some(sender) => Arc::clone(sender),
            None => Arc::new(watch::Sender::new(-1)),
        });
        let sender = sender.or_else(|| self.high_watermarks.load_full());
        let receiver = sender.map(|sender| sender.subscribe());
        drop(state);
        self.tell_high_watermark();
        receiver.ok_or(ErrorCode::NOT_LEADER_OR_FOLLOWER)
    }

    fn tell_high_watermark(&self) {
        if let Some(sender) = &*self.high_watermarks.load() {
            let high_watermark = self.log().high_watermark();
            sender.send_if_modified(|told| {
                let is_news = high_watermark > *told;
                *told = high_watermark.max(*told);
                is_news
            });
        }
    }

    /// To be called, without locks, after an offset may have moved.
    fn moved(&self) {
        self.tell_high_watermark();
        self.waiters.check();
    }

    /// [`PartitionState::check_access`].
    ///
    /// # Errors
    /// `FENCED_LEADER_EPOCH`, `UNKNOWN_LEADER_EPOCH`, `NOT_LEADER_OR_FOLLOWER`.
    pub fn check_access(
        &self,
        current_leader_epoch: Option<i32>,
        requires_leader: bool,
    ) -> Result<(), ErrorCode> {
        self.state
            .read()
            .check_access(current_leader_epoch, requires_leader)
    }

    /// Checks that a fetching follower is one of the assigned replicas.
    ///
    /// # Errors
    /// `UNKNOWN_LEADER_EPOCH` when its request carried a leader epoch (it may know of an assignment
    /// that has not come here yet), else `NOT_LEADER_OR_FOLLOWER`.
    pub fn check_follower(&self, replica_id: i32, has_epoch: bool) -> Result<(), ErrorCode> {
        match self.state.read().follower(replica_id) {
            Some(_) => Ok(()),
            None if has_epoch => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
            None => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        }
    }

    /// Appends one request's records as the leader, in `expected_epoch` if it is given. `records`
    /// may be a slice of a larger buffer; its bytes are not copied on the way to the file.
    ///
    /// # Errors
    /// `NOT_LEADER_OR_FOLLOWER`, also in another epoch; `NOT_ENOUGH_REPLICAS` when all in-sync replicas are to acknowledge
    /// and there are fewer than `min.insync.replicas`; and what the log refuses.
    pub fn append_as_leader(
        &self,
        records: &[u8],
        origin: AppendOrigin,
        required_acks: i16,
        expected_epoch: Option<i32>,
        context: &AppendContext,
        now_ms: i64,
    ) -> Result<LeaderAppend, LogError> {
        let appended = {
            let state = self.state.read();
            let is_expected = expected_epoch.is_none_or(|epoch| epoch == state.leader_epoch());
            if !state.is_leader() || !is_expected {
                return Err(LogError::rejected(
                    ErrorCode::NOT_LEADER_OR_FOLLOWER,
                    format!("this broker does not lead {}", self.topic_partition),
                ));
            }
            let min_isr = min_insync_replicas(&self.log().config());
            if required_acks == -1 && state.is_under_min_isr(min_isr) {
                let (n_isr, min_isr) = (state.isr().len(), state.effective_min_isr(min_isr));
                return Err(LogError::rejected(
                    ErrorCode::NOT_ENOUGH_REPLICAS,
                    format!(
                        "{} has {n_isr} replicas in sync, min.insync.replicas asks for {min_isr}",
                        self.topic_partition
                    ),
                ));
            }
            let epoch = state.leader_epoch();
            let log = self.log();
            let appended = log.append_as_leader_with(records, epoch, origin, *context);
            let info = appended.inspect_err(|error| self.give_up_full_dir(&state, &log, error))?;
            drop(log);
            self.raise_high_watermark(&state, now_ms);
            LeaderAppend {
                info,
                leading_since_epoch: state.leading_since_epoch(),
            }
        };
        self.moved();
        Ok(appended)
    }

    /// A log that refuses for want of room stays in service; where other brokers hold the partition, they
    /// are to go on in its place, as when a disk fails.
    pub(super) fn give_up_full_dir(&self, state: &PartitionState, log: &Log, error: &LogError) {
        if matches!(error, LogError::NoSpace { .. }) && state.replicas().len() > 1 {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            drop(log.dir().fail("cannot append", &full));
        }
    }

    /// Raises the log's high watermark as far as the replicas have come. Returns whether it moved.
    fn raise_high_watermark(&self, state: &PartitionState, now_ms: i64) -> bool {
        let end = self.log().log_end_offset_metadata();
        let min_isr = min_insync_replicas(&self.log().config());
        let committed = state.committed_offset(
            end.message_offset,
            min_isr,
            now_ms,
            self.replica_lag_time_max_ms,
            |id| self.active_epoch(id),
        );
        let raised = match committed {
            Some(offset) if offset == end.message_offset => {
                self.log().maybe_increment_high_watermark(end)
            }
            Some(offset) => self
                .log()
                .maybe_increment_high_watermark(LogOffsetMetadata::offset_only(offset)),
            None => None,
        };
        raised.is_some()
    }

    /// The epoch of a broker's registration, while the controller would take it into an ISR.
    ///
    /// Differs from Kafka: there a replica whose log directory has failed still counts, and since it
    /// was caught up a moment ago, it holds the high watermark back for `replica.lag.time.max.ms`.
    fn active_epoch(&self, broker_id: i32) -> Option<i64> {
        let image = self.metadata.image();
        let broker = image.cluster.broker(broker_id)?;
        let partition = image
            .topics
            .partition_by_id(self.topic_id, self.topic_partition.partition);
        let directory = partition.and_then(|partition| partition.directory(broker_id));
        let is_lost = directory.is_some_and(|directory| !broker.has_online_directory(directory));
        (broker.is_active() && !is_lost).then_some(broker.epoch)
    }

    /// Notes how far a follower has come, which may commit records, and may let it into the ISR.
    ///
    /// # Errors
    /// Those of [`PartitionState::record_follower_fetch`].
    pub fn record_follower_fetch(self: &Arc<Self>, fetch: &FollowerFetch) -> Result<(), ErrorCode> {
        let (proposal, is_moved) = {
            let mut state = self.state.write();
            let follower = state.follower(fetch.replica_id);
            let old_start = follower.map(|follower| follower.log_start_offset);
            state.record_follower_fetch(fetch)?;
            let id = fetch.replica_id;
            let proposal = if state.could_expand_isr(id) {
                let active_epoch = self.active_epoch(id);
                let local_epoch = self.isr_updates.local_broker_epoch();
                state.expand_isr(id, self.log().high_watermark(), active_epoch, local_epoch)
            } else {
                None
            };
            // Deletions of records wait for the followers' log start offsets.
            let start_moved = old_start != Some(fetch.log_start_offset);
            let is_moved = self.raise_high_watermark(&state, fetch.now_ms) | start_moved;
            (proposal, is_moved)
        };
        if let Some(proposal) = proposal {
            self.propose(proposal);
        }
        if is_moved {
            self.moved();
        }
        Ok(())
    }

    /// Begins to put followers out of the ISR that have fallen behind.
    pub fn shrink_isr(self: &Arc<Self>, now_ms: i64) {
        if !self.is_leader() {
            return;
        }
        let proposal = self.state.write().shrink_isr(
            self.log().log_end_offset(),
            now_ms,
            self.replica_lag_time_max_ms,
            self.isr_updates.local_broker_epoch(),
        );
        if let Some(proposal) = proposal {
            self.propose(proposal);
        }
    }

    fn propose(self: &Arc<Self>, proposal: IsrProposal) {
        tracing::info!(
            partition = %self.topic_partition,
            isr = ?proposal.isr,
            high_watermark = self.log().high_watermark(),
            log_end_offset = self.log().log_end_offset(),
            "proposing another ISR"
        );
        self.isr_updates.submit(Arc::clone(self), proposal);
    }

    /// Takes over what the controller has answered to a proposal. Returns the proposal when it is
    /// to be sent again.
    pub fn on_isr_answer(
        &self,
        number: u64,
        answer: Result<AlteredIsr, ErrorCode>,
        now_ms: i64,
    ) -> Option<IsrProposal> {
        let (outcome, is_moved) = {
            let mut state = self.state.write();
            let outcome = state.on_isr_answer(number, answer);
            // The ISR could be down to this replica.
            let is_moved =
                outcome == IsrOutcome::Committed && self.raise_high_watermark(&state, now_ms);
            if outcome == IsrOutcome::Committed {
                tracing::info!(
                    partition = %self.topic_partition,
                    isr = ?state.isr(),
                    partition_epoch = state.partition_epoch(),
                    "the ISR has changed"
                );
            }
            (outcome, is_moved)
        };
        if is_moved {
            self.moved();
        }
        match outcome {
            IsrOutcome::Retry(proposal) => Some(proposal),
            _ => None,
        }
    }

    /// The offset at which a reader with this isolation stops (exclusive).
    pub fn end_offset(&self, isolation: FetchIsolation) -> i64 {
        match isolation {
            FetchIsolation::LogEnd => self.log().log_end_offset(),
            FetchIsolation::HighWatermark => self.log().high_watermark(),
            FetchIsolation::TxnCommitted => self.log().last_stable_offset(),
        }
    }

    /// Looks up whole batches from the wanted offset on. The first one is given even if it exceeds
    /// `max_bytes` when `min_one`.
    ///
    /// # Errors
    /// `OFFSET_OUT_OF_RANGE`, `KAFKA_STORAGE_ERROR`.
    pub fn read(
        &self,
        wanted: &FetchPartition,
        isolation: FetchIsolation,
        max_bytes: usize,
        min_one: bool,
    ) -> Result<PartitionRead, ErrorCode> {
        if let Some(epoch) = wanted.last_fetched_epoch
            && let Some(diverged) = self.diverging_read(wanted.fetch_offset, epoch)?
        {
            return Ok(diverged);
        }
        let read = |log: &Log| log.read(wanted.fetch_offset, max_bytes, isolation, min_one);
        let log = self.log.load_full();
        let data = match read(&log) {
            // It is being replaced, or was meanwhile.
            Err(LogError::Storage { .. }) if log.is_retired() => read(&self.settled_log()),
            read => read,
        };
        let data = data.map_err(|error| error.code())?;
        let records = match data.records {
            Some(slice) if !data.first_entry_incomplete => Records::File(slice),
            _ => Records::Empty,
        };
        Ok(PartitionRead {
            partition: FetchedPartition {
                high_watermark: data.high_watermark,
                last_stable_offset: data.last_stable_offset,
                log_start_offset: data.log_start_offset,
                aborted_transactions: data.aborted_transactions,
                records,
                ..FetchedPartition::default()
            },
            fetch_offset: data.fetch_offset,
            log_end_offset: data.log_end_offset,
        })
    }

    /// Whether the log of a fetcher, whose last batch is of this epoch, departs from this one at or
    /// before its fetch offset, or can't be compared with it.
    pub fn is_diverging(&self, fetch_offset: i64, last_fetched_epoch: i32) -> bool {
        self.log()
            .end_offset_for_epoch(last_fetched_epoch)
            .is_none_or(|(epoch, end)| epoch < last_fetched_epoch || end < fetch_offset)
    }

    /// The answer to a fetcher whose log departs from this one at or before its fetch offset.
    fn diverging_read(
        &self,
        fetch_offset: i64,
        last_fetched_epoch: i32,
    ) -> Result<Option<PartitionRead>, ErrorCode> {
        let offsets = self
            .log()
            .fetch_offset_snapshot()
            .map_err(|error| error.code())?;
        let Some((epoch, end_offset)) = self.log().end_offset_for_epoch(last_fetched_epoch) else {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        };
        if fetch_offset < offsets.log_start_offset {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        if epoch >= last_fetched_epoch && end_offset >= fetch_offset {
            return Ok(None);
        }
        Ok(Some(PartitionRead {
            partition: FetchedPartition {
                high_watermark: offsets.high_watermark.message_offset,
                last_stable_offset: offsets.last_stable_offset.message_offset,
                log_start_offset: offsets.log_start_offset,
                diverging_epoch: Some((epoch, end_offset)),
                ..FetchedPartition::default()
            },
            fetch_offset: LogOffsetMetadata::offset_only(fetch_offset),
            log_end_offset: offsets.log_end_offset.message_offset,
        }))
    }

    /// Whether an append with acks=all is decided; see [`PartitionState::acks_all_outcome`]. One whose
    /// log directory fails before is `KAFKA_STORAGE_ERROR`.
    pub fn acks_all_outcome(
        &self,
        required_offset: i64,
        leading_since_epoch: i32,
    ) -> Option<ErrorCode> {
        let min_isr = min_insync_replicas(&self.log().config());
        let high_watermark = self.log().high_watermark();
        let outcome = self.state.read().acks_all_outcome(
            required_offset,
            leading_since_epoch,
            high_watermark,
            min_isr,
        );
        let is_lost = outcome.is_none() && self.log().dir().is_offline();
        outcome.or(is_lost.then_some(ErrorCode::KAFKA_STORAGE_ERROR))
    }

    /// The lowest log start offset of the live replicas.
    ///
    /// # Errors
    /// `NOT_LEADER_OR_FOLLOWER`.
    pub fn low_watermark(&self, is_alive: impl Fn(i32) -> bool) -> Result<i64, ErrorCode> {
        let state = self.state.read();
        state.check_access(None, true)?;
        let low = state.low_watermark(self.log().log_start_offset(), is_alive);
        let future = self.future.load();
        Ok(future
            .as_ref()
            .map_or(low, |log| low.min(log.log_start_offset())))
    }

    /// A look at the replication state, for callers that need several facts of one moment.
    pub fn with_state<R>(&self, look: impl FnOnce(&PartitionState) -> R) -> R {
        look(&self.state.read())
    }

    /// Wakes the requests that wait for this partition and can be answered now.
    pub fn check_waiters(&self) {
        self.waiters.check();
    }
}

fn min_insync_replicas(config: &LogConfig) -> usize {
    usize::try_from(config.min_insync_replicas).unwrap_or(1)
}
