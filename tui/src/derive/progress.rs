//! How far running reassignments are.
//!
//! A replica that is being added is compared with the partition's leader: both sizes come from
//! DescribeLogDirs. A replica that joined the in-sync set is done whatever its size says, because
//! segments roll and are cleaned at different times on different brokers.

use crate::model::{
    ClusterMetadata, FaultKind, LogDirs, OngoingReassignment, Reassignments, TopicPartition,
};

use super::Total;

/// One partition on the move.
#[derive(Clone, Debug, PartialEq)]
pub struct MoveProgress {
    pub partition: TopicPartition,
    pub ongoing: OngoingReassignment,
    /// Replicas to add that are in sync already.
    pub n_added: usize,
    /// Bytes that the replicas to add have, a part per replica, capped at the leader's size.
    pub bytes_done: Total<i64>,
    /// Bytes that they will have, a part per replica.
    pub bytes_total: Total<i64>,
    /// Brokers that are to get a replica and are down: the move waits for them, for ever if they
    /// don't come back.
    pub waits_for: Vec<i32>,
    /// Whether it adds what it removes, which never ends.
    pub is_endless: bool,
    /// Whether nobody leads the partition, so that there is nothing to copy from.
    pub is_leaderless: bool,
}

impl MoveProgress {
    /// Between 0 and 1; `None` when sizes are missing.
    pub fn fraction(&self) -> Option<f64> {
        if self.n_added == self.ongoing.adding.len() {
            return Some(1.0);
        }
        let (done, total) = (self.bytes_done.complete()?, self.bytes_total.complete()?);
        // An empty log has nothing to copy but its replica still has to join.
        if total == 0 {
            Some(0.0)
        } else {
            Some((done as f64 / total as f64).min(1.0))
        }
    }
}

/// The progress of every running reassignment, by partition.
pub fn moves(
    reassignments: &Reassignments,
    metadata: &ClusterMetadata,
    dirs: Option<&LogDirs>,
) -> Vec<MoveProgress> {
    reassignments
        .iter()
        .map(|(partition, ongoing)| progress(partition, ongoing, metadata, dirs))
        .collect()
}

fn progress(
    partition: &TopicPartition,
    ongoing: &OngoingReassignment,
    metadata: &ClusterMetadata,
    dirs: Option<&LogDirs>,
) -> MoveProgress {
    let now = metadata
        .topic(&partition.topic)
        .and_then(|topic| topic.partition(partition.partition));
    let size = |broker: i32| {
        Some(
            dirs?
                .replica(&partition.topic, partition.partition, broker)?
                .size_bytes,
        )
    };
    let leader_size = now.filter(|p| p.has_leader()).and_then(|p| size(p.leader));
    let in_sync = |broker: &i32| now.is_some_and(|p| p.isr.contains(broker));
    let mut bytes_done = Total::new();
    for broker in &ongoing.adding {
        bytes_done.add(match (in_sync(broker), leader_size) {
            (true, leader) => leader,
            (false, Some(leader)) => {
                // A broker that answered and does not name the replica has not begun it.
                let begun = dirs.filter(|dirs| dirs.knows(*broker)).map(|_| 0);
                size(*broker).or(begun).map(|size| size.min(leader))
            }
            (false, None) => None,
        });
    }
    MoveProgress {
        partition: partition.clone(),
        ongoing: ongoing.clone(),
        n_added: ongoing
            .adding
            .iter()
            .filter(|broker| in_sync(broker))
            .count(),
        bytes_done,
        bytes_total: ongoing.adding.iter().map(|_| leader_size).collect(),
        waits_for: ongoing
            .adding
            .iter()
            .copied()
            .filter(|broker| !in_sync(broker) && is_down(*broker, metadata, dirs))
            .collect(),
        is_endless: !ongoing.contradictory().is_empty(),
        is_leaderless: now.is_some_and(|partition| !partition.has_leader()),
    }
}

/// Whether a broker is gone, fenced, or does not answer.
fn is_down(broker: i32, metadata: &ClusterMetadata, dirs: Option<&LogDirs>) -> bool {
    let fault = dirs.and_then(|dirs| dirs.faults.get(&broker));
    metadata
        .broker(broker)
        .is_none_or(|broker| broker.fenced == Some(true))
        || fault.is_some_and(|fault| fault.kind == FaultKind::Unreachable)
}
