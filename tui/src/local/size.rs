//! What a broker's data takes on the disk.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{LocalBroker, LocalBrokers};

/// Files and folders that are looked at; a folder with more is not measured.
const ENTRIES_MAX: usize = 200_000;

/// A block of a file, as systems count them.
const BLOCK_BYTES: u64 = 512;

impl LocalBrokers {
    /// The same brokers with the size of their data.
    #[must_use]
    pub fn measured(brokers: Vec<LocalBroker>) -> Vec<LocalBroker> {
        let measured = brokers.into_iter().map(|broker| LocalBroker {
            data_bytes: folder_bytes(&broker.data_folder),
            ..broker
        });
        measured.collect()
    }
}

/// Bytes on the disk of everything in a folder: Kafka makes index files larger than what is in
/// them. Links are not followed; what goes away meanwhile is not counted. `None` where there is no
/// such folder, or far too much in it.
fn folder_bytes(folder: &Path) -> Option<u64> {
    let mut folders = vec![folder.to_owned()];
    let (mut bytes, mut n) = (0, 0);
    fs::read_dir(folder).ok()?;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            n += 1;
            if n > ENTRIES_MAX {
                return None;
            }
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            bytes += metadata.blocks() * BLOCK_BYTES;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_folder_counts_and_a_hole_does_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(folder_bytes(&folder.path().join("none")), None);
        let empty = folder_bytes(folder.path()).unwrap();
        fs::create_dir(folder.path().join("t-0")).unwrap();
        let log = folder.path().join("t-0/log");
        fs::write(&log, vec![1; 300_000]).unwrap();
        let index = fs::File::create(folder.path().join("t-0/index")).unwrap();
        index.set_len(100_000_000).unwrap();
        let full = folder_bytes(folder.path()).unwrap();
        assert!((300_000..5_000_000).contains(&(full - empty)), "{full}");
    }
}
