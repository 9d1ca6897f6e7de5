//! Local brokers: start, stop, kill, log, delete, connect.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{cells, topics};
use crate::local::{DEFAULT_NAME, LocalBroker, LocalStatus};
use crate::model::Fault;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::event::{Answer, Effect, JobId, LocalAction};
use crate::ui::format;
use crate::ui::screen::{Changed, Place, Screen, Step, Toast};
use crate::ui::widgets::form::{Field, Form, Wrong};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Key, List, Named, Rows};

impl Named for LocalBroker {
    fn name(&self) -> &str {
        &self.name
    }
}

const COLUMNS: &[Column<LocalBroker>] = &[
    Column::name(
        "BROKER",
        14,
        |row, _| Key::text(&row.name),
        |row, cx| cells::foreign(&row.name, cx),
    ),
    Column::text(
        "STATE",
        8,
        0,
        |row, _| Key::Int(i64::from(row.status != LocalStatus::Running)),
        |row, cx| match row.status {
            LocalStatus::Running => Span::styled("running", cx.theme.good),
            LocalStatus::Stopped => cells::dim("stopped", cx),
        },
    ),
    Column::text(
        "ADDRESS",
        18,
        0,
        |row, _| Key::Int(row.port.into()),
        |row, cx| cells::plain(row.address(), cx),
    ),
    Column::number(
        "PID",
        8,
        1,
        |row, _| Key::int(row.pid),
        |row, cx| match row.pid {
            Some(pid) => cells::plain(pid.to_string(), cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::text(
        "STARTED",
        19,
        2,
        |row, _| Key::Int(row.started_ms),
        |row, cx| {
            let text = format::timestamp_ms(row.started_ms);
            cells::dim(text.get(..19).map_or(text.clone(), str::to_owned), cx)
        },
    ),
    Column::wide(
        "FOLDER",
        20,
        3,
        |row, _| Key::text(&row.folder.to_string_lossy()),
        |row, cx| {
            cells::dim(
                format::clean(&row.folder.to_string_lossy()).into_owned(),
                cx,
            )
        },
    ),
];

/// The screen.
#[derive(Debug)]
pub struct Local {
    list: List<LocalBroker>,
    watch: Option<JobId>,
    /// What is being done, and what to say meanwhile.
    doing: Option<(JobId, String)>,
    is_read: bool,
    fault: Option<Fault>,
}

impl Local {
    pub fn new() -> Self {
        Self {
            list: List::new(COLUMNS),
            watch: None,
            doing: None,
            is_read: false,
            fault: None,
        }
    }

    fn act(&mut self, action: LocalAction, what: String, cx: &Cx<'_>) -> Vec<Step> {
        let job = cx.new_job();
        self.doing = Some((job, what));
        vec![Step::Effect(Effect::Local { job, action })]
    }

    /// Starts the selected stopped broker, or asks for the name of a new one.
    fn start(&mut self, argument: &str, cx: &Cx<'_>) -> Vec<Step> {
        let stopped = self
            .list
            .selected_row()
            .filter(|row| row.status == LocalStatus::Stopped)
            .map(|row| row.name.clone());
        let name = match (argument, stopped) {
            ("", Some(name)) => name,
            ("", None) => {
                let taken = |name: &str| self.list.rows().iter().any(|row| row.name == name);
                let free = (2..)
                    .map(|n| format!("broker-{n}"))
                    .find(|name| !taken(name));
                let first = (!taken(DEFAULT_NAME)).then(|| DEFAULT_NAME.to_owned());
                let name = first.or(free).unwrap_or_default();
                return vec![Step::Dialog(Box::new(new_broker_form(&name)))];
            }
            (name, _) => name.to_owned(),
        };
        let what = format!("starting {name} …");
        self.act(LocalAction::Start(name), what, cx)
    }

    fn on_done(&mut self, answer: Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        self.doing = None;
        match answer {
            Some(Answer::LocalStarted(Ok(broker))) => {
                let text = format!(
                    "{} runs at {}: enter connects",
                    broker.name,
                    broker.address()
                );
                vec![Step::Say(Toast::good(text))]
            }
            Some(Answer::LocalDone(Ok(text))) => vec![Step::Say(Toast::good(text))],
            Some(Answer::LocalLog(Ok((name, lines)))) => {
                let text = lines.join("\n");
                let title = format!("log of {name}, its last lines");
                let mut dialog = TextDialog::plain(title, &text, cx.theme.text);
                dialog.to_end();
                vec![Step::Dialog(Box::new(dialog))]
            }
            Some(
                Answer::LocalStarted(Err(fault))
                | Answer::LocalDone(Err(fault))
                | Answer::LocalLog(Err(fault)),
            ) => vec![Step::Say(Toast::fault(&fault))],
            _ => Vec::new(),
        }
    }
}

fn new_broker_form(name: &str) -> Form {
    let note = "its folder and its settings are kept under this name";
    let fields = vec![Field::text("name", name, note)];
    Form::new(
        "start a new local broker",
        fields,
        |values, _| match values.get(0) {
            "" => Err(Wrong::new(0, "it needs a name")),
            name => Ok(vec![
                Step::Close,
                Step::Run(Id::StartLocal, name.to_owned()),
            ]),
        },
    )
}

fn delete_form(name: &str) -> Form {
    let fields = vec![Field::text("name", "", format!("type {name} to confirm"))];
    let wanted = name.to_owned();
    let intro = vec!["Its data and its log are removed, and can't be brought back.".to_owned()];
    Form::new(
        format!("delete the local broker {name}"),
        fields,
        move |values, _| {
            if values.get(0) == wanted {
                Ok(vec![Step::Close, Step::Run(Id::Delete, wanted.clone())])
            } else {
                Err(Wrong::new(0, format!("type {wanted}, or leave with esc")))
            }
        },
    )
    .intro(intro)
}

impl Screen for Local {
    fn place(&self) -> Place {
        Place::Local
    }

    fn title(&self) -> String {
        "local brokers".to_owned()
    }

    fn status(&self, _cx: &Cx<'_>) -> String {
        match &self.doing {
            Some((_, what)) => what.clone(),
            None => self.list.status(),
        }
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Local, Scope::List]
    }

    fn list(&mut self) -> Option<&mut dyn Rows> {
        Some(&mut self.list)
    }

    fn list_ref(&self) -> Option<&dyn Rows> {
        Some(&self.list)
    }

    fn on_data(&mut self, _cx: &Cx<'_>, _changed: Changed) {}

    fn on_open(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        let job = cx.new_job();
        self.watch = Some(job);
        vec![Step::Effect(Effect::WatchLocal { job })]
    }

    fn on_close(&mut self) -> Vec<JobId> {
        // What was started goes on; nobody waits for its answer.
        self.watch.into_iter().collect()
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        if self.watch == Some(job) {
            match answer.take() {
                Some(Answer::Local(Ok(brokers))) => {
                    self.is_read = true;
                    self.fault = None;
                    self.list.set_rows(brokers, cx);
                }
                Some(Answer::Local(Err(fault))) => self.fault = Some(fault),
                _ => {}
            }
            return Vec::new();
        }
        if self.doing.as_ref().is_some_and(|(ours, _)| *ours == job) {
            return self.on_done(answer.take(), cx);
        }
        Vec::new()
    }

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        let is_ours = matches!(
            command,
            Id::StartLocal | Id::StopLocal | Id::KillLocal | Id::LocalLog | Id::Delete
        );
        if !is_ours {
            return None;
        }
        if let Some((_, what)) = &self.doing {
            return Some(format!("{what} first"));
        }
        let row = self.list.selected_row();
        match (command, row.map(|row| row.status)) {
            (Id::StartLocal, _) => None,
            (_, None) => Some("there is no local broker".to_owned()),
            (Id::StopLocal | Id::KillLocal, Some(LocalStatus::Stopped)) => {
                Some("it does not run".to_owned())
            }
            (Id::Delete, Some(LocalStatus::Running)) => Some("stop it first".to_owned()),
            _ => None,
        }
    }

    fn run(&mut self, command: Id, argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        if command == Id::StartLocal {
            return Some(self.start(argument, cx));
        }
        let row = self.list.selected_row()?.clone();
        let name = row.name.clone();
        Some(match command {
            Id::Open if row.status == LocalStatus::Running => vec![Step::Connect(row.address())],
            Id::Open => vec![Step::Say(Toast::info("it does not run: n starts it"))],
            Id::StopLocal => {
                let what = format!("stopping {name} …");
                self.act(LocalAction::Stop(name), what, cx)
            }
            Id::KillLocal => {
                let what = format!("killing {name} …");
                self.act(LocalAction::Kill(name), what, cx)
            }
            Id::LocalLog => {
                let what = format!("reading the log of {name} …");
                self.act(LocalAction::Log(name), what, cx)
            }
            Id::Delete if argument == name => {
                let what = format!("deleting {name} …");
                self.act(LocalAction::Delete(name), what, cx)
            }
            Id::Delete => vec![Step::Dialog(Box::new(delete_form(&name)))],
            Id::Copy => topics::copy(&row.address(), cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let mut area = area;
        if let Some(fault) = &self.fault {
            let text = format!("! {}", format::clean(&fault.to_string()));
            frame::text(
                &text,
                theme.warn,
                area.x + 1,
                area.y,
                area.width - 1,
                buffer,
            );
            area = Rect {
                y: area.y + 1,
                height: area.height.saturating_sub(1),
                ..area
            };
        }
        if self.list.rows().is_empty() {
            let text = if self.is_read {
                "there is no local broker: n starts one"
            } else {
                "reading …"
            };
            frame::text(
                text,
                theme.dim,
                area.x + 1,
                area.y + 1,
                area.width - 2,
                buffer,
            );
            return;
        }
        self.list.draw(cx, true, area, buffer);
    }
}
