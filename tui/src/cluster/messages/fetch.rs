//! Fetches records of a topic's partitions from their leaders, and reads their batches.
//!
//! Records are asked for as a consumer of committed data asks, because only then a broker names the
//! aborted transactions; what lies beyond the last stable offset is asked for a second time without
//! isolation, and belongs to transactions that are still open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, TopicName};
use kafka_shared::client::{Connection, SendOptions};
use kafka_shared::protocol::StrBytes;
use kafka_shared::record::TimestampType;
use kafka_shared::record::batch::{Batch, BatchError, batches};
use kafka_shared::record::compression::Compression;
use kafka_shared::record::control::ControlRecord;
use kafka_shared::record::iter::{Record, records};

use crate::model::{Control, Fate, Fault, Header, Message, PartError, RecordFacts, Topic};

use super::super::wire::{ClusterClient, client_fault};

/// Newer versions name topics by id only.
pub(super) const FETCH_BY_NAME: i16 = 12;

/// Asked for of one partition at a time: about what a screen shows, and a batch or two.
const PARTITION_BYTES: i32 = 1024 * 1024;

/// All partitions together, before the first message can be merged.
const MERGED_BYTES: usize = 64 * 1024 * 1024;

/// The least that is asked for of a partition.
const PARTITION_BYTES_MIN: usize = 16 * 1024;

/// Asked for in one response.
const RESPONSE_BYTES: u64 = 8 * 1024 * 1024;

/// A batch that grows beyond this is not shown.
const DECOMPRESSED_MAX: usize = 128 * 1024 * 1024;

/// How long a broker waits for new records before it answers a tail.
const TAIL_WAIT_MS: i32 = 500;

/// How long a broker may take beyond that.
const FETCH_TIMEOUT_MS: u64 = 10_000;

/// What one fetch brought of one partition.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub messages: Vec<Message>,
    /// Where to go on.
    pub next_offset: i64,
    /// Bytes received.
    pub bytes: u64,
    /// Nothing more is there but what open transactions wrote, and that was not asked for.
    pub is_at_open_transaction: bool,
    /// Offsets without a record after the last one.
    pub gap_after: i64,
}

/// What one request asks for.
#[derive(Clone, Copy)]
struct Ask {
    budget: u64,
    is_committed: bool,
    wait_ms: i32,
}

type Fetches = Vec<(i32, Result<Fetched, String>)>;

/// Reads one topic.
pub(super) struct Reader<'a> {
    client: &'a ClusterClient,
    topic: Arc<Topic>,
    wait_ms: i32,
    /// Beyond the last stable offset too.
    reads_open: bool,
    /// Offsets without a record that came last, for the next record's sake.
    gaps: BTreeMap<i32, i64>,
    /// A tail's long polls would hold up everything else on a shared connection.
    own: BTreeMap<i32, Connection>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(client: &'a ClusterClient, topic: &Arc<Topic>) -> Self {
        Self {
            client,
            topic: Arc::clone(topic),
            wait_ms: 0,
            reads_open: true,
            gaps: BTreeMap::new(),
            own: BTreeMap::new(),
        }
    }

    /// Leaves out what transactions wrote that are still open.
    pub(super) fn committed(mut self, is_committed: bool) -> Self {
        self.reads_open = !is_committed;
        self
    }

    /// Lets brokers wait for new records.
    pub(super) fn waiting(mut self) -> Self {
        self.wait_ms = TAIL_WAIT_MS;
        self
    }

    /// After a failure: the leaders may be others now.
    pub(super) async fn look_up_leaders_again(&mut self) {
        self.own.retain(|_, connection| connection.is_usable());
        if let Ok(metadata) = self.client.metadata().await
            && let Some(topic) = metadata.topic(&self.topic.name)
        {
            self.topic = Arc::clone(topic);
        }
    }

    /// Fetches from each offset, with a result for each partition.
    pub(super) async fn fetch(&mut self, from: &BTreeMap<i32, i64>, budget: u64) -> Fetches {
        let ask = Ask {
            budget,
            is_committed: true,
            wait_ms: self.wait_ms,
        };
        let mut results = self.round(from, ask).await;
        let is_open = |fetched: &Result<Fetched, String>| {
            fetched.as_ref().is_ok_and(|f| f.is_at_open_transaction)
        };
        if self.reads_open && results.iter().any(|(_, fetched)| is_open(fetched)) {
            let open: BTreeMap<i32, i64> = results
                .extract_if(.., |(_, fetched)| is_open(fetched))
                .filter_map(|(id, _)| Some((id, *from.get(&id)?)))
                .collect();
            let ask = Ask {
                is_committed: false,
                wait_ms: 0,
                ..ask
            };
            results.extend(self.round(&open, ask).await);
        }
        for (id, fetched) in &mut results {
            let Ok(fetched) = fetched else { continue };
            let gap = self.gaps.entry(*id).or_default();
            match fetched.messages.first_mut() {
                Some(first) => {
                    first.facts.gap_before += *gap;
                    *gap = fetched.gap_after;
                }
                None => *gap += fetched.gap_after,
            }
        }
        results
    }

    async fn round(&mut self, from: &BTreeMap<i32, i64>, ask: Ask) -> Fetches {
        let mut results = Vec::new();
        let mut asks: BTreeMap<i32, Vec<(i32, i64)>> = BTreeMap::new();
        for (id, offset) in from {
            match self.topic.partition(*id) {
                Some(partition) if partition.has_leader() => {
                    asks.entry(partition.leader)
                        .or_default()
                        .push((*id, *offset));
                }
                Some(_) => results.push((*id, Err("it has no leader".to_owned()))),
                None => results.push((*id, Err("it is gone".to_owned()))),
            }
        }
        if ask.wait_ms > 0 {
            for leader in asks.keys() {
                self.connect(*leader).await;
            }
        }
        let reader = &*self;
        let answers = asks
            .into_iter()
            .map(async |(leader, places)| (reader.fetch_from(leader, &places, ask).await, places));
        for (answer, places) in join_all(answers).await {
            match answer {
                Ok(response) => results.extend(self.take(&places, &response, ask.is_committed)),
                Err(fault) => {
                    results.extend(places.iter().map(|(id, _)| (*id, Err(fault.why.clone()))));
                }
            }
        }
        results
    }

    async fn connect(&mut self, leader: i32) {
        if !self.own.get(&leader).is_some_and(Connection::is_usable)
            && let Ok(connection) = self.client.client.dedicated(leader).await
        {
            self.own.insert(leader, connection);
        }
    }

    async fn fetch_from(
        &self,
        leader: i32,
        places: &[(i32, i64)],
        ask: Ask,
    ) -> Result<FetchResponse, Fault> {
        let what = "fetch records";
        let share = MERGED_BYTES / self.topic.partitions.len().max(1);
        let share = i32::try_from(share.max(PARTITION_BYTES_MIN)).unwrap_or(PARTITION_BYTES);
        let partition = |(id, offset): &(i32, i64)| {
            FetchPartition::default()
                .with_partition(*id)
                .with_current_leader_epoch(-1)
                .with_last_fetched_epoch(-1)
                .with_fetch_offset(*offset)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(share.min(PARTITION_BYTES))
        };
        let topic = FetchTopic::default()
            .with_topic(TopicName::from(StrBytes::from_string(
                self.topic.name.to_string(),
            )))
            .with_partitions(places.iter().map(partition).collect());
        let max_bytes = i32::try_from(ask.budget.clamp(1, RESPONSE_BYTES)).unwrap_or(i32::MAX);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(ask.wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(max_bytes)
            .with_isolation_level(i8::from(ask.is_committed))
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let wait_ms = u64::try_from(ask.wait_ms).unwrap_or(0);
        let options = SendOptions {
            version_max: Some(FETCH_BY_NAME),
            timeout_ms: Some(FETCH_TIMEOUT_MS + wait_ms),
        };
        let connection = match self.own.get(&leader) {
            Some(connection) => connection.clone(),
            None => self
                .client
                .client
                .node(leader)
                .await
                .map_err(|e| client_fault(what, &e))?,
        };
        connection
            .send_with(request, options)
            .await
            .map_err(|error| client_fault(what, &error))
    }

    fn take(&self, places: &[(i32, i64)], response: &FetchResponse, is_committed: bool) -> Fetches {
        let code = response.error_code;
        let found = |id: i32| {
            let topics = response.responses.iter();
            let mut partitions = topics.flat_map(|topic| topic.partitions.iter());
            partitions.find(|partition| partition.partition_index == id)
        };
        places
            .iter()
            .map(|(id, offset)| {
                let fetched = match found(*id) {
                    _ if code != 0 => Err(PartError(code).name()),
                    None => Err("the broker's answer does not mention it".to_owned()),
                    Some(data) if data.error_code != 0 => Err(PartError(data.error_code).name()),
                    Some(data) => read(&self.topic.name, *offset, data, is_committed),
                };
                (*id, fetched)
            })
            .collect()
    }
}

/// Reads what came of one partition, from `offset` on.
pub(super) fn read(
    topic: &Arc<str>,
    offset: i64,
    data: &PartitionData,
    is_committed: bool,
) -> Result<Fetched, String> {
    let bytes = data.records.as_deref().unwrap_or_default();
    let is_waiting = (data.last_stable_offset..data.high_watermark).contains(&offset);
    let mut fetched = Fetched {
        next_offset: offset,
        bytes: bytes.len() as u64,
        is_at_open_transaction: is_committed && bytes.is_empty() && is_waiting,
        ..Fetched::default()
    };
    let mut fates = Fates::new(data, is_committed);
    let mut expected = offset;
    for batch in batches(bytes) {
        let batch = match batch {
            Ok(batch) => batch,
            // The broker cuts its answer wherever the byte limit falls, and sends nothing at all
            // of a partition for which no room was left.
            Err(BatchError::Truncated { .. }) => break,
            Err(error) => return Err(format!("offset {}: {error}", fetched.next_offset)),
        };
        batch
            .check_crc()
            .map_err(|error| format!("offset {}: {error}", batch.base_offset()))?;
        fetched.next_offset = fetched.next_offset.max(batch.next_offset());
        let broken = |error: &dyn std::fmt::Display| {
            format!("batch at offset {}: {error}", batch.base_offset())
        };
        let facts = facts(&batch, fates.of(&batch));
        let records = records(&batch, DECOMPRESSED_MAX).map_err(|error| broken(&error))?;
        for record in &records {
            let record = record.map_err(|error| broken(&error))?;
            let control = batch.is_control().then(|| control_of(&record));
            if let Some(Control::Abort { .. }) = control {
                fates.end(batch.producer_id());
            }
            if record.offset < offset {
                continue;
            }
            let facts = RecordFacts {
                control,
                gap_before: record.offset.saturating_sub(expected).max(0),
                ..facts.clone()
            };
            expected = record.offset.saturating_add(1);
            let id = data.partition_index;
            fetched.messages.push(message(topic, id, &record, facts));
        }
    }
    fetched.gap_after = fetched.next_offset.saturating_sub(expected).max(0);
    Ok(fetched)
}

/// What became of the transactions in an answer.
struct Fates {
    /// Producer and first offset of aborted transactions, the latest first.
    aborted: Vec<(i64, i64)>,
    /// Producers whose transaction around the present batch was aborted.
    aborting: BTreeSet<i64>,
    /// Whether the answer ends at the last stable offset and names what was aborted before it.
    is_committed: bool,
    /// Of producers in an answer without isolation: offset, and whether it commits.
    markers: Vec<(i64, i64, bool)>,
}

impl Fates {
    fn new(data: &PartitionData, is_committed: bool) -> Self {
        let aborted = data.aborted_transactions.iter().flatten();
        let mut aborted: Vec<(i64, i64)> = aborted
            .map(|one| (one.producer_id.0, one.first_offset))
            .collect();
        aborted.sort_unstable_by_key(|(_, first_offset)| std::cmp::Reverse(*first_offset));
        Self {
            aborted,
            aborting: BTreeSet::new(),
            is_committed,
            markers: match is_committed {
                true => Vec::new(),
                false => markers(data.records.as_deref().unwrap_or_default()),
            },
        }
    }

    /// What became of a transaction that was open when the answer before this one came, as far as
    /// this answer knows. Its last stable offset says nothing: a transaction that was ended since
    /// lies below it, and an answer without isolation does not name those that were aborted.
    fn decided(&self, batch: &Batch<'_>) -> Fate {
        let mut markers = self.markers.iter();
        let own = markers.find(|(producer, offset, _)| {
            *producer == batch.producer_id() && *offset > batch.last_offset()
        });
        match own {
            None => Fate::Open,
            Some((_, _, true)) => Fate::Committed,
            Some((_, _, false)) => Fate::Aborted,
        }
    }

    fn of(&mut self, batch: &Batch<'_>) -> Fate {
        while let Some((producer, first)) = self.aborted.last().copied()
            && first <= batch.last_offset()
        {
            self.aborting.insert(producer);
            self.aborted.pop();
        }
        match () {
            () if !batch.is_transactional() || batch.is_control() => Fate::None,
            () if self.aborting.contains(&batch.producer_id()) => Fate::Aborted,
            () if !self.is_committed => self.decided(batch),
            () => Fate::Committed,
        }
    }

    /// An abort marker of this producer.
    fn end(&mut self, producer: i64) {
        self.aborting.remove(&producer);
    }
}

/// The ends of transactions in what came.
fn markers(bytes: &[u8]) -> Vec<(i64, i64, bool)> {
    let control = batches(bytes).flatten().filter(|batch| batch.is_control());
    let marker = |batch: Batch<'_>| {
        let records = records(&batch, DECOMPRESSED_MAX).ok()?;
        let first = records.iter().next()?.ok()?;
        let commits = match control_of(&first) {
            Control::Commit { .. } => true,
            Control::Abort { .. } => false,
            Control::Other(_) => return None,
        };
        Some((batch.producer_id(), first.offset, commits))
    };
    control.filter_map(marker).collect()
}

fn facts(batch: &Batch<'_>, transaction: Fate) -> RecordFacts {
    RecordFacts {
        producer: (batch.has_producer_id()).then(|| (batch.producer_id(), batch.producer_epoch())),
        transaction,
        leader_epoch: batch.partition_leader_epoch(),
        compression: match batch.compression() {
            Ok(Compression::None) | Err(_) => "none",
            Ok(Compression::Gzip) => "gzip",
            Ok(Compression::Snappy) => "snappy",
            Ok(Compression::Lz4) => "lz4",
            Ok(Compression::Zstd) => "zstd",
        },
        is_log_append_time: batch.timestamp_type() == TimestampType::LogAppendTime,
        ..RecordFacts::default()
    }
}

fn control_of(record: &Record<'_>) -> Control {
    let (key, value) = (
        record.key.unwrap_or_default(),
        record.value.unwrap_or_default(),
    );
    match ControlRecord::decode(key, value) {
        Ok(ControlRecord::Commit(marker)) => Control::Commit {
            coordinator_epoch: marker.coordinator_epoch,
        },
        Ok(ControlRecord::Abort(marker)) => Control::Abort {
            coordinator_epoch: marker.coordinator_epoch,
        },
        Ok(other) => Control::Other(format!("{:?}", other.record_type())),
        Err(error) => Control::Other(format!("a control record that can't be read: {error}")),
    }
}

fn message(topic: &Arc<str>, partition: i32, record: &Record<'_>, facts: RecordFacts) -> Message {
    let copy = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
    Message {
        topic: Arc::clone(topic),
        partition,
        offset: record.offset,
        timestamp_ms: record.timestamp,
        key: copy(record.key),
        value: copy(record.value),
        headers: record
            .headers
            .iter()
            .map(|header| Header {
                key: Arc::from(&*header.key_str()),
                value: copy(header.value),
            })
            .collect(),
        facts,
    }
}
