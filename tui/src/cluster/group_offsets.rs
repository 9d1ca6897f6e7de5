//! Sets and removes committed offsets on behalf of an operator, as no member of the group.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetDeleteRequest, TopicName};
use kafka_shared::client::{CoordinatorType, Route, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::{Request, StrBytes};
use kafka_shared::types::TopicPartition;

use crate::model::{Committed, Fault, FaultKind};
use crate::ops::offsets::{AlterOffsets, CommitAt, OffsetChange};

use super::wire::{ClusterClient, check_code, client_fault};

/// Newer versions name topics by id only.
const OFFSET_COMMIT_BY_NAME: i16 = 9;

/// Partitions in one request.
const PARTITIONS_MAX: usize = 1_000;

/// What became of each partition.
pub type OffsetResults = BTreeMap<TopicPartition, Result<(), Fault>>;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn route(group: &str) -> Route {
    Route::Coordinator(CoordinatorType::Group, group.to_owned())
}

fn by_topic<'a>(changes: &[&'a OffsetChange]) -> BTreeMap<&'a str, Vec<&'a OffsetChange>> {
    let mut topics: BTreeMap<&str, Vec<&OffsetChange>> = BTreeMap::new();
    for change in changes {
        topics.entry(&change.topic).or_default().push(change);
    }
    topics
}

fn outcome(group: &str, key: &TopicPartition, code: i16) -> Result<(), Fault> {
    let what = format!("set the offset of group \"{group}\" for {key}");
    check_code(&what, code, None).map_err(|fault| match ErrorCode(code) {
        ErrorCode::UNKNOWN_MEMBER_ID
        | ErrorCode::ILLEGAL_GENERATION
        | ErrorCode::REBALANCE_IN_PROGRESS
        | ErrorCode::STALE_MEMBER_EPOCH => {
            fault.with_hint("the group has members again: stop its consumers first")
        }
        ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC => {
            fault.with_hint("a member still reads this topic: stop it first")
        }
        _ => fault,
    })
}

/// The partitions that are not any more where the change was made from.
fn moved_on(alter: &AlterOffsets, now: &Committed) -> Vec<String> {
    let mut moved = Vec::new();
    for change in alter.changes.iter().filter(|change| change.is_change()) {
        let found = now.partition(&change.topic, change.partition);
        let now = found.and_then(|commit| commit.offset);
        let then = change.from.as_ref().map(|from| from.offset);
        if now != then {
            let word = |offset: Option<i64>| offset.map_or("nothing".to_owned(), |n| n.to_string());
            moved.push(format!("{} {} → {}", change.key(), word(then), word(now)));
        }
    }
    moved
}

impl ClusterClient {
    /// What a group has committed; a group that no broker lists has committed nothing.
    ///
    /// # Errors
    /// When its coordinator does not answer, or it may be on a broker that gave no list.
    pub async fn committed_by(&self, group: &str) -> Result<Committed, Fault> {
        let groups = self.groups().await?;
        let Some(listed) = groups.groups.get(group).cloned() else {
            return match groups.faults.into_values().next() {
                Some(fault) => Err(Fault::clone(&fault)),
                None => Ok(Committed::default()),
            };
        };
        match self.committed(&[listed]).await.pop() {
            Some((_, Ok(committed))) => Ok(Committed::clone(&committed)),
            Some((_, Err(fault))) => Err(Fault::clone(&fault)),
            None => Ok(Committed::default()),
        }
    }

    /// Sets and removes committed offsets; a result for each partition that changes.
    ///
    /// # Errors
    /// A refusal when the session is read-only, or when the group is not where the change was
    /// made from any more; when nobody could be asked.
    pub async fn alter_offsets(&self, alter: &AlterOffsets) -> Result<OffsetResults, Fault> {
        let what = format!("set the offsets of group \"{}\"", alter.group);
        self.may_send::<OffsetCommitRequest>(&what)?;
        let moved = moved_on(alter, &self.committed_by(&alter.group).await?);
        if let Some(first) = moved.first() {
            let why = match moved.len() {
                1 => format!("it is not where this was planned from any more: {first}"),
                n => format!("{n} partitions are not where this was planned from: {first}, …"),
            };
            return Err(Fault::refused(what, why).with_hint("plan it again"));
        }
        let wanted = alter.changes.iter().filter(|change| change.is_change());
        let (set, removed): (Vec<&OffsetChange>, Vec<&OffsetChange>) =
            wanted.partition(|change| change.to.is_some());
        let mut results = OffsetResults::new();
        for chunk in set.chunks(PARTITIONS_MAX) {
            self.commit(&alter.group, &what, chunk, &mut results).await;
        }
        for chunk in removed.chunks(PARTITIONS_MAX) {
            self.forget(&alter.group, &what, chunk, &mut results).await;
        }
        Ok(results)
    }

    async fn commit(
        &self,
        group: &str,
        what: &str,
        changes: &[&OffsetChange],
        results: &mut OffsetResults,
    ) {
        let partition = |change: &&OffsetChange| {
            let to = change.to.clone().unwrap_or_else(|| CommitAt::plain(-1));
            OffsetCommitRequestPartition::default()
                .with_partition_index(change.partition)
                .with_committed_offset(to.offset)
                .with_committed_leader_epoch(to.leader_epoch.unwrap_or(-1))
                .with_committed_metadata(Some(text(to.metadata.as_deref().unwrap_or(""))))
        };
        let topic = |(name, changes): (&str, Vec<&OffsetChange>)| {
            OffsetCommitRequestTopic::default()
                .with_name(TopicName::from(text(name)))
                .with_partitions(changes.iter().map(partition).collect())
        };
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId::from(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(by_topic(changes).into_iter().map(topic).collect());
        let options = SendOptions {
            version_max: Some(OFFSET_COMMIT_BY_NAME),
            ..SendOptions::default()
        };
        let error_of = |response: &<OffsetCommitRequest as Request>::Response| {
            let mut partitions = response.topics.iter().flat_map(|t| &t.partitions);
            let bad = partitions.find(|partition| partition.error_code != 0);
            ErrorCode(bad.map_or(0, |partition| partition.error_code))
        };
        let answer = self
            .client
            .send_to_with(&route(group), request, options, error_of)
            .await;
        let codes = answer.map(|response| {
            let topics = response.topics.iter();
            topics
                .flat_map(|topic| {
                    let name = topic.name.as_str();
                    let partitions = topic.partitions.iter();
                    partitions
                        .map(move |p| (TopicPartition::new(name, p.partition_index), p.error_code))
                })
                .collect()
        });
        let codes = codes.map_err(|error| client_fault(what, &error));
        tell(group, what, changes, codes, results);
    }

    async fn forget(
        &self,
        group: &str,
        what: &str,
        changes: &[&OffsetChange],
        results: &mut OffsetResults,
    ) {
        let partition = |change: &&OffsetChange| {
            OffsetDeleteRequestPartition::default().with_partition_index(change.partition)
        };
        let topic = |(name, changes): (&str, Vec<&OffsetChange>)| {
            OffsetDeleteRequestTopic::default()
                .with_name(TopicName::from(text(name)))
                .with_partitions(changes.iter().map(partition).collect())
        };
        let request = OffsetDeleteRequest::default()
            .with_group_id(GroupId::from(text(group)))
            .with_topics(by_topic(changes).into_iter().map(topic).collect());
        let error_of =
            |response: &<OffsetDeleteRequest as Request>::Response| ErrorCode(response.error_code);
        let answer = self.client.send_to(&route(group), request, error_of).await;
        let codes = match answer {
            Err(error) => Err(client_fault(what, &error)),
            Ok(response) => check_code(what, response.error_code, None).map(|()| {
                let topics = response.topics.iter();
                topics
                    .flat_map(|topic| {
                        let name = topic.name.as_str();
                        let partitions = topic.partitions.iter();
                        partitions.map(move |p| {
                            (TopicPartition::new(name, p.partition_index), p.error_code)
                        })
                    })
                    .collect()
            }),
        };
        tell(group, what, changes, codes, results);
    }
}

/// Gives each partition that was sent its result: its own, or that of the whole request.
fn tell(
    group: &str,
    what: &str,
    changes: &[&OffsetChange],
    codes: Result<BTreeMap<TopicPartition, i16>, Fault>,
    results: &mut OffsetResults,
) {
    for change in changes {
        let key = change.key();
        let result = match &codes {
            Err(fault) => Err(fault.clone()),
            Ok(codes) => match codes.get(&key) {
                Some(code) => outcome(group, &key, *code),
                None => {
                    let why = "the coordinator's answer does not mention it";
                    Err(Fault::new(FaultKind::Failed, what, why))
                }
            },
        };
        results.insert(key, result);
    }
}
