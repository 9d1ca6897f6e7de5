//! What is on the screens, and what Kafka's own tools print.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};

use crate::cluster::Cluster;
use crate::{manager, number};

/// One partition: leader, replicas, in sync.
type Placed = (String, String, String);

/// What kafka-topics says of the partitions of all topics.
fn described(cluster: &Cluster) -> anyhow::Result<BTreeMap<(String, String), Placed>> {
    let text = cluster.tool("kafka-topics", &["--describe"], None)?;
    let mut partitions = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains("Leader:")) {
        let field = |name: &str| {
            let (_, rest) = line.split_once(name)?;
            rest.split_whitespace().next().map(str::to_owned)
        };
        let all = (|| {
            let key = (field("Topic:")?, field("Partition:")?);
            Some((
                key,
                (field("Leader:")?, field("Replicas:")?, field("Isr:")?),
            ))
        })();
        let (key, placed) = all.with_context(|| line.to_owned())?;
        partitions.insert(key, placed);
    }
    Ok(partitions)
}

/// End offsets by partition, as kafka-get-offsets says.
fn ends(cluster: &Cluster, topic: &str) -> anyhow::Result<BTreeMap<String, i64>> {
    let text = cluster.tool("kafka-get-offsets", &["--topic", topic], None)?;
    let line = |line: &str| {
        let mut parts = line.trim().rsplitn(3, ':');
        let (end, partition) = (parts.next()?, parts.next()?);
        Some((partition.to_owned(), end.parse().ok()?))
    };
    Ok(text.lines().filter_map(line).collect())
}

pub fn topics(cluster: &mut Cluster) -> anyhow::Result<()> {
    let all = described(cluster)?;
    let mut terminal = manager(cluster, "topics")?;
    for topic in ["orders", "payments", "solo"] {
        let partitions: Vec<_> = all.iter().filter(|((name, _), _)| name == topic).collect();
        let ends = ends(cluster, topic)?;
        let records: i64 = ends.values().sum();
        terminal.keys(":topics enter")?;
        terminal.wait_until(&format!("{topic} with its records"), |terminal| {
            let row = terminal.row(topic).unwrap_or_default();
            row.get(4)
                .is_some_and(|text| number(text).ok() == Some(records))
        })?;
        let row = terminal.row(topic).context("the topic's row")?;
        let replicas = partitions[0].1.1.split(',').count();
        ensure!(number(&row[1])? == partitions.len() as i64, "{row:?}");
        ensure!(number(&row[2])? == replicas as i64, "{row:?}");
        ensure!(row[3] == "ok", "{row:?}");

        terminal.keys(&format!(":topic space {topic} enter"))?;
        terminal.wait_for(&format!("topics › {topic}"))?;
        for ((_, partition), placed) in partitions {
            let end = ends[partition];
            terminal.wait_until(&format!("{topic}-{partition} with its end"), |terminal| {
                let row = terminal.row(partition).unwrap_or_default();
                row.get(6)
                    .is_some_and(|text| number(text).ok() == Some(end))
            })?;
            let row = terminal.row(partition).context("the partition's row")?;
            let shown = (row[1].clone(), row[2].clone(), row[3].clone());
            ensure!(
                shown == *placed,
                "{topic}-{partition}: {shown:?}, not {placed:?}"
            );
        }
    }
    terminal.keys(":brokers enter")?;
    for id in ["1", "2", "3"] {
        let leads = all.values().filter(|placed| placed.0 == id).count();
        let holds = |placed: &&Placed| placed.1.split(',').any(|replica| replica == id);
        let replicas = all.values().filter(holds).count();
        terminal.wait_until(
            &format!("broker {id} leads {leads} of {replicas}"),
            |terminal| {
                let row = terminal.row(id).unwrap_or_default().join(" ");
                let numbers = format!(" {leads} {leads} {replicas} 0 ");
                row.contains(" up ") && row.contains(&numbers)
            },
        )?;
    }
    let quorum = cluster.tool("kafka-metadata-quorum", &["describe", "--status"], None)?;
    let leader = quorum
        .lines()
        .find_map(|line| line.strip_prefix("LeaderId:"))
        .context("the quorum's leader")?;
    terminal.wait_for(&format!("controller {}", leader.trim()))
}

pub fn sizes(cluster: &mut Cluster) -> anyhow::Result<()> {
    let text = cluster.tool("kafka-log-dirs", &["--describe"], None)?;
    let json = text.lines().find(|line| line.starts_with('{'));
    let json: serde_json::Value = serde_json::from_str(json.context("a line of JSON")?)?;
    let mut by_topic: BTreeMap<String, i64> = BTreeMap::new();
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    for broker in list(&json["brokers"]) {
        for dir in list(&broker["logDirs"]) {
            for partition in list(&dir["partitions"]) {
                let name = partition["partition"].as_str().context("a partition")?;
                let (topic, _) = name.rsplit_once('-').context("topic-partition")?;
                let size = partition["size"].as_i64().context("a size")?;
                *by_topic.entry(topic.to_owned()).or_default() += size;
            }
        }
    }
    let mut terminal = manager(cluster, "topics")?;
    for topic in ["orders", "payments", "solo"] {
        let size = kafka_tui::ui::format::bytes(by_topic[topic]);
        terminal.wait_until(&format!("{topic} with {size}"), |terminal| {
            terminal
                .line(topic)
                .is_some_and(|line| line.contains(&size))
        })?;
    }
    Ok(())
}

/// Partition, committed offset, end and lag, as kafka-consumer-groups says.
fn group(cluster: &Cluster, id: &str) -> anyhow::Result<BTreeMap<String, Vec<i64>>> {
    let text = cluster.tool(
        "kafka-consumer-groups",
        &["--describe", "--group", id],
        None,
    )?;
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == id)?;
        let numbers: Vec<i64> = words
            .get(at + 3..at + 6)?
            .iter()
            .map(|word| word.parse().ok())
            .collect::<Option<_>>()?;
        let name = format!("{}-{}", words.get(at + 1)?, words.get(at + 2)?);
        Some((name, numbers))
    };
    Ok(text.lines().filter_map(line).collect())
}

pub fn groups(cluster: &mut Cluster) -> anyhow::Result<()> {
    let mut terminal = manager(cluster, "groups")?;
    for (id, kind, state, members) in [
        ("stopped", "classic", "empty", 0),
        ("classic-one", "classic", "stable", 1),
        ("consumer-one", "consumer", "stable", 1),
    ] {
        // The members read on until they are at the end.
        let lag: i64 = if id == "stopped" { 500 - 6 * 16 } else { 0 };
        terminal.keys(":groups enter")?;
        terminal.wait_until(
            &format!("{id} is {state} with a lag of {lag}"),
            |terminal| {
                let row = terminal.row(id).unwrap_or_default();
                row.get(1).is_some_and(|word| word == state)
                    && row
                        .get(2)
                        .is_some_and(|text| number(text).ok() == Some(lag))
            },
        )?;
        let row = terminal.row(id).context("the group's row")?;
        ensure!(number(&row[6])? == members && row[8] == kind, "{row:?}");

        let partitions = group(cluster, id)?;
        ensure!(!partitions.is_empty(), "kafka-consumer-groups lists {id}");
        terminal.keys(&format!(":group space {id} enter"))?;
        for (name, numbers) in partitions {
            terminal.wait_until(&format!("{id}: {name} {numbers:?}"), |terminal| {
                let row = terminal.row(&name).unwrap_or_default();
                let shown = row.get(1..4).unwrap_or_default().iter();
                shown
                    .map(|text| number(text).ok())
                    .eq(numbers.iter().map(|n| Some(*n)))
            })?;
        }
    }
    Ok(())
}
