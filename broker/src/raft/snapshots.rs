//! Snapshots' files as they travel between nodes: slices of a complete one, and the one that is
//! being downloaded.
//!
//! What is downloaded gathers in a file with the suffix `.part`, which a start removes; it gets the
//! snapshot's name when all of it is there and flushed. A snapshot never changes once it has its
//! name, so slices of it may be read by anybody at any time.
//!
//! Kafka: `snapshot/{FileRawSnapshotWriter,FileRawSnapshotReader}.java` (4.3), KIP-630.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::rpc::SnapshotId;
use crate::log::fsx;
use crate::metadata::snapshot;

/// The most that is read of a snapshot at once, whatever is asked for.
const SLICE_BYTES_MAX: i64 = 8 * 1024 * 1024;

/// The snapshot's id where it is a file's name.
fn file_id(id: SnapshotId) -> snapshot::SnapshotId {
    snapshot::SnapshotId {
        end_offset: id.end_offset,
        epoch: id.epoch,
    }
}

/// Where the snapshot is.
pub fn path(dir: &Path, id: SnapshotId) -> PathBuf {
    dir.join(file_id(id).file_name())
}

/// The complete snapshots of a folder, oldest first.
///
/// # Errors
/// If the folder can't be read.
pub fn list(dir: &Path) -> io::Result<Vec<SnapshotId>> {
    let id = |id: snapshot::SnapshotId| SnapshotId {
        epoch: id.epoch,
        end_offset: id.end_offset,
    };
    Ok(snapshot::list(dir)?.into_iter().map(id).collect())
}

/// A part of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Of the whole snapshot, in bytes.
    pub size: i64,
    /// Empty if the position is not within the snapshot.
    pub bytes: Bytes,
}

/// Reads up to `max_bytes` of a snapshot; at least one byte if there is one at the position.
///
/// # Errors
/// `NotFound` if there is no such snapshot, or if it can't be read.
pub fn read_slice(dir: &Path, id: SnapshotId, position: i64, max_bytes: i64) -> io::Result<Slice> {
    let file = File::open(path(dir, id))?;
    let size = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
    let len = (size - position.max(0)).min(max_bytes.clamp(1, SLICE_BYTES_MAX));
    if position < 0 || len <= 0 {
        let bytes = Bytes::new();
        return Ok(Slice { size, bytes });
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(&mut bytes, position.unsigned_abs())?;
    let bytes = bytes.into();
    Ok(Slice { size, bytes })
}

/// A snapshot that is on its way here.
#[derive(Debug)]
pub struct Download {
    id: SnapshotId,
    part: PathBuf,
    file: File,
}

impl Download {
    /// An empty file for the snapshot; what an earlier attempt has left is lost.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn create(dir: &Path, id: SnapshotId) -> io::Result<Self> {
        let name = file_id(id).file_name();
        let part = dir.join(format!("{name}.part"));
        fsx::remove_if_exists(&part)?;
        let file = File::create(&part)?;
        Ok(Self { id, part, file })
    }

    /// Which snapshot it is.
    pub fn id(&self) -> SnapshotId {
        self.id
    }

    /// The file in which it gathers.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Appends what came.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        fsx::write_all(&mut self.file, bytes)
    }

    /// All is there: gives the snapshot its name, durably.
    ///
    /// # Errors
    /// If the file can't be flushed or renamed.
    pub fn complete(self, dir: &Path) -> io::Result<()> {
        fsx::sync_all(&self.file)?;
        let mut permissions = self.file.metadata()?.permissions();
        permissions.set_readonly(true);
        self.file.set_permissions(permissions)?;
        fsx::rename_durably(&self.part, &path(dir, self.id))
    }

    /// Gives up, and removes what was written.
    pub fn discard(self) {
        // What stays is removed at the next start.
        drop(fs::remove_file(&self.part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SnapshotId = SnapshotId {
        epoch: 3,
        end_offset: 40,
    };

    #[test]
    fn what_is_downloaded_in_parts_is_served_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let mut download = Download::create(dir.path(), ID).unwrap();
        assert_eq!(download.id(), ID);
        for part in content.chunks(999) {
            assert_eq!(list(dir.path()).unwrap(), []);
            download.append(part).unwrap();
        }
        download.complete(dir.path()).unwrap();
        assert_eq!(list(dir.path()).unwrap(), [ID]);
        let mut read = Vec::new();
        while read.len() < content.len() {
            let slice = read_slice(dir.path(), ID, read.len() as i64, 1_234).unwrap();
            assert_eq!(slice.size, 10_000);
            assert!(!slice.bytes.is_empty() && slice.bytes.len() <= 1_234);
            read.extend_from_slice(&slice.bytes);
        }
        assert_eq!(read, content);
        for position in [-1, 10_000, i64::MAX] {
            let slice = read_slice(dir.path(), ID, position, 10).unwrap();
            assert_eq!((slice.size, slice.bytes.len()), (10_000, 0));
        }
        let other = SnapshotId { epoch: 4, ..ID };
        let error = read_slice(dir.path(), other, 0, 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_download_that_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut download = Download::create(dir.path(), ID).unwrap();
        download.append(b"half").unwrap();
        download.discard();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        // One that a crash has left is overwritten.
        let mut download = Download::create(dir.path(), ID).unwrap();
        download.append(b"half").unwrap();
        drop(download);
        let mut download = Download::create(dir.path(), ID).unwrap();
        download.append(b"whole").unwrap();
        download.complete(dir.path()).unwrap();
        assert_eq!(
            &read_slice(dir.path(), ID, 0, 99).unwrap().bytes[..],
            b"whole"
        );
    }
}
