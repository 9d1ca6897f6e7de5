//! RemoveRaftVoter: a voter of the metadata quorum becomes an observer.
//!
//! Kafka: `KafkaRaftClient.handleRemoveVoterRequest`, KIP-853 (4.3).

use kafka_protocol::messages::{RemoveRaftVoterRequest, RemoveRaftVoterResponse};
use kafka_shared::error::ErrorCode;

use super::{
    add_raft_voter::why,
    message, own,
    quorum_rpc::{QuorumCx, QuorumRpc},
};
use crate::raft::{
    ReplicaKey,
    driver::Served,
    rpc::{self, Request, Response},
};

impl QuorumRpc for RemoveRaftVoterRequest {
    fn question(&self, cx: &QuorumCx<'_>) -> Result<Request, ErrorCode> {
        cx.check_cluster(self.cluster_id.as_deref())?;
        Ok(Request::RemoveRaftVoter(rpc::RemoveRaftVoterRequest {
            voter: ReplicaKey {
                id: self.voter_id,
                directory_id: self.voter_directory_id,
            },
        }))
    }

    fn answered(&self, _cx: &QuorumCx<'_>, served: Served) -> Option<RemoveRaftVoterResponse> {
        let Response::RemoveRaftVoter(answer) = served.response else {
            return None;
        };
        let why = (answer.error != ErrorCode::NONE)
            .then(|| message(answer.error, answer.message.as_deref()));
        Some(
            RemoveRaftVoterResponse::default()
                .with_error_code(answer.error.0)
                .with_error_message(why),
        )
    }

    fn failed(&self, cx: &QuorumCx<'_>, code: ErrorCode) -> RemoveRaftVoterResponse {
        RemoveRaftVoterResponse::default()
            .with_error_code(code.0)
            .with_error_message(Some(own(&why(cx, self.cluster_id.as_deref(), code))))
    }
}
