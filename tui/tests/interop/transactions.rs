//! Transactions: one that runs and one that hangs, made by hand; listed, described, found and
//! aborted, and compared with what kafka-transactions says.

use anyhow::{Context as _, bail, ensure};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, InitProducerIdRequest, ProduceRequest, ProducerId, TopicName,
    TransactionalId,
};
use kafka_shared::client::{Client, ClientConfig, CoordinatorType, Route, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::StrBytes;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::time::{Clock, SystemClock};
use kafka_shared::types::TopicPartition;

use crate::cluster::Cluster;
use crate::command::{document, run};
use crate::manager;
use crate::terminal::Terminal;

/// The last version in which a producer names its partitions to the coordinator itself.
const ADDS_PARTITIONS_ITSELF: i16 = 11;

/// The last version for clients.
const OF_CLIENTS: i16 = 3;

/// Older than any transaction may be.
const OLD_MS: i64 = 20 * 60_000;

fn name(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn up_to(version: i16) -> SendOptions {
    SendOptions {
        version_max: Some(version),
        ..SendOptions::default()
    }
}

fn check(what: &str, code: i16) -> anyhow::Result<()> {
    ensure!(code == 0, "{what}: {}", ErrorCode(code).name());
    Ok(())
}

/// Writes a record in a transaction that nobody ends. The coordinator hears of the partition or
/// not; the answer is the producer's id.
pub async fn begin(
    bootstrap: &str,
    id: &str,
    topic: &str,
    is_told: bool,
    age_ms: i64,
) -> anyhow::Result<i64> {
    let endpoints = bootstrap.split(',').map(str::parse);
    let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
    let client = Client::new(ClientConfig::new(endpoints));
    let init = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId::from(name(id))))
        .with_transaction_timeout_ms(600_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let route = Route::Coordinator(CoordinatorType::Transaction, id.to_owned());
    // The coordinator's topic may be made just now.
    let mut tries = 0;
    let producer = loop {
        let answer = client
            .send_to(&route, init.clone(), |r| ErrorCode(r.error_code))
            .await;
        match answer {
            Ok(answer) if answer.error_code == 0 => break answer,
            other if tries > 60 => bail!("no producer id: {other:?}"),
            _ => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
        }
        tries += 1;
    };
    if is_told {
        let partition = AddPartitionsToTxnTopic::default()
            .with_name(TopicName::from(name(topic)))
            .with_partitions(vec![0]);
        let add = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId::from(name(id)))
            .with_v3_and_below_producer_id(producer.producer_id)
            .with_v3_and_below_producer_epoch(producer.producer_epoch)
            .with_v3_and_below_topics(vec![partition]);
        let answer = client
            .send_to_with(&route, add, up_to(OF_CLIENTS), |_| ErrorCode::NONE)
            .await?;
        let topics = answer.results_by_topic_v3_and_below.iter();
        for partition in topics.flat_map(|topic| &topic.results_by_partition) {
            check("add the partition", partition.partition_error_code)?;
        }
    }
    let written_ms = SystemClock::new().wall_ms() - age_ms;
    let mut batch = BatchBuilder::new()
        .with_producer(producer.producer_id.0, producer.producer_epoch, 0)
        .with_transactional(true);
    batch.append(written_ms, None, Some(b"in a transaction"), &[])?;
    let data = PartitionProduceData::default()
        .with_index(0)
        .with_records(Some(batch.build()));
    let data = TopicProduceData::default()
        .with_name(TopicName::from(name(topic)))
        .with_partition_data(vec![data]);
    let produce = ProduceRequest::default()
        .with_transactional_id(Some(TransactionalId::from(name(id))))
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![data]);
    let route = Route::Leader(TopicPartition::new(topic, 0));
    let answer = client
        .send_to_with(&route, produce, up_to(ADDS_PARTITIONS_ITSELF), |_| {
            ErrorCode::NONE
        })
        .await?;
    let topics = answer.responses.iter();
    for partition in topics.flat_map(|topic| &topic.partition_responses) {
        check("produce", partition.error_code)?;
    }
    Ok(producer.producer_id.0)
}

fn topic(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    let create = ["--create", "--topic", name, "--partitions", "1"];
    cluster.tool("kafka-topics", &create, None)?;
    let records = "1\n2\n3\n4\n5\n";
    cluster.tool("kafka-console-producer", &["--topic", name], Some(records))?;
    let args = ["--group", "stuck", "--topic", name, "--reset-offsets"];
    let args = [&args[..], &["--to-offset", "5", "--execute"]].concat();
    cluster.tool("kafka-consumer-groups", &args, None).map(drop)
}

/// The words of the line of a tool's table that begins with these.
fn row(text: &str, start: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut rows = text.lines().map(|line| {
        let words = line.split_whitespace().map(str::to_owned);
        words.collect::<Vec<String>>()
    });
    let found = rows
        .find(|words| words.len() >= start.len() && words.iter().zip(start).all(|(a, b)| a == b));
    found.with_context(|| format!("no line {start:?} in:\n{text}"))
}

/// What is held up, by whom, how far readers get, and who else has written: on the screens.
fn looked_at(
    cluster: &Cluster,
    terminal: &mut Terminal,
    (running, ghost): (i64, i64),
) -> anyhow::Result<()> {
    for (partition, state, producer) in [
        ("txn-hang-0", "HANGING", ghost),
        ("txn-run-0", "running", running),
    ] {
        terminal.wait_until(partition, |terminal| {
            let row = terminal.row(partition).unwrap_or_default();
            let numbers = ["1", "5", "6", &producer.to_string(), "stuck"].map(str::to_owned);
            row.get(1).is_some_and(|word| word == state) && row.ends_with(&numbers)
        })?;
    }
    terminal.keys("tab / runner enter enter")?;
    terminal.wait_for("\"runner\" is Ongoing")?;
    terminal.wait_for(&format!("producer {running}, coordinator"))?;
    terminal.wait_for("timeout 10m 0s")?;
    terminal.wait_for("partitions: txn-run-0")?;
    terminal.keys("esc w")?;
    terminal.wait_for("producers of txn-run")?;
    let args = [
        "describe-producers",
        "--topic",
        "txn-run",
        "--partition",
        "0",
    ];
    let text = cluster.tool("kafka-transactions", &args, None)?;
    let theirs = row(&text, &[&running.to_string()])?;
    // Who wrote before has a row of its own.
    let of = |terminal: &Terminal, producer: i64| -> Vec<String> {
        let text = terminal.text();
        let mut rows = text.lines().map(|line| {
            let words = line.split_whitespace();
            words.map(str::to_owned).collect::<Vec<String>>()
        });
        let is_it = |row: &Vec<String>| row.get(1) == Some(&producer.to_string());
        rows.find(is_it).unwrap_or_default()
    };
    terminal.wait_until("the same producer", |terminal| {
        let row = of(terminal, running);
        // Id, epoch, last sequence number; where it is open from; how far readers get.
        let own = [&theirs[0], &theirs[1], &theirs[3]];
        let end = [theirs[5].as_str(), "5", "6", "1", "runner"].map(str::to_owned);
        row.len() >= 10
            && own.iter().zip(&row[1..4]).all(|(a, b)| *a == b)
            && row[4] == "open"
            && row.ends_with(&end)
    })?;
    terminal.keys("/ runner enter enter")?;
    terminal.wait_for("readers of committed records get to 5, all others to 6")?;
    terminal.keys("esc :producers space txn-hang enter")?;
    terminal.wait_for("producers of txn-hang")?;
    terminal.wait_until("the ghost", |terminal| {
        of(terminal, ghost).last().is_some_and(|id| id == "ghost")
    })?;
    terminal.keys(":transactions enter")?;
    terminal.wait_for("2 partitions held up")
}

pub fn transactions(cluster: &mut Cluster) -> anyhow::Result<()> {
    topic(cluster, "txn-run")?;
    topic(cluster, "txn-hang")?;
    let runtime = tokio::runtime::Runtime::new()?;
    let bootstrap = cluster.bootstrap();
    let running = runtime.block_on(begin(&bootstrap, "runner", "txn-run", true, 0))?;
    let ghost = runtime.block_on(begin(&bootstrap, "ghost", "txn-hang", false, OLD_MS))?;

    // Listed and described as kafka-transactions does.
    let listed = document(cluster, &["transactions", "list"])?;
    let ours = |id: &str| {
        let all = listed["transactions"].as_array()?;
        all.iter()
            .find(|row| row["transactional_id"] == id)
            .cloned()
    };
    let text = cluster.tool("kafka-transactions", &["list"], None)?;
    for (id, state) in [("runner", "Ongoing"), ("ghost", "Empty")] {
        let row = row(&text, &[id])?;
        let found = ours(id).with_context(|| format!("{id} in {listed}"))?;
        ensure!(
            row[3] == state && found["state"] == state,
            "{row:?} {found}"
        );
        ensure!(
            row[1].parse().ok() == found["coordinator"].as_i64(),
            "{row:?} {found}"
        );
        ensure!(
            row[2].parse().ok() == found["producer_id"].as_i64(),
            "{row:?} {found}"
        );
    }
    let filtered = document(cluster, &["transactions", "list", "--state", "Ongoing"])?;
    ensure!(
        filtered["transactions"].as_array().map(Vec::len) == Some(1),
        "{filtered}"
    );
    let filtered = document(cluster, &["transactions", "list", "--id-pattern", "gho.*"])?;
    ensure!(
        filtered["transactions"][0]["transactional_id"] == "ghost",
        "{filtered}"
    );
    let described = document(cluster, &["transactions", "describe", "runner"])?;
    ensure!(
        described["partitions"][0]["topic"] == "txn-run",
        "{described}"
    );
    ensure!(
        described["producer_id"] == running && described["timeout_ms"] == 600_000,
        "{described}"
    );
    let producers = document(
        cluster,
        &["transactions", "producers", "--topic", "txn-run"],
    )?;
    let open = producers["partitions"][0]["producers"]
        .as_array()
        .context("producers")?;
    let open = open
        .iter()
        .find(|producer| producer["producer_id"] == running);
    let open = open.context("the runner")?;
    ensure!(
        open["open_from"] == 5 && open["transactional_id"] == "runner",
        "{producers}"
    );
    let partition = &producers["partitions"][0];
    ensure!(
        partition["last_stable_offset"] == 5 && partition["high_watermark"] == 6,
        "{producers}"
    );

    // Held up: both; hanging: one, the same that kafka-transactions finds.
    let blocked = document(cluster, &["transactions", "open"])?;
    let all = blocked["blocked"].as_array().context("blocked")?;
    ensure!(all.len() == 2, "{blocked}");
    for (topic, openness) in [("txn-hang", "hanging"), ("txn-run", "running")] {
        let found = all
            .iter()
            .find(|row| row["topic"] == topic)
            .context("the partition")?;
        ensure!(found["open"][0]["openness"] == openness, "{found}");
        ensure!(
            found["last_stable_offset"] == 5 && found["high_watermark"] == 6,
            "{found}"
        );
        ensure!(found["groups"][0] == "stuck", "{found}");
        // How long one runs, its coordinator knows; of one that nobody knows the records tell.
        let open = &found["open"][0];
        let age = open["age_ms"].as_i64().unwrap_or_default();
        ensure!(
            open["running_ms"].is_i64() == (openness == "running")
                && (age >= OLD_MS) == (openness == "hanging"),
            "{found}"
        );
    }
    let (code, hanging) = run(cluster, &["transactions", "find-hanging"])?;
    ensure!(
        code == 8 && hanging["hanging"].as_array().map(Vec::len) == Some(1),
        "{hanging}"
    );
    ensure!(hanging["hanging"][0]["producer_id"] == ghost, "{hanging}");
    let args = ["find-hanging", "--topic", "txn-hang"];
    let text = cluster.tool("kafka-transactions", &args, None)?;
    let found = row(&text, &["txn-hang", "0", &ghost.to_string()])?;
    ensure!(
        found[5].parse().ok() == hanging["hanging"][0]["start_offset"].as_i64(),
        "{found:?}"
    );
    let args = ["find-hanging", "--topic", "txn-run"];
    let text = cluster.tool("kafka-transactions", &args, None)?;
    ensure!(!text.contains("txn-run"), "{text}");

    // Aborted by keys, after its partition was typed.
    let mut terminal = manager(cluster, "transactions")?;
    terminal.wait_for("2 partitions held up")?;
    terminal.wait_for("HANGING")?;
    looked_at(cluster, &mut terminal, (running, ghost))?;
    terminal.keys("g enter")?;
    terminal.wait_for("has no part in this partition")?;
    terminal.wait_for("committed records only: stuck")?;
    terminal.keys("esc x")?;
    terminal.wait_for("type txn-hang-0 to confirm")?;
    terminal.keys("txn-hang-0 enter")?;
    terminal.wait_for("✓ abort the transaction in txn-hang-0")?;
    terminal.wait_for("1 partition held up")?;
    let blocked = document(cluster, &["transactions", "open"])?;
    ensure!(
        blocked["blocked"].as_array().map(Vec::len) == Some(1),
        "{blocked}"
    );
    let args = ["--topic", "txn-hang", "--isolation-level", "read_committed"];
    let args = [&args[..], &["--from-beginning", "--timeout-ms", "3000"]].concat();
    let read = cluster.tool("kafka-console-consumer", &args, None)?;
    ensure!(!read.contains("in a transaction"), "{read}");

    // One that runs is warned of; a second time it is not there any more.
    let abort = [
        "transactions",
        "abort",
        "--topic",
        "txn-run",
        "--partition",
        "0",
    ];
    let abort = [&abort[..], &["--start-offset", "5"]].concat();
    let dry = document(cluster, &[&abort[..], &["--dry-run"]].concat())?;
    ensure!(
        dry["plan"]["warnings"]
            .to_string()
            .contains("does not hang"),
        "{dry}"
    );
    document(cluster, &[&abort[..], &["--yes"]].concat())?;
    ensure!(
        run(cluster, &[&abort[..], &["--yes"]].concat())?.0 == 3,
        "it is gone"
    );
    ensure!(
        run(cluster, &["transactions", "find-hanging"])?.0 == 0,
        "none hangs"
    );
    for topic in ["txn-run", "txn-hang"] {
        cluster.tool("kafka-topics", &["--delete", "--topic", topic], None)?;
    }
    Ok(())
}
