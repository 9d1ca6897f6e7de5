//! Kafka's own command-line tools, each step against Apache Kafka and against our broker: the same
//! exit code and the same words, but for ids, ports and times.

use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, bail};
use regex::Regex;

use crate::ours::Ours;
use crate::shell::Output;
use crate::{Case, apache};

/// One call of a tool. `{boot}` in an argument is the broker's address, `{dir}` a folder that
/// holds the files of the script.
struct Step {
    line: &'static str,
    stdin: Option<&'static str>,
    compare: Compare,
}

/// What of two outputs must be equal.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Compare {
    /// Every line, in order.
    Lines,
    /// Every line, in any order.
    Sorted,
    /// The lines that contain this word, in any order: the rest belongs to other scripts.
    Containing(&'static str),
    /// The exit code, and numbers of records that the given expression finds.
    Matches(&'static str),
    /// The exit code alone: the output is a measurement.
    Status,
}

/// A conversation with a broker: files, then steps.
struct Script {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    steps: Vec<Step>,
}

fn step(line: &'static str) -> Step {
    Step {
        line,
        stdin: None,
        compare: Compare::Lines,
    }
}

impl Step {
    fn stdin(mut self, text: &'static str) -> Self {
        self.stdin = Some(text);
        self
    }

    fn compare(mut self, compare: Compare) -> Self {
        self.compare = compare;
        self
    }
}

pub fn cases() -> Vec<Case> {
    scripts()
        .into_iter()
        .map(|script| {
            Case::new(format!("tools {}", script.name), move || {
                side_by_side(&script)
            })
        })
        .collect()
}

#[rustfmt::skip]
fn scripts() -> Vec<Script> {
    use Compare::{Containing, Matches, Sorted, Status};
    vec![
        Script { name: "topics", files: &[], steps: vec![
            step("kafka-topics --bootstrap-server {boot} --create --topic tt-a --partitions 3 --replication-factor 1 --config retention.ms=100000 --config cleanup.policy=compact"),
            step("kafka-topics --bootstrap-server {boot} --create --topic tt-b"),
            step("kafka-topics --bootstrap-server {boot} --create --topic tt-c --replica-assignment 1,1"),
            step("kafka-topics --bootstrap-server {boot} --list").compare(Containing("tt-")),
            step("kafka-topics --bootstrap-server {boot} --describe --topic tt-a"),
            step("kafka-topics --bootstrap-server {boot} --describe --topic tt-c"),
            step("kafka-topics --bootstrap-server {boot} --create --topic tt-a"),
            step("kafka-topics --bootstrap-server {boot} --create --topic tt-a --if-not-exists"),
            step("kafka-topics --bootstrap-server {boot} --create --topic bad!name"),
            step("kafka-topics --bootstrap-server {boot} --create --topic tt-rf --replication-factor 3"),
            step("kafka-topics --bootstrap-server {boot} --create --topic tt-none --partitions 0"),
            step("kafka-topics --bootstrap-server {boot} --create --topic tt-cfg --config no.such.key=1"),
            step("kafka-topics --bootstrap-server {boot} --create --topic tt-cfg --config retention.ms=soon"),
            step("kafka-topics --bootstrap-server {boot} --create --topic tt_a.b"),
            step("kafka-topics --bootstrap-server {boot} --create --topic tt.a_b"),
            step("kafka-topics --bootstrap-server {boot} --alter --topic tt-b --partitions 4"),
            step("kafka-topics --bootstrap-server {boot} --alter --topic tt-b --partitions 2"),
            step("kafka-topics --bootstrap-server {boot} --alter --topic tt-missing --partitions 2"),
            step("kafka-topics --bootstrap-server {boot} --describe --topics-with-overrides").compare(Containing("tt-")),
            step("kafka-topics --bootstrap-server {boot} --describe --under-replicated-partitions"),
            step("kafka-topics --bootstrap-server {boot} --describe --topic tt-missing"),
            step("kafka-topics --bootstrap-server {boot} --delete --topic tt-c"),
            step("kafka-topics --bootstrap-server {boot} --delete --topic tt-c"),
            step("kafka-topics --bootstrap-server {boot} --list").compare(Containing("tt-")),
        ]},
        Script { name: "console producer and consumer", files: &[], steps: vec![
            step("kafka-topics --bootstrap-server {boot} --create --topic tc-a --partitions 1"),
            step("kafka-console-producer --bootstrap-server {boot} --topic tc-a --reader-property parse.key=true --reader-property key.separator=:")
                .stdin("k1:one\nk2:two\nk3:three\n"),
            step("kafka-console-producer --bootstrap-server {boot} --topic tc-a --compression-codec zstd --reader-property parse.headers=true --reader-property headers.delimiter=; --reader-property parse.key=true --reader-property key.separator=:")
                .stdin("h:v;k4:four\n"),
            step("kafka-console-consumer --bootstrap-server {boot} --topic tc-a --from-beginning --max-messages 4 --formatter-property print.key=true --formatter-property print.offset=true --formatter-property print.partition=true --formatter-property print.headers=true"),
            step("kafka-console-consumer --bootstrap-server {boot} --topic tc-a --partition 0 --offset 2 --max-messages 2"),
            step("kafka-console-consumer --bootstrap-server {boot} --topic tc-a --partition 0 --offset 9 --timeout-ms 3000"),
            // A topic that is not there is made by the first record.
            step("kafka-console-producer --bootstrap-server {boot} --topic tc-auto --request-required-acks all").stdin("x\ny\n").compare(Status),
            step("kafka-console-consumer --bootstrap-server {boot} --topic tc-auto --from-beginning --max-messages 2"),
        ]},
        Script { name: "consumer groups", files: &[], steps: vec![
            step("kafka-topics --bootstrap-server {boot} --create --topic tg-a --partitions 1"),
            step("kafka-verifiable-producer --bootstrap-server {boot} --topic tg-a --max-messages 100").compare(Matches(r#""name":"shutdown_complete"|"acked":\d+"#)),
            step("kafka-console-consumer --bootstrap-server {boot} --topic tg-a --from-beginning --max-messages 100 --group tg-g").compare(Sorted),
            step("kafka-consumer-groups --bootstrap-server {boot} --list").compare(Containing("tg-")),
            step("kafka-consumer-groups --bootstrap-server {boot} --list --state").compare(Containing("tg-")),
            step("kafka-consumer-groups --bootstrap-server {boot} --list --type").compare(Containing("tg-")),
            step("kafka-groups --bootstrap-server {boot} --list").compare(Containing("tg-")),
            step("kafka-consumer-groups --bootstrap-server {boot} --describe --group tg-g").compare(Sorted),
            step("kafka-consumer-groups --bootstrap-server {boot} --describe --group tg-g --state"),
            step("kafka-consumer-groups --bootstrap-server {boot} --describe --group tg-g --members --verbose"),
            step("kafka-consumer-groups --bootstrap-server {boot} --describe --group tg-missing"),
            step("kafka-consumer-groups --bootstrap-server {boot} --group tg-g --topic tg-a --reset-offsets --to-earliest --dry-run").compare(Sorted),
            step("kafka-consumer-groups --bootstrap-server {boot} --group tg-g --topic tg-a:0 --reset-offsets --to-offset 5 --execute").compare(Sorted),
            step("kafka-consumer-groups --bootstrap-server {boot} --group tg-g --topic tg-a --reset-offsets --shift-by 1 --execute").compare(Sorted),
            step("kafka-consumer-groups --bootstrap-server {boot} --group tg-g --all-topics --reset-offsets --to-datetime 2020-01-01T00:00:00.000 --execute").compare(Sorted),
            step("kafka-consumer-groups --bootstrap-server {boot} --group tg-g --topic tg-a --delete-offsets").compare(Sorted),
            step("kafka-consumer-groups --bootstrap-server {boot} --group tg-new --topic tg-a --reset-offsets --to-latest --execute").compare(Sorted),
            step("kafka-consumer-groups --bootstrap-server {boot} --describe --group tg-new").compare(Sorted),
            step("kafka-consumer-groups --bootstrap-server {boot} --delete --group tg-new"),
            step("kafka-consumer-groups --bootstrap-server {boot} --delete --group tg-new"),
            step("kafka-consumer-groups --bootstrap-server {boot} --list").compare(Containing("tg-")),
        ]},
        Script { name: "configs", files: &[], steps: vec![
            step("kafka-topics --bootstrap-server {boot} --create --topic tf-a"),
            step("kafka-configs --bootstrap-server {boot} --describe --entity-type topics --entity-name tf-a --all").compare(Sorted),
            step("kafka-configs --bootstrap-server {boot} --alter --entity-type topics --entity-name tf-a --add-config retention.ms=5000,segment.bytes=2000000"),
            step("kafka-configs --bootstrap-server {boot} --describe --entity-type topics --entity-name tf-a").compare(Sorted),
            step("kafka-configs --bootstrap-server {boot} --alter --entity-type topics --entity-name tf-a --delete-config retention.ms"),
            step("kafka-configs --bootstrap-server {boot} --describe --entity-type topics --entity-name tf-a"),
            step("kafka-configs --bootstrap-server {boot} --alter --entity-type topics --entity-name tf-a --add-config retention.ms=never"),
            step("kafka-configs --bootstrap-server {boot} --alter --entity-type topics --entity-name tf-a --add-config no.such=1"),
            step("kafka-configs --bootstrap-server {boot} --alter --entity-type topics --entity-name tf-missing --add-config retention.ms=1"),
            step("kafka-configs --bootstrap-server {boot} --describe --entity-type brokers --entity-name 1 --all").compare(Sorted),
            step("kafka-configs --bootstrap-server {boot} --alter --entity-type brokers --entity-name 1 --add-config log.cleaner.threads=2"),
            step("kafka-configs --bootstrap-server {boot} --alter --entity-type brokers --entity-default --add-config log.retention.ms=90000000"),
            step("kafka-configs --bootstrap-server {boot} --describe --entity-type brokers --entity-name 1").compare(Sorted),
            step("kafka-configs --bootstrap-server {boot} --describe --entity-type brokers --entity-default"),
            step("kafka-configs --bootstrap-server {boot} --describe --entity-type topics --entity-name tf-a --all").compare(Containing("retention.ms")),
            step("kafka-configs --bootstrap-server {boot} --alter --entity-type brokers --entity-name 1 --add-config node.id=7"),
            step("kafka-configs --bootstrap-server {boot} --alter --entity-type brokers --entity-name 1 --delete-config log.cleaner.threads"),
            step("kafka-configs --bootstrap-server {boot} --alter --entity-type brokers --entity-default --delete-config log.retention.ms"),
        ]},
        Script { name: "offsets, log dirs, delete records", files: &[
            ("delete.json", r#"{"partitions":[{"topic":"to-a","partition":0,"offset":40}],"version":1}"#),
        ], steps: vec![
            step("kafka-topics --bootstrap-server {boot} --create --topic to-a --partitions 1"),
            step("kafka-producer-perf-test --bootstrap-server {boot} --topic to-a --num-records 100 --record-size 50 --throughput -1").compare(Matches(r"^100 records sent")),
            step("kafka-get-offsets --bootstrap-server {boot} --topic to-a"),
            step("kafka-get-offsets --bootstrap-server {boot} --topic to-a --time -2"),
            step("kafka-get-offsets --bootstrap-server {boot} --topic to-a --time -3").compare(Status),
            step("kafka-get-offsets --bootstrap-server {boot} --topic to-a --time 0"),
            step("kafka-get-offsets --bootstrap-server {boot} --topic to-a --time 99999999999999"),
            step("kafka-delete-records --bootstrap-server {boot} --offset-json-file {dir}/delete.json").compare(Sorted),
            step("kafka-get-offsets --bootstrap-server {boot} --topic to-a --time earliest"),
            step("kafka-log-dirs --bootstrap-server {boot} --describe --topic-list to-a").compare(Matches(r#""offsetLag":0,"isFuture":false"#)),
        ]},
        Script { name: "cluster", files: &[
            ("topics.json", r#"{"topics":[{"topic":"tq-a"}],"version":1}"#),
            ("move.json", r#"{"version":1,"partitions":[{"topic":"tq-a","partition":0,"replicas":[1]}]}"#),
            ("elect.json", r#"{"partitions":[{"topic":"tq-a","partition":0}]}"#),
        ], steps: vec![
            step("kafka-topics --bootstrap-server {boot} --create --topic tq-a --partitions 2"),
            step("kafka-metadata-quorum --bootstrap-server {boot} describe --status").compare(Matches(r"(LeaderId|CurrentVoters|CurrentObservers|MaxFollowerLag|MaxFollowerLagTimeMs):.*")),
            step("kafka-metadata-quorum --bootstrap-server {boot} describe --replication").compare(Matches(r"(Leader|Follower|Observer)")),
            step("kafka-reassign-partitions --bootstrap-server {boot} --generate --topics-to-move-json-file {dir}/topics.json --broker-list 1"),
            step("kafka-reassign-partitions --bootstrap-server {boot} --execute --reassignment-json-file {dir}/move.json"),
            step("kafka-reassign-partitions --bootstrap-server {boot} --verify --reassignment-json-file {dir}/move.json"),
            step("kafka-reassign-partitions --bootstrap-server {boot} --list"),
            step("kafka-leader-election --bootstrap-server {boot} --election-type preferred --path-to-json-file {dir}/elect.json"),
            step("kafka-leader-election --bootstrap-server {boot} --election-type unclean --path-to-json-file {dir}/elect.json"),
            step("kafka-cluster cluster-id --bootstrap-server {boot}").compare(Status),
            step("kafka-cluster unregister --bootstrap-server {boot} --id 5"),
            step("kafka-configs --bootstrap-server {boot} --alter --entity-type broker-loggers --entity-name 1 --add-config no.such.logger=DEBUG"),
            step("kafka-configs --bootstrap-server {boot} --alter --entity-type broker-loggers --entity-name 2 --add-config no.such.logger=DEBUG"),
        ]},
        Script { name: "verifiable and performance tools", files: &[], steps: vec![
            step("kafka-topics --bootstrap-server {boot} --create --topic tv-a --partitions 3"),
            step("kafka-verifiable-producer --bootstrap-server {boot} --topic tv-a --max-messages 2000 --acks -1 --value-prefix 7").compare(Matches(r#""acked":\d+|"sent":\d+"#)),
            step("kafka-verifiable-consumer --bootstrap-server {boot} --topic tv-a --group-id tv-g --max-messages 2000 --reset-policy earliest").compare(Matches(r#""name":"(startup_complete|shutdown_complete)""#)),
            step("kafka-consumer-groups --bootstrap-server {boot} --describe --group tv-g --state"),
            step("kafka-producer-perf-test --bootstrap-server {boot} --topic tv-a --num-records 20000 --record-size 200 --throughput -1 --command-property acks=all").compare(Matches(r"^20000 records sent")),
            step("kafka-producer-perf-test --bootstrap-server {boot} --topic tv-a --num-records 20000 --record-size 200 --throughput -1 --command-property compression.type=lz4 --command-property acks=1").compare(Matches(r"^20000 records sent")),
            step("kafka-consumer-perf-test --bootstrap-server {boot} --topic tv-a --num-records 42000 --timeout 20000").compare(Status),
        ]},
    ]
}

fn side_by_side(script: &Script) -> anyhow::Result<()> {
    let ours = Ours::start()?;
    let apache = apache::shared()?;
    let folder = tempfile::tempdir()?;
    for (name, text) in script.files {
        std::fs::write(folder.path().join(name), text)?;
    }
    let mut differences = Vec::new();
    for step in &script.steps {
        let (left, right) = std::thread::scope(|scope| {
            let left = scope.spawn(|| call(step, &apache, folder.path()));
            let right = call(step, &ours.bootstrap(), folder.path());
            (left.join(), right)
        });
        let Ok(left) = left else {
            bail!("the call of Apache Kafka's tool panicked")
        };
        let left = left.with_context(|| format!("Apache Kafka: {}", step.line))?;
        let right = right.with_context(|| format!("ours: {}", step.line))?;
        if let Some(difference) = difference(step.compare, &left, &right) {
            differences.push(format!("{}\n{difference}", step.line));
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    let log = ours.log();
    let tail: Vec<&str> = log.lines().rev().take(15).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    bail!(
        "{}\nend of our log:\n{}",
        differences.join("\n\n"),
        tail.join("\n")
    )
}

fn call(step: &Step, boot: &str, folder: &Path) -> anyhow::Result<Output> {
    let folder = folder.display().to_string();
    let mut words = step
        .line
        .split(' ')
        .map(|w| w.replace("{boot}", boot).replace("{dir}", &folder));
    let tool = words.next().unwrap_or_default();
    let args: Vec<String> = words.collect();
    apache::tool(&tool, &args, step.stdin)
}

fn difference(compare: Compare, apache: &Output, ours: &Output) -> Option<String> {
    let (left, right) = (comparable(compare, apache), comparable(compare, ours));
    if apache.status == ours.status && left == right {
        return None;
    }
    let mut text = String::new();
    if apache.status != ours.status {
        text += &format!("exit code {} there, {} here\n", apache.status, ours.status);
        text += &format!("stderr here: {}\n", ours.stderr);
    }
    for line in left.iter().filter(|l| !right.contains(l)) {
        text += &format!("- {line}\n");
    }
    for line in right.iter().filter(|l| !left.contains(l)) {
        text += &format!("+ {line}\n");
    }
    if text.is_empty() {
        text += &format!("the same lines in another order or number:\n{left:#?}\n{right:#?}\n");
    }
    Some(text)
}

/// The lines of an output that are compared, without what differs between any two clusters.
fn comparable(compare: Compare, output: &Output) -> Vec<String> {
    let both = format!("{}\n{}", output.stdout, output.stderr);
    let text = normalise(&both);
    let lines = text
        .lines()
        .map(str::trim_end)
        .filter(|l| !l.is_empty())
        .map(str::to_owned);
    match compare {
        Compare::Status => Vec::new(),
        Compare::Lines => lines.collect(),
        Compare::Sorted => sorted(lines),
        Compare::Containing(word) => sorted(lines.filter(|l| l.contains(word))),
        Compare::Matches(pattern) => {
            let pattern = Regex::new(pattern).expect("the scripts' expressions are valid");
            let found = lines.filter_map(|l| pattern.find(&l).map(|m| m.as_str().to_owned()));
            sorted(found)
        }
    }
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

/// Addresses, ids and times, each by a word of its own; columns are closed up, as their width
/// depends on those.
fn normalise(text: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rule = |pattern: &str, by: &'static str| {
            (
                Regex::new(pattern).expect("the rules are valid expressions"),
                by,
            )
        };
        vec![
            rule(r"127\.0\.0\.1:\d+", "HOST:PORT"),
            rule(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
            rule(r"(TopicId: )[A-Za-z0-9_-]{22}", "${1}ID"),
            rule(
                r#""directoryId": "[A-Za-z0-9_-]{22}""#,
                "\"directoryId\": \"ID\"",
            ),
            rule(r"/[^ ,]*/\.?tmp[A-Za-z0-9]+", "FOLDER"),
            rule(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]", "[TIME]"),
            rule(r"\b1[6-9]\d{11}\b", "TIME"),
            rule(r"=(FOLDER/data|\d{4,5})\b", "=PLACE"),
            rule(r"CONTROLLER://HOST:PORT|PLAINTEXT://HOST:PORT", "LISTENER"),
            rule(r"[ \t]+", " "),
        ]
    });
    RULES.iter().fold(text.to_owned(), |text, (rule, by)| {
        rule.replace_all(&text, *by).into_owned()
    })
}
