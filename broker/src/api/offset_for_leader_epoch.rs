//! OffsetForLeaderEpoch, versions 2 to 4: where a leader epoch ended, so that a client or follower
//! finds out where its log departs from the leader's.
//!
//! Kafka: `KafkaApis.handleOffsetForLeaderEpochRequest` (4.3), KIP-320.

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use kafka_shared::error::ErrorCode;

use super::Broker;
use crate::replica::ReplicaManager;

pub(super) fn handle(
    broker: &Broker,
    request: &OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    offset_for_leader_epoch(&broker.replicas, request)
}

fn offset_for_leader_epoch(
    replicas: &ReplicaManager,
    request: &OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let result = EpochEndOffset::default().with_partition(wanted.partition);
            match find(replicas, &topic.topic.0, wanted) {
                Ok(None) => result,
                Ok(Some((epoch, end_offset))) => {
                    result.with_leader_epoch(epoch).with_end_offset(end_offset)
                }
                Err(error) => result.with_error_code(error.0),
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn find(
    replicas: &ReplicaManager,
    topic: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<Option<(i32, i64)>, ErrorCode> {
    let epoch = wanted.current_leader_epoch;
    replicas
        .partition(topic, wanted.partition)?
        .end_offset_for_epoch((epoch != -1).then_some(epoch), wanted.leader_epoch)
}
