//! Producing and fetching over sockets, in every version.

use std::time::Duration;

use bytes::Bytes;
use kafka_broker::testing::TestBroker;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, FetchRequest, FetchResponse, InitProducerIdRequest, ListOffsetsRequest,
    MetadataRequest, OffsetForLeaderEpochRequest, ProduceRequest, ProduceResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Connection, ConnectionConfig};
use kafka_shared::record::batch;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::time::{Clock as _, SystemClock};
use kafka_shared::types::{Endpoint, Uuid};

use super::run;

async fn connect(broker: &TestBroker) -> Connection {
    let endpoint: Endpoint = broker.bootstrap().parse().unwrap();
    Connection::connect(&endpoint, &ConnectionConfig::default())
        .await
        .unwrap()
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// Makes a topic and returns its id.
async fn create_topic(connection: &Connection, topic: &str, n_partitions: i32) -> Uuid {
    let wanted = CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(n_partitions)
        .with_replication_factor(-1);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![wanted])
        .with_timeout_ms(10_000);
    let response = connection.send(request).await.unwrap();
    assert_eq!(response.topics[0].error_code, 0, "{response:?}");
    response.topics[0].topic_id
}

/// A batch of one record. It is of now: what a log knows of a producer expires by its records' time.
fn records(mut builder: BatchBuilder, value: &str) -> Bytes {
    let now_ms = SystemClock::new().wall_ms();
    builder
        .append(now_ms, Some(b"k"), Some(value.as_bytes()), &[])
        .unwrap();
    builder.build()
}

fn produce_request(
    id: Uuid,
    topic: &str,
    version: i16,
    acks: i16,
    records: Bytes,
) -> ProduceRequest {
    let data = PartitionProduceData::default().with_records(Some(records));
    let data = TopicProduceData::default().with_partition_data(vec![data]);
    let data = match version {
        ..13 => data.with_name(name(topic)),
        _ => data.with_topic_id(id),
    };
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![data])
}

fn fetch_request(id: Uuid, topic: &str, version: i16, offset: i64) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_last_fetched_epoch(-1)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(if version < 13 {
            name(topic)
        } else {
            TopicName::default()
        })
        .with_topic_id(if version < 13 { Uuid::nil() } else { id })
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// The error and base offset of the only partition.
fn produced(response: &ProduceResponse) -> (i16, i64) {
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

/// The values of the only partition.
fn values(response: &FetchResponse) -> Vec<String> {
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let bytes = partition.records.clone().unwrap_or_default();
    let mut values = Vec::new();
    for batch in batch::batches(&bytes) {
        let batch = batch.unwrap();
        batch.check_crc().unwrap();
        let records = kafka_shared::record::iter::records(&batch, 1 << 20).unwrap();
        for record in records.iter() {
            let value = record.unwrap().value.unwrap().to_vec();
            values.push(String::from_utf8(value).unwrap());
        }
    }
    values
}

#[test]
fn every_version_of_the_data_plane_is_served() {
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        let connection = connect(&broker).await;
        let id = create_topic(&connection, "t", 1).await;
        for (offset, version) in (3..=13).enumerate() {
            let records = records(BatchBuilder::new(), &format!("v{version}"));
            let request = produce_request(id, "t", version, -1, records);
            let response = connection.send_version(request, version).await.unwrap();
            assert_eq!(
                produced(&response),
                (0, i64::try_from(offset).unwrap()),
                "version {version}"
            );
        }
        for version in 4..=18 {
            let request = fetch_request(id, "t", version, 9);
            let response = connection.send_version(request, version).await.unwrap();
            assert_eq!(values(&response), ["v12", "v13"], "version {version}");
        }
        for version in 1..=11 {
            let partition = ListOffsetsPartition::default()
                .with_timestamp(-1)
                .with_current_leader_epoch(-1);
            let topic = ListOffsetsTopic::default()
                .with_name(name("t"))
                .with_partitions(vec![partition]);
            let request = ListOffsetsRequest::default()
                .with_replica_id((-1).into())
                .with_topics(vec![topic]);
            let response = connection.send_version(request, version).await.unwrap();
            assert_eq!(
                response.topics[0].partitions[0].offset, 11,
                "version {version}"
            );
        }
        for version in 2..=4 {
            let partition = OffsetForLeaderPartition::default()
                .with_current_leader_epoch(-1)
                .with_leader_epoch(0);
            let topic = OffsetForLeaderTopic::default()
                .with_topic(name("t"))
                .with_partitions(vec![partition]);
            let request = OffsetForLeaderEpochRequest::default()
                .with_replica_id((-2).into())
                .with_topics(vec![topic]);
            let response = connection.send_version(request, version).await.unwrap();
            let partition = &response.topics[0].partitions[0];
            assert_eq!(
                (partition.leader_epoch, partition.end_offset),
                (0, 11),
                "version {version}"
            );
        }
        for version in 0..=5 {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(60_000)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1);
            let response = connection.send_version(request, version).await.unwrap();
            assert_eq!(
                (response.error_code, response.producer_epoch),
                (0, 0),
                "version {version}"
            );
            assert_eq!(response.producer_id.0, i64::from(version));
        }
        broker.stop().await.unwrap();
    });
}

#[test]
fn a_waiting_fetch_is_answered_by_a_produce_on_another_connection() {
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        let (consumer, producer) = (connect(&broker).await, connect(&broker).await);
        let id = create_topic(&producer, "t", 1).await;
        for round in 0..20 {
            let request = fetch_request(id, "t", 18, round).with_max_wait_ms(20_000);
            let waiting = consumer.send_version(request, 18);
            let appended = async {
                let records = records(BatchBuilder::new(), "x");
                producer
                    .send_version(produce_request(id, "t", 13, 1, records), 13)
                    .await
                    .unwrap()
            };
            let both = async { tokio::join!(waiting, appended) };
            let (fetched, appended) = tokio::time::timeout(Duration::from_secs(10), both)
                .await
                .unwrap();
            assert_eq!(produced(&appended), (0, round));
            assert_eq!(values(&fetched.unwrap()), ["x"], "round {round}");
        }
        broker.stop().await.unwrap();
    });
}

#[test]
fn a_batch_that_is_sent_again_is_stored_once_also_after_a_restart() {
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        let connection = connect(&broker).await;
        let id = create_topic(&connection, "t", 1).await;
        let batch = |sequence: i32| {
            let builder = BatchBuilder::new().with_producer(4000, 0, sequence);
            produce_request(id, "t", 13, -1, records(builder, &format!("s{sequence}")))
        };
        for sequence in [0, 1, 1, 0] {
            let response = connection.send_version(batch(sequence), 13).await.unwrap();
            assert_eq!(produced(&response), (0, i64::from(sequence)));
        }
        let broker = broker.restart().await.unwrap();
        let connection = connect(&broker).await;
        for sequence in [1, 2] {
            let response = connection.send_version(batch(sequence), 13).await.unwrap();
            assert_eq!(produced(&response), (0, i64::from(sequence)));
        }
        let request = fetch_request(id, "t", 17, 0);
        let response = connection.send_version(request, 17).await.unwrap();
        assert_eq!(values(&response), ["s0", "s1", "s2"]);
        broker.stop().await.unwrap();
    });
}

#[test]
fn without_acks_an_error_ends_the_connection_and_success_does_not() {
    run(async {
        let broker = TestBroker::start(&["auto.create.topics.enable=false"])
            .await
            .unwrap();
        let admin = connect(&broker).await;
        let id = create_topic(&admin, "t", 1).await;
        for (topic, is_well) in [("t", true), ("unknown", false)] {
            let connection = connect(&broker).await;
            let records = records(BatchBuilder::new(), "x");
            let request = produce_request(id, topic, 9, 0, records);
            // A request without an answer: what follows on the connection tells how it went.
            let unanswered = connection.send_version(request, 9);
            let _ = tokio::time::timeout(Duration::from_millis(300), unanswered).await;
            let next = connection.send_version(MetadataRequest::default(), 9).await;
            assert_eq!(next.is_ok(), is_well, "{topic}");
        }
        let fetched = admin
            .send_version(fetch_request(id, "t", 13, 0), 13)
            .await
            .unwrap();
        assert_eq!(values(&fetched), ["x"]);
        broker.stop().await.unwrap();
    });
}
