//! What the nodes of a quorum say to each other, apart from how it travels.
//!
//! The machine takes and gives these structs; the transport turns them into Kafka's messages. What
//! the machine does not need stays outside: the cluster id and the topic of a request are checked
//! before the machine hears of it, and a top-level error of a response arrives as
//! [`super::machine::Input::SendFailed`]. Record bytes are not in here either: a response says what
//! is to be read, or what the bytes that came with it hold.
//!
//! Kafka: `raft/RaftUtil.java` (4.3) and the schemas of APIs 1, 52–55, 59, 80–82.

use kafka_shared::error::ErrorCode;

use super::quorum_records::QuorumRecord;
use super::voters::{ReplicaKey, VoterEndpoint};

/// The end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogEnd {
    /// Exclusive.
    pub end_offset: i64,
    /// The greatest epoch in the log; 0 if there is none.
    pub last_epoch: i32,
}

impl LogEnd {
    /// Whether a log with this end holds all that a log with the `other` end may have committed.
    pub fn is_up_to_date_with(self, other: Self) -> bool {
        (self.last_epoch, self.end_offset) >= (other.last_epoch, other.end_offset)
    }
}

/// Which snapshot: all records below an offset, the last of them written in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    // Kafka compares the epoch first.
    pub epoch: i32,
    /// Exclusive.
    pub end_offset: i64,
}

impl SnapshotId {
    /// The file with which a node is formatted. It is never sent to others.
    pub const BOOTSTRAP: Self = Self {
        epoch: 0,
        end_offset: 0,
    };
}

/// Where the epoch that the follower named last ends in the leader's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    pub epoch: i32,
    /// Exclusive.
    pub end_offset: i64,
}

/// Who leads, as the responder knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CurrentLeader {
    pub id: Option<i32>,
    pub epoch: i32,
    /// On the way out all listeners of the leader, of which the transport sends the one that the
    /// request came in by; on the way in that one, under the name of the listener for controllers.
    pub endpoints: Vec<VoterEndpoint>,
}

/// Vote (52).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoteRequest {
    pub candidate: ReplicaKey,
    pub epoch: i32,
    /// Who is meant to be asked; `None` at version 0.
    pub voter: Option<ReplicaKey>,
    pub log: LogEnd,
    /// Only asks whether the vote would be given. Version 2.
    pub pre_vote: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteResponse {
    pub error: ErrorCode,
    pub leader: CurrentLeader,
    pub vote_granted: bool,
}

/// BeginQuorumEpoch (53).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginQuorumEpochRequest {
    pub leader_id: i32,
    pub epoch: i32,
    /// Who is meant to be told; `None` at version 0.
    pub voter: Option<ReplicaKey>,
    /// Empty at version 0.
    pub endpoints: Vec<VoterEndpoint>,
}

/// EndQuorumEpoch (54).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndQuorumEpochRequest {
    pub leader_id: i32,
    pub epoch: i32,
    /// Who should lead next, the best first. At version 0 the directories are not known.
    pub preferred_candidates: Vec<ReplicaKey>,
    /// Empty at version 0.
    pub endpoints: Vec<VoterEndpoint>,
}

/// The response of [`BeginQuorumEpochRequest`] and [`EndQuorumEpochRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumEpochResponse {
    pub error: ErrorCode,
    pub leader: CurrentLeader,
}

/// Fetch (1) of the metadata log by a replica, or by a node that looks for the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchRequest {
    /// The id is -1 for one that is no replica.
    pub replica: ReplicaKey,
    pub epoch: i32,
    /// The replica has flushed everything below it.
    pub fetch_offset: i64,
    pub last_fetched_epoch: i32,
    /// What the replica knows to be committed, -1 if nothing. `i64::MAX` below version 18, where
    /// a news of the high watermark alone doesn't end the wait.
    pub high_watermark: i64,
    pub max_wait_ms: i32,
    pub max_bytes: i32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FetchResponse {
    pub error: ErrorCode,
    pub leader: CurrentLeader,
    /// -1 if unknown.
    pub high_watermark: i64,
    pub log_start_offset: i64,
    pub diverging_epoch: Option<EpochEndOffset>,
    pub snapshot_id: Option<SnapshotId>,
    pub records: FetchRecords,
}

/// The records of a [`FetchResponse`].
#[derive(Debug, Clone, PartialEq, Default)]
pub enum FetchRecords {
    #[default]
    None,
    /// On the way out: the transport reads whole batches from this offset of the local log on, up
    /// to its end, committed or not; at least one, and about `max_bytes`.
    Read { from: i64, max_bytes: i32 },
    /// On the way in: what the bytes hold, see [`super::quorum_records::fetched`].
    Fetched(Fetched),
}

/// What a run of batches holds, as far as the machine cares.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fetched {
    pub batches: Vec<BatchInfo>,
    /// The voters and kraft.version among them, with their offsets.
    pub control: Vec<(i64, QuorumRecord)>,
}

/// One batch of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchInfo {
    /// Inclusive.
    pub base_offset: i64,
    /// Exclusive.
    pub next_offset: i64,
    pub epoch: i32,
}

/// FetchSnapshot (59).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchSnapshotRequest {
    pub replica: ReplicaKey,
    pub epoch: i32,
    pub snapshot_id: SnapshotId,
    /// In bytes.
    pub position: i64,
    pub max_bytes: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchSnapshotResponse {
    pub error: ErrorCode,
    pub leader: CurrentLeader,
    pub snapshot_id: Option<SnapshotId>,
    /// Of the whole snapshot in bytes. On the way out 0: the transport, which knows the file, fills
    /// it in, or answers SNAPSHOT_NOT_FOUND or POSITION_OUT_OF_RANGE instead.
    pub size: i64,
    pub position: i64,
    /// On the way in: how many bytes came. On the way out: how many may be sent.
    pub bytes: i64,
}

/// AddRaftVoter (80).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddRaftVoterRequest {
    pub voter: ReplicaKey,
    pub endpoints: Vec<VoterEndpoint>,
    /// Always so at version 0.
    pub ack_when_committed: bool,
}

/// RemoveRaftVoter (81).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveRaftVoterRequest {
    pub voter: ReplicaKey,
}

/// The response of [`AddRaftVoterRequest`] and [`RemoveRaftVoterRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterChangeResponse {
    pub error: ErrorCode,
    pub message: Option<String>,
}

/// UpdateRaftVoter (82).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateRaftVoterRequest {
    pub epoch: i32,
    pub voter: ReplicaKey,
    pub endpoints: Vec<VoterEndpoint>,
    /// Both inclusive.
    pub kraft_version_min: i16,
    pub kraft_version_max: i16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateRaftVoterResponse {
    pub error: ErrorCode,
    pub leader: CurrentLeader,
}

/// The levels of kraft.version that ApiVersions (18) declares, both inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiVersionsResponse {
    pub error: ErrorCode,
    pub kraft_version: Option<(i16, i16)>,
}

/// A request, from here or to here.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    Vote(VoteRequest),
    BeginQuorumEpoch(BeginQuorumEpochRequest),
    EndQuorumEpoch(EndQuorumEpochRequest),
    Fetch(FetchRequest),
    FetchSnapshot(FetchSnapshotRequest),
    AddRaftVoter(AddRaftVoterRequest),
    RemoveRaftVoter(RemoveRaftVoterRequest),
    UpdateRaftVoter(UpdateRaftVoterRequest),
    /// Only sent by the machine, never given to it.
    ApiVersions,
}

/// A response, from here or to here.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    Vote(VoteResponse),
    BeginQuorumEpoch(QuorumEpochResponse),
    EndQuorumEpoch(QuorumEpochResponse),
    Fetch(FetchResponse),
    FetchSnapshot(FetchSnapshotResponse),
    AddRaftVoter(VoterChangeResponse),
    RemoveRaftVoter(VoterChangeResponse),
    UpdateRaftVoter(UpdateRaftVoterResponse),
    /// Only given to the machine, never sent by it.
    ApiVersions(ApiVersionsResponse),
}
