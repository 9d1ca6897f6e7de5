//! What befalls a cluster, by chance: links that are cut, silent, late or slow, nodes that pause and
//! nodes that are killed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::mixed::{CONTROLLER, Mixed};
use crate::node::Kind;
use crate::proxy::{CLIENTS, Condition, Link};
use crate::shell::Stopwatch;

/// Numbers that look like chance and come again with the same seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn between_ms(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let idx = usize::try_from(self.below(of.len() as u64)).expect("an index");
        of[idx]
    }
}

/// One thing that befalls the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Link(Link, Condition),
    /// All links of a node, also the controller's.
    Alone(i32, Condition),
    Pause(i32),
    Kill(i32),
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Link(_, condition) => match condition {
                Condition::Whole => "none",
                Condition::Cut => "link cut",
                Condition::Silent { .. } => "link silent",
                Condition::Late(_) => "link late",
                Condition::Trickling { .. } => "link trickling",
            },
            Self::Alone(..) => "node cut off",
            Self::Pause(_) => "node paused",
            Self::Kill(_) => "node killed",
        }
    }
}

/// Makes faults happen and ends them.
#[derive(Debug)]
pub struct Faults {
    dice: Dice,
    brokers: Vec<i32>,
    may_kill: Vec<i32>,
    /// How often what has happened.
    pub counts: BTreeMap<&'static str, usize>,
}

impl Faults {
    /// Kills only brokers of the kinds in `may_kill`: a JVM takes long to start.
    pub fn new(dice: Dice, cluster: &Mixed, may_kill: &[Kind]) -> Self {
        let brokers: Vec<i32> = cluster.brokers().map(|(id, _)| id).collect();
        let is_killed = |id: &i32| may_kill.contains(&cluster.kind(*id));
        Self {
            dice,
            may_kill: brokers.iter().copied().filter(is_killed).collect(),
            brokers,
            counts: BTreeMap::new(),
        }
    }

    /// Lets something happen, waits, and ends it.
    pub fn befall(&mut self, cluster: &mut Mixed) -> anyhow::Result<()> {
        let n_faults = 1 + self.dice.below(3);
        let faults: Vec<Fault> = (0..n_faults).map(|_| self.choose()).collect();
        for fault in &faults {
            *self.counts.entry(fault.name()).or_default() += 1;
            match *fault {
                Fault::Link(link, condition) => cluster.proxy().set(link, condition),
                Fault::Alone(node, condition) => {
                    for other in self.brokers.iter().chain([&CONTROLLER, &CLIENTS]) {
                        cluster.proxy().set((node, *other), condition);
                        cluster.proxy().set((*other, node), condition);
                    }
                }
                Fault::Pause(node) if cluster.is_up(node) => cluster.pause(node)?,
                Fault::Pause(_) => {}
                Fault::Kill(node) => cluster.kill(node),
            }
        }
        let lasts = match self.dice.below(5) {
            // Long enough to be fenced.
            0 => self.dice.between_ms(3000, 8000),
            _ => self.dice.between_ms(200, 2500),
        };
        let watch = Stopwatch::start();
        while watch.elapsed() < lasts {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.end(cluster)?;
        std::thread::sleep(self.dice.between_ms(50, 1200));
        Ok(())
    }

    /// Heals all links, goes on with paused nodes and starts those that were killed.
    pub fn end(&self, cluster: &mut Mixed) -> anyhow::Result<()> {
        cluster.proxy().heal();
        for id in &self.brokers {
            match cluster.is_up(*id) {
                true => cluster.resume(*id)?,
                false => cluster.up(*id)?,
            }
        }
        Ok(())
    }

    fn choose(&mut self) -> Fault {
        let node = self.dice.pick(&self.brokers);
        match self.dice.below(100) {
            0..65 => {
                let link = self.link();
                Fault::Link(link, self.condition())
            }
            65..73 => {
                let conditions = [
                    Condition::Cut,
                    Condition::Silent {
                        requests: true,
                        answers: true,
                    },
                ];
                Fault::Alone(node, self.dice.pick(&conditions))
            }
            73..88 => Fault::Pause(node),
            _ => match self.may_kill.as_slice() {
                [] => Fault::Pause(node),
                nodes => Fault::Kill(self.dice.pick(nodes)),
            },
        }
    }

    fn link(&mut self) -> Link {
        let to = self.dice.pick(&self.brokers);
        let mut others: Vec<i32> = self
            .brokers
            .iter()
            .copied()
            .filter(|id| *id != to)
            .collect();
        others.push(CLIENTS);
        match self.dice.below(10) {
            0 => (to, CONTROLLER),
            _ => (self.dice.pick(&others), to),
        }
    }

    fn condition(&mut self) -> Condition {
        match self.dice.below(6) {
            0 | 1 => Condition::Cut,
            2 => Condition::Late(self.dice.between_ms(20, 700)),
            3 => Condition::Trickling {
                bytes_per_second: self.dice.pick(&[500, 4000, 40_000]),
            },
            // The answers are the interesting part: what was done and is not known to be.
            4 => Condition::Silent {
                requests: false,
                answers: true,
            },
            _ => Condition::Silent {
                requests: true,
                answers: self.dice.below(2) == 0,
            },
        }
    }
}
