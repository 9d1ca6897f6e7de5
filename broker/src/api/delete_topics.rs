//! DeleteTopics: the controller's work, unless `delete.topic.enable` forbids it.
//!
//! Kafka: `ControllerApis.deleteTopics` (4.3).

use kafka_protocol::messages::{
    DeleteTopicsRequest, DeleteTopicsResponse, delete_topics_response::DeletableTopicResult,
};
use kafka_shared::error::ErrorCode;

use super::{Node, controller::ControllerCx, message};

/// Since this version clients know TOPIC_DELETION_DISABLED.
const DELETION_DISABLED_SINCE: i16 = 3;

pub(super) async fn handle(
    node: &Node,
    cx: &ControllerCx<'_>,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    if node.config().delete_topic_enable {
        let asker = cx.asker(node, Some(request.timeout_ms));
        return cx.controller.delete_topics(&asker, request).await;
    }
    let (code, why) = if cx.request.header.api_version < DELETION_DISABLED_SINCE {
        let why = "This version does not support topic deletion.";
        (ErrorCode::INVALID_REQUEST, Some(why))
    } else {
        (ErrorCode::TOPIC_DELETION_DISABLED, None)
    };
    let refused = || {
        DeletableTopicResult::default()
            .with_error_code(code.0)
            .with_error_message(Some(message(code, why)))
    };
    let by_name = request
        .topic_names
        .iter()
        .map(|name| refused().with_name(Some(name.clone())));
    let by_state = request.topics.iter().map(|topic| {
        refused()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id)
    });
    DeleteTopicsResponse::default().with_responses(by_name.chain(by_state).collect())
}
