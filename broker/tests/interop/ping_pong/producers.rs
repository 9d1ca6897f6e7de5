//! Idempotent producers: our own, which sends a batch until it is acknowledged, and stock ones.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest};
use kafka_shared::client::{Client, Route, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::time::{Clock as _, SystemClock};
use kafka_shared::types::TopicPartition;

use super::ledger::{Ledger, RENUMBERS, Sent};
use crate::load::{PRODUCE_BY_NAME, name};
use crate::shell::{self, Stopwatch};
use crate::{apache, clients};

const BATCH_LEN: u64 = 3;
/// Between two tries.
const BACKOFF: Duration = Duration::from_millis(20);
/// Between two batches: the load is not to hide what the faults do.
const PAUSE: Duration = Duration::from_millis(8);
/// How long a sequence number may be out of order. A broker that was paused may take itself for the
/// leader for a moment and lack what its successor has.
const DISORDER_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
struct Identity {
    id: i64,
    epoch: i16,
}

async fn identity(client: &Client) -> anyhow::Result<Identity> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000);
    let response = client.any().await?.send(request).await?;
    let error = ErrorCode(response.error_code);
    anyhow::ensure!(error == ErrorCode::NONE, "{}", error.name());
    Ok(Identity {
        id: response.producer_id.0,
        epoch: response.producer_epoch,
    })
}

fn batch(producer: &str, identity: Identity, first: u64) -> Bytes {
    let sequence = i32::try_from(first).expect("fewer records than sequence numbers");
    let mut builder = BatchBuilder::new().with_producer(identity.id, identity.epoch, sequence);
    let now_ms = SystemClock::new().wall_ms();
    for number in first..first + BATCH_LEN {
        let padding = "x".repeat(usize::try_from(number * 7 % 300).unwrap_or(0));
        let value = format!("{producer}-{number}-{padding}");
        builder
            .append(now_ms, None, Some(value.as_bytes()), &[])
            .expect("a small record");
    }
    builder.build()
}

/// Sends batches one after the other until told to stop; each until it is acknowledged, so that
/// every number is stored exactly once.
pub async fn produce(
    client: Client,
    topic: &str,
    partition: i32,
    producer: String,
    ledger: Arc<Ledger>,
) {
    let route = Route::Leader(TopicPartition::new(topic, partition));
    let identity = loop {
        match identity(&client).await {
            Ok(identity) => break identity,
            Err(_) if ledger.is_stopped() => return,
            Err(error) => {
                ledger.error(&format!("no producer id: {error}"));
                tokio::time::sleep(BACKOFF).await;
            }
        }
    };
    let mut first = 0;
    while !ledger.is_stopped() {
        let records = batch(&producer, identity, first);
        let mut disordered: Option<Stopwatch> = None;
        loop {
            let answer = send(&client, &route, topic, partition, &records).await;
            let (error, base_offset) = match answer {
                Some(answer) => answer,
                None => (ErrorCode::NETWORK_EXCEPTION, -1),
            };
            if error == ErrorCode::NONE {
                for (number, offset) in (first..first + BATCH_LEN).zip(base_offset..) {
                    let producer = producer.clone();
                    ledger.acknowledge(partition, Some(offset), Sent { producer, number });
                }
                break;
            }
            ledger.error(error.name());
            let may_pass = if error == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER {
                disordered.get_or_insert_with(Stopwatch::start).elapsed() < DISORDER_MAX
            } else {
                disordered = None;
                error.is_retriable()
            };
            if !may_pass {
                let error = error.name();
                ledger.problem(format!("{producer}: {error} for {first} on {partition}"));
                return;
            }
            client.forget(&route);
            if ledger.is_stopped() {
                return;
            }
            tokio::time::sleep(BACKOFF).await;
        }
        first += BATCH_LEN;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sends a batch; the error and the base offset that came back, if anything did.
async fn send(
    client: &Client,
    route: &Route,
    topic: &str,
    partition: i32,
    records: &Bytes,
) -> Option<(ErrorCode, i64)> {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records.clone()));
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(2000)
        .with_topic_data(vec![
            TopicProduceData::default()
                .with_name(name(topic))
                .with_partition_data(vec![data]),
        ]);
    let options = SendOptions {
        version_max: Some(PRODUCE_BY_NAME),
        timeout_ms: Some(3000),
    };
    let leader = client.route(route).await.ok()?;
    let response = leader.send_with(request, options).await.ok()?;
    let answered = response.responses.first()?.partition_responses.first()?;
    Some((ErrorCode(answered.error_code), answered.base_offset))
}

/// A stock producer that runs until it is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stock {
    /// Apache Kafka's verifiable producer.
    Java,
    Librdkafka,
}

impl Stock {
    /// The name under which the ledger knows its records.
    pub fn producer(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Librdkafka => "rdkafka",
        }
    }
}

/// A running stock producer; what it says goes to the ledger.
#[derive(Debug)]
pub struct Running {
    process: Child,
    reader: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        shell::kill(&mut self.process);
    }
}

impl Running {
    pub fn start(
        stock: Stock,
        bootstrap: &str,
        topic: &str,
        folder: &Path,
        ledger: &Arc<Ledger>,
    ) -> anyhow::Result<Self> {
        let mut command = match stock {
            Stock::Java => verifiable_producer(bootstrap, topic, folder)?,
            Stock::Librdkafka => {
                let mut command = clients::librdkafka()?;
                command.args(["endless", bootstrap, topic]);
                command
            }
        };
        let said = std::fs::File::create(folder.join(format!("{stock:?}.log")))?;
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .context("start a stock producer")?;
        let pipe = process.stdout.take().context("the producer's output")?;
        let ledger = Arc::clone(ledger);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                note(&line, &ledger);
            }
        });
        Ok(Self { process, reader })
    }

    /// Asks it to end, and waits until it has sent what it had taken on.
    pub fn stop(mut self) -> anyhow::Result<()> {
        shell::terminate(&mut self.process, Duration::from_secs(60))?;
        let ended = shell::wait_until(Duration::from_secs(10), || self.reader.is_finished());
        anyhow::ensure!(ended, "a stock producer's output does not end");
        Ok(())
    }
}

fn verifiable_producer(bootstrap: &str, topic: &str, folder: &Path) -> anyhow::Result<Command> {
    let patient = folder.join("producer.properties");
    std::fs::write(
        &patient,
        "enable.idempotence=true\nacks=all\nretries=2147483647\ndelivery.timeout.ms=900000\n\
         request.timeout.ms=3000\nreconnect.backoff.max.ms=200\nmetadata.max.age.ms=3000\n\
         max.in.flight.requests.per.connection=5\nbatch.size=1000\nlinger.ms=2\n",
    )?;
    let file = patient.display().to_string();
    let args = [
        "--bootstrap-server",
        bootstrap,
        "--topic",
        topic,
        "--acks",
        "-1",
        "--throughput",
        "400",
        "--command-config",
        &file,
    ];
    apache::tool_command("kafka-verifiable-producer", &args.map(str::to_owned))
}

/// Notes one line of a stock producer. All of them print one JSON object per line, with the verifiable
/// producer's fields.
fn note(line: &str, ledger: &Ledger) {
    let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else {
        return;
    };
    match event["name"].as_str() {
        Some("producer_send_success") => {
            let partition = event["partition"].as_i64().map(i32::try_from);
            let sent = event["value"].as_str().and_then(Sent::parse);
            let offset = event["offset"].as_i64();
            match (partition, sent) {
                (Some(Ok(partition)), Some(sent))
                    if offset.is_some() || sent.producer == RENUMBERS =>
                {
                    ledger.acknowledge(partition, offset, sent);
                }
                _ => ledger.problem(format!("not understood: {line}")),
            }
        }
        Some("producer_send_error") if !ledger.stop.load(Ordering::Relaxed) => {
            ledger.problem(line.to_owned());
        }
        _ => {}
    }
}
