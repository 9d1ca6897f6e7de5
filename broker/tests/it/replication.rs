//! Three brokers of ours under load: what is acknowledged stays, and the replicas' files become
//! equal, when any of them is killed or all are restarted in turn.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kafka_broker::testing::Cluster;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::Client;
use kafka_shared::task;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::load::{Acknowledged, client_config, name, produce};

/// Short times, so that a test need not wait.
const SETTINGS: [&str; 4] = [
    "broker.session.timeout.ms=2000",
    "broker.heartbeat.interval.ms=300",
    "replica.lag.time.max.ms=2000",
    "replica.fetch.wait.max.ms=500",
];

struct Load {
    known: Arc<Acknowledged>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Creates the topic, and begins to produce to it.
    async fn start(cluster: &Cluster) -> Self {
        let client = Client::connect(client_config(&cluster.bootstrap()))
            .await
            .unwrap();
        let min_isr = CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str("min.insync.replicas"))
            .with_value(Some(StrBytes::from_static_str("2")));
        let topic = CreatableTopic::default()
            .with_name(name("t"))
            .with_num_partitions(1)
            .with_replication_factor(3)
            .with_configs(vec![min_isr]);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(10_000);
        let response = client.any().await.unwrap().send(request).await.unwrap();
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
        let known = Arc::new(Acknowledged::default());
        let tasks = (0..3)
            .map(|id| {
                let client = Client::new(client_config(&cluster.bootstrap()));
                task::spawn("produce", produce(client, "t", id, 4, Arc::clone(&known)))
            })
            .collect();
        let load = Self { known, tasks };
        in_sync(cluster).await;
        load.go_on(100).await;
        load
    }

    /// Waits for so many acknowledged records more; returns how long it took.
    async fn go_on(&self, n_records: usize) -> Duration {
        let (started, wanted) = (Instant::now(), self.known.len() + n_records);
        while self.known.len() < wanted {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "no more is acknowledged"
            );
            sleep(Duration::from_millis(5)).await;
        }
        started.elapsed()
    }

    /// Ends the load and compares the replicas' files with it and with each other.
    async fn check(self, cluster: &Cluster) {
        self.known.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        in_sync(cluster).await;
        let started = Instant::now();
        let logs = loop {
            let logs: Vec<Vec<u8>> = (1..=3).map(|id| log_bytes(cluster, id)).collect();
            if logs.iter().all(|log| *log == logs[0]) {
                break logs;
            }
            let sizes: Vec<usize> = logs.iter().map(Vec::len).collect();
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "sizes {sizes:?}"
            );
            sleep(Duration::from_millis(50)).await;
        };
        let n_stored = self.known.check(&logs[0]).unwrap();
        println!(
            "{} acknowledged, {n_stored} stored, {} requests failed, longest gap {} ms",
            self.known.len(),
            self.known.n_failed.load(Ordering::Relaxed),
            self.known.longest_gap_ms.load(Ordering::Relaxed),
        );
    }
}

fn leader(cluster: &Cluster) -> Option<i32> {
    let node = *cluster.running().first()?;
    let image = cluster.node(node).metadata().image();
    let partition = image.topics.partition("t", 0)?;
    partition.has_leader().then_some(partition.leader)
}

/// Waits until all nodes know that all replicas are in sync.
async fn in_sync(cluster: &Cluster) {
    for node in cluster.running() {
        let metadata = cluster.node(node).metadata().clone();
        let waited = metadata
            .wait_until(Duration::from_secs(60), |image| {
                let partition = image.topics.partition("t", 0);
                partition.is_some_and(|p| p.has_leader() && p.isr.len() == 3)
            })
            .await;
        let image = metadata.image();
        assert!(waited.is_ok(), "{:?}", image.topics.partition("t", 0));
    }
}

/// The bytes of all segments of a node's replica, in order.
fn log_bytes(cluster: &Cluster, id: i32) -> Vec<u8> {
    let folder = cluster.data_dir(id).join("t-0");
    let mut segments: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    segments.sort();
    let segments = segments.iter().map(|path| std::fs::read(path).unwrap());
    segments.collect::<Vec<_>>().concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_brokers_are_killed() {
    let mut cluster = Cluster::start_with(&[kafka_broker::testing::Role::Both; 3], &SETTINGS)
        .await
        .unwrap();
    let load = Load::start(&cluster).await;
    let mut killed = HashSet::new();
    for round in 0..4 {
        // The leader, then the one with the active controller, then each in turn.
        let victim = match round {
            0 => leader(&cluster).unwrap(),
            1 => cluster.active_controller().unwrap_or(1),
            _ => round,
        };
        killed.insert(victim);
        cluster.kill_node(victim).await.unwrap();
        let gap = load.go_on(20).await;
        println!("node {victim} killed, went on after {} ms", gap.as_millis());
        cluster.start_node(victim).await.unwrap();
        in_sync(&cluster).await;
        load.go_on(20).await;
    }
    assert!(killed.len() >= 2);
    load.check(&cluster).await;
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_keeps_all_records_and_all_replicas() {
    let mut cluster = Cluster::start_with(&[kafka_broker::testing::Role::Both; 3], &SETTINGS)
        .await
        .unwrap();
    let load = Load::start(&cluster).await;
    for id in 1..=3 {
        cluster.stop_node(id).await.unwrap();
        let gap = load.go_on(20).await;
        println!("node {id} stopped, went on after {} ms", gap.as_millis());
        cluster.start_node(id).await.unwrap();
        in_sync(&cluster).await;
    }
    load.check(&cluster).await;
    cluster.stop().await.unwrap();
}
