//! A group's lag in full, from a close look: records, time, committed only, when it will be at the
//! end, Burrow's verdict, and when retention overtakes it.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::model::{ClusterMetadata, GroupFact, GroupKind, GroupLog, GroupLook, TopicPartition};

use super::lag::{GroupLag, PartitionLag, group_lag};
use super::lag_time::{Drain, EndSamples, drain, overtaken_in_ms, rate};
use super::verdict::{ConsumerVerdict, Judged, WINDOW, WindowCommit, verdict};

/// What a lag in time was told from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeBy {
    /// From the record that would be read next.
    Record,
    /// From where the log ended at times around it.
    Interpolated,
}

/// One partition.
#[derive(Clone, Debug, PartialEq)]
pub struct LagDetail {
    pub row: PartitionLag,
    /// Records behind, of those that are not part of an open transaction.
    pub committed_lag: Option<i64>,
    /// How old what waits is.
    pub lag_ms: Option<(i64, TimeBy)>,
    /// Records a second, read and written.
    pub read_rate: Option<f64>,
    pub write_rate: Option<f64>,
    pub drain: Option<Drain>,
    pub judged: Option<Judged>,
    pub overtaken_in_ms: Option<i64>,
}

/// A group in full.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupDetail {
    pub partitions: Vec<LagDetail>,
    pub lag: GroupLag,
}

impl GroupDetail {
    /// The worst verdict, with its partition's place.
    pub fn worst(&self) -> Option<(usize, &Judged)> {
        let judged = self.partitions.iter().enumerate();
        judged
            .filter_map(|(at, detail)| Some((at, detail.judged.as_ref()?)))
            .max_by_key(|(at, judged)| (judged.verdict, std::cmp::Reverse(*at)))
    }

    /// The oldest that waits; `None` where that is nothing of what is known, but not all is.
    pub fn lag_ms(&self) -> Option<(i64, TimeBy)> {
        let known = self.partitions.iter().filter_map(|detail| detail.lag_ms);
        let oldest = known.max_by_key(|(ms, _)| *ms);
        let is_behind = |d: &LagDetail| d.row.lag.records().is_none_or(|lag| lag > 0);
        let is_whole = !self
            .partitions
            .iter()
            .any(|d| d.row.committed.is_some() && is_behind(d) && d.lag_ms.is_none());
        oldest.filter(|(ms, _)| is_whole || *ms > 0)
    }

    /// When the slowest partition is at the end; `None` while one that is behind is not known, and
    /// where nothing is committed.
    pub fn drain(&self) -> Option<Drain> {
        self.lag.records()?;
        let mut slowest = Drain::AtEnd;
        for detail in &self.partitions {
            if detail.row.lag.records().is_none_or(|lag| lag <= 0) {
                continue;
            }
            slowest = match (slowest, detail.drain?) {
                (Drain::Never, _) | (_, Drain::Never) => Drain::Never,
                (Drain::In { ms: a }, Drain::In { ms: b }) => Drain::In { ms: a.max(b) },
                (Drain::In { ms }, Drain::AtEnd) | (Drain::AtEnd, Drain::In { ms }) => {
                    Drain::In { ms }
                }
                (Drain::AtEnd, Drain::AtEnd) => Drain::AtEnd,
            };
        }
        Some(slowest)
    }

    /// When retention reaches the first record that waits.
    pub fn overtaken_in_ms(&self) -> Option<i64> {
        self.partitions
            .iter()
            .filter_map(|d| d.overtaken_in_ms)
            .min()
    }

    /// Records behind for those who read what is committed only; `None` where one is not known.
    pub fn committed_lag(&self) -> Option<i64> {
        self.lag.records()?;
        let behind = self
            .partitions
            .iter()
            .filter(|d| d.row.lag.records().is_some());
        behind.map(|detail| detail.committed_lag).sum()
    }
}

/// The newest commits of each partition.
fn windows(log: &GroupLog) -> BTreeMap<TopicPartition, VecDeque<(i64, i64)>> {
    let mut windows: BTreeMap<TopicPartition, VecDeque<(i64, i64)>> = BTreeMap::new();
    for record in &log.records {
        match &record.fact {
            GroupFact::Commit {
                partition,
                offset: Some(offset),
                at_ms,
            } => {
                let window = windows.entry(partition.clone()).or_default();
                if window.len() == WINDOW {
                    window.pop_front();
                }
                window.push_back((*offset, *at_ms));
            }
            GroupFact::Commit {
                partition,
                offset: None,
                ..
            } => drop(windows.remove(partition)),
            _ => {}
        }
    }
    windows
}

/// What a look tells of a group. `metadata` says which partitions exist.
pub fn group_detail(look: &GroupLook, metadata: &ClusterMetadata) -> GroupDetail {
    let exists = |topic: &str, partition: i32| {
        let topic = metadata.topic(topic);
        topic.is_some_and(|topic| topic.partition(partition).is_some())
    };
    let description = look.description.as_deref();
    let lag = group_lag(&look.committed, &look.offsets, description, exists);
    let windows = match &look.log {
        Some(Ok(log)) => windows(log),
        _ => BTreeMap::new(),
    };
    let detail = |row: &PartitionLag| {
        let key = TopicPartition::new(&*row.topic, row.partition);
        let none = VecDeque::new();
        partition_detail(row, &key, look, windows.get(&key).unwrap_or(&none))
    };
    GroupDetail {
        partitions: lag.partitions.iter().map(detail).collect(),
        lag,
    }
}

fn partition_detail(
    row: &PartitionLag,
    key: &TopicPartition,
    look: &GroupLook,
    commits: &VecDeque<(i64, i64)>,
) -> LagDetail {
    let now_ms = look.taken.wall_ms;
    let mut ends = EndSamples::default();
    for (offset, at_ms) in look.ends.get(key).into_iter().flatten() {
        ends.add(*offset, *at_ms);
    }
    if let Some(end) = row.log_end {
        ends.add(end, now_ms);
    }
    let records = row.lag.records();
    let is_behind = records.is_some_and(|lag| lag > 0);
    let next_ms = look.next_ms.get(key).copied();
    let lag_ms = match (records, row.committed, next_ms) {
        (Some(lag), _, _) if lag <= 0 => Some((0, TimeBy::Record)),
        (Some(_), _, Some(ms)) => Some(((now_ms - ms).max(0), TimeBy::Record)),
        (Some(_), Some(at), None) => ends.lag_ms(at, now_ms).map(|ms| (ms, TimeBy::Interpolated)),
        _ => None,
    };
    let window: Vec<WindowCommit> = commits
        .iter()
        .map(|(offset, at_ms)| WindowCommit {
            offset: *offset,
            at_ms: *at_ms,
            lag: ends.end_at(*at_ms).map(|end| (end as i64 - offset).max(0)),
        })
        .collect();
    let write_rate = ends.rate().map(|rate| rate.max(0.0));
    let read_rate = match (commits.front(), commits.back()) {
        // A window that ended long ago is no rate of now.
        (Some(first), Some(last)) if now_ms - last.1 <= (last.1 - first.1).max(60_000) => {
            rate(*first, *last).map(|rate| rate.max(0.0))
        }
        (Some(_), Some(_)) => Some(0.0),
        _ => None,
    };
    let rates = read_rate.zip(write_rate);
    // A share group may be done with records behind its offset too.
    let is_share = look
        .group
        .as_ref()
        .is_some_and(|g| g.kind == GroupKind::Share);
    let retention_ms = look.retention_ms.get(&row.topic).copied();
    LagDetail {
        committed_lag: row
            .committed
            .zip(look.last_stable.get(key))
            .filter(|_| !is_share)
            .map(|(at, stable)| (stable - at).max(0)),
        lag_ms,
        read_rate,
        write_rate,
        drain: match (records, rates) {
            (Some(lag), _) if lag <= 0 => Some(Drain::AtEnd),
            (Some(lag), Some((read, write))) => Some(drain(lag, read, write)),
            _ => None,
        },
        judged: (row.committed.is_some() && records.is_some() && !window.is_empty())
            .then(|| verdict(&window, &ends.ends(), now_ms, 0)),
        overtaken_in_ms: next_ms
            .zip(retention_ms)
            .filter(|_| is_behind)
            .and_then(|(next, retention)| overtaken_in_ms(next, retention, now_ms)),
        row: row.clone(),
    }
}

/// The word of a verdict for a group's list: Burrow's.
pub fn verdict_word(judged: Option<&Judged>) -> &'static str {
    judged.map_or("", |judged| judged.verdict.as_str())
}

/// Whether a verdict wants attention.
pub fn is_bad(judged: Option<&Judged>) -> bool {
    judged.is_some_and(|judged| judged.verdict != ConsumerVerdict::Ok)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        Cell, Committed, CommittedPartition, GroupRecord, PartError, Partition, PartitionOffsets,
        Taken, Topic, TopicOffsets,
    };

    const NOW: i64 = 1_000_000;

    /// Partition 0 is behind and read, 1 is at the end, 2 has no leader, 3 lost records.
    fn look() -> (GroupLook, ClusterMetadata) {
        let topic: Arc<str> = "t".into();
        let ranges = [(0, 1_000), (0, 500), (0, 0), (100, 300)];
        let cell = |id: i32, offset| match id {
            2 => Cell::Failed(PartError(5)),
            _ => Cell::Known(offset),
        };
        let partition = |(id, (start, end)): (usize, &(i64, i64))| PartitionOffsets {
            partition: id as i32,
            start: cell(id as i32, *start),
            end: cell(id as i32, *end),
        };
        let offsets = TopicOffsets {
            taken: Taken::default(),
            topic_id: None,
            partitions: ranges.iter().enumerate().map(partition).collect(),
        };
        let commit = |(id, offset): (usize, &i64)| CommittedPartition {
            partition: id as i32,
            offset: Some(*offset),
            ..CommittedPartition::default()
        };
        let commits = [400, 500, 7, 40].iter().enumerate().map(commit);
        let commits = commits.collect();
        let key = |id| TopicPartition::new("t", id);
        let fact = |id: i32, offset: i64, at_ms: i64| GroupRecord {
            offset: at_ms,
            batch: at_ms,
            at_ms,
            leader_epoch: 0,
            fact: GroupFact::Commit {
                partition: key(id),
                offset: Some(offset),
                at_ms,
            },
        };
        let log = GroupLog {
            records: vec![
                fact(0, 200, NOW - 20_000),
                fact(0, 300, NOW - 10_000),
                fact(0, 400, NOW),
                fact(1, 500, NOW - 10_000),
            ],
            ..GroupLog::default()
        };
        let look = GroupLook {
            taken: Taken {
                monotonic_ms: 0,
                wall_ms: NOW,
            },
            committed: Arc::new(Committed {
                taken: Taken::default(),
                topics: Arc::new(BTreeMap::from([(Arc::clone(&topic), commits)])),
            }),
            offsets: HashMap::from([(Arc::clone(&topic), Arc::new(offsets))]),
            last_stable: BTreeMap::from([(key(0), 900), (key(1), 500), (key(3), 300)]),
            next_ms: BTreeMap::from([(key(0), NOW - 90_000)]),
            ends: BTreeMap::from([
                (key(0), vec![(500, NOW - 100_000)]),
                (key(3), vec![(20, NOW - 280_000)]),
            ]),
            retention_ms: BTreeMap::from([(Arc::clone(&topic), 100_000)]),
            log: Some(Ok(Arc::new(log))),
            ..GroupLook::default()
        };
        let partition = |id| Partition {
            id,
            ..Partition::default()
        };
        let metadata = ClusterMetadata {
            topics: vec![Arc::new(Topic {
                name: topic,
                id: None,
                is_internal: false,
                error: None,
                partitions: (0..4).map(partition).collect(),
            })],
            ..ClusterMetadata::default()
        };
        (look, metadata)
    }

    #[test]
    fn a_lag_is_told_in_every_way_and_each_says_from_what() {
        let (look, metadata) = look();
        let detail = group_detail(&look, &metadata);
        let first = &detail.partitions[0];
        assert_eq!(first.row.lag.records(), Some(600));
        assert_eq!(first.committed_lag, Some(500));
        assert_eq!(first.lag_ms, Some((90_000, TimeBy::Record)));
        assert_eq!(first.read_rate, Some(10.0));
        assert_eq!(first.write_rate, Some(5.0));
        assert_eq!(first.drain, Some(Drain::In { ms: 120_000 }));
        assert_eq!(first.overtaken_in_ms, Some(10_000));
        let judged = first.judged.as_ref().unwrap();
        assert_eq!(judged.verdict, ConsumerVerdict::Ok, "{}", judged.rule);
        let second = &detail.partitions[1];
        assert_eq!(second.lag_ms, Some((0, TimeBy::Record)));
        assert_eq!(
            (second.drain, second.overtaken_in_ms),
            (Some(Drain::AtEnd), None)
        );
        let lost = &detail.partitions[3];
        assert_eq!(lost.row.lost, Some(60));
        assert_eq!(lost.lag_ms, Some((260_000, TimeBy::Interpolated)));
        assert_eq!(detail.lag_ms(), Some((260_000, TimeBy::Interpolated)));
        assert_eq!(detail.drain(), None, "nobody reads the last one");
        assert_eq!(detail.overtaken_in_ms(), Some(10_000));
    }

    #[test]
    fn a_group_is_judged_by_its_worst_partition_and_among_equals_by_the_first() {
        let (look, metadata) = look();
        let mut detail = group_detail(&look, &metadata);
        let words = |detail: &GroupDetail| {
            let worst = detail.worst();
            worst.map(|(at, judged)| (at, judged.verdict.as_str()))
        };
        assert_eq!(words(&detail), Some((0, "ok")));
        for (at, verdict) in [
            (1, ConsumerVerdict::Warning),
            (0, ConsumerVerdict::Rewind),
            (1, ConsumerVerdict::Stop),
        ] {
            detail.partitions[at].judged = Some(Judged {
                verdict,
                rule: "",
                complete: 1.0,
            });
            assert_eq!(words(&detail), Some((at, verdict.as_str())));
        }
        let second = detail.partitions[1].judged.clone();
        detail.partitions[0].judged = second;
        assert_eq!(words(&detail), Some((0, "stop")));
    }

    #[test]
    fn what_is_at_its_end_says_nothing_of_what_is_behind_and_not_known() {
        let (mut look, metadata) = look();
        look.next_ms.clear();
        look.ends.clear();
        let detail = group_detail(&look, &metadata);
        assert_eq!(detail.partitions[1].lag_ms, Some((0, TimeBy::Record)));
        assert_eq!(detail.lag_ms(), None, "the others are behind");
    }

    #[test]
    fn who_never_committed_is_not_at_the_end_but_unknown() {
        let (mut look, metadata) = look();
        let committed = Arc::make_mut(&mut look.committed);
        for commits in Arc::make_mut(&mut committed.topics).values_mut() {
            for commit in commits {
                (commit.offset, commit.error) = (None, None);
            }
        }
        let detail = group_detail(&look, &metadata);
        assert!(detail.lag.without_commit > 0);
        assert_eq!(detail.lag.records(), None);
        assert_eq!((detail.drain(), detail.committed_lag()), (None, None));
        assert_eq!(detail.lag_ms(), None);
    }

    #[test]
    fn a_partition_without_leader_spoils_its_own_cells_only() {
        let (look, metadata) = look();
        let detail = group_detail(&look, &metadata);
        let broken = &detail.partitions[2];
        assert_eq!(broken.row.lag.records(), None);
        assert_eq!((broken.lag_ms, broken.drain), (None, None));
        assert!(broken.judged.is_none());
        assert_eq!(detail.lag.total.partial(), Some(860));
        assert_eq!(detail.lag.total.complete(), None);
        assert_eq!(detail.committed_lag(), None, "a partial sum is no total");
    }
}
