//! DescribeCluster: the brokers, or on a controller's listener the controllers.
//!
//! Kafka: `AuthHelper.computeDescribeClusterResponse`, KIP-700, KIP-919, KIP-1073 (4.3).

use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse,
    describe_cluster_response::DescribeClusterBroker,
};
use kafka_shared::error::ErrorCode;

use super::{
    ListenerKind, Node,
    cluster::{CLUSTER_OPERATIONS, controller_id},
    own,
};
use crate::{
    controller::brokers::CONTROLLER_REGISTRATION_SINCE,
    metadata::{ListenerEndpoint, MetadataImage},
    network::RequestContext,
};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn handle(
    node: &Node,
    listener_kind: ListenerKind,
    cx: &RequestContext,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    let expected = match listener_kind {
        ListenerKind::Broker => BROKERS,
        ListenerKind::Controller => CONTROLLERS,
    };
    if let Some((code, why)) = refusal(request.endpoint_type, expected, cx.header.api_version) {
        return DescribeClusterResponse::default()
            .with_error_code(code.0)
            .with_error_message(Some(own(&why)));
    }
    let image = node.image();
    if expected == CONTROLLERS && image.features.metadata_version < CONTROLLER_REGISTRATION_SINCE {
        let why = "Direct-to-controller communication is not supported with the current \
                   MetadataVersion.";
        return DescribeClusterResponse::default()
            .with_error_code(ErrorCode::UNSUPPORTED_VERSION.0)
            .with_error_message(Some(own(why)));
    }
    let own_id = node.config().node_id;
    let listener = &cx.connection.listener;
    let (nodes, controller) = match expected {
        BROKERS => {
            let nodes = brokers(&image, listener, request.include_fenced_brokers);
            (nodes, controller_id(&image, own_id))
        }
        _ => {
            let leader_id = node.raft.status().borrow().leader.leader_id;
            (controllers(&image, listener), BrokerId(leader_id))
        }
    };
    let is_listed = nodes.iter().any(|node| node.broker_id == controller);
    let mut response = DescribeClusterResponse::default()
        .with_cluster_id(own(&node.cluster_id))
        .with_controller_id(if is_listed { controller } else { BrokerId(-1) })
        .with_brokers(nodes)
        .with_endpoint_type(expected);
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
}

fn refusal(asked: i8, expected: i8, version: i16) -> Option<(ErrorCode, String)> {
    let code = |code| {
        if version == 0 {
            ErrorCode::INVALID_REQUEST
        } else {
            code
        }
    };
    let name = |kind| {
        if kind == BROKERS {
            "BROKER"
        } else {
            "CONTROLLER"
        }
    };
    if asked != BROKERS && asked != CONTROLLERS {
        let why = format!("Unsupported endpoint type {asked}");
        return Some((code(ErrorCode::UNSUPPORTED_ENDPOINT_TYPE), why));
    }
    (asked != expected).then(|| {
        let (expected, asked) = (name(expected), name(asked));
        let why = format!(
            "The request was sent to an endpoint of type {expected}, but we wanted an endpoint of \
             type {asked}"
        );
        (code(ErrorCode::MISMATCHED_ENDPOINT_TYPE), why)
    })
}

fn listed(id: i32, endpoint: &ListenerEndpoint) -> DescribeClusterBroker {
    DescribeClusterBroker::default()
        .with_broker_id(BrokerId(id))
        .with_host(own(&endpoint.host))
        .with_port(i32::from(endpoint.port))
}

fn brokers(
    image: &MetadataImage,
    listener: &str,
    include_fenced: bool,
) -> Vec<DescribeClusterBroker> {
    let is_shown = |fenced: bool| include_fenced || !fenced;
    image
        .cluster
        .brokers
        .values()
        .filter(|broker| is_shown(broker.fenced))
        .filter_map(|broker| {
            let node = listed(broker.id, broker.listener(listener)?);
            Some(
                node.with_rack(broker.rack.as_deref().map(own))
                    .with_is_fenced(broker.fenced),
            )
        })
        .collect()
}

fn controllers(image: &MetadataImage, listener: &str) -> Vec<DescribeClusterBroker> {
    let endpoint = |listeners: &[ListenerEndpoint]| {
        listeners
            .iter()
            .find(|endpoint| &*endpoint.name == listener)
            .cloned()
    };
    image
        .cluster
        .controllers
        .values()
        .filter_map(|controller| {
            endpoint(&controller.listeners).map(|endpoint| listed(controller.id, &endpoint))
        })
        .collect()
}
