//! Tells the controller in which log directory replicas are, where its records say otherwise.
//!
//! One request is under way at a time; what is not settled is sent again, with growing pauses.
//! Before it is sent, a replica is looked up once more: it may have been dropped, or the metadata
//! may name the directory by now.
//!
//! Kafka: `server/AssignmentsManager.java` (4.3), KIP-858.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::assign_replicas_to_dirs_request::{
    DirectoryData, PartitionData, TopicData,
};
use kafka_protocol::messages::{AssignReplicasToDirsRequest, BrokerId};
use kafka_shared::error::ErrorCode;
use kafka_shared::types::Uuid;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::fetcher::PartitionKey;
use super::replication::{BrokerEpoch, ReplicationChannel};
use crate::metadata::{MetadataHandle, MetadataImage};

/// Most replicas in one request.
const ASSIGNMENTS_MAX: usize = 2250;
/// Pauses after failures: from the first to the last one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct DirectoryAssignments {
    unsent: Mutex<BTreeMap<PartitionKey, Uuid>>,
    changed: Notify,
}

impl DirectoryAssignments {
    pub(super) fn submit(&self, key: PartitionKey, directory: Uuid) {
        self.unsent.lock().insert(key, directory);
        self.changed.notify_one();
    }

    /// The directory that is to be told for a replica.
    #[cfg(test)]
    pub(super) fn unsent_of(&self, key: &PartitionKey) -> Option<Uuid> {
        self.unsent.lock().get(key).copied()
    }

    /// Sends what is submitted, for ever.
    pub(super) async fn run(
        self: Arc<Self>,
        node_id: i32,
        channel: Arc<dyn ReplicationChannel>,
        metadata: MetadataHandle,
        broker_epoch: BrokerEpoch,
    ) {
        let mut backoff = BACKOFF.0;
        loop {
            self.changed.notified().await;
            loop {
                let batch = self.next_batch(node_id, &metadata.image());
                if batch.is_empty() {
                    break;
                }
                let request = request(node_id, broker_epoch(), &batch);
                let response = channel.assign_replicas_to_dirs(request).await;
                let mut open = batch;
                let error = ErrorCode(response.error_code);
                if error == ErrorCode::NONE {
                    for directory in &response.directories {
                        for topic in &directory.topics {
                            for partition in &topic.partitions {
                                let key = PartitionKey {
                                    topic_id: topic.topic_id,
                                    partition: partition.partition_index,
                                };
                                // What the controller refuses is looked up before the next try.
                                if partition.error_code == ErrorCode::NONE.0 {
                                    open.remove(&key);
                                }
                            }
                        }
                    }
                }
                if open.is_empty() {
                    backoff = BACKOFF.0;
                    continue;
                }
                tracing::debug!(
                    n_replicas = open.len(),
                    error = error.name(),
                    "the directories of replicas could not be told yet"
                );
                {
                    let mut unsent = self.unsent.lock();
                    for (key, directory) in open {
                        unsent.entry(key).or_insert(directory);
                    }
                }
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF.1);
            }
        }
    }

    fn next_batch(&self, node_id: i32, image: &MetadataImage) -> BTreeMap<PartitionKey, Uuid> {
        let mut unsent = self.unsent.lock();
        let mut batch = BTreeMap::new();
        while batch.len() < ASSIGNMENTS_MAX
            && let Some((key, directory)) = unsent.pop_first()
        {
            let known = image
                .topics
                .partition_by_id(key.topic_id, key.partition)
                .and_then(|registration| registration.directory(node_id));
            if known.is_some_and(|known| known != directory) {
                batch.insert(key, directory);
            }
        }
        batch
    }
}

fn request(
    node_id: i32,
    broker_epoch: i64,
    batch: &BTreeMap<PartitionKey, Uuid>,
) -> AssignReplicasToDirsRequest {
    let mut directories: BTreeMap<Uuid, BTreeMap<Uuid, Vec<PartitionData>>> = BTreeMap::new();
    for (key, directory) in batch {
        let topics = directories.entry(*directory).or_default();
        let partition = PartitionData::default().with_partition_index(key.partition);
        topics.entry(key.topic_id).or_default().push(partition);
    }
    let directories = directories.into_iter().map(|(id, topics)| {
        let topics = topics.into_iter().map(|(topic_id, partitions)| {
            TopicData::default()
                .with_topic_id(topic_id)
                .with_partitions(partitions)
        });
        DirectoryData::default()
            .with_id(id)
            .with_topics(topics.collect())
    });
    AssignReplicasToDirsRequest::default()
        .with_broker_id(BrokerId(node_id))
        .with_broker_epoch(broker_epoch)
        .with_directories(directories.collect())
}
