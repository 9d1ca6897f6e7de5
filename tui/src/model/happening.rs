//! What happened in a cluster, as told by two looks at it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::TopicPartition;
use super::resource::Taken;

/// Happenings that are kept.
const HAPPENINGS_MAX: usize = 5_000;
/// Replicas out of sync whose time is kept; beyond it their return is told without a duration.
const ABSENCES_MAX: usize = 200_000;

/// What it happened to, and where to look.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "name", rename_all = "snake_case")]
pub enum Subject {
    Cluster,
    Broker(i32),
    Topic(Arc<str>),
    Group(Arc<str>),
    Quorum,
    Reassignments,
}

/// How it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Something is well again.
    Good,
    Info,
    Warning,
    Bad,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Happening {
    /// When it was seen.
    pub at: Taken,
    /// The look before it, when it was not so yet; `None` where that is not known.
    pub after: Option<Taken>,
    pub weight: Weight,
    pub subject: Subject,
    pub text: String,
    /// The partitions that it is about, where it is about some.
    #[serde(serialize_with = "names")]
    pub partitions: Vec<TopicPartition>,
}

fn names<S: serde::Serializer>(keys: &[TopicPartition], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(ToString::to_string))
}

/// Since when which replica of a partition has been out of sync.
#[derive(Clone, Debug, Default)]
pub struct Absences(HashMap<(TopicPartition, i32), Taken>);

impl Absences {
    pub fn begin(&mut self, partition: &TopicPartition, replica: i32, at: Taken) {
        if self.0.len() < ABSENCES_MAX {
            self.0.entry((partition.clone(), replica)).or_insert(at);
        }
    }

    /// Milliseconds that the replica was away, if its leaving was seen.
    pub fn end(&mut self, partition: &TopicPartition, replica: i32, at: Taken) -> Option<i64> {
        let since = self.0.remove(&(partition.clone(), replica))?;
        Some(at.monotonic_ms.saturating_sub(since.monotonic_ms))
    }

    /// Forgets what is no longer out of sync, or no longer there.
    pub fn retain(&mut self, is_away: impl Fn(&TopicPartition, i32) -> bool) {
        self.0
            .retain(|(partition, replica), _| is_away(partition, *replica));
    }
}

/// The newest happenings, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    happenings: VecDeque<Arc<Happening>>,
    pub absences: Absences,
    /// How many have come in all, those that are forgotten among them.
    n_told: u64,
}

impl Feed {
    pub fn add(&mut self, happenings: impl IntoIterator<Item = Happening>) {
        for happening in happenings {
            if self.happenings.len() == HAPPENINGS_MAX {
                self.happenings.pop_front();
            }
            self.happenings.push_back(Arc::new(happening));
            self.n_told += 1;
        }
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Happening>> + ExactSizeIterator {
        self.happenings.iter()
    }

    /// How many have come in all; the number of the newest one.
    pub fn n_told(&self) -> u64 {
        self.n_told
    }
}
