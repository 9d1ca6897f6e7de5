//! The segments of a log in order of their base offsets. Immutable: a change makes a new list.

use std::sync::Arc;

use super::segment::Segment;

/// At least one segment, ascending by base offset.
#[derive(Debug, Clone)]
pub(crate) struct Segments(Vec<Arc<Segment>>);

impl Segments {
    /// `segments` must ascend by base offset and hold at least one.
    pub fn new(segments: Vec<Arc<Segment>>) -> Self {
        assert!(!segments.is_empty(), "a log has at least one segment");
        debug_assert!(segments.is_sorted_by_key(|s| s.base_offset()));
        Self(segments)
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Segment>> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn first(&self) -> &Arc<Segment> {
        &self.0[0]
    }

    /// The segment that is written to.
    pub fn last(&self) -> &Arc<Segment> {
        &self.0[self.0.len() - 1]
    }

    /// Index of the segment that would hold `offset`.
    pub fn floor_index(&self, offset: i64) -> Option<usize> {
        self.0
            .partition_point(|segment| segment.base_offset() <= offset)
            .checked_sub(1)
    }

    /// The segments from `index` on.
    pub fn from(&self, index: usize) -> &[Arc<Segment>] {
        &self.0[index.min(self.0.len())..]
    }

    pub fn get(&self, index: usize) -> Option<&Arc<Segment>> {
        self.0.get(index)
    }

    /// The segments that may hold offsets of `[from, to)`.
    pub fn range(&self, from: i64, to: i64) -> &[Arc<Segment>] {
        let start = self.floor_index(from).unwrap_or(0);
        let end = self.0.partition_point(|segment| segment.base_offset() < to);
        &self.0[start.min(end)..end]
    }

    /// The list with another segment at its end.
    pub fn with(&self, segment: Arc<Segment>) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self::new(segments)
    }

    /// The list without its first `count` segments, which must leave one.
    pub fn without_first(&self, count: usize) -> Self {
        Self::new(self.0[count..].to_vec())
    }

    /// The list cut to its first `count` segments, at least one.
    pub fn first_n(&self, count: usize) -> Self {
        Self::new(self.0[..count].to_vec())
    }
}
