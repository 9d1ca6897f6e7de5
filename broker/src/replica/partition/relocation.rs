//! Moving the replica to another log directory: a copy of the log there catches up and takes its place.
//!
//! The copy is compared by leader epochs before every step, as a follower is with its leader: the log
//! may have been cut since the last one. It takes the log's place only while nobody can append, and
//! only if it is the same up to the last record.
//!
//! Kafka: `ReplicaAlterLogDirsThread.scala`, `Partition.maybeReplaceCurrentWithFutureReplica` (4.3).

use std::sync::Arc;

use super::Partition;
use crate::log::manager::LogManager;
use crate::log::{FetchIsolation, Log, LogError, LogOffsetMetadata};

/// What a step of copying has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStep {
    /// So many bytes were copied, or the copy was brought back to the log's past.
    Advanced(usize),
    /// There is nothing to copy now, though the copy does not hold all.
    Waits,
    /// The copy holds all that the log does.
    CaughtUp,
}

impl Partition {
    /// The copy in another log directory, while there is one.
    pub fn future_log(&self) -> Option<Arc<Log>> {
        self.future.load_full()
    }

    /// Takes a copy in, or gives it up.
    pub fn set_future_log(&self, future: Option<Arc<Log>>) {
        self.future.store(future);
        // The deletion of records waits for the copy too.
        self.check_waiters();
    }

    /// Raises the log start offset of the log that is in place, and stays so meanwhile.
    ///
    /// # Errors
    /// Those of [`Log::maybe_increment_log_start_offset`].
    pub(in crate::replica) fn raise_log_start(&self, offset: i64) -> Result<(), LogError> {
        let _state = self.state.read();
        self.log().maybe_increment_log_start_offset(offset)?;
        Ok(())
    }

    /// The log, once a change of it that is under way has come to its end.
    pub(super) fn settled_log(&self) -> Arc<Log> {
        let _state = self.state.read();
        self.log.load_full()
    }

    /// Brings the copy at most `max_bytes` further, at least by a batch.
    ///
    /// # Errors
    /// When one of the two logs refuses.
    pub fn copy_to_future(
        &self,
        logs: &LogManager,
        future: &Log,
        max_bytes: usize,
    ) -> Result<CopyStep, LogError> {
        let current = self.log.load_full();
        let start = current.log_start_offset();
        let Some(end) = common_end(&current, future).filter(|end| *end >= start) else {
            logs.restart_log(future, start, None)?;
            return Ok(CopyStep::Advanced(0));
        };
        if end < future.log_end_offset() {
            logs.truncate_log(future, end)?;
            return Ok(CopyStep::Advanced(0));
        }
        let read = current.read(end, max_bytes, FetchIsolation::LogEnd, true)?;
        let bytes = read.read().map_err(|error| LogError::Storage {
            message: format!("cannot read {}: {error}", self.topic_partition),
        })?;
        if !bytes.is_empty() {
            self.append_to_future(logs, &current, future, &bytes)?;
        }
        let high_watermark = LogOffsetMetadata::offset_only(current.high_watermark());
        future.maybe_increment_high_watermark(high_watermark);
        let start = current.log_start_offset();
        if start > future.log_start_offset() && start <= future.high_watermark() {
            future.maybe_increment_log_start_offset(start)?;
            self.check_waiters();
        }
        if is_same(&current, future) {
            Ok(CopyStep::CaughtUp)
        } else if bytes.is_empty() {
            Ok(CopyStep::Waits)
        } else {
            Ok(CopyStep::Advanced(bytes.len()))
        }
    }

    fn append_to_future(
        &self,
        logs: &LogManager,
        current: &Log,
        future: &Log,
        bytes: &[u8],
    ) -> Result<(), LogError> {
        // Nothing in the log is of a later epoch than it knows of.
        let epoch = current.latest_epoch().unwrap_or(0).max(self.leader_epoch());
        match future.append_as_follower(bytes, epoch) {
            // The log starts within a batch, which becomes the first of the copy; or the copy was cut
            // within one, and begins anew.
            Err(LogError::UnexpectedAppendOffset { first_offset, .. }) => {
                let start = current.log_start_offset();
                logs.restart_log(future, first_offset.min(start), None)?;
                if first_offset <= start {
                    future.append_as_follower(bytes, epoch)?;
                }
                Ok(())
            }
            appended => appended.map(drop),
        }
    }

    /// Puts the copy in the place of the log, if it holds all of it. Returns whether it did. The
    /// caller calls [`LogManager::settle_promotion`] after it.
    ///
    /// # Errors
    /// When a disk fails.
    pub fn replace_by_future(
        &self,
        logs: &LogManager,
        future: &Arc<Log>,
    ) -> Result<bool, LogError> {
        {
            let state = self.state.write();
            let current = self.log.load_full();
            if state.is_retired() || !is_same(&current, future) {
                return Ok(false);
            }
            // Epochs in which nothing was appended are in no batch.
            let latest = future.latest_epoch();
            let entries = current.epoch_entries().into_iter();
            for entry in entries.filter(|entry| latest.is_none_or(|latest| entry.epoch > latest)) {
                future.assign_epoch_start_offset(entry.epoch, entry.start_offset);
            }
            future.update_high_watermark(current.high_watermark());
            future.maybe_increment_log_start_offset(current.log_start_offset())?;
            logs.promote_future_log(&self.topic_partition)?;
            self.log.store(Arc::clone(future));
            self.future.store(None);
        }
        self.moved();
        Ok(true)
    }
}

/// Whether the copy ends where the log does, and holds the same as far as leader epochs tell.
fn is_same(current: &Log, future: &Log) -> bool {
    let end = current.log_end_offset();
    future.log_end_offset() == end && common_end(current, future) == Some(end)
}

/// Up to where the copy is known to agree with the log, exclusive, which may be less than it does;
/// `None` when it has to begin anew.
fn common_end(current: &Log, future: &Log) -> Option<i64> {
    let end = current.log_end_offset().min(future.log_end_offset());
    if end < current.log_start_offset() {
        return None;
    }
    let Some(epoch) = future.latest_epoch() else {
        return Some(end);
    };
    let (known, current_end) = current.end_offset_for_epoch(epoch)?;
    if known == epoch {
        return Some(end.min(current_end));
    }
    let (_, future_end) = future.end_offset_for_epoch(known)?;
    Some(end.min(current_end).min(future_end))
}
