//! The cluster as it was: snapshots of the last day, the older the rarer.
//!
//! What did not change between two moments is the same allocation, so a moment of a quiet cluster
//! costs little. Offsets, members and sizes do change; a moment of a large cluster is kept without
//! them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::metrics::{BrokerMetrics, BrokerReading};
use super::resource::{Resource, Taken};
use super::snapshot::ClusterSnapshot;

/// How far moments are apart, by their age: every 10 s for 10 minutes, every minute for two hours,
/// every ten minutes for a day.
const SPACING_MS: [(i64, i64); 3] = [
    (10 * 60_000, 10_000),
    (120 * 60_000, 60_000),
    (24 * 3_600_000, 10 * 60_000),
];

/// Offsets that one moment may hold, committed ones among them; a larger cluster is kept without
/// what fills memory: offsets, members and sizes.
const OFFSETS_MAX: usize = 5_000;

/// Topics whose counts one moment may hold, over all brokers that tell; of more only what brokers
/// tell of themselves is kept.
const COUNTS_MAX: usize = 200;

/// The cluster at one time.
#[derive(Debug)]
pub struct Moment {
    pub at: Taken,
    pub snapshot: ClusterSnapshot,
    /// Whether offsets, and so lags and rates, members and sizes were left out.
    pub is_without_offsets: bool,
}

/// Moments, oldest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    moments: VecDeque<Arc<Moment>>,
}

impl History {
    /// Keeps the cluster as it is now, if the last moment is long enough ago.
    pub fn note(&mut self, snapshot: &ClusterSnapshot, at: Taken) {
        let last = self.moments.back();
        let apart = |last: &Arc<Moment>| at.monotonic_ms - last.at.monotonic_ms;
        if last.is_some_and(|last| apart(last) < SPACING_MS[0].1) {
            return;
        }
        self.keep(snapshot, at);
        self.thin(at);
    }

    /// Keeps the cluster as it is now, however close the last moment is: the end of a recording.
    pub fn keep(&mut self, snapshot: &ClusterSnapshot, at: Taken) {
        let is_without_offsets = n_offsets(snapshot) > OFFSETS_MAX;
        let mut kept = snapshot.without_numbers();
        kept.metrics = metrics_of(snapshot);
        if !is_without_offsets {
            kept.offsets = snapshot.offsets.clone();
            kept.committed = snapshot.committed.clone();
            kept.descriptions = snapshot.descriptions.clone();
            kept.log_dirs = snapshot.log_dirs.clone();
        }
        if let Some(last) = self.moments.back() {
            share_unchanged(&mut kept, &last.snapshot);
        }
        self.moments.push_back(Arc::new(Moment {
            at,
            snapshot: kept,
            is_without_offsets,
        }));
    }

    /// Drops what is too old, and of what lies too close together the newer one.
    fn thin(&mut self, now: Taken) {
        let mut kept: Option<i64> = None;
        self.moments.retain(|moment| {
            let age = now.monotonic_ms - moment.at.monotonic_ms;
            let spacing = SPACING_MS.iter().find(|(up_to, _)| age <= *up_to);
            let is_kept = spacing.is_some_and(|(_, spacing)| {
                // A little less, since moments come when the cluster answers.
                kept.is_none_or(|last| moment.at.monotonic_ms - last >= spacing * 9 / 10)
            });
            if is_kept {
                kept = Some(moment.at.monotonic_ms);
            }
            is_kept
        });
    }

    pub fn len(&self) -> usize {
        self.moments.len()
    }

    pub fn is_empty(&self) -> bool {
        self.moments.is_empty()
    }

    pub fn oldest(&self) -> Option<&Arc<Moment>> {
        self.moments.front()
    }

    /// The newest moment at that time or before; the oldest one where all are later.
    pub fn at(&self, wall_ms: i64) -> Option<&Arc<Moment>> {
        let earlier = self.moments.iter().rev();
        let mut earlier = earlier.filter(|moment| moment.at.wall_ms <= wall_ms);
        earlier.next().or_else(|| self.moments.front())
    }

    /// The newest moment before that one.
    pub fn before(&self, at: Taken) -> Option<&Arc<Moment>> {
        let mut newest_first = self.moments.iter().rev();
        newest_first.find(|moment| moment.at.monotonic_ms < at.monotonic_ms)
    }

    /// The oldest moment after that one.
    pub fn after(&self, at: Taken) -> Option<&Arc<Moment>> {
        let mut oldest_first = self.moments.iter();
        oldest_first.find(|moment| moment.at.monotonic_ms > at.monotonic_ms)
    }
}

fn n_offsets(snapshot: &ClusterSnapshot) -> usize {
    let partitions = snapshot.metadata.get().map_or(0, |m| m.n_partitions());
    let committed = snapshot.committed.values().filter_map(|c| c.get());
    let committed = committed.flat_map(|c| c.topics.values());
    partitions + committed.map(Vec::len).sum::<usize>()
}

/// What brokers told, both readings that their rates are between.
fn metrics_of(snapshot: &ClusterSnapshot) -> BTreeMap<i32, BrokerMetrics> {
    let mut kept = snapshot.metrics.clone();
    let counts = |of: &BrokerMetrics| of.reading.value().map_or(0, |told| told.topics.len());
    if kept.values().map(counts).sum::<usize>() <= COUNTS_MAX {
        return kept;
    }
    let without_topics = |told: &Arc<BrokerReading>| {
        let mut told = BrokerReading::clone(told);
        told.topics = Vec::new();
        Arc::new(told)
    };
    for of in kept.values_mut() {
        of.before = of.before.as_ref().map(without_topics);
        if let Some(told) = of.reading.value().map(without_topics) {
            of.reading.replace_value(told);
        }
    }
    kept
}

/// What did not change is kept once.
fn share_unchanged(new: &mut ClusterSnapshot, old: &ClusterSnapshot) {
    if let (Some(now), Some(before)) = (new.metadata.get(), old.metadata.value())
        && now.has_same_topics(before)
        && now.brokers == before.brokers
        && now.cluster_id == before.cluster_id
        && now.controller_id == before.controller_id
    {
        let before = Arc::clone(before);
        new.metadata.replace_value(before);
    }
    share(&mut new.settings, &old.settings);
    share(&mut new.groups, &old.groups);
}

fn share<T: PartialEq>(new: &mut Resource<T>, old: &Resource<T>) {
    if let (Some(now), Some(before)) = (new.value(), old.value())
        && now == before
    {
        let before = Arc::clone(before);
        new.replace_value(before);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ClusterMetadata, TopicCounts, Update};
    use super::*;
    use crate::derive::test_topic;

    fn at(ms: i64) -> Taken {
        Taken {
            monotonic_ms: ms,
            wall_ms: 1_000_000 + ms,
        }
    }

    fn snapshot(n_topics: usize) -> ClusterSnapshot {
        let one: (&[i32], &[i32], i32) = (&[1], &[1], 1);
        let topic = |i: usize| Arc::new(test_topic(&format!("t{i}"), &[one; 4]));
        let metadata = ClusterMetadata {
            topics: (0..n_topics).map(topic).collect(),
            ..ClusterMetadata::default()
        };
        let mut snapshot = ClusterSnapshot::default();
        snapshot.apply(Update::Metadata(Ok(Arc::new(metadata))), at(0));
        snapshot
    }

    #[test]
    fn a_day_is_kept_in_a_bounded_number_of_moments_the_older_the_rarer() {
        let (mut history, snapshot) = (History::default(), snapshot(1));
        let day_ms = 24 * 3_600_000;
        for ms in (0..2 * day_ms).step_by(5_000) {
            history.note(&snapshot, at(ms));
        }
        let now = 2 * day_ms - 5_000;
        assert!((300..=340).contains(&history.len()), "{}", history.len());
        let moments: Vec<i64> = history.moments.iter().map(|m| m.at.monotonic_ms).collect();
        assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= 9_000));
        assert!(now - moments[0] <= day_ms, "nothing is older than a day");
        assert!(now - moments[0] >= day_ms - 20 * 60_000, "a day is there");
        let ages = |from: i64, to: i64| {
            let ages = moments.iter().map(|ms| now - ms);
            ages.filter(|age| (from..to).contains(age)).count()
        };
        assert_eq!(ages(0, 600_000), 60);
        assert!((100..=111).contains(&ages(600_000, 120 * 60_000)));
    }

    #[test]
    fn moments_are_found_by_time_and_by_their_neighbours() {
        let (mut history, snapshot) = (History::default(), snapshot(1));
        assert!(history.at(0).is_none() && history.is_empty());
        for ms in [0, 10_000, 20_000] {
            history.note(&snapshot, at(ms));
        }
        let found = |wall_ms| history.at(wall_ms).map(|m| m.at.monotonic_ms);
        assert_eq!(found(1_015_000), Some(10_000));
        assert_eq!(found(1_020_000), Some(20_000));
        assert_eq!(found(5), Some(0), "there is nothing older");
        let before = |ms| history.before(at(ms)).map(|m| m.at.monotonic_ms);
        let after = |ms| history.after(at(ms)).map(|m| m.at.monotonic_ms);
        assert_eq!((before(10_000), after(10_000)), (Some(0), Some(20_000)));
        assert_eq!((before(0), after(20_000)), (None, None));
        assert_eq!(before(99_000), Some(20_000));
    }

    #[test]
    fn what_did_not_change_is_kept_once_and_offsets_of_many_partitions_not_at_all() {
        let mut history = History::default();
        let mut live = snapshot(2);
        history.note(&live, at(0));
        // Read again: another allocation around the same topics.
        let again = ClusterMetadata::clone(live.metadata.get().unwrap());
        live.apply(Update::Metadata(Ok(Arc::new(again))), at(10_000));
        history.note(&live, at(10_000));
        let kept: Vec<_> = history
            .moments
            .iter()
            .map(|m| m.snapshot.metadata.value())
            .collect();
        assert!(Arc::ptr_eq(kept[0].unwrap(), kept[1].unwrap()));
        assert_eq!(
            history.moments[1].snapshot.metadata.taken(),
            Some(at(10_000)),
            "with the time of its own read"
        );
        assert!(!history.moments[1].is_without_offsets);
        let large = snapshot(OFFSETS_MAX / 4 + 1);
        history.note(&large, at(20_000));
        assert!(history.moments[2].is_without_offsets);
    }

    #[test]
    fn what_brokers_tell_is_kept_and_of_many_topics_only_the_brokers_figures() {
        for (n_topics, kept) in [(3, 3), (COUNTS_MAX + 1, 0)] {
            let mut snapshot = snapshot(1);
            for ms in [0, 5_000] {
                let mut reading = BrokerReading::new(at(ms));
                reading.handlers_idle = Some(0.5);
                let topic = |n: usize| TopicCounts::new(format!("t{n:04}").into());
                reading.topics = (0..n_topics).map(topic).collect();
                let told = vec![(1, Ok(Arc::new(reading)))];
                snapshot.apply(Update::Metrics(told), at(ms));
            }
            let mut history = History::default();
            history.note(&snapshot, at(6_000));
            let moment = &history.moments[0].snapshot.metrics[&1];
            let (now, before) = (moment.reading.get().unwrap(), moment.before.as_ref());
            assert_eq!(now.handlers_idle, Some(0.5));
            let lengths = [now.topics.len(), before.unwrap().topics.len()];
            assert_eq!(lengths, [kept, kept]);
        }
    }
}
