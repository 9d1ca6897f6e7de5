//! The stock clients' checks that lie beside the repository, where they do: a script that is
//! called with an address and prints `OK` or `FAIL` for each check, by client. `clients/checks.txt`
//! lists them all, and which need not pass yet.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, bail};
use regex::Regex;

use crate::node::Kind;
use crate::ours::Ours;
use crate::shell::{self, client_programs};
use crate::trio::{Jvm, Trio};
use crate::{Case, through};

/// A check's client and name, and what it waits for where it need not pass yet.
#[derive(Debug, PartialEq)]
struct Check {
    client: String,
    name: String,
    waits_for: Option<String>,
}

pub fn cases() -> Vec<Case> {
    use Kind::{Apache, Ours as OurNode};
    let script = script();
    if !script.is_file() {
        println!("SKIPPED: stock clients' checks: no {}", script.display());
        return Vec::new();
    }
    let on_one = script.clone();
    let mut cases = vec![Case::new(
        "clients' checks beside the repository",
        move || {
            let broker = Ours::start()?;
            all_but_the_listed_pass(&on_one, &broker.bootstrap())
        },
    )];
    let clusters = [
        ("three of our nodes", [OurNode; 3], true),
        (
            "two of Apache's nodes and one of ours",
            [OurNode, Apache, Apache],
            false,
        ),
        (
            "one of Apache's nodes and two of ours",
            [Apache, OurNode, OurNode],
            false,
        ),
    ];
    for (name, kinds, is_usual) in clusters {
        let script = script.clone();
        if is_usual || through::rounds().is_some() {
            let name = format!("clients' checks beside the repository, on {name}");
            cases.push(Case::new(name, move || {
                let trio = Trio::start(kinds, Jvm::Small, "group.initial.rebalance.delay.ms=0")?;
                let outcome = all_but_the_listed_pass(&script, &trio.address(1));
                outcome.with_context(|| trio.logs())
            }));
        }
    }
    cases
}

fn script() -> PathBuf {
    match std::env::var_os("KAFKA_CLIENT_CHECKS") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/clients/run"),
    }
}

fn all_but_the_listed_pass(script: &Path, bootstrap: &str) -> anyhow::Result<()> {
    let list = client_programs().join("checks.txt");
    let checks = parse_list(&std::fs::read_to_string(&list)?)
        .with_context(|| format!("read {}", list.display()))?;
    let mut command = Command::new(script);
    command.arg(bootstrap);
    let output = shell::run(&mut command, None, Duration::from_secs(900))?;
    let (failures, notes) = judge(&checks, &output.stdout);
    for note in notes {
        println!("     {note}");
    }
    if !failures.is_empty() {
        bail!("{}\n\n{}", failures.join("\n"), output.stdout);
    }
    Ok(())
}

fn parse_list(text: &str) -> anyhow::Result<Vec<Check>> {
    let lines = text
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty());
    lines
        .map(|line| {
            let (check, waits_for) = match line.split_once(" | ") {
                Some((check, reason)) => (check, Some(reason.to_owned())),
                None => (line, None),
            };
            let (client, name) = check.split_once(": ").with_context(|| line.to_owned())?;
            Ok(Check {
                client: client.to_owned(),
                name: name.to_owned(),
                waits_for,
            })
        })
        .collect()
}

/// What is wrong with the script's output, and what is worth saying about it.
fn judge(checks: &[Check], output: &str) -> (Vec<String>, Vec<String>) {
    static PASSED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^OK\s+(.+?)\s+\d+ ?ms$").expect("the expression is valid"));
    let mut passed: BTreeSet<(&str, &str)> = BTreeSet::new();
    let (mut failures, mut notes) = (Vec::new(), Vec::new());
    let mut client = "";
    for line in output.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            client = name;
        } else if let Some(found) = PASSED.captures(line).and_then(|c| c.get(1)) {
            passed.insert((client, found.as_str()));
        } else if let Some(rest) = line.strip_prefix("FAIL") {
            let words = rest.trim_start();
            let is_listed = |c: &Check| {
                let rest = words.strip_prefix(c.name.as_str());
                c.client == client && rest.is_some_and(|r| r.is_empty() || r.starts_with(' '))
            };
            if !checks.iter().any(is_listed) {
                failures.push(format!("{client}: fails and is not in the list: {words}"));
            }
        }
    }
    let mut waiting = 0;
    for check in checks {
        let Check { client, name, .. } = check;
        let passes = passed.contains(&(client.as_str(), name.as_str()));
        match &check.waits_for {
            None if !passes => failures.push(format!("{client}: {name}: has not passed")),
            Some(reason) if passes => {
                notes.push(format!("{client}: {name}: passes without {reason}"));
            }
            Some(_) => waiting += 1,
            None => {}
        }
    }
    notes.push(format!(
        "{} checks passed, {waiting} wait for what is not there yet",
        passed.len()
    ));
    (failures, notes)
}
