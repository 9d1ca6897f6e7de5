//! Merges the records of several partitions by timestamp, as far as it is known which comes next.

use std::collections::{BTreeMap, VecDeque};

use crate::model::Message;

/// One partition's records that wait for their turn.
struct Lane {
    waiting: VecDeque<Message>,
    /// Offsets from here on are not read.
    end: i64,
    is_open: bool,
}

/// A merge under way.
pub(super) struct Merge {
    lanes: BTreeMap<i32, Lane>,
}

impl Merge {
    /// Partitions with the offset at which each ends.
    pub(super) fn new(partitions: impl Iterator<Item = (i32, i64)>) -> Self {
        let lane = |end| Lane {
            waiting: VecDeque::new(),
            end,
            is_open: true,
        };
        Self {
            lanes: partitions.map(|(id, end)| (id, lane(end))).collect(),
        }
    }

    /// Takes in what was read; `next_offset` is the offset after it.
    pub(super) fn push(&mut self, partition: i32, messages: Vec<Message>, next_offset: i64) {
        if let Some(lane) = self.lanes.get_mut(&partition) {
            let end = lane.end;
            lane.waiting
                .extend(messages.into_iter().filter(|message| message.offset < end));
            lane.is_open &= next_offset < end;
        }
    }

    /// No more will come of a partition.
    pub(super) fn close(&mut self, partition: i32) {
        if let Some(lane) = self.lanes.get_mut(&partition) {
            lane.is_open = false;
        }
    }

    /// Whether more may come of a partition.
    pub(super) fn is_open(&self, partition: i32) -> bool {
        self.lanes.get(&partition).is_some_and(|lane| lane.is_open)
    }

    /// Whether the merge can't go on without more of this partition.
    pub(super) fn is_wanting(&self, partition: i32) -> bool {
        self.lanes
            .get(&partition)
            .is_some_and(|lane| lane.is_open && lane.waiting.is_empty())
    }

    /// Nothing is to be read of these.
    pub(super) fn without_empty(mut self, partitions: impl Iterator<Item = i32>) -> Self {
        partitions.for_each(|id| self.close(id));
        self
    }

    /// Nothing waits and nothing will come.
    pub(super) fn is_done(&self) -> bool {
        let is_done = |lane: &Lane| lane.waiting.is_empty() && !lane.is_open;
        self.lanes.values().all(is_done)
    }

    /// The offset of the first record of a partition that waits.
    pub(super) fn front(&self, partition: i32) -> Option<i64> {
        let lane = self.lanes.get(&partition)?;
        lane.waiting.front().map(|message| message.offset)
    }

    /// The next record, unless a partition must be read first.
    pub(super) fn next_ready(&mut self) -> Option<Message> {
        let wanting = |lane: &Lane| lane.is_open && lane.waiting.is_empty();
        match self.lanes.values().any(wanting) {
            true => None,
            false => self.next(),
        }
    }

    /// The oldest of the first records of all partitions; equal ones by partition.
    pub(super) fn next(&mut self) -> Option<Message> {
        let first = |lane: &Lane| lane.waiting.front().map(|message| message.timestamp_ms);
        let oldest = self
            .lanes
            .iter()
            .filter_map(|(id, lane)| Some((first(lane)?, *id)))
            .min();
        let (_, id) = oldest?;
        self.lanes.get_mut(&id)?.waiting.pop_front()
    }
}
