//! A text to read and copy: a file, a message, a log.

use std::cell::RefCell;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::ui::cx::Cx;
use crate::ui::event::Effect;
use crate::ui::format;
use crate::ui::screen::{Dialog, Step, Toast};
use crate::ui::widgets::frame;

/// Lines that are shown of a text that is read from its end.
const END_LINES: usize = 15;

/// A scrolled text in a box.
#[derive(Debug)]
pub struct TextDialog {
    title: String,
    lines: Vec<(String, Style)>,
    /// Characters of the longest line.
    widest: usize,
    seen: RefCell<Seen>,
    /// What is copied.
    copy: String,
}

/// The text as it was drawn last. A line that is longer than the box is broken into rows, so that
/// all of it can be scrolled to.
#[derive(Debug, Default)]
struct Seen {
    /// Cells of a row, that `rows` were made for; 0 before the first time.
    width: usize,
    /// Each with the line that it is of.
    rows: Vec<(usize, String)>,
    /// The row at the top.
    first: usize,
    height: usize,
}

impl Seen {
    /// Breaks the lines, where they are not broken for this width already. What was at the top
    /// stays there.
    fn fit(&mut self, lines: &[(String, Style)], width: usize) {
        if self.width == width {
            return;
        }
        let top = match self.width {
            0 => self.first,
            _ => self.rows.get(self.first).map_or(0, |(line, _)| *line),
        };
        self.width = width;
        self.rows.clear();
        for (at, (line, _)) in lines.iter().enumerate() {
            let parts = format::wrap(line, width).into_iter();
            self.rows.extend(parts.map(|part| (at, part)));
        }
        self.first = self.rows.partition_point(|(line, _)| *line < top);
    }

    fn scroll(&mut self, rows: isize) {
        let last = self.rows.len().saturating_sub(self.height);
        self.first = self.first.saturating_add_signed(rows).min(last);
    }
}

impl TextDialog {
    /// `lines` must be clean already.
    pub fn new(title: impl Into<String>, lines: Vec<(String, Style)>, copy: String) -> Self {
        let seen = Seen {
            height: 10,
            ..Seen::default()
        };
        let characters = lines.iter().map(|(line, _)| line.chars().count());
        Self {
            title: title.into(),
            widest: characters.max().unwrap_or(0),
            lines,
            seen: RefCell::new(seen),
            copy,
        }
    }

    /// A plain text of somebody else's.
    pub fn plain(title: impl Into<String>, text: &str, style: Style) -> Self {
        let lines = text
            .lines()
            .map(|line| (format::clean(line).into_owned(), style))
            .collect();
        Self::new(title, lines, text.to_owned())
    }

    /// Shows the last lines first.
    pub fn to_end(&mut self) {
        self.seen.get_mut().first = self.lines.len().saturating_sub(END_LINES);
    }

    fn scroll(&mut self, rows: isize) {
        self.seen.get_mut().scroll(rows);
    }
}

impl Dialog for TextDialog {
    fn key(&mut self, key: KeyEvent, _cx: &Cx<'_>) -> Vec<Step> {
        let page = isize::try_from(self.seen.get_mut().height).unwrap_or(1);
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') | KeyCode::Enter => return vec![Step::Close],
            KeyCode::Char('d') if control => self.scroll(page / 2),
            KeyCode::Char('u') if control => self.scroll(-page / 2),
            KeyCode::Char('j') | KeyCode::Down => self.scroll(1),
            KeyCode::Char('k') | KeyCode::Up => self.scroll(-1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll(page),
            KeyCode::PageUp => self.scroll(-page),
            KeyCode::Char('g') | KeyCode::Home => self.scroll(isize::MIN),
            KeyCode::Char('G') | KeyCode::End => self.scroll(isize::MAX),
            KeyCode::Char('y') => {
                let copied = Toast::good("copied");
                return vec![
                    Step::Effect(Effect::Copy(self.copy.clone())),
                    Step::Say(copied),
                ];
            }
            _ => {}
        }
        Vec::new()
    }

    fn wheel(&mut self, lines: isize) {
        self.scroll(lines);
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> Option<Position> {
        let width = u16::try_from(self.widest + 4)
            .unwrap_or(u16::MAX)
            .clamp(40.min(area.width), area.width);
        let inner = usize::from(width.min(area.width.saturating_sub(2))).saturating_sub(4);
        let mut seen = self.seen.borrow_mut();
        seen.fit(&self.lines, inner.max(1));
        let height = u16::try_from(seen.rows.len() + 2)
            .unwrap_or(area.height)
            .min(area.height);
        let inside = frame::dialog_box(&self.title, width, height, cx.theme, area, buffer);
        seen.height = usize::from(inside.height.max(1));
        seen.scroll(0);
        let shown = seen.rows.iter().skip(seen.first);
        for (y, (at, row)) in (inside.y..inside.bottom()).zip(shown) {
            let style = self
                .lines
                .get(*at)
                .map_or(cx.theme.text, |(_, style)| *style);
            frame::text(row, style, inside.x, y, inside.width, buffer);
        }
        if seen.rows.len() > usize::from(inside.height) {
            let place = format!(" {} of {} ", seen.first + 1, seen.rows.len());
            let x = inside
                .right()
                .saturating_sub(u16::try_from(place.len()).unwrap_or(0));
            frame::text(&place, cx.theme.dim, x, inside.bottom(), 20, buffer);
        }
        None
    }

    fn hints(&self) -> Vec<(&'static str, &'static str)> {
        vec![("esc", "close"), ("j k", "scroll"), ("y", "copy")]
    }
}
