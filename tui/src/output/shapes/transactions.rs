//! `transactions`.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use crate::derive::{Blocked, OpenTransaction, Openness};
use crate::model::{
    PartitionProducer, TopicPartition, TopicProducers, Transaction, Transactions, WrittenPartition,
};
use crate::output::{Printable, Table, or_dash};

use super::group_history::{ms_text, time};

/// A broker that did not tell.
#[derive(Clone, Debug, Serialize)]
pub struct SilentBroker {
    pub broker: i32,
    pub error: String,
}

pub(crate) fn silent(transactions: &Transactions) -> Vec<SilentBroker> {
    let silent = |(broker, fault): (&i32, &Arc<crate::model::Fault>)| SilentBroker {
        broker: *broker,
        error: fault.why.clone(),
    };
    transactions.faults.iter().map(silent).collect()
}

fn tell_silent(text: &mut String, silent: &[SilentBroker]) {
    for broker in silent {
        let _ = writeln!(
            text,
            "! broker {} did not tell: {}",
            broker.broker, broker.error
        );
    }
}

/// `transactions list`.
#[derive(Clone, Debug, Serialize)]
pub struct TransactionsJson {
    pub transactions: Vec<TransactionRow>,
    /// Coordinators whose transactions are missing.
    pub missing: Vec<SilentBroker>,
}

impl From<Transactions> for TransactionsJson {
    fn from(all: Transactions) -> Self {
        Self {
            missing: silent(&all),
            transactions: all.transactions.iter().map(TransactionRow::from).collect(),
        }
    }
}

impl Printable for TransactionsJson {
    fn table(&self) -> String {
        let mut text = if self.transactions.is_empty() {
            "there are no transactions\n".to_owned()
        } else {
            let mut table = Table::new(&["TRANSACTIONAL ID", "STATE", ">PRODUCER", ">COORDINATOR"]);
            for transaction in &self.transactions {
                table.row([
                    transaction.transactional_id.to_string(),
                    transaction.state.to_string(),
                    transaction.producer_id.to_string(),
                    transaction.coordinator.to_string(),
                ]);
            }
            table.render()
        };
        tell_silent(&mut text, &self.missing);
        text
    }
}

/// One transactional id; what describing it adds is null in a list.
#[derive(Clone, Debug, Serialize)]
pub struct TransactionRow {
    pub transactional_id: Arc<str>,
    pub state: Arc<str>,
    pub producer_id: i64,
    pub coordinator: i32,
    pub producer_epoch: Option<i16>,
    pub timeout_ms: Option<i32>,
    pub started_ms: Option<i64>,
    /// The partitions that are part of it and have no marker yet.
    pub partitions: Option<Vec<PartitionName>>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PartitionName {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl From<&Transaction> for TransactionRow {
    fn from(transaction: &Transaction) -> Self {
        let detail = transaction.detail.as_ref();
        let name = |key: &TopicPartition| PartitionName {
            topic: Arc::clone(&key.topic),
            partition: key.partition,
        };
        Self {
            transactional_id: Arc::clone(&transaction.id),
            state: Arc::clone(&transaction.state),
            producer_id: transaction.producer_id,
            coordinator: transaction.coordinator,
            producer_epoch: detail.map(|detail| detail.producer_epoch),
            timeout_ms: detail.map(|detail| detail.timeout_ms),
            started_ms: detail.and_then(|detail| detail.started_ms),
            partitions: detail.map(|detail| detail.partitions.iter().map(name).collect()),
        }
    }
}

/// `transactions describe`.
#[derive(Clone, Debug, Serialize)]
pub struct TransactionJson {
    #[serde(flatten)]
    pub transaction: TransactionRow,
    /// Since it began.
    pub age_ms: Option<i64>,
}

impl Printable for TransactionJson {
    fn table(&self) -> String {
        let row = &self.transaction;
        let mut text = format!("transactional id  {}\n", row.transactional_id);
        let _ = writeln!(text, "state             {}", row.state);
        let _ = writeln!(text, "producer          {}", row.producer_id);
        let _ = writeln!(text, "epoch             {}", or_dash(row.producer_epoch));
        let _ = writeln!(text, "coordinator       {}", row.coordinator);
        let timeout = row.timeout_ms.map(|ms| ms_text(i64::from(ms)));
        let _ = writeln!(text, "timeout           {}", or_dash(timeout));
        let age = self.age_ms.map(|age| format!("{} ago", ms_text(age)));
        let _ = writeln!(text, "began             {}", or_dash(age));
        let keys = row.partitions.iter().flatten();
        let keys: Vec<String> = keys
            .map(|key| format!("{}-{}", key.topic, key.partition))
            .collect();
        let _ = writeln!(text, "partitions        {}", keys.join(" "));
        text
    }
}

/// `transactions producers`.
#[derive(Clone, Debug, Serialize)]
pub struct ProducersJson {
    pub partitions: Vec<PartitionProducersJson>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PartitionProducersJson {
    pub topic: Arc<str>,
    pub partition: i32,
    /// Readers of committed records get up to here.
    pub last_stable_offset: Option<i64>,
    pub high_watermark: Option<i64>,
    pub producers: Option<Vec<ProducerRow>>,
    pub error: Option<String>,
}

/// A producer with its transactional id, where it has one and its coordinator told.
#[derive(Clone, Debug, Serialize)]
pub struct ProducerRow {
    #[serde(flatten)]
    pub producer: PartitionProducer,
    pub transactional_id: Option<Arc<str>>,
}

impl From<TopicProducers> for ProducersJson {
    fn from(all: TopicProducers) -> Self {
        let (topic, ids) = (all.topic, all.transactional_ids);
        let row = |producer: PartitionProducer| ProducerRow {
            transactional_id: ids.get(&producer.producer_id).map(Arc::clone),
            producer,
        };
        let partition = |written: WrittenPartition| {
            let error = written.producers.as_ref().err().map(ToString::to_string);
            PartitionProducersJson {
                topic: Arc::clone(&topic),
                partition: written.partition,
                last_stable_offset: written.last_stable_offset.known(),
                high_watermark: written.high_watermark.known(),
                producers: written
                    .producers
                    .ok()
                    .map(|all| all.into_iter().map(row).collect()),
                error,
            }
        };
        Self {
            partitions: all.partitions.into_iter().map(partition).collect(),
        }
    }
}

impl Printable for ProducersJson {
    fn table(&self) -> String {
        let mut table = Table::new(&[
            "TOPIC",
            ">PARTITION",
            ">PRODUCER",
            ">EPOCH",
            ">COORD EPOCH",
            ">LAST SEQUENCE",
            "LAST TIMESTAMP",
            ">OPEN FROM",
            ">STABLE",
            ">HIGH WATER",
            "TRANSACTIONAL ID",
        ]);
        for partition in &self.partitions {
            let key = [partition.topic.to_string(), partition.partition.to_string()];
            if let Some(error) = &partition.error {
                table.row(key.iter().cloned().chain([error.clone()]));
            }
            for row in partition.producers.iter().flatten() {
                let producer = &row.producer;
                let cells = [
                    producer.producer_id.to_string(),
                    producer.producer_epoch.to_string(),
                    or_dash(
                        (producer.coordinator_epoch >= 0).then_some(producer.coordinator_epoch),
                    ),
                    producer.last_sequence.to_string(),
                    time(producer.last_timestamp_ms),
                    or_dash(producer.open_from),
                    or_dash(partition.last_stable_offset),
                    or_dash(partition.high_watermark),
                    or_dash(row.transactional_id.as_deref()),
                ];
                table.row(key.iter().cloned().chain(cells));
            }
        }
        table.render()
    }
}

/// `transactions open`.
#[derive(Clone, Debug, Serialize)]
pub struct BlockedJson {
    pub blocked: Vec<Blocked>,
    /// Partitions of which it is not known.
    pub unknown_partitions: usize,
    pub missing: Vec<SilentBroker>,
}

impl Printable for BlockedJson {
    fn table(&self) -> String {
        let mut text = String::new();
        if self.blocked.is_empty() {
            text.push_str("no partition waits for a transaction\n");
        }
        for blocked in &self.blocked {
            let _ = writeln!(
                text,
                "{}-{}  stable {}  high watermark {}  behind {}",
                blocked.topic,
                blocked.partition,
                blocked.last_stable_offset,
                blocked.high_watermark,
                blocked.behind
            );
            for open in &blocked.open {
                let _ = writeln!(
                    text,
                    "  {} producer {} epoch {} from offset {}: {}",
                    word(open.openness),
                    open.producer_id,
                    open.producer_epoch,
                    open.start_offset,
                    open.why
                );
            }
            if let Some(error) = &blocked.error {
                let _ = writeln!(text, "  its producers are not known: {error}");
            }
            if !blocked.groups.is_empty() {
                let _ = writeln!(
                    text,
                    "  groups that are there: {}",
                    blocked.groups.join(", ")
                );
            }
        }
        if self.unknown_partitions > 0 {
            let _ = writeln!(
                text,
                "! of {} partitions it is not known",
                self.unknown_partitions
            );
        }
        tell_silent(&mut text, &self.missing);
        text
    }
}

fn word(openness: Openness) -> &'static str {
    match openness {
        Openness::Running => "running",
        Openness::Hanging => "HANGING",
        Openness::Unknown => "unknown",
    }
}

/// `transactions find-hanging`.
#[derive(Clone, Debug, Serialize)]
pub struct HangingJson {
    pub hanging: Vec<OpenTransaction>,
    pub unknown_partitions: usize,
    pub missing: Vec<SilentBroker>,
}

impl Printable for HangingJson {
    fn table(&self) -> String {
        let mut text = if self.hanging.is_empty() {
            "no transaction hangs\n".to_owned()
        } else {
            let mut table = Table::new(&[
                "TOPIC",
                ">PARTITION",
                ">PRODUCER",
                ">EPOCH",
                ">START OFFSET",
                ">AGE MIN",
                "WHY",
            ]);
            for open in &self.hanging {
                table.row([
                    open.topic.to_string(),
                    open.partition.to_string(),
                    open.producer_id.to_string(),
                    open.producer_epoch.to_string(),
                    open.start_offset.to_string(),
                    (open.age_ms / 60_000).to_string(),
                    open.why.clone(),
                ]);
            }
            table.render()
        };
        if self.unknown_partitions > 0 {
            let _ = writeln!(
                text,
                "! of {} partitions it is not known",
                self.unknown_partitions
            );
        }
        tell_silent(&mut text, &self.missing);
        text
    }
}
