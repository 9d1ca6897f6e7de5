//! Protobuf's wire format, by the declarations of .proto files or by field numbers only.
//!
//! A message becomes an object by the fields' names as they are declared, with what is there and no
//! defaults; a field that is not declared is called by its number. Timestamps, durations, wrappers
//! and structs become what they mean.

mod parser;
mod types;

use serde_json::{Map, Value, json};

use super::hex;
use super::input::{Input, float};

pub(super) use types::Files;
use types::{Field, Kind, Message, Scalar};

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const GROUP: u64 = 3;
const GROUP_END: u64 = 4;
const FIXED32: u64 = 5;

/// Reads one message that fills all the bytes; `indexes` name it among the declared ones.
pub(super) fn decode(files: &Files, indexes: &[i64], bytes: &[u8]) -> Result<Value, String> {
    let message = files.message_at(indexes)?;
    let mut input = Input::new(bytes);
    self::message(files, Some(message), &mut input, None, 0)
}

/// Reads one message by its field numbers.
pub(super) fn decode_raw(bytes: &[u8]) -> Result<Value, String> {
    let none = Files::default();
    message(&none, None, &mut Input::new(bytes), None, 0)
}

/// Fields until the end of the input, or until the end of the group.
fn message(
    files: &Files,
    declared: Option<&Message>,
    input: &mut Input<'_>,
    group: Option<u64>,
    depth: usize,
) -> Result<Value, String> {
    input.node(depth)?;
    let mut fields = Map::new();
    loop {
        if input.is_empty() {
            if group.is_some() {
                return input.fail("a group does not end");
            }
            break;
        }
        let tag = input.varint()?;
        let (number, wire) = (tag >> 3, tag & 7);
        if wire == GROUP_END && group == Some(number) {
            break;
        }
        if number == 0 || number >= 1 << 29 {
            return input.fail(format_args!("{number} is no number of a field"));
        }
        let field = declared.and_then(|message| message.field(number));
        match field {
            Some(field) => {
                let value = known(files, field, wire, number, input, depth)
                    .map_err(|why| format!("{}: {why}", field.name))?;
                put(&mut fields, field, value);
            }
            None => {
                let value = unknown(files, wire, number, input, depth)?;
                put_unknown(&mut fields, number.to_string(), value);
            }
        }
    }
    let value = Value::Object(fields);
    Ok(match declared {
        Some(message) => meaning(files, &message.name, value, depth),
        None => value,
    })
}

/// What one occurrence of a field brought.
enum Part {
    One(Value),
    /// Elements of a packed field.
    Many(Vec<Value>),
    Entry(String, Value),
}

fn put(fields: &mut Map<String, Value>, field: &Field, part: Part) {
    let name = field.name.clone();
    match part {
        Part::One(value) if !field.is_repeated => {
            fields.insert(name, value);
        }
        Part::One(value) => push(fields, name, vec![value]),
        Part::Many(values) if field.is_repeated => push(fields, name, values),
        // A packed field that is not declared as repeated: the last one counts.
        Part::Many(values) => {
            if let Some(value) = values.into_iter().next_back() {
                fields.insert(name, value);
            }
        }
        Part::Entry(key, value) => {
            let map = fields.entry(name).or_insert_with(|| json!({}));
            if let Value::Object(map) = map {
                map.insert(key, value);
            }
        }
    }
}

fn push(fields: &mut Map<String, Value>, name: String, values: Vec<Value>) {
    let list = fields.entry(name).or_insert_with(|| json!([]));
    if let Value::Array(list) = list {
        list.extend(values);
    }
}

/// Whether it is repeated shows only when it comes again.
fn put_unknown(fields: &mut Map<String, Value>, name: String, value: Value) {
    match fields.get_mut(&name) {
        Some(Value::Array(list)) => list.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
        None => {
            fields.insert(name, value);
        }
    }
}

fn known(
    files: &Files,
    field: &Field,
    wire: u64,
    number: u64,
    input: &mut Input<'_>,
    depth: usize,
) -> Result<Part, String> {
    match &field.kind {
        Kind::Map(key, value) => {
            let mut entry = inner(input, wire)?;
            let (key, value) = map_entry(files, *key, value, &mut entry, input, depth)?;
            Ok(Part::Entry(key, value))
        }
        Kind::Scalar(scalar) if wire == BYTES && !scalar.is_bytes() => {
            let mut packed = inner(input, wire)?;
            let mut values = Vec::new();
            while !packed.is_empty() {
                input.node(depth + 1)?;
                values.push(self::scalar(*scalar, &mut packed)?);
            }
            Ok(Part::Many(values))
        }
        Kind::Enum(id) if wire == BYTES => {
            let mut packed = inner(input, wire)?;
            let mut values = Vec::new();
            while !packed.is_empty() {
                input.node(depth + 1)?;
                values.push(files.enum_value(*id, packed.varint()? as i32));
            }
            Ok(Part::Many(values))
        }
        kind => single(files, kind, wire, number, input, depth).map(Part::One),
    }
}

fn single(
    files: &Files,
    kind: &Kind,
    wire: u64,
    number: u64,
    input: &mut Input<'_>,
    depth: usize,
) -> Result<Value, String> {
    input.node(depth + 1)?;
    match kind {
        Kind::Scalar(kind) if kind.wire() == wire => scalar(*kind, input),
        Kind::Enum(id) if wire == VARINT => Ok(files.enum_value(*id, input.varint()? as i32)),
        Kind::Message(id) if wire == GROUP => message(
            files,
            Some(files.message(*id)),
            input,
            Some(number),
            depth + 1,
        ),
        Kind::Message(id) if wire == BYTES => {
            let mut content = inner(input, wire)?;
            let message = message(
                files,
                Some(files.message(*id)),
                &mut content,
                None,
                depth + 1,
            );
            input.spend(&content);
            message
        }
        Kind::Unknown(name) if wire == BYTES => {
            let content = inner(input, wire)?;
            Ok(json!({ "undeclared": name, "bytes": hex(content.rest()) }))
        }
        _ => input.fail(format_args!(
            "wire type {wire} does not fit what is declared"
        )),
    }
}

/// The bytes of a nested thing, which spends from the same budget of values.
fn inner<'a>(input: &mut Input<'a>, wire: u64) -> Result<Input<'a>, String> {
    if wire != BYTES {
        return input.fail(format_args!(
            "wire type {wire} does not fit what is declared"
        ));
    }
    let len = input.varint()?;
    input.part(len)
}

fn map_entry(
    files: &Files,
    key: Scalar,
    value: &Kind,
    entry: &mut Input<'_>,
    outer: &mut Input<'_>,
    depth: usize,
) -> Result<(String, Value), String> {
    let (mut name, mut found) = (None, None);
    while !entry.is_empty() {
        let tag = entry.varint()?;
        match (tag >> 3, tag & 7) {
            (1, wire) if wire == key.wire() => name = Some(scalar(key, entry)?),
            (2, wire) => found = Some(single(files, value, wire, 2, entry, depth + 1)?),
            (number, wire) => {
                unknown(files, wire, number, entry, depth)?;
            }
        }
    }
    outer.spend(entry);
    // Key and value are left out where they are the default.
    let name = name.unwrap_or_else(|| key.default());
    let found = found.unwrap_or_else(|| match value {
        Kind::Scalar(scalar) => scalar.default(),
        Kind::Enum(id) => files.enum_value(*id, 0),
        _ => json!({}),
    });
    Ok((super::input::key_text(name), found))
}

fn scalar(kind: Scalar, input: &mut Input<'_>) -> Result<Value, String> {
    Ok(match kind {
        Scalar::Double => float(f64::from_le_bytes(input.array()?)),
        Scalar::Float => super::numbers::short_float(f32::from_le_bytes(input.array()?)),
        Scalar::Int32 => (input.varint()? as i32).into(),
        Scalar::Int64 => (input.varint()? as i64).into(),
        Scalar::Uint32 => (input.varint()? as u32).into(),
        Scalar::Uint64 => input.varint()?.into(),
        Scalar::Sint32 | Scalar::Sint64 => input.zigzag()?.into(),
        Scalar::Fixed32 => u32::from_le_bytes(input.array()?).into(),
        Scalar::Fixed64 => u64::from_le_bytes(input.array()?).into(),
        Scalar::Sfixed32 => i32::from_le_bytes(input.array()?).into(),
        Scalar::Sfixed64 => i64::from_le_bytes(input.array()?).into(),
        Scalar::Bool => (input.varint()? != 0).into(),
        Scalar::String => {
            let len = input.varint()?;
            let bytes = input.take_len(len)?;
            match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => hex(bytes).into(),
            }
        }
        Scalar::Bytes => {
            let len = input.varint()?;
            hex(input.take_len(len)?).into()
        }
    })
}

/// A field that is not declared, as its wire type shows it.
fn unknown(
    files: &Files,
    wire: u64,
    number: u64,
    input: &mut Input<'_>,
    depth: usize,
) -> Result<Value, String> {
    input.node(depth + 1)?;
    Ok(match wire {
        VARINT => input.varint()?.into(),
        FIXED64 => u64::from_le_bytes(input.array()?).into(),
        FIXED32 => u32::from_le_bytes(input.array()?).into(),
        GROUP => message(files, None, input, Some(number), depth + 1)?,
        BYTES => {
            let len = input.varint()?;
            let bytes = input.take_len(len)?;
            match std::str::from_utf8(bytes) {
                Ok(text) if !text.chars().any(|c| c.is_control() && !c.is_whitespace()) => {
                    text.into()
                }
                _ => hex(bytes).into(),
            }
        }
        _ => return input.fail(format_args!("{wire} is no wire type")),
    })
}

/// The types of google.protobuf that stand for something simpler.
fn meaning(files: &Files, name: &str, value: Value, depth: usize) -> Value {
    let Some(short) = name.strip_prefix("google.protobuf.") else {
        return value;
    };
    let int = |key: &str| value.get(key).and_then(Value::as_i64).unwrap_or(0);
    match short {
        "Timestamp" => {
            let nanos = i32::try_from(int("nanos")).unwrap_or(0);
            match jiff::Timestamp::new(int("seconds"), nanos) {
                Ok(time) => time.to_string().into(),
                Err(_) => value,
            }
        }
        "Duration" => {
            let nanos = i128::from(int("seconds")) * 1_000_000_000 + i128::from(int("nanos"));
            let sign = if nanos < 0 { "-" } else { "" };
            let size = nanos.unsigned_abs();
            let fraction = format!("{:09}", size % 1_000_000_000);
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            format!("{sign}{}{point}{fraction}s", size / 1_000_000_000).into()
        }
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value"
        | "UInt32Value" | "BoolValue" | "StringValue" | "BytesValue" => {
            let default = || match short {
                "BoolValue" => false.into(),
                "StringValue" => "".into(),
                "BytesValue" => "0x".into(),
                _ => 0.into(),
            };
            value.get("value").cloned().unwrap_or_else(default)
        }
        "Struct" => value.get("fields").cloned().unwrap_or_else(|| json!({})),
        "ListValue" => value.get("values").cloned().unwrap_or_else(|| json!([])),
        "Value" => match value {
            Value::Object(fields) => match fields.into_iter().next() {
                Some((key, _)) if key == "null_value" => Value::Null,
                Some((_, inner)) => inner,
                None => Value::Null,
            },
            other => other,
        },
        "Any" => any(files, value, depth),
        _ => value,
    }
}

/// What an Any holds, if its type is declared.
fn any(files: &Files, value: Value, depth: usize) -> Value {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let (Some(url), Some(hex)) = (text("type_url"), text("value")) else {
        return value;
    };
    let name = url.rsplit('/').next().unwrap_or(url);
    let digits = hex.strip_prefix("0x").unwrap_or(hex).as_bytes();
    let nibble = |b: u8| char::from(b).to_digit(16).map(|n| n as u8);
    let bytes: Option<Vec<u8>> = digits
        .chunks(2)
        .map(|pair| Some(nibble(pair[0])? << 4 | nibble(*pair.get(1)?)?))
        .collect();
    let (Some(declared), Some(bytes)) = (files.message_named(name), bytes) else {
        return value;
    };
    // An Any in an Any can't go on for ever: each has fewer bytes, and depth is counted.
    match message(
        files,
        Some(declared),
        &mut Input::new(&bytes),
        None,
        depth + 1,
    ) {
        Ok(inner) => json!({ "type_url": url, "value": inner }),
        Err(_) => value,
    }
}
