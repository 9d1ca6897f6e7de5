//! Consumer groups of every kind, their members and their committed offsets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::resource::{Fault, PartError, Taken};
use super::streams::{StreamsMember, Topology};

/// Kafka's group types (KIP-1071 and before).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupKind {
    Classic,
    Consumer,
    Share,
    Streams,
    /// The cluster is too old to say, or says something newer than this program.
    Other(Arc<str>),
}

impl GroupKind {
    /// The word that Kafka uses for it; empty when the cluster does not say.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Share => "share",
            Self::Streams => "streams",
            Self::Other(name) => name,
        }
    }

    pub fn parse(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "classic" => Self::Classic,
            "consumer" => Self::Consumer,
            "share" => Self::Share,
            "streams" => Self::Streams,
            _ => Self::Other(name.into()),
        }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for GroupKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for GroupKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

/// A group's state, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupState {
    PreparingRebalance,
    CompletingRebalance,
    Assigning,
    Reconciling,
    NotReady,
    Stable,
    Empty,
    Dead,
    Other(Arc<str>),
}

impl GroupState {
    pub fn as_str(&self) -> &str {
        match self {
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::NotReady => "NotReady",
            Self::Stable => "Stable",
            Self::Empty => "Empty",
            Self::Dead => "Dead",
            Self::Other(name) => name,
        }
    }

    pub fn parse(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "preparingrebalance" => Self::PreparingRebalance,
            "completingrebalance" => Self::CompletingRebalance,
            "assigning" => Self::Assigning,
            "reconciling" => Self::Reconciling,
            "notready" => Self::NotReady,
            "stable" => Self::Stable,
            "empty" => Self::Empty,
            "dead" => Self::Dead,
            _ => Self::Other(name.into()),
        }
    }

    /// Whether the members are between two assignments.
    pub fn is_rebalancing(&self) -> bool {
        matches!(
            self,
            Self::PreparingRebalance
                | Self::CompletingRebalance
                | Self::Assigning
                | Self::Reconciling
        )
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for GroupState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for GroupState {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

/// One line of a broker's list of groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub id: Arc<str>,
    pub kind: GroupKind,
    /// `None` when the cluster is too old to say it in the list.
    pub state: Option<GroupState>,
    /// `consumer` for groups of consumers; other users of the group protocol name their own.
    pub protocol_type: Arc<str>,
    /// The broker that listed the group, which is its coordinator.
    pub coordinator: i32,
}

/// All groups of all brokers, by id, and the brokers whose list is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    pub groups: BTreeMap<Arc<str>, Arc<Group>>,
    pub faults: BTreeMap<i32, Arc<Fault>>,
}

/// The partitions of one topic, sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicAssignment {
    pub topic: Arc<str>,
    pub partitions: Box<[i32]>,
}

/// One member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: Arc<str>,
    pub client_id: Arc<str>,
    pub host: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub rack: Option<Arc<str>>,
    /// KIP-848 and share groups only.
    pub epoch: Option<i32>,
    pub subscribed: Vec<Arc<str>>,
    pub assignment: Vec<TopicAssignment>,
    /// What the coordinator wants the member to own (KIP-848); empty for classic groups.
    pub target: Vec<TopicAssignment>,
    /// Why an assignment could not be decoded; the raw protocol is known to its clients only.
    pub undecoded: Option<String>,
    /// Of a streams group, whose members own tasks; what they read with them is their assignment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Box<StreamsMember>>,
}

impl Member {
    pub fn n_partitions(&self) -> usize {
        self.assignment
            .iter()
            .map(|topic| topic.partitions.len())
            .sum()
    }

    pub fn owns(&self, topic: &str, partition: i32) -> bool {
        self.assignment
            .iter()
            .any(|owned| &*owned.topic == topic && owned.partitions.contains(&partition))
    }
}

/// What a group's coordinator tells about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDescription {
    pub id: Arc<str>,
    pub kind: GroupKind,
    pub state: GroupState,
    pub protocol_type: Arc<str>,
    /// The assignor in use, for example `range`; empty while there is none.
    pub assignor: Arc<str>,
    pub coordinator: i32,
    /// Of the new protocols only.
    pub group_epoch: Option<i32>,
    pub assignment_epoch: Option<i32>,
    /// Of a streams group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<Box<Topology>>,
    /// Sorted by client id, then member id.
    pub members: Vec<Member>,
}

/// One committed offset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedPartition {
    pub partition: i32,
    /// `None`: nothing committed for this partition.
    pub offset: Option<i64>,
    pub leader_epoch: Option<i32>,
    pub metadata: Option<Arc<str>>,
    pub error: Option<PartError>,
    /// Of a share group, which commits nothing: what its coordinator says that it is behind. Its
    /// offset is the one before which everything is done with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
}

/// The committed offsets of one group, by topic; partitions are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    pub taken: Taken,
    /// Shared with what was read before or after while they are the same.
    pub topics: Arc<BTreeMap<Arc<str>, Vec<CommittedPartition>>>,
}

impl Committed {
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&CommittedPartition> {
        let partitions = self.topics.get(topic)?;
        let at = partitions
            .binary_search_by_key(&partition, |p| p.partition)
            .ok()?;
        partitions.get(at)
    }
}
