//! Questions about offsets, and the deletion of records below one.
//!
//! Kafka: `ReplicaManager.fetchOffset`, `Partition.fetchOffsetForTimestamp`, `deleteRecords` (4.3).

use std::sync::Arc;
use std::time::Duration;

use kafka_shared::error::ErrorCode;

use super::partition::Partition;
use super::{ReplicaManager, delayed};
use crate::log::{FetchIsolation, LogError, TimestampAndOffset, timestamps};

/// Who asks for an offset, which decides how far into the log they see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A client that sees committed records, or all that are replicated.
    Client(FetchIsolation),
    /// A follower, which sees the whole log.
    Follower,
    /// A tool that reads any replica as it is (replica id −2).
    Debugger,
}

impl Asker {
    fn isolation(self) -> FetchIsolation {
        match self {
            Self::Client(isolation) => isolation,
            Self::Follower | Self::Debugger => FetchIsolation::LogEnd,
        }
    }
}

impl Partition {
    /// The offset for a timestamp of ListOffsets, special ones included ([`timestamps`]); `None`
    /// when no record is that young.
    ///
    /// # Errors
    /// Those of [`Partition::check_access`]; `OFFSET_NOT_AVAILABLE` when a client asks for an
    /// offset which the new leader does not know to be committed yet; `KAFKA_STORAGE_ERROR`.
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
        asker: Asker,
        current_leader_epoch: Option<i32>,
    ) -> Result<Option<TimestampAndOffset>, ErrorCode> {
        self.check_access(current_leader_epoch, asker != Asker::Debugger)?;
        let end_offset = self.end_offset(asker.isolation());
        // A leader that has not committed up to the start of its epoch may not know all that its
        // predecessors committed, and must not answer with less.
        let epoch_start = self.with_state(|state| state.leader_epoch_start_offset());
        let is_behind = matches!(asker, Asker::Client(_))
            && epoch_start.is_some_and(|start| start > self.log().high_watermark());
        if timestamp == timestamps::LATEST {
            if is_behind {
                return Err(ErrorCode::OFFSET_NOT_AVAILABLE);
            }
            let leader_epoch = Some(self.leader_epoch());
            return Ok(Some(TimestampAndOffset {
                timestamp: -1,
                offset: end_offset,
                leader_epoch,
            }));
        }
        let found = self
            .log()
            .offset_for_timestamp(timestamp)
            .map_err(|error| error.code())?;
        if matches!(timestamp, timestamps::EARLIEST | timestamps::EARLIEST_LOCAL) {
            return Ok(found);
        }
        let visible = found.filter(|found| found.offset < end_offset);
        if visible.is_none() && is_behind {
            return Err(ErrorCode::OFFSET_NOT_AVAILABLE);
        }
        Ok(visible)
    }

    /// Where a leader epoch ended: the largest known epoch at or below it and its end offset
    /// (exclusive); `None` when the log can't tell.
    ///
    /// # Errors
    /// Those of [`Partition::check_access`].
    pub fn end_offset_for_epoch(
        &self,
        current_leader_epoch: Option<i32>,
        leader_epoch: i32,
    ) -> Result<Option<(i32, i64)>, ErrorCode> {
        self.check_access(current_leader_epoch, true)?;
        Ok(self.log().end_offset_for_epoch(leader_epoch))
    }

    /// Makes `offset` the first that readers may ask for; −1 stands for the high watermark. Returns
    /// the offset that was meant.
    ///
    /// # Errors
    /// `NOT_LEADER_OR_FOLLOWER`; `POLICY_VIOLATION` when the topic is only compacted;
    /// `OFFSET_OUT_OF_RANGE` above the high watermark or below −1; `KAFKA_STORAGE_ERROR`.
    pub fn delete_records(&self, offset: i64) -> Result<i64, LogError> {
        self.check_access(None, true)
            .map_err(|code| LogError::rejected(code, "this broker does not lead the partition"))?;
        let config = self.log().config();
        if config.compact && !config.delete {
            return Err(LogError::rejected(
                ErrorCode::POLICY_VIOLATION,
                "records of a topic that is only compacted can't be deleted",
            ));
        }
        let offset = if offset == -1 {
            self.log().high_watermark()
        } else {
            offset
        };
        if offset < 0 {
            return Err(LogError::rejected(
                ErrorCode::OFFSET_OUT_OF_RANGE,
                format!("{offset} is no offset"),
            ));
        }
        self.raise_log_start(offset)?;
        self.check_waiters();
        Ok(offset)
    }
}

impl ReplicaManager {
    /// Deletes the records below each offset and waits until all live replicas have done so, at
    /// most `timeout`. Returns each partition's low watermark.
    ///
    /// # Errors
    /// Per partition, those of [`Partition::delete_records`], and `REQUEST_TIMED_OUT`.
    pub async fn delete_records(
        &self,
        timeout: Duration,
        offsets: Vec<(Result<Arc<Partition>, ErrorCode>, i64)>,
    ) -> Vec<Result<i64, ErrorCode>> {
        let begun: Vec<Result<(Arc<Partition>, i64), ErrorCode>> = offsets
            .into_iter()
            .map(|(partition, offset)| {
                let partition = partition?;
                let required = partition
                    .delete_records(offset)
                    .map_err(|error| error.code())?;
                Ok((partition, required))
            })
            .collect();
        let waits: Vec<(Arc<Partition>, i64)> = begun
            .iter()
            .filter_map(|begun| begun.as_ref().ok().cloned())
            .collect();
        let metadata = self.metadata.clone();
        let low_watermark = move |partition: &Partition| {
            let image = metadata.image();
            partition.low_watermark(|id| image.cluster.alive_broker(id).is_some())
        };
        let is_done = {
            let low_watermark = low_watermark.clone();
            move |(partition, required): &(Arc<Partition>, i64)| {
                low_watermark(partition).map_or(true, |low| low >= *required)
            }
        };
        if !waits.iter().all(&is_done) {
            let partitions: Vec<Arc<Partition>> = waits
                .iter()
                .map(|(partition, _)| Arc::clone(partition))
                .collect();
            delayed::wait(partitions, timeout, move |_| waits.iter().all(&is_done)).await;
        }
        let outcome = |(partition, required): (Arc<Partition>, i64)| {
            let low = low_watermark(&partition)?;
            if low < required {
                Err(ErrorCode::REQUEST_TIMED_OUT)
            } else {
                Ok(low)
            }
        };
        begun
            .into_iter()
            .map(|begun| begun.and_then(outcome))
            .collect()
    }
}
