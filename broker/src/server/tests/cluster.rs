//! Clusters of several nodes over real sockets.

use std::time::Duration;

use kafka_protocol::{
    messages::{
        BrokerId, CreateTopicsRequest, DescribeClusterRequest, DescribeQuorumRequest,
        MetadataRequest, TopicName, create_topics_request::CreatableTopic, describe_quorum_request,
        metadata_request::MetadataRequestTopic,
    },
    protocol::StrBytes,
};
use kafka_shared::{
    client::{Connection, ConnectionConfig},
    error::ErrorCode,
};

use crate::{
    metadata::MetadataImage,
    testing::{Cluster, Role},
};

pub(super) const DEADLINE: Duration = Duration::from_secs(30);

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) async fn connect(address: std::net::SocketAddr) -> Connection {
    let endpoint = address.to_string().parse().unwrap();
    let config = ConnectionConfig::default();
    Connection::connect(&endpoint, &config).await.unwrap()
}

pub(super) async fn create(
    cluster: &Cluster,
    node: i32,
    name: &str,
    replication_factor: i16,
) -> ErrorCode {
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(name)))
        .with_num_partitions(3)
        .with_replication_factor(replication_factor);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000);
    let connection = connect(cluster.address(node)).await;
    let response = connection.send(request).await.unwrap();
    ErrorCode(response.topics[0].error_code)
}

/// Waits until a node's metadata is as it should be.
pub(super) async fn wait(cluster: &Cluster, node: i32, is_so: impl Fn(&MetadataImage) -> bool) {
    let metadata = cluster.node(node).metadata().clone();
    let waited = metadata.wait_until(DEADLINE, is_so).await;
    assert!(
        waited.is_ok(),
        "node {node}: {:#?}",
        metadata.image().cluster
    );
}

pub(super) fn are_in_sync(image: &MetadataImage, topic: &str, replicas: usize) -> bool {
    image.topics.by_name(topic).is_some_and(|topic| {
        topic
            .partitions()
            .all(|(_, p)| p.has_leader() && p.isr.len() == replicas)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_take_topics_through_any_of_them_and_know_each_other() {
    let cluster = Cluster::start(3).await.unwrap();
    for node in [1, 2, 3] {
        let name = format!("t{node}");
        assert_eq!(create(&cluster, node, &name, 3).await, ErrorCode::NONE);
        // The answer came when the node that was asked knows the topic.
        assert!(
            cluster
                .node(node)
                .metadata()
                .image()
                .topics
                .by_name(&name)
                .is_some()
        );
    }
    for node in [1, 2, 3] {
        for topic in ["t1", "t2", "t3"] {
            wait(&cluster, node, |image| are_in_sync(image, topic, 3)).await;
        }
        wait(&cluster, node, |image| image.cluster.controllers.len() == 3).await;
        let connection = connect(cluster.address(node)).await;
        let response = connection
            .send(DescribeClusterRequest::default().with_endpoint_type(1))
            .await
            .unwrap();
        let ids: Vec<_> = response.brokers.iter().map(|b| b.broker_id).collect();
        assert_eq!(ids, [BrokerId(1), BrokerId(2), BrokerId(3)]);
        // Twice the same topic: the controller's own answer, wherever it is.
        let again = create(&cluster, node, "t1", 3).await;
        assert_eq!(again, ErrorCode::TOPIC_ALREADY_EXISTS);
        let partition = describe_quorum_request::PartitionData::default();
        let topic = describe_quorum_request::TopicData::default()
            .with_topic_name(TopicName(text("__cluster_metadata")))
            .with_partitions(vec![partition]);
        let quorum = connection
            .send(DescribeQuorumRequest::default().with_topics(vec![topic]))
            .await
            .unwrap();
        let partition = &quorum.topics[0].partitions[0];
        assert_eq!(ErrorCode(partition.error_code), ErrorCode::NONE);
        assert_eq!(partition.current_voters.len(), 3);
    }
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_and_controllers_are_nodes_of_their_own() {
    let roles = [Role::Controller, Role::Broker, Role::Broker];
    let mut cluster = Cluster::start_with(&roles, &[]).await.unwrap();
    assert_eq!(cluster.active_controller(), Some(1));
    assert_eq!(create(&cluster, 2, "t", 2).await, ErrorCode::NONE);
    wait(&cluster, 3, |image| are_in_sync(image, "t", 2)).await;
    // An administrator may ask the controller itself.
    let controller = connect(cluster.controller_address(1)).await;
    let response = controller
        .send(DescribeClusterRequest::default().with_endpoint_type(2))
        .await
        .unwrap();
    assert_eq!(response.controller_id, BrokerId(1));
    assert_eq!(response.brokers.len(), 1);
    // A broker that leaves in order gives its partitions away first.
    cluster.stop_node(3).await.unwrap();
    wait(&cluster, 2, |image| are_in_sync(image, "t", 1)).await;
    wait(&cluster, 2, |image| {
        image.cluster.broker(3).is_some_and(|broker| broker.fenced)
    })
    .await;
    cluster.start_node(3).await.unwrap();
    wait(&cluster, 2, |image| are_in_sync(image, "t", 2)).await;
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_active_controller_dies_the_others_go_on_and_it_comes_back() {
    let settings = [
        "broker.session.timeout.ms=3000",
        "broker.heartbeat.interval.ms=500",
    ];
    let mut cluster = Cluster::start_with(&[Role::Both; 3], &settings)
        .await
        .unwrap();
    assert_eq!(create(&cluster, 1, "before", 3).await, ErrorCode::NONE);
    let first = cluster.active_controller().unwrap();
    cluster.kill_node(first).await.unwrap();
    let left = cluster.running();
    let [a, b] = left[..] else { panic!("{left:?}") };
    // The silence of a dead broker is noticed by a controller that never heard of it.
    wait(&cluster, a, |image| {
        image
            .cluster
            .broker(first)
            .is_some_and(|broker| broker.fenced)
            && are_in_sync(image, "before", 2)
    })
    .await;
    assert_eq!(create(&cluster, b, "meanwhile", 2).await, ErrorCode::NONE);
    cluster.start_node(first).await.unwrap();
    wait(&cluster, a, |image| are_in_sync(image, "before", 3)).await;
    let connection = connect(cluster.address(first)).await;
    let topic = MetadataRequestTopic::default().with_name(Some(TopicName(text("meanwhile"))));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let response = connection.send(request).await.unwrap();
    assert_eq!(ErrorCode(response.topics[0].error_code), ErrorCode::NONE);
    cluster.stop().await.unwrap();
}
