//! The voter set: who elects the leader and whose flushed offsets commit.
//!
//! With kraft.version 1 the set comes from the latest KRaftVoters control record and is in force
//! from the moment that it is in the log, committed or not. A voter is its id and the id of the
//! directory with its metadata log: a node whose disk was wiped is another voter.
//!
//! Kafka: `raft/VoterSet.java` (4.3), KIP-853.

use std::collections::BTreeMap;

use uuid::Uuid;

/// Who a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaKey {
    pub id: i32,
    /// Zero where directories are not known (kraft.version 0).
    pub directory_id: Uuid,
}

impl ReplicaKey {
    /// Whether `other` is the replica that this key names; without a directory it names any replica
    /// with its id.
    pub fn matches(self, other: Self) -> bool {
        self.id == other.id
            && (self.directory_id.is_nil() || self.directory_id == other.directory_id)
    }
}

/// Where a voter's controller listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterEndpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
}

/// One member of the voter set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterNode {
    pub key: ReplicaKey,
    pub endpoints: Vec<VoterEndpoint>,
    /// The levels of kraft.version that it can work at, both inclusive.
    pub kraft_version_min: i16,
    pub kraft_version_max: i16,
}

/// All voters by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VoterSet(BTreeMap<i32, VoterNode>);

impl VoterSet {
    /// The set of these voters; of two with the same id the later one counts.
    pub fn new(voters: impl IntoIterator<Item = VoterNode>) -> Self {
        Self(
            voters
                .into_iter()
                .map(|voter| (voter.key.id, voter))
                .collect(),
        )
    }

    /// The voters by ascending id.
    pub fn iter(&self) -> impl Iterator<Item = &VoterNode> {
        self.0.values()
    }

    /// The voter with this id.
    pub fn get(&self, id: i32) -> Option<&VoterNode> {
        self.0.get(&id)
    }

    /// Number of voters.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody votes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the replica is a voter. A voter whose directory is not known is known by its id.
    pub fn contains(&self, key: ReplicaKey) -> bool {
        self.get(key.id).is_some_and(|voter| voter.key.matches(key))
    }

    /// Whether nobody votes but this replica.
    pub fn is_only(&self, key: ReplicaKey) -> bool {
        self.len() == 1 && self.contains(key)
    }

    /// How many voters make a majority.
    pub fn majority(&self) -> usize {
        self.len() / 2 + 1
    }

    /// The ids in ascending order.
    pub fn ids(&self) -> Vec<i32> {
        self.0.keys().copied().collect()
    }

    /// All listeners of a voter, none if there is no such voter.
    pub fn endpoints(&self, id: i32) -> Vec<VoterEndpoint> {
        self.get(id)
            .map(|voter| voter.endpoints.clone())
            .unwrap_or_default()
    }

    /// Host and port of a voter's listener.
    pub fn address(&self, id: i32, listener: &str) -> Option<(String, u16)> {
        address(&self.get(id)?.endpoints, listener)
    }

    /// Replaces a voter's entry or adds it.
    pub fn with(&self, voter: VoterNode) -> Self {
        let mut voters = self.0.clone();
        voters.insert(voter.key.id, voter);
        Self(voters)
    }

    /// The set without this voter; `None` if it is none, or the last one.
    pub fn without(&self, key: ReplicaKey) -> Option<Self> {
        let is_voter = self.get(key.id).is_some_and(|voter| voter.key == key);
        if !is_voter || self.len() == 1 {
            return None;
        }
        let mut voters = self.0.clone();
        voters.remove(&key.id);
        Some(Self(voters))
    }

    /// The set with a new entry for this voter; `None` if it is none.
    pub fn updated(&self, voter: VoterNode) -> Option<Self> {
        self.contains(voter.key).then(|| self.with(voter))
    }

    /// Whether the replica is a voter that the set says something else of.
    pub fn needs_update(&self, voter: &VoterNode) -> bool {
        self.get(voter.key.id)
            .is_some_and(|known| known.key.matches(voter.key) && !known.says_the_same(voter))
    }

    /// Whether all voters can work at this level of kraft.version.
    pub fn supports(&self, kraft_version: i16) -> bool {
        self.iter().all(|voter| {
            (voter.kraft_version_min..=voter.kraft_version_max).contains(&kraft_version)
        })
    }
}

impl VoterNode {
    /// Whether both say the same; the order of the listeners says nothing.
    fn says_the_same(&self, other: &Self) -> bool {
        let sorted = |node: &Self| {
            let mut node = node.clone();
            node.endpoints.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            node
        };
        sorted(self) == sorted(other)
    }
}

/// Host and port of the listener with this name.
pub fn address(endpoints: &[VoterEndpoint], listener: &str) -> Option<(String, u16)> {
    let endpoint = endpoints
        .iter()
        .find(|endpoint| endpoint.name == listener)?;
    Some((endpoint.host.clone(), endpoint.port))
}
