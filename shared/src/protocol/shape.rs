//! Walks the bytes of a message body along its layout before the body is decoded, so that no length
//! from the network ever decides how much memory is taken.
//!
//! What it promises of bytes that pass [`check`]:
//! - every string, byte sequence, array and tagged field lies within the bytes, and an array has no
//!   more elements than bytes are left for elements of their smallest size;
//! - the elements that take more memory than bytes (structs, strings, byte sequences) are at most
//!   [`REQUEST_ELEMENTS_MAX`] or [`RESPONSE_ELEMENTS_MAX`] in all;
//! - a struct has at most [`TAGGED_FIELDS_MAX`] tagged fields, a message at most
//!   [`TAGGED_FIELDS_IN_MESSAGE_MAX`], and one that is known ends where it says it ends;
//! - varints have at most five bytes, strings at most 32,767, null stands only where it may;
//! - nesting is that of the layout.
//!
//! It does not look at contents: text may not be UTF-8, records may be broken. Bytes after the end
//! of the message are left alone, as in Kafka.
//!
//! The layouts are in `shape/table.rs`; `shape/program.rs` turns one at one version into a list of
//! steps, once, at the first use.
//!
//! Kafka checks the same while it reads: `common/protocol/ByteBufferAccessor.java` and the readers
//! that its message generator writes (4.3). The caps on elements and tagged fields are our own.

mod program;
mod table;

#[cfg(test)]
pub(super) mod tests;

use std::sync::OnceLock;

use kafka_protocol::messages::ApiKey;

use super::wire::{self, WireError};
use program::{Length, Program, Step};

/// At most so many structs, strings and byte sequences are elements of arrays in one request.
///
/// Differs from Kafka: it has no cap but the size of the request. The largest honest requests name
/// each partition of a broker once, and a broker with as many partitions as this is out of reach;
/// without a cap, a request of 100 MB could ask for 10 GB of empty structs.
pub const REQUEST_ELEMENTS_MAX: u32 = 1 << 18;

/// The same for a response. Metadata and log directories name every partition of a cluster.
pub const RESPONSE_ELEMENTS_MAX: u32 = 1 << 22;

/// At most so many tagged fields are in one struct.
pub const TAGGED_FIELDS_MAX: u32 = 64;

/// At most so many tagged fields that are not known here are in one message.
pub const TAGGED_FIELDS_IN_MESSAGE_MAX: u32 = 1024;

/// No string is longer, whichever way its length is written.
const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// The two messages of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Request,
    Response,
}

/// What is wrong with the bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeErrorKind {
    #[error("it ends early")]
    Short,
    #[error("a length that cannot be")]
    BadLength,
    #[error("an array longer than the bytes that are left")]
    ArrayTooLong,
    #[error("more elements than are accepted in one message")]
    TooManyElements,
    #[error("more tagged fields than are accepted")]
    TooManyTaggedFields,
    #[error("a tagged field whose contents have another size than it says")]
    TaggedFieldSize,
    #[error("null where a value has to be")]
    Null,
}

/// What is wrong with the bytes of a message, and how many bytes before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (at byte {position})")]
pub struct ShapeError {
    pub kind: ShapeErrorKind,
    /// Bytes from the beginning of the body.
    pub position: usize,
}

/// The programs of one API: one for each version and direction, from the oldest.
struct Programs {
    first_version: i16,
    requests: Vec<Program>,
    responses: Vec<Program>,
}

/// One more than the largest key in the table.
const KEYS: usize = 93;

static PROGRAMS: [OnceLock<Option<Programs>>; KEYS] = [const { OnceLock::new() }; KEYS];

fn layout(key: ApiKey) -> Option<&'static table::Layout> {
    let index = table::LAYOUTS.binary_search_by_key(&(key as i16), |layout| layout.key as i16);
    index.ok().map(|index| &table::LAYOUTS[index])
}

fn programs(key: ApiKey) -> Option<&'static Programs> {
    let compile = || {
        let layout = layout(key)?;
        let versions = super::api::codec_versions(key);
        let all = |text| {
            let each = versions.clone();
            each.map(|version| program::compile(text, version, layout.first_flexible))
                .collect()
        };
        Some(Programs {
            first_version: *versions.start(),
            requests: all(layout.request),
            responses: all(layout.response),
        })
    };
    PROGRAMS.get(key as usize)?.get_or_init(compile).as_ref()
}

fn find(key: ApiKey, direction: Direction, version: i16) -> Option<&'static Program> {
    let programs = programs(key)?;
    let index = usize::try_from(i32::from(version) - i32::from(programs.first_version)).ok()?;
    match direction {
        Direction::Request => programs.requests.get(index),
        Direction::Response => programs.responses.get(index),
    }
}

/// The first version of an API with compact lengths and tagged fields; `i16::MAX` if it has none.
pub(super) fn first_flexible_version(key: ApiKey) -> i16 {
    layout(key).map_or(i16::MAX, |layout| layout.first_flexible)
}

/// Checks that `body` begins with a message of this API, direction and version, and says how many
/// bytes it has. Allocates nothing. `None` when the version cannot be coded here.
pub fn check(
    key: ApiKey,
    direction: Direction,
    version: i16,
    body: &[u8],
) -> Option<Result<usize, ShapeError>> {
    let program = find(key, direction, version)?;
    Some(walk(program, direction, body))
}

/// The layout of one message of an API that kafka-protocol lacks, at its only version, which is
/// flexible; in the notation of the table.
#[derive(Debug)]
pub struct OwnLayout {
    text: &'static str,
    program: OnceLock<Program>,
}

impl OwnLayout {
    pub(super) const fn new(text: &'static str) -> OwnLayout {
        let program = OnceLock::new();
        OwnLayout { text, program }
    }

    /// As [`check`], of a response of this layout.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn check_response(&self, body: &[u8]) -> Result<usize, ShapeError> {
        let program = self
            .program
            .get_or_init(|| program::compile(self.text, 0, 0));
        walk(program, Direction::Response, body)
    }
}

fn walk(program: &Program, direction: Direction, body: &[u8]) -> Result<usize, ShapeError> {
    let elements_left = match direction {
        Direction::Request => REQUEST_ELEMENTS_MAX,
        Direction::Response => RESPONSE_ELEMENTS_MAX,
    };
    let tagged_left = TAGGED_FIELDS_IN_MESSAGE_MAX;
    let mut walker = Walker {
        rest: body,
        elements_left,
        tagged_left,
    };
    let result = walker.walk(&program.steps);
    let position = body.len() - walker.rest.len();
    match result {
        Ok(()) => Ok(position),
        Err(kind) => Err(ShapeError { kind, position }),
    }
}

type Walk<T = ()> = Result<T, ShapeErrorKind>;

impl From<WireError> for ShapeErrorKind {
    fn from(error: WireError) -> ShapeErrorKind {
        match error {
            WireError::Short => ShapeErrorKind::Short,
            WireError::BadLength | WireError::NotUtf8 => ShapeErrorKind::BadLength,
            WireError::Null => ShapeErrorKind::Null,
        }
    }
}

struct Walker<'a> {
    rest: &'a [u8],
    elements_left: u32,
    tagged_left: u32,
}

impl<'a> Walker<'a> {
    fn walk(&mut self, steps: &[Step]) -> Walk {
        for step in steps {
            match step {
                Step::Skip(count) => self.skip(*count as usize)?,
                Step::String(length) => {
                    let bytes = self.length(*length)?.unwrap_or(0);
                    if bytes > STRING_BYTES_MAX {
                        return Err(ShapeErrorKind::BadLength);
                    }
                    self.skip(bytes)?;
                }
                Step::Bytes(length) => {
                    let bytes = self.length(*length)?.unwrap_or(0);
                    self.skip(bytes)?;
                }
                Step::Array(array) => self.array(array)?,
                Step::MaybeStruct(body) => match self.byte()? {
                    1 => self.walk(body)?,
                    0xff => {}
                    _ => return Err(ShapeErrorKind::BadLength),
                },
                Step::Tagged(known) => self.tagged(known)?,
            }
        }
        Ok(())
    }

    #[inline]
    fn skip(&mut self, count: usize) -> Walk {
        self.rest = self.rest.get(count..).ok_or(ShapeErrorKind::Short)?;
        Ok(())
    }

    #[inline]
    fn byte(&mut self) -> Walk<u8> {
        let (&byte, rest) = self.rest.split_first().ok_or(ShapeErrorKind::Short)?;
        self.rest = rest;
        Ok(byte)
    }

    /// A length as `form` says it is written; None is null.
    #[inline]
    fn length(&mut self, form: Length) -> Walk<Option<usize>> {
        let length = match form {
            Length::Compact { .. } => {
                let length = wire::uvarint(&mut self.rest)?.checked_sub(1);
                length.map(|length| length as usize)
            }
            Length::Int16 { .. } => {
                let (bytes, rest) = self.rest.split_first_chunk().ok_or(ShapeErrorKind::Short)?;
                self.rest = rest;
                signed_length(i32::from(i16::from_be_bytes(*bytes)))?
            }
            Length::Int32 { .. } => {
                let (bytes, rest) = self.rest.split_first_chunk().ok_or(ShapeErrorKind::Short)?;
                self.rest = rest;
                signed_length(i32::from_be_bytes(*bytes))?
            }
        };
        if length.is_none() && !form.is_nullable() {
            return Err(ShapeErrorKind::Null);
        }
        Ok(length)
    }

    fn array(&mut self, array: &program::Array) -> Walk {
        let Some(length) = self.length(array.length)? else {
            return Ok(());
        };
        if length > self.rest.len() / array.element_bytes_min {
            return Err(ShapeErrorKind::ArrayTooLong);
        }
        if array.is_counted {
            let count = u32::try_from(length).map_err(|_| ShapeErrorKind::TooManyElements)?;
            let left = self.elements_left.checked_sub(count);
            self.elements_left = left.ok_or(ShapeErrorKind::TooManyElements)?;
        }
        if array.is_fixed {
            return self.skip(length * array.element_bytes_min);
        }
        for _ in 0..length {
            self.walk(&array.element)?;
        }
        Ok(())
    }

    #[inline]
    fn tagged(&mut self, known: &[program::Tagged]) -> Walk {
        if let [0, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(());
        }
        self.some_tagged(known)
    }

    fn some_tagged(&mut self, known: &[program::Tagged]) -> Walk {
        let count = wire::uvarint(&mut self.rest)?;
        if count > TAGGED_FIELDS_MAX {
            return Err(ShapeErrorKind::TooManyTaggedFields);
        }
        for _ in 0..count {
            let tag = wire::uvarint(&mut self.rest)?;
            let size = wire::uvarint(&mut self.rest)? as usize;
            match known.iter().find(|field| field.tag == tag) {
                Some(field) => self.known_tagged(&field.steps, size)?,
                None => {
                    let left = self.tagged_left.checked_sub(1);
                    self.tagged_left = left.ok_or(ShapeErrorKind::TooManyTaggedFields)?;
                    self.skip(size)?;
                }
            }
        }
        Ok(())
    }

    /// The decoder goes by the contents, so the size has to agree with them: otherwise it would
    /// read on at another place than this walk.
    fn known_tagged(&mut self, steps: &[Step], size: usize) -> Walk {
        if size > self.rest.len() {
            return Err(ShapeErrorKind::Short);
        }
        let before = self.rest.len();
        self.walk(steps)?;
        if before - self.rest.len() != size {
            return Err(ShapeErrorKind::TaggedFieldSize);
        }
        Ok(())
    }
}

/// -1 is null; any other negative length is wrong.
#[inline]
fn signed_length(length: i32) -> Walk<Option<usize>> {
    match usize::try_from(length) {
        Ok(length) => Ok(Some(length)),
        Err(_) if length == -1 => Ok(None),
        Err(_) => Err(ShapeErrorKind::BadLength),
    }
}
