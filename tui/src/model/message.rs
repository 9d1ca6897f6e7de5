//! Messages as they are shown.

use std::sync::Arc;

use bytes::Bytes;

/// One header; Kafka keeps order, repeats and null values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub key: Arc<str>,
    pub value: Option<Bytes>,
}

/// One record of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch; -1 when the producer gave none.
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// Why a bounded read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStop {
    /// Everything up to the end offsets of the start of the read was seen.
    End,
    /// As many messages as were asked for.
    MessageLimit,
    /// The byte limit was reached before the message limit.
    ByteLimit,
    /// The time limit was reached.
    TimeLimit,
}

/// How much a read took: shown so that nobody has to guess whether there is more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadReport {
    pub messages: u64,
    /// Bytes of record batches received, compressed as they were.
    pub bytes: u64,
    pub stop: ReadStop,
    /// Partitions that could not be read, with the reason.
    pub failed: Vec<(i32, String)>,
}
