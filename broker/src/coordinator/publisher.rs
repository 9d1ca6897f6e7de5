//! Tells the group coordinator what it has to know of the cluster's metadata: which partitions of
//! `__consumer_offsets` this broker leads, how many there are, and which topics were deleted.
//!
//! It must be added to the publishers after the replica manager, which has the logs.
//!
//! Kafka: core `BrokerMetadataPublisher.updateCoordinator` (4.3).

use std::sync::Arc;

use super::{GROUP_METADATA_TOPIC_NAME, GroupCoordinator};
use crate::metadata::{MetadataDelta, MetadataImage, MetadataPublisher};

/// See the module.
#[derive(Debug)]
pub struct GroupCoordinatorPublisher {
    coordinator: Arc<GroupCoordinator>,
    node_id: i32,
}

impl GroupCoordinatorPublisher {
    /// For the coordinator of the broker `node_id`.
    pub fn new(coordinator: Arc<GroupCoordinator>, node_id: i32) -> Self {
        Self {
            coordinator,
            node_id,
        }
    }
}

impl MetadataPublisher for GroupCoordinatorPublisher {
    fn name(&self) -> &'static str {
        "group-coordinator"
    }

    fn on_metadata_update(&self, delta: &MetadataDelta, image: &Arc<MetadataImage>) {
        let topic = image.topics.by_name(GROUP_METADATA_TOPIC_NAME);
        let partition_count = topic.map_or(
            self.coordinator.config().offsets_topic_num_partitions,
            |topic| i32::try_from(topic.partition_count()).unwrap_or(i32::MAX),
        );
        self.coordinator.set_partition_count(partition_count);
        let Some(topics) = delta.topics() else { return };
        let changes = topics.local_changes(delta.base(), self.node_id);
        let is_ours = |topic: &str| topic == GROUP_METADATA_TOPIC_NAME;
        for (tp, _) in changes.deletes.iter().filter(|(tp, _)| is_ours(&tp.topic)) {
            self.coordinator.on_resignation(tp.partition, None);
        }
        for (tp, replica) in changes
            .followers
            .iter()
            .filter(|(tp, _)| is_ours(&tp.topic))
        {
            let leader_epoch = replica.partition.leader_epoch;
            self.coordinator
                .on_resignation(tp.partition, Some(leader_epoch));
        }
        for (tp, replica) in changes
            .elected_leaders
            .iter()
            .filter(|(tp, _)| is_ours(&tp.topic))
        {
            self.coordinator
                .on_election(tp.partition, replica.partition.leader_epoch);
        }
        let deleted: Vec<_> = topics
            .deleted
            .values()
            .map(|topic| (topic.id, topic.name.clone()))
            .collect();
        if !deleted.is_empty() {
            self.coordinator.on_topics_deleted(deleted);
        }
    }
}
