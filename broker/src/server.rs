//! A whole node in this process: what is started in which order, and stopped in the opposite one.
//!
//! `process.roles` says what a node is: broker, controller, or both. Both follow the metadata log.
//!
//! Start:
//! 1. data folders: their owner and features checked ([`folders`], [`compatibility`]), formatted if
//!    new, locked;
//! 2. listeners bound, so that a taken port fails before anything is recovered ([`listeners`]);
//! 3. metadata quorum: log, Raft, loader, and the controller if the node has that role, whose
//!    listeners accept from now on: the other nodes need them to elect a leader;
//! 4. the broker, if the node has that role ([`broker`]): registration and heartbeats
//!    ([`lifecycle`]) until the controller says that the node has caught up with the metadata; then
//!    logs opened, recovered where the last stop was not clean; then the publishers in this order:
//!    replicas, group coordinator; then the controller may unfence the broker;
//! 5. clients' connections accepted, periodic work begun ([`periodic`]). Now the node is ready.
//!
//! Stop: the controller is asked for leave, so that partitions are led elsewhere; groups are closed,
//! which answers their waiting members; connections finish what is in flight; periodic work ends; the
//! controller and Raft stop; last the logs are flushed and marked as cleanly closed. An
//! acknowledged record is on its way to disk at the latest then.
//!
//! Kafka: `BrokerServer.scala`, `ControllerServer.scala`, `SharedServer.scala`,
//! `KafkaRaftServer.scala` (4.3).

mod broker;
mod compatibility;
mod controller_registration;
mod folders;
pub(crate) mod lifecycle;
mod listeners;
mod periodic;
mod settings;
mod unenforced;

#[cfg(test)]
mod tests;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use kafka_shared::{
    task,
    time::{Clock, SystemClock},
};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;
use tracing::{info, warn};

pub(crate) use self::folders::{default_quorum, format_options, is_alone, standalone_quorum};
use self::{folders::Folders, listeners::Bound};
use crate::{
    api,
    config::{BrokerConfig, DynamicConfig},
    controller::{
        ControllerChannel,
        node::{self, Node},
    },
    log::{DirLock, LogContext, LogDir, manager::LogManager},
    metadata::{MetadataHandle, MetadataImage},
    network::{Network, NetworkConfig},
};

/// How long connections may take to finish what is in flight.
const CONNECTIONS_GRACE: Duration = Duration::from_secs(5);
/// File descriptors that connections must leave for logs and the rest.
const FILES_RESERVED: usize = 1024;
/// Below this limit of open files a thousand partitions and their connections don't fit.
const FILES_LOW: usize = 4096;

/// The node's part in the metadata quorum; its thread ends with it, also when the rest of a start
/// fails.
struct Quorum(Node);

impl Drop for Quorum {
    fn drop(&mut self) {
        self.0.raft.stop();
    }
}

/// The running controller role.
struct Controller {
    network: Network,
    /// Ends the registration with it.
    _registering: DropGuard,
}

/// A running node.
///
/// Dropping it leaves the process as a crash would: nothing is lost that was acknowledged, and the
/// next start recovers. [`BrokerHandle::shutdown`] is the orderly way.
pub struct BrokerHandle {
    cluster_id: Arc<str>,
    local_addrs: Vec<(Arc<str>, SocketAddr)>,
    broker: Option<broker::Broker>,
    controller: Option<Controller>,
    quorum: Quorum,
    /// Held as long as the node runs, if the metadata log has a folder of its own.
    _metadata_dir_lock: Option<DirLock>,
}

/// Starts a node; when this returns, it serves.
///
/// # Errors
/// When something of the start fails; what was started is stopped again.
pub async fn start(config: BrokerConfig) -> anyhow::Result<BrokerHandle> {
    start_in_cluster(config, None).await
}

/// As [`start`], for a node of the cluster with this id: new data folders are formatted for it, and
/// those of another cluster are refused.
///
/// # Errors
/// As [`start`].
pub async fn start_in_cluster(
    config: BrokerConfig,
    cluster_id: Option<&str>,
) -> anyhow::Result<BrokerHandle> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let deadline = Instant::now()
        + Duration::from_millis(
            u64::try_from(config.initial_broker_registration_timeout_ms).unwrap_or(0),
        );
    let config = Arc::new(config);
    let connections_max = connections_that_fit();
    let limits = move |config: &BrokerConfig| {
        let mut network = config.network.clone();
        network.max_connections = network.max_connections.min(connections_max);
        network
    };

    let folders = folders::prepare(&config, cluster_id, clock.wall_ms())?;
    let opened = open_folders(&config, &clock).await?;
    let mut listeners = Bound::bind(&config)?;
    let dynamic = DynamicConfig::new(BrokerConfig::clone(&config));
    let metadata = MetadataHandle::new(MetadataImage::default());
    metadata.add_publisher(Arc::clone(&dynamic) as _);

    let quorum = start_quorum(
        &config,
        &folders,
        &listeners,
        opened.metadata_context,
        (&dynamic, &metadata, &clock),
    )
    .await?;
    let local = quorum.0.controller.clone();
    let channel = ControllerChannel::new(settings::channel(&config), local, &quorum.0.raft);
    let cluster_id: Arc<str> = folders.cluster_id.into();
    let node = Arc::new(api::Node {
        cluster_id: Arc::clone(&cluster_id),
        config: dynamic,
        metadata,
        controller: channel,
        raft: quorum.0.raft.clone(),
    });
    let advertised = listeners.advertised(&config);
    let controller = start_controller(&config, &node, &mut listeners, limits);
    let broker = match opened.logs {
        None => None,
        Some(logs) => {
            let start = broker::Start {
                node,
                config: Arc::clone(&config),
                logs,
                listeners: listeners.broker,
                advertised,
                clock,
                deadline,
            };
            Some(broker::start(start, limits).await?)
        }
    };
    let brokers = broker.iter().flat_map(|broker| broker.local_addrs());
    let controllers = controller.iter().flat_map(|c| c.network.local_addrs());
    Ok(BrokerHandle {
        cluster_id,
        local_addrs: brokers.chain(controllers).cloned().collect(),
        broker,
        controller,
        quorum,
        _metadata_dir_lock: opened.metadata_dir_lock,
    })
}

type Shared<'a> = (
    &'a Arc<DynamicConfig>,
    &'a MetadataHandle,
    &'a Arc<dyn Clock>,
);

async fn start_quorum(
    config: &BrokerConfig,
    folders: &Folders,
    listeners: &Bound,
    context: Arc<LogContext>,
    (dynamic, metadata, clock): Shared<'_>,
) -> anyhow::Result<Quorum> {
    let node_config = settings::quorum_node(
        config,
        &folders.cluster_id,
        folders.metadata_directory_id,
        listeners::voter_endpoints(&listeners.controllers(config)),
    );
    let (validator, metadata, clock) = (Arc::clone(dynamic), metadata.clone(), Arc::clone(clock));
    let quorum = task::spawn_blocking("start-quorum", move || {
        node::start(node_config, context, validator, metadata, clock)
    })
    .await?
    .context("start the metadata quorum")
    .map(Quorum)?;
    let voters = quorum.0.raft.voters();
    ensure!(
        !config.is_controller || voters.len() <= 1 || !listeners.controller.is_empty(),
        "the quorum has {} voters, but nothing listens for them: add a listener of \
         controller.listener.names to listeners",
        voters.len()
    );
    Ok(quorum)
}

/// Opens the controller's listeners, if the node has that role.
fn start_controller(
    config: &BrokerConfig,
    node: &Arc<api::Node>,
    listeners: &mut Bound,
    limits: impl Fn(&BrokerConfig) -> NetworkConfig + Copy + Send + 'static,
) -> Option<Controller> {
    let controller = node.controller.local()?.clone();
    let registering = controller_registration::start(
        config.node_id,
        &listeners.controllers(config),
        node.controller.clone(),
        node.metadata.clone(),
    );
    let dispatch = api::controller::Controller {
        node: Arc::clone(node),
        controller,
    };
    let bound = std::mem::take(&mut listeners.controller);
    let network = Network::start(bound, limits(config), Arc::new(dispatch));
    node.config.on_change({
        let connections = network.limits();
        move |config| connections.update(&limits(config))
    });
    Some(Controller {
        network,
        _registering: registering,
    })
}

impl BrokerHandle {
    /// Listener names with the addresses they are bound to, those of the broker first.
    pub fn local_addrs(&self) -> &[(Arc<str>, SocketAddr)] {
        &self.local_addrs
    }

    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Whether the active controller is that of this node.
    pub fn is_active_controller(&self) -> bool {
        let controller = self.quorum.0.controller.as_ref();
        controller.is_some_and(|controller| controller.is_active())
    }

    /// The newest metadata of this node.
    pub fn metadata(&self) -> &MetadataHandle {
        &self.quorum.0.metadata
    }

    /// Resolves when the node cannot go on, with the reason: the metadata quorum failed, its cluster
    /// has features that a controller of ours lacks, or no data folder is left.
    pub async fn failed(&self) -> String {
        let broker = async {
            match &self.broker {
                Some(broker) => broker.failed().await,
                None => std::future::pending().await,
            }
        };
        let controller = async {
            match &self.controller {
                Some(_) => compatibility::outgrown(self.metadata()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            why = self.quorum_failed() => why,
            why = controller => why,
            why = broker => why,
        }
    }

    async fn quorum_failed(&self) -> String {
        let mut status = self.quorum.0.raft.status();
        let failed = status.wait_for(|status| status.failure.is_some() || status.is_closed);
        let failure = failed.await.ok().and_then(|status| status.failure.clone());
        match failure {
            Some(why) => format!("the metadata log failed: {why}"),
            None => "the metadata quorum ended".to_owned(),
        }
    }

    /// Stops the node in order. See the module for the steps.
    ///
    /// # Errors
    /// When logs could not be closed cleanly: the next start recovers them.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        let stopping = match self.broker {
            Some(broker) => Some(broker.stop().await),
            None => None,
        };
        // At the same time: the other voters are told that this one leads no more, and what they
        // have asked for meanwhile is answered, which their connections wait for.
        let controller = async {
            if let Some(controller) = &self.controller {
                controller.network.shutdown(CONNECTIONS_GRACE).await;
            }
        };
        tokio::join!(controller, self.quorum.0.shutdown());
        if let Some(stopping) = stopping {
            stopping.close_logs().await?;
        }
        info!("stopped");
        Ok(())
    }
}

/// Connections that the process can hold, after raising its limit of open files to what it may have.
fn connections_that_fit() -> usize {
    connections_within(raise_open_files())
}

/// Raises the limit of open files to the hard one and says when that is low; the limit in force.
fn raise_open_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit = raised,
            Err(error) => warn!("cannot raise the limit of open files: {error}"),
        }
    }
    let files = limit
        .current
        .and_then(|files| usize::try_from(files).ok())
        .unwrap_or(usize::MAX);
    if files < FILES_LOW {
        warn!(
            files,
            "this process may open few files: segments, indexes and connections share them; raise the \
             hard limit (ulimit -Hn, LimitNOFILE) to {FILES_LOW} or more"
        );
    } else {
        info!(files, "the limit of open files");
    }
    files
}

/// How many connections `files` leave room for beside the logs.
fn connections_within(files: usize) -> usize {
    files.saturating_sub(FILES_RESERVED).max(files / 2)
}

/// The data folders, locked.
struct Opened {
    /// Of a node with the broker role.
    logs: Option<Arc<LogManager>>,
    metadata_context: Arc<LogContext>,
    metadata_dir_lock: Option<DirLock>,
}

/// Locks all folders; the metadata log shares the context of its folder with the logs in it.
async fn open_folders(config: &BrokerConfig, clock: &Arc<dyn Clock>) -> anyhow::Result<Opened> {
    let log_config = config.is_broker.then(|| settings::log_manager(config));
    let (metadata_dir, clock): (PathBuf, _) = (config.metadata_log_dir.clone(), Arc::clone(clock));
    task::spawn_blocking("open-folders", move || {
        let logs = log_config
            .map(|config| LogManager::open(config, Arc::clone(&clock)))
            .transpose()
            .context("open the data folders")?;
        let shared = logs.as_ref().and_then(|logs| logs.context(&metadata_dir));
        if let Some(metadata_context) = shared {
            return Ok(Opened {
                logs,
                metadata_context,
                metadata_dir_lock: None,
            });
        }
        let shown = metadata_dir.display().to_string();
        let lock = DirLock::acquire(&metadata_dir).with_context(|| format!("lock {shown}"))?;
        Ok(Opened {
            logs,
            metadata_context: LogContext::new(clock, LogDir::new(&metadata_dir)),
            metadata_dir_lock: Some(lock),
        })
    })
    .await?
}
