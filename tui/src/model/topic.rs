//! Topics, partitions and their offsets.

use std::sync::Arc;

use uuid::Uuid;

use super::resource::{Cell, PartError, Taken};

/// The leader id of a partition that has none.
pub const NO_LEADER: i32 = -1;

/// One topic. Partitions are sorted by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: Arc<str>,
    /// `None` when the cluster is too old to say.
    pub id: Option<Uuid>,
    pub is_internal: bool,
    pub error: Option<PartError>,
    pub partitions: Box<[Partition]>,
}

impl Topic {
    pub fn partition(&self, id: i32) -> Option<&Partition> {
        // Ids are dense in every sound cluster, so the position is nearly always the id.
        if let Some(partition) = usize::try_from(id)
            .ok()
            .and_then(|at| self.partitions.get(at))
            && partition.id == id
        {
            return Some(partition);
        }
        let at = self.partitions.binary_search_by_key(&id, |p| p.id).ok()?;
        self.partitions.get(at)
    }

    /// The largest number of wanted replicas of any partition: adding replicas don't count.
    pub fn replication_factor(&self) -> usize {
        self.partitions
            .iter()
            .map(|p| p.wanted_replicas())
            .max()
            .unwrap_or(0)
    }
}

/// One partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    pub id: i32,
    /// [`NO_LEADER`] when there is none.
    pub leader: i32,
    /// -1 when unknown.
    pub leader_epoch: i32,
    pub error: Option<PartError>,
    /// In preference order: the first one is the preferred leader.
    /// Few lists are of many partitions, which share them.
    pub replicas: Arc<[i32]>,
    pub isr: Arc<[i32]>,
    pub offline: Box<[i32]>,
    /// Replicas that a running reassignment adds; they are in `replicas` already.
    pub adding: Box<[i32]>,
    /// Replicas that a running reassignment removes; they are in `replicas` still.
    pub removing: Box<[i32]>,
    /// Eligible leader replicas (KIP-966); `None` when the cluster does not say.
    pub elr: Option<Box<[i32]>>,
    pub last_known_elr: Option<Box<[i32]>>,
}

impl Partition {
    pub fn has_leader(&self) -> bool {
        self.leader >= 0
    }

    pub fn preferred_leader(&self) -> Option<i32> {
        self.replicas.first().copied()
    }

    pub fn is_reassigning(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// Replicas without those that a reassignment is still adding, as Kafka counts them when it
    /// decides whether a partition is under-replicated.
    pub fn wanted_replicas(&self) -> usize {
        self.replicas
            .iter()
            .filter(|id| !self.adding.contains(id))
            .count()
    }
}

/// Start and end of one partition's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PartitionOffsets {
    pub partition: i32,
    /// First offset that can be read.
    pub start: Cell<i64>,
    /// The high watermark: the offset after the last one that can be read.
    pub end: Cell<i64>,
}

/// Offsets of one topic's partitions, sorted by partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOffsets {
    pub taken: Taken,
    /// The topic these offsets belong to; a topic made anew under the old name has another id.
    pub topic_id: Option<Uuid>,
    /// Shared with what was read before or after while they are the same.
    pub partitions: Arc<[PartitionOffsets]>,
}

impl TopicOffsets {
    pub fn partition(&self, id: i32) -> Option<&PartitionOffsets> {
        if let Some(found) = usize::try_from(id)
            .ok()
            .and_then(|at| self.partitions.get(at))
            && found.partition == id
        {
            return Some(found);
        }
        let at = self
            .partitions
            .binary_search_by_key(&id, |p| p.partition)
            .ok()?;
        self.partitions.get(at)
    }
}
