//! Writes one record.
//!
//! rskafka does it where its record can hold it; its headers have no nulls, no repeats and no
//! order, so a record that needs these goes over the own client. rskafka tries for ever, so it
//! runs under a deadline; what it had not finished then may have been written or not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, TopicName};
use kafka_shared::client::{Route, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::{Request, StrBytes};
use kafka_shared::record::builder::BatchBuilder;
use rskafka::chrono::{DateTime, Utc};
use rskafka::client::ClientBuilder;
use rskafka::client::partition::{Compression, UnknownTopicHandling};

use crate::model::{Fault, FaultKind, Topic, TopicPartition};
use crate::ops::ProduceMessage;

use super::wire::{ClusterClient, check_code, client_fault};

/// Newer versions name topics by id only.
const PRODUCE_BY_NAME: i16 = 12;

/// All replicas in sync have it before it is acknowledged.
const ACKS_ALL: i16 = -1;

/// How long the broker may wait for its replicas.
const ACK_TIMEOUT_MS: i32 = 10_000;

impl ClusterClient {
    /// Writes a record and waits until all replicas in sync have it. Answers with its partition
    /// and offset.
    ///
    /// # Errors
    /// What the broker says against it. After a time-out the record may have been written.
    pub async fn produce(&self, message: &ProduceMessage) -> Result<(i32, i64), Fault> {
        let what = format!("write a record to topic \"{}\"", message.topic);
        self.may_send::<ProduceRequest>(&what)?;
        let metadata = self.metadata().await?;
        let topic = metadata.topic(&message.topic).ok_or_else(|| {
            Fault::not_found(&what, format!("topic \"{}\" does not exist", message.topic))
        })?;
        let seed = self.now().wall_ms;
        let partition = choose_partition(message, topic, seed).ok_or_else(|| {
            Fault::new(
                FaultKind::Failed,
                &what,
                "no partition of the topic has a leader",
            )
        })?;
        let offset = match plain_headers(&message.headers) {
            Some(headers) => {
                self.produce_by_rskafka(&what, message, partition, headers)
                    .await?
            }
            None => {
                let headers: Vec<(&str, Option<&[u8]>)> = message
                    .headers
                    .iter()
                    .map(|(key, value)| (&**key, value.as_deref()))
                    .collect();
                let mut batch = BatchBuilder::new();
                let (key, value) = (message.key.as_deref(), message.value.as_deref());
                batch
                    .append(self.now().wall_ms, key, value, &headers)
                    .map_err(|error| Fault::refused(&what, error.to_string()))?;
                self.send_batch(&what, &message.topic, partition, batch)
                    .await?
            }
        };
        Ok((partition, offset))
    }

    async fn produce_by_rskafka(
        &self,
        what: &str,
        message: &ProduceMessage,
        partition: i32,
        headers: BTreeMap<String, Vec<u8>>,
    ) -> Result<i64, Fault> {
        let failed = |why: String| Fault::new(FaultKind::Failed, what, why);
        let timestamp = DateTime::<Utc>::from_timestamp_millis(self.now().wall_ms)
            .ok_or_else(|| failed("the clock is beyond every calendar".to_owned()))?;
        let record = rskafka::record::Record {
            key: message.key.clone(),
            value: message.value.clone(),
            headers,
            timestamp,
        };
        let bootstrap = self
            .options()
            .bootstrap
            .iter()
            .map(ToString::to_string)
            .collect();
        let client_id: Arc<str> = Arc::from(self.options().client_id.as_str());
        let write = async {
            let client = ClientBuilder::new(bootstrap)
                .client_id(client_id)
                .build()
                .await?;
            // The topic is there, but a broker may not have heard of it yet.
            let unknown = UnknownTopicHandling::Retry;
            let partition = client
                .partition_client(&message.topic, partition, unknown)
                .await?;
            partition
                .produce(vec![record], Compression::NoCompression)
                .await
        };
        let timeout_ms = self.options().request_timeout_ms;
        match tokio::time::timeout(Duration::from_millis(timeout_ms), write).await {
            Ok(Ok(offsets)) => offsets
                .first()
                .copied()
                .ok_or_else(|| failed("the broker named no offset".to_owned())),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => {
                let why = format!(
                    "no acknowledgement within {timeout_ms} ms; it may have been written all the same"
                );
                Err(Fault::new(FaultKind::Unreachable, what, why))
            }
        }
    }

    /// Writes records by key, a batch for each partition.
    pub(crate) async fn produce_many(
        &self,
        topic: &str,
        records: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<(), Fault> {
        let what = format!("write records to topic \"{topic}\"");
        self.may_send::<ProduceRequest>(&what)?;
        let metadata = self.metadata().await?;
        let found = metadata
            .topic(topic)
            .ok_or_else(|| Fault::not_found(&what, format!("topic \"{topic}\" does not exist")))?;
        let mut batches: BTreeMap<i32, BatchBuilder> = BTreeMap::new();
        let n = u32::try_from(found.partitions.len()).unwrap_or(1).max(1);
        for (key, value) in records {
            let partition = partition_of_key(key, n);
            let batch = batches.entry(partition).or_default();
            batch
                .append(self.now().wall_ms, Some(key), Some(value), &[])
                .map_err(|error| Fault::refused(&what, error.to_string()))?;
        }
        let what = &what;
        let sends = batches
            .into_iter()
            .map(|(partition, batch)| self.send_batch(what, topic, partition, batch));
        try_join_all(sends).await.map(|_| ())
    }

    /// Sends one batch to its partition's leader and answers with its first offset.
    async fn send_batch(
        &self,
        what: &str,
        topic: &str,
        partition: i32,
        batch: BatchBuilder,
    ) -> Result<i64, Fault> {
        let data = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(batch.build()));
        let data_of_topic = TopicProduceData::default()
            .with_name(TopicName::from(StrBytes::from_string(topic.to_owned())))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(ACKS_ALL)
            .with_timeout_ms(ACK_TIMEOUT_MS)
            .with_topic_data(vec![data_of_topic]);
        type Response = <ProduceRequest as Request>::Response;
        let partition_of = |response: &Response| {
            let topic = response.responses.first()?;
            topic.partition_responses.first().cloned()
        };
        let error_of =
            |r: &Response| ErrorCode(partition_of(r).map_or(0, |partition| partition.error_code));
        let route = Route::Leader(TopicPartition::new(topic, partition));
        let options = SendOptions {
            version_max: Some(PRODUCE_BY_NAME),
            ..SendOptions::default()
        };
        let response = self
            .client
            .send_to_with(&route, request, options, error_of)
            .await;
        let response = response.map_err(|error| client_fault(what, &error))?;
        let result = partition_of(&response).ok_or_else(|| {
            Fault::new(
                FaultKind::Failed,
                what,
                "the broker's answer does not mention it",
            )
        })?;
        let detail = result.record_errors.first();
        let detail = detail.and_then(|error| error.batch_index_error_message.as_deref());
        check_code(
            what,
            result.error_code,
            detail.or(result.error_message.as_deref()),
        )?;
        Ok(result.base_offset)
    }
}

/// Headers as rskafka can hold them: no nulls, no key twice, in the order of their keys.
fn plain_headers(headers: &[(String, Option<Vec<u8>>)]) -> Option<BTreeMap<String, Vec<u8>>> {
    if !headers.is_sorted_by(|a, b| a.0 < b.0) {
        return None;
    }
    headers
        .iter()
        .map(|(key, value)| Some((key.clone(), value.clone()?)))
        .collect()
}

/// The partition asked for; else that of the key as Kafka's own producers choose it; else one that
/// has a leader, by `seed`.
pub(super) fn choose_partition(message: &ProduceMessage, topic: &Topic, seed: i64) -> Option<i32> {
    if message.partition.is_some() {
        return message.partition;
    }
    let n = u32::try_from(topic.partitions.len())
        .ok()
        .filter(|n| *n > 0)?;
    if let Some(key) = &message.key {
        return Some(partition_of_key(key, n));
    }
    let led: Vec<i32> = topic
        .partitions
        .iter()
        .filter(|p| p.has_leader())
        .map(|p| p.id)
        .collect();
    let at = usize::try_from(seed.unsigned_abs())
        .unwrap_or(0)
        .checked_rem(led.len())?;
    led.get(at).copied()
}

/// The partition of a key among `n` partitions, of which there is at least one.
fn partition_of_key(key: &[u8], n: u32) -> i32 {
    i32::try_from((murmur2(key) & 0x7fff_ffff) % n).unwrap_or(0)
}

/// The hash that Kafka's producers choose a key's partition by (MurmurHash2, 32 bits).
///
/// Kafka: common/utils/Utils.java (4.3).
pub(super) fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    // Keys are far shorter than 4 GiB: a record could not hold a longer one.
    let mut hash = SEED ^ (data.len() as u32);
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}
