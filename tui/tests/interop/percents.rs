//! CMAK's percentages and tables of real topics, computed once more from what kafka-topics says, on
//! the screen with their colours and in documents.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command::document;
use crate::manager;
use crate::terminal::Terminal;

/// Evenly; everything on the first broker; a bit of both.
const TOPICS: [(&str, &str); 3] = [
    ("cmak-even", "1:2,2:3,3:1"),
    ("cmak-first", "1:2,1:2,1:2,1:2,1:3,1:3"),
    ("cmak-some", "1:2,1:2,2:1,3:1"),
];

/// Of the sixteen colours of a terminal.
const RED: vt100::Color = vt100::Color::Idx(1);
const YELLOW: vt100::Color = vt100::Color::Idx(3);

/// As CMAK computes them of leader, replicas and in sync by partition: in doubles, rounded at last.
fn cmak(partitions: &[(i32, Vec<i32>, Vec<i32>)], brokers: usize) -> [u32; 5] {
    let mut shares: BTreeMap<i32, (f64, f64)> = BTreeMap::new();
    for (leader, _, isr) in partitions {
        for id in isr {
            let share = shares.entry(*id).or_default();
            share.0 += 1.0;
            share.1 += f64::from(u8::from(leader == id));
        }
    }
    let (n, holders) = (partitions.len() as f64, shares.len() as f64);
    let factor = partitions[0].1.len() as f64;
    let (average, leaders) = ((n / holders * factor).ceil(), (n / holders).ceil());
    let of = |part: usize, all: usize| u32::try_from(100 * part / all).unwrap_or(0);
    let skewed = shares.values().filter(|share| share.0 > average).count();
    let leader_skewed = shares.values().filter(|share| share.1 > leaders).count();
    let preferred = partitions.iter().filter(|p| p.1.first() == Some(&p.0));
    let missing = partitions.iter().filter(|p| p.1.len() != p.2.len());
    [
        of(shares.len(), brokers),
        of(skewed, shares.len()),
        of(leader_skewed, shares.len()),
        of(preferred.count(), partitions.len()),
        of(missing.count(), partitions.len()),
    ]
}

/// A leader, the replicas and those in sync.
type Described = (i32, Vec<i32>, Vec<i32>);

fn described(cluster: &Cluster, topic: &str) -> anyhow::Result<Vec<Described>> {
    let text = cluster.tool("kafka-topics", &["--describe", "--topic", topic], None)?;
    let mut partitions = Vec::new();
    for line in text.lines().filter(|line| line.contains("Leader: ")) {
        let field = |name: &str| -> anyhow::Result<Vec<i32>> {
            let (_, rest) = line.split_once(name).with_context(|| line.to_owned())?;
            let word = rest.split_whitespace().next().unwrap_or_default();
            word.split(',').map(|id| Ok(id.parse()?)).collect()
        };
        let leader = field("Leader: ")?[0];
        partitions.push((leader, field("Replicas: ")?, field("Isr: ")?));
    }
    Ok(partitions)
}

/// The percentages of a row with their colours.
fn shown(terminal: &Terminal, topic: &str) -> Option<Vec<(u32, vt100::Color)>> {
    let screen = terminal.screen();
    let (_, columns) = screen.size();
    let mut lines = screen.rows(0, columns.get());
    let y = lines.position(|line| line.split_whitespace().next() == Some(topic))?;
    let y = u16::try_from(y).ok()?;
    let mut found = Vec::new();
    let mut digits = String::new();
    for x in 0..columns.get() {
        let cell = screen.cell(y, x)?;
        match cell.contents() {
            text if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) => {
                digits.push_str(text);
            }
            text => {
                if text == "%" {
                    found.push((digits.parse().ok()?, cell.fgcolor()));
                }
                digits.clear();
            }
        }
    }
    Some(found)
}

/// CMAK's colours: what should be high, and what should be zero.
fn colour(at: usize, value: u32) -> Option<vt100::Color> {
    let (red, yellow) = match at {
        0 | 3 => (value <= 50, value <= 75),
        _ => (value >= 34, value >= 1),
    };
    match (red, yellow) {
        (true, _) => Some(RED),
        (false, true) => Some(YELLOW),
        _ => None,
    }
}

pub fn percentages(cluster: &mut Cluster) -> anyhow::Result<()> {
    for (name, assignment) in TOPICS {
        let create = ["--create", "--topic", name];
        let create = [&create[..], &["--replica-assignment", assignment]].concat();
        cluster.tool("kafka-topics", &create, None)?;
    }
    // Other leaders than the preferred ones.
    let list = |id: i32, replicas: &str| {
        format!(r#"{{"topic":"cmak-some","partition":{id},"replicas":[{replicas}]}}"#)
    };
    let lists = [list(0, "2,1"), list(1, "2,1"), list(2, "1,2")].join(",");
    let turned = format!(r#"{{"version":1,"partitions":[{lists}]}}"#);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("turned.json");
    std::fs::write(&file, turned)?;
    let file = file.to_str().context("a path in UTF-8")?;
    let execute = ["--reassignment-json-file", file, "--execute"];
    cluster.tool("kafka-reassign-partitions", &execute, None)?;

    let mut terminal = manager(cluster, "topics")?;
    terminal.keys(":topics space cmak- enter")?;
    let mut seen = BTreeSet::new();
    for (name, _) in TOPICS {
        let expected = cmak(&described(cluster, name)?, 3);
        // The selected row has no colours.
        let elsewhere = if name == "cmak-some" { "g" } else { "G" };
        terminal.keys(elsewhere)?;
        let wanted: Vec<_> = (0..5)
            .map(|at| (expected[at], colour(at, expected[at])))
            .collect();
        terminal.wait_until(&format!("{name} with {wanted:?}"), |terminal| {
            let shown = shown(terminal, name).unwrap_or_default();
            let fits = |(shown, wanted): (&(u32, vt100::Color), &(u32, Option<vt100::Color>))| {
                let is_so = match wanted.1 {
                    Some(colour) => shown.1 == colour,
                    None => shown.1 != RED && shown.1 != YELLOW,
                };
                shown.0 == wanted.0 && is_so
            };
            shown.len() == wanted.len() && shown.iter().zip(&wanted).all(fits)
        })?;
        seen.extend(wanted.iter().map(|(_, colour)| format!("{colour:?}")));
        let listed = document(cluster, &["topics", "list", "--filter", name])?;
        let ours = &listed["topics"][0]["balance"]["cmak"];
        let ours: Vec<u64> = [
            "brokers_spread",
            "brokers_skew",
            "leader_skew",
            "preferred_replicas",
            "under_replicated",
        ]
        .iter()
        .filter_map(|field| ours[field].as_u64())
        .collect();
        ensure!(ours.iter().copied().eq(expected.map(u64::from)), "{listed}");
    }
    ensure!(seen.len() == 3, "not every colour was there: {seen:?}");
    tables(cluster, &mut terminal)?;
    for (name, _) in TOPICS {
        cluster.tool("kafka-topics", &["--delete", "--topic", name], None)?;
    }
    Ok(())
}

/// CMAK's tables of a topic by broker, and of a broker by topic.
fn tables(cluster: &Cluster, terminal: &mut Terminal) -> anyhow::Result<()> {
    let first: Vec<&str> = "1 6 6 6 yes yes 0,1,2,3,4,5".split(' ').collect();
    terminal.keys(":topic space cmak-first enter")?;
    terminal.wait_for("topics › cmak-first")?;
    terminal.keys("tab tab")?;
    terminal.wait_for("brokers of this topic (3)")?;
    terminal.wait_until("the first broker has too much", |terminal| {
        let rows = terminal.text();
        let rows = rows
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.into_iter().any(|row| row == first)
    })?;
    // Opened, it shows its share of every topic.
    terminal.keys("g enter")?;
    terminal.wait_for("broker 1")?;
    terminal.keys("tab")?;
    terminal.wait_for("share of each topic")?;
    terminal.wait_until("the topic's row", |terminal| {
        let row = terminal.row("cmak-first").unwrap_or_default();
        row == "cmak-first 2 6 6 6 6 yes yes 0,1,2,3,4,5"
            .split(' ')
            .collect::<Vec<_>>()
    })?;
    terminal.wait_until("another one", |terminal| {
        let row = terminal.row("cmak-even").unwrap_or_default();
        row == "cmak-even 2 3 2 2 1 no no 0,2"
            .split(' ')
            .collect::<Vec<_>>()
    })?;
    let topic = document(cluster, &["topics", "describe", "cmak-first"])?;
    let broker = document(cluster, &["brokers", "describe", "1"])?;
    let of_broker = broker["topics"].as_array().context("topics")?;
    let row = of_broker.iter().find(|row| row["topic"] == "cmak-first");
    let row = row.with_context(|| broker.to_string())?;
    for share in [&topic["brokers"][0], row] {
        ensure!(
            share["broker"] == 1
                && share["leaders"] == 6
                && share["skewed"] == true
                && share["leader_skewed"] == true
                && share["in_sync"].as_array().map(Vec::len) == Some(6),
            "{share}"
        );
    }
    ensure!(
        topic["brokers"][1]["skewed"] == Value::Bool(false),
        "{topic}"
    );
    Ok(())
}
