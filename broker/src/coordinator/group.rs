//! One partition of `__consumer_offsets` as a state machine: its groups and their offsets.
//!
//! A handler gets the request and [`Cx`] (time, settings) and leaves in [`Effects`] what is to happen:
//! records to append, answers to callers that waited, timers. The runtime appends the records, hands
//! them to [`GroupShard::replay`], and tells [`GroupShard::on_stored`] when they are committed or failed;
//! the answer that a handler returns is sent no earlier than that.
//!
//! Hard state, which the log has, is the offsets and which groups exist. The members of a classic
//! group are soft state, which handlers change directly: the log gets a copy of the group at certain
//! points only, so these records are not replayed while the shard is live ([`Effects::replay`]). After
//! a load both come from [`GroupShard::replay`].
//!
//! There are no clocks, no I/O and no randomness in here.
//!
//! Kafka: group-coordinator `GroupCoordinatorShard`, `GroupMetadataManager` (4.3).

pub mod classic;
pub mod messages;
pub mod offsets;
pub mod records;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::error::{ApiError, ErrorCode};
use uuid::Uuid;

pub use self::messages::*;
pub use self::records::Record;

use self::classic::membership::Replacement;
use self::classic::{ClassicGroup, State};
use self::offsets::{OffsetAndMetadata, Offsets};
use super::GroupCoordinatorConfig;
use super::timer::TimerChange;

/// How groups work: which protocol their members speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupType {
    /// The leader assigns.
    Classic,
    /// The broker assigns (KIP-848).
    Consumer,
    /// Members share partitions (KIP-932).
    Share,
    /// Kafka Streams (KIP-1071).
    Streams,
}

impl GroupType {
    /// Kafka's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            GroupType::Classic => "classic",
            GroupType::Consumer => "consumer",
            GroupType::Share => "share",
            GroupType::Streams => "streams",
        }
    }
}

/// What a handler may know besides its request.
#[derive(Debug, Clone, Copy)]
pub struct Cx<'a> {
    /// Wall clock, in milliseconds.
    pub now_ms: i64,
    /// The coordinator's settings.
    pub config: &'a GroupCoordinatorConfig,
}

/// Names a timer of a shard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKey {
    /// A member, or a client that is about to become one, has to show up.
    Heartbeat {
        /// Which group.
        group_id: Arc<str>,
        /// Which member.
        member_id: Arc<str>,
    },
    /// The joining of a group has to end.
    Join {
        /// Which group.
        group_id: Arc<str>,
    },
    /// The members of a group have to ask for their assignments.
    Sync {
        /// Which group.
        group_id: Arc<str>,
    },
    /// Offsets and groups that are no longer used are to be forgotten.
    Expiration,
}

/// What happens when a timer is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimerEvent {
    /// The member is out.
    HeartbeatExpired,
    /// A new group waits for more members, or begins its first generation.
    InitialDelay {
        /// The delay that is over now.
        delay_ms: i64,
        /// How much more delay there may be.
        remaining_ms: i64,
    },
    /// Those who have not joined are out.
    JoinExpired,
    /// Those who have not asked for their assignment are out.
    SyncExpired {
        /// Of this generation only.
        generation_id: i32,
    },
    /// Look for offsets to forget.
    Expiration,
}

/// An answer to a caller that waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To a JoinGroup.
    Join(JoinReply),
    /// To a SyncGroup.
    Sync(SyncReply),
}

/// How appending records ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// They are below the high watermark.
    Committed,
    /// They are in the log, but were not committed in time. They may still be.
    TimedOut(ErrorCode),
    /// They are not in the log.
    Failed(ErrorCode),
}

impl Stored {
    /// What to answer, unless all went well.
    pub fn error(self) -> Option<ErrorCode> {
        match self {
            Stored::Committed => None,
            Stored::TimedOut(error) | Stored::Failed(error) => Some(error),
        }
    }
}

/// What to do once the records are committed or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continuation {
    /// A group was made for the first join.
    GroupCreated {
        /// Which group.
        group_id: Arc<str>,
    },
    /// The last member has left.
    GroupEmptied {
        /// Which group.
        group_id: Arc<str>,
    },
    /// The leader's assignments can be handed out.
    AssignmentsStored {
        /// Which group.
        group_id: Arc<str>,
        /// Of this generation only.
        generation_id: i32,
        /// By member.
        assignments: HashMap<Arc<str>, Bytes>,
    },
    /// A static member goes on under another id.
    StaticMemberReplaced {
        /// Which group.
        group_id: Arc<str>,
        /// Who and how.
        replacement: Replacement,
    },
}

/// What a handler wants done.
#[derive(Debug)]
pub struct Effects {
    /// To append, in this order.
    pub records: Vec<Record>,
    /// Whether the records are handed to [`GroupShard::replay`] after they were appended.
    pub replay: bool,
    /// Whether the records must go into one batch.
    pub atomic: bool,
    /// What comes after the records are committed or failed.
    pub then: Option<Continuation>,
    /// Answers that don't wait for the records.
    pub replies: Vec<(Token, Reply)>,
    /// Timers to set and cancel, in this order.
    pub timers: Vec<TimerChange<TimerKey, TimerEvent>>,
}

impl Default for Effects {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            replay: true,
            atomic: true,
            then: None,
            replies: Vec::new(),
            timers: Vec::new(),
        }
    }
}

impl Effects {
    fn append_without_replay(&mut self, record: Record, then: Continuation) {
        debug_assert!(
            self.records.is_empty() && self.then.is_none(),
            "one store at a time"
        );
        self.records.push(record);
        self.replay = false;
        self.then = Some(then);
    }

    fn reply_join(&mut self, token: Token, reply: JoinReply) {
        self.replies.push((token, Reply::Join(reply)));
    }

    fn reply_sync(&mut self, token: Token, reply: SyncReply) {
        self.replies.push((token, Reply::Sync(reply)));
    }

    fn schedule(&mut self, key: TimerKey, delay_ms: i64, event: TimerEvent) {
        self.timers.push(TimerChange::Schedule {
            key,
            delay_ms,
            event,
        });
    }

    fn cancel(&mut self, key: TimerKey) {
        self.timers.push(TimerChange::Cancel(key));
    }
}

/// A group of any type.
#[derive(Debug)]
enum Group {
    Classic(ClassicGroup),
    /// The log has a group of a type that is not served here. Its records and offsets stay as they
    /// are, for a broker that can serve it.
    Unserved(GroupType),
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug, Default)]
pub struct GroupShard {
    groups: BTreeMap<Arc<str>, Group>,
    offsets: Offsets,
}

impl GroupShard {
    fn classic(&self, group_id: &str) -> Option<&ClassicGroup> {
        match self.groups.get(group_id)? {
            Group::Classic(group) => Some(group),
            Group::Unserved(_) => None,
        }
    }

    fn classic_mut(&mut self, group_id: &str) -> Option<&mut ClassicGroup> {
        match self.groups.get_mut(group_id)? {
            Group::Classic(group) => Some(group),
            Group::Unserved(_) => None,
        }
    }

    // ---- membership -----------------------------------------------------------------------------

    /// JoinGroup. The answer goes to `token`.
    pub fn join(&mut self, cx: &Cx<'_>, request: &JoinRequest, token: Token, fx: &mut Effects) {
        let group_id = &request.group_id;
        let is_new = !self.groups.contains_key(group_id);
        if is_new {
            if !request.member_id.is_empty() {
                let unknown = ErrorCode::UNKNOWN_MEMBER_ID;
                let reply = JoinReply::error(unknown, request.member_id.clone());
                return fx.reply_join(token, reply);
            }
            let group = ClassicGroup::new(group_id.clone(), cx.now_ms);
            self.groups.insert(group_id.clone(), Group::Classic(group));
        }
        let Some(group) = self.classic_mut(group_id) else {
            let error = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
            return fx.reply_join(token, JoinReply::error(error, Arc::from("")));
        };
        group.join(cx, request, token, fx);
        if is_new && fx.records.is_empty() {
            // The group as it was before the join: it exists from now on, whatever becomes of it.
            let value = ClassicGroup::new(group_id.clone(), cx.now_ms).to_record(|_| Bytes::new());
            fx.append_without_replay(
                Record::GroupMetadata {
                    group_id: group_id.clone(),
                    value: Some(value),
                },
                Continuation::GroupCreated {
                    group_id: group_id.clone(),
                },
            );
        }
    }

    /// SyncGroup. The answer goes to `token`.
    pub fn sync(&mut self, request: &SyncRequest, token: Token, fx: &mut Effects) {
        match self.classic_mut(&request.group_id) {
            Some(group) => group.sync(request, token, fx),
            None => fx.reply_sync(token, SyncReply::error(ErrorCode::UNKNOWN_MEMBER_ID)),
        }
    }

    /// Heartbeat.
    ///
    /// # Errors
    /// See [`ClassicGroup::heartbeat`].
    pub fn heartbeat(&self, request: &HeartbeatRequest, fx: &mut Effects) -> Result<(), ErrorCode> {
        match self.classic(&request.group_id) {
            Some(group) => group.heartbeat(request, fx),
            None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        }
    }

    /// LeaveGroup: an error per member, in their order.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID when there is no such group, COORDINATOR_NOT_AVAILABLE.
    pub fn leave(
        &mut self,
        cx: &Cx<'_>,
        request: &LeaveRequest,
        fx: &mut Effects,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        match self.classic_mut(&request.group_id) {
            Some(group) if group.is_in(State::Dead) => Err(ErrorCode::COORDINATOR_NOT_AVAILABLE),
            Some(group) => Ok(group.leave(cx, &request.members, fx)),
            None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        }
    }

    // ---- offsets --------------------------------------------------------------------------------

    /// OffsetCommit: an error per partition, in the order of the request.
    ///
    /// # Errors
    /// See [`ClassicGroup::validate_offset_commit`]; without a group, ILLEGAL_GENERATION or from
    /// version 9 on GROUP_ID_NOT_FOUND, but for clients that don't join, who make a simple group.
    pub fn commit_offsets(
        &self,
        cx: &Cx<'_>,
        request: &CommitRequest,
        fx: &mut Effects,
    ) -> Result<Vec<TopicItems<PartitionError>>, ErrorCode> {
        self.validate_commit(request, fx)?;
        let expire_timestamp_ms = (request.retention_time_ms != -1)
            .then(|| cx.now_ms.saturating_add(request.retention_time_ms));
        let max = usize::try_from(cx.config.offset_metadata_max_bytes).unwrap_or(0);
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let metadata = partition.metadata.clone().unwrap_or_default();
                let error = if is_longer_than(&metadata, max) {
                    ErrorCode::OFFSET_METADATA_TOO_LARGE
                } else {
                    fx.records.push(Record::OffsetCommit {
                        group_id: request.group_id.clone(),
                        topic: topic.topic.clone(),
                        partition: partition.partition,
                        value: Some(OffsetAndMetadata {
                            offset: partition.offset,
                            leader_epoch: partition.leader_epoch,
                            metadata,
                            commit_timestamp_ms: cx.now_ms,
                            expire_timestamp_ms,
                            topic_id: topic.topic_id,
                            record_offset: -1,
                        }),
                    });
                    ErrorCode::NONE
                };
                partitions.push(PartitionError {
                    partition: partition.partition,
                    error,
                });
            }
            topics.push(TopicItems {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                partitions,
            });
        }
        Ok(topics)
    }

    fn validate_commit(&self, request: &CommitRequest, fx: &mut Effects) -> Result<(), ErrorCode> {
        match self.groups.get(&request.group_id) {
            // The replay of the first offset makes the simple group.
            None if request.generation_id < 0 => Ok(()),
            None if request.version >= 9 => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            None => Err(ErrorCode::ILLEGAL_GENERATION),
            // It may have members, and we can't tell whether this is one.
            Some(Group::Unserved(_)) => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            Some(Group::Classic(group)) => {
                group.validate_offset_commit(
                    &request.member_id,
                    request.instance_id.as_deref(),
                    request.generation_id,
                )?;
                if matches!(group.state(), State::Stable | State::PreparingRebalance) {
                    group.renew_session(&request.member_id, fx);
                }
                Ok(())
            }
        }
    }

    /// OffsetFetch of one group. With `require_stable` the answer must wait until all that was
    /// appended is committed; else it holds committed offsets only.
    pub fn fetch_offsets(&self, request: &FetchRequest) -> Vec<TopicItems<FetchedPartition>> {
        match &request.topics {
            Some(topics) => self
                .offsets
                .fetch(&request.group_id, topics, request.require_stable),
            None => self
                .offsets
                .fetch_all(&request.group_id, request.require_stable),
        }
    }

    /// OffsetDelete: an error per partition, in the order of the request.
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND; NON_EMPTY_GROUP when the group has members whose topics are not known.
    pub fn delete_offsets(
        &self,
        request: &DeleteOffsetsRequest,
        fx: &mut Effects,
    ) -> Result<Vec<TopicItems<PartitionError>>, ErrorCode> {
        let group_id = &request.group_id;
        let group = match self.groups.get(group_id) {
            None => return Err(ErrorCode::GROUP_ID_NOT_FOUND),
            Some(Group::Unserved(_)) => return Err(ErrorCode::NON_EMPTY_GROUP),
            Some(Group::Classic(group)) => group,
        };
        match group.state() {
            State::Dead => return Err(ErrorCode::GROUP_ID_NOT_FOUND),
            State::Empty => {}
            _ if !group.uses_consumer_protocol() => return Err(ErrorCode::NON_EMPTY_GROUP),
            _ => {}
        }
        let mut delete_one = |topic: &Arc<str>, partition: i32| {
            if group.is_subscribed_to(topic) {
                return ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC;
            }
            let key = (group_id.clone(), topic.clone(), partition);
            let has_offset = self.offsets.get(group_id, topic, partition).is_some();
            if has_offset || self.offsets.is_pending(&key) {
                fx.records
                    .push(offset_tombstone(group_id, topic, partition));
            }
            ErrorCode::NONE
        };
        Ok(request
            .topics
            .iter()
            .map(|topic| TopicItems {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| PartitionError {
                        partition: *partition,
                        error: delete_one(&topic.topic, *partition),
                    })
                    .collect(),
            })
            .collect())
    }

    // ---- administration -------------------------------------------------------------------------

    /// The groups in one of these states and of one of these types, both in lower case; an empty
    /// list is no restriction.
    pub fn list_groups(&self, states: &[String], types: &[String]) -> Vec<ListedGroup> {
        let wanted = |filter: &[String], name: &str| {
            filter.is_empty()
                || filter
                    .iter()
                    .any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        self.groups
            .iter()
            .map(|(group_id, group)| match group {
                Group::Classic(group) => ListedGroup {
                    group_id: group_id.clone(),
                    protocol_type: group.protocol_type.clone().unwrap_or_else(|| Arc::from("")),
                    state: group.state().name(),
                    group_type: GroupType::Classic,
                },
                Group::Unserved(group_type) => ListedGroup {
                    group_id: group_id.clone(),
                    protocol_type: Arc::from(match group_type {
                        GroupType::Classic | GroupType::Consumer => "consumer",
                        GroupType::Share => "share",
                        GroupType::Streams => "streams",
                    }),
                    state: "Unknown",
                    group_type: *group_type,
                },
            })
            .filter(|group| wanted(states, group.state) && wanted(types, group.group_type.name()))
            .collect()
    }

    /// DescribeGroups of one group. From version 6 on a group that does not exist is an error.
    pub fn describe_group(&self, group_id: &Arc<str>, version: i16) -> DescribedGroup {
        let Some(group) = self.classic(group_id) else {
            let message = match self.groups.get(group_id) {
                None => format!("Group {group_id} not found."),
                Some(_) => format!("Group {group_id} is not a classic group."),
            };
            let (error, error_message) = match version {
                ..6 => (ErrorCode::NONE, None),
                _ => (ErrorCode::GROUP_ID_NOT_FOUND, Some(message)),
            };
            return DescribedGroup {
                group_id: group_id.clone(),
                error,
                error_message,
                state: State::Dead.name(),
                protocol_type: Arc::from(""),
                protocol: Arc::from(""),
                members: Vec::new(),
            };
        };
        let protocol = group
            .protocol_name
            .as_ref()
            .filter(|_| group.is_in(State::Stable));
        DescribedGroup {
            group_id: group_id.clone(),
            error: ErrorCode::NONE,
            error_message: None,
            state: group.state().name(),
            protocol_type: group.protocol_type.clone().unwrap_or_else(|| Arc::from("")),
            protocol: protocol.cloned().unwrap_or_else(|| Arc::from("")),
            members: group
                .members()
                .map(|member| DescribedMember {
                    member_id: member.id.clone(),
                    instance_id: member.instance_id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    metadata: match protocol {
                        Some(protocol) => member.metadata(Some(protocol)),
                        None => Bytes::new(),
                    },
                    assignment: member.assignment.clone(),
                })
                .collect(),
        }
    }

    /// DeleteGroups: an error per group, in their order.
    pub fn delete_groups(&self, group_ids: &[Arc<str>], fx: &mut Effects) -> Vec<ErrorCode> {
        group_ids
            .iter()
            .map(|group_id| self.delete_group(group_id, fx))
            .collect()
    }

    fn delete_group(&self, group_id: &Arc<str>, fx: &mut Effects) -> ErrorCode {
        match self.groups.get(group_id) {
            None => return ErrorCode::GROUP_ID_NOT_FOUND,
            Some(Group::Unserved(_)) => return ErrorCode::NON_EMPTY_GROUP,
            Some(Group::Classic(group)) => match group.state() {
                State::Empty => {}
                State::Dead => return ErrorCode::GROUP_ID_NOT_FOUND,
                _ => return ErrorCode::NON_EMPTY_GROUP,
            },
        }
        for (topic, partition, _) in self.offsets.of_group(group_id) {
            fx.records
                .push(offset_tombstone(group_id, topic, partition));
        }
        for (_, topic, partition) in self.offsets.pending_of_group(group_id) {
            if self.offsets.get(group_id, topic, *partition).is_none() {
                fx.records
                    .push(offset_tombstone(group_id, topic, *partition));
            }
        }
        fx.records.push(group_tombstone(group_id));
        ErrorCode::NONE
    }

    /// Forgets the offsets of deleted topics.
    pub fn on_topics_deleted(&self, topics: &[(Uuid, Arc<str>)], fx: &mut Effects) {
        fx.atomic = false;
        for (topic_id, name) in topics {
            for (group_id, topic, partition) in self.offsets.of_topic(name, *topic_id) {
                fx.records
                    .push(offset_tombstone(&group_id, &topic, partition));
            }
        }
    }

    // ---- time -----------------------------------------------------------------------------------

    /// A timer is due.
    pub fn on_timer(&mut self, cx: &Cx<'_>, key: &TimerKey, event: TimerEvent, fx: &mut Effects) {
        let group_id = match key {
            TimerKey::Heartbeat { group_id, .. }
            | TimerKey::Join { group_id }
            | TimerKey::Sync { group_id } => group_id,
            TimerKey::Expiration => return self.expire(cx, fx),
        };
        let Some(group) = self.classic_mut(group_id) else {
            return;
        };
        match (event, key) {
            (TimerEvent::HeartbeatExpired, TimerKey::Heartbeat { member_id, .. }) => {
                group.on_heartbeat_expired(cx, member_id, fx);
            }
            (
                TimerEvent::InitialDelay {
                    delay_ms,
                    remaining_ms,
                },
                _,
            ) => {
                group.on_initial_delay(cx, delay_ms, remaining_ms, fx);
            }
            (TimerEvent::JoinExpired, _) => group.complete_join_phase(cx, fx),
            (TimerEvent::SyncExpired { generation_id }, _) => {
                group.on_sync_expired(cx, generation_id, fx);
            }
            (TimerEvent::HeartbeatExpired | TimerEvent::Expiration, _) => {}
        }
    }

    /// Forgets offsets that have not been used for the retention time, and groups that have none.
    fn expire(&self, cx: &Cx<'_>, fx: &mut Effects) {
        fx.atomic = false;
        for (group_id, group) in &self.groups {
            let Group::Classic(group) = group else {
                continue;
            };
            if self.expire_offsets(cx, group, fx) && group.is_in(State::Empty) {
                fx.records.push(group_tombstone(group_id));
            }
        }
        let delay_ms = cx.config.offsets_retention_check_interval_ms;
        fx.schedule(TimerKey::Expiration, delay_ms, TimerEvent::Expiration);
    }

    /// Whether no offset of the group is left.
    fn expire_offsets(&self, cx: &Cx<'_>, group: &ClassicGroup, fx: &mut Effects) -> bool {
        let has_pending = self.offsets.has_pending(&group.id);
        // What the retention time counts from, by the state of the group: since it is empty, since
        // the commit, or for ever.
        let empty_since_ms = match (&group.protocol_type, group.state()) {
            (Some(_), State::Empty) => group.state_timestamp_ms,
            (None, _) => None,
            (Some(_), State::Stable) if group.subscribed_topics().is_some() => None,
            _ => return self.offsets.of_group(&group.id).next().is_none() && !has_pending,
        };
        let mut all_expired = true;
        for (topic, partition, offset) in self.offsets.of_group(&group.id) {
            let is_expired = match offset.expire_timestamp_ms {
                Some(expire_timestamp_ms) => cx.now_ms >= expire_timestamp_ms,
                None => {
                    let since_ms = empty_since_ms.unwrap_or(offset.commit_timestamp_ms);
                    cx.now_ms.saturating_sub(since_ms) >= cx.config.offsets_retention_ms
                }
            };
            let key = (group.id.clone(), topic.clone(), partition);
            if is_expired && !group.is_subscribed_to(topic) && !self.offsets.is_pending(&key) {
                fx.records
                    .push(offset_tombstone(&group.id, topic, partition));
            } else {
                all_expired = false;
            }
        }
        all_expired && !has_pending
    }

    // ---- the log --------------------------------------------------------------------------------

    /// Applies a record of the log. `producer_id` is that of a transactional batch.
    pub fn replay(&mut self, record_offset: i64, producer_id: Option<i64>, record: Record) {
        match record {
            Record::OffsetCommit {
                group_id,
                topic,
                partition,
                value,
            } => {
                if value.is_some() && !self.groups.contains_key(&group_id) {
                    // A simple group: nobody joins it, it is there as long as its offsets are.
                    let group = ClassicGroup::new(group_id.clone(), 0);
                    self.groups.insert(group_id.clone(), Group::Classic(group));
                }
                self.offsets.replay(
                    record_offset,
                    producer_id,
                    (group_id, topic, partition),
                    value,
                );
            }
            Record::GroupMetadata {
                group_id,
                value: None,
            } => {
                if let Some(Group::Classic(_)) = self.groups.get(&group_id) {
                    self.groups.remove(&group_id);
                }
            }
            Record::GroupMetadata {
                group_id,
                value: Some(value),
            } => {
                let group = ClassicGroup::from_record(group_id.clone(), &value);
                self.groups.insert(group_id, Group::Classic(group));
            }
            Record::Unserved {
                group_id,
                group_type,
                exists: true,
            } => {
                self.groups.insert(group_id, Group::Unserved(group_type));
            }
            Record::Unserved {
                group_id,
                exists: false,
                ..
            } => {
                if let Some(Group::Unserved(_)) = self.groups.get(&group_id) {
                    self.groups.remove(&group_id);
                }
            }
        }
    }

    /// Applies the end of a transaction.
    pub fn replay_end_marker(&mut self, record_offset: i64, producer_id: i64, is_commit: bool) {
        self.offsets
            .replay_end_marker(record_offset, producer_id, is_commit);
    }

    /// All records below `high_watermark` are committed.
    pub fn advance_committed(&mut self, high_watermark: i64) {
        self.offsets.advance_committed(high_watermark);
    }

    /// Appending the records of an earlier [`Effects`] ended.
    pub fn on_stored(
        &mut self,
        cx: &Cx<'_>,
        continuation: Continuation,
        stored: Stored,
        fx: &mut Effects,
    ) {
        match continuation {
            Continuation::GroupCreated { group_id } => {
                if let (Stored::Failed(error), Some(group)) = (stored, self.classic_mut(&group_id))
                {
                    group.unload(cx.now_ms, error, fx);
                    self.groups.remove(&group_id);
                }
            }
            Continuation::GroupEmptied { group_id } => {
                if let Some(error) = stored.error() {
                    // The log still has the last generation, whose members will time out.
                    tracing::warn!(group = %group_id, error = error.name(), "empty group not stored");
                }
            }
            Continuation::AssignmentsStored {
                group_id,
                generation_id,
                assignments,
            } => {
                if let Some(group) = self.classic_mut(&group_id) {
                    group.on_assignments_stored(cx, generation_id, &assignments, stored, fx);
                }
            }
            Continuation::StaticMemberReplaced {
                group_id,
                replacement,
            } => {
                if let Some(group) = self.classic_mut(&group_id) {
                    group.on_static_member_replaced(replacement, stored, fx);
                }
            }
        }
    }

    /// The whole log was replayed: from now on members have to show up.
    pub fn on_loaded(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        let max = usize::try_from(cx.config.group_max_size).unwrap_or(0);
        for group in self.groups.values_mut() {
            let Group::Classic(group) = group else {
                continue;
            };
            let ids: Vec<Arc<str>> = group.members().map(|member| member.id.clone()).collect();
            for id in &ids {
                group.renew_session(id, fx);
            }
            if group.size() > max && group.is_in(State::Stable) {
                // The limit was lowered: the members may commit, join again, and the last are out.
                group.prepare_rebalance(cx, fx);
            }
        }
        let delay_ms = cx.config.offsets_retention_check_interval_ms;
        fx.schedule(TimerKey::Expiration, delay_ms, TimerEvent::Expiration);
    }

    /// The partition moves to another broker: all who wait are sent there.
    pub fn on_unloaded(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        for group in self.groups.values_mut() {
            if let Group::Classic(group) = group {
                group.unload(cx.now_ms, ErrorCode::NOT_COORDINATOR, fx);
            }
        }
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }
}

/// What clients are told when records could not be stored. The codes of the log make no sense to them.
///
/// Kafka: `CoordinatorOperationExceptionHelper.handleOperationException`.
pub fn append_error(error: &ApiError) -> ErrorCode {
    match error.code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => {
            ErrorCode::NOT_COORDINATOR
        }
        ErrorCode::MESSAGE_TOO_LARGE
        | ErrorCode::RECORD_LIST_TOO_LARGE
        | ErrorCode::INVALID_FETCH_SIZE => ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::NETWORK_EXCEPTION => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        code => code,
    }
}

/// Whether a text has more than `max` UTF-16 units, which is how Java counts.
fn is_longer_than(text: &str, max: usize) -> bool {
    text.len() > max && text.encode_utf16().count() > max
}

fn offset_tombstone(group_id: &Arc<str>, topic: &Arc<str>, partition: i32) -> Record {
    Record::OffsetCommit {
        group_id: group_id.clone(),
        topic: topic.clone(),
        partition,
        value: None,
    }
}

fn group_tombstone(group_id: &Arc<str>) -> Record {
    Record::GroupMetadata {
        group_id: group_id.clone(),
        value: None,
    }
}
