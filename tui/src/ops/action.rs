//! What somebody wants to be done: plain data, the same for a key press and a command.

mod apply;
mod quorum;
mod security;
mod transactions;

use serde::{Deserialize, Serialize};

use crate::model::{Assignment, ConfigResource, TopicPartition};
use crate::transfer::Transfer;

use super::execution::NewOrders;
use super::execution::janitor::LeftOver;
use super::offsets::AlterOffsets;
use super::serial;

pub use apply::ApplyTopics;
pub use quorum::{AddVoter, Direction, QuorumAction, SetFeature};
pub use security::{SecurityAction, SetPassword};
pub use transactions::AbortTransaction;

/// One change of a cluster. It is written to files as it is, as what undoes another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    CreateTopic(CreateTopic),
    DeleteTopics(Vec<String>),
    AddPartitions(AddPartitions),
    AlterConfigs(AlterConfigs),
    Produce(ProduceMessage),
    Reassign(Reassign),
    CancelReassignments(#[serde(with = "serial::partitions")] Vec<TopicPartition>),
    /// As `Reassign`, in batches and throttled, by whoever attends to the cluster's runs.
    RunReassign(RunReassign),
    /// New orders for the run that has not ended.
    OrderRun(NewOrders),
    /// Removes throttles that nothing needs.
    ClearThrottles(Vec<LeftOver>),
    AddPartitionsToMany(Vec<AddPartitions>),
    /// Elects the preferred leader of each partition.
    ElectPreferredLeaders(#[serde(with = "serial::partitions")] Vec<TopicPartition>),
    DeleteGroups(Vec<String>),
    /// New committed offsets of a group.
    AlterOffsets(AlterOffsets),
    Security(SecurityAction),
    AbortTransaction(AbortTransaction),
    Quorum(QuorumAction),
    /// Many records into a topic. Never written anywhere: it can't be taken back, and what it reads
    /// is named by this session.
    #[serde(skip)]
    Transfer(Box<Transfer>),
    /// What makes topics as they are declared.
    Apply(ApplyTopics),
}

/// A new topic. `None` means the broker's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTopic {
    pub name: String,
    pub partitions: Option<i32>,
    pub replication_factor: Option<i16>,
    /// Replicas by partition, from 0 on; excludes the two above.
    pub assignment: Option<Vec<Vec<i32>>>,
    pub configs: Vec<(String, String)>,
    /// A topic of that name is left as it is, and counts as done.
    pub if_not_exists: bool,
}

/// More partitions for a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddPartitions {
    pub topic: String,
    /// Partitions afterwards.
    pub total: i32,
    /// Replicas of each new partition; `None` leaves it to the controller.
    pub assignment: Option<Vec<Vec<i32>>>,
}

/// One key's change. Always sent incrementally: other keys stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ConfigChange {
    Set {
        name: String,
        value: String,
    },
    /// Back to what the key inherits.
    Delete {
        name: String,
    },
    /// Adds to a list.
    Append {
        name: String,
        value: String,
    },
    /// Takes away from a list.
    Subtract {
        name: String,
        value: String,
    },
}

impl ConfigChange {
    pub fn name(&self) -> &str {
        match self {
            Self::Set { name, .. }
            | Self::Delete { name }
            | Self::Append { name, .. }
            | Self::Subtract { name, .. } => name,
        }
    }
}

/// Changes of one resource's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlterConfigs {
    pub resource: ConfigResource,
    pub changes: Vec<ConfigChange>,
}

/// One record to write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProduceMessage {
    pub topic: String,
    /// `None` chooses by key as Kafka's producers do, and any partition without a key.
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// New replicas for partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reassign {
    /// What the partitions named shall have; the first replica is the preferred leader.
    #[serde(with = "serial::assignment")]
    pub target: Assignment,
    /// The replicas that the proposal was made from. Executing refuses when the cluster has moved
    /// on since; empty skips the comparison.
    #[serde(with = "serial::assignment")]
    pub based_on: Assignment,
}

/// A reassignment with how it is executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReassign {
    pub reassign: Reassign,
    /// Bytes per second that each broker may send, and receive; `None`: unlimited.
    pub throttle: Option<i64>,
    /// Partitions on their way at a time.
    pub batch: usize,
}
