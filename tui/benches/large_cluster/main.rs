//! What the manager costs on a large cluster, measured from outside and frame by frame.
//!
//! `cargo bench --package kafka-tui --bench large_cluster [-- medium|large]`
//!
//! `medium` has 1,021 topics with 5,110 partitions and 210 groups, `large` 10,000 topics with
//! 100,000 partitions and 5,000 groups. The cluster is `fixture`, three nodes over sockets in a
//! process of its own, that answers at once, so that the time told here is the manager's.
//! `outside` runs the program itself in a pseudo-terminal and looks at its screen, its process and
//! the requests that reach the cluster; `frames` measures each drawing.
//! Exits with 1 when a limit is exceeded; an unoptimised build runs and is not judged.

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

mod fixture;
mod frames;
mod outside;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/it/terminal.rs"]
mod terminal;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use fixture::Size;

/// Columns and rows of the terminal.
const SCREEN: (u16, u16) = (160, 45);

const MEDIUM: Size = Size {
    topics: 1_021,
    partitions: 5_110,
    groups: 210,
};

const LARGE: Size = Size {
    topics: 10_000,
    partitions: 100_000,
    groups: 5_000,
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["serve", name, pace] => serve(name, pace == "still").map(|()| true),
        [] => bench("medium").and_then(|medium| Ok(bench("large")? && medium)),
        [name] => bench(name),
        _ => Err(anyhow::anyhow!("medium or large")),
    };
    match outcome {
        Ok(is_kept) if is_kept || cfg!(debug_assertions) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            println!("large_cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn size(name: &str) -> anyhow::Result<Size> {
    match name {
        "medium" => Ok(MEDIUM),
        "large" => Ok(LARGE),
        other => bail!("medium or large, not {other}"),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

fn serve(name: &str, is_still: bool) -> anyhow::Result<()> {
    runtime()?.block_on(fixture::serve_until_parent_is_gone(size(name)?, is_still))
}

/// The cluster's process; it ends with its standard input.
struct Fixture {
    child: Child,
    asks: ChildStdin,
    says: BufReader<ChildStdout>,
    /// Of its first node.
    port: u16,
}

impl Fixture {
    /// Starts it; a still one is one that nobody writes to.
    fn start(name: &str, is_still: bool) -> anyhow::Result<Self> {
        let pace = if is_still { "still" } else { "growing" };
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", name, pace])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asks = child.stdin.take().context("the fixture's input")?;
        let says = child.stdout.take().context("the fixture's output")?;
        let mut fixture = Self {
            child,
            asks,
            says: BufReader::new(says),
            port: 0,
        };
        fixture.port = fixture.line()?.parse().context("the fixture's port")?;
        Ok(fixture)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Requests that reached it so far.
    fn requests(&mut self) -> anyhow::Result<f64> {
        self.asks.write_all(b"\n")?;
        self.line()?.parse().context("the number of requests")
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bench(name: &str) -> anyhow::Result<bool> {
    let size = size(name)?;
    println!(
        "{name}: {} topics, {} partitions, {} groups, {}x{} cells",
        size.topics, size.partitions, size.groups, SCREEN.0, SCREEN.1
    );
    let mut lines = outside::measure(name, size)?;
    let fixture = Fixture::start(name, false)?;
    lines.extend(runtime()?.block_on(frames::measure(fixture.port, size))?);
    // Every line is printed, also after one that is over its limit.
    let good: Vec<bool> = lines.iter().map(Line::print).collect();
    Ok(good.into_iter().all(|is_good| is_good))
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// One line of the result.
struct Line {
    what: String,
    value: f64,
    unit: &'static str,
    limit: f64,
    note: String,
}

impl Line {
    fn new(what: impl Into<String>, value: f64, unit: &'static str, limit: f64) -> Self {
        Self {
            what: what.into(),
            value,
            unit,
            limit,
            note: String::new(),
        }
    }

    fn note(self, note: String) -> Self {
        Self { note, ..self }
    }

    /// Whether it keeps its limit.
    fn print(&self) -> bool {
        let good = self.value <= self.limit;
        let word = if good { "kept" } else { "EXCEEDED" };
        let limit = if self.limit.is_finite() {
            format!("  (limit {}: {word})", self.limit)
        } else {
            String::new()
        };
        println!(
            "{:<66} {:>8.1} {}{limit}  {}",
            self.what, self.value, self.unit, self.note
        );
        good
    }
}
