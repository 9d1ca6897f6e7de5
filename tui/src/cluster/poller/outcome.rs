//! How a read ended, and how long its part rests after failures.

use super::BACKOFF_MAX_MS;
use crate::model::{Cell, Update};

/// How a read ended, for the length of the pause after it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Good,
    /// What was read is what was known, groups in so many batches.
    Same {
        n_batches: u32,
    },
    /// Good but for what somebody did not answer.
    Partial,
    Failed,
    /// The reader is gone.
    Over,
}

/// Doubles with every failure in a row.
pub(super) fn pause_ms(interval_ms: u64, n_failures: u32) -> u64 {
    let doubled = interval_ms.saturating_mul(1 << n_failures.min(10));
    doubled.min(BACKOFF_MAX_MS.max(interval_ms))
}

pub(super) fn is_failure(update: &Update) -> bool {
    match update {
        Update::Metadata(result) => result.is_err(),
        Update::Offsets { result, .. } => result.is_err(),
        Update::Settings(result) => result.is_err(),
        Update::LogDirs(result) => result.is_err(),
        Update::Groups(result) => result.is_err(),
        Update::Configs(_, result) => result.is_err(),
        Update::Quorum(result) => result.is_err(),
        Update::Reassignments(result) => result.is_err(),
        Update::Features(result) => result.is_err(),
        Update::Security(update) => update.is_failure(),
        Update::Transactions(result) => result.is_err(),
        Update::Metrics(results) => results.iter().all(|(_, result)| result.is_err()),
        // A group that can't be described is its own cell's matter.
        Update::Descriptions(_) | Update::Committed(_) => false,
    }
}

/// Whether a broker's part of it is missing.
pub(super) fn is_partial(update: &Update) -> bool {
    match update {
        Update::LogDirs(Ok(dirs)) => !dirs.faults.is_empty(),
        Update::Groups(Ok(groups)) => !groups.faults.is_empty(),
        Update::Offsets {
            result: Ok(offsets),
            ..
        } => {
            let mut partitions = offsets.values().flat_map(|topic| topic.partitions.iter());
            partitions.any(|partition| matches!(partition.end, Cell::Failed(_)))
        }
        _ => false,
    }
}
