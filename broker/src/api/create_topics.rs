//! CreateTopics at a broker: the controller's work.
//!
//! Kafka: `KafkaApis.forwardToController` (4.3).

use std::time::Duration;

use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use kafka_shared::error::ErrorCode;

use super::{Broker, answer, forward};
use crate::network::{Reply, RequestContext};

/// How long the answer waits for the metadata that the controller has written already.
const VISIBLE_DEADLINE: Duration = Duration::from_secs(1);

pub(super) async fn handle(
    broker: &Broker,
    cx: &RequestContext,
    request: CreateTopicsRequest,
) -> Reply {
    let is_validate_only = request.validate_only;
    match forward::request(broker, cx, request, forward::FORWARDING_TIMEOUT).await {
        Ok(response) => {
            if !is_validate_only {
                wait_until_visible(broker, &response).await;
            }
            answer(cx, &response)
        }
        Err(reply) => reply,
    }
}

/// Waits until the new topics are in the metadata of this node.
// Differs from Kafka: there the answer comes before that, and a client that writes at once to the
// topic that it has made is told UNKNOWN_TOPIC_OR_PARTITION for a moment.
pub(super) async fn wait_until_visible(broker: &Broker, response: &CreateTopicsResponse) {
    let created: Vec<&str> = response
        .topics
        .iter()
        .filter(|topic| topic.error_code == ErrorCode::NONE.0)
        .map(|topic| topic.name.as_str())
        .collect();
    // Whoever waits longer asks again, as every client of Kafka does.
    let _visible = broker
        .metadata
        .wait_until(VISIBLE_DEADLINE, |image| {
            let is_there = |name: &&str| image.topics.by_name(name).is_some();
            created.iter().all(is_there)
        })
        .await;
}
