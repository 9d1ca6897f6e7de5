//! How data moves: throttles, unclean elections, fetchers, log directories.

use std::sync::Arc;
use std::time::Duration;

use kafka_shared::error::ErrorCode;
use kafka_shared::schema::metadata::PartitionChangeRecord;
use kafka_shared::time::{Clock, MockClock, SystemClock};

use super::cluster::{Cluster, directory, one, until, values};
use super::small_segments;
use crate::log::LogConfig;
use crate::metadata::ConfigResource;
use crate::replica::append::ACKS_ALL;
use crate::replica::testing::batch;

fn add_replica(cluster: &Cluster, topic: &str, partition: i32, replicas: &[i32]) {
    let image = cluster.controller.image();
    cluster.controller.write(PartitionChangeRecord {
        partition_id: partition,
        topic_id: image.topics.id_of(topic).unwrap(),
        replicas: Some(replicas.to_vec()),
        adding_replicas: Some(vec![*replicas.last().unwrap()]),
        directories: Some(replicas.iter().map(|id| directory(*id)).collect()),
        leader: -2,
        ..Default::default()
    });
}

/// Throttles go by a wall clock that stands still until it is told to move; all else goes on.
#[derive(Debug)]
struct HeldWall {
    system: SystemClock,
    wall: MockClock,
}

impl Clock for HeldWall {
    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }

    fn wall_ms(&self) -> i64 {
        self.wall.wall_ms()
    }
}

/// A cluster whose replicas 1 and 2 of `t` hold thirty records of ten kilobytes, and whose third
/// replica is about to fetch them, throttled to two of them a second on the side of its `leader` or
/// of the `follower`.
async fn throttled(side: &str) -> (Cluster, Arc<HeldWall>) {
    let clock = Arc::new(HeldWall {
        system: SystemClock::new(),
        wall: MockClock::new(SystemClock::new().wall_ms()),
    });
    let one_fetch = 21_000;
    let cluster = Cluster::start_with(3, 30, LogConfig::default(), clock.clone(), one_fetch).await;
    cluster.create_topic("t", 1, &[&[1, 2]]);
    cluster.settled("t", 0).await;
    let broker = if side == "leader" { 1 } else { 3 };
    let limit = format!("{side}.replication.throttled.rate");
    cluster.configure(&ConfigResource::broker(broker), &limit, Some("20000"));
    let replicas = format!("{side}.replication.throttled.replicas");
    cluster.configure(&ConfigResource::topic("t"), &replicas, Some("0:1,0:3"));
    until("the throttle is known", || {
        let replicas = cluster.replicas(broker).unwrap();
        let quotas = replicas.quotas();
        quotas.leader.is_in_use() || quotas.follower.is_in_use()
    })
    .await;
    for _ in 0..30 {
        let appended = cluster.append(1, "t", 0, 1, one(&"x".repeat(10_000))).await;
        assert_eq!(appended.error, ErrorCode::NONE);
    }
    // The replica in sync is not held back, though it uses up the leader's quota.
    cluster.settled("t", 0).await;
    add_replica(&cluster, "t", 0, &[1, 2, 3]);
    until("the third replica is there", || {
        cluster.partition(3, "t", 0).is_some()
    })
    .await;
    (cluster, clock)
}

/// Without the throttle the third replica gets all at once.
async fn unthrottled(cluster: &Cluster, side: &str) {
    assert!(!cluster.controller.registration("t", 0).isr.contains(&3));
    let replicas = format!("{side}.replication.throttled.replicas");
    cluster.configure(&ConfigResource::topic("t"), &replicas, None);
    cluster.settled("t", 0).await;
    let new = cluster.partition(3, "t", 0).unwrap();
    assert_eq!(new.log().log_end_offset(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_leader_gives_a_new_replica_nothing_while_its_quota_is_used_up() {
    let (cluster, _) = throttled("leader").await;
    until("the new replica has been answered", || {
        cluster.hub.n_answered(3, 1) >= 3
    })
    .await;
    let new = cluster.partition(3, "t", 0).unwrap();
    assert_eq!(new.log().log_end_offset(), 0);
    unthrottled(&cluster, "leader").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_follower_fetches_as_much_as_its_quota_allows() {
    let (cluster, clock) = throttled("follower").await;
    let new = cluster.partition(3, "t", 0).unwrap();
    // Two at once, then two for each second that has passed.
    for expected in [2, 4, 8] {
        until("the quota is used", || {
            new.log().log_end_offset() >= expected
        })
        .await;
        assert_eq!(new.log().log_end_offset(), expected);
        clock.wall.advance_ms(2_000);
    }
    unthrottled(&cluster, "follower").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_unclean_election_the_new_leaders_log_counts() {
    let cluster = Cluster::start(3, 31, small_segments()).await;
    cluster.create_topic("t", 1, &[&[1, 2, 3]]);
    cluster.settled("t", 0).await;
    let common = cluster.append(1, "t", 0, ACKS_ALL, one("common")).await;
    assert_eq!(common.error, ErrorCode::NONE);
    cluster.settled("t", 0).await;
    cluster.hub.isolate(3, &[1, 2]);
    // Without a record that it lacks it would stay in sync.
    let behind = cluster.append(1, "t", 0, 1, one("lost")).await;
    assert_eq!(behind.error, ErrorCode::NONE);
    until("the third one is out of the ISR", || {
        !cluster.controller.registration("t", 0).isr.contains(&3)
    })
    .await;
    for number in 0..40 {
        let value = format!("lost-{number}");
        let appended = cluster.append(1, "t", 0, ACKS_ALL, one(&value)).await;
        assert_eq!(appended.error, ErrorCode::NONE);
    }
    // The one that lacks all of that leads, as an operator may want it.
    let topic_id = cluster.controller.image().topics.id_of("t").unwrap();
    cluster.controller.write(PartitionChangeRecord {
        partition_id: 0,
        topic_id,
        isr: Some(vec![3]),
        leader: 3,
        leader_recovery_state: 1,
        ..Default::default()
    });
    until("it knows", || {
        cluster.partition(3, "t", 0).unwrap().is_leader()
    })
    .await;
    cluster.hub.heal();
    let appended = cluster.append(3, "t", 0, ACKS_ALL, one("next")).await;
    assert_eq!(appended.error, ErrorCode::NONE);
    cluster.settled("t", 0).await;
    for id in cluster.ids() {
        let values = values(&cluster.log_bytes(id, "t", 0));
        let expected = [(0, "common".to_owned()), (1, "next".to_owned())];
        assert_eq!(values, expected, "node {id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_go_on_when_the_number_of_fetchers_changes() {
    let cluster = Arc::new(Cluster::start(2, 32, small_segments()).await);
    let assignments = vec![&[1, 2][..]; 8];
    cluster.create_topic("t", 2, &assignments);
    let follower = cluster.replicas(2).unwrap();
    for (n_wanted, n_running) in [(1, 1), (4, 4), (2, 2)] {
        cluster.configure(
            &ConfigResource::broker(2),
            "num.replica.fetchers",
            Some(&n_wanted.to_string()),
        );
        until("the setting is known", || {
            follower.fetchers().n_fetchers() == n_running
        })
        .await;
        for partition in 0..8 {
            cluster.settled("t", partition).await;
            let records = batch(&["a", "b"]);
            let appended = cluster.append(1, "t", partition, ACKS_ALL, records).await;
            assert_eq!(appended.error, ErrorCode::NONE);
        }
        assert_eq!(follower.fetchers().n_fetchers(), n_running);
    }
    // Whoever leads has nobody to fetch from, and an idle fetcher ends.
    for partition in 0..8 {
        cluster.controller.elect("t", partition, 2);
    }
    until("no fetcher is left", || {
        follower.fetchers().n_fetchers() == 0
    })
    .await;
    let leader_before = cluster.replicas(1).unwrap();
    until("the other one fetches", || {
        leader_before.fetchers().n_fetchers() == 1
    })
    .await;
    for partition in 0..8 {
        cluster.settled("t", partition).await;
        assert_eq!(
            cluster.log_bytes(1, "t", partition),
            cluster.log_bytes(2, "t", partition)
        );
    }
}
