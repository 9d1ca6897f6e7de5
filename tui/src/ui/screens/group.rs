//! One group: members with what they own, lag per partition, and what changed while one looked.

mod lags;
mod members;
mod tasks;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

pub use self::lags::time_text;
use self::lags::{LAG_COLUMNS, LagRow, labelled, note};
use self::members::{differences, member_name, owners_of, owns, tasks as tasks_text};
use self::tasks::{TASK_COLUMNS, TaskRow};
use super::watch::Watch;
use super::{ResetDialog, absent, cells, groups, topics};
use crate::cluster::Interest;
use crate::derive::{
    GroupDetail, GroupLag, Lag, LagDetail, PartitionLag, group_detail, streams_complaints,
};
use crate::model::{GroupDescription, GroupKind, GroupLook, GroupState, Member};
use crate::ops::Action;
use crate::ops::offsets::forget_topic;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step, Toast};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Key, List, Named, Rows};

/// From so many lines on, what is said of the whole group may take two.
const HIGH: u16 = 16;

/// Changes that are remembered.
const HISTORY_MAX: usize = 200;

/// One member.
pub struct MemberRow {
    id: Arc<str>,
    client: Arc<str>,
    host: Arc<str>,
    /// Of a streams group the process, whose members share a state folder.
    instance: Option<Arc<str>>,
    epoch: Option<i32>,
    n_partitions: usize,
    owns: String,
    lag: Option<i64>,
}

impl Named for MemberRow {
    fn name(&self) -> &str {
        &self.id
    }
}

const MEMBER_COLUMNS: &[Column<MemberRow>] = &[
    Column::wide(
        "CLIENT",
        18,
        0,
        |row, _| Key::text(&row.client),
        |row, cx| cells::foreign(&row.client, cx),
    ),
    Column::text(
        "HOST",
        16,
        1,
        |row, _| Key::text(&row.host),
        |row, cx| cells::foreign(row.host.trim_start_matches('/'), cx),
    ),
    Column::number(
        "PART",
        5,
        0,
        |row, _| Key::size(row.n_partitions),
        |row, cx| cells::count(row.n_partitions, cx),
    ),
    Column::number(
        "LAG",
        11,
        0,
        |row, _| Key::int(row.lag),
        |row, cx| cells::maybe(row.lag, cx),
    ),
    Column::wide(
        "OWNS",
        20,
        1,
        |row, _| Key::text(&row.owns),
        |row, cx| cells::foreign(&row.owns, cx),
    ),
    Column::text(
        "INSTANCE",
        14,
        4,
        |row, _| row.instance.as_deref().map_or(Key::Unknown, Key::text),
        |row, cx| match &row.instance {
            Some(instance) => cells::foreign(instance, cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::number(
        "EPOCH",
        5,
        3,
        |row, _| Key::int(row.epoch),
        |row, cx| match row.epoch {
            Some(epoch) => cells::plain(epoch.to_string(), cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::wide(
        "MEMBER ID",
        38,
        5,
        |row, _| Key::Text(Arc::clone(&row.id)),
        |row, cx| Span::styled(format::clean(&row.id).into_owned(), cx.theme.dim),
    ),
];

/// One change that was seen.
pub struct Change {
    name: String,
    at_ms: i64,
    what: String,
}

impl Named for Change {
    fn name(&self) -> &str {
        &self.name
    }
}

const HISTORY_COLUMNS: &[Column<Change>] = &[
    Column::text(
        "TIME",
        8,
        0,
        |row, _| Key::Int(row.at_ms),
        |row, cx| cells::dim(format::clock_ms(row.at_ms), cx),
    ),
    Column::rest(
        "CHANGE",
        40,
        0,
        |row, _| Key::text(&row.what),
        |row, cx| cells::foreign(&row.what, cx),
    ),
];

/// Which list has the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pane {
    Lag,
    Members,
    /// Of a streams group only.
    Tasks,
    History,
}

/// The parts of the cluster that are shown.
const SHOWN: Changed = Changed::METADATA
    .and(Changed::OFFSETS)
    .and(Changed::GROUPS)
    .and(Changed::GROUP_DETAILS);

/// The screen.
#[derive(Debug)]
pub struct GroupScreen {
    id: String,
    pane: Pane,
    lags: List<LagRow>,
    members: List<MemberRow>,
    tasks: List<TaskRow>,
    /// Why a streams group does not run as it should.
    complaints: Vec<String>,
    history: List<Change>,
    changes: VecDeque<(i64, String)>,
    n_changes: usize,
    /// What the history was compared with last.
    seen: Option<Arc<GroupDescription>>,
    lag: Option<GroupLag>,
    /// Looks closely again and again.
    watch: Watch,
    /// What it found, until it is told.
    look: Option<Arc<GroupLook>>,
    detail: Option<GroupDetail>,
    exists: bool,
}

impl GroupScreen {
    pub fn new(id: String) -> Self {
        Self {
            id,
            pane: Pane::Lag,
            lags: List::new(LAG_COLUMNS),
            members: List::new(MEMBER_COLUMNS),
            tasks: List::new(TASK_COLUMNS),
            complaints: Vec::new(),
            history: List::sorted_by(HISTORY_COLUMNS, 0, true),
            changes: VecDeque::new(),
            n_changes: 0,
            seen: None,
            lag: None,
            watch: Watch::default(),
            look: None,
            detail: None,
            exists: true,
        }
    }

    fn note_changes(&mut self, now: &Arc<GroupDescription>, at_ms: i64) {
        let before = self.seen.replace(Arc::clone(now));
        let changes = match before {
            Some(before) if Arc::ptr_eq(&before, now) => return,
            Some(before) => differences(&before, now),
            None => {
                let members = format::plural(now.members.len(), "member");
                vec![format!(
                    "{} with {members} when this screen was opened",
                    now.state
                )]
            }
        };
        for change in changes {
            if self.changes.len() == HISTORY_MAX {
                self.changes.pop_front();
            }
            self.n_changes += 1;
            self.changes.push_back((at_ms, change));
        }
    }

    /// What a look tells needs the topics, which may be known only after it.
    fn take_look(&mut self, cx: &Cx<'_>) {
        if let Some(metadata) = cx.snapshot.metadata.get()
            && let Some(look) = self.look.take()
        {
            self.detail = Some(group_detail(&look, metadata));
        }
    }

    /// What the last look told of a partition, as long as its lag is about the same.
    fn detail_of(&self, partition: &PartitionLag) -> Option<LagDetail> {
        let details = &self.detail.as_ref()?.partitions;
        let mut details = details.iter();
        let is_it = |d: &&LagDetail| {
            d.row.partition == partition.partition && d.row.topic == partition.topic
        };
        details.find(is_it).cloned()
    }

    fn description<'a>(&self, cx: &Cx<'a>) -> Option<&'a Arc<GroupDescription>> {
        cx.snapshot.descriptions.get(self.id.as_str())?.value()
    }

    fn set_rows(&mut self, cx: &Cx<'_>) {
        let description = self.description(cx).cloned();
        let committed = cx
            .snapshot
            .committed
            .get(self.id.as_str())
            .and_then(|part| part.value());
        let lag = groups::lag(committed.map(|c| &**c), description.as_deref(), cx);
        let is_shared = description
            .as_ref()
            .is_some_and(|d| d.kind == GroupKind::Share);
        let members = description.iter().flat_map(|d| d.members.iter());
        let names: Vec<String> = members.clone().map(member_name).collect();
        let mut lags: Vec<Option<i64>> = vec![Some(0); names.len()];
        let mut rows = Vec::new();
        for partition in lag.iter().flat_map(|lag| lag.partitions.iter()) {
            if let Some(sum) = partition.member.and_then(|at| lags.get_mut(at)) {
                // What was never committed adds nothing that is known.
                let add = match partition.lag {
                    Lag::NoCommit => Some(0),
                    lag => lag.records(),
                };
                *sum = sum.zip(add).map(|(sum, add)| sum + add);
            }
            let mut owner = partition.member.and_then(|at| names.get(at).cloned());
            if is_shared {
                let owners = owners_of(
                    description.as_deref(),
                    &partition.topic,
                    partition.partition,
                );
                owner = owner
                    .filter(|_| owners < 2)
                    .or((owners > 1).then(|| format::plural(owners, "member")));
            }
            rows.push(LagRow {
                name: format!("{}-{}", partition.topic, partition.partition),
                owner,
                is_shared,
                detail: self.detail_of(partition),
                lag: partition.clone(),
            });
        }
        let member_row = |(at, member): (usize, &Member)| MemberRow {
            id: Arc::clone(&member.id),
            client: Arc::clone(&member.client_id),
            host: Arc::clone(&member.host),
            instance: (member.instance_id.clone())
                .or_else(|| Some(Arc::clone(&member.streams.as_ref()?.process_id))),
            epoch: member.epoch,
            n_partitions: member.n_partitions(),
            owns: match (&member.undecoded, &member.streams) {
                (Some(undecoded), _) => undecoded.clone(),
                (None, Some(streams)) => tasks_text(&streams.tasks),
                (None, None) => owns(&member.assignment),
            },
            lag: if lag.is_some() {
                lags.get(at).copied().flatten()
            } else {
                None
            },
        };
        self.members
            .set_rows(members.enumerate().map(member_row).collect(), cx);
        let streams = description.as_deref().filter(|d| d.topology.is_some());
        let tasks = streams.map(|group| tasks::rows(group, lag.as_ref()));
        self.tasks.set_rows(tasks.unwrap_or_default(), cx);
        self.complaints = (streams.zip(cx.snapshot.metadata.get()))
            .map(|(group, metadata)| streams_complaints(group, metadata))
            .unwrap_or_default();
        self.lags.set_rows(rows, cx);
        let first = self.n_changes - self.changes.len();
        let change = |(at, (at_ms, what)): (usize, &(i64, String))| Change {
            name: (first + at).to_string(),
            // Changes of one moment keep their order.
            at_ms: *at_ms,
            what: what.clone(),
        };
        self.history
            .set_rows(self.changes.iter().enumerate().map(change).collect(), cx);
        self.lag = lag;
    }

    /// The marked partitions as the form writes them.
    fn marked_topics(&self) -> Option<String> {
        if self.lags.n_marked() == 0 {
            return None;
        }
        let marked = self.lags.chosen();
        let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for row in &marked {
            let ids = topics.entry(&row.lag.topic).or_default();
            ids.push(row.lag.partition.to_string());
        }
        let text = |(topic, ids): (&str, Vec<String>)| format!("{topic}:{}", ids.join(","));
        let texts: Vec<String> = topics.into_iter().map(text).collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    }

    /// What is to be said of the whole group; how many lines it took.
    fn draw_summary(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> u16 {
        let theme = cx.theme;
        let group = cx
            .snapshot
            .groups
            .get()
            .and_then(|g| g.groups.get(self.id.as_str()));
        let description = self.description(cx);
        let listed = group.and_then(|group| group.state.clone());
        let state: Option<GroupState> = listed.or_else(|| description.map(|d| d.state.clone()));
        let word = state
            .as_ref()
            .map_or(format::UNKNOWN.to_owned(), groups::short_state);
        let style = groups::state_style(state.as_ref(), cx);
        let mut parts = vec![vec![Span::styled(word, style)]];
        let mut add = |label: &str, text: String, style: Style| {
            parts.push(labelled(label, text, style, cx));
        };
        match &self.lag {
            Some(lag) => {
                let total = if lag.total.n_parts() == 0 {
                    format::NONE.to_owned()
                } else {
                    format::total(&lag.total, format::count)
                };
                add("lag", total, theme.title);
                if lag.owned_percent() < 100 && !lag.partitions.is_empty() {
                    add("owned", format!("{}%", lag.owned_percent()), theme.warn);
                }
                if lag.with_loss > 0 {
                    let partitions = format::plural(lag.with_loss, "partition");
                    add("lost in", partitions, theme.bad);
                }
            }
            None => add("lag", format::UNKNOWN.to_owned(), theme.dim),
        }
        let detail = self.detail.as_ref();
        parts.extend(
            detail
                .map(|detail| lags::summary(detail, cx))
                .unwrap_or_default(),
        );
        let mut add = |label: &str, text: String| {
            parts.push(labelled(label, text, theme.text, cx));
        };
        if let Some(description) = description {
            add("members", description.members.len().to_string());
        }
        if let Some(group) = group {
            add("type", format::clean(group.kind.as_str()).into_owned());
            add("coordinator", group.coordinator.to_string());
        }
        if let Some(description) = description {
            if let Some(epoch) = description.group_epoch {
                add("epoch", epoch.to_string());
                if let Some(at) = description.assignment_epoch.filter(|at| *at != epoch) {
                    add("assigned", at.to_string());
                }
            }
            if !description.assignor.is_empty() {
                let assignor = format::clean(&description.assignor).into_owned();
                add("assignor", assignor);
            }
            parts.extend(tasks::summary(description, cx));
        }
        frame::parts(parts, area, buffer)
    }

    fn has_tasks(&self) -> bool {
        !self.tasks.rows().is_empty() || self.pane == Pane::Tasks
    }

    /// What a streams group waits for, a line each below the tabs; how many.
    fn draw_complaints(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> u16 {
        let room = usize::from(area.height.saturating_sub(4).min(4));
        let shown = self.complaints.iter().take(room);
        let mut n = 0;
        for (line, y) in shown.zip(area.y..) {
            let (text, width) = (format::clean(line), area.width.saturating_sub(2));
            frame::text(&text, cx.theme.bad, area.x + 1, y, width, buffer);
            n += 1;
        }
        n
    }

    /// The partitions, and below them in full what is to be said of the selected one.
    fn draw_lags(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let note = self.lags.selected_row().and_then(note);
        let below = u16::from(note.is_some()).min(area.height);
        let list = Rect {
            height: area.height - below,
            ..area
        };
        self.lags.draw(cx, true, list, buffer);
        if let Some(note) = note {
            let width = area.width.saturating_sub(2);
            frame::text(
                &note,
                cx.theme.warn,
                area.x + 1,
                list.bottom(),
                width,
                buffer,
            );
        }
    }

    fn draw_tabs(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let tab = |pane: Pane, text: String| {
            let style = if self.pane == pane {
                theme.title
            } else {
                theme.dim
            };
            Span::styled(format!(" {text} "), style)
        };
        let mut tabs = vec![
            tab(Pane::Lag, format!("partitions {}", self.lags.rows().len())),
            tab(
                Pane::Members,
                format!("members {}", self.members.rows().len()),
            ),
        ];
        if self.has_tasks() {
            tabs.push(tab(
                Pane::Tasks,
                format!("tasks {}", self.tasks.rows().len()),
            ));
        }
        tabs.push(tab(
            Pane::History,
            format!("history {}", self.changes.len()),
        ));
        let mut spans = Vec::new();
        for tab in tabs {
            if !spans.is_empty() {
                spans.push(Span::styled("│", theme.border));
            }
            spans.push(tab);
        }
        spans.push(Span::styled(
            "─".repeat(usize::from(area.width)),
            theme.border,
        ));
        frame::line(spans, area.x, area.y, area.width, buffer);
    }
}

impl Screen for GroupScreen {
    fn place(&self) -> Place {
        Place::Group(self.id.clone())
    }

    fn title(&self) -> String {
        self.id.clone()
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Group, Scope::Panes, Scope::List]
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        Interest {
            groups: vec![self.id.as_str().into()],
            ..Interest::default()
        }
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        let snapshot = cx.snapshot;
        let mut parts = vec![Part::of("groups", &snapshot.groups)];
        if let Some(part) = snapshot.descriptions.get(self.id.as_str()) {
            parts.push(Part::of("description", part));
        }
        if let Some(part) = snapshot.committed.get(self.id.as_str()) {
            parts.push(Part::of("committed offsets", part));
        }
        parts.push(Part::of("offsets", &snapshot.offsets));
        parts
    }

    fn list(&mut self) -> Option<&mut dyn Rows> {
        Some(match self.pane {
            Pane::Lag => &mut self.lags,
            Pane::Members => &mut self.members,
            Pane::Tasks => &mut self.tasks,
            Pane::History => &mut self.history,
        })
    }

    fn list_ref(&self) -> Option<&dyn Rows> {
        Some(match self.pane {
            Pane::Lag => &self.lags,
            Pane::Members => &self.members,
            Pane::Tasks => &self.tasks,
            Pane::History => &self.history,
        })
    }

    fn status(&self, _cx: &Cx<'_>) -> String {
        match self.list_ref() {
            Some(list) if !list.filter().is_empty() => list.status(),
            _ => String::new(),
        }
    }

    fn shows(&self) -> Changed {
        SHOWN
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
        if let Some(groups) = cx.snapshot.groups.get() {
            self.exists = groups.groups.contains_key(self.id.as_str()) || !groups.faults.is_empty();
        }
        if let Some(part) = cx.snapshot.descriptions.get(self.id.as_str())
            && let (Some(description), Some(taken)) = (part.value(), part.taken())
        {
            self.note_changes(&Arc::clone(description), taken.wall_ms);
        }
        self.take_look(cx);
        self.set_rows(cx);
    }

    fn on_open(&mut self, cx: &Cx<'_>) -> Vec<Step> {
        let group = self.id.clone();
        let watch = |job| Effect::WatchGroup { job, group };
        self.watch.begin(cx, watch)
    }

    fn on_close(&mut self) -> Vec<JobId> {
        self.watch.end()
    }

    fn on_answer(&mut self, job: JobId, answer: &mut Option<Answer>, cx: &Cx<'_>) -> Vec<Step> {
        // What the poller reads has its own place for failures.
        if let Some(Answer::GroupLooked(Ok(look))) = self.watch.found(job, answer) {
            self.look = Some(look);
            self.take_look(cx);
            self.set_rows(cx);
        }
        Vec::new()
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        Some(match command {
            Id::Timeline => vec![Step::Push(Place::Timeline(self.id.clone()))],
            Id::NextPane => {
                self.pane = match self.pane {
                    Pane::Lag => Pane::Members,
                    Pane::Members if self.has_tasks() => Pane::Tasks,
                    Pane::Members | Pane::Tasks => Pane::History,
                    Pane::History => Pane::Lag,
                };
                Vec::new()
            }
            Id::Open => match self.pane {
                Pane::Lag => {
                    let row = self.lags.selected_row()?;
                    vec![Step::Push(Place::Topic(row.lag.topic.to_string()))]
                }
                Pane::Members | Pane::Tasks | Pane::History => Vec::new(),
            },
            Id::Delete => vec![Step::Plan(Action::DeleteGroups(vec![self.id.clone()]))],
            Id::ResetOffsets => {
                let dialog = ResetDialog::new(&self.id, self.marked_topics().as_deref());
                vec![Step::Dialog(Box::new(dialog))]
            }
            Id::DeleteOffsets => {
                let row = self.lags.selected_row()?;
                match forget_topic(cx.snapshot, &self.id, &row.lag.topic) {
                    Ok(alter) => vec![Step::Plan(Action::AlterOffsets(alter))],
                    Err(fault) => vec![Step::Say(Toast::fault(&fault))],
                }
            }
            Id::Copy => match self.pane {
                Pane::Members => topics::copy(&self.members.selected_row()?.id, cx),
                Pane::Lag => topics::copy(&self.lags.selected_row()?.name, cx),
                Pane::Tasks => topics::copy(self.tasks.selected_row()?.name(), cx),
                Pane::History => topics::copy(&self.history.selected_row()?.what, cx),
            },
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let above = if !self.exists {
            let unseen = match absent::is_partial(cx) {
                true => ", or this user may not see it",
                false => " any more",
            };
            let text = format!("there is no group \"{}\"{unseen}", format::clean(&self.id));
            let (x, width) = (area.x + 1, area.width - 2);
            frame::text(&text, cx.theme.warn, x, area.y, width, buffer);
            1
        } else {
            let lines = if area.height < HIGH { 1 } else { 2 };
            let top = Rect {
                height: lines,
                ..area
            };
            self.draw_summary(cx, top, buffer)
        };
        let tabs = Rect {
            y: area.y + above,
            height: 1,
            ..area
        };
        self.draw_tabs(cx, tabs, buffer);
        let mut rest = Rect {
            y: tabs.bottom(),
            height: area.height.saturating_sub(above + 1),
            ..area
        };
        let n_lines = self.draw_complaints(cx, rest, buffer);
        rest.y += n_lines;
        rest.height -= n_lines;
        match self.pane {
            Pane::Lag => self.draw_lags(cx, rest, buffer),
            Pane::Members => self.members.draw(cx, true, rest, buffer),
            Pane::Tasks => self.tasks.draw(cx, true, rest, buffer),
            Pane::History => self.history.draw(cx, true, rest, buffer),
        }
    }
}
