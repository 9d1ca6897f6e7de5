//! What happened between two looks at a cluster.
//!
//! Whoever takes an update in keeps what it replaces ([`Before::of`]), applies it, and compares.
//! Changes of many partitions that have one cause (the same leader gone, the same replica out of
//! sync) are one happening that names them. A first look tells nothing: there is nothing to compare.

mod partitions;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{
    Absences, ClusterMetadata, ClusterSnapshot, ConfigResource, Configs, Features,
    GroupDescription, Groups, Happening, Quorum, Reassignments, Resource, Subject, Taken,
    TopicPartition, TopicSettings, Update, Weight,
};

/// Partitions of one happening that are named; a cluster may have many.
const PARTITIONS_NAMED_MAX: usize = 1_000;
/// Names in a text.
const NAMES_IN_TEXT: usize = 3;

type Settings = HashMap<Arc<str>, TopicSettings>;

/// A part as it was, with its time; `None` when it was never read.
type Old<T> = Option<(Arc<T>, Taken)>;

fn old<T>(resource: &Resource<T>) -> Old<T> {
    Some((Arc::clone(resource.value()?), resource.taken()?))
}

/// The parts of a snapshot that an update is about to replace.
#[derive(Debug, Default)]
pub struct Before {
    metadata: Old<ClusterMetadata>,
    settings: Old<Settings>,
    groups: Old<Groups>,
    descriptions: Vec<(Arc<str>, Old<GroupDescription>)>,
    configs: Vec<(ConfigResource, Old<Configs>)>,
    quorum: Old<Quorum>,
    reassignments: Old<Reassignments>,
    features: Old<Features>,
    /// Since when the cluster has not answered.
    silent_since: Option<Taken>,
    is_answer: bool,
    is_failure: bool,
}

impl Before {
    /// What `update` will replace.
    pub fn of(snapshot: &ClusterSnapshot, update: &Update) -> Self {
        let mut before = Self::default();
        match update {
            Update::Metadata(result) => {
                before.metadata = old(&snapshot.metadata);
                before.silent_since = snapshot.metadata.failing_since();
                before.is_answer = result.is_ok();
                before.is_failure = result.is_err();
            }
            Update::Settings(_) => before.settings = old(&snapshot.settings),
            Update::Groups(_) => before.groups = old(&snapshot.groups),
            Update::Descriptions(results) => {
                let known = |id: &Arc<str>| snapshot.descriptions.get(id).and_then(old);
                before.descriptions = results
                    .iter()
                    .map(|(id, _)| (Arc::clone(id), known(id)))
                    .collect();
            }
            Update::Configs(resource, _) => {
                let known = snapshot.configs.get(resource).and_then(old);
                before.configs = vec![(resource.clone(), known)];
            }
            Update::Quorum(_) => before.quorum = old(&snapshot.quorum),
            Update::Reassignments(_) => {
                before.reassignments = old(&snapshot.reassignments);
            }
            Update::Features(_) => before.features = old(&snapshot.features),
            Update::Offsets { .. }
            | Update::LogDirs(_)
            | Update::Committed(_)
            | Update::Security(_)
            | Update::Transactions(_)
            | Update::Metrics(_) => {}
        }
        before
    }

    /// All parts of a snapshot, for a comparison of any two.
    pub fn all(snapshot: &ClusterSnapshot) -> Self {
        let descriptions = snapshot.descriptions.iter();
        let configs = snapshot.configs.iter();
        Self {
            metadata: old(&snapshot.metadata),
            settings: old(&snapshot.settings),
            groups: old(&snapshot.groups),
            descriptions: descriptions
                .map(|(id, description)| (Arc::clone(id), old(description)))
                .collect(),
            configs: configs
                .map(|(resource, configs)| (resource.clone(), old(configs)))
                .collect(),
            quorum: old(&snapshot.quorum),
            reassignments: old(&snapshot.reassignments),
            features: old(&snapshot.features),
            ..Self::default()
        }
    }

    /// What is different now. `at` is when the new parts were read.
    pub fn happenings(
        &self,
        now: &ClusterSnapshot,
        absences: &mut Absences,
        at: Taken,
    ) -> Vec<Happening> {
        let mut told = Told {
            at,
            after: None,
            happenings: Vec::new(),
        };
        self.answers(now, &mut told);
        if let Some((before, now)) = told.pair(self.metadata.as_ref(), &now.metadata) {
            brokers(&before, &now, &mut told);
            partitions::topics(&before, &now, absences, &mut told);
        }
        if let Some((before, now)) = told.pair(self.settings.as_ref(), &now.settings) {
            settings(&before, &now, &mut told);
        }
        if let Some((before, now)) = told.pair(self.groups.as_ref(), &now.groups) {
            groups(&before, &now, &mut told);
        }
        for (id, before) in &self.descriptions {
            if let Some(now) = now.descriptions.get(id)
                && let Some((before, now)) = told.pair(before.as_ref(), now)
            {
                group(&before, &now, &mut told);
            }
        }
        for (resource, before) in &self.configs {
            if let Some(now) = now.configs.get(resource)
                && let Some((before, now)) = told.pair(before.as_ref(), now)
            {
                configs(&before, &now, &mut told);
            }
        }
        if let Some((before, now)) = told.pair(self.quorum.as_ref(), &now.quorum) {
            quorum(&before, &now, &mut told);
        }
        if let Some((before, moving)) = told.pair(self.reassignments.as_ref(), &now.reassignments) {
            reassignments(&before, &moving, now.metadata.get(), &mut told);
        }
        if let Some((before, now)) = told.pair(self.features.as_ref(), &now.features) {
            features(&before, &now, &mut told);
        }
        told.happenings
    }

    /// That the cluster stopped answering, or answers again.
    fn answers(&self, now: &ClusterSnapshot, told: &mut Told) {
        match (self.silent_since, now.metadata.fault()) {
            (None, Some(fault)) if self.is_failure => {
                told.after = self.metadata.as_ref().map(|(_, taken)| *taken);
                let text = format!("the cluster does not answer: {}", fault.why);
                told.add(Weight::Bad, Subject::Cluster, text);
            }
            (Some(since), None) if self.is_answer => {
                told.after = Some(since);
                let ms = told.at.monotonic_ms.saturating_sub(since.monotonic_ms);
                let text = format!("the cluster answers again, after {}", seconds(ms));
                told.add(Weight::Good, Subject::Cluster, text);
            }
            _ => {}
        }
    }
}

/// What is being told.
struct Told {
    at: Taken,
    after: Option<Taken>,
    happenings: Vec<Happening>,
}

impl Told {
    /// Both values, where there are two different reads of one part.
    fn pair<T>(
        &mut self,
        old: Option<&(Arc<T>, Taken)>,
        new: &Resource<T>,
    ) -> Option<(Arc<T>, Arc<T>)> {
        let ((before, taken), now) = (old?, new.value()?);
        self.after = Some(*taken);
        (!Arc::ptr_eq(before, now)).then(|| (Arc::clone(before), Arc::clone(now)))
    }

    fn add(&mut self, weight: Weight, subject: Subject, text: impl Into<String>) {
        self.add_of(weight, subject, text, Vec::new());
    }

    fn add_of(
        &mut self,
        weight: Weight,
        subject: Subject,
        text: impl Into<String>,
        mut partitions: Vec<TopicPartition>,
    ) {
        partitions.truncate(PARTITIONS_NAMED_MAX);
        self.happenings.push(Happening {
            at: self.at,
            after: self.after,
            weight,
            subject,
            text: text.into(),
            partitions,
        });
    }
}

fn brokers(before: &ClusterMetadata, now: &ClusterMetadata, told: &mut Told) {
    let ids: BTreeSet<i32> = before
        .brokers
        .iter()
        .chain(&now.brokers)
        .map(|b| b.id)
        .collect();
    for id in ids {
        let subject = Subject::Broker(id);
        match (before.broker(id), now.broker(id)) {
            (None, Some(broker)) => {
                let text = format!("broker {id} is there, at {}:{}", broker.host, broker.port);
                told.add(Weight::Good, subject, text);
            }
            (Some(_), None) => told.add(Weight::Bad, subject, format!("broker {id} is gone")),
            (Some(old), Some(new)) => {
                match (old.fenced == Some(true), new.fenced == Some(true)) {
                    (false, true) => {
                        let text = format!("broker {id} is fenced: the controller misses it");
                        told.add(Weight::Bad, subject.clone(), text);
                    }
                    (true, false) => {
                        let text = format!("broker {id} is no longer fenced");
                        told.add(Weight::Good, subject.clone(), text);
                    }
                    _ => {}
                }
                if (&old.host, old.port) != (&new.host, new.port) {
                    let text = format!(
                        "broker {id} moved from {}:{} to {}:{}",
                        old.host, old.port, new.host, new.port
                    );
                    told.add(Weight::Info, subject.clone(), text);
                }
                if old.rack != new.rack {
                    let rack = |rack: &Option<String>| rack.clone().unwrap_or("none".to_owned());
                    let text = format!(
                        "broker {id}: rack {} → {}",
                        rack(&old.rack),
                        rack(&new.rack)
                    );
                    told.add(Weight::Info, subject, text);
                }
            }
            (None, None) => {}
        }
    }
}

fn settings(before: &Settings, now: &Settings, told: &mut Told) {
    let mut names: Vec<&Arc<str>> = now
        .keys()
        .filter(|name| before.contains_key(*name))
        .collect();
    names.sort();
    for name in names {
        let (old, new) = (&before[name], &now[name]);
        let changes = [
            change(
                "min.insync.replicas",
                old.min_insync_replicas,
                new.min_insync_replicas,
            ),
            change("retention.ms", old.retention_ms, new.retention_ms),
            change("retention.bytes", old.retention_bytes, new.retention_bytes),
            change(
                "cleanup.policy",
                old.cleanup_policy.as_ref(),
                new.cleanup_policy.as_ref(),
            ),
        ];
        for change in changes.into_iter().flatten() {
            let text = format!("topic {name}: {change}");
            told.add(Weight::Info, Subject::Topic(Arc::clone(name)), text);
        }
    }
}

/// What is not known on one side is no change.
fn change<T: ToString + PartialEq>(key: &str, old: Option<T>, new: Option<T>) -> Option<String> {
    let (old, new) = (old?, new?);
    (old != new).then(|| format!("{key} {} → {}", old.to_string(), new.to_string()))
}

/// Keys that [`settings`] tells of every topic.
const TOLD_OF_TOPICS: [&str; 4] = [
    "min.insync.replicas",
    "retention.ms",
    "retention.bytes",
    "cleanup.policy",
];

fn configs(before: &Configs, now: &Configs, told: &mut Told) {
    let (what, subject) = match &now.resource {
        ConfigResource::Topic(name) => (
            format!("topic {name}"),
            Subject::Topic(name.as_str().into()),
        ),
        ConfigResource::Broker(id) => (format!("broker {id}"), Subject::Broker(*id)),
        ConfigResource::BrokerDefault => ("all brokers".to_owned(), Subject::Cluster),
        ConfigResource::Group(id) => (format!("group {id}"), Subject::Group(id.as_str().into())),
    };
    let is_topic = matches!(now.resource, ConfigResource::Topic(_));
    for entry in &now.entries {
        if is_topic && TOLD_OF_TOPICS.contains(&entry.name.as_str()) {
            continue;
        }
        let old = before.get(&entry.name);
        let (old_value, new_value) = (old.and_then(|e| e.value.as_deref()), entry.value.as_deref());
        let text = if entry.is_sensitive {
            if old.is_none_or(|old| old.source == entry.source) {
                continue;
            }
            format!("{what}: {} was changed", entry.name)
        } else if old_value == new_value {
            continue;
        } else {
            let shown = |value: Option<&str>| value.unwrap_or("unset").to_owned();
            format!(
                "{what}: {} {} → {}",
                entry.name,
                shown(old_value),
                shown(new_value)
            )
        };
        told.add(Weight::Info, subject.clone(), text);
    }
    // Where only what is set is listed, a key that is gone was unset.
    for old in before
        .entries
        .iter()
        .filter(|old| now.get(&old.name).is_none())
    {
        let text = format!("{what}: {} was unset", old.name);
        told.add(Weight::Info, subject.clone(), text);
    }
}

fn groups(before: &Groups, now: &Groups, told: &mut Told) {
    for (id, group) in &now.groups {
        let subject = || Subject::Group(Arc::clone(id));
        match before.groups.get(id) {
            // A broker whose list was missing may have had it.
            None if before.faults.is_empty() => {
                let text = format!("group {id} is new");
                told.add(Weight::Info, subject(), text);
            }
            Some(old) if old.coordinator != group.coordinator => {
                let (from, to) = (old.coordinator, group.coordinator);
                let text = format!("group {id}: coordinator {from} → {to}");
                told.add(Weight::Info, subject(), text);
            }
            _ => {}
        }
    }
    if now.faults.is_empty() {
        for id in before
            .groups
            .keys()
            .filter(|id| !now.groups.contains_key(*id))
        {
            let text = format!("group {id} is gone");
            told.add(Weight::Info, Subject::Group(Arc::clone(id)), text);
        }
    }
}

fn group(before: &GroupDescription, now: &GroupDescription, told: &mut Told) {
    let ids = |of: &GroupDescription| -> BTreeMap<Arc<str>, Arc<str>> {
        let members = of.members.iter();
        members
            .map(|member| (Arc::clone(&member.id), Arc::clone(&member.client_id)))
            .collect()
    };
    let (old, new) = (ids(before), ids(now));
    let missing_in = |these: &BTreeMap<Arc<str>, Arc<str>>, of: &BTreeMap<Arc<str>, Arc<str>>| {
        let missing = of.iter().filter(|(id, _)| !these.contains_key(*id));
        missing
            .map(|(_, client)| client.to_string())
            .collect::<Vec<_>>()
    };
    let (joined, left) = (missing_in(&old, &new), missing_in(&new, &old));
    let mut parts = Vec::new();
    if before.state != now.state {
        parts.push(format!("{} → {}", before.state, now.state));
    }
    for (clients, did) in [(&joined, "joined"), (&left, "left")] {
        if !clients.is_empty() {
            parts.push(format!("{} {did}", some_of(clients)));
        }
    }
    if parts.is_empty() {
        return;
    }
    let weight = if left.is_empty() {
        Weight::Info
    } else {
        Weight::Warning
    };
    let text = format!("group {}: {}", now.id, parts.join(", "));
    told.add(weight, Subject::Group(Arc::clone(&now.id)), text);
}

fn quorum(before: &Quorum, now: &Quorum, told: &mut Told) {
    if (before.leader_id, before.leader_epoch) != (now.leader_id, now.leader_epoch) {
        let text = format!(
            "controller {} → {} (epoch {} → {})",
            before.leader_id, now.leader_id, before.leader_epoch, now.leader_epoch
        );
        told.add(Weight::Info, Subject::Quorum, text);
    }
    let voters =
        |quorum: &Quorum| -> BTreeSet<i32> { quorum.voters.iter().map(|v| v.id).collect() };
    let (old, new) = (voters(before), voters(now));
    for id in new.difference(&old) {
        told.add(
            Weight::Info,
            Subject::Quorum,
            format!("controller {id} votes now"),
        );
    }
    for id in old.difference(&new) {
        told.add(
            Weight::Warning,
            Subject::Quorum,
            format!("controller {id} votes no more"),
        );
    }
}

fn reassignments(
    before: &Reassignments,
    now: &Reassignments,
    metadata: Option<&ClusterMetadata>,
    told: &mut Told,
) {
    let started: Vec<TopicPartition> = now
        .keys()
        .filter(|key| !before.contains_key(*key))
        .cloned()
        .collect();
    if !started.is_empty() {
        let text = match &started[..] {
            [one] => {
                let ongoing = &now[one];
                let (from, to) = (ids(&ongoing.original()), ids(&ongoing.target()));
                format!("{one}: moving from {from} to {to}")
            }
            _ => format!("{}: moving", named(&started)),
        };
        told.add_of(Weight::Info, Subject::Reassignments, text, started);
    }
    let (mut done, mut cancelled) = (Vec::new(), Vec::new());
    for (key, ongoing) in before.iter().filter(|(key, _)| !now.contains_key(*key)) {
        let partition = metadata
            .and_then(|metadata| metadata.topic(&key.topic))
            .and_then(|topic| topic.partition(key.partition));
        let is_back = partition.is_some_and(|p| {
            ongoing.adding.iter().any(|id| !p.replicas.contains(id))
                && ongoing.removing.iter().all(|id| p.replicas.contains(id))
        });
        if is_back { &mut cancelled } else { &mut done }.push(key.clone());
    }
    for (keys, weight, what) in [
        (done, Weight::Good, "moved"),
        (
            cancelled,
            Weight::Warning,
            "not moved: the reassignment was cancelled",
        ),
    ] {
        if !keys.is_empty() {
            let text = format!("{}: {what}", named(&keys));
            told.add_of(weight, Subject::Reassignments, text, keys);
        }
    }
}

fn features(before: &Features, now: &Features, told: &mut Told) {
    for level in &now.levels {
        let old = before.levels.iter().find(|old| old.name == level.name);
        let (old, new) = (old.and_then(|old| old.finalized), level.finalized);
        if old != new {
            let shown = |level: Option<i16>| level.map_or("none".to_owned(), |l| l.to_string());
            let text = format!("feature {}: {} → {}", level.name, shown(old), shown(new));
            told.add(Weight::Info, Subject::Quorum, text);
        }
    }
}

/// One partition, some partitions, or how many of how many topics.
fn named(partitions: &[TopicPartition]) -> String {
    if partitions.len() <= NAMES_IN_TEXT {
        let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        return names.join(", ");
    }
    let topics: BTreeSet<&str> = partitions.iter().map(|key| &*key.topic).collect();
    let n = plural(partitions.len(), "partition");
    match topics.first() {
        Some(one) if topics.len() == 1 => format!("{n} of {one}"),
        _ => format!("{n} of {}", plural(topics.len(), "topic")),
    }
}

fn some_of(names: &[String]) -> String {
    let shown = names
        .iter()
        .take(NAMES_IN_TEXT)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(NAMES_IN_TEXT) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn ids(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
    format!("[{}]", ids.join(","))
}

fn plural(n: usize, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{s}")
}

fn seconds(ms: i64) -> String {
    let (s, min, h) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    match (h, min) {
        (0, 0) => format!("{:.1} s", ms as f64 / 1_000.0),
        (0, _) => format!("{min} min {} s", s % 60),
        _ => format!("{h} h {} min", min % 60),
    }
}

#[cfg(test)]
mod tests;
