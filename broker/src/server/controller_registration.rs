//! Registers this node's controller with the active one, which looks at all of them before a
//! feature is upgraded, and tells their addresses to those who ask controllers.
//!
//! The registration is repeated when the log has none of this start of the process, as after a
//! change of the metadata version to one that knows such records.
//!
//! Kafka: `ControllerRegistrationManager.scala` (4.3), KIP-919.

use std::time::Duration;

use kafka_protocol::{
    messages::{
        ControllerRegistrationRequest,
        controller_registration_request::{Feature, Listener},
    },
    protocol::StrBytes,
};
use kafka_shared::{
    error::ErrorCode,
    task,
    types::{Uuid, random_uuid},
};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info};

use crate::{
    controller::{ControllerChannel, RequestContext, brokers::CONTROLLER_REGISTRATION_SINCE},
    metadata::{ListenerEndpoint, MetadataHandle, MetadataImage, features::SUPPORTED},
};

/// Between the first tries; doubled after each.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// For one request, the search for the active controller included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what the controller has acknowledged may take to be in this node's metadata.
const VISIBLE_DEADLINE: Duration = Duration::from_secs(10);

/// Registers until it is dropped.
pub(super) fn start(
    node_id: i32,
    endpoints: &[ListenerEndpoint],
    channel: ControllerChannel,
    metadata: MetadataHandle,
) -> DropGuard {
    let stopping = CancellationToken::new();
    let registering = Registering {
        node_id,
        incarnation_id: random_uuid(),
        request: request(node_id, endpoints),
        channel,
        metadata,
    };
    let stopped = stopping.clone();
    let running = async move {
        tokio::select! {
            () = stopped.cancelled() => {}
            () = registering.run() => {}
        }
    };
    drop(task::spawn("controller-registration", running));
    stopping.drop_guard()
}

struct Registering {
    node_id: i32,
    incarnation_id: Uuid,
    request: ControllerRegistrationRequest,
    channel: ControllerChannel,
    metadata: MetadataHandle,
}

impl Registering {
    async fn run(self) {
        let request = self
            .request
            .clone()
            .with_incarnation_id(self.incarnation_id);
        let cx = RequestContext {
            timeout: REQUEST_TIMEOUT,
            ..RequestContext::default()
        };
        let mut backoff = BACKOFF;
        // It ends with the loader.
        while self
            .metadata
            .wait_until(Duration::MAX, |image| self.is_due(image))
            .await
            .is_ok()
        {
            let response = self.channel.register_controller(&cx, request.clone()).await;
            let code = ErrorCode(response.error_code);
            if code == ErrorCode::NONE {
                info!("registered the controller");
                let known = |image: &MetadataImage| !self.is_due(image);
                if self
                    .metadata
                    .wait_until(VISIBLE_DEADLINE, known)
                    .await
                    .is_ok()
                {
                    backoff = BACKOFF;
                    continue;
                }
            } else {
                debug!(error = code.name(), "the controller can't register yet");
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Whether the log can have a registration of this controller and has none.
    fn is_due(&self, image: &MetadataImage) -> bool {
        let registered = image.cluster.controllers.get(&self.node_id);
        image.features.metadata_version >= CONTROLLER_REGISTRATION_SINCE
            && registered.is_none_or(|controller| controller.incarnation_id != self.incarnation_id)
    }
}

fn request(node_id: i32, endpoints: &[ListenerEndpoint]) -> ControllerRegistrationRequest {
    let own = |text: &str| StrBytes::from_string(text.to_owned());
    let listener = |endpoint: &ListenerEndpoint| {
        Listener::default()
            .with_name(own(&endpoint.name))
            .with_host(own(&endpoint.host))
            .with_port(endpoint.port)
            .with_security_protocol(endpoint.security_protocol)
    };
    let declared = SUPPORTED.iter().filter(|feature| feature.supported.max > 0);
    let features = declared.map(|feature| {
        Feature::default()
            .with_name(own(feature.name))
            .with_min_supported_version(feature.supported.min)
            .with_max_supported_version(feature.supported.max)
    });
    ControllerRegistrationRequest::default()
        .with_controller_id(node_id)
        .with_listeners(endpoints.iter().map(listener).collect())
        .with_features(features.collect())
}
