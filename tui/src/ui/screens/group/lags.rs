//! The partitions of a group with their lag in every way.

use ratatui::text::Span;

use crate::derive::{Drain, Judged, Lag, LagDetail, PartitionLag, TimeBy, is_bad, verdict_word};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screens::cells;
use crate::ui::widgets::list::{Column, Key, Named};

/// What retention will take within this time is worth a warning.
const SOON_MS: i64 = 3_600_000;

/// One partition of the group.
pub struct LagRow {
    pub name: String,
    pub lag: PartitionLag,
    pub owner: Option<String>,
    /// Of a share group, which has positions of its own and commits none.
    pub is_shared: bool,
    /// What a close look told of it.
    pub detail: Option<LagDetail>,
}

impl Named for LagRow {
    fn name(&self) -> &str {
        &self.name
    }
}

pub fn note(row: &LagRow) -> Option<String> {
    let judged = row
        .detail
        .as_ref()
        .and_then(|detail| detail.judged.as_ref());
    let rule = judged
        .filter(|judged| is_bad(Some(judged)))
        .map(|judged| format!("{}: {}", judged.verdict.as_str(), judged.rule));
    match (row.lag.lost, row.lag.lag.reason()) {
        _ if row.is_shared && row.lag.committed.is_none() => {
            Some("a share group that has not begun here".to_owned())
        }
        _ if row.is_shared => Some("done with up to here; a share group commits none".to_owned()),
        (Some(lost), _) => Some(format!(
            "{} removed by retention before they were read",
            format::count(lost)
        )),
        (None, reason) => reason.or(rule),
    }
}

pub const LAG_COLUMNS: &[Column<LagRow>] = &[
    Column::name(
        "PARTITION",
        18,
        |row, _| Key::partition(&row.lag.topic, row.lag.partition),
        |row, cx| cells::foreign(&row.name, cx),
    ),
    Column::number(
        "COMMITTED",
        12,
        1,
        |row, _| Key::int(row.lag.committed),
        |row, cx| match row.lag.committed {
            Some(offset) => cells::plain(format::count(offset), cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::number(
        "END",
        12,
        2,
        |row, _| Key::int(row.lag.log_end),
        |row, cx| cells::maybe(row.lag.log_end, cx),
    ),
    Column::number(
        "LAG",
        12,
        0,
        |row, _| Key::int(row.lag.lag.records()),
        |row, cx| match row.lag.lag {
            Lag::Known(0) => cells::dim("0", cx),
            Lag::Known(lag) => cells::plain(format::count(lag), cx),
            Lag::BeyondEnd(lag) | Lag::EndIsOlder(lag) => {
                Span::styled(format::count(lag), cx.theme.warn)
            }
            Lag::NoCommit => cells::dim(format::NONE, cx),
            Lag::Unknown(_) => Span::styled("?", cx.theme.warn),
        },
    ),
    Column::number(
        "TIME",
        7,
        1,
        |row, _| Key::int(detail(row, |d| Some(d.lag_ms?.0))),
        |row, cx| match detail(row, |d| d.lag_ms) {
            Some((ms, by)) => cells::plain(time_text(ms, by), cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::text(
        "VERDICT",
        7,
        1,
        |row, _| Key::text(verdict_word(judged(row))),
        |row, cx| {
            let style = if is_bad(judged(row)) {
                cx.theme.warn
            } else {
                cx.theme.dim
            };
            Span::styled(verdict_word(judged(row)), style)
        },
    ),
    Column::number(
        "DRAIN",
        7,
        4,
        |row, _| match detail(row, |d| d.drain) {
            Some(Drain::AtEnd) => Key::Int(0),
            Some(Drain::In { ms }) => Key::Int(ms),
            Some(Drain::Never) => Key::Int(i64::MAX),
            None => Key::Unknown,
        },
        |row, cx| match detail(row, |d| d.drain) {
            Some(drain) => cells::plain(drain_text(drain), cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::number(
        "STABLE LAG",
        12,
        5,
        |row, _| Key::int(detail(row, |d| d.committed_lag)),
        |row, cx| match detail(row, |d| d.committed_lag) {
            Some(lag) => cells::plain(format::count(lag), cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::number(
        "KEPT FOR",
        8,
        4,
        |row, _| Key::int(detail(row, |d| d.overtaken_in_ms)),
        |row, cx| match detail(row, |d| d.overtaken_in_ms) {
            Some(ms) if ms < SOON_MS => Span::styled(format::duration_ms(ms), cx.theme.bad),
            Some(ms) => cells::plain(format::duration_ms(ms), cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::wide(
        "OWNER",
        12,
        1,
        |row, _| row.owner.as_deref().map_or(Key::Unknown, Key::text),
        |row, cx| match &row.owner {
            Some(owner) => cells::foreign(owner, cx),
            // As in CMAK.
            None => Span::styled("nobody", cx.theme.warn),
        },
    ),
    Column::wide(
        "NOTE",
        24,
        3,
        |row, _| note(row).map_or(Key::Unknown, |note| Key::text(&note)),
        |row, cx| {
            let style = if row.lag.lost.is_some() {
                cx.theme.bad
            } else {
                cx.theme.dim
            };
            Span::styled(note(row).unwrap_or_default(), style)
        },
    ),
];

fn detail<T>(row: &LagRow, of: impl Fn(&LagDetail) -> Option<T>) -> Option<T> {
    of(row.detail.as_ref()?)
}

fn judged(row: &LagRow) -> Option<&Judged> {
    row.detail.as_ref()?.judged.as_ref()
}

/// A lag in time; what is interpolated says so.
pub fn time_text(ms: i64, by: TimeBy) -> String {
    let mark = match by {
        TimeBy::Record => "",
        TimeBy::Interpolated => "~",
    };
    let text = match ms {
        0 => "0s".to_owned(),
        ms => format::duration_ms(ms),
    };
    // The larger unit is enough beside other columns.
    let short = text.split(' ').next().unwrap_or(&text);
    format!("{mark}{short}")
}

pub fn drain_text(drain: Drain) -> String {
    match drain {
        Drain::AtEnd => "0s".to_owned(),
        Drain::In { ms } => time_text(ms, TimeBy::Record),
        Drain::Never => "never".to_owned(),
    }
}

/// A group's verdict, its oldest lag and when it is at the end, in short.
pub fn summary(detail: &crate::derive::GroupDetail, cx: &Cx<'_>) -> Vec<Span<'static>> {
    let theme = cx.theme;
    let mut spans = Vec::new();
    let mut add = |label: &str, text: String, style| {
        spans.push(Span::styled(format!("  {label} "), theme.dim));
        spans.push(Span::styled(text, style));
    };
    if let Some((ms, by)) = detail.lag_ms().filter(|(ms, _)| *ms > 0) {
        add("time", time_text(ms, by), theme.text);
    }
    if let Some(drain) = detail.drain().filter(|drain| *drain != Drain::AtEnd) {
        add("drain", drain_text(drain), theme.text);
    }
    if let Some((_, judged)) = detail.worst() {
        let style = if is_bad(Some(judged)) {
            theme.warn
        } else {
            theme.good
        };
        add("verdict", judged.verdict.as_str().to_owned(), style);
    }
    if let Some(ms) = detail.overtaken_in_ms().filter(|ms| *ms < SOON_MS) {
        add("retention in", format::duration_ms(ms), theme.bad);
    }
    spans
}
