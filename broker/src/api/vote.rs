//! Vote: a node wants to lead the metadata quorum, or would like to know whether it could.
//!
//! Kafka: `KafkaRaftClient.handleVoteRequest`, KIP-595, KIP-853, KIP-996 (4.3).

use kafka_protocol::messages::{
    BrokerId, TopicName, VoteRequest, VoteResponse,
    vote_response::{NodeEndpoint, PartitionData, TopicData},
};
use kafka_shared::{error::ErrorCode, types::METADATA_TOPIC_NAME};

use super::{
    own,
    quorum_rpc::{QuorumCx, QuorumRpc, leader_id, metadata_partition, voter_key},
};
use crate::raft::{
    ReplicaKey,
    driver::Served,
    rpc::{self, LogEnd, Request, Response},
};

impl QuorumRpc for VoteRequest {
    fn question(&self, cx: &QuorumCx<'_>) -> Result<Request, ErrorCode> {
        cx.check_cluster(self.cluster_id.as_deref())?;
        let partition = metadata_partition(
            &self.topics,
            |topic| topic.topic_name.as_str(),
            |topic| &topic.partitions,
            |partition| partition.partition_index,
        )
        .ok_or(ErrorCode::INVALID_REQUEST)?;
        Ok(Request::Vote(rpc::VoteRequest {
            candidate: ReplicaKey {
                id: partition.replica_id.0,
                directory_id: partition.replica_directory_id,
            },
            epoch: partition.replica_epoch,
            voter: voter_key(self.voter_id.0, partition.voter_directory_id),
            log: LogEnd {
                end_offset: partition.last_offset,
                last_epoch: partition.last_offset_epoch,
            },
            pre_vote: partition.pre_vote,
        }))
    }

    fn answered(&self, cx: &QuorumCx<'_>, served: Served) -> Option<VoteResponse> {
        let Response::Vote(answer) = served.response else {
            return None;
        };
        let partition = PartitionData::default()
            .with_error_code(answer.error.0)
            .with_leader_id(leader_id(&answer.leader))
            .with_leader_epoch(answer.leader.epoch)
            .with_vote_granted(answer.vote_granted);
        let topic = TopicData::default()
            .with_topic_name(TopicName(own(METADATA_TOPIC_NAME)))
            .with_partitions(vec![partition]);
        let mut response = VoteResponse::default().with_topics(vec![topic]);
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

    fn failed(&self, _cx: &QuorumCx<'_>, code: ErrorCode) -> VoteResponse {
        VoteResponse::default().with_error_code(code.0)
    }
}
