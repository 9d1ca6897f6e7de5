//! The offset index of a segment: sparse pairs of (offset, byte position of its batch).
//!
//! File `<base offset>.index`, entries of 8 bytes in ascending order, nothing else:
//!
//! | at | size | field |
//! |----|------|-------|
//! | 0 | 4 | last offset of a batch, minus the base offset of the segment |
//! | 4 | 4 | byte position in the `.log` file where that batch starts |
//!
//! Apache Kafka preallocates the file of the active segment and maps it; ours holds exactly the valid
//! entries at every moment, and a file with Apache's zero tail is detected and rebuilt.
//! Kafka: `OffsetIndex`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of one entry.
pub const ENTRY_SIZE: usize = 8;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetEntry {
    pub relative_offset: i32,
    pub position: i32,
}

impl OffsetEntry {
    pub fn to_bytes(self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..4].copy_from_slice(&self.relative_offset.to_be_bytes());
        bytes[4..].copy_from_slice(&self.position.to_be_bytes());
        bytes
    }

    pub fn from_bytes(bytes: [u8; ENTRY_SIZE]) -> Self {
        let value = u64::from_be_bytes(bytes);
        Self {
            relative_offset: (value >> 32) as u32 as i32,
            position: value as u32 as i32,
        }
    }
}

/// Decodes a whole file. `None` when the bytes are no index: a length that is no multiple of an entry, or
/// entries that do not ascend (such as a preallocated zero tail).
pub fn decode(bytes: &[u8]) -> Option<Vec<OffsetEntry>> {
    let (chunks, rest) = bytes.as_chunks::<ENTRY_SIZE>();
    if !rest.is_empty() {
        return None;
    }
    let entries: Vec<_> = chunks
        .iter()
        .map(|chunk| OffsetEntry::from_bytes(*chunk))
        .collect();
    let first_valid = entries
        .first()
        .is_none_or(|e| e.relative_offset >= 0 && e.position >= 0);
    let ascending = entries
        .is_sorted_by(|a, b| a.relative_offset < b.relative_offset && a.position < b.position);
    (first_valid && ascending).then_some(entries)
}

/// Index of the last entry that `before` holds for, given that it holds for a prefix. At most
/// `log2(count)` reads.
pub(crate) fn last_where<const SIZE: usize>(
    file: &File,
    count: usize,
    mut before: impl FnMut([u8; SIZE]) -> bool,
) -> io::Result<Option<[u8; SIZE]>> {
    let (mut low, mut high, mut found) = (0, count, None);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut entry = [0; SIZE];
        file.read_exact_at(&mut entry, (middle * SIZE) as u64)?;
        if before(entry) {
            found = Some(entry);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(found)
}

/// The last entry at or below `relative_offset`, read from the file.
pub(crate) fn lookup_in_file(file: &File, relative_offset: i64) -> io::Result<Option<OffsetEntry>> {
    let count = file.metadata()?.len() as usize / ENTRY_SIZE;
    let found = last_where(file, count, |entry| {
        i64::from(OffsetEntry::from_bytes(entry).relative_offset) <= relative_offset
    })?;
    Ok(found.map(OffsetEntry::from_bytes))
}

/// The last entry whose position is at or below `position`, read from the file.
pub(crate) fn lookup_position_in_file(
    file: &File,
    position: u64,
) -> io::Result<Option<OffsetEntry>> {
    let count = file.metadata()?.len() as usize / ENTRY_SIZE;
    let found = last_where(file, count, |entry| {
        OffsetEntry::from_bytes(entry).position as u64 <= position
    })?;
    Ok(found.map(OffsetEntry::from_bytes))
}

/// The last entry at or below `relative_offset`.
pub(crate) fn lookup(entries: &[OffsetEntry], relative_offset: i64) -> Option<OffsetEntry> {
    let count = entries.partition_point(|e| i64::from(e.relative_offset) <= relative_offset);
    count.checked_sub(1).map(|last| entries[last])
}

/// The last entry whose position is at or below `position`.
pub(crate) fn lookup_position(entries: &[OffsetEntry], position: u64) -> Option<OffsetEntry> {
    let count = entries.partition_point(|e| e.position as u64 <= position);
    count.checked_sub(1).map(|last| entries[last])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(relative_offset: i32, position: i32) -> OffsetEntry {
        OffsetEntry {
            relative_offset,
            position,
        }
    }

    #[test]
    fn entries_keep_kafkas_bytes() {
        let bytes = [0, 0, 0, 9, 0, 0, 0x10, 0x2c];
        assert_eq!(OffsetEntry::from_bytes(bytes), entry(9, 0x102c));
        assert_eq!(entry(9, 0x102c).to_bytes(), bytes);
    }

    #[test]
    fn a_file_with_a_zero_tail_or_a_torn_entry_is_no_index() {
        let mut bytes = [entry(3, 100).to_bytes(), entry(7, 200).to_bytes()].concat();
        assert_eq!(decode(&bytes), Some(vec![entry(3, 100), entry(7, 200)]));
        bytes.extend([0; 8]);
        assert_eq!(decode(&bytes), None);
        assert_eq!(decode(&bytes[..13]), None);
        assert_eq!(decode(&[]), Some(vec![]));
    }

    #[test]
    fn lookups_in_memory_and_in_the_file_agree() {
        let entries: Vec<_> = (0..100).map(|i| entry(i * 10 + 9, i * 5000 + 1)).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.index");
        let bytes: Vec<u8> = entries.iter().flat_map(|e| e.to_bytes()).collect();
        std::fs::write(&path, bytes).unwrap();
        let file = File::open(&path).unwrap();
        for offset in [-1, 0, 8, 9, 10, 500, 998, 999, 1_000_000] {
            let expected = entries
                .iter()
                .rfind(|e| i64::from(e.relative_offset) <= offset);
            assert_eq!(lookup(&entries, offset), expected.copied());
            assert_eq!(lookup_in_file(&file, offset).unwrap(), expected.copied());
        }
        for position in [0, 1, 2, 5000, 5001, 495_001, 9_000_000] {
            let expected = entries.iter().rfind(|e| e.position as u64 <= position);
            assert_eq!(lookup_position(&entries, position), expected.copied());
            assert_eq!(
                lookup_position_in_file(&file, position).unwrap(),
                expected.copied()
            );
        }
    }
}
