//! What to send next, from what is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{
    Assignment, ClusterMetadata, ClusterSnapshot, ConfigResource, Fault, FaultKind, Partition,
    TopicPartition,
};
use crate::ops::{AlterConfigs, reassign};

use super::{Brake, Move, MoveState, Run, STARTS_MAX, ThrottlesSet, Wish, throttle};

/// So many looks a throttle may be refused: what was allowed a moment ago may be seen late.
const LOOKS_REFUSED: u32 = 3;

/// So many looks a broker may take to be asked: it may be starting.
const LOOKS_SILENT: u32 = 90;

/// So many looks a broker has to learn that a move has ended.
const LOOKS_BEHIND: u32 = 5;

/// The cluster as it is: metadata, running reassignments and settings of topics have to be known.
#[derive(Debug)]
pub struct View<'a> {
    pub snapshot: &'a ClusterSnapshot,
    pub throttles: &'a ThrottlesSet,
}

/// One thing to send.
#[derive(Clone, Debug, PartialEq)]
pub enum Todo {
    /// Sets or removes throttles.
    Alter(AlterConfigs),
    Start(Assignment),
    Cancel(Vec<TopicPartition>),
    /// Lets the first replicas of these lead.
    Elect(Vec<TopicPartition>),
}

/// How the cluster resists what is to be done with throttles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Defiance {
    /// In a row.
    looks: u32,
    pub(super) why: Option<String>,
    is_refusal: bool,
}

impl Defiance {
    /// Counts a look; whether it is time to give up.
    fn outlasts(&mut self, is_as_wanted: bool, unread: Option<ConfigResource>) -> bool {
        if is_as_wanted {
            *self = Self::default();
            return false;
        }
        self.looks += 1;
        if let Some(resource) = unread {
            self.why
                .get_or_insert_with(|| format!("the configuration of {resource} can't be read"));
        }
        let most = if self.is_refusal {
            LOOKS_REFUSED
        } else {
            LOOKS_SILENT
        };
        self.looks > most
    }
}

/// Partitions named in a reason.
const NAMED_MAX: usize = 3;

impl Run {
    /// Compares with the cluster, notes how far it is, and says what to send next: in this order,
    /// after the run was saved. Empty and not over: it has to wait.
    pub fn decide(&mut self, view: &View<'_>) -> Vec<Todo> {
        let Some(metadata) = view.snapshot.metadata.get() else {
            return Vec::new();
        };
        let Some(running) = view.snapshot.reassignments.get() else {
            return Vec::new();
        };
        let wish = self.orders.wish;
        for one in self.moves.iter_mut().filter(|one| !one.state.is_final()) {
            let key = one.key();
            let topic = metadata.topic(&key.topic);
            let partition = topic.and_then(|topic| topic.partition(key.partition));
            one.look(
                partition,
                running.get(&key).map(|ongoing| ongoing.target()),
                wish,
            );
        }
        self.brake = self.judge(view.snapshot, metadata);
        self.note_obstacles(metadata);
        let mut todos = Vec::new();
        let mut is_active = self.is_active();
        let mut is_ready = true;
        if let Some(rate) = self.rate().filter(|_| is_active) {
            let open = self.moves.iter().filter(|one| !one.state.is_final());
            let lives = |id: i32| metadata.broker(id).is_some_and(|b| b.fenced != Some(true));
            let missing = throttle::set(open, rate, view.throttles, &mut self.ours, lives);
            is_ready = missing.is_nothing();
            if let Some(ConfigResource::Broker(id)) = missing.unread
                && let Some(fault) = view.throttles.faults.get(&id)
            {
                self.note_defiance(fault);
            }
            if self.defiance.outlasts(is_ready, missing.unread) {
                self.give_up_waiting();
                is_active = self.is_active();
            }
            todos.extend(missing.alters.into_iter().map(Todo::Alter));
        }
        if self.rate().is_none() || !is_active {
            let exists = |topic: &str| metadata.topic(topic).is_some();
            let alters = throttle::clear(view.throttles, &mut self.ours, exists);
            todos.clear();
            // What can't be removed is named at the end, and the janitor finds it.
            if !self.defiance.outlasts(alters.is_empty(), None) {
                todos.extend(alters.into_iter().map(Todo::Alter));
            }
            is_ready = true;
        }
        match wish {
            Wish::Run if is_ready => todos.extend(self.start()),
            Wish::Cancel => todos.extend(self.go_back(metadata, view.snapshot)),
            Wish::Run | Wish::Pause => {}
        }
        if !is_active && todos.is_empty() {
            todos.extend(self.end(metadata));
        }
        todos
    }

    /// Notes what the moves on their way can't go on without.
    fn note_obstacles(&mut self, metadata: &ClusterMetadata) {
        let is_down = |id: &i32| {
            let broker = metadata.broker(*id);
            broker.is_none_or(|broker| broker.fenced == Some(true))
        };
        let moving = || {
            let moves = self.moves.iter();
            moves.filter(|one| one.state == MoveState::Moving)
        };
        let down: BTreeSet<i32> = moving().flat_map(Move::adding).filter(is_down).collect();
        let is_leaderless = |one: &&Move| {
            let topic = metadata.topic(&one.topic);
            let partition = topic.and_then(|topic| topic.partition(one.partition));
            one.adding().next().is_some() && partition.is_some_and(|p| !p.has_leader())
        };
        let leaderless = moving().filter(is_leaderless).count();
        (self.waits_for, self.leaderless) = (down.into_iter().collect(), leaderless);
    }

    /// Whether something is on its way or may begin.
    fn is_active(&self) -> bool {
        let counts = self.counts();
        counts.moving > 0 || (counts.waiting > 0 && self.orders.wish == Wish::Run)
    }

    /// Begins nothing that waits: its throttle can't be set. What is on its way arrives.
    fn give_up_waiting(&mut self) {
        let why = self.defiance.why.take();
        let why = why.unwrap_or_else(|| "the cluster does not take it".to_owned());
        self.defiance = Defiance::default();
        let waiting = self.moves.iter_mut();
        for one in waiting.filter(|one| one.state == MoveState::Waiting) {
            one.skip(format!("its throttle can't be set: {why}"));
        }
    }

    /// Notes what the cluster said to a throttle that was to be set or removed.
    pub(super) fn note_defiance(&mut self, fault: &Fault) {
        self.defiance.is_refusal |= matches!(
            fault.kind,
            FaultKind::Refused | FaultKind::Unsupported | FaultKind::NotFound
        );
        self.defiance.why = Some(match &fault.hint {
            Some(hint) => format!("{fault} ({hint})"),
            None => fault.to_string(),
        });
    }

    /// Bytes per second as they are wanted now.
    fn rate(&self) -> Option<i64> {
        let rate = self.orders.throttle?;
        Some(match self.brake {
            Brake::Free => rate,
            Brake::Slow(_) | Brake::Stopped(_) => (rate / 2).max(1),
        })
    }

    /// Begins as many as there is room for.
    fn start(&mut self) -> Option<Todo> {
        let batch = match self.brake {
            Brake::Free => self.orders.batch,
            Brake::Slow(_) => (self.orders.batch / 2).max(1),
            Brake::Stopped(_) => return None,
        };
        let room = batch.saturating_sub(self.counts().moving);
        let mut started = Assignment::new();
        let waiting = self
            .moves
            .iter_mut()
            .filter(|one| one.state == MoveState::Waiting);
        for one in waiting.take(room) {
            if one.starts >= STARTS_MAX {
                one.state = MoveState::Skipped;
                one.note
                    .get_or_insert_with(|| "it did not begin".to_owned());
                continue;
            }
            one.starts += 1;
            one.state = MoveState::Moving;
            started.insert(one.key(), one.to.clone());
        }
        (!started.is_empty()).then_some(Todo::Start(started))
    }

    /// Cancels what is on its way, except where that would lose records.
    fn go_back(&mut self, metadata: &ClusterMetadata, snapshot: &ClusterSnapshot) -> Option<Todo> {
        let running = snapshot.reassignments.get()?;
        let mut keys = Vec::new();
        for one in self
            .moves
            .iter_mut()
            .filter(|one| one.state == MoveState::Moving)
        {
            let key = one.key();
            let topic = metadata.topic(&key.topic);
            let partition = topic.and_then(|topic| topic.partition(key.partition));
            let (Some(partition), Some(ongoing)) = (partition, running.get(&key)) else {
                continue;
            };
            if ongoing.cancel_is_unclean(partition) {
                let why = "no replica of before is in sync: going back would lose records";
                one.note = Some(why.to_owned());
            } else {
                one.note = None;
                keys.push(key);
            }
        }
        (!keys.is_empty()).then_some(Todo::Cancel(keys))
    }

    /// Everything has arrived: lets those lead that shall, once, and ends.
    fn end(&mut self, metadata: &ClusterMetadata) -> Option<Todo> {
        if self.counts().waiting > 0 {
            return None;
        }
        if !self.is_elected {
            self.is_elected = true;
            let done = self.moves.iter().filter(|one| one.state == MoveState::Done);
            let wrong = |one: &&Move| {
                let topic = metadata.topic(&one.topic);
                let partition = topic.and_then(|topic| topic.partition(one.partition));
                partition.is_some_and(|partition| {
                    let first = one.to.first();
                    first != one.from.first()
                        && first != Some(&partition.leader)
                        && first.is_some_and(|id| partition.isr.contains(id))
                })
            };
            let keys: Vec<TopicPartition> = done.filter(wrong).map(Move::key).collect();
            if !keys.is_empty() {
                return Some(Todo::Elect(keys));
            }
        }
        self.is_over = true;
        None
    }

    /// What to wait for before more is moved. A partition that misses a replica on a broker that
    /// is gone, and that this run moves, is not waited for: the move mends it. Neither is one whose
    /// replicas are all gone: nothing that is copied can push it further.
    fn judge(&self, snapshot: &ClusterSnapshot, metadata: &ClusterMetadata) -> Brake {
        let Some(settings) = snapshot.settings.get() else {
            return Brake::Free;
        };
        let mended: BTreeSet<TopicPartition> = self
            .moves
            .iter()
            .filter(|one| !one.state.is_final())
            .map(Move::key)
            .collect();
        let (mut at, mut under) = (Vec::new(), Vec::new());
        for topic in &metadata.topics {
            let min = settings
                .get(&topic.name)
                .and_then(|s| s.min_insync_replicas);
            let Some(min) = min.and_then(|min| usize::try_from(min).ok()) else {
                continue;
            };
            for partition in &topic.partitions {
                let in_sync = partition.isr.len();
                let key = TopicPartition {
                    topic: topic.name.clone(),
                    partition: partition.id,
                };
                if !lacks_one(partition)
                    || in_sync > min
                    || partition
                        .replicas
                        .iter()
                        .all(|id| is_gone(*id, partition, metadata))
                    || is_mended(partition, metadata, &mended, &key)
                {
                    continue;
                }
                if in_sync < min { &mut under } else { &mut at }.push(key);
            }
        }
        let told = |keys: &[TopicPartition], what: &str| {
            let names: Vec<String> = keys
                .iter()
                .take(NAMED_MAX)
                .map(ToString::to_string)
                .collect();
            let more = keys.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!("{}{more} {what} min.insync.replicas", names.join(", "))
        };
        if !under.is_empty() {
            Brake::Stopped(told(&under, "below"))
        } else if !at.is_empty() {
            Brake::Slow(told(&at, "at"))
        } else {
            Brake::Free
        }
    }
}

/// Whether a replica that is not just being added is out of sync.
fn lacks_one(partition: &Partition) -> bool {
    let mut wanted = partition
        .replicas
        .iter()
        .filter(|id| !partition.adding.contains(id));
    wanted.any(|id| !partition.isr.contains(id))
}

fn is_mended(
    partition: &Partition,
    metadata: &ClusterMetadata,
    mended: &BTreeSet<TopicPartition>,
    key: &TopicPartition,
) -> bool {
    let mut replicas = partition.replicas.iter();
    mended.contains(key) && replicas.any(|id| is_gone(*id, partition, metadata))
}

/// Whether the broker is down, or has lost the disk of this replica.
fn is_gone(id: i32, partition: &Partition, metadata: &ClusterMetadata) -> bool {
    let broker = metadata.broker(id);
    broker.is_none_or(|broker| broker.fenced == Some(true)) || partition.offline.contains(&id)
}

impl Move {
    /// Notes how far it is; `target` is that of a reassignment that runs.
    fn look(&mut self, partition: Option<&Partition>, target: Option<Vec<i32>>, wish: Wish) {
        let Some(partition) = partition else {
            return self.skip("the partition is gone".to_owned());
        };
        if let Some(target) = target {
            if target == self.to {
                self.state = MoveState::Moving;
                self.seen = true;
                self.behind = 0;
            } else {
                self.skip(format!("somebody else moves it to {target:?}"));
            }
            return;
        }
        let now = reassign::settled(partition);
        if now == self.to {
            self.state = MoveState::Done;
        } else if wish != Wish::Cancel && self.may_be_behind(&now) {
            self.behind += 1;
        } else if now != self.from {
            self.skip(format!("it has the replicas {now:?} now"));
        } else if wish == Wish::Cancel {
            self.state = MoveState::Cancelled;
        } else if self.seen {
            self.skip("somebody cancelled it".to_owned());
        } else {
            // It was not begun: it may have been killed before it was sent.
            self.state = MoveState::Waiting;
        }
    }

    /// Whether a broker may tell these replicas only because it has not learned yet that the move
    /// has ended: the controller lists what runs, any broker tells the replicas.
    fn may_be_behind(&self, now: &[i32]) -> bool {
        let of_move = |id: &i32| self.from.contains(id) || self.to.contains(id);
        let is_between = now == self.from
            || (now.iter().all(of_move) && self.to.iter().all(|id| now.contains(id)));
        self.seen && is_between && self.behind < LOOKS_BEHIND
    }

    pub(super) fn skip(&mut self, why: String) {
        self.state = MoveState::Skipped;
        self.note = Some(why);
    }
}
