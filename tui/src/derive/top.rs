//! A cluster at a glance: whether it is well, which groups are furthest behind, which topics are
//! written to most.
//!
//! `top`, `exporter` and the overview say the same, since they ask here and in the modules beside.

use std::cmp::Reverse;
use std::sync::Arc;

use serde::Serialize;

use super::{GroupTotals, Total, cluster_health, group_totals, topic_rate};
use crate::model::{ClusterSnapshot, GroupState, Topic};

/// Whether a cluster is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Healthy,
    Unhealthy,
    /// Nothing bad was found, but not everything could be looked at.
    Unknown,
}

/// The answer with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterCheck {
    pub verdict: Verdict,
    /// What is not well, the worst first.
    pub bad: Vec<String>,
    /// What is not known.
    pub unknown: Vec<String>,
}

/// `3 partitions`, `1 partition`.
fn some(n: usize, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}

/// Whether a cluster is well: every partition led and fully in sync, every broker serving, no log
/// directory failed. Lag and leaders elsewhere than preferred are no illness.
pub fn cluster_check(snapshot: &ClusterSnapshot) -> ClusterCheck {
    let (mut bad, mut unknown) = (Vec::new(), Vec::new());
    match (snapshot.metadata.get(), snapshot.metadata.fault()) {
        (_, Some(fault)) => unknown.push(format!("the metadata: {fault}")),
        (None, None) => unknown.push("the metadata was not read yet".to_owned()),
        (Some(_), None) => {}
    }
    if let Some(counts) = cluster_health(snapshot) {
        let mut found = |n: usize, what: &str, state: &str| {
            if n > 0 {
                bad.push(format!("{} {state}", some(n, what)));
            }
        };
        found(counts.offline, "partition", "without a leader");
        let under_min = counts.under_min_isr.partial().unwrap_or(0);
        // One without a leader takes no writes either, and was named.
        let under_min = under_min.saturating_sub(counts.offline);
        found(under_min, "partition", "under min.insync.replicas");
        found(counts.under_replicated, "partition", "under-replicated");
        found(counts.offline_replicas, "replica", "offline");
        if counts.under_min_isr.complete().is_none() {
            unknown.push("min.insync.replicas of every topic".to_owned());
        }
    }
    if let Some(metadata) = snapshot.metadata.get() {
        let fenced = metadata.brokers.iter().filter(|b| b.fenced == Some(true));
        match fenced.count() {
            0 => {}
            n => bad.push(format!("{} fenced", some(n, "broker"))),
        }
        if metadata.may_describe == Some(false) {
            unknown.push("what this user may not describe".to_owned());
        }
    }
    if let Some(dirs) = snapshot.log_dirs.get() {
        let failed = dirs.dirs.values().flatten().filter(|d| d.error.is_some());
        match failed.count() {
            0 => {}
            1 => bad.push("1 log directory failed".to_owned()),
            n => bad.push(format!("{n} log directories failed")),
        }
        for (broker, fault) in &dirs.faults {
            unknown.push(format!(
                "the log directories of broker {broker}: {}",
                fault.why
            ));
        }
    }
    for (what, fault) in [
        ("the settings", snapshot.settings.fault()),
        ("the log directories", snapshot.log_dirs.fault()),
        ("running reassignments", snapshot.reassignments.fault()),
    ] {
        // What the cluster is too old for is no gap that anybody could close.
        if let Some(fault) = fault
            && fault.kind != crate::model::FaultKind::Unsupported
        {
            unknown.push(format!("{what}: {fault}"));
        }
    }
    let verdict = match (bad.is_empty(), unknown.is_empty()) {
        (false, _) => Verdict::Unhealthy,
        (true, false) => Verdict::Unknown,
        (true, true) => Verdict::Healthy,
    };
    ClusterCheck {
        verdict,
        bad,
        unknown,
    }
}

/// A topic with its rate.
#[derive(Clone, Debug)]
pub struct BusyTopic {
    pub topic: Arc<Topic>,
    /// Records per second.
    pub rate: Total<f64>,
}

/// The topics that are written to most, the busiest first; those that nothing is written to are
/// left out. Equal ones are in the order of their names.
pub fn busiest_topics(snapshot: &ClusterSnapshot, limit: usize) -> Vec<BusyTopic> {
    let Some(metadata) = snapshot.metadata.get() else {
        return Vec::new();
    };
    let rated = metadata.topics.iter().map(|topic| BusyTopic {
        rate: topic_rate(snapshot, &topic.name),
        topic: Arc::clone(topic),
    });
    let is_busy = |busy: &BusyTopic| busy.rate.partial().is_some_and(|rate| rate > 0.0);
    let mut busy: Vec<BusyTopic> = rated.filter(is_busy).collect();
    let rate = |busy: &BusyTopic| busy.rate.partial().unwrap_or(0.0);
    busy.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
    busy.truncate(limit);
    busy
}

/// A group with its lag.
#[derive(Clone, Debug)]
pub struct LaggingGroup {
    pub id: Arc<str>,
    pub state: Option<GroupState>,
    pub members: Option<usize>,
    pub totals: GroupTotals,
}

/// The groups with a lag or with loss, the furthest behind first; those whose lag is known in part
/// only stand by that part. Equal ones are in the order of their names.
pub fn lagging_groups(snapshot: &ClusterSnapshot, limit: usize) -> Vec<LaggingGroup> {
    let mut lagging = all_group_totals(snapshot);
    let lag = |group: &LaggingGroup| group.totals.total.partial().unwrap_or(0);
    lagging.retain(|group| lag(group) > 0 || group.totals.with_loss > 0);
    lagging.sort_by_key(|group| Reverse(lag(group)));
    lagging.truncate(limit);
    lagging
}

/// Every group whose committed offsets are known, by name.
pub fn all_group_totals(snapshot: &ClusterSnapshot) -> Vec<LaggingGroup> {
    let (Some(metadata), Some(groups)) = (snapshot.metadata.get(), snapshot.groups.get()) else {
        return Vec::new();
    };
    let totals = groups.groups.values().filter_map(|group| {
        let commits = snapshot.committed.get(&group.id)?.get()?;
        let described = snapshot.descriptions.get(&group.id);
        let described = described.and_then(|described| described.get());
        let state = described.map(|d| &d.state).or(group.state.as_ref());
        Some(LaggingGroup {
            id: Arc::clone(&group.id),
            state: state.cloned(),
            members: described.map(|d| d.members.len()),
            totals: group_totals(commits, snapshot.offsets.get(), described, metadata),
        })
    });
    totals.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::test_topic;
    use crate::model::{
        Broker, Cell, ClusterMetadata, Committed, CommittedPartition, Fault, FaultKind, Group,
        GroupKind, Groups, Offsets, PartitionOffsets, Taken, TopicOffsets, TopicSettings, Update,
    };

    fn at(ms: i64) -> Taken {
        Taken {
            monotonic_ms: ms,
            wall_ms: ms,
        }
    }

    fn metadata(topics: Vec<Topic>) -> ClusterMetadata {
        let broker = |id| Broker {
            id,
            host: "b".to_owned(),
            port: 9092,
            rack: None,
            fenced: Some(false),
        };
        ClusterMetadata {
            brokers: vec![broker(1), broker(2)],
            topics: topics.into_iter().map(Arc::new).collect(),
            ..ClusterMetadata::default()
        }
    }

    fn with_min_isr(snapshot: &mut ClusterSnapshot, min: i32) {
        let names = snapshot.metadata.get().unwrap().topics.iter();
        let settings = names.map(|topic| {
            let settings = TopicSettings {
                min_insync_replicas: Some(min),
                ..TopicSettings::default()
            };
            (Arc::clone(&topic.name), settings)
        });
        let settings = Arc::new(settings.collect());
        snapshot.apply(Update::Settings(Ok(settings)), at(0));
    }

    #[test]
    fn a_cluster_is_well_only_when_everything_was_looked_at() {
        let sound: (&[i32], &[i32], i32) = (&[1, 2], &[1, 2], 1);
        let mut snapshot = ClusterSnapshot::default();
        assert_eq!(cluster_check(&snapshot).verdict, Verdict::Unknown);
        let topics = vec![test_topic("a", &[sound])];
        snapshot.apply(Update::Metadata(Ok(Arc::new(metadata(topics)))), at(0));
        let check = cluster_check(&snapshot);
        assert_eq!(check.verdict, Verdict::Unknown);
        assert_eq!(check.unknown, ["min.insync.replicas of every topic"]);
        with_min_isr(&mut snapshot, 2);
        let check = cluster_check(&snapshot);
        assert_eq!((check.verdict, check.bad.len()), (Verdict::Healthy, 0));
        let old = Fault::new(FaultKind::Unsupported, "list reassignments", "too old");
        snapshot.apply(Update::Reassignments(Err(Arc::new(old))), at(0));
        assert_eq!(cluster_check(&snapshot).verdict, Verdict::Healthy);
        let gone = Fault::new(FaultKind::Unreachable, "read the metadata", "no answer");
        snapshot.apply(Update::Metadata(Err(Arc::new(gone))), at(0));
        assert_eq!(cluster_check(&snapshot).verdict, Verdict::Unknown);
    }

    #[test]
    fn each_illness_is_named_once_the_worst_first() {
        let mut snapshot = ClusterSnapshot::default();
        let parts: &[(&[i32], &[i32], i32)] = &[
            (&[1, 2], &[], -1),
            (&[1, 2], &[1], 1),
            (&[1, 2], &[1, 2], 2),
        ];
        let mut metadata = metadata(vec![test_topic("a", parts)]);
        metadata.brokers[1].fenced = Some(true);
        snapshot.apply(Update::Metadata(Ok(Arc::new(metadata))), at(0));
        with_min_isr(&mut snapshot, 2);
        let check = cluster_check(&snapshot);
        assert_eq!(check.verdict, Verdict::Unhealthy);
        assert_eq!(
            check.bad,
            [
                "1 partition without a leader",
                "1 partition under min.insync.replicas",
                "2 partitions under-replicated",
                "1 broker fenced",
            ]
        );
    }

    fn offsets(taken: Taken, ends: &[(&str, i64)]) -> Update {
        let topics = ends.iter().map(|(name, end)| {
            let partition = PartitionOffsets {
                partition: 0,
                start: Cell::Known(0),
                end: Cell::Known(*end),
            };
            let topic = TopicOffsets {
                taken,
                topic_id: None,
                partitions: [partition].into(),
            };
            (Arc::from(*name), Arc::new(topic))
        });
        Update::Offsets {
            result: Ok(Arc::new(topics.collect::<Offsets>())),
            complete: true,
        }
    }

    #[test]
    fn the_busiest_topics_and_the_furthest_behind_come_first() {
        let one: (&[i32], &[i32], i32) = (&[1], &[1], 1);
        let topics = ["a", "b", "c"].map(|name| test_topic(name, &[one]));
        let mut snapshot = ClusterSnapshot::default();
        let metadata = metadata(topics.to_vec());
        snapshot.apply(Update::Metadata(Ok(Arc::new(metadata))), at(0));
        for (ms, ends) in [
            (0, [("a", 0), ("b", 0), ("c", 5)]),
            (2_000, [("a", 20), ("b", 200), ("c", 5)]),
        ] {
            snapshot.apply(offsets(at(ms), &ends), at(ms));
        }
        let busy = busiest_topics(&snapshot, 9);
        let busy: Vec<(&str, Option<f64>)> = busy
            .iter()
            .map(|busy| (&*busy.topic.name, busy.rate.complete()))
            .collect();
        assert_eq!(busy, [("b", Some(100.0)), ("a", Some(10.0))]);
        assert_eq!(busiest_topics(&snapshot, 1).len(), 1);

        let mut groups = Groups::default();
        let mut commits = Vec::new();
        for (id, topic, committed) in [("far", "b", 10), ("near", "a", 15), ("there", "c", 5)] {
            let id: Arc<str> = id.into();
            let group = Group {
                id: Arc::clone(&id),
                kind: GroupKind::Classic,
                state: Some(GroupState::Empty),
                protocol_type: "consumer".into(),
                coordinator: 1,
            };
            groups.groups.insert(Arc::clone(&id), Arc::new(group));
            let commit = CommittedPartition {
                partition: 0,
                offset: Some(committed),
                ..CommittedPartition::default()
            };
            let committed = Committed {
                taken: at(1_000),
                topics: Arc::new([(Arc::from(topic), vec![commit])].into()),
            };
            commits.push((id, Ok(Arc::new(committed))));
        }
        snapshot.apply(Update::Groups(Ok(Arc::new(groups))), at(1_000));
        snapshot.apply(Update::Committed(commits), at(1_000));
        let lagging: Vec<(Arc<str>, Option<i64>)> = lagging_groups(&snapshot, 9)
            .into_iter()
            .map(|group| (group.id, group.totals.total.complete()))
            .collect();
        assert_eq!(
            lagging,
            [("far".into(), Some(190)), ("near".into(), Some(5))]
        );
        assert_eq!(all_group_totals(&snapshot).len(), 3);
    }
}
