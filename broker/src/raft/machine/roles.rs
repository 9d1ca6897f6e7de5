//! The roles and the ways from one to another.
//!
//! Kafka: `raft/QuorumState.java`, `raft/EpochElection.java` and the `*State.java` beside them (4.3).

use std::collections::{BTreeMap, BTreeSet};

use super::super::quorum_state::ElectionState;
use super::super::rpc::{CurrentLeader, SnapshotId};
use super::super::voters::{ReplicaKey, VoterEndpoint, VoterSet};
use super::leader::Leader;
use super::{Output, Raft};

#[derive(Debug, Clone)]
pub(super) enum Role {
    Unattached(Unattached),
    Prospective(Nominee),
    Candidate(Nominee),
    Follower(Follower),
    Leader(Box<Leader>),
    Resigned(Resigned),
}

/// No leader to fetch from is known.
#[derive(Debug, Clone)]
pub(super) struct Unattached {
    /// The leader whose endpoint is not known.
    pub(super) leader_id: Option<i32>,
    /// `i64::MAX` for observers.
    pub(super) deadline_ms: i64,
}

/// Asks for votes: as Prospective whether it would get them, as Candidate for good.
#[derive(Debug, Clone)]
pub(super) struct Nominee {
    /// The leader that a Prospective would go back to.
    pub(super) leader_id: Option<i32>,
    pub(super) endpoints: Vec<VoterEndpoint>,
    pub(super) votes: Votes,
    pub(super) deadline_ms: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Follower {
    pub(super) leader_id: i32,
    pub(super) endpoints: Vec<VoterEndpoint>,
    pub(super) fetch_deadline_ms: i64,
    /// When to look whether the voter set says the right thing of this node.
    pub(super) update_deadline_ms: i64,
    /// Whether the leader has answered a fetch.
    pub(super) has_fetched: bool,
    /// Whether the leader has been told of this voter, which a static quorum does not write down.
    pub(super) has_updated_leader: bool,
    pub(super) download: Option<Download>,
}

/// A snapshot that comes in pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Download {
    pub(super) id: SnapshotId,
    /// Bytes that are here.
    pub(super) position: i64,
}

/// Was the leader of the epoch, and lets others know that it is not any more.
#[derive(Debug, Clone)]
pub(super) struct Resigned {
    pub(super) preferred: Vec<ReplicaKey>,
    pub(super) unacked: BTreeSet<i32>,
    pub(super) deadline_ms: i64,
}

/// The votes of the voters at the time that the election began.
#[derive(Debug, Clone)]
pub(super) struct Votes(BTreeMap<i32, (ReplicaKey, Option<bool>)>);

impl Votes {
    pub(super) fn new(voters: &VoterSet, local: ReplicaKey) -> Self {
        let mut votes = Self(
            voters
                .iter()
                .map(|voter| (voter.key.id, (voter.key, None)))
                .collect(),
        );
        if voters.contains(local) {
            votes.record(local.id, true);
        }
        votes
    }

    /// Notes a voter's answer, of which the first counts.
    pub(super) fn record(&mut self, id: i32, is_granted: bool) {
        if let Some((_, vote)) = self.0.get_mut(&id) {
            vote.get_or_insert(is_granted);
        }
    }

    /// Forgets that the voter has refused.
    pub(super) fn reopen(&mut self, voter: ReplicaKey) {
        if let Some((key, vote)) = self.0.get_mut(&voter.id)
            && key.matches(voter)
            && *vote == Some(false)
        {
            *vote = None;
        }
    }

    pub(super) fn granting(&self) -> Vec<i32> {
        let granted = self.0.iter().filter(|(_, (_, vote))| *vote == Some(true));
        granted.map(|(id, _)| *id).collect()
    }

    pub(super) fn open(&self) -> Vec<ReplicaKey> {
        let open = self.0.values().filter(|(_, vote)| vote.is_none());
        open.map(|(key, _)| *key).collect()
    }

    fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    pub(super) fn is_won(&self) -> bool {
        self.granting().len() >= self.majority()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.granting().len() + self.open().len() < self.majority()
    }
}

impl Role {
    pub(super) fn unattached(leader_id: Option<i32>, deadline_ms: i64) -> Self {
        Self::Unattached(Unattached {
            leader_id,
            deadline_ms,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unattached(_) => "Unattached",
            Self::Prospective(_) => "Prospective",
            Self::Candidate(_) => "Candidate",
            Self::Follower(_) => "Follower",
            Self::Leader(_) => "Leader",
            Self::Resigned(_) => "Resigned",
        }
    }
}

impl Raft {
    /// Who leads, as others are told. A leader that has resigned names itself still, as no other
    /// can lead in its epoch.
    pub(super) fn current_leader(&self) -> CurrentLeader {
        let (id, endpoints) = match &self.role {
            Role::Unattached(role) => (role.leader_id, Vec::new()),
            Role::Candidate(_) => (None, Vec::new()),
            Role::Prospective(role) => (role.leader_id, role.endpoints.clone()),
            Role::Follower(role) => (Some(role.leader_id), role.endpoints.clone()),
            Role::Leader(_) | Role::Resigned(_) => {
                (Some(self.config.local.id), self.config.endpoints.clone())
            }
        };
        CurrentLeader {
            id,
            epoch: self.epoch,
            endpoints,
        }
    }

    pub(super) fn leader_id(&self) -> Option<i32> {
        match &self.role {
            Role::Unattached(role) => role.leader_id,
            Role::Candidate(_) => None,
            Role::Prospective(role) => role.leader_id,
            Role::Follower(role) => Some(role.leader_id),
            Role::Leader(_) | Role::Resigned(_) => Some(self.config.local.id),
        }
    }

    /// The role after a start, from what the disk says.
    pub(super) fn restore_role(&mut self, now_ms: i64, election: &ElectionState) {
        let local = self.config.local;
        let log_epoch = self.log.end().last_epoch;
        let has_voted_for_itself = election.voted.is_some_and(|voted| voted.matches(local));
        let deadline_ms = self.election_deadline(now_ms);
        if election.epoch < log_epoch {
            // The file is lost or older than the log: whatever it says about votes is void.
            self.epoch = log_epoch;
            self.voted = None;
            self.role = Role::unattached(None, deadline_ms);
        } else if election.leader_id == Some(local.id) {
            let voters = self.log.voters().ids();
            self.role = Role::Resigned(Resigned {
                preferred: Vec::new(),
                unacked: voters.into_iter().filter(|id| *id != local.id).collect(),
                deadline_ms,
            });
        } else if has_voted_for_itself && election.leader_id.is_none() && self.may_lead() {
            // Differs from Kafka: a known leader of the epoch is followed. Kafka stands again.
            self.role = self.candidate(deadline_ms);
        } else if let Some(leader_id) = election.leader_id {
            let endpoints = self.log.voters().endpoints(leader_id);
            self.role = if endpoints.is_empty() {
                Role::unattached(Some(leader_id), deadline_ms)
            } else {
                self.follower(now_ms, leader_id, endpoints)
            };
        } else {
            self.role = Role::unattached(None, deadline_ms);
        }
        self.persist();
        if matches!(self.role, Role::Candidate(_)) {
            self.election_progressed(now_ms);
        } else if self.log.voters().is_only(local) {
            self.become_prospective(now_ms);
        }
    }

    /// Leaves the old role and takes the new one, whose epoch and vote are already set.
    fn set_role(&mut self, role: Role) {
        self.role_changes += 1;
        self.connections.reset_all();
        let old = std::mem::replace(&mut self.role, role);
        self.persist();
        match old {
            Role::Leader(leader) => self.left_leadership(*leader),
            Role::Follower(follower) => {
                if let Some(download) = follower.download {
                    self.outputs.push_back(Output::DropSnapshot(download.id));
                }
            }
            _ => {}
        }
    }

    /// Writes the epoch, its leader and the vote down, if they have changed.
    pub(super) fn persist(&mut self) {
        let voted = match self.role {
            Role::Leader(_) | Role::Resigned(_) => None,
            _ => self.voted,
        };
        let election = ElectionState {
            epoch: self.epoch,
            leader_id: self.leader_id(),
            voted,
        };
        let static_voters = (self.log.kraft_version() == 0).then(|| self.log.voters().ids());
        let now = Some((election, static_voters.clone()));
        if self.persisted != now {
            self.persisted = now;
            self.outputs.push_back(Output::PersistElection {
                election,
                static_voters,
            });
        }
    }

    fn enter_epoch(&mut self, epoch: i32) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.voted = None;
        }
    }

    pub(super) fn become_unattached(&mut self, now_ms: i64, epoch: i32, leader_id: Option<i32>) {
        let kept = match &self.role {
            _ if !self.may_lead() => Some(i64::MAX),
            Role::Candidate(role) => Some(role.deadline_ms),
            Role::Unattached(role) => Some(role.deadline_ms),
            Role::Prospective(role) if !role.votes.is_lost() => Some(role.deadline_ms),
            Role::Resigned(role) => Some(role.deadline_ms),
            _ => None,
        };
        let deadline_ms = match kept {
            // An observer has become a voter.
            Some(i64::MAX) if self.may_lead() => self.election_deadline(now_ms),
            Some(deadline_ms) => deadline_ms,
            None => self.election_deadline(now_ms),
        };
        self.enter_epoch(epoch);
        self.set_role(Role::unattached(leader_id, deadline_ms));
    }

    fn follower(&self, now_ms: i64, leader_id: i32, endpoints: Vec<VoterEndpoint>) -> Role {
        let deadline_ms = now_ms.saturating_add(self.config.fetch_timeout_ms);
        Role::Follower(Follower {
            leader_id,
            endpoints,
            fetch_deadline_ms: deadline_ms,
            update_deadline_ms: deadline_ms,
            has_fetched: false,
            has_updated_leader: false,
            download: None,
        })
    }

    pub(super) fn become_follower(
        &mut self,
        now_ms: i64,
        epoch: i32,
        leader_id: i32,
        endpoints: Vec<VoterEndpoint>,
    ) {
        self.enter_epoch(epoch);
        let role = self.follower(now_ms, leader_id, endpoints);
        self.set_role(role);
    }

    pub(super) fn become_prospective(&mut self, now_ms: i64) {
        let leader = self.current_leader();
        let role = Nominee {
            leader_id: leader.id,
            endpoints: leader.endpoints,
            votes: Votes::new(self.log.voters(), self.config.local),
            deadline_ms: self.election_deadline(now_ms),
        };
        self.set_role(Role::Prospective(role));
        self.election_progressed(now_ms);
    }

    fn candidate(&self, deadline_ms: i64) -> Role {
        Role::Candidate(Nominee {
            leader_id: None,
            endpoints: Vec::new(),
            votes: Votes::new(self.log.voters(), self.config.local),
            deadline_ms,
        })
    }

    pub(super) fn become_candidate(&mut self, now_ms: i64) {
        if self.epoch == i32::MAX {
            self.fault("the last epoch has come: no leader can be elected any more".into());
            return self.become_unattached(now_ms, self.epoch, None);
        }
        let deadline_ms = self.election_deadline(now_ms);
        self.enter_epoch(self.epoch + 1);
        self.voted = Some(self.config.local);
        let role = self.candidate(deadline_ms);
        self.set_role(role);
        self.election_progressed(now_ms);
    }

    pub(super) fn become_leader(&mut self, now_ms: i64, granting: Vec<i32>) {
        self.ensure_flushed();
        let leader = Leader::new(now_ms, self);
        self.set_role(Role::Leader(Box::new(leader)));
        self.log.start_epoch(self.epoch);
        self.outputs.push_back(Output::BecomeLeader {
            epoch: self.epoch,
            epoch_start_offset: self.log.end_offset,
        });
        self.append_start_of_epoch(granting);
    }

    pub(super) fn become_resigned(&mut self, now_ms: i64) {
        let Role::Leader(leader) = &self.role else {
            return;
        };
        let local_id = self.config.local.id;
        let preferred = leader.voters_by_progress(self.config.local);
        let voters = self.log.voters().ids();
        let resigned = Resigned {
            preferred,
            unacked: voters.into_iter().filter(|id| *id != local_id).collect(),
            deadline_ms: self.election_deadline(now_ms),
        };
        self.set_role(Role::Resigned(resigned));
    }
}
