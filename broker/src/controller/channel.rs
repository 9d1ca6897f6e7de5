//! The way to the active controller, wherever it is.
//!
//! A broker asks for what only the active controller can decide: its own registration, changes of
//! in-sync replicas, producer ids, and what its clients ask for. When the controller of this node
//! is the active one, it is called; otherwise the request goes over the wire. Which node that is,
//! Raft says; where its listener is, the voter set.
//!
//! Invariants:
//! * NOT_CONTROLLER is never an answer: whoever gets it from a controller asks the next one, until
//!   the deadline; then the answer is REQUEST_TIMED_OUT;
//! * each kind of request has a connection of its own ([`Purpose`]), so that a slow request of one
//!   kind, or a thousand, can't delay a heartbeat;
//! * a request that is on its way to a controller that is not the active one any more is given up
//!   and sent to the new one: nobody waits for a node that hangs.
//!
//! As in Kafka, a request may be carried out twice when a connection is lost before its answer
//! came: the second time it says so (a topic exists already), or changes nothing.
//!
//! Kafka: `server/NodeToControllerChannelManagerImpl.java`,
//! `server/NodeToControllerRequestThread.java`, `kafka/server/RaftControllerNodeProvider` (4.3).

mod link;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterPartitionRequest,
    AlterPartitionResponse, AssignReplicasToDirsRequest, AssignReplicasToDirsResponse,
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest,
    BrokerRegistrationResponse, ControllerRegistrationRequest, ControllerRegistrationResponse,
    CreateTopicsRequest, CreateTopicsResponse,
};
use kafka_shared::client::{ApiVersions, ConnectionConfig};
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::Request;
use kafka_shared::types::Endpoint;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use self::link::Link;
use super::error_response::ErrorResponse;
use super::handle::{ControllerHandle, RequestContext};
use super::not_controller::NotController;
use crate::raft::RaftHandle;
use crate::raft::driver::Status;

/// How long to wait, unless Raft has news, before the same controller is asked again.
const RETRY_BACKOFF: Duration = Duration::from_millis(50);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// BrokerRegistration and BrokerHeartbeat.
    Heartbeat,
    /// What clients ask for, and what the broker asks on their behalf.
    Forwarding,
    AlterPartition,
    DirectoryAssignments,
    ControllerRegistration,
}

const PURPOSES: usize = 5;

/// Where the active controller is.
#[derive(Debug, Clone)]
pub(crate) enum Active {
    /// In this node.
    Here(ControllerHandle),
    There(Remote),
}

/// An active controller of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) id: i32,
    /// The epoch of Raft in which it leads.
    pub(crate) epoch: i32,
    pub(crate) endpoint: Endpoint,
}

/// Why a controller did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SendError {
    /// The active controller has to be looked for again.
    Retry(String),
    TimedOut,
    /// It doesn't speak this request, or not in a version of ours.
    Unsupported(String),
}

/// What the channel has to know.
#[derive(Debug, Clone)]
pub struct ChannelConfig {
    pub node_id: i32,
    /// The first of `controller.listener.names`.
    pub controller_listener: String,
    /// `controller.socket.timeout.ms`: for a single request over the wire.
    pub request_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`.
    pub connect_timeout: Duration,
}

/// Says where the controller listener of a voter is.
type FindVoter = Box<dyn Fn(i32) -> Option<Endpoint> + Send + Sync>;

struct Inner {
    node_id: i32,
    local: Option<ControllerHandle>,
    status: watch::Receiver<Status>,
    find_voter: FindVoter,
    request_timeout: Duration,
    links: [Link; PURPOSES],
}

/// The way to the active controller. Clones share it and its connections.
#[derive(Clone)]
pub struct ControllerChannel {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for ControllerChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControllerChannel")
            .field("leader", &self.inner.status.borrow().leader)
            .finish_non_exhaustive()
    }
}

impl ControllerChannel {
    /// The channel of a node; `local` is the node's own controller, if it has the role.
    pub fn new(config: ChannelConfig, local: Option<ControllerHandle>, raft: &RaftHandle) -> Self {
        let status = raft.status();
        let (raft, listener) = (raft.without_stop(), config.controller_listener.clone());
        let find_voter = move |id| {
            let voters = raft.voters();
            let endpoints = &voters.get(id)?.endpoints;
            let endpoint = endpoints
                .iter()
                .find(|endpoint| endpoint.name == listener)?;
            Some(Endpoint {
                host: endpoint.host.clone(),
                port: endpoint.port,
            })
        };
        Self::with(config, local, status, Box::new(find_voter))
    }

    fn with(
        config: ChannelConfig,
        local: Option<ControllerHandle>,
        status: watch::Receiver<Status>,
        find_voter: FindVoter,
    ) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let connection = ConnectionConfig {
            client_id: config.node_id.to_string(),
            software_name: env!("CARGO_PKG_NAME").to_owned(),
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            connect_timeout_ms: millis(config.connect_timeout),
            request_timeout_ms: millis(config.request_timeout),
            ..ConnectionConfig::default()
        };
        let links = std::array::from_fn(|_| Link::new(connection.clone()));
        Self {
            inner: Arc::new(Inner {
                node_id: config.node_id,
                local,
                status,
                find_voter,
                request_timeout: config.request_timeout,
                links,
            }),
        }
    }

    /// The controller of this node, active or not.
    pub fn local(&self) -> Option<&ControllerHandle> {
        self.inner.local.as_ref()
    }

    /// What the active controller speaks, once something was forwarded to it. Nothing when it is
    /// the one of this node.
    pub(crate) fn controller_versions(&self) -> Option<ApiVersions> {
        match self.look()? {
            Active::Here(_) => None,
            Active::There(remote) => self.link(Purpose::Forwarding).versions(&remote),
        }
    }

    fn link(&self, purpose: Purpose) -> &Link {
        &self.inner.links[purpose as usize]
    }

    /// Where the active controller is, as far as this node knows.
    fn look(&self) -> Option<Active> {
        let inner = &*self.inner;
        if let Some(local) = inner.local.as_ref().filter(|local| local.is_active()) {
            return Some(Active::Here(local.clone()));
        }
        let leader = inner.status.borrow().leader;
        if leader.leader_id < 0 || leader.leader_id == inner.node_id {
            return None;
        }
        let endpoint = (inner.find_voter)(leader.leader_id)?;
        Some(Active::There(Remote {
            id: leader.leader_id,
            epoch: leader.epoch,
            endpoint,
        }))
    }

    /// Waits until there is an active controller that this node knows of; `None` at the deadline.
    pub(crate) async fn active(&self, deadline: Instant) -> Option<Active> {
        loop {
            if let Some(active) = self.look() {
                return Some(active);
            }
            if Instant::now() >= deadline {
                return None;
            }
            self.wait_for_news(deadline).await;
        }
    }

    /// Waits a moment before the next try, shorter if Raft or the local controller has news.
    pub(crate) async fn wait_for_news(&self, deadline: Instant) {
        let until = deadline.min(Instant::now() + RETRY_BACKOFF);
        let mut status = self.inner.status.clone();
        let leader = status.borrow_and_update().leader;
        let news = status.wait_for(|status| status.leader != leader || status.is_closed);
        let activated = async {
            match &self.inner.local {
                Some(local) if !local.is_active() => local.activated().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep_until(until) => {}
            () = activated => {}
            // A Raft that has ended has no more news.
            Ok(_) = async { news.await.map(drop) }, if !self.inner.status.borrow().is_closed => {}
        }
    }

    /// Sends a request to a controller of another node, once.
    pub(crate) async fn send_to<R>(
        &self,
        remote: &Remote,
        purpose: Purpose,
        request: &R,
        deadline: Instant,
    ) -> Result<R::Response, SendError>
    where
        R: Request,
        R::Response: NotController,
    {
        let link = self.link(purpose);
        let until = deadline.min(Instant::now() + self.inner.request_timeout);
        let mut status = self.inner.status.clone();
        let is_over = |status: &Status| {
            (status.leader.leader_id, status.leader.epoch) != (remote.id, remote.epoch)
        };
        let result = tokio::select! {
            result = timeout_at(until, link.send(remote, request)) => result,
            _ = status.wait_for(is_over) => {
                link.forget(remote);
                return Err(SendError::Retry("another controller became active".to_owned()));
            }
        };
        match result {
            Err(_) => {
                // What is asked later would stand in line behind it.
                link.forget(remote);
                if until >= deadline {
                    return Err(SendError::TimedOut);
                }
                Err(SendError::Retry("the controller did not answer".to_owned()))
            }
            Ok(Err(error)) => {
                if !matches!(error, SendError::Unsupported(_)) {
                    link.forget(remote);
                }
                Err(error)
            }
            Ok(Ok(response)) if response.is_not_controller() => {
                link.forget(remote);
                Err(SendError::Retry(
                    "it is not the active controller".to_owned(),
                ))
            }
            Ok(Ok(response)) => Ok(response),
        }
    }

    /// Asks the active controller until one answers that is.
    async fn call<R>(
        &self,
        purpose: Purpose,
        cx: &RequestContext,
        request: R,
        call_local: impl AsyncFn(&ControllerHandle, &RequestContext, R) -> R::Response,
    ) -> R::Response
    where
        R: ErrorResponse,
        R::Response: NotController,
    {
        let deadline = deadline_in(cx.timeout);
        loop {
            let Some(active) = self.active(deadline).await else {
                return request.error_response(&ErrorCode::REQUEST_TIMED_OUT.into());
            };
            match active {
                Active::Here(local) => {
                    let cx = RequestContext {
                        timeout: deadline.saturating_duration_since(Instant::now()),
                        ..cx.clone()
                    };
                    let response = call_local(&local, &cx, request.clone()).await;
                    if !response.is_not_controller() {
                        return response;
                    }
                }
                Active::There(remote) => {
                    match self.send_to(&remote, purpose, &request, deadline).await {
                        Ok(response) => return response,
                        Err(SendError::Retry(why)) => {
                            tracing::debug!(
                                controller = remote.id,
                                ?purpose,
                                "asking again: {why}"
                            );
                        }
                        Err(SendError::TimedOut) => {
                            return request.error_response(&ErrorCode::REQUEST_TIMED_OUT.into());
                        }
                        Err(SendError::Unsupported(why)) => {
                            tracing::error!(controller = remote.id, ?purpose, "{why}");
                            return request.error_response(&ErrorCode::UNSUPPORTED_VERSION.into());
                        }
                    }
                }
            }
            if Instant::now() >= deadline {
                return request.error_response(&ErrorCode::REQUEST_TIMED_OUT.into());
            }
            self.wait_for_news(deadline).await;
        }
    }
}

/// The moment after `timeout`; of longer times than a day the moment after a day, because the
/// clock has an end.
pub(crate) fn deadline_in(timeout: Duration) -> Instant {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    Instant::now() + timeout.min(DAY)
}

macro_rules! requests {
    ($(
        $(#[$doc:meta])*
        $name:ident($request:ty) -> $response:ty, $purpose:ident;
    )*) => {
        impl ControllerChannel {
            $($(#[$doc])* pub async fn $name(
                &self,
                cx: &RequestContext,
                request: $request,
            ) -> $response {
                self.call(Purpose::$purpose, cx, request, ControllerHandle::$name).await
            })*
        }
    };
}

requests! {
    /// BrokerRegistration.
    register_broker(BrokerRegistrationRequest) -> BrokerRegistrationResponse, Heartbeat;
    /// BrokerHeartbeat.
    broker_heartbeat(BrokerHeartbeatRequest) -> BrokerHeartbeatResponse, Heartbeat;
    /// AlterPartition: a leader proposes an ISR.
    alter_partition(AlterPartitionRequest) -> AlterPartitionResponse, AlterPartition;
    /// AssignReplicasToDirs: in which directories replicas are.
    assign_replicas_to_dirs(AssignReplicasToDirsRequest) -> AssignReplicasToDirsResponse,
        DirectoryAssignments;
    /// AllocateProducerIds.
    allocate_producer_ids(AllocateProducerIdsRequest) -> AllocateProducerIdsResponse, Forwarding;
    /// CreateTopics, of topics that the broker itself needs.
    create_topics(CreateTopicsRequest) -> CreateTopicsResponse, Forwarding;
    /// ControllerRegistration.
    register_controller(ControllerRegistrationRequest) -> ControllerRegistrationResponse,
        ControllerRegistration;
}
