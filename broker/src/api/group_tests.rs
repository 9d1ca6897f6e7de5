//! The group requests in all their versions, over a coordinator on a log in memory.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::codec::{self, Response};
use kafka_shared::protocol::header::RequestHeader;
use uuid::Uuid;

use super::*;
use crate::coordinator::GroupCoordinator;
use crate::coordinator::testing::{MemoryLog, quick, start};
use crate::metadata::{LeaderRecoveryState, MetadataImage, PartitionRegistration, TopicImage};
use crate::network::ConnectionInfo;

const TOPIC_ID: Uuid = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn cx(key: ApiKey, version: i16) -> RequestContext {
    let address: SocketAddr = "127.0.0.1:5000".parse().unwrap();
    RequestContext {
        header: RequestHeader {
            api_key: key as i16,
            api_version: version,
            correlation_id: 1,
            client_id: Some(text("c")),
        },
        connection: Arc::new(ConnectionInfo {
            id: 1,
            listener: "PLAINTEXT".into(),
            local_addr: address,
            peer_addr: address,
            client_software: OnceLock::new(),
        }),
        received_at: tokio::time::Instant::now(),
    }
}

/// Encodes a response in a version, as the broker does, and reads it back.
fn over_the_wire<R: Response>(response: &R, version: i16) -> R {
    let mut frame = BytesMut::new();
    codec::encode_response(response, version, &mut frame)
        .unwrap_or_else(|error| panic!("version {version}: {error}"));
    let mut frame = frame.freeze();
    codec::decode_response(&mut frame, version).unwrap()
}

/// One topic `t` with two partitions.
fn image() -> MetadataImage {
    let mut image = MetadataImage::default();
    let mut topic = TopicImage::new(TOPIC_ID, "t".into());
    for partition in 0..2 {
        topic.insert(
            partition,
            Arc::new(PartitionRegistration {
                replicas: [1].into(),
                directories: [Uuid::nil()].into(),
                isr: [1].into(),
                removing_replicas: [].into(),
                adding_replicas: [].into(),
                elr: [].into(),
                last_known_elr: [].into(),
                leader: 1,
                leader_recovery_state: LeaderRecoveryState::Recovered,
                leader_epoch: 0,
                partition_epoch: 0,
            }),
        );
    }
    image.topics.insert(topic);
    image
}

fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

async fn joined(groups: &GroupCoordinator, name: &str, version: i16) -> JoinGroupResponse {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"meta"));
    let mut request = JoinGroupRequest::default()
        .with_group_id(group(name))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let cx = cx(ApiKey::JoinGroup, version);
    let response = join_group::handle(groups, &cx, &request).await;
    if response.error_code != ErrorCode::MEMBER_ID_REQUIRED.0 {
        return over_the_wire(&response, version);
    }
    request.member_id = over_the_wire(&response, version).member_id;
    over_the_wire(&join_group::handle(groups, &cx, &request).await, version)
}

fn sync_request(name: &str, member_id: &StrBytes) -> SyncGroupRequest {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(member_id.clone())
        .with_assignment(Bytes::from_static(b"mine"));
    SyncGroupRequest::default()
        .with_group_id(group(name))
        .with_generation_id(1)
        .with_member_id(member_id.clone())
        .with_assignments(vec![assignment])
}

fn with_protocol(request: SyncGroupRequest) -> SyncGroupRequest {
    request
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
}

/// Joins and syncs with the newest versions; returns the member id.
async fn stable(groups: &GroupCoordinator, name: &str) -> StrBytes {
    let member_id = joined(groups, name, 9).await.member_id;
    let request = with_protocol(sync_request(name, &member_id));
    let response = sync_group::handle(groups, &cx(ApiKey::SyncGroup, 5), &request).await;
    assert_eq!(response.error_code, 0);
    member_id
}

#[tokio::test(start_paused = true)]
async fn a_member_lives_in_every_version() {
    let groups = start(&MemoryLog::new(1 << 20), quick()).await;
    for version in 0..=9 {
        let name = format!("g{version}");
        let response = joined(&groups, &name, version).await;
        assert_eq!(
            (response.error_code, response.generation_id),
            (0, 1),
            "version {version}"
        );
        assert_eq!(response.protocol_name.as_deref(), Some("range"));
        assert_eq!(response.protocol_type.is_some(), version >= 7);
        assert_eq!(
            (&response.leader, response.members.len()),
            (&response.member_id, 1)
        );
        assert!(
            response.member_id.starts_with("c-"),
            "{:?}",
            response.member_id
        );

        let version = version.min(5);
        let cx = cx(ApiKey::SyncGroup, version);
        let mut request = sync_request(&name, &response.member_id);
        if version >= 5 {
            let refused = sync_group::handle(&groups, &cx, &request).await;
            let expected = ErrorCode::INCONSISTENT_GROUP_PROTOCOL.0;
            assert_eq!(over_the_wire(&refused, version).error_code, expected);
            request = with_protocol(request);
        }
        let synced = over_the_wire(&sync_group::handle(&groups, &cx, &request).await, version);
        assert_eq!(
            (synced.error_code, &synced.assignment[..]),
            (0, &b"mine"[..])
        );
        assert_eq!(synced.protocol_name.is_some(), version >= 5);

        let request = HeartbeatRequest::default()
            .with_group_id(group(&name))
            .with_generation_id(1)
            .with_member_id(response.member_id.clone());
        let heartbeat = heartbeat::handle(&groups, &request).await;
        assert_eq!(over_the_wire(&heartbeat, version.min(4)).error_code, 0);
        let stale = heartbeat::handle(&groups, &request.with_generation_id(0)).await;
        let expected = ErrorCode::ILLEGAL_GENERATION.0;
        assert_eq!(over_the_wire(&stale, version.min(4)).error_code, expected);

        let member = MemberIdentity::default().with_member_id(response.member_id.clone());
        let request = LeaveGroupRequest::default().with_group_id(group(&name));
        let request = match version {
            ..3 => request.with_member_id(response.member_id),
            _ => request.with_members(vec![member]),
        };
        let cx = self::cx(ApiKey::LeaveGroup, version);
        for expected in [0, ErrorCode::UNKNOWN_MEMBER_ID.0] {
            let left = over_the_wire(&leave_group::handle(&groups, &cx, &request).await, version);
            let error = left
                .members
                .first()
                .map_or(left.error_code, |member| member.error_code);
            assert_eq!(
                (error, left.members.len()),
                (expected, usize::from(version >= 3))
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_join_can_be_told_in_every_version() {
    let groups = start(&MemoryLog::new(1 << 20), quick()).await;
    for version in 0..=9 {
        let request = JoinGroupRequest::default().with_group_id(group("g"));
        let cx = cx(ApiKey::JoinGroup, version);
        let response = over_the_wire(&join_group::handle(&groups, &cx, &request).await, version);
        assert_eq!(response.error_code, ErrorCode::INVALID_SESSION_TIMEOUT.0);
        assert_eq!(
            response.protocol_name.as_deref(),
            if version < 7 { Some("") } else { None }
        );
        assert_eq!(response.generation_id, -1);
    }
}

fn commit_request(version: i16, partitions: &[i32]) -> OffsetCommitRequest {
    let partitions = partitions.iter().map(|partition| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(i64::from(version) * 10 + i64::from(*partition))
            .with_committed_leader_epoch(if version >= 6 { 3 } else { -1 })
            .with_committed_metadata(Some(text("note")))
    });
    let topic = OffsetCommitRequestTopic::default().with_partitions(partitions.collect());
    let unknown = topic
        .clone()
        .with_name(TopicName(text("u")))
        .with_topic_id(Uuid::max());
    let topic = topic
        .with_name(TopicName(text("t")))
        .with_topic_id(TOPIC_ID);
    OffsetCommitRequest::default()
        .with_group_id(group("g"))
        .with_generation_id_or_member_epoch(-1)
        .with_retention_time_ms(-1)
        .with_topics(vec![unknown, topic])
}

#[tokio::test(start_paused = true)]
async fn offsets_are_committed_and_fetched_in_every_version() {
    let groups = start(&MemoryLog::new(1 << 20), quick()).await;
    let image = image();
    for version in 2..=10 {
        let cx = cx(ApiKey::OffsetCommit, version);
        let request = commit_request(version, &[0, 1, 2]);
        let response = offset_commit::handle(&groups, &image, &cx, &request).await;
        let response = over_the_wire(&response, version);
        let unknown = match version {
            10 => ErrorCode::UNKNOWN_TOPIC_ID,
            _ => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        };
        let missing = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let errors = |topic: usize| -> Vec<_> {
            let partitions = &response.topics[topic].partitions;
            partitions
                .iter()
                .map(|p| (p.partition_index, ErrorCode(p.error_code)))
                .collect()
        };
        assert_eq!(errors(0), [(0, unknown), (1, unknown), (2, unknown)]);
        assert_eq!(
            errors(1),
            [(2, missing), (0, ErrorCode::NONE), (1, ErrorCode::NONE)]
        );
        match version {
            10 => assert_eq!(response.topics[1].topic_id, TOPIC_ID),
            _ => assert_eq!(&*response.topics[1].name.0, "t"),
        }

        for fetch_version in 1..=10 {
            fetch_in(&groups, &image, fetch_version, version).await;
        }
    }
}

async fn fetch_in(groups: &GroupCoordinator, image: &MetadataImage, version: i16, commit: i16) {
    let cx = cx(ApiKey::OffsetFetch, version);
    let mut request = OffsetFetchRequest::default();
    if version < 8 {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(TopicName(text("t")))
            .with_partition_indexes(vec![1, 5]);
        request = request
            .with_group_id(group("g"))
            .with_topics(Some(vec![topic]));
    } else {
        let topic = OffsetFetchRequestTopics::default().with_partition_indexes(vec![1, 5]);
        let topic = match version {
            10 => topic.with_topic_id(TOPIC_ID),
            _ => topic.with_name(TopicName(text("t"))),
        };
        let some = OffsetFetchRequestGroup::default().with_group_id(group("g"));
        let all = some.clone().with_topics(None);
        request = request.with_groups(vec![some.with_topics(Some(vec![topic])), all]);
    }
    let response = offset_fetch::handle(groups, image, &cx, request).await;
    let response = over_the_wire(&response, version);
    let expected = i64::from(commit) * 10 + 1;
    let epoch = if commit >= 6 && version >= 5 { 3 } else { -1 };
    if version < 8 {
        let partitions = &response.topics[0].partitions;
        let found = (
            partitions[0].committed_offset,
            partitions[0].committed_leader_epoch,
        );
        assert_eq!(found, (expected, epoch), "fetch {version} commit {commit}");
        assert_eq!(partitions[0].metadata.as_deref(), Some("note"));
        assert_eq!(partitions[1].committed_offset, -1);
        return;
    }
    let some = &response.groups[0].topics[0];
    assert_eq!(some.partitions[0].committed_offset, expected);
    assert_eq!(some.partitions[1].committed_offset, -1);
    let all = &response.groups[1].topics[0];
    assert_eq!(all.partitions.len(), 2);
    match version {
        10 => assert_eq!((some.topic_id, all.topic_id), (TOPIC_ID, TOPIC_ID)),
        _ => assert_eq!((&*some.name.0, &*all.name.0), ("t", "t")),
    }
}

#[tokio::test(start_paused = true)]
async fn offsets_of_topics_that_are_gone_are_told_by_name_but_not_by_id() {
    let groups = start(&MemoryLog::new(1 << 20), quick()).await;
    let commit = commit_request(9, &[0]);
    let cx9 = cx(ApiKey::OffsetCommit, 9);
    offset_commit::handle(&groups, &image(), &cx9, &commit).await;
    let gone = MetadataImage::default();
    for (version, count) in [(9, 1), (10, 0)] {
        let all = OffsetFetchRequestGroup::default()
            .with_group_id(group("g"))
            .with_topics(None);
        let request = OffsetFetchRequest::default().with_groups(vec![all]);
        let cx = cx(ApiKey::OffsetFetch, version);
        let response = offset_fetch::handle(&groups, &gone, &cx, request).await;
        assert_eq!(
            over_the_wire(&response, version).groups[0].topics.len(),
            count
        );
    }
    // A topic that was made again under its name has another id, and no offsets.
    let topic = OffsetFetchRequestTopics::default()
        .with_topic_id(Uuid::max())
        .with_partition_indexes(vec![0]);
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(group("g"))
        .with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![asked]);
    let cx10 = cx(ApiKey::OffsetFetch, 10);
    let response = offset_fetch::handle(&groups, &image(), &cx10, request).await;
    let partition = &over_the_wire(&response, 10).groups[0].topics[0].partitions[0];
    let found = (ErrorCode(partition.error_code), partition.committed_offset);
    assert_eq!(found, (ErrorCode::UNKNOWN_TOPIC_ID, -1));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_group_stands_where_the_version_has_a_place_for_it() {
    let groups = start(&MemoryLog::new(1 << 20), quick()).await;
    groups.on_resignation(0, None);
    let expected = ErrorCode::NOT_COORDINATOR.0;
    for version in 1..=10 {
        let topic = OffsetFetchRequestTopic::default().with_partition_indexes(vec![0]);
        let asked = OffsetFetchRequestGroup::default().with_topics(None);
        let request = match version {
            ..8 => OffsetFetchRequest::default().with_topics(Some(vec![topic])),
            _ => OffsetFetchRequest::default().with_groups(vec![asked]),
        };
        let cx = cx(ApiKey::OffsetFetch, version);
        let response = offset_fetch::handle(&groups, &image(), &cx, request).await;
        let response = over_the_wire(&response, version);
        let error = match version {
            1 => response.topics[0].partitions[0].error_code,
            2..8 => response.error_code,
            _ => response.groups[0].error_code,
        };
        assert_eq!(error, expected, "version {version}");
    }
    let cx = cx(ApiKey::OffsetCommit, 9);
    let request = commit_request(9, &[0]);
    let response = offset_commit::handle(&groups, &image(), &cx, &request).await;
    assert_eq!(
        over_the_wire(&response, 9).topics[1].partitions[0].error_code,
        expected
    );
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_and_described_in_every_version() {
    let groups = start(&MemoryLog::new(1 << 20), quick()).await;
    let member_id = stable(&groups, "g").await;
    for version in 0..=5 {
        let cx = cx(ApiKey::ListGroups, version);
        let response = list_groups::handle(&groups, &cx, &ListGroupsRequest::default()).await;
        let listed = &over_the_wire(&response, version).groups[0];
        assert_eq!(
            (&*listed.group_id.0, &*listed.protocol_type),
            ("g", "consumer")
        );
        assert_eq!(
            &*listed.group_state,
            if version >= 4 { "Stable" } else { "" }
        );
        assert_eq!(
            &*listed.group_type,
            if version >= 5 { "classic" } else { "" }
        );
    }
    let request = ListGroupsRequest::default()
        .with_states_filter(vec![text(" empty "), text("Dead")])
        .with_types_filter(vec![text("Classic")]);
    let response = list_groups::handle(&groups, &cx(ApiKey::ListGroups, 5), &request).await;
    assert_eq!((response.error_code, response.groups.len()), (0, 0));

    for version in 0..=6 {
        let request = DescribeGroupsRequest::default()
            .with_groups(vec![group("g"), group("nope")])
            .with_include_authorized_operations(true);
        let cx = cx(ApiKey::DescribeGroups, version);
        let response = describe_groups::handle(&groups, &cx, &request).await;
        let response = over_the_wire(&response, version);
        let [found, missing] = &response.groups[..] else {
            panic!("{response:?}")
        };
        assert_eq!(
            (&*found.group_state, &*found.protocol_data),
            ("Stable", "range")
        );
        assert_eq!(found.members[0].member_id, member_id);
        assert_eq!(&*found.members[0].client_host, "/127.0.0.1");
        assert_eq!(&found.members[0].member_metadata[..], b"meta");
        assert_eq!(&found.members[0].member_assignment[..], b"mine");
        let operations = if version >= 3 {
            0b1101_0100_1000
        } else {
            i32::MIN
        };
        assert_eq!(found.authorized_operations, operations);
        let error = if version >= 6 {
            ErrorCode::GROUP_ID_NOT_FOUND.0
        } else {
            0
        };
        assert_eq!((&*missing.group_state, missing.error_code), ("Dead", error));
        assert_eq!(missing.error_message.is_some(), version >= 6);
    }
}

#[tokio::test(start_paused = true)]
async fn groups_and_offsets_are_deleted_in_every_version() {
    let groups = start(&MemoryLog::new(1 << 20), quick()).await;
    stable(&groups, "busy").await;
    let commit = commit_request(9, &[0, 1]);
    for version in 0..=2 {
        let cx = cx(ApiKey::OffsetCommit, 9);
        offset_commit::handle(&groups, &image(), &cx, &commit).await;
        let names = ["g", "busy", "nope", "g"].map(group).to_vec();
        let request = DeleteGroupsRequest::default().with_groups_names(names);
        let response = over_the_wire(&delete_groups::handle(&groups, &request).await, version);
        let results: Vec<_> = response
            .results
            .iter()
            .map(|result| (&*result.group_id.0, ErrorCode(result.error_code)))
            .collect();
        let expected = [
            ("g", ErrorCode::NONE),
            ("busy", ErrorCode::NON_EMPTY_GROUP),
            ("nope", ErrorCode::GROUP_ID_NOT_FOUND),
        ];
        assert_eq!(results, expected);
    }
    let cx = cx(ApiKey::OffsetCommit, 9);
    offset_commit::handle(&groups, &image(), &cx, &commit).await;
    let partition = |index| OffsetDeleteRequestPartition::default().with_partition_index(index);
    let topic = |name| {
        OffsetDeleteRequestTopic::default()
            .with_name(TopicName(text(name)))
            .with_partitions([0, 7].map(partition).to_vec())
    };
    let request = OffsetDeleteRequest::default()
        .with_group_id(group("g"))
        .with_topics(vec![topic("t"), topic("u")]);
    let response = offset_delete::handle(&groups, &image(), &request).await;
    let response = over_the_wire(&response, 0);
    let errors = response.topics.iter().flat_map(|topic| &topic.partitions);
    let errors: Vec<_> = errors
        .map(|p| (p.partition_index, ErrorCode(p.error_code)))
        .collect();
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(
        errors,
        [
            (7, unknown),
            (0, ErrorCode::NONE),
            (0, unknown),
            (7, unknown)
        ]
    );
    let request = request.with_group_id(group("nope"));
    let response = offset_delete::handle(&groups, &image(), &request).await;
    assert_eq!(response.error_code, ErrorCode::GROUP_ID_NOT_FOUND.0);
}
