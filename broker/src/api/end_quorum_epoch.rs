//! EndQuorumEpoch: a leader says that it leads no longer, and who should.
//!
//! Kafka: `KafkaRaftClient.handleEndQuorumEpochRequest`, KIP-595, KIP-853 (4.3).

use kafka_protocol::messages::{
    EndQuorumEpochRequest, EndQuorumEpochResponse, end_quorum_epoch_request::ReplicaInfo,
    end_quorum_epoch_response::PartitionData,
};
use kafka_shared::{error::ErrorCode, types::Uuid};

use super::quorum_rpc::{QuorumCx, QuorumRpc, endpoints, leader_response, metadata_partition};
use crate::raft::{
    ReplicaKey,
    driver::Served,
    rpc::{self, Request, Response},
};

impl QuorumRpc for EndQuorumEpochRequest {
    fn question(&self, cx: &QuorumCx<'_>) -> Result<Request, ErrorCode> {
        cx.check_cluster(self.cluster_id.as_deref())?;
        let partition = metadata_partition!(self.topics, topic_name, partition_index)?;
        let preferred_candidates = if cx.version == 0 {
            let candidate = |id: &i32| ReplicaKey {
                id: *id,
                directory_id: Uuid::nil(),
            };
            partition
                .preferred_successors
                .iter()
                .map(candidate)
                .collect()
        } else {
            let candidates = partition.preferred_candidates.iter();
            let candidate = |candidate: &ReplicaInfo| ReplicaKey {
                id: candidate.candidate_id.0,
                directory_id: candidate.candidate_directory_id,
            };
            candidates.map(candidate).collect()
        };
        Ok(Request::EndQuorumEpoch(rpc::EndQuorumEpochRequest {
            leader_id: partition.leader_id.0,
            epoch: partition.leader_epoch,
            preferred_candidates,
            endpoints: endpoints!(self.leader_endpoints),
        }))
    }

    fn answered(&self, cx: &QuorumCx<'_>, served: Served) -> Option<EndQuorumEpochResponse> {
        let Response::EndQuorumEpoch(answer) = served.response else {
            return None;
        };
        let partition = PartitionData::default();
        Some(leader_response!(
            cx,
            answer,
            EndQuorumEpochResponse,
            end_quorum_epoch_response,
            partition
        ))
    }

    fn failed(&self, _cx: &QuorumCx<'_>, code: ErrorCode) -> EndQuorumEpochResponse {
        EndQuorumEpochResponse::default().with_error_code(code.0)
    }
}
