//! All logs of a broker: its log folders, opening them, the periodic work, shutting down. Where new logs
//! and copies of logs go is in [`placement`].
//!
//! Owns: the locks on the folders, the checkpoint files, the clean-shutdown marker, which partition is in
//! which folder, and folders that wait for deletion. The metadata log is opened by its own owner; the manager
//! leaves its folder alone.
//!
//! Invariants:
//! - Once [`LogManager::load_logs`] begins, a crash counts as unclean: the marker is gone.
//! - The marker is written only when every log of a folder was flushed and closed.
//! - Periodic work is plain methods that a driver calls; nothing here runs on its own.
//!
//! Kafka: `LogManager.scala`, `LogManager.java`.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kafka_shared::time::Clock;
use kafka_shared::types::{METADATA_TOPIC_NAME, TopicPartition, Uuid};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::config::LogConfig;
use super::dir::{DirLock, LogDir};
use super::error::LogError;
use super::meta_properties::MetaProperties;
use super::names::{self, DirKind};
use super::{Log, LogContext, LogOpenOptions, checkpoint, clean_shutdown, fsx};

/// Settings of the manager.
#[derive(Debug, Clone)]
pub struct LogManagerConfig {
    pub log_dirs: Vec<PathBuf>,
    pub num_recovery_threads_per_data_dir: usize,
    pub producer_id_expiration_ms: i64,
    pub transaction_verification_enable: bool,
    /// How long a deleted partition's folder stays.
    pub file_delete_delay_ms: i64,
}

impl LogManagerConfig {
    /// Kafka's defaults for these folders.
    pub fn new(log_dirs: Vec<PathBuf>) -> Self {
        Self {
            log_dirs,
            num_recovery_threads_per_data_dir: 2,
            producer_id_expiration_ms: 86_400_000,
            transaction_verification_enable: true,
            file_delete_delay_ms: 60_000,
        }
    }
}

/// A log folder as DescribeLogDirs shows it.
#[derive(Debug, Clone)]
pub struct LogDirInfo {
    pub path: PathBuf,
    pub id: Option<Uuid>,
    pub is_offline: bool,
    /// Size of the volume in bytes, -1 when it cannot be told.
    pub total_bytes: i64,
    /// Bytes that this process may still write, -1 when it cannot be told.
    pub usable_bytes: i64,
}

/// What a start has found, for the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadSummary {
    pub logs: usize,
    /// Folders that were not shut down in order.
    pub unclean_dirs: usize,
    /// Partition folders that could not be opened; their log folder is out of service.
    pub failed: usize,
}

#[derive(Debug)]
struct Dir {
    context: Arc<LogContext>,
    id: Option<Uuid>,
    previous_broker_epoch: Option<i64>,
    lock: Mutex<Option<DirLock>>,
    loaded: AtomicBool,
    /// Hashes of the checkpoints as they were written last; also makes writers take turns.
    written: Mutex<HashMap<&'static str, u64>>,
}

impl Dir {
    fn path(&self) -> &Path {
        self.context.dir.path()
    }
}

/// A partition folder that waits for deletion.
#[derive(Debug)]
struct Doomed {
    due_ms: i64,
    path: PathBuf,
    dir: Arc<LogDir>,
    /// Keeps the files readable for readers that still hold the log.
    _log: Option<Arc<Log>>,
}

/// All logs of a broker.
#[derive(Debug)]
pub struct LogManager {
    config: LogManagerConfig,
    clock: Arc<dyn Clock>,
    dirs: Vec<Dir>,
    logs: RwLock<HashMap<TopicPartition, Arc<Log>>>,
    /// Copies in other folders that are to replace logs.
    futures: RwLock<HashMap<TopicPartition, Arc<Log>>>,
    /// Folders that were asked for, for partitions that are not here yet.
    preferred: Mutex<HashMap<TopicPartition, PathBuf>>,
    /// Folders that get no new partitions.
    cordoned: RwLock<HashSet<PathBuf>>,
    /// Held while a log is created or deleted.
    changing: Mutex<()>,
    doomed: Mutex<VecDeque<Doomed>>,
    failures: watch::Sender<Vec<PathBuf>>,
}

impl LogManager {
    /// Creates and locks the folders and reads their meta.properties. Loads nothing yet.
    ///
    /// # Errors
    /// When a folder is in use, by another process or because it is listed twice, its meta.properties is damaged, or no folder
    /// is usable. A folder that fails for another reason is out of service while others are left.
    pub fn open(config: LogManagerConfig, clock: Arc<dyn Clock>) -> io::Result<Arc<Self>> {
        let (failures, _) = watch::channel(Vec::new());
        let mut dirs = Vec::new();
        for path in &config.log_dirs {
            dirs.push(open_dir(path, &config, &clock, &failures)?);
        }
        if dirs.iter().all(|dir| dir.context.dir.is_offline()) {
            return Err(io::Error::other("none of the log directories can be used"));
        }
        Ok(Arc::new(Self {
            config,
            clock,
            dirs,
            logs: RwLock::new(HashMap::new()),
            futures: RwLock::new(HashMap::new()),
            preferred: Mutex::default(),
            cordoned: RwLock::default(),
            changing: Mutex::new(()),
            doomed: Mutex::new(VecDeque::new()),
            failures,
        }))
    }

    /// The broker epoch of the last shutdown, if all folders were closed in order under the same one. To be
    /// asked for before or after loading alike.
    pub fn previous_broker_epoch(&self) -> Option<i64> {
        let mut epochs = self.dirs.iter().map(|dir| dir.previous_broker_epoch);
        let first = epochs.next()??;
        epochs.all(|epoch| epoch == Some(first)).then_some(first)
    }

    /// Opens all partition folders, in parallel. `config_of` gives the settings of a topic. High watermarks are
    /// taken from their checkpoint. Folders marked for deletion are queued for it, strays are left alone.
    pub fn load_logs(&self, config_of: &(dyn Fn(&str) -> Arc<LogConfig> + Sync)) -> LoadSummary {
        self.load_logs_placed(config_of, &|_| None)
    }

    /// As [`LogManager::load_logs`]. Where a partition is found in two folders, `directory_of` says which one
    /// it is; the other one is set aside as stray.
    pub fn load_logs_placed(
        &self,
        config_of: &(dyn Fn(&str) -> Arc<LogConfig> + Sync),
        directory_of: &(dyn Fn(&TopicPartition) -> Option<Uuid> + Sync),
    ) -> LoadSummary {
        let mut summary = LoadSummary::default();
        for dir in &self.dirs {
            if dir.context.dir.is_offline() {
                continue;
            }
            match self.load_dir(dir, config_of, directory_of) {
                Ok((clean, failed)) => {
                    summary.unclean_dirs += usize::from(!clean);
                    summary.failed += failed;
                    dir.loaded.store(failed == 0, Ordering::Release);
                }
                Err(error) => {
                    dir.context.dir.fail("cannot load logs", &error);
                }
            }
        }
        summary.logs = self.logs.read().len();
        summary
    }

    fn load_dir(
        &self,
        dir: &Dir,
        config_of: &(dyn Fn(&str) -> Arc<LogConfig> + Sync),
        directory_of: &(dyn Fn(&TopicPartition) -> Option<Uuid> + Sync),
    ) -> io::Result<(bool, usize)> {
        let clean = clean_shutdown::remove(dir.path())?;
        let read = |file| {
            checkpoint::read_offsets(&dir.path().join(file)).or_else(|error| {
                if error.kind() != io::ErrorKind::InvalidData {
                    return Err(error);
                }
                tracing::warn!(dir = %dir.path().display(), file, %error, "checkpoint ignored");
                Ok(HashMap::new())
            })
        };
        let recovery_points = read(checkpoint::RECOVERY_POINT)?;
        let log_starts = read(checkpoint::LOG_START)?;
        let high_watermarks = read(checkpoint::HIGH_WATERMARK)?;
        let folders = self.partition_folders(dir)?;
        let next = Mutex::new(folders.into_iter());
        let failed = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            loop {
                let Some((path, tp)) = next.lock().next() else {
                    break;
                };
                let at = |map: &HashMap<TopicPartition, i64>| map.get(&tp).copied().unwrap_or(0);
                let options = LogOpenOptions {
                    topic_id: None,
                    log_start_offset: at(&log_starts),
                    recovery_point: at(&recovery_points),
                    clean,
                };
                let opened = Log::open(
                    path,
                    tp.clone(),
                    config_of(&tp.topic),
                    dir.context.clone(),
                    options,
                );
                let added = opened.and_then(|log| {
                    log.update_high_watermark(at(&high_watermarks));
                    self.add(tp.clone(), log, directory_of(&tp))
                });
                if let Err(error) = added {
                    tracing::error!(%tp, %error, "cannot open a log");
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.config.num_recovery_threads_per_data_dir.max(1) {
                scope.spawn(work);
            }
            work();
        });
        Ok((clean, failed.into_inner()))
    }

    fn add(
        &self,
        tp: TopicPartition,
        log: Arc<Log>,
        directory: Option<Uuid>,
    ) -> Result<(), LogError> {
        let is_future = log.is_future();
        let mut logs = if is_future {
            self.futures.write()
        } else {
            self.logs.write()
        };
        let mut entry = match logs.entry(tp) {
            Entry::Vacant(entry) => {
                entry.insert(log);
                return Ok(());
            }
            Entry::Occupied(entry) => entry,
        };
        // A crash while one replaced the other. Where the metadata tells which one counts, the other is kept
        // aside.
        //
        // Differs from Kafka, which does not start then.
        let old = Arc::clone(entry.get());
        let is_there = |log: &Log| directory.is_some() && self.directory_id(log) == directory;
        let surplus = match (is_there(&old), is_there(&log)) {
            (true, false) => log,
            (false, true) => entry.insert(log),
            _ => {
                let (tp, old, new) = (entry.key(), old.path(), log.path());
                let message = format!("{tp} is in {} and in {}", old.display(), new.display());
                let error = io::Error::new(io::ErrorKind::AlreadyExists, message);
                return Err(log.dir().fail("the same partition twice", &error));
            }
        };
        let path = surplus.rename_folder(&names::stray_dir(surplus.topic_partition()), true)?;
        tracing::warn!(
            tp = %entry.key(), path = %path.display(),
            "the partition was in two folders; the one that the metadata does not name is set aside"
        );
        Ok(())
    }

    /// The partition folders to open; those marked for deletion are queued.
    fn partition_folders(&self, dir: &Dir) -> io::Result<Vec<(PathBuf, TopicPartition)>> {
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(dir.path())? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let name = entry.file_name();
            let parsed = name.to_str().and_then(names::parse_partition_dir);
            match parsed {
                Some((tp, _)) if &*tp.topic == METADATA_TOPIC_NAME => {}
                Some((tp, DirKind::Current | DirKind::Future)) => folders.push((entry.path(), tp)),
                Some((_, DirKind::Deleted)) => self.doomed.lock().push_back(Doomed {
                    due_ms: self
                        .clock
                        .wall_ms()
                        .saturating_add(self.config.file_delete_delay_ms),
                    path: entry.path(),
                    dir: dir.context.dir.clone(),
                    _log: None,
                }),
                Some((tp, kind)) => {
                    tracing::warn!(%tp, ?kind, path = %entry.path().display(), "folder left alone");
                }
                None => {
                    tracing::warn!(path = %entry.path().display(), "not a partition folder, left alone");
                }
            }
        }
        Ok(folders)
    }

    /// The log of a partition.
    pub fn log(&self, tp: &TopicPartition) -> Option<Arc<Log>> {
        self.logs.read().get(tp).cloned()
    }

    /// All logs, in no order.
    pub fn logs(&self) -> Vec<Arc<Log>> {
        self.logs.read().values().cloned().collect()
    }

    /// All logs and the copies that are to replace some of them.
    fn all_logs(&self) -> Vec<Arc<Log>> {
        let mut logs = self.logs();
        logs.extend(self.futures.read().values().cloned());
        logs
    }

    /// Takes a partition out of service: its folder is renamed to `…-delete` and removed after the delay.
    /// Returns the log; reads on it may go on. The caller writes the checkpoints
    /// ([`LogManager::checkpoint_after_removal`]) once for many.
    pub fn delete_log(&self, tp: &TopicPartition) -> Result<Option<Arc<Log>>, LogError> {
        let _changing = self.changing.lock();
        self.preferred.lock().remove(tp);
        let Some(log) = self.logs.write().remove(tp) else {
            return Ok(None);
        };
        let path = log.rename_folder(&names::delete_dir(tp), true)?;
        self.doom(path, &log);
        Ok(Some(log))
    }

    /// Has a folder removed after the delay.
    fn doom(&self, path: PathBuf, log: &Arc<Log>) {
        let delay_ms = self.config.file_delete_delay_ms;
        self.doomed.lock().push_back(Doomed {
            due_ms: self.clock.wall_ms().saturating_add(delay_ms),
            path,
            dir: log.dir().clone(),
            _log: Some(Arc::clone(log)),
        });
    }

    /// Sets a partition aside that the cluster does not know or has not assigned to this broker: its folder is
    /// renamed to `…-stray` and kept. Returns the new path.
    pub fn set_aside_stray(&self, tp: &TopicPartition) -> Result<Option<PathBuf>, LogError> {
        let _changing = self.changing.lock();
        let Some(log) = self.logs.write().remove(tp) else {
            return Ok(None);
        };
        put_aside(&log).map(Some)
    }

    /// Drops removed partitions from the checkpoints.
    pub fn checkpoint_after_removal(&self) {
        self.checkpoint_recovery_points();
        self.checkpoint_log_start_offsets();
        self.checkpoint_high_watermarks();
    }

    /// Cuts a log, then writes the recovery point: a later crash must not take the records that replace the cut
    /// ones for safe.
    pub fn truncate_log(&self, log: &Log, offset: i64) -> Result<bool, LogError> {
        let truncated = log.truncate_to(offset)?;
        if truncated {
            self.checkpoint_recovery_points();
        }
        Ok(truncated)
    }

    /// Empties a log, see [`Log::truncate_fully_and_start_at`], then writes the recovery point.
    pub fn restart_log(
        &self,
        log: &Log,
        offset: i64,
        log_start_offset: Option<i64>,
    ) -> Result<(), LogError> {
        log.truncate_fully_and_start_at(offset, log_start_offset)?;
        self.checkpoint_recovery_points();
        Ok(())
    }

    /// The folders.
    pub fn dirs(&self) -> Vec<LogDirInfo> {
        self.dirs
            .iter()
            .map(|dir| {
                let (total_bytes, usable_bytes) = volume_bytes(dir.path());
                LogDirInfo {
                    path: dir.path().to_owned(),
                    id: dir.id,
                    is_offline: dir.context.dir.is_offline(),
                    total_bytes,
                    usable_bytes,
                }
            })
            .collect()
    }

    /// What logs in this folder share, for a log that its owner opens: the metadata log.
    pub fn context(&self, path: &Path) -> Option<Arc<LogContext>> {
        self.dirs
            .iter()
            .find(|dir| dir.path() == path)
            .map(|dir| dir.context.clone())
    }

    /// The id of the folder that holds a log.
    pub fn directory_id(&self, log: &Log) -> Option<Uuid> {
        self.dirs
            .iter()
            .find(|dir| dir.path() == log.dir().path())
            .and_then(|dir| dir.id)
    }

    /// Folders out of service; changes whenever one more fails.
    pub fn watch_failures(&self) -> watch::Receiver<Vec<PathBuf>> {
        self.failures.subscribe()
    }

    /// Flushes what rolling and `flush.ms` ask for, and writes pending small files. Called about once a second.
    pub fn flush_dirty(&self) {
        let now_ms = self.clock.wall_ms();
        for log in self.all_logs() {
            if let Err(error) = log.flush_if_needed(now_ms)
                && !log.is_retired()
            {
                tracing::error!(tp = %log.topic_partition(), %error, "cannot flush");
            }
        }
    }

    /// Applies retention to all logs (every `log.retention.check.interval.ms`). Returns how many segments went.
    pub fn delete_old_segments(&self) -> usize {
        let mut deleted = 0;
        for log in self.all_logs() {
            match log.delete_old_segments() {
                Ok(count) => deleted += count,
                Err(error) => {
                    tracing::error!(tp = %log.topic_partition(), %error, "cannot apply retention");
                }
            }
        }
        deleted
    }

    /// Removes files and folders whose delay has passed. Called about once a second.
    pub fn cleanup_expired(&self) {
        let now_ms = self.clock.wall_ms();
        for dir in &self.dirs {
            if let Err(error) = dir.context.deletions.remove_due(now_ms) {
                dir.context
                    .dir
                    .fail("cannot remove deleted segments", &error);
            }
        }
        let mut due = Vec::new();
        {
            let mut doomed = self.doomed.lock();
            while doomed.front().is_some_and(|folder| folder.due_ms <= now_ms) {
                due.extend(doomed.pop_front());
            }
        }
        for folder in due {
            if let Err(error) = fsx::ignore_not_found(std::fs::remove_dir_all(&folder.path)) {
                folder.dir.fail("cannot remove a deleted partition", &error);
            }
        }
    }

    /// Forgets producers that were silent for too long (every `producer.id.expiration.check.interval.ms`).
    pub fn remove_expired_producers(&self) {
        let now_ms = self.clock.wall_ms();
        self.all_logs()
            .iter()
            .for_each(|log| log.remove_expired_producers(now_ms));
    }

    /// Writes `recovery-point-offset-checkpoint` (every `log.flush.offset.checkpoint.interval.ms`).
    pub fn checkpoint_recovery_points(&self) {
        self.checkpoint(checkpoint::RECOVERY_POINT, |log| Some(log.recovery_point()));
    }

    /// Writes `log-start-offset-checkpoint`: logs that start inside of a segment.
    pub fn checkpoint_log_start_offsets(&self) {
        self.checkpoint(checkpoint::LOG_START, |log| {
            let start = log.log_start_offset();
            (start > log.first_segment_base_offset()).then_some(start)
        });
    }

    /// Writes `replication-offset-checkpoint` (every `replica.high.watermark.checkpoint.interval.ms`).
    pub fn checkpoint_high_watermarks(&self) {
        self.checkpoint(checkpoint::HIGH_WATERMARK, |log| Some(log.high_watermark()));
    }

    /// Writes a checkpoint in each folder in service, unless it would say the same as last time.
    fn checkpoint(&self, file: &'static str, offset_of: impl Fn(&Log) -> Option<i64>) {
        let logs = self.all_logs();
        for dir in self.dirs.iter().filter(|dir| !dir.context.dir.is_offline()) {
            let mut written = dir.written.lock();
            let offsets: Vec<(&TopicPartition, i64)> = logs
                .iter()
                .filter(|log| Arc::ptr_eq(log.dir(), &dir.context.dir))
                .filter_map(|log| Some((log.topic_partition(), offset_of(log)?)))
                .collect();
            let mut hasher = DefaultHasher::new();
            offsets.hash(&mut hasher);
            let hash = hasher.finish();
            if written.get(file) == Some(&hash) {
                // A folder that is gone has to be noticed without a write, too.
                if let Err(error) = std::fs::metadata(dir.path().join(file)) {
                    let what = format!("cannot find {file}");
                    dir.context.dir.fail(&what, &error);
                }
                continue;
            }
            let offsets = offsets.into_iter().map(|(tp, offset)| (tp.clone(), offset));
            match checkpoint::write_offsets(&dir.path().join(file), offsets) {
                Ok(()) => {
                    written.insert(file, hash);
                }
                Err(error) => {
                    dir.context
                        .dir
                        .fail(&format!("cannot write {file}"), &error);
                }
            }
        }
    }

    /// Lets go of the folders as the end of the process would.
    #[cfg(any(test, feature = "testing"))]
    pub fn abandon(&self) {
        self.dirs.iter().for_each(|dir| *dir.lock.lock() = None);
    }

    /// Flushes and closes all logs, writes the checkpoints and, where all went well, the clean-shutdown marker;
    /// releases the locks. Returns whether all folders were shut down in order.
    pub fn shutdown(&self, broker_epoch: i64) -> bool {
        let logs = self.all_logs();
        let failed: Mutex<HashSet<PathBuf>> = Mutex::new(HashSet::new());
        let next = Mutex::new(logs.iter());
        let work = || {
            loop {
                let Some(log) = next.lock().next() else { break };
                if let Err(error) = log.close() {
                    tracing::error!(tp = %log.topic_partition(), %error, "cannot close a log");
                    failed.lock().insert(log.dir().path().to_owned());
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.config.num_recovery_threads_per_data_dir.max(1) {
                scope.spawn(work);
            }
            work();
        });
        self.checkpoint_recovery_points();
        self.checkpoint_log_start_offsets();
        self.checkpoint_high_watermarks();
        let failed = failed.into_inner();
        let mut all_clean = true;
        for dir in &self.dirs {
            let clean = dir.loaded.load(Ordering::Acquire)
                && !dir.context.dir.is_offline()
                && !failed.contains(dir.path());
            let marked = clean && clean_shutdown::write(dir.path(), broker_epoch).is_ok();
            all_clean &= marked;
            *dir.lock.lock() = None;
        }
        all_clean
    }
}

/// Renames a log's folder to `…-stray`.
fn put_aside(log: &Log) -> Result<PathBuf, LogError> {
    log.flush(true)?;
    log.rename_folder(&names::stray_dir(log.topic_partition()), true)
}

fn open_dir(
    path: &Path,
    config: &LogManagerConfig,
    clock: &Arc<dyn Clock>,
    failures: &watch::Sender<Vec<PathBuf>>,
) -> io::Result<Dir> {
    let log_dir = LogDir::new(path);
    let sender = failures.clone();
    log_dir.set_failure_listener(Box::new(move |path, _| {
        sender.send_modify(|failed| failed.push(path.to_owned()));
    }));
    let context = LogContext::new(clock.clone(), log_dir.clone());
    context
        .producer_id_expiration_ms
        .store(config.producer_id_expiration_ms, Ordering::Relaxed);
    context
        .transaction_verification_enable
        .store(config.transaction_verification_enable, Ordering::Relaxed);
    let prepared = create_dir(path)
        .and_then(|()| DirLock::acquire(path))
        .and_then(|lock| Ok((lock, MetaProperties::read(path)?)));
    let (lock, id) = match prepared {
        Ok((lock, properties)) => (
            Some(lock),
            properties.and_then(|properties| properties.directory_id),
        ),
        Err(error) => {
            let kind = error.kind();
            if [io::ErrorKind::WouldBlock, io::ErrorKind::InvalidData].contains(&kind) {
                return Err(error);
            }
            log_dir.fail("cannot use log directory", &error);
            (None, None)
        }
    };
    Ok(Dir {
        context,
        id,
        previous_broker_epoch: clean_shutdown::broker_epoch(path),
        lock: Mutex::new(lock),
        loaded: AtomicBool::new(false),
        written: Mutex::new(HashMap::new()),
    })
}

fn create_dir(path: &Path) -> io::Result<()> {
    if !path.exists() {
        std::fs::create_dir_all(path)?;
        if let Some(parent) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            fsx::fsync_dir(parent)?;
        }
    }
    std::fs::read_dir(path).map(|_| ())
}

/// Size of the volume and what may still be written, in bytes; -1 when it cannot be told.
fn volume_bytes(path: &Path) -> (i64, i64) {
    let Ok(stat) = rustix::fs::statvfs(path) else {
        return (-1, -1);
    };
    let bytes =
        |blocks: u64| i64::try_from(blocks.saturating_mul(stat.f_frsize)).unwrap_or(i64::MAX);
    (bytes(stat.f_blocks), bytes(stat.f_bavail))
}

mod placement;
#[cfg(test)]
mod tests;
