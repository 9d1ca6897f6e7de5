//! Leaders that change all the time, on links that are cut, silent, late and slow, with nodes that
//! pause and are killed, under idempotent producers: nothing acknowledged is lost, nothing is there
//! twice, and the replicas are the same bytes in the end.
//!
//! `KAFKA_INTEROP_LEADER_CHANGES=500` makes a long run of it, on clusters of every mix, to which
//! `KAFKA_INTEROP_SEED` gives the faults of an earlier one.

mod faults;
pub mod ledger;
pub mod producers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use kafka_shared::client::{Client, ClientConfig, ConnectionConfig};

use self::faults::{Dice, Faults};
use self::ledger::{Contents, Ledger};
use self::producers::{Running, Stock, produce};
use crate::Case;
use crate::admin::Admin;
use crate::load::client_config;
use crate::mixed::Mixed;
use crate::node::Kind;
use crate::shell::{self, Stopwatch};

/// Short times, so that much happens.
const SETTINGS: &str = "replica.lag.time.max.ms=3000\nreplica.fetch.wait.max.ms=500\n\
                        replica.socket.timeout.ms=5000\nbroker.session.timeout.ms=3000\n\
                        broker.heartbeat.interval.ms=500\nauto.leader.rebalance.enable=false\n\
                        log.segment.bytes=1048576";

const TOPIC: &str = "t";
const REPLICAS: [i32; 3] = [1, 2, 3];
const ASSIGNMENTS: [&[i32]; 3] = [&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]];
/// Of our own producers, for each partition: one goes through the proxies.
const PRODUCERS_PER_PARTITION: usize = 2;
const SETTLED: Duration = Duration::from_secs(120);

/// A run.
#[derive(Debug, Clone, Copy)]
struct Plan {
    controller: Kind,
    /// Of the brokers 1, 2 and 3.
    kinds: [Kind; 3],
    may_kill: &'static [Kind],
    stock: &'static [Stock],
    /// The run ends after so many, …
    n_changes: usize,
    /// … or after that time, which is an error.
    longest: Duration,
}

pub fn cases() -> Vec<Case> {
    use Kind::{Apache, Ours};
    let set = std::env::var("KAFKA_INTEROP_LEADER_CHANGES").ok();
    let Some(n_changes) = set.and_then(|number| number.parse().ok()) else {
        let plan = Plan {
            controller: Ours,
            kinds: [Apache, Ours, Ours],
            may_kill: &[Ours],
            stock: &[Stock::Java],
            n_changes: 25,
            longest: Duration::from_secs(120),
        };
        let name = "ping-pong: leaders change on bad links, nothing is lost and nothing is doubled";
        return vec![Case::new(name, move || run(&plan))];
    };
    let mixes = [
        (
            "two of Apache's and one of ours",
            Apache,
            [Apache, Ours, Apache],
        ),
        (
            "one of Apache's and two of ours",
            Ours,
            [Apache, Ours, Ours],
        ),
        ("three of ours", Ours, [Ours; 3]),
    ];
    let case = |(name, controller, kinds): (&str, Kind, [Kind; 3])| {
        let plan = Plan {
            controller,
            kinds,
            may_kill: &[Apache, Ours],
            stock: &[Stock::Java, Stock::Librdkafka],
            n_changes,
            longest: Duration::from_secs(60) + Duration::from_secs(10) * n_changes as u32,
        };
        Case::new(format!("ping-pong: {name}"), move || run(&plan))
    };
    mixes.into_iter().map(case).collect()
}

fn seed() -> u64 {
    let set = std::env::var("KAFKA_INTEROP_SEED").ok();
    set.and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        let id = kafka_shared::types::random_uuid().as_u128();
        u64::try_from(id & 0xffff_ffff).unwrap_or(0)
    })
}

/// An admin that soon gives up on a broker.
fn impatient(cluster: &Mixed) -> anyhow::Result<Admin> {
    let config = client_config(&cluster.bootstrap());
    Admin::with(ClientConfig {
        connection: ConnectionConfig {
            request_timeout_ms: 1500,
            ..config.connection.clone()
        },
        ..config
    })
}

fn run(plan: &Plan) -> anyhow::Result<()> {
    let seed = seed();
    println!(
        "     seed {seed}: {:?} under {:?}",
        plan.kinds, plan.controller
    );
    let brokers: Vec<(i32, Kind)> = REPLICAS.into_iter().zip(plan.kinds).collect();
    let mut cluster = Mixed::start_behind_proxies(plan.controller, &brokers, SETTINGS)?;
    let outcome = play(plan, seed, &mut cluster);
    if std::env::var_os("KAFKA_INTEROP_KEEP").is_some() {
        println!("     files kept in {}", cluster.keep().display());
    }
    outcome.with_context(|| {
        let kept = cluster.keep();
        format!(
            "seed {seed}, files kept in {}\n{}",
            kept.display(),
            cluster.logs()
        )
    })
}

fn play(plan: &Plan, seed: u64, cluster: &mut Mixed) -> anyhow::Result<()> {
    let admin = Admin::new(cluster)?;
    admin.create(TOPIC, 2, &ASSIGNMENTS)?;
    let ledger = Arc::new(Ledger::default());
    let tasks = start_producers(&admin, cluster, &ledger)?;
    let stock: Vec<Running> = (plan.stock.iter())
        .map(|stock| {
            let bootstrap = cluster.proxied_bootstrap();
            Running::start(*stock, &bootstrap, TOPIC, cluster.path(), &ledger)
        })
        .collect::<anyhow::Result<_>>()?;
    // An Apache leader takes any first batch of a producer, also when it is the second one.
    let have_begun = || {
        let mut producers = plan.stock.iter().map(|stock| stock.producer());
        producers.all(|producer| ledger.has_begun(producer, ASSIGNMENTS.len()))
    };
    ensure!(
        shell::wait_until(SETTLED, have_begun),
        "a producer does not begin"
    );
    let mut dice = Dice::new(seed);
    let mut faults = Faults::new(dice.clone(), cluster, plan.may_kill);
    dice.below(2);

    let changes = Changes::default();
    let (mover, watcher) = (impatient(cluster)?, impatient(cluster)?);
    let watch = Stopwatch::start();
    let befallen = std::thread::scope(|scope| {
        scope.spawn(|| changes.watch(&watcher));
        scope.spawn(|| changes.cause(&mover, dice));
        let befallen = (|| {
            while changes.count() < plan.n_changes && watch.elapsed() < plan.longest {
                faults.befall(cluster)?;
                ledger.no_problems()?;
            }
            faults.end(cluster)
        })();
        changes.stop.store(true, Ordering::Relaxed);
        befallen
    });
    befallen?;
    ensure!(
        changes.count() >= plan.n_changes,
        "only {} changes of a leader in {:?}",
        changes.count(),
        plan.longest
    );
    let took = watch.elapsed();

    let known = ledger.n_acknowledged();
    for partition in 0..ASSIGNMENTS.len() {
        admin.until_in_sync(TOPIC, i32::try_from(partition)?, REPLICAS.len())?;
    }
    let goes_on = shell::wait_until(SETTLED, || ledger.n_acknowledged() > known + 200);
    ensure!(goes_on, "nothing is acknowledged any more");
    for running in stock {
        running.stop()?;
    }
    ledger.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        admin.runtime.block_on(task).context("a producer failed")?;
    }
    ledger.no_problems()?;
    let (mut n_stored, mut n_bytes, mut n_renumbered) = (0, 0, 0);
    for partition in 0..ASSIGNMENTS.len() {
        let (contents, bytes) = check(cluster, i32::try_from(partition)?, &ledger)?;
        n_stored += contents.n_records;
        n_renumbered += contents.n_renumbered;
        n_bytes += bytes;
    }
    for (id, node) in cluster.brokers() {
        ensure!(!node.log().contains("panicked"), "node {id} panicked");
    }
    println!(
        "     {} changes of a leader in {:.0} s, {} acknowledged, {n_stored} stored ({n_bytes} bytes), \
         lost 0, doubled 0, sent again by librdkafka under other numbers {n_renumbered}\n     faults {:?}\n     longest gaps in ms {:?}\n     errors of our \
         producers {:?}",
        changes.count(),
        took.as_secs_f64(),
        ledger.n_acknowledged(),
        faults.counts,
        ledger.gaps_ms(),
        ledger.errors()
    );
    Ok(())
}

fn start_producers(
    admin: &Admin,
    cluster: &Mixed,
    ledger: &Arc<Ledger>,
) -> anyhow::Result<Vec<tokio::task::JoinHandle<()>>> {
    let bootstraps = [cluster.bootstrap(), cluster.proxied_bootstrap()];
    let mut tasks = Vec::new();
    let _runtime = admin.runtime.enter();
    for partition in 0..i32::try_from(ASSIGNMENTS.len())? {
        for (idx, bootstrap) in (0..PRODUCERS_PER_PARTITION).zip(bootstraps.iter().cycle()) {
            let client = Client::new(client_config(bootstrap));
            let name = format!("p{partition}.{idx}");
            let run = produce(client, TOPIC, partition, name, Arc::clone(ledger));
            tasks.push(kafka_shared::task::spawn("produce", run));
        }
    }
    Ok(tasks)
}

/// Changes of leaders: those that were seen.
#[derive(Debug, Default)]
struct Changes {
    n_seen: AtomicUsize,
    stop: AtomicBool,
}

impl Changes {
    fn count(&self) -> usize {
        self.n_seen.load(Ordering::Relaxed)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Looks who leads. A broker that was away may tell of the past, which its epochs give away.
    fn watch(&self, admin: &Admin) {
        let mut newest = [(-1, -1); ASSIGNMENTS.len()];
        while !self.is_stopped() {
            for (partition, newest) in (0..).zip(&mut newest) {
                let Ok(seen) = admin.partition(TOPIC, partition) else {
                    continue;
                };
                let (epoch, leader) = (seen.leader_epoch, seen.leader_id.0);
                if epoch <= newest.0 || leader < 0 {
                    continue;
                }
                if newest.1 >= 0 && newest.1 != leader {
                    self.n_seen.fetch_add(1, Ordering::Relaxed);
                }
                *newest = (epoch, leader);
            }
            std::thread::sleep(Duration::from_millis(40));
        }
    }

    /// Has another replica elected, again and again.
    fn cause(&self, admin: &Admin, mut dice: Dice) {
        while !self.is_stopped() {
            std::thread::sleep(dice.between_ms(100, 700));
            let partition = dice.pick(&[0, 1, 2]);
            let Ok(now) = admin.partition(TOPIC, partition) else {
                continue;
            };
            let mut others = now.isr_nodes;
            others.retain(|id| *id != now.leader_id);
            if !others.is_empty() {
                // It may fail: that is what the faults are for.
                let to = dice.pick(&others).0;
                let _moved = admin.move_leader(TOPIC, partition, to);
            }
        }
    }
}

/// Waits until a partition's replicas are the same, and checks that they hold what they should.
fn check(cluster: &Mixed, partition: i32, ledger: &Ledger) -> anyhow::Result<(Contents, usize)> {
    let name = format!("{TOPIC}-{partition}");
    let read = || -> anyhow::Result<Vec<Vec<u8>>> {
        let logs = REPLICAS.iter().map(|id| cluster.log_bytes(*id, &name));
        logs.collect()
    };
    let mut logs = read()?;
    let are_equal = shell::wait_until(SETTLED, || {
        let is_done = logs.iter().all(|log| *log == logs[0]);
        if !is_done && let Ok(again) = read() {
            logs = again;
        }
        is_done
    });
    if !are_equal {
        let sizes: Vec<usize> = logs.iter().map(Vec::len).collect();
        let differs = |other: &Vec<u8>| other.iter().zip(&logs[0]).position(|(a, b)| a != b);
        let first: Vec<Option<usize>> = logs.iter().map(differs).collect();
        bail!("{name}: the logs differ, sizes {sizes:?}, from bytes {first:?}");
    }
    let contents = ledger.check(partition, &logs[0])?;
    let mut wrong = None;
    let agree = shell::wait_until(SETTLED, || {
        wrong = REPLICAS.iter().find_map(|id| {
            let file = cluster
                .partition_folder(*id, &name)
                .join("leader-epoch-checkpoint");
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let said = epochs_agree(&text, &contents).err()?;
            Some(format!("{name} of {id}: {said:#}"))
        });
        wrong.is_none()
    });
    ensure!(agree, "{}", wrong.unwrap_or_default());
    Ok((contents, logs[0].len()))
}

/// Checks a leader-epoch-checkpoint against the log: each epoch that has records begins at its first
/// one; an epoch without records, which not every replica hears of, lies where the next one begins.
fn epochs_agree(text: &str, contents: &Contents) -> anyhow::Result<()> {
    let mut entries: Vec<(i32, i64)> = Vec::new();
    for line in text.lines().skip(2) {
        let (epoch, offset) = line.split_once(' ').context("an epoch and an offset")?;
        entries.push((epoch.parse()?, offset.parse()?));
    }
    for known in &contents.epochs {
        ensure!(
            entries.contains(known),
            "{known:?} of the log is not among {entries:?}"
        );
    }
    for (epoch, offset) in entries {
        let next = contents.epochs.iter().find(|(e, _)| *e >= epoch);
        let wanted = next.map_or(contents.end_offset, |(_, offset)| *offset);
        ensure!(
            offset == wanted,
            "epoch {epoch} begins at {offset}, by the log at {wanted}"
        );
    }
    Ok(())
}
