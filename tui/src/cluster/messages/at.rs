//! Single records by their offsets: what a group would read next, and when it was written.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, TopicName};
use kafka_shared::protocol::StrBytes;
use kafka_shared::types::TopicPartition;

use crate::model::{ClusterMetadata, Message, PartError};

use super::super::wire::ClusterClient;
use super::fetch::{FETCH_BY_NAME, read};

/// A broker sends a whole batch, and no more than one when it is asked for so little.
const ONE_BATCH: i32 = 1;

/// Requests under way at one time.
const AT_ONCE: usize = 8;

/// Batches of markers and gaps of compaction that are passed over.
const STEPS_MAX: usize = 4;

/// A record by partition; `None` when there is none from that offset on.
pub type RecordsAt = BTreeMap<TopicPartition, Result<Option<Message>, String>>;

impl ClusterClient {
    /// The first record from each offset on, one batch read of each partition. What can't be read
    /// has its reason in its place.
    pub async fn records_at(
        &self,
        metadata: &ClusterMetadata,
        at: Vec<(TopicPartition, i64)>,
    ) -> RecordsAt {
        let ask = async |(key, offset): (TopicPartition, i64)| {
            let topic = metadata.topic(&key.topic);
            let leader = topic
                .and_then(|topic| topic.partition(key.partition))
                .map(|partition| partition.leader);
            let record = match leader {
                None => Err("it does not exist".to_owned()),
                Some(leader) if leader < 0 => Err("it has no leader".to_owned()),
                Some(leader) => self.record_at(leader, &key, offset).await,
            };
            (key, record)
        };
        let answers = stream::iter(at.into_iter().map(ask)).buffer_unordered(AT_ONCE);
        answers.collect().await
    }

    async fn record_at(
        &self,
        leader: i32,
        key: &TopicPartition,
        mut offset: i64,
    ) -> Result<Option<Message>, String> {
        for _ in 0..STEPS_MAX {
            let partition = FetchPartition::default()
                .with_partition(key.partition)
                .with_current_leader_epoch(-1)
                .with_last_fetched_epoch(-1)
                .with_fetch_offset(offset)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(ONE_BATCH);
            let topic = FetchTopic::default()
                .with_topic(TopicName::from(StrBytes::from_string(
                    key.topic.to_string(),
                )))
                .with_partitions(vec![partition]);
            let request = FetchRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_max_wait_ms(0)
                .with_min_bytes(0)
                .with_max_bytes(ONE_BATCH)
                .with_session_epoch(-1)
                .with_topics(vec![topic]);
            let answer = self
                .ask_part("fetch a record", leader, request, Some(FETCH_BY_NAME))
                .await
                .map_err(|fault| fault.why)?;
            if answer.error_code != 0 {
                return Err(PartError(answer.error_code).name());
            }
            let data = answer.responses.first().and_then(|t| t.partitions.first());
            let data = data.ok_or("the broker's answer does not mention it")?;
            if data.error_code != 0 {
                return Err(PartError(data.error_code).name());
            }
            let fetched = read(&key.topic, offset, data, false)?;
            let mut messages = fetched.messages.into_iter();
            if let Some(first) = messages.find(|message| message.facts.control.is_none()) {
                return Ok(Some(first));
            }
            if fetched.next_offset <= offset {
                return Ok(None);
            }
            offset = fetched.next_offset;
        }
        Ok(None)
    }
}
