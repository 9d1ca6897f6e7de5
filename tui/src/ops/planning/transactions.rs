//! The plan to end a transaction that nobody ends.

use crate::derive::{self, MAX_TIMEOUT_MS, Openness};
use crate::model::{ClusterMetadata, ClusterSnapshot, Fault};
use crate::ops::action::{AbortTransaction, Action};
use crate::ops::plan::{Danger, Plan};

use super::{bootstrap, count, find_topic, quote};

pub(super) fn abort(
    abort: AbortTransaction,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let key = abort.partition.clone();
    let title = format!(
        "abort the transaction in {key} from offset {}",
        abort.start_offset
    );
    find_topic(metadata, &title, &key.topic)?;
    let Some(transactions) = snapshot.transactions.get() else {
        return Err(match snapshot.transactions.fault() {
            Some(fault) => Fault::clone(fault),
            None => Fault::refused(title, "the transactions were not read yet"),
        });
    };
    // The wall's time of the reading: what was old then is old now.
    let now_ms = snapshot.transactions.taken().unwrap_or_default().wall_ms;
    let held = transactions
        .blocked
        .iter()
        .find(|blocked| blocked.partition == key);
    let mut producers = held.iter().flat_map(|held| held.open.iter().flatten());
    let producer = producers.find(|producer| producer.open_from == Some(abort.start_offset));
    let Some((held, producer)) = held.zip(producer) else {
        let why = format!(
            "no transaction is open in {key} from offset {}",
            abort.start_offset
        );
        return Err(Fault::not_found(title, why)
            .with_hint("`kafka-tui transactions open` lists those that are"));
    };
    let judged = derive::judged(&key, producer, transactions, now_ms, MAX_TIMEOUT_MS);
    let meant = AbortTransaction {
        producer_id: producer.producer_id,
        ..abort
    };
    let mut plan = Plan::new(
        Action::AbortTransaction(meant.clone()),
        title,
        Danger::Destructive,
    );
    let behind = held.high_watermark - held.last_stable_offset;
    plan.change(
        format!(
            "{key}, producer {} epoch {}",
            producer.producer_id, producer.producer_epoch
        ),
        Some(format!("open from offset {}", meant.start_offset)),
        Some("aborted: its records here are never read as committed".to_owned()),
    );
    plan.warnings.push(
        "what it has written to this partition is lost to readers of committed records".into(),
    );
    if let Some(judged) = judged {
        match judged.openness {
            Openness::Hanging => {}
            Openness::Running => plan.warnings.push(format!(
                "it does not hang: {}; stop its producer, or wait until its time is over, or its \
                 other partitions are committed and this one is not",
                judged.why
            )),
            Openness::Unknown => plan
                .warnings
                .push(format!("whether it hangs is not known: {}", judged.why)),
        }
    }
    let others = held
        .open
        .iter()
        .flatten()
        .filter(|p| p.open_from != producer.open_from)
        .count();
    if others > 0 {
        let others = count(others, "other transaction");
        plan.not_done.push(format!(
            "{others} stay open in {key} and hold its readers up"
        ));
    } else if behind > 0 {
        let records = count(usize::try_from(behind).unwrap_or(usize::MAX), "record");
        let freed = format!("up to {records} behind offset {}", held.last_stable_offset);
        plan.not_done
            .push(format!("readers of committed records then get {freed}"));
    }
    plan.irrevocable
        .push(format!("the transaction in {key} stays aborted"));
    plan.typed_confirmation = Some(key.to_string());
    plan.equivalent.push(format!(
        "kafka-transactions.sh {} abort --topic {} --partition {} --start-offset {}",
        bootstrap(metadata),
        quote(&key.topic),
        key.partition,
        meant.start_offset
    ));
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        BlockedPartition, FaultKind, PartitionProducer, Taken, TopicPartition, Transactions, Update,
    };

    const NOW_MS: i64 = 100 * 60_000;

    fn producer(producer_id: i64, age_minutes: i64, open_from: i64) -> PartitionProducer {
        PartitionProducer {
            producer_id,
            producer_epoch: 3,
            coordinator_epoch: -1,
            last_sequence: 4,
            last_timestamp_ms: NOW_MS - age_minutes * 60_000,
            open_from: Some(open_from),
        }
    }

    fn planned(open: Vec<PartitionProducer>, start_offset: i64) -> Result<Plan, Fault> {
        let metadata = ClusterMetadata {
            topics: vec![Arc::new(derive::test_topic("orders", &[(&[1], &[1], 1)]))],
            ..ClusterMetadata::default()
        };
        let blocked = BlockedPartition {
            partition: TopicPartition::new("orders", 0),
            last_stable_offset: 10,
            high_watermark: 30,
            open: Ok(open),
        };
        let transactions = Transactions {
            blocked: vec![blocked],
            ..Transactions::default()
        };
        let mut snapshot = ClusterSnapshot::default();
        let at = Taken {
            monotonic_ms: 1,
            wall_ms: NOW_MS,
        };
        snapshot.apply(Update::Metadata(Ok(Arc::new(metadata))), at);
        snapshot.apply(Update::Transactions(Ok(Arc::new(transactions))), at);
        let abort = AbortTransaction {
            partition: TopicPartition::new("orders", 0),
            start_offset,
            producer_id: -1,
        };
        crate::ops::plan(Action::AbortTransaction(abort), &snapshot)
    }

    #[test]
    fn an_abort_is_typed_and_names_what_is_lost_and_who_is_freed() {
        let plan = planned(vec![producer(7, 60, 10)], 10).unwrap();
        assert_eq!(plan.danger, Danger::Destructive);
        assert_eq!(plan.typed_confirmation.as_deref(), Some("orders-0"));
        assert_eq!(plan.inverse, None);
        assert!(
            plan.warnings
                .iter()
                .all(|warning| !warning.contains("does not hang"))
        );
        assert!(
            plan.not_done[0].contains("20 records"),
            "{:?}",
            plan.not_done
        );
        assert_eq!(
            plan.equivalent,
            [
                "kafka-transactions.sh --bootstrap-server HOST:PORT abort --topic orders \
                 --partition 0 --start-offset 10"
            ]
        );
        let Action::AbortTransaction(abort) = plan.action else {
            panic!()
        };
        assert_eq!(abort.producer_id, 7);
    }

    #[test]
    fn one_that_does_not_hang_is_warned_of_and_one_that_is_not_there_refused() {
        let plan = planned(vec![producer(7, 1, 10), producer(8, 1, 12)], 10).unwrap();
        assert!(
            plan.warnings[1].contains("it does not hang"),
            "{:?}",
            plan.warnings
        );
        assert!(
            plan.not_done[0].contains("1 other transaction"),
            "{:?}",
            plan.not_done
        );
        let fault = planned(vec![producer(7, 1, 10)], 11).unwrap_err();
        assert_eq!(fault.kind, FaultKind::NotFound);
    }
}
