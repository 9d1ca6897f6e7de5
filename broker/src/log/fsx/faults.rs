//! Disks that fail, fill up or are slow, for tests: of a folder, whoever works on it, or of the calling
//! thread alone.
//!
//! What is read is never concerned, as it mostly comes from memory.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// What is wrong with a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing that changes it succeeds.
    Broken,
    /// So many changes succeed, and none after them: what is there then is what a crash leaves.
    BrokenAfter(u32),
    /// There is no room for another byte.
    Full,
    /// An fsync takes so long.
    SlowSync(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Write,
    Rename,
    Sync,
}

static FAULTS: Mutex<Vec<(PathBuf, Fault)>> = Mutex::new(Vec::new());
/// Spares everybody the look-up while no test asks for a fault.
static ANY: AtomicBool = AtomicBool::new(false);

/// From here on everything below `dir` has this fault; `None` for no longer.
pub fn set(dir: &Path, fault: Option<Fault>) {
    let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let mut faults = FAULTS.lock();
    faults.retain(|(known, _)| *known != dir);
    faults.extend(fault.map(|fault| (dir, fault)));
    ANY.store(!faults.is_empty(), Ordering::Release);
}

pub(super) fn on_path(path: &Path, operation: Operation) -> io::Result<()> {
    if ANY.load(Ordering::Acquire) {
        on_resolved(path, operation)
    } else {
        Ok(())
    }
}

pub(super) fn on_file(file: &File, operation: Operation) -> io::Result<()> {
    #[cfg(test)]
    if operation == Operation::Sync {
        thread::on_sync()?;
    }
    if ANY.load(Ordering::Acquire) {
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        on_resolved(&std::fs::read_link(link)?, operation)
    } else {
        Ok(())
    }
}

fn on_resolved(path: &Path, operation: Operation) -> io::Result<()> {
    let fault = {
        let mut faults = FAULTS.lock();
        let found = faults.iter_mut().find(|(dir, _)| path.starts_with(dir));
        found.map(|(_, fault)| match fault {
            Fault::BrokenAfter(0) => Fault::Broken,
            Fault::BrokenAfter(left) => {
                *left -= 1;
                *fault
            }
            other => *other,
        })
    };
    match (fault, operation) {
        (Some(Fault::Broken), _) => Err(io::Error::other("the disk is broken")),
        (Some(Fault::Full), Operation::Write) => Err(io::ErrorKind::StorageFull.into()),
        (Some(Fault::SlowSync(duration)), Operation::Sync) => {
            std::thread::sleep(duration);
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(crate) use self::thread::{before_write, set_room, set_sync_fails};

/// Faults that only the calling thread sees.
#[cfg(test)]
mod thread {
    use std::cell::Cell;
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;

    thread_local! {
        static ROOM: Cell<Option<usize>> = const { Cell::new(None) };
        static SYNC_FAILS: Cell<bool> = const { Cell::new(false) };
    }

    /// From here on the disk has room for so many bytes; `None` for plenty.
    pub fn set_room(bytes: Option<usize>) {
        ROOM.set(bytes);
    }

    /// From here on fsync fails, or works again.
    pub fn set_sync_fails(fails: bool) {
        SYNC_FAILS.set(fails);
    }

    pub fn on_sync() -> io::Result<()> {
        if SYNC_FAILS.get() {
            Err(io::Error::other("the disk is broken"))
        } else {
            Ok(())
        }
    }

    /// Writes what there is room for and fails when that is not all.
    pub fn before_write(file: &File, parts: &[&[u8]], position: u64) -> io::Result<()> {
        let Some(room) = ROOM.get() else {
            return Ok(());
        };
        let mut bytes = parts.concat();
        if bytes.len() <= room {
            ROOM.set(Some(room - bytes.len()));
            return Ok(());
        }
        bytes.truncate(room);
        file.write_all_at(&bytes, position)?;
        ROOM.set(Some(0));
        Err(io::ErrorKind::StorageFull.into())
    }
}
