//! Variable-length integers of records: zigzag, seven bits per byte, least significant first.
//!
//! Same encoding as Kafka's `ByteUtils.readVarint/readVarlong`; a varint takes at most 5 bytes, a
//! varlong at most 10.

/// Takes an unsigned varint of at most 32 bits off the front; `None` if it is cut or too long.
pub(crate) fn take_unsigned(buf: &mut &[u8]) -> Option<u32> {
    let mut value = 0u64;
    for (index, byte) in buf.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *buf = &buf[index + 1..];
            // The fifth byte may carry four bits only.
            return u32::try_from(value).ok();
        }
    }
    None
}

fn take_unsigned_long(buf: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (index, byte) in buf.iter().take(10).enumerate() {
        if index == 9 && byte & 0x7e != 0 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *buf = &buf[index + 1..];
            return Some(value);
        }
    }
    None
}

/// Takes a zigzag varint off the front; `None` if it is cut or too long.
#[inline]
pub(crate) fn take_i32(buf: &mut &[u8]) -> Option<i32> {
    // Most lengths and deltas fit in one byte or two.
    let raw = match **buf {
        [byte, ref rest @ ..] if byte < 0x80 => {
            *buf = rest;
            u32::from(byte)
        }
        [low, high, ref rest @ ..] if high < 0x80 => {
            *buf = rest;
            u32::from(low & 0x7f) | u32::from(high) << 7
        }
        _ => take_unsigned(buf)?,
    };
    Some((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Takes a zigzag varlong off the front; `None` if it is cut or too long.
#[inline]
pub(crate) fn take_i64(buf: &mut &[u8]) -> Option<i64> {
    let raw = match **buf {
        [byte, ref rest @ ..] if byte < 0x80 => {
            *buf = rest;
            u64::from(byte)
        }
        _ => take_unsigned_long(buf)?,
    };
    Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// Appends an unsigned varint.
pub(crate) fn put_unsigned(out: &mut Vec<u8>, value: u32) {
    put_unsigned_long(out, u64::from(value));
}

fn put_unsigned_long(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a zigzag varint.
pub(crate) fn put_i32(out: &mut Vec<u8>, value: i32) {
    put_unsigned(out, ((value << 1) ^ (value >> 31)) as u32);
}

/// Appends a zigzag varlong.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_unsigned_long(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn unsigned_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Bytes that [`put_i32`] writes for `value`.
pub(crate) fn len_i32(value: i32) -> usize {
    unsigned_len(u64::from(((value << 1) ^ (value >> 31)) as u32))
}

/// Bytes that [`put_i64`] writes for `value`.
pub(crate) fn len_i64(value: i64) -> usize {
    unsigned_len(((value << 1) ^ (value >> 63)) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_values_have_kafkas_bytes() {
        let cases: [(i32, &[u8]); 8] = [
            (0, &[0]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ];
        for (value, bytes) in cases {
            let mut out = Vec::new();
            put_i32(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(take_i32(&mut &out[..]), Some(value));
        }
    }

    #[test]
    fn varints_that_are_cut_or_too_long_are_refused() {
        assert_eq!(take_i32(&mut &[][..]), None);
        assert_eq!(take_i32(&mut &[0x80][..]), None);
        assert_eq!(take_i32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
        assert_eq!(
            take_i32(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..]),
            None
        );
        assert_eq!(take_i64(&mut &[0xff; 10][..]), None);
        assert_eq!(take_i64(&mut &[0x80; 11][..]), None);
    }

    proptest! {
        #[test]
        fn integers_survive_and_lengths_are_right(a: i32, b: i64) {
            let mut out = Vec::new();
            put_i32(&mut out, a);
            prop_assert_eq!(out.len(), len_i32(a));
            put_i64(&mut out, b);
            prop_assert_eq!(out.len(), len_i32(a) + len_i64(b));
            let mut rest = &out[..];
            prop_assert_eq!(take_i32(&mut rest), Some(a));
            prop_assert_eq!(take_i64(&mut rest), Some(b));
            prop_assert!(rest.is_empty());
        }
    }
}
