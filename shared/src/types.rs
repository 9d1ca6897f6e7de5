//! Small types that both programs use everywhere: topic-partitions, endpoints, Kafka's form of a
//! UUID.
//!
//! A topic name is an `Arc<str>` so that a [`TopicPartition`] can be cloned into maps and messages
//! without copying text, and so that it never pins the network frame it was decoded from.
//!
//! Kafka: `common/Uuid.java`, `common/TopicPartition.java`, `common/internals/Topic.java` (4.3).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use uuid::Uuid;

/// The id of the topic that holds the cluster's metadata log.
pub const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

/// The name of the topic that holds the cluster's metadata log.
pub const METADATA_TOPIC_NAME: &str = "__cluster_metadata";

/// Ids below this one (as 128-bit numbers) are set aside by Kafka for its own topics and for the
/// reserved values of log directory ids; a random id is never one of them.
const FIRST_UNRESERVED_UUID: u128 = 100;

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The 22 characters in which Kafka writes an id: URL-safe base64 without padding.
pub fn uuid_to_base64(id: Uuid) -> String {
    let bits = id.as_u128();
    // 22 digits hold 132 bits: the last digit holds two bits of the id, shifted up by four.
    (0..22)
        .map(|digit| {
            let value = if digit < 21 {
                bits >> (122 - 6 * digit)
            } else {
                bits << 4
            };
            char::from(BASE64_URL[(value & 0x3f) as usize])
        })
        .collect()
}

/// Reads what [`uuid_to_base64`] writes. None when the text isn't 22 characters of URL-safe base64
/// (a trailing `==` is allowed, as in Kafka).
pub fn uuid_from_base64(text: &str) -> Option<Uuid> {
    let digits = text.strip_suffix("==").unwrap_or(text).as_bytes();
    if digits.len() != 22 {
        return None;
    }
    let mut bits = 0u128;
    for (index, &digit) in digits.iter().enumerate() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = if index < 21 {
            bits << 6 | u128::from(value)
        } else {
            bits << 2 | u128::from(value >> 4)
        };
    }
    Some(Uuid::from_u128(bits))
}

/// A new random id for a topic, a directory, a cluster or a node's incarnation. It is never one of
/// the reserved ids and its text never begins with a dash, so that it can be given on a command
/// line.
pub fn random_uuid() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        // The first digit is `-` (62) when the six highest bits are 111110.
        if id.as_u128() >= FIRST_UNRESERVED_UUID && id.as_u128() >> 122 != 62 {
            return id;
        }
    }
}

/// One partition of a topic, by the topic's name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl TopicPartition {
    /// Copies the name, so that nothing of the message it came from is kept alive.
    pub fn new(topic: impl AsRef<str>, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: Arc::from(topic.as_ref()),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One partition of a topic, by the topic's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicIdPartition {
    pub topic_id: Uuid,
    pub partition: i32,
}

impl TopicIdPartition {
    pub fn new(topic_id: Uuid, partition: i32) -> TopicIdPartition {
        TopicIdPartition {
            topic_id,
            partition,
        }
    }
}

impl fmt::Display for TopicIdPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", uuid_to_base64(self.topic_id), self.partition)
    }
}

/// Where a server listens: a host name or address and a port. An IPv6 address is held without its
/// brackets and written with them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    pub fn new(host: impl Into<String>, port: u16) -> Endpoint {
        Endpoint {
            host: host.into(),
            port,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a text isn't an [`Endpoint`]; it shows the text and what one looks like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not host:port ({reason}); write for example kafka1:9092 or [::1]:9092")]
pub struct EndpointError {
    text: String,
    reason: &'static str,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let fail = |reason| EndpointError {
            text: text.to_owned(),
            reason,
        };
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| fail("the port is missing"))?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest
                .strip_suffix(']')
                .ok_or_else(|| fail("the bracket is not closed"))?,
            None if host.contains(':') => return Err(fail("an IPv6 address needs brackets")),
            None => host,
        };
        if host.is_empty() {
            return Err(fail("the host is missing"));
        }
        if host
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "[]/".contains(c))
        {
            return Err(fail("the host has a character that no host has"));
        }
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(fail("the port is not a number"));
        }
        let port = port.parse().map_err(|_| fail("the port is above 65535"))?;
        Ok(Endpoint {
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_kafka_writes_it() {
        for (text, bits) in [
            ("AAAAAAAAAAAAAAAAAAAAAA", 0u128),
            ("AAAAAAAAAAAAAAAAAAAAAQ", 1),
            ("AAAAAAAAAAAAAAAAAAAAZA", 100),
            ("_____________________w", u128::MAX),
            ("MkU3OEVBNTcwNTJENDM2Qg", 0x32453738454135373035324434333642),
        ] {
            assert_eq!(uuid_to_base64(Uuid::from_u128(bits)), text);
            assert_eq!(uuid_from_base64(text), Some(Uuid::from_u128(bits)));
        }
        assert_eq!(
            uuid_from_base64("AAAAAAAAAAAAAAAAAAAAAQ=="),
            Some(METADATA_TOPIC_ID)
        );
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in [
            "",
            "A",
            "AAAAAAAAAAAAAAAAAAAAAQA",
            "AAAAAAAAAAAAAAAAAAAA+Q",
            "AAAAAAAAAAAAAAAAAAAAé",
        ] {
            assert_eq!(uuid_from_base64(text), None, "{text}");
        }
    }

    #[test]
    fn random_ids_can_stand_on_a_command_line_and_survive_their_text_form() {
        for _ in 0..1000 {
            let id = random_uuid();
            let text = uuid_to_base64(id);
            assert!(!text.starts_with('-'));
            assert_eq!(uuid_from_base64(&text), Some(id));
        }
    }

    #[test]
    fn endpoints_are_read_and_written_alike() {
        for text in [
            "localhost:9092",
            "[::1]:9092",
            "10.0.0.1:1",
            "a.b-c_d:65535",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]:9092".parse(), Ok(Endpoint::new("::1", 9092)));
    }

    #[test]
    fn what_is_not_an_endpoint_says_why() {
        for (text, reason) in [
            ("localhost", "the port is missing"),
            ("localhost:", "the port is not a number"),
            ("localhost:+1", "the port is not a number"),
            ("localhost:65536", "the port is above 65535"),
            (":9092", "the host is missing"),
            ("::1:9092", "an IPv6 address needs brackets"),
            ("[::1:9092", "the bracket is not closed"),
            ("http://a:80", "an IPv6 address needs brackets"),
            ("a b:80", "the host has a character that no host has"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert_eq!(error.reason, reason, "{text}");
            assert!(error.to_string().contains(text));
        }
    }

    #[test]
    fn partitions_print_as_kafka_prints_them() {
        assert_eq!(TopicPartition::new("t", 0).to_string(), "t-0");
        let by_id = TopicIdPartition::new(METADATA_TOPIC_ID, 3);
        assert_eq!(by_id.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ:3");
    }
}
