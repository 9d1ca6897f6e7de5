//! Files of producer state, so that a restart need not read the whole log.
//!
//! `<offset>.snapshot` holds the state of everything below the offset:
//!
//! | at | size | field |
//! |----|------|-------|
//! | 0 | 2 | version, 1 |
//! | 2 | 4 | CRC-32C of all bytes from 6 on |
//! | 6 | 4 | number of entries |
//! | 10 | 46 each | producer id 8, epoch 2, last sequence 4, last offset 8, offset delta 4, timestamp 8, coordinator epoch 4, first offset of the open transaction 8 (-1 without) |
//!
//! Of the remembered batches only the last one is kept. Kafka: `ProducerStateManager`, schema
//! `ProducerSnapshot.json`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::producer_state::{BatchMetadata, ProducerStateEntry, ProducerStates};
use super::{fsx, names};

const VERSION: i16 = 1;
const HEADER: usize = 10;
const CRC_FROM: usize = 6;
const ENTRY_SIZE: usize = 46;

/// Encodes the state of all producers.
pub fn encode(states: &ProducerStates) -> Vec<u8> {
    let entries = states.iter();
    let mut bytes = Vec::with_capacity(HEADER + entries.len() * ENTRY_SIZE);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(
        u32::try_from(entries.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    for entry in entries {
        bytes.extend(entry.producer_id.to_be_bytes());
        bytes.extend(entry.producer_epoch.to_be_bytes());
        bytes.extend(entry.last_sequence().to_be_bytes());
        bytes.extend(entry.last_data_offset().to_be_bytes());
        bytes.extend(entry.last_offset_delta().to_be_bytes());
        bytes.extend(entry.last_timestamp.to_be_bytes());
        bytes.extend(entry.coordinator_epoch.to_be_bytes());
        bytes.extend(entry.current_txn_first_offset.unwrap_or(-1).to_be_bytes());
    }
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[2..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Decodes a snapshot. `None` when it is torn, damaged or of another version.
pub fn decode(bytes: &[u8]) -> Option<Vec<ProducerStateEntry>> {
    let header = bytes.first_chunk::<HEADER>()?;
    let version = i16::from_be_bytes([header[0], header[1]]);
    let crc = u32::from_be_bytes([header[2], header[3], header[4], header[5]]);
    let count = u32::from_be_bytes([header[6], header[7], header[8], header[9]]) as usize;
    let (entries, rest) = bytes[HEADER..].as_chunks::<ENTRY_SIZE>();
    let valid = version == VERSION
        && crc == crc32c::crc32c(&bytes[CRC_FROM..])
        && count == entries.len()
        && rest.is_empty();
    valid.then(|| entries.iter().map(decode_entry).collect())
}

fn decode_entry(bytes: &[u8; ENTRY_SIZE]) -> ProducerStateEntry {
    let mut at = 0;
    let mut take = |len: usize| {
        let value = bytes[at..at + len]
            .iter()
            .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        at += len;
        value as i64
    };
    let mut entry = ProducerStateEntry::new(take(8));
    let producer_epoch = take(2) as i16;
    let last_sequence = take(4) as i32;
    let last_offset = take(8);
    let offset_delta = take(4) as i32;
    let timestamp = take(8);
    entry.producer_epoch = producer_epoch;
    entry.coordinator_epoch = take(4) as i32;
    entry.last_timestamp = timestamp;
    entry.current_txn_first_offset = Some(take(8)).filter(|offset| *offset >= 0);
    if last_offset >= 0 {
        let batch = BatchMetadata {
            last_sequence,
            last_offset,
            offset_delta,
            timestamp,
        };
        entry.add_batch(producer_epoch, batch);
    }
    entry
}

/// The snapshot files of one partition folder, by offset.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    offsets: BTreeSet<i64>,
    /// The offset of the newest snapshot taken or loaded; state at or below it is not worth another one.
    last_snapshot_offset: i64,
}

impl Snapshots {
    /// Takes note of the snapshot files found in a folder.
    pub fn new(offsets: impl IntoIterator<Item = i64>) -> Self {
        Self {
            offsets: offsets.into_iter().collect(),
            last_snapshot_offset: 0,
        }
    }

    pub fn latest(&self) -> Option<i64> {
        self.offsets.last().copied()
    }

    /// The offset and content of the snapshot to write, when the state has moved on since the last one.
    pub fn prepare(&self, states: &ProducerStates) -> Option<(i64, Vec<u8>)> {
        let offset = states.map_end_offset();
        (offset > self.last_snapshot_offset).then(|| (offset, encode(states)))
    }

    /// Writes a prepared snapshot.
    pub fn write(dir: &Path, offset: i64, content: &[u8], sync: bool) -> io::Result<()> {
        fsx::write_file(&names::file(dir, offset, names::SNAPSHOT), content, sync)
    }

    /// Takes note of a snapshot that was written.
    pub fn taken(&mut self, offset: i64) {
        self.offsets.insert(offset);
        self.last_snapshot_offset = offset;
    }

    /// Writes a snapshot when the state has moved on since the last one.
    pub fn take(&mut self, dir: &Path, states: &ProducerStates, sync: bool) -> io::Result<()> {
        if let Some((offset, content)) = self.prepare(states) {
            Self::write(dir, offset, &content, sync)?;
            self.taken(offset);
        }
        Ok(())
    }

    /// Loads the newest readable snapshot into empty states; without one they start at `log_start_offset`.
    /// A damaged snapshot is removed and the one before it is tried.
    pub fn load_latest(
        &mut self,
        dir: &Path,
        states: &mut ProducerStates,
        log_start_offset: i64,
        keep: impl Fn(&ProducerStateEntry) -> bool,
    ) -> io::Result<()> {
        while let Some(offset) = self.latest() {
            let path = names::file(dir, offset, names::SNAPSHOT);
            let content = match std::fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                other => other?,
            };
            if let Some(entries) = decode(&content) {
                entries
                    .into_iter()
                    .filter(&keep)
                    .for_each(|entry| states.load(entry));
                states.set_map_end_offset(offset);
                self.last_snapshot_offset = offset;
                return Ok(());
            }
            tracing::warn!(path = %path.display(), "damaged producer snapshot removed");
            self.remove(dir, offset)?;
        }
        states.set_map_end_offset(log_start_offset);
        self.last_snapshot_offset = log_start_offset;
        Ok(())
    }

    /// Removes snapshots that lie outside `(log_start_offset, log_end_offset]`.
    pub fn retain_range(&mut self, dir: &Path, log_start: i64, log_end: i64) -> io::Result<()> {
        let outside: Vec<i64> = self
            .offsets
            .iter()
            .copied()
            .filter(|offset| *offset > log_end || *offset <= log_start)
            .collect();
        outside
            .into_iter()
            .try_for_each(|offset| self.remove(dir, offset))
    }

    /// Removes snapshots that belong to no segment, but for the newest one when it lies behind the last
    /// segment's base: that one was taken at shutdown.
    pub fn remove_strays(&mut self, dir: &Path, segment_bases: &[i64]) -> io::Result<()> {
        let last_base = segment_bases.last().copied();
        let strays: Vec<i64> = self
            .offsets
            .iter()
            .copied()
            .filter(|offset| segment_bases.binary_search(offset).is_err())
            .collect();
        let keep = strays
            .last()
            .copied()
            .filter(|newest| last_base.is_none_or(|b| *newest >= b));
        strays
            .into_iter()
            .filter(|offset| Some(*offset) != keep)
            .try_for_each(|offset| self.remove(dir, offset))
    }

    /// Removes all snapshots and starts over.
    pub fn clear(&mut self, dir: &Path) -> io::Result<()> {
        let all: Vec<i64> = self.offsets.iter().copied().collect();
        self.last_snapshot_offset = 0;
        all.into_iter()
            .try_for_each(|offset| self.remove(dir, offset))
    }

    /// Gives a snapshot the `.deleted` suffix. Returns the renamed file, if there was one.
    pub fn mark_deleted(&mut self, dir: &Path, offset: i64) -> io::Result<Option<PathBuf>> {
        if !self.offsets.remove(&offset) {
            return Ok(None);
        }
        let path = names::file(dir, offset, names::SNAPSHOT);
        let deleted = fsx::with_suffix(&path, names::DELETED);
        match fsx::rename(&path, &deleted) {
            Ok(()) => Ok(Some(deleted)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// After the log start moved: state below it is not worth a snapshot.
    pub fn on_log_start_moved(&mut self, log_start_offset: i64) {
        self.last_snapshot_offset = self.latest().unwrap_or(log_start_offset);
    }

    fn remove(&mut self, dir: &Path, offset: i64) -> io::Result<()> {
        self.offsets.remove(&offset);
        fsx::remove_if_exists(&names::file(dir, offset, names::SNAPSHOT)).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> ProducerStates {
        let mut states = ProducerStates::default();
        let mut entry = ProducerStateEntry::new(4001);
        entry.coordinator_epoch = 3;
        entry.current_txn_first_offset = Some(90);
        entry.add_batch(
            7,
            BatchMetadata {
                last_sequence: 12,
                last_offset: 99,
                offset_delta: 4,
                timestamp: 1234,
            },
        );
        states.load(entry);
        states.load(ProducerStateEntry::new(5));
        states.set_map_end_offset(100);
        states
    }

    #[test]
    fn an_empty_snapshot_has_the_ten_bytes_that_kafka_writes() {
        let bytes = encode(&ProducerStates::default());
        let crc = crc32c::crc32c(&[0; 4]).to_be_bytes();
        assert_eq!(bytes, [&[0, 1], &crc[..], &[0; 4]].concat());
        assert_eq!(decode(&bytes), Some(vec![]));
    }

    #[test]
    fn entries_survive_and_any_changed_or_missing_byte_is_noticed() {
        let bytes = encode(&states());
        assert_eq!(bytes.len(), 10 + 2 * 46);
        let mut decoded = decode(&bytes).unwrap();
        decoded.sort_by_key(|entry| entry.producer_id);
        assert_eq!(decoded[0], ProducerStateEntry::new(5));
        assert_eq!(Some(&decoded[1]), states().get(4001));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(decode(&damaged), None, "byte {at} changed");
            assert_eq!(decode(&bytes[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_damaged_snapshot_is_removed_and_the_one_before_it_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let mut snapshots = Snapshots::default();
        snapshots.take(dir.path(), &states(), true).unwrap();
        let damaged = names::file(dir.path(), 200, names::SNAPSHOT);
        std::fs::write(&damaged, b"\0\x01 nonsense").unwrap();
        let mut snapshots = Snapshots::new([100, 200]);
        let mut loaded = ProducerStates::default();
        snapshots
            .load_latest(dir.path(), &mut loaded, 0, |_| true)
            .unwrap();
        assert_eq!((loaded.map_end_offset(), loaded.iter().len()), (100, 2));
        assert_eq!(loaded.first_unstable_offset().unwrap().message_offset, 90);
        assert!(!damaged.exists());
    }

    #[test]
    fn strays_go_but_for_the_one_taken_at_shutdown() {
        let dir = tempfile::tempdir().unwrap();
        let cases: [(&[i64], &[i64], &[i64]); 4] = [
            (&[10, 20, 35], &[0, 10, 20], &[10, 20, 35]),
            (&[5, 10, 15], &[0, 10], &[10, 15]),
            (&[5, 7, 10], &[0, 10], &[10]),
            (&[5, 7], &[], &[7]),
        ];
        for (found, bases, kept) in cases {
            let mut snapshots = Snapshots::new(found.iter().copied());
            snapshots.remove_strays(dir.path(), bases).unwrap();
            assert_eq!(snapshots.offsets.into_iter().collect::<Vec<_>>(), kept);
        }
    }
}
