//! The replication state of one partition: who leads it, which replicas are in sync, and how far
//! its records are committed.
//!
//! Inputs are registrations from the metadata log, fetches of followers and offsets of the local
//! log; outputs are returned values that the owner ([`super::Partition`]) carries out. There is no
//! I/O, clock or lock in here.
//!
//! Invariants:
//! - leader and partition epochs never go back;
//! - followers' progress is known only while the local replica leads;
//! - the high watermark proposed is never above the end offset of any member of the maximal ISR,
//!   nor of a caught-up replica that is about to join it, and is not moved at all while the ISR is
//!   smaller than the effective minimum (KIP-966);
//! - at most one change of the ISR is under way ([`isr`]). The maximal ISR holds the members before
//!   it and those that it adds, so whichever of both the controller has, no record counts as
//!   committed that a member lacks.
//!
//! | from | registration | to | effect |
//! | --- | --- | --- | --- |
//! | any | older partition epoch | unchanged | [`Change::Stale`] |
//! | any | leader is local, newer leader epoch | leader | record the epoch at the log's end; followers' progress is reset |
//! | any | leader is local, same leader epoch | leader | assignment and ISR only |
//! | any | leader is another or none | follower | followers' progress is forgotten |
//!
//! Kafka: `cluster/Partition.scala`, `storage/internals/…/Replica.java` (4.3), KIP-497, KIP-966.

pub mod isr;

use std::collections::BTreeMap;

use kafka_shared::error::ErrorCode;

use self::isr::PendingIsr;

/// A leader epoch, or offset, that is not known.
const UNKNOWN: i64 = -1;

/// What the metadata log says about one partition, as far as its replicas are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The leader's node id; `None` when the partition has no leader.
    pub leader: Option<i32>,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub adding_replicas: Vec<i32>,
    pub removing_replicas: Vec<i32>,
}

/// What applying a [`Registration`] means for the owner of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The registration is older than what is known; nothing changed.
    Stale,
    /// The local replica leads. When the leader epoch is new, `epoch_start` holds it and the offset
    /// at which it starts, and must be in the log's epoch cache before the first append: followers
    /// truncate by it.
    Leader {
        was_leader: bool,
        epoch_start: Option<(i32, i64)>,
    },
    /// Another replica leads, or none does.
    Follower {
        was_leader: bool,
        is_new_epoch: bool,
    },
}

/// One fetch of a follower, as it tells of the follower's log.
#[derive(Debug, Clone, Copy)]
pub struct FollowerFetch {
    pub replica_id: i32,
    /// The follower's broker epoch, −1 when the request did not carry one.
    pub replica_epoch: i64,
    /// The epoch at which the follower is registered now, if it is alive.
    pub registered_epoch: Option<i64>,
    /// The offset that the follower asked for, which is its log end offset.
    pub fetch_offset: i64,
    pub log_start_offset: i64,
    /// The leader's log end offset before the read that answered the fetch.
    pub leader_end_offset: i64,
    pub now_ms: i64,
}

/// What the leader knows about one follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerState {
    pub log_start_offset: i64,
    pub log_end_offset: i64,
    /// The leader's end offset when the follower last fetched: whoever has reached it by the next
    /// fetch was caught up at the time of the last one.
    last_fetch_leader_log_end_offset: i64,
    last_fetch_time_ms: i64,
    pub last_caught_up_time_ms: i64,
    /// The broker epoch of its last fetch, −1 when that carried none; `None` before the first one.
    pub broker_epoch: Option<i64>,
}

impl FollowerState {
    fn at_new_epoch(previous: Option<&Self>, epoch_start: i64, in_sync: bool, now_ms: i64) -> Self {
        let since_ms = if in_sync { now_ms } else { 0 };
        match previous {
            Some(previous) => Self {
                last_fetch_leader_log_end_offset: epoch_start,
                last_fetch_time_ms: since_ms,
                last_caught_up_time_ms: since_ms,
                ..*previous
            },
            None => Self {
                log_start_offset: UNKNOWN,
                log_end_offset: UNKNOWN,
                last_fetch_leader_log_end_offset: UNKNOWN,
                last_fetch_time_ms: 0,
                last_caught_up_time_ms: since_ms,
                broker_epoch: None,
            },
        }
    }

    fn record(&mut self, fetch: &FollowerFetch) {
        if fetch.fetch_offset >= fetch.leader_end_offset {
            self.last_caught_up_time_ms = self.last_caught_up_time_ms.max(fetch.now_ms);
        } else if fetch.fetch_offset >= self.last_fetch_leader_log_end_offset {
            self.last_caught_up_time_ms = self.last_caught_up_time_ms.max(self.last_fetch_time_ms);
        }
        self.log_start_offset = fetch.log_start_offset;
        self.log_end_offset = fetch.fetch_offset;
        self.last_fetch_leader_log_end_offset = self
            .last_fetch_leader_log_end_offset
            .max(fetch.leader_end_offset);
        self.last_fetch_time_ms = fetch.now_ms;
        self.broker_epoch = Some(fetch.replica_epoch);
    }

    /// Whether the follower is the broker that is registered now, and may be in the ISR.
    /// `active_epoch` is the epoch of its registration while it is neither fenced nor about to go.
    fn is_eligible(&self, active_epoch: Option<i64>) -> bool {
        match (self.broker_epoch, active_epoch) {
            (Some(fetched), Some(active)) => fetched == UNKNOWN || fetched == active,
            _ => false,
        }
    }

    /// Whether the follower has all of the leader's log, or had it `lag_max_ms` ago or later.
    pub fn is_caught_up(&self, leader_end_offset: i64, now_ms: i64, lag_max_ms: i64) -> bool {
        self.log_end_offset == leader_end_offset
            || now_ms - self.last_caught_up_time_ms <= lag_max_ms
    }
}

/// See the module's documentation.
#[derive(Debug, Clone)]
pub struct PartitionState {
    local_id: i32,
    leader_id: Option<i32>,
    leader_epoch: i32,
    partition_epoch: i32,
    leader_epoch_start_offset: Option<i64>,
    replicas: Vec<i32>,
    adding_replicas: Vec<i32>,
    removing_replicas: Vec<i32>,
    /// As the controller has committed it; empty while another replica leads.
    isr: Vec<i32>,
    pending_isr: Option<PendingIsr>,
    /// Numbers the proposals, so that a late answer is not taken for that to a newer one.
    next_proposal: u64,
    /// The leader epoch in which the local replica began to lead without a break.
    leading_since_epoch: i32,
    followers: BTreeMap<i32, FollowerState>,
    is_retired: bool,
}

impl PartitionState {
    /// A partition that no registration has reached yet: it is led by nobody at epoch −1.
    pub fn new(local_id: i32) -> Self {
        Self {
            local_id,
            leader_id: None,
            leader_epoch: -1,
            partition_epoch: -1,
            leader_epoch_start_offset: None,
            replicas: Vec::new(),
            adding_replicas: Vec::new(),
            removing_replicas: Vec::new(),
            isr: Vec::new(),
            pending_isr: None,
            next_proposal: 0,
            leading_since_epoch: -1,
            followers: BTreeMap::new(),
            is_retired: false,
        }
    }

    pub fn is_leader(&self) -> bool {
        self.leader_id == Some(self.local_id)
    }

    pub fn leader_id(&self) -> Option<i32> {
        self.leader_id
    }

    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    pub fn partition_epoch(&self) -> i32 {
        self.partition_epoch
    }

    /// The offset at which the current leader epoch starts, while the local replica leads.
    pub fn leader_epoch_start_offset(&self) -> Option<i64> {
        self.leader_epoch_start_offset
    }

    pub fn replicas(&self) -> &[i32] {
        &self.replicas
    }

    /// The in-sync replicas that the controller has committed, as far as is known here.
    pub fn isr(&self) -> &[i32] {
        &self.isr
    }

    /// The epoch in which the local replica began to lead without a break. What was appended under
    /// another value may have been truncated since.
    pub fn leading_since_epoch(&self) -> i32 {
        self.leading_since_epoch
    }

    pub fn is_adding(&self, replica_id: i32) -> bool {
        self.adding_replicas.contains(&replica_id)
    }

    /// The followers and what is known of them, while the local replica leads.
    pub fn followers(&self) -> impl Iterator<Item = (i32, &FollowerState)> {
        self.followers.iter().map(|(id, follower)| (*id, follower))
    }

    pub fn is_reassigning(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }

    /// What is known about a follower; `None` when it is not an assigned replica other than the
    /// local one, or when the local replica does not lead.
    pub fn follower(&self, replica_id: i32) -> Option<&FollowerState> {
        self.followers.get(&replica_id)
    }

    /// Takes over what the metadata log says. `log_end_offset` is the local log's.
    pub fn apply(&mut self, new: &Registration, log_end_offset: i64, now_ms: i64) -> Change {
        if new.partition_epoch < self.partition_epoch {
            return Change::Stale;
        }
        let was_leader = self.is_leader();
        let is_new_epoch = new.leader_epoch > self.leader_epoch;
        // The same registration again, which an answer to AlterPartition has told before, decides
        // nothing about a change that was proposed since.
        let is_known = new.partition_epoch == self.partition_epoch && !is_new_epoch && was_leader;
        if !is_known {
            self.pending_isr = None;
        }
        // Differs from Kafka: when epochs were skipped, another replica may have led in between, of
        // which this one was never told. Then what followers had is as unknown as after a break.
        let may_have_paused = new.leader_epoch > self.leader_epoch.saturating_add(1);
        self.partition_epoch = new.partition_epoch;
        self.leader_epoch = self.leader_epoch.max(new.leader_epoch);
        self.leader_id = new.leader;
        self.replicas.clone_from(&new.replicas);
        self.adding_replicas.clone_from(&new.adding_replicas);
        self.removing_replicas.clone_from(&new.removing_replicas);
        self.isr.clone_from(&new.isr);
        if !self.is_leader() {
            self.leader_epoch_start_offset = None;
            self.followers.clear();
            self.pending_isr = None;
            return Change::Follower {
                was_leader,
                is_new_epoch,
            };
        }
        if !was_leader {
            self.leading_since_epoch = self.leader_epoch;
        }
        self.followers.retain(|id, _| new.replicas.contains(id));
        for &id in new.replicas.iter().filter(|&&id| id != self.local_id) {
            let known = self.followers.get(&id);
            if !is_new_epoch && known.is_some() {
                continue;
            }
            let in_sync = new.isr.contains(&id);
            let previous = known.filter(|_| was_leader && !may_have_paused);
            let follower = FollowerState::at_new_epoch(previous, log_end_offset, in_sync, now_ms);
            self.followers.insert(id, follower);
        }
        let epoch_start = is_new_epoch.then_some((new.leader_epoch, log_end_offset));
        if is_new_epoch {
            self.leader_epoch_start_offset = Some(log_end_offset);
        }
        Change::Leader {
            was_leader,
            epoch_start,
        }
    }

    /// Refuses all access from now on: the replica is being dropped, and who waits for it must not go
    /// on.
    pub fn retire(&mut self) {
        self.is_retired = true;
        self.leader_id = None;
        self.leader_epoch_start_offset = None;
        self.followers.clear();
        self.pending_isr = None;
    }

    pub fn is_retired(&self) -> bool {
        self.is_retired
    }

    /// Compares the epoch that a client believes in with the partition's (KIP-320); `None` skips
    /// the check.
    ///
    /// # Errors
    /// `FENCED_LEADER_EPOCH` when the client's is older, `UNKNOWN_LEADER_EPOCH` when it is newer.
    pub fn check_leader_epoch(&self, current: Option<i32>) -> Result<(), ErrorCode> {
        match current {
            Some(epoch) if epoch < self.leader_epoch => Err(ErrorCode::FENCED_LEADER_EPOCH),
            Some(epoch) if epoch > self.leader_epoch => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
            _ => Ok(()),
        }
    }

    /// [`Self::check_leader_epoch`], and that the local replica leads if `require_leader`.
    ///
    /// # Errors
    /// Also `NOT_LEADER_OR_FOLLOWER`.
    pub fn check_access(
        &self,
        current: Option<i32>,
        require_leader: bool,
    ) -> Result<(), ErrorCode> {
        self.check_leader_epoch(current)?;
        if self.is_retired || require_leader && !self.is_leader() {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        Ok(())
    }

    /// `min.insync.replicas`, but no more than there are replicas: a larger setting could never be
    /// met.
    pub fn effective_min_isr(&self, min_insync_replicas: usize) -> usize {
        min_insync_replicas.min(self.followers.len() + 1)
    }

    pub fn is_under_min_isr(&self, min_insync_replicas: usize) -> bool {
        self.is_leader() && self.isr.len() < self.effective_min_isr(min_insync_replicas)
    }

    /// The offset up to which (exclusive) records are committed as far as replicas go, given the
    /// local log's end; `None` when it must not move. The owner raises the log's high watermark to
    /// it, and never lowers it.
    ///
    /// `active_epoch` gives the epoch of a broker's registration while it may be in an ISR. A
    /// caught-up replica that may, but is not, holds the watermark back, or it could never reach it.
    pub fn committed_offset(
        &self,
        log_end_offset: i64,
        min_insync_replicas: usize,
        now_ms: i64,
        lag_max_ms: i64,
        active_epoch: impl Fn(i32) -> Option<i64>,
    ) -> Option<i64> {
        if !self.is_leader() || self.is_under_min_isr(min_insync_replicas) {
            return None;
        }
        let mut committed = log_end_offset;
        for (&id, follower) in &self.followers {
            if follower.log_end_offset < committed
                && (self.maximal_isr_contains(id)
                    || follower.is_caught_up(log_end_offset, now_ms, lag_max_ms)
                        && follower.is_eligible(active_epoch(id)))
            {
                committed = follower.log_end_offset;
            }
        }
        (committed >= 0).then_some(committed)
    }

    /// Notes how far a follower has come.
    ///
    /// # Errors
    /// `NOT_LEADER_OR_FOLLOWER` when the local replica does not lead or the fetch is of an earlier
    /// life of the follower, `UNKNOWN_LEADER_EPOCH` when it is not an assigned replica.
    pub fn record_follower_fetch(&mut self, fetch: &FollowerFetch) -> Result<(), ErrorCode> {
        if !self.is_leader() {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        let Some(follower) = self.followers.get_mut(&fetch.replica_id) else {
            return Err(ErrorCode::UNKNOWN_LEADER_EPOCH);
        };
        let is_of_earlier_life = fetch
            .registered_epoch
            .is_some_and(|e| e > fetch.replica_epoch);
        if fetch.replica_epoch != UNKNOWN && is_of_earlier_life {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        follower.record(fetch);
        Ok(())
    }

    /// The lowest log start offset of the live replicas: records below it are gone everywhere.
    /// `log_start_offset` is the local log's.
    pub fn low_watermark(&self, log_start_offset: i64, is_alive: impl Fn(i32) -> bool) -> i64 {
        self.followers
            .iter()
            .filter(|&(&id, _)| is_alive(id))
            .map(|(_, follower)| follower.log_start_offset)
            .fold(log_start_offset, i64::min)
    }

    /// Whether a produce with acks=all is decided: `None` while replicas are missing, the error (or
    /// `NONE`) once the high watermark has passed `required_offset`, the offset after its last
    /// record, or once the partition is led elsewhere.
    ///
    /// `leading_since_epoch` is [`Self::leading_since_epoch`] at the append: when another replica
    /// has led in between, the records may have been truncated, however far the watermark is.
    pub fn acks_all_outcome(
        &self,
        required_offset: i64,
        leading_since_epoch: i32,
        high_watermark: i64,
        min_insync_replicas: usize,
    ) -> Option<ErrorCode> {
        if !self.is_leader() || leading_since_epoch != self.leading_since_epoch {
            return Some(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        if high_watermark < required_offset {
            return None;
        }
        if self.maximal_isr_len() < self.effective_min_isr(min_insync_replicas) {
            return Some(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND);
        }
        Some(ErrorCode::NONE)
    }
}

#[cfg(test)]
mod tests;
