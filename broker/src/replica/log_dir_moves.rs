//! Moves replicas between the log directories of this broker.
//!
//! ```text
//! copying     the copy follows the log
//! asking      it has caught up; the controller is told the new directory (since metadata.version 3.7-IV2)
//! swapping    the metadata names the new directory; as soon as the copy holds all, it is the log
//! ```
//!
//! A move that is given up after the controller was asked has the old directory told again. A crash
//! leaves the copy in its folder; the next start goes on with it.
//!
//! The table of moves is changed under the lock of the replica manager's changes; a move's own lock is
//! held for a step of it, so that nothing happens to it once it is given up.
//!
//! Kafka: `ReplicaManager.alterReplicaLogDirs`, `ReplicaAlterLogDirsManager.scala`,
//! `ReplicaAlterLogDirsThread.scala` (4.3), KIP-113, KIP-858.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use kafka_shared::error::ErrorCode;
use kafka_shared::task;
use kafka_shared::time::Clock;
use kafka_shared::types::{TopicPartition, Uuid};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::ReplicaManager;
use super::directories::DirectoryAssignments;
use super::fetcher::PartitionKey;
use super::partition::{CopyStep, Partition};
use super::quota::ReplicationQuota;
use crate::log::manager::LogManager;
use crate::log::{Log, LogError, names};
use crate::metadata::MetadataHandle;
use crate::metadata::records::DIRECTORY_ASSIGNMENT_SINCE;

/// How long moves rest that have nothing to copy.
const REST: Duration = Duration::from_millis(100);

/// One replica on its way to another directory.
#[derive(Debug)]
struct Move {
    key: PartitionKey,
    partition: Arc<Partition>,
    future: Arc<Log>,
    source: Option<Uuid>,
    target: Option<Uuid>,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// The controller was told the new directory.
    is_asked: bool,
    is_over: bool,
}

/// What one look at a move has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There may be more to do at once.
    Worked,
    Waits,
    Over,
    /// Its disk has failed, or a log refuses for good.
    Failed,
}

/// The replicas that are being moved.
#[derive(Debug)]
pub struct LogDirMoves {
    moves: Mutex<BTreeMap<PartitionKey, Arc<Move>>>,
    changed: Notify,
    is_stopped: AtomicBool,
    pub(super) quota: ReplicationQuota,
}

impl LogDirMoves {
    /// `n_samples` and `sample_ms` are those of `alter.log.dirs.replication.quota.window.num` and
    /// `…size.seconds`.
    pub(super) fn new(n_samples: usize, sample_ms: i64) -> Self {
        Self {
            moves: Mutex::default(),
            changed: Notify::new(),
            is_stopped: AtomicBool::new(false),
            quota: ReplicationQuota::new(n_samples, sample_ms),
        }
    }

    /// The directory that a replica is on its way to.
    pub fn target(&self, key: &PartitionKey) -> Option<Uuid> {
        self.moves.lock().get(key)?.target
    }

    /// How many replicas are on their way.
    pub fn len(&self) -> usize {
        self.moves.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.moves.lock().is_empty()
    }

    fn all(&self) -> Vec<Arc<Move>> {
        self.moves.lock().values().cloned().collect()
    }

    fn begin(&self, logs: &LogManager, partition: &Arc<Partition>, future: Arc<Log>) {
        let key = PartitionKey {
            topic_id: partition.topic_id(),
            partition: partition.topic_partition().partition,
        };
        let mut moves = self.moves.lock();
        if moves.contains_key(&key) {
            return;
        }
        partition.set_future_log(Some(Arc::clone(&future)));
        let relocation = Move {
            key,
            partition: Arc::clone(partition),
            source: logs.directory_id(&partition.log()),
            target: logs.directory_id(&future),
            future,
            progress: Mutex::default(),
        };
        moves.insert(key, Arc::new(relocation));
        self.changed.notify_one();
    }

    /// Ends a move, in whatever state it is, once the step of it that is under way has come to its end. Returns
    /// the directory that the controller is to be told again.
    fn end(&self, key: &PartitionKey) -> Option<Uuid> {
        let ended = self.moves.lock().remove(key)?;
        let mut progress = ended.progress.lock();
        if std::mem::replace(&mut progress.is_over, true) {
            return None;
        }
        ended.partition.set_future_log(None);
        ended.source.filter(|_| progress.is_asked)
    }

    /// From here on nothing is copied or swapped. Waits for the steps that are under way.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        for relocation in self.all() {
            relocation.progress.lock().is_over = true;
        }
    }
}

/// What carries the moves out.
#[derive(Debug, Clone)]
pub(super) struct Mover {
    pub(super) node_id: i32,
    pub(super) threads: usize,
    /// `replica.fetch.max.bytes`.
    pub(super) max_bytes: usize,
    pub(super) moves: Arc<LogDirMoves>,
    pub(super) logs: Arc<LogManager>,
    pub(super) metadata: MetadataHandle,
    pub(super) assignments: Arc<DirectoryAssignments>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Mover {
    /// Carries out all moves, for ever.
    pub(super) async fn run(self) {
        loop {
            let all = self.moves.all();
            if all.is_empty() {
                self.moves.changed.notified().await;
                continue;
            }
            let threads = self.threads.clamp(1, all.len());
            let shares = (0..threads).map(|thread| {
                let share = all.iter().skip(thread).step_by(threads);
                let (mover, share) = (self.clone(), share.cloned().collect::<Vec<_>>());
                task::spawn_blocking("alter-log-dirs", move || {
                    share
                        .iter()
                        .fold(false, |worked, each| mover.advance(each) | worked)
                })
            });
            let worked = join_all(shares).await;
            if !worked.iter().any(|worked| matches!(worked, Ok(true))) {
                tokio::time::sleep(REST).await;
            }
        }
    }

    /// A step of one move. Returns whether there may be more to do at once.
    fn advance(&self, relocation: &Move) -> bool {
        let step = {
            let mut progress = relocation.progress.lock();
            if progress.is_over || self.moves.is_stopped.load(Ordering::Acquire) {
                return false;
            }
            let step = self.step(relocation, &mut progress);
            // A move whose disk has failed is ended by whoever looks after the directories.
            progress.is_over = step == Step::Over;
            step
        };
        if step == Step::Over {
            self.moves.moves.lock().remove(&relocation.key);
            self.logs.settle_promotion();
        }
        matches!(step, Step::Worked | Step::Over)
    }

    fn step(&self, relocation: &Move, progress: &mut Progress) -> Step {
        let now_ms = self.clock.wall_ms();
        if self.moves.quota.is_exceeded(now_ms) {
            return Step::Waits;
        }
        let Move {
            partition, future, ..
        } = relocation;
        match partition.copy_to_future(&self.logs, future, self.max_bytes) {
            Ok(CopyStep::Advanced(bytes)) => {
                self.moves.quota.record(bytes, now_ms);
                return Step::Worked;
            }
            Ok(CopyStep::Waits) => return Step::Waits,
            Ok(CopyStep::CaughtUp) => {}
            // The log has moved meanwhile.
            Err(LogError::OffsetOutOfRange { .. } | LogError::UnexpectedAppendOffset { .. }) => {
                return Step::Waits;
            }
            Err(error) => {
                let tp = partition.topic_partition();
                tracing::warn!(partition = %tp, %error, "cannot copy to the other log directory");
                return Step::Failed;
            }
        }
        if !self.is_agreed(relocation, progress) {
            return Step::Waits;
        }
        // What is to stay alone has to be on disk as the log was.
        //
        // Differs from Kafka, which swaps first and flushes when it comes to it.
        let swapped = future
            .flush(false)
            .and_then(|()| partition.replace_by_future(&self.logs, future));
        match swapped {
            Ok(true) => {
                let dir = future.dir().path().display();
                tracing::info!(partition = %partition.topic_partition(), %dir, "moved the replica");
                Step::Over
            }
            Ok(false) => Step::Worked,
            Err(error) => {
                let tp = partition.topic_partition();
                tracing::error!(partition = %tp, %error, "cannot swap the log directories");
                Step::Failed
            }
        }
    }

    /// Whether the metadata has the replica in the new directory, or does not say where replicas are; asks for it
    /// otherwise.
    fn is_agreed(&self, relocation: &Move, progress: &mut Progress) -> bool {
        let image = self.metadata.image();
        let Some(target) = relocation.target else {
            return true;
        };
        if image.features.metadata_version < DIRECTORY_ASSIGNMENT_SINCE {
            return true;
        }
        let PartitionKey {
            topic_id,
            partition,
        } = relocation.key;
        let registration = image.topics.partition_by_id(topic_id, partition);
        let known = registration.and_then(|registration| registration.directory(self.node_id));
        if known == Some(target) {
            // The record may be older than this process, which then has not asked.
            progress.is_asked = true;
            return true;
        }
        if known.is_some() && !std::mem::replace(&mut progress.is_asked, true) {
            self.assignments.submit(relocation.key, target);
        }
        false
    }
}

impl ReplicaManager {
    /// Begins to move a replica to the log directory at this path, or takes note of it for a replica that is
    /// not here yet. Works on files.
    ///
    /// # Errors
    /// `LOG_DIR_NOT_FOUND`, `KAFKA_STORAGE_ERROR` when a directory is out of service,
    /// `INVALID_REPLICA_ASSIGNMENT` for a cordoned one, `INVALID_TOPIC_EXCEPTION` when the topic's name is too
    /// long, `REPLICA_NOT_AVAILABLE` when the replica is not here.
    pub fn alter_log_dir(&self, tp: &TopicPartition, path: &Path) -> Result<(), ErrorCode> {
        let _changing = self.changing.lock();
        if names::future_dir(tp).is_none() {
            return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        let (path, is_online) = self
            .logs
            .find_dir(path)
            .ok_or(ErrorCode::LOG_DIR_NOT_FOUND)?;
        if !is_online {
            return Err(ErrorCode::KAFKA_STORAGE_ERROR);
        }
        if self.logs.is_cordoned(&path) {
            return Err(ErrorCode::INVALID_REPLICA_ASSIGNMENT);
        }
        let hosted = self.topics().by_name(&tp.topic).cloned();
        let Some(hosted) = hosted
            .as_ref()
            .and_then(|topic| topic.partition(tp.partition))
        else {
            self.logs.prefer_dir(tp, &path);
            return Err(ErrorCode::REPLICA_NOT_AVAILABLE);
        };
        let partition = hosted.online()?;
        if let Some(future) = partition.future_log()
            && future.dir().path() != path
        {
            self.give_up_move(&partition)?;
        }
        match self.logs.create_future_log(tp, &path) {
            Ok(Some(future)) => self.moves.begin(&self.logs, &partition, future),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(partition = %tp, %error, "cannot move the replica");
                return Err(error.code());
            }
        }
        Ok(())
    }

    /// Ends a move and removes the copy.
    fn give_up_move(&self, partition: &Partition) -> Result<(), ErrorCode> {
        let key = PartitionKey {
            topic_id: partition.topic_id(),
            partition: partition.topic_partition().partition,
        };
        self.end_move(&key);
        let deleted = self.logs.delete_future_log(partition.topic_partition());
        deleted.map_err(|error| error.code())
    }

    /// Ends a move, if there is one; the copy stays.
    pub(super) fn end_move(&self, key: &PartitionKey) {
        if let Some(source) = self.moves.end(key) {
            self.directory_assignments.submit(*key, source);
        }
    }

    /// Goes on with a move that the last life of this broker has left behind.
    pub(super) fn resume_move(&self, partition: &Arc<Partition>) {
        let tp = partition.topic_partition();
        let Some(future) = self.logs.future_log(tp) else {
            return;
        };
        let is_sound = future
            .topic_id()
            .is_none_or(|id| id == partition.topic_id())
            && future.dir().path() != partition.log().dir().path();
        if !is_sound {
            tracing::warn!(partition = %tp, "a copy that replaces nothing is removed");
            if let Err(error) = self.logs.delete_future_log(tp) {
                tracing::error!(partition = %tp, %error, "could not remove the copy");
            }
        } else if !future.dir().is_offline() {
            self.moves.begin(&self.logs, partition, future);
        }
    }

    /// Makes a copy the log of a replica that has no other, where the metadata says that it is the one: a crash
    /// came between the two renames, or the old directory is gone.
    ///
    // Differs from Kafka: where the old log is there too, it stays, and the move goes on. The copy may
    // lack what was acknowledged after the controller was asked.
    pub(super) fn recover_future_log(&self, tp: &TopicPartition, topic_id: Uuid, directory: Uuid) {
        let Some(future) = self.logs.future_log(tp) else {
            return;
        };
        let is_named = self.logs.directory_id(&future) == Some(directory)
            && future.topic_id() == Some(topic_id);
        if !is_named || self.logs.log(tp).is_some() || future.dir().is_offline() {
            return;
        }
        match self.logs.promote_future_log(tp) {
            Ok(log) => {
                self.logs.settle_promotion();
                let path = log.path();
                tracing::warn!(partition = %tp, path = %path.display(), "recovered a copy as the log");
            }
            Err(error) => {
                tracing::error!(partition = %tp, %error, "could not recover a copy");
            }
        }
    }

    /// Ends the moves from and to directories that are out of service.
    pub(super) fn end_moves_of_failed_dirs(&self) {
        let _changing = self.changing.lock();
        for relocation in self.moves.all() {
            let is_lost = relocation.future.dir().is_offline();
            if !is_lost && !relocation.partition.log().dir().is_offline() {
                continue;
            }
            self.end_move(&relocation.key);
            if is_lost {
                // Its folder stays; only the table forgets it.
                drop(
                    self.logs
                        .delete_future_log(relocation.partition.topic_partition()),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
