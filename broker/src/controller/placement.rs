//! Where the replicas of new partitions go: striped over racks and brokers.
//!
//! Racks and, within a rack, brokers are walked round robin from a random start, one step further
//! with each partition. So leaders spread evenly, replicas of one partition lie in different racks
//! where there are enough, and a full turn is followed by a shuffle, so that the same sets don't
//! come again. Fenced brokers come last in their rack and never lead.
//!
//! Kafka: `metadata/placement/StripedReplicaPlacer.java` (4.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_shared::error::{ApiError, ErrorCode};

use super::random::Random;

/// A broker that may get replicas.
#[derive(Debug, Clone)]
pub struct UsableBroker {
    pub id: i32,
    pub rack: Option<Arc<str>>,
    pub fenced: bool,
}

/// Brokers in a ring that starts one place further with each turn.
#[derive(Debug, Default)]
struct BrokerList {
    brokers: Vec<i32>,
    idx: usize,
    offset: usize,
    turn: usize,
}

impl BrokerList {
    fn initialize(&mut self, random: &mut Random) {
        self.brokers.sort_unstable();
        self.offset = random.below(self.brokers.len());
    }

    /// The next broker of this turn; `None` when all have been given out.
    fn next(&mut self, turn: usize) -> Option<i32> {
        let len = self.brokers.len();
        if len == 0 {
            return None;
        }
        if self.turn != turn {
            self.turn = turn;
            self.idx = 0;
            self.offset = (self.offset + 1) % len;
        }
        if self.idx >= len {
            return None;
        }
        let broker = self.brokers[(self.idx + self.offset) % len];
        self.idx += 1;
        Some(broker)
    }
}

#[derive(Debug, Default)]
struct Rack {
    fenced: BrokerList,
    unfenced: BrokerList,
}

impl Rack {
    fn next(&mut self, turn: usize) -> Option<i32> {
        self.unfenced.next(turn).or_else(|| self.fenced.next(turn))
    }
}

struct RackList<'a> {
    random: &'a mut Random,
    racks: Vec<Rack>,
    brokers_unfenced: usize,
    turn: usize,
    offset: usize,
}

impl<'a> RackList<'a> {
    fn new(random: &'a mut Random, brokers: &[UsableBroker]) -> Self {
        let mut by_name: BTreeMap<Option<Arc<str>>, Rack> = BTreeMap::new();
        for broker in brokers {
            let rack = by_name.entry(broker.rack.clone()).or_default();
            let list = if broker.fenced {
                &mut rack.fenced
            } else {
                &mut rack.unfenced
            };
            list.brokers.push(broker.id);
        }
        let mut racks: Vec<_> = by_name.into_values().collect();
        for rack in &mut racks {
            rack.fenced.initialize(random);
            rack.unfenced.initialize(random);
        }
        let offset = random.below(racks.len());
        let brokers_unfenced = brokers.iter().filter(|broker| !broker.fenced).count();
        Self {
            random,
            racks,
            brokers_unfenced,
            turn: 0,
            offset,
        }
    }

    /// The replicas of one partition. There are at least as many brokers as replicas, and one of
    /// them is not fenced.
    fn place(&mut self, replication_factor: usize) -> Vec<i32> {
        // With one unfenced broker there is nothing to shuffle, and starting the turns again would
        // find that broker given out already.
        if self.turn == self.brokers_unfenced && self.brokers_unfenced > 1 {
            self.shuffle();
            self.turn = 0;
        }
        if self.offset == self.racks.len() {
            self.offset = 0;
        }
        let mut replicas = Vec::with_capacity(replication_factor);
        let mut leader_rack = self.offset;
        // The turn is new, so some rack still has its unfenced brokers to give.
        for _ in 0..self.racks.len() {
            if let Some(broker) = self.racks[leader_rack].unfenced.next(self.turn) {
                replicas.push(broker);
                break;
            }
            leader_rack = (leader_rack + 1) % self.racks.len();
        }
        let mut skip = Some(leader_rack);
        let mut rack = self.offset;
        while replicas.len() < replication_factor {
            if skip == Some(rack) {
                // The leader's rack has given its broker in this round.
                skip = None;
            } else if let Some(broker) = self.racks[rack].next(self.turn) {
                replicas.push(broker);
            }
            rack = (rack + 1) % self.racks.len();
        }
        self.turn += 1;
        self.offset += 1;
        replicas
    }

    fn shuffle(&mut self) {
        self.random.shuffle(&mut self.racks);
        for rack in &mut self.racks {
            self.random.shuffle(&mut rack.fenced.brokers);
            self.random.shuffle(&mut rack.unfenced.brokers);
        }
    }
}

/// Chooses the replicas of `partitions` partitions; the first replica of each leads.
///
/// # Errors
/// INVALID_REPLICATION_FACTOR when the brokers don't suffice.
pub fn place(
    random: &mut Random,
    brokers: &[UsableBroker],
    partitions: usize,
    replication_factor: i16,
) -> Result<Vec<Vec<i32>>, ApiError> {
    let invalid = |message: String| ApiError::new(ErrorCode::INVALID_REPLICATION_FACTOR, message);
    let replicas = usize::try_from(replication_factor).unwrap_or(0);
    if replicas == 0 {
        return Err(invalid(format!(
            "Invalid replication factor {replication_factor}: the replication factor must be \
             positive."
        )));
    }
    if brokers.iter().all(|broker| broker.fenced) {
        return Err(invalid(
            "All brokers are currently fenced, or have all their log directories cordoned.".into(),
        ));
    }
    if replicas > brokers.len() {
        return Err(invalid(format!(
            "The target replication factor of {replication_factor} cannot be reached because only \
             {} broker(s) are registered or some brokers have all their log directories cordoned.",
            brokers.len()
        )));
    }
    let mut racks = RackList::new(random, brokers);
    Ok((0..partitions).map(|_| racks.place(replicas)).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn broker(id: i32, rack: Option<&str>, fenced: bool) -> UsableBroker {
        UsableBroker {
            id,
            rack: rack.map(Into::into),
            fenced,
        }
    }

    fn all_distinct(replicas: &[i32]) -> bool {
        replicas.iter().collect::<BTreeSet<_>>().len() == replicas.len()
    }

    #[test]
    fn leaders_spread_evenly_and_replicas_of_a_partition_differ() {
        for seed in 0..50 {
            let brokers: Vec<_> = (0..5).map(|id| broker(id, None, false)).collect();
            let placed = place(&mut Random::new(seed), &brokers, 100, 3).unwrap();
            let mut leaders = BTreeMap::new();
            for replicas in &placed {
                assert!(all_distinct(replicas), "{replicas:?}");
                *leaders.entry(replicas[0]).or_insert(0) += 1;
            }
            assert_eq!(
                leaders.into_values().collect::<Vec<_>>(),
                [20; 5],
                "seed {seed}"
            );
        }
    }

    #[test]
    fn replicas_lie_in_different_racks() {
        for seed in 0..50 {
            let brokers: Vec<_> = (0..9)
                .map(|id| broker(id, Some(["a", "b", "c"][id as usize % 3]), false))
                .collect();
            for replicas in place(&mut Random::new(seed), &brokers, 60, 3).unwrap() {
                let racks: BTreeSet<_> = replicas.iter().map(|id| id % 3).collect();
                assert_eq!(racks.len(), 3, "seed {seed} {replicas:?}");
            }
        }
    }

    #[test]
    fn fenced_brokers_get_replicas_only_when_needed_and_never_lead() {
        for seed in 0..50 {
            let brokers = [
                broker(0, None, false),
                broker(1, None, true),
                broker(2, None, false),
            ];
            for replicas in place(&mut Random::new(seed), &brokers, 20, 2).unwrap() {
                assert!(!replicas.contains(&1), "seed {seed} {replicas:?}");
            }
            for replicas in place(&mut Random::new(seed), &brokers, 20, 3).unwrap() {
                assert!(
                    replicas[0] != 1 && all_distinct(&replicas),
                    "seed {seed} {replicas:?}"
                );
            }
        }
    }

    #[test]
    fn one_unfenced_broker_among_fenced_ones_leads_everything() {
        let brokers = [broker(0, Some("a"), false), broker(1, Some("b"), true)];
        let placed = place(&mut Random::new(7), &brokers, 10, 2).unwrap();
        assert_eq!(placed, vec![vec![0, 1]; 10]);
    }

    #[test]
    fn too_few_brokers_are_refused_in_kafkas_words() {
        let check = |brokers: &[UsableBroker], factor, expected: &str| {
            let error = place(&mut Random::new(1), brokers, 1, factor).unwrap_err();
            assert_eq!(error.code, ErrorCode::INVALID_REPLICATION_FACTOR);
            assert!(error.message().contains(expected), "{error}");
        };
        check(
            &[broker(1, None, false)],
            2,
            "only 1 broker(s) are registered",
        );
        check(
            &[broker(1, None, true)],
            1,
            "All brokers are currently fenced",
        );
        check(&[], 1, "All brokers are currently fenced");
        check(&[broker(1, None, false)], 0, "must be positive");
    }
}
