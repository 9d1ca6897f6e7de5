//! What differs between declared topics and a cluster, and the action that makes it the same.
//!
//! Pure. Replicas are placed by the planner of reassignments: as little moves as it takes.

mod place;
mod values;

use std::collections::HashSet;

use serde::Serialize;

use super::{Declared, DeclaredTopic, Place, Setting, WHAT};
use crate::model::{
    Assignment, ClusterMetadata, ClusterSnapshot, ConfigResource, Fault, FaultKind, Topic,
    TopicPartition,
};
use crate::ops::reassign;
use crate::ops::{
    Action, AddPartitions, AlterConfigs, ApplyTopics, ConfigChange, CreateTopic, Reassign,
    RunReassign,
};

use values::{fits, set, unknown};

/// Settings that a reassignment sets for its time; nobody declares them.
pub(super) const PASSING: [&str; 2] = [
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
];

/// What is asked for besides what is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Settings that a declared topic has of its own and that are not declared go.
    pub prune: bool,
    /// Topics that are not declared go.
    pub delete_undeclared: bool,
    /// Replicas are moved in a run: bytes per second, and partitions at a time.
    pub pace: Option<(Option<i64>, usize)>,
}

/// How a topic stands to what is declared of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftState {
    /// It is not there yet.
    New,
    Changed,
    /// It is as declared.
    Same,
    /// It is there, is not declared, and is to go.
    Deleted,
}

impl DriftState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Same => "same",
            Self::Deleted => "deleted",
        }
    }
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `partitions`, `replication factor`, `replicas of 3`, or a setting's name.
    pub what: String,
    pub now: Option<String>,
    /// `None`: none of its own.
    pub declared: Option<String>,
    /// Where the value of now comes from, for a setting.
    pub source: Option<String>,
}

/// One topic with what differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    pub topic: String,
    /// `None` for what is not declared.
    pub at: Option<Place>,
    pub state: DriftState,
    pub differences: Vec<Difference>,
    /// Why it can't be made as declared, if it can't; each with its place.
    pub obstacles: Vec<String>,
}

/// What comparing says.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Declared ones in the order of the files, then those that are to go.
    pub topics: Vec<Drift>,
    /// Topics that are there, are not declared and stay.
    pub undeclared: Vec<String>,
    /// What makes it as declared, as far as it can be; `None` where nothing is to be done.
    pub action: Option<Action>,
    pub files: Vec<String>,
}

impl Compared {
    /// Whether the cluster is as declared.
    pub fn is_in_agreement(&self) -> bool {
        let same = |drift: &Drift| drift.state == DriftState::Same && drift.obstacles.is_empty();
        self.topics.iter().all(same)
    }

    pub fn n(&self, state: DriftState) -> usize {
        self.topics
            .iter()
            .filter(|drift| drift.state == state)
            .count()
    }

    pub fn obstacles(&self) -> impl Iterator<Item = &str> {
        self.topics
            .iter()
            .flat_map(|drift| drift.obstacles.iter().map(String::as_str))
    }

    /// The part of the action that concerns these topics.
    pub fn action_for(&self, topics: &HashSet<&str>) -> Option<Action> {
        let steps = self.action.as_ref()?.steps();
        let steps: Vec<Action> = steps.iter().filter_map(|step| part(step, topics)).collect();
        (!steps.is_empty()).then_some(Action::Apply(ApplyTopics { steps }))
    }
}

/// What of a step concerns these topics.
fn part(step: &Action, topics: &HashSet<&str>) -> Option<Action> {
    let of = |assignment: &Assignment| -> Assignment {
        let meant = assignment
            .iter()
            .filter(|(key, _)| topics.contains(&*key.topic));
        meant
            .map(|(key, replicas)| (key.clone(), replicas.clone()))
            .collect()
    };
    let reassign = |whole: &Reassign| {
        let part = Reassign {
            target: of(&whole.target),
            based_on: of(&whole.based_on),
        };
        (!part.target.is_empty()).then_some(part)
    };
    match step {
        Action::CreateTopic(create) => topics.contains(&*create.name).then(|| step.clone()),
        Action::AddPartitions(add) => topics.contains(&*add.topic).then(|| step.clone()),
        Action::AlterConfigs(alter) => match &alter.resource {
            ConfigResource::Topic(name) => topics.contains(&**name).then(|| step.clone()),
            _ => None,
        },
        Action::Reassign(whole) => reassign(whole).map(Action::Reassign),
        Action::RunReassign(run) => reassign(&run.reassign).map(|reassign| {
            Action::RunReassign(RunReassign {
                reassign,
                ..run.clone()
            })
        }),
        Action::DeleteTopics(names) => {
            let meant = names.iter().filter(|name| topics.contains(&***name));
            let names: Vec<String> = meant.cloned().collect();
            (!names.is_empty()).then_some(Action::DeleteTopics(names))
        }
        _ => None,
    }
}

/// Compares what is declared with a cluster, of which metadata and the settings of the declared
/// topics are known.
///
/// # Errors
/// It was declared for another cluster, nothing is declared and everything would be deleted, or
/// what is needed is not known.
pub fn compare(
    declared: &Declared,
    snapshot: &ClusterSnapshot,
    wanted: &Wanted,
) -> Result<Compared, Fault> {
    let metadata = snapshot.metadata.get().ok_or_else(|| {
        Fault::new(
            FaultKind::Unreachable,
            WHAT,
            "the cluster has not answered yet",
        )
    })?;
    check_cluster(declared, metadata)?;
    if wanted.delete_undeclared && declared.topics.is_empty() {
        let why = "no topic is declared, and all others would be deleted";
        return Err(Fault::refused(WHAT, why));
    }
    let mut work = Work::new(metadata, snapshot);
    for topic in &declared.topics {
        match metadata.topic(&topic.name) {
            None => work.new_topic(topic),
            Some(there) => work.known_topic(topic, there, wanted)?,
        }
    }
    work.place(&declared.topics);
    let undeclared = work.undeclared(declared, wanted);
    Ok(Compared {
        undeclared,
        action: work.action(wanted),
        topics: work.drifts,
        files: declared.files.clone(),
    })
}

fn check_cluster(declared: &Declared, metadata: &ClusterMetadata) -> Result<(), Fault> {
    for (wanted, at) in &declared.cluster_ids {
        let is = metadata.cluster_id.as_deref();
        if is != Some(wanted) {
            let is = is.unwrap_or("one that does not say its id");
            let why = format!("{at}: it is for cluster {wanted}, and this is {is}");
            return Err(Fault::refused(WHAT, why));
        }
    }
    Ok(())
}

/// What is collected while topics are compared.
struct Work<'a> {
    metadata: &'a ClusterMetadata,
    snapshot: &'a ClusterSnapshot,
    /// The cluster as it would be, as far as it is decided.
    after: ClusterMetadata,
    /// Replicas that new partitions get first, where that matters.
    grown: Assignment,
    drifts: Vec<Drift>,
    creates: Vec<Action>,
    grows: Vec<Action>,
    alters: Vec<Action>,
    moves: Reassign,
    deleted: Vec<String>,
    /// Settings that topics can have, from the first one that is known.
    known: Vec<&'a str>,
}

fn join(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

fn differs(
    what: impl Into<String>,
    now: Option<String>,
    declared: impl ToString,
    source: Option<&str>,
) -> Difference {
    Difference {
        what: what.into(),
        now,
        declared: Some(declared.to_string()),
        source: source.map(str::to_owned),
    }
}

impl<'a> Work<'a> {
    fn new(metadata: &'a ClusterMetadata, snapshot: &'a ClusterSnapshot) -> Self {
        let known = snapshot.configs.iter().find_map(|(resource, configs)| {
            let is_topic = matches!(resource, ConfigResource::Topic(_));
            configs.get().filter(|_| is_topic)
        });
        let known = known.map(|configs| configs.entries.iter());
        Self {
            metadata,
            snapshot,
            after: metadata.clone(),
            grown: Assignment::new(),
            drifts: Vec::new(),
            creates: Vec::new(),
            grows: Vec::new(),
            alters: Vec::new(),
            moves: Reassign::default(),
            deleted: Vec::new(),
            known: known
                .into_iter()
                .flatten()
                .map(|entry| &*entry.name)
                .collect(),
        }
    }

    fn n_live(&self) -> usize {
        let brokers = self.metadata.brokers.iter();
        brokers.filter(|broker| broker.fenced != Some(true)).count()
    }

    /// Why replicas can't be where they are declared.
    fn misplaced(&self, topic: &DeclaredTopic) -> Option<String> {
        let lists = topic.replicas.iter().flatten().flatten();
        let mut named = lists.chain(topic.brokers.iter().flatten());
        if let Some(id) = named.find(|id| self.metadata.broker(**id).is_none()) {
            return Some(format!("broker {id} does not exist"));
        }
        let (factor, live) = (topic.replication_factor?, self.n_live());
        let is_too_many = usize::from(factor.unsigned_abs()) > live;
        is_too_many.then(|| {
            format!("replication_factor {factor} needs {factor} live brokers, and there are {live}")
        })
    }

    fn new_topic(&mut self, topic: &DeclaredTopic) {
        let mut drift = Drift::of(topic, DriftState::New);
        let mut create = CreateTopic {
            name: topic.name.clone(),
            partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            assignment: topic.replicas.clone(),
            ..CreateTopic::default()
        };
        if let Some(why) = self.misplaced(topic) {
            drift.stop(&topic.at, why);
        } else if let Some(brokers) = &topic.brokers {
            match (topic.partitions, topic.replication_factor) {
                (Some(n), Some(factor)) => {
                    let n = usize::try_from(n).unwrap_or(0);
                    let factor = usize::from(factor.unsigned_abs());
                    let new = (&*topic.name, n);
                    match reassign::place(self.metadata, Some(brokers), new, factor) {
                        Ok(placed) => create.assignment = Some(placed),
                        Err(fault) => drift.stop(&topic.at, fault.why),
                    }
                }
                _ => {
                    let why = "a new topic on named brokers needs partitions and \
                               replication_factor";
                    drift.stop(&topic.at, why);
                }
            }
        }
        drift.take_shape(&create);
        if create.assignment.is_some() {
            create.partitions = None;
            create.replication_factor = None;
        }
        for setting in &topic.settings {
            if !self.known.is_empty() && !self.known.contains(&&*setting.name) {
                let why = unknown(&setting.name, &self.known);
                drift.stop_at(&topic.at, setting.line, why);
            }
            if let Some(value) = &setting.value {
                let difference = differs(&setting.name, None, value, None);
                drift.differences.push(difference);
                create.configs.push((setting.name.clone(), value.clone()));
            }
        }
        if !drift.is_stopped() {
            self.creates.push(Action::CreateTopic(create));
        }
        self.drifts.push(drift);
    }

    fn known_topic(
        &mut self,
        topic: &DeclaredTopic,
        there: &Topic,
        wanted: &Wanted,
    ) -> Result<(), Fault> {
        let mut drift = Drift::of(topic, DriftState::Same);
        if let Some(why) = self.misplaced(topic) {
            drift.stop(&topic.at, why);
        }
        self.partitions(topic, there, &mut drift);
        self.settings(topic, wanted, &mut drift)?;
        self.drifts.push(drift);
        Ok(())
    }

    fn partitions(&mut self, topic: &DeclaredTopic, there: &Topic, drift: &mut Drift) {
        let lists = topic.replicas.as_ref().map(Vec::len);
        let declared = lists.or(topic.partitions.and_then(|n| usize::try_from(n).ok()));
        let (Some(declared), now) = (declared, there.partitions.len()) else {
            return;
        };
        if declared == now {
            return;
        }
        let difference = differs("partitions", Some(now.to_string()), declared, None);
        drift.differences.push(difference);
        if declared < now {
            let why = format!("it has {now} partitions, and {declared} are declared: none can go");
            return drift.stop(&topic.at, why);
        }
        if drift.is_stopped() {
            return;
        }
        let assignment = match self.first_replicas(topic, there, declared - now) {
            Ok(assignment) => assignment,
            Err(fault) => return drift.stop(&topic.at, fault.why),
        };
        for (at, replicas) in assignment.iter().flatten().enumerate() {
            let id = i32::try_from(now + at).unwrap_or(i32::MAX);
            let key = TopicPartition::new(&*topic.name, id);
            self.grown.insert(key, replicas.clone());
        }
        self.grows.push(Action::AddPartitions(AddPartitions {
            topic: topic.name.clone(),
            total: i32::try_from(declared).unwrap_or(i32::MAX),
            assignment,
        }));
    }

    fn settings(
        &mut self,
        topic: &DeclaredTopic,
        wanted: &Wanted,
        drift: &mut Drift,
    ) -> Result<(), Fault> {
        if topic.settings.is_empty() && !wanted.prune {
            return Ok(());
        }
        let resource = ConfigResource::Topic(topic.name.clone());
        let configs = self.snapshot.configs.get(&resource);
        let configs = configs.and_then(|configs| configs.get()).ok_or_else(|| {
            let why = format!("{}: the settings of {resource} are not known", topic.at);
            Fault::new(FaultKind::Failed, WHAT, why)
        })?;
        let mut changes = Vec::new();
        for setting in &topic.settings {
            match set(setting, configs) {
                Ok(None) => {}
                Ok(Some((difference, change))) => {
                    drift.differences.push(difference);
                    changes.push(change);
                }
                Err(why) => drift.stop_at(&topic.at, setting.line, why),
            }
        }
        if wanted.prune {
            for entry in &configs.entries {
                let is_declared = topic.settings.iter().any(|own| own.name == entry.name);
                let is_passing = PASSING.contains(&&*entry.name);
                if entry.is_overridden(&resource) && !is_declared && !is_passing {
                    drift.differences.push(Difference {
                        what: entry.name.clone(),
                        now: entry.value.clone(),
                        declared: None,
                        source: Some(entry.source.as_str().to_owned()),
                    });
                    let name = entry.name.clone();
                    changes.push(ConfigChange::Delete { name });
                }
            }
        }
        if !changes.is_empty() {
            self.alters
                .push(Action::AlterConfigs(AlterConfigs { resource, changes }));
        }
        Ok(())
    }

    fn undeclared(&mut self, declared: &Declared, wanted: &Wanted) -> Vec<String> {
        let names: HashSet<&str> = declared.topics.iter().map(|topic| &*topic.name).collect();
        let mut stay = Vec::new();
        for topic in &self.metadata.topics {
            if names.contains(&*topic.name) || topic.is_internal || topic.name.starts_with('_') {
                continue;
            }
            let is_kept = declared
                .keep
                .iter()
                .any(|pattern| fits(pattern, &topic.name));
            if is_kept || !wanted.delete_undeclared {
                stay.push(topic.name.to_string());
                continue;
            }
            self.deleted.push(topic.name.to_string());
            self.drifts.push(Drift {
                topic: topic.name.to_string(),
                at: None,
                state: DriftState::Deleted,
                differences: vec![Difference {
                    what: "topic".to_owned(),
                    now: Some(format!("{} partitions", topic.partitions.len())),
                    declared: None,
                    source: None,
                }],
                obstacles: Vec::new(),
            });
        }
        stay
    }

    fn action(&mut self, wanted: &Wanted) -> Option<Action> {
        for drift in &mut self.drifts {
            if drift.state == DriftState::Same && !drift.differences.is_empty() {
                drift.state = DriftState::Changed;
            }
        }
        let mut steps = std::mem::take(&mut self.creates);
        steps.append(&mut self.grows);
        steps.append(&mut self.alters);
        if !self.moves.target.is_empty() {
            let reassign = std::mem::take(&mut self.moves);
            steps.push(match wanted.pace {
                None => Action::Reassign(reassign),
                Some((throttle, batch)) => Action::RunReassign(RunReassign {
                    reassign,
                    throttle,
                    batch,
                }),
            });
        }
        if !self.deleted.is_empty() {
            steps.push(Action::DeleteTopics(std::mem::take(&mut self.deleted)));
        }
        (!steps.is_empty()).then_some(Action::Apply(ApplyTopics { steps }))
    }
}

impl Drift {
    fn of(topic: &DeclaredTopic, state: DriftState) -> Self {
        Self {
            topic: topic.name.clone(),
            at: Some(topic.at.clone()),
            state,
            differences: Vec::new(),
            obstacles: Vec::new(),
        }
    }

    fn is_stopped(&self) -> bool {
        !self.obstacles.is_empty()
    }

    fn stop(&mut self, at: &Place, why: impl std::fmt::Display) {
        self.stop_at(at, at.line, why);
    }

    fn stop_at(&mut self, at: &Place, line: usize, why: impl std::fmt::Display) {
        let at = Place { line, ..at.clone() };
        self.obstacles
            .push(format!("{at}: topic \"{}\": {why}", self.topic));
    }

    /// How a new topic will be.
    fn take_shape(&mut self, create: &CreateTopic) {
        let default = || "broker's default".to_owned();
        let lists = create.assignment.as_ref();
        let partitions = lists.map(Vec::len).map(|n| n.to_string());
        let partitions = partitions.or(create.partitions.map(|n| n.to_string()));
        let factor = lists.and_then(|lists| Some(lists.first()?.len().to_string()));
        let factor = factor.or(create.replication_factor.map(|n| n.to_string()));
        let partitions = partitions.unwrap_or_else(default);
        self.differences
            .push(differs("partitions", None, partitions, None));
        let factor = factor.unwrap_or_else(default);
        self.differences
            .push(differs("replication factor", None, factor, None));
        for (id, list) in lists.into_iter().flatten().enumerate() {
            let what = format!("replicas of {id}");
            self.differences.push(differs(what, None, join(list), None));
        }
    }
}
