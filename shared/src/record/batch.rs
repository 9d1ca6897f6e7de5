//! One record batch of format v2, seen through its bytes.
//!
//! | offset | size | field                  | in CRC | set by   |
//! |-------:|-----:|------------------------|:------:|----------|
//! |      0 |    8 | base_offset            |   no   | leader   |
//! |      8 |    4 | batch_length           |   no   | producer |
//! |     12 |    4 | partition_leader_epoch |   no   | leader   |
//! |     16 |    1 | magic = 2              |   no   | producer |
//! |     17 |    4 | crc (CRC-32C)          |   no   | producer |
//! |     21 |    2 | attributes             |  yes   | producer; timestamp type: leader |
//! |     23 |    4 | last_offset_delta      |  yes   | producer |
//! |     27 |    8 | base_timestamp         |  yes   | producer |
//! |     35 |    8 | max_timestamp          |  yes   | producer; with LogAppendTime: leader |
//! |     43 |    8 | producer_id            |  yes   | producer |
//! |     51 |    2 | producer_epoch         |  yes   | producer |
//! |     53 |    4 | base_sequence          |  yes   | producer |
//! |     57 |    4 | record_count           |  yes   | producer |
//! |     61 |    … | records                |  yes   | producer |
//!
//! `batch_length` counts the bytes after itself. Attributes: bits 0–2 codec, 3 timestamp type,
//! 4 transactional, 5 control, 6 base_timestamp is a delete horizon.
//!
//! Invariant: a [`Batch`] always holds exactly one whole batch of magic 2, so its accessors cannot
//! fail; what the fields say (counts, deltas, checksum) is the sender's claim until checked.
//! Follows Kafka's `DefaultRecordBatch`.

use super::compression::Compression;
use super::{NO_PRODUCER_ID, NO_SEQUENCE, TimestampType};

/// Bytes before the first record of a batch.
pub const HEADER_LEN: usize = 61;
/// Bytes of base_offset and batch_length, which batch_length does not count.
pub const LOG_OVERHEAD: usize = 12;
/// The only message format of this crate.
pub const MAGIC: i8 = 2;

const LENGTH_AT: usize = 8;
const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
const RECORD_COUNT_AT: usize = 57;

/// Smallest batch_length that any message format allows: crc, magic, attributes, two lengths.
const LEGACY_BATCH_LENGTH_MIN: i32 = 14;

pub(crate) const TIMESTAMP_TYPE_BIT: i16 = 1 << 3;
pub(crate) const TRANSACTIONAL_BIT: i16 = 1 << 4;
pub(crate) const CONTROL_BIT: i16 = 1 << 5;
pub(crate) const DELETE_HORIZON_BIT: i16 = 1 << 6;
const CODEC_MASK: i16 = 0b111;

/// Why bytes are not a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The buffer ends inside a batch: normal at the end of a Fetch response, else corruption.
    #[error("a batch of at least {needed_bytes} bytes is cut after {available_bytes}")]
    Truncated {
        needed_bytes: usize,
        available_bytes: usize,
    },
    /// The length field cannot be the length of a batch.
    #[error("{0} is not a possible batch length")]
    InvalidLength(i32),
    /// A message format before v2, or an unknown one.
    #[error("message format {0} is not supported, only 2 is")]
    UnsupportedMagic(i8),
    /// The bytes are not what the checksum was computed over.
    #[error("the batch has checksum {computed:#010x} but says {stored:#010x}")]
    CrcMismatch { stored: u32, computed: u32 },
}

/// The fixed part of a batch, decoded; all fields as they are in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    pub batch_length: i32,
    pub partition_leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    /// Decodes the header at the start of `buf`, which need not hold the records: for scanning
    /// a file by headers. Checks the length field and the magic.
    pub fn parse(buf: &[u8]) -> Result<BatchHeader, BatchError> {
        if buf.len() <= MAGIC_AT {
            let needed_bytes = HEADER_LEN;
            return Err(BatchError::Truncated {
                needed_bytes,
                available_bytes: buf.len(),
            });
        }
        let batch_length = i32::from_be_bytes(field(buf, LENGTH_AT));
        if batch_length < LEGACY_BATCH_LENGTH_MIN {
            return Err(BatchError::InvalidLength(batch_length));
        }
        let magic = buf[MAGIC_AT] as i8;
        if magic != MAGIC {
            return Err(BatchError::UnsupportedMagic(magic));
        }
        if (batch_length as usize) < HEADER_LEN - LOG_OVERHEAD {
            return Err(BatchError::InvalidLength(batch_length));
        }
        if buf.len() < HEADER_LEN {
            let needed_bytes = LOG_OVERHEAD + batch_length as usize;
            return Err(BatchError::Truncated {
                needed_bytes,
                available_bytes: buf.len(),
            });
        }
        Ok(BatchHeader {
            base_offset: i64::from_be_bytes(field(buf, 0)),
            batch_length,
            partition_leader_epoch: i32::from_be_bytes(field(buf, LEADER_EPOCH_AT)),
            magic,
            crc: u32::from_be_bytes(field(buf, CRC_AT)),
            attributes: i16::from_be_bytes(field(buf, ATTRIBUTES_AT)),
            last_offset_delta: i32::from_be_bytes(field(buf, LAST_OFFSET_DELTA_AT)),
            base_timestamp: i64::from_be_bytes(field(buf, BASE_TIMESTAMP_AT)),
            max_timestamp: i64::from_be_bytes(field(buf, MAX_TIMESTAMP_AT)),
            producer_id: i64::from_be_bytes(field(buf, PRODUCER_ID_AT)),
            producer_epoch: i16::from_be_bytes(field(buf, PRODUCER_EPOCH_AT)),
            base_sequence: i32::from_be_bytes(field(buf, BASE_SEQUENCE_AT)),
            record_count: i32::from_be_bytes(field(buf, RECORD_COUNT_AT)),
        })
    }

    /// The 61 bytes of this header, with the crc field as it stands.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut buf = [0; HEADER_LEN];
        buf[..8].copy_from_slice(&self.base_offset.to_be_bytes());
        put(&mut buf, LENGTH_AT, self.batch_length.to_be_bytes());
        put(
            &mut buf,
            LEADER_EPOCH_AT,
            self.partition_leader_epoch.to_be_bytes(),
        );
        buf[MAGIC_AT] = self.magic as u8;
        put(&mut buf, CRC_AT, self.crc.to_be_bytes());
        put(&mut buf, ATTRIBUTES_AT, self.attributes.to_be_bytes());
        put(
            &mut buf,
            LAST_OFFSET_DELTA_AT,
            self.last_offset_delta.to_be_bytes(),
        );
        put(
            &mut buf,
            BASE_TIMESTAMP_AT,
            self.base_timestamp.to_be_bytes(),
        );
        put(&mut buf, MAX_TIMESTAMP_AT, self.max_timestamp.to_be_bytes());
        put(&mut buf, PRODUCER_ID_AT, self.producer_id.to_be_bytes());
        put(
            &mut buf,
            PRODUCER_EPOCH_AT,
            self.producer_epoch.to_be_bytes(),
        );
        put(&mut buf, BASE_SEQUENCE_AT, self.base_sequence.to_be_bytes());
        put(&mut buf, RECORD_COUNT_AT, self.record_count.to_be_bytes());
        buf
    }

    /// Bytes of the whole batch, header included; at least [`HEADER_LEN`] after `parse`.
    pub fn size_in_bytes(&self) -> usize {
        LOG_OVERHEAD + self.batch_length.max(0) as usize
    }

    /// Offset of the last record (inclusive), also when compaction has removed that record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset that follows the batch.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Sequence of the last record; [`NO_SEQUENCE`] without one. Sequences wrap to 0 after
    /// `i32::MAX`.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            NO_SEQUENCE
        } else {
            increment_sequence(self.base_sequence, self.last_offset_delta)
        }
    }

    /// The codec of the records; an error value for the ids 5 to 7, which nobody has assigned.
    pub fn compression(&self) -> Result<Compression, UnknownCodec> {
        let id = (self.attributes & CODEC_MASK) as u8;
        Compression::from_id(id).ok_or(UnknownCodec(id))
    }

    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & TIMESTAMP_TYPE_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the records are Kafka's own ([`super::control`]), never handed to applications.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// When the cleaner may drop the tombstones and markers of this batch, if it has decided so.
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }
}

/// A codec id in a batch's attributes that stands for no codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the id of a compression codec")]
pub struct UnknownCodec(pub u8);

/// `sequence + increment` in the ring 0..=i32::MAX that producers count in.
pub fn increment_sequence(sequence: i32, increment: i32) -> i32 {
    sequence.wrapping_add(increment) & i32::MAX
}

/// `sequence - decrement` in the same ring.
pub fn decrement_sequence(sequence: i32, decrement: i32) -> i32 {
    sequence.wrapping_sub(decrement) & i32::MAX
}

/// A view of exactly one whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The batch at the start of `buf`; what follows it is ignored. The checksum is not checked.
    pub fn parse(buf: &'a [u8]) -> Result<Batch<'a>, BatchError> {
        let header = BatchHeader::parse(buf)?;
        let needed_bytes = header.size_in_bytes();
        match buf.get(..needed_bytes) {
            Some(bytes) => Ok(Batch { header, bytes }),
            None => Err(BatchError::Truncated {
                needed_bytes,
                available_bytes: buf.len(),
            }),
        }
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// All bytes of the batch, from base_offset on.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes after the header, as sent: compressed or not.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }

    /// Compares the stored checksum with the one of the bytes.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let (stored, computed) = (
            self.header.crc,
            crc32c::crc32c(&self.bytes[ATTRIBUTES_AT..]),
        );
        if stored == computed {
            Ok(())
        } else {
            Err(BatchError::CrcMismatch { stored, computed })
        }
    }

    pub fn base_offset(&self) -> i64 {
        self.header.base_offset
    }

    /// See [`BatchHeader::last_offset`].
    pub fn last_offset(&self) -> i64 {
        self.header.last_offset()
    }

    /// See [`BatchHeader::next_offset`].
    pub fn next_offset(&self) -> i64 {
        self.header.next_offset()
    }

    pub fn partition_leader_epoch(&self) -> i32 {
        self.header.partition_leader_epoch
    }

    pub fn base_timestamp(&self) -> i64 {
        self.header.base_timestamp
    }

    pub fn max_timestamp(&self) -> i64 {
        self.header.max_timestamp
    }

    pub fn producer_id(&self) -> i64 {
        self.header.producer_id
    }

    pub fn producer_epoch(&self) -> i16 {
        self.header.producer_epoch
    }

    pub fn base_sequence(&self) -> i32 {
        self.header.base_sequence
    }

    /// See [`BatchHeader::last_sequence`].
    pub fn last_sequence(&self) -> i32 {
        self.header.last_sequence()
    }

    /// The sender's claim; negative values are possible in hostile bytes.
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    pub fn last_offset_delta(&self) -> i32 {
        self.header.last_offset_delta
    }

    pub fn is_control(&self) -> bool {
        self.header.is_control()
    }

    pub fn is_transactional(&self) -> bool {
        self.header.is_transactional()
    }

    pub fn has_producer_id(&self) -> bool {
        self.header.has_producer_id()
    }

    /// See [`BatchHeader::compression`].
    pub fn compression(&self) -> Result<Compression, UnknownCodec> {
        self.header.compression()
    }

    pub fn timestamp_type(&self) -> TimestampType {
        self.header.timestamp_type()
    }

    pub fn size_in_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// The batches that lie one behind the other in `buf`. After an error the iterator ends;
/// [`Batches::position`] then says where.
pub fn batches(buf: &[u8]) -> Batches<'_> {
    Batches {
        buf,
        position: 0,
        failed: false,
    }
}

/// Iterator over consecutive batches, made by [`batches`].
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    buf: &'a [u8],
    position: usize,
    failed: bool,
}

impl Batches<'_> {
    /// Bytes of the batches handed out so far: where the next batch starts.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.buf[self.position..];
        if self.failed || rest.is_empty() {
            return None;
        }
        let batch = Batch::parse(rest);
        match &batch {
            Ok(batch) => self.position += batch.size_in_bytes(),
            Err(_) => self.failed = true,
        }
        Some(batch)
    }
}

/// Sets the offset of the first record. Outside of the checksum.
pub fn set_base_offset(batch: &mut [u8], base_offset: i64) -> Result<(), BatchError> {
    whole_batch(batch)?;
    put(batch, 0, base_offset.to_be_bytes());
    Ok(())
}

/// Sets the epoch of the leader that appends the batch. Outside of the checksum.
pub fn set_partition_leader_epoch(batch: &mut [u8], leader_epoch: i32) -> Result<(), BatchError> {
    whole_batch(batch)?;
    put(batch, LEADER_EPOCH_AT, leader_epoch.to_be_bytes());
    Ok(())
}

/// Sets timestamp type and max_timestamp, and the checksum if either changes. `batch` must start
/// with a whole batch; what follows it is left alone.
pub fn set_max_timestamp(
    batch: &mut [u8],
    timestamp_type: TimestampType,
    max_timestamp: i64,
) -> Result<(), BatchError> {
    let header = whole_batch(batch)?;
    if header.timestamp_type() == timestamp_type && header.max_timestamp == max_timestamp {
        return Ok(());
    }
    let attributes = match timestamp_type {
        TimestampType::CreateTime => header.attributes & !TIMESTAMP_TYPE_BIT,
        TimestampType::LogAppendTime => header.attributes | TIMESTAMP_TYPE_BIT,
    };
    put(batch, ATTRIBUTES_AT, attributes.to_be_bytes());
    put(batch, MAX_TIMESTAMP_AT, max_timestamp.to_be_bytes());
    write_crc(&mut batch[..header.size_in_bytes()]);
    Ok(())
}

/// Computes the checksum of one whole batch and stores it. `batch` is at least a header long.
pub(crate) fn write_crc(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    put(batch, CRC_AT, crc.to_be_bytes());
}

fn whole_batch(batch: &[u8]) -> Result<BatchHeader, BatchError> {
    Batch::parse(batch).map(|batch| batch.header)
}

fn field<const N: usize>(buf: &[u8], at: usize) -> [u8; N] {
    buf[at..at + N].try_into().expect("the slice has N bytes")
}

fn put<const N: usize>(buf: &mut [u8], at: usize, value: [u8; N]) {
    buf[at..at + N].copy_from_slice(&value);
}

#[cfg(test)]
mod tests;
