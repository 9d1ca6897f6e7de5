//! Avro's binary encoding, by the schema of its writer.
//!
//! A record becomes an object, a union what is in it, bytes `0x…`; logical types become what they
//! mean (times in UTC). Follows the Avro specification 1.12.

mod schema;

use serde_json::{Map, Value};

use super::hex;
use super::input::{Input, float};

pub(super) use schema::Schema;
use schema::{Logical, Node, NodeId};

/// Longer unscaled values of a decimal are shown as bytes.
const DECIMAL_BYTES_MAX: usize = 64;

/// Reads one value that fills all the bytes.
pub(super) fn decode(schema: &Schema, bytes: &[u8]) -> Result<Value, String> {
    let mut input = Input::new(bytes);
    let mut path = Vec::new();
    let value = value(schema, schema.root(), &mut input, 0, &mut path);
    let value = value.map_err(|why| match path.is_empty() {
        true => why,
        false => format!("{}: {why}", path.join(".")),
    })?;
    input.finish()?;
    Ok(value)
}

/// `path` keeps the fields that a failure came through.
fn value<'s>(
    schema: &'s Schema,
    id: NodeId,
    input: &mut Input<'_>,
    depth: usize,
    path: &mut Vec<&'s str>,
) -> Result<Value, String> {
    input.node(depth)?;
    Ok(match schema.node(id) {
        Node::Null => Value::Null,
        Node::Boolean => match input.u8()? {
            0 => false.into(),
            1 => true.into(),
            other => return input.fail(format_args!("{other} is no boolean")),
        },
        Node::Int(logical) | Node::Long(logical) => {
            let n = input.zigzag()?;
            time(*logical, n).unwrap_or_else(|| n.into())
        }
        Node::Float => super::numbers::short_float(f32::from_le_bytes(input.array()?)),
        Node::Double => float(f64::from_le_bytes(input.array()?)),
        Node::Bytes(logical) => bytes(*logical, sized(input)?),
        Node::String => match std::str::from_utf8(sized(input)?) {
            Ok(text) => text.into(),
            Err(_) => return input.fail("a string is no UTF-8"),
        },
        Node::Fixed { size, logical } => bytes(*logical, input.take(*size)?),
        Node::Enum(symbols) => {
            let n = input.zigzag()?;
            let symbol = usize::try_from(n).ok().and_then(|n| symbols.get(n));
            match symbol {
                Some(symbol) => symbol.as_str().into(),
                None => return input.fail(format_args!("{n} is no symbol of the enum")),
            }
        }
        Node::Union(branches) => {
            let n = input.zigzag()?;
            match usize::try_from(n).ok().and_then(|n| branches.get(n)) {
                Some(branch) => value(schema, *branch, input, depth + 1, path)?,
                None => return input.fail(format_args!("{n} is no branch of the union")),
            }
        }
        Node::Array(of) => {
            let mut items = Vec::new();
            while let Some(n) = block(input)? {
                for _ in 0..n {
                    items.push(value(schema, *of, input, depth + 1, path)?);
                }
            }
            items.into()
        }
        Node::Map(of) => {
            let mut fields = Map::new();
            while let Some(n) = block(input)? {
                for _ in 0..n {
                    let key = String::from_utf8_lossy(sized(input)?).into_owned();
                    fields.insert(key, value(schema, *of, input, depth + 1, path)?);
                }
            }
            fields.into()
        }
        Node::Record(of) => {
            let mut fields = Map::new();
            for (name, field) in of {
                path.push(name);
                let value = value(schema, *field, input, depth + 1, path)?;
                path.pop();
                fields.insert(name.clone(), value);
            }
            fields.into()
        }
    })
}

/// Bytes with their length before them.
fn sized<'a>(input: &mut Input<'a>) -> Result<&'a [u8], String> {
    let n = input.zigzag()?;
    match u64::try_from(n) {
        Ok(n) => input.take_len(n),
        Err(_) => input.fail(format_args!("{n} is no length")),
    }
}

/// How many items the next block of an array or map has; `None` after the last block. A negative
/// count is followed by the size of the block in bytes.
fn block(input: &mut Input<'_>) -> Result<Option<u64>, String> {
    let n = input.zigzag()?;
    if n < 0 {
        input.zigzag()?;
    }
    Ok(Some(n.unsigned_abs()).filter(|n| *n > 0))
}

fn time(logical: Logical, n: i64) -> Option<Value> {
    let at = |unit: i64| {
        let nanos = i128::from(n) * i128::from(unit);
        jiff::Timestamp::from_nanosecond(nanos).ok()
    };
    let local = |unit| {
        let civil = jiff::tz::TimeZone::UTC.to_datetime(at(unit)?);
        Some(civil.to_string().into())
    };
    let of_day = |unit| {
        Some(
            jiff::tz::TimeZone::UTC
                .to_datetime(at(unit)?)
                .time()
                .to_string()
                .into(),
        )
    };
    match logical {
        Logical::Date => {
            let day = n.checked_mul(86_400)?;
            let at = jiff::Timestamp::from_second(day).ok()?;
            Some(
                jiff::tz::TimeZone::UTC
                    .to_datetime(at)
                    .date()
                    .to_string()
                    .into(),
            )
        }
        Logical::TimeMillis => of_day(1_000_000),
        Logical::TimeMicros => of_day(1_000),
        Logical::TimestampMillis => Some(at(1_000_000)?.to_string().into()),
        Logical::TimestampMicros => Some(at(1_000)?.to_string().into()),
        Logical::TimestampNanos => Some(at(1)?.to_string().into()),
        Logical::LocalMillis => local(1_000_000),
        Logical::LocalMicros => local(1_000),
        Logical::LocalNanos => local(1),
        _ => None,
    }
}

fn bytes(logical: Logical, bytes: &[u8]) -> Value {
    match logical {
        Logical::Decimal { scale } if bytes.len() <= DECIMAL_BYTES_MAX => {
            decimal(bytes, scale).into()
        }
        Logical::Uuid if bytes.len() == 16 => match uuid::Uuid::from_slice(bytes) {
            Ok(uuid) => uuid.to_string().into(),
            Err(_) => hex(bytes).into(),
        },
        Logical::Duration if bytes.len() == 12 => {
            let part = |at: usize| -> u32 {
                let four: [u8; 4] = bytes[at..at + 4].try_into().unwrap_or_default();
                u32::from_le_bytes(four)
            };
            let (months, days, ms) = (part(0), part(4), part(8));
            format!("P{months}M{days}DT{}.{:03}S", ms / 1000, ms % 1000).into()
        }
        _ => hex(bytes).into(),
    }
}

/// A two's-complement integer, big-endian, with `scale` digits after the point.
fn decimal(bytes: &[u8], scale: usize) -> String {
    let is_negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut size = bytes.to_vec();
    if is_negative {
        let mut carry = true;
        for byte in size.iter_mut().rev() {
            let (negated, overflow) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (negated, overflow);
        }
    }
    let mut digits = Vec::new();
    while size.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u32;
        for byte in &mut size {
            let n = rest << 8 | u32::from(*byte);
            *byte = (n / 10) as u8;
            rest = n % 10;
        }
        digits.push(char::from_digit(rest, 10).unwrap_or('0'));
    }
    while digits.len() <= scale {
        digits.push('0');
    }
    if scale > 0 {
        digits.insert(scale, '.');
    }
    if is_negative {
        digits.push('-');
    }
    digits.iter().rev().collect()
}
