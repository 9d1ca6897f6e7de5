//! Which partitions need attention.
//!
//! Kafka: tools/TopicCommand.java (4.3): the conditions of `--under-replicated-partitions`,
//! `--under-min-isr-partitions`, `--at-min-isr-partitions` and `--unavailable-partitions`.

use crate::model::{ClusterSnapshot, Partition, Topic};

use super::Total;

/// What is the matter with one partition; all `false` is a healthy one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionHealth {
    /// No leader: neither readable nor writable.
    pub offline: bool,
    /// Fewer in sync than wanted; replicas that a reassignment adds are not wanted yet.
    pub under_replicated: bool,
    /// Writes with acks=all fail. `None` while `min.insync.replicas` is unknown.
    pub under_min_isr: Option<bool>,
    /// One more loss and writes with acks=all fail. `None` while the setting is unknown.
    pub at_min_isr: Option<bool>,
    /// One replica is all that is wanted.
    pub is_unreplicated: bool,
    /// Led by another replica than the preferred one.
    pub not_preferred: bool,
    pub reassigning: bool,
    /// Replicas on log directories or brokers that are gone.
    pub offline_replicas: usize,
}

impl PartitionHealth {
    /// Whether a person should look at it; a leader elsewhere and a running move are no harm.
    pub fn is_bad(&self) -> bool {
        self.offline || self.under_replicated || self.under_min_isr == Some(true)
    }
}

/// Counts over partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HealthCounts {
    pub partitions: usize,
    pub offline: usize,
    pub under_replicated: usize,
    pub under_min_isr: Total<usize>,
    /// At the minimum, as Kafka's tool counts it, but without the unreplicated ones: they have no
    /// replica that could be missed.
    pub at_min_isr: Total<usize>,
    /// Made with a single replica.
    pub unreplicated: usize,
    pub not_preferred: usize,
    pub reassigning: usize,
    pub offline_replicas: usize,
}

impl HealthCounts {
    pub fn add(&mut self, health: PartitionHealth) {
        self.partitions += 1;
        self.offline += usize::from(health.offline);
        self.under_replicated += usize::from(health.under_replicated);
        self.under_min_isr
            .add(health.under_min_isr.map(usize::from));
        let at_min_isr = if health.is_unreplicated {
            Some(false)
        } else {
            health.at_min_isr
        };
        self.at_min_isr.add(at_min_isr.map(usize::from));
        self.unreplicated += usize::from(health.is_unreplicated);
        self.not_preferred += usize::from(health.not_preferred);
        self.reassigning += usize::from(health.reassigning);
        self.offline_replicas += health.offline_replicas;
    }

    pub fn merge(&mut self, other: Self) {
        self.partitions += other.partitions;
        self.offline += other.offline;
        self.under_replicated += other.under_replicated;
        self.under_min_isr.merge(other.under_min_isr);
        self.at_min_isr.merge(other.at_min_isr);
        self.unreplicated += other.unreplicated;
        self.not_preferred += other.not_preferred;
        self.reassigning += other.reassigning;
        self.offline_replicas += other.offline_replicas;
    }
}

/// One partition's health; `min_isr` is the topic's `min.insync.replicas`.
pub fn partition_health(partition: &Partition, min_isr: Option<i32>) -> PartitionHealth {
    let in_sync = partition.isr.len();
    let min_isr = min_isr.and_then(|min| usize::try_from(min).ok());
    PartitionHealth {
        offline: !partition.has_leader(),
        under_replicated: partition.wanted_replicas() > in_sync,
        // A partition without a leader takes no writes whatever its in-sync set says.
        under_min_isr: if partition.has_leader() {
            min_isr.map(|min| in_sync < min)
        } else {
            Some(true)
        },
        at_min_isr: min_isr.map(|min| in_sync == min),
        is_unreplicated: partition.wanted_replicas() == 1,
        not_preferred: partition.has_leader()
            && partition.preferred_leader() != Some(partition.leader),
        reassigning: partition.is_reassigning(),
        offline_replicas: partition.offline.len(),
    }
}

/// The counts of one topic.
pub fn topic_health(topic: &Topic, min_isr: Option<i32>) -> HealthCounts {
    let mut counts = HealthCounts::default();
    for partition in &topic.partitions {
        counts.add(partition_health(partition, min_isr));
    }
    counts
}

/// The counts of the whole cluster; `None` before the first metadata.
pub fn cluster_health(snapshot: &ClusterSnapshot) -> Option<HealthCounts> {
    let metadata = snapshot.metadata.get()?;
    let settings = snapshot.settings.get();
    let mut counts = HealthCounts::default();
    for topic in &metadata.topics {
        let min_isr = settings
            .and_then(|all| all.get(&topic.name))
            .and_then(|s| s.min_insync_replicas);
        counts.merge(topic_health(topic, min_isr));
    }
    Some(counts)
}
