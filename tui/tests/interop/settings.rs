//! Every setting of a broker and of a group, compared with what kafka-configs prints; one of them
//! on the screen.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};

use crate::cluster::Cluster;
use crate::command::document;
use crate::manager;

/// Values by key, `None` for what is not told.
type Settings = BTreeMap<String, Option<String>>;

fn of_kafka(cluster: &Cluster, kind: &str, name: &str) -> anyhow::Result<Settings> {
    let args = [
        "--describe",
        "--all",
        "--entity-type",
        kind,
        "--entity-name",
        name,
    ];
    let text = cluster.tool("kafka-configs", &args, None)?;
    let line = |line: &str| {
        let (own, _) = line.trim().split_once(" sensitive=")?;
        let (key, value) = own.split_once('=')?;
        let value = Some(value.to_owned()).filter(|value| value != "null");
        Some((key.to_owned(), value))
    };
    Ok(text.lines().filter_map(line).collect())
}

fn of_ours(cluster: &Cluster, kind: &str, name: &str) -> anyhow::Result<Settings> {
    let told = document(cluster, &["configs", "describe", kind, name, "--all"])?;
    let rows = told["configs"].as_array().or(told["entries"].as_array());
    let rows = rows.with_context(|| told.to_string())?;
    let row = |row: &serde_json::Value| {
        let key = row["name"].as_str()?.to_owned();
        Some((key, row["value"].as_str().map(str::to_owned)))
    };
    Ok(rows.iter().filter_map(row).collect())
}

pub fn settings(cluster: &mut Cluster) -> anyhow::Result<()> {
    for (kind, ours, name) in [
        ("brokers", "--broker", "2"),
        ("groups", "--group", "consumer-one"),
    ] {
        let (theirs, ours) = (
            of_kafka(cluster, kind, name)?,
            of_ours(cluster, ours, name)?,
        );
        ensure!(theirs.len() > 3, "{kind}: {theirs:?}");
        let all = theirs.keys().chain(ours.keys());
        let different: Vec<_> = all
            .filter(|key| theirs.get(*key) != ours.get(*key))
            .map(|key| (key, theirs.get(key), ours.get(key)))
            .collect();
        ensure!(different.is_empty(), "{kind}: {different:?}");
    }
    let theirs = of_kafka(cluster, "brokers", "2")?;
    let mut terminal = manager(cluster, "brokers")?;
    terminal.keys(":broker space 2 enter c")?;
    terminal.wait_for("settings of broker 2")?;
    for key in ["log.cleaner.backoff.ms", "offsets.topic.num.partitions"] {
        let value = theirs.get(key).cloned().flatten().context("it is set")?;
        terminal.keys(&format!("/ ctrl-u {key} enter"))?;
        terminal.wait_until(key, |terminal| {
            let row = terminal.row(key).unwrap_or_default();
            row.get(1) == Some(&value)
        })?;
    }
    Ok(())
}
