//! DescribeTopicPartitions: topics page by page, with eligible leader replicas.
//!
//! A page holds at most `max.request.partition.size.limit` partitions; the cursor of its answer says
//! where the next one begins.
//!
//! Kafka: `DescribeTopicPartitionsRequestHandler.java`, KIP-966 (4.3).

use std::collections::BTreeSet;

use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
    describe_topic_partitions_response::{
        Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
    },
};
use kafka_shared::error::ErrorCode;
use tracing::debug;

use super::{
    Broker, answer,
    cluster::{TOPIC_OPERATIONS, ids, leader, offline_replicas},
    own, topic_name,
};
use crate::{
    metadata::{MetadataImage, PartitionRegistration, TopicImage},
    network::{Reply, RequestContext},
};

pub(super) fn handle(
    broker: &Broker,
    cx: &RequestContext,
    request: &DescribeTopicPartitionsRequest,
) -> Reply {
    let limit = broker
        .config()
        .max_request_partition_size_limit
        .min(request.response_partition_limit)
        .max(1);
    match describe(&broker.image(), &cx.connection.listener, request, limit) {
        Ok(response) => answer(cx, &response),
        Err(why) => {
            // Kafka has no place for an error of the whole in this response.
            debug!(peer = %cx.connection.peer_addr, "closing connection: {why}");
            Reply::Close
        }
    }
}

fn describe(
    image: &MetadataImage,
    listener: &str,
    request: &DescribeTopicPartitionsRequest,
    limit: i32,
) -> Result<DescribeTopicPartitionsResponse, &'static str> {
    let cursor = request.cursor.as_ref();
    let start = cursor.map_or("", |cursor| cursor.topic_name.as_str());
    if cursor.is_some_and(|cursor| cursor.partition_index < 0) {
        return Err("the cursor's partition is negative");
    }
    let is_all = request.topics.is_empty();
    let names: BTreeSet<&str> = if is_all {
        image.topics.names_from(start).map(|name| &**name).collect()
    } else {
        let names = request.topics.iter().map(|topic| topic.name.as_str());
        names.filter(|name| *name >= start).collect()
    };
    if !is_all && cursor.is_some() && !names.contains(start) {
        return Err("the cursor's topic is not among the topics");
    }
    let mut response = DescribeTopicPartitionsResponse::default();
    let mut room = limit;
    for name in names {
        if room == 0 {
            response.next_cursor = Some(cursor_at(name, 0));
            break;
        }
        let Some(topic) = image.topics.by_name(name) else {
            if !is_all {
                response.topics.push(unknown(name));
            }
            continue;
        };
        let first = match cursor {
            Some(cursor) if name == start => cursor.partition_index,
            _ => 0,
        };
        let described = describe_topic(image, listener, topic, first, room);
        let next = first.saturating_add(room);
        room -= i32::try_from(described.partitions.len()).expect("no more than the room");
        response.topics.push(described);
        if usize::try_from(next).is_ok_and(|next| next < topic.partition_count()) {
            response.next_cursor = Some(cursor_at(name, next));
            break;
        }
    }
    Ok(response)
}

fn cursor_at(topic: &str, partition: i32) -> Cursor {
    Cursor::default()
        .with_topic_name(TopicName(own(topic)))
        .with_partition_index(partition)
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match topic_name::validate(name) {
        Ok(()) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        Err(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.0)
        .with_name(Some(TopicName(own(name))))
        .with_is_internal(topic_name::is_internal(name))
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn describe_topic(
    image: &MetadataImage,
    listener: &str,
    topic: &TopicImage,
    first: i32,
    limit: i32,
) -> DescribeTopicPartitionsResponseTopic {
    let partitions = topic
        .partitions()
        .filter(|(idx, _)| *idx >= first)
        .take(usize::try_from(limit).unwrap_or(0))
        .map(|(idx, partition)| describe_partition(image, listener, idx, partition));
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(TopicName(own(&topic.name))))
        .with_topic_id(topic.id)
        .with_is_internal(topic_name::is_internal(&topic.name))
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn describe_partition(
    image: &MetadataImage,
    listener: &str,
    idx: i32,
    partition: &PartitionRegistration,
) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(idx)
        .with_leader_id(leader(image, partition, listener).unwrap_or(BrokerId(-1)))
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(ids(partition.replicas.iter()))
        .with_isr_nodes(ids(partition.isr.iter()))
        .with_eligible_leader_replicas(Some(ids(partition.elr.iter())))
        .with_last_known_elr(Some(ids(partition.last_known_elr.iter())))
        .with_offline_replicas(offline_replicas(image, partition, listener))
}
