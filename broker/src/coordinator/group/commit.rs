//! OffsetCommit, OffsetFetch, OffsetDelete: who may commit, and what is stored and told.
//!
//! Kafka: group-coordinator `OffsetMetadataManager.commitOffset`, `fetchOffsets`, `deleteOffsets` (4.3).

use std::sync::Arc;

use kafka_shared::error::ErrorCode;

use super::classic::State;
use super::expiry::offset_tombstone;
use super::messages::{
    CommitRequest, DeleteOffsetsRequest, FetchRequest, FetchedPartition, PartitionError, TopicItems,
};
use super::offsets::OffsetAndMetadata;
use super::{Cx, Effects, Group, GroupShard, Record};

impl GroupShard {
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
}

/// Whether a text has more than `max` UTF-16 units, which is how Java counts.
fn is_longer_than(text: &str, max: usize) -> bool {
    text.len() > max && text.encode_utf16().count() > max
}
