//! What groups committed while one looked, for Burrow's verdict in lists.
//!
//! A list sees committed offsets only when it reads them, so a read is a sample: an offset that is
//! another than before is a commit. One that is the same is taken as a commit too while the group
//! has members, because who is there and does not get on has stalled; of a group without members it
//! is none, and it has stopped. That a consumer stalls or only falls behind is not claimed before
//! the window is full; the close look at one group reads the commits themselves, and what it says
//! counts here too as long as samples that are newer can't tell better.
//!
//! Bounded: so many partitions, so many samples of each, one every few seconds. What is not kept
//! has no verdict, and says so.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{ClusterSnapshot, Committed, PerGroup, Taken};

use super::lag_detail::GroupDetail;
use super::verdict::{AT_END, ConsumerVerdict, Judged, WINDOW, WindowCommit, verdict};

/// Samples are no closer together than this.
const SPACING_MS: i64 = 5_000;

/// So long a window is whole, however few samples it has: of what is at rest fewer are taken.
const WHOLE_MS: i64 = SPACING_MS * (WINDOW as i64 - 1);

/// Partitions of which samples are kept.
const PARTITIONS_MAX: usize = 50_000;

/// Samples in a row that say the same.
#[derive(Clone, Copy, Debug)]
struct Run {
    offset: i64,
    /// Records behind; -1 where that is not known.
    lag: i64,
    first_ms: i64,
    /// From the first sample to the last.
    took_ms: u32,
    n: u32,
}

impl Run {
    fn new(offset: i64, lag: i64, at_ms: i64) -> Self {
        Self {
            offset,
            lag,
            first_ms: at_ms,
            took_ms: 0,
            n: 1,
        }
    }

    fn last_ms(&self) -> i64 {
        self.first_ms + i64::from(self.took_ms)
    }

    fn at_ms(&self, nth: u32) -> i64 {
        let between = i64::from(self.took_ms) * i64::from(nth);
        self.first_ms + between / i64::from(self.n.max(2) - 1)
    }

    fn commits(&self) -> impl Iterator<Item = WindowCommit> + '_ {
        (0..self.n).map(|nth| WindowCommit {
            offset: self.offset,
            at_ms: self.at_ms(nth),
            lag: (self.lag >= 0).then_some(self.lag),
        })
    }
}

/// The newest samples of a partition, oldest first: up to [`WINDOW`] in all runs together.
#[derive(Debug, Default)]
struct Window(Vec<Run>);

impl Window {
    fn len(&self) -> usize {
        self.0.iter().map(|run| run.n as usize).sum()
    }

    fn is_whole(&self) -> bool {
        let took = match (self.0.first(), self.0.last()) {
            (Some(first), Some(last)) => last.last_ms() - first.first_ms,
            _ => 0,
        };
        took >= WHOLE_MS || self.len() >= WINDOW
    }

    fn last_offset(&self) -> Option<i64> {
        self.0.last().map(|run| run.offset)
    }

    /// Adds a sample. Whether a verdict may be another than before.
    fn push(&mut self, offset: i64, lag: i64, at_ms: i64) -> bool {
        let was_whole = self.is_whole();
        if self.len() >= WINDOW {
            self.pop();
        }
        let last = self.0.last_mut();
        match last.filter(|run| (run.offset, run.lag) == (offset, lag)) {
            Some(run) => {
                run.took_ms = u32::try_from(at_ms - run.first_ms).unwrap_or(u32::MAX);
                run.n += 1;
            }
            None => {
                // Mostly there is one run, and there are many partitions.
                self.0.reserve_exact(1);
                self.0.push(Run::new(offset, lag, at_ms));
            }
        }
        !was_whole || self.0.len() > 1
    }

    /// Takes the oldest sample away.
    fn pop(&mut self) {
        match self.0.first_mut() {
            Some(run) if run.n > 1 => {
                let second_ms = run.at_ms(1);
                let passed = u32::try_from(second_ms - run.first_ms).unwrap_or(0);
                run.took_ms = run.took_ms.saturating_sub(passed);
                run.first_ms = second_ms;
                run.n -= 1;
            }
            Some(_) => drop(self.0.remove(0)),
            None => {}
        }
    }
}

/// What is kept of one group.
#[derive(Debug, Default)]
struct Kept {
    /// When the last sample was taken, on the monotonic clock.
    noted_ms: i64,
    /// The same moment for people: what is silent is so up to there, for nobody has looked since.
    noted_wall_ms: i64,
    /// By topic and partition, in their order.
    windows: Vec<(Arc<str>, i32, Window)>,
    /// What the last close look said, and when it was taken. Few groups are looked at.
    looked: Option<Box<(Judged, i64)>>,
}

impl Kept {
    /// What a close look said, until a whole window of samples is newer.
    fn looked(&self) -> Option<&Judged> {
        let (judged, at_ms) = self.looked.as_deref()?;
        (self.noted_wall_ms - at_ms < WHOLE_MS).then_some(judged)
    }
}

/// The samples of all groups.
#[derive(Debug, Default)]
pub struct CommitHistory {
    groups: HashMap<Arc<str>, Kept>,
    partitions: usize,
}

impl CommitHistory {
    /// Takes samples of what was just read, which the snapshot holds already. Whether a verdict may
    /// be another than before.
    pub fn note(&mut self, read: &PerGroup<Committed>, snapshot: &ClusterSnapshot) -> bool {
        let mut is_news = false;
        for (id, result) in read {
            if let Ok(committed) = result {
                is_news |= self.sample(id, committed, snapshot);
            }
        }
        is_news
    }

    /// Takes in what a close look at a group found out, so that its row in a list says the same.
    pub fn note_look(&mut self, id: &Arc<str>, detail: &GroupDetail, at: Taken) {
        let unseen = || Kept {
            // The first sample is due at once.
            noted_ms: at.monotonic_ms - SPACING_MS,
            noted_wall_ms: at.wall_ms,
            ..Kept::default()
        };
        let kept = self.groups.entry(Arc::clone(id)).or_insert_with(unseen);
        let worst = detail.worst().map(|(_, judged)| judged.clone());
        kept.looked = worst.map(|judged| Box::new((judged, at.wall_ms)));
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

    fn sample(&mut self, id: &Arc<str>, committed: &Committed, snapshot: &ClusterSnapshot) -> bool {
        let taken = committed.taken;
        let n: usize = committed.topics.values().map(Vec::len).sum();
        let known = self.groups.get(id);
        let had = known.map_or(0, |kept| kept.windows.len());
        if known.is_some_and(|kept| taken.monotonic_ms - kept.noted_ms < SPACING_MS)
            || self.partitions - had + n > PARTITIONS_MAX
        {
            return false;
        }
        let described = snapshot.descriptions.get(id).and_then(|d| d.get());
        let has_members = described.is_some_and(|group| !group.members.is_empty());
        let kept = self.groups.entry(Arc::clone(id)).or_default();
        kept.noted_ms = taken.monotonic_ms;
        kept.noted_wall_ms = taken.wall_ms;
        let mut is_news = false;
        let mut old = std::mem::take(&mut kept.windows).into_iter().peekable();
        kept.windows.reserve_exact(n);
        for (topic, partitions) in &*committed.topics {
            let ends = snapshot.offsets.get().and_then(|all| all.get(topic));
            for commit in partitions {
                // Both are in the same order: what is passed over is not committed any more.
                let key = (topic, commit.partition);
                while old.next_if(|(t, id, _)| (t, *id) < key).is_some() {
                    is_news = true;
                }
                let is_it = |(t, id, _): &(Arc<str>, i32, Window)| (t, *id) == key;
                let mut window = old.next_if(is_it).map(|(_, _, w)| w).unwrap_or_default();
                let Some(offset) = commit.offset else {
                    continue;
                };
                let is_same = window.last_offset() == Some(offset);
                if !is_same || has_members {
                    let end = ends.and_then(|o| o.partition(commit.partition)?.end.known());
                    let lag = end.map_or(-1, |end| (end - offset).max(0));
                    is_news |= window.push(offset, lag, taken.wall_ms);
                } else {
                    // The longer it is silent, the sooner it has stopped.
                    is_news = true;
                }
                kept.windows
                    .push((Arc::clone(topic), commit.partition, window));
            }
        }
        self.partitions = self.partitions - had + kept.windows.len();
        is_news || old.next().is_some()
    }

    /// The worst verdict on a group's partitions; `None` where too little was seen of one that is
    /// behind, or nothing is kept. What a close look said lately counts, but for a group that has
    /// come to the end since, which is seen at once.
    pub fn verdict(&self, id: &str, snapshot: &ClusterSnapshot) -> Option<Judged> {
        let kept = self.groups.get(id)?;
        let sampled = Self::sampled(kept, snapshot);
        match (kept.looked(), &sampled) {
            (None, _) => sampled,
            (Some(_), Some(judged)) if judged.rule == AT_END => sampled,
            (Some(looked), _) => Some(looked.clone()),
        }
    }

    /// What the samples say.
    fn sampled(kept: &Kept, snapshot: &ClusterSnapshot) -> Option<Judged> {
        let mut worst: Option<Judged> = None;
        let mut commits = Vec::with_capacity(WINDOW);
        for (topic, partition, window) in &kept.windows {
            let ends = snapshot.offsets.get().and_then(|all| all.get(topic));
            let Some(end) = ends.and_then(|o| o.partition(*partition)?.end.known()) else {
                continue;
            };
            commits.clear();
            commits.extend(window.0.iter().flat_map(Run::commits));
            let judged = judge(&commits, window.is_whole(), end, kept.noted_wall_ms)?;
            // Of those that are well, one that is not at the end says more.
            let weight = |judged: &Judged| (judged.verdict, judged.rule != AT_END);
            if worst.as_ref().is_none_or(|w| weight(&judged) > weight(w)) {
                worst = Some(judged);
            }
        }
        worst
    }

    /// Whether there will be a verdict once enough was seen.
    pub fn is_watched(&self, id: &str) -> bool {
        self.groups.contains_key(id)
    }
}

/// The verdict on one partition, where its samples carry one.
fn judge(commits: &[WindowCommit], is_whole: bool, end: i64, now_ms: i64) -> Option<Judged> {
    // What the log ended at when the samples were taken tells whether it was ever at the end.
    let ends = commits.iter().filter_map(|c| Some(c.offset + c.lag?));
    let ends: Vec<i64> = ends.chain([end]).collect();
    let judged = verdict(commits, &ends, now_ms, 0);
    match judged.verdict {
        ConsumerVerdict::Stall | ConsumerVerdict::Warning if !is_whole => None,
        // A single sample is no window that anything could have been longer than.
        ConsumerVerdict::Stop if commits.len() == 1 => {
            let first_ms = commits.first().map_or(now_ms, |commit| commit.at_ms);
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
        PartitionOffsets, TopicOffsets, Update,
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

    /// Takes a sample of committed offset and end at a time.
    fn sample(
        history: &mut CommitHistory,
        snapshot: &mut ClusterSnapshot,
        seconds: i64,
        offset: i64,
        end: i64,
    ) -> bool {
        let at = taken(seconds);
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
            ..CommittedPartition::default()
        };
        let committed = Committed {
            taken: at,
            topics: Arc::new(BTreeMap::from([(Arc::from("t"), vec![commit])])),
        };
        let read: PerGroup<Committed> = vec![(Arc::from("g"), Ok(Arc::new(committed)))];
        history.note(&read, snapshot)
    }

    /// What is said after each sample of committed offset and end, taken every five seconds.
    fn told(members: usize, samples: impl IntoIterator<Item = (i64, i64)>) -> Vec<&'static str> {
        let mut snapshot = ClusterSnapshot::default();
        let group = (Arc::from("g"), Ok(Arc::new(described(members))));
        snapshot.apply(Update::Descriptions(vec![group]), taken(0));
        let mut history = CommitHistory::default();
        let mut told = Vec::new();
        for (nth, (offset, end)) in samples.into_iter().enumerate() {
            sample(&mut history, &mut snapshot, 5 * nth as i64, offset, end);
            let judged = history.verdict("g", &snapshot);
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

    /// What a close look at a partition said.
    fn looked(verdict: ConsumerVerdict, rule: &'static str) -> GroupDetail {
        let row = crate::derive::PartitionLag {
            topic: "t".into(),
            partition: 0,
            member: None,
            committed: Some(10),
            log_start: Some(0),
            log_end: Some(90),
            lag: crate::derive::Lag::Known(80),
            lost: None,
        };
        let judged = Judged {
            verdict,
            rule,
            complete: 1.0,
        };
        let detail = crate::derive::LagDetail {
            row,
            committed_lag: None,
            lag_ms: None,
            read_rate: None,
            write_rate: None,
            drain: None,
            judged: Some(judged),
            overtaken_in_ms: None,
        };
        GroupDetail {
            partitions: vec![detail],
            ..GroupDetail::default()
        }
    }

    #[test]
    fn a_list_says_what_the_page_of_a_group_says_until_its_own_samples_are_newer() {
        let mut snapshot = ClusterSnapshot::default();
        let group = (Arc::from("g"), Ok(Arc::new(described(1))));
        snapshot.apply(Update::Descriptions(vec![group]), taken(0));
        let mut history = CommitHistory::default();
        let rewind = looked(ConsumerVerdict::Rewind, "it went back");
        let mut told = Vec::new();
        for nth in 0..16 {
            // Behind all the time; at the end for one sample only.
            let end = if nth == 4 { 10 } else { 90 };
            sample(&mut history, &mut snapshot, 5 * nth, 10, end);
            if nth == 2 {
                history.note_look(&"g".into(), &rewind, taken(10));
            }
            let judged = history.verdict("g", &snapshot);
            told.push(judged.map_or("", |judged| judged.verdict.as_str()));
        }
        let mut wanted = vec!["", "", "rewind", "rewind", "ok"];
        // The look was taken at 10 s; it counts until samples of 45 s are newer.
        wanted.extend(["rewind"; 6]);
        assert_eq!(told[..11], wanted);
        assert!(told[11..].iter().all(|word| *word != "rewind"), "{told:?}");
        // It counts also where nobody has sampled the group yet, and holds no sample up.
        let mut history = CommitHistory::default();
        history.note_look(&"g".into(), &rewind, taken(100));
        let word = |history: &CommitHistory, snapshot: &ClusterSnapshot| {
            let judged = history.verdict("g", snapshot);
            judged.map_or("", |judged| judged.verdict.as_str())
        };
        assert_eq!(word(&history, &snapshot), "rewind");
        sample(&mut history, &mut snapshot, 100, 90, 90);
        assert_eq!(word(&history, &snapshot), "ok", "at the end");
    }

    #[test]
    fn what_is_looked_at_rarely_is_judged_as_soon_and_then_tells_nothing_new() {
        let mut snapshot = ClusterSnapshot::default();
        let group = (Arc::from("g"), Ok(Arc::new(described(1))));
        snapshot.apply(Update::Descriptions(vec![group]), taken(0));
        let mut history = CommitHistory::default();
        let mut told = Vec::new();
        for seconds in [0, 15, 30, 45, 60, 75, 200] {
            let is_news = sample(&mut history, &mut snapshot, seconds, 10, 90);
            let judged = history.verdict("g", &snapshot);
            told.push((judged.map_or("", |judged| judged.verdict.as_str()), is_news));
        }
        let wanted = [
            ("", true),
            ("", true),
            ("", true),
            ("stall", true),
            ("stall", false),
            ("stall", false),
            ("stall", false),
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn runs_are_counted_as_the_samples_that_they_stand_for() {
        let mut window = Window::default();
        for (nth, offset) in [1, 1, 1, 2, 3, 3].into_iter().enumerate() {
            window.push(offset, 5, nth as i64 * 5_000);
        }
        assert_eq!((window.0.len(), window.len()), (3, 6));
        let times = |window: &Window| -> Vec<(i64, i64)> {
            let commits = window.0.iter().flat_map(Run::commits);
            commits.map(|c| (c.offset, c.at_ms / 1_000)).collect()
        };
        let all = [(1, 0), (1, 5), (1, 10), (2, 15), (3, 20), (3, 25)];
        assert_eq!(times(&window), all);
        for nth in 6..14 {
            window.push(3, 5, nth * 5_000);
        }
        let last: Vec<(i64, i64)> = (4..14).map(|nth| (3, nth * 5)).collect();
        assert_eq!(times(&window), last, "the newest ten");
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
            ..CommittedPartition::default()
        };
        let committed = |n: i32| Committed {
            taken: taken(9),
            topics: Arc::new(BTreeMap::from([(
                Arc::from("t"),
                (0..n).map(commit).collect(),
            )])),
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
