//! The end of a transaction that nobody ends.

use serde::{Deserialize, Serialize};

use crate::model::TopicPartition;
use crate::ops::serial;

/// Aborts a transaction in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortTransaction {
    #[serde(with = "serial::partition")]
    pub partition: TopicPartition,
    /// Where it begins in the partition, which tells it from all others there.
    pub start_offset: i64,
    /// Whose it is; planning finds it out.
    pub producer_id: i64,
}
