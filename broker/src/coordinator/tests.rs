//! The coordinator over a log in memory, in tokio's paused time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::record::batch::Batch;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::compression::Compression;
use kafka_shared::task;
use tokio::sync::watch;
use uuid::Uuid;

use super::group::classic::{MemberSettings, Protocol};
use super::group::*;
use super::publisher::GroupCoordinatorPublisher;
use super::testing::{MemoryLog, quick, start, until_active};
use super::*;
use crate::metadata::{
    LeaderRecoveryState, MetadataDelta, MetadataImage, MetadataPublisher, PartitionRegistration,
    TopicImage,
};

#[test]
fn groups_are_placed_as_java_places_them() {
    assert_eq!(partition_for("", 50), 0);
    assert_eq!(partition_for("a", 50), 97 % 50);
    assert_eq!(partition_for("group", 50), 98_629_247 % 50);
    // A negative hash code: its absolute value counts, not its low bits, which would say 17.
    assert_eq!(partition_for("orders", 50), 1_008_770_331 % 50);
    // hashCode is Integer.MIN_VALUE, whose absolute value does not fit.
    assert_eq!(partition_for("polygenelubricants", 50), 0);
}

fn join(member_id: &Arc<str>) -> JoinRequest {
    JoinRequest {
        version: 9,
        group_id: "g".into(),
        member_id: member_id.clone(),
        instance_id: None,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        protocol_type: "consumer".into(),
        settings: MemberSettings {
            protocols: vec![Protocol {
                name: "range".into(),
                metadata: Bytes::from("m"),
            }],
            rebalance_timeout_ms: 60_000,
            session_timeout_ms: 10_000,
        },
        new_member_uuid: kafka_shared::types::random_uuid(),
    }
}

fn sync(
    member_id: &Arc<str>,
    generation_id: i32,
    assignments: &[(Arc<str>, Bytes)],
) -> SyncRequest {
    SyncRequest {
        group_id: "g".into(),
        generation_id,
        member_id: member_id.clone(),
        instance_id: None,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments.to_vec(),
    }
}

fn commit(group_id: &str, partitions: impl IntoIterator<Item = i32>, offset: i64) -> CommitRequest {
    let partition = |partition| CommitPartition {
        partition,
        offset,
        leader_epoch: -1,
        metadata: None,
    };
    CommitRequest {
        version: 9,
        group_id: group_id.into(),
        member_id: "".into(),
        instance_id: None,
        generation_id: -1,
        retention_time_ms: -1,
        topics: vec![TopicItems {
            topic: "t".into(),
            topic_id: Uuid::nil(),
            partitions: partitions.into_iter().map(partition).collect(),
        }],
    }
}

async fn fetch(coordinator: &GroupCoordinator, group_id: &str, require_stable: bool) -> Vec<i64> {
    let request = FetchRequest {
        group_id: group_id.into(),
        topics: None,
        require_stable,
    };
    let topics = coordinator.fetch_offsets(request).await.unwrap();
    topics
        .into_iter()
        .flat_map(|topic| topic.partitions)
        .map(|found| found.offset)
        .collect()
}

async fn generation(coordinator: &Arc<GroupCoordinator>, ids: &[Arc<str>]) -> Vec<JoinReply> {
    let joins = ids.iter().map(|id| {
        let (coordinator, request) = (Arc::clone(coordinator), join(id));
        task::spawn(
            "test-join",
            async move { coordinator.join_group(request).await },
        )
    });
    let mut replies = Vec::new();
    for join in joins.collect::<Vec<_>>() {
        replies.push(join.await.unwrap());
    }
    replies
}

async fn member_id(coordinator: &GroupCoordinator) -> Arc<str> {
    let reply = coordinator.join_group(join(&"".into())).await;
    assert_eq!(reply.error, ErrorCode::MEMBER_ID_REQUIRED);
    reply.member_id
}

#[tokio::test(start_paused = true)]
async fn three_members_share_a_group_and_find_it_again_after_a_restart() {
    let log = MemoryLog::new(1 << 20);
    let coordinator = start(&log, quick()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(member_id(&coordinator).await);
    }
    let joined = generation(&coordinator, &ids).await;
    assert!(
        joined
            .iter()
            .all(|reply| reply.error.is_none() && reply.generation_id == 1)
    );
    let leader = joined
        .iter()
        .find(|reply| !reply.members.is_empty())
        .unwrap();
    assert_eq!(Some(&leader.member_id), leader.leader.as_ref());
    assert_eq!(leader.members.len(), 3);

    let assignments: Vec<_> = ids
        .iter()
        .map(|id| (id.clone(), Bytes::copy_from_slice(id.as_bytes())))
        .collect();
    let mut syncs = Vec::new();
    for id in &ids {
        let assignments = if *id == leader.member_id {
            &assignments[..]
        } else {
            &[]
        };
        let (coordinator, request) = (Arc::clone(&coordinator), sync(id, 1, assignments));
        let answer = async move { coordinator.sync_group(request).await };
        syncs.push((id, task::spawn("test-sync", answer)));
    }
    for (id, reply) in syncs {
        let reply = reply.await.unwrap();
        assert_eq!(
            (reply.error, &reply.assignment[..]),
            (ErrorCode::NONE, id.as_bytes())
        );
    }
    let request = CommitRequest {
        member_id: ids[0].clone(),
        generation_id: 1,
        ..commit("g", [0, 1], 42)
    };
    let committed = coordinator.commit_offsets(request).await.unwrap();
    assert!(
        committed[0]
            .partitions
            .iter()
            .all(|partition| partition.error.is_none())
    );
    coordinator.shutdown().await;
    assert_eq!(
        coordinator.join_group(join(&ids[0])).await.error,
        ErrorCode::COORDINATOR_NOT_AVAILABLE
    );

    let coordinator = start(&log, quick()).await;
    assert_eq!(fetch(&coordinator, "g", false).await, [42, 42]);
    let group = coordinator.describe_group("g".into(), 6).await.unwrap();
    assert_eq!((group.state, group.members.len()), ("Stable", 3));
    let heartbeat = HeartbeatRequest {
        group_id: "g".into(),
        generation_id: 1,
        member_id: ids[1].clone(),
        instance_id: None,
    };
    assert_eq!(coordinator.heartbeat(heartbeat.clone()).await, Ok(()));
    // Nobody else shows up: after a session time-out the others are out.
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(coordinator.heartbeat(heartbeat.clone()).await, Ok(()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rejoin = Err(ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(coordinator.heartbeat(heartbeat).await, rejoin);
    let joined = generation(&coordinator, &ids[1..2]).await;
    assert_eq!((joined[0].generation_id, joined[0].members.len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_the_high_watermark_and_reads_see_no_more_than_that() {
    let log = MemoryLog::new(1 << 20);
    let coordinator = start(&log, quick()).await;
    coordinator
        .commit_offsets(commit("g", [0], 1))
        .await
        .unwrap();
    log.state.lock().commits = false;
    let answer = {
        let coordinator = Arc::clone(&coordinator);
        let request = commit("g", [0], 2);
        task::spawn("test-commit", async move {
            coordinator.commit_offsets(request).await
        })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!answer.is_finished());
    assert_eq!(fetch(&coordinator, "g", false).await, [1]);
    log.commit();
    assert!(answer.await.unwrap().is_ok());
    assert_eq!(fetch(&coordinator, "g", false).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_committed_in_time_is_an_error() {
    let log = MemoryLog::new(1 << 20);
    let coordinator = start(&log, quick()).await;
    log.state.lock().commits = false;
    let started = tokio::time::Instant::now();
    let result = coordinator.commit_offsets(commit("g", [0], 2)).await;
    assert_eq!(result, Err(ErrorCode::COORDINATOR_NOT_AVAILABLE));
    assert_eq!(started.elapsed().as_millis(), 5000);
    let request = FetchRequest {
        group_id: "g".into(),
        topics: None,
        require_stable: true,
    };
    let result = coordinator.fetch_offsets(request).await;
    assert_eq!(result, Err(ErrorCode::NOT_COORDINATOR));
    // A group that could not be committed in time answers its first member.
    let reply = coordinator.join_group(join(&"".into())).await;
    assert_eq!(reply.error, ErrorCode::MEMBER_ID_REQUIRED);
    log.commit();
    assert_eq!(fetch(&coordinator, "g", false).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_appended_did_not_happen() {
    let log = MemoryLog::new(1 << 20);
    let coordinator = start(&log, quick()).await;
    coordinator
        .commit_offsets(commit("g", [0], 1))
        .await
        .unwrap();
    let errors = [
        (
            ErrorCode::NOT_ENOUGH_REPLICAS,
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ),
        (
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ErrorCode::NOT_COORDINATOR,
        ),
        (ErrorCode::KAFKA_STORAGE_ERROR, ErrorCode::NOT_COORDINATOR),
        (
            ErrorCode::MESSAGE_TOO_LARGE,
            ErrorCode::UNKNOWN_SERVER_ERROR,
        ),
        (
            ErrorCode::INVALID_PRODUCER_EPOCH,
            ErrorCode::INVALID_PRODUCER_EPOCH,
        ),
    ];
    for (appended, answered) in errors {
        log.state.lock().fail = Some(appended);
        let result = coordinator.commit_offsets(commit("g", [0], 2)).await;
        assert_eq!(result, Err(answered), "{appended:?}");
        assert_eq!(fetch(&coordinator, "g", true).await, [1]);
    }
    // One commit is one batch, however large.
    let result = coordinator.commit_offsets(commit("g", 0..40_000, 2)).await;
    assert_eq!(result.err(), Some(ErrorCode::UNKNOWN_SERVER_ERROR));
    assert_eq!(fetch(&coordinator, "g", true).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn concurrent_commits_share_a_batch() {
    let log = MemoryLog::new(1 << 20);
    let coordinator = start(&log, quick()).await;
    let commits: Vec<_> = (0..20)
        .map(|n| {
            let coordinator = Arc::clone(&coordinator);
            let request = commit(&format!("g{n}"), [0, 1], n);
            task::spawn("test-commit", async move {
                coordinator.commit_offsets(request).await
            })
        })
        .collect();
    for commit in commits {
        assert!(commit.await.unwrap().is_ok());
    }
    assert_eq!(log.batch_sizes(), [40]);
    for n in 0..20 {
        assert_eq!(fetch(&coordinator, &format!("g{n}"), false).await, [n, n]);
    }
}

#[tokio::test(start_paused = true)]
async fn batches_are_compressed_if_so_configured_and_can_be_loaded() {
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let log = MemoryLog::new(1 << 20);
        let config = GroupCoordinatorConfig {
            offsets_topic_compression: codec,
            ..quick()
        };
        let coordinator = start(&log, config).await;
        coordinator
            .commit_offsets(commit("g", 0..100, 7))
            .await
            .unwrap();
        coordinator.shutdown().await;
        let batch = log.state.lock().batches[0].clone();
        assert_eq!(Batch::parse(&batch).unwrap().compression(), Ok(codec));
        assert!(batch.len() < 2_000, "{codec:?}: {}", batch.len());
        let coordinator = start(&log, quick()).await;
        assert_eq!(fetch(&coordinator, "g", false).await, [7; 100]);
    }
}

#[tokio::test(start_paused = true)]
async fn commits_that_do_not_fit_into_one_batch_go_into_several() {
    let log = MemoryLog::new(700);
    let coordinator = start(&log, quick()).await;
    let commits: Vec<_> = (0..20)
        .map(|n| {
            let coordinator = Arc::clone(&coordinator);
            let request = commit("g", [n, n + 100], 7);
            task::spawn("test-commit", async move {
                coordinator.commit_offsets(request).await
            })
        })
        .collect();
    for commit in commits {
        assert!(commit.await.unwrap().is_ok());
    }
    let sizes = log.batch_sizes();
    assert!(sizes.len() > 1 && sizes.len() < 10, "{sizes:?}");
    assert_eq!(sizes.iter().sum::<i32>(), 40);
    assert!(
        sizes.iter().all(|size| size % 2 == 0),
        "a commit is not split: {sizes:?}"
    );

    // Expiry is no single operation and may be split anywhere.
    coordinator.on_topics_deleted(vec![(Uuid::nil(), "t".into())]);
    let wait = async {
        while !fetch(&coordinator, "g", false).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap();
    assert_eq!(log.batch_sizes().iter().sum::<i32>(), 80);
}

#[tokio::test(start_paused = true)]
async fn resignation_sends_those_who_wait_to_another_coordinator() {
    let log = MemoryLog::new(1 << 20);
    let coordinator = start(&log, quick()).await;
    let id = member_id(&coordinator).await;
    let waiting = {
        let (coordinator, request) = (Arc::clone(&coordinator), join(&id));
        task::spawn(
            "test-join",
            async move { coordinator.join_group(request).await },
        )
    };
    tokio::time::sleep(Duration::from_millis(10)).await;
    // An old epoch, and the one that we lead in, change nothing.
    coordinator.on_resignation(0, Some(3));
    assert!(!waiting.is_finished());
    coordinator.on_resignation(0, Some(4));
    assert_eq!(waiting.await.unwrap().error, ErrorCode::NOT_COORDINATOR);
    let result = coordinator.commit_offsets(commit("g", [0], 1)).await;
    assert_eq!(result, Err(ErrorCode::NOT_COORDINATOR));
    assert_eq!(coordinator.list_groups(vec![], vec![]).await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_replica_is_gone_is_served_again_after_an_election() {
    let log = MemoryLog::new(1 << 20);
    let coordinator = start(&log, quick()).await;
    coordinator
        .commit_offsets(commit("g", [0], 1))
        .await
        .unwrap();
    *log.high_watermark.lock() = None;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let result = coordinator.commit_offsets(commit("g", [0], 2)).await;
    assert_eq!(result, Err(ErrorCode::NOT_COORDINATOR));
    *log.high_watermark.lock() = Some(watch::Sender::new(1));
    coordinator.on_election(0, 3);
    let wait = async {
        while coordinator
            .commit_offsets(commit("g", [1], 2))
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap();
    assert_eq!(fetch(&coordinator, "g", false).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_somebody_else_wrote_to_is_loaded_again() {
    let log = MemoryLog::new(1 << 20);
    let coordinator = start(&log, quick()).await;
    coordinator
        .commit_offsets(commit("g", [0], 1))
        .await
        .unwrap();
    let record = Record::OffsetCommit {
        group_id: "g".into(),
        topic: "u".into(),
        partition: 5,
        value: Some(offsets::OffsetAndMetadata {
            offset: 9,
            leader_epoch: -1,
            metadata: "".into(),
            commit_timestamp_ms: 0,
            expire_timestamp_ms: None,
            topic_id: Uuid::nil(),
            record_offset: -1,
        }),
    };
    let (key, value) = record.encode().unwrap();
    let mut batch = BatchBuilder::new();
    batch.append(0, Some(&key), value.as_deref(), &[]).unwrap();
    log.intrude(&batch.build());
    let result = coordinator.commit_offsets(commit("g", [0], 2)).await;
    assert_eq!(result, Err(ErrorCode::NOT_COORDINATOR));
    let loading = coordinator.commit_offsets(commit("g", [0], 2)).await;
    assert_eq!(loading, Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS));
    until_active(&coordinator).await;
    // The commit was refused, but it is in the log: a client that tries again changes nothing.
    assert_eq!(fetch(&coordinator, "g", false).await, [2, 9]);
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_transaction_count_from_its_marker_on() {
    let log = MemoryLog::new(1 << 20);
    let offset = |offset| Record::OffsetCommit {
        group_id: "g".into(),
        topic: "t".into(),
        partition: 0,
        value: Some(offsets::OffsetAndMetadata {
            offset,
            leader_epoch: -1,
            metadata: "".into(),
            commit_timestamp_ms: 0,
            expire_timestamp_ms: None,
            topic_id: Uuid::nil(),
            record_offset: -1,
        }),
    };
    let append = |producer_id, record: Record| {
        let (key, value) = record.encode().unwrap();
        let mut batch = BatchBuilder::new()
            .with_producer(producer_id, 0, 0)
            .with_transactional(true);
        batch.append(0, Some(&key), value.as_deref(), &[]).unwrap();
        log.intrude(&batch.build());
    };
    let mark = |producer_id, is_commit: u8| {
        let mut batch = BatchBuilder::new()
            .with_producer(producer_id, 0, -1)
            .with_transactional(true)
            .with_control(true);
        batch
            .append(0, Some(&[0, 0, 0, is_commit]), Some(&[0; 6]), &[])
            .unwrap();
        log.intrude(&batch.build());
    };
    append(1, offset(10));
    mark(1, 1);
    append(2, offset(20));
    mark(2, 0);
    append(3, offset(30));
    log.commit();
    let coordinator = start(&log, quick()).await;
    assert_eq!(fetch(&coordinator, "g", false).await, [10]);
    let request = FetchRequest {
        group_id: "g".into(),
        topics: None,
        require_stable: true,
    };
    let topics = coordinator.fetch_offsets(request).await.unwrap();
    assert_eq!(
        topics[0].partitions[0].error,
        ErrorCode::UNSTABLE_OFFSET_COMMIT
    );
    assert_eq!(topics[0].partitions[0].offset, -1);
}

#[tokio::test(start_paused = true)]
async fn requests_are_checked_before_a_shard_is_asked() {
    let log = MemoryLog::new(1 << 20);
    let coordinator = start(&log, quick()).await;
    for (timeout_ms, is_valid) in [
        (5_999, false),
        (6_000, true),
        (1_800_000, true),
        (1_800_001, false),
    ] {
        let mut request = join(&"".into());
        request.settings.session_timeout_ms = timeout_ms;
        let expected = match is_valid {
            true => ErrorCode::MEMBER_ID_REQUIRED,
            false => ErrorCode::INVALID_SESSION_TIMEOUT,
        };
        assert_eq!(
            coordinator.join_group(request).await.error,
            expected,
            "{timeout_ms}"
        );
    }
    let request = JoinRequest {
        group_id: "".into(),
        ..join(&"".into())
    };
    assert_eq!(
        coordinator.join_group(request).await.error,
        ErrorCode::INVALID_GROUP_ID
    );
    let request = SyncRequest {
        group_id: "".into(),
        ..sync(&"m".into(), 1, &[])
    };
    assert_eq!(
        coordinator.sync_group(request).await.error,
        ErrorCode::INVALID_GROUP_ID
    );
    let request = LeaveRequest {
        group_id: "nope".into(),
        members: vec![],
    };
    assert_eq!(coordinator.leave_group(request).await, Ok(vec![]));
    // Simple consumers may use the empty name.
    assert!(coordinator.commit_offsets(commit("", [0], 1)).await.is_ok());
    assert_eq!(fetch(&coordinator, "", false).await, [1]);
}

/// An image whose `__consumer_offsets` has one partition, and which has `t`.
fn image(leader: i32, leader_epoch: i32) -> Arc<MetadataImage> {
    let mut image = MetadataImage::default();
    for (id, name) in [(1000, GROUP_METADATA_TOPIC_NAME), (1001, "t")] {
        let mut topic = TopicImage::new(Uuid::from_u128(id), name.into());
        topic.insert(
            0,
            Arc::new(PartitionRegistration {
                replicas: [1, 2].into(),
                directories: [Uuid::nil(); 2].into(),
                isr: [1, 2].into(),
                removing_replicas: [].into(),
                adding_replicas: [].into(),
                elr: [].into(),
                last_known_elr: [].into(),
                leader,
                leader_recovery_state: LeaderRecoveryState::Recovered,
                leader_epoch,
                partition_epoch: leader_epoch,
            }),
        );
        image.topics.insert(topic);
    }
    Arc::new(image)
}

#[tokio::test(start_paused = true)]
async fn the_coordinator_follows_the_metadata() {
    let log = MemoryLog::new(1 << 20);
    let clock = Arc::new(testing::TokioClock(tokio::time::Instant::now()));
    let coordinator = GroupCoordinator::new(quick(), Arc::clone(&log) as _, clock);
    let unavailable = coordinator.commit_offsets(commit("g", [0], 1)).await;
    assert_eq!(unavailable, Err(ErrorCode::COORDINATOR_NOT_AVAILABLE));
    let publisher = GroupCoordinatorPublisher::new(Arc::clone(&coordinator), 1);
    let mut current = Arc::new(MetadataImage::default());
    let mut publish = |next: Arc<MetadataImage>| {
        let delta = MetadataDelta::between(&current, &next);
        publisher.on_metadata_update(&delta, &next);
        current = next;
    };
    publish(Arc::new(MetadataImage::default()));
    assert_eq!(coordinator.partition_for("orders"), Ok(31));
    publish(image(2, 2));
    assert_eq!(coordinator.partition_for("orders"), Ok(0));
    let elsewhere = coordinator.commit_offsets(commit("g", [0], 1)).await;
    assert_eq!(elsewhere, Err(ErrorCode::NOT_COORDINATOR));
    publish(image(1, 3));
    until_active(&coordinator).await;
    coordinator
        .commit_offsets(commit("g", [0], 1))
        .await
        .unwrap();

    // `t` is deleted: what the group consumed of it is forgotten.
    let mut without = MetadataImage::clone(&image(1, 3));
    without.topics.remove(Uuid::from_u128(1001));
    publish(Arc::new(without));
    let wait = async {
        while !fetch(&coordinator, "g", false).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap();

    publish(image(2, 4));
    let elsewhere = coordinator.commit_offsets(commit("g", [0], 1)).await;
    assert_eq!(elsewhere, Err(ErrorCode::NOT_COORDINATOR));
}

/// The file has a classic, a consumer and a share group; see PROVENANCE.txt beside it.
#[tokio::test(start_paused = true)]
async fn a_log_of_apache_kafka_is_loaded_with_the_groups_of_types_that_are_not_served() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/tests/golden/consumer_offsets.log"
    );
    let log = MemoryLog::with_batches(&std::fs::read(path).unwrap());
    let coordinator = start(&log, quick()).await;
    let groups = coordinator.list_groups(vec![], vec![]).await.unwrap();
    let told = groups
        .iter()
        .map(|group| (&*group.group_id, group.state, group.group_type));
    let expected = [
        ("golden-classic", "Empty", GroupType::Classic),
        ("golden-consumer", "Unknown", GroupType::Consumer),
        ("golden-share", "Unknown", GroupType::Share),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(fetch(&coordinator, "golden-classic", false).await, [5]);
    assert_eq!(fetch(&coordinator, "golden-consumer", false).await, [5]);

    // They are left alone, also when their offsets are old.
    let before = log.batch_sizes().len();
    tokio::time::sleep(Duration::from_secs(30 * 24 * 60 * 60)).await;
    let ids = vec!["golden-consumer".into(), "golden-share".into()];
    for (_, error) in coordinator.delete_groups(ids).await {
        assert_eq!(error, ErrorCode::NON_EMPTY_GROUP);
    }
    let groups = coordinator.list_groups(vec![], vec![]).await.unwrap();
    assert_eq!(groups.len(), 2, "the classic group has expired: {groups:?}");
    assert_eq!(log.batch_sizes().len(), before + 1);
    assert_eq!(fetch(&coordinator, "golden-consumer", false).await, [5]);
}
