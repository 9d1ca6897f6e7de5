//! The little of DER that stores and keys need: tags of one byte, definite lengths.

use std::borrow::Cow;

use super::StoreFault;

pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTETS: u8 = 0x04;
pub const OID: u8 = 0x06;
pub const BMP_STRING: u8 = 0x1e;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

/// `[n]`, holding something or being something made of parts.
pub const fn context(n: u8) -> u8 {
    0xa0 | n
}

/// An octet string made of parts.
const OCTET_PARTS: u8 = 0x24;

/// `[0]` in the place of an octet string.
const CONTEXT_OCTETS: u8 = 0x80;

/// Reads values one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Der<'a> {
    bytes: &'a [u8],
}

const SHORT: StoreFault = StoreFault::Damaged("it ends too early");

impl<'a> Der<'a> {
    pub fn new(bytes: &'a [u8]) -> Der<'a> {
        Der { bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The tag of the next value.
    pub fn tag(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    /// The bytes from here to where `later` stands in the same text.
    pub fn up_to(&self, later: &Der<'_>) -> &'a [u8] {
        let len = self.bytes.len().saturating_sub(later.bytes.len());
        self.bytes.get(..len).unwrap_or_default()
    }

    /// The next value with its tag.
    pub fn any(&mut self) -> Result<(u8, &'a [u8]), StoreFault> {
        let whole = self.bytes;
        let [tag, first, rest @ ..] = whole else {
            return Err(SHORT);
        };
        let (len, rest) = match *first {
            short @ ..0x80 => (usize::from(short), rest),
            0x80 => return Err(StoreFault::Unsupported("BER of indefinite length")),
            n => {
                let n = usize::from(n & 0x7f);
                if n > 4 {
                    return Err(StoreFault::Damaged("a length is too long"));
                }
                let (digits, rest) = rest.split_at_checked(n).ok_or(SHORT)?;
                let len = digits
                    .iter()
                    .fold(0, |len, digit| len << 8 | usize::from(*digit));
                (len, rest)
            }
        };
        let (value, rest) = rest.split_at_checked(len).ok_or(SHORT)?;
        self.bytes = rest;
        Ok((*tag, value))
    }

    /// The next value, which has to be of that tag.
    pub fn value(&mut self, tag: u8) -> Result<&'a [u8], StoreFault> {
        match self.any()? {
            (found, value) if found == tag => Ok(value),
            _ => Err(StoreFault::Damaged("something else is where it should be")),
        }
    }

    /// What is inside the next value, which has to be of that tag.
    pub fn inside(&mut self, tag: u8) -> Result<Der<'a>, StoreFault> {
        self.value(tag).map(Der::new)
    }

    pub fn sequence(&mut self) -> Result<Der<'a>, StoreFault> {
        self.inside(SEQUENCE)
    }

    /// A number that is not negative.
    pub fn number(&mut self) -> Result<u32, StoreFault> {
        let bytes = self.value(INTEGER)?;
        let (digits, wide) = match bytes {
            [0, rest @ ..] if !rest.is_empty() => (rest, false),
            [first, ..] => (bytes, *first >= 0x80),
            [] => (bytes, true),
        };
        if wide || digits.len() > 4 {
            return Err(StoreFault::Damaged("a number is too large"));
        }
        Ok(digits.iter().fold(0, |n, digit| n << 8 | u32::from(*digit)))
    }

    /// An octet string in one piece or in parts, also as `[0]`.
    pub fn octets(&mut self) -> Result<Cow<'a, [u8]>, StoreFault> {
        let (tag, value) = self.any()?;
        match tag {
            OCTETS | CONTEXT_OCTETS => Ok(Cow::Borrowed(value)),
            OCTET_PARTS | 0xa0 => {
                let mut parts = Der::new(value);
                let mut whole = Vec::new();
                while !parts.is_empty() {
                    whole.extend_from_slice(parts.value(OCTETS)?);
                }
                Ok(Cow::Owned(whole))
            }
            _ => Err(StoreFault::Damaged(
                "something else is where bytes should be",
            )),
        }
    }
}

/// A value with its tag and length.
pub fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let len = content.len().to_be_bytes();
    let digits = len
        .iter()
        .position(|byte| *byte != 0)
        .map_or(&[][..], |at| &len[at..]);
    match digits {
        [] => out.push(0),
        [short @ ..0x80] => out.push(*short),
        digits => {
            // At most the eight bytes of a length.
            out.push(0x80 | digits.len() as u8);
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(content);
    out
}
