//! Where the logs of consumed topics ended while one looked, for lags in time of whole lists.
//!
//! Bounded: so many partitions, so many points of each, one every few seconds. What is not kept
//! has no lag in time, and says so.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::{ClusterSnapshot, Committed, Taken, TopicOffsets};

use super::lag_time::{EndSamples, POINTS_MAX};

/// Points are no closer together than this.
const SPACING_MS: i64 = 5_000;

/// Partitions of which points are kept.
const PARTITIONS_MAX: usize = 50_000;

/// From so many partitions on only a few points are kept of each, further apart but for the first
/// ones, without which nothing could be told.
const MANY: usize = 2_000;
const FEW_POINTS: usize = 12;
const WIDE_SPACING_MS: i64 = 15_000;
const FIRST_ROUNDS: u32 = 3;

/// From so many topics on, listing them is enough for one call.
const TOPICS_AT_ONCE: usize = 1_000;

/// Partitions that are noted in one go, so that a frame has to wait for none of the others.
const AT_ONCE: usize = 4_000;

/// The points of all partitions, by topic.
#[derive(Debug, Default)]
pub struct EndHistory {
    topics: HashMap<Arc<str>, Vec<(i32, EndSamples)>>,
    noted_ms: Option<i64>,
    rounds: u32,
    /// Topics of this round that are not noted yet.
    waiting: Vec<Arc<str>>,
    partitions: usize,
}

impl EndHistory {
    /// Keeps where the logs end now, if the last round began long enough ago. A round of many
    /// partitions takes several calls.
    pub fn note(&mut self, snapshot: &ClusterSnapshot, at: Taken) {
        let Some(offsets) = snapshot.offsets.get() else {
            return;
        };
        if self.waiting.is_empty() {
            let spacing_ms = if self.partitions > MANY && self.rounds >= FIRST_ROUNDS {
                WIDE_SPACING_MS
            } else {
                SPACING_MS
            };
            let is_soon = |noted| at.monotonic_ms - noted < spacing_ms;
            if self.noted_ms.is_some_and(is_soon) {
                return;
            }
            self.begin_round(snapshot, at);
            if self.waiting.len() > TOPICS_AT_ONCE {
                return;
            }
        }
        let mut n_noted = 0;
        while n_noted < AT_ONCE
            && let Some(topic) = self.waiting.pop()
        {
            if let Some(found) = offsets.get(&topic) {
                n_noted += found.partitions.len();
                self.note_topic(topic, found);
            }
        }
    }

    /// Lists what somebody consumes, and forgets what nobody does any more.
    fn begin_round(&mut self, snapshot: &ClusterSnapshot, at: Taken) {
        let commits = snapshot.committed.values().filter_map(|part| part.get());
        let consumed: HashSet<&Arc<str>> = commits.flat_map(|c| c.topics.keys()).collect();
        if consumed.is_empty() {
            return;
        }
        self.noted_ms = Some(at.monotonic_ms);
        self.rounds = self.rounds.saturating_add(1);
        self.topics.retain(|topic, _| consumed.contains(topic));
        self.partitions = self.topics.values().map(Vec::len).sum();
        self.waiting = consumed.into_iter().cloned().collect();
    }

    fn note_topic(&mut self, topic: Arc<str>, found: &TopicOffsets) {
        let is_new = !self.topics.contains_key(&topic);
        if is_new && self.partitions + found.partitions.len() > PARTITIONS_MAX {
            return;
        }
        let max = if self.partitions > MANY {
            FEW_POINTS
        } else {
            POINTS_MAX
        };
        let kept = self.topics.entry(topic).or_default();
        kept.reserve_exact(found.partitions.len().saturating_sub(kept.len()));
        for (at_place, partition) in found.partitions.iter().enumerate() {
            let Some(end) = partition.end.known() else {
                continue;
            };
            // Both are in the order of ids, mostly at the same places.
            let place = match kept.get(at_place) {
                Some((id, _)) if *id == partition.partition => at_place,
                _ => match kept.binary_search_by_key(&partition.partition, |(id, _)| *id) {
                    Ok(place) => place,
                    Err(place) => {
                        kept.insert(place, (partition.partition, EndSamples::default()));
                        self.partitions += 1;
                        place
                    }
                },
            };
            if let Some((_, samples)) = kept.get_mut(place) {
                samples.add_within(end, found.taken.wall_ms, max);
            }
        }
    }

    /// How long ago the log ended where a partition is committed.
    pub fn lag_ms(&self, topic: &str, partition: i32, at: i64, now_ms: i64) -> Option<i64> {
        let kept = self.topics.get(topic)?;
        let place = kept.binary_search_by_key(&partition, |(id, _)| *id).ok()?;
        kept.get(place)?.1.lag_ms(at, now_ms)
    }

    /// The oldest lag of a group's partitions, of those that are known; none where only those are
    /// known that are at their end.
    pub fn group_lag_ms(&self, committed: &Committed, now_ms: i64) -> Option<i64> {
        let (mut oldest, mut is_whole) = (None, true);
        for (topic, partitions) in &*committed.topics {
            for partition in partitions {
                let Some(at) = partition.offset else { continue };
                let lag = self.lag_ms(topic, partition.partition, at, now_ms);
                is_whole &= lag.is_some();
                oldest = oldest.max(lag);
            }
        }
        oldest.filter(|ms| is_whole || *ms > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Cell, CommittedPartition, Offsets, PartitionOffsets, TopicOffsets, Update};

    fn taken(seconds: i64) -> Taken {
        Taken {
            monotonic_ms: seconds * 1_000,
            wall_ms: seconds * 1_000,
        }
    }

    fn commits(offset: i64) -> Committed {
        let commit = CommittedPartition {
            partition: 0,
            offset: Some(offset),
            ..CommittedPartition::default()
        };
        Committed {
            taken: taken(0),
            topics: Arc::new(BTreeMap::from([(Arc::from("t"), vec![commit])])),
        }
    }

    #[test]
    fn a_group_s_lag_in_time_is_told_from_what_was_seen() {
        let mut snapshot = ClusterSnapshot::default();
        let mut history = EndHistory::default();
        let group = (Arc::from("g"), Ok(Arc::new(commits(150))));
        snapshot.apply(Update::Committed(vec![group]), taken(0));
        for (at, end) in [(0, 100), (2, 999), (10, 200), (20, 300)] {
            let partition = PartitionOffsets {
                partition: 0,
                start: Cell::Known(0),
                end: Cell::Known(end),
            };
            let offsets = TopicOffsets {
                taken: taken(at),
                topic_id: None,
                partitions: [partition].into_iter().collect(),
            };
            let all = Offsets::from([
                (Arc::from("t"), Arc::new(offsets.clone())),
                (Arc::from("nobody's"), Arc::new(offsets)),
            ]);
            let update = Update::Offsets {
                result: Ok(Arc::new(all)),
                complete: true,
            };
            snapshot.apply(update, taken(at));
            history.note(&snapshot, taken(at));
        }
        assert_eq!(history.group_lag_ms(&commits(150), 20_000), Some(15_000));
        assert_eq!(history.group_lag_ms(&commits(300), 20_000), Some(0));
        assert_eq!(history.partitions, 1, "only what somebody consumes");
        assert_eq!(history.lag_ms("nobody's", 0, 1, 20_000), None);
    }

    #[test]
    fn many_partitions_are_noted_in_several_calls_and_all_of_them_in_the_end() {
        let n = i32::try_from(AT_ONCE).unwrap() / 2 + 1;
        let mut snapshot = ClusterSnapshot::default();
        let mut all = Offsets::default();
        let mut commits = commits(5);
        for topic in ["a", "b", "c"] {
            let partition = |partition| PartitionOffsets {
                partition,
                start: Cell::Known(0),
                end: Cell::Known(10),
            };
            let offsets = TopicOffsets {
                taken: taken(0),
                topic_id: None,
                partitions: (0..n).map(partition).collect(),
            };
            all.insert(Arc::from(topic), Arc::new(offsets));
            Arc::make_mut(&mut commits.topics).insert(Arc::from(topic), Vec::new());
        }
        let group = (Arc::from("g"), Ok(Arc::new(commits)));
        snapshot.apply(Update::Committed(vec![group]), taken(0));
        let update = Update::Offsets {
            result: Ok(Arc::new(all)),
            complete: true,
        };
        snapshot.apply(update, taken(0));
        let mut history = EndHistory::default();
        history.note(&snapshot, taken(0));
        assert_eq!(history.topics.len(), 2, "a part of them at once");
        history.note(&snapshot, taken(1));
        assert_eq!(history.partitions, 3 * usize::try_from(n).unwrap());
        let noted: Vec<i64> = (0..40)
            .filter(|at| {
                let before = history.noted_ms;
                history.note(&snapshot, taken(*at));
                history.noted_ms != before
            })
            .collect();
        assert_eq!(
            noted,
            [5, 10, 25],
            "the first ones soon, then further apart"
        );
    }
}
