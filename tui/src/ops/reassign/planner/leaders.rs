//! Evening out preferred leaders by the order of replicas alone: nothing is copied.
//!
//! Leadership can be handed on along a chain: broker 1 gives a partition to 2, and 2 gives another
//! one to 3. The shortest chain from each broker that leads too many to one that leads too few is
//! taken until there is none, so that no order of the same replicas is more even.

use std::collections::{BTreeMap, VecDeque};

use super::Planner;

impl Planner<'_> {
    /// Hands first places on until no broker leads two more than another one that it could give
    /// one to.
    pub(super) fn even_out_leaders(&mut self) {
        loop {
            let mut by_leaders: Vec<(usize, i32)> = self
                .loads
                .iter()
                .map(|(id, load)| (load.leaders, *id))
                .collect();
            by_leaders.sort_by_key(|(leaders, id)| (std::cmp::Reverse(*leaders), *id));
            let chain = by_leaders
                .into_iter()
                .find_map(|(leaders, from)| self.chain(from, leaders));
            match chain {
                Some(chain) => chain.into_iter().for_each(|(slot, to)| self.lead(slot, to)),
                None => return,
            }
        }
    }

    /// The shortest chain from a broker to one with two leaders less: partitions with their new
    /// first replicas.
    fn chain(&self, from: i32, leaders: usize) -> Option<Vec<(usize, i32)>> {
        let enough = leaders.checked_sub(2)?;
        let mut led: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (at, slot) in self.slots.iter().enumerate() {
            if let Some(first) = slot.now.first() {
                led.entry(*first).or_default().push(at);
            }
        }
        let mut came: BTreeMap<i32, (i32, usize)> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(broker) = queue.pop_front() {
            for at in led.get(&broker).into_iter().flatten() {
                for to in self.slots[*at].now.iter().skip(1) {
                    if *to == from || came.contains_key(to) || !self.may_lead(*to) {
                        continue;
                    }
                    came.insert(*to, (broker, *at));
                    if self.loads.get(to).map_or(0, |load| load.leaders) <= enough {
                        return Some(walk_back(&came, from, *to));
                    }
                    queue.push_back(*to);
                }
            }
        }
        None
    }

    fn may_lead(&self, id: i32) -> bool {
        let broker = self.metadata.broker(id);
        broker.is_some_and(|broker| broker.fenced != Some(true))
    }

    /// Puts a replica first.
    fn lead(&mut self, at: usize, to: i32) {
        let slot = &mut self.slots[at];
        let Some(position) = slot.now.iter().position(|id| *id == to) else {
            return;
        };
        let from = slot.now[0];
        slot.now.swap(0, position);
        if let Some(load) = self.loads.get_mut(&from) {
            load.leaders = load.leaders.saturating_sub(1);
        }
        self.loads.entry(to).or_default().leaders += 1;
    }
}

fn walk_back(came: &BTreeMap<i32, (i32, usize)>, from: i32, end: i32) -> Vec<(usize, i32)> {
    let mut chain = Vec::new();
    let mut at = end;
    while at != from {
        let Some((before, slot)) = came.get(&at) else {
            break;
        };
        chain.push((*slot, at));
        at = *before;
    }
    chain
}
