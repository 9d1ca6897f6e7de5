//! The first screen: is the cluster well, how large is it, what is wrong.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{cells, topics};
use crate::derive::{self, HealthCounts, PartitionHealth, Total, partition_health};
use crate::model::{Broker, ClusterMetadata, ClusterSnapshot, Partition, PartitionOffsets, Topic};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step, focused_list};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Key, List, Named};

/// Problems that are listed; the counts above say how many there are.
const PROBLEMS_MAX: usize = 5_000;

/// One thing that is wrong.
pub struct Problem {
    name: String,
    rank: u8,
    what: String,
    detail: String,
    place: Place,
}

impl Named for Problem {
    fn name(&self) -> &str {
        &self.name
    }
}

fn rank_style(rank: u8, cx: &Cx<'_>) -> Style {
    if rank < 2 {
        cx.theme.bad
    } else {
        cx.theme.warn
    }
}

const COLUMNS: &[Column<Problem>] = &[
    Column::name(
        "WHAT IS WRONG",
        24,
        |row, _| Key::text(&row.name),
        |row, cx| cells::foreign(&row.name, cx),
    ),
    Column::text(
        "STATE",
        16,
        0,
        |row, _| Key::Int(row.rank.into()),
        |row, cx| Span::styled(row.what.clone(), rank_style(row.rank, cx)),
    ),
    Column::wide(
        "DETAIL",
        32,
        1,
        |row, _| Key::text(&row.detail),
        |row, cx| cells::foreign(&row.detail, cx),
    ),
];

/// Numbers of the whole cluster, made once per refresh.
#[derive(Debug, Default)]
struct Numbers {
    health: Option<HealthCounts>,
    topics: usize,
    internal: usize,
    replicas: usize,
    records: Total<i64>,
    size: Total<i64>,
    rate: Total<f64>,
    groups: Option<usize>,
    groups_missing: usize,
    fenced: usize,
    busiest: Vec<Busy>,
    /// By name.
    known: Vec<Known>,
}

/// One of the topics that grow fastest.
#[derive(Debug)]
struct Busy {
    name: Arc<str>,
    rate: f64,
    records: Total<i64>,
}

/// Rows of the two blocks at the top: a title and what is counted.
const BLOCK_ROWS: u16 = 9;

/// How many of them are shown at most.
const BUSIEST: usize = 10;

/// The parts in which problems are looked for.
const PROBLEMATIC: Changed = Changed::METADATA
    .and(Changed::SETTINGS)
    .and(Changed::LOG_DIRS)
    .and(Changed::GROUPS);

/// The screen.
#[derive(Debug)]
pub struct Overview {
    problems: List<Problem>,
    numbers: Numbers,
}

impl Overview {
    pub fn new() -> Self {
        Self {
            problems: List::sorted_by(COLUMNS, 1, false),
            numbers: Numbers::default(),
        }
    }

    fn draw_health(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let health = self.numbers.health.unwrap_or_default();
        let (word, style) = match self.problems.rows().iter().map(|p| p.rank).min() {
            None => ("all is well", theme.good),
            Some(0 | 1) => ("needs attention now", theme.bad),
            _ => ("needs a look", theme.warn),
        };
        let title = vec![
            Span::styled("HEALTH  ", theme.header),
            Span::styled(word, style),
        ];
        frame::line(title, area.x, area.y, area.width, buffer);
        let exact = |n: usize| (format::count(n as i64), n > 0);
        let sum = |total: &Total<usize>| {
            let text = format::total(total, |n| format::count(n as i64));
            (text, total.partial().unwrap_or(0) > 0)
        };
        let lines = [
            ("offline partitions", exact(health.offline), theme.bad),
            (
                "under-replicated",
                exact(health.under_replicated),
                theme.warn,
            ),
            ("under min ISR", sum(&health.under_min_isr), theme.bad),
            ("at min ISR", sum(&health.at_min_isr), theme.text),
            ("unreplicated", exact(health.unreplicated), theme.text),
            (
                "not led by preferred",
                exact(health.not_preferred),
                theme.text,
            ),
            ("reassigning", exact(health.reassigning), theme.accent),
            (
                "offline replicas",
                exact(health.offline_replicas),
                theme.warn,
            ),
        ];
        for (y, (label, (text, counts), style)) in (area.y + 1..area.bottom()).zip(lines) {
            let style = if counts { style } else { theme.text };
            let spans = vec![
                Span::styled(format!("{label:<22}"), theme.dim),
                Span::styled(format!("{text:>9}"), style),
            ];
            frame::line(spans, area.x, y, area.width, buffer);
        }
    }

    fn draw_totals(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let n = &self.numbers;
        let health = n.health.unwrap_or_default();
        frame::line(
            vec![Span::styled("CLUSTER", theme.header)],
            area.x,
            area.y,
            area.width,
            buffer,
        );
        let count = |n: usize| format::count(n as i64);
        let brokers = match n.fenced {
            0 => count(cx.n_brokers()),
            fenced => format!("{} ({fenced} fenced)", count(cx.n_brokers())),
        };
        let groups = match (n.groups, n.groups_missing) {
            (None, _) => format::UNKNOWN.to_owned(),
            (Some(n), 0) => count(n),
            (Some(n), _) => format!("≥{}", count(n)),
        };
        let lines = [
            ("brokers", brokers),
            ("controller", controller(cx.snapshot)),
            (
                "topics",
                match n.internal {
                    0 => count(n.topics),
                    internal => format!("{} ({internal} internal)", count(n.topics)),
                },
            ),
            (
                "partitions",
                format!(
                    "{} ({} replicas)",
                    count(health.partitions),
                    count(n.replicas)
                ),
            ),
            ("groups", groups),
            ("records", format::total(&n.records, format::count)),
            ("size on disk", format::total(&n.size, format::bytes)),
        ];
        for (y, (label, text)) in (area.y + 1..area.bottom()).zip(lines) {
            let spans = vec![
                Span::styled(format!("{label:<14}"), theme.dim),
                Span::styled(text, theme.text),
            ];
            frame::line(spans, area.x, y, area.width, buffer);
        }
    }

    fn draw_busiest(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let busiest = &self.numbers.busiest;
        if busiest.is_empty() {
            return;
        }
        let longest = busiest
            .iter()
            .map(|busy| busy.name.len())
            .max()
            .unwrap_or(0);
        let room = usize::from(area.width).saturating_sub(34);
        let width = longest.clamp(24, room.max(24));
        let title = format!(
            "{:<width$}  {:>10}  {:>14}",
            "BUSIEST TOPICS", "RATE", "RECORDS"
        );
        frame::text(&title, theme.header, area.x, area.y, area.width, buffer);
        for (y, busy) in (area.y + 1..area.bottom()).zip(busiest) {
            let name = format::cut(&format::clean(&busy.name), width);
            let rate = format::rate(busy.rate);
            let records = format::total(&busy.records, format::count);
            let text = format!("{name:<width$}  {rate:>10}  {records:>14}");
            frame::text(&text, theme.text, area.x, y, area.width, buffer);
        }
    }

    fn draw_rate(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let rates = &cx.snapshot.rates;
        let now = match rates.back() {
            Some(point) if point.is_whole => format::rate(point.records_per_second),
            Some(point) => format!("≥{}", format::rate(point.records_per_second)),
            None => format::total(&self.numbers.rate, format::rate),
        };
        let width = usize::from(area.width).saturating_sub(24).min(100);
        let points = rates.iter().map(|point| point.records_per_second);
        let spans = vec![
            Span::styled("RATE  ", theme.header),
            Span::styled(format!("{now:>12}  "), theme.text),
            Span::styled(frame::sparkline(points, width), theme.accent),
        ];
        frame::line(spans, area.x, area.y, area.width, buffer);
    }
}

fn controller(snapshot: &ClusterSnapshot) -> String {
    let Some(quorum) = snapshot.quorum.get() else {
        return match (snapshot.controller_id(), snapshot.quorum.fault()) {
            (Some(id), _) => format!("{id}"),
            (None, Some(_)) => "not told".to_owned(),
            (None, None) => format::UNKNOWN.to_owned(),
        };
    };
    let lag = quorum
        .voters
        .iter()
        .filter_map(|voter| voter.lag)
        .max()
        .unwrap_or(0);
    let behind = if lag > 0 {
        format!(", lag {}", format::count(lag))
    } else {
        String::new()
    };
    let voters = format::plural(quorum.voters.len(), "voter");
    format!(
        "{} (epoch {}, {voters}{behind})",
        quorum.leader_id, quorum.leader_epoch
    )
}

/// What is wrong with a partition, in words, the worst first.
fn partition_problem(health: PartitionHealth) -> Option<(u8, &'static str)> {
    if health.offline {
        Some((0, "offline"))
    } else if health.under_min_isr == Some(true) {
        Some((1, "under min ISR"))
    } else if health.under_replicated {
        Some((2, "under-replicated"))
    } else if health.offline_replicas > 0 {
        Some((2, "offline replica"))
    } else {
        None
    }
}

fn partition_detail(partition: &Partition, min_isr: Option<i32>) -> String {
    let isr = match &partition.isr[..] {
        [] => "none".to_owned(),
        isr => format::ids(isr),
    };
    let min = min_isr
        .map(|min| format!(", min {min}"))
        .unwrap_or_default();
    format!("in sync {isr} of {}{min}", format::ids(&partition.replicas))
}

/// What is known of one topic's health; made again only when the topic changed.
#[derive(Debug)]
struct Known {
    topic: Arc<Topic>,
    min_isr: Option<i32>,
    health: HealthCounts,
    replicas: usize,
}

impl Known {
    fn new(topic: &Arc<Topic>, min_isr: Option<i32>) -> Self {
        let mut health = HealthCounts::default();
        let mut replicas = 0;
        for partition in &topic.partitions {
            health.add(partition_health(partition, min_isr));
            replicas += partition.replicas.len();
        }
        Self {
            topic: Arc::clone(topic),
            min_isr,
            health,
            replicas,
        }
    }

    fn may_have_problems(&self) -> bool {
        self.topic.error.is_some()
            || self.health.offline > 0
            || self.health.under_replicated > 0
            || self.health.offline_replicas > 0
            || self.health.under_min_isr.partial().unwrap_or(0) > 0
    }

    fn add_problems(&self, problems: &mut Vec<Problem>) {
        let topic = &self.topic;
        let mut problem = |name: String, rank: u8, what: &str, detail: String| {
            let place = Place::Topic(topic.name.to_string());
            problems.push(Problem {
                name,
                rank,
                what: what.to_owned(),
                detail,
                place,
            });
        };
        if let Some(error) = topic.error {
            problem(topic.name.to_string(), 1, "error", error.name());
        }
        for partition in &topic.partitions {
            let health = partition_health(partition, self.min_isr);
            if let Some((rank, what)) = partition_problem(health) {
                let name = format!("{}-{}", topic.name, partition.id);
                problem(name, rank, what, partition_detail(partition, self.min_isr));
            }
        }
    }
}

/// What is wrong with brokers and their disks.
fn broker_problems(snapshot: &ClusterSnapshot, metadata: &ClusterMetadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem = |id: i32, what: &str, part: &str, detail: String| {
        problems.push(Problem {
            name: format!("broker {id}{part}"),
            rank: 1,
            what: what.to_owned(),
            detail,
            place: Place::Broker(id),
        });
    };
    for (id, fault) in snapshot.broker_faults() {
        problem(id, "no answer", "", fault.why.clone());
    }
    for broker in metadata
        .brokers
        .iter()
        .filter(|broker| broker.fenced == Some(true))
    {
        problem(
            broker.id,
            "fenced",
            " ",
            "registered, but may not serve".to_owned(),
        );
    }
    for (id, dirs) in snapshot
        .log_dirs
        .get()
        .iter()
        .flat_map(|dirs| dirs.dirs.iter())
    {
        for dir in dirs {
            if let Some(error) = dir.error {
                problem(
                    *id,
                    "log dir failed",
                    &format!(" {}", dir.path),
                    error.name(),
                );
            }
        }
    }
    problems
}

impl Numbers {
    /// Counts anew what the parts that changed are counted in.
    fn refresh(&mut self, cx: &Cx<'_>, changed: Changed) {
        let snapshot = cx.snapshot;
        let Some(metadata) = snapshot.metadata.get() else {
            *self = Self::default();
            return;
        };
        if changed.any(Changed::METADATA.and(Changed::SETTINGS)) {
            self.examine(cx, metadata);
        }
        if changed.any(Changed::METADATA) {
            self.topics = metadata.topics.len();
            self.internal = metadata
                .topics
                .iter()
                .filter(|topic| topic.is_internal)
                .count();
            let fenced = |broker: &&Broker| broker.fenced == Some(true);
            self.fenced = metadata.brokers.iter().filter(fenced).count();
        }
        if changed.any(Changed::METADATA.and(Changed::OFFSETS)) {
            self.count_records(cx, metadata);
        }
        if changed.any(Changed::METADATA.and(Changed::LOG_DIRS)) {
            let sizes = snapshot.log_dirs.get().map(derive::broker_sizes);
            let of = |broker: &Broker| sizes.as_ref()?.get(&broker.id).copied();
            self.size = metadata.brokers.iter().map(of).collect();
        }
        if let Some(groups) = snapshot.groups.get() {
            self.groups = Some(groups.groups.len());
            self.groups_missing = groups.faults.len();
        }
    }

    /// Looks at the topics that changed, and sums up.
    fn examine(&mut self, cx: &Cx<'_>, metadata: &ClusterMetadata) {
        let mut old = std::mem::take(&mut self.known).into_iter().peekable();
        let mut health = HealthCounts::default();
        self.replicas = 0;
        self.known.reserve(metadata.topics.len());
        for topic in &metadata.topics {
            // Both are sorted by name.
            while old.next_if(|known| known.topic.name < topic.name).is_some() {}
            let min_isr = cx.min_isr(&topic.name);
            let kept = old
                .next_if(|known| known.topic.name == topic.name)
                .filter(|known| Arc::ptr_eq(&known.topic, topic) && known.min_isr == min_isr);
            let known = kept.unwrap_or_else(|| Known::new(topic, min_isr));
            health.merge(known.health);
            self.replicas += known.replicas;
            self.known.push(known);
        }
        self.health = Some(health);
    }

    fn problems(&self, cx: &Cx<'_>) -> Vec<Problem> {
        let Some(metadata) = cx.snapshot.metadata.get() else {
            return Vec::new();
        };
        let mut problems = broker_problems(cx.snapshot, metadata);
        for known in self.known.iter().filter(|known| known.may_have_problems()) {
            known.add_problems(&mut problems);
            if problems.len() > PROBLEMS_MAX {
                break;
            }
        }
        problems
    }

    fn count_records(&mut self, cx: &Cx<'_>, metadata: &ClusterMetadata) {
        self.records = Total::new();
        self.rate = Total::new();
        let Some(offsets) = cx.snapshot.offsets.get() else {
            self.records.add(None);
            self.rate.add(None);
            return;
        };
        let mut busiest: Vec<Busy> = Vec::new();
        for topic in &metadata.topics {
            let Some(now) = offsets.get(&topic.name) else {
                self.records.add(None);
                self.rate.add(None);
                continue;
            };
            let records: Total<i64> = now.partitions.iter().map(records_of).collect();
            self.records.merge(records);
            let before = cx.snapshot.offsets_before.get(&topic.name);
            let rate = before.map_or_else(
                || std::iter::once(None).collect(),
                |before| derive::rate_between(before, now),
            );
            self.rate.merge(rate);
            let least = busiest.last().map_or(0.0, |busy| busy.rate);
            let is_full = busiest.len() >= BUSIEST;
            let floor = if is_full { least } else { 0.0 };
            if let Some(rate) = rate.partial().filter(|rate| *rate > floor) {
                busiest.truncate(BUSIEST - usize::from(is_full));
                let at = busiest.partition_point(|busy| busy.rate >= rate);
                busiest.insert(
                    at,
                    Busy {
                        name: Arc::clone(&topic.name),
                        rate,
                        records,
                    },
                );
            }
        }
        self.busiest = busiest;
    }
}

fn records_of(offsets: &PartitionOffsets) -> Option<i64> {
    Some(offsets.end.known()?.saturating_sub(offsets.start.known()?))
}

impl Screen for Overview {
    fn place(&self) -> Place {
        Place::Overview
    }

    fn title(&self) -> String {
        "overview".to_owned()
    }

    fn status(&self, _cx: &Cx<'_>) -> String {
        String::new()
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Overview, Scope::List]
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        let snapshot = cx.snapshot;
        vec![
            Part::of("metadata", &snapshot.metadata),
            Part::of("offsets", &snapshot.offsets),
            Part::of("sizes", &snapshot.log_dirs),
            Part::of("groups", &snapshot.groups),
            Part::of("quorum", &snapshot.quorum),
        ]
    }

    focused_list!(self.problems);

    fn on_data(&mut self, cx: &Cx<'_>, changed: Changed) {
        self.numbers.refresh(cx, changed);
        if changed.any(PROBLEMATIC) {
            self.problems.set_rows(self.numbers.problems(cx), cx);
        }
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        let row = self.problems.selected_row();
        Some(match command {
            Id::Open => match row {
                Some(row) => vec![Step::Push(row.place.clone())],
                None => vec![Step::Push(Place::Topics)],
            },
            Id::Copy => topics::copy(&row?.name, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let left = 32.min(area.width / 2);
        let blocks = Rect {
            x: area.x + 1,
            height: BLOCK_ROWS.min(area.height),
            ..area
        };
        self.draw_health(
            cx,
            Rect {
                width: left,
                ..blocks
            },
            buffer,
        );
        let right = Rect {
            x: blocks.x + left + 2,
            width: area.width.saturating_sub(left + 4),
            ..blocks
        };
        self.draw_totals(cx, right, buffer);
        if area.height < BLOCK_ROWS + 3 {
            return;
        }
        let rate = Rect {
            x: area.x + 1,
            y: area.y + BLOCK_ROWS + 1,
            height: 1,
            width: area.width - 2,
        };
        self.draw_rate(cx, rate, buffer);
        let rest = Rect {
            y: area.y + BLOCK_ROWS + 3,
            height: area.height - BLOCK_ROWS - 3,
            ..area
        };
        let n_problems = u16::try_from(self.problems.rows().len()).unwrap_or(u16::MAX);
        let problems = Rect {
            height: n_problems.saturating_add(1).min(rest.height),
            ..rest
        };
        if n_problems == 0 {
            let text = "No partition lacks a leader or a replica, and every broker answers.";
            frame::text(text, theme.good, rest.x + 1, rest.y, rest.width - 2, buffer);
        } else {
            self.problems.draw(cx, true, problems, buffer);
        }
        let used = problems.height + 1;
        if rest.height > used + 1 {
            let below = Rect {
                x: rest.x + 1,
                y: rest.y + used,
                width: rest.width - 2,
                height: rest.height - used,
            };
            self.draw_busiest(cx, below, buffer);
        }
    }
}
