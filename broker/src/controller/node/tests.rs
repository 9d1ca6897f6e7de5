//! A whole node on a real folder.

use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;

use super::super::handle::RequestContext;
use super::super::testing::{TestNode, format_dir, start_node};
use crate::metadata::handle::WaitError;
use crate::metadata::topics::NO_LEADER;
use crate::metadata::{ConfigResource, snapshot};

fn topic(name: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_string(name.to_owned())))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
}

async fn create(node: &TestNode, topics: Vec<CreatableTopic>) {
    let request = CreateTopicsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(30_000);
    let response = node
        .controller()
        .create_topics(&RequestContext::default(), request)
        .await;
    for topic in response.topics {
        assert_eq!(
            ErrorCode(topic.error_code),
            ErrorCode::NONE,
            "{:?}",
            topic.error_message
        );
    }
}

#[tokio::test]
async fn a_topic_is_there_when_create_topics_answers_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let directory_id = format_dir(dir.path());
    let node = start_node(dir.path(), directory_id, -1, |_| {}).await;
    let config = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("retention.ms"))
        .with_value(Some(StrBytes::from_static_str("1000")));
    create(&node, vec![topic("orders", 3).with_configs(vec![config])]).await;
    let image = node.node.metadata.image();
    let orders = image.topics.by_name("orders").unwrap();
    assert_eq!(orders.partition_count(), 3);
    let partition = orders.partition(2).unwrap();
    assert_eq!((partition.leader, &*partition.isr), (1, &[1][..]));
    assert_eq!(*partition.directories, [directory_id]);
    let epoch = node.shutdown().await;

    let node = start_node(dir.path(), directory_id, epoch, |_| {}).await;
    let restarted = node.node.metadata.image();
    let again = restarted.topics.by_name("orders").unwrap();
    assert_eq!(again.id, orders.id);
    let partition = again.partition(2).unwrap();
    assert_eq!(
        (partition.leader, &*partition.isr, partition.leader_epoch),
        (1, &[1][..], 2)
    );
    let resource = ConfigResource::topic("orders");
    assert_eq!(
        &**restarted.configs.value(&resource, "retention.ms").unwrap(),
        "1000"
    );
    assert!(restarted.cluster.broker_epoch(1) > epoch);
    node.shutdown().await;
}

#[tokio::test]
async fn after_a_kill_the_last_leader_leads_again_without_waiting_for_its_old_session() {
    let dir = tempfile::tempdir().unwrap();
    let directory_id = format_dir(dir.path());
    let node = start_node(dir.path(), directory_id, -1, |_| {}).await;
    create(&node, vec![topic("orders", 1)]).await;
    node.node.shutdown().await;

    let node = start_node(dir.path(), directory_id, -1, |_| {}).await;
    let image = node.node.metadata.image();
    let partition = image.topics.partition("orders", 0).unwrap();
    assert_ne!(partition.leader, NO_LEADER);
    assert_eq!(*partition.isr, [1]);
    node.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_and_the_log_after_it_make_the_image_that_the_log_alone_makes() {
    let dir = tempfile::tempdir().unwrap();
    let directory_id = format_dir(dir.path());
    let small = |config: &mut super::NodeConfig| config.snapshot_bytes = 2_000;
    let node = start_node(dir.path(), directory_id, -1, small).await;
    for batch in 0..20 {
        create(&node, vec![topic(&format!("topic-{batch}"), 5)]).await;
    }
    let before = node.node.metadata.image();
    let log_dir = crate::raft::log_store::metadata_dir(dir.path());
    let epoch = node.shutdown().await;
    // Snapshots are written beside the loader.
    let written = async {
        while snapshot::list(&log_dir).unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), written).await;
    waited.unwrap();

    let node = start_node(dir.path(), directory_id, epoch, |_| {}).await;
    let deadline = Duration::from_secs(30);
    let after = node
        .node
        .metadata
        .wait_until(deadline, |image| image.topics.len() == 20)
        .await
        .unwrap();
    for topic in before.topics.iter() {
        let again = after.topics.by_name(&topic.name).unwrap();
        assert_eq!((again.id, again.partition_count()), (topic.id, 5));
    }
    node.shutdown().await;
}

#[tokio::test]
async fn a_node_that_is_dropped_lets_its_threads_end() {
    let dir = tempfile::tempdir().unwrap();
    let directory_id = format_dir(dir.path());
    let node = start_node(dir.path(), directory_id, -1, |_| {}).await;
    let metadata = node.node.metadata.clone();
    let mut status = node.node.raft.status();
    node.controller().shutdown().await;
    drop(node);
    let closed = status.wait_for(|status| status.is_closed);
    let closed = tokio::time::timeout(Duration::from_secs(30), closed).await;
    assert_eq!(closed.unwrap().unwrap().failure, None);
    let ended = metadata
        .wait_for_offset(i64::MAX, Duration::from_secs(30))
        .await;
    assert_eq!(ended.unwrap_err(), WaitError::Closed);
}
