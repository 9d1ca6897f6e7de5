//! Makes an even placement a cheaper one: as long as replicas can be exchanged in a ring of brokers
//! so that fewer bytes are copied and every broker has as many replicas as before, they are.
//!
//! Moving one replica at a time takes the cheapest that fits just then, and may have to take a
//! large one at last. What is left to gain is a negative cycle in the graph whose nodes are brokers
//! and whose edges are the cheapest replicas that may move between two of them; without racks, a
//! placement without such a cycle copies the least that is possible (minimum cost flow).

use std::collections::{BTreeSet, HashSet};

use super::Planner;
use crate::model::Fault;

/// Replicas times brokers that are looked at in one round. On larger clusters there is always a
/// cheap replica to take, and nothing to gain.
const WORK_MAX: usize = 400_000;

/// Brokers of a ring that is looked for.
const BROKERS_MAX: usize = 100;

/// Each round gains something.
const ROUNDS_MAX: usize = 1_000;

/// A replica that may move: what that costs, and of which partition it is. None where two brokers
/// only change the roles of having one more and one less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    bytes: i64,
    slot: Option<usize>,
}

/// From and to: places in the list of receivers.
type Step = (usize, usize, Edge);

impl Planner<'_> {
    /// Exchanges replicas while that copies fewer bytes. Only these receivers get what they did
    /// not have at first.
    pub(super) fn cheapen(&mut self, receivers: &BTreeSet<i32>) -> Result<(), Fault> {
        let replicas: usize = self.slots.iter().map(|slot| slot.now.len()).sum();
        let n = self.receivers.len();
        if n > BROKERS_MAX || replicas.saturating_mul(n) > WORK_MAX {
            return Ok(());
        }
        // Exchanges that would cost a partition a rack.
        let mut refused = HashSet::new();
        for _ in 0..ROUNDS_MAX {
            self.go_on()?;
            let edges = self.edges(receivers, &refused);
            let Some(ring) = negative_ring(&edges) else {
                break;
            };
            if let Some(step) = self.exchange(&ring) {
                refused.insert(step);
            }
        }
        Ok(())
    }

    /// The cheapest edge between every two receivers.
    fn edges(
        &self,
        receivers: &BTreeSet<i32>,
        refused: &HashSet<(usize, i32, i32)>,
    ) -> Vec<Vec<Option<Edge>>> {
        let n = self.receivers.len();
        let count = |at: usize| {
            let load = self.loads.get(&self.receivers[at]);
            load.map_or(0, |load| load.replicas)
        };
        let role = |from: usize, to: usize| {
            let is_role = count(to) == count(from) + 1;
            is_role.then_some(Edge {
                bytes: 0,
                slot: None,
            })
        };
        let mut edges: Vec<Vec<Option<Edge>>> = (0..n)
            .map(|from| (0..n).map(|to| role(from, to)).collect())
            .collect();
        for (at, slot) in self.slots.iter().enumerate() {
            for (from, from_id) in self.receivers.iter().enumerate() {
                if !slot.now.contains(from_id) {
                    continue;
                }
                for (to, to_id) in self.receivers.iter().enumerate() {
                    let returns = slot.before.contains(to_id);
                    if slot.now.contains(to_id)
                        || !(returns || receivers.contains(to_id))
                        || refused.contains(&(at, *from_id, *to_id))
                    {
                        continue;
                    }
                    let gained = i64::from(!slot.before.contains(from_id));
                    let edge = Edge {
                        bytes: slot.bytes * (i64::from(!returns) - gained),
                        slot: Some(at),
                    };
                    let best = &mut edges[from][to];
                    if best.is_none_or(|best| edge < best) {
                        *best = Some(edge);
                    }
                }
            }
        }
        edges
    }

    /// Makes all the steps, or none and tells one that can't be made.
    fn exchange(&mut self, ring: &[Step]) -> Option<(usize, i32, i32)> {
        let steps: Vec<(usize, i32, i32)> = ring
            .iter()
            .filter_map(|(from, to, edge)| {
                Some((edge.slot?, self.receivers[*from], self.receivers[*to]))
            })
            .collect();
        let mut done = Vec::new();
        let mut failed = None;
        for (at, from, to) in &steps {
            let now = &self.slots[*at].now;
            let position = now.iter().position(|id| id == from);
            match position.filter(|_| !now.contains(to)) {
                Some(position) => {
                    self.put(*at, position, *to);
                    done.push((*at, position, *from));
                }
                None => failed = Some((*at, *from, *to)),
            }
        }
        let fewer_racks = |(at, _, _): &&(usize, i32, i32)| {
            let slot = &self.slots[*at];
            self.n_racks(&slot.now) < self.n_racks(&slot.before)
        };
        if !self.allow_fewer_racks && failed.is_none() {
            failed = steps.iter().find(fewer_racks).copied();
        }
        if failed.is_some() {
            for (at, position, from) in done.into_iter().rev() {
                self.put(at, position, from);
            }
        }
        failed
    }
}

/// A ring of edges that costs less than nothing (Bellman and Ford).
fn negative_ring(edges: &[Vec<Option<Edge>>]) -> Option<Vec<Step>> {
    let n = edges.len();
    let mut cost = vec![0i64; n];
    let mut came_from: Vec<Option<(usize, Edge)>> = vec![None; n];
    let mut changed = None;
    for _ in 0..n {
        changed = None;
        for from in 0..n {
            for to in 0..n {
                let Some(edge) = edges[from][to] else {
                    continue;
                };
                let sum = cost[from].saturating_add(edge.bytes);
                if sum < cost[to] {
                    cost[to] = sum;
                    came_from[to] = Some((from, edge));
                    changed = Some(to);
                }
            }
        }
        changed?;
    }
    // So many steps back lead into the ring.
    let mut at = changed?;
    for _ in 0..n {
        at = came_from[at]?.0;
    }
    let (first, mut ring) = (at, Vec::new());
    loop {
        let (from, edge) = came_from[at]?;
        ring.push((from, at, edge));
        at = from;
        if at == first || ring.len() > n {
            break;
        }
    }
    ring.reverse();
    Some(ring)
}
