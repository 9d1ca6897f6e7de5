//! Our broker and Apache Kafka in one run, the same load on both, and the ratios: start to the
//! first acknowledged record, memory when idle, CPU time of the broker per GB, latency.
//!
//! `cargo bench --bench against_apache [-- QUICK]` needs Java and Maven; without them it says that
//! it was skipped. A ratio below 1 is better than Apache Kafka.

#[path = "../tests/interop/apache.rs"]
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod apache;
#[path = "against_apache/load.rs"]
mod load;
#[path = "../tests/interop/ours.rs"]
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod ours;
#[path = "../tests/interop/shell.rs"]
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod shell;

use std::time::Duration;

use anyhow::Context;

use crate::load::{Connection, Load};
use crate::shell::Stopwatch;

const GB: f64 = 1e9;

/// What one broker did. Times in milliseconds, memory in MiB, CPU in seconds per GB of values.
#[derive(Debug, Default, Clone)]
struct Figures(Vec<(String, f64)>);

impl Figures {
    fn add(&mut self, name: impl Into<String>, value: f64) {
        self.0.push((name.into(), value));
    }
}

/// A broker process that can be started again on its data.
trait Node {
    fn up(&mut self) -> anyhow::Result<()>;
    fn down(&mut self) -> anyhow::Result<()>;
    fn pid(&self) -> anyhow::Result<u32>;
    fn address(&self) -> String;
}

impl Node for ours::Ours {
    fn up(&mut self) -> anyhow::Result<()> {
        self.spawn()
    }

    fn down(&mut self) -> anyhow::Result<()> {
        Self::down(self)
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.process_id().context("our broker does not run")
    }

    fn address(&self) -> String {
        self.bootstrap()
    }
}

impl Node for apache::Apache {
    fn up(&mut self) -> anyhow::Result<()> {
        self.spawn()
    }

    fn down(&mut self) -> anyhow::Result<()> {
        self.stop()
    }

    fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.process_id())
    }

    fn address(&self) -> String {
        self.bootstrap()
    }
}

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` runs this file too; a benchmark is run on purpose only.
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    let missing = shell::missing(&["java", "mvn"]);
    if !missing.is_empty() {
        println!(
            "SKIPPED: the benchmark against Apache Kafka needs {}",
            missing.join(", ")
        );
        return Ok(());
    }
    let quick = std::env::args().any(|a| a.eq_ignore_ascii_case("quick"));
    let scale = if quick { 0.1 } else { 1.0 };
    let mut ours = ours::Ours::start()?;
    let left = measure(&mut ours, scale).context("our broker")?;
    drop(ours);
    let mut theirs = apache::Apache::start_as_server()?;
    let right = measure(&mut theirs, scale).context("Apache Kafka")?;
    drop(theirs);
    println!("{:<44} {:>12} {:>12} {:>8}", "", "ours", "Apache", "ratio");
    for ((name, ours), (_, apache)) in left.0.iter().zip(&right.0) {
        println!(
            "{name:<44} {ours:>12.3} {apache:>12.3} {:>8.3}",
            ours / apache
        );
    }
    Ok(())
}

fn measure(node: &mut dyn Node, scale: f64) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    let address = node.address();
    let mut connection = Connection::open(&address)?;
    connection.create_topic("first", 1)?;
    connection.produce_one("first")?;
    drop(connection);

    let mut starts = Vec::new();
    for _ in 0..3 {
        node.down()?;
        let watch = Stopwatch::start();
        node.up()?;
        starts.push(first_acknowledged(&address, watch)?);
    }
    starts.sort_by(f64::total_cmp);
    figures.add("start to first acknowledged produce, ms", starts[1]);
    std::thread::park_timeout(Duration::from_secs(2));
    figures.add("memory when idle, MiB", resident_mib(node.pid()?)?);

    for (size, records) in [(100, 4_000_000.0), (1024, 1_000_000.0)] {
        let topic = format!("load-{size}");
        Connection::open(&address)?.create_topic(&topic, 6)?;
        let load = Load {
            topic,
            partitions: 6,
            record_bytes: size,
            records: (records * scale) as u64,
        };
        // The JVM compiles what is hot: both brokers get the same load once before it counts.
        let warm_up = Load {
            records: load.records / 4,
            ..load.clone()
        };
        load::produce(&address, &warm_up)?;
        let gigabytes = load.records as f64 * size as f64 / GB;
        let (before, watch) = (cpu_seconds(node.pid()?)?, Stopwatch::start());
        load::produce(&address, &load)?;
        let seconds = watch.elapsed().as_secs_f64();
        let cpu = cpu_seconds(node.pid()?)? - before;
        figures.add(
            format!("produce {size} B: broker CPU s per GB"),
            cpu / gigabytes,
        );
        figures.add(format!("produce {size} B: s per GB"), seconds / gigabytes);
        let all = load.records + warm_up.records;
        let gigabytes = all as f64 * size as f64 / GB;
        let (before, watch) = (cpu_seconds(node.pid()?)?, Stopwatch::start());
        load::consume(&address, &load, all)?;
        let seconds = watch.elapsed().as_secs_f64();
        let cpu = cpu_seconds(node.pid()?)? - before;
        figures.add(
            format!("consume {size} B: broker CPU s per GB"),
            cpu / gigabytes,
        );
        figures.add(format!("consume {size} B: s per GB"), seconds / gigabytes);
    }
    Connection::open(&address)?.create_topic("paced", 1)?;
    let seconds = if scale < 1.0 { 5 } else { 20 };
    let latencies = load::end_to_end(&address, "paced", 1000, seconds)?;
    figures.add(
        "end to end at 1000/s of 1 KiB: p50, ms",
        percentile(&latencies, 0.50),
    );
    figures.add(
        "end to end at 1000/s of 1 KiB: p99, ms",
        percentile(&latencies, 0.99),
    );
    figures.add("memory after the load, MiB", resident_mib(node.pid()?)?);
    Ok(figures)
}

/// Milliseconds until a record is acknowledged, trying as soon as the port listens.
fn first_acknowledged(address: &str, watch: Stopwatch) -> anyhow::Result<f64> {
    while watch.elapsed() < Duration::from_secs(90) {
        if let Ok(mut connection) = Connection::open(address)
            && connection.produce_one("first").is_ok()
        {
            return Ok(watch.elapsed().as_secs_f64() * 1e3);
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    anyhow::bail!("no record was acknowledged within 90 s")
}

/// User and system time of a process so far.
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat
        .rsplit_once(')')
        .context("/proc/PID/stat has another form")?
        .1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let kib: f64 = line
        .split_whitespace()
        .nth(1)
        .context("no number")?
        .parse()?;
    Ok(kib / 1024.0)
}

fn percentile(sorted_ms: &[f64], share: f64) -> f64 {
    let last = sorted_ms.len().saturating_sub(1);
    sorted_ms
        .get((last as f64 * share).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}
