//! AlterReplicaLogDirs, versions 1 and 2: moves replicas to other log directories of this broker.
//!
//! Kafka: `KafkaApis.handleAlterReplicaLogDirsRequest`, KIP-113.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_protocol::messages::{
    AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::task;
use kafka_shared::types::TopicPartition;

use super::Broker;
use crate::replica::ReplicaManager;

pub(super) async fn handle(
    broker: &Broker,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let wanted = wanted(&request);
    let replicas = Arc::clone(&broker.replicas);
    let altering = task::spawn_blocking("alter-log-dirs", move || alter(&replicas, wanted));
    let results = altering.await.unwrap_or_default();
    AlterReplicaLogDirsResponse::default().with_results(results)
}

/// The directory of each partition; what is said last counts.
fn wanted(request: &AlterReplicaLogDirsRequest) -> BTreeMap<TopicPartition, PathBuf> {
    let mut wanted = BTreeMap::new();
    for dir in &request.dirs {
        for topic in &dir.topics {
            for partition in &topic.partitions {
                let tp = TopicPartition::new(&*topic.name.0, *partition);
                wanted.insert(tp, PathBuf::from(&*dir.path));
            }
        }
    }
    wanted
}

fn alter(
    replicas: &ReplicaManager,
    wanted: BTreeMap<TopicPartition, PathBuf>,
) -> Vec<AlterReplicaLogDirTopicResult> {
    let mut topics: BTreeMap<Arc<str>, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for (tp, path) in wanted {
        let error = match replicas.alter_log_dir(&tp, &path) {
            Ok(()) => ErrorCode::NONE,
            Err(error) => {
                let (dir, name) = (path.display(), error.name());
                tracing::warn!(partition = %tp, %dir, error = name, "the replica is not moved");
                error
            }
        };
        let result = AlterReplicaLogDirPartitionResult::default()
            .with_partition_index(tp.partition)
            .with_error_code(error.0);
        topics.entry(tp.topic).or_default().push(result);
    }
    let topic = |(name, partitions): (Arc<str>, _)| {
        AlterReplicaLogDirTopicResult::default()
            .with_topic_name(TopicName(StrBytes::from_string(name.to_string())))
            .with_partitions(partitions)
    };
    topics.into_iter().map(topic).collect()
}
