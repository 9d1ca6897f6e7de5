//! Share and streams groups, patterns, assignors, and what can be known of who went.

use super::*;
use crate::model::{LoggedReadiness, LoggedTopology};

impl Script {
    fn told(&self) -> Timeline {
        let settings = TimelineSettings {
            session_timeout_ms: Some(10_000),
            kind: self.kind.clone(),
        };
        timeline(&self.log, &settings)
    }
}

#[test]
fn who_goes_sooner_than_its_session_can_end_has_left_and_else_it_is_said_why_nothing_is_claimed() {
    let (a, b) = (modern("a"), modern("b"));
    let mut script = Script::whole();
    script.kind = Some(GroupKind::Share);
    script
        .first_heartbeat(1_000, &a, 2)
        .first_heartbeat(2_000, &b, 3)
        .put(11_500, [gone(&b), vec![epoch(4, 7)]].concat())
        .put(40_000, [gone(&a), vec![epoch(5, 7)]].concat());
    assert_eq!(
        script.causes()[2..],
        ["4: left: b@h…0000", "5: left or failed: a@h…0000"]
    );
    let told = script.told();
    let evidence = &told.events[2].evidence[0];
    assert!(evidence.contains("heard of 9.5 s before"), "{evidence}");
    let evidence = &told.events[3].evidence[0];
    assert!(
        evidence.contains("the same whether a member leaves or its session time-out of 10.0 s")
            && evidence.contains("39.0 s older"),
        "{evidence}"
    );
    // Where the time-out is not known, nothing follows from it.
    let unknown = timeline(&script.log, &TimelineSettings::default());
    let gone = vec!["b@h…0000".to_owned()];
    assert_eq!(unknown.events[2].causes, [Cause::Gone { members: gone }]);
    // A classic group writes down when all had joined.
    let mut script = Script::default();
    script
        .classic(1_000, 1, vec![member("a", &[0]), member("b", &[1])])
        .classic(10_500, 2, vec![member("a", &[0, 1])]);
    assert_eq!(script.causes()[1], "2: left: b@h…0000");
}

#[test]
fn partitions_of_a_share_group_that_several_have_do_not_move_back_and_forth() {
    let (a, b) = (modern("a"), modern("b"));
    let mut script = Script::whole();
    script.kind = Some(GroupKind::Share);
    script
        .first_heartbeat(1_000, &a, 2)
        .first_heartbeat(2_000, &b, 3);
    let told = script.told();
    let moved: Vec<_> = (told.events[1].moved.iter())
        .map(|moved| (moved.from.as_deref(), moved.to.as_deref(), moved.others))
        .collect();
    assert_eq!(moved, [(None, Some("b@h…0000"), 1); 2]);
}

fn tasks(member: &LoggedMember, part: &str, ids: &[i32]) -> GroupFact {
    GroupFact::Target {
        id: Arc::clone(&member.id),
        assignment: Some(vec![TopicAssignment {
            topic: part.into(),
            partitions: ids.into(),
        }]),
    }
}

#[test]
fn a_streams_group_tells_its_topology_its_tasks_and_who_commits_with_which() {
    let (a, b) = (modern("a"), modern("b"));
    let epoch = |n, hash, validated, settings: &[&str]| GroupFact::Epoch {
        epoch: Some(n),
        metadata_hash: hash,
        readiness: Some(Box::new(LoggedReadiness {
            validated,
            settings: settings.iter().map(|s| (*s).to_owned()).collect(),
        })),
    };
    let topology = |epoch| {
        GroupFact::Topology(Some(Box::new(LoggedTopology {
            epoch,
            parts: vec![("subtopology 0".into(), vec!["orders".into()])],
        })))
    };
    let part = "subtopology 0";
    let standby = format!("{part}{STANDBY_TASKS}");
    let (none, one) = (["num.standby.replicas=0"], ["num.standby.replicas=1"]);
    let mut script = Script::whole();
    script.kind = Some(GroupKind::Streams);
    script
        .put(
            1_000,
            vec![join(a.clone()), topology(0), epoch(2, 7, -1, &none)],
        )
        .put(
            1_500,
            vec![
                epoch(3, 8, 0, &none),
                tasks(&a, part, &[0, 1]),
                GroupFact::TargetEpoch(3),
                current(&a, 3),
            ],
        )
        .put(
            2_000,
            vec![
                join(b.clone()),
                epoch(4, 8, 0, &none),
                tasks(&a, part, &[0]),
                tasks(&b, part, &[1]),
                GroupFact::TargetEpoch(4),
            ],
        )
        .put(2_500, vec![current(&b, 4)])
        .commits(1, 3_000, 9_000)
        .commits(0, 3_000, 20_000)
        .put(20_500, [gone(&b), vec![epoch(5, 8, 0, &none)]].concat())
        .put(
            20_600,
            vec![tasks(&a, part, &[0, 1]), GroupFact::TargetEpoch(5)],
        )
        .put(
            31_000,
            vec![
                epoch(6, 9, 0, &none),
                tasks(&a, part, &[0, 1, 2]),
                GroupFact::TargetEpoch(6),
            ],
        )
        .put(32_000, vec![epoch(7, 9, 0, &one)])
        .put(
            32_100,
            vec![tasks(&a, &standby, &[0, 1, 2]), GroupFact::TargetEpoch(7)],
        )
        .put(33_000, vec![topology(1), epoch(8, 10, -1, &one)]);
    assert_eq!(
        script.causes(),
        [
            "2: joined: a@h…0000; topics that the application needs are missing or of a wrong size",
            "3: every topic that the application needs is there",
            "4: joined: b@h…0000",
            "5: failed (session time-out): b@h…0000",
            "6: topic orders grew from 2 to 3 partitions",
            "7: settings of the assignment: num.standby.replicas=1",
            "8: the application changed (topology 1); topics that the application needs are \
             missing or of a wrong size",
        ]
    );
    let told = script.told();
    let moved = &told.events[2].moved[0];
    assert_eq!((&*moved.topic, moved.partition), (part, 1));
    assert_eq!(&*told.members[0].1[0].topic, standby);
}

#[test]
fn what_a_pattern_fits_is_told_as_it_changes() {
    let mut a = modern("a");
    a.subscribed = Vec::new();
    a.pattern = Some("^or.*".into());
    let fits = |topics: &[&str]| GroupFact::Pattern {
        pattern: "^or.*".into(),
        topics: Some(topics.iter().map(|name| (*name).into()).collect()),
    };
    let mut script = Script::whole();
    script
        .put(1_000, vec![join(a.clone()), epoch(2, 0)])
        .put(1_100, vec![fits(&["orders"]), epoch(3, 7)])
        .put(1_200, vec![target(&a, &[0, 1]), GroupFact::TargetEpoch(3)])
        .put(9_000, vec![fits(&["orders", "origins"]), epoch(4, 8)])
        .put(19_000, vec![fits(&["origins"]), epoch(5, 9)])
        .put(29_000, vec![fits(&["origins"])]);
    assert_eq!(
        script.causes(),
        [
            "2: joined: a@h…0000",
            "3: pattern ^or.* fits orders",
            "4: pattern ^or.* fits origins",
            "5: pattern ^or.* fits nothing more, no longer orders",
        ]
    );
}

#[test]
fn members_that_come_and_go_change_what_the_brokers_assign_with() {
    let choosing = |id: &str, assignor: &str| LoggedMember {
        assignor: Some(assignor.into()),
        ..modern(id)
    };
    let (a, b, c) = (
        choosing("a", "uniform"),
        choosing("b", "range"),
        choosing("c", "range"),
    );
    let mut script = Script::whole();
    script
        .first_heartbeat(1_000, &a, 2)
        // One each: which it is then, is not known.
        .first_heartbeat(2_000, &b, 3)
        .first_heartbeat(3_000, &c, 4)
        .put(4_000, [gone(&a), vec![epoch(5, 7)]].concat())
        .first_heartbeat(5_000, &choosing("d", "uniform"), 6);
    assert_eq!(
        script.causes(),
        [
            "2: joined: a@h…0000",
            "3: joined: b@h…0000",
            "4: joined: c@h…0000; assignor uniform → range",
            "5: left: a@h…0000",
            "6: joined: d@h…0000",
        ]
    );
}

#[test]
fn a_client_that_takes_an_instance_over_may_have_shut_one_out_that_still_ran() {
    let mut other = static_member("i1", "z", &[0]);
    other.host = "/k".into();
    let mut script = Script::default();
    script
        .classic(1_000, 3, vec![static_member("i1", "x", &[0])])
        .commits(0, 1_100, 3_100)
        .classic(3_400, 3, vec![other]);
    assert_eq!(script.causes()[1], "3: static member restarted: i1");
    let evidence = script.told().events[1].evidence.join("; ");
    assert!(
        evidence.contains("it was x@h, and is z@k")
            && evidence.contains("committed 0.3 s before; one that still ran was shut out"),
        "{evidence}"
    );
}

#[test]
fn who_had_nothing_to_commit_for_long_is_not_called_failed_when_it_goes() {
    let a = modern("a");
    let mut script = Script::whole();
    script
        .first_heartbeat(1_000, &a, 2)
        .commits(0, 2_000, 9_000)
        .put(60_000, [gone(&a), vec![epoch(3, 7)]].concat());
    assert_eq!(script.causes()[1], "3: left or failed: a@h…0000");
    let evidence = &script.told().events[1].evidence[0];
    assert!(
        evidence.contains("last commit was 51.0 s before"),
        "{evidence}"
    );
}
