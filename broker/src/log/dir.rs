//! One folder of `log.dirs`: its lock, whether it is in service, and the files that wait for deletion.
//!
//! Invariants:
//! - Only one process uses a folder: `.lock` is held by a POSIX record lock (fcntl), the kind that
//!   Apache Kafka's `FileChannel.tryLock` takes, so either program refuses a folder of the other.
//! - After the first I/O error a folder is out of service until restart; its logs refuse everything.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::fs::FlockOperation;

use super::error::LogError;
use super::fsx;

/// Name of the lock file.
pub const LOCK_FILE: &str = ".lock";

/// Called once for each folder that goes out of service.
pub type FailureListener = Box<dyn Fn(&Path, &str) + Send + Sync>;

/// A folder of `log.dirs` as its logs see it.
pub struct LogDir {
    path: PathBuf,
    offline: AtomicBool,
    on_failure: Mutex<Option<FailureListener>>,
}

impl std::fmt::Debug for LogDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogDir")
            .field("path", &self.path)
            .field("offline", &self.is_offline())
            .finish_non_exhaustive()
    }
}

impl LogDir {
    /// A folder in service.
    pub fn new(path: impl Into<PathBuf>) -> Arc<Self> {
        Arc::new(Self {
            path: path.into(),
            offline: AtomicBool::new(false),
            on_failure: Mutex::new(None),
        })
    }

    /// Sets who is told when the folder goes out of service.
    pub fn set_failure_listener(&self, listener: FailureListener) {
        *self.on_failure.lock() = Some(listener);
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_offline(&self) -> bool {
        self.offline.load(Ordering::Acquire)
    }

    /// Takes the folder out of service because of `error`; returns the error for the caller.
    pub fn fail(&self, what: &str, error: &io::Error) -> LogError {
        let message = format!("{what} in {}: {error}", self.path.display());
        if !self.offline.swap(true, Ordering::AcqRel) {
            tracing::error!(dir = %self.path.display(), %error, "{what}: log directory goes offline");
            if let Some(listener) = &*self.on_failure.lock() {
                listener(&self.path, &message);
            }
        }
        LogError::Storage { message }
    }

    /// Runs an I/O operation; any error takes the folder out of service.
    pub fn guard<T>(
        &self,
        what: &str,
        operation: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, LogError> {
        self.check_online()?;
        operation().map_err(|error| self.fail(what, &error))
    }

    /// Refuses when the folder is out of service.
    pub fn check_online(&self) -> Result<(), LogError> {
        if self.is_offline() {
            let message = format!(
                "log directory {} is offline after an I/O error",
                self.path.display()
            );
            return Err(LogError::Storage { message });
        }
        Ok(())
    }
}

/// The folders that this process has locked, by device and inode. A record lock belongs to the process: a second
/// one would be granted, and closing its file would release the first.
static LOCKED: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

/// The lock on a folder, released on drop.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
    identity: (u64, u64),
}

impl Drop for DirLock {
    fn drop(&mut self) {
        LOCKED.lock().retain(|locked| *locked != self.identity);
    }
}

impl DirLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// `WouldBlock` with a message for the operator when it is held already.
    pub fn acquire(dir: &Path) -> io::Result<Self> {
        let path = dir.join(LOCK_FILE);
        let in_use = |who: &str| {
            let message = format!(
                "{} is in use: {who} holds the lock on {}",
                dir.display(),
                path.display()
            );
            Err(io::Error::new(io::ErrorKind::WouldBlock, message))
        };
        let metadata = std::fs::metadata(dir)?;
        let identity = (metadata.dev(), metadata.ino());
        let mut locked = LOCKED.lock();
        if locked.contains(&identity) {
            return in_use("this process");
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                locked.push(identity);
                Ok(Self {
                    _file: file,
                    identity,
                })
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                in_use("another Kafka process")
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Files that were taken out of a log and are removed after `file.delete.delay.ms`, so that readers who
/// still hold them come to an end. Bounded by the files there are; a crash leaves them with a `.deleted`
/// suffix, which the next start removes.
#[derive(Debug, Default)]
pub struct DeletionQueue {
    entries: Mutex<VecDeque<(i64, Vec<PathBuf>)>>,
}

impl DeletionQueue {
    /// Adds files that may go at `due_ms` (wall clock).
    pub fn add(&self, due_ms: i64, paths: Vec<PathBuf>) {
        if !paths.is_empty() {
            self.entries.lock().push_back((due_ms, paths));
        }
    }

    /// Removes the files that are due. Returns how many there were.
    pub fn remove_due(&self, now_ms: i64) -> io::Result<usize> {
        let mut due = Vec::new();
        self.entries.lock().retain_mut(|(due_ms, paths)| {
            let keep = *due_ms > now_ms;
            if !keep {
                due.append(paths);
            }
            keep
        });
        let mut removed = 0;
        for path in due {
            removed += usize::from(fsx::remove_if_exists(&path)?);
        }
        Ok(removed)
    }

    /// Number of files that wait.
    pub fn len(&self) -> usize {
        self.entries
            .lock()
            .iter()
            .map(|(_, paths)| paths.len())
            .sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
