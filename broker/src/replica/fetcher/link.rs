//! The way to a leader: a connection that is made when it is needed and dropped when it fails.
//!
//! Followers do not ask for the leader's versions; `metadata.version` dictates them.
//!
//! Kafka: `server/BrokerBlockingSender.scala`, `server/RemoteLeaderEndPoint.scala` (4.3).

use futures_util::future::BoxFuture;
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
};
use kafka_shared::client::{ClientError, Connection, ConnectionConfig};
use kafka_shared::protocol::Request;
use kafka_shared::types::Endpoint;
use tokio::sync::Mutex;

/// The largest answer that is taken from a leader. A single batch may exceed
/// `replica.fetch.response.max.bytes`, as it may exceed the leader's own limits.
const RESPONSE_BYTES_MAX: usize = 1 << 30;

/// A leader as followers reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderEndpoint {
    pub id: i32,
    pub host: String,
    pub port: u16,
}

/// Why a leader has not answered.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);

impl From<ClientError> for LinkError {
    fn from(error: ClientError) -> Self {
        Self(error.to_string())
    }
}

/// Requests to one leader, one at a time.
pub trait LeaderLink: Send + Sync {
    /// Fetches, in exactly this version.
    fn fetch(
        &self,
        request: FetchRequest,
        version: i16,
    ) -> BoxFuture<'_, Result<FetchResponse, LinkError>>;

    /// Asks for offsets, in exactly this version.
    fn list_offsets(
        &self,
        request: ListOffsetsRequest,
        version: i16,
    ) -> BoxFuture<'_, Result<ListOffsetsResponse, LinkError>>;
}

/// Makes links.
pub trait Links: Send + Sync {
    /// A link to a leader; nothing is connected yet.
    fn open(&self, leader: &LeaderEndpoint, client_id: String) -> Box<dyn LeaderLink>;
}

/// Links over TCP.
#[derive(Debug, Clone)]
pub struct TcpLinks {
    /// `replica.socket.timeout.ms`: for connecting, and for each request.
    pub timeout_ms: u64,
}

impl Links for TcpLinks {
    fn open(&self, leader: &LeaderEndpoint, client_id: String) -> Box<dyn LeaderLink> {
        Box::new(TcpLink {
            endpoint: Endpoint {
                host: leader.host.clone(),
                port: leader.port,
            },
            config: ConnectionConfig {
                client_id,
                connect_timeout_ms: self.timeout_ms,
                request_timeout_ms: self.timeout_ms,
                response_bytes_max: RESPONSE_BYTES_MAX,
                in_flight_max: 1,
                ..ConnectionConfig::default()
            },
            connection: Mutex::new(None),
        })
    }
}

struct TcpLink {
    endpoint: Endpoint,
    config: ConnectionConfig,
    connection: Mutex<Option<Connection>>,
}

impl TcpLink {
    async fn send<R: Request>(&self, request: R, version: i16) -> Result<R::Response, LinkError> {
        let mut kept = self.connection.lock().await;
        let connection = match kept.take().filter(Connection::is_usable) {
            Some(connection) => connection,
            None => Connection::connect_without_versions(&self.endpoint, &self.config).await?,
        };
        let response = connection.send_unchecked(&request, version).await?;
        *kept = Some(connection);
        Ok(response)
    }
}

impl LeaderLink for TcpLink {
    fn fetch(
        &self,
        request: FetchRequest,
        version: i16,
    ) -> BoxFuture<'_, Result<FetchResponse, LinkError>> {
        Box::pin(self.send(request, version))
    }

    fn list_offsets(
        &self,
        request: ListOffsetsRequest,
        version: i16,
    ) -> BoxFuture<'_, Result<ListOffsetsResponse, LinkError>> {
        Box::pin(self.send(request, version))
    }
}
