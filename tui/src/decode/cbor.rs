//! CBOR. RFC 8949.

use serde_json::{Map, Value, json};

use super::hex;
use super::input::{Input, float, key_text};

/// Reads one item that fills all the bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, String> {
    let mut input = Input::new(bytes);
    let value = item(&mut input, 0)?;
    input.finish()?;
    value.ok_or_else(|| "byte 0: an end without a beginning".to_owned())
}

/// What says itself that it is CBOR, or a map with texts as keys.
pub(super) fn guess(bytes: &[u8]) -> Option<Value> {
    let is_marked = bytes.starts_with(&[0xd9, 0xd9, 0xf7]);
    let key_at = match bytes.first()? {
        0xa1..=0xb7 | 0xbf => 1,
        0xb8 => 2,
        0xb9 => 3,
        _ => usize::MAX,
    };
    let has_text_key = matches!(bytes.get(key_at), Some(0x60..=0x7b | 0x7f));
    (is_marked || has_text_key).then(|| decode(bytes).ok())?
}

/// `None` is the byte that ends what has no length.
fn item(input: &mut Input<'_>, depth: usize) -> Result<Option<Value>, String> {
    input.node(depth)?;
    let head = input.u8()?;
    let (major, info) = (head >> 5, head & 31);
    if head == 0xff {
        return Ok(None);
    }
    let argument = match info {
        0..=23 => Some(u64::from(info)),
        24..=27 => Some(input.uint(1 << (info - 24))?),
        31 if matches!(major, 2..=5) => None,
        _ => return input.fail(format_args!("0x{head:02x} means nothing")),
    };
    Ok(Some(match (major, argument) {
        (0, Some(n)) => n.into(),
        (1, Some(n)) => match i64::try_from(n) {
            Ok(n) => (-1 - n).into(),
            Err(_) => (-1 - i128::from(n)).to_string().into(),
        },
        (2, Some(n)) => hex(input.take_len(n)?).into(),
        (3, Some(n)) => text(input.take_len(n)?),
        (2 | 3, None) => chunks(input, major, depth)?,
        (4, n) => array(input, n, depth)?,
        (5, n) => map(input, n, depth)?,
        (6, Some(tag)) => {
            let inner = required(input, depth + 1)?;
            tagged(tag, inner)
        }
        (_, Some(n)) => simple(info, n),
        (_, None) => return input.fail("a length is missing"),
    }))
}

fn required(input: &mut Input<'_>, depth: usize) -> Result<Value, String> {
    match item(input, depth)? {
        Some(value) => Ok(value),
        None => input.fail("an end where a value is wanted"),
    }
}

fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => hex(bytes).into(),
    }
}

/// A text or bytes in parts, until the end of them.
fn chunks(input: &mut Input<'_>, major: u8, depth: usize) -> Result<Value, String> {
    let mut all = Vec::new();
    loop {
        input.node(depth + 1)?;
        let head = input.u8()?;
        if head == 0xff {
            break;
        }
        let (kind, info) = (head >> 5, head & 31);
        let len = match info {
            0..=23 => u64::from(info),
            24..=27 => input.uint(1 << (info - 24))?,
            _ => return input.fail("a part without a length"),
        };
        if kind != major {
            return input.fail("a part of another kind");
        }
        all.extend_from_slice(input.take_len(len)?);
    }
    Ok(if major == 2 {
        hex(&all).into()
    } else {
        text(&all)
    })
}

fn array(input: &mut Input<'_>, n: Option<u64>, depth: usize) -> Result<Value, String> {
    let mut items = Vec::new();
    match n {
        Some(n) if n > input.left() as u64 => {
            return input.fail(format_args!("an array of {n} does not fit"));
        }
        Some(n) => {
            for _ in 0..n {
                items.push(required(input, depth + 1)?);
            }
        }
        None => {
            while let Some(value) = item(input, depth + 1)? {
                items.push(value);
            }
        }
    }
    Ok(items.into())
}

fn map(input: &mut Input<'_>, n: Option<u64>, depth: usize) -> Result<Value, String> {
    if n.is_some_and(|n| n > input.left() as u64 / 2) {
        return input.fail("a map does not fit");
    }
    let mut fields = Map::new();
    let mut left = n;
    loop {
        let key = match &mut left {
            Some(0) => break,
            Some(n) => {
                *n -= 1;
                required(input, depth + 1)?
            }
            None => match item(input, depth + 1)? {
                Some(key) => key,
                None => break,
            },
        };
        fields.insert(key_text(key), required(input, depth + 1)?);
    }
    Ok(fields.into())
}

/// Tags that people know are shown as what they mean.
fn tagged(tag: u64, inner: Value) -> Value {
    match (tag, &inner) {
        // A text of a time, an address, and the mark that this is CBOR.
        (0 | 32 | 55799, _) => inner,
        (1, Value::Number(n)) => {
            let seconds = n.as_f64().unwrap_or(f64::NAN);
            let time = jiff::Timestamp::from_millisecond((seconds * 1e3) as i64);
            match time {
                Ok(time) if seconds.is_finite() => time.to_string().into(),
                _ => inner,
            }
        }
        (37, Value::String(text)) => {
            let uuid = text
                .strip_prefix("0x")
                .and_then(|text| uuid::Uuid::try_parse(text).ok());
            uuid.map_or(inner, |uuid| uuid.to_string().into())
        }
        _ => json!({ "tag": tag, "value": inner }),
    }
}

fn simple(info: u8, n: u64) -> Value {
    match info {
        20 => false.into(),
        21 => true.into(),
        22 | 23 => Value::Null,
        25 => float(half(n as u16)),
        26 => super::numbers::short_float(f32::from_bits(n as u32)),
        27 => float(f64::from_bits(n)),
        _ => json!({ "simple": n }),
    }
}

/// A floating-point number of two bytes.
fn half(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 31);
    let fraction = f64::from(bits & 0x3ff);
    let size = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1024.0) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}
