//! Timers as data: which key fires when, with what event.
//!
//! A shard says what it wants ([`TimerChange`]), its task keeps the [`TimerQueue`] and comes back
//! with the event when the time has come. A key has at most one deadline; setting it again replaces
//! it. Moving a deadline later, which every heartbeat does, costs no heap operation: the old heap
//! entry finds the new deadline when it comes up and is put back.
//!
//! Kafka: coordinator-common `CoordinatorTimerImpl` (4.3).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

/// What a shard asks of its timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimerChange<K, E> {
    /// `event` is due `delay_ms` from now; replaces what was set for `key`.
    Schedule {
        /// Which timer.
        key: K,
        /// Milliseconds from now.
        delay_ms: i64,
        /// What the shard gets back when it is due.
        event: E,
    },
    /// Nothing is due for this key any more.
    Cancel(K),
}

#[derive(Debug)]
struct Deadline<E> {
    due_ms: i64,
    /// Tells the heap entries of a key apart, so that each deadline fires once.
    sequence: u64,
    event: E,
}

/// The deadlines of one shard, in milliseconds of any monotonic clock.
#[derive(Debug)]
pub struct TimerQueue<K, E> {
    deadlines: HashMap<K, Deadline<E>>,
    heap: BinaryHeap<Reverse<(i64, u64, K)>>,
    next_sequence: u64,
}

impl<K, E> Default for TimerQueue<K, E>
where
    K: Ord,
{
    fn default() -> Self {
        Self {
            deadlines: HashMap::new(),
            heap: BinaryHeap::new(),
            next_sequence: 0,
        }
    }
}

impl<K: Clone + Ord + Hash, E> TimerQueue<K, E> {
    /// Applies a change at the time `now_ms`.
    pub fn apply(&mut self, now_ms: i64, change: TimerChange<K, E>) {
        match change {
            TimerChange::Schedule {
                key,
                delay_ms,
                event,
            } => {
                self.schedule(key, now_ms.saturating_add(delay_ms.max(0)), event);
            }
            TimerChange::Cancel(key) => {
                self.deadlines.remove(&key);
                self.compact();
            }
        }
    }

    fn schedule(&mut self, key: K, due_ms: i64, event: E) {
        if let Some(deadline) = self.deadlines.get_mut(&key)
            && deadline.due_ms <= due_ms
        {
            deadline.due_ms = due_ms;
            deadline.event = event;
            return;
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.heap.push(Reverse((due_ms, sequence, key.clone())));
        self.deadlines.insert(
            key,
            Deadline {
                due_ms,
                sequence,
                event,
            },
        );
        self.compact();
    }

    /// The next key that is due at `now_ms`, taken out of the queue.
    pub fn pop_due(&mut self, now_ms: i64) -> Option<(K, E)> {
        while let Some(Reverse((due_ms, _, _))) = self.heap.peek() {
            if *due_ms > now_ms {
                return None;
            }
            let Reverse((_, sequence, key)) = self.heap.pop()?;
            let Some(deadline) = self.deadlines.get(&key) else {
                continue;
            };
            if deadline.sequence != sequence {
                continue;
            }
            if deadline.due_ms > now_ms {
                self.heap.push(Reverse((deadline.due_ms, sequence, key)));
                continue;
            }
            let deadline = self.deadlines.remove(&key)?;
            return Some((key, deadline.event));
        }
        None
    }

    /// When to look again: no key is due before. None without timers.
    pub fn next_due_ms(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse((due_ms, _, _))| *due_ms)
    }

    /// How many keys are set.
    pub fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// Whether no key is set.
    pub fn is_empty(&self) -> bool {
        self.deadlines.is_empty()
    }

    /// The deadline of a key, if it is set.
    pub fn due_ms(&self, key: &K) -> Option<i64> {
        self.deadlines.get(key).map(|deadline| deadline.due_ms)
    }

    /// All keys with their deadlines, earliest first.
    pub fn sorted(&self) -> Vec<(i64, K)> {
        let mut all: Vec<_> = self
            .deadlines
            .iter()
            .map(|(key, deadline)| (deadline.due_ms, key.clone()))
            .collect();
        all.sort();
        all
    }

    /// Drops heap entries that nobody waits for, once they outnumber the others.
    fn compact(&mut self) {
        if self.heap.len() <= 2 * self.deadlines.len() + 64 {
            return;
        }
        let deadlines = &self.deadlines;
        self.heap.retain(|Reverse((_, sequence, key))| {
            deadlines
                .get(key)
                .is_some_and(|deadline| deadline.sequence == *sequence)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(queue: &mut TimerQueue<&'static str, u32>, now: i64, key: &'static str, d: i64, e: u32) {
        queue.apply(
            now,
            TimerChange::Schedule {
                key,
                delay_ms: d,
                event: e,
            },
        );
    }

    #[test]
    fn a_key_fires_once_at_its_last_deadline() {
        let mut queue = TimerQueue::default();
        set(&mut queue, 0, "a", 10, 1);
        set(&mut queue, 5, "a", 10, 2);
        assert_eq!(queue.next_due_ms(), Some(10));
        assert_eq!(queue.pop_due(14), None);
        assert_eq!(queue.next_due_ms(), Some(15));
        assert_eq!(queue.pop_due(15), Some(("a", 2)));
        assert_eq!(queue.pop_due(100), None);
        assert!(queue.is_empty());
    }

    #[test]
    fn an_earlier_deadline_replaces_a_later_one() {
        let mut queue = TimerQueue::default();
        set(&mut queue, 0, "a", 100, 1);
        set(&mut queue, 0, "a", 10, 2);
        assert_eq!(queue.pop_due(10), Some(("a", 2)));
        assert_eq!(queue.pop_due(100), None);
    }

    #[test]
    fn a_cancelled_key_does_not_fire_and_can_be_set_again() {
        let mut queue = TimerQueue::default();
        set(&mut queue, 0, "a", 10, 1);
        queue.apply(0, TimerChange::Cancel("a"));
        set(&mut queue, 0, "a", 20, 2);
        assert_eq!(queue.pop_due(19), None);
        assert_eq!(queue.pop_due(20), Some(("a", 2)));
    }

    #[test]
    fn keys_fire_in_the_order_of_their_deadlines() {
        let mut queue = TimerQueue::default();
        for (key, delay) in [("c", 30), ("a", 10), ("b", 20)] {
            set(&mut queue, 0, key, delay, 0);
        }
        let fired: Vec<_> = std::iter::from_fn(|| queue.pop_due(30))
            .map(|(key, _)| key)
            .collect();
        assert_eq!(fired, ["a", "b", "c"]);
    }

    #[test]
    fn setting_and_cancelling_forever_takes_no_memory() {
        let mut queue = TimerQueue::default();
        for now in 0..10_000 {
            set(&mut queue, now, "a", 1_000_000, 1);
            queue.apply(now, TimerChange::Cancel("a"));
        }
        assert!(queue.heap.len() <= 64, "{}", queue.heap.len());
    }
}
