//! One connection to the active controller, made when it is needed and given up when it fails.

use kafka_shared::client::{ApiVersions, ClientError, Connection, ConnectionConfig};
use kafka_shared::protocol::Request;
use parking_lot::Mutex;

use super::{Remote, SendError};

/// A place for a connection.
#[derive(Debug)]
pub(super) struct Link {
    config: ConnectionConfig,
    /// Held while connecting, so that all who wait get the same connection.
    connecting: tokio::sync::Mutex<()>,
    current: Mutex<Option<(Remote, Connection)>>,
}

impl Link {
    pub(super) fn new(config: ConnectionConfig) -> Self {
        Self {
            config,
            connecting: tokio::sync::Mutex::new(()),
            current: Mutex::new(None),
        }
    }

    /// The versions of the controller, if there is a connection to it.
    pub(super) fn versions(&self, remote: &Remote) -> Option<ApiVersions> {
        let connection = self.existing(remote)?;
        Some(connection.versions().clone())
    }

    /// Gives up the connection to this controller, if that is the one there is.
    pub(super) fn forget(&self, remote: &Remote) {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|(to, _)| to == remote) {
            *current = None;
        }
    }

    fn existing(&self, remote: &Remote) -> Option<Connection> {
        let current = self.current.lock();
        let (to, connection) = current.as_ref()?;
        (to == remote && connection.is_usable()).then(|| connection.clone())
    }

    async fn connection(&self, remote: &Remote) -> Result<Connection, ClientError> {
        if let Some(connection) = self.existing(remote) {
            return Ok(connection);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(connection) = self.existing(remote) {
            return Ok(connection);
        }
        let connection = Connection::connect(&remote.endpoint, &self.config).await?;
        *self.current.lock() = Some((remote.clone(), connection.clone()));
        Ok(connection)
    }

    /// Sends a request in the newest version that both sides speak.
    pub(super) async fn send<R: Request>(
        &self,
        remote: &Remote,
        request: &R,
    ) -> Result<R::Response, SendError> {
        let sent = async {
            let connection = self.connection(remote).await?;
            connection.send(request.clone()).await
        };
        sent.await.map_err(|error| match &error {
            ClientError::Unsupported { .. } | ClientError::Encode { .. } => {
                SendError::Unsupported(error.to_string())
            }
            _ => SendError::Retry(error.to_string()),
        })
    }
}
