//! The records of `__consumer_offsets`: committed offsets and groups of every type.
//!
//! A key starts with the record type as int16, a value with the version of its type; a null
//! value deletes the key. Offsets and classic groups are decoded in full. The records of
//! consumer, share and streams groups (KIP-848, KIP-932, KIP-1071) are understood by their keys,
//! their values kept as bytes.
//!
//! Follows Kafka's group-coordinator schemas, `CoordinatorRecordType` and
//! `GroupCoordinatorRecordSerde`.

use super::{Bytes, Reader, Schema, SchemaError, Uuid};
use crate::schema;

schema! {
    /// Key of a committed offset, of record type 0 (before Kafka 0.9) or 1.
    pub struct OffsetCommitKey, versions 0..=0, flexible never {
        group: String;
        topic: String;
        partition: i32;
    }

    /// A committed offset. Version 1 is written if and only if the offset has its own expiry.
    pub struct OffsetCommitValue, versions 0..=4, flexible 4 {
        offset: i64;
        leader_epoch: i32 = -1, since 3, ignorable true;
        metadata: String;
        commit_timestamp: i64;
        expire_timestamp: i64 = -1, since 1, until 1, ignorable true;
        topic_id: Uuid, since 4, tag 0, ignorable true;
    }

    /// Key of a classic group.
    pub struct GroupMetadataKey, versions 0..=0, flexible never {
        group: String;
    }

    /// A classic group after a rebalance, or empty.
    pub struct GroupMetadataValue, versions 0..=4, flexible 4 {
        protocol_type: String;
        generation: i32;
        protocol: Option<String>;
        leader: Option<String>;
        current_state_timestamp: i64 = -1, since 2, ignorable true;
        members: Vec<GroupMetadataMember>;
    }

    /// A member of a classic group.
    pub struct GroupMetadataMember, versions 0..=4, flexible 4 {
        member_id: String;
        group_instance_id: Option<String>, since 3, ignorable true;
        client_id: String;
        client_host: String;
        rebalance_timeout: i32 = -1, since 1, ignorable true;
        session_timeout: i32;
        subscription: Bytes;
        assignment: Bytes;
    }

    /// Key of a record about a part of a group: a member, or a regular expression of topics.
    pub struct GroupPartKey, versions 0..=0, flexible never {
        group: String;
        part: String;
    }
}

/// The value version that Kafka 4.3 writes for a classic group.
pub const GROUP_METADATA_VALUE_VERSION: i16 = 3;

impl OffsetCommitValue {
    /// The version that Kafka 4.3 writes for this value.
    pub fn version_to_write(&self) -> i16 {
        if self.expire_timestamp == -1 { 4 } else { 1 }
    }
}

/// What the key of a group record names besides the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyForm {
    Group,
    GroupAndPart,
}

macro_rules! group_record_types {
    ($($id:literal $variant:ident $form:ident,)*) => {
        /// Types of the records of consumer, share and streams groups, named as Kafka does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum GroupRecordType {
            $($variant = $id,)*
        }

        impl GroupRecordType {
            pub const ALL: &[GroupRecordType] = &[$(GroupRecordType::$variant,)*];

            /// The int16 at the start of the key.
            pub fn id(self) -> i16 {
                self as i16
            }

            pub fn from_id(id: i16) -> Option<GroupRecordType> {
                match id {
                    $($id => Some(GroupRecordType::$variant),)*
                    _ => None,
                }
            }

            /// Kafka's name of the type.
            pub fn name(self) -> &'static str {
                match self {
                    $(GroupRecordType::$variant => stringify!($variant),)*
                }
            }

            fn form(self) -> KeyForm {
                match self {
                    $(GroupRecordType::$variant => KeyForm::$form,)*
                }
            }
        }
    };
}

group_record_types! {
    3 ConsumerGroupMetadata Group,
    4 ConsumerGroupPartitionMetadata Group,
    5 ConsumerGroupMemberMetadata GroupAndPart,
    6 ConsumerGroupTargetAssignmentMetadata Group,
    7 ConsumerGroupTargetAssignmentMember GroupAndPart,
    8 ConsumerGroupCurrentMemberAssignment GroupAndPart,
    10 ShareGroupMemberMetadata GroupAndPart,
    11 ShareGroupMetadata Group,
    12 ShareGroupTargetAssignmentMetadata Group,
    13 ShareGroupTargetAssignmentMember GroupAndPart,
    14 ShareGroupCurrentMemberAssignment GroupAndPart,
    15 ShareGroupStatePartitionMetadata Group,
    16 ConsumerGroupRegularExpression GroupAndPart,
    17 StreamsGroupMetadata Group,
    19 StreamsGroupMemberMetadata GroupAndPart,
    20 StreamsGroupTargetAssignmentMetadata Group,
    21 StreamsGroupTargetAssignmentMember GroupAndPart,
    22 StreamsGroupCurrentMemberAssignment GroupAndPart,
    23 StreamsGroupTopology Group,
}

const LEGACY_OFFSET_COMMIT: i16 = 0;
const OFFSET_COMMIT: i16 = 1;
const GROUP_METADATA: i16 = 2;

/// The key of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum OffsetsKey {
    /// As `OffsetCommit`, from before Kafka 0.9; to compaction it is another key.
    LegacyOffsetCommit(OffsetCommitKey),
    OffsetCommit(OffsetCommitKey),
    GroupMetadata(GroupMetadataKey),
    /// A record of a consumer, share or streams group.
    Group {
        record_type: GroupRecordType,
        group: String,
        /// The member id or regular expression, if keys of the type have one.
        part: Option<String>,
    },
}

impl OffsetsKey {
    /// Decodes a key. Record types of a later Kafka are [`SchemaError::UnknownType`]; Kafka
    /// skips such records with a warning. Bytes left over are ignored, as in Kafka.
    pub fn decode(key: &[u8]) -> Result<OffsetsKey, SchemaError> {
        let mut reader = Reader::new(key);
        let id = reader.i16()?;
        let reader = &mut reader;
        match id {
            LEGACY_OFFSET_COMMIT => {
                OffsetCommitKey::decode(reader, 0).map(OffsetsKey::LegacyOffsetCommit)
            }
            OFFSET_COMMIT => OffsetCommitKey::decode(reader, 0).map(OffsetsKey::OffsetCommit),
            GROUP_METADATA => GroupMetadataKey::decode(reader, 0).map(OffsetsKey::GroupMetadata),
            _ => decode_group_key(id, reader),
        }
    }

    /// The bytes of the key.
    pub fn encode(&self) -> Result<Vec<u8>, SchemaError> {
        let mut out = self.record_type_id().to_be_bytes().to_vec();
        match self {
            OffsetsKey::LegacyOffsetCommit(key) | OffsetsKey::OffsetCommit(key) => {
                key.encode(&mut out, 0)?;
            }
            OffsetsKey::GroupMetadata(key) => key.encode(&mut out, 0)?,
            OffsetsKey::Group {
                group,
                part: Some(part),
                ..
            } => {
                GroupPartKey {
                    group: group.clone(),
                    part: part.clone(),
                }
                .encode(&mut out, 0)?;
            }
            OffsetsKey::Group {
                group, part: None, ..
            } => {
                GroupMetadataKey {
                    group: group.clone(),
                }
                .encode(&mut out, 0)?;
            }
        }
        Ok(out)
    }

    /// The int16 at the start of the key.
    pub fn record_type_id(&self) -> i16 {
        match self {
            OffsetsKey::LegacyOffsetCommit(_) => LEGACY_OFFSET_COMMIT,
            OffsetsKey::OffsetCommit(_) => OFFSET_COMMIT,
            OffsetsKey::GroupMetadata(_) => GROUP_METADATA,
            OffsetsKey::Group { record_type, .. } => record_type.id(),
        }
    }

    /// The group that the record belongs to.
    pub fn group(&self) -> &str {
        match self {
            OffsetsKey::LegacyOffsetCommit(key) | OffsetsKey::OffsetCommit(key) => &key.group,
            OffsetsKey::GroupMetadata(key) => &key.group,
            OffsetsKey::Group { group, .. } => group,
        }
    }
}

fn decode_group_key(id: i16, reader: &mut Reader<'_>) -> Result<OffsetsKey, SchemaError> {
    let Some(record_type) = GroupRecordType::from_id(id) else {
        return Err(SchemaError::UnknownType {
            kind: "group record type",
            id: i32::from(id),
        });
    };
    let (group, part) = match record_type.form() {
        KeyForm::Group => (GroupMetadataKey::decode(reader, 0)?.group, None),
        KeyForm::GroupAndPart => {
            let key = GroupPartKey::decode(reader, 0)?;
            (key.group, Some(key.part))
        }
    };
    Ok(OffsetsKey::Group {
        record_type,
        group,
        part,
    })
}

/// The value of a record that does not delete its key.
#[derive(Debug, Clone, PartialEq)]
pub enum OffsetsValue {
    OffsetCommit(OffsetCommitValue),
    GroupMetadata(GroupMetadataValue),
    /// The undecoded value of an [`OffsetsKey::Group`], with its version in front.
    Group(Bytes),
}

/// One record of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetsRecord {
    pub key: OffsetsKey,
    /// Null deletes the key.
    pub value: Option<OffsetsValue>,
}

impl OffsetsRecord {
    /// Decodes key and value; see [`OffsetsKey::decode`]. Value versions of a later Kafka are
    /// [`SchemaError::UnsupportedVersion`].
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<OffsetsRecord, SchemaError> {
        let key = OffsetsKey::decode(key)?;
        let Some(value) = value else {
            return Ok(OffsetsRecord { key, value: None });
        };
        let value = match key {
            OffsetsKey::LegacyOffsetCommit(_) | OffsetsKey::OffsetCommit(_) => {
                OffsetsValue::OffsetCommit(OffsetCommitValue::decode_versioned(value)?.1)
            }
            OffsetsKey::GroupMetadata(_) => {
                OffsetsValue::GroupMetadata(GroupMetadataValue::decode_versioned(value)?.1)
            }
            OffsetsKey::Group { .. } => OffsetsValue::Group(Bytes::copy_from_slice(value)),
        };
        Ok(OffsetsRecord {
            key,
            value: Some(value),
        })
    }

    /// Key and value as Kafka 4.3 writes them.
    pub fn encode(&self) -> Result<(Vec<u8>, Option<Vec<u8>>), SchemaError> {
        let value = match &self.value {
            None => None,
            Some(OffsetsValue::OffsetCommit(value)) => {
                Some(value.encode_versioned(value.version_to_write())?)
            }
            Some(OffsetsValue::GroupMetadata(value)) => {
                Some(value.encode_versioned(GROUP_METADATA_VALUE_VERSION)?)
            }
            Some(OffsetsValue::Group(value)) => Some(value.to_vec()),
        };
        Ok((self.key.encode()?, value))
    }
}

#[cfg(test)]
mod tests;
