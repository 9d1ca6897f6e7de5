//! All consumer groups: state, members, lag.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{cells, topics};
use crate::cluster::Interest;
use crate::derive::{GroupLag, group_lag};
use crate::model::{Committed, Group, GroupDescription, GroupState, TopicOffsets};
use crate::ops::Action;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Part, Place, Screen, Step};
use crate::ui::widgets::list::{Column, Key, List, Named, Rows};

/// One group.
pub struct Row {
    pub group: Arc<Group>,
    pub state: Option<GroupState>,
    pub assignor: Arc<str>,
    pub members: Option<usize>,
    pub topics: Option<usize>,
    pub lag: Option<Sums>,
    /// Why there is no description or no lag.
    pub fault: Option<String>,
    seen: Seen,
}

/// The parts of a group's lag that tables show.
#[derive(Debug, Clone)]
pub struct Sums {
    pub total: crate::derive::Total<i64>,
    pub max: Option<i64>,
    pub with_loss: usize,
    pub owned_percent: u32,
}

impl From<&GroupLag> for Sums {
    fn from(lag: &GroupLag) -> Self {
        Self {
            total: lag.total,
            max: lag.max,
            with_loss: lag.with_loss,
            owned_percent: lag.owned_percent(),
        }
    }
}

/// What a row was made from: while these are the same allocations, so is the row.
#[derive(Default)]
struct Seen {
    description: Option<Arc<GroupDescription>>,
    committed: Option<Arc<Committed>>,
    offsets: Vec<Option<Arc<TopicOffsets>>>,
    n_topics: usize,
}

fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.group.id
    }
}

impl Row {
    fn new(group: &Arc<Group>) -> Self {
        Self {
            group: Arc::clone(group),
            state: group.state.clone(),
            assignor: "".into(),
            members: None,
            topics: None,
            lag: None,
            fault: None,
            seen: Seen::default(),
        }
    }

    /// One group's row, from what is known of it.
    pub fn of(group: &Arc<Group>, cx: &Cx<'_>) -> Self {
        let mut row = Self::new(group);
        row.refresh(cx);
        row
    }

    fn refresh(&mut self, cx: &Cx<'_>) {
        let snapshot = cx.snapshot;
        let description = snapshot.descriptions.get(&self.group.id);
        let committed = snapshot.committed.get(&self.group.id);
        let fault = description
            .and_then(|part| part.fault())
            .or_else(|| committed.and_then(|part| part.fault()));
        self.fault = fault.map(|fault| fault.why.clone());
        let description = description.and_then(|part| part.value());
        let committed = committed.and_then(|part| part.value());
        let offsets = snapshot.offsets.get();
        let n_topics = snapshot
            .metadata
            .get()
            .map_or(0, |metadata| metadata.topics.len());
        let topic_offsets = || {
            let topics = committed
                .iter()
                .flat_map(|committed| committed.topics.keys());
            topics.map(|topic| offsets.and_then(|offsets| offsets.get(topic)))
        };
        let is_current = same(self.seen.description.as_ref(), description)
            && same(self.seen.committed.as_ref(), committed)
            && self.seen.n_topics == n_topics
            && committed.is_some() == self.lag.is_some()
            && topic_offsets().count() == self.seen.offsets.len()
            && topic_offsets()
                .zip(&self.seen.offsets)
                .all(|(now, seen)| same(now, seen.as_ref()));
        if is_current {
            // The list of groups is newer than the description.
            self.state = self.group.state.clone().or_else(|| self.state.take());
            return;
        }
        self.seen = Seen {
            description: description.cloned(),
            committed: committed.cloned(),
            offsets: topic_offsets().map(|offsets| offsets.cloned()).collect(),
            n_topics,
        };
        self.state = self
            .group
            .state
            .clone()
            .or_else(|| description.map(|d| d.state.clone()));
        self.members = description.map(|description| description.members.len());
        if let Some(description) = description {
            self.assignor = Arc::clone(&description.assignor);
        }
        self.topics = committed.map(|committed| committed.topics.len());
        self.lag =
            lag(committed.map(|c| &**c), description.map(|d| &**d), cx).map(|lag| Sums::from(&lag));
    }

    fn state_style(&self, cx: &Cx<'_>) -> Style {
        state_style(self.state.as_ref(), cx)
    }
}

/// The lag of a group, partition by partition.
pub fn lag(
    committed: Option<&Committed>,
    description: Option<&GroupDescription>,
    cx: &Cx<'_>,
) -> Option<GroupLag> {
    let metadata = cx.snapshot.metadata.get()?;
    let offsets = cx.snapshot.offsets.value().cloned().unwrap_or_default();
    let exists = |topic: &str, partition: i32| {
        metadata
            .topic(topic)
            .is_some_and(|topic| topic.partition(partition).is_some())
    };
    Some(group_lag(committed?, &offsets, description, exists))
}

pub fn state_style(state: Option<&GroupState>, cx: &Cx<'_>) -> Style {
    match state {
        Some(GroupState::Stable) => cx.theme.good,
        Some(GroupState::Empty) | None => cx.theme.dim,
        Some(GroupState::Dead) => cx.theme.bad,
        Some(state) if state.is_rebalancing() => cx.theme.warn,
        Some(_) => cx.theme.text,
    }
}

pub const COLUMNS: &[Column<Row>] = &[
    Column::name(
        "GROUP",
        18,
        |row, _| Key::Text(Arc::clone(&row.group.id)),
        |row, cx| cells::foreign(&row.group.id, cx),
    ),
    Column::text(
        "STATE",
        11,
        0,
        |row, _| {
            row.state
                .as_ref()
                .map_or(Key::Unknown, |state| Key::text(state.as_str()))
        },
        |row, cx| match (&row.state, &row.fault) {
            (_, Some(_)) => Span::styled("no answer", cx.theme.warn),
            (Some(state), None) => Span::styled(short_state(state), row.state_style(cx)),
            (None, None) => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::number(
        "LAG",
        13,
        0,
        |row, _| {
            row.lag
                .as_ref()
                .map_or(Key::Unknown, |lag| Key::total(&lag.total, |n| n as f64))
        },
        |row, cx| match &row.lag {
            Some(lag) if lag.total.n_parts() == 0 => cells::dim(format::NONE, cx),
            Some(lag) => cells::total(&lag.total, format::count, cx),
            None => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::number(
        "WORST",
        11,
        2,
        |row, _| Key::int(row.lag.as_ref().and_then(|lag| lag.max)),
        |row, cx| match &row.lag {
            Some(lag) => match lag.max {
                Some(max) => cells::plain(format::count(max), cx),
                None => cells::dim(format::NONE, cx),
            },
            None => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::number(
        "MEMBERS",
        7,
        0,
        |row, _| row.members.map_or(Key::Unknown, Key::size),
        |row, cx| cells::maybe(row.members.map(|n| n as i64), cx),
    ),
    Column::number(
        "TOPICS",
        6,
        3,
        |row, _| row.topics.map_or(Key::Unknown, Key::size),
        |row, cx| cells::maybe(row.topics.map(|n| n as i64), cx),
    ),
    Column::text(
        "TYPE",
        8,
        2,
        |row, _| Key::text(row.group.kind.as_str()),
        |row, cx| cells::plain(row.group.kind.as_str().to_owned(), cx),
    ),
    Column::number(
        "COORD",
        5,
        4,
        |row, _| Key::Int(row.group.coordinator.into()),
        |row, cx| cells::plain(row.group.coordinator.to_string(), cx),
    ),
    Column::number(
        "OWNED",
        5,
        5,
        |row, _| Key::int(row.lag.as_ref().map(|lag| lag.owned_percent)),
        |row, cx| match &row.lag {
            Some(lag) => {
                let style = if lag.owned_percent < 100 {
                    cx.theme.warn
                } else {
                    cx.theme.text
                };
                cells::percent(lag.owned_percent, style)
            }
            None => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::number(
        "LOST",
        5,
        6,
        |row, _| {
            row.lag
                .as_ref()
                .map_or(Key::Unknown, |lag| Key::size(lag.with_loss))
        },
        |row, cx| match &row.lag {
            Some(lag) => cells::bad_count(lag.with_loss, cx.theme.bad, cx),
            None => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::text(
        "ASSIGNOR",
        14,
        7,
        |row, _| Key::text(&row.assignor),
        |row, cx| cells::foreign(&row.assignor, cx),
    ),
];

fn short_state(state: &GroupState) -> String {
    match state {
        GroupState::PreparingRebalance | GroupState::CompletingRebalance => {
            "rebalancing".to_owned()
        }
        other => format::clean(other.as_str()).to_lowercase(),
    }
}

/// The screen.
#[derive(Debug)]
pub struct GroupsScreen {
    list: List<Row>,
}

impl GroupsScreen {
    pub fn new() -> Self {
        Self {
            list: List::new(COLUMNS),
        }
    }

    fn chosen(&self) -> Vec<String> {
        self.list
            .chosen()
            .iter()
            .map(|row| row.group.id.to_string())
            .collect()
    }
}

impl Screen for GroupsScreen {
    fn place(&self) -> Place {
        Place::Groups
    }

    fn title(&self) -> String {
        "groups".to_owned()
    }

    fn status(&self, cx: &Cx<'_>) -> String {
        let mut status = self.list.status();
        if let Some(groups) = cx
            .snapshot
            .groups
            .get()
            .filter(|groups| !groups.faults.is_empty())
        {
            let missing = format::plural(groups.faults.len(), "broker");
            status.push_str(&format!(" · without those of {missing}"));
        }
        status
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Groups, Scope::List]
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        Interest {
            all_groups: true,
            ..Interest::default()
        }
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        let mut groups = Part::of("groups", &cx.snapshot.groups);
        let missing = cx
            .snapshot
            .groups
            .get()
            .and_then(|g| g.faults.values().next().cloned());
        groups.fault = groups.fault.or(missing);
        vec![groups, Part::of("offsets", &cx.snapshot.offsets)]
    }

    fn list(&mut self) -> Option<&mut dyn Rows> {
        Some(&mut self.list)
    }

    fn list_ref(&self) -> Option<&dyn Rows> {
        Some(&self.list)
    }

    fn on_data(&mut self, cx: &Cx<'_>) {
        let Some(groups) = cx.snapshot.groups.get() else {
            return;
        };
        let (old, selected) = self.list.take_rows();
        let mut old = old.into_iter().peekable();
        let mut rows = Vec::with_capacity(groups.groups.len());
        for group in groups.groups.values() {
            while old.next_if(|row| row.group.id < group.id).is_some() {}
            let kept = old.next_if(|row| row.group.id == group.id);
            let mut row = kept.unwrap_or_else(|| Row::new(group));
            row.group = Arc::clone(group);
            row.refresh(cx);
            rows.push(row);
        }
        self.list.give_rows(rows, selected, cx);
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        let row = self.list.selected_row()?;
        Some(match command {
            Id::Open => vec![Step::Push(Place::Group(row.group.id.to_string()))],
            Id::Delete => vec![Step::Plan(Action::DeleteGroups(self.chosen()))],
            Id::Copy => topics::copy(&row.group.id, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        self.list.draw(cx, true, area, buffer);
    }
}
