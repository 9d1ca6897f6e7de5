//! A reassignment in batches under a throttle, by commands: its estimate, its throttles after its
//! end and after `kill -9` in the middle, and its undo. What is set and where replicas are is asked
//! of Kafka's own tools.
//!
//! `KAFKA_TUI_MOVE_MB=2048` moves 2 GB instead of 18 MB.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::shell::{self, Stopwatch};

/// Bytes of a record.
const RECORD: usize = 10_000;

/// Megabytes that are moved where nothing else is said.
const MEGABYTES: usize = 18;

/// A move of that many seconds, where every broker sends and receives a third.
const SECONDS: usize = 5;

/// The most that anything may take.
const DEADLINE: Duration = Duration::from_secs(900);

const TOPIC: &str = "heavy";

/// The manager's commands, with a memory of their own.
struct Manager {
    bootstrap: String,
    state: tempfile::TempDir,
}

impl Manager {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_kafka-tui")));
        command.args(["--bootstrap", &self.bootstrap, "--output", "json"]);
        command.args(args).env("XDG_STATE_HOME", self.state.path());
        command
    }

    /// What a command prints; it has to succeed.
    fn run(&self, args: &[&str]) -> anyhow::Result<Value> {
        let output = shell::run(&mut self.command(args), None, DEADLINE)?;
        let text = output.success().with_context(|| format!("{args:?}"))?;
        serde_json::from_str(&text).with_context(|| text)
    }

    fn start(&self, args: &[&str]) -> anyhow::Result<Child> {
        let mut command = self.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command.stderr(Stdio::null()).spawn()?)
    }
}

/// The replicas of each partition, as kafka-topics says.
fn placed(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let text = cluster.tool("kafka-topics", &["--describe", "--topic", TOPIC], None)?;
    let lines = text
        .lines()
        .filter_map(|line| line.split_once("Replicas: "));
    let replicas = lines.filter_map(|(_, rest)| rest.split_whitespace().next());
    Ok(replicas.map(str::to_owned).collect())
}

/// Every throttle of the topic and of the brokers, as kafka-configs says.
fn throttles(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let topic = [
        "--describe",
        "--entity-type",
        "topics",
        "--entity-name",
        TOPIC,
    ];
    let mut text = cluster.tool("kafka-configs", &topic, None)?;
    text.push_str(&cluster.tool(
        "kafka-configs",
        &["--describe", "--entity-type", "brokers"],
        None,
    )?);
    for line in text.lines().map(str::trim) {
        // A rate without a value of its own is Kafka's default, and is listed with --all only.
        if line.contains(".replication.throttled.") {
            found.push(line.to_owned());
        }
    }
    Ok(found)
}

fn fill(cluster: &Cluster, megabytes: usize) -> anyhow::Result<()> {
    let create = [
        "--create",
        "--topic",
        TOPIC,
        "--replica-assignment",
        "1,2,3,1,2,3",
    ];
    cluster.tool("kafka-topics", &create, None)?;
    let records = (megabytes * 1_000_000 / RECORD).to_string();
    let size = RECORD.to_string();
    let args = [
        "--topic",
        TOPIC,
        "--num-records",
        &records,
        "--record-size",
        &size,
    ];
    // A partition is chosen anew for each batch, so that each gets its sixth.
    let args = [&args[..], &["--throughput", "-1"]].concat();
    cluster
        .tool("kafka-producer-perf-test", &args, None)
        .map(drop)
}

/// A file of Kafka's tool: each partition one broker on.
fn onward(folder: &Path) -> anyhow::Result<String> {
    let partition = |at: usize| {
        let to = (at + 1) % 3 + 1;
        format!(r#"{{"topic":"{TOPIC}","partition":{at},"replicas":[{to}]}}"#)
    };
    let partitions: Vec<String> = (0..6).map(partition).collect();
    let path = folder.join("onward.json");
    let text = format!(r#"{{"version":1,"partitions":[{}]}}"#, partitions.join(","));
    std::fs::write(&path, text)?;
    Ok(path.display().to_string())
}

pub fn throttled(cluster: &mut Cluster) -> anyhow::Result<()> {
    let megabytes = match std::env::var("KAFKA_TUI_MOVE_MB") {
        Ok(text) => text.parse().context("KAFKA_TUI_MOVE_MB")?,
        Err(_) => MEGABYTES,
    };
    fill(cluster, megabytes)?;
    let manager = Manager {
        bootstrap: cluster.bootstrap(),
        state: tempfile::tempdir()?,
    };
    let seconds = if megabytes > 500 { 60 } else { SECONDS };
    let rate = (megabytes * 1_000_000 / 3 / seconds).to_string();
    let before = placed(cluster)?;
    let goal = onward(manager.state.path())?;
    let path = manager.state.path().join("plan.json").display().to_string();
    let plan = [
        "reassign",
        "plan",
        "--file",
        &goal,
        "--out",
        &path,
        "--throttle",
        &rate,
    ];
    let planned = manager.run(&plan)?;
    let least_ms = planned["estimate"]["least_ms"]
        .as_f64()
        .context("an estimate")?;
    let most_ms = planned["estimate"]["most_ms"].as_f64().context("its end")?;
    let dry = manager.run(&["reassign", "run", &path, "--throttle", &rate])?;
    ensure!(dry["moves"] == 6, "{dry}");
    ensure!(placed(cluster)? == before, "a dry run moves nothing");
    // Kafka's own tool reads the plan as it is.
    let verify = [
        "--reassignment-json-file",
        &path,
        "--verify",
        "--preserve-throttles",
    ];
    let said = cluster.tool("kafka-reassign-partitions", &verify, None)?;
    ensure!(said.contains(&format!("{TOPIC}-0")), "{said}");

    let run = [
        "reassign",
        "run",
        &path,
        "--throttle",
        &rate,
        "--batch",
        "6",
        "--execute",
    ];
    let watch = Stopwatch::start();
    let done = manager.run(&run)?;
    let took_ms = watch.elapsed().as_secs_f64() * 1_000.0;
    ensure!(
        done["counts"]["done"] == 6 && done["has_throttles"] == false,
        "{done}"
    );
    println!(
        "     {megabytes} MB: estimated {least_ms:.0} to {most_ms:.0} ms, took {took_ms:.0} ms"
    );
    ensure!(
        took_ms >= least_ms / 2.0 && took_ms <= most_ms * 2.0,
        "not as estimated"
    );
    let moved: Vec<String> = ["2", "3", "1", "2", "3", "1"].map(str::to_owned).into();
    ensure!(placed(cluster)? == moved, "{:?}", placed(cluster)?);
    ensure!(throttles(cluster)?.is_empty(), "{:?}", throttles(cluster)?);

    undo(cluster, &manager, &before)?;

    let mut child = manager.start(&["reassign", "run", &path, "--throttle", &rate, "--execute"])?;
    let came = shell::wait_until(Duration::from_secs(60), || {
        let status = manager.run(&["reassign", "status"]).unwrap_or_default();
        let run = &status["run"];
        run["has_throttles"] == true && run["counts"]["moving"].as_u64().is_some_and(|n| n > 0)
    });
    shell::kill(&mut child);
    ensure!(came, "it did not begin");
    // What a killed program has set is still there.
    ensure!(!throttles(cluster)?.is_empty(), "no throttle is set");
    let status = manager.run(&["reassign", "status"])?;
    ensure!(status["run"]["is_over"] == false, "{status}");
    let done = manager.run(&["reassign", "resume"])?;
    ensure!(done["counts"]["done"] == 6, "{done}");
    ensure!(placed(cluster)? == moved, "{:?}", placed(cluster)?);
    ensure!(throttles(cluster)?.is_empty(), "{:?}", throttles(cluster)?);
    let left = manager.run(&["reassign", "janitor"])?;
    ensure!(left["left_over"] == serde_json::json!([]), "{left}");
    undo(cluster, &manager, &before)
}

/// Takes the last change back and waits until the old assignment is there.
fn undo(cluster: &Cluster, manager: &Manager, before: &[String]) -> anyhow::Result<()> {
    manager.run(&["undo", "--execute"])?;
    let back = shell::wait_until(DEADLINE, || placed(cluster).is_ok_and(|now| now == before));
    ensure!(back, "undo left {:?}", placed(cluster)?);
    Ok(())
}
