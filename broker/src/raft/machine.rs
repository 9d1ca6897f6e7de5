//! The Raft machine of one node: inputs and the time in, outputs to be carried out in order.
//!
//! The machine never touches record bytes, the disk, the network or a clock. The driver gives it
//! what happened through [`Raft::step`] and carries out what [`Raft::poll_output`] yields, one after
//! the other: an output that writes ([`Output::PersistElection`], [`Output::AppendFetched`],
//! [`Output::Flush`], [`Output::Truncate`], [`Output::InstallSnapshot`]) is durable before the next
//! output is taken, as what follows may tell others of it. A write that fails ends the node. The
//! machine keeps its own table of the log's epochs, snapshots and voters, which follows from its own
//! outputs and from [`Input::Appended`]; the driver need not tell it what it has ordered itself.
//!
//! ```text
//! from         to           when
//! start        Resigned     it led the persisted epoch: no vote, no append in that epoch again
//! start        Candidate    it had voted for itself in the persisted epoch
//! start        Follower     the persisted epoch has another leader whose endpoint is known
//! start        Unattached   otherwise
//! Unattached   Prospective  election time-out, if a voter
//! Follower     Prospective  no successful fetch for the fetch time-out, if a voter
//! Prospective  Candidate    a majority would vote for it, or a voter knows no pre-votes; epoch + 1
//! Prospective  Follower     a majority would not, or time-out, and the leader is known
//! Prospective  Unattached   a majority would not, or time-out, and no leader is known
//! Candidate    Leader       a majority granted its vote
//! Candidate    Prospective  election time-out
//! Leader       Resigned     shutdown, no majority fetches, removed from the voters, or asked to
//! Resigned     Unattached   election time-out; epoch + 1
//! any          Unattached   a greater epoch was seen
//! any          Follower     the leader of the same or a greater epoch was seen
//! ```
//!
//! Observers are Unattached or Followers only. A lone voter has nobody to wait for: it stands for
//! election at once, and wins.
//!
//! Whatever this node tells of its log (the offset of a fetch, the end of its log in a vote request)
//! is flushed first, so a crash can't take back what others have counted on.
//!
//! Kafka: `raft/KafkaRaftClient.java`, `raft/QuorumState.java`, `raft/LeaderState.java` (4.3),
//! KIP-595, KIP-630, KIP-853, KIP-996.

mod connections;
mod election;
mod fetch;
mod follower;
mod leader;
mod log_table;
mod responses;
mod roles;
#[cfg(test)]
mod tests;
mod types;
mod voter_changes;

use std::collections::{BTreeSet, VecDeque};

pub use types::{Config, ControlRecord, Input, Output, Peer, QuorumInfo, ReplicaProgress, Start};

use self::connections::{Connections, Kind};
use self::log_table::LogTable;
use self::roles::Role;
use super::quorum_records::QuorumRecords;
use super::quorum_state::ElectionState;
use super::rpc::{CurrentLeader, LogEnd, Request, Response, SnapshotId};
use super::voters::{ReplicaKey, VoterEndpoint, VoterNode, VoterSet};

/// The machine of one node. See the module.
#[derive(Debug, Clone)]
pub struct Raft {
    config: Config,
    log: LogTable,
    epoch: i32,
    /// Who got this node's vote in the epoch.
    voted: Option<ReplicaKey>,
    role: Role,
    /// Counts the changes of role.
    role_changes: u64,
    /// What this node knows to be committed; -1 if nothing.
    high_watermark: i64,
    connections: Connections,
    random: u64,
    persisted: Option<(ElectionState, Option<Vec<i32>>)>,
    announced: CurrentLeader,
    /// A downloaded snapshot takes the place of the log.
    installing: Option<SnapshotId>,
    /// Until when a shutdown may wait.
    shutdown_until_ms: Option<i64>,
    /// Who could not be reached since the shutdown began.
    unreachable: BTreeSet<Peer>,
    is_closed: bool,
    deadline_ms: i64,
    outputs: VecDeque<Output>,
}

impl Raft {
    /// The machine after a start of the node. Everything on disk is flushed; `seed` makes the
    /// time-outs differ between nodes. Outputs may already wait.
    pub fn new(config: Config, start: Start, seed: u64, now_ms: i64) -> Self {
        let log = LogTable::new(&start, config.static_voters.clone());
        let high_watermark = log.latest_snapshot().map_or(-1, |id| id.end_offset);
        let mut raft = Self {
            connections: Connections::new(config.request_timeout_ms, config.retry_backoff_ms),
            epoch: start.election.epoch,
            voted: start.election.voted,
            role: Role::unattached(None, i64::MAX),
            role_changes: 0,
            high_watermark,
            random: seed,
            persisted: None,
            announced: CurrentLeader::default(),
            installing: None,
            shutdown_until_ms: None,
            unreachable: BTreeSet::new(),
            is_closed: false,
            deadline_ms: now_ms,
            outputs: VecDeque::new(),
            log,
            config,
        };
        raft.restore_role(now_ms, &start.election);
        raft.poll(now_ms);
        raft
    }

    /// Takes one input; what follows from it is in the outputs. Time never goes back.
    pub fn step(&mut self, now_ms: i64, input: Input) {
        match input {
            Input::Tick => {}
            Input::Request { token, request } => self.request(now_ms, token, request),
            Input::Response {
                correlation_id,
                response,
            } => self.response(now_ms, correlation_id, Ok(response)),
            Input::SendFailed {
                correlation_id,
                error,
            } => self.response(now_ms, correlation_id, Err(error)),
            Input::Appended(appended) => self.appended(now_ms, &appended),
            Input::Flushed { end_offset } => self.flushed(end_offset),
            Input::SnapshotCreated(id) => self.log.add_snapshot(id),
            Input::LogStartAdvanced { start_offset } => self.log.advance_start(start_offset),
            Input::SnapshotInstalled(records) => self.snapshot_installed(now_ms, &records),
            Input::SnapshotDamaged => self.snapshot_damaged(now_ms),
            Input::UpgradeKRaftVersion {
                token,
                epoch,
                version,
                validate_only,
            } => self.upgrade(token, epoch, version, validate_only),
            Input::Resign { epoch } => self.request_resign(epoch),
            Input::Shutdown { timeout_ms } => {
                self.shutdown_until_ms = Some(now_ms.saturating_add(timeout_ms));
            }
        }
        self.poll(now_ms);
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When the machine needs a [`Input::Tick`] at the latest; `i64::MAX` for never.
    pub fn deadline_ms(&self) -> i64 {
        self.deadline_ms
    }

    /// The current epoch.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The epoch in which this node leads.
    pub fn leading_epoch(&self) -> Option<i32> {
        self.is_leader().then_some(self.epoch)
    }

    /// Who leads as far as this node knows. A leader that has resigned does not.
    pub fn leader(&self) -> CurrentLeader {
        match self.role {
            Role::Resigned(_) => CurrentLeader {
                epoch: self.epoch,
                ..CurrentLeader::default()
            },
            _ => self.current_leader(),
        }
    }

    /// Everything below this offset is committed, as far as this node knows; -1 for nothing.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// The end of the log.
    pub fn log_end(&self) -> LogEnd {
        self.log.end()
    }

    /// The voters in force.
    pub fn voters(&self) -> &VoterSet {
        self.log.voters()
    }

    /// Whether this node is a voter.
    pub fn is_voter(&self) -> bool {
        self.log.voters().contains(self.config.local)
    }

    /// Whether this node may stand for election: it is a voter, or was one before a change that it
    /// doesn't know to be committed.
    ///
    /// Differs from Kafka, where only those may who are voters by their own log. A leader that has
    /// appended its own removal and fails may hold the longest log, with which nobody else can win
    /// its vote; then no leader is ever elected again.
    fn may_lead(&self) -> bool {
        let mut sets = self.log.possible_voters(self.high_watermark);
        sets.any(|voters| voters.contains(self.config.local))
    }

    /// The level of kraft.version, also one that is asked for and not yet in the log.
    pub fn kraft_version(&self) -> i16 {
        self.requested_kraft_version()
            .unwrap_or_else(|| self.log.kraft_version())
    }

    /// Voters and kraft.version below an offset (exclusive), for a snapshot that ends there. The
    /// voters are empty if they are the static ones.
    pub fn quorum_records(&self, end_offset: i64) -> QuorumRecords {
        self.log.quorum_records(end_offset)
    }

    /// The name of the role that this node plays, for people.
    pub fn role_name(&self) -> &'static str {
        self.role.name()
    }

    fn request(&mut self, now_ms: i64, token: u64, request: Request) {
        let response = match request {
            Request::Vote(request) => Response::Vote(self.vote_requested(now_ms, &request)),
            Request::BeginQuorumEpoch(request) => {
                Response::BeginQuorumEpoch(self.quorum_epoch_begun(now_ms, &request))
            }
            Request::EndQuorumEpoch(request) => {
                Response::EndQuorumEpoch(self.quorum_epoch_ended(now_ms, &request))
            }
            Request::Fetch(request) => return self.fetch_requested(now_ms, token, request),
            Request::FetchSnapshot(request) => {
                Response::FetchSnapshot(self.snapshot_requested(now_ms, &request))
            }
            Request::AddRaftVoter(request) => return self.add_voter(now_ms, token, request),
            Request::RemoveRaftVoter(request) => return self.remove_voter(now_ms, token, request),
            Request::UpdateRaftVoter(request) => {
                Response::UpdateRaftVoter(self.update_voter(now_ms, request))
            }
            // Answered by the network layer.
            Request::ApiVersions => return,
        };
        self.outputs.push_back(Output::Reply { token, response });
    }

    /// Does what is due, and finds out when something is due next.
    fn poll(&mut self, now_ms: i64) {
        loop {
            if self.is_closed || self.installing.is_some() {
                self.deadline_ms = i64::MAX;
                break;
            }
            if self.may_shut_down(now_ms) {
                self.close(now_ms);
                continue;
            }
            let role_changes = self.role_changes;
            let deadline_ms = match self.role {
                Role::Unattached(_) => self.poll_unattached(now_ms),
                Role::Prospective(_) | Role::Candidate(_) => self.poll_nominee(now_ms),
                Role::Follower(_) => self.poll_follower(now_ms),
                Role::Leader(_) => self.poll_leader(now_ms),
                Role::Resigned(_) => self.poll_resigned(now_ms),
            };
            if role_changes == self.role_changes {
                self.deadline_ms = deadline_ms.min(self.shutdown_until_ms.unwrap_or(i64::MAX));
                break;
            }
        }
        self.announce_leader();
    }

    /// Whether nobody needs this node: another one leads, it can't lead, all who are there know that
    /// it leads no more, nobody is there, or it has waited enough.
    ///
    /// Differs from Kafka, where a leader that goes waits until another one is elected, and the last
    /// node of a quorum that stops waits for an election that can't come.
    fn may_shut_down(&self, now_ms: i64) -> bool {
        self.shutdown_until_ms.is_some_and(|until_ms| {
            let has_remote_leader = self
                .current_leader()
                .id
                .is_some_and(|id| id != self.config.local.id);
            let voters = self.log.voters();
            now_ms >= until_ms
                || !self.may_lead()
                || voters.is_only(self.config.local)
                || has_remote_leader
                || self.is_left_alone()
        })
    }

    fn is_left_alone(&self) -> bool {
        let local_id = self.config.local.id;
        let is_gone = |id: &i32| self.unreachable.contains(&Peer::Node(*id));
        match &self.role {
            Role::Leader(_) | Role::Follower(_) => false,
            Role::Resigned(role) => role.unacked.iter().all(is_gone),
            Role::Prospective(_) | Role::Candidate(_) => {
                let voters = self.log.voters().ids();
                voters.iter().filter(|id| **id != local_id).all(is_gone)
            }
            Role::Unattached(_) => {
                let servers = self.bootstrap();
                servers
                    .iter()
                    .all(|(peer, _)| self.unreachable.contains(peer))
            }
        }
    }

    fn close(&mut self, now_ms: i64) {
        if self.is_leader() {
            self.become_resigned(now_ms);
        }
        self.is_closed = true;
        self.outputs.push_back(Output::ShutdownDone);
    }

    fn announce_leader(&mut self) {
        let leader = self.leader();
        if leader != self.announced {
            self.announced = leader.clone();
            self.outputs.push_back(Output::LeaderChanged(leader));
        }
    }

    /// This node as an entry of the voter set.
    fn local_voter(&self) -> VoterNode {
        VoterNode {
            key: self.config.local,
            endpoints: self.config.endpoints.clone(),
            kraft_version_min: self.config.kraft_version_min,
            kraft_version_max: self.config.kraft_version_max,
        }
    }

    /// Before others are told where the log ends.
    fn ensure_flushed(&mut self) {
        if self.log.flushed_offset < self.log.end_offset {
            self.log.flushed_offset = self.log.end_offset;
            self.outputs.push_back(Output::Flush);
        }
    }

    fn advance_local_high_watermark(&mut self, offset: i64) {
        if offset > self.high_watermark {
            self.high_watermark = offset;
            self.outputs.push_back(Output::HighWatermark(offset));
        }
    }

    /// Another node says what can't be, if nobody is broken.
    fn fault(&mut self, text: String) {
        self.outputs.push_back(Output::Fault(text));
    }

    /// A random number below the limit.
    fn random_below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }

    /// Somewhere between one and two election time-outs from now.
    fn election_deadline(&mut self, now_ms: i64) -> i64 {
        let timeout_ms = self.config.election_timeout_ms.max(1);
        let jitter = self.random_below(timeout_ms.unsigned_abs());
        now_ms
            .saturating_add(timeout_ms)
            .saturating_add(i64::try_from(jitter).unwrap_or(0))
    }

    /// Sends if the peer is ready. Returns whether it was, and until when the peer is busy.
    fn send(
        &mut self,
        now_ms: i64,
        to: Peer,
        address: (String, u16),
        kind: Kind,
        request: impl FnOnce(&mut Self) -> Request,
    ) -> (bool, i64) {
        if let Some(until_ms) = self.connections.busy_until(to, now_ms) {
            return (false, until_ms);
        }
        let request = request(self);
        let (correlation_id, until_ms) = self.connections.sent(to, kind, now_ms);
        let (host, port) = address;
        self.outputs.push_back(Output::Send {
            correlation_id,
            to,
            host,
            port,
            request,
        });
        (true, until_ms)
    }

    /// Sends to a voter, if its endpoint is known.
    fn send_to_voter(
        &mut self,
        now_ms: i64,
        id: i32,
        kind: Kind,
        request: impl FnOnce(&mut Self) -> Request,
    ) -> i64 {
        let Some(address) = self.log.voters().address(id, &self.config.listener_name) else {
            return i64::MAX;
        };
        self.send(now_ms, Peer::Node(id), address, kind, request).1
    }

    fn endpoints_of(&self, leader: &CurrentLeader) -> Vec<VoterEndpoint> {
        match leader.id {
            // Nodes that know no reconfiguration don't say where the leader is.
            Some(id) if leader.endpoints.is_empty() => self.log.voters().endpoints(id),
            _ => leader.endpoints.clone(),
        }
    }
}
