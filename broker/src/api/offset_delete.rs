//! OffsetDelete: forgets what a group has consumed of topics that none of its members subscribes to.
//!
//! Kafka: `KafkaApis.handleOffsetDeleteRequest`, `OffsetDeleteResponse.java` (4.3), KIP-496.

use std::sync::Arc;

use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse, TopicName};
use kafka_shared::error::ErrorCode;

use super::own;
use crate::coordinator::GroupCoordinator;
use crate::coordinator::group::{DeleteOffsetsRequest, PartitionError, TopicItems};
use crate::metadata::MetadataImage;

pub(super) async fn handle(
    groups: &GroupCoordinator,
    image: &MetadataImage,
    request: &OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let mut answers: Vec<TopicItems<PartitionError>> = Vec::new();
    let mut valid = Vec::new();
    for topic in &request.topics {
        let known = image.topics.by_name(&topic.name);
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| partition.partition_index);
        let (exist, miss): (Vec<i32>, Vec<i32>) = partitions.partition(|partition| {
            known.is_some_and(|known| known.partition(*partition).is_some())
        });
        let name: Arc<str> = Arc::from(&**topic.name);
        let topic_id = known.map(|known| known.id).unwrap_or_default();
        if !miss.is_empty() {
            let error = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            let partitions = miss
                .into_iter()
                .map(|partition| PartitionError { partition, error });
            let partitions = partitions.collect();
            answers.push(TopicItems {
                topic: name.clone(),
                topic_id,
                partitions,
            });
        }
        if !exist.is_empty() {
            valid.push(TopicItems {
                topic: name,
                topic_id,
                partitions: exist,
            });
        }
    }
    // The group is asked even if no partition exists: whether it exists comes first.
    let group_id = Arc::from(&**request.group_id);
    match groups
        .delete_offsets(DeleteOffsetsRequest {
            group_id,
            topics: valid,
        })
        .await
    {
        Err(error) => OffsetDeleteResponse::default().with_error_code(error.0),
        Ok(deleted) => {
            for topic in deleted {
                match answers
                    .iter_mut()
                    .find(|answer| answer.topic == topic.topic)
                {
                    Some(answer) => answer.partitions.extend(topic.partitions),
                    None => answers.push(topic),
                }
            }
            OffsetDeleteResponse::default()
                .with_topics(answers.into_iter().map(response_topic).collect())
        }
    }
}

fn response_topic(topic: TopicItems<PartitionError>) -> OffsetDeleteResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| {
        OffsetDeleteResponsePartition::default()
            .with_partition_index(partition.partition)
            .with_error_code(partition.error.0)
    });
    OffsetDeleteResponseTopic::default()
        .with_name(TopicName(own(&topic.topic)))
        .with_partitions(partitions.collect())
}
