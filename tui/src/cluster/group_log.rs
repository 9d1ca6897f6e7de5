//! Reads what the coordinator's log says of one group: the end of the one partition of
//! `__consumer_offsets` that belongs to it, backwards in pieces until the limits are reached.
//!
//! Invariants: no more than the limits is read, and how far it went is part of the result; a
//! record that can't be understood is counted and costs nothing else; offsets committed in a
//! transaction count when it is committed.
//!
//! Kafka: GroupCoordinatorService.partitionFor (4.3).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, TopicName};
use kafka_shared::protocol::StrBytes;
use kafka_shared::record::batch::{Batch, BatchError, batches};
use kafka_shared::record::control::ControlRecordType;
use kafka_shared::record::iter::records;
use kafka_shared::schema::consumer_groups::{
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataValue,
    ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataValue,
};
use kafka_shared::schema::group_records::{
    ConsumerGroupRegularExpressionValue, ShareGroupMemberMetadataValue, ShareGroupMetadataValue,
    StreamsGroupMemberMetadataValue, StreamsGroupMetadataValue,
    StreamsGroupTargetAssignmentMemberValue, StreamsGroupTopologyValue,
};
use kafka_shared::schema::offsets::{
    GroupMetadataValue, GroupRecordType, OffsetsKey, OffsetsRecord, OffsetsValue,
};
use kafka_shared::schema::{Reader, SchemaError};
use kafka_shared::types::TopicPartition;
use uuid::Uuid;

use crate::model::{
    Cell, ClusterMetadata, Fault, FaultKind, GroupFact, GroupLog, GroupRecord, LoggedGroup,
    LoggedMember, LoggedReadiness, LoggedStage, LoggedState, LoggedTopology, PartError,
    STANDBY_TASKS, TopicAssignment, WARMUP_TASKS,
};

use super::consumer_protocol::{decode_assignment, decode_subscription};
use super::wire::ClusterClient;

pub(super) const TOPIC: &str = "__consumer_offsets";

/// Newer versions name topics by id only.
const FETCH_BY_NAME: i16 = 12;

/// The newest version in which a record's topic is found by its name.
const BYTES_AT_ONCE: i32 = 1024 * 1024;

/// Offsets of the first piece; the next ones are twice as long each.
const PIECE: i64 = 2_000;

/// A batch that grows beyond this is not read.
pub(super) const DECOMPRESSED_MAX: usize = 64 * 1024 * 1024;

/// Records of the group that are kept at most, the newest.
const RECORDS_MAX: usize = 200_000;

/// When reading ends at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLogLimits {
    pub bytes: u64,
    pub time_ms: i64,
}

impl Default for GroupLogLimits {
    fn default() -> Self {
        Self {
            bytes: 16 * 1024 * 1024,
            time_ms: 8_000,
        }
    }
}

/// The partition that a group belongs to: by the hash of its id as Java makes it.
pub(super) fn partition_of(group: &str, partitions: i32) -> i32 {
    let hash = group.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // Kafka's Utils.abs: that of the smallest integer is 0.
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

/// Batches of one piece of the log.
pub(super) type Piece = Vec<bytes::Bytes>;

impl ClusterClient {
    /// Reads what there is of a group, newest pieces first, within limits.
    ///
    /// # Errors
    /// When there is no such log yet, it may not be read, or its leader does not answer.
    pub async fn group_log(
        &self,
        group: &str,
        metadata: &ClusterMetadata,
        limits: GroupLogLimits,
    ) -> Result<GroupLog, Fault> {
        let what = format!("read the log of group \"{group}\"");
        let topic = metadata.topic(TOPIC).cloned().ok_or_else(|| {
            let why = format!("{TOPIC} is not there, or may not be seen");
            Fault::not_found(&what, why)
        })?;
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let id = partition_of(group, count);
        let fault = |why: String| Fault::new(FaultKind::Failed, &what, why);
        let leader = topic.partition(id).map_or(-1, |p| p.leader);
        if leader < 0 {
            return Err(fault(format!("partition {TOPIC}-{id} has no leader")));
        }
        let offsets = self
            .offsets(metadata, Some(&[Arc::clone(&topic.name)]))
            .await?;
        let range = offsets.get(&topic.name).and_then(|o| o.partition(id));
        let (start, end) = match range.map(|r| (r.start, r.end)) {
            Some((Cell::Known(start), Cell::Known(end))) => (start, end),
            Some((Cell::Failed(error), _) | (_, Cell::Failed(error))) => {
                return Err(fault(error.name()));
            }
            _ => return Err(fault("its offsets are not known".to_owned())),
        };
        let mut log = GroupLog {
            leader_epoch: topic.partition(id).map_or(-1, |p| p.leader_epoch),
            ..GroupLog::default()
        };
        log.reach.partition = id;
        log.reach.to_offset = end;
        let deadline = self.now().monotonic_ms.saturating_add(limits.time_ms);
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut upper, mut length) = (end, PIECE);
        while upper > start && log.reach.bytes < limits.bytes {
            if self.now().monotonic_ms >= deadline {
                break;
            }
            let lower = upper.saturating_sub(length).max(start);
            let piece = self.piece(leader, id, lower, upper).await.map_err(fault)?;
            log.reach.bytes += piece.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
            pieces.push(piece);
            upper = lower;
            length = length.saturating_mul(2);
        }
        log.reach.from_offset = upper;
        log.reach.is_whole = upper <= start;
        // Kafka's own log begins at 0; before a later start something was deleted.
        log.reach.gapless_from = upper;
        let names = metadata.topics.iter();
        let names = names.filter_map(|topic| Some((topic.id?, Arc::clone(&topic.name))));
        let mut found = Decoder {
            group,
            names: names.collect(),
            next: upper,
            end,
            pending: HashMap::new(),
            log: &mut log,
        };
        for bytes in pieces.iter().rev().flatten() {
            found.take(bytes);
        }
        let surplus = log.records.len().saturating_sub(RECORDS_MAX);
        if let Some(last) = log.records.drain(..surplus).next_back() {
            log.reach.is_whole = false;
            log.reach.gapless_from = log.reach.gapless_from.max(last.offset + 1);
        }
        Ok(log)
    }

    /// The batches from one offset to another, as they are.
    pub(super) async fn piece(
        &self,
        leader: i32,
        id: i32,
        from: i64,
        to: i64,
    ) -> Result<Piece, String> {
        let mut piece = Piece::new();
        let mut next = from;
        while next < to {
            let partition = FetchPartition::default()
                .with_partition(id)
                .with_current_leader_epoch(-1)
                .with_last_fetched_epoch(-1)
                .with_fetch_offset(next)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(BYTES_AT_ONCE);
            let topic = FetchTopic::default()
                .with_topic(TopicName::from(StrBytes::from_static_str(TOPIC)))
                .with_partitions(vec![partition]);
            let request = FetchRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_max_wait_ms(0)
                .with_min_bytes(0)
                .with_max_bytes(BYTES_AT_ONCE)
                .with_session_epoch(-1)
                .with_topics(vec![topic]);
            let answer = self
                .ask_part("read a group's log", leader, request, Some(FETCH_BY_NAME))
                .await
                .map_err(|fault| fault.why)?;
            let data = answer.responses.first().and_then(|t| t.partitions.first());
            let data = data.ok_or("the broker's answer does not mention it")?;
            for code in [answer.error_code, data.error_code] {
                if code != 0 {
                    return Err(PartError(code).name());
                }
            }
            let bytes = data.records.clone().unwrap_or_default();
            let mut last = next;
            for batch in batches(&bytes).map_while(Result::ok) {
                last = last.max(batch.next_offset());
            }
            if last <= next {
                break;
            }
            next = last;
            piece.push(bytes);
        }
        Ok(piece)
    }
}

/// Understands batches in the order of the log.
struct Decoder<'a> {
    group: &'a str,
    names: HashMap<Uuid, Arc<str>>,
    /// Records before this were read already: pieces overlap by a batch.
    next: i64,
    end: i64,
    /// Commits of transactions that are open, by producer.
    pending: HashMap<i64, Vec<GroupRecord>>,
    log: &'a mut GroupLog,
}

impl Decoder<'_> {
    fn take(&mut self, bytes: &[u8]) {
        for batch in batches(bytes) {
            match batch {
                Ok(batch) => self.take_batch(&batch),
                // The broker cuts its answer where its limit falls.
                Err(BatchError::Truncated { .. }) => return,
                Err(_) => {
                    self.log.reach.unread += 1;
                    return;
                }
            }
        }
    }

    fn take_batch(&mut self, batch: &Batch<'_>) {
        let first = self.next;
        if batch.next_offset() <= first {
            return;
        }
        self.next = batch.next_offset();
        let count = i64::from(batch.record_count());
        let is_complete = batch.base_offset() + count == batch.next_offset();
        if batch.base_offset() > first || !is_complete {
            self.log.reach.gapless_from = batch.next_offset().min(self.end);
        }
        let decoded = batch.check_crc().ok();
        let Some(Ok(records)) = decoded.map(|()| records(batch, DECOMPRESSED_MAX)) else {
            self.log.reach.unread += 1;
            return;
        };
        for record in &records {
            let Ok(record) = record else {
                self.log.reach.unread += 1;
                return;
            };
            if record.offset < first || record.offset >= self.end {
                continue;
            }
            let oldest = &mut self.log.reach.oldest_ms;
            *oldest = Some(oldest.map_or(record.timestamp, |ms| ms.min(record.timestamp)));
            let key = record.key.unwrap_or_default();
            if batch.is_control() {
                let pending = self.pending.remove(&batch.producer_id());
                if ControlRecordType::parse_key(key) == Ok(ControlRecordType::Commit) {
                    self.log.records.extend(pending.into_iter().flatten());
                }
                continue;
            }
            let fact = match self.fact(key, record.value, record.timestamp) {
                Ok(Some(fact)) => fact,
                Ok(None) => continue,
                Err(()) => {
                    self.log.reach.unread += 1;
                    continue;
                }
            };
            let found = GroupRecord {
                offset: record.offset,
                batch: batch.base_offset(),
                at_ms: record.timestamp,
                leader_epoch: batch.partition_leader_epoch(),
                fact,
            };
            if batch.is_transactional() {
                self.pending
                    .entry(batch.producer_id())
                    .or_default()
                    .push(found);
            } else {
                self.log.records.push(found);
            }
        }
    }

    /// What a record says of the group; `None` where it is of another one.
    fn fact(&self, key: &[u8], value: Option<&[u8]>, at_ms: i64) -> Result<Option<GroupFact>, ()> {
        // Keys of a later Kafka are passed over as Kafka does.
        let Ok(decoded) = OffsetsKey::decode(key) else {
            return Ok(None);
        };
        if decoded.group() != self.group {
            return Ok(None);
        }
        let record = OffsetsRecord::decode(key, value).map_err(drop)?;
        Ok(Some(match (record.key, record.value) {
            (OffsetsKey::OffsetCommit(key) | OffsetsKey::LegacyOffsetCommit(key), value) => {
                let commit = match value {
                    Some(OffsetsValue::OffsetCommit(commit)) => Some(commit),
                    _ => None,
                };
                GroupFact::Commit {
                    partition: TopicPartition::new(&key.topic, key.partition),
                    offset: commit.as_ref().map(|commit| commit.offset),
                    at_ms: commit.map_or(at_ms, |commit| commit.commit_timestamp),
                }
            }
            (OffsetsKey::GroupMetadata(_), Some(OffsetsValue::GroupMetadata(group))) => {
                GroupFact::Classic(Some(classic(group)))
            }
            (OffsetsKey::GroupMetadata(_), _) => GroupFact::Classic(None),
            (
                OffsetsKey::Group {
                    record_type, part, ..
                },
                value,
            ) => {
                let bytes = match &value {
                    Some(OffsetsValue::Group(bytes)) => Some(&bytes[..]),
                    _ => None,
                };
                self.modern(record_type, part, bytes)?
            }
        }))
    }

    fn modern(
        &self,
        kind: GroupRecordType,
        part: Option<String>,
        value: Option<&[u8]>,
    ) -> Result<GroupFact, ()> {
        use GroupRecordType as T;
        let id: Arc<str> = Arc::from(part.unwrap_or_default());
        Ok(match kind {
            T::ConsumerGroupMetadata | T::ShareGroupMetadata | T::StreamsGroupMetadata => {
                let (epoch, metadata_hash, readiness) = match value {
                    Some(bytes) => epoch(kind, bytes)?,
                    None => (None, 0, None),
                };
                GroupFact::Epoch {
                    epoch,
                    metadata_hash,
                    readiness,
                }
            }
            T::ConsumerGroupMemberMetadata
            | T::ShareGroupMemberMetadata
            | T::StreamsGroupMemberMetadata => {
                let member = match value {
                    Some(bytes) => Some(member(kind, &id, bytes)?),
                    None => None,
                };
                GroupFact::Member { id, member }
            }
            T::ConsumerGroupTargetAssignmentMetadata
            | T::ShareGroupTargetAssignmentMetadata
            | T::StreamsGroupTargetAssignmentMetadata => match value {
                Some(bytes) => {
                    let value: ConsumerGroupTargetAssignmentMetadataValue = read(bytes)?;
                    GroupFact::TargetEpoch(value.assignment_epoch)
                }
                None => GroupFact::Other(kind.name()),
            },
            T::ConsumerGroupTargetAssignmentMember | T::ShareGroupTargetAssignmentMember => {
                let assignment = match value {
                    Some(bytes) => {
                        let value: ConsumerGroupTargetAssignmentMemberValue = read(bytes)?;
                        let lists = value.topic_partitions.into_iter();
                        Some(self.named(lists.map(|list| (list.topic_id, list.partitions))))
                    }
                    None => None,
                };
                GroupFact::Target { id, assignment }
            }
            T::StreamsGroupTargetAssignmentMember => {
                let assignment = match value {
                    Some(bytes) => Some(tasks(read(bytes)?)),
                    None => None,
                };
                GroupFact::Target { id, assignment }
            }
            T::ConsumerGroupCurrentMemberAssignment
            | T::ShareGroupCurrentMemberAssignment
            | T::StreamsGroupCurrentMemberAssignment => {
                let state = match value {
                    Some(bytes) => Some(state(kind, bytes)?),
                    None => None,
                };
                GroupFact::Current { id, state }
            }
            T::StreamsGroupTopology => GroupFact::Topology(match value {
                Some(bytes) => Some(Box::new(topology(read(bytes)?))),
                None => None,
            }),
            T::ConsumerGroupRegularExpression => GroupFact::Pattern {
                pattern: id,
                topics: match value {
                    Some(bytes) => {
                        let value: ConsumerGroupRegularExpressionValue = read(bytes)?;
                        Some(arcs(value.topics))
                    }
                    None => None,
                },
            },
            _ => GroupFact::Other(kind.name()),
        })
    }

    /// Topics by name, sorted; one that is gone by its id.
    fn named(&self, lists: impl Iterator<Item = (Uuid, Vec<i32>)>) -> Vec<TopicAssignment> {
        let mut sorted: BTreeMap<Arc<str>, Vec<i32>> = BTreeMap::new();
        for (id, partitions) in lists {
            let name = self.names.get(&id).cloned();
            let name = name.unwrap_or_else(|| Arc::from(id.to_string()));
            sorted.entry(name).or_default().extend(partitions);
        }
        let topics = sorted.into_iter().map(|(topic, mut partitions)| {
            partitions.sort_unstable();
            TopicAssignment {
                topic,
                partitions: partitions.into(),
            }
        });
        topics.collect()
    }
}

fn read<T: kafka_shared::schema::Schema>(bytes: &[u8]) -> Result<T, ()> {
    T::decode_versioned(bytes)
        .map(|(_, value)| value)
        .map_err(drop)
}

/// A group's epoch, the hash of its metadata, and what only streams groups say.
type Epoch = (Option<i32>, i64, Option<Box<LoggedReadiness>>);

fn epoch(kind: GroupRecordType, value: &[u8]) -> Result<Epoch, ()> {
    match kind {
        GroupRecordType::ConsumerGroupMetadata => {
            let value: ConsumerGroupMetadataValue = read(value)?;
            Ok((Some(value.epoch), value.metadata_hash, None))
        }
        GroupRecordType::StreamsGroupMetadata => {
            let value: StreamsGroupMetadataValue = read(value)?;
            let settings = value.last_assignment_configs.unwrap_or_default();
            let mut settings: Vec<String> = (settings.into_iter())
                .map(|setting| format!("{}={}", setting.key, setting.value))
                .collect();
            settings.sort_unstable();
            let readiness = LoggedReadiness {
                validated: value.validated_topology_epoch,
                settings,
            };
            let readiness = Some(Box::new(readiness));
            Ok((Some(value.epoch), value.metadata_hash, readiness))
        }
        _ => {
            let value: ShareGroupMetadataValue = read(value)?;
            Ok((Some(value.epoch), value.metadata_hash, None))
        }
    }
}

/// What the tasks of a part are called where assignments name topics.
fn part_name(id: &str) -> String {
    format!("subtopology {id}")
}

fn topology(value: StreamsGroupTopologyValue) -> LoggedTopology {
    let part = |part: kafka_shared::schema::group_records::Subtopology| {
        let own = part.repartition_source_topics.into_iter();
        let reads = part
            .source_topics
            .into_iter()
            .chain(own.map(|topic| topic.name));
        (
            Arc::from(part_name(&part.subtopology_id)),
            arcs(reads.collect()),
        )
    };
    LoggedTopology {
        epoch: value.epoch,
        parts: value.subtopologies.into_iter().map(part).collect(),
    }
}

/// A member of whatever kind of group.
fn member(kind: GroupRecordType, id: &Arc<str>, value: &[u8]) -> Result<LoggedMember, ()> {
    let id = Arc::clone(id);
    match kind {
        GroupRecordType::ShareGroupMemberMetadata => {
            let value: ShareGroupMemberMetadataValue = read(value)?;
            Ok(LoggedMember {
                id,
                client_id: Arc::from(value.client_id),
                host: Arc::from(value.client_host),
                subscribed: arcs(value.subscribed_topic_names),
                ..LoggedMember::default()
            })
        }
        GroupRecordType::StreamsGroupMemberMetadata => {
            let value: StreamsGroupMemberMetadataValue = read(value)?;
            Ok(LoggedMember {
                id,
                instance_id: value.instance_id.map(Arc::from),
                client_id: Arc::from(value.client_id),
                host: Arc::from(value.client_host),
                rebalance_timeout_ms: some_ms(value.rebalance_timeout_ms),
                topology_epoch: Some(value.topology_epoch),
                ..LoggedMember::default()
            })
        }
        _ => {
            let value: ConsumerGroupMemberMetadataValue = read(value)?;
            let session = value.classic_member_metadata.as_ref();
            Ok(LoggedMember {
                id,
                session_timeout_ms: session.map(|classic| i64::from(classic.session_timeout_ms)),
                instance_id: value.instance_id.map(Arc::from),
                client_id: Arc::from(value.client_id),
                host: Arc::from(value.client_host),
                subscribed: arcs(value.subscribed_topic_names),
                pattern: value
                    .subscribed_topic_regex
                    .filter(|pattern| !pattern.is_empty())
                    .map(Arc::from),
                assignor: value.server_assignor.map(Arc::from),
                rebalance_timeout_ms: some_ms(value.rebalance_timeout_ms),
                topology_epoch: None,
                assignment: Vec::new(),
            })
        }
    }
}

fn some_ms(ms: i32) -> Option<i64> {
    (ms >= 0).then(|| i64::from(ms))
}

/// Sorted: in which order a client names its topics means nothing.
fn arcs(mut names: Vec<String>) -> Vec<Arc<str>> {
    names.sort_unstable();
    names.into_iter().map(Arc::from).collect()
}

/// The values of all three kinds of groups begin with the same fields; streams groups number the
/// states from 1.
fn state(kind: GroupRecordType, value: &[u8]) -> Result<LoggedState, ()> {
    let first = i8::from(kind == GroupRecordType::StreamsGroupCurrentMemberAssignment);
    let mut reader = Reader::new(value);
    let read = |reader: &mut Reader<'_>| {
        reader.i16()?;
        let (epoch, previous_epoch) = (reader.i32()?, reader.i32()?);
        let stage = match reader.i8()?.wrapping_sub(first) {
            0 => LoggedStage::Stable,
            1 => LoggedStage::Revoking,
            _ => LoggedStage::Waiting,
        };
        Ok::<_, SchemaError>(LoggedState {
            epoch,
            previous_epoch,
            stage,
        })
    };
    read(&mut reader).map_err(drop)
}

/// The tasks of a member of a streams group, named after their part of the topology and their role.
fn tasks(value: StreamsGroupTargetAssignmentMemberValue) -> Vec<TopicAssignment> {
    let roles = [
        ("", value.active_tasks),
        (STANDBY_TASKS, value.standby_tasks),
        (WARMUP_TASKS, value.warmup_tasks),
    ];
    let mut all = Vec::new();
    for (role, tasks) in roles {
        all.extend(tasks.into_iter().map(|task| {
            let mut partitions = task.partitions;
            partitions.sort_unstable();
            TopicAssignment {
                topic: Arc::from(format!("{}{role}", part_name(&task.subtopology_id))),
                partitions: partitions.into(),
            }
        }));
    }
    all
}

fn classic(group: GroupMetadataValue) -> LoggedGroup {
    let members = group.members.into_iter().map(|member| LoggedMember {
        id: Arc::from(member.member_id),
        instance_id: member.group_instance_id.map(Arc::from),
        client_id: Arc::from(member.client_id),
        host: Arc::from(member.client_host),
        // Whatever other clients put there is theirs.
        subscribed: decode_subscription(&member.subscription)
            .unwrap_or_default()
            .topics,
        session_timeout_ms: Some(i64::from(member.session_timeout)),
        pattern: None,
        assignor: None,
        rebalance_timeout_ms: some_ms(member.rebalance_timeout),
        topology_epoch: None,
        assignment: decode_assignment(&member.assignment).unwrap_or_default(),
    });
    LoggedGroup {
        generation: group.generation,
        protocol: Arc::from(group.protocol.unwrap_or_default()),
        leader: Arc::from(group.leader.unwrap_or_default()),
        joined_at_ms: Some(group.current_state_timestamp).filter(|ms| *ms >= 0),
        members: members.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_s_partition_is_where_java_s_hash_says() {
        // "".hashCode() is 0; "abc" 96354; "polygenelubricants" Integer.MIN_VALUE.
        for (group, partitions, id) in [
            ("", 50, 0),
            ("abc", 50, 96_354 % 50),
            ("polygenelubricants", 50, 0),
            // Its hash is -51240105.
            ("classic-life", 50, 5),
            ("console-consumer-1", 1, 0),
        ] {
            assert_eq!(partition_of(group, partitions), id, "{group}");
        }
        assert!((0..50).contains(&partition_of("größe-😀", 50)));
    }
}
