//! Transactions: what coordinators know of them, what stands open in partitions, and how far
//! readers of committed records get.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::TopicPartition;
use super::resource::{Cell, Fault, PartError};

/// A transactional id as its coordinator has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    pub id: Arc<str>,
    pub producer_id: i64,
    /// In Kafka's words: `Ongoing`, `PrepareAbort`, `CompleteCommit`, `Empty`.
    pub state: Arc<str>,
    pub coordinator: i32,
    pub detail: Option<TransactionDetail>,
}

impl Transaction {
    /// Whether it has begun and markers are not written yet.
    pub fn is_open(&self) -> bool {
        matches!(
            &*self.state,
            "Ongoing" | "PrepareCommit" | "PrepareAbort" | "PrepareEpochFence"
        )
    }
}

/// What describing it adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionDetail {
    pub producer_epoch: i16,
    pub timeout_ms: i32,
    /// When it began; `None` when none runs.
    pub started_ms: Option<i64>,
    /// The partitions that are part of it and have no marker yet.
    pub partitions: Vec<TopicPartition>,
}

/// A producer that has written to a partition lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionProducer {
    pub producer_id: i64,
    pub producer_epoch: i32,
    /// -1 before its first marker.
    pub coordinator_epoch: i32,
    pub last_sequence: i32,
    pub last_timestamp_ms: i64,
    /// The first offset of the transaction that is open here.
    pub open_from: Option<i64>,
}

/// The producers of partitions, or why they can't be told.
pub type Producers = BTreeMap<TopicPartition, Result<Vec<PartitionProducer>, PartError>>;

/// A partition with who has written to it lately, and how far its readers get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenPartition {
    pub partition: i32,
    /// Readers of committed records get up to here.
    pub last_stable_offset: Cell<i64>,
    pub high_watermark: Cell<i64>,
    pub producers: Result<Vec<PartitionProducer>, PartError>,
}

impl WrittenPartition {
    /// Records that readers of committed records don't get yet.
    pub fn behind(&self) -> Option<i64> {
        let end = self.high_watermark.known()?;
        Some(end.saturating_sub(self.last_stable_offset.known()?).max(0))
    }
}

/// Who has written to a topic lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicProducers {
    pub topic: Arc<str>,
    /// By number.
    pub partitions: Vec<WrittenPartition>,
    /// Transactional ids by producer id, as far as coordinators told.
    pub transactional_ids: BTreeMap<i64, Arc<str>>,
    /// Whether some coordinator did not tell: then a producer may have an id that is not known.
    pub ids_missing: bool,
}

/// A partition whose last records wait for the end of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedPartition {
    pub partition: TopicPartition,
    /// Readers of committed records get up to here.
    pub last_stable_offset: i64,
    pub high_watermark: i64,
    /// Those with an open transaction, the one that blocks first.
    pub open: Result<Vec<PartitionProducer>, PartError>,
}

/// All that was found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transactions {
    /// By id.
    pub transactions: Vec<Transaction>,
    /// By partition.
    pub blocked: Vec<BlockedPartition>,
    /// Coordinators that did not tell: what they know is missing.
    pub faults: BTreeMap<i32, Arc<Fault>>,
    /// Ids that could not be described although they are listed.
    pub undescribed: BTreeMap<Arc<str>, PartError>,
    /// Partitions whose last stable offset is not known.
    pub n_unknown: usize,
}

impl Transactions {
    pub fn of_producer(&self, producer_id: i64) -> Option<&Transaction> {
        self.transactions
            .iter()
            .find(|transaction| transaction.producer_id == producer_id)
    }
}

/// Which transactions are listed. What a cluster is too old to filter by is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionFilter {
    pub states: Vec<String>,
    pub producer_ids: Vec<i64>,
    /// Only those that have been running for longer; since Kafka 3.8.
    pub longer_than_ms: Option<i64>,
    /// A regular expression of the broker's kind for transactional ids; since Kafka 4.1.
    pub id_pattern: Option<String>,
}
