//! Whole brokers, over their sockets: with the client that the manager uses, and with rskafka, which
//! shares no code with this workspace.

use std::time::Duration;

use kafka_protocol::{
    messages::{
        ApiVersionsRequest, CreateTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
        MetadataRequest, TopicName, create_topics_request::CreatableTopic,
        describe_configs_request::DescribeConfigsResource,
    },
    protocol::StrBytes,
};
use rskafka::{
    chrono::{TimeZone as _, Utc},
    client::{
        ClientBuilder,
        partition::{Compression, OffsetAt, UnknownTopicHandling},
    },
    record::Record,
};

mod cluster;
mod directories;

use crate::testing::TestBroker;

const DEADLINE: Duration = Duration::from_secs(20);

fn record(value: &str) -> Record {
    Record {
        key: Some(b"key".to_vec()),
        value: Some(value.as_bytes().to_vec()),
        headers: std::collections::BTreeMap::from([("h".to_owned(), b"v".to_vec())]),
        timestamp: Utc.timestamp_millis_opt(1_700_000_000_000).unwrap(),
    }
}

async fn rskafka(broker: &TestBroker) -> rskafka::client::Client {
    let connecting = ClientBuilder::new(vec![broker.bootstrap()]).build();
    tokio::time::timeout(DEADLINE, connecting)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rskafka_creates_a_topic_and_reads_back_what_it_wrote_in_every_codec() {
    let broker = TestBroker::start(&[]).await.unwrap();
    let client = rskafka(&broker).await;
    let controller = client.controller_client().unwrap();
    controller.create_topic("t", 2, 1, 5_000).await.unwrap();
    let partition = client
        .partition_client("t", 1, UnknownTopicHandling::Error)
        .await
        .unwrap();
    for (n, codec) in [
        Compression::NoCompression,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ]
    .into_iter()
    .enumerate()
    {
        let records = vec![record(&format!("a{n}")), record(&format!("b{n}"))];
        let offsets = partition.produce(records, codec).await.unwrap();
        assert_eq!(offsets, vec![2 * n as i64, 2 * n as i64 + 1]);
    }
    assert_eq!(partition.get_offset(OffsetAt::Earliest).await.unwrap(), 0);
    assert_eq!(partition.get_offset(OffsetAt::Latest).await.unwrap(), 10);
    let (records, high_watermark) = partition
        .fetch_records(3, 1..1_000_000, 1_000)
        .await
        .unwrap();
    assert_eq!(high_watermark, 10);
    let values: Vec<_> = records
        .iter()
        .filter(|r| r.offset >= 3)
        .map(|r| String::from_utf8(r.record.value.clone().unwrap()).unwrap())
        .collect();
    assert_eq!(values, ["b1", "a2", "b2", "a3", "b3", "a4", "b4"]);
    assert_eq!(records[0].record.headers["h"], b"v");
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_topics_and_the_clusters_id_outlive_a_restart() {
    let broker = TestBroker::start(&[]).await.unwrap();
    let cluster_id = broker.handle().cluster_id().to_owned();
    let client = rskafka(&broker).await;
    client
        .controller_client()
        .unwrap()
        .create_topic("t", 1, 1, 5_000)
        .await
        .unwrap();
    let partition = client
        .partition_client("t", 0, UnknownTopicHandling::Error)
        .await
        .unwrap();
    partition
        .produce(vec![record("before")], Compression::NoCompression)
        .await
        .unwrap();
    drop((partition, client));

    let broker = broker.restart().await.unwrap();
    assert_eq!(broker.handle().cluster_id(), cluster_id);
    let client = rskafka(&broker).await;
    let topics = client.list_topics().await.unwrap();
    assert!(topics.iter().any(|topic| topic.name == "t"));
    let partition = client
        .partition_client("t", 0, UnknownTopicHandling::Error)
        .await
        .unwrap();
    partition
        .produce(vec![record("after")], Compression::NoCompression)
        .await
        .unwrap();
    let (records, _) = partition
        .fetch_records(0, 1..1_000_000, 1_000)
        .await
        .unwrap();
    let values: Vec<_> = records
        .iter()
        .map(|r| r.record.value.clone().unwrap())
        .collect();
    assert_eq!(values, [b"before".to_vec(), b"after".to_vec()]);
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_in_use_is_refused() {
    let broker = TestBroker::start(&[]).await.unwrap();
    let args = crate::cli::ConfigArgs {
        config: None,
        set: vec!["listeners=PLAINTEXT://127.0.0.1:0".to_owned()],
        data_dir: Some(broker.data_dir()),
    };
    let (config, _) = args.load().unwrap();
    let Err(error) = super::start(config).await else {
        panic!("two brokers on one folder")
    };
    let shown = format!("{error:#}");
    assert!(
        shown.contains("in use") || shown.contains("lock"),
        "{shown}"
    );
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_an_error_that_names_it() {
    let broker = TestBroker::start(&[]).await.unwrap();
    let address = broker.bootstrap();
    let listeners = format!("listeners=PLAINTEXT://{address}");
    let Err(error) = TestBroker::start(&[&listeners]).await else {
        panic!("two on one port")
    };
    assert!(
        format!("{error:#}").contains(&address.replace("127.0.0.1", "")),
        "{error:#}"
    );
    broker.stop().await.unwrap();
}

mod raw {
    //! Requests by hand, where a client library would not send them.

    use super::*;
    use kafka_shared::client::Connection;

    pub(super) async fn connect(broker: &TestBroker) -> Connection {
        let config = kafka_shared::client::ConnectionConfig::default();
        let endpoint = broker.bootstrap().parse().unwrap();
        Connection::connect(&endpoint, &config).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_a_topic_that_is_not_there_makes_it_if_it_may() {
    for (settings, expected) in [(&[][..], 0), (&["auto.create.topics.enable=false"][..], 3)] {
        let broker = TestBroker::start(settings).await.unwrap();
        let connection = raw::connect(&broker).await;
        let wanted = kafka_protocol::messages::metadata_request::MetadataRequestTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str("fresh"))));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![wanted]))
            .with_allow_auto_topic_creation(true);
        let response = connection.send(request).await.unwrap();
        assert_eq!(response.topics[0].error_code, expected);
        assert_eq!(response.brokers.len(), 1);
        broker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_topic_is_visible_with_its_configuration_when_the_answer_is_there() {
    let broker = TestBroker::start(&["log.retention.hours=7"]).await.unwrap();
    let connection = raw::connect(&broker).await;
    let name = TopicName(StrBytes::from_static_str("t"));
    let topic = CreatableTopic::default()
        .with_name(name.clone())
        .with_num_partitions(-1)
        .with_replication_factor(-1);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(5_000);
    let response = connection.send(request).await.unwrap();
    assert_eq!(response.topics[0].error_code, 0);
    let described = connection
        .send(
            DescribeConfigsRequest::default()
                .with_resources(vec![
                    DescribeConfigsResource::default()
                        .with_resource_type(2)
                        .with_resource_name(StrBytes::from_static_str("t"))
                        .with_configuration_keys(None),
                ])
                .with_include_synonyms(true),
        )
        .await
        .unwrap();
    let configs = &described.results[0].configs;
    assert_eq!(configs.len(), 33);
    let retention = configs
        .iter()
        .find(|c| c.name.as_str() == "retention.ms")
        .unwrap();
    assert_eq!(retention.value.as_deref(), Some("25200000"));
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_apiversions_that_does_not_exist_is_answered_in_version_0() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let broker = TestBroker::start(&[]).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(broker.address())
        .await
        .unwrap();
    // ApiVersions 5 as Java 4.4 sends it: unknown fields in the body, a flexible header.
    let mut frame = vec![0, 0, 0, 18];
    frame.extend([0, 18, 0, 5, 0, 0, 0, 9, 0, 2, b'm', b'e', 0, 1, 2, 3, 4, 5]);
    stream.write_all(&frame).await.unwrap();
    let size = stream.read_i32().await.unwrap();
    let mut body = vec![0; usize::try_from(size).unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    // correlation id, error 35, one key: 18 from 0 to 4
    assert_eq!(body, [0, 0, 0, 9, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
    // The same connection goes on.
    frame = vec![0, 0, 0, 10];
    frame.extend([0, 18, 0, 0, 0, 0, 0, 10, 0xff, 0xff]);
    stream.write_all(&frame).await.unwrap();
    assert!(stream.read_i32().await.unwrap() > 100);
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_describes_itself_and_what_the_broker_serves() {
    let broker = TestBroker::start(&["broker.rack=r1"]).await.unwrap();
    let connection = raw::connect(&broker).await;
    let cluster = connection
        .send(DescribeClusterRequest::default().with_endpoint_type(1))
        .await
        .unwrap();
    assert_eq!(cluster.cluster_id.as_str(), broker.handle().cluster_id());
    assert_eq!(cluster.controller_id.0, 1);
    assert_eq!(cluster.brokers[0].port, i32::from(broker.address().port()));
    assert_eq!(cluster.brokers[0].rack.as_deref(), Some("r1"));
    let mismatched = connection
        .send(DescribeClusterRequest::default().with_endpoint_type(2))
        .await
        .unwrap();
    assert_eq!(mismatched.error_code, 114);
    let versions = connection
        .send(
            ApiVersionsRequest::default()
                .with_client_software_name(StrBytes::from_static_str("test"))
                .with_client_software_version(StrBytes::from_static_str("1")),
        )
        .await
        .unwrap();
    assert!(
        versions
            .finalized_features
            .iter()
            .any(|f| f.name.as_str() == "metadata.version")
    );
    broker.stop().await.unwrap();
}
