//! Writes records.
//!
//! One record is written as an idempotent producer writes it: it gets a producer id of its own, so
//! that repeating it after a lost answer, or after a leader that stepped down while it waited for
//! its replicas, does not write it twice. A cluster that hands out no producer ids gets it once,
//! and what became of it after a lost answer is said to be unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    InitProducerIdRequest, ProduceRequest, ProduceResponse, ProducerId, TopicName,
};
use kafka_shared::client::{ClientError, Route, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::StrBytes;
use kafka_shared::record::builder::BatchBuilder;

use crate::model::{Fault, FaultKind, Topic, TopicPartition};
use crate::ops::ProduceMessage;

use super::wire::{ClusterClient, check_code, client_fault};

/// Newer versions name topics by id only.
const PRODUCE_BY_NAME: i16 = 12;

/// All replicas in sync have it before it is acknowledged.
const ACKS_ALL: i16 = -1;

/// How long the broker may wait for its replicas.
const ACK_TIMEOUT_MS: i32 = 10_000;

/// How long a record is tried for, all attempts together.
const DELIVERY_MS: u64 = 15_000;

/// The pause between two attempts.
const RETRY_PAUSE_MS: u64 = 200;

/// A producer id and its epoch.
pub(super) type Producer = (i64, i16);

/// Why an attempt failed, and whether the same may be sent again.
pub(super) enum Failure {
    Final(Fault),
    Passing(Fault),
    /// The batch was there already: an earlier attempt's answer was lost.
    Written(Fault),
}

impl ClusterClient {
    /// Writes a record and waits until all replicas in sync have it. Answers with its partition
    /// and offset.
    ///
    /// # Errors
    /// What the broker says against it. Where the record may have been written all the same, the
    /// fault says so.
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
        if !topic.partitions.iter().any(|known| known.id == partition) {
            return Err(Fault::not_found(
                &what,
                format!("the topic has no partition {partition}"),
            ));
        }
        let at = TopicPartition::new(&*message.topic, partition);
        let offset = self.produce_once(&what, message, at).await?;
        Ok((partition, offset))
    }

    /// Sends the record until it is acknowledged, refused, or the time is over.
    async fn produce_once(
        &self,
        what: &str,
        message: &ProduceMessage,
        at: TopicPartition,
    ) -> Result<i64, Fault> {
        let mut last = None;
        let write = async {
            let producer = loop {
                match self.producer_id(what).await {
                    Ok(producer) => break producer,
                    Err(Failure::Final(fault) | Failure::Written(fault)) => return Err(fault),
                    Err(Failure::Passing(fault)) => last = Some(fault),
                }
                tokio::time::sleep(Duration::from_millis(RETRY_PAUSE_MS)).await;
            };
            // The leader that was known from long ago is not asked.
            self.client.forget(&Route::Leader(at.clone()));
            let batch = batch_of(what, message, self.now().wall_ms, producer)?;
            loop {
                match self.attempt(what, &at, &batch).await {
                    Ok(offset) => return Ok(offset),
                    Err(Failure::Passing(fault)) if producer.is_some() => last = Some(fault),
                    Err(Failure::Passing(fault) | Failure::Final(fault)) => return Err(fault),
                    Err(Failure::Written(fault)) => {
                        let why = format!(
                            "the record is there, and its offset not told: {}",
                            fault.why
                        );
                        return Err(Fault { why, ..fault });
                    }
                }
                self.client.forget(&Route::Leader(at.clone()));
                tokio::time::sleep(Duration::from_millis(RETRY_PAUSE_MS)).await;
            }
        };
        match tokio::time::timeout(Duration::from_millis(DELIVERY_MS), write).await {
            Ok(result) => result,
            Err(_) => Err(last.unwrap_or_else(|| {
                let why = format!(
                    "no acknowledgement within {DELIVERY_MS} ms; it may have been written all the same"
                );
                Fault::new(FaultKind::Unreachable, what, why)
            })),
        }
    }

    /// A producer id that nobody else has; `None` where the cluster gives none to us. Repeating
    /// the request wastes an id and does no other harm.
    pub(super) async fn producer_id(&self, what: &str) -> Result<Option<Producer>, Failure> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(ACK_TIMEOUT_MS)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let answer = self
            .client
            .send_to(&Route::Any, request, |_| ErrorCode::NONE)
            .await;
        let response = match answer {
            Ok(response) => response,
            Err(ClientError::Unsupported { .. }) => return Ok(None),
            Err(error) => return Err(failure(what, &error)),
        };
        match ErrorCode(response.error_code) {
            // Before Kafka 3.0 this needed a right of its own.
            ErrorCode::CLUSTER_AUTHORIZATION_FAILED | ErrorCode::UNSUPPORTED_VERSION => Ok(None),
            code => checked(what, code, None)
                .map(|()| Some((response.producer_id.0, response.producer_epoch))),
        }
    }

    pub(super) async fn attempt(
        &self,
        what: &str,
        at: &TopicPartition,
        batch: &Bytes,
    ) -> Result<i64, Failure> {
        let options = SendOptions {
            version_max: Some(PRODUCE_BY_NAME),
            ..SendOptions::default()
        };
        // Repeating is this file's business: not every batch may be sent twice.
        let answer = self
            .client
            .send_to_with(
                &Route::Leader(at.clone()),
                produce_request(at, batch.clone()),
                options,
                |_| ErrorCode::NONE,
            )
            .await;
        let response = answer.map_err(|error| failure(what, &error))?;
        let result = only_partition(what, response).map_err(Failure::Final)?;
        checked(what, ErrorCode(result.error_code), detail_of(&result))?;
        Ok(result.base_offset)
    }

    /// Writes records by key, a batch for each partition: the demo's load, not repeated after a
    /// lost answer.
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
            .map(|(id, batch)| self.send_batch(what, TopicPartition::new(topic, id), batch));
        try_join_all(sends).await.map(|_| ())
    }

    /// Sends one batch to its partition's leader, once but for a wrong leader.
    async fn send_batch(
        &self,
        what: &str,
        at: TopicPartition,
        batch: BatchBuilder,
    ) -> Result<(), Fault> {
        let request = produce_request(&at, batch.build());
        let options = SendOptions {
            version_max: Some(PRODUCE_BY_NAME),
            ..SendOptions::default()
        };
        let error_of = |response: &ProduceResponse| {
            let topic = response.responses.first();
            let partition = topic.and_then(|topic| topic.partition_responses.first());
            ErrorCode(partition.map_or(0, |partition| partition.error_code))
        };
        let response = self
            .client
            .send_to_with(&Route::Leader(at), request, options, error_of)
            .await;
        let response = response.map_err(|error| client_fault(what, &error))?;
        let result = only_partition(what, response)?;
        check_code(what, result.error_code, detail_of(&result))
    }
}

fn batch_of(
    what: &str,
    message: &ProduceMessage,
    now_ms: i64,
    producer: Option<Producer>,
) -> Result<Bytes, Fault> {
    let headers: Vec<(&str, Option<&[u8]>)> = message
        .headers
        .iter()
        .map(|(key, value)| (&**key, value.as_deref()))
        .collect();
    let mut batch = BatchBuilder::new();
    if let Some((id, epoch)) = producer {
        batch = batch.with_producer(id, epoch, 0);
    }
    let (key, value) = (message.key.as_deref(), message.value.as_deref());
    batch
        .append(now_ms, key, value, &headers)
        .map_err(|error| Fault::refused(what, error.to_string()))?;
    Ok(batch.build())
}

fn produce_request(at: &TopicPartition, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(at.partition)
        .with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(TopicName::from(StrBytes::from_string(at.topic.to_string())))
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_acks(ACKS_ALL)
        .with_timeout_ms(ACK_TIMEOUT_MS)
        .with_topic_data(vec![topic])
}

/// What the answer says of the one partition that was written to.
fn only_partition(
    what: &str,
    response: ProduceResponse,
) -> Result<PartitionProduceResponse, Fault> {
    let topic = response.responses.into_iter().next();
    let partition = topic.and_then(|topic| topic.partition_responses.into_iter().next());
    partition.ok_or_else(|| {
        let why = "the broker's answer does not mention it; it may have been written all the same";
        Fault::new(FaultKind::Failed, what, why)
    })
}

fn detail_of(result: &PartitionProduceResponse) -> Option<&str> {
    let record = result.record_errors.first();
    let detail = record.and_then(|error| error.batch_index_error_message.as_deref());
    detail.or(result.error_message.as_deref())
}

fn failure(what: &str, error: &ClientError) -> Failure {
    let fault = client_fault(what, error);
    // A socket that breaks in the middle of an answer is as good as a lost answer.
    if error.is_retriable() || error.may_have_been_done() {
        Failure::Passing(fault)
    } else {
        Failure::Final(fault)
    }
}

fn checked(what: &str, code: ErrorCode, detail: Option<&str>) -> Result<(), Failure> {
    /// The leader may have the record all the same, and so may its successor.
    const MAYBE_WRITTEN: [ErrorCode; 3] = [
        ErrorCode::REQUEST_TIMED_OUT,
        ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ];
    let Err(mut fault) = check_code(what, code.0, detail) else {
        return Ok(());
    };
    if MAYBE_WRITTEN.contains(&code) {
        fault
            .why
            .push_str("; it may have been written all the same");
    }
    if code == ErrorCode::DUPLICATE_SEQUENCE_NUMBER {
        return Err(Failure::Written(fault));
    }
    Err(if code.is_retriable() {
        Failure::Passing(fault)
    } else {
        Failure::Final(fault)
    })
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
pub(super) fn partition_of_key(key: &[u8], n: u32) -> i32 {
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
