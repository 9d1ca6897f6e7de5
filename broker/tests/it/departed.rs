//! Clients that go away while their request waits: nothing of them is kept.

use std::time::Duration;

use bytes::Bytes;
use kafka_broker::testing::TestBroker;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{
    CreateTopicsRequest, FetchRequest, FindCoordinatorRequest, GroupId, JoinGroupRequest, TopicName,
};
use kafka_shared::client::Connection;

use super::admin::{connect, text};
use super::run;

/// Far longer than the test may take, far shorter than the waits of the requests.
const DEADLINE: Duration = Duration::from_secs(30);
const WAIT_MS: i32 = 300_000;

/// The only connection that there may be, as soon as the one before it is gone.
async fn only_connection(broker: &TestBroker) -> Connection {
    tokio::time::timeout(DEADLINE, connect(broker))
        .await
        .expect("the connection before this one is still held")
}

/// Sends a request that waits, and goes away while it does.
async fn send_and_leave<R>(connection: Connection, request: R, version: i16)
where
    R: kafka_shared::protocol::codec::Request,
{
    let sending = connection.send_version(request, version);
    let waited = tokio::time::timeout(Duration::from_millis(200), sending).await;
    assert!(waited.is_err(), "the request did not wait");
    drop(connection);
}

#[test]
fn a_fetch_and_a_join_that_wait_free_their_connection_when_the_client_goes() {
    run(async {
        let settings = [
            "max.connections=1",
            "group.initial.rebalance.delay.ms=300000",
        ];
        let broker = TestBroker::start(&settings).await.unwrap();
        let connection = only_connection(&broker).await;
        let topic = CreatableTopic::default()
            .with_name(TopicName(text("t")))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let create = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(10_000);
        let created = connection.send(create).await.unwrap();
        assert_eq!(created.topics[0].error_code, 0);
        let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default()
            .with_topic(TopicName(text("t")))
            .with_partitions(vec![partition]);
        let fetch = FetchRequest::default()
            .with_max_wait_ms(WAIT_MS)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        send_and_leave(connection, fetch, 12).await;

        let connection = only_connection(&broker).await;
        let find = FindCoordinatorRequest::default().with_key(text("g"));
        let found = connection.send_version(find, 3).await.unwrap();
        assert_eq!(found.error_code, 0);
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(Bytes::from_static(&[0, 0]));
        let join = JoinGroupRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_session_timeout_ms(60_000)
            .with_rebalance_timeout_ms(WAIT_MS)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        // Before version 4 the first request of a member waits for the group.
        send_and_leave(connection, join, 3).await;

        drop(only_connection(&broker).await);
        broker.stop().await.unwrap();
    });
}
