//! How many connections there may be, and how much memory their frames may take.
//!
//! [`ConnectionLimits`] counts connections in total and per peer address; at the total limit the
//! listeners stop accepting until one closes, above the limit of an address the new connection is
//! refused (closed at once). [`FrameBudget`] bounds the bytes of frames that have arrived or are being
//! handled. Both hand out guards that give back on drop, so that no path can leak a slot.
//!
//! Kafka: `ConnectionQuotas` in `network/SocketServer.scala`, `queued.max.request.bytes` (4.3).

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::NetworkConfig;

/// Frames up to this size draw on the half of the budget that large frames cannot exhaust.
pub(super) const LARGE_FRAME_BYTES: usize = 1024 * 1024;
/// What a frame takes of the budget when it begins; each further part doubles its share.
const FIRST_SHARE_BYTES: usize = 64 * 1024;

#[derive(Debug)]
struct Limits {
    total: usize,
    per_ip: usize,
    overrides: HashMap<IpAddr, usize>,
}

impl Limits {
    fn of(config: &NetworkConfig) -> Self {
        Self {
            total: config.max_connections.max(1),
            per_ip: config.max_connections_per_ip,
            overrides: config.max_connections_per_ip_overrides.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    per_ip: HashMap<IpAddr, usize>,
}

/// See the module.
#[derive(Debug)]
pub struct ConnectionLimits {
    limits: ArcSwap<Limits>,
    counts: Mutex<Counts>,
    closed: Notify,
}

impl ConnectionLimits {
    pub(super) fn new(config: &NetworkConfig) -> Arc<Self> {
        Arc::new(Self {
            limits: ArcSwap::from_pointee(Limits::of(config)),
            counts: Mutex::default(),
            closed: Notify::new(),
        })
    }

    /// Takes over limits that were changed while the broker runs; connections above them stay.
    pub fn update(&self, config: &NetworkConfig) {
        self.limits.store(Arc::new(Limits::of(config)));
        self.closed.notify_waiters();
    }

    /// Waits until one more connection may exist.
    pub(super) async fn reserve(self: &Arc<Self>) -> Slot {
        loop {
            let closed = self.closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            {
                let mut counts = self.counts.lock();
                if counts.total < self.limits.load().total {
                    counts.total += 1;
                    return Slot {
                        limits: Arc::clone(self),
                        ip: None,
                    };
                }
            }
            closed.await;
        }
    }

    pub(super) fn connection_count(&self) -> usize {
        self.counts.lock().per_ip.values().sum()
    }
}

/// One connection's place in the counts.
#[derive(Debug)]
pub(super) struct Slot {
    limits: Arc<ConnectionLimits>,
    ip: Option<IpAddr>,
}

impl Slot {
    /// Counts the connection for its peer's address; none when that address has enough of them.
    pub(super) fn assign(mut self, ip: IpAddr) -> Option<Self> {
        let ip = ip.to_canonical();
        let limits = self.limits.limits.load_full();
        let max = limits.overrides.get(&ip).copied().unwrap_or(limits.per_ip);
        {
            let mut counts = self.limits.counts.lock();
            let n = counts.per_ip.entry(ip).or_insert(0);
            if *n >= max {
                if *n == 0 {
                    counts.per_ip.remove(&ip);
                }
                return None;
            }
            *n += 1;
        }
        self.ip = Some(ip);
        Some(self)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.limits.counts.lock();
        counts.total -= 1;
        if let Some(ip) = self.ip
            && let Some(n) = counts.per_ip.get_mut(&ip)
        {
            *n -= 1;
            if *n == 0 {
                counts.per_ip.remove(&ip);
            }
        }
        drop(counts);
        self.limits.closed.notify_one();
    }
}

/// Memory for frames that are being read or handled.
///
/// A frame takes its share as its bytes arrive ([`FramePermit::grow`]): a size that was only announced
/// costs nothing, so that idle peers starve nobody. Two pools: large frames in numbers can make each
/// other wait, but never a frame of ordinary size.
///
/// Frames that have taken a part of a pool and wait for the rest could wait for each other for ever.
/// Therefore each pool keeps back what its largest frame needs: one frame at a time may go on with it
/// when the shared part is used up, and gives it back when it is done.
#[derive(Debug)]
pub(super) struct FrameBudget {
    small: Arc<Pool>,
    large: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    shared: Arc<Semaphore>,
    /// One permit: the right to exceed the shared part, up to the size of one frame.
    reserve: Arc<Semaphore>,
}

impl Pool {
    fn new(total_bytes: usize, largest_frame: usize) -> Arc<Self> {
        let shared = total_bytes
            .saturating_sub(largest_frame)
            .max(FIRST_SHARE_BYTES);
        Arc::new(Self {
            shared: Arc::new(Semaphore::new(shared.min(Semaphore::MAX_PERMITS))),
            reserve: Arc::new(Semaphore::new(1)),
        })
    }
}

impl FrameBudget {
    pub(super) fn new(config: &NetworkConfig) -> Self {
        let half = config.queued_max_request_bytes / 2;
        let largest = config
            .socket_request_max_bytes
            .max(config.other_request_max_bytes);
        Self {
            small: Pool::new(half, LARGE_FRAME_BYTES.min(largest)),
            large: Pool::new(half, largest),
        }
    }

    /// The share of a frame of this size, of which nothing is taken yet.
    pub(super) fn share(&self, frame_bytes: usize) -> FramePermit {
        let pool = if frame_bytes <= LARGE_FRAME_BYTES {
            &self.small
        } else {
            &self.large
        };
        FramePermit {
            pool: Arc::clone(pool),
            frame_bytes,
            taken_bytes: 0,
            shared: None,
            reserve: None,
        }
    }
}

/// What a frame has taken of the budget; given back on drop.
#[derive(Debug)]
pub(super) struct FramePermit {
    pool: Arc<Pool>,
    frame_bytes: usize,
    taken_bytes: usize,
    shared: Option<OwnedSemaphorePermit>,
    reserve: Option<OwnedSemaphorePermit>,
}

impl FramePermit {
    /// How many of the frame's bytes may be in memory.
    pub(super) fn taken_bytes(&self) -> usize {
        self.taken_bytes
    }

    /// Waits until about as much again may be in memory; the whole frame once its end is near.
    pub(super) async fn grow(&mut self) {
        let next = (self.taken_bytes * 2)
            .max(FIRST_SHARE_BYTES)
            .min(self.frame_bytes);
        if self.reserve.is_none() {
            let more = u32::try_from(next - self.taken_bytes)
                .expect("a frame's size is an i32 on the wire");
            tokio::select! {
                biased;
                permit = Arc::clone(&self.pool.shared).acquire_many_owned(more) => {
                    let permit = permit.expect("the pools are never closed");
                    match &mut self.shared {
                        Some(shared) => shared.merge(permit),
                        None => self.shared = Some(permit),
                    }
                }
                permit = Arc::clone(&self.pool.reserve).acquire_owned() => {
                    self.reserve = Some(permit.expect("the pools are never closed"));
                }
            }
        }
        self.taken_bytes = next;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn budget() -> FrameBudget {
        FrameBudget::new(&NetworkConfig {
            queued_max_request_bytes: 32 * MIB,
            socket_request_max_bytes: 8 * MIB,
            other_request_max_bytes: 2 * MIB,
            ..NetworkConfig::default()
        })
    }

    /// Whether the frame could take all that it needs without waiting.
    fn fill(permit: &mut FramePermit) -> bool {
        while permit.taken_bytes() < permit.frame_bytes {
            if permit.grow().now_or_never().is_none() {
                return false;
            }
        }
        true
    }

    #[test]
    fn a_share_grows_with_what_has_arrived_and_ends_at_the_size_of_the_frame() {
        let budget = budget();
        for (size, steps) in [
            (10_000, &[10_000][..]),
            (300_000, &[65_536, 131_072, 262_144, 300_000]),
        ] {
            let mut permit = budget.share(size);
            for step in steps {
                assert!(permit.grow().now_or_never().is_some());
                assert_eq!(permit.taken_bytes(), *step);
            }
        }
        assert_eq!(budget.small.shared.available_permits(), 15 * MIB);
    }

    #[test]
    fn announced_frames_that_do_not_come_starve_nobody() {
        let budget = budget();
        let mut idle: Vec<_> = (0..50).map(|_| budget.share(8 * MIB)).collect();
        for permit in &mut idle {
            assert!(permit.grow().now_or_never().is_some());
        }
        assert!(fill(&mut budget.share(8 * MIB)));
    }

    #[test]
    fn frames_that_wait_for_each_other_are_finished_one_after_the_other() {
        let budget = budget();
        // 8 MiB are shared, 8 MiB are kept for one frame.
        let mut permits: Vec<_> = (0..6).map(|_| budget.share(8 * MIB)).collect();
        let mut finished = 0;
        let mut rounds = 0;
        while !permits.is_empty() {
            rounds += 1;
            assert!(rounds < 100, "nobody gets on: {permits:?}");
            permits.retain_mut(|permit| {
                let is_whole = permit.grow().now_or_never().is_some()
                    && permit.taken_bytes() == permit.frame_bytes;
                finished += usize::from(is_whole);
                !is_whole
            });
        }
        assert_eq!(finished, 6);
        assert_eq!(budget.large.shared.available_permits(), 8 * MIB);
        assert_eq!(budget.large.reserve.available_permits(), 1);
        // What is in memory at a time is bounded.
        let mut held: Vec<_> = (0..4).map(|_| budget.share(8 * MIB)).collect();
        let whole = held
            .iter_mut()
            .filter_map(|permit| fill(permit).then_some(()));
        assert!(whole.count() <= 2);
    }
}
