//! The screens and dialogs through the real `update` and `draw`, without a terminal and without a
//! cluster: events in, cells and effects out.

mod actions;
mod clusters;
mod declared;
mod fixture;
mod looks;
mod metrics;
mod past;
mod planning;
mod security;
mod sizes;
mod streams;
mod texts;
mod transactions;

use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::model::{Taken, Update};
use crate::ui::app::{App, AppOptions};
use crate::ui::event::{Answer, Effect, Event, JobId, SessionId};
use crate::ui::theme::{Theme, ThemeName};
use crate::ui::view;

/// Saturday, 2026-11-21 10:00:00 UTC.
pub const WALL_MS: i64 = 1_795_255_200_000;

/// An application with a clock that stands still until it is told to move.
pub struct Driver {
    pub app: App,
    pub now_ms: i64,
    pub effects: Vec<Effect>,
}

impl Driver {
    pub fn new(bootstrap: Option<&str>, read_only: bool) -> Self {
        let options = AppOptions {
            read_only,
            theme: Theme::new(ThemeName::Mono),
            target: bootstrap
                .map(|b| crate::clusters::Target::at(crate::ui::app::parse_bootstrap(b).unwrap())),
            has_saved: false,
            intervals: crate::cluster::PollIntervals::default(),
            tape: None,
            command: None,
            message: None,
        };
        let mut driver = Self {
            app: App::new(options, taken(0)),
            now_ms: 0,
            effects: Vec::new(),
        };
        driver.effects = driver.app.start();
        driver
    }

    /// Connected to the cluster of the fixture, all of it read.
    pub fn with(updates: Vec<Update>) -> Self {
        let mut driver = Self::new(Some("b1:9092"), false);
        driver.feed(updates);
        driver
    }

    pub fn event(&mut self, event: Event) {
        let effects = self.app.update(taken(self.now_ms), event);
        self.effects.extend(effects);
    }

    pub fn feed(&mut self, updates: Vec<Update>) {
        for update in updates {
            let (session, at) = (SessionId(self.app.session.id), taken(self.now_ms));
            self.event(Event::Data {
                session,
                update,
                at,
            });
        }
        self.app.settle();
    }

    pub fn answer(&mut self, job: JobId, answer: Answer) {
        self.event(Event::Answer { job, answer });
    }

    /// Types keys, separated by blanks: `3 j enter / ord esc ctrl-p`.
    pub fn keys(&mut self, keys: &str) {
        for token in keys.split_whitespace() {
            for event in parse(token) {
                self.app.settle();
                self.event(Event::Terminal(Input::Key(event)));
            }
        }
        self.app.settle();
    }

    pub fn screen(&mut self, width: u16, height: u16) -> String {
        self.app.settle();
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        view::draw(&self.app, &mut buffer);
        let line = |y| {
            (0..width)
                .map(|x| buffer[(x, y)].symbol())
                .collect::<String>()
        };
        (0..height)
            .map(|y| line(y).trim_end().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The effects since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}

pub fn taken(now_ms: i64) -> Taken {
    Taken {
        monotonic_ms: now_ms,
        wall_ms: WALL_MS + now_ms,
    }
}

fn parse(token: &str) -> Vec<KeyEvent> {
    let code = match token {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "space" => KeyCode::Char(' '),
        "backspace" => KeyCode::Backspace,
        _ => {
            if let Some(c) = token.strip_prefix("ctrl-") {
                let c = c.chars().next().unwrap();
                return vec![KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)];
            }
            let key = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
            return token.chars().map(key).collect();
        }
    };
    vec![KeyEvent::new(code, KeyModifiers::NONE)]
}
