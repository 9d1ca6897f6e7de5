//! The broker role of a node: what is started once the node follows the metadata log.
//!
//! Kafka: `BrokerServer.scala`, `BrokerMetadataPublisher.scala` (4.3).

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::anyhow;
use kafka_shared::{task, time::Clock, types::TopicPartition};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::info;

use super::{
    CONNECTIONS_GRACE,
    lifecycle::{Lifecycle, Parts, Registration},
    periodic::Periodic,
    settings,
    unenforced::Unenforced,
};
use crate::{
    api,
    config::BrokerConfig,
    coordinator::{GroupCoordinator, publisher::GroupCoordinatorPublisher},
    log::manager::LogManager,
    metadata::ListenerEndpoint,
    network::{BoundListener, Network, NetworkConfig},
    replica::{ReplicaManager, producer_ids::ProducerIds, replication::Replication},
};

/// How long the controller may take to let the broker go.
const LEAVE_DEADLINE: Duration = Duration::from_secs(60);
/// How long the broker waits for leave while no controller answers at all.
const LEAVE_SILENCE: Duration = Duration::from_secs(5);

/// What the broker role is started with.
pub(super) struct Start {
    pub(super) node: Arc<api::Node>,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) logs: Arc<LogManager>,
    pub(super) listeners: Vec<BoundListener>,
    pub(super) advertised: Vec<ListenerEndpoint>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) deadline: Instant,
}

/// The running broker role.
pub(super) struct Broker {
    network: Network,
    replicas: Arc<ReplicaManager>,
    _watching_folders: DropGuard,
    groups: Arc<GroupCoordinator>,
    lifecycle: Lifecycle,
    periodic: Periodic,
    logs: Arc<LogManager>,
    metadata_log_dir: PathBuf,
    is_controlled_shutdown_enabled: bool,
}

/// Starts the broker; when this returns, it serves.
///
/// # Errors
/// When the controller doesn't take the broker, or something fails on the way.
pub(super) async fn start(
    start: Start,
    limits: impl Fn(&BrokerConfig) -> NetworkConfig + Copy + Send + 'static,
) -> anyhow::Result<Broker> {
    let Start {
        node,
        config,
        logs,
        listeners,
        advertised,
        clock,
        deadline,
    } = start;
    let lifecycle = Lifecycle::start(Parts {
        registration: Registration {
            node_id: config.node_id,
            cluster_id: Arc::clone(&node.cluster_id),
            rack: config.broker_rack.clone(),
            listeners: advertised,
            previous_broker_epoch: logs.previous_broker_epoch().unwrap_or(-1),
        },
        controller: node.controller.clone(),
        metadata: node.metadata.clone(),
        config: Arc::clone(&node.config),
        logs: Arc::clone(&logs),
        clock: Arc::clone(&clock),
    });
    lifecycle.wait_until_caught_up(deadline).await?;
    load_logs(&node, &logs).await?;

    logs.set_cordoned(node.config().values.list("cordoned.log.dirs"));
    let replicas = replicas(&node, &config, &logs, &clock);
    let groups = GroupCoordinator::new(
        settings::group_coordinator(&config),
        Arc::clone(&replicas) as _,
        clock,
    );
    add_publishers(&node, &replicas, &groups, config.node_id).await?;
    let standing = lifecycle.standing();
    replicas.start_replication(Replication {
        channel: Arc::new(node.controller.clone()),
        broker_epoch: Arc::new(move || standing.borrow().broker_epoch),
        links: None,
    });
    lifecycle.unfence(deadline).await?;

    let producer_ids = ProducerIds::new(
        config.node_id,
        node.controller.clone(),
        node.metadata.clone(),
    );
    let dynamic = Arc::clone(&node.config);
    let broker = api::Broker {
        node,
        replicas: Arc::clone(&replicas),
        producer_ids: Arc::new(producer_ids),
        groups: Arc::clone(&groups),
    };
    let network = Network::start(listeners, limits(&config), Arc::new(broker));
    dynamic.on_change({
        let logs = Arc::clone(&logs);
        move |config| logs.set_cordoned(config.values.list("cordoned.log.dirs"))
    });
    dynamic.on_change({
        let connections = network.limits();
        move |config| connections.update(&limits(config))
    });
    Ok(Broker {
        network,
        _watching_folders: watch_folders(&logs, &replicas),
        replicas,
        groups,
        lifecycle,
        periodic: Periodic::start(&config, &logs),
        logs,
        metadata_log_dir: config.metadata_log_dir.clone(),
        is_controlled_shutdown_enabled: config.controlled_shutdown_enable,
    })
}

impl Broker {
    /// Listener names with the addresses they are bound to.
    pub(super) fn local_addrs(&self) -> &[(Arc<str>, SocketAddr)] {
        self.network.local_addrs()
    }

    /// Resolves when the broker cannot go on, with the reason.
    pub(super) async fn failed(&self) -> String {
        let mut folders = self.logs.watch_failures();
        let mut standing = self.lifecycle.standing();
        loop {
            folders.borrow_and_update();
            let dirs = self.logs.dirs();
            if dirs.iter().all(|dir| dir.is_offline) {
                return "no data folder is left".to_owned();
            }
            let lost = dirs
                .iter()
                .find(|dir| dir.is_offline && dir.path == self.metadata_log_dir);
            if let Some(lost) = lost {
                return format!(
                    "the folder of the metadata log has failed: {}",
                    lost.path.display()
                );
            }
            if let Some(failure) = standing.borrow_and_update().failure.clone() {
                return failure;
            }
            tokio::select! {
                Ok(()) = folders.changed() => {}
                Ok(()) = standing.changed() => {}
                else => std::future::pending().await,
            }
        }
    }

    /// Has its partitions led elsewhere, finishes what is in flight, and ends all that asks the
    /// controller. [`Stopping::close_logs`] comes last, when the quorum has ended too.
    pub(super) async fn stop(self) -> Stopping {
        if self.is_controlled_shutdown_enabled {
            self.replicas.begin_controlled_shutdown();
            let deadline = Instant::now() + LEAVE_DEADLINE;
            self.lifecycle.leave(deadline, LEAVE_SILENCE).await;
        }
        self.lifecycle.stop().await;
        self.groups.shutdown().await;
        self.network.shutdown(CONNECTIONS_GRACE).await;
        self.replicas.stop_replication().await;
        self.periodic.stop().await;
        Stopping {
            broker_epoch: self.lifecycle.broker_epoch(),
            logs: self.logs,
        }
    }
}

/// What is left of a broker that serves nobody any more.
pub(super) struct Stopping {
    broker_epoch: i64,
    logs: Arc<LogManager>,
}

impl Stopping {
    /// Flushes the logs and marks their folders as cleanly closed.
    ///
    /// # Errors
    /// When that was not possible for all; the next start recovers them.
    pub(super) async fn close_logs(self) -> anyhow::Result<()> {
        let Self { broker_epoch, logs } = self;
        let closing = task::spawn_blocking("close-logs", move || logs.shutdown(broker_epoch));
        if closing.await? {
            return Ok(());
        }
        Err(anyhow!(
            "not all logs were closed cleanly; the next start recovers them"
        ))
    }
}

/// Answers whoever waits for something in a folder that fails.
fn watch_folders(logs: &Arc<LogManager>, replicas: &Arc<ReplicaManager>) -> DropGuard {
    let stopping = CancellationToken::new();
    let (mut failures, replicas) = (logs.watch_failures(), Arc::clone(replicas));
    let stopped = stopping.clone();
    let watching = async move {
        loop {
            tokio::select! {
                () = stopped.cancelled() => return,
                changed = failures.changed() => match changed {
                    Ok(()) => {
                        let replicas = Arc::clone(&replicas);
                        let work = move || replicas.on_failed_dirs();
                        drop(task::spawn_blocking("failed-folders", work).await);
                    },
                    Err(_) => return,
                },
            }
        }
    };
    drop(task::spawn("watch-folders", watching));
    stopping.drop_guard()
}

/// Opens the logs with the settings that the metadata has for their topics.
async fn load_logs(node: &api::Node, logs: &Arc<LogManager>) -> anyhow::Result<()> {
    let (logs, image) = (Arc::clone(logs), node.image());
    let dynamic = Arc::clone(&node.config);
    let node_id = node.config().node_id;
    let summary = task::spawn_blocking("load-logs", move || {
        let directory_of = |tp: &TopicPartition| {
            image
                .topics
                .partition(&tp.topic, tp.partition)?
                .directory(node_id)
        };
        let config_of =
            |topic: &str| Arc::new(settings::log_config(&dynamic.topic_values(&image, topic)));
        logs.load_logs_placed(&config_of, &directory_of)
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
    node: &api::Node,
    config: &BrokerConfig,
    logs: &Arc<LogManager>,
    clock: &Arc<dyn Clock>,
) -> Arc<ReplicaManager> {
    let dynamic = Arc::clone(&node.config);
    Arc::new(ReplicaManager::new(
        settings::replica_manager(config),
        Arc::clone(logs),
        node.metadata.clone(),
        Box::new(move |image, topic| settings::log_config(&dynamic.topic_values(image, topic))),
        Arc::clone(clock),
    ))
}

/// Has the broker follow the metadata: first the replicas, on which the coordinator relies. The
/// first image makes leaders and followers of all of them, which takes files.
async fn add_publishers(
    node: &api::Node,
    replicas: &Arc<ReplicaManager>,
    groups: &Arc<GroupCoordinator>,
    node_id: i32,
) -> anyhow::Result<()> {
    let metadata = node.metadata.clone();
    let (replicas, groups) = (Arc::clone(replicas), Arc::clone(groups));
    let adding = task::spawn_blocking("first-metadata", move || {
        metadata.add_publisher(replicas as _);
        metadata.add_publisher(Arc::new(GroupCoordinatorPublisher::new(groups, node_id)));
        metadata.add_publisher(Arc::new(Unenforced));
    });
    Ok(adding.await?)
}
