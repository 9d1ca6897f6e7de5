//! The replicas that this broker hosts: which partitions are here, who leads them, and reading and
//! writing them.
//!
//! * [`partition`] one replica: its log and its replication state ([`partition::state`], pure);
//! * [`hosted`] the table of partitions, looked up without locks;
//! * [`changes`] applies the metadata log: makes, leads, reconfigures and drops replicas;
//! * [`fetch`] reads and long polls, [`append`] writes and waits for acknowledgements, [`offsets`]
//!   look-ups by time and epoch and deletion of records;
//! * [`delayed`] requests that wait, [`fetch_session`] incremental fetches (pure);
//! * [`fetcher`] copies from leaders, [`isr`] proposes in-sync replicas, [`directories`] tells where
//!   replicas are, [`log_dir_moves`] moves them there, [`replication`] starts and ends all that;
//! * [`preferred`] the replica that a consumer should read from, [`quota`] replication throttles;
//! * [`producer_ids`] hands out producer ids from the controller's blocks.
//!
//! Invariants: a partition is in the table before the metadata that names it counts as applied, and
//! out of it before the log goes away; requests that wait for a dropped partition are woken; an
//! error concerns one partition of a request, never its neighbours.
//!
//! Kafka: `server/ReplicaManager.scala` (4.3).

pub mod append;
mod changes;
#[cfg(test)]
mod cluster_tests;
mod coordinator_log;
pub mod delayed;
pub mod directories;
pub mod fetch;
pub mod fetch_session;
pub mod fetcher;
pub mod hosted;
pub mod isr;
pub mod log_dir_moves;
pub mod offsets;
pub mod partition;
pub mod preferred;
pub mod producer_ids;
pub mod quota;
pub mod replication;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use kafka_shared::error::ErrorCode;
use kafka_shared::time::Clock;
use kafka_shared::types::{TopicPartition, Uuid};
use parking_lot::Mutex;

pub use self::hosted::{Hosted, HostedTopic, HostedTopics};
pub use self::partition::Partition;

use self::directories::DirectoryAssignments;
use self::fetch_session::{FetchKey, FetchSessionCache, FetchTopic};
use self::fetcher::{FetcherConfig, FetcherManager, PartitionKey};
use self::isr::IsrUpdates;
use self::log_dir_moves::LogDirMoves;
use self::preferred::ReplicaSelector;
use self::quota::{ReplicationQuota, ReplicationQuotas};
use crate::log::LogConfig;
use crate::log::manager::LogManager;
use crate::metadata::{MetadataHandle, MetadataImage};

/// Settings of the replica manager. Those of Kafka carry its names.
#[derive(Debug, Clone)]
pub struct ReplicaManagerConfig {
    pub node_id: i32,
    /// `fetch.max.bytes`: most bytes of records in one response.
    pub fetch_max_bytes: usize,
    pub replica_lag_time_max_ms: i64,
    pub max_incremental_fetch_session_cache_slots: usize,
    /// `inter.broker.listener.name`, or what stands for it: followers fetch from it.
    pub inter_broker_listener_name: String,
    pub fetcher: FetcherConfig,
    /// `replica.selector.class`.
    pub replica_selector: ReplicaSelector,
    /// `replication.quota.window.num`.
    pub replication_quota_window_num: usize,
    /// `replication.quota.window.size.seconds`, in milliseconds.
    pub replication_quota_window_ms: i64,
    /// `num.replica.alter.log.dirs.threads`.
    pub num_replica_alter_log_dirs_threads: usize,
    /// `alter.log.dirs.replication.quota.window.num`.
    pub alter_log_dirs_quota_window_num: usize,
    /// `alter.log.dirs.replication.quota.window.size.seconds`, in milliseconds.
    pub alter_log_dirs_quota_window_ms: i64,
}

impl Default for ReplicaManagerConfig {
    fn default() -> Self {
        Self {
            node_id: 0,
            fetch_max_bytes: 55 * 1024 * 1024,
            replica_lag_time_max_ms: 30_000,
            max_incremental_fetch_session_cache_slots: 1000,
            inter_broker_listener_name: "PLAINTEXT".to_owned(),
            fetcher: FetcherConfig::default(),
            replica_selector: ReplicaSelector::Leader,
            replication_quota_window_num: 11,
            replication_quota_window_ms: 1000,
            num_replica_alter_log_dirs_threads: 1,
            alter_log_dirs_quota_window_num: 11,
            alter_log_dirs_quota_window_ms: 1000,
        }
    }
}

/// Gives the effective settings of a topic's logs under an image: the topic's own, over the
/// broker's, over the defaults.
pub type TopicConfigSource = dyn Fn(&MetadataImage, &str) -> LogConfig + Send + Sync;

/// See the module's documentation.
pub struct ReplicaManager {
    config: ReplicaManagerConfig,
    topics: ArcSwap<HostedTopics>,
    logs: Arc<LogManager>,
    metadata: MetadataHandle,
    topic_config: Box<TopicConfigSource>,
    clock: Arc<dyn Clock>,
    fetch_sessions: Mutex<FetchSessionCache>,
    /// Held while replicas are made or dropped: one change of the table at a time.
    changing: Mutex<changes::Progress>,
    fetchers: FetcherManager,
    isr_updates: Arc<IsrUpdates>,
    directory_assignments: Arc<DirectoryAssignments>,
    quotas: Arc<ReplicationQuotas>,
    moves: Arc<LogDirMoves>,
    is_in_controlled_shutdown: AtomicBool,
    replication_tasks: Mutex<replication::Tasks>,
}

impl std::fmt::Debug for ReplicaManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicaManager")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl ReplicaManager {
    /// A manager without replicas; they come with the first metadata image, for which it is to be
    /// added as a publisher.
    pub fn new(
        config: ReplicaManagerConfig,
        logs: Arc<LogManager>,
        metadata: MetadataHandle,
        topic_config: Box<TopicConfigSource>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let slots = config.max_incremental_fetch_session_cache_slots;
        let (window_num, window_ms) = (
            config.replication_quota_window_num,
            config.replication_quota_window_ms,
        );
        let moves = LogDirMoves::new(
            config.alter_log_dirs_quota_window_num,
            config.alter_log_dirs_quota_window_ms,
        );
        Self {
            config,
            moves: Arc::new(moves),
            topics: ArcSwap::default(),
            logs,
            metadata,
            topic_config,
            clock,
            fetch_sessions: Mutex::new(FetchSessionCache::new(slots)),
            changing: Mutex::default(),
            fetchers: FetcherManager::default(),
            isr_updates: Arc::default(),
            directory_assignments: Arc::default(),
            quotas: Arc::new(ReplicationQuotas {
                leader: ReplicationQuota::new(window_num, window_ms),
                follower: ReplicationQuota::new(window_num, window_ms),
            }),
            is_in_controlled_shutdown: AtomicBool::new(false),
            replication_tasks: Mutex::default(),
        }
    }

    pub fn config(&self) -> &ReplicaManagerConfig {
        &self.config
    }

    pub fn logs(&self) -> &Arc<LogManager> {
        &self.logs
    }

    pub fn metadata(&self) -> &MetadataHandle {
        &self.metadata
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The sessions of incremental fetches.
    pub fn fetch_sessions(&self) -> &Mutex<FetchSessionCache> {
        &self.fetch_sessions
    }

    /// What is fetched from leaders.
    pub fn fetchers(&self) -> &FetcherManager {
        &self.fetchers
    }

    /// The replicas on their way to other log directories.
    pub fn log_dir_moves(&self) -> &LogDirMoves {
        &self.moves
    }

    /// The replication throttles.
    pub fn quotas(&self) -> &ReplicationQuotas {
        &self.quotas
    }

    /// All topics with a replica here.
    pub fn topics(&self) -> Arc<HostedTopics> {
        self.topics.load_full()
    }

    /// The partition of the topic with this name.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`; `NOT_LEADER_OR_FOLLOWER` when it exists, but not here;
    /// `KAFKA_STORAGE_ERROR` when its log directory is out of service.
    pub fn partition(&self, topic: &str, partition: i32) -> Result<Arc<Partition>, ErrorCode> {
        match self
            .topics
            .load()
            .by_name(topic)
            .and_then(|topic| topic.partition(partition))
        {
            Some(hosted) => hosted.online(),
            None => Err(self.error_of_absent(
                self.metadata
                    .image()
                    .topics
                    .partition(topic, partition)
                    .is_some(),
            )),
        }
    }

    /// The partition of the topic with this id.
    ///
    /// # Errors
    /// Those of [`Self::partition`]; `UNKNOWN_TOPIC_ID` when no topic has the id.
    pub fn partition_by_id(&self, id: Uuid, partition: i32) -> Result<Arc<Partition>, ErrorCode> {
        if let Some(hosted) = self
            .topics
            .load()
            .by_id(id)
            .and_then(|t| t.partition(partition))
        {
            return hosted.online();
        }
        match self.metadata.image().topics.by_id(id) {
            Some(topic) => Err(self.error_of_absent(topic.partition(partition).is_some())),
            None => Err(ErrorCode::UNKNOWN_TOPIC_ID),
        }
    }

    /// [`Self::partition`] or [`Self::partition_by_id`], as a fetch names it.
    ///
    /// # Errors
    /// Those of the two.
    pub fn partition_by_key(&self, key: &FetchKey) -> Result<Arc<Partition>, ErrorCode> {
        match &key.topic {
            FetchTopic::Name(name) => self.partition(name, key.partition),
            FetchTopic::Id(id) => self.partition_by_id(*id, key.partition),
        }
    }

    fn error_of_absent(&self, exists: bool) -> ErrorCode {
        if exists {
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        } else {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        }
    }

    /// To be called after a log directory has gone out of service. Its partitions are fetched no more, or their
    /// leaders would take this broker for in sync; requests that wait for them are woken, and are answered with
    /// `KAFKA_STORAGE_ERROR`; moves from and to the directory are given up.
    pub fn on_failed_dirs(&self) {
        self.end_moves_of_failed_dirs();
        let topics = self.topics.load();
        let is_lost = |partition: &&Arc<Partition>| partition.log().dir().is_offline();
        let lost: Vec<_> = topics.online_partitions().filter(is_lost).collect();
        let keys = lost.iter().map(|partition| PartitionKey {
            topic_id: partition.topic_id(),
            partition: partition.topic_partition().partition,
        });
        {
            let _changing = self.changing.lock();
            self.fetchers.unfollow(keys);
        }
        lost.iter().for_each(|partition| partition.check_waiters());
    }

    /// The id and leader epoch of a partition's leader, as far as the metadata goes.
    pub fn current_leader(&self, topic_partition: &TopicPartition) -> Option<(i32, i32)> {
        let image = self.metadata.image();
        let TopicPartition { topic, partition } = topic_partition;
        let registration = image.topics.partition(topic, *partition)?;
        Some((registration.leader, registration.leader_epoch))
    }
}
