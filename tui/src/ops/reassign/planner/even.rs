//! Evening out replicas: from the fullest broker to the emptiest, the smallest first.
//!
//! Which replicas may move between two brokers changes only with the partitions that have moved,
//! so that what was passed over once is not looked at again: each pair of brokers remembers how far
//! it has come, and is sent back when a partition comes to fit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Planner;
use crate::model::Fault;

/// The order in which replicas leave a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// What has moved already moves on for free.
    copies: bool,
    bytes: i64,
    /// 0 less the replicas of this topic on the broker, without those that leave before.
    surplus: i64,
    slot: usize,
}

/// Behind all.
const END: Rank = Rank {
    copies: true,
    bytes: i64::MAX,
    surplus: i64::MAX,
    slot: usize::MAX,
};

/// The replicas of each broker in the order in which they leave it.
struct Stock {
    ranks: HashMap<(i32, usize), Rank>,
    by_broker: BTreeMap<i32, BTreeSet<Rank>>,
    /// From one broker to another one: nothing before this may move.
    passed: HashMap<(i32, i32), Rank>,
}

impl Stock {
    fn of(planner: &Planner<'_>) -> Self {
        let mut stock = Self {
            ranks: HashMap::new(),
            by_broker: BTreeMap::new(),
            passed: HashMap::new(),
        };
        let mut left = planner.by_topic.clone();
        for (at, slot) in planner.slots.iter().enumerate() {
            for id in &slot.now {
                let surplus = left.entry((slot.topic_at, *id)).or_default();
                let rank = Rank {
                    copies: slot.before.contains(id),
                    bytes: slot.bytes,
                    surplus: -i64::try_from(*surplus).unwrap_or(i64::MAX),
                    slot: at,
                };
                *surplus = surplus.saturating_sub(1);
                stock.put(*id, rank);
            }
        }
        stock
    }

    fn put(&mut self, id: i32, rank: Rank) {
        self.ranks.insert((id, rank.slot), rank);
        self.by_broker.entry(id).or_default().insert(rank);
    }

    /// The first replica of a broker that may move to another one.
    fn first(&mut self, planner: &Planner<'_>, from: i32, to: i32) -> Option<Rank> {
        let replicas = self.by_broker.get(&from)?;
        let passed = self.passed.get(&(from, to));
        let mut rest = match passed {
            Some(passed) => replicas.range(*passed..),
            None => replicas.range(..),
        };
        let found = rest.find(|rank| planner.may_move(rank.slot, from, to));
        let found = found.copied();
        self.passed.insert((from, to), found.unwrap_or(END));
        found
    }

    /// Notes that a replica was moved.
    fn moved(&mut self, planner: &Planner<'_>, at: usize, from: i32, to: i32) {
        let slot = &planner.slots[at];
        if let (Some(rank), Some(replicas)) = (
            self.ranks.remove(&(from, at)),
            self.by_broker.get_mut(&from),
        ) {
            replicas.remove(&rank);
        }
        let rank = Rank {
            copies: slot.before.contains(&to),
            bytes: slot.bytes,
            surplus: 0,
            slot: at,
        };
        self.put(to, rank);
        // It may fit now where it did not.
        for id in &slot.now {
            let Some(rank) = self.ranks.get(&(*id, at)) else {
                continue;
            };
            for other in &planner.receivers {
                if let Some(passed) = self.passed.get_mut(&(*id, *other))
                    && *passed > *rank
                    && planner.may_move(at, *id, *other)
                {
                    *passed = *rank;
                }
            }
        }
    }
}

impl Planner<'_> {
    /// Moves replicas from fuller to emptier receivers while that brings two of them closer. Each
    /// move lowers the sum of the squares of the counts, so it ends. None gets more than `most`.
    pub(super) fn even_out_replicas(
        &mut self,
        receivers: &BTreeSet<i32>,
        most: usize,
    ) -> Result<(), Fault> {
        let mut stock = Stock::of(self);
        while let Some((at, from, to)) = self.next_move(&mut stock, receivers, most) {
            self.go_on()?;
            let position = self.slots[at].now.iter().position(|id| *id == from);
            if let Some(position) = position {
                self.put(at, position, to);
            }
            stock.moved(self, at, from, to);
        }
        Ok(())
    }

    fn next_move(
        &self,
        stock: &mut Stock,
        receivers: &BTreeSet<i32>,
        most: usize,
    ) -> Option<(usize, i32, i32)> {
        let count = |id: i32| self.loads.get(&id).map_or(0, |load| load.replicas);
        let mut order: Vec<(usize, i32)> =
            self.receivers.iter().map(|id| (count(*id), *id)).collect();
        order.sort_unstable();
        let mut receiving = order.clone();
        receiving.retain(|(_, id)| receivers.contains(id));
        // Brokers that are as full as each other are one group, of which the cheapest replica
        // leaves first.
        let mut full_groups: Vec<&[(usize, i32)]> = order.chunk_by(|a, b| a.0 == b.0).collect();
        full_groups.reverse();
        let empty_groups: Vec<&[(usize, i32)]> = receiving.chunk_by(|a, b| a.0 == b.0).collect();
        for full in full_groups {
            for empty in &empty_groups {
                if full[0].0 < empty[0].0 + 2 || empty[0].0 >= most {
                    break;
                }
                let pairs = full
                    .iter()
                    .flat_map(|(_, from)| empty.iter().map(|(_, to)| (*from, *to)));
                let found =
                    pairs.filter_map(|(from, to)| Some((stock.first(self, from, to)?, from, to)));
                if let Some((rank, from, to)) = found.min() {
                    return Some((rank.slot, from, to));
                }
            }
        }
        None
    }

    /// Whether a partition's replica may be moved from one broker to another one.
    fn may_move(&self, at: usize, from: i32, to: i32) -> bool {
        let now = &self.slots[at].now;
        if now.contains(&to) || !now.contains(&from) {
            return false;
        }
        if self.allow_fewer_racks {
            return true;
        }
        let then: Vec<i32> = now
            .iter()
            .map(|id| if *id == from { to } else { *id })
            .collect();
        self.n_racks(&then) >= self.n_racks(now)
    }
}
