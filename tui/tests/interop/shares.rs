//! Share groups: their kind, their members, and a lag that is none of committed offsets.

use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command::{document, run};
use crate::{apache, manager, shell};

const DEADLINE: Duration = Duration::from_secs(90);

/// A member of a share group that runs until it is stopped.
fn consume(cluster: &Cluster, group: &str) -> anyhow::Result<Child> {
    let bootstrap = cluster.bootstrap();
    let args = ["--bootstrap-server", &bootstrap, "--topic", "shared"];
    let args = [&args[..], &["--group", group]].concat();
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let mut command = apache::tool_command("kafka-console-share-consumer", &args)?;
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command.stderr(Stdio::null()).spawn()?)
}

/// Of one that was killed the records say no more than that it is gone, and the screen says so.
fn killed(cluster: &Cluster) -> anyhow::Result<()> {
    let mut told = Value::Null;
    let is_told = shell::wait_until(DEADLINE, || {
        let timeline = run(cluster, &["groups", "timeline", "sharers-killed"]);
        told = timeline.map_or(Value::Null, |(_, told)| told);
        let events = told["events"].as_array().cloned().unwrap_or_default();
        let last = events
            .last()
            .map(|event| event["causes"][0]["cause"].clone());
        last.is_some_and(|cause| cause == "gone")
    });
    let why = "records are the same whether a member leaves or its session time-out of 8.0 s ends";
    ensure!(is_told && told.to_string().contains(why), "{told}");
    let mut terminal = manager(cluster, "group sharers-killed")?;
    terminal.keys("t")?;
    terminal.wait_for("left or failed: console-share-consumer@127.0.0.1")?;
    terminal.wait_for(why)
}

pub fn share_group(cluster: &mut Cluster) -> anyhow::Result<()> {
    // One partition: one that nobody has read from yet has no place to be behind of.
    let create = ["--create", "--topic", "shared", "--partitions", "1"];
    cluster.tool("kafka-topics", &create, None)?;
    let mut consumer = consume(cluster, "sharers")?;
    let mut dying = consume(cluster, "sharers-killed")?;
    let describe = ["groups", "describe", "sharers"];
    let mut last = String::new();
    let has_partitions = shell::wait_until(DEADLINE, || {
        let Ok((0, group)) = run(cluster, &describe) else {
            return false;
        };
        last = group.to_string();
        let owned = group["members"][0]["partitions"].as_array().map(Vec::len);
        group["type"] == "share" && group["state"] == "Stable" && owned == Some(1)
    });
    ensure!(has_partitions, "{last}");
    let has_joined = shell::wait_until(DEADLINE, || {
        let described = run(cluster, &["groups", "describe", "sharers-killed"]);
        described.is_ok_and(|(_, group)| group["state"] == "Stable")
    });
    ensure!(has_joined, "the one that will be killed has joined");
    shell::kill(&mut dying);
    // A share group begins at the end: records before it were none.
    let records = "1\n2\n3\n4\n5\n6\n";
    let mut all_read = String::new();
    cluster.tool(
        "kafka-console-producer",
        &["--topic", "shared"],
        Some(records),
    )?;
    let is_read = shell::wait_until(DEADLINE, || {
        let args = ["--describe", "--group", "sharers"];
        all_read = cluster
            .tool("kafka-share-groups", &args, None)
            .unwrap_or_default();
        let rows = all_read.lines().filter(|line| line.contains("shared"));
        let lag = |line: &str| line.split_whitespace().last().map(str::to_owned);
        rows.filter_map(lag).any(|lag| lag == "0")
    });
    ensure!(is_read, "{all_read}");
    shell::terminate(&mut consumer, DEADLINE)?;
    // Nobody reads any more: what is written now is what it is behind.
    cluster.tool(
        "kafka-console-producer",
        &["--topic", "shared"],
        Some(records),
    )?;
    let args = ["--describe", "--group", "sharers"];
    let text = cluster.tool("kafka-share-groups", &args, None)?;
    let theirs = |row: &&str| row.split_whitespace().next() == Some("sharers");
    let mut lags = 0;
    for row in text.lines().filter(theirs) {
        lags += row
            .split_whitespace()
            .last()
            .and_then(|lag| lag.parse::<i64>().ok())
            .unwrap_or(0);
    }
    let group = document(cluster, &describe)?;
    ensure!(
        lags > 0 && group["lag"] == lags && group["state"] == "Empty",
        "{group}, not {lags} as in\n{text}"
    );
    let told = document(cluster, &["groups", "timeline", "sharers"])?;
    let events = told["events"].as_array().context("events")?;
    let causes: Vec<&str> = events
        .iter()
        .filter_map(|event| event["causes"][0]["cause"].as_str())
        .collect();
    ensure!(
        causes.first() == Some(&"joined")
            && ["left", "gone"].contains(causes.last().unwrap_or(&"")),
        "{told}"
    );
    killed(cluster)?;
    let mut terminal = manager(cluster, "group sharers")?;
    terminal.wait_for("share")?;
    terminal.wait_for("shared-0")?;
    terminal.keys("t")?;
    terminal.wait_for("share group  __consumer_offsets-")?;
    terminal.wait_for("joined: console-share-consumer@127.0.0.1")?;
    cluster
        .tool("kafka-topics", &["--delete", "--topic", "shared"], None)
        .map(drop)
}
