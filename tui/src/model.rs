//! What is known about a cluster: plain data that is cheap to share, and no protocol types.
//!
//! Owns the types between the readers of a cluster (`cluster`), the pure views (`derive`), the
//! operations (`ops`) and the screens.
//!
//! Invariants:
//! - Every part is a [`Resource`]: its value keeps its age, and an error stands beside the old
//!   value instead of replacing it.
//! - A failure is as small as what failed: one leaderless partition spoils one [`Cell`].
//! - What is shared is behind an `Arc`; an unchanged topic is the same allocation in the next
//!   snapshot, so that a refresh of a large cluster neither doubles memory nor redraws.
//! - Nothing here reads a clock or a socket.

mod broker;
mod config;
mod group;
mod group_log;
mod happening;
mod history;
mod message;
mod metrics;
mod probe;
mod quorum;
mod reassignment;
mod resource;
mod security;
mod snapshot;
mod streams;
mod topic;
mod transaction;

pub use broker::{Broker, LogDir, LogDirs, ReplicaSize, ReplicaSizes};
pub use config::{ConfigEntry, ConfigKind, ConfigResource, ConfigSource, ConfigSynonym, Configs};
pub use group::{
    Committed, CommittedPartition, Group, GroupDescription, GroupKind, GroupState, Groups, Member,
    TopicAssignment,
};
pub use group_log::{
    EndPoints, GroupFact, GroupLog, GroupLogReach, GroupLook, GroupRecord, LoggedGroup,
    LoggedMember, LoggedReadiness, LoggedStage, LoggedState, LoggedTopology, STANDBY_TASKS,
    WARMUP_TASKS,
};
pub use happening::{Absences, Feed, Happening, Subject, Weight};
pub use history::{History, Moment};
pub use message::{Control, Fate, Header, Message, ReadReport, ReadStop, RecordFacts};
pub use metrics::{BrokerMetrics, BrokerReading, Count, Flow, MetricsRead, TopicCounts};
pub use probe::Probe;
pub use quorum::{FeatureLevel, Features, NodeLevels, Quorum, QuorumReplica, VoterListener};
pub use reassignment::{Assignment, OngoingReassignment, Reassignments};
pub use resource::{Cell, Fault, FaultKind, PartError, Read, Resource, Taken};
pub use security::{
    Acl, AclOperation, AclPattern, AclPermission, AclResource, CLIENT_LIMITS, CLUSTER_RESOURCE,
    EVERYBODY, IP_LIMITS, Quota, QuotaEntity, ScramCredential, ScramMechanism, ScramUser, Security,
    SecurityUpdate, WILDCARD,
};
pub use snapshot::{ClusterMetadata, ClusterSnapshot, Offsets, PerGroup, TopicSettings, Update};
pub use streams::{
    OwnTopic, StreamsMember, Subtopology, SubtopologyTasks, TaskRole, Tasks, Topology,
};
pub use topic::{NO_LEADER, Partition, PartitionOffsets, Topic, TopicOffsets};
pub use transaction::{
    BlockedPartition, PartitionProducer, Producers, TopicProducers, Transaction, TransactionDetail,
    TransactionFilter, Transactions, WrittenPartition,
};

pub use kafka_shared::types::TopicPartition;

#[cfg(test)]
mod tests;
