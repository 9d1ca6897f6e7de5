//! What the groups of a shard have consumed.
//!
//! Committed offsets are hard state: only [`Offsets::replay`] and [`Offsets::replay_end_marker`] change
//! them. A read that must not see more than what is committed asks for the committed view: every
//! replayed record leaves what it replaced in an undo list until the high watermark has passed it.
//! Offsets that a transaction commits are set aside until its marker.
//!
//! Invariants: `undo` is in the order of the log and holds nothing below the high watermark; a group
//! or topic without offsets is not kept.
//!
//! Kafka: group-coordinator `OffsetMetadataManager` (4.3).

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use kafka_shared::error::ErrorCode;
use uuid::Uuid;

use super::messages::{FetchedPartition, TopicItems};

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    /// The next offset to consume.
    pub offset: i64,
    /// Of the last consumed record; -1 when not known.
    pub leader_epoch: i32,
    /// The client's note.
    pub metadata: Box<str>,
    /// Wall clock of the commit.
    pub commit_timestamp_ms: i64,
    /// When it is to be forgotten, if the client said so.
    pub expire_timestamp_ms: Option<i64>,
    /// Nil when the committer did not know it.
    pub topic_id: Uuid,
    /// Offset of the record that it comes from; -1 before it is stored.
    pub record_offset: i64,
}

type Partitions = BTreeMap<i32, OffsetAndMetadata>;
type Topics = BTreeMap<Arc<str>, Partitions>;

/// Where an offset belongs: group, topic, partition.
pub type OffsetKey = (Arc<str>, Arc<str>, i32);

#[derive(Debug)]
struct Undo {
    record_offset: i64,
    key: OffsetKey,
    previous: Option<OffsetAndMetadata>,
}

/// All committed offsets of a shard.
#[derive(Debug, Default)]
pub struct Offsets {
    groups: HashMap<Arc<str>, Topics>,
    undo: VecDeque<Undo>,
    pending: HashMap<i64, BTreeMap<OffsetKey, OffsetAndMetadata>>,
    open_transactions: HashMap<OffsetKey, HashSet<i64>>,
}

impl Offsets {
    /// Sets an offset, or forgets it. With a producer id the offset waits for the transaction's end.
    pub fn replay(
        &mut self,
        record_offset: i64,
        producer_id: Option<i64>,
        key: OffsetKey,
        value: Option<OffsetAndMetadata>,
    ) {
        match (value, producer_id) {
            (Some(value), Some(producer_id)) => {
                let value = OffsetAndMetadata {
                    record_offset,
                    ..value
                };
                self.open_transactions
                    .entry(key.clone())
                    .or_default()
                    .insert(producer_id);
                self.pending
                    .entry(producer_id)
                    .or_default()
                    .insert(key, value);
            }
            (Some(value), None) => {
                self.set(
                    record_offset,
                    key,
                    Some(OffsetAndMetadata {
                        record_offset,
                        ..value
                    }),
                );
            }
            (None, _) => {
                for producer_id in self.open_transactions.remove(&key).into_iter().flatten() {
                    if let Some(pending) = self.pending.get_mut(&producer_id) {
                        pending.remove(&key);
                    }
                }
                self.set(record_offset, key, None);
            }
        }
    }

    /// Ends a transaction: its offsets count, unless newer ones were committed outside of it.
    pub fn replay_end_marker(&mut self, record_offset: i64, producer_id: i64, is_commit: bool) {
        for (key, value) in self.pending.remove(&producer_id).unwrap_or_default() {
            if let Some(producers) = self.open_transactions.get_mut(&key) {
                producers.remove(&producer_id);
                if producers.is_empty() {
                    self.open_transactions.remove(&key);
                }
            }
            let current = self
                .get(&key.0, &key.1, key.2)
                .map(|current| current.record_offset);
            if is_commit && current.is_none_or(|current| current < value.record_offset) {
                self.set(record_offset, key, Some(value));
            }
        }
    }

    fn set(&mut self, record_offset: i64, key: OffsetKey, value: Option<OffsetAndMetadata>) {
        let (group_id, topic, partition) = key.clone();
        let previous = match value {
            Some(value) => self
                .groups
                .entry(group_id)
                .or_default()
                .entry(topic)
                .or_default()
                .insert(partition, value),
            None => self.remove(&group_id, &topic, partition),
        };
        self.undo.push_back(Undo {
            record_offset,
            key,
            previous,
        });
    }

    fn remove(&mut self, group: &str, topic: &str, partition: i32) -> Option<OffsetAndMetadata> {
        let topics = self.groups.get_mut(group)?;
        let partitions = topics.get_mut(topic)?;
        let removed = partitions.remove(&partition);
        if partitions.is_empty() {
            topics.remove(topic);
        }
        if topics.is_empty() {
            self.groups.remove(group);
        }
        removed
    }

    /// Records below `high_watermark` are committed: what they replaced is gone for good.
    pub fn advance_committed(&mut self, high_watermark: i64) {
        while self
            .undo
            .front()
            .is_some_and(|undo| undo.record_offset < high_watermark)
        {
            self.undo.pop_front();
        }
        if self.undo.is_empty() && self.undo.capacity() > 1024 {
            self.undo.shrink_to_fit();
        }
    }

    /// The latest offset, committed or not.
    pub fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&OffsetAndMetadata> {
        self.groups.get(group)?.get(topic)?.get(&partition)
    }

    fn get_committed(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Option<&OffsetAndMetadata> {
        let replaced = self
            .undo
            .iter()
            .find(|undo| undo.key.2 == partition && *undo.key.1 == *topic && *undo.key.0 == *group);
        match replaced {
            Some(undo) => undo.previous.as_ref(),
            None => self.get(group, topic, partition),
        }
    }

    /// Whether a transaction may still change the offset.
    pub fn is_pending(&self, key: &OffsetKey) -> bool {
        self.open_transactions.contains_key(key)
    }

    /// Whether a transaction may still change an offset of the group.
    pub fn has_pending(&self, group: &str) -> bool {
        self.open_transactions.keys().any(|key| *key.0 == *group)
    }

    /// All latest offsets of a group, by topic and partition.
    pub fn of_group(
        &self,
        group: &str,
    ) -> impl Iterator<Item = (&Arc<str>, i32, &OffsetAndMetadata)> {
        self.groups
            .get(group)
            .into_iter()
            .flatten()
            .flat_map(|(topic, partitions)| {
                partitions
                    .iter()
                    .map(move |(partition, offset)| (topic, *partition, offset))
            })
    }

    /// The offsets that transactions have set aside for a group.
    pub fn pending_of_group(&self, group: &str) -> impl Iterator<Item = &OffsetKey> {
        self.open_transactions
            .keys()
            .filter(move |key| *key.0 == *group)
    }

    /// The keys of all offsets of a topic, latest and pending ones, that belong to this topic id or
    /// don't know theirs.
    pub fn of_topic(&self, topic: &str, topic_id: Uuid) -> Vec<OffsetKey> {
        let matches =
            |offset: &OffsetAndMetadata| offset.topic_id.is_nil() || offset.topic_id == topic_id;
        let mut keys = Vec::new();
        for (group_id, topics) in &self.groups {
            let Some((topic, partitions)) = topics.get_key_value(topic) else {
                continue;
            };
            keys.extend(
                partitions
                    .iter()
                    .filter(|(_, offset)| matches(offset))
                    .map(|(partition, _)| (group_id.clone(), topic.clone(), *partition)),
            );
        }
        for pending in self.pending.values() {
            keys.extend(
                pending
                    .iter()
                    .filter(|(key, offset)| *key.1 == *topic && matches(offset))
                    .map(|(key, _)| key.clone()),
            );
        }
        keys.sort();
        keys.dedup();
        keys
    }

    /// The offsets of some partitions, latest or committed ones.
    pub fn fetch(
        &self,
        group: &Arc<str>,
        topics: &[TopicItems<i32>],
        require_stable: bool,
    ) -> Vec<TopicItems<FetchedPartition>> {
        let fetch_one = |topic: &TopicItems<i32>, partition: i32| {
            let key = (group.clone(), topic.topic.clone(), partition);
            if require_stable && self.is_pending(&key) {
                return unstable(partition);
            }
            let found = if require_stable {
                self.get(group, &topic.topic, partition)
            } else {
                self.get_committed(group, &topic.topic, partition)
            };
            let is_of_topic = |offset: &&OffsetAndMetadata| {
                offset.topic_id.is_nil()
                    || topic.topic_id.is_nil()
                    || offset.topic_id == topic.topic_id
            };
            fetched(partition, found.filter(is_of_topic))
        };
        topics
            .iter()
            .map(|topic| TopicItems {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| fetch_one(topic, *partition))
                    .collect(),
            })
            .collect()
    }

    /// All offsets of a group, latest or committed ones.
    pub fn fetch_all(
        &self,
        group: &Arc<str>,
        require_stable: bool,
    ) -> Vec<TopicItems<FetchedPartition>> {
        let mut view: BTreeMap<(&str, i32), &OffsetAndMetadata> = self
            .of_group(group)
            .map(|(topic, partition, offset)| ((&**topic, partition), offset))
            .collect();
        if !require_stable {
            // From the newest back to the oldest: what is left is the state before all of them.
            for undo in self.undo.iter().rev().filter(|undo| undo.key.0 == *group) {
                let key = (&*undo.key.1, undo.key.2);
                match &undo.previous {
                    Some(previous) => view.insert(key, previous),
                    None => view.remove(&key),
                };
            }
        }
        let mut topics: Vec<TopicItems<FetchedPartition>> = Vec::new();
        for ((topic, partition), offset) in view {
            if topics.last().is_none_or(|last| *last.topic != *topic) {
                topics.push(TopicItems {
                    topic: topic.into(),
                    topic_id: Uuid::nil(),
                    partitions: Vec::new(),
                });
            }
            let key = (group.clone(), Arc::from(topic), partition);
            let is_unstable = require_stable && self.is_pending(&key);
            if let Some(last) = topics.last_mut() {
                last.partitions.push(if is_unstable {
                    unstable(partition)
                } else {
                    fetched(partition, Some(offset))
                });
            }
        }
        topics
    }

    /// How many offsets are kept.
    pub fn len(&self) -> usize {
        self.groups
            .values()
            .flat_map(BTreeMap::values)
            .map(BTreeMap::len)
            .sum()
    }

    /// Whether no offset is kept.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

fn fetched(partition: i32, offset: Option<&OffsetAndMetadata>) -> FetchedPartition {
    FetchedPartition {
        partition,
        offset: offset.map_or(-1, |offset| offset.offset),
        leader_epoch: offset.map_or(-1, |offset| offset.leader_epoch),
        metadata: offset
            .map(|offset| offset.metadata.clone())
            .unwrap_or_default(),
        error: ErrorCode::NONE,
    }
}

fn unstable(partition: i32) -> FetchedPartition {
    FetchedPartition {
        error: ErrorCode::UNSTABLE_OFFSET_COMMIT,
        ..fetched(partition, None)
    }
}
