//! Evening out preferred leaders by the order of replicas alone: nothing is copied.
//!
//! Leadership can be handed on along a chain: broker 1 gives a partition to 2, and 2 gives another
//! one to 3. The shortest chain from each broker that leads too many to one that leads too few is
//! taken until there is none, so that no order of the same replicas is more even.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Planner;
use crate::model::Fault;

/// Partitions that one broker leads and another one could.
type Offers = BTreeMap<i32, BTreeMap<i32, BTreeSet<usize>>>;

impl Planner<'_> {
    /// Hands first places on until no broker leads two more than another one that it could give
    /// one to.
    pub(super) fn even_out_leaders(&mut self) -> Result<(), Fault> {
        let mut offers = Offers::new();
        for at in 0..self.slots.len() {
            self.offer(at, &mut offers);
        }
        // One that can hand nothing on is not asked again before the others are done.
        let mut is_done = false;
        while !is_done {
            is_done = true;
            let mut stuck: BTreeSet<i32> = BTreeSet::new();
            while let Some((leaders, from)) = self.fullest(&stuck) {
                self.go_on()?;
                let chain = self.chain(from, leaders, &offers);
                if chain.is_none() {
                    stuck.insert(from);
                }
                for (at, to) in chain.into_iter().flatten() {
                    is_done = false;
                    self.lead(at, to, &mut offers);
                }
            }
        }
        Ok(())
    }

    /// The broker that leads most, without some.
    fn fullest(&self, without: &BTreeSet<i32>) -> Option<(usize, i32)> {
        let loads = self.loads.iter().filter(|(id, _)| !without.contains(id));
        let most = loads.max_by_key(|(id, load)| (load.leaders, std::cmp::Reverse(**id)))?;
        Some((most.1.leaders, *most.0))
    }

    /// The shortest chain from a broker to one with two leaders less: partitions with their new
    /// first replicas.
    fn chain(&self, from: i32, leaders: usize, offers: &Offers) -> Option<Vec<(usize, i32)>> {
        let enough = leaders.checked_sub(2)?;
        let mut came: BTreeMap<i32, (i32, usize)> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(broker) = queue.pop_front() {
            for (to, slots) in offers.get(&broker).into_iter().flatten() {
                let Some(at) = slots.first() else { continue };
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
        None
    }

    fn may_lead(&self, id: i32) -> bool {
        let broker = self.metadata.broker(id);
        broker.is_some_and(|broker| broker.fenced != Some(true))
    }

    /// Notes to whom a partition could be handed.
    fn offer(&self, at: usize, offers: &mut Offers) {
        if let Some((first, others)) = self.slots[at].now.split_first() {
            let of_first = offers.entry(*first).or_default();
            for id in others {
                of_first.entry(*id).or_default().insert(at);
            }
        }
    }

    /// Puts a replica first.
    fn lead(&mut self, at: usize, to: i32, offers: &mut Offers) {
        let Some(position) = self.slots[at].now.iter().position(|id| *id == to) else {
            return;
        };
        let from = self.slots[at].now[0];
        for of_first in offers.get_mut(&from).into_iter().flatten() {
            of_first.1.remove(&at);
        }
        self.slots[at].now.swap(0, position);
        self.offer(at, offers);
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
