//! Below what is wrong: the busiest topics, the groups that are furthest behind, what happened last.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::numbers::Numbers;
use crate::derive::{ConsumerVerdict, TimeBy};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screens::group::time_text;
use crate::ui::screens::groups::{self, Row};
use crate::ui::widgets::frame;

/// Of more groups than this not all are read for the first screen: it would cost a large cluster
/// more than it is worth here. The screen of groups reads them all.
const GROUPS_MAX: usize = 100;

/// Rows of one panel at most.
const ROWS_MAX: usize = 10;

/// From so many cells on two panels stand beside each other, and from so many on topics tell their
/// records too.
const BESIDE: u16 = 74;
const WITH_RECORDS: u16 = 46;

/// Cells of a group's numbers with the gaps before them.
const GROUP_NUMBERS: u16 = 30;

/// Whether all groups can be read for this screen.
pub(super) fn are_few(cx: &Cx<'_>) -> bool {
    let groups = cx.snapshot.groups.get();
    groups.is_some_and(|groups| groups.groups.len() <= GROUPS_MAX)
}

/// The groups with a verdict that is not ok, then those with the largest lag.
pub(super) fn groups_behind(cx: &Cx<'_>) -> Vec<Row> {
    let Some(groups) = cx.snapshot.groups.get().filter(|_| are_few(cx)) else {
        return Vec::new();
    };
    let mut rows: Vec<Row> = groups
        .groups
        .values()
        .map(|group| Row::of(group, cx))
        .collect();
    let rank = |row: &Row| {
        let lag = row.lag(cx).and_then(|lag| lag.total.partial());
        let bad = row.verdict(cx).filter(|v| *v != ConsumerVerdict::Ok);
        (bad, lag)
    };
    rows.sort_by_cached_key(|row| std::cmp::Reverse(rank(row)));
    rows.truncate(ROWS_MAX);
    rows
}

/// Draws as much as fits.
pub(super) fn draw(
    numbers: &Numbers,
    groups: &[Row],
    cx: &Cx<'_>,
    area: Rect,
    buffer: &mut Buffer,
) {
    let n_groups = u16::try_from(groups.len()).unwrap_or(u16::MAX);
    let n_topics = u16::try_from(numbers.busiest.len()).unwrap_or(u16::MAX);
    let used = if n_groups == 0 || area.width < BESIDE {
        draw_topics(numbers, cx, area, buffer);
        n_topics
    } else {
        let left = Rect {
            width: area.width * 2 / 5,
            ..area
        };
        let right = Rect {
            x: left.right() + 3,
            width: area.width - left.width - 3,
            ..area
        };
        draw_topics(numbers, cx, left, buffer);
        draw_groups(groups, cx, right, buffer);
        n_topics.max(n_groups)
    };
    let used = if used == 0 { 0 } else { used + 2 };
    if area.height > used + 1 {
        let below = Rect {
            y: area.y + used,
            height: area.height - used,
            ..area
        };
        draw_changes(cx, below, buffer);
    }
}

fn draw_topics(numbers: &Numbers, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
    let busiest = &numbers.busiest;
    if busiest.is_empty() {
        return;
    }
    let has_records = area.width >= WITH_RECORDS;
    let others: usize = if has_records { 10 + 2 + 14 + 2 } else { 10 + 2 };
    let longest = busiest.iter().map(|busy| busy.name.len()).max();
    let room = usize::from(area.width).saturating_sub(others);
    let width = longest.unwrap_or(0).clamp(20.min(room), room);
    let line = |name: &str, rate: &str, records: &str| match has_records {
        true => format!("{name:<width$}  {rate:>10}  {records:>14}"),
        false => format!("{name:<width$}  {rate:>10}"),
    };
    let title = line("BUSIEST TOPICS", "RATE", "RECORDS");
    let theme = cx.theme;
    frame::text(&title, theme.header, area.x, area.y, area.width, buffer);
    for (y, busy) in (area.y + 1..area.bottom()).zip(busiest) {
        let name = format::cut(&format::clean(&busy.name), width);
        let mark = if busy.is_part { "≥" } else { "" };
        let rate = format!("{mark}{}", format::rate(busy.rate));
        let records = format::total(&busy.records, format::count);
        let text = line(&name, &rate, &records);
        frame::text(&text, theme.text, area.x, y, area.width, buffer);
    }
}

fn draw_groups(groups: &[Row], cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
    let theme = cx.theme;
    let longest = groups.iter().map(|row| row.group.id.len()).max();
    let room = usize::from(area.width.saturating_sub(GROUP_NUMBERS));
    let width = longest.unwrap_or(0).clamp(13.min(room), room);
    let line = |name: &str, lag: &str, time: &str| format!("{name:<width$}  {lag:>11}  {time:>6}");
    let title = format!("{}  VERDICT", line("GROUPS BEHIND", "LAG", "TIME"));
    frame::text(&title, theme.header, area.x, area.y, area.width, buffer);
    for (y, row) in (area.y + 1..area.bottom()).zip(groups) {
        let name = format::cut(&format::clean(&row.group.id), width);
        let lag = match row.lag(cx) {
            Some(lag) if lag.total.n_parts() == 0 => format::NONE.to_owned(),
            Some(lag) => format::total(&lag.total, format::count),
            None => format::UNKNOWN.to_owned(),
        };
        let time = row.lag_ms(cx).map_or(format::NONE.to_owned(), |ms| {
            time_text(ms, TimeBy::Interpolated)
        });
        let verdict = match row.verdict(cx) {
            Some(verdict) => Span::styled(verdict.as_str(), groups::verdict_style(verdict, cx)),
            None => Span::styled(format::NONE, theme.dim),
        };
        let numbers = Span::styled(format!("{}  ", line(&name, &lag, &time)), theme.text);
        frame::line(vec![numbers, verdict], area.x, y, area.width, buffer);
    }
}

fn draw_changes(cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
    if cx.feed.iter().len() == 0 || cx.is_past {
        return;
    }
    let theme = cx.theme;
    let title = "LATEST CHANGES";
    frame::text(title, theme.header, area.x, area.y, area.width, buffer);
    let newest = cx.feed.iter().rev().take(ROWS_MAX);
    for (y, happening) in (area.y + 1..area.bottom()).zip(newest) {
        let text = format::happening(happening);
        let spans = vec![
            Span::styled(format::clock_ms(happening.at.wall_ms), theme.dim),
            Span::styled(format!("  {text}"), theme.weight(happening.weight).1),
        ];
        frame::line(spans, area.x, y, area.width, buffer);
    }
}
