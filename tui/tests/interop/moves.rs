//! Changes to a running cluster, followed on the screens: reassignments, and a broker that dies.

use anyhow::{Context as _, ensure};

use crate::cluster::Cluster;
use crate::command::document;
use crate::manager;
use crate::terminal::Terminal;

/// Records of the topic that is moved, of 10 kB each.
const RECORDS: usize = 2_000;

/// What a broker may receive in a second: slow enough to look at, and to cancel.
const THROTTLE: &str = "1000000";

/// A topic with data, all of it on broker 1, whose copies are made slowly.
pub fn slow_topic(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    let create = ["--create", "--topic", name, "--replica-assignment", "1,1"];
    cluster.tool("kafka-topics", &create, None)?;
    let value = "x".repeat(10_000);
    let records: String = (0..RECORDS).map(|_| format!("{value}\n")).collect();
    cluster.tool("kafka-console-producer", &["--topic", name], Some(&records))?;
    throttle(
        cluster,
        name,
        "--add-config",
        [&format!("={THROTTLE}"), "=*"],
    )
}

/// Sets or deletes the throttle of every broker and of every replica of the topic.
pub fn throttle(
    cluster: &Cluster,
    topic: &str,
    change: &str,
    values: [&str; 2],
) -> anyhow::Result<()> {
    let settings = |what: &str, value: &str| {
        let setting = |who| format!("{who}.replication.throttled.{what}{value}");
        ["leader", "follower"].map(setting).join(",")
    };
    let alter = |kind: &str, name: &str, settings: &str| {
        let args = ["--alter", "--entity-type", kind, "--entity-name", name];
        let args = [&args[..], &[change, settings]].concat();
        cluster.tool("kafka-configs", &args, None).map(drop)
    };
    for id in ["1", "2", "3"] {
        alter("brokers", id, &settings("rate", values[0]))?;
    }
    alter("topics", topic, &settings("replicas", values[1]))
}

/// Takes both away.
pub fn unthrottle(cluster: &Cluster, topic: &str) -> anyhow::Result<()> {
    throttle(cluster, topic, "--delete-config", ["", ""])
}

/// Plans and executes, by keys: both partitions onto broker 3.
pub fn move_to_3(terminal: &mut Terminal, topic: &str) -> anyhow::Result<()> {
    terminal.keys(&format!(":topic space {topic} enter"))?;
    terminal.wait_for(&format!("topics › {topic}"))?;
    terminal.wait_for("MiB")?;
    terminal.keys("a")?;
    terminal.wait_for(&format!("reassign {topic}"))?;
    terminal.keys("g space space e")?;
    terminal.wait_for("replicas of 2 partitions")?;
    terminal.keys("ctrl-u 3 enter")?;
    terminal.wait_for("2 of 2 partitions change")?;
    terminal.wait_for("+3 -1")?;
    terminal.keys("o")?;
    terminal.wait_for("\"partitions\"")?;
    terminal.keys("esc x")?;
    terminal.wait_for("press y to execute")?;
    terminal.wait_for("kafka-reassign-partitions.sh")?;
    terminal.keys("y")?;
    terminal.wait_for("on its way")?;
    terminal.keys("esc :reassignments enter")?;
    terminal.wait_for("of 1")
}

/// The replicas of the topic's partitions, as kafka-topics says.
fn replicas(cluster: &Cluster, topic: &str) -> anyhow::Result<Vec<String>> {
    let text = cluster.tool("kafka-topics", &["--describe", "--topic", topic], None)?;
    let lines = text
        .lines()
        .filter_map(|line| line.split_once("Replicas: "));
    let replicas = lines.filter_map(|(_, rest)| rest.split_whitespace().next());
    Ok(replicas.map(str::to_owned).collect())
}

/// Per cent of the first reassignment on the screen.
pub fn percent(terminal: &Terminal) -> Option<u32> {
    let line = terminal.line("%")?;
    let (before, _) = line.split_once('%')?;
    before.split_whitespace().next_back()?.parse().ok()
}

pub fn reassign(cluster: &mut Cluster) -> anyhow::Result<()> {
    slow_topic(cluster, "moving")?;
    let mut terminal = manager(cluster, "topics")?;
    move_to_3(&mut terminal, "moving")?;
    terminal.wait_until("some of it is copied", |terminal| {
        percent(terminal).is_some_and(|percent| (1..100).contains(&percent))
    })?;
    let first = percent(&terminal).context("a percentage")?;
    terminal.wait_until("more of it is copied", |terminal| {
        percent(terminal).is_some_and(|percent| percent > first)
    })?;
    unthrottle(cluster, "moving")?;
    terminal.wait_for("nothing is being reassigned")?;
    let now = replicas(cluster, "moving")?;
    ensure!(now == ["3", "3"], "{now:?}");
    terminal.keys(":topic space moving enter")?;
    terminal.wait_until("it is on broker 3", |terminal| {
        ["0", "1"].iter().all(|partition| {
            let row = terminal.row(partition).unwrap_or_default();
            row.get(1..5)
                .is_some_and(|cells| cells.join(" ") == "3 3 3 ok")
        })
    })
}

pub fn cancel(cluster: &mut Cluster) -> anyhow::Result<()> {
    slow_topic(cluster, "staying")?;
    let mut terminal = manager(cluster, "topics")?;
    move_to_3(&mut terminal, "staying")?;
    // A replica that is being added is told to go again: with Kafka's own tool that never ends, and
    // with a plan of ours it does.
    let back = tempfile::NamedTempFile::new()?;
    let partition = |n| serde_json::json!({"topic": "staying", "partition": n, "replicas": [1]});
    let file = |n| serde_json::json!({"version": 1, "partitions": [partition(n)]}).to_string();
    std::fs::write(back.path(), file(1))?;
    let path = back.path().display().to_string();
    let execute = [
        "--execute",
        "--additional",
        "--reassignment-json-file",
        &path,
    ];
    cluster.tool("kafka-reassign-partitions", &execute, None)?;
    terminal.wait_until("Kafka's own never ends", |terminal| {
        let row = terminal.row("staying-1").unwrap_or_default();
        row.join(" ").contains("never ends")
    })?;
    std::fs::write(back.path(), file(0))?;
    let execute = ["reassign", "execute", "--file", &path, "--wait", "--yes"];
    document(cluster, &execute)?;
    terminal.wait_until("ours has ended", |terminal| {
        terminal.row("staying-0").is_none() && terminal.row("staying-1").is_some()
    })?;
    terminal.keys("g space x")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    terminal.wait_for("nothing is being reassigned")?;
    unthrottle(cluster, "staying")?;
    let now = replicas(cluster, "staying")?;
    ensure!(now == ["1", "1"], "{now:?}");
    Ok(())
}

pub fn kill(cluster: &mut Cluster) -> anyhow::Result<()> {
    let mut terminal = manager(cluster, "overview")?;
    terminal.wait_for("all is well")?;
    cluster.kill(3);
    terminal.wait_until("partitions lack a replica", |terminal| {
        let row = terminal.row("under-replicated").unwrap_or_default();
        row.get(1).is_some_and(|n| n != "0")
    })?;
    terminal.wait_for("WHAT IS WRONG")?;
    terminal.keys(":brokers enter")?;
    terminal.wait_until("broker 3 is down", |terminal| {
        let row = terminal.row("3").unwrap_or_default();
        row.get(1).is_none_or(|state| state != "up")
    })?;

    cluster.spawn(3)?;
    cluster.wait_for(3)?;
    terminal.keys(":overview enter")?;
    terminal.wait_until("every replica is in sync again", |terminal| {
        let row = terminal.row("under-replicated").unwrap_or_default();
        row.get(1).is_some_and(|n| n == "0")
    })?;
    terminal.wait_until("others lead what broker 3 should", |terminal| {
        let line = terminal.line("not led by preferred").unwrap_or_default();
        line.split_whitespace().nth(4).is_some_and(|n| n != "0")
    })?;
    terminal.keys(":elect enter")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    terminal.wait_until("the preferred ones lead", |terminal| {
        let line = terminal.line("not led by preferred").unwrap_or_default();
        line.split_whitespace().nth(4).is_some_and(|n| n == "0")
    })?;
    Ok(())
}
