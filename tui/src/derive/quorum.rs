//! What a change of voters would leave of the quorum, and what feature levels are called.

use serde::Serialize;

use crate::model::{Quorum, QuorumReplica};

/// A voter that has not fetched for longer than this behind the newest fetch is silent: Kafka's
/// followers give their leader up after 2 s (`controller.quorum.fetch.timeout.ms`).
const SILENT_MS: i64 = 10_000;

/// A set of voters, and how many of them may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Survival {
    pub n_voters: usize,
    /// Those that have fetched lately; the leader counts.
    pub n_live: usize,
    pub majority: usize,
    /// Of the live ones, how many more may fail.
    pub spare: usize,
}

/// Whether a voter or observer has fetched lately; the leader always has.
pub fn is_following(quorum: &Quorum, replica: &QuorumReplica) -> bool {
    let everybody = quorum.voters.iter().chain(&quorum.observers);
    let newest = everybody.filter_map(|replica| replica.last_fetch_ms).max();
    // An old cluster does not tell when: then nobody is called silent.
    let Some(newest) = newest else { return true };
    let is_leader = quorum.leader_id == replica.id && quorum.voters.contains(replica);
    is_leader
        || replica
            .last_fetch_ms
            .is_some_and(|fetched| newest.saturating_sub(fetched) <= SILENT_MS)
}

/// The voters with one more or one less.
pub fn survival(
    quorum: &Quorum,
    added: Option<&QuorumReplica>,
    removed: Option<&QuorumReplica>,
) -> Survival {
    let voters = quorum.voters.iter().chain(added);
    let voters: Vec<&QuorumReplica> = voters.filter(|replica| Some(*replica) != removed).collect();
    let live = voters
        .iter()
        .filter(|replica| is_following(quorum, replica));
    let n_live = live.count();
    let majority = voters.len() / 2 + 1;
    Survival {
        n_voters: voters.len(),
        n_live,
        majority,
        spare: n_live.saturating_sub(majority),
    }
}

/// Levels of `metadata.version` from 7 on, as releases name them. Kafka: `MetadataVersion.java`
/// (4.3).
const METADATA_VERSIONS: [&str; 24] = [
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2",
    "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0",
    "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0",
];

/// The first of them.
const METADATA_VERSION_FIRST: i16 = 7;

/// What a level is called, where levels have names.
pub fn feature_level_name(feature: &str, level: i16) -> Option<&'static str> {
    if feature != "metadata.version" {
        return None;
    }
    let at = usize::try_from(level.checked_sub(METADATA_VERSION_FIRST)?).ok()?;
    METADATA_VERSIONS.get(at).copied()
}

/// The level that a number or a name means: `30`, `4.3-IV0`, or the newest of `4.3`.
pub fn feature_level(feature: &str, text: &str) -> Option<i16> {
    if let Ok(level) = text.parse() {
        return Some(level);
    }
    if feature != "metadata.version" {
        return None;
    }
    let release = format!("{text}-");
    let is_it = |name: &&str| **name == *text || name.starts_with(&release);
    let at = METADATA_VERSIONS.iter().rposition(is_it)?;
    i16::try_from(at).ok()?.checked_add(METADATA_VERSION_FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voters and observers by id, with how many seconds ago they have fetched.
    fn quorum(voters: &[(i32, i64)], observers: &[(i32, i64)]) -> Quorum {
        let replica = |(id, ago_s): &(i32, i64)| QuorumReplica {
            id: *id,
            directory_id: None,
            log_end_offset: 10,
            lag: Some(0),
            last_fetch_ms: (*ago_s >= 0).then_some(1_000_000 - ago_s * 1_000),
            last_caught_up_ms: None,
        };
        Quorum {
            leader_id: 1,
            voters: voters.iter().map(replica).collect(),
            observers: observers.iter().map(replica).collect(),
            ..Quorum::default()
        }
    }

    #[test]
    fn silent_voters_count_for_the_majority_and_not_for_those_that_answer() {
        let told = |s: Survival| (s.n_voters, s.n_live, s.majority, s.spare);
        let all = quorum(&[(1, 0), (2, 1), (3, 1)], &[(4, 1)]);
        let with = |of: &Quorum| told(survival(of, of.observers.first(), None));
        let without = |of: &Quorum, index: usize| told(survival(of, None, of.voters.get(index)));
        assert_eq!(told(survival(&all, None, None)), (3, 3, 2, 1));
        assert_eq!(with(&all), (4, 4, 3, 1));
        assert_eq!(without(&all, 2), (2, 2, 2, 0));
        let one_silent = quorum(&[(1, 0), (2, 1), (3, 60)], &[(4, 60)]);
        assert_eq!(told(survival(&one_silent, None, None)), (3, 2, 2, 0));
        assert_eq!(without(&one_silent, 2), (2, 2, 2, 0));
        assert_eq!(without(&one_silent, 1), (2, 1, 2, 0));
        assert_eq!(with(&one_silent), (4, 2, 3, 0));
        let old_cluster = quorum(&[(1, -1), (2, -1)], &[]);
        assert_eq!(told(survival(&old_cluster, None, None)), (2, 2, 2, 0));
    }

    #[test]
    fn levels_of_the_metadata_version_have_the_names_of_releases() {
        for (level, name) in [
            (7, "3.3-IV3"),
            (14, "3.6-IV2"),
            (25, "4.0-IV3"),
            (30, "4.3-IV0"),
        ] {
            assert_eq!(feature_level_name("metadata.version", level), Some(name));
            assert_eq!(feature_level("metadata.version", name), Some(level));
        }
        assert_eq!(feature_level_name("metadata.version", 31), None);
        assert_eq!(feature_level_name("metadata.version", 6), None);
        assert_eq!(feature_level_name("kraft.version", 1), None);
        assert_eq!(feature_level("metadata.version", "3.7"), Some(19));
        assert_eq!(feature_level("metadata.version", "12"), Some(12));
        assert_eq!(feature_level("metadata.version", "9.9"), None);
        assert_eq!(feature_level("kraft.version", "4.3"), None);
    }
}
