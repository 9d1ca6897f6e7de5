//! Making a proposal: at once where the cluster is small, and as a job where it would hold the
//! screens up.

use std::collections::HashSet;
use std::sync::Arc;

use kafka_shared::types::TopicPartition;

use crate::model::{Assignment, ClusterMetadata, Fault, LogDirs};
use crate::ops::reassign::{Preview, Request, preview, propose_while};
use crate::ui::screen::Moving;
use crate::ui::widgets::list::Named;

/// Partitions of a cluster that are planned between two keys.
const AT_ONCE: usize = 3_000;

/// One partition that may change.
#[derive(Debug)]
pub struct Row {
    pub(super) name: String,
    pub(super) key: TopicPartition,
    pub(super) current: Vec<i32>,
    pub(super) proposed: Vec<i32>,
    pub(super) bytes: Option<i64>,
    pub(super) racks: Option<(usize, usize)>,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Row {
    pub(super) fn changes(&self) -> bool {
        self.current != self.proposed
    }

    pub(super) fn what(&self) -> String {
        let new: Vec<i32> = self
            .proposed
            .iter()
            .copied()
            .filter(|id| !self.current.contains(id))
            .collect();
        let gone: Vec<i32> = self
            .current
            .iter()
            .copied()
            .filter(|id| !self.proposed.contains(id))
            .collect();
        match (new.is_empty(), gone.is_empty()) {
            (true, true) if self.changes() => "other order".to_owned(),
            (true, true) => "stays".to_owned(),
            _ => {
                let plus = new.iter().map(|id| format!("+{id}"));
                let minus = gone.iter().map(|id| format!("-{id}"));
                plus.chain(minus).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

/// What a proposal is made from.
#[derive(Debug)]
pub struct ProposeWish {
    pub metadata: Arc<ClusterMetadata>,
    pub dirs: Option<Arc<LogDirs>>,
    pub moving: Moving,
    /// `None`: what there is already is compared with the present only.
    pub request: Option<Request>,
    pub target: Assignment,
    pub based_on: Assignment,
}

/// A proposal beside the present, ready to be shown.
#[derive(Debug, Default)]
pub struct Proposed {
    pub target: Assignment,
    pub based_on: Assignment,
    pub preview: Preview,
    pub rows: Vec<Row>,
    pub fault: Option<Fault>,
}

impl ProposeWish {
    /// Whether nobody would notice.
    pub fn is_quick(metadata: &ClusterMetadata) -> bool {
        let mut left = AT_ONCE;
        let mut topics = metadata.topics.iter();
        topics.all(|topic| {
            let n = topic.partitions.len();
            left = left.saturating_sub(n);
            left > 0
        })
    }

    /// Makes it, as long as it is wanted.
    pub fn make(self, is_wanted: &dyn Fn() -> bool) -> Proposed {
        let mut made = Proposed {
            target: self.target,
            based_on: self.based_on,
            ..Proposed::default()
        };
        let dirs = self.dirs.as_deref();
        if let Some(request) = &self.request {
            made.target.clear();
            made.based_on.clear();
            match propose_while(&self.metadata, dirs, request, is_wanted) {
                Ok(target) => made.target = target,
                Err(fault) => made.fault = Some(fault),
            }
            if let Moving::Partitions(partitions) = &self.moving {
                let meant: HashSet<&TopicPartition> = partitions.iter().collect();
                made.target.retain(|key, _| meant.contains(key));
            }
        }
        made.preview = preview(&self.metadata, dirs, &made.target);
        made.make_rows(&self.metadata, &self.moving);
        made
    }
}

/// What may move, to be looked up: it may be all topics of a large cluster.
enum InScope<'a> {
    Topics(HashSet<&'a str>),
    Partitions(HashSet<&'a TopicPartition>),
    On(i32),
}

impl<'a> InScope<'a> {
    fn of(moving: &'a Moving) -> Self {
        match moving {
            Moving::Topics(topics) => Self::Topics(topics.iter().map(String::as_str).collect()),
            Moving::Partitions(partitions) => Self::Partitions(partitions.iter().collect()),
            Moving::Drain(broker) => Self::On(*broker),
        }
    }

    fn holds(&self, key: &TopicPartition, replicas: &[i32]) -> bool {
        match self {
            Self::Topics(topics) => topics.contains(&*key.topic),
            Self::Partitions(partitions) => partitions.contains(key),
            Self::On(broker) => replicas.contains(broker),
        }
    }
}

impl Proposed {
    fn make_rows(&mut self, metadata: &ClusterMetadata, moving: &Moving) {
        let has_racks = metadata.brokers.iter().any(|broker| broker.rack.is_some());
        let scope = InScope::of(moving);
        let mut changes = self.preview.rows.iter().peekable();
        for topic in &metadata.topics {
            for partition in &topic.partitions {
                let key = TopicPartition {
                    topic: topic.name.clone(),
                    partition: partition.id,
                };
                // The preview is in the order of the metadata too.
                let change = changes.next_if(|change| change.partition == key);
                if change.is_none() && !scope.holds(&key, &partition.replicas) {
                    continue;
                }
                let current = partition.replicas.to_vec();
                self.based_on
                    .entry(key.clone())
                    .or_insert_with(|| current.clone());
                self.rows.push(Row {
                    name: key.to_string(),
                    proposed: change.map_or_else(|| current.clone(), |c| c.proposed.clone()),
                    bytes: change.map_or(Some(0), |change| change.bytes),
                    racks: change
                        .filter(|_| has_racks)
                        .map(|change| (change.racks_before, change.racks_after)),
                    current,
                    key,
                });
            }
        }
    }
}
