//! What the driver needs of the metadata log on disk.
//!
//! Kafka: `raft/RaftLog.java` (4.3).

use bytes::Bytes;

use super::rpc::LogEnd;

/// The log can't be used any more; for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// The metadata log of one node. Calls block on the disk; readers don't wait for the appender.
pub trait LogStore: Send + Sync + 'static {
    /// The first offset that is kept.
    fn start_offset(&self) -> i64;

    /// The end of the log.
    fn end(&self) -> LogEnd;

    /// The epochs of the log with their first offsets, both ascending.
    fn epochs(&self) -> Vec<(i32, i64)>;

    /// Appends one batch, which carries the end offset as its base offset and its leader epoch.
    ///
    /// # Errors
    /// After an error the log can't be used any more.
    fn append(&self, batch: &Bytes) -> Result<(), StoreError>;

    /// Appends whole batches of another leader as they are: the first one begins at the end offset.
    ///
    /// # Errors
    /// After an error the log can't be used any more.
    fn append_fetched(&self, batches: &Bytes) -> Result<(), StoreError>;

    /// An epoch begins at this offset, though nothing of it is in the log yet.
    fn begin_epoch(&self, epoch: i32, start_offset: i64);

    /// Cuts the log off at this offset (exclusive), which is the beginning of a batch or the end.
    ///
    /// # Errors
    /// After an error the log can't be used any more.
    fn truncate(&self, end_offset: i64) -> Result<(), StoreError>;

    /// Drops all of the log; it goes on, empty, at this offset. Durable when it returns.
    ///
    /// # Errors
    /// After an error the log can't be used any more.
    fn restart_at(&self, offset: i64) -> Result<(), StoreError>;

    /// Makes all that was appended durable.
    ///
    /// # Errors
    /// After an error the log can't be used any more.
    fn flush(&self) -> Result<(), StoreError>;

    /// Reads whole batches: from the one with offset `from` on, none that reaches beyond `to`
    /// (exclusive), at least one if there is one, and about `max_bytes` at most.
    ///
    /// # Errors
    /// If `from` is not in the log or the file can't be read.
    fn read(&self, from: i64, to: i64, max_bytes: usize) -> Result<Bytes, StoreError>;

    /// Lets go of segments that lie wholly below this offset, which becomes the start.
    ///
    /// # Errors
    /// If files can't be removed.
    fn advance_start_offset(&self, offset: i64) -> Result<(), StoreError>;

    /// Notes how far the log is committed.
    fn set_high_watermark(&self, offset: i64);

    /// Bytes on disk.
    fn size_in_bytes(&self) -> u64;

    /// Closes the log cleanly.
    ///
    /// # Errors
    /// If something can't be written.
    fn close(&self) -> Result<(), StoreError>;
}

#[cfg(test)]
pub(crate) mod memory {
    //! A log in memory that can lose what was not flushed.

    use kafka_shared::record::batch::{BatchHeader, batches};
    use parking_lot::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Inner {
        batches: Vec<Bytes>,
        flushed: usize,
        start_offset: i64,
        fail_flush: bool,
        epochs: Vec<(i32, i64)>,
    }

    impl Inner {
        fn begin_epoch(&mut self, epoch: i32, start_offset: i64) {
            if self.epochs.last().is_none_or(|(last, _)| *last < epoch) {
                self.epochs.push((epoch, start_offset));
            }
        }
    }

    /// See the module.
    #[derive(Debug, Default)]
    pub(crate) struct MemoryLog(Mutex<Inner>);

    impl MemoryLog {
        /// The log as a new process finds it after a crash.
        pub(crate) fn crash(&self) -> Self {
            let inner = self.0.lock();
            let batches = inner.batches[..inner.flushed].to_vec();
            let flushed = batches.len();
            let start_offset = inner.start_offset;
            let mut after = Inner {
                batches,
                flushed,
                start_offset,
                ..Inner::default()
            };
            for batch in &inner.batches[..flushed] {
                let header = header(batch);
                after.begin_epoch(header.partition_leader_epoch, header.base_offset);
            }
            Self(Mutex::new(after))
        }

        /// From now on nothing is flushed any more.
        pub(crate) fn fail_flush(&self) {
            self.0.lock().fail_flush = true;
        }
    }

    fn header(batch: &Bytes) -> BatchHeader {
        BatchHeader::parse(batch).unwrap()
    }

    impl LogStore for MemoryLog {
        fn start_offset(&self) -> i64 {
            self.0.lock().start_offset
        }

        fn end(&self) -> LogEnd {
            let inner = self.0.lock();
            inner.batches.last().map_or(
                LogEnd {
                    end_offset: inner.start_offset,
                    last_epoch: 0,
                },
                |batch| {
                    let header = header(batch);
                    LogEnd {
                        end_offset: header.next_offset(),
                        last_epoch: header.partition_leader_epoch,
                    }
                },
            )
        }

        fn append(&self, batch: &Bytes) -> Result<(), StoreError> {
            let end = self.end();
            assert_eq!(batches(batch).count(), 1);
            assert_eq!(header(batch).base_offset, end.end_offset);
            assert!(header(batch).partition_leader_epoch >= end.last_epoch);
            let mut inner = self.0.lock();
            inner.begin_epoch(header(batch).partition_leader_epoch, end.end_offset);
            inner.batches.push(batch.clone());
            Ok(())
        }

        fn append_fetched(&self, bytes: &Bytes) -> Result<(), StoreError> {
            for batch in batches(bytes) {
                let batch = bytes.slice_ref(batch.unwrap().bytes());
                self.append(&batch)?;
            }
            Ok(())
        }

        fn epochs(&self) -> Vec<(i32, i64)> {
            self.0.lock().epochs.clone()
        }

        fn begin_epoch(&self, epoch: i32, start_offset: i64) {
            self.0.lock().begin_epoch(epoch, start_offset);
        }

        fn truncate(&self, end_offset: i64) -> Result<(), StoreError> {
            let mut inner = self.0.lock();
            inner
                .batches
                .retain(|batch| header(batch).next_offset() <= end_offset);
            inner.flushed = inner.flushed.min(inner.batches.len());
            inner.epochs.retain(|(_, start)| *start < end_offset);
            Ok(())
        }

        fn restart_at(&self, offset: i64) -> Result<(), StoreError> {
            let mut inner = self.0.lock();
            *inner = Inner {
                start_offset: offset,
                fail_flush: inner.fail_flush,
                ..Inner::default()
            };
            Ok(())
        }

        fn flush(&self) -> Result<(), StoreError> {
            let mut inner = self.0.lock();
            if inner.fail_flush {
                return Err(StoreError("no space left".into()));
            }
            inner.flushed = inner.batches.len();
            Ok(())
        }

        fn read(&self, from: i64, to: i64, max_bytes: usize) -> Result<Bytes, StoreError> {
            let inner = self.0.lock();
            let mut out = Vec::new();
            for batch in &inner.batches {
                let header = header(batch);
                let is_wanted = header.next_offset() > from && header.next_offset() <= to;
                if is_wanted && (out.is_empty() || out.len() < max_bytes) {
                    out.extend_from_slice(batch);
                }
            }
            Ok(out.into())
        }

        fn advance_start_offset(&self, offset: i64) -> Result<(), StoreError> {
            let mut inner = self.0.lock();
            inner.start_offset = offset;
            let before = inner.batches.len();
            inner
                .batches
                .retain(|batch| header(batch).next_offset() > offset);
            inner.flushed -= (before - inner.batches.len()).min(inner.flushed);
            Ok(())
        }

        fn set_high_watermark(&self, _offset: i64) {}

        fn size_in_bytes(&self) -> u64 {
            self.0
                .lock()
                .batches
                .iter()
                .map(|batch| batch.len() as u64)
                .sum()
        }

        fn close(&self) -> Result<(), StoreError> {
            self.flush()
        }
    }
}
