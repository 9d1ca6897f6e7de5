//! The time index of a segment: sparse pairs of (largest timestamp so far, offset of its batch).
//!
//! File `<base offset>.timeindex`, entries of 12 bytes in ascending order of timestamp, nothing else:
//!
//! | at | size | field |
//! |----|------|-------|
//! | 0 | 8 | largest timestamp (ms) of the segment up to that batch |
//! | 8 | 4 | last offset of the batch that holds it, minus the base offset of the segment |
//!
//! When a segment stops being the active one, and at a clean shutdown, an entry for its largest
//! timestamp is added, so that the last entry of a closed segment is exact.
//! Kafka: `TimeIndex`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::offset_index::last_where;

/// Bytes of one entry.
pub const ENTRY_SIZE: usize = 12;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeEntry {
    pub timestamp: i64,
    pub relative_offset: i32,
}

impl TimeEntry {
    pub fn to_bytes(self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&self.relative_offset.to_be_bytes());
        bytes
    }

    pub fn from_bytes(bytes: [u8; ENTRY_SIZE]) -> Self {
        let [t0, t1, t2, t3, t4, t5, t6, t7, o0, o1, o2, o3] = bytes;
        Self {
            timestamp: i64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            relative_offset: i32::from_be_bytes([o0, o1, o2, o3]),
        }
    }
}

/// Decodes a whole file. `None` when the bytes are no index: a length that is no multiple of an entry, or
/// entries that do not ascend (such as a preallocated zero tail).
pub fn decode(bytes: &[u8]) -> Option<Vec<TimeEntry>> {
    let (chunks, rest) = bytes.as_chunks::<ENTRY_SIZE>();
    if !rest.is_empty() {
        return None;
    }
    let entries: Vec<_> = chunks
        .iter()
        .map(|chunk| TimeEntry::from_bytes(*chunk))
        .collect();
    let first_valid = entries.first().is_none_or(|e| e.relative_offset >= 0);
    let ascending = entries
        .is_sorted_by(|a, b| a.timestamp < b.timestamp && a.relative_offset <= b.relative_offset);
    (first_valid && ascending).then_some(entries)
}

/// The last entry of a file, if it has any whole entry.
pub(crate) fn last_in_file(file: &File) -> io::Result<Option<TimeEntry>> {
    let count = file.metadata()?.len() as usize / ENTRY_SIZE;
    let Some(last) = count.checked_sub(1) else {
        return Ok(None);
    };
    let mut entry = [0; ENTRY_SIZE];
    file.read_exact_at(&mut entry, (last * ENTRY_SIZE) as u64)?;
    Ok(Some(TimeEntry::from_bytes(entry)))
}

/// The last entry whose timestamp is at or below `timestamp`, read from the file.
pub(crate) fn lookup_in_file(file: &File, timestamp: i64) -> io::Result<Option<TimeEntry>> {
    let count = file.metadata()?.len() as usize / ENTRY_SIZE;
    let found = last_where(file, count, |e| {
        TimeEntry::from_bytes(e).timestamp <= timestamp
    })?;
    Ok(found.map(TimeEntry::from_bytes))
}

/// The last entry whose timestamp is at or below `timestamp`.
pub(crate) fn lookup(entries: &[TimeEntry], timestamp: i64) -> Option<TimeEntry> {
    let count = entries.partition_point(|e| e.timestamp <= timestamp);
    count.checked_sub(1).map(|last| entries[last])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_kafkas_bytes() {
        let entry = TimeEntry {
            timestamp: 1_700_000_000_123,
            relative_offset: 77,
        };
        let bytes = entry.to_bytes();
        assert_eq!(
            bytes,
            [0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x7b, 0, 0, 0, 77]
        );
        assert_eq!(TimeEntry::from_bytes(bytes), entry);
    }

    #[test]
    fn a_zero_tail_is_no_index_and_the_last_whole_entry_is_found() {
        let entries = [(5, 0), (9, 3)].map(|(timestamp, relative_offset)| TimeEntry {
            timestamp,
            relative_offset,
        });
        let mut bytes: Vec<u8> = entries.iter().flat_map(|e| e.to_bytes()).collect();
        assert_eq!(decode(&bytes).as_deref(), Some(&entries[..]));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.timeindex");
        std::fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(last_in_file(&file).unwrap(), Some(entries[1]));
        for (timestamp, expected) in [(4, None), (5, Some(0)), (8, Some(0)), (9, Some(1))] {
            let expected = expected.map(|i: usize| entries[i]);
            assert_eq!(lookup_in_file(&file, timestamp).unwrap(), expected);
            assert_eq!(lookup(&entries, timestamp), expected);
        }
        bytes.extend([0; 12]);
        assert_eq!(decode(&bytes), None);
    }
}
