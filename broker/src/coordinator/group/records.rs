//! The records of `__consumer_offsets`: what a shard stores and what it reads back.
//!
//! Key and value are framed as i16 type and i16 version; see `kafka_shared::schema::offsets`. Written
//! are OffsetCommit (type 1, value version 4, or 1 when the offset has an expiry of its own) and
//! GroupMetadata (type 2, value version 3), as Kafka 4.3 does; all versions are read. Records of
//! groups that this coordinator does not serve are told apart, kept in the log and not interpreted.
//!
//! Kafka: group-coordinator `GroupCoordinatorRecordHelpers`, `GroupCoordinatorRecordSerde` (4.3).

use std::sync::Arc;

use bytes::Bytes;

use super::GroupType;
use super::offsets::OffsetAndMetadata;

/// One member of a stored group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    /// Its id.
    pub id: Arc<str>,
    /// Static members only.
    pub instance_id: Option<Arc<str>>,
    /// As it joined.
    pub client_id: Arc<str>,
    /// As it joined.
    pub client_host: Arc<str>,
    /// In milliseconds.
    pub rebalance_timeout_ms: i32,
    /// In milliseconds.
    pub session_timeout_ms: i32,
    /// Its metadata for the group's protocol.
    pub subscription: Bytes,
    /// What the leader gave it.
    pub assignment: Bytes,
}

/// A classic group as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadata {
    /// None for a group that nobody joined.
    pub protocol_type: Option<Arc<str>>,
    /// See `ClassicGroup::generation_id`.
    pub generation: i32,
    /// The protocol that was chosen.
    pub protocol: Option<Arc<str>>,
    /// The member that assigned.
    pub leader: Option<Arc<str>>,
    /// When the group came into its state; None when an old broker wrote it.
    pub state_timestamp_ms: Option<i64>,
    /// In the order of their ids.
    pub members: Vec<MemberMetadata>,
}

/// One record of `__consumer_offsets`. A value of None is a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// What a group has consumed of a partition.
    OffsetCommit {
        /// Which group.
        group_id: Arc<str>,
        /// Which topic.
        topic: Arc<str>,
        /// Which partition.
        partition: i32,
        /// The offset.
        value: Option<OffsetAndMetadata>,
    },
    /// A classic group.
    GroupMetadata {
        /// Which group.
        group_id: Arc<str>,
        /// The group.
        value: Option<GroupMetadata>,
    },
    /// A group of a type that is not served here exists, or was deleted.
    Unserved {
        /// Which group.
        group_id: Arc<str>,
        /// Its type.
        group_type: GroupType,
        /// False for a tombstone.
        exists: bool,
    },
}
