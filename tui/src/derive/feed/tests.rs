use super::*;
use crate::derive::test_topic;
use crate::model::{
    Broker, Fault, FaultKind, Group, GroupKind, GroupState, Member, OngoingReassignment,
    QuorumReplica, Topic,
};

fn at(ms: i64) -> Taken {
    Taken {
        monotonic_ms: ms,
        wall_ms: ms,
    }
}

/// A snapshot that is looked at step by step, and what it tells.
#[derive(Default)]
struct Watch {
    snapshot: ClusterSnapshot,
    absences: Absences,
    now_ms: i64,
}

impl Watch {
    /// A second later.
    fn sees(&mut self, update: Update) -> Vec<Happening> {
        self.now_ms += 1_000;
        let before = Before::of(&self.snapshot, &update);
        self.snapshot.apply(update, at(self.now_ms));
        before.happenings(&self.snapshot, &mut self.absences, at(self.now_ms))
    }

    fn texts(&mut self, update: Update) -> Vec<String> {
        let told = self.sees(update);
        told.into_iter().map(|happening| happening.text).collect()
    }
}

fn broker(id: i32) -> Broker {
    Broker {
        id,
        host: "h".to_owned(),
        port: 9092,
        rack: None,
        fenced: Some(false),
    }
}

/// Brokers 1 to 3 and these topics.
fn metadata(topics: Vec<Topic>) -> ClusterMetadata {
    ClusterMetadata {
        brokers: [1, 2, 3].map(broker).into(),
        topics: topics.into_iter().map(Arc::new).collect(),
        ..ClusterMetadata::default()
    }
}

fn seen(metadata: ClusterMetadata) -> Update {
    Update::Metadata(Ok(Arc::new(metadata)))
}

const ALL: &[i32] = &[1, 2, 3];

#[test]
fn the_first_look_and_an_equal_one_tell_nothing() {
    let mut watch = Watch::default();
    let all = metadata(vec![test_topic("a", &[(ALL, ALL, 1)])]);
    assert_eq!(watch.texts(seen(all.clone())), [""; 0]);
    assert_eq!(watch.texts(seen(all)), [""; 0]);
}

#[test]
fn a_dead_broker_is_told_in_a_few_lines_and_its_return_with_the_time_it_took() {
    let mut watch = Watch::default();
    let well = metadata(vec![
        test_topic("a", &[(ALL, ALL, 1), (&[2, 3, 1], ALL, 2)]),
        test_topic(
            "b",
            &[
                (&[2, 3, 1], ALL, 2),
                (&[2, 3, 1], ALL, 2),
                (&[3, 2, 1], ALL, 3),
            ],
        ),
    ]);
    watch.texts(seen(well.clone()));
    let two: &[i32] = &[1, 3];
    let mut ill = metadata(vec![
        test_topic("a", &[(ALL, two, 1), (&[2, 3, 1], two, 3)]),
        test_topic(
            "b",
            &[
                (&[2, 3, 1], two, 3),
                (&[2, 3, 1], two, 3),
                (&[3, 2, 1], two, 3),
            ],
        ),
    ]);
    ill.brokers[1].fenced = Some(true);
    let told = watch.sees(seen(ill));
    let texts: Vec<&str> = told.iter().map(|h| &*h.text).collect();
    assert_eq!(
        texts,
        [
            "broker 2 is fenced: the controller misses it",
            "a-1, b-0, b-1: leader 2 → 3",
            "5 partitions of 2 topics: replica 2 fell out of sync",
        ]
    );
    assert_eq!(told[2].partitions.len(), 5);
    assert_eq!(told[2].subject, Subject::Broker(2));
    assert_eq!((told[0].after, told[0].at), (Some(at(1_000)), at(2_000)));

    watch.now_ms += 7_200;
    let texts = watch.texts(seen(well));
    assert_eq!(
        texts,
        [
            "broker 2 is no longer fenced",
            "a-1, b-0, b-1: leader 3 → 2",
            "5 partitions of 2 topics: replica 2 is back in sync after up to 8.2 s",
        ]
    );
}

#[test]
fn topics_partitions_and_brokers_that_come_and_go() {
    let mut watch = Watch::default();
    let mut old = metadata(vec![
        test_topic("gone", &[(ALL, ALL, 1)]),
        test_topic("grows", &[(ALL, ALL, 1)]),
        test_topic("lost", &[(&[3], &[3], 3)]),
    ]);
    old.brokers.pop();
    watch.texts(seen(old));
    let mut new = metadata(vec![
        test_topic("fresh", &[(&[1, 2], &[1, 2], 1), (&[1, 2], &[1, 2], 1)]),
        test_topic("grows", &[(ALL, ALL, 1), (ALL, ALL, 1)]),
        test_topic("lost", &[(&[3], &[3], -1)]),
    ]);
    new.brokers[0].rack = Some("a".to_owned());
    new.brokers[1].port = 9093;
    assert_eq!(
        watch.texts(seen(new.clone())),
        [
            "broker 1: rack none → a",
            "broker 2 moved from h:9092 to h:9093",
            "broker 3 is there, at h:9092",
            "topic fresh was created: 2 partitions, replication factor 2",
            "topic grows: 1 → 2 partitions",
            "topic gone was deleted",
            "lost-0: no leader any more, it was 3",
        ]
    );
    let mut anew = new.clone();
    let topic = Arc::make_mut(&mut new.topics[0]);
    topic.id = Some(uuid::Uuid::from_u128(1_000));
    watch.texts(seen(new));
    let topic = Arc::make_mut(&mut anew.topics[0]);
    topic.id = Some(uuid::Uuid::from_u128(2_000));
    assert_eq!(
        watch.texts(seen(anew)),
        ["topic fresh was deleted and created anew"]
    );
}

#[test]
fn a_replica_that_a_reassignment_adds_was_never_out_of_sync() {
    let mut watch = Watch::default();
    let topic = |replicas, isr| metadata(vec![test_topic("t", &[(replicas, isr, 1)])]);
    watch.texts(seen(topic(&[1, 2], &[1, 2])));
    watch.texts(Update::Reassignments(Ok(Arc::default())));
    let key = TopicPartition::new("t", 0);
    let ongoing = OngoingReassignment {
        replicas: vec![1, 3, 2],
        adding: vec![3],
        removing: vec![2],
    };
    let running: Reassignments = [(key, ongoing)].into();
    assert_eq!(
        watch.texts(Update::Reassignments(Ok(Arc::new(running.clone())))),
        ["t-0: moving from [1,2] to [1,3]"]
    );
    assert_eq!(watch.texts(seen(topic(&[1, 3, 2], &[1, 2]))), [""; 0]);
    assert_eq!(watch.texts(seen(topic(&[1, 3], &[1, 3]))), [""; 0]);
    assert_eq!(
        watch.texts(Update::Reassignments(Ok(Arc::default()))),
        ["t-0: moved"]
    );

    watch.texts(seen(topic(&[1, 3, 2], &[1, 2])));
    watch.texts(Update::Reassignments(Ok(Arc::new(running))));
    watch.texts(seen(topic(&[1, 2], &[1, 2])));
    assert_eq!(
        watch.texts(Update::Reassignments(Ok(Arc::default()))),
        ["t-0: not moved: the reassignment was cancelled"]
    );
}

#[test]
fn silence_is_told_once_and_its_end_with_its_length() {
    let mut watch = Watch::default();
    watch.texts(seen(metadata(vec![])));
    let fails = || {
        let fault = Fault::new(FaultKind::Unreachable, "read", "connection refused");
        Update::Metadata(Err(Arc::new(fault)))
    };
    assert_eq!(
        watch.texts(fails()),
        ["the cluster does not answer: connection refused"]
    );
    assert_eq!(watch.texts(fails()), [""; 0]);
    watch.now_ms += 60_000;
    assert_eq!(
        watch.texts(seen(metadata(vec![]))),
        ["the cluster answers again, after 1 min 2 s"]
    );
}

fn described(state: GroupState, members: &[&str]) -> Update {
    let id: Arc<str> = "g".into();
    let member = |client: &&str| Member {
        id: format!("{client}-1").into(),
        client_id: (*client).into(),
        host: "h".into(),
        instance_id: None,
        rack: None,
        epoch: None,
        subscribed: Vec::new(),
        assignment: Vec::new(),
        target: Vec::new(),
        undecoded: None,
        streams: None,
    };
    let description = GroupDescription {
        id: Arc::clone(&id),
        kind: GroupKind::Classic,
        state,
        protocol_type: "consumer".into(),
        assignor: "range".into(),
        coordinator: 1,
        group_epoch: None,
        assignment_epoch: None,
        topology: None,
        members: members.iter().map(member).collect(),
    };
    Update::Descriptions(vec![(id, Ok(Arc::new(description)))])
}

#[test]
fn groups_tell_of_members_states_and_coordinators() {
    let mut watch = Watch::default();
    watch.texts(described(GroupState::Stable, &["a", "b"]));
    assert_eq!(
        watch.texts(described(GroupState::PreparingRebalance, &["b", "c"])),
        ["group g: Stable → PreparingRebalance, c joined, a left"]
    );
    let many = ["b", "c", "d", "e", "f", "g"];
    assert_eq!(
        watch.texts(described(GroupState::Stable, &many)),
        ["group g: PreparingRebalance → Stable, d, e, f and 1 more joined"]
    );
    let listed = |coordinators: &[(&str, i32)], faults: &[i32]| {
        let group = |(id, coordinator): &(&str, i32)| {
            let group = Group {
                id: (*id).into(),
                kind: GroupKind::Classic,
                state: None,
                protocol_type: "consumer".into(),
                coordinator: *coordinator,
            };
            ((*id).into(), Arc::new(group))
        };
        let fault = |id: &i32| (*id, Arc::new(Fault::refused("list", "no")));
        Update::Groups(Ok(Arc::new(Groups {
            groups: coordinators.iter().map(group).collect(),
            faults: faults.iter().map(fault).collect(),
        })))
    };
    watch.texts(listed(&[("g", 1), ("h", 2)], &[]));
    // A broker that did not answer lost no group, and one that answers again has no new ones.
    assert_eq!(watch.texts(listed(&[("g", 1)], &[2])), [""; 0]);
    assert_eq!(watch.texts(listed(&[("g", 1), ("h", 2)], &[])), [""; 0]);
    assert_eq!(
        watch.texts(listed(&[("g", 2), ("i", 2)], &[])),
        [
            "group g: coordinator 1 → 2",
            "group i is new",
            "group h is gone"
        ]
    );
}

#[test]
fn quorum_settings_and_features() {
    let mut watch = Watch::default();
    let quorum = |leader_id, leader_epoch, voters: &[i32]| {
        let voter = |id: &i32| QuorumReplica {
            id: *id,
            directory_id: None,
            log_end_offset: 0,
            lag: None,
            last_fetch_ms: None,
            last_caught_up_ms: None,
        };
        Update::Quorum(Ok(Arc::new(Quorum {
            leader_id,
            leader_epoch,
            voters: voters.iter().map(voter).collect(),
            ..Quorum::default()
        })))
    };
    watch.texts(quorum(1, 3, &[1, 2]));
    assert_eq!(
        watch.texts(quorum(2, 5, &[2, 3])),
        [
            "controller 1 → 2 (epoch 3 → 5)",
            "controller 3 votes now",
            "controller 1 votes no more",
        ]
    );
    let settings = |min: Option<i32>, policy: &str| {
        let settings = TopicSettings {
            min_insync_replicas: min,
            cleanup_policy: Some(policy.into()),
            ..TopicSettings::default()
        };
        Update::Settings(Ok(Arc::new([("t".into(), settings)].into())))
    };
    watch.texts(settings(Some(1), "delete"));
    assert_eq!(
        watch.texts(settings(Some(2), "compact")),
        [
            "topic t: min.insync.replicas 1 → 2",
            "topic t: cleanup.policy delete → compact",
        ]
    );
    // What could not be read is no change.
    assert_eq!(watch.texts(settings(None, "compact")), [""; 0]);
}

#[test]
fn any_two_moments_can_be_compared() {
    let mut watch = Watch::default();
    watch.texts(seen(metadata(vec![test_topic("a", &[(ALL, ALL, 1)])])));
    let then = watch.snapshot.clone();
    watch.texts(seen(metadata(vec![test_topic("a", &[(ALL, &[1], 1)])])));
    watch.texts(seen(metadata(vec![test_topic("a", &[(ALL, &[1, 2], 2)])])));
    let told = Before::all(&then).happenings(&watch.snapshot, &mut Absences::default(), at(9_000));
    let texts: Vec<&str> = told.iter().map(|h| &*h.text).collect();
    assert_eq!(
        texts,
        ["a-0: leader 1 → 2", "a-0: replica 3 fell out of sync"]
    );
}
