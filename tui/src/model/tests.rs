use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::derive::test_topic;

fn at(ms: i64) -> Taken {
    Taken {
        monotonic_ms: ms,
        wall_ms: ms,
    }
}

fn fault(why: &str) -> Arc<Fault> {
    Arc::new(Fault::new(FaultKind::Unreachable, "read", why))
}

fn metadata(names: &[&str]) -> ClusterMetadata {
    let topics = names
        .iter()
        .map(|name| Arc::new(test_topic(name, &[(&[1, 2], &[1, 2], 1)])));
    ClusterMetadata {
        topics: topics.collect(),
        ..ClusterMetadata::default()
    }
}

#[test]
fn a_failure_stands_beside_the_old_value_and_keeps_its_first_time() {
    let mut resource = Resource::ready(7, at(100));
    resource.set_loading();
    resource.apply(Err(fault("first")), at(200));
    resource.apply(Err(fault("second")), at(300));
    assert_eq!(
        (resource.get(), resource.age_ms(350)),
        (Some(&7), Some(250))
    );
    assert_eq!(resource.fault().unwrap().why, "second");
    assert_eq!(resource.failing_since(), Some(at(200)));
    assert!(!resource.is_loading());
    resource.apply(Ok(Arc::new(8)), at(400));
    assert_eq!((resource.get(), resource.age_ms(400)), (Some(&8), Some(0)));
    assert!(resource.fault().is_none() && resource.failing_since().is_none());
    assert_eq!(Resource::<i32>::default().age_ms(5), None);
}

#[test]
fn an_unchanged_topic_is_the_same_allocation_in_the_next_metadata() {
    let old = metadata(&["a", "b"]);
    let mut new = metadata(&["a", "b", "c"]);
    Arc::make_mut(&mut new.topics[1]).partitions[0].leader = 2;
    new.share_unchanged(&old);
    assert!(Arc::ptr_eq(&new.topics[0], &old.topics[0]));
    assert!(!Arc::ptr_eq(&new.topics[1], &old.topics[1]));
    assert_eq!(new.topics[1].partitions[0].leader, 2);
}

#[test]
fn what_is_known_of_deleted_topics_and_groups_is_forgotten() {
    let mut snapshot = ClusterSnapshot::default();
    snapshot.apply(Update::Metadata(Ok(Arc::new(metadata(&["a", "b"])))), at(1));
    for topic in ["a", "b"] {
        let resource = ConfigResource::Topic(topic.to_owned());
        snapshot.apply(Update::Configs(resource, Err(fault("x"))), at(1));
    }
    snapshot.apply(Update::Metadata(Ok(Arc::new(metadata(&["b"])))), at(2));
    let known: Vec<&ConfigResource> = snapshot.configs.keys().collect();
    assert_eq!(known, [&ConfigResource::Topic("b".to_owned())]);

    let committed = |id: &str| (Arc::from(id), Ok(Arc::new(Committed::default())));
    snapshot.apply(
        Update::Committed(vec![committed("g"), committed("h")]),
        at(3),
    );
    // A broker that did not answer may hold the group that is missing in the list.
    let partial = Groups {
        faults: BTreeMap::from([(1, fault("x"))]),
        ..Groups::default()
    };
    snapshot.apply(Update::Groups(Ok(Arc::new(partial))), at(4));
    assert_eq!(snapshot.committed.len(), 2);
    snapshot.apply(Update::Groups(Ok(Arc::default())), at(5));
    assert_eq!(snapshot.committed.len(), 0);
}

#[test]
fn what_was_read_again_as_it_was_is_no_news() {
    let mut snapshot = ClusterSnapshot::default();
    let mut is_news = |update: Update, ms| {
        let is_news = snapshot.is_news(&update);
        snapshot.apply(update, at(ms));
        is_news
    };
    let names = Arc::new(metadata(&["a"]));
    let same = ClusterMetadata::clone(&names);
    assert!(is_news(Update::Metadata(Ok(Arc::clone(&names))), 0));
    assert!(!is_news(Update::Metadata(Ok(names)), 1));
    assert!(!is_news(Update::Metadata(Ok(Arc::new(same))), 2));
    assert!(is_news(Update::Metadata(Err(fault("x"))), 3));
    assert!(is_news(Update::Metadata(Err(fault("y"))), 4));
    assert!(is_news(Update::Metadata(Ok(Arc::new(metadata(&["a"])))), 5));

    let offsets = |end: i64, ms: i64| {
        let partition = PartitionOffsets {
            partition: 0,
            start: Cell::Known(0),
            end: Cell::Known(end),
        };
        let topic = TopicOffsets {
            taken: at(ms),
            topic_id: None,
            partitions: [partition].into(),
        };
        Update::Offsets {
            result: Ok(Arc::new(Offsets::from([("a".into(), Arc::new(topic))]))),
            complete: false,
        }
    };
    // The second read of the same gives a rate, and the first after a change another one.
    let reads = [
        (5, true),
        (5, true),
        (5, false),
        (6, true),
        (6, true),
        (6, false),
    ];
    for (nth, (end, wanted)) in (1..).zip(reads) {
        let ms = nth * 10_000;
        assert_eq!(is_news(offsets(end, ms), ms), wanted, "read {nth}");
    }

    let committed = |offset: i64, ms: i64| {
        let commit = CommittedPartition {
            partition: 0,
            offset: Some(offset),
            ..CommittedPartition::default()
        };
        let committed = Committed {
            taken: at(ms),
            topics: Arc::new(BTreeMap::from([(Arc::from("a"), vec![commit])])),
        };
        Update::Committed(vec![(Arc::from("g"), Ok(Arc::new(committed)))])
    };
    assert!(is_news(committed(1, 1), 1));
    assert!(!is_news(committed(1, 2), 2), "only later");
    assert!(is_news(committed(2, 3), 3));
}

#[test]
fn a_running_reassignment_is_marked_in_the_topic_and_unmarked_when_it_ends() {
    let mut snapshot = ClusterSnapshot::default();
    snapshot.apply(Update::Metadata(Ok(Arc::new(metadata(&["a", "b"])))), at(1));
    let ongoing = OngoingReassignment {
        replicas: vec![1, 2],
        adding: vec![2],
        removing: vec![1],
    };
    let running = Reassignments::from([(TopicPartition::new("b", 0), ongoing)]);
    snapshot.apply(Update::Reassignments(Ok(Arc::new(running))), at(2));
    let moving = |snapshot: &ClusterSnapshot, topic: &str| {
        let metadata = snapshot.metadata.get().unwrap();
        metadata.topic(topic).unwrap().partitions[0].is_reassigning()
    };
    assert!(moving(&snapshot, "b") && !moving(&snapshot, "a"));
    assert_eq!(
        snapshot.metadata.taken(),
        Some(at(1)),
        "it is no newer for that"
    );
    // The next metadata says nothing of it, and is marked again.
    snapshot.apply(Update::Metadata(Ok(Arc::new(metadata(&["a", "b"])))), at(3));
    assert!(moving(&snapshot, "b"));
    snapshot.apply(Update::Reassignments(Ok(Arc::default())), at(4));
    assert!(!moving(&snapshot, "b"));
}

#[test]
fn partitions_are_found_by_id_also_where_ids_have_gaps() {
    let mut topic = test_topic("t", &[(&[1], &[1], 1), (&[2], &[2], 2), (&[3], &[3], 3)]);
    topic.partitions[2].id = 7;
    assert_eq!(topic.partition(1).unwrap().leader, 2);
    assert_eq!(topic.partition(7).unwrap().leader, 3);
    assert!(topic.partition(2).is_none() && topic.partition(-1).is_none());
}

#[test]
fn names_of_states_and_types_are_kafkas_and_unknown_ones_are_kept() {
    for name in [
        "PreparingRebalance",
        "CompletingRebalance",
        "Stable",
        "Empty",
        "Dead",
    ] {
        assert_eq!(GroupState::parse(name).as_str(), name);
    }
    assert_eq!(GroupState::parse("STABLE"), GroupState::Stable);
    assert_eq!(GroupState::parse("Brand New").as_str(), "Brand New");
    assert_eq!(GroupKind::parse("Consumer"), GroupKind::Consumer);
    assert_eq!(GroupKind::parse("").as_str(), "");
}

#[test]
fn a_reassignment_is_cancelled_before_one_that_kafka_would_mix_up_with_it() {
    let running = |replicas: &[i32], adding: &[i32], removing: &[i32]| OngoingReassignment {
        replicas: replicas.to_vec(),
        adding: adding.to_vec(),
        removing: removing.to_vec(),
    };
    let grows = running(&[3, 1, 2], &[2], &[]);
    assert!(grows.is_in_the_way_of(&[3, 1]), "2 would be added for ever");
    assert!(!grows.is_in_the_way_of(&[3, 1, 2]) && !grows.is_in_the_way_of(&[1, 2]));
    assert!(
        !grows.is_in_the_way_of(&[3, 4]),
        "4 is added in the place of 2"
    );
    let swaps = running(&[1, 2, 4, 3], &[4], &[3]);
    assert!(swaps.is_in_the_way_of(&[1, 2, 3]) && swaps.is_in_the_way_of(&[1, 2, 3, 4]));
    assert!(!swaps.is_in_the_way_of(&[1, 2, 4]) && !swaps.is_in_the_way_of(&[1, 2, 5]));
    let goes = running(&[1, 2, 3], &[], &[3]);
    assert!(goes.is_in_the_way_of(&[1, 2, 3]) && !goes.is_in_the_way_of(&[1]));
    assert_eq!(running(&[3, 1, 2], &[2], &[2]).contradictory(), [2]);
    assert!(swaps.contradictory().is_empty());
}
