//! What a shard is asked and what it answers, free of wire formats.
//!
//! Strings are owned: a request decoded from the wire would pin its frame for as long as a member or
//! an offset lives.

use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::error::ErrorCode;
use uuid::Uuid;

use super::GroupType;
use super::classic::MemberSettings;

/// A caller that waits for the answer to its join or sync.
pub type Token = u64;

/// JoinGroup.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// The version of the API: what the client understands.
    pub version: i16,
    /// Which group.
    pub group_id: Arc<str>,
    /// Empty when the client has none yet.
    pub member_id: Arc<str>,
    /// Static members only.
    pub instance_id: Option<Arc<str>>,
    /// From the request header.
    pub client_id: Arc<str>,
    /// The client's address as Java prints it (`/127.0.0.1`).
    pub client_host: Arc<str>,
    /// What the group is for; all members agree on it.
    pub protocol_type: Arc<str>,
    /// Protocols and time-outs.
    pub settings: MemberSettings,
    /// Randomness for the case that the client needs a member id.
    pub new_member_uuid: Uuid,
}

/// One member, as the leader is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// Static members only.
    pub instance_id: Option<Arc<str>>,
    /// For the protocol that was chosen.
    pub metadata: Bytes,
}

/// The answer to a JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinReply {
    /// MEMBER_ID_REQUIRED comes with a member id.
    pub error: ErrorCode,
    /// The client's id from now on.
    pub member_id: Arc<str>,
    /// -1 with an error.
    pub generation_id: i32,
    /// The group's.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that was chosen.
    pub protocol_name: Option<Arc<str>>,
    /// The member that assigns.
    pub leader: Option<Arc<str>>,
    /// The leader need not assign: the assignment stays.
    pub skip_assignment: bool,
    /// For the leader only.
    pub members: Vec<JoinedMember>,
}

impl JoinReply {
    /// A refusal.
    pub fn error(error: ErrorCode, member_id: Arc<str>) -> Self {
        Self {
            error,
            member_id,
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            skip_assignment: false,
            members: Vec::new(),
        }
    }
}

/// SyncGroup.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// Which group.
    pub group_id: Arc<str>,
    /// The generation that the client joined.
    pub generation_id: i32,
    /// The client's id.
    pub member_id: Arc<str>,
    /// Static members only.
    pub instance_id: Option<Arc<str>>,
    /// Checked against the group's when given.
    pub protocol_type: Option<Arc<str>>,
    /// Checked against the group's when given.
    pub protocol_name: Option<Arc<str>>,
    /// From the leader: who gets what.
    pub assignments: Vec<(Arc<str>, Bytes)>,
}

/// The answer to a SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncReply {
    /// REBALANCE_IN_PROGRESS: join again.
    pub error: ErrorCode,
    /// The group's.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that was chosen.
    pub protocol_name: Option<Arc<str>>,
    /// What the leader gave this member.
    pub assignment: Bytes,
}

impl SyncReply {
    /// A refusal.
    pub fn error(error: ErrorCode) -> Self {
        Self {
            error,
            protocol_type: None,
            protocol_name: None,
            assignment: Bytes::new(),
        }
    }
}

/// Heartbeat.
#[derive(Debug, Clone)]
pub struct HeartbeatRequest {
    /// Which group.
    pub group_id: Arc<str>,
    /// The generation that the client joined.
    pub generation_id: i32,
    /// The client's id.
    pub member_id: Arc<str>,
    /// Static members only.
    pub instance_id: Option<Arc<str>>,
}

/// One of the members of a LeaveGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeavingMember {
    /// Empty when an administrator removes a static member.
    pub member_id: Arc<str>,
    /// Static members only.
    pub instance_id: Option<Arc<str>>,
}

/// LeaveGroup.
#[derive(Debug, Clone)]
pub struct LeaveRequest {
    /// Which group.
    pub group_id: Arc<str>,
    /// Who leaves.
    pub members: Vec<LeavingMember>,
}

/// One partition of an OffsetCommit.
#[derive(Debug, Clone)]
pub struct CommitPartition {
    /// Its number.
    pub partition: i32,
    /// The next offset to consume.
    pub offset: i64,
    /// Of the last consumed record; -1 when not known.
    pub leader_epoch: i32,
    /// The client's note.
    pub metadata: Option<Box<str>>,
}

/// Partitions of one topic, of whatever is asked of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicItems<T> {
    /// The topic's name.
    pub topic: Arc<str>,
    /// Nil when it is not known.
    pub topic_id: Uuid,
    /// In the order of the request.
    pub partitions: Vec<T>,
}

/// OffsetCommit.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The version of the API.
    pub version: i16,
    /// Which group.
    pub group_id: Arc<str>,
    /// Empty for clients that don't join.
    pub member_id: Arc<str>,
    /// Static members only.
    pub instance_id: Option<Arc<str>>,
    /// -1 for clients that don't join.
    pub generation_id: i32,
    /// How long to keep the offsets, -1 for the broker's setting.
    pub retention_time_ms: i64,
    /// The offsets.
    pub topics: Vec<TopicItems<CommitPartition>>,
}

/// One partition's outcome, of an OffsetCommit or OffsetDelete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionError {
    /// Its number.
    pub partition: i32,
    /// NONE when it went well.
    pub error: ErrorCode,
}

/// One group of an OffsetFetch.
#[derive(Debug, Clone)]
pub struct FetchRequest {
    /// Which group.
    pub group_id: Arc<str>,
    /// None for all that the group has committed.
    pub topics: Option<Vec<TopicItems<i32>>>,
    /// Fail partitions whose offsets a transaction may change.
    pub require_stable: bool,
}

/// One partition's committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedPartition {
    /// Its number.
    pub partition: i32,
    /// -1 when nothing is committed.
    pub offset: i64,
    /// -1 when not known.
    pub leader_epoch: i32,
    /// The client's note.
    pub metadata: Box<str>,
    /// UNSTABLE_OFFSET_COMMIT or NONE.
    pub error: ErrorCode,
}

/// OffsetDelete.
#[derive(Debug, Clone)]
pub struct DeleteOffsetsRequest {
    /// Which group.
    pub group_id: Arc<str>,
    /// Whose offsets to forget.
    pub topics: Vec<TopicItems<i32>>,
}

/// One line of ListGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its name.
    pub group_id: Arc<str>,
    /// Empty for simple groups.
    pub protocol_type: Arc<str>,
    /// Kafka's name of the state.
    pub state: &'static str,
    /// Classic, and so on.
    pub group_type: GroupType,
}

/// One member in DescribeGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// Static members only.
    pub instance_id: Option<Arc<str>>,
    /// As it joined.
    pub client_id: Arc<str>,
    /// As it joined.
    pub client_host: Arc<str>,
    /// Empty unless the group is stable.
    pub metadata: Bytes,
    /// What the leader gave it.
    pub assignment: Bytes,
}

/// One group in DescribeGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Its name.
    pub group_id: Arc<str>,
    /// Why there is nothing to tell.
    pub error: ErrorCode,
    /// For people.
    pub error_message: Option<String>,
    /// Kafka's name of the state; Dead when there is no such group.
    pub state: &'static str,
    /// Empty for simple groups.
    pub protocol_type: Arc<str>,
    /// The protocol that was chosen; empty unless the group is stable.
    pub protocol: Arc<str>,
    /// In the order of their ids.
    pub members: Vec<DescribedMember>,
}
