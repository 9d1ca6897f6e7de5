//! Kafka Connect: connectors with their tasks; restart, pause, resume, stop, delete.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::watch::Watch;
use super::{cells, connector_forms, forms, topics};
use crate::clusters::connect_confirmation;
use crate::connect::{Change, Connector, Proposal, Workers};
use crate::model::Fault;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::event::{Answer, ConnectorWish, Effect, JobId};
use crate::ui::format;
use crate::ui::screen::{Place, Screen, Step, Toast, focused_list};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Key, List, Named, Rows as _};

impl Named for Connector {
    fn name(&self) -> &str {
        &self.name
    }
}

fn state_style(state: &str, cx: &Cx<'_>) -> Style {
    match state {
        "RUNNING" => cx.theme.good,
        "FAILED" => cx.theme.bad,
        _ => cx.theme.warn,
    }
}

/// In lower case, as the states of everything else.
fn state_text(state: &str) -> String {
    format::clean(state).to_lowercase()
}

const COLUMNS: &[Column<Connector>] = &[
    Column::name(
        "CONNECTOR",
        18,
        |row, _| Key::text(&row.name),
        |row, cx| cells::foreign(&row.name, cx),
    ),
    Column::text(
        "STATE",
        10,
        0,
        |row, _| Key::text(&row.state),
        |row, cx| Span::styled(state_text(&row.state), state_style(&row.state, cx)),
    ),
    Column::number(
        "TASKS",
        7,
        0,
        |row, _| Key::size(row.tasks.len()),
        |row, cx| {
            let text = format!("{}/{}", row.n_running(), row.tasks.len());
            let is_whole = row.n_running() == row.tasks.len();
            Span::styled(
                text,
                if is_whole {
                    cx.theme.text
                } else {
                    cx.theme.warn
                },
            )
        },
    ),
    Column::number(
        "FAILED",
        6,
        1,
        |row, _| Key::size(n_failed(row)),
        |row, cx| cells::bad_count(n_failed(row), cx.theme.bad, cx),
    ),
    Column::text(
        "TYPE",
        6,
        2,
        |row, _| Key::text(&row.kind),
        |row, cx| cells::foreign(&row.kind, cx),
    ),
    Column::text(
        "WORKER",
        20,
        3,
        |row, _| Key::text(&row.worker),
        |row, cx| cells::foreign(&row.worker, cx),
    ),
    Column::wide(
        "CLASS",
        20,
        4,
        |row, _| Key::text(class(row)),
        |row, cx| cells::dim(format::clean(class(row)).into_owned(), cx),
    ),
];

fn n_failed(connector: &Connector) -> usize {
    let tasks = connector.tasks.iter();
    tasks.filter(|task| task.state == "FAILED").count()
}

fn class(connector: &Connector) -> &str {
    let class = connector.config.get("connector.class");
    let class = class.map_or("", String::as_str);
    class.rsplit('.').next().unwrap_or(class)
}

/// The screen.
#[derive(Debug)]
pub struct Connectors {
    list: List<Connector>,
    workers: Option<Workers>,
    watch: Watch,
    /// What is being done, and what to say meanwhile.
    doing: Option<(JobId, String)>,
    /// The change that a question is about, which its answer carries.
    offered: Option<JobId>,
    /// The connector whose configuration is checked.
    wished: String,
    fault: Option<Fault>,
    is_read: bool,
}

impl Connectors {
    pub fn new() -> Self {
        Self {
            list: List::new(COLUMNS),
            workers: None,
            watch: Watch::default(),
            doing: None,
            offered: None,
            wished: String::new(),
            fault: None,
            is_read: false,
        }
    }

    fn act(&mut self, name: String, change: Change, cx: &Cx<'_>) -> Vec<Step> {
        let Some(workers) = self.workers.clone() else {
            return Vec::new();
        };
        let job = cx.new_job();
        self.doing = Some((job, format!("{name} …")));
        let workers = Box::new(workers);
        vec![Step::Effect(Effect::ChangeConnector {
            job,
            workers,
            name,
            change,
        })]
    }

    /// Does it, or asks for what has to be typed first; the argument is what was typed.
    fn confirmed(&mut self, command: Id, change: Change, typed: &str, cx: &Cx<'_>) -> Vec<Step> {
        let Some(row) = self.list.selected_row() else {
            return Vec::new();
        };
        let name = row.name.clone();
        let target = cx.target;
        let wanted = connect_confirmation(&change, &name, target.level, target.name.as_deref());
        match wanted {
            Some(wanted) if typed != wanted => {
                let title = format!("{name} will be {}", change.done());
                let intro =
                    "What it has written stays; what it would write from here on does not come.";
                vec![Step::Dialog(Box::new(forms::typed_name(
                    title, intro, &wanted, command,
                )))]
            }
            _ => self.act(name, change, cx),
        }
    }
}

impl Connectors {
    /// Lets a worker check what is wished for.
    fn propose(&mut self, name: String, wish: ConnectorWish, cx: &Cx<'_>) -> Vec<Step> {
        let Some(workers) = self.workers.clone() else {
            return Vec::new();
        };
        let job = cx.new_job();
        self.doing = Some((job, format!("checking {name} …")));
        self.wished = name.clone();
        let workers = Box::new(workers);
        vec![Step::Effect(Effect::ProposeConnector {
            job,
            workers,
            name,
            wish,
        })]
    }

    /// What the worker says of it: a question whether to do it, or why not.
    fn proposed(&mut self, proposal: Proposal, cx: &Cx<'_>) -> Vec<Step> {
        let Some(workers) = self.workers.clone() else {
            return Vec::new();
        };
        let name = self.wished.clone();
        let mut lines = connector_forms::diff_lines(&proposal.diff);
        if !proposal.problems.is_empty() {
            let clean = |line: &String| format!("! {}", format::clean(line));
            lines.extend(proposal.problems.iter().map(clean));
            let lines: Vec<_> = lines
                .into_iter()
                .map(|line| (line, cx.theme.text))
                .collect();
            let copy: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
            let copy = copy.join("\n");
            let title = format!("the worker does not take it: {}", format::clean(&name));
            return vec![Step::Dialog(Box::new(TextDialog::new(title, lines, copy)))];
        }
        if proposal.diff.is_empty() {
            let text = format!("nothing to do: {name} is configured so already");
            return vec![Step::Say(Toast::info(text))];
        }
        let change = Change::SetConfig(proposal.config);
        let wanted =
            connect_confirmation(&change, &name, cx.target.level, cx.target.name.as_deref());
        let job = cx.new_job();
        self.offered = Some(job);
        let form =
            connector_forms::confirm(lines, &name, wanted, move |name| Effect::ChangeConnector {
                job,
                workers: Box::new(workers.clone()),
                name,
                change: change.clone(),
            });
        vec![Step::Dialog(Box::new(form))]
    }
}

/// Everything that is known of a connector, to read.
fn details(connector: &Connector, cx: &Cx<'_>) -> TextDialog {
    let theme = cx.theme;
    let clean = |text: &str| format::clean(text).into_owned();
    let mut lines = vec![(
        format!(
            "{} {}, on {}",
            clean(&connector.kind),
            state_text(&connector.state),
            clean(&connector.worker)
        ),
        state_style(&connector.state, cx),
    )];
    let trace = |text: &Option<String>, lines: &mut Vec<(String, Style)>| {
        for line in text.iter().flat_map(|text| text.lines()) {
            lines.push((format!("    {}", clean(line)), theme.dim));
        }
    };
    trace(&connector.trace, &mut lines);
    for task in &connector.tasks {
        let text = format!(
            "task {}: {}, on {}",
            task.id,
            state_text(&task.state),
            clean(&task.worker)
        );
        lines.push((text, state_style(&task.state, cx)));
        trace(&task.trace, &mut lines);
    }
    lines.push((String::new(), theme.text));
    for (key, value) in &connector.config {
        lines.push((format!("{} = {}", clean(key), clean(value)), theme.text));
    }
    let copy: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
    let copy = copy.join("\n");
    TextDialog::new(format!("connector {}", clean(&connector.name)), lines, copy)
}

impl Screen for Connectors {
    fn place(&self) -> Place {
        Place::Connectors
    }

    fn title(&self) -> String {
        "connectors".to_owned()
    }

    fn status(&self, _cx: &Cx<'_>) -> String {
        match &self.doing {
            Some((_, what)) => what.clone(),
            None => self.list.status(),
        }
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Connectors, Scope::List]
    }

    focused_list!(self.list);

    fn on_open(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        match cx.target.workers(&[], None) {
            Ok(workers) => {
                self.workers = Some(workers.clone());
                let workers = Box::new(workers);
                let watch = |job| Effect::WatchConnectors { job, workers };
                self.watch.begin(cx, watch)
            }
            Err(fault) => {
                self.fault = Some(fault);
                Vec::new()
            }
        }
    }

    fn on_close(&mut self) -> Vec<JobId> {
        self.watch.end()
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        if let Some(found) = self.watch.found(job, answer) {
            match found {
                Answer::Connectors(Ok(all)) => {
                    self.is_read = true;
                    self.fault = None;
                    self.list.set_rows(all, cx);
                }
                Answer::Connectors(Err(fault)) => self.fault = Some(fault),
                _ => {}
            }
            return Vec::new();
        }
        let is_doing = self.doing.as_ref().is_some_and(|(ours, _)| *ours == job);
        if is_doing || self.offered == Some(job) {
            match is_doing {
                true => self.doing = None,
                false => self.offered = None,
            }
            return match answer.take() {
                Some(Answer::ConnectorProposed(Ok(proposal))) => self.proposed(*proposal, cx),
                Some(Answer::ConnectorProposed(Err(fault))) => {
                    vec![Step::Say(Toast::fault(&fault))]
                }
                Some(Answer::ConnectorChanged(Ok(text))) => vec![Step::Say(Toast::good(text))],
                Some(Answer::ConnectorChanged(Err(fault))) => {
                    vec![Step::Say(Toast::fault(&fault))]
                }
                _ => Vec::new(),
            };
        }
        Vec::new()
    }

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        let is_ours = matches!(
            command,
            Id::RestartConnector
                | Id::RestartTask
                | Id::AlterConfig
                | Id::NewConnector
                | Id::Pause
                | Id::StopConnector
                | Id::Delete
        );
        if !is_ours {
            return None;
        }
        if let Some((_, what)) = &self.doing {
            return Some(format!("{what} first"));
        }
        match self.list.selected_row() {
            _ if self.workers.is_none() => Some("no worker is named".to_owned()),
            None if command == Id::NewConnector => None,
            None => Some("there is no connector".to_owned()),
            Some(row) if command == Id::StopConnector && row.state == "STOPPED" => {
                Some("it is stopped: p lets it go on".to_owned())
            }
            Some(_) => None,
        }
    }

    fn run(&mut self, command: Id, argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        if command == Id::NewConnector {
            return Some(match connector_forms::read_argument(argument) {
                Some((name, wish)) => self.propose(name, wish, cx),
                None => vec![Step::Dialog(Box::new(connector_forms::create()))],
            });
        }
        let row = self.list.selected_row()?;
        let (name, has_failed) = (row.name.clone(), row.has_failed());
        let rests = matches!(&*row.state, "PAUSED" | "STOPPED");
        Some(match command {
            Id::Open => vec![Step::Dialog(Box::new(details(row, cx)))],
            Id::Copy => topics::copy(&name, cx),
            Id::RestartConnector => {
                let change = Change::Restart {
                    failed_only: has_failed,
                };
                self.act(name, change, cx)
            }
            Id::RestartTask => match argument.parse() {
                Ok(task) => self.act(name, Change::RestartTask(task), cx),
                Err(_) => vec![Step::Dialog(Box::new(connector_forms::task(row)))],
            },
            Id::AlterConfig => match connector_forms::read_argument(argument) {
                Some((name, wish)) => self.propose(name, wish, cx),
                None => vec![Step::Dialog(Box::new(connector_forms::alter(row)))],
            },
            Id::Pause if rests => self.act(name, Change::Resume, cx),
            Id::Pause => self.confirmed(command, Change::Pause, argument, cx),
            Id::StopConnector => self.confirmed(command, Change::Stop, argument, cx),
            Id::Delete => self.confirmed(command, Change::Delete, argument, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let mut area = area;
        let mut say = |text: &str, style: Style, area: &mut Rect| {
            for line in format::wrap(text, usize::from(area.width.saturating_sub(2))) {
                if area.height == 0 {
                    return;
                }
                let width = area.width.saturating_sub(1);
                frame::text(&line, style, area.x + 1, area.y, width, buffer);
                area.y += 1;
                area.height -= 1;
            }
        };
        if let Some(fault) = &self.fault {
            say(
                &format!("! {}", format::clean(&fault.to_string())),
                theme.warn,
                &mut area,
            );
            if let Some(hint) = &fault.hint {
                say(&format!("  {}", format::clean(hint)), theme.dim, &mut area);
            }
        }
        if self.list.rows().is_empty() {
            match (self.is_read, &self.fault) {
                (true, _) => say("there is no connector", theme.dim, &mut area),
                (false, None) => say("reading …", theme.dim, &mut area),
                (false, Some(_)) => {}
            }
            return;
        }
        self.list.draw(cx, true, area, buffer);
    }
}
