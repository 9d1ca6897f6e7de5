//! ListPartitionReassignments: the controller's work.
//!
//! Kafka: `ControllerApis.handleListPartitionReassignments` (4.3).

use kafka_protocol::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use super::Broker;

pub(super) async fn handle(
    broker: &Broker,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let cx = broker.controller_context(Some(request.timeout_ms));
    broker
        .controller
        .list_partition_reassignments(&cx, request)
        .await
}
