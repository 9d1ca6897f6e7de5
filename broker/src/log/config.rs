//! The settings of one log, typed: Kafka's topic configuration as far as storage reads it.
//!
//! Names are Kafka's topic keys with dots turned into underscores; defaults are Kafka 4.3's.

use kafka_shared::record::TimestampType;
use kafka_shared::record::compression::Compression;

/// `compression.type` of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CompressionPolicy {
    /// Keep what the producer chose (`producer`).
    #[default]
    Producer,
    /// Recompress whatever arrives in another codec (`uncompressed` is [`Compression::None`]).
    Codec(Compression),
}

/// Settings of one log. `-1` means "no limit" where Kafka says so.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    pub segment_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub segment_index_bytes: i32,
    pub index_interval_bytes: i32,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub retention_bytes: i64,
    pub retention_ms: i64,
    pub max_message_bytes: i32,
    pub delete_retention_ms: i64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub file_delete_delay_ms: i64,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    pub min_insync_replicas: i32,
    pub unclean_leader_election_enable: bool,
    /// Accepted and without effect: files always hold exactly what was written.
    pub preallocate: bool,
    pub compression_type: CompressionPolicy,
    pub message_timestamp_type: TimestampType,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_after_max_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        const HOUR_MS: i64 = 60 * 60 * 1000;
        Self {
            segment_bytes: 1024 * 1024 * 1024,
            segment_ms: 7 * 24 * HOUR_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 * 1024 * 1024,
            index_interval_bytes: 4096,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            retention_bytes: -1,
            retention_ms: 7 * 24 * HOUR_MS,
            max_message_bytes: 1024 * 1024 + 12,
            delete_retention_ms: 24 * HOUR_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            file_delete_delay_ms: 60_000,
            compact: false,
            delete: true,
            min_insync_replicas: 1,
            unclean_leader_election_enable: false,
            preallocate: false,
            compression_type: CompressionPolicy::default(),
            message_timestamp_type: TimestampType::CreateTime,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_after_max_ms: HOUR_MS,
        }
    }
}

impl LogConfig {
    /// The age at which a segment rolls: a compacted topic must roll early enough for
    /// `max.compaction.lag.ms` to be kept.
    pub fn max_segment_ms(&self) -> i64 {
        if self.compact && self.max_compaction_lag_ms > 0 {
            self.max_compaction_lag_ms.min(self.segment_ms)
        } else {
            self.segment_ms
        }
    }

    /// Most entries an offset index may hold.
    pub(crate) fn max_offset_index_entries(&self) -> usize {
        usize::try_from(self.segment_index_bytes).unwrap_or(0) / super::offset_index::ENTRY_SIZE
    }

    /// Most entries a time index may hold.
    pub(crate) fn max_time_index_entries(&self) -> usize {
        usize::try_from(self.segment_index_bytes).unwrap_or(0) / super::time_index::ENTRY_SIZE
    }
}
