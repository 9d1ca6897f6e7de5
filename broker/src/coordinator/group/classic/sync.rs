//! SyncGroup: how the leader's assignments reach the members.
//!
//! The leader's SyncGroup brings the assignments; they are stored, and only then handed out and the
//! group is Stable. Members that ask earlier wait, those that ask later get theirs at once.
//!
//! Kafka: group-coordinator `GroupMetadataManager.classicGroupSync…` (4.3), KIP-559.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::error::ErrorCode;

use super::super::{Continuation, Cx, Effects, Record, Stored, SyncReply, SyncRequest};
use super::super::{TimerKey, Token};
use super::{ClassicGroup, State};

impl ClassicGroup {
    /// Handles one SyncGroup; the answer goes to `token`, now or later.
    pub fn sync(&mut self, request: &SyncRequest, token: Token, fx: &mut Effects) {
        if let Err(error) = self.validate_sync(request) {
            return fx.reply_sync(token, SyncReply::error(error));
        }
        match self.state {
            State::PreparingRebalance => {
                fx.reply_sync(token, SyncReply::error(ErrorCode::REBALANCE_IN_PROGRESS));
            }
            State::CompletingRebalance => {
                // Differs from Kafka: it never answers a sync whose member sent another one on
                // another connection; here the first is told to join again.
                let superseded = SyncReply::error(ErrorCode::REBALANCE_IN_PROGRESS);
                self.complete_sync(&request.member_id, superseded, fx);
                if let Some(member) = self.members.get_mut(&request.member_id) {
                    member.awaiting_sync = Some(token);
                }
                self.received_sync(&request.member_id, fx);
                if self.is_leader(&request.member_id) {
                    self.store_assignments(request, fx);
                }
            }
            State::Stable => {
                self.received_sync(&request.member_id, fx);
                let reply = self.synced(&request.member_id);
                fx.reply_sync(token, reply);
            }
            State::Empty | State::Dead => {
                fx.reply_sync(token, SyncReply::error(ErrorCode::UNKNOWN_MEMBER_ID));
            }
        }
    }

    fn validate_sync(&self, request: &SyncRequest) -> Result<(), ErrorCode> {
        match self.state {
            State::Dead => return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE),
            State::Empty => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {}
        }
        self.validate_member(&request.member_id, request.instance_id.as_deref())?;
        if request.generation_id != self.generation_id {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        let differs = |asked: &Option<Arc<str>>, ours: &Option<Arc<str>>| matches!((asked, ours), (Some(asked), Some(ours)) if asked != ours);
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        Ok(())
    }

    fn received_sync(&mut self, id: &str, fx: &mut Effects) {
        self.pending_sync.remove(id);
        if self.pending_sync.is_empty() {
            fx.cancel(TimerKey::Sync {
                group_id: self.id.clone(),
            });
        }
    }

    fn store_assignments(&mut self, request: &SyncRequest, fx: &mut Effects) {
        // Members that the leader did not think of get an empty assignment.
        let assignments: HashMap<Arc<str>, Bytes> = request
            .assignments
            .iter()
            .filter(|(id, _)| self.members.contains_key(id))
            .cloned()
            .collect();
        let value =
            self.to_record(|member| assignments.get(&member.id).cloned().unwrap_or_default());
        fx.append_without_replay(
            Record::GroupMetadata {
                group_id: self.id.clone(),
                value: Some(value),
            },
            Continuation::AssignmentsStored {
                group_id: self.id.clone(),
                generation_id: self.generation_id,
                assignments,
            },
        );
    }

    /// Hands the stored assignments out, or starts over when they could not be stored. Nothing to do
    /// when another rebalance began meanwhile.
    pub fn on_assignments_stored(
        &mut self,
        cx: &Cx<'_>,
        generation_id: i32,
        assignments: &HashMap<Arc<str>, Bytes>,
        stored: Stored,
        fx: &mut Effects,
    ) {
        if !self.is_in(State::CompletingRebalance) || self.generation_id != generation_id {
            return;
        }
        if let Some(error) = stored.error() {
            self.fail_sync(error, fx);
            return self.rebalance_or_complete_join(cx, fx);
        }
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in &ids {
            if let Some(member) = self.members.get_mut(id) {
                member.assignment = assignments.get(id).cloned().unwrap_or_default();
            }
            let reply = self.synced(id);
            if self.complete_sync(id, reply, fx) {
                self.renew_session(id, fx);
            }
        }
        self.transition_to(State::Stable, cx.now_ms);
    }

    fn synced(&self, id: &str) -> SyncReply {
        SyncReply {
            error: ErrorCode::NONE,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self
                .members
                .get(id)
                .map(|member| member.assignment.clone())
                .unwrap_or_default(),
        }
    }

    /// Sends those who wait for their assignment an error, and forgets all assignments.
    pub(super) fn fail_sync(&mut self, error: ErrorCode, fx: &mut Effects) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in &ids {
            if let Some(member) = self.members.get_mut(id) {
                member.assignment = Bytes::new();
            }
            if self.complete_sync(id, SyncReply::error(error), fx) {
                // While it waited its session could not expire; now it can again.
                self.renew_session(id, fx);
            }
        }
    }

    /// Not all members asked for their assignment in time: they are out, and the others start over.
    pub fn on_sync_expired(&mut self, cx: &Cx<'_>, generation_id: i32, fx: &mut Effects) {
        let in_phase = self.is_in(State::CompletingRebalance) || self.is_in(State::Stable);
        if generation_id != self.generation_id || !in_phase || self.pending_sync.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.pending_sync) {
            self.remove(&id);
            self.cancel_heartbeat(&id, fx);
        }
        self.prepare_rebalance(cx, fx);
    }
}
