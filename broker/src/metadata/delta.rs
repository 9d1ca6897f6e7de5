//! An image in the making: takes records, yields the next image and what is different in it.
//!
//! The next image is built in place on a copy of the base (its maps are persistent, so the copy
//! costs nothing), while the names of what was touched are noted. When the base is replaced as a
//! whole, as by a snapshot, the notes come from comparing both images.
//!
//! Invariant: whatever differs between base and next image is noted. A noted thing may be equal in
//! both images, if it was changed and changed back.
//!
//! Kafka: `image/MetadataDelta.java`, `image/TopicsDelta.java` (4.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_shared::types::TopicPartition;
use uuid::Uuid;

use super::configs::ConfigResource;
use super::image::{MetadataImage, Provenance};
use super::topics::{NO_LEADER, PartitionRegistration, TopicImage};

/// What is different in one topic that exists in the next image.
#[derive(Debug, Clone)]
pub struct TopicDelta {
    pub topic_id: Uuid,
    pub name: Arc<str>,
    /// Whether the base did not have the topic.
    pub is_new: bool,
    /// New and changed partitions, as they are in the next image.
    pub partitions: BTreeMap<i32, Arc<PartitionRegistration>>,
}

/// What is different in the topics.
#[derive(Debug, Clone, Default)]
pub struct TopicsDelta {
    /// New and changed topics by id.
    pub changed: BTreeMap<Uuid, TopicDelta>,
    /// Topics of the base that are gone, as they were.
    pub deleted: BTreeMap<Uuid, Arc<TopicImage>>,
}

/// One partition of which this broker has a replica.
#[derive(Debug, Clone)]
pub struct LocalReplica {
    pub topic_id: Uuid,
    pub partition: Arc<PartitionRegistration>,
}

/// What one broker has to do about a delta.
#[derive(Debug, Clone, Default)]
pub struct LocalReplicaChanges {
    /// The broker no longer has a replica; the flag says whether the topic itself is gone.
    pub deletes: BTreeMap<TopicPartition, DeletedReplica>,
    /// The broker leads in a new leader epoch. Also in `leaders`.
    pub elected_leaders: BTreeMap<TopicPartition, LocalReplica>,
    /// The broker leads and something about the partition changed.
    pub leaders: BTreeMap<TopicPartition, LocalReplica>,
    /// The broker follows and something about the partition changed.
    pub followers: BTreeMap<TopicPartition, LocalReplica>,
    /// The broker's replica is new or its directory changed: the directory's id.
    pub directories: BTreeMap<TopicPartition, Uuid>,
}

/// A replica that a broker has to drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletedReplica {
    pub topic_id: Uuid,
    /// Whether the topic was deleted, rather than the replica moved to other brokers.
    pub is_topic_deleted: bool,
}

/// The names of what was touched.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched {
    pub(super) topics: BTreeMap<Uuid, BTreeSet<i32>>,
    pub(super) features: bool,
    pub(super) brokers: BTreeSet<i32>,
    pub(super) controllers: BTreeSet<i32>,
    pub(super) configs: BTreeSet<ConfigResource>,
    pub(super) client_quotas: bool,
    pub(super) producer_ids: bool,
    pub(super) acls: bool,
    pub(super) scram: bool,
    pub(super) delegation_tokens: bool,
}

/// A base image and the next one, with what is different.
#[derive(Debug, Clone)]
pub struct MetadataDelta {
    pub(super) base: Arc<MetadataImage>,
    pub(super) next: MetadataImage,
    pub(super) touched: Touched,
}

impl MetadataDelta {
    /// A delta without any change.
    pub fn new(base: &Arc<MetadataImage>) -> Self {
        Self {
            base: Arc::clone(base),
            next: (**base).clone(),
            touched: Touched::default(),
        }
    }

    /// The delta from one image to another, found by comparing them.
    pub fn between(base: &Arc<MetadataImage>, next: &MetadataImage) -> Self {
        let mut delta = Self::new(base);
        delta.next = next.clone();
        delta.touched = Touched::between(base, next);
        delta
    }

    /// The image that the delta starts from.
    pub fn base(&self) -> &Arc<MetadataImage> {
        &self.base
    }

    /// The image as it is with all records so far.
    pub fn next(&self) -> &MetadataImage {
        &self.next
    }

    /// The image with all records so far.
    pub fn into_next(self) -> MetadataImage {
        self.next
    }

    /// Whether nothing was touched.
    pub fn is_empty(&self) -> bool {
        let touched = &self.touched;
        touched.topics.is_empty()
            && touched.brokers.is_empty()
            && touched.controllers.is_empty()
            && touched.configs.is_empty()
            && !(touched.features
                || touched.client_quotas
                || touched.producer_ids
                || touched.acls
                || touched.scram
                || touched.delegation_tokens)
    }

    /// Sets which part of the log the next image holds.
    pub fn set_provenance(&mut self, provenance: Provenance) {
        self.next.provenance = provenance;
    }

    /// What is different in the topics; `None` if nothing is.
    pub fn topics(&self) -> Option<TopicsDelta> {
        if self.touched.topics.is_empty() {
            return None;
        }
        let mut delta = TopicsDelta::default();
        for (id, partitions) in &self.touched.topics {
            let old = self.base.topics.by_id(*id);
            let Some(topic) = self.next.topics.by_id(*id) else {
                if let Some(old) = old {
                    delta.deleted.insert(*id, Arc::clone(old));
                }
                continue;
            };
            let partitions = partitions
                .iter()
                .filter_map(|idx| Some((*idx, Arc::clone(topic.partition(*idx)?))))
                .collect();
            let name = Arc::clone(&topic.name);
            let change = TopicDelta {
                topic_id: *id,
                name,
                is_new: old.is_none(),
                partitions,
            };
            delta.changed.insert(*id, change);
        }
        Some(delta)
    }

    /// What a broker has to do about the topics; `None` if nothing is different in them.
    pub fn local_changes(&self, broker_id: i32) -> Option<LocalReplicaChanges> {
        self.topics()
            .map(|topics| topics.local_changes(&self.base, broker_id))
    }

    /// The resources whose configurations are different.
    pub fn changed_configs(&self) -> impl Iterator<Item = &ConfigResource> {
        self.touched.configs.iter()
    }

    /// The brokers that were registered, changed or removed.
    pub fn changed_brokers(&self) -> impl Iterator<Item = i32> {
        self.touched.brokers.iter().copied()
    }

    /// The controllers that were registered.
    pub fn changed_controllers(&self) -> impl Iterator<Item = i32> {
        self.touched.controllers.iter().copied()
    }

    /// Whether a feature level is different.
    pub fn is_features_changed(&self) -> bool {
        self.touched.features
    }

    /// Whether a client quota is different.
    pub fn is_client_quotas_changed(&self) -> bool {
        self.touched.client_quotas
    }

    /// Whether an access control entry is different.
    pub fn is_acls_changed(&self) -> bool {
        self.touched.acls
    }

    /// Whether a SCRAM credential is different.
    pub fn is_scram_changed(&self) -> bool {
        self.touched.scram
    }

    /// Whether a delegation token is different.
    pub fn is_delegation_tokens_changed(&self) -> bool {
        self.touched.delegation_tokens
    }
}

impl TopicsDelta {
    /// What a broker has to do about the topics that are different from those of `base`.
    pub fn local_changes(&self, base: &MetadataImage, broker_id: i32) -> LocalReplicaChanges {
        let mut changes = LocalReplicaChanges::default();
        for topic in self.deleted.values() {
            for (idx, partition) in topic.partitions() {
                if partition.replicas.contains(&broker_id) {
                    let tp = TopicPartition::new(&*topic.name, idx);
                    let deleted = DeletedReplica {
                        topic_id: topic.id,
                        is_topic_deleted: true,
                    };
                    changes.deletes.insert(tp, deleted);
                }
            }
        }
        for topic in self.changed.values() {
            for (idx, partition) in &topic.partitions {
                let old = base.topics.partition_by_id(topic.topic_id, *idx);
                let tp = TopicPartition::new(&*topic.name, *idx);
                changes.add(topic.topic_id, tp, old, partition, broker_id);
            }
        }
        changes
    }
}

impl LocalReplicaChanges {
    fn add(
        &mut self,
        topic_id: Uuid,
        tp: TopicPartition,
        old: Option<&Arc<PartitionRegistration>>,
        new: &Arc<PartitionRegistration>,
        broker_id: i32,
    ) {
        if !new.replicas.contains(&broker_id) {
            if old.is_some_and(|old| old.replicas.contains(&broker_id)) {
                self.deletes.insert(
                    tp,
                    DeletedReplica {
                        topic_id,
                        is_topic_deleted: false,
                    },
                );
            }
            return;
        }
        let directory = new.directory(broker_id);
        if let Some(directory) = directory
            && old.and_then(|old| old.directory(broker_id)) != Some(directory)
        {
            self.directories.insert(tp.clone(), directory);
        }
        let replica = LocalReplica {
            topic_id,
            partition: Arc::clone(new),
        };
        if new.leader == broker_id {
            if old.is_none_or(|old| old.partition_epoch != new.partition_epoch) {
                if old.is_none_or(|old| old.leader_epoch != new.leader_epoch) {
                    self.elected_leaders.insert(tp.clone(), replica.clone());
                }
                self.leaders.insert(tp, replica);
            }
        } else if old.is_none_or(|old| old.partition_epoch != new.partition_epoch) {
            // A partition without a leader (NO_LEADER) is followed too: its log stays as it is.
            debug_assert!(new.leader >= NO_LEADER);
            self.followers.insert(tp, replica);
        }
    }
}

impl Touched {
    fn between(base: &MetadataImage, next: &MetadataImage) -> Self {
        let mut touched = Self {
            features: base.features != next.features,
            client_quotas: base.client_quotas != next.client_quotas,
            producer_ids: base.next_producer_id != next.next_producer_id,
            acls: base.acls != next.acls,
            scram: base.scram != next.scram,
            delegation_tokens: base.delegation_tokens != next.delegation_tokens,
            ..Self::default()
        };
        for old in base
            .topics
            .iter()
            .filter(|old| next.topics.by_id(old.id).is_none())
        {
            touched.topics.insert(old.id, BTreeSet::new());
        }
        for topic in next.topics.iter() {
            let old = base.topics.by_id(topic.id);
            if old.is_some_and(|old| Arc::ptr_eq(old, topic) || old == topic) {
                continue;
            }
            let is_changed = |(idx, new): (i32, &Arc<PartitionRegistration>)| {
                (old.and_then(|old| old.partition(idx)) != Some(new)).then_some(idx)
            };
            touched.topics.insert(
                topic.id,
                topic.partitions().filter_map(is_changed).collect(),
            );
        }
        touched.brokers = changed_keys(&base.cluster.brokers, &next.cluster.brokers);
        touched.controllers = changed_keys(&base.cluster.controllers, &next.cluster.controllers);
        let old: BTreeMap<_, _> = base.configs.iter().collect();
        let new: BTreeMap<_, _> = next.configs.iter().collect();
        let resources = old.keys().chain(new.keys());
        touched.configs = resources
            .filter(|resource| old.get(*resource) != new.get(*resource))
            .map(|resource| (*resource).clone())
            .collect();
        touched
    }
}

fn changed_keys<V: PartialEq + Clone>(
    base: &imbl::OrdMap<i32, V>,
    next: &imbl::OrdMap<i32, V>,
) -> BTreeSet<i32> {
    let keys = base.keys().chain(next.keys());
    keys.filter(|key| base.get(*key) != next.get(*key))
        .copied()
        .collect()
}
