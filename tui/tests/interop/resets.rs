//! Offsets of a group set by keys and by commands: every way to say where to, each compared with
//! what Kafka's own tool would set.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use kafka_shared::time::{Clock as _, SystemClock};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command::{document, run_with};
use crate::terminal::Terminal;

const TOPIC: &str = "replay";
const GROUP: &str = "mover";

/// Records of two partitions: ten of two hours ago, and ten of now.
fn records() -> String {
    let now_ms = SystemClock::new().wall_ms();
    let mut lines = String::new();
    for at_ms in [now_ms - 7_200_000, now_ms] {
        for n in 0..10 {
            for partition in 0..2 {
                let _ = writeln!(
                    lines,
                    "{{\"partition\":{partition},\"timestamp_ms\":{at_ms},\"value\":\"v{n}\"}}"
                );
            }
        }
    }
    lines
}

/// What Kafka's tool would set, or what is committed, by partition.
fn theirs(cluster: &Cluster, args: &[&str], column: usize) -> anyhow::Result<BTreeMap<i32, i64>> {
    let text = cluster.tool("kafka-consumer-groups", args, None)?;
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.get(..3)? {
            [GROUP, TOPIC, partition] => {
                Some((partition.parse().ok()?, words.get(column)?.parse().ok()?))
            }
            _ => None,
        }
    };
    Ok(text.lines().filter_map(line).collect())
}

fn wanted(cluster: &Cluster, how: &[&str]) -> anyhow::Result<BTreeMap<i32, i64>> {
    let args = ["--group", GROUP, "--reset-offsets", "--dry-run"];
    theirs(cluster, &[&args[..], how].concat(), 3)
}

fn committed(cluster: &Cluster) -> anyhow::Result<BTreeMap<i32, i64>> {
    theirs(cluster, &["--describe", "--group", GROUP], 3)
}

fn ours(cluster: &Cluster, how: &[&str]) -> anyhow::Result<BTreeMap<i32, i64>> {
    let document = document(cluster, &[&["groups", "reset", GROUP], how].concat())?;
    let rows = document["partitions"].as_array().context("partitions")?;
    let row = |row: &Value| {
        let partition = i32::try_from(row["partition"].as_i64()?).ok()?;
        Some((partition, row["to"].as_i64()?))
    };
    Ok(rows.iter().filter_map(row).collect())
}

pub fn resets(cluster: &mut Cluster) -> anyhow::Result<()> {
    let create = ["--create", "--topic", TOPIC, "--partitions", "2"];
    cluster.tool("kafka-topics", &create, None)?;
    let bootstrap = cluster.bootstrap();
    let import = ["--bootstrap", &bootstrap, "messages", "import", TOPIC];
    let (code, told) = run_with(&import, Some(&records()))?;
    ensure!(code == 0, "{told}");
    for (group, offset) in [(GROUP, "4"), ("template", "13")] {
        let args = ["--group", group, "--topic", TOPIC, "--reset-offsets"];
        let args = [&args[..], &["--to-offset", offset, "--execute"]].concat();
        cluster.tool("kafka-consumer-groups", &args, None)?;
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("offsets.csv");
    std::fs::write(&file, format!("{TOPIC},0,3\n{TOPIC},1,17\n"))?;
    let file = file.to_str().context("a path in UTF-8")?;

    // By commands, each as Kafka's own tool would.
    for how in [
        &["--all-topics", "--to-earliest"][..],
        &["--all-topics", "--to-latest"],
        &["--all-topics", "--to-current"],
        &["--all-topics", "--to-offset", "7"],
        &["--all-topics", "--shift-by", "5"],
        &["--all-topics", "--shift-by", "-100"],
        &["--all-topics", "--by-duration", "PT90M"],
        &[
            "--topic",
            "replay:1",
            "--to-datetime",
            "2020-01-01T00:00:00.000",
        ],
        &["--from-file", file],
    ] {
        let (wanted, ours) = (wanted(cluster, how)?, ours(cluster, how)?);
        ensure!(
            !wanted.is_empty() && wanted == ours,
            "{how:?}: {ours:?}, not {wanted:?}"
        );
    }
    // Set by a command, and taken back by one.
    let set = ["groups", "reset", GROUP, "--all-topics", "--to-latest"];
    document(cluster, &[&set[..], &["--execute", "--yes"]].concat())?;
    let now = committed(cluster)?;
    ensure!(now == BTreeMap::from([(0, 20), (1, 20)]), "{now:?}");
    document(cluster, &["undo", "--execute"])?;
    let now = committed(cluster)?;
    ensure!(now == BTreeMap::from([(0, 4), (1, 4)]), "{now:?}");
    let copied = ours(cluster, &["--from-group", "template"])?;
    ensure!(copied.values().all(|to| *to == 13), "{copied:?}");
    by_keys(cluster, file)?;
    for group in [GROUP, "template"] {
        let delete = ["--delete", "--group", group];
        cluster.tool("kafka-consumer-groups", &delete, None)?;
    }
    let delete = ["--delete", "--topic", TOPIC];
    cluster.tool("kafka-topics", &delete, None).map(drop)
}

/// The form's answer to a target: from what to what, with the record that stands there.
fn by_keys(cluster: &Cluster, file: &str) -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    let state = state.path().to_str().context("a path in UTF-8")?;
    let bootstrap = cluster.bootstrap();
    let program = Path::new(env!("CARGO_BIN_EXE_kafka-tui"));
    let args = ["--bootstrap", &bootstrap, "--refresh", "1"];
    let variables = [("XDG_STATE_HOME", state)];
    let mut terminal = Terminal::start(program, &args, &variables, (200, 60))?;
    terminal.wait_for("live")?;
    terminal.keys(&format!(":group space {GROUP} enter"))?;
    terminal.wait_for("replay-0")?;
    // Leaving a preview leads back to the form.
    terminal.keys("o")?;
    terminal.wait_for(&format!("where {GROUP} goes on"))?;
    for (to, shown) in [
        ("latest", "4 → 20"),
        ("7", "4 → 7"),
        ("+5", "4 → 9"),
        ("90m space ago", "4 → 10"),
        ("group space template", "4 → 13"),
        (&format!("file space {file}"), "4 → 17"),
        ("earliest", "4 → 0"),
    ] {
        terminal.keys(&format!("ctrl-u {to} enter"))?;
        terminal
            .wait_for(shown)
            .with_context(|| format!("the preview of {to}"))?;
        if to != "earliest" {
            terminal.keys("esc")?;
            terminal.wait_while(shown)?;
        }
    }
    // What stands there is read: the first record of the partition.
    terminal.wait_for("next:")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ set the offsets of group")?;
    let now = committed(cluster)?;
    ensure!(now == BTreeMap::from([(0, 0), (1, 0)]), "{now:?}");
    terminal.keys("u")?;
    terminal.wait_for("0 → 4")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ undo")?;
    let now = committed(cluster)?;
    ensure!(now == BTreeMap::from([(0, 4), (1, 4)]), "{now:?}");
    Ok(())
}
