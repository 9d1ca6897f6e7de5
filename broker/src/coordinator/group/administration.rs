//! ListGroups, DescribeGroups, DeleteGroups.
//!
//! Kafka: group-coordinator `GroupMetadataManager.listGroups`, `describeGroups`,
//! `GroupCoordinatorShard.deleteGroups` (4.3).

use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::error::ErrorCode;

use super::classic::State;
use super::expiry::{group_tombstone, offset_tombstone};
use super::messages::{DescribedGroup, DescribedMember, ListedGroup};
use super::{Effects, Group, GroupShard, GroupType};

impl GroupShard {
    /// The groups in one of these states and of one of these types, both in lower case; an empty
    /// list is no restriction.
    pub fn list_groups(&self, states: &[String], types: &[String]) -> Vec<ListedGroup> {
        let wanted = |filter: &[String], name: &str| {
            filter.is_empty()
                || filter
                    .iter()
                    .any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        self.groups
            .iter()
            .map(|(group_id, group)| match group {
                Group::Classic(group) => ListedGroup {
                    group_id: group_id.clone(),
                    protocol_type: group.protocol_type.clone().unwrap_or_else(|| Arc::from("")),
                    state: group.state().name(),
                    group_type: GroupType::Classic,
                },
                Group::Unserved(group_type) => ListedGroup {
                    group_id: group_id.clone(),
                    protocol_type: Arc::from(match group_type {
                        GroupType::Classic | GroupType::Consumer => "consumer",
                        GroupType::Share => "share",
                        GroupType::Streams => "streams",
                    }),
                    state: "Unknown",
                    group_type: *group_type,
                },
            })
            .filter(|group| wanted(states, group.state) && wanted(types, group.group_type.name()))
            .collect()
    }

    /// DescribeGroups of one group. From version 6 on a group that does not exist is an error.
    pub fn describe_group(&self, group_id: &Arc<str>, version: i16) -> DescribedGroup {
        let Some(group) = self.classic(group_id) else {
            let message = match self.groups.get(group_id) {
                None => format!("Group {group_id} not found."),
                Some(_) => format!("Group {group_id} is not a classic group."),
            };
            let (error, error_message) = match version {
                ..6 => (ErrorCode::NONE, None),
                _ => (ErrorCode::GROUP_ID_NOT_FOUND, Some(message)),
            };
            return DescribedGroup {
                group_id: group_id.clone(),
                error,
                error_message,
                state: State::Dead.name(),
                protocol_type: Arc::from(""),
                protocol: Arc::from(""),
                members: Vec::new(),
            };
        };
        let protocol = group
            .protocol_name
            .as_ref()
            .filter(|_| group.is_in(State::Stable));
        DescribedGroup {
            group_id: group_id.clone(),
            error: ErrorCode::NONE,
            error_message: None,
            state: group.state().name(),
            protocol_type: group.protocol_type.clone().unwrap_or_else(|| Arc::from("")),
            protocol: protocol.cloned().unwrap_or_else(|| Arc::from("")),
            members: group
                .members()
                .map(|member| DescribedMember {
                    member_id: member.id.clone(),
                    instance_id: member.instance_id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    metadata: match protocol {
                        Some(protocol) => member.metadata(Some(protocol)),
                        None => Bytes::new(),
                    },
                    assignment: member.assignment.clone(),
                })
                .collect(),
        }
    }

    /// DeleteGroups: an error per group, in their order.
    pub fn delete_groups(&self, group_ids: &[Arc<str>], fx: &mut Effects) -> Vec<ErrorCode> {
        group_ids
            .iter()
            .map(|group_id| self.delete_group(group_id, fx))
            .collect()
    }

    fn delete_group(&self, group_id: &Arc<str>, fx: &mut Effects) -> ErrorCode {
        match self.groups.get(group_id) {
            None => return ErrorCode::GROUP_ID_NOT_FOUND,
            Some(Group::Unserved(_)) => return ErrorCode::NON_EMPTY_GROUP,
            Some(Group::Classic(group)) => match group.state() {
                State::Empty => {}
                State::Dead => return ErrorCode::GROUP_ID_NOT_FOUND,
                _ => return ErrorCode::NON_EMPTY_GROUP,
            },
        }
        for (topic, partition, _) in self.offsets.of_group(group_id) {
            fx.records
                .push(offset_tombstone(group_id, topic, partition));
        }
        for (_, topic, partition) in self.offsets.pending_of_group(group_id) {
            if self.offsets.get(group_id, topic, *partition).is_none() {
                fx.records
                    .push(offset_tombstone(group_id, topic, *partition));
            }
        }
        fx.records.push(group_tombstone(group_id));
        ErrorCode::NONE
    }
}
