//! Versioned records of Kafka's own logs: a declaration per record, bytes in and out.
//!
//! Owns the [`schema!`](crate::schema) macro, the reader and writer behind it, and the records
//! of the metadata log ([`metadata`]), of `__consumer_offsets` ([`offsets`]) and of
//! `__transaction_state` ([`transaction`]), and what classic consumers tell each other through a
//! group ([`consumer_protocol`]). Encoding is Kafka's message encoding: KIP-482 for
//! flexible versions and tagged fields, KIP-893 for nullable structs.
//!
//! Invariants: what Kafka wrote decodes and encodes to the same bytes; a length that the input
//! cannot hold is refused before anything is allocated; tagged fields that we don't know are
//! skipped; a field that a version lacks is refused unless it has its default or is ignorable.
//!
//! A declaration reads like Kafka's JSON:
//!
//! ```ignore
//! schema! {
//!     pub struct Voter, versions 0..=1, flexible 0 {
//!         voter_id: i32;
//!         voter_directory_id: Uuid, since 1;
//!     }
//! }
//! ```
//!
//! `flexible never` is a schema without flexible versions. After a field's type: `= default`
//! (else the type's own), then `since N`, `until N` (both inclusive), `tag N`, `ignorable true`.
//! Fields stand in the order of the bytes; tagged ones in ascending order of tags. `Option` is
//! Kafka's nullable; `Bytes` is bytes, `Vec` is an array, another schema is a nested struct.

pub mod consumer_groups;
pub mod consumer_protocol;
mod field;
pub mod group_records;
pub mod metadata;
pub mod offsets;
pub mod share_state;
pub mod transaction;
mod wire;

use std::ops::RangeInclusive;

pub use bytes::Bytes;
#[doc(hidden)]
pub use serde_json::{Map, Value};
pub use uuid::Uuid;

pub use field::{Cx, Field, FieldSpec, Nullable};
pub use wire::{Reader, put_unsigned_varint};

/// A record or message with a byte encoding per version.
pub trait Schema: Sized {
    /// Kafka's name of it, for messages to people.
    const NAME: &'static str;
    /// The versions that exist, both ends inclusive.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version with compact lengths and tagged fields; `i16::MAX` if none has.
    const FLEXIBLE_SINCE: i16;

    /// Appends the encoding at `version`; on an error `out` is left with a partial encoding.
    fn encode(&self, out: &mut Vec<u8>, version: i16) -> Result<(), SchemaError>;

    /// Takes one value off the front of `reader`; bytes may remain.
    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, SchemaError>;

    /// The encoding at `version` after the version itself as int16: the form of coordinator
    /// records and of transaction markers.
    fn encode_versioned(&self, version: i16) -> Result<Vec<u8>, SchemaError> {
        let mut out = version.to_be_bytes().to_vec();
        self.encode(&mut out, version)?;
        Ok(out)
    }

    /// Reads what [`Schema::encode_versioned`] writes. Bytes after it are ignored, as in Kafka.
    fn decode_versioned(bytes: &[u8]) -> Result<(i16, Self), SchemaError> {
        let mut reader = Reader::new(bytes);
        let version = reader.i16()?;
        Ok((version, Self::decode(&mut reader, version)?))
    }

    #[doc(hidden)]
    fn check_version(version: i16) -> Result<Cx, SchemaError> {
        if Self::VERSIONS.contains(&version) {
            Ok(Cx::new(version, version >= Self::FLEXIBLE_SINCE))
        } else {
            Err(SchemaError::UnsupportedVersion {
                schema: Self::NAME,
                version,
            })
        }
    }
}

/// Why bytes are not a value of a schema, or a value has no bytes at a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    #[error("{needed_bytes} more bytes are needed, {available_bytes} are left")]
    Truncated {
        needed_bytes: usize,
        available_bytes: usize,
    },
    #[error("a varint is longer than 5 bytes")]
    InvalidVarint,
    #[error("{0} is not a possible length here")]
    InvalidLength(i64),
    #[error("null where a value is required")]
    UnexpectedNull,
    #[error("a string is not UTF-8")]
    InvalidUtf8,
    #[error("a tagged field appears twice or out of order")]
    TagOrder,
    #[error("{schema} has no version {version}")]
    UnsupportedVersion { schema: &'static str, version: i16 },
    #[error("version {version} of {schema} has no field {field}")]
    FieldNotInVersion {
        schema: &'static str,
        field: &'static str,
        version: i16,
    },
    #[error("a value of {0} bytes is too long for its length field")]
    TooLong(usize),
    #[error("{kind} {id} is unknown")]
    UnknownType { kind: &'static str, id: i32 },
    #[error("{0} bytes are left over")]
    TrailingBytes(usize),
}

/// Declares structs with Kafka's encoding; the module's documentation has the grammar.
#[macro_export]
macro_rules! schema {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident, versions $first:literal ..= $last:literal, flexible $flexible:tt {
            $(
                $(#[$field_meta:meta])*
                $field:ident : $ty:ty $(= $default:expr)? $(, $attribute:ident $value:literal)* ;
            )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $ty, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $crate::schema!(@default $($default)?), )* }
            }
        }

        impl $crate::schema::Schema for $name {
            const NAME: &'static str = stringify!($name);
            const VERSIONS: std::ops::RangeInclusive<i16> = $first..=$last;
            const FLEXIBLE_SINCE: i16 = $crate::schema!(@flexible $flexible);

            fn encode(
                &self,
                out: &mut Vec<u8>,
                version: i16,
            ) -> Result<(), $crate::schema::SchemaError> {
                let cx = Self::check_version(version)?;
                $crate::schema::Field::encode_field(self, out, cx)
            }

            fn decode(
                reader: &mut $crate::schema::Reader<'_>,
                version: i16,
            ) -> Result<Self, $crate::schema::SchemaError> {
                let cx = Self::check_version(version)?;
                $crate::schema::Field::decode_field(reader, cx)
            }
        }

        impl $crate::schema::Field for $name {
            #[allow(unused_mut, unused_variables, reason = "a schema may have no such field")]
            fn encode_field(
                &self,
                out: &mut Vec<u8>,
                cx: $crate::schema::Cx,
            ) -> Result<(), $crate::schema::SchemaError> {
                let default = Self::default();
                let mut tagged = 0;
                $({
                    let spec = const { $crate::schema::FieldSpec::NEW $(.$attribute($value))* };
                    if spec.is_in(cx) {
                        match spec.is_tagged() {
                            false => $crate::schema::Field::encode_field(&self.$field, out, cx)?,
                            true => tagged += u32::from(self.$field != default.$field),
                        }
                    } else if !spec.is_ignorable() && self.$field != default.$field {
                        return Err(cx.not_in_version(stringify!($name), stringify!($field)));
                    }
                })*
                if cx.is_flexible() {
                    $crate::schema::put_unsigned_varint(out, tagged);
                    $({
                        let spec =
                            const { $crate::schema::FieldSpec::NEW $(.$attribute($value))* };
                        if spec.is_tagged() && spec.is_in(cx) && self.$field != default.$field {
                            cx.encode_tagged(out, spec, &self.$field)?;
                        }
                    })*
                }
                Ok(())
            }

            #[allow(unused_mut, unused_variables, reason = "a schema may have no such field")]
            fn decode_field(
                reader: &mut $crate::schema::Reader<'_>,
                cx: $crate::schema::Cx,
            ) -> Result<Self, $crate::schema::SchemaError> {
                let mut value = Self::default();
                $({
                    let spec = const { $crate::schema::FieldSpec::NEW $(.$attribute($value))* };
                    if spec.is_in(cx) && !spec.is_tagged() {
                        value.$field = $crate::schema::Field::decode_field(reader, cx)?;
                    }
                })*
                if cx.is_flexible() {
                    let mut tags = reader.tagged_fields()?;
                    while let Some((tag, mut content)) = tags.next(reader)? {
                        $({
                            let spec =
                                const { $crate::schema::FieldSpec::NEW $(.$attribute($value))* };
                            if spec.has_tag(tag) && spec.is_in(cx) {
                                value.$field = cx.decode_tagged(&mut content)?;
                            }
                        })*
                    }
                }
                Ok(value)
            }

            #[allow(unused_mut, reason = "a schema may have no fields")]
            fn to_json(&self) -> $crate::schema::Value {
                let mut fields = $crate::schema::Map::new();
                $(
                    let value = $crate::schema::Field::to_json(&self.$field);
                    fields.insert(stringify!($field).to_owned(), value);
                )*
                $crate::schema::Value::Object(fields)
            }
        }

        impl $crate::schema::Nullable for $name {
            fn encode_nullable(
                value: Option<&Self>,
                out: &mut Vec<u8>,
                cx: $crate::schema::Cx,
            ) -> Result<(), $crate::schema::SchemaError> {
                cx.encode_nullable_struct(value, out)
            }

            fn decode_nullable(
                reader: &mut $crate::schema::Reader<'_>,
                cx: $crate::schema::Cx,
            ) -> Result<Option<Self>, $crate::schema::SchemaError> {
                cx.decode_nullable_struct(reader)
            }
        }
    )*};
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
    (@flexible never) => { i16::MAX };
    (@flexible $since:literal) => { $since };
}

#[cfg(test)]
mod tests;
