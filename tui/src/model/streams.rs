//! What the application of a streams group is made of, and the tasks of its members (KIP-1071).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The parts of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// Goes up when the application is made otherwise.
    pub epoch: i32,
    /// Sorted by id.
    pub subtopologies: Vec<Subtopology>,
}

/// A part that runs by itself: a task for each partition of what it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subtopology {
    pub id: Arc<str>,
    /// Made by others.
    pub source_topics: Vec<Arc<str>>,
    /// Of the application, between its parts: what this part reads.
    pub repartition_topics: Vec<OwnTopic>,
    /// Of the application: the changes of this part's stores.
    pub changelog_topics: Vec<OwnTopic>,
    /// What this part writes for others of the application.
    pub sink_topics: Vec<Arc<str>>,
}

impl Subtopology {
    /// Everything that it reads.
    pub fn reads(&self) -> impl Iterator<Item = &Arc<str>> {
        let own = self.repartition_topics.iter().map(|topic| &topic.name);
        self.source_topics.iter().chain(own)
    }
}

/// A topic that belongs to the application, which has it made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnTopic {
    pub name: Arc<str>,
    /// `None` where it follows from what is read.
    pub partitions: Option<i32>,
}

/// What a member does with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskRole {
    /// It reads and writes.
    Active,
    /// It keeps a copy of the stores, to take over at once.
    Standby,
    /// It fetches the stores, and will be active then.
    Warmup,
}

impl TaskRole {
    pub const ALL: [Self; 3] = [Self::Active, Self::Standby, Self::Warmup];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Warmup => "warmup",
        }
    }
}

/// The tasks of one part of the topology; partitions are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtopologyTasks {
    pub subtopology: Arc<str>,
    pub partitions: Box<[i32]>,
}

/// What a member does, or shall do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tasks {
    pub active: Vec<SubtopologyTasks>,
    pub standby: Vec<SubtopologyTasks>,
    pub warmup: Vec<SubtopologyTasks>,
}

impl Tasks {
    pub fn of(&self, role: TaskRole) -> &[SubtopologyTasks] {
        match role {
            TaskRole::Active => &self.active,
            TaskRole::Standby => &self.standby,
            TaskRole::Warmup => &self.warmup,
        }
    }

    /// How many there are of a role.
    pub fn count(&self, role: TaskRole) -> usize {
        self.of(role).iter().map(|part| part.partitions.len()).sum()
    }
}

/// What a member of a streams group says of itself, and what it has to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamsMember {
    /// Members of one process share its state folder.
    pub process_id: Arc<str>,
    /// Of the topology that it runs.
    pub topology_epoch: i32,
    /// Where it answers queries of its stores, `host:port`.
    pub endpoint: Option<Arc<str>>,
    /// What its place is told by, for assignments across racks.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
    /// It joined by the classic protocol and has not gone over.
    pub is_classic: bool,
    pub tasks: Tasks,
    /// What the coordinator wants it to do.
    pub target: Tasks,
}
