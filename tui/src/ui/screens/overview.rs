//! The first screen: is the cluster well, how large is it, what is wrong.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{cells, topics};
use crate::derive::{self, HealthCounts, PartitionHealth, Total, partition_health};
use crate::model::{ClusterSnapshot, Partition};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Part, Place, Screen, Step};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Key, List, Named, Rows};

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
}

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

    fn draw_rate(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let rates = &cx.snapshot.rates;
        let now = match rates.back() {
            Some(point) => format::rate(point.records_per_second),
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

fn problems(cx: &Cx<'_>) -> Vec<Problem> {
    let snapshot = cx.snapshot;
    let mut problems = Vec::new();
    let Some(metadata) = snapshot.metadata.get() else {
        return problems;
    };
    for (id, fault) in snapshot.broker_faults() {
        problems.push(Problem {
            name: format!("broker {id}"),
            rank: 1,
            what: "no answer".to_owned(),
            detail: fault.why.clone(),
            place: Place::Broker(id),
        });
    }
    for broker in metadata
        .brokers
        .iter()
        .filter(|broker| broker.fenced == Some(true))
    {
        problems.push(Problem {
            name: format!("broker {} ", broker.id),
            rank: 1,
            what: "fenced".to_owned(),
            detail: "registered, but may not serve".to_owned(),
            place: Place::Broker(broker.id),
        });
    }
    for (id, dirs) in snapshot
        .log_dirs
        .get()
        .iter()
        .flat_map(|dirs| dirs.dirs.iter())
    {
        for dir in dirs {
            if let Some(error) = dir.error {
                problems.push(Problem {
                    name: format!("broker {id} {}", dir.path),
                    rank: 1,
                    what: "log dir failed".to_owned(),
                    detail: error.name(),
                    place: Place::Broker(*id),
                });
            }
        }
    }
    for topic in &metadata.topics {
        let min_isr = cx.min_isr(&topic.name);
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
            if let Some((rank, what)) = partition_problem(partition_health(partition, min_isr)) {
                let name = format!("{}-{}", topic.name, partition.id);
                problem(name, rank, what, partition_detail(partition, min_isr));
            }
        }
        if problems.len() > PROBLEMS_MAX {
            break;
        }
    }
    problems
}

fn numbers(cx: &Cx<'_>) -> Numbers {
    let snapshot = cx.snapshot;
    let Some(metadata) = snapshot.metadata.get() else {
        return Numbers::default();
    };
    let mut records = Total::new();
    for topic in &metadata.topics {
        records.merge(topics::records(topic, cx));
    }
    let mut size = Total::new();
    match snapshot.log_dirs.get() {
        Some(dirs) => {
            let sizes = derive::broker_sizes(dirs);
            for broker in &metadata.brokers {
                size.add(sizes.get(&broker.id).copied());
            }
        }
        None => size.add(None),
    }
    let partitions = metadata
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter());
    Numbers {
        health: derive::cluster_health(snapshot),
        topics: metadata.topics.len(),
        internal: metadata
            .topics
            .iter()
            .filter(|topic| topic.is_internal)
            .count(),
        replicas: partitions.map(|partition| partition.replicas.len()).sum(),
        records,
        size,
        rate: if snapshot.rates.is_empty() {
            derive::cluster_rate(snapshot)
        } else {
            Total::new()
        },
        groups: snapshot.groups.get().map(|groups| groups.groups.len()),
        groups_missing: snapshot
            .groups
            .get()
            .map_or(0, |groups| groups.faults.len()),
        fenced: metadata
            .brokers
            .iter()
            .filter(|broker| broker.fenced == Some(true))
            .count(),
    }
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

    fn list(&mut self) -> Option<&mut dyn Rows> {
        Some(&mut self.problems)
    }

    fn list_ref(&self) -> Option<&dyn Rows> {
        Some(&self.problems)
    }

    fn on_data(&mut self, cx: &Cx<'_>) {
        self.problems.set_rows(problems(cx), cx);
        self.numbers = numbers(cx);
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
            height: 8.min(area.height),
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
        if area.height < 11 {
            return;
        }
        let rate = Rect {
            x: area.x + 1,
            y: area.y + 9,
            height: 1,
            width: area.width - 2,
        };
        self.draw_rate(cx, rate, buffer);
        let rest = Rect {
            y: area.y + 11,
            height: area.height - 11,
            ..area
        };
        if self.problems.rows().is_empty() {
            let text = "No partition lacks a leader or a replica, and every broker answers.";
            frame::text(text, theme.good, rest.x + 1, rest.y, rest.width - 2, buffer);
        } else {
            self.problems.draw(cx, true, rest, buffer);
        }
    }
}
