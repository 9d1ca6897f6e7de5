//! AddRaftVoter: makes a replica a voter of the metadata quorum.
//!
//! Kafka: `KafkaRaftClient.handleAddVoterRequest`, KIP-853 (4.3).

use std::time::Duration;

use kafka_protocol::messages::AddRaftVoterResponse;
use kafka_shared::{error::ErrorCode, protocol::messages::AddRaftVoterRequest};

use super::{
    message, own,
    quorum_rpc::{QuorumCx, QuorumRpc, endpoints, serve},
};
use crate::raft::{
    ReplicaKey,
    driver::Served,
    rpc::{self, Request, Response},
};

/// Answers within the time that the request allows.
pub(crate) async fn handle(cx: QuorumCx<'_>, request: AddRaftVoterRequest) -> AddRaftVoterResponse {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let late = request.failed(&cx, ErrorCode::REQUEST_TIMED_OUT);
    tokio::time::timeout(timeout, serve(cx, request))
        .await
        .unwrap_or(late)
}

impl QuorumRpc for AddRaftVoterRequest {
    fn question(&self, cx: &QuorumCx<'_>) -> Result<Request, ErrorCode> {
        cx.check_cluster(self.cluster_id.as_deref())?;
        Ok(Request::AddRaftVoter(rpc::AddRaftVoterRequest {
            voter: ReplicaKey {
                id: self.voter_id,
                directory_id: self.voter_directory_id,
            },
            endpoints: endpoints!(self.listeners),
            ack_when_committed: self.ack_when_committed,
        }))
    }

    fn answered(&self, _cx: &QuorumCx<'_>, served: Served) -> Option<AddRaftVoterResponse> {
        let Response::AddRaftVoter(answer) = served.response else {
            return None;
        };
        let why = (answer.error != ErrorCode::NONE)
            .then(|| message(answer.error, answer.message.as_deref()));
        Some(
            AddRaftVoterResponse::default()
                .with_error_code(answer.error.0)
                .with_error_message(why),
        )
    }

    fn failed(&self, cx: &QuorumCx<'_>, code: ErrorCode) -> AddRaftVoterResponse {
        AddRaftVoterResponse::default()
            .with_error_code(code.0)
            .with_error_message(Some(own(&why(cx, self.cluster_id.as_deref(), code))))
    }
}

/// What is wrong with a request as a whole, for people.
pub(super) fn why(cx: &QuorumCx<'_>, cluster_id: Option<&str>, code: ErrorCode) -> String {
    if code == ErrorCode::INCONSISTENT_CLUSTER_ID {
        let (theirs, ours) = (cluster_id.unwrap_or_default(), cx.raft.cluster_id());
        return format!("The request is for the cluster \"{theirs}\"; this one is \"{ours}\"");
    }
    code.message().to_owned()
}
