//! Messages as rows of a list.

use ratatui::text::Span;

use crate::decode::{Decoder, Part, SchemaBook, decode};
use crate::model::{Fate, Message};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screens::cells;
use crate::ui::widgets::list::{Column, Filter, Key, Named};

/// Characters of a value that a row shows at most, and a filter of rows looks at.
const PREVIEW_CHARS: usize = 400;

/// Larger payloads are shown by their beginning: a list is not the place to read them.
const DECODED_BYTES_MAX: usize = 256 * 1024;

/// One message with its one-line texts.
#[derive(Clone, Debug)]
pub struct Row {
    name: String,
    pub(super) message: Message,
    key: Option<String>,
    value: Option<String>,
    /// What is to be known before the value: a marker, an aborted transaction, a gap.
    mark: String,
    /// The order of arrival, which keeps merged messages as they were merged.
    at: u64,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.name
    }

    fn matches(&self, filter: &Filter) -> bool {
        if filter.is_empty() {
            return true;
        }
        let text = format!(
            "{} {}{}",
            self.key.as_deref().unwrap_or_default(),
            self.mark,
            self.value.as_deref().unwrap_or_default()
        );
        filter.accepts(&text)
    }
}

impl Row {
    pub(super) fn new(
        message: Message,
        at: u64,
        decoders: (Decoder, Decoder),
        book: &SchemaBook,
    ) -> Self {
        let one_line = |part: Part, decoder| {
            let bytes = match part {
                Part::Key => message.key.as_ref(),
                Part::Value => message.value.as_ref(),
            }?;
            if bytes.len() > DECODED_BYTES_MAX {
                return Some(format::payload(bytes, PREVIEW_CHARS));
            }
            let decoded = decode(&message, part, decoder, book)?;
            let line = decoded.one_line(PREVIEW_CHARS);
            Some(format::clean(&line).into_owned())
        };
        Self {
            name: format!("{}@{}", message.partition, message.offset),
            key: one_line(Part::Key, decoders.0),
            value: one_line(Part::Value, decoders.1),
            mark: mark(&message),
            message,
            at,
        }
    }

    pub(super) fn size(&self) -> usize {
        let of = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        of(&self.message.key) + of(&self.message.value)
    }
}

fn mark(message: &Message) -> String {
    let facts = &message.facts;
    let mut mark = String::new();
    if facts.gap_before > 0 {
        mark.push_str(&format!(
            "[{} gone before] ",
            format::count(facts.gap_before)
        ));
    }
    match facts.transaction {
        Fate::Aborted => mark.push_str("[aborted] "),
        Fate::Open => mark.push_str("[open transaction] "),
        Fate::None | Fate::Committed => {}
    }
    mark
}

fn optional(text: &Option<String>, cx: &Cx<'_>) -> Span<'static> {
    match text {
        Some(text) => cells::plain(text.clone(), cx),
        None => cells::dim("null", cx),
    }
}

fn value(row: &Row, cx: &Cx<'_>) -> Span<'static> {
    let facts = &row.message.facts;
    let text = row.value.as_deref().unwrap_or("null");
    if facts.control.is_some() {
        return cells::dim(format!("{}-- {text} --", row.mark), cx);
    }
    match (row.mark.is_empty(), facts.transaction) {
        (true, _) => optional(&row.value, cx),
        (_, Fate::Aborted) => cells::dim(format!("{}{text}", row.mark), cx),
        _ => cells::plain(format!("{}{text}", row.mark), cx),
    }
}

pub(super) const COLUMNS: &[Column<Row>] = &[
    Column::text(
        "TIME",
        12,
        1,
        |row, _| Key::Int(row.at as i64),
        |row, cx| {
            let text = format::timestamp_ms(row.message.timestamp_ms);
            cells::dim(text.get(11..).map_or(text.clone(), str::to_owned), cx)
        },
    ),
    Column::number(
        "PART",
        4,
        0,
        |row, _| Key::Int(row.message.partition.into()),
        |row, cx| cells::plain(row.message.partition.to_string(), cx),
    ),
    Column::number(
        "OFFSET",
        10,
        0,
        |row, _| Key::Int(row.message.offset),
        |row, cx| cells::plain(format::count(row.message.offset), cx),
    ),
    Column::number(
        "BYTES",
        8,
        3,
        |row, _| Key::size(row.size()),
        |row, cx| cells::dim(format::bytes(row.size() as i64), cx),
    ),
    Column::text(
        "KEY",
        16,
        1,
        |row, _| Key::text(row.key.as_deref().unwrap_or("")),
        |row, cx| optional(&row.key, cx),
    ),
    Column::rest(
        "VALUE",
        20,
        0,
        |row, _| Key::text(row.value.as_deref().unwrap_or("")),
        value,
    ),
];
