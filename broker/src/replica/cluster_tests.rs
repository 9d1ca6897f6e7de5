//! Replication between brokers: what is acknowledged stays, and logs become equal, whatever happens
//! to leaders, links and processes.

mod cluster;
mod coordinators;
mod movement;
mod network;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kafka_shared::error::ErrorCode;
use kafka_shared::task;
use parking_lot::Mutex;

use self::cluster::{Cluster, one, until, values};
use super::append::ACKS_ALL;
use crate::controller::random::Random;
use crate::log::{FetchIsolation, LogConfig};

fn small_segments() -> LogConfig {
    LogConfig {
        segment_bytes: 4096,
        index_interval_bytes: 256,
        // The records of these tests are years old.
        retention_ms: -1,
        ..LogConfig::default()
    }
}

/// What clients know for certain: (offset, value) pairs that must be in every log at the end.
#[derive(Default)]
struct Known {
    by_offset: Mutex<HashMap<i64, String>>,
    n_acknowledged: AtomicUsize,
    n_read: AtomicUsize,
}

impl Known {
    #[track_caller]
    fn note(&self, offset: i64, value: &str, how: &str) {
        let mut by_offset = self.by_offset.lock();
        let known = by_offset.entry(offset).or_insert_with(|| value.to_owned());
        assert_eq!(known, value, "{how} at offset {offset}");
    }
}

/// Produces with acks=all to whoever leads, and notes what was acknowledged.
async fn produce(cluster: Arc<Cluster>, known: Arc<Known>, name: String, stop: Arc<AtomicBool>) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let value = format!("{name}-{number}");
        let leader = cluster.controller.registration("t", 0).leader;
        let appended = cluster.append(leader, "t", 0, ACKS_ALL, one(&value)).await;
        if appended.error == ErrorCode::NONE {
            known.note(appended.base_offset, &value, "acknowledged");
            known.n_acknowledged.fetch_add(1, Ordering::Relaxed);
        } else {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
}

/// Reads committed records from every replica, and notes them: they must never change.
async fn consume(cluster: Arc<Cluster>, known: Arc<Known>, stop: Arc<AtomicBool>) {
    let mut positions: HashMap<i32, i64> = HashMap::new();
    while !stop.load(Ordering::Relaxed) {
        for id in cluster.ids() {
            let Some(partition) = cluster.partition(id, "t", 0) else {
                continue;
            };
            let position = positions.entry(id).or_insert(0);
            let log = partition.log();
            let read = log.read(*position, 1 << 16, FetchIsolation::HighWatermark, true);
            // A log that was cut, or is about to go, is read again later.
            let Some(bytes) = read.ok().and_then(|data| data.read().ok()) else {
                continue;
            };
            for (offset, value) in values(&bytes) {
                known.note(offset, &value, "read");
                known.n_read.fetch_add(1, Ordering::Relaxed);
                *position = offset + 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
}

/// Makes trouble: elections, isolated leaders with tails that nobody has acknowledged, kills.
async fn make_trouble(cluster: &Cluster, random: &mut Random, n_rounds: usize, with_kills: bool) {
    let ids = cluster.ids();
    let pause = |random: &mut Random, max_ms| {
        tokio::time::sleep(Duration::from_millis(random.below(max_ms) as u64))
    };
    for round in 0..n_rounds {
        pause(random, 40).await;
        let registration = cluster.controller.registration("t", 0);
        let leader = registration.leader;
        let others: Vec<i32> = registration
            .isr
            .iter()
            .copied()
            .filter(|id| *id != leader)
            .collect();
        match random.below(if with_kills { 10 } else { 8 }) {
            0..5 if !others.is_empty() => {
                let next = others[random.below(others.len())];
                cluster.controller.elect("t", 0, next);
            }
            5..8 if !others.is_empty() => {
                // The leader goes on alone for a while, and is told late that it no longer leads.
                cluster.hub.isolate(leader, &ids);
                for number in 0..random.below(20) {
                    let value = format!("tail-{round}-{number}");
                    cluster.append(leader, "t", 0, 1, one(&value)).await;
                }
                let next = others[random.below(others.len())];
                cluster.controller.elect("t", 0, next);
                pause(random, 30).await;
                cluster.hub.heal();
            }
            8.. => {
                let victim = ids[random.below(ids.len())];
                // The last replica in sync is spared: after its kill nobody may lead any more.
                let isr = cluster.controller.registration("t", 0).isr.clone();
                if !isr.iter().any(|id| *id != victim) {
                    continue;
                }
                cluster.kill(victim).await;
                pause(random, 60).await;
                cluster.start_node(victim, -1).await;
            }
            _ => {}
        }
    }
}

async fn survives(seed: u64, n_rounds: usize, with_kills: bool) {
    let cluster = Arc::new(Cluster::start(3, seed, small_segments()).await);
    cluster.create_topic("t", 2, &[&[1, 2, 3]]);
    cluster.settled("t", 0).await;
    cluster.controller.lose_answers(20);
    let (known, stop) = (Arc::new(Known::default()), Arc::new(AtomicBool::new(false)));
    let mut clients = Vec::new();
    for number in 0..3 {
        let (cluster, known, stop) = (Arc::clone(&cluster), known.clone(), stop.clone());
        let name = format!("p{number}");
        clients.push(task::spawn("produce", produce(cluster, known, name, stop)));
    }
    let consumer = consume(Arc::clone(&cluster), known.clone(), stop.clone());
    clients.push(task::spawn("consume", consumer));
    let mut random = Random::new(u128::from(seed) + 7);
    make_trouble(&cluster, &mut random, n_rounds, with_kills).await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    cluster.settled("t", 0).await;
    let bytes = cluster.log_bytes(1, "t", 0);
    for id in [2, 3] {
        let other = cluster.log_bytes(id, "t", 0);
        assert!(bytes == other, "seed {seed}: the logs of 1 and {id} differ");
    }
    let stored: HashMap<i64, String> = values(&bytes).into_iter().collect();
    for (offset, value) in known.by_offset.lock().iter() {
        assert_eq!(
            stored.get(offset),
            Some(value),
            "seed {seed}: offset {offset}"
        );
    }
    let n_acknowledged = known.n_acknowledged.load(Ordering::Relaxed);
    let registration = cluster.controller.registration("t", 0);
    eprintln!(
        "seed {seed}: {n_acknowledged} acknowledged, {} read, leader epoch {}, partition epoch {}",
        known.n_read.load(Ordering::Relaxed),
        registration.leader_epoch,
        registration.partition_epoch,
    );
    assert!(n_acknowledged > 0, "seed {seed}: nothing was written");
    assert!(registration.leader_epoch as usize > n_rounds / 3);
}

/// One seed, or as many as `KAFKA_REPLICATION_SEEDS` says.
fn seeds() -> std::ops::Range<u64> {
    let n_seeds = std::env::var("KAFKA_REPLICATION_SEEDS").ok();
    0..n_seeds.and_then(|n| n.parse().ok()).unwrap_or(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_may_change_at_any_time_without_a_loss() {
    for seed in seeds() {
        survives(seed, 60, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_may_be_killed_and_come_back_without_a_loss() {
    for seed in seeds() {
        survives(seed + 1000, 40, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_does_not_fetch_leaves_the_isr_and_returns_when_it_has_caught_up() {
    let cluster = Cluster::start(2, 5, small_segments()).await;
    cluster.create_topic("t", 1, &[&[1, 2]]);
    cluster.settled("t", 0).await;
    cluster.hub.isolate(2, &[1]);
    // The leader waits for the follower until it counts as out of sync.
    let waiting = cluster.append(1, "t", 0, ACKS_ALL, one("a")).await;
    let allowed = [ErrorCode::NONE, ErrorCode::REQUEST_TIMED_OUT];
    assert!(allowed.contains(&waiting.error), "{:?}", waiting.error);
    until("the ISR shrinks", || {
        *cluster.controller.registration("t", 0).isr == [1]
    })
    .await;
    let alone = cluster.append(1, "t", 0, ACKS_ALL, one("b")).await;
    assert_eq!(alone.error, ErrorCode::NONE);
    let behind = cluster.partition(2, "t", 0).unwrap();
    assert_eq!(behind.log().log_end_offset(), 0);
    cluster.hub.heal();
    cluster.settled("t", 0).await;
    assert_eq!(behind.log().log_end_offset(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_min_insync_replicas_nothing_is_committed() {
    let cluster = Cluster::start(2, 6, small_segments()).await;
    cluster.create_topic("t", 2, &[&[1, 2]]);
    cluster.settled("t", 0).await;
    cluster.kill(2).await;
    let leader = cluster.partition(1, "t", 0).unwrap();
    until("the leader knows", || leader.is_under_min_isr()).await;
    let refused = cluster.append(1, "t", 0, ACKS_ALL, one("a")).await;
    assert_eq!(refused.error, ErrorCode::NOT_ENOUGH_REPLICAS);
    let taken = cluster.append(1, "t", 0, 1, one("b")).await;
    assert_eq!(taken.error, ErrorCode::NONE);
    assert_eq!(leader.log().high_watermark(), 0);
    cluster.start_node(2, -1).await;
    cluster.settled("t", 0).await;
    assert_eq!(leader.log().high_watermark(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_acknowledgements_is_told_when_the_leader_loses_its_role() {
    let cluster = Cluster::start(3, 7, small_segments()).await;
    cluster.create_topic("t", 1, &[&[1, 2, 3]]);
    cluster.settled("t", 0).await;
    cluster.hub.isolate(1, &[2, 3]);
    let append = cluster.append(1, "t", 0, ACKS_ALL, one("tail"));
    let elect = async {
        let leader = cluster.partition(1, "t", 0).unwrap();
        until("the record is in the log", || {
            leader.log().log_end_offset() == 1
        })
        .await;
        cluster.controller.elect("t", 0, 2);
    };
    let (appended, ()) = tokio::join!(append, elect);
    assert_eq!(appended.error, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    cluster.hub.heal();
    until("the new leader is known", || {
        cluster.partition(2, "t", 0).unwrap().is_leader()
    })
    .await;
    let appended = cluster.append(2, "t", 0, ACKS_ALL, one("other")).await;
    assert_eq!(appended.error, ErrorCode::NONE);
    cluster.settled("t", 0).await;
    let expected = [(0, "other".to_owned())];
    for id in [1, 2, 3] {
        assert_eq!(
            values(&cluster.log_bytes(id, "t", 0)),
            expected,
            "node {id}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_below_the_leaders_start_go_on_followers_too() {
    let cluster = Cluster::start(2, 8, small_segments()).await;
    cluster.create_topic("t", 1, &[&[1, 2]]);
    for number in 0..5 {
        let value = number.to_string();
        until("node 1 leads", || cluster.partition(1, "t", 0).is_some()).await;
        let appended = cluster.append(1, "t", 0, ACKS_ALL, one(&value)).await;
        assert_eq!(appended.error, ErrorCode::NONE);
    }
    let replicas = cluster.replicas(1).unwrap();
    let offsets = vec![(replicas.partition("t", 0), 3)];
    let deleted = replicas
        .delete_records(Duration::from_secs(10), offsets)
        .await;
    assert_eq!(deleted, [Ok(3)]);
    let follower = cluster.partition(2, "t", 0).unwrap();
    assert_eq!(follower.log().log_start_offset(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_replica_begins_where_the_leaders_log_begins() {
    let cluster = Cluster::start(3, 9, small_segments()).await;
    cluster.create_topic("t", 1, &[&[1, 2]]);
    cluster.settled("t", 0).await;
    for number in 0..200 {
        let appended = cluster
            .append(1, "t", 0, ACKS_ALL, one(&number.to_string()))
            .await;
        assert_eq!(appended.error, ErrorCode::NONE);
    }
    // Some of the oldest records are gone before the third broker hears of the partition.
    let leader = cluster.partition(1, "t", 0).unwrap();
    leader.delete_records(150).unwrap();
    leader.log().delete_old_segments().unwrap();
    let first = leader.log().first_segment_base_offset();
    assert!(first > 0);
    let registration = cluster.controller.registration("t", 0);
    cluster
        .controller
        .write(kafka_shared::schema::metadata::PartitionChangeRecord {
            partition_id: 0,
            topic_id: leader.topic_id(),
            replicas: Some(vec![1, 2, 3]),
            adding_replicas: Some(vec![3]),
            directories: Some(vec![
                registration.directory(1).unwrap(),
                registration.directory(2).unwrap(),
                cluster::directory(3),
            ]),
            leader: -2,
            ..Default::default()
        });
    cluster.settled("t", 0).await;
    let new = cluster.partition(3, "t", 0).unwrap();
    assert_eq!(new.log().log_start_offset(), 150);
    assert_eq!(new.log().log_end_offset(), 200);
    let old = values(&cluster.log_bytes(1, "t", 0));
    let new = values(&cluster.log_bytes(3, "t", 0));
    assert_eq!(new, old[old.len() - new.len()..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_restart_keeps_the_log_and_the_place_in_the_isr_is_regained() {
    let cluster = Cluster::start(2, 10, small_segments()).await;
    cluster.create_topic("t", 1, &[&[1, 2]]);
    cluster.settled("t", 0).await;
    for number in 0..50 {
        let appended = cluster
            .append(1, "t", 0, ACKS_ALL, one(&number.to_string()))
            .await;
        assert_eq!(appended.error, ErrorCode::NONE);
    }
    cluster.settled("t", 0).await;
    let epoch = cluster.stop(1).await;
    until("the other one leads", || {
        cluster.partition(2, "t", 0).unwrap().is_leader()
    })
    .await;
    let appended = cluster.append(2, "t", 0, ACKS_ALL, one("last")).await;
    assert_eq!(appended.error, ErrorCode::NONE);
    cluster.start_node(1, epoch).await;
    cluster.settled("t", 0).await;
    assert_eq!(cluster.log_bytes(1, "t", 0), cluster.log_bytes(2, "t", 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_are_sent_to_a_replica_in_their_rack() {
    let cluster = Cluster::start(3, 11, small_segments()).await;
    cluster.create_topic("t", 1, &[&[1, 2, 3]]);
    cluster.settled("t", 0).await;
    let appended = cluster.append(1, "t", 0, ACKS_ALL, one("a")).await;
    assert_eq!(appended.error, ErrorCode::NONE);
    let leader = cluster.partition(1, "t", 0).unwrap();
    let image = cluster.controller.image();
    let near = |rack: &str, offset| {
        let place = super::preferred::ClientPlace {
            rack: rack.to_owned(),
            listener: "PLAINTEXT".to_owned(),
        };
        leader.preferred_read_replica(&image, &place, offset)
    };
    cluster.settled("t", 0).await;
    assert_eq!(near("rack2", 0), Some(2));
    assert_eq!(near("rack3", 1), Some(3));
    // Not to itself, not to a replica without the offset, and nowhere from an unknown place.
    assert_eq!(near("rack1", 0), None);
    assert_eq!(near("rack3", 9), None);
    assert_eq!(near("elsewhere", 0), None);
}
