//! Which open transactions hang, and whom they block.
//!
//! KIP-664, `TransactionsCommand.java` (`FindHangingTransactionsCommand`, 4.3): a transaction that
//! is open in a partition and older than any transaction may be hangs when no transactional id has
//! its producer id, the coordinator does not know that id any more, or the partition is not one
//! that the coordinator still has to mark.

use std::sync::Arc;

use serde::Serialize;

use crate::model::{
    BlockedPartition, ClusterSnapshot, PartitionProducer, TopicPartition, Transactions,
};

/// Kafka's default for `transaction.max.timeout.ms`.
pub const MAX_TIMEOUT_MS: i64 = 15 * 60_000;

/// What is to be thought of a transaction that is open in a partition, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Openness {
    /// Its coordinator knows it, or it is young enough to be believed.
    Running,
    /// A coordinator that could know did not answer.
    Unknown,
    /// Nobody will ever end it.
    Hanging,
}

/// A transaction that is open in a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenTransaction {
    pub topic: Arc<str>,
    pub partition: i32,
    pub producer_id: i64,
    pub producer_epoch: i32,
    pub coordinator_epoch: i32,
    pub start_offset: i64,
    /// Of its last record, as its producer wrote it: -1 where it wrote none.
    pub last_timestamp_ms: i64,
    /// Since its last record, by the time that its producer gave it; whether it hangs is judged by
    /// this, as Kafka's tool does.
    pub age_ms: i64,
    /// Since it began, by its coordinator's clock; null where no coordinator has this partition in
    /// a transaction.
    pub running_ms: Option<i64>,
    pub transactional_id: Option<Arc<str>>,
    pub openness: Openness,
    /// Why it is taken for that.
    pub why: String,
}

impl OpenTransaction {
    /// How old it is, as well as it is known: by its coordinator, else by its last record.
    pub fn known_age_ms(&self) -> Option<i64> {
        let by_record = (self.last_timestamp_ms >= 0).then_some(self.age_ms);
        self.running_ms.or(by_record)
    }
}

/// A partition that readers of committed records can't read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocked {
    pub topic: Arc<str>,
    pub partition: i32,
    pub last_stable_offset: i64,
    pub high_watermark: i64,
    /// Records between the two.
    pub behind: i64,
    /// The first one is the one that blocks.
    pub open: Vec<OpenTransaction>,
    /// Why the producers are not known.
    pub error: Option<String>,
    /// Groups whose next record is there: they wait if they read committed records only.
    pub groups: Vec<Arc<str>>,
}

/// All partitions that wait, with what they wait for. `now_ms` is the time of the wall.
pub fn blocked(snapshot: &ClusterSnapshot, now_ms: i64, max_timeout_ms: i64) -> Vec<Blocked> {
    let Some(transactions) = snapshot.transactions.get() else {
        return Vec::new();
    };
    let blocked = |blocked: &BlockedPartition| {
        let open = blocked.open.as_deref().unwrap_or_default().iter();
        let open = open.filter_map(|producer| {
            judged(
                &blocked.partition,
                producer,
                transactions,
                now_ms,
                max_timeout_ms,
            )
        });
        Blocked {
            topic: Arc::clone(&blocked.partition.topic),
            partition: blocked.partition.partition,
            last_stable_offset: blocked.last_stable_offset,
            high_watermark: blocked.high_watermark,
            behind: (blocked.high_watermark - blocked.last_stable_offset).max(0),
            open: open.collect(),
            error: blocked.open.as_ref().err().map(ToString::to_string),
            groups: waiting_groups(snapshot, blocked),
        }
    };
    transactions.blocked.iter().map(blocked).collect()
}

/// Judges one producer of a partition; `None` when it has nothing open there.
pub fn judged(
    key: &TopicPartition,
    producer: &PartitionProducer,
    transactions: &Transactions,
    now_ms: i64,
    max_timeout_ms: i64,
) -> Option<OpenTransaction> {
    let start_offset = producer.open_from?;
    let age_ms = now_ms.saturating_sub(producer.last_timestamp_ms).max(0);
    let known = transactions.of_producer(producer.producer_id);
    let is_late = age_ms > max_timeout_ms;
    let detail = known.and_then(|transaction| transaction.detail.as_ref());
    let here = detail.filter(|detail| detail.partitions.contains(key));
    let started_ms = here.and_then(|detail| detail.started_ms);
    let (openness, why) = match known {
        None if !transactions.faults.is_empty() => {
            let who: Vec<String> = transactions.faults.keys().map(i32::to_string).collect();
            let why = format!("broker {} did not tell its transactions", who.join(", "));
            (Openness::Unknown, why)
        }
        None => hangs_if(is_late, "no transactional id has this producer id"),
        Some(transaction) => match &transaction.detail {
            None if transactions.undescribed.contains_key(&transaction.id) => {
                let why = format!("\"{}\" could not be described", transaction.id);
                (Openness::Unknown, why)
            }
            None => hangs_if(
                is_late,
                &format!("no coordinator knows \"{}\"", transaction.id),
            ),
            Some(detail) if detail.partitions.contains(key) => {
                let why = format!("\"{}\" is {}", transaction.id, transaction.state);
                (Openness::Running, why)
            }
            Some(_) => {
                let why = format!(
                    "\"{}\" is {} and has no part in this partition",
                    transaction.id, transaction.state
                );
                hangs_if(is_late, &why)
            }
        },
    };
    Some(OpenTransaction {
        topic: Arc::clone(&key.topic),
        partition: key.partition,
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        coordinator_epoch: producer.coordinator_epoch,
        start_offset,
        last_timestamp_ms: producer.last_timestamp_ms,
        age_ms,
        running_ms: started_ms.map(|started| now_ms.saturating_sub(started).max(0)),
        transactional_id: known.map(|transaction| Arc::clone(&transaction.id)),
        openness,
        why,
    })
}

/// What was read at different moments may contradict itself for as long as a transaction may run.
fn hangs_if(is_late: bool, why: &str) -> (Openness, String) {
    if is_late {
        (Openness::Hanging, why.to_owned())
    } else {
        let why = format!("{why}, but it is younger than a transaction may be");
        (Openness::Running, why)
    }
}

/// Groups that are to read next what readers of committed records don't get.
fn waiting_groups(snapshot: &ClusterSnapshot, blocked: &BlockedPartition) -> Vec<Arc<str>> {
    let key = &blocked.partition;
    let at = |group: &Arc<str>| {
        let committed = snapshot.committed.get(group)?.get()?;
        committed.partition(&key.topic, key.partition)?.offset
    };
    // Whoever is past it reads uncommitted records, or none here.
    let waits = |group: &&Arc<str>| at(group) == Some(blocked.last_stable_offset);
    let mut groups: Vec<Arc<str>> = snapshot.committed.keys().filter(waits).cloned().collect();
    groups.sort();
    groups
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Fault, FaultKind, PartError, Transaction, TransactionDetail};

    const NOW_MS: i64 = 100 * 60_000;

    fn key(partition: i32) -> TopicPartition {
        TopicPartition::new("orders", partition)
    }

    fn producer(producer_id: i64, age_minutes: i64) -> PartitionProducer {
        PartitionProducer {
            producer_id,
            producer_epoch: 3,
            coordinator_epoch: -1,
            last_sequence: 4,
            last_timestamp_ms: NOW_MS - age_minutes * 60_000,
            open_from: Some(10),
        }
    }

    /// Producer 1 runs in partition 0, producer 2 has ended, producer 3 was not found again.
    fn transactions() -> Transactions {
        let transaction = |id: &str, producer_id, state: &str, detail| Transaction {
            id: id.into(),
            producer_id,
            state: state.into(),
            coordinator: 1,
            detail,
        };
        let detail = |partitions: &[i32]| TransactionDetail {
            partitions: partitions.iter().map(|id| key(*id)).collect(),
            ..TransactionDetail::default()
        };
        Transactions {
            transactions: vec![
                transaction("a", 1, "Ongoing", Some(detail(&[0]))),
                transaction("b", 2, "CompleteCommit", Some(detail(&[]))),
                transaction("c", 3, "Ongoing", None),
            ],
            ..Transactions::default()
        }
    }

    fn openness(partition: i32, producer_id: i64, age: i64, of: &Transactions) -> Openness {
        let producer = producer(producer_id, age);
        judged(&key(partition), &producer, of, NOW_MS, MAX_TIMEOUT_MS)
            .unwrap()
            .openness
    }

    #[test]
    fn what_hangs_is_what_kip_664_says() {
        let all = transactions();
        for (partition, producer_id, age, expected) in [
            // Known, and this partition is part of it: however old.
            (0, 1, 60, Openness::Running),
            // Known, but not here.
            (1, 1, 60, Openness::Hanging),
            (1, 1, 15, Openness::Running),
            // It has ended, and a marker is missing.
            (0, 2, 16, Openness::Hanging),
            (0, 2, 1, Openness::Running),
            // Listed, and then gone.
            (0, 3, 60, Openness::Hanging),
            // Nobody knows it.
            (0, 9, 16, Openness::Hanging),
            (0, 9, 14, Openness::Running),
        ] {
            let found = openness(partition, producer_id, age, &all);
            assert_eq!(found, expected, "{partition} {producer_id} {age}");
        }
    }

    #[test]
    fn where_a_coordinator_is_silent_nothing_is_called_hanging() {
        let fault = Fault::new(FaultKind::Unreachable, "list transactions", "no answer");
        let mut all = transactions();
        all.faults = BTreeMap::from([(2, Arc::new(fault))]);
        assert_eq!(openness(0, 9, 60, &all), Openness::Unknown);
        assert_eq!(
            openness(0, 2, 60, &all),
            Openness::Hanging,
            "its own coordinator told"
        );
        let mut all = transactions();
        all.undescribed = BTreeMap::from([("c".into(), PartError(15))]);
        assert_eq!(openness(0, 3, 60, &all), Openness::Unknown);
    }

    /// Producers give records any time they like: how long a transaction has been running, its
    /// coordinator knows.
    #[test]
    fn a_transaction_is_as_old_as_its_coordinator_says_where_one_knows_it() {
        let mut all = transactions();
        let detail = all.transactions[0].detail.as_mut().unwrap();
        detail.started_ms = Some(NOW_MS - 7_000);
        let old = producer(1, 60);
        let age = |partition, producer: &PartitionProducer| {
            let open = judged(&key(partition), producer, &all, NOW_MS, MAX_TIMEOUT_MS).unwrap();
            (open.running_ms, open.known_age_ms())
        };
        assert_eq!(age(0, &old), (Some(7_000), Some(7_000)));
        // Not in this partition, or nobody's: what the records say is all there is.
        assert_eq!(age(1, &old), (None, Some(60 * 60_000)));
        assert_eq!(age(0, &producer(9, 20)), (None, Some(20 * 60_000)));
        let timeless = PartitionProducer {
            last_timestamp_ms: -1,
            ..producer(9, 0)
        };
        assert_eq!(age(0, &timeless), (None, None));
    }

    #[test]
    fn a_producer_without_an_open_transaction_is_none() {
        let producer = PartitionProducer {
            open_from: None,
            ..producer(1, 60)
        };
        let all = transactions();
        assert_eq!(
            judged(&key(0), &producer, &all, NOW_MS, MAX_TIMEOUT_MS),
            None
        );
    }
}
