//! A group's rebalances: when, why, who, what moved, and how long it stood still.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::watch::Watch;
use super::{cells, topics};
use crate::cluster::Interest;
use crate::derive::{Cause, GroupEvent, TimelineSettings, timeline};
use crate::model::{Fault, GroupLook};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::format;
use crate::ui::screen::{Changed, Place, Screen, Step, focused_list};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Key, List, Named};

/// Lines below the list for the selected event.
const DETAIL_LINES: u16 = 6;

/// Events that are shown, the newest.
const EVENTS_MAX: usize = 2_000;

/// One event.
pub struct Row {
    name: String,
    event: GroupEvent,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.name
    }
}

fn is_bad(event: &GroupEvent) -> bool {
    let mut causes = event.causes.iter();
    causes.any(|cause| {
        matches!(
            cause,
            Cause::Failed { .. }
                | Cause::Fenced { .. }
                | Cause::NotReady
                | Cause::CoordinatorMoved { .. }
        )
    })
}

const COLUMNS: &[Column<Row>] = &[
    Column::text(
        "TIME",
        14,
        0,
        |row, _| Key::Int(row.event.at_ms),
        |row, cx| {
            let text = format::timestamp_ms(row.event.at_ms);
            cells::dim(text.get(5..19).unwrap_or(&text).to_owned(), cx)
        },
    ),
    Column::number(
        "GEN",
        5,
        2,
        |row, _| Key::Int(row.event.generation.into()),
        |row, cx| cells::plain(row.event.generation.to_string(), cx),
    ),
    Column::rest(
        "CAUSE",
        24,
        0,
        |row, _| Key::text(&row.event.causes_text()),
        |row, cx| {
            let style = if is_bad(&row.event) {
                cx.theme.warn
            } else {
                cx.theme.text
            };
            Span::styled(format::clean(&row.event.causes_text()).into_owned(), style)
        },
    ),
    Column::number(
        "MOVED",
        5,
        1,
        |row, _| Key::size(row.event.moved.len()),
        |row, cx| cells::count(row.event.moved.len(), cx),
    ),
    Column::number(
        "MEMBERS",
        7,
        3,
        |row, _| Key::size(row.event.members),
        |row, cx| cells::count(row.event.members, cx),
    ),
    Column::number(
        "STILL",
        7,
        1,
        |row, _| Key::int(row.event.still_ms),
        |row, cx| time(row.event.still_ms, cx),
    ),
    Column::number(
        "SILENT",
        7,
        2,
        |row, _| Key::int(row.event.silent_ms),
        |row, cx| time(row.event.silent_ms, cx),
    ),
];

fn time(ms: Option<i64>, cx: &Cx<'_>) -> Span<'static> {
    match ms {
        Some(ms) => cells::plain(format::duration_ms(ms), cx),
        None => cells::dim(format::NONE, cx),
    }
}

/// The screen.
#[derive(Debug)]
pub struct TimelineScreen {
    group: String,
    list: List<Row>,
    watch: Watch,
    look: Option<Arc<GroupLook>>,
    fault: Option<Fault>,
}

impl TimelineScreen {
    pub fn new(group: String) -> Self {
        Self {
            group,
            list: List::sorted_by(COLUMNS, 0, true),
            watch: Watch::default(),
            look: None,
            fault: None,
        }
    }

    fn set_rows(&mut self, cx: &Cx<'_>) {
        let Some(look) = &self.look else { return };
        let log = match &look.log {
            Some(Ok(log)) => log,
            Some(Err(fault)) => {
                self.fault = Some(Fault::clone(fault));
                return;
            }
            None => return,
        };
        let settings = TimelineSettings {
            session_timeout_ms: look.session_timeout_ms,
            kind: look.group.as_ref().map(|group| group.kind.clone()),
        };
        let told = timeline(log, &settings);
        let first = told.events.len().saturating_sub(EVENTS_MAX);
        let events = told.events.into_iter().enumerate().skip(first);
        let rows = events.map(|(at, event)| Row {
            // Further reading finds the same event under the same name.
            name: format!("{} {} {at}", event.at_ms, event.generation),
            event,
        });
        self.list.set_rows(rows.collect(), cx);
    }

    fn summary(&self, cx: &Cx<'_>) -> (String, Style) {
        if let Some(fault) = &self.fault {
            return (fault.to_string(), cx.theme.bad);
        }
        let Some(look) = &self.look else {
            return ("reading the coordinator's log …".to_owned(), cx.theme.dim);
        };
        let Some(Ok(log)) = &look.log else {
            return (
                "the coordinator's log was not read".to_owned(),
                cx.theme.warn,
            );
        };
        let reach = &log.reach;
        let bytes = i64::try_from(reach.bytes).unwrap_or(i64::MAX);
        let kind = look.group.as_ref().map_or("", |group| group.kind.as_str());
        let how = match reach.is_whole {
            true if reach.gapless_from == 0 => "from its beginning".to_owned(),
            true => "all that compaction left".to_owned(),
            false => match reach.oldest_ms {
                Some(ms) => format!("back to {}", format::timestamp_ms(ms)),
                None => "its end".to_owned(),
            },
        };
        let text = format!(
            "{} group  __consumer_offsets-{}: {how}, {} read",
            format::clean(kind),
            reach.partition,
            format::bytes(bytes)
        );
        (text, cx.theme.dim)
    }

    /// What is to be said of the selected event, a line each.
    fn detail(&self) -> Vec<String> {
        let Some(row) = self.list.selected_row() else {
            return Vec::new();
        };
        let event = &row.event;
        let mut lines = vec![event.causes_text()];
        lines.extend(event.evidence.iter().cloned());
        if let Some(ms) = event.still_ms {
            let text = format::duration_ms(ms);
            lines.push(format!("stood still at least {text}"));
        }
        if let (Some(ms), Some(line)) = (event.silent_ms, lines.last_mut()) {
            line.push_str(&format!(
                ", between two commits passed {}",
                format::duration_ms(ms)
            ));
        }
        let moved = event.moved.iter().map(|moved| {
            let what = match (&moved.from, &moved.to, moved.others) {
                (None, Some(to), others) if others > 0 => format!("also {to}"),
                (Some(from), None, others) if others > 0 => format!("{from} no longer"),
                (from, to, _) => {
                    let name = |name: &Option<String>| name.clone().unwrap_or("nobody".to_owned());
                    format!("{} → {}", name(from), name(to))
                }
            };
            format!("{}-{}: {what}", moved.topic, moved.partition)
        });
        lines.extend(moved);
        lines
    }
}

impl Screen for TimelineScreen {
    fn place(&self) -> Place {
        Place::Timeline(self.group.clone())
    }

    fn title(&self) -> String {
        format!("timeline of {}", self.group)
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Timeline, Scope::List]
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        Interest {
            groups: vec![self.group.as_str().into()],
            ..Interest::default()
        }
    }

    focused_list!(self.list);

    fn shows(&self) -> Changed {
        Changed::GROUP_DETAILS
    }

    fn on_open(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        let group = self.group.clone();
        let watch = |job| Effect::WatchGroup { job, group };
        self.watch.begin(cx, watch)
    }

    fn on_close(&mut self) -> Vec<JobId> {
        self.watch.end()
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        if let Some(Answer::GroupLooked(result)) = self.watch.found(job, answer) {
            match result {
                Ok(look) => (self.look, self.fault) = (Some(look), None),
                Err(fault) => self.fault = Some(fault),
            }
            self.set_rows(cx);
        }
        Vec::new()
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        match command {
            Id::Copy => Some(topics::copy(&self.detail().join("\n"), cx)),
            Id::Open => Some(Vec::new()),
            _ => None,
        }
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let (text, style) = self.summary(cx);
        let width = area.width.saturating_sub(2);
        frame::text(
            &format::clean(&text),
            style,
            area.x + 1,
            area.y,
            width,
            buffer,
        );
        let detail: Vec<String> = (self.detail().iter())
            .flat_map(|line| format::wrap(&format::clean(line), usize::from(width)))
            .collect();
        let lines = u16::try_from(detail.len()).unwrap_or(u16::MAX);
        let below = lines.min(DETAIL_LINES).min(area.height / 2);
        let list = Rect {
            y: area.y + 1,
            height: area.height.saturating_sub(1 + below),
            ..area
        };
        self.list.draw(cx, true, list, buffer);
        let shown = usize::from(below);
        for (at, (y, line)) in (list.bottom()..).zip(&detail).take(shown).enumerate() {
            let more = detail.len() - shown;
            let is_cut = at + 1 == shown && more > 0;
            let line = if is_cut {
                format!("{line}  … and {more} more; y copies all")
            } else {
                line.clone()
            };
            let text = format::clean(&line).into_owned();
            frame::text(&text, cx.theme.text, area.x + 1, y, width, buffer);
        }
    }
}
