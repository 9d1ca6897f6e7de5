//! Followers: copying from leaders what they have.
//!
//! A fetcher is one task with one connection to one leader; a leader's partitions are spread over
//! `num.replica.fetchers` of them by hash, as Kafka does it. [`state`] and [`session`] decide
//! (pure), [`link`] asks, [`task`] carries out, and this module says which fetcher a partition
//! belongs to.
//!
//! Invariants: a partition belongs to at most one fetcher; a leader that does not answer keeps up
//! the partitions that are fetched from it and no others; whatever a fetcher that is about to end
//! still does to a log is done in the epoch that it was told of, or not at all (see
//! [`super::partition::FollowerError::Stale`]).
//!
//! Kafka: `server/AbstractFetcherManager.scala`, `server/ReplicaFetcherManager.scala` (4.3).

pub mod link;
pub(crate) mod session;
pub(crate) mod state;
mod task;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use kafka_shared::task::spawn;
use kafka_shared::time::Clock;
use kafka_shared::types::TopicPartition;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::link::LeaderEndpoint;
pub use self::session::PartitionKey;

use self::link::Links;
use super::partition::Partition;
use super::quota::ReplicationQuotas;
use super::replication::BrokerEpoch;
use crate::log::manager::LogManager;
use crate::metadata::MetadataHandle;

/// Settings of fetchers, by Kafka's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetcherConfig {
    /// `num.replica.fetchers`: for each leader.
    pub num_replica_fetchers: i32,
    /// `replica.fetch.max.bytes`: per partition.
    pub max_bytes: i32,
    /// `replica.fetch.response.max.bytes`: per answer.
    pub response_max_bytes: i32,
    /// `replica.fetch.min.bytes`.
    pub min_bytes: i32,
    /// `replica.fetch.wait.max.ms`.
    pub wait_max_ms: i32,
    /// `replica.fetch.backoff.ms`.
    pub backoff_ms: i64,
    /// `replica.socket.timeout.ms`.
    pub socket_timeout_ms: i64,
}

impl Default for FetcherConfig {
    fn default() -> Self {
        Self {
            num_replica_fetchers: 1,
            max_bytes: 1024 * 1024,
            response_max_bytes: 10 * 1024 * 1024,
            min_bytes: 1,
            wait_max_ms: 500,
            backoff_ms: 1000,
            socket_timeout_ms: 30_000,
        }
    }
}

/// What all fetchers share.
pub struct FetcherContext {
    pub config: FetcherConfig,
    pub node_id: i32,
    pub logs: Arc<LogManager>,
    pub metadata: MetadataHandle,
    pub clock: Arc<dyn Clock>,
    pub broker_epoch: BrokerEpoch,
    pub links: Arc<dyn Links>,
    pub quotas: Arc<ReplicationQuotas>,
    pub runtime: tokio::runtime::Handle,
}

impl std::fmt::Debug for FetcherContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetcherContext")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A partition that is to be fetched, from whom and in which epoch.
#[derive(Debug, Clone)]
pub struct Following {
    pub partition: Arc<Partition>,
    pub leader: LeaderEndpoint,
    pub leader_epoch: i32,
}

impl Following {
    pub fn key(&self) -> PartitionKey {
        PartitionKey {
            topic_id: self.partition.topic_id(),
            partition: self.partition.topic_partition().partition,
        }
    }
}

/// A leader and the number of a fetcher from it.
type FetcherId = (i32, i32);

/// What a fetcher is told: a partition to fetch, or that it is no longer to be fetched. The newest
/// word about a partition counts.
#[derive(Debug, Default)]
struct Inbox {
    changes: Mutex<BTreeMap<PartitionKey, Option<Following>>>,
    /// All that is to be fetched.
    all: Mutex<BTreeMap<PartitionKey, Following>>,
    changed: Notify,
    stop: CancellationToken,
}

impl Inbox {
    fn tell(&self, key: PartitionKey, following: Option<Following>) {
        match &following {
            Some(following) => self.all.lock().insert(key, following.clone()),
            None => self.all.lock().remove(&key),
        };
        self.changes.lock().insert(key, following);
        self.changed.notify_one();
    }

    /// Tells a fetcher that begins anew what it has to fetch.
    fn tell_all_again(&self) {
        let all = self.all.lock().clone();
        let mut changes = self.changes.lock();
        for (key, following) in all {
            changes.entry(key).or_insert(Some(following));
        }
    }
}

#[derive(Debug)]
struct Fetcher {
    leader: LeaderEndpoint,
    inbox: Arc<Inbox>,
    partitions: HashSet<PartitionKey>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Placed {
    following: Following,
    /// `None` before the start.
    fetcher: Option<FetcherId>,
}

#[derive(Debug, Default)]
struct Inner {
    context: Option<Arc<FetcherContext>>,
    num_replica_fetchers: i32,
    placed: HashMap<PartitionKey, Placed>,
    fetchers: HashMap<FetcherId, Fetcher>,
    ending: Vec<JoinHandle<()>>,
    is_stopped: bool,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct FetcherManager {
    inner: Mutex<Inner>,
}

impl FetcherManager {
    /// Begins to fetch what was asked for so far.
    pub(super) fn start(&self, context: FetcherContext) {
        let mut inner = self.inner.lock();
        if inner.num_replica_fetchers == 0 {
            inner.num_replica_fetchers = context.config.num_replica_fetchers.max(1);
        }
        inner.context = Some(Arc::new(context));
        inner.place_all();
    }

    /// Fetches these partitions from now on, in these epochs, instead of as before.
    pub fn follow(&self, partitions: impl IntoIterator<Item = Following>) {
        let mut inner = self.inner.lock();
        for following in partitions {
            inner.follow(following);
        }
        inner.end_idle();
    }

    /// Fetches these partitions no longer.
    pub fn unfollow(&self, keys: impl IntoIterator<Item = PartitionKey>) {
        let mut inner = self.inner.lock();
        for key in keys {
            inner.unfollow(key);
        }
        inner.end_idle();
    }

    /// From whom and in which epoch a partition is fetched.
    pub fn following(&self, key: PartitionKey) -> Option<(LeaderEndpoint, i32)> {
        let inner = self.inner.lock();
        let following = &inner.placed.get(&key)?.following;
        Some((following.leader.clone(), following.leader_epoch))
    }

    /// Changes `num.replica.fetchers`: partitions move to where they belong now.
    pub fn resize(&self, num_replica_fetchers: i32) {
        let mut inner = self.inner.lock();
        let num_replica_fetchers = num_replica_fetchers.max(1);
        if std::mem::replace(&mut inner.num_replica_fetchers, num_replica_fetchers)
            != num_replica_fetchers
            && inner.context.is_some()
        {
            inner.place_all();
        }
    }

    /// How many fetchers run.
    pub fn n_fetchers(&self) -> usize {
        self.inner.lock().fetchers.len()
    }

    /// Ends all fetchers, for good.
    pub(super) async fn stop(&self) {
        let ending = {
            let mut inner = self.inner.lock();
            inner.is_stopped = true;
            inner.placed.clear();
            let fetchers = std::mem::take(&mut inner.fetchers);
            inner
                .ending
                .extend(fetchers.into_values().map(Fetcher::end));
            std::mem::take(&mut inner.ending)
        };
        for task in ending {
            // A fetcher that has panicked has ended, too.
            drop(task.await);
        }
    }
}

impl Drop for FetcherManager {
    fn drop(&mut self) {
        for fetcher in self.inner.get_mut().fetchers.values() {
            fetcher.inbox.stop.cancel();
        }
    }
}

impl Fetcher {
    fn end(self) -> JoinHandle<()> {
        self.inbox.stop.cancel();
        self.task
    }
}

impl Inner {
    fn place_all(&mut self) {
        let placed: Vec<Following> = self
            .placed
            .values()
            .map(|placed| placed.following.clone())
            .collect();
        for following in placed {
            self.follow(following);
        }
        self.end_idle();
    }

    fn follow(&mut self, following: Following) {
        if self.is_stopped {
            return;
        }
        let key = following.key();
        let Some(context) = self.context.clone() else {
            let placed = Placed {
                following,
                fetcher: None,
            };
            self.placed.insert(key, placed);
            return;
        };
        let number = fetcher_number(
            following.partition.topic_partition(),
            self.num_replica_fetchers,
        );
        let id = (following.leader.id, number);
        let old = self.placed.get(&key).and_then(|placed| placed.fetcher);
        if old != Some(id) {
            self.unfollow(key);
        }
        // A leader that has moved is another one.
        let is_moved = self
            .fetchers
            .get(&id)
            .is_some_and(|fetcher| fetcher.leader != following.leader);
        if is_moved && let Some(mut fetcher) = self.fetchers.remove(&id) {
            for other in std::mem::take(&mut fetcher.partitions) {
                if let Some(placed) = self.placed.get(&other).filter(|_| other != key) {
                    let leader = following.leader.clone();
                    let other = Following {
                        leader,
                        ..placed.following.clone()
                    };
                    self.put(&context, id, other);
                }
            }
            self.ending.push(fetcher.end());
        }
        self.put(&context, id, following);
    }

    fn put(&mut self, context: &Arc<FetcherContext>, id: FetcherId, following: Following) {
        let key = following.key();
        let fetcher = self.fetchers.entry(id).or_insert_with(|| {
            let leader = following.leader.clone();
            tracing::info!(leader = leader.id, host = %leader.host, port = leader.port, "fetching");
            let inbox = Arc::new(Inbox::default());
            let _runtime = context.runtime.enter();
            let run = task::run(
                Arc::clone(context),
                leader.clone(),
                id.1,
                Arc::clone(&inbox),
            );
            Fetcher {
                leader,
                inbox,
                partitions: HashSet::new(),
                task: spawn("replica-fetcher", run),
            }
        });
        fetcher.inbox.tell(key, Some(following.clone()));
        fetcher.partitions.insert(key);
        let placed = Placed {
            following,
            fetcher: Some(id),
        };
        self.placed.insert(key, placed);
    }

    fn unfollow(&mut self, key: PartitionKey) {
        let Some(placed) = self.placed.remove(&key) else {
            return;
        };
        let fetcher = placed.fetcher.and_then(|id| self.fetchers.get_mut(&id));
        if let Some(fetcher) = fetcher {
            fetcher.inbox.tell(key, None);
            fetcher.partitions.remove(&key);
        }
    }

    /// Ends fetchers that have nothing left to fetch.
    fn end_idle(&mut self) {
        let idle: Vec<FetcherId> = self
            .fetchers
            .iter()
            .filter(|(_, fetcher)| fetcher.partitions.is_empty())
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            if let Some(fetcher) = self.fetchers.remove(&id) {
                self.ending.push(fetcher.end());
            }
        }
        self.ending.retain(|task| !task.is_finished());
    }
}

/// The fetcher that a partition belongs to, of `n_fetchers`.
fn fetcher_number(topic_partition: &TopicPartition, n_fetchers: i32) -> i32 {
    let TopicPartition { topic, partition } = topic_partition;
    // Java hashes the UTF-16 units of a string.
    let hash = topic.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    let hash = hash.wrapping_mul(31).wrapping_add(*partition);
    // Kafka's Utils.abs maps the smallest number to 0.
    let positive = hash.checked_abs().unwrap_or(0);
    positive % n_fetchers.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_spread_as_kafka_spreads_them() {
        // Computed with 31 * "orders".hashCode() + partition; "orders".hashCode() is -1008770331.
        for (topic, partition, n_fetchers, expected) in [
            ("orders", 0, 1, 0),
            ("orders", 0, 4, 1),
            ("orders", 1, 4, 0),
            ("orders", 2, 4, 3),
            ("a", 5, 1000, 12),
        ] {
            let topic_partition = TopicPartition::new(topic, partition);
            assert_eq!(
                fetcher_number(&topic_partition, n_fetchers),
                expected,
                "{topic_partition} of {n_fetchers}"
            );
        }
    }
}
