//! Transactions: the partitions whose readers wait for one, whether it hangs, and the
//! transactional ids that coordinators know.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{absent, cells, topics};
use crate::cluster::Interest;
use crate::derive::{self, Blocked, MAX_TIMEOUT_MS, OpenTransaction, Openness};
use crate::model::{TopicPartition, Transaction};
use crate::ops::{AbortTransaction, Action};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step, Toast, focused_list};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Clicked, Column, Filter, Key, List, Named, Rows};

/// A partition that waits, with one of the transactions that are open in it.
pub struct OpenRow {
    name: String,
    blocked: Arc<Blocked>,
    open: Option<OpenTransaction>,
    /// When its age was told.
    at_ms: i64,
}

impl Named for OpenRow {
    fn name(&self) -> &str {
        &self.name
    }
}

impl OpenRow {
    /// It grows while nothing else is read.
    fn age_ms(&self, cx: &Cx<'_>) -> Option<i64> {
        let since = cx.now.wall_ms.saturating_sub(self.at_ms).max(0);
        let age = self.open.as_ref()?.known_age_ms()?;
        Some(age.saturating_add(since))
    }
}

fn openness(row: &OpenRow, cx: &Cx<'_>) -> (&'static str, Style) {
    match row.open.as_ref().map(|open| open.openness) {
        Some(Openness::Running) => ("running", cx.theme.text),
        Some(Openness::Hanging) => ("HANGING", cx.theme.bad),
        Some(Openness::Unknown) | None => ("unknown", cx.theme.warn),
    }
}

const OPEN: &[Column<OpenRow>] = &[
    Column::name(
        "PARTITION",
        12,
        |row, _| Key::partition(&row.blocked.topic, row.blocked.partition),
        |row, cx| {
            let name = format!("{}-{}", row.blocked.topic, row.blocked.partition);
            cells::foreign(&name, cx)
        },
    ),
    Column::text(
        "STATE",
        8,
        0,
        |row, _| Key::Int(row.open.as_ref().map_or(1, |open| open.openness as i64)),
        |row, cx| {
            let (text, style) = openness(row, cx);
            Span::styled(text, style)
        },
    ),
    Column::number(
        "AGE",
        format::AGE_WIDTH,
        0,
        |row, cx| Key::int(row.age_ms(cx)),
        |row, cx| cells::age(row.age_ms(cx), cx),
    ),
    Column::number(
        "BEHIND",
        8,
        1,
        |row, _| Key::Int(row.blocked.behind),
        |row, cx| cells::plain(format::count(row.blocked.behind), cx),
    ),
    Column::number(
        "STABLE",
        12,
        2,
        |row, _| Key::Int(row.blocked.last_stable_offset),
        |row, cx| cells::plain(format::count(row.blocked.last_stable_offset), cx),
    ),
    Column::number(
        "HIGH WATER",
        12,
        4,
        |row, _| Key::Int(row.blocked.high_watermark),
        |row, cx| cells::plain(format::count(row.blocked.high_watermark), cx),
    ),
    Column::number(
        "PRODUCER",
        10,
        3,
        |row, _| Key::int(row.open.as_ref().map(|open| open.producer_id)),
        |row, cx| cells::id(row.open.as_ref().map(|open| open.producer_id), cx),
    ),
    Column::wide(
        "GROUPS THERE",
        14,
        5,
        |row, _| Key::size(row.blocked.groups.len()),
        |row, cx| cells::foreign(&row.blocked.groups.join(" "), cx),
    ),
];

/// One transactional id.
pub struct IdRow(Transaction);

impl Named for IdRow {
    fn name(&self) -> &str {
        &self.0.id
    }

    fn matches(&self, filter: &Filter) -> bool {
        filter.accepts(&self.0.id) || filter.accepts(&self.0.state)
    }
}

impl IdRow {
    /// Milliseconds since its transaction began.
    fn age_ms(&self, cx: &Cx<'_>) -> Option<i64> {
        let started = self.0.detail.as_ref()?.started_ms?;
        Some(cx.now.wall_ms.saturating_sub(started).max(0))
    }
}

const IDS: &[Column<IdRow>] = &[
    Column::name(
        "TRANSACTIONAL ID",
        16,
        |row, _| Key::text(&row.0.id),
        |row, cx| cells::foreign(&row.0.id, cx),
    ),
    Column::text(
        "STATE",
        14,
        0,
        |row, _| Key::text(&row.0.state),
        |row, cx| {
            let style = if row.0.is_open() {
                cx.theme.accent
            } else {
                cx.theme.dim
            };
            Span::styled(format::clean(&row.0.state).into_owned(), style)
        },
    ),
    Column::number(
        "FOR",
        format::AGE_WIDTH,
        1,
        |row, cx| Key::int(row.age_ms(cx)),
        |row, cx| {
            let age = row.age_ms(cx);
            cells::plain(age.map_or(String::new(), format::duration_ms), cx)
        },
    ),
    Column::number(
        "PRODUCER",
        10,
        2,
        |row, _| Key::Int(row.0.producer_id),
        |row, cx| cells::plain(row.0.producer_id.to_string(), cx),
    ),
    Column::number(
        "EPOCH",
        6,
        3,
        |row, _| Key::int(row.0.detail.as_ref().map(|d| d.producer_epoch)),
        |row, cx| {
            let epoch = row
                .0
                .detail
                .as_ref()
                .map(|detail| i64::from(detail.producer_epoch));
            cells::plain(epoch.map_or(String::new(), |epoch| epoch.to_string()), cx)
        },
    ),
    Column::number(
        "TIMEOUT",
        format::AGE_WIDTH,
        4,
        |row, _| Key::int(row.0.detail.as_ref().map(|d| d.timeout_ms)),
        |row, cx| {
            let timeout = row
                .0
                .detail
                .as_ref()
                .map(|detail| i64::from(detail.timeout_ms));
            cells::plain(timeout.map_or(String::new(), format::duration_ms), cx)
        },
    ),
    Column::number(
        "COORD",
        6,
        3,
        |row, _| Key::Int(row.0.coordinator.into()),
        |row, cx| cells::plain(row.0.coordinator.to_string(), cx),
    ),
];

/// The screen.
#[derive(Debug)]
pub struct TransactionsScreen {
    open: List<OpenRow>,
    ids: List<IdRow>,
    ids_focused: bool,
}

impl TransactionsScreen {
    pub fn new() -> Self {
        Self {
            open: List::sorted_by(OPEN, 1, true),
            ids: List::new(IDS),
            ids_focused: false,
        }
    }

    fn shown(&self, cx: &Cx<'_>) -> Option<Step> {
        let lines = if self.ids_focused {
            id_lines(&self.ids.selected_row()?.0, cx)
        } else {
            open_lines(self.open.selected_row()?, cx)
        };
        let width = 72;
        let wrapped = lines.into_iter().flat_map(|(text, style)| {
            let text = format::clean(&text).into_owned();
            let lines = format::wrap(&text, width).into_iter();
            lines.map(move |line| (line, style))
        });
        let lines: Vec<(String, Style)> = wrapped.collect();
        let copy: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
        let copy = copy.join("\n");
        Some(Step::Dialog(Box::new(TextDialog::new(
            "transaction",
            lines,
            copy,
        ))))
    }
}

fn open_lines(row: &OpenRow, cx: &Cx<'_>) -> Vec<(String, Style)> {
    let theme = cx.theme;
    let blocked = &row.blocked;
    let mut lines = vec![(
        format!(
            "{}-{}: readers of committed records get to {}, {} before the end",
            blocked.topic,
            blocked.partition,
            format::count(blocked.last_stable_offset),
            format::plural(usize::try_from(blocked.behind).unwrap_or(0), "record"),
        ),
        theme.text,
    )];
    if let Some(error) = &blocked.error {
        lines.push((format!("its producers are not known: {error}"), theme.warn));
    }
    if let Some(open) = &row.open {
        let (_, style) = openness(row, cx);
        lines.push((open.why.clone(), style));
        let producer = format!(
            "producer {} epoch {}",
            open.producer_id, open.producer_epoch
        );
        let from = format!("open from offset {}", format::count(open.start_offset));
        lines.push((format!("{producer}, {from}"), theme.text));
        if let Some(running_ms) = open.running_ms {
            let text = format::duration_ms(running_ms);
            let text = format!("running for {text}, as its coordinator says");
            lines.push((text, theme.text));
        }
        let text = match open.last_timestamp_ms {
            ..0 => "its last record has no time".to_owned(),
            ms => {
                let (at, age) = (format::timestamp_ms(ms), format::duration_ms(open.age_ms));
                format!("its last record says that it is of {at}: {age} ago")
            }
        };
        lines.push((text, theme.text));
        if let Some(id) = &open.transactional_id {
            lines.push((format!("transactional id \"{id}\""), theme.text));
        }
    }
    if blocked.groups.is_empty() {
        lines.push(("no group is known to wait here".to_owned(), theme.dim));
    } else {
        let groups = blocked.groups.join(", ");
        let text = format!("groups that wait if they read committed records only: {groups}");
        lines.push((text, theme.warn));
    }
    lines
}

fn id_lines(transaction: &Transaction, cx: &Cx<'_>) -> Vec<(String, Style)> {
    let theme = cx.theme;
    let mut lines = vec![
        (
            format!("\"{}\" is {}", transaction.id, transaction.state),
            theme.accent,
        ),
        (
            format!(
                "producer {}, coordinator {}",
                transaction.producer_id, transaction.coordinator
            ),
            theme.text,
        ),
    ];
    let Some(detail) = &transaction.detail else {
        return lines;
    };
    if let Some(started) = detail.started_ms {
        lines.push((
            format!("began {}", format::timestamp_ms(started)),
            theme.text,
        ));
    }
    let timeout = format::duration_ms(detail.timeout_ms.into());
    lines.push((
        format!("epoch {}, timeout {timeout}", detail.producer_epoch),
        theme.text,
    ));
    let partitions: Vec<String> = detail.partitions.iter().map(ToString::to_string).collect();
    let text = if partitions.is_empty() {
        "no partition is part of it".to_owned()
    } else {
        format!("partitions: {}", partitions.join(" "))
    };
    lines.push((text, theme.text));
    lines
}

impl Screen for TransactionsScreen {
    fn place(&self) -> Place {
        Place::Transactions
    }

    fn title(&self) -> String {
        "transactions".to_owned()
    }

    fn status(&self, cx: &Cx<'_>) -> String {
        let Some(all) = cx.snapshot.transactions.get() else {
            return String::new();
        };
        let open = all.transactions.iter().filter(|t| t.is_open()).count();
        let mut status = format!(
            "{open} open · {} held up",
            format::plural(all.blocked.len(), "partition")
        );
        if all.n_unknown > 0 {
            status.push_str(&format!(" · {} unknown", all.n_unknown));
        }
        status
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Transactions, Scope::Panes, Scope::List]
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        Interest {
            transactions: true,
            // To say which of them wait.
            all_groups: true,
            ..Interest::default()
        }
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        let mut part = Part::of("transactions", &cx.snapshot.transactions);
        let all = cx.snapshot.transactions.get();
        let silent = all.and_then(|all| all.faults.values().next().cloned());
        part.fault = part.fault.or(silent);
        vec![part]
    }

    focused_list!(if self.ids_focused { ids } else { open });

    fn click(&mut self, x: u16, y: u16, cx: &Cx<'_>) -> Clicked {
        let clicked = self.open.click(x, y, cx);
        if clicked != Clicked::Nothing {
            self.ids_focused = false;
            return clicked;
        }
        let clicked = self.ids.click(x, y, cx);
        self.ids_focused |= clicked != Clicked::Nothing;
        clicked
    }

    fn shows(&self) -> Changed {
        Changed::TRANSACTIONS.and(Changed::GROUP_DETAILS)
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
        let Some(all) = cx.snapshot.transactions.get() else {
            return;
        };
        let ids = all.transactions.iter().cloned().map(IdRow).collect();
        self.ids.set_rows(ids, cx);
        let mut rows = Vec::new();
        for blocked in derive::blocked(cx.snapshot, cx.now.wall_ms, MAX_TIMEOUT_MS) {
            let blocked = Arc::new(blocked);
            let name = |of: &str| format!("{}-{} {of}", blocked.topic, blocked.partition);
            if blocked.open.is_empty() {
                rows.push(OpenRow {
                    name: name(""),
                    blocked: Arc::clone(&blocked),
                    open: None,
                    at_ms: cx.now.wall_ms,
                });
            }
            rows.extend(blocked.open.iter().map(|open| OpenRow {
                name: name(&open.start_offset.to_string()),
                blocked: Arc::clone(&blocked),
                open: Some(open.clone()),
                at_ms: cx.now.wall_ms,
            }));
        }
        self.open.set_rows(rows, cx);
    }

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        if command != Id::AbortTransaction {
            return None;
        }
        let has_none = || "no open transaction is selected".to_owned();
        let selected = self.open.selected_row().and_then(|row| row.open.as_ref());
        (self.ids_focused || selected.is_none()).then(has_none)
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        Some(match command {
            Id::NextPane => {
                self.ids_focused = !self.ids_focused;
                Vec::new()
            }
            Id::Open => vec![self.shown(cx)?],
            Id::AbortTransaction => {
                let open = self.open.selected_row()?.open.as_ref()?;
                let abort = AbortTransaction {
                    partition: TopicPartition::new(&*open.topic, open.partition),
                    start_offset: open.start_offset,
                    producer_id: open.producer_id,
                };
                vec![Step::Plan(Action::AbortTransaction(abort))]
            }
            Id::Topic if !self.ids_focused => {
                let topic = self.open.selected_row()?.blocked.topic.to_string();
                vec![Step::Push(Place::Topic(topic))]
            }
            Id::Producers if !self.ids_focused => {
                let topic = self.open.selected_row()?.blocked.topic.to_string();
                vec![Step::Push(Place::Producers(topic))]
            }
            Id::Producers => {
                let detail = self.ids.selected_row()?.0.detail.as_ref();
                let part = detail.and_then(|detail| detail.partitions.first());
                match part {
                    Some(part) => vec![Step::Push(Place::Producers(part.topic.to_string()))],
                    None => {
                        let text = "no partition is part of it";
                        vec![Step::Say(Toast::info(text))]
                    }
                }
            }
            Id::Copy => topics::copy(&self.list_ref()?.selected_name()?, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let transactions = &cx.snapshot.transactions;
        if transactions.get().is_none() {
            return absent::draw(transactions, "", cx, area, buffer);
        }
        let n = u16::try_from(self.open.rows().len()).unwrap_or(u16::MAX);
        let top = Rect {
            height: n
                .saturating_add(2)
                .clamp(3, (area.height / 2).max(3))
                .min(area.height),
            ..area
        };
        if n == 0 {
            let (text, style) = match absent::is_partial(cx) {
                false => (
                    "no partition waits for the end of a transaction",
                    theme.good,
                ),
                true => (absent::PARTIAL, theme.warn),
            };
            absent::say(&[(text, style)], top, buffer);
        } else {
            self.open.draw(cx, !self.ids_focused, top, buffer);
        }
        let rule = Rect {
            y: top.bottom(),
            height: 1,
            ..area
        };
        let style = if self.ids_focused {
            theme.title
        } else {
            theme.dim
        };
        frame::rule("transactional ids", style, theme, rule, buffer);
        let rest = Rect {
            y: rule.y + 1,
            height: area.height.saturating_sub(top.height + 1),
            ..area
        };
        self.ids.draw(cx, self.ids_focused, rest, buffer);
    }
}
