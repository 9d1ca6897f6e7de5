//! Interoperability with a real Apache Kafka and with stock clients.
//!
//! Needs Java and Maven (the broker and its tools), Python, Node.js and Go (the clients). It runs
//! where `KAFKA_INTEROP=1` is set; where a program is missing it says that it was skipped, and
//! with `CI` set a skip is a failure.
//!
//! `KAFKA_INTEROP=1 cargo test --test interop -- [PART_OF_A_NAME…]`

#[allow(dead_code, reason = "the benchmark against Apache Kafka uses the rest")]
mod apache;
mod clients;
mod crash;
mod files;
#[allow(dead_code, reason = "the benchmark against Apache Kafka uses the rest")]
mod ours;
mod shell;
mod tools;

use std::time::Duration;

use shell::Stopwatch;

/// One check: a name and what it does; an error says what was seen.
struct Case {
    name: String,
    run: Box<dyn FnOnce() -> anyhow::Result<()>>,
}

impl Case {
    fn new(name: impl Into<String>, run: impl FnOnce() -> anyhow::Result<()> + 'static) -> Self {
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

    let mut cases = Vec::new();
    cases.extend(tools::cases());
    cases.extend(files::cases());
    cases.extend(clients::cases());
    cases.extend(crash::cases());

    let (mut passed, mut failed) = (0, 0);
    let mut times: Vec<(Duration, String)> = Vec::new();
    for case in cases {
        if !filters.is_empty() && !filters.iter().any(|f| case.name.contains(f.as_str())) {
            continue;
        }
        let watch = Stopwatch::start();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(case.run));
        let took = watch.elapsed();
        let error = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(_) => Some("panicked".to_owned()),
        };
        match error {
            None => {
                passed += 1;
                println!("OK   {} ({:.1} s)", case.name, took.as_secs_f64());
            }
            Some(error) => {
                failed += 1;
                println!(
                    "FAIL {} ({:.1} s)\n{}",
                    case.name,
                    took.as_secs_f64(),
                    indent(&error)
                );
            }
        }
        times.push((took, case.name));
    }
    apache::stop_shared();
    times.sort();
    let slowest: Vec<String> = (times.iter().rev().take(5))
        .map(|(took, name)| format!("{name} {:.0} s", took.as_secs_f64()))
        .collect();
    println!("slowest: {}", slowest.join(", "));
    println!("{passed} passed, {failed} failed");
    std::process::exit(i32::from(failed > 0 || passed == 0));
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("     {line}\n")).collect()
}
