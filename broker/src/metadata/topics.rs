//! Topics and their partitions, as the metadata log says.
//!
//! Topic ids are authoritative; a name that is deleted and created again has another id.
//!
//! Kafka: `image/TopicsImage.java`, `metadata/PartitionRegistration.java` (4.3).

use std::sync::Arc;

use imbl::{HashMap, OrdMap};
use uuid::Uuid;

/// The leader of a partition that has none.
pub const NO_LEADER: i32 = -1;

/// In a partition change record: the leader stays who it is.
pub const NO_LEADER_CHANGE: i32 = -2;

/// The id that stands for a log directory of which only this is known.
pub mod directory_id {
    use uuid::Uuid;

    /// The replica was placed by a controller that did not know directories.
    pub const MIGRATING: Uuid = Uuid::from_u128(0);
    /// The broker has not said yet where it put the replica.
    pub const UNASSIGNED: Uuid = Uuid::from_u128(1);
    /// The replica's directory is known to be lost.
    pub const LOST: Uuid = Uuid::from_u128(2);

    /// Whether the id can't be a real directory's: Kafka keeps the first hundred for itself.
    pub fn is_reserved(id: Uuid) -> bool {
        id.as_u128() < 100
    }
}

/// Whether a partition's leader still has to make up for an unclean election.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaderRecoveryState {
    #[default]
    Recovered,
    Recovering,
}

impl LeaderRecoveryState {
    /// The value in records and requests.
    pub fn value(self) -> i8 {
        match self {
            Self::Recovered => 0,
            Self::Recovering => 1,
        }
    }

    /// The state for a value from a record or a request; `None` for an unknown value.
    pub fn from_value(value: i8) -> Option<Self> {
        match value {
            0 => Some(Self::Recovered),
            1 => Some(Self::Recovering),
            _ => None,
        }
    }
}

/// One partition.
///
/// The id lists are shared between versions of the partition and often with one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRegistration {
    /// The brokers that hold the partition, the preferred leader first.
    pub replicas: Arc<[i32]>,
    /// The log directory of each replica, in the order of `replicas`.
    pub directories: Arc<[Uuid]>,
    /// The brokers that are in sync with the leader, the leader included.
    pub isr: Arc<[i32]>,
    /// Replicas that a reassignment will remove.
    pub removing_replicas: Arc<[i32]>,
    /// Replicas that a reassignment has added and that are not yet in sync.
    pub adding_replicas: Arc<[i32]>,
    /// Replicas that are out of sync, but hold all that was committed (KIP-966).
    pub elr: Arc<[i32]>,
    /// Former members of `elr` that shut down uncleanly (KIP-966).
    pub last_known_elr: Arc<[i32]>,
    /// The leader's id, or [`NO_LEADER`].
    pub leader: i32,
    pub leader_recovery_state: LeaderRecoveryState,
    /// Counts the leaders, and every time that the same leader was elected again.
    pub leader_epoch: i32,
    /// Counts the changes of any kind.
    pub partition_epoch: i32,
}

impl PartitionRegistration {
    /// The replica that should lead when it can.
    pub fn preferred_replica(&self) -> i32 {
        self.replicas.first().copied().unwrap_or(NO_LEADER)
    }

    /// Whether the replica that should lead does lead.
    pub fn has_preferred_leader(&self) -> bool {
        self.leader == self.preferred_replica()
    }

    /// Whether the partition has a leader.
    pub fn has_leader(&self) -> bool {
        self.leader != NO_LEADER
    }

    /// Whether a reassignment is under way.
    pub fn is_reassigning(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }

    /// The log directory of a broker's replica; `None` if the broker holds none.
    pub fn directory(&self, broker_id: i32) -> Option<Uuid> {
        let idx = self
            .replicas
            .iter()
            .position(|replica| *replica == broker_id)?;
        self.directories.get(idx).copied()
    }
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    pub id: Uuid,
    pub name: Arc<str>,
    /// By partition id, ascending. The ids are 0, 1, 2 … in every log that a controller wrote.
    partitions: Vec<(i32, Arc<PartitionRegistration>)>,
}

impl TopicImage {
    /// A topic without partitions.
    pub fn new(id: Uuid, name: Arc<str>) -> Self {
        Self {
            id,
            name,
            partitions: Vec::new(),
        }
    }

    fn position(&self, partition: i32) -> Result<usize, usize> {
        // Ids without gaps make the id the index.
        if let Ok(idx) = usize::try_from(partition)
            && self
                .partitions
                .get(idx)
                .is_some_and(|(id, _)| *id == partition)
        {
            return Ok(idx);
        }
        self.partitions
            .binary_search_by_key(&partition, |(id, _)| *id)
    }

    /// The partition with this id.
    pub fn partition(&self, partition: i32) -> Option<&Arc<PartitionRegistration>> {
        let idx = self.position(partition).ok()?;
        self.partitions
            .get(idx)
            .map(|(_, registration)| registration)
    }

    /// All partitions by ascending id.
    pub fn partitions(
        &self,
    ) -> impl ExactSizeIterator<Item = (i32, &Arc<PartitionRegistration>)> + DoubleEndedIterator
    {
        self.partitions
            .iter()
            .map(|(id, registration)| (*id, registration))
    }

    /// Number of partitions.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    pub(crate) fn insert(&mut self, partition: i32, registration: Arc<PartitionRegistration>) {
        match self.position(partition) {
            Ok(idx) => self.partitions[idx].1 = registration,
            Err(idx) => self.partitions.insert(idx, (partition, registration)),
        }
    }
}

/// All topics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopicsImage {
    by_id: HashMap<Uuid, Arc<TopicImage>>,
    by_name: OrdMap<Arc<str>, Uuid>,
}

impl TopicsImage {
    /// The topic with this id.
    pub fn by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.by_id.get(&id)
    }

    /// The topic with this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_id.get(self.by_name.get(name)?)
    }

    /// The id of the topic with this name.
    pub fn id_of(&self, name: &str) -> Option<Uuid> {
        self.by_name.get(name).copied()
    }

    /// The name of the topic with this id.
    pub fn name_of(&self, id: Uuid) -> Option<&Arc<str>> {
        self.by_id.get(&id).map(|topic| &topic.name)
    }

    /// The partition of the topic with this name.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&Arc<PartitionRegistration>> {
        self.by_name(topic)?.partition(partition)
    }

    /// The partition of the topic with this id.
    pub fn partition_by_id(
        &self,
        topic_id: Uuid,
        partition: i32,
    ) -> Option<&Arc<PartitionRegistration>> {
        self.by_id(topic_id)?.partition(partition)
    }

    /// All topics in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_name.values().filter_map(|id| self.by_id.get(id))
    }

    /// The names of all topics from `start` on (inclusive), in order.
    pub fn names_from(&self, start: &str) -> impl Iterator<Item = &Arc<str>> {
        self.by_name
            .range::<_, str>((std::ops::Bound::Included(start), std::ops::Bound::Unbounded))
            .map(|(name, _)| name)
    }

    /// Number of topics.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn insert(&mut self, topic: TopicImage) {
        self.by_name.insert(Arc::clone(&topic.name), topic.id);
        self.by_id.insert(topic.id, Arc::new(topic));
    }

    pub(crate) fn remove(&mut self, id: Uuid) -> Option<Arc<TopicImage>> {
        let topic = self.by_id.remove(&id)?;
        self.by_name.remove(&topic.name);
        Some(topic)
    }

    pub(crate) fn get_mut(&mut self, id: Uuid) -> Option<&mut TopicImage> {
        self.by_id.get_mut(&id).map(Arc::make_mut)
    }
}
