//! Answers that were seen before: they are known by their bytes and not decoded again.
//!
//! A cluster at rest gives the same answers to the same questions, a large one in megabytes, every
//! few seconds. What was made of them is kept as it is; only that it is true still is new.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use kafka_shared::client::Undecoded;
use parking_lot::Mutex;

use crate::model::Fault;

/// A number that is another one where the bytes are others; who wants to deceive could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64);

/// Both are odd and without a pattern.
const FACTORS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];

impl Digest {
    pub(super) const NOTHING: Self = Self(0x5851_f42d_4c95_7f2d);

    /// Of this and what follows it.
    pub(super) fn and(self, bytes: &[u8]) -> Self {
        let mut state = self.0 ^ bytes.len() as u64;
        let (blocks, rest) = bytes.as_chunks::<16>();
        for block in blocks {
            state = fold(state, u128::from_le_bytes(*block));
        }
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        Self(fold(state, u128::from_le_bytes(last)))
    }

    pub(super) fn and_number(self, number: u64) -> Self {
        self.and(&number.to_le_bytes())
    }

    /// Of an answer and who gave it; `None` where there is none.
    pub(super) fn and_answer<B>(
        self,
        node: i32,
        answer: &Result<Undecoded<B>, Fault>,
    ) -> Option<Self>
    where
        B: kafka_shared::protocol::Response,
    {
        let answer = answer.as_ref().ok()?;
        Some(self.and(&node.to_le_bytes()).and(answer.bytes()))
    }
}

/// Both halves, mixed with what was before them by a multiplication whose halves are put together.
fn fold(state: u64, block: u128) -> u64 {
    let (low, high) = (block as u64, (block >> 64) as u64);
    let product = u128::from(low ^ state ^ FACTORS[0]) * u128::from(high ^ FACTORS[1]);
    (product as u64) ^ ((product >> 64) as u64) ^ state.rotate_left(29)
}

/// What was made of the last answers to a question.
#[derive(Debug)]
pub(crate) struct Seen<T>(Mutex<Option<(Digest, Arc<T>)>>);

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Seen<T> {
    /// What was made of answers with this digest, if those were the last ones.
    pub(super) fn of(&self, digest: Option<Digest>) -> Option<Arc<T>> {
        let kept = self.0.lock();
        let (of, value) = kept.as_ref()?;
        (Some(*of) == digest).then(|| Arc::clone(value))
    }

    /// What was made of the last answers.
    pub(super) fn last(&self) -> Option<Arc<T>> {
        self.0.lock().as_ref().map(|(_, value)| Arc::clone(value))
    }

    /// Keeps what was made; of answers that were not whole nothing is kept.
    pub(super) fn keep(&self, digest: Option<Digest>, value: &Arc<T>) {
        *self.0.lock() = digest.map(|digest| (digest, Arc::clone(value)));
    }
}

/// What was made of the last answers to each of many questions that are asked in rounds. A question
/// that was not asked for a whole round is forgotten.
#[derive(Debug)]
pub(crate) struct SeenEach<K, T>(Mutex<Rounds<K, T>>);

#[derive(Debug)]
struct Rounds<K, T> {
    now: HashMap<K, (Digest, Arc<T>)>,
    before: HashMap<K, (Digest, Arc<T>)>,
}

impl<K, T> Default for SeenEach<K, T> {
    fn default() -> Self {
        Self(Mutex::new(Rounds {
            now: HashMap::new(),
            before: HashMap::new(),
        }))
    }
}

impl<K: Eq + Hash, T> SeenEach<K, T> {
    pub(super) fn begin_round(&self) {
        let mut rounds = self.0.lock();
        rounds.before = std::mem::take(&mut rounds.now);
    }

    /// As [`Seen::of`], and keeps it for the next round.
    pub(super) fn of(&self, question: K, digest: Option<Digest>) -> Option<Arc<T>> {
        let rounds = &mut *self.0.lock();
        let kept = match rounds.now.get(&question) {
            Some(kept) => kept,
            None => {
                let kept = rounds.before.remove(&question)?;
                rounds.now.entry(question).or_insert(kept)
            }
        };
        (Some(kept.0) == digest).then(|| Arc::clone(&kept.1))
    }

    /// As [`Seen::keep`].
    pub(super) fn keep(&self, question: K, digest: Option<Digest>, value: &Arc<T>) {
        let now = &mut self.0.lock().now;
        match digest {
            Some(digest) => now.insert(question, (digest, Arc::clone(value))),
            None => now.remove(&question),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn whatever_differs_in_a_bit_or_in_length_has_another_digest() {
        let mut digests = HashSet::new();
        let mut n = 0;
        for len in 0..70 {
            let bytes = vec![0u8; len];
            digests.insert(Digest::NOTHING.and(&bytes).0);
            n += 1;
            for bit in 0..len * 8 {
                let mut other = bytes.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                digests.insert(Digest::NOTHING.and(&other).0);
                n += 1;
            }
        }
        assert_eq!(digests.len(), n);
        let (a, b) = (Digest::NOTHING.and(b"a"), Digest::NOTHING.and(b"b"));
        assert_ne!(a.and(b"b"), b.and(b"a"), "in another order");
    }

    #[test]
    fn only_the_last_answers_are_known_and_parts_of_answers_are_not() {
        let (seen, value) = (Seen::default(), Arc::new(7));
        let (a, b) = (Digest::NOTHING.and(b"a"), Digest::NOTHING.and(b"b"));
        assert!(seen.of(Some(a)).is_none() && seen.of(None).is_none());
        seen.keep(Some(a), &value);
        assert!(
            seen.of(Some(a))
                .is_some_and(|found| Arc::ptr_eq(&found, &value))
        );
        assert!(seen.of(Some(b)).is_none() && seen.of(None).is_none());
        seen.keep(None, &value);
        assert!(seen.of(Some(a)).is_none() && seen.last().is_none());
    }
    #[test]
    fn a_question_is_forgotten_that_was_not_asked_for_a_round() {
        let (seen, value) = (SeenEach::default(), Arc::new(7));
        let (a, b) = (Digest::NOTHING.and(b"a"), Digest::NOTHING.and(b"b"));
        seen.keep("one", Some(a), &value);
        seen.keep("other", Some(a), &value);
        seen.begin_round();
        assert!(seen.of("one", Some(b)).is_none() && seen.of("no", Some(a)).is_none());
        seen.begin_round();
        assert!(seen.of("one", Some(a)).is_some(), "it was asked");
        assert!(seen.of("other", Some(a)).is_none(), "it was not");
        seen.keep("one", None, &value);
        assert!(seen.of("one", Some(a)).is_none(), "half an answer");
    }
}
