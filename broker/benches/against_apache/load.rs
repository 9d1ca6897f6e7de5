//! A plain load generator: blocking sockets, batches built once, five requests in flight.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, FetchRequest, FetchResponse, MetadataRequest,
    MetadataResponse, ProduceRequest, ProduceResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::protocol::{ApiKey, codec, header};
use kafka_shared::record::batch::batches;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::iter::records;

const BATCH_BYTES: usize = 16 * 1024;
const IN_FLIGHT: usize = 5;
const PRODUCE: i16 = 9;
const FETCH: i16 = 12;

/// How much goes where.
#[derive(Debug, Clone)]
pub struct Load {
    pub topic: String,
    pub partitions: i32,
    pub record_bytes: usize,
    pub records: u64,
}

/// One connection; requests are answered in order.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    next_id: i32,
}

impl Connection {
    pub fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, next_id: 0 })
    }

    fn send(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(frame)?)
    }

    /// The next response's bytes after its header.
    fn receive(&mut self, api: ApiKey, version: i16) -> anyhow::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).context("negative length")?;
        ensure!(length < 1 << 28, "a response of {length} bytes");
        let mut body = BytesMut::zeroed(length);
        self.stream.read_exact(&mut body)?;
        let mut body = body.freeze();
        header::parse_correlation_id(&mut body)?;
        header::parse_response_header_rest(api, version, &mut body)?;
        Ok(body)
    }

    pub fn create_topic(&mut self, name: &str, partitions: i32) -> anyhow::Result<()> {
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        self.send(&codec::encode_request_frame(&request, 5, 0, Some("bench"))?)?;
        let response: CreateTopicsResponse =
            codec::decode_response(&mut self.receive(ApiKey::CreateTopics, 5)?, 5)?;
        let code = response
            .topics
            .first()
            .context("no topic in the answer")?
            .error_code;
        ensure!(code == 0 || code == 36, "CreateTopics answered {code}");
        // The leader must be there before the load starts.
        for _ in 0..1000 {
            if self.has_leaders(name)? {
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        anyhow::bail!("topic {name} has no leader")
    }

    fn has_leaders(&mut self, name: &str) -> anyhow::Result<bool> {
        use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        self.send(&codec::encode_request_frame(&request, 4, 0, Some("bench"))?)?;
        let response: MetadataResponse =
            codec::decode_response(&mut self.receive(ApiKey::Metadata, 4)?, 4)?;
        let topic = response.topics.first().context("no topic in the answer")?;
        Ok(topic.error_code == 0 && topic.partitions.iter().all(|p| p.error_code == 0))
    }

    /// One record with acks=all.
    pub fn produce_one(&mut self, topic: &str) -> anyhow::Result<()> {
        let frame = produce_frame(topic, 0, batch(100, 1)?, 1)?;
        self.send(&frame)?;
        self.acknowledged()
    }

    fn acknowledged(&mut self) -> anyhow::Result<()> {
        let body = &mut self.receive(ApiKey::Produce, PRODUCE)?;
        let response: ProduceResponse = codec::decode_response(body, PRODUCE)?;
        for partition in response
            .responses
            .iter()
            .flat_map(|t| &t.partition_responses)
        {
            ensure!(
                partition.error_code == 0,
                "Produce answered {}",
                partition.error_code
            );
        }
        Ok(())
    }
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// A batch of `count` records whose values have `record_bytes` bytes that do not repeat.
fn batch(record_bytes: usize, count: usize) -> anyhow::Result<Bytes> {
    let mut builder = BatchBuilder::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..count {
        let value: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .take(record_bytes)
        .collect();
        builder.append(now_ms(), None, Some(&value), &[])?;
    }
    Ok(builder.build())
}

fn produce_frame(topic: &str, partition: i32, records: Bytes, id: i32) -> anyhow::Result<Bytes> {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic]);
    Ok(codec::encode_request_frame(&request, PRODUCE, id, Some("bench"))?.freeze())
}

/// Sends the load as fast as the broker acknowledges it.
pub fn produce(address: &str, load: &Load) -> anyhow::Result<()> {
    let per_batch = (BATCH_BYTES / (load.record_bytes + 10)).max(1);
    let body = batch(load.record_bytes, per_batch)?;
    let frames: Vec<Bytes> = (0..load.partitions)
        .map(|p| produce_frame(&load.topic, p, body.clone(), 7))
        .collect::<Result<_, _>>()?;
    let requests = load.records.div_ceil(per_batch as u64);
    let mut connection = Connection::open(address)?;
    let mut in_flight = 0;
    for n in 0..requests {
        if in_flight == IN_FLIGHT {
            connection.acknowledged()?;
            in_flight -= 1;
        }
        connection.send(&frames[(n % frames.len() as u64) as usize])?;
        in_flight += 1;
    }
    for _ in 0..in_flight {
        connection.acknowledged()?;
    }
    Ok(())
}

/// Reads all partitions from the start until `wanted` records were seen.
pub fn consume(address: &str, load: &Load, wanted: u64) -> anyhow::Result<()> {
    let mut connection = Connection::open(address)?;
    let mut offsets = vec![0_i64; load.partitions as usize];
    let mut seen = 0;
    while seen < wanted {
        let body = connection.fetch(&load.topic, &offsets, 500)?;
        let before = seen;
        for (partition, bytes) in body {
            for batch in batches(&bytes) {
                let Ok(batch) = batch else { break };
                offsets[partition as usize] = batch.next_offset();
                seen += u64::try_from(batch.record_count()).unwrap_or(0);
            }
        }
        ensure!(seen > before, "only {seen} of {wanted} records can be read");
    }
    Ok(())
}

impl Connection {
    /// The bytes of records by partition.
    fn fetch(
        &mut self,
        topic: &str,
        offsets: &[i64],
        wait_ms_max: i32,
    ) -> anyhow::Result<Vec<(i32, Bytes)>> {
        let partitions = (0..).zip(offsets).map(|(index, offset)| {
            FetchPartition::default()
                .with_partition(index)
                .with_fetch_offset(*offset)
                .with_partition_max_bytes(1 << 20)
        });
        let topic = FetchTopic::default()
            .with_topic(topic_name(topic))
            .with_partitions(partitions.collect());
        let request = FetchRequest::default()
            .with_max_wait_ms(wait_ms_max)
            .with_min_bytes(1)
            .with_max_bytes(50 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        self.next_id += 1;
        let frame = codec::encode_request_frame(&request, FETCH, self.next_id, Some("bench"))?;
        self.send(&frame)?;
        let response: FetchResponse =
            codec::decode_response(&mut self.receive(ApiKey::Fetch, FETCH)?, FETCH)?;
        ensure!(
            response.error_code == 0,
            "Fetch answered {}",
            response.error_code
        );
        let mut found = Vec::new();
        for partition in response.responses.into_iter().flat_map(|t| t.partitions) {
            ensure!(
                partition.error_code == 0,
                "Fetch answered {}",
                partition.error_code
            );
            found.push((
                partition.partition_index,
                partition.records.unwrap_or_default(),
            ));
        }
        Ok(found)
    }
}

fn now_ms() -> i64 {
    i64::try_from(now().as_millis()).unwrap_or(0)
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Milliseconds from sending a record to reading it, sorted; one record at a time at `rate` a
/// second, one consumer that waits for each.
pub fn end_to_end(address: &str, topic: &str, rate: u32, seconds: u64) -> anyhow::Result<Vec<f64>> {
    let total = u64::from(rate) * seconds;
    let (producer_address, producer_topic) = (address.to_owned(), topic.to_owned());
    let producer = std::thread::spawn(move || -> anyhow::Result<()> {
        let mut connection = Connection::open(&producer_address)?;
        let watch = crate::shell::Stopwatch::start();
        let filler = vec![7_u8; 1008];
        for n in 0..total {
            let due = Duration::from_secs(n) / rate;
            if let Some(wait) = due.checked_sub(watch.elapsed()) {
                std::thread::park_timeout(wait);
            }
            let mut value = now().as_nanos().to_be_bytes().to_vec();
            value.extend_from_slice(&filler);
            let mut builder = BatchBuilder::new();
            builder.append(now_ms(), None, Some(&value), &[])?;
            connection.send(&produce_frame(&producer_topic, 0, builder.build(), 1)?)?;
            connection.acknowledged()?;
        }
        Ok(())
    });
    let mut latencies = Vec::new();
    let mut connection = Connection::open(address)?;
    let mut offsets = [0];
    while (latencies.len() as u64) < total {
        for (_, bytes) in connection.fetch(topic, &offsets, 1000)? {
            let read_at = now().as_nanos();
            for batch in batches(&bytes).map_while(Result::ok) {
                offsets[0] = batch.next_offset();
                for record in &records(&batch, 1 << 20)? {
                    let value = record?.value.context("a record without value")?;
                    let sent = u128::from_be_bytes(value[..16].try_into()?);
                    latencies.push(read_at.saturating_sub(sent) as f64 / 1e6);
                }
            }
        }
    }
    producer
        .join()
        .map_err(|_| anyhow::anyhow!("the producer panicked"))??;
    // The first second warms up connections and code.
    latencies.drain(..(rate as usize).min(latencies.len() / 2));
    latencies.sort_by(f64::total_cmp);
    Ok(latencies)
}
