//! Messages of a topic: read from somewhere, or followed as they come; one of them in full.
//!
//! Invariant: what is held is bounded in number and in bytes; what had to go is counted and said.

mod choice;
mod detail;
mod moving;
mod rows;

use std::collections::{BTreeMap, VecDeque};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::forms;
use crate::cluster::{Interest, ReadFrom, ReadLimits, ReadMessages, TailMessages};
use crate::decode::SchemaBook;
use crate::model::{Fault, Message, ReadReport, ReadStop};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::format;
use crate::ui::screen::{Part, Place, Screen, Step, Toast, focused_list};
use crate::ui::widgets::form::{Field, Form, Wrong};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{List, Rows};

use choice::Choice;
use detail::MessageDialog;
use moving::MovingDialog;
use rows::{COLUMNS, Row};

/// Messages that a tail keeps.
const TAIL_MAX: usize = 2_000;
/// Bytes of keys and values that a tail keeps.
const TAIL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A filter looks at more than is shown.
const FILTERED_LIMITS: ReadLimits = ReadLimits {
    messages: 500,
    bytes: 256 * 1024 * 1024,
    time_ms: 30_000,
};

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
    choice: Choice,
    /// The schemas that were read for this cluster.
    book: SchemaBook,
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

/// What a read was, how much it took and where it stopped.
fn read_word(from: ReadFrom, report: &ReadReport, choice: &Choice) -> String {
    let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let looked_at = match choice.filter {
        None => String::new(),
        Some(_) => format!(", {} looked at", format::count(int(report.scanned))),
    };
    format!(
        "{}, {} read{looked_at}, {}",
        from_word(from),
        format::bytes(int(report.bytes)),
        stop_word(report.stop)
    )
}

/// What a read met besides messages.
fn found_word(report: &ReadReport) -> Option<String> {
    let count = |n: u64, what: &str| {
        let shown = format::count(i64::try_from(n).unwrap_or(i64::MAX));
        (n > 0).then(|| format!("{shown} {what}"))
    };
    let parts = [
        count(
            report.missing,
            "offsets hold nothing (compacted, or never given)",
        ),
        count(report.aborted, "of aborted transactions"),
        count(report.control, "control records"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("met: {}", parts.join(", ")))
}

impl Messages {
    pub fn new(topic: String) -> Self {
        Self {
            topic,
            list: List::new(COLUMNS),
            state: State::Ended,
            choice: Choice::default(),
            book: SchemaBook::default(),
            held: VecDeque::new(),
            n_dropped: 0,
            n_tailed: 0,
            bytes: 0,
            next: 0,
            tail_fault: None,
        }
    }

    fn read(&mut self, from: ReadFrom, cx: &Cx<'_>) -> Vec<Step> {
        self.read_on(from, BTreeMap::new(), cx)
    }

    /// Reads from there on, partitions in `starts` from where it says.
    fn read_on(&mut self, from: ReadFrom, starts: BTreeMap<i32, i64>, cx: &Cx<'_>) -> Vec<Step> {
        let mut steps = self.stop();
        let job = cx.new_job();
        self.state = State::Reading { job, from };
        let choice = &self.choice;
        let read = ReadMessages {
            topic: self.topic.clone(),
            partitions: choice.partitions.clone(),
            from,
            starts,
            limits: match choice.filter {
                None => ReadLimits::default(),
                Some(_) => FILTERED_LIMITS,
            },
            isolation: choice.isolation,
            control: choice.control,
            filter: choice.filter.clone(),
            decoders: choice.decoders,
        };
        let read = Box::new(read);
        steps.push(Step::Effect(Effect::ReadMessages { job, read }));
        steps
    }

    /// The page after this one.
    fn more(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        let State::Read { from, report } = &self.state else {
            return Vec::new();
        };
        let starts: BTreeMap<i32, i64> = report.next.iter().copied().collect();
        // What was read backwards goes on at the end.
        let from = match from {
            ReadFrom::End => ReadFrom::Start,
            from => *from,
        };
        self.read_on(from, starts, cx)
    }

    fn tail(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        let mut steps = self.stop();
        let job = cx.new_job();
        self.state = State::Tailing { job, paused: false };
        self.n_tailed = 0;
        self.n_dropped = 0;
        self.tail_fault = None;
        let choice = &self.choice;
        let tail = TailMessages {
            topic: self.topic.clone(),
            partitions: choice.partitions.clone(),
            starts: BTreeMap::new(),
            isolation: choice.isolation,
            control: choice.control,
            filter: choice.filter.clone(),
            decoders: choice.decoders,
        };
        let tail = Box::new(tail);
        steps.push(Step::Effect(Effect::TailMessages { job, tail }));
        steps
    }

    /// What is chosen changed: what is shown is read again.
    fn choose(&mut self, text: &str, cx: &Cx<'_>) -> Vec<Step> {
        match self.choice.with(text, cx.now.wall_ms) {
            Ok(choice) => self.choice = choice,
            Err(why) => return vec![Step::Say(Toast::bad(why.why))],
        }
        match &self.state {
            State::Tailing { .. } => {
                self.list.set_rows(Vec::new(), cx);
                self.bytes = 0;
                self.tail(cx)
            }
            State::Reading { from, .. } | State::Read { from, .. } => {
                let from = *from;
                self.read(from, cx)
            }
            State::Failed(_) | State::Ended => self.read(ReadFrom::End, cx),
        }
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
                        Row::new(message, self.next, self.choice.decoders, &self.book)
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
            let row = Row::new(message, self.next, self.choice.decoders, &self.book);
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
            State::Read { from, report } => read_word(*from, report, &self.choice),
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
        let own = match &self.state {
            State::Reading { job, .. } | State::Tailing { job, .. } => Some(*job),
            _ => None,
        };
        if own == Some(job)
            && let Some(Answer::Schemas(book)) = answer
        {
            self.book = book.clone();
            return Vec::new();
        }
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
        match command {
            Id::Pause if !is_tail => Some("nothing is followed: t starts that".to_owned()),
            Id::More => match &self.state {
                State::Read { report, .. } if report.stop != ReadStop::End => None,
                State::Read { .. } => Some("there was no more: t follows new ones".to_owned()),
                _ => Some("nothing was read yet".to_owned()),
            },
            _ => None,
        }
    }

    fn run(&mut self, command: Id, argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        Some(match command {
            Id::Open => {
                let row = self.list.selected_row()?.clone();
                let dialog = MessageDialog::new(row, self.choice.decoders, &self.book, cx);
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
            Id::More => self.more(cx),
            Id::Find if argument.is_empty() => {
                vec![Step::Dialog(Box::new(self.choice.form()))]
            }
            Id::Find => self.choose(argument, cx),
            Id::Refresh => match &self.state {
                State::Read { from, .. } => {
                    let from = *from;
                    self.read(from, cx)
                }
                State::Failed(_) => self.read(ReadFrom::End, cx),
                _ => Vec::new(),
            },
            Id::ExportMessages => {
                let form = moving::export_form(&self.topic, &self.choice);
                vec![Step::Dialog(Box::new(form))]
            }
            Id::ImportMessages => {
                vec![Step::Dialog(Box::new(MovingDialog::import(&self.topic)))]
            }
            Id::CopyMessages => {
                let dialog = MovingDialog::copy(&self.topic, &self.choice);
                vec![Step::Dialog(Box::new(dialog))]
            }
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
                if let Some(text) = found_word(report) {
                    notices.push((text, theme.dim));
                }
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
                State::Read { .. } if self.choice.filter.is_some() => "no message fits the filter",
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
