//! The log of one partition: Kafka's segments, indexes, producer state and leader epochs on disk.
//!
//! Owns: a partition folder and all files in it. Who may lead, who has replicated what and where the high
//! watermark should be is decided elsewhere (replica, raft); this module only keeps the numbers.
//!
//! Invariants:
//! - One writer at a time (`writer`, held across the write to the file); readers never wait for it. They
//!   take a snapshot of the offsets (a lock held for a copy) and of the segment list, then read files.
//! - `log_start_offset <= high_watermark <= log_end_offset`; what readers see is below the published end.
//! - A batch is appended whole or not at all: a failed write is rolled back by length, and if that fails
//!   too, the folder goes out of service.
//! - Files hold exactly what is valid: no preallocation, no mapping.
//!
//! Map: [`config`] settings; `append` validation and writing; `read` fetches and look-ups; `maintain`
//! flush, roll, retention, truncation; `loader` opening and recovery; `segment`, `segments`,
//! `offset_index`, `time_index`, `transaction_index`, `file_records` files; `producer_state`,
//! `producer_snapshot`, `leader_epoch_cache` what is remembered beside the data; [`manager`] all logs of
//! a broker; [`checkpoint`], [`meta_properties`], `partition_metadata`, `clean_shutdown` small files;
//! [`fsx`] durable file operations.
//!
//! Kafka: `UnifiedLog`, `LocalLog`, `LogSegment`, `LogLoader`, `LogManager` (4.3).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use bytes::Bytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::record::compression::Compression;
use kafka_shared::time::Clock;
use kafka_shared::types::{TopicPartition, Uuid};
use parking_lot::{Mutex, RwLock};

mod append;
pub mod checkpoint;
mod clean_shutdown;
pub mod config;
pub mod dir;
pub mod error;
mod file_records;
pub mod fsx;
pub(crate) mod leader_epoch_cache;
mod loader;
mod maintain;
pub mod manager;
pub mod meta_properties;
pub mod names;
mod offset_index;
pub mod partition_metadata;
mod producer_snapshot;
mod producer_state;
mod read;
mod recovery;
mod resent;
mod retention;
mod segment;
mod segments;
mod time_index;
mod transaction_index;
mod validator;

pub use config::{CompressionPolicy, LogConfig};
pub use dir::{DeletionQueue, DirLock, LogDir};
pub use error::{LogError, RecordError};
pub use file_records::FileSlice;
pub use leader_epoch_cache::EpochEntry;
pub use producer_state::{BatchMetadata, ProducerStateEntry};
pub use transaction_index::AbortedTransaction;

use leader_epoch_cache::LeaderEpochs;
use producer_snapshot::Snapshots;
use producer_state::ProducerStates;
use segment::{PartitionDir, SegmentWriter};
use segments::Segments;

/// Where an append comes from; decides what is checked and what is assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// Copied from the leader: offsets and epochs are set.
    Replication,
    /// Written by a coordinator of this broker (groups, transactions, markers).
    Coordinator,
    /// From a producer: everything is checked.
    Client,
    /// From the Raft leader of this node: offsets and epochs are set.
    RaftLeader,
}

/// Up to where a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchIsolation {
    /// Everything (followers).
    LogEnd,
    /// What is replicated.
    HighWatermark,
    /// What is replicated and not part of an undecided transaction.
    TxnCommitted,
}

/// Ties a transactional append to the check of its transaction with the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationGuard(u64);

impl VerificationGuard {
    /// No verification took place or is needed.
    pub const SENTINEL: VerificationGuard = VerificationGuard(0);
}

/// What a transactional append or a marker carries beside its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendContext {
    pub verification_guard: VerificationGuard,
    /// The transaction version of a WriteTxnMarkers request; none elsewhere.
    pub transaction_version: Option<i16>,
}

impl Default for AppendContext {
    fn default() -> Self {
        Self {
            verification_guard: VerificationGuard::SENTINEL,
            transaction_version: None,
        }
    }
}

/// An offset and where it lies in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOffsetMetadata {
    pub message_offset: i64,
    /// Base offset of its segment, -1 when not known.
    pub segment_base_offset: i64,
    /// Byte position in that segment, -1 when not known.
    pub relative_position: i64,
}

impl LogOffsetMetadata {
    /// An offset whose place is not known.
    pub const fn offset_only(message_offset: i64) -> Self {
        Self {
            message_offset,
            segment_base_offset: -1,
            relative_position: -1,
        }
    }

    /// Whether the place is not known.
    pub fn is_offset_only(&self) -> bool {
        self.segment_base_offset < 0
    }

    /// Whether this offset lies in an older segment than `other`. False when either place is unknown.
    pub fn on_older_segment(&self, other: &Self) -> bool {
        !self.is_offset_only()
            && !other.is_offset_only()
            && self.segment_base_offset < other.segment_base_offset
    }

    /// Whether both lie in the same segment. False when either place is unknown.
    pub fn on_same_segment(&self, other: &Self) -> bool {
        !self.is_offset_only() && self.segment_base_offset == other.segment_base_offset
    }

    /// Bytes from `other` to this one; both have to lie in the same segment, else 0.
    pub fn position_diff(&self, other: &Self) -> i64 {
        if self.on_same_segment(other) {
            self.relative_position - other.relative_position
        } else {
            0
        }
    }
}

/// The offsets of a log at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOffsetSnapshot {
    pub log_start_offset: i64,
    /// Exclusive.
    pub log_end_offset: LogOffsetMetadata,
    /// Exclusive.
    pub high_watermark: LogOffsetMetadata,
    /// Exclusive.
    pub last_stable_offset: LogOffsetMetadata,
}

/// The outcome of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendInfo {
    /// Offset of the first record, -1 when nothing was appended.
    pub first_offset: i64,
    /// Offset of the last record (inclusive), -1 when nothing was appended.
    pub last_offset: i64,
    /// Leader epoch of the last batch; none when the batches carry none.
    pub last_leader_epoch: Option<i32>,
    pub max_timestamp: i64,
    /// The broker's time when the topic uses LogAppendTime, else -1. For a duplicate: the timestamp of the
    /// batch that was appended first.
    pub log_append_time: i64,
    pub log_start_offset: i64,
    /// Codec that the producer used.
    pub source_compression: Compression,
    /// Bytes of whole batches in the request.
    pub valid_bytes: usize,
    /// The batch was in the log already; the offsets are those of the first append.
    pub is_duplicate: bool,
}

/// What a read gives.
#[derive(Debug, Clone)]
pub struct FetchData {
    /// Where the first returned batch starts (its offset is the asked one, its place that of the batch).
    pub fetch_offset: LogOffsetMetadata,
    /// Whole batches; `None` when there is nothing to return.
    pub records: Option<FileSlice>,
    /// The first batch is larger than the limit and was left out.
    pub first_entry_incomplete: bool,
    /// The aborted transactions within the returned range, for [`FetchIsolation::TxnCommitted`] only.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    pub log_start_offset: i64,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_end_offset: i64,
}

impl FetchData {
    /// Bytes of the returned batches.
    pub fn len(&self) -> usize {
        self.records.as_ref().map_or(0, |slice| slice.len)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the returned batches into memory.
    pub fn read(&self) -> std::io::Result<Bytes> {
        self.records
            .as_ref()
            .map_or_else(|| Ok(Bytes::new()), FileSlice::read)
    }
}

/// An answer of ListOffsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampAndOffset {
    /// -1 where the question was not about a timestamp.
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: Option<i32>,
}

/// Special timestamps of ListOffsets.
pub mod timestamps {
    pub const LATEST: i64 = -1;
    pub const EARLIEST: i64 = -2;
    pub const MAX: i64 = -3;
    pub const EARLIEST_LOCAL: i64 = -4;
    pub const LATEST_TIERED: i64 = -5;
    pub const EARLIEST_PENDING_UPLOAD: i64 = -6;
}

/// What all logs of one folder share.
#[derive(Debug)]
pub struct LogContext {
    pub clock: Arc<dyn Clock>,
    pub dir: Arc<LogDir>,
    pub deletions: DeletionQueue,
    /// `producer.id.expiration.ms`; may change while running.
    pub producer_id_expiration_ms: std::sync::atomic::AtomicI64,
    /// `transaction.partition.verification.enable`; may change while running.
    pub transaction_verification_enable: AtomicBool,
}

impl LogContext {
    /// A context with Kafka's defaults.
    pub fn new(clock: Arc<dyn Clock>, dir: Arc<LogDir>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            dir,
            deletions: DeletionQueue::default(),
            producer_id_expiration_ms: 86_400_000.into(),
            transaction_verification_enable: true.into(),
        })
    }
}

/// How to open a partition folder.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogOpenOptions {
    /// The topic id to record when the folder has none yet; has to agree with it otherwise.
    pub topic_id: Option<Uuid>,
    /// From the log start checkpoint, 0 without one.
    pub log_start_offset: i64,
    /// From the recovery point checkpoint, 0 without one. Everything below is known to be on disk.
    pub recovery_point: i64,
    /// The last shutdown was clean: nothing is re-read.
    pub clean: bool,
}

/// The numbers of a log. Copied out under a lock that is never held across I/O.
#[derive(Debug, Clone, Copy)]
struct Offsets {
    log_start_offset: i64,
    log_end: LogOffsetMetadata,
    high_watermark: LogOffsetMetadata,
    first_unstable: Option<LogOffsetMetadata>,
    /// Everything below is on disk.
    recovery_point: i64,
    /// Rolled segments below this offset wait for a flush.
    flush_requested: i64,
    /// Counts truncations, so that a flush that ran beside one does not claim too much.
    truncations: u64,
    last_flush_ms: i64,
}

impl Offsets {
    fn last_stable_offset(&self) -> LogOffsetMetadata {
        match self.first_unstable {
            Some(offset) if offset.message_offset < self.high_watermark.message_offset => offset,
            _ => self.high_watermark,
        }
    }
}

/// Producer state with its snapshot files.
#[derive(Debug, Default)]
struct Producers {
    states: ProducerStates,
    snapshots: Snapshots,
}

impl Producers {
    fn prepare_snapshot(&self) -> Option<(i64, Vec<u8>)> {
        self.snapshots.prepare(&self.states)
    }

    fn take_snapshot(&mut self, dir: &Path) -> std::io::Result<()> {
        self.snapshots.take(dir, &self.states, false)
    }
}

/// What only the writer touches.
#[derive(Debug, Default)]
struct Writer {
    /// Open files of the active segment; opened by the first append, so that idle partitions cost none.
    active: Option<SegmentWriter>,
    /// Closed, deleted, or its folder handed over.
    closed: bool,
}

/// The log of one partition. Shared; all methods take `&self`.
///
/// Locks, in the order in which they may be taken: `writer`, `producers`, `offsets`.
#[derive(Debug)]
pub struct Log {
    topic_partition: TopicPartition,
    context: Arc<LogContext>,
    folder: Arc<PartitionDir>,
    topic_id: RwLock<TopicId>,
    config: ArcSwap<LogConfig>,
    segments: ArcSwap<Segments>,
    offsets: RwLock<Offsets>,
    epochs: LeaderEpochs,
    producers: Mutex<Producers>,
    writer: Mutex<Writer>,
    /// The partition is being deleted or set aside: its folder may move or vanish under whoever still holds
    /// the log, which is no fault of the disk.
    retired: AtomicBool,
}

/// The topic id and whether it still has to be written to `partition.metadata`.
#[derive(Debug, Clone, Copy, Default)]
struct TopicId {
    id: Option<Uuid>,
    dirty: bool,
}

impl Log {
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    pub fn topic_id(&self) -> Option<Uuid> {
        self.topic_id.read().id
    }

    /// The partition folder; changes when it is renamed for deletion.
    pub fn path(&self) -> Arc<PathBuf> {
        self.folder.path()
    }

    /// Whether it is a copy that is to replace the partition's log in another folder of `log.dirs`.
    pub fn is_future(&self) -> bool {
        let path = self.folder.path();
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.ends_with(names::FUTURE_DIR))
    }

    /// The folder of `log.dirs` that holds it.
    pub fn dir(&self) -> &Arc<LogDir> {
        &self.context.dir
    }

    pub fn config(&self) -> Arc<LogConfig> {
        self.config.load_full()
    }

    /// Takes effect with the next operation.
    pub fn update_config(&self, config: Arc<LogConfig>) {
        self.config.store(config);
    }

    /// First offset that readers may ask for.
    pub fn log_start_offset(&self) -> i64 {
        self.offsets.read().log_start_offset
    }

    /// Offset that the next record gets.
    pub fn log_end_offset(&self) -> i64 {
        self.offsets.read().log_end.message_offset
    }

    pub fn log_end_offset_metadata(&self) -> LogOffsetMetadata {
        self.offsets.read().log_end
    }

    /// First offset that is not known to be replicated.
    pub fn high_watermark(&self) -> i64 {
        self.offsets.read().high_watermark.message_offset
    }

    /// First offset that readers of committed records may not see.
    pub fn last_stable_offset(&self) -> i64 {
        self.offsets.read().last_stable_offset().message_offset
    }

    /// Everything below is known to be on disk.
    pub fn recovery_point(&self) -> i64 {
        self.offsets.read().recovery_point
    }

    /// When the log was last flushed, or opened (wall clock, ms).
    pub fn last_flush_ms(&self) -> i64 {
        self.offsets.read().last_flush_ms
    }

    pub fn is_empty(&self) -> bool {
        let offsets = self.offsets.read();
        offsets.log_start_offset == offsets.log_end.message_offset
    }

    /// Bytes of all segments, without indexes.
    pub fn size(&self) -> u64 {
        self.segments
            .load()
            .iter()
            .map(|segment| segment.size())
            .sum()
    }

    pub fn number_of_segments(&self) -> usize {
        self.segments.load().len()
    }

    /// Base offset of the segment that is written to.
    pub fn active_segment_base_offset(&self) -> i64 {
        self.segments.load().last().base_offset()
    }

    /// Base offset of the oldest segment.
    pub fn first_segment_base_offset(&self) -> i64 {
        self.segments.load().first().base_offset()
    }

    /// The epoch of the last leader that is known to have started here.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs.latest().map(|entry| entry.epoch)
    }

    /// All leader epochs with the offset at which each started, ascending.
    pub fn epoch_entries(&self) -> Vec<EpochEntry> {
        self.epochs.entries()
    }

    /// The epoch of the record at `offset`, if the log knows.
    pub fn epoch_for_offset(&self, offset: i64) -> Option<i32> {
        self.epochs.epoch_for_offset(offset)
    }

    /// Where a leader epoch ended: (the largest known epoch at or below `leader_epoch`, its end offset,
    /// exclusive). `None` when this log cannot tell. Answers OffsetForLeaderEpoch.
    pub fn end_offset_for_epoch(&self, leader_epoch: i32) -> Option<(i32, i64)> {
        self.epochs
            .end_offset_for(leader_epoch, self.log_end_offset())
    }

    /// Takes note that `leader_epoch` starts at `start_offset`. Written to disk before the next append.
    pub fn assign_epoch_start_offset(&self, leader_epoch: i32, start_offset: i64) {
        self.epochs.assign(leader_epoch, start_offset);
    }

    /// Records the topic id; written to `partition.metadata` before the first append.
    ///
    /// # Errors
    /// INCONSISTENT_TOPIC_ID when the log belongs to another topic of that name.
    pub fn assign_topic_id(&self, topic_id: Uuid) -> Result<(), LogError> {
        let mut current = self.topic_id.write();
        match current.id {
            Some(id) if id != topic_id => Err(LogError::rejected(
                ErrorCode::INCONSISTENT_TOPIC_ID,
                format!(
                    "log {} belongs to topic id {id}, not {topic_id}",
                    self.topic_partition
                ),
            )),
            Some(_) => Ok(()),
            None => {
                *current = TopicId {
                    id: Some(topic_id),
                    dirty: true,
                };
                Ok(())
            }
        }
    }

    /// What is known of the producers, for DescribeProducers.
    pub fn active_producers(&self) -> Vec<ProducerStateEntry> {
        self.producers.lock().states.iter().copied().collect()
    }

    /// Forgets producers that were silent for `producer.id.expiration.ms`.
    pub fn remove_expired_producers(&self, now_ms: i64) {
        let expiration = self
            .context
            .producer_id_expiration_ms
            .load(std::sync::atomic::Ordering::Relaxed);
        self.producers
            .lock()
            .states
            .remove_expired(now_ms, expiration);
    }

    /// Whether the producer has a transaction open here in this epoch.
    pub fn has_ongoing_transaction(&self, producer_id: i64, producer_epoch: i16) -> bool {
        self.producers
            .lock()
            .states
            .has_ongoing_transaction(producer_id, producer_epoch)
    }

    /// Before a transactional append: the guard that the append has to carry once the coordinator has
    /// confirmed the transaction. [`VerificationGuard::SENTINEL`] means that no check is needed.
    ///
    /// # Errors
    /// INVALID_PRODUCER_EPOCH when a newer epoch was seen.
    pub fn maybe_start_transaction_verification(
        &self,
        producer_id: i64,
        sequence: i32,
        producer_epoch: i16,
        supports_epoch_bump: bool,
    ) -> Result<VerificationGuard, LogError> {
        let now_ms = self.context.clock.wall_ms();
        self.producers.lock().states.start_verification(
            producer_id,
            sequence,
            producer_epoch,
            supports_epoch_bump,
            now_ms,
        )
    }
}

#[cfg(test)]
mod tests;
