use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::*;

/// A topic from `replicas / isr / leader` per partition.
pub(crate) fn topic(name: &str, partitions: &[(&[i32], &[i32], i32)]) -> Topic {
    let partition = |(at, (replicas, isr, leader)): (usize, &(&[i32], &[i32], i32))| Partition {
        id: at as i32,
        leader: *leader,
        replicas: (*replicas).into(),
        isr: (*isr).into(),
        ..Partition::default()
    };
    Topic {
        name: name.into(),
        id: None,
        is_internal: false,
        error: None,
        partitions: partitions.iter().enumerate().map(partition).collect(),
    }
}

fn in_sync(partitions: &[(&'static [i32], i32)]) -> Topic {
    let partitions: Vec<_> = partitions
        .iter()
        .map(|(r, leader)| (*r, *r, *leader))
        .collect();
    topic("t", &partitions)
}

/// One of the cases for which CMAK's numbers are known, with them.
fn cmak_case(name: &str) -> (Topic, usize, [u32; 5]) {
    match name {
        "all in sync, leader first" => (
            in_sync(&[(&[1, 2], 1), (&[2, 3], 2), (&[3, 1], 3)]),
            3,
            [100, 0, 0, 100, 0],
        ),
        "one broker has everything" => {
            let twice = (&[1, 2][..], 1);
            let once = (&[1, 3][..], 1);
            (
                in_sync(&[twice, twice, twice, twice, once, once]),
                4,
                [75, 33, 33, 100, 0],
            )
        }
        "a dead broker" => {
            let partitions: &[(&[i32], &[i32], i32)] = &[
                (&[1, 2, 3], &[1, 2], 1),
                (&[2, 3, 1], &[2, 1], 2),
                (&[3, 1, 2], &[1, 2], 1),
            ];
            (topic("t", partitions), 3, [66, 0, 0, 66, 100])
        }
        "an offline partition" => (
            topic("t", &[(&[1], &[], -1), (&[2], &[2], 2)]),
            2,
            [50, 0, 0, 50, 50],
        ),
        "a skewed topic" => {
            let partitions: &[(&'static [i32], i32)] = &[
                (&[1, 2, 3], 1),
                (&[1, 2, 3], 1),
                (&[1, 2, 4], 1),
                (&[1, 2, 4], 2),
                (&[1, 3, 4], 1),
                (&[1, 2, 3], 1),
            ];
            (in_sync(partitions), 6, [66, 25, 25, 83, 0])
        }
        _ => unreachable!(),
    }
}

#[test]
fn cmak_percentages_are_those_of_cmak() {
    for name in [
        "all in sync, leader first",
        "one broker has everything",
        "a dead broker",
        "an offline partition",
        "a skewed topic",
    ] {
        let (topic, brokers, expected) = cmak_case(name);
        let got = cmak(&topic, brokers);
        let got = [
            got.brokers_spread,
            got.brokers_skew,
            got.leader_skew,
            got.preferred_replicas,
            got.under_replicated,
        ];
        assert_eq!(got, expected, "{name}");
        // Its rows by broker come to the same.
        let shares = topic_shares(&topic);
        let n = |is: fn(&TopicShare) -> bool| shares.iter().filter(|share| is(share)).count();
        let holders = n(|share| !share.in_sync.is_empty());
        let percent = |n: usize| (100 * n / holders) as u32;
        assert_eq!(percent(n(|share| share.is_skewed)), expected[1], "{name}");
        let leaders = n(|share| share.is_leader_skewed);
        assert_eq!(percent(leaders), expected[2], "{name}");
    }
}

#[test]
fn a_brokers_share_of_a_topic_is_told_in_sync_and_placed() {
    let (topic, _, _) = cmak_case("one broker has everything");
    let shares = topic_shares(&topic);
    let told: Vec<_> = shares
        .iter()
        .map(|s| {
            (
                s.broker,
                s.placed.len(),
                s.leaders,
                s.is_skewed,
                s.is_leader_skewed,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, 6, 6, true, true),
            (2, 4, 0, false, false),
            (3, 2, 0, false, false)
        ]
    );
    let (topic, _, _) = cmak_case("a dead broker");
    let shares = topic_shares(&topic);
    let dead = &shares[2];
    assert_eq!(
        (dead.broker, dead.placed.len(), dead.in_sync.len()),
        (3, 3, 0)
    );
    assert!(!dead.is_placed_skewed && !dead.is_skewed);
    // A replica that is only being added is nobody's share yet.
    let mut moving = topic_of_one();
    moving.partitions[0].adding = [3].into();
    assert_eq!(topic_shares(&moving).len(), 2);
}

fn topic_of_one() -> Topic {
    topic("t", &[(&[1, 2, 3], &[1, 2], 1)])
}

#[test]
fn a_dead_broker_keeps_its_share_of_what_is_placed() {
    let (topic, brokers, _) = cmak_case("a dead broker");
    let balance = topic_balance(&topic, brokers);
    assert_eq!(
        (balance.placed.n_brokers, balance.placed.spread_percent),
        (3, 100)
    );
    assert_eq!(
        (balance.in_sync.n_brokers, balance.in_sync.spread_percent),
        (2, 66)
    );
    assert_eq!(
        balance.placed.leader_skew_percent, 33,
        "two of three leaders are on broker 1"
    );
}

#[test]
fn replicas_that_are_being_added_are_not_missed() {
    let mut moving = topic("t", &[(&[1, 2, 3, 4], &[1, 2], 1)]);
    moving.partitions[0].adding = [3, 4].into();
    moving.partitions[0].removing = [1].into();
    assert_eq!(topic_balance(&moving, 4).under_replicated_percent, 0);
    assert_eq!(cmak(&moving, 4).under_replicated, 100, "as CMAK counts it");
    let health = partition_health(&moving.partitions[0], Some(2));
    assert!(!health.under_replicated && health.reassigning && !health.is_bad());
    moving.partitions[0].isr = [1].into();
    assert!(partition_health(&moving.partitions[0], Some(2)).under_replicated);
}

#[test]
fn health_counts_as_kafkas_tool_does() {
    let topic = topic(
        "t",
        &[
            (&[1, 2, 3], &[1, 2, 3], 1),
            (&[1, 2, 3], &[1, 2], 2),
            (&[1, 2, 3], &[1], 1),
            (&[1, 2, 3], &[], -1),
        ],
    );
    let counts = topic_health(&topic, Some(2));
    assert_eq!(
        (counts.partitions, counts.offline, counts.under_replicated),
        (4, 1, 3)
    );
    assert_eq!(
        counts.under_min_isr.complete(),
        Some(2),
        "one in sync, and none with no leader"
    );
    assert_eq!(counts.at_min_isr.complete(), Some(1));
    assert_eq!(counts.not_preferred, 1);
    let unknown = topic_health(&topic, None);
    assert_eq!(
        unknown.at_min_isr.complete(),
        None,
        "the setting has not been read"
    );
}

#[test]
fn partitions_with_one_replica_are_counted_apart() {
    let topic = topic("t", &[(&[1], &[1], 1), (&[1], &[1], 1), (&[1, 2], &[1], 1)]);
    let counts = topic_health(&topic, Some(1));
    assert_eq!(counts.unreplicated, 2);
    assert_eq!(counts.at_min_isr.complete(), Some(1));
    let unknown = topic_health(&topic, None).at_min_isr;
    assert_eq!(unknown.n_missing(), 1, "the one that may be at its minimum");
}

#[test]
fn a_partial_sum_is_no_total() {
    let total: Total<i64> = [Some(1), None, Some(2)].into_iter().collect();
    assert_eq!(
        (total.complete(), total.partial(), total.n_missing()),
        (None, Some(3), 1)
    );
    assert_eq!(Total::<i64>::new().complete(), Some(0));
    let nothing: Total<i64> = [None].into_iter().collect();
    assert_eq!(nothing.partial(), None);
}

fn offsets_at(ms: i64, ends: &[Cell<i64>]) -> TopicOffsets {
    let partition = |(at, end): (usize, &Cell<i64>)| PartitionOffsets {
        partition: at as i32,
        start: Cell::Known(10),
        end: *end,
    };
    TopicOffsets {
        taken: Taken {
            monotonic_ms: ms,
            wall_ms: ms,
        },
        topic_id: None,
        partitions: ends.iter().enumerate().map(partition).collect(),
    }
}

fn apply_offsets(snapshot: &mut ClusterSnapshot, ms: i64, ends: &[Cell<i64>], complete: bool) {
    let taken = Taken {
        monotonic_ms: ms,
        wall_ms: ms,
    };
    let offsets = Offsets::from([(Arc::from("t"), Arc::new(offsets_at(ms, ends)))]);
    snapshot.apply(
        Update::Offsets {
            result: Ok(Arc::new(offsets)),
            complete,
        },
        taken,
    );
}

#[test]
fn rates_come_from_two_reads_of_the_end_offsets() {
    let mut snapshot = ClusterSnapshot::default();
    assert_eq!(topic_rate(&snapshot, "t").complete(), None);
    apply_offsets(
        &mut snapshot,
        1_000,
        &[Cell::Known(100), Cell::Known(50)],
        true,
    );
    assert_eq!(
        topic_rate(&snapshot, "t").complete(),
        None,
        "one read gives no rate"
    );
    apply_offsets(
        &mut snapshot,
        3_000,
        &[Cell::Known(300), Cell::Known(50)],
        true,
    );
    assert_eq!(topic_rate(&snapshot, "t").complete(), Some(100.0));
    assert_eq!(cluster_rate(&snapshot).complete(), Some(100.0));
    assert!(snapshot.note_rate() && !snapshot.note_rate(), "once");
    assert_eq!(snapshot.rates.len(), 1);
    // A partition that can't be read spoils the total and not the other partition.
    let failed = Cell::Failed(PartError(5));
    apply_offsets(&mut snapshot, 4_000, &[Cell::Known(400), failed], true);
    let rate = topic_rate(&snapshot, "t");
    assert_eq!(
        (rate.complete(), rate.partial(), rate.n_missing()),
        (None, Some(100.0), 1)
    );
}

#[test]
fn a_topic_made_anew_has_no_rate_until_it_was_read_twice() {
    let mut snapshot = ClusterSnapshot::default();
    apply_offsets(&mut snapshot, 1_000, &[Cell::Known(100)], true);
    apply_offsets(&mut snapshot, 2_000, &[Cell::Known(7)], true);
    assert_eq!(topic_rate(&snapshot, "t").complete(), None);
    apply_offsets(&mut snapshot, 3_000, &[Cell::Known(8)], true);
    assert_eq!(topic_rate(&snapshot, "t").complete(), Some(1.0));
}

#[test]
fn refreshing_some_topics_keeps_the_others_and_the_age_of_the_whole() {
    let mut snapshot = ClusterSnapshot::default();
    let taken = |ms| Taken {
        monotonic_ms: ms,
        wall_ms: ms,
    };
    let both = Offsets::from([
        (
            Arc::from("t"),
            Arc::new(offsets_at(1_000, &[Cell::Known(100)])),
        ),
        (
            Arc::from("u"),
            Arc::new(offsets_at(1_000, &[Cell::Known(5)])),
        ),
    ]);
    snapshot.apply(
        Update::Offsets {
            result: Ok(Arc::new(both)),
            complete: true,
        },
        taken(1_000),
    );
    apply_offsets(&mut snapshot, 2_000, &[Cell::Known(110)], false);
    let offsets = snapshot.offsets.get().unwrap();
    assert_eq!(offsets["t"].partition(0).unwrap().end, Cell::Known(110));
    assert_eq!(offsets["u"].partition(0).unwrap().end, Cell::Known(5));
    assert_eq!(snapshot.offsets.age_ms(2_500), Some(1_500));
    assert_eq!(topic_rate(&snapshot, "t").complete(), Some(10.0));
}

#[test]
fn two_reads_in_the_same_moment_give_no_rate_but_keep_the_one_that_is_known() {
    let mut snapshot = ClusterSnapshot::default();
    let mut read = |ms, end, complete| {
        apply_offsets(&mut snapshot, ms, &[Cell::Known(end)], complete);
        topic_rate(&snapshot, "t").complete()
    };
    assert_eq!(read(1_000, 100, true), None, "one read gives no rate");
    assert_eq!(read(1_050, 100, false), None, "nothing came in 50 ms");
    assert_eq!(read(1_900, 190, true), None, "still too close");
    assert_eq!(read(3_900, 390, false), Some(100.0));
    // The topic is opened, or read anew with all others, right after it was read.
    assert_eq!(read(3_950, 395, false), Some(100.0), "since 1,900");
    assert_eq!(read(4_000, 400, true), Some(100.0), "since 1,900");
    assert_eq!(read(5_000, 700, true), Some(300.0), "since 4,000");
}

fn commits_at(ms: i64, commits: &[(i32, Option<i64>)]) -> Committed {
    let commit = |(partition, offset): &(i32, Option<i64>)| CommittedPartition {
        partition: *partition,
        offset: *offset,
        ..CommittedPartition::default()
    };
    Committed {
        taken: Taken {
            monotonic_ms: ms,
            wall_ms: ms,
        },
        topics: Arc::new([(Arc::from("t"), commits.iter().map(commit).collect())].into()),
    }
}

fn offsets_of_t(ms: i64, ends: &[Cell<i64>]) -> Offsets {
    Offsets::from([(Arc::from("t"), Arc::new(offsets_at(ms, ends)))])
}

#[test]
fn lag_is_end_minus_committed_and_says_what_it_does_not_know() {
    let commits = commits_at(
        1_000,
        &[
            (0, Some(90)),
            (1, None),
            (2, Some(5)),
            (3, Some(0)),
            (7, Some(1)),
        ],
    );
    let ends = [
        Cell::Known(100),
        Cell::Known(100),
        Cell::Known(30),
        Cell::Failed(PartError(5)),
    ];
    let lag = group_lag(&commits, &offsets_of_t(1_010, &ends), None, |_, p| p < 4);
    let lags: Vec<Lag> = lag.partitions.iter().map(|row| row.lag).collect();
    assert_eq!(
        lags,
        [
            Lag::Known(10),
            Lag::NoCommit,
            Lag::Known(25),
            Lag::Unknown(LagUnknown::EndOffset(PartError(5))),
            Lag::Unknown(LagUnknown::Deleted),
        ]
    );
    assert_eq!(
        (lag.total.complete(), lag.total.partial()),
        (None, Some(35))
    );
    assert_eq!((lag.without_commit, lag.max), (1, Some(25)));
    // Committed 5 and the log starts at 10: five records were removed unread.
    assert_eq!((lag.partitions[2].lost, lag.with_loss), (Some(5), 2));
}

#[test]
fn a_negative_lag_is_shown_with_its_reason() {
    let ends = [Cell::Known(100)];
    let committed_first = group_lag(
        &commits_at(1_000, &[(0, Some(105))]),
        &offsets_of_t(1_001, &ends),
        None,
        |_, _| true,
    );
    assert_eq!(committed_first.partitions[0].lag, Lag::BeyondEnd(-5));
    let ends_first = group_lag(
        &commits_at(1_002, &[(0, Some(105))]),
        &offsets_of_t(1_001, &ends),
        None,
        |_, _| true,
    );
    assert_eq!(ends_first.partitions[0].lag, Lag::EndIsOlder(-5));
    assert_eq!(ends_first.total.complete(), Some(-5));
}

#[test]
fn partitions_without_a_commit_are_listed_when_a_member_owns_them() {
    let member = Member {
        id: "m".into(),
        client_id: "c".into(),
        host: "/127.0.0.1".into(),
        instance_id: None,
        rack: None,
        epoch: None,
        subscribed: vec![],
        assignment: vec![TopicAssignment {
            topic: "t".into(),
            partitions: [0, 1].into(),
        }],
        target: vec![],
        undecoded: None,
        streams: None,
    };
    let description = GroupDescription {
        id: "g".into(),
        kind: GroupKind::Classic,
        state: GroupState::Stable,
        protocol_type: "consumer".into(),
        assignor: "range".into(),
        coordinator: 1,
        group_epoch: None,
        assignment_epoch: None,
        topology: None,
        members: vec![member],
    };
    let lag = group_lag(
        &commits_at(1, &[(0, Some(100)), (2, Some(90))]),
        &offsets_of_t(2, &[Cell::Known(100), Cell::Known(100), Cell::Known(100)]),
        Some(&description),
        |_, _| true,
    );
    let owners: Vec<_> = lag
        .partitions
        .iter()
        .map(|row| (row.partition, row.member))
        .collect();
    assert_eq!(owners, [(0, Some(0)), (1, Some(0)), (2, None)]);
    assert_eq!((lag.owned, lag.owned_percent()), (2, 66));
    assert_eq!(GroupLag::default().owned_percent(), 100, "of no partitions");
    assert_eq!(lag.total.complete(), Some(10), "no commit is no lag");
}

#[test]
fn a_move_is_measured_against_the_leader_and_done_when_in_sync() {
    let mut metadata = ClusterMetadata::default();
    let mut moving = topic("t", &[(&[1, 2, 3], &[1, 2], 1)]);
    moving.partitions[0].adding = [3].into();
    metadata.topics.push(Arc::new(moving.clone()));
    let key = TopicPartition::new("t", 0);
    let ongoing = OngoingReassignment {
        replicas: vec![1, 2, 3],
        adding: vec![3],
        removing: vec![2],
    };
    assert_eq!(
        (ongoing.target(), ongoing.original()),
        (vec![1, 3], vec![1, 2])
    );
    let running = Reassignments::from([(key, ongoing)]);
    assert_eq!(
        moves(&running, &metadata, None)[0].fraction(),
        None,
        "no sizes, no guess"
    );
    let size = |size_bytes| ReplicaSize {
        size_bytes,
        offset_lag: 0,
        is_future: false,
        dir: 0,
    };
    let mut dirs = LogDirs::default();
    dirs.dirs.insert(3, vec![]);
    dirs.replicas
        .insert("t".into(), [((0, 1), size(1_000))].into());
    assert_eq!(
        moves(&running, &metadata, Some(&dirs))[0].fraction(),
        Some(0.0)
    );
    dirs.replicas
        .get_mut("t")
        .unwrap()
        .insert((0, 3), size(250));
    assert_eq!(
        moves(&running, &metadata, Some(&dirs))[0].fraction(),
        Some(0.25)
    );
    moving.partitions[0].isr = [1, 2, 3].into();
    metadata.topics[0] = Arc::new(moving);
    assert_eq!(
        moves(&running, &metadata, Some(&dirs))[0].fraction(),
        Some(1.0)
    );
}

#[test]
fn broker_skew_is_the_deviation_from_the_average_of_those_that_hold_any() {
    let mut metadata = ClusterMetadata::default();
    let partitions: Vec<(&[i32], &[i32], i32)> = (0..60)
        .map(|n| {
            if n < 40 {
                (&[1][..], &[1][..], 1)
            } else {
                (&[2][..], &[2][..], 2)
            }
        })
        .collect();
    metadata.topics.push(Arc::new(topic("t", &partitions)));
    for id in 1..=3 {
        let host = "h".to_owned();
        metadata.brokers.push(Broker {
            id,
            host,
            port: 1,
            rack: None,
            fenced: None,
        });
    }
    let brokers = broker_balances(&metadata);
    assert_eq!(brokers[&1].replica_skew_percent, Some(33.3));
    assert_eq!(brokers[&2].leader_skew_percent, Some(-33.3));
    assert_eq!(brokers[&3].replicas, 0);
    let few = ClusterMetadata {
        topics: vec![Arc::new(topic("t", &partitions[..49]))],
        ..ClusterMetadata::default()
    };
    assert_eq!(broker_balances(&few)[&1].replica_skew_percent, None);
}

proptest! {
    #[test]
    fn percentages_stay_in_range(
        partitions in prop::collection::vec(
            (prop::collection::btree_set(0..6i32, 0..5), 0..32u32, -1..6i32), 0..12),
    ) {
        let partitions: Vec<(Vec<i32>, Vec<i32>, i32)> = partitions
            .into_iter()
            .map(|(replicas, mask, leader)| {
                let replicas: Vec<i32> = replicas.into_iter().collect();
                let isr = replicas.iter().copied().filter(|id| mask & (1 << id) != 0).collect();
                (replicas, isr, leader)
            })
            .collect();
        let rows: Vec<(&[i32], &[i32], i32)> =
            partitions.iter().map(|(r, i, l)| (&r[..], &i[..], *l)).collect();
        let topic = topic("t", &rows);
        let percents = cmak(&topic, 6);
        prop_assert!(percents.brokers_spread <= 100 && percents.brokers_skew <= 100);
        let balance = topic_balance(&topic, 6);
        prop_assert!(balance.placed.spread_percent <= 100);
        prop_assert!(balance.under_replicated_percent <= 100);
    }
}

proptest! {
    #[test]
    fn a_groups_totals_are_those_of_its_partitions(
        commits in proptest::collection::vec(proptest::option::of(0_i64..200), 0..6),
        ends in proptest::collection::vec(proptest::option::of(0_i64..200), 0..6),
        owned in proptest::collection::btree_set(0_i32..8, 0..5),
        topic_exists: bool,
    ) {
        let commit = |(at, offset): (usize, &Option<i64>)| CommittedPartition {
            partition: at as i32,
            offset: *offset,
            ..CommittedPartition::default()
        };
        let commits: Vec<_> = commits.iter().enumerate().map(commit).collect();
        let committed = Committed {
            taken: Taken::default(),
            topics: Arc::new([(Arc::from("t"), commits)].into()),
        };
        let end = |(at, end): (usize, &Option<i64>)| PartitionOffsets {
            partition: at as i32,
            start: Cell::Known(50),
            end: end.map_or(Cell::Unknown, Cell::Known),
        };
        let read = TopicOffsets {
            taken: Taken::default(),
            topic_id: None,
            partitions: ends.iter().enumerate().map(end).collect(),
        };
        let offsets: Offsets = [(Arc::from("t"), Arc::new(read))].into();
        let member = Member {
            id: "m".into(),
            client_id: "c".into(),
            host: "h".into(),
            instance_id: None,
            rack: None,
            epoch: None,
            subscribed: Vec::new(),
            assignment: vec![TopicAssignment {
                topic: "t".into(),
                partitions: owned.into_iter().collect(),
            }],
            target: Vec::new(),
            undecoded: None,
            streams: None,
        };
        let description = GroupDescription {
            id: "g".into(),
            kind: GroupKind::Classic,
            state: GroupState::Stable,
            protocol_type: "consumer".into(),
            assignor: "range".into(),
            coordinator: 1,
            group_epoch: None,
            assignment_epoch: None,
            topology: None,
            members: vec![member],
        };
        let one: (&[i32], &[i32], i32) = (&[1], &[1], 1);
        let partitions = [one; 4];
        let topics = if topic_exists { vec![Arc::new(topic("t", &partitions))] } else { vec![] };
        let metadata = ClusterMetadata { topics, ..ClusterMetadata::default() };
        let exists = |name: &str, id: i32| {
            metadata.topic(name).is_some_and(|topic| topic.partition(id).is_some())
        };
        let whole = group_lag(&committed, &offsets, Some(&description), exists);
        let totals = group_totals(&committed, Some(&offsets), Some(&description), &metadata);
        prop_assert_eq!(totals.total, whole.total);
        prop_assert_eq!(totals.max, whole.max);
        prop_assert_eq!(totals.with_loss, whole.with_loss);
        prop_assert_eq!(totals.owned, whole.owned);
        prop_assert_eq!(totals.partitions, whole.partitions.len());
        prop_assert_eq!(totals.owned_percent(), whole.owned_percent());
    }
}
