//! The leader: who has which part of the log, what is committed, and whether a majority is there.
//!
//! Kafka: `raft/LeaderState.java`, `KafkaRaftClient.pollLeader` (4.3).

use std::collections::{BTreeMap, BTreeSet};

use super::super::quorum_records::QuorumRecord;
use super::super::rpc::{BeginQuorumEpochRequest, Fetched, Request};
use super::super::voters::{ReplicaKey, VoterSet};
use super::connections::Kind;
use super::fetch::Parked;
use super::roles::Role;
use super::voter_changes::{Pending, Upgrade};
use super::{ControlRecord, Output, QuorumInfo, Raft, ReplicaProgress};

/// Observers that have not fetched for this long are forgotten.
const OBSERVER_SESSION_MS: i64 = 300_000;
/// More observers than a cluster has nodes; those beyond are served, but not remembered.
const OBSERVERS_MAX: usize = 10_000;
/// A replica that is to become a voter has to have fetched within this time.
const CAUGHT_UP_MS: i64 = 60 * 60 * 1_000;

#[derive(Debug, Clone)]
pub(super) struct Leader {
    epoch: i32,
    epoch_start_offset: i64,
    /// `None` until a record of the epoch is committed.
    pub(super) high_watermark: Option<i64>,
    voters: BTreeMap<i32, Replica>,
    observers: BTreeMap<ReplicaKey, Replica>,
    /// Voters that have fetched since the majority was last seen.
    fetched: BTreeSet<i32>,
    check_quorum_deadline_ms: i64,
    begin_quorum_deadline_ms: i64,
    resign_requested: bool,
    pub(super) parked: Vec<Parked>,
    pub(super) pending: Option<Pending>,
    pub(super) upgrade: Upgrade,
    /// A voter set is on its way to the log.
    pub(super) voters_queued: bool,
}

#[derive(Debug, Clone, Copy)]
struct Replica {
    key: ReplicaKey,
    progress: ReplicaProgress,
    /// The leader's log end when the replica fetched last.
    leader_end_offset: i64,
}

impl Replica {
    fn new(key: ReplicaKey) -> Self {
        Self {
            key,
            progress: ReplicaProgress {
                end_offset: -1,
                last_fetch_ms: -1,
                last_caught_up_ms: -1,
            },
            leader_end_offset: -1,
        }
    }

    fn fetched(&mut self, now_ms: i64, offset: i64, leader_end_offset: i64) {
        let progress = &mut self.progress;
        if offset >= leader_end_offset {
            progress.last_caught_up_ms = progress.last_caught_up_ms.max(now_ms);
        } else if self.leader_end_offset > 0 && offset >= self.leader_end_offset {
            // It has all that there was when it fetched before.
            progress.last_caught_up_ms = progress.last_caught_up_ms.max(progress.last_fetch_ms);
        }
        self.leader_end_offset = leader_end_offset;
        progress.last_fetch_ms = progress.last_fetch_ms.max(now_ms);
        progress.end_offset = offset;
    }
}

impl Leader {
    pub(super) fn new(now_ms: i64, raft: &Raft) -> Self {
        let voters = raft.log.voters();
        let upgrade = if raft.log.kraft_version() == 0 {
            Upgrade::Voters(voters.with(raft.local_voter()))
        } else {
            Upgrade::None
        };
        let mut leader = Self {
            epoch: raft.epoch,
            epoch_start_offset: raft.log.end_offset,
            high_watermark: None,
            voters: BTreeMap::new(),
            observers: BTreeMap::new(),
            fetched: BTreeSet::new(),
            check_quorum_deadline_ms: now_ms + raft.check_quorum_ms(),
            begin_quorum_deadline_ms: now_ms,
            resign_requested: false,
            parked: Vec::new(),
            pending: None,
            upgrade,
            voters_queued: false,
        };
        leader.take_voters(voters);
        leader
    }

    /// Sorts the known replicas into voters and observers.
    fn take_voters(&mut self, voters: &VoterSet) {
        let mut old = std::mem::take(&mut self.voters);
        for voter in voters.iter() {
            let known = match old.get(&voter.key.id) {
                Some(replica) if replica.key.matches(voter.key) => old.remove(&voter.key.id),
                _ => self.observers.remove(&voter.key),
            };
            let mut replica = known.unwrap_or_else(|| Replica::new(voter.key));
            replica.key = voter.key;
            self.voters.insert(voter.key.id, replica);
        }
        for replica in old.into_values() {
            self.observers.entry(replica.key).or_insert(replica);
        }
        self.fetched.retain(|id| self.voters.contains_key(id));
    }

    /// Resigns with the next poll.
    pub(super) fn leave(&mut self) {
        self.resign_requested = true;
    }

    fn voter(&mut self, key: ReplicaKey) -> Option<&mut Replica> {
        let replica = self.voters.get_mut(&key.id)?;
        replica.key.matches(key).then_some(replica)
    }

    /// The other voters, the one with the most records first.
    pub(super) fn voters_by_progress(&self, local: ReplicaKey) -> Vec<ReplicaKey> {
        let mut others: Vec<_> = self
            .voters
            .values()
            .filter(|replica| !replica.key.matches(local))
            .collect();
        others.sort_by_key(|replica| (-replica.progress.end_offset, replica.key));
        others.into_iter().map(|replica| replica.key).collect()
    }

    /// Whether an observer follows closely enough to become a voter.
    pub(super) fn is_caught_up(&self, key: ReplicaKey, now_ms: i64) -> bool {
        self.observers.get(&key).is_some_and(|replica| {
            let progress = replica.progress;
            progress.last_caught_up_ms >= 0 && progress.last_fetch_ms > now_ms - CAUGHT_UP_MS
        })
    }

    fn observed(&mut self, now_ms: i64, key: ReplicaKey) -> Option<&mut Replica> {
        if !self.observers.contains_key(&key) {
            self.observers
                .retain(|_, replica| now_ms - replica.progress.last_fetch_ms < OBSERVER_SESSION_MS);
            if self.observers.len() >= OBSERVERS_MAX {
                return None;
            }
        }
        let replica = self.observers.entry(key);
        Some(replica.or_insert_with(|| Replica::new(key)))
    }
}

impl Raft {
    /// A majority has to fetch within this time. Half as much again as a follower waits for the
    /// leader, as requests need time too.
    fn check_quorum_ms(&self) -> i64 {
        self.config.fetch_timeout_ms.saturating_mul(3) / 2
    }

    /// The first batch of the epoch: without a record of its own, a leader can commit nothing.
    pub(super) fn append_start_of_epoch(&mut self, granting_voters: Vec<i32>) {
        let voters = self.log.voters();
        let mut records = vec![ControlRecord::LeaderChange {
            leader_id: self.config.local.id,
            voters: voters.ids(),
            granting_voters,
        }];
        let kraft_version = self.log.kraft_version();
        let local = self.local_voter();
        let is_in_log = self.log.voters_offset().is_some_and(|offset| offset >= 0);
        let voters = (kraft_version > 0 && (!is_in_log || voters.needs_update(&local)))
            .then(|| voters.with(local));
        if let Some(voters) = voters {
            records.push(ControlRecord::Quorum(QuorumRecord::KRaftVersion(
                kraft_version,
            )));
            records.push(ControlRecord::Quorum(QuorumRecord::Voters(voters)));
        }
        self.append_control(records);
    }

    pub(super) fn append_control(&mut self, records: Vec<ControlRecord>) {
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let is_voters =
            |record: &_| matches!(record, ControlRecord::Quorum(QuorumRecord::Voters(_)));
        leader.voters_queued |= records.iter().any(is_voters);
        self.outputs.push_back(Output::AppendControl {
            epoch: self.epoch,
            records,
        });
    }

    pub(super) fn appended(&mut self, now_ms: i64, appended: &Fetched) {
        // It may have resigned meanwhile, and nobody else appends in its epoch.
        if !self.log.append(appended, self.epoch) {
            return;
        }
        let voters = self.log.voters().clone();
        let check_quorum_deadline_ms = now_ms.saturating_add(self.check_quorum_ms());
        if let Role::Leader(leader) = &mut self.role {
            for (offset, record) in &appended.control {
                if matches!(record, QuorumRecord::Voters(_)) {
                    leader.voters_queued = false;
                    if leader.voters.len() == 1 {
                        // Nobody had to be seen until now.
                        leader.check_quorum_deadline_ms = check_quorum_deadline_ms;
                    }
                    leader.take_voters(&voters);
                    if let Some(pending) = &mut leader.pending {
                        pending.appended_at(*offset);
                    }
                }
            }
        }
        self.answer_parked_below_end();
        self.advance_high_watermark();
    }

    pub(super) fn flushed(&mut self, end_offset: i64) {
        let end_offset = end_offset.min(self.log.end_offset);
        self.log.flushed_offset = self.log.flushed_offset.max(end_offset);
        self.advance_high_watermark();
    }

    /// A replica has flushed everything below the offset.
    pub(super) fn replica_fetched(&mut self, now_ms: i64, key: ReplicaKey, offset: i64) {
        let end_offset = self.log.end_offset;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        // Who has no id is no replica.
        if key.id < 0 {
            return;
        }
        let is_voter = match leader.voter(key) {
            Some(voter) => {
                voter.fetched(now_ms, offset, end_offset);
                true
            }
            None => {
                if let Some(observer) = leader.observed(now_ms, key) {
                    observer.fetched(now_ms, offset, end_offset);
                }
                false
            }
        };
        if is_voter {
            self.replica_alive(now_ms, key);
            self.advance_high_watermark();
        }
    }

    /// A voter is there. When a majority has been seen, it has to be seen again from now on.
    pub(super) fn replica_alive(&mut self, now_ms: i64, key: ReplicaKey) {
        let check_quorum_ms = self.check_quorum_ms();
        let local = self.config.local;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        if leader.voter(key).is_none() || key.id == local.id {
            return;
        }
        leader.fetched.insert(key.id);
        let majority = leader.voters.len() / 2 + 1;
        // The leader sees itself, if it is a voter.
        let needed = majority - usize::from(leader.voters.contains_key(&local.id));
        if leader.fetched.len() >= needed {
            leader.fetched.clear();
            leader.check_quorum_deadline_ms = now_ms.saturating_add(check_quorum_ms);
        }
    }

    /// Commits what a majority of the voters has flushed, once a record of this epoch is among it:
    /// records of earlier epochs could still be overwritten by another leader.
    pub(super) fn advance_high_watermark(&mut self) {
        let local = self.config.local;
        let flushed_offset = self.log.flushed_offset;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let mut ends: Vec<i64> = leader
            .voters
            .values()
            .map(|replica| {
                if replica.key.matches(local) {
                    flushed_offset
                } else {
                    replica.progress.end_offset
                }
            })
            .collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let Some(committed) = ends.get(ends.len() / 2).copied() else {
            return;
        };
        // It may seem to go back when the voters change.
        let is_news = leader.high_watermark.is_none_or(|known| committed > known);
        if committed <= leader.epoch_start_offset || !is_news {
            return;
        }
        leader.high_watermark = Some(committed);
        self.advance_local_high_watermark(committed);
        self.voter_change_committed(committed);
        self.answer_parked(|_| true);
    }

    pub(super) fn request_resign(&mut self, epoch: i32) {
        if let Role::Leader(leader) = &mut self.role {
            leader.resign_requested |= epoch == self.epoch;
        }
    }

    pub(super) fn poll_leader(&mut self, now_ms: i64) -> i64 {
        let is_shutting_down = self.shutdown_until_ms.is_some();
        let check_quorum_deadline_ms = self.check_quorum_deadline();
        let Role::Leader(leader) = &self.role else {
            return now_ms;
        };
        if is_shutting_down || leader.resign_requested || now_ms >= check_quorum_deadline_ms {
            self.become_resigned(now_ms);
            return now_ms;
        }
        let pending_deadline_ms = self.expire_voter_change(now_ms);
        self.answer_parked(|parked| now_ms >= parked.deadline_ms);
        self.begin_quorum_epoch(now_ms);
        let Role::Leader(leader) = &self.role else {
            return now_ms;
        };
        let parked = leader.parked.iter().map(|parked| parked.deadline_ms).min();
        leader
            .begin_quorum_deadline_ms
            .min(check_quorum_deadline_ms)
            .min(pending_deadline_ms)
            .min(parked.unwrap_or(i64::MAX))
    }

    fn check_quorum_deadline(&self) -> i64 {
        match &self.role {
            // Nobody has to fetch from the only voter.
            Role::Leader(_) if self.log.voters().is_only(self.config.local) => i64::MAX,
            Role::Leader(leader) => leader.check_quorum_deadline_ms,
            _ => i64::MAX,
        }
    }

    /// Tells those voters of the leader that have not fetched for a while.
    fn begin_quorum_epoch(&mut self, now_ms: i64) {
        let period_ms = (self.config.fetch_timeout_ms / 2).max(1);
        let local_id = self.config.local.id;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        if self.log.voters().is_only(self.config.local) {
            leader.begin_quorum_deadline_ms = i64::MAX;
            return;
        }
        // The voters may be more now than they were.
        leader.begin_quorum_deadline_ms = leader
            .begin_quorum_deadline_ms
            .min(now_ms.saturating_add(period_ms));
        if now_ms < leader.begin_quorum_deadline_ms {
            return;
        }
        leader.begin_quorum_deadline_ms = now_ms.saturating_add(period_ms);
        let silent = leader.voters.values().filter(|replica| {
            let last_fetch_ms = replica.progress.last_fetch_ms;
            replica.key.id != local_id && (last_fetch_ms < 0 || now_ms - last_fetch_ms >= period_ms)
        });
        let silent: Vec<_> = silent.map(|replica| replica.key).collect();
        for voter in silent {
            self.send_to_voter(now_ms, voter.id, Kind::BeginQuorumEpoch, |raft| {
                Request::BeginQuorumEpoch(BeginQuorumEpochRequest {
                    leader_id: local_id,
                    epoch: raft.epoch,
                    voter: Some(voter),
                    endpoints: raft.config.endpoints.clone(),
                })
            });
        }
    }

    /// Whoever waits for this leader has to look for another one.
    pub(super) fn left_leadership(&mut self, leader: Leader) {
        self.outputs.push_back(Output::StepDown {
            epoch: leader.epoch,
        });
        self.fail_parked(leader.parked);
        if let Some(pending) = leader.pending {
            self.fail_voter_change(pending);
        }
    }

    /// When a node last fetched from this leader; `None` for never, or if this node doesn't lead.
    pub fn last_fetch_ms(&self, id: i32) -> Option<i64> {
        let Role::Leader(leader) = &self.role else {
            return None;
        };
        let of_node = |key: &ReplicaKey| key.id == id;
        let voter = leader.voters.get(&id).into_iter();
        let observers = leader.observers.iter().filter(|(key, _)| of_node(key));
        voter
            .chain(observers.map(|(_, replica)| replica))
            .map(|replica| replica.progress.last_fetch_ms)
            .max()
            .filter(|at_ms| *at_ms >= 0)
    }

    /// The state for those who describe the quorum. Times are those of the inputs.
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
        let local = self.config.local;
        info.high_watermark = leader.high_watermark.unwrap_or(-1);
        let of = |replica: &Replica| {
            let mut progress = replica.progress;
            if replica.key.matches(local) {
                progress = ReplicaProgress {
                    end_offset: self.log.end_offset,
                    last_fetch_ms: now_ms,
                    last_caught_up_ms: now_ms,
                };
            }
            (replica.key, progress)
        };
        info.voters = leader.voters.values().map(of).collect();
        let observers = leader.observers.values().filter(|replica| {
            now_ms - replica.progress.last_fetch_ms < OBSERVER_SESSION_MS
                || replica.key.matches(local)
        });
        info.observers = observers.map(of).collect();
        info
    }
}
