//! LeaveGroup: members leave, or an administrator removes them.
//!
//! Up to version 2 a request is about one member and the response has its error in front.
//!
//! Kafka: `KafkaApis.handleLeaveGroupRequest`, `LeaveGroupRequest.java`, `LeaveGroupResponse.java` (4.3),
//! KIP-345.

use std::sync::Arc;

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use kafka_shared::error::ErrorCode;

use super::own;
use crate::coordinator::GroupCoordinator;
use crate::coordinator::group::{LeaveRequest, LeavingMember};
use crate::network::RequestContext;

/// From this version on, many members may leave in one request.
const FIRST_BATCHED: i16 = 3;

pub(super) async fn handle(
    groups: &GroupCoordinator,
    cx: &RequestContext,
    request: &LeaveGroupRequest,
) -> LeaveGroupResponse {
    let is_batched = cx.header.api_version >= FIRST_BATCHED;
    let members: Vec<LeavingMember> = match is_batched {
        true => request
            .members
            .iter()
            .map(|member| LeavingMember {
                member_id: Arc::from(&*member.member_id),
                instance_id: member.group_instance_id.as_deref().map(Arc::from),
            })
            .collect(),
        false => vec![LeavingMember {
            member_id: Arc::from(&*request.member_id),
            instance_id: None,
        }],
    };
    let group_id = Arc::from(&**request.group_id);
    let result = groups
        .leave_group(LeaveRequest {
            group_id,
            members: members.clone(),
        })
        .await;
    match result {
        Err(error) => LeaveGroupResponse::default().with_error_code(error.0),
        Ok(errors) if !is_batched => {
            let error = errors.first().copied().unwrap_or(ErrorCode::NONE);
            LeaveGroupResponse::default().with_error_code(error.0)
        }
        Ok(errors) => {
            let members = members.iter().zip(errors).map(|(member, error)| {
                MemberResponse::default()
                    .with_member_id(own(&member.member_id))
                    .with_group_instance_id(member.instance_id.as_deref().map(own))
                    .with_error_code(error.0)
            });
            LeaveGroupResponse::default().with_members(members.collect())
        }
    }
}
