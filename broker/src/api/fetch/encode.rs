//! The bytes of a Fetch response, versions 4 to 18, with records left in their files.
//!
//! kafka-protocol's encoder would copy all records into one buffer. This one writes the fields
//! around them and hands file ranges over, so that the connection sends them with `sendfile`.
//! Small ranges are read and sent along with the fields, which costs fewer system calls.
//!
//! Layout of one partition (`T` a tagged field, omitted when it has its default):
//!
//! | field | versions |
//! | --- | --- |
//! | index i32, error i16, high watermark i64, last stable offset i64 | 4– |
//! | log start offset i64 | 5– |
//! | aborted transactions \[producer id i64, first offset i64\], nullable | 4– |
//! | preferred read replica i32 | 11– |
//! | records: i32 length, or unsigned varint of length + 1 | 4–11, 12– |
//! | `T0` diverging epoch (i32, i64), `T1` current leader (i32, i32) | 12– |
//!
//! Kafka: `FetchResponse.json` (4.3).

use std::io;
use std::os::unix::fs::FileExt as _;

use bytes::{BufMut, BytesMut};
use kafka_shared::error::ErrorCode;
use kafka_shared::types::Uuid;

use super::super::leader::NodeEndpoint;
use crate::log::FileSlice;
use crate::network::{FrameBuilder, ResponseFrame};
use crate::replica::fetch::{FetchedPartition, Records};
use crate::replica::fetch_session::{FetchKey, FetchTopic};

/// From this version on, lengths are varints and structs end in tagged fields.
const FIRST_FLEXIBLE: i16 = 12;
/// From this version on, topics go by their id.
const FIRST_TOPIC_ID: i16 = 13;
/// Ranges up to this size are read into the response instead of being sent from the file.
const INLINE_BYTES: usize = 8 * 1024;

/// A response without its records' bytes.
#[derive(Debug)]
pub(super) struct Response {
    pub error: ErrorCode,
    pub session_id: i32,
    /// Neighbours of the same topic go into one topic entry; the order is kept.
    pub partitions: Vec<(FetchKey, FetchedPartition)>,
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// Encodes header and body.
///
/// # Errors
/// When records that are to be read into the response can't be, or it does not fit a frame.
pub(super) fn encode(
    response: &Response,
    correlation_id: i32,
    version: i16,
) -> io::Result<ResponseFrame> {
    let is_flexible = version >= FIRST_FLEXIBLE;
    let mut frame = FrameBuilder::new(correlation_id, i16::from(is_flexible));
    let out = frame.buffer();
    out.put_i32(0);
    if version >= 7 {
        out.put_i16(response.error.0);
        out.put_i32(response.session_id);
    }
    let topics = response
        .partitions
        .chunk_by(|(a, _), (b, _)| a.topic == b.topic);
    put_array_len(out, topics.clone().count(), is_flexible);
    for partitions in topics {
        encode_topic(&mut frame, partitions, version)?;
    }
    if is_flexible {
        encode_node_endpoints(frame.buffer(), &response.node_endpoints, version);
    }
    frame.finish().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the response exceeds the size of a frame",
        )
    })
}

fn encode_topic(
    frame: &mut FrameBuilder,
    partitions: &[(FetchKey, FetchedPartition)],
    version: i16,
) -> io::Result<()> {
    let is_flexible = version >= FIRST_FLEXIBLE;
    let out = frame.buffer();
    let topic = partitions.first().map(|(key, _)| &key.topic);
    match (topic, version >= FIRST_TOPIC_ID) {
        (Some(FetchTopic::Id(id)), true) => out.put_slice(id.as_bytes()),
        (_, true) => out.put_slice(Uuid::nil().as_bytes()),
        (Some(FetchTopic::Name(name)), false) => put_string(out, name, is_flexible),
        (_, false) => put_string(out, "", is_flexible),
    }
    put_array_len(out, partitions.len(), is_flexible);
    for (key, partition) in partitions {
        encode_partition(frame, key.partition, partition, version)?;
    }
    if is_flexible {
        frame.buffer().put_u8(0);
    }
    Ok(())
}

fn encode_partition(
    frame: &mut FrameBuilder,
    index: i32,
    partition: &FetchedPartition,
    version: i16,
) -> io::Result<()> {
    let is_flexible = version >= FIRST_FLEXIBLE;
    let out = frame.buffer();
    out.put_i32(index);
    out.put_i16(partition.error.0);
    out.put_i64(partition.high_watermark);
    out.put_i64(partition.last_stable_offset);
    if version >= 5 {
        out.put_i64(partition.log_start_offset);
    }
    match (&partition.aborted_transactions, is_flexible) {
        (None, true) => out.put_u8(0),
        (None, false) => out.put_i32(-1),
        (Some(aborted), _) => {
            put_array_len(out, aborted.len(), is_flexible);
            for transaction in aborted {
                out.put_i64(transaction.producer_id);
                out.put_i64(transaction.first_offset);
                if is_flexible {
                    out.put_u8(0);
                }
            }
        }
    }
    if version >= 11 {
        out.put_i32(partition.preferred_read_replica);
    }
    let records_len = partition.records.size_in_bytes();
    put_array_len(out, records_len, is_flexible);
    match &partition.records {
        Records::Empty => {}
        Records::File(slice) => push_slice(frame, slice)?,
    }
    if is_flexible {
        encode_partition_tags(frame.buffer(), partition);
    }
    Ok(())
}

fn push_slice(frame: &mut FrameBuilder, slice: &FileSlice) -> io::Result<()> {
    if slice.len > INLINE_BYTES {
        frame.push_file(slice.file.clone(), slice.position, slice.len);
        return Ok(());
    }
    let out = frame.buffer();
    let start = out.len();
    out.resize(start + slice.len, 0);
    slice.file.read_exact_at(&mut out[start..], slice.position)
}

fn encode_partition_tags(out: &mut BytesMut, partition: &FetchedPartition) {
    let (diverging, leader) = (partition.diverging_epoch, partition.current_leader);
    out.put_u8(u8::from(diverging.is_some()) + u8::from(leader.is_some()));
    // Each tagged value is its tag, its size and the struct, which ends in no tagged fields.
    if let Some((epoch, end_offset)) = diverging {
        out.put_slice(&[0, 13]);
        out.put_i32(epoch);
        out.put_i64(end_offset);
        out.put_u8(0);
    }
    if let Some((leader_id, leader_epoch)) = leader {
        out.put_slice(&[1, 9]);
        out.put_i32(leader_id);
        out.put_i32(leader_epoch);
        out.put_u8(0);
    }
}

fn encode_node_endpoints(out: &mut BytesMut, endpoints: &[NodeEndpoint], version: i16) {
    if version < 16 || endpoints.is_empty() {
        out.put_u8(0);
        return;
    }
    let mut value = BytesMut::new();
    put_array_len(&mut value, endpoints.len(), true);
    for endpoint in endpoints {
        value.put_i32(endpoint.node_id);
        put_string(&mut value, &endpoint.host, true);
        value.put_i32(endpoint.port);
        match &endpoint.rack {
            Some(rack) => put_string(&mut value, rack, true),
            None => value.put_u8(0),
        }
        value.put_u8(0);
    }
    out.put_slice(&[1, 0]);
    put_unsigned_varint(out, value.len());
    out.put_slice(&value);
}

/// The length of an array, or of bytes, which have the same form.
fn put_array_len(out: &mut BytesMut, len: usize, is_flexible: bool) {
    if is_flexible {
        put_unsigned_varint(out, len + 1);
    } else {
        // Counts and record lengths are below 2³¹: they are bounded by the request's limits.
        out.put_i32(i32::try_from(len).unwrap_or(i32::MAX));
    }
}

fn put_string(out: &mut BytesMut, text: &str, is_flexible: bool) {
    if is_flexible {
        put_unsigned_varint(out, text.len() + 1);
    } else {
        // Topic names have at most 249 characters.
        out.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
    }
    out.put_slice(text.as_bytes());
}

fn put_unsigned_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use bytes::Bytes;
    use kafka_protocol::messages::fetch_response::{
        AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
    };
    use kafka_protocol::messages::{FetchResponse, TopicName, fetch_response};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    use super::*;
    use crate::log::AbortedTransaction as AbortedTxn;

    fn records(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 31 % 251) as u8).collect()
    }

    fn slice(position: usize, len: usize) -> Records {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&records(position + len)).unwrap();
        Records::File(FileSlice {
            file: Arc::new(file),
            position: position as u64,
            len,
        })
    }

    fn partition(records: Records) -> FetchedPartition {
        FetchedPartition {
            high_watermark: 12,
            last_stable_offset: 11,
            records,
            ..Default::default()
        }
    }

    fn key(version: i16, topic: u8, partition: i32) -> FetchKey {
        let topic = if version >= FIRST_TOPIC_ID {
            FetchTopic::Id(Uuid::from_u128(0xabcd_0000 + u128::from(topic)))
        } else {
            FetchTopic::Name(format!("topic-{topic}").into())
        };
        FetchKey { topic, partition }
    }

    /// What kafka-protocol makes of the same response.
    fn expected(response: &Response, version: i16) -> Vec<u8> {
        let topics = response
            .partitions
            .chunk_by(|(a, _), (b, _)| a.topic == b.topic)
            .map(|partitions| {
                let topic = FetchableTopicResponse::default().with_partitions(
                    partitions
                        .iter()
                        .map(|(k, p)| partition_data(k, p))
                        .collect(),
                );
                match &partitions[0].0.topic {
                    FetchTopic::Id(id) => topic.with_topic_id(*id),
                    FetchTopic::Name(name) => {
                        topic.with_topic(TopicName(StrBytes::from_string(name.to_string())))
                    }
                }
            })
            .collect();
        let endpoints = response
            .node_endpoints
            .iter()
            .filter(|_| version >= 16)
            .map(|node| {
                fetch_response::NodeEndpoint::default()
                    .with_node_id(node.node_id.into())
                    .with_host(StrBytes::from_string(node.host.clone()))
                    .with_port(node.port)
                    .with_rack(node.rack.clone().map(StrBytes::from_string))
            });
        let mut out = Vec::new();
        FetchResponse::default()
            .with_error_code(response.error.0)
            .with_session_id(response.session_id)
            .with_responses(topics)
            .with_node_endpoints(endpoints.collect())
            .encode(&mut out, version)
            .unwrap();
        out
    }

    fn partition_data(key: &FetchKey, partition: &FetchedPartition) -> PartitionData {
        let records = match &partition.records {
            Records::Empty => Bytes::new(),
            Records::File(slice) => slice.read().unwrap(),
        };
        let aborted = partition.aborted_transactions.as_ref().map(|aborted| {
            let one = |t: &AbortedTxn| {
                AbortedTransaction::default()
                    .with_producer_id(t.producer_id.into())
                    .with_first_offset(t.first_offset)
            };
            aborted.iter().map(one).collect()
        });
        let mut data = PartitionData::default()
            .with_partition_index(key.partition)
            .with_error_code(partition.error.0)
            .with_high_watermark(partition.high_watermark)
            .with_last_stable_offset(partition.last_stable_offset)
            .with_log_start_offset(partition.log_start_offset)
            .with_aborted_transactions(aborted)
            .with_preferred_read_replica(partition.preferred_read_replica.into())
            .with_records(Some(records));
        if let Some((epoch, end_offset)) = partition.diverging_epoch {
            data.diverging_epoch = EpochEndOffset::default()
                .with_epoch(epoch)
                .with_end_offset(end_offset);
        }
        if let Some((id, epoch)) = partition.current_leader {
            data.current_leader = LeaderIdAndEpoch::default()
                .with_leader_id(id.into())
                .with_leader_epoch(epoch);
        }
        data
    }

    #[track_caller]
    fn check(response: &Response, version: i16) {
        let frame = encode(response, 77, version).unwrap().to_bytes().unwrap();
        let header_len = if version >= FIRST_FLEXIBLE { 9 } else { 8 };
        let size = i32::from_be_bytes(frame[..4].try_into().unwrap());
        assert_eq!(
            size as usize,
            frame.len() - 4,
            "size prefix at version {version}"
        );
        assert_eq!(frame[4..8], 77i32.to_be_bytes());
        assert!(
            frame[header_len..] == expected(response, version)[..],
            "bodies differ at version {version}"
        );
    }

    /// A response that has something in every field which the version knows.
    fn full(version: i16) -> Response {
        let leads = version >= FIRST_FLEXIBLE;
        let mut moved = partition(Records::Empty);
        moved.error = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        moved.current_leader = leads.then_some((3, 9));
        let mut diverged = partition(Records::Empty);
        diverged.diverging_epoch = leads.then_some((5, 1 << 40));
        diverged.current_leader = leads.then_some((1, 2));
        let mut committed = partition(slice(100, 300));
        committed.aborted_transactions = Some(
            (0..200)
                .map(|i| AbortedTxn {
                    producer_id: i,
                    first_offset: 1000 + i,
                    last_offset: 5000,
                    last_stable_offset: 900,
                })
                .collect(),
        );
        committed.preferred_read_replica = if version >= 11 { 4 } else { -1 };
        committed.log_start_offset = 6;
        let mut empty_aborted = partition(slice(5, INLINE_BYTES + 1));
        empty_aborted.aborted_transactions = Some(Vec::new());
        Response {
            error: if version >= 7 {
                ErrorCode::UNKNOWN_SERVER_ERROR
            } else {
                ErrorCode::NONE
            },
            session_id: if version >= 7 { 123_456 } else { 0 },
            partitions: vec![
                (key(version, 1, 0), partition(slice(0, 200_000))),
                (key(version, 1, 7), committed),
                (key(version, 2, 1), moved),
                (key(version, 1, 9), diverged),
                (key(version, 1, 2), empty_aborted),
                (
                    key(version, 3, 2),
                    FetchedPartition::of_error(ErrorCode::UNKNOWN_TOPIC_ID),
                ),
            ],
            node_endpoints: vec![
                NodeEndpoint {
                    node_id: 3,
                    host: "kafka3".into(),
                    port: 9092,
                    rack: None,
                },
                NodeEndpoint {
                    node_id: 1,
                    host: "a".repeat(200),
                    port: 1,
                    rack: Some("rack".into()),
                },
            ],
        }
    }

    #[test]
    fn every_version_has_the_bytes_of_the_reference_encoder() {
        for version in 4..=18 {
            check(&full(version), version);
            let empty = Response {
                error: ErrorCode::NONE,
                session_id: 0,
                partitions: Vec::new(),
                node_endpoints: Vec::new(),
            };
            check(&empty, version);
        }
    }

    #[test]
    fn lengths_around_the_steps_of_a_varint_are_right() {
        for len in [
            1, 126, 127, 128, 16_382, 16_383, 16_384, 2_097_151, 2_097_152,
        ] {
            let response = Response {
                error: ErrorCode::NONE,
                session_id: 1,
                partitions: vec![(key(13, 1, 0), partition(slice(3, len)))],
                node_endpoints: Vec::new(),
            };
            check(&response, 13);
        }
    }

    #[test]
    fn large_ranges_stay_in_their_file_and_small_ones_travel_with_the_fields() {
        let of = |len| {
            let partitions = vec![(key(13, 1, 0), partition(slice(0, len)))];
            let response = Response {
                error: ErrorCode::NONE,
                session_id: 1,
                partitions,
                node_endpoints: vec![],
            };
            encode(&response, 1, 13).unwrap().segments().len()
        };
        assert_eq!((of(INLINE_BYTES), of(INLINE_BYTES + 1)), (1, 3));
    }

    #[test]
    fn a_range_that_its_file_lacks_is_an_error() {
        let Records::File(mut short) = slice(0, 10) else {
            unreachable!()
        };
        short.len = 11;
        let partitions = vec![(key(13, 1, 0), partition(Records::File(short)))];
        let response = Response {
            error: ErrorCode::NONE,
            session_id: 1,
            partitions,
            node_endpoints: vec![],
        };
        assert!(encode(&response, 1, 13).is_err());
    }
}
