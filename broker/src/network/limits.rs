//! How many connections there may be, and how much memory their frames may take.
//!
//! [`ConnectionLimits`] counts connections in total and per peer address; at the total limit the
//! listeners stop accepting until one closes, above the limit of an address the new connection is
//! refused (closed at once). [`FrameBudget`] bounds the bytes of frames that are being read or
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
/// Two pools: peers that announce large frames and stall can block each other, for as long as the
/// frame deadline lets them, but never a frame of ordinary size.
#[derive(Debug)]
pub(super) struct FrameBudget {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl FrameBudget {
    pub(super) fn new(config: &NetworkConfig) -> Self {
        let half = config.queued_max_request_bytes / 2;
        Self {
            small: Arc::new(Semaphore::new(half.max(LARGE_FRAME_BYTES))),
            // A frame that may exist must also fit, or it would wait for ever.
            large: Arc::new(Semaphore::new(
                half.max(config.socket_request_max_bytes)
                    .max(config.other_request_max_bytes),
            )),
        }
    }

    /// Waits until `frame_bytes` more may be in memory.
    pub(super) async fn reserve(&self, frame_bytes: usize) -> OwnedSemaphorePermit {
        let pool = if frame_bytes <= LARGE_FRAME_BYTES {
            &self.small
        } else {
            &self.large
        };
        let permits = u32::try_from(frame_bytes).expect("a frame's size is an i32 on the wire");
        Arc::clone(pool)
            .acquire_many_owned(permits)
            .await
            .expect("the pools are never closed")
    }
}
