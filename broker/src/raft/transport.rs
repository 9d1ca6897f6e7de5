//! How the requests of this node's Raft reach the other nodes of the quorum.
//!
//! Every peer has a task and a connection of its own, so that a link which is cut or slow holds up
//! nobody but the requests that go over it. The task connects when there is something to send,
//! asks once for the versions that the other side speaks, and sends one request at a time; it
//! answers each within the time-out, with a response or with an error, and never tries again by
//! itself: when and where to try again is the machine's to say. A peer whose address changes is
//! connected to anew. Tasks that have had nothing to do for a while end.
//!
//! `transport/messages.rs` turns the machine's requests into Kafka's and the responses back.
//!
//! Kafka: `raft/KafkaNetworkChannel.java`, `raft/RequestManager.java` (4.3).

mod messages;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_shared::client::{Connection, ConnectionConfig};
use kafka_shared::error::ErrorCode;
use kafka_shared::task;
use kafka_shared::types::Endpoint;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::machine::Peer;
use super::rpc::{Request, Response};

/// Requests that may wait for a peer. The machine has one under way; another may follow when the
/// first has run out of time.
const QUEUE_LENGTH: usize = 4;

/// How long a peer's task stays without work.
const IDLE: Duration = Duration::from_secs(300);

/// The largest response: a fetch answers with one batch at least, however large it is.
const RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A request on its way.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub correlation_id: u64,
    pub to: Peer,
    pub host: String,
    pub port: u16,
    pub request: Request,
}

/// What came back: the response and the record bytes that belong to it, or why there is none.
pub type Answer = Result<(Response, Bytes), ErrorCode>;

/// Takes the answers, each once, by correlation id. Does not block.
pub type Deliver = Arc<dyn Fn(u64, Answer) + Send + Sync>;

/// Carries requests to other nodes.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request; does not block. The answer is delivered later, or at once if the request
    /// can't be taken.
    fn send(&self, outgoing: Outgoing);
}

/// What requests say of this node.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    pub node_id: i32,
    pub cluster_id: String,
    /// The first of `controller.listener.names`.
    pub listener_name: String,
    /// `controller.quorum.request.timeout.ms`.
    pub request_timeout_ms: i64,
}

/// The transport over TCP.
pub struct NetworkTransport {
    config: Arc<TransportConfig>,
    runtime: Handle,
    deliver: Deliver,
    peers: Mutex<HashMap<Peer, mpsc::Sender<Outgoing>>>,
}

impl NetworkTransport {
    /// A transport whose tasks run on this runtime.
    pub fn new(config: TransportConfig, runtime: Handle, deliver: Deliver) -> Self {
        Self {
            config: Arc::new(config),
            runtime,
            deliver,
            peers: Mutex::new(HashMap::new()),
        }
    }

    fn start_peer(&self) -> mpsc::Sender<Outgoing> {
        let (sender, requests) = mpsc::channel(QUEUE_LENGTH);
        let worker = Worker {
            config: Arc::clone(&self.config),
            deliver: Arc::clone(&self.deliver),
            requests,
            connection: None,
        };
        let _entered = self.runtime.enter();
        // The task ends when nobody sends to it any more.
        drop(task::spawn("raft-peer", worker.run()));
        sender
    }
}

impl Transport for NetworkTransport {
    fn send(&self, outgoing: Outgoing) {
        let mut peers = self.peers.lock();
        peers.retain(|_, peer| !peer.is_closed());
        let peer = peers
            .entry(outgoing.to)
            .or_insert_with(|| self.start_peer());
        if let Err(refused) = peer.try_send(outgoing) {
            let outgoing = match refused {
                mpsc::error::TrySendError::Full(outgoing)
                | mpsc::error::TrySendError::Closed(outgoing) => outgoing,
            };
            drop(peers);
            let busy = Err(ErrorCode::BROKER_NOT_AVAILABLE);
            (self.deliver)(outgoing.correlation_id, busy);
        }
    }
}

/// The task of one peer.
struct Worker {
    config: Arc<TransportConfig>,
    deliver: Deliver,
    requests: mpsc::Receiver<Outgoing>,
    connection: Option<Connection>,
}

impl Worker {
    async fn run(mut self) {
        while let Ok(Some(outgoing)) = tokio::time::timeout(IDLE, self.requests.recv()).await {
            self.exchange(outgoing).await;
        }
        // Whoever has sent something just now is told, and starts another task the next time.
        self.requests.close();
        while let Some(outgoing) = self.requests.recv().await {
            self.exchange(outgoing).await;
        }
    }

    async fn exchange(&mut self, outgoing: Outgoing) {
        let timeout_ms = self.config.request_timeout_ms.max(1).unsigned_abs();
        let exchange = self.connect_and_send(&outgoing);
        let answer = tokio::time::timeout(Duration::from_millis(timeout_ms), exchange).await;
        let answer = answer.unwrap_or_else(|_| {
            self.connection = None;
            Err(ErrorCode::REQUEST_TIMED_OUT)
        });
        (self.deliver)(outgoing.correlation_id, answer);
    }

    async fn connect_and_send(&mut self, outgoing: &Outgoing) -> Answer {
        let endpoint = Endpoint {
            host: outgoing.host.clone(),
            port: outgoing.port,
        };
        let is_good =
            |connection: &Connection| connection.is_usable() && *connection.endpoint() == endpoint;
        let connection = match self.connection.take().filter(is_good) {
            Some(connection) => connection,
            None => Connection::connect(&endpoint, &self.connection_config())
                .await
                .map_err(|error| {
                    tracing::debug!(%error, "can't reach a node of the metadata quorum");
                    ErrorCode::BROKER_NOT_AVAILABLE
                })?,
        };
        let answer = messages::send(&connection, &self.config, &outgoing.request).await;
        self.connection = Some(connection);
        answer
    }

    fn connection_config(&self) -> ConnectionConfig {
        let timeout_ms = self.config.request_timeout_ms.max(1).unsigned_abs();
        ConnectionConfig {
            client_id: format!("raft-client-{}", self.config.node_id),
            connect_timeout_ms: timeout_ms,
            request_timeout_ms: timeout_ms,
            response_bytes_max: RESPONSE_BYTES_MAX,
            in_flight_max: 1,
            ..ConnectionConfig::default()
        }
    }
}
