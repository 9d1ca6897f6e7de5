//! DeleteRecords, versions 0 to 2: makes an offset the first that readers may ask for.
//!
//! Kafka: `KafkaApis.handleDeleteRecordsRequest` (4.3), KIP-107.

use std::time::Duration;

use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use kafka_shared::error::ErrorCode;

use super::Broker;
use crate::replica::ReplicaManager;

pub(super) async fn handle(
    broker: &Broker,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    delete_records(&broker.replicas, request).await
}

async fn delete_records(
    replicas: &ReplicaManager,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut offsets = Vec::new();
    for topic in &request.topics {
        let name = &*topic.name.0;
        for wanted in &topic.partitions {
            let partition = match super::topic_name::is_internal(name) {
                true => Err(ErrorCode::INVALID_TOPIC_EXCEPTION),
                false => replicas.partition(name, wanted.partition_index),
            };
            offsets.push((partition, wanted.offset));
        }
    }
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut outcomes = replicas.delete_records(timeout, offsets).await.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .zip(&mut outcomes)
            .map(|(wanted, outcome)| {
                let result = DeleteRecordsPartitionResult::default()
                    .with_partition_index(wanted.partition_index);
                match outcome {
                    Ok(low_watermark) => result.with_low_watermark(low_watermark),
                    Err(error) => result.with_low_watermark(-1).with_error_code(error.0),
                }
            });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}
