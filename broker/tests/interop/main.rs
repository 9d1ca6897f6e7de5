//! Interoperability with a real Apache Kafka and with stock clients.
//!
//! Needs Java and Maven (the broker and its tools), Python, Node.js and Go (the clients). It runs
//! where `KAFKA_INTEROP=1` is set; where a program is missing it says that it was skipped, and
//! with `CI` set a skip is a failure. Packages are downloaded once, into `KAFKA_INTEROP_CACHE` or
//! `~/.cache/kafka-interop`.
//!
//! `KAFKA_INTEROP=1 cargo test --test interop -- [PART_OF_A_NAME…]`

mod admin;
#[allow(dead_code, reason = "the benchmark against Apache Kafka uses the rest")]
mod apache;
mod checks;
mod clients;
mod crash;
mod directories;
mod failover;
mod files;
mod folders;
mod formatting;
mod groups;
mod lifecycle;
mod load;
mod mixed;
#[allow(dead_code, reason = "the benchmark of clusters uses the rest")]
mod node;
#[allow(dead_code, reason = "the benchmark against Apache Kafka uses the rest")]
mod ours;
mod ping_pong;
mod proxy;
mod quorum;
mod replication;
mod shell;
mod swap;
mod through;
mod tools;
#[allow(dead_code, reason = "the benchmark of clusters uses the rest")]
mod trio;
mod versions;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use shell::Stopwatch;

/// How many cases run at a time. Most of a case's time is a JVM's start or a client's waiting.
const AT_A_TIME: usize = 2;

/// One check: a name and what it does; an error says what was seen.
struct Case {
    name: String,
    run: Box<dyn FnOnce() -> anyhow::Result<()> + Send>,
}

impl Case {
    fn new(
        name: impl Into<String>,
        run: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }
}

fn main() {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let in_ci = std::env::var_os("CI").is_some();
    if std::env::var("KAFKA_INTEROP").as_deref() != Ok("1") {
        println!("SKIPPED: interoperability runs with KAFKA_INTEROP=1");
        return;
    }
    let missing = shell::missing(&["java", "javac", "mvn", "python3", "node", "npm", "go"]);
    if !missing.is_empty() {
        println!("SKIPPED: interoperability needs {}", missing.join(", "));
        std::process::exit(i32::from(in_ci));
    }

    let mut cases = VecDeque::new();
    cases.extend(crash::cases());
    cases.extend(failover::cases());
    cases.extend(checks::cases());
    cases.extend(tools::cases());
    cases.extend(clients::cases());
    cases.extend(files::cases());
    cases.extend(folders::cases());
    cases.extend(formatting::cases());
    cases.extend(quorum::cases());
    cases.extend(versions::cases());
    cases.extend(replication::cases());
    cases.extend(ping_pong::cases());
    cases.extend(swap::cases());
    cases.extend(groups::cases());
    cases.extend(lifecycle::cases());
    cases.extend(through::cases());
    cases.extend(directories::cases());
    if !filters.is_empty() {
        cases.retain(|case| filters.iter().any(|f| case.name.contains(f.as_str())));
    }
    if let Err(error) =
        ours::Ours::start().and_then(|node| apache::archive_classes(&node.bootstrap()))
    {
        println!("FAIL preparation\n{}", indent(&format!("{error:#}")));
        std::process::exit(1);
    }

    let total = cases.len();
    let queue = Mutex::new(cases);
    let next = || (queue.lock().unwrap_or_else(PoisonError::into_inner)).pop_front();
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(case) = next() {
                    let outcome = run(case);
                    (done.lock().unwrap_or_else(PoisonError::into_inner)).push(outcome);
                }
            });
        }
    });
    apache::stop_shared();
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|outcome| std::cmp::Reverse(outcome.took));
    let slowest: Vec<String> = (done.iter().take(5))
        .map(|outcome| format!("{} {:.0} s", outcome.name, outcome.took.as_secs_f64()))
        .collect();
    println!("slowest: {}", slowest.join(", "));
    let passed = done.iter().filter(|outcome| outcome.passed).count();
    println!("{passed} passed, {} failed", total - passed);
    std::process::exit(i32::from(passed < total || total == 0));
}

#[derive(Debug)]
struct Outcome {
    name: String,
    took: Duration,
    passed: bool,
}

/// Runs a case to its end and prints how it went.
fn run(case: Case) -> Outcome {
    let watch = Stopwatch::start();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(case.run));
    let took = watch.elapsed();
    let error = match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(_) => Some("panicked".to_owned()),
    };
    let seconds = took.as_secs_f64();
    match &error {
        None => println!("OK   {} ({seconds:.1} s)", case.name),
        Some(error) => println!("FAIL {} ({seconds:.1} s)\n{}", case.name, indent(error)),
    }
    Outcome {
        name: case.name,
        took,
        passed: error.is_none(),
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("     {line}\n")).collect()
}
