//! Forms: labelled fields of text and choices, checked when they are handed in.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::Span;
use tui_input::{Input, InputRequest};
use unicode_width::UnicodeWidthStr;

use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Dialog, Step};
use crate::ui::widgets::frame;

/// Longer pastes are cut: a field is for a name, a number or a short text.
const TEXT_CHARS_MAX: usize = 64 * 1024;

/// Lines below the fields for what is to be said of the focused one.
const NOTE_LINES: usize = 2;

/// Changes a line of text by a key; whether the key meant anything.
pub fn edit(input: &mut Input, key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let request = match key.code {
        KeyCode::Char('a') if control => InputRequest::GoToStart,
        KeyCode::Char('e') if control => InputRequest::GoToEnd,
        KeyCode::Char('w') if control => InputRequest::DeletePrevWord,
        KeyCode::Char('u') if control => InputRequest::DeleteLine,
        KeyCode::Char('k') if control => InputRequest::DeleteTillEnd,
        KeyCode::Char('b') if alt => InputRequest::GoToPrevWord,
        KeyCode::Char('f') if alt => InputRequest::GoToNextWord,
        KeyCode::Char(c) if !control && !alt => InputRequest::InsertChar(c),
        KeyCode::Backspace => InputRequest::DeletePrevChar,
        KeyCode::Delete => InputRequest::DeleteNextChar,
        KeyCode::Left if control => InputRequest::GoToPrevWord,
        KeyCode::Right if control => InputRequest::GoToNextWord,
        KeyCode::Left => InputRequest::GoToPrevChar,
        KeyCode::Right => InputRequest::GoToNextChar,
        KeyCode::Home => InputRequest::GoToStart,
        KeyCode::End => InputRequest::GoToEnd,
        _ => return false,
    };
    input.handle(request);
    true
}

/// Puts text in at the cursor; line ends become spaces.
pub fn paste(input: &mut Input, text: &str) {
    let room = TEXT_CHARS_MAX.saturating_sub(input.value().chars().count());
    let one_line = text.trim_end_matches(['\n', '\r']);
    for c in one_line.chars().filter(|c| *c != '\r').take(room) {
        input.handle(InputRequest::InsertChar(if c == '\n' { ' ' } else { c }));
    }
}

/// Draws a line of text that is being typed, scrolled so that the cursor shows.
pub fn draw_input(input: &Input, style: Style, area: Rect, buffer: &mut Buffer) -> Position {
    let width = usize::from(area.width.max(1));
    let scroll = input.visual_scroll(width.saturating_sub(1));
    let mut skipped = 0;
    let shown: String = input
        .value()
        .chars()
        .skip_while(|c| {
            let skip = skipped < scroll;
            skipped += unicode_width::UnicodeWidthChar::width(*c).unwrap_or(0);
            skip
        })
        .collect();
    let shown = format::cut(&format::clean(&shown), width);
    frame::line(
        vec![Span::styled(shown, style)],
        area.x,
        area.y,
        area.width,
        buffer,
    );
    let at = u16::try_from(input.visual_cursor().saturating_sub(scroll)).unwrap_or(0);
    Position {
        x: area.x + at.min(area.width.saturating_sub(1)),
        y: area.y,
    }
}

/// What a field holds.
#[derive(Debug)]
enum Kind {
    Text(Input),
    /// Text that is not shown while it is typed.
    Secret(Input),
    Choice {
        options: &'static [&'static str],
        at: usize,
    },
}

/// One line of a form.
#[derive(Debug)]
pub struct Field {
    label: &'static str,
    note: String,
    kind: Kind,
}

impl Field {
    pub fn text(label: &'static str, value: &str, note: impl Into<String>) -> Self {
        Self {
            label,
            note: note.into(),
            kind: Kind::Text(Input::new(value.to_owned())),
        }
    }

    /// A text that nobody else shall see.
    pub fn secret(label: &'static str, note: impl Into<String>) -> Self {
        Self {
            label,
            note: note.into(),
            kind: Kind::Secret(Input::default()),
        }
    }

    pub fn choice(label: &'static str, options: &'static [&'static str], at: usize) -> Self {
        Self {
            label,
            note: String::new(),
            kind: Kind::Choice { options, at },
        }
    }

    fn value(&self) -> &str {
        match &self.kind {
            Kind::Text(input) | Kind::Secret(input) => input.value(),
            Kind::Choice { options, at } => options[*at],
        }
    }
}

/// What was filled in, by the position of the field.
#[derive(Debug)]
pub struct Values<'a>(&'a [Field]);

impl<'a> Values<'a> {
    /// As these fields are filled in.
    pub fn new(fields: &'a [Field]) -> Self {
        Self(fields)
    }
}

impl Values<'_> {
    /// A field as it is.
    pub fn raw(&self, field: usize) -> &str {
        self.0.get(field).map_or("", Field::value)
    }

    /// A field without blanks around it.
    pub fn get(&self, field: usize) -> &str {
        self.raw(field).trim()
    }

    /// A number; `None` where nothing was filled in.
    pub fn number<N: std::str::FromStr>(&self, field: usize) -> Result<Option<N>, Wrong> {
        let text = self.get(field);
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = || Wrong::new(field, format!("\"{text}\" is not a number that fits here"));
        text.replace([',', '_'], "")
            .parse()
            .map(Some)
            .map_err(|_| wrong())
    }

    /// Broker ids, as `1,2,3`.
    pub fn ids(&self, field: usize) -> Result<Vec<i32>, Wrong> {
        let parts = self
            .raw(field)
            .split([',', ' '])
            .filter(|part| !part.is_empty());
        let id = |part: &str| {
            part.parse()
                .map_err(|_| Wrong::new(field, format!("\"{part}\" is no broker id")))
        };
        parts.map(id).collect()
    }

    /// `key=value` pairs, separated by commas.
    pub fn pairs(&self, field: usize) -> Result<Vec<(String, String)>, Wrong> {
        let parts = self
            .raw(field)
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let pair = |part: &str| match part.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok((key.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err(Wrong::new(field, format!("\"{part}\" is not key=value"))),
        };
        parts.map(pair).collect()
    }
}

/// Why a form can't be handed in, and which field is to blame.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub field: usize,
    pub why: String,
}

impl Wrong {
    pub fn new(field: usize, why: impl Into<String>) -> Self {
        Self {
            field,
            why: why.into(),
        }
    }
}

type Submit = Box<dyn Fn(&Values<'_>, &Cx<'_>) -> Result<Vec<Step>, Wrong> + Send>;

/// A form in a box.
pub struct Form {
    title: String,
    intro: Vec<String>,
    fields: Vec<Field>,
    focus: usize,
    wrong: Option<Wrong>,
    submit: Submit,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form")
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}

impl Field {
    /// Draws what is filled in; the answer is where the cursor stands while it has the focus.
    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> Position {
        let theme = cx.theme;
        let underline = theme
            .text
            .add_modifier(ratatui::style::Modifier::UNDERLINED);
        match &self.kind {
            Kind::Text(input) => {
                buffer.set_style(area.intersection(*buffer.area()), underline);
                draw_input(input, underline, area, buffer)
            }
            Kind::Secret(input) => {
                buffer.set_style(area.intersection(*buffer.area()), underline);
                let dots = "•".repeat(input.value().chars().count());
                let shown = Input::new(dots).with_cursor(input.cursor());
                draw_input(&shown, underline, area, buffer)
            }
            Kind::Choice { options, at } => {
                let mut spans = Vec::new();
                for (i, option) in options.iter().enumerate() {
                    let chosen = if i == *at { theme.accent } else { theme.dim };
                    let mark = if i == *at { "(•) " } else { "( ) " };
                    spans.push(Span::styled(format!("{mark}{option}  "), chosen));
                }
                let width: usize = spans.iter().map(|span| span.content.width()).sum();
                // The chosen one must be seen, whatever stands before it.
                if width > usize::from(area.width) + 2 {
                    let chosen = options.get(*at).copied().unwrap_or_default();
                    let place = format!("  {} of {}", at + 1, options.len());
                    spans = vec![
                        Span::styled(format!("(•) {chosen}"), theme.accent),
                        Span::styled(place, theme.dim),
                    ];
                }
                frame::line(spans, area.x, area.y, area.width, buffer);
                Position {
                    x: area.x,
                    y: area.y,
                }
            }
        }
    }
}

impl Form {
    pub fn new(
        title: impl Into<String>,
        fields: Vec<Field>,
        submit: impl Fn(&Values<'_>, &Cx<'_>) -> Result<Vec<Step>, Wrong> + Send + 'static,
    ) -> Self {
        let submit = Box::new(submit);
        Self {
            title: title.into(),
            intro: Vec::new(),
            fields,
            focus: 0,
            wrong: None,
            submit,
        }
    }

    /// Lines above the fields.
    #[must_use]
    pub fn intro(mut self, lines: Vec<String>) -> Self {
        self.intro = lines;
        self
    }

    fn move_focus(&mut self, step: isize) {
        let n = isize::try_from(self.fields.len()).unwrap_or(1).max(1);
        let at = isize::try_from(self.focus).unwrap_or(0);
        self.focus = usize::try_from((at + step).rem_euclid(n)).unwrap_or(0);
    }

    fn hand_in(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        match (self.submit)(&Values(&self.fields), cx) {
            Ok(steps) => {
                self.wrong = None;
                steps
            }
            Err(wrong) => {
                self.focus = wrong.field.min(self.fields.len().saturating_sub(1));
                self.wrong = Some(wrong);
                Vec::new()
            }
        }
    }
}

impl Dialog for Form {
    fn key(&mut self, key: KeyEvent, cx: &Cx<'_>) -> Vec<Step> {
        match key.code {
            KeyCode::Esc => return vec![Step::Close],
            KeyCode::Enter => return self.hand_in(cx),
            KeyCode::Tab | KeyCode::Down => self.move_focus(1),
            KeyCode::BackTab | KeyCode::Up => self.move_focus(-1),
            _ => match self.fields.get_mut(self.focus).map(|field| &mut field.kind) {
                Some(Kind::Text(input) | Kind::Secret(input)) => {
                    let is_edited = edit(input, key);
                    self.wrong = self.wrong.take().filter(|_| !is_edited);
                }
                Some(Kind::Choice { options, at }) => match key.code {
                    KeyCode::Left | KeyCode::Char('h') => {
                        *at = (*at + options.len() - 1) % options.len();
                    }
                    KeyCode::Right | KeyCode::Char(' ' | 'l') => *at = (*at + 1) % options.len(),
                    _ => {}
                },
                None => {}
            },
        }
        Vec::new()
    }

    fn paste(&mut self, text: &str, _cx: &Cx<'_>) {
        if let Some(Kind::Text(input) | Kind::Secret(input)) =
            self.fields.get_mut(self.focus).map(|f| &mut f.kind)
        {
            paste(input, text);
        }
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> Option<Position> {
        let theme = cx.theme;
        let labels = self
            .fields
            .iter()
            .map(|field| field.label.len())
            .max()
            .unwrap_or(0);
        let width = 76.min(area.width.saturating_sub(4));
        let inner = usize::from(width).saturating_sub(4);
        let intro: Vec<String> = self
            .intro
            .iter()
            .flat_map(|text| format::wrap(text, inner))
            .collect();
        let wrong = self
            .wrong
            .as_ref()
            .map(|wrong| format::wrap(&format::clean(&wrong.why), inner));
        let mut notes = match (wrong, self.fields.get(self.focus)) {
            (Some(lines), _) => lines,
            (None, Some(field)) => {
                let mut lines = format::wrap(&field.note, inner);
                lines.truncate(NOTE_LINES);
                lines
            }
            (None, None) => Vec::new(),
        };
        // The box keeps its size from field to field.
        notes.resize(notes.len().max(NOTE_LINES), String::new());
        let style = match self.wrong {
            Some(_) => theme.bad,
            None => theme.dim,
        };
        let height = intro.len() + self.fields.len() + notes.len() + 3;
        let height = u16::try_from(height).unwrap_or(area.height);
        let inside = frame::dialog_box(&self.title, width, height, theme, area, buffer);
        let room = usize::from(inside.height);
        let n_rows = intro.len() + self.fields.len();
        // Where not all of it has room the focused field has it, with its note.
        let n_notes = notes.iter().filter(|line| !line.is_empty()).count();
        let shown = match room.checked_sub(n_rows + notes.len() + 1) {
            Some(_) => n_rows,
            None => room.saturating_sub(n_notes).clamp(1, n_rows.max(1)),
        };
        let focused_row = intro.len() + self.focus;
        let first = (focused_row + 1).saturating_sub(shown);
        let line = |at: usize| {
            let row = at.checked_sub(first).filter(|row| *row < shown)?;
            Some(inside.y + u16::try_from(row).ok()?)
        };
        for (at, text) in intro.iter().enumerate() {
            if let Some(y) = line(at) {
                frame::text(text, theme.dim, inside.x, y, inside.width, buffer);
            }
        }
        let label_width = u16::try_from(labels + 2).unwrap_or(0);
        let mut cursor = None;
        for (at, field) in self.fields.iter().enumerate() {
            let Some(y) = line(intro.len() + at) else {
                continue;
            };
            let focused = at == self.focus;
            let style = if focused { theme.accent } else { theme.text };
            frame::text(field.label, style, inside.x, y, label_width, buffer);
            let area = Rect {
                x: inside.x + label_width,
                y,
                width: inside.width.saturating_sub(label_width),
                height: 1,
            };
            let place = field.draw(cx, area, buffer);
            cursor = Some(place).filter(|_| focused).or(cursor);
        }
        let mut y = inside.y + u16::try_from(shown).unwrap_or(0);
        y += u16::from(shown == n_rows && room > n_rows + n_notes);
        for (text, y) in notes.iter().zip(y..inside.bottom()) {
            frame::text(text, style, inside.x, y, inside.width, buffer);
        }
        if shown < n_rows {
            let place = format!(" {} of {} ", self.focus + 1, self.fields.len());
            let width = u16::try_from(place.len()).unwrap_or(0);
            let x = inside.right().saturating_sub(width);
            frame::text(&place, theme.dim, x, inside.bottom(), width, buffer);
        }
        cursor
    }

    fn hints(&self) -> Vec<(&'static str, &'static str)> {
        let mut hints = vec![("enter", "go on"), ("esc", "cancel")];
        if self.fields.len() > 1 {
            hints.insert(1, ("tab", "next field"));
        }
        if matches!(
            self.fields.get(self.focus).map(|f| &f.kind),
            Some(Kind::Choice { .. })
        ) {
            hints.insert(1, ("space", "choose"));
        }
        hints
    }
}
