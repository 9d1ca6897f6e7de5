//! DescribeProducers, version 0: what a partition remembers of its idempotent producers.
//!
//! Kafka: `KafkaApis.handleDescribeProducersRequest`, `UnifiedLog.activeProducers` (4.3), KIP-664.

use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::{ApiError, ErrorCode};

use super::Broker;
use crate::log::ProducerStateEntry;
use crate::replica::ReplicaManager;

pub(super) fn handle(
    broker: &Broker,
    request: &DescribeProducersRequest,
) -> DescribeProducersResponse {
    describe_producers(&broker.replicas, request)
}

fn describe_producers(
    replicas: &ReplicaManager,
    request: &DescribeProducersRequest,
) -> DescribeProducersResponse {
    let image = replicas.metadata().image();
    let topics = request.topics.iter().map(|topic| {
        let name = &*topic.name.0;
        let topic_error = match image.topics.by_name(name) {
            Some(_) => None,
            None => Some(match super::topic_name::validate(name) {
                Ok(()) => {
                    let error = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
                    ApiError::new(error, error.message())
                }
                Err(why) => ApiError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, why),
            }),
        };
        let partitions = topic.partition_indexes.iter().map(|&index| {
            let found = match &topic_error {
                Some(error) => Err(error.clone()),
                None => find(replicas, name, index).map_err(ApiError::from),
            };
            let response = PartitionResponse::default().with_partition_index(index);
            match found {
                Ok(producers) => response.with_active_producers(producers),
                Err(error) => response
                    .with_error_code(error.code.0)
                    .with_error_message(error.message.map(StrBytes::from_string)),
            }
        });
        let partitions = partitions.collect();
        TopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

fn find(
    replicas: &ReplicaManager,
    topic: &str,
    index: i32,
) -> Result<Vec<ProducerState>, ErrorCode> {
    let partition = replicas.partition(topic, index)?;
    Ok(partition
        .log()
        .active_producers()
        .iter()
        .map(producer_state)
        .collect())
}

fn producer_state(producer: &ProducerStateEntry) -> ProducerState {
    ProducerState::default()
        .with_producer_id(producer.producer_id.into())
        .with_producer_epoch(i32::from(producer.producer_epoch))
        .with_last_sequence(producer.last_sequence())
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.current_txn_first_offset.unwrap_or(-1))
}
