//! `local start --brokers 3` with the real program: a cluster of our own nodes, its losses and
//! returns, seen through the cluster layer.

use std::path::Path;
use std::process::{Command, Output};

use kafka_tui::cluster::ClusterClient;
use kafka_tui::model::Topic;
use kafka_tui::ops::CreateTopic;
use serde_json::Value;

use super::{DEADLINE, client, eventually};

/// The program with a state folder of its own; what still runs at the end is killed.
pub(super) struct Local {
    state: tempfile::TempDir,
}

impl Local {
    pub(super) fn new() -> Self {
        let state = tempfile::tempdir().expect("a temporary folder");
        Self { state }
    }

    pub(super) fn path(&self) -> &Path {
        self.state.path()
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_kafka-tui"))
            .args(["--output", "json", "local"])
            .args(args)
            .env("XDG_STATE_HOME", self.path())
            .output()
            .expect("the program runs")
    }

    /// The brokers that a command told of; it must have ended with this exit code.
    pub(super) fn brokers(&self, args: &[&str], code: i32) -> Vec<Value> {
        let output = self.run(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
        document["brokers"].as_array().cloned().expect("brokers")
    }

    /// The error of a command that must be refused.
    fn refusal(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(4), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.run(&["stop", "dev", "--force"]);
    }
}

/// Where the ports of a test begin; tests that run at the same time keep clear of each other.
pub(super) fn port_of(test: u32) -> String {
    (20_000 + std::process::id() % 500 * 20 + test * 10).to_string()
}

pub(super) fn of(brokers: &[Value], field: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    brokers.iter().map(|broker| text(&broker[field])).collect()
}

/// The topic once it is as wanted.
pub(super) async fn wait_for_topic(
    client: &ClusterClient,
    what: &str,
    is_so: impl Fn(&Topic) -> bool,
) {
    eventually(what, || async {
        let metadata = client.metadata().await;
        metadata.is_ok_and(|metadata| metadata.topic("t").is_some_and(|topic| is_so(topic)))
    })
    .await;
}

pub(super) fn are_in_sync(topic: &Topic, n: usize) -> bool {
    let mut partitions = topic.partitions.iter();
    partitions.all(|partition| partition.has_leader() && partition.isr.len() == n)
}

#[test]
fn three_nodes_share_partitions_and_bear_the_loss_of_one() {
    let local = Local::new();
    // Short, so that a loss shows soon.
    let settings = ["--set", "broker.session.timeout.ms=3000"];
    let port = port_of(0);
    let mut start = vec!["start", "dev", "--brokers", "3", "--port", &port];
    start.extend(["--racks", "a,b,c"]);
    start.extend(settings);
    let started = local.brokers(&start, 0);
    assert_eq!(of(&started, "name"), ["dev/1", "dev/2", "dev/3"]);
    assert_eq!(of(&started, "status"), ["running"; 3]);
    assert_eq!(of(&started, "rack"), ["a", "b", "c"]);
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
        let metadata = client.metadata().await.expect("metadata");
        let racks: Vec<_> = metadata.brokers.iter().map(|b| b.rack.as_deref()).collect();
        assert_eq!(racks, [Some("a"), Some("b"), Some("c")]);
        let quorum = client.quorum().await.expect("the quorum");
        assert_eq!(quorum.voters.len(), 3);
        let create = CreateTopic {
            name: "t".to_owned(),
            partitions: Some(6),
            ..CreateTopic::default()
        };
        client.create_topic(&create, false).await.expect("a topic");
    });
    let see = |what: &'static str, n: usize| {
        let waited = runtime.block_on(async {
            tokio::time::timeout(
                DEADLINE,
                wait_for_topic(&client, what, |t| are_in_sync(t, n)),
            )
            .await
        });
        waited.expect(what);
    };
    see("three replicas each", 3);

    let killed = local.brokers(&["stop", "dev/2", "--force"], 0);
    assert_eq!(of(&killed, "status"), ["stopped"]);
    see("led and in sync without the killed node", 2);
    let status = local.brokers(&["status", "dev"], 1);
    assert_eq!(of(&status, "status"), ["running", "stopped", "running"]);
    local.brokers(&["start", "dev/2"], 0);
    see("the killed node is back in sync", 3);

    let paused = local.brokers(&["pause", "dev/3"], 0);
    assert_eq!(of(&paused, "status"), ["paused"]);
    see("led and in sync without the paused node", 2);
    local.brokers(&["resume", "dev/3"], 0);
    see("the paused node is back in sync", 3);

    assert!(
        local
            .refusal(&["delete", "dev", "--yes"])
            .contains("dev/1 runs")
    );
    assert!(
        local
            .refusal(&["delete", "dev/1", "--yes"])
            .contains("as a whole")
    );
    let other = local.refusal(&["start", "dev", "--brokers", "4"]);
    assert!(other.contains("it has 3 brokers and not 4"), "{other}");
    let stopped = local.brokers(&["stop", "dev"], 0);
    assert_eq!(of(&stopped, "status"), ["stopped"; 3]);
    // What was agreed on is there after all have been away.
    let again = local.brokers(&["start", "dev"], 0);
    assert_eq!(of(&again, "port"), of(&started, "port"));
    see("everything is as it was", 3);
    local.brokers(&["stop", "dev"], 0);
    assert!(local.run(&["delete", "dev", "--yes"]).status.success());
    assert!(local.brokers(&["status"], 0).is_empty());
}

#[test]
fn a_node_whose_port_is_taken_is_told_and_the_others_run() {
    let local = Local::new();
    let port = port_of(1);
    let started = local.brokers(&["start", "dev", "--brokers", "3", "--port", &port], 0);
    local.brokers(&["stop", "dev"], 0);
    let port = started[1]["port"].as_u64().expect("a port");
    let taken = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).expect("it is free");
    let output = local.run(&["start", "dev"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("dev/2"), "{errors}");
    assert!(
        errors.contains(&format!("port {port} is in use")),
        "{errors}"
    );
    let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
    let running = document["brokers"].as_array().cloned().expect("brokers");
    assert_eq!(of(&running, "name"), ["dev/1", "dev/3"]);
    drop(taken);
    local.brokers(&["start", "dev"], 0);
    local.brokers(&["stop", "dev"], 0);
}
