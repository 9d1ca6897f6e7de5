//! Metadata records as record batches: magic 2, no compression, key null, value the framed record.
//!
//! Used for the log and for snapshots. Readers don't trust lengths; a batch holds at most
//! [`BATCH_BYTES_MAX`] of records.
//!
//! Kafka: `server-common/serialization/AbstractApiMessageSerde.java`,
//! `raft/internals/{BatchBuilder,RecordsIterator}.java` (4.3).

use bytes::Bytes;
use kafka_shared::record::batch::{Batch, batches};
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::control::ControlRecord;
use kafka_shared::record::iter::records;
use kafka_shared::schema::metadata::MetadataRecord;

use super::records::record_version;

/// Most bytes in one batch that a controller writes.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most records in one batch that a controller writes of a list that may be split.
pub const BATCH_RECORDS_MAX: usize = 10_000;

/// Bytes that are no metadata batches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at offset {offset}: {reason}")]
pub struct BatchError {
    /// The record's, or the batch's base offset; -1 if not even that is known.
    pub offset: i64,
    pub reason: String,
}

/// One batch with its records decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataBatch {
    pub base_offset: i64,
    /// Inclusive.
    pub last_offset: i64,
    pub epoch: i32,
    /// Milliseconds since 1970.
    pub append_time_ms: i64,
    pub size_bytes: usize,
    pub content: BatchContent,
}

/// What is in a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchContent {
    /// KRaft's own records.
    Control(Vec<ControlRecord>),
    /// Metadata, at consecutive offsets.
    Records(Vec<MetadataRecord>),
}

/// Why records can't become a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("can't encode {record}: {reason}")]
pub struct EncodeError {
    pub record: &'static str,
    pub reason: String,
}

/// Encodes records as batches at consecutive offsets.
///
/// # Errors
/// If a record can't be encoded at the version of the metadata version, or is too large for a
/// batch, or all together are, though they have to be one batch.
pub fn encode_batches(
    records: &[MetadataRecord],
    metadata_version: i16,
    base_offset: i64,
    epoch: i32,
    append_time_ms: i64,
    is_atomic: bool,
) -> Result<Vec<Bytes>, EncodeError> {
    let builder = |offset| {
        BatchBuilder::new()
            .with_base_offset(offset)
            .with_leader_epoch(epoch)
    };
    let mut done = Vec::new();
    let mut batch = builder(base_offset);
    for record in records {
        let error = |reason: String| EncodeError {
            record: record.name(),
            reason,
        };
        let version = record_version(record, metadata_version);
        let value = record.encode(version).map_err(|e| error(e.to_string()))?;
        let is_full = batch.record_count() >= BATCH_RECORDS_MAX && !is_atomic
            || batch.size_after(None, Some(&value)) > BATCH_BYTES_MAX;
        if is_full {
            if is_atomic || batch.is_empty() {
                return Err(error("the batch is too large".into()));
            }
            let next = builder(batch.next_offset());
            done.push(std::mem::replace(&mut batch, next).build());
        }
        batch
            .append(append_time_ms, None, Some(&value), &[])
            .map_err(|e| error(e.to_string()))?;
    }
    if !batch.is_empty() {
        done.push(batch.build());
    }
    Ok(done)
}

/// Encodes one batch of control records.
pub fn encode_control_batch(
    records: &[ControlRecord],
    base_offset: i64,
    epoch: i32,
    append_time_ms: i64,
) -> Bytes {
    let mut batch = BatchBuilder::new()
        .with_base_offset(base_offset)
        .with_leader_epoch(epoch)
        .with_control(true);
    for record in records {
        batch
            .append_control(append_time_ms, record)
            .expect("a few control records fit");
    }
    batch.build()
}

/// Decodes whole batches; checks their checksums.
pub fn decode_batches(bytes: &[u8]) -> impl Iterator<Item = Result<MetadataBatch, BatchError>> {
    batches(bytes).map(|batch| {
        let batch = batch.map_err(|e| BatchError {
            offset: -1,
            reason: e.to_string(),
        })?;
        decode_batch(&batch)
    })
}

fn decode_batch(batch: &Batch<'_>) -> Result<MetadataBatch, BatchError> {
    let base_offset = batch.base_offset();
    let error = |offset: i64, reason: String| BatchError { offset, reason };
    batch
        .check_crc()
        .map_err(|e| error(base_offset, e.to_string()))?;
    // Compressed metadata batches are unusual but legal, and no larger than what Kafka writes.
    let iter =
        records(batch, 2 * BATCH_BYTES_MAX).map_err(|e| error(base_offset, e.to_string()))?;
    let mut control = Vec::new();
    let mut data = Vec::new();
    for record in iter.iter() {
        let record = record.map_err(|e| error(base_offset, e.to_string()))?;
        let offset = record.offset;
        let value = record
            .value
            .ok_or_else(|| error(offset, "the value is null".into()))?;
        if batch.is_control() {
            let key = record
                .key
                .ok_or_else(|| error(offset, "the key is null".into()))?;
            let record = ControlRecord::decode(key, value);
            control.push(record.map_err(|e| error(offset, e.to_string()))?);
        } else {
            let (record, _) =
                MetadataRecord::decode(value).map_err(|e| error(offset, e.to_string()))?;
            data.push(record);
        }
    }
    Ok(MetadataBatch {
        base_offset,
        last_offset: batch.last_offset(),
        epoch: batch.partition_leader_epoch(),
        append_time_ms: batch.max_timestamp(),
        size_bytes: batch.size_in_bytes(),
        content: if batch.is_control() {
            BatchContent::Control(control)
        } else {
            BatchContent::Records(data)
        },
    })
}
