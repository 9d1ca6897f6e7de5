//! All topics: shape, health, records, size, rate, balance.

use std::cell::OnceCell;
use std::sync::{Arc, LazyLock};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{absent, cells, declared, forms, traffic};
use crate::cluster::Interest;
use crate::derive::{
    self, CmakPercents, HealthCounts, TopicBalance, Total, topic_health, topic_rate, topic_size,
};
use crate::model::{ConfigResource, Flow, Topic, TopicPartition};
use crate::ops::Action;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::event::Effect;
use crate::ui::format;
use crate::ui::screen::{Changed, Moving, Part, Place, Screen, Step, Toast, focused_list};
use crate::ui::widgets::list::{Column, Key, List, Named};

/// One topic. Numbers are made when they are drawn or sorted by, and kept until what they are made
/// from is read again: of thousands of topics only those on the screen are computed.
pub struct Row {
    topic: Arc<Topic>,
    min_isr: Option<i32>,
    n_brokers: usize,
    health: OnceCell<HealthCounts>,
    balance: OnceCell<(CmakPercents, TopicBalance)>,
    records: OnceCell<Total<i64>>,
    size: OnceCell<Total<i64>>,
    rate: OnceCell<Total<f64>>,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.topic.name
    }
}

impl Row {
    fn new(topic: &Arc<Topic>, min_isr: Option<i32>, n_brokers: usize) -> Self {
        Self {
            topic: Arc::clone(topic),
            min_isr,
            n_brokers,
            health: OnceCell::new(),
            balance: OnceCell::new(),
            records: OnceCell::new(),
            size: OnceCell::new(),
            rate: OnceCell::new(),
        }
    }

    fn is_current(&self, topic: &Arc<Topic>, min_isr: Option<i32>, n_brokers: usize) -> bool {
        Arc::ptr_eq(&self.topic, topic) && self.min_isr == min_isr && self.n_brokers == n_brokers
    }

    /// Forgets what was made from parts that were read again.
    fn forget(&mut self, changed: Changed) {
        if changed.any(Changed::OFFSETS) {
            self.records.take();
            self.rate.take();
        }
        if changed.any(Changed::LOG_DIRS) {
            self.size.take();
        }
    }

    fn factor(&self) -> usize {
        self.topic.replication_factor()
    }

    fn health(&self) -> &HealthCounts {
        self.health
            .get_or_init(|| topic_health(&self.topic, self.min_isr))
    }

    fn balance(&self) -> &(CmakPercents, TopicBalance) {
        self.balance.get_or_init(|| {
            let cmak = derive::cmak(&self.topic, self.n_brokers);
            (cmak, derive::topic_balance(&self.topic, self.n_brokers))
        })
    }

    fn cmak(&self) -> &CmakPercents {
        &self.balance().0
    }

    fn records(&self, cx: &Cx<'_>) -> &Total<i64> {
        self.records.get_or_init(|| records(&self.topic, cx))
    }

    fn rate(&self, cx: &Cx<'_>) -> &Total<f64> {
        self.rate
            .get_or_init(|| topic_rate(cx.snapshot, &self.topic.name))
    }

    fn size(&self, cx: &Cx<'_>) -> &Total<i64> {
        self.size.get_or_init(|| match cx.snapshot.log_dirs.get() {
            Some(dirs) => topic_size(dirs, &self.topic),
            None => std::iter::once(None).collect(),
        })
    }

    fn flow(&self, flow: Flow, cx: &Cx<'_>) -> Total<f64> {
        derive::topic_flow(cx.snapshot, &self.topic, flow)
    }

    fn state(&self, cx: &Cx<'_>) -> (String, Style) {
        let health = self.health();
        let theme = cx.theme;
        let under_min = health.under_min_isr.partial().unwrap_or(0);
        if let Some(error) = self.topic.error {
            (error.name(), theme.bad)
        } else if health.offline > 0 {
            (format!("{} offline", health.offline), theme.bad)
        } else if under_min > 0 {
            (format!("{under_min} under min"), theme.bad)
        } else if health.under_replicated > 0 {
            (
                format!("{} under-repl.", health.under_replicated),
                theme.warn,
            )
        } else if health.reassigning > 0 {
            (format!("{} moving", health.reassigning), theme.accent)
        } else {
            ("ok".to_owned(), theme.good)
        }
    }

    /// The worst first.
    fn state_rank(&self) -> i64 {
        let health = self.health();
        let parts = [
            i64::from(self.topic.error.is_some()),
            health.offline as i64,
            health.under_min_isr.partial().unwrap_or(0) as i64,
            health.under_replicated as i64,
            health.reassigning as i64,
        ];
        let worst = parts.iter().position(|n| *n > 0).unwrap_or(parts.len());
        (parts.len() - worst) as i64 * 1_000_000 + parts.get(worst).copied().unwrap_or(0)
    }
}

/// Records between the start and the end of every partition; compaction leaves fewer of them.
pub fn records(topic: &Topic, cx: &Cx<'_>) -> Total<i64> {
    let offsets = cx
        .snapshot
        .offsets
        .get()
        .and_then(|all| all.get(&topic.name));
    let of = |partition: i32| {
        let found = offsets?.partition(partition)?;
        Some(found.end.known()?.saturating_sub(found.start.known()?))
    };
    topic
        .partitions
        .iter()
        .map(|partition| of(partition.id))
        .collect()
}

/// CMAK's number, and the sounder one beside it where the two differ.
fn two_percents(
    cmak: u32,
    better: u32,
    style: fn(u32, &Cx<'_>) -> Style,
    cx: &Cx<'_>,
) -> Span<'static> {
    let text = if cmak == better {
        format!("{cmak}%")
    } else {
        format!("{cmak}/{better}%")
    };
    Span::styled(text, style(cmak, cx))
}

/// The columns, with those that only brokers with a metrics endpoint fill.
static WITH_METRICS: LazyLock<Vec<Column<Row>>> =
    LazyLock::new(|| COLUMNS.into_iter().chain(METRICS).collect());

static PLAIN: LazyLock<Vec<Column<Row>>> = LazyLock::new(|| COLUMNS.into_iter().collect());

const METRICS: [Column<Row>; 2] = [
    Column::number(
        "IN/S",
        10,
        3,
        |row, cx| Key::total(&row.flow(Flow::BytesIn, cx), |n| n),
        |row, cx| cells::total(&row.flow(Flow::BytesIn, cx), traffic::bytes_rate, cx),
    ),
    Column::number(
        "OUT/S",
        10,
        3,
        |row, cx| Key::total(&row.flow(Flow::BytesOut, cx), |n| n),
        |row, cx| cells::total(&row.flow(Flow::BytesOut, cx), traffic::bytes_rate, cx),
    ),
];

const COLUMNS: [Column<Row>; 13] = [
    Column::name(
        "TOPIC",
        16,
        |row, _| Key::Text(Arc::clone(&row.topic.name)),
        |row, cx| {
            let style = if row.topic.is_internal {
                cx.theme.dim
            } else {
                cx.theme.text
            };
            Span::styled(format::clean(&row.topic.name).into_owned(), style)
        },
    ),
    Column::number(
        "PART",
        4,
        0,
        |row, _| Key::size(row.topic.partitions.len()),
        |row, cx| cells::count(row.topic.partitions.len(), cx),
    ),
    Column::number(
        "RF",
        3,
        2,
        |row, _| Key::size(row.factor()),
        |row, cx| cells::count(row.factor(), cx),
    ),
    Column::text(
        "STATE",
        13,
        0,
        |row, _| Key::Int(-row.state_rank()),
        |row, cx| {
            let (text, style) = row.state(cx);
            Span::styled(text, style)
        },
    ),
    Column::number(
        "RECORDS",
        11,
        1,
        |row, cx| Key::total(row.records(cx), |n| n as f64),
        |row, cx| cells::total(row.records(cx), format::count, cx),
    ),
    Column::number(
        "SIZE",
        9,
        1,
        |row, cx| Key::total(row.size(cx), |n| n as f64),
        |row, cx| cells::total(row.size(cx), format::bytes, cx),
    ),
    Column::number(
        "RATE",
        8,
        2,
        |row, cx| Key::total(row.rate(cx), |n| n),
        |row, cx| cells::total(row.rate(cx), format::rate, cx),
    ),
    Column::number(
        "MIN",
        3,
        4,
        |row, _| Key::int(row.min_isr),
        |row, cx| cells::maybe(row.min_isr.map(i64::from), cx),
    ),
    Column::number(
        "SPREAD",
        9,
        5,
        |row, _| Key::Int(row.cmak().brokers_spread.into()),
        |row, cx| {
            let better = row.balance().1.placed.spread_percent;
            two_percents(row.cmak().brokers_spread, better, cells::should_be_high, cx)
        },
    ),
    Column::number(
        "SKEW",
        7,
        6,
        |row, _| Key::Int(row.cmak().brokers_skew.into()),
        |row, cx| {
            let better = row.balance().1.placed.skew_percent;
            two_percents(row.cmak().brokers_skew, better, cells::should_be_zero, cx)
        },
    ),
    Column::number(
        "LSKEW",
        7,
        7,
        |row, _| Key::Int(row.cmak().leader_skew.into()),
        |row, cx| {
            let better = row.balance().1.placed.leader_skew_percent;
            two_percents(row.cmak().leader_skew, better, cells::should_be_zero, cx)
        },
    ),
    Column::number(
        "PREF",
        5,
        5,
        |row, _| Key::Int(row.cmak().preferred_replicas.into()),
        |row, cx| {
            let percent = row.cmak().preferred_replicas;
            cells::percent(percent, cells::should_be_high(percent, cx))
        },
    ),
    Column::number(
        "UR",
        8,
        8,
        |row, _| Key::Int(row.cmak().under_replicated.into()),
        |row, cx| {
            let better = row.balance().1.under_replicated_percent;
            two_percents(
                row.cmak().under_replicated,
                better,
                cells::should_be_zero,
                cx,
            )
        },
    ),
];

/// The parts of the cluster that are shown.
const SHOWN: Changed = Changed::METADATA
    .and(Changed::OFFSETS)
    .and(Changed::SETTINGS)
    .and(Changed::LOG_DIRS)
    .and(Changed::METRICS);

/// The screen.
#[derive(Debug)]
pub struct Topics {
    list: List<Row>,
}

impl Topics {
    pub fn new(cx: &Cx<'_>) -> Self {
        let columns = match cx.target.metrics {
            Some(_) => &WITH_METRICS,
            None => &PLAIN,
        };
        Self {
            list: List::new(columns),
        }
    }

    fn chosen(&self) -> Vec<String> {
        self.list
            .chosen()
            .iter()
            .map(|row| row.topic.name.to_string())
            .collect()
    }

    fn selected(&self) -> Option<&Row> {
        self.list.selected_row()
    }
}

/// The election of the preferred leaders of these topics.
pub fn elect(topics: &[&Topic]) -> Action {
    let keys = topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| TopicPartition {
            topic: topic.name.clone(),
            partition: partition.id,
        })
    });
    Action::ElectPreferredLeaders(keys.collect())
}

impl Screen for Topics {
    fn place(&self) -> Place {
        Place::Topics
    }

    fn title(&self) -> String {
        "topics".to_owned()
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Topics, Scope::List]
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        let snapshot = cx.snapshot;
        vec![
            Part::of("topics", &snapshot.metadata),
            Part::of("offsets", &snapshot.offsets),
            Part::of("sizes", &snapshot.log_dirs),
        ]
        .into_iter()
        .chain(traffic::parts(cx, None))
        .collect()
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        Interest {
            metrics: true,
            ..Interest::default()
        }
    }

    focused_list!(self.list);

    fn shows(&self) -> Changed {
        SHOWN
    }

    fn on_data(&mut self, cx: &Cx<'_>, changed: Changed) {
        let Some(metadata) = cx.snapshot.metadata.get() else {
            return;
        };
        let n_brokers = cx.n_brokers();
        let (mut old, selected) = self.list.take_rows();
        let topics = &metadata.topics;
        let is_same = |(row, topic): (&Row, &Arc<Topic>)| row.topic.name == topic.name;
        if old.len() == topics.len() && old.iter().zip(topics).all(is_same) {
            // Thousands of rows stay where they are in memory, and numbers alone change none.
            let are_numbers = !changed.any(Changed::METADATA.and(Changed::SETTINGS));
            for (row, topic) in old.iter_mut().zip(topics) {
                if are_numbers {
                    row.forget(changed);
                    continue;
                }
                let min_isr = cx.min_isr(&topic.name);
                if row.is_current(topic, min_isr, n_brokers) {
                    row.forget(changed);
                } else {
                    *row = Row::new(topic, min_isr, n_brokers);
                }
            }
            return self.list.give_rows(old, selected, cx);
        }
        // Both are sorted by name, so that one walk finds what is there already.
        let mut old = old.into_iter().peekable();
        let mut rows = Vec::with_capacity(topics.len());
        for topic in topics {
            while old.next_if(|row| row.topic.name < topic.name).is_some() {}
            let min_isr = cx.min_isr(&topic.name);
            let kept = old
                .next_if(|row| row.topic.name == topic.name)
                .filter(|row| row.is_current(topic, min_isr, n_brokers));
            let mut row = kept.unwrap_or_else(|| Row::new(topic, min_isr, n_brokers));
            row.forget(changed);
            rows.push(row);
        }
        self.list.give_rows(rows, selected, cx);
    }

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        let needs_row = !matches!(command, Id::CreateTopic);
        (needs_row && self.selected().is_none() && is_own(command))
            .then(|| "no topic is selected".to_owned())
    }

    fn run(&mut self, command: Id, argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        if command == Id::CreateTopic {
            return Some(vec![Step::Dialog(Box::new(forms::create_topic_form(
                argument,
            )))]);
        }
        if command == Id::ExportTopics {
            let marked = self.list.n_marked() > 0;
            let names = if marked { self.chosen() } else { Vec::new() };
            return Some(vec![Step::Dialog(Box::new(declared::export_form(names)))]);
        }
        let name = match argument {
            "" => self.selected()?.topic.name.to_string(),
            name => name.to_owned(),
        };
        Some(match command {
            Id::Open => vec![Step::Push(Place::Topic(name))],
            Id::Messages => vec![Step::Push(Place::Messages(name))],
            Id::Configs => vec![Step::Push(Place::Configs(ConfigResource::Topic(name)))],
            Id::Produce => vec![Step::Dialog(Box::new(forms::produce_form(&name, None)))],
            Id::AddPartitions => {
                let chosen = self.list.chosen();
                let topics: Vec<&Topic> = chosen.iter().map(|row| &*row.topic).collect();
                vec![Step::Dialog(Box::new(match topics[..] {
                    [topic] => forms::add_partitions_form(topic),
                    _ => forms::add_partitions_to_many_form(&topics),
                }))]
            }
            Id::Reassign => vec![Step::Push(Place::Reassign(Moving::Topics(self.chosen())))],
            Id::ElectPreferred => {
                let topics: Vec<&Topic> = self.list.chosen().iter().map(|r| &*r.topic).collect();
                vec![Step::Plan(elect(&topics))]
            }
            Id::Delete => vec![Step::Plan(Action::DeleteTopics(self.chosen()))],
            Id::Copy => copy(&name, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        if self.list.rows().is_empty() {
            let nothing = "there are no topics: n creates one";
            return absent::draw(&cx.snapshot.metadata, nothing, cx, area, buffer);
        }
        self.list.draw(cx, true, area, buffer);
    }
}

fn is_own(command: Id) -> bool {
    matches!(
        command,
        Id::Messages
            | Id::Configs
            | Id::Produce
            | Id::AddPartitions
            | Id::Reassign
            | Id::ElectPreferred
            | Id::Delete
    )
}

/// Copies a name and says so.
pub fn copy(name: &str, _cx: &Cx<'_>) -> Vec<Step> {
    let said = Toast::good(format!("copied {}", format::clean(name)));
    vec![Step::Effect(Effect::Copy(name.to_owned())), Step::Say(said)]
}
