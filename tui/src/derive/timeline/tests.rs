use super::*;
use crate::model::{GroupRecord, LoggedGroup};

/// A log that is written record by record, a batch each unless told otherwise.
#[derive(Default)]
struct Script {
    log: GroupLog,
    batch: i64,
}

impl Script {
    fn put(&mut self, at_ms: i64, facts: Vec<GroupFact>) -> &mut Self {
        self.batch = self.log.records.len() as i64;
        for fact in facts {
            let offset = self.log.records.len() as i64;
            self.log.records.push(GroupRecord {
                offset,
                batch: self.batch,
                at_ms,
                leader_epoch: self.log.leader_epoch,
                fact,
            });
        }
        self
    }

    /// Commits of a partition every second from one time to another.
    fn commits(&mut self, partition: i32, from_ms: i64, to_ms: i64) -> &mut Self {
        for at_ms in (from_ms..=to_ms).step_by(1_000) {
            let fact = GroupFact::Commit {
                partition: TopicPartition::new("orders", partition),
                offset: Some(at_ms),
                at_ms,
            };
            self.put(at_ms, vec![fact]);
        }
        self
    }

    fn classic(&mut self, at_ms: i64, generation: i32, members: Vec<LoggedMember>) -> &mut Self {
        let group = LoggedGroup {
            generation,
            protocol: "range".into(),
            leader: members.first().map_or("".into(), |m| Arc::clone(&m.id)),
            joined_at_ms: Some(at_ms - 100),
            members,
        };
        self.put(at_ms, vec![GroupFact::Classic(Some(group))])
    }

    fn causes(&self) -> Vec<String> {
        let timeline = timeline(
            &self.log,
            &TimelineSettings {
                session_timeout_ms: 10_000,
            },
        );
        let text = |event: &GroupEvent| {
            let causes: Vec<String> = event.causes.iter().map(ToString::to_string).collect();
            format!("{}: {}", event.generation, causes.join("; "))
        };
        timeline.events.iter().map(text).collect()
    }
}

fn member(id: &str, owned: &[i32]) -> LoggedMember {
    LoggedMember {
        id: format!("{id}-0000").into(),
        instance_id: None,
        client_id: id.into(),
        host: "/h".into(),
        subscribed: vec!["orders".into()],
        session_timeout_ms: Some(10_000),
        assignment: vec![TopicAssignment {
            topic: "orders".into(),
            partitions: owned.into(),
        }],
    }
}

fn static_member(instance: &str, id: &str, owned: &[i32]) -> LoggedMember {
    LoggedMember {
        instance_id: Some(instance.into()),
        ..member(id, owned)
    }
}

#[test]
fn a_classic_group_tells_joins_leaves_crashes_restarts_and_growth() {
    let mut script = Script::default();
    script
        .classic(1_000, 1, vec![member("a", &[0, 1])])
        .commits(0, 1_100, 3_100)
        .classic(4_000, 2, vec![member("a", &[0]), member("b", &[1])])
        .commits(0, 4_100, 9_100)
        .commits(1, 4_100, 8_900)
        // b's last commit was a moment ago.
        .classic(9_200, 3, vec![member("a", &[0, 1])])
        .commits(0, 9_300, 12_300)
        .classic(13_000, 4, vec![member("a", &[0]), member("c", &[1])])
        .commits(0, 13_100, 30_100)
        .commits(1, 13_100, 20_100)
        // c has been silent for its session time-out.
        .classic(31_000, 5, vec![member("a", &[0, 1])])
        .classic(32_000, 6, vec![member("a", &[0, 1, 2])])
        .classic(33_000, 7, vec![]);
    assert_eq!(
        script.causes(),
        [
            "1: joined: a@h…0000",
            "2: joined: b@h…0000",
            "3: left: b@h…0000",
            "4: joined: c@h…0000",
            "5: failed (session time-out): c@h…0000",
            "6: topic orders grew from 2 to 3 partitions",
            "7: left: a@h…0000",
        ]
    );
    let told = timeline(&script.log, &TimelineSettings::default());
    let event = &told.events[1];
    assert_eq!(event.still_ms, Some(100));
    assert_eq!(event.silent_ms, Some(1_000), "from 3.1 s to 4.1 s");
    assert_eq!(event.members, 2);
    let moved = Moved {
        topic: "orders".to_owned(),
        partition: 1,
        from: Some("a@h…0000".to_owned()),
        to: Some("b@h…0000".to_owned()),
    };
    assert_eq!(event.moved, [moved]);
    assert!(
        told.events[4].evidence[0].contains("10.8 s before"),
        "{told:?}"
    );
    assert!(told.members.is_empty());
}

#[test]
fn a_static_member_that_comes_back_moves_nothing() {
    let mut script = Script::default();
    script
        .classic(
            1_000,
            3,
            vec![
                static_member("i1", "x", &[0]),
                static_member("i2", "y", &[1]),
            ],
        )
        .classic(
            2_000,
            3,
            vec![
                static_member("i1", "z", &[0]),
                static_member("i2", "y", &[1]),
            ],
        )
        .classic(
            2_100,
            3,
            vec![
                static_member("i1", "z", &[0]),
                static_member("i2", "y", &[1]),
            ],
        );
    assert_eq!(
        script.causes(),
        ["3: as it was before", "3: static member restarted: i1"]
    );
    let told = timeline(&script.log, &TimelineSettings::default());
    assert!(told.events[1].moved.is_empty());
}

#[test]
fn silence_that_proves_nothing_is_not_called_a_crash() {
    let mut script = Script::default();
    // It commits rarely: every 9 s of a session of 10 s.
    script.classic(1_000, 1, vec![member("a", &[0])]);
    for at_ms in [2_000, 11_000, 20_000] {
        script.commits(0, at_ms, at_ms);
    }
    script.classic(29_000, 2, vec![]);
    assert_eq!(script.causes()[1], "2: left or failed: a@h…0000");
}

#[test]
fn subscriptions_group_leaders_coordinators_and_deletion_are_told() {
    let mut other = member("a", &[0]);
    other.subscribed = vec!["orders".into(), "audit".into()];
    let mut script = Script::default();
    script.log.leader_epoch = 4;
    script
        .classic(1_000, 1, vec![member("a", &[0]), member("b", &[1])])
        .classic(2_000, 2, vec![other.clone(), member("b", &[1])])
        .classic(3_000, 3, vec![member("b", &[1]), other.clone()])
        .classic(4_000, 4, vec![member("b", &[1]), other]);
    script.log.leader_epoch = 6;
    script.put(5_000, vec![GroupFact::Classic(None)]);
    assert_eq!(
        script.causes(),
        [
            "1: joined: a@h…0000, b@h…0000",
            "2: other topics: a@h…0000",
            "3: group leader a@h…0000 → b@h…0000",
            "4: a member asked for it, or metadata changed",
            "4: coordinator moved (leader epoch 6)",
            "0: the group was deleted",
        ]
    );
}

fn join(member: LoggedMember) -> GroupFact {
    GroupFact::Member {
        id: Arc::clone(&member.id),
        member: Some(member),
    }
}

fn gone(member: &LoggedMember) -> Vec<GroupFact> {
    let id = &member.id;
    vec![
        GroupFact::Current {
            id: Arc::clone(id),
            state: None,
        },
        GroupFact::Target {
            id: Arc::clone(id),
            assignment: None,
        },
        GroupFact::Member {
            id: Arc::clone(id),
            member: None,
        },
    ]
}

fn target(member: &LoggedMember, owned: &[i32]) -> GroupFact {
    GroupFact::Target {
        id: Arc::clone(&member.id),
        assignment: Some(vec![TopicAssignment {
            topic: "orders".into(),
            partitions: owned.into(),
        }]),
    }
}

fn current(member: &LoggedMember, epoch: i32) -> GroupFact {
    GroupFact::Current {
        id: Arc::clone(&member.id),
        state: Some((epoch, true)),
    }
}

#[test]
fn a_group_of_the_new_protocol_tells_the_same_from_epochs_and_assignments() {
    let modern = |id: &str| LoggedMember {
        session_timeout_ms: None,
        assignment: Vec::new(),
        ..member(id, &[])
    };
    let (a, b, c) = (modern("a"), modern("b"), modern("c"));
    let epoch = |n| GroupFact::Epoch(Some(n));
    let mut script = Script::default();
    script
        .put(
            1_000,
            vec![
                join(a.clone()),
                epoch(1),
                target(&a, &[0, 1]),
                GroupFact::TargetEpoch(1),
                current(&a, 1),
            ],
        )
        .put(
            2_000,
            vec![
                join(b.clone()),
                epoch(2),
                target(&a, &[0]),
                target(&b, &[1]),
                GroupFact::TargetEpoch(2),
            ],
        )
        .put(2_500, vec![current(&a, 2)])
        .put(3_000, vec![current(&b, 2)])
        .commits(0, 3_100, 9_100)
        .commits(1, 3_100, 9_100)
        .put(9_500, [gone(&b), vec![epoch(3)]].concat())
        .put(
            9_600,
            vec![
                target(&a, &[0, 1]),
                GroupFact::TargetEpoch(3),
                current(&a, 3),
            ],
        )
        .put(
            12_000,
            vec![
                join(c.clone()),
                epoch(4),
                target(&a, &[0]),
                target(&c, &[1]),
                GroupFact::TargetEpoch(4),
            ],
        )
        .commits(1, 12_100, 15_100)
        .commits(0, 12_100, 26_100)
        .put(26_200, [gone(&c), vec![epoch(5)]].concat())
        .put(26_300, vec![target(&a, &[0, 1]), GroupFact::TargetEpoch(5)])
        .put(
            27_000,
            vec![epoch(6), target(&a, &[0, 1, 2]), GroupFact::TargetEpoch(6)],
        );
    assert_eq!(
        script.causes(),
        [
            "1: joined: a@h…0000",
            "2: joined: b@h…0000",
            "3: left: b@h…0000",
            "4: joined: c@h…0000",
            "5: failed (session time-out): c@h…0000",
            "6: topic orders grew from 2 to 3 partitions",
        ]
    );
    let told = timeline(&script.log, &TimelineSettings::default());
    assert!(told.is_modern);
    assert_eq!(
        told.events[1].still_ms,
        Some(1_000),
        "until b had its partition"
    );
    assert_eq!(told.events[1].moved.len(), 1);
    assert_eq!(told.members[0].1[0].partitions[..], [0, 1, 2]);
}

#[test]
fn a_static_member_of_the_new_protocol_comes_back_without_a_new_epoch() {
    let old = static_member("i1", "x", &[]);
    let new = static_member("i1", "y", &[]);
    let mut script = Script::default();
    script
        .put(
            1_000,
            vec![
                join(old.clone()),
                GroupFact::Epoch(Some(1)),
                current(&old, 1),
            ],
        )
        .put(
            2_000,
            vec![GroupFact::Current {
                id: Arc::clone(&old.id),
                state: Some((-2, true)),
            }],
        )
        .put(
            3_000,
            [gone(&old), vec![join(new.clone()), current(&new, 1)]].concat(),
        );
    assert_eq!(
        script.causes(),
        ["1: joined: i1", "1: static member restarted: i1"]
    );
}

#[test]
fn a_log_without_the_group_tells_nothing() {
    assert_eq!(
        timeline(&GroupLog::default(), &TimelineSettings::default()),
        Timeline::default()
    );
}
