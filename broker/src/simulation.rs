//! What every simulation of a cluster needs: one seed, one virtual time, one bad network.
//!
//! A simulation owns its nodes and disks. It asks the [`Network`] when the next message arrives,
//! moves the time there, and gives the message to the node that it is for. All chance comes from
//! the [`Rng`], so a seed gives the same run every time. [`run_seeds`] runs many of them.

mod cluster;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::atomic::{AtomicU64, Ordering};

use kafka_shared::time::{Clock, SystemClock};

/// Random numbers that follow from the seed (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both inclusive.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.next() % (high - low + 1).unsigned_abs()).unwrap()
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() {
            return None;
        }
        from.get(self.below(from.len()))
    }
}

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) latency_min_ms: i64,
    pub(crate) latency_max_ms: i64,
    pub(crate) loss_percent: u64,
    pub(crate) duplicate_percent: u64,
}

impl Weather {
    pub(crate) const CALM: Self = Self {
        latency_min_ms: 1,
        latency_max_ms: 3,
        loss_percent: 0,
        duplicate_percent: 0,
    };
}

/// A message on its way.
#[derive(Debug, Clone)]
pub(crate) struct Delivery<M> {
    pub(crate) at_ms: i64,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) message: M,
}

/// Messages between nodes: lost, repeated, late and out of order.
#[derive(Debug)]
pub(crate) struct Network<M> {
    pub(crate) weather: Weather,
    /// Pairs of nodes (from, to) between which nothing passes.
    pub(crate) blocked: BTreeSet<(usize, usize)>,
    due: BinaryHeap<Reverse<(i64, u64)>>,
    on_the_way: std::collections::BTreeMap<u64, Delivery<M>>,
    sent: u64,
}

impl<M: Clone> Network<M> {
    pub(crate) fn new(weather: Weather) -> Self {
        Self {
            weather,
            blocked: BTreeSet::new(),
            due: BinaryHeap::new(),
            on_the_way: std::collections::BTreeMap::new(),
            sent: 0,
        }
    }

    /// Hands a message over; whether it arrives, nobody is told.
    pub(crate) fn send(&mut self, rng: &mut Rng, now_ms: i64, from: usize, to: usize, message: M) {
        if self.blocked.contains(&(from, to)) || rng.percent(self.weather.loss_percent) {
            return;
        }
        let copies = 1 + usize::from(rng.percent(self.weather.duplicate_percent));
        for _ in 0..copies {
            let (min, max) = (self.weather.latency_min_ms, self.weather.latency_max_ms);
            let mut latency_ms = rng.between(min, max);
            if rng.percent(1) {
                // Now and then one comes very late.
                latency_ms += rng.between(0, max * 20);
            }
            self.sent += 1;
            let delivery = Delivery {
                at_ms: now_ms + latency_ms,
                from,
                to,
                message: message.clone(),
            };
            self.due.push(Reverse((delivery.at_ms, self.sent)));
            self.on_the_way.insert(self.sent, delivery);
        }
    }

    /// Gives a message that has arrived back, to arrive again later.
    pub(crate) fn delay(&mut self, delivery: Delivery<M>, at_ms: i64) {
        self.sent += 1;
        self.due.push(Reverse((at_ms, self.sent)));
        self.on_the_way
            .insert(self.sent, Delivery { at_ms, ..delivery });
    }

    /// When the next message arrives.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        self.due.peek().map(|Reverse((at_ms, _))| *at_ms)
    }

    /// The next message, if it is due.
    pub(crate) fn receive(&mut self, now_ms: i64) -> Option<Delivery<M>> {
        if self.next_ms()? > now_ms {
            return None;
        }
        let Reverse((_, number)) = self.due.pop()?;
        let delivery = self.on_the_way.remove(&number)?;
        let is_cut = self.blocked.contains(&(delivery.from, delivery.to));
        if is_cut {
            self.receive(now_ms)
        } else {
            Some(delivery)
        }
    }
}

/// Runs seeds from `first` on until `count` have run or one fails, on all cores; panics with what
/// the failing ones say. `SEEDS` and `FIRST_SEED` in the environment take precedence.
pub(crate) fn run_seeds(first: u64, count: u64, run: impl Fn(u64) -> Result<(), String> + Sync) {
    let of = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let first = of("FIRST_SEED").unwrap_or(first);
    let count = of("SEEDS").unwrap_or(count);
    let next = AtomicU64::new(first);
    let failures = parking_lot::Mutex::new(Vec::new());
    let clock = SystemClock::new();
    let started = clock.monotonic();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failures.lock().len() >= 10 {
                        return;
                    }
                    let run = std::panic::AssertUnwindSafe(|| run(seed));
                    let result = std::panic::catch_unwind(run)
                        .unwrap_or_else(|_| Err("panicked, see above".into()));
                    if let Err(reason) = result {
                        failures.lock().push(format!("seed {seed}: {reason}"));
                    }
                }
            });
        }
    });
    let seconds = (clock.monotonic() - started).as_secs_f64();
    println!(
        "{count} seeds from {first} in {seconds:.1} s: {:.0} per second",
        count as f64 / seconds
    );
    let failures = failures.into_inner();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
