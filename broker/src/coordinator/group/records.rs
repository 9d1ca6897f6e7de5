//! The records of `__consumer_offsets`: what a shard stores and what it reads back.
//!
//! Key and value are framed as i16 type and i16 version; see `kafka_shared::schema::offsets`. Written
//! are OffsetCommit (type 1, value version 4, or 1 when the offset has an expiry of its own) and
//! GroupMetadata (type 2, value version 3), as Kafka 4.3 does; all versions are read. Records of
//! groups that this coordinator does not serve are told apart, kept in the log and not interpreted.
//!
//! Kafka: group-coordinator `GroupCoordinatorRecordHelpers`, `GroupCoordinatorRecordSerde` (4.3).

use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::schema::SchemaError;
use kafka_shared::schema::offsets::{
    GroupMetadataKey, GroupMetadataMember, GroupMetadataValue, GroupRecordType, OffsetCommitKey,
    OffsetCommitValue, OffsetsKey, OffsetsRecord, OffsetsValue,
};

use super::GroupType;
use super::offsets::OffsetAndMetadata;

/// One member of a stored group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    /// Its id.
    pub id: Arc<str>,
    /// Static members only.
    pub instance_id: Option<Arc<str>>,
    /// As it joined.
    pub client_id: Arc<str>,
    /// As it joined.
    pub client_host: Arc<str>,
    /// In milliseconds.
    pub rebalance_timeout_ms: i32,
    /// In milliseconds.
    pub session_timeout_ms: i32,
    /// Its metadata for the group's protocol.
    pub subscription: Bytes,
    /// What the leader gave it.
    pub assignment: Bytes,
}

/// A classic group as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadata {
    /// None for a group that nobody joined.
    pub protocol_type: Option<Arc<str>>,
    /// See `ClassicGroup::generation_id`.
    pub generation: i32,
    /// The protocol that was chosen.
    pub protocol: Option<Arc<str>>,
    /// The member that assigned.
    pub leader: Option<Arc<str>>,
    /// When the group came into its state; None when an old broker wrote it.
    pub state_timestamp_ms: Option<i64>,
    /// In the order of their ids.
    pub members: Vec<MemberMetadata>,
}

/// One record of `__consumer_offsets`. A value of None is a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// What a group has consumed of a partition.
    OffsetCommit {
        /// Which group.
        group_id: Arc<str>,
        /// Which topic.
        topic: Arc<str>,
        /// Which partition.
        partition: i32,
        /// The offset.
        value: Option<OffsetAndMetadata>,
    },
    /// A classic group.
    GroupMetadata {
        /// Which group.
        group_id: Arc<str>,
        /// The group.
        value: Option<GroupMetadata>,
    },
    /// A group of a type that is not served here exists, or was deleted.
    Unserved {
        /// Which group.
        group_id: Arc<str>,
        /// Its type.
        group_type: GroupType,
        /// False for a tombstone.
        exists: bool,
    },
}

impl Record {
    /// Key and value as Kafka 4.3 writes them.
    ///
    /// # Errors
    /// A string is too long for its length field, or the record is not ours to write.
    pub fn encode(&self) -> Result<(Vec<u8>, Option<Vec<u8>>), SchemaError> {
        let record = match self {
            Record::OffsetCommit {
                group_id,
                topic,
                partition,
                value,
            } => OffsetsRecord {
                key: OffsetsKey::OffsetCommit(OffsetCommitKey {
                    group: group_id.to_string(),
                    topic: topic.to_string(),
                    partition: *partition,
                }),
                value: value
                    .as_ref()
                    .map(|value| OffsetsValue::OffsetCommit(value.into())),
            },
            Record::GroupMetadata { group_id, value } => OffsetsRecord {
                key: OffsetsKey::GroupMetadata(GroupMetadataKey {
                    group: group_id.to_string(),
                }),
                value: value
                    .as_ref()
                    .map(|value| OffsetsValue::GroupMetadata(value.into())),
            },
            Record::Unserved { .. } => {
                return Err(SchemaError::UnknownType {
                    kind: "group record type",
                    id: -1,
                });
            }
        };
        record.encode()
    }

    /// Reads a record. None for records that a shard has no use for: those of later versions of
    /// Kafka, and the parts of groups that are not served here.
    ///
    /// # Errors
    /// The record is of a type that we know, but broken or of an unknown version. Kafka does not
    /// load such a partition, and neither do we: it would lose what the record says.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, SchemaError> {
        let record = match OffsetsRecord::decode(key, value) {
            Ok(record) => record,
            Err(SchemaError::UnknownType { id, .. }) => {
                tracing::warn!(
                    id,
                    "record of an unknown type in __consumer_offsets is skipped"
                );
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        Ok(match (record.key, record.value) {
            (OffsetsKey::OffsetCommit(key) | OffsetsKey::LegacyOffsetCommit(key), value) => {
                Some(Record::OffsetCommit {
                    group_id: key.group.into(),
                    topic: key.topic.into(),
                    partition: key.partition,
                    value: match value {
                        Some(OffsetsValue::OffsetCommit(value)) => Some(value.into()),
                        _ => None,
                    },
                })
            }
            (OffsetsKey::GroupMetadata(key), value) => Some(Record::GroupMetadata {
                group_id: key.group.into(),
                value: match value {
                    Some(OffsetsValue::GroupMetadata(value)) => Some(value.into()),
                    _ => None,
                },
            }),
            (
                OffsetsKey::Group {
                    record_type, group, ..
                },
                value,
            ) => group_type(record_type).map(|group_type| Record::Unserved {
                group_id: group.into(),
                group_type,
                exists: value.is_some(),
            }),
        })
    }
}

/// The type of group that exists by a record of this type; None for records about its parts.
fn group_type(record_type: GroupRecordType) -> Option<GroupType> {
    match record_type {
        GroupRecordType::ConsumerGroupMetadata => Some(GroupType::Consumer),
        GroupRecordType::ShareGroupMetadata => Some(GroupType::Share),
        GroupRecordType::StreamsGroupMetadata => Some(GroupType::Streams),
        _ => None,
    }
}

impl From<&OffsetAndMetadata> for OffsetCommitValue {
    fn from(offset: &OffsetAndMetadata) -> Self {
        OffsetCommitValue {
            offset: offset.offset,
            leader_epoch: offset.leader_epoch,
            metadata: offset.metadata.to_string(),
            commit_timestamp: offset.commit_timestamp_ms,
            expire_timestamp: offset.expire_timestamp_ms.unwrap_or(-1),
            topic_id: offset.topic_id,
        }
    }
}

impl From<OffsetCommitValue> for OffsetAndMetadata {
    fn from(value: OffsetCommitValue) -> Self {
        OffsetAndMetadata {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.into(),
            commit_timestamp_ms: value.commit_timestamp,
            expire_timestamp_ms: Some(value.expire_timestamp).filter(|expire| *expire != -1),
            topic_id: value.topic_id,
            record_offset: -1,
        }
    }
}

impl From<&GroupMetadata> for GroupMetadataValue {
    fn from(group: &GroupMetadata) -> Self {
        GroupMetadataValue {
            protocol_type: group
                .protocol_type
                .as_deref()
                .unwrap_or_default()
                .to_owned(),
            generation: group.generation,
            protocol: group.protocol.as_deref().map(str::to_owned),
            leader: group.leader.as_deref().map(str::to_owned),
            current_state_timestamp: group.state_timestamp_ms.unwrap_or(-1),
            members: group
                .members
                .iter()
                .map(|member| GroupMetadataMember {
                    member_id: member.id.to_string(),
                    group_instance_id: member.instance_id.as_deref().map(str::to_owned),
                    client_id: member.client_id.to_string(),
                    client_host: member.client_host.to_string(),
                    rebalance_timeout: member.rebalance_timeout_ms,
                    session_timeout: member.session_timeout_ms,
                    subscription: member.subscription.clone(),
                    assignment: member.assignment.clone(),
                })
                .collect(),
        }
    }
}

impl From<GroupMetadataValue> for GroupMetadata {
    fn from(value: GroupMetadataValue) -> Self {
        GroupMetadata {
            protocol_type: Some(Arc::from(value.protocol_type)),
            generation: value.generation,
            protocol: value.protocol.map(Arc::from),
            leader: value.leader.map(Arc::from),
            state_timestamp_ms: Some(value.current_state_timestamp).filter(|at| *at != -1),
            members: value
                .members
                .into_iter()
                .map(MemberMetadata::from)
                .collect(),
        }
    }
}

impl From<GroupMetadataMember> for MemberMetadata {
    fn from(member: GroupMetadataMember) -> Self {
        MemberMetadata {
            id: member.member_id.into(),
            instance_id: member.group_instance_id.map(Arc::from),
            client_id: member.client_id.into(),
            client_host: member.client_host.into(),
            // The first version had no time-out of its own for rebalances.
            rebalance_timeout_ms: match member.rebalance_timeout {
                -1 => member.session_timeout,
                rebalance_timeout => rebalance_timeout,
            },
            session_timeout_ms: member.session_timeout,
            // A copy: the reader may hand out slices that would keep a whole batch alive.
            subscription: Bytes::copy_from_slice(&member.subscription),
            assignment: Bytes::copy_from_slice(&member.assignment),
        }
    }
}
