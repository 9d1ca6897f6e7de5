//! Brokers for tests: in this process, on a free port, in a temporary folder.
//!
//! Behind the feature `testing`, so that the tests of other crates can use it too.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::{
    cli::ConfigArgs,
    server::{self, BrokerHandle},
};

/// A running broker whose data goes away with it.
pub struct TestBroker {
    handle: BrokerHandle,
    address: SocketAddr,
    settings: Vec<String>,
    dir: TempDir,
}

impl TestBroker {
    /// Starts a broker with the defaults of `kafka-broker start`, and with `settings` (`key=value`) on
    /// top.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(settings: &[&str]) -> anyhow::Result<Self> {
        let settings = settings.iter().map(|s| (*s).to_owned()).collect();
        let dir = tempfile::tempdir().context("make a temporary folder")?;
        Self::start_in(dir, settings, "127.0.0.1:0").await
    }

    async fn start_in(dir: TempDir, settings: Vec<String>, listen: &str) -> anyhow::Result<Self> {
        let mut set = vec![format!("listeners=PLAINTEXT://{listen}")];
        set.extend(settings.iter().cloned());
        let args = ConfigArgs {
            config: None,
            set,
            data_dir: Some(dir.path().join("data")),
        };
        let (config, _) = args.load()?;
        let handle = server::start(config).await?;
        let address = handle
            .local_addrs()
            .first()
            .context("the broker has no listener")?
            .1;
        Ok(Self {
            handle,
            address,
            settings,
            dir,
        })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `host:port`, as clients want it.
    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    pub fn handle(&self) -> &BrokerHandle {
        &self.handle
    }

    /// The data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Stops the broker in order and removes its data.
    ///
    /// # Errors
    /// When it does not stop cleanly.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.handle.shutdown().await
    }

    /// Stops the broker in order and starts it again at the same address, on the same data.
    ///
    /// # Errors
    /// When it does not stop cleanly or does not start again.
    pub async fn restart(self) -> anyhow::Result<Self> {
        let Self {
            handle,
            address,
            settings,
            dir,
        } = self;
        handle.shutdown().await?;
        Self::start_in(dir, settings, &address.to_string()).await
    }
}
