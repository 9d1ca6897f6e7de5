//! All brokers: address, role, share of partitions, size, skew.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::traffic::{self, Traffic, Traffics};
use super::{cells, stop, topics};
use crate::cluster::Interest;
use crate::derive::{self, BrokerBalance};
use crate::model::{ClusterMetadata, ConfigResource};
use crate::ops::{Action, QuorumAction};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Changed, Moving, Part, Place, Screen, Step, focused_list};
use crate::ui::widgets::list::{Column, Key, List, Named, Rows as _};

/// One broker, or one that only its partitions still name.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: i32,
    name: String,
    pub address: String,
    pub rack: Option<String>,
    pub state: BrokerState,
    pub is_controller: bool,
    pub balance: BrokerBalance,
    pub size: Option<i64>,
    /// Free bytes of all volumes, where the broker tells.
    pub usable: Option<i64>,
    pub traffic: Traffic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerState {
    Up,
    Fenced,
    /// In the metadata, but a question to it was not answered.
    Silent,
    /// Named by partitions only.
    Gone,
}

impl BrokerState {
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Fenced => "fenced",
            Self::Silent => "no answer",
            Self::Gone => "gone",
        }
    }

    pub fn style(self, cx: &Cx<'_>) -> Style {
        match self {
            Self::Up => cx.theme.good,
            Self::Fenced | Self::Silent => cx.theme.warn,
            Self::Gone => cx.theme.bad,
        }
    }
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.name
    }
}

fn skew_cell(percent: Option<f64>, cx: &Cx<'_>) -> Span<'static> {
    match percent {
        Some(percent) => {
            let style = match percent.abs() {
                p if p >= 20.0 => cx.theme.bad,
                p if p >= 10.0 => cx.theme.warn,
                _ => cx.theme.text,
            };
            Span::styled(format!("{percent:+.1}%"), style)
        }
        None => cells::dim(format::NONE, cx),
    }
}

fn skew_key(percent: Option<f64>) -> Key {
    percent.map_or(Key::Unknown, Key::Float)
}

/// The columns, with those that only brokers with a metrics endpoint fill.
static WITH_METRICS: LazyLock<Vec<Column<Row>>> =
    LazyLock::new(|| COLUMNS.into_iter().chain(METRICS).collect());

const METRICS: [Column<Row>; 4] = [
    Column::number(
        "IN/S",
        10,
        3,
        |row, _| row.traffic.bytes_in.map_or(Key::Unknown, Key::Float),
        |row, cx| {
            let text = row.traffic.bytes_in.map(traffic::bytes_rate);
            traffic::cell(text, &row.traffic, cx)
        },
    ),
    Column::number(
        "OUT/S",
        10,
        3,
        |row, _| row.traffic.bytes_out.map_or(Key::Unknown, Key::Float),
        |row, cx| {
            let text = row.traffic.bytes_out.map(traffic::bytes_rate);
            traffic::cell(text, &row.traffic, cx)
        },
    ),
    Column::number(
        "IDLE",
        5,
        5,
        |row, _| row.traffic.handlers_idle.map_or(Key::Unknown, Key::Float),
        |row, cx| {
            let text = row.traffic.handlers_idle.map(traffic::percent);
            traffic::cell(text, &row.traffic, cx)
        },
    ),
    Column::number(
        "HEAP",
        5,
        6,
        |row, _| row.traffic.heap_percent.map_or(Key::Unknown, Key::Float),
        |row, cx| {
            let text = row
                .traffic
                .heap_percent
                .map(|percent| format!("{percent:.0}%"));
            traffic::cell(text, &row.traffic, cx)
        },
    ),
];

const COLUMNS: [Column<Row>; 14] = [
    Column::number(
        "ID",
        3,
        0,
        |row, _| Key::Int(row.id.into()),
        |row, cx| cells::plain(row.id.to_string(), cx),
    ),
    Column::text(
        "STATE",
        9,
        0,
        |row, _| Key::Int(row.state as i64),
        |row, cx| Span::styled(row.state.word(), row.state.style(cx)),
    ),
    Column::wide(
        "ADDRESS",
        14,
        1,
        |row, _| Key::text(&row.address),
        |row, cx| cells::foreign(&row.address, cx),
    ),
    Column::text(
        "ROLE",
        10,
        3,
        |row, _| Key::Int(i64::from(!row.is_controller)),
        |row, cx| {
            Span::styled(
                if row.is_controller { "controller" } else { "" },
                cx.theme.accent,
            )
        },
    ),
    Column::text(
        "RACK",
        8,
        4,
        |row, _| row.rack.as_deref().map_or(Key::Unknown, Key::text),
        |row, cx| match &row.rack {
            Some(rack) => cells::foreign(rack, cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::number(
        "LEADERS",
        7,
        1,
        |row, _| Key::size(row.balance.leaders),
        |row, cx| cells::count(row.balance.leaders, cx),
    ),
    Column::number(
        "PREF",
        6,
        5,
        |row, _| Key::size(row.balance.preferred_leaders),
        |row, cx| cells::count(row.balance.preferred_leaders, cx),
    ),
    Column::number(
        "REPLICAS",
        8,
        1,
        |row, _| Key::size(row.balance.replicas),
        |row, cx| cells::count(row.balance.replicas, cx),
    ),
    Column::number(
        "BEHIND",
        6,
        1,
        |row, _| Key::size(row.balance.out_of_sync),
        |row, cx| cells::bad_count(row.balance.out_of_sync, cx.theme.warn, cx),
    ),
    Column::number(
        "SIZE",
        9,
        1,
        |row, _| Key::int(row.size),
        |row, cx| cells::bytes(row.size, cx),
    ),
    Column::number(
        "MSG/S",
        8,
        2,
        |row, _| Key::total(&row.traffic.messages, |n| n),
        |row, cx| {
            let known = row.traffic.messages.partial();
            let text = known.map(|_| format::total(&row.traffic.messages, format::rate));
            match text {
                None => cells::dim(format::UNKNOWN, cx),
                text => traffic::cell(text, &row.traffic, cx),
            }
        },
    ),
    Column::number(
        "FREE",
        9,
        7,
        |row, _| Key::int(row.usable),
        |row, cx| match row.usable {
            Some(size) => cells::plain(format::bytes(size), cx),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::number(
        "SKEW",
        6,
        4,
        |row, _| skew_key(row.balance.replica_skew_percent),
        |row, cx| skew_cell(row.balance.replica_skew_percent, cx),
    ),
    Column::number(
        "LEADSKEW",
        8,
        4,
        |row, _| skew_key(row.balance.leader_skew_percent),
        |row, cx| skew_cell(row.balance.leader_skew_percent, cx),
    ),
];

/// The shares of all brokers, which take a walk over all partitions: kept while no topic changes.
#[derive(Debug, Default)]
pub struct Balances {
    of: Option<(Arc<ClusterMetadata>, BTreeMap<i32, BrokerBalance>)>,
}

impl Balances {
    fn get(&mut self, metadata: &Arc<ClusterMetadata>) -> &BTreeMap<i32, BrokerBalance> {
        let same = |old: &ClusterMetadata| {
            metadata.has_same_topics(old) && metadata.brokers == old.brokers
        };
        let kept = self.of.take().filter(|(old, _)| same(old));
        let (_, balances) =
            kept.unwrap_or_else(|| (Arc::clone(metadata), derive::broker_balances(metadata)));
        &self.of.insert((Arc::clone(metadata), balances)).1
    }
}

/// All brokers that are known in any way, by id.
pub fn rows(balances: &mut Balances, cx: &Cx<'_>) -> Vec<Row> {
    let snapshot = cx.snapshot;
    let Some(metadata) = snapshot.metadata.value() else {
        return Vec::new();
    };
    let faults = snapshot.broker_faults();
    let sizes = snapshot
        .log_dirs
        .get()
        .map(derive::broker_sizes)
        .unwrap_or_default();
    let controller = snapshot.controller_id();
    let traffics = Traffics::new(cx, metadata.brokers.iter().map(|broker| broker.id));
    let mut rows = Vec::new();
    for (&id, &balance) in balances.get(metadata) {
        let broker = metadata.broker(id);
        let state = match broker {
            None => BrokerState::Gone,
            Some(broker) if broker.fenced == Some(true) => BrokerState::Fenced,
            Some(_) if faults.contains_key(&id) => BrokerState::Silent,
            Some(_) => BrokerState::Up,
        };
        let dirs = snapshot.log_dirs.get().and_then(|dirs| dirs.dirs.get(&id));
        let usable = dirs.and_then(|dirs| dirs.iter().map(|dir| dir.usable_bytes).sum());
        rows.push(Row {
            id,
            name: id.to_string(),
            address: broker.map_or_else(
                || "not in the cluster".to_owned(),
                |broker| format!("{}:{}", broker.host, broker.port),
            ),
            rack: broker.and_then(|broker| broker.rack.clone()),
            state,
            is_controller: controller == Some(id),
            balance,
            size: sizes.get(&id).copied(),
            usable,
            traffic: traffics.of(id),
        });
    }
    rows
}

/// The parts of the cluster that are shown.
const SHOWN: Changed = Changed::METADATA
    .and(Changed::LOG_DIRS)
    .and(Changed::GROUPS)
    .and(Changed::QUORUM)
    .and(Changed::OFFSETS)
    .and(Changed::METRICS);

/// The screen.
#[derive(Debug)]
pub struct Brokers {
    list: List<Row>,
    balances: Balances,
}

impl Brokers {
    pub fn new(cx: &Cx<'_>) -> Self {
        static PLAIN: LazyLock<Vec<Column<Row>>> = LazyLock::new(|| COLUMNS.into_iter().collect());
        let columns = match cx.target.metrics {
            Some(_) => &WITH_METRICS,
            None => &PLAIN,
        };
        Self {
            list: List::new(columns),
            balances: Balances::default(),
        }
    }
}

impl Screen for Brokers {
    fn place(&self) -> Place {
        Place::Brokers
    }

    fn title(&self) -> String {
        "brokers".to_owned()
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Brokers, Scope::List]
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        let mut parts = vec![
            Part::of("brokers", &cx.snapshot.metadata),
            Part::of("sizes", &cx.snapshot.log_dirs),
        ];
        parts.extend(traffic::parts(cx, None));
        parts
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        Interest {
            metrics: true,
            ..Interest::default()
        }
    }

    fn status(&self, _cx: &Cx<'_>) -> String {
        let rows = self.list.rows();
        let told = rows.iter().filter(|row| row.traffic.is_told).count();
        format!(
            "{} · {}",
            self.list.status(),
            traffic::source(told, rows.len())
        )
    }

    focused_list!(self.list);

    fn shows(&self) -> Changed {
        SHOWN
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
        self.list.set_rows(rows(&mut self.balances, cx), cx);
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        if command == Id::DefaultConfigs {
            return Some(vec![Step::Push(Place::Configs(
                ConfigResource::BrokerDefault,
            ))]);
        }
        let row = self.list.selected_row()?;
        Some(match command {
            Id::Open => vec![Step::Push(Place::Broker(row.id))],
            Id::Configs => vec![Step::Push(Place::Configs(ConfigResource::Broker(row.id)))],
            Id::MayStop => {
                let chosen = self.list.chosen().iter().map(|row| row.id).collect();
                vec![stop::ask(&chosen, cx)]
            }
            Id::Unregister => {
                let action = QuorumAction::UnregisterBroker(row.id);
                vec![Step::Plan(Action::Quorum(action))]
            }
            Id::DrainBroker => vec![Step::Push(Place::Reassign(Moving::Drain(row.id)))],
            Id::Copy => topics::copy(&row.address, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        self.list.draw(cx, true, area, buffer);
    }
}
