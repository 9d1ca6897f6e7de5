//! JoinGroup: how members come together in a new generation.
//!
//! A join is answered at once with an error, with a member id to join again with, or with the current
//! generation; otherwise the caller waits, by its token, until [`ClassicGroup::complete_join_phase`].
//! Time-outs that end the wait: the initial delay of an empty group, the longest rebalance time-out of
//! the members, and [`NEW_MEMBER_JOIN_TIMEOUT_MS`] for a member that does not know its id yet.
//!
//! Kafka: group-coordinator `GroupMetadataManager.classicGroupJoin…` (4.3), KIP-134, KIP-345, KIP-394.

use std::sync::Arc;

use kafka_shared::error::ErrorCode;

use super::super::{Cx, Effects, JoinReply, JoinRequest, TimerEvent, TimerKey, Token};
use super::{ClassicGroup, Member, State};

/// How long a member may wait in its first join. Its client can't send heartbeats, and a client that
/// gave up and tries again would else stay in the group many times.
pub const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1000;

/// From this version of JoinGroup on, a client must join with an id that it was given.
const MEMBER_ID_REQUIRED_VERSION: i16 = 4;

impl ClassicGroup {
    /// Handles one JoinGroup; the answer goes to `token`, now or later.
    pub fn join(&mut self, cx: &Cx<'_>, request: &JoinRequest, token: Token, fx: &mut Effects) {
        let member_id = &request.member_id;
        if !self.accepts(cx, member_id) {
            self.remove(member_id);
            let reply = JoinReply::error(ErrorCode::GROUP_MAX_SIZE_REACHED, Arc::from(""));
            return fx.reply_join(token, reply);
        }
        let error = if self.is_in(State::Dead) {
            Some(ErrorCode::COORDINATOR_NOT_AVAILABLE)
        } else if !self.supports_protocols(&request.protocol_type, &request.settings.protocols) {
            Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL)
        } else {
            None
        };
        if let Some(error) = error {
            fx.reply_join(token, JoinReply::error(error, member_id.clone()));
        } else if member_id.is_empty() {
            self.join_new(cx, request, token, fx);
        } else if self.is_pending(member_id) && request.instance_id.is_none() {
            self.add_member(cx, request, member_id.clone(), token, fx);
        } else {
            self.rejoin(cx, request, token, fx);
        }
    }

    fn accepts(&self, cx: &Cx<'_>, member_id: &str) -> bool {
        let max = usize::try_from(cx.config.group_max_size).unwrap_or(0);
        let member = self.members.get(member_id);
        match self.state {
            State::Empty | State::Dead => true,
            // Those who wait are counted, not the members: the limit may have been lowered since,
            // and then the last to join again are out.
            State::PreparingRebalance => {
                member.is_some_and(|member| member.awaiting_join.is_some())
                    || self.awaiting_join < max
            }
            State::CompletingRebalance | State::Stable => {
                member.is_some() || self.members.len() < max
            }
        }
    }

    fn join_new(&mut self, cx: &Cx<'_>, request: &JoinRequest, token: Token, fx: &mut Effects) {
        let prefix = request.instance_id.as_deref().unwrap_or(&request.client_id);
        let new_id: Arc<str> = format!("{prefix}-{}", request.new_member_uuid).into();
        if let Some(instance_id) = &request.instance_id {
            match self.static_members.get(instance_id).cloned() {
                Some(old_id) => self.join_in_place_of(cx, request, old_id, new_id, token, fx),
                None => self.add_member(cx, request, new_id, token, fx),
            }
        } else if request.version >= MEMBER_ID_REQUIRED_VERSION {
            self.pending_join.insert(new_id.clone());
            let session_timeout_ms = i64::from(request.settings.session_timeout_ms);
            self.schedule_heartbeat(&new_id, session_timeout_ms, fx);
            fx.reply_join(
                token,
                JoinReply::error(ErrorCode::MEMBER_ID_REQUIRED, new_id),
            );
        } else {
            self.add_member(cx, request, new_id, token, fx);
        }
    }

    fn rejoin(&mut self, cx: &Cx<'_>, request: &JoinRequest, token: Token, fx: &mut Effects) {
        let id = &request.member_id;
        if let Err(error) = self.validate_member(id, request.instance_id.as_deref()) {
            return fx.reply_join(token, JoinReply::error(error, id.clone()));
        }
        let is_leader = self.is_leader(id);
        let is_unchanged = self
            .members
            .get(id)
            .is_some_and(|member| member.protocols == request.settings.protocols);
        match self.state {
            // It did not get the answer to its join: here it is again.
            State::CompletingRebalance if is_unchanged => {
                let members = if is_leader {
                    self.joined_members()
                } else {
                    Vec::new()
                };
                fx.reply_join(token, self.joined(id, self.leader_id.clone(), members));
            }
            // A leader joins to have a rebalance, as when the partitions of a topic have changed. A
            // follower with nothing new gets on with the current generation.
            State::Stable if is_unchanged && !is_leader => {
                fx.reply_join(token, self.joined(id, self.leader_id.clone(), Vec::new()));
            }
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                // Differs from Kafka: it never answers a join whose member sent another one on
                // another connection; here the first is told to join again.
                let reply = JoinReply::error(ErrorCode::REBALANCE_IN_PROGRESS, id.clone());
                self.complete_join(id, reply, fx);
                self.update_member(id, request.settings.clone(), Some(token));
                self.rebalance_or_complete_join(cx, fx);
            }
            State::Empty | State::Dead => {
                let reply = JoinReply::error(ErrorCode::UNKNOWN_MEMBER_ID, id.clone());
                fx.reply_join(token, reply);
            }
        }
    }

    fn add_member(
        &mut self,
        cx: &Cx<'_>,
        request: &JoinRequest,
        id: Arc<str>,
        token: Token,
        fx: &mut Effects,
    ) {
        if self.is_in(State::PreparingRebalance) && self.previous_state == State::Empty {
            self.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        self.insert(Member {
            id: id.clone(),
            instance_id: request.instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            rebalance_timeout_ms: request.settings.rebalance_timeout_ms,
            session_timeout_ms: request.settings.session_timeout_ms,
            protocols: request.settings.protocols.clone(),
            assignment: Default::default(),
            awaiting_join: Some(token),
            awaiting_sync: None,
            is_new: true,
        });
        self.schedule_heartbeat(&id, NEW_MEMBER_JOIN_TIMEOUT_MS, fx);
        self.rebalance_or_complete_join(cx, fx);
    }

    pub(super) fn rebalance_or_complete_join(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        if State::PreparingRebalance.can_follow(self.state) {
            self.prepare_rebalance(cx, fx);
        } else {
            self.maybe_complete_join_phase(cx, fx);
        }
    }

    /// Starts a rebalance: members that wait for their assignment are sent to join again.
    pub fn prepare_rebalance(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        if self.is_in(State::CompletingRebalance) {
            self.fail_sync(ErrorCode::REBALANCE_IN_PROGRESS, fx);
        }
        self.pending_sync.clear();
        fx.cancel(TimerKey::Sync {
            group_id: self.id.clone(),
        });
        let is_initial = self.is_in(State::Empty);
        self.transition_to(State::PreparingRebalance, cx.now_ms);
        if is_initial {
            // More members are about to come: every one of them delays the first generation, up to
            // the rebalance time-out in all.
            let delay_ms = i64::from(cx.config.group_initial_rebalance_delay_ms);
            let remaining_ms = (i64::from(self.rebalance_timeout_ms()) - delay_ms).max(0);
            let event = TimerEvent::InitialDelay {
                delay_ms,
                remaining_ms,
            };
            fx.schedule(
                TimerKey::Join {
                    group_id: self.id.clone(),
                },
                delay_ms,
                event,
            );
        } else if self.has_all_members_joined() {
            self.complete_join_phase(cx, fx);
        } else {
            self.schedule_join(fx);
        }
    }

    fn schedule_join(&self, fx: &mut Effects) {
        let delay_ms = i64::from(self.rebalance_timeout_ms());
        let key = TimerKey::Join {
            group_id: self.id.clone(),
        };
        fx.schedule(key, delay_ms, TimerEvent::JoinExpired);
    }

    /// The initial delay is over, unless somebody joined meanwhile and there is time left.
    pub fn on_initial_delay(
        &mut self,
        cx: &Cx<'_>,
        delay_ms: i64,
        remaining_ms: i64,
        fx: &mut Effects,
    ) {
        if self.new_member_added && remaining_ms != 0 {
            self.new_member_added = false;
            let initial_ms = i64::from(cx.config.group_initial_rebalance_delay_ms);
            let event = TimerEvent::InitialDelay {
                delay_ms: initial_ms.min(remaining_ms),
                remaining_ms: (remaining_ms - delay_ms).max(0),
            };
            let key = TimerKey::Join {
                group_id: self.id.clone(),
            };
            fx.schedule(key, initial_ms.min(remaining_ms), event);
        } else {
            self.complete_join_phase(cx, fx);
        }
    }

    pub(super) fn maybe_complete_join_phase(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        // An initial rebalance ends by its delay only.
        if self.is_in(State::PreparingRebalance)
            && self.previous_state != State::Empty
            && self.has_all_members_joined()
        {
            self.complete_join_phase(cx, fx);
        }
    }

    /// Ends the joining: who did not come is out, but for static members, who may come back within
    /// their session time-out; the others learn of the new generation.
    pub fn complete_join_phase(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        fx.cancel(TimerKey::Join {
            group_id: self.id.clone(),
        });
        if !self.is_in(State::PreparingRebalance) {
            return;
        }
        let absent: Vec<Arc<str>> = self
            .members
            .values()
            .filter(|member| member.awaiting_join.is_none() && member.instance_id.is_none())
            .map(|member| member.id.clone())
            .collect();
        for id in absent {
            self.remove(&id);
            self.cancel_heartbeat(&id, fx);
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Only static members are left and none of them joined: their session time-outs decide.
            return self.schedule_join(fx);
        }
        self.init_next_generation(cx.now_ms);
        if self.is_in(State::Empty) {
            return self.store_empty(fx);
        }
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let members = if self.is_leader(&id) {
                self.joined_members()
            } else {
                Vec::new()
            };
            let reply = self.joined(&id, self.leader_id.clone(), members);
            self.complete_join(&id, reply, fx);
            self.renew_session(&id, fx);
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
            }
            self.pending_sync.insert(id);
        }
        let delay_ms = i64::from(self.rebalance_timeout_ms());
        let event = TimerEvent::SyncExpired {
            generation_id: self.generation_id,
        };
        fx.schedule(
            TimerKey::Sync {
                group_id: self.id.clone(),
            },
            delay_ms,
            event,
        );
    }
}
