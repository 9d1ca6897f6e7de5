//! Bytes on disk.

use std::collections::BTreeMap;

use crate::model::{LogDirs, Partition, ReplicaSizes, Topic};

use super::Total;

/// The size of each replica of a partition, in the partition's replica order.
pub fn partition_sizes(dirs: &LogDirs, topic: &str, partition: &Partition) -> Total<i64> {
    sizes_of(dirs.replicas.get(topic), partition)
}

fn sizes_of(sizes: Option<&ReplicaSizes>, partition: &Partition) -> Total<i64> {
    let size = |broker: &i32| Some(sizes?.get(partition.id, *broker)?.size_bytes);
    partition.replicas.iter().map(size).collect()
}

/// The size of a partition's log as its leader has it.
pub fn leader_size(dirs: &LogDirs, topic: &str, partition: &Partition) -> Option<i64> {
    Some(
        dirs.replica(topic, partition.id, partition.leader)?
            .size_bytes,
    )
}

/// Bytes of all replicas of a topic; a part per replica.
pub fn topic_size(dirs: &LogDirs, topic: &Topic) -> Total<i64> {
    let sizes = dirs.replicas.get(&topic.name);
    let mut total = Total::new();
    for partition in &topic.partitions {
        total.merge(sizes_of(sizes, partition));
    }
    total
}

/// Bytes of all partitions on each broker that answered.
pub fn broker_sizes(dirs: &LogDirs) -> BTreeMap<i32, i64> {
    let sum = |dirs: &Vec<crate::model::LogDir>| dirs.iter().map(|dir| dir.size_bytes).sum();
    dirs.dirs
        .iter()
        .map(|(broker, dirs)| (*broker, sum(dirs)))
        .collect()
}
