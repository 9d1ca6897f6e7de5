//! Heartbeat, LeaveGroup, session expiry, and static members that change hands.
//!
//! Kafka: group-coordinator `GroupMetadataManager.classicGroupHeartbeat`, `classicGroupLeave`,
//! `expireClassicGroupMemberHeartbeat`, `updateStaticMemberThenRebalanceOrCompleteJoin` (4.3), KIP-345,
//! KIP-814.

use std::sync::Arc;

use kafka_shared::error::ErrorCode;

use super::super::{Continuation, Cx, Effects, HeartbeatRequest, JoinReply, JoinRequest};
use super::super::{LeavingMember, Record, Stored, SyncReply, Token};
use super::{ClassicGroup, Member, MemberSettings, State};

/// From this version of JoinGroup on, a leader can be told that the assignment stays as it is.
const SKIP_ASSIGNMENT_VERSION: i16 = 9;

/// What to do about a static member that came back, once its new id is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The caller that waits in its join.
    pub token: Token,
    /// The id that is fenced now.
    pub old_member_id: Arc<str>,
    /// The id that took its place.
    pub new_member_id: Arc<str>,
    /// What the old process had asked for.
    pub previous_settings: MemberSettings,
    /// The leader before the replacement.
    pub previous_leader: Option<Arc<str>>,
    /// Whether the client understands `skip_assignment`.
    pub can_skip_assignment: bool,
}

impl ClassicGroup {
    /// Handles one Heartbeat: the member lives on, and learns whether to join again.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION;
    /// REBALANCE_IN_PROGRESS tells the member to join.
    pub fn heartbeat(&self, request: &HeartbeatRequest, fx: &mut Effects) -> Result<(), ErrorCode> {
        if self.is_in(State::Dead) {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        self.validate_member(&request.member_id, request.instance_id.as_deref())?;
        if request.generation_id != self.generation_id {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        match self.state {
            State::Empty | State::Dead => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            State::PreparingRebalance => {
                self.renew_session(&request.member_id, fx);
                Err(ErrorCode::REBALANCE_IN_PROGRESS)
            }
            State::CompletingRebalance | State::Stable => {
                self.renew_session(&request.member_id, fx);
                Ok(())
            }
        }
    }

    /// Handles one LeaveGroup of any number of members. The errors are in the members' order.
    pub fn leave(
        &mut self,
        cx: &Cx<'_>,
        members: &[LeavingMember],
        fx: &mut Effects,
    ) -> Vec<ErrorCode> {
        let errors: Vec<ErrorCode> = members
            .iter()
            .map(|member| self.leave_one(member, fx))
            .collect();
        if errors.contains(&ErrorCode::NONE) {
            match self.state {
                State::Stable | State::CompletingRebalance => {
                    self.rebalance_or_complete_join(cx, fx);
                }
                State::PreparingRebalance => self.maybe_complete_join_phase(cx, fx),
                State::Empty | State::Dead => {}
            }
        }
        errors
    }

    fn leave_one(&mut self, leaving: &LeavingMember, fx: &mut Effects) -> ErrorCode {
        let instance_id = leaving.instance_id.as_deref();
        let id = if leaving.member_id.is_empty() {
            // An administrator takes a static member out by its instance id alone.
            match instance_id.and_then(|instance_id| self.static_members.get(instance_id)) {
                Some(id) => id.clone(),
                None => return ErrorCode::UNKNOWN_MEMBER_ID,
            }
        } else if self.is_pending(&leaving.member_id) {
            self.remove(&leaving.member_id);
            self.cancel_heartbeat(&leaving.member_id, fx);
            return ErrorCode::NONE;
        } else {
            if let Err(error) = self.validate_member(&leaving.member_id, instance_id) {
                return error;
            }
            leaving.member_id.clone()
        };
        self.cancel_heartbeat(&id, fx);
        self.remove_and_release(&id, fx);
        ErrorCode::NONE
    }

    /// Removes a member and answers what it still waits for: its client starts anew if it is alive.
    // Differs from Kafka: it leaves the SyncGroup of a removed member without an answer.
    fn remove_and_release(&mut self, id: &str, fx: &mut Effects) {
        let reply = JoinReply::error(ErrorCode::UNKNOWN_MEMBER_ID, Arc::from(""));
        self.complete_join(id, reply, fx);
        self.complete_sync(id, SyncReply::error(ErrorCode::UNKNOWN_MEMBER_ID), fx);
        self.remove(id);
    }

    /// No heartbeat came from this member, or no second join from this pending one.
    pub fn on_heartbeat_expired(&mut self, cx: &Cx<'_>, id: &str, fx: &mut Effects) {
        if self.is_in(State::Dead) {
            return;
        }
        let is_pending = self.is_pending(id);
        if !is_pending
            && self
                .members
                .get(id)
                .is_none_or(Member::has_satisfied_heartbeat)
        {
            return;
        }
        self.remove_and_release(id, fx);
        match self.state {
            State::Stable | State::CompletingRebalance if !is_pending => {
                self.rebalance_or_complete_join(cx, fx);
            }
            State::PreparingRebalance if self.has_all_members_joined() => {
                self.complete_join_phase(cx, fx);
            }
            _ => {}
        }
    }

    /// A static member came back without its id: the new process takes the place of the old one.
    pub(super) fn join_in_place_of(
        &mut self,
        cx: &Cx<'_>,
        request: &JoinRequest,
        old_member_id: Arc<str>,
        new_member_id: Arc<str>,
        token: Token,
        fx: &mut Effects,
    ) {
        let previous_leader = self.leader_id.clone();
        let Some(previous_settings) = self.replace_static(&old_member_id, &new_member_id, fx)
        else {
            let reply = JoinReply::error(ErrorCode::UNKNOWN_MEMBER_ID, Arc::from(""));
            return fx.reply_join(token, reply);
        };
        self.renew_session(&new_member_id, fx);
        self.update_member(&new_member_id, request.settings.clone(), Some(token));
        match self.state {
            State::Stable if self.select_protocol() == self.protocol_name => {
                // Nothing changes for the others: store the new id and go on without a rebalance.
                let value = self.to_record(|member| member.assignment.clone());
                let replacement = Replacement {
                    token,
                    old_member_id,
                    new_member_id,
                    previous_settings,
                    previous_leader,
                    can_skip_assignment: request.version >= SKIP_ASSIGNMENT_VERSION,
                };
                fx.append_without_replay(
                    Record::GroupMetadata {
                        group_id: self.id.clone(),
                        value: Some(value),
                    },
                    Continuation::StaticMemberReplaced {
                        group_id: self.id.clone(),
                        replacement,
                    },
                );
            }
            // In CompletingRebalance the leader may be working with the old id, and its assignment
            // would miss the new one.
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(cx, fx),
            State::PreparingRebalance | State::Empty | State::Dead => {
                self.maybe_complete_join_phase(cx, fx);
            }
        }
    }

    /// Answers the join of a static member that took over an id without a rebalance.
    pub fn on_static_member_replaced(
        &mut self,
        replacement: Replacement,
        stored: Stored,
        fx: &mut Effects,
    ) {
        let (old_id, new_id) = (&replacement.old_member_id, &replacement.new_member_id);
        // By now it may have joined again, or left, and this answer is no longer due.
        let waiting = self
            .members
            .get(new_id)
            .and_then(|member| member.awaiting_join);
        if waiting != Some(replacement.token) {
            return;
        }
        if let Some(error) = stored.error() {
            let mut reply = self.joined(
                &Arc::from(""),
                replacement.previous_leader.clone(),
                Vec::new(),
            );
            reply.error = error;
            self.complete_join(new_id, reply, fx);
            if matches!(stored, Stored::Failed(_)) {
                self.update_member(new_id, replacement.previous_settings, None);
                self.replace_static(new_id, old_id, fx);
                self.renew_session(old_id, fx);
            }
            return;
        }
        let is_leader = self.is_leader(new_id);
        let reply = if replacement.can_skip_assignment {
            let members = if is_leader {
                self.joined_members()
            } else {
                Vec::new()
            };
            let mut reply = self.joined(new_id, self.leader_id.clone(), members);
            reply.skip_assignment = is_leader;
            reply
        } else {
            // An old client that finds itself the leader would assign partitions anew. It is told
            // the old leader, so that it asks for the assignment as it is.
            self.joined(new_id, replacement.previous_leader.clone(), Vec::new())
        };
        self.complete_join(new_id, reply, fx);
    }

    /// Gives the place of a static member to a new process with the same instance id; the old one is
    /// fenced. Returns what the old one had set, or None when it is not a member.
    fn replace_static(
        &mut self,
        old_id: &Arc<str>,
        new_id: &Arc<str>,
        fx: &mut Effects,
    ) -> Option<MemberSettings> {
        let fenced = ErrorCode::FENCED_INSTANCE_ID;
        self.complete_join(old_id, JoinReply::error(fenced, old_id.clone()), fx);
        self.complete_sync(old_id, SyncReply::error(fenced), fx);
        let mut member = self.members.remove(old_id)?;
        let settings = MemberSettings {
            protocols: member.protocols.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
        };
        member.id = new_id.clone();
        member.is_new = false;
        if let Some(instance_id) = &member.instance_id {
            self.static_members
                .insert(instance_id.clone(), new_id.clone());
        }
        if self.is_leader(old_id) {
            self.leader_id = Some(new_id.clone());
        }
        self.members.insert(new_id.clone(), member);
        Some(settings)
    }
}
