//! Applies the metadata log to the replicas: deleted ones go first, then new and changed ones are
//! made leaders or followers, then new settings take effect.
//!
//! The logs have to be loaded, and the first image has to be that of a metadata log which was read to
//! its end: the first one that knows this broker decides which of the logs found on disk still belong
//! to it. The others are set aside as stray.
//!
//! A replica whose log can't be opened is kept in the table as offline, so that clients are told
//! `KAFKA_STORAGE_ERROR`; the others of the same update are not concerned.
//!
//! A replica that follows is fetched anew with every leader epoch, and not at all while there is no
//! leader that can be reached. Fetching of a replica ends before it is made a leader or dropped.
//!
//! Kafka: `ReplicaManager.applyDelta`, `BrokerMetadataPublisher.scala`, `TopicConfigHandler` (4.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_shared::types::{TopicPartition, Uuid};

use super::ReplicaManager;
use super::fetcher::{Following, PartitionKey};
use super::hosted::{Hosted, HostedTopic, HostedTopics};
use super::partition::Partition;
use super::partition::state::{Change, Registration};
use super::quota::ThrottledReplicas;
use crate::log::{Log, LogError};
use crate::metadata::delta::{LocalReplica, LocalReplicaChanges};
use crate::metadata::records::DIRECTORY_ASSIGNMENT_SINCE;
use crate::metadata::topics::directory_id;
use crate::metadata::{
    ConfigResource, MetadataDelta, MetadataImage, MetadataPublisher, PartitionRegistration,
    ResourceType,
};

/// What the publisher remembers between updates.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Whether the logs that were found on disk were compared with an image.
    has_judged_logs: bool,
}

impl From<&PartitionRegistration> for Registration {
    fn from(registration: &PartitionRegistration) -> Self {
        Self {
            leader: registration.has_leader().then_some(registration.leader),
            leader_epoch: registration.leader_epoch,
            partition_epoch: registration.partition_epoch,
            replicas: registration.replicas.to_vec(),
            isr: registration.isr.to_vec(),
            adding_replicas: registration.adding_replicas.to_vec(),
            removing_replicas: registration.removing_replicas.to_vec(),
        }
    }
}

impl MetadataPublisher for ReplicaManager {
    fn name(&self) -> &'static str {
        "replica manager"
    }

    fn on_metadata_update(&self, delta: &MetadataDelta, image: &Arc<MetadataImage>) {
        let mut progress = self.changing.lock();
        // An image without this broker is not one from which it could learn what it holds.
        let knows_broker = image.cluster.broker(self.config.node_id).is_some();
        if knows_broker && !std::mem::replace(&mut progress.has_judged_logs, true) {
            self.set_strays_aside(image);
        }
        if let Some(changes) = delta.local_changes(self.config.node_id) {
            self.drop_replicas(&changes);
            self.apply_replicas(&changes, image);
        }
        self.apply_brokers(delta, image);
        self.apply_configs(delta, image);
        self.apply_replication(delta, image);
    }
}

fn key(topic_partition: &TopicPartition, topic_id: Uuid) -> PartitionKey {
    PartitionKey {
        topic_id,
        partition: topic_partition.partition,
    }
}

impl ReplicaManager {
    fn drop_replicas(&self, changes: &LocalReplicaChanges) {
        if changes.deletes.is_empty() {
            return;
        }
        let deletes = changes.deletes.iter();
        self.fetchers
            .unfollow(deletes.map(|(tp, deleted)| key(tp, deleted.topic_id)));
        let mut table = HostedTopics::clone(&self.topics.load());
        let mut dropped = Vec::new();
        for (topic_partition, deleted) in &changes.deletes {
            dropped.extend(table.remove(deleted.topic_id, topic_partition.partition));
        }
        self.topics.store(Arc::new(table));
        for hosted in dropped {
            if let Hosted::Online(partition) = hosted {
                partition.retire();
            }
        }
        for (topic_partition, deleted) in &changes.deletes {
            self.moves_end_with_replica(topic_partition, deleted.topic_id);
            match self.logs.delete_log(topic_partition) {
                Ok(_) => tracing::info!(partition = %topic_partition, "dropped the replica"),
                Err(error) => {
                    tracing::error!(partition = %topic_partition, %error, "could not drop the replica");
                }
            }
        }
        self.logs.checkpoint_after_removal();
    }

    fn apply_replicas(&self, changes: &LocalReplicaChanges, image: &MetadataImage) {
        type Topic = (Uuid, Arc<str>);
        let mut topics: BTreeMap<Topic, Vec<(i32, Hosted)>> = BTreeMap::new();
        let leaders = changes.leaders.iter();
        self.fetchers
            .unfollow(leaders.map(|(tp, replica)| key(tp, replica.topic_id)));
        let (mut followings, mut stopped) = (Vec::new(), Vec::new());
        for (topic_partition, replica) in changes.leaders.iter().chain(&changes.followers) {
            let (hosted, change) = self.apply_replica(topic_partition, replica, image);
            if let (Hosted::Online(partition), Some(change)) = (&hosted, change) {
                match self.fetching_after(partition, replica, change, image) {
                    Fetching::AsBefore => {}
                    Fetching::From(following) => followings.push(following),
                    Fetching::No => stopped.push(key(topic_partition, replica.topic_id)),
                }
            }
            let topic = (replica.topic_id, Arc::clone(&topic_partition.topic));
            topics
                .entry(topic)
                .or_default()
                .push((topic_partition.partition, hosted));
        }
        if topics.is_empty() {
            return;
        }
        let mut table = HostedTopics::clone(&self.topics.load());
        for ((id, name), partitions) in topics {
            table.put(id, &name, partitions);
        }
        self.topics.store(Arc::new(table));
        self.fetchers.unfollow(stopped);
        self.fetchers.follow(followings);
        self.tell_directories(changes, image);
    }

    /// What a change of a replica means for its fetching.
    fn fetching_after(
        &self,
        partition: &Arc<Partition>,
        replica: &LocalReplica,
        change: Change,
        image: &MetadataImage,
    ) -> Fetching {
        let Change::Follower { is_new_epoch, .. } = change else {
            return Fetching::AsBefore;
        };
        let registration = &replica.partition;
        let is_in_sync = registration.isr.contains(&self.config.node_id);
        if self.is_in_controlled_shutdown() && !(registration.has_leader() && is_in_sync) {
            return Fetching::No;
        }
        if !is_new_epoch {
            return Fetching::AsBefore;
        }
        match self.leader_endpoint(image, registration.leader) {
            Some(leader) => Fetching::From(Following {
                partition: Arc::clone(partition),
                leader,
                leader_epoch: registration.leader_epoch,
            }),
            None => Fetching::No,
        }
    }

    /// Fetches from leaders where they are now, if they have come or moved without an election.
    fn apply_brokers(&self, delta: &MetadataDelta, image: &MetadataImage) {
        let changed: BTreeSet<i32> = delta
            .changed_brokers()
            .filter(|id| *id != self.config.node_id)
            .collect();
        if changed.is_empty() {
            return;
        }
        let hosted = self.topics.load();
        let is_served = |partition: &&Arc<Partition>| !partition.log().dir().is_offline();
        let followings = hosted
            .online_partitions()
            .filter(is_served)
            .filter_map(|partition| {
                let (leader_id, leader_epoch) =
                    partition.with_state(|state| (state.leader_id(), state.leader_epoch()));
                let leader_id = leader_id.filter(|id| changed.contains(id))?;
                let leader = self.leader_endpoint(image, leader_id)?;
                let following = Following {
                    partition: Arc::clone(partition),
                    leader,
                    leader_epoch,
                };
                let is_known = self.fetchers.following(following.key())
                    == Some((following.leader.clone(), leader_epoch));
                (!is_known && !self.is_in_controlled_shutdown()).then_some(following)
            });
        let followings: Vec<Following> = followings.collect();
        self.fetchers.follow(followings);
    }

    /// Tells the controller of directories that are others than its records say.
    fn tell_directories(&self, changes: &LocalReplicaChanges, image: &MetadataImage) {
        if image.features.metadata_version < DIRECTORY_ASSIGNMENT_SINCE {
            return;
        }
        for (topic_partition, told) in &changes.directories {
            let actual = self
                .logs
                .log(topic_partition)
                .and_then(|log| self.logs.directory_id(&log));
            let replica = changes
                .leaders
                .get(topic_partition)
                .or_else(|| changes.followers.get(topic_partition));
            if let (Some(actual), Some(replica)) = (actual, replica)
                && actual != *told
            {
                let key = key(topic_partition, replica.topic_id);
                // It is on its way there.
                if self.moves.target(&key) == Some(*told) {
                    continue;
                }
                self.directory_assignments.submit(key, actual);
            }
        }
    }

    /// The replica and what the change means for it; no change when it is offline.
    fn apply_replica(
        &self,
        topic_partition: &TopicPartition,
        replica: &LocalReplica,
        image: &MetadataImage,
    ) -> (Hosted, Option<Change>) {
        let known = self
            .topics
            .load()
            .by_id(replica.topic_id)
            .and_then(|topic| topic.partition(topic_partition.partition).cloned());
        let partition = match known {
            Some(Hosted::Online(partition)) if partition.log().dir().is_offline() => {
                return (Hosted::Online(partition), None);
            }
            Some(Hosted::Online(partition)) => partition,
            Some(Hosted::Offline) | None => {
                match self.make_partition(topic_partition, replica, image) {
                    Ok(partition) => partition,
                    Err(error) => {
                        tracing::error!(partition = %topic_partition, %error, "the replica is offline");
                        return (Hosted::Offline, None);
                    }
                }
            }
        };
        let change = partition.apply(
            &Registration::from(&*replica.partition),
            self.clock.wall_ms(),
        );
        if let Change::Leader {
            epoch_start: Some((leader_epoch, start_offset)),
            ..
        } = change
        {
            tracing::debug!(
                partition = %topic_partition, leader_epoch, start_offset, "leads the partition"
            );
        }
        (Hosted::Online(partition), Some(change))
    }

    fn make_partition(
        &self,
        topic_partition: &TopicPartition,
        replica: &LocalReplica,
        image: &MetadataImage,
    ) -> Result<Arc<Partition>, LogError> {
        let config = Arc::new((self.topic_config)(image, &topic_partition.topic));
        let dirs = self.logs.dirs();
        let has_offline = dirs.iter().any(|dir| dir.is_offline);
        let is_online = |id: &Uuid| {
            dirs.iter()
                .any(|dir| !dir.is_offline && dir.id == Some(*id))
        };
        // A directory that is not there may be one that is out of service, with the log in it: only
        // when all are in service the replica can be put elsewhere.
        let directory = replica
            .partition
            .directory(self.config.node_id)
            .filter(|id| is_online(id) || has_offline && *id != directory_id::UNASSIGNED);
        if let Some(directory) = replica.partition.directory(self.config.node_id) {
            self.recover_future_log(topic_partition, replica.topic_id, directory);
        }
        let log = self
            .logs
            .create_log(topic_partition, replica.topic_id, config, directory)?;
        let metadata = self.metadata.clone();
        let partition = Arc::new(Partition::new(
            &self.config,
            metadata,
            Arc::clone(&self.isr_updates),
            replica.topic_id,
            log,
        ));
        self.resume_move(&partition);
        Ok(partition)
    }

    /// Ends the move of a replica that is dropped, and removes the copy.
    fn moves_end_with_replica(&self, topic_partition: &TopicPartition, topic_id: Uuid) {
        self.end_move(&key(topic_partition, topic_id));
        if let Err(error) = self.logs.delete_future_log(topic_partition) {
            tracing::error!(partition = %topic_partition, %error, "could not drop the copy");
        }
    }

    /// Takes over the limits of replication, which replicas they are for, and the number of fetchers.
    fn apply_replication(&self, delta: &MetadataDelta, image: &MetadataImage) {
        const LEADER: (&str, &str) = (
            "leader.replication.throttled.rate",
            "leader.replication.throttled.replicas",
        );
        const FOLLOWER: (&str, &str) = (
            "follower.replication.throttled.rate",
            "follower.replication.throttled.replicas",
        );
        const MOVES: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
        let node_id = self.config.node_id;
        let (broker, all) = (
            ConfigResource::broker(node_id),
            ConfigResource::cluster_default(),
        );
        for resource in delta.changed_configs() {
            if *resource == broker || *resource == all {
                let set = |resource| image.configs.value(resource, "num.replica.fetchers");
                let wanted = set(&broker).or_else(|| set(&all));
                let wanted = wanted.and_then(|wanted| wanted.parse().ok());
                let configured = self.config.fetcher.num_replica_fetchers;
                self.fetchers.resize(wanted.unwrap_or(configured));
                let set = |resource| image.configs.value(resource, MOVES);
                let limit = set(&broker).or_else(|| set(&all));
                let limit = limit.and_then(|limit| limit.parse().ok());
                self.moves.quota.set_limit(limit);
            }
            for ((rate, replicas), quota) in [
                (LEADER, &self.quotas.leader),
                (FOLLOWER, &self.quotas.follower),
            ] {
                let value = |resource, name| image.configs.value(resource, name);
                match resource.resource_type {
                    ResourceType::Broker if *resource == broker || *resource == all => {
                        let limit = value(&broker, rate).or_else(|| value(&all, rate));
                        quota.set_limit(limit.and_then(|limit| limit.parse().ok()));
                    }
                    ResourceType::Topic => {
                        let throttled = value(resource, replicas)
                            .and_then(|value| ThrottledReplicas::parse(value, node_id));
                        quota.set_throttled(&resource.name, throttled);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Gives changed settings to the logs they are for: a topic's to its own, a broker's to all.
    fn apply_configs(&self, delta: &MetadataDelta, image: &MetadataImage) {
        let mut topics = BTreeSet::new();
        let mut concerns_all = false;
        for resource in delta.changed_configs() {
            match resource.resource_type {
                ResourceType::Topic => {
                    topics.insert(&*resource.name);
                }
                ResourceType::Broker => concerns_all = true,
                _ => {}
            }
        }
        if topics.is_empty() && !concerns_all {
            return;
        }
        let hosted = self.topics.load();
        if concerns_all {
            hosted.iter().for_each(|topic| self.configure(topic, image));
        } else {
            let named = topics.into_iter().filter_map(|name| hosted.by_name(name));
            named.for_each(|topic| self.configure(topic, image));
        }
    }

    fn configure(&self, topic: &HostedTopic, image: &MetadataImage) {
        let now_ms = self.clock.wall_ms();
        let config = Arc::new((self.topic_config)(image, &topic.name));
        for (_, hosted) in topic.partitions() {
            if let Hosted::Online(partition) = hosted {
                partition.update_config(Arc::clone(&config), now_ms);
            }
        }
    }

    /// Puts away the logs on disk that no replica of this broker is for.
    fn set_strays_aside(&self, image: &MetadataImage) {
        let (logs, futures) = (self.logs.logs(), self.logs.future_logs());
        let is_future =
            (logs.iter().map(|log| (log, false))).chain(futures.iter().map(|log| (log, true)));
        for (log, is_future) in is_future {
            if !is_stray(image, self.config.node_id, log) {
                continue;
            }
            let topic_partition = log.topic_partition();
            let set_aside = if is_future {
                self.logs.set_aside_stray_future(topic_partition)
            } else {
                self.logs.set_aside_stray(topic_partition)
            };
            match set_aside {
                Ok(path) => {
                    tracing::warn!(partition = %topic_partition, ?path, "set a stray log aside");
                }
                Err(error) => {
                    tracing::error!(partition = %topic_partition, %error, "could not set a stray aside");
                }
            }
        }
    }
}

/// How a replica is fetched after a change of the metadata.
enum Fetching {
    AsBefore,
    From(Following),
    No,
}

/// Whether the log is of a topic that is gone, or of a partition that other brokers hold.
fn is_stray(image: &MetadataImage, node_id: i32, log: &Log) -> bool {
    let TopicPartition { topic, partition } = log.topic_partition();
    let Some(id) = log.topic_id().or_else(|| image.topics.id_of(topic)) else {
        return true;
    };
    image
        .topics
        .partition_by_id(id, *partition)
        .is_none_or(|registration| !registration.replicas.contains(&node_id))
}
