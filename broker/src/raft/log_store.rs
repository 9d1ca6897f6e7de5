//! The metadata log in Kafka's files: `__cluster_metadata-0` in the metadata log directory.
//!
//! Kafka: `raft/internals/KafkaRaftLog.java` (4.3).

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::types::{METADATA_TOPIC_ID, METADATA_TOPIC_NAME, TopicPartition};

use super::rpc::{LogEnd, SnapshotId};
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
    /// Opens the log, or makes an empty one. A log that the newest snapshot has outgrown starts again
    /// at its end: one that ends before it, and also a longer one whose last epoch is less. That
    /// one is left by a crash while a snapshot of another leader was being installed; what it holds
    /// beyond the snapshot was never committed.
    ///
    /// # Errors
    /// If files can't be read or written.
    pub fn open(
        context: Arc<LogContext>,
        config: MetadataLogConfig,
        snapshot: Option<SnapshotId>,
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
        let store = Self { log };
        if let Some(id) = snapshot {
            let end = store.end();
            if (id.epoch, id.end_offset) > (end.last_epoch, end.end_offset) {
                store.restart_at(id.end_offset)?;
            }
        }
        Ok(store)
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

#[cfg(test)]
mod tests {
    use kafka_shared::record::builder::BatchBuilder;
    use kafka_shared::time::SystemClock;

    use super::*;
    use crate::log::LogDir;

    fn open(dir: &Path, snapshot: Option<(i32, i64)>) -> DiskLog {
        let context = LogContext::new(Arc::new(SystemClock::new()), LogDir::new(dir));
        let id = |(epoch, end_offset)| SnapshotId { epoch, end_offset };
        DiskLog::open(context, MetadataLogConfig::default(), snapshot.map(id)).unwrap()
    }

    fn batch(base_offset: i64, epoch: i32, records: i64) -> Bytes {
        let mut batch = BatchBuilder::new()
            .with_base_offset(base_offset)
            .with_leader_epoch(epoch);
        for _ in 0..records {
            batch.append(0, None, Some(b"value"), &[]).unwrap();
        }
        batch.build()
    }

    fn end(log: &DiskLog) -> (i64, i64, i32) {
        let LogEnd {
            end_offset,
            last_epoch,
        } = log.end();
        (log.start_offset(), end_offset, last_epoch)
    }

    #[test]
    fn a_log_that_a_snapshot_has_outgrown_starts_again_at_its_end() {
        for (snapshot, expected) in [
            (None, (0, 10, 2)),
            // The log goes on beyond it.
            (Some((1, 4)), (0, 10, 2)),
            (Some((2, 10)), (0, 10, 2)),
            (Some((2, 12)), (12, 12, 0)),
            // Of another leader, which has never had the rest.
            (Some((3, 7)), (7, 7, 0)),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let log = open(dir.path(), None);
            log.append(&batch(0, 1, 4)).unwrap();
            log.append(&batch(4, 2, 6)).unwrap();
            log.close().unwrap();
            let log = open(dir.path(), snapshot);
            assert_eq!(end(&log), expected, "{snapshot:?}");
            log.close().unwrap();
            assert_eq!(end(&open(dir.path(), snapshot)), expected, "{snapshot:?}");
        }
    }

    #[test]
    fn a_tail_that_was_torn_anywhere_is_gone_and_the_log_goes_on_before_it() {
        let last = batch(4, 2, 3);
        for kept in 0..last.len() {
            let dir = tempfile::tempdir().unwrap();
            let log = open(dir.path(), None);
            log.append(&batch(0, 1, 4)).unwrap();
            log.flush().unwrap();
            log.append(&last).unwrap();
            drop(log);
            let path = metadata_dir(dir.path()).join("00000000000000000000.log");
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len((batch(0, 1, 4).len() + kept) as u64).unwrap();
            let log = open(dir.path(), None);
            assert_eq!(
                (end(&log), log.epochs()),
                ((0, 4, 1), vec![(1, 0)]),
                "{kept} bytes"
            );
            log.append(&batch(4, 3, 2)).unwrap();
            log.flush().unwrap();
            drop(log);
            let log = open(dir.path(), None);
            assert_eq!((end(&log), log.epochs()), ((0, 6, 3), vec![(1, 0), (3, 4)]));
        }
    }

    #[test]
    fn what_is_cut_off_is_gone_with_its_epochs_and_other_batches_follow() {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), None);
        log.append(&batch(0, 1, 4)).unwrap();
        log.append(&batch(4, 2, 6)).unwrap();
        log.begin_epoch(3, 10);
        assert_eq!(log.epochs(), [(1, 0), (2, 4), (3, 10)]);
        // An epoch of which nothing is in the log goes too.
        log.truncate(10).unwrap();
        assert_eq!(log.epochs(), [(1, 0), (2, 4)]);
        log.truncate(4).unwrap();
        assert_eq!((end(&log), log.epochs()), ((0, 4, 1), vec![(1, 0)]));
        let fetched = [batch(4, 5, 2), batch(6, 5, 1), batch(7, 6, 3)].concat();
        log.append_fetched(&fetched.clone().into()).unwrap();
        log.flush().unwrap();
        assert_eq!(end(&log), (0, 10, 6));
        log.close().unwrap();
        let log = open(dir.path(), None);
        assert_eq!(log.epochs(), [(1, 0), (5, 4), (6, 7)]);
        assert_eq!(log.read(4, 10, 1_000_000).unwrap()[..], fetched[..]);
        // Never beyond the bound, and whole batches only.
        assert_eq!(
            log.read(4, 7, 1_000_000).unwrap().len(),
            fetched.len() - batch(7, 6, 3).len()
        );
        log.restart_at(20).unwrap();
        assert_eq!((end(&log), log.epochs()), ((20, 20, 0), vec![]));
        log.append_fetched(&batch(20, 7, 1)).unwrap();
        assert_eq!(end(&log), (20, 21, 7));
    }
}
