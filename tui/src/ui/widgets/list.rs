//! A table over any number of rows that costs what is on screen: sorted, filtered, scrolled.
//!
//! Owns the order of the rows, the selection and the window; the rows themselves are plain values
//! that their columns turn into cells when they are drawn. The selection follows its row by name
//! when rows come, go or move.

mod column;
mod filter;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;
use unicode_width::UnicodeWidthStr;

pub use self::column::{Align, Column, Growth, Key};
use self::column::{choose, draw_cell, draw_row_cell, layout};
pub use self::filter::Filter;
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::theme::Theme;
use crate::ui::widgets::frame;

/// A row that has a name of its own, by which it is found again and filtered.
pub trait Named {
    fn name(&self) -> &str;

    /// Whether the row is part of a selection of text.
    fn matches(&self, filter: &Filter) -> bool {
        filter.accepts(self.name())
    }
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
    /// Marks all rows shown; where they all are, none.
    fn toggle_all_marks(&mut self);
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
    /// The widest cell of each column that was drawn in a window of this width: a column that
    /// has grown stays, so that nothing jumps while numbers change.
    needs: RefCell<Vec<u16>>,
    /// The columns as they were drawn last.
    widths: RefCell<Vec<(usize, u16)>>,
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
            needs: RefCell::default(),
            widths: RefCell::default(),
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
        if self.area.replace(area).width != area.width {
            self.needs.borrow_mut().clear();
        }
        if area.height == 0 || area.width < 4 {
            return;
        }
        let theme = cx.theme;
        let height = usize::from(area.height - 1);
        // The window may be smaller or larger than when the selection moved last.
        let first = if self.was_at_top.get() && self.selected < height {
            0
        } else {
            let least = (self.selected + 1).saturating_sub(height.max(1));
            let most = self.order.len().saturating_sub(height);
            self.first.get().max(least).min(most)
        };
        self.first.set(first);
        self.was_at_top.set(first == 0);
        let columns = choose(self.columns, self.name_width, area.width);
        let window = self.order.iter().skip(first).take(height);
        let rows: Vec<&R> = window.map(|i| &self.rows[*i as usize]).collect();
        let cells: Vec<Vec<Span<'static>>> = rows
            .iter()
            .map(|row| {
                let cell = |i: &usize| (self.columns[*i].cell)(row, cx);
                columns.iter().map(cell).collect()
            })
            .collect();
        let widths = self.fit(&columns, &cells, area.width);
        self.draw_header(&widths, theme, area, buffer);
        for ((y, row), (position, spans)) in (area.y + 1..).zip(rows).zip((first..).zip(cells)) {
            let line = Rect {
                y,
                height: 1,
                ..area
            };
            if !self.marked.is_empty() && self.marked.contains(row.name()) {
                buffer.set_string(area.x, y, "●", theme.marked);
            }
            let mut x = area.x + 1;
            for ((i, width), span) in widths.iter().zip(spans) {
                let cell = Rect {
                    x,
                    width: *width,
                    ..line
                };
                draw_row_cell(&self.columns[*i], span, cell, buffer);
                x += width + 2;
            }
            if focused && position == self.selected {
                buffer.set_style(line, theme.selected);
            }
        }
        if self.order.is_empty() && !self.rows.is_empty() && height > 0 {
            let (x, width) = (area.x + 1, area.width - 2);
            let text = "nothing fits the filter: esc clears it";
            frame::text(text, theme.dim, x, area.y + 1, width, buffer);
        }
        self.draw_scrollbar(height, first, theme, area, buffer);
    }

    /// The widths of these columns, so that as little as can be of these cells is cut.
    fn fit(
        &self,
        columns: &[usize],
        cells: &[Vec<Span<'static>>],
        width: u16,
    ) -> Vec<(usize, u16)> {
        let mut needs = self.needs.borrow_mut();
        needs.resize(self.columns.len(), 0);
        for row in cells {
            for (i, span) in columns.iter().zip(row) {
                let wanted = u16::try_from(span.content.width()).unwrap_or(u16::MAX);
                needs[*i] = needs[*i].max(wanted.min(width));
            }
        }
        for (i, column) in self.columns.iter().enumerate() {
            if column.grows == Growth::Name {
                needs[i] = needs[i].max(self.name_width);
            }
        }
        let widths = layout(self.columns, columns, &needs, width);
        self.widths.borrow_mut().clone_from(&widths);
        widths
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

    fn toggle_all_marks(&mut self) {
        let names: Vec<String> = self.shown().map(|row| row.name().to_owned()).collect();
        if names.iter().all(|name| self.marked.contains(name)) {
            for name in &names {
                self.marked.remove(name);
            }
        } else {
            self.marked.extend(names);
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
            let widths = self.widths.borrow().clone();
            for (i, width) in widths {
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

#[cfg(test)]
mod tests;
