//! A whole broker in this process: what is started in which order, and stopped in the opposite one.
//!
//! Start:
//! 1. data folders: their owner and features checked ([`folders`], [`compatibility`]), formatted if
//!    new, locked;
//! 2. listeners bound, so that a taken port fails before anything is recovered;
//! 3. logs opened, recovered where the last stop was not clean;
//! 4. metadata quorum: log, Raft, loader, controller; the publishers in this order: configuration,
//!    replicas, group coordinator (each relies on the ones before it);
//! 5. registration with the controller, heartbeats until the broker is unfenced ([`lifecycle`]);
//! 6. connections accepted, periodic work begun ([`periodic`]). Now the broker is ready.
//!
//! Stop: the controller is asked for leave, so that partitions are led elsewhere; groups are closed,
//! which answers their waiting members; connections finish what is in flight; periodic work ends; the
//! controller and Raft stop; last the logs are flushed and marked as cleanly closed. An
//! acknowledged record is on its way to disk at the latest then.
//!
//! Kafka: `BrokerServer.scala`, `SharedServer.scala`, `KafkaRaftServer.scala` (4.3).

mod compatibility;
mod folders;
mod lifecycle;
mod periodic;
mod settings;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use kafka_shared::{
    task,
    time::{Clock, SystemClock},
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tracing::{info, warn};

pub(crate) use self::folders::format_options;
use self::{
    lifecycle::{Lifecycle, Registration},
    periodic::Periodic,
};
use crate::{
    api,
    config::{BrokerConfig, DynamicConfig, TopicValues, listeners::advertised_host},
    controller::{
        ControllerChannel,
        node::{self, Node},
    },
    coordinator::{GroupCoordinator, publisher::GroupCoordinatorPublisher},
    log::{DirLock, LogContext, LogDir, manager::LogManager},
    metadata::{ListenerEndpoint, MetadataHandle, MetadataImage},
    network::{BoundListener, ListenerConfig, Network},
    raft::VoterEndpoint,
    replica::{ReplicaManager, producer_ids::ProducerIds},
};

/// How long connections may take to finish what is in flight.
const CONNECTIONS_GRACE: Duration = Duration::from_secs(5);
/// How long the controller may take to let the broker go.
const LEAVE_DEADLINE: Duration = Duration::from_secs(10);
/// File descriptors that connections must leave for logs and the rest.
const FILES_RESERVED: usize = 1024;
/// Below this limit of open files a thousand partitions and their connections don't fit.
const FILES_LOW: usize = 4096;

/// The node of the metadata quorum; its thread ends with it, also when the rest of a start fails.
struct Quorum(Node);

impl Drop for Quorum {
    fn drop(&mut self) {
        self.0.raft.stop();
    }
}

/// A running broker.
///
/// Dropping it leaves the process as a crash would: nothing is lost that was acknowledged, and the
/// next start recovers. [`BrokerHandle::shutdown`] is the orderly way.
pub struct BrokerHandle {
    cluster_id: Arc<str>,
    network: Network,
    controller_network: Network,
    groups: Arc<GroupCoordinator>,
    lifecycle: Lifecycle,
    heartbeats: JoinHandle<()>,
    stop_heartbeats: watch::Sender<bool>,
    periodic: Periodic,
    quorum: Quorum,
    logs: Arc<LogManager>,
    controlled_shutdown: bool,
    /// Held as long as the broker runs, if the metadata log has a folder of its own.
    _metadata_dir_lock: Option<DirLock>,
}

/// Starts a broker; when this returns, it serves.
///
/// # Errors
/// When something of the start fails; what was started is stopped again.
pub async fn start(config: BrokerConfig) -> anyhow::Result<BrokerHandle> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let deadline = Instant::now()
        + Duration::from_millis(
            u64::try_from(config.initial_broker_registration_timeout_ms).unwrap_or(0),
        );
    anyhow::ensure!(
        config.is_broker && config.is_controller,
        "process.roles={}: this version runs nodes that are broker and controller in one",
        config.values.list("process.roles").join(",")
    );
    let config = Arc::new(config);
    let connections_max = connections_that_fit();
    let within_limits = move |config: &BrokerConfig| {
        let mut network = config.network.clone();
        network.max_connections = network.max_connections.min(connections_max);
        network
    };

    let folders = folders::prepare(&config, clock.wall_ms())?;
    let (logs, metadata_context, metadata_dir_lock) = open_folders(&config, &clock).await?;
    let listeners = bind(&config)?;
    let dynamic = DynamicConfig::new(BrokerConfig::clone(&config));
    load_logs(&config, &logs).await?;

    let metadata = MetadataHandle::new(MetadataImage::default());
    let replicas = replicas(&config, &logs, &metadata, &dynamic, &clock);
    let groups = GroupCoordinator::new(
        settings::group_coordinator(&config),
        Arc::clone(&replicas) as _,
        Arc::clone(&clock),
    );
    metadata.add_publisher(Arc::clone(&dynamic) as _);
    metadata.add_publisher(Arc::clone(&replicas) as _);
    metadata.add_publisher(Arc::new(GroupCoordinatorPublisher::new(
        Arc::clone(&groups),
        config.node_id,
    )));
    let advertised = advertised_listeners(&config, &listeners);
    let node_config = settings::quorum_node(
        &config,
        &folders.cluster_id,
        folders.metadata_directory_id,
        controller_endpoints(&config, &listeners),
    );
    let (validator, handle, node_clock) = (Arc::clone(&dynamic), metadata.clone(), clock.clone());
    let quorum = task::spawn_blocking("start-quorum", move || {
        node::start(node_config, metadata_context, validator, handle, node_clock)
    })
    .await?
    .context("start the metadata quorum")
    .map(Quorum)?;
    let node = &quorum.0;
    let controller = node
        .controller
        .clone()
        .expect("the node has the controller's role");
    let channel = ControllerChannel::new(
        settings::channel(&config),
        node.controller.clone(),
        &node.raft,
    );
    let shared = Arc::new(api::Node {
        cluster_id: folders.cluster_id.as_str().into(),
        config: Arc::clone(&dynamic),
        metadata: metadata.clone(),
        controller: channel.clone(),
        raft: node.raft.clone(),
    });
    let (controller_listeners, listeners): (Vec<_>, Vec<_>) = listeners
        .into_iter()
        .partition(|listener| config.listeners.is_controller(listener.name()));
    let controller_network = Network::start(
        controller_listeners,
        within_limits(&config),
        Arc::new(api::controller::Controller {
            node: Arc::clone(&shared),
            controller,
        }),
    );

    let cluster_id: Arc<str> = folders.cluster_id.into();
    let registration = Registration {
        node_id: config.node_id,
        cluster_id: Arc::clone(&cluster_id),
        rack: config.broker_rack.clone(),
        listeners: advertised,
        directories: logs.dirs().iter().filter_map(|dir| dir.id).collect(),
        previous_broker_epoch: logs.previous_broker_epoch().unwrap_or(-1),
    };
    let lifecycle = Lifecycle::register(
        &registration,
        channel.clone(),
        metadata.clone(),
        Arc::clone(&logs),
        Duration::from_millis(u64::try_from(config.broker_heartbeat_interval_ms).unwrap_or(2000)),
        deadline,
    )
    .await?;
    lifecycle.wait_until_unfenced(deadline).await?;

    let heartbeats_replicas = Arc::clone(&replicas);
    let producer_ids = ProducerIds::new(config.node_id, channel, metadata.clone());
    let broker = api::Broker {
        node: shared,
        replicas,
        producer_ids: Arc::new(producer_ids),
        groups: Arc::clone(&groups),
    };
    let network = Network::start(listeners, within_limits(&config), Arc::new(broker));
    dynamic.on_change({
        let limits = network.limits();
        move |config| limits.update(&within_limits(config))
    });
    let (stop_heartbeats, stopped) = watch::channel(false);
    Ok(BrokerHandle {
        cluster_id,
        network,
        controller_network,
        groups,
        heartbeats: task::spawn(
            "heartbeats",
            lifecycle.clone().run(heartbeats_replicas, stopped),
        ),
        lifecycle,
        stop_heartbeats,
        periodic: Periodic::start(&config, &logs),
        quorum,
        logs,
        controlled_shutdown: config.controlled_shutdown_enable,
        _metadata_dir_lock: metadata_dir_lock,
    })
}

impl BrokerHandle {
    /// Listener names with the addresses they are bound to.
    pub fn local_addrs(&self) -> &[(Arc<str>, SocketAddr)] {
        self.network.local_addrs()
    }

    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Resolves when the broker cannot go on, with the reason: the metadata quorum failed, or no data
    /// folder is left.
    pub async fn failed(&self) -> String {
        let mut quorum = self.quorum.0.raft.status();
        let mut folders = self.logs.watch_failures();
        loop {
            if let Some(why) = quorum.borrow_and_update().failure.clone() {
                return format!("the metadata log failed: {why}");
            }
            folders.borrow_and_update();
            if self.logs.dirs().iter().all(|dir| dir.is_offline) {
                return "no data folder is left".to_owned();
            }
            tokio::select! {
                changed = quorum.changed() => {
                    if changed.is_err() {
                        return "the metadata quorum ended".to_owned();
                    }
                }
                Ok(()) = folders.changed() => {}
            }
        }
    }

    /// Stops the broker in order. See the module for the steps.
    ///
    /// # Errors
    /// When logs could not be closed cleanly: the next start recovers them.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        if self.controlled_shutdown {
            self.lifecycle.leave(Instant::now() + LEAVE_DEADLINE).await;
        }
        // Nobody is listening: the task ended by itself.
        let _ = self.stop_heartbeats.send(true);
        let _ = self.heartbeats.await;
        self.groups.shutdown().await;
        self.network.shutdown(CONNECTIONS_GRACE).await;
        self.periodic.stop().await;
        self.controller_network.shutdown(CONNECTIONS_GRACE).await;
        self.quorum.0.shutdown().await;
        let (logs, broker_epoch) = (self.logs, self.lifecycle.broker_epoch());
        let is_clean =
            task::spawn_blocking("close-logs", move || logs.shutdown(broker_epoch)).await?;
        if !is_clean {
            return Err(anyhow!(
                "not all logs were closed cleanly; the next start recovers them"
            ));
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

type OpenFolders = (Arc<LogManager>, Arc<LogContext>, Option<DirLock>);

/// Locks all folders; the metadata log shares the context of its folder with the logs in it.
async fn open_folders(
    config: &BrokerConfig,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<OpenFolders> {
    let (log_config, clock) = (settings::log_manager(config), Arc::clone(clock));
    let metadata_dir: PathBuf = config.metadata_log_dir.clone();
    task::spawn_blocking("open-folders", move || {
        let logs =
            LogManager::open(log_config, Arc::clone(&clock)).context("open the data folders")?;
        if let Some(context) = logs.context(&metadata_dir) {
            return Ok((logs, context, None));
        }
        let shown = metadata_dir.display().to_string();
        let lock = DirLock::acquire(&metadata_dir).with_context(|| format!("lock {shown}"))?;
        let context = LogContext::new(clock, LogDir::new(&metadata_dir));
        Ok((logs, context, Some(lock)))
    })
    .await?
}

async fn load_logs(config: &BrokerConfig, logs: &Arc<LogManager>) -> anyhow::Result<()> {
    let defaults = TopicValues::new(&config.values, &crate::config::Settings::new())
        .map_err(|errors| anyhow!("{}", errors[0]))?;
    // Topics' own settings come with the first metadata, before anything is appended.
    let defaults = Arc::new(settings::log_config(&defaults));
    let logs = Arc::clone(logs);
    let summary = task::spawn_blocking("load-logs", move || {
        logs.load_logs(&|_| Arc::clone(&defaults))
    })
    .await?;
    info!(
        logs = summary.logs,
        unclean = summary.unclean_dirs,
        "opened the logs"
    );
    Ok(())
}

fn replicas(
    config: &BrokerConfig,
    logs: &Arc<LogManager>,
    metadata: &MetadataHandle,
    dynamic: &Arc<DynamicConfig>,
    clock: &Arc<dyn Clock>,
) -> Arc<ReplicaManager> {
    let dynamic = Arc::clone(dynamic);
    Arc::new(ReplicaManager::new(
        settings::replica_manager(config),
        Arc::clone(logs),
        metadata.clone(),
        Box::new(move |image, topic| settings::log_config(&dynamic.topic_values(image, topic))),
        Arc::clone(clock),
    ))
}

fn bind(config: &BrokerConfig) -> anyhow::Result<Vec<BoundListener>> {
    let bind = |listener: &crate::config::Listener| {
        let host = listener.host.clone();
        let wanted = ListenerConfig {
            name: listener.name.as_str().into(),
            host,
            port: listener.port,
            backlog: config.socket_listen_backlog_size,
        };
        BoundListener::bind(&wanted, &config.network).with_context(|| {
            format!(
                "listen at {}://{}:{}",
                listener.name, listener.host, listener.port
            )
        })
    };
    config.listeners.bound.iter().map(bind).collect()
}

fn bound_port(listeners: &[BoundListener], name: &str) -> Option<u16> {
    let bound = listeners
        .iter()
        .find(|listener| &**listener.name() == name)?;
    Some(bound.local_addr().port())
}

/// What clients and brokers are told, with the hosts and ports that the configuration leaves open.
fn advertised_listeners(
    config: &BrokerConfig,
    listeners: &[BoundListener],
) -> Vec<ListenerEndpoint> {
    config
        .listeners
        .advertised
        .iter()
        .map(|listener| ListenerEndpoint {
            name: listener.name.as_str().into(),
            host: advertised_host(&listener.host).into(),
            port: match listener.port {
                0 => bound_port(listeners, &listener.name).unwrap_or(0),
                port => port,
            },
            security_protocol: listener.security_protocol.id(),
        })
        .collect()
}

/// Where other controllers would reach this one, also when nothing listens there: the only voter is
/// never connected to, but its entry in the voter set must not be without an address.
fn controller_endpoints(config: &BrokerConfig, listeners: &[BoundListener]) -> Vec<VoterEndpoint> {
    let is_controller = |name: &String| config.listeners.controller_names.contains(name);
    let bound: Vec<_> = config
        .listeners
        .bound
        .iter()
        .filter(|listener| is_controller(&listener.name))
        .map(|listener| VoterEndpoint {
            name: listener.name.clone(),
            host: advertised_host(&listener.host),
            port: bound_port(listeners, &listener.name).unwrap_or(listener.port),
        })
        .collect();
    if bound.is_empty() {
        let (name, host, port) = folders::controller_endpoint(config);
        return vec![VoterEndpoint { name, host, port }];
    }
    bound
}
