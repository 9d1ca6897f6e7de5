//! Saved clusters: switch, add, edit, test, remove.

mod form;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{cells, forms, topics};
use crate::clusters::{ClustersFile, Entry, Level, Target};
use crate::model::Fault;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::event::{Answer, ClustersAction, Effect, JobId};
use crate::ui::format;
use crate::ui::screen::{Place, Screen, Step, Toast, focused_list};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Key, List, Named, Rows as _};

impl Named for Entry {
    fn name(&self) -> &str {
        &self.name
    }
}

const COLUMNS: &[Column<Entry>] = &[
    Column::name(
        "CLUSTER",
        14,
        |row, _| Key::text(&row.name),
        |row, cx| Span::styled(row.name.clone(), cx.theme.cluster(row.color)),
    ),
    Column::text(
        "",
        3,
        0,
        |row, cx| Key::Int(i64::from(cx.target.name.as_deref() != Some(&*row.name))),
        |row, cx| match cx.target.name.as_deref() == Some(&*row.name) {
            true => cells::plain("now", cx),
            false => cells::plain("", cx),
        },
    ),
    Column::text(
        "DANGER",
        6,
        1,
        |row, _| Key::Int(row.danger as i64),
        |row, cx| match row.danger {
            Level::High => Span::styled("high", cx.theme.warn),
            level => cells::dim(level.name(), cx),
        },
    ),
    Column::text(
        "RIGHTS",
        10,
        1,
        |row, _| Key::Int(i64::from(!row.read_only)),
        |row, cx| match row.read_only {
            true => Span::styled("read-only", cx.theme.warn),
            false => cells::dim("read-write", cx),
        },
    ),
    Column::text(
        "SECURITY",
        16,
        2,
        |row, _| Key::text(&security(row)),
        |row, cx| cells::dim(security(row), cx),
    ),
    Column::text(
        "CLUSTER ID",
        22,
        3,
        |row, _| Key::text(row.cluster_id.as_deref().unwrap_or_default()),
        |row, cx| match &row.cluster_id {
            Some(id) => cells::foreign(id, cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::wide(
        "BROKERS",
        20,
        0,
        |row, _| Key::text(&row.bootstrap),
        |row, cx| match (row.bootstrap.is_empty(), &row.properties) {
            (true, Some(path)) => cells::dim(path.display().to_string(), cx),
            _ => cells::foreign(&row.bootstrap, cx),
        },
    ),
];

fn security(entry: &Entry) -> String {
    match entry.settings.get("security.protocol") {
        Some(protocol) => protocol.clone(),
        None if entry.properties.is_some() => "properties".to_owned(),
        None => "PLAINTEXT".to_owned(),
    }
}

/// The screen.
#[derive(Debug)]
pub struct Clusters {
    list: List<Entry>,
    file: Option<ClustersFile>,
    reading: Option<JobId>,
    /// What is being done, and what to say meanwhile.
    doing: Option<(JobId, String)>,
    fault: Option<Fault>,
    /// The cluster to switch to as soon as they are read.
    wanted: Option<String>,
    /// What a form asked for and was not saved: the next form begins with it.
    not_saved: Option<ClustersAction>,
}

impl Clusters {
    pub fn new() -> Self {
        Self {
            list: List::new(COLUMNS),
            file: None,
            reading: None,
            doing: None,
            fault: None,
            wanted: None,
            not_saved: None,
        }
    }

    fn act(&mut self, action: ClustersAction, what: String, cx: &Cx<'_>) -> Vec<Step> {
        let job = cx.new_job();
        self.doing = Some((job, what));
        vec![Step::Effect(Effect::Clusters { job, action })]
    }

    fn take(&mut self, file: ClustersFile, cx: &Cx<'_>) -> Vec<Step> {
        self.fault = None;
        self.list.set_rows(file.entries().to_vec(), cx);
        self.file = Some(file);
        match self.wanted.take() {
            Some(name) => self.enter(&name, false),
            None => Vec::new(),
        }
    }

    /// Switches to a cluster; `may_write` also where it is saved as read-only.
    fn enter(&mut self, name: &str, may_write: bool) -> Vec<Step> {
        let Some(file) = &self.file else {
            self.wanted = Some(name.to_owned());
            return Vec::new();
        };
        let target = file.find(name);
        match target.and_then(|entry| Target::of(entry, file.path())) {
            Ok(mut target) => {
                target.read_only &= !may_write;
                vec![Step::Enter(Box::new(target))]
            }
            Err(fault) => vec![Step::Say(Toast::fault(&fault))],
        }
    }
}

impl Screen for Clusters {
    fn place(&self) -> Place {
        Place::Clusters
    }

    fn title(&self) -> String {
        "clusters".to_owned()
    }

    fn status(&self, _cx: &Cx<'_>) -> String {
        match &self.doing {
            Some((_, what)) => what.clone(),
            None => self.list.status(),
        }
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Clusters, Scope::List]
    }

    focused_list!(self.list);

    fn on_open(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        let job = cx.new_job();
        self.reading = Some(job);
        let action = ClustersAction::List;
        vec![Step::Effect(Effect::Clusters { job, action })]
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        // One that was added or edited by the form comes under a number of the form's.
        let is_ours = self.reading == Some(job)
            || self.doing.as_ref().is_some_and(|(ours, _)| *ours == job)
            || matches!(
                answer,
                Some(Answer::ClusterDone(_) | Answer::ClusterNotSaved { .. })
            );
        if !is_ours {
            return Vec::new();
        }
        match answer.take() {
            Some(Answer::Clusters(Ok(file))) => {
                self.reading = None;
                self.take(file, cx)
            }
            Some(Answer::Clusters(Err(fault))) => {
                self.reading = None;
                self.fault = Some(fault);
                Vec::new()
            }
            Some(Answer::ClusterDone(Ok((text, file)))) => {
                self.doing = None;
                let mut steps = self.take(file, cx);
                steps.push(Step::Say(Toast::good(text)));
                steps
            }
            Some(Answer::ClusterDone(Err(fault))) => {
                self.doing = None;
                vec![Step::Say(Toast::fault(&fault))]
            }
            Some(Answer::ClusterNotSaved { tried, fault }) => {
                let key = match &*tried {
                    ClustersAction::Edit { .. } => 'e',
                    _ => 'n',
                };
                let again = format!("{key} opens the form as it was");
                let hint = match &fault.hint {
                    Some(hint) => format!("{hint}; {again}"),
                    None => again,
                };
                self.not_saved = Some(*tried);
                vec![Step::Say(Toast::fault(&fault.with_hint(hint)))]
            }
            _ => Vec::new(),
        }
    }

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        let acts = [Id::AddCluster, Id::EditCluster, Id::TestCluster, Id::Delete];
        if let (Some((_, what)), true) = (&self.doing, acts.contains(&command)) {
            return Some(format!("{what} first"));
        }
        let wants_row = [
            Id::EditCluster,
            Id::TestCluster,
            Id::EnterWriting,
            Id::Delete,
        ];
        match self.list.selected_row() {
            None if wants_row.contains(&command) => Some("no cluster is saved".to_owned()),
            Some(row) if command == Id::EnterWriting && !row.read_only => {
                Some("changes are allowed there: enter switches to it".to_owned())
            }
            _ => None,
        }
    }

    fn run(&mut self, command: Id, argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        if command == Id::AddCluster {
            let tried = self.not_saved.take_if(|tried| tried.is_add());
            let draft = match tried {
                Some(ClustersAction::Add { entry, .. }) => *entry,
                _ => Entry::default(),
            };
            return Some(vec![Step::Dialog(Box::new(form::add(&draft)))]);
        }
        if command == Id::EnterCluster && !argument.is_empty() {
            return Some(self.enter(argument, false));
        }
        let row = self.list.selected_row()?.clone();
        let name = row.name.clone();
        Some(match command {
            Id::Open | Id::EnterCluster => self.enter(&name, false),
            Id::EnterWriting if argument == name => self.enter(&name, true),
            Id::EnterWriting => {
                let title = format!("allow changes to {name}");
                let intro = "It is saved as read-only; this session may change it.";
                let form = forms::typed_name(title, intro, &name, Id::EnterWriting);
                vec![Step::Dialog(Box::new(form))]
            }
            Id::EditCluster => {
                let is_here = cx.target.name.as_deref() == Some(&*name);
                let tried = self.not_saved.take_if(|tried| tried.edits(&row));
                let draft = match tried {
                    Some(ClustersAction::Edit { after, .. }) => *after,
                    _ => row.clone(),
                };
                vec![Step::Dialog(Box::new(form::edit(row, &draft, is_here)))]
            }
            Id::TestCluster => {
                let what = format!("connecting to {name} …");
                self.act(ClustersAction::Test(name), what, cx)
            }
            Id::Delete if argument == name => {
                let what = format!("removing {name} …");
                self.act(ClustersAction::Remove(name), what, cx)
            }
            Id::Delete => {
                let title = format!("remove {name}");
                let intro = "Only what is saved here is forgotten; the cluster stays as it is.";
                let form = forms::typed_name(title, intro, &name, Id::Delete);
                vec![Step::Dialog(Box::new(form))]
            }
            Id::Copy => topics::copy(&row.bootstrap, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        if let Some(fault) = &self.fault {
            let width = usize::from(area.width).saturating_sub(4);
            let hint = fault.hint.iter().map(|hint| (hint.clone(), theme.text));
            let lines = [(fault.to_string(), theme.bad)].into_iter().chain(hint);
            let lines = lines.flat_map(|(text, style)| {
                let parts = format::wrap(&format::clean(&text), width);
                parts.into_iter().map(move |part| (part, style))
            });
            for (y, (line, style)) in (area.y + 1..area.bottom()).zip(lines) {
                frame::text(&line, style, area.x + 2, y, area.width - 2, buffer);
            }
            return;
        }
        if self.list.rows().is_empty() {
            let text = match self.reading {
                Some(_) => "reading …",
                None => "no cluster is saved: n adds one",
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
