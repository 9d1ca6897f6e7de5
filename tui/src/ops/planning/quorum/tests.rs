use std::sync::Arc;

use super::*;
use crate::model::{Broker, FaultKind, FeatureLevel, NodeLevels, Taken, Update, VoterListener};

const DIRECTORY: &str = "4L6g3nShT-eMCtK--X86sw";
const OTHER: &str = "0YOukVJ5yuL-Y_IhslAFpg";

fn replica(id: i32, ago_s: i64, lag: i64) -> QuorumReplica {
    QuorumReplica {
        id,
        directory_id: Some(DIRECTORY.to_owned()),
        log_end_offset: 100 - lag,
        lag: Some(lag),
        last_fetch_ms: Some(1_000_000 - ago_s * 1_000),
        last_caught_up_ms: None,
    }
}

/// Voters 1 (leader), 2, 3 with the seconds since they fetched, and the observer 4.
fn snapshot(voters: &[(i32, i64)], kraft_version: i16) -> ClusterSnapshot {
    let listener: VoterListener = "CONTROLLER://c:9093".parse().unwrap();
    let quorum = Quorum {
        leader_id: 1,
        voters: voters
            .iter()
            .map(|(id, ago)| replica(*id, *ago, 0))
            .collect(),
        observers: vec![replica(4, 0, 7)],
        listeners: voters
            .iter()
            .map(|(id, _)| (*id, vec![listener.clone()]))
            .collect(),
        ..Quorum::default()
    };
    let level = |name: &str, finalized, min, max| FeatureLevel {
        name: name.to_owned(),
        finalized: Some(finalized),
        supported_min: min,
        supported_max: max,
        nodes: vec![
            NodeLevels {
                node: 1,
                min,
                max: max + 1,
            },
            NodeLevels { node: 2, min, max },
        ],
    };
    let features = Features {
        finalized_epoch: 9,
        levels: vec![
            level("group.version", 0, 0, 1),
            level("kraft.version", kraft_version, 0, 1),
            level("metadata.version", 25, 7, 29),
        ],
    };
    let broker = |id, fenced| Broker {
        id,
        host: format!("b{id}"),
        port: 9092,
        rack: None,
        fenced: Some(fenced),
    };
    let metadata = ClusterMetadata {
        brokers: vec![broker(1, false), broker(2, false), broker(9, true)],
        topics: vec![Arc::new(derive::test_topic("t", &[(&[1, 9], &[1], 1)]))],
        ..ClusterMetadata::default()
    };
    let mut snapshot = ClusterSnapshot::default();
    for update in [
        Update::Metadata(Ok(Arc::new(metadata))),
        Update::Quorum(Ok(Arc::new(quorum))),
        Update::Features(Ok(Arc::new(features))),
    ] {
        snapshot.apply(update, Taken::default());
    }
    snapshot
}

const ALL: &[(i32, i64)] = &[(1, 0), (2, 0), (3, 0)];

fn planned(action: QuorumAction, of: &ClusterSnapshot) -> Result<Plan, Fault> {
    crate::ops::plan(Action::Quorum(action), of)
}

fn remove(id: i32) -> QuorumAction {
    QuorumAction::RemoveVoter {
        id,
        directory_id: None,
    }
}

fn add(id: i32) -> QuorumAction {
    QuorumAction::AddVoter(AddVoter {
        id,
        directory_id: None,
        listeners: vec!["CONTROLLER://d:9093".parse().unwrap()],
    })
}

#[test]
fn a_voter_is_removed_only_from_a_quorum_that_survives_it() {
    let plan = planned(remove(3), &snapshot(ALL, 1)).unwrap();
    assert_eq!(plan.typed_confirmation.as_deref(), Some("remove voter 3"));
    let voters = &plan.changes[1];
    assert_eq!(
        voters.before.as_deref(),
        Some("3, of which 2 have to agree")
    );
    assert_eq!(voters.after.as_deref(), Some("2, of which 2 have to agree"));
    assert!(
        plan.warnings[0].contains("one more voter fails"),
        "{:?}",
        plan.warnings
    );
    assert!(
        plan.warnings[1].contains("2 voters survive no more"),
        "{:?}",
        plan.warnings
    );
    let Some(Action::Quorum(QuorumAction::AddVoter(back))) = &plan.inverse else {
        panic!("{:?}", plan.inverse);
    };
    assert_eq!(back.listeners[0].to_string(), "CONTROLLER://c:9093");
    assert_eq!(back.directory_id.as_deref(), Some(DIRECTORY));

    // A silent voter may go; one that answers, while another is silent, may not.
    let one_silent = snapshot(&[(1, 0), (2, 0), (3, 60)], 1);
    assert!(planned(remove(3), &one_silent).is_ok());
    let why = planned(remove(2), &one_silent).unwrap_err().why;
    assert!(
        why.contains("of the 2 voters left 1 answer, and 2 have to"),
        "{why}"
    );
    assert!(planned(remove(1), &snapshot(ALL, 1)).unwrap().warnings[0].contains("it leads"));
    let last = planned(remove(1), &snapshot(&[(1, 0)], 1)).unwrap_err();
    assert!(last.why.contains("last voter"), "{last}");
    assert_eq!(
        planned(remove(4), &snapshot(ALL, 1)).unwrap_err().kind,
        FaultKind::NotFound
    );
    let fixed = planned(remove(3), &snapshot(ALL, 0)).unwrap_err();
    assert!(fixed.why.contains("kraft.version is 0"), "{fixed}");
}

#[test]
fn an_observer_becomes_a_voter_with_its_own_directory() {
    let plan = planned(add(4), &snapshot(ALL, 1)).unwrap();
    let Action::Quorum(QuorumAction::AddVoter(meant)) = &plan.action else {
        panic!()
    };
    assert_eq!(meant.directory_id.as_deref(), Some(DIRECTORY));
    assert_eq!(plan.changes[0].before.as_deref(), Some("observer"));
    assert_eq!(plan.changes[0].after.as_deref(), Some("voter"));
    let listener = plan.changes[1].after.as_deref();
    assert_eq!(listener, Some("CONTROLLER://d:9093"));
    assert_eq!(plan.not_done[0], "it is 7 records behind the leader");
    assert!(
        plan.warnings[0].contains("not caught up yet"),
        "{:?}",
        plan.warnings
    );
    assert!(matches!(
        &plan.inverse,
        Some(Action::Quorum(QuorumAction::RemoveVoter { id: 4, .. }))
    ));
    for (action, reason) in [
        (add(2), "voter already"),
        (add(7), "does not follow"),
        (
            QuorumAction::AddVoter(AddVoter {
                id: 4,
                directory_id: None,
                listeners: vec![],
            }),
            "no listener",
        ),
        (
            QuorumAction::AddVoter(AddVoter {
                directory_id: Some("nonsense".to_owned()),
                id: 4,
                listeners: vec!["C://d:1".parse().unwrap()],
            }),
            "no directory id",
        ),
        (named(OTHER), "does not follow with the directory"),
    ] {
        let why = planned(action, &snapshot(ALL, 1)).unwrap_err().why;
        assert!(why.contains(reason), "{why}");
    }
    for text in ["CONTROLLER", "://h:1", "C://:1", "C://h", "C://h:99999"] {
        assert!(text.parse::<VoterListener>().is_err(), "{text}");
    }
}

fn named(directory: &str) -> QuorumAction {
    QuorumAction::AddVoter(AddVoter {
        id: 4,
        directory_id: Some(directory.to_owned()),
        listeners: vec!["C://d:1".parse().unwrap()],
    })
}

#[test]
fn what_a_node_left_behind_when_its_disk_was_replaced_never_becomes_a_voter() {
    let with = |observers: Vec<QuorumReplica>| {
        let mut of = snapshot(ALL, 1);
        let mut quorum = Quorum::clone(of.quorum.get().unwrap());
        quorum.observers = observers;
        of.apply(Update::Quorum(Ok(Arc::new(quorum))), Taken::default());
        of
    };
    let ghost = |ago_s| QuorumReplica {
        directory_id: Some(OTHER.to_owned()),
        ..replica(4, ago_s, 0)
    };
    let of = with(vec![ghost(60), replica(4, 0, 0)]);
    let plan = planned(add(4), &of).unwrap();
    let Action::Quorum(QuorumAction::AddVoter(meant)) = &plan.action else {
        panic!()
    };
    assert_eq!(meant.directory_id.as_deref(), Some(DIRECTORY));
    let why = planned(named(OTHER), &of).unwrap_err().why;
    assert!(why.contains("no longer follows"), "{why}");
    let why = planned(add(4), &with(vec![ghost(60)])).unwrap_err().why;
    assert!(why.contains("no longer follows"), "{why}");

    let just_now = with(vec![ghost(3), replica(4, 0, 0)]);
    let why = planned(add(4), &just_now).unwrap_err().why;
    assert!(why.contains(OTHER) && why.contains(DIRECTORY), "{why}");
    assert!(planned(named(DIRECTORY), &just_now).is_ok());
}

fn set(name: &str, level: i16, direction: Direction) -> QuorumAction {
    let name = name.to_owned();
    QuorumAction::SetFeatures(vec![SetFeature {
        name,
        level,
        direction,
    }])
}

#[test]
fn a_feature_goes_where_every_node_can_and_only_in_the_direction_that_is_said() {
    let of = snapshot(ALL, 1);
    let plan = planned(set("metadata.version", 29, Direction::Up), &of).unwrap();
    assert_eq!(plan.typed_confirmation.as_deref(), Some("metadata.version"));
    assert_eq!(plan.changes[0].before.as_deref(), Some("25 (4.0-IV3)"));
    assert_eq!(plan.changes[0].after.as_deref(), Some("29 (4.2-IV1)"));
    assert_eq!(
        plan.equivalent,
        ["kafka-features.sh --bootstrap-server b1:9092 upgrade --feature metadata.version=29"]
    );
    let down = Action::Quorum(set("metadata.version", 25, Direction::Down));
    assert_eq!(plan.inverse, Some(down));
    let plan = planned(set("group.version", 1, Direction::Up), &of).unwrap();
    assert_eq!(
        (plan.typed_confirmation, plan.danger),
        (None, Danger::Disruptive)
    );
    let plan = planned(set("kraft.version", 0, Direction::DownUnsafe), &of).unwrap();
    assert_eq!(plan.danger, Danger::Destructive);
    assert!(
        planned(set("kraft.version", 1, Direction::Up), &of)
            .unwrap()
            .is_empty()
    );
    for (name, level, direction, reason) in [
        (
            "metadata.version",
            30,
            Direction::Up,
            "broker 2 can do 7 to 29",
        ),
        ("metadata.version", 6, Direction::Down, "7 to 29"),
        ("metadata.version", 20, Direction::Up, "this is a downgrade"),
        (
            "metadata.version",
            29,
            Direction::Down,
            "this is an upgrade",
        ),
        ("metadata.version", -1, Direction::Down, "0 or more"),
        ("nonsense", 1, Direction::Up, "there is group.version"),
    ] {
        let why = planned(set(name, level, direction), &of).unwrap_err().why;
        assert!(why.contains(reason), "{why}");
    }
}

#[test]
fn a_broker_is_forgotten_after_saying_what_it_still_holds() {
    let plan = planned(QuorumAction::UnregisterBroker(9), &snapshot(ALL, 1)).unwrap();
    assert_eq!(plan.typed_confirmation.as_deref(), Some("unregister 9"));
    assert!(
        plan.warnings[0].contains("1 partition still have a replica there, t-0"),
        "{:?}",
        plan.warnings
    );
    let plan = planned(QuorumAction::UnregisterBroker(2), &snapshot(ALL, 1)).unwrap();
    assert!(plan.warnings[0].contains("it is up"), "{:?}", plan.warnings);
    assert!(plan.warnings[1].contains("voter"), "{:?}", plan.warnings);
}

#[test]
fn what_undoes_a_change_of_the_quorum_survives_being_written() {
    let of = snapshot(ALL, 1);
    for action in [remove(3), add(4), set("group.version", 1, Direction::Up)] {
        let inverse = planned(action, &of).unwrap().inverse.unwrap();
        let written = serde_json::to_string(&inverse).unwrap();
        assert_eq!(serde_json::from_str::<Action>(&written).unwrap(), inverse);
    }
}

#[test]
fn what_undoes_a_change_begins_where_the_change_ended() {
    // The node 4 was an observer, and is a voter afterwards; the other way round for 3.
    let added = planned(add(4), &snapshot(ALL, 1)).unwrap();
    let removed = planned(remove(3), &snapshot(ALL, 1)).unwrap();
    assert_eq!(added.changes[0].after, removed.changes[0].before);
    assert_eq!(removed.changes[0].after, added.changes[0].before);
}
