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

    /// Whether a cancel would elect a leader out of sync, which the controller refuses: every
    /// in-sync replica is one that the reassignment adds.
    pub fn cancel_is_unclean(&self, partition: &Partition) -> bool {
        partition.isr.iter().all(|id| self.adding.contains(id))
    }
}

/// All running reassignments.
pub type Reassignments = BTreeMap<TopicPartition, OngoingReassignment>;
