//! Groups: listed by every broker, described by their coordinators, and what they committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use kafka_protocol::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, DescribeGroupsRequest, DescribeShareGroupOffsetsRequest, GroupId,
    ListGroupsRequest, ListGroupsResponse, OffsetFetchRequest, OffsetFetchResponse,
    ShareGroupDescribeRequest, consumer_group_describe_response as consumer,
    describe_groups_response as classic, share_group_describe_response as share,
};
use kafka_shared::client::Undecoded;
use kafka_shared::protocol::StrBytes;
use kafka_shared::protocol::share_offsets::{
    DescribeShareGroupOffsetsResponse, ShareGroupOffsets, SharePartitionOffset, ShareTopicOffsets,
};

use crate::model::{
    ClusterMetadata, Committed, CommittedPartition, Fault, FaultKind, Group, GroupDescription,
    GroupKind, GroupState, Groups, Member, PartError, PerGroup, Taken, TopicAssignment,
};

use super::consumer_protocol::{Subscription, decode_assignment, decode_subscription};
use super::group_answers::{Again, Asked, Known, together};
use super::seen::{Digest, Seen};
use super::wire::{ClusterClient, To, check_code, decoded};

const LIST: &str = "list groups";

/// Groups asked for in one request.
const GROUPS_MAX: usize = 100;

/// Requests for groups under way at one time.
const REQUESTS_MAX: usize = 8;

/// Newer versions name topics by id only.
const OFFSET_FETCH_BY_NAME: i16 = 9;

/// The first version that takes several groups.
const OFFSET_FETCH_BATCHED: i16 = 8;

impl ClusterClient {
    /// All groups of all brokers, and a fault for each broker whose list is missing.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn groups(&self) -> Result<Groups, Fault> {
        let cluster = self.client.cluster().await;
        let cluster = cluster.map_err(|error| super::wire::client_fault(LIST, &error))?;
        let ids: Vec<i32> = cluster.nodes.keys().copied().collect();
        self.groups_of(&ids).await
    }

    /// As [`Self::groups`], of the brokers of `metadata` that live.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn groups_in(&self, metadata: &ClusterMetadata) -> Result<Groups, Fault> {
        self.groups_of(&live(metadata)).await
    }

    /// As [`Self::groups_in`], and whether they are those that were listed last: then it is the same
    /// allocation.
    ///
    /// # Errors
    /// As [`Self::groups_in`].
    pub(super) async fn groups_again(
        &self,
        metadata: &ClusterMetadata,
        seen: &Seen<Groups>,
    ) -> Result<(Arc<Groups>, bool), Fault> {
        let live = live(metadata);
        let answers = self.ask_lists(&live).await;
        let mut digest = Some(Digest::NOTHING);
        for (id, answer) in live.iter().zip(&answers) {
            digest = digest.and_then(|digest| digest.and_answer(*id, answer));
        }
        if let Some(same) = seen.of(digest) {
            return Ok((same, true));
        }
        let groups = Arc::new(listed(&live, answers)?);
        seen.keep(digest.filter(|_| groups.faults.is_empty()), &groups);
        Ok((groups, false))
    }

    async fn groups_of(&self, brokers: &[i32]) -> Result<Groups, Fault> {
        listed(brokers, self.ask_lists(brokers).await)
    }

    async fn ask_lists(&self, brokers: &[i32]) -> Vec<ListAnswer> {
        let ask = |id: &i32| self.ask_part_undecoded(LIST, *id, ListGroupsRequest::default(), None);
        join_all(brokers.iter().map(ask)).await
    }

    /// Describes groups, each by its coordinator and in the way of its kind.
    pub async fn describe_groups(&self, groups: &[Arc<Group>]) -> PerGroup<GroupDescription> {
        self.describe_known(groups, None).await.0
    }

    /// As [`Self::describe_groups`], and whether all answers are those of the last round: what was
    /// made of those is given again.
    pub(super) async fn describe_known(
        &self,
        groups: &[Arc<Group>],
        known: Option<Known<'_>>,
    ) -> Again<GroupDescription> {
        let mut batches: BTreeMap<(i32, GroupKind), Vec<Arc<Group>>> = BTreeMap::new();
        for group in groups {
            let batch = batches
                .entry((group.coordinator, group.kind.clone()))
                .or_default();
            batch.push(Arc::clone(group));
        }
        let mut requests = Vec::new();
        for ((node, kind), groups) in batches {
            for chunk in groups.chunks(GROUPS_MAX) {
                requests.push(self.describe_some(node, kind.clone(), chunk.to_vec(), known));
            }
        }
        let answers = stream::iter(requests).buffer_unordered(REQUESTS_MAX);
        together(answers.collect().await)
    }

    /// Describes groups of one kind at their coordinator.
    async fn describe_some(
        &self,
        node: i32,
        kind: GroupKind,
        groups: Vec<Arc<Group>>,
        known: Option<Known<'_>>,
    ) -> Again<GroupDescription> {
        let ids = group_ids(&groups);
        let asked = Asked {
            what: "describe groups",
            node,
            groups: &groups,
            seen: known.map(|known| &known.seen.described),
        };
        match kind {
            GroupKind::Consumer => {
                let request = ConsumerGroupDescribeRequest::default().with_group_ids(ids);
                self.ask_groups(&asked, request, None, |response| {
                    let groups = response.groups.iter();
                    groups
                        .map(|group| {
                            let (id, code) = (group.group_id.as_str(), group.error_code);
                            let made = || from_consumer(group, node);
                            described(id, code, group.error_message.as_deref(), known, made)
                        })
                        .collect()
                })
                .await
            }
            GroupKind::Share => {
                let request = ShareGroupDescribeRequest::default().with_group_ids(ids);
                self.ask_groups(&asked, request, None, |response| {
                    let groups = response.groups.iter();
                    groups
                        .map(|group| {
                            let (id, code) = (group.group_id.as_str(), group.error_code);
                            let made = || from_share(group, node);
                            described(id, code, group.error_message.as_deref(), known, made)
                        })
                        .collect()
                })
                .await
            }
            GroupKind::Streams => {
                let described = self.describe_streams(node, &groups).await;
                asked.compared(per_group(&groups, described))
            }
            GroupKind::Classic | GroupKind::Other(_) => {
                let request = DescribeGroupsRequest::default().with_groups(ids);
                self.ask_groups(&asked, request, None, |response| {
                    let groups = response.groups.iter();
                    groups
                        .map(|group| {
                            let (id, code) = (group.group_id.as_str(), group.error_code);
                            let made = || from_classic(group, node);
                            described(id, code, group.error_message.as_deref(), known, made)
                        })
                        .collect()
                })
                .await
            }
        }
    }
    /// The committed offsets of groups. Share groups commit none: of them it is where they are,
    /// and what they are behind, where the cluster says it.
    pub async fn committed(&self, groups: &[Arc<Group>]) -> PerGroup<Committed> {
        self.committed_known(groups, None).await.0
    }

    /// As [`Self::committed`], and whether all answers are those of the last round: what was made of
    /// those is given again, with the time of now.
    pub(super) async fn committed_known(
        &self,
        groups: &[Arc<Group>],
        known: Option<Known<'_>>,
    ) -> Again<Committed> {
        let mut batches: BTreeMap<(i32, bool), Vec<Arc<Group>>> = BTreeMap::new();
        for group in groups {
            let is_share = group.kind == GroupKind::Share;
            let batch = batches.entry((group.coordinator, is_share)).or_default();
            batch.push(Arc::clone(group));
        }
        let ask = async |((node, is_share), groups): ((i32, bool), Vec<Arc<Group>>)| {
            if is_share {
                self.shared_on(node, groups, known).await
            } else {
                self.committed_on(node, groups, known).await
            }
        };
        together(join_all(batches.into_iter().map(ask)).await)
    }

    /// Where share groups are.
    async fn shared_on(
        &self,
        node: i32,
        groups: Vec<Arc<Group>>,
        known: Option<Known<'_>>,
    ) -> Again<Committed> {
        let ask = async |groups: &[Arc<Group>]| {
            let one = |id| DescribeShareGroupOffsetsRequestGroup::default().with_group_id(id);
            let ids = group_ids(groups).into_iter();
            let request = DescribeShareGroupOffsetsRequest::default()
                .with_groups(ids.map(|id| one(id).with_topics(None)).collect());
            let asked = Asked {
                what: "read the offsets of share groups",
                node,
                groups,
                seen: known.map(|known| &known.seen.committed),
            };
            let made = |response| from_shares(&response, self.now());
            let (mut answer, is_same) = self.ask_groups(&asked, request, None, made).await;
            for (_, result) in &mut answer {
                // Then nothing is known of it, as little as of a group that has no lag.
                if matches!(result, Err(fault) if fault.kind == FaultKind::Unsupported) {
                    *result = Ok(Arc::new(Committed {
                        taken: self.now(),
                        ..Committed::default()
                    }));
                }
            }
            self.as_of_now((answer, is_same))
        };
        let mut answers = Vec::new();
        for chunk in groups.chunks(GROUPS_MAX) {
            answers.push(ask(chunk).await);
        }
        together(answers)
    }

    async fn committed_on(
        &self,
        node: i32,
        groups: Vec<Arc<Group>>,
        known: Option<Known<'_>>,
    ) -> Again<Committed> {
        let what = "read committed offsets";
        let version = match self.connection(what, To::Node(node)).await {
            Ok(connection) => connection.version_of::<OffsetFetchRequest>(),
            Err(fault) => return (per_group(&groups, Err(fault)), false),
        };
        // An old broker is asked for one group at a time.
        let batch = match version {
            Ok(version) if version >= OFFSET_FETCH_BATCHED => GROUPS_MAX,
            _ => 1,
        };
        let requests: Vec<_> = groups
            .chunks(batch)
            .map(|chunk| self.committed_of(node, chunk.to_vec(), batch == 1, known))
            .collect();
        let answers = stream::iter(requests).buffer_unordered(REQUESTS_MAX);
        together(answers.collect().await)
    }

    async fn committed_of(
        &self,
        node: i32,
        groups: Vec<Arc<Group>>,
        one_only: bool,
        known: Option<Known<'_>>,
    ) -> Again<Committed> {
        let ids = group_ids(&groups);
        let request = if one_only {
            let id = ids.into_iter().next().unwrap_or_default();
            OffsetFetchRequest::default()
                .with_group_id(id)
                .with_topics(None)
        } else {
            let one = |id| {
                let group = OffsetFetchRequestGroup::default().with_group_id(id);
                group.with_member_epoch(-1).with_topics(None)
            };
            OffsetFetchRequest::default().with_groups(ids.into_iter().map(one).collect())
        };
        let asked = Asked {
            what: "read committed offsets",
            node,
            groups: &groups,
            seen: known.map(|known| &known.seen.committed),
        };
        let made =
            |response: OffsetFetchResponse| from_offsets(&groups, &response, known, self.now());
        let by_name = Some(OFFSET_FETCH_BY_NAME);
        self.as_of_now(self.ask_groups(&asked, request, by_name, made).await)
    }

    /// Gives offsets that are the same as in the last round the time of this one.
    fn as_of_now(&self, (mut answer, is_same): Again<Committed>) -> Again<Committed> {
        if is_same {
            let taken = self.now();
            for committed in answer.iter_mut().filter_map(|(_, of)| of.as_mut().ok()) {
                let topics = Arc::clone(&committed.topics);
                *committed = Arc::new(Committed { taken, topics });
            }
        }
        (answer, is_same)
    }
}

/// What a coordinator says of a group, or why it says nothing.
fn described(
    id: &str,
    code: i16,
    message: Option<&str>,
    known: Option<Known<'_>>,
    made: impl FnOnce() -> GroupDescription,
) -> (String, Result<GroupDescription, Fault>) {
    let told = check_code(&format!("describe group \"{id}\""), code, message);
    let described = told.map(|()| {
        let mut group = made();
        if let Some(known) = known {
            known.share_all(&mut group);
        }
        group
    });
    (id.to_owned(), described)
}

type ListAnswer = Result<Undecoded<ListGroupsResponse>, Fault>;

/// The brokers that can be asked.
fn live(metadata: &ClusterMetadata) -> Vec<i32> {
    let brokers = metadata.brokers.iter();
    let live = brokers.filter(|broker| broker.fenced != Some(true));
    live.map(|broker| broker.id).collect()
}

fn listed(brokers: &[i32], answers: Vec<ListAnswer>) -> Result<Groups, Fault> {
    let mut groups = Groups::default();
    let mut n_answers = 0;
    for (id, answer) in brokers.iter().zip(answers) {
        let answer = answer.and_then(|answer| {
            let response = decoded(LIST, answer)?;
            check_code(LIST, response.error_code, None)?;
            Ok(response)
        });
        match answer {
            Ok(response) => {
                n_answers += 1;
                for listed in &response.groups {
                    let group = Group {
                        id: Arc::from(listed.group_id.as_str()),
                        kind: GroupKind::parse(&listed.group_type),
                        state: (!listed.group_state.is_empty())
                            .then(|| GroupState::parse(&listed.group_state)),
                        protocol_type: Arc::from(&*listed.protocol_type),
                        coordinator: *id,
                    };
                    groups.groups.insert(Arc::clone(&group.id), Arc::new(group));
                }
            }
            Err(fault) => {
                groups.faults.insert(*id, Arc::new(fault));
            }
        }
    }
    match groups.faults.values().next() {
        Some(fault) if n_answers == 0 => Err(Fault::clone(fault)),
        _ => Ok(groups),
    }
}

/// What an answer says of each group that it mentions.
pub(super) type Mentioned<T> = BTreeMap<String, Result<T, Fault>>;

/// Gives each group that was asked for its result: its own, or the fault of the whole request.
pub(super) fn per_group<T>(
    groups: &[Arc<Group>],
    answer: Result<Mentioned<T>, Fault>,
) -> PerGroup<T> {
    let mut answer = answer.map_err(Arc::new);
    groups
        .iter()
        .map(|group| {
            let result = match &mut answer {
                Err(fault) => Err(Arc::clone(fault)),
                Ok(mentioned) => match mentioned.remove(&*group.id) {
                    Some(result) => result.map(Arc::new).map_err(Arc::new),
                    None => {
                        let why = "the coordinator's answer does not mention it";
                        let what = format!("read group \"{}\"", group.id);
                        Err(Arc::new(Fault::new(FaultKind::Failed, what, why)))
                    }
                },
            };
            (Arc::clone(&group.id), result)
        })
        .collect()
}

fn group_ids(groups: &[Arc<Group>]) -> Vec<GroupId> {
    let id = |group: &Arc<Group>| GroupId::from(StrBytes::from_string(group.id.to_string()));
    groups.iter().map(id).collect()
}

pub(super) fn sort_members(mut members: Vec<Member>) -> Vec<Member> {
    members.sort_by(|a, b| (&a.client_id, &a.id).cmp(&(&b.client_id, &b.id)));
    members
}

pub(super) fn from_classic(group: &classic::DescribedGroup, node: i32) -> GroupDescription {
    let is_consumer = &*group.protocol_type == "consumer";
    let member = |member: &classic::DescribedGroupMember| {
        let mut undecoded = None;
        let mut decode = |what: &str, error: String| undecoded = Some(format!("{what}: {error}"));
        let mut assignment = Vec::new();
        let mut subscription = Subscription::default();
        if is_consumer {
            match decode_assignment(&member.member_assignment) {
                Ok(decoded) => assignment = decoded,
                Err(error) => decode("assignment", error.to_string()),
            }
            // Members that have just joined have no metadata yet.
            if !member.member_metadata.is_empty() {
                match decode_subscription(&member.member_metadata) {
                    Ok(decoded) => subscription = decoded,
                    Err(error) => decode("subscription", error.to_string()),
                }
            }
        } else if !member.member_assignment.is_empty() {
            decode(
                "assignment",
                format!("protocol type \"{}\"", &*group.protocol_type),
            );
        }
        Member {
            id: Arc::from(&*member.member_id),
            client_id: Arc::from(&*member.client_id),
            host: Arc::from(&*member.client_host),
            instance_id: member.group_instance_id.as_deref().map(Arc::from),
            rack: subscription.rack,
            epoch: None,
            subscribed: subscription.topics,
            assignment,
            target: Vec::new(),
            undecoded,
            streams: None,
        }
    };
    GroupDescription {
        id: Arc::from(group.group_id.as_str()),
        kind: GroupKind::Classic,
        state: GroupState::parse(&group.group_state),
        protocol_type: Arc::from(&*group.protocol_type),
        assignor: Arc::from(&*group.protocol_data),
        coordinator: node,
        group_epoch: None,
        assignment_epoch: None,
        topology: None,
        members: sort_members(group.members.iter().map(member).collect()),
    }
}

fn from_consumer(group: &consumer::DescribedGroup, node: i32) -> GroupDescription {
    let owned = |assignment: &consumer::Assignment| -> Vec<TopicAssignment> {
        let lists = assignment.topic_partitions.iter();
        topic_lists(lists.map(|list| (list.topic_name.as_str(), &list.partitions[..])))
    };
    let member = |member: &consumer::Member| Member {
        id: Arc::from(&*member.member_id),
        client_id: Arc::from(&*member.client_id),
        host: Arc::from(&*member.client_host),
        instance_id: member.instance_id.as_deref().map(Arc::from),
        rack: member.rack_id.as_deref().map(Arc::from),
        epoch: Some(member.member_epoch),
        subscribed: names(&member.subscribed_topic_names),
        assignment: owned(&member.assignment),
        target: owned(&member.target_assignment),
        undecoded: None,
        streams: None,
    };
    GroupDescription {
        id: Arc::from(group.group_id.as_str()),
        kind: GroupKind::Consumer,
        state: GroupState::parse(&group.group_state),
        protocol_type: Arc::from("consumer"),
        assignor: Arc::from(&*group.assignor_name),
        coordinator: node,
        group_epoch: Some(group.group_epoch),
        assignment_epoch: Some(group.assignment_epoch),
        topology: None,
        members: sort_members(group.members.iter().map(member).collect()),
    }
}

fn from_share(group: &share::DescribedGroup, node: i32) -> GroupDescription {
    let owned = |assignment: &share::Assignment| -> Vec<TopicAssignment> {
        let lists = assignment.topic_partitions.iter();
        topic_lists(lists.map(|list| (list.topic_name.as_str(), &list.partitions[..])))
    };
    let member = |member: &share::Member| Member {
        id: Arc::from(&*member.member_id),
        client_id: Arc::from(&*member.client_id),
        host: Arc::from(&*member.client_host),
        instance_id: None,
        rack: member.rack_id.as_deref().map(Arc::from),
        epoch: Some(member.member_epoch),
        subscribed: names(&member.subscribed_topic_names),
        assignment: owned(&member.assignment),
        target: Vec::new(),
        undecoded: None,
        streams: None,
    };
    GroupDescription {
        id: Arc::from(group.group_id.as_str()),
        kind: GroupKind::Share,
        state: GroupState::parse(&group.group_state),
        protocol_type: Arc::from("share"),
        assignor: Arc::from(&*group.assignor_name),
        coordinator: node,
        group_epoch: Some(group.group_epoch),
        assignment_epoch: Some(group.assignment_epoch),
        topology: None,
        members: sort_members(group.members.iter().map(member).collect()),
    }
}

fn names(topics: &[kafka_protocol::messages::TopicName]) -> Vec<Arc<str>> {
    topics
        .iter()
        .map(|topic| Arc::from(topic.as_str()))
        .collect()
}

fn topic_lists<'a>(lists: impl Iterator<Item = (&'a str, &'a [i32])>) -> Vec<TopicAssignment> {
    let mut lists: Vec<TopicAssignment> = lists
        .map(|(topic, partitions)| {
            let mut partitions = partitions.to_vec();
            partitions.sort_unstable();
            TopicAssignment {
                topic: Arc::from(topic),
                partitions: partitions.into(),
            }
        })
        .collect();
    lists.sort_by(|a, b| a.topic.cmp(&b.topic));
    lists
}

fn commit(partition: &OffsetFetchResponsePartitions) -> CommittedPartition {
    CommittedPartition {
        partition: partition.partition_index,
        offset: (partition.committed_offset >= 0).then_some(partition.committed_offset),
        leader_epoch: (partition.committed_leader_epoch >= 0)
            .then_some(partition.committed_leader_epoch),
        metadata: partition
            .metadata
            .as_deref()
            .filter(|m| !m.is_empty())
            .map(Arc::from),
        error: (partition.error_code != 0).then_some(PartError(partition.error_code)),
        lag: None,
    }
}

fn from_shares(response: &DescribeShareGroupOffsetsResponse, taken: Taken) -> Mentioned<Committed> {
    let partition = |partition: &SharePartitionOffset| CommittedPartition {
        partition: partition.partition_index,
        offset: (partition.start_offset >= 0).then_some(partition.start_offset),
        leader_epoch: None,
        metadata: None,
        error: (partition.error_code != 0).then_some(PartError(partition.error_code)),
        lag: (partition.lag >= 0).then_some(partition.lag),
    };
    let topic = |topic: &ShareTopicOffsets| {
        let mut partitions: Vec<_> = topic.partitions.iter().map(partition).collect();
        partitions.sort_by_key(|partition| partition.partition);
        (Arc::from(&*topic.topic_name), partitions)
    };
    let group = |group: &ShareGroupOffsets| {
        let what = format!("read the offsets of group \"{}\"", &*group.group_id);
        let told = check_code(&what, group.error_code, group.error_message.as_deref());
        let found = told.map(|()| Committed {
            taken,
            topics: Arc::new(group.topics.iter().map(topic).collect()),
        });
        (group.group_id.to_string(), found)
    };
    response.groups.iter().map(group).collect()
}

fn from_offsets(
    asked: &[Arc<Group>],
    response: &OffsetFetchResponse,
    known: Option<Known<'_>>,
    taken: Taken,
) -> Mentioned<Committed> {
    let name_of = |topic: &str| {
        let mut name = Arc::from(topic);
        if let Some(known) = known {
            known.share(&mut name);
        }
        name
    };
    let what = |id: &str| format!("read the offsets of group \"{id}\"");
    let mut mentioned = Mentioned::new();
    for group in &response.groups {
        let id = group.group_id.to_string();
        let result = check_code(&what(&id), group.error_code, None).map(|()| {
            let topics = group.topics.iter().map(|topic| {
                let mut partitions: Vec<_> = topic.partitions.iter().map(commit).collect();
                partitions.sort_by_key(|partition| partition.partition);
                (name_of(topic.name.as_str()), partitions)
            });
            Committed {
                taken,
                topics: Arc::new(topics.collect()),
            }
        });
        mentioned.insert(id, result);
    }
    // Before version 8 the answer holds one group, which it does not name.
    if let (true, Some(group)) = (response.groups.is_empty(), asked.first()) {
        let result = check_code(&what(&group.id), response.error_code, None).map(|()| {
            let topics = response.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|p| {
                    commit(
                        &OffsetFetchResponsePartitions::default()
                            .with_partition_index(p.partition_index)
                            .with_committed_offset(p.committed_offset)
                            .with_committed_leader_epoch(p.committed_leader_epoch)
                            .with_metadata(p.metadata.clone())
                            .with_error_code(p.error_code),
                    )
                });
                let mut partitions: Vec<_> = partitions.collect();
                partitions.sort_by_key(|partition| partition.partition);
                (name_of(topic.name.as_str()), partitions)
            });
            Committed {
                taken,
                topics: Arc::new(topics.collect()),
            }
        });
        mentioned.insert(group.id.to_string(), result);
    }
    mentioned
}
