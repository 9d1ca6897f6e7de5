//! Streams groups: who does which task and who shall, and what the application waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{
    ClusterMetadata, GroupDescription, GroupState, Member, TaskRole, Tasks, Topology,
};

/// A task of an application in one role. Members are told by their places in the description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsTask {
    pub subtopology: Arc<str>,
    pub partition: i32,
    pub role: TaskRole,
    /// Who does it.
    pub owners: Vec<usize>,
    /// Who shall do it.
    pub targets: Vec<usize>,
}

impl StreamsTask {
    /// As Kafka writes it: `0_3`.
    pub fn name(&self) -> String {
        format!("{}_{}", self.subtopology, self.partition)
    }

    /// Whether the members have not gone over to what was decided.
    pub fn is_moving(&self) -> bool {
        self.owners != self.targets
    }
}

/// Every task that somebody does or shall do: by part of the topology, partition and role.
pub fn streams_tasks(description: &GroupDescription) -> Vec<StreamsTask> {
    type Key = (Arc<str>, i32, TaskRole);
    type Members = Vec<usize>;
    let mut tasks: BTreeMap<Key, (Members, Members)> = BTreeMap::new();
    let mut note = |at: usize, of: &Tasks, is_target: bool| {
        for role in TaskRole::ALL {
            for part in of.of(role) {
                for partition in &part.partitions {
                    let key = (Arc::clone(&part.subtopology), *partition, role);
                    let (owners, targets) = tasks.entry(key).or_default();
                    if is_target { targets } else { owners }.push(at);
                }
            }
        }
    };
    for (at, member) in description.members.iter().enumerate() {
        if let Some(streams) = &member.streams {
            note(at, &streams.tasks, false);
            note(at, &streams.target, true);
        }
    }
    let tasks = tasks
        .into_iter()
        .map(|(key, (owners, targets))| StreamsTask {
            subtopology: key.0,
            partition: key.1,
            role: key.2,
            owners,
            targets,
        });
    tasks.collect()
}

/// Topics of an application that the cluster has not got, or does not show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingTopics {
    /// What it reads, which others make.
    pub source: Vec<Arc<str>>,
    /// Its own, which the coordinator makes for it.
    pub own: Vec<Arc<str>>,
}

impl MissingTopics {
    pub fn len(&self) -> usize {
        self.source.len() + self.own.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<str>> {
        self.source.iter().chain(&self.own)
    }
}

pub fn missing_topics(topology: &Topology, metadata: &ClusterMetadata) -> MissingTopics {
    let is_missing = |name: &&Arc<str>| metadata.topic(name).is_none();
    let (mut source, mut own) = (BTreeSet::new(), BTreeSet::new());
    for part in &topology.subtopologies {
        source.extend(part.source_topics.iter().filter(is_missing).cloned());
        let topics = part.repartition_topics.iter().chain(&part.changelog_topics);
        own.extend(topics.map(|topic| &topic.name).filter(is_missing).cloned());
    }
    MissingTopics {
        source: source.into_iter().collect(),
        own: own.into_iter().collect(),
    }
}

/// Why a streams group does not run as it should, in words; nothing where it does, or where nobody
/// wants it to.
pub fn streams_complaints(
    description: &GroupDescription,
    metadata: &ClusterMetadata,
) -> Vec<String> {
    let Some(topology) = &description.topology else {
        return Vec::new();
    };
    if description.members.is_empty() {
        return Vec::new();
    }
    let mut told = Vec::new();
    let missing = missing_topics(topology, metadata);
    let list = |names: &[Arc<str>]| names.join(", ");
    if !missing.source.is_empty() {
        let names = list(&missing.source);
        told.push(format!(
            "source topics are missing, or may not be seen: {names}"
        ));
    }
    if !missing.own.is_empty() {
        let names = list(&missing.own);
        told.push(format!("internal topics are missing: {names}"));
    }
    if description.state == GroupState::NotReady && missing.is_empty() {
        told.push(match uneven(topology, metadata) {
            Some(counts) => format!(
                "not ready, and no topic is missing: topics that are read together may have to \
                 have as many partitions ({counts})"
            ),
            None => "not ready: its topology is not validated yet".to_owned(),
        });
    }
    let of = |is_so: fn(&Member, &Topology) -> bool| {
        let members = description.members.iter();
        members.filter(|member| is_so(member, topology)).count()
    };
    let n_other = of(|member, topology| {
        let streams = member.streams.as_ref();
        streams.is_some_and(|streams| streams.topology_epoch != topology.epoch)
    });
    if n_other > 0 {
        let epoch = topology.epoch;
        told.push(format!(
            "{n_other} run another topology than that of epoch {epoch}"
        ));
    }
    let n_classic = of(|member, _| member.streams.as_ref().is_some_and(|s| s.is_classic));
    if n_classic > 0 {
        told.push(format!("{n_classic} still speak the classic protocol"));
    }
    told
}

/// Parts that read topics of different sizes: `0: a 2, b 3`.
fn uneven(topology: &Topology, metadata: &ClusterMetadata) -> Option<String> {
    let part = |part: &crate::model::Subtopology| {
        let count = |name: &Arc<str>| Some((Arc::clone(name), metadata.topic(name)?));
        let counts: Vec<(Arc<str>, usize)> = (part.source_topics.iter())
            .filter_map(count)
            .map(|(name, topic)| (name, topic.partitions.len()))
            .collect();
        let is_uneven = counts.windows(2).any(|pair| pair[0].1 != pair[1].1);
        let all: Vec<String> = (counts.iter())
            .map(|(name, n)| format!("{name} {n}"))
            .collect();
        is_uneven.then(|| format!("{}: {}", part.id, all.join(", ")))
    };
    let parts: Vec<String> = topology.subtopologies.iter().filter_map(part).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        GroupKind, OwnTopic, Partition, StreamsMember, Subtopology, SubtopologyTasks, Topic,
    };

    fn tasks(active: &[i32], standby: &[i32]) -> Tasks {
        let list = |partitions: &[i32]| {
            vec![SubtopologyTasks {
                subtopology: "0".into(),
                partitions: partitions.into(),
            }]
        };
        Tasks {
            active: list(active),
            standby: list(standby),
            warmup: Vec::new(),
        }
    }

    fn member(id: &str, tasks: Tasks, target: Tasks) -> Member {
        Member {
            id: id.into(),
            client_id: id.into(),
            host: "/h".into(),
            instance_id: None,
            rack: None,
            epoch: Some(1),
            subscribed: Vec::new(),
            assignment: Vec::new(),
            target: Vec::new(),
            undecoded: None,
            streams: Some(Box::new(StreamsMember {
                tasks,
                target,
                ..StreamsMember::default()
            })),
        }
    }

    fn group(state: GroupState, members: Vec<Member>) -> GroupDescription {
        let own = |name: &str| OwnTopic {
            name: name.into(),
            partitions: None,
        };
        GroupDescription {
            id: "app".into(),
            kind: GroupKind::Streams,
            state,
            protocol_type: "streams".into(),
            assignor: "".into(),
            coordinator: 1,
            group_epoch: Some(3),
            assignment_epoch: Some(3),
            topology: Some(Box::new(Topology {
                epoch: 0,
                subtopologies: vec![Subtopology {
                    id: "0".into(),
                    source_topics: vec!["a".into(), "b".into()],
                    changelog_topics: vec![own("app-store-changelog")],
                    ..Subtopology::default()
                }],
            })),
            members,
        }
    }

    fn metadata(topics: &[(&str, i32)]) -> ClusterMetadata {
        let topic = |(name, n): &(&str, i32)| {
            let partition = |id| Partition {
                id,
                ..Partition::default()
            };
            Arc::new(Topic {
                name: (*name).into(),
                id: None,
                is_internal: false,
                error: None,
                partitions: (0..*n).map(partition).collect(),
            })
        };
        ClusterMetadata {
            topics: topics.iter().map(topic).collect(),
            ..ClusterMetadata::default()
        }
    }

    #[test]
    fn each_task_says_who_does_it_and_who_shall() {
        let group = group(
            GroupState::Reconciling,
            vec![
                member("a", tasks(&[0, 1], &[]), tasks(&[0], &[1])),
                member("b", tasks(&[], &[0]), tasks(&[1], &[0])),
            ],
        );
        let told: Vec<String> = streams_tasks(&group)
            .iter()
            .map(|task| {
                let role = task.role.as_str();
                format!(
                    "{} {role} {:?} {:?}",
                    task.name(),
                    task.owners,
                    task.targets
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "0_0 active [0] [0]",
                "0_0 standby [1] [1]",
                "0_1 active [0] [1]",
                "0_1 standby [] [0]",
            ]
        );
        assert!(streams_tasks(&group)[2].is_moving());
    }

    #[test]
    fn what_an_application_waits_for_is_named() {
        let one = || vec![member("a", tasks(&[0], &[]), tasks(&[0], &[]))];
        let all = [("a", 2), ("app-store-changelog", 2), ("b", 2)];
        for (state, members, topics, wanted) in [
            (GroupState::Stable, one(), &all[..], &[][..]),
            (
                GroupState::NotReady,
                one(),
                &all[..1],
                &[
                    "source topics are missing, or may not be seen: b",
                    "internal topics are missing: app-store-changelog",
                ],
            ),
            (
                GroupState::NotReady,
                one(),
                &[("a", 2), ("app-store-changelog", 2), ("b", 3)],
                &[
                    "not ready, and no topic is missing: topics that are read together may have to \
                   have as many partitions (0: a 2, b 3)",
                ],
            ),
            (
                GroupState::NotReady,
                one(),
                &all,
                &["not ready: its topology is not validated yet"],
            ),
            (GroupState::Empty, Vec::new(), &[], &[]),
        ] {
            let told = streams_complaints(&group(state, members), &metadata(topics));
            assert_eq!(told, wanted);
        }
        let mut other = group(GroupState::Stable, one());
        if let Some(topology) = &mut other.topology {
            topology.epoch = 2;
        }
        assert_eq!(
            streams_complaints(&other, &metadata(&all)),
            ["1 run another topology than that of epoch 2"]
        );
    }
}
