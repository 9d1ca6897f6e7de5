//! Work that comes back: flushing, retention, checkpoints, forgetting.
//!
//! Each job runs on a blocking thread, never twice at a time; a slow disk delays the next run instead
//! of piling runs up. Intervals are read once, as Kafka does: they are read-only keys.
//!
//! Kafka: `LogManager.startupWithConfigOverrides`, `ReplicaManager.startup` (4.3).

use std::{sync::Arc, time::Duration};

use kafka_shared::task;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

use crate::{config::BrokerConfig, log::manager::LogManager};

/// How often deleted files are looked for whose delay is over.
const DELETED_FILES_INTERVAL_MS: i64 = 5_000;

/// The running jobs.
#[derive(Debug)]
pub(super) struct Periodic {
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Periodic {
    /// Starts all jobs on the logs.
    pub(super) fn start(config: &BrokerConfig, logs: &Arc<LogManager>) -> Self {
        let periodic = Self {
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let first = config.log_initial_task_delay_ms;
        let job = |name, interval_ms, work: fn(&LogManager)| {
            periodic.job(name, first, interval_ms, Arc::clone(logs), work);
        };
        job(
            "retention",
            config.log_retention_check_interval_ms,
            |logs| {
                logs.delete_old_segments();
            },
        );
        job(
            "flush",
            config.log_flush_scheduler_interval_ms,
            LogManager::flush_dirty,
        );
        job(
            "recovery-points",
            config.log_flush_offset_checkpoint_interval_ms,
            LogManager::checkpoint_recovery_points,
        );
        job(
            "log-start-offsets",
            config.log_flush_start_offset_checkpoint_interval_ms,
            LogManager::checkpoint_log_start_offsets,
        );
        job(
            "deleted-files",
            DELETED_FILES_INTERVAL_MS,
            LogManager::cleanup_expired,
        );
        job(
            "expired-producers",
            config.producer_id_expiration_check_interval_ms,
            LogManager::remove_expired_producers,
        );
        let interval_ms = config.replica_high_watermark_checkpoint_interval_ms;
        periodic.job(
            "high-watermarks",
            interval_ms,
            interval_ms,
            Arc::clone(logs),
            LogManager::checkpoint_high_watermarks,
        );
        periodic.tasks.close();
        periodic
    }

    fn job(
        &self,
        name: &'static str,
        first_ms: i64,
        interval_ms: i64,
        logs: Arc<LogManager>,
        work: fn(&LogManager),
    ) {
        let stopping = self.stopping.clone();
        let running = async move {
            let mut wait = duration(first_ms);
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = sleep(wait) => {}
                }
                let logs = Arc::clone(&logs);
                if task::spawn_blocking(name, move || work(&logs))
                    .await
                    .is_err()
                {
                    error!(
                        job = name,
                        "a periodic job panicked; it will be tried again"
                    );
                }
                wait = duration(interval_ms);
            }
        };
        drop(task::spawn(name, self.tasks.track_future(running)));
    }

    /// Lets running jobs finish and starts none again.
    pub(super) async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.wait().await;
    }
}

/// At least a millisecond, so that no job spins, and at most what a timer can express.
fn duration(ms: i64) -> Duration {
    const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1000;
    Duration::from_millis(u64::try_from(ms.clamp(1, YEAR_MS)).unwrap_or(1))
}
