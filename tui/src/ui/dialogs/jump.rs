//! The jump list: a topic, group or broker by a few of its letters.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::Span;
use tui_input::Input;

use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Dialog, Place, Step};
use crate::ui::widgets::{form, frame};

/// Places shown at once.
const SHOWN_MAX: usize = 14;

/// Something that can be gone to.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub kind: &'static str,
    pub name: String,
    pub note: String,
    place: Place,
}

/// Everything with a name in the cluster, or all of one kind.
pub fn candidates(cx: &Cx<'_>, kind: Option<&str>) -> Vec<Candidate> {
    let wanted = |candidate: &str| kind.is_none_or(|kind| kind == candidate);
    let mut all = Vec::new();
    if let Some(metadata) = cx.snapshot.metadata.get() {
        for topic in metadata.topics.iter().filter(|_| wanted("topic")) {
            all.push(Candidate {
                kind: "topic",
                name: topic.name.to_string(),
                note: format::plural(topic.partitions.len(), "partition"),
                place: Place::Topic(topic.name.to_string()),
            });
        }
        for broker in metadata.brokers.iter().filter(|_| wanted("broker")) {
            all.push(Candidate {
                kind: "broker",
                name: broker.id.to_string(),
                note: format!("{}:{}", broker.host, broker.port),
                place: Place::Broker(broker.id),
            });
        }
    }
    if let Some(groups) = cx.snapshot.groups.get() {
        for group in groups.groups.values().filter(|_| wanted("group")) {
            let state = group
                .state
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            all.push(Candidate {
                kind: "group",
                name: group.id.to_string(),
                note: state,
                place: Place::Group(group.id.to_string()),
            });
        }
    }
    all
}

/// The positions of the best matches, best first; the first ones when nothing is typed.
pub fn rank(candidates: &[Candidate], typed: &str, max: usize) -> Vec<usize> {
    if typed.trim().is_empty() {
        return (0..candidates.len().min(max)).collect();
    }
    let pattern = Pattern::parse(typed, CaseMatching::Smart, Normalization::Smart);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut scratch = Vec::new();
    let mut found: Vec<(u32, usize)> = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let name = Utf32Str::new(&candidate.name, &mut scratch);
        if let Some(score) = pattern.score(name, &mut matcher) {
            found.push((score, at));
        }
    }
    // Of equal matches the shorter name is the better one.
    found.sort_by_key(|(score, at)| (u32::MAX - score, candidates[*at].name.len(), *at));
    found.into_iter().take(max).map(|(_, at)| at).collect()
}

/// The list with its line of text.
#[derive(Debug)]
pub struct Jump {
    candidates: Vec<Candidate>,
    input: Input,
    found: Vec<usize>,
    chosen: usize,
}

impl Jump {
    pub fn new(cx: &Cx<'_>) -> Self {
        let candidates = candidates(cx, None);
        let found = rank(&candidates, "", SHOWN_MAX);
        Self {
            candidates,
            input: Input::default(),
            found,
            chosen: 0,
        }
    }

    fn search(&mut self) {
        self.found = rank(&self.candidates, self.input.value(), SHOWN_MAX);
        self.chosen = 0;
    }

    fn step(&mut self, by: isize) {
        let last = self.found.len().saturating_sub(1);
        self.chosen = self.chosen.saturating_add_signed(by).min(last);
    }
}

impl Dialog for Jump {
    fn key(&mut self, key: KeyEvent, _cx: &Cx<'_>) -> Vec<Step> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc => return vec![Step::Close],
            KeyCode::Enter => {
                let Some(at) = self.found.get(self.chosen) else {
                    return Vec::new();
                };
                let place = self.candidates[*at].place.clone();
                return vec![Step::Close, Step::Go(place)];
            }
            KeyCode::Down | KeyCode::Tab => self.step(1),
            KeyCode::Up | KeyCode::BackTab => self.step(-1),
            KeyCode::Char('n') if control => self.step(1),
            KeyCode::Char('p') if control => self.step(-1),
            _ => {
                if form::edit(&mut self.input, key) {
                    self.search();
                }
            }
        }
        Vec::new()
    }

    fn paste(&mut self, text: &str, _cx: &Cx<'_>) {
        form::paste(&mut self.input, text);
        self.search();
    }

    fn wheel(&mut self, lines: isize) {
        self.step(lines);
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> Option<Position> {
        let theme = cx.theme;
        let height = u16::try_from(SHOWN_MAX + 3).unwrap_or(0);
        let inside = frame::dialog_box("jump", 70, height, theme, area, buffer);
        let line = Rect {
            height: 1,
            ..inside
        };
        let cursor = form::draw_input(&self.input, theme.text, line, buffer);
        let rows = (inside.y + 1..inside.bottom()).zip(self.found.iter().enumerate());
        for (y, (at, found)) in rows {
            let candidate = &self.candidates[*found];
            let note_width = candidate.note.chars().count() + 2;
            let room = usize::from(inside.width).saturating_sub(9 + note_width);
            let name = format::cut(&format::clean(&candidate.name), room);
            let spans = vec![
                Span::styled(format!(" {:<7} ", candidate.kind), theme.dim),
                Span::styled(name, theme.text),
                Span::styled(format!("  {}", format::clean(&candidate.note)), theme.dim),
            ];
            frame::line(spans, inside.x, y, inside.width, buffer);
            if at == self.chosen {
                let row = Rect {
                    y,
                    height: 1,
                    ..inside
                };
                buffer.set_style(row.intersection(*buffer.area()), theme.selected);
            }
        }
        if self.found.is_empty() {
            frame::text(
                "nothing has such a name",
                theme.dim,
                inside.x,
                inside.y + 1,
                40,
                buffer,
            );
        }
        Some(cursor)
    }

    fn hints(&self) -> Vec<(&'static str, &'static str)> {
        vec![("enter", "go there"), ("↑ ↓", "choose"), ("esc", "cancel")]
    }
}
