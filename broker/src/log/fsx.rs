//! Durable file operations: the only place of the broker that renames files and syncs folders.
//!
//! Invariants:
//! - A file written by [`write_atomically`] holds, after any crash, either its old or its new content,
//!   never a part of it: temporary file, fsync, rename, fsync of the folder.
//! - A rename that returned is on disk.
//! - [`write_all_at`] either wrote every byte or returns an error; the caller rolls back by length.
//!
//! Nothing here retries a failed fsync: after a failure the kernel may have dropped the dirty pages, so
//! the folder has to be taken out of service (see [`super::dir::LogDir`]).

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Syncs a folder, so that names created, renamed or removed in it survive a power loss.
pub fn fsync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(any(test, feature = "testing"))]
    faults::on_path(dir, faults::Operation::Sync)?;
    File::open(dir)?.sync_all()
}

/// Syncs a folder that may have been removed meanwhile, which is no error.
pub fn fsync_dir_if_exists(dir: &Path) -> io::Result<()> {
    ignore_not_found(fsync_dir(dir))
}

/// Renames and makes the rename durable. An existing target file is replaced.
pub fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    rename(from, to)?;
    fsync_dir(parent_of(to))
}

/// Renames without syncing the folder: for a series of renames that ends with one [`fsync_dir`], or for
/// renames that may be lost (a `.deleted` suffix).
#[allow(
    clippy::disallowed_methods,
    reason = "this module is the one place that renames"
)]
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(test, feature = "testing"))]
    faults::on_path(to, faults::Operation::Rename)?;
    std::fs::rename(from, to)
}

/// Makes the content and length of a file durable.
pub fn sync_data(file: &File) -> io::Result<()> {
    #[cfg(any(test, feature = "testing"))]
    faults::on_file(file, faults::Operation::Sync)?;
    file.sync_data()
}

/// Makes the content and everything else about a file durable.
pub fn sync_all(file: &File) -> io::Result<()> {
    #[cfg(any(test, feature = "testing"))]
    faults::on_file(file, faults::Operation::Sync)?;
    file.sync_all()
}

/// Replaces the content of `path` in one step that survives a crash.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, true)
}

/// Replaces the content of `path` in one step. Without `sync` that survives the death of this process, but
/// not a power loss.
pub fn replace(path: &Path, content: &[u8], sync: bool) -> io::Result<()> {
    #[cfg(any(test, feature = "testing"))]
    faults::on_path(path, faults::Operation::Write)?;
    let temporary = with_suffix(path, ".tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&temporary)?;
    file.write_all(content)?;
    if !sync {
        return rename(&temporary, path);
    }
    sync_all(&file)?;
    drop(file);
    rename_durably(&temporary, path)
}

/// Writes a new file in place and, when `sync` is set, syncs it. For files that carry their own checksum.
pub fn write_file(path: &Path, content: &[u8], sync: bool) -> io::Result<()> {
    #[cfg(any(test, feature = "testing"))]
    faults::on_path(path, faults::Operation::Write)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(content)?;
    if sync {
        sync_all(&file)?;
    }
    Ok(())
}

/// Writes everything at the file's own position.
pub fn write_all(file: &mut File, content: &[u8]) -> io::Result<()> {
    #[cfg(any(test, feature = "testing"))]
    faults::on_file(file, faults::Operation::Write)?;
    file.write_all(content)
}

/// Removes a file that may be missing. Returns whether it was there.
pub fn remove_if_exists(path: &Path) -> io::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes all parts one after the other at `position`, with as few system calls as the kernel allows.
pub fn write_all_at(file: &File, parts: &[&[u8]], mut position: u64) -> io::Result<()> {
    #[cfg(test)]
    faults::before_write(file, parts, position)?;
    #[cfg(any(test, feature = "testing"))]
    faults::on_file(file, faults::Operation::Write)?;
    if let [single] = parts {
        return file.write_all_at(single, position);
    }
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let mut done = 0usize;
    while done < total {
        let (mut slices, mut count, mut skip) = ([IoSlice::new(&[]); 4], 0, done);
        for part in parts {
            if skip >= part.len() {
                skip -= part.len();
                continue;
            }
            if count == slices.len() {
                break;
            }
            slices[count] = IoSlice::new(&part[skip..]);
            count += 1;
            skip = 0;
        }
        match rustix::io::pwritev(file, &slices[..count], position) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                done += written;
                position += written as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The path with a suffix appended to its file name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

/// Turns "not found" into success.
pub fn ignore_not_found(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(any(test, feature = "testing"))]
pub mod faults;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_atomically_replaces_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn parts_are_written_one_after_the_other_even_when_there_are_more_than_fit_in_one_call() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = File::create(&path).unwrap();
        let parts: [&[u8]; 7] = [b"a", b"", b"bc", b"d", b"ef", b"g", b"h"];
        write_all_at(&file, &parts, 2).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0\0abcdefgh");
    }
}
