//! MessagePack. <https://github.com/msgpack/msgpack/blob/master/spec.md>

use serde_json::{Map, Value, json};

use super::hex;
use super::input::{Input, float, key_text};

/// Reads one value that fills all the bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, String> {
    let mut input = Input::new(bytes);
    let value = value(&mut input, 0)?;
    input.finish()?;
    Ok(value)
}

/// A map with texts as keys, or an array of such: what programs send, and what few other bytes are.
pub(super) fn guess(bytes: &[u8]) -> Option<Value> {
    let is_container = matches!(bytes.first()?, 0x81..=0x9f | 0xdc..=0xdf);
    let value = decode(bytes)
        .ok()
        .filter(|_| is_container && bytes.len() > 2)?;
    match &value {
        Value::Object(_) => has_text_keys(bytes).then_some(value),
        // Anything could be an array of small numbers.
        Value::Array(items) => items
            .iter()
            .any(|item| item.is_object() || item.is_string())
            .then_some(value),
        _ => None,
    }
}

fn has_text_keys(bytes: &[u8]) -> bool {
    let head = match bytes.first() {
        Some(0xde) => 3,
        Some(0xdf) => 5,
        _ => 1,
    };
    matches!(bytes.get(head), Some(0xa0..=0xbf | 0xd9..=0xdb))
}

fn value(input: &mut Input<'_>, depth: usize) -> Result<Value, String> {
    input.node(depth)?;
    let begin = input.at();
    let byte = input.u8()?;
    Ok(match byte {
        0x00..=0x7f => byte.into(),
        0x80..=0x8f => map(input, u64::from(byte & 15), depth)?,
        0x90..=0x9f => array(input, u64::from(byte & 15), depth)?,
        0xa0..=0xbf => text(input, u64::from(byte & 31))?,
        0xc0 => Value::Null,
        0xc1 => return Err(format!("byte {begin}: 0xc1 is never used")),
        0xc2 => false.into(),
        0xc3 => true.into(),
        0xc4..=0xc6 => {
            let len = length(input, byte - 0xc4)?;
            hex(input.take_len(len)?).into()
        }
        0xc7..=0xc9 => {
            let len = length(input, byte - 0xc7)?;
            extension(input, len)?
        }
        0xca => super::numbers::short_float(f32::from_be_bytes(input.array()?)),
        0xcb => float(f64::from_be_bytes(input.array()?)),
        0xcc..=0xcf => input.uint(1 << (byte - 0xcc))?.into(),
        0xd0 => i8::from_be_bytes(input.array()?).into(),
        0xd1 => i16::from_be_bytes(input.array()?).into(),
        0xd2 => i32::from_be_bytes(input.array()?).into(),
        0xd3 => i64::from_be_bytes(input.array()?).into(),
        0xd4..=0xd8 => extension(input, 1 << (byte - 0xd4))?,
        0xd9..=0xdb => {
            let len = length(input, byte - 0xd9)?;
            text(input, len)?
        }
        0xdc | 0xdd => {
            let len = length(input, byte - 0xdc + 1)?;
            array(input, len, depth)?
        }
        0xde | 0xdf => {
            let len = length(input, byte - 0xde + 1)?;
            map(input, len, depth)?
        }
        0xe0..=0xff => (byte as i8).into(),
    })
}

/// A length of 1, 2 or 4 bytes.
fn length(input: &mut Input<'_>, size: u8) -> Result<u64, String> {
    input.uint(1 << size)
}

fn text(input: &mut Input<'_>, len: u64) -> Result<Value, String> {
    let bytes = input.take_len(len)?;
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => hex(bytes).into(),
    })
}

fn array(input: &mut Input<'_>, n: u64, depth: usize) -> Result<Value, String> {
    if n > input.left() as u64 {
        return input.fail(format_args!("an array of {n} does not fit"));
    }
    (0..n).map(|_| value(input, depth + 1)).collect()
}

fn map(input: &mut Input<'_>, n: u64, depth: usize) -> Result<Value, String> {
    if n > input.left() as u64 / 2 {
        return input.fail(format_args!("a map of {n} does not fit"));
    }
    let mut fields = Map::new();
    for _ in 0..n {
        let key = key_text(value(input, depth + 1)?);
        fields.insert(key, value(input, depth + 1)?);
    }
    Ok(fields.into())
}

fn extension(input: &mut Input<'_>, len: u64) -> Result<Value, String> {
    let kind = input.u8()? as i8;
    let bytes = input.take_len(len)?;
    let seconds = match (kind, bytes.len()) {
        (-1, 4) => Some((Input::new(bytes).uint(4)? as i64, 0)),
        (-1, 8) => {
            let both = Input::new(bytes).uint(8)?;
            Some(((both & 0x3_ffff_ffff) as i64, (both >> 34) as i32))
        }
        (-1, 12) => {
            let mut input = Input::new(bytes);
            let nanos = input.uint(4)? as i32;
            Some((input.uint(8)? as i64, nanos))
        }
        _ => None,
    };
    let time = seconds.and_then(|(seconds, nanos)| jiff::Timestamp::new(seconds, nanos).ok());
    Ok(match time {
        Some(time) => time.to_string().into(),
        None => json!({ "extension": kind, "bytes": hex(bytes) }),
    })
}
