//! The replica that a consumer should read from: one in its own rack, if there is one (KIP-392).
//!
//! Kafka: `ReplicaManager.findPreferredReadReplica`, `common/replica/RackAwareReplicaSelector.java`
//! (4.3).

use super::partition::Partition;
use super::partition::state::PartitionState;
use crate::metadata::MetadataImage;

/// What `replica.selector.class` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplicaSelector {
    /// Consumers read from the leader.
    #[default]
    Leader,
    /// Consumers read from a replica in their rack.
    RackAware,
}

impl ReplicaSelector {
    /// The selector that a class name of Kafka's stands for; `None` for an unknown class.
    pub fn from_class(class: &str) -> Option<Self> {
        match class {
            "" | "org.apache.kafka.common.replica.LeaderSelector" => Some(Self::Leader),
            "org.apache.kafka.common.replica.RackAwareReplicaSelector" => Some(Self::RackAware),
            _ => None,
        }
    }
}

/// A consumer's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPlace {
    pub rack: String,
    /// The listener by which it came: another replica is of use only if it has that one too.
    pub listener: String,
}

impl Partition {
    /// The replica other than this leader that a consumer at `place` should read from.
    pub fn preferred_read_replica(
        &self,
        image: &MetadataImage,
        place: &ClientPlace,
        fetch_offset: i64,
    ) -> Option<i32> {
        self.with_state(|state| {
            if !state.is_leader() {
                return None;
            }
            let local_id = state.leader_id()?;
            let is_near = |id: i32| {
                image.cluster.alive_broker(id).is_some_and(|broker| {
                    broker.rack.as_deref() == Some(&*place.rack)
                        && broker.listener(&place.listener).is_some()
                })
            };
            if is_near(local_id) {
                return None;
            }
            best_follower(state, fetch_offset, is_near)
        })
    }
}

/// The follower that is furthest, among those that have the offset and are in sync: another one may
/// stay behind for as long as it is read from.
fn best_follower(
    state: &PartitionState,
    fetch_offset: i64,
    is_near: impl Fn(i32) -> bool,
) -> Option<i32> {
    state
        .followers()
        .filter(|(id, follower)| {
            state.isr().contains(id)
                && follower.log_end_offset >= fetch_offset
                && follower.log_start_offset <= fetch_offset
                && is_near(*id)
        })
        .max_by_key(|(id, follower)| {
            let caught_up_ms = follower.last_caught_up_time_ms;
            (follower.log_end_offset, caught_up_ms, *id)
        })
        .map(|(id, _)| id)
}
