//! A client of any Kafka cluster: connections, and which node to ask.
//!
//! - [`Connection`]: one socket, many requests under way, versions negotiated, every wait bounded.
//! - [`Client`]: finds nodes, the controller, coordinators and leaders, keeps one connection to
//!   each node, and learns from answers that say "not here".
//! - [`Security`]: TLS and SASL, from parts or from Kafka's own client properties.
//! - [`ClusterGuard`]: no change goes to another cluster than the one that is meant.
//! - [`ClientError`]: which step failed, and what to do about it.
//!
//! `client/messenger.rs` is the part of a connection without a socket; `client/routing.rs` the
//! part of a client that remembers what it was told.
//!
//! This is no consumer and no producer: there are no groups to join and no batches to fill. Callers
//! build requests (kafka-protocol's structs) and read responses.

mod authenticate;
mod cluster;
mod connection;
mod error;
mod guard;
mod messenger;
mod negotiation;
mod routing;
pub mod security;
mod stream;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::types::Endpoint;

pub use cluster::{Client, Route};
pub use connection::{Connection, SendOptions, Undecoded};
pub use error::{ClientError, Step};
pub use guard::ClusterGuard;
pub use negotiation::ApiVersions;
pub use routing::{Cluster, CoordinatorType, Node};
pub use security::{Sasl, Security};

/// What every connection needs to know.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// Names this program in the broker's logs and quotas.
    pub client_id: String,
    /// What the broker counts clients by (KIP-511): letters, digits, dots and dashes.
    pub software_name: String,
    pub software_version: String,
    pub security: Security,
    /// Asked before every change, where there is one.
    pub guard: Option<Arc<ClusterGuard>>,
    /// For resolving, connecting, securing and negotiating, all together.
    pub connect_timeout_ms: u64,
    /// For one request, from the call to the answer, unless the call says otherwise.
    pub request_timeout_ms: u64,
    /// A longer response is a violation of the protocol.
    pub response_bytes_max: usize,
    /// Requests under way at the same time; further ones wait, within their own time-outs.
    pub in_flight_max: usize,
    /// Gives the room of long answers back after each: for who rests longer than it works.
    pub is_lean: bool,
}

impl Default for ConnectionConfig {
    fn default() -> ConnectionConfig {
        ConnectionConfig {
            client_id: "kafka-shared".to_owned(),
            software_name: env!("CARGO_PKG_NAME").to_owned(),
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            security: Security::default(),
            guard: None,
            connect_timeout_ms: 10_000,
            request_timeout_ms: 30_000,
            response_bytes_max: 128 * 1024 * 1024,
            in_flight_max: 64,
            is_lean: false,
        }
    }
}

/// What a [`Client`] needs to know.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Tried in this order, until one answers.
    pub bootstrap: Vec<Endpoint>,
    pub connection: ConnectionConfig,
    /// How long the list of bootstrap servers is gone through again when none of them answers; 0
    /// is once.
    pub bootstrap_retry_ms: u64,
    /// How old the list of nodes, a leader or a coordinator may be before it is asked for again.
    pub metadata_max_age_ms: u64,
    /// The pause before something is tried again; it doubles, up to `retry_backoff_max_ms`.
    pub retry_backoff_ms: u64,
    pub retry_backoff_max_ms: u64,
}

impl ClientConfig {
    pub fn new(bootstrap: Vec<Endpoint>) -> ClientConfig {
        ClientConfig {
            bootstrap,
            connection: ConnectionConfig::default(),
            bootstrap_retry_ms: 0,
            metadata_max_age_ms: 60_000,
            retry_backoff_ms: 100,
            retry_backoff_max_ms: 1_000,
        }
    }
}
