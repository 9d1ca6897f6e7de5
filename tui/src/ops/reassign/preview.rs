//! What a reassignment would change: per partition and per broker.

use std::collections::{BTreeMap, BTreeSet};

use crate::derive::{Total, leader_size};
use crate::model::{Assignment, ClusterMetadata, LogDirs, TopicPartition};

use super::{Estimate, Pace, estimate};

/// One partition of a proposal.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewRow {
    pub partition: TopicPartition,
    pub current: Vec<i32>,
    pub proposed: Vec<i32>,
    /// Brokers that get a replica.
    pub adding: Vec<i32>,
    /// Brokers that lose theirs.
    pub removing: Vec<i32>,
    pub leader: i32,
    /// Bytes to copy: the leader's size for each broker that gets a replica.
    pub bytes: Option<i64>,
    /// Different racks now and then; equal where the cluster names no racks.
    pub racks_before: usize,
    pub racks_after: usize,
}

impl PreviewRow {
    /// Whether only the order changes, which copies nothing.
    pub fn is_reorder(&self) -> bool {
        self.adding.is_empty() && self.removing.is_empty() && self.current != self.proposed
    }
}

/// Replicas of one broker, before, at the height of the move, and after.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BrokerLoad {
    pub before: usize,
    /// Old and new replicas together: what the broker must hold meanwhile.
    pub during: usize,
    pub after: usize,
    pub preferred_before: usize,
    pub preferred_after: usize,
    pub bytes_in: Total<i64>,
    pub bytes_out: Total<i64>,
    /// What its replicas take on the disk, before and after.
    pub bytes_before: Total<i64>,
    pub bytes_after: Total<i64>,
}

/// A proposal beside the present.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// The partitions that change, sorted.
    pub rows: Vec<PreviewRow>,
    /// All brokers of the cluster with all their partitions, also those that don't change.
    pub brokers: BTreeMap<i32, BrokerLoad>,
    pub bytes: Total<i64>,
    /// How long it takes, where sizes are known.
    pub estimate: Option<Estimate>,
}

impl Preview {
    /// The present replicas of the partitions that change.
    pub fn current(&self) -> Assignment {
        self.rows
            .iter()
            .map(|row| (row.partition.clone(), row.current.clone()))
            .collect()
    }

    /// The proposed replicas of the partitions that change.
    pub fn proposed(&self) -> Assignment {
        self.rows
            .iter()
            .map(|row| (row.partition.clone(), row.proposed.clone()))
            .collect()
    }

    /// Replicas that are copied.
    pub fn n_moves(&self) -> usize {
        self.rows.iter().map(|row| row.adding.len()).sum()
    }
}

/// Different racks of a list of replicas; a broker without a rack counts as its own.
pub(super) fn n_racks(metadata: &ClusterMetadata, replicas: &[i32]) -> usize {
    let rack = |id: &i32| match metadata
        .broker(*id)
        .and_then(|broker| broker.rack.as_deref())
    {
        Some(rack) => (Some(rack), 0),
        None => (None, *id),
    };
    replicas.iter().map(rack).collect::<BTreeSet<_>>().len()
}

/// Compares a proposal with the present. Partitions that would not change are left out; those the
/// cluster doesn't have are ignored.
pub fn preview(metadata: &ClusterMetadata, dirs: Option<&LogDirs>, target: &Assignment) -> Preview {
    let mut result = Preview::default();
    for broker in &metadata.brokers {
        result.brokers.entry(broker.id).or_default();
    }
    for topic in &metadata.topics {
        for partition in &topic.partitions {
            let key = TopicPartition {
                topic: topic.name.clone(),
                partition: partition.id,
            };
            let current = partition.replicas.to_vec();
            let proposed = target.get(&key).unwrap_or(&current).clone();
            load(&mut result.brokers, &current, &proposed);
            if proposed == current {
                continue;
            }
            let size = dirs.and_then(|dirs| leader_size(dirs, &topic.name, partition));
            let without = |these: &[i32], those: &[i32]| -> Vec<i32> {
                these
                    .iter()
                    .copied()
                    .filter(|id| !those.contains(id))
                    .collect()
            };
            let adding = without(&proposed, &current);
            for broker in &adding {
                result
                    .brokers
                    .entry(*broker)
                    .or_default()
                    .bytes_in
                    .add(size);
                result
                    .brokers
                    .entry(partition.leader)
                    .or_default()
                    .bytes_out
                    .add(size);
                result.bytes.add(size);
            }
            result.rows.push(PreviewRow {
                bytes: if adding.is_empty() {
                    Some(0)
                } else {
                    size.map(|size| size.saturating_mul(adding.len() as i64))
                },
                removing: without(&current, &proposed),
                leader: partition.leader,
                racks_before: n_racks(metadata, &current),
                racks_after: n_racks(metadata, &proposed),
                partition: key,
                current,
                proposed,
                adding,
            });
        }
    }
    result.brokers.remove(&crate::model::NO_LEADER);
    disk_use(&mut result, dirs);
    result.estimate = estimate(&result, &Pace::default());
    result
}

/// What each broker's disk holds before, and after with what comes and goes.
fn disk_use(preview: &mut Preview, dirs: Option<&LogDirs>) {
    let sizes = dirs.map(crate::derive::broker_sizes).unwrap_or_default();
    for (id, load) in &mut preview.brokers {
        let now = sizes.get(id).copied();
        load.bytes_before.add(now);
        load.bytes_after.add(now);
    }
    for row in &preview.rows {
        let size = |id: i32| {
            let replica = dirs?.replica(&row.partition.topic, row.partition.partition, id);
            Some(replica?.size_bytes)
        };
        for id in &row.adding {
            let load = preview.brokers.entry(*id).or_default();
            load.bytes_after.add(size(row.leader));
        }
        for id in &row.removing {
            let load = preview.brokers.entry(*id).or_default();
            load.bytes_after.add(size(*id).map(|bytes| -bytes));
        }
    }
}

/// The replicas that the partitions of a preview have, or will have when what runs has ended.
pub fn settled_replicas(metadata: &ClusterMetadata, preview: &Preview) -> Assignment {
    let replicas = |row: &PreviewRow| {
        let topic = metadata.topic(&row.partition.topic);
        let partition = topic.and_then(|topic| topic.partition(row.partition.partition));
        partition.map_or_else(|| row.current.clone(), super::settled)
    };
    let rows = preview.rows.iter();
    rows.map(|row| (row.partition.clone(), replicas(row)))
        .collect()
}

fn load(brokers: &mut BTreeMap<i32, BrokerLoad>, current: &[i32], proposed: &[i32]) {
    for id in current {
        brokers.entry(*id).or_default().before += 1;
    }
    for id in proposed {
        brokers.entry(*id).or_default().after += 1;
    }
    for id in current.iter().chain(proposed).collect::<BTreeSet<_>>() {
        brokers.entry(*id).or_default().during += 1;
    }
    if let Some(id) = current.first() {
        brokers.entry(*id).or_default().preferred_before += 1;
    }
    if let Some(id) = proposed.first() {
        brokers.entry(*id).or_default().preferred_after += 1;
    }
}
