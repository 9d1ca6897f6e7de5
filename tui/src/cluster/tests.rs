use std::sync::Arc;

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterResponse, GroupId, MetadataResponse, TopicName,
};
use kafka_shared::protocol::StrBytes;
use kafka_shared::time::MockClock;

use super::consumer_protocol::{
    decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};
use super::*;
use crate::model::{FaultKind, GroupState, TopicAssignment};
use crate::ops::ProduceMessage;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

#[test]
fn a_metadata_answer_is_sorted_and_brokers_that_are_fenced_are_added() {
    let broker = |id: i32| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(id))
            .with_host(text("h"))
    };
    let partition = |id: i32, leader: i32| {
        MetadataResponsePartition::default()
            .with_partition_index(id)
            .with_leader_id(BrokerId(leader))
            .with_replica_nodes(vec![BrokerId(2), BrokerId(1)])
    };
    let topic = |name: &str| {
        MetadataResponseTopic::default()
            .with_name(Some(TopicName::from(text(name))))
            .with_partitions(vec![partition(1, -1), partition(0, 2)])
    };
    let response = MetadataResponse::default()
        .with_brokers(vec![broker(2), broker(1)])
        .with_topics(vec![
            topic("b"),
            topic("a"),
            MetadataResponseTopic::default().with_name(None),
        ]);
    let mut metadata = metadata::from_metadata(response).unwrap();
    let names: Vec<&str> = metadata.topics.iter().map(|topic| &*topic.name).collect();
    assert_eq!(names, ["a", "b"], "a topic without a name is no topic");
    let topic = metadata.topic("a").unwrap();
    assert_eq!(
        (topic.id, topic.partitions[0].id, topic.partitions[0].leader),
        (None, 0, 2)
    );
    assert!(!topic.partitions[1].has_leader());

    let described = |id: i32, fenced: bool| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(id))
            .with_is_fenced(fenced)
    };
    let described = DescribeClusterResponse::default()
        .with_brokers(vec![described(3, true), described(1, false)]);
    metadata::add_description(&mut metadata, &described);
    let fenced: Vec<_> = metadata.brokers.iter().map(|b| (b.id, b.fenced)).collect();
    assert_eq!(fenced, [(1, Some(false)), (2, None), (3, Some(true))]);
}

#[test]
fn an_error_of_the_whole_answer_is_a_fault() {
    let response = MetadataResponse::default().with_error_code(31);
    let fault = metadata::from_metadata(response).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(
        fault.why.starts_with("CLUSTER_AUTHORIZATION_FAILED"),
        "{}",
        fault.why
    );
}

#[test]
fn what_members_tell_each_other_is_read_and_written() {
    let topics = vec!["a".to_owned(), "b".to_owned()];
    let subscription = decode_subscription(&encode_subscription(&topics).unwrap()).unwrap();
    assert_eq!(subscription.topics, [Arc::from("a"), Arc::from("b")]);
    let owned = |topic: &str, partitions: &[i32]| TopicAssignment {
        topic: Arc::from(topic),
        partitions: partitions.into(),
    };
    let assignment = [owned("a", &[0, 2]), owned("b", &[1])];
    assert_eq!(
        decode_assignment(&encode_assignment(&assignment).unwrap()).unwrap(),
        assignment
    );
    assert_eq!(
        decode_assignment(&[]).unwrap(),
        [],
        "a member that waits has nothing"
    );
}

#[test]
fn members_with_foreign_bytes_are_shown_with_the_reason() {
    let member = |id: &str, assignment: &'static [u8]| {
        DescribedGroupMember::default()
            .with_member_id(text(id))
            .with_member_assignment(bytes::Bytes::from_static(assignment))
    };
    let group = DescribedGroup::default()
        .with_group_id(GroupId::from(text("g")))
        .with_group_state(text("Stable"))
        .with_protocol_type(text("consumer"))
        .with_members(vec![
            member("b", &[0, 0, 0x7f, 0xff, 0xff, 0xff]),
            member("a", &[0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
        ]);
    let described = groups::from_classic(&group, 4);
    assert_eq!(
        (&described.state, described.coordinator),
        (&GroupState::Stable, 4)
    );
    assert_eq!(
        (&*described.members[0].id, &described.members[0].undecoded),
        ("a", &None)
    );
    let reason = described.members[1].undecoded.as_deref().unwrap();
    assert!(reason.starts_with("assignment:"), "{reason}");
    let connect = group.with_protocol_type(text("connect"));
    let reason = groups::from_classic(&connect, 4).members[1]
        .undecoded
        .clone()
        .unwrap();
    assert_eq!(reason, "assignment: protocol type \"connect\"");
}

#[test]
fn keys_are_hashed_as_by_kafkas_producers() {
    for (key, hash) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        (
            "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
            -58_897_971,
        ),
        ("abc", 479_470_107),
    ] {
        assert_eq!(
            produce::murmur2(key.as_bytes()).cast_signed(),
            hash,
            "{key}"
        );
    }
}

#[test]
fn a_record_without_a_key_goes_where_there_is_a_leader() {
    let topic = crate::derive::test_topic("t", &[(&[1], &[], -1), (&[2], &[2], 2)]);
    for seed in -3..3 {
        let chosen = produce::choose_partition(&ProduceMessage::default(), &topic, seed);
        assert_eq!(chosen, Some(1));
    }
    let dead = crate::derive::test_topic("t", &[(&[1], &[], -1)]);
    assert_eq!(
        produce::choose_partition(&ProduceMessage::default(), &dead, 0),
        None
    );
}

#[test]
fn an_unreachable_cluster_is_told_at_once_with_what_to_do() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let options = ConnectOptions::new(vec![format!("127.0.0.1:{port}").parse().unwrap()]);
        let client = ClusterClient::new(options, Arc::new(MockClock::new(0)));
        let fault = client.metadata().await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unreachable);
        assert!(
            fault.why.contains(&format!("127.0.0.1:{port}")),
            "{}",
            fault.why
        );
        assert!(fault.hint.is_some());
    });
}
