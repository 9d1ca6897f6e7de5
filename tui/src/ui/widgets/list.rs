//! A table over any number of rows that costs what is on screen: sorted, filtered, scrolled.
//!
//! Owns the order of the rows, the selection and the window; the rows themselves are plain values
//! that their columns turn into cells when they are drawn. The selection follows its row by name
//! when rows come, go or move.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use unicode_width::UnicodeWidthStr;

use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::theme::Theme;

/// What a column sorts by. What is unknown comes last in both directions.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    Text(Arc<str>),
    Int(i64),
    Float(f64),
    Unknown,
}

impl Key {
    pub fn int(n: Option<impl Into<i64>>) -> Self {
        n.map_or(Self::Unknown, |n| Self::Int(n.into()))
    }

    fn compare(&self, other: &Self, descending: bool) -> Ordering {
        let order = match (self, other) {
            (Self::Unknown, Self::Unknown) => return Ordering::Equal,
            (Self::Unknown, _) => return Ordering::Greater,
            (_, Self::Unknown) => return Ordering::Less,
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (a, b) => a.number().total_cmp(&b.number()),
        };
        if descending { order.reverse() } else { order }
    }

    fn number(&self) -> f64 {
        match self {
            Self::Int(n) => *n as f64,
            Self::Float(n) => *n,
            Self::Text(_) | Self::Unknown => f64::NAN,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// One column over rows of type `R`, which are read with the help of what is known.
pub struct Column<R> {
    pub title: &'static str,
    /// Cells of the screen that it needs, its title among them.
    pub width: u16,
    /// Takes what is left, shared among all columns that grow.
    pub grows: bool,
    pub align: Align,
    /// Columns of the largest number go first when the screen is narrow; 0 stays.
    pub priority: u8,
    pub key: fn(&R, &Cx<'_>) -> Key,
    pub cell: fn(&R, &Cx<'_>) -> Span<'static>,
}

/// A row that has a name of its own, by which it is found again and filtered.
pub trait Named {
    fn name(&self) -> &str;

    /// Whether the row is part of a selection of text.
    fn matches(&self, filter: &Filter) -> bool {
        filter.accepts(self.name())
    }
}

/// What `/` was given: text that must be part of the name; `!` in front turns it round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    lower: String,
    inverse: bool,
    exact_case: bool,
}

impl Filter {
    pub fn new(text: &str) -> Self {
        let (inverse, wanted) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        Self {
            text: text.to_owned(),
            lower: wanted.to_lowercase(),
            inverse,
            // Small letters find both, as in vim's smartcase.
            exact_case: wanted.chars().any(char::is_uppercase),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_empty(&self) -> bool {
        self.lower.is_empty()
    }

    pub fn accepts(&self, name: &str) -> bool {
        if self.is_empty() {
            return true;
        }
        let wanted = self.text.strip_prefix('!').unwrap_or(&self.text);
        let found = if self.exact_case {
            name.contains(wanted)
        } else if name.is_ascii() {
            contains_ignoring_case(name.as_bytes(), self.lower.as_bytes())
        } else {
            name.to_lowercase().contains(&self.lower)
        };
        found != self.inverse
    }
}

fn contains_ignoring_case(name: &[u8], lower: &[u8]) -> bool {
    name.windows(lower.len()).any(|part| part.eq_ignore_ascii_case(lower))
}

/// The state of a table.
#[derive(Debug)]
pub struct List<R> {
    rows: Vec<R>,
    /// Indexes of the rows shown, in the order shown.
    order: Vec<u32>,
    selected: usize,
    first: usize,
    /// Lines of the last drawing, for paging; drawing may not change anything else.
    height: std::cell::Cell<usize>,
    sort_column: usize,
    descending: bool,
    filter: Filter,
    marked: HashSet<String>,
}

impl<R> Default for List<R> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            order: Vec::new(),
            selected: 0,
            first: 0,
            height: std::cell::Cell::new(20),
            sort_column: 0,
            descending: false,
            filter: Filter::default(),
            marked: HashSet::new(),
        }
    }
}

impl<R: Named> List<R> {
    /// A table that is sorted by one of its columns to begin with.
    pub fn sorted_by(column: usize, descending: bool) -> Self {
        Self { sort_column: column, descending, ..Self::default() }
    }

    /// Replaces the rows. The selection stays on its row, or near where it was.
    pub fn set_rows(&mut self, rows: Vec<R>, columns: &[Column<R>], cx: &Cx<'_>) {
        let selected = self.selected_row().map(|row| row.name().to_owned());
        self.rows = rows;
        if !self.marked.is_empty() {
            let names: HashSet<&str> = self.rows.iter().map(Named::name).collect();
            self.marked.retain(|name| names.contains(name.as_str()));
        }
        self.arrange(columns, cx);
        if let Some(name) = selected {
            self.select_name(&name);
        }
    }

    /// Filters and sorts anew; the selection is by position.
    fn arrange(&mut self, columns: &[Column<R>], cx: &Cx<'_>) {
        let n = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let shown = (0..n).filter(|i| self.rows[*i as usize].matches(&self.filter));
        if let Some(column) = columns.get(self.sort_column) {
            // Each key is made once, not once a comparison.
            let mut keyed: Vec<(Key, u32)> =
                shown.map(|i| ((column.key)(&self.rows[i as usize], cx), i)).collect();
            let descending = self.descending;
            keyed.sort_by(|a, b| a.0.compare(&b.0, descending).then(a.1.cmp(&b.1)));
            self.order = keyed.into_iter().map(|(_, i)| i).collect();
        } else {
            self.order = shown.collect();
        }
        self.move_to(self.selected);
    }

    pub fn rows(&self) -> &[R] {
        &self.rows
    }

    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }

    pub fn n_shown(&self) -> usize {
        self.order.len()
    }

    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    pub fn set_filter(&mut self, text: &str, columns: &[Column<R>], cx: &Cx<'_>) {
        let selected = self.selected_row().map(|row| row.name().to_owned());
        self.filter = Filter::new(text);
        self.arrange(columns, cx);
        if let Some(name) = selected {
            self.select_name(&name);
        }
    }

    /// Sorts by the next (or previous) column.
    pub fn sort_next(&mut self, step: isize, columns: &[Column<R>], cx: &Cx<'_>) {
        let n = isize::try_from(columns.len()).unwrap_or(1).max(1);
        let at = isize::try_from(self.sort_column).unwrap_or(0);
        self.sort_by(usize::try_from((at + step).rem_euclid(n)).unwrap_or(0), false, columns, cx);
    }

    pub fn sort_reverse(&mut self, columns: &[Column<R>], cx: &Cx<'_>) {
        self.sort_by(self.sort_column, !self.descending, columns, cx);
    }

    fn sort_by(
        &mut self,
        column: usize,
        descending: bool,
        columns: &[Column<R>],
        cx: &Cx<'_>,
    ) {
        let selected = self.selected_row().map(|row| row.name().to_owned());
        self.sort_column = column;
        self.descending = descending;
        self.arrange(columns, cx);
        if let Some(name) = selected {
            self.select_name(&name);
        }
    }

    /// A click on a header: sorts by that column, a second click reverses.
    pub fn click_header(
        &mut self,
        x: u16,
        width: u16,
        columns: &[Column<R>],
        cx: &Cx<'_>,
    ) {
        let mut left = 0;
        for (i, column_width) in layout(columns, width) {
            if x < left + column_width + 1 {
                let descending = self.sort_column == i && !self.descending;
                self.sort_by(i, descending, columns, cx);
                return;
            }
            left += column_width + 2;
        }
    }

    pub fn selected_row(&self) -> Option<&R> {
        self.rows.get(*self.order.get(self.selected)? as usize)
    }

    pub fn select_name(&mut self, name: &str) -> bool {
        let at = self.order.iter().position(|i| self.rows[*i as usize].name() == name);
        if let Some(at) = at {
            self.move_to(at);
        }
        at.is_some()
    }

    pub fn move_by(&mut self, lines: isize) {
        self.move_to(self.selected.saturating_add_signed(lines));
    }

    pub fn move_pages(&mut self, halves: isize) {
        let half = isize::try_from(self.height.get() / 2).unwrap_or(1).max(1);
        self.move_by(half * halves);
    }

    pub fn move_to(&mut self, position: usize) {
        self.selected = position.min(self.order.len().saturating_sub(1));
        let height = self.height.get().max(1);
        if self.selected < self.first {
            self.first = self.selected;
        } else if self.selected >= self.first + height {
            self.first = self.selected + 1 - height;
        }
        self.first = self.first.min(self.order.len().saturating_sub(height));
    }

    /// A click on a line of the window; true when it was selected already.
    pub fn click(&mut self, line: usize) -> bool {
        let position = self.first + line;
        if position >= self.order.len() {
            return false;
        }
        let again = position == self.selected;
        self.move_to(position);
        again
    }

    /// Marks or unmarks the selected row and goes on to the next.
    pub fn toggle_mark(&mut self) {
        if let Some(name) = self.selected_row().map(|row| row.name().to_owned()) {
            if !self.marked.remove(&name) {
                self.marked.insert(name);
            }
            self.move_by(1);
        }
    }

    pub fn clear_marks(&mut self) -> bool {
        let any = !self.marked.is_empty();
        self.marked.clear();
        any
    }

    /// The marked rows in the order shown, else the selected one.
    pub fn chosen(&self) -> Vec<&R> {
        if self.marked.is_empty() {
            return self.selected_row().into_iter().collect();
        }
        let rows = self.order.iter().map(|i| &self.rows[*i as usize]);
        rows.filter(|row| self.marked.contains(row.name())).collect()
    }

    pub fn n_marked(&self) -> usize {
        self.marked.len()
    }

    /// `12`, `3/12` with a filter.
    pub fn counts(&self) -> String {
        let all = format::count(self.rows.len() as i64);
        if self.filter.is_empty() {
            all
        } else {
            format!("{}/{all}", format::count(self.order.len() as i64))
        }
    }

    /// Draws the header and as many rows as fit.
    pub fn draw(
        &self,
        columns: &[Column<R>],
        cx: &Cx<'_>,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let theme = cx.theme;
        if area.height == 0 || area.width == 0 {
            return;
        }
        let height = usize::from(area.height - 1);
        self.height.set(height);
        let widths = layout(columns, area.width);
        self.draw_header(columns, &widths, theme, area, buffer);
        // The window may be smaller than when the selection moved last.
        let first = self.first.max((self.selected + 1).saturating_sub(height.max(1)));
        let shown = self.order.iter().enumerate().skip(first).take(height);
        for (y, (position, row)) in (area.y + 1..).zip(shown) {
            let row = &self.rows[*row as usize];
            let line = Rect { y, height: 1, ..area };
            let marked = !self.marked.is_empty() && self.marked.contains(row.name());
            let mut x = area.x;
            for (i, width) in &widths {
                let column = &columns[*i];
                let mut span = (column.cell)(row, cx);
                if marked && *i == 0 {
                    span = Span::styled(format!("●{}", span.content), theme.marked);
                }
                draw_cell(span, column.align, Rect { x, y, width: *width, height: 1 }, buffer);
                x += width + 2;
            }
            if position == self.selected {
                buffer.set_style(line, theme.selected);
            }
        }
        self.draw_scrollbar(height, first, theme, area, buffer);
    }

    fn draw_header(
        &self,
        columns: &[Column<R>],
        widths: &[(usize, u16)],
        theme: &Theme,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let mut x = area.x;
        for (i, width) in widths {
            let column = &columns[*i];
            let arrow = match (*i == self.sort_column, self.descending) {
                (false, _) => "",
                (true, false) => "▲",
                (true, true) => "▼",
            };
            let title = Span::styled(format!("{}{arrow}", column.title), theme.header);
            draw_cell(title, column.align, Rect { x, y: area.y, width: *width, height: 1 }, buffer);
            x += width + 2;
        }
    }

    fn draw_scrollbar(
        &self,
        height: usize,
        first: usize,
        theme: &Theme,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let total = self.order.len();
        if total <= height || height == 0 {
            return;
        }
        let size = (height * height / total).max(1);
        let top = first * (height - size) / (total - height).max(1);
        for line in 0..size {
            let y = area.y + 1 + u16::try_from(top + line).unwrap_or(0);
            if y < area.bottom() {
                buffer.set_string(area.right() - 1, y, "▐", theme.border);
            }
        }
    }
}

fn draw_cell(span: Span<'static>, align: Align, area: Rect, buffer: &mut Buffer) {
    let wanted = span.content.width();
    let available = usize::from(area.width);
    let style: Style = span.style;
    if wanted > available {
        let text = format::cut(&span.content, available);
        Line::from(Span::styled(text, style)).render(area, buffer);
    } else if align == Align::Right {
        let shift = u16::try_from(available - wanted).unwrap_or(0);
        let area = Rect { x: area.x + shift, width: area.width - shift, ..area };
        Line::from(span).render(area, buffer);
    } else {
        Line::from(span).render(area, buffer);
    }
}

/// The columns that fit into `width` with two cells between them, with their widths.
fn layout<R>(columns: &[Column<R>], width: u16) -> Vec<(usize, u16)> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let total = |shown: &[usize]| -> u16 {
        shown.iter().map(|i| columns[*i].width + 2).sum::<u16>().saturating_sub(2)
    };
    while total(&shown) > width && shown.len() > 1 {
        let worst = (shown.iter().enumerate()).max_by_key(|(_, i)| columns[**i].priority);
        match worst {
            Some((at, i)) if columns[*i].priority > 0 => shown.remove(at),
            _ => break,
        };
    }
    let n_growing = shown.iter().filter(|i| columns[**i].grows).count();
    let spare = width.saturating_sub(total(&shown));
    let growth = spare.checked_div(u16::try_from(n_growing).unwrap_or(1)).unwrap_or(0);
    let mut rest = spare - growth * u16::try_from(n_growing).unwrap_or(0);
    (shown.into_iter())
        .map(|i| {
            let column = &columns[i];
            let extra = if column.grows { growth + std::mem::take(&mut rest) } else { 0 };
            (i, column.width + extra)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::cx::tests::with_cx;

    struct Row(&'static str, Option<i64>);

    impl Named for Row {
        fn name(&self) -> &str {
            self.0
        }
    }

    const COLUMNS: &[Column<Row>] = &[
        Column {
            title: "NAME",
            width: 6,
            grows: true,
            align: Align::Left,
            priority: 0,
            key: |row, _| Key::Text(row.0.into()),
            cell: |row, cx| Span::styled(row.0, cx.theme.text),
        },
        Column {
            title: "SIZE",
            width: 6,
            grows: false,
            align: Align::Right,
            priority: 1,
            key: |row, _| Key::int(row.1),
            cell: |row, cx| {
                Span::styled(row.1.map_or(format::UNKNOWN.into(), format::count), cx.theme.text)
            },
        },
    ];

    fn list() -> List<Row> {
        let rows = vec![Row("b", Some(5)), Row("a", None), Row("Cc", Some(1234)), Row("d", Some(-1))];
        with_cx(|cx| {
            let mut list = List::default();
            list.set_rows(rows, COLUMNS, cx);
            list
        })
    }

    fn shown(list: &List<Row>) -> Vec<&str> {
        list.order.iter().map(|i| list.rows[*i as usize].0).collect()
    }

    fn painted(list: &List<Row>, width: u16, height: u16) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        with_cx(|cx| list.draw(COLUMNS, cx, area, &mut buffer));
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn unknown_values_come_last_in_both_directions() {
        let mut list = list();
        with_cx(|cx| list.sort_next(1, COLUMNS, cx));
        assert_eq!(shown(&list), ["d", "b", "Cc", "a"]);
        with_cx(|cx| list.sort_reverse(COLUMNS, cx));
        assert_eq!(shown(&list), ["Cc", "b", "d", "a"]);
    }

    #[test]
    fn the_selection_follows_its_row() {
        let mut list = list();
        assert!(list.select_name("b"));
        with_cx(|cx| list.sort_next(1, COLUMNS, cx));
        assert_eq!(list.selected_row().map(|r| r.0), Some("b"));
        with_cx(|cx| list.set_rows(vec![Row("x", None), Row("b", Some(1))], COLUMNS, cx));
        assert_eq!(list.selected_row().map(|r| r.0), Some("b"));
    }

    #[test]
    fn filters_take_small_letters_as_either_and_an_exclamation_mark_as_not() {
        let accepted = |filter: &str| {
            let mut list = list();
            with_cx(|cx| list.set_filter(filter, COLUMNS, cx));
            shown(&list).join(" ")
        };
        assert_eq!(accepted("c"), "Cc");
        assert_eq!(accepted("C"), "Cc");
        assert_eq!(accepted("CC"), "");
        assert_eq!(accepted("!c"), "a b d");
        assert_eq!(accepted(""), "Cc a b d");
    }

    #[test]
    fn a_narrow_screen_drops_columns_by_priority() {
        let list = list();
        assert_eq!(painted(&list, 16, 5)[..3], ["NAME▲       SIZE", "Cc         1,234", "a              …"]);
        assert_eq!(painted(&list, 8, 5)[..2], ["NAME▲", "Cc"]);
    }

    #[test]
    fn paging_keeps_the_selection_on_screen() {
        let mut list = List::default();
        let names: Vec<&'static str> = (0..100).map(|n| &*format!("{n:03}").leak()).collect();
        with_cx(|cx| list.set_rows(names.iter().map(|n| Row(n, None)).collect(), COLUMNS, cx));
        painted(&list, 20, 11);
        list.move_pages(2);
        assert!(painted(&list, 20, 11)[10].starts_with("010"));
        list.move_to(99);
        assert!(painted(&list, 20, 11)[10].starts_with("099"));
        with_cx(|cx| list.set_filter("00", COLUMNS, cx));
        assert!(painted(&list, 20, 11)[1].starts_with("000"));
    }
}
