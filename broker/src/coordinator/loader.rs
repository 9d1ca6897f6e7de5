//! Reads a partition of `__consumer_offsets` from its start to its end into a new shard.
//!
//! Blocks on the disk, so it runs on a blocking thread. What it holds at once is one read of
//! `offsets.load.buffer.size` and one decompressed batch. A record of a type that we know but can't
//! read fails the load: going on would lose what it says.
//!
//! Kafka: coordinator-common `CoordinatorLoaderImpl` (4.3).

use std::sync::atomic::{AtomicBool, Ordering};

use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::record::batch::{Batch, batches};
use kafka_shared::record::control::ControlRecordType;
use kafka_shared::record::iter::records;
use kafka_shared::types::TopicPartition;
use tokio::sync::watch;

use super::PartitionWriter;
use super::group::{GroupShard, Record};

/// The most that one batch may take when it is decompressed.
const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A shard with all that the log holds.
#[derive(Debug)]
pub struct Loaded {
    /// The shard; nothing was scheduled yet.
    pub shard: GroupShard,
    /// The end of the log, exclusive.
    pub log_end_offset: i64,
    /// How many records were read.
    pub record_count: u64,
}

/// Loads a partition. `stop` ends it early, with NOT_COORDINATOR.
///
/// # Errors
/// Those of [`PartitionWriter::read`]; CORRUPT_MESSAGE when a batch or record can't be read.
pub fn load(
    writer: &dyn PartitionWriter,
    partition: &TopicPartition,
    high_watermark: &watch::Receiver<i64>,
    buffer_bytes: usize,
    stop: &AtomicBool,
) -> Result<Loaded, ApiError> {
    let mut shard = GroupShard::default();
    let mut record_count = 0;
    let mut offset = writer.log_range(partition)?.log_start_offset;
    loop {
        // The end is asked for anew: until the load is over others may append, as a follower does.
        let log_end_offset = writer.log_range(partition)?.log_end_offset;
        if offset >= log_end_offset {
            shard.advance_committed(*high_watermark.borrow());
            return Ok(Loaded {
                shard,
                log_end_offset,
                record_count,
            });
        }
        let data = writer.read(partition, offset, buffer_bytes)?;
        let before = offset;
        for batch in batches(&data) {
            if stop.load(Ordering::Relaxed) {
                return Err(ApiError::from(ErrorCode::NOT_COORDINATOR));
            }
            let batch = batch.map_err(|error| corrupt(partition, offset, &error))?;
            if batch.last_offset() < offset {
                continue;
            }
            record_count += replay(&mut shard, &batch, offset)
                .map_err(|error| corrupt(partition, batch.base_offset(), &error))?;
            offset = batch.next_offset();
            shard.advance_committed((*high_watermark.borrow()).min(offset));
        }
        if offset == before {
            // The end of the log is ahead of what can be read: an appender is at work.
            return Err(ApiError::new(
                ErrorCode::KAFKA_STORAGE_ERROR,
                format!("nothing can be read of {partition} at offset {offset}"),
            ));
        }
    }
}

fn corrupt(partition: &TopicPartition, offset: i64, error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(
        ErrorCode::CORRUPT_MESSAGE,
        format!("{partition} can't be read at offset {offset}: {error}"),
    )
}

/// Applies the records of a batch from `start_offset` on; returns how many.
fn replay(
    shard: &mut GroupShard,
    batch: &Batch<'_>,
    start_offset: i64,
) -> Result<u64, Box<dyn std::error::Error>> {
    batch.check_crc()?;
    let producer_id = batch.is_transactional().then(|| batch.producer_id());
    let mut count = 0;
    for record in records(batch, BATCH_BYTES_MAX)?.iter() {
        let record = record?;
        if record.offset < start_offset {
            continue;
        }
        count += 1;
        let Some(key) = record.key else {
            tracing::warn!(offset = record.offset, "a record without a key is skipped");
            continue;
        };
        if batch.is_control() {
            let is_commit = match ControlRecordType::parse_key(key)? {
                ControlRecordType::Commit => true,
                ControlRecordType::Abort => false,
                _ => continue,
            };
            shard.replay_end_marker(record.offset, batch.producer_id(), is_commit);
        } else if let Some(decoded) = Record::decode(key, record.value)? {
            shard.replay(record.offset, producer_id, decoded);
        }
    }
    Ok(count)
}
