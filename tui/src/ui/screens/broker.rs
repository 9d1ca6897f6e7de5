//! One broker: its numbers, its log directories, every replica it holds, and its share of each topic.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{absent, brokers, cells, shares, stop, topics, traffic};
use crate::cluster::Interest;
use crate::model::ConfigResource;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Changed, Moving, Part, Place, Screen, Step, focused_list};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Key, List, Named};

/// One replica on the broker.
pub struct Replica {
    name: String,
    topic: Arc<str>,
    partition: i32,
    leads: bool,
    preferred: bool,
    in_sync: bool,
    size: Option<i64>,
    lag: Option<i64>,
    replicas: Vec<i32>,
}

impl Named for Replica {
    fn name(&self) -> &str {
        &self.name
    }
}

const COLUMNS: &[Column<Replica>] = &[
    Column::name(
        "PARTITION",
        20,
        |row, _| Key::partition(&row.topic, row.partition),
        |row, cx| cells::foreign(&row.name, cx),
    ),
    Column::text(
        "ROLE",
        12,
        0,
        |row, _| Key::Int(i64::from(!row.leads)),
        |row, cx| match (row.leads, row.preferred) {
            (true, true) => cells::plain("leader", cx),
            (true, false) => Span::styled("leader", cx.theme.accent),
            (false, true) => Span::styled("should lead", cx.theme.warn),
            (false, false) => cells::dim("follower", cx),
        },
    ),
    Column::text(
        "STATE",
        11,
        0,
        |row, _| Key::Int(i64::from(row.in_sync)),
        |row, cx| {
            if row.in_sync {
                Span::styled("in sync", cx.theme.good)
            } else {
                Span::styled("out of sync", cx.theme.bad)
            }
        },
    ),
    Column::number(
        "SIZE",
        9,
        0,
        |row, _| Key::int(row.size),
        |row, cx| cells::bytes(row.size, cx),
    ),
    Column::number(
        "BEHIND",
        10,
        1,
        |row, _| Key::int(row.lag),
        |row, cx| cells::maybe(row.lag, cx),
    ),
    Column::text(
        "REPLICAS",
        14,
        2,
        |row, _| Key::text(&format::ids(&row.replicas)),
        |row, cx| cells::dim(format::ids(&row.replicas), cx),
    ),
];

/// The parts of the cluster that are shown.
const SHOWN: Changed = Changed::METADATA
    .and(Changed::LOG_DIRS)
    .and(Changed::GROUPS)
    .and(Changed::QUORUM)
    .and(Changed::OFFSETS)
    .and(Changed::METRICS);

/// Rows that are kept for the list of replicas, with its title and a blank line.
const LIST_ROWS: u16 = 5;

/// From so many lines on, what is too long for a line takes two.
const HIGH: u16 = 14;

/// The screen.
#[derive(Debug)]
pub struct BrokerScreen {
    id: i32,
    list: List<Replica>,
    topics: List<shares::Row>,
    /// The topics are shown, and not the replicas.
    on_topics: bool,
    row: Option<brokers::Row>,
    balances: brokers::Balances,
}

impl BrokerScreen {
    pub fn new(id: i32) -> Self {
        Self {
            id,
            list: List::new(COLUMNS),
            topics: List::new(shares::OF_BROKER),
            on_topics: false,
            row: None,
            balances: brokers::Balances::default(),
        }
    }

    fn draw_numbers(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> u16 {
        let theme = cx.theme;
        let Some(row) = &self.row else {
            let text = format!("there is no broker {}", self.id);
            frame::text(&text, theme.warn, area.x + 1, area.y, area.width, buffer);
            return 2;
        };
        let mut parts = vec![
            vec![Span::styled(row.state.word(), row.state.style(cx))],
            vec![Span::styled(
                format::clean(&row.address).into_owned(),
                theme.text,
            )],
        ];
        if row.is_controller {
            parts.push(vec![Span::styled("controller", theme.accent)]);
        }
        if let Some(rack) = &row.rack {
            let rack = format!("rack {}", format::clean(rack));
            parts.push(vec![Span::styled(rack, theme.text)]);
        }
        let first = Rect { height: 1, ..area };
        frame::parts(parts, first, buffer);
        let b = &row.balance;
        let skew = |percent: Option<f64>| match percent {
            Some(percent) => format!(" ({percent:+.1}%)"),
            None => String::new(),
        };
        let count = |n: usize| format::count(n as i64);
        let size = row.size.map_or(format::UNKNOWN.to_owned(), format::bytes);
        let parts = [
            format!("size {size}"),
            format!("out of sync {}", count(b.out_of_sync)),
            format!("leads {}{}", count(b.leaders), skew(b.leader_skew_percent)),
            format!(
                "replicas {}{}",
                count(b.replicas),
                skew(b.replica_skew_percent)
            ),
            format!("preferred for {}", count(b.preferred_leaders)),
        ];
        let parts = parts.map(|part| vec![Span::styled(part, theme.text)]);
        let below = |n: u16| Rect {
            y: area.y + n,
            height: area.height.saturating_sub(n),
            ..area
        };
        let lines = if area.height < HIGH { 1 } else { 2 };
        let second = Rect {
            height: lines,
            ..below(1)
        };
        let used = 1 + frame::parts(parts.into(), second, buffer);
        let used = used + self.draw_dirs(cx, below(used), buffer);
        // The list of replicas keeps some room.
        let room = Rect {
            height: below(used).height.saturating_sub(LIST_ROWS).max(1),
            ..below(used)
        };
        let lines = traffic::broker_lines(self.id, cx);
        let style = |is_bad: bool| if is_bad { theme.warn } else { theme.text };
        let lines: Vec<_> = lines
            .into_iter()
            .map(|(text, is_bad)| (text, style(is_bad)))
            .collect();
        used + traffic::draw(&lines, room, buffer)
    }

    /// The line between the numbers and the list.
    fn draw_tabs(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let tab = |text: String, is_shown: bool| {
            let style = if is_shown { theme.title } else { theme.dim };
            Span::styled(format!(" {text} "), style)
        };
        let replicas = format::plural(self.list.rows().len(), "replica");
        let spans = vec![
            tab(replicas, !self.on_topics),
            Span::styled("│", theme.border),
            tab("share of each topic".to_owned(), self.on_topics),
            Span::styled("─".repeat(usize::from(area.width)), theme.border),
        ];
        frame::line(spans, area.x, area.y, area.width, buffer);
    }

    fn draw_dirs(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> u16 {
        let theme = cx.theme;
        let dirs = cx
            .snapshot
            .log_dirs
            .get()
            .and_then(|dirs| dirs.dirs.get(&self.id));
        let mut n = 0;
        for dir in dirs.iter().flat_map(|dirs| dirs.iter()).take(4) {
            let volume = match (dir.usable_bytes, dir.total_bytes) {
                (Some(free), Some(total)) => Some(format!(
                    "{} free of {}",
                    format::bytes(free),
                    format::bytes(total)
                )),
                _ => None,
            };
            let text = |text: String, style| vec![Span::styled(text, style)];
            let replicas = format::plural(dir.replicas as usize, "replica");
            let size = format!("{} in {replicas}", format::bytes(dir.size_bytes));
            let mut parts = vec![vec![
                Span::styled("log dir ", theme.dim),
                Span::styled(format::clean(&dir.path).into_owned(), theme.text),
            ]];
            parts.extend(dir.error.map(|error| text(error.name(), theme.bad)));
            parts.extend(
                dir.cordoned
                    .then(|| text("cordoned".to_owned(), theme.warn)),
            );
            parts.push(text(size, theme.text));
            parts.extend(volume.map(|volume| text(volume, theme.dim)));
            let lines = if area.height < HIGH { 1 } else { 2 };
            let line = Rect {
                y: area.y + n,
                height: lines,
                ..area
            };
            n += frame::parts(parts, line, buffer);
        }
        n
    }
}

impl Screen for BrokerScreen {
    fn place(&self) -> Place {
        Place::Broker(self.id)
    }

    fn title(&self) -> String {
        format!("broker {}", self.id)
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Broker, Scope::Panes, Scope::List]
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        let mut dirs = Part::of("sizes", &cx.snapshot.log_dirs);
        let own = cx.snapshot.broker_faults().remove(&self.id);
        dirs.fault = own.or(dirs.fault);
        let mut parts = vec![Part::of("metadata", &cx.snapshot.metadata), dirs];
        parts.extend(traffic::parts(cx, Some(self.id)));
        parts
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        Interest {
            metrics: true,
            ..Interest::default()
        }
    }

    focused_list!(if self.on_topics { topics } else { list });

    fn shows(&self) -> Changed {
        SHOWN
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
        self.row = brokers::rows(&mut self.balances, cx)
            .into_iter()
            .find(|row| row.id == self.id);
        let Some(metadata) = cx.snapshot.metadata.get() else {
            return;
        };
        let dirs = cx.snapshot.log_dirs.get();
        let mut rows = Vec::new();
        for topic in &metadata.topics {
            for partition in topic
                .partitions
                .iter()
                .filter(|p| p.replicas.contains(&self.id))
            {
                let size = dirs.and_then(|d| d.replica(&topic.name, partition.id, self.id));
                rows.push(Replica {
                    name: format!("{}-{}", topic.name, partition.id),
                    topic: Arc::clone(&topic.name),
                    partition: partition.id,
                    leads: partition.leader == self.id,
                    preferred: partition.preferred_leader() == Some(self.id),
                    in_sync: partition.isr.contains(&self.id),
                    size: size.map(|size| size.size_bytes),
                    lag: size.map(|size| size.offset_lag),
                    replicas: partition.replicas.to_vec(),
                });
            }
        }
        self.list.set_rows(rows, cx);
        // A walk over all topics of the cluster, which is worth it where one looks.
        if self.on_topics {
            shares::of_broker(&mut self.topics, self.id, metadata, cx);
        }
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        Some(match command {
            Id::Configs => vec![Step::Push(Place::Configs(ConfigResource::Broker(self.id)))],
            Id::MayStop => vec![stop::ask(&[self.id].into(), cx)],
            Id::DrainBroker => vec![Step::Push(Place::Reassign(Moving::Drain(self.id)))],
            Id::NextPane => {
                self.on_topics = !self.on_topics;
                if let (true, Some(metadata)) = (self.on_topics, cx.snapshot.metadata.get()) {
                    shares::of_broker(&mut self.topics, self.id, metadata, cx);
                }
                Vec::new()
            }
            Id::Open if self.on_topics => vec![Step::Push(Place::Topic(
                self.topics.selected_row()?.topic.name.to_string(),
            ))],
            Id::Open => vec![Step::Push(Place::Topic(
                self.list.selected_row()?.topic.to_string(),
            ))],
            Id::Copy if self.on_topics => topics::copy(&self.topics.selected_row()?.topic.name, cx),
            Id::Copy => {
                let row = self.list.selected_row()?;
                topics::copy(&format!("{}-{}", row.topic, row.partition), cx)
            }
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let used = self.draw_numbers(cx, area, buffer) + 1;
        if used <= area.height {
            let y = area.y + used - 1;
            let line = Rect {
                y,
                height: 1,
                ..area
            };
            self.draw_tabs(cx, line, buffer);
        }
        let rest = Rect {
            y: area.y + used.min(area.height),
            height: area.height.saturating_sub(used),
            ..area
        };
        if self.list.rows().is_empty() {
            let nothing = "no replica is on this broker";
            return absent::draw(&cx.snapshot.metadata, nothing, cx, rest, buffer);
        }
        match self.on_topics {
            true => self.topics.draw(cx, true, rest, buffer),
            false => self.list.draw(cx, true, rest, buffer),
        }
    }
}
