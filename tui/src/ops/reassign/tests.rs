use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::preview::n_racks;
use super::*;
use crate::model::*;

mod properties;

fn cluster(racks: &[(i32, Option<&str>)], partitions: &[&[i32]]) -> ClusterMetadata {
    let broker = |(id, rack): &(i32, Option<&str>)| Broker {
        id: *id,
        host: "h".to_owned(),
        port: 9092,
        rack: rack.map(str::to_owned),
        fenced: Some(false),
    };
    let partition = |(at, replicas): (usize, &&[i32])| Partition {
        id: at as i32,
        leader: replicas[0],
        replicas: (**replicas).into(),
        isr: (**replicas).into(),
        ..Partition::default()
    };
    let topic = Topic {
        name: "t".into(),
        id: None,
        is_internal: false,
        error: None,
        partitions: partitions.iter().enumerate().map(partition).collect(),
    };
    ClusterMetadata {
        brokers: racks.iter().map(broker).collect(),
        topics: vec![Arc::new(topic)],
        ..ClusterMetadata::default()
    }
}

fn drain(broker: i32) -> Request {
    Request::Drain {
        brokers: vec![broker],
        to: None,
        topics: None,
        allow_fewer_racks: false,
    }
}

const BALANCE: Request = Request::Balance {
    brokers: None,
    topics: None,
    allow_fewer_racks: false,
};

fn key(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

#[test]
fn draining_moves_only_what_is_on_the_broker_and_keeps_the_places() {
    let plain = [(1, None), (2, None), (3, None), (4, None)];
    let cluster = cluster(&plain, &[&[1, 2], &[2, 3], &[3, 1]]);
    let proposal = propose(&cluster, None, &drain(3)).unwrap();
    assert_eq!(
        proposal,
        [(key(1), vec![2, 4]), (key(2), vec![4, 1])].into()
    );
}

#[test]
fn draining_stays_in_the_rack_when_each_rack_is_used() {
    let racks = [
        (1, Some("a")),
        (2, Some("b")),
        (3, Some("c")),
        (4, Some("c")),
    ];
    let cluster = cluster(&racks, &[&[1, 2, 3]]);
    let proposal = propose(&cluster, None, &drain(3)).unwrap();
    assert_eq!(proposal, [(key(0), vec![1, 2, 4])].into());
}

#[test]
fn a_drain_that_would_lose_a_rack_is_refused_unless_allowed() {
    let racks = [
        (1, Some("a")),
        (2, Some("b")),
        (3, Some("c")),
        (4, Some("a")),
    ];
    let cluster = cluster(&racks, &[&[1, 2, 3]]);
    let fault = propose(&cluster, None, &drain(3)).unwrap_err();
    assert_eq!(fault.why, "t-0 would span 2 racks instead of 3");
    let one_left = self::cluster(
        &[(1, Some("a")), (2, Some("a")), (3, Some("b"))],
        &[&[1, 3]],
    );
    let fault = propose(&one_left, None, &drain(3)).unwrap_err();
    assert_eq!(fault.why, "t-0 would span 1 rack instead of 2");
    let allowed = Request::Drain {
        brokers: vec![3],
        to: None,
        topics: None,
        allow_fewer_racks: true,
    };
    assert_eq!(
        propose(&cluster, None, &allowed).unwrap(),
        [(key(0), vec![1, 2, 4])].into()
    );
}

#[test]
fn a_drain_without_room_says_so() {
    let cluster = cluster(&[(1, None), (2, None)], &[&[1, 2]]);
    let fault = propose(&cluster, None, &drain(2)).unwrap_err();
    assert_eq!(
        fault.why,
        "t-0 has 2 replicas and only 1 brokers may hold them"
    );
}

#[test]
fn explicit_lists_are_checked_against_the_cluster() {
    let cluster = cluster(&[(1, None), (2, None)], &[&[1], &[2]]);
    let ask = |partition: i32, replicas: &[i32]| {
        let target = Assignment::from([(key(partition), replicas.to_vec())]);
        propose(&cluster, None, &Request::Explicit(target)).map_err(|fault| fault.why)
    };
    assert_eq!(ask(0, &[1]).unwrap(), Assignment::new(), "as it is already");
    assert_eq!(ask(0, &[2, 1]).unwrap(), [(key(0), vec![2, 1])].into());
    assert_eq!(ask(9, &[1]).unwrap_err(), "partition t-9 does not exist");
    assert_eq!(ask(0, &[3]).unwrap_err(), "broker 3 does not exist");
    assert!(ask(0, &[1, 1]).unwrap_err().contains("none twice"));
    assert!(ask(0, &[]).is_err());
}

#[test]
fn a_new_broker_gets_its_share_and_no_more_is_moved() {
    let plain = [(1, None), (2, None), (3, None)];
    let cluster = cluster(&plain, &[&[1], &[1], &[1], &[2], &[2], &[2]]);
    let proposal = propose(&cluster, None, &BALANCE).unwrap();
    assert_eq!(proposal.len(), 2);
    assert!(proposal.values().all(|replicas| *replicas == [3]));
}

#[test]
fn leaders_are_evened_out_by_order_alone() {
    let cluster = cluster(
        &[(1, None), (2, None)],
        &[&[1, 2], &[1, 2], &[1, 2], &[1, 2]],
    );
    let proposal = propose(&cluster, None, &BALANCE).unwrap();
    assert_eq!(proposal.len(), 2);
    let preview = preview(&cluster, None, &proposal);
    assert!(preview.rows.iter().all(PreviewRow::is_reorder));
    assert_eq!((preview.n_moves(), preview.bytes.complete()), (0, Some(0)));
    assert_eq!(
        (
            preview.brokers[&1].preferred_before,
            preview.brokers[&1].preferred_after
        ),
        (4, 2)
    );
}

#[test]
fn the_preview_counts_what_a_broker_holds_meanwhile() {
    let plain = [(1, None), (2, None), (3, None)];
    let mut cluster = cluster(&plain, &[&[1, 2], &[2, 1]]);
    Arc::make_mut(&mut cluster.topics[0]).partitions[1].leader = 1;
    let target = Assignment::from([(key(0), vec![3, 2]), (key(1), vec![2, 3])]);
    let mut dirs = LogDirs::default();
    let size = |size_bytes| ReplicaSize {
        size_bytes,
        offset_lag: 0,
        is_future: false,
        dir: 0,
    };
    dirs.replicas
        .insert("t".into(), [((0, 1), size(100)), ((1, 1), size(7))].into());
    let preview = preview(&cluster, Some(&dirs), &target);
    let load = preview.brokers[&3];
    assert_eq!((load.before, load.during, load.after), (0, 2, 2));
    assert_eq!(load.bytes_in.complete(), Some(107));
    assert_eq!(preview.brokers[&1].bytes_out.complete(), Some(107));
    assert_eq!(
        (preview.brokers[&1].before, preview.brokers[&1].after),
        (2, 0)
    );
    assert_eq!(preview.rows[0].adding, [3]);
    assert_eq!(preview.rows[0].removing, [1]);
    assert_eq!(preview.bytes.complete(), Some(107));
}

#[test]
fn the_json_of_kafkas_tool_is_read_and_written() {
    let assignment = Assignment::from([(key(0), vec![1, 2]), (key(1), vec![3])]);
    let text = print_assignment(&assignment);
    insta::assert_snapshot!(text, @r#"
    {"version":1,"partitions":[
      {"topic":"t","partition":0,"replicas":[1,2],"log_dirs":["any","any"]},
      {"topic":"t","partition":1,"replicas":[3],"log_dirs":["any"]}
    ]}
    "#);
    assert_eq!(parse_assignment(&text).unwrap(), assignment);
    let without_dirs = r#"{"partitions":[{"topic":"t","partition":0,"replicas":[1]}],"version":1}"#;
    assert_eq!(
        parse_assignment(without_dirs).unwrap(),
        [(key(0), vec![1])].into()
    );
}

#[test]
fn a_bad_reassignment_file_is_refused_with_its_reason() {
    let partition = |body: &str| format!(r#"{{"version":1,"partitions":[{body}]}}"#);
    let good = r#"{"topic":"t","partition":0,"replicas":[1]}"#;
    for (text, why) in [
        ("nonsense".to_owned(), "not a reassignment file"),
        (
            r#"{"version":2,"partitions":[]}"#.to_owned(),
            "version 2 is unknown",
        ),
        (partition(""), "names no partition"),
        (partition(&format!("{good},{good}")), "t-0 is there twice"),
        (
            partition(r#"{"topic":"t","partition":0,"replicas":[]}"#),
            "empty list of replicas",
        ),
        (
            partition(r#"{"topic":"t","partition":0,"replicas":[1,1]}"#),
            "a replica twice",
        ),
        (
            partition(r#"{"topic":"t","partition":-1,"replicas":[1]}"#),
            "is no partition",
        ),
        (
            partition(r#"{"topic":"t","partition":0,"replicas":[1],"log_dirs":["/d"]}"#),
            "names a log directory",
        ),
    ] {
        let fault = parse_assignment(&text).unwrap_err();
        assert!(fault.why.contains(why), "{text}: {}", fault.why);
    }
}

#[derive(Debug, Clone)]
struct World {
    racks: Vec<(i32, Option<&'static str>)>,
    partitions: Vec<Vec<i32>>,
}

fn world() -> impl Strategy<Value = World> {
    let rack = prop_oneof![
        Just(None),
        Just(Some("a")),
        Just(Some("b")),
        Just(Some("c"))
    ];
    prop::collection::vec(rack, 3..8).prop_flat_map(|racks| {
        let n = racks.len() as i32;
        let replicas = prop::sample::subsequence((0..n).collect::<Vec<_>>(), 1..=3.min(n as usize))
            .prop_shuffle();
        let racks: Vec<_> = racks
            .into_iter()
            .enumerate()
            .map(|(id, r)| (id as i32, r))
            .collect();
        prop::collection::vec(replicas, 1..30).prop_map(move |partitions| World {
            racks: racks.clone(),
            partitions,
        })
    })
}

/// What every proposal keeps, and the proposal laid over the present.
fn check(cluster: &ClusterMetadata, proposal: &Assignment) -> Vec<Vec<i32>> {
    for (key, replicas) in proposal {
        let before = &cluster.topics[0].partitions[key.partition as usize].replicas;
        assert_ne!(&before[..], &replicas[..], "only what changes is proposed");
        assert_eq!(
            before.len(),
            replicas.len(),
            "{key} keeps its number of replicas"
        );
        assert_eq!(
            replicas.iter().collect::<BTreeSet<_>>().len(),
            replicas.len(),
            "{key} twice"
        );
        assert!(
            n_racks(cluster, replicas) >= n_racks(cluster, before),
            "{key} lost a rack"
        );
        for id in replicas {
            assert!(cluster.broker(*id).is_some());
        }
    }
    let partitions = cluster.topics[0].partitions.iter();
    partitions
        .map(|p| {
            proposal
                .get(&key(p.id))
                .cloned()
                .unwrap_or_else(|| p.replicas.to_vec())
        })
        .collect()
}

fn counts(after: &[Vec<i32>], brokers: &[(i32, Option<&str>)]) -> BTreeMap<i32, usize> {
    let mut counts: BTreeMap<i32, usize> = brokers.iter().map(|(id, _)| (*id, 0)).collect();
    after
        .iter()
        .flatten()
        .for_each(|id| *counts.get_mut(id).unwrap() += 1);
    counts
}

proptest! {
    #[test]
    fn a_drain_is_minimal_and_loses_nothing(world in world(), broker in 0..3i32) {
        let lists: Vec<&[i32]> = world.partitions.iter().map(|list| &list[..]).collect();
        let cluster = cluster(&world.racks, &lists);
        let Ok(proposal) = propose(&cluster, None, &drain(broker)) else { return Ok(()) };
        let after = check(&cluster, &proposal);
        prop_assert!(after.iter().all(|replicas| !replicas.contains(&broker)));
        for (before, after) in world.partitions.iter().zip(&after) {
            for (at, id) in before.iter().enumerate() {
                prop_assert!(*id == broker || after[at] == *id, "a replica moved needlessly");
            }
        }
    }

    #[test]
    fn balancing_without_racks_ends_even(world in world()) {
        let racks: Vec<_> = world.racks.iter().map(|(id, _)| (*id, None)).collect();
        let lists: Vec<&[i32]> = world.partitions.iter().map(|list| &list[..]).collect();
        let cluster = cluster(&racks, &lists);
        let after = check(&cluster, &propose(&cluster, None, &BALANCE).unwrap());
        let counts = counts(&after, &racks);
        let (min, max) = (counts.values().min().unwrap(), counts.values().max().unwrap());
        prop_assert!(max - min <= 1, "{counts:?}");
    }

    #[test]
    fn balancing_keeps_racks_and_never_makes_it_worse(world in world()) {
        let lists: Vec<&[i32]> = world.partitions.iter().map(|list| &list[..]).collect();
        let cluster = cluster(&world.racks, &lists);
        let proposal = propose(&cluster, None, &BALANCE).unwrap();
        let after = check(&cluster, &proposal);
        let range = |of: &[Vec<i32>]| {
            let counts = counts(of, &world.racks);
            counts.values().max().unwrap() - counts.values().min().unwrap()
        };
        prop_assert!(range(&after) <= range(&world.partitions));
        let again = propose(&cluster, None, &BALANCE).unwrap();
        prop_assert_eq!(proposal, again, "the same question has the same answer");
    }
}

/// The bytes that a proposal copies, with this size of each partition.
fn bytes_of(before: &[Vec<i32>], proposal: &Assignment, sizes: &[i64]) -> i64 {
    let copied = |(key, replicas): (&TopicPartition, &Vec<i32>)| {
        let at = key.partition as usize;
        let new = replicas.iter().filter(|id| !before[at].contains(id));
        new.count() as i64 * sizes[at]
    };
    proposal.iter().map(copied).sum()
}

fn sized(world: &World, sizes: &[i64]) -> LogDirs {
    let mut dirs = LogDirs::default();
    let partitions = world.partitions.iter().zip(sizes).enumerate();
    let sizes = partitions.flat_map(|(at, (replicas, size_bytes))| {
        replicas.iter().map(move |id| {
            let size = ReplicaSize {
                size_bytes: *size_bytes,
                offset_lag: 0,
                is_future: false,
                dir: 0,
            };
            ((at as i32, *id), size)
        })
    });
    dirs.replicas.insert("t".into(), sizes.collect());
    dirs
}

/// What Kafka's own tool proposes; only for topics of one number of replicas, as it assumes.
fn generated(cluster: &ClusterMetadata, brokers: Vec<i32>, seed: u64) -> Option<Assignment> {
    let request = Request::Generate {
        brokers: Some(brokers),
        topics: None,
        seed,
    };
    propose(cluster, None, &request).ok()
}

/// A world of one number of replicas, with sizes.
fn even_world() -> impl Strategy<Value = (World, Vec<i64>)> {
    (world(), 1..=3usize).prop_flat_map(|(mut world, factor)| {
        let all: Vec<i32> = world.racks.iter().map(|(id, _)| *id).collect();
        for (at, replicas) in world.partitions.iter_mut().enumerate() {
            let turned = all.iter().cycle().skip(at % all.len()).take(all.len());
            let missing: Vec<i32> = turned
                .copied()
                .filter(|id| !replicas.contains(id))
                .collect();
            replicas.extend(missing);
            replicas.truncate(factor);
        }
        let n = world.partitions.len();
        (Just(world), prop::collection::vec(0..1_000i64, n))
    })
}

fn spread_of(world: &World, proposal: &Assignment) -> usize {
    let after: Vec<Vec<i32>> = (0..world.partitions.len())
        .map(|at| {
            let changed = proposal.get(&key(at as i32));
            changed.unwrap_or(&world.partitions[at]).clone()
        })
        .collect();
    let counts = counts(&after, &world.racks);
    counts.values().max().unwrap() - counts.values().min().unwrap()
}

proptest! {
    #[test]
    fn a_drain_never_moves_more_bytes_than_kafkas_own_generate(
        (world, sizes) in even_world(),
        broker in 0..3i32,
        seed in 0..1_000u64,
    ) {
        let lists: Vec<&[i32]> = world.partitions.iter().map(|list| &list[..]).collect();
        let cluster = cluster(&world.racks, &lists);
        let rest = world.racks.iter().map(|(id, _)| *id).filter(|id| *id != broker).collect();
        let Ok(ours) = propose(&cluster, Some(&sized(&world, &sizes)), &drain(broker)) else {
            return Ok(());
        };
        let Some(theirs) = generated(&cluster, rest, seed) else { return Ok(()) };
        let bytes = |proposal: &Assignment| bytes_of(&world.partitions, proposal, &sizes);
        prop_assert!(bytes(&ours) <= bytes(&theirs));
    }

    #[test]
    fn balancing_never_moves_more_bytes_than_a_generate_that_ends_as_even(
        (world, sizes) in even_world(),
        seed in 0..1_000u64,
    ) {
        let lists: Vec<&[i32]> = world.partitions.iter().map(|list| &list[..]).collect();
        let racks: Vec<_> = world.racks.iter().map(|(id, _)| (*id, None)).collect();
        let world = World { racks, partitions: world.partitions.clone() };
        let cluster = cluster(&world.racks, &lists);
        let ours = propose(&cluster, Some(&sized(&world, &sizes)), &BALANCE).unwrap();
        let all = world.racks.iter().map(|(id, _)| *id).collect();
        let theirs = generated(&cluster, all, seed).unwrap();
        let bytes = |proposal: &Assignment| bytes_of(&world.partitions, proposal, &sizes);
        if spread_of(&world, &theirs) <= spread_of(&world, &ours) {
            prop_assert!(bytes(&ours) <= bytes(&theirs), "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn another_number_of_replicas_is_reached_with_the_least_copying(
        (world, sizes) in even_world(),
        factor in 1..=4usize,
    ) {
        let lists: Vec<&[i32]> = world.partitions.iter().map(|list| &list[..]).collect();
        let cluster = cluster(&world.racks, &lists);
        let request = Request::SetReplication { factor, to: None, topics: None, allow_fewer_racks: false };
        let proposal = propose(&cluster, Some(&sized(&world, &sizes)), &request);
        let Ok(proposal) = proposal else {
            prop_assert!(factor > world.racks.len());
            return Ok(());
        };
        for (at, before) in world.partitions.iter().enumerate() {
            let after = proposal.get(&key(at as i32)).unwrap_or(before);
            prop_assert_eq!(after.len(), factor);
            prop_assert_eq!(after.iter().collect::<BTreeSet<_>>().len(), factor);
            let stay = before.iter().filter(|id| after.contains(id)).count();
            prop_assert_eq!(stay, before.len().min(factor), "only as many come or go as must");
            let possible = n_racks(&cluster, before).min(factor);
            prop_assert!(n_racks(&cluster, after) >= possible, "{:?} -> {:?}", before, after);
        }
    }

    #[test]
    fn leaders_are_evened_out_without_copying(world in world()) {
        let lists: Vec<&[i32]> = world.partitions.iter().map(|list| &list[..]).collect();
        let cluster = cluster(&world.racks, &lists);
        let proposal = propose(&cluster, None, &Request::Leaders { topics: None }).unwrap();
        let seen = preview(&cluster, None, &proposal);
        prop_assert!(seen.rows.iter().all(PreviewRow::is_reorder));
        let range = |of: fn(&BrokerLoad) -> usize| {
            let counts: Vec<usize> = seen.brokers.values().map(of).collect();
            counts.iter().max().unwrap() - counts.iter().min().unwrap()
        };
        prop_assert!(range(|load| load.preferred_after) <= range(|load| load.preferred_before));
        let again = check(&cluster, &proposal);
        let lists: Vec<&[i32]> = again.iter().map(|list| &list[..]).collect();
        let settled = self::cluster(&world.racks, &lists);
        let more = propose(&settled, None, &Request::Leaders { topics: None }).unwrap();
        prop_assert!(more.is_empty(), "what is even stays: {more:?}");
    }

    #[test]
    fn adding_a_broker_moves_replicas_onto_it_only((world, sizes) in even_world()) {
        let mut racks = world.racks.clone();
        let new = racks.len() as i32;
        racks.push((new, racks[0].1));
        let lists: Vec<&[i32]> = world.partitions.iter().map(|list| &list[..]).collect();
        let cluster = cluster(&racks, &lists);
        let request = Request::Add {
            brokers: vec![new],
            topics: None,
            allow_fewer_racks: false,
        };
        let proposal = propose(&cluster, Some(&sized(&world, &sizes)), &request).unwrap();
        check(&cluster, &proposal);
        for row in preview(&cluster, None, &proposal).rows {
            prop_assert!(row.adding.iter().all(|id| *id == new), "{row:?}");
        }
        let load = preview(&cluster, None, &proposal).brokers[&new];
        let all: usize = world.partitions.iter().map(Vec::len).sum();
        prop_assert!(load.after <= all.div_ceil(racks.len()), "no more than its share");
    }
}

#[test]
fn leadership_is_handed_on_along_a_chain() {
    // Broker 1 shares with 2 only, and 2 with 3: no single swap makes it more even.
    let plain = [(1, None), (2, None), (3, None)];
    let cluster = cluster(&plain, &[&[1, 2], &[1, 2], &[2, 3]]);
    let proposal = propose(&cluster, None, &Request::Leaders { topics: None }).unwrap();
    assert_eq!(
        proposal,
        [(key(0), vec![2, 1]), (key(2), vec![3, 2])].into()
    );
}

fn two_moves() -> (ClusterMetadata, LogDirs) {
    let plain = [(1, None), (2, None), (3, None)];
    let cluster = cluster(&plain, &[&[1], &[1]]);
    let world = World {
        racks: plain.to_vec(),
        partitions: vec![vec![1], vec![1]],
    };
    let dirs = sized(&world, &[6_000_000, 2_000_000]);
    (cluster, dirs)
}

#[test]
fn the_bottleneck_decides_how_long_it_takes() {
    let (cluster, dirs) = two_moves();
    let target = Assignment::from([(key(0), vec![2]), (key(1), vec![3])]);
    let seen = preview(&cluster, Some(&dirs), &target);
    let pace = Pace {
        throttle: Some(1_000_000),
        ..Pace::default()
    };
    let all = estimate(&seen, &pace).unwrap();
    assert_eq!(
        (all.bottleneck, all.receives, all.bytes),
        (1, false, 8_000_000)
    );
    assert_eq!((all.least_ms, all.most_ms), (8_000, Some(11_500)));
    let one_by_one = Pace {
        batch: Some(1),
        ..pace.clone()
    };
    let slow = estimate(&seen, &one_by_one).unwrap();
    assert_eq!((slow.least_ms, slow.most_ms), (8_000, Some(13_000)));
    // Half of what may be received is written anew meanwhile.
    let busy = Pace {
        inflow: [(key(0), 400_000.0)].into(),
        ..pace.clone()
    };
    assert_eq!(estimate(&seen, &busy).unwrap().most_ms, Some(21_500));
    assert_eq!(never_ends(&seen, &busy), Vec::<String>::new());
    let drowned = Pace {
        inflow: [(key(0), 950_000.0)].into(),
        ..pace
    };
    assert_eq!(estimate(&seen, &drowned).unwrap().most_ms, None);
    let warnings = never_ends(&seen, &drowned);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("broker 1 has to send 928 KiB/s"));
    assert_eq!(
        estimate(&seen, &Pace::default()).unwrap().to_string(),
        "0 s to 2 s: broker 1 sends 7.63 MiB; nothing limits it, 25 to 250 MB/s are assumed"
    );
}

#[test]
fn a_plan_file_says_what_it_was_made_from_and_is_kafkas_file_too() {
    let (mut cluster, dirs) = two_moves();
    cluster.cluster_id = Some("abc".into());
    let target = Assignment::from([(key(0), vec![2]), (key(1), vec![3])]);
    let seen = preview(&cluster, Some(&dirs), &target);
    let file = PlanFile {
        cluster_id: Some("abc".to_owned()),
        made_at: Some("2026-11-21T12:00:00Z".to_owned()),
        goal: Some("drain 1".to_owned()),
        ..PlanFile::default()
    };
    let text = print_plan(&file, &seen, None, &["careful".to_owned()]);
    insta::assert_snapshot!(text, @r#"
    {"version":1,
    "format":"kafka-tui reassignment plan",
    "cluster_id":"abc",
    "made_at":"2026-11-21T12:00:00Z",
    "goal":"drain 1",
    "fingerprint":"c53c966399148bf4",
    "replicas_to_copy":2,
    "bytes_to_copy":8000000,
    "estimate":null,
    "warnings":[
      "careful"
    ],
    "brokers":[
      {"broker":1,"replicas":[2,2,0],"leaders":[2,0],"bytes_in":0,"bytes_out":8000000},
      {"broker":2,"replicas":[0,1,1],"leaders":[0,1],"bytes_in":6000000,"bytes_out":0},
      {"broker":3,"replicas":[0,1,1],"leaders":[0,1],"bytes_in":2000000,"bytes_out":0}
    ],
    "partitions":[
      {"topic":"t","partition":0,"replicas":[2],"log_dirs":["any"],"current":[1],"bytes":6000000},
      {"topic":"t","partition":1,"replicas":[3],"log_dirs":["any"],"current":[1],"bytes":2000000}
    ]
    }
    "#);
    assert_eq!(parse_assignment(&text).unwrap(), target);
    let read = PlanFile::parse(&text).unwrap();
    assert_eq!((&read.target, read.current.len()), (&target, 2));
    let wanted = read.reassign(&cluster).unwrap();
    assert_eq!(wanted.based_on, seen.current());
    // What is proposed may be edited, what it was made from may not.
    let edited = text.replace(r#""replicas":[2]"#, r#""replicas":[3]"#);
    assert_eq!(PlanFile::parse(&edited).unwrap().target[&key(0)], [3]);
    let forged = text.replace(r#""current":[1],"bytes":2"#, r#""current":[2],"bytes":2"#);
    assert!(
        PlanFile::parse(&forged)
            .unwrap_err()
            .why
            .contains("was edited")
    );
    cluster.cluster_id = Some("other".into());
    assert!(
        read.reassign(&cluster)
            .unwrap_err()
            .why
            .contains("cluster abc")
    );
    let plain = print_assignment(&target);
    let read = PlanFile::parse(&plain).unwrap();
    assert_eq!((read.target, read.current.len()), (target, 0));
}
