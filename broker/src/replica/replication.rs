//! What replication needs of the rest of the broker, and its start and end.
//!
//! Before [`ReplicaManager::start_replication`] the metadata is followed already: the manager knows
//! whom to fetch from and which ISRs to propose, and begins with it then.
//!
//! Kafka: `ReplicaManager.startup`, `shutdown`, `beginControlledShutdown` (4.3).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kafka_protocol::messages::{
    AlterPartitionRequest, AlterPartitionResponse, AssignReplicasToDirsRequest,
    AssignReplicasToDirsResponse,
};
use kafka_shared::task;
use tokio::task::JoinHandle;

use super::ReplicaManager;
use super::fetcher::link::{Links, TcpLinks};
use super::fetcher::{FetcherContext, LeaderEndpoint};
use super::log_dir_moves::Mover;
use crate::controller::{ControllerChannel, ControllerHandle, RequestContext};

/// Tells the epoch of this broker's registration.
pub type BrokerEpoch = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The way to the active controller, wherever it is.
///
/// An answer comes in any case; when the controller could not be asked, it carries the error.
pub trait ReplicationChannel: Send + Sync {
    /// Proposes ISRs.
    fn alter_partition(
        &self,
        request: AlterPartitionRequest,
    ) -> BoxFuture<'_, AlterPartitionResponse>;

    /// Tells the directories of replicas.
    fn assign_replicas_to_dirs(
        &self,
        request: AssignReplicasToDirsRequest,
    ) -> BoxFuture<'_, AssignReplicasToDirsResponse>;
}

macro_rules! replication_channel {
    ($channel:ident) => {
        impl ReplicationChannel for $channel {
            fn alter_partition(
                &self,
                request: AlterPartitionRequest,
            ) -> BoxFuture<'_, AlterPartitionResponse> {
                Box::pin(async move {
                    let cx = RequestContext::default();
                    $channel::alter_partition(self, &cx, request).await
                })
            }

            fn assign_replicas_to_dirs(
                &self,
                request: AssignReplicasToDirsRequest,
            ) -> BoxFuture<'_, AssignReplicasToDirsResponse> {
                Box::pin(async move {
                    let cx = RequestContext::default();
                    $channel::assign_replicas_to_dirs(self, &cx, request).await
                })
            }
        }
    };
}

replication_channel!(ControllerChannel);
replication_channel!(ControllerHandle);

/// What replication is started with.
pub struct Replication {
    pub channel: Arc<dyn ReplicationChannel>,
    pub broker_epoch: BrokerEpoch,
    /// How leaders are reached; over TCP if not given.
    pub links: Option<Arc<dyn Links>>,
}

impl std::fmt::Debug for Replication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replication").finish_non_exhaustive()
    }
}

/// The tasks of a started replication.
#[derive(Debug, Default)]
pub(super) struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl ReplicaManager {
    /// Begins to fetch from leaders, to propose ISRs and to tell directories.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start_replication(self: &Arc<Self>, replication: Replication) {
        let Replication {
            channel,
            broker_epoch,
            links,
        } = replication;
        let config = &self.config;
        self.isr_updates.set_broker_epoch(Arc::clone(&broker_epoch));
        let clock = Arc::clone(&self.clock);
        let isr =
            Arc::clone(&self.isr_updates).run(config.node_id, Arc::clone(&channel), move || {
                clock.wall_ms()
            });
        let directories = Arc::clone(&self.directory_assignments).run(
            config.node_id,
            channel,
            self.metadata.clone(),
            Arc::clone(&broker_epoch),
        );
        let replicas = Arc::downgrade(self);
        let interval_ms = u64::try_from(config.replica_lag_time_max_ms / 2).unwrap_or(0);
        let interval = Duration::from_millis(interval_ms.max(1));
        let shrink = async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(replicas) = replicas.upgrade() else {
                    return;
                };
                replicas.shrink_isrs();
            }
        };
        let mover = Mover {
            node_id: config.node_id,
            threads: config.num_replica_alter_log_dirs_threads,
            max_bytes: usize::try_from(config.fetcher.max_bytes).unwrap_or(1),
            moves: Arc::clone(&self.moves),
            logs: Arc::clone(&self.logs),
            metadata: self.metadata.clone(),
            assignments: Arc::clone(&self.directory_assignments),
            clock: Arc::clone(&self.clock),
        };
        let tasks = vec![
            task::spawn("alter-log-dirs", mover.run()),
            task::spawn("alter-partition", isr),
            task::spawn("assign-directories", directories),
            task::spawn("isr-expiration", shrink),
        ];
        *self.replication_tasks.lock() = Tasks(tasks);
        let timeout_ms = u64::try_from(config.fetcher.socket_timeout_ms).unwrap_or(0);
        let links = links.unwrap_or_else(|| Arc::new(TcpLinks { timeout_ms }));
        self.fetchers.start(FetcherContext {
            config: config.fetcher.clone(),
            node_id: config.node_id,
            logs: Arc::clone(&self.logs),
            metadata: self.metadata.clone(),
            clock: Arc::clone(&self.clock),
            broker_epoch,
            links,
            quotas: Arc::clone(&self.quotas),
            runtime: tokio::runtime::Handle::current(),
        });
    }

    /// Puts followers out of ISRs that have fallen behind.
    fn shrink_isrs(&self) {
        let now_ms = self.clock.wall_ms();
        for partition in self.topics().online_partitions() {
            partition.shrink_isr(now_ms);
        }
    }

    /// From now on replicas are not fetched that this broker was taken out of the ISR of: its
    /// leaders would let it in again while it is about to go.
    pub fn begin_controlled_shutdown(&self) {
        self.is_in_controlled_shutdown
            .store(true, Ordering::Release);
    }

    pub(super) fn is_in_controlled_shutdown(&self) -> bool {
        self.is_in_controlled_shutdown.load(Ordering::Acquire)
    }

    /// Ends fetching and everything else that replication does. What was appended stays.
    pub async fn stop_replication(&self) {
        let tasks = std::mem::take(&mut *self.replication_tasks.lock());
        drop(tasks);
        let moves = Arc::clone(&self.moves);
        if task::spawn_blocking("stop-moves", move || moves.stop())
            .await
            .is_err()
        {
            tracing::error!("moves between log directories did not end in order");
        }
        self.fetchers.stop().await;
    }

    /// The leader as this broker reaches it.
    pub(super) fn leader_endpoint(
        &self,
        image: &crate::metadata::MetadataImage,
        leader_id: i32,
    ) -> Option<LeaderEndpoint> {
        let broker = image.cluster.broker(leader_id)?;
        let listener = broker.listener(&self.config.inter_broker_listener_name)?;
        Some(LeaderEndpoint {
            id: leader_id,
            host: listener.host.to_string(),
            port: listener.port,
        })
    }
}
