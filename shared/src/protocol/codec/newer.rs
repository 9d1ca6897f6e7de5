//! Versions of Kafka 4.3 whose fields kafka-protocol 0.18 has, but whose numbers it refuses.
//!
//! ListOffsets 11 has the layout of version 10 and means one more special timestamp, and the answer
//! to AddRaftVoter 1 is that to version 0. OffsetCommit
//! 10 and OffsetFetch 10 name topics by id (KIP-848): here the outer structs are written out, and
//! the parts that did not change are left to the generated code at version 9.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    AddRaftVoterResponse, ApiKey, BrokerHeartbeatRequest, BrokerHeartbeatResponse,
    DescribeLogDirsRequest, GroupId, ListOffsetsRequest, ListOffsetsResponse, OffsetCommitRequest,
    OffsetFetchRequest,
};

use super::{Body, Direction, Malformed, read_generated, write_generated};
use crate::protocol::wire::{self, Failure, Reader, WireError};

/// Declares a body that is coded by kafka-protocol up to `$known` and has the same layout in the
/// versions after it, up to `$last`.
macro_rules! same_layout {
    ($key:ident, $direction:ident, $body:ty, $first:literal, $known:literal, $last:literal) => {
        impl Body for $body {
            const KEY: ApiKey = ApiKey::$key;
            const DIRECTION: Direction = Direction::$direction;
            const VERSIONS: (i16, i16) = ($first, $last);

            fn write(&self, version: i16, buffer: &mut BytesMut) -> Result<(), String> {
                write_generated(self, version.min($known), buffer)
            }

            fn read(version: i16, bytes: &mut Bytes) -> Result<Self, Malformed> {
                read_generated(version.min($known), bytes)
            }
        }
    };
}

same_layout!(ListOffsets, Request, ListOffsetsRequest, 1, 10, 11);
same_layout!(ListOffsets, Response, ListOffsetsResponse, 1, 10, 11);
same_layout!(DescribeLogDirs, Request, DescribeLogDirsRequest, 1, 4, 5);
// What version 2 adds is a tagged field, which the struct keeps as an unknown one.
same_layout!(BrokerHeartbeat, Request, BrokerHeartbeatRequest, 0, 1, 2);
same_layout!(BrokerHeartbeat, Response, BrokerHeartbeatResponse, 0, 1, 2);
same_layout!(AddRaftVoter, Response, AddRaftVoterResponse, 0, 0, 1);

/// The newest version of OffsetCommit and OffsetFetch that names topics by name.
const LAST_WITH_NAMES: i16 = 9;

impl Body for OffsetCommitRequest {
    const KEY: ApiKey = ApiKey::OffsetCommit;
    const DIRECTION: Direction = Direction::Request;
    const VERSIONS: (i16, i16) = (2, 10);

    fn write(&self, version: i16, buffer: &mut BytesMut) -> Result<(), String> {
        if version <= LAST_WITH_NAMES {
            return write_generated(self, version, buffer);
        }
        let text = |error: WireError| error.to_string();
        wire::put_compact_string(buffer, &self.group_id).map_err(text)?;
        buffer.put_i32(self.generation_id_or_member_epoch);
        wire::put_compact_string(buffer, &self.member_id).map_err(text)?;
        let instance_id = self.group_instance_id.as_deref();
        wire::put_compact_nullable_string(buffer, instance_id).map_err(text)?;
        wire::put_compact_array(buffer, &self.topics, |topic, buffer| {
            buffer.put_u128(topic.topic_id.as_u128());
            wire::put_compact_array(buffer, &topic.partitions, |partition, buffer| {
                write_generated(partition, LAST_WITH_NAMES, buffer).map_err(Failure)
            })?;
            wire::put_uvarint(buffer, 0);
            Ok(())
        })
        .map_err(|Failure(text)| text)?;
        wire::put_uvarint(buffer, 0);
        Ok(())
    }

    fn read(version: i16, bytes: &mut Bytes) -> Result<Self, Malformed> {
        if version <= LAST_WITH_NAMES {
            return read_generated(version, bytes);
        }
        let mut reader = Reader::new(bytes);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(reader.compact_string()?))
            .with_generation_id_or_member_epoch(reader.int32()?)
            .with_member_id(reader.compact_string()?)
            .with_group_instance_id(reader.compact_nullable_string()?)
            .with_topics(reader.compact_array(read_commit_topic)?);
        reader.skip_tagged_fields()?;
        Ok(request)
    }
}

fn read_commit_topic(reader: &mut Reader<'_>) -> Result<OffsetCommitRequestTopic, Malformed> {
    let topic_id = reader.uuid()?;
    let partitions = reader.compact_array(|reader| {
        read_generated::<OffsetCommitRequestPartition>(LAST_WITH_NAMES, reader.rest())
    })?;
    reader.skip_tagged_fields()?;
    Ok(OffsetCommitRequestTopic::default()
        .with_topic_id(topic_id)
        .with_partitions(partitions))
}

impl Body for OffsetFetchRequest {
    const KEY: ApiKey = ApiKey::OffsetFetch;
    const DIRECTION: Direction = Direction::Request;
    const VERSIONS: (i16, i16) = (1, 10);

    fn write(&self, version: i16, buffer: &mut BytesMut) -> Result<(), String> {
        if version <= LAST_WITH_NAMES {
            return write_generated(self, version, buffer);
        }
        wire::put_compact_array(buffer, &self.groups, write_fetch_group)
            .map_err(|error| error.to_string())?;
        buffer.put_u8(u8::from(self.require_stable));
        wire::put_uvarint(buffer, 0);
        Ok(())
    }

    fn read(version: i16, bytes: &mut Bytes) -> Result<Self, Malformed> {
        if version <= LAST_WITH_NAMES {
            return read_generated(version, bytes);
        }
        let mut reader = Reader::new(bytes);
        let request = OffsetFetchRequest::default()
            .with_groups(reader.compact_array(read_fetch_group)?)
            .with_require_stable(reader.bool()?);
        reader.skip_tagged_fields()?;
        Ok(request)
    }
}

fn write_fetch_group(
    group: &OffsetFetchRequestGroup,
    buffer: &mut BytesMut,
) -> Result<(), WireError> {
    wire::put_compact_string(buffer, &group.group_id)?;
    wire::put_compact_nullable_string(buffer, group.member_id.as_deref())?;
    buffer.put_i32(group.member_epoch);
    match &group.topics {
        None => wire::put_uvarint(buffer, 0),
        Some(topics) => wire::put_compact_array(buffer, topics, |topic, buffer| {
            buffer.put_u128(topic.topic_id.as_u128());
            wire::put_compact_array(buffer, &topic.partition_indexes, |partition, buffer| {
                buffer.put_i32(*partition);
                Ok::<_, WireError>(())
            })?;
            wire::put_uvarint(buffer, 0);
            Ok::<_, WireError>(())
        })?,
    }
    wire::put_uvarint(buffer, 0);
    Ok(())
}

fn read_fetch_group(reader: &mut Reader<'_>) -> Result<OffsetFetchRequestGroup, WireError> {
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(reader.compact_string()?))
        .with_member_id(reader.compact_nullable_string()?)
        .with_member_epoch(reader.int32()?)
        .with_topics(reader.compact_nullable_array(read_fetch_topic)?);
    reader.skip_tagged_fields()?;
    Ok(group)
}

fn read_fetch_topic(reader: &mut Reader<'_>) -> Result<OffsetFetchRequestTopics, WireError> {
    let topic = OffsetFetchRequestTopics::default()
        .with_topic_id(reader.uuid()?)
        .with_partition_indexes(reader.compact_array(|reader| reader.int32())?);
    reader.skip_tagged_fields()?;
    Ok(topic)
}
