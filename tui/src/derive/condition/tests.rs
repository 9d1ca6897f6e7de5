use std::sync::Arc;

use super::*;
use crate::derive::test_topic;
use crate::model::*;

fn snapshot() -> ClusterSnapshot {
    let at = Taken::default();
    let mut snapshot = ClusterSnapshot::default();
    let broker = |id| Broker {
        id,
        host: "h".to_owned(),
        port: 9092,
        rack: None,
        fenced: Some(id == 3),
    };
    let topics = [
        test_topic("a", &[(&[1, 2], &[1, 2], 1), (&[2, 1], &[1], 1)]),
        test_topic("b", &[(&[1, 3], &[1], 1)]),
    ];
    let metadata = ClusterMetadata {
        brokers: [1, 2, 3].map(broker).into(),
        topics: topics.into_iter().map(Arc::new).collect(),
        ..ClusterMetadata::default()
    };
    snapshot.apply(Update::Metadata(Ok(Arc::new(metadata))), at);
    snapshot.apply(Update::Reassignments(Ok(Arc::default())), at);
    let group = Group {
        id: "g".into(),
        kind: GroupKind::Classic,
        state: None,
        protocol_type: "consumer".into(),
        coordinator: 1,
    };
    let groups = Groups {
        groups: [("g".into(), Arc::new(group))].into(),
        ..Groups::default()
    };
    snapshot.apply(Update::Groups(Ok(Arc::new(groups))), at);
    let described = GroupDescription {
        id: "g".into(),
        kind: GroupKind::Classic,
        state: GroupState::Stable,
        protocol_type: "consumer".into(),
        assignor: "range".into(),
        coordinator: 1,
        group_epoch: None,
        assignment_epoch: None,
        topology: None,
        members: Vec::new(),
    };
    let described = vec![("g".into(), Ok(Arc::new(described)))];
    snapshot.apply(Update::Descriptions(described), at);
    let committed = CommittedPartition {
        partition: 0,
        offset: Some(40),
        ..CommittedPartition::default()
    };
    let committed = Committed {
        taken: at,
        topics: Arc::new([("a".into(), vec![committed])].into()),
    };
    let committed = vec![("g".into(), Ok(Arc::new(committed)))];
    snapshot.apply(Update::Committed(committed), at);
    let offsets = TopicOffsets {
        taken: at,
        topic_id: None,
        partitions: [PartitionOffsets {
            partition: 0,
            start: Cell::Known(0),
            end: Cell::Known(100),
        }]
        .into(),
    };
    let offsets = Offsets::from([("a".into(), Arc::new(offsets))]);
    let update = Update::Offsets {
        result: Ok(Arc::new(offsets)),
        complete: true,
    };
    snapshot.apply(update, at);
    snapshot
}

#[test]
fn a_group_that_never_committed_has_no_lag_and_none_of_zero() {
    let mut snapshot = snapshot();
    let at = Taken::default();
    let nothing = Committed {
        taken: at,
        ..Committed::default()
    };
    snapshot.apply(
        Update::Committed(vec![("g".into(), Ok(Arc::new(nothing)))]),
        at,
    );
    let condition = Condition::parse("lag(g) == 0").unwrap();
    assert_eq!(condition.read(&snapshot).holds, None);
}

#[test]
fn conditions_over_a_known_cluster() {
    let snapshot = snapshot();
    for (text, expected) in [
        ("urp == 2", Some(true)),
        ("urp=2", Some(true)),
        ("urp == 0 and reassignments == 0", Some(false)),
        ("urp == 0 or reassignments == 0", Some(true)),
        ("not (urp == 0 or brokers < 2)", Some(true)),
        ("brokers == 2 and fenced == 1 and topics >= 2", Some(true)),
        ("partitions > 3", Some(false)),
        ("partitions(a) == 2 and exists('nope') == 0", Some(true)),
        ("lag(g) <= 60 and state(\"g\") == 'stable'", Some(true)),
        ("lag(g) < 60", Some(false)),
        ("members(g) == 0 and members(nope) == 0", Some(true)),
        ("state(nope) == 'Dead'", Some(true)),
        ("lag(nope) == 0", None),
        // What is not known decides nothing, unless the rest does.
        ("under_min_isr == 0", None),
        ("not under_min_isr == 0", None),
        ("under_min_isr == 0 and urp == 0", Some(false)),
        ("under_min_isr == 0 and urp == 2", None),
        ("urp == 2 or under_min_isr == 0", Some(true)),
        ("controller == 1", None),
    ] {
        let condition = Condition::parse(text).unwrap();
        assert_eq!(condition.read(&snapshot).holds, expected, "{text}");
    }
}

#[test]
fn an_old_answer_decides_nothing() {
    let mut snapshot = snapshot();
    let condition = Condition::parse("urp == 2").unwrap();
    let fault = Fault::new(FaultKind::Unreachable, "read", "no answer");
    snapshot.apply(Update::Metadata(Err(Arc::new(fault))), Taken::default());
    assert_eq!(condition.read(&snapshot).holds, None);
}

#[test]
fn values_are_told_once_each_and_needs_are_what_is_mentioned() {
    let condition = Condition::parse("lag(g) < 5 or lag(g) == urp and under_min_isr == 0").unwrap();
    let values = condition.read(&snapshot()).values;
    let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["lag(g)", "urp", "under_min_isr"]);
    assert_eq!(values[0].1, Value::Number(60.0));
    assert_eq!(
        condition.needs(),
        Needs {
            settings: true,
            reassignments: true,
            quorum: false,
            groups: true,
            group_ids: ["g".into()].into(),
        }
    );
}

#[test]
fn what_is_wrong_with_a_condition_is_said() {
    for (text, expected) in [
        ("", "something is missing at the end"),
        ("urp", "a comparison is missing at the end"),
        ("urp == ", "something is missing at the end"),
        ("urp == 0 offline == 0", "\"offline\" is not expected there"),
        ("(urp == 0", "a \")\" is missing"),
        ("urp ! 0", "\"!\" is no comparison"),
        ("lag < 5", "lag of what? lag(\"name\")"),
        ("nonsense == 1", "\"nonsense\" is not known"),
        ("state(g) == 1", "a text is compared with a number"),
        ("urp == \"0", "a text does not end"),
        ("urp == 1x", "\"1x\" is no number"),
        ("urp # 0", "\"#\" means nothing here"),
        (&"(".repeat(60), "it is nested too deep"),
        (&"not ".repeat(60), "it is nested too deep"),
    ] {
        let error = Condition::parse(text).unwrap_err();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}
