//! Updates to lines and back. Both sides keep what was told last, so that a line says only what is
//! different; both are pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::form::{
    CommitsForm, GroupsForm, Kept, Line, LogDirsForm, MetadataForm, OffsetsForm, Part,
    PerGroupForm, Time, TopicForm, TopicOffsetsForm, offsets_form, offsets_of, reading_form,
    reading_of, sizes_form, sizes_of, taken, time,
};
use crate::model::{
    BrokerReading, ClusterMetadata, Committed, CommittedPartition, ConfigResource, Configs, Fault,
    Features, GroupDescription, Groups, LogDirs, Offsets, PerGroup, Quorum, Reassignments,
    ReplicaSizes, Taken, Topic, TopicOffsets, TopicPartition, TopicSettings, Update,
};
use kafka_shared::types::{uuid_from_base64, uuid_to_base64};

type Settings = HashMap<Arc<str>, TopicSettings>;
type Known<T> = Option<(Arc<T>, Taken)>;

/// What was told last of each part.
#[derive(Debug, Default)]
struct Memory {
    metadata: Known<ClusterMetadata>,
    offsets: Offsets,
    settings: Known<Settings>,
    log_dirs: Known<LogDirs>,
    groups: Known<Groups>,
    descriptions: BTreeMap<Arc<str>, (Arc<GroupDescription>, Taken)>,
    committed: BTreeMap<Arc<str>, (Arc<Committed>, Taken)>,
    configs: BTreeMap<ConfigResource, (Arc<Configs>, Taken)>,
    quorum: Known<Quorum>,
    reassignments: Known<Reassignments>,
    features: Known<Features>,
    metrics: BTreeMap<i32, (Arc<BrokerReading>, Taken)>,
}

impl Memory {
    /// What is gone needs no memory.
    fn forget(&mut self) {
        if let Some((groups, _)) = &self.groups
            && groups.faults.is_empty()
        {
            let is_there = |id: &Arc<str>| groups.groups.contains_key(id);
            self.descriptions.retain(|id, _| is_there(id));
            self.committed.retain(|id, _| is_there(id));
        }
        if let Some((metadata, _)) = &self.metadata
            && self.offsets.len() > metadata.topics.len()
        {
            self.offsets
                .retain(|name, _| metadata.topic(name).is_some());
        }
    }

    /// Takes in what was told, for the next line to be compared with.
    fn note(&mut self, update: &Update, at: Taken) {
        fn set<T>(known: &mut Known<T>, result: &Result<Arc<T>, Arc<Fault>>, at: Taken) {
            if let Ok(value) = result {
                *known = Some((Arc::clone(value), at));
            }
        }
        match update {
            Update::Metadata(result) => set(&mut self.metadata, result, at),
            Update::Offsets {
                result: Ok(new),
                complete,
            } => {
                if *complete {
                    self.offsets.clear();
                }
                let new = new
                    .iter()
                    .map(|(name, of)| (Arc::clone(name), Arc::clone(of)));
                self.offsets.extend(new);
            }
            Update::Offsets { .. } => {}
            Update::Settings(result) => set(&mut self.settings, result, at),
            Update::LogDirs(result) => set(&mut self.log_dirs, result, at),
            Update::Groups(result) => set(&mut self.groups, result, at),
            Update::Descriptions(results) => {
                for (id, result) in results {
                    if let Ok(value) = result {
                        let id = Arc::clone(id);
                        self.descriptions.insert(id, (Arc::clone(value), at));
                    }
                }
            }
            Update::Committed(results) => {
                for (id, result) in results {
                    if let Ok(value) = result {
                        self.committed
                            .insert(Arc::clone(id), (Arc::clone(value), at));
                    }
                }
            }
            Update::Configs(resource, Ok(value)) => {
                let resource = resource.clone();
                self.configs.insert(resource, (Arc::clone(value), at));
            }
            Update::Configs(..) => {}
            Update::Quorum(result) => set(&mut self.quorum, result, at),
            Update::Reassignments(result) => set(&mut self.reassignments, result, at),
            Update::Features(result) => set(&mut self.features, result, at),
            Update::Metrics(results) => {
                self.metrics
                    .retain(|id, _| results.iter().any(|(of, _)| of == id));
                for (id, result) in results {
                    if let Ok(value) = result {
                        self.metrics.insert(*id, (Arc::clone(value), at));
                    }
                }
            }
            #[allow(
                unreachable_patterns,
                reason = "a part that is not recorded is not kept"
            )]
            _ => {}
        }
        self.forget();
    }

    /// Everything that is known, as updates with the times of their reads.
    fn updates(self) -> Vec<(Update, Taken)> {
        let mut all = Vec::new();
        let mut add = |update: Update, at: Taken| all.push((update, at));
        if let Some((value, at)) = self.metadata {
            add(Update::Metadata(Ok(value)), at);
        }
        if let Some(newest) = self.offsets.values().map(|of| of.taken).max() {
            let update = Update::Offsets {
                result: Ok(Arc::new(self.offsets)),
                complete: true,
            };
            add(update, newest);
        }
        if let Some((value, at)) = self.settings {
            add(Update::Settings(Ok(value)), at);
        }
        if let Some((value, at)) = self.log_dirs {
            add(Update::LogDirs(Ok(value)), at);
        }
        if let Some((value, at)) = self.groups {
            add(Update::Groups(Ok(value)), at);
        }
        for (id, (value, at)) in self.descriptions {
            add(Update::Descriptions(vec![(id, Ok(value))]), at);
        }
        for (id, (value, at)) in self.committed {
            add(Update::Committed(vec![(id, Ok(value))]), at);
        }
        for (resource, (value, at)) in self.configs {
            add(Update::Configs(resource, Ok(value)), at);
        }
        if let Some((value, at)) = self.quorum {
            add(Update::Quorum(Ok(value)), at);
        }
        if let Some((value, at)) = self.reassignments {
            add(Update::Reassignments(Ok(value)), at);
        }
        if let Some((value, at)) = self.features {
            add(Update::Features(Ok(value)), at);
        }
        if let Some(newest) = self.metrics.values().map(|(_, at)| *at).max() {
            let read = self.metrics.into_iter().map(|(id, (of, _))| (id, Ok(of)));
            add(Update::Metrics(read.collect()), newest);
        }
        all
    }
}

/// Makes lines.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    memory: Memory,
}

fn told<T, F>(result: &Result<Arc<T>, Arc<Fault>>, form: impl FnOnce(&T) -> F) -> Result<F, Fault> {
    match result {
        Ok(value) => Ok(form(value)),
        Err(fault) => Err(Fault::clone(fault)),
    }
}

/// A value that is told only when it is another one.
fn kept<T: Clone + PartialEq>(value: &T, before: Option<&Arc<T>>) -> Kept<T> {
    match before {
        Some(before) if **before == *value => Kept::Same,
        _ => Kept::New(value.clone()),
    }
}

impl Encoder {
    /// The line for an update; `None` for what is not recorded.
    pub fn line(&mut self, update: &Update, at: Taken) -> Option<String> {
        let part = self.part(update)?;
        self.memory.note(update, at);
        encode(at, part)
    }

    /// Another cluster from here on.
    pub fn cluster(&mut self, name: &str, at: Taken) -> Option<String> {
        self.memory = Memory::default();
        encode(at, Part::Cluster(name.to_owned()))
    }

    pub fn lost(&self, n: u64, at: Taken) -> Option<String> {
        encode(at, Part::Lost(n))
    }

    /// Everything that is known as lines that need nothing before them, for a new file.
    pub fn all(&mut self) -> Vec<String> {
        let known = std::mem::take(&mut self.memory).updates();
        let lines = known
            .iter()
            .filter_map(|(update, at)| self.line(update, *at));
        lines.collect()
    }

    fn part(&self, update: &Update) -> Option<Part> {
        let memory = &self.memory;
        Some(match update {
            Update::Metadata(result) => Part::Metadata(told(result, |new| {
                metadata_form(new, memory.metadata.as_ref().map(|known| &*known.0))
            })),
            Update::Offsets { result, complete } => Part::Offsets {
                complete: *complete,
                result: told(result, |new| offsets_line(new, &memory.offsets, *complete)),
            },
            Update::Settings(result) => {
                Part::Settings(told(result, |new| match memory.settings.as_ref() {
                    Some((before, _)) if **before == *new => Kept::Same,
                    _ => Kept::New(
                        new.iter()
                            .map(|(n, s)| (Arc::clone(n), s.clone()))
                            .collect(),
                    ),
                }))
            }
            Update::LogDirs(result) => Part::LogDirs(told(result, |new| {
                log_dirs_form(new, memory.log_dirs.as_ref().map(|known| &*known.0))
            })),
            Update::Groups(result) => Part::Groups(told(result, |new| {
                let same =
                    |before: &Groups| before.groups == new.groups && before.faults == new.faults;
                match memory.groups.as_ref() {
                    Some((before, _)) if same(before) => Kept::Same,
                    _ => Kept::New(GroupsForm {
                        groups: new.groups.values().map(|group| (**group).clone()).collect(),
                        faults: faults_form(&new.faults),
                    }),
                }
            })),
            Update::Descriptions(results) => Part::Descriptions(per_group(
                results,
                |id, new| {
                    memory
                        .descriptions
                        .get(id)
                        .is_some_and(|(old, _)| **old == *new)
                },
                Clone::clone,
            )),
            Update::Committed(results) => {
                let first = results.iter().find_map(|(_, result)| result.as_ref().ok());
                Part::Committed {
                    taken: first.map_or((0, 0), |committed| time(committed.taken)),
                    groups: per_group(
                        results,
                        |id, new| {
                            let old = memory.committed.get(id);
                            old.is_some_and(|(old, _)| old.topics == new.topics)
                        },
                        |new| {
                            new.topics
                                .iter()
                                .map(|(n, p)| (Arc::clone(n), p.clone()))
                                .collect()
                        },
                    ),
                }
            }
            Update::Configs(resource, result) => {
                let before = memory.configs.get(resource).map(|known| &known.0);
                Part::Configs(resource.clone(), told(result, |new| kept(new, before)))
            }
            Update::Quorum(result) => Part::Quorum(told(result, Clone::clone)),
            Update::Reassignments(result) => Part::Reassignments(told(result, |new| {
                let row = new.iter();
                row.map(|(key, ongoing)| (Arc::clone(&key.topic), key.partition, ongoing.clone()))
                    .collect()
            })),
            Update::Features(result) => {
                let before = memory.features.as_ref().map(|known| &known.0);
                Part::Features(told(result, |new| kept(new, before)))
            }
            Update::Metrics(results) => {
                let form = |(id, result): &(i32, Result<Arc<BrokerReading>, _>)| {
                    let before = memory.metrics.get(id).map(|known| &*known.0);
                    (*id, told(result, |new| reading_form(new, before)))
                };
                Part::Metrics(results.iter().map(form).collect())
            }
            #[allow(unreachable_patterns, reason = "parts that replaying knows nothing of")]
            _ => return None,
        })
    }
}

fn encode(at: Taken, part: Part) -> Option<String> {
    let line = Line { at: time(at), part };
    let mut text = serde_json::to_string(&line).ok()?;
    text.push('\n');
    Some(text)
}

fn per_group<T, F>(
    results: &PerGroup<T>,
    is_same: impl Fn(&Arc<str>, &T) -> bool,
    form: impl Fn(&T) -> F,
) -> PerGroupForm<F> {
    let mut told = PerGroupForm {
        new: Vec::new(),
        same: Vec::new(),
    };
    for (id, result) in results {
        match result {
            Ok(value) if is_same(id, value) => told.same.push(Arc::clone(id)),
            Ok(value) => told.new.push((Arc::clone(id), Ok(form(value)))),
            Err(fault) => told.new.push((Arc::clone(id), Err(Fault::clone(fault)))),
        }
    }
    told
}

fn faults_form(faults: &BTreeMap<i32, Arc<Fault>>) -> BTreeMap<i32, Fault> {
    let form = |(id, fault): (&i32, &Arc<Fault>)| (*id, Fault::clone(fault));
    faults.iter().map(form).collect()
}

fn metadata_form(new: &ClusterMetadata, old: Option<&ClusterMetadata>) -> MetadataForm {
    let is_same = |topic: &Arc<Topic>| {
        let before = old.and_then(|old| old.topic(&topic.name));
        before.is_some_and(|before| Arc::ptr_eq(before, topic) || **before == **topic)
    };
    let gone = old.into_iter().flat_map(|old| &old.topics);
    let gone = gone.filter(|topic| new.topic(&topic.name).is_none());
    let changed = new.topics.iter().filter(|topic| !is_same(topic));
    MetadataForm {
        cluster_id: new.cluster_id.clone(),
        controller_id: new.controller_id,
        may_describe: new.may_describe,
        brokers: match old {
            Some(old) if old.brokers == new.brokers => None,
            _ => Some(new.brokers.clone()),
        },
        topics: changed.map(|topic| TopicForm::from(&**topic)).collect(),
        gone: gone.map(|topic| Arc::clone(&topic.name)).collect(),
    }
}

fn offsets_line(new: &Offsets, old: &Offsets, complete: bool) -> OffsetsForm {
    let newest = new.values().map(|of| of.taken).max().unwrap_or_default();
    let mut form = OffsetsForm {
        taken: time(newest),
        topics: Vec::new(),
        same: Vec::new(),
        rest_is_same: false,
    };
    for (name, of) in new {
        let before = old.get(name);
        let is_same = before
            .is_some_and(|old| old.topic_id == of.topic_id && old.partitions == of.partitions);
        if is_same {
            form.same.push(Arc::clone(name));
        } else {
            let id = of.topic_id.map(uuid_to_base64);
            let topic = (Arc::clone(name), id, offsets_form(&of.partitions));
            form.topics.push(topic);
        }
    }
    // All that were known are there still: then they need not be named.
    if complete && form.same.len() + form.topics.len() == new.len() {
        let named = form
            .topics
            .iter()
            .filter(|topic| old.contains_key(&topic.0));
        if form.same.len() + named.count() == old.len() {
            form.same.clear();
            form.rest_is_same = true;
        }
    }
    form
}

fn log_dirs_form(new: &LogDirs, old: Option<&LogDirs>) -> LogDirsForm {
    type Sizes = HashMap<Arc<str>, ReplicaSizes>;
    let row = |(name, sizes): (&Arc<str>, &ReplicaSizes)| (Arc::clone(name), sizes_form(sizes));
    let before: Option<&Sizes> = old.map(|old| &old.replicas);
    let is_new = |(name, sizes): &(&Arc<str>, &ReplicaSizes)| {
        before.and_then(|before| before.get(*name)) != Some(*sizes)
    };
    let gone = before.into_iter().flat_map(HashMap::keys);
    let gone = gone.filter(|name| !new.replicas.contains_key(*name));
    LogDirsForm {
        dirs: match old {
            Some(old) if old.dirs == new.dirs => None,
            _ => Some(new.dirs.clone()),
        },
        sizes: new.replicas.iter().filter(is_new).map(row).collect(),
        gone: gone.map(Arc::clone).collect(),
        future: new.future.iter().map(row).collect(),
        faults: faults_form(&new.faults),
    }
}

/// What a line says.
#[derive(Debug)]
pub(super) enum Told {
    Update(Update, Taken),
    Cluster(String),
    Lost(u64),
}

/// Reads lines.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    memory: Memory,
}

/// A result that came from a file.
fn read<F, T>(form: Result<F, Fault>, value: impl FnOnce(F) -> T) -> Result<Arc<T>, Arc<Fault>> {
    form.map(|form| Arc::new(value(form))).map_err(Arc::new)
}

/// What was told to be the same needs something that it is the same as.
const NOTHING_BEFORE: &str = "it refers to a line that is not there";

fn unkept<F, T>(
    form: Result<Kept<F>, Fault>,
    before: Option<&Arc<T>>,
    value: impl FnOnce(F) -> T,
) -> Result<Result<Arc<T>, Arc<Fault>>, String> {
    Ok(match form {
        Ok(Kept::New(form)) => Ok(Arc::new(value(form))),
        Ok(Kept::Same) => Ok(Arc::clone(before.ok_or(NOTHING_BEFORE)?)),
        Err(fault) => Err(Arc::new(fault)),
    })
}

impl Decoder {
    /// Reads one line, which is not the first of its file.
    ///
    /// # Errors
    /// It is damaged, in words.
    pub fn read(&mut self, text: &str) -> Result<Told, String> {
        let line: Line = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let at = taken(line.at);
        match line.part {
            Part::Cluster(name) => {
                self.memory = Memory::default();
                Ok(Told::Cluster(name))
            }
            Part::Lost(n) => Ok(Told::Lost(n)),
            part => {
                let update = self.update(part)?;
                self.memory.note(&update, at);
                Ok(Told::Update(update, at))
            }
        }
    }

    fn update(&self, part: Part) -> Result<Update, String> {
        fn before<T>(known: &Known<T>) -> Option<&Arc<T>> {
            known.as_ref().map(|known| &known.0)
        }
        let memory = &self.memory;
        Ok(match part {
            Part::Metadata(result) => Update::Metadata(read(result, |form| {
                metadata_of(form, before(&memory.metadata).map(|known| &**known))
            })),
            Part::Offsets { complete, result } => Update::Offsets {
                complete,
                result: read(result, |form| offsets_of_line(form, &memory.offsets)),
            },
            Part::Settings(result) => {
                let all = |all: Vec<_>| all.into_iter().collect();
                Update::Settings(unkept(result, before(&memory.settings), all)?)
            }
            Part::LogDirs(result) => Update::LogDirs(read(result, |form| {
                log_dirs_of(form, before(&memory.log_dirs).map(|known| &**known))
            })),
            Part::Groups(result) => {
                let groups = |form: GroupsForm| Groups {
                    groups: form
                        .groups
                        .into_iter()
                        .map(|group| (Arc::clone(&group.id), Arc::new(group)))
                        .collect(),
                    faults: faults_of(form.faults),
                };
                Update::Groups(unkept(result, before(&memory.groups), groups)?)
            }
            Part::Descriptions(form) => Update::Descriptions(per_group_of(
                form,
                |id| {
                    memory
                        .descriptions
                        .get(id)
                        .map(|known| Arc::clone(&known.0))
                },
                |description| description,
            )?),
            Part::Committed { taken, groups } => {
                let again = |id: &Arc<str>| {
                    let before = &memory.committed.get(id)?.0;
                    Some(Arc::new(committed_of(taken, Arc::clone(&before.topics))))
                };
                let new = |topics: CommitsForm| {
                    committed_of(taken, Arc::new(topics.into_iter().collect()))
                };
                Update::Committed(per_group_of(groups, again, new)?)
            }
            Part::Configs(resource, result) => {
                let known = memory.configs.get(&resource).map(|known| &known.0);
                let result = unkept(result, known, |configs| configs)?;
                Update::Configs(resource, result)
            }
            Part::Quorum(result) => Update::Quorum(read(result, |quorum| quorum)),
            Part::Reassignments(result) => Update::Reassignments(read(result, |rows| {
                let row = |(topic, partition, ongoing): (Arc<str>, i32, _)| {
                    (TopicPartition { topic, partition }, ongoing)
                };
                rows.into_iter().map(row).collect()
            })),
            Part::Features(result) => {
                Update::Features(unkept(result, before(&memory.features), |features| {
                    features
                })?)
            }
            Part::Metrics(rows) => {
                let of = |(id, result): (i32, Result<_, Fault>)| {
                    let before = memory.metrics.get(&id).map(|known| &*known.0);
                    (id, read(result, |form| reading_of(form, before)))
                };
                Update::Metrics(rows.into_iter().map(of).collect())
            }
            Part::Cluster(_) | Part::Lost(_) => return Err("it is no update".to_owned()),
        })
    }
}

fn committed_of(at: Time, topics: Arc<BTreeMap<Arc<str>, Vec<CommittedPartition>>>) -> Committed {
    Committed {
        taken: taken(at),
        topics,
    }
}

fn per_group_of<F, T>(
    form: PerGroupForm<F>,
    again: impl Fn(&Arc<str>) -> Option<Arc<T>>,
    value: impl Fn(F) -> T,
) -> Result<PerGroup<T>, String> {
    let mut results = Vec::with_capacity(form.new.len() + form.same.len());
    for (id, result) in form.new {
        results.push((id, read(result, &value)));
    }
    for id in form.same {
        let same = again(&id).ok_or(NOTHING_BEFORE)?;
        results.push((id, Ok(same)));
    }
    Ok(results)
}

fn faults_of(faults: BTreeMap<i32, Fault>) -> BTreeMap<i32, Arc<Fault>> {
    let of = |(id, fault)| (id, Arc::new(fault));
    faults.into_iter().map(of).collect()
}

fn metadata_of(form: MetadataForm, old: Option<&ClusterMetadata>) -> ClusterMetadata {
    let mut topics: BTreeMap<Arc<str>, Arc<Topic>> = old
        .into_iter()
        .flat_map(|old| &old.topics)
        .map(|topic| (Arc::clone(&topic.name), Arc::clone(topic)))
        .collect();
    for name in &form.gone {
        topics.remove(name);
    }
    for topic in form.topics {
        let topic = Topic::from(topic);
        topics.insert(Arc::clone(&topic.name), Arc::new(topic));
    }
    let before = || old.map(|old| old.brokers.clone()).unwrap_or_default();
    let mut brokers = form.brokers.unwrap_or_else(before);
    brokers.sort_by_key(|broker| broker.id);
    ClusterMetadata {
        cluster_id: form.cluster_id,
        controller_id: form.controller_id,
        brokers,
        topics: topics.into_values().collect(),
        may_describe: form.may_describe,
    }
}

fn offsets_of_line(form: OffsetsForm, old: &Offsets) -> Offsets {
    let at = taken(form.taken);
    let again = |name: &Arc<str>| {
        let before = old.get(name)?;
        let same = TopicOffsets {
            taken: at,
            topic_id: before.topic_id,
            partitions: before.partitions.clone(),
        };
        Some((Arc::clone(name), Arc::new(same)))
    };
    let mut all: Offsets = if form.rest_is_same {
        old.keys().filter_map(again).collect()
    } else {
        form.same.iter().filter_map(again).collect()
    };
    let new = form.topics.into_iter().map(|topic: TopicOffsetsForm| {
        let (name, id, partitions) = topic;
        let of = TopicOffsets {
            taken: at,
            topic_id: id.and_then(|id| uuid_from_base64(&id)),
            partitions: offsets_of(partitions).into(),
        };
        (name, Arc::new(of))
    });
    all.extend(new);
    all
}

fn log_dirs_of(form: LogDirsForm, old: Option<&LogDirs>) -> LogDirs {
    let mut replicas = old.map(|old| old.replicas.clone()).unwrap_or_default();
    for name in &form.gone {
        replicas.remove(name);
    }
    let of = |(name, sizes)| (name, sizes_of(sizes));
    replicas.extend(form.sizes.into_iter().map(of));
    let before = || old.map(|old| old.dirs.clone()).unwrap_or_default();
    LogDirs {
        dirs: form.dirs.unwrap_or_else(before),
        replicas,
        future: form.future.into_iter().map(of).collect(),
        faults: faults_of(form.faults),
    }
}
