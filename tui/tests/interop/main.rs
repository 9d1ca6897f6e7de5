//! The screens on three real Apache Kafka brokers: what they show is what Kafka's own tools print,
//! a reassignment runs to its end, a broker that dies turns up.
//!
//! Needs Java and Maven. It runs where `KAFKA_INTEROP=1` is set; where a program is missing it says
//! that it was skipped, and with `CI` set a skip is a failure.
//!
//! `KAFKA_INTEROP=1 cargo test --package kafka-tui --test interop [-- PART-OF-A-NAME…]`

#![allow(clippy::print_stdout, reason = "it has no harness that prints for it")]

#[allow(dead_code, reason = "the broker's tests use the rest")]
#[path = "../../../broker/tests/interop/apache.rs"]
mod apache;
mod blind;
mod braking;
mod browse;
mod by_keys;
mod causes;
mod cluster;
mod command;
mod connectors;
mod content;
mod declared;
mod documents;
mod dying;
mod feed;
mod figures;
#[path = "../it/front.rs"]
mod front;
mod groups;
mod health;
mod lab;
mod lags;
mod members;
mod messages;
mod metrics;
mod moves;
mod oauth;
mod old;
mod percents;
mod plans;
mod proposals;
mod quorum;
mod racks;
mod resets;
mod running;
mod runs;
mod secrets;
mod secured;
mod security;
mod settings;
mod shares;
#[allow(dead_code, reason = "the broker's tests use the rest")]
#[path = "../../../broker/tests/interop/shell.rs"]
mod shell;
mod steps;
mod stopping;
mod stores;
mod streams;
#[allow(dead_code, reason = "the tests of the screens use the rest")]
#[path = "../it/terminal.rs"]
mod terminal;
mod transactions;
mod verdicts;

#[allow(dead_code, reason = "the tests of the screens use the rest")]
#[path = "../it/transaction.rs"]
mod transaction;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use cluster::Cluster;
use shell::Stopwatch;
use terminal::Terminal;

/// What a narrow split of a terminal leaves.
const TINY: (u16, u16) = (40, 10);

/// Every column of every table has room.
const WIDE: (u16, u16) = (200, 60);

type Case = fn(&mut Cluster) -> anyhow::Result<()>;

/// In this order: the last one leaves a broker less.
const CASES: &[(&str, Case)] = &[
    (
        "topics and partitions are as kafka-topics and kafka-get-offsets say",
        figures::topics,
    ),
    ("sizes are as kafka-log-dirs says", figures::sizes),
    (
        "percentages and shares are CMAK's, with its colours",
        percents::percentages,
    ),
    ("groups are as kafka-consumer-groups says", figures::groups),
    (
        "settings of brokers and groups are as kafka-configs says",
        settings::settings,
    ),
    (
        "a password that is set is the one to log in with",
        security::passwords,
    ),
    (
        "rules are as kafka-acls says, and explained as the brokers go by them",
        security::rules_and_answers,
    ),
    ("quotas are as kafka-configs says", security::quotas),
    (
        "TLS, certificates and passwords let in who has them, and say which step failed",
        secured::connect,
    ),
    (
        "stores of Java open a connection as they are, and say which password is wrong",
        stores::connect,
    ),
    (
        "tokens of a token endpoint let in who has the client's secret",
        oauth::tokens,
    ),
    (
        "what keeps one from a cluster is told by its step, with what to do",
        steps::told,
    ),
    (
        "who may see nothing reads on every screen why, in any size",
        blind::look,
    ),
    (
        "clusters are switched by keys, changes go to the one that is meant, and no secret is told",
        secrets::kept,
    ),
    ("rules come and go by keys", by_keys::rules),
    (
        "users and limits come and go by keys",
        by_keys::users_and_limits,
    ),
    (
        "a voter comes and goes by keys, and a feature goes down and up",
        by_keys::voters_and_features,
    ),
    (
        "transactions are as kafka-transactions says, and one that hangs is aborted",
        transactions::transactions,
    ),
    (
        "a controller becomes a voter and none again, and a feature goes down and up",
        quorum::voters_and_features,
    ),
    (
        "new offsets are what kafka-consumer-groups would set",
        groups::resets,
    ),
    (
        "offsets are set by keys and by commands to whatever there is, and taken back",
        resets::resets,
    ),
    (
        "a classic group's rebalances are told with their causes",
        groups::classic_timeline,
    ),
    (
        "a consumer group's rebalances are told with their causes",
        groups::consumer_timeline,
    ),
    ("a share group is shown as what it is", shares::share_group),
    (
        "a streams group is shown with its tasks, what it waits for and why it rebalanced",
        streams::application,
    ),
    (
        "verdicts on consumers that hold still, go back or are gone are told with their rules",
        verdicts::verdicts,
    ),
    (
        "causes of what consumers of both protocols do are told, and none where a broker died",
        causes::consumers,
    ),
    (
        "everything works on this version of Kafka, and what it lacks says so",
        old::newest,
    ),
    (
        "everything works on older versions of Kafka, and what they lack says so",
        old::versions,
    ),
    (
        "messages are read, chosen, copied and imported; transactions are told apart",
        browse::messages,
    ),
    (
        "schemas, formats, compaction, files and another cluster: what is in messages is told",
        content::contents,
    ),
    (
        "metrics of a broker are what it counts, and log ends say the same",
        metrics::brokers,
    ),
    (
        "every command prints the document that the reference tells of",
        documents::documents,
    ),
    (
        "connectors of a real worker are made, changed, restarted and deleted",
        connectors::connectors,
    ),
    (
        "messages are followed, chosen, written and moved by keys, as Kafka's tools see them",
        messages::by_keys,
    ),
    (
        "declared topics are compared, made so, undone and exported, as Kafka's tools see them",
        declared::apply,
    ),
    (
        "a reassignment is planned, executed and followed to its end",
        moves::reassign,
    ),
    ("a reassignment is cancelled", moves::cancel),
    (
        "a throttled run keeps to its estimate, survives kill -9, and is undone",
        runs::throttled,
    ),
    (
        "a run goes by keys: paused, paced anew, left, taken up, cancelled, undone",
        running::by_keys,
    ),
    (
        "throttles of others are merged with, and found when nothing needs them",
        running::throttles_of_others,
    ),
    (
        "a throttle that may not be set ends the run before anything moves",
        running::refused,
    ),
    ("a plan is refused where reality has moved", plans::moved_on),
    (
        "a plan whose throttle is below what is written says that it never ends",
        plans::never_ends,
    ),
    (
        "the lines of Kafka's tools that are shown do what was planned",
        plans::same_as,
    ),
    (
        "proposals by commands end as they say, and Kafka's tool agrees",
        proposals::proposals,
    ),
    (
        "proposals by keys, for two topics at once and by hand",
        proposals::proposals_by_keys,
    ),
    (
        "racks are shown and kept, and what can't keep them says so",
        racks::kept,
    ),
    ("elections by a schedule and by a key", plans::elections),
    (
        "partitions for many topics, and settings with what there is to know of them",
        plans::many_topics_and_settings,
    ),
    (
        "what a stop would do is what a stop does",
        stopping::may_stop,
    ),
    (
        "a lab of both kinds of nodes is started, held, killed, restarted and deleted",
        lab::mixed,
    ),
    ("a script waits for a throttled move to end", health::waits),
    (
        "top, exporter and wait say what Kafka's tools and the screens say, also of a dead broker",
        health::figures,
    ),
    (
        "what happens is told as it happens, looked at again, recorded and replayed",
        feed::changes,
    ),
    (
        "lag tells open transactions, loss and a partition without leader apart",
        lags::lags,
    ),
    (
        "a run slows down, holds and goes back as far as it may while a broker is dead",
        braking::brakes,
    ),
    (
        "a broker that dies in the middle of a move is what the move waits for",
        dying::in_a_move,
    ),
    (
        "a broker that is gone is unregistered by keys, and comes back",
        dying::unregistered,
    ),
    (
        "a broker that dies turns up, comes back and leads again",
        moves::kill,
    ),
];

fn main() -> ExitCode {
    if std::env::var("KAFKA_INTEROP").as_deref() != Ok("1") {
        println!("SKIPPED: interoperability runs with KAFKA_INTEROP=1");
        return ExitCode::SUCCESS;
    }
    let missing = shell::missing(&["java", "javac", "mvn"]);
    if !missing.is_empty() {
        println!("SKIPPED: interoperability needs {}", missing.join(", "));
        return ExitCode::from(u8::from(std::env::var_os("CI").is_some()));
    }
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            println!("{failed} failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("FAIL {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the cases; how many failed.
fn run() -> anyhow::Result<usize> {
    let mut cluster = Cluster::start(3).context("start three brokers")?;
    cluster.fill().context("fill the cluster")?;
    let mut failed = 0;
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    for (name, case) in CASES {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part)) {
            continue;
        }
        let watch = Stopwatch::start();
        let outcome = case(&mut cluster);
        let took = watch.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("OK   {name} ({took:.1} s)"),
            Err(error) => {
                failed += 1;
                println!("FAIL {name} ({took:.1} s)\n{error:#}");
            }
        }
    }
    Ok(failed)
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kafka-tui"))
}

/// The manager on the cluster, in a terminal in which every column has room.
fn manager(cluster: &Cluster, open: &str) -> anyhow::Result<Terminal> {
    manager_at(&cluster.bootstrap(), open)
}

/// As [`manager`], on whatever cluster.
fn manager_at(bootstrap: &str, open: &str) -> anyhow::Result<Terminal> {
    let args = ["--bootstrap", bootstrap, "--refresh", "1", "--open", open];
    let mut terminal = Terminal::start(program(), &args, &[], WIDE)?;
    terminal.wait_for("live")?;
    Ok(terminal)
}

/// A number as the screens write it.
fn number(text: &str) -> anyhow::Result<i64> {
    let plain = text.replace(',', "");
    plain
        .parse()
        .with_context(|| format!("{text} is no number"))
}
