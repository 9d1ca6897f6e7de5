//! The Raft machine: inputs and the time in, outputs to be carried out in order.
//!
//! ```text
//! from        to          when
//! start       Resigned    it led the persisted epoch: no vote, no append in that epoch again
//! start       Candidate   it had voted for itself in the persisted epoch
//! start       Follower    the persisted epoch has another leader
//! start       Unattached  otherwise
//! Unattached  Candidate   election time-out, if a voter; epoch + 1
//! Follower    Candidate   fetch time-out, if a voter; epoch + 1
//! Resigned    Candidate   election time-out, if a voter; epoch + 1
//! Candidate   Candidate   election time-out; epoch + 1
//! Candidate   Leader      a majority granted its vote
//! any         Unattached  a greater epoch was seen
//! any         Follower    the leader of the same or a greater epoch was seen
//! Leader      Resigned    shutdown
//! ```
//!
//! A quorum of one has nobody to wait for: the only voter stands for election at once, and wins.
//!
//! The caller carries the outputs out one after the other: [`Output::PersistElection`] must be on
//! disk before what comes after it is done, as an epoch or a vote that others know of must survive
//! a crash.
//!
//! Kafka: `raft/QuorumState.java`, `raft/LeaderState.java`, `raft/EpochElection.java` (4.3).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::quorum_state::ElectionState;
use super::voters::{ReplicaKey, VoterSet};

/// What doesn't change while the machine runs.
#[derive(Debug, Clone)]
pub struct Config {
    pub local: ReplicaKey,
    /// `controller.quorum.election.timeout.ms`.
    pub election_timeout_ms: i64,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout_ms: i64,
}

/// The end of the local log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// Exclusive.
    pub end_offset: i64,
    /// Epoch of the last batch; 0 if there is none.
    pub last_epoch: i32,
}

/// A request for this node's vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoteRequest {
    pub candidate: ReplicaKey,
    pub epoch: i32,
    pub log: LogEnd,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// Time went on; due by [`Raft::deadline_ms`] at the latest.
    Tick,
    /// The local log ends here now, not necessarily flushed.
    Appended(LogEnd),
    /// Everything below this offset of the local log is flushed.
    Flushed { end_offset: i64 },
    /// A node asks for a vote; answered by [`Output::Vote`].
    VoteRequested(VoteRequest),
    /// A voter has answered a request for its vote.
    VoteReceived {
        voter: ReplicaKey,
        epoch: i32,
        is_granted: bool,
    },
    /// A node was heard to lead.
    LeaderSeen { leader_id: i32, epoch: i32 },
    /// A replica fetched: it has flushed everything below this offset.
    ReplicaFetched { replica: ReplicaKey, offset: i64 },
    /// The voter set or kraft.version in the log changed.
    VotersChanged(VoterSet),
    /// The node goes down: lead no longer.
    Resign,
}

/// What has to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Write the quorum-state file, durably, before anything that follows.
    PersistElection(ElectionState),
    /// Ask a voter for its vote.
    RequestVote {
        voter: ReplicaKey,
        epoch: i32,
        log: LogEnd,
    },
    /// The answer to [`Input::VoteRequested`].
    Vote {
        candidate: ReplicaKey,
        epoch: i32,
        is_granted: bool,
    },
    /// This node leads: write the epoch's first batch at `epoch_start_offset`.
    BecomeLeader {
        epoch: i32,
        epoch_start_offset: i64,
        granting_voters: Vec<i32>,
    },
    /// This node no longer leads: drop what was not appended, fail what waits.
    StepDown { epoch: i32 },
    /// Everything below this offset is committed.
    HighWatermark(i64),
}

#[derive(Debug, Clone)]
enum Role {
    Unattached {
        deadline_ms: i64,
    },
    Follower {
        leader_id: i32,
        deadline_ms: i64,
    },
    Candidate {
        granted: BTreeSet<i32>,
        rejected: BTreeSet<i32>,
        deadline_ms: i64,
    },
    Leader(Leader),
    Resigned {
        deadline_ms: i64,
    },
}

#[derive(Debug, Clone)]
struct Leader {
    epoch_start_offset: i64,
    replicas: BTreeMap<ReplicaKey, ReplicaProgress>,
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

/// The Raft machine of one node.
#[derive(Debug, Clone)]
pub struct Raft {
    config: Config,
    voters: VoterSet,
    epoch: i32,
    voted: Option<ReplicaKey>,
    role: Role,
    log: LogEnd,
    flushed_offset: i64,
    high_watermark: i64,
    /// Drawn anew for each election, so that candidates don't collide for ever.
    jitter: u64,
    outputs: VecDeque<Output>,
}

impl Raft {
    /// The machine after a start of the node: `election` from the quorum-state file, `log` the end
    /// of the log, all of it flushed. `high_watermark` is what is known to be committed, as the end
    /// of the newest snapshot; `seed` makes the time-outs differ between nodes.
    pub fn new(
        config: Config,
        voters: VoterSet,
        election: ElectionState,
        log: LogEnd,
        high_watermark: i64,
        seed: u64,
        now_ms: i64,
    ) -> Self {
        let mut raft = Self {
            config,
            voters,
            epoch: election.epoch,
            voted: election.voted,
            role: Role::Unattached {
                deadline_ms: i64::MAX,
            },
            log,
            flushed_offset: log.end_offset,
            high_watermark,
            jitter: seed,
            outputs: VecDeque::new(),
        };
        let is_alone = raft.voters.len() == 1 && raft.is_voter();
        if is_alone {
            // Nobody else can have led or voted, so the next epoch is free.
            raft.epoch = election.epoch.max(log.last_epoch) + 1;
            raft.voted = Some(raft.config.local);
            raft.stand(now_ms);
        } else if election.epoch < log.last_epoch {
            // The file is lost or older than the log: whatever it says about votes is void.
            raft.epoch = log.last_epoch;
            raft.voted = None;
            raft.become_unattached(now_ms);
        } else if election.leader_id == Some(raft.config.local.id) {
            raft.role = Role::Resigned {
                deadline_ms: raft.election_deadline(now_ms),
            };
        } else if let Some(leader_id) = election.leader_id {
            raft.role = Role::Follower {
                leader_id,
                deadline_ms: raft.fetch_deadline(now_ms),
            };
        } else if election.voted == Some(raft.config.local) && raft.is_voter() {
            raft.stand(now_ms);
        } else {
            raft.become_unattached(now_ms);
        }
        raft
    }

    /// The current epoch.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The leader's id if it is known.
    pub fn leader_id(&self) -> Option<i32> {
        match &self.role {
            Role::Leader(_) => Some(self.config.local.id),
            Role::Follower { leader_id, .. } => Some(*leader_id),
            _ => None,
        }
    }

    /// Everything below this offset is committed.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// When the machine needs a [`Input::Tick`] at the latest; `i64::MAX` for never.
    pub fn deadline_ms(&self) -> i64 {
        match &self.role {
            Role::Unattached { deadline_ms }
            | Role::Follower { deadline_ms, .. }
            | Role::Candidate { deadline_ms, .. }
            | Role::Resigned { deadline_ms } => *deadline_ms,
            Role::Leader(_) => i64::MAX,
        }
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes one input; what follows from it is in the outputs.
    pub fn step(&mut self, now_ms: i64, input: Input) {
        match input {
            Input::Tick => self.tick(now_ms),
            Input::Appended(log) => {
                debug_assert!(log.end_offset >= self.log.end_offset || !self.is_leader());
                self.log = log;
                self.flushed_offset = self.flushed_offset.min(log.end_offset);
            }
            Input::Flushed { end_offset } => {
                self.flushed_offset = self.flushed_offset.max(end_offset.min(self.log.end_offset));
                self.advance_high_watermark();
            }
            Input::VoteRequested(request) => self.vote_requested(now_ms, &request),
            Input::VoteReceived {
                voter,
                epoch,
                is_granted,
            } => {
                self.vote_received(now_ms, voter, epoch, is_granted);
            }
            Input::LeaderSeen { leader_id, epoch } => self.leader_seen(now_ms, leader_id, epoch),
            Input::ReplicaFetched { replica, offset } => {
                self.replica_fetched(now_ms, replica, offset);
            }
            Input::VotersChanged(voters) => {
                self.voters = voters;
                self.advance_high_watermark();
            }
            Input::Resign => self.resign(now_ms),
        }
    }

    /// The state for those who describe the quorum.
    pub fn info(&self, now_ms: i64) -> QuorumInfo {
        let mut info = QuorumInfo {
            epoch: self.epoch,
            leader_id: self.leader_id().unwrap_or(-1),
            high_watermark: self.high_watermark,
            is_leader: self.is_leader(),
            voters: Vec::new(),
            observers: Vec::new(),
        };
        let Role::Leader(leader) = &self.role else {
            return info;
        };
        for voter in self.voters.iter() {
            let progress = if voter.key.id == self.config.local.id {
                ReplicaProgress {
                    end_offset: self.log.end_offset,
                    last_fetch_ms: now_ms,
                    last_caught_up_ms: now_ms,
                }
            } else {
                leader.progress(voter.key)
            };
            info.voters.push((voter.key, progress));
        }
        let others = leader
            .replicas
            .iter()
            .filter(|(key, _)| !self.voters.contains(**key));
        info.observers = others.map(|(key, progress)| (*key, *progress)).collect();
        info
    }

    fn is_voter(&self) -> bool {
        self.voters.contains(self.config.local)
    }

    fn election(&self) -> ElectionState {
        ElectionState {
            epoch: self.epoch,
            leader_id: self.leader_id(),
            voted: if self.leader_id().is_some() {
                None
            } else {
                self.voted
            },
        }
    }

    fn persist(&mut self) {
        let election = self.election();
        self.outputs.push_back(Output::PersistElection(election));
    }

    /// Somewhere between one and two election time-outs from now.
    fn election_deadline(&mut self, now_ms: i64) -> i64 {
        self.jitter = self
            .jitter
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let timeout = self.config.election_timeout_ms.max(1);
        let part = i64::try_from(self.jitter >> 33).unwrap_or(0) % timeout;
        now_ms.saturating_add(timeout).saturating_add(part)
    }

    fn fetch_deadline(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(self.config.fetch_timeout_ms)
    }

    fn become_unattached(&mut self, now_ms: i64) {
        let deadline_ms = self.election_deadline(now_ms);
        self.role = Role::Unattached { deadline_ms };
        self.persist();
    }

    fn tick(&mut self, now_ms: i64) {
        if now_ms < self.deadline_ms() {
            return;
        }
        if self.is_voter() {
            self.epoch += 1;
            self.voted = Some(self.config.local);
            self.stand(now_ms);
        } else {
            // Observers wait for a leader, however long it takes.
            let deadline = self.election_deadline(now_ms);
            match &mut self.role {
                Role::Follower { .. } => self.become_unattached(now_ms),
                Role::Unattached { deadline_ms } | Role::Resigned { deadline_ms } => {
                    *deadline_ms = deadline;
                }
                _ => {}
            }
        }
    }

    /// Becomes the candidate of the current epoch, in which it votes for itself.
    fn stand(&mut self, now_ms: i64) {
        let deadline_ms = self.election_deadline(now_ms);
        let granted = BTreeSet::from([self.config.local.id]);
        self.role = Role::Candidate {
            granted,
            rejected: BTreeSet::new(),
            deadline_ms,
        };
        if self.voters.majority() > 1 {
            // Who wins by its own vote persists that it leads, which says more.
            self.persist();
        }
        let local = self.config.local.id;
        for voter in self.voters.iter().filter(|voter| voter.key.id != local) {
            let request = Output::RequestVote {
                voter: voter.key,
                epoch: self.epoch,
                log: self.log,
            };
            self.outputs.push_back(request);
        }
        self.maybe_win();
    }

    fn maybe_win(&mut self) {
        let Role::Candidate { granted, .. } = &self.role else {
            return;
        };
        if granted.len() < self.voters.majority() {
            return;
        }
        let granting_voters = granted.iter().copied().collect();
        let epoch_start_offset = self.log.end_offset;
        self.role = Role::Leader(Leader {
            epoch_start_offset,
            replicas: BTreeMap::new(),
        });
        self.persist();
        let epoch = self.epoch;
        self.outputs.push_back(Output::BecomeLeader {
            epoch,
            epoch_start_offset,
            granting_voters,
        });
    }

    fn vote_requested(&mut self, now_ms: i64, request: &VoteRequest) {
        if request.epoch > self.epoch {
            self.see_epoch(now_ms, request.epoch);
        }
        let is_granted = request.epoch == self.epoch && self.grants(request);
        if is_granted && self.voted != Some(request.candidate) {
            self.voted = Some(request.candidate);
            self.become_unattached(now_ms);
        }
        let candidate = request.candidate;
        self.outputs.push_back(Output::Vote {
            candidate,
            epoch: self.epoch,
            is_granted,
        });
    }

    /// Whether the vote of the current epoch may go to the candidate: it goes to one only, and
    /// only to one whose log holds all that can be committed.
    fn grants(&self, request: &VoteRequest) -> bool {
        if !matches!(self.role, Role::Unattached { .. }) {
            return false;
        }
        match self.voted {
            Some(voted) => voted == request.candidate,
            None => {
                let theirs = (request.log.last_epoch, request.log.end_offset);
                theirs >= (self.log.last_epoch, self.log.end_offset)
            }
        }
    }

    fn vote_received(&mut self, now_ms: i64, voter: ReplicaKey, epoch: i32, is_granted: bool) {
        if epoch > self.epoch {
            return self.see_epoch(now_ms, epoch);
        }
        if epoch < self.epoch || !self.voters.contains(voter) {
            return;
        }
        if let Role::Candidate {
            granted, rejected, ..
        } = &mut self.role
        {
            // A voter's first answer counts.
            if is_granted && !rejected.contains(&voter.id) {
                granted.insert(voter.id);
            } else if !is_granted && !granted.contains(&voter.id) {
                rejected.insert(voter.id);
            }
            self.maybe_win();
        }
    }

    fn see_epoch(&mut self, now_ms: i64, epoch: i32) {
        self.step_down();
        self.epoch = epoch;
        self.voted = None;
        self.become_unattached(now_ms);
    }

    fn leader_seen(&mut self, now_ms: i64, leader_id: i32, epoch: i32) {
        let is_known = epoch == self.epoch && self.leader_id().is_some();
        if epoch < self.epoch || is_known || leader_id == self.config.local.id {
            return;
        }
        self.step_down();
        if epoch > self.epoch {
            self.epoch = epoch;
            self.voted = None;
        }
        self.role = Role::Follower {
            leader_id,
            deadline_ms: self.fetch_deadline(now_ms),
        };
        self.persist();
    }

    fn step_down(&mut self) {
        if self.is_leader() {
            self.outputs
                .push_back(Output::StepDown { epoch: self.epoch });
        }
    }

    fn resign(&mut self, now_ms: i64) {
        if self.is_leader() {
            self.step_down();
            self.role = Role::Resigned {
                deadline_ms: self.election_deadline(now_ms),
            };
        }
    }

    fn replica_fetched(&mut self, now_ms: i64, replica: ReplicaKey, offset: i64) {
        let end_offset = self.log.end_offset;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let mut progress = leader.progress(replica);
        if offset >= end_offset {
            progress.last_caught_up_ms = now_ms;
        }
        progress.end_offset = offset.min(end_offset);
        progress.last_fetch_ms = now_ms;
        leader.replicas.insert(replica, progress);
        self.advance_high_watermark();
    }

    /// Commits what a majority of the voters has flushed, once a record of this epoch is among it:
    /// records of earlier epochs could still be overwritten by another leader.
    fn advance_high_watermark(&mut self) {
        let Role::Leader(leader) = &self.role else {
            return;
        };
        let local = self.config.local.id;
        let end_offset = |key: ReplicaKey| {
            if key.id == local {
                self.flushed_offset
            } else {
                leader.progress(key).end_offset
            }
        };
        let mut ends: Vec<_> = self
            .voters
            .iter()
            .map(|voter| end_offset(voter.key))
            .collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let Some(committed) = ends.get(ends.len() / 2).copied() else {
            return;
        };
        if committed > leader.epoch_start_offset && committed > self.high_watermark {
            self.high_watermark = committed;
            self.outputs.push_back(Output::HighWatermark(committed));
        }
    }
}

impl Leader {
    fn progress(&self, key: ReplicaKey) -> ReplicaProgress {
        let unknown = ReplicaProgress {
            end_offset: -1,
            last_fetch_ms: -1,
            last_caught_up_ms: -1,
        };
        self.replicas.get(&key).copied().unwrap_or(unknown)
    }
}
