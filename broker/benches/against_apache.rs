//! Our broker and a real Apache Kafka in one run: the same settings and the same load on both, in
//! turn, and the ratios. A ratio below 1 is better than Apache Kafka; one above 1 ends the run with
//! exit code 1.
//!
//! `cargo bench --package kafka-broker --bench against_apache [-- quick]` needs Java and Maven;
//! without them it says that it was skipped, which is a failure where `CI` is set.
//!
//! How it is kept fair:
//! - Both brokers run at the same time and are asked in turn, in the opposite order in every other
//!   round, so that whatever else the machine does hits both alike. A figure is the median of its
//!   rounds.
//! - Apache Kafka gets the heap, the collector and the switches of its own start script, and the
//!   same `server.properties`. It logs warnings only.
//! - CPU is the user and system time of the broker's process with all its threads (so with the
//!   JVM's compiler and collector) from the first request to the last answer.
//! - The JVM compiles what is hot: several unmeasured rounds go before the measured ones. The very
//!   first round after the start is in the table as well, as "cold".
//! - Memory is the resident set as the kernel counts it: the pages of the JVM's heap that were never
//!   touched don't count.

#[path = "../tests/interop/apache.rs"]
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod apache;
#[path = "against_apache/load.rs"]
#[allow(dead_code, reason = "the benchmark of clusters uses the rest")]
mod load;
#[path = "../tests/interop/ours.rs"]
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod ours;
#[path = "against_apache/process.rs"]
#[allow(dead_code, reason = "the benchmark of clusters uses the rest")]
mod process;
#[path = "../tests/interop/shell.rs"]
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod shell;
#[path = "against_apache/table.rs"]
mod table;

use std::time::Duration;

use anyhow::Context;

use crate::load::{Connection, Load, Paced, Session};
use crate::process::{CpuTime, resident_mib};
use crate::shell::Stopwatch;
use crate::table::Table;

const GB: f64 = 1e9;
const PARTITIONS: i32 = 6;
/// How often a round's records are read: reading costs little, and the kernel counts CPU time in
/// steps of 10 ms.
const CONSUME_PASSES: u32 = 5;
/// Each round has a topic of its own, whose files are gone before the next one begins: the records
/// of all rounds would fill the page cache, and on a virtual machine a page that was never used before
/// costs far more than all that a broker does with it.
const SETTINGS: &[&str] = &["log.segment.delete.delay.ms=100"];
const DELETED_WITHIN: Duration = Duration::from_millis(700);
/// The topic whose first record ends the measurement of a start.
const FIRST: &str = "first";

/// How much is done.
#[derive(Debug, Clone, Copy)]
struct Scale {
    starts: usize,
    /// Unmeasured rounds of each load before the measured ones.
    warm_up_rounds: usize,
    rounds: usize,
    /// Bytes of values in a round.
    round_bytes: u64,
    /// Records with a fixed rate in a round, one every millisecond.
    paced_records: u64,
}

impl Scale {
    const QUICK: Self = Self {
        starts: 3,
        warm_up_rounds: 8,
        rounds: 5,
        round_bytes: 100_000_000,
        paced_records: 4_000,
    };
    const FULL: Self = Self {
        starts: 7,
        warm_up_rounds: 8,
        rounds: 9,
        round_bytes: 200_000_000,
        paced_records: 10_000,
    };
}

/// A broker process that can be started again on its data.
trait Node {
    fn spawn(&mut self) -> anyhow::Result<()>;
    fn stop(&mut self) -> anyhow::Result<()>;
    fn pid(&self) -> anyhow::Result<u32>;
    fn address(&self) -> String;
    /// What the process wrote: the explanation when it fails.
    fn log(&self) -> String;
}

impl Node for ours::Ours {
    fn spawn(&mut self) -> anyhow::Result<()> {
        Self::spawn(self)
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        self.down()
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.process_id().context("our broker does not run")
    }

    fn address(&self) -> String {
        self.bootstrap()
    }

    fn log(&self) -> String {
        Self::log(self)
    }
}

impl Node for apache::Apache {
    fn spawn(&mut self) -> anyhow::Result<()> {
        Self::spawn(self)
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        Self::stop(self)
    }

    fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.process_id())
    }

    fn address(&self) -> String {
        self.bootstrap()
    }

    fn log(&self) -> String {
        Self::log(self)
    }
}

/// One of the two under test.
struct Contender {
    name: &'static str,
    node: Box<dyn Node>,
}

impl Contender {
    fn new(name: &'static str, node: impl Node + 'static) -> Self {
        let node = Box::new(node);
        Self { name, node }
    }

    /// Runs `work` on this broker; an error carries the end of the broker's log.
    fn run<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Node) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        work(self.node.as_mut()).with_context(|| {
            let log = self.node.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(30)..].join("\n");
            format!("{}; the end of its log:\n{end}", self.name)
        })
    }
}

/// Ours and Apache's, and whose turn it is.
struct Pair {
    contenders: [Contender; 2],
    round: usize,
}

impl Pair {
    /// One round: `work` on both, the order turning every time. The results are `[ours, Apache's]`.
    fn round<T>(
        &mut self,
        mut work: impl FnMut(usize, &mut dyn Node) -> anyhow::Result<T>,
    ) -> anyhow::Result<[T; 2]> {
        let [ours, apache] = &mut self.contenders;
        self.round += 1;
        if self.round % 2 == 1 {
            let first = ours.run(|node| work(0, node))?;
            Ok([first, apache.run(|node| work(1, node))?])
        } else {
            let first = apache.run(|node| work(1, node))?;
            Ok([ours.run(|node| work(0, node))?, first])
        }
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
        std::process::exit(i32::from(std::env::var_os("CI").is_some()));
    }
    let is_quick = std::env::args().any(|a| a.eq_ignore_ascii_case("quick"));
    let scale = if is_quick { Scale::QUICK } else { Scale::FULL };
    let load_at_begin = process::load_average();
    let watch = Stopwatch::start();
    let table = measure(scale)?;
    println!(
        "\nkafka-broker {} and Apache Kafka {} with the JVM switches of its start script, {} CPUs, {:.0} s",
        env!("CARGO_PKG_VERSION"),
        apache::version()?,
        std::thread::available_parallelism().map_or(1, usize::from),
        watch.elapsed().as_secs_f64()
    );
    println!(
        "load average {load_at_begin} at the begin, {} at the end",
        process::load_average()
    );
    print!("{table}");
    std::process::exit(i32::from(!table.is_won()));
}

fn measure(scale: Scale) -> anyhow::Result<Table> {
    let mut table = Table::default();
    let mut pair = Pair {
        contenders: [
            Contender::new("our broker", ours::Ours::start_with(SETTINGS)?),
            Contender::new("Apache Kafka", apache::Apache::start_as_server(SETTINGS)?),
        ],
        round: 0,
    };
    measure_start(&mut pair, scale, &mut table)?;
    measure_memory(
        &mut pair,
        "memory when idle after a start, MiB",
        Some(1.0 / 20.0),
        &mut table,
    )?;
    for record_bytes in [100, 1024] {
        measure_throughput(&mut pair, scale, record_bytes, &mut table)?;
    }
    measure_latency(&mut pair, scale, &mut table)?;
    measure_memory(&mut pair, "memory after the load, MiB", None, &mut table)?;
    Ok(table)
}

/// From starting the process on a formatted folder, cleanly stopped before, to the first
/// acknowledged record.
fn measure_start(pair: &mut Pair, scale: Scale, table: &mut Table) -> anyhow::Result<()> {
    pair.round(|_, node| Connection::open(&node.address())?.create_topic(FIRST, 1))?;
    let mut starts = Vec::new();
    for _ in 0..scale.starts {
        starts.push(pair.round(|_, node| {
            node.stop()?;
            let watch = Stopwatch::start();
            node.spawn()?;
            first_acknowledged(&node.address(), watch)
        })?);
        progress("start", starts.last());
    }
    table.add(
        "start to first acknowledged produce, ms",
        &starts,
        Some(1.0 / 50.0),
    );
    Ok(())
}

/// Milliseconds until a record is acknowledged, trying as soon as the port listens.
fn first_acknowledged(address: &str, watch: Stopwatch) -> anyhow::Result<f64> {
    let mut last_error = None;
    while watch.elapsed() < Duration::from_secs(180) {
        match Connection::open(address).and_then(|mut connection| connection.produce_one(FIRST, 0))
        {
            Ok(()) => return Ok(watch.elapsed().as_secs_f64() * 1e3),
            Err(error) => last_error = Some(error),
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    let error = last_error.unwrap_or_else(|| anyhow::anyhow!("nothing was tried"));
    Err(error.context("no record was acknowledged within 180 s of the start"))
}

fn measure_memory(
    pair: &mut Pair,
    name: &str,
    later: Option<f64>,
    table: &mut Table,
) -> anyhow::Result<()> {
    // What was begun at the start or by the load comes to its end.
    std::thread::park_timeout(Duration::from_secs(5));
    let resident = pair.round(|_, node| resident_mib(node.pid()?))?;
    progress(name, Some(&resident));
    table.add(name, &[resident], later);
    Ok(())
}

/// CPU seconds per GB of values.
#[derive(Debug, Clone, Copy)]
struct Cost {
    cpu: f64,
    elapsed: f64,
}

fn measure_throughput(
    pair: &mut Pair,
    scale: Scale,
    record_bytes: usize,
    table: &mut Table,
) -> anyhow::Result<()> {
    let (mut produced, mut consumed) = (Vec::new(), Vec::new());
    for round in 0..scale.warm_up_rounds + scale.rounds {
        let load = Load {
            topic: format!("load-{record_bytes}-{round}"),
            partitions: PARTITIONS,
            record_bytes,
            records: scale.round_bytes / record_bytes as u64,
        };
        let gigabytes = load.bytes() as f64 / GB;
        let [ours, apache] = pair.round(|_, node| {
            let pid = node.pid()?;
            let mut session = Session::open(&node.address(), &load)?;
            let produce = cost(pid, gigabytes, || session.produce())?;
            let read = gigabytes * f64::from(CONSUME_PASSES);
            let consume = cost(pid, read, || session.consume(CONSUME_PASSES))?;
            session.close()?;
            std::thread::park_timeout(DELETED_WITHIN);
            Ok([produce, consume])
        })?;
        produced.push([ours[0], apache[0]]);
        consumed.push([ours[1], apache[1]]);
        for (what, costs) in [("produce", &produced), ("consume", &consumed)] {
            let cpu = costs.last().map(|round| round.map(|c| c.cpu));
            progress(&format!("{what} {record_bytes} B: CPU s/GB"), cpu.as_ref());
        }
    }
    let is_first_load = record_bytes == 100;
    for (what, costs) in [("produce", produced), ("consume", consumed)] {
        let (cold, warm) = costs.split_at(scale.warm_up_rounds);
        let name = format!("{what} {record_bytes} B: CPU s/GB");
        let cpu: Vec<[f64; 2]> = warm.iter().map(|round| round.map(|c| c.cpu)).collect();
        table.add(&name, &cpu, Some(1.0 / 3.0));
        if is_first_load {
            table.add(&format!("{name}, cold"), &[cold[0].map(|c| c.cpu)], None);
        }
        let elapsed: Vec<[f64; 2]> = warm.iter().map(|round| round.map(|c| c.elapsed)).collect();
        table.add_unjudged(&format!("{what} {record_bytes} B: elapsed s/GB"), &elapsed);
    }
    Ok(())
}

fn cost(
    pid: u32,
    gigabytes: f64,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Cost> {
    let (before, watch) = (CpuTime::of(pid)?, Stopwatch::start());
    work()?;
    let elapsed = watch.elapsed().as_secs_f64();
    let cpu = CpuTime::of(pid)?.seconds_since(before);
    Ok(Cost {
        cpu: cpu / gigabytes,
        elapsed: elapsed / gigabytes,
    })
}

/// One record of 1 KiB every millisecond, from before it is sent to after it is read.
fn measure_latency(pair: &mut Pair, scale: Scale, table: &mut Table) -> anyhow::Result<()> {
    let mut paced = pair.round(|_, node| Paced::open(&node.address(), "paced"))?;
    let (mut middle, mut late) = (Vec::new(), Vec::new());
    for round in 0..1 + scale.rounds {
        let latencies = pair.round(|which, _| paced[which].run(scale.paced_records))?;
        if round == 0 {
            continue;
        }
        middle.push([0, 1].map(|which| table::quantile(&latencies[which], 0.50)));
        late.push([0, 1].map(|which| table::quantile(&latencies[which], 0.99)));
        progress("end to end p50, ms", middle.last());
        progress("end to end p99, ms", late.last());
    }
    table.add("end to end at 1000/s of 1 KiB: p50, ms", &middle, None);
    table.add(
        "end to end at 1000/s of 1 KiB: p99, ms",
        &late,
        Some(1.0 / 3.0),
    );
    Ok(())
}

/// A line on standard error for every round, so that a long run can be followed.
fn progress(what: &str, round: Option<&[f64; 2]>) {
    if let Some([ours, apache]) = round {
        eprintln!("  {what}: ours {ours:.3}, Apache {apache:.3}");
    }
}
