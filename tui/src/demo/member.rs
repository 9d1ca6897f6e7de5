//! A small member of a classic consumer group: joins, is assigned partitions, reads them, commits,
//! and leaves.
//!
//! | in | on | goes to |
//! |---|---|---|
//! | joining | MEMBER_ID_REQUIRED | joining with the id that was given |
//! | joining | an answer | syncing, with everybody's assignment if it leads |
//! | syncing | an answer | consuming |
//! | syncing, consuming | REBALANCE_IN_PROGRESS | joining |
//! | any | UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION, FENCED_INSTANCE_ID | joining as somebody new |
//! | any | another error | joining after a pause |
//! | any | the stop | left |
//!
//! Kafka: clients/consumer/internals/AbstractCoordinator.java (4.3).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    OffsetCommitRequest, SyncGroupRequest, TopicName,
};
use kafka_shared::client::{CoordinatorType, Route, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::{Request, StrBytes};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::cluster::ClusterClient;
use crate::cluster::consumer_protocol::{
    decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};
use crate::model::{Group, GroupKind, TopicAssignment, TopicPartition};

use super::assignor::range_assignment;

/// The coordinator takes a member for dead after this time without a heartbeat.
const SESSION_TIMEOUT_MS: i32 = 10_000;

/// The coordinator waits this long for members to join again.
const REBALANCE_TIMEOUT_MS: i32 = 10_000;

/// Heartbeats, reads and commits happen in rounds of this length.
const ROUND_MS: u64 = 500;

/// Pause after an error that says nothing about what to do.
const RETRY_MS: u64 = 500;

/// Newer versions name topics by id only.
const OFFSET_COMMIT_BY_NAME: i16 = 9;

/// The only assignor there is here.
const ASSIGNOR: &str = "range";

/// How a member behaves.
#[derive(Clone, Debug)]
pub struct MemberOptions {
    pub group: String,
    pub topics: Vec<String>,
    /// Records a second over all partitions; `None`: as fast as they come.
    pub records_per_second: Option<u64>,
}

/// What a member has done so far, for whoever watches it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub generation: i32,
    pub assignment: Vec<TopicAssignment>,
    pub records: u64,
}

/// Why a member starts over.
enum Again {
    /// The group is being rebalanced.
    Rejoin,
    /// The coordinator does not know the member any more.
    Forgotten,
    /// Something else.
    Later,
}

impl From<ErrorCode> for Again {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::REBALANCE_IN_PROGRESS => Self::Rejoin,
            ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::ILLEGAL_GENERATION
            | ErrorCode::FENCED_INSTANCE_ID => Self::Forgotten,
            _ => Self::Later,
        }
    }
}

struct Member<'a> {
    client: &'a ClusterClient,
    options: &'a MemberOptions,
    id: String,
    generation: i32,
    progress: &'a Mutex<Progress>,
}

/// Is a member of a group until `stop`, then leaves it.
pub async fn run_member(
    client: &ClusterClient,
    options: &MemberOptions,
    progress: &Mutex<Progress>,
    stop: &CancellationToken,
) {
    let mut member = Member {
        client,
        options,
        id: String::new(),
        generation: -1,
        progress,
    };
    let life = async {
        loop {
            let again = match member.live().await {
                Ok(never) => match never {},
                Err(again) => again,
            };
            match again {
                Again::Rejoin => {}
                Again::Forgotten => member.id.clear(),
                Again::Later => tokio::time::sleep(Duration::from_millis(RETRY_MS)).await,
            }
        }
    };
    tokio::select! {
        () = life => {}
        () = stop.cancelled() => {}
    }
    member.leave().await;
}

/// The code, or why to start over.
fn check(code: i16) -> Result<(), Again> {
    if code == 0 {
        Ok(())
    } else {
        Err(Again::from(ErrorCode(code)))
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Member<'_> {
    async fn ask<R: Request>(
        &self,
        request: R,
        error_of: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, Again> {
        let route = Route::Coordinator(CoordinatorType::Group, self.options.group.clone());
        let wait_ms = u64::try_from(REBALANCE_TIMEOUT_MS).unwrap_or(0) + 5_000;
        let options = SendOptions {
            version_max: Some(OFFSET_COMMIT_BY_NAME),
            timeout_ms: Some(wait_ms),
        };
        let error_of = |response: &R::Response| ErrorCode(error_of(response));
        let answer = self
            .client
            .raw()
            .send_to_with(&route, request, options, error_of)
            .await;
        answer.map_err(|_| Again::Later)
    }

    fn group(&self) -> GroupId {
        GroupId::from(text(&self.options.group))
    }

    /// One membership of one generation, which ends with the reason to start over.
    async fn live(&mut self) -> Result<std::convert::Infallible, Again> {
        let joined = self.join().await?;
        let assignment = self.sync(&joined).await?;
        {
            let mut progress = self.progress.lock();
            progress.generation = self.generation;
            progress.assignment.clone_from(&assignment);
        }
        let mut positions = self.positions(&assignment).await?;
        loop {
            tokio::time::sleep(Duration::from_millis(ROUND_MS)).await;
            self.read(&mut positions).await?;
            self.commit(&positions).await?;
            self.heartbeat().await?;
        }
    }

    async fn join(&mut self) -> Result<JoinGroupResponse, Again> {
        let metadata = encode_subscription(&self.options.topics).map_err(|_| Again::Later)?;
        loop {
            let protocol = JoinGroupRequestProtocol::default()
                .with_name(text(ASSIGNOR))
                .with_metadata(Bytes::from(metadata.clone()));
            let request = JoinGroupRequest::default()
                .with_group_id(self.group())
                .with_session_timeout_ms(SESSION_TIMEOUT_MS)
                .with_rebalance_timeout_ms(REBALANCE_TIMEOUT_MS)
                .with_member_id(text(&self.id))
                .with_protocol_type(text("consumer"))
                .with_protocols(vec![protocol]);
            let response = self.ask(request, |response| response.error_code).await?;
            if ErrorCode(response.error_code) == ErrorCode::MEMBER_ID_REQUIRED {
                self.id = response.member_id.to_string();
                continue;
            }
            check(response.error_code)?;
            self.id = response.member_id.to_string();
            self.generation = response.generation_id;
            return Ok(response);
        }
    }

    /// Waits for the assignment; the leader makes everybody's.
    async fn sync(&self, joined: &JoinGroupResponse) -> Result<Vec<TopicAssignment>, Again> {
        let assignments = if *joined.leader == *self.id {
            self.assign(joined).await?
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest::default()
            .with_group_id(self.group())
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text(ASSIGNOR)))
            .with_assignments(assignments);
        let response = self.ask(request, |response| response.error_code).await?;
        check(response.error_code)?;
        decode_assignment(&response.assignment).map_err(|_| Again::Later)
    }

    async fn assign(
        &self,
        joined: &JoinGroupResponse,
    ) -> Result<Vec<SyncGroupRequestAssignment>, Again> {
        let metadata = self.client.metadata().await.map_err(|_| Again::Later)?;
        let mut subscriptions = BTreeMap::new();
        for member in &joined.members {
            let topics = decode_subscription(&member.metadata)
                .unwrap_or_default()
                .topics;
            subscriptions.insert(member.member_id.to_string(), topics);
        }
        let partitions: BTreeMap<Arc<str>, Vec<i32>> = metadata
            .topics
            .iter()
            .map(|topic| {
                let ids = topic
                    .partitions
                    .iter()
                    .map(|partition| partition.id)
                    .collect();
                (Arc::clone(&topic.name), ids)
            })
            .collect();
        let assignment = range_assignment(&subscriptions, &partitions);
        assignment
            .into_iter()
            .map(|(member, owned)| {
                let bytes = encode_assignment(&owned).map_err(|_| Again::Later)?;
                Ok(SyncGroupRequestAssignment::default()
                    .with_member_id(text(&member))
                    .with_assignment(Bytes::from(bytes)))
            })
            .collect()
    }

    /// Where to go on: at the commits, else at the start.
    async fn positions(
        &self,
        assignment: &[TopicAssignment],
    ) -> Result<BTreeMap<TopicPartition, i64>, Again> {
        let coordinator = self
            .client
            .raw()
            .coordinator(&self.options.group, CoordinatorType::Group)
            .await
            .map_err(|_| Again::Later)?;
        let metadata = self.client.metadata().await.map_err(|_| Again::Later)?;
        let node = metadata.brokers.iter().find(|broker| {
            let endpoint = coordinator.endpoint();
            broker.host == endpoint.host && broker.port == i32::from(endpoint.port)
        });
        let group = Group {
            id: Arc::from(self.options.group.as_str()),
            kind: GroupKind::Classic,
            state: None,
            protocol_type: Arc::from("consumer"),
            coordinator: node.ok_or(Again::Later)?.id,
        };
        let mut committed = self.client.committed(&[Arc::new(group)]).await;
        let committed = committed
            .pop()
            .and_then(|(_, result)| result.ok())
            .ok_or(Again::Later)?;
        let topics: Vec<Arc<str>> = assignment.iter().map(|a| Arc::clone(&a.topic)).collect();
        let offsets = self.client.offsets(&metadata, Some(&topics)).await;
        let offsets = offsets.map_err(|_| Again::Later)?;
        let mut positions = BTreeMap::new();
        for owned in assignment {
            for id in &owned.partitions {
                let commit = committed
                    .partition(&owned.topic, *id)
                    .and_then(|c| c.offset);
                let found = offsets
                    .get(&owned.topic)
                    .and_then(|offsets| offsets.partition(*id));
                let start = found
                    .and_then(|found| found.start.known())
                    .ok_or(Again::Later)?;
                let position = commit.unwrap_or(start).max(start);
                positions.insert(TopicPartition::new(&*owned.topic, *id), position);
            }
        }
        Ok(positions)
    }

    /// Reads as much as one round may.
    async fn read(&self, positions: &mut BTreeMap<TopicPartition, i64>) -> Result<(), Again> {
        let per_round = |rate: u64| (rate * ROUND_MS).div_ceil(1_000);
        let mut left = self.options.records_per_second.map_or(u64::MAX, per_round);
        let topics: std::collections::BTreeSet<Arc<str>> =
            positions.keys().map(|key| Arc::clone(&key.topic)).collect();
        for topic in topics {
            let from: BTreeMap<i32, i64> = positions
                .iter()
                .filter(|(key, _)| key.topic == topic)
                .map(|(key, position)| (key.partition, *position))
                .collect();
            let next = self
                .client
                .skim(&topic, &from, left)
                .await
                .map_err(|_| Again::Later)?;
            for (id, position) in next {
                let key = TopicPartition {
                    topic: Arc::clone(&topic),
                    partition: id,
                };
                let read = position - from.get(&id).copied().unwrap_or(position);
                let read = u64::try_from(read).unwrap_or(0);
                left = left.saturating_sub(read);
                self.progress.lock().records += read;
                positions.insert(key, position);
            }
        }
        Ok(())
    }

    async fn commit(&self, positions: &BTreeMap<TopicPartition, i64>) -> Result<(), Again> {
        let mut topics: BTreeMap<Arc<str>, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (key, position) in positions {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(key.partition)
                .with_committed_offset(*position)
                .with_committed_leader_epoch(-1);
            topics
                .entry(Arc::clone(&key.topic))
                .or_default()
                .push(partition);
        }
        if topics.is_empty() {
            return Ok(());
        }
        let topic = |(name, partitions): (Arc<str>, Vec<OffsetCommitRequestPartition>)| {
            OffsetCommitRequestTopic::default()
                .with_name(TopicName::from(text(&name)))
                .with_partitions(partitions)
        };
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group())
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(text(&self.id))
            .with_topics(topics.into_iter().map(topic).collect());
        type Response = <OffsetCommitRequest as Request>::Response;
        let first = |response: &Response| {
            let mut partitions = response
                .topics
                .iter()
                .flat_map(|topic| topic.partitions.iter());
            partitions
                .next()
                .map_or(0, |partition| partition.error_code)
        };
        let response = self.ask(request, first).await?;
        let partitions = response
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter());
        {
            let mut partitions = partitions;
            partitions.try_for_each(|partition| check(partition.error_code))
        }
    }

    async fn heartbeat(&self) -> Result<(), Again> {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group())
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id));
        let response = self.ask(request, |response| response.error_code).await?;
        check(response.error_code)
    }

    /// Says goodbye, so that the others need not wait for the session to run out.
    async fn leave(&self) {
        if self.id.is_empty() {
            return;
        }
        let identity = MemberIdentity::default().with_member_id(text(&self.id));
        let request = LeaveGroupRequest::default()
            .with_group_id(self.group())
            .with_members(vec![identity]);
        // Whether it was heard or not, this member is gone.
        let _ = self.ask(request, |response| response.error_code).await;
    }
}
