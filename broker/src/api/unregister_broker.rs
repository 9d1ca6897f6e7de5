//! UnregisterBroker: forgets a broker that will not come back.
//!
//! A live one may be forgotten too, as in Kafka: it serves nobody until it is started again.
//!
//! Kafka: `ControllerApis.handleUnregisterBroker` (4.3), KIP-631.

use kafka_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use super::Broker;

pub(super) async fn handle(
    broker: &Broker,
    request: UnregisterBrokerRequest,
) -> UnregisterBrokerResponse {
    let cx = broker.controller_context(None);
    broker.controller.unregister_broker(&cx, request).await
}
