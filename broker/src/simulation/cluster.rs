//! Whole clusters under bad luck, by seed: a Raft quorum of controllers, brokers that observe it,
//! and a partition that they replicate.
//!
//! Everything that decides is the real thing: [`crate::raft::machine::Raft`], the controller's state,
//! the partition's state with its ISR, and the metadata images; the network, the disks and the time
//! are not. A broker that is killed keeps what it has written, as the page cache does, but not its
//! high watermark of the last moment.
//!
//! `cargo test -p kafka-broker --lib simulation::cluster` runs 30 seeds, and
//! `SEEDS=10000 cargo test -p kafka-broker --lib simulation::cluster::many -- --ignored --nocapture`
//! runs many.

mod broker;
mod controller;
mod facts;

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::{
    AlterPartitionRequest, BrokerHeartbeatRequest, BrokerHeartbeatResponse,
    BrokerRegistrationRequest,
};
use kafka_shared::error::ErrorCode;
use parking_lot::Mutex;

use self::broker::Broker;
use self::controller::Controller;
use self::facts::Facts;
use super::{Network, Rng, Weather};
use crate::metadata::delta::MetadataDelta;
use crate::metadata::{MetadataImage, Provenance};
use crate::raft::simulation::invariants::Check;
use crate::raft::simulation::world::{Shape, World};
use crate::replica::partition::state::isr::AlteredIsr;

/// Nodes with these indexes are controllers, the rest are brokers. A node's id is its index + 1.
const CONTROLLERS: usize = 3;
const TOPIC: &str = "t";
const MIN_ISR: usize = 2;
const STORM_MS: i64 = 60_000;
const CALM_MS: i64 = 90_000;

fn id(idx: usize) -> i32 {
    i32::try_from(idx).unwrap() + 1
}

fn idx(id: i32) -> usize {
    usize::try_from(id).unwrap() - 1
}

/// What brokers ask the controller.
#[derive(Debug, Clone)]
enum Ask {
    Register(BrokerRegistrationRequest),
    Heartbeat(BrokerHeartbeatRequest),
    Alter(AlterPartitionRequest),
}

#[derive(Debug, Clone)]
enum Answer {
    Registered(Result<i64, ErrorCode>),
    Heartbeat(Result<BrokerHeartbeatResponse, ErrorCode>),
    Altered(Result<AlteredIsr, ErrorCode>),
}

/// A follower's fetch.
#[derive(Debug, Clone, Copy)]
struct Fetch {
    broker_epoch: i64,
    leader_epoch: i32,
    offset: i64,
    last_epoch: Option<i32>,
}

#[derive(Debug, Clone)]
struct Fetched {
    fetch: Fetch,
    error: ErrorCode,
    diverging: Option<(i32, i64)>,
    entries: Vec<broker::Entry>,
    high_watermark: i64,
}

/// What travels beside Raft's messages. Answers carry the number of what they answer.
#[derive(Debug, Clone)]
enum Message {
    Ask(u64, Ask),
    Answer(u64, Answer),
    Fetch(u64, Fetch),
    Fetched(u64, Fetched),
}

/// How much has happened.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    controllers: u64,
    partition_leaders: usize,
    partition_changes: usize,
    acknowledged: usize,
    truncations: u64,
    crashes: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.controllers += other.controllers;
        self.partition_leaders += other.partition_leaders;
        self.partition_changes += other.partition_changes;
        self.acknowledged += other.acknowledged;
        self.truncations += other.truncations;
        self.crashes += other.crashes;
    }
}

/// What a node has applied of the metadata log.
#[derive(Debug, Clone, Default)]
struct Applied {
    incarnation: u64,
    /// Exclusive.
    end_offset: i64,
    image: Arc<MetadataImage>,
}

struct Cluster {
    world: World,
    network: Network<Message>,
    rng: Rng,
    applied: Vec<Applied>,
    controllers: BTreeMap<usize, Controller>,
    brokers: BTreeMap<usize, Broker>,
    facts: Facts,
    /// How often a replica has cut off what others did not have.
    truncations: u64,
    next_number: u64,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xc105_7e4d);
        let brokers = 3 + rng.below(2);
        let shape = Shape {
            voters: CONTROLLERS,
            candidates: 0,
            observers: brokers,
            is_static: rng.percent(20),
            auto_join: false,
            has_old: false,
            has_bootstrap: true,
        };
        let weather = Weather {
            latency_min_ms: 0,
            latency_max_ms: rng.between(3, 40),
            loss_percent: rng.next() % 6,
            duplicate_percent: rng.next() % 4,
        };
        let nodes = CONTROLLERS + brokers;
        Self {
            world: World::new(seed, &shape, weather, std::env::var_os("TRACE").is_some()),
            network: Network::new(weather),
            rng,
            applied: vec![Applied::default(); nodes],
            controllers: BTreeMap::new(),
            brokers: (CONTROLLERS..nodes)
                .map(|idx| (idx, Broker::new(id(idx))))
                .collect(),
            facts: Facts::default(),
            truncations: 0,
            next_number: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        self.network
            .send(&mut self.rng, self.world.now_ms, from, to, message);
    }

    fn run_until(&mut self, end_ms: i64) -> Check {
        loop {
            let brokers_ms = self.brokers.values().map(Broker::next_ms).min();
            let controllers_ms = self.controllers.values().map(|c| c.next_timer_ms).min();
            let due = [
                Some(self.world.next_ms()),
                self.network.next_ms(),
                brokers_ms,
                controllers_ms,
            ];
            let next_ms = due.into_iter().flatten().min().unwrap_or(i64::MAX);
            if next_ms > end_ms {
                return self.world.run_until(end_ms);
            }
            self.world.run_until(next_ms.max(self.world.now_ms))?;
            self.follow_raft()?;
            while let Some(delivery) = self.network.receive(self.world.now_ms) {
                self.receive(delivery.from, delivery.to, delivery.message)?;
            }
            self.run_timers()?;
            self.follow_raft()?;
        }
    }

    /// Takes over what Raft has committed, and who leads.
    fn follow_raft(&mut self) -> Check {
        for idx in 0..self.world.nodes.len() {
            let node = &self.world.nodes[idx];
            if self
                .controllers
                .get(&idx)
                .is_some_and(|c| node.leading != Some(c.epoch))
            {
                self.controllers.remove(&idx);
            }
            let Some(raft) = &node.raft else {
                if let Some(broker) = self.brokers.get_mut(&idx) {
                    broker.stop(&mut self.rng);
                }
                continue;
            };
            let (high_watermark, incarnation) = (raft.high_watermark(), node.incarnation);
            if self.applied[idx].incarnation != incarnation {
                self.applied[idx] = Applied {
                    incarnation,
                    ..Applied::default()
                };
                if let Some(broker) = self.brokers.get_mut(&idx) {
                    broker.stop(&mut self.rng);
                    broker.start(incarnation, self.world.now_ms);
                }
            }
            if self.applied[idx].end_offset < high_watermark {
                self.apply(idx, high_watermark)?;
            }
            self.controller_follows(idx)?;
        }
        Ok(())
    }

    fn apply(&mut self, idx: usize, high_watermark: i64) -> Check {
        let applied = &mut self.applied[idx];
        let mut delta = MetadataDelta::new(&applied.image);
        for batch in &self.world.nodes[idx].disk.batches {
            let is_next = batch.info.base_offset >= applied.end_offset;
            if !is_next || batch.info.next_offset > high_watermark {
                continue;
            }
            for record in batch.records.iter() {
                delta
                    .replay(record)
                    .map_err(|error| format!("the log replays: {error}"))?;
            }
        }
        let mut image = delta.into_next();
        image.provenance = Provenance {
            last_contained_offset: high_watermark - 1,
            ..image.provenance
        };
        applied.end_offset = high_watermark;
        applied.image = Arc::new(image);
        let image = Arc::clone(&applied.image);
        self.facts.image(&image)?;
        if self.brokers.contains_key(&idx) {
            self.broker_applies(idx, image)?;
        }
        Ok(())
    }

    fn receive(&mut self, from: usize, to: usize, message: Message) -> Check {
        if self.world.nodes[to].raft.is_none() {
            return Ok(());
        }
        match message {
            Message::Ask(number, ask) => self.controller_asked(to, from, number, ask),
            Message::Answer(number, answer) => self.broker_answered(to, number, answer),
            Message::Fetch(number, fetch) => self.broker_fetched_from(to, from, number, fetch),
            Message::Fetched(number, fetched) => self.broker_fetched(to, number, &fetched),
        }
    }

    fn run_timers(&mut self) -> Check {
        let now_ms = self.world.now_ms;
        let due = self
            .controllers
            .iter()
            .filter(|(_, c)| c.next_timer_ms <= now_ms);
        for idx in due.map(|(idx, _)| *idx).collect::<Vec<_>>() {
            self.controller_timer(idx)?;
        }
        let due = self.brokers.iter().filter(|(_, b)| b.next_ms() <= now_ms);
        for idx in due.map(|(idx, _)| *idx).collect::<Vec<_>>() {
            self.broker_timer(idx)?;
        }
        Ok(())
    }

    fn storm(&mut self) -> Check {
        for idx in 0..self.world.nodes.len() {
            self.world.start_node(idx)?;
        }
        self.run_until(self.world.now_ms + 6_000)?;
        let end_ms = self.world.now_ms + STORM_MS;
        let pause_ms = self.rng.between(50, 600);
        while self.world.now_ms < end_ms {
            let wait_ms = self.rng.between(1, pause_ms);
            self.run_until(self.world.now_ms + wait_ms)?;
            self.happen()?;
        }
        Ok(())
    }

    fn happen(&mut self) -> Check {
        let idx = self.rng.below(self.world.nodes.len());
        match self.rng.below(100) {
            0..80 => return self.produce(),
            80..83 => self.world.crash_node(idx),
            83..91 if self.world.nodes[idx].raft.is_none() => self.world.start_node(idx)?,
            91..93 => self.partition(),
            93..98 => self.heal(),
            98..100 => {
                if let Some(broker) = self.brokers.get_mut(&idx) {
                    broker.wants_to_stop = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn partition(&mut self) {
        let nodes = self.world.nodes.len();
        let side: Vec<bool> = (0..nodes).map(|_| self.rng.percent(50)).collect();
        for from in 0..nodes {
            for to in 0..nodes {
                if side[from] != side[to] {
                    self.world.network.blocked.insert((from, to));
                    self.network.blocked.insert((from, to));
                }
            }
        }
    }

    fn heal(&mut self) {
        self.world.network.blocked.clear();
        self.network.blocked.clear();
    }

    /// All is well from now on, so all has to become well.
    fn calm(&mut self) -> Check {
        self.heal();
        self.world.network.weather = Weather::CALM;
        self.network.weather = Weather::CALM;
        let end_ms = self.world.now_ms + CALM_MS;
        while self.world.now_ms < end_ms {
            for idx in 0..self.world.nodes.len() {
                if self.world.nodes[idx].raft.is_none() {
                    self.world.start_node(idx)?;
                }
            }
            self.run_until(self.world.now_ms + 500)?;
            let acknowledged = self.facts.acknowledged();
            self.produce()?;
            self.run_until(self.world.now_ms + 1_000)?;
            if self.facts.acknowledged() > acknowledged && self.is_settled() {
                return Ok(());
            }
        }
        Err(format!("liveness after healing: {}", self.describe()))
    }

    /// Whether every replica is in sync and no broker is fenced.
    fn is_settled(&self) -> bool {
        let image = &self.applied[CONTROLLERS].image;
        let Some(partition) = image.topics.partition(TOPIC, 0) else {
            return false;
        };
        let brokers = image.cluster.alive_brokers().count();
        partition.has_leader()
            && partition.isr.len() == partition.replicas.len()
            && brokers == self.brokers.len()
    }

    fn counts(&self) -> Counts {
        Counts {
            controllers: self.world.counts.elections,
            partition_leaders: self.facts.leaders(),
            partition_changes: self.facts.changes(),
            acknowledged: self.facts.acknowledged(),
            truncations: self.truncations,
            crashes: self.world.counts.crashes,
        }
    }

    fn describe(&self) -> String {
        let image = &self.applied[CONTROLLERS].image;
        let alive: Vec<i32> = image
            .cluster
            .alive_brokers()
            .map(|broker| broker.id)
            .collect();
        let roles = self.world.nodes.iter().map(|node| {
            let raft = node.raft.as_ref();
            raft.map_or("down", |raft| raft.role_name())
        });
        format!(
            "alive {alive:?}, roles {:?}, partition {:?}, {}",
            roles.collect::<Vec<_>>(),
            image.topics.partition(TOPIC, 0),
            self.facts
        )
    }
}

fn run(seed: u64, total: &Mutex<Counts>) -> Check {
    let mut cluster = Cluster::new(seed);
    cluster.storm()?;
    cluster.calm()?;
    total.lock().add(cluster.counts());
    if std::env::var_os("TRACE").is_some() {
        println!("{}", cluster.describe());
    }
    Ok(())
}

fn run_all(first: u64, count: u64) {
    let total = Mutex::new(Counts::default());
    super::run_seeds(first, count, |seed| run(seed, &total));
    println!("{:?}", total.into_inner());
}

#[test]
fn thirty_clusters_keep_what_they_acknowledge() {
    run_all(1, 30);
}

#[test]
#[ignore = "as many as the environment says in SEEDS"]
fn many() {
    run_all(1_000, 1_000);
}
