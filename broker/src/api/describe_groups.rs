//! DescribeGroups: classic groups with their members.
//!
//! A group that does not exist is described as dead; from version 6 on it is also an error.
//!
//! Kafka: `KafkaApis.handleDescribeGroupsRequest` (4.3), KIP-430, KIP-1043.

use std::sync::Arc;

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use super::own;
use crate::coordinator::GroupCoordinator;
use crate::coordinator::group;
use crate::network::RequestContext;

/// Operations on a group as bits of their ACL codes: read, delete, describe, describe configs, alter
/// configs. Nothing is forbidden as long as there is no authorizer.
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub(super) async fn handle(
    groups: &GroupCoordinator,
    cx: &RequestContext,
    request: &DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let version = cx.header.api_version;
    let mut described = Vec::with_capacity(request.groups.len());
    for group_id in &request.groups {
        let response = DescribedGroup::default().with_group_id(group_id.clone());
        let group = match groups
            .describe_group(Arc::from(&*group_id.0), version)
            .await
        {
            Ok(group) => response_group(group, version),
            Err(error) => response.with_error_code(error.0),
        };
        let with_operations = version >= 3 && request.include_authorized_operations;
        described.push(match group.error_code {
            0 if with_operations => group.with_authorized_operations(GROUP_OPERATIONS),
            _ => group,
        });
    }
    DescribeGroupsResponse::default().with_groups(described)
}

fn response_group(group: group::DescribedGroup, version: i16) -> DescribedGroup {
    let members = group.members.into_iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(own(&member.member_id))
            .with_group_instance_id(
                member
                    .instance_id
                    .as_deref()
                    .map(own)
                    .filter(|_| version >= 4),
            )
            .with_client_id(own(&member.client_id))
            .with_client_host(own(&member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    });
    DescribedGroup::default()
        .with_error_code(group.error.0)
        .with_error_message(group.error_message.as_deref().map(own))
        .with_group_id(GroupId(own(&group.group_id)))
        .with_group_state(own(group.state))
        .with_protocol_type(own(&group.protocol_type))
        .with_protocol_data(own(&group.protocol))
        .with_members(members.collect())
}
