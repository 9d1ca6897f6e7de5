//! `messages …`.

use serde::Serialize;
use serde_json::Value;

use crate::decode::{Decoded, Decoder, Part, SchemaBook, decode};
use crate::model::{Fate, Message, ReadReport, ReadStop};
use crate::output::{Printable, Table, bytes_text};
use crate::times::timestamp_ms as time_text;
use crate::units::counted;

/// Characters of a payload in a table.
const TABLE_CHARS: usize = 200;

/// One header as it is shown: text, or `0x…` where it is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeaderRow {
    pub key: String,
    pub value: Value,
}

/// One message with its payloads decoded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MessageRow {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    /// `create` or `log_append`.
    pub timestamp_type: &'static str,
    pub key: Value,
    /// What read the key; `null` for a null key.
    pub key_decoder: Option<String>,
    pub key_error: Option<String>,
    /// `null` for a tombstone.
    pub value: Value,
    pub value_decoder: Option<String>,
    pub value_error: Option<String>,
    pub headers: Vec<HeaderRow>,
    /// `committed`, `aborted`, `open`, or `null` where there is none.
    pub transaction: Option<&'static str>,
    /// What a control record says; `null` for a record of a client.
    pub control: Option<String>,
    pub producer_id: Option<i64>,
    pub producer_epoch: Option<i16>,
    /// Offsets before it that hold nothing.
    pub gap_before: i64,
    pub leader_epoch: i32,
    pub compression: &'static str,
    /// Of key and value.
    pub size_bytes: usize,
}

/// A partition and an offset in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartitionPlace {
    pub partition: i32,
    pub offset: i64,
}

/// How much a read took and where it ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReadJson {
    pub messages: u64,
    /// Records that were looked at, also those that were left out.
    pub scanned: u64,
    pub bytes: u64,
    /// `end`, `message_limit`, `byte_limit` or `time_limit`.
    pub stop: &'static str,
    pub aborted: u64,
    pub control: u64,
    /// Offsets that hold nothing.
    pub missing: u64,
    /// Where each partition would go on.
    pub next: Vec<PartitionPlace>,
    /// Partitions that could not be read, with the reason.
    pub failed: Vec<(i32, String)>,
}

/// `messages read`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MessagesJson {
    pub topic: String,
    pub messages: Vec<MessageRow>,
    pub read: ReadJson,
}

/// `messages export`, `import`, `copy` and `produce`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MovedJson {
    /// `exported`, `imported`, `copied`, `produced`.
    pub done: &'static str,
    pub from: Option<String>,
    pub to: Option<String>,
    pub dry_run: bool,
    pub messages: u64,
    /// What was read, where it was read from a topic.
    pub read: Option<ReadJson>,
    /// Of the one record that was produced.
    pub partition: Option<i32>,
    pub offset: Option<i64>,
}

pub fn read(report: &ReadReport) -> ReadJson {
    let place = |(partition, offset): &(i32, i64)| PartitionPlace {
        partition: *partition,
        offset: *offset,
    };
    ReadJson {
        messages: report.messages,
        scanned: report.scanned,
        bytes: report.bytes,
        stop: match report.stop {
            ReadStop::End => "end",
            ReadStop::MessageLimit => "message_limit",
            ReadStop::ByteLimit => "byte_limit",
            ReadStop::TimeLimit => "time_limit",
        },
        aborted: report.aborted,
        control: report.control,
        missing: report.missing,
        next: report.next.iter().map(place).collect(),
        failed: report.failed.clone(),
    }
}

pub fn message_row(
    message: &Message,
    decoders: (Decoder, Decoder),
    book: &SchemaBook,
) -> MessageRow {
    let facts = &message.facts;
    let parts = |decoded: Option<Decoded>| match decoded {
        None => (Value::Null, None, None),
        Some(decoded) => (decoded.value, Some(decoded.decoder), decoded.error),
    };
    let (key, key_decoder, key_error) = parts(decode(message, Part::Key, decoders.0, book));
    let (value, value_decoder, value_error) = parts(decode(message, Part::Value, decoders.1, book));
    let header = |header: &crate::model::Header| HeaderRow {
        key: header.key.to_string(),
        value: match header.value.as_deref() {
            None => Value::Null,
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => crate::decode::hex(bytes).into(),
            },
        },
    };
    let size = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    MessageRow {
        topic: message.topic.to_string(),
        partition: message.partition,
        offset: message.offset,
        timestamp_ms: message.timestamp_ms,
        timestamp_type: match facts.is_log_append_time {
            true => "log_append",
            false => "create",
        },
        key,
        key_decoder,
        key_error,
        value,
        value_decoder,
        value_error,
        headers: message.headers.iter().map(header).collect(),
        transaction: match facts.transaction {
            Fate::None => None,
            other => Some(other.word()),
        },
        control: facts.control.as_ref().map(|control| control.text()),
        producer_id: facts.producer.map(|(id, _)| id),
        producer_epoch: facts.producer.map(|(_, epoch)| epoch),
        gap_before: facts.gap_before,
        leader_epoch: facts.leader_epoch,
        compression: facts.compression,
        size_bytes: size(&message.key) + size(&message.value),
    }
}

/// A payload in one line without what would move a terminal's cursor.
fn one_line(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let is_cut = text.chars().nth(TABLE_CHARS).is_some();
    let shown = text.chars().take(TABLE_CHARS);
    let mut shown: String = shown
        .map(|c| if c.is_control() { '·' } else { c })
        .collect();
    if is_cut {
        shown.push('…');
    }
    shown
}

impl MessageRow {
    /// The value with what is to be known before it.
    fn marked_value(&self) -> String {
        let mut text = String::new();
        if self.gap_before > 0 {
            text.push_str(&format!("[{} gone before] ", self.gap_before));
        }
        match self.transaction {
            Some("aborted") => text.push_str("[aborted] "),
            Some("open") => text.push_str("[open transaction] "),
            _ => {}
        }
        match &self.control {
            Some(control) => text.push_str(&format!("-- {control} --")),
            None => text.push_str(&one_line(&self.value)),
        }
        text
    }

    /// The message as one line for people, as a tail prints it.
    pub fn line(&self) -> String {
        let time = time_text(self.timestamp_ms);
        let place = format!("{}@{}", self.partition, self.offset);
        let key = one_line(&self.key);
        format!("{time}  {place:<12}  {key}  {}\n", self.marked_value())
    }
}

impl ReadJson {
    /// How much was read and how to go on, in words.
    pub fn line(&self) -> String {
        let mut text = counted(self.messages, "message");
        if self.scanned != self.messages {
            text.push_str(&format!(" of {} that were looked at", self.scanned));
        }
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        text.push_str(&format!(", {} read", bytes_text(bytes)));
        for (n, what) in [
            (self.aborted, "of aborted transactions"),
            (self.control, "control records"),
            (self.missing, "offsets that hold nothing"),
        ] {
            if n > 0 {
                text.push_str(&format!(", {n} {what}"));
            }
        }
        match self.stop {
            "end" => text.push_str(", to the end"),
            "message_limit" => text.push_str(", there is more"),
            "byte_limit" => text.push_str(", stopped at the limit of bytes: there is more"),
            _ => text.push_str(", stopped at the limit of time: there may be more"),
        }
        text.push('\n');
        if self.stop != "end" {
            let places = self.next.iter().take(50);
            let places = places.map(|place| format!("{}:{}", place.partition, place.offset));
            let places: Vec<String> = places.collect();
            text.push_str(&format!("go on with --start {}\n", places.join(",")));
        }
        for (partition, why) in &self.failed {
            text.push_str(&format!("! partition {partition} not read: {why}\n"));
        }
        text
    }
}

impl Printable for MessagesJson {
    fn table(&self) -> String {
        let mut table = Table::new(&["TIME", ">PARTITION", ">OFFSET", "KEY", "VALUE"]);
        for row in &self.messages {
            table.row([
                time_text(row.timestamp_ms),
                row.partition.to_string(),
                row.offset.to_string(),
                one_line(&row.key),
                row.marked_value(),
            ]);
        }
        format!("{}{}", table.render(), self.read.line())
    }
}

impl Printable for MovedJson {
    fn table(&self) -> String {
        let messages = counted(self.messages, "message");
        let mut text = match self.dry_run {
            true => format!("would have {} {messages}", self.done),
            false => format!("{} {messages}", self.done),
        };
        for (word, place) in [("from", &self.from), ("to", &self.to)] {
            if let Some(place) = place {
                text.push_str(&format!(" {word} {place}"));
            }
        }
        // Of many each has a place of its own.
        let is_one = self.messages == 1;
        if let (true, Some(partition), Some(offset)) = (is_one, self.partition, self.offset) {
            text.push_str(&format!(": partition {partition}, offset {offset}"));
        }
        text.push('\n');
        if let Some(read) = &self.read {
            text.push_str(&read.line());
        }
        text
    }
}
