use bytes::BytesMut;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_shared::protocol::codec;
use kafka_shared::record::TimestampType;
use kafka_shared::record::builder::BatchBuilder;

use super::*;
use crate::log::LogConfig;
use crate::replica::testing::{NODE, NOW_MS, World, batch, batch_of, registration, topic_id};

fn sender(version: i16) -> Sender<'static> {
    Sender {
        client_id: Some("test"),
        listener: "PLAINTEXT",
        version,
    }
}

fn topic(name: &str, version: i16, partitions: Vec<(i32, Option<Bytes>)>) -> TopicProduceData {
    let data = partitions.into_iter().map(|(index, records)| {
        PartitionProduceData::default()
            .with_index(index)
            .with_records(records)
    });
    let topic = TopicProduceData::default().with_partition_data(data.collect());
    if version >= FIRST_TOPIC_ID {
        topic.with_topic_id(topic_id(name))
    } else {
        topic.with_name(TopicName(StrBytes::from_string(name.to_owned())))
    }
}

fn request(acks: i16, topics: Vec<TopicProduceData>) -> ProduceRequest {
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(1000)
        .with_topic_data(topics)
}

/// Produces to one partition and checks that the response can be encoded.
async fn produce_one(
    world: &World,
    sender: Sender<'_>,
    acks: i16,
    name: &str,
    records: Option<Bytes>,
) -> PartitionProduceResponse {
    let request = request(acks, vec![topic(name, sender.version, vec![(0, records)])]);
    let response = produce(&world.replicas, sender, &request).await.unwrap();
    codec::encode_response(&response, sender.version, &mut BytesMut::new()).unwrap();
    response.responses[0].partition_responses[0].clone()
}

#[tokio::test]
async fn every_version_appends_and_answers_with_the_offset() {
    let world = World::start();
    world.create_topic("t", 1);
    for (offset, version) in (3..=13).enumerate() {
        let records = Some(batch(&["a"]));
        let response = produce_one(&world, sender(version), -1, "t", records).await;
        assert_eq!(response.error_code, 0, "version {version}");
        assert_eq!(response.base_offset, i64::try_from(offset).unwrap());
        assert_eq!(response.log_append_time_ms, -1);
    }
    world.configure(
        "t",
        LogConfig {
            message_timestamp_type: TimestampType::LogAppendTime,
            ..LogConfig::default()
        },
    );
    let response = produce_one(&world, sender(13), 1, "t", Some(batch(&["a"]))).await;
    assert_eq!(
        (response.log_append_time_ms, response.log_start_offset),
        (NOW_MS, 0)
    );
}

#[tokio::test]
async fn what_is_refused_carries_kafkas_code() {
    let world = World::start();
    world.create_topic("t", 1);
    world.create_topic("__consumer_offsets", 1);
    let small = LogConfig {
        max_message_bytes: 100,
        ..LogConfig::default()
    };
    world.create_topic("small", 1);
    world.configure("small", small);
    let two = [&batch(&["a"])[..], &batch(&["b"])[..]].concat();
    let mut damaged = batch(&["a"]).to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let mut old = batch(&["a"]).to_vec();
    old[16] = 1;
    let zstd = batch_of(
        BatchBuilder::new().with_compression(Compression::Zstd),
        &["a"],
    );
    let transactional = batch_of(
        BatchBuilder::new()
            .with_producer(1, 0, 0)
            .with_transactional(true),
        &["a"],
    );
    let large = batch(&["x".repeat(100).as_str()]);
    let records = |records: &[u8]| Some(Bytes::copy_from_slice(records));
    let good = records(&batch(&["a"]));
    for (version, acks, name, records, error) in [
        (
            12,
            1,
            "unknown",
            good.clone(),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        (13, 1, "unknown", good.clone(), ErrorCode::UNKNOWN_TOPIC_ID),
        (9, 2, "t", good.clone(), ErrorCode::INVALID_REQUIRED_ACKS),
        (
            9,
            1,
            "__consumer_offsets",
            good.clone(),
            ErrorCode::INVALID_TOPIC_EXCEPTION,
        ),
        (9, 1, "t", None, ErrorCode::INVALID_RECORD),
        (9, 1, "t", records(&[]), ErrorCode::INVALID_RECORD),
        (9, 1, "t", records(&two), ErrorCode::INVALID_RECORD),
        (9, 1, "t", records(&old), ErrorCode::INVALID_RECORD),
        (9, 1, "t", records(&damaged), ErrorCode::CORRUPT_MESSAGE),
        (
            6,
            1,
            "t",
            records(&zstd),
            ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
        ),
        (9, 1, "small", records(&large), ErrorCode::MESSAGE_TOO_LARGE),
        (
            9,
            -1,
            "t",
            records(&transactional),
            ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ),
        (7, 1, "t", records(&zstd), ErrorCode::NONE),
        (3, 1, "t", good, ErrorCode::NONE),
    ] {
        let response = produce_one(&world, sender(version), acks, name, records).await;
        assert_eq!(
            ErrorCode(response.error_code).name(),
            error.name(),
            "v{version} {name}"
        );
    }
    let admin = Sender {
        client_id: Some(ADMIN_CLIENT_ID),
        ..sender(9)
    };
    let records = Some(batch(&["a"]));
    let response = produce_one(&world, admin, 1, "__consumer_offsets", records).await;
    assert_eq!(response.error_code, 0);
}

#[tokio::test]
async fn the_records_at_fault_are_named_from_version_8_on() {
    let world = World::start();
    world.create_topic("t", 1);
    let mut builder = BatchBuilder::new();
    for timestamp in [NOW_MS, NOW_MS + 7_200_000] {
        builder.append(timestamp, None, Some(b"a"), &[]).unwrap();
    }
    let records = builder.build();
    for version in [7, 8, 13] {
        let response = produce_one(&world, sender(version), 1, "t", Some(records.clone())).await;
        assert_eq!(ErrorCode(response.error_code), ErrorCode::INVALID_TIMESTAMP);
        let at_fault: Vec<i32> = response
            .record_errors
            .iter()
            .map(|error| error.batch_index)
            .collect();
        assert_eq!(
            at_fault,
            if version >= 8 { vec![1] } else { vec![] },
            "version {version}"
        );
        assert_eq!(response.error_message.is_some(), version >= 8);
    }
}

#[tokio::test]
async fn one_partitions_error_is_not_its_neighbours() {
    let world = World::start();
    world.create_topic("t", 2);
    let good = || Some(batch(&["a"]));
    let partitions = vec![(0, good()), (7, good()), (1, good())];
    let request = request(
        1,
        vec![topic("t", 9, partitions), topic("u", 9, vec![(0, good())])],
    );
    let response = produce(&world.replicas, sender(9), &request).await.unwrap();
    let codes: Vec<(i32, i16)> = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .map(|partition| (partition.index, partition.error_code))
        .collect();
    assert_eq!(codes, [(0, 0), (7, 3), (1, 0), (0, 3)]);
}

#[tokio::test]
async fn without_acks_success_is_silent_and_an_error_closes() {
    let world = World::start();
    world.create_topic("t", 1);
    for (name, expected) in [("t", Silence::AllIsWell), ("u", Silence::SomethingFailed)] {
        let request = request(0, vec![topic(name, 9, vec![(0, Some(batch(&["a"])))])]);
        let outcome = produce(&world.replicas, sender(9), &request).await;
        assert_eq!(outcome.unwrap_err(), expected);
    }
    assert_eq!(world.partition("t", 0).log().log_end_offset(), 1);
}

#[tokio::test]
async fn who_leads_instead_is_told_from_version_10_on() {
    let world = World::start();
    world.register_broker(2, "kafka2");
    world.register("t", 0, registration(2, 6, &[NODE, 2]));
    for version in [9, 10, 12, 13] {
        let request = request(1, vec![topic("t", version, vec![(0, Some(batch(&["a"])))])]);
        let response = produce(&world.replicas, sender(version), &request)
            .await
            .unwrap();
        codec::encode_response(&response, version, &mut BytesMut::new()).unwrap();
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(
            ErrorCode(partition.error_code),
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        );
        let leader = (
            partition.current_leader.leader_id.0,
            partition.current_leader.leader_epoch,
        );
        let hosts: Vec<&str> = response
            .node_endpoints
            .iter()
            .map(|node| &*node.host)
            .collect();
        if version >= 10 {
            assert_eq!(
                (leader, hosts),
                ((2, 6), vec!["kafka2"]),
                "version {version}"
            );
        } else {
            assert_eq!((leader, hosts), ((-1, -1), vec![]));
        }
    }
}
