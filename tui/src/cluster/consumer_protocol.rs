//! What consumers of classic groups write into the group protocol: subscriptions and assignments.
//!
//! Any client may write any bytes there, so nothing is allocated by a length from the bytes.
//! Fields of versions that are newer than what is needed are skipped, as Kafka's own clients do.
//!
//! Kafka: `ConsumerProtocolSubscription.json`, `ConsumerProtocolAssignment.json` (4.3).
//!
//! | subscription | since | assignment | since |
//! |---|---|---|---|
//! | version int16 | 0 | version int16 | 0 |
//! | topics \[string\] | 0 | partitions \[topic string, \[int32\]\] | 0 |
//! | user data bytes? | 0 | user data bytes? | 0 |
//! | owned partitions \[topic string, \[int32\]\] | 1 | | |
//! | generation int32, rack string? | 2, 3 | | |

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::TopicAssignment;

/// Why bytes are no subscription or assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it ends too early")]
    TooShort,
    #[error("a length of {0} is impossible")]
    Length(i32),
    #[error("a name is not UTF-8")]
    Text,
    #[error("version {0} is impossible")]
    Version(i16),
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Malformed::TooShort)?;
        self.0 = rest;
        Ok(taken)
    }

    fn int16(&mut self) -> Result<i16, Malformed> {
        let bytes = self.take(2)?;
        Ok(i16::from_be_bytes(
            bytes.try_into().map_err(|_| Malformed::TooShort)?,
        ))
    }

    fn int32(&mut self) -> Result<i32, Malformed> {
        let bytes = self.take(4)?;
        Ok(i32::from_be_bytes(
            bytes.try_into().map_err(|_| Malformed::TooShort)?,
        ))
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.int16()?;
        let n = usize::try_from(length).map_err(|_| Malformed::Length(length.into()))?;
        std::str::from_utf8(self.take(n)?).map_err(|_| Malformed::Text)
    }

    /// Reads an array; capacity grows with what is really there.
    fn array<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let length = self.int32()?;
        // Kafka's own clients write -1 for an empty nullable array.
        let n = if length == -1 {
            0
        } else {
            usize::try_from(length).map_err(|_| Malformed::Length(length))?
        };
        // Every item has at least two bytes.
        if n > self.0.len() {
            return Err(Malformed::TooShort);
        }
        let mut items = Vec::new();
        for _ in 0..n {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn version(&mut self) -> Result<i16, Malformed> {
        match self.int16()? {
            version if version >= 0 => Ok(version),
            version => Err(Malformed::Version(version)),
        }
    }
}

/// The topics of a subscription.
///
/// # Errors
/// When the bytes are no subscription.
pub fn decode_subscription(bytes: &[u8]) -> Result<Vec<Arc<str>>, Malformed> {
    let mut reader = Reader(bytes);
    reader.version()?;
    reader.array(|reader| reader.text().map(Arc::from))
}

/// The partitions of an assignment, by topic and sorted. No bytes are no partitions: members that
/// wait for their first assignment have none.
///
/// # Errors
/// When the bytes are no assignment.
pub fn decode_assignment(bytes: &[u8]) -> Result<Vec<TopicAssignment>, Malformed> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader(bytes);
    reader.version()?;
    let topics = reader.array(|reader| {
        let topic = Arc::<str>::from(reader.text()?);
        Ok((topic, reader.array(Reader::int32)?))
    })?;
    let mut sorted: BTreeMap<Arc<str>, Vec<i32>> = BTreeMap::new();
    for (topic, partitions) in topics {
        sorted.entry(topic).or_default().extend(partitions);
    }
    let assignment = sorted.into_iter().map(|(topic, mut partitions)| {
        partitions.sort_unstable();
        TopicAssignment {
            topic,
            partitions: partitions.into(),
        }
    });
    Ok(assignment.collect())
}

fn put_text(buffer: &mut Vec<u8>, text: &str) {
    // Names of topics are at most 249 characters long.
    let length = i16::try_from(text.len()).expect("a topic's name is short");
    buffer.extend(length.to_be_bytes());
    buffer.extend(text.as_bytes());
}

fn put_length(buffer: &mut Vec<u8>, n: usize) {
    let length = i32::try_from(n).expect("lists of topics and partitions are short");
    buffer.extend(length.to_be_bytes());
}

/// A subscription of version 0, which every member of every group understands.
pub fn encode_subscription(topics: &[String]) -> Vec<u8> {
    let mut buffer = vec![0, 0];
    put_length(&mut buffer, topics.len());
    topics.iter().for_each(|topic| put_text(&mut buffer, topic));
    buffer.extend((-1i32).to_be_bytes());
    buffer
}

/// An assignment of version 0.
pub fn encode_assignment(assignment: &[TopicAssignment]) -> Vec<u8> {
    let mut buffer = vec![0, 0];
    put_length(&mut buffer, assignment.len());
    for owned in assignment {
        put_text(&mut buffer, &owned.topic);
        put_length(&mut buffer, owned.partitions.len());
        owned
            .partitions
            .iter()
            .for_each(|id| buffer.extend(id.to_be_bytes()));
    }
    buffer.extend((-1i32).to_be_bytes());
    buffer
}
