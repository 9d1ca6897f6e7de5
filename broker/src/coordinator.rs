//! The group coordinator: who is a member of which group, and what each group has consumed.
//!
//! Owns the partitions of `__consumer_offsets` that this broker leads. Every partition is one
//! [`group::GroupShard`], a state machine without I/O, clock or randomness; [`runtime`] gives it
//! requests, time and a log, and [`GroupCoordinator`] is what request handlers talk to.
//!
//! Invariants:
//! - what a shard answers as stored is below the high watermark of its partition;
//! - memory never runs ahead of the log: records are replayed only after they were appended, and a
//!   shard whose log can't be trusted is loaded again from the start;
//! - one task per shard; queues, parked answers and waits are bounded.
//!
//! It does not know about listeners, authorization or topics' metadata: `api/` checks these.
//!
//! Kafka: group-coordinator `GroupCoordinatorService`, coordinator-common `CoordinatorRuntime` (4.3).

pub mod group;
pub mod loader;
pub mod publisher;
pub mod runtime;
pub mod service;
pub mod timer;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use self::service::GroupCoordinator;

use bytes::{Bytes, BytesMut};
use kafka_shared::error::ApiError;
use kafka_shared::record::compression::Compression;
use kafka_shared::types::TopicPartition;
use tokio::sync::watch;

/// The internal topic that holds groups and committed offsets.
pub const GROUP_METADATA_TOPIC_NAME: &str = "__consumer_offsets";

/// Settings of the group coordinator; a field is the Kafka key of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCoordinatorConfig {
    /// `group.min.session.timeout.ms`.
    pub group_min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub group_max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub group_initial_rebalance_delay_ms: i32,
    /// `group.max.size`: members of one group.
    pub group_max_size: i32,
    /// `offset.metadata.max.bytes`: length of the text beside a committed offset.
    pub offset_metadata_max_bytes: i32,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    /// `offsets.commit.timeout.ms`: how long an answer waits until its records are committed.
    pub offsets_commit_timeout_ms: i32,
    /// `offsets.load.buffer.size`: bytes read at once while a partition is loaded.
    pub offsets_load_buffer_size: i32,
    /// `offsets.topic.compression.codec`: of the batches that are written.
    pub offsets_topic_compression: Compression,
    /// `offsets.topic.num.partitions`: used when the topic is created.
    pub offsets_topic_num_partitions: i32,
    /// `offsets.topic.replication.factor`: used when the topic is created.
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`: used when the topic is created.
    pub offsets_topic_segment_bytes: i32,
}

impl Default for GroupCoordinatorConfig {
    fn default() -> Self {
        Self {
            group_min_session_timeout_ms: 6_000,
            group_max_session_timeout_ms: 1_800_000,
            group_initial_rebalance_delay_ms: 3_000,
            group_max_size: i32::MAX,
            offset_metadata_max_bytes: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
            offsets_commit_timeout_ms: 5_000,
            offsets_load_buffer_size: 5 * 1024 * 1024,
            offsets_topic_compression: Compression::None,
            offsets_topic_num_partitions: 50,
            offsets_topic_replication_factor: 3,
            offsets_topic_segment_bytes: 100 * 1024 * 1024,
        }
    }
}

/// The part of a partition's log that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRange {
    /// The first offset that can be read, inclusive.
    pub log_start_offset: i64,
    /// The offset that the next record will get, exclusive end of the log.
    pub log_end_offset: i64,
}

/// How a coordinator reads and writes the partition that holds its state.
///
/// The replica manager implements it. All methods are for the leader of the partition and fail
/// with NOT_LEADER_OR_FOLLOWER elsewhere. None of them waits for other brokers.
pub trait PartitionWriter: Send + Sync + 'static {
    /// Appends one record batch (magic 2, base offset 0, one batch in `batch`) to the local log in
    /// the leader epoch `leader_epoch`, as with `acks=1` and the coordinator as origin. Returns the
    /// offset after its last record.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER when the epoch is over, NOT_ENOUGH_REPLICAS, MESSAGE_TOO_LARGE,
    /// KAFKA_STORAGE_ERROR and so on. Nothing was appended when it fails.
    fn append(
        &self,
        partition: &TopicPartition,
        leader_epoch: i32,
        batch: BytesMut,
    ) -> Result<i64, ApiError>;

    /// The high watermark (exclusive end of what is committed) and its changes. The sender goes
    /// away when this broker stops being the leader.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER.
    fn high_watermark(&self, partition: &TopicPartition) -> Result<watch::Receiver<i64>, ApiError>;

    /// What can be read of the partition, up to the end of the log (not the high watermark).
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR.
    fn log_range(&self, partition: &TopicPartition) -> Result<LogRange, ApiError>;

    /// Whole record batches from the one that holds `start_offset` on, up to the end of the log: at
    /// most `max_bytes`, but at least one batch. Empty at the end of the log. Blocks on the disk, so
    /// it is called from blocking threads only.
    ///
    /// # Errors
    /// OFFSET_OUT_OF_RANGE, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR.
    fn read(
        &self,
        partition: &TopicPartition,
        start_offset: i64,
        max_bytes: usize,
    ) -> Result<Bytes, ApiError>;

    /// The `max.message.bytes` of the partition: the largest batch that `append` takes.
    fn max_batch_bytes(&self, partition: &TopicPartition) -> usize;
}

/// The partition of `__consumer_offsets` that a group belongs to, of `partition_count`.
///
/// Kafka: `Utils.abs(groupId.hashCode) % n`, where the hash runs over UTF-16 units and the absolute
/// value of the smallest integer is 0.
pub fn partition_for(group_id: &str, partition_count: i32) -> i32 {
    let hash = group_id.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    hash.checked_abs().unwrap_or(0) % partition_count.max(1)
}
