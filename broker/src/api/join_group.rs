//! JoinGroup: a client becomes a member of a group, or takes part in its next generation.
//!
//! The answer may take as long as the rebalance; the connection waits that long.
//!
//! Kafka: `KafkaApis.handleJoinGroupRequest`, `JoinGroupRequest.java`, `JoinGroupResponse.java` (4.3).

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_shared::types::random_uuid;

use super::own;
use crate::coordinator::GroupCoordinator;
use crate::coordinator::group::classic::{MemberSettings, Protocol};
use crate::coordinator::group::{JoinReply, JoinRequest};
use crate::network::RequestContext;

pub(super) async fn handle(
    groups: &GroupCoordinator,
    cx: &RequestContext,
    request: &JoinGroupRequest,
) -> JoinGroupResponse {
    let version = cx.header.api_version;
    let rebalance_timeout_ms = match version {
        0 => request.session_timeout_ms,
        _ => request.rebalance_timeout_ms,
    };
    let reply = groups
        .join_group(JoinRequest {
            version,
            group_id: Arc::from(&**request.group_id),
            member_id: Arc::from(&*request.member_id),
            instance_id: request.group_instance_id.as_deref().map(Arc::from),
            client_id: Arc::from(cx.header.client_id.as_deref().unwrap_or_default()),
            client_host: java_address(cx.connection.peer_addr.ip()).into(),
            protocol_type: Arc::from(&*request.protocol_type),
            settings: MemberSettings {
                protocols: request
                    .protocols
                    .iter()
                    .map(|protocol| Protocol {
                        name: Arc::from(&*protocol.name),
                        metadata: Bytes::copy_from_slice(&protocol.metadata),
                    })
                    .collect(),
                rebalance_timeout_ms,
                session_timeout_ms: request.session_timeout_ms,
            },
            new_member_uuid: random_uuid(),
        })
        .await;
    response(reply, version)
}

/// An address as Java prints an `InetAddress`: a slash, then IPv6 without abbreviation.
fn java_address(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => format!("/{ip}"),
        IpAddr::V6(ip) => {
            let groups = ip.segments().map(|group| format!("{group:x}"));
            format!("/{}", groups.join(":"))
        }
    }
}

fn response(reply: JoinReply, version: i16) -> JoinGroupResponse {
    // Before version 7 there is no null, and since then nothing is empty.
    let protocol_name = reply
        .protocol_name
        .as_deref()
        .filter(|name| !name.is_empty())
        .map(own);
    let protocol_name = match version {
        ..7 => Some(protocol_name.unwrap_or_default()),
        _ => protocol_name,
    };
    let protocol_type = reply
        .protocol_type
        .as_deref()
        .map(own)
        .filter(|_| version >= 7);
    let members = reply.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(own(&member.member_id))
            .with_group_instance_id(
                member
                    .instance_id
                    .as_deref()
                    .map(own)
                    .filter(|_| version >= 5),
            )
            .with_metadata(member.metadata)
    });
    JoinGroupResponse::default()
        .with_error_code(reply.error.0)
        .with_generation_id(reply.generation_id)
        .with_protocol_type(protocol_type)
        .with_protocol_name(protocol_name)
        .with_leader(own(reply.leader.as_deref().unwrap_or_default()))
        .with_skip_assignment(reply.skip_assignment)
        .with_member_id(own(&reply.member_id))
        .with_members(members.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_look_as_java_prints_them() {
        for (ip, expected) in [
            ("127.0.0.1", "/127.0.0.1"),
            ("::ffff:10.0.0.1", "/10.0.0.1"),
            ("::1", "/0:0:0:0:0:0:0:1"),
            ("2001:db8::ff00:42:8329", "/2001:db8:0:0:0:ff00:42:8329"),
        ] {
            assert_eq!(java_address(ip.parse().unwrap()), expected);
        }
    }
}
