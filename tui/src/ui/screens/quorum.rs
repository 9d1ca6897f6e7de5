//! The metadata quorum and the feature levels of the cluster.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

mod forms;

use super::{absent, cells};
use crate::derive::{self, feature_level_name};
use crate::model::{FeatureLevel, QuorumReplica};
use crate::ops::{Action, QuorumAction};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step, focused_list};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Clicked, Column, Key, List, Named, Rows};

/// One node that follows the metadata log.
pub struct Node {
    name: String,
    replica: QuorumReplica,
    role: &'static str,
    /// Whether it has fetched lately.
    follows: bool,
}

impl Named for Node {
    fn name(&self) -> &str {
        &self.name
    }
}

/// A moment: ages change by themselves, and then the screen would never be still.
fn moment(at_ms: Option<i64>, cx: &Cx<'_>) -> Span<'static> {
    match at_ms.filter(|at| *at >= 0) {
        Some(at) => cells::plain(format::clock_ms(at), cx),
        None => cells::dim(format::NONE, cx),
    }
}

const NODES: &[Column<Node>] = &[
    Column::number(
        "NODE",
        6,
        0,
        |row, _| Key::Int(row.replica.id.into()),
        |row, cx| cells::plain(row.replica.id.to_string(), cx),
    ),
    Column::text(
        "ROLE",
        9,
        0,
        |row, _| Key::text(row.role),
        |row, cx| {
            let style = if row.role == "leader" {
                cx.theme.accent
            } else {
                cx.theme.text
            };
            Span::styled(row.role, style)
        },
    ),
    Column::number(
        "LOG END",
        13,
        0,
        |row, _| Key::Int(row.replica.log_end_offset),
        |row, cx| {
            cells::maybe(
                Some(row.replica.log_end_offset).filter(|offset| *offset >= 0),
                cx,
            )
        },
    ),
    Column::number(
        "BEHIND",
        9,
        0,
        |row, _| Key::int(row.replica.lag),
        |row, cx| {
            let style = if row.replica.lag.unwrap_or(0) > 0 {
                cx.theme.warn
            } else {
                cx.theme.text
            };
            let text = row
                .replica
                .lag
                .map_or(format::UNKNOWN.to_owned(), format::count);
            Span::styled(text, style)
        },
    ),
    Column::text(
        "FETCHED AT",
        10,
        2,
        |row, _| Key::int(row.replica.last_fetch_ms),
        |row, cx| {
            let fetched = moment(row.replica.last_fetch_ms, cx);
            if row.follows {
                fetched
            } else {
                fetched.style(cx.theme.warn)
            }
        },
    ),
    Column::text(
        "CAUGHT UP",
        10,
        3,
        |row, _| Key::int(row.replica.last_caught_up_ms),
        |row, cx| moment(row.replica.last_caught_up_ms, cx),
    ),
    Column::wide(
        "DIRECTORY",
        22,
        4,
        |row, _| {
            row.replica
                .directory_id
                .as_deref()
                .map_or(Key::Unknown, Key::text)
        },
        |row, cx| cells::dim(row.replica.directory_id.clone().unwrap_or_default(), cx),
    ),
];

impl Named for FeatureLevel {
    fn name(&self) -> &str {
        &self.name
    }
}

const FEATURES: &[Column<FeatureLevel>] = &[
    Column::name(
        "FEATURE",
        24,
        |row, _| Key::text(&row.name),
        |row, cx| cells::foreign(&row.name, cx),
    ),
    Column::number(
        "LEVEL",
        7,
        0,
        |row, _| Key::int(row.finalized),
        |row, cx| match row.finalized {
            Some(level) => cells::plain(level.to_string(), cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::text(
        "NAME",
        8,
        2,
        |row, _| Key::int(row.finalized),
        |row, cx| {
            let level = row.finalized;
            let name = level.and_then(|level| feature_level_name(&row.name, level));
            cells::plain(name.unwrap_or_default(), cx)
        },
    ),
    Column::number(
        "FROM",
        6,
        1,
        |row, _| Key::Int(row.supported_min.into()),
        |row, cx| cells::dim(row.supported_min.to_string(), cx),
    ),
    Column::number(
        "TO",
        6,
        1,
        |row, _| Key::Int(row.supported_max.into()),
        |row, cx| cells::dim(row.supported_max.to_string(), cx),
    ),
    Column::wide(
        "BY BROKER",
        16,
        3,
        |row, _| Key::size(row.nodes.len()),
        |row, cx| cells::dim(by_broker(row), cx),
    ),
];

/// What each broker can do, where not all can do the same.
fn by_broker(row: &FeatureLevel) -> String {
    let mut ranges = row.nodes.iter().map(|node| (node.min, node.max));
    let first = ranges.next();
    match first {
        None => String::new(),
        Some(first) if ranges.all(|range| range == first) => "all the same".to_owned(),
        Some(_) => {
            let node = |node: &crate::model::NodeLevels| {
                format!("{}: {}-{}", node.node, node.min, node.max)
            };
            let nodes: Vec<String> = row.nodes.iter().map(node).collect();
            nodes.join("  ")
        }
    }
}

/// The parts of the cluster that are shown.
const SHOWN: Changed = Changed::QUORUM.and(Changed::FEATURES);

/// The screen.
#[derive(Debug)]
pub struct QuorumScreen {
    nodes: List<Node>,
    features: List<FeatureLevel>,
    features_focused: bool,
}

impl QuorumScreen {
    pub fn new() -> Self {
        Self {
            nodes: List::new(NODES),
            features: List::new(FEATURES),
            features_focused: false,
        }
    }
}

impl Screen for QuorumScreen {
    fn place(&self) -> Place {
        Place::Quorum
    }

    fn title(&self) -> String {
        "quorum".to_owned()
    }

    fn status(&self, cx: &Cx<'_>) -> String {
        match cx.snapshot.quorum.get() {
            Some(quorum) => format!(
                "leader {} · epoch {} · high watermark {} · {} more may fail",
                quorum.leader_id,
                quorum.leader_epoch,
                format::count(quorum.high_watermark),
                derive::survival(quorum, None, None).spare
            ),
            None => String::new(),
        }
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Quorum, Scope::Panes, Scope::List]
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        vec![
            Part::of("quorum", &cx.snapshot.quorum),
            Part::of("features", &cx.snapshot.features),
        ]
    }

    focused_list!(if self.features_focused {
        features
    } else {
        nodes
    });

    fn click(&mut self, x: u16, y: u16, cx: &Cx<'_>) -> Clicked {
        let clicked = self.nodes.click(x, y, cx);
        if clicked != Clicked::Nothing {
            self.features_focused = false;
            return clicked;
        }
        let clicked = self.features.click(x, y, cx);
        self.features_focused |= clicked != Clicked::Nothing;
        clicked
    }

    fn shows(&self) -> Changed {
        SHOWN
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
        if let Some(quorum) = cx.snapshot.quorum.get() {
            let voters = quorum.voters.iter().map(|replica| {
                let leads = replica.id == quorum.leader_id;
                (replica, if leads { "leader" } else { "voter" })
            });
            let observers = quorum.observers.iter().map(|replica| (replica, "observer"));
            let mut nodes: Vec<Node> = Vec::new();
            for (replica, role) in voters.chain(observers) {
                let id = replica.id.to_string();
                // With a new disk, a node stands beside what it was before.
                let is_known = nodes.iter().any(|node| node.replica.id == replica.id);
                let directory = replica.directory_id.as_deref().filter(|_| is_known);
                nodes.push(Node {
                    name: directory.map_or(id.clone(), |directory| format!("{id} {directory}")),
                    replica: replica.clone(),
                    role,
                    follows: derive::is_following(quorum, replica),
                });
            }
            self.nodes.set_rows(nodes, cx);
        }
        if let Some(features) = cx.snapshot.features.get() {
            self.features.set_rows(features.levels.clone(), cx);
        }
    }

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        let node = self.nodes.selected_row();
        let is_observer = node.is_some_and(|node| node.role == "observer");
        let why = match command {
            Id::AddVoter if !is_observer => "the selected node is no observer",
            Id::RemoveVoter if is_observer => "the selected node is no voter",
            Id::AddVoter | Id::RemoveVoter if self.features_focused => "tab to the nodes first",
            _ => return None,
        };
        Some(why.to_owned())
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        Some(match command {
            Id::AddVoter => {
                let node = &self.nodes.selected_row()?.replica;
                vec![Step::Dialog(Box::new(forms::add_voter(node, cx)))]
            }
            Id::RemoveVoter => {
                let node = &self.nodes.selected_row()?.replica;
                let action = QuorumAction::RemoveVoter {
                    id: node.id,
                    directory_id: node.directory_id.clone(),
                };
                vec![Step::Plan(Action::Quorum(action))]
            }
            Id::SetFeature | Id::Open if self.features_focused || command == Id::SetFeature => {
                let feature = self.features.selected_row()?;
                vec![Step::Dialog(Box::new(forms::set_feature(feature)))]
            }
            Id::NextPane => {
                self.features_focused = !self.features_focused;
                Vec::new()
            }
            Id::Open if !self.features_focused => {
                vec![Step::Push(Place::Broker(
                    self.nodes.selected_row()?.replica.id,
                ))]
            }
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let n = u16::try_from(self.nodes.rows().len()).unwrap_or(u16::MAX);
        let top_height = n
            .saturating_add(2)
            .clamp(3, (area.height / 2).max(3))
            .min(area.height);
        let top = Rect {
            height: top_height,
            ..area
        };
        if self.nodes.rows().is_empty() {
            absent::draw(&cx.snapshot.quorum, "no node is known", cx, top, buffer);
        } else {
            self.nodes.draw(cx, !self.features_focused, top, buffer);
        }
        let rule = Rect {
            y: top.bottom(),
            height: 1,
            ..area
        };
        let style = if self.features_focused {
            theme.title
        } else {
            theme.dim
        };
        frame::rule(
            "feature levels: in effect, and what the brokers can do",
            style,
            theme,
            rule,
            buffer,
        );
        let rest = Rect {
            y: rule.y + 1,
            height: area.height.saturating_sub(top_height + 1),
            ..area
        };
        if self.features.rows().is_empty() {
            let nothing = "the cluster has no features";
            return absent::draw(&cx.snapshot.features, nothing, cx, rest, buffer);
        }
        self.features.draw(cx, self.features_focused, rest, buffer);
    }
}
