//! The metadata log in Kafka's files: `__cluster_metadata-0` in the metadata log directory.
//!
//! Kafka: `raft/internals/KafkaRaftLog.java` (4.3).

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::types::{METADATA_TOPIC_ID, METADATA_TOPIC_NAME, TopicPartition};

use super::rpc::LogEnd;
use super::store::{LogStore, StoreError};
use crate::log::{
    AppendOrigin, EpochEntry, FetchIsolation, Log, LogConfig, LogContext, LogError, LogOpenOptions,
    fsx,
};

/// Settings of the metadata log's files.
#[derive(Debug, Clone, Copy)]
pub struct MetadataLogConfig {
    /// `metadata.log.segment.bytes`.
    pub segment_bytes: i32,
    /// `metadata.log.segment.ms`.
    pub segment_ms: i64,
}

impl Default for MetadataLogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1024 * 1024 * 1024,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
        }
    }
}

/// The metadata log on disk.
#[derive(Debug)]
pub struct DiskLog {
    log: Arc<Log>,
}

/// The folder of the metadata log in a log directory.
pub fn metadata_dir(log_dir: &Path) -> std::path::PathBuf {
    log_dir.join(format!("{METADATA_TOPIC_NAME}-0"))
}

fn store_error(error: LogError) -> StoreError {
    StoreError(error.to_string())
}

impl DiskLog {
    /// Opens the log, or makes an empty one. `snapshot_end_offset` is that of the newest snapshot:
    /// a log that ends before it is of no use and starts again there.
    ///
    /// # Errors
    /// If files can't be read or written.
    pub fn open(
        context: Arc<LogContext>,
        config: MetadataLogConfig,
        snapshot_end_offset: i64,
    ) -> Result<Self, StoreError> {
        // What lies below the log start goes; nothing else ever does.
        let config = LogConfig {
            segment_bytes: config.segment_bytes,
            segment_ms: config.segment_ms,
            retention_bytes: -1,
            retention_ms: -1,
            max_message_bytes: i32::MAX,
            ..LogConfig::default()
        };
        // There is no checkpoint for this log: Kafka reads all of it again at each start.
        let options = LogOpenOptions {
            topic_id: Some(METADATA_TOPIC_ID),
            log_start_offset: 0,
            recovery_point: 0,
            clean: false,
        };
        let tp = TopicPartition::new(METADATA_TOPIC_NAME, 0);
        let path = metadata_dir(context.dir.path());
        let log = Log::open(path, tp, Arc::new(config), context, options).map_err(store_error)?;
        if log.log_end_offset() < snapshot_end_offset {
            log.truncate_fully_and_start_at(snapshot_end_offset, None)
                .map_err(store_error)?;
        }
        Ok(Self { log })
    }
}

impl LogStore for DiskLog {
    fn start_offset(&self) -> i64 {
        self.log.log_start_offset()
    }

    fn end(&self) -> LogEnd {
        let last_epoch = self.log.latest_epoch().unwrap_or(0);
        LogEnd {
            end_offset: self.log.log_end_offset(),
            last_epoch,
        }
    }

    fn append(&self, batch: &Bytes) -> Result<(), StoreError> {
        let epoch = kafka_shared::record::batch::BatchHeader::parse(batch)
            .map_err(|error| StoreError(error.to_string()))?
            .partition_leader_epoch;
        self.log
            .append_as_leader(batch, epoch, AppendOrigin::RaftLeader)
            .map(|_| ())
            .map_err(store_error)
    }

    fn epochs(&self) -> Vec<(i32, i64)> {
        let entries = self.log.epoch_entries();
        let entry = |entry: &EpochEntry| (entry.epoch, entry.start_offset);
        entries.iter().map(entry).collect()
    }

    fn append_fetched(&self, batches: &Bytes) -> Result<(), StoreError> {
        // The epochs were checked when the batches came.
        self.log
            .append_as_follower(batches, i32::MAX)
            .map(|_| ())
            .map_err(store_error)
    }

    fn begin_epoch(&self, epoch: i32, start_offset: i64) {
        self.log.assign_epoch_start_offset(epoch, start_offset);
    }

    fn truncate(&self, end_offset: i64) -> Result<(), StoreError> {
        self.log.truncate_to(end_offset).map_err(store_error)?;
        Ok(())
    }

    fn restart_at(&self, offset: i64) -> Result<(), StoreError> {
        self.log
            .truncate_fully_and_start_at(offset, None)
            .map_err(store_error)?;
        // Segments that came back after a crash would lie before a gap.
        fsx::fsync_dir(&self.log.path()).map_err(|error| StoreError(error.to_string()))
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.log.flush(false).map_err(store_error)
    }

    fn read(&self, from: i64, to: i64, max_bytes: usize) -> Result<Bytes, StoreError> {
        let data = self
            .log
            .read(from, max_bytes, FetchIsolation::LogEnd, true)
            .map_err(store_error)?;
        let mut bytes = data.read().map_err(|error| StoreError(error.to_string()))?;
        let mut end = 0;
        for batch in kafka_shared::record::batch::batches(&bytes) {
            let batch = batch.map_err(|error| StoreError(error.to_string()))?;
            if batch.next_offset() > to {
                break;
            }
            end += batch.size_in_bytes();
        }
        bytes.truncate(end);
        Ok(bytes)
    }

    fn advance_start_offset(&self, offset: i64) -> Result<(), StoreError> {
        self.log
            .maybe_increment_log_start_offset(offset)
            .map_err(store_error)?;
        self.log.delete_old_segments().map_err(store_error)?;
        Ok(())
    }

    fn set_high_watermark(&self, offset: i64) {
        self.log.update_high_watermark(offset);
    }

    fn size_in_bytes(&self) -> u64 {
        self.log.size()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.log.close().map_err(store_error)
    }
}
