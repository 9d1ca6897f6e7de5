//! A plain client: blocking sockets, batches built once, five requests in flight. It does as little
//! as possible, because it runs on the same processors as the broker.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, ProduceRequest, ProduceResponse,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::protocol::{ApiKey, Request, codec, header};
use kafka_shared::record::batch::{Batch, batches};
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::iter::records;

use crate::shell::Stopwatch;

/// The Java producer's `batch.size` and its requests in flight.
const BATCH_BYTES: usize = 16 * 1024;
pub const IN_FLIGHT: usize = 5;
const PRODUCE: i16 = 9;
const FETCH: i16 = 12;
const CREATE_TOPICS: i16 = 5;
const DELETE_TOPICS: i16 = 3;
const CLIENT_ID: &str = "bench";
/// How long a new topic may take until it can be written to.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How much goes where in a round.
#[derive(Debug, Clone)]
pub struct Load {
    pub topic: String,
    pub partitions: i32,
    pub record_bytes: usize,
    pub records: u64,
}

impl Load {
    /// Bytes of the values in a round.
    pub fn bytes(&self) -> u64 {
        self.requests() * (self.records_per_batch() * self.record_bytes) as u64
    }

    pub fn records_per_batch(&self) -> usize {
        (BATCH_BYTES / (self.record_bytes + 10)).max(1)
    }

    fn requests(&self) -> u64 {
        self.records.div_ceil(self.records_per_batch() as u64)
    }
}

/// One connection; requests are answered in order.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// What responses are read into; its memory is used again when the last response is gone.
    buffer: BytesMut,
}

impl Connection {
    pub fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| address.to_owned())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let buffer = BytesMut::new();
        Ok(Self { stream, buffer })
    }

    /// The same connection for another thread: one sends, the other receives.
    fn second_half(&self) -> anyhow::Result<Self> {
        let stream = self.stream.try_clone()?;
        let buffer = BytesMut::new();
        Ok(Self { stream, buffer })
    }

    pub fn send(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(frame)?)
    }

    /// The next response's bytes after its header.
    fn receive(&mut self, api: ApiKey, version: i16) -> anyhow::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).context("negative length")?;
        ensure!(length < 1 << 28, "a response of {length} bytes");
        self.buffer.resize(length, 0);
        self.stream.read_exact(&mut self.buffer)?;
        let mut body = self.buffer.split().freeze();
        header::parse_correlation_id(&mut body)?;
        header::parse_response_header_rest(api, version, &mut body)?;
        Ok(body)
    }

    /// The answer to a request in this version.
    pub fn ask<R: Request>(&mut self, request: &R, version: i16) -> anyhow::Result<R::Response> {
        let frame = codec::encode_request_frame(request, version, 0, Some(CLIENT_ID))?;
        self.send(&frame)?;
        let mut body = self.receive(R::KEY, version)?;
        Ok(codec::decode_response(&mut body, version)?)
    }

    /// Creates the topic and writes a record to each of its partitions, which says that they work.
    pub fn create_topic(&mut self, name: &str, partitions: i32) -> anyhow::Result<()> {
        self.create_replicated_topic(name, partitions, 1)?;
        for partition in 0..partitions {
            self.produce_until_acknowledged(name, partition)?;
        }
        Ok(())
    }

    /// Creates the topic, and writes nothing yet.
    pub fn create_replicated_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
    ) -> anyhow::Result<()> {
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(replication_factor);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let response = self.ask(&request, CREATE_TOPICS)?;
        let topic = response.topics.first().context("no topic in the answer")?;
        let error = ErrorCode(topic.error_code);
        ensure!(
            error == ErrorCode::NONE,
            "CreateTopics answered {}",
            error.name()
        );
        Ok(())
    }

    pub fn delete_topic(&mut self, name: &str) -> anyhow::Result<()> {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![topic_name(name)])
            .with_timeout_ms(30_000);
        let response = self.ask(&request, DELETE_TOPICS)?;
        let topic = response.responses.first();
        let error = ErrorCode(topic.context("no topic in the answer")?.error_code);
        ensure!(
            error == ErrorCode::NONE,
            "DeleteTopics answered {}",
            error.name()
        );
        Ok(())
    }

    /// A partition's leader may answer later than CreateTopics: in Apache Kafka the metadata reach
    /// the part that leads partitions last.
    pub fn produce_until_acknowledged(
        &mut self,
        topic: &str,
        partition: i32,
    ) -> anyhow::Result<()> {
        let watch = Stopwatch::start();
        loop {
            match self.produce_one(topic, partition) {
                Err(error) if is_retriable(&error) && watch.elapsed() < READY_WITHIN => {
                    std::thread::park_timeout(Duration::from_millis(5));
                }
                outcome => return outcome.with_context(|| format!("topic {topic}")),
            }
        }
    }

    /// One record of 100 bytes with acks=all.
    pub fn produce_one(&mut self, topic: &str, partition: i32) -> anyhow::Result<()> {
        let frame = produce_frame(topic, &[partition], &batch(100, 1)?)?;
        self.send(&frame)?;
        self.acknowledged()
    }

    /// The next answer to a produce request, which must be without errors.
    pub fn acknowledged(&mut self) -> anyhow::Result<()> {
        let body = &mut self.receive(ApiKey::Produce, PRODUCE)?;
        let response: ProduceResponse = codec::decode_response(body, PRODUCE)?;
        for partition in response
            .responses
            .iter()
            .flat_map(|t| &t.partition_responses)
        {
            let error = ErrorCode(partition.error_code);
            if error != ErrorCode::NONE {
                return Err(ApiError::from(error)).context("Produce");
            }
        }
        Ok(())
    }
}

fn is_retriable(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<ApiError>();
    refused.is_some_and(|refused| refused.code.is_retriable())
}

pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// A batch of `count` records whose values have `record_bytes` bytes that do not repeat.
pub fn batch(record_bytes: usize, count: usize) -> anyhow::Result<Bytes> {
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

/// A request that writes the same records to each of the partitions.
pub fn produce_frame(topic: &str, partitions: &[i32], records: &Bytes) -> anyhow::Result<Bytes> {
    let data = partitions.iter().map(|partition| {
        PartitionProduceData::default()
            .with_index(*partition)
            .with_records(Some(records.clone()))
    });
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(data.collect());
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic]);
    Ok(codec::encode_request_frame(&request, PRODUCE, 0, Some(CLIENT_ID))?.freeze())
}

/// A producer and a consumer of one topic, on a connection each.
#[derive(Debug)]
pub struct Session {
    load: Load,
    /// One request for every partition, encoded once: the client's own work is small.
    frames: Vec<Bytes>,
    producer: Connection,
    consumer: Consumer,
}

impl Session {
    /// Creates the topic and connects.
    pub fn open(address: &str, load: &Load) -> anyhow::Result<Self> {
        let mut producer = Connection::open(address)?;
        producer.create_topic(&load.topic, load.partitions)?;
        let records = batch(load.record_bytes, load.records_per_batch())?;
        let frames = (0..load.partitions)
            .map(|partition| produce_frame(&load.topic, &[partition], &records))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            load: load.clone(),
            frames,
            producer,
            consumer: Consumer::open(address, &load.topic, load.partitions)?,
        })
    }

    /// Deletes the topic.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.producer.delete_topic(&self.load.topic)
    }

    /// Sends a round's records as fast as the broker acknowledges them.
    pub fn produce(&mut self) -> anyhow::Result<()> {
        let mut in_flight = 0;
        let frames = self.frames.iter().cycle();
        for (_, frame) in (0..self.load.requests()).zip(frames) {
            if in_flight == IN_FLIGHT {
                self.producer.acknowledged()?;
                in_flight -= 1;
            }
            self.producer.send(frame)?;
            in_flight += 1;
        }
        for _ in 0..in_flight {
            self.producer.acknowledged()?;
        }
        Ok(())
    }

    /// Reads what was produced, `passes` times over.
    pub fn consume(&mut self, passes: u32) -> anyhow::Result<()> {
        let begin = self.consumer.offsets.clone();
        for _ in 0..passes {
            self.consumer.offsets.clone_from(&begin);
            self.consume_once()?;
        }
        Ok(())
    }

    fn consume_once(&mut self) -> anyhow::Result<()> {
        let wanted = self.load.requests() * self.load.records_per_batch() as u64;
        let mut seen = 0;
        while seen < wanted {
            let before = seen;
            self.consumer.poll(|batch| {
                seen += u64::try_from(batch.record_count()).unwrap_or(0);
                Ok(())
            })?;
            ensure!(seen > before, "only {seen} of {wanted} records can be read");
        }
        ensure!(seen == wanted, "{seen} records instead of {wanted}");
        Ok(())
    }
}

/// Reads all partitions of a topic, from behind the record that their creation left.
#[derive(Debug)]
struct Consumer {
    connection: Connection,
    topic: String,
    offsets: Vec<i64>,
}

impl Consumer {
    fn open(address: &str, topic: &str, partitions: i32) -> anyhow::Result<Self> {
        Ok(Self {
            connection: Connection::open(address)?,
            topic: topic.to_owned(),
            offsets: vec![1; usize::try_from(partitions)?],
        })
    }

    /// Fetches once, waits at most a second, and shows every batch.
    fn poll(
        &mut self,
        mut each: impl FnMut(&Batch<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for (partition, records) in self.connection.fetch(&self.topic, &self.offsets)? {
            let offset = usize::try_from(partition)
                .ok()
                .and_then(|p| self.offsets.get_mut(p));
            let offset = offset.context("a partition that was not asked for")?;
            // The last batch may be cut off by the limit of bytes; it comes whole the next time.
            for batch in batches(&records).map_while(Result::ok) {
                each(&batch)?;
                *offset = batch.next_offset();
            }
        }
        Ok(())
    }
}

impl Connection {
    /// The bytes of records by partition, with the limits of the Java consumer.
    fn fetch(&mut self, topic: &str, offsets: &[i64]) -> anyhow::Result<Vec<(i32, Bytes)>> {
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
            .with_max_wait_ms(1000)
            .with_min_bytes(1)
            .with_max_bytes(50 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let response = self.ask(&request, FETCH)?;
        let partitions = response.responses.into_iter().flat_map(|t| t.partitions);
        let mut found = Vec::new();
        let mut errors = vec![ErrorCode(response.error_code)];
        for partition in partitions {
            errors.push(ErrorCode(partition.error_code));
            let records = partition.records.unwrap_or_default();
            found.push((partition.partition_index, records));
        }
        match errors.into_iter().find(|error| *error != ErrorCode::NONE) {
            Some(error) => Err(ApiError::from(error)).context("Fetch"),
            None => Ok(found),
        }
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

/// One producer that sends a record every millisecond, whether the last one is acknowledged or not
/// (a broker that stands still is not spared the records of that time), and one consumer.
#[derive(Debug)]
pub struct Paced {
    producer: Connection,
    consumer: Consumer,
}

impl Paced {
    pub fn open(address: &str, topic: &str) -> anyhow::Result<Self> {
        Connection::open(address)?.create_topic(topic, 1)?;
        Self::of_topic(address, topic)
    }

    /// For a topic that is led there, whose one partition holds one record.
    pub fn of_topic(address: &str, topic: &str) -> anyhow::Result<Self> {
        let producer = Connection::open(address)?;
        let consumer = Consumer::open(address, topic, 1)?;
        Ok(Self { producer, consumer })
    }

    /// Milliseconds from before the sending of each record until it was read, sorted.
    pub fn run(&mut self, total: u64) -> anyhow::Result<Vec<f64>> {
        let (producer, consumer) = (&mut self.producer, &mut self.consumer);
        let mut acknowledged = producer.second_half()?;
        let mut latencies = Vec::new();
        std::thread::scope(|scope| {
            let topic = consumer.topic.clone();
            let sender = scope.spawn(move || send_paced(producer, &topic, total));
            let acknowledger =
                scope.spawn(move || (0..total).try_for_each(|_| acknowledged.acknowledged()));
            while (latencies.len() as u64) < total {
                let before = latencies.len();
                consumer.poll(|batch| {
                    let read_at = now().as_nanos();
                    for record in &records(batch, 1 << 20)? {
                        let value = record?.value.context("a record without value")?;
                        let sent_at = value.first_chunk().context("a record without time")?;
                        let nanos = read_at.saturating_sub(u128::from_be_bytes(*sent_at));
                        latencies.push(nanos as f64 / 1e6);
                    }
                    Ok(())
                })?;
                ensure!(latencies.len() > before, "nothing came within a second");
            }
            let panicked = |_| anyhow::anyhow!("a thread of the client panicked");
            sender.join().map_err(panicked)??;
            acknowledger.join().map_err(panicked)?
        })?;
        latencies.sort_by(f64::total_cmp);
        Ok(latencies)
    }
}

/// Sends records of 1 KiB that begin with the time just before the sending.
fn send_paced(producer: &mut Connection, topic: &str, total: u64) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let mut value = vec![7_u8; 1024];
    for n in 0..total {
        while let Some(wait) = Duration::from_millis(n).checked_sub(watch.elapsed())
            && !wait.is_zero()
        {
            std::thread::park_timeout(wait);
        }
        let sent_at = now();
        value[..16].copy_from_slice(&sent_at.as_nanos().to_be_bytes());
        let mut builder = BatchBuilder::new();
        builder.append(now_ms(), None, Some(&value), &[])?;
        producer.send(&produce_frame(topic, &[0], &builder.build())?)?;
    }
    Ok(())
}
