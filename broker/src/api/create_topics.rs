//! CreateTopics: the controller's work; the answer comes when the topics can be written to.
//!
//! Kafka: `KafkaApis.forwardToController, ControllerApis.createTopics` (4.3).

use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::Broker;

pub(super) async fn handle(broker: &Broker, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let cx = broker.controller_context(Some(request.timeout_ms));
    broker.controller.create_topics(&cx, request).await
}
