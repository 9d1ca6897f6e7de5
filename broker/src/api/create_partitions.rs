//! CreatePartitions: the controller's work.
//!
//! Kafka: `ControllerApis.createPartitions` (4.3).

use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::Broker;

pub(super) async fn handle(
    broker: &Broker,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let cx = broker.controller_context(Some(request.timeout_ms));
    broker.controller.create_partitions(&cx, request).await
}
