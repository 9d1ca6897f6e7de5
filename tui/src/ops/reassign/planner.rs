//! Proposes new replicas with as little movement as the request allows.
//!
//! Draining replaces exactly the replicas on the drained brokers. Balancing first replaces those
//! outside the wanted brokers, then moves one replica at a time from the fullest to the emptiest
//! broker until counts differ by at most one or nothing may move, exchanges replicas while that
//! copies fewer bytes, and at last hands on the first places, which copies nothing, until the
//! preferred leaders are as even. Adding brokers is the
//! same with only the new ones receiving. Another number of replicas adds or drops just those.
//!
//! It may take seconds where there are a hundred thousand partitions, so whoever asks can say that
//! the answer is not wanted any more.

mod cheaper;
mod even;
mod generate;
mod leaders;
mod replication;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::derive::leader_size;
use crate::model::{
    Assignment, Broker, ClusterMetadata, Fault, LogDirs, Partition, Topic, TopicPartition,
};

/// What shall change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// These partitions get these replicas.
    Explicit(Assignment),
    /// No replica stays on these brokers.
    Drain {
        brokers: Vec<i32>,
        /// Who may receive replicas; `None`: every other live broker.
        to: Option<Vec<i32>>,
        /// `None`: every topic, internal ones too.
        topics: Option<Vec<String>>,
        /// Go on where the partitions would span fewer racks than now.
        allow_fewer_racks: bool,
    },
    /// Replicas and preferred leaders of the topics are spread evenly over the brokers.
    Balance {
        /// `None`: every live broker.
        brokers: Option<Vec<i32>>,
        topics: Option<Vec<String>>,
        allow_fewer_racks: bool,
    },
    /// These brokers, new and empty, get their share of replicas and leaders; the others exchange
    /// none among themselves.
    Add {
        brokers: Vec<i32>,
        topics: Option<Vec<String>>,
        allow_fewer_racks: bool,
    },
    /// Every partition of the topics gets that many replicas.
    SetReplication {
        factor: usize,
        /// Who may receive replicas; `None`: every live broker.
        to: Option<Vec<i32>>,
        topics: Option<Vec<String>>,
        /// Go on where a replica out of sync is dropped that is alone in its rack, and a partition
        /// would span fewer racks than now and than it could.
        allow_fewer_racks: bool,
    },
    /// Preferred leaders are spread evenly by the order of replicas; nothing is copied.
    Leaders { topics: Option<Vec<String>> },
    /// A placement from scratch as Kafka's own tool and CMAK propose it, whatever it moves.
    Generate {
        /// `None`: every live broker.
        brokers: Option<Vec<i32>>,
        topics: Option<Vec<String>>,
        /// Where it begins: another one, another proposal.
        seed: u64,
    },
}

const WHAT: &str = "propose a reassignment";

/// Answers a request with the partitions that change and no other.
///
/// # Errors
/// A refusal when a topic, partition or broker named does not exist, when there are too few
/// brokers, or when racks would be lost and that is not allowed.
pub fn propose(
    metadata: &ClusterMetadata,
    dirs: Option<&LogDirs>,
    request: &Request,
) -> Result<Assignment, Fault> {
    propose_while(metadata, dirs, request, &|| true)
}

/// As [`propose`], as long as `is_wanted`, which is asked often.
///
/// # Errors
/// As [`propose`], and a refusal when it is not wanted any more.
pub fn propose_while(
    metadata: &ClusterMetadata,
    dirs: Option<&LogDirs>,
    request: &Request,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Assignment, Fault> {
    let planner = |topics: &Option<Vec<String>>, receivers: Vec<i32>| {
        Planner::new(metadata, dirs, topics.as_deref(), receivers, is_wanted)
    };
    match request {
        Request::Explicit(target) => explicit(metadata, target),
        Request::Drain {
            brokers,
            to,
            topics,
            allow_fewer_racks,
        } => {
            known_brokers(metadata, brokers)?;
            let mut receivers = receivers(metadata, to.as_deref())?;
            receivers.retain(|id| !brokers.contains(id));
            let mut planner = planner(topics, receivers)?;
            planner.allow_fewer_racks = *allow_fewer_racks;
            planner.replace(|id| brokers.contains(&id))?;
            Ok(planner.changes())
        }
        Request::Balance {
            brokers,
            topics,
            allow_fewer_racks,
        } => {
            let receivers = receivers(metadata, brokers.as_deref())?;
            let keep: BTreeSet<i32> = receivers.iter().copied().collect();
            let mut planner = planner(topics, receivers)?;
            planner.allow_fewer_racks = *allow_fewer_racks;
            planner.replace(|id| !keep.contains(&id))?;
            planner.even_out_replicas(&keep, usize::MAX)?;
            planner.cheapen(&keep)?;
            planner.even_out_leaders()?;
            Ok(planner.changes())
        }
        Request::Add {
            brokers,
            topics,
            allow_fewer_racks,
        } => {
            known_brokers(metadata, brokers)?;
            let new: BTreeSet<i32> = receivers(metadata, Some(brokers))?.into_iter().collect();
            let all = receivers(metadata, None)?;
            let mut planner = planner(topics, all)?;
            planner.allow_fewer_racks = *allow_fewer_racks;
            let all: usize = planner.loads.values().map(|load| load.replicas).sum();
            let share = all.div_ceil(planner.receivers.len().max(1));
            planner.even_out_replicas(&new, share)?;
            planner.cheapen(&new)?;
            planner.even_out_leaders()?;
            Ok(planner.changes())
        }
        Request::SetReplication {
            factor,
            to,
            topics,
            allow_fewer_racks,
        } => {
            let receivers = receivers(metadata, to.as_deref())?;
            let mut planner = planner(topics, receivers)?;
            planner.allow_fewer_racks = *allow_fewer_racks;
            planner.set_replication(*factor)?;
            Ok(planner.changes())
        }
        Request::Leaders { topics } => {
            let receivers = receivers(metadata, None)?;
            let mut planner = planner(topics, receivers)?;
            planner.even_out_leaders()?;
            Ok(planner.changes())
        }
        Request::Generate {
            brokers,
            topics,
            seed,
        } => {
            let receivers = receivers(metadata, brokers.as_deref())?;
            let mut planner = planner(topics, receivers)?;
            planner.generate(*seed)?;
            Ok(planner.changes())
        }
    }
}

/// Replicas for the partitions of a new topic, or for new ones of a topic, on these brokers: racks
/// in turn, and in each rack its brokers in turn. The same topic gets the same ones.
///
/// # Errors
/// A broker is not alive, or there are too few.
pub fn place(
    metadata: &ClusterMetadata,
    brokers: Option<&[i32]>,
    (topic, partitions): (&str, usize),
    factor: usize,
) -> Result<Vec<Vec<i32>>, Fault> {
    let receivers = receivers(metadata, brokers)?;
    let seed = seed_of(topic, 0);
    let placed = generate::place(metadata, &receivers, partitions, factor, seed);
    placed.ok_or_else(|| {
        let n = receivers.len();
        Fault::refused(
            WHAT,
            format!("{factor} replicas need as many brokers, and {n} may hold them"),
        )
    })
}

/// Topics begin at different places, as they would with random numbers.
fn seed_of(topic: &str, seed: u64) -> u64 {
    topic.bytes().fold(seed, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    })
}

fn explicit(metadata: &ClusterMetadata, target: &Assignment) -> Result<Assignment, Fault> {
    let mut changes = Assignment::new();
    for (key, replicas) in target {
        let partition = metadata
            .topic(&key.topic)
            .and_then(|topic| topic.partition(key.partition))
            .ok_or_else(|| Fault::not_found(WHAT, format!("partition {key} does not exist")))?;
        let distinct: BTreeSet<i32> = replicas.iter().copied().collect();
        if replicas.is_empty() || distinct.len() != replicas.len() {
            let why = format!("{key} needs at least one replica, and none twice: {replicas:?}");
            return Err(Fault::refused(WHAT, why));
        }
        known_brokers(metadata, replicas)?;
        if settled(partition) != *replicas {
            changes.insert(key.clone(), replicas.clone());
        }
    }
    Ok(changes)
}

fn known_brokers(metadata: &ClusterMetadata, ids: &[i32]) -> Result<(), Fault> {
    match ids
        .iter()
        .find(|id| metadata.broker(**id).is_none() && !is_named(metadata, **id))
    {
        None => Ok(()),
        Some(id) => {
            let known: Vec<String> = metadata.brokers.iter().map(|b| b.id.to_string()).collect();
            let hint = format!("the brokers are {}", known.join(", "));
            Err(Fault::not_found(WHAT, format!("broker {id} does not exist")).with_hint(hint))
        }
    }
}

/// A broker that is gone is still named by its partitions, and can be drained.
fn is_named(metadata: &ClusterMetadata, id: i32) -> bool {
    let mut partitions = metadata
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter());
    partitions.any(|partition| partition.replicas.contains(&id))
}

/// The live brokers among `wanted`, or all of them.
fn receivers(metadata: &ClusterMetadata, wanted: Option<&[i32]>) -> Result<Vec<i32>, Fault> {
    let live = |id: i32| metadata.broker(id).is_some_and(|b| b.fenced != Some(true));
    let Some(wanted) = wanted else {
        return Ok(metadata
            .brokers
            .iter()
            .map(|b| b.id)
            .filter(|id| live(*id))
            .collect());
    };
    if let Some(id) = wanted.iter().find(|id| !live(**id)) {
        let why = format!("broker {id} is not alive, so it can't receive replicas");
        return Err(Fault::refused(WHAT, why));
    }
    Ok(wanted
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect())
}

/// The replicas of a partition when a reassignment that is running has ended.
pub fn settled(partition: &Partition) -> Vec<i32> {
    partition
        .replicas
        .iter()
        .copied()
        .filter(|id| !partition.removing.contains(id))
        .collect()
}

/// One partition that may change.
struct Slot<'a> {
    topic: &'a Arc<str>,
    /// The number of its topic among those that may change.
    topic_at: usize,
    partition: &'a Partition,
    before: Vec<i32>,
    now: Vec<i32>,
    bytes: i64,
}

/// The rack of a broker that has none, which is no other's.
fn alone(id: i32) -> i64 {
    -1 - i64::from(id)
}

/// How much a broker has, of the partitions that may change.
#[derive(Clone, Copy, Default)]
struct Load {
    replicas: usize,
    leaders: usize,
    bytes: i64,
}

struct Planner<'a> {
    metadata: &'a ClusterMetadata,
    slots: Vec<Slot<'a>>,
    n_topics: usize,
    receivers: Vec<i32>,
    /// A number for each rack; a broker without one has its own.
    racks: HashMap<i32, i64>,
    loads: BTreeMap<i32, Load>,
    /// Replicas by the number of the topic and broker.
    by_topic: HashMap<(usize, i32), usize>,
    allow_fewer_racks: bool,
    is_wanted: &'a dyn Fn() -> bool,
}

impl<'a> Planner<'a> {
    fn new(
        metadata: &'a ClusterMetadata,
        dirs: Option<&LogDirs>,
        topics: Option<&[String]>,
        receivers: Vec<i32>,
        is_wanted: &'a dyn Fn() -> bool,
    ) -> Result<Self, Fault> {
        let names: BTreeSet<&str> = metadata
            .brokers
            .iter()
            .filter_map(|broker| broker.rack.as_deref())
            .collect();
        let number = |name: &str| names.iter().position(|rack| *rack == name);
        let rack = |broker: &Broker| {
            let of_name = broker.rack.as_deref().and_then(number);
            let rack = of_name.map_or(alone(broker.id), |at| at as i64);
            (broker.id, rack)
        };
        let mut planner = Self {
            metadata,
            slots: Vec::new(),
            n_topics: 0,
            loads: receivers.iter().map(|id| (*id, Load::default())).collect(),
            receivers,
            racks: metadata.brokers.iter().map(rack).collect(),
            by_topic: HashMap::new(),
            allow_fewer_racks: false,
            is_wanted,
        };
        match topics {
            None => metadata
                .topics
                .iter()
                .for_each(|topic| planner.take(topic, dirs)),
            Some(names) => {
                for name in names.iter().collect::<BTreeSet<_>>() {
                    let missing =
                        || Fault::not_found(WHAT, format!("topic \"{name}\" does not exist"));
                    planner.take(metadata.topic(name).ok_or_else(missing)?, dirs);
                }
            }
        }
        Ok(planner)
    }

    fn take(&mut self, topic: &'a Topic, dirs: Option<&LogDirs>) {
        for partition in &topic.partitions {
            let before = settled(partition);
            let size = dirs.and_then(|dirs| leader_size(dirs, &topic.name, partition));
            let slot = Slot {
                topic: &topic.name,
                topic_at: self.n_topics,
                partition,
                now: before.clone(),
                before,
                bytes: size.unwrap_or(0),
            };
            for (at, id) in slot.now.iter().enumerate() {
                *self.by_topic.entry((slot.topic_at, *id)).or_default() += 1;
                let load = self.loads.entry(*id).or_default();
                load.replicas += 1;
                load.leaders += usize::from(at == 0);
                load.bytes += slot.bytes;
            }
            self.slots.push(slot);
        }
        self.n_topics += 1;
    }

    /// # Errors
    /// Nobody waits for the answer any more.
    fn go_on(&self) -> Result<(), Fault> {
        if (self.is_wanted)() {
            return Ok(());
        }
        Err(Fault::refused(WHAT, "it was cancelled, or took too long")
            .with_hint("choose fewer topics or brokers"))
    }

    /// Different racks of a list of replicas.
    fn n_racks(&self, replicas: &[i32]) -> usize {
        let rack = |id: &i32| self.racks.get(id).copied().unwrap_or(alone(*id));
        let is_new = |(at, id): (usize, &i32)| {
            let mut before = replicas[..at].iter();
            !before.any(|other| rack(other) == rack(id))
        };
        replicas
            .iter()
            .enumerate()
            .filter(|one| is_new(*one))
            .count()
    }

    fn changes(self) -> Assignment {
        let changed = self
            .slots
            .into_iter()
            .filter(|slot| slot.now != slot.before);
        changed
            .map(|slot| {
                let key = TopicPartition {
                    topic: Arc::clone(slot.topic),
                    partition: slot.partition.id,
                };
                (key, slot.now)
            })
            .collect()
    }

    /// Puts another broker in the place of every replica that must leave.
    fn replace(&mut self, leaves: impl Fn(i32) -> bool) -> Result<(), Fault> {
        for at in 0..self.slots.len() {
            self.go_on()?;
            let leaving: Vec<usize> = (0..self.slots[at].now.len())
                .filter(|position| leaves(self.slots[at].now[*position]))
                .collect();
            if leaving.is_empty() {
                continue;
            }
            let before = self.n_racks(&self.slots[at].before);
            let mut staying: Vec<i32> = self.slots[at]
                .now
                .iter()
                .copied()
                .filter(|id| !leaves(*id))
                .collect();
            for position in leaving {
                let to = self.choose(at, position, &staying, before)?;
                staying.push(to);
                self.put(at, position, to);
            }
            let hint = "add a broker in the rack that would be lost, or allow fewer racks";
            self.keep_racks(at, before, hint)?;
        }
        Ok(())
    }

    /// # Errors
    /// A partition spans fewer racks than it shall, and that is not allowed.
    fn keep_racks(&self, at: usize, wanted: usize, hint: &str) -> Result<(), Fault> {
        let slot = &self.slots[at];
        let after = self.n_racks(&slot.now);
        if after >= wanted || self.allow_fewer_racks {
            return Ok(());
        }
        let why = format!(
            "{}-{} would span {} instead of {wanted}",
            slot.topic,
            slot.partition.id,
            crate::units::counted(after, "rack")
        );
        Err(Fault::refused(WHAT, why).with_hint(hint))
    }

    /// The best receiver for one place: one in a new rack while racks are wanted, then the one
    /// with the least of this topic, the least leaders (for the first place), replicas and bytes.
    fn choose(
        &self,
        at: usize,
        position: usize,
        staying: &[i32],
        racks_wanted: usize,
    ) -> Result<i32, Fault> {
        let slot = &self.slots[at];
        let racks_now = self.n_racks(staying);
        let rank = |id: i32| {
            let mut with = staying.to_vec();
            with.push(id);
            let adds_rack = self.n_racks(&with) > racks_now;
            let load = self.loads.get(&id).copied().unwrap_or_default();
            let leaders = if position == 0 { load.leaders } else { 0 };
            let of_topic = self
                .by_topic
                .get(&(slot.topic_at, id))
                .copied()
                .unwrap_or(0);
            (
                racks_now < racks_wanted && !adds_rack,
                of_topic,
                leaders,
                load.replicas,
                load.bytes,
                id,
            )
        };
        let free = self.receivers.iter().copied();
        let free = free.filter(|id| !staying.contains(id) && !slot.now.contains(id));
        free.min_by_key(|id| rank(*id)).ok_or_else(|| {
            let why = format!(
                "{}-{} has {} replicas and only {} brokers may hold them",
                slot.topic,
                slot.partition.id,
                slot.now.len(),
                self.receivers.len()
            );
            Fault::refused(WHAT, why)
                .with_hint("allow more brokers, or lower the number of replicas")
        })
    }

    /// Puts a broker in a place and keeps the books.
    fn put(&mut self, at: usize, position: usize, to: i32) {
        let slot = &mut self.slots[at];
        let from = std::mem::replace(&mut slot.now[position], to);
        let (topic, bytes, leads) = (slot.topic_at, slot.bytes, usize::from(position == 0));
        if let Some(count) = self.by_topic.get_mut(&(topic, from)) {
            *count = count.saturating_sub(1);
        }
        *self.by_topic.entry((topic, to)).or_default() += 1;
        let load = self.loads.entry(from).or_default();
        load.replicas = load.replicas.saturating_sub(1);
        load.leaders = load.leaders.saturating_sub(leads);
        load.bytes -= bytes;
        let load = self.loads.entry(to).or_default();
        load.replicas += 1;
        load.leaders += leads;
        load.bytes += bytes;
    }

    /// Places every topic from scratch.
    fn generate(&mut self, seed: u64) -> Result<(), Fault> {
        let mut from = 0;
        while from < self.slots.len() {
            self.go_on()?;
            let topic = self.slots[from].topic;
            let rest = self.slots[from..].iter();
            let n = rest.take_while(|slot| slot.topic == topic).count();
            let factor = self.slots[from].before.len();
            let seed = seed_of(topic, seed);
            let placed = generate::place(self.metadata, &self.receivers, n, factor, seed);
            let placed = placed.ok_or_else(|| {
                let n = self.receivers.len();
                let why =
                    format!("{topic} has {factor} replicas and only {n} brokers may hold them");
                Fault::refused(WHAT, why)
                    .with_hint("allow more brokers, or lower the number of replicas")
            })?;
            for (slot, replicas) in self.slots[from..].iter_mut().zip(placed) {
                slot.now = replicas;
            }
            from += n;
        }
        Ok(())
    }
}
