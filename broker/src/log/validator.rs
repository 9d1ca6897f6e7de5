//! Checks batches before they are appended, and assigns offset, leader epoch and timestamp.
//!
//! Invariants:
//! - The producer's bytes are never changed: the header is patched in a copy of its 61 bytes, the records are
//!   written from the request's own buffer. Only where the topic asks for another codec, a new batch is made.
//! - Nothing is decompressed beyond [`MAX_DECOMPRESSED_BATCH_BYTES`].
//!
//! Kafka: `LogValidator`, `UnifiedLog.analyzeAndValidateRecords`.

use bytes::Bytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::record::batch::{Batch, BatchError, BatchHeader, Batches, HEADER_LEN, batches};
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::compression::{Compression, CompressionError};
use kafka_shared::record::iter::{self, Record, RecordError as RecordsError};
use kafka_shared::record::{NO_PARTITION_LEADER_EPOCH, NO_TIMESTAMP, TimestampType};
use kafka_shared::types::TopicPartition;

use super::config::{CompressionPolicy, LogConfig};
use super::error::{LogError, RecordError};
use super::{AppendOrigin, LogOffsetMetadata};

/// Most bytes that one batch may have without compression. Kafka has no such limit; without one, a batch of
/// some kilobytes could take all memory.
pub(crate) const MAX_DECOMPRESSED_BATCH_BYTES: usize = 128 * 1024 * 1024;
/// Most refused records that are told to a producer.
const MAX_RECORD_ERRORS: usize = 1000;
const CHECKSUM_FROM: usize = 21;
const LOG_APPEND_TIME_BIT: i16 = 1 << 3;

/// What the batches of an append say before anything is assigned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Analysis {
    pub first_offset: i64,
    pub last_offset: i64,
    pub last_leader_epoch: Option<i32>,
    pub max_timestamp: i64,
    pub source_compression: Compression,
    /// Bytes of the whole batches that are to be appended.
    pub valid_bytes: usize,
}

/// Reads through the batches of an append: checksums, sizes, epochs, order. Bytes behind the last whole batch
/// are left out, and for replication the batches of a newer leader epoch than `leader_epoch`.
pub(crate) fn analyze(
    records: &[u8],
    origin: AppendOrigin,
    leader_epoch: i32,
    config: &LogConfig,
    tp: &TopicPartition,
) -> Result<Analysis, LogError> {
    let mut analysis = Analysis {
        first_offset: -1,
        last_offset: -1,
        last_leader_epoch: None,
        max_timestamp: NO_TIMESTAMP,
        source_compression: Compression::None,
        valid_bytes: 0,
    };
    let mut all = batches(records);
    while let Some(batch) = next_batch(&mut all, tp)? {
        let epoch = batch.partition_leader_epoch();
        let of_newer_leader = epoch != NO_PARTITION_LEADER_EPOCH && epoch > leader_epoch;
        if origin == AppendOrigin::Replication && of_newer_leader {
            tracing::info!(%tp, epoch, leader_epoch, "batch of a newer leader left out");
            break;
        }
        check_batch(&batch, origin, leader_epoch, config, tp)?;
        if analysis.valid_bytes == 0 {
            analysis.first_offset = batch.base_offset();
        } else if !assigns_offsets(origin) && batch.base_offset() <= analysis.last_offset {
            return Err(LogError::rejected(
                ErrorCode::UNKNOWN_SERVER_ERROR,
                format!(
                    "out of order offsets in append to {tp}: {} after {}",
                    batch.base_offset(),
                    analysis.last_offset
                ),
            ));
        }
        analysis.last_offset = batch.last_offset();
        analysis.last_leader_epoch = (epoch != NO_PARTITION_LEADER_EPOCH).then_some(epoch);
        analysis.max_timestamp = analysis.max_timestamp.max(batch.max_timestamp());
        analysis.valid_bytes += batch.size_in_bytes();
        match batch.compression() {
            Ok(Compression::None) => {}
            Ok(codec) => analysis.source_compression = codec,
            Err(error) => {
                let code = ErrorCode::UNSUPPORTED_COMPRESSION_TYPE;
                return Err(LogError::rejected(
                    code,
                    format!("{error} in append to {tp}"),
                ));
            }
        }
    }
    Ok(analysis)
}

/// Whether the log gives the records their offsets, or they come with them.
pub(crate) fn assigns_offsets(origin: AppendOrigin) -> bool {
    matches!(origin, AppendOrigin::Client | AppendOrigin::Coordinator)
}

fn next_batch<'a>(
    all: &mut Batches<'a>,
    tp: &TopicPartition,
) -> Result<Option<Batch<'a>>, LogError> {
    match all.next() {
        None | Some(Err(BatchError::Truncated { .. })) => Ok(None),
        Some(Ok(batch)) => Ok(Some(batch)),
        Some(Err(error @ BatchError::UnsupportedMagic(_))) => Err(LogError::rejected(
            ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT,
            format!("{error} in append to {tp}"),
        )),
        Some(Err(error)) => Err(corrupt(&error, tp)),
    }
}

fn corrupt(error: &BatchError, tp: &TopicPartition) -> LogError {
    LogError::rejected(
        ErrorCode::CORRUPT_MESSAGE,
        format!("{error} in append to {tp}"),
    )
}

fn check_batch(
    batch: &Batch<'_>,
    origin: AppendOrigin,
    leader_epoch: i32,
    config: &LogConfig,
    tp: &TopicPartition,
) -> Result<(), LogError> {
    let invalid = |message: String| Err(LogError::rejected(ErrorCode::INVALID_RECORD, message));
    if origin == AppendOrigin::RaftLeader && batch.partition_leader_epoch() != leader_epoch {
        let epoch = batch.partition_leader_epoch();
        return invalid(format!(
            "batch of the Raft leader has epoch {epoch}, not {leader_epoch}"
        ));
    }
    if origin == AppendOrigin::Client && batch.base_offset() != 0 {
        let offset = batch.base_offset();
        return invalid(format!(
            "The baseOffset of the record batch in the append to {tp} should be 0, but it is {offset}"
        ));
    }
    let limit = usize::try_from(config.max_message_bytes).unwrap_or(0);
    if origin != AppendOrigin::Replication && batch.size_in_bytes() > limit {
        return Err(too_large(batch.size_in_bytes(), limit, tp));
    }
    batch.check_crc().map_err(|error| corrupt(&error, tp))?;
    // An offset range that runs backwards would make the log lose its order.
    if batch.last_offset_delta() < 0 || batch.base_offset() < 0 {
        return invalid(format!(
            "Batch has an invalid offset range: [{}, {}] in append to {tp}",
            batch.base_offset(),
            batch.last_offset()
        ));
    }
    Ok(())
}

fn too_large(size: usize, limit: usize, tp: &TopicPartition) -> LogError {
    LogError::rejected(
        ErrorCode::MESSAGE_TOO_LARGE,
        format!(
            "The record batch size in the append to {tp} is {size} bytes which exceeds the maximum \
             configured value of {limit}."
        ),
    )
}

/// What the checks and the assignment need to know.
#[derive(Debug)]
pub(crate) struct Assignment<'a> {
    pub tp: &'a TopicPartition,
    pub config: &'a LogConfig,
    pub origin: AppendOrigin,
    pub leader_epoch: i32,
    /// Offset of the first record.
    pub next_offset: i64,
    pub now_ms: i64,
}

/// A batch that is ready to be written: its header, and its records where they are.
#[derive(Debug)]
pub(crate) struct AssignedBatch<'a> {
    pub header: BatchHeader,
    pub header_bytes: [u8; HEADER_LEN],
    pub payload: Payload<'a>,
    /// The largest timestamp: that of the records, or of the append.
    pub max_timestamp: i64,
}

/// The records of a batch.
#[derive(Debug)]
pub(crate) enum Payload<'a> {
    /// As the producer sent them.
    Sent(&'a [u8]),
    /// In a batch that was made anew; its header included.
    Rebuilt(Bytes),
}

impl Payload<'_> {
    /// The bytes behind the header.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Sent(bytes) => bytes,
            Self::Rebuilt(batch) => &batch[HEADER_LEN..],
        }
    }
}

impl Assignment<'_> {
    /// Checks the one batch of an append and assigns offset, epoch and timestamp.
    pub fn assign<'a>(&self, records: &'a [u8]) -> Result<AssignedBatch<'a>, LogError> {
        let mut all = batches(records);
        let Some(batch) = next_batch(&mut all, self.tp)? else {
            return Err(self.invalid("Record batch has no batches at all".to_owned()));
        };
        if next_batch(&mut all, self.tp)?.is_some() {
            return Err(self.invalid("Compressed outer record has more than one batch".to_owned()));
        }
        self.check_header(&batch)?;
        let max_timestamp = self.check_records(&batch)?;
        let source = batch
            .compression()
            .map_err(|error| self.invalid(error.to_string()))?;
        let assigned = match self.config.compression_type {
            // Markers stay uncompressed, so that every follower and tool reads them at little cost.
            CompressionPolicy::Codec(target)
                if target != source && !(source == Compression::None && batch.is_control()) =>
            {
                self.rebuild(&batch, target)?
            }
            _ => self.patch(&batch, max_timestamp),
        };
        Ok(assigned)
    }

    fn invalid(&self, message: String) -> LogError {
        LogError::rejected(
            ErrorCode::INVALID_RECORD,
            format!("{message} in topic partition {}", self.tp),
        )
    }

    fn check_header(&self, batch: &Batch<'_>) -> Result<(), LogError> {
        if self.origin != AppendOrigin::Client {
            return Ok(());
        }
        let count = batch.record_count();
        if count <= 0 {
            return Err(self.invalid(format!("Invalid reported count for record batch: {count}")));
        }
        if i64::from(batch.last_offset_delta()) + 1 != i64::from(count) {
            return Err(self.invalid(format!(
                "Inconsistent batch offset range [{}, {}] and count of records {count}",
                batch.base_offset(),
                batch.last_offset()
            )));
        }
        if batch.is_control() {
            return Err(self.invalid("Clients are not allowed to write control records".to_owned()));
        }
        if batch.has_producer_id() && batch.base_sequence() < 0 {
            return Err(self.invalid(format!(
                "Invalid sequence number {} in record batch with producerId {}",
                batch.base_sequence(),
                batch.producer_id()
            )));
        }
        Ok(())
    }

    /// Walks over all records. Returns the largest timestamp.
    ///
    /// Differs from Kafka: a batch whose offset deltas are not 0, 1, 2, … is refused. Kafka re-encodes it when
    /// it is compressed and keeps it when it is not.
    fn check_records(&self, batch: &Batch<'_>) -> Result<i64, LogError> {
        let mut errors = Vec::new();
        let mut invalid_timestamp = false;
        let validated =
            iter::validate::<RecordsError>(batch, MAX_DECOMPRESSED_BATCH_BYTES, |index, record| {
                let refused = self.check_record(batch, record);
                if let Some((code, message)) = refused {
                    invalid_timestamp |= code == ErrorCode::INVALID_TIMESTAMP;
                    if errors.len() < MAX_RECORD_ERRORS {
                        let batch_index = i32::try_from(index).unwrap_or(i32::MAX);
                        errors.push(RecordError {
                            batch_index,
                            message,
                        });
                    }
                }
                Ok(())
            })
            .map_err(|error| self.unreadable(&error))?;
        if errors.is_empty() {
            return Ok(validated.max_timestamp);
        }
        let (code, message) = if invalid_timestamp {
            let message =
                "One or more records have been rejected due to invalid timestamp".to_owned();
            (ErrorCode::INVALID_TIMESTAMP, message)
        } else {
            let first: Vec<_> = errors.iter().take(3).map(|e| e.message.as_str()).collect();
            let message = format!(
                "One or more records have been rejected due to {} record errors in total, and only \
                 showing the first three errors at most: {first:?}",
                errors.len()
            );
            (ErrorCode::INVALID_RECORD, message)
        };
        Err(LogError::Rejected {
            code,
            message,
            record_errors: errors,
        })
    }

    fn unreadable(&self, error: &RecordsError) -> LogError {
        match error {
            // A producer splits a batch that is too large and tries again.
            RecordsError::Compression(CompressionError::TooLarge { .. }) => LogError::rejected(
                ErrorCode::MESSAGE_TOO_LARGE,
                format!("{error} in topic partition {}", self.tp),
            ),
            _ => self.invalid(error.to_string()),
        }
    }

    fn check_record(&self, batch: &Batch<'_>, record: &Record<'_>) -> Option<(ErrorCode, String)> {
        let tp = self.tp;
        if self.config.compact && record.key.is_none() {
            let message = format!(
                "Compacted topic cannot accept message without key in topic partition {tp}."
            );
            return Some((ErrorCode::INVALID_RECORD, message));
        }
        if self.config.message_timestamp_type == TimestampType::CreateTime
            && record.timestamp != NO_TIMESTAMP
        {
            let age_ms = self.now_ms.saturating_sub(record.timestamp);
            let (before, after) = (
                self.config.message_timestamp_before_max_ms,
                self.config.message_timestamp_after_max_ms,
            );
            if age_ms > before || age_ms.saturating_neg() > after {
                let message = format!(
                    "Timestamp {} of message with offset {} is out of range. The timestamp should be \
                     within [{}, {}]",
                    record.timestamp,
                    record.offset,
                    self.now_ms.wrapping_sub(before),
                    self.now_ms.wrapping_add(after)
                );
                return Some((ErrorCode::INVALID_TIMESTAMP, message));
            }
        } else if batch.timestamp_type() == TimestampType::LogAppendTime {
            let message = format!(
                "Invalid timestamp type in message with offset {}. Producer should not set timestamp type \
                 to LogAppendTime.",
                record.offset
            );
            return Some((ErrorCode::INVALID_TIMESTAMP, message));
        }
        None
    }

    fn patch<'a>(&self, batch: &Batch<'a>, max_timestamp: i64) -> AssignedBatch<'a> {
        let mut header = *batch.header();
        header.base_offset = self.next_offset;
        header.partition_leader_epoch = self.leader_epoch;
        match self.config.message_timestamp_type {
            TimestampType::LogAppendTime => {
                header.attributes |= LOG_APPEND_TIME_BIT;
                header.max_timestamp = self.now_ms;
            }
            TimestampType::CreateTime => {
                header.attributes &= !LOG_APPEND_TIME_BIT;
                header.max_timestamp = max_timestamp;
            }
        }
        let mut header_bytes = header.to_bytes();
        let (sent, payload) = (batch.header(), batch.payload());
        if header.attributes != sent.attributes || header.max_timestamp != sent.max_timestamp {
            header.crc =
                crc32c::crc32c_append(crc32c::crc32c(&header_bytes[CHECKSUM_FROM..]), payload);
            header_bytes = header.to_bytes();
        }
        let max_timestamp = header.max_timestamp;
        AssignedBatch {
            header,
            header_bytes,
            payload: Payload::Sent(payload),
            max_timestamp,
        }
    }

    fn rebuild(
        &self,
        batch: &Batch<'_>,
        target: Compression,
    ) -> Result<AssignedBatch<'static>, LogError> {
        let unreadable = |error: RecordsError| self.unreadable(&error);
        let records = iter::records(batch, MAX_DECOMPRESSED_BATCH_BYTES).map_err(unreadable)?;
        let mut builder = BatchBuilder::new()
            .with_compression(target)
            .with_base_offset(self.next_offset)
            .with_leader_epoch(self.leader_epoch)
            .with_producer(
                batch.producer_id(),
                batch.producer_epoch(),
                batch.base_sequence(),
            )
            .with_transactional(batch.is_transactional())
            .with_control(batch.is_control());
        if self.config.message_timestamp_type == TimestampType::LogAppendTime {
            builder = builder.with_log_append_time(self.now_ms);
        }
        for record in &records {
            let record = record.map_err(unreadable)?;
            let offset = self.next_offset + (record.offset - batch.base_offset());
            let headers: Vec<_> = record.headers.iter().map(|h| (h.key, h.value)).collect();
            builder
                .append_iter(
                    offset,
                    record.timestamp,
                    record.key,
                    record.value,
                    headers.into_iter(),
                )
                .map_err(|error| self.invalid(error.to_string()))?;
        }
        let rebuilt = builder.build();
        let limit = usize::try_from(self.config.max_message_bytes).unwrap_or(0);
        if rebuilt.len() > limit {
            return Err(too_large(rebuilt.len(), limit, self.tp));
        }
        let header = BatchHeader::parse(&rebuilt).map_err(|error| corrupt(&error, self.tp))?;
        Ok(AssignedBatch {
            header,
            header_bytes: header.to_bytes(),
            max_timestamp: header.max_timestamp,
            payload: Payload::Rebuilt(rebuilt),
        })
    }
}

/// The start of a transaction is remembered with its place, so that readers find it without a search.
pub(crate) fn place(
    header: &BatchHeader,
    segment_base_offset: i64,
    position: u64,
) -> LogOffsetMetadata {
    if header.is_transactional() {
        LogOffsetMetadata {
            message_offset: header.base_offset,
            segment_base_offset,
            relative_position: i64::try_from(position).unwrap_or(-1),
        }
    } else {
        LogOffsetMetadata::offset_only(header.base_offset)
    }
}

#[cfg(test)]
mod tests;
