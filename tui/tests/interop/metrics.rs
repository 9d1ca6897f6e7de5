//! Metrics of a real broker: the JMX exporter inside of it, read by the manager.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command;
use crate::health::Exporter;
use crate::terminal::Terminal;
use crate::{apache, shell};

/// Records a second, of a kilobyte each.
const RATE: f64 = 400.0;

/// Makes a node tell its figures at that port.
pub fn add_to(java: &mut Command, folder: &Path, port: u16) -> anyhow::Result<()> {
    let jars = apache::jars("pom-jmx.xml")?;
    let mut found = std::fs::read_dir(&jars)?
        .flatten()
        .map(|entry| entry.path());
    let jar = found.find(|path| path.extension().is_some_and(|end| end == "jar"));
    let jar = jar.context("Maven brings the JMX exporter")?;
    let rules = folder.join("jmx.yaml");
    // Without rules: names as the exporter makes them by itself.
    let wanted = "startDelaySeconds: 0\nincludeObjectNames:\n\
                  - kafka.server:type=BrokerTopicMetrics,*\n- kafka.server:type=ReplicaManager,*\n\
                  - kafka.server:type=KafkaRequestHandlerPool,*\n\
                  - kafka.network:type=SocketServer,*\n\
                  - kafka.network:type=RequestMetrics,name=TotalTimeMs,*\n";
    std::fs::write(&rules, wanted)?;
    let agent = format!(
        "-javaagent:{}=127.0.0.1:{port}:{}",
        jar.display(),
        rules.display()
    );
    java.env("JAVA_TOOL_OPTIONS", agent);
    Ok(())
}

/// One row of `brokers metrics`.
fn row(document: &Value, id: i64) -> anyhow::Result<&Value> {
    let rows = document["brokers"].as_array().context("a list")?;
    rows.iter()
        .find(|row| row["id"] == id)
        .context("the broker")
}

pub fn brokers(cluster: &mut Cluster) -> anyhow::Result<()> {
    let create = [
        "--create",
        "--topic",
        "measured",
        "--replica-assignment",
        "2",
    ];
    cluster.tool("kafka-topics", &create, None)?;
    let records = (RATE * 180.0).to_string();
    let (rate, servers) = (RATE.to_string(), cluster.bootstrap());
    let args = [
        "--topic",
        "measured",
        "--num-records",
        &records,
        "--record-size",
        "1000",
        "--throughput",
        &rate,
        "--bootstrap-server",
        &servers,
    ];
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let mut producer = apache::tool_command("kafka-producer-perf-test", &args)?;
    let producer = producer.stdin(Stdio::null()).stdout(Stdio::null());
    let mut producer = producer.stderr(Stdio::null()).spawn()?;
    let looked = look(cluster);
    shell::kill(&mut producer);
    looked
}

fn look(cluster: &Cluster) -> anyhow::Result<()> {
    let endpoint = format!("2=http://127.0.0.1:{}/metrics", cluster.metrics_port());
    let run = || {
        let args = [
            "--metrics",
            &endpoint,
            "brokers",
            "metrics",
            "--interval",
            "4s",
        ];
        command::document(cluster, &args)
    };
    let is_near =
        |n: &Value, wanted: f64| n.as_f64().is_some_and(|n| (n / wanted - 1.0).abs() < 0.3);
    let mut document = run()?;
    let mut tries = 0;
    // The producer begins slowly, and catches up then.
    while !is_near(
        &row(&document, 2)?["topics"][0]["messages_in_per_second"],
        RATE,
    ) {
        tries += 1;
        ensure!(tries < 8, "no steady rate: {document}");
        document = run()?;
    }
    let two = row(&document, 2)?;
    ensure!(
        two["source"] == "metrics" && two["error"].is_null(),
        "{two}"
    );
    ensure!(two["topics"][0]["name"] == "measured", "{two}");
    // A batch is a little more than its records.
    ensure!(
        is_near(&two["topics"][0]["bytes_in_per_second"], RATE * 1_020.0),
        "{two}"
    );
    let number = |key: &str| two[key].as_f64();
    ensure!(
        number("under_replicated") == Some(0.0) && number("under_min_isr") == Some(0.0),
        "{two}"
    );
    for key in ["request_handlers_idle", "network_processors_idle"] {
        ensure!(
            number(key).is_some_and(|idle| idle > 0.2 && idle < 3.0),
            "{key}: {two}"
        );
    }
    let heap = number("heap_used_bytes").zip(number("heap_max_bytes"));
    ensure!(
        heap.is_some_and(|(used, max)| used > 1e6 && used <= max),
        "{two}"
    );
    ensure!(number("produce_p99_ms").is_some_and(|ms| ms > 0.0), "{two}");
    ensure!(
        number("cpu_cores").is_some_and(|cores| cores > 0.0),
        "{two}"
    );
    // What the broker counts is what the ends of its logs say.
    let others = [row(&document, 1)?, row(&document, 3)?];
    ensure!(
        others.iter().all(|row| row["source"] == "log_ends"),
        "{document}"
    );
    let plain = command::document(cluster, &["brokers", "metrics", "2", "--interval", "4s"])?;
    let by_ends = row(&plain, 2)?;
    ensure!(by_ends["source"] == "log_ends", "{plain}");
    ensure!(is_near(&by_ends["messages_in_per_second"], RATE), "{plain}");
    exported(cluster, &endpoint)?;
    screens(cluster, &endpoint)
}

/// The same figures for Prometheus.
fn exported(cluster: &Cluster, endpoint: &str) -> anyhow::Result<()> {
    let exporter = Exporter::with(cluster, &["--metrics", endpoint])?;
    exporter.wait_until("what the broker takes in", |page| {
        let is = |name: &str, wanted: f64| {
            let value = page.get(name);
            value.is_some_and(|value| (value / wanted - 1.0).abs() < 0.3)
        };
        is("kafka_topic_bytes_in_per_second measured", RATE * 1_020.0)
            && is("kafka_broker_messages_in_per_second 2", RATE)
            && is("kafka_topic_records_per_second measured", RATE)
    })?;
    exporter.wait_until("its state", |page| {
        let has = |name: &str, fits: fn(f64) -> bool| page.get(name).is_some_and(|n| fits(*n));
        has("kafka_broker_metrics_failed 2", |n| n == 0.0)
            && has("kafka_broker_metrics_age_seconds 2", |n| n < 60.0)
            && has("kafka_broker_request_handlers_idle_ratio 2", |n| n > 0.2)
            && has("kafka_broker_heap_used_bytes 2", |n| n > 1e6)
            && has("kafka_broker_produce_p99_seconds 2", |n| n > 0.0)
            && has("kafka_broker_told_under_replicated 2", |n| n == 0.0)
            // Who has no endpoint has no figures.
            && !page.contains_key("kafka_broker_bytes_in_per_second 1")
    })
}

fn screens(cluster: &Cluster, endpoint: &str) -> anyhow::Result<()> {
    let program = Path::new(env!("CARGO_BIN_EXE_kafka-tui"));
    let servers = cluster.bootstrap();
    let folder = tempfile::tempdir()?;
    let recording = folder.path().join("recording").display().to_string();
    let args = [
        "--bootstrap",
        &servers,
        "--refresh",
        "1",
        "--metrics",
        endpoint,
        "--open",
        "brokers",
        "--record",
        &recording,
    ];
    let mut terminal = Terminal::start(program, &args, &[], (200, 60))?;
    terminal.wait_for("rates by metrics of 1, others by log ends")?;
    terminal.wait_until("what it takes in", |terminal| {
        terminal
            .row("2")
            .is_some_and(|row| row.iter().any(|word| word == "KiB/s"))
    })?;
    terminal.keys(":broker space 2 enter")?;
    terminal.wait_for("handlers idle")?;
    terminal.wait_for("under-replicated 0")?;
    terminal.wait_for("p99 produce")?;
    terminal.keys(":broker space 1 enter")?;
    terminal.wait_for("by the log ends of what it leads; no metrics endpoint")?;
    terminal.keys(":topic space measured enter")?;
    terminal.wait_until("what flows in", |terminal| {
        let line = terminal.line("by metrics  messages").unwrap_or_default();
        line.contains("KiB/s")
    })?;
    terminal.keys("ctrl-c")?;
    ensure!(terminal.wait_for_end()?.success(), "it ends");

    // The recording tells the same, without the broker.
    let args = ["--replay", &recording, "--open", "brokers"];
    let mut terminal = Terminal::start(program, &args, &[], (200, 60))?;
    terminal.wait_for("rates by metrics of 1, others by log ends")?;
    terminal.keys(":broker space 2 enter")?;
    terminal.wait_for("handlers idle")?;
    terminal.wait_for("p99 produce")?;
    terminal.keys(":topic space measured enter")?;
    terminal.wait_for("by metrics  messages")
}
