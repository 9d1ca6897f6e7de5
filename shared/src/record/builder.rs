//! Builds batches: for producers, markers, coordinators, the metadata log and snapshots.
//!
//! The bytes are those of Kafka's `MemoryRecordsBuilder` for the same calls (compressed payloads
//! differ where codec implementations do). Invariant: what is built, [`super::batch`] and
//! [`super::iter`] accept.

use bytes::Bytes;

use super::batch::{
    BatchHeader, CONTROL_BIT, DELETE_HORIZON_BIT, HEADER_LEN, LOG_OVERHEAD, MAGIC,
    TIMESTAMP_TYPE_BIT, TRANSACTIONAL_BIT, write_crc,
};
use super::compression::{Compression, compress};
use super::control::ControlRecord;
use super::{
    NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, varint,
};
use crate::schema::SchemaError;

/// Most bytes of records in one batch before compression. Leaves room for what a codec adds, so
/// that a built batch's length always fits its field.
pub const RECORDS_SIZE_MAX: usize = 1 << 30;

/// Why a record does not go into a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("the batch would exceed {RECORDS_SIZE_MAX} bytes")]
    TooLarge,
    #[error("offset {offset} does not follow offset {last_offset}, or is too far from the base")]
    InvalidOffset { offset: i64, last_offset: i64 },
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// A header to append: key and value, which may be null.
pub type HeaderRef<'a> = (&'a str, Option<&'a [u8]>);

/// A batch in the making. Set it up with the `with_` methods, append, build.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    compression: Compression,
    level: Option<i32>,
    log_append_time_ms: Option<i64>,
    delete_horizon_ms: Option<i64>,
    /// Room for the header, then the records without compression.
    buf: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        BatchBuilder::new()
    }
}

impl BatchBuilder {
    /// An uncompressed batch at offset 0 without producer.
    pub fn new() -> BatchBuilder {
        let header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            magic: MAGIC,
            crc: 0,
            attributes: 0,
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            record_count: 0,
        };
        BatchBuilder {
            header,
            compression: Compression::None,
            level: None,
            log_append_time_ms: None,
            delete_horizon_ms: None,
            buf: vec![0; HEADER_LEN],
        }
    }

    pub fn with_compression(mut self, compression: Compression) -> BatchBuilder {
        self.compression = compression;
        self
    }

    /// See [`compress`].
    pub fn with_compression_level(mut self, level: i32) -> BatchBuilder {
        self.level = Some(level);
        self
    }

    /// Call before the first append.
    pub fn with_base_offset(mut self, base_offset: i64) -> BatchBuilder {
        self.header.base_offset = base_offset;
        self
    }

    pub fn with_leader_epoch(mut self, partition_leader_epoch: i32) -> BatchBuilder {
        self.header.partition_leader_epoch = partition_leader_epoch;
        self
    }

    pub fn with_producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> BatchBuilder {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    pub fn with_transactional(mut self, transactional: bool) -> BatchBuilder {
        self.set_attribute(TRANSACTIONAL_BIT, transactional);
        self
    }

    pub fn with_control(mut self, control: bool) -> BatchBuilder {
        self.set_attribute(CONTROL_BIT, control);
        self
    }

    /// Gives all records the time of the append, in milliseconds.
    pub fn with_log_append_time(mut self, log_append_time_ms: i64) -> BatchBuilder {
        self.log_append_time_ms = Some(log_append_time_ms);
        self.set_attribute(TIMESTAMP_TYPE_BIT, true);
        self
    }

    /// Marks when the cleaner may drop tombstones. Call before the first append.
    pub fn with_delete_horizon(mut self, delete_horizon_ms: i64) -> BatchBuilder {
        self.delete_horizon_ms = Some(delete_horizon_ms);
        self.set_attribute(DELETE_HORIZON_BIT, true);
        self
    }

    fn set_attribute(&mut self, bit: i16, on: bool) {
        self.header.attributes = if on {
            self.header.attributes | bit
        } else {
            self.header.attributes & !bit
        };
    }

    /// Appends a record at the next offset, which it returns.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderRef<'_>],
    ) -> Result<i64, BuildError> {
        let offset = self.next_offset();
        self.append_at(offset, timestamp, key, value, headers)?;
        Ok(offset)
    }

    /// Appends a record at an offset beyond the last one: compaction leaves gaps.
    pub fn append_at(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderRef<'_>],
    ) -> Result<(), BuildError> {
        let headers = headers.iter().map(|(key, value)| (key.as_bytes(), *value));
        self.append_iter(offset, timestamp, key, value, headers)
    }

    /// Like [`BatchBuilder::append_at`] with headers as a record has them.
    pub fn append_iter<'h>(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl ExactSizeIterator<Item = (&'h [u8], Option<&'h [u8]>)> + Clone,
    ) -> Result<(), BuildError> {
        let invalid = BuildError::InvalidOffset {
            offset,
            last_offset: self.next_offset() - 1,
        };
        let delta = offset.checked_sub(self.header.base_offset);
        let delta = delta.and_then(|delta| i32::try_from(delta).ok());
        let Some(offset_delta) = delta.filter(|delta| *delta > self.header.last_offset_delta)
        else {
            return Err(invalid);
        };
        let base_timestamp = match self.header.record_count {
            0 => self.delete_horizon_ms.unwrap_or(timestamp),
            _ => self.header.base_timestamp,
        };
        let timestamp_delta = timestamp.wrapping_sub(base_timestamp);
        let body_len = body_len(timestamp_delta, offset_delta, key, value, headers.clone())
            .filter(|len| self.records_size() + len + 5 <= RECORDS_SIZE_MAX)
            .ok_or(BuildError::TooLarge)?;

        let out = &mut self.buf;
        varint::put_i32(out, body_len as i32);
        out.push(0);
        varint::put_i64(out, timestamp_delta);
        varint::put_i32(out, offset_delta);
        put_nullable(out, key);
        put_nullable(out, value);
        varint::put_i32(out, headers.len() as i32);
        for (key, value) in headers {
            put_nullable(out, Some(key));
            put_nullable(out, value);
        }

        let first = self.header.record_count == 0;
        self.header.base_timestamp = base_timestamp;
        self.header.max_timestamp = if first {
            timestamp
        } else {
            self.header.max_timestamp.max(timestamp)
        };
        self.header.last_offset_delta = offset_delta;
        self.header.record_count += 1;
        Ok(())
    }

    /// Appends one of Kafka's own records; the batch becomes a control batch.
    pub fn append_control(
        &mut self,
        timestamp: i64,
        record: &ControlRecord,
    ) -> Result<i64, BuildError> {
        let (key, value) = record.encode()?;
        self.set_attribute(CONTROL_BIT, true);
        self.append(timestamp, Some(&key), Some(&value), &[])
    }

    /// The offset that [`BatchBuilder::append`] gives next.
    pub fn next_offset(&self) -> i64 {
        self.header.base_offset + i64::from(self.header.last_offset_delta) + 1
    }

    pub fn base_offset(&self) -> i64 {
        self.header.base_offset
    }

    pub fn record_count(&self) -> usize {
        self.header.record_count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    fn records_size(&self) -> usize {
        self.buf.len() - HEADER_LEN
    }

    /// Bytes of the batch as it stands, before compression: header and records.
    pub fn size_in_bytes(&self) -> usize {
        self.buf.len()
    }

    /// An upper bound of [`BatchBuilder::size_in_bytes`] after one more record without headers.
    pub fn size_after(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> usize {
        // length 5, attributes 1, deltas 10 + 5, two lengths 10, header count 1
        self.buf.len() + 32 + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)
    }

    /// The finished batch. Without records it is a bare header, which readers accept.
    ///
    /// A codec that fails (zstd without memory) leaves the records uncompressed.
    pub fn build(mut self) -> Bytes {
        let compressed = match self.compression {
            Compression::None => None,
            _ if self.is_empty() => None,
            codec => compress(codec, &self.buf[HEADER_LEN..], self.level).ok(),
        };
        if let Some(compressed) = compressed {
            self.buf.truncate(HEADER_LEN);
            self.buf.extend_from_slice(&compressed);
            self.header.attributes |= i16::from(self.compression.id());
        }
        if let Some(log_append_time_ms) = self.log_append_time_ms {
            self.header.max_timestamp = log_append_time_ms;
        }
        self.header.last_offset_delta = self.header.last_offset_delta.max(0);
        self.header.batch_length = i32::try_from(self.buf.len() - LOG_OVERHEAD)
            .expect("RECORDS_SIZE_MAX leaves twice the room that any codec adds");
        self.buf[..HEADER_LEN].copy_from_slice(&self.header.to_bytes());
        write_crc(&mut self.buf);
        Bytes::from(self.buf)
    }
}

/// The header of a batch whose records are all gone, made from what it was. The cleaner keeps it
/// so that a producer's last sequence is not forgotten; it spans the same offsets.
pub fn empty_batch(header: &BatchHeader) -> [u8; HEADER_LEN] {
    let header = BatchHeader {
        batch_length: (HEADER_LEN - LOG_OVERHEAD) as i32,
        attributes: header.attributes & (TIMESTAMP_TYPE_BIT | TRANSACTIONAL_BIT | CONTROL_BIT),
        base_timestamp: NO_TIMESTAMP,
        max_timestamp: header.max_timestamp,
        record_count: 0,
        ..*header
    };
    let mut bytes = header.to_bytes();
    write_crc(&mut bytes);
    bytes
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put_i32(out, -1),
        Some(bytes) => {
            varint::put_i32(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
    }
}

/// Bytes of one record after its length field; `None` beyond what a batch can hold.
fn body_len<'h>(
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl ExactSizeIterator<Item = (&'h [u8], Option<&'h [u8]>)>,
) -> Option<usize> {
    let count = i32::try_from(headers.len()).ok()?;
    let mut len = 1 + varint::len_i64(timestamp_delta) + varint::len_i32(offset_delta);
    len += nullable_len(key)? + nullable_len(value)? + varint::len_i32(count);
    for (key, value) in headers {
        len = len.checked_add(nullable_len(Some(key))? + nullable_len(value)?)?;
    }
    Some(len)
}

fn nullable_len(bytes: Option<&[u8]>) -> Option<usize> {
    let Some(bytes) = bytes else { return Some(1) };
    let len = i32::try_from(bytes.len()).ok()?;
    Some(varint::len_i32(len) + bytes.len())
}

#[cfg(test)]
mod tests;
