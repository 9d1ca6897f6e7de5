//! Writing for Produce: each partition's records go to its log at once, and with acks=all the
//! request waits until the in-sync replicas have them.
//!
//! Kafka: `ReplicaManager.appendRecords`, `DelayedProduce.java` (4.3).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_shared::error::ErrorCode;

use super::partition::{LeaderAppend, Partition};
use super::{ReplicaManager, delayed};
use crate::log::{AppendContext, AppendOrigin, LogError, RecordError};

/// All in-sync replicas acknowledge.
pub const ACKS_ALL: i16 = -1;

/// One partition's records on their way to the log.
#[derive(Debug)]
pub struct AppendEntry {
    /// Where they go, or why they can't.
    pub partition: Result<Arc<Partition>, ErrorCode>,
    /// Exactly one batch when it comes from a client.
    pub records: Bytes,
}

/// What became of one partition's records. Offsets and times are −1 where they don't apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    pub error: ErrorCode,
    /// Given when the records themselves are at fault.
    pub error_message: Option<String>,
    pub record_errors: Vec<RecordError>,
    /// Offset of the first record; of the first append when the batch is a duplicate.
    pub base_offset: i64,
    /// Offset of the last record (inclusive).
    pub last_offset: i64,
    /// The broker's time when the topic uses LogAppendTime.
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    /// Since when this broker has led the partition, as a wait for the replicas has to know.
    pub leading_since_epoch: i32,
}

impl Appended {
    pub fn of_error(error: ErrorCode) -> Self {
        Self {
            error,
            error_message: None,
            record_errors: Vec::new(),
            base_offset: -1,
            last_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            leading_since_epoch: -1,
        }
    }

    /// Kafka tells the log start offset and a message only for certain errors, and clients show
    /// their own text when there is no message.
    fn of_refusal(error: &LogError, partition: &Partition) -> Self {
        let code = error.code();
        let mut refused = Self::of_error(code);
        let is_told_alone = matches!(
            code,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                | ErrorCode::UNKNOWN_TOPIC_ID
                | ErrorCode::NOT_LEADER_OR_FOLLOWER
                | ErrorCode::MESSAGE_TOO_LARGE
                | ErrorCode::RECORD_LIST_TOO_LARGE
                | ErrorCode::CORRUPT_MESSAGE
                | ErrorCode::KAFKA_STORAGE_ERROR
        );
        if !is_told_alone {
            refused.log_start_offset = partition.log().log_start_offset();
        }
        if matches!(
            code,
            ErrorCode::INVALID_RECORD | ErrorCode::INVALID_TIMESTAMP
        ) {
            refused.error_message = Some(error.to_string());
        }
        refused.record_errors = error.record_errors().to_vec();
        refused
    }
}

impl ReplicaManager {
    /// Appends to one partition, waiting for nobody.
    ///
    /// # Errors
    /// Those of [`Partition::append_as_leader`].
    pub fn append_to(
        &self,
        entry: &AppendEntry,
        origin: AppendOrigin,
        required_acks: i16,
        context: &AppendContext,
    ) -> Appended {
        let partition = match &entry.partition {
            Ok(partition) => partition,
            Err(error) => return Appended::of_error(*error),
        };
        let now_ms = self.clock.wall_ms();
        let records = &entry.records;
        match partition.append_as_leader(records, origin, required_acks, None, context, now_ms) {
            Ok(LeaderAppend {
                info,
                leading_since_epoch,
            }) => Appended {
                base_offset: info.first_offset,
                last_offset: info.last_offset,
                log_append_time_ms: info.log_append_time,
                log_start_offset: info.log_start_offset,
                leading_since_epoch,
                ..Appended::of_error(ErrorCode::NONE)
            },
            Err(error) => {
                tracing::debug!(
                    partition = %partition.topic_partition(),
                    leader_epoch = partition.leader_epoch(),
                    %error,
                    "records are refused"
                );
                Appended::of_refusal(&error, partition)
            }
        }
    }

    /// Appends the entries in order and, when `required_acks` is [`ACKS_ALL`], waits until their
    /// fate is decided, at most `timeout`. What is undecided then gets `REQUEST_TIMED_OUT`; its
    /// records are in the log all the same.
    pub async fn append_records(
        &self,
        required_acks: i16,
        timeout: Duration,
        origin: AppendOrigin,
        entries: &[AppendEntry],
    ) -> Vec<Appended> {
        let context = AppendContext::default();
        let mut appended: Vec<Appended> = entries
            .iter()
            .map(|entry| self.append_to(entry, origin, required_acks, &context))
            .collect();
        if required_acks != ACKS_ALL {
            return appended;
        }
        let waits: Vec<Unacknowledged> = entries
            .iter()
            .zip(&appended)
            .enumerate()
            .filter_map(|(position, (entry, appended))| {
                let partition = entry.partition.as_ref().ok()?;
                (appended.error == ErrorCode::NONE).then(|| Unacknowledged {
                    position,
                    partition: Arc::clone(partition),
                    required_offset: appended.last_offset + 1,
                    leading_since_epoch: appended.leading_since_epoch,
                })
            })
            .collect();
        if !waits.iter().all(Unacknowledged::is_decided) {
            let partitions: Vec<Arc<Partition>> = waits
                .iter()
                .map(|wait| Arc::clone(&wait.partition))
                .collect();
            let watched = waits.clone();
            let condition = move |_| watched.iter().all(Unacknowledged::is_decided);
            delayed::wait(partitions, timeout, condition).await;
        }
        for wait in waits {
            let outcome = wait.outcome();
            appended[wait.position].error = outcome.unwrap_or(ErrorCode::REQUEST_TIMED_OUT);
        }
        appended
    }
}

/// Records that wait for the in-sync replicas.
#[derive(Debug, Clone)]
struct Unacknowledged {
    /// Of the entry in its request.
    position: usize,
    partition: Arc<Partition>,
    required_offset: i64,
    leading_since_epoch: i32,
}

impl Unacknowledged {
    fn outcome(&self) -> Option<ErrorCode> {
        self.partition
            .acks_all_outcome(self.required_offset, self.leading_since_epoch)
    }

    fn is_decided(&self) -> bool {
        self.outcome().is_some()
    }
}
