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
    pub facts: RecordFacts,
}

/// What the log says of a record besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFacts {
    /// Id and epoch of an idempotent or transactional producer.
    pub producer: Option<(i64, i16)>,
    pub transaction: Fate,
    /// What it says where it is a control record.
    pub control: Option<Control>,
    /// How many offsets before it hold nothing: compacted away, or never given to a record.
    pub gap_before: i64,
    /// As the batch says; -1 where it does not.
    pub leader_epoch: i32,
    /// The batch's codec by Kafka's name.
    pub compression: &'static str,
    /// The timestamp is the broker's and not the producer's.
    pub is_log_append_time: bool,
}

/// Whether a record belongs to a transaction, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    #[default]
    None,
    Committed,
    Aborted,
    /// Neither committed nor aborted when it was read.
    Open,
}

impl Fate {
    /// The word for it; empty for none.
    pub fn word(self) -> &'static str {
        match self {
            Fate::None => "",
            Fate::Committed => "committed",
            Fate::Aborted => "aborted",
            Fate::Open => "open",
        }
    }
}

/// A record that clients write no part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    Commit {
        coordinator_epoch: i32,
    },
    Abort {
        coordinator_epoch: i32,
    },
    /// Of KRaft, or of a later Kafka.
    Other(String),
}

impl Control {
    /// In words.
    pub fn text(&self) -> String {
        match self {
            Control::Commit { coordinator_epoch } => {
                format!("commit marker, coordinator epoch {coordinator_epoch}")
            }
            Control::Abort { coordinator_epoch } => {
                format!("abort marker, coordinator epoch {coordinator_epoch}")
            }
            Control::Other(text) => text.clone(),
        }
    }
}

/// Why a bounded read ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadStop {
    /// Everything up to the end offsets of the start of the read was seen.
    #[default]
    End,
    /// As many messages as were asked for.
    MessageLimit,
    /// The byte limit was reached before the message limit.
    ByteLimit,
    /// The time limit was reached.
    TimeLimit,
}

/// How much a read took: shown so that nobody has to guess whether there is more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    pub messages: u64,
    /// Bytes of record batches received, compressed as they were.
    pub bytes: u64,
    pub stop: ReadStop,
    /// Records that were looked at, also those that a filter or the isolation left out.
    pub scanned: u64,
    /// Records of aborted transactions among them.
    pub aborted: u64,
    /// Control records among them.
    pub control: u64,
    /// Offsets that hold nothing between the first and the last that were looked at.
    pub missing: u64,
    /// Where each partition would go on.
    pub next: Vec<(i32, i64)>,
    /// Partitions that could not be read, with the reason.
    pub failed: Vec<(i32, String)>,
}
