//! Writes many records: from a file, from a stream, from another topic.
//!
//! As an idempotent producer does: one producer id, sequence numbers per partition, one batch at a
//! time to a partition, which is sent again until it is acknowledged by all replicas in sync,
//! refused, or its time is over. So a record is there once, and those of a partition in their order.
//! Where a cluster hands out no producer ids, a batch whose answer was lost ends the writing with
//! the word that it may be there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use kafka_protocol::messages::ProduceRequest;
use kafka_shared::client::Route;
use kafka_shared::record::batch::increment_sequence;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::compression::Compression;

use crate::model::{Fault, FaultKind, Message, Topic, TopicPartition};

use super::produce::{Failure, Producer, partition_of_key};
use super::wire::ClusterClient;

/// Kafka's own limit of a batch, with room for what a broker adds.
const BATCH_BYTES: usize = 900 * 1024;

/// Partitions that are written to at a time.
const AT_ONCE: usize = 8;

/// How long a batch is tried for, all attempts together.
const DELIVERY_MS: u64 = 60_000;

/// The pause between two attempts.
const RETRY_PAUSE_MS: u64 = 200;

/// A record to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// `None`: by key as Kafka's producers choose it, or one of those that have a leader.
    pub partition: Option<i32>,
    /// `None`: the time of writing.
    pub timestamp_ms: Option<i64>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl NewRecord {
    /// The record as it was read, for the same partition or for one by its key.
    pub fn of(message: Message, keeps_partition: bool) -> Self {
        Self {
            partition: keeps_partition.then_some(message.partition),
            timestamp_ms: Some(message.timestamp_ms).filter(|ms| *ms >= 0),
            key: message.key,
            value: message.value,
            headers: message
                .headers
                .into_iter()
                .map(|header| (header.key.to_string(), header.value))
                .collect(),
        }
    }
}

/// Writes to one topic.
#[derive(Debug)]
pub struct RecordWriter<'a> {
    client: &'a ClusterClient,
    topic: Arc<Topic>,
    what: String,
    producer: Option<Producer>,
    /// The next sequence number of each partition.
    sequences: BTreeMap<i32, i32>,
    /// Where records without a key go next.
    turn: usize,
    written: u64,
    last: Option<(i32, i64)>,
}

/// Records of one partition, as batches with the number of records in each.
type Batches = Vec<(Bytes, i32)>;

impl ClusterClient {
    /// Begins to write to a topic.
    ///
    /// # Errors
    /// The session is read-only, the topic does not exist, or no producer id can be had.
    pub async fn record_writer(&self, topic: &str) -> Result<RecordWriter<'_>, Fault> {
        let what = format!("write records to topic \"{topic}\"");
        self.may_send::<ProduceRequest>(&what)?;
        let metadata = self.metadata().await?;
        let topic = metadata
            .topic(topic)
            .cloned()
            .ok_or_else(|| Fault::not_found(&what, format!("topic \"{topic}\" does not exist")))?;
        let deadline = tokio::time::Instant::now() + Duration::from_millis(DELIVERY_MS);
        let producer = loop {
            match self.producer_id(&what).await {
                Ok(producer) => break producer,
                Err(Failure::Passing(_)) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(RETRY_PAUSE_MS)).await;
                }
                Err(Failure::Passing(fault) | Failure::Final(fault) | Failure::Written(fault)) => {
                    return Err(fault);
                }
            }
        };
        Ok(RecordWriter {
            client: self,
            topic,
            what,
            producer,
            sequences: BTreeMap::new(),
            turn: 0,
            written: 0,
            last: None,
        })
    }
}

impl RecordWriter<'_> {
    /// Records that were acknowledged so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Partition and offset of the first record of the batch that was acknowledged last.
    pub fn last(&self) -> Option<(i32, i64)> {
        self.last
    }

    /// How many partitions the topic has.
    pub fn n_partitions(&self) -> usize {
        self.topic.partitions.len()
    }

    /// Writes records and waits until all of them are acknowledged.
    ///
    /// # Errors
    /// What a broker says against one of them; others of them may be written, see
    /// [`RecordWriter::written`].
    pub async fn write(&mut self, records: Vec<NewRecord>) -> Result<(), Fault> {
        let mut lanes: BTreeMap<i32, Vec<NewRecord>> = BTreeMap::new();
        self.turn = self.turn.wrapping_add(1);
        for record in records {
            let partition = self.partition_of(&record)?;
            lanes.entry(partition).or_default().push(record);
        }
        let mut sends = Vec::new();
        for (partition, records) in lanes {
            let batches = self.batches(partition, &records)?;
            sends.push(self.send_all(partition, batches));
        }
        let results: Vec<Sent> = stream::iter(sends)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut failed = Ok(());
        for sent in results {
            self.written += sent.written;
            self.last = sent.last.or(self.last);
            failed = failed.and(sent.result);
        }
        failed
    }

    fn partition_of(&self, record: &NewRecord) -> Result<i32, Fault> {
        if let Some(id) = record.partition {
            return match self.topic.partition(id) {
                Some(_) => Ok(id),
                None => Err(Fault::not_found(
                    &self.what,
                    format!("the topic has no partition {id}"),
                )
                .with_hint("let the key decide with --partition-by key")),
            };
        }
        let n = u32::try_from(self.topic.partitions.len()).unwrap_or(u32::MAX);
        if let Some(key) = record.key.as_ref().filter(|_| n > 0) {
            return Ok(partition_of_key(key, n));
        }
        let led = self.topic.partitions.iter().filter(|p| p.has_leader());
        let led: Vec<i32> = led.map(|p| p.id).collect();
        let at = self.turn.checked_rem(led.len());
        at.map(|at| led[at]).ok_or_else(|| {
            let why = "no partition of the topic has a leader";
            Fault::new(FaultKind::Failed, &self.what, why)
        })
    }

    /// Puts records into batches with the sequence numbers that they keep.
    fn batches(&mut self, partition: i32, records: &[NewRecord]) -> Result<Batches, Fault> {
        let mut batches = Vec::new();
        let mut open: Option<BatchBuilder> = None;
        let mut close = |open: &mut Option<BatchBuilder>, sequences: &mut BTreeMap<i32, i32>| {
            if let Some(batch) = open.take() {
                let n = i32::try_from(batch.record_count()).unwrap_or(i32::MAX);
                let next = sequences.entry(partition).or_default();
                *next = increment_sequence(*next, n);
                batches.push((batch.build(), n));
            }
        };
        for record in records {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            let headers = record.headers.iter();
            let n_headers: usize = headers
                .map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len) + 12)
                .sum();
            if let Some(batch) = &open
                && batch.size_after(key, value) + n_headers > BATCH_BYTES
            {
                close(&mut open, &mut self.sequences);
            }
            let batch = open.get_or_insert_with(|| {
                let batch = BatchBuilder::new().with_compression(Compression::Lz4);
                let sequence = self.sequences.get(&partition).copied().unwrap_or(0);
                match self.producer {
                    Some((id, epoch)) => batch.with_producer(id, epoch, sequence),
                    None => batch,
                }
            });
            let timestamp_ms = record.timestamp_ms.unwrap_or(self.client.now().wall_ms);
            let headers: Vec<(&str, Option<&[u8]>)> = record
                .headers
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_deref()))
                .collect();
            batch
                .append(timestamp_ms, key, value, &headers)
                .map_err(|error| Fault::refused(&self.what, error.to_string()))?;
        }
        close(&mut open, &mut self.sequences);
        Ok(batches)
    }

    /// Sends the batches of a partition one after the other; says how many records are there.
    fn send_all(&self, partition: i32, batches: Batches) -> impl Future<Output = Sent> + use<> {
        let sender = Sender {
            client: self.client.clone(),
            what: self.what.clone(),
            at: TopicPartition::new(&*self.topic.name, partition),
            is_idempotent: self.producer.is_some(),
        };
        async move {
            let mut sent = Sent {
                written: 0,
                last: None,
                result: Ok(()),
            };
            for (batch, n) in batches {
                match sender.send(&batch).await {
                    Ok(offset) => {
                        sent.written += u64::try_from(n).unwrap_or(0);
                        sent.last = offset.map(|offset| (partition, offset)).or(sent.last);
                    }
                    Err(fault) => {
                        sent.result = Err(fault);
                        break;
                    }
                }
            }
            sent
        }
    }
}

/// What became of the batches of one partition.
struct Sent {
    written: u64,
    last: Option<(i32, i64)>,
    result: Result<(), Fault>,
}

struct Sender {
    client: ClusterClient,
    what: String,
    at: TopicPartition,
    is_idempotent: bool,
}

impl Sender {
    /// The offset of the first record, where it is told.
    async fn send(&self, batch: &Bytes) -> Result<Option<i64>, Fault> {
        let deadline = tokio::time::Instant::now() + Duration::from_millis(DELIVERY_MS);
        loop {
            match self.client.attempt(&self.what, &self.at, batch).await {
                Ok(offset) => return Ok(Some(offset)),
                Err(Failure::Passing(fault))
                    if !self.is_idempotent || tokio::time::Instant::now() >= deadline =>
                {
                    return Err(fault);
                }
                Err(Failure::Passing(_)) => {}
                // It was there before its answer was lost.
                Err(Failure::Written(_)) => return Ok(None),
                Err(Failure::Final(fault)) => {
                    let why = format!("partition {}: {}", self.at.partition, fault.why);
                    return Err(Fault { why, ..fault });
                }
            }
            self.client.client.forget(&Route::Leader(self.at.clone()));
            tokio::time::sleep(Duration::from_millis(RETRY_PAUSE_MS)).await;
        }
    }
}
