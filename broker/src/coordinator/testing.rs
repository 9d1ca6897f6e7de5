//! A log in memory, and a coordinator on top of it, for tests.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::record::batch::{Batch, batches, set_base_offset, set_partition_leader_epoch};
use kafka_shared::time::Clock;
use kafka_shared::types::TopicPartition;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::*;

/// tokio's time, which tests move.
#[derive(Debug)]
pub(crate) struct TokioClock(pub(crate) tokio::time::Instant);

impl Clock for TokioClock {
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn wall_ms(&self) -> i64 {
        1_800_000_000_000 + self.monotonic_ms()
    }
}

#[derive(Debug)]
pub(crate) struct MemoryState {
    pub(crate) batches: Vec<Bytes>,
    pub(crate) end: i64,
    pub(crate) fail: Option<ErrorCode>,
    pub(crate) commits: bool,
    pub(crate) is_leader: bool,
}

/// One partition in memory; the others are not led here.
#[derive(Debug)]
pub(crate) struct MemoryLog {
    pub(crate) state: Mutex<MemoryState>,
    pub(crate) high_watermark: Mutex<Option<watch::Sender<i64>>>,
    pub(crate) max_batch_bytes: usize,
}

impl MemoryLog {
    pub(crate) fn new(max_batch_bytes: usize) -> Arc<Self> {
        let state = MemoryState {
            batches: Vec::new(),
            end: 0,
            fail: None,
            commits: true,
            is_leader: true,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            high_watermark: Mutex::new(Some(watch::Sender::new(0))),
            max_batch_bytes,
        })
    }

    pub(crate) fn commit(&self) {
        let end = self.state.lock().end;
        if let Some(sender) = &*self.high_watermark.lock() {
            sender.send_replace(end);
        }
    }

    /// Appends as somebody else.
    pub(crate) fn intrude(&self, batch: &[u8]) -> i64 {
        let mut state = self.state.lock();
        let mut batch = BytesMut::from(batch);
        set_base_offset(&mut batch, state.end).unwrap();
        set_partition_leader_epoch(&mut batch, 3).unwrap();
        state.end = Batch::parse(&batch).unwrap().next_offset();
        state.batches.push(batch.freeze());
        state.end
    }

    /// A log with these batches.
    pub(crate) fn with_batches(data: &[u8]) -> Arc<Self> {
        let log = Self::new(1 << 20);
        for batch in batches(data) {
            log.intrude(batch.unwrap().bytes());
        }
        log.commit();
        log
    }

    pub(crate) fn batch_sizes(&self) -> Vec<i32> {
        let state = self.state.lock();
        state
            .batches
            .iter()
            .map(|batch| Batch::parse(batch).unwrap().record_count())
            .collect()
    }
}

impl PartitionWriter for MemoryLog {
    fn append(
        &self,
        _: &TopicPartition,
        leader_epoch: i32,
        batch: BytesMut,
    ) -> Result<i64, ApiError> {
        assert_eq!(leader_epoch, 3);
        if batch.len() > self.max_batch_bytes {
            return Err(ErrorCode::MESSAGE_TOO_LARGE.into());
        }
        if let Some(error) = self.state.lock().fail.take() {
            return Err(error.into());
        }
        let end = self.intrude(&batch);
        if self.state.lock().commits {
            self.commit();
        }
        Ok(end)
    }

    fn high_watermark(&self, _: &TopicPartition) -> Result<watch::Receiver<i64>, ApiError> {
        let sender = self.high_watermark.lock();
        let sender = sender.as_ref().filter(|_| self.state.lock().is_leader);
        sender
            .map(watch::Sender::subscribe)
            .ok_or(ErrorCode::NOT_LEADER_OR_FOLLOWER.into())
    }

    fn log_range(&self, _: &TopicPartition) -> Result<LogRange, ApiError> {
        Ok(LogRange {
            log_start_offset: 0,
            log_end_offset: self.state.lock().end,
        })
    }

    fn read(&self, _: &TopicPartition, start: i64, max_bytes: usize) -> Result<Bytes, ApiError> {
        let mut out = Vec::new();
        for batch in &self.state.lock().batches {
            if Batch::parse(batch).unwrap().last_offset() < start {
                continue;
            }
            if !out.is_empty() && out.len() + batch.len() > max_bytes {
                break;
            }
            out.extend_from_slice(batch);
        }
        Ok(out.into())
    }

    fn max_batch_bytes(&self, _: &TopicPartition) -> usize {
        self.max_batch_bytes
    }
}

/// The coordinator of a single partition over `log`, once it serves.
pub(crate) async fn start(
    log: &Arc<MemoryLog>,
    config: GroupCoordinatorConfig,
) -> Arc<GroupCoordinator> {
    let clock = Arc::new(TokioClock(tokio::time::Instant::now()));
    let coordinator = GroupCoordinator::new(config, Arc::clone(log) as _, clock);
    coordinator.set_partition_count(1);
    coordinator.on_election(0, 3);
    until_active(&coordinator).await;
    coordinator
}

pub(crate) async fn until_active(coordinator: &GroupCoordinator) {
    let wait = async {
        while coordinator.list_groups(vec![], vec![]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .unwrap();
}

pub(crate) fn quick() -> GroupCoordinatorConfig {
    GroupCoordinatorConfig {
        group_initial_rebalance_delay_ms: 100,
        ..Default::default()
    }
}
