//! UpdateFeatures: the controller's work.
//!
//! Kafka: `ControllerApis.handleUpdateFeatures` (4.3).

use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::Broker;

pub(super) async fn handle(
    broker: &Broker,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    let cx = broker.controller_context(Some(request.timeout_ms));
    broker.controller.update_features(&cx, request).await
}
