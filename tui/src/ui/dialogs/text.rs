//! A text to read and copy: a file, a message, a log.

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
    first: usize,
    height: std::cell::Cell<usize>,
    /// What is copied.
    copy: String,
}

impl TextDialog {
    /// `lines` must be clean already.
    pub fn new(title: impl Into<String>, lines: Vec<(String, Style)>, copy: String) -> Self {
        Self {
            title: title.into(),
            lines,
            first: 0,
            height: std::cell::Cell::new(10),
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
        self.first = self.lines.len().saturating_sub(END_LINES);
    }

    fn scroll(&mut self, lines: isize) {
        let last = self.lines.len().saturating_sub(self.height.get());
        self.first = self.first.saturating_add_signed(lines).min(last);
    }
}

impl Dialog for TextDialog {
    fn key(&mut self, key: KeyEvent, _cx: &Cx<'_>) -> Vec<Step> {
        let page = isize::try_from(self.height.get()).unwrap_or(1);
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') | KeyCode::Enter => return vec![Step::Close],
            KeyCode::Char('d') if control => self.scroll(page / 2),
            KeyCode::Char('u') if control => self.scroll(-page / 2),
            KeyCode::Char('j') | KeyCode::Down => self.scroll(1),
            KeyCode::Char('k') | KeyCode::Up => self.scroll(-1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll(page),
            KeyCode::PageUp => self.scroll(-page),
            KeyCode::Char('g') | KeyCode::Home => self.first = 0,
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
        let widest = self
            .lines
            .iter()
            .map(|(line, _)| line.chars().count())
            .max()
            .unwrap_or(0);
        let width = u16::try_from(widest + 4)
            .unwrap_or(u16::MAX)
            .clamp(40, area.width);
        let inner = usize::from(width.min(area.width.saturating_sub(2))).saturating_sub(4);
        // Only what can be seen is wrapped.
        let mut shown: Vec<(String, Style)> = Vec::new();
        let room = usize::from(area.height.saturating_sub(2));
        for (line, style) in self.lines.iter().skip(self.first) {
            if shown.len() >= room {
                break;
            }
            shown.extend(
                format::wrap(line, inner)
                    .into_iter()
                    .map(|part| (part, *style)),
            );
        }
        let wanted = if self.first > 0 {
            room
        } else {
            shown.len().max(self.lines.len())
        };
        let height = u16::try_from(wanted + 2)
            .unwrap_or(area.height)
            .min(area.height);
        let inside = frame::dialog_box(&self.title, width, height, cx.theme, area, buffer);
        self.height.set(usize::from(inside.height.max(1)));
        for (y, (line, style)) in (inside.y..inside.bottom()).zip(&shown) {
            frame::text(line, *style, inside.x, y, inside.width, buffer);
        }
        if self.lines.len() > usize::from(inside.height) {
            let place = format!(" {} of {} ", self.first + 1, self.lines.len());
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
