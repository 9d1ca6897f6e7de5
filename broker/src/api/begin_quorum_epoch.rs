//! BeginQuorumEpoch: a leader says that it leads.
//!
//! Kafka: `KafkaRaftClient.handleBeginQuorumEpochRequest`, KIP-595, KIP-853 (4.3).

use kafka_protocol::messages::{
    BeginQuorumEpochRequest, BeginQuorumEpochResponse, begin_quorum_epoch_response::PartitionData,
};
use kafka_shared::error::ErrorCode;

use super::quorum_rpc::{
    QuorumCx, QuorumRpc, endpoints, leader_response, metadata_partition, voter_key,
};
use crate::raft::{
    driver::Served,
    rpc::{self, Request, Response},
};

impl QuorumRpc for BeginQuorumEpochRequest {
    fn question(&self, cx: &QuorumCx<'_>) -> Result<Request, ErrorCode> {
        cx.check_cluster(self.cluster_id.as_deref())?;
        let partition = metadata_partition!(self.topics, topic_name, partition_index)?;
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
        let partition = PartitionData::default();
        Some(leader_response!(
            cx,
            answer,
            BeginQuorumEpochResponse,
            begin_quorum_epoch_response,
            partition
        ))
    }

    fn failed(&self, _cx: &QuorumCx<'_>, code: ErrorCode) -> BeginQuorumEpochResponse {
        BeginQuorumEpochResponse::default().with_error_code(code.0)
    }
}
