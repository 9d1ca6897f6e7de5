//! Transactions and changes of the quorum: what they look like and what their keys lead to.

use std::sync::Arc;

use insta::assert_snapshot;

use super::{Driver, WALL_MS, fixture};
use crate::model::*;
use crate::ops::{Action, Plan, QuorumAction};
use crate::ui::event::Effect;

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
    clicks-2         running        0ms     1,000         3,000           7

    transactional ids ─────────────────────────────────────────────────────────────
    TRANSACTIONAL ID▲ STATE                FOR    PRODUCER   EPOCH   COORD
    billing-1         Ongoing               5s           7       3       2
    billing-2         Empty                              9               2



    ? help  tab next list  x abort  t topic  enter open  / filter  > sort
    "#);
    assert_snapshot!(look(":transactions enter", 40, 10), @r#"
    kafka-tui  b1:9092  controller 1  live
    … › transactions  1 open · 2 partition…
    PARTITION        STATE▼         AGE
    orders-0         HANGING      1h 0m
    clicks-2         running        0ms
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
    clicks-2         running        0ms     1,000         3,000         4,000           7

    transactional ids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    TRANSACTIONAL ID▲ STATE                FOR    PRODUCER   EPOCH    TIMEOUT   COORD
    billing-1         Ongoing               5s           7       3      1m 0s       2
    billing-2         Empty                              9                          2



    ? help  tab next list  x abort  t topic  enter open  / filter  > sort  : command  ctrl-p jump
    "#);
    assert_snapshot!(look(":transactions enter g enter", 80, 20), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › transactions  1 open · 2 partitions held up ────────────────────────
    PARTITION        STATE▼         AGE    BEHIND        STABLE    PRODUCER
    orders-0         HANGING      1h 0m     1,000       999,100           8
    clicks-2         running        0ms     1,000         3,000           7

    tra╭ transaction ─────────────────────────────────────────────────────────╮────
    TRA│ orders-0: readers of committed records get to 999,100, 1,000 records │
    bil│ before the end                                                       │
    bil│ no transactional id has this producer id                             │
       │ producer 8 epoch 3, open from offset 999,100                         │
       │ its last record is of 2026-11-21 09:00:00.000                        │
       │ groups that wait if they read committed records only: billing        │
       ╰──────────────────────────────────────────────────────────────────────╯





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
