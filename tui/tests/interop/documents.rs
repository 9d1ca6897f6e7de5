//! Every command with `--output json`: one document, with the fields that the reference names, of
//! the types that it names.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command::{run, run_with};

/// As `kafka-tui docs` writes it.
const REFERENCE: &str = include_str!("../../src/docs/output.md");

/// Declarations by name, each with its fields or variants and what these are.
struct Reference {
    declared: BTreeMap<String, Declared>,
    /// Commands with what they print.
    commands: Vec<(String, Vec<String>)>,
}

#[derive(Default)]
struct Declared {
    parts: BTreeMap<String, String>,
    /// The line above an enumeration's variants.
    how: String,
}

impl Reference {
    fn read() -> Self {
        let (mut declared, mut commands) = (BTreeMap::new(), Vec::new());
        let mut name = String::new();
        for line in REFERENCE.lines() {
            if let Some(heading) = line.strip_prefix("### ") {
                name = heading.to_owned();
                declared.insert(name.clone(), Declared::default());
                continue;
            }
            let now = declared.get_mut(&name);
            let cells = line
                .strip_prefix("| `")
                .and_then(|rest| rest.split_once("` | "));
            match (cells, now) {
                (Some((command, documents)), None) => {
                    let links = documents.split('[').skip(1);
                    let names = links.filter_map(|link| Some(link.split_once(']')?.0.to_owned()));
                    commands.push((command.to_owned(), names.collect()));
                }
                (Some((part, rest)), Some(now)) => {
                    let kind = rest.split(" | ").next().unwrap_or_default();
                    now.parts
                        .insert(part.to_owned(), kind.trim_end_matches(" |").to_owned());
                }
                (None, Some(now))
                    if line.contains("one of these") || line.contains("One of these") =>
                {
                    now.how = line.to_owned();
                }
                _ => {}
            }
        }
        Self { declared, commands }
    }

    /// Checks a value against what the reference says of it; `at` is where it stands.
    fn check(&self, value: &Value, kind: &str, at: &str) -> anyhow::Result<()> {
        if let Some(kind) = kind.strip_suffix(", or null") {
            return match value.is_null() {
                true => Ok(()),
                false => self.check(value, kind, at),
            };
        }
        if let Some(kind) = kind.strip_prefix("list of ") {
            let values = value
                .as_array()
                .with_context(|| format!("{at} is no list: {value}"))?;
            let kinds: Vec<&str> = kind.split(" and ").collect();
            for (n, value) in values.iter().enumerate() {
                let kind = if kinds.len() > 1 {
                    kinds[n.min(kinds.len() - 1)]
                } else {
                    kind
                };
                self.check(value, kind, &format!("{at}[{n}]"))?;
            }
            return Ok(());
        }
        if let Some(rest) = kind.strip_prefix("object by ") {
            let (_, kind) = rest.split_once(": ").with_context(|| kind.to_owned())?;
            let values = value
                .as_object()
                .with_context(|| format!("{at} is no object: {value}"))?;
            for (key, value) in values {
                self.check(value, kind, &format!("{at}.{key}"))?;
            }
            return Ok(());
        }
        if let Some(link) = kind.strip_prefix('[') {
            let (name, _) = link.split_once(']').with_context(|| kind.to_owned())?;
            return self.check_declared(value, name, at);
        }
        let is_so = match kind {
            "text" => value.is_string(),
            "number" => value.is_number(),
            "true or false" => value.is_boolean(),
            "any JSON" => true,
            "null" => value.is_null(),
            // What stands in a variant, or on either side of a result, is told in words.
            _ => value.is_object() || value.is_string(),
        };
        ensure!(is_so, "{at} is not {kind}: {value}");
        Ok(())
    }

    fn check_declared(&self, value: &Value, name: &str, at: &str) -> anyhow::Result<()> {
        let of = self
            .declared
            .get(name)
            .with_context(|| format!("{name} is not declared"))?;
        if !of.how.is_empty() {
            return check_variant(value, of, at);
        }
        let fields = value
            .as_object()
            .with_context(|| format!("{at} is no object: {value}"))?;
        for (key, value) in fields {
            let kind = of.parts.get(key);
            let kind = kind.with_context(|| format!("{at}.{key} is not in the reference"))?;
            let kind = kind.trim_end_matches("; may be absent");
            self.check(value, kind, &format!("{at}.{key}"))?;
        }
        for (key, kind) in &of.parts {
            let is_there = fields.contains_key(key) || kind.ends_with("; may be absent");
            ensure!(is_there, "{at} lacks {key}: {value}");
        }
        Ok(())
    }
}

fn check_variant(value: &Value, of: &Declared, at: &str) -> anyhow::Result<()> {
    let word = match value {
        Value::String(word) => word.clone(),
        // Any of them, without a name.
        _ if of.how.starts_with("One of these") => return Ok(()),
        Value::Object(fields) => match of.how.split('`').nth(1) {
            Some(tag) => fields
                .get(tag)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            None => fields.keys().next().cloned().unwrap_or_default(),
        },
        other => bail!("{at} is none of its variants: {other}"),
    };
    let is_untagged = of.how.starts_with("One of these");
    ensure!(
        is_untagged || of.parts.contains_key(&word),
        "{at} has no variant {word}"
    );
    Ok(())
}

/// What is asked; of what changes something mostly what would be.
fn asked(cluster: &Cluster) -> Vec<Vec<String>> {
    let endpoint = format!("2=http://127.0.0.1:{}/metrics", cluster.metrics_port());
    let metrics = format!("--metrics {endpoint} brokers metrics --interval 1s");
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/documents.toml");
    let export = format!("topics export documents --force --out {file}");
    let apply = format!("apply --file {file}");
    let lines = [
        "topics create documents --partitions 2 --config retention.ms=1000000",
        "topics list --internal",
        "topics describe orders",
        "topics create other --dry-run",
        "topics alter documents --set retention.ms=2000000",
        "partitions add documents --total 3 --dry-run",
        "brokers list",
        "brokers describe 2",
        &metrics,
        "brokers may-stop 2",
        "groups list",
        "groups describe stopped",
        "groups describe classic-one",
        "groups describe consumer-one",
        "groups lag stopped",
        "groups timeline classic-one",
        "groups reset stopped --to-earliest",
        "groups delete stopped --dry-run",
        "groups delete-offsets stopped --topic orders --dry-run",
        "messages produce documents --key k --value v",
        "messages read documents",
        "messages read __consumer_offsets --limit 3",
        "messages copy documents solo --dry-run",
        "configs describe --topic orders --all",
        "configs describe --broker 1",
        "configs alter --topic documents --set retention.ms=3000000 --dry-run",
        "reassign plan --drain 3 --topic documents",
        "reassign status",
        "reassign janitor",
        "elect --dry-run",
        "undo --list",
        "undo",
        "acls create --allow User:documents --operation read --topic documents",
        "acls list",
        "acls explain --principal User:documents --operation read --topic documents",
        "acls idle",
        "acls delete --principal User:documents --yes",
        "users list",
        "quotas alter --user documents --set producer_byte_rate=1000000 --dry-run",
        "quotas list",
        "quotas which --user documents",
        "transactions list",
        "transactions producers --topic documents",
        "transactions open",
        "transactions find-hanging",
        "quorum describe",
        "features list",
        "features upgrade group.version=1 --dry-run",
        "wait topics>0 --timeout 10s",
        "top --interval 1s",
        "docs",
        "local status",
        &export,
        &apply,
        "topics delete documents --yes",
    ];
    let words = |line: &&str| line.split(' ').map(str::to_owned).collect();
    lines.iter().map(words).collect()
}

pub fn documents(cluster: &mut Cluster) -> anyhow::Result<()> {
    let reference = Reference::read();
    ensure!(
        reference.commands.len() > 80,
        "the reference tells of few commands"
    );
    let mut wrong = Vec::new();
    for args in asked(cluster) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        if let Err(why) = ask(cluster, &reference, &args) {
            wrong.push(format!("{args:?}: {why:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    // An error is no document, and its exit code tells its kind.
    let (code, told) = run(cluster, &["topics", "describe", "no-such-topic"])?;
    ensure!(
        code == 3
            && told
                .as_str()
                .is_some_and(|text| text.starts_with("error: ")),
        "{code}: {told}"
    );
    let (code, told) = run_with(&["--bootstrap", "127.0.0.1:1", "topics", "list"], None)?;
    ensure!(
        code == 5 && told.as_str().is_some_and(|text| text.contains("hint: ")),
        "{code}: {told}"
    );
    Ok(())
}

fn ask(cluster: &Cluster, reference: &Reference, args: &[&str]) -> anyhow::Result<()> {
    let begins = |(command, _): &&(String, Vec<String>)| {
        let own = args.iter().position(|arg| command.starts_with(*arg));
        let words: Vec<&str> = command.split(' ').collect();
        own.is_some_and(|at| args[at..].starts_with(&words))
    };
    let found = reference.commands.iter().find(begins);
    let (_, documents) = found.context("the reference does not tell of it")?;
    let (code, document) = run(cluster, args)?;
    // No is an answer too.
    ensure!(matches!(code, 0 | 8), "it ended with {code}: {document}");
    let checks = documents
        .iter()
        .map(|name| reference.check_declared(&document, name, name));
    let mut wrong = Vec::new();
    for check in checks {
        match check {
            Ok(()) => return Ok(()),
            Err(why) => wrong.push(format!("{why:#}")),
        }
    }
    bail!("{}", wrong.join("; or "))
}
