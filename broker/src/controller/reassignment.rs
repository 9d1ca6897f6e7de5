//! The arithmetic of moving a partition to other brokers.
//!
//! While a partition moves, its replicas are the target's followed by those that will go; when all
//! that were added are in sync, those that go are dropped.
//!
//! Kafka: `controller/PartitionReassignment{Replicas,Revert}.java` (4.3), KIP-455.

use std::collections::BTreeSet;

use kafka_shared::error::{ApiError, ErrorCode};

use crate::metadata::PartitionRegistration;

/// Replicas during a reassignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reassignment {
    pub removing: Vec<i32>,
    pub adding: Vec<i32>,
    /// The target's replicas in their order, then those that will be removed.
    pub replicas: Vec<i32>,
}

/// Replicas and ISR after a reassignment has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
}

/// Replicas and ISR after a reassignment was cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverted {
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    /// Whether no replica in sync is left, so that the first one has to lead uncleanly.
    pub is_unclean: bool,
}

fn difference(a: &[i32], b: &[i32]) -> Vec<i32> {
    let a: BTreeSet<_> = a.iter().copied().collect();
    a.into_iter().filter(|id| !b.contains(id)).collect()
}

fn without(a: &[i32], b: &[i32]) -> Vec<i32> {
    a.iter().copied().filter(|id| !b.contains(id)).collect()
}

fn contains_all(a: &[i32], b: &[i32]) -> bool {
    b.iter().all(|id| a.contains(id))
}

impl Reassignment {
    /// The way from the current replicas to the target's.
    pub fn new(current: &[i32], target: &[i32]) -> Self {
        let removing = difference(current, target);
        let adding = difference(target, current);
        let replicas = target.iter().chain(&removing).copied().collect();
        Self {
            removing,
            adding,
            replicas,
        }
    }

    /// The end of the reassignment, if this ISR lets it end: all that were added are in sync and
    /// somebody stays. When there will be fewer replicas than before, all that stay have to be in
    /// sync, or else the ISR would shrink for nothing.
    ///
    // Differs from Kafka: who was to be added by the move that this one has replaced, and is to be
    // removed now, needn't get in sync first; the move would wait for it for ever.
    pub fn complete(&self, isr: &[i32]) -> Option<Completed> {
        if self.removing.is_empty() && self.adding.is_empty() {
            return None;
        }
        let isr = without(isr, &self.removing);
        let replicas = without(&self.replicas, &self.removing);
        let somebody_stays = !isr.is_empty() && !replicas.is_empty();
        let is_shrinking = self.adding.len() < self.removing.len();
        let may_end = (self.removing.is_empty() || somebody_stays)
            && contains_all(&isr, &without(&self.adding, &self.removing))
            && (!is_shrinking || contains_all(&isr, &replicas));
        may_end.then_some(Completed { replicas, isr })
    }

    /// What a partition that is being reassigned goes back to.
    ///
    /// # Errors
    /// INVALID_REPLICA_ASSIGNMENT if all replicas were added.
    pub fn revert(partition: &PartitionRegistration) -> Result<Reverted, ApiError> {
        let replicas = without(&partition.replicas, &partition.adding_replicas);
        let mut isr = without(&partition.isr, &partition.adding_replicas);
        let is_unclean = isr.is_empty();
        if is_unclean {
            let first = replicas.first().ok_or_else(|| {
                ApiError::new(
                    ErrorCode::INVALID_REPLICA_ASSIGNMENT,
                    "Invalid replica assignment: addingReplicas contains all replicas.",
                )
            })?;
            isr.push(*first);
        }
        Ok(Reverted {
            replicas,
            isr,
            is_unclean,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(current: &[i32], target: &[i32], isr: &[i32]) -> Option<(Vec<i32>, Vec<i32>)> {
        let completed = Reassignment::new(current, target).complete(isr)?;
        Some((completed.replicas, completed.isr))
    }

    #[test]
    fn a_move_ends_when_all_added_replicas_are_in_sync() {
        assert_eq!(completed(&[1, 2, 3], &[1, 2, 4], &[1, 2, 3]), None);
        let end = Some((vec![1, 2, 4], vec![1, 2, 4]));
        assert_eq!(completed(&[1, 2, 3], &[1, 2, 4], &[1, 2, 3, 4]), end);
        assert_eq!(completed(&[1, 2], &[2, 1], &[1, 2]), None, "nothing moves");
    }

    #[test]
    fn a_shrinking_move_waits_for_all_that_stay() {
        // Kafka's own example: ending now would leave the ISR [5].
        assert_eq!(completed(&[0, 1, 2, 3, 4], &[2, 3, 4, 5], &[0, 1, 5]), None);
        let end = Some((vec![2, 3, 4, 5], vec![2, 3, 4, 5]));
        assert_eq!(
            completed(&[0, 1, 2, 3, 4], &[2, 3, 4, 5], &[0, 2, 3, 4, 5]),
            end
        );
        assert_eq!(
            completed(&[1, 2], &[2], &[1]),
            None,
            "the ISR would be empty"
        );
    }
}
