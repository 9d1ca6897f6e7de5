//! DeleteGroups: groups without members go, with their offsets.
//!
//! Kafka: `KafkaApis.handleDeleteGroupsRequest` (4.3), KIP-229.

use std::collections::HashSet;
use std::sync::Arc;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};

use super::own;
use crate::coordinator::GroupCoordinator;

pub(super) async fn handle(
    groups: &GroupCoordinator,
    request: &DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut seen = HashSet::new();
    let names = request.groups_names.iter().map(|name| &*name.0);
    let names = names
        .filter(|name| seen.insert(*name))
        .map(Arc::from)
        .collect();
    let results = groups
        .delete_groups(names)
        .await
        .into_iter()
        .map(|(group_id, error)| {
            DeletableGroupResult::default()
                .with_group_id(GroupId(own(&group_id)))
                .with_error_code(error.0)
        });
    DeleteGroupsResponse::default().with_results(results.collect())
}
