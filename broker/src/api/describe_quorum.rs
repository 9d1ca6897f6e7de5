//! DescribeQuorum: who leads the metadata quorum, and how far its voters and observers are.
//!
//! Kafka: `KafkaRaftClient.handleDescribeQuorumRequest`, KIP-595, KIP-836, KIP-853 (4.3).

use kafka_protocol::messages::{
    BrokerId, DescribeQuorumRequest, DescribeQuorumResponse, TopicName,
    describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData},
};
use kafka_shared::{error::ErrorCode, types::METADATA_TOPIC_NAME};

use super::{Node as ThisNode, message, own};
use crate::{
    network::RequestContext,
    raft::{
        ReplicaKey,
        machine::{QuorumInfo, ReplicaProgress},
    },
};

/// From this version on errors have messages, voters directories and nodes endpoints.
const NODES_SINCE: i16 = 2;

pub(super) fn handle(
    node: &ThisNode,
    cx: &RequestContext,
    request: &DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let version = cx.header.api_version;
    let is_metadata = match request.topics.as_slice() {
        [topic] => {
            topic.topic_name.as_str() == METADATA_TOPIC_NAME
                && matches!(topic.partitions.as_slice(), [only] if only.partition_index == 0)
        }
        _ => false,
    };
    if !is_metadata {
        return failed(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, version, request);
    }
    let info = node.raft.quorum_info();
    let partition = if info.is_leader {
        described(&info, version)
    } else {
        PartitionData::default()
            .with_error_code(ErrorCode::NOT_LEADER_OR_FOLLOWER.0)
            .with_leader_id(BrokerId(info.leader_id))
            .with_leader_epoch(info.epoch)
    };
    let topic = TopicData::default()
        .with_topic_name(TopicName(own(METADATA_TOPIC_NAME)))
        .with_partitions(vec![partition]);
    let response = DescribeQuorumResponse::default().with_topics(vec![topic]);
    if version < NODES_SINCE {
        return response;
    }
    let nodes = node
        .raft
        .voters()
        .iter()
        .map(|voter| {
            let listeners = voter.endpoints.iter().map(|endpoint| {
                Listener::default()
                    .with_name(own(&endpoint.name))
                    .with_host(own(&endpoint.host))
                    .with_port(endpoint.port)
            });
            Node::default()
                .with_node_id(BrokerId(voter.key.id))
                .with_listeners(listeners.collect())
        })
        .collect();
    response.with_nodes(nodes)
}

fn failed(
    code: ErrorCode,
    version: i16,
    request: &DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let why = (version >= NODES_SINCE).then(|| message(code, None));
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            PartitionData::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code.0)
                .with_error_message(why.clone())
        });
        TopicData::default()
            .with_topic_name(topic.topic_name.clone())
            .with_partitions(partitions.collect())
    });
    DescribeQuorumResponse::default().with_topics(topics.collect())
}

fn described(info: &QuorumInfo, version: i16) -> PartitionData {
    let states = |replicas: &[(ReplicaKey, ReplicaProgress)]| {
        replicas
            .iter()
            .map(|(key, progress)| state(*key, progress, version))
            .collect::<Vec<_>>()
    };
    PartitionData::default()
        .with_leader_id(BrokerId(info.leader_id))
        .with_leader_epoch(info.epoch)
        .with_high_watermark(info.high_watermark)
        .with_current_voters(states(&info.voters))
        .with_observers(states(&info.observers))
}

fn state(key: ReplicaKey, progress: &ReplicaProgress, version: i16) -> ReplicaState {
    let state = ReplicaState::default()
        .with_replica_id(BrokerId(key.id))
        .with_log_end_offset(progress.end_offset);
    let state = match version {
        0 => state,
        _ => state
            .with_last_fetch_timestamp(progress.last_fetch_ms)
            .with_last_caught_up_timestamp(progress.last_caught_up_ms),
    };
    match version {
        ..NODES_SINCE => state,
        _ => state.with_replica_directory_id(key.directory_id),
    }
}
