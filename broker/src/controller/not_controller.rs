//! Responses that say that the answering controller is not the active one.
//!
//! Such a response never reaches a client of a broker: the broker looks for the active controller
//! and asks again. A client that asks a controller itself gets it, and does the same.
//!
//! Kafka: `AbstractResponse.errorCounts`, `NodeToControllerRequestThread.java` (4.3).

use kafka_protocol::messages::{
    AddRaftVoterResponse, AllocateProducerIdsResponse, AlterClientQuotasResponse,
    AlterConfigsResponse, AlterPartitionReassignmentsResponse, AlterPartitionResponse,
    AlterUserScramCredentialsResponse, ApiVersionsResponse, AssignReplicasToDirsResponse,
    BeginQuorumEpochResponse, BrokerHeartbeatResponse, BrokerRegistrationResponse,
    ControllerRegistrationResponse, CreateAclsResponse, CreatePartitionsResponse,
    CreateTopicsResponse, DeleteAclsResponse, DeleteTopicsResponse, DescribeAclsResponse,
    DescribeClusterResponse, DescribeConfigsResponse, DescribeQuorumResponse, ElectLeadersResponse,
    EndQuorumEpochResponse, EnvelopeResponse, FetchSnapshotResponse,
    IncrementalAlterConfigsResponse, ListPartitionReassignmentsResponse, RemoveRaftVoterResponse,
    UnregisterBrokerResponse, UpdateFeaturesResponse, UpdateRaftVoterResponse, VoteResponse,
};
use kafka_shared::error::ErrorCode;

/// A response of a controller.
pub trait NotController {
    /// Whether NOT_CONTROLLER stands in any of its places for errors.
    fn is_not_controller(&self) -> bool;
}

fn says_so(code: i16) -> bool {
    ErrorCode(code) == ErrorCode::NOT_CONTROLLER
}

/// Of each response type, where its error codes are.
macro_rules! codes {
    ($($response:ty: |$r:ident| $codes:expr;)*) => {$(
        impl NotController for $response {
            fn is_not_controller(&self) -> bool {
                let $r = self;
                $codes
            }
        }
    )*};
}

codes! {
    AddRaftVoterResponse: |r| says_so(r.error_code);
    AllocateProducerIdsResponse: |r| says_so(r.error_code);
    AlterClientQuotasResponse: |r| r.entries.iter().any(|e| says_so(e.error_code));
    AlterConfigsResponse: |r| r.responses.iter().any(|r| says_so(r.error_code));
    AlterPartitionReassignmentsResponse: |r| says_so(r.error_code)
        || r.responses.iter().flat_map(|t| &t.partitions).any(|p| says_so(p.error_code));
    AlterPartitionResponse: |r| says_so(r.error_code)
        || r.topics.iter().flat_map(|t| &t.partitions).any(|p| says_so(p.error_code));
    AlterUserScramCredentialsResponse: |r| r.results.iter().any(|u| says_so(u.error_code));
    ApiVersionsResponse: |r| says_so(r.error_code);
    AssignReplicasToDirsResponse: |r| says_so(r.error_code);
    BeginQuorumEpochResponse: |r| says_so(r.error_code);
    BrokerHeartbeatResponse: |r| says_so(r.error_code);
    BrokerRegistrationResponse: |r| says_so(r.error_code);
    ControllerRegistrationResponse: |r| says_so(r.error_code);
    CreateAclsResponse: |r| r.results.iter().any(|a| says_so(a.error_code));
    CreatePartitionsResponse: |r| r.results.iter().any(|r| says_so(r.error_code));
    CreateTopicsResponse: |r| r.topics.iter().any(|t| says_so(t.error_code));
    DeleteAclsResponse: |r| r.filter_results.iter().any(|f| says_so(f.error_code));
    DeleteTopicsResponse: |r| r.responses.iter().any(|t| says_so(t.error_code));
    DescribeAclsResponse: |r| says_so(r.error_code);
    DescribeClusterResponse: |r| says_so(r.error_code);
    DescribeConfigsResponse: |r| r.results.iter().any(|r| says_so(r.error_code));
    DescribeQuorumResponse: |r| says_so(r.error_code);
    ElectLeadersResponse: |r| says_so(r.error_code) || r
        .replica_election_results
        .iter()
        .flat_map(|t| &t.partition_result)
        .any(|p| says_so(p.error_code));
    EndQuorumEpochResponse: |r| says_so(r.error_code);
    EnvelopeResponse: |r| says_so(r.error_code);
    FetchSnapshotResponse: |r| says_so(r.error_code);
    IncrementalAlterConfigsResponse: |r| r.responses.iter().any(|r| says_so(r.error_code));
    ListPartitionReassignmentsResponse: |r| says_so(r.error_code);
    RemoveRaftVoterResponse: |r| says_so(r.error_code);
    UnregisterBrokerResponse: |r| says_so(r.error_code);
    UpdateFeaturesResponse: |r| says_so(r.error_code);
    UpdateRaftVoterResponse: |r| says_so(r.error_code);
    VoteResponse: |r| says_so(r.error_code);
}
