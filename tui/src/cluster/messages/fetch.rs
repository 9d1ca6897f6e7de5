//! Fetches records of a topic's partitions from their leaders, and decodes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, TopicName};
use kafka_shared::client::{Connection, SendOptions};
use kafka_shared::protocol::StrBytes;
use kafka_shared::record::batch::{BatchError, batches};
use kafka_shared::record::iter::{Record, records};

use crate::model::{Fault, Header, Message, PartError, Topic};

use super::super::wire::{ClusterClient, client_fault};

/// Newer versions name topics by id only.
pub(super) const FETCH_BY_NAME: i16 = 12;

/// Asked for of one partition at a time: about what a screen shows, and a batch or two.
const PARTITION_BYTES: i32 = 1024 * 1024;

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
}

/// Reads one topic.
pub(super) struct Reader<'a> {
    client: &'a ClusterClient,
    topic: Arc<Topic>,
    wait_ms: i32,
    /// A tail's long polls would hold up everything else on a shared connection.
    own: BTreeMap<i32, Connection>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(client: &'a ClusterClient, topic: &Arc<Topic>) -> Self {
        Self {
            client,
            topic: Arc::clone(topic),
            wait_ms: 0,
            own: BTreeMap::new(),
        }
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
    pub(super) async fn fetch(
        &mut self,
        from: &BTreeMap<i32, i64>,
        budget: u64,
    ) -> Vec<(i32, Result<Fetched, String>)> {
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
        if self.wait_ms > 0 {
            for leader in asks.keys() {
                self.connect(*leader).await;
            }
        }
        let reader = &*self;
        let answers = asks
            .into_iter()
            .map(async |(leader, ask)| (reader.fetch_from(leader, &ask, budget).await, ask));
        for (answer, ask) in join_all(answers).await {
            match answer {
                Ok(response) => results.extend(self.take(&ask, &response)),
                Err(fault) => {
                    results.extend(ask.iter().map(|(id, _)| (*id, Err(fault.why.clone()))));
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
        ask: &[(i32, i64)],
        budget: u64,
    ) -> Result<FetchResponse, Fault> {
        let what = "fetch records";
        let partition = |(id, offset): &(i32, i64)| {
            FetchPartition::default()
                .with_partition(*id)
                .with_current_leader_epoch(-1)
                .with_last_fetched_epoch(-1)
                .with_fetch_offset(*offset)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(PARTITION_BYTES)
        };
        let topic = FetchTopic::default()
            .with_topic(TopicName::from(StrBytes::from_string(
                self.topic.name.to_string(),
            )))
            .with_partitions(ask.iter().map(partition).collect());
        let max_bytes = i32::try_from(budget.clamp(1, RESPONSE_BYTES)).unwrap_or(i32::MAX);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(self.wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(max_bytes)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let wait_ms = u64::try_from(self.wait_ms).unwrap_or(0);
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

    fn take(
        &self,
        ask: &[(i32, i64)],
        response: &FetchResponse,
    ) -> Vec<(i32, Result<Fetched, String>)> {
        let code = response.error_code;
        let found = |id: i32| {
            let topics = response.responses.iter();
            let mut partitions = topics.flat_map(|topic| topic.partitions.iter());
            partitions.find(|partition| partition.partition_index == id)
        };
        ask.iter()
            .map(|(id, offset)| {
                let fetched = match found(*id) {
                    _ if code != 0 => Err(PartError(code).name()),
                    None => Err("the broker's answer does not mention it".to_owned()),
                    Some(data) if data.error_code != 0 => Err(PartError(data.error_code).name()),
                    Some(data) => decode(&self.topic.name, *offset, data),
                };
                (*id, fetched)
            })
            .collect()
    }
}

/// Decodes what came of one partition, from `offset` on.
pub(super) fn decode(
    topic: &Arc<str>,
    offset: i64,
    data: &PartitionData,
) -> Result<Fetched, String> {
    let bytes = data.records.as_deref().unwrap_or_default();
    let mut fetched = Fetched {
        next_offset: offset,
        bytes: bytes.len() as u64,
        ..Fetched::default()
    };
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
        if batch.is_control() {
            continue;
        }
        let broken = |error: &dyn std::fmt::Display| {
            format!("batch at offset {}: {error}", batch.base_offset())
        };
        let records = records(&batch, DECOMPRESSED_MAX).map_err(|error| broken(&error))?;
        for record in &records {
            let record = record.map_err(|error| broken(&error))?;
            if record.offset >= offset {
                fetched
                    .messages
                    .push(message(topic, data.partition_index, &record));
            }
        }
    }
    Ok(fetched)
}

fn message(topic: &Arc<str>, partition: i32, record: &Record<'_>) -> Message {
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
    }
}
