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
    Broker, BrokerReading, Cell, CommittedPartition, ConfigResource, Configs, Count, Fault,
    Features, Flow, Group, GroupDescription, LogDir, OngoingReassignment, PartError, Partition,
    PartitionOffsets, Quorum, ReplicaSize, ReplicaSizes, Taken, Topic, TopicCounts, TopicSettings,
};

/// Of the lines. The second has lines about metrics; a file of the first is read too.
pub(super) const VERSION: u32 = 2;

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

/// What a group committed, by topic.
pub(super) type CommitsForm = Vec<(Arc<str>, Vec<CommittedPartition>)>;

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
        groups: PerGroupForm<CommitsForm>,
    },
    Configs(ConfigResource, Result<Kept<Configs>, Fault>),
    Quorum(Result<Quorum, Fault>),
    Reassignments(Result<Vec<(Arc<str>, i32, OngoingReassignment)>, Fault>),
    Features(Result<Kept<Features>, Fault>),
    /// What brokers with a metrics endpoint told, by their ids.
    Metrics(Vec<(i32, Result<ReadingForm, Fault>)>),
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
            replicas: Box::from(&*p.replicas),
            isr: Box::from(&*p.isr),
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
            replicas: p.replicas.into(),
            isr: p.isr.into(),
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

/// A page of a broker's metrics. Numbers are told by name, so that a figure more is no other form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ReadingForm {
    pub taken: Time,
    /// Total and average over a minute.
    pub counts: BTreeMap<Flow, (Option<f64>, Option<f64>)>,
    /// Figures that are no counts.
    pub gauges: BTreeMap<String, f64>,
    /// Of topics whose counts are others than in the line before, in the order of
    /// [`Flow::OF_TOPICS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<(Arc<str>, [Option<f64>; Flow::OF_TOPICS.len()])>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Arc<str>>,
    #[serde(skip_serializing_if = "is_default")]
    pub topics_left_out: usize,
    pub figures: usize,
    #[serde(skip_serializing_if = "is_default")]
    pub bad_lines: usize,
}

type Gauge = fn(&mut BrokerReading) -> &mut Option<f64>;

/// The gauges of a reading by the names that they have in a file.
const GAUGES: [(&str, Gauge); 9] = [
    ("under_replicated", |of| &mut of.under_replicated),
    ("under_min_isr", |of| &mut of.under_min_isr),
    ("handlers_idle", |of| &mut of.handlers_idle),
    ("network_idle", |of| &mut of.network_idle),
    ("heap_used_bytes", |of| &mut of.heap_used_bytes),
    ("heap_max_bytes", |of| &mut of.heap_max_bytes),
    ("produce_p99_ms", |of| &mut of.produce_p99_ms),
    ("fetch_p99_ms", |of| &mut of.fetch_p99_ms),
    ("follower_p99_ms", |of| &mut of.follower_p99_ms),
];

/// JSON knows no infinity and nothing that is no number.
fn finite(n: Option<f64>) -> Option<f64> {
    n.filter(|n| n.is_finite())
}

pub(super) fn reading_form(new: &BrokerReading, old: Option<&BrokerReading>) -> ReadingForm {
    let count = |flow: Flow| {
        let count = new.count(flow);
        (flow, (finite(count.total), finite(count.one_minute)))
    };
    let is_known = |(_, of): &(Flow, (Option<f64>, Option<f64>))| *of != (None, None);
    // Only to be read from.
    let mut gauges = new.clone();
    gauges.topics = Vec::new();
    let gauge = |(name, of): &(&str, Gauge)| Some(((*name).to_owned(), finite(*of(&mut gauges))?));
    let totals = |topic: &TopicCounts| Flow::OF_TOPICS.map(|flow| finite(topic.total(flow)));
    let is_new = |topic: &&TopicCounts| {
        let before = old.and_then(|old| old.topic(&topic.name));
        before.map(totals) != Some(totals(topic))
    };
    let gone = old.into_iter().flat_map(|old| &old.topics);
    let gone = gone.filter(|topic| new.topic(&topic.name).is_none());
    ReadingForm {
        taken: time(new.taken),
        counts: Flow::ALL.map(count).into_iter().filter(is_known).collect(),
        gauges: GAUGES.iter().filter_map(gauge).collect(),
        topics: new
            .topics
            .iter()
            .filter(is_new)
            .map(|topic| (Arc::clone(&topic.name), totals(topic)))
            .collect(),
        gone: gone.map(|topic| Arc::clone(&topic.name)).collect(),
        topics_left_out: new.topics_left_out,
        figures: new.figures,
        bad_lines: new.bad_lines,
    }
}

pub(super) fn reading_of(form: ReadingForm, old: Option<&BrokerReading>) -> BrokerReading {
    let mut reading = BrokerReading::new(taken(form.taken));
    for (flow, (total, one_minute)) in form.counts {
        *reading.count_mut(flow) = Count { total, one_minute };
    }
    for (name, of) in GAUGES {
        *of(&mut reading) = form.gauges.get(name).copied();
    }
    let mut topics: BTreeMap<Arc<str>, TopicCounts> = old
        .into_iter()
        .flat_map(|old| &old.topics)
        .map(|topic| (Arc::clone(&topic.name), topic.clone()))
        .collect();
    for name in &form.gone {
        topics.remove(name);
    }
    for (name, totals) in form.topics {
        let mut topic = TopicCounts::new(Arc::clone(&name));
        for (flow, total) in Flow::OF_TOPICS.into_iter().zip(totals) {
            if let Some(total) = total {
                topic.add(flow, total);
            }
        }
        topics.insert(name, topic);
    }
    reading.topics = topics.into_values().collect();
    reading.topics_left_out = form.topics_left_out;
    reading.figures = form.figures;
    reading.bad_lines = form.bad_lines;
    reading
}
