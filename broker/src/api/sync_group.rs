//! SyncGroup: the leader brings the assignments, every member gets its own.
//!
//! Kafka: `KafkaApis.handleSyncGroupRequest`, `SyncGroupRequest.java` (4.3), KIP-559.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use kafka_shared::error::ErrorCode;

use super::own;
use crate::coordinator::GroupCoordinator;
use crate::coordinator::group::{SyncReply, SyncRequest};
use crate::network::RequestContext;

/// From this version on, clients must say what protocol they mean.
const PROTOCOL_REQUIRED_VERSION: i16 = 5;

pub(super) async fn handle(
    groups: &GroupCoordinator,
    cx: &RequestContext,
    request: &SyncGroupRequest,
) -> SyncGroupResponse {
    let version = cx.header.api_version;
    let has_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if version >= PROTOCOL_REQUIRED_VERSION && !has_protocol {
        return response(
            SyncReply::error(ErrorCode::INCONSISTENT_GROUP_PROTOCOL),
            version,
        );
    }
    let assignments = request.assignments.iter().map(|assignment| {
        let member_id = Arc::from(&*assignment.member_id);
        (member_id, Bytes::copy_from_slice(&assignment.assignment))
    });
    let reply = groups
        .sync_group(SyncRequest {
            group_id: Arc::from(&**request.group_id),
            generation_id: request.generation_id,
            member_id: Arc::from(&*request.member_id),
            instance_id: request.group_instance_id.as_deref().map(Arc::from),
            protocol_type: request.protocol_type.as_deref().map(Arc::from),
            protocol_name: request.protocol_name.as_deref().map(Arc::from),
            assignments: assignments.collect(),
        })
        .await;
    response(reply, version)
}

fn response(reply: SyncReply, version: i16) -> SyncGroupResponse {
    let since = |name: Option<Arc<str>>| {
        name.as_deref()
            .map(own)
            .filter(|_| version >= PROTOCOL_REQUIRED_VERSION)
    };
    SyncGroupResponse::default()
        .with_error_code(reply.error.0)
        .with_protocol_type(since(reply.protocol_type))
        .with_protocol_name(since(reply.protocol_name))
        .with_assignment(reply.assignment)
}
