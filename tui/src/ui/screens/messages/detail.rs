//! One message in full, each payload through the decoder of choice.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::decode::{Decoded, Decoder, Part, SchemaBook, decode};
use crate::model::Message;
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::format;
use crate::ui::screen::{Dialog, Step};
use crate::ui::theme::Theme;
use crate::ui::widgets::list::Named as _;

use super::rows::Row;

/// Lines of a payload that are shown.
const LINES_MAX: usize = 20_000;

/// The dialog.
#[derive(Debug)]
pub(super) struct MessageDialog {
    row: Row,
    decoders: (Decoder, Decoder),
    book: SchemaBook,
    text: TextDialog,
}

impl MessageDialog {
    pub(super) fn new(
        row: Row,
        decoders: (Decoder, Decoder),
        book: &SchemaBook,
        cx: &Cx<'_>,
    ) -> Self {
        let text = text(&row, decoders, book, cx.theme);
        Self {
            row,
            decoders,
            book: book.clone(),
            text,
        }
    }
}

/// The decoder before or after one.
fn beside(decoder: Decoder, step: usize) -> Decoder {
    let all = Decoder::ALL;
    let at = all.iter().position(|other| *other == decoder).unwrap_or(0);
    all[(at + step) % all.len()]
}

fn text(row: &Row, decoders: (Decoder, Decoder), book: &SchemaBook, theme: &Theme) -> TextDialog {
    let message = &row.message;
    let mut lines: Vec<(String, Style)> = facts(message)
        .into_iter()
        .map(|line| (line, theme.text))
        .collect();
    lines.push((String::new(), theme.text));
    lines.push((format!("headers ({})", message.headers.len()), theme.header));
    for header in &message.headers {
        let value = match &header.value {
            Some(value) => format::payload(value, 1_000),
            None => "null".to_owned(),
        };
        let line = format!("  {}: {value}", format::clean(&header.key));
        lines.push((line, theme.text));
    }
    let mut copy = String::new();
    for (title, part, decoder) in [
        ("key", Part::Key, decoders.0),
        ("value", Part::Value, decoders.1),
    ] {
        lines.push((String::new(), theme.text));
        match decode(message, part, decoder, book) {
            None => lines.push((format!("{title}: null"), theme.header)),
            Some(decoded) => {
                let bytes = match part {
                    Part::Key => &message.key,
                    Part::Value => &message.value,
                };
                let size = bytes.as_ref().map_or(0, |bytes| bytes.len());
                payload(title, size, &decoded, decoder, theme, &mut lines);
                copy = decoded.text;
            }
        }
    }
    let title = format!("{} {}", format::clean(&message.topic), row.name());
    TextDialog::new(title, lines, copy)
}

fn facts(message: &Message) -> Vec<String> {
    let facts = &message.facts;
    let kind = match facts.is_log_append_time {
        true => " (given by the broker)",
        false => "",
    };
    let mut lines = vec![
        format!(
            "partition {}   offset {}",
            message.partition, message.offset
        ),
        format!("time {}{kind}", format::timestamp_ms(message.timestamp_ms)),
    ];
    if !facts.compression.is_empty() {
        lines.push(format!(
            "leader epoch {}   compression {}",
            facts.leader_epoch, facts.compression
        ));
    }
    if let Some((id, epoch)) = facts.producer {
        let transaction = match facts.transaction.word() {
            "" => String::new(),
            word => format!("   transaction {word}"),
        };
        lines.push(format!("producer {id}   epoch {epoch}{transaction}"));
    }
    if let Some(control) = &facts.control {
        lines.push(format!("control record: {}", control.text()));
    }
    if facts.gap_before > 0 {
        lines.push(format!(
            "{} offsets before it hold nothing: compacted away, or never given to a record",
            format::count(facts.gap_before)
        ));
    }
    lines
}

fn payload(
    title: &str,
    size: usize,
    decoded: &Decoded,
    chosen: Decoder,
    theme: &Theme,
    lines: &mut Vec<(String, Style)>,
) {
    let size = format::bytes(i64::try_from(size).unwrap_or(i64::MAX));
    let guessed = match chosen {
        Decoder::Auto => ", detected",
        _ => "",
    };
    let name = format::clean(&decoded.decoder).into_owned();
    lines.push((format!("{title} ({name}{guessed}, {size})"), theme.header));
    if let Some(error) = &decoded.error {
        lines.push((format!("! {}", format::clean(error)), theme.warn));
    }
    let shown = decoded.text.lines().take(LINES_MAX);
    lines.extend(shown.map(|line| (format::clean(line).into_owned(), theme.text)));
    if decoded.text.lines().nth(LINES_MAX).is_some() {
        lines.push(("… there is more".to_owned(), theme.dim));
    }
}

impl Dialog for MessageDialog {
    fn key(&mut self, key: KeyEvent, cx: &Cx<'_>) -> Vec<Step> {
        let last = Decoder::ALL.len() - 1;
        match key.code {
            KeyCode::Char('d') if key.modifiers.is_empty() => {
                self.decoders.1 = beside(self.decoders.1, 1);
            }
            KeyCode::Char('D') => self.decoders.1 = beside(self.decoders.1, last),
            KeyCode::Char('e') => self.decoders.0 = beside(self.decoders.0, 1),
            KeyCode::Char('E') => self.decoders.0 = beside(self.decoders.0, last),
            KeyCode::Char('x') => self.decoders = (Decoder::Hex, Decoder::Hex),
            KeyCode::Char('a') => self.decoders = (Decoder::Auto, Decoder::Auto),
            _ => return self.text.key(key, cx),
        }
        self.text = text(&self.row, self.decoders, &self.book, cx.theme);
        Vec::new()
    }

    fn wheel(&mut self, lines: isize) {
        self.text.wheel(lines);
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> Option<Position> {
        self.text.draw(cx, area, buffer)
    }

    fn hints(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("esc", "close"),
            ("j k", "scroll"),
            ("d D", "decode value"),
            ("e E", "key"),
            ("x", "hex"),
            ("a", "auto"),
            ("y", "copy"),
        ]
    }
}
