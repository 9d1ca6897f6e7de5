//! A table over any number of rows that costs what is on screen: sorted, filtered, scrolled.
//!
//! Owns the order of the rows, the selection and the window; the rows themselves are plain values
//! that their columns turn into cells when they are drawn. The selection follows its row by name
//! when rows come, go or move.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use unicode_width::UnicodeWidthStr;

use crate::derive::Total;
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
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// Partitions in the order of their numbers, topic by topic.
    pub fn partition(topic: &str, id: i32) -> Self {
        Self::Text(format!("{topic}\0{id:010}").into())
    }

    pub fn size(n: usize) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }

    /// What is known of a sum; a sum that lacks parts sorts by the parts it has.
    pub fn total<T: Copy + Default + std::ops::AddAssign>(
        total: &Total<T>,
        number: impl Fn(T) -> f64,
    ) -> Self {
        total
            .partial()
            .map_or(Self::Unknown, |sum| Self::Float(number(sum)))
    }

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

/// What a column does with room that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    None,
    /// Takes what the longest name of a row needs, and others make way for it.
    Name,
    /// Takes its share, up to three times its width: a table that is spread over a wide screen is
    /// hard to read.
    Share,
    /// Takes all that the others leave.
    Rest,
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
    pub grows: Growth,
    pub align: Align,
    /// Columns of the largest number go first when the screen is narrow; 0 stays.
    pub priority: u8,
    pub key: fn(&R, &Cx<'_>) -> Key,
    pub cell: fn(&R, &Cx<'_>) -> Span<'static>,
}

type KeyOf<R> = fn(&R, &Cx<'_>) -> Key;
type CellOf<R> = fn(&R, &Cx<'_>) -> Span<'static>;

impl<R> Column<R> {
    /// The name of the rows: stays, and takes the room that it needs.
    pub const fn name(title: &'static str, width: u16, key: KeyOf<R>, cell: CellOf<R>) -> Self {
        Self {
            title,
            width,
            grows: Growth::Name,
            align: Align::Left,
            priority: 0,
            key,
            cell,
        }
    }

    pub const fn text(
        title: &'static str,
        width: u16,
        priority: u8,
        key: KeyOf<R>,
        cell: CellOf<R>,
    ) -> Self {
        Self {
            title,
            width,
            grows: Growth::None,
            align: Align::Left,
            priority,
            key,
            cell,
        }
    }

    pub const fn number(
        title: &'static str,
        width: u16,
        priority: u8,
        key: KeyOf<R>,
        cell: CellOf<R>,
    ) -> Self {
        Self {
            title,
            width,
            grows: Growth::None,
            align: Align::Right,
            priority,
            key,
            cell,
        }
    }

    /// A text that takes all the room that is left.
    pub const fn rest(
        title: &'static str,
        width: u16,
        priority: u8,
        key: KeyOf<R>,
        cell: CellOf<R>,
    ) -> Self {
        Self {
            grows: Growth::Rest,
            ..Self::text(title, width, priority, key, cell)
        }
    }

    /// A text that takes its share of the room that is left.
    pub const fn wide(
        title: &'static str,
        width: u16,
        priority: u8,
        key: KeyOf<R>,
        cell: CellOf<R>,
    ) -> Self {
        Self {
            title,
            width,
            grows: Growth::Share,
            align: Align::Left,
            priority,
            key,
            cell,
        }
    }
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
    name.windows(lower.len())
        .any(|part| part.eq_ignore_ascii_case(lower))
}

/// What a list can do without its rows being known.
pub trait Rows {
    fn filter(&self) -> &Filter;
    fn set_filter(&mut self, text: &str, cx: &Cx<'_>);
    /// Sorts by the next (or previous) column.
    fn sort_next(&mut self, step: isize, cx: &Cx<'_>);
    fn sort_reverse(&mut self, cx: &Cx<'_>);
    fn move_by(&mut self, lines: isize);
    /// Moves by halves of what is on screen.
    fn move_pages(&mut self, halves: isize);
    fn move_to(&mut self, position: usize);
    fn toggle_mark(&mut self);
    /// Whether there was any mark.
    fn clear_marks(&mut self) -> bool;
    fn selected_name(&self) -> Option<String>;
    fn select_name(&mut self, name: &str) -> bool;
    /// A click at a place of the screen.
    fn click(&mut self, x: u16, y: u16, cx: &Cx<'_>) -> Clicked;
    /// `12 of 1,020 · /text · 3 marked`, for the title.
    fn status(&self) -> String;
}

/// What a click met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clicked {
    Nothing,
    /// A row that is selected now.
    Row,
    /// The row that was selected already.
    SelectedRow,
    Header,
}

/// The state of a table.
pub struct List<R: 'static> {
    columns: &'static [Column<R>],
    rows: Vec<R>,
    /// Indexes of the rows shown, in the order shown.
    order: Vec<u32>,
    selected: usize,
    /// Cells that the longest name needs.
    name_width: u16,
    /// Where it was drawn last and from which row on, for paging and clicks; drawing may not
    /// change anything else.
    area: Cell<Rect>,
    first: Cell<usize>,
    /// Whether the first row was on the screen: it stays there when the window grows, and when
    /// worse things come before the selected one.
    was_at_top: Cell<bool>,
    sort_column: usize,
    descending: bool,
    filter: Filter,
    marked: HashSet<String>,
}

impl<R> std::fmt::Debug for List<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("List")
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

/// The longest name that other columns make way for.
const NAME_WIDTH_MAX: usize = 50;

impl<R: Named> List<R> {
    pub fn new(columns: &'static [Column<R>]) -> Self {
        Self::sorted_by(columns, 0, false)
    }

    /// A table that is sorted by one of its columns to begin with.
    pub fn sorted_by(columns: &'static [Column<R>], column: usize, descending: bool) -> Self {
        Self {
            columns,
            rows: Vec::new(),
            order: Vec::new(),
            selected: 0,
            name_width: 0,
            area: Cell::new(Rect::new(0, 0, 0, 21)),
            first: Cell::new(0),
            was_at_top: Cell::new(true),
            sort_column: column,
            descending,
            filter: Filter::default(),
            marked: HashSet::new(),
        }
    }

    /// Replaces the rows. The selection stays on its row, or near where it was.
    pub fn set_rows(&mut self, rows: Vec<R>, cx: &Cx<'_>) {
        let selected = self.selected_name();
        self.replace_rows(rows, selected, cx);
    }

    /// Hands out the rows so that they can be brought up to date; give them back with
    /// [`Self::give_rows`].
    pub fn take_rows(&mut self) -> (Vec<R>, Option<String>) {
        let selected = self.selected_name();
        (std::mem::take(&mut self.rows), selected)
    }

    /// Takes back what [`Self::take_rows`] gave.
    pub fn give_rows(&mut self, rows: Vec<R>, selected: Option<String>, cx: &Cx<'_>) {
        self.replace_rows(rows, selected, cx);
    }

    fn replace_rows(&mut self, rows: Vec<R>, selected: Option<String>, cx: &Cx<'_>) {
        self.rows = rows;
        if !self.marked.is_empty() {
            let names: HashSet<&str> = self.rows.iter().map(Named::name).collect();
            self.marked.retain(|name| names.contains(name.as_str()));
        }
        let longest = self
            .rows
            .iter()
            .map(|row| row.name().len())
            .max()
            .unwrap_or(0);
        self.name_width = u16::try_from(longest.min(NAME_WIDTH_MAX)).unwrap_or(0);
        self.arrange(cx);
        if let Some(name) = selected {
            self.select_name(&name);
        }
    }

    /// Filters and sorts anew; the selection is by position.
    fn arrange(&mut self, cx: &Cx<'_>) {
        let n = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let shown = (0..n).filter(|i| self.rows[*i as usize].matches(&self.filter));
        if let Some(column) = self.columns.get(self.sort_column) {
            // Each key is made once, not once a comparison.
            let mut keyed: Vec<(Key, u32)> = shown
                .map(|i| ((column.key)(&self.rows[i as usize], cx), i))
                .collect();
            let descending = self.descending;
            keyed.sort_unstable_by(|a, b| a.0.compare(&b.0, descending).then(a.1.cmp(&b.1)));
            self.order = keyed.into_iter().map(|(_, i)| i).collect();
        } else {
            self.order = shown.collect();
        }
        self.move_to(self.selected);
    }

    fn arrange_keeping_selection(&mut self, cx: &Cx<'_>) {
        let selected = self.selected_name();
        self.arrange(cx);
        if let Some(name) = selected {
            self.select_name(&name);
        }
    }

    pub fn rows(&self) -> &[R] {
        &self.rows
    }

    pub fn n_shown(&self) -> usize {
        self.order.len()
    }

    fn sort_by(&mut self, column: usize, descending: bool, cx: &Cx<'_>) {
        self.sort_column = column;
        self.descending = descending;
        self.arrange_keeping_selection(cx);
    }

    pub fn selected_row(&self) -> Option<&R> {
        self.rows.get(*self.order.get(self.selected)? as usize)
    }

    /// The rows shown, in the order shown.
    pub fn shown(&self) -> impl Iterator<Item = &R> {
        self.order.iter().map(|i| &self.rows[*i as usize])
    }

    /// Whether the last row is selected, or there is none.
    pub fn is_at_end(&self) -> bool {
        self.selected + 1 >= self.order.len()
    }

    /// The marked rows in the order shown, else the selected one.
    pub fn chosen(&self) -> Vec<&R> {
        if self.marked.is_empty() {
            return self.selected_row().into_iter().collect();
        }
        self.shown()
            .filter(|row| self.marked.contains(row.name()))
            .collect()
    }

    pub fn n_marked(&self) -> usize {
        self.marked.len()
    }

    fn height(&self) -> usize {
        usize::from(self.area.get().height.saturating_sub(1)).max(1)
    }

    /// Draws the header and as many rows as fit; `focused` lists show their selection.
    pub fn draw(&self, cx: &Cx<'_>, focused: bool, area: Rect, buffer: &mut Buffer) {
        self.area.set(area);
        if area.height == 0 || area.width < 4 {
            return;
        }
        let theme = cx.theme;
        let height = usize::from(area.height - 1);
        let widths = layout(self.columns, self.name_width, area.width);
        self.draw_header(&widths, theme, area, buffer);
        // The window may be smaller than when the selection moved last.
        let first = if self.was_at_top.get() && self.selected < height {
            0
        } else {
            let least = (self.selected + 1).saturating_sub(height.max(1));
            self.first.get().max(least)
        };
        self.first.set(first);
        self.was_at_top.set(first == 0);
        let shown = self.order.iter().enumerate().skip(first).take(height);
        for (y, (position, row)) in (area.y + 1..).zip(shown) {
            let row = &self.rows[*row as usize];
            let line = Rect {
                y,
                height: 1,
                ..area
            };
            if !self.marked.is_empty() && self.marked.contains(row.name()) {
                buffer.set_string(area.x, y, "●", theme.marked);
            }
            let mut x = area.x + 1;
            for (i, width) in &widths {
                let column = &self.columns[*i];
                let cell = Rect {
                    x,
                    y,
                    width: *width,
                    height: 1,
                };
                draw_cell((column.cell)(row, cx), column.align, cell, buffer);
                x += width + 2;
            }
            if focused && position == self.selected {
                buffer.set_style(line, theme.selected);
            }
        }
        self.draw_scrollbar(height, first, theme, area, buffer);
    }

    fn draw_header(&self, widths: &[(usize, u16)], theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let mut x = area.x + 1;
        for (i, width) in widths {
            let column = &self.columns[*i];
            let arrow = match (*i == self.sort_column, self.descending) {
                (false, _) => "",
                (true, false) => "▲",
                (true, true) => "▼",
            };
            let title = Span::styled(format!("{}{arrow}", column.title), theme.header);
            // The arrow may stand in the gap, so that sorting moves no text.
            let cell = match column.align {
                Align::Right => Rect {
                    x: x - 1,
                    y: area.y,
                    width: width + 1,
                    height: 1,
                },
                Align::Left => Rect {
                    x,
                    y: area.y,
                    width: width + 1,
                    height: 1,
                },
            };
            draw_cell(title, column.align, cell.intersection(area), buffer);
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

impl<R: Named> Rows for List<R> {
    fn filter(&self) -> &Filter {
        &self.filter
    }

    fn set_filter(&mut self, text: &str, cx: &Cx<'_>) {
        self.filter = Filter::new(text);
        self.arrange_keeping_selection(cx);
    }

    fn sort_next(&mut self, step: isize, cx: &Cx<'_>) {
        let n = isize::try_from(self.columns.len()).unwrap_or(1).max(1);
        let at = isize::try_from(self.sort_column).unwrap_or(0);
        let column = usize::try_from((at + step).rem_euclid(n)).unwrap_or(0);
        // Of numbers the large ones are what one looks for.
        self.sort_by(column, self.columns[column].align == Align::Right, cx);
    }

    fn sort_reverse(&mut self, cx: &Cx<'_>) {
        self.sort_by(self.sort_column, !self.descending, cx);
    }

    fn move_by(&mut self, lines: isize) {
        self.move_to(self.selected.saturating_add_signed(lines));
    }

    fn move_pages(&mut self, halves: isize) {
        let half = isize::try_from(self.height() / 2).unwrap_or(1).max(1);
        self.move_by(half * halves);
    }

    fn move_to(&mut self, position: usize) {
        self.selected = position.min(self.order.len().saturating_sub(1));
        let height = self.height();
        let mut first = self.first.get();
        if self.selected < first {
            first = self.selected;
        } else if self.selected >= first + height {
            first = self.selected + 1 - height;
        }
        self.first
            .set(first.min(self.order.len().saturating_sub(height)));
    }

    fn toggle_mark(&mut self) {
        if let Some(name) = self.selected_name() {
            if !self.marked.remove(&name) {
                self.marked.insert(name);
            }
            self.move_by(1);
        }
    }

    fn clear_marks(&mut self) -> bool {
        let any = !self.marked.is_empty();
        self.marked.clear();
        any
    }

    fn selected_name(&self) -> Option<String> {
        self.selected_row().map(|row| row.name().to_owned())
    }

    fn select_name(&mut self, name: &str) -> bool {
        let at = self
            .order
            .iter()
            .position(|i| self.rows[*i as usize].name() == name);
        if let Some(at) = at {
            self.move_to(at);
        }
        at.is_some()
    }

    fn click(&mut self, x: u16, y: u16, cx: &Cx<'_>) -> Clicked {
        let area = self.area.get();
        if !area.contains(ratatui::layout::Position { x, y }) {
            return Clicked::Nothing;
        }
        if y == area.y {
            let mut left = area.x + 1;
            for (i, width) in layout(self.columns, self.name_width, area.width) {
                if x < left + width + 1 {
                    let by_number = self.columns[i].align == Align::Right;
                    let again = self.sort_column == i;
                    let descending = if again { !self.descending } else { by_number };
                    self.sort_by(i, descending, cx);
                    return Clicked::Header;
                }
                left += width + 2;
            }
            return Clicked::Nothing;
        }
        let position = self.first.get() + usize::from(y - area.y - 1);
        if position >= self.order.len() {
            return Clicked::Nothing;
        }
        let again = position == self.selected;
        self.move_to(position);
        if again {
            Clicked::SelectedRow
        } else {
            Clicked::Row
        }
    }

    fn status(&self) -> String {
        let all = format::count(self.rows.len() as i64);
        let mut text = if self.filter.is_empty() {
            all
        } else {
            let shown = format::count(self.order.len() as i64);
            format!("{shown} of {all} · /{}", format::clean(self.filter.text()))
        };
        if !self.marked.is_empty() {
            text.push_str(&format!(" · {} marked", self.marked.len()));
        }
        text
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
        let area = Rect {
            x: area.x + shift,
            width: area.width - shift,
            ..area
        };
        Line::from(span).render(area, buffer);
    } else {
        Line::from(span).render(area, buffer);
    }
}

/// The columns that fit into `width` with two cells between them, with their widths. The first
/// cell is kept for marks. Columns of priority 2 and more make way for a long name.
fn layout<R>(columns: &[Column<R>], name_width: u16, width: u16) -> Vec<(usize, u16)> {
    let width = width.saturating_sub(2);
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let wanted = |i: usize| {
        let column = &columns[i];
        if column.grows == Growth::Name {
            column.width.max(name_width)
        } else {
            column.width
        }
    };
    let sum = |shown: &[usize], of: &dyn Fn(usize) -> u16| -> u16 {
        shown
            .iter()
            .map(|i| of(*i) + 2)
            .sum::<u16>()
            .saturating_sub(2)
    };
    let least = |i: usize| columns[i].width;
    loop {
        let worst = shown
            .iter()
            .enumerate()
            .max_by_key(|(_, i)| columns[**i].priority);
        let Some((at, i)) = worst else { break };
        let priority = columns[*i].priority;
        let fits = sum(&shown, &wanted) <= width;
        let must_stay = priority == 0 || (priority < 2 && sum(&shown, &least) <= width);
        if fits || must_stay || shown.len() == 1 {
            break;
        }
        shown.remove(at);
    }
    let mut spare = width.saturating_sub(sum(&shown, &least));
    let mut widths: Vec<(usize, u16)> = shown.iter().map(|i| (*i, columns[*i].width)).collect();
    let mut grow = |growth: Growth, most: &dyn Fn(usize) -> u16| {
        let of_kind = |i: &usize| columns[*i].grows == growth;
        let mut left = shown.iter().filter(|i| of_kind(i)).count();
        for (i, width) in widths.iter_mut().filter(|(i, _)| of_kind(i)) {
            let share = spare / u16::try_from(left.max(1)).unwrap_or(1);
            let extra = share.min(most(*i));
            *width += extra;
            spare -= extra;
            left -= 1;
        }
    };
    grow(Growth::Name, &|i| wanted(i).saturating_sub(least(i)));
    grow(Growth::Share, &|i| columns[i].width * 2);
    grow(Growth::Rest, &|_| u16::MAX);
    widths
}

#[cfg(test)]
mod tests;
