//! What happened since the cluster has been looked at: leaders, replicas in sync, brokers, topics,
//! settings, groups, the quorum. The newest comes first.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;
use unicode_width::UnicodeWidthStr;

use super::{absent, cells, topics};
use crate::model::{Happening, Subject};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Filter, Key, List, Named, Rows};

/// One happening, by its number.
pub struct Row {
    number: String,
    at: i64,
    happening: Arc<Happening>,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.number
    }

    fn matches(&self, filter: &Filter) -> bool {
        filter.accepts(&self.happening.text)
    }
}

/// Milliseconds between the look that saw it and the one before.
fn within_ms(happening: &Happening) -> Option<i64> {
    let after = happening.after?;
    Some(happening.at.monotonic_ms.saturating_sub(after.monotonic_ms))
}

const COLUMNS: &[Column<Row>] = &[
    Column::text(
        "SEEN",
        9,
        0,
        |row, _| Key::Int(row.at),
        |row, cx| cells::dim(format::clock_ms(row.happening.at.wall_ms), cx),
    ),
    Column::number(
        "WITHIN",
        8,
        2,
        |row, _| Key::int(within_ms(&row.happening)),
        |row, cx| match within_ms(&row.happening) {
            Some(ms) => cells::dim(format::duration_ms(ms), cx),
            None => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::text(
        "",
        2,
        0,
        |row, _| Key::Int(row.happening.weight as i64),
        |row, cx| {
            let (sign, style) = cx.theme.weight(row.happening.weight);
            Span::styled(sign, style)
        },
    ),
    Column::rest(
        "WHAT HAPPENED",
        40,
        0,
        |row, _| Key::text(&row.happening.text),
        |row, cx| {
            let text = format::happening(&row.happening);
            Span::styled(text, cx.theme.weight(row.happening.weight).1)
        },
    ),
];

/// Cells of the columns beside what happened.
const BESIDE: u16 = 23;

/// With fewer lines the list keeps what there is.
const LOW: u16 = 12;

/// The screen.
#[derive(Debug)]
pub struct Changes {
    list: List<Row>,
    /// The number of the newest happening that has a row.
    n_shown: u64,
}

impl Changes {
    pub fn new() -> Self {
        Self {
            list: List::sorted_by(COLUMNS, 0, true),
            n_shown: 0,
        }
    }

    /// What the row of the selected one has no room for: all that it says, and its partitions.
    fn more(&self, cx: &Cx<'_>, area: Rect) -> Vec<(String, Style)> {
        let Some(row) = self.list.selected_row() else {
            return Vec::new();
        };
        let width = area.width.saturating_sub(2);
        let mut texts = Vec::new();
        let said = format::clean(&row.happening.text);
        let shown = format::happening(&row.happening);
        if shown != said || said.width() > usize::from(width.saturating_sub(BESIDE)) {
            texts.push((said.into_owned(), cx.theme.text));
        }
        let partitions = &row.happening.partitions;
        if partitions.len() > 3 && area.height > LOW {
            let names = partitions.iter().take(200);
            let names: Vec<String> = names.map(ToString::to_string).collect();
            let names = format::clean(&names.join(" ")).into_owned();
            texts.push((names, cx.theme.dim));
        }
        let lines = texts.into_iter().flat_map(|(text, style)| {
            let lines = format::wrap(&text, usize::from(width));
            lines.into_iter().map(move |line| (line, style))
        });
        let most = if area.height > LOW { 4 } else { 2 };
        lines.take(most).collect()
    }
}

/// Where a happening leads.
fn place(subject: &Subject) -> Place {
    match subject {
        Subject::Cluster => Place::Overview,
        Subject::Broker(id) => Place::Broker(*id),
        Subject::Topic(name) => Place::Topic(name.to_string()),
        Subject::Group(id) => Place::Group(id.to_string()),
        Subject::Quorum => Place::Quorum,
        Subject::Reassignments => Place::Reassignments,
    }
}

impl Screen for Changes {
    fn place(&self) -> Place {
        Place::Changes
    }

    fn title(&self) -> String {
        "changes".to_owned()
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Changes, Scope::List]
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        vec![Part::of("metadata", &cx.snapshot.metadata)]
    }

    fn interest(&self, _cx: &Cx<'_>) -> crate::cluster::Interest {
        crate::cluster::Interest {
            all_groups: true,
            ..Default::default()
        }
    }

    fn list(&mut self) -> Option<&mut dyn Rows> {
        Some(&mut self.list)
    }

    fn list_ref(&self) -> Option<&dyn Rows> {
        Some(&self.list)
    }

    fn on_data(&mut self, cx: &Cx<'_>, changed: Changed) {
        if cx.feed.n_told() == self.n_shown && changed != Changed::ALL {
            return;
        }
        self.n_shown = cx.feed.n_told();
        let newest = i64::try_from(self.n_shown).unwrap_or(i64::MAX);
        let numbered = cx.feed.iter().rev().zip(0_i64..);
        let rows = numbered.map(|(happening, back)| Row {
            number: (newest - back).to_string(),
            at: newest - back,
            happening: Arc::clone(happening),
        });
        self.list.set_rows(rows.collect(), cx);
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        let row = self.list.selected_row()?;
        Some(match command {
            Id::Open => vec![Step::Push(place(&row.happening.subject))],
            Id::Copy => {
                let partitions = row.happening.partitions.iter();
                let names: Vec<String> = partitions.map(ToString::to_string).collect();
                let text = format!("{} {}", row.happening.text, names.join(" "));
                topics::copy(text.trim_end(), cx)
            }
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        if self.list.rows().is_empty() {
            let since = cx.snapshot.metadata.taken();
            let text = match since {
                Some(_) => "nothing has changed since this cluster is looked at",
                None => "reading …",
            };
            return absent::say(&[(text, cx.theme.dim)], area, buffer);
        }
        let more = self.more(cx, area);
        let lines = u16::try_from(more.len()).unwrap_or(u16::MAX);
        let gap = u16::from(lines > 0 && area.height > LOW);
        let rows = Rect {
            height: area.height - lines - gap,
            ..area
        };
        self.list.draw(cx, true, rows, buffer);
        for ((line, style), y) in more.iter().zip(rows.bottom() + gap..) {
            frame::text(line, *style, area.x + 1, y, area.width - 2, buffer);
        }
    }
}
