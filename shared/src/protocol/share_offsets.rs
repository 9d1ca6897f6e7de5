//! The answer to DescribeShareGroupOffsets, of which kafka-protocol lacks the lag of version 1
//! (KIP-1226).
//!
//! Kafka: `DescribeShareGroupOffsetsResponse.json` (4.3).

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, DescribeShareGroupOffsetsRequest};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::codec::{self, Body, Malformed};
use super::shape::Direction;
use super::wire::{self, Reader, WireError};

/// The answer: the groups that were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeShareGroupOffsetsResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<ShareGroupOffsets>,
}

/// One group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShareGroupOffsets {
    pub group_id: StrBytes,
    pub topics: Vec<ShareTopicOffsets>,
    pub error_code: i16,
    pub error_message: Option<StrBytes>,
}

/// One topic of a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShareTopicOffsets {
    pub topic_name: StrBytes,
    pub topic_id: Uuid,
    pub partitions: Vec<SharePartitionOffset>,
}

/// One partition of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct SharePartitionOffset {
    pub partition_index: i32,
    /// Everything before it is done with; -1 while the group has not begun to read it.
    pub start_offset: i64,
    pub leader_epoch: i32,
    /// Records that wait, -1 where it is not known; since version 1.
    pub lag: i64,
    pub error_code: i16,
    pub error_message: Option<StrBytes>,
}

impl Default for SharePartitionOffset {
    fn default() -> SharePartitionOffset {
        SharePartitionOffset {
            partition_index: 0,
            start_offset: 0,
            leader_epoch: 0,
            lag: -1,
            error_code: 0,
            error_message: None,
        }
    }
}

impl Body for DescribeShareGroupOffsetsRequest {
    const KEY: ApiKey = ApiKey::DescribeShareGroupOffsets;
    const DIRECTION: Direction = Direction::Request;
    const VERSIONS: (i16, i16) = (0, 1);

    fn write(&self, _version: i16, buffer: &mut BytesMut) -> Result<(), String> {
        codec::write_generated(self, 0, buffer)
    }

    fn read(_version: i16, bytes: &mut Bytes) -> Result<Self, Malformed> {
        codec::read_generated(0, bytes)
    }
}

impl Body for DescribeShareGroupOffsetsResponse {
    const KEY: ApiKey = ApiKey::DescribeShareGroupOffsets;
    const DIRECTION: Direction = Direction::Response;
    const VERSIONS: (i16, i16) = (0, 1);

    fn write(&self, version: i16, buffer: &mut BytesMut) -> Result<(), String> {
        buffer.put_i32(self.throttle_time_ms);
        wire::put_compact_array(buffer, &self.groups, |group, buffer| {
            wire::put_compact_string(buffer, &group.group_id)?;
            wire::put_compact_array(buffer, &group.topics, |topic, buffer| {
                wire::put_compact_string(buffer, &topic.topic_name)?;
                buffer.put_u128(topic.topic_id.as_u128());
                wire::put_compact_array(buffer, &topic.partitions, |partition, buffer| {
                    write_partition(partition, version, buffer)
                })?;
                wire::put_uvarint(buffer, 0);
                Ok::<_, WireError>(())
            })?;
            buffer.put_i16(group.error_code);
            wire::put_compact_nullable_string(buffer, group.error_message.as_deref())?;
            wire::put_uvarint(buffer, 0);
            Ok::<_, WireError>(())
        })
        .map_err(|error| error.to_string())?;
        wire::put_uvarint(buffer, 0);
        Ok(())
    }

    fn read(version: i16, bytes: &mut Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let response = DescribeShareGroupOffsetsResponse {
            throttle_time_ms: reader.int32()?,
            groups: reader.compact_array(|reader| read_group(reader, version))?,
        };
        reader.skip_tagged_fields()?;
        Ok(response)
    }
}

fn write_partition(
    partition: &SharePartitionOffset,
    version: i16,
    buffer: &mut BytesMut,
) -> Result<(), WireError> {
    buffer.put_i32(partition.partition_index);
    buffer.put_i64(partition.start_offset);
    buffer.put_i32(partition.leader_epoch);
    // An older client does without it.
    if version >= 1 {
        buffer.put_i64(partition.lag);
    }
    buffer.put_i16(partition.error_code);
    wire::put_compact_nullable_string(buffer, partition.error_message.as_deref())?;
    wire::put_uvarint(buffer, 0);
    Ok(())
}

fn read_group(reader: &mut Reader<'_>, version: i16) -> Result<ShareGroupOffsets, WireError> {
    let group = ShareGroupOffsets {
        group_id: reader.compact_string()?,
        topics: reader.compact_array(|reader| read_topic(reader, version))?,
        error_code: reader.int16()?,
        error_message: reader.compact_nullable_string()?,
    };
    reader.skip_tagged_fields()?;
    Ok(group)
}

fn read_topic(reader: &mut Reader<'_>, version: i16) -> Result<ShareTopicOffsets, WireError> {
    let topic = ShareTopicOffsets {
        topic_name: reader.compact_string()?,
        topic_id: reader.uuid()?,
        partitions: reader.compact_array(|reader| read_partition(reader, version))?,
    };
    reader.skip_tagged_fields()?;
    Ok(topic)
}

fn read_partition(
    reader: &mut Reader<'_>,
    version: i16,
) -> Result<SharePartitionOffset, WireError> {
    let partition = SharePartitionOffset {
        partition_index: reader.int32()?,
        start_offset: reader.int64()?,
        leader_epoch: reader.int32()?,
        lag: if version >= 1 { reader.int64()? } else { -1 },
        error_code: reader.int16()?,
        error_message: reader.compact_nullable_string()?,
    };
    reader.skip_tagged_fields()?;
    Ok(partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_of_version_1_and_not_known_before() {
        let partition = SharePartitionOffset {
            partition_index: 1,
            start_offset: 5,
            lag: 7,
            ..SharePartitionOffset::default()
        };
        let topic = ShareTopicOffsets {
            topic_name: StrBytes::from_static_str("t"),
            topic_id: Uuid::from_u128(9),
            partitions: vec![partition],
        };
        let response = DescribeShareGroupOffsetsResponse {
            throttle_time_ms: 0,
            groups: vec![ShareGroupOffsets {
                group_id: StrBytes::from_static_str("g"),
                topics: vec![topic],
                error_code: 0,
                error_message: None,
            }],
        };
        for (version, lag) in [(0, -1), (1, 7)] {
            let mut buffer = BytesMut::new();
            codec::encode_response(&response, version, &mut buffer).unwrap();
            let mut bytes = buffer.freeze();
            let read: DescribeShareGroupOffsetsResponse =
                codec::decode_response(&mut bytes, version).unwrap();
            assert_eq!(read.groups[0].topics[0].partitions[0].lag, lag, "{version}");
            assert_eq!(&*read.groups[0].topics[0].topic_name, "t");
        }
    }
}
