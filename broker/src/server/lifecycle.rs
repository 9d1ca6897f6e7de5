//! The broker's standing with the controller: registration, heartbeats, controlled shutdown.
//!
//! A broker registers, says with every heartbeat how far it has read the metadata, is unfenced when
//! it has caught up, and asks before it leaves so that its partitions can be led elsewhere.
//!
//! Kafka: `BrokerLifecycleManager.java` (4.3).

use std::{sync::Arc, time::Duration};

use anyhow::bail;
use kafka_protocol::{
    messages::{
        BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerId, BrokerRegistrationRequest,
        broker_registration_request::{Feature, Listener},
    },
    protocol::StrBytes,
};
use kafka_shared::{
    error::ErrorCode,
    types::{Uuid, random_uuid},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use tracing::{debug, info, warn};

use crate::{
    controller::{ControllerChannel, RequestContext},
    log::manager::LogManager,
    metadata::{ListenerEndpoint, MetadataHandle, features},
    replica::ReplicaManager,
};

/// Between two tries while the broker registers and catches up.
const RETRY: Duration = Duration::from_millis(20);

/// What the broker says of itself.
#[derive(Debug, Clone)]
pub(super) struct Registration {
    pub(super) node_id: i32,
    pub(super) cluster_id: Arc<str>,
    pub(super) rack: Option<String>,
    pub(super) listeners: Vec<ListenerEndpoint>,
    pub(super) directories: Vec<Uuid>,
    /// The epoch that the last clean shutdown left behind, -1 after any other end.
    pub(super) previous_broker_epoch: i64,
}

/// A registered broker.
#[derive(Debug, Clone)]
pub(super) struct Lifecycle {
    node_id: i32,
    broker_epoch: i64,
    controller: ControllerChannel,
    metadata: MetadataHandle,
    logs: Arc<LogManager>,
    interval: Duration,
}

impl Lifecycle {
    /// Registers, retrying until the controller takes the registration.
    ///
    /// # Errors
    /// When the controller refuses it for good, or not before `deadline`.
    pub(super) async fn register(
        registration: &Registration,
        controller: ControllerChannel,
        metadata: MetadataHandle,
        logs: Arc<LogManager>,
        interval: Duration,
        deadline: Instant,
    ) -> anyhow::Result<Self> {
        let incarnation_id = random_uuid();
        loop {
            let request = request(registration, incarnation_id);
            let cx = RequestContext::default();
            let Ok(response) = timeout_at(deadline, controller.register_broker(&cx, request)).await
            else {
                bail!("the controller did not answer the broker's registration in time");
            };
            match ErrorCode(response.error_code) {
                ErrorCode::NONE => {
                    let broker_epoch = response.broker_epoch;
                    info!(broker_epoch, "registered with the controller");
                    return Ok(Self {
                        node_id: registration.node_id,
                        broker_epoch,
                        controller,
                        metadata,
                        logs,
                        interval,
                    });
                }
                // The registration of this broker's last life stands until its session ends.
                code if code.is_retriable()
                    || code == ErrorCode::NOT_CONTROLLER
                    || code == ErrorCode::DUPLICATE_BROKER_REGISTRATION =>
                {
                    debug!(error = code.name(), "the registration has to wait");
                }
                ErrorCode::UNSUPPORTED_VERSION => bail!(
                    "the cluster uses features that this broker does not have: {}",
                    missing_features(&metadata)
                ),
                code => bail!("the controller refuses this broker: {}", code.message()),
            }
            if Instant::now() >= deadline {
                bail!("the broker could not register in time");
            }
            sleep(RETRY).await;
        }
    }

    pub(super) fn broker_epoch(&self) -> i64 {
        self.broker_epoch
    }

    /// Sends heartbeats until the broker is unfenced and this node knows it.
    ///
    /// # Errors
    /// When it is not before `deadline`.
    pub(super) async fn wait_until_unfenced(&self, deadline: Instant) -> anyhow::Result<()> {
        loop {
            let response = self.heartbeat(false).await;
            let is_known = || {
                let image = self.metadata.image();
                image
                    .cluster
                    .alive_broker(self.node_id)
                    .is_some_and(|broker| broker.epoch == self.broker_epoch)
            };
            if response.error_code == 0 && !response.is_fenced && is_known() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let code = ErrorCode(response.error_code);
                bail!(
                    "the broker was not admitted to the cluster in time ({})",
                    code.name()
                );
            }
            sleep(RETRY).await;
        }
    }

    /// Goes on with heartbeats until `stop` says so. When a log directory fails, whoever waits for
    /// something in it is answered, and the controller is told at once.
    pub(super) async fn run(self, replicas: Arc<ReplicaManager>, mut stop: watch::Receiver<bool>) {
        let mut failures = self.logs.watch_failures();
        let mut was_refused = false;
        loop {
            tokio::select! {
                () = sleep(self.interval) => {}
                Ok(()) = failures.changed() => replicas.check_waiters_of_failed_dirs(),
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let code = ErrorCode(self.heartbeat(false).await.error_code);
            if code != ErrorCode::NONE && !was_refused {
                warn!(
                    error = code.name(),
                    "the controller does not take this broker's heartbeats"
                );
            }
            was_refused = code != ErrorCode::NONE;
        }
    }

    /// Asks to leave, until the controller lets the broker go or `deadline` comes.
    pub(super) async fn leave(&self, deadline: Instant) {
        while Instant::now() < deadline {
            match timeout_at(deadline, self.heartbeat(true)).await {
                Ok(response) if response.error_code == 0 && response.should_shut_down => return,
                // Unregistered, or registered anew: the controller has nothing to ask of this broker.
                Ok(response)
                    if [
                        ErrorCode::BROKER_ID_NOT_REGISTERED,
                        ErrorCode::STALE_BROKER_EPOCH,
                    ]
                    .contains(&ErrorCode(response.error_code)) =>
                {
                    warn!("leaving a cluster in which this broker is not registered any more");
                    return;
                }
                Ok(response) if response.error_code != 0 => {
                    let code = ErrorCode(response.error_code);
                    debug!(
                        error = code.name(),
                        "the controller does not take this broker's leave"
                    );
                }
                Ok(_) => {}
                Err(_) => break,
            }
            sleep(RETRY).await;
        }
        warn!("leaving without the controller's consent");
    }

    async fn heartbeat(&self, want_shut_down: bool) -> BrokerHeartbeatResponse {
        let dirs = self.logs.dirs();
        let offline = dirs
            .iter()
            .filter(|dir| dir.is_offline)
            .filter_map(|dir| dir.id);
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(self.node_id))
            .with_broker_epoch(self.broker_epoch)
            .with_current_metadata_offset(self.metadata.applied_offset())
            .with_want_shut_down(want_shut_down)
            .with_offline_log_dirs(offline.collect());
        let cx = RequestContext {
            timeout: self.interval,
            ..RequestContext::default()
        };
        self.controller.broker_heartbeat(&cx, request).await
    }
}

/// Finalized levels beyond what this broker supports, for people.
fn missing_features(metadata: &MetadataHandle) -> String {
    let image = metadata.image();
    let missing = image
        .features
        .all()
        .into_iter()
        .filter_map(|(name, level)| {
            let supported = features::supported(&name).map(|feature| feature.supported);
            match supported {
                Some(range) if range.contains(level) => None,
                Some(range) => Some(format!(
                    "{name} is at {level}, supported up to {}",
                    range.max
                )),
                None => Some(format!("{name} is at {level}, not supported")),
            }
        });
    let missing: Vec<_> = missing.collect();
    match missing.as_slice() {
        [] => "the controller does not say which".to_owned(),
        missing => missing.join("; "),
    }
}

fn own(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn request(registration: &Registration, incarnation_id: Uuid) -> BrokerRegistrationRequest {
    let listeners = registration.listeners.iter().map(|listener| {
        Listener::default()
            .with_name(own(&listener.name))
            .with_host(own(&listener.host))
            .with_port(listener.port)
            .with_security_protocol(listener.security_protocol)
    });
    let features = features::SUPPORTED
        .iter()
        .filter(|feature| feature.supported.max > 0)
        .map(|feature| {
            Feature::default()
                .with_name(own(feature.name))
                .with_min_supported_version(feature.supported.min)
                .with_max_supported_version(feature.supported.max)
        });
    BrokerRegistrationRequest::default()
        .with_broker_id(BrokerId(registration.node_id))
        .with_cluster_id(own(&registration.cluster_id))
        .with_incarnation_id(incarnation_id)
        .with_listeners(listeners.collect())
        .with_features(features.collect())
        .with_rack(registration.rack.as_deref().map(own))
        .with_log_dirs(registration.directories.clone())
        .with_previous_broker_epoch(registration.previous_broker_epoch)
}
