//! One partition of `__consumer_offsets` as a state machine: its groups and their offsets.
//!
//! A handler gets the request and [`Cx`] (time, settings) and leaves in [`Effects`] what is to happen:
//! records to append, answers to callers that waited, timers. The runtime appends the records, hands
//! them to [`GroupShard::replay`], and tells [`GroupShard::on_stored`] when they are committed or failed;
//! the answer that a handler returns is sent no earlier than that.
//!
//! Hard state, which the log has, is the offsets and which groups exist. The members of a classic
//! group are soft state, which handlers change directly: the log gets a copy of the group at certain
//! points only, so these records are not replayed while the shard is live ([`Effects::replay`]). After
//! a load both come from [`GroupShard::replay`].
//!
//! There are no clocks, no I/O and no randomness in here.
//!
//! Kafka: group-coordinator `GroupCoordinatorShard`, `GroupMetadataManager` (4.3).

mod administration;
pub mod classic;
mod commit;
pub mod effects;
mod expiry;
pub mod messages;
pub mod offsets;
pub mod records;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::error::ErrorCode;

pub use self::effects::*;
pub use self::messages::*;
pub use self::records::Record;

use self::classic::{ClassicGroup, State};
use self::offsets::Offsets;
use super::GroupCoordinatorConfig;

/// How groups work: which protocol their members speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupType {
    /// The leader assigns.
    Classic,
    /// The broker assigns (KIP-848).
    Consumer,
    /// Members share partitions (KIP-932).
    Share,
    /// Kafka Streams (KIP-1071).
    Streams,
}

impl GroupType {
    /// Kafka's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            GroupType::Classic => "classic",
            GroupType::Consumer => "consumer",
            GroupType::Share => "share",
            GroupType::Streams => "streams",
        }
    }
}

/// What a handler may know besides its request.
#[derive(Debug, Clone, Copy)]
pub struct Cx<'a> {
    /// Wall clock, in milliseconds.
    pub now_ms: i64,
    /// The coordinator's settings.
    pub config: &'a GroupCoordinatorConfig,
}

/// A group of any type.
#[derive(Debug)]
enum Group {
    Classic(Box<ClassicGroup>),
    /// The log has a group of a type that is not served here. Its records and offsets stay as they
    /// are, for a broker that can serve it.
    Unserved(GroupType),
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug, Default)]
pub struct GroupShard {
    groups: BTreeMap<Arc<str>, Group>,
    offsets: Offsets,
}

impl GroupShard {
    fn classic(&self, group_id: &str) -> Option<&ClassicGroup> {
        match self.groups.get(group_id)? {
            Group::Classic(group) => Some(group),
            Group::Unserved(_) => None,
        }
    }

    fn classic_mut(&mut self, group_id: &str) -> Option<&mut ClassicGroup> {
        match self.groups.get_mut(group_id)? {
            Group::Classic(group) => Some(group),
            Group::Unserved(_) => None,
        }
    }

    // ---- membership -----------------------------------------------------------------------------

    /// JoinGroup. The answer goes to `token`.
    pub fn join(&mut self, cx: &Cx<'_>, request: &JoinRequest, token: Token, fx: &mut Effects) {
        let group_id = &request.group_id;
        let is_new = !self.groups.contains_key(group_id);
        if is_new {
            if !request.member_id.is_empty() {
                let unknown = ErrorCode::UNKNOWN_MEMBER_ID;
                let reply = JoinReply::error(unknown, request.member_id.clone());
                return fx.reply_join(token, reply);
            }
            let group = ClassicGroup::new(group_id.clone(), cx.now_ms);
            self.groups
                .insert(group_id.clone(), Group::Classic(Box::new(group)));
        }
        let Some(group) = self.classic_mut(group_id) else {
            let error = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
            return fx.reply_join(token, JoinReply::error(error, Arc::from("")));
        };
        group.join(cx, request, token, fx);
        if is_new && fx.records.is_empty() {
            // The group as it was before the join: it exists from now on, whatever becomes of it.
            let value = ClassicGroup::new(group_id.clone(), cx.now_ms).to_record(|_| Bytes::new());
            fx.append_without_replay(
                Record::GroupMetadata {
                    group_id: group_id.clone(),
                    value: Some(value),
                },
                Continuation::GroupCreated {
                    group_id: group_id.clone(),
                },
            );
        }
    }

    /// SyncGroup. The answer goes to `token`.
    pub fn sync(&mut self, request: &SyncRequest, token: Token, fx: &mut Effects) {
        match self.classic_mut(&request.group_id) {
            Some(group) => group.sync(request, token, fx),
            None => fx.reply_sync(token, SyncReply::error(ErrorCode::UNKNOWN_MEMBER_ID)),
        }
    }

    /// Heartbeat.
    ///
    /// # Errors
    /// See [`ClassicGroup::heartbeat`].
    pub fn heartbeat(&self, request: &HeartbeatRequest, fx: &mut Effects) -> Result<(), ErrorCode> {
        match self.classic(&request.group_id) {
            Some(group) => group.heartbeat(request, fx),
            None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        }
    }

    /// LeaveGroup: an error per member, in their order.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID when there is no such group, COORDINATOR_NOT_AVAILABLE.
    pub fn leave(
        &mut self,
        cx: &Cx<'_>,
        request: &LeaveRequest,
        fx: &mut Effects,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        match self.classic_mut(&request.group_id) {
            Some(group) if group.is_in(State::Dead) => Err(ErrorCode::COORDINATOR_NOT_AVAILABLE),
            Some(group) => Ok(group.leave(cx, &request.members, fx)),
            None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        }
    }

    // ---- time and the log -----------------------------------------------------------------------

    /// A timer is due.
    pub fn on_timer(&mut self, cx: &Cx<'_>, key: &TimerKey, event: TimerEvent, fx: &mut Effects) {
        let group_id = match key {
            TimerKey::Heartbeat { group_id, .. }
            | TimerKey::Join { group_id }
            | TimerKey::Sync { group_id } => group_id,
            TimerKey::Expiration => return self.expire(cx, fx),
        };
        let Some(group) = self.classic_mut(group_id) else {
            return;
        };
        match (event, key) {
            (TimerEvent::HeartbeatExpired, TimerKey::Heartbeat { member_id, .. }) => {
                group.on_heartbeat_expired(cx, member_id, fx);
            }
            (
                TimerEvent::InitialDelay {
                    delay_ms,
                    remaining_ms,
                },
                _,
            ) => {
                group.on_initial_delay(cx, delay_ms, remaining_ms, fx);
            }
            (TimerEvent::JoinExpired, _) => group.complete_join_phase(cx, fx),
            (TimerEvent::SyncExpired { generation_id }, _) => {
                group.on_sync_expired(cx, generation_id, fx);
            }
            (TimerEvent::HeartbeatExpired | TimerEvent::Expiration, _) => {}
        }
    }

    /// Applies a record of the log. `producer_id` is that of a transactional batch.
    pub fn replay(&mut self, record_offset: i64, producer_id: Option<i64>, record: Record) {
        match record {
            Record::OffsetCommit {
                group_id,
                topic,
                partition,
                value,
            } => {
                if value.is_some() && !self.groups.contains_key(&group_id) {
                    // A simple group: nobody joins it, it is there as long as its offsets are.
                    let group = ClassicGroup::new(group_id.clone(), 0);
                    self.groups
                        .insert(group_id.clone(), Group::Classic(Box::new(group)));
                }
                self.offsets.replay(
                    record_offset,
                    producer_id,
                    (group_id, topic, partition),
                    value,
                );
            }
            Record::GroupMetadata {
                group_id,
                value: None,
            } => {
                if let Some(Group::Classic(_)) = self.groups.get(&group_id) {
                    self.groups.remove(&group_id);
                }
            }
            Record::GroupMetadata {
                group_id,
                value: Some(value),
            } => {
                let group = ClassicGroup::from_record(group_id.clone(), &value);
                self.groups
                    .insert(group_id, Group::Classic(Box::new(group)));
            }
            Record::Unserved {
                group_id,
                group_type,
                exists: true,
            } => {
                self.groups.insert(group_id, Group::Unserved(group_type));
            }
            Record::Unserved {
                group_id,
                exists: false,
                ..
            } => {
                if let Some(Group::Unserved(_)) = self.groups.get(&group_id) {
                    self.groups.remove(&group_id);
                }
            }
        }
    }

    /// Applies the end of a transaction.
    pub fn replay_end_marker(&mut self, record_offset: i64, producer_id: i64, is_commit: bool) {
        self.offsets
            .replay_end_marker(record_offset, producer_id, is_commit);
    }

    /// All records below `high_watermark` are committed.
    pub fn advance_committed(&mut self, high_watermark: i64) {
        self.offsets.advance_committed(high_watermark);
    }

    /// Appending the records of an earlier [`Effects`] ended.
    pub fn on_stored(
        &mut self,
        cx: &Cx<'_>,
        continuation: Continuation,
        stored: Stored,
        fx: &mut Effects,
    ) {
        match continuation {
            Continuation::GroupCreated { group_id } => {
                if let (Stored::Failed(error), Some(group)) = (stored, self.classic_mut(&group_id))
                {
                    group.unload(cx.now_ms, error, fx);
                    self.groups.remove(&group_id);
                }
            }
            Continuation::GroupEmptied { group_id } => {
                if let Some(error) = stored.error() {
                    // The log still has the last generation, whose members will time out.
                    tracing::warn!(group = %group_id, error = error.name(), "empty group not stored");
                }
            }
            Continuation::AssignmentsStored {
                group_id,
                generation_id,
                assignments,
            } => {
                if let Some(group) = self.classic_mut(&group_id) {
                    group.on_assignments_stored(cx, generation_id, &assignments, stored, fx);
                }
            }
            Continuation::StaticMemberReplaced {
                group_id,
                replacement,
            } => {
                if let Some(group) = self.classic_mut(&group_id) {
                    group.on_static_member_replaced(replacement, stored, fx);
                }
            }
        }
    }

    /// The whole log was replayed: from now on members have to show up.
    pub fn on_loaded(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        let max = usize::try_from(cx.config.group_max_size).unwrap_or(0);
        for group in self.groups.values_mut() {
            let Group::Classic(group) = group else {
                continue;
            };
            let ids: Vec<Arc<str>> = group.members().map(|member| member.id.clone()).collect();
            for id in &ids {
                group.renew_session(id, fx);
            }
            if group.size() > max && group.is_in(State::Stable) {
                // The limit was lowered: the members may commit, join again, and the last are out.
                group.prepare_rebalance(cx, fx);
            }
        }
        let delay_ms = cx.config.offsets_retention_check_interval_ms;
        fx.schedule(TimerKey::Expiration, delay_ms, TimerEvent::Expiration);
    }

    /// The partition moves to another broker: all who wait are sent there.
    pub fn on_unloaded(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        for group in self.groups.values_mut() {
            if let Group::Classic(group) = group {
                group.unload(cx.now_ms, ErrorCode::NOT_COORDINATOR, fx);
            }
        }
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }
}
