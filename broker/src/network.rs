//! Listeners and connections: bytes on a socket in, ordered responses out.
//!
//! Stages of one connection, each bounded in time and memory:
//! accept (total and per-address limits) → frame (size, rate and budget limits) → request header →
//! [`Dispatch`] → ordered, vectored write (`sendfile` for ranges of log segments) → next frame.
//!
//! Invariants:
//! - One request of a connection is in flight at a time, so responses leave in the order of their
//!   requests (Kafka mutes a channel for the same reason).
//! - A frame's memory is allocated only after its size has passed every limit; an idle connection
//!   holds no buffer at all.
//! - A connection is one task: whatever goes wrong in it, a panic included, closes this connection
//!   and nothing else.
//!
//! This module knows no API: what a request means is the business of the [`Dispatch`] it is given.
//!
//! Kafka: `network/SocketServer.scala`, `common/network/{KafkaChannel,NetworkReceive}.java` (4.3).

mod connection;
mod frame;
mod limits;
mod listener;
mod response;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

pub use kafka_shared::protocol::header::RequestHeader;

pub use self::{
    limits::ConnectionLimits,
    listener::{BoundListener, ListenerConfig, Network},
    response::{FrameBuilder, ResponseFrame, Segment},
};

/// What a connection asks for every request.
pub trait Dispatch: Send + Sync + 'static {
    /// Handles one request whose header is already parsed; `body` holds what follows the header.
    ///
    /// The connection handles nothing more until the future is done. The future is dropped, and with
    /// it the request, when the broker stops and its grace period is over, and in a long poll when the
    /// client closes the connection.
    fn dispatch(&self, cx: RequestContext, body: Bytes) -> impl Future<Output = Reply> + Send;

    /// Whether a request of this API may wait long for something to happen, and is of no use to a
    /// client that has gone: it is then given up, with all that it holds.
    ///
    // Differs from Kafka: it looks at a connection again only when the answer is to be written, and
    // keeps the request until then. A client that closes only its sending side is taken for gone too.
    fn is_long_poll(&self, _api_key: i16) -> bool {
        false
    }
}

/// Where a request came from and what it is.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The client id in it is a copy of its own and pins no frame.
    pub header: RequestHeader,
    pub connection: Arc<ConnectionInfo>,
    /// When the request's last byte had been read.
    pub received_at: Instant,
}

/// The identity of a connection, for as long as it lives.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// Unique in the life of this process.
    pub id: u64,
    /// The listener's name, such as `PLAINTEXT`.
    pub listener: Arc<str>,
    pub local_addr: SocketAddr,
    pub peer_addr: SocketAddr,
    /// What the client said of itself in ApiVersions 3 and later.
    pub client_software: OnceLock<ClientSoftware>,
}

/// A client library as it names itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSoftware {
    pub name: String,
    pub version: String,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Reply {
    Frame(ResponseFrame),
    /// The request has no answer (Produce with acks=0); the connection goes on.
    NoResponse,
    /// The request cannot be answered in its own terms; the connection is closed, as Kafka does.
    Close,
}

/// Limits of all listeners together. Those of Kafka carry its names.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Largest Produce request.
    pub socket_request_max_bytes: usize,
    /// Largest request of any other API.
    ///
    // Differs from Kafka: there, every API may send socket.request.max.bytes (100 MiB). Decoding
    // multiplies such a request in memory, and only Produce carries data that justifies the size.
    pub other_request_max_bytes: usize,
    /// Bytes of frames in memory, all connections together; half of it is kept for frames up to 1 MiB.
    ///
    // Differs from Kafka: off there (queued.max.request.bytes=-1), always on here.
    pub queued_max_request_bytes: usize,
    pub connections_max_idle: Duration,
    /// How long a new connection may take to send its first complete request.
    pub first_frame_deadline: Duration,
    /// In how long a begun frame must bring [`NetworkConfig::frame_progress_bytes`] or be complete.
    pub frame_progress_deadline: Duration,
    pub frame_progress_bytes: usize,
    pub max_connections: usize,
    pub max_connections_per_ip: usize,
    pub max_connections_per_ip_overrides: HashMap<IpAddr, usize>,
    /// SO_SNDBUF and SO_RCVBUF; none: the operating system's own.
    pub socket_send_buffer_bytes: Option<usize>,
    pub socket_receive_buffer_bytes: Option<usize>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            socket_request_max_bytes: 100 * 1024 * 1024,
            other_request_max_bytes: 16 * 1024 * 1024,
            queued_max_request_bytes: 512 * 1024 * 1024,
            connections_max_idle: Duration::from_secs(600),
            first_frame_deadline: Duration::from_secs(10),
            frame_progress_deadline: Duration::from_secs(30),
            frame_progress_bytes: 16 * 1024,
            max_connections: i32::MAX as usize,
            max_connections_per_ip: i32::MAX as usize,
            max_connections_per_ip_overrides: HashMap::new(),
            socket_send_buffer_bytes: Some(100 * 1024),
            socket_receive_buffer_bytes: Some(100 * 1024),
        }
    }
}
