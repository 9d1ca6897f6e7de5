//! Groups: new offsets and lag as kafka-consumer-groups says, and the causes of rebalances that
//! real consumers made.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::{apache, manager, shell};

/// A group is where it shall be by then, also on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(90);

/// One of our commands on the cluster; its document.
fn ours(cluster: &Cluster, args: &[&str]) -> anyhow::Result<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_kafka-tui"))
        .args(["--output", "json", "--bootstrap", &cluster.bootstrap()])
        .args(args)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!("{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{args:?}"))
}

/// What Kafka's tool would set, by topic-partition.
fn theirs(cluster: &Cluster, how: &[&str]) -> anyhow::Result<BTreeMap<String, i64>> {
    let args = [&["--group", "stopped", "--reset-offsets", "--dry-run"], how].concat();
    let text = cluster.tool("kafka-consumer-groups", &args, None)?;
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["stopped", topic, partition, offset] => {
                Some((format!("{topic}-{partition}"), offset.parse().ok()?))
            }
            _ => None,
        }
    };
    Ok(text.lines().filter_map(line).collect())
}

pub fn resets(cluster: &mut Cluster) -> anyhow::Result<()> {
    for how in [
        &["--all-topics", "--to-earliest"][..],
        &["--all-topics", "--to-latest"],
        &["--all-topics", "--shift-by", "-5"],
        &["--topic", "orders:0,3", "--to-offset", "1000000"],
        &["--topic", "payments", "--to-current"],
        &["--all-topics", "--by-duration", "PT1H"],
        &[
            "--topic",
            "orders",
            "--to-datetime",
            "2100-01-01T00:00:00.000",
        ],
    ] {
        let theirs = theirs(cluster, how)?;
        let document = ours(cluster, &[&["groups", "reset", "stopped"], how].concat())?;
        let rows = document["partitions"].as_array().context("partitions")?;
        let ours: BTreeMap<String, i64> = rows
            .iter()
            .filter_map(|row| {
                let name = format!("{}-{}", row["topic"].as_str()?, row["partition"]);
                Some((name, row["to"].as_i64()?))
            })
            .collect();
        ensure!(
            !theirs.is_empty() && ours == theirs,
            "{how:?}: {ours:?}, not {theirs:?}"
        );
    }
    let exported = Command::new(env!("CARGO_BIN_EXE_kafka-tui"))
        .args([
            "--bootstrap",
            &cluster.bootstrap(),
            "groups",
            "reset",
            "stopped",
        ])
        .args(["--to-current", "--export"])
        .output()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("offsets.csv");
    std::fs::write(&file, &exported.stdout)?;
    let file = file.to_str().context("a path in UTF-8")?;
    let read = theirs(cluster, &["--from-file", file])?;
    ensure!(
        read.values().all(|offset| *offset == 16),
        "Kafka's tool reads our file: {read:?}"
    );
    Ok(())
}

/// A consumer that runs until it is stopped.
fn consumer(cluster: &Cluster, group: &str, more: &[&str]) -> anyhow::Result<Child> {
    let bootstrap = cluster.bootstrap();
    let topic = format!("{group}-topic");
    let mut args = vec![
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        &topic,
        "--group",
        group,
        "--from-beginning",
        "--command-property",
        "auto.commit.interval.ms=300",
        "--command-property",
        "metadata.max.age.ms=1000",
    ];
    for property in more {
        args.extend(["--command-property", property]);
    }
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let mut command = apache::tool_command("kafka-console-consumer", &args)?;
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command.stderr(Stdio::null()).spawn()?)
}

/// Waits until the group owns so many partitions with so many members.
fn settled(cluster: &Cluster, group: &str, members: usize, owned: usize) -> anyhow::Result<()> {
    let mut last = String::new();
    let is_so = shell::wait_until(DEADLINE, || {
        let Ok(document) = ours(cluster, &["groups", "describe", group]) else {
            return false;
        };
        last = document.to_string();
        let rows = document["members"].as_array().cloned().unwrap_or_default();
        let partitions = |row: &Value| row["partitions"].as_array().map_or(0, Vec::len);
        let n: usize = rows.iter().map(partitions).sum();
        document["state"] == "Stable" && rows.len() == members && n == owned
    });
    ensure!(
        is_so,
        "{group} has not {members} members with {owned} partitions: {last}"
    );
    Ok(())
}

/// Waits until the timeline tells of a cause; since members commit meanwhile, it has what it tells
/// from.
fn told(cluster: &Cluster, group: &str, causes: &[&str]) -> anyhow::Result<()> {
    let (mut last, mut failed) = (Vec::new(), String::new());
    let is_so = shell::wait_until(DEADLINE, || {
        let document = match ours(cluster, &["groups", "timeline", group]) {
            Ok(document) => document,
            Err(error) => {
                failed = format!("{error:#}");
                return false;
            }
        };
        let events = document["events"].as_array().cloned().unwrap_or_default();
        let of = |event: &Value| event["causes"].as_array().cloned().unwrap_or_default();
        let all = events.iter().flat_map(of);
        last = all
            .filter_map(|cause| cause["cause"].as_str().map(str::to_owned))
            .collect();
        last == causes
    });
    ensure!(is_so, "{group}: {last:?}, not {causes:?}; {failed}");
    Ok(())
}

/// Waits until a member has committed twice more for each partition.
fn commits(cluster: &Cluster, group: &str) -> anyhow::Result<()> {
    let reach = || -> Option<i64> {
        let document = ours(cluster, &["groups", "timeline", group]).ok()?;
        document["read"]["to_offset"].as_i64()
    };
    let from = reach().context("the end of the log")?;
    let is_so = shell::wait_until(DEADLINE, || reach().is_some_and(|to| to >= from + 12));
    ensure!(is_so, "{group} commits");
    Ok(())
}

fn rebalances(cluster: &Cluster, group: &str, properties: &[&str]) -> anyhow::Result<()> {
    let topic = format!("{group}-topic");
    let create = ["--create", "--topic", &topic, "--partitions", "2"];
    cluster.tool("kafka-topics", &create, None)?;
    let records: String = (0..20).map(|n| format!("{n}\n")).collect();
    cluster.tool(
        "kafka-console-producer",
        &["--topic", &topic],
        Some(&records),
    )?;
    let start = |more: &[&str]| consumer(cluster, group, &[properties, more].concat());
    let mut causes = vec!["joined"];
    let mut first = start(&[])?;
    settled(cluster, group, 1, 2)?;

    let mut second = start(&[])?;
    settled(cluster, group, 2, 2)?;
    causes.push("joined");
    commits(cluster, group)?;
    shell::terminate(&mut second, DEADLINE)?;
    settled(cluster, group, 1, 2)?;
    causes.push("left");
    told(cluster, group, &causes)?;

    let mut third = start(&[])?;
    settled(cluster, group, 2, 2)?;
    causes.push("joined");
    commits(cluster, group)?;
    shell::kill(&mut third);
    settled(cluster, group, 1, 2)?;
    causes.push("failed");
    told(cluster, group, &causes)?;

    let mut fixed = start(&["group.instance.id=fixed"])?;
    settled(cluster, group, 2, 2)?;
    causes.push("joined");
    commits(cluster, group)?;
    shell::terminate(&mut fixed, DEADLINE)?;
    let mut fixed = start(&["group.instance.id=fixed"])?;
    causes.push("static_restart");
    told(cluster, group, &causes)?;
    settled(cluster, group, 2, 2)?;

    // The same on its screen, which is come to by keys; what happens meanwhile turns up there.
    let mut terminal = manager(cluster, "groups")?;
    terminal.keys(&format!(":group space {group} enter"))?;
    terminal.wait_for("partitions 2")?;
    terminal.keys("t")?;
    terminal.wait_for(&format!("timeline of {group}"))?;
    for text in [
        "joined: console-consumer@127.0.0.1",
        "left: console-consumer@127.0.0.1",
        "failed (session time-out): console-consumer@127.0.0.1",
        "joined: fixed",
        "static member restarted: fixed",
    ] {
        terminal.wait_for(text)?;
    }
    let grow = ["--alter", "--topic", &topic, "--partitions", "3"];
    cluster.tool("kafka-topics", &grow, None)?;
    settled(cluster, group, 2, 3)?;
    causes.push("topic_grew");
    told(cluster, group, &causes)?;
    terminal.wait_for("grew from 2 to 3 partitions")?;
    // The selected event says who owns what it moved.
    terminal.keys("g")?;
    terminal.wait_for(&format!("{topic}-2: nobody →"))?;
    shell::kill(&mut fixed);
    shell::kill(&mut first);
    Ok(())
}

pub fn classic_timeline(cluster: &mut Cluster) -> anyhow::Result<()> {
    rebalances(
        cluster,
        "classic-life",
        &[
            "group.protocol=classic",
            "session.timeout.ms=8000",
            "heartbeat.interval.ms=500",
        ],
    )
}

pub fn consumer_timeline(cluster: &mut Cluster) -> anyhow::Result<()> {
    rebalances(cluster, "consumer-life", &["group.protocol=consumer"])
}
