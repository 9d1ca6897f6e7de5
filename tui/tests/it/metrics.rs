//! What brokers tell over a metrics endpoint: on the screens and by a command, with doubles of the
//! endpoints; and messages per second by log ends where there is none.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::front::Front;
use super::*;
use crate::terminal::Terminal;

/// An endpoint whose counts grow by the time that passes: 1,000 messages and 1 MiB a second. It
/// ends with the program of the test.
struct Endpoint7071 {
    url: String,
    asked: Arc<AtomicU64>,
    state: Arc<AtomicU64>,
}

const GOOD: u64 = 0;
const DOWN: u64 = 1;

fn page(topic: &str, ms: u128) -> String {
    let messages = ms;
    let bytes = ms * 1_048_576 / 1_000;
    format!(
        "# HELP kafka_server_brokertopicmetrics_messagesin_total x\n\
         # TYPE kafka_server_brokertopicmetrics_messagesin_total counter\n\
         kafka_server_brokertopicmetrics_messagesin_total {messages}.0\n\
         kafka_server_brokertopicmetrics_messagesin_total{{topic=\"{topic}\",}} {messages}.0\n\
         kafka_server_brokertopicmetrics_bytesin_total {bytes}.0\n\
         kafka_server_brokertopicmetrics_bytesin_total{{topic=\"{topic}\",}} {bytes}.0\n\
         kafka_server_brokertopicmetrics_bytesout_total 0.0\n\
         kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent 0.97\n\
         kafka_server_replicamanager_underreplicatedpartitions 0.0\n\
         kafka_network_requestmetrics_totaltimems{{request=\"Produce\",quantile=\"0.99\",}} 12.5\n\
         jvm_memory_bytes_used{{area=\"heap\",}} 1.048576E8\n\
         jvm_memory_bytes_max{{area=\"heap\",}} 1.073741824E9\n"
    )
}

impl Endpoint7071 {
    fn start(topic: String) -> Endpoint7071 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!(
            "http://{}/metrics",
            listener.local_addr().expect("it listens")
        );
        let (asked, state) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(GOOD)));
        let (n_asked, wanted) = (Arc::clone(&asked), Arc::clone(&state));
        let clock = SystemClock::new();
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                n_asked.fetch_add(1, Ordering::SeqCst);
                let mut head = [0; 4096];
                // A client that leaves early is its own matter.
                let _ = socket.read(&mut head);
                let ms = kafka_shared::time::Clock::monotonic(&clock).as_millis();
                let (status, body) = match wanted.load(Ordering::SeqCst) {
                    GOOD => ("200 OK", page(&topic, ms)),
                    _ => ("503 Down", String::new()),
                };
                let _ = write!(
                    socket,
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Endpoint7071 { url, asked, state }
    }
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kafka-tui"))
}

fn servers(bootstrap: &[Endpoint]) -> String {
    let servers: Vec<String> = bootstrap.iter().map(ToString::to_string).collect();
    servers.join(",")
}

async fn create(client: &ClusterClient) -> String {
    let name = unique("measured");
    let create = ops::CreateTopic {
        name: name.clone(),
        partitions: Some(1),
        replication_factor: Some(1),
        ..ops::CreateTopic::default()
    };
    make(client, Action::CreateTopic(create)).await;
    name
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let worked = kafka_shared::task::spawn_blocking("test", work);
    worked.await.expect("it ends")
}

#[test]
fn a_command_tells_rates_and_gauges_or_the_log_ends() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let topic = create(&client).await;
        let endpoint = Endpoint7071::start(topic.clone());
        let servers = servers(&bootstrap);
        let run = move |metrics: Option<String>| {
            let mut command = Command::new(program());
            command.args(["--output", "json", "--bootstrap", &servers]);
            if let Some(url) = metrics {
                command.args(["--metrics", &url]);
            }
            let output = command
                .args(["brokers", "metrics"])
                .output()
                .expect("it runs");
            let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
            (output.status.code(), document)
        };
        let told = {
            let (run, url) = (run.clone(), endpoint.url.clone());
            blocking(move || run(Some(url))).await
        };
        let (code, document) = told;
        assert_eq!(code, Some(0), "{document}");
        let row = &document["brokers"][0];
        let number = |row: &Value, key: &str| row[key].as_f64();
        assert_eq!(row["source"], "metrics", "{document}");
        let near = |n: Option<f64>, wanted: f64| n.is_some_and(|n| (n / wanted - 1.0).abs() < 0.5);
        assert!(
            near(number(row, "messages_in_per_second"), 1_000.0),
            "{row}"
        );
        assert!(
            near(number(row, "bytes_in_per_second"), 1_048_576.0),
            "{row}"
        );
        assert_eq!(number(row, "request_handlers_idle"), Some(0.97));
        assert_eq!(number(row, "produce_p99_ms"), Some(12.5));
        assert_eq!(number(row, "failed_produces_per_second"), None);
        let of_topic = &row["topics"][0];
        assert_eq!(of_topic["name"], *topic);
        assert!(
            near(number(of_topic, "bytes_in_per_second"), 1_048_576.0),
            "{of_topic}"
        );
        // One page for each of the two readings.
        assert_eq!(endpoint.asked.load(Ordering::SeqCst), 2);

        let (url, all) = (endpoint.url.clone(), self::servers(&bootstrap));
        blocking(move || behind_tls(&url, &all)).await;

        let (code, document) = {
            let run = run.clone();
            blocking(move || run(None)).await
        };
        let row = &document["brokers"][0];
        assert_eq!((code, &row["source"]), (Some(0), &Value::from("log_ends")));
        assert_eq!(number(row, "messages_in_per_second"), Some(0.0));

        endpoint.state.store(DOWN, Ordering::SeqCst);
        let url = endpoint.url.clone();
        let (code, document) = blocking(move || run(Some(url))).await;
        let why = document["brokers"][0]["error"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert_eq!(code, Some(1), "{document}");
        assert!(why.contains("it answers 503"), "{why}");
    });
}

/// A page behind TLS with an authority of its own is read by who trusts that.
fn behind_tls(url: &str, servers: &str) {
    let (base, path) = url.rsplit_once('/').expect("a path");
    let front = Front::before(base).expect("TLS");
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.toml");
    let entry = |name: &str, more: &str| {
        let url = &front.url;
        format!("[clusters.{name}]\nbootstrap = \"{servers}\"\nmetrics = \"{url}/{path}\"\n{more}")
    };
    let trusted = format!("metrics_ca = \"{}\"\n", front.ca().display());
    let text = entry("lab", &trusted) + &entry("stranger", "");
    std::fs::write(&config, text).expect("it is written");
    for (name, source, why) in [
        ("lab", "metrics", None),
        ("stranger", "log_ends", Some("TLS")),
    ] {
        let mut command = Command::new(program());
        command.arg("--config-file").arg(&config);
        command.args(["--output", "json", "--cluster", name]);
        let output = command.args(["brokers", "metrics", "--interval", "1s"]);
        let output = output.output().expect("it runs");
        let told: Value = serde_json::from_slice(&output.stdout).expect("a document");
        let row = &told["brokers"][0];
        assert_eq!(row["source"], source, "{told}");
        let error = row["error"].as_str().unwrap_or_default();
        assert!(why.is_none_or(|why| error.contains(why)), "{told}");
    }
}

#[test]
fn screens_show_what_brokers_tell_and_that_an_endpoint_fails() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let topic = create(&client).await;
        let endpoint = Endpoint7071::start(topic.clone());
        let servers = servers(&bootstrap);
        let looked = blocking(move || look(&servers, &topic, &endpoint)).await;
        looked.expect("the screens show it");
    });
}

fn look(servers: &str, topic: &str, endpoint: &Endpoint7071) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.toml");
    let entry = format!(
        "[clusters.lab]\nbootstrap = \"{servers}\"\nmetrics = \"{}\"\n",
        endpoint.url
    );
    std::fs::write(&config, entry)?;
    let config = config.display().to_string();
    let args = [
        "--config-file",
        &config,
        "--cluster",
        "lab",
        "--refresh",
        "1",
    ];
    let mut terminal = Terminal::start(program(), &args, &[], (160, 40))?;
    terminal.wait_for("live")?;
    // Nobody looks at brokers yet.
    assert_eq!(endpoint.asked.load(Ordering::SeqCst), 0);
    terminal.keys("2")?;
    terminal.wait_for("rates by metrics")?;
    terminal.wait_for("97%")?;
    terminal.wait_until("bytes a second", |terminal| {
        terminal.text().contains("KiB/s") || terminal.text().contains("MiB/s")
    })?;
    terminal.keys("enter")?;
    terminal.wait_for("handlers idle 97%")?;
    terminal.wait_for("heap 100 MiB of 1.00 GiB")?;
    terminal.wait_for("p99 produce 12.5 ms")?;
    terminal.wait_for("(100.000%)")?;
    terminal.wait_for("under-replicated 0")?;
    terminal.send(&format!(":topic {topic}\r"))?;
    terminal.wait_for("by metrics  messages")?;
    terminal.wait_until("its bytes", |terminal| {
        let text = terminal.text();
        let line = text
            .lines()
            .find(|line| line.contains("by metrics  messages"));
        line.is_some_and(|line| line.contains("iB/s"))
    })?;
    terminal.keys("3")?;
    terminal.wait_for("IN/S")?;
    // What was known stays, with why it is old.
    terminal.keys("2")?;
    terminal.wait_for("97%")?;
    endpoint.state.store(DOWN, Ordering::SeqCst);
    terminal.wait_for("it answers 503")?;
    terminal.wait_for("! metrics from")?;
    terminal.wait_for("97%")?;
    for size in [(80, 24), (40, 10), (160, 40)] {
        terminal.resize(size.0, size.1)?;
        terminal.wait_for("! metrics")?;
    }
    // Where nobody looks, nobody is asked, but for what was under way.
    endpoint.state.store(GOOD, Ordering::SeqCst);
    terminal.wait_while("! metrics")?;
    terminal.keys("4")?;
    terminal.wait_for("groups")?;
    let asked = endpoint.asked.load(Ordering::SeqCst);
    terminal.read_for(Duration::from_secs(4));
    assert!(endpoint.asked.load(Ordering::SeqCst) <= asked + 1);
    terminal.keys("ctrl-c")?;
    assert!(terminal.wait_for_end()?.success());
    Ok(())
}
