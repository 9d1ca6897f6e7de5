//! The first screen: is the cluster well, how large is it, what is wrong.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{absent, cells, groups, topics};
use crate::cluster::Interest;
use crate::derive::Total;
use crate::model::ClusterSnapshot;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step, focused_list};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Key, List, Named};

mod numbers;
mod panels;

use numbers::Numbers;

/// One thing that is wrong.
pub struct Problem {
    name: String,
    rank: u8,
    what: String,
    detail: String,
    place: Place,
}

impl Named for Problem {
    fn name(&self) -> &str {
        &self.name
    }
}

fn rank_style(rank: u8, cx: &Cx<'_>) -> Style {
    if rank < 2 {
        cx.theme.bad
    } else {
        cx.theme.warn
    }
}

const COLUMNS: &[Column<Problem>] = &[
    Column::name(
        "WHAT IS WRONG",
        24,
        |row, _| Key::text(&row.name),
        |row, cx| cells::foreign(&row.name, cx),
    ),
    Column::text(
        "STATE",
        16,
        0,
        |row, _| Key::Int(row.rank.into()),
        |row, cx| Span::styled(row.what.clone(), rank_style(row.rank, cx)),
    ),
    Column::wide(
        "DETAIL",
        32,
        1,
        |row, _| Key::text(&row.detail),
        |row, cx| cells::foreign(&row.detail, cx),
    ),
];

/// Rows of the two blocks at the top: a title and what is counted.
const BLOCK_ROWS: u16 = 9;

/// With fewer lines or columns there is no room for the blocks beside what is wrong.
const SHORT: u16 = BLOCK_ROWS + 5;
const NARROW: u16 = 60;

/// The parts in which problems are looked for.
const PROBLEMATIC: Changed = Changed::METADATA
    .and(Changed::SETTINGS)
    .and(Changed::LOG_DIRS)
    .and(Changed::GROUPS);

/// The parts that lag is made from.
const BEHIND: Changed = Changed::METADATA
    .and(Changed::OFFSETS)
    .and(Changed::GROUPS)
    .and(Changed::GROUP_DETAILS);

/// The screen.
#[derive(Debug)]
pub struct Overview {
    problems: List<Problem>,
    numbers: Numbers,
    /// The groups that are worth a look before all others.
    groups: Vec<groups::Row>,
}

impl Overview {
    pub fn new() -> Self {
        Self {
            problems: List::sorted_by(COLUMNS, 1, false),
            numbers: Numbers::default(),
            groups: Vec::new(),
        }
    }

    /// How the cluster is, in one line. What is seen only in part is not called well.
    fn verdict(&self, cx: &Cx<'_>) -> Vec<Span<'static>> {
        let theme = cx.theme;
        let (word, style) = match self.problems.rows().iter().map(|p| p.rank).min() {
            None if absent::is_partial(cx) => ("not known", theme.warn),
            None => ("all is well", theme.good),
            Some(0 | 1) => ("needs attention now", theme.bad),
            _ => ("needs a look", theme.warn),
        };
        vec![
            Span::styled("HEALTH  ", theme.header),
            Span::styled(word, style),
        ]
    }

    /// What is wrong, or that nothing is; how many lines that took.
    fn draw_problems(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> u16 {
        let theme = cx.theme;
        let n_problems = u16::try_from(self.problems.rows().len()).unwrap_or(u16::MAX);
        if n_problems > 0 {
            let problems = Rect {
                height: n_problems.saturating_add(1).min(area.height),
                ..area
            };
            self.problems.draw(cx, true, problems, buffer);
            return problems.height;
        }
        let well = "No partition lacks a leader or a replica, and every broker answers.";
        let lines = match absent::is_partial(cx) {
            false => vec![(well, theme.good)],
            true => vec![(absent::PARTIAL, theme.warn), (absent::RIGHTS, theme.text)],
        };
        let width = usize::from(area.width.saturating_sub(2));
        let mut used = 0;
        for (text, style) in lines {
            for line in format::wrap(text, width) {
                if used < area.height {
                    frame::text(
                        &line,
                        style,
                        area.x + 1,
                        area.y + used,
                        area.width - 2,
                        buffer,
                    );
                    used += 1;
                }
            }
        }
        used
    }

    /// Where there is no room for the numbers: what is wrong is worth more.
    fn draw_short(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let mut line = self.verdict(cx);
        let health = self.numbers.health.unwrap_or_default();
        let counts = [
            (health.offline, "offline"),
            (health.under_replicated, "under-replicated"),
        ];
        for (n, what) in counts.into_iter().filter(|(n, _)| *n > 0) {
            let text = format!("  {} {what}", format::count(n as i64));
            line.push(Span::styled(text, cx.theme.text));
        }
        frame::line(line, area.x + 1, area.y, area.width - 1, buffer);
        let n = &self.numbers;
        let groups = n
            .groups
            .map_or(format::UNKNOWN.to_owned(), |n| format::count(n as i64));
        let totals = [
            format::plural(cx.n_brokers(), "broker"),
            format::plural(n.topics, "topic"),
            format::plural(health.partitions, "partition"),
            format!("{groups} groups"),
        ];
        let totals = totals.map(|text| vec![Span::styled(text, cx.theme.dim)]);
        let second = Rect {
            y: area.y + 1,
            height: 2,
            ..area
        };
        let used = 1 + frame::parts(totals.into(), second, buffer);
        let rest = Rect {
            y: area.y + used,
            height: area.height.saturating_sub(used),
            ..area
        };
        let used = self.draw_problems(cx, rest, buffer) + 1;
        if rest.height > used + 1 {
            let below = Rect {
                x: rest.x + 1,
                y: rest.y + used,
                width: rest.width - 2,
                height: rest.height - used,
            };
            panels::draw(&self.numbers, &self.groups, cx, below, buffer);
        }
    }

    fn draw_health(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let health = self.numbers.health.unwrap_or_default();
        frame::line(self.verdict(cx), area.x, area.y, area.width, buffer);
        let exact = |n: usize| (format::count(n as i64), n > 0);
        let sum = |total: &Total<usize>| {
            let text = format::total(total, |n| format::count(n as i64));
            (text, total.partial().unwrap_or(0) > 0)
        };
        let lines = [
            ("offline partitions", exact(health.offline), theme.bad),
            (
                "under-replicated",
                exact(health.under_replicated),
                theme.warn,
            ),
            ("under min ISR", sum(&health.under_min_isr), theme.bad),
            ("at min ISR", sum(&health.at_min_isr), theme.text),
            ("unreplicated", exact(health.unreplicated), theme.text),
            (
                "not led by preferred",
                exact(health.not_preferred),
                theme.text,
            ),
            ("reassigning", exact(health.reassigning), theme.accent),
            (
                "offline replicas",
                exact(health.offline_replicas),
                theme.warn,
            ),
        ];
        for (y, (label, (text, counts), style)) in (area.y + 1..area.bottom()).zip(lines) {
            let style = if counts { style } else { theme.text };
            let spans = vec![
                Span::styled(format!("{label:<22}"), theme.dim),
                Span::styled(format!("{text:>9}"), style),
            ];
            frame::line(spans, area.x, y, area.width, buffer);
        }
    }

    fn draw_totals(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let n = &self.numbers;
        let health = n.health.unwrap_or_default();
        frame::line(
            vec![Span::styled("CLUSTER", theme.header)],
            area.x,
            area.y,
            area.width,
            buffer,
        );
        let brokers = format::count(cx.n_brokers() as i64);
        let brokers = match n.fenced {
            0 => brokers,
            fenced => format!("{brokers} ({fenced} fenced)"),
        };
        // Who sees a part of the cluster counts a part of it.
        let is_partial = absent::is_partial(cx);
        let least = |is_least: bool, n: usize| {
            let mark = if is_least { "≥" } else { "" };
            format!("{mark}{}", format::count(n as i64))
        };
        let count = |n: usize| least(is_partial, n);
        let groups = match n.groups {
            None => format::UNKNOWN.to_owned(),
            Some(groups) => least(is_partial || n.groups_missing > 0, groups),
        };
        let lines = [
            ("brokers", brokers),
            ("controller", controller(cx.snapshot)),
            (
                "topics",
                match n.internal {
                    0 => count(n.topics),
                    internal => format!("{} ({internal} internal)", count(n.topics)),
                },
            ),
            (
                "partitions",
                format!(
                    "{} ({} replicas)",
                    count(health.partitions),
                    count(n.replicas)
                ),
            ),
            ("groups", groups),
            ("records", format::total(&n.records, format::count)),
            ("size on disk", format::total(&n.size, format::bytes)),
        ];
        for (y, (label, text)) in (area.y + 1..area.bottom()).zip(lines) {
            let spans = vec![
                Span::styled(format!("{label:<14}"), theme.dim),
                Span::styled(text, theme.text),
            ];
            frame::line(spans, area.x, y, area.width, buffer);
        }
    }

    fn draw_rate(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let rates = &cx.snapshot.rates;
        // Of the same look as the busiest topics below; its point comes a moment later.
        let now = format::total(&self.numbers.rate, format::rate);
        let width = usize::from(area.width).saturating_sub(24).min(100);
        let points = rates.iter().copied();
        let spans = vec![
            Span::styled("RATE  ", theme.header),
            Span::styled(format!("{now:>12}  "), theme.text),
            Span::styled(frame::sparkline(points, width), theme.accent),
        ];
        frame::line(spans, area.x, area.y, area.width, buffer);
    }
}

fn controller(snapshot: &ClusterSnapshot) -> String {
    let Some(quorum) = snapshot.quorum.get() else {
        return match (snapshot.controller_id(), snapshot.quorum.fault()) {
            (Some(id), _) => format!("{id}"),
            (None, Some(_)) => "not told".to_owned(),
            (None, None) => format::UNKNOWN.to_owned(),
        };
    };
    let lag = quorum
        .voters
        .iter()
        .filter_map(|voter| voter.lag)
        .max()
        .unwrap_or(0);
    let behind = if lag > 0 {
        format!(", lag {}", format::count(lag))
    } else {
        String::new()
    };
    let voters = format::plural(quorum.voters.len(), "voter");
    format!(
        "{} (epoch {}, {voters}{behind})",
        quorum.leader_id, quorum.leader_epoch
    )
}

impl Screen for Overview {
    fn place(&self) -> Place {
        Place::Overview
    }

    fn title(&self) -> String {
        "overview".to_owned()
    }

    fn status(&self, _cx: &Cx<'_>) -> String {
        String::new()
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Overview, Scope::List]
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        let snapshot = cx.snapshot;
        vec![
            Part::of("metadata", &snapshot.metadata),
            Part::of("offsets", &snapshot.offsets),
            Part::of("sizes", &snapshot.log_dirs),
            Part::of("groups", &snapshot.groups),
            Part::of("quorum", &snapshot.quorum),
        ]
    }

    fn interest(&self, cx: &Cx<'_>) -> Interest {
        Interest {
            all_groups: panels::are_few(cx),
            ..Interest::default()
        }
    }

    focused_list!(self.problems);

    fn on_data(&mut self, cx: &Cx<'_>, changed: Changed) {
        self.numbers.refresh(cx, changed);
        if changed.any(BEHIND) {
            self.groups = panels::groups_behind(cx);
        }
        if changed.any(PROBLEMATIC) {
            self.problems.set_rows(self.numbers.problems(cx), cx);
        }
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        let row = self.problems.selected_row();
        Some(match command {
            Id::Open => match row {
                Some(row) => vec![Step::Push(row.place.clone())],
                None => vec![Step::Push(Place::Topics)],
            },
            Id::Copy => topics::copy(&row?.name, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        if area.height < SHORT || area.width < NARROW {
            return self.draw_short(cx, area, buffer);
        }
        let left = 32.min(area.width / 2);
        let blocks = Rect {
            x: area.x + 1,
            height: BLOCK_ROWS.min(area.height),
            ..area
        };
        self.draw_health(
            cx,
            Rect {
                width: left,
                ..blocks
            },
            buffer,
        );
        let right = Rect {
            x: blocks.x + left + 2,
            width: area.width.saturating_sub(left + 4),
            ..blocks
        };
        self.draw_totals(cx, right, buffer);
        let rate = Rect {
            x: area.x + 1,
            y: area.y + BLOCK_ROWS + 1,
            height: 1,
            width: area.width - 2,
        };
        self.draw_rate(cx, rate, buffer);
        let rest = Rect {
            y: area.y + BLOCK_ROWS + 3,
            height: area.height - BLOCK_ROWS - 3,
            ..area
        };
        let used = self.draw_problems(cx, rest, buffer) + 1;
        if rest.height > used + 1 {
            let below = Rect {
                x: rest.x + 1,
                y: rest.y + used,
                width: rest.width - 2,
                height: rest.height - used,
            };
            panels::draw(&self.numbers, &self.groups, cx, below, buffer);
        }
    }
}
