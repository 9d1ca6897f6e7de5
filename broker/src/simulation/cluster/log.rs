//! A partition's log on a disk that can fail.
//!
//! A killed process leaves what it has written: the page cache stays. A power failure leaves what
//! was flushed, and of the rest a part from the front. What was truncated may come back with it, as
//! long as nothing has made the truncation durable: the file of the leader epochs is synced before
//! the first batch of a new epoch and after a truncation that changes it, and a file system keeps
//! the order of such changes. Checkpoints (epochs, high watermark) are durable when written, and as
//! old as they are.

use crate::log::leader_epoch_cache::EpochCache;
use crate::replica::fetcher::state::LogPosition;
use crate::simulation::Rng;

/// A record of the partition, which is a batch of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) epoch: i32,
    pub(super) value: u64,
    /// Tells all that the log holds up to this record from anything else.
    pub(super) chain: u64,
}

/// What a new process would find beside the records.
#[derive(Debug, Clone, Default)]
struct Disk {
    /// The records below are flushed. Exclusive.
    flushed_offset: i64,
    /// The records before a truncation that is not durable, and how many of them are flushed.
    before_truncation: Option<(Vec<Entry>, usize)>,
    epochs: EpochCache,
    high_watermark: i64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    start_offset: i64,
    /// Of what was before the start.
    start_chain: u64,
    entries: Vec<Entry>,
    epochs: EpochCache,
    high_watermark: i64,
    disk: Disk,
}

fn chain(before: u64, offset: i64, epoch: i32, value: u64) -> u64 {
    let mut mixed = before;
    for part in [
        offset.unsigned_abs(),
        u64::from(epoch.unsigned_abs()),
        value,
    ] {
        mixed = (mixed ^ part)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(23);
    }
    mixed
}

fn len(entries: &[Entry]) -> i64 {
    i64::try_from(entries.len()).unwrap()
}

impl Log {
    pub(super) fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// Of what was before the start.
    pub(super) fn start_chain(&self) -> u64 {
        self.start_chain
    }

    pub(super) fn end_offset(&self) -> i64 {
        self.start_offset + len(&self.entries)
    }

    pub(super) fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// The records with their offsets.
    pub(super) fn entries(&self) -> impl Iterator<Item = (i64, &Entry)> {
        (self.start_offset..).zip(&self.entries)
    }

    pub(super) fn entry(&self, offset: i64) -> Option<&Entry> {
        let place = usize::try_from(offset - self.start_offset).ok()?;
        self.entries.get(place)
    }

    /// The chain of all before the offset, if the log knows it.
    pub(super) fn chain_before(&self, offset: i64) -> Option<u64> {
        if offset == self.start_offset {
            return Some(self.start_chain);
        }
        self.entry(offset - 1).map(|entry| entry.chain)
    }

    pub(super) fn position(&self) -> LogPosition {
        LogPosition {
            log_start_offset: self.start_offset,
            high_watermark: self.high_watermark,
            log_end_offset: self.end_offset(),
            latest_epoch: self.epochs.latest().map(|entry| entry.epoch),
        }
    }

    pub(super) fn end_offset_for_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        self.epochs.end_offset_for(epoch, self.end_offset())
    }

    /// At most so many records from the offset on.
    pub(super) fn read(&self, from: i64, count: usize) -> Vec<Entry> {
        let skipped = usize::try_from(from - self.start_offset).unwrap();
        self.entries[skipped..]
            .iter()
            .take(count)
            .copied()
            .collect()
    }

    /// Notes where an epoch starts, as who begins to lead does.
    pub(super) fn start_epoch(&mut self, epoch: i32, offset: i64) {
        self.epochs.assign(epoch, offset);
    }

    pub(super) fn append(&mut self, epoch: i32, value: u64) -> Entry {
        let offset = self.end_offset();
        self.epochs.assign(epoch, offset);
        self.persist_epochs();
        let before = self.entries.last().map_or(self.start_chain, |e| e.chain);
        let entry = Entry {
            epoch,
            value,
            chain: chain(before, offset, epoch, value),
        };
        self.entries.push(entry);
        entry
    }

    fn persist_epochs(&mut self) {
        if self.disk.epochs != self.epochs {
            self.disk.epochs = self.epochs.clone();
            self.disk.before_truncation = None;
        }
    }

    /// Cuts the log, not below its start.
    pub(super) fn truncate(&mut self, offset: i64) {
        if offset >= self.end_offset() {
            self.epochs.truncate_from_end(self.end_offset());
            return;
        }
        let before = (self.entries.clone(), self.flushed_len());
        self.disk.before_truncation.get_or_insert(before);
        let kept = usize::try_from(offset - self.start_offset).unwrap();
        self.entries.truncate(kept);
        self.epochs.truncate_from_end(offset);
        self.high_watermark = self.high_watermark.min(offset);
        self.disk.flushed_offset = self.disk.flushed_offset.min(offset);
        self.persist_epochs();
    }

    /// Drops everything; the log goes on, empty, at the offset.
    pub(super) fn restart(&mut self, offset: i64, start_chain: u64) {
        *self = Self {
            start_offset: offset,
            start_chain,
            high_watermark: offset,
            disk: Disk {
                flushed_offset: offset,
                high_watermark: offset,
                ..Disk::default()
            },
            ..Self::default()
        };
    }

    /// Lets go of all records, as the leader's log starts where this one ends: what was before need
    /// not be what the leader had there. The chain is the leader's.
    pub(super) fn start_at_end(&mut self, start_chain: u64) {
        self.raise_high_watermark(self.end_offset());
        self.raise_start(self.end_offset());
        self.start_chain = start_chain;
    }

    /// An empty log goes on as the leader's does: what was before its start was deleted, so nobody
    /// can tell any more whether it was the same. The chain is the leader's.
    pub(super) fn begin_empty(&mut self, start_chain: Option<u64>) {
        if self.entries.is_empty() {
            self.start_chain = start_chain.unwrap_or(self.start_chain);
        }
    }

    /// Raises the high watermark, as far as the log goes. Returns the old one if it has moved.
    pub(super) fn raise_high_watermark(&mut self, offset: i64) -> Option<i64> {
        let new = offset.min(self.end_offset());
        let old = self.high_watermark;
        (new > old).then(|| std::mem::replace(&mut self.high_watermark, new))
    }

    /// Removes the oldest records. The start is at most the high watermark.
    pub(super) fn raise_start(&mut self, offset: i64) {
        let offset = offset.min(self.high_watermark);
        if offset <= self.start_offset {
            return;
        }
        self.flush();
        self.start_chain = self.chain_before(offset).expect("it is in the log");
        let removed = usize::try_from(offset - self.start_offset).unwrap();
        self.entries.drain(..removed);
        self.start_offset = offset;
        self.epochs.truncate_from_start(offset);
        self.persist_epochs();
    }

    fn flushed_len(&self) -> usize {
        let flushed = self.disk.flushed_offset - self.start_offset;
        usize::try_from(flushed)
            .unwrap_or(0)
            .min(self.entries.len())
    }

    pub(super) fn flush(&mut self) {
        self.disk.flushed_offset = self.end_offset();
        self.disk.before_truncation = None;
    }

    pub(super) fn checkpoint_high_watermark(&mut self) {
        self.disk.high_watermark = self.high_watermark;
    }

    /// A shutdown in order.
    pub(super) fn close(&mut self) {
        self.flush();
        self.disk.epochs = self.epochs.clone();
        self.checkpoint_high_watermark();
    }

    /// The power fails. Returns whether records are lost by it.
    pub(super) fn lose_power(&mut self, rng: &mut Rng) -> bool {
        let (mut left, flushed) = match self.disk.before_truncation.take() {
            Some(before) if rng.percent(40) => before,
            _ => (self.entries.clone(), self.flushed_len()),
        };
        left.truncate(flushed + rng.below(left.len() - flushed + 1));
        let is_lost = self.entries.len() > left.len() || !left.starts_with(&self.entries);
        self.entries = left;
        is_lost
    }

    /// What a new process makes of the disk.
    pub(super) fn open(&mut self) {
        self.epochs = self.disk.epochs.clone();
        self.epochs.truncate_from_end(self.end_offset());
        self.epochs.truncate_from_start(self.start_offset);
        self.high_watermark = self
            .disk
            .high_watermark
            .clamp(self.start_offset, self.end_offset());
        // Recovery has read all of it, which the next flush will make durable.
        self.disk.flushed_offset = self.disk.flushed_offset.min(self.end_offset());
    }
}
