//! The partitions of a group with their lag in every way.

use ratatui::style::Style;
use ratatui::text::Span;

use crate::derive::{
    ConsumerVerdict, Drain, Judged, Lag, LagDetail, PartitionLag, TimeBy, WINDOW, is_bad,
    verdict_word,
};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screens::{cells, groups};
use crate::ui::widgets::list::{Column, Key, Named};

/// What retention will take within this time is worth a word.
const SOON_MS: i64 = 3_600_000;

/// Whether retention is about to overtake a group: soon, and with at least as much of its time
/// used up as is left. Who is a second behind where an hour is kept is in no danger.
fn is_nearly_overtaken(overtaken_in_ms: i64, lag_ms: Option<i64>) -> bool {
    overtaken_in_ms < SOON_MS && lag_ms.is_none_or(|lag| lag >= overtaken_in_ms)
}

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
        16,
        |row, _| Key::partition(&row.lag.topic, row.lag.partition),
        |row, cx| cells::foreign(&row.name, cx),
    ),
    Column::number(
        "COMMITTED",
        12,
        1,
        |row, _| Key::int(row.lag.committed),
        |row, cx| match row.lag.committed {
            Some(offset) if row.lag.lost.is_some() => {
                Span::styled(format::count(offset), cx.theme.bad)
            }
            Some(offset) => cells::plain(format::count(offset), cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::number(
        "END",
        12,
        3,
        |row, _| Key::int(row.lag.log_end),
        |row, cx| cells::maybe(row.lag.log_end, cx),
    ),
    Column::number(
        "LAG",
        11,
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
        0,
        |row, _| Key::text(verdict_word(judged(row))),
        |row, cx| {
            let verdict = judged(row).map_or(ConsumerVerdict::Ok, |judged| judged.verdict);
            Span::styled(
                verdict_word(judged(row)),
                groups::verdict_style(verdict, cx),
            )
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
        6,
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
            Some(ms) if is_nearly_overtaken(ms, detail(row, |d| Some(d.lag_ms?.0))) => {
                Span::styled(format::duration_ms(ms), cx.theme.bad)
            }
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
        5,
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
pub fn summary(detail: &crate::derive::GroupDetail, cx: &Cx<'_>) -> Vec<Vec<Span<'static>>> {
    let theme = cx.theme;
    let mut parts = Vec::new();
    let mut add = |label: &str, text: String, style| {
        parts.push(labelled(label, text, style, cx));
    };
    if let Some((ms, by)) = detail.lag_ms().filter(|(ms, _)| *ms > 0) {
        add("time", time_text(ms, by), theme.text);
    }
    if let Some(drain) = detail.drain().filter(|drain| *drain != Drain::AtEnd) {
        add("drain", drain_text(drain), theme.text);
    }
    if let Some((_, judged)) = detail.worst() {
        let style = match judged.verdict {
            ConsumerVerdict::Ok => theme.good,
            verdict => groups::verdict_style(verdict, cx),
        };
        // Of fewer commits than a whole window has, more of them may tell something else.
        let word = judged.verdict.as_str();
        let text = match judged.complete < 1.0 {
            true => {
                let commits = (judged.complete * WINDOW as f64).round();
                format!("{word} by {}", format::plural(commits as usize, "commit"))
            }
            false => word.to_owned(),
        };
        add("verdict", text, style);
    }
    let lag_ms = detail.lag_ms().map(|(ms, _)| ms);
    let overtaken = detail.overtaken_in_ms();
    if let Some(ms) = overtaken.filter(|ms| is_nearly_overtaken(*ms, lag_ms)) {
        add("retention in", format::duration_ms(ms), theme.bad);
    }
    parts
}

/// `lag 12`, the word dim.
pub fn labelled(label: &str, text: String, style: Style, cx: &Cx<'_>) -> Vec<Span<'static>> {
    vec![
        Span::styled(format!("{label} "), cx.theme.dim),
        Span::styled(text, style),
    ]
}
