//! Brokers and what their disks hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::resource::{Fault, PartError};

/// One broker as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broker {
    pub id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
    /// Registered but not allowed to lead or serve; `None` when the cluster is too old to say.
    pub fenced: Option<bool>,
}

/// Names one replica on one broker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaKey {
    pub topic: Arc<str>,
    pub partition: i32,
    pub broker: i32,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

/// The log directories of every broker that answered, and the failures of those that did not.
#[derive(Clone, Debug, Default)]
pub struct LogDirs {
    pub dirs: BTreeMap<i32, Vec<LogDir>>,
    /// Sizes by topic, then `(partition, broker)`; a future replica is kept apart in `future`.
    pub replicas: HashMap<Arc<str>, BTreeMap<(i32, i32), ReplicaSize>>,
    pub future: HashMap<Arc<str>, BTreeMap<(i32, i32), ReplicaSize>>,
    pub faults: BTreeMap<i32, Arc<Fault>>,
}

impl LogDirs {
    pub fn replica(&self, topic: &str, partition: i32, broker: i32) -> Option<&ReplicaSize> {
        self.replicas.get(topic)?.get(&(partition, broker))
    }

    /// Whether this broker's answer is part of the value.
    pub fn knows(&self, broker: i32) -> bool {
        self.dirs.contains_key(&broker)
    }
}
