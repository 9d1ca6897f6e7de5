//! How offsets and groups are forgotten: by age, and with their topics.
//!
//! | group | an offset is forgotten |
//! |---|---|
//! | simple | a retention time after its commit |
//! | empty | a retention time after the group became empty |
//! | stable consumers, topics known | a retention time after its commit, unless they subscribe to the topic |
//! | any other | never |
//!
//! An offset that was committed with an expiry of its own goes by that instead. An empty group goes with
//! its last offset.
//!
//! Kafka: group-coordinator `OffsetMetadataManager.cleanupExpiredOffsets`, `onTopicsDeleted`,
//! `ClassicGroup.offsetExpirationCondition` (4.3), KIP-211.

use std::sync::Arc;

use uuid::Uuid;

use super::classic::{ClassicGroup, State};
use super::{Cx, Effects, Group, GroupShard, Record, TimerEvent, TimerKey};

impl GroupShard {
    /// Forgets offsets that have not been used for the retention time, and groups that have none.
    pub(super) fn expire(&self, cx: &Cx<'_>, fx: &mut Effects) {
        fx.atomic = false;
        for (group_id, group) in &self.groups {
            let Group::Classic(group) = group else {
                continue;
            };
            if self.expire_offsets(cx, group, fx) && group.is_in(State::Empty) {
                fx.records.push(group_tombstone(group_id));
            }
        }
        let delay_ms = cx.config.offsets_retention_check_interval_ms;
        fx.schedule(TimerKey::Expiration, delay_ms, TimerEvent::Expiration);
    }

    /// Whether no offset of the group is left.
    fn expire_offsets(&self, cx: &Cx<'_>, group: &ClassicGroup, fx: &mut Effects) -> bool {
        let has_pending = self.offsets.has_pending(&group.id);
        // What the retention time counts from, by the state of the group: since it is empty, since
        // the commit, or for ever.
        let empty_since_ms = match (&group.protocol_type, group.state()) {
            (Some(_), State::Empty) => group.state_timestamp_ms,
            (None, _) => None,
            (Some(_), State::Stable) if group.subscribed_topics().is_some() => None,
            _ => return self.offsets.of_group(&group.id).next().is_none() && !has_pending,
        };
        let mut all_expired = true;
        for (topic, partition, offset) in self.offsets.of_group(&group.id) {
            let is_expired = match offset.expire_timestamp_ms {
                Some(expire_timestamp_ms) => cx.now_ms >= expire_timestamp_ms,
                None => {
                    let since_ms = empty_since_ms.unwrap_or(offset.commit_timestamp_ms);
                    cx.now_ms.saturating_sub(since_ms) >= cx.config.offsets_retention_ms
                }
            };
            let key = (group.id.clone(), topic.clone(), partition);
            if is_expired && !group.is_subscribed_to(topic) && !self.offsets.is_pending(&key) {
                fx.records
                    .push(offset_tombstone(&group.id, topic, partition));
            } else {
                all_expired = false;
            }
        }
        all_expired && !has_pending
    }

    /// Forgets the offsets of deleted topics.
    pub fn on_topics_deleted(&self, topics: &[(Uuid, Arc<str>)], fx: &mut Effects) {
        fx.atomic = false;
        for (topic_id, name) in topics {
            for (group_id, topic, partition) in self.offsets.of_topic(name, *topic_id) {
                fx.records
                    .push(offset_tombstone(&group_id, &topic, partition));
            }
        }
    }
}

pub(super) fn offset_tombstone(group_id: &Arc<str>, topic: &Arc<str>, partition: i32) -> Record {
    Record::OffsetCommit {
        group_id: group_id.clone(),
        topic: topic.clone(),
        partition,
        value: None,
    }
}

pub(super) fn group_tombstone(group_id: &Arc<str>) -> Record {
    Record::GroupMetadata {
        group_id: group_id.clone(),
        value: None,
    }
}
