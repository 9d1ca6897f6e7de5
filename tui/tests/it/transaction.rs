//! A small transactional producer, and a schema registry that knows what a test gives it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use anyhow::ensure;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, ProduceRequest, ProducerId,
    TopicName, TransactionalId,
};
use kafka_shared::client::{Client, ClientConfig, CoordinatorType, Route, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::StrBytes;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::types::{Endpoint, TopicPartition};

/// Writes values to a partition in one transaction, and ends it as `commits` says, or not at all.
pub async fn transaction(
    bootstrap: &[Endpoint],
    id: &str,
    at: (&str, i32),
    values: &[&str],
    commits: Option<bool>,
) -> anyhow::Result<()> {
    transaction_of(bootstrap, id, at, (values, 1_700_000_000_000), commits).await
}

/// As [`transaction`], with the time that the records say that they are of.
pub async fn transaction_of(
    bootstrap: &[Endpoint],
    id: &str,
    at: (&str, i32),
    (values, timestamp_ms): (&[&str], i64),
    commits: Option<bool>,
) -> anyhow::Result<()> {
    let client = Client::new(ClientConfig::new(bootstrap.to_vec()));
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let route = Route::Coordinator(CoordinatorType::Transaction, id.to_owned());
    let own = TransactionalId(text(id));
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(own.clone()))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let begun = client
        .send_to(&route, request, |response| ErrorCode(response.error_code))
        .await?;
    ensure!(
        begun.error_code == 0,
        "InitProducerId: {}",
        begun.error_code
    );
    let (producer, epoch) = (begun.producer_id, begun.producer_epoch);
    let topic = AddPartitionsToTxnTopic::default()
        .with_name(TopicName(text(at.0)))
        .with_partitions(vec![at.1]);
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(own.clone())
        .with_v3_and_below_producer_id(producer)
        .with_v3_and_below_producer_epoch(epoch)
        .with_v3_and_below_topics(vec![topic]);
    let options = |version| SendOptions {
        version_max: Some(version),
        ..SendOptions::default()
    };
    // The transaction before may still be ending.
    let code = |response: &kafka_protocol::messages::AddPartitionsToTxnResponse| {
        let topics = response.results_by_topic_v3_and_below.iter();
        let mut partitions = topics.flat_map(|topic| topic.results_by_partition.iter());
        ErrorCode(partitions.next().map_or(0, |p| p.partition_error_code))
    };
    let added = client
        .send_to_with(&route, request, options(3), code)
        .await?;
    ensure!(
        code(&added) == ErrorCode::NONE,
        "AddPartitionsToTxn: {:?}",
        code(&added)
    );
    let mut batch = BatchBuilder::new()
        .with_producer(producer.0, epoch, 0)
        .with_transactional(true);
    for value in values {
        batch.append(timestamp_ms, None, Some(value.as_bytes()), &[])?;
    }
    let data = PartitionProduceData::default()
        .with_index(at.1)
        .with_records(Some(batch.build()));
    let topic = TopicProduceData::default()
        .with_name(TopicName(text(at.0)))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_transactional_id(Some(own.clone()))
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic]);
    let code = |response: &kafka_protocol::messages::ProduceResponse| {
        let topics = response.responses.iter();
        let mut partitions = topics.flat_map(|topic| topic.partition_responses.iter());
        ErrorCode(partitions.next().map_or(0, |p| p.error_code))
    };
    let leader = Route::Leader(TopicPartition::new(at.0, at.1));
    let produced = client
        .send_to_with(&leader, request, options(11), code)
        .await?;
    ensure!(
        code(&produced) == ErrorCode::NONE,
        "Produce: {:?}",
        code(&produced)
    );
    if let Some(commits) = commits {
        let request = EndTxnRequest::default()
            .with_transactional_id(own)
            .with_producer_id(producer)
            .with_producer_epoch(epoch)
            .with_committed(commits);
        let ended = client
            .send_to_with(&route, request, options(4), |r| ErrorCode(r.error_code))
            .await?;
        ensure!(ended.error_code == 0, "EndTxn: {}", ended.error_code);
    }
    Ok(())
}

/// Answers with these bodies by path, and 404 for all others; its address. It ends with the test.
pub fn registry(answers: &[(&str, String)]) -> anyhow::Result<String> {
    let answers: BTreeMap<String, String> = answers
        .iter()
        .map(|(path, body)| ((*path).to_owned(), body.clone()))
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let (status, body) = match answers.get(path) {
                Some(body) => ("200 OK", body.clone()),
                None => (
                    "404 Not Found",
                    "{\"error_code\":40403,\"message\":\"Schema not found\"}".to_owned(),
                ),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            // Whoever has gone away needs no answer.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Ok(address)
}
