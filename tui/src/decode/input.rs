//! Bytes that are read from front to back, with a budget of values so that few bytes can't become
//! many values.

use super::{DEPTH_MAX, NODES_MAX};

/// What is left of a payload.
#[derive(Clone, Debug)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes_left: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            nodes_left: NODES_MAX,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Where the next byte is.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn fail<T>(&self, why: impl std::fmt::Display) -> Result<T, String> {
        Err(format!("byte {}: {why}", self.at))
    }

    /// Counts one more value, `depth` levels down.
    pub(super) fn node(&mut self, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return self.fail(format_args!(
                "it is nested more than {DEPTH_MAX} levels deep"
            ));
        }
        match self.nodes_left.checked_sub(1) {
            Some(left) => self.nodes_left = left,
            None => return self.fail(format_args!("there are more than {NODES_MAX} values")),
        }
        Ok(())
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self
            .at
            .checked_add(n)
            .filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            return self.fail(format_args!(
                "{n} bytes are wanted, {} are left",
                self.left()
            ));
        };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// So many bytes as a length from the input says.
    pub(super) fn take_len(&mut self, n: u64) -> Result<&'a [u8], String> {
        self.take(usize::try_from(n).unwrap_or(usize::MAX))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, String> {
        Ok(self.array::<1>()?[0])
    }

    /// A big-endian unsigned integer of 1, 2, 4 or 8 bytes.
    pub(super) fn uint(&mut self, bytes: usize) -> Result<u64, String> {
        let taken = self.take(bytes)?;
        Ok(taken.iter().fold(0, |n, byte| (n << 8) | u64::from(*byte)))
    }

    /// Seven bits to a byte, the lowest first.
    pub(super) fn varint(&mut self) -> Result<u64, String> {
        let begin = self.at;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(format!("byte {begin}: a varint is longer than 10 bytes"))
    }

    /// A varint with the sign in its lowest bit.
    pub(super) fn zigzag(&mut self) -> Result<i64, String> {
        let n = self.varint()?;
        Ok((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    /// The next bytes as an input of their own, which has what is left of the budget.
    pub(super) fn part(&mut self, len: u64) -> Result<Input<'a>, String> {
        let taken = self.take_len(len)?;
        Ok(Input {
            bytes: taken,
            at: 0,
            nodes_left: self.nodes_left,
        })
    }

    /// Counts what was read from a part of this input.
    pub(super) fn spend(&mut self, part: &Input<'_>) {
        self.nodes_left = part.nodes_left.min(self.nodes_left);
    }

    /// The bytes that were not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Nothing may be left.
    pub(super) fn finish(&self) -> Result<(), String> {
        match self.left() {
            0 => Ok(()),
            n => self.fail(format_args!("{n} bytes are left over")),
        }
    }
}

/// A number that JSON has no word for is a text.
pub(super) fn float(value: f64) -> serde_json::Value {
    match serde_json::Number::from_f64(value) {
        Some(number) => number.into(),
        None => value.to_string().into(),
    }
}

/// A key of an object.
pub(super) fn key_text(key: serde_json::Value) -> String {
    match key {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}
