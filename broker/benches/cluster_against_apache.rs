//! Three of our nodes and three of Apache Kafka's in one run: the same settings and the same load on
//! both clusters, in turn, and the ratios. A ratio above 1 is worse than Apache Kafka and ends the
//! run with exit code 1.
//!
//! `cargo bench --package kafka-broker --bench cluster_against_apache [-- [quick] [PART…]]` needs
//! Java and Maven; parts are `produce`, `latency`, `catch-up` and `failover`, and without any it is
//! all of them.
//!
//! What `against_apache` says about fairness holds here too. Besides:
//! - Every node is broker and controller. Topics have three replicas, and `min.insync.replicas` is 2;
//!   all times (sessions, heartbeats, lag) are Kafka's defaults.
//! - CPU and memory are those of the three nodes together; a GB is one of values, however often it
//!   is stored.
//! - A pause of writing is the time from the signal until every partition, wherever it is led, has
//!   acknowledged (acks=all) a record that was sent after the signal. The client asks the nodes that
//!   live who leads, every 10 ms, so that its own patience is not in the figure.
//! - Catching up is counted from the first byte that the node which was away appends until its files
//!   are as long as its leader's; the return to the in-sync replicas is counted from the process's
//!   start.

#[path = "../tests/interop/apache.rs"]
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod apache;
#[path = "cluster_against_apache/cluster.rs"]
mod cluster;
#[path = "cluster_against_apache/failures.rs"]
mod failures;
#[path = "against_apache/load.rs"]
#[allow(dead_code, reason = "the benchmark of one node uses the rest")]
mod load;
#[path = "../tests/interop/mixed.rs"]
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod mixed;
#[path = "../tests/interop/node.rs"]
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod node;
#[path = "against_apache/process.rs"]
#[allow(dead_code, reason = "the benchmark of one node uses the rest")]
mod process;
#[path = "../tests/interop/proxy.rs"]
#[allow(dead_code, reason = "the interoperability tests use it")]
mod proxy;
#[path = "../tests/interop/shell.rs"]
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod shell;
#[path = "against_apache/table.rs"]
#[allow(dead_code, reason = "the benchmark of one node uses the rest")]
mod table;
#[path = "../tests/interop/trio.rs"]
#[allow(dead_code, reason = "the interoperability tests use the rest")]
mod trio;

use std::time::Duration;

use anyhow::ensure;

use crate::cluster::{Cluster, Lanes};
use crate::failures::Failure;
use crate::load::{Load, Paced};
use crate::node::Kind;
use crate::shell::Stopwatch;
use crate::table::Table;

const GB: f64 = 1e9;
const PARTITIONS: i32 = 6;
/// The files of one round are gone before the next one begins; see `against_apache`.
const SETTINGS: &str = "log.segment.delete.delay.ms=100";
const DELETED_WITHIN: Duration = Duration::from_millis(1000);
const PARTS: [&str; 4] = ["produce", "latency", "catch-up", "failover"];

/// How much is done.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Unmeasured rounds of each load before the measured ones.
    warm_up_rounds: usize,
    rounds: usize,
    /// Bytes of values in a round.
    round_bytes: u64,
    /// Records with a fixed rate in a round, one every millisecond.
    paced_records: u64,
    catch_ups: usize,
    /// Bytes of values that a node misses.
    missed_bytes: u64,
    /// Rounds of each failure.
    failures: usize,
}

impl Scale {
    const QUICK: Self = Self {
        warm_up_rounds: 6,
        rounds: 5,
        round_bytes: 60_000_000,
        paced_records: 4_000,
        catch_ups: 3,
        missed_bytes: 300_000_000,
        failures: 2,
    };
    const FULL: Self = Self {
        warm_up_rounds: 8,
        rounds: 9,
        round_bytes: 100_000_000,
        paced_records: 10_000,
        catch_ups: 5,
        missed_bytes: 1_000_000_000,
        failures: 5,
    };
}

/// Ours and Apache's, and whose turn it is.
struct Pair {
    clusters: [Cluster; 2],
    round: usize,
}

impl Pair {
    /// One round: `work` on both, the order turning every time. The results are `[ours, Apache's]`.
    fn round<T>(
        &mut self,
        mut work: impl FnMut(&mut Cluster) -> anyhow::Result<T>,
    ) -> anyhow::Result<[T; 2]> {
        let [ours, apache] = &mut self.clusters;
        self.round += 1;
        if self.round % 2 == 1 {
            let first = ours.run(&mut work)?;
            Ok([first, apache.run(&mut work)?])
        } else {
            let first = apache.run(&mut work)?;
            Ok([ours.run(&mut work)?, first])
        }
    }
}

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` runs this file too; a benchmark is run on purpose only.
    let args: Vec<String> = std::env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
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
    let words: Vec<&str> = (args.iter().map(String::as_str))
        .filter(|arg| !arg.starts_with('-') && *arg != "quick")
        .collect();
    for word in &words {
        ensure!(PARTS.contains(word), "{word} is none of {PARTS:?}");
    }
    let is_quick = args.iter().any(|arg| arg == "quick");
    let scale = if is_quick { Scale::QUICK } else { Scale::FULL };
    let load_at_begin = process::load_average();
    let watch = Stopwatch::start();
    let table = measure(scale, |part| words.is_empty() || words.contains(&part))?;
    println!(
        "\nthree nodes of kafka-broker {} and three of Apache Kafka {} with the JVM switches of its \
         start script, {} CPUs, {:.0} s",
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

fn measure(scale: Scale, is_wanted: impl Fn(&str) -> bool) -> anyhow::Result<Table> {
    let mut table = Table::default();
    let mut pair = Pair {
        clusters: [
            Cluster::start("our cluster", Kind::Ours, SETTINGS)?,
            Cluster::start("Apache Kafka's cluster", Kind::Apache, SETTINGS)?,
        ],
        round: 0,
    };
    measure_rest(&mut pair, &mut table)?;
    measure_memory(
        &mut pair,
        "memory of three nodes when idle, MiB",
        &mut table,
    )?;
    if is_wanted("produce") {
        for record_bytes in [100, 1024] {
            measure_produce(&mut pair, scale, record_bytes, &mut table)?;
        }
    }
    if is_wanted("latency") {
        measure_latency(&mut pair, scale, &mut table)?;
    }
    if is_wanted("catch-up") {
        measure_catch_up(&mut pair, scale, &mut table)?;
    }
    measure_memory(
        &mut pair,
        "memory of three nodes after the load, MiB",
        &mut table,
    )?;
    if is_wanted("failover") {
        measure_failover(&mut pair, scale, &mut table)?;
    }
    Ok(table)
}

/// What three nodes cost that have nothing to do.
fn measure_rest(pair: &mut Pair, table: &mut Table) -> anyhow::Result<()> {
    const WATCHED: Duration = Duration::from_secs(10);
    // What was begun at the start comes to its end.
    std::thread::park_timeout(Duration::from_secs(10));
    let name = "CPU of three idle nodes, s/min";
    let costs = pair.round(|cluster| {
        let before = cluster.cpu()?;
        std::thread::park_timeout(WATCHED);
        Ok(cluster.cpu()?.seconds_since(before) * 60.0 / WATCHED.as_secs_f64())
    })?;
    progress(name, &costs);
    table.add(name, &[costs], None);
    Ok(())
}

fn measure_memory(pair: &mut Pair, name: &str, table: &mut Table) -> anyhow::Result<()> {
    let resident = pair.round(|cluster| cluster.resident_mib())?;
    progress(name, &resident);
    table.add(name, &[resident], None);
    Ok(())
}

fn measure_produce(
    pair: &mut Pair,
    scale: Scale,
    record_bytes: usize,
    table: &mut Table,
) -> anyhow::Result<()> {
    let (mut cpu, mut elapsed) = (Vec::new(), Vec::new());
    for round in 0..scale.warm_up_rounds + scale.rounds {
        let load = Load {
            topic: format!("load-{record_bytes}-{round}"),
            partitions: PARTITIONS,
            record_bytes,
            records: scale.round_bytes / record_bytes as u64,
        };
        let costs = pair.round(|cluster| {
            cluster.create_topic(&load.topic, load.partitions)?;
            let mut lanes = Lanes::open(cluster, &load)?;
            let (before, watch) = (cluster.cpu()?, Stopwatch::start());
            let gigabytes = lanes.produce()? as f64 / GB;
            let elapsed = watch.elapsed().as_secs_f64();
            let cpu = cluster.cpu()?.seconds_since(before);
            cluster.delete_topic(&load.topic)?;
            std::thread::park_timeout(DELETED_WITHIN);
            Ok([cpu / gigabytes, elapsed / gigabytes])
        })?;
        let [of_cpu, of_elapsed] = [0, 1].map(|which| costs.map(|cost| cost[which]));
        progress(&format!("produce {record_bytes} B: CPU s/GB"), &of_cpu);
        progress(
            &format!("produce {record_bytes} B: elapsed s/GB"),
            &of_elapsed,
        );
        if round >= scale.warm_up_rounds {
            cpu.push(of_cpu);
            elapsed.push(of_elapsed);
        }
    }
    table.add(&format!("produce {record_bytes} B: CPU s/GB"), &cpu, None);
    let name = format!("produce {record_bytes} B: elapsed s/GB");
    table.add(&name, &elapsed, None);
    Ok(())
}

/// One record of 1 KiB every millisecond, from before it is sent to after it is read; it is read
/// when all in-sync replicas have it.
fn measure_latency(pair: &mut Pair, scale: Scale, table: &mut Table) -> anyhow::Result<()> {
    let (mut middle, mut late) = (Vec::new(), Vec::new());
    for round in 0..1 + scale.rounds {
        let topic = format!("paced-{round}");
        let latencies = pair.round(|cluster| {
            cluster.create_topic(&topic, 1)?;
            let leader = cluster.partitions(&topic)?[0].leader;
            let mut paced = Paced::of_topic(&cluster.trio.address(leader), &topic)?;
            let latencies = paced.run(scale.paced_records)?;
            cluster.delete_topic(&topic)?;
            Ok([0.50, 0.99].map(|share| table::quantile(&latencies, share)))
        })?;
        let [p50, p99] = [0, 1].map(|which| latencies.map(|l| l[which]));
        progress("end to end p50, ms", &p50);
        progress("end to end p99, ms", &p99);
        if round > 0 {
            middle.push(p50);
            late.push(p99);
        }
    }
    table.add("end to end at 1000/s of 1 KiB: p50, ms", &middle, None);
    table.add("end to end at 1000/s of 1 KiB: p99, ms", &late, None);
    Ok(())
}

fn measure_catch_up(pair: &mut Pair, scale: Scale, table: &mut Table) -> anyhow::Result<()> {
    let mut rounds = Vec::new();
    for round in 0..scale.catch_ups {
        let load = Load {
            topic: format!("missed-{round}"),
            partitions: PARTITIONS,
            record_bytes: 1024,
            records: scale.missed_bytes / 1024,
        };
        let victim = trio::IDS[round % trio::IDS.len()];
        let caught_up = pair.round(|cluster| {
            let caught_up = failures::catch_up(cluster, &load, victim)?;
            cluster.delete_topic(&load.topic)?;
            std::thread::park_timeout(DELETED_WITHIN);
            Ok(caught_up)
        })?;
        progress("catching up, s/GB", &caught_up.map(|c| c.elapsed));
        progress("catching up, CPU s/GB", &caught_up.map(|c| c.cpu));
        progress("start to in sync, s", &caught_up.map(|c| c.to_in_sync));
        rounds.push(caught_up);
    }
    let column = |of: fn(&failures::CaughtUp) -> f64| -> Vec<[f64; 2]> {
        rounds
            .iter()
            .map(|round| [of(&round[0]), of(&round[1])])
            .collect()
    };
    table.add("catching up: elapsed s/GB", &column(|c| c.elapsed), None);
    table.add("catching up: CPU s/GB", &column(|c| c.cpu), None);
    let name = format!(
        "start to in sync, {} MB missed, s",
        scale.missed_bytes / 1_000_000
    );
    table.add(&name, &column(|c| c.to_in_sync), None);
    Ok(())
}

fn measure_failover(pair: &mut Pair, scale: Scale, table: &mut Table) -> anyhow::Result<()> {
    const TOPIC: &str = "failover";
    pair.round(|cluster| cluster.create_topic(TOPIC, PARTITIONS))?;
    for failure in Failure::ALL {
        let name = format!("no writes after {failure}, s");
        let mut pauses = Vec::new();
        for _ in 0..scale.failures {
            let pause = pair.round(|cluster| failures::pause_of_writes(cluster, TOPIC, failure))?;
            progress(&name, &pause);
            pauses.push(pause);
        }
        table.add(&name, &pauses, None);
    }
    Ok(())
}

/// A line on standard error for every round, so that a long run can be followed.
fn progress(what: &str, [ours, apache]: &[f64; 2]) {
    eprintln!("  {what}: ours {ours:.3}, Apache {apache:.3}");
}
