//! ListGroups: the groups that this broker coordinates.
//!
//! Kafka: `KafkaApis.handleListGroupsRequest` (4.3), KIP-518, KIP-848.

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use super::own;
use crate::coordinator::GroupCoordinator;
use crate::network::RequestContext;

pub(super) async fn handle(
    groups: &GroupCoordinator,
    cx: &RequestContext,
    request: &ListGroupsRequest,
) -> ListGroupsResponse {
    let version = cx.header.api_version;
    let names = |filter: &[StrBytes]| filter.iter().map(|name| name.trim().to_owned()).collect();
    let states = names(&request.states_filter);
    let types = request
        .types_filter
        .iter()
        .map(|name| name.to_string())
        .collect();
    let listed = match groups.list_groups(states, types).await {
        Ok(listed) => listed,
        Err(error) => return ListGroupsResponse::default().with_error_code(error.0),
    };
    let listed = listed.into_iter().map(|group| {
        let since = |first, name| {
            if version >= first {
                own(name)
            } else {
                StrBytes::default()
            }
        };
        ListedGroup::default()
            .with_group_id(GroupId(own(&group.group_id)))
            .with_protocol_type(own(&group.protocol_type))
            .with_group_state(since(4, group.state))
            .with_group_type(since(5, group.group_type.name()))
    });
    ListGroupsResponse::default().with_groups(listed.collect())
}
