//! Streams groups as their coordinators describe them.
//!
//! A member owns tasks. What it reads with the active ones is its assignment here, as of members of
//! every other group: of the topics of a part of the topology, the partitions that the task is of.
//! Where a part reads several topics, some of them may have fewer partitions than there are tasks;
//! then the cluster is asked how many.
//!
//! Kafka: StreamsGroup.asDescribedGroup (4.3), KIP-1071.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_shared::protocol::StrBytes;
use kafka_shared::protocol::streams_groups::{self as wire, StreamsGroupDescribeRequest};

use crate::model::{
    Fault, Group, GroupDescription, GroupKind, GroupState, Member, OwnTopic, StreamsMember,
    Subtopology, SubtopologyTasks, Tasks, TopicAssignment, Topology,
};

use super::groups::{Mentioned, sort_members};
use super::metadata::from_metadata;
use super::wire::{ClusterClient, To, check_code};

/// How many partitions topics have; of those that are not in it nothing is known.
type Counts = BTreeMap<Arc<str>, i32>;

impl ClusterClient {
    pub(super) async fn describe_streams(
        &self,
        node: i32,
        groups: &[Arc<Group>],
    ) -> Result<Mentioned<GroupDescription>, Fault> {
        let request = StreamsGroupDescribeRequest {
            group_ids: groups.iter().map(|group| group.id.to_string()).collect(),
            include_authorized_operations: false,
        };
        let response = self.ask_part_own("describe groups", node, &request).await?;
        let counts = self.counts_of(&response.groups).await;
        let one = |group: wire::StreamsDescribedGroup| {
            let what = format!("describe group \"{}\"", group.group_id);
            let described = check_code(&what, group.error_code, group.error_message.as_deref());
            let id = group.group_id.clone();
            (id, described.map(|()| from_streams(group, node, &counts)))
        };
        Ok(response.groups.into_iter().map(one).collect())
    }

    /// Where parts of the groups read several topics, how many partitions those have. What can't be
    /// read is taken to have them all.
    async fn counts_of(&self, groups: &[wire::StreamsDescribedGroup]) -> Counts {
        let parts = groups.iter().filter_map(|group| group.topology.as_ref());
        let parts = parts.filter_map(|topology| topology.subtopologies.as_ref());
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for part in parts.flatten() {
            let own = part.repartition_source_topics.iter();
            let reads = part
                .source_topics
                .iter()
                .chain(own.map(|topic| &topic.name));
            let reads: Vec<&str> = reads.map(String::as_str).collect();
            if reads.len() > 1 {
                names.extend(reads);
            }
        }
        if names.is_empty() {
            return Counts::new();
        }
        let topic = |name: &str| {
            let name = TopicName::from(StrBytes::from_string(name.to_owned()));
            MetadataRequestTopic::default().with_name(Some(name))
        };
        let request = MetadataRequest::default()
            .with_topics(Some(names.into_iter().map(topic).collect()))
            .with_allow_auto_topic_creation(false);
        let what = "read what streams groups read";
        let answer = self.ask(what, To::Any, request).await;
        let Ok(metadata) = answer.and_then(from_metadata) else {
            return Counts::new();
        };
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let topics = metadata.topics.iter();
        topics
            .map(|topic| (Arc::clone(&topic.name), count(topic.partitions.len())))
            .collect()
    }
}

fn arcs(names: Vec<String>) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
    names.sort_unstable();
    names
}

fn own_topics(topics: Vec<wire::TopicInfo>) -> Vec<OwnTopic> {
    let mut topics: Vec<OwnTopic> = topics
        .into_iter()
        .map(|topic| OwnTopic {
            name: Arc::from(topic.name),
            partitions: Some(topic.partitions).filter(|n| *n > 0),
        })
        .collect();
    topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    topics
}

fn topology(topology: wire::Topology) -> Topology {
    let part = |part: wire::Subtopology| Subtopology {
        id: Arc::from(part.subtopology_id),
        source_topics: arcs(part.source_topics),
        repartition_topics: own_topics(part.repartition_source_topics),
        changelog_topics: own_topics(part.state_changelog_topics),
        sink_topics: arcs(part.repartition_sink_topics),
    };
    let parts = topology.subtopologies.unwrap_or_default();
    let mut subtopologies: Vec<Subtopology> = parts.into_iter().map(part).collect();
    subtopologies.sort_by(|a, b| a.id.cmp(&b.id));
    Topology {
        epoch: topology.epoch,
        subtopologies,
    }
}

fn tasks(assignment: wire::Assignment) -> Tasks {
    let list = |tasks: Vec<wire::TaskIds>| {
        let mut list: Vec<SubtopologyTasks> = tasks
            .into_iter()
            .map(|task| {
                let mut partitions = task.partitions;
                partitions.sort_unstable();
                SubtopologyTasks {
                    subtopology: Arc::from(task.subtopology_id),
                    partitions: partitions.into(),
                }
            })
            .collect();
        list.sort_by(|a, b| a.subtopology.cmp(&b.subtopology));
        list
    };
    Tasks {
        active: list(assignment.active_tasks),
        standby: list(assignment.standby_tasks),
        warmup: list(assignment.warmup_tasks),
    }
}

/// What is read with active tasks, by topic.
fn read_with(tasks: &Tasks, topology: Option<&Topology>, counts: &Counts) -> Vec<TopicAssignment> {
    let mut topics: BTreeMap<Arc<str>, BTreeSet<i32>> = BTreeMap::new();
    for part in &tasks.active {
        let mut parts = topology.iter().flat_map(|topology| &topology.subtopologies);
        let Some(of) = parts.find(|of| of.id == part.subtopology) else {
            continue;
        };
        for topic in of.reads() {
            let count = counts.get(topic).copied().unwrap_or(i32::MAX);
            let ids = part.partitions.iter().copied().filter(|id| *id < count);
            topics.entry(Arc::clone(topic)).or_default().extend(ids);
        }
    }
    let topics = topics.into_iter().filter(|(_, ids)| !ids.is_empty());
    topics
        .map(|(topic, ids)| TopicAssignment {
            topic,
            partitions: ids.into_iter().collect(),
        })
        .collect()
}

fn from_streams(
    group: wire::StreamsDescribedGroup,
    node: i32,
    counts: &Counts,
) -> GroupDescription {
    let topology = group.topology.map(topology);
    let member = |member: wire::StreamsMember| {
        let (now, target) = (tasks(member.assignment), tasks(member.target_assignment));
        let endpoint = member.user_endpoint;
        Member {
            id: Arc::from(member.member_id),
            client_id: Arc::from(member.client_id),
            host: Arc::from(member.client_host),
            instance_id: member.instance_id.map(Arc::from),
            rack: member.rack_id.map(Arc::from),
            epoch: Some(member.member_epoch),
            subscribed: Vec::new(),
            assignment: read_with(&now, topology.as_ref(), counts),
            target: read_with(&target, topology.as_ref(), counts),
            undecoded: None,
            streams: Some(Box::new(StreamsMember {
                process_id: Arc::from(member.process_id),
                topology_epoch: member.topology_epoch,
                endpoint: endpoint.map(|at| Arc::from(format!("{}:{}", at.host, at.port))),
                tags: (member.client_tags.into_iter())
                    .map(|tag| (Arc::from(tag.key), Arc::from(tag.value)))
                    .collect(),
                is_classic: member.is_classic,
                tasks: now,
                target,
            })),
        }
    };
    let members = group.members.into_iter().map(member).collect();
    GroupDescription {
        id: Arc::from(group.group_id),
        kind: GroupKind::Streams,
        state: GroupState::parse(&group.group_state),
        protocol_type: Arc::from("streams"),
        assignor: Arc::from(""),
        coordinator: node,
        group_epoch: Some(group.group_epoch),
        assignment_epoch: Some(group.assignment_epoch),
        members: sort_members(members),
        topology: topology.map(Box::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(id: &str, partitions: &[i32]) -> wire::TaskIds {
        wire::TaskIds {
            subtopology_id: id.to_owned(),
            partitions: partitions.to_vec(),
        }
    }

    #[test]
    fn members_own_what_they_read_with_their_active_tasks() {
        let part = |id: &str, reads: &[&str], own: &[&str]| wire::Subtopology {
            subtopology_id: id.to_owned(),
            source_topics: reads.iter().map(|name| (*name).to_owned()).collect(),
            repartition_source_topics: (own.iter())
                .map(|name| wire::TopicInfo {
                    name: (*name).to_owned(),
                    partitions: 2,
                    ..wire::TopicInfo::default()
                })
                .collect(),
            ..wire::Subtopology::default()
        };
        let group = wire::StreamsDescribedGroup {
            group_id: "app".to_owned(),
            group_state: "NotReady".to_owned(),
            group_epoch: 5,
            assignment_epoch: 4,
            topology: Some(wire::Topology {
                epoch: 1,
                subtopologies: Some(vec![
                    part("1", &["few", "many"], &[]),
                    part("0", &["in"], &["app-by-repartition"]),
                ]),
            }),
            members: vec![wire::StreamsMember {
                member_id: "m".to_owned(),
                assignment: wire::Assignment {
                    active_tasks: vec![ids("1", &[2, 0]), ids("0", &[1])],
                    standby_tasks: vec![ids("0", &[0])],
                    ..wire::Assignment::default()
                },
                target_assignment: wire::Assignment {
                    active_tasks: vec![ids("gone", &[0])],
                    ..wire::Assignment::default()
                },
                ..wire::StreamsMember::default()
            }],
            ..wire::StreamsDescribedGroup::default()
        };
        let counts = Counts::from([("few".into(), 1), ("many".into(), 3)]);
        let told = from_streams(group, 2, &counts);
        assert_eq!(told.state, GroupState::NotReady);
        assert_eq!(
            (told.group_epoch, told.assignment_epoch),
            (Some(5), Some(4))
        );
        let topology = told.topology.unwrap();
        assert_eq!(&*topology.subtopologies[0].id, "0");
        assert_eq!(
            topology.subtopologies[0].repartition_topics[0].partitions,
            Some(2)
        );
        let member = &told.members[0];
        let owned: Vec<String> = (member.assignment.iter())
            .map(|owned| format!("{} {:?}", owned.topic, owned.partitions))
            .collect();
        assert_eq!(
            owned,
            ["app-by-repartition [1]", "few [0]", "in [1]", "many [0, 2]"],
            "a standby reads nothing, and \"few\" has no partition 2"
        );
        assert!(member.target.is_empty(), "of a part that nobody knows");
        let streams = member.streams.as_ref().unwrap();
        assert_eq!(streams.tasks.count(crate::model::TaskRole::Active), 3);
        assert_eq!(streams.tasks.count(crate::model::TaskRole::Standby), 1);
    }
}
