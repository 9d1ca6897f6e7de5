//! Messages as lines of JSON, with nothing lost: what export writes and import reads.
//!
//! `{"partition":0,"offset":7,"timestamp_ms":…,"key":"k","value":"v","headers":[{"key":…,"value":…}]}`.
//! What is no UTF-8 stands in base64 under `key_base64`, `value_base64`; null is null.

use bytes::Bytes;
use kafka_shared::sasl::{base64, from_base64};
use serde::{Deserialize, Serialize};

use crate::cluster::NewRecord;
use crate::model::Message;

/// A line of a file; which fields may be absent is what import forgives.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_ms: Option<i64>,
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    headers: Vec<HeaderLine>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct HeaderLine {
    key: String,
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

/// A text where it is one, else base64.
fn split(bytes: Option<&Bytes>) -> (Option<String>, Option<String>) {
    match bytes {
        None => (None, None),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (None, Some(base64(bytes))),
        },
    }
}

fn joined(
    what: &str,
    text: Option<String>,
    coded: Option<String>,
) -> Result<Option<Bytes>, String> {
    match (text, coded) {
        (Some(_), Some(_)) => Err(format!("it has {what} and {what}_base64")),
        (Some(text), None) => Ok(Some(text.into())),
        (None, Some(coded)) => {
            let bytes = from_base64(&coded).ok_or_else(|| format!("{what}_base64 is no base64"))?;
            Ok(Some(bytes.into()))
        }
        (None, None) => Ok(None),
    }
}

/// The line of a message, with its end.
pub(super) fn write(message: &Message) -> String {
    let (key, key_base64) = split(message.key.as_ref());
    let (value, value_base64) = split(message.value.as_ref());
    let headers = message.headers.iter().map(|header| {
        let (value, value_base64) = split(header.value.as_ref());
        HeaderLine {
            key: header.key.to_string(),
            value,
            value_base64,
        }
    });
    let line = Line {
        topic: Some(message.topic.to_string()),
        partition: Some(message.partition),
        offset: Some(message.offset),
        timestamp_ms: Some(message.timestamp_ms),
        key,
        key_base64,
        value,
        value_base64,
        headers: headers.collect(),
    };
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

/// The record of a line.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(text: &str) -> Result<NewRecord, String> {
    let line: Line = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let headers = line.headers.into_iter().map(|header| {
        let value = joined("value", header.value, header.value_base64)?;
        Ok((header.key, value))
    });
    Ok(NewRecord {
        partition: line.partition,
        timestamp_ms: line.timestamp_ms.filter(|ms| *ms >= 0),
        key: joined("key", line.key, line.key_base64)?,
        value: joined("value", line.value, line.value_base64)?,
        headers: headers.collect::<Result<_, String>>()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Header, RecordFacts};

    fn bytes() -> impl Strategy<Value = Option<Bytes>> {
        let raw = prop::collection::vec(any::<u8>(), 0..20);
        let text = ".{0,10}".prop_map(String::into_bytes);
        prop::option::of(prop_oneof![raw, text].prop_map(Bytes::from))
    }

    proptest! {
        #[test]
        fn a_message_comes_back_as_it_was(
            key in bytes(),
            value in bytes(),
            headers in prop::collection::vec((".{0,5}", bytes()), 0..4),
        ) {
            let message = Message {
                topic: "t".into(),
                partition: 3,
                offset: 9,
                timestamp_ms: 1,
                key,
                value,
                headers: headers
                    .into_iter()
                    .map(|(key, value)| Header { key: key.into(), value })
                    .collect(),
                facts: RecordFacts::default(),
            };
            let line = write(&message);
            prop_assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
            prop_assert_eq!(read(&line), Ok(NewRecord::of(message, true)));
        }
    }

    #[test]
    fn a_line_may_say_little_and_mistakes_are_told() {
        let record = read(r#"{"value":"v"}"#).unwrap();
        assert_eq!(record.value.as_deref(), Some(&b"v"[..]));
        assert_eq!((record.partition, record.key), (None, None));
        for (line, why) in [
            ("{", "EOF"),
            (r#"{"key":"a","key_base64":"YQ=="}"#, "key and key_base64"),
            (r#"{"value_base64":"!"}"#, "no base64"),
            (r#"{"value":5}"#, "expected a string"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
