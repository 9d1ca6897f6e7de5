//! Where replicas go: as little moves as it takes, and what moves is spread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{DeclaredTopic, Work, differs, join};
use crate::model::{Assignment, ClusterMetadata, Fault, Partition, Topic, TopicPartition};
use crate::ops::reassign::{self, Request};

/// How many replicas, and on which brokers, where that is declared.
type Wish<'a> = (Option<usize>, Option<&'a [i32]>);

impl Work<'_> {
    /// Where new partitions are made. They have as many replicas as the first one has; where that
    /// is not what is declared, or the brokers are named, they have to be known to be moved on.
    pub(super) fn first_replicas(
        &self,
        topic: &DeclaredTopic,
        there: &Topic,
        new: usize,
    ) -> Result<Option<Vec<Vec<i32>>>, Fault> {
        let first = there.partitions.first();
        let factor = first.map_or(1, |partition| partition.replicas.len());
        let declared = topic
            .replication_factor
            .map(|n| usize::from(n.unsigned_abs()));
        let is_free = topic.replicas.is_none() && topic.brokers.is_none();
        if is_free && declared.is_none_or(|declared| declared == factor) {
            return Ok(None);
        }
        let allowed = topic.brokers.as_deref().filter(|ids| ids.len() >= factor);
        let mut placed = reassign::place(self.metadata, allowed, (&topic.name, new), factor)?;
        let tail = topic
            .replicas
            .iter()
            .flat_map(|lists| lists.iter().rev().take(new).rev());
        for (placed, list) in placed.iter_mut().zip(tail) {
            let others: Vec<i32> = placed
                .iter()
                .copied()
                .filter(|id| !list.contains(id))
                .collect();
            *placed = list.iter().copied().chain(others).take(factor).collect();
        }
        Ok(Some(placed))
    }

    /// Places the replicas of topics that are there, all together, so that what moves is spread.
    pub(super) fn place(&mut self, topics: &[DeclaredTopic]) {
        let mut groups: BTreeMap<Wish<'_>, Vec<&DeclaredTopic>> = BTreeMap::new();
        let mut meant = Vec::new();
        for (at, topic) in topics.iter().enumerate() {
            let factor = topic
                .replication_factor
                .map(|n| usize::from(n.unsigned_abs()));
            let is_placed = factor.is_some() || topic.replicas.is_some() || topic.brokers.is_some();
            let is_there = self.metadata.topic(&topic.name).is_some();
            if !is_placed || !is_there || self.drifts[at].is_stopped() {
                continue;
            }
            meant.push(at);
            self.settle(&topic.name);
            match &topic.replicas {
                Some(lists) => {
                    let list =
                        |(id, list): (usize, &Vec<i32>)| (key(&topic.name, id), list.clone());
                    let lists: Assignment = lists.iter().enumerate().map(list).collect();
                    self.put(&lists);
                }
                None => {
                    let brokers = topic.brokers.as_deref();
                    groups.entry((factor, brokers)).or_default().push(topic);
                }
            }
        }
        let mut obstacles: BTreeMap<String, String> = BTreeMap::new();
        for ((factor, brokers), topics) in groups {
            let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
            if self.place_group(factor, brokers, &names).is_ok() {
                continue;
            }
            // Each on its own tells which of them can't be placed.
            for name in names {
                if let Err(fault) = self.place_group(factor, brokers, std::slice::from_ref(&name)) {
                    obstacles.insert(name, fault.why);
                }
            }
        }
        for at in meant {
            let topic = &topics[at];
            if let Some(why) = obstacles.remove(&topic.name) {
                self.drifts[at].stop(&topic.at, why);
            } else {
                self.move_replicas(at, topic);
            }
        }
    }

    /// Takes what runs as done, and new partitions as made.
    fn settle(&mut self, name: &str) {
        let grown = &self.grown;
        change_topic(&mut self.after, name, |partitions| {
            for partition in partitions.iter_mut() {
                partition.replicas = reassign::settled(partition).into();
                partition.adding = Box::default();
                partition.removing = Box::default();
            }
            while let Some(replicas) = grown.get(&key(name, partitions.len())) {
                partitions.push(Partition {
                    id: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
                    leader: replicas.first().copied().unwrap_or(-1),
                    replicas: replicas.as_slice().into(),
                    isr: replicas.as_slice().into(),
                    ..Partition::default()
                });
            }
        });
    }

    fn put(&mut self, assignment: &Assignment) {
        put(&mut self.after, assignment);
    }

    fn place_group(
        &mut self,
        factor: Option<usize>,
        brokers: Option<&[i32]>,
        names: &[String],
    ) -> Result<(), Fault> {
        let mut after = self.after.clone();
        let dirs = self.snapshot.log_dirs.get();
        let topics = Some(names.to_vec());
        if let Some(factor) = factor {
            if let Some(allowed) = brokers {
                // Of too many, those go first that may not stay.
                for name in names {
                    change_topic(&mut after, name, |partitions| {
                        drop_outside(partitions, factor, allowed)
                    });
                }
            }
            let request = Request::SetReplication {
                factor,
                to: brokers.map(<[i32]>::to_vec),
                topics: topics.clone(),
                // The number was declared; the plan warns.
                allow_fewer_racks: true,
            };
            let changes = reassign::propose(&after, dirs, &request)?;
            put(&mut after, &changes);
        }
        if let Some(allowed) = brokers {
            let of = names.iter().filter_map(|name| after.topic(name));
            let replicas =
                of.flat_map(|topic| topic.partitions.iter().flat_map(|p| p.replicas.iter()));
            let outside: BTreeSet<i32> = replicas
                .copied()
                .filter(|id| !allowed.contains(id))
                .collect();
            if !outside.is_empty() {
                let request = Request::Drain {
                    brokers: outside.into_iter().collect(),
                    to: Some(allowed.to_vec()),
                    topics,
                    // The brokers were named; the plan warns.
                    allow_fewer_racks: true,
                };
                let changes = reassign::propose(&after, dirs, &request)?;
                put(&mut after, &changes);
            }
        }
        self.after = after;
        Ok(())
    }

    /// Says what moves of a topic.
    fn move_replicas(&mut self, at: usize, topic: &DeclaredTopic) {
        let (Some(there), Some(after)) = (
            self.metadata.topic(&topic.name),
            self.after.topic(&topic.name),
        ) else {
            return;
        };
        let drift = &mut self.drifts[at];
        let mut factors = BTreeSet::new();
        let mut is_factor_other = false;
        for partition in &after.partitions {
            let key = TopicPartition::new(&*topic.name, partition.id);
            let now = there.partition(partition.id).map(reassign::settled);
            let is_there = now.is_some();
            let Some(before) = now.or_else(|| self.grown.get(&key).cloned()) else {
                continue;
            };
            if is_there {
                factors.insert(before.len());
                is_factor_other |= before.len() != partition.replicas.len();
            }
            if before != *partition.replicas {
                if is_there && topic.replication_factor.is_none() || topic.replicas.is_some() {
                    let now = is_there.then(|| join(&before));
                    let what = format!("replicas of {}", partition.id);
                    let declared = join(&partition.replicas);
                    drift.differences.push(differs(what, now, declared, None));
                }
                self.moves
                    .target
                    .insert(key.clone(), partition.replicas.to_vec());
                self.moves.based_on.insert(key, before);
            }
        }
        if let Some(factor) = topic.replication_factor
            && is_factor_other
        {
            let all: Vec<String> = factors.iter().map(ToString::to_string).collect();
            let now = Some(all.join(" and "));
            drift
                .differences
                .push(differs("replication factor", now, factor, None));
        } else if let Some(brokers) = &topic.brokers
            && topic.replication_factor.is_some()
        {
            let used: BTreeSet<i32> = there
                .partitions
                .iter()
                .flat_map(reassign::settled)
                .collect();
            if used.iter().any(|id| !brokers.contains(id)) {
                let used: Vec<i32> = used.into_iter().collect();
                let difference = differs("brokers", Some(join(&used)), join(brokers), None);
                drift.differences.push(difference);
            }
        }
    }
}

fn key(topic: &str, partition: usize) -> TopicPartition {
    TopicPartition::new(topic, i32::try_from(partition).unwrap_or(i32::MAX))
}

fn change_topic(
    metadata: &mut ClusterMetadata,
    name: &str,
    change: impl FnOnce(&mut Vec<Partition>),
) {
    let found = metadata
        .topics
        .binary_search_by(|topic| (*topic.name).cmp(name));
    if let Ok(at) = found {
        let topic = Arc::make_mut(&mut metadata.topics[at]);
        let mut partitions = std::mem::take(&mut topic.partitions).into_vec();
        change(&mut partitions);
        topic.partitions = partitions.into_boxed_slice();
    }
}

fn put(metadata: &mut ClusterMetadata, assignment: &Assignment) {
    let mut topics: BTreeMap<&str, Vec<(i32, &Vec<i32>)>> = BTreeMap::new();
    for (key, replicas) in assignment {
        let lists = topics.entry(&key.topic).or_default();
        lists.push((key.partition, replicas));
    }
    for (name, lists) in topics {
        change_topic(metadata, name, |partitions| {
            for (id, replicas) in lists {
                let found = partitions.iter_mut().find(|partition| partition.id == id);
                if let Some(partition) = found {
                    partition.replicas = replicas.as_slice().into();
                }
            }
        });
    }
}

fn drop_outside(partitions: &mut [Partition], factor: usize, allowed: &[i32]) {
    for partition in partitions {
        let mut replicas = partition.replicas.to_vec();
        while replicas.len() > factor
            && let Some(at) = replicas.iter().rposition(|id| !allowed.contains(id))
        {
            replicas.remove(at);
        }
        partition.replicas = replicas.into();
    }
}
