//! Time as an input: the only place that reads a real clock.
//!
//! Everything that decides takes `now_ms` as an argument; the shells around it hold a [`Clock`].
//! Tests hold a [`MockClock`] and move it by hand.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where a shell gets the time from.
pub trait Clock: Send + Sync + Debug + 'static {
    /// Time since some fixed moment; never goes back. For time-outs and intervals.
    fn monotonic(&self) -> Duration;

    /// Milliseconds since 1970 (UTC), as in Kafka's timestamps. May jump either way.
    fn wall_ms(&self) -> i64;

    /// [`Clock::monotonic`] in whole milliseconds.
    fn monotonic_ms(&self) -> i64 {
        i64::try_from(self.monotonic().as_millis()).unwrap_or(i64::MAX)
    }
}

/// The machine's clocks.
#[derive(Clone, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clocks"
    )]
    pub fn new() -> SystemClock {
        SystemClock {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clocks"
    )]
    fn wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        }
    }
}

/// A clock that stands still until it is told to move. Share it in an `Arc`.
#[derive(Debug, Default)]
pub struct MockClock {
    monotonic_ms: AtomicU64,
    wall_ms: AtomicI64,
}

impl MockClock {
    /// A clock whose wall time is `wall_ms` and whose monotonic time is zero.
    pub fn new(wall_ms: i64) -> MockClock {
        MockClock {
            monotonic_ms: AtomicU64::new(0),
            wall_ms: AtomicI64::new(wall_ms),
        }
    }

    /// Moves both times forward.
    pub fn advance_ms(&self, ms: u64) {
        self.monotonic_ms.fetch_add(ms, Ordering::SeqCst);
        self.wall_ms
            .fetch_add(i64::try_from(ms).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets the wall time only, as when an administrator sets the machine's clock.
    pub fn set_wall_ms(&self, wall_ms: i64) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }
}

impl Clock for MockClock {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(Ordering::SeqCst))
    }

    fn wall_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mock_clock_moves_only_when_told() {
        let clock = MockClock::new(1_000);
        assert_eq!((clock.monotonic_ms(), clock.wall_ms()), (0, 1_000));
        clock.advance_ms(5);
        clock.set_wall_ms(10);
        assert_eq!((clock.monotonic_ms(), clock.wall_ms()), (5, 10));
        assert_eq!(clock.monotonic(), Duration::from_millis(5));
    }

    #[test]
    fn the_system_clock_is_in_this_century() {
        let clock = SystemClock::new();
        assert!(clock.wall_ms() > 1_700_000_000_000);
        assert!(clock.monotonic() <= clock.monotonic());
    }
}
