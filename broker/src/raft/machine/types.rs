//! What goes into the machine and what comes out of it.

use kafka_shared::error::ErrorCode;

use super::super::quorum_records::{QuorumRecord, QuorumRecords};
use super::super::quorum_state::ElectionState;
use super::super::rpc::{CurrentLeader, Fetched, Request, Response, SnapshotId};
use super::super::voters::{ReplicaKey, VoterEndpoint, VoterSet};

/// What doesn't change while the machine runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node. The directory is always known.
    pub local: ReplicaKey,
    /// Where others reach this node's controller; empty for a broker.
    pub endpoints: Vec<VoterEndpoint>,
    /// The first of `controller.listener.names`: by which voters are reached.
    pub listener_name: String,
    /// The levels of kraft.version that this node can work at, both inclusive.
    pub kraft_version_min: i16,
    pub kraft_version_max: i16,
    /// Whether the node has the controller's role: it flushes before each fetch, as the leader may
    /// count it among the voters any time.
    pub can_become_voter: bool,
    /// `controller.quorum.auto.join.enable`.
    pub auto_join: bool,
    /// `controller.quorum.bootstrap.servers` as (host, port); empty with static voters.
    pub bootstrap_servers: Vec<(String, u16)>,
    /// `controller.quorum.voters`, in force while the log holds no voters. Directories are nil.
    pub static_voters: VoterSet,
    /// `controller.quorum.election.timeout.ms`.
    pub election_timeout_ms: i64,
    /// `controller.quorum.election.backoff.max.ms`.
    pub election_backoff_max_ms: i64,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout_ms: i64,
    /// `controller.quorum.request.timeout.ms`.
    pub request_timeout_ms: i64,
    /// `controller.quorum.retry.backoff.ms`.
    pub retry_backoff_ms: i64,
    /// How long a fetch of ours may be parked: 500 in Kafka.
    pub fetch_max_wait_ms: i32,
    /// `controller.quorum.fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `controller.quorum.fetch.snapshot.max.bytes`.
    pub fetch_snapshot_max_bytes: i32,
}

/// What the disk holds when the machine starts; all of it is flushed.
#[derive(Debug, Clone, Default)]
pub struct Start {
    pub election: ElectionState,
    /// The first offset that is kept, inclusive.
    pub log_start_offset: i64,
    /// Exclusive.
    pub log_end_offset: i64,
    /// The leader epoch cache: epochs and their start offsets, both ascending.
    pub epochs: Vec<(i32, i64)>,
    /// Complete snapshots, the one of the format (0-0) included.
    pub snapshots: Vec<SnapshotId>,
    /// What the newest snapshot says of voters and kraft.version.
    pub snapshot_records: QuorumRecords,
    /// Voters and kraft.version in the log from the newest snapshot's end on, by offset.
    pub control: Vec<(i64, QuorumRecord)>,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// Time went on; due by [`super::Raft::deadline_ms`] at the latest.
    Tick,
    /// Another node asks; answered by one [`Output::Reply`] with the token, maybe later.
    Request { token: u64, request: Request },
    /// The answer to [`Output::Send`]. Late and repeated ones do no harm.
    Response {
        correlation_id: u64,
        response: Response,
    },
    /// There is no answer to [`Output::Send`], or a top-level error. UNSUPPORTED_VERSION if the
    /// other side can't be asked that at all: a pre-vote below version 2 of Vote.
    SendFailed {
        correlation_id: u64,
        error: ErrorCode,
    },
    /// This leader's own batches are in the log now, not necessarily flushed. Control records of
    /// [`Output::AppendControl`] among them are listed too. All outputs of before have been taken,
    /// but for those behind the first [`Output::AppendControl`] of the epoch.
    Appended(Fetched),
    /// Everything below this offset of the local log is flushed.
    Flushed { end_offset: i64 },
    /// This node has made a snapshot of committed records.
    SnapshotCreated(SnapshotId),
    /// The log starts here now; snapshots that end below it are gone.
    LogStartAdvanced { start_offset: i64 },
    /// [`Output::InstallSnapshot`] is done, and this is what the snapshot says. The next input
    /// after that output.
    SnapshotInstalled(QuorumRecords),
    /// [`Output::InstallSnapshot`] was in vain: the snapshot was damaged on its way, and is gone. The log is as
    /// it was.
    SnapshotDamaged,
    /// UpdateFeatures raises kraft.version; answered by [`Output::UpgradeReply`].
    UpgradeKRaftVersion {
        token: u64,
        epoch: i32,
        version: i16,
        validate_only: bool,
    },
    /// The controller can't go on leading in this epoch.
    Resign { epoch: i32 },
    /// The node goes down; [`Output::ShutdownDone`] says when it may.
    Shutdown { timeout_ms: i64 },
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    Node(i32),
    /// By position in [`Config::bootstrap_servers`]; which node that is, is not known.
    Bootstrap(usize),
}

/// A record for [`Output::AppendControl`].
#[derive(Debug, Clone, PartialEq)]
pub enum ControlRecord {
    /// Ids of voters, and of those whose votes made this leader.
    LeaderChange {
        leader_id: i32,
        voters: Vec<i32>,
        granting_voters: Vec<i32>,
    },
    Quorum(QuorumRecord),
}

/// What has to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Write the quorum-state file, durably: [`ElectionState::to_file`] with these voters.
    PersistElection {
        election: ElectionState,
        /// The voters' ids at kraft.version 0, whose file names them; `None` from 1 on.
        static_voters: Option<Vec<i32>>,
    },
    /// Send to this host and port; answered by [`Input::Response`] or [`Input::SendFailed`].
    Send {
        correlation_id: u64,
        to: Peer,
        host: String,
        port: u16,
        request: Request,
    },
    /// Answer the request with this token.
    Reply { token: u64, response: Response },
    /// Answer [`Input::UpgradeKRaftVersion`].
    UpgradeReply {
        token: u64,
        error: ErrorCode,
        message: Option<String>,
    },
    /// This node leads: note the epoch in the log's epoch cache at this offset, the log's end, and
    /// take appends. An [`Output::AppendControl`] follows and has to be first in the log.
    BecomeLeader { epoch: i32, epoch_start_offset: i64 },
    /// Append these records as one control batch behind all that was taken before.
    AppendControl {
        epoch: i32,
        records: Vec<ControlRecord>,
    },
    /// This node no longer leads: drop what was not appended, fail what waits.
    StepDown { epoch: i32 },
    /// Who leads has changed as far as it is known.
    LeaderChanged(CurrentLeader),
    /// Everything below this offset is committed.
    HighWatermark(i64),
    /// Append the bytes that came with this response up to the offset (exclusive).
    AppendFetched {
        correlation_id: u64,
        end_offset: i64,
        /// Whether it has to be durable before the next output.
        flush: bool,
    },
    /// Flush the whole log.
    Flush,
    /// Cut the log off at this offset (exclusive).
    Truncate { end_offset: i64 },
    /// A download starts: have an empty file for it.
    CreateSnapshot(SnapshotId),
    /// Append the bytes that came with this response to the file.
    AppendSnapshot { correlation_id: u64 },
    /// The download was given up: drop the file.
    DropSnapshot(SnapshotId),
    /// The file is complete: make it durable under its name, empty the log and start it at the
    /// snapshot's end. Answered by [`Input::SnapshotInstalled`] or [`Input::SnapshotDamaged`].
    InstallSnapshot(SnapshotId),
    /// Another node says what can't be; for people.
    Fault(String),
    /// After [`Input::Shutdown`] nothing is left to do.
    ShutdownDone,
}

/// What the leader knows of a replica. Times are those of the inputs, -1 for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaProgress {
    /// Flushed below this offset; -1 if unknown.
    pub end_offset: i64,
    pub last_fetch_ms: i64,
    pub last_caught_up_ms: i64,
}

/// The state for those who describe the quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumInfo {
    pub epoch: i32,
    /// -1 if unknown.
    pub leader_id: i32,
    /// -1 if unknown.
    pub high_watermark: i64,
    pub is_leader: bool,
    /// Progress of every voter, by id; known to the leader only.
    pub voters: Vec<(ReplicaKey, ReplicaProgress)>,
    /// Progress of every other replica that fetched lately; known to the leader only.
    pub observers: Vec<(ReplicaKey, ReplicaProgress)>,
}
