//! What the screens look like.

use insta::assert_snapshot;

use super::{Driver, fixture};
use crate::model::{Fault, FaultKind, ReadReport, Update};
use crate::ui::event::{Answer, Effect};

/// The fixture's cluster, after these keys, in a terminal of that size.
fn look(keys: &str, width: u16, height: u16) -> String {
    let mut driver = Driver::with(fixture::all());
    driver.keys(keys);
    driver.screen(width, height)
}

#[test]
fn overview() {
    assert_snapshot!(look("", 80, 24), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview ──────────────────────────────────────────────────────────────────────
    HEALTH  needs attention now       CLUSTER
    offline partitions            1   brokers       3
    under-replicated              2   controller    1 (epoch 7, 3 voters, lag 12)
    under min ISR                 1   topics        3
    at min ISR                    1   partitions    6 (13 replicas)
    unreplicated                  1   groups        2
    not led by preferred          1   records       ≥3,006,000
    reassigning                   0   size on disk  ≥11.0 MiB
    offline replicas              0

    RATE        ≥250/s  █

    WHAT IS WRONG             STATE▲            DETAIL
    audit-0                   offline           in sync none of 3, min 1
    broker 3                  no answer         connect to b3:9092: refused
    clicks-1                  under-replicated  in sync 2 of 2,3, min 1

    BUSIEST TOPICS             RATE   GROUPS BEHIND          LAG    TIME  VERDICT
    clicks                    150/s   reports          1,000,060       -  -
    orders                    100/s   billing              1,000       -  -

    ? help  2 brokers  3 topics  4 groups  5 reassignments  6 quorum  9 changes
    ");
}

#[test]
fn brokers() {
    assert_snapshot!(look("2", 80, 12), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › brokers  3 · messages/s by log ends ────────────────────────────────
    ID▲  STATE      ADDRESS         LEADERS  REPLICAS  BEHIND       SIZE     MSG/S
      1  up         b1:9092               3         4       0   5.00 MiB     150/s
      2  up         b2:9092               1         4       0   6.00 MiB    50.0/s
      3  no answer  b3:9092               1         5       2          …    50.0/s





    ? help  c settings  d drain  w may stop?  enter open  / filter  > sort
    ");
    assert_snapshot!(look("2", 160, 8), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                                                                                       live
    overview › brokers  3 · messages/s by log ends ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    ID▲  STATE      ADDRESS                              ROLE        RACK      LEADERS    PREF  REPLICAS  BEHIND       SIZE     MSG/S       FREE    SKEW  LEADSKEW
      1  up         b1:9092                              controller  r1              3       2         4       0   5.00 MiB     150/s    512 GiB       -         -
      2  up         b2:9092                                          r2              1       2         4       0   6.00 MiB    50.0/s    512 GiB       -         -
      3  no answer  b3:9092                                          r3              1       2         5       2          …    50.0/s          -       -         -

    ? help  c settings  d drain  w may stop?  enter open  / filter  > sort  : command  ctrl-p jump
    ");
}

#[test]
fn broker() {
    assert_snapshot!(look("2 enter", 80, 14), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › brokers › broker 1  4 ──────────────────────────────────────────────
    up  b1:9092  controller  rack r1
    size 5.00 MiB  out of sync 0  leads 3  replicas 4  preferred for 2
    log dir /var/lib/kafka  5.00 MiB in 4 replicas  512 GiB free of 1.00 TiB
    messages 150/s by the log ends of what it leads; no metrics endpoint
    4 replicas │ share of each topic ──────────────────────────────────────────────
    PARTITION▲            ROLE          STATE             SIZE      BEHIND
    clicks-0              leader        in sync        977 KiB           0
    clicks-2              follower      in sync       2.86 MiB           0
    orders-0              leader        in sync        977 KiB           0
    orders-1              leader        in sync       1.91 MiB           0

    ? help  tab next list  c settings  d drain  w may stop?  enter open  / filter
    ");
}

#[test]
fn topics() {
    assert_snapshot!(look("3", 80, 10), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › topics  3 ──────────────────────────────────────────────────────────
    TOPIC▲            PART   RF  STATE              RECORDS       SIZE      RATE
    audit                1    1  1 offline                …          …         …
    clicks               3    2  1 under-repl.        6,000  ≥6.68 MiB     150/s
    orders               2    3  ok               3,000,000  ≥5.72 MiB     100/s



    ? help  n new  m messages  c settings  a reassign  p produce  + partitions
    ");
    assert_snapshot!(look("3", 160, 8), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                                                                                       live
    overview › topics  3 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    TOPIC▲            PART   RF  STATE              RECORDS       SIZE      RATE  MIN     SPREAD     SKEW    LSKEW   PREF        UR
    audit                1    1  1 offline                …          …         …    1      0/33%       0%       0%     0%      100%
    clicks               3    2  1 under-repl.        6,000  ≥6.68 MiB     150/s    1       100%       0%       0%   100%       33%
    orders               2    3  ok               3,000,000  ≥5.72 MiB     100/s    1       100%       0%      33%    50%        0%

    ? help  n new  m messages  c settings  a reassign  p produce  + partitions  e elect  x export  D delete  enter open  / filter  > sort  : command  ctrl-p jump
    ");
}

#[test]
fn topics_filtered_and_sorted() {
    assert_snapshot!(look("3 s / !aud enter", 80, 9), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › topics  2 of 3 · /!aud ─────────────────────────────────────────────
    TOPIC            PART▼   RF  STATE              RECORDS       SIZE      RATE
    clicks               3    2  1 under-repl.        6,000  ≥6.68 MiB     150/s
    orders               2    3  ok               3,000,000  ≥5.72 MiB     100/s



    ? help  n new  m messages  c settings  a reassign  p produce  + partitions
    ");
    assert_snapshot!(look("3 / nothing", 80, 9), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › topics  0 of 3 · /nothing ──────────────────────────────────────────
    TOPIC▲            PART   RF  STATE              RECORDS       SIZE      RATE
    nothing fits the filter: esc clears it




    /nothing                              enter keep · esc drop · !text all others
    ");
}

#[test]
fn topic() {
    assert_snapshot!(look("3 G enter", 80, 20), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › topics › orders  2 ─────────────────────────────────────────────────
    2 partitions  RF 3  min ISR 1  records 3,000,000  size ≥5.72 MiB  rate 100/s
    settings retention.ms=3600000
    PART▲  LEADER  REPLICAS        IN SYNC   STATE                  END       SIZE
        0       1  1,2,3           1,2,3     ok               1,000,100    977 KiB
        1       1  2,3,1           1,2,3     not preferred    2,000,100   1.91 MiB








    groups of this topic (2) ──────────────────────────────────────────────────────
    GROUP▲            STATE                LAG    TIME  VERDICT  MEMBERS  TYPE
    billing           stable             1,000       -  …              2  classic
    reports           empty          1,000,060       -  …              …  consumer
    ? help  tab next list  m messages  c settings  a reassign  p produce
    ");
    assert_snapshot!(look("3 G enter", 160, 14), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                                                                                       live
    overview › topics › orders  2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    2 partitions  RF 3  min ISR 1  records 3,000,000  size ≥5.72 MiB  rate 100/s
    settings retention.ms=3600000
    PART▲  LEADER  REPLICAS                              IN SYNC   STATE                START          END      RECORDS       SIZE      RATE    BEHIND  EPOCH
        0       1  1,2,3                                 1,2,3     ok                     100    1,000,100    1,000,000    977 KiB    50.0/s         0      3
        1       1  2,3,1                                 1,2,3     not preferred          100    2,000,100    2,000,000   1.91 MiB    50.0/s         0      3


    groups of this topic (2) ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    GROUP▲            STATE                LAG    TIME  VERDICT        WORST  MEMBERS  TOPICS  TYPE      COORD  OWNED   LOST  ASSIGNOR
    billing           stable             1,000       -  …              1,000        2       1  classic       2   100%      0  range
    reports           empty          1,000,060       -  …          1,000,060        …       1  consumer      2     0%      1
    ? help  tab next list  m messages  c settings  a reassign  p produce  + partitions  e elect  w producers  D delete  enter open  / filter  > sort  : command
    ");
}

#[test]
fn a_partition_without_leader_names_its_error() {
    assert_snapshot!(look("3 enter", 80, 10), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › topics › audit  1 ──────────────────────────────────────────────────
    1 partition  RF 1  min ISR 1  records …  size …  rate …
    settings …
    PART▲  LEADER  REPLICAS    IN SYNC  STATE                       END       SIZE
        0    none  3!                   offline  NOT_LEADER_OR_FOLLOWER          …


    no group reads this topic ─────────────────────────────────────────────────────
    ? help  tab next list  m messages  c settings  a reassign  p produce
    ");
}

#[test]
fn groups() {
    assert_snapshot!(look("4", 80, 9), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › groups  2 ──────────────────────────────────────────────────────────
    GROUP▲            STATE                LAG    TIME  VERDICT  MEMBERS  TYPE
    billing           stable             1,000       -  …              2  classic
    reports           empty          1,000,060       -  …              …  consumer



    ? help  o offsets  D delete  enter open  / filter  > sort  : command
    ");
    assert_snapshot!(look("4", 160, 8), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                                                                                       live
    overview › groups  2 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    GROUP▲            STATE                LAG    TIME  VERDICT        WORST  MEMBERS  TOPICS  TYPE      COORD  OWNED   LOST  ASSIGNOR
    billing           stable             1,000       -  …              1,000        2       1  classic       2   100%      0  range
    reports           empty          1,000,060       -  …          1,000,060        …       1  consumer      2     0%      1


    ? help  o offsets  D delete  enter open  / filter  > sort  : command  ctrl-p jump
    ");
}

#[test]
fn group() {
    assert_snapshot!(look("4 enter", 80, 10), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › groups › billing ───────────────────────────────────────────────────
    stable  lag 1,000  members 2  type classic  coordinator 2  assignor range
    partitions 2 │ members 2 │ history 1 ──────────────────────────────────────────
    PARTITION▲           COMMITTED          LAG     TIME  VERDICT  OWNER
    orders-0               999,100        1,000        -           app-1@10.0.0.1
    orders-1             2,000,100            0        -           app-2@10.0.0.1


    ? help  tab next list  t timeline  o offsets  x forget topic  D delete
    ");
    assert_snapshot!(look("4 enter tab", 120, 10), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                                               live
    overview › groups › billing ───────────────────────────────────────────────────────────────────────────────────────────
    stable  lag 1,000  members 2  type classic  coordinator 2  assignor range
    partitions 2 │ members 2 │ history 1 ──────────────────────────────────────────────────────────────────────────────────
    CLIENT▲                     HOST               PART          LAG  OWNS                           INSTANCE        EPOCH
    app-1                       10.0.0.1              1        1,000  orders 0                       -                   -
    app-2                       10.0.0.1              1            0  orders 1                       -                   -


    ? help  tab next list  t timeline  o offsets  x forget topic  D delete  enter open  / filter  > sort  : command
    ");
    // A commit before the log's start, and a partition without one.
    assert_snapshot!(look("4 j enter", 120, 9), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                                               live
    overview › groups › reports ───────────────────────────────────────────────────────────────────────────────────────────
    empty  lag 1,000,060  owned 0%  lost in 1 partition  type consumer  coordinator 2
    partitions 2 │ members 0 │ history 0 ──────────────────────────────────────────────────────────────────────────────────
    PARTITION▲           COMMITTED           END          LAG     TIME  VERDICT    DRAIN  KEPT FOR  OWNER
    orders-0                    40     1,000,100    1,000,060        -                 -         -  nobody
    orders-1                     -     2,000,100            -        -                 -         -  nobody
    60 removed by retention before they were read
    ? help  tab next list  t timeline  o offsets  x forget topic  D delete  enter open  / filter  > sort  : command
    ");
}

#[test]
fn what_happens_in_a_group_while_one_looks_is_kept() {
    let mut driver = Driver::with(fixture::all());
    driver.keys("4 enter tab tab");
    use crate::model::GroupState::{PreparingRebalance, Stable};
    for (at_ms, update) in [
        (
            1_000,
            fixture::description(&[("app-1", &[0])], PreparingRebalance),
        ),
        (2_000, fixture::description(&[("app-1", &[0, 1])], Stable)),
    ] {
        driver.now_ms = at_ms;
        driver.feed(vec![update]);
    }
    assert_snapshot!(driver.screen(80, 12), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › groups › billing ───────────────────────────────────────────────────
    stable  lag 1,000  members 1  type classic  coordinator 2  assignor range
    partitions 2 │ members 1 │ history 5 ──────────────────────────────────────────
    TIME▼     CHANGE
    10:00:02  state PreparingRebalance → Stable
    10:00:02  app-1@10.0.0.1 now owns orders 0-1
    10:00:01  state Stable → PreparingRebalance
    10:00:01  app-2@10.0.0.1 left with 1 partition
    10:00:00  Stable with 2 members when this screen was opened

    ? help  tab next list  t timeline  o offsets  x forget topic  D delete
    ");
}

#[test]
fn quorum() {
    assert_snapshot!(look("6", 80, 12), @r"
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
    ");
}

#[test]
fn configs() {
    assert_snapshot!(look("3 G c", 120, 14), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                                               live
    overview › topics › settings of topic "orders"  2 ─────────────────────────────────────────────────────────────────────
    SETTING▲                        VALUE             FROM                  DEFAULT                    TYPE
    retention.bytes                 -1                default               -1                         long
    retention.ms                    3600000           topic                 604800000                  long





    retention.bytes ───────────────────────────────────────────────────────────────────────────────────────────────────────
    How long a record is kept.
    strongest first: log.retention.bytes=-1 (default)
    ? help  e change  D unset  o own only  enter open  / filter  > sort  : command  ctrl-p jump
    "#);
}

#[test]
fn reassignments() {
    assert_snapshot!(look("5", 80, 8), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › reassignments  0 ───────────────────────────────────────────────────

    nothing is being reassigned
    a on a topic, or d on a broker, plans a reassignment


    ? help  x cancel  p pause  t pace  X cancel run  J throttles  enter open
    ");
    let mut driver = Driver::with(fixture::all());
    driver.feed(vec![fixture::moving()]);
    driver.keys("5");
    assert_snapshot!(driver.screen(120, 9), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                                               live
    overview › reassignments  1 ───────────────────────────────────────────────────────────────────────────────────────────
    … of 977 KiB copied
    ! 1 move waits for broker 3, which is down: start it, or cancel with x
    PARTITION▲          FROM        TO          PROGRESS                COPIED         OF  IN SYNC    CANCEL
    clicks-0            1,2         3,2         waits for 3                  …    977 KiB  0 of 1     clean


    ? help  x cancel  p pause  t pace  X cancel run  J throttles  enter open  / filter  > sort  : command  ctrl-p jump
    ");
}

#[test]
fn wizard() {
    assert_snapshot!(look("2 d", 100, 20), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                           live
    overview › brokers › drain broker 1  4 ────────────────────────────────────────────────────────────
    off broker 1, onto 2,3   0 of 4 partitions change   copy 0 replicas, 0 B
    no proposal: orders-0 has 3 replicas and only 2 brokers may hold them
    allow more brokers, or lower the number of replicas (b), or edit by hand (e)
    PARTITION           NOW           PROPOSED      CHANGE▲           TO COPY  RACKS
    clicks-0            1,2           1,2           stays                 0 B  -
    clicks-2            3,1           3,1           stays                 0 B  -
    orders-0            1,2,3         1,2,3         stays                 0 B  -
    orders-1            2,3,1         2,3,1         stays                 0 B  -





     BROKER     REPLICAS NOW→THEN   LEADERS NOW→THEN          IN         OUT
          1                 4 → 4              2 → 2           -           -
          2                 4 → 4              2 → 2           -           -
          3                 5 → 5              2 → 2           -           -
    ? help  x execute  r in batches  e edit  u keep  b brokers  o json  enter open  / filter  > sort
    ");
    assert_snapshot!(look("3 G k a b ctrl-u 1,2 enter", 100, 18), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                           live
    overview › topics › reassign clicks  3 ────────────────────────────────────────────────────────────
    spread evenly over 1,2   2 of 3 partitions change   copy 2 replicas, ≥1.91 MiB
    x plans it; nothing is sent before you confirm

    PARTITION           NOW           PROPOSED      CHANGE▲           TO COPY  RACKS
    clicks-1            2,3           2,1           +1 -3            1.91 MiB  2
    clicks-2            3,1           2,1           +2 -3                   …  2
    clicks-0            1,2           1,2           stays                 0 B  -




     BROKER     REPLICAS NOW→THEN   LEADERS NOW→THEN          IN         OUT
          1                 4 → 5              2 → 2    1.91 MiB           -
          2                 4 → 5              2 → 3           …    1.91 MiB
          3                 5 → 3              2 → 1           -           …
    ? help  x execute  r in batches  e edit  u keep  b brokers  o json  enter open  / filter  > sort
    ");
    assert_snapshot!(look("3 G k a b ctrl-u 1,2 enter x", 80, 24), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › topics › reassign clicks  3 ────────────────────────────────────────
    spread evenly over 1,2   2 of 3 partitions change   copy 2 replicas, ≥1.91 MiB
    x plans it; nothing is sent before you confirm

    PARTITION           NOW           PROPOSED      CHANGE▲           TO COPY
    clicks-1            2,3           2,1           +1 -3            1.91 MiB
    c╭ reassign partitions: 2 partitions ───────────────────────────────────────╮
    c│ clicks-1  2,3 → 2,1                                                      │
     │ clicks-2  3,1 → 2,1                                                      │
     │                                                                          │
     │ to copy   2 replicas, ≥1.91 MiB                                          │
     │                                                                          │
     │ same as   kafka-reassign-partitions.sh --bootstrap-server b1:9092        │
     │           --reassignment-json-file plan.json --execute                   │
     │                                                                          │
     │ press y to execute, esc to leave everything as it is                     │
     ╰──────────────────────────────────────────────────────────────────────────╯

     BROKER     REPLICAS NOW→THEN   LEADERS NOW→THEN          IN         OUT
          1                 4 → 5              2 → 2    1.91 MiB           -
          2                 4 → 5              2 → 3           …    1.91 MiB
          3                 5 → 3              2 → 1           -           …
    y execute  esc cancel  c copy the command  ↑ ↓ scroll
    ");
    assert_snapshot!(look("3 G a", 80, 16), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › topics › reassign orders  2 ────────────────────────────────────────
    spread evenly over 1,2,3   0 of 2 partitions change   copy 0 replicas, 0 B
    nothing changes: b chooses brokers, e edits replicas by hand

    PARTITION           NOW           PROPOSED      CHANGE▲           TO COPY
    orders-0            1,2,3         1,2,3         stays                 0 B
    orders-1            2,3,1         2,3,1         stays                 0 B



     BROKER     REPLICAS NOW→THEN   LEADERS NOW→THEN          IN         OUT
          1                 4 → 4              2 → 2           -           -
          2                 4 → 4              2 → 2           -           -
          3                 5 → 5              2 → 2           -           -
    ? help  x execute  r in batches  e edit  u keep  b brokers  o json  enter open
    ");
}

#[test]
fn messages() {
    let mut driver = Driver::with(fixture::all());
    driver.keys("3 G m");
    assert_snapshot!(driver.screen(80, 8), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › topics › messages of orders  0 · reading the newest … ──────────────

    reading …



    ? help  t tail  p pause  b start  e newest  o offset  w time  f find  m more
    ");
    let job = driver
        .take_effects()
        .into_iter()
        .find_map(|effect| match effect {
            Effect::ReadMessages { job, .. } => Some(job),
            _ => None,
        })
        .unwrap();
    let messages = vec![
        fixture::message(0, 1_000_098, "{\"id\":1,\"nested\":{\"x\":[1,2]}}"),
        fixture::message(1, 2_000_099, "plain \u{1b}[31mtext"),
    ];
    let report = ReadReport {
        messages: 2,
        bytes: 1_500,
        failed: vec![(1, "NOT_LEADER_OR_FOLLOWER".to_owned())],
        ..ReadReport::default()
    };
    driver.answer(job, Answer::Read(Ok((messages, report))));
    assert_snapshot!(driver.screen(100, 9), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                           live
    overview › topics › messages of orders  2 · the newest, 1.46 KiB read, to the end ─────────────────
    ! partition 1 not read: NOT_LEADER_OR_FOLLOWER
    TIME▲         PART      OFFSET     BYTES  KEY               VALUE
    10:16:40.098     0   1,000,098      40 B  key-1000098       {"id":1,"nested":{"x":[1,2]}}
    10:33:20.099     1   2,000,099      15 B  null              plain ·[31mtext


    ? help  t tail  p pause  b start  e newest  o offset  w time  f find  m more  n new  x export
    "#);
    driver.keys("g enter");
    assert_snapshot!(driver.screen(80, 24), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    … › topics › messages of orders  2 · the newest, 1.46 KiB read, to the end ────
    ! partition 1 not r╭ orders 0@1000098 ────────────────────╮
    TIME▲         PART │ partition 0   offset 1000098         │
    10:16:40.098     0 │ time 2026-11-21 10:16:40.098         │nested":{"x":[1,2]…
    10:33:20.099     1 │                                      │1mtext
                       │ headers (1)                          │
                       │   trace: null                        │
                       │                                      │
                       │ key (text, detected, 11 B)           │
                       │ key-1000098                          │
                       │                                      │
                       │ value (json, detected, 29 B)         │
                       │ {                                    │
                       │   "id": 1,                           │
                       │   "nested": {                        │
                       │     "x": [                           │
                       │       1,                             │
                       │       2                              │
                       │     ]                                │
                       │   }                                  │
                       │ }                                    │
                       ╰──────────────────────────────────────╯
    esc close  j k scroll  d D decode value  e E key  x hex  a auto  y copy
    "#);
}

#[test]
fn a_cluster_that_does_not_answer_says_which_step_failed_and_when_the_next_try_is() {
    let mut driver = Driver::new(Some("b1:9092"), false);
    assert_snapshot!(driver.screen(80, 8), @r"
    kafka-tui  b1:9092
    overview ──────────────────────────────────────────────────────────────────────

      connecting to b1:9092 …

      8 saved clusters · :connect HOST:PORT · ctrl-r to try now · q to leave

    ? help  2 brokers  3 topics  4 groups  5 reassignments  6 quorum  9 changes
    ");
    let fault = Fault::new(
        FaultKind::Unreachable,
        "read the metadata",
        "connect to b1:9092: refused",
    )
    .with_hint("is the broker running, and is the address right?");
    driver.feed(vec![Update::Metadata(Err(fault.into()))]);
    driver.now_ms = 1_200;
    assert_snapshot!(driver.screen(80, 14), @r"
    kafka-tui  b1:9092
    overview ──────────────────────────────────────────────────────────────────────

      not connected to b1:9092

      connect to b1:9092: refused
      is the broker running, and is the address right?

      1 attempt failed, trying again in 4s

      8 saved clusters · :connect HOST:PORT · ctrl-r to try now · q to leave


    ? help  2 brokers  3 topics  4 groups  5 reassignments  6 quorum  9 changes
    ");
}

#[test]
fn old_data_stays_with_its_age_and_the_failure_of_its_part() {
    let mut driver = Driver::with(fixture::all());
    driver.keys("3");
    driver.now_ms = 12_000;
    let fault = |what: &str| Fault::new(FaultKind::Unreachable, what, "no answer within 8 s");
    driver.feed(vec![
        Update::Metadata(Err(fault("read the metadata").into())),
        Update::LogDirs(Err(fault("list log directories").into())),
    ]);
    assert_snapshot!(driver.screen(100, 10), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1              NO ANSWER for 12s
    overview › topics  3 ──────────────────────────────────────────────────────────────────────────────
    ! topics from 12s ago: no answer within 8 s
    TOPIC▲            PART   RF  STATE              RECORDS       SIZE      RATE  MIN     SPREAD
    audit                1    1  1 offline                …          …         …    1      0/33%
    clicks               3    2  1 under-repl.        6,000  ≥6.68 MiB     150/s    1       100%
    orders               2    3  ok               3,000,000  ≥5.72 MiB     100/s    1       100%


    ? help  n new  m messages  c settings  a reassign  p produce  + partitions  e elect  x export
    ");
}

#[test]
fn start_page_help_palette_and_jump() {
    let mut driver = Driver::new(None, false);
    assert_snapshot!(driver.screen(80, 12), @r"
    kafka-tui
    start ─────────────────────────────────────────────────────────────────────────

      No cluster yet.

      c   connect to a cluster by the address of one of its brokers
      n   start a broker on this machine and connect to it
      7   local brokers and clusters: start, stop, kill, pause, log

      From the shell: kafka-tui --bootstrap HOST:PORT
      With everything moving: kafka-tui demo
    ? help  c connect  n start a broker  : command  ctrl-p jump
    ");
    let help = look("3 ?", 80, 24);
    // Without the last line of the box: how many lines there are grows with every command.
    let lines: Vec<&str> = help.lines().filter(|line| !line.contains('╰')).collect();
    assert_snapshot!(lines.join("\n"), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › topics  3 ──────────────────────────────────────────────────────────
    ╭ help: topics ──────────────────────────────────────────────────────────────╮
    │ topics                                                                     │
    │   n            :create         create a topic                              │
    │   m            :messages       read messages of the selected topic         │
    │   c            :configs        settings of the selected topic              │
    │   a            :reassign       reassign the marked topics or the selected  │
    │                                one                                         │
    │   p            :produce        write one message                           │
    │   +            :partitions     add partitions                              │
    │   e            :elect          elect the preferred leaders of the marked   │
    │                                topics or the selected one                  │
    │   x            :export         write the marked topics, or all, as a file  │
    │                                that declares them                          │
    │   D            :delete         delete the marked topics or the selected    │
    │                                one                                         │
    │                                                                            │
    │ in lists                                                                   │
    │   enter → l                    open the selected row                       │
    │   /            :filter         filter by name; !text for all others        │
    │   > s                          sort by the next column                     │
    esc close  j k scroll  y copy
    ");
    assert_snapshot!(look("3 :", 80, 18), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › topics  3 ──────────────────────────────────────────────────────────
    TOPIC▲            PART   RF  STATE              RECORDS       SIZE      RATE
    ╭ command ───────────────────────────────────────────────────────────────────╮
    │ :                                                                          │
    │  create                 create a topic                                     │
    │  messages               read messages of the selected topic                │
    │  configs                settings of the selected topic                     │
    │  reassign               reassign the marked topics or the selected one     │
    │  produce                write one message                                  │
    │  partitions             add partitions                                     │
    │  elect                  elect the preferred leaders of the marked topics … │
    │  export                 write the marked topics, or all, as a file that d… │
    │  delete                 delete the marked topics or the selected one       │
    │  filter                 filter by name; !text for all others               │
    ╰────────────────────────────────────────────────────────────────────────────╯

    enter run  tab complete  ↑ ↓ choose  esc cancel
    ");
    assert_snapshot!(look(":topic space ord", 80, 10), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview ──────────────────────────────────────────────────────────────────────
    HEALTH  needs attention now  1 offline  2 under-replicated
    ╭ command ───────────────────────────────────────────────────────────────────╮
    │ :topic ord                                                                 │
    │  topic orders           2 partitions                                       │
    ╰────────────────────────────────────────────────────────────────────────────╯
    clicks-1                  under-replicated  in sync 2 of 2,3, min 1

    enter run  tab complete  ↑ ↓ choose  esc cancel
    ");
    assert_snapshot!(look("ctrl-p", 80, 20), @r"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview ──────────────────────────────────────────────────────────────────────
    HEAL╭ jump ──────────────────────────────────────────────────────────────╮
    offl│                                                                    │
    unde│  topic   audit  1 partition                                        │12)
    unde│  topic   clicks  3 partitions                                      │
    at m│  topic   orders  2 partitions                                      │
    unre│  broker  1  b1:9092                                                │
    not │  broker  2  b2:9092                                                │
    reas│  broker  3  b3:9092                                                │
    offl│  group   billing  Stable                                           │
        │  group   reports  Empty                                            │
    RATE│                                                                    │
        │                                                                    │
    WHAT│                                                                    │
    audi│                                                                    │
    brok│                                                                    │
    clic│                                                                    │
        ╰────────────────────────────────────────────────────────────────────╯
    enter go there  ↑ ↓ choose  esc cancel
    ");
}

#[test]
fn a_tiny_terminal_gets_a_word() {
    assert_snapshot!(look("3", 30, 5), @r"
    too small: 40x8 at least
    ");
}
