//! Records per second from two reads of the end offsets: needs nothing from the brokers but
//! ListOffsets.

use std::sync::Arc;

use crate::model::{ClusterSnapshot, PartitionOffsets, TopicOffsets};

use super::Total;

/// Records per second that one partition grew between two reads; `None` when one of them is
/// missing, no time has passed, or the log is another one or was cut (the end went back).
pub fn partition_rate(
    before: &PartitionOffsets,
    now: &PartitionOffsets,
    elapsed_ms: i64,
) -> Option<f64> {
    let (before, now) = (before.end.known()?, now.end.known()?);
    let records = now.checked_sub(before)?;
    (elapsed_ms > 0 && records >= 0).then(|| records as f64 * 1000.0 / elapsed_ms as f64)
}

/// Records per second of a topic between two reads of its offsets; a part per partition.
pub fn rate_between(before: &TopicOffsets, now: &TopicOffsets) -> Total<f64> {
    let elapsed_ms = now
        .taken
        .monotonic_ms
        .saturating_sub(before.taken.monotonic_ms);
    let same_topic = before.topic_id == now.topic_id;
    now.partitions
        .iter()
        .map(|newer| {
            let older = before.partition(newer.partition).filter(|_| same_topic)?;
            partition_rate(older, newer, elapsed_ms)
        })
        .collect()
}

/// Records per second of a topic between the two newest reads of its offsets; a part per
/// partition. Without two reads nothing is known.
pub fn topic_rate(snapshot: &ClusterSnapshot, topic: &str) -> Total<f64> {
    match snapshot
        .offsets
        .get()
        .and_then(|offsets| offsets.get(topic))
    {
        Some(now) => rate_since(snapshot.offsets_before.get(topic), now),
        None => std::iter::once(None).collect(),
    }
}

fn rate_since(before: Option<&Arc<TopicOffsets>>, now: &TopicOffsets) -> Total<f64> {
    match before {
        Some(before) => rate_between(before, now),
        None => now.partitions.iter().map(|_| None).collect(),
    }
}

/// Records per second of the whole cluster; a part per partition.
pub fn cluster_rate(snapshot: &ClusterSnapshot) -> Total<f64> {
    let Some(offsets) = snapshot.offsets.get() else {
        return std::iter::once(None).collect();
    };
    let mut total = Total::new();
    for (topic, now) in offsets {
        total.merge(rate_since(snapshot.offsets_before.get(topic), now));
    }
    total
}
