//! What happened in a group, rebalance by rebalance, with the likely cause of each: from the
//! records of the coordinator's log.
//!
//! The log holds what a group became, not why. The cause is told from what differs between two
//! records: members that are new or gone, an instance with another member id, a topic with more
//! partitions, another leader epoch of the log. Whether a member left or failed no record says;
//! its commits do: who leaves in order has committed just now, who fails has been silent for a
//! session time-out. Where they don't tell, neither is claimed.
//!
//! Kafka: GroupMetadataManager.java (4.3), KIP-345 (static members), KIP-848.

mod classic;
mod modern;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::model::{GroupFact, GroupLog, LoggedMember, TopicAssignment, TopicPartition};

/// Why a group rebalanced, as far as it can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// As far back as was read it was so already.
    Known,
    Joined {
        members: Vec<String>,
    },
    Left {
        members: Vec<String>,
    },
    /// Nothing was heard of them for a session time-out.
    Failed {
        members: Vec<String>,
    },
    /// Gone, and nothing tells whether in order.
    Gone {
        members: Vec<String>,
    },
    /// A static member came back with its instance id.
    StaticRestart {
        members: Vec<String>,
    },
    TopicGrew {
        topic: String,
        from: usize,
        to: usize,
    },
    /// A member asks for other topics than before.
    Subscription {
        members: Vec<String>,
    },
    /// The second step of a cooperative rebalance.
    SecondStep,
    /// Another member leads the group and assigns.
    GroupLeader {
        from: String,
        to: String,
    },
    /// The log's partition has another leader, which is the coordinator now.
    CoordinatorMoved {
        epoch: i32,
    },
    Deleted,
    /// Same members, same topics: a member asked for it, or the metadata changed otherwise.
    Unknown,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |members: &[String]| members.join(", ");
        match self {
            Self::Known => f.write_str("as it was before"),
            Self::Joined { members } => write!(f, "joined: {}", some(members)),
            Self::Left { members } => write!(f, "left: {}", some(members)),
            Self::Failed { members } => write!(f, "failed (session time-out): {}", some(members)),
            Self::Gone { members } => write!(f, "left or failed: {}", some(members)),
            Self::StaticRestart { members } => {
                write!(f, "static member restarted: {}", some(members))
            }
            Self::TopicGrew { topic, from, to } => {
                write!(f, "topic {topic} grew from {from} to {to} partitions")
            }
            Self::Subscription { members } => write!(f, "other topics: {}", some(members)),
            Self::SecondStep => f.write_str("second step of a cooperative rebalance"),
            Self::GroupLeader { from, to } => write!(f, "group leader {from} → {to}"),
            Self::CoordinatorMoved { epoch } => {
                write!(f, "coordinator moved (leader epoch {epoch})")
            }
            Self::Deleted => f.write_str("the group was deleted"),
            Self::Unknown => f.write_str("a member asked for it, or metadata changed"),
        }
    }
}

/// A partition that has another owner than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    pub topic: String,
    pub partition: i32,
    pub from: Option<String>,
    pub to: Option<String>,
}

/// One moment of a group's life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupEvent {
    pub at_ms: i64,
    /// The classic generation, or the epoch of the new protocols.
    pub generation: i32,
    pub causes: Vec<Cause>,
    /// Members afterwards.
    pub members: usize,
    pub moved: Vec<Moved>,
    /// Members stood still at least so long: from when all had joined until all had their
    /// assignment; for the new protocols from the new epoch until everybody owned what it should.
    pub still_ms: Option<i64>,
    /// Between the last commit before and the first one after: it stood still no longer than this.
    pub silent_ms: Option<i64>,
    /// What the cause was told from.
    pub evidence: Vec<String>,
}

impl GroupEvent {
    /// The causes in words.
    pub fn causes_text(&self) -> String {
        let causes: Vec<String> = self.causes.iter().map(ToString::to_string).collect();
        causes.join("; ")
    }
}

/// A group's life as far as it was read, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    pub events: Vec<GroupEvent>,
    /// Members at the end, with what they own, by name.
    pub members: Vec<(String, Vec<TopicAssignment>)>,
    /// Whether it is of the new protocols.
    pub is_modern: bool,
}

/// What is known besides the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineSettings {
    /// Of members of the new protocols, whose records don't say it.
    pub session_timeout_ms: i64,
}

impl Default for TimelineSettings {
    fn default() -> Self {
        // group.consumer.session.timeout.ms
        Self {
            session_timeout_ms: 45_000,
        }
    }
}

/// What a member is called: its instance, else its client and host.
fn name_of(member: &LoggedMember) -> String {
    if let Some(instance) = &member.instance_id {
        return instance.to_string();
    }
    if member.client_id.is_empty() {
        return member.id.to_string();
    }
    let host = member.host.trim_start_matches('/');
    // Clients of one name on one host are told apart by the end of their ids.
    let id: Vec<char> = member.id.chars().collect();
    let end: String = id.iter().skip(id.len().saturating_sub(4)).collect();
    format!("{}@{host}…{end}", member.client_id)
}

/// Commits of one owner.
#[derive(Clone, Copy, Debug, Default)]
struct Trail {
    count: usize,
    last_ms: i64,
    longest_ms: i64,
}

impl Trail {
    fn note(&mut self, at_ms: i64) {
        if self.count > 0 {
            self.longest_ms = self.longest_ms.max(at_ms - self.last_ms);
        }
        self.count += 1;
        self.last_ms = self.last_ms.max(at_ms);
    }
}

/// How a member went.
#[derive(Debug, PartialEq, Eq)]
enum Went {
    Left,
    Failed,
    Unknown,
}

/// Who owns what, and who committed when.
#[derive(Debug, Default)]
struct Watch {
    owners: HashMap<TopicPartition, Arc<str>>,
    trails: HashMap<Arc<str>, Trail>,
    last_commit_ms: Option<i64>,
}

impl Watch {
    fn commit(&mut self, partition: &TopicPartition, at_ms: i64, events: &mut [GroupEvent]) {
        if let Some(owner) = self.owners.get(partition) {
            self.trails
                .entry(Arc::clone(owner))
                .or_default()
                .note(at_ms);
        }
        if let Some(event) = events.last_mut()
            && event.silent_ms.is_none()
            && event.members > 0
            && at_ms >= event.at_ms
            && let Some(before) = self.last_commit_ms
        {
            event.silent_ms = Some((at_ms - before).max(0));
        }
        self.last_commit_ms = self.last_commit_ms.max(Some(at_ms));
    }

    /// Whether a member that is gone had fallen silent, by its session time-out.
    fn went(&self, id: &str, session_ms: i64, gone_ms: i64) -> (Went, Option<String>) {
        let Some(trail) = self.trails.get(id).filter(|trail| trail.count > 0) else {
            return (Went::Unknown, None);
        };
        let silent = (gone_ms - trail.last_ms).max(0);
        let evidence = format!(
            "its last commit was {:.1} s before, its session time-out is {:.1} s",
            silent as f64 / 1e3,
            session_ms as f64 / 1e3
        );
        let is_regular = trail.count > 1 && trail.longest_ms < session_ms * 7 / 10;
        let went = if silent < session_ms / 2 {
            Went::Left
        } else if is_regular && silent >= session_ms * 8 / 10 {
            Went::Failed
        } else {
            Went::Unknown
        };
        (went, Some(evidence))
    }

    fn forget(&mut self, id: &str) {
        self.trails.remove(id);
    }
}

type Owners = BTreeMap<TopicPartition, (Arc<str>, String)>;

/// Owner id and name of each partition.
fn owners<'a>(members: impl Iterator<Item = (&'a LoggedMember, &'a [TopicAssignment])>) -> Owners {
    let mut owners = Owners::new();
    for (member, assignment) in members {
        for owned in assignment {
            for id in &owned.partitions {
                let key = TopicPartition::new(&*owned.topic, *id);
                owners.insert(key, (Arc::clone(&member.id), name_of(member)));
            }
        }
    }
    owners
}

/// The partitions that changed hands: by name, so that a static member that came back keeps its.
fn moves(before: &Owners, now: &Owners) -> Vec<Moved> {
    let mut keys: Vec<&TopicPartition> = before.keys().chain(now.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let name = |owners: &Owners, key: &TopicPartition| owners.get(key).map(|(_, n)| n.clone());
    let moved = keys.into_iter().filter_map(|key| {
        let (from, to) = (name(before, key), name(now, key));
        (from != to).then(|| Moved {
            topic: key.topic.to_string(),
            partition: key.partition,
            from,
            to,
        })
    });
    moved.collect()
}

/// Topics of which more partitions are owned than before.
fn grown(before: &Owners, now: &Owners) -> Vec<Cause> {
    let count = |owners: &Owners| {
        let mut counts: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for key in owners.keys() {
            *counts.entry(Arc::clone(&key.topic)).or_default() += 1;
        }
        counts
    };
    let (before, now) = (count(before), count(now));
    let grown = now.into_iter().filter_map(|(topic, to)| {
        let from = *before.get(&topic)?;
        (to > from).then(|| Cause::TopicGrew {
            topic: topic.to_string(),
            from,
            to,
        })
    });
    grown.collect()
}

/// What happened to a group. Compaction leaves of what is old only the end, so the further back,
/// the less there is.
pub fn timeline(log: &GroupLog, settings: &TimelineSettings) -> Timeline {
    let is_modern = log
        .records
        .iter()
        .any(|record| matches!(record.fact, GroupFact::Epoch(_) | GroupFact::Member { .. }));
    let mut timeline = if is_modern {
        modern::timeline(log, settings)
    } else {
        classic::timeline(log)
    };
    timeline.is_modern = is_modern;
    for event in &mut timeline.events {
        if event.causes.is_empty() {
            event.causes.push(Cause::Unknown);
        }
    }
    timeline
}

/// Tells a change of the log's leader epoch between two records as an event of its own.
fn coordinator_moved(
    seen: &mut Option<i32>,
    epoch: i32,
    at_ms: i64,
    last: Option<&GroupEvent>,
) -> Option<GroupEvent> {
    let before = seen.replace(epoch);
    (before.is_some_and(|before| before < epoch)).then(|| GroupEvent {
        at_ms,
        generation: last.map_or(0, |event| event.generation),
        causes: vec![Cause::CoordinatorMoved { epoch }],
        members: last.map_or(0, |event| event.members),
        ..GroupEvent::default()
    })
}

#[cfg(test)]
mod tests;
