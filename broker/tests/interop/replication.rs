//! Partitions shared by Apache Kafka's brokers and ours: whoever leads, the followers' files become
//! equal byte for byte, and what was acknowledged stays, through changes of leaders, pauses and
//! kills.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use kafka_shared::client::Client;

use crate::admin::Admin;
use crate::load::{Acknowledged, produce};
use crate::mixed::{Mixed, segments};
use crate::node::Kind;
use crate::shell::{self, Stopwatch};
use crate::{Case, apache};

/// Short times, so that tests need not wait.
const SETTINGS: &str = "replica.lag.time.max.ms=3000\nreplica.fetch.wait.max.ms=500\n\
                        broker.session.timeout.ms=6000\nbroker.heartbeat.interval.ms=1000\n\
                        auto.leader.rebalance.enable=false";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "replication: a follower of ours under an Apache leader, and the other way round",
            followers_copy_byte_for_byte,
        ),
        Case::new(
            "replication: whoever pauses leaves the ISR and returns to it",
            isr_shrinks_and_expands,
        ),
        Case::new(
            "replication: leaders change under load without a loss",
            leaders_change_under_load,
        ),
        Case::new(
            "replication: kill -9 of leaders and followers under load without a loss",
            brokers_are_killed_under_load,
        ),
        Case::new(
            "replication: a group goes on while its coordinator moves between Apache's brokers and ours",
            coordinators_move,
        ),
        Case::new(
            "replication: a broker changes between Apache's program and ours on the same folder",
            a_broker_changes_its_program,
        ),
    ]
}

/// Load on partition 0 of a topic, in the background.
struct Load {
    known: Arc<Acknowledged>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(admin: &Admin, topic: &'static str, n_producers: usize, batch_len: usize) -> Self {
        let known = Arc::new(Acknowledged::default());
        let tasks = (0..n_producers)
            .map(|id| {
                let client = Client::new(admin.client.config().clone());
                let produce = produce(client, topic, id, batch_len, Arc::clone(&known));
                let _runtime = admin.runtime.enter();
                kafka_shared::task::spawn("produce", produce)
            })
            .collect();
        Self { known, tasks }
    }

    fn n_acknowledged(&self) -> usize {
        self.known.len()
    }

    /// Waits for so many acknowledged records more.
    fn go_on(&self, n_records: usize) -> anyhow::Result<()> {
        let wanted = self.n_acknowledged() + n_records;
        let done = shell::wait_until(Duration::from_secs(60), || self.n_acknowledged() >= wanted);
        ensure!(done, "nothing is acknowledged any more");
        Ok(())
    }

    fn stop(self, admin: &Admin) -> anyhow::Result<Arc<Acknowledged>> {
        self.known.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            admin.runtime.block_on(task).context("a producer failed")?;
        }
        Ok(self.known)
    }
}

/// Waits until the replicas' files are equal, and checks that they hold what was acknowledged.
fn check_logs(
    cluster: &Mixed,
    partition: &str,
    replicas: &[i32],
    known: &Acknowledged,
) -> anyhow::Result<()> {
    let read = || -> anyhow::Result<Vec<Vec<u8>>> {
        replicas
            .iter()
            .map(|id| cluster.log_bytes(*id, partition))
            .collect()
    };
    let are_equal = |logs: &[Vec<u8>]| logs.iter().all(|log| *log == logs[0]);
    let mut last = Vec::new();
    let done = shell::wait_until(Duration::from_secs(30), || {
        read().is_ok_and(|logs| {
            let is_done = are_equal(&logs);
            last = logs;
            is_done
        })
    });
    let sizes: Vec<usize> = last.iter().map(Vec::len).collect();
    if !done {
        let first_difference = last.get(1).and_then(|other| {
            let pairs = last[0].iter().zip(other);
            pairs
                .enumerate()
                .find(|(_, (a, b))| a != b)
                .map(|(at, _)| at)
        });
        bail!("{partition}: the logs differ, sizes {sizes:?}, from byte {first_difference:?}");
    }
    let n_stored = known.check(&last[0])?;
    println!(
        "     {partition}: {} acknowledged, {} stored, {} bytes",
        known.len(),
        n_stored,
        sizes[0]
    );
    Ok(())
}

/// Has Kafka's own tool read all segments of a replica.
fn dump(cluster: &Mixed, id: i32, partition: &str) -> anyhow::Result<()> {
    let folder = cluster
        .brokers()
        .find(|(other, _)| *other == id)
        .context("a broker")?
        .1
        .data()
        .join(partition);
    let files: Vec<String> = segments(&folder)?
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let args = [
        "--files".to_owned(),
        files.join(","),
        "--deep-iteration".to_owned(),
    ];
    let text = apache::tool("kafka-dump-log", &args, None)?.success()?;
    ensure!(text.contains("isvalid: true"), "{text}");
    ensure!(!text.contains("isvalid: false"), "a batch is not valid");
    Ok(())
}

fn with_logs<T>(cluster: &Mixed, result: anyhow::Result<T>) -> anyhow::Result<T> {
    result.with_context(|| cluster.logs())
}

fn followers_copy_byte_for_byte() -> anyhow::Result<()> {
    let cluster = Mixed::start(&[(1, Kind::Apache), (2, Kind::Ours)], SETTINGS)?;
    let run = || -> anyhow::Result<()> {
        let admin = Admin::new(&cluster)?;
        for (topic, replicas) in [("followed", [1, 2]), ("led", [2, 1])] {
            admin.create(topic, 2, &[&replicas])?;
            ensure!(
                admin.leader(topic, 0)? == replicas[0],
                "{topic} is led elsewhere"
            );
            let load = Load::start(&admin, topic, 3, 20);
            load.go_on(10_000)?;
            let known = load.stop(&admin)?;
            let partition = format!("{topic}-0");
            check_logs(&cluster, &partition, &[1, 2], &known)?;
            dump(&cluster, 2, &partition)?;
            let n_known = known.len().to_string();
            let consumed = apache::tool(
                "kafka-console-consumer",
                &[
                    "--bootstrap-server",
                    &cluster.bootstrap(),
                    "--topic",
                    topic,
                    "--partition",
                    "0",
                    "--offset",
                    "earliest",
                    "--max-messages",
                    &n_known,
                    "--timeout-ms",
                    "20000",
                ]
                .map(str::to_owned),
                None,
            )?
            .success()?;
            ensure!(
                consumed.lines().count().to_string() == n_known,
                "{topic} is not read whole"
            );
        }
        Ok(())
    };
    with_logs(&cluster, run())
}

fn isr_shrinks_and_expands() -> anyhow::Result<()> {
    let mut cluster = Mixed::start(
        &[(1, Kind::Apache), (2, Kind::Ours), (3, Kind::Ours)],
        SETTINGS,
    )?;
    let result = (|| -> anyhow::Result<()> {
        let admin = Admin::new(&cluster)?;
        // Ours leads and Apache's pauses, Apache's leads and ours pauses, ours leads and ours pauses.
        for (topic, replicas) in [("a", [2, 1]), ("b", [1, 2]), ("c", [2, 3])] {
            admin.create(topic, 1, &[&replicas])?;
            let load = Load::start(&admin, topic, 1, 5);
            load.go_on(200)?;
            cluster.pause(replicas[1])?;
            let shrunk = admin.until_in_sync(topic, 0, 1);
            let went_on = shrunk.and_then(|()| load.go_on(200));
            cluster.resume(replicas[1])?;
            went_on?;
            admin.until_in_sync(topic, 0, 2)?;
            load.go_on(200)?;
            let known = load.stop(&admin)?;
            check_logs(&cluster, &format!("{topic}-0"), &replicas, &known)?;
        }
        Ok(())
    })();
    with_logs(&cluster, result)
}

/// How many times something is repeated: a setting, or `default`.
fn rounds(variable: &str, default: usize) -> usize {
    let set = std::env::var(variable).ok();
    set.and_then(|rounds| rounds.parse().ok())
        .unwrap_or(default)
}

fn leaders_change_under_load() -> anyhow::Result<()> {
    let n_rounds = rounds("KAFKA_INTEROP_LEADER_CHANGES", 60);
    let cluster = Mixed::start(
        &[(1, Kind::Apache), (2, Kind::Ours), (3, Kind::Apache)],
        SETTINGS,
    )?;
    let run = || -> anyhow::Result<()> {
        let admin = Admin::new(&cluster)?;
        admin.create("t", 2, &[&[1, 2, 3]])?;
        let load = Load::start(&admin, "t", 3, 3);
        let (mut n_changes, mut led) = (0, BTreeSet::new());
        for round in 0..n_rounds {
            let to = [2, 1, 2, 3][round % 4];
            n_changes += usize::from(admin.move_leader("t", 0, to)?);
            led.insert(admin.leader("t", 0)?);
            load.go_on(20)?;
        }
        let known = load.stop(&admin)?;
        admin.until_in_sync("t", 0, 3)?;
        check_logs(&cluster, "t-0", &[1, 2, 3], &known)?;
        println!(
            "     {n_changes} changes of the leader in {n_rounds} rounds, {} requests failed, longest \
             gap {} ms",
            known.n_failed.load(Ordering::Relaxed),
            known.longest_gap_ms.load(Ordering::Relaxed)
        );
        ensure!(
            n_changes * 2 > n_rounds && led.len() == 3,
            "leaders: {led:?}"
        );
        dump(&cluster, 2, "t-0")
    };
    with_logs(&cluster, run())
}

fn brokers_are_killed_under_load() -> anyhow::Result<()> {
    let n_rounds = rounds("KAFKA_INTEROP_KILLS", 9);
    let mut cluster = Mixed::start(
        &[(1, Kind::Apache), (2, Kind::Ours), (3, Kind::Ours)],
        SETTINGS,
    )?;
    let result = (|| -> anyhow::Result<()> {
        let admin = Admin::new(&cluster)?;
        admin.create("t", 2, &[&[2, 3, 1]])?;
        let load = Load::start(&admin, "t", 3, 3);
        load.go_on(100)?;
        for round in 0..n_rounds {
            // Leaders and followers, ours and Apache's, in turn.
            let victim = match round % 3 {
                0 => admin.leader("t", 0)?,
                1 => 2 + i32::try_from(round % 2)?,
                _ => 1,
            };
            let gap = Stopwatch::start();
            cluster.kill(victim);
            load.go_on(50)
                .with_context(|| format!("round {round}, broker {victim} killed"))?;
            println!(
                "     broker {victim} ({:?}) killed, went on after {} ms",
                cluster.kind(victim),
                gap.elapsed().as_millis()
            );
            cluster.up(victim)?;
            admin.until_in_sync("t", 0, 3)?;
            load.go_on(50)?;
        }
        let known = load.stop(&admin)?;
        check_logs(&cluster, "t-0", &[1, 2, 3], &known)?;
        dump(&cluster, 2, "t-0")?;
        dump(&cluster, 3, "t-0")
    })();
    with_logs(&cluster, result)
}

fn coordinators_move() -> anyhow::Result<()> {
    let cluster = Mixed::start(
        &[(1, Kind::Apache), (2, Kind::Ours), (3, Kind::Ours)],
        SETTINGS,
    )?;
    let run = || -> anyhow::Result<()> {
        let admin = Admin::new(&cluster)?;
        admin.create("t", 2, &[&[1, 2, 3]])?;
        let load = Load::start(&admin, "t", 1, 5);
        let mut n_read = 0;
        for round in 0..6 {
            load.go_on(100)?;
            let consumed = apache::tool(
                "kafka-console-consumer",
                &[
                    "--bootstrap-server",
                    &cluster.bootstrap(),
                    "--topic",
                    "t",
                    "--group",
                    "g",
                    "--from-beginning",
                    "--max-messages",
                    "100",
                    "--timeout-ms",
                    "30000",
                ]
                .map(str::to_owned),
                None,
            )?
            .success()?;
            ensure!(consumed.lines().count() == 100, "round {round}: {consumed}");
            n_read += 100;
            let described = apache::tool(
                "kafka-consumer-groups",
                &[
                    "--bootstrap-server",
                    &cluster.bootstrap(),
                    "--describe",
                    "--group",
                    "g",
                ]
                .map(str::to_owned),
                None,
            )?
            .success()?;
            let committed = described
                .lines()
                .find(|line| line.starts_with('g'))
                .and_then(|line| line.split_whitespace().nth(3)?.parse::<usize>().ok());
            ensure!(committed == Some(n_read), "round {round}: {described}");
            // Where the group is, is not said: all its partitions move.
            let to = [2, 1, 3][round % 3];
            for partition in 0..4 {
                admin.until_in_sync("__consumer_offsets", partition, 3)?;
                let is_moved = admin.move_leader("__consumer_offsets", partition, to)?;
                ensure!(is_moved, "the coordinator does not move to {to}");
            }
        }
        load.stop(&admin)?;
        Ok(())
    };
    with_logs(&cluster, run())
}

fn a_broker_changes_its_program() -> anyhow::Result<()> {
    let mut cluster = Mixed::start(
        &[(1, Kind::Apache), (2, Kind::Ours), (3, Kind::Ours)],
        SETTINGS,
    )?;
    let result = (|| -> anyhow::Result<()> {
        let admin = Admin::new(&cluster)?;
        admin.create("t", 2, &[&[2, 3, 1]])?;
        let load = Load::start(&admin, "t", 2, 3);
        load.go_on(100)?;
        for round in 0..4 {
            match round {
                0 | 3 => cluster.stop(2)?,
                _ => cluster.kill(2),
            }
            let kind = match cluster.kind(2) {
                Kind::Ours => Kind::Apache,
                Kind::Apache => Kind::Ours,
            };
            cluster.up_as(2, kind)?;
            admin.until_in_sync("t", 0, 3)?;
            let is_moved = admin.move_leader("t", 0, 2)?;
            ensure!(is_moved, "round {round}: 2 ({kind:?}) does not lead");
            load.go_on(100)?;
        }
        let known = load.stop(&admin)?;
        check_logs(&cluster, "t-0", &[1, 2, 3], &known)?;
        dump(&cluster, 2, "t-0")
    })();
    with_logs(&cluster, result)
}
