//! Where logs are: in which folder a new one goes, and copies that replace logs in other folders.
//!
//! A copy has a folder of its own with the suffix `-future`. When it has caught up, the log's folder is
//! renamed for deletion and then the copy's takes its name, in this order: a crash in between leaves a
//! copy alone, which the metadata names; the next start makes it the log
//! ([`LogManager::promote_future_log`]).
//!
//! Kafka: `LogManager.getOrCreateLog`, `nextLogDirs`, `replaceCurrentWithFutureLog`,
//! `recoverAbandonedFutureLogs`, KIP-113, KIP-858.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kafka_shared::error::ErrorCode;
use kafka_shared::types::{TopicPartition, Uuid};

use super::{Dir, LogManager, put_aside};
use crate::log::config::LogConfig;
use crate::log::error::LogError;
use crate::log::{Log, LogOpenOptions, fsx, names};

/// Most partitions that are not here for which a folder is remembered.
const PREFERRED_MAX: usize = 100_000;

impl LogManager {
    /// Says which folders get no new partitions, as long as there are others; `*` is for all.
    pub fn set_cordoned(&self, dirs: &[String]) {
        let is_all = dirs.iter().any(|dir| dir == "*");
        let paths = self.dirs.iter().map(|dir| dir.path().to_owned());
        let is_cordoned = |path: &PathBuf| is_all || dirs.iter().any(|dir| Path::new(dir) == path);
        *self.cordoned.write() = paths.filter(is_cordoned).collect::<HashSet<_>>();
    }

    pub fn is_cordoned(&self, path: &Path) -> bool {
        self.cordoned.read().contains(path)
    }

    /// The folder at this path, absolute or as the settings have it; whether it is in service.
    pub fn find_dir(&self, path: &Path) -> Option<(PathBuf, bool)> {
        let is_it = |dir: &&Dir| {
            dir.path() == path
                || std::path::absolute(dir.path()).is_ok_and(|absolute| absolute == path)
        };
        let dir = self.dirs.iter().find(is_it)?;
        Some((dir.path().to_owned(), !dir.context.dir.is_offline()))
    }

    /// Remembers in which folder a partition is to be made that is not here yet.
    pub fn prefer_dir(&self, tp: &TopicPartition, path: &Path) {
        let is_there = |log: Option<Arc<Log>>| log.is_some_and(|log| log.dir().path() == path);
        if is_there(self.log(tp)) || is_there(self.future_log(tp)) {
            return;
        }
        let mut preferred = self.preferred.lock();
        if preferred.len() < PREFERRED_MAX || preferred.contains_key(tp) {
            preferred.insert(tp.clone(), path.to_owned());
        }
    }

    /// The log of a partition, created when there is none: in the folder that was asked for in advance, else in
    /// the one with this id, else in the one with the fewest logs.
    ///
    /// # Errors
    /// INCONSISTENT_TOPIC_ID when there is a log of another topic with that name; LOG_DIR_NOT_FOUND for an
    /// unknown folder; storage errors.
    pub fn create_log(
        &self,
        tp: &TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
        directory_id: Option<Uuid>,
    ) -> Result<Arc<Log>, LogError> {
        let _changing = self.changing.lock();
        if let Some(log) = self.log(tp) {
            log.assign_topic_id(topic_id)?;
            return Ok(log);
        }
        let mut failed = None;
        for dir in self.dirs_for_new_log(tp, directory_id)? {
            match open_new(dir, names::partition_dir(tp), tp, topic_id, &config) {
                Ok(log) => {
                    self.logs.write().insert(tp.clone(), log.clone());
                    self.preferred.lock().remove(tp);
                    return Ok(log);
                }
                Err(error @ LogError::Storage { .. }) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failed.unwrap_or_else(|| LogError::Storage {
            message: "no log directory is in service".to_owned(),
        }))
    }

    /// The folders to try for a new log, in this order.
    fn dirs_for_new_log(
        &self,
        tp: &TopicPartition,
        directory_id: Option<Uuid>,
    ) -> Result<Vec<&Dir>, LogError> {
        let online: Vec<&Dir> = (self.dirs.iter())
            .filter(|dir| !dir.context.dir.is_offline())
            .collect();
        if let Some(path) = self.preferred.lock().get(tp)
            && let Some(dir) = online.iter().find(|dir| dir.path() == path)
        {
            return Ok(vec![*dir]);
        }
        if let Some(id) = directory_id {
            let named = online.iter().find(|dir| dir.id == Some(id));
            return named.map(|dir| vec![*dir]).ok_or_else(|| {
                let message = format!("there is no log directory {id} in service");
                LogError::rejected(ErrorCode::LOG_DIR_NOT_FOUND, message)
            });
        }
        if online.len() < 2 {
            return Ok(online);
        }
        let mut counts: HashMap<PathBuf, usize> = HashMap::new();
        for log in self.all_logs() {
            *counts.entry(log.dir().path().to_owned()).or_default() += 1;
        }
        let cordoned = self.cordoned.read();
        let mut open: Vec<&Dir> = (online.iter().copied())
            .filter(|dir| !cordoned.contains(dir.path()))
            .collect();
        open.sort_by_key(|dir| counts.get(dir.path()).copied().unwrap_or(0));
        if open.is_empty() {
            open.extend(online.first());
        }
        Ok(open)
    }

    /// The copy that is to replace a partition's log.
    pub fn future_log(&self, tp: &TopicPartition) -> Option<Arc<Log>> {
        self.futures.read().get(tp).cloned()
    }

    /// All copies, in no order.
    pub fn future_logs(&self) -> Vec<Arc<Log>> {
        self.futures.read().values().cloned().collect()
    }

    /// The copy of a partition's log in the folder at `path`, made empty when there is none; `None` when the log
    /// is there already.
    ///
    /// # Errors
    /// KAFKA_STORAGE_ERROR while a folder is out of service: it may hold another copy. INVALID_TOPIC_EXCEPTION
    /// when the name is too long, and storage errors.
    pub fn create_future_log(
        &self,
        tp: &TopicPartition,
        path: &Path,
    ) -> Result<Option<Arc<Log>>, LogError> {
        let storage = |message: String| LogError::Storage { message };
        let _changing = self.changing.lock();
        let current = self.log(tp);
        let current = current.ok_or_else(|| storage(format!("{tp} has no log in service")))?;
        if current.dir().path() == path {
            return Ok(None);
        }
        if let Some(future) = self.future_log(tp) {
            return if future.dir().path() == path {
                Ok(Some(future))
            } else {
                let other = future.dir().path().display().to_string();
                Err(storage(format!("{tp} is being moved to {other}")))
            };
        }
        if self.dirs.iter().any(|dir| dir.context.dir.is_offline()) {
            let message = "no log can be moved while a log directory is out of service";
            return Err(storage(message.to_owned()));
        }
        let dir = self.dirs.iter().find(|dir| dir.path() == path);
        let (Some(dir), Some(topic_id)) = (dir, current.topic_id()) else {
            let message = format!("there is no log directory {}", path.display());
            return Err(LogError::rejected(ErrorCode::LOG_DIR_NOT_FOUND, message));
        };
        let name = names::future_dir(tp).ok_or_else(|| {
            let message = "the name of the topic is too long";
            LogError::rejected(ErrorCode::INVALID_TOPIC_EXCEPTION, message)
        })?;
        let future = open_new(dir, name, tp, topic_id, &current.config())?;
        self.futures.write().insert(tp.clone(), future.clone());
        self.preferred.lock().remove(tp);
        Ok(Some(future))
    }

    /// Gives up a copy: its folder is removed as that of a deleted partition, unless it is out of service.
    pub fn delete_future_log(&self, tp: &TopicPartition) -> Result<(), LogError> {
        let _changing = self.changing.lock();
        let Some(log) = self.futures.write().remove(tp) else {
            return Ok(());
        };
        if log.dir().is_offline() {
            log.close_handlers();
            return Ok(());
        }
        let path = log.rename_folder(&names::delete_dir(tp), true)?;
        self.doom(path, &log);
        Ok(())
    }

    /// [`LogManager::set_aside_stray`] for a copy.
    pub fn set_aside_stray_future(&self, tp: &TopicPartition) -> Result<Option<PathBuf>, LogError> {
        let _changing = self.changing.lock();
        let Some(log) = self.futures.write().remove(tp) else {
            return Ok(None);
        };
        put_aside(&log).map(Some)
    }

    /// Makes the copy the partition's log; the old one's folder is renamed for deletion. Nobody may append to
    /// either meanwhile. The caller calls [`LogManager::settle_promotion`] right after.
    ///
    /// # Errors
    /// Storage errors; a folder that fails is out of service.
    pub fn promote_future_log(&self, tp: &TopicPartition) -> Result<Arc<Log>, LogError> {
        let _changing = self.changing.lock();
        let future = self.future_log(tp).ok_or_else(|| LogError::Storage {
            message: format!("{tp} has no copy that could replace it"),
        })?;
        let current = self.log(tp);
        future.dir().check_online()?;
        let name = names::partition_dir(tp);
        let deleted = current
            .as_ref()
            .map(|current| current.rename_folder_unsynced(&names::delete_dir(tp), true));
        let deleted = deleted.transpose()?;
        if let Err(error) = future.rename_folder_unsynced(&name, false) {
            if let Some(current) = &current {
                current.rename_folder_unsynced(&name, false)?;
                current.reopen();
            }
            return Err(error);
        }
        if let (Some(path), Some(current)) = (deleted, &current) {
            self.doom(path, current);
        }
        self.futures.write().remove(tp);
        self.logs.write().insert(tp.clone(), Arc::clone(&future));
        Ok(future)
    }

    /// Makes the renames of a promotion durable and brings the checkpoints of both folders up to date.
    pub fn settle_promotion(&self) {
        for dir in self.dirs.iter().filter(|dir| !dir.context.dir.is_offline()) {
            if let Err(error) = fsx::fsync_dir(dir.path()) {
                dir.context.dir.fail("cannot sync", &error);
            }
        }
        self.checkpoint_after_removal();
    }
}

fn open_new(
    dir: &Dir,
    name: String,
    tp: &TopicPartition,
    topic_id: Uuid,
    config: &Arc<LogConfig>,
) -> Result<Arc<Log>, LogError> {
    let options = LogOpenOptions {
        topic_id: Some(topic_id),
        clean: true,
        ..LogOpenOptions::default()
    };
    let (config, context) = (Arc::clone(config), dir.context.clone());
    Log::open(dir.path().join(name), tp.clone(), config, context, options)
}
