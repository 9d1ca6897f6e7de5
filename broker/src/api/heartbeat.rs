//! Heartbeat: a member is alive, and learns whether it has to join again.
//!
//! Kafka: `KafkaApis.handleHeartbeatRequest` (4.3).

use std::sync::Arc;

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use kafka_shared::error::ErrorCode;

use crate::coordinator::GroupCoordinator;
use crate::coordinator::group;

pub(super) async fn handle(
    groups: &GroupCoordinator,
    request: &HeartbeatRequest,
) -> HeartbeatResponse {
    let result = groups
        .heartbeat(group::HeartbeatRequest {
            group_id: Arc::from(&**request.group_id),
            generation_id: request.generation_id,
            member_id: Arc::from(&*request.member_id),
            instance_id: request.group_instance_id.as_deref().map(Arc::from),
        })
        .await;
    let error = result.err().unwrap_or(ErrorCode::NONE);
    HeartbeatResponse::default().with_error_code(error.0)
}
