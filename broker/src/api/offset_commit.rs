//! OffsetCommit: what a group has consumed.
//!
//! Topics are named, or from version 10 on given by id. Partitions that don't exist are refused here;
//! the others go to the group's coordinator with their topic's id.
//!
//! Kafka: `KafkaApis.handleOffsetCommitRequest`, `OffsetCommitResponse.java` (4.3), KIP-848.

use std::sync::Arc;

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, TopicName};
use kafka_shared::error::ErrorCode;
use uuid::Uuid;

use super::own;
use crate::coordinator::GroupCoordinator;
use crate::coordinator::group::{CommitPartition, CommitRequest, TopicItems};
use crate::metadata::{MetadataImage, TopicImage};
use crate::network::RequestContext;

/// From this version on, topics are given by id.
const FIRST_WITH_TOPIC_IDS: i16 = 10;

pub(super) async fn handle(
    groups: &GroupCoordinator,
    image: &MetadataImage,
    cx: &RequestContext,
    request: &OffsetCommitRequest,
) -> OffsetCommitResponse {
    let version = cx.header.api_version;
    let mut response = Answer {
        topics: Vec::new(),
        by_id: version >= FIRST_WITH_TOPIC_IDS,
    };
    let mut valid = Vec::new();
    for topic in &request.topics {
        if let Some(topic) = check(image, topic, &mut response) {
            valid.push(topic);
        }
    }
    if valid.is_empty() {
        return response.build();
    }
    let asked = valid.clone();
    let result = groups
        .commit_offsets(CommitRequest {
            version,
            group_id: Arc::from(&**request.group_id),
            member_id: Arc::from(&*request.member_id),
            instance_id: request.group_instance_id.as_deref().map(Arc::from),
            generation_id: request.generation_id_or_member_epoch,
            retention_time_ms: request.retention_time_ms,
            topics: valid,
        })
        .await;
    match result {
        Ok(topics) => {
            for topic in &topics {
                for partition in &topic.partitions {
                    response.add(
                        &topic.topic,
                        topic.topic_id,
                        partition.partition,
                        partition.error,
                    );
                }
            }
        }
        Err(error) => {
            for topic in &asked {
                for partition in &topic.partitions {
                    response.add(&topic.topic, topic.topic_id, partition.partition, error);
                }
            }
        }
    }
    response.build()
}

/// The partitions of a topic that exist; those that don't are answered.
fn check(
    image: &MetadataImage,
    topic: &OffsetCommitRequestTopic,
    response: &mut Answer,
) -> Option<TopicItems<CommitPartition>> {
    let (known, unknown) = match response.by_id {
        true => (
            image.topics.by_id(topic.topic_id),
            ErrorCode::UNKNOWN_TOPIC_ID,
        ),
        false => (
            image.topics.by_name(&topic.name),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
    };
    let Some(known) = known else {
        for partition in &topic.partitions {
            response.add(
                &topic.name,
                topic.topic_id,
                partition.partition_index,
                unknown,
            );
        }
        return None;
    };
    let mut partitions = Vec::with_capacity(topic.partitions.len());
    for partition in &topic.partitions {
        if known.partition(partition.partition_index).is_some() {
            partitions.push(commit_partition(partition));
        } else {
            let error = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            response.add(&known.name, known.id, partition.partition_index, error);
        }
    }
    let TopicImage {
        name, id: topic_id, ..
    } = &**known;
    (!partitions.is_empty()).then(|| TopicItems {
        topic: name.clone(),
        topic_id: *topic_id,
        partitions,
    })
}

fn commit_partition(partition: &OffsetCommitRequestPartition) -> CommitPartition {
    CommitPartition {
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_deref().map(Box::from),
    }
}

struct Answer {
    topics: Vec<OffsetCommitResponseTopic>,
    by_id: bool,
}

impl Answer {
    fn add(&mut self, topic: &str, topic_id: Uuid, partition: i32, error: ErrorCode) {
        let is_same = |candidate: &OffsetCommitResponseTopic| match self.by_id {
            true => candidate.topic_id == topic_id,
            false => *candidate.name.0 == *topic,
        };
        // Partitions of a topic come one after the other, but for those that were refused first.
        let at = match self.topics.last() {
            Some(last) if is_same(last) => self.topics.len() - 1,
            _ => self
                .topics
                .iter()
                .position(is_same)
                .unwrap_or(self.topics.len()),
        };
        if at == self.topics.len() {
            let topic = match self.by_id {
                true => OffsetCommitResponseTopic::default().with_topic_id(topic_id),
                false => OffsetCommitResponseTopic::default().with_name(TopicName(own(topic))),
            };
            self.topics.push(topic);
        }
        self.topics[at].partitions.push(
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition)
                .with_error_code(error.0),
        );
    }

    fn build(self) -> OffsetCommitResponse {
        OffsetCommitResponse::default().with_topics(self.topics)
    }
}
