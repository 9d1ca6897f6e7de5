//! What happened in a group, rebalance by rebalance, with the likely cause of each: from the
//! records of the coordinator's log.
//!
//! The log holds what a group became, not why. The cause is told from what differs between two
//! records: members that are new or gone, an instance with another member id, a topic with more
//! partitions, another leader epoch of the log. Whether a member left or failed no record says:
//! they are the same. Two things tell it. A member is only given up a session time-out after its
//! last heartbeat, so one that goes sooner after a record that its own heartbeat made has left. And
//! its commits: who leaves in order has committed just now, who fails has been silent for a session
//! time-out and not much longer. Where neither tells, as mostly of share groups, which commit nothing, neither is
//! claimed, and the evidence says why.
//!
//! Kafka: GroupMetadataManager.java (4.3), KIP-345 (static members), KIP-848, KIP-932, KIP-1071.

mod classic;
mod modern;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::model::{
    GroupFact, GroupKind, GroupLog, LoggedMember, STANDBY_TASKS, TopicAssignment, TopicPartition,
    WARMUP_TASKS,
};

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
    /// They did not give partitions up within their rebalance time-out.
    Fenced {
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
    /// The topics that the group reads are not as they were: partitions, racks, topics that came
    /// or went.
    Metadata,
    /// A pattern that members ask for fits other topics than before.
    Pattern {
        pattern: String,
        came: Vec<String>,
        went: Vec<String>,
    },
    /// The application of a streams group is made of other parts.
    Topology {
        epoch: i32,
    },
    /// Topics that the application needs are missing, or have other sizes than they have to.
    NotReady,
    /// Every topic that the application needs is there.
    Ready,
    /// Settings that tasks are assigned by.
    Settings {
        settings: Vec<String>,
    },
    /// The positions of a share group's partitions were made, so that they can be assigned.
    Initialized,
    /// Partitions are assigned in another way.
    Assignor {
        from: String,
        to: String,
    },
    /// The group went over to the other protocol.
    Converted {
        to: String,
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
            Self::Fenced { members } => {
                write!(f, "fenced (rebalance time-out): {}", some(members))
            }
            Self::Gone { members } => write!(f, "left or failed: {}", some(members)),
            Self::StaticRestart { members } => {
                write!(f, "static member restarted: {}", some(members))
            }
            Self::TopicGrew { topic, from, to } => {
                write!(f, "topic {topic} grew from {from} to {to} partitions")
            }
            Self::Subscription { members } => write!(f, "other topics: {}", some(members)),
            Self::Metadata => f.write_str("the topics that it reads changed"),
            Self::Pattern {
                pattern,
                came,
                went,
            } => {
                write!(f, "pattern {pattern} fits")?;
                match came.is_empty() {
                    false => write!(f, " {}", some(came))?,
                    true => f.write_str(" nothing more")?,
                }
                match went.is_empty() {
                    false => write!(f, ", no longer {}", some(went)),
                    true => Ok(()),
                }
            }
            Self::Topology { epoch } => write!(f, "the application changed (topology {epoch})"),
            Self::NotReady => {
                f.write_str("topics that the application needs are missing or of a wrong size")
            }
            Self::Ready => f.write_str("every topic that the application needs is there"),
            Self::Settings { settings } => {
                let all = settings.join(", ");
                write!(f, "settings of the assignment: {all}")
            }
            Self::Initialized => f.write_str("its partitions were made ready to be shared"),
            Self::Assignor { from, to } => write!(f, "assignor {from} → {to}"),
            Self::Converted { to } => write!(f, "went over to the {to} protocol"),
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
    /// Who own it besides, before and after: of share groups, and of tasks that are not active.
    pub others: usize,
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
    /// How those went who were there when it ended, if they went.
    goings: BTreeMap<String, (Went, Option<String>)>,
}

/// What is known besides the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimelineSettings {
    /// Of members of the new protocols, whose records don't say it; `None` where it was not read.
    pub session_timeout_ms: Option<i64>,
    /// Which of the new protocols the group speaks.
    pub kind: Option<GroupKind>,
}

impl TimelineSettings {
    /// As the cluster has it, or else by its default.
    fn session_ms(&self) -> i64 {
        // group.consumer.session.timeout.ms
        self.session_timeout_ms.unwrap_or(45_000)
    }

    /// What the new protocol is called.
    fn protocol(&self) -> &str {
        match &self.kind {
            Some(kind @ (GroupKind::Share | GroupKind::Streams)) => kind.as_str(),
            _ => GroupKind::Consumer.as_str(),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// Whether a member that is gone had fallen silent, by its session time-out. `heard_ms` is when
    /// it did something itself, as a record tells; `is_sure` that the time-out was read.
    fn went(
        &self,
        id: &str,
        session_ms: i64,
        gone_ms: i64,
        heard_ms: Option<i64>,
        is_sure: bool,
    ) -> (Went, Option<String>) {
        let since_ms = heard_ms.map(|heard_ms| (gone_ms - heard_ms).max(0));
        let seconds = |ms: i64| ms as f64 / 1e3;
        if let Some(since_ms) = since_ms.filter(|since_ms| is_sure && *since_ms < session_ms) {
            let evidence = format!(
                "it was heard of {:.1} s before, sooner than its session time-out of {:.1} s can \
                 end: it left",
                seconds(since_ms),
                seconds(session_ms)
            );
            return (Went::Left, Some(evidence));
        }
        let (went, evidence) = self.silence(id, session_ms, gone_ms);
        let evidence = evidence.unwrap_or_else(|| {
            let heard = since_ms.map_or_else(String::new, |since_ms| {
                format!("; its last own record is {:.1} s older", seconds(since_ms))
            });
            format!(
                "records are the same whether a member leaves or its session time-out of {:.1} s \
                 ends, and it committed nothing that would tell{heard}",
                seconds(session_ms)
            )
        });
        (went, Some(evidence))
    }

    /// What its commits tell.
    fn silence(&self, id: &str, session_ms: i64, gone_ms: i64) -> (Went, Option<String>) {
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
        // Who fails falls silent within one pause of its commits, and is given up a session time-out
        // later, or when the others have noticed. Who was silent for longer had nothing to commit.
        let limit = session_ms + session_ms / 2 + trail.longest_ms + 1_000;
        let went = if silent < session_ms / 2 {
            Went::Left
        } else if is_regular && (session_ms * 8 / 10..=limit).contains(&silent) {
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

/// The members to whom each partition is given, by id, with their names: one, but in share groups,
/// and of tasks that are not active.
type Owners = BTreeMap<TopicPartition, BTreeMap<Arc<str>, String>>;

/// Owners of each partition.
fn owners<'a>(members: impl Iterator<Item = (&'a LoggedMember, &'a [TopicAssignment])>) -> Owners {
    let mut owners = Owners::new();
    for (member, assignment) in members {
        for owned in assignment {
            for id in &owned.partitions {
                let key = TopicPartition::new(&*owned.topic, *id);
                let of = owners.entry(key).or_default();
                of.insert(Arc::clone(&member.id), name_of(member));
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
    let mut moved = Vec::new();
    for key in keys {
        let names = |owners: &Owners| -> BTreeSet<String> {
            let of = owners.get(key).into_iter();
            of.flat_map(|of| of.values().cloned()).collect()
        };
        let (old, new) = (names(before), names(now));
        let mut from = old.difference(&new).cloned();
        let mut to = new.difference(&old).cloned();
        let others = old.intersection(&new).count();
        loop {
            let (from, to) = (from.next(), to.next());
            if from.is_none() && to.is_none() {
                break;
            }
            moved.push(Moved {
                topic: key.topic.to_string(),
                partition: key.partition,
                from,
                to,
                others,
            });
        }
    }
    moved
}

/// Who gets each partition's records: the first where there are several.
fn readers(owners: &Owners) -> impl Iterator<Item = (&TopicPartition, &Arc<str>)> {
    let all = owners.iter();
    all.filter_map(|(key, of)| Some((key, of.keys().next()?)))
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
        if topic.ends_with(STANDBY_TASKS) || topic.ends_with(WARMUP_TASKS) {
            return None;
        }
        let from = *before.get(&topic)?;
        (to > from).then(|| Cause::TopicGrew {
            topic: topic.to_string(),
            from,
            to,
        })
    });
    grown.collect()
}

/// Whether the record says that the group is of the new protocols, or of the classic one; `None`
/// for what groups of both kinds have, and for what only says that something is gone.
fn is_modern(fact: &GroupFact) -> Option<bool> {
    match fact {
        GroupFact::Epoch { epoch: Some(_), .. }
        | GroupFact::Member {
            member: Some(_), ..
        }
        | GroupFact::TargetEpoch(_)
        | GroupFact::Target {
            assignment: Some(_),
            ..
        }
        | GroupFact::Topology(Some(_))
        | GroupFact::Current { state: Some(_), .. } => Some(true),
        GroupFact::Classic(Some(_)) => Some(false),
        _ => None,
    }
}

/// The log in parts in which the group speaks one protocol, and whether that is a new one.
fn parts(log: &GroupLog) -> Vec<(bool, GroupLog)> {
    let mut cuts = Vec::new();
    let mut now = None;
    for (at, record) in log.records.iter().enumerate() {
        let said = is_modern(&record.fact);
        if said.is_some() && said != now {
            cuts.push((at, said == Some(true)));
            now = said;
        }
    }
    let ends = cuts.iter().skip(1).map(|(at, _)| *at);
    let ends: Vec<usize> = ends.chain([log.records.len()]).collect();
    let mut parts = Vec::new();
    for (nth, ((_, is_modern), end)) in cuts.iter().zip(ends).enumerate() {
        let start = if nth == 0 { 0 } else { cuts[nth].0 };
        let records = log.records[start..end].to_vec();
        let is_last = nth + 1 == cuts.len();
        let last_epoch = records.last().map_or(0, |record| record.leader_epoch);
        let mut reach = log.reach.clone();
        if nth > 0 {
            // It begins with the group's going over, so nothing is missing.
            (reach.is_whole, reach.from_offset, reach.gapless_from) = (true, 0, 0);
        }
        let part = GroupLog {
            reach,
            records,
            leader_epoch: if is_last {
                log.leader_epoch
            } else {
                last_epoch
            },
        };
        parts.push((*is_modern, part));
    }
    parts
}

/// Joins what happened under one protocol to what happened under the one before: who was there
/// has not joined. `first` are the names of those who are there at once, where that is known: the
/// last one that spoke the other protocol went with it.
fn go_over(told: &mut Timeline, mut next: Timeline, to: &str, first: Option<&[String]>) {
    if matches!(told.events.last(), Some(event) if event.causes == [Cause::Deleted]) {
        told.events.pop();
    }
    let here = first;
    if let Some(event) = next.events.first_mut() {
        for cause in &mut event.causes {
            if let Cause::Joined { members } = cause {
                members.retain(|name| told.members.iter().all(|(known, _)| known != name));
            }
        }
        let is_empty =
            |cause: &Cause| matches!(cause, Cause::Joined { members } if members.is_empty());
        event.causes.retain(|cause| !is_empty(cause));
        let to = to.to_owned();
        event.causes.insert(0, Cause::Converted { to });
        for (name, _) in &told.members {
            if here.is_none_or(|here| here.contains(name)) {
                continue;
            }
            let went = told.goings.remove(name);
            let (went, evidence) = went.unwrap_or((Went::Unknown, None));
            let members = vec![name.clone()];
            event.causes.push(match went {
                Went::Left => Cause::Left { members },
                Went::Failed => Cause::Failed { members },
                Went::Unknown => Cause::Gone { members },
            });
            let evidence = evidence.map(|text| format!("{name}: {text}"));
            event.evidence.extend(evidence);
        }
    }
    told.events.append(&mut next.events);
    (told.members, told.is_modern) = (next.members, next.is_modern);
    told.goings = next.goings;
}

/// Who is there when a group goes over to the classic protocol.
fn first_members(part: &GroupLog) -> Option<Vec<String>> {
    part.records.iter().find_map(|record| match &record.fact {
        GroupFact::Classic(Some(group)) => Some(group.members.iter().map(name_of).collect()),
        _ => None,
    })
}

/// What happened to a group. Compaction leaves of what is old only the end, so the further back,
/// the less there is.
pub fn timeline(log: &GroupLog, settings: &TimelineSettings) -> Timeline {
    let mut told: Option<Timeline> = None;
    for (is_modern, part) in parts(log) {
        let next = if is_modern {
            modern::timeline(&part, settings)
        } else {
            classic::timeline(&part)
        };
        match &mut told {
            Some(told) => {
                let to = if is_modern {
                    settings.protocol()
                } else {
                    "classic"
                };
                go_over(told, next, to, first_members(&part).as_deref());
            }
            None => told = Some(next),
        }
    }
    let mut timeline = told.unwrap_or_default();
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
