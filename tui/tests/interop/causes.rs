//! What consumers of both protocols do, all at once in one process, and what the manager tells of
//! it: the cause of each rebalance, also that there was none when the coordinator's broker died.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command::{document, run, until};
use crate::manager;
use crate::members::{CLASSIC, CONSUMER, Members, Program};
use crate::shell;

const DEADLINE: Duration = Duration::from_secs(90);

fn create(cluster: &Cluster, topic: &str, partitions: &str) -> anyhow::Result<()> {
    let args = ["topics", "create", topic, "--partitions", partitions];
    document(
        cluster,
        &[&args[..], &["--replication-factor", "3"]].concat(),
    )
    .map(drop)
}

/// The causes of each event.
fn causes(told: &Value) -> Vec<Vec<String>> {
    let events = told["events"].as_array().cloned().unwrap_or_default();
    let of = |event: &Value| {
        let causes = event["causes"].as_array().cloned().unwrap_or_default();
        let words = causes.iter().filter_map(|cause| cause["cause"].as_str());
        words.map(str::to_owned).collect()
    };
    events.iter().map(of).collect()
}

/// Waits until the timeline of a group tells exactly these causes, event by event.
fn told(cluster: &Cluster, group: &str, expected: &[&str]) -> anyhow::Result<Value> {
    let expected: Vec<Vec<String>> = (expected.iter())
        .map(|event| event.split(' ').map(str::to_owned).collect())
        .collect();
    let last = until(cluster, &["groups", "timeline", group], |told| {
        causes(told) == expected
    });
    last.with_context(|| format!("{group}, where {expected:?} is wanted"))
}

fn settled(cluster: &Cluster, group: &str, members: usize) -> anyhow::Result<Value> {
    until(cluster, &["groups", "describe", group], |group| {
        let rows = group["members"].as_array().cloned().unwrap_or_default();
        let owns = |row: &Value| row["partitions"].as_array().is_some_and(|p| !p.is_empty());
        group["state"] == "Stable" && rows.len() == members && rows.iter().all(owns)
    })
    .with_context(|| format!("{group} with {members} members"))
}

pub fn consumers(cluster: &mut Cluster) -> anyhow::Result<()> {
    let program = Program::compile()?;
    let mut clients = program.start(&cluster.bootstrap())?;
    create(cluster, "ct-a", "2")?;
    create(cluster, "ct-b", "2")?;
    create(cluster, "cp-1", "2")?;
    elect(cluster)?;
    let killed = 3;
    let moved = names_on(cluster, killed)?;
    begin(&mut clients, &moved)?;
    change(cluster, &mut clients)?;
    broker_dies(cluster, &moved, killed)
}

/// A classic and a consumer group whose coordinator is on a broker.
fn names_on(cluster: &Cluster, broker: i64) -> anyhow::Result<[String; 2]> {
    let topic = document(cluster, &["topics", "describe", "__consumer_offsets"])?;
    let partitions = topic["partitions"].as_array().context("partitions")?;
    let is_there = |name: &str| {
        let hash = name.bytes().fold(0_i32, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(i32::from(byte))
        });
        let at = hash.checked_abs().unwrap_or(0) as usize % partitions.len();
        let is_it = |row: &&Value| row["partition"] == at || row["id"] == at;
        partitions
            .iter()
            .find(is_it)
            .is_some_and(|row| row["leader"] == broker)
    };
    let find = |prefix: &str| {
        let mut names = (0..50).map(|n| format!("{prefix}-{n}"));
        names
            .find(|name| is_there(name))
            .with_context(|| format!("{topic}"))
    };
    Ok([find("moved-classic")?, find("moved-consumer")?])
}

/// The first member of every group.
fn begin(clients: &mut Members, moved: &[String; 2]) -> anyhow::Result<()> {
    for (group, what, options) in [
        ("classic-topics", "topics ct-a", CLASSIC.to_owned()),
        ("consumer-topics", "topics ct-a", CONSUMER.to_owned()),
        ("classic-pattern", "pattern ^cp-.*", CLASSIC.to_owned()),
        ("consumer-pattern", "pattern ^cp-.*", CONSUMER.to_owned()),
        (
            "classic-static",
            "topics ct-a",
            format!("{CLASSIC} group.instance.id=fix"),
        ),
        (
            "consumer-static",
            "topics ct-a",
            format!("{CONSUMER} group.instance.id=fix"),
        ),
        (
            "classic-assignor",
            "topics ct-a",
            format!("{CLASSIC} {}", assignors(true)),
        ),
        (
            "consumer-assignor",
            "topics ct-a",
            format!("{CONSUMER} group.remote.assignor=uniform"),
        ),
        ("upgraded", "topics ct-a", CLASSIC.to_owned()),
        (&moved[0], "topics ct-a", CLASSIC.to_owned()),
        (&moved[1], "topics ct-a", CONSUMER.to_owned()),
    ] {
        open(clients, group, 1, what, &options)?;
    }
    Ok(())
}

fn assignors(both: bool) -> String {
    let class = |name: &str| format!("org.apache.kafka.clients.consumer.{name}Assignor");
    let names = match both {
        true => format!("{},{}", class("Range"), class("RoundRobin")),
        false => class("RoundRobin"),
    };
    format!("partition.assignment.strategy={names}")
}

fn open(
    clients: &mut Members,
    group: &str,
    nth: usize,
    what: &str,
    options: &str,
) -> anyhow::Result<()> {
    let name = format!("{group}-{nth}");
    clients.order(&format!("consumer {name} {group} {options}"))?;
    let (verb, argument) = what.split_once(' ').unwrap_or((what, ""));
    clients.order(&format!("{verb} {name} {argument}"))
}

/// Everything that makes a group rebalance, but joins, leaves and crashes, which have their cases.
fn change(cluster: &Cluster, clients: &mut Members) -> anyhow::Result<()> {
    for group in [
        "classic-topics",
        "consumer-topics",
        "classic-pattern",
        "consumer-pattern",
        "classic-static",
        "consumer-static",
        "classic-assignor",
        "consumer-assignor",
        "upgraded",
    ] {
        settled(cluster, group, 1)?;
    }
    clients.order("topics classic-topics-1 ct-a,ct-b")?;
    clients.order("topics consumer-topics-1 ct-a,ct-b")?;
    create(cluster, "cp-2", "1")?;
    let fixed = "group.instance.id=fix";
    open(
        clients,
        "classic-static",
        2,
        "topics ct-a",
        &format!("{CLASSIC} {fixed}"),
    )?;
    open(
        clients,
        "consumer-static",
        2,
        "topics ct-a",
        &format!("{CONSUMER} {fixed}"),
    )?;
    let other = format!("{CLASSIC} {}", assignors(false));
    open(clients, "classic-assignor", 2, "topics ct-a", &other)?;
    let other = format!("{CONSUMER} group.remote.assignor=range");
    open(clients, "consumer-assignor", 2, "topics ct-a", &other)?;
    open(clients, "upgraded", 2, "topics ct-a", CONSUMER)?;

    let both = told(cluster, "classic-assignor", &["joined", "joined assignor"])?;
    ensure!(
        both.to_string().contains("assignor range → roundrobin"),
        "{both}"
    );
    settled(cluster, "consumer-assignor", 2)?;
    open(clients, "consumer-assignor", 3, "topics ct-a", &other)?;
    // Two with one instance id: by the classic protocol the first is shut out, and it is the same
    // as if it had restarted; by the new one the second is refused.
    clients.wait_for("classic-static-1 failed FencedInstanceId", DEADLINE)?;
    let taken = told(cluster, "classic-static", &["joined", "static_restart"])?;
    ensure!(
        taken.to_string().contains("two can't have one instance id"),
        "{taken}"
    );
    clients.wait_for("consumer-static-2 failed UnreleasedInstanceId", DEADLINE)?;
    told(cluster, "consumer-static", &["joined"])?;
    clients.order("close consumer-static-1")?;
    clients.wait_for("consumer-static-1 closed", DEADLINE)?;
    open(
        clients,
        "consumer-static",
        3,
        "topics ct-a",
        &format!("{CONSUMER} {fixed}"),
    )?;
    told(cluster, "consumer-static", &["joined", "static_restart"])?;

    told(cluster, "classic-topics", &["joined", "subscription"])?;
    told(cluster, "consumer-topics", &["joined", "subscription"])?;
    let last = told(
        cluster,
        "consumer-assignor",
        &["joined", "joined", "joined assignor"],
    )?;
    ensure!(
        last.to_string().contains("assignor uniform → range"),
        "{last}"
    );

    // There and back again: the last one that speaks the new protocol takes it along.
    settled(cluster, "upgraded", 2)?;
    told(cluster, "upgraded", &["joined", "converted", "joined"])?;
    clients.order("close upgraded-2")?;
    let back = until(cluster, &["groups", "timeline", "upgraded"], |told| {
        let causes = causes(told);
        causes
            .get(3)
            .is_some_and(|causes| causes == &["converted", "left"])
    })?;
    ensure!(
        back["type"] == "classic"
            && back
                .to_string()
                .contains("went over to the consumer protocol")
            && back
                .to_string()
                .contains("went over to the classic protocol"),
        "{back}"
    );
    told(cluster, "classic-pattern", &["joined", "subscription"])?;
    let fits = told(
        cluster,
        "consumer-pattern",
        &["joined", "pattern", "pattern"],
    )?;
    ensure!(
        fits.to_string().contains("pattern ^cp-.* fits cp-1")
            && fits.to_string().contains("pattern ^cp-.* fits cp-2"),
        "{fits}"
    );
    Ok(())
}

/// Leaders are where they are preferred.
fn elect(cluster: &Cluster) -> anyhow::Result<()> {
    let elected = shell::wait_until(DEADLINE, || {
        run(cluster, &["elect", "--yes"]).is_ok_and(|(code, _)| code == 0)
    });
    ensure!(elected, "leaders are where they are preferred");
    Ok(())
}

/// Groups go on where another broker takes their coordinator's place; nothing rebalanced.
fn broker_dies(cluster: &mut Cluster, moved: &[String; 2], broker: i64) -> anyhow::Result<()> {
    for group in moved {
        settled(cluster, group, 1)?;
        told(cluster, group, &["joined"])?;
    }
    let id = usize::try_from(broker)?;
    cluster.kill(id);
    for group in moved {
        let mut after = told(cluster, group, &["joined", "coordinator_moved"])?;
        ensure!(after["state"] == "Stable", "{after}");
        // They commit at the new one.
        let reach = |told: &Value| told["read"]["to_offset"].as_i64().unwrap_or(0);
        let from = reach(&after);
        after = until(cluster, &["groups", "describe", group], |group| {
            group["state"] == "Stable"
        })?;
        ensure!(
            after["members"].as_array().map(Vec::len) == Some(1),
            "{after}"
        );
        until(cluster, &["groups", "timeline", group], |told| {
            reach(told) > from
        })?;
    }
    let mut terminal = manager(cluster, &format!("group {}", moved[0]))?;
    terminal.keys("t")?;
    terminal.wait_for("coordinator moved (leader epoch")?;
    cluster.spawn(id)?;
    cluster.wait_for(id)?;
    // An election while it is not in sync yet changes nothing.
    let describe = ["groups", "describe", moved[0].as_str()];
    let is_back = shell::wait_until(DEADLINE, || {
        let elected = elect(cluster);
        let group = run(cluster, &describe);
        elected.is_ok() && group.is_ok_and(|(_, group)| group["coordinator"] == broker)
    });
    ensure!(is_back, "broker {broker} leads where it is preferred");
    Ok(())
}
