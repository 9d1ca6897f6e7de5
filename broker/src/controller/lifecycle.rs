//! The broker's side of its registration: registers, sends heartbeats, goes in an orderly way.
//!
//! ```text
//! STARTING   registered, waits until its image holds its own registration
//! RECOVERY   waits until the node says that it can serve, then asks to be unfenced
//! RUNNING    unfenced
//! PENDING_CONTROLLED_SHUTDOWN  has asked to go; its leaderships are moved away
//! SHUTTING_DOWN                may go
//! ```
//!
//! One request at a time; after a failure the next one waits.
//!
//! Kafka: `server/BrokerLifecycleManager.java` (4.3), KIP-631.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::broker_registration_request::{Feature, Listener};
use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerId, BrokerRegistrationRequest};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::task;
use kafka_shared::types::Uuid;
use tokio::sync::watch;

use super::handle::{ControllerHandle, RequestContext};
use crate::metadata::features::SUPPORTED;
use crate::metadata::{ListenerEndpoint, MetadataHandle};

/// How a broker presents itself.
#[derive(Debug, Clone)]
pub struct LifecycleConfig {
    pub node_id: i32,
    pub cluster_id: String,
    /// Made anew by every start.
    pub incarnation_id: Uuid,
    /// The listeners for clients and brokers, with the ports that are really bound.
    pub listeners: Vec<ListenerEndpoint>,
    pub rack: Option<String>,
    /// Ids of the online log directories.
    pub log_dirs: Vec<Uuid>,
    /// From the clean-shutdown files if all directories agree, else -1.
    pub previous_broker_epoch: i64,
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: u64,
    /// How long to wait after a failure.
    pub retry_backoff_ms: u64,
}

/// Where the broker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerState {
    NotRunning,
    Starting,
    Recovery,
    Running,
    PendingControlledShutdown,
    ShuttingDown,
}

/// Why a broker did not get where it was to go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LifecycleError {
    #[error("the controller has refused the registration: {0:?}")]
    Refused(ErrorCode),
    #[error("the broker did not get to {0:?} in time")]
    TimedOut(BrokerState),
    #[error("the broker's heartbeats have stopped")]
    Stopped,
}

#[derive(Debug, Clone)]
struct Progress {
    state: BrokerState,
    broker_epoch: i64,
    refused: Option<ErrorCode>,
}

#[derive(Debug, Clone, Default)]
struct Wishes {
    may_unfence: bool,
    want_shut_down: bool,
    offline_dirs: Vec<Uuid>,
    stop: bool,
}

/// Access to the broker's lifecycle. Clones share it.
#[derive(Debug, Clone)]
pub struct LifecycleHandle {
    progress: watch::Receiver<Progress>,
    wishes: Arc<watch::Sender<Wishes>>,
}

/// Starts to register the broker and to send heartbeats.
pub fn start(
    config: LifecycleConfig,
    controller: ControllerHandle,
    metadata: MetadataHandle,
) -> LifecycleHandle {
    let (progress, receiver) = watch::channel(Progress {
        state: BrokerState::NotRunning,
        broker_epoch: -1,
        refused: None,
    });
    let (wishes, wished) = watch::channel(Wishes::default());
    let lifecycle = Lifecycle {
        config,
        controller,
        metadata,
        progress,
        wishes: wished,
    };
    drop(task::spawn("broker-lifecycle", lifecycle.run()));
    LifecycleHandle {
        progress: receiver,
        wishes: Arc::new(wishes),
    }
}

impl LifecycleHandle {
    /// Where the broker stands.
    pub fn state(&self) -> BrokerState {
        self.progress.borrow().state
    }

    /// The epoch of the registration; -1 before there is one.
    pub fn broker_epoch(&self) -> i64 {
        self.progress.borrow().broker_epoch
    }

    /// Waits until the broker is registered and its image knows of it. Returns the broker's epoch.
    ///
    /// # Errors
    /// If it is refused or takes too long.
    pub async fn wait_until_caught_up(&self, timeout: Duration) -> Result<i64, LifecycleError> {
        self.wait_for(timeout, BrokerState::Recovery, |progress| {
            !matches!(
                progress.state,
                BrokerState::NotRunning | BrokerState::Starting
            )
        })
        .await
        .map(|progress| progress.broker_epoch)
    }

    /// The node can serve: asks to be unfenced, and waits until that is so.
    ///
    /// # Errors
    /// If it takes too long.
    pub async fn unfence(&self, timeout: Duration) -> Result<(), LifecycleError> {
        self.wishes.send_modify(|wishes| wishes.may_unfence = true);
        self.wait_for(timeout, BrokerState::Running, |progress| {
            progress.state == BrokerState::Running
        })
        .await
        .map(|_| ())
    }

    /// Asks to go, and waits until all leaderships are moved away, as far as others can take them.
    ///
    /// # Errors
    /// If it takes too long; the broker may go all the same.
    pub async fn controlled_shutdown(&self, timeout: Duration) -> Result<(), LifecycleError> {
        self.wishes
            .send_modify(|wishes| wishes.want_shut_down = true);
        self.wait_for(timeout, BrokerState::ShuttingDown, |progress| {
            progress.state == BrokerState::ShuttingDown
        })
        .await
        .map(|_| ())
    }

    /// Tells the controller that these directories can't be used any more.
    pub fn set_offline_dirs(&self, dirs: Vec<Uuid>) {
        self.wishes.send_modify(|wishes| wishes.offline_dirs = dirs);
    }

    /// Ends the heartbeats.
    pub fn stop(&self) {
        self.wishes.send_modify(|wishes| wishes.stop = true);
    }

    async fn wait_for(
        &self,
        timeout: Duration,
        target: BrokerState,
        is_reached: impl Fn(&Progress) -> bool,
    ) -> Result<Progress, LifecycleError> {
        let mut progress = self.progress.clone();
        let wait = progress.wait_for(|now| is_reached(now) || now.refused.is_some());
        match tokio::time::timeout(timeout, wait).await {
            Err(_) => Err(LifecycleError::TimedOut(target)),
            Ok(Err(_)) => Err(LifecycleError::Stopped),
            Ok(Ok(now)) => match now.refused {
                Some(code) => Err(LifecycleError::Refused(code)),
                None => Ok(now.clone()),
            },
        }
    }
}

struct Lifecycle {
    config: LifecycleConfig,
    controller: ControllerHandle,
    metadata: MetadataHandle,
    progress: watch::Sender<Progress>,
    wishes: watch::Receiver<Wishes>,
}

impl Lifecycle {
    async fn run(mut self) {
        if !self.register().await {
            return;
        }
        loop {
            let wishes = self.wishes.borrow_and_update().clone();
            if wishes.stop {
                return;
            }
            let pause = self.heartbeat(&wishes).await;
            if self.progress.borrow().state == BrokerState::ShuttingDown {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = self.wishes.changed() => if changed.is_err() { return },
            }
        }
    }

    fn cx(&self) -> RequestContext {
        RequestContext {
            timeout: Duration::from_millis(self.config.heartbeat_interval_ms.max(1_000)),
            ..RequestContext::default()
        }
    }

    /// Registers, however often it takes. False if it makes no sense to try again.
    async fn register(&mut self) -> bool {
        loop {
            // A controller that is about to become active is worth waiting for.
            let backoff = Duration::from_millis(self.config.retry_backoff_ms);
            self.controller.wait_until_active(backoff).await;
            if self.wishes.borrow().stop {
                return false;
            }
            let response = self
                .controller
                .register_broker(&self.cx(), self.registration())
                .await;
            match ErrorCode(response.error_code) {
                ErrorCode::NONE => {
                    let broker_epoch = response.broker_epoch;
                    tracing::info!(broker_epoch, "registered with the controller");
                    self.progress.send_modify(|progress| {
                        progress.state = BrokerState::Starting;
                        progress.broker_epoch = broker_epoch;
                    });
                    return true;
                }
                code @ (ErrorCode::INCONSISTENT_CLUSTER_ID
                | ErrorCode::INVALID_REGISTRATION
                | ErrorCode::UNSUPPORTED_VERSION) => {
                    tracing::error!(code = code.name(), "the controller refuses this broker");
                    self.progress
                        .send_modify(|progress| progress.refused = Some(code));
                    return false;
                }
                code => {
                    tracing::warn!(code = code.name(), "can't register yet");
                    tokio::time::sleep(backoff).await;
                }
            }
        }
    }

    fn registration(&self) -> BrokerRegistrationRequest {
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let listener = |listener: &ListenerEndpoint| {
            Listener::default()
                .with_name(text(&listener.name))
                .with_host(text(&listener.host))
                .with_port(listener.port)
                .with_security_protocol(listener.security_protocol)
        };
        // What is not implemented is not declared.
        let declared = SUPPORTED.iter().filter(|feature| feature.supported.max > 0);
        let features = declared.map(|feature| {
            Feature::default()
                .with_name(text(feature.name))
                .with_min_supported_version(feature.supported.min)
                .with_max_supported_version(feature.supported.max)
        });
        let mut log_dirs = self.config.log_dirs.clone();
        log_dirs.sort_unstable();
        BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(self.config.node_id))
            .with_cluster_id(text(&self.config.cluster_id))
            .with_incarnation_id(self.config.incarnation_id)
            .with_listeners(self.config.listeners.iter().map(listener).collect())
            .with_features(features.collect())
            .with_rack(self.config.rack.as_deref().map(text))
            .with_log_dirs(log_dirs)
            .with_previous_broker_epoch(self.config.previous_broker_epoch)
    }

    /// Sends one heartbeat; returns how long to wait before the next one.
    async fn heartbeat(&mut self, wishes: &Wishes) -> Duration {
        let interval = Duration::from_millis(self.config.heartbeat_interval_ms);
        let Progress {
            state,
            broker_epoch,
            ..
        } = self.progress.borrow().clone();
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(self.config.node_id))
            .with_broker_epoch(broker_epoch)
            .with_current_metadata_offset(self.metadata.applied_offset())
            .with_want_fence(!wishes.may_unfence)
            .with_want_shut_down(wishes.want_shut_down)
            .with_offline_log_dirs(wishes.offline_dirs.clone());
        let response = self.controller.broker_heartbeat(&self.cx(), request).await;
        let code = ErrorCode(response.error_code);
        if code != ErrorCode::NONE {
            tracing::warn!(code = code.name(), "a heartbeat failed");
            return interval;
        }
        let soon = Duration::from_millis(10);
        let (next, pause) = match state {
            _ if response.should_shut_down => (BrokerState::ShuttingDown, interval),
            _ if wishes.want_shut_down => (
                BrokerState::PendingControlledShutdown,
                Duration::from_millis(50),
            ),
            BrokerState::Starting if response.is_caught_up => (
                BrokerState::Recovery,
                if wishes.may_unfence { soon } else { interval },
            ),
            BrokerState::Starting => (BrokerState::Starting, soon),
            BrokerState::Recovery if !response.is_fenced => (BrokerState::Running, interval),
            state => (state, interval),
        };
        if next != state {
            tracing::info!(from = ?state, to = ?next, "the broker's state changes");
            self.progress.send_modify(|progress| progress.state = next);
        }
        pause
    }
}
