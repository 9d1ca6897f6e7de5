//! Groups of the new protocols: an epoch that goes up, an assignment made for it, and members that
//! go over to it one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{GroupFact, GroupLog, GroupRecord, LoggedMember, TopicAssignment};

use super::{
    Cause, GroupEvent, Owners, Timeline, TimelineSettings, Watch, Went, coordinator_moved, grown,
    moves, name_of, owners,
};

/// The epoch that a static member has while it is away.
const AWAY_EPOCH: i32 = -2;

#[derive(Default)]
struct State {
    events: Vec<GroupEvent>,
    watch: Watch,
    members: BTreeMap<Arc<str>, LoggedMember>,
    targets: BTreeMap<Arc<str>, Vec<TopicAssignment>>,
    current: BTreeMap<Arc<str>, (i32, bool)>,
    /// What partitions were last assigned to.
    assigned: Owners,
    epoch: i32,
    /// Whether an epoch was seen before: else members that appear were there already.
    is_known: bool,
    /// Changes of members that belong to the epoch that comes.
    joined: Vec<LoggedMember>,
    gone: Vec<LoggedMember>,
    changed: Vec<LoggedMember>,
    batch: i64,
    batch_ms: i64,
    session_ms: i64,
}

pub(super) fn timeline(log: &GroupLog, settings: &TimelineSettings) -> Timeline {
    let mut state = State {
        session_ms: settings.session_timeout_ms,
        batch: -1,
        ..State::default()
    };
    let mut seen = None;
    for record in &log.records {
        if record.batch != state.batch {
            state.end_of_batch();
            (state.batch, state.batch_ms) = (record.batch, record.at_ms);
        }
        let last = state.events.last();
        let moved = coordinator_moved(&mut seen, record.leader_epoch, record.at_ms, last);
        state.events.extend(moved);
        state.take(record);
    }
    state.end_of_batch();
    let last = state.events.last();
    let at_ms = last.map_or(0, |event| event.at_ms);
    let moved = coordinator_moved(&mut seen, log.leader_epoch, at_ms, last);
    state.events.extend(moved);
    let targets = &state.targets;
    let members = state.members.values().map(|member| {
        let assignment = targets.get(&member.id).cloned();
        (name_of(member), assignment.unwrap_or_default())
    });
    Timeline {
        members: members.collect(),
        events: state.events,
        is_modern: true,
    }
}

impl State {
    fn take(&mut self, record: &GroupRecord) {
        match &record.fact {
            GroupFact::Commit {
                partition,
                offset: Some(_),
                at_ms,
            } => self.watch.commit(partition, *at_ms, &mut self.events),
            GroupFact::Member {
                id,
                member: Some(member),
            } => match self.members.insert(Arc::clone(id), member.clone()) {
                None => self.joined.push(member.clone()),
                Some(before) if before.subscribed != member.subscribed => {
                    self.changed.push(member.clone());
                }
                Some(_) => {}
            },
            GroupFact::Member { id, member: None } => {
                self.gone.extend(self.members.remove(id));
            }
            GroupFact::Epoch(Some(epoch)) => {
                self.epoch = *epoch;
                self.flush(record.at_ms, true);
            }
            GroupFact::Epoch(None) => {
                self.flush(record.at_ms, false);
                self.events.push(GroupEvent {
                    at_ms: record.at_ms,
                    generation: self.epoch,
                    causes: vec![Cause::Deleted],
                    ..GroupEvent::default()
                });
                self.is_known = true;
                self.epoch = 0;
            }
            GroupFact::Target { id, assignment } => match assignment {
                Some(assignment) => drop(self.targets.insert(Arc::clone(id), assignment.clone())),
                None => drop(self.targets.remove(id)),
            },
            GroupFact::TargetEpoch(_) => self.assigned(),
            GroupFact::Current { id, state } => {
                match state {
                    Some(state) => drop(self.current.insert(Arc::clone(id), *state)),
                    None => drop(self.current.remove(id)),
                }
                self.settled(record.at_ms);
            }
            GroupFact::Commit { .. } | GroupFact::Classic(_) | GroupFact::Other(_) => {}
        }
    }

    /// A static member that comes back needs no new epoch.
    fn end_of_batch(&mut self) {
        if !self.joined.is_empty() && self.is_known {
            self.flush(self.batch_ms, false);
        }
    }

    /// Makes an event of the members that changed.
    fn flush(&mut self, at_ms: i64, is_epoch: bool) {
        let (joined, gone) = (
            std::mem::take(&mut self.joined),
            std::mem::take(&mut self.gone),
        );
        let changed = std::mem::take(&mut self.changed);
        let mut event = GroupEvent {
            at_ms,
            generation: self.epoch,
            members: self.members.len(),
            ..GroupEvent::default()
        };
        if is_epoch && !self.is_known && self.epoch > 1 {
            self.is_known = true;
            event.causes.push(Cause::Known);
            return self.events.push(event);
        }
        self.is_known |= is_epoch;
        let is_same = |a: &LoggedMember, b: &LoggedMember| {
            a.instance_id.is_some() && a.instance_id == b.instance_id
        };
        let (back, new): (Vec<_>, Vec<_>) = joined
            .into_iter()
            .partition(|m| gone.iter().any(|old| is_same(old, m)));
        let names = |members: &[LoggedMember]| members.iter().map(name_of).collect::<Vec<_>>();
        if !new.is_empty() {
            event.causes.push(Cause::Joined {
                members: names(&new),
            });
        }
        self.went(&gone, &back, &mut event);
        if !back.is_empty() {
            event.causes.push(Cause::StaticRestart {
                members: names(&back),
            });
        }
        if !changed.is_empty() {
            event.causes.push(Cause::Subscription {
                members: names(&changed),
            });
        }
        if is_epoch || !event.causes.is_empty() {
            self.events.push(event);
        }
    }

    fn went(&mut self, gone: &[LoggedMember], back: &[LoggedMember], event: &mut GroupEvent) {
        let (mut left, mut failed, mut unknown) = (vec![], vec![], vec![]);
        for member in gone {
            let is_back = member.instance_id.is_some()
                && back.iter().any(|m| m.instance_id == member.instance_id);
            if is_back {
                continue;
            }
            let session_ms = member.session_timeout_ms.unwrap_or(self.session_ms);
            let (went, evidence) = self.watch.went(&member.id, session_ms, event.at_ms);
            let told = evidence.map(|text| format!("{}: {text}", name_of(member)));
            event.evidence.extend(told);
            match went {
                Went::Left => left.push(name_of(member)),
                Went::Failed => failed.push(name_of(member)),
                Went::Unknown => unknown.push(name_of(member)),
            }
            self.watch.forget(&member.id);
        }
        if !left.is_empty() {
            event.causes.push(Cause::Left { members: left });
        }
        if !failed.is_empty() {
            event.causes.push(Cause::Failed { members: failed });
        }
        if !unknown.is_empty() {
            event.causes.push(Cause::Gone { members: unknown });
        }
    }

    /// The assignment for the newest epoch is made.
    fn assigned(&mut self) {
        let none: &[TopicAssignment] = &[];
        let targets = &self.targets;
        let pairs = self.members.values();
        let pairs = pairs.map(|m| (m, targets.get(&m.id).map_or(none, |list| &list[..])));
        let now = owners(pairs);
        let grown = if self.assigned.is_empty() || now.is_empty() {
            Vec::new()
        } else {
            grown(&self.assigned, &now)
        };
        if let Some(event) = self.events.last_mut() {
            let is_first = event.causes.contains(&Cause::Known);
            if !is_first {
                event.moved = moves(&self.assigned, &now);
                event.causes.extend(grown);
            }
        }
        let owners = now
            .iter()
            .map(|(key, (id, _))| (key.clone(), Arc::clone(id)));
        self.watch.owners = owners.collect();
        self.assigned = now;
    }

    /// Whether everybody has gone over to the newest epoch.
    fn settled(&mut self, at_ms: i64) {
        let epoch = self.epoch;
        let current = &self.current;
        let is_there = |id| match current.get(id) {
            Some((at, is_stable)) => *at == AWAY_EPOCH || (*at == epoch && *is_stable),
            None => false,
        };
        let all = self.members.keys().all(is_there);
        if let Some(event) = self.events.last_mut()
            && all
            && event.generation == epoch
            && event.still_ms.is_none()
            && !event.causes.contains(&Cause::Known)
            && event.members > 0
        {
            event.still_ms = Some((at_ms - event.at_ms).max(0));
        }
    }
}
