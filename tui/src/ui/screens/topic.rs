//! One topic: its partitions, its groups, what is set for it.

use std::sync::Arc;

use kafka_shared::types::uuid_to_base64;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{absent, cells, forms, groups, shares, topics, traffic};
use crate::cluster::Interest;
use crate::derive::{self, PartitionHealth, Total, partition_health};
use crate::model::{Cell, ConfigResource, Group, Partition, Topic, TopicPartition};
use crate::ops::Action;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Changed, Moving, Part, Place, Screen, Step};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Clicked, Column, Key, List, Named, Rows};

/// One partition.
pub struct Row {
    name: String,
    partition: Partition,
    health: PartitionHealth,
    start: Cell<i64>,
    end: Cell<i64>,
    /// The leader's log.
    size: Option<i64>,
    rate: Option<f64>,
    /// The lags of the followers, where their brokers told.
    behind: i64,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Row {
    fn records(&self) -> Option<i64> {
        Some(self.end.known()?.saturating_sub(self.start.known()?))
    }

    fn state(&self, cx: &Cx<'_>) -> (String, Style) {
        let (health, theme) = (&self.health, cx.theme);
        if health.offline {
            let why = self
                .partition
                .error
                .map_or("offline".to_owned(), |error| error.name());
            (why, theme.bad)
        } else if health.under_min_isr == Some(true) {
            ("under min ISR".to_owned(), theme.bad)
        } else if health.under_replicated {
            ("under-repl.".to_owned(), theme.warn)
        } else if health.reassigning {
            ("moving".to_owned(), theme.accent)
        } else if health.not_preferred {
            ("not preferred".to_owned(), theme.warn)
        } else if health.at_min_isr == Some(true) && self.partition.replicas.len() > 1 {
            ("at min ISR".to_owned(), theme.text)
        } else {
            ("ok".to_owned(), theme.good)
        }
    }
}

fn offset_cell(cell: Cell<i64>, cx: &Cx<'_>) -> Span<'static> {
    match cell {
        Cell::Known(offset) => cells::plain(format::count(offset), cx),
        Cell::Unknown => cells::dim(format::UNKNOWN, cx),
        Cell::Failed(error) => Span::styled(error.name(), cx.theme.bad),
    }
}

fn offset_key(cell: Cell<i64>) -> Key {
    Key::int(cell.known())
}

/// The replicas; those out of sync carry a mark, those to come a plus, those to go a minus.
fn replicas_text(partition: &Partition) -> String {
    let replica = |id: &i32| {
        let mark = if partition.adding.contains(id) {
            "+"
        } else if partition.removing.contains(id) {
            "-"
        } else if partition.isr.contains(id) {
            ""
        } else {
            "!"
        };
        format!("{id}{mark}")
    };
    partition
        .replicas
        .iter()
        .map(replica)
        .collect::<Vec<_>>()
        .join(",")
}

const COLUMNS: &[Column<Row>] = &[
    Column::number(
        "PART",
        5,
        0,
        |row, _| Key::Int(row.partition.id.into()),
        |row, cx| cells::plain(row.partition.id.to_string(), cx),
    ),
    Column::number(
        "LEADER",
        6,
        0,
        |row, _| Key::Int(row.partition.leader.into()),
        |row, cx| {
            if row.partition.has_leader() {
                let style = if row.health.not_preferred {
                    cx.theme.warn
                } else {
                    cx.theme.text
                };
                Span::styled(row.partition.leader.to_string(), style)
            } else {
                Span::styled("none", cx.theme.bad)
            }
        },
    ),
    Column::wide(
        "REPLICAS",
        12,
        0,
        |row, _| Key::text(&replicas_text(&row.partition)),
        |row, cx| {
            let style = if row.health.under_replicated {
                cx.theme.warn
            } else {
                cx.theme.text
            };
            Span::styled(replicas_text(&row.partition), style)
        },
    ),
    Column::text(
        "IN SYNC",
        8,
        2,
        |row, _| Key::text(&format::ids(&row.partition.isr)),
        |row, cx| {
            let style = if row.health.under_replicated {
                cx.theme.warn
            } else {
                cx.theme.dim
            };
            Span::styled(format::ids(&row.partition.isr), style)
        },
    ),
    Column::text(
        "STATE",
        13,
        0,
        |row, cx| Key::text(&row.state(cx).0),
        |row, cx| {
            let (text, style) = row.state(cx);
            Span::styled(text, style)
        },
    ),
    Column::number(
        "START",
        11,
        3,
        |row, _| offset_key(row.start),
        |row, cx| offset_cell(row.start, cx),
    ),
    Column::number(
        "END",
        11,
        1,
        |row, _| offset_key(row.end),
        |row, cx| offset_cell(row.end, cx),
    ),
    Column::number(
        "RECORDS",
        11,
        4,
        |row, _| Key::int(row.records()),
        |row, cx| cells::maybe(row.records(), cx),
    ),
    Column::number(
        "SIZE",
        9,
        1,
        |row, _| Key::int(row.size),
        |row, cx| cells::bytes(row.size, cx),
    ),
    Column::number(
        "RATE",
        8,
        2,
        |row, _| row.rate.map_or(Key::Unknown, Key::Float),
        |row, cx| match row.rate {
            Some(rate) => cells::plain(format::rate(rate), cx),
            None => cells::dim(format::UNKNOWN, cx),
        },
    ),
    Column::number(
        "BEHIND",
        8,
        6,
        |row, _| Key::Int(row.behind),
        |row, cx| {
            let style = if row.behind > 0 {
                cx.theme.text
            } else {
                cx.theme.dim
            };
            Span::styled(format::count(row.behind), style)
        },
    ),
    Column::number(
        "EPOCH",
        5,
        7,
        |row, _| Key::Int(row.partition.leader_epoch.into()),
        |row, cx| cells::dim(row.partition.leader_epoch.to_string(), cx),
    ),
];

/// The parts of the cluster that are shown.
const SHOWN: Changed = Changed::METADATA
    .and(Changed::OFFSETS)
    .and(Changed::SETTINGS)
    .and(Changed::LOG_DIRS)
    .and(Changed::GROUPS)
    .and(Changed::GROUP_DETAILS)
    .and(Changed::CONFIGS)
    .and(Changed::METRICS);

/// With fewer lines there is no room for two lists.
const LOW: u16 = 9;

/// Which list has the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pane {
    Partitions,
    Groups,
    /// Shown where the groups are otherwise.
    Brokers,
}

/// The screen.
#[derive(Debug)]
pub struct TopicScreen {
    name: String,
    topic: Option<Arc<Topic>>,
    partitions: List<Row>,
    groups: List<groups::Row>,
    settings: Vec<(String, String)>,
    brokers: List<shares::Row>,
    pane: Pane,
    records: Total<i64>,
    size: Total<i64>,
    rate: Total<f64>,
}

impl TopicScreen {
    pub fn new(name: String) -> Self {
        Self {
            name,
            topic: None,
            partitions: List::new(COLUMNS),
            groups: List::new(groups::COLUMNS),
            settings: Vec::new(),
            brokers: List::new(shares::OF_TOPIC),
            pane: Pane::Partitions,
            records: Total::new(),
            size: Total::new(),
            rate: Total::new(),
        }
    }

    fn config(&self) -> ConfigResource {
        ConfigResource::Topic(self.name.clone())
    }

    fn chosen_partitions(&self) -> Vec<TopicPartition> {
        let rows = self.partitions.chosen().into_iter();
        rows.map(|row| TopicPartition::new(&self.name, row.partition.id))
            .collect()
    }

    fn rows(&self, topic: &Topic, cx: &Cx<'_>) -> Vec<Row> {
        let snapshot = cx.snapshot;
        let min_isr = cx.min_isr(&topic.name);
        let now = snapshot.offsets.get().and_then(|all| all.get(&topic.name));
        let before = snapshot.offsets_before.get(&topic.name);
        let before = before.filter(|b| now.is_some_and(|n| n.topic_id == b.topic_id));
        let dirs = snapshot.log_dirs.get();
        let row = |partition: &Partition| {
            let offsets = now.and_then(|now| now.partition(partition.id));
            let older = before.and_then(|before| before.partition(partition.id));
            let elapsed = match (now, before) {
                (Some(now), Some(b)) => now.taken.monotonic_ms - b.taken.monotonic_ms,
                _ => 0,
            };
            let rate = older
                .zip(offsets)
                .and_then(|(b, n)| derive::partition_rate(b, n, elapsed));
            let lags = partition.replicas.iter().filter_map(|broker| {
                Some(
                    dirs?
                        .replica(&topic.name, partition.id, *broker)?
                        .offset_lag,
                )
            });
            Row {
                name: partition.id.to_string(),
                health: partition_health(partition, min_isr),
                start: offsets.map_or(Cell::Unknown, |o| o.start),
                end: offsets.map_or(Cell::Unknown, |o| o.end),
                size: dirs.and_then(|dirs| derive::leader_size(dirs, &topic.name, partition)),
                rate,
                behind: lags.max().unwrap_or(0),
                partition: partition.clone(),
            }
        };
        topic.partitions.iter().map(row).collect()
    }

    fn draw_summary(&self, cx: &Cx<'_>, topic: &Topic, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let min = cx
            .min_isr(&topic.name)
            .map_or(format::UNKNOWN.to_owned(), |n| n.to_string());
        let mut parts = vec![
            format::plural(topic.partitions.len(), "partition"),
            format!("RF {}", topic.replication_factor()),
            format!("min ISR {min}"),
            format!("records {}", format::total(&self.records, format::count)),
            format!("size {}", format::total(&self.size, format::bytes)),
            format!("rate {}", format::total(&self.rate, format::rate)),
        ];
        parts.extend(topic.is_internal.then(|| "internal".to_owned()));
        parts.extend(topic.id.map(|id| format!("id {}", uuid_to_base64(id))));
        let style = if topic.error.is_some() {
            theme.bad
        } else {
            theme.text
        };
        let parts = parts
            .into_iter()
            .map(|part| vec![Span::styled(part, style)]);
        let line = Rect { height: 1, ..area };
        frame::parts(parts.collect(), line, buffer);
        let mut spans = vec![Span::styled("settings ", theme.dim)];
        match cx.snapshot.configs.get(&self.config()) {
            None => spans.push(Span::styled(format::UNKNOWN, theme.dim)),
            Some(part) if part.get().is_none() => {
                let why = part
                    .fault()
                    .map_or(format::UNKNOWN.to_owned(), |f| f.why.clone());
                spans.push(Span::styled(format::clean(&why).into_owned(), theme.warn));
            }
            Some(_) if self.settings.is_empty() => {
                spans.push(Span::styled("all as the brokers' defaults", theme.dim));
            }
            Some(_) => {
                for (name, value) in &self.settings {
                    spans.push(Span::styled(format!("{name}="), theme.text));
                    spans.push(Span::styled(format!("{value}  "), theme.accent));
                }
            }
        }
        frame::line(spans, area.x + 1, area.y + 1, area.width - 1, buffer);
    }

    /// How the room is shared: partitions above, groups or brokers below where both fit.
    fn areas(&self, area: Rect) -> (Rect, Rect) {
        let n = match self.pane {
            Pane::Brokers => self.brokers.n_shown(),
            _ => self.groups.n_shown(),
        };
        let wanted = u16::try_from(n).unwrap_or(u16::MAX).saturating_add(2);
        let groups = match area.height {
            // Where there is no room for both, the one that is looked at has it.
            ..LOW if self.pane != Pane::Partitions => wanted.min(area.height.saturating_sub(1)),
            ..LOW => 1.min(area.height),
            height => wanted.min((height / 3).max(5)),
        };
        let top = Rect {
            height: area.height - groups,
            ..area
        };
        (
            top,
            Rect {
                y: top.bottom(),
                height: groups,
                ..area
            },
        )
    }
}

impl Screen for TopicScreen {
    fn place(&self) -> Place {
        Place::Topic(self.name.clone())
    }

    fn title(&self) -> String {
        self.name.clone()
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Topic, Scope::Panes, Scope::List]
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        Interest {
            topics: vec![self.name.as_str().into()],
            all_groups: true,
            configs: vec![self.config()],
            metrics: true,
            ..Interest::default()
        }
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        let snapshot = cx.snapshot;
        vec![
            Part::of("metadata", &snapshot.metadata),
            Part::of("offsets", &snapshot.offsets),
            Part::of("sizes", &snapshot.log_dirs),
            Part::of("groups", &snapshot.groups),
        ]
        .into_iter()
        .chain(traffic::parts(cx, None))
        .collect()
    }

    fn list(&mut self) -> Option<&mut dyn Rows> {
        Some(match self.pane {
            Pane::Partitions => &mut self.partitions,
            Pane::Groups => &mut self.groups,
            Pane::Brokers => &mut self.brokers,
        })
    }

    fn list_ref(&self) -> Option<&dyn Rows> {
        Some(match self.pane {
            Pane::Partitions => &self.partitions,
            Pane::Groups => &self.groups,
            Pane::Brokers => &self.brokers,
        })
    }

    fn click(&mut self, x: u16, y: u16, cx: &Cx<'_>) -> Clicked {
        let below = match self.pane {
            Pane::Brokers => Pane::Brokers,
            _ => Pane::Groups,
        };
        for pane in [Pane::Partitions, below] {
            let clicked = match pane {
                Pane::Partitions => self.partitions.click(x, y, cx),
                Pane::Groups => self.groups.click(x, y, cx),
                Pane::Brokers => self.brokers.click(x, y, cx),
            };
            if clicked != Clicked::Nothing {
                // What was clicked on to get the focus is not opened yet.
                let was = std::mem::replace(&mut self.pane, pane);
                return if was == pane { clicked } else { Clicked::Row };
            }
        }
        Clicked::Nothing
    }

    fn shows(&self) -> Changed {
        SHOWN
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
        let Some(metadata) = cx.snapshot.metadata.get() else {
            return;
        };
        self.topic = metadata.topic(&self.name).cloned();
        let Some(topic) = self.topic.clone() else {
            return;
        };
        self.partitions.set_rows(self.rows(&topic, cx), cx);
        self.brokers.set_rows(shares::of_topic(&topic), cx);
        self.records = topics::records(&topic, cx);
        self.rate = derive::topic_rate(cx.snapshot, &self.name);
        self.size = match cx.snapshot.log_dirs.get() {
            Some(dirs) => derive::topic_size(dirs, &topic),
            None => std::iter::once(None).collect(),
        };
        let known = cx.snapshot.groups.get();
        let reading = derive::topic_groups(cx.snapshot, &self.name);
        let found: Vec<Arc<Group>> = reading
            .iter()
            .filter_map(|id| known?.groups.get(id).cloned())
            .collect();
        let rows = found
            .iter()
            .map(|group| groups::Row::of(group, cx))
            .collect();
        self.groups.set_rows(rows, cx);
        let configs = cx
            .snapshot
            .configs
            .get(&self.config())
            .and_then(|part| part.get());
        let own = configs.iter().flat_map(|configs| {
            configs
                .entries
                .iter()
                .filter(|entry| entry.is_overridden(&configs.resource))
        });
        let text = |text: &str| format::clean(text).into_owned();
        let setting = own.map(|entry| {
            (
                text(&entry.name),
                text(entry.value.as_deref().unwrap_or("(hidden)")),
            )
        });
        self.settings = setting.collect();
    }

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        let needs_topic = !matches!(command, Id::NextPane | Id::Open);
        let own = matches!(
            command,
            Id::Messages
                | Id::Configs
                | Id::Produce
                | Id::AddPartitions
                | Id::Reassign
                | Id::ElectPreferred
                | Id::Delete
        );
        (needs_topic && own && self.topic.is_none())
            .then(|| format!("there is no topic \"{}\"", format::clean(&self.name)))
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        let topic = self.topic.clone();
        let partition = self.partitions.selected_row().map(|row| row.partition.id);
        Some(match command {
            Id::NextPane => {
                self.pane = match self.pane {
                    Pane::Partitions => Pane::Groups,
                    Pane::Groups => Pane::Brokers,
                    Pane::Brokers => Pane::Partitions,
                };
                Vec::new()
            }
            Id::Open if self.pane == Pane::Groups => {
                let row = self.groups.selected_row()?;
                vec![Step::Push(Place::Group(row.group.id.to_string()))]
            }
            Id::Open if self.pane == Pane::Brokers => {
                let row = self.brokers.selected_row()?;
                vec![Step::Push(Place::Broker(row.share.broker))]
            }
            Id::Open | Id::Messages => vec![Step::Push(Place::Messages(self.name.clone()))],
            Id::Configs => vec![Step::Push(Place::Configs(self.config()))],
            Id::Producers => vec![Step::Push(Place::Producers(self.name.clone()))],
            Id::Produce => vec![Step::Dialog(Box::new(forms::produce_form(
                &self.name,
                partition.filter(|_| self.partitions.n_marked() == 1),
            )))],
            Id::AddPartitions => vec![Step::Dialog(Box::new(forms::add_partitions_form(&*topic?)))],
            Id::Reassign if self.partitions.n_marked() > 0 => {
                vec![Step::Push(Place::Reassign(Moving::Partitions(
                    self.chosen_partitions(),
                )))]
            }
            Id::Reassign => {
                vec![Step::Push(Place::Reassign(Moving::Topics(vec![
                    self.name.clone(),
                ])))]
            }
            Id::ElectPreferred if self.partitions.n_marked() > 0 => {
                vec![Step::Plan(Action::ElectPreferredLeaders(
                    self.chosen_partitions(),
                ))]
            }
            Id::ElectPreferred => vec![Step::Plan(topics::elect(&[&*topic?]))],
            Id::Delete => vec![Step::Plan(Action::DeleteTopics(vec![self.name.clone()]))],
            Id::Copy => topics::copy(&self.name, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let Some(topic) = &self.topic else {
            let text = format!("there is no topic \"{}\" in this cluster", self.name);
            let mut lines = vec![(&*text, theme.warn)];
            if absent::is_partial(cx) {
                lines.extend([(absent::PARTIAL, theme.warn), (absent::RIGHTS, theme.text)]);
            }
            return absent::say(&lines, area, buffer);
        };
        self.draw_summary(cx, topic, Rect { height: 2, ..area }, buffer);
        let mut used = 2;
        if let Some(line) = traffic::topic_line(topic, cx) {
            let below = Rect {
                y: area.y + 2,
                height: area.height.saturating_sub(2).min(1),
                ..area
            };
            used += traffic::draw(&[(line, theme.text)], below, buffer);
        }
        let rest = Rect {
            y: area.y + used,
            height: area.height.saturating_sub(used),
            ..area
        };
        let (top, below) = self.areas(rest);
        let on_partitions = self.pane == Pane::Partitions;
        self.partitions.draw(cx, on_partitions, top, buffer);
        self.draw_below(cx, below, buffer);
    }
}

impl TopicScreen {
    /// The groups that read the topic, or the brokers that have a part of it.
    fn draw_below(&self, cx: &Cx<'_>, below: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let n = self.groups.n_shown();
        let known = cx
            .snapshot
            .groups
            .get()
            .map_or(0, |groups| groups.groups.len());
        let read = cx.snapshot.committed.len();
        let title = match n {
            _ if self.pane == Pane::Brokers => {
                format!("brokers of this topic ({})", self.brokers.n_shown())
            }
            _ if read < known => format!("groups of this topic ({n}, {read} of {known} read)"),
            0 => "no group reads this topic".to_owned(),
            n => format!("groups of this topic ({n})"),
        };
        let style = match self.pane {
            Pane::Partitions => theme.dim,
            _ => theme.title,
        };
        frame::rule(&title, style, theme, Rect { height: 1, ..below }, buffer);
        let below = Rect {
            y: below.y + 1,
            height: below.height.saturating_sub(1),
            ..below
        };
        match self.pane {
            Pane::Brokers => self.brokers.draw(cx, true, below, buffer),
            pane if n > 0 => self.groups.draw(cx, pane == Pane::Groups, below, buffer),
            _ => {}
        }
    }
}
