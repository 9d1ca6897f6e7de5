//! Primitive reads and writes of Kafka's message encoding, every length checked against the
//! bytes that are there.

use uuid::Uuid;

use super::SchemaError;
use crate::record::varint;

/// A cursor over bytes that nobody has checked yet.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes not read yet; the reader stays where it is.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An error if anything is left.
    pub fn finish(&self) -> Result<(), SchemaError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(SchemaError::TrailingBytes(left)),
        }
    }

    /// Takes the next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], SchemaError> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            let available_bytes = self.remaining();
            return Err(SchemaError::Truncated {
                needed_bytes: len,
                available_bytes,
            });
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SchemaError> {
        Ok(self.take(N)?.try_into().expect("take returns N bytes"))
    }

    pub fn u8(&mut self) -> Result<u8, SchemaError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn i8(&mut self) -> Result<i8, SchemaError> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub fn i16(&mut self) -> Result<i16, SchemaError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub fn u16(&mut self) -> Result<u16, SchemaError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32, SchemaError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, SchemaError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, SchemaError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub fn f64(&mut self) -> Result<f64, SchemaError> {
        Ok(f64::from_be_bytes(self.array()?))
    }

    pub fn uuid(&mut self) -> Result<Uuid, SchemaError> {
        Ok(Uuid::from_bytes(self.array()?))
    }

    pub fn unsigned_varint(&mut self) -> Result<u32, SchemaError> {
        varint::take_unsigned(&mut self.rest).ok_or(SchemaError::InvalidVarint)
    }

    /// A length off the wire as a count of bytes or elements, none of which takes less than a
    /// byte: more than the bytes left cannot be true.
    pub(super) fn checked_len(&self, len: usize) -> Result<usize, SchemaError> {
        let available_bytes = self.remaining();
        if len > available_bytes {
            return Err(SchemaError::Truncated {
                needed_bytes: len,
                available_bytes,
            });
        }
        Ok(len)
    }

    /// Starts on the tagged fields at the end of a flexible struct.
    pub fn tagged_fields(&mut self) -> Result<TaggedFields, SchemaError> {
        Ok(TaggedFields {
            left: self.unsigned_varint()?,
            previous: None,
        })
    }
}

/// The tagged fields of one struct, taken off a reader one by one.
#[derive(Debug)]
pub struct TaggedFields {
    left: u32,
    previous: Option<u32>,
}

impl TaggedFields {
    /// The next field's tag and its bytes.
    pub fn next<'a>(
        &mut self,
        reader: &mut Reader<'a>,
    ) -> Result<Option<(u32, Reader<'a>)>, SchemaError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let tag = reader.unsigned_varint()?;
        if self.previous.is_some_and(|previous| previous >= tag) {
            return Err(SchemaError::TagOrder);
        }
        self.previous = Some(tag);
        let size = reader.unsigned_varint()? as usize;
        Ok(Some((tag, Reader::new(reader.take(size)?))))
    }
}

/// Appends an unsigned varint: seven bits per byte, least significant first.
pub fn put_unsigned_varint(out: &mut Vec<u8>, value: u32) {
    varint::put_unsigned(out, value);
}
