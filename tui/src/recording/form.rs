//! How the parts of a cluster lie in a recording: a line of JSON each, without what the line of
//! before has said already.
//!
//! These shapes are of the file and not of the program: a field is added with a default, never
//! renamed. What the program can't read any more gets another [`VERSION`].

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_shared::types::{uuid_from_base64, uuid_to_base64};
use serde::{Deserialize, Serialize};

use crate::model::{
    Broker, Cell, CommittedPartition, ConfigResource, Configs, Fault, Features, Group,
    GroupDescription, LogDir, OngoingReassignment, PartError, Partition, PartitionOffsets, Quorum,
    ReplicaSize, ReplicaSizes, Taken, Topic, TopicSettings,
};

/// Of the lines.
pub(super) const VERSION: u32 = 1;

/// Milliseconds of the monotonic clock and since the epoch.
pub(super) type Time = (i64, i64);

pub(super) fn time(taken: Taken) -> Time {
    (taken.monotonic_ms, taken.wall_ms)
}

pub(super) fn taken((monotonic_ms, wall_ms): Time) -> Taken {
    Taken {
        monotonic_ms,
        wall_ms,
    }
}

/// The first line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// [`VERSION`] of who wrote it.
    pub kafka_tui_recording: u32,
    /// Which recording a file is a part of, and which part.
    pub id: String,
    pub part: u32,
    /// The program's version, for people.
    pub program: String,
    /// What was recorded, for people: a cluster's name or its servers.
    pub cluster: String,
}

/// Any other line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub at: Time,
    pub part: Part,
}

/// What was read, or why not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    Metadata(Result<MetadataForm, Fault>),
    Offsets {
        complete: bool,
        result: Result<OffsetsForm, Fault>,
    },
    Settings(Result<Kept<SettingsForm>, Fault>),
    LogDirs(Result<LogDirsForm, Fault>),
    Groups(Result<Kept<GroupsForm>, Fault>),
    Descriptions(PerGroupForm<GroupDescription>),
    Committed {
        taken: Time,
        groups: PerGroupForm<Vec<(Arc<str>, Vec<CommittedPartition>)>>,
    },
    Configs(ConfigResource, Result<Kept<Configs>, Fault>),
    Quorum(Result<Quorum, Fault>),
    Reassignments(Result<Vec<(Arc<str>, i32, OngoingReassignment)>, Fault>),
    Features(Result<Kept<Features>, Fault>),
    /// Another cluster from here on: nothing of what was before holds.
    Cluster(String),
    /// So many updates came faster than they could be written.
    Lost(u64),
}

/// By topic.
pub(super) type SettingsForm = Vec<(Arc<str>, TopicSettings)>;

/// What may be as it was the last time.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kept<T> {
    Same,
    New(T),
}

/// Results by group.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PerGroupForm<T> {
    pub new: Vec<(Arc<str>, Result<T, Fault>)>,
    /// Those that are as they were.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub same: Vec<Arc<str>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct MetadataForm {
    pub cluster_id: Option<Arc<str>>,
    pub controller_id: Option<i32>,
    pub may_describe: Option<bool>,
    /// `None`: as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brokers: Option<Vec<Broker>>,
    /// New ones and those that changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<TopicForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Arc<str>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TopicForm {
    name: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    internal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<i16>,
    partitions: Vec<PartitionForm>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct PartitionForm {
    id: i32,
    leader: i32,
    epoch: i32,
    replicas: Box<[i32]>,
    isr: Box<[i32]>,
    #[serde(skip_serializing_if = "is_default")]
    offline: Box<[i32]>,
    #[serde(skip_serializing_if = "is_default")]
    adding: Box<[i32]>,
    #[serde(skip_serializing_if = "is_default")]
    removing: Box<[i32]>,
    #[serde(skip_serializing_if = "is_default")]
    elr: Option<Box<[i32]>>,
    #[serde(skip_serializing_if = "is_default")]
    last_elr: Option<Box<[i32]>>,
    #[serde(skip_serializing_if = "is_default")]
    error: Option<i16>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl From<&Topic> for TopicForm {
    fn from(topic: &Topic) -> Self {
        let partition = |p: &Partition| PartitionForm {
            id: p.id,
            leader: p.leader,
            epoch: p.leader_epoch,
            replicas: p.replicas.clone(),
            isr: p.isr.clone(),
            offline: p.offline.clone(),
            adding: p.adding.clone(),
            removing: p.removing.clone(),
            elr: p.elr.clone(),
            last_elr: p.last_known_elr.clone(),
            error: p.error.map(|error| error.0),
        };
        Self {
            name: Arc::clone(&topic.name),
            id: topic.id.map(uuid_to_base64),
            internal: topic.is_internal,
            error: topic.error.map(|error| error.0),
            partitions: topic.partitions.iter().map(partition).collect(),
        }
    }
}

impl From<TopicForm> for Topic {
    fn from(form: TopicForm) -> Self {
        let partition = |p: PartitionForm| Partition {
            id: p.id,
            leader: p.leader,
            leader_epoch: p.epoch,
            error: p.error.map(PartError),
            replicas: p.replicas,
            isr: p.isr,
            offline: p.offline,
            adding: p.adding,
            removing: p.removing,
            elr: p.elr,
            last_known_elr: p.last_elr,
        };
        let mut partitions: Vec<Partition> = form.partitions.into_iter().map(partition).collect();
        partitions.sort_by_key(|p| p.id);
        Self {
            name: form.name,
            id: form.id.and_then(|id| uuid_from_base64(&id)),
            is_internal: form.internal,
            error: form.error.map(PartError),
            partitions: partitions.into(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OffsetsForm {
    pub taken: Time,
    pub topics: Vec<TopicOffsetsForm>,
    /// Topics whose offsets are as they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same: Vec<Arc<str>>,
    /// The same for all topics that are known and not named here.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rest_is_same: bool,
}

/// Name, id, and for each partition its id with start and end.
pub(super) type TopicOffsetsForm = (Arc<str>, Option<String>, Vec<(i32, CellForm, CellForm)>);

/// A number, `null` where it is not known, or an error's code in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum CellForm {
    Known(i64),
    Failed([i16; 1]),
    Unknown(()),
}

impl From<Cell<i64>> for CellForm {
    fn from(cell: Cell<i64>) -> Self {
        match cell {
            Cell::Known(n) => Self::Known(n),
            Cell::Failed(error) => Self::Failed([error.0]),
            Cell::Unknown => Self::Unknown(()),
        }
    }
}

impl From<CellForm> for Cell<i64> {
    fn from(form: CellForm) -> Self {
        match form {
            CellForm::Known(n) => Self::Known(n),
            CellForm::Failed([code]) => Self::Failed(PartError(code)),
            CellForm::Unknown(()) => Self::Unknown,
        }
    }
}

pub(super) fn offsets_form(partitions: &[PartitionOffsets]) -> Vec<(i32, CellForm, CellForm)> {
    let form = |p: &PartitionOffsets| (p.partition, p.start.into(), p.end.into());
    partitions.iter().map(form).collect()
}

pub(super) fn offsets_of(form: Vec<(i32, CellForm, CellForm)>) -> Box<[PartitionOffsets]> {
    let offsets = |(partition, start, end): (i32, CellForm, CellForm)| PartitionOffsets {
        partition,
        start: start.into(),
        end: end.into(),
    };
    let mut all: Vec<PartitionOffsets> = form.into_iter().map(offsets).collect();
    all.sort_by_key(|p| p.partition);
    all.into()
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct LogDirsForm {
    /// `None`: as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirs: Option<BTreeMap<i32, Vec<LogDir>>>,
    /// Of topics whose sizes changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<(Arc<str>, Vec<SizeForm>)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Arc<str>>,
    /// Whole: there are few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub future: Vec<(Arc<str>, Vec<SizeForm>)>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<i32, Fault>,
}

/// Partition, broker, bytes, lag, directory, and whether it is a future replica.
pub(super) type SizeForm = (i32, i32, i64, i64, u16, bool);

pub(super) fn sizes_form(sizes: &ReplicaSizes) -> Vec<SizeForm> {
    let form = |((partition, broker), size): &((i32, i32), ReplicaSize)| {
        let (bytes, lag) = (size.size_bytes, size.offset_lag);
        (*partition, *broker, bytes, lag, size.dir, size.is_future)
    };
    sizes.iter().map(form).collect()
}

pub(super) fn sizes_of(form: Vec<SizeForm>) -> ReplicaSizes {
    let size = |(partition, broker, size_bytes, offset_lag, dir, is_future): SizeForm| {
        let size = ReplicaSize {
            size_bytes,
            offset_lag,
            is_future,
            dir,
        };
        ((partition, broker), size)
    };
    form.into_iter().map(size).collect()
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GroupsForm {
    pub groups: Vec<Group>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<i32, Fault>,
}
