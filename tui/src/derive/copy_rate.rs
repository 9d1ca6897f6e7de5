//! How fast replicas are copied, and how long that takes still: from sizes that were read one after
//! the other.

use std::collections::{HashMap, VecDeque};

use crate::model::TopicPartition;

use super::MoveProgress;

/// Reads that are remembered: what is longer ago says little of now.
const READS_MAX: usize = 12;

/// What a read said of one partition: bytes that are there, and bytes that are to be there.
type Copied = HashMap<TopicPartition, (i64, i64)>;

/// The newest reads.
#[derive(Clone, Debug, Default)]
pub struct CopyRate {
    reads: VecDeque<(i64, Copied)>,
}

impl CopyRate {
    /// Takes in what was read at that time; the same time again is no read.
    pub fn note(&mut self, at_ms: i64, moves: &[MoveProgress]) {
        if self.reads.back().is_some_and(|(last, _)| *last >= at_ms) {
            return;
        }
        let known = |one: &MoveProgress| {
            let bytes = (one.bytes_done.complete()?, one.bytes_total.complete()?);
            Some((one.partition.clone(), bytes))
        };
        let copied = moves.iter().filter_map(known).collect();
        self.reads.push_back((at_ms, copied));
        while self.reads.len() > READS_MAX {
            self.reads.pop_front();
        }
    }

    /// Over the reads that are remembered; `None` before two of them saw anything move.
    pub fn bytes_per_second(&self) -> Option<f64> {
        let pairs = self.reads.iter().zip(self.reads.iter().skip(1));
        let (mut bytes, mut ms) = (0, 0);
        for ((then, before), (at, now)) in pairs {
            // A pause between two moves is no time of copying.
            if !before.is_empty() || !now.is_empty() {
                bytes += between(before, now);
                ms += at - then;
            }
        }
        (ms > 0).then(|| bytes as f64 * 1_000.0 / ms as f64)
    }

    /// How long so many bytes take at this rate; `None` while nothing is copied.
    pub fn left_ms(&self, bytes: i64) -> Option<i64> {
        let rate = self.bytes_per_second().filter(|rate| *rate > 0.0)?;
        Some((bytes.max(0) as f64 * 1_000.0 / rate) as i64)
    }
}

/// What was copied between two reads. What is no longer moved has arrived.
fn between(before: &Copied, now: &Copied) -> i64 {
    let of_known = before.iter().map(|(key, (done, total))| {
        let then = now.get(key).map_or(*total, |(done, _)| *done);
        (then - done).max(0)
    });
    let new = now.iter().filter(|(key, _)| !before.contains_key(key));
    of_known.sum::<i64>() + new.map(|(_, (done, _))| *done).sum::<i64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OngoingReassignment;

    fn one(partition: i32, done: i64, total: i64) -> MoveProgress {
        MoveProgress {
            partition: TopicPartition::new("t", partition),
            ongoing: OngoingReassignment {
                replicas: vec![1, 2],
                adding: vec![2],
                removing: vec![1],
            },
            n_added: 0,
            bytes_done: [Some(done)].into_iter().collect(),
            bytes_total: [Some(total)].into_iter().collect(),
            waits_for: Vec::new(),
            is_endless: false,
            is_leaderless: false,
        }
    }

    #[test]
    fn what_arrived_and_what_began_counts_too() {
        let mut rate = CopyRate::default();
        assert_eq!(rate.bytes_per_second(), None);
        rate.note(1_000, &[one(0, 0, 500), one(1, 0, 800)]);
        assert_eq!((rate.bytes_per_second(), rate.left_ms(1)), (None, None));
        rate.note(2_000, &[one(0, 100, 500), one(1, 200, 800)]);
        rate.note(2_000, &[one(0, 400, 500)]);
        assert_eq!(rate.bytes_per_second(), Some(300.0), "the same read again");
        // The first one arrives, another one begins, and one was cut in the meantime.
        rate.note(4_000, &[one(1, 150, 800), one(2, 50, 90)]);
        assert_eq!(rate.bytes_per_second(), Some(750.0 / 3.0));
        assert_eq!(rate.left_ms(1_000), Some(4_000));
        // A long pause does not make it slower.
        rate.note(5_000, &[]);
        let before = rate.bytes_per_second();
        rate.note(60_000, &[]);
        assert_eq!(rate.bytes_per_second(), before);
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let mut rate = CopyRate::default();
        for at in 0..40 {
            let done = if at < 20 { 0 } else { (at - 20) * 10 };
            rate.note(at * 1_000, &[one(0, done, 10_000)]);
        }
        assert_eq!(rate.bytes_per_second(), Some(10.0));
        assert!(rate.reads.len() <= READS_MAX);
    }
}
