//! Groups of the new protocols: an epoch that goes up, an assignment made for it, and members that
//! go over to it one by one.
//!
//! Whether a member that appears has just joined is told in one of two ways. Where the log was read
//! from its first record and compaction has removed nothing from some record on, everything before
//! it is the state that the group had, and whoever appears from there on has joined. Where reading
//! began in the middle, only who goes over to an epoch from epoch 0 in the very batch of its own
//! record has joined: a heartbeat's records are in one batch. Of anybody else it is only known that
//! it was there, and nothing is claimed; nor are partitions counted whose owners were not seen.
//!
//! Kafka: GroupMetadataManager.consumerGroupHeartbeat, replaceMember, consumerGroupFenceMembers,
//! shareGroupHeartbeat, streamsGroupHeartbeat (4.3). The first epoch is 1 up to 4.2 and 2 in 4.3.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{
    GroupFact, GroupKind, GroupLog, GroupRecord, LoggedMember, LoggedReadiness, LoggedStage,
    LoggedState, LoggedTopology, TopicAssignment, TopicPartition,
};

use super::{
    Cause, GroupEvent, Owners, Timeline, TimelineSettings, Watch, Went, coordinator_moved, grown,
    moves, name_of, owners, readers,
};

/// The epoch that a static member has while it is away.
const AWAY_EPOCH: i32 = -2;

/// The record of a share group's positions.
const INITIALIZED: &str = "ShareGroupStatePartitionMetadata";

/// An assignor that a member has not chosen.
const OWN_CHOICE: &str = "the brokers' own";

#[derive(Default)]
struct State {
    events: Vec<GroupEvent>,
    /// The event that the assignment and the members' moves belong to.
    open: Option<usize>,
    watch: Watch,
    members: BTreeMap<Arc<str>, LoggedMember>,
    targets: BTreeMap<Arc<str>, Vec<TopicAssignment>>,
    current: BTreeMap<Arc<str>, LoggedState>,
    /// Since when members have had partitions to give up, or are away.
    revoking: BTreeMap<Arc<str>, i64>,
    away: BTreeMap<Arc<str>, i64>,
    /// What partitions were last assigned to, and all that ever were.
    assigned: Owners,
    ever: BTreeSet<TopicPartition>,
    epoch: i32,
    metadata_hash: i64,
    /// Records before it are what compaction left: a state without a history.
    history_from: i64,
    /// Whether nothing of the group's state is missing.
    is_complete: bool,
    /// Whether an event was told, or nothing came before: else the first epoch is only known.
    is_known: bool,
    /// Records of members that joined with them, where the state is not complete.
    proven: BTreeSet<i64>,
    /// Changes of members that belong to the epoch that comes.
    joined: Vec<LoggedMember>,
    gone: Vec<LoggedMember>,
    changed: Vec<LoggedMember>,
    assignors: Vec<Cause>,
    /// What most members want the brokers to assign with, where it is known.
    assignor: Option<String>,
    is_initialized: bool,
    /// What patterns fit, and what the coming epoch has new of that.
    patterns: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    fitting: Vec<Cause>,
    topology: Option<Box<LoggedTopology>>,
    is_other_topology: bool,
    readiness: Option<Box<LoggedReadiness>>,
    /// When members did something themselves that a record tells.
    heard: HashMap<Arc<str>, i64>,
    /// Who was there when the group ended.
    converted: Vec<(String, Vec<TopicAssignment>)>,
    goings: BTreeMap<String, (Went, Option<String>)>,
    /// The last epoch that compaction left, and when it was written.
    left_over: Option<i64>,
    batch: i64,
    batch_ms: i64,
    session_ms: i64,
    is_session_known: bool,
    is_share: bool,
}

pub(super) fn timeline(log: &GroupLog, settings: &TimelineSettings) -> Timeline {
    let is_complete = log.reach.is_from_the_first();
    let mut state = State {
        session_ms: settings.session_ms(),
        is_session_known: settings.session_timeout_ms.is_some(),
        is_share: settings.kind == Some(GroupKind::Share),
        batch: -1,
        history_from: log.reach.gapless_from,
        is_complete,
        is_known: is_complete && log.reach.gapless_from == 0,
        proven: proven(&log.records),
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
        if record.offset >= state.history_from {
            state.end_of_left_over();
            state.take(record);
        } else {
            state.take_left_over(record);
        }
    }
    state.end_of_batch();
    state.end_of_left_over();
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
        members: members.chain(state.converted).collect(),
        events: state.events,
        is_modern: true,
        goings: state.goings,
    }
}

/// The records of members that came from epoch 0 in their own batch.
fn proven(records: &[GroupRecord]) -> BTreeSet<i64> {
    let mut from_zero: BTreeMap<&Arc<str>, i64> = BTreeMap::new();
    let mut proven = BTreeSet::new();
    for record in records.iter().rev() {
        match &record.fact {
            GroupFact::Current { id, state } => {
                match state {
                    Some(state) if state.previous_epoch == 0 => {
                        from_zero.insert(id, record.batch);
                    }
                    _ => drop(from_zero.remove(id)),
                };
            }
            GroupFact::Member {
                id,
                member: Some(_),
            } if from_zero.get(id) == Some(&record.batch) => {
                proven.insert(record.offset);
            }
            _ => {}
        }
    }
    proven
}

impl State {
    /// A record that others around it may be missing of.
    fn take_left_over(&mut self, record: &GroupRecord) {
        match &record.fact {
            GroupFact::Commit {
                partition,
                offset: Some(_),
                at_ms,
            } => self.watch.commit(partition, *at_ms, &mut []),
            GroupFact::Member { id, member } => match member {
                Some(member) => drop(self.members.insert(Arc::clone(id), member.clone())),
                None => drop(self.members.remove(id)),
            },
            GroupFact::Epoch {
                epoch: Some(epoch),
                metadata_hash,
                readiness,
            } => {
                (self.epoch, self.metadata_hash) = (*epoch, *metadata_hash);
                self.readiness.clone_from(readiness);
                self.left_over = Some(record.at_ms);
            }
            GroupFact::Topology(topology) => self.topology.clone_from(topology),
            GroupFact::Pattern {
                pattern,
                topics: Some(topics),
            } => drop(self.patterns.insert(Arc::clone(pattern), topics.clone())),
            GroupFact::Pattern {
                pattern,
                topics: None,
            } => drop(self.patterns.remove(pattern)),
            GroupFact::Epoch { epoch: None, .. } => self.left_over = None,
            GroupFact::Target { id, assignment } => self.target(id, assignment.as_ref()),
            GroupFact::Current { id, state } => self.state_of(id, *state, record.at_ms),
            GroupFact::Commit { .. }
            | GroupFact::TargetEpoch(_)
            | GroupFact::Classic(_)
            | GroupFact::Other(_) => {}
        }
    }

    /// What compaction left is how the group was from then on.
    fn end_of_left_over(&mut self) {
        let Some(at_ms) = self.left_over.take() else {
            return;
        };
        self.is_known = true;
        self.assignor = preferred(&self.members);
        self.events.push(GroupEvent {
            at_ms,
            generation: self.epoch,
            members: self.members.len(),
            causes: vec![Cause::Known],
            ..GroupEvent::default()
        });
        self.assigned();
    }

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
            } => self.member(id, member, record.offset),
            GroupFact::Member { id, member: None } => {
                let unseen = || LoggedMember {
                    id: Arc::clone(id),
                    ..LoggedMember::default()
                };
                let gone = self.members.remove(id);
                self.gone.push(gone.unwrap_or_else(unseen));
            }
            GroupFact::Epoch {
                epoch: Some(epoch),
                metadata_hash,
                readiness,
            } => {
                self.epoch = *epoch;
                let before = std::mem::replace(&mut self.metadata_hash, *metadata_hash);
                let is_other = before != 0 && *metadata_hash != 0 && before != *metadata_hash;
                let was_ready = std::mem::replace(&mut self.readiness, readiness.clone());
                self.flush(record.at_ms, true, is_other);
                self.readiness_changed(was_ready.as_deref());
            }
            GroupFact::Topology(topology) => {
                let before = std::mem::replace(&mut self.topology, topology.clone());
                let epochs = (before.map(|t| t.epoch), topology.as_ref().map(|t| t.epoch));
                self.is_other_topology |= matches!(epochs, (Some(a), Some(b)) if a != b);
            }
            GroupFact::Pattern { pattern, topics } => self.pattern(pattern, topics.as_ref()),
            GroupFact::Epoch { epoch: None, .. } => self.deleted(record.at_ms),
            GroupFact::Target { id, assignment } => self.target(id, assignment.as_ref()),
            GroupFact::TargetEpoch(_) => self.assigned(),
            GroupFact::Current { id, state } => {
                self.state_of(id, *state, record.at_ms);
                if state.is_some() {
                    // Only its own heartbeat makes this record.
                    self.heard.insert(Arc::clone(id), record.at_ms);
                }
                self.settled(record.at_ms);
            }
            GroupFact::Other(kind) => self.is_initialized |= *kind == INITIALIZED,
            GroupFact::Commit { .. } | GroupFact::Classic(_) => {}
        }
    }

    fn pattern(&mut self, pattern: &Arc<str>, topics: Option<&Vec<Arc<str>>>) {
        let Some(topics) = topics else {
            self.patterns.remove(pattern);
            return;
        };
        let before = self.patterns.insert(Arc::clone(pattern), topics.clone());
        // What it fitted before is only known where it was read.
        let before = match before {
            Some(before) => before,
            None if self.is_complete => Vec::new(),
            None => return,
        };
        let without = |a: &[Arc<str>], b: &[Arc<str>]| -> Vec<String> {
            let only = a.iter().filter(|topic| !b.contains(topic));
            only.map(|topic| topic.to_string()).collect()
        };
        let (came, went) = (without(topics, &before), without(&before, topics));
        if !came.is_empty() || !went.is_empty() {
            self.fitting.push(Cause::Pattern {
                pattern: pattern.to_string(),
                came,
                went,
            });
        }
    }

    /// What the record of an epoch says of the application, added to the event that it made.
    fn readiness_changed(&mut self, before: Option<&LoggedReadiness>) {
        let is_other = std::mem::take(&mut self.is_other_topology);
        let Some(event) = self.open.and_then(|at| self.events.get_mut(at)) else {
            return;
        };
        let mut causes = Vec::new();
        if let Some(topology) = self.topology.as_ref().filter(|_| is_other) {
            let epoch = topology.epoch;
            causes.push(Cause::Topology { epoch });
        }
        if let Some(now) = self.readiness.as_deref() {
            let was_ready = before.map(|before| before.validated >= 0);
            match (was_ready, now.validated >= 0) {
                (Some(true) | None, false) => causes.push(Cause::NotReady),
                (Some(false), true) => causes.push(Cause::Ready),
                _ => {}
            }
            if before.is_some_and(|before| before.settings != now.settings) {
                let settings = now.settings.clone();
                causes.push(Cause::Settings { settings });
            }
        }
        if !causes.is_empty() && event.causes != [Cause::Known] {
            // Then it is known what of the topics changed.
            event.causes.retain(|cause| *cause != Cause::Metadata);
            event.causes.append(&mut causes);
        }
    }

    fn member(&mut self, id: &Arc<str>, member: &LoggedMember, offset: i64) {
        self.heard.insert(Arc::clone(id), self.batch_ms);
        let Some(before) = self.members.insert(Arc::clone(id), member.clone()) else {
            if self.is_complete || self.proven.contains(&offset) {
                self.joined.push(member.clone());
            }
            return;
        };
        if before.subscribed != member.subscribed || before.pattern != member.pattern {
            self.changed.push(member.clone());
        }
        if before.assignor != member.assignor {
            let name = |member: &LoggedMember| {
                let chosen = member.assignor.as_deref();
                chosen.unwrap_or(OWN_CHOICE).to_owned()
            };
            self.assignors.push(Cause::Assignor {
                from: name(&before),
                to: name(member),
            });
            self.assignor = preferred(&self.members).or(self.assignor.take());
        }
    }

    fn target(&mut self, id: &Arc<str>, assignment: Option<&Vec<TopicAssignment>>) {
        match assignment {
            Some(assignment) => drop(self.targets.insert(Arc::clone(id), assignment.clone())),
            None => drop(self.targets.remove(id)),
        }
    }

    fn state_of(&mut self, id: &Arc<str>, state: Option<LoggedState>, at_ms: i64) {
        let is_away = state.is_some_and(|state| state.epoch == AWAY_EPOCH);
        let is_revoking = state.is_some_and(|state| state.stage == LoggedStage::Revoking);
        // What its end is told from outlives the record that ends it.
        if state.is_some() {
            for (since, is_so) in [(&mut self.away, is_away), (&mut self.revoking, is_revoking)] {
                if is_so {
                    since.entry(Arc::clone(id)).or_insert(at_ms);
                } else {
                    since.remove(id);
                }
            }
        }
        match state {
            Some(state) => drop(self.current.insert(Arc::clone(id), state)),
            None => drop(self.current.remove(id)),
        }
    }

    fn deleted(&mut self, at_ms: i64) {
        // Only an empty group is deleted: who goes with it goes over to the classic protocol.
        let gone = std::mem::take(&mut self.gone);
        self.goings = (gone.iter())
            .map(|member| (name_of(member), self.silence(member, at_ms)))
            .collect();
        let names = gone.iter().map(|member| (name_of(member), Vec::new()));
        self.converted = names.collect();
        self.flush(at_ms, false, false);
        self.events.push(GroupEvent {
            at_ms,
            generation: self.epoch,
            causes: vec![Cause::Deleted],
            ..GroupEvent::default()
        });
        // Nothing is left of it, so what comes is known from its beginning.
        (self.is_known, self.is_complete) = (true, true);
        (self.epoch, self.metadata_hash, self.open) = (0, 0, None);
        (self.assignor, self.topology, self.readiness) = (None, None, None);
        self.patterns.clear();
        self.heard.clear();
        self.members.clear();
        self.targets.clear();
        self.current.clear();
        self.assigned.clear();
    }

    /// A static member that comes back needs no new epoch.
    fn end_of_batch(&mut self) {
        if !self.joined.is_empty() || !self.assignors.is_empty() {
            self.flush(self.batch_ms, false, false);
        }
    }

    /// Makes an event of the members that changed.
    fn flush(&mut self, at_ms: i64, is_epoch: bool, is_other_metadata: bool) {
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
        // Of one that was not seen before nothing but its id is known: then it was that one.
        let replaces = |old: &LoggedMember, new: &LoggedMember| {
            new.instance_id.is_some()
                && (old.instance_id == new.instance_id || (is_unseen(old) && !is_epoch))
        };
        let (back, new): (Vec<_>, Vec<_>) = joined
            .into_iter()
            .partition(|new| gone.iter().any(|old| replaces(old, new)));
        let mut really_gone = Vec::new();
        for old in gone {
            let Some(new) = back.iter().find(|new| replaces(&old, new)) else {
                really_gone.push(old);
                continue;
            };
            if let Some(since_ms) = self.away.remove(&old.id) {
                let seconds = (at_ms - since_ms).max(0) as f64 / 1e3;
                let told = format!("{}: it was away for {seconds:.1} s", name_of(new));
                event.evidence.push(told);
            }
        }
        let names = |members: &[LoggedMember]| members.iter().map(name_of).collect::<Vec<_>>();
        let mut add = |members: &[LoggedMember], cause: fn(Vec<String>) -> Cause| {
            if !members.is_empty() {
                event.causes.push(cause(names(members)));
            }
        };
        add(&new, |members| Cause::Joined { members });
        self.went(&really_gone, &mut event);
        let mut add = |members: &[LoggedMember], cause: fn(Vec<String>) -> Cause| {
            if !members.is_empty() {
                event.causes.push(cause(names(members)));
            }
        };
        add(&back, |members| Cause::StaticRestart { members });
        add(&changed, |members| Cause::Subscription { members });
        event.causes.append(&mut self.assignors);
        if is_epoch {
            event.causes.append(&mut self.fitting);
            self.other_assignor(&mut event);
        }
        if event.causes.is_empty() && is_epoch {
            if !self.is_known {
                event.causes.push(Cause::Known);
            } else if self.is_initialized {
                event.causes.push(Cause::Initialized);
            } else if is_other_metadata {
                event.causes.push(Cause::Metadata);
            }
        }
        self.is_initialized &= !is_epoch;
        self.is_known |= is_epoch;
        if is_epoch {
            self.converted.clear();
        }
        if is_epoch || !event.causes.is_empty() {
            self.open = Some(self.events.len());
            self.events.push(event);
        }
    }

    /// Members choose what the brokers assign with, by majority; who comes and goes may change it.
    fn other_assignor(&mut self, event: &mut GroupEvent) {
        if self.members.is_empty() {
            return;
        }
        let Some(to) = preferred(&self.members) else {
            return;
        };
        if let Some(from) = self.assignor.replace(to.clone())
            && from != to
        {
            let other = Cause::Assignor { from, to };
            if !event.causes.contains(&other) {
                event.causes.push(other);
            }
        }
    }

    fn went(&mut self, gone: &[LoggedMember], event: &mut GroupEvent) {
        let (mut left, mut failed, mut fenced, mut unknown) = (vec![], vec![], vec![], vec![]);
        for member in gone {
            let name = name_of(member);
            let revoking = self.revoking.remove(&member.id);
            let stuck_ms = revoking.map(|since| event.at_ms - since);
            if let Some(since_ms) = self.away.remove(&member.id) {
                let seconds = (event.at_ms - since_ms).max(0) as f64 / 1e3;
                event.evidence.push(format!(
                    "{name}: it went as a static member {seconds:.1} s before and did not come back"
                ));
                left.push(name);
            } else if let (Some(stuck_ms), Some(timeout_ms)) =
                (stuck_ms, member.rebalance_timeout_ms)
                && stuck_ms >= timeout_ms
            {
                event.evidence.push(format!(
                    "{name}: it kept partitions that it had to give up for {:.1} s, its rebalance \
                     time-out is {:.1} s",
                    stuck_ms as f64 / 1e3,
                    timeout_ms as f64 / 1e3
                ));
                fenced.push(name);
            } else {
                let (went, evidence) = self.silence(member, event.at_ms);
                let told = evidence.map(|text| format!("{name}: {text}"));
                event.evidence.extend(told);
                match went {
                    Went::Left => left.push(name),
                    Went::Failed => failed.push(name),
                    Went::Unknown => unknown.push(name),
                }
            }
            self.watch.forget(&member.id);
            self.heard.remove(&member.id);
        }
        let mut add = |members: Vec<String>, cause: fn(Vec<String>) -> Cause| {
            if !members.is_empty() {
                event.causes.push(cause(members));
            }
        };
        add(left, |members| Cause::Left { members });
        add(failed, |members| Cause::Failed { members });
        add(fenced, |members| Cause::Fenced { members });
        add(unknown, |members| Cause::Gone { members });
    }

    /// Whether a member that is gone left or failed, as far as it can be told.
    fn silence(&self, member: &LoggedMember, at_ms: i64) -> (Went, Option<String>) {
        let session_ms = member.session_timeout_ms.unwrap_or(self.session_ms);
        let is_sure = self.is_session_known || member.session_timeout_ms.is_some();
        let heard_ms = self.heard.get(&member.id).copied();
        self.watch
            .went(&member.id, session_ms, at_ms, heard_ms, is_sure)
    }

    /// The assignment for the newest epoch is made.
    fn assigned(&mut self) {
        // Also of members whose own record was not read.
        let unseen: Vec<LoggedMember> = self
            .targets
            .keys()
            .filter(|id| !self.members.contains_key(*id))
            .map(|id| LoggedMember {
                id: Arc::clone(id),
                ..LoggedMember::default()
            })
            .collect();
        let all = self.members.values().chain(&unseen);
        let pairs = all.map(|member| (member, self.targets.get(&member.id)));
        let now = owners(pairs.map(|(m, list)| (m, list.map_or(&[][..], Vec::as_slice))));
        let is_complete = self.is_complete;
        if let Some(event) = self.open.and_then(|at| self.events.get_mut(at))
            && !event.causes.contains(&Cause::Known)
        {
            // An owner that was not read is not nobody.
            let mut moved = moves(&self.assigned, &now);
            moved.retain(|moved| {
                let key = TopicPartition::new(&moved.topic, moved.partition);
                is_complete || self.ever.contains(&key)
            });
            event.moved = moved;
            if is_complete && !self.assigned.is_empty() && !now.is_empty() {
                let grown = grown(&self.assigned, &now);
                if !grown.is_empty() {
                    event.causes.retain(|cause| *cause != Cause::Metadata);
                }
                let topology = self.topology.as_deref();
                let grown = grown.into_iter().map(|cause| of_topics(cause, topology));
                event.causes.extend(grown);
            }
        }
        self.watch.owners = self.readers(&now);
        self.ever.extend(now.keys().cloned());
        self.assigned = now;
    }

    /// Who commits for which partition. A task of a streams group reads that partition of every
    /// topic of its part; a share group commits nothing.
    fn readers(&self, owned: &Owners) -> HashMap<TopicPartition, Arc<str>> {
        if self.is_share {
            return HashMap::new();
        }
        let all = readers(owned).map(|(key, id)| (key.clone(), Arc::clone(id)));
        let Some(topology) = &self.topology else {
            return all.collect();
        };
        let parts: HashMap<&str, &Vec<Arc<str>>> = (topology.parts.iter())
            .map(|(part, reads)| (&**part, reads))
            .collect();
        let of_task = |(key, id): (TopicPartition, Arc<str>)| {
            let reads = parts.get(&*key.topic).copied().into_iter().flatten();
            let one = move |topic: &Arc<str>| {
                (
                    TopicPartition::new(&**topic, key.partition),
                    Arc::clone(&id),
                )
            };
            reads.map(one).collect::<Vec<_>>()
        };
        all.flat_map(of_task).collect()
    }

    /// Whether everybody has gone over to the newest epoch.
    fn settled(&mut self, at_ms: i64) {
        let epoch = self.epoch;
        let current = &self.current;
        let is_there = |id| match current.get(id) {
            Some(state) => {
                let is_stable = state.stage == LoggedStage::Stable;
                state.epoch == AWAY_EPOCH || (state.epoch == epoch && is_stable)
            }
            None => false,
        };
        let all = self.members.keys().all(is_there);
        if let Some(event) = self.open.and_then(|at| self.events.get_mut(at))
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

/// The assignor that most members ask for; `None` where there are as many for another one.
fn preferred(members: &BTreeMap<Arc<str>, LoggedMember>) -> Option<String> {
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for assignor in members
        .values()
        .filter_map(|member| member.assignor.as_deref())
    {
        *votes.entry(assignor).or_default() += 1;
    }
    let most = votes.values().copied().max();
    let mut first = votes.into_iter().filter(|(_, n)| Some(*n) == most);
    match (first.next(), first.next()) {
        (None, _) => Some(OWN_CHOICE.to_owned()),
        (Some((assignor, _)), None) => Some(assignor.to_owned()),
        (Some(_), Some(_)) => None,
    }
}

/// Of tasks of a streams group that there are more of: which topic it was.
fn of_topics(cause: Cause, topology: Option<&LoggedTopology>) -> Cause {
    let Cause::TopicGrew { topic, from, to } = cause else {
        return cause;
    };
    let mut parts = topology.into_iter().flat_map(|topology| &topology.parts);
    let reads = parts.find(|(part, _)| **part == *topic);
    let names = reads.map(|(_, reads)| reads.iter().map(ToString::to_string).collect());
    let names: Vec<String> = names.unwrap_or_default();
    // Of several it was at least one.
    let topic = if names.is_empty() {
        topic
    } else {
        names.join(" or ")
    };
    Cause::TopicGrew { topic, from, to }
}

/// Whether only the id of a member is known, because its record was not read.
fn is_unseen(member: &LoggedMember) -> bool {
    member.client_id.is_empty() && member.instance_id.is_none()
}
