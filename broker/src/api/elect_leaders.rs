//! ElectLeaders: the controller's work.
//!
//! Kafka: `ControllerApis.handleElectLeaders` (4.3).

use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::Broker;

pub(super) async fn handle(broker: &Broker, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let cx = broker.controller_context(Some(request.timeout_ms));
    broker.controller.elect_leaders(&cx, request).await
}
