//! Changes of the ISR: who is to be let in or put out, and what becomes of the proposal.
//!
//! The leader proposes with AlterPartition, the controller decides. While a proposal is under way
//! the committed ISR stays what it was, and a replica that is to be let in counts as a member for
//! the high watermark already.
//!
//! | answer to the proposal | reaction |
//! | --- | --- |
//! | the partition as altered, of this leader epoch and not older | it is the committed ISR |
//! | `INELIGIBLE_REPLICA`, `OPERATION_NOT_ATTEMPTED` | nothing was altered: back to the committed ISR |
//! | `UNKNOWN_TOPIC_OR_PARTITION`, `UNKNOWN_TOPIC_ID`, `FENCED_LEADER_EPOCH`, `INVALID_UPDATE_VERSION`, `INVALID_REQUEST`, `NEW_LEADER_ELECTED` | stays pending: the metadata log will tell |
//! | any other error | proposed again |
//!
//! Kafka: `Partition.prepareIsrExpand`, `prepareIsrShrink`, `handleAlterPartitionError` (4.3),
//! KIP-497.

use kafka_shared::error::ErrorCode;

use super::{PartitionState, UNKNOWN};

/// An ISR that was proposed and about which nothing is known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PendingIsr {
    proposal: IsrProposal,
    is_expansion: bool,
}

/// What a leader asks of the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrProposal {
    /// Tells this proposal from others of the same partition.
    pub number: u64,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    /// The members with the broker epochs that they are known by; −1 where none is known.
    pub isr: Vec<(i32, i64)>,
}

impl IsrProposal {
    fn members(&self) -> impl Iterator<Item = i32> {
        self.isr.iter().map(|(id, _)| *id)
    }
}

/// The partition as the controller says it is after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlteredIsr {
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    pub isr: Vec<i32>,
}

/// What an answer to a proposal has brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IsrOutcome {
    /// The answer is to a proposal that is no longer under way.
    Ignored,
    /// The ISR is what the answer says. The high watermark may move.
    Committed,
    /// Nothing was altered; the committed ISR stands.
    Reset,
    /// The metadata log will tell what the ISR is.
    AwaitsMetadata,
    /// To be sent again.
    Retry(IsrProposal),
}

impl PartitionState {
    /// The replicas that must have a record before it counts as committed.
    pub(super) fn maximal_isr_contains(&self, id: i32) -> bool {
        self.isr.contains(&id)
            || self.pending_isr.as_ref().is_some_and(|pending| {
                pending.is_expansion && pending.proposal.members().any(|member| member == id)
            })
    }

    pub(super) fn maximal_isr_len(&self) -> usize {
        match &self.pending_isr {
            Some(pending) if pending.is_expansion => pending.proposal.isr.len(),
            _ => self.isr.len(),
        }
    }

    /// Whether a change of the ISR is under way.
    pub fn is_isr_pending(&self) -> bool {
        self.pending_isr.is_some()
    }

    /// Begins to let a follower into the ISR if it has all that is committed, and all that the
    /// leader found when it began to lead. `active_epoch` is the epoch of the follower's
    /// registration while it may be in an ISR, `local_broker_epoch` that of this broker.
    pub fn expand_isr(
        &mut self,
        replica_id: i32,
        high_watermark: i64,
        active_epoch: Option<i64>,
        local_broker_epoch: i64,
    ) -> Option<IsrProposal> {
        if !self.could_expand_isr(replica_id) {
            return None;
        }
        let follower = self.followers.get(&replica_id)?;
        let has_all = follower.log_end_offset >= high_watermark
            && follower.log_end_offset >= self.leader_epoch_start_offset?;
        if !has_all || !follower.is_eligible(active_epoch) {
            return None;
        }
        let members: Vec<i32> = self.isr.iter().copied().chain([replica_id]).collect();
        Some(self.propose(&members, true, local_broker_epoch))
    }

    /// Whether the follower is outside of the ISR, and could be proposed as a member now.
    pub fn could_expand_isr(&self, replica_id: i32) -> bool {
        self.is_leader() && self.pending_isr.is_none() && !self.isr.contains(&replica_id)
    }

    /// Begins to put followers out of the ISR that have not been caught up for `lag_max_ms`.
    pub fn shrink_isr(
        &mut self,
        log_end_offset: i64,
        now_ms: i64,
        lag_max_ms: i64,
        local_broker_epoch: i64,
    ) -> Option<IsrProposal> {
        if !self.is_leader() || self.pending_isr.is_some() {
            return None;
        }
        let is_in_sync = |id: &i32| {
            *id == self.local_id
                || self
                    .followers
                    .get(id)
                    .is_some_and(|f| f.is_caught_up(log_end_offset, now_ms, lag_max_ms))
        };
        let members: Vec<i32> = self.isr.iter().copied().filter(is_in_sync).collect();
        if members.len() == self.isr.len() {
            return None;
        }
        Some(self.propose(&members, false, local_broker_epoch))
    }

    fn propose(
        &mut self,
        members: &[i32],
        is_expansion: bool,
        local_broker_epoch: i64,
    ) -> IsrProposal {
        let epoch_of = |id: i32| {
            if id == self.local_id {
                return local_broker_epoch;
            }
            let known = self.followers.get(&id).and_then(|f| f.broker_epoch);
            known.unwrap_or(UNKNOWN)
        };
        self.next_proposal += 1;
        let proposal = IsrProposal {
            number: self.next_proposal,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            isr: members.iter().map(|id| (*id, epoch_of(*id))).collect(),
        };
        self.pending_isr = Some(PendingIsr {
            proposal: proposal.clone(),
            is_expansion,
        });
        proposal
    }

    /// Takes over what the controller has answered to the proposal with this number.
    pub fn on_isr_answer(
        &mut self,
        number: u64,
        answer: Result<AlteredIsr, ErrorCode>,
    ) -> IsrOutcome {
        let pending = match &self.pending_isr {
            Some(pending) if pending.proposal.number == number => pending,
            _ => return IsrOutcome::Ignored,
        };
        match answer {
            // Of another epoch: the metadata log brings what has happened.
            Ok(altered)
                if altered.leader_epoch != self.leader_epoch
                    || altered.partition_epoch < self.partition_epoch =>
            {
                IsrOutcome::AwaitsMetadata
            }
            Ok(altered) => {
                self.isr = altered.isr;
                self.partition_epoch = altered.partition_epoch;
                self.pending_isr = None;
                IsrOutcome::Committed
            }
            Err(ErrorCode::OPERATION_NOT_ATTEMPTED | ErrorCode::INELIGIBLE_REPLICA) => {
                self.pending_isr = None;
                IsrOutcome::Reset
            }
            Err(
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                | ErrorCode::UNKNOWN_TOPIC_ID
                | ErrorCode::FENCED_LEADER_EPOCH
                | ErrorCode::INVALID_UPDATE_VERSION
                | ErrorCode::INVALID_REQUEST
                | ErrorCode::NEW_LEADER_ELECTED,
            ) => IsrOutcome::AwaitsMetadata,
            Err(_) => IsrOutcome::Retry(pending.proposal.clone()),
        }
    }
}
