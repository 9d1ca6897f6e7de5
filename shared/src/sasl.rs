//! SASL mechanisms as Kafka uses them: bytes in, bytes out, no socket and no clock.
//!
//! Owns: what a client says in PLAIN, SCRAM-SHA-256/512 and OAUTHBEARER, and what it believes of
//! the server's answers. The requests around the bytes are the connection's.
//!
//! Invariants: a server that does not prove that it knows the password is refused; what a server
//! asks for in iterations is bounded; nothing here shows a password.
//!
//! RFC 4616 (PLAIN), RFC 5802 and 7677 (SCRAM), RFC 7628 (OAUTHBEARER).

pub mod oauth;
pub mod scram;

use crate::secret::Secret;

/// The one message of PLAIN: no authorization id, the user, the password.
///
/// # Errors
/// A NUL, which the message has no way to hold.
pub fn plain_message(username: &str, password: &Secret) -> Result<Vec<u8>, &'static str> {
    if username.contains('\0') || password.expose().contains('\0') {
        return Err("a user name or password can't hold NUL");
    }
    let parts = [
        &[0][..],
        username.as_bytes(),
        &[0],
        password.expose().as_bytes(),
    ];
    Ok(parts.concat())
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0u32, |all, byte| all << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            if digit <= chunk.len() {
                let value = group >> (18 - 6 * digit) & 0x3f;
                text.push(char::from(BASE64[value as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// URL-safe base64 without padding, as tokens have it.
pub fn base64_url(bytes: &[u8]) -> String {
    let text = base64(bytes).replace('+', "-").replace('/', "_");
    text.trim_end_matches('=').to_owned()
}

/// Reads base64 of either alphabet, padded or not. None when it is none.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    if text.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut group, mut bits) = (0u32, 0);
    for digit in text.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        group = group << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
            assert_eq!(from_base64(coded).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(base64_url(&[0xfb, 0xff]), "-_8");
        assert_eq!(from_base64("-_8"), Some(vec![0xfb, 0xff]));
        for nonsense in ["A", "Zm9v!", "Zm 9v", "====A"] {
            assert_eq!(from_base64(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn plain_is_three_parts_and_refuses_what_would_move_them() {
        let message = plain_message("tim", &"tanstaaftanstaaf".into());
        assert_eq!(message.unwrap(), b"\0tim\0tanstaaftanstaaf");
        assert!(plain_message("t\0im", &"x".into()).is_err());
        assert!(plain_message("tim", &"x\0y".into()).is_err());
    }

    proptest! {
        #[test]
        fn base64_comes_back(bytes: Vec<u8>) {
            prop_assert_eq!(from_base64(&base64(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(from_base64(&base64_url(&bytes)), Some(bytes));
        }
    }
}
