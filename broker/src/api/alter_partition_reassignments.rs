//! AlterPartitionReassignments: the controller's work.
//!
//! Kafka: `ControllerApis.handleAlterPartitionReassignments` (4.3).

use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};

use super::Broker;

pub(super) async fn handle(
    broker: &Broker,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let cx = broker.controller_context(Some(request.timeout_ms));
    broker
        .controller
        .alter_partition_reassignments(&cx, request)
        .await
}
