//! How far consumers are behind.
//!
//! The committed offset is read first and the end offset second, so that a healthy group can't
//! show a negative lag; where one appears all the same it is shown as it is, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{
    Cell, ClusterMetadata, ClusterSnapshot, Committed, CommittedPartition, GroupDescription,
    Offsets, PartError, Taken, TopicOffsets,
};

use super::Total;

/// Why a lag is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LagUnknown {
    /// The end offset has not been read yet.
    NotRead,
    /// The end offset could not be read.
    EndOffset(PartError),
    /// The committed offset could not be read.
    Committed(PartError),
    /// The topic or partition is gone; the commit is a leftover.
    Deleted,
}

/// The lag of one partition, in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    Known(i64),
    /// Nothing is committed: there is no lag, and no zero either.
    NoCommit,
    /// Committed beyond the end, with the offsets read in the right order: the log was cut or
    /// made anew, or the commit was set by hand.
    BeyondEnd(i64),
    /// Committed beyond an end offset that was read before the commit.
    EndIsOlder(i64),
    Unknown(LagUnknown),
}

impl Lag {
    /// The number, negative where it is negative.
    pub fn records(self) -> Option<i64> {
        match self {
            Self::Known(lag) | Self::BeyondEnd(lag) | Self::EndIsOlder(lag) => Some(lag),
            Self::NoCommit | Self::Unknown(_) => None,
        }
    }

    /// What to say beside a lag that is not simply a number.
    pub fn reason(self) -> Option<String> {
        Some(match self {
            Self::Known(_) => return None,
            Self::NoCommit => "nothing committed".to_owned(),
            Self::BeyondEnd(_) => {
                "committed beyond the end: the log was cut or made anew, or the offset was set"
                    .to_owned()
            }
            Self::EndIsOlder(_) => "the end offset was read before the commit".to_owned(),
            Self::Unknown(LagUnknown::NotRead) => "end offset not read yet".to_owned(),
            Self::Unknown(LagUnknown::EndOffset(error)) => format!("end offset: {error}"),
            Self::Unknown(LagUnknown::Committed(error)) => format!("committed offset: {error}"),
            Self::Unknown(LagUnknown::Deleted) => "the partition is gone".to_owned(),
        })
    }
}

/// One partition of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionLag {
    pub topic: Arc<str>,
    pub partition: i32,
    pub committed: Option<i64>,
    pub log_start: Option<i64>,
    pub log_end: Option<i64>,
    pub lag: Lag,
    /// Records between the commit and the log's start: retention removed them unread.
    pub lost: Option<i64>,
    /// Index into the group's members.
    pub member: Option<usize>,
}

/// A group's lag.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupLag {
    /// By topic and partition: everything committed or assigned.
    pub partitions: Vec<PartitionLag>,
    /// Over the partitions with a commit; whole only when each of them is known.
    pub total: Total<i64>,
    pub without_commit: usize,
    /// Partitions with records that were removed unread.
    pub with_loss: usize,
    /// The largest lag of one partition.
    pub max: Option<i64>,
    /// Partitions that a member owns, of all in `partitions`.
    pub owned: usize,
}

fn lag_of(committed: i64, committed_first: bool, end: Cell<i64>) -> Lag {
    match end {
        Cell::Unknown => Lag::Unknown(LagUnknown::NotRead),
        Cell::Failed(error) => Lag::Unknown(LagUnknown::EndOffset(error)),
        Cell::Known(end) => match end.saturating_sub(committed) {
            lag if lag >= 0 => Lag::Known(lag),
            lag if committed_first => Lag::BeyondEnd(lag),
            lag => Lag::EndIsOlder(lag),
        },
    }
}

/// The lag of one commit, with what it was computed from.
struct CommitLag {
    start: Cell<i64>,
    end: Cell<i64>,
    lag: Lag,
    lost: Option<i64>,
}

fn commit_lag(
    commit: &CommittedPartition,
    taken: Taken,
    offsets: Option<&TopicOffsets>,
    is_gone: bool,
) -> CommitLag {
    let found = offsets.and_then(|offsets| offsets.partition(commit.partition));
    let (start, end) = found.map_or((Cell::Unknown, Cell::Unknown), |f| (f.start, f.end));
    let committed_first = offsets.is_some_and(|offsets| taken <= offsets.taken);
    let lag = match (commit.error, commit.offset) {
        (None, Some(_)) if commit.lag.is_some() && !is_gone => {
            Lag::Known(commit.lag.unwrap_or_default())
        }
        (Some(error), _) => Lag::Unknown(LagUnknown::Committed(error)),
        (None, None) => Lag::NoCommit,
        (None, Some(_)) if is_gone => Lag::Unknown(LagUnknown::Deleted),
        (None, Some(committed)) => lag_of(committed, committed_first, end),
    };
    let lost = match (commit.offset, start.known()) {
        // A share group's own start follows that of the log when it reads.
        (Some(committed), Some(start)) if committed < start && commit.lag.is_none() => {
            Some(start - committed)
        }
        _ => None,
    };
    CommitLag {
        start,
        end,
        lag,
        lost,
    }
}

fn partition_lag(
    topic: &Arc<str>,
    partition: i32,
    commits: &Committed,
    offsets: Option<&TopicOffsets>,
    topic_is_gone: bool,
) -> PartitionLag {
    let nothing = CommittedPartition {
        partition,
        ..CommittedPartition::default()
    };
    let commit = commits.partition(topic, partition).unwrap_or(&nothing);
    let found = commit_lag(commit, commits.taken, offsets, topic_is_gone);
    PartitionLag {
        topic: Arc::clone(topic),
        partition,
        committed: commit.offset,
        log_start: found.start.known(),
        log_end: found.end.known(),
        lag: found.lag,
        lost: found.lost,
        member: None,
    }
}

/// The lag of a group from what was committed and who owns what, over the offsets of a snapshot;
/// `None` before the first metadata.
pub fn lag_in(
    snapshot: &ClusterSnapshot,
    commits: &Committed,
    description: Option<&GroupDescription>,
) -> Option<GroupLag> {
    let metadata = snapshot.metadata.get()?;
    let offsets = snapshot.offsets.value().cloned().unwrap_or_default();
    let exists = |topic: &str, partition: i32| {
        let topic = metadata.topic(topic);
        topic.is_some_and(|topic| topic.partition(partition).is_some())
    };
    Some(group_lag(commits, &offsets, description, exists))
}

/// The lag of a group from what was committed, the offsets, and who owns what. `exists` says
/// whether a partition is in the cluster.
pub fn group_lag(
    commits: &Committed,
    offsets: &Offsets,
    description: Option<&GroupDescription>,
    exists: impl Fn(&str, i32) -> bool,
) -> GroupLag {
    let mut partitions: BTreeSet<(Arc<str>, i32)> = BTreeSet::new();
    for (topic, committed) in &*commits.topics {
        partitions.extend(committed.iter().map(|c| (Arc::clone(topic), c.partition)));
    }
    let mut owners: BTreeMap<(Arc<str>, i32), usize> = BTreeMap::new();
    for (at, member) in description
        .iter()
        .flat_map(|d| d.members.iter().enumerate())
    {
        for owned in &member.assignment {
            let keys = owned
                .partitions
                .iter()
                .map(|p| (Arc::clone(&owned.topic), *p));
            owners.extend(keys.map(|key| (key, at)));
        }
    }
    partitions.extend(owners.keys().cloned());
    let mut lag = GroupLag::default();
    for (topic, partition) in partitions {
        let gone = !exists(&topic, partition);
        let found = offsets.get(&topic).map(|offsets| &**offsets);
        let mut row = partition_lag(&topic, partition, commits, found, gone);
        row.member = owners.get(&(topic, partition)).copied();
        lag.note(row);
    }
    lag
}

impl GroupLag {
    fn note(&mut self, row: PartitionLag) {
        match row.lag {
            Lag::NoCommit => self.without_commit += 1,
            // A leftover of a deleted partition is no work that waits for anybody.
            Lag::Unknown(LagUnknown::Deleted) => {}
            lag => self.total.add(lag.records()),
        }
        self.max = self.max.max(row.lag.records());
        self.with_loss += usize::from(row.lost.is_some());
        self.owned += usize::from(row.member.is_some());
        self.partitions.push(row);
    }

    /// Records over all partitions with a commit; `None` where one is not known, and where nothing
    /// was ever committed: that is no lag of zero.
    pub fn records(&self) -> Option<i64> {
        records(&self.total)
    }

    /// Partitions that a member owns, in percent of all; 100 for a group of no partitions.
    pub fn owned_percent(&self) -> u32 {
        match self.partitions.len() {
            0 => 100,
            n => u32::try_from(100 * self.owned / n).unwrap_or(100),
        }
    }
}

/// A group's lag without its partitions: the same numbers as those of [`group_lag`], in one pass
/// and without a list, for tables of many groups.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupTotals {
    pub total: Total<i64>,
    pub max: Option<i64>,
    pub with_loss: usize,
    pub owned: usize,
    pub partitions: usize,
}

fn records(total: &Total<i64>) -> Option<i64> {
    total.complete().filter(|_| total.n_parts() > 0)
}

impl GroupTotals {
    /// As [`GroupLag::records`].
    pub fn records(&self) -> Option<i64> {
        records(&self.total)
    }

    /// Partitions that a member owns, in percent of all; 100 for a group of no partitions.
    pub fn owned_percent(&self) -> u32 {
        match self.partitions {
            0 => 100,
            n => u32::try_from(100 * self.owned / n).unwrap_or(100),
        }
    }
}

/// The lag of a group in total. A partition that two members claim counts twice as owned, which
/// no coordinator allows.
pub fn group_totals(
    commits: &Committed,
    offsets: Option<&Offsets>,
    description: Option<&GroupDescription>,
    metadata: &ClusterMetadata,
) -> GroupTotals {
    let mut totals = GroupTotals::default();
    for (name, committed) in &*commits.topics {
        let found = offsets
            .and_then(|offsets| offsets.get(name))
            .map(|offsets| &**offsets);
        let topic = metadata.topic(name);
        for commit in committed {
            let exists = topic.is_some_and(|topic| topic.partition(commit.partition).is_some());
            let row = commit_lag(commit, commits.taken, found, !exists);
            if !matches!(row.lag, Lag::NoCommit | Lag::Unknown(LagUnknown::Deleted)) {
                totals.total.add(row.lag.records());
            }
            totals.max = totals.max.max(row.lag.records());
            totals.with_loss += usize::from(row.lost.is_some());
        }
        totals.partitions += committed.len();
    }
    for owned in description
        .iter()
        .flat_map(|d| d.members.iter())
        .flat_map(|m| &m.assignment)
    {
        totals.owned += owned.partitions.len();
        let is_new = |id: &&i32| commits.partition(&owned.topic, **id).is_none();
        totals.partitions += owned.partitions.iter().filter(is_new).count();
    }
    totals
}

/// The groups of a topic: those that committed for it or have a member that owns some of it.
pub fn topic_groups(snapshot: &ClusterSnapshot, topic: &str) -> Vec<Arc<str>> {
    let committed = snapshot
        .committed
        .iter()
        .filter(|(_, commits)| commits.get().is_some_and(|c| c.topics.contains_key(topic)))
        .map(|(id, _)| Arc::clone(id));
    let owning = snapshot
        .descriptions
        .iter()
        .filter(|(_, description)| {
            let members = description.get().into_iter().flat_map(|d| d.members.iter());
            members
                .flat_map(|m| m.assignment.iter())
                .any(|owned| &*owned.topic == topic)
        })
        .map(|(id, _)| Arc::clone(id));
    committed
        .chain(owning)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}
