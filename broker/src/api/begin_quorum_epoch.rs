//! BeginQuorumEpoch: a leader says that it leads.
//!
//! Kafka: `KafkaRaftClient.handleBeginQuorumEpochRequest`, KIP-595, KIP-853 (4.3).

use kafka_protocol::messages::{
    BeginQuorumEpochRequest, BeginQuorumEpochResponse, BrokerId, TopicName,
    begin_quorum_epoch_response::{NodeEndpoint, PartitionData, TopicData},
};
use kafka_shared::{error::ErrorCode, types::METADATA_TOPIC_NAME};

use super::{
    own,
    quorum_rpc::{QuorumCx, QuorumRpc, endpoints, leader_id, metadata_partition, voter_key},
};
use crate::raft::{
    driver::Served,
    rpc::{self, Request, Response},
};

impl QuorumRpc for BeginQuorumEpochRequest {
    fn question(&self, cx: &QuorumCx<'_>) -> Result<Request, ErrorCode> {
        cx.check_cluster(self.cluster_id.as_deref())?;
        let partition = metadata_partition(
            &self.topics,
            |topic| topic.topic_name.as_str(),
            |topic| &topic.partitions,
            |partition| partition.partition_index,
        )
        .ok_or(ErrorCode::INVALID_REQUEST)?;
        Ok(Request::BeginQuorumEpoch(rpc::BeginQuorumEpochRequest {
            leader_id: partition.leader_id.0,
            epoch: partition.leader_epoch,
            voter: voter_key(self.voter_id.0, partition.voter_directory_id),
            endpoints: endpoints!(self.leader_endpoints),
        }))
    }

    fn answered(&self, cx: &QuorumCx<'_>, served: Served) -> Option<BeginQuorumEpochResponse> {
        let Response::BeginQuorumEpoch(answer) = served.response else {
            return None;
        };
        let partition = PartitionData::default()
            .with_error_code(answer.error.0)
            .with_leader_id(leader_id(&answer.leader))
            .with_leader_epoch(answer.leader.epoch);
        let topic = TopicData::default()
            .with_topic_name(TopicName(own(METADATA_TOPIC_NAME)))
            .with_partitions(vec![partition]);
        let mut response = BeginQuorumEpochResponse::default().with_topics(vec![topic]);
        if cx.version >= 1
            && let Some((id, host, port)) = cx.address(&answer.leader)
        {
            response.node_endpoints.push(
                NodeEndpoint::default()
                    .with_node_id(BrokerId(id))
                    .with_host(own(&host))
                    .with_port(port),
            );
        }
        Some(response)
    }

    fn failed(&self, _cx: &QuorumCx<'_>, code: ErrorCode) -> BeginQuorumEpochResponse {
        BeginQuorumEpochResponse::default().with_error_code(code.0)
    }
}
