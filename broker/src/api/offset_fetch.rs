//! OffsetFetch: what groups have committed, for some partitions or for all.
//!
//! | versions | asks for |
//! |---|---|
//! | 1–7 | one group; all its topics (null) from version 2 on |
//! | 8–9 | several groups |
//! | 10 | several groups, topics by id |
//!
//! Kafka: `KafkaApis.handleOffsetFetchRequest`, `OffsetFetchResponse.java` (4.3), KIP-447, KIP-709,
//! KIP-848.

use std::sync::Arc;

use futures_util::future::join_all;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;

use super::own;
use crate::coordinator::GroupCoordinator;
use crate::coordinator::group::{FetchRequest, FetchedPartition, TopicItems};
use crate::metadata::MetadataImage;
use crate::network::RequestContext;

/// From this version on, an error of the group stands in front and all topics can be asked for.
const FIRST_WITH_GROUP_ERROR: i16 = 2;
/// From this version on, several groups can be asked for.
const FIRST_BATCHED: i16 = 8;
/// From this version on, topics are given by id.
const FIRST_WITH_TOPIC_IDS: i16 = 10;

pub(super) async fn handle(
    groups: &GroupCoordinator,
    image: &MetadataImage,
    cx: &RequestContext,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let version = cx.header.api_version;
    let require_stable = request.require_stable;
    let asked = match version {
        FIRST_BATCHED.. => request.groups,
        _ => vec![single(request)],
    };
    let fetches = asked
        .iter()
        .map(|group| fetch(groups, image, version, group, require_stable));
    let mut answers = join_all(fetches).await;
    if version >= FIRST_BATCHED {
        return OffsetFetchResponse::default().with_groups(answers);
    }
    match answers.pop() {
        Some(group) => single_response(group, version),
        None => OffsetFetchResponse::default(),
    }
}

/// The one group of an old request, in the new form.
fn single(request: OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topics = request.topics.map(|topics| {
        topics
            .into_iter()
            .map(|topic| {
                OffsetFetchRequestTopics::default()
                    .with_name(topic.name)
                    .with_partition_indexes(topic.partition_indexes)
            })
            .collect()
    });
    OffsetFetchRequestGroup::default()
        .with_group_id(request.group_id)
        .with_topics(topics)
}

fn single_response(group: OffsetFetchResponseGroup, version: i16) -> OffsetFetchResponse {
    let partition = |partition: OffsetFetchResponsePartitions| {
        let response = OffsetFetchResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_committed_offset(partition.committed_offset)
            .with_metadata(partition.metadata)
            .with_error_code(partition.error_code);
        match version {
            ..5 => response,
            _ => response.with_committed_leader_epoch(partition.committed_leader_epoch),
        }
    };
    let topics = group.topics.into_iter().map(|topic| {
        OffsetFetchResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(topic.partitions.into_iter().map(partition).collect())
    });
    let response = OffsetFetchResponse::default().with_topics(topics.collect());
    match version {
        ..FIRST_WITH_GROUP_ERROR => response,
        _ => response.with_error_code(group.error_code),
    }
}

async fn fetch(
    groups: &GroupCoordinator,
    image: &MetadataImage,
    version: i16,
    group: &OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let by_id = version >= FIRST_WITH_TOPIC_IDS;
    let mut unknown = Vec::new();
    let topics = group.topics.as_ref().map(|topics| {
        let mut known = Vec::with_capacity(topics.len());
        for topic in topics {
            let name = match by_id {
                true => image.topics.name_of(topic.topic_id).cloned(),
                false => Some(Arc::from(&**topic.name)),
            };
            match name {
                Some(name) => known.push(TopicItems {
                    topic: name,
                    topic_id: topic.topic_id,
                    partitions: topic.partition_indexes.clone(),
                }),
                None => unknown.push(error_topic(topic, ErrorCode::UNKNOWN_TOPIC_ID)),
            }
        }
        known
    });
    let wants_all = topics.is_none();
    let request = FetchRequest {
        group_id: Arc::from(&**group.group_id),
        topics,
        require_stable,
    };
    let response = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
    match groups.fetch_offsets(request).await {
        Err(error) if version >= FIRST_WITH_GROUP_ERROR => response.with_error_code(error.0),
        Err(error) => {
            let topics = group.topics.iter().flatten();
            response.with_topics(topics.map(|topic| error_topic(topic, error)).collect())
        }
        Ok(fetched) => {
            let mut topics: Vec<_> = fetched
                .into_iter()
                .filter_map(|topic| response_topic(image, by_id, wants_all, topic))
                .collect();
            topics.append(&mut unknown);
            response.with_topics(topics)
        }
    }
}

/// None for a topic whose id is not known any more: a client that goes by ids can't be told of it.
fn response_topic(
    image: &MetadataImage,
    by_id: bool,
    wants_all: bool,
    topic: TopicItems<FetchedPartition>,
) -> Option<OffsetFetchResponseTopics> {
    let partitions = topic.partitions.into_iter().map(|partition| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(partition.partition)
            .with_committed_offset(partition.offset)
            .with_committed_leader_epoch(partition.leader_epoch)
            .with_metadata(Some(own(&partition.metadata)))
            .with_error_code(partition.error.0)
    });
    let response = OffsetFetchResponseTopics::default().with_partitions(partitions.collect());
    if !by_id {
        return Some(response.with_name(TopicName(own(&topic.topic))));
    }
    let topic_id = match wants_all {
        true => image.topics.id_of(&topic.topic)?,
        false => topic.topic_id,
    };
    Some(response.with_topic_id(topic_id))
}

fn error_topic(topic: &OffsetFetchRequestTopics, error: ErrorCode) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.iter().map(|partition| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(*partition)
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::default()))
            .with_error_code(error.0)
    });
    let response = OffsetFetchResponseTopics::default().with_partitions(partitions.collect());
    match topic.topic_id.is_nil() {
        true => response.with_name(topic.name.clone()),
        false => response.with_topic_id(topic.topic_id),
    }
}
