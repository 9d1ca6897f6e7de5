//! What Kafka's own serializers write of numbers, big-endian, and UUIDs.

use serde_json::Value;
use uuid::Uuid;

use super::Decoder;
use super::input::float;

/// Beyond this a double no longer holds every integer, and an integer of 8 bytes is hardly one.
const LONG_LIKELY: u64 = 1 << 53;

/// Reads one number that fills all the bytes.
pub(super) fn decode(decoder: Decoder, bytes: &[u8]) -> Result<Value, String> {
    fn all<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
        bytes
            .try_into()
            .map_err(|_| format!("it has {} bytes and not {N}", bytes.len()))
    }
    Ok(match decoder {
        Decoder::Short => i16::from_be_bytes(all(bytes)?).into(),
        Decoder::Int => i32::from_be_bytes(all(bytes)?).into(),
        Decoder::Long => i64::from_be_bytes(all(bytes)?).into(),
        Decoder::Float => short_float(f32::from_be_bytes(all(bytes)?)),
        _ => float(f64::from_be_bytes(all(bytes)?)),
    })
}

/// With the digits that a float of 4 bytes has, and not those of its next double.
pub(super) fn short_float(value: f32) -> Value {
    float(value.to_string().parse().unwrap_or(f64::from(value)))
}

/// A UUID as 16 bytes, or as the text that Kafka's serializer writes.
pub(super) fn uuid(bytes: &[u8]) -> Result<Value, String> {
    if let Ok(uuid) = Uuid::from_slice(bytes) {
        return Ok(uuid.to_string().into());
    }
    let text = std::str::from_utf8(bytes).ok();
    match text.and_then(|text| Uuid::try_parse(text).ok()) {
        Some(uuid) => Ok(uuid.to_string().into()),
        None => Err(format!("it has {} bytes and not 16", bytes.len())),
    }
}

/// What bytes that are no text could be by their length, where the number looks like one that
/// somebody meant.
pub(super) fn guess(bytes: &[u8]) -> Option<(Decoder, Value)> {
    let decoder = match bytes.len() {
        2 => Decoder::Short,
        4 => {
            let n = i32::from_be_bytes(bytes.try_into().ok()?);
            let f = f32::from_be_bytes(bytes.try_into().ok()?);
            let is_likely = (1e-3..1e7).contains(&f.abs());
            match n.unsigned_abs() {
                0..0x0100_0000 => Decoder::Int,
                _ if is_likely => Decoder::Float,
                _ => Decoder::Int,
            }
        }
        8 => {
            let n = i64::from_be_bytes(bytes.try_into().ok()?);
            let f = f64::from_be_bytes(bytes.try_into().ok()?);
            let is_likely = (1e-9..1e18).contains(&f.abs());
            match n.unsigned_abs() {
                0..LONG_LIKELY => Decoder::Long,
                _ if is_likely => Decoder::Double,
                _ => return None,
            }
        }
        16 => {
            let uuid = Uuid::from_slice(bytes).ok()?;
            let is_known = (1..=8).contains(&uuid.get_version_num());
            let is_rfc = uuid.get_variant() == uuid::Variant::RFC4122;
            return (is_known && is_rfc).then(|| (Decoder::Uuid, uuid.to_string().into()));
        }
        _ => return None,
    };
    Some((decoder, decode(decoder, bytes).ok()?))
}
