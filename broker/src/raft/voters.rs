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

    /// Whether the replica is a voter. A side that doesn't know its directory matches by id.
    pub fn contains(&self, key: ReplicaKey) -> bool {
        self.get(key.id).is_some_and(|voter| {
            let known = voter.key.directory_id;
            known == key.directory_id || known.is_nil() || key.directory_id.is_nil()
        })
    }

    /// How many voters make a majority.
    pub fn majority(&self) -> usize {
        self.len() / 2 + 1
    }

    /// Replaces a voter's entry or adds it.
    pub fn with(&self, voter: VoterNode) -> Self {
        let mut voters = self.0.clone();
        voters.insert(voter.key.id, voter);
        Self(voters)
    }
}
