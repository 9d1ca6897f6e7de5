//! A sum that knows whether it is whole.

use std::ops::AddAssign;

/// A sum over parts of which some may be unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total<T> {
    sum: T,
    known: usize,
    of: usize,
}

impl<T: Copy + Default + AddAssign> Total<T> {
    pub fn new() -> Self {
        Self {
            sum: T::default(),
            known: 0,
            of: 0,
        }
    }

    /// Adds one part; `None` makes the sum partial.
    pub fn add(&mut self, part: Option<T>) {
        self.of += 1;
        if let Some(part) = part {
            self.known += 1;
            self.sum += part;
        }
    }

    /// Adds all parts of another sum.
    pub fn merge(&mut self, other: Self) {
        self.sum += other.sum;
        self.known += other.known;
        self.of += other.of;
    }

    /// The total, only when every part is known. The total of no parts is zero.
    pub fn complete(&self) -> Option<T> {
        (self.known == self.of).then_some(self.sum)
    }

    /// The sum of the known parts, for places that say beside it how many are missing; `None`
    /// when nothing at all is known.
    pub fn partial(&self) -> Option<T> {
        (self.known > 0 || self.of == 0).then_some(self.sum)
    }

    pub fn n_known(&self) -> usize {
        self.known
    }

    pub fn n_parts(&self) -> usize {
        self.of
    }

    pub fn n_missing(&self) -> usize {
        self.of - self.known
    }
}

impl<T: Copy + Default + AddAssign> FromIterator<Option<T>> for Total<T> {
    fn from_iter<I: IntoIterator<Item = Option<T>>>(parts: I) -> Self {
        let mut total = Self::new();
        for part in parts {
            total.add(part);
        }
        total
    }
}
