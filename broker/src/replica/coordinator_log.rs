//! The partitions that hold coordinators' state, as the coordinators see them.
//!
//! Kafka: `coordinator/group/CoordinatorPartitionWriter.scala`, `CoordinatorLoaderImpl.java` (4.3).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::types::TopicPartition;
use tokio::sync::watch;

use super::ReplicaManager;
use super::partition::Partition;
use crate::coordinator::{LogRange, PartitionWriter};
use crate::log::{AppendContext, AppendOrigin, FetchIsolation};

/// The `max.message.bytes` that is told of a partition that is not here.
const FALLBACK_BATCH_BYTES: usize = 1024 * 1024;

impl ReplicaManager {
    fn led_partition(&self, partition: &TopicPartition) -> Result<Arc<Partition>, ApiError> {
        let partition = self.partition(&partition.topic, partition.partition)?;
        partition.check_access(None, true)?;
        Ok(partition)
    }
}

impl PartitionWriter for ReplicaManager {
    fn append(
        &self,
        partition: &TopicPartition,
        leader_epoch: i32,
        batch: BytesMut,
    ) -> Result<i64, ApiError> {
        let partition = self.led_partition(partition)?;
        // The coordinator itself waits for the high watermark.
        let required_acks = 1;
        let appended = partition.append_as_leader(
            &batch,
            AppendOrigin::Coordinator,
            required_acks,
            Some(leader_epoch),
            &AppendContext::default(),
            self.clock.wall_ms(),
        )?;
        Ok(appended.info.last_offset + 1)
    }

    fn high_watermark(&self, partition: &TopicPartition) -> Result<watch::Receiver<i64>, ApiError> {
        Ok(self.led_partition(partition)?.watch_high_watermark()?)
    }

    fn log_range(&self, partition: &TopicPartition) -> Result<LogRange, ApiError> {
        let partition = self.led_partition(partition)?;
        Ok(LogRange {
            log_start_offset: partition.log().log_start_offset(),
            log_end_offset: partition.log().log_end_offset(),
        })
    }

    fn read(
        &self,
        partition: &TopicPartition,
        start_offset: i64,
        max_bytes: usize,
    ) -> Result<Bytes, ApiError> {
        let partition = self.led_partition(partition)?;
        let data = partition
            .log()
            .read(start_offset, max_bytes, FetchIsolation::LogEnd, true)?;
        data.read()
            .map_err(|error| ApiError::new(ErrorCode::KAFKA_STORAGE_ERROR, error.to_string()))
    }

    fn max_batch_bytes(&self, partition: &TopicPartition) -> usize {
        self.partition(&partition.topic, partition.partition)
            .ok()
            .and_then(|partition| usize::try_from(partition.log().config().max_message_bytes).ok())
            .unwrap_or(FALLBACK_BATCH_BYTES)
    }
}
