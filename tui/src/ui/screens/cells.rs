//! Cells that many tables have.

use std::ops::AddAssign;

use ratatui::style::Style;
use ratatui::text::Span;

use crate::derive::Total;
use crate::ui::cx::Cx;
use crate::ui::format;

pub fn plain(text: impl Into<String>, cx: &Cx<'_>) -> Span<'static> {
    Span::styled(text.into(), cx.theme.text)
}

pub fn dim(text: impl Into<String>, cx: &Cx<'_>) -> Span<'static> {
    Span::styled(text.into(), cx.theme.dim)
}

/// A name or text of somebody else's.
pub fn foreign(text: &str, cx: &Cx<'_>) -> Span<'static> {
    Span::styled(format::clean(text).into_owned(), cx.theme.text)
}

pub fn count(n: usize, cx: &Cx<'_>) -> Span<'static> {
    plain(format::count(i64::try_from(n).unwrap_or(i64::MAX)), cx)
}

/// A number that should be zero.
pub fn bad_count(n: usize, style: Style, cx: &Cx<'_>) -> Span<'static> {
    let text = format::count(i64::try_from(n).unwrap_or(i64::MAX));
    Span::styled(text, if n == 0 { cx.theme.dim } else { style })
}

/// A sum, dim while nothing of it is known.
pub fn total<T: Copy + Default + AddAssign>(
    total: &Total<T>,
    show: impl Fn(T) -> String,
    cx: &Cx<'_>,
) -> Span<'static> {
    let style = if total.partial().is_some() {
        cx.theme.text
    } else {
        cx.theme.dim
    };
    Span::styled(format::total(total, show), style)
}

/// A number that may not be known.
pub fn maybe(n: Option<i64>, cx: &Cx<'_>) -> Span<'static> {
    match n {
        Some(n) => plain(format::count(n), cx),
        None => dim(format::UNKNOWN, cx),
    }
}

/// An id, an epoch or a sequence number, which is no count: its digits stand together.
pub fn id(n: Option<impl Into<i64>>, cx: &Cx<'_>) -> Span<'static> {
    match n {
        Some(n) => plain(n.into().to_string(), cx),
        None => dim(format::UNKNOWN, cx),
    }
}

/// A length of time that may not be known.
pub fn age(ms: Option<i64>, cx: &Cx<'_>) -> Span<'static> {
    match ms {
        Some(ms) => plain(format::duration_ms(ms), cx),
        None => dim(format::UNKNOWN, cx),
    }
}

/// A size that may not be known.
pub fn bytes(size: Option<i64>, cx: &Cx<'_>) -> Span<'static> {
    match size {
        Some(size) => plain(format::bytes(size), cx),
        None => dim(format::UNKNOWN, cx),
    }
}

/// A percentage with CMAK's colours: bad from one bound on, a warning from another.
pub fn percent(value: u32, style: Style) -> Span<'static> {
    Span::styled(format!("{value}%"), style)
}

/// Shares that should be high: CMAK's red to 50, yellow to 75.
pub fn should_be_high(value: u32, cx: &Cx<'_>) -> Style {
    match value {
        0..=50 => cx.theme.bad,
        51..=75 => cx.theme.warn,
        _ => cx.theme.text,
    }
}

/// Shares that should be zero: CMAK's yellow to 33, red from there.
pub fn should_be_zero(value: u32, cx: &Cx<'_>) -> Style {
    match value {
        0 => cx.theme.text,
        1..=33 => cx.theme.warn,
        _ => cx.theme.bad,
    }
}

/// Partitions of a group that somebody owns: CMAK's red below all of them.
pub fn should_be_all(value: u32, cx: &Cx<'_>) -> Style {
    match value {
        0..=99 => cx.theme.bad,
        _ => cx.theme.text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::cx::tests::with_cx;
    use crate::ui::theme::{Theme, ThemeName};

    #[test]
    fn the_colours_change_where_those_of_cmak_do() {
        let colours = Theme::new(ThemeName::Dark);
        with_cx(|cx| {
            let theme = &colours;
            let cx = &Cx { theme, ..*cx };
            for (value, wanted) in [
                (0, theme.bad),
                (50, theme.bad),
                (51, theme.warn),
                (75, theme.warn),
                (76, theme.text),
                (100, theme.text),
            ] {
                assert_eq!(should_be_high(value, cx), wanted, "high: {value}");
            }
            for (value, wanted) in [
                (0, theme.text),
                (1, theme.warn),
                (33, theme.warn),
                (34, theme.bad),
                (100, theme.bad),
            ] {
                assert_eq!(should_be_zero(value, cx), wanted, "zero: {value}");
            }
            for (value, wanted) in [(0, theme.bad), (99, theme.bad), (100, theme.text)] {
                assert_eq!(should_be_all(value, cx), wanted, "all: {value}");
            }
        });
    }
}
