//! What happens to a cluster, and what it has to do once nothing happens any more.

use super::{Cluster, TOPIC, id};
use crate::metadata::LeaderRecoveryState;
use crate::raft::simulation::invariants::{Check, Invariants};
use crate::raft::simulation::world::Shape;
use crate::simulation::{Rng, Weather};

const CONTROLLERS: usize = 3;
const STORM_MS: i64 = 50_000;
const CALM_MS: i64 = 120_000;

/// What a seed decides beforehand. Each fault has a weight, 0 for one that doesn't happen.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) shape: Shape,
    pub(super) weather: Weather,
    /// The brokers are also the controllers.
    is_combined: bool,
    pub(super) partitions: i32,
    pub(super) replication_factor: i16,
    pub(super) min_isr: usize,
    pub(super) is_elr_enabled: bool,
    /// By the topic's configuration, or else an administrator may ask for it.
    pub(super) is_unclean_configured: bool,
    pub(super) is_unclean_allowed: bool,
    /// In how many of a hundred crashes the power fails.
    pub(super) power_loss_percent: u64,
    /// In how many of a hundred cases a client wants all replicas to acknowledge.
    pub(super) acks_all_percent: u64,
    /// Between two fetches that find nothing.
    pub(super) fetch_ms: i64,
    crash_rate: u64,
    weights: Vec<(Fault, usize)>,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Produce,
    Crash,
    Blackout,
    Start,
    Partition,
    Heal,
    Pause,
    Leave,
    Move,
    Cancel,
    Elect,
    Flush,
    Retention,
    Snapshot,
}

impl Plan {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let is_combined = rng.percent(30);
        let brokers = 3 + rng.below(3);
        let observers = if is_combined {
            brokers - CONTROLLERS
        } else {
            brokers
        };
        let shape = Shape {
            voters: CONTROLLERS,
            candidates: 0,
            observers,
            is_static: rng.percent(20),
            auto_join: false,
            has_old: false,
            has_bootstrap: true,
        };
        let is_unclean_allowed = rng.percent(12);
        // Not every fault in every run: some only show without others.
        let mut weight = |fault, percent, most| {
            let weight = if rng.percent(percent) {
                1 + rng.below(most)
            } else {
                0
            };
            (fault, weight)
        };
        let weights = vec![
            (Fault::Produce, 80),
            weight(Fault::Crash, 85, 5),
            weight(Fault::Blackout, 15, 1),
            (Fault::Start, 8),
            weight(Fault::Partition, 65, 3),
            (Fault::Heal, 5),
            weight(Fault::Pause, 50, 3),
            weight(Fault::Leave, 60, 3),
            weight(Fault::Move, 50, 4),
            weight(Fault::Cancel, 30, 1),
            weight(Fault::Elect, 50, 4),
            weight(Fault::Flush, 80, 6),
            weight(Fault::Retention, 40, 2),
            weight(Fault::Snapshot, 50, 4),
        ];
        Self {
            shape,
            weather: Weather {
                latency_min_ms: 0,
                latency_max_ms: rng.between(3, 60),
                loss_percent: rng.next() % 6,
                duplicate_percent: rng.next() % 4,
            },
            is_combined,
            partitions: if rng.percent(40) { 2 } else { 1 },
            replication_factor: if rng.percent(80) { 3 } else { 2 },
            min_isr: if rng.percent(75) { 2 } else { 1 },
            is_elr_enabled: rng.percent(50),
            is_unclean_configured: is_unclean_allowed && rng.percent(60),
            is_unclean_allowed,
            power_loss_percent: if rng.percent(50) { 60 } else { 0 },
            acks_all_percent: rng.between(50, 100).unsigned_abs(),
            fetch_ms: rng.between(30, 200),
            crash_rate: if rng.percent(40) { rng.next() % 6 } else { 0 },
            weights,
        }
    }

    pub(super) fn nodes(&self) -> usize {
        self.shape.voters + self.shape.observers
    }

    pub(super) fn broker_nodes(&self) -> std::ops::Range<usize> {
        let first = if self.is_combined { 0 } else { CONTROLLERS };
        first..self.nodes()
    }

    fn fault(&self, rng: &mut Rng) -> Fault {
        let all: usize = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut place = rng.below(all);
        for (fault, weight) in &self.weights {
            if place < *weight {
                return *fault;
            }
            place -= weight;
        }
        Fault::Produce
    }
}

impl Cluster {
    pub(super) fn storm(&mut self) -> Check {
        for idx in 0..self.world.nodes.len() {
            self.world.start_node(idx)?;
        }
        // Mostly the topic is there first.
        let quiet_ms = self.rng.between(2_000, 8_000);
        self.run_until(self.world.now_ms + quiet_ms)?;
        self.world.crash_rate = self.plan.crash_rate;
        let end_ms = self.world.now_ms + STORM_MS;
        let pause_ms = self.rng.between(50, 500);
        while self.world.now_ms < end_ms {
            let wait_ms = self.rng.between(1, pause_ms);
            self.run_until(self.world.now_ms + wait_ms)?;
            self.happen()?;
        }
        Ok(())
    }

    fn happen(&mut self) -> Check {
        let at = self.rng.below(self.world.nodes.len());
        match self.plan.fault(&mut self.rng) {
            Fault::Produce => self.produce(None)?,
            Fault::Crash => self.world.crash_node(at),
            Fault::Blackout => {
                for at in 0..self.world.nodes.len() {
                    self.world.crash_node(at);
                }
            }
            Fault::Start if self.world.nodes[at].raft.is_none() => self.world.start_node(at)?,
            Fault::Start => {}
            Fault::Partition => self.partition(),
            Fault::Heal => self.heal(),
            Fault::Pause => {
                let until_ms = self.world.now_ms + self.rng.between(10, 9_000);
                self.world.nodes[at].paused_until_ms = until_ms;
            }
            Fault::Leave => self.broker_leaves(at),
            Fault::Move => self.move_replicas()?,
            Fault::Cancel => self.cancel_moves()?,
            Fault::Elect => self.elect_by_hand()?,
            Fault::Flush => self.flush(at),
            Fault::Retention => self.delete_old(at),
            Fault::Snapshot => {
                let is_cleaning = self.rng.percent(50);
                self.take_snapshot(at, is_cleaning)?;
            }
        }
        self.follow_raft()
    }

    fn partition(&mut self) {
        let nodes = self.world.nodes.len();
        let is_one_way = self.rng.percent(30);
        let share = if self.rng.percent(50) { 50 } else { 20 };
        let side: Vec<bool> = (0..nodes).map(|_| self.rng.percent(share)).collect();
        for from in 0..nodes {
            for to in 0..nodes {
                if side[from] != side[to] && (!is_one_way || side[from]) {
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
    pub(super) fn calm(&mut self) -> Check {
        self.heal();
        self.world.crash_rate = 0;
        self.world.network.weather = Weather::CALM;
        self.network.weather = Weather::CALM;
        for node in &mut self.world.nodes {
            node.paused_until_ms = 0;
        }
        let end_ms = self.world.now_ms + CALM_MS;
        let mut last = String::new();
        while self.world.now_ms < end_ms {
            for at in 0..self.world.nodes.len() {
                if self.world.nodes[at].raft.is_none() {
                    self.world.start_node(at)?;
                }
            }
            self.run_until(self.world.now_ms + 500)?;
            let before: Vec<usize> = self.acknowledged();
            for partition in 0..self.plan.partitions {
                self.produce(Some(partition))?;
            }
            self.run_until(self.world.now_ms + 1_000)?;
            match self.unsettled(&before) {
                None => return self.converged(),
                Some(what) => last = what,
            }
        }
        Err(format!(
            "liveness after healing: {last}: {}",
            self.describe()
        ))
    }

    fn acknowledged(&self) -> Vec<usize> {
        let partitions = 0..self.plan.partitions;
        partitions.map(|p| self.facts.acknowledged_of(p)).collect()
    }

    /// What still has to happen after everything is healed.
    fn unsettled(&self, acknowledged_before: &[usize]) -> Option<String> {
        for partition in 0..self.plan.partitions {
            let Some(registration) = self.facts.registration(partition) else {
                return Some("the topic is not there".into());
            };
            // A single replica has no other ISR to propose, with which it would say so.
            let has_recovered =
                registration.leader_recovery_state == LeaderRecoveryState::Recovered;
            let is_settled = registration.has_preferred_leader()
                && registration.isr.len() == registration.replicas.len()
                && registration.elr.is_empty()
                && !registration.is_reassigning()
                && (has_recovered || registration.replicas.len() == 1);
            if !is_settled {
                return Some(format!("{partition} is {registration:?}"));
            }
            let place = usize::try_from(partition).unwrap();
            if self.facts.acknowledged_of(partition) <= acknowledged_before[place] {
                return Some(format!("nothing is acknowledged in {partition}"));
            }
            let mut logs = registration
                .replicas
                .iter()
                .map(|id| self.log_of(*id, partition));
            let position = |log: Option<&super::log::Log>| {
                log.map(|log| (log.end_offset(), log.high_watermark(), log.end_offset()))
            };
            let first = position(logs.next().flatten());
            let is_whole = first.is_some_and(|(end, high_watermark, _)| end == high_watermark);
            if !is_whole || logs.any(|log| position(log) != first) {
                return Some(format!("the replicas of {partition} are not equally long"));
            }
        }
        let alive = self.facts.image().cluster.alive_brokers().count();
        if alive < self.brokers.len() {
            return Some(format!("{alive} brokers are alive"));
        }
        let ends: Vec<i64> = self
            .applied
            .iter()
            .map(|applied| applied.end_offset)
            .collect();
        let is_even = ends.iter().all(|end| *end == ends[0]);
        (!is_even).then(|| format!("metadata is applied up to {ends:?}"))
    }

    /// What is the same on all nodes in the end.
    fn converged(&self) -> Check {
        let first = &self.applied[0].image;
        for applied in &self.applied {
            let is_same = applied.image.same_content(first);
            Invariants::holds(is_same, "metadata images are equal", || {
                format!("{:?} and {first:?}", applied.image)
            })?;
        }
        for partition in 0..self.plan.partitions {
            let Some(registration) = self.facts.registration(partition) else {
                continue;
            };
            let logs = registration
                .replicas
                .iter()
                .filter_map(|id| self.log_of(*id, partition));
            let logs: Vec<_> = logs.collect();
            let start = logs.iter().map(|log| log.start_offset()).max().unwrap_or(0);
            let from_start = |log: &super::log::Log| -> Vec<_> {
                let entries = log.entries().filter(|(offset, _)| *offset >= start);
                entries.map(|(_, entry)| *entry).collect()
            };
            let is_same = logs
                .iter()
                .all(|log| from_start(log) == from_start(logs[0]));
            Invariants::holds(is_same, "logs are equal", || format!("of {partition}"))?;
            self.facts.all_there(partition, logs[0])?;
        }
        Ok(())
    }

    pub(super) fn describe(&self) -> String {
        let roles = self.world.nodes.iter().map(|node| {
            let raft = node.raft.as_ref();
            raft.map_or("down", |raft| raft.role_name())
        });
        let partitions = (0..self.plan.partitions).map(|p| self.facts.registration(p));
        let alive = self.facts.image().cluster.alive_brokers().map(|b| b.id);
        let logs = self.brokers.values().map(super::broker::Broker::describe);
        format!(
            "alive {:?}, roles {:?}, partitions of {TOPIC} {:?}, {}, brokers {:#?}, plan {:?}, nodes {}",
            alive.collect::<Vec<_>>(),
            roles.collect::<Vec<_>>(),
            partitions.collect::<Vec<_>>(),
            self.facts,
            logs.collect::<Vec<_>>(),
            self.plan,
            id(self.world.nodes.len()) - 1,
        )
    }
}
