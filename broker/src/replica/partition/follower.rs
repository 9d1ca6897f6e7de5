//! The replica as a follower: appending what the leader has, and cutting what it has not.
//!
//! Every change names the leader epoch in which it was decided, and holds the state for reading
//! while it is carried out. So nothing that was fetched from an earlier leader is appended, or cut,
//! after the metadata has made this replica a leader or the follower of another one.
//!
//! Kafka: `ReplicaFetcherThread.processPartitionData`, `Partition.appendRecordsToFollowerOrFutureReplica`,
//! `truncateTo` (4.3).

use kafka_shared::error::ErrorCode;
use parking_lot::RwLockReadGuard;

use super::Partition;
use super::state::PartitionState;
use crate::log::manager::LogManager;
use crate::log::{AppendInfo, LogError, LogOffsetMetadata};

/// What a leader has answered for one partition.
#[derive(Debug, Clone, Copy)]
pub struct FollowerRecords<'a> {
    /// The epoch that was asked in.
    pub leader_epoch: i32,
    /// The offset that was asked for.
    pub fetch_offset: i64,
    /// Batches as the leader has them.
    pub records: &'a [u8],
    /// The leader's, exclusive.
    pub high_watermark: i64,
    /// The leader's.
    pub log_start_offset: i64,
}

/// What an append as a follower has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerAppend {
    /// The log's end, from which to go on.
    pub next_offset: i64,
    /// The epoch of the last batch that was appended; `None` when none was.
    pub last_epoch: Option<i32>,
    /// How many bytes of the records were appended.
    pub appended_bytes: usize,
}

/// Why a follower could not do as its leader says.
#[derive(Debug, thiserror::Error)]
pub enum FollowerError {
    /// The replica no longer follows in the epoch that was asked in, or is gone.
    #[error("the partition is no longer followed in this leader epoch")]
    Stale,
    /// The log does not end where the records were asked for.
    #[error("the log ends at {log_end_offset}, not at {fetch_offset}")]
    Moved {
        log_end_offset: i64,
        fetch_offset: i64,
    },
    #[error(transparent)]
    Log(#[from] LogError),
}

impl FollowerError {
    /// Whether the leader's answer was damaged on its way, so that asking again may help.
    pub fn is_corruption(&self) -> bool {
        let damaged = [ErrorCode::CORRUPT_MESSAGE, ErrorCode::INVALID_RECORD];
        matches!(self, Self::Log(error) if damaged.contains(&error.code()))
    }
}

impl Partition {
    /// The state, if the replica follows in this epoch. As long as it is held, it does.
    fn following(&self, epoch: i32) -> Result<RwLockReadGuard<'_, PartitionState>, FollowerError> {
        let state = self.state.read();
        if state.is_leader() || state.is_retired() || state.leader_epoch() != epoch {
            return Err(FollowerError::Stale);
        }
        Ok(state)
    }

    /// Appends what the leader has answered and takes over its high watermark and log start offset
    /// as far as this log goes.
    ///
    /// # Errors
    /// When the replica no longer follows in that epoch, the log has moved, or the log refuses.
    pub fn append_as_follower(
        &self,
        logs: &LogManager,
        fetched: &FollowerRecords<'_>,
    ) -> Result<FollowerAppend, FollowerError> {
        let (appended, is_moved) = {
            let following = self.following(fetched.leader_epoch)?;
            // As long as the state is held, no other log takes its place.
            let log = self.log();
            let log_end_offset = log.log_end_offset();
            if log_end_offset != fetched.fetch_offset {
                return Err(FollowerError::Moved {
                    log_end_offset,
                    fetch_offset: fetched.fetch_offset,
                });
            }
            let mut appended = FollowerAppend {
                next_offset: log_end_offset,
                last_epoch: None,
                appended_bytes: 0,
            };
            if !fetched.records.is_empty() {
                let info = self.append_fetched(logs, fetched);
                let info =
                    info.inspect_err(|error| self.give_up_full_dir(&following, &log, error))?;
                if info.valid_bytes > 0 {
                    appended.next_offset = info.last_offset + 1;
                    appended.last_epoch = info.last_leader_epoch;
                    appended.appended_bytes = info.valid_bytes;
                }
            }
            let high_watermark = LogOffsetMetadata::offset_only(fetched.high_watermark);
            let mut is_moved = log.maybe_increment_high_watermark(high_watermark).is_some();
            if fetched.log_start_offset > log.log_start_offset() {
                is_moved |= log.maybe_increment_log_start_offset(fetched.log_start_offset)?;
            }
            (appended, is_moved)
        };
        // Consumers may wait for records of this replica.
        if is_moved {
            self.moved();
        }
        Ok(appended)
    }

    fn append_fetched(
        &self,
        logs: &LogManager,
        fetched: &FollowerRecords<'_>,
    ) -> Result<AppendInfo, LogError> {
        let append = || {
            self.log()
                .append_as_follower(fetched.records, fetched.leader_epoch)
        };
        match append() {
            // The leader's log starts within a batch, which is the first that this log gets.
            Err(LogError::UnexpectedAppendOffset {
                first_offset,
                last_offset,
                log_end_offset,
            }) if log_end_offset == self.log().log_start_offset()
                && first_offset < log_end_offset
                && last_offset >= log_end_offset =>
            {
                logs.restart_log(&self.log(), first_offset, None)?;
                append()
            }
            appended => appended,
        }
    }

    /// Cuts the log so that it ends at `offset`, as decided in this epoch.
    ///
    /// # Errors
    /// When the replica no longer follows in that epoch, or the disk fails.
    pub fn truncate_as_follower(
        &self,
        logs: &LogManager,
        leader_epoch: i32,
        offset: i64,
    ) -> Result<(), FollowerError> {
        {
            let _following = self.following(leader_epoch)?;
            let high_watermark = self.log().high_watermark();
            if offset < high_watermark {
                tracing::warn!(
                    partition = %self.topic_partition, offset, high_watermark,
                    "truncating below the high watermark"
                );
            }
            logs.truncate_log(&self.log(), offset)?;
        }
        self.moved();
        Ok(())
    }

    /// Drops all records; the log goes on, empty, at `offset`, as decided in this epoch.
    ///
    /// # Errors
    /// When the replica no longer follows in that epoch, or the disk fails.
    pub fn restart_as_follower(
        &self,
        logs: &LogManager,
        leader_epoch: i32,
        offset: i64,
    ) -> Result<(), FollowerError> {
        {
            let _following = self.following(leader_epoch)?;
            logs.restart_log(&self.log(), offset, None)?;
        }
        self.moved();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::testing::{NODE, World, batch, registration};

    /// What a leader answers to a fetch from the offset.
    fn fetched(leader_epoch: i32, fetch_offset: i64, records: &[u8]) -> FollowerRecords<'_> {
        FollowerRecords {
            leader_epoch,
            fetch_offset,
            records,
            high_watermark: fetch_offset + 1,
            log_start_offset: 0,
        }
    }

    #[tokio::test]
    async fn only_a_leader_of_the_present_epoch_is_followed() {
        let world = World::start();
        let logs = world.replicas.logs();
        let records = batch(&["a"]);
        world.register("t", 0, registration(2, 3, &[NODE, 2, 3]));
        let partition = world.partition("t", 0);
        let ends = || {
            let log = partition.log();
            (log.log_end_offset(), log.high_watermark())
        };
        let appended = partition.append_as_follower(logs, &fetched(3, 0, &records));
        assert_eq!(appended.unwrap().next_offset, 1);
        assert_eq!(ends(), (1, 1));

        // What was asked in epoch 3 comes when another one leads, and when this broker does.
        for (leader, epoch) in [(3, 4), (NODE, 5)] {
            world.register("t", 0, registration(leader, epoch, &[NODE, 2, 3]));
            let late = partition.append_as_follower(logs, &fetched(3, 1, &records));
            assert!(matches!(late, Err(FollowerError::Stale)), "{late:?}");
            let cut = partition.truncate_as_follower(logs, 3, 0);
            assert!(matches!(cut, Err(FollowerError::Stale)), "{cut:?}");
            let restarted = partition.restart_as_follower(logs, 3, 9);
            assert!(
                matches!(restarted, Err(FollowerError::Stale)),
                "{restarted:?}"
            );
            assert_eq!(ends(), (1, 1));
        }
    }

    #[tokio::test]
    async fn records_from_elsewhere_than_the_end_are_refused() {
        let world = World::start();
        let records = batch(&["a"]);
        world.register("t", 0, registration(2, 3, &[NODE, 2]));
        let partition = world.partition("t", 0);
        let moved = partition.append_as_follower(world.replicas.logs(), &fetched(3, 4, &records));
        assert!(
            matches!(
                moved,
                Err(FollowerError::Moved {
                    log_end_offset: 0,
                    fetch_offset: 4
                })
            ),
            "{moved:?}"
        );
    }
}
