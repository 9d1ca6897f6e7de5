//! Replica assignments, and reassignments that are running.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::TopicPartition;
use super::topic::Partition;

/// Replicas by partition, in preference order.
pub type Assignment = BTreeMap<TopicPartition, Vec<i32>>;

/// One partition's running reassignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OngoingReassignment {
    /// All replicas of now: old ones, new ones.
    pub replicas: Vec<i32>,
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
}

impl OngoingReassignment {
    /// The replicas when it is done.
    pub fn target(&self) -> Vec<i32> {
        self.replicas
            .iter()
            .copied()
            .filter(|id| !self.removing.contains(id))
            .collect()
    }

    /// The replicas when it is cancelled.
    pub fn original(&self) -> Vec<i32> {
        self.replicas
            .iter()
            .copied()
            .filter(|id| !self.adding.contains(id))
            .collect()
    }

    /// Brokers that are to be added and to be removed again. Apache Kafka (seen with 4.3.1) waits
    /// for such a replica to get in sync and keeps it out of it: only a cancel ends this.
    pub fn contradictory(&self) -> Vec<i32> {
        let adding = self.adding.iter().copied();
        adding.filter(|id| self.removing.contains(id)).collect()
    }

    /// Whether this has to be cancelled before the target takes its place.
    ///
    /// What was being added stays so where a new target adds nobody, and the same with what was
    /// being removed: then the replicas would end as others than the target, or never. Kafka:
    /// `ReplicationControlManager.changePartitionReassignment` (4.3).
    pub fn is_in_the_way_of(&self, target: &[i32]) -> bool {
        let adds = target.iter().any(|id| !self.replicas.contains(id));
        let removes = self.replicas.iter().any(|id| !target.contains(id));
        (!adds && self.adding.iter().any(|id| !target.contains(id)))
            || (!removes && self.removing.iter().any(|id| target.contains(id)))
    }

    /// Whether a cancel would elect a leader out of sync, which the controller refuses: every
    /// in-sync replica is one that the reassignment adds.
    pub fn cancel_is_unclean(&self, partition: &Partition) -> bool {
        partition.isr.iter().all(|id| self.adding.contains(id))
    }
}

/// All running reassignments.
pub type Reassignments = BTreeMap<TopicPartition, OngoingReassignment>;
