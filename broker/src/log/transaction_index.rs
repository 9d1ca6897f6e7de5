//! The transaction index of a segment: its aborted transactions, for readers of committed records.
//!
//! File `<base offset>.txnindex`, made when the first abort marker is appended, entries of 34 bytes:
//!
//! | at | size | field |
//! |----|------|-------|
//! | 0 | 2 | version, 0 |
//! | 2 | 8 | producer id |
//! | 10 | 8 | first offset of the transaction |
//! | 18 | 8 | offset of its abort marker |
//! | 26 | 8 | last stable offset right after the marker |
//!
//! Entries ascend by the marker's offset. Kafka: `TransactionIndex`, `AbortedTxn`.

use std::io;

/// Bytes of one entry.
pub const ENTRY_SIZE: usize = 34;

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    /// Offset of its first record in this partition.
    pub first_offset: i64,
    /// Offset of its abort marker.
    pub last_offset: i64,
    pub last_stable_offset: i64,
}

impl AbortedTransaction {
    pub fn to_bytes(self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        let fields = [
            self.producer_id,
            self.first_offset,
            self.last_offset,
            self.last_stable_offset,
        ];
        for (chunk, field) in bytes[2..].chunks_exact_mut(8).zip(fields) {
            chunk.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; ENTRY_SIZE]) -> Option<Self> {
        let version = i16::from_be_bytes([bytes[0], bytes[1]]);
        let field = |index: usize| {
            let at = 2 + index * 8;
            i64::from_be_bytes(
                bytes[at..at + 8]
                    .try_into()
                    .expect("eight bytes were cut out"),
            )
        };
        (version == 0).then(|| Self {
            producer_id: field(0),
            first_offset: field(1),
            last_offset: field(2),
            last_stable_offset: field(3),
        })
    }
}

/// Decodes a whole file; a torn last entry is dropped.
///
/// # Errors
/// `InvalidData` for an entry of an unknown version or one that lies before the segment.
pub fn decode(bytes: &[u8], base_offset: i64) -> io::Result<Vec<AbortedTransaction>> {
    let (chunks, _torn) = bytes.as_chunks::<ENTRY_SIZE>();
    chunks
        .iter()
        .map(|chunk| {
            AbortedTransaction::from_bytes(chunk)
                .filter(|transaction| transaction.last_offset >= base_offset)
                .ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, "corrupt transaction index")
                })
        })
        .collect()
}

/// Adds to `found` the transactions that a reader of `[fetch_offset, upper_bound)` has to know. Returns
/// whether no later segment can hold another one.
pub fn collect(
    entries: &[AbortedTransaction],
    fetch_offset: i64,
    upper_bound: i64,
    found: &mut Vec<AbortedTransaction>,
) -> bool {
    for entry in entries {
        if entry.last_offset >= fetch_offset && entry.first_offset < upper_bound {
            found.push(*entry);
        }
        if entry.last_stable_offset >= upper_bound {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn entry(pid: i64, first: i64, last: i64, stable: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: pid,
            first_offset: first,
            last_offset: last,
            last_stable_offset: stable,
        }
    }

    #[test]
    fn entries_keep_kafkas_bytes_and_a_torn_one_is_dropped() {
        let one = entry(7, 10, 20, 21);
        let mut bytes = one.to_bytes().to_vec();
        assert_eq!((bytes.len(), bytes[0], bytes[9], bytes[33]), (34, 0, 7, 21));
        bytes.extend([0; 33]);
        assert_eq!(decode(&bytes, 10).unwrap(), [one]);
        assert!(
            decode(&bytes, 21).is_err(),
            "the entry lies before the segment"
        );
        bytes[1] = 1;
        assert!(decode(&bytes, 10).is_err(), "version 1 is unknown");
    }

    #[test]
    fn a_reader_learns_of_the_transactions_that_overlap_its_range() {
        let entries = [
            entry(0, 0, 10, 11),
            entry(1, 5, 15, 13),
            entry(2, 18, 35, 25),
            entry(3, 32, 50, 40),
        ];
        let cases: [(i64, i64, &[i64], bool); 5] = [
            (0, 10, &[0], true),
            (0, 32, &[0, 1, 2], true),
            (0, 35, &[0, 1, 2, 3], true),
            (11, 14, &[1], true),
            (50, 60, &[3], false),
        ];
        for (from, to, expected, complete) in cases {
            let mut found = Vec::new();
            let done = collect(&entries, from, to, &mut found);
            let ids: Vec<_> = found.iter().map(|t| t.producer_id).collect();
            assert_eq!(
                (ids.as_slice(), done),
                (expected, complete),
                "[{from}, {to})"
            );
        }
    }
}
