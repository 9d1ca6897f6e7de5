//! May broker N stop? — the answer by a command and on the screen, and what really happens when it
//! is killed, as Kafka's tools tell it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::running::{Place, topic};
use crate::shell;

/// The most that anything may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// Partitions that kafka-topics names with one of its filters.
fn named(cluster: &Cluster, filter: &str) -> anyhow::Result<BTreeSet<String>> {
    let text = cluster.tool("kafka-topics", &["--describe", filter], None)?;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let field = |name: &str| {
            let (_, rest) = line.split_once(name)?;
            rest.split_whitespace().next()
        };
        if let (Some(topic), Some(partition)) = (field("Topic: "), field("Partition: ")) {
            found.insert(format!("{topic}-{partition}"));
        }
    }
    Ok(found)
}

fn said(answer: &Value, what: &str) -> anyhow::Result<BTreeSet<String>> {
    let names = answer[what]["partitions"]
        .as_array()
        .context("partitions")?;
    let names = names.iter().filter_map(Value::as_str);
    Ok(names.map(str::to_owned).collect())
}

/// How many of the groups that kafka-groups lists are coordinated there: Kafka chooses a partition
/// of __consumer_offsets by Java's hash of the name, and its leader coordinates the group.
fn groups_at(cluster: &Cluster, broker: i32) -> anyhow::Result<usize> {
    let args = ["--describe", "--topic", "__consumer_offsets"];
    let text = cluster.tool("kafka-topics", &args, None)?;
    let leaders = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("Leader: ")?;
        rest.split_whitespace().next()?.parse::<i32>().ok()
    });
    let leaders: Vec<i32> = leaders.collect();
    ensure!(!leaders.is_empty(), "{text}");
    let hash = |name: &str| {
        let units = name.encode_utf16();
        units.fold(0_i32, |hash, unit| {
            hash.wrapping_mul(31).wrapping_add(i32::from(unit))
        })
    };
    let text = cluster.tool("kafka-groups", &["--list"], None)?;
    let groups = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next());
    let coordinators = groups.filter_map(|group| {
        let partition = hash(group).unsigned_abs() as usize % leaders.len();
        leaders.get(partition)
    });
    Ok(coordinators.filter(|leader| **leader == broker).count())
}

pub fn may_stop(cluster: &mut Cluster) -> anyhow::Result<()> {
    let place = Place::of(cluster)?;
    topic(cluster, "stop-single", "3,1", false)?;
    topic(cluster, "stop-safe", "3:1:2", false)?;
    let strict = [
        "--create",
        "--topic",
        "stop-strict",
        "--replica-assignment",
        "3:1,1:2",
    ];
    let strict = [&strict[..], &["--config", "min.insync.replicas=2"]].concat();
    cluster.tool("kafka-topics", &strict, None)?;
    let offline_before = named(cluster, "--unavailable-partitions")?;
    let under_before = named(cluster, "--under-min-isr-partitions")?;

    let (code, answer) = place.run(&["brokers", "may-stop", "3"])?;
    ensure!(code == 8 && answer["may_stop"] == "no", "{code}: {answer}");
    let (offline, under) = (said(&answer, "offline")?, said(&answer, "under_min_isr")?);
    ensure!(
        offline.contains("stop-single-0") && !offline.contains("stop-single-1"),
        "{answer}"
    );
    ensure!(
        under.contains("stop-strict-0") && !under.contains("stop-strict-1"),
        "{answer}"
    );
    ensure!(!answer.to_string().contains("stop-safe"), "{answer}");
    let groups = groups_at(cluster, 3)?;
    ensure!(answer["groups"] == groups, "{groups} groups: {answer}");
    // The controller is a voter alone.
    let (code, answer) = place.run(&["brokers", "may-stop", "1"])?;
    ensure!(
        code == 8 && answer.to_string().contains("majority"),
        "{code}: {answer}"
    );

    let mut terminal = place.screens("groups")?;
    terminal.wait_for("classic-one")?;
    terminal.keys(":brokers enter")?;
    terminal.wait_until("broker 3", |terminal| terminal.row("3").is_some())?;
    terminal.keys("G w")?;
    terminal.wait_for("may broker 3 stop now?")?;
    terminal.wait_for("would have no replica in sync")?;
    terminal.wait_for("stop-single-0")?;
    terminal.wait_for("stop-strict-0")?;
    match groups {
        0 => {}
        1 => terminal.wait_for("1 group will find another coordinator")?,
        n => terminal.wait_for(&format!("{n} groups will find another coordinator"))?,
    }
    terminal.keys("esc")?;

    // The truth.
    cluster.kill(3);
    let (mut gone, mut below) = (BTreeSet::new(), BTreeSet::new());
    let is_true = shell::wait_until(DEADLINE, || {
        let new = |filter: &str, before: &BTreeSet<String>| -> BTreeSet<String> {
            let now = named(cluster, filter).unwrap_or_default();
            now.difference(before).cloned().collect()
        };
        gone = new("--unavailable-partitions", &offline_before);
        below = new("--under-min-isr-partitions", &under_before);
        // What has no leader is below the minimum too.
        gone == offline && below == under.union(&offline).cloned().collect()
    });
    cluster.spawn(3)?;
    cluster.wait_for(3)?;
    ensure!(
        is_true,
        "offline {gone:?} and not {offline:?}; below {below:?} and not {under:?}"
    );
    let back = shell::wait_until(DEADLINE, || {
        named(cluster, "--under-replicated-partitions").is_ok_and(|list| list.is_empty())
    });
    ensure!(
        back,
        "{:?}",
        named(cluster, "--under-replicated-partitions")
    );
    // As the cases after this one expect it; what is below its minimum when a broker dies holds
    // every run.
    place.document(&["topics", "delete", "stop-strict", "--yes"])?;
    place.document(&["elect", "--yes"]).map(drop)
}
