//! A rolling restart of local nodes under a producer: it waits while a node may not stop, and every
//! record that was acknowledged is there afterwards.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kafka_tui::cluster::{ClusterClient, ReadFrom, ReadLimits, ReadMessages};
use kafka_tui::model::ConfigResource;
use kafka_tui::ops::{AlterConfigs, ConfigChange, CreateTopic, ProduceMessage};

use super::local_cluster::{Local, are_in_sync, of, port_of};
use super::{DEADLINE, client, eventually};

const MIN_ISR: &str = "min.insync.replicas";

/// A topic of three replicas each that needs so many in sync.
async fn create(client: &ClusterClient, name: &str, min_isr: &str) {
    let create = CreateTopic {
        name: name.to_owned(),
        partitions: Some(3),
        replication_factor: Some(3),
        configs: vec![(MIN_ISR.to_owned(), min_isr.to_owned())],
        ..CreateTopic::default()
    };
    client.create_topic(&create, false).await.expect("a topic");
    eventually("three replicas in sync", || async {
        let metadata = client.metadata().await;
        metadata.is_ok_and(|metadata| metadata.topic(name).is_some_and(|t| are_in_sync(t, 3)))
    })
    .await;
}

/// Writes numbers until it is told to stop; those that were acknowledged.
async fn produce(client: ClusterClient, stop: Arc<AtomicBool>) -> BTreeSet<u64> {
    let mut acknowledged = BTreeSet::new();
    for n in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let message = ProduceMessage {
            topic: "kept".to_owned(),
            partition: i32::try_from(n % 3).ok(),
            key: None,
            value: Some(n.to_string().into_bytes()),
            headers: Vec::new(),
        };
        // A number whose answer was lost is not claimed.
        if client.produce(&message).await.is_ok() {
            acknowledged.insert(n);
        }
    }
    acknowledged
}

#[test]
fn nodes_wait_for_their_turn_and_lose_nothing_that_was_acknowledged() {
    let local = Local::new();
    let port = port_of(2);
    let start = ["start", "dev", "--brokers", "3", "--port", &port];
    let session = ["--set", "broker.session.timeout.ms=3000"];
    let started = local.brokers(&[&start[..], &session].concat(), 0);
    let bootstrap: Vec<_> = started
        .iter()
        .map(|broker| {
            format!("127.0.0.1:{}", broker["port"])
                .parse()
                .expect("host:port")
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let client = client(&bootstrap);
    runtime.block_on(async {
        create(&client, "kept", "2").await;
        create(&client, "strict", "3").await;
    });
    let stop = Arc::new(AtomicBool::new(false));
    let producer = runtime.spawn(produce(client.clone(), Arc::clone(&stop)));

    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
    command.args(["--output", "json", "local", "rolling-restart", "dev"]);
    command.env("XDG_STATE_HOME", local.path());
    let mut round = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut told = Vec::new();
    for line in BufReader::new(round.stderr.take().expect("a pipe")).lines() {
        let line = line.expect("text");
        let waits = line.contains("waiting: ") && line.contains(MIN_ISR);
        if waits && told.iter().all(|line: &String| !line.contains("stopping")) {
            // Nothing was stopped for a topic that can't do without: now it can.
            let alter = AlterConfigs {
                resource: ConfigResource::Topic("strict".to_owned()),
                changes: vec![ConfigChange::Set {
                    name: MIN_ISR.to_owned(),
                    value: "2".to_owned(),
                }],
            };
            let altered = runtime.block_on(client.alter_configs(&alter, false));
            altered.expect("it may be set");
        }
        told.push(line);
    }
    let ended = round.wait().expect("it ends");
    stop.store(true, Ordering::Relaxed);
    let acknowledged = runtime.block_on(producer).expect("the producer ends");
    assert!(ended.success(), "{told:?}");
    let at = |text: &str| told.iter().position(|line| line.contains(text));
    let (waited, stopped) = (at("waiting: "), at("stopping"));
    assert!(waited.is_some() && waited < stopped, "{told:?}");
    assert_eq!(
        told.iter()
            .filter(|line| line.ends_with("stopping"))
            .count(),
        3,
        "{told:?}"
    );

    assert!(
        acknowledged.len() > 10,
        "it wrote meanwhile: {}",
        acknowledged.len()
    );
    let read = ReadMessages {
        topic: "kept".to_owned(),
        from: ReadFrom::Start,
        limits: ReadLimits {
            messages: 1_000_000,
            time_ms: 60_000,
            ..ReadLimits::default()
        },
        ..ReadMessages::default()
    };
    let (messages, _) = runtime.block_on(async {
        let read = tokio::time::timeout(DEADLINE, client.read_messages(&read)).await;
        read.expect("in time").expect("messages")
    });
    let value = |message: &kafka_tui::model::Message| -> Option<u64> {
        String::from_utf8(message.value.as_deref()?.to_vec())
            .ok()?
            .parse()
            .ok()
    };
    let there: BTreeSet<u64> = messages.iter().filter_map(value).collect();
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "of {}: {lost:?}", acknowledged.len());
    let after = local.brokers(&["status", "dev"], 0);
    assert_eq!(of(&after, "status"), ["running"; 3]);
    let pids = |brokers: &[serde_json::Value]| of(brokers, "pid");
    assert!(pids(&after).iter().all(|pid| !pids(&started).contains(pid)));
    local.brokers(&["stop", "dev"], 0);
}
