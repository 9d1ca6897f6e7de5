//! All consumer groups: state, members, lag.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::group::time_text;
use super::{ResetDialog, absent, cells, topics};
use crate::cluster::Interest;
use crate::derive::{ConsumerVerdict, GroupLag, GroupTotals, TimeBy, group_totals, lag_in};
use crate::model::{Committed, Fault, FaultKind, Group, GroupDescription, GroupKind, GroupState};
use crate::ops::Action;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step, focused_list};
use crate::ui::widgets::list::{Column, Key, List, Named, Rows};

/// One group. Its lag is computed when it is drawn or sorted by, and kept until something that it
/// is made from is read again.
#[derive(Debug)]
pub struct Row {
    pub group: Arc<Group>,
    description: Option<Arc<GroupDescription>>,
    committed: Option<Arc<Committed>>,
    /// Why there is no description or no lag.
    pub fault: Option<Arc<Fault>>,
    lag: OnceCell<Option<GroupTotals>>,
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
            description: None,
            committed: None,
            fault: None,
            lag: OnceCell::new(),
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
        let fault = description.and_then(|part| part.fault());
        self.fault = fault
            .or_else(|| committed.and_then(|part| part.fault()))
            .cloned();
        self.description = description.and_then(|part| part.value()).cloned();
        self.committed = committed.and_then(|part| part.value()).cloned();
        self.lag.take();
    }

    /// The list of groups is newer than the description.
    fn state(&self) -> Option<&GroupState> {
        let described = || {
            self.description
                .as_ref()
                .map(|description| &description.state)
        };
        self.group.state.as_ref().or_else(described)
    }

    fn members(&self) -> Option<usize> {
        self.description
            .as_ref()
            .map(|description| description.members.len())
    }

    fn topics(&self) -> Option<usize> {
        if self.group.kind == GroupKind::Share {
            let members = self.description.iter().flat_map(|d| d.members.iter());
            let topics = members.flat_map(|m| m.assignment.iter().map(|owned| &owned.topic));
            let topics: BTreeSet<_> = topics.collect();
            return self.description.as_ref().map(|_| topics.len());
        }
        self.committed
            .as_ref()
            .map(|committed| committed.topics.len())
    }

    fn assignor(&self) -> &str {
        self.description
            .as_ref()
            .map_or("", |description| &description.assignor)
    }

    /// Its lag, as far as it is known.
    pub fn lag(&self, cx: &Cx<'_>) -> Option<&GroupTotals> {
        let compute = || {
            let metadata = cx.snapshot.metadata.get()?;
            let committed = self.committed.as_deref()?;
            let offsets = cx.snapshot.offsets.get();
            Some(group_totals(
                committed,
                offsets,
                self.description.as_deref(),
                metadata,
            ))
        };
        self.lag.get_or_init(compute).as_ref()
    }

    /// How long ago the logs ended where it is, interpolated; of the past nothing is kept.
    pub fn lag_ms(&self, cx: &Cx<'_>) -> Option<i64> {
        if cx.is_past {
            return None;
        }
        let committed = self.committed.as_deref()?;
        cx.ends.group_lag_ms(committed, cx.now.wall_ms)
    }

    /// Burrow's, from what was committed while one looked; of the past nothing is kept.
    pub fn verdict(&self, cx: &Cx<'_>) -> Option<ConsumerVerdict> {
        if cx.is_past || self.group.kind == GroupKind::Share {
            return None;
        }
        let judged = cx.commits.verdict(&self.group.id, cx.snapshot);
        judged.map(|judged| judged.verdict)
    }

    /// Whether a verdict will come.
    fn is_watched(&self, cx: &Cx<'_>) -> bool {
        !cx.is_past && self.group.kind != GroupKind::Share && cx.commits.is_watched(&self.group.id)
    }

    fn state_style(&self, cx: &Cx<'_>) -> Style {
        state_style(self.state(), cx)
    }
}

/// The lag of a group, partition by partition.
pub fn lag(
    committed: Option<&Committed>,
    description: Option<&GroupDescription>,
    cx: &Cx<'_>,
) -> Option<GroupLag> {
    lag_in(cx.snapshot, committed?, description)
}

pub fn verdict_style(verdict: ConsumerVerdict, cx: &Cx<'_>) -> Style {
    match verdict {
        ConsumerVerdict::Ok => cx.theme.dim,
        ConsumerVerdict::Warning => cx.theme.warn,
        _ => cx.theme.bad,
    }
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
        16,
        |row, _| Key::Text(Arc::clone(&row.group.id)),
        |row, cx| cells::foreign(&row.group.id, cx),
    ),
    Column::text(
        "STATE",
        11,
        1,
        |row, _| {
            row.state()
                .map_or(Key::Unknown, |state| Key::text(state.as_str()))
        },
        |row, cx| match (row.state(), &row.fault) {
            // The list of groups is all that there is of this kind.
            (Some(state), Some(fault)) if fault.kind == FaultKind::Unsupported => {
                Span::styled(short_state(state), row.state_style(cx))
            }
            (_, Some(_)) => Span::styled("no answer", cx.theme.warn),
            (Some(state), None) => Span::styled(short_state(state), row.state_style(cx)),
            (None, None) => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::number(
        "LAG",
        11,
        0,
        |row, cx| {
            row.lag(cx)
                .map_or(Key::Unknown, |lag| Key::total(&lag.total, |n| n as f64))
        },
        |row, cx| match row.lag(cx) {
            Some(lag) if lag.total.n_parts() == 0 => cells::dim(format::NONE, cx),
            Some(lag) => cells::total(&lag.total, format::count, cx),
            None => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::number(
        "TIME",
        6,
        2,
        |row, cx| Key::int(row.lag_ms(cx)),
        |row, cx| match row.lag_ms(cx) {
            Some(ms) => cells::plain(time_text(ms, TimeBy::Interpolated), cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::text(
        // Stays in the narrowest terminal: what is wrong with a group is worth more than its state.
        "VERDICT",
        7,
        0,
        |row, cx| {
            let verdict = row.verdict(cx);
            verdict.map_or(Key::Unknown, |verdict| Key::Int(verdict as i64))
        },
        |row, cx| match row.verdict(cx) {
            Some(verdict) => Span::styled(verdict.as_str(), verdict_style(verdict, cx)),
            None if row.is_watched(cx) => cells::dim(format::UNKNOWN, cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::number(
        "WORST",
        11,
        4,
        |row, cx| Key::int(row.lag(cx).and_then(|lag| lag.max)),
        |row, cx| match row.lag(cx) {
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
        2,
        |row, _| row.members().map_or(Key::Unknown, Key::size),
        |row, cx| cells::maybe(row.members().map(|n| n as i64), cx),
    ),
    Column::number(
        "TOPICS",
        6,
        4,
        |row, _| row.topics().map_or(Key::Unknown, Key::size),
        |row, cx| cells::maybe(row.topics().map(|n| n as i64), cx),
    ),
    Column::text(
        "TYPE",
        8,
        3,
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
        |row, cx| Key::int(row.lag(cx).map(|lag| lag.owned_percent())),
        |row, cx| match row.lag(cx) {
            Some(lag) => {
                let percent = lag.owned_percent();
                cells::percent(percent, cells::should_be_all(percent, cx))
            }
            None => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::number(
        "LOST",
        5,
        6,
        |row, cx| {
            row.lag(cx)
                .map_or(Key::Unknown, |lag| Key::size(lag.with_loss))
        },
        |row, cx| match row.lag(cx) {
            Some(lag) => cells::bad_count(lag.with_loss, cx.theme.bad, cx),
            None => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::text(
        "ASSIGNOR",
        14,
        7,
        |row, _| Key::text(row.assignor()),
        |row, cx| cells::foreign(row.assignor(), cx),
    ),
];

/// A state in the words of all screens.
pub fn short_state(state: &GroupState) -> String {
    match state {
        GroupState::PreparingRebalance | GroupState::CompletingRebalance => {
            "rebalancing".to_owned()
        }
        GroupState::NotReady => "not ready".to_owned(),
        other => format::clean(other.as_str()).to_lowercase(),
    }
}

/// The parts of the cluster that are shown.
const SHOWN: Changed = Changed::METADATA
    .and(Changed::OFFSETS)
    .and(Changed::GROUPS)
    .and(Changed::GROUP_DETAILS);

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

    focused_list!(self.list);

    fn shows(&self) -> Changed {
        SHOWN
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
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
            Id::ResetOffsets => {
                vec![Step::Dialog(Box::new(ResetDialog::new(
                    &row.group.id,
                    None,
                )))]
            }
            Id::Copy => topics::copy(&row.group.id, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        if self.list.rows().is_empty() {
            return absent::draw(&cx.snapshot.groups, "there are no groups", cx, area, buffer);
        }
        self.list.draw(cx, true, area, buffer);
    }
}
