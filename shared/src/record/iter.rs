//! Reads the records of a batch, checking every length.
//!
//! A record: length, attributes (unused), timestamp delta, offset delta, key, value, headers; all
//! integers zigzag varints, length −1 for null. Follows Kafka's `DefaultRecord`.
//!
//! Invariants: nothing is allocated by a count from the bytes; offset deltas rise strictly and
//! stay within the batch; the batch's record count is exactly the number of records.

use std::borrow::Cow;

use super::TimestampType;
use super::batch::{Batch, BatchHeader, UnknownCodec};
use super::compression::{Compression, CompressionError, decompress};
use super::varint;

/// Smallest encoding of a record: one byte for each of its seven fixed parts.
const RECORD_LEN_MIN: usize = 7;

/// Why a batch's records cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    UnknownCodec(#[from] UnknownCodec),
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The batch says it holds this many records, which its bytes cannot.
    #[error("the batch claims {0} records")]
    InvalidCount(i32),
    /// Bytes follow the last record that the batch counts.
    #[error("{0} bytes follow the last record")]
    TrailingBytes(usize),
    /// The record at this place in the batch (from 0) is not well-formed.
    #[error("record {index} of the batch: {reason}")]
    Malformed { index: usize, reason: &'static str },
}

/// One record, borrowed from [`Records`].
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Offset in the log.
    pub offset: i64,
    /// Milliseconds since 1970; the batch's max_timestamp if that has LogAppendTime.
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
    /// Bytes of the record without compression, its length field included.
    pub size_in_bytes: usize,
}

/// The headers of a record in their order, duplicates included.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    count: usize,
    /// Walked once when the record was read, so parsing cannot fail any more.
    bytes: &'a [u8],
}

/// One header; Kafka writes keys as UTF-8 but nothing checks that they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// The key as text, as Java clients show it.
    pub fn key_str(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.key)
    }
}

impl<'a> Headers<'a> {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> HeaderIter<'a> {
        HeaderIter {
            left: self.count,
            rest: self.bytes,
        }
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = HeaderIter<'a>;

    fn into_iter(self) -> HeaderIter<'a> {
        self.iter()
    }
}

/// Iterator over [`Headers`].
#[derive(Debug, Clone)]
pub struct HeaderIter<'a> {
    left: usize,
    rest: &'a [u8],
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        take_header(&mut self.rest).ok()
    }
}

/// The records of one batch, decompressed; iterate over `&records`.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    header: BatchHeader,
    data: Cow<'a, [u8]>,
}

/// Opens the records of a batch. Compressed ones are decompressed, to at most
/// `max_decompressed` bytes. The checksum is the caller's to check.
pub fn records<'a>(batch: &Batch<'a>, max_decompressed: usize) -> Result<Records<'a>, RecordError> {
    let data = match batch.compression()? {
        Compression::None => Cow::Borrowed(batch.payload()),
        // A batch that compaction emptied has no payload, whatever its codec.
        _ if batch.record_count() == 0 && batch.payload().is_empty() => Cow::Borrowed(&[][..]),
        codec => Cow::Owned(decompress(codec, batch.payload(), max_decompressed)?),
    };
    let count = batch.record_count();
    match usize::try_from(count) {
        Ok(n) if n <= data.len() / RECORD_LEN_MIN => Ok(Records {
            header: *batch.header(),
            data,
        }),
        _ => Err(RecordError::InvalidCount(count)),
    }
}

impl Records<'_> {
    /// Bytes of all records without compression.
    pub fn size_in_bytes(&self) -> usize {
        self.data.len()
    }

    /// The bytes of all records without compression.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter {
            header: self.header,
            rest: &self.data,
            index: 0,
            previous: -1,
            ended: false,
        }
    }
}

impl<'a> IntoIterator for &'a Records<'_> {
    type Item = Result<Record<'a>, RecordError>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// Iterator over [`Records`]; ends after the first error.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    header: BatchHeader,
    rest: &'a [u8],
    index: usize,
    /// Offset delta of the record before.
    previous: i32,
    ended: bool,
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        if self.index as i64 == i64::from(self.header.record_count) {
            self.ended = true;
            let left = self.rest.len();
            return (left > 0).then_some(Err(RecordError::TrailingBytes(left)));
        }
        let record = self.take_record().map_err(|reason| {
            self.ended = true;
            RecordError::Malformed {
                index: self.index,
                reason,
            }
        });
        self.index += 1;
        Some(record)
    }
}

impl<'a> RecordIter<'a> {
    fn take_record(&mut self) -> Result<Record<'a>, &'static str> {
        let before = self.rest.len();
        let len = take_i32(&mut self.rest)?;
        let mut body = take_bytes(&mut self.rest, len)?;
        let size_in_bytes = before - self.rest.len();
        let Some((_attributes, tail)) = body.split_first() else {
            return Err(CUT);
        };
        body = tail;
        let timestamp_delta = varint::take_i64(&mut body).ok_or(CUT)?;
        let offset_delta = take_i32(&mut body)?;
        if offset_delta <= self.previous || offset_delta > self.header.last_offset_delta {
            return Err("its offset delta is out of order or outside of the batch");
        }
        self.previous = offset_delta;
        let key = take_nullable(&mut body)?;
        let value = take_nullable(&mut body)?;
        let headers = take_headers(body)?;
        let timestamp = match self.header.timestamp_type() {
            TimestampType::CreateTime => self.header.base_timestamp.wrapping_add(timestamp_delta),
            TimestampType::LogAppendTime => self.header.max_timestamp,
        };
        let offset = self
            .header
            .base_offset
            .wrapping_add(i64::from(offset_delta));
        Ok(Record {
            offset,
            timestamp,
            key,
            value,
            headers,
            size_in_bytes,
        })
    }
}

const CUT: &str = "it is cut, or a varint in it is too long";

fn take_i32(buf: &mut &[u8]) -> Result<i32, &'static str> {
    varint::take_i32(buf).ok_or(CUT)
}

fn take_bytes<'a>(buf: &mut &'a [u8], len: i32) -> Result<&'a [u8], &'static str> {
    let len = usize::try_from(len).map_err(|_| "it has a negative length")?;
    let Some((taken, rest)) = buf.split_at_checked(len) else {
        return Err("a length exceeds the bytes that are left");
    };
    *buf = rest;
    Ok(taken)
}

/// Any negative length is null, as in Kafka's reader.
fn take_nullable<'a>(buf: &mut &'a [u8]) -> Result<Option<&'a [u8]>, &'static str> {
    match take_i32(buf)? {
        ..0 => Ok(None),
        len => take_bytes(buf, len).map(Some),
    }
}

fn take_header<'a>(buf: &mut &'a [u8]) -> Result<Header<'a>, &'static str> {
    let key_len = take_i32(buf)?;
    let key = take_bytes(buf, key_len)?;
    Ok(Header {
        key,
        value: take_nullable(buf)?,
    })
}

/// Walks the headers, which must fill the rest of the record.
fn take_headers(mut body: &[u8]) -> Result<Headers<'_>, &'static str> {
    let count = take_i32(&mut body)?;
    let count = usize::try_from(count).map_err(|_| "it has a negative number of headers")?;
    let headers = Headers { count, bytes: body };
    for _ in 0..count {
        // Every turn takes at least two bytes or fails.
        take_header(&mut body)?;
    }
    if body.is_empty() {
        Ok(headers)
    } else {
        Err("bytes follow its last header")
    }
}

/// What [`validate`] found out about a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validated {
    pub record_count: usize,
    /// Bytes of all records without compression.
    pub records_size_in_bytes: usize,
    /// Largest timestamp of the records; −1 without records.
    pub max_timestamp: i64,
    /// Offset of the first record that has it; −1 without records.
    pub offset_of_max_timestamp: i64,
}

/// Walks all records of a batch without keeping any: counts, lengths, deltas. `each` sees every
/// record with its place in the batch and may refuse the batch. Beyond what the iterator checks,
/// offset deltas must be 0, 1, 2, … and end with the batch, as in a batch fresh from a producer.
pub fn validate<E: From<RecordError>>(
    batch: &Batch<'_>,
    max_decompressed: usize,
    mut each: impl FnMut(usize, &Record<'_>) -> Result<(), E>,
) -> Result<Validated, E> {
    let records = records(batch, max_decompressed)?;
    let header = batch.header();
    if i64::from(header.record_count) != i64::from(header.last_offset_delta) + 1 {
        return Err(RecordError::InvalidCount(header.record_count).into());
    }
    let mut validated = Validated {
        record_count: header.record_count as usize,
        records_size_in_bytes: records.size_in_bytes(),
        max_timestamp: super::NO_TIMESTAMP,
        offset_of_max_timestamp: -1,
    };
    // Deltas that rise strictly within 0..=count-1 are 0, 1, 2, …
    for (index, record) in records.iter().enumerate() {
        let record = record?;
        if record.timestamp > validated.max_timestamp {
            validated.max_timestamp = record.timestamp;
            validated.offset_of_max_timestamp = record.offset;
        }
        each(index, &record)?;
    }
    Ok(validated)
}

#[cfg(test)]
mod tests;
