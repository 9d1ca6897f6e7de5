//! The newest messages that are wanted, read backwards in windows.
//!
//! A window of each partition is read, oldest first; where that was not enough, because a filter,
//! markers or compaction left too few, the window before it is read, a larger one. A partition is
//! done when it has no more, or when what is left of it is older than what is shown.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::model::{Message, ReadReport, ReadStop, Topic};

use super::super::wire::ClusterClient;
use super::merge::Merge;
use super::scan::{Choice, Counts, Scan};
use super::{ReadLimits, report};

/// Each window is so many times as long as the one after it.
const GROWTH: i64 = 4;

/// A filter leaves little: its first window is longer.
const FILTERED_WINDOW: i64 = 1_000;

pub(super) struct Back<'a> {
    client: &'a ClusterClient,
    topic: &'a Arc<Topic>,
    choice: &'a Choice,
    limits: ReadLimits,
    deadline_ms: i64,
    counts: Counts,
    failed: BTreeMap<i32, String>,
    /// What was found, of each partition in its order.
    found: BTreeMap<i32, Vec<Message>>,
}

impl<'a> Back<'a> {
    pub(super) fn new(
        client: &'a ClusterClient,
        topic: &'a Arc<Topic>,
        choice: &'a Choice,
        limits: ReadLimits,
        deadline_ms: i64,
    ) -> Self {
        Self {
            client,
            topic,
            choice,
            limits,
            deadline_ms,
            counts: Counts::default(),
            failed: BTreeMap::new(),
            found: BTreeMap::new(),
        }
    }

    /// Reads back from the ends of `ranges`, to the `starts` at most.
    pub(super) async fn read(
        mut self,
        starts: BTreeMap<i32, i64>,
        ranges: BTreeMap<i32, Range<i64>>,
    ) -> (Vec<Message>, ReadReport) {
        let ends: BTreeMap<i32, i64> = ranges.iter().map(|(id, r)| (*id, r.end)).collect();
        let mut lows = ends.clone();
        // At least one: a window of nothing would never come to the start.
        let mut window = i64::try_from(self.limits.messages.max(1)).unwrap_or(i64::MAX);
        if self.choice.filter.is_some() {
            window = window.max(FILTERED_WINDOW);
        }
        let mut open: Vec<i32> = lows.keys().copied().collect();
        let stop = loop {
            open.retain(|id| lows[id] > starts[id] && !self.failed.contains_key(id));
            if open.is_empty() {
                break ReadStop::End;
            }
            let part: BTreeMap<i32, Range<i64>> = open
                .iter()
                .map(|id| {
                    let low = lows[id].saturating_sub(window).max(starts[id]);
                    (*id, low..lows[id])
                })
                .collect();
            let is_first = lows == ends;
            let (stop, oldest) = self.window(&part, is_first).await;
            if stop != ReadStop::End {
                break stop;
            }
            for (id, range) in &part {
                lows.insert(*id, range.start);
            }
            if let Some(cut) = self.cut() {
                // Of a partition without a record in its window nothing is known yet.
                open.retain(|id| oldest.get(id).is_none_or(|oldest| *oldest > cut));
            }
            window = window.saturating_mul(GROWTH);
        };
        let n_found: usize = self.found.values().map(Vec::len).sum();
        let is_all = lows.iter().all(|(id, low)| *low <= starts[id]);
        let stop = match stop {
            ReadStop::End | ReadStop::MessageLimit if is_all && n_found <= self.limits.messages => {
                ReadStop::End
            }
            ReadStop::End => ReadStop::MessageLimit,
            stop => stop,
        };
        let messages = self.newest();
        (messages, report(&self.counts, stop, ends, self.failed))
    }

    /// One window; only a whole one counts, because it would leave a hole before the next. The
    /// first one is better than nothing.
    async fn window(
        &mut self,
        part: &BTreeMap<i32, Range<i64>>,
        is_first: bool,
    ) -> (ReadStop, BTreeMap<i32, i64>) {
        let mut scan = Scan::new(self.client, self.topic, part, self.choice.clone());
        let mut messages = Vec::new();
        let bytes_max = self.limits.bytes.saturating_sub(self.counts.bytes);
        let stop = scan
            .run(&mut messages, usize::MAX, bytes_max, self.deadline_ms)
            .await;
        self.counts.bytes += scan.counts.bytes;
        self.failed.append(&mut scan.failed);
        if stop == ReadStop::End || is_first {
            self.counts.scanned += scan.counts.scanned;
            self.counts.aborted += scan.counts.aborted;
            self.counts.control += scan.counts.control;
            self.counts.missing += scan.counts.missing;
            let mut found: BTreeMap<i32, Vec<Message>> = BTreeMap::new();
            for message in messages {
                found.entry(message.partition).or_default().push(message);
            }
            for (id, mut older) in found {
                let newer = self.found.entry(id).or_default();
                older.append(newer);
                // More than are shown in all are never needed of one.
                older.drain(..older.len().saturating_sub(self.limits.messages));
                *newer = older;
            }
        }
        (stop, scan.oldest)
    }

    /// The timestamp of the oldest message that would be shown, once there are enough.
    fn cut(&self) -> Option<i64> {
        let mut times: Vec<i64> = self
            .found
            .values()
            .flatten()
            .map(|message| message.timestamp_ms)
            .collect();
        let at = times.len().checked_sub(self.limits.messages.max(1))?;
        times.sort_unstable();
        times.get(at).copied()
    }

    fn newest(&mut self) -> Vec<Message> {
        let found = std::mem::take(&mut self.found);
        let mut merge = Merge::new(found.keys().map(|id| (*id, i64::MAX)));
        for (id, messages) in found {
            merge.push(id, messages, i64::MAX);
        }
        let mut merged: Vec<Message> = std::iter::from_fn(|| merge.next()).collect();
        merged.drain(..merged.len().saturating_sub(self.limits.messages));
        merged
    }
}
