//! `top` and `exporter` on a cluster: rates, lag and health as they are.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

use kafka_tui::ops::{CreateTopic, ProduceMessage};
use serde_json::Value;

use super::*;

fn program(bootstrap: &[Endpoint]) -> Command {
    let servers: Vec<String> = bootstrap.iter().map(ToString::to_string).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-tui"));
    command.args(["--output", "json", "--bootstrap", &servers.join(",")]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn ended(child: Child) -> Output {
    let waited = kafka_shared::task::spawn_blocking("wait", move || child.wait_with_output());
    waited.await.expect("it is waited for").expect("it ends")
}

async fn topic(client: &ClusterClient, prefix: &str) -> String {
    let name = unique(prefix);
    let create = CreateTopic {
        name: name.clone(),
        partitions: Some(1),
        replication_factor: Some(1),
        ..CreateTopic::default()
    };
    make(client, Action::CreateTopic(create)).await;
    name
}

async fn write(client: &ClusterClient, topic: &str) {
    let message = ProduceMessage {
        topic: topic.to_owned(),
        partition: Some(0),
        key: None,
        value: Some(b"v".to_vec()),
        headers: Vec::new(),
    };
    client.produce(&message).await.expect("it is written");
}

#[test]
fn top_names_the_topic_that_is_written_to_with_its_rate() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let (busy, _idle) = (topic(&client, "busy").await, topic(&client, "idle").await);
        let mut command = program(&bootstrap);
        // Which other topics a cluster has is its own matter.
        command.args(["top", "--interval", "2s", "--limit", "1000"]);
        let mut running = command.spawn().expect("the program runs");
        let mut n = 0;
        while running.try_wait().expect("it can be asked").is_none() {
            write(&client, &busy).await;
            n += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let output = ended(running).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{errors}");
        let top: Value = serde_json::from_slice(&output.stdout).expect("a document");
        let rows = top["busiest_topics"].as_array().expect("a list");
        let row = rows.iter().find(|row| row["name"] == *busy);
        let rate = row.and_then(|row| row["records_per_second"].as_f64());
        let rate = rate.unwrap_or_else(|| panic!("{busy} is not there: {top}"));
        let seconds = top["interval_ms"].as_f64().expect("a number") / 1_000.0;
        assert!(seconds >= 1.9, "{top}");
        assert!(
            rate > 0.0 && rate * seconds <= f64::from(n) + 1.0,
            "{n}: {top}"
        );
        assert!(
            !rows.iter().any(|row| row["records_per_second"] == 0.0),
            "{top}"
        );
        assert_eq!(top["offline"], 0);
    });
}

#[test]
fn top_with_check_says_no_where_a_partition_can_t_be_written() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let sound = program(&bootstrap)
            .args(["top", "--interval", "1s", "--check"])
            .spawn();
        let output = ended(sound.expect("the program runs")).await;
        let top: Value = serde_json::from_slice(&output.stdout).expect("a document");
        assert_eq!(output.status.code(), Some(0), "{top}");
        assert_eq!(top["verdict"], "healthy");
        let create = CreateTopic {
            name: unique("starving"),
            partitions: Some(1),
            replication_factor: Some(1),
            configs: vec![("min.insync.replicas".to_owned(), "2".to_owned())],
            ..CreateTopic::default()
        };
        make(&client, Action::CreateTopic(create)).await;
        let starving = program(&bootstrap)
            .args(["top", "--interval", "1s", "--check"])
            .spawn();
        let output = ended(starving.expect("the program runs")).await;
        let top: Value = serde_json::from_slice(&output.stdout).expect("a document");
        assert_eq!(output.status.code(), Some(8), "{top}");
        assert_eq!(top["reasons"][0], "1 partition under min.insync.replicas");
    });
}

/// The exporter, killed at the end.
struct Exporter {
    child: Child,
    address: String,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Exporter {
    fn start(bootstrap: &[Endpoint]) -> Exporter {
        let mut command = program(bootstrap);
        command.args(["exporter", "--listen", "127.0.0.1:0", "--refresh", "1"]);
        let mut child = command.spawn().expect("the program runs");
        let mut line = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let address = line
            .split("http://")
            .nth(1)
            .and_then(|l| l.split('/').next());
        let address = address.expect("it says where it serves").to_owned();
        Exporter { child, address }
    }

    fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(&self.address).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("it reads");
        let mut text = String::new();
        socket.read_to_string(&mut text).expect("it answers");
        text
    }
}

async fn get(exporter: &Arc<Exporter>, path: &'static str) -> String {
    let exporter = Arc::clone(exporter);
    let got = kafka_shared::task::spawn_blocking("get", move || exporter.get(path));
    got.await.expect("it is asked")
}

#[test]
fn the_exporter_serves_the_figures_of_the_newest_look() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let name = topic(&client, "scraped").await;
        let started = bootstrap.clone();
        let start = move || Arc::new(Exporter::start(&started));
        let exporter = kafka_shared::task::spawn_blocking("start", start).await;
        let exporter = exporter.expect("it starts");
        for _ in 0..3 {
            write(&client, &name).await;
        }
        let ends = format!("kafka_topic_end_offset_sum{{topic=\"{name}\"}} 3\n");
        eventually("the ends of the topic are served", || async {
            get(&exporter, "/metrics").await.contains(&ends)
        })
        .await;
        let page = get(&exporter, "/metrics").await;
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        assert!(page.contains("\nkafka_up 1\n"), "{page}");
        assert!(
            page.contains("\nkafka_age_seconds{part=\"offsets\"} "),
            "{page}"
        );
        eventually("it is healthy", || async {
            get(&exporter, "/health")
                .await
                .ends_with("\r\n\r\nhealthy\n")
        })
        .await;
        let missing = get(&exporter, "/nothing").await;
        assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    });
}
