//! Local brokers: start, stop, kill, log, delete, connect.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::watch::Watch;
use super::{cells, forms, topics};
use crate::local::{DEFAULT_NAME, LocalBroker, LocalStatus, NODES_MAX};
use crate::model::Fault;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::event::{Answer, Effect, JobId, LocalAction};
use crate::ui::format;
use crate::ui::screen::{Place, Screen, Step, Toast, focused_list};
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
            LocalStatus::Paused => Span::styled("paused", cx.theme.warn),
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
        "RACK",
        8,
        2,
        |row, _| Key::text(row.rack.as_deref().unwrap_or_default()),
        |row, cx| match &row.rack {
            Some(rack) => cells::foreign(rack, cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::text(
        "STARTED",
        19,
        2,
        |row, _| Key::Int(row.started_ms),
        |row, cx| {
            if row.started_ms == 0 {
                return cells::dim(format::NONE, cx);
            }
            let text = format::timestamp_ms(row.started_ms);
            cells::dim(text.get(..19).map_or(text.clone(), str::to_owned), cx)
        },
    ),
    Column::number(
        "DATA",
        9,
        1,
        |row, _| Key::int(row.data_bytes.and_then(|n| i64::try_from(n).ok())),
        |row, cx| {
            let bytes = row.data_bytes.and_then(|n| i64::try_from(n).ok());
            cells::bytes(bytes, cx)
        },
    ),
    Column::text(
        "KIND",
        8,
        2,
        |row, _| Key::Int(i64::from(row.apache.is_some())),
        |row, cx| match row.apache {
            Some(_) => cells::plain("apache", cx),
            None => cells::dim("built-in", cx),
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
    watch: Watch,
    /// What is being done, and what to say meanwhile.
    doing: Option<(JobId, String)>,
    is_read: bool,
    fault: Option<Fault>,
}

impl Local {
    pub fn new() -> Self {
        Self {
            list: List::new(COLUMNS),
            watch: Watch::default(),
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

    /// Starts the selected stopped broker, with its cluster if nothing of that runs, or asks for a
    /// new one. The argument is `NAME [BROKERS [RACK,…]]`.
    fn start(&mut self, argument: &str, cx: &Cx<'_>) -> Vec<Step> {
        let stopped = self
            .list
            .selected_row()
            .filter(|row| row.status == LocalStatus::Stopped)
            .map(|row| self.to_start(row));
        let action = match (argument, stopped) {
            ("", Some(name)) => Ok(LocalAction::Start {
                name,
                brokers: None,
                racks: Vec::new(),
                apache: None,
                apache_nodes: Vec::new(),
            }),
            ("", None) => {
                return vec![Step::Dialog(Box::new(new_broker_form(&self.free_name())))];
            }
            (argument, _) => parse_start(argument),
        };
        match action {
            Ok(action) => {
                let LocalAction::Start { name, .. } = &action else {
                    return Vec::new();
                };
                let what = format!("starting {name} …");
                self.act(action, what, cx)
            }
            Err(why) => vec![Step::Say(Toast::bad(why))],
        }
    }

    /// A node alone has no quorum: with all others stopped its whole cluster is meant.
    fn to_start(&self, row: &LocalBroker) -> String {
        let is_stopped = |of: &String| {
            let rows = self.list.rows().iter();
            let mut nodes = rows.filter(|row| row.cluster.as_ref() == Some(of));
            nodes.all(|node| node.status == LocalStatus::Stopped)
        };
        let cluster = row.cluster.as_ref().filter(|cluster| is_stopped(cluster));
        cluster.unwrap_or(&row.name).clone()
    }

    fn free_name(&self) -> String {
        let taken = |name: &str| {
            let mut rows = self.list.rows().iter();
            rows.any(|row| row.name == name || row.cluster.as_deref() == Some(name))
        };
        let free = (2..)
            .map(|n| format!("broker-{n}"))
            .find(|name| !taken(name));
        let first = (!taken(DEFAULT_NAME)).then(|| DEFAULT_NAME.to_owned());
        first.or(free).unwrap_or_default()
    }

    /// The addresses of a broker and of the others of its cluster, itself first.
    fn bootstrap(&self, row: &LocalBroker) -> String {
        let others = self.list.rows().iter().filter(|other| {
            other.cluster.is_some() && other.cluster == row.cluster && other.name != row.name
        });
        addresses([row].into_iter().chain(others))
    }

    fn chosen(&self, are_wanted: impl Fn(LocalStatus) -> bool) -> Vec<String> {
        let rows = self.list.chosen().into_iter();
        let wanted = rows.filter(|row| are_wanted(row.status));
        wanted.map(|row| row.name.clone()).collect()
    }

    fn on_done(&mut self, answer: Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        self.doing = None;
        match answer {
            Some(Answer::LocalStarted(Ok(outcomes))) => match outcomes.all() {
                Ok(brokers) => {
                    let names: Vec<&str> = brokers.iter().map(|b| &*b.name).collect();
                    let at = addresses(&brokers);
                    let text = format!("{}: runs at {at}: enter connects", names.join(", "));
                    vec![Step::Say(Toast::good(text))]
                }
                Err(fault) => vec![Step::Say(Toast::fault(&fault))],
            },
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

/// Whether there is a process.
fn is_there(status: LocalStatus) -> bool {
    status != LocalStatus::Stopped
}

/// Addresses as one connects to them.
pub(super) fn addresses<'a>(brokers: impl IntoIterator<Item = &'a LocalBroker>) -> String {
    let addresses: Vec<String> = brokers.into_iter().map(LocalBroker::address).collect();
    addresses.join(",")
}

/// `NAME [BROKERS [RACK,…|- [FOLDER]]]`; the folder may hold blanks, and begin with `2,3=` where
/// only these nodes are Apache's.
fn parse_start(argument: &str) -> Result<LocalAction, String> {
    let mut words = argument.splitn(4, ' ');
    let name = words.next().unwrap_or_default().to_owned();
    let brokers = words.next().map(parse_brokers).transpose()?;
    let racks = words.next().unwrap_or_default().split(',');
    let racks = racks.filter(|rack| !matches!(*rack, "" | "-"));
    let apache = words
        .next()
        .map(str::trim)
        .filter(|folder| !folder.is_empty());
    let (apache_nodes, apache) = match apache.and_then(|apache| apache.split_once('=')) {
        Some((ids, folder)) if parse_ids(ids).is_ok() => (parse_ids(ids)?, Some(folder)),
        _ => (Vec::new(), apache),
    };
    Ok(LocalAction::Start {
        name,
        brokers,
        racks: racks.map(str::to_owned).collect(),
        apache: apache.map(std::path::PathBuf::from),
        apache_nodes,
    })
}

fn parse_ids(text: &str) -> Result<Vec<i32>, String> {
    let id = |part: &str| {
        let part = part.trim();
        part.parse()
            .map_err(|_| format!("\"{part}\" is no id of a node"))
    };
    text.split(',').map(id).collect()
}

fn parse_brokers(text: &str) -> Result<usize, String> {
    let n = text.parse().ok().filter(|n| (1..=NODES_MAX).contains(n));
    n.ok_or_else(|| format!("brokers: from 1 to {NODES_MAX}"))
}

fn new_broker_form(name: &str) -> Form {
    let note = "its folder and its settings are kept under this name";
    let fields = vec![
        Field::text("name", name, note),
        Field::text("brokers", "1", "3 or more make a cluster that bears a loss"),
        Field::text("racks", "", "a,b,c: dealt out in turn; may stay empty"),
        Field::text(
            "Apache",
            "",
            "the folder of an Apache Kafka that runs them; empty: this program",
        ),
        Field::text("its nodes", "", "2,3: only these are Apache's; empty: all"),
    ];
    Form::new("start new local brokers", fields, |values, _| {
        let (name, brokers) = (values.get(0), values.get(1));
        if name.is_empty() {
            return Err(Wrong::new(0, "it needs a name"));
        }
        if name.contains(char::is_whitespace) {
            return Err(Wrong::new(
                0,
                "letters, digits, '-' and '_' can be in a name",
            ));
        }
        let brokers = parse_brokers(brokers).map_err(|why| Wrong::new(1, why))?;
        let racks: String = values.get(2).split_whitespace().collect();
        let (folder, ids) = (values.get(3), values.get(4));
        let apache = match ids.is_empty() {
            true => folder.to_owned(),
            false if folder.is_empty() => {
                return Err(Wrong::new(3, "whose nodes are they?"));
            }
            false => {
                let ids = parse_ids(ids).map_err(|why| Wrong::new(4, why))?;
                format!("{}={folder}", format::ids(&ids))
            }
        };
        let racks: &str = if racks.is_empty() { "-" } else { &racks };
        let argument = format!("{name} {brokers} {racks} {apache}");
        Ok(vec![
            Step::Close,
            Step::Run(Id::StartLocal, argument.trim().to_owned()),
        ])
    })
}

fn delete_form(name: &str) -> Form {
    let title = format!("delete the local broker {name}");
    let intro = "Its data and its log are removed, and can't be brought back.";
    forms::typed_name(title, intro, name, Id::Delete)
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

    focused_list!(self.list);

    fn on_open(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        self.watch.begin(cx, |job| Effect::WatchLocal { job })
    }

    fn on_close(&mut self) -> Vec<JobId> {
        // What was started goes on; nobody waits for its answer.
        self.watch.end()
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        if let Some(found) = self.watch.found(job, answer) {
            match found {
                Answer::Local(Ok(brokers)) => {
                    self.is_read = true;
                    self.fault = None;
                    self.list.set_rows(brokers, cx);
                }
                Answer::Local(Err(fault)) => self.fault = Some(fault),
                _ => {}
            }
            return Vec::new();
        }
        if let Some(Answer::LocalTold(_)) = answer {
            // It goes on: what is being done now stands in the title.
            if let (Some((ours, what)), true) = (&mut self.doing, answer.is_some())
                && *ours == job
                && let Some(Answer::LocalTold(text)) = answer.take()
            {
                *what = text;
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
            Id::StartLocal
                | Id::StopLocal
                | Id::KillLocal
                | Id::RestartLocal
                | Id::RollingRestart
                | Id::Pause
                | Id::LocalLog
                | Id::Delete
        );
        if !is_ours {
            return None;
        }
        if let Some((_, what)) = &self.doing {
            return Some(format!("{what} first"));
        }
        if command == Id::StartLocal {
            return None;
        }
        let Some(row) = self.list.selected_row() else {
            return Some("there is no local broker".to_owned());
        };
        match command {
            Id::StopLocal | Id::KillLocal | Id::Pause if self.chosen(is_there).is_empty() => {
                Some("it does not run".to_owned())
            }
            Id::RollingRestart if row.cluster.is_none() => {
                Some("a broker on its own has nobody who serves meanwhile".to_owned())
            }
            Id::Delete => {
                let of = |other: &&LocalBroker| {
                    other.name == row.name
                        || (row.cluster.is_some() && other.cluster == row.cluster)
                };
                let mut rows = self.list.rows().iter().filter(of);
                let runs = rows.find(|other| is_there(other.status))?;
                Some(format!("stop {} first", runs.name))
            }
            _ => None,
        }
    }

    fn run(&mut self, command: Id, argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        if command == Id::StartLocal {
            return Some(self.start(argument, cx));
        }
        let row = self.list.selected_row()?.clone();
        let name = row.name.clone();
        // A single node can't be deleted.
        let whole = row.cluster.clone().unwrap_or_else(|| name.clone());
        Some(match command {
            Id::Open if row.status == LocalStatus::Running => {
                vec![Step::Connect(self.bootstrap(&row))]
            }
            Id::Open if row.status == LocalStatus::Paused => {
                vec![Step::Say(Toast::info("it is paused: p lets it go on"))]
            }
            Id::Open => vec![Step::Say(Toast::info("it does not run: n starts it"))],
            Id::StopLocal => {
                let names = self.chosen(is_there);
                let what = format!("stopping {} …", names.join(", "));
                self.act(LocalAction::Stop(names), what, cx)
            }
            Id::KillLocal => {
                let names = self.chosen(is_there);
                let what = format!("killing {} …", names.join(", "));
                self.act(LocalAction::Kill(names), what, cx)
            }
            Id::Pause => {
                let running = self.chosen(|status| status == LocalStatus::Running);
                if running.is_empty() {
                    let paused = self.chosen(is_there);
                    let what = format!("resuming {} …", paused.join(", "));
                    self.act(LocalAction::Resume(paused), what, cx)
                } else {
                    let what = format!("pausing {} …", running.join(", "));
                    self.act(LocalAction::Pause(running), what, cx)
                }
            }
            Id::RestartLocal => {
                let what = format!("restarting {name} …");
                self.act(LocalAction::Restart(name), what, cx)
            }
            Id::RollingRestart => {
                let what = format!("restarting {whole} node by node …");
                self.act(LocalAction::RollingRestart(whole), what, cx)
            }
            Id::LocalLog => {
                let what = format!("reading the log of {name} …");
                self.act(LocalAction::Log(name, argument.to_owned()), what, cx)
            }
            Id::Delete if argument == whole => {
                let what = format!("deleting {whole} …");
                self.act(LocalAction::Delete(whole), what, cx)
            }
            Id::Delete => vec![Step::Dialog(Box::new(delete_form(&whole)))],
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
