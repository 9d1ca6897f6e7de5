//! What the coordinator's log, one partition of `__consumer_offsets`, says of one group.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::TopicPartition;
use super::group::{Committed, Group, GroupDescription, TopicAssignment};
use super::resource::{Fault, Taken};
use super::snapshot::Offsets;

/// A member as its record tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggedMember {
    pub id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub host: Arc<str>,
    pub subscribed: Vec<Arc<str>>,
    /// A pattern of topics that the brokers resolve.
    pub pattern: Option<Arc<str>>,
    /// What it wants the brokers to assign with, of the new protocols only.
    pub assignor: Option<Arc<str>>,
    /// Of classic members only.
    pub session_timeout_ms: Option<i64>,
    /// How long it may take to give up what it owns, and in a classic group to join again.
    pub rebalance_timeout_ms: Option<i64>,
    /// Of a streams group: of the topology that it runs.
    pub topology_epoch: Option<i32>,
    pub assignment: Vec<TopicAssignment>,
}

/// What the assignments of streams groups call a part's tasks that are not active; the topic is
/// the part, and the partition the task's number.
pub const STANDBY_TASKS: &str = " (standby)";
pub const WARMUP_TASKS: &str = " (warm-up)";

/// What the application of a streams group is made of, as its record tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggedTopology {
    pub epoch: i32,
    /// The parts as assignments name them, with the topics that they read.
    pub parts: Vec<(Arc<str>, Vec<Arc<str>>)>,
}

/// What the record of a streams group's epoch says beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggedReadiness {
    /// The epoch of the topology all of whose topics are there; -1 where some are not.
    pub validated: i32,
    /// Settings that tasks are assigned by, as `num.standby.replicas=1`.
    pub settings: Vec<String>,
}

/// Where a member of the new protocols is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedState {
    pub epoch: i32,
    /// Before the last change of the epoch: 0 of a member that has only just joined.
    pub previous_epoch: i32,
    pub stage: LoggedStage,
}

/// What a member of the new protocols waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedStage {
    /// It owns what it shall own.
    Stable,
    /// It has partitions to give up.
    Revoking,
    /// Others have not yet given up what it shall own.
    Waiting,
}

/// A classic group after a rebalance, or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggedGroup {
    pub generation: i32,
    pub protocol: Arc<str>,
    pub leader: Arc<str>,
    /// When all members had joined; `None` from before Kafka 2.1.
    pub joined_at_ms: Option<i64>,
    pub members: Vec<LoggedMember>,
}

/// What one record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupFact {
    Commit {
        partition: TopicPartition,
        /// `None`: removed.
        offset: Option<i64>,
        at_ms: i64,
    },
    /// A classic group; `None`: removed.
    Classic(Option<LoggedGroup>),
    /// The epoch of a group of the new protocols; `None`: removed.
    Epoch {
        epoch: Option<i32>,
        /// Of the topics that the group reads; 0 where the brokers do not say.
        metadata_hash: i64,
        /// Of a streams group.
        readiness: Option<Box<LoggedReadiness>>,
    },
    /// What a streams group runs; `None`: removed.
    Topology(Option<Box<LoggedTopology>>),
    /// The topics that a pattern fits; `None`: nobody asks for it any more.
    Pattern {
        pattern: Arc<str>,
        topics: Option<Vec<Arc<str>>>,
    },
    /// A member of the new protocols; `None`: gone.
    Member {
        id: Arc<str>,
        member: Option<LoggedMember>,
    },
    /// The epoch for which the assignment was made.
    TargetEpoch(i32),
    Target {
        id: Arc<str>,
        assignment: Option<Vec<TopicAssignment>>,
    },
    Current {
        id: Arc<str>,
        /// `None`: gone.
        state: Option<LoggedState>,
    },
    /// A record of share or streams groups that tells nothing more here.
    Other(&'static str),
}

/// One record about the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    pub offset: i64,
    /// The first offset of its batch: what belongs together was written together.
    pub batch: i64,
    pub at_ms: i64,
    /// Of the partition's leader, which is the group's coordinator.
    pub leader_epoch: i32,
    pub fact: GroupFact,
}

/// How much of the log was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupLogReach {
    /// Of `__consumer_offsets`.
    pub partition: i32,
    pub from_offset: i64,
    pub to_offset: i64,
    pub bytes: u64,
    /// Whether it was read from its first record on; compaction may have removed some even so.
    pub is_whole: bool,
    /// From here on compaction has removed nothing.
    pub gapless_from: i64,
    /// The time of the oldest record that was read, of whatever group.
    pub oldest_ms: Option<i64>,
    /// Records that could not be understood.
    pub unread: u64,
}

impl GroupLogReach {
    /// Whether it was read from the first record that there ever was: then what compaction has
    /// left before [`Self::gapless_from`] is the whole state that the group had there.
    pub fn is_from_the_first(&self) -> bool {
        self.is_whole && self.from_offset == 0
    }
}

/// Everything that was found, in the order of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupLog {
    pub reach: GroupLogReach,
    pub records: Vec<GroupRecord>,
    /// The leader epoch of the partition now.
    pub leader_epoch: i32,
}

/// Where logs ended at earlier times: offset and milliseconds, oldest first.
pub type EndPoints = BTreeMap<TopicPartition, Vec<(i64, i64)>>;

/// A close look at one group.
#[derive(Clone, Debug, Default)]
pub struct GroupLook {
    pub taken: Taken,
    pub group: Option<Arc<Group>>,
    pub description: Option<Arc<GroupDescription>>,
    pub committed: Arc<Committed>,
    pub offsets: Offsets,
    /// Ends for those who read what is committed only.
    pub last_stable: BTreeMap<TopicPartition, i64>,
    /// When the record was written that would be read next.
    pub next_ms: BTreeMap<TopicPartition, i64>,
    pub ends: EndPoints,
    /// Of topics that delete what is old.
    pub retention_ms: BTreeMap<Arc<str>, i64>,
    /// Of members of the new protocols.
    pub session_timeout_ms: Option<i64>,
    pub log: Option<Result<Arc<GroupLog>, Arc<Fault>>>,
}
