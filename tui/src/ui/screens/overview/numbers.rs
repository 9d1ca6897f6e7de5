//! What the first screen counts and what it finds wrong, made once per refresh.

use std::sync::Arc;

use super::{Place, Problem};
use crate::derive::{self, HealthCounts, PartitionHealth, Total, partition_health};
use crate::model::{Broker, ClusterMetadata, ClusterSnapshot, Partition, PartitionOffsets, Topic};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::Changed;

/// Problems that are listed; the counts above say how many there are.
const PROBLEMS_MAX: usize = 5_000;

/// Numbers of the whole cluster, made once per refresh.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) health: Option<HealthCounts>,
    pub(super) topics: usize,
    pub(super) internal: usize,
    pub(super) replicas: usize,
    pub(super) records: Total<i64>,
    pub(super) size: Total<i64>,
    pub(super) rate: Total<f64>,
    pub(super) groups: Option<usize>,
    pub(super) groups_missing: usize,
    pub(super) fenced: usize,
    pub(super) busiest: Vec<Busy>,
    /// By name.
    known: Vec<Known>,
}

/// One of the topics that grow fastest.
#[derive(Debug)]
pub(super) struct Busy {
    pub(super) name: Arc<str>,
    pub(super) rate: f64,
    /// Whether it is the rate of some of its partitions only.
    pub(super) is_part: bool,
    pub(super) records: Total<i64>,
}

/// How many of them are shown at most.
const BUSIEST: usize = 10;

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
    let is_fenced = |id: &i32| {
        let broker = metadata.broker(*id);
        broker.is_some_and(|broker| broker.fenced == Some(true))
    };
    // Below it is told why that one does not answer.
    let faults = snapshot.broker_faults();
    for (id, fault) in faults.into_iter().filter(|(id, _)| !is_fenced(id)) {
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
    pub(super) fn refresh(&mut self, cx: &Cx<'_>, changed: Changed) {
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

    pub(super) fn problems(&self, cx: &Cx<'_>) -> Vec<Problem> {
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
            let is_part = rate.complete().is_none();
            if let Some(rate) = rate.partial().filter(|rate| *rate > floor) {
                busiest.truncate(BUSIEST - usize::from(is_full));
                let at = busiest.partition_point(|busy| busy.rate >= rate);
                busiest.insert(
                    at,
                    Busy {
                        name: Arc::clone(&topic.name),
                        rate,
                        is_part,
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
