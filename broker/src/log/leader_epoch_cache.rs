//! Where each leader epoch started in this log, and its file.
//!
//! `leader-epoch-checkpoint` is text: `0`, the number of entries, then `<epoch> <start offset>` per line.
//! Epochs and start offsets ascend strictly. The epochs answer OffsetForLeaderEpoch and find where a
//! follower's log parts from the leader's.
//!
//! Invariant: before a batch of a new epoch is appended, the epoch is on disk ([`LeaderEpochs::persist`]).
//! An epoch without records may be lost in a crash; opening the log would drop it anyway.
//! Kafka: `LeaderEpochFileCache`, `LeaderEpochCheckpointFile`.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use super::{checkpoint, fsx};

/// Name of the file in a partition folder.
pub const FILE: &str = "leader-epoch-checkpoint";

/// An epoch and the first offset written in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEntry {
    pub epoch: i32,
    pub start_offset: i64,
}

/// The epochs of one log. Pure; ascending by both fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EpochCache(Vec<EpochEntry>);

impl EpochCache {
    /// Adds an epoch. Entries that contradict the newer one are dropped. Returns whether anything changed.
    pub fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        let needed = epoch >= 0
            && start_offset >= 0
            && self
                .0
                .last()
                .is_none_or(|last| last.epoch != epoch || start_offset < last.start_offset);
        if needed {
            let keep = self
                .0
                .iter()
                .rposition(|e| e.epoch < epoch && e.start_offset < start_offset)
                .map_or(0, |last| last + 1);
            self.0.truncate(keep);
            self.0.push(EpochEntry {
                epoch,
                start_offset,
            });
        }
        needed
    }

    /// See [`super::Log::end_offset_for_epoch`].
    pub fn end_offset_for(&self, epoch: i32, log_end_offset: i64) -> Option<(i32, i64)> {
        if epoch < 0 {
            return None;
        }
        if self.0.last().is_some_and(|last| last.epoch == epoch) {
            return Some((epoch, log_end_offset));
        }
        let higher = self.0.partition_point(|e| e.epoch <= epoch);
        let end = self.0.get(higher)?.start_offset;
        let floor = higher
            .checked_sub(1)
            .map_or(epoch, |index| self.0[index].epoch);
        Some((floor, end))
    }

    pub fn epoch_for_offset(&self, offset: i64) -> Option<i32> {
        let after = self.0.partition_point(|e| e.start_offset <= offset);
        after.checked_sub(1).map(|index| self.0[index].epoch)
    }

    pub fn latest(&self) -> Option<EpochEntry> {
        self.0.last().copied()
    }

    /// Drops epochs that start at or behind `end_offset`. Returns whether anything changed.
    pub fn truncate_from_end(&mut self, end_offset: i64) -> bool {
        let keep = self.0.partition_point(|e| e.start_offset < end_offset);
        let changed = keep < self.0.len();
        self.0.truncate(keep);
        changed
    }

    /// Drops epochs that ended below `start_offset`; the one that spans it begins there now. Returns whether
    /// anything changed.
    pub fn truncate_from_start(&mut self, start_offset: i64) -> bool {
        let covered = self.0.partition_point(|e| e.start_offset <= start_offset);
        let Some(spanning) = covered.checked_sub(1) else {
            return false;
        };
        let changed = spanning > 0 || self.0[spanning].start_offset != start_offset;
        self.0.drain(..spanning);
        self.0[0].start_offset = start_offset;
        changed
    }
}

/// The epochs of one log together with their file.
#[derive(Debug, Default)]
pub(crate) struct LeaderEpochs {
    cache: RwLock<EpochCache>,
    dirty: AtomicBool,
    /// Held while the file is written, so that the newest state is written last.
    file: Mutex<()>,
}

impl LeaderEpochs {
    /// Reads the file; a missing or empty one has no entries.
    pub fn load(dir: &Path) -> io::Result<Self> {
        let mut cache = EpochCache::default();
        let text = match std::fs::read_to_string(dir.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        for line in checkpoint::entries(&text)? {
            let entry = line
                .split_once(' ')
                .and_then(|(epoch, offset)| Some((epoch.parse().ok()?, offset.parse().ok()?)))
                .ok_or_else(|| checkpoint::malformed(line))?;
            cache.assign(entry.0, entry.1);
        }
        Ok(Self {
            cache: RwLock::new(cache),
            ..Self::default()
        })
    }

    pub fn latest(&self) -> Option<EpochEntry> {
        self.cache.read().latest()
    }

    pub fn earliest(&self) -> Option<EpochEntry> {
        self.cache.read().0.first().copied()
    }

    pub fn entries(&self) -> Vec<EpochEntry> {
        self.cache.read().0.clone()
    }

    pub fn epoch_for_offset(&self, offset: i64) -> Option<i32> {
        self.cache.read().epoch_for_offset(offset)
    }

    pub fn end_offset_for(&self, epoch: i32, log_end_offset: i64) -> Option<(i32, i64)> {
        self.cache.read().end_offset_for(epoch, log_end_offset)
    }

    pub fn assign(&self, epoch: i32, start_offset: i64) {
        // The common case, a batch of the current epoch, takes no exclusive lock.
        let known = self
            .latest()
            .is_some_and(|e| e.epoch == epoch && e.start_offset <= start_offset);
        if !known {
            self.change(|cache| cache.assign(epoch, start_offset));
        }
    }

    pub fn truncate_from_end(&self, end_offset: i64) {
        self.change(|cache| cache.truncate_from_end(end_offset));
    }

    pub fn truncate_from_start(&self, start_offset: i64) {
        self.change(|cache| cache.truncate_from_start(start_offset));
    }

    pub fn clear(&self) {
        self.change(|cache| {
            cache.0.clear();
            true
        });
    }

    fn change(&self, edit: impl FnOnce(&mut EpochCache) -> bool) {
        if edit(&mut self.cache.write()) {
            self.dirty.store(true, Ordering::Release);
        }
    }

    /// Whether the epochs have changed since the file was written.
    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// Writes the file durably if the epochs have changed since it was written.
    pub fn persist(&self, dir: &Path) -> io::Result<()> {
        let _writing = self.file.lock();
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let lines: Vec<String> = self
            .entries()
            .iter()
            .map(|e| format!("{} {}", e.epoch, e.start_offset))
            .collect();
        let written = fsx::write_atomically(&dir.join(FILE), checkpoint::text(&lines).as_bytes());
        if written.is_err() {
            self.dirty.store(true, Ordering::Release);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(i32, i64)]) -> EpochCache {
        EpochCache(
            entries
                .iter()
                .map(|&(epoch, start_offset)| EpochEntry {
                    epoch,
                    start_offset,
                })
                .collect(),
        )
    }

    #[test]
    fn a_newer_epoch_drops_the_entries_that_contradict_it() {
        type Entries = &'static [(i32, i64)];
        let cases: [(Entries, (i32, i64), Entries); 8] = [
            (&[], (0, 0), &[(0, 0)]),
            (&[(0, 0)], (1, 10), &[(0, 0), (1, 10)]),
            (&[(0, 0), (1, 10)], (1, 20), &[(0, 0), (1, 10)]),
            (&[(0, 0), (1, 10)], (1, 5), &[(0, 0), (1, 5)]),
            (&[(0, 0), (1, 10)], (2, 10), &[(0, 0), (2, 10)]),
            (&[(0, 0), (3, 10)], (2, 12), &[(0, 0), (2, 12)]),
            (&[(1, 5), (3, 10)], (4, 2), &[(4, 2)]),
            (&[(1, 5)], (-1, 7), &[(1, 5)]),
        ];
        for (before, (epoch, offset), after) in cases {
            let mut epochs = cache(before);
            let changed = epochs.assign(epoch, offset);
            assert_eq!(epochs, cache(after), "{before:?} + ({epoch}, {offset})");
            assert_eq!(changed, before != after);
        }
    }

    #[test]
    fn the_end_of_an_epoch_is_the_start_of_the_next_one() {
        let epochs = cache(&[(2, 0), (4, 10), (7, 30)]);
        let cases = [
            (-1, None),
            (0, Some((0, 0))),
            (2, Some((2, 10))),
            (3, Some((2, 10))),
            (4, Some((4, 30))),
            (6, Some((4, 30))),
            (7, Some((7, 99))),
            (8, None),
        ];
        for (epoch, expected) in cases {
            assert_eq!(epochs.end_offset_for(epoch, 99), expected, "epoch {epoch}");
        }
        assert_eq!(cache(&[]).end_offset_for(0, 5), None);
        for (offset, epoch) in [(0, 2), (9, 2), (10, 4), (29, 4), (30, 7), (1000, 7)] {
            assert_eq!(epochs.epoch_for_offset(offset), Some(epoch));
        }
        assert_eq!(cache(&[(2, 5)]).epoch_for_offset(4), None);
    }

    #[test]
    fn truncation_cuts_either_end() {
        let all: &[(i32, i64)] = &[(2, 0), (4, 10), (7, 30)];
        let from_end: [(i64, &[(i32, i64)]); 5] = [
            (31, all),
            (30, &all[..2]),
            (11, &all[..2]),
            (10, &all[..1]),
            (0, &[]),
        ];
        for (end, kept) in from_end {
            let mut epochs = cache(all);
            assert_eq!(epochs.truncate_from_end(end), kept != all);
            assert_eq!(epochs, cache(kept), "end {end}");
        }
        let from_start: [(i64, &[(i32, i64)]); 5] = [
            (-1, all),
            (0, all),
            (5, &[(2, 5), (4, 10), (7, 30)]),
            (10, &[(4, 10), (7, 30)]),
            (40, &[(7, 40)]),
        ];
        for (start, kept) in from_start {
            let mut epochs = cache(all);
            assert_eq!(epochs.truncate_from_start(start), kept != all);
            assert_eq!(epochs, cache(kept), "start {start}");
        }
    }

    #[test]
    fn the_file_is_kafkas_text_and_is_written_only_when_something_changed() {
        let dir = tempfile::tempdir().unwrap();
        let epochs = LeaderEpochs::load(dir.path()).unwrap();
        epochs.persist(dir.path()).unwrap();
        assert!(!dir.path().join(FILE).exists());
        epochs.assign(0, 0);
        epochs.assign(3, 42);
        epochs.persist(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, "0\n2\n0 0\n3 42\n");
        assert_eq!(
            LeaderEpochs::load(dir.path()).unwrap().entries(),
            epochs.entries()
        );
        for broken in ["1\n0\n", "0\n2\n0 0\n", "0\n1\n0\n", "0\nx\n"] {
            std::fs::write(dir.path().join(FILE), broken).unwrap();
            assert!(LeaderEpochs::load(dir.path()).is_err(), "{broken:?}");
        }
        std::fs::write(dir.path().join(FILE), "").unwrap();
        assert!(LeaderEpochs::load(dir.path()).unwrap().entries().is_empty());
    }
}
