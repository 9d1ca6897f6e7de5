//! The palette: a command by its name, with completion of names and arguments.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::Span;
use tui_input::Input;

use crate::ui::command::{self, Argument, Command, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::jump::{Candidate, candidates, rank};
use crate::ui::format;
use crate::ui::screen::{Dialog, Step, Toast};
use crate::ui::widgets::{form, frame};

/// Suggestions shown at once.
const SUGGESTIONS_MAX: usize = 10;

/// The line after `:`.
#[derive(Debug)]
pub struct Palette {
    scopes: Vec<Scope>,
    input: Input,
    suggestions: Vec<Suggestion>,
    chosen: Option<usize>,
    /// What the command that is typed can be about.
    candidates: Vec<Candidate>,
}

#[derive(Debug, Clone)]
struct Suggestion {
    /// What the line becomes.
    line: String,
    doc: String,
}

impl Palette {
    pub fn new(scopes: Vec<Scope>, cx: &Cx<'_>) -> Self {
        let mut palette = Self {
            scopes,
            input: Input::default(),
            suggestions: Vec::new(),
            chosen: None,
            candidates: Vec::new(),
        };
        palette.suggest(cx);
        palette
    }

    /// The palette with a text in it already.
    pub fn with_text(scopes: Vec<Scope>, text: &str, cx: &Cx<'_>) -> Self {
        let mut palette = Self::new(scopes, cx);
        palette.input = Input::new(text.to_owned());
        palette.suggest(cx);
        palette
    }

    fn command(&self, name: &str, argument: &str) -> Option<&'static Command> {
        command::by_name(&self.scopes, name, argument)
    }

    fn suggest(&mut self, cx: &Cx<'_>) {
        self.chosen = None;
        let line = self.input.value().trim_start().to_owned();
        self.suggestions = match line.split_once(' ') {
            Some((name, argument)) => self.arguments(name, argument.trim(), cx),
            None => self.names(&line),
        };
    }

    fn names(&self, typed: &str) -> Vec<Suggestion> {
        let mut seen: Vec<&str> = Vec::new();
        let mut found: Vec<(usize, Suggestion)> = Vec::new();
        for command in command::available(&self.scopes).filter(|c| !c.name.is_empty()) {
            if seen.contains(&command.name) {
                continue;
            }
            seen.push(command.name);
            let exact = command.is_named(typed);
            let starts = command.name.starts_with(typed);
            let contains = command.name.contains(typed) || command.doc.contains(typed);
            let rank = match (exact, starts, contains) {
                (true, _, _) => 0,
                (_, true, _) => 1,
                (_, _, true) => 2,
                _ => continue,
            };
            let takes = command.argument != Argument::None;
            let line = format!("{}{}", command.name, if takes { " " } else { "" });
            found.push((
                rank,
                Suggestion {
                    line,
                    doc: command.doc.to_owned(),
                },
            ));
        }
        found.sort_by_key(|(rank, _)| *rank);
        found
            .into_iter()
            .map(|(_, suggestion)| suggestion)
            .collect()
    }

    fn arguments(&mut self, name: &str, typed: &str, cx: &Cx<'_>) -> Vec<Suggestion> {
        // What is typed is the beginning of an argument, even when nothing of it is there yet.
        let Some(command) = self.command(name, "…") else {
            return Vec::new();
        };
        let kind = match command.argument {
            Argument::Topic => "topic",
            Argument::Group => "group",
            Argument::Broker => "broker",
            Argument::None | Argument::Text => return Vec::new(),
        };
        // Names are collected once, not at every key.
        if self
            .candidates
            .first()
            .is_none_or(|first| first.kind != kind)
        {
            self.candidates = candidates(cx, Some(kind));
        }
        let suggestion = |at: usize| {
            let candidate = &self.candidates[at];
            Suggestion {
                line: format!("{name} {}", candidate.name),
                doc: candidate.note.clone(),
            }
        };
        let ranked = rank(&self.candidates, typed, SUGGESTIONS_MAX);
        ranked.into_iter().map(suggestion).collect()
    }

    fn step(&mut self, by: isize) {
        let n = isize::try_from(self.suggestions.len().min(SUGGESTIONS_MAX)).unwrap_or(0);
        if n == 0 {
            return;
        }
        let at = self.chosen.map_or(if by > 0 { -1 } else { 0 }, |at| {
            isize::try_from(at).unwrap_or(0)
        });
        self.chosen = usize::try_from((at + by).rem_euclid(n)).ok();
    }

    fn run(&self) -> Vec<Step> {
        let chosen = self.chosen.and_then(|at| self.suggestions.get(at));
        let line = chosen
            .map_or(self.input.value(), |suggestion| &suggestion.line)
            .trim();
        if line.is_empty() {
            return vec![Step::Close];
        }
        let (name, argument) = line.split_once(' ').unwrap_or((line, ""));
        // An unambiguous beginning is enough.
        let command = self.command(name, argument.trim()).or_else(|| {
            let starts = |c: &&Command| c.name.starts_with(name);
            let mut found = command::available(&self.scopes).filter(starts);
            let first = found.next()?;
            found.all(|other| other.id == first.id).then_some(first)
        });
        match command {
            Some(command) => {
                vec![
                    Step::Close,
                    Step::Run(command.id, argument.trim().to_owned()),
                ]
            }
            None => {
                let name = format::clean(name);
                vec![Step::Say(Toast::bad(format!(
                    "there is no command \"{name}\" here: see ?"
                )))]
            }
        }
    }
}

impl Dialog for Palette {
    fn key(&mut self, key: KeyEvent, cx: &Cx<'_>) -> Vec<Step> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc => return vec![Step::Close],
            KeyCode::Backspace if self.input.value().is_empty() => return vec![Step::Close],
            KeyCode::Enter => return self.run(),
            KeyCode::Down => self.step(1),
            KeyCode::Up => self.step(-1),
            KeyCode::Char('n') if control => self.step(1),
            KeyCode::Char('p') if control => self.step(-1),
            KeyCode::Tab => {
                let at = self.chosen.unwrap_or(0);
                if let Some(suggestion) = self.suggestions.get(at) {
                    self.input = Input::new(suggestion.line.clone());
                    self.suggest(cx);
                }
            }
            _ => {
                if form::edit(&mut self.input, key) {
                    self.suggest(cx);
                }
            }
        }
        Vec::new()
    }

    fn paste(&mut self, text: &str, cx: &Cx<'_>) {
        form::paste(&mut self.input, text);
        self.suggest(cx);
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> Option<Position> {
        let theme = cx.theme;
        let shown = self.suggestions.len().min(SUGGESTIONS_MAX);
        let height = u16::try_from(shown).unwrap_or(0) + 3;
        let inside = frame::dialog_box("command", 78, height, theme, area, buffer);
        frame::text(":", theme.accent, inside.x, inside.y, 1, buffer);
        let line = Rect {
            x: inside.x + 1,
            width: inside.width.saturating_sub(1),
            height: 1,
            ..inside
        };
        let cursor = form::draw_input(&self.input, theme.text, line, buffer);
        for (at, suggestion) in self.suggestions.iter().take(SUGGESTIONS_MAX).enumerate() {
            let y = inside.y + 1 + u16::try_from(at).unwrap_or(0);
            let name = format::clean(&suggestion.line);
            let spans = vec![
                Span::styled(format!(" {name:<22} "), theme.key),
                Span::styled(format::clean(&suggestion.doc), theme.dim),
            ];
            frame::line(spans, inside.x, y, inside.width, buffer);
            if self.chosen == Some(at) {
                let row = Rect {
                    y,
                    height: 1,
                    ..inside
                };
                buffer.set_style(row.intersection(*buffer.area()), theme.selected);
            }
        }
        Some(cursor)
    }

    fn hints(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("enter", "run"),
            ("tab", "complete"),
            ("↑ ↓", "choose"),
            ("esc", "cancel"),
        ]
    }
}
