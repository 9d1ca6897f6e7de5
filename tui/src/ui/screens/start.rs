//! Where one starts without a cluster: connect to one, or start one here.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::forms;
use super::local::addresses;
use crate::local::DEFAULT_NAME;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::event::{Answer, Effect, JobId, LocalAction};
use crate::ui::screen::{Place, Screen, Step, Toast};
use crate::ui::widgets::frame;

/// The screen.
#[derive(Debug)]
pub struct Start {
    starting: Option<JobId>,
}

impl Start {
    pub fn new() -> Self {
        Self { starting: None }
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

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, _cx: &Cx<'_>) -> Vec<Step> {
        if self.starting != Some(job) {
            return Vec::new();
        }
        self.starting = None;
        match answer.take() {
            Some(Answer::LocalStarted(Ok(outcomes))) => match outcomes.all() {
                Ok(brokers) => vec![Step::Connect(addresses(&brokers))],
                Err(fault) => vec![Step::Say(Toast::fault(&fault))],
            },
            Some(Answer::LocalStarted(Err(fault))) => vec![Step::Say(Toast::fault(&fault))],
            _ => Vec::new(),
        }
    }

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        (command == Id::StartLocal && self.starting.is_some())
            .then(|| "a broker is being started already".to_owned())
    }

    fn run(&mut self, command: Id, argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        match command {
            Id::Connect if argument.is_empty() => Some(vec![Step::Dialog(Box::new(
                forms::connect_form("localhost:9092"),
            ))]),
            Id::StartLocal => {
                let job = cx.new_job();
                self.starting = Some(job);
                let action = LocalAction::Start {
                    name: DEFAULT_NAME.to_owned(),
                    brokers: None,
                    racks: Vec::new(),
                    apache: None,
                    apache_nodes: Vec::new(),
                };
                Some(vec![Step::Effect(Effect::Local { job, action })])
            }
            _ => None,
        }
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let progress = if self.starting.is_some() {
            "starting a broker on this machine …"
        } else {
            ""
        };
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
            (
                "7   local brokers and clusters: start, stop, kill, pause, log",
                theme.text,
            ),
            ("", theme.text),
            ("From the shell: kafka-tui --bootstrap HOST:PORT", theme.dim),
            ("With everything moving: kafka-tui demo", theme.dim),
            ("", theme.text),
            (progress, theme.accent),
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
