//! Thousands of operations, drawn by a seed, on quorums of Apache Kafka's controllers and ours.
//!
//! The brokers of these clusters are played by the test, which so decides when one registers, is
//! fenced, goes away cleanly or not, and what leaders say about their replicas.
//!
//! * Side by side: the same operations at an Apache controller and at one of ours, each the only
//!   voter, with a standby of the other kind. Every answer and every record that is written has to
//!   be the same, but for ids that controllers draw and replicas that they choose.
//! * In turn: one quorum of both kinds, whose leader is paused again and again.
//!
//! Afterwards logs and snapshots of all nodes are compared ([`super::kept`]).
//!
//! `KAFKA_RANDOM_OPS` is the number of operations and `KAFKA_RANDOM_SEED` the seed, where they are
//! not to be those of every day.

pub mod levels;
pub mod mirror;
mod ops;
mod target;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use kafka_broker::metadata::MetadataImage;
use rustix::process::Signal;

use self::mirror::Mirror;
use self::ops::{BROKERS, Op, Random, Registration, draw};
use self::target::{Target, directory};
use super::admin::Admin;
use super::{Cluster, Kind, SOON, kept, metadata_dir};
use crate::shell::{self, Stopwatch};

/// How many differences are told before it is enough.
const DIFFERENCES_MAX: usize = 20;

const SETTINGS: &str = "broker.session.timeout.ms=3600000\nauto.leader.rebalance.enable=false\n\
                        controller.quorum.append.linger.ms=0\n\
                        unclean.leader.election.interval.ms=3600000\n";

pub fn number(variable: &str, default: usize) -> anyhow::Result<usize> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| variable.to_owned()),
        Err(_) => Ok(default),
    }
}

/// A controller that is the only voter, and what it has written.
struct Side {
    cluster: Cluster,
    target: Target,
    mirror: Mirror,
}

impl Side {
    fn start(voter: Kind, standby: Kind, ports: &[u16]) -> anyhow::Result<Self> {
        let mut cluster = Cluster::new(&[(1, voter), (2, standby)], false)?;
        cluster.settings =
            format!("{SETTINGS}metadata.log.max.record.bytes.between.snapshots=15000\n");
        for id in [1, 2] {
            cluster.configure(id)?;
        }
        cluster.format(1, &["--standalone".to_owned()])?;
        cluster.format(2, &["--no-initial-controllers".to_owned()])?;
        for id in [1, 2] {
            cluster.node(id).spawn()?;
        }
        let target = Target::new(vec![cluster.endpoint(1)], &cluster.cluster_id, ports);
        let mirror = Mirror::new(&metadata_dir(&cluster.nodes[&1]));
        Ok(Self {
            cluster,
            target,
            mirror,
        })
    }

    /// A voter without a standby, in a static quorum.
    fn start_alone(kind: Kind, options: &[String], ports: &[u16]) -> anyhow::Result<Self> {
        let mut cluster = Cluster::new(&[(1, kind)], true)?;
        cluster.settings = SETTINGS.to_owned();
        cluster.configure(1)?;
        cluster.format(1, options)?;
        cluster.node(1).spawn()?;
        let target = Target::new(vec![cluster.endpoint(1)], &cluster.cluster_id, ports);
        let mirror = Mirror::new(&metadata_dir(&cluster.nodes[&1]));
        Ok(Self {
            cluster,
            target,
            mirror,
        })
    }

    fn wait_up(&mut self) -> anyhow::Result<()> {
        for id in [1, 2] {
            self.cluster.node(id).wait_up()?;
        }
        // Both controllers are registered before the first operation.
        let is_ready = shell::wait_until(SOON, || {
            self.mirror.read().is_ok() && self.mirror.image.cluster.controllers.len() == 2
        });
        ensure!(
            is_ready,
            "no controllers:\n{}",
            self.cluster.nodes[&1].log()
        );
        Ok(())
    }
}

impl Side {
    /// Ends the process of the voter and starts it again.
    fn restart(&mut self) -> anyhow::Result<()> {
        let voter = self.cluster.node(1);
        voter.stop()?;
        voter.spawn()
    }

    fn wait_again(&mut self) -> anyhow::Result<()> {
        self.cluster.node(1).wait_up()?;
        let admin = Admin::new(self.cluster.endpoint(1))?;
        admin.leader()?;
        // It registers again, which says that it is active.
        let mut written = Vec::new();
        let is_back = shell::wait_until(SOON, || {
            written.extend(self.mirror.read().unwrap_or_default());
            written
                .iter()
                .any(|line| line.contains("RegisterController("))
        });
        ensure!(is_back, "the controller does not register again");
        Ok(())
    }
}

/// The listeners of the brokers, at which nobody answers: our controller takes a broker for dead
/// whose listener refuses it.
fn listeners() -> anyhow::Result<Vec<(TcpListener, u16)>> {
    let bind = |_: &i32| {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        Ok((listener, port))
    };
    BROKERS.iter().map(bind).collect()
}

/// A heartbeat of a broker that is well.
fn beat(broker: &i32) -> Op {
    Op::Heartbeat {
        broker: *broker,
        fence: false,
        shut_down: false,
        is_first_dir_offline: false,
        is_stale: false,
    }
}

/// What has to follow an operation so that both controllers know the same of their brokers: Apache
/// Kafka's forgets which offset an unfenced broker has told when its registration changes, also by
/// what the heartbeat itself says, until the next heartbeat.
fn follow_up(op: &Op) -> Option<Op> {
    match op {
        Op::Register {
            broker,
            kind: Registration::Again,
        } => Some(beat(broker)),
        Op::Heartbeat {
            broker,
            fence: false,
            shut_down: false,
            ..
        } => Some(beat(broker)),
        _ => None,
    }
}

/// All brokers register, all but the last one are unfenced, and each SCRAM mechanism gets a user
/// that stays: Apache Kafka 4.3 loses the credentials that it reads at one go with the removal of
/// all that a mechanism had (`ScramDelta` puts them where nobody looks any more).
fn first_ops() -> Vec<Op> {
    let register = |broker: &i32| Op::Register {
        broker: *broker,
        kind: Registration::Restart { is_clean: true },
    };
    let some = &BROKERS[..BROKERS.len() - 1];
    BROKERS
        .iter()
        .map(register)
        .chain(some.iter().chain(some).map(beat))
        .chain([Op::Scram {
            deletions: Vec::new(),
            upsertions: vec![
                ("keeper".to_owned(), 1, 4096),
                ("keeper".to_owned(), 2, 4096),
            ],
            seed: 1,
        }])
        .collect()
}

/// What was written, without what a controller chooses for a topic without assignment.
fn comparable(op: &Op, written: &[String]) -> Vec<String> {
    let kind = |line: &String| line.split('{').next().unwrap_or_default().to_owned();
    match op {
        Op::PassingTopic { .. } => written.iter().map(kind).collect(),
        _ => written.to_vec(),
    }
}

/// Whether the controllers answer differently for a reason.
fn differs_on_purpose(op: &Op, image: &MetadataImage) -> bool {
    match op {
        // After a restart Apache Kafka's doesn't know who is leaving, and may have such a broker
        // lead.
        Op::PassingTopic { .. } => (image.cluster.brokers.values())
            .any(|broker| broker.in_controlled_shutdown && !broker.fenced),
        // Ours adds partitions with as many replicas as the first one has, Apache Kafka's as one
        // that comes first in its hash table.
        Op::CreatePartitions { topic, .. } => {
            let topic = image.topics.by_name(topic);
            let factors = topic.iter().flat_map(|topic| topic.partitions());
            let factors: BTreeSet<_> = factors.map(|(_, p)| p.replicas.len()).collect();
            factors.len() > 1
        }
        // Ours forgets whom the move before was to remove.
        Op::Reassign { moves, .. } => moves.iter().any(|((topic, partition), target)| {
            let partition = image.topics.partition(topic, *partition);
            target.is_some() && partition.is_some_and(|partition| partition.is_reassigning())
        }),
        _ => false,
    }
}

pub fn side_by_side() -> anyhow::Result<()> {
    let count = number("KAFKA_RANDOM_OPS", 240)?;
    let mut random = Random::new(number("KAFKA_RANDOM_SEED", 2)? as u64);
    let listeners = listeners()?;
    let ports: Vec<_> = listeners.iter().map(|(_, port)| *port).collect();
    let mut apache = Side::start(Kind::Apache, Kind::Ours, &ports)?;
    let mut ours = Side::start(Kind::Ours, Kind::Apache, &ports)?;
    apache.wait_up()?;
    ours.wait_up()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let watch = Stopwatch::start();
    let mut differences = Vec::new();
    let mut codes: BTreeMap<String, usize> = BTreeMap::new();
    let mut records = 0;
    let mut leaving = BTreeSet::new();
    // Directories in which Apache Kafka's controller still looks for a topic that is gone: it only
    // forgets partitions whose ISR is not empty, and gives up its leadership when it finds one of
    // these in a directory that goes offline.
    let mut haunted = BTreeSet::new();
    // A new active controller knows no sessions of fenced brokers: they can come back.
    let phase = 400.max(count / 20);
    let mut queue = VecDeque::from(first_ops());
    for n in 0..count {
        if n > 0 && n % phase == 0 {
            apache.restart()?;
            ours.restart()?;
            apache.wait_again()?;
            ours.wait_again()?;
            leaving.clear();
            let alive = apache.mirror.image.cluster.alive_brokers();
            queue.extend(alive.map(|broker| beat(&broker.id)));
        }
        let op = match queue.pop_front() {
            Some(op) => op,
            None => {
                let op = draw(&mut random, &apache.mirror.image);
                queue.extend(follow_up(&op));
                op
            }
        };
        if differs_on_purpose(&op, &apache.mirror.image) {
            continue;
        }
        // Differs from Kafka: the session of a broker that was told to go ends at once at our
        // controller, and lasts for its time-out at Apache's.
        if let Op::Register { broker, kind } = &op {
            let is_again = *kind == Registration::Again;
            let registered = apache.mirror.image.cluster.broker(*broker);
            let is_leaving = registered.is_some_and(|broker| broker.in_controlled_shutdown);
            if is_again && is_leaving || !is_again && leaving.contains(broker) {
                continue;
            }
        }
        if let Op::Heartbeat {
            broker,
            is_first_dir_offline: true,
            ..
        } = &op
            && haunted.contains(&directory(*broker, 0))
        {
            continue;
        }
        let before = Arc::clone(&apache.mirror.image);
        let both = async {
            tokio::join!(
                apache.target.perform(&op, &apache.mirror.image),
                ours.target.perform(&op, &ours.mirror.image)
            )
        };
        let (theirs, own) = runtime.block_on(both);
        let (theirs, own) = (theirs.context("Apache")?, own.context("ours")?);
        match &op {
            Op::Heartbeat { broker, .. } if theirs[0].ends_with("stop=true") => {
                leaving.insert(*broker);
            }
            Op::Unregister(broker) => {
                leaving.remove(broker);
            }
            _ => {}
        }
        for answer in &theirs {
            let code = answer
                .split(' ')
                .find(|word| is_code(word))
                .unwrap_or("NONE");
            *codes.entry(code.to_owned()).or_default() += 1;
        }
        if theirs != own {
            differences.push(format!("{n} {op:?}\n  Apache {theirs:?}\n  ours   {own:?}"));
        }
        let (mut by_them, mut by_us) = (apache.mirror.read()?, ours.mirror.read()?);
        // What follows from a change of its own accord comes a moment later.
        let is_same = shell::wait_until(Duration::from_secs(2), || {
            if comparable(&op, &by_them) == comparable(&op, &by_us) {
                return true;
            }
            by_them.extend(apache.mirror.read().unwrap_or_default());
            by_us.extend(ours.mirror.read().unwrap_or_default());
            by_them.sort();
            by_us.sort();
            comparable(&op, &by_them) == comparable(&op, &by_us)
        });
        records += by_them.len();
        let topics = &apache.mirror.image.topics;
        for topic in before
            .topics
            .iter()
            .filter(|topic| topics.by_id(topic.id).is_none())
        {
            let without_isr = topic.partitions().filter(|(_, p)| p.isr.is_empty());
            haunted.extend(without_isr.flat_map(|(_, p)| p.directories.to_vec()));
        }
        if !is_same {
            let only = |some: &[String], other: &[String]| {
                let lines = some.iter().filter(|line| !other.contains(line));
                lines.cloned().collect::<Vec<_>>().join("\n    ")
            };
            let (theirs, own) = (only(&by_them, &by_us), only(&by_us, &by_them));
            differences.push(format!(
                "{n} {op:?} wrote\n  only Apache\n    {theirs}\n  only ours\n    {own}"
            ));
        }
        // From different states on, everything is different.
        if !is_same || differences.len() >= DIFFERENCES_MAX {
            break;
        }
    }
    let took = watch.elapsed();
    if !differences.is_empty() {
        let logs: Vec<_> = [&apache, &ours]
            .iter()
            .map(|side| side.cluster.nodes[&1].log())
            .collect();
        let logs = if std::env::var_os("KAFKA_RANDOM_LOGS").is_some() {
            logs.join("\n")
        } else {
            String::new()
        };
        bail!(
            "{} differences:\n{}\n{logs}",
            differences.len(),
            differences.join("\n")
        );
    }
    let mut kept = Vec::new();
    for side in [apache, ours] {
        let admin = Admin::new(side.cluster.endpoint(1))?;
        admin.wait_caught_up(&[1, 2])?;
        kept.push(side.cluster.stop_and_compare_strictly()?);
    }
    println!(
        "{count} operations, {records} records in {:.1} s; answers {codes:?}; Apache leading: {}; \
         ours leading: {}",
        took.as_secs_f64(),
        kept[0],
        kept[1]
    );
    for kept in &kept {
        ensure!(kept.apache > 0 && kept.ours > 0, "no snapshots: {kept}");
    }
    Ok(())
}

fn is_code(word: &str) -> bool {
    word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

pub fn in_turn() -> anyhow::Result<()> {
    let count = number("KAFKA_RANDOM_OPS", 250)?;
    let mut random = Random::new(number("KAFKA_RANDOM_SEED", 2)? as u64);
    let mut cluster = Cluster::new(
        &[(1, Kind::Apache), (2, Kind::Ours), (3, Kind::Ours)],
        false,
    )?;
    cluster.settings = format!("{SETTINGS}metadata.log.max.record.bytes.between.snapshots=10000\n");
    for id in [1, 2, 3] {
        cluster.configure(id)?;
    }
    cluster.format_all()?;
    cluster.up_all()?;
    let endpoints = vec![
        cluster.endpoint(1),
        cluster.endpoint(2),
        cluster.endpoint(3),
    ];
    let listeners = listeners()?;
    let ports: Vec<_> = listeners.iter().map(|(_, port)| *port).collect();
    let mut target = Target::new(endpoints, &cluster.cluster_id, &ports);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut led: BTreeMap<i32, usize> = BTreeMap::new();
    let first = first_ops();
    let per_leader = 25;
    let mut done = 0;
    while done < count || led.len() < 2 || led.get(&1).is_none_or(|times| *times < 2) {
        ensure!(done < 4 * count + 400, "Apache Kafka doesn't lead: {led:?}");
        let leader = leader(&cluster)?;
        *led.entry(leader).or_default() += 1;
        // The log of whoever leads is the one that says what is there to be changed.
        let mut mirror = Mirror::new(&metadata_dir(&cluster.nodes[&leader]));
        for n in 0..per_leader {
            mirror.read()?;
            let op = match first.get(done + n) {
                Some(op) => op.clone(),
                None => draw(&mut random, &mirror.image),
            };
            runtime.block_on(target.perform(&op, &mirror.image))?;
        }
        done += per_leader;
        cluster.node(leader).signal(Signal::STOP)?;
        let is_followed = shell::wait_until(
            SOON,
            || matches!(asked_leader(&cluster, leader), Some(other) if other != leader),
        );
        cluster.node(leader).signal(Signal::CONT)?;
        ensure!(is_followed, "nobody follows {leader}");
    }
    let repeated = target.repeated;
    // Who was paused last may lead again, so whoever leads is asked each time.
    let mut seen = String::new();
    let caught_up = shell::wait_until(SOON, || {
        let told = leader(&cluster)
            .and_then(|id| Admin::new(cluster.endpoint(id)))
            .and_then(|admin| admin.quorum());
        seen = format!("{told:?}");
        told.is_ok_and(|(_, high_watermark, ends)| {
            let has_all = |id| ends.get(&id).is_some_and(|end| *end >= high_watermark);
            [1, 2, 3].into_iter().all(has_all)
        })
    });
    ensure!(caught_up, "not all catch up: {seen}");
    let kept = cluster.stop_and_compare_strictly()?;
    println!("{done} operations, {repeated} sent again; times that nodes led {led:?}; {kept}");
    ensure!(kept.apache > 0 && kept.ours > 0, "no snapshots: {kept}");
    Ok(())
}

/// Who leads as nodes other than this one say.
fn asked_leader(cluster: &Cluster, except: i32) -> Option<i32> {
    let others = cluster.nodes.keys().filter(|id| **id != except);
    let ask = |id: &i32| {
        let admin = Admin::new(cluster.endpoint(*id)).ok()?;
        let (leader, ..) = admin.quorum().ok()?;
        (leader == *id).then_some(leader)
    };
    others.filter_map(ask).next()
}

fn leader(cluster: &Cluster) -> anyhow::Result<i32> {
    let mut leader = None;
    shell::wait_until(SOON, || {
        leader = asked_leader(cluster, -1);
        leader.is_some()
    });
    leader.context("no leader")
}

impl Cluster {
    /// Stops all nodes and compares what they have kept, record by record.
    pub fn stop_and_compare_strictly(mut self) -> anyhow::Result<kept::Kept> {
        let ids: Vec<_> = self.nodes.keys().rev().copied().collect();
        for id in ids {
            if self.node(id).stop().is_err() {
                self.node(id).kill();
            }
        }
        let dirs: Vec<_> = self.nodes.values().map(metadata_dir).collect();
        kept::compare_logs(&dirs)?;
        let nodes: Vec<_> = (self.nodes.values())
            .map(|node| (metadata_dir(node), node.kind == Kind::Apache))
            .collect();
        kept::compare_strictly(&nodes)
    }
}
