//! Several log directories in a cluster: disks that fail, fill up, come and go, and moves between them.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use kafka_protocol::messages::{
    AlterReplicaLogDirsRequest, ApiVersionsRequest, DescribeLogDirsRequest, MetadataRequest,
    TopicName,
    alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic},
    metadata_request::MetadataRequestTopic,
};
use kafka_shared::{
    error::ErrorCode,
    protocol::messages::{DescribeLogDirsPartition, DescribeLogDirsResponse},
    types::Uuid,
};
use rskafka::client::{
    ClientBuilder,
    partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling},
};

use super::{
    cluster::{DEADLINE, are_in_sync, connect, create, text, wait},
    record,
};
use crate::{
    log::{
        fsx::faults::{self, Fault},
        meta_properties::MetaProperties,
    },
    metadata::{MetadataImage, PartitionRegistration, topics::directory_id},
    testing::{Cluster, Role},
};

const ROLES: [Role; 3] = [Role::Controller, Role::Broker, Role::Broker];
/// Short times, so that tests need not wait.
const SETTINGS: [&str; 3] = [
    "replica.high.watermark.checkpoint.interval.ms=200",
    // As in Kafka, a leader waits so long for a replica that was in sync a moment ago.
    "replica.lag.time.max.ms=3000",
    "min.insync.replicas=1",
];

fn id_of(dir: &Path) -> Uuid {
    MetaProperties::read(dir)
        .unwrap()
        .unwrap()
        .directory_id
        .unwrap()
}

fn partitions(image: &MetadataImage, topic: &str) -> BTreeMap<i32, Arc<PartitionRegistration>> {
    let topic = image.topics.by_name(topic);
    let partitions = topic.into_iter().flat_map(|topic| topic.partitions());
    partitions
        .map(|(id, partition)| (id, Arc::clone(partition)))
        .collect()
}

/// A topic of three partitions on both brokers, whose directories the metadata knows.
async fn with_topic(cluster: &Cluster) {
    assert_eq!(create(cluster, 2, "t", 2).await, ErrorCode::NONE);
    for node in [2, 3] {
        wait(cluster, node, |image| {
            let is_known = |id: &Uuid| *id != directory_id::UNASSIGNED;
            are_in_sync(image, "t", 2)
                && partitions(image, "t")
                    .values()
                    .all(|p| p.directories.iter().all(is_known))
        })
        .await;
    }
}

async fn describe(cluster: &Cluster, node: i32) -> DescribeLogDirsResponse {
    let connection = connect(cluster.address(node)).await;
    connection
        .send(DescribeLogDirsRequest::default().with_topics(None))
        .await
        .unwrap()
}

/// Error and partitions of a directory, as the broker itself tells.
async fn told(
    cluster: &Cluster,
    node: i32,
    dir: &Path,
) -> (ErrorCode, BTreeMap<i32, DescribeLogDirsPartition>) {
    let response = describe(cluster, node).await;
    let path = dir.display().to_string();
    let result = response
        .results
        .into_iter()
        .find(|result| *result.log_dir == *path)
        .unwrap();
    let topics = result
        .topics
        .into_iter()
        .filter(|topic| &*topic.name.0 == "t");
    let partitions = topics.flat_map(|topic| topic.partitions);
    let partitions = partitions.map(|partition| (partition.partition_index, partition));
    (ErrorCode(result.error_code), partitions.collect())
}

async fn partition(bootstrap: &str, id: i32) -> PartitionClient {
    let brokers = bootstrap.split(',').map(str::to_owned).collect();
    let client = ClientBuilder::new(brokers).build().await.unwrap();
    client
        .partition_client("t", id, UnknownTopicHandling::Retry)
        .await
        .unwrap()
}

/// Writes a record with acks=all, as often as it takes. Returns its offset.
async fn produce(bootstrap: &str, id: i32, value: &str) -> i64 {
    let mut errors = Vec::new();
    let producing = async {
        loop {
            // A new client each time: it asks who leads.
            let once = async {
                let client = partition(bootstrap, id).await;
                client
                    .produce(vec![record(value)], Compression::NoCompression)
                    .await
            };
            match tokio::time::timeout(Duration::from_secs(5), once).await {
                Ok(Ok(offsets)) => return offsets[0],
                Ok(Err(error)) => errors.push(error.to_string()),
                Err(_) => errors.push("no answer".to_owned()),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if let Ok(offset) = tokio::time::timeout(DEADLINE, producing).await {
        return offset;
    }
    let mut seen = Vec::new();
    for address in bootstrap.split(',') {
        let connection = connect(address.parse().unwrap()).await;
        let topic = MetadataRequestTopic::default().with_name(Some(TopicName(text("t"))));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        seen.push(connection.send(request).await);
    }
    panic!("{id} takes no records: {errors:?}, {seen:#?}");
}

async fn values(bootstrap: &str, id: i32) -> Vec<String> {
    let partition = partition(bootstrap, id).await;
    let end = partition.get_offset(OffsetAt::Latest).await.unwrap();
    let (mut next, mut values) = (
        partition.get_offset(OffsetAt::Earliest).await.unwrap(),
        Vec::new(),
    );
    while next < end {
        let (records, _) = partition
            .fetch_records(next, 1..1_000_000, 1_000)
            .await
            .unwrap();
        let from = next;
        for found in records.into_iter().filter(|found| found.offset >= from) {
            next = found.offset + 1;
            values.push(String::from_utf8(found.record.value.unwrap()).unwrap());
        }
    }
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_fails_takes_its_replicas_out_of_service_and_no_others() {
    let mut cluster = Cluster::start_on_dirs(&ROLES, &SETTINGS, 2).await.unwrap();
    with_topic(&cluster).await;
    let lost = cluster.log_dir(2, 1);
    let lost_id = id_of(&lost);
    let image = cluster.node(2).metadata().image();
    let is_lost = |p: &PartitionRegistration| p.directory(2) == Some(lost_id);
    let before = partitions(&image, "t");
    let concerned: Vec<i32> = (before.iter())
        .filter(|(_, p)| is_lost(p))
        .map(|(id, _)| *id)
        .collect();
    assert!(
        (1..=2).contains(&concerned.len()),
        "three replicas on two directories: {before:?}"
    );
    let (at, first) = (cluster.bootstrap(), concerned[0]);
    assert_eq!(produce(&at, first, "before").await, 0);

    faults::set(&lost, Some(Fault::Broken));
    wait(&cluster, 3, |image| {
        partitions(image, "t").values().all(|p| match is_lost(p) {
            true => p.leader == 3 && *p.isr == [3],
            false => p.isr.len() == 2,
        })
    })
    .await;
    let image = cluster.node(3).metadata().image();
    assert!(
        image.cluster.alive_broker(2).is_some(),
        "it is still in the cluster"
    );
    assert_eq!(
        told(&cluster, 2, &lost).await.0,
        ErrorCode::KAFKA_STORAGE_ERROR
    );
    let (error, kept) = told(&cluster, 2, &cluster.log_dir(2, 2)).await;
    assert_eq!((error, kept.len()), (ErrorCode::NONE, 3 - concerned.len()));
    // A try whose answer was lost may have written it, too.
    assert!(produce(&at, first, "elsewhere").await >= 1);
    // The directory that is left leads and follows as before.
    let other = (0..3).find(|id| !concerned.contains(id)).unwrap();
    assert_eq!(produce(&at, other, "there").await, 0);

    // After a restart it is back, with what it had and what it missed.
    let stopped = cluster.stop_node(2).await;
    assert!(
        stopped.is_err(),
        "the directory could not be closed in order"
    );
    faults::set(&lost, None);
    cluster.start_node(2).await.unwrap();
    wait(&cluster, 3, |image| are_in_sync(image, "t", 2)).await;
    let (error, back) = told(&cluster, 2, &lost).await;
    assert_eq!(
        (error, back.keys().copied().collect::<Vec<_>>()),
        (ErrorCode::NONE, concerned)
    );
    let mut found = values(&at, first).await;
    found.dedup();
    assert_eq!(found, ["before", "elsewhere"]);
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_whose_directories_have_all_failed_cannot_go_on() {
    let cluster = Cluster::start_on_dirs(&ROLES, &SETTINGS, 2).await.unwrap();
    with_topic(&cluster).await;
    faults::set(&cluster.log_dir(3, 1), Some(Fault::Broken));
    faults::set(&cluster.log_dir(3, 2), Some(Fault::Broken));
    let why = tokio::time::timeout(DEADLINE, cluster.node(3).failed())
        .await
        .unwrap();
    assert_eq!(why, "no data folder is left");
    wait(&cluster, 2, |image| {
        partitions(image, "t")
            .values()
            .all(|p| p.leader == 2 && *p.isr == [2])
    })
    .await;
    // A try whose answer was lost may have written it, too: this node is told to end, and has not.
    assert!(produce(&cluster.bootstrap(), 0, "goes on").await >= 0);
    for number in [1, 2] {
        faults::set(&cluster.log_dir(3, number), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_may_be_missing_at_a_start_and_a_new_one_may_come() {
    let mut cluster = Cluster::start_on_dirs(&ROLES, &SETTINGS, 2).await.unwrap();
    with_topic(&cluster).await;
    let (away, aside) = (
        cluster.log_dir(3, 2),
        cluster.data_dir(3).with_file_name("aside"),
    );
    let away_id = id_of(&away);
    let at = cluster.bootstrap();
    produce(&at, 0, "1").await;
    cluster.stop_node(3).await.unwrap();
    // The volume is not there: in its place lies something that is no directory.
    crate::log::fsx::rename(&away, &aside).unwrap();
    std::fs::write(&away, b"").unwrap();
    cluster.start_node(3).await.unwrap();
    let is_away = |p: &PartitionRegistration| p.directory(3) == Some(away_id);
    wait(&cluster, 2, |image| {
        let partitions = partitions(image, "t");
        partitions.values().any(|p| is_away(p))
            && partitions
                .values()
                .all(|p| p.isr.contains(&3) != is_away(p))
    })
    .await;
    let image = cluster.node(2).metadata().image();
    assert_eq!(
        image.cluster.broker(3).unwrap().directories,
        [id_of(&cluster.log_dir(3, 1))]
    );
    assert_eq!(
        told(&cluster, 3, &away).await.0,
        ErrorCode::KAFKA_STORAGE_ERROR
    );
    produce(&at, 0, "2").await;

    // It is back, and there is one more that nobody has formatted.
    drop(cluster.stop_node(3).await);
    std::fs::remove_file(&away).unwrap();
    crate::log::fsx::rename(&aside, &away).unwrap();
    cluster.add_log_dir(3);
    cluster.start_node(3).await.unwrap();
    wait(&cluster, 2, |image| are_in_sync(image, "t", 2)).await;
    let mut ids: Vec<Uuid> = (1..=3)
        .map(|number| id_of(&cluster.log_dir(3, number)))
        .collect();
    ids.sort();
    let image = cluster.node(2).metadata().image();
    assert_eq!(image.cluster.broker(3).unwrap().directories, ids);
    assert_eq!(values(&at, 0).await, ["1", "2"]);
    // Two of three new replicas find the new directory emptier than the others.
    assert_eq!(create(&cluster, 2, "next", 2).await, ErrorCode::NONE);
    let new_id = id_of(&cluster.log_dir(3, 3));
    wait(&cluster, 2, |image| {
        let partitions = partitions(image, "next");
        partitions
            .values()
            .filter(|p| p.directory(3) == Some(new_id))
            .count()
            >= 2
    })
    .await;
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_move_between_directories_while_they_are_written() {
    let mut cluster = Cluster::start_on_dirs(&ROLES, &SETTINGS, 2).await.unwrap();
    with_topic(&cluster).await;
    let at = cluster.bootstrap();
    let producing = kafka_shared::task::spawn("produce", {
        let at = at.clone();
        async move {
            for n in 0..300 {
                produce(&at, 0, &n.to_string()).await;
            }
        }
    });
    // There and back on both brokers: one of them leads, the other follows.
    for round in 0..2 {
        for node in [2, 3] {
            let image = cluster.node(node).metadata().image();
            let now = partitions(&image, "t")[&0].directory(node);
            let to = (1..=2)
                .map(|n| cluster.log_dir(node, n))
                .find(|d| Some(id_of(d)) != now)
                .unwrap();
            let topic = AlterReplicaLogDirTopic::default()
                .with_name(TopicName(text("t")))
                .with_partitions(vec![0]);
            let dir = AlterReplicaLogDir::default()
                .with_path(text(&to.display().to_string()))
                .with_topics(vec![topic]);
            let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]);
            let connection = connect(cluster.address(node)).await;
            let response = connection.send(request).await.unwrap();
            let answer = &response.results[0];
            assert_eq!(
                (&*answer.topic_name.0, answer.partitions[0].error_code),
                ("t", 0)
            );
            // The metadata says so before the folder is renamed.
            let (to_id, moved) = (id_of(&to), to.join("t-0"));
            wait(&cluster, node, |image| {
                partitions(image, "t")[&0].directory(node) == Some(to_id)
            })
            .await;
            let arrived = async {
                while !moved.is_dir() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(DEADLINE, arrived).await.unwrap();
            let (_, there) = told(&cluster, node, &to).await;
            assert!(!there[&0].is_future_key, "round {round}");
        }
    }
    producing.await.unwrap();
    let expected: Vec<String> = (0..300).map(|n: i32| n.to_string()).collect();
    let mut found = values(&at, 0).await;
    // A try whose answer was lost may have written a record twice; none is missing, none out of order.
    found.dedup();
    assert_eq!(found, expected);
    wait(&cluster, 2, |image| are_in_sync(image, "t", 2)).await;
    for node in [2, 3] {
        cluster.kill_node(node).await.unwrap();
        cluster.start_node(node).await.unwrap();
        wait(&cluster, node, |image| are_in_sync(image, "t", 2)).await;
    }
    let mut found = values(&at, 0).await;
    found.dedup();
    assert_eq!(found, expected);
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_data_disk_of_a_leader_moves_the_leader_and_no_acknowledged_record_is_lost() {
    let cluster = Cluster::start_on_dirs(&ROLES, &SETTINGS, 1).await.unwrap();
    with_topic(&cluster).await;
    let image = cluster.node(2).metadata().image();
    let led = partitions(&image, "t")
        .into_iter()
        .find(|(_, p)| p.leader == 2);
    let (id, _) = led.expect("three partitions on two brokers");
    let at = cluster.bootstrap();
    assert_eq!(produce(&at, id, "before").await, 0);
    faults::set(&cluster.log_dir(2, 1), Some(Fault::Full));
    let offset = produce(&at, id, "after").await;
    wait(&cluster, 3, |image| partitions(image, "t")[&id].leader == 3).await;
    let why = tokio::time::timeout(DEADLINE, cluster.node(2).failed())
        .await
        .unwrap();
    faults::set(&cluster.log_dir(2, 1), None);
    assert_eq!(why, "no data folder is left");
    assert!(offset >= 1);
    let mut found = values(&at, id).await;
    found.dedup();
    assert_eq!(found, ["before", "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_metadata_disk_ends_the_controller_and_the_others_keep_what_was_answered() {
    let cluster = Cluster::start_on_dirs(&[Role::Both; 3], &SETTINGS, 1)
        .await
        .unwrap();
    assert_eq!(create(&cluster, 1, "before", 3).await, ErrorCode::NONE);
    let active = cluster.active_controller().unwrap();
    let [a, b] = [1, 2, 3]
        .into_iter()
        .filter(|id| *id != active)
        .collect::<Vec<_>>()[..]
    else {
        unreachable!()
    };
    faults::set(&cluster.data_dir(active), Some(Fault::Full));
    // It is taken by the old controller in vain or by the new one.
    let created = create(&cluster, a, "meanwhile", 1).await;
    let why = tokio::time::timeout(DEADLINE, cluster.node(active).failed())
        .await
        .unwrap();
    faults::set(&cluster.data_dir(active), None);
    assert!(why.starts_with("the metadata log failed: cannot "), "{why}");
    let is_there =
        |name: &'static str| move |image: &MetadataImage| image.topics.by_name(name).is_some();
    for node in [a, b] {
        wait(&cluster, node, is_there("before")).await;
        if created == ErrorCode::NONE {
            wait(&cluster, node, is_there("meanwhile")).await;
        }
    }
    let creating = async { while create(&cluster, b, "after", 1).await != ErrorCode::NONE {} };
    tokio::time::timeout(DEADLINE, creating)
        .await
        .expect("another controller is elected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_whose_disk_is_slow_gives_way_and_still_answers() {
    let cluster = Cluster::start_on_dirs(&[Role::Both; 3], &SETTINGS, 1)
        .await
        .unwrap();
    let slow = cluster.active_controller().unwrap();
    faults::set(
        &cluster.data_dir(slow),
        Some(Fault::SlowSync(Duration::from_secs(6))),
    );
    let others: Vec<i32> = (1..=3).filter(|id| *id != slow).collect();
    let elected = async {
        loop {
            let is_active = |id: &&i32| cluster.node(**id).is_active_controller();
            match others.iter().find(is_active) {
                Some(active) => break *active,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let active = tokio::time::timeout(DEADLINE, elected)
        .await
        .expect("another one is elected");
    let creating = async { while create(&cluster, active, "t", 2).await != ErrorCode::NONE {} };
    tokio::time::timeout(DEADLINE, creating)
        .await
        .expect("the cluster goes on");
    // Nobody who asks it waits for its disk.
    let asking = async {
        let connection = connect(cluster.address(slow)).await;
        connection
            .send(ApiVersionsRequest::default())
            .await
            .unwrap()
    };
    tokio::time::timeout(Duration::from_secs(5), asking)
        .await
        .expect("it answers");
    faults::set(&cluster.data_dir(slow), None);
}
