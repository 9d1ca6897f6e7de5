//! Applies the metadata log to the replicas: deleted ones go first, then new and changed ones are
//! made leaders or followers, then new settings take effect.
//!
//! The logs have to be loaded, and the first image has to be that of a metadata log which was read to
//! its end: the first one that knows this broker decides which of the logs found on disk still belong
//! to it. The others are set aside as stray.
//!
//! A replica whose log can't be opened is kept in the table as offline, so that clients are told
//! `KAFKA_STORAGE_ERROR`; the others of the same update are not concerned.
//!
//! Kafka: `ReplicaManager.applyDelta`, `BrokerMetadataPublisher.scala`, `TopicConfigHandler` (4.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_shared::types::{TopicPartition, Uuid};

use super::ReplicaManager;
use super::hosted::{Hosted, HostedTopic, HostedTopics};
use super::partition::Partition;
use super::partition::state::{Change, Registration};
use crate::log::{Log, LogError};
use crate::metadata::delta::{LocalReplica, LocalReplicaChanges};
use crate::metadata::topics::directory_id;
use crate::metadata::{
    MetadataDelta, MetadataImage, MetadataPublisher, PartitionRegistration, ResourceType,
};

/// What the publisher remembers between updates.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Whether the logs that were found on disk were compared with an image.
    has_judged_logs: bool,
}

impl From<&PartitionRegistration> for Registration {
    fn from(registration: &PartitionRegistration) -> Self {
        Self {
            leader: registration.has_leader().then_some(registration.leader),
            leader_epoch: registration.leader_epoch,
            partition_epoch: registration.partition_epoch,
            replicas: registration.replicas.to_vec(),
            isr: registration.isr.to_vec(),
            adding_replicas: registration.adding_replicas.to_vec(),
            removing_replicas: registration.removing_replicas.to_vec(),
        }
    }
}

impl MetadataPublisher for ReplicaManager {
    fn name(&self) -> &'static str {
        "replica manager"
    }

    fn on_metadata_update(&self, delta: &MetadataDelta, image: &Arc<MetadataImage>) {
        let mut progress = self.changing.lock();
        // An image without this broker is not one from which it could learn what it holds.
        let knows_broker = image.cluster.broker(self.config.node_id).is_some();
        if knows_broker && !std::mem::replace(&mut progress.has_judged_logs, true) {
            self.set_strays_aside(image);
        }
        if let Some(changes) = delta.local_changes(self.config.node_id) {
            self.drop_replicas(&changes);
            self.apply_replicas(&changes, image);
        }
        self.apply_configs(delta, image);
    }
}

impl ReplicaManager {
    fn drop_replicas(&self, changes: &LocalReplicaChanges) {
        if changes.deletes.is_empty() {
            return;
        }
        let mut table = HostedTopics::clone(&self.topics.load());
        let mut dropped = Vec::new();
        for (topic_partition, deleted) in &changes.deletes {
            dropped.extend(table.remove(deleted.topic_id, topic_partition.partition));
        }
        self.topics.store(Arc::new(table));
        for hosted in dropped {
            if let Hosted::Online(partition) = hosted {
                partition.retire();
            }
        }
        for topic_partition in changes.deletes.keys() {
            match self.logs.delete_log(topic_partition) {
                Ok(_) => tracing::info!(partition = %topic_partition, "dropped the replica"),
                Err(error) => {
                    tracing::error!(partition = %topic_partition, %error, "could not drop the replica");
                }
            }
        }
        self.logs.checkpoint_after_removal();
    }

    fn apply_replicas(&self, changes: &LocalReplicaChanges, image: &MetadataImage) {
        type Topic = (Uuid, Arc<str>);
        let mut topics: BTreeMap<Topic, Vec<(i32, Hosted)>> = BTreeMap::new();
        for (topic_partition, replica) in changes.leaders.iter().chain(&changes.followers) {
            let hosted = self.apply_replica(topic_partition, replica, image);
            let topic = (replica.topic_id, Arc::clone(&topic_partition.topic));
            topics
                .entry(topic)
                .or_default()
                .push((topic_partition.partition, hosted));
        }
        if topics.is_empty() {
            return;
        }
        let mut table = HostedTopics::clone(&self.topics.load());
        for ((id, name), partitions) in topics {
            table.put(id, &name, partitions);
        }
        self.topics.store(Arc::new(table));
    }

    fn apply_replica(
        &self,
        topic_partition: &TopicPartition,
        replica: &LocalReplica,
        image: &MetadataImage,
    ) -> Hosted {
        let known = self
            .topics
            .load()
            .by_id(replica.topic_id)
            .and_then(|topic| topic.partition(topic_partition.partition).cloned());
        let partition = match known {
            Some(Hosted::Online(partition)) => partition,
            Some(Hosted::Offline) | None => {
                match self.make_partition(topic_partition, replica, image) {
                    Ok(partition) => partition,
                    Err(error) => {
                        tracing::error!(partition = %topic_partition, %error, "the replica is offline");
                        return Hosted::Offline;
                    }
                }
            }
        };
        let change = partition.apply(
            &Registration::from(&*replica.partition),
            self.clock.wall_ms(),
        );
        if let Change::Leader {
            epoch_start: Some((leader_epoch, start_offset)),
            ..
        } = change
        {
            tracing::debug!(
                partition = %topic_partition, leader_epoch, start_offset, "leads the partition"
            );
        }
        Hosted::Online(partition)
    }

    fn make_partition(
        &self,
        topic_partition: &TopicPartition,
        replica: &LocalReplica,
        image: &MetadataImage,
    ) -> Result<Arc<Partition>, LogError> {
        let config = Arc::new((self.topic_config)(image, &topic_partition.topic));
        let directory = replica
            .partition
            .directory(self.config.node_id)
            .filter(|directory| !directory_id::is_reserved(*directory));
        let log = self
            .logs
            .create_log(topic_partition, replica.topic_id, config, directory)?;
        let metadata = self.metadata.clone();
        Ok(Arc::new(Partition::new(
            &self.config,
            metadata,
            replica.topic_id,
            log,
        )))
    }

    /// Gives changed settings to the logs they are for: a topic's to its own, a broker's to all.
    fn apply_configs(&self, delta: &MetadataDelta, image: &MetadataImage) {
        let mut topics = BTreeSet::new();
        let mut concerns_all = false;
        for resource in delta.changed_configs() {
            match resource.resource_type {
                ResourceType::Topic => {
                    topics.insert(&*resource.name);
                }
                ResourceType::Broker => concerns_all = true,
                _ => {}
            }
        }
        if topics.is_empty() && !concerns_all {
            return;
        }
        let hosted = self.topics.load();
        if concerns_all {
            hosted.iter().for_each(|topic| self.configure(topic, image));
        } else {
            let named = topics.into_iter().filter_map(|name| hosted.by_name(name));
            named.for_each(|topic| self.configure(topic, image));
        }
    }

    fn configure(&self, topic: &HostedTopic, image: &MetadataImage) {
        let now_ms = self.clock.wall_ms();
        let config = Arc::new((self.topic_config)(image, &topic.name));
        for (_, hosted) in topic.partitions() {
            if let Hosted::Online(partition) = hosted {
                partition.update_config(Arc::clone(&config), now_ms);
            }
        }
    }

    /// Puts away the logs on disk that no replica of this broker is for.
    fn set_strays_aside(&self, image: &MetadataImage) {
        for log in self.logs.logs() {
            if !is_stray(image, self.config.node_id, &log) {
                continue;
            }
            let topic_partition = log.topic_partition();
            match self.logs.set_aside_stray(topic_partition) {
                Ok(path) => {
                    tracing::warn!(partition = %topic_partition, ?path, "set a stray log aside");
                }
                Err(error) => {
                    tracing::error!(partition = %topic_partition, %error, "could not set a stray aside");
                }
            }
        }
    }
}

/// Whether the log is of a topic that is gone, or of a partition that other brokers hold.
fn is_stray(image: &MetadataImage, node_id: i32, log: &Log) -> bool {
    let TopicPartition { topic, partition } = log.topic_partition();
    let Some(id) = log.topic_id().or_else(|| image.topics.id_of(topic)) else {
        return true;
    };
    image
        .topics
        .partition_by_id(id, *partition)
        .is_none_or(|registration| !registration.replicas.contains(&node_id))
}
