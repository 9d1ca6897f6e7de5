//! UpdateRaftVoter: a voter tells the leader its listeners and what levels of kraft.version it can
//! work at.
//!
//! Kafka: `KafkaRaftClient.handleUpdateVoterRequest`, KIP-853 (4.3).

use kafka_protocol::messages::{
    UpdateRaftVoterRequest, UpdateRaftVoterResponse, update_raft_voter_response::CurrentLeader,
};
use kafka_shared::error::ErrorCode;

use super::{
    own,
    quorum_rpc::{QuorumCx, QuorumRpc, endpoints, leader_id},
};
use crate::raft::{
    ReplicaKey,
    driver::Served,
    rpc::{self, Request, Response},
};

impl QuorumRpc for UpdateRaftVoterRequest {
    fn question(&self, cx: &QuorumCx<'_>) -> Result<Request, ErrorCode> {
        cx.check_cluster(self.cluster_id.as_deref())?;
        Ok(Request::UpdateRaftVoter(rpc::UpdateRaftVoterRequest {
            epoch: self.current_leader_epoch,
            voter: ReplicaKey {
                id: self.voter_id,
                directory_id: self.voter_directory_id,
            },
            endpoints: endpoints!(self.listeners),
            kraft_version_min: self.k_raft_version_feature.min_supported_version,
            kraft_version_max: self.k_raft_version_feature.max_supported_version,
        }))
    }

    fn answered(&self, cx: &QuorumCx<'_>, served: Served) -> Option<UpdateRaftVoterResponse> {
        let Response::UpdateRaftVoter(answer) = served.response else {
            return None;
        };
        let mut leader = CurrentLeader::default()
            .with_leader_id(leader_id(&answer.leader))
            .with_leader_epoch(answer.leader.epoch);
        if let Some((_, host, port)) = cx.address(&answer.leader) {
            leader = leader.with_host(own(&host)).with_port(i32::from(port));
        }
        Some(
            UpdateRaftVoterResponse::default()
                .with_error_code(answer.error.0)
                .with_current_leader(leader),
        )
    }

    fn failed(&self, _cx: &QuorumCx<'_>, code: ErrorCode) -> UpdateRaftVoterResponse {
        UpdateRaftVoterResponse::default().with_error_code(code.0)
    }
}
