//! Reads what many groups committed last: the ends of those partitions of `__consumer_offsets`
//! that belong to them, each once for all of its groups.
//!
//! Invariants: no more than the limits is read; a group of which nothing was found has no entry;
//! offsets committed in a transaction count when it is committed; what can't be read is left out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use kafka_shared::record::batch::{Batch, batches};
use kafka_shared::record::control::ControlRecordType;
use kafka_shared::record::iter::records;
use kafka_shared::schema::offsets::{OffsetsKey, OffsetsRecord, OffsetsValue};
use kafka_shared::types::TopicPartition;

use crate::model::{ClusterMetadata, GroupFact, GroupLog, GroupRecord};

use super::group_log::{DECOMPRESSED_MAX, GroupLogLimits, TOPIC, partition_of};
use super::wire::ClusterClient;

/// Offsets that are read of a partition, and partitions that are read at a time.
const TAIL: i64 = 4_000;
const AT_ONCE: usize = 4;

/// Records that are kept of a group, the newest.
const RECORDS_MAX: usize = 2_000;

impl ClusterClient {
    /// The newest commits of groups, by group.
    pub async fn commit_tails(
        &self,
        groups: &[Arc<str>],
        metadata: &ClusterMetadata,
        limits: GroupLogLimits,
    ) -> HashMap<Arc<str>, GroupLog> {
        let mut found = HashMap::new();
        let Some(topic) = metadata.topic(TOPIC) else {
            return found;
        };
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let mut wanted: BTreeMap<i32, HashSet<&str>> = BTreeMap::new();
        for group in groups {
            let ids = wanted.entry(partition_of(group, count)).or_default();
            ids.insert(group);
        }
        let name = std::slice::from_ref(&topic.name);
        let Ok(offsets) = self.offsets(metadata, Some(name)).await else {
            return found;
        };
        let ends = offsets.get(&topic.name);
        let tail = async |id: i32| {
            let leader = topic.partition(id).map_or(-1, |p| p.leader);
            let range = ends?.partition(id)?;
            let (start, end) = range.start.known().zip(range.end.known())?;
            let from = end.saturating_sub(TAIL).max(start);
            if leader < 0 || from >= end {
                return None;
            }
            let piece = self.piece(leader, id, from, end).await.ok()?;
            Some((id, from, piece))
        };
        let deadline = self.now().monotonic_ms.saturating_add(limits.time_ms);
        let tails = wanted.keys().map(|id| tail(*id));
        let mut tails = stream::iter(tails.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        let mut bytes = 0;
        while let Some(read) = tails.next().await {
            if let Some((id, from, piece)) = read
                && let Some(ids) = wanted.get(&id)
            {
                bytes += piece.iter().map(|part| part.len() as u64).sum::<u64>();
                let mut reader = Reader {
                    wanted: ids,
                    from,
                    pending: HashMap::new(),
                    found: &mut found,
                };
                for batch in piece
                    .iter()
                    .flat_map(|part| batches(part).map_while(Result::ok))
                {
                    reader.take(&batch);
                }
            }
            if bytes >= limits.bytes || self.now().monotonic_ms >= deadline {
                break;
            }
        }
        found
    }
}

/// Takes batches of one partition, in their order.
struct Reader<'a> {
    wanted: &'a HashSet<&'a str>,
    from: i64,
    /// Commits of transactions that are open, by producer.
    pending: HashMap<i64, Vec<(Arc<str>, GroupRecord)>>,
    found: &'a mut HashMap<Arc<str>, GroupLog>,
}

impl Reader<'_> {
    fn take(&mut self, batch: &Batch<'_>) {
        let decoded = batch.check_crc().ok();
        let Some(Ok(records)) = decoded.map(|()| records(batch, DECOMPRESSED_MAX)) else {
            return;
        };
        for record in (&records).into_iter().map_while(Result::ok) {
            if record.offset < self.from {
                continue;
            }
            let key = record.key.unwrap_or_default();
            if batch.is_control() {
                let pending = self.pending.remove(&batch.producer_id());
                if ControlRecordType::parse_key(key) == Ok(ControlRecordType::Commit) {
                    for (group, record) in pending.into_iter().flatten() {
                        self.keep(group, record);
                    }
                }
                continue;
            }
            let Some((group, fact)) = self.commit(key, record.value) else {
                continue;
            };
            let found = GroupRecord {
                offset: record.offset,
                batch: batch.base_offset(),
                at_ms: record.timestamp,
                leader_epoch: batch.partition_leader_epoch(),
                fact,
            };
            if batch.is_transactional() {
                let pending = self.pending.entry(batch.producer_id()).or_default();
                pending.push((group, found));
            } else {
                self.keep(group, found);
            }
        }
    }

    fn keep(&mut self, group: Arc<str>, record: GroupRecord) {
        let log = self.found.entry(group).or_default();
        if log.records.len() >= 2 * RECORDS_MAX {
            log.records.drain(..RECORDS_MAX);
        }
        log.records.push(record);
    }

    /// A commit of a group that is wanted.
    fn commit(&self, key: &[u8], value: Option<&[u8]>) -> Option<(Arc<str>, GroupFact)> {
        let decoded = OffsetsKey::decode(key).ok()?;
        if !self.wanted.contains(decoded.group()) {
            return None;
        }
        let OffsetsKey::OffsetCommit(at) = decoded else {
            return None;
        };
        let record = OffsetsRecord::decode(key, value).ok()?;
        let commit = match record.value {
            Some(OffsetsValue::OffsetCommit(commit)) => Some(commit),
            _ => None,
        };
        let fact = GroupFact::Commit {
            partition: TopicPartition::new(&at.topic, at.partition),
            offset: commit.as_ref().map(|commit| commit.offset),
            at_ms: commit.map_or(0, |commit| commit.commit_timestamp),
        };
        Some((Arc::from(at.group), fact))
    }
}
