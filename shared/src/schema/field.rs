//! How a field of each type is encoded, and what a declaration says about a field.

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use super::SchemaError;
use super::wire::{Reader, put_unsigned_varint};

/// What a declaration says about one field besides name, type and default.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    since: i16,
    until: i16,
    tag: Option<u32>,
    ignorable: bool,
}

impl FieldSpec {
    /// In all versions, untagged, not ignorable.
    pub const NEW: FieldSpec = FieldSpec {
        since: i16::MIN,
        until: i16::MAX,
        tag: None,
        ignorable: false,
    };

    pub const fn since(self, since: i16) -> FieldSpec {
        FieldSpec { since, ..self }
    }

    pub const fn until(self, until: i16) -> FieldSpec {
        FieldSpec { until, ..self }
    }

    pub const fn tag(self, tag: u32) -> FieldSpec {
        FieldSpec {
            tag: Some(tag),
            ..self
        }
    }

    /// An ignorable field's value is dropped, not refused, by a version that lacks the field.
    pub const fn ignorable(self, ignorable: bool) -> FieldSpec {
        FieldSpec { ignorable, ..self }
    }

    pub fn is_in(&self, cx: Cx) -> bool {
        self.since <= cx.version && cx.version <= self.until
    }

    pub fn is_tagged(&self) -> bool {
        self.tag.is_some()
    }

    pub fn has_tag(&self, tag: u32) -> bool {
        self.tag == Some(tag)
    }

    pub fn is_ignorable(&self) -> bool {
        self.ignorable
    }
}

/// Where in which version a value is encoded.
#[derive(Debug, Clone, Copy)]
pub struct Cx {
    version: i16,
    flexible: bool,
    tagged: bool,
}

impl Cx {
    pub(super) fn new(version: i16, flexible: bool) -> Cx {
        Cx {
            version,
            flexible,
            tagged: false,
        }
    }

    pub fn version(&self) -> i16 {
        self.version
    }

    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    #[doc(hidden)]
    pub fn not_in_version(&self, schema: &'static str, field: &'static str) -> SchemaError {
        SchemaError::FieldNotInVersion {
            schema,
            field,
            version: self.version,
        }
    }

    #[doc(hidden)]
    pub fn encode_tagged<T: Field>(
        self,
        out: &mut Vec<u8>,
        spec: FieldSpec,
        value: &T,
    ) -> Result<(), SchemaError> {
        let mut content = Vec::new();
        value.encode_field(
            &mut content,
            Cx {
                tagged: true,
                ..self
            },
        )?;
        put_unsigned_varint(out, spec.tag.expect("only tagged fields come here"));
        put_unsigned_varint(out, checked_u32(content.len())?);
        out.extend_from_slice(&content);
        Ok(())
    }

    #[doc(hidden)]
    pub fn decode_tagged<T: Field>(self, content: &mut Reader<'_>) -> Result<T, SchemaError> {
        let value = T::decode_field(
            content,
            Cx {
                tagged: true,
                ..self
            },
        )?;
        content.finish()?;
        Ok(value)
    }

    /// A nullable struct starts with a marker: int8 −1 or 1, but as a tagged field an unsigned
    /// varint 0 or 1.
    #[doc(hidden)]
    pub fn encode_nullable_struct<T: Field>(
        self,
        value: Option<&T>,
        out: &mut Vec<u8>,
    ) -> Result<(), SchemaError> {
        let null = if self.tagged { 0 } else { -1i8 as u8 };
        let Some(value) = value else {
            out.push(null);
            return Ok(());
        };
        out.push(1);
        value.encode_field(
            out,
            Cx {
                tagged: false,
                ..self
            },
        )
    }

    #[doc(hidden)]
    pub fn decode_nullable_struct<T: Field>(
        self,
        reader: &mut Reader<'_>,
    ) -> Result<Option<T>, SchemaError> {
        let is_null = if self.tagged {
            reader.unsigned_varint()? == 0
        } else {
            reader.i8()? < 0
        };
        match is_null {
            true => Ok(None),
            false => T::decode_field(
                reader,
                Cx {
                    tagged: false,
                    ..self
                },
            )
            .map(Some),
        }
    }

    /// Writes the length of a value, or null, as its kind and version want it.
    fn put_len(
        self,
        out: &mut Vec<u8>,
        len: Option<usize>,
        short: bool,
    ) -> Result<(), SchemaError> {
        let limit = if short {
            i16::MAX as usize
        } else {
            i32::MAX as usize - 1
        };
        if let Some(len) = len.filter(|len| *len > limit) {
            return Err(SchemaError::TooLong(len));
        }
        match (self.flexible, short) {
            (true, _) => put_unsigned_varint(out, len.map_or(0, |len| len as u32 + 1)),
            (false, true) => {
                out.extend_from_slice(&len.map_or(-1, |len| len as i16).to_be_bytes());
            }
            (false, false) => {
                out.extend_from_slice(&len.map_or(-1, |len| len as i32).to_be_bytes());
            }
        }
        Ok(())
    }

    /// Reads a length that [`Cx::put_len`] wrote; never more than the bytes that are left.
    fn take_len(self, reader: &mut Reader<'_>, short: bool) -> Result<Option<usize>, SchemaError> {
        let len = match (self.flexible, short) {
            (true, _) => i64::from(reader.unsigned_varint()?) - 1,
            (false, true) => i64::from(reader.i16()?),
            (false, false) => i64::from(reader.i32()?),
        };
        match len {
            -1 => Ok(None),
            ..-1 => Err(SchemaError::InvalidLength(len)),
            _ if short && len > i64::from(i16::MAX) => Err(SchemaError::InvalidLength(len)),
            _ => reader.checked_len(len as usize).map(Some),
        }
    }
}

fn checked_u32(len: usize) -> Result<u32, SchemaError> {
    u32::try_from(len).map_err(|_| SchemaError::TooLong(len))
}

/// A type that a schema's field can have.
pub trait Field: Sized {
    fn encode_field(&self, out: &mut Vec<u8>, cx: Cx) -> Result<(), SchemaError>;
    fn decode_field(reader: &mut Reader<'_>, cx: Cx) -> Result<Self, SchemaError>;

    /// The value to read by people and programs: structs as objects by their fields' names here,
    /// ids as base64 as Kafka's tools print them, bytes as `0x…`.
    fn to_json(&self) -> Value;
}

/// A type that can be null, which is then an `Option` of it.
pub trait Nullable: Field {
    fn encode_nullable(value: Option<&Self>, out: &mut Vec<u8>, cx: Cx) -> Result<(), SchemaError>;
    fn decode_nullable(reader: &mut Reader<'_>, cx: Cx) -> Result<Option<Self>, SchemaError>;
}

impl<T: Nullable> Field for Option<T> {
    fn encode_field(&self, out: &mut Vec<u8>, cx: Cx) -> Result<(), SchemaError> {
        T::encode_nullable(self.as_ref(), out, cx)
    }

    fn decode_field(reader: &mut Reader<'_>, cx: Cx) -> Result<Self, SchemaError> {
        T::decode_nullable(reader, cx)
    }

    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Field::to_json)
    }
}

macro_rules! fixed_size_fields {
    ($($ty:ty => $read:ident;)*) => {$(
        impl Field for $ty {
            fn encode_field(&self, out: &mut Vec<u8>, _: Cx) -> Result<(), SchemaError> {
                out.extend_from_slice(&self.to_be_bytes());
                Ok(())
            }

            fn decode_field(reader: &mut Reader<'_>, _: Cx) -> Result<Self, SchemaError> {
                reader.$read()
            }

            fn to_json(&self) -> Value {
                Value::from(*self)
            }
        }
    )*};
}

fixed_size_fields! {
    i8 => i8;
    i16 => i16;
    u16 => u16;
    i32 => i32;
    u32 => u32;
    i64 => i64;
    f64 => f64;
}

impl Field for bool {
    fn encode_field(&self, out: &mut Vec<u8>, _: Cx) -> Result<(), SchemaError> {
        out.push(u8::from(*self));
        Ok(())
    }

    fn decode_field(reader: &mut Reader<'_>, _: Cx) -> Result<Self, SchemaError> {
        Ok(reader.u8()? != 0)
    }

    fn to_json(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Field for Uuid {
    fn encode_field(&self, out: &mut Vec<u8>, _: Cx) -> Result<(), SchemaError> {
        out.extend_from_slice(self.as_bytes());
        Ok(())
    }

    fn decode_field(reader: &mut Reader<'_>, _: Cx) -> Result<Self, SchemaError> {
        reader.uuid()
    }

    fn to_json(&self) -> Value {
        Value::String(crate::types::uuid_to_base64(*self))
    }
}

/// The non-null form of a nullable type, in terms of its nullable form.
macro_rules! required_from_nullable {
    () => {
        fn encode_field(&self, out: &mut Vec<u8>, cx: Cx) -> Result<(), SchemaError> {
            Self::encode_nullable(Some(self), out, cx)
        }

        fn decode_field(reader: &mut Reader<'_>, cx: Cx) -> Result<Self, SchemaError> {
            Self::decode_nullable(reader, cx)?.ok_or(SchemaError::UnexpectedNull)
        }
    };
}

impl Field for String {
    required_from_nullable!();

    fn to_json(&self) -> Value {
        Value::String(self.clone())
    }
}

impl Nullable for String {
    fn encode_nullable(value: Option<&Self>, out: &mut Vec<u8>, cx: Cx) -> Result<(), SchemaError> {
        cx.put_len(out, value.map(String::len), true)?;
        out.extend_from_slice(value.map_or(&[][..], |value| value.as_bytes()));
        Ok(())
    }

    fn decode_nullable(reader: &mut Reader<'_>, cx: Cx) -> Result<Option<Self>, SchemaError> {
        let Some(len) = cx.take_len(reader, true)? else {
            return Ok(None);
        };
        match std::str::from_utf8(reader.take(len)?) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(SchemaError::InvalidUtf8),
        }
    }
}

impl Field for Bytes {
    required_from_nullable!();

    fn to_json(&self) -> Value {
        let mut text = String::with_capacity(2 + 2 * self.len());
        text.push_str("0x");
        for byte in self {
            text.push_str(&format!("{byte:02x}"));
        }
        Value::String(text)
    }
}

impl Nullable for Bytes {
    fn encode_nullable(value: Option<&Self>, out: &mut Vec<u8>, cx: Cx) -> Result<(), SchemaError> {
        cx.put_len(out, value.map(Bytes::len), false)?;
        out.extend_from_slice(value.map_or(&[][..], |value| value));
        Ok(())
    }

    fn decode_nullable(reader: &mut Reader<'_>, cx: Cx) -> Result<Option<Self>, SchemaError> {
        let Some(len) = cx.take_len(reader, false)? else {
            return Ok(None);
        };
        Ok(Some(Bytes::copy_from_slice(reader.take(len)?)))
    }
}

impl<T: Field> Field for Vec<T> {
    required_from_nullable!();

    fn to_json(&self) -> Value {
        Value::Array(self.iter().map(Field::to_json).collect())
    }
}

impl<T: Field> Nullable for Vec<T> {
    fn encode_nullable(value: Option<&Self>, out: &mut Vec<u8>, cx: Cx) -> Result<(), SchemaError> {
        cx.put_len(out, value.map(Vec::len), false)?;
        let cx = Cx {
            tagged: false,
            ..cx
        };
        value
            .into_iter()
            .flatten()
            .try_for_each(|element| element.encode_field(out, cx))
    }

    fn decode_nullable(reader: &mut Reader<'_>, cx: Cx) -> Result<Option<Self>, SchemaError> {
        let Some(len) = cx.take_len(reader, false)? else {
            return Ok(None);
        };
        let cx = Cx {
            tagged: false,
            ..cx
        };
        // The count is plausible, yet elements may be larger in memory than in bytes.
        let mut elements = Vec::with_capacity(len.min(256));
        for _ in 0..len {
            elements.push(T::decode_field(reader, cx)?);
        }
        Ok(Some(elements))
    }
}
