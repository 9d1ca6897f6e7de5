//! Bytes on disk.

use std::collections::BTreeMap;

use crate::model::{LogDirs, Partition, Topic};

use super::Total;

/// The size of each replica of a partition, in the partition's replica order.
pub fn partition_sizes(dirs: &LogDirs, topic: &str, partition: &Partition) -> Total<i64> {
    partition
        .replicas
        .iter()
        .map(|broker| {
            dirs.replica(topic, partition.id, *broker)
                .map(|replica| replica.size_bytes)
        })
        .collect()
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
    let mut total = Total::new();
    for partition in &topic.partitions {
        total.merge(partition_sizes(dirs, &topic.name, partition));
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
