//! Vote: a node wants to lead the metadata quorum, or would like to know whether it could.
//!
//! Kafka: `KafkaRaftClient.handleVoteRequest`, KIP-595, KIP-853, KIP-996 (4.3).

use kafka_protocol::messages::{VoteRequest, VoteResponse, vote_response::PartitionData};
use kafka_shared::error::ErrorCode;

use super::quorum_rpc::{QuorumCx, QuorumRpc, leader_response, metadata_partition, voter_key};
use crate::raft::{
    ReplicaKey,
    driver::Served,
    rpc::{self, LogEnd, Request, Response},
};

impl QuorumRpc for VoteRequest {
    fn question(&self, cx: &QuorumCx<'_>) -> Result<Request, ErrorCode> {
        cx.check_cluster(self.cluster_id.as_deref())?;
        let partition = metadata_partition!(self.topics, topic_name, partition_index)?;
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
        let partition = PartitionData::default().with_vote_granted(answer.vote_granted);
        Some(leader_response!(
            cx,
            answer,
            VoteResponse,
            vote_response,
            partition
        ))
    }

    fn failed(&self, _cx: &QuorumCx<'_>, code: ErrorCode) -> VoteResponse {
        VoteResponse::default().with_error_code(code.0)
    }
}
