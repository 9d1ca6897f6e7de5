//! Brokers and what their disks hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::resource::{Fault, PartError};

/// One broker as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    pub id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
    /// Registered but not allowed to lead or serve; `None` when the cluster is too old to say.
    pub fenced: Option<bool>,
}

/// What one broker's disk holds of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaSize {
    pub size_bytes: i64,
    /// Records that this replica is behind the high watermark (the log end for a future replica).
    pub offset_lag: i64,
    /// A copy that is being moved between two log directories of one broker.
    pub is_future: bool,
    /// Index into the broker's [`LogDir`] list.
    pub dir: u16,
}

/// One log directory of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogDir {
    pub path: String,
    pub error: Option<PartError>,
    /// Size of the volume; `None` when the broker does not say.
    pub total_bytes: Option<i64>,
    /// Free space of the volume; `None` when the broker does not say.
    pub usable_bytes: Option<i64>,
    /// Closed for new partitions (Kafka 4.3).
    pub cordoned: bool,
    pub replicas: u32,
    pub size_bytes: i64,
}

/// The replicas of one topic by `(partition, broker)`, in that order: a cluster has many, so they
/// lie close together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaSizes(Vec<((i32, i32), ReplicaSize)>);

impl ReplicaSizes {
    pub fn get(&self, partition: i32, broker: i32) -> Option<&ReplicaSize> {
        let at = self
            .0
            .binary_search_by_key(&(partition, broker), |entry| entry.0)
            .ok()?;
        self.0.get(at).map(|(_, size)| size)
    }

    /// In the order of partitions and brokers.
    pub fn iter(&self) -> std::slice::Iter<'_, ((i32, i32), ReplicaSize)> {
        self.0.iter()
    }

    /// Gives back room that was made for more.
    pub fn shrink_to_fit(&mut self) {
        self.0.shrink_to_fit();
    }

    pub fn insert(&mut self, (partition, broker): (i32, i32), size: ReplicaSize) {
        match self
            .0
            .binary_search_by_key(&(partition, broker), |entry| entry.0)
        {
            Ok(at) => self.0[at].1 = size,
            Err(at) => self.0.insert(at, ((partition, broker), size)),
        }
    }
}

impl FromIterator<((i32, i32), ReplicaSize)> for ReplicaSizes {
    fn from_iter<I: IntoIterator<Item = ((i32, i32), ReplicaSize)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|entry| entry.0);
        entries.dedup_by_key(|entry| entry.0);
        Self(entries)
    }
}

impl<const N: usize> From<[((i32, i32), ReplicaSize); N]> for ReplicaSizes {
    fn from(entries: [((i32, i32), ReplicaSize); N]) -> Self {
        entries.into_iter().collect()
    }
}

/// The log directories of every broker that answered, and the failures of those that did not.
#[derive(Clone, Debug, Default)]
pub struct LogDirs {
    pub dirs: BTreeMap<i32, Vec<LogDir>>,
    /// Sizes by topic; future replicas are kept apart in `future`.
    pub replicas: HashMap<Arc<str>, ReplicaSizes>,
    pub future: HashMap<Arc<str>, ReplicaSizes>,
    pub faults: BTreeMap<i32, Arc<Fault>>,
}

impl LogDirs {
    pub fn replica(&self, topic: &str, partition: i32, broker: i32) -> Option<&ReplicaSize> {
        self.replicas.get(topic)?.get(partition, broker)
    }

    /// Whether this broker's answer is part of the value.
    pub fn knows(&self, broker: i32) -> bool {
        self.dirs.contains_key(&broker)
    }
}
