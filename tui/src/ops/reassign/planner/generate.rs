//! A placement from scratch, as Kafka's own tool proposes it: racks in turn, and in each rack its
//! brokers in turn. It looks neither at where replicas are nor at their sizes, so it moves nearly
//! everything; it is here because people know it, and as what other proposals are measured by.
//!
//! Kafka: StripedReplicaPlacer, as kafka-reassign-partitions --generate (4.3) uses it, with its
//! random numbers made from a seed. Its random numbers are Java's, so that the same seed gives the
//! same proposal there.

use std::collections::BTreeMap;

use crate::model::ClusterMetadata;

/// `java.util.Random`: a linear congruential generator of 48 bits.
struct JavaRandom(u64);

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const MASK: u64 = (1 << 48) - 1;

impl JavaRandom {
    fn new(seed: u64) -> Self {
        Self((seed ^ MULTIPLIER) & MASK)
    }

    fn next_31_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        self.0 >> 17
    }

    /// Below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        if bound.is_power_of_two() {
            return ((bound * self.next_31_bits()) >> 31) as usize;
        }
        // What would make small numbers likelier is drawn again.
        let whole = ((1 << 31) / bound) * bound;
        loop {
            let bits = self.next_31_bits();
            if bits < whole {
                return (bits % bound) as usize;
            }
        }
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }
}

struct Rack {
    brokers: Vec<i32>,
    taken: usize,
    offset: usize,
    epoch: usize,
}

impl Rack {
    fn next(&mut self, epoch: usize) -> Option<i32> {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.taken = 0;
            self.offset = (self.offset + 1) % self.brokers.len();
        }
        let at = (self.taken + self.offset) % self.brokers.len();
        (self.taken < self.brokers.len()).then(|| {
            self.taken += 1;
            self.brokers[at]
        })
    }
}

/// Replicas for so many partitions of one topic; `None` when there are too few brokers.
pub(super) fn place(
    metadata: &ClusterMetadata,
    brokers: &[i32],
    partitions: usize,
    replication_factor: usize,
    seed: u64,
) -> Option<Vec<Vec<i32>>> {
    if replication_factor == 0 || replication_factor > brokers.len() {
        return None;
    }
    let mut random = JavaRandom::new(seed);
    let mut by_rack: BTreeMap<Option<&str>, Vec<i32>> = BTreeMap::new();
    for id in brokers {
        let rack = metadata
            .broker(*id)
            .and_then(|broker| broker.rack.as_deref());
        by_rack.entry(rack).or_default().push(*id);
    }
    let rack = |mut brokers: Vec<i32>| {
        brokers.sort_unstable();
        let offset = random.below(brokers.len());
        Rack {
            brokers,
            taken: 0,
            offset,
            epoch: 0,
        }
    };
    let mut racks: Vec<Rack> = by_rack.into_values().map(rack).collect();
    let mut offset = random.below(racks.len());
    let mut epoch = 0;
    let mut placed = Vec::with_capacity(partitions);
    for _ in 0..partitions {
        if epoch == brokers.len() && brokers.len() > 1 {
            random.shuffle(&mut racks);
            for rack in &mut racks {
                random.shuffle(&mut rack.brokers);
            }
            epoch = 0;
        }
        placed.push(stripe(&mut racks, offset, epoch, replication_factor)?);
        epoch += 1;
        offset = (offset + 1) % racks.len();
    }
    Some(placed)
}

/// One partition: each rack gives one broker in turn, until there are enough.
fn stripe(racks: &mut [Rack], offset: usize, epoch: usize, n: usize) -> Option<Vec<i32>> {
    let mut replicas = Vec::with_capacity(n);
    let mut at = offset;
    let mut empty = 0;
    while replicas.len() < n {
        match racks[at].next(epoch) {
            Some(id) => {
                replicas.push(id);
                empty = 0;
            }
            None => empty += 1,
        }
        if empty > racks.len() {
            return None;
        }
        at = (at + 1) % racks.len();
    }
    Some(replicas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Broker;

    fn cluster(racks: &[Option<&str>]) -> ClusterMetadata {
        let broker = |(id, rack): (usize, &Option<&str>)| Broker {
            id: id as i32,
            host: String::new(),
            port: 0,
            rack: rack.map(str::to_owned),
            fenced: None,
        };
        ClusterMetadata {
            brokers: racks.iter().enumerate().map(broker).collect(),
            ..ClusterMetadata::default()
        }
    }

    #[test]
    fn the_random_numbers_are_javas() {
        // Printed by `new Random(42)`: nextInt(10) and nextInt(8) by turns.
        let mut random = JavaRandom::new(42);
        let numbers: Vec<usize> = [10, 10, 10, 10, 10].map(|n| random.below(n)).into();
        assert_eq!(numbers, [0, 3, 8, 4, 0]);
    }

    #[test]
    fn one_rack_is_cmaks_order_turned() {
        let cluster = cluster(&[None; 5]);
        let placed = place(&cluster, &[0, 1, 2, 3, 4], 5, 3, 1).unwrap();
        let first = placed[0][0];
        for (partition, replicas) in placed.iter().enumerate() {
            let expected = [0, 1, 2].map(|n| (first + partition as i32 + n) % 5);
            assert_eq!(*replicas, expected);
        }
    }

    #[test]
    fn racks_are_used_in_turn() {
        let cluster = cluster(&[
            Some("a"),
            Some("a"),
            Some("b"),
            Some("b"),
            Some("c"),
            Some("c"),
        ]);
        let placed = place(&cluster, &[0, 1, 2, 3, 4, 5], 40, 3, 7).unwrap();
        for replicas in &placed {
            let mut racks: Vec<i32> = replicas.iter().map(|id| id / 2).collect();
            racks.sort_unstable();
            assert_eq!(racks, [0, 1, 2]);
        }
        assert_eq!(place(&cluster, &[0, 1], 1, 3, 0), None);
    }
}
