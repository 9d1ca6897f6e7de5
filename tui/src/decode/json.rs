//! JSON, shown as it was written: the order of keys, repeated keys and the digits of numbers stay.

use serde_json::Value;

use super::{Decoded, Decoder};

/// Reads a whole JSON document.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    // serde_json follows 128 levels and no more.
    let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    Ok(Decoded {
        decoder: Decoder::Json.name().to_owned(),
        text: indent(text),
        value,
        error: None,
    })
}

/// Puts line ends and indents into valid JSON, and changes nothing else.
fn indent(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let (mut in_string, mut is_escaped) = (false, false);
    let mut chars = json.chars().peekable();
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = chars.next() {
        if in_string {
            text.push(c);
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                text.push(c);
            }
            '{' | '[' => {
                text.push(c);
                while chars.peek().is_some_and(|c| c.is_ascii_whitespace()) {
                    chars.next();
                }
                // Empty ones stay on their line.
                if let Some(close) = chars.next_if(|c| matches!(c, '}' | ']')) {
                    text.push(close);
                } else {
                    depth += 1;
                    line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_shown_as_it_was_written() {
        let decoded =
            decode(br#" {"b":1,"a" : [ ],"a":[1.0,{"x":"a,\"}b"}],"n":12345678901234567890123} "#);
        let text = "{\n  \"b\": 1,\n  \"a\": [],\n  \"a\": [\n    1.0,\n    {\n      \"x\": \"a,\\\"}b\"\n    }\n  ],\n  \"n\": 12345678901234567890123\n}";
        assert_eq!(decoded.unwrap().text, text);
        assert!(decode(b"{} x").is_err());
        assert!(decode("[".repeat(100_000).as_bytes()).is_err());
    }
}
