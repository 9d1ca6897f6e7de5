//! Seeded pseudo-random numbers: the controller decides the same with the same seed.
//!
//! The generator is xoshiro256**; it is not meant for secrets. Topic ids only have to differ.

use uuid::Uuid;

/// Ids below this are Kafka's own.
const FIRST_FREE_ID: u128 = 100;

/// A pseudo-random number generator.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// A generator whose numbers depend on the seed only.
    pub fn new(seed: u128) -> Self {
        let mut low = seed as u64;
        let mut high = (seed >> 64) as u64;
        let state = [mix(&mut low), mix(&mut high), mix(&mut low), mix(&mut high)];
        Self { state }
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 (inclusive) to `bound` (exclusive); 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            return 0;
        }
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Brings the items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for idx in (1..items.len()).rev() {
            items.swap(idx, self.below(idx + 1));
        }
    }

    /// A new id: none of Kafka's own, and in base64 without a leading '-', which command lines
    /// would take for an option.
    pub fn id(&mut self) -> Uuid {
        loop {
            let bits = (u128::from(self.next()) << 64) | u128::from(self.next());
            let id = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
            if id.as_u128() >= FIRST_FREE_ID && id.as_u128() >> 122 != 62 {
                return id;
            }
        }
    }
}

/// One step of splitmix64, which turns any seed into a good start.
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
