//! Where one starts without a cluster: connect to one, or start one here.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::forms;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::screen::{Place, Screen, Step};
use crate::ui::widgets::frame;

/// The screen.
#[derive(Debug)]
pub struct Start;

impl Start {
    pub fn new() -> Self {
        Self
    }
}

impl Screen for Start {
    fn place(&self) -> Place {
        Place::Start
    }

    fn title(&self) -> String {
        "start".to_owned()
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Start]
    }

    fn on_data(&mut self, _cx: &Cx<'_>) {}

    fn run(&mut self, command: Id, argument: &str, _cx: &Cx<'_>) -> Option<Vec<Step>> {
        match command {
            Id::Connect if argument.is_empty() => Some(vec![Step::Dialog(Box::new(
                forms::connect_form("localhost:9092"),
            ))]),
            _ => None,
        }
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let lines = [
            ("No cluster yet.", theme.title),
            ("", theme.text),
            (
                "c   connect to a cluster by the address of one of its brokers",
                theme.text,
            ),
            (
                "n   start a broker on this machine and connect to it",
                theme.text,
            ),
            ("7   local brokers: start, stop, kill, log", theme.text),
            ("", theme.text),
            ("From the shell: kafka-tui --bootstrap HOST:PORT", theme.dim),
        ];
        for (y, (line, style)) in (area.y + 1..area.bottom()).zip(lines) {
            frame::text(
                line,
                style,
                area.x + 3,
                y,
                area.width.saturating_sub(4),
                buffer,
            );
        }
    }
}
