//! Requests that wait for a partition to move on: long-poll fetches, produces with acks=all,
//! deletions of records.
//!
//! A [`WaitList`] belongs to a partition. Whoever moves one of the partition's offsets makes the
//! move visible first and calls [`WaitList::check`] then; [`wait`] watches lists first and tests
//! its condition then. Sequentially consistent fences between the two halves on either side make
//! sure that at least one of them sees the other, so no wake-up is lost, and an append to a
//! partition without waiters costs one fence and one load.
//!
//! The condition runs in the thread that moved the offset, so that a fetch which waits for many
//! bytes is not scheduled once per append. Conditions must be short and must not touch wait lists.
//!
//! Bounds: a connection has one request in flight, and a request watches each of its partitions
//! once, so lists are as long as there are connections. A watch ends when its future completes or is
//! dropped, which is what happens on disconnection and shutdown.
//!
//! Kafka: `server/purgatory/DelayedOperationPurgatory.java` (4.3). Timers are tokio's: there is no
//! timer wheel, and nothing is left in a list for a reaper to collect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Tells whether a waiting request can be answered. The argument is the position, in the order
/// given to [`wait`], of the list that was checked, or `None` for the test that opens the wait.
type Condition = Box<dyn Fn(Option<usize>) -> bool + Send + Sync>;

struct Waiter {
    condition: Condition,
    is_done: AtomicBool,
    done: Notify,
}

impl Waiter {
    fn check(&self, changed: Option<usize>) -> bool {
        if self.is_done.load(Ordering::Acquire) {
            return true;
        }
        let is_done = (self.condition)(changed);
        if is_done && !self.is_done.swap(true, Ordering::AcqRel) {
            self.done.notify_one();
        }
        is_done
    }
}

/// A place in a list: the waiter, and which of the waiter's lists this one is.
struct Watch {
    waiter: Arc<Waiter>,
    position: usize,
}

/// A vector with holes, so that leaving costs no search.
#[derive(Default)]
struct Slots {
    slots: Vec<Option<Watch>>,
    free: Vec<usize>,
}

impl Slots {
    fn insert(&mut self, watch: Watch) -> usize {
        if let Some(slot) = self.free.pop() {
            self.slots[slot] = Some(watch);
            return slot;
        }
        self.slots.push(Some(watch));
        self.slots.len() - 1
    }

    fn remove(&mut self, slot: usize) {
        if self.slots[slot].take().is_some() {
            self.free.push(slot);
        }
        if self.free.len() == self.slots.len() {
            *self = Self::default();
        }
    }
}

/// The requests that wait for one partition.
#[derive(Default)]
pub struct WaitList {
    n_waiting: AtomicUsize,
    slots: Mutex<Slots>,
}

impl std::fmt::Debug for WaitList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitList")
            .field("n_waiting", &self.n_waiting)
            .finish_non_exhaustive()
    }
}

impl WaitList {
    /// Tests the conditions of everybody who waits here, and wakes those whose condition holds.
    ///
    /// To be called after a change that may satisfy a condition is visible to other threads, with
    /// no lock held that a condition takes.
    pub fn check(&self) {
        fence(Ordering::SeqCst);
        if self.n_waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        for watch in self.slots.lock().slots.iter().flatten() {
            watch.waiter.check(Some(watch.position));
        }
    }

    /// How many requests wait here.
    pub fn n_waiting(&self) -> usize {
        self.n_waiting.load(Ordering::Relaxed)
    }

    fn enter(&self, watch: Watch) -> usize {
        let slot = self.slots.lock().insert(watch);
        self.n_waiting.fetch_add(1, Ordering::SeqCst);
        slot
    }

    fn leave(&self, slot: usize) {
        self.slots.lock().remove(slot);
        self.n_waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Something that requests wait for.
pub trait Watched {
    fn wait_list(&self) -> &WaitList;
}

/// Leaves the lists when dropped.
struct Registration<L: Watched> {
    lists: Vec<(L, usize)>,
}

impl<L: Watched> Drop for Registration<L> {
    fn drop(&mut self) {
        for (list, slot) in &self.lists {
            list.wait_list().leave(*slot);
        }
    }
}

/// Waits until `condition` holds, at most for `timeout`; returns whether it held.
///
/// The condition is tested once after all of `lists` are watched, and whenever one of them is
/// checked. The wait ends early, and leaves nothing behind, when the future is dropped.
pub async fn wait<L: Watched>(
    lists: impl IntoIterator<Item = L>,
    timeout: Duration,
    condition: impl Fn(Option<usize>) -> bool + Send + Sync + 'static,
) -> bool {
    let waiter = Arc::new(Waiter {
        condition: Box::new(condition),
        is_done: AtomicBool::new(false),
        done: Notify::new(),
    });
    let mut registration = Registration { lists: Vec::new() };
    for (position, list) in lists.into_iter().enumerate() {
        let slot = list.wait_list().enter(Watch {
            waiter: Arc::clone(&waiter),
            position,
        });
        registration.lists.push((list, slot));
    }
    fence(Ordering::SeqCst);
    waiter.check(None)
        || tokio::time::timeout(timeout, waiter.done.notified())
            .await
            .is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::*;

    struct Log {
        end: AtomicI64,
        waiters: WaitList,
    }

    impl Log {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                end: AtomicI64::new(0),
                waiters: WaitList::default(),
            })
        }

        /// Weaker than what the log itself does, so that the fences are what is tested.
        fn append(&self) {
            self.end.fetch_add(1, Ordering::Relaxed);
            self.waiters.check();
        }

        fn end(&self) -> i64 {
            self.end.load(Ordering::Relaxed)
        }
    }

    struct Waiters(Arc<Log>);

    impl Watched for Waiters {
        fn wait_list(&self) -> &WaitList {
            &self.0.waiters
        }
    }

    async fn wait_for(logs: &[Arc<Log>], sum: i64, timeout: Duration) -> bool {
        let lists: Vec<Waiters> = logs.iter().map(|log| Waiters(Arc::clone(log))).collect();
        let logs = logs.to_vec();
        wait(lists, timeout, move |_| {
            logs.iter().map(|log| log.end()).sum::<i64>() >= sum
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn a_condition_that_holds_does_not_wait() {
        let log = Log::new();
        log.append();
        assert!(wait_for(&[Arc::clone(&log)], 1, Duration::ZERO).await);
        assert_eq!(log.waiters.n_waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_timeout_ends_the_wait_and_leaves_nothing() {
        let log = Log::new();
        let before = tokio::time::Instant::now();
        assert!(!wait_for(&[Arc::clone(&log)], 1, Duration::from_millis(500)).await);
        assert_eq!(before.elapsed(), Duration::from_millis(500));
        assert_eq!(log.waiters.n_waiting(), 0);
        assert!(log.waiters.slots.lock().slots.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_change_that_satisfies_the_condition_wakes() {
        let (a, b) = (Log::new(), Log::new());
        let logs = [Arc::clone(&a), Arc::clone(&b)];
        let waiting = wait_for(&logs, 3, Duration::from_secs(10));
        tokio::pin!(waiting);
        for log in [&a, &b] {
            assert!(futures_util::poll!(&mut waiting).is_pending());
            assert_eq!((a.waiters.n_waiting(), b.waiters.n_waiting()), (1, 1));
            log.append();
        }
        assert!(futures_util::poll!(&mut waiting).is_pending());
        a.append();
        assert!(waiting.await);
        assert_eq!((a.waiters.n_waiting(), b.waiters.n_waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_request_is_forgotten() {
        let log = Log::new();
        {
            let logs = [Arc::clone(&log)];
            let waiting = wait_for(&logs, 1, Duration::from_secs(10));
            tokio::pin!(waiting);
            assert!(futures_util::poll!(&mut waiting).is_pending());
            assert_eq!(log.waiters.n_waiting(), 1);
        }
        assert_eq!(log.waiters.n_waiting(), 0);
        log.append();
    }

    #[tokio::test]
    async fn the_condition_is_told_which_list_changed() {
        let (a, b) = (Log::new(), Log::new());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let lists = [Waiters(Arc::clone(&a)), Waiters(Arc::clone(&b))];
        let seen_by_condition = Arc::clone(&seen);
        let waiting = wait(lists, Duration::from_secs(10), move |changed| {
            seen_by_condition.lock().push(changed);
            seen_by_condition.lock().len() == 4
        });
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        for log in [&b, &a, &b] {
            log.append();
        }
        assert!(waiting.await);
        assert_eq!(*seen.lock(), [None, Some(1), Some(0), Some(1)]);
    }

    /// Every round, a request starts to wait for an append that happens at the same moment on
    /// another thread. A wake-up lost between the two would let the wait run into its time-out.
    #[test]
    fn no_wake_up_is_lost_between_appends_and_new_waits() {
        const ROUNDS: i64 = 5_000;
        let log = Log::new();
        let asked = Arc::new(AtomicI64::new(0));
        let (appender_log, appender_asked) = (Arc::clone(&log), Arc::clone(&asked));
        let appender = std::thread::spawn(move || {
            for round in 1..=ROUNDS {
                while appender_asked.load(Ordering::Relaxed) < round {
                    std::thread::yield_now();
                }
                appender_log.append();
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            for round in 1..=ROUNDS {
                asked.store(round, Ordering::Relaxed);
                let logs = [Arc::clone(&log)];
                assert!(
                    wait_for(&logs, round, Duration::from_secs(20)).await,
                    "round {round}"
                );
            }
        });
        appender.join().unwrap();
        assert_eq!(log.waiters.n_waiting(), 0);
    }
}
