//! Messages of a topic: read from somewhere, or followed as they come; one of them in full.
//!
//! Invariant: what is held is bounded in number and in bytes; what had to go is counted and said.

use std::collections::VecDeque;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{cells, forms};
use crate::cluster::{Interest, ReadFrom, ReadLimits, ReadMessages};
use crate::model::{Fault, Message, ReadReport, ReadStop};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::format;
use crate::ui::screen::{Part, Place, Screen, Step, Toast, focused_list};
use crate::ui::widgets::form::{Field, Form, Wrong};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Filter, Key, List, Named, Rows};

/// Messages that a tail keeps.
const TAIL_MAX: usize = 2_000;
/// Bytes of keys and values that a tail keeps.
const TAIL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Characters of a value that a row shows at most, and a filter looks at.
const PREVIEW_CHARS: usize = 400;
/// Bytes of a payload that the detail shows.
const DETAIL_BYTES_MAX: usize = 256 * 1024;

/// One message with its one-line texts.
#[derive(Clone)]
pub struct Row {
    name: String,
    message: Message,
    key: Option<String>,
    value: Option<String>,
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
            "{} {}",
            self.key.as_deref().unwrap_or_default(),
            self.value.as_deref().unwrap_or_default()
        );
        filter.accepts(&text)
    }
}

impl Row {
    fn new(message: Message, at: u64) -> Self {
        let one_line = |bytes: &Option<bytes::Bytes>| {
            bytes
                .as_ref()
                .map(|bytes| format::payload(bytes, PREVIEW_CHARS))
        };
        Self {
            name: format!("{}@{}", message.partition, message.offset),
            key: one_line(&message.key),
            value: one_line(&message.value),
            message,
            at,
        }
    }

    fn size(&self) -> usize {
        let of = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        of(&self.message.key) + of(&self.message.value)
    }
}

fn optional(text: &Option<String>, cx: &Cx<'_>) -> Span<'static> {
    match text {
        Some(text) => cells::plain(text.clone(), cx),
        None => cells::dim("null", cx),
    }
}

const COLUMNS: &[Column<Row>] = &[
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
        |row, cx| optional(&row.value, cx),
    ),
];

/// What is going on.
#[derive(Debug)]
enum State {
    Reading {
        job: JobId,
        from: ReadFrom,
    },
    Read {
        from: ReadFrom,
        report: ReadReport,
    },
    Failed(Fault),
    Tailing {
        job: JobId,
        paused: bool,
    },
    /// A tail that came to an end by itself.
    Ended,
}

/// The screen.
#[derive(Debug)]
pub struct Messages {
    topic: String,
    list: List<Row>,
    state: State,
    /// Messages that came while the tail is held.
    held: VecDeque<Message>,
    n_dropped: u64,
    n_tailed: u64,
    bytes: usize,
    next: u64,
    tail_fault: Option<Fault>,
}

fn from_word(from: ReadFrom) -> String {
    match from {
        ReadFrom::Start => "from the start".to_owned(),
        ReadFrom::End => "the newest".to_owned(),
        ReadFrom::Offset(offset) => format!("from offset {}", format::count(offset)),
        ReadFrom::Time(ms) => {
            let text = format::timestamp_ms(ms);
            format!("from {}", text.get(..19).unwrap_or(&text))
        }
    }
}

fn stop_word(stop: ReadStop) -> &'static str {
    match stop {
        ReadStop::End => "to the end",
        ReadStop::MessageLimit => "there is more",
        ReadStop::ByteLimit => "stopped at the limit of bytes, there is more",
        ReadStop::TimeLimit => "stopped at the limit of time, there may be more",
    }
}

impl Messages {
    pub fn new(topic: String) -> Self {
        Self {
            topic,
            list: List::new(COLUMNS),
            state: State::Ended,
            held: VecDeque::new(),
            n_dropped: 0,
            n_tailed: 0,
            bytes: 0,
            next: 0,
            tail_fault: None,
        }
    }

    fn read(&mut self, from: ReadFrom, cx: &Cx<'_>) -> Vec<Step> {
        let mut steps = self.stop();
        let job = cx.new_job();
        self.state = State::Reading { job, from };
        let read = ReadMessages {
            topic: self.topic.clone(),
            partitions: None,
            from,
            limits: ReadLimits::default(),
        };
        steps.push(Step::Effect(Effect::ReadMessages { job, read }));
        steps
    }

    fn tail(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        let mut steps = self.stop();
        let job = cx.new_job();
        self.state = State::Tailing { job, paused: false };
        self.n_tailed = 0;
        self.n_dropped = 0;
        self.tail_fault = None;
        steps.push(Step::Effect(Effect::TailMessages {
            job,
            topic: self.topic.clone(),
        }));
        steps
    }

    /// Ends what is under way.
    fn stop(&mut self) -> Vec<Step> {
        self.held.clear();
        let ended = std::mem::replace(&mut self.state, State::Ended);
        match ended {
            State::Reading { job, .. } | State::Tailing { job, .. } => {
                vec![Step::Effect(Effect::Cancel(job))]
            }
            _ => Vec::new(),
        }
    }

    fn on_read(
        &mut self,
        from: ReadFrom,
        result: Result<(Vec<Message>, ReadReport), Fault>,
        cx: &Cx<'_>,
    ) {
        match result {
            Ok((messages, report)) => {
                self.next = 0;
                let rows: Vec<Row> = (messages.into_iter())
                    .map(|message| {
                        self.next += 1;
                        Row::new(message, self.next)
                    })
                    .collect();
                self.bytes = rows.iter().map(Row::size).sum();
                self.list.set_rows(rows, cx);
                self.list
                    .move_to(if from == ReadFrom::End { usize::MAX } else { 0 });
                self.state = State::Read { from, report };
            }
            Err(fault) => self.state = State::Failed(fault),
        }
    }

    fn on_tailed(&mut self, batch: Vec<Result<Message, Fault>>, cx: &Cx<'_>) {
        for item in batch {
            match item {
                Ok(message) => {
                    self.n_tailed += 1;
                    self.tail_fault = None;
                    self.held.push_back(message);
                }
                Err(fault) => self.tail_fault = Some(fault),
            }
        }
        while self.held.len() > TAIL_MAX {
            self.held.pop_front();
            self.n_dropped += 1;
        }
        if matches!(self.state, State::Tailing { paused: false, .. }) {
            self.show_held(cx);
        }
    }

    fn show_held(&mut self, cx: &Cx<'_>) {
        let follow = self.list.is_at_end();
        let (mut rows, selected) = self.list.take_rows();
        for message in self.held.drain(..) {
            self.next += 1;
            let row = Row::new(message, self.next);
            self.bytes += row.size();
            rows.push(row);
        }
        let mut n_gone = rows.len().saturating_sub(TAIL_MAX);
        let mut bytes = self.bytes;
        for (at, row) in rows.iter().enumerate() {
            if at >= n_gone && bytes <= TAIL_BYTES_MAX {
                break;
            }
            bytes -= row.size();
            n_gone = n_gone.max(at + 1);
        }
        rows.drain(..n_gone);
        self.bytes = bytes;
        self.n_dropped += n_gone as u64;
        self.list.give_rows(rows, selected, cx);
        if follow {
            self.list.move_to(usize::MAX);
        }
    }

    fn place_form(&self, id: Id) -> Form {
        let (title, label, note) = match id {
            Id::SeekOffset => ("read from an offset", "offset", "in every partition"),
            _ => (
                "read from a time",
                "time",
                "2026-11-21 13:45[:00], 13:45 today, or an age such as 10m, 2h, 1d",
            ),
        };
        Form::new(
            title,
            vec![Field::text(label, "", note)],
            move |values, cx| {
                let text = values.get(0);
                parse_place(id, text, cx.now.wall_ms).map_err(|why| Wrong::new(0, why))?;
                Ok(vec![Step::Close, Step::Run(id, text.to_owned())])
            },
        )
    }

    fn seek(&mut self, id: Id, text: &str, cx: &Cx<'_>) -> Vec<Step> {
        match parse_place(id, text, cx.now.wall_ms) {
            Ok(from) => self.read(from, cx),
            Err(why) => vec![Step::Say(Toast::bad(why))],
        }
    }
}

/// What was typed as an offset or a time.
fn parse_place(id: Id, text: &str, now_ms: i64) -> Result<ReadFrom, String> {
    if id == Id::SeekOffset {
        let offset: i64 = text
            .replace([',', '_'], "")
            .parse()
            .map_err(|_| format!("\"{text}\" is no offset"))?;
        return if offset < 0 {
            Err("offsets start at 0".to_owned())
        } else {
            Ok(ReadFrom::Offset(offset))
        };
    }
    format::parse_time(text, now_ms)
        .map(ReadFrom::Time)
        .ok_or_else(|| format!("\"{text}\" is no time: 2026-11-21 13:45, 13:45, or 10m for an age"))
}

/// One message in full.
fn detail(row: &Row, cx: &Cx<'_>) -> TextDialog {
    let (message, theme) = (&row.message, cx.theme);
    let mut lines: Vec<(String, Style)> = vec![
        (
            format!(
                "partition {}   offset {}",
                message.partition, message.offset
            ),
            theme.text,
        ),
        (
            format!("time {}", format::timestamp_ms(message.timestamp_ms)),
            theme.text,
        ),
        (String::new(), theme.text),
    ];
    lines.push((format!("headers ({})", message.headers.len()), theme.header));
    for header in &message.headers {
        let value = match &header.value {
            Some(value) => format::payload(value, 1_000),
            None => "null".to_owned(),
        };
        lines.push((
            format!("  {}: {value}", format::clean(&header.key)),
            theme.text,
        ));
    }
    let mut copy = String::new();
    for (title, payload) in [("key", &message.key), ("value", &message.value)] {
        lines.push((String::new(), theme.text));
        let Some(payload) = payload else {
            lines.push((format!("{title}: null"), theme.header));
            continue;
        };
        let (kind, text) = pretty(payload);
        let size = format::bytes(payload.len() as i64);
        lines.push((format!("{title} ({kind}, {size})"), theme.header));
        lines.extend(
            text.lines()
                .map(|line| (format::clean(line).into_owned(), theme.text)),
        );
        copy = match std::str::from_utf8(payload) {
            Ok(text) => text.to_owned(),
            Err(_) => text,
        };
    }
    let title = format!("{} {}", format::clean(&message.topic), row.name);
    TextDialog::new(title, lines, copy)
}

/// A payload as it reads best: JSON with indents, text as it is, bytes as a dump.
fn pretty(payload: &[u8]) -> (&'static str, String) {
    let head = payload.get(..DETAIL_BYTES_MAX).unwrap_or(payload);
    let more = if head.len() < payload.len() {
        "\n… there is more"
    } else {
        ""
    };
    let looks_like_json = matches!(payload.first(), Some(b'{' | b'['));
    if looks_like_json
        && more.is_empty()
        && let Ok(value) = serde_json::from_slice::<serde_json::Value>(payload)
        && let Ok(text) = serde_json::to_string_pretty(&value)
    {
        return ("JSON", text);
    }
    match std::str::from_utf8(head) {
        Ok(text) => ("text", format!("{text}{more}")),
        Err(error) if !more.is_empty() && error.valid_up_to() + 4 > head.len() => {
            let text = String::from_utf8_lossy(&head[..error.valid_up_to()]);
            ("text", format!("{text}{more}"))
        }
        Err(_) => ("bytes", format!("{}{more}", hex_dump(head))),
    }
}

fn hex_dump(bytes: &[u8]) -> String {
    let line = |(at, chunk): (usize, &[u8])| {
        let hex: Vec<String> = chunk.iter().map(|b| format!("{b:02x}")).collect();
        let text: String = chunk
            .iter()
            .map(|b| {
                if b.is_ascii_graphic() || *b == b' ' {
                    char::from(*b)
                } else {
                    '·'
                }
            })
            .collect();
        format!("{:06x}  {:<47}  {text}", at * 16, hex.join(" "))
    };
    bytes
        .chunks(16)
        .enumerate()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

impl Screen for Messages {
    fn place(&self) -> Place {
        Place::Messages(self.topic.clone())
    }

    fn title(&self) -> String {
        format!("messages of {}", self.topic)
    }

    fn status(&self, _cx: &Cx<'_>) -> String {
        let state = match &self.state {
            State::Reading { from, .. } => format!("reading {} …", from_word(*from)),
            State::Read { from, report } => format!(
                "{}, {} read, {}",
                from_word(*from),
                format::bytes(i64::try_from(report.bytes).unwrap_or(i64::MAX)),
                stop_word(report.stop)
            ),
            State::Failed(_) => "not read".to_owned(),
            State::Tailing { paused: false, .. } => "following".to_owned(),
            State::Tailing { paused: true, .. } => {
                format!("held, {} waiting", format::count(self.held.len() as i64))
            }
            State::Ended => String::new(),
        };
        format!("{} · {state}", self.list.status())
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Messages, Scope::List]
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        Interest::default()
    }

    fn parts(&self, _cx: &Cx<'_>) -> Vec<Part> {
        Vec::new()
    }

    focused_list!(self.list);

    fn on_open(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        self.read(ReadFrom::End, cx)
    }

    fn on_close(&mut self) -> Vec<JobId> {
        match &self.state {
            State::Reading { job, .. } | State::Tailing { job, .. } => vec![*job],
            _ => Vec::new(),
        }
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        match &self.state {
            State::Reading { job: ours, from } if *ours == job => {
                let from = *from;
                if let Some(Answer::Read(result)) = answer.take() {
                    self.on_read(from, result, cx);
                }
            }
            State::Tailing { job: ours, .. } if *ours == job => match answer.take() {
                Some(Answer::Tailed(batch)) => self.on_tailed(batch, cx),
                Some(Answer::TailEnded(fault)) => {
                    self.show_held(cx);
                    self.state = match fault {
                        Some(fault) => State::Failed(fault),
                        None => State::Ended,
                    };
                }
                _ => {}
            },
            _ => {}
        }
        Vec::new()
    }

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        let is_tail = matches!(self.state, State::Tailing { .. });
        (command == Id::Pause && !is_tail).then(|| "nothing is followed: t starts that".to_owned())
    }

    fn run(&mut self, command: Id, argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        Some(match command {
            Id::Open => {
                let dialog = detail(self.list.selected_row()?, cx);
                vec![Step::Dialog(Box::new(dialog))]
            }
            Id::Tail => self.tail(cx),
            Id::Pause => {
                if let State::Tailing { paused, .. } = &mut self.state {
                    *paused = !*paused;
                    if !*paused {
                        self.show_held(cx);
                    }
                }
                Vec::new()
            }
            Id::SeekStart => self.read(ReadFrom::Start, cx),
            Id::SeekEnd => self.read(ReadFrom::End, cx),
            Id::SeekOffset | Id::SeekTime if argument.is_empty() => {
                vec![Step::Dialog(Box::new(self.place_form(command)))]
            }
            Id::SeekOffset | Id::SeekTime => self.seek(command, argument, cx),
            Id::Refresh => match &self.state {
                State::Read { from, .. } => {
                    let from = *from;
                    self.read(from, cx)
                }
                State::Failed(_) => self.read(ReadFrom::End, cx),
                _ => Vec::new(),
            },
            Id::Produce => vec![Step::Dialog(Box::new(forms::produce_form(
                &self.topic,
                None,
            )))],
            Id::Copy => {
                let value = self
                    .list
                    .selected_row()?
                    .message
                    .value
                    .clone()
                    .unwrap_or_default();
                let text = String::from_utf8_lossy(&value).into_owned();
                let said = Toast::good("copied the value");
                vec![Step::Effect(Effect::Copy(text)), Step::Say(said)]
            }
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let mut area = area;
        let mut notices: Vec<(String, Style)> = Vec::new();
        match &self.state {
            State::Failed(fault) => {
                notices.push((format!("! {fault}"), theme.bad));
                notices.extend(
                    fault
                        .hint
                        .iter()
                        .map(|hint| (format!("  {hint}"), theme.text)),
                );
            }
            State::Read { report, .. } => {
                for (partition, why) in report.failed.iter().take(2) {
                    notices.push((
                        format!("! partition {partition} not read: {why}"),
                        theme.warn,
                    ));
                }
            }
            _ => {}
        }
        if let Some(fault) = &self.tail_fault {
            notices.push((format!("! {}", fault.why), theme.warn));
        }
        if self.n_dropped > 0 {
            let n = format::count(i64::try_from(self.n_dropped).unwrap_or(i64::MAX));
            let text = format!("{n} older messages were let go: the newest {TAIL_MAX} are kept");
            notices.push((text, theme.dim));
        }
        for (text, style) in notices {
            let text = format::clean(&text).into_owned();
            frame::text(&text, style, area.x + 1, area.y, area.width - 1, buffer);
            area = Rect {
                y: area.y + 1,
                height: area.height.saturating_sub(1),
                ..area
            };
        }
        if self.list.rows().is_empty() {
            let text = match &self.state {
                State::Reading { .. } => "reading …",
                State::Read { .. } => "there are no messages here",
                State::Tailing { .. } => "waiting for messages …",
                _ => "",
            };
            frame::text(
                text,
                theme.dim,
                area.x + 1,
                area.y + 1,
                area.width - 2,
                buffer,
            );
            return;
        }
        self.list.draw(cx, true, area, buffer);
    }
}
