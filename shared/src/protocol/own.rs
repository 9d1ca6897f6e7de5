//! APIs that kafka-protocol 0.18, which is of Kafka 4.1, does not know: their messages are declared
//! by [`schema!`](crate::schema), at the one version that they have, which is flexible.
//!
//! Only requests that change nothing are spoken so: whoever sends a change asks for its API first
//! ([`api::is_read_only`](super::api::is_read_only)). As with every other response, the bytes are
//! walked along their layout before anything is decoded.

use bytes::{BufMut, BytesMut};

use super::frame::LENGTH_BYTES;
use super::header;
use super::shape::OwnLayout;
use crate::schema::{Reader, Schema};

/// The version of all these messages.
pub const VERSION: i16 = 0;

/// Keys of Kafka 4.3 that kafka-protocol lacks: StreamsGroupHeartbeat and StreamsGroupDescribe.
const KEYS: [i16; 2] = [88, 89];

/// Whether the headers of this API have tagged fields, though its key is not one of
/// kafka-protocol's.
pub(super) fn is_flexible(key: i16) -> bool {
    KEYS.contains(&key)
}

/// A request that changes nothing, which knows its response.
pub trait OwnRequest: Schema + Send + Sync {
    const KEY: i16;
    type Response: OwnResponse;
}

/// A response.
pub trait OwnResponse: Schema {
    fn layout() -> &'static OwnLayout;
}

/// A whole request as it goes over the wire: length, header, body.
///
/// # Errors
/// A text or the whole is too long.
pub(crate) fn encode_request_frame<R: OwnRequest>(
    request: &R,
    client_id: Option<&str>,
) -> Result<BytesMut, String> {
    let mut frame = BytesMut::with_capacity(256);
    frame.put_i32(0);
    header::encode_request_header_of(R::KEY, VERSION, 0, client_id, &mut frame)
        .map_err(|error| error.to_string())?;
    let mut body = Vec::new();
    let encoded = request.encode(&mut body, VERSION);
    encoded.map_err(|error| error.to_string())?;
    frame.extend_from_slice(&body);
    let length = i32::try_from(frame.len() - LENGTH_BYTES)
        .map_err(|_| "it is longer than a frame can be".to_owned())?;
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// Reads the body of a response.
///
/// # Errors
/// Bytes that are no such response.
pub(crate) fn decode_response<B: OwnResponse>(body: &[u8]) -> Result<B, String> {
    let checked = B::layout().check_response(body);
    checked.map_err(|error| format!("{} is malformed: {error}", B::NAME))?;
    let decoded = B::decode(&mut Reader::new(body), VERSION);
    decoded.map_err(|error| format!("{} is malformed: {error}", B::NAME))
}

#[cfg(test)]
mod tests {
    use super::super::streams_groups::*;
    use super::*;

    fn tasks(id: &str, partitions: &[i32]) -> Vec<TaskIds> {
        vec![TaskIds {
            subtopology_id: id.to_owned(),
            partitions: partitions.to_vec(),
        }]
    }

    fn response() -> StreamsGroupDescribeResponse {
        let internal = TopicInfo {
            name: "app-store-changelog".to_owned(),
            topic_configs: vec![KeyValue {
                key: "cleanup.policy".to_owned(),
                value: "compact".to_owned(),
            }],
            ..TopicInfo::default()
        };
        let topology = Topology {
            epoch: 0,
            subtopologies: Some(vec![Subtopology {
                subtopology_id: "0".to_owned(),
                source_topics: vec!["in".to_owned()],
                state_changelog_topics: vec![internal],
                ..Subtopology::default()
            }]),
        };
        let member = StreamsMember {
            member_id: "m".to_owned(),
            member_epoch: 3,
            client_id: "app-1".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            process_id: "p".to_owned(),
            user_endpoint: Some(Endpoint {
                host: "h".to_owned(),
                port: 65_000,
            }),
            assignment: Assignment {
                active_tasks: tasks("0", &[0, 2]),
                warmup_tasks: tasks("0", &[1]),
                ..Assignment::default()
            },
            target_assignment: Assignment {
                active_tasks: tasks("0", &[0]),
                ..Assignment::default()
            },
            ..StreamsMember::default()
        };
        let group = |topology, members| StreamsDescribedGroup {
            group_id: "app".to_owned(),
            group_state: "Reconciling".to_owned(),
            group_epoch: 4,
            assignment_epoch: 3,
            topology,
            members,
            ..StreamsDescribedGroup::default()
        };
        StreamsGroupDescribeResponse {
            throttle_time_ms: 0,
            groups: vec![group(Some(topology), vec![member]), group(None, vec![])],
        }
    }

    #[test]
    fn a_description_of_a_streams_group_is_read_as_written() {
        let mut bytes = Vec::new();
        response().encode(&mut bytes, VERSION).unwrap();
        assert_eq!(decode_response(&bytes), Ok(response()));
        // The layout that guards it is of exactly these bytes.
        let layout = StreamsGroupDescribeResponse::layout();
        assert_eq!(layout.check_response(&bytes), Ok(bytes.len()));
    }

    #[test]
    fn bytes_that_are_cut_or_hostile_are_refused() {
        let mut bytes = Vec::new();
        response().encode(&mut bytes, VERSION).unwrap();
        for length in 0..bytes.len() {
            let read = decode_response::<StreamsGroupDescribeResponse>(&bytes[..length]);
            assert!(read.is_err(), "{length} bytes");
        }
        let hostile = [0, 0, 0, 0, 255, 255, 255, 255, 15];
        assert!(decode_response::<StreamsGroupDescribeResponse>(&hostile).is_err());
    }

    #[test]
    fn a_request_has_the_header_of_a_flexible_version() {
        let request = StreamsGroupDescribeRequest {
            group_ids: vec!["g".to_owned()],
            include_authorized_operations: false,
        };
        let frame = encode_request_frame(&request, Some("c")).unwrap();
        let expected = [
            &[0, 0, 0, 17, 0, 89, 0, 0, 0, 0, 0, 0, 0, 1, b'c', 0][..],
            &[2, 2, b'g', 0, 0],
        ];
        assert_eq!(frame[..], expected.concat()[..]);
    }
}
