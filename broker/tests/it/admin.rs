//! Topics, configurations and the cluster over sockets: what the tools of Kafka ask, in the words that
//! Apache Kafka 4.3.1 answers with.

use kafka_broker::testing::TestBroker;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    AlterConfigsRequest, ApiVersionsRequest, BrokerId, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, DescribeConfigsResponse, DescribeQuorumRequest,
    DescribeTopicPartitionsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
    MetadataRequest, TopicName, UnregisterBrokerRequest, alter_configs_request,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Connection, ConnectionConfig};
use kafka_shared::error::ErrorCode;
use kafka_shared::types::{Endpoint, Uuid};

use super::run;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) async fn connect(broker: &TestBroker) -> Connection {
    let endpoint: Endpoint = broker.bootstrap().parse().unwrap();
    Connection::connect(&endpoint, &ConnectionConfig::default())
        .await
        .unwrap()
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

async fn create(connection: &Connection, topics: &[(&str, i32)]) {
    let topics = topics.iter().map(|(topic, n_partitions)| {
        CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(*n_partitions)
            .with_replication_factor(1)
    });
    let request = CreateTopicsRequest::default()
        .with_topics(topics.collect())
        .with_timeout_ms(10_000);
    let response = connection.send(request).await.unwrap();
    for topic in &response.topics {
        assert_eq!(topic.error_code, 0, "{topic:?}");
    }
}

fn metadata(topics: Option<&[&str]>) -> MetadataRequest {
    let topics = topics.map(|topics| {
        let one = |topic: &&str| MetadataRequestTopic::default().with_name(Some(name(topic)));
        topics.iter().map(one).collect()
    });
    MetadataRequest::default()
        .with_topics(topics)
        .with_allow_auto_topic_creation(false)
}

#[test]
fn metadata_answers_in_every_version_and_for_every_way_to_ask() {
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        let connection = connect(&broker).await;
        create(&connection, &[("a", 1), ("b", 3)]).await;
        for version in 0..=13 {
            let all = match version {
                0 => metadata(Some(&[])),
                _ => metadata(None),
            };
            let mut request = all;
            request.allow_auto_topic_creation = true;
            let response = connection.send_version(request, version).await.unwrap();
            let names: Vec<_> = response
                .topics
                .iter()
                .map(|t| t.name.clone().unwrap().to_string())
                .collect();
            assert_eq!(names, ["a", "b"], "version {version}");
            assert_eq!(response.topics[1].partitions.len(), 3);
            let partition = &response.topics[1].partitions[2];
            assert_eq!(
                (partition.leader_id.0, partition.isr_nodes.len()),
                (1, 1),
                "version {version}"
            );
            assert_eq!(response.brokers[0].port, i32::from(broker.address().port()));
        }
        let response = connection
            .send_version(metadata(Some(&[])), 4)
            .await
            .unwrap();
        assert!(
            response.topics.is_empty(),
            "from version 1 on, none means none"
        );
        let response = connection
            .send(metadata(Some(&["missing", "bad name"])))
            .await
            .unwrap();
        let codes: Vec<_> = response.topics.iter().map(|t| t.error_code).collect();
        assert_eq!(codes, [17, 3], "in the order of names");
        broker.stop().await.unwrap();
    });
}

#[test]
fn metadata_finds_topics_by_id_and_says_which_ids_it_does_not_know() {
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        let connection = connect(&broker).await;
        create(&connection, &[("a", 1)]).await;
        let by_name = connection.send(metadata(Some(&["a"]))).await.unwrap();
        let id = by_name.topics[0].topic_id;
        let unknown = Uuid::from_u128(12_345_678);
        let topics = [unknown, id].map(|id| {
            MetadataRequestTopic::default()
                .with_topic_id(id)
                .with_name(None)
        });
        let request = MetadataRequest::default()
            .with_topics(Some(topics.to_vec()))
            .with_include_topic_authorized_operations(true);
        let response = connection.send(request).await.unwrap();
        let found = response
            .topics
            .iter()
            .find(|topic| topic.topic_id == id)
            .unwrap();
        assert_eq!(found.name.as_ref().unwrap().as_str(), "a");
        assert_eq!(found.topic_authorized_operations, 3576);
        let missing = response
            .topics
            .iter()
            .find(|topic| topic.topic_id == unknown)
            .unwrap();
        assert_eq!((missing.error_code, &missing.name), (100, &None));
        broker.stop().await.unwrap();
    });
}

#[test]
fn topics_are_described_page_by_page() {
    run(async {
        let broker = TestBroker::start(&["max.request.partition.size.limit=4"])
            .await
            .unwrap();
        let connection = connect(&broker).await;
        create(&connection, &[("a", 3), ("b", 3), ("c", 1)]).await;
        let mut cursor = None;
        let mut pages = Vec::new();
        loop {
            let request = DescribeTopicPartitionsRequest::default()
                .with_response_partition_limit(2000)
                .with_cursor(cursor);
            let response = connection.send(request).await.unwrap();
            let page: Vec<_> = response
                .topics
                .iter()
                .flat_map(|topic| {
                    let name = topic.name.clone().unwrap().to_string();
                    topic
                        .partitions
                        .iter()
                        .map(move |p| format!("{name}-{}", p.partition_index))
                })
                .collect();
            pages.push(page.join(" "));
            let Some(next) = response.next_cursor else {
                break;
            };
            cursor = Some(
                Cursor::default()
                    .with_topic_name(next.topic_name)
                    .with_partition_index(next.partition_index),
            );
        }
        assert_eq!(pages, ["a-0 a-1 a-2 b-0", "b-1 b-2 c-0"]);
        let topics = ["c", "nowhere"].map(|topic| TopicRequest::default().with_name(name(topic)));
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(topics.to_vec())
            .with_response_partition_limit(1000);
        let response = connection.send(request).await.unwrap();
        let codes: Vec<_> = response.topics.iter().map(|t| t.error_code).collect();
        assert_eq!(codes, [0, 3]);
        let partition = &response.topics[0].partitions[0];
        assert_eq!(partition.eligible_leader_replicas, Some(vec![]));
        broker.stop().await.unwrap();
    });
}

async fn describe(
    connection: &Connection,
    resource_type: i8,
    resource: &str,
    keys: &[&str],
) -> DescribeConfigsResponse {
    let keys = (!keys.is_empty()).then(|| keys.iter().map(|key| text(key)).collect());
    let resource = DescribeConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(resource))
        .with_configuration_keys(keys);
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    connection.send(request).await.unwrap()
}

/// Changes one key of a resource; returns the error's code and message.
async fn alter(
    connection: &Connection,
    resource_type: i8,
    resource: &str,
    (key, operation, value): (&str, i8, Option<&str>),
) -> (i16, String) {
    let config = AlterableConfig::default()
        .with_name(text(key))
        .with_config_operation(operation)
        .with_value(value.map(text));
    let resource = AlterConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(resource))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response = connection.send(request).await.unwrap();
    let result = &response.responses[0];
    let message = result
        .error_message
        .as_deref()
        .unwrap_or_default()
        .to_owned();
    (result.error_code, message)
}

#[test]
fn changes_of_configurations_take_effect_and_show_where_they_come_from() {
    run(async {
        let broker = TestBroker::start(&["log.retention.hours=3"]).await.unwrap();
        let connection = connect(&broker).await;
        create(&connection, &[("t", 1)]).await;
        let shown = async |key: &str| {
            let response = describe(&connection, TOPIC, "t", &[key]).await;
            let config = &response.results[0].configs[0];
            (
                config.value.as_deref().unwrap().to_owned(),
                config.config_source,
            )
        };
        assert_eq!(shown("retention.ms").await, ("10800000".to_owned(), 5));
        for (resource_type, resource, change) in [
            (BROKER, "", ("log.retention.ms", SET, Some("70000"))),
            (BROKER, "1", ("log.retention.ms", SET, Some("80000"))),
            (TOPIC, "t", ("retention.ms", SET, Some("90000"))),
            (TOPIC, "t", ("cleanup.policy", APPEND, Some("compact"))),
        ] {
            let outcome = alter(&connection, resource_type, resource, change).await;
            assert_eq!(outcome, (0, String::new()), "{change:?}");
        }
        assert_eq!(shown("retention.ms").await, ("90000".to_owned(), 1));
        assert_eq!(
            shown("cleanup.policy").await,
            ("delete,compact".to_owned(), 1)
        );
        let response = describe(&connection, TOPIC, "t", &["retention.ms"]).await;
        let sources: Vec<_> = response.results[0].configs[0]
            .synonyms
            .iter()
            .map(|s| (s.source, s.value.as_deref().unwrap()))
            .collect();
        assert_eq!(
            sources,
            [
                (1, "90000"),
                (2, "80000"),
                (3, "70000"),
                (4, "3"),
                (5, "168")
            ]
        );
        for change in [
            ("retention.ms", DELETE, None),
            ("cleanup.policy", SUBTRACT, Some("delete")),
        ] {
            let outcome = alter(&connection, TOPIC, "t", change).await;
            assert_eq!(outcome, (0, String::new()), "{change:?}");
        }
        assert_eq!(shown("retention.ms").await, ("80000".to_owned(), 2));
        assert_eq!(shown("cleanup.policy").await, ("compact".to_owned(), 1));
        let documented = describe(&connection, TOPIC, "t", &[]).await;
        assert!(
            documented.results[0]
                .configs
                .iter()
                .all(|config| config.documentation.is_some() && config.config_type != 0)
        );
        // A restart keeps what was set.
        let broker = broker.restart().await.unwrap();
        let again = connect(&broker).await;
        let response = describe(&again, BROKER, "1", &["log.retention.ms"]).await;
        let config = &response.results[0].configs[0];
        assert_eq!(
            (config.value.as_deref(), config.config_source),
            (Some("80000"), 2)
        );
        broker.stop().await.unwrap();
    });
}

#[test]
fn refused_changes_say_why_in_kafkas_words() {
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        let connection = connect(&broker).await;
        create(&connection, &[("t", 1)]).await;
        for (resource_type, resource, change, code, why) in [
            (
                TOPIC,
                "t",
                ("retention.ms", SET, Some("x")),
                40,
                "Invalid value x for configuration retention.ms: Not a number of type LONG",
            ),
            (
                TOPIC,
                "t",
                ("no.such", SET, Some("x")),
                40,
                "Unknown topic config name: no.such",
            ),
            (
                TOPIC,
                "t",
                ("retention.ms", APPEND, Some("1")),
                40,
                "Can't APPEND to key retention.ms because its type is not LIST.",
            ),
            (
                TOPIC,
                "t",
                ("retention.ms", SET, None),
                42,
                "Null value not supported for : retention.ms",
            ),
            (TOPIC, "nowhere", ("retention.ms", SET, Some("1")), 3, ""),
            (
                BROKER,
                "1",
                ("node.id", SET, Some("2")),
                42,
                "Cannot update these configs dynamically: [node.id]",
            ),
            (
                BROKER,
                "2",
                ("message.max.bytes", SET, Some("2")),
                42,
                "Unexpected broker id, expected 1, but received 2",
            ),
            (
                BROKER,
                "x",
                ("message.max.bytes", SET, Some("2")),
                42,
                "Node id must be an integer, but it is: x",
            ),
            (
                BROKER,
                "1",
                ("message.max.bytes", APPEND, Some("2")),
                40,
                "Config value append is not allowed for config key: message.max.bytes",
            ),
            (
                BROKER,
                "1",
                ("message.max.bytes", 9, Some("2")),
                42,
                "Unknown operations type 9",
            ),
            (
                77,
                "x",
                ("a", SET, Some("b")),
                42,
                "Unknown resource type 77",
            ),
        ] {
            let (got_code, got_why) = alter(&connection, resource_type, resource, change).await;
            assert_eq!(got_code, code, "{resource} {change:?}: {got_why}");
            assert!(
                why.is_empty() || got_why == why,
                "{resource} {change:?}: {got_why}"
            );
        }
        let twice = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text("t"));
        let request =
            IncrementalAlterConfigsRequest::default().with_resources(vec![twice.clone(), twice]);
        let response = connection.send(request).await.unwrap();
        let messages: Vec<_> = response
            .responses
            .iter()
            .map(|r| r.error_message.as_deref().unwrap_or_default())
            .collect();
        assert_eq!(messages, ["Each resource must appear at most once."; 2]);
        broker.stop().await.unwrap();
    });
}

#[test]
fn the_old_way_to_alter_replaces_everything() {
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        let connection = connect(&broker).await;
        create(&connection, &[("t", 1)]).await;
        let set = async |pairs: &[(&str, &str)]| {
            let configs = pairs.iter().map(|(key, value)| {
                alter_configs_request::AlterableConfig::default()
                    .with_name(text(key))
                    .with_value(Some(text(value)))
            });
            let resource = alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(text("t"))
                .with_configs(configs.collect());
            let request = AlterConfigsRequest::default().with_resources(vec![resource]);
            let response = connection.send(request).await.unwrap();
            assert_eq!(response.responses[0].error_code, 0, "{response:?}");
            let described = describe(&connection, TOPIC, "t", &[]).await;
            let own = |c: &&kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult| c.config_source == 1;
            let configs = described.results[0].configs.iter().filter(own);
            configs.map(|c| c.name.to_string()).collect::<Vec<_>>()
        };
        let names = set(&[("retention.ms", "5"), ("segment.bytes", "2000000")]).await;
        assert_eq!(names, ["retention.ms", "segment.bytes"]);
        assert_eq!(set(&[("flush.ms", "5")]).await, ["flush.ms"]);
        broker.stop().await.unwrap();
    });
}

#[test]
fn configurations_that_cannot_be_described_say_why() {
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        let connection = connect(&broker).await;
        for (resource_type, resource, code, why) in [
            // Kafka sets no message here, which is an empty one on the wire.
            (TOPIC, "nowhere", 3, Some("")),
            (
                TOPIC,
                "a b",
                17,
                Some(
                    "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
                ),
            ),
            (
                BROKER,
                "7",
                42,
                Some("Unexpected broker id, expected 1 or empty string, but received 7"),
            ),
            (
                BROKER,
                "x",
                42,
                Some("Broker id must be an integer, but it is: x"),
            ),
            (32, "", 42, Some("Group name must not be empty")),
            (
                16,
                "",
                42,
                Some("Client metrics subscription name must not be empty"),
            ),
        ] {
            let response = describe(&connection, resource_type, resource, &[]).await;
            let result = &response.results[0];
            assert_eq!(result.error_code, code, "{resource}");
            assert_eq!(result.error_message.as_deref(), why, "{resource}");
            assert!(result.configs.is_empty());
        }
        broker.stop().await.unwrap();
    });
}

#[test]
fn resources_with_configurations_are_listed_by_type() {
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        let connection = connect(&broker).await;
        create(&connection, &[("t", 1)]).await;
        alter(
            &connection,
            32,
            "g",
            ("consumer.session.timeout.ms", SET, Some("46000")),
        )
        .await;
        let list = async |types: &[i8], version| {
            let request = ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
            let response = connection.send_version(request, version).await.unwrap();
            let mut names: Vec<_> = response
                .config_resources
                .iter()
                .map(|r| format!("{}:{}", r.resource_type, r.resource_name))
                .collect();
            names.sort();
            (response.error_code, names.join(" "))
        };
        assert_eq!(list(&[], 1).await, (0, "2:t 32:g 4:1 8:1".to_owned()));
        assert_eq!(list(&[TOPIC, BROKER], 1).await, (0, "2:t 4:1".to_owned()));
        assert_eq!(list(&[3], 1).await, (35, String::new()));
        assert_eq!(list(&[], 0).await, (0, String::new()));
        broker.stop().await.unwrap();
    });
}

#[test]
fn topics_can_be_kept_from_deletion() {
    run(async {
        let broker = TestBroker::start(&["delete.topic.enable=false"])
            .await
            .unwrap();
        let connection = connect(&broker).await;
        create(&connection, &[("t", 1)]).await;
        for (version, code) in [(1, 42), (4, 73), (6, 73)] {
            let mut request = DeleteTopicsRequest::default().with_timeout_ms(1000);
            match version {
                6 => {
                    let topic = DeleteTopicState::default().with_name(Some(name("t")));
                    request.topics = vec![topic];
                }
                _ => request.topic_names = vec![name("t")],
            }
            let response = connection.send_version(request, version).await.unwrap();
            assert_eq!(response.responses[0].error_code, code, "version {version}");
        }
        broker.stop().await.unwrap();
    });
}

#[test]
fn the_quorum_of_one_describes_itself() {
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        let connection = connect(&broker).await;
        let ask = |topic: &str| {
            let topic = TopicData::default()
                .with_topic_name(name(topic))
                .with_partitions(vec![PartitionData::default()]);
            DescribeQuorumRequest::default().with_topics(vec![topic])
        };
        for version in 0..=2 {
            let response = connection
                .send_version(ask("__cluster_metadata"), version)
                .await
                .unwrap();
            let partition = &response.topics[0].partitions[0];
            assert_eq!((partition.error_code, partition.leader_id.0), (0, 1));
            let voter = &partition.current_voters[0];
            assert_eq!(voter.replica_id.0, 1);
            assert!(voter.log_end_offset >= partition.high_watermark);
            assert!(partition.high_watermark > 0);
            assert_eq!(response.nodes.len(), usize::from(version >= 2));
            if version >= 1 {
                assert!(voter.last_caught_up_timestamp > 1_700_000_000_000);
            }
        }
        let response = connection.send(ask("other")).await.unwrap();
        assert_eq!(response.topics[0].partitions[0].error_code, 3);
        broker.stop().await.unwrap();
    });
}

#[test]
fn the_controllers_listener_serves_the_controllers_requests_only() {
    run(async {
        let map = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT";
        let listeners = "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";
        let broker = TestBroker::start(&[map, listeners]).await.unwrap();
        let addresses = broker.handle().local_addrs();
        let (listener, address) = &addresses[1];
        assert_eq!(&**listener, "CONTROLLER");
        let endpoint: Endpoint = address.to_string().parse().unwrap();
        let controller = Connection::connect(&endpoint, &ConnectionConfig::default())
            .await
            .unwrap();
        let versions = controller
            .send(
                ApiVersionsRequest::default()
                    .with_client_software_name(text("test"))
                    .with_client_software_version(text("1")),
            )
            .await
            .unwrap();
        let keys: Vec<_> = versions.api_keys.iter().map(|api| api.api_key).collect();
        assert!(keys.contains(&19) && keys.contains(&55));
        assert!(!keys.contains(&0) && !keys.contains(&3), "{keys:?}");
        create(&controller, &[("made-by-the-controller", 1)]).await;
        let refused = controller.send_version(metadata(None), 9).await;
        assert!(refused.is_err(), "the connection is closed");
        broker.stop().await.unwrap();
    });
}

#[test]
fn a_broker_that_is_unregistered_is_forgotten_until_it_starts_again() {
    run(async {
        let broker = TestBroker::start(&["node.id=3"]).await.unwrap();
        let connection = connect(&broker).await;
        create(&connection, &[("kept", 2)]).await;
        let unregister = |id: i32| {
            connection.send(UnregisterBrokerRequest::default().with_broker_id(BrokerId(id)))
        };
        let response = unregister(5).await.unwrap();
        assert_eq!(
            (response.error_code, response.error_message.as_deref()),
            (
                ErrorCode::BROKER_ID_NOT_REGISTERED.0,
                Some("Broker ID 5 is not currently registered")
            )
        );
        let response = unregister(3).await.unwrap();
        assert_eq!((response.error_code, response.error_message), (0, None));
        let seen = connection.send(metadata(Some(&["kept"]))).await.unwrap();
        assert!(seen.brokers.is_empty(), "{:?}", seen.brokers);
        let leaders = seen.topics[0].partitions.iter().map(|p| p.leader_id.0);
        assert_eq!(leaders.collect::<Vec<_>>(), [-1, -1]);

        let broker = broker.restart().await.unwrap();
        let connection = connect(&broker).await;
        let seen = connection.send(metadata(Some(&["kept"]))).await.unwrap();
        assert_eq!(seen.brokers.len(), 1);
        let leaders = seen.topics[0].partitions.iter().map(|p| p.leader_id.0);
        assert_eq!(leaders.collect::<Vec<_>>(), [3, 3]);
        broker.stop().await.unwrap();
    });
}
