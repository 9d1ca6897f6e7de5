//! Transactions and changes of the quorum: what they look like and what their keys lead to.

use std::sync::Arc;

use insta::assert_snapshot;

use super::{Driver, WALL_MS, fixture};
use crate::model::*;
use crate::ops::{Action, Plan, QuorumAction};
use crate::ui::event::{Answer, Effect};

fn updates() -> Vec<Update> {
    let producer = |producer_id, minutes: i64, open_from| PartitionProducer {
        producer_id,
        producer_epoch: 3,
        coordinator_epoch: -1,
        last_sequence: 4,
        last_timestamp_ms: WALL_MS - minutes * 60_000,
        open_from: Some(open_from),
    };
    let blocked = |partition, stable, open| BlockedPartition {
        partition,
        last_stable_offset: stable,
        high_watermark: stable + 1_000,
        open,
    };
    let clicks = TopicPartition::new("clicks", 2);
    let orders = TopicPartition::new("orders", 0);
    let detail = |partitions: &[&TopicPartition]| TransactionDetail {
        producer_epoch: 3,
        timeout_ms: 60_000,
        started_ms: Some(WALL_MS - 5_000),
        partitions: partitions.iter().map(|key| (*key).clone()).collect(),
    };
    let transaction = |id: &str, producer_id, state: &str, detail| Transaction {
        id: id.into(),
        producer_id,
        state: state.into(),
        coordinator: 2,
        detail,
    };
    let transactions = Transactions {
        transactions: vec![
            transaction("billing-1", 7, "Ongoing", Some(detail(&[&clicks]))),
            transaction("billing-2", 9, "Empty", None),
        ],
        blocked: vec![
            blocked(clicks.clone(), 3_000, Ok(vec![producer(7, 0, 3_000)])),
            blocked(orders, 999_100, Ok(vec![producer(8, 60, 999_100)])),
        ],
        ..Transactions::default()
    };
    vec![Update::Transactions(Ok(Arc::new(transactions)))]
}

fn driver() -> Driver {
    let mut driver = Driver::with(fixture::all());
    driver.feed(updates());
    driver.take_effects();
    driver
}

fn look(keys: &str, width: u16, height: u16) -> String {
    let mut driver = driver();
    driver.keys(keys);
    driver.screen(width, height)
}

fn executed(driver: &mut Driver) -> Option<Arc<Plan>> {
    let mut effects = driver.take_effects().into_iter();
    effects.find_map(|effect| match effect {
        Effect::Execute { plan, .. } => Some(plan),
        _ => None,
    })
}

#[test]
fn transactions() {
    assert_snapshot!(look(":transactions enter", 80, 14), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › transactions  1 open · 2 partitions held up ────────────────────────
    PARTITION        STATE▼         AGE    BEHIND        STABLE    PRODUCER
    orders-0         HANGING      1h 0m     1,000       999,100           8
    clicks-2         running         5s     1,000         3,000           7

    transactional ids ─────────────────────────────────────────────────────────────
    TRANSACTIONAL ID▲ STATE                FOR    PRODUCER   EPOCH   COORD
    billing-1         Ongoing               5s           7       3       2
    billing-2         Empty                              9               2



    ? help  tab next list  x abort  t topic  w producers  enter open  / filter
    "#);
    assert_snapshot!(look(":transactions enter", 40, 10), @r#"
    kafka-tui  b1:9092  controller 1  live
    … › transactions  1 open · 2 partition…
    PARTITION        STATE▼         AGE
    orders-0         HANGING      1h 0m
    clicks-2         running         5s
    transactional ids ─────────────────────
    TRANSACTIONAL ID▲ STATE
    billing-1         Ongoing
    billing-2         Empty
    ? help  tab next list  x abort  t topic
    "#);
    assert_snapshot!(look(":transactions enter", 160, 14), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                                                                                       live
    overview › transactions  1 open · 2 partitions held up ────────────────────────────────────────────────────────────────────────────────────────────────────────
    PARTITION        STATE▼         AGE    BEHIND        STABLE    HIGH WATER    PRODUCER  GROUPS THERE
    orders-0         HANGING      1h 0m     1,000       999,100     1,000,100           8  billing
    clicks-2         running         5s     1,000         3,000         4,000           7

    transactional ids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    TRANSACTIONAL ID▲ STATE                FOR    PRODUCER   EPOCH   TIMEOUT   COORD
    billing-1         Ongoing               5s           7       3     1m 0s       2
    billing-2         Empty                              9                         2



    ? help  tab next list  x abort  t topic  w producers  enter open  / filter  > sort  : command  ctrl-p jump
    "#);
    assert_snapshot!(look(":transactions enter g enter", 80, 20), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › transactions  1 open · 2 partitions held up ────────────────────────
    PARTITION        STATE▼         AGE    BEHIND        STABLE    PRODUCER
    orders-0         HANGING      1h 0m     1,000       999,100           8
    clicks-2         running         5s     1,000         3,000           7

    tr╭ transaction ──────────────────────────────────────────────────────────╮────
    TR│ orders-0: readers of committed records get to 999,100, 1,000 records  │
    bi│ before the end                                                        │
    bi│ no transactional id has this producer id                              │
      │ producer 8 epoch 3, open from offset 999,100                          │
      │ its last record says that it is of 2026-11-21 09:00:00.000: 1h 0m ago │
      │ groups that wait if they read committed records only: billing         │
      ╰───────────────────────────────────────────────────────────────────────╯





    esc close  j k scroll  y copy
    "#);
}

#[test]
fn quorum_with_features() {
    assert_snapshot!(look("6", 80, 14), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › quorum  leader 1 · epoch 7 · high watermark 500 · 1 more may fail ──
     NODE▲  ROLE             LOG END     BEHIND  FETCHED AT  CAUGHT UP
         1  leader               500          0  10:00:00    10:00:00
         2  voter                500          0  10:00:00    10:00:00
         3  voter                488         12  10:00:00    10:00:00

    feature levels: in effect, and what the brokers can do ────────────────────────
    FEATURE▲                    LEVEL  NAME        FROM      TO  BY BROKER
    metadata.version               29  4.2-IV1        7      30



    ? help  tab next list  n add voter  D remove voter  + upgrade  enter open
    "#);
    assert_snapshot!(look("6", 40, 12), @r#"
    kafka-tui  b1:9092  controller 1  live
    … › quorum  leader 1 · epoch 7 · high …
     NODE▲  ROLE           LOG END  BEHIND
         1  leader             500       0
         2  voter              500       0
         3  voter              488      12
    feature levels: in effect, and what th…
    FEATURE▲                    LEVEL
    metadata.version               29


    ? help  tab next list  n add voter
    "#);
}

#[test]
fn only_a_typed_partition_ends_a_transaction() {
    let mut driver = driver();
    driver.keys(":transactions enter g x");
    let screen = driver.screen(80, 24);
    assert!(
        screen.contains("orders-0") && !screen.contains("does not hang"),
        "{screen}"
    );
    driver.keys("enter");
    assert!(executed(&mut driver).is_none(), "nothing was typed");
    driver.keys("orders-0 enter");
    let plan = executed(&mut driver).expect("it is executed");
    let Action::AbortTransaction(abort) = &plan.action else {
        panic!("{plan:?}")
    };
    assert_eq!((abort.start_offset, abort.producer_id), (999_100, 8));
}

#[test]
fn one_that_runs_is_warned_of_and_where_none_is_nothing_is_aborted() {
    let mut driver = driver();
    driver.keys(":transactions enter G x");
    assert!(driver.screen(80, 24).contains("does not hang"));
    driver.keys("esc tab x");
    assert!(
        driver
            .screen(80, 24)
            .contains("no open transaction is selected")
    );
    driver.keys("enter");
    assert!(driver.screen(80, 24).contains("partitions: clicks-2"));
}

#[test]
fn a_cluster_without_transactions_says_so() {
    let mut driver = Driver::with(fixture::all());
    let why = "UNSUPPORTED_VERSION";
    let fault = Fault::new(FaultKind::Unsupported, "list the transactions", why);
    driver.feed(vec![Update::Transactions(Err(Arc::new(fault)))]);
    driver.keys(":transactions enter");
    assert!(driver.screen(80, 24).contains("UNSUPPORTED_VERSION"));
}

/// The fixture's quorum with directories and an observer.
fn quorum() -> Update {
    let replica = |id, lag| QuorumReplica {
        id,
        directory_id: Some("4L6g3nShT-eMCtK--X86sw".to_owned()),
        log_end_offset: 500 - lag,
        lag: Some(lag),
        last_fetch_ms: Some(WALL_MS),
        last_caught_up_ms: Some(WALL_MS),
    };
    Update::Quorum(Ok(Arc::new(Quorum {
        leader_id: 1,
        leader_epoch: 7,
        high_watermark: 500,
        voters: vec![replica(1, 0), replica(2, 0), replica(3, 0)],
        observers: vec![replica(4, 0)],
        ..Quorum::default()
    })))
}

#[test]
fn voters_come_and_go_by_keys() {
    let mut driver = driver();
    driver.feed(vec![quorum()]);
    driver.keys("6 g n");
    assert!(driver.screen(80, 24).contains("is no observer"));
    driver.keys("D remove space voter space 1 enter");
    let plan = executed(&mut driver).expect("it is executed");
    assert!(matches!(
        &plan.action,
        Action::Quorum(QuorumAction::RemoveVoter {
            id: 1,
            directory_id: Some(_)
        })
    ));
    driver.keys("esc esc 6 G n ctrl-u CONTROLLER://c4:9093 enter y");
    let plan = executed(&mut driver).expect("it is executed");
    let Action::Quorum(QuorumAction::AddVoter(add)) = &plan.action else {
        panic!("{plan:?}")
    };
    assert_eq!(
        (add.id, add.listeners[0].to_string().as_str()),
        (4, "CONTROLLER://c4:9093")
    );
}

#[test]
fn a_feature_is_checked_by_the_controller_before_it_is_changed() {
    let mut driver = driver();
    driver.keys("6 tab enter");
    assert!(driver.screen(80, 24).contains("from 7 to 30 (4.3-IV0)"));
    driver.keys("enter");
    let screen = driver.screen(80, 24);
    assert!(screen.contains("29 (4.2-IV1) → 30 (4.3-IV0)"), "{screen}");
    assert!(matches!(
        driver.take_effects().last(),
        Some(Effect::Check { .. })
    ));
    driver.keys("esc ctrl-u 20 enter");
    assert!(driver.screen(80, 24).contains("this is a downgrade"));
}

/// Partition 0 with a transaction that holds readers up, 1 with nobody, 2 whose leader is silent.
fn producers() -> TopicProducers {
    let producer = |producer_id, open_from| PartitionProducer {
        producer_id,
        producer_epoch: 3,
        coordinator_epoch: 1,
        last_sequence: 12_345,
        last_timestamp_ms: WALL_MS - 60_000,
        open_from,
    };
    let written = |partition, stable, producers| WrittenPartition {
        partition,
        last_stable_offset: Cell::Known(stable),
        high_watermark: Cell::Known(1_000_000),
        producers,
    };
    TopicProducers {
        topic: "orders".into(),
        partitions: vec![
            written(
                0,
                999_000,
                Ok(vec![producer(1_000, Some(999_000)), producer(2_000, None)]),
            ),
            written(1, 1_000_000, Ok(Vec::new())),
            written(2, 1_000_000, Err(PartError(6))),
        ],
        transactional_ids: [(1_000, "billing-1".into())].into(),
        ids_missing: false,
    }
}

#[test]
fn producers_are_told_per_partition_with_how_far_readers_get() {
    let mut driver = driver();
    driver.keys(":topic space orders enter w");
    let watched = driver
        .take_effects()
        .into_iter()
        .find_map(|effect| match effect {
            Effect::WatchProducers { job, topic } => Some((job, topic)),
            _ => None,
        });
    let (job, topic) = watched.expect("it is looked at");
    assert_eq!(topic, "orders");
    assert!(driver.screen(80, 10).contains("reading …"));
    driver.answer(job, Answer::Producers(Ok(Arc::new(producers()))));
    assert_snapshot!(driver.screen(120, 9), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                                               live
    overview › topics › orders › producers of orders  2 producers · 1 open · 1 partition held up ──────────────────────────
    PART▲    PRODUCER  EPOCH  STATE        LAST    OPEN FROM       STABLE   HIGH WATER    BEHIND  TRANSACTIONAL ID
        0        1000      3  open        1m 0s      999,000      999,000    1,000,000     1,000  billing-1
        0        2000      3  idle        1m 0s                   999,000    1,000,000     1,000
        1                     nobody                            1,000,000    1,000,000         0
        2                     unknown                           1,000,000    1,000,000         0  NOT_LEADER_OR_FOLLOWER

    ? help  t topic  m messages  enter open  / filter  > sort  : command  ctrl-p jump
    "#);
    assert_snapshot!(driver.screen(40, 8), @r#"
    kafka-tui  b1:9092  controller 1  live
    … › producers of orders  2 producers ·…
    PART▲    PRODUCER  STATE
        0        1000  open
        0        2000  idle
        1              nobody
        2              unknown
    ? help  t topic  m messages  enter open
    "#);
    driver.keys("g enter");
    let screen = driver.screen(100, 20);
    for text in [
        "readers of committed records get to 999,000, all others to 1,000,000",
        "producer 1000 epoch 3, last sequence number 12345",
        "a transaction is open from offset 999,000",
        "transactional id \"billing-1\"",
    ] {
        assert!(screen.contains(text), "{text}: {screen}");
    }
    driver.keys("esc");
    // What was known stays where the leaders fall silent.
    let fault = Fault::new(
        FaultKind::Unreachable,
        "describe the producers",
        "no answer",
    );
    driver.answer(job, Answer::Producers(Err(fault)));
    let screen = driver.screen(120, 12);
    assert!(
        screen.contains("billing-1") && screen.contains("no answer"),
        "{screen}"
    );
    driver.keys("esc");
    let is_ended = |effect: &Effect| matches!(effect, Effect::Cancel(ended) if *ended == job);
    assert!(driver.take_effects().iter().any(is_ended));
}

#[test]
fn no_id_and_no_epoch_has_thousands_apart_and_no_age_is_cut() {
    let mut driver = Driver::with(fixture::all());
    let mut all = updates();
    let Update::Transactions(Ok(transactions)) = &mut all[0] else {
        panic!("transactions")
    };
    let transactions = Arc::make_mut(transactions);
    let producer = &mut transactions.blocked[1].open.as_mut().unwrap()[0];
    producer.producer_id = 1_234_567;
    // As a producer writes it that gives its records times of its own.
    producer.last_timestamp_ms = 1_700_000_000_000;
    driver.feed(all);
    driver.keys(":transactions enter");
    let screen = driver.screen(160, 14);
    assert!(
        screen.contains("1234567") && screen.contains("3y 7d"),
        "{screen}"
    );
    assert!(!screen.contains("1,234,567"), "{screen}");
}
