//! All that is known of one cluster, and the updates that bring it up to date.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::TopicPartition;
use super::broker::{Broker, LogDirs};
use super::config::{ConfigResource, Configs};
use super::group::{Committed, GroupDescription, Groups};
use super::metrics::{BrokerMetrics, MetricsRead};
use super::quorum::{Features, Quorum};
use super::reassignment::{OngoingReassignment, Reassignments};
use super::resource::{Fault, FaultKind, Resource, Taken};
use super::security::{Security, SecurityUpdate};
use super::topic::{Topic, TopicOffsets};
use super::transaction::Transactions;

/// How many points of the cluster's rate are kept.
const RATE_POINTS_MAX: usize = 240;

/// Two reads of offsets that are closer together than this give no rate: what a producer sends in
/// batches, or not just then, would be many times too much, or nothing.
const RATE_MS_MIN: i64 = 1_000;

/// Who is in the cluster and where its partitions are: one Metadata answer and what refines it.
#[derive(Clone, Debug, Default)]
pub struct ClusterMetadata {
    pub cluster_id: Option<Arc<str>>,
    pub controller_id: Option<i32>,
    /// Sorted by id.
    pub brokers: Vec<Broker>,
    /// Sorted by name.
    pub topics: Vec<Arc<Topic>>,
    /// Whether this user may describe the cluster; `None` where nobody tells. Who may not sees
    /// only a part of it.
    pub may_describe: Option<bool>,
}

impl ClusterMetadata {
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        let at = self
            .topics
            .binary_search_by(|topic| (*topic.name).cmp(name))
            .ok()?;
        self.topics.get(at)
    }

    pub fn broker(&self, id: i32) -> Option<&Broker> {
        let at = self
            .brokers
            .binary_search_by_key(&id, |broker| broker.id)
            .ok()?;
        self.brokers.get(at)
    }

    pub fn n_partitions(&self) -> usize {
        self.topics.iter().map(|topic| topic.partitions.len()).sum()
    }

    /// Whether no topic differs, told by their allocations alone: what is equal but was not
    /// shared counts as different.
    pub fn has_same_topics(&self, old: &Self) -> bool {
        let pairs = self.topics.iter().zip(&old.topics);
        self.topics.len() == old.topics.len() && pairs.into_iter().all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// Takes over the allocation of every topic that did not change since `old`.
    pub fn share_unchanged(&mut self, old: &Self) {
        for (at, topic) in self.topics.iter_mut().enumerate() {
            // Both are sorted, mostly of the same names.
            let there = old.topics.get(at).filter(|old| old.name == topic.name);
            if let Some(before) = there.or_else(|| old.topic(&topic.name))
                && **before == **topic
            {
                *topic = Arc::clone(before);
            }
        }
    }
}

/// Offsets of all topics that were asked for, by topic.
pub type Offsets = HashMap<Arc<str>, Arc<TopicOffsets>>;

/// The few settings that the list of topics and the health of partitions need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSettings {
    pub min_insync_replicas: Option<i32>,
    pub cleanup_policy: Option<Arc<str>>,
    pub retention_ms: Option<i64>,
    pub retention_bytes: Option<i64>,
}

/// Everything that is known of one cluster. Cloning is cheap enough for one clone per refresh.
#[derive(Clone, Debug, Default)]
pub struct ClusterSnapshot {
    pub metadata: Resource<ClusterMetadata>,
    /// The newest offsets by topic. A refresh of some topics replaces these only.
    pub offsets: Resource<Offsets>,
    /// The newest offsets that are at least a second older than the newest ones, for rates.
    pub offsets_before: Arc<Offsets>,
    /// Records per second of all partitions that could be read, from one read of all offsets to the
    /// next, oldest first; see [`Self::note_rate`].
    pub rates: VecDeque<f64>,
    /// When the offsets were taken that the newest point is of, or that gave none.
    rated: Option<Taken>,
    pub settings: Resource<HashMap<Arc<str>, TopicSettings>>,
    pub log_dirs: Resource<LogDirs>,
    pub groups: Resource<Groups>,
    pub descriptions: HashMap<Arc<str>, Resource<GroupDescription>>,
    pub committed: HashMap<Arc<str>, Resource<Committed>>,
    pub configs: HashMap<ConfigResource, Resource<Configs>>,
    pub quorum: Resource<Quorum>,
    pub reassignments: Resource<Reassignments>,
    pub features: Resource<Features>,
    pub security: Security,
    pub transactions: Resource<Transactions>,
    /// Of brokers that have a metrics endpoint, by id; only while somebody looks at them.
    pub metrics: BTreeMap<i32, BrokerMetrics>,
}

/// The results of a call for many groups: one for each that was asked for.
pub type PerGroup<T> = Vec<(Arc<str>, Result<Arc<T>, Arc<Fault>>)>;

/// The result of reading one part of a cluster. [`ClusterSnapshot::apply`] takes it in.
#[derive(Clone, Debug)]
pub enum Update {
    Metadata(Result<Arc<ClusterMetadata>, Arc<Fault>>),
    /// Offsets of some or all topics; `complete` when all topics of the cluster were asked for.
    Offsets {
        result: Result<Arc<Offsets>, Arc<Fault>>,
        complete: bool,
    },
    Settings(Result<Arc<HashMap<Arc<str>, TopicSettings>>, Arc<Fault>>),
    LogDirs(Result<Arc<LogDirs>, Arc<Fault>>),
    Groups(Result<Arc<Groups>, Arc<Fault>>),
    Descriptions(PerGroup<GroupDescription>),
    Committed(PerGroup<Committed>),
    Configs(ConfigResource, Result<Arc<Configs>, Arc<Fault>>),
    Quorum(Result<Arc<Quorum>, Arc<Fault>>),
    Reassignments(Result<Arc<Reassignments>, Arc<Fault>>),
    Features(Result<Arc<Features>, Arc<Fault>>),
    Security(SecurityUpdate),
    Transactions(super::Read<Transactions>),
    /// Of every broker that has an endpoint.
    Metrics(MetricsRead),
}

impl ClusterSnapshot {
    /// The same without offsets, rates, members of groups and sizes.
    pub(super) fn without_numbers(&self) -> Self {
        Self {
            metadata: self.metadata.clone(),
            settings: self.settings.clone(),
            groups: self.groups.clone(),
            configs: self.configs.clone(),
            quorum: self.quorum.clone(),
            reassignments: self.reassignments.clone(),
            features: self.features.clone(),
            security: self.security.clone(),
            transactions: self.transactions.clone(),
            ..Self::default()
        }
    }

    /// Whether an update tells anything that is not known: another value, a failure, or a success
    /// after one. What was read again as it was is only newer.
    pub fn is_news(&self, update: &Update) -> bool {
        match update {
            Update::Metadata(read) => is_other(&self.metadata, read, |old, new| {
                new.has_same_topics(old)
                    && new.brokers == old.brokers
                    && new.cluster_id == old.cluster_id
                    && new.controller_id == old.controller_id
                    && new.may_describe == old.may_describe
            }),
            Update::Offsets { result, .. } => is_other(&self.offsets, result, |old, new| {
                new.iter()
                    .all(|(name, new)| self.are_at_rest(old.get(name), name, new))
            }),
            Update::Settings(read) => is_other(&self.settings, read, PartialEq::eq),
            Update::LogDirs(read) => is_other(&self.log_dirs, read, |_, _| false),
            Update::Groups(read) => is_other(&self.groups, read, PartialEq::eq),
            Update::Descriptions(read) => read.iter().any(|(id, read)| {
                let known = self.descriptions.get(id);
                known.is_none_or(|known| is_other(known, read, PartialEq::eq))
            }),
            Update::Committed(read) => read.iter().any(|(id, read)| {
                let known = self.committed.get(id);
                known.is_none_or(|known| is_other(known, read, |old, new| old.topics == new.topics))
            }),
            Update::Quorum(read) => is_other(&self.quorum, read, PartialEq::eq),
            Update::Reassignments(read) => is_other(&self.reassignments, read, PartialEq::eq),
            Update::Features(read) => is_other(&self.features, read, PartialEq::eq),
            Update::Configs(..)
            | Update::Security(_)
            | Update::Transactions(_)
            | Update::Metrics(_) => true,
        }
    }

    /// Whether a topic's offsets are as they were, and were so before already: then its rate is
    /// what it was too.
    fn are_at_rest(
        &self,
        old: Option<&Arc<TopicOffsets>>,
        name: &Arc<str>,
        new: &TopicOffsets,
    ) -> bool {
        let is_same = |other: &Arc<TopicOffsets>| {
            other.topic_id == new.topic_id
                && (Arc::ptr_eq(&other.partitions, &new.partitions)
                    || other.partitions == new.partitions)
        };
        old.is_some_and(is_same) && self.offsets_before.get(name).is_some_and(is_same)
    }

    /// Takes one result in. Failures stand beside the old values. What it gives back is no longer
    /// needed, and of a large cluster takes a while to free.
    pub fn apply(&mut self, update: Update, at: Taken) -> Option<Arc<Offsets>> {
        let mut unneeded = None;
        match update {
            Update::Metadata(result) => {
                self.metadata.apply(result, at);
                self.forget_deleted_topics();
                // What was just read has no marks.
                if self.is_moving() {
                    self.mark_moving_partitions();
                }
            }
            Update::Offsets { result, complete } => {
                unneeded = self.apply_offsets(result, complete, at);
            }
            Update::Settings(result) => self.settings.apply(result, at),
            Update::LogDirs(result) => self.log_dirs.apply(result, at),
            Update::Groups(result) => {
                self.groups.apply(result, at);
                self.forget_deleted_groups();
            }
            Update::Descriptions(results) => {
                for (group, result) in results {
                    self.descriptions
                        .entry(group)
                        .or_default()
                        .apply(result, at);
                }
            }
            Update::Committed(results) => {
                for (group, result) in results {
                    self.committed.entry(group).or_default().apply(result, at);
                }
            }
            Update::Configs(resource, result) => {
                self.configs.entry(resource).or_default().apply(result, at);
            }
            Update::Quorum(result) => self.quorum.apply(result, at),
            Update::Reassignments(result) => {
                let was_moving = self.is_moving();
                self.reassignments.apply(result, at);
                if was_moving || self.is_moving() {
                    self.mark_moving_partitions();
                }
            }
            Update::Features(result) => self.features.apply(result, at),
            Update::Security(update) => self.security.apply(update, at),
            Update::Transactions(result) => self.transactions.apply(result, at),
            Update::Metrics(results) => {
                self.metrics
                    .retain(|id, _| results.iter().any(|(of, _)| of == id));
                for (id, result) in results {
                    self.metrics.entry(id).or_default().apply(result, at);
                }
            }
        }
        unneeded
    }

    /// The controller's id: the quorum's leader where the cluster tells it, since a Metadata
    /// answer of a KRaft cluster names any broker. Where the quorum is there and may not be seen,
    /// nobody knows it.
    pub fn controller_id(&self) -> Option<i32> {
        if let Some(quorum) = self.quorum.get() {
            return Some(quorum.leader_id);
        }
        let is_hidden = |fault: &Arc<Fault>| fault.kind == FaultKind::Refused;
        if self.quorum.fault().is_some_and(is_hidden) {
            return None;
        }
        self.metadata.get()?.controller_id
    }

    fn apply_offsets(
        &mut self,
        result: Result<Arc<Offsets>, Arc<Fault>>,
        complete: bool,
        at: Taken,
    ) -> Option<Arc<Offsets>> {
        let new = match result {
            Ok(new) => new,
            Err(fault) => {
                self.offsets.apply(Err(fault), at);
                return None;
            }
        };
        let old = self.offsets.value().cloned().unwrap_or_default();
        if complete {
            let before = self.before_all(&new, &old);
            self.offsets.apply(Ok(new), at);
            Some(std::mem::replace(&mut self.offsets_before, before))
        } else {
            for (name, newer) in new.iter() {
                let older = old.get(name).filter(|older| gives_rate(older, newer));
                if let Some(older) = older {
                    Arc::make_mut(&mut self.offsets_before)
                        .insert(Arc::clone(name), Arc::clone(older));
                }
            }
            let mut merged = Offsets::clone(&old);
            merged.extend(
                new.iter()
                    .map(|(name, value)| (Arc::clone(name), Arc::clone(value))),
            );
            // The age of the whole stays that of its oldest part.
            let taken = self.offsets.taken().unwrap_or(at);
            self.offsets.apply(Ok(Arc::new(merged)), taken);
            None
        }
    }

    /// What was before `new`, which holds every topic: `old` as it is, except for the topics that
    /// were read a moment ago. They keep what they are compared with.
    fn before_all(&self, new: &Offsets, old: &Arc<Offsets>) -> Arc<Offsets> {
        let mut before = Arc::clone(old);
        for (name, newer) in new {
            let is_too_close = |older: &Arc<TopicOffsets>| !gives_rate(older, newer);
            if !old.get(name).is_some_and(is_too_close) {
                continue;
            }
            let before = Arc::make_mut(&mut before);
            match self.offsets_before.get(name) {
                Some(kept) => before.insert(Arc::clone(name), Arc::clone(kept)),
                None => before.remove(name),
            };
        }
        before
    }

    /// Adds a point for the newest read of all offsets, if there is none yet; whether it did. That
    /// is for whoever shows them to do, when there is time: it goes through all partitions.
    pub fn note_rate(&mut self) -> bool {
        let newest = self.offsets.taken();
        if newest == self.rated {
            return false;
        }
        self.rated = newest;
        let Some(sum) = crate::derive::cluster_rate(self).partial() else {
            return false;
        };
        if self.rates.len() == RATE_POINTS_MAX {
            self.rates.pop_front();
        }
        self.rates.push_back(sum);
        true
    }

    fn forget_deleted_topics(&mut self) {
        let Some(metadata) = self.metadata.value().cloned() else {
            return;
        };
        // A leftover does no harm, many of them are memory.
        if self.offsets_before.len() > metadata.topics.len() {
            Arc::make_mut(&mut self.offsets_before)
                .retain(|name, _| metadata.topic(name).is_some());
        }
        self.configs.retain(|resource, _| match resource {
            ConfigResource::Topic(name) => metadata.topic(name).is_some(),
            _ => true,
        });
    }

    fn is_moving(&self) -> bool {
        let running = self.reassignments.value();
        running.is_some_and(|running| !running.is_empty())
    }

    /// A Metadata answer does not tell which replicas are being added or removed, so what the
    /// controller listed is laid over it.
    fn mark_moving_partitions(&mut self) {
        let (Some(metadata), Some(running)) = (
            self.metadata.value().cloned(),
            self.reassignments.value().cloned(),
        ) else {
            return;
        };
        let moving: HashSet<&str> = running.keys().map(|key| &*key.topic).collect();
        let touched = |topic: &Topic| {
            moving.contains(&*topic.name) || topic.partitions.iter().any(|p| p.is_reassigning())
        };
        if !metadata.topics.iter().any(|topic| touched(topic)) {
            return;
        }
        let mut marked = ClusterMetadata::clone(&metadata);
        for topic in marked.topics.iter_mut().filter(|topic| touched(topic)) {
            let mut now = Topic::clone(topic);
            for partition in &mut now.partitions {
                let key = TopicPartition::new(&*topic.name, partition.id);
                let ongoing = running.get(&key);
                let list = |of: fn(&OngoingReassignment) -> &Vec<i32>| -> Box<[i32]> {
                    ongoing
                        .map(|ongoing| of(ongoing).clone().into())
                        .unwrap_or_default()
                };
                partition.adding = list(|ongoing| &ongoing.adding);
                partition.removing = list(|ongoing| &ongoing.removing);
            }
            if **topic != now {
                *topic = Arc::new(now);
            }
        }
        self.metadata.replace_value(Arc::new(marked));
    }

    /// Keeps what is known of a group whose coordinator did not answer.
    fn forget_deleted_groups(&mut self) {
        let Some(groups) = self.groups.value().cloned() else {
            return;
        };
        if !groups.faults.is_empty() {
            return;
        }
        self.descriptions
            .retain(|id, _| groups.groups.contains_key(id));
        self.committed
            .retain(|id, _| groups.groups.contains_key(id));
    }

    /// Broker ids with their faults, wherever a broker's part of an answer is missing.
    pub fn broker_faults(&self) -> BTreeMap<i32, Arc<Fault>> {
        let mut faults = BTreeMap::new();
        for part in [
            self.log_dirs.get().map(|dirs| &dirs.faults),
            self.groups.get().map(|groups| &groups.faults),
        ]
        .into_iter()
        .flatten()
        {
            faults.extend(part.iter().map(|(id, fault)| (*id, Arc::clone(fault))));
        }
        faults
    }
}

/// Whether what was read is another value than what is known, or its failure or success is new.
fn is_other<T>(
    known: &Resource<T>,
    read: &super::Read<T>,
    is_same: impl FnOnce(&T, &T) -> bool,
) -> bool {
    match (known.value(), read) {
        (Some(old), Ok(new)) if known.fault().is_none() && !known.is_loading() => {
            !Arc::ptr_eq(old, new) && !is_same(old, new)
        }
        _ => true,
    }
}

/// Whether two reads of a topic's offsets are far enough apart for a rate.
fn gives_rate(older: &TopicOffsets, newer: &TopicOffsets) -> bool {
    let apart_ms = newer.taken.monotonic_ms - older.taken.monotonic_ms;
    apart_ms >= RATE_MS_MIN
}
