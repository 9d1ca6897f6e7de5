//! A load of produce requests with acks=all, and what it knows to be acknowledged.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Client, ClientConfig, ConnectionConfig, Route, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::record::batch::batches;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::iter::records;
use kafka_shared::time::{Clock as _, SystemClock};
use kafka_shared::types::TopicPartition;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The newest version of Produce that names topics.
pub const PRODUCE_BY_NAME: i16 = 12;

pub fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// A client that soon gives up on a broker, and soon looks for another one.
pub fn client_config(bootstrap: &str) -> ClientConfig {
    let endpoints = bootstrap.split(',').map(str::parse);
    let endpoints: Result<Vec<_>, _> = endpoints.collect();
    ClientConfig {
        bootstrap_retry_ms: 30_000,
        metadata_max_age_ms: 1000,
        connection: ConnectionConfig {
            request_timeout_ms: 5000,
            connect_timeout_ms: 2000,
            ..ConnectionConfig::default()
        },
        ..ClientConfig::new(endpoints.expect("addresses"))
    }
}

/// What producers know to be acknowledged.
#[derive(Debug, Default)]
pub struct Acknowledged {
    by_offset: Mutex<HashMap<i64, String>>,
    pub n_failed: AtomicUsize,
    /// The longest time between two acknowledgements of one producer.
    pub longest_gap_ms: AtomicUsize,
    /// Tells producers to end.
    pub stop: AtomicBool,
}

impl Acknowledged {
    /// How many records are known.
    pub fn len(&self) -> usize {
        self.by_offset.lock().len()
    }

    /// Checks that a log's bytes are whole batches and hold every record that is known. Returns how
    /// many records there are.
    ///
    /// # Errors
    /// What is missing or damaged.
    pub fn check(&self, log: &[u8]) -> anyhow::Result<usize> {
        let mut stored: HashMap<i64, String> = HashMap::new();
        for batch in batches(log) {
            let batch = batch?;
            batch.check_crc()?;
            for record in records(&batch, 1 << 24)?.iter() {
                let record = record?;
                let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
                let other = stored.insert(record.offset, value);
                anyhow::ensure!(other.is_none(), "offset {} is there twice", record.offset);
            }
        }
        let known = self.by_offset.lock();
        let lost: Vec<_> = known
            .iter()
            .filter(|(offset, value)| stored.get(offset) != Some(value))
            .take(5)
            .collect();
        anyhow::ensure!(lost.is_empty(), "acknowledged, but not there: {lost:?}");
        Ok(stored.len())
    }
}

fn batch_of(values: &[String]) -> Bytes {
    let mut builder = BatchBuilder::new();
    let now_ms = SystemClock::new().wall_ms();
    for value in values {
        builder
            .append(now_ms, None, Some(value.as_bytes()), &[])
            .expect("a small record");
    }
    builder.build()
}

/// Produces batches with acks=all until told to stop, and notes what was acknowledged where.
pub async fn produce(
    client: Client,
    topic: &str,
    id: usize,
    batch_len: usize,
    known: Arc<Acknowledged>,
) {
    let route = Route::Leader(TopicPartition::new(topic, 0));
    let mut last = Instant::now();
    for number in 0.. {
        if known.stop.load(Ordering::Relaxed) {
            return;
        }
        let values: Vec<String> = (0..batch_len)
            .map(|idx| format!("p{id}-{number}-{idx}-{}", "x".repeat(idx * 7 % 200)))
            .collect();
        let data = PartitionProduceData::default()
            .with_index(0)
            .with_records(Some(batch_of(&values)));
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(3000)
            .with_topic_data(vec![
                TopicProduceData::default()
                    .with_name(name(topic))
                    .with_partition_data(vec![data]),
            ]);
        let options = SendOptions {
            version_max: Some(PRODUCE_BY_NAME),
            timeout_ms: Some(4000),
        };
        let sent = async {
            let leader = client.route(&route).await.ok()?;
            leader.send_with(request, options).await.ok()
        };
        let answered = sent.await.and_then(|response| {
            let partition = &response.responses[0].partition_responses[0];
            (partition.error_code == ErrorCode::NONE.0).then_some(partition.base_offset)
        });
        let Some(base_offset) = answered else {
            known.n_failed.fetch_add(1, Ordering::Relaxed);
            client.forget(&route);
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let gap_ms = usize::try_from(last.elapsed().as_millis()).unwrap_or(usize::MAX);
        known.longest_gap_ms.fetch_max(gap_ms, Ordering::Relaxed);
        last = Instant::now();
        let mut by_offset = known.by_offset.lock();
        for (offset, value) in (base_offset..).zip(values) {
            if let Some(other) = by_offset.insert(offset, value.clone()) {
                panic!("offset {offset} was acknowledged for {other} and for {value}");
            }
        }
    }
}
