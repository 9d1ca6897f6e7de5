//! What groups committed while one looked, for Burrow's verdict in lists.
//!
//! A list sees committed offsets only when it reads them, so a read is a sample: an offset that is
//! another than before is a commit. One that is the same is taken as a commit too while the group
//! has members, because who is there and does not get on has stalled; of a group without members it
//! is none, and it has stopped. That a consumer stalls or only falls behind is not claimed before
//! the window is full; the close look at one group reads the commits themselves.
//!
//! Bounded: so many partitions, so many samples of each, one every few seconds. What is not kept
//! has no verdict, and says so.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{ClusterSnapshot, Committed, PerGroup};

use super::verdict::{ConsumerVerdict, Judged, WINDOW, WindowCommit, verdict};

/// Samples are no closer together than this.
const SPACING_MS: i64 = 5_000;

/// Partitions of which samples are kept.
const PARTITIONS_MAX: usize = 50_000;

/// The newest samples of a partition, oldest first.
type Window = Vec<WindowCommit>;

/// What is kept of one group.
#[derive(Debug, Default)]
struct Kept {
    /// When the last sample was taken, on the monotonic clock.
    noted_ms: i64,
    /// By topic and partition, in their order.
    windows: Vec<(Arc<str>, i32, Window)>,
}

/// The samples of all groups.
#[derive(Debug, Default)]
pub struct CommitHistory {
    groups: HashMap<Arc<str>, Kept>,
    partitions: usize,
}

impl CommitHistory {
    /// Takes samples of what was just read, which the snapshot holds already.
    pub fn note(&mut self, read: &PerGroup<Committed>, snapshot: &ClusterSnapshot) {
        for (id, result) in read {
            if let Ok(committed) = result {
                self.sample(id, committed, snapshot);
            }
        }
    }

    /// Forgets the groups that are not there any more.
    pub fn retain(&mut self, snapshot: &ClusterSnapshot) {
        let Some(listed) = snapshot.groups.get() else {
            return;
        };
        // A broker that does not answer takes nothing away.
        if listed.faults.is_empty() {
            self.groups.retain(|id, _| listed.groups.contains_key(id));
            let all = self.groups.values();
            self.partitions = all.map(|kept| kept.windows.len()).sum();
        }
    }

    fn sample(&mut self, id: &Arc<str>, committed: &Committed, snapshot: &ClusterSnapshot) {
        let taken = committed.taken;
        let n: usize = committed.topics.values().map(Vec::len).sum();
        let known = self.groups.get(id);
        let had = known.map_or(0, |kept| kept.windows.len());
        if known.is_some_and(|kept| taken.monotonic_ms - kept.noted_ms < SPACING_MS)
            || self.partitions - had + n > PARTITIONS_MAX
        {
            return;
        }
        let described = snapshot.descriptions.get(id).and_then(|d| d.get());
        let has_members = described.is_some_and(|group| !group.members.is_empty());
        let kept = self.groups.entry(Arc::clone(id)).or_default();
        kept.noted_ms = taken.monotonic_ms;
        let mut old = std::mem::take(&mut kept.windows).into_iter().peekable();
        for (topic, partitions) in &committed.topics {
            let ends = snapshot.offsets.get().and_then(|all| all.get(topic));
            for commit in partitions {
                // Both are in the same order: what is passed over is not committed any more.
                let key = (topic, commit.partition);
                while old.next_if(|(t, id, _)| (t, *id) < key).is_some() {}
                let is_it = |(t, id, _): &(Arc<str>, i32, Window)| (t, *id) == key;
                let mut window = old.next_if(is_it).map(|(_, _, w)| w).unwrap_or_default();
                let Some(offset) = commit.offset else {
                    continue;
                };
                let is_same = window.last().is_some_and(|last| last.offset == offset);
                if !is_same || has_members {
                    if window.len() == WINDOW {
                        window.remove(0);
                    }
                    let end = ends.and_then(|o| o.partition(commit.partition)?.end.known());
                    window.push(WindowCommit {
                        offset,
                        at_ms: taken.wall_ms,
                        lag: end.map(|end| (end - offset).max(0)),
                    });
                }
                kept.windows
                    .push((Arc::clone(topic), commit.partition, window));
            }
        }
        self.partitions = self.partitions - had + kept.windows.len();
    }

    /// The worst verdict on a group's partitions; `None` where too little was seen of one that is
    /// behind, or nothing is kept.
    pub fn verdict(&self, id: &str, snapshot: &ClusterSnapshot, now_ms: i64) -> Option<Judged> {
        let kept = self.groups.get(id)?;
        let mut worst: Option<Judged> = None;
        for (topic, partition, window) in &kept.windows {
            let ends = snapshot.offsets.get().and_then(|all| all.get(topic));
            let Some(end) = ends.and_then(|o| o.partition(*partition)?.end.known()) else {
                continue;
            };
            let judged = judge(window, end, now_ms)?;
            if worst.as_ref().is_none_or(|w| judged.verdict > w.verdict) {
                worst = Some(judged);
            }
        }
        worst
    }
}

/// The verdict on one partition, where its samples carry one.
fn judge(window: &Window, end: i64, now_ms: i64) -> Option<Judged> {
    // What the log ended at when the samples were taken tells whether it was ever at the end.
    let ends = window.iter().filter_map(|c| Some(c.offset + c.lag?));
    let ends: Vec<i64> = ends.chain([end]).collect();
    let judged = verdict(window, &ends, now_ms, 0);
    let is_full = window.len() == WINDOW;
    match judged.verdict {
        ConsumerVerdict::Stall | ConsumerVerdict::Warning if !is_full => None,
        // A single sample is no window that anything could have been longer than.
        ConsumerVerdict::Stop if window.len() == 1 => {
            let first_ms = window.first().map_or(now_ms, |commit| commit.at_ms);
            (now_ms - first_ms >= SPACING_MS * WINDOW as i64).then_some(judged)
        }
        _ => Some(judged),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{
        Cell, CommittedPartition, GroupDescription, GroupKind, GroupState, Member, Offsets,
        PartitionOffsets, Taken, TopicOffsets, Update,
    };

    fn taken(seconds: i64) -> Taken {
        Taken {
            monotonic_ms: seconds * 1_000,
            wall_ms: seconds * 1_000,
        }
    }

    fn described(members: usize) -> GroupDescription {
        let member = Member {
            id: "m".into(),
            client_id: "c".into(),
            host: "h".into(),
            instance_id: None,
            rack: None,
            epoch: None,
            subscribed: Vec::new(),
            assignment: Vec::new(),
            target: Vec::new(),
            undecoded: None,
            streams: None,
        };
        GroupDescription {
            id: "g".into(),
            kind: GroupKind::Classic,
            state: GroupState::Stable,
            protocol_type: "consumer".into(),
            assignor: "range".into(),
            coordinator: 1,
            group_epoch: None,
            assignment_epoch: None,
            topology: None,
            members: vec![member; members],
        }
    }

    /// What is said after each sample of committed offset and end, taken every five seconds.
    fn told(members: usize, samples: impl IntoIterator<Item = (i64, i64)>) -> Vec<&'static str> {
        let mut snapshot = ClusterSnapshot::default();
        let group = (Arc::from("g"), Ok(Arc::new(described(members))));
        snapshot.apply(Update::Descriptions(vec![group]), taken(0));
        let mut history = CommitHistory::default();
        let mut told = Vec::new();
        for (nth, (offset, end)) in samples.into_iter().enumerate() {
            let at = taken(5 * nth as i64);
            let partition = PartitionOffsets {
                partition: 0,
                start: Cell::Known(0),
                end: Cell::Known(end),
            };
            let offsets = TopicOffsets {
                taken: at,
                topic_id: None,
                partitions: [partition].into(),
            };
            let update = Update::Offsets {
                result: Ok(Arc::new(Offsets::from([("t".into(), Arc::new(offsets))]))),
                complete: true,
            };
            snapshot.apply(update, at);
            let commit = CommittedPartition {
                partition: 0,
                offset: Some(offset),
                leader_epoch: None,
                metadata: None,
                error: None,
                lag: None,
            };
            let committed = Committed {
                taken: at,
                topics: BTreeMap::from([(Arc::from("t"), vec![commit])]),
            };
            let read: PerGroup<Committed> = vec![(Arc::from("g"), Ok(Arc::new(committed)))];
            history.note(&read, &snapshot);
            let judged = history.verdict("g", &snapshot, at.wall_ms);
            told.push(judged.map_or("", |judged| judged.verdict.as_str()));
        }
        told
    }

    #[test]
    fn who_is_at_the_end_is_well_at_once() {
        assert_eq!(told(1, [(10, 10), (20, 20)]), ["ok", "ok"]);
        assert_eq!(told(0, [(10, 10)]), ["ok"]);
    }

    #[test]
    fn a_member_that_does_not_get_on_has_stalled_when_the_window_is_full() {
        let told = told(1, [(10, 90); 11]);
        assert!(told[..9].iter().all(|word| word.is_empty()), "{told:?}");
        assert_eq!(told[9..], ["stall", "stall"]);
    }

    #[test]
    fn a_group_without_members_that_is_behind_has_stopped() {
        let told = told(0, [(10, 90); 12]);
        assert_eq!((told[9], told[10], told[11]), ("", "stop", "stop"));
    }

    #[test]
    fn slower_than_the_writers_is_a_warning_and_catching_up_is_none() {
        let behind = (0..12).map(|n| (n * 10, 50 + n * 30));
        assert_eq!(told(1, behind).last(), Some(&"warning"));
        let catching_up = (0..12).map(|n| (n * 30, 500 + n * 10));
        assert_eq!(told(1, catching_up).last(), Some(&"ok"));
    }

    #[test]
    fn samples_are_bounded_and_forgotten_with_their_group() {
        let mut snapshot = ClusterSnapshot::default();
        let mut history = CommitHistory::default();
        let commit = |id| CommittedPartition {
            partition: id,
            offset: Some(1),
            leader_epoch: None,
            metadata: None,
            error: None,
            lag: None,
        };
        let committed = |n: i32| Committed {
            taken: taken(9),
            topics: BTreeMap::from([(Arc::from("t"), (0..n).map(commit).collect())]),
        };
        let read = |id: &str, n| vec![(Arc::from(id), Ok(Arc::new(committed(n))))];
        history.note(&read("large", 49_999), &snapshot);
        history.note(&read("too-much", 2), &snapshot);
        history.note(&read("small", 1), &snapshot);
        assert_eq!((history.partitions, history.groups.len()), (50_000, 2));
        let none = crate::model::Groups::default();
        snapshot.apply(Update::Groups(Ok(Arc::new(none))), taken(10));
        history.retain(&snapshot);
        assert_eq!((history.partitions, history.groups.len()), (0, 0));
    }
}
