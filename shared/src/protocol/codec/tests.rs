//! Tests of the codec, for every API in every version.

use proptest::prelude::*;

use super::*;
use crate::protocol::shape::tests::{Random, some_message};
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsTopic,
};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::protocol::messages::DescribeLogDirsResult;

/// Something to be done with every API's request type.
pub(super) trait Visit {
    fn api<R: Request>(&mut self);
}

/// Something to be done with every message in every version.
trait VisitBody {
    fn body<B: Body>(&mut self, version: i16);
}

struct EachBody<'a, V>(&'a mut V);

impl<V: VisitBody> Visit for EachBody<'_, V> {
    fn api<R: Request>(&mut self) {
        for version in versions(R::KEY) {
            self.0.body::<R>(version);
            self.0.body::<R::Response>(version);
        }
    }
}

fn each_body(visit: &mut impl VisitBody) {
    each_api(&mut EachBody(visit));
}

fn encoded<B: Body>(body: &B, version: i16) -> BytesMut {
    let mut buffer = BytesMut::new();
    encode(body, version, &mut buffer)
        .unwrap_or_else(|error| panic!("{error} ({:?})", B::DIRECTION));
    buffer
}

#[test]
fn every_api_is_there_once_and_under_its_own_key() {
    struct Keys(Vec<ApiKey>);
    impl Visit for Keys {
        fn api<R: Request>(&mut self) {
            assert_eq!(
                (R::KEY, R::DIRECTION),
                (<R::Response>::KEY, Direction::Request)
            );
            assert_eq!(<R::Response>::DIRECTION, Direction::Response);
            self.0.push(R::KEY);
        }
    }
    let mut keys = Keys(Vec::new());
    each_api(&mut keys);
    keys.0.sort_by_key(|key| *key as i16);
    assert_eq!(keys.0, ApiKey::iter().collect::<Vec<_>>());
}

/// Every version that is claimed works, with empty messages.
#[test]
fn empty_messages_survive_the_round_trip_in_every_version() {
    struct Defaults;
    impl VisitBody for Defaults {
        fn body<B: Body>(&mut self, version: i16) {
            let mut bytes = encoded(&B::default(), version).freeze();
            let case = format!("{:?} {:?} {version} {bytes:02x?}", B::KEY, B::DIRECTION);
            let read = decode::<B>(&mut bytes, version).unwrap_or_else(|e| panic!("{e} {case}"));
            assert!(bytes.is_empty(), "{case}");
            assert_eq!(
                encoded(&read, version),
                encoded(&B::default(), version),
                "{case}"
            );
        }
    }
    each_body(&mut Defaults);
}

/// The layouts and the decoders agree: what the walk lets pass is read to its last byte, comes out
/// of the encoder in a form that the walk lets pass, and is read from it as the same.
#[test]
fn generated_messages_survive_the_round_trip_in_every_version() {
    struct Generated(Random);
    impl VisitBody for Generated {
        fn body<B: Body>(&mut self, version: i16) {
            for _ in 0..12 {
                let bytes = some_message(B::KEY, B::DIRECTION, version, &mut self.0).freeze();
                let case = format!("{:?} {:?} {version} {bytes:02x?}", B::KEY, B::DIRECTION);
                let mut rest = bytes.clone();
                let read = decode::<B>(&mut rest, version);
                let read = read.unwrap_or_else(|error| panic!("{error} {case}"));
                assert!(rest.is_empty(), "{case}");
                let mut again = encoded(&read, version).freeze();
                assert_eq!(decode::<B>(&mut again, version), Ok(read), "{case}");
                assert!(again.is_empty(), "{case}");
            }
        }
    }
    each_body(&mut Generated(Random(7)));
}

#[test]
fn versions_that_are_not_claimed_are_refused_both_ways() {
    struct Outside;
    impl Visit for Outside {
        fn api<R: Request>(&mut self) {
            let key = R::KEY;
            let versions = versions(key);
            assert!(!versions.is_empty(), "{key:?}");
            for version in [versions.start() - 1, versions.end() + 1, i16::MIN, i16::MAX] {
                let mut bytes = Bytes::from_static(&[0; 64]);
                let expected = DecodeError::UnsupportedVersion { key, version };
                assert_eq!(
                    decode_request::<R>(&mut bytes, version),
                    Err(expected.clone())
                );
                let result = decode_response::<R::Response>(&mut bytes, version);
                assert_eq!(result, Err(expected));
                let mut buffer = BytesMut::from("kept");
                assert!(encode_request(&R::default(), version, &mut buffer).is_err());
                assert!(encode_response(&<R::Response>::default(), version, &mut buffer).is_err());
                assert_eq!(buffer, "kept");
            }
        }
    }
    each_api(&mut Outside);
}

/// Overwrites every place of a message with lengths that nobody has the memory for.
#[test]
fn no_length_in_any_place_takes_memory() {
    struct Hostile(Random);
    impl VisitBody for Hostile {
        fn body<B: Body>(&mut self, version: i16) {
            let bytes = some_message(B::KEY, B::DIRECTION, version, &mut self.0);
            let lengths: [&[u8]; 4] = [
                &[0x7f, 0xff, 0xff, 0xff],
                &[0xff, 0xff, 0xff, 0xff, 0x0f],
                &[0x7f, 0xff],
                &[0xff],
            ];
            for at in 0..bytes.len() {
                for length in lengths {
                    let end = bytes.len().min(at + length.len());
                    let hostile = [&bytes[..at], length, &bytes[end..]].concat();
                    // Whether it is still a message doesn't matter; the process lives.
                    let _ = decode::<B>(&mut Bytes::from(hostile), version);
                }
            }
        }
    }
    each_body(&mut Hostile(Random(3)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_bytes_never_panic(noise in prop::collection::vec(any::<u8>(), 0..200), low: u8) {
        struct Noise(Vec<u8>);
        impl VisitBody for Noise {
            fn body<B: Body>(&mut self, version: i16) {
                let _ = decode::<B>(&mut Bytes::copy_from_slice(&self.0), version);
            }
        }
        // Small bytes look like short lengths and get deeper into a message.
        let quiet = noise.iter().map(|byte| byte % (low % 8 + 1)).collect();
        each_body(&mut Noise(noise));
        each_body(&mut Noise(quiet));
    }

    #[test]
    fn damaged_messages_never_panic(seed: u64) {
        struct Damaged(Random);
        impl VisitBody for Damaged {
            fn body<B: Body>(&mut self, version: i16) {
                let mut bytes = some_message(B::KEY, B::DIRECTION, version, &mut self.0);
                if !bytes.is_empty() {
                    let at = self.0.below(bytes.len() as u64) as usize;
                    bytes[at] = self.0.below(256) as u8;
                }
                let mut bytes = bytes.freeze();
                let length = bytes.len();
                let walked = shape::check(B::KEY, B::DIRECTION, version, &bytes).unwrap();
                if decode::<B>(&mut bytes, version).is_ok() {
                    assert_eq!(walked, Ok(length - bytes.len()), "walk and decoder part ways");
                }
            }
        }
        each_body(&mut Damaged(Random(seed)));
    }
}

#[test]
fn bytes_after_a_request_are_left_in_the_buffer() {
    let mut bytes = Bytes::from_static(&[1, 0, 0, 0, 0, b'x', b'y']);
    let request: MetadataRequest = decode_request(&mut bytes, 9).unwrap();
    assert_eq!(request.topics, Some(Vec::new()));
    assert_eq!(bytes, "xy");
}

#[test]
fn a_frame_is_length_header_and_body() {
    let request = ListGroupsRequest::default();
    let frame = encode_request_frame(&request, 0, 258, Some("me")).unwrap();
    assert_eq!(
        frame[..],
        [0, 0, 0, 12, 0, 16, 0, 0, 0, 0, 1, 2, 0, 2, b'm', b'e']
    );
    let frame = encode_request_frame(&request, 3, 258, None).unwrap();
    assert_eq!(
        frame[..],
        [0, 0, 0, 12, 0, 16, 0, 3, 0, 0, 1, 2, 0xff, 0xff, 0, 0]
    );
    let refused = ApiVersionsResponse::default().with_error_code(35);
    let frame = encode_response_frame(&refused, 0, 1).unwrap();
    assert_eq!(frame[..], [0, 0, 0, 10, 0, 0, 0, 1, 0, 35, 0, 0, 0, 0]);
    let newest = encode_response_frame(&ApiVersionsResponse::default(), 4, 1).unwrap();
    assert_eq!(
        newest[4..11],
        [0, 0, 0, 1, 0, 0, 1],
        "its header is the oldest in every version"
    );
}

const TOPIC_ID: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

#[test]
fn offset_commit_10_names_topics_by_id() {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(3)
        .with_committed_offset(5)
        .with_committed_leader_epoch(2)
        .with_committed_metadata(Some(text("m")));
    let topic = OffsetCommitRequestTopic::default().with_topic_id(TOPIC_ID);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id_or_member_epoch(7)
        .with_member_id(text("me"))
        .with_topics(vec![topic.with_partitions(vec![partition])]);
    let expected = [
        &[2, b'g', 0, 0, 0, 7, 3, b'm', b'e', 0, 2][..],
        TOPIC_ID.as_bytes(),
        &[
            2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, 2, b'm', 0, 0, 0,
        ],
    ]
    .concat();
    let bytes = encoded(&request, 10);
    assert_eq!(bytes[..], expected);
    assert_eq!(decode_request(&mut bytes.freeze(), 10), Ok(request));
}

#[test]
fn offset_fetch_10_names_topics_by_id_or_asks_for_all() {
    let topic = OffsetFetchRequestTopics::default()
        .with_topic_id(TOPIC_ID)
        .with_partition_indexes(vec![1, 2]);
    let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text("g")));
    let all = group
        .clone()
        .with_topics(None)
        .with_member_id(Some(text("m")))
        .with_member_epoch(9);
    let request = OffsetFetchRequest::default()
        .with_groups(vec![
            group.with_member_id(None).with_topics(Some(vec![topic])),
            all,
        ])
        .with_require_stable(true);
    let expected = [
        &[3, 2, b'g', 0, 0xff, 0xff, 0xff, 0xff, 2][..],
        TOPIC_ID.as_bytes(),
        &[3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0],
        &[2, b'g', 2, b'm', 0, 0, 0, 9, 0, 0, 1, 0],
    ]
    .concat();
    let bytes = encoded(&request, 10);
    assert_eq!(bytes[..], expected);
    assert_eq!(decode_request(&mut bytes.freeze(), 10), Ok(request));
}

#[test]
fn describe_log_dirs_5_tells_whether_a_directory_is_cordoned() {
    let partition = DescribeLogDirsPartition::default()
        .with_partition_index(1)
        .with_partition_size(2)
        .with_is_future_key(true);
    let topic = DescribeLogDirsTopic::default().with_partitions(vec![partition]);
    let result = DescribeLogDirsResult {
        log_dir: text("/d"),
        topics: vec![topic.with_name(TopicName(text("t")))],
        total_bytes: 256,
        usable_bytes: 1,
        is_cordoned: true,
        ..DescribeLogDirsResult::default()
    };
    let response = DescribeLogDirsResponse {
        throttle_time_ms: 9,
        error_code: 0,
        results: vec![result],
    };
    let expected = [
        &[
            0, 0, 0, 9, 0, 0, 2, 0, 0, 3, b'/', b'd', 2, 2, b't', 2, 0, 0, 0, 1,
        ][..],
        &[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        &[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0],
    ]
    .concat();
    let bytes = encoded(&response, 5);
    assert_eq!(bytes[..], expected);
    assert_eq!(
        decode_response(&mut bytes.freeze(), 5),
        Ok(response.clone())
    );
    let older: DescribeLogDirsResponse =
        decode_response(&mut encoded(&response, 4).freeze(), 4).unwrap();
    assert!(!older.results[0].is_cordoned);
    assert_eq!(older.results[0].topics, response.results[0].topics);
    assert_eq!(older.results[0].total_bytes, 256);
}

#[test]
fn list_offsets_11_is_written_as_10() {
    let request = ListOffsetsRequest::default().with_timeout_ms(4);
    assert_eq!(encoded(&request, 11), encoded(&request, 10));
    assert_eq!(
        decode_request(&mut encoded(&request, 11).freeze(), 11),
        Ok(request)
    );
}

#[test]
fn a_field_that_the_version_lacks_is_an_error_that_names_both() {
    let request = MetadataRequest::default().with_include_topic_authorized_operations(true);
    let mut buffer = BytesMut::from("kept");
    let error = encode_request(&request, 7, &mut buffer).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Metadata version 7 cannot be written: "),
        "{error}"
    );
    assert_eq!(buffer, "kept");
}

#[test]
fn broken_bytes_are_told_with_api_version_and_place() {
    let mut bytes = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]);
    let error = decode_request::<MetadataRequest>(&mut bytes, 0).unwrap_err();
    let told = "Metadata version 0 is malformed: an array longer than the bytes that are left";
    assert_eq!(error.to_string(), format!("{told} (at byte 4)"));
    let mut not_text = Bytes::from_static(&[0, 0, 0, 1, 0, 1, 0xff]);
    let error = decode_request::<MetadataRequest>(&mut not_text, 0).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Metadata version 0 is malformed: "),
        "{error}"
    );
}

#[test]
fn cordoned_directories_travel_in_heartbeats_of_version_2() {
    use crate::protocol::messages::{cordoned_log_dirs, set_cordoned_log_dirs};
    use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerId};

    for dirs in [vec![], vec![Uuid::from_u128(7), Uuid::from_u128(9)]] {
        let mut request = BrokerHeartbeatRequest::default().with_broker_id(BrokerId(3));
        assert_eq!(cordoned_log_dirs(&request), Ok(None));
        set_cordoned_log_dirs(&mut request, &dirs);
        let mut bytes = BytesMut::new();
        encode_request(&request, 2, &mut bytes).unwrap();
        let read: BrokerHeartbeatRequest = decode_request(&mut bytes.freeze(), 2).unwrap();
        assert_eq!(cordoned_log_dirs(&read), Ok(Some(dirs)));
        assert_eq!(read, request);
    }
}

#[test]
fn add_raft_voter_1_says_when_to_answer() {
    let listener = crate::protocol::messages::AddRaftVoterListener::default()
        .with_name(text("C"))
        .with_host(text("h"))
        .with_port(9093);
    let request = AddRaftVoterRequest {
        cluster_id: Some(text("id")),
        timeout_ms: 5,
        voter_id: 3,
        voter_directory_id: TOPIC_ID,
        listeners: vec![listener],
        ack_when_committed: false,
    };
    let expected = [
        &[3, b'i', b'd', 0, 0, 0, 5, 0, 0, 0, 3][..],
        TOPIC_ID.as_bytes(),
        &[2, 2, b'C', 2, b'h', 0x23, 0x85, 0, 0, 0],
    ]
    .concat();
    let bytes = encoded(&request, 1);
    assert_eq!(bytes[..], expected);
    assert_eq!(decode_request(&mut bytes.freeze(), 1), Ok(request.clone()));
    // Version 0 can't say it, and means the opposite.
    assert!(encode_request(&request, 0, &mut BytesMut::new()).is_err());
    let committed = AddRaftVoterRequest {
        ack_when_committed: true,
        ..request
    };
    let bytes = encoded(&committed, 0);
    assert_eq!(decode_request(&mut bytes.freeze(), 0), Ok(committed));
}
