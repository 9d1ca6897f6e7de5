//! What would happen if brokers stopped now: partitions without a leader, or with too few in sync
//! for writes with acks=all; what has to move; whether the quorum keeps its majority.
//!
//! What is not known is no yes: the answer then names what is missing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::partition_health;
use crate::model::{ClusterSnapshot, Partition, Quorum, TopicPartition, TopicSettings};

/// A voter that is further behind would not keep up a majority.
const VOTER_LAG_MAX: i64 = 1_000;
/// Partitions that are named of each kind; the counts are whole.
const NAMED_MAX: usize = 1_000;

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MayStop {
    Yes,
    /// Something that it takes to answer is not known.
    Unknown,
    No,
}

/// Partitions of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Affected {
    pub count: usize,
    /// The first thousand.
    #[serde(serialize_with = "names")]
    pub partitions: Vec<TopicPartition>,
}

fn names<S: serde::Serializer>(keys: &[TopicPartition], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(ToString::to_string))
}

impl Affected {
    fn add(&mut self, topic: &str, partition: i32) {
        self.count += 1;
        if self.partitions.len() < NAMED_MAX {
            self.partitions.push(TopicPartition::new(topic, partition));
        }
    }
}

/// What a stop would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StopCheck {
    pub may_stop: MayStop,
    /// Why not, or why it is not known; a line each.
    pub reasons: Vec<String>,
    /// What will happen all the same.
    pub notes: Vec<String>,
    /// No replica in sync would be left.
    pub offline: Affected,
    /// Writes with acks=all would fail from then on.
    pub under_min_isr: Affected,
    /// Those where writes with acks=all would fail with the next loss.
    pub at_min_isr: Affected,
    /// Led elsewhere afterwards.
    pub leaders: usize,
    /// Partitions of the groups' and the transactions' topics that are led there now.
    pub group_coordinators: usize,
    pub transaction_coordinators: usize,
    pub groups: usize,
}

/// Checks whether all of `brokers` may stop now.
pub fn may_stop(snapshot: &ClusterSnapshot, brokers: &BTreeSet<i32>) -> StopCheck {
    let mut check = StopCheck {
        may_stop: MayStop::Yes,
        reasons: Vec::new(),
        notes: Vec::new(),
        offline: Affected::default(),
        under_min_isr: Affected::default(),
        at_min_isr: Affected::default(),
        leaders: 0,
        group_coordinators: 0,
        transaction_coordinators: 0,
        groups: 0,
    };
    let Some(metadata) = snapshot.metadata.get() else {
        check.unknown("the cluster has not been read yet".to_owned());
        return check;
    };
    for id in brokers {
        if metadata.broker(*id).is_none() {
            check.unknown(format!("there is no broker {id} in the cluster"));
        }
    }
    if let Some(fault) = snapshot.metadata.fault() {
        check.unknown(format!("the cluster does not answer now: {}", fault.why));
    }
    check.partitions(snapshot, brokers);
    check.coordinators(snapshot, brokers);
    match snapshot.quorum.get() {
        Some(quorum) => check.quorum(quorum, brokers),
        None => check.notes.push(
            "who votes in the metadata quorum is not known: controllers are not considered"
                .to_owned(),
        ),
    }
    check
}

impl StopCheck {
    fn no(&mut self, why: String) {
        self.may_stop = self.may_stop.max(MayStop::No);
        self.reasons.push(why);
    }

    fn unknown(&mut self, why: String) {
        self.may_stop = self.may_stop.max(MayStop::Unknown);
        self.reasons.push(why);
    }

    fn partitions(&mut self, snapshot: &ClusterSnapshot, brokers: &BTreeSet<i32>) {
        let Some(metadata) = snapshot.metadata.get() else {
            return;
        };
        let settings = snapshot.settings.get();
        let mut without_settings: BTreeSet<&str> = BTreeSet::new();
        let (mut unreplicated, mut offline_already) = (0, 0);
        for topic in &metadata.topics {
            let min_isr = min_isr(settings, &topic.name);
            for partition in &topic.partitions {
                if !partition.replicas.iter().any(|id| brokers.contains(id)) {
                    continue;
                }
                self.leaders += usize::from(brokers.contains(&partition.leader));
                let left = after(partition, brokers);
                if !partition.has_leader() {
                    offline_already += 1;
                } else if left.isr.is_empty() {
                    self.offline.add(&topic.name, partition.id);
                    unreplicated += usize::from(partition.wanted_replicas() == 1);
                } else if left.isr.len() < partition.isr.len() {
                    let health = partition_health(&left, min_isr);
                    let before = partition_health(partition, min_isr);
                    match (before.under_min_isr, health.under_min_isr) {
                        (_, None) => {
                            without_settings.insert(&topic.name);
                        }
                        (Some(false), Some(true)) => {
                            self.under_min_isr.add(&topic.name, partition.id);
                        }
                        _ if health.at_min_isr == Some(true) => {
                            self.at_min_isr.add(&topic.name, partition.id);
                        }
                        _ => {}
                    }
                }
            }
        }
        if self.offline.count > 0 {
            let only = match unreplicated {
                0 => String::new(),
                n => format!(", {n} of them with one replica only"),
            };
            let n = partitions(self.offline.count);
            self.no(format!("{n} would have no replica in sync left{only}"));
        }
        if self.under_min_isr.count > 0 {
            let n = partitions(self.under_min_isr.count);
            self.no(format!(
                "{n} would take no writes with acks=all: fewer in sync than min.insync.replicas"
            ));
        }
        if !without_settings.is_empty() {
            let n = without_settings.len();
            self.unknown(format!("min.insync.replicas of {n} topics is not known"));
        }
        if self.at_min_isr.count > 0 {
            let n = partitions(self.at_min_isr.count);
            self.notes.push(format!(
                "{n} would be at min.insync.replicas: one more loss stops writes"
            ));
        }
        if offline_already > 0 {
            let n = partitions(offline_already);
            self.notes
                .push(format!("{n} with a replica there have no leader already"));
        }
        if self.leaders > 0 {
            let n = partitions(self.leaders);
            self.notes
                .push(format!("{n} will be led by another broker"));
        }
    }

    fn coordinators(&mut self, snapshot: &ClusterSnapshot, brokers: &BTreeSet<i32>) {
        let led = |name: &str| {
            let topic = snapshot.metadata.get()?.topic(name)?;
            let led = topic
                .partitions
                .iter()
                .filter(|p| brokers.contains(&p.leader));
            Some(led.count())
        };
        self.group_coordinators = led("__consumer_offsets").unwrap_or(0);
        self.transaction_coordinators = led("__transaction_state").unwrap_or(0);
        let groups = snapshot.groups.get();
        if groups.is_none() {
            let why = "the groups are not known yet: some may have their coordinator here";
            self.notes.push(why.to_owned());
        }
        self.groups = groups.map_or(0, |groups| {
            let there = groups
                .groups
                .values()
                .filter(|g| brokers.contains(&g.coordinator));
            there.count()
        });
        if self.groups > 0 {
            let groups = crate::units::counted(self.groups, "group");
            self.notes
                .push(format!("{groups} will find another coordinator"));
        }
        if self.transaction_coordinators > 0 {
            self.notes.push(format!(
                "the transactions of {} will find another coordinator",
                partitions(self.transaction_coordinators)
            ));
        }
    }

    fn quorum(&mut self, quorum: &Quorum, brokers: &BTreeSet<i32>) {
        let n_voters = quorum.voters.len();
        let left = quorum
            .voters
            .iter()
            .filter(|voter| !brokers.contains(&voter.id));
        let n_good = left
            .filter(|voter| {
                voter.id == quorum.leader_id || voter.lag.is_some_and(|lag| lag <= VOTER_LAG_MAX)
            })
            .count();
        let is_voter = quorum
            .voters
            .iter()
            .any(|voter| brokers.contains(&voter.id));
        if is_voter && n_good * 2 <= n_voters {
            self.no(format!(
                "the metadata quorum would lose its majority: {n_good} of {n_voters} voters would be \
                 left that keep up"
            ));
        } else if brokers.contains(&quorum.leader_id) {
            let text = "another controller will be elected";
            self.notes.push(text.to_owned());
        }
    }
}

/// The partition once these brokers are gone.
fn after(partition: &Partition, brokers: &BTreeSet<i32>) -> Partition {
    let isr: Arc<[i32]> = partition
        .isr
        .iter()
        .copied()
        .filter(|id| !brokers.contains(id))
        .collect();
    let leader = if brokers.contains(&partition.leader) {
        isr.first().copied().unwrap_or(crate::model::NO_LEADER)
    } else {
        partition.leader
    };
    Partition {
        isr,
        leader,
        ..partition.clone()
    }
}

fn min_isr(settings: Option<&HashMap<Arc<str>, TopicSettings>>, topic: &str) -> Option<i32> {
    settings?.get(topic)?.min_insync_replicas
}

fn partitions(n: usize) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} partition{s}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::derive::test_topic;
    use crate::model::{Broker, ClusterMetadata, QuorumReplica, Taken, Topic, Update};

    const ALL: &[i32] = &[1, 2, 3];

    fn at() -> Taken {
        Taken::default()
    }

    fn snapshot(topics: Vec<(Topic, Option<i32>)>, voters: &[(i32, i64)]) -> ClusterSnapshot {
        let broker = |id| Broker {
            id,
            host: "h".to_owned(),
            port: 9092,
            rack: None,
            fenced: Some(false),
        };
        let mut snapshot = ClusterSnapshot::default();
        let settings = topics.iter().filter_map(|(topic, min_isr)| {
            let settings = TopicSettings {
                min_insync_replicas: Some((*min_isr)?),
                ..TopicSettings::default()
            };
            Some((Arc::clone(&topic.name), settings))
        });
        snapshot.apply(Update::Settings(Ok(Arc::new(settings.collect()))), at());
        let metadata = ClusterMetadata {
            brokers: [1, 2, 3].map(broker).into(),
            topics: topics
                .into_iter()
                .map(|(topic, _)| Arc::new(topic))
                .collect(),
            ..ClusterMetadata::default()
        };
        snapshot.apply(Update::Metadata(Ok(Arc::new(metadata))), at());
        let voter = |(id, lag): &(i32, i64)| QuorumReplica {
            id: *id,
            directory_id: None,
            log_end_offset: 0,
            lag: Some(*lag),
            last_fetch_ms: None,
            last_caught_up_ms: None,
        };
        let quorum = Quorum {
            leader_id: 1,
            voters: voters.iter().map(voter).collect(),
            ..Quorum::default()
        };
        snapshot.apply(Update::Quorum(Ok(Arc::new(quorum))), at());
        snapshot
    }

    fn check(snapshot: &ClusterSnapshot, brokers: &[i32]) -> StopCheck {
        may_stop(snapshot, &brokers.iter().copied().collect())
    }

    const VOTERS: &[(i32, i64)] = &[(1, 0), (2, 5), (3, 5)];

    #[test]
    fn one_of_three_replicas_may_stop_and_two_may_not() {
        let topic = test_topic("t", &[(ALL, ALL, 1), (&[2, 3, 1], ALL, 2)]);
        let snapshot = snapshot(vec![(topic, Some(2))], VOTERS);
        let one = check(&snapshot, &[2]);
        assert_eq!(one.may_stop, MayStop::Yes, "{:?}", one.reasons);
        assert_eq!((one.leaders, one.at_min_isr.count), (1, 2));
        let two = check(&snapshot, &[2, 3]);
        assert_eq!(two.may_stop, MayStop::No);
        assert_eq!(two.under_min_isr.count, 2);
        assert_eq!(
            two.reasons,
            [
                "2 partitions would take no writes with acks=all: fewer in sync than \
                 min.insync.replicas",
                "the metadata quorum would lose its majority: 1 of 3 voters would be left that \
                 keep up",
            ]
        );
    }

    #[test]
    fn a_replica_out_of_sync_is_no_help_and_takes_no_harm() {
        let topic = test_topic("t", &[(ALL, &[1, 2], 1)]);
        let snapshot = snapshot(vec![(topic, Some(2))], VOTERS);
        assert_eq!(check(&snapshot, &[3]).may_stop, MayStop::Yes);
        let check = check(&snapshot, &[1]);
        assert_eq!(
            (check.may_stop, check.under_min_isr.count),
            (MayStop::No, 1)
        );
        assert!(
            check
                .notes
                .contains(&"another controller will be elected".to_owned())
        );
    }

    #[test]
    fn a_partition_with_one_replica_would_be_offline() {
        let topic = test_topic("t", &[(&[2], &[2], 2), (&[1], &[1], 1)]);
        let snapshot = snapshot(vec![(topic, Some(1))], VOTERS);
        let check = check(&snapshot, &[2]);
        assert_eq!(
            check.reasons,
            ["1 partition would have no replica in sync left, 1 of them with one replica only"]
        );
        assert_eq!(check.offline.partitions, [TopicPartition::new("t", 0)]);
    }

    #[test]
    fn what_is_under_the_minimum_already_is_not_blamed_on_the_stop() {
        let topic = test_topic("t", &[(ALL, &[1, 2], 1)]);
        let snapshot = snapshot(vec![(topic, Some(3))], VOTERS);
        let check = check(&snapshot, &[2]);
        assert_eq!(
            (check.may_stop, check.under_min_isr.count),
            (MayStop::Yes, 0)
        );
    }

    #[test]
    fn what_is_not_known_is_no_yes() {
        let topic = test_topic("t", &[(ALL, ALL, 1)]);
        let snapshot = snapshot(vec![(topic, None)], VOTERS);
        let check_2 = check(&snapshot, &[2]);
        assert_eq!(check_2.may_stop, MayStop::Unknown);
        assert_eq!(
            check_2.reasons,
            ["min.insync.replicas of 1 topics is not known"]
        );
        assert_eq!(check(&snapshot, &[9]).may_stop, MayStop::Unknown);
        let nothing = check(&ClusterSnapshot::default(), &[1]);
        assert_eq!(nothing.may_stop, MayStop::Unknown);
    }

    #[test]
    fn a_voter_that_lags_far_behind_is_no_part_of_a_majority() {
        let lagging = snapshot(vec![], &[(1, 0), (2, 0), (3, 50_000)]);
        assert_eq!(check(&lagging, &[2]).may_stop, MayStop::No);
        assert_eq!(check(&lagging, &[3]).may_stop, MayStop::Yes);
        let single = snapshot(vec![], &[(1, 0)]);
        assert_eq!(check(&single, &[1]).may_stop, MayStop::No);
        assert_eq!(check(&single, &[2]).may_stop, MayStop::Yes, "no voter");
    }
}
