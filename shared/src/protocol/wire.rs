//! The few primitives of the wire format that are needed outside of kafka-protocol, whose own are
//! private: to read headers, and to code messages that it lacks.
//!
//! A [`Reader`] takes from the front of a `Bytes`; what it returns are slices of it. Nothing here
//! allocates by a length from the wire.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the message ends early")]
    Short,
    #[error("a length that cannot be")]
    BadLength,
    #[error("null where a value has to be")]
    Null,
    #[error("text that is not UTF-8")]
    NotUtf8,
}

/// Why something could not be written, for people; in a type of its own so that errors of the wire
/// turn into it.
pub(super) struct Failure(pub(super) String);

impl From<WireError> for Failure {
    fn from(error: WireError) -> Failure {
        Failure(error.to_string())
    }
}

/// Reads primitives from the front of `bytes`.
pub(super) struct Reader<'a> {
    bytes: &'a mut Bytes,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a mut Bytes) -> Reader<'a> {
        Reader { bytes }
    }

    /// What is left, for decoders of nested structs.
    pub(super) fn rest(&mut self) -> &mut Bytes {
        self.bytes
    }

    fn need(&self, count: usize) -> Result<(), WireError> {
        if self.bytes.len() < count {
            Err(WireError::Short)
        } else {
            Ok(())
        }
    }

    pub(super) fn bool(&mut self) -> Result<bool, WireError> {
        self.need(1)?;
        Ok(self.bytes.get_u8() != 0)
    }

    pub(super) fn int16(&mut self) -> Result<i16, WireError> {
        self.need(2)?;
        Ok(self.bytes.get_i16())
    }

    pub(super) fn int32(&mut self) -> Result<i32, WireError> {
        self.need(4)?;
        Ok(self.bytes.get_i32())
    }

    pub(super) fn int64(&mut self) -> Result<i64, WireError> {
        self.need(8)?;
        Ok(self.bytes.get_i64())
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid, WireError> {
        self.need(16)?;
        Ok(Uuid::from_u128(self.bytes.get_u128()))
    }

    pub(super) fn uvarint(&mut self) -> Result<u32, WireError> {
        let mut rest = &self.bytes[..];
        let value = uvarint(&mut rest)?;
        let used = self.bytes.len() - rest.len();
        self.bytes.advance(used);
        Ok(value)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<Bytes, WireError> {
        self.need(count)?;
        Ok(self.bytes.split_to(count))
    }

    /// A length with one added, as flexible versions write it; None is null.
    fn compact_length(&mut self) -> Result<Option<usize>, WireError> {
        Ok(self.uvarint()?.checked_sub(1).map(|length| length as usize))
    }

    pub(super) fn compact_nullable_string(&mut self) -> Result<Option<StrBytes>, WireError> {
        match self.compact_length()? {
            None => Ok(None),
            Some(length) => {
                let text = StrBytes::from_utf8(self.take(length)?);
                text.map(Some).map_err(|_| WireError::NotUtf8)
            }
        }
    }

    pub(super) fn compact_string(&mut self) -> Result<StrBytes, WireError> {
        self.compact_nullable_string()?.ok_or(WireError::Null)
    }

    /// An array of what `element` reads. Room is made for no more elements than bytes are left.
    pub(super) fn compact_nullable_array<T, E: From<WireError>>(
        &mut self,
        mut element: impl FnMut(&mut Reader<'_>) -> Result<T, E>,
    ) -> Result<Option<Vec<T>>, E> {
        let Some(length) = self.compact_length()? else {
            return Ok(None);
        };
        if length > self.bytes.len() {
            return Err(WireError::BadLength.into());
        }
        let mut elements = Vec::with_capacity(length);
        for _ in 0..length {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    pub(super) fn compact_array<T, E: From<WireError>>(
        &mut self,
        element: impl FnMut(&mut Reader<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        self.compact_nullable_array(element)?
            .ok_or_else(|| WireError::Null.into())
    }

    /// Reads past tagged fields of which none is known.
    pub(super) fn skip_tagged_fields(&mut self) -> Result<(), WireError> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let size = self.uvarint()?;
            self.take(size as usize)?;
        }
        Ok(())
    }
}

/// Takes an unsigned varint of at most 32 bits (five bytes) from the front of `bytes`.
#[inline]
pub(super) fn uvarint(bytes: &mut &[u8]) -> Result<u32, WireError> {
    let (&first, rest) = bytes.split_first().ok_or(WireError::Short)?;
    if first < 0x80 {
        *bytes = rest;
        return Ok(u32::from(first));
    }
    long_uvarint(bytes)
}

fn long_uvarint(bytes: &mut &[u8]) -> Result<u32, WireError> {
    let mut value = 0u32;
    for (index, &byte) in bytes.iter().take(5).enumerate() {
        if index == 4 && byte > 0x0f {
            return Err(WireError::BadLength);
        }
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Ok(value);
        }
    }
    Err(WireError::Short)
}

pub(super) fn put_uvarint(buffer: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        buffer.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}

/// A length with one added. Lengths beyond 32 bits cannot be: frames are shorter.
fn put_compact_length(buffer: &mut BytesMut, length: usize) -> Result<(), WireError> {
    let length = u32::try_from(length + 1).map_err(|_| WireError::BadLength)?;
    put_uvarint(buffer, length);
    Ok(())
}

pub(super) fn put_compact_nullable_string(
    buffer: &mut BytesMut,
    text: Option<&str>,
) -> Result<(), WireError> {
    let Some(text) = text else {
        buffer.put_u8(0);
        return Ok(());
    };
    if text.len() > i16::MAX as usize {
        return Err(WireError::BadLength);
    }
    put_compact_length(buffer, text.len())?;
    buffer.put_slice(text.as_bytes());
    Ok(())
}

pub(super) fn put_compact_string(buffer: &mut BytesMut, text: &str) -> Result<(), WireError> {
    put_compact_nullable_string(buffer, Some(text))
}

pub(super) fn put_compact_array<T, E: From<WireError>>(
    buffer: &mut BytesMut,
    elements: &[T],
    mut element: impl FnMut(&T, &mut BytesMut) -> Result<(), E>,
) -> Result<(), E> {
    put_compact_length(buffer, elements.len())?;
    elements.iter().try_for_each(|each| element(each, buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_read_back_and_overlong_ones_refused() {
        for value in [0, 1, 127, 128, 300, 1 << 21, u32::MAX] {
            let mut buffer = BytesMut::new();
            put_uvarint(&mut buffer, value);
            let mut bytes = &buffer[..];
            assert_eq!(uvarint(&mut bytes), Ok(value));
            assert!(bytes.is_empty());
            let mut short = &buffer[..buffer.len() - 1];
            assert_eq!(uvarint(&mut short), Err(WireError::Short));
        }
        let mut six_bytes = &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..];
        assert_eq!(uvarint(&mut six_bytes), Err(WireError::BadLength));
        let mut beyond_32_bits = &[0xff, 0xff, 0xff, 0xff, 0x1f][..];
        assert_eq!(uvarint(&mut beyond_32_bits), Err(WireError::BadLength));
    }
}
