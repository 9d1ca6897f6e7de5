use super::*;
use crate::model::{GroupRecord, LoggedGroup, LoggedStage, LoggedState};

mod kinds;

/// A log that is written record by record, a batch each unless told otherwise.
#[derive(Default)]
struct Script {
    log: GroupLog,
    batch: i64,
    kind: Option<GroupKind>,
}

impl Script {
    /// It was read from its first record, and nothing is missing.
    fn whole() -> Self {
        let mut script = Self::default();
        script.log.reach.is_whole = true;
        script
    }

    /// As Apache 4.3.1 writes a first heartbeat: the group's epoch begins at 2.
    fn first_heartbeat(&mut self, at_ms: i64, member: &LoggedMember, number: i32) -> &mut Self {
        let state = Some(stable(number, 0));
        let id = Arc::clone(&member.id);
        let facts = vec![
            join(member.clone()),
            epoch(number, 7),
            target(member, &[0, 1]),
            GroupFact::TargetEpoch(number),
            GroupFact::Current { id, state },
        ];
        self.put(at_ms, facts)
    }

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
                session_timeout_ms: Some(10_000),
                kind: self.kind.clone(),
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
        ..LoggedMember::default()
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
        others: 0,
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
        state: Some(stable(epoch, 1)),
    }
}

fn stable(epoch: i32, previous_epoch: i32) -> LoggedState {
    LoggedState {
        epoch,
        previous_epoch,
        stage: LoggedStage::Stable,
    }
}

fn epoch(epoch: i32, metadata_hash: i64) -> GroupFact {
    GroupFact::Epoch {
        epoch: Some(epoch),
        metadata_hash,
        readiness: None,
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
    let epoch = |n| epoch(n, 0);
    let mut script = Script::whole();
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
    let mut script = Script::whole();
    script
        .put(
            1_000,
            vec![join(old.clone()), epoch(1, 0), current(&old, 1)],
        )
        .put(
            2_000,
            vec![GroupFact::Current {
                id: Arc::clone(&old.id),
                state: Some(stable(-2, 1)),
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

fn modern(id: &str) -> LoggedMember {
    LoggedMember {
        session_timeout_ms: None,
        assignment: Vec::new(),
        ..member(id, &[])
    }
}

#[test]
fn who_joins_a_group_of_the_new_protocol_is_told_where_it_can_be_known() {
    let (a, b) = (modern("a"), modern("b"));
    // The log is whole: whatever the first epoch is, whoever appears has joined.
    let mut script = Script::whole();
    script.first_heartbeat(1_000, &a, 2);
    assert_eq!(script.causes(), ["2: joined: a@h…0000"]);
    // Reading began in the middle: who comes from epoch 0 has joined all the same.
    let mut script = Script::default();
    script.first_heartbeat(1_000, &a, 40);
    assert_eq!(script.causes(), ["40: joined: a@h…0000"]);
    // Who was there before, has not; and its partitions did not move from nobody.
    let mut script = Script::default();
    script
        .put(
            1_000,
            vec![
                epoch(41, 7),
                target(&a, &[0]),
                GroupFact::TargetEpoch(41),
                current(&a, 41),
            ],
        )
        .put(
            2_000,
            vec![
                join(b.clone()),
                epoch(42, 7),
                target(&a, &[]),
                target(&b, &[0, 1]),
                GroupFact::TargetEpoch(42),
                GroupFact::Current {
                    id: Arc::clone(&b.id),
                    state: Some(stable(42, 0)),
                },
            ],
        );
    assert_eq!(
        script.causes(),
        ["41: as it was before", "42: joined: b@h…0000"]
    );
    let told = timeline(&script.log, &TimelineSettings::default());
    let moved = &told.events[1].moved;
    assert_eq!(moved.len(), 1, "{moved:?}");
    assert_eq!(moved[0].from.as_deref(), Some("a-0000"));
    // Compaction left a, its epoch and its assignment; b came afterwards.
    let mut script = Script::whole();
    script
        .put(1_000, vec![join(a.clone())])
        .put(1_100, vec![epoch(41, 7)])
        .put(1_200, vec![target(&a, &[0, 1]), current(&a, 41)]);
    script.log.reach.gapless_from = script.log.records.len() as i64;
    script.put(
        2_000,
        vec![
            join(b.clone()),
            epoch(42, 7),
            target(&a, &[0]),
            target(&b, &[1]),
            GroupFact::TargetEpoch(42),
        ],
    );
    assert_eq!(
        script.causes(),
        ["41: as it was before", "42: joined: b@h…0000"]
    );
    let told = timeline(&script.log, &TimelineSettings::default());
    assert_eq!(told.events[0].members, 1);
    assert_eq!(told.events[1].moved.len(), 1, "{told:?}");
}

#[test]
fn a_member_that_was_never_seen_goes_as_one_that_is_gone() {
    let a = modern("a");
    let mut script = Script::default();
    script
        .put(1_000, vec![epoch(41, 7)])
        .put(2_000, [gone(&a), vec![epoch(42, 7)]].concat());
    assert_eq!(
        script.causes(),
        ["41: as it was before", "42: left or failed: a-0000"]
    );
}

#[test]
fn a_static_member_that_stays_away_has_left_and_one_that_keeps_partitions_is_fenced() {
    let a = static_member("i1", "x", &[]);
    let mut b = modern("b");
    b.rebalance_timeout_ms = Some(5_000);
    let away = GroupFact::Current {
        id: Arc::clone(&a.id),
        state: Some(stable(-2, 2)),
    };
    let revoking = GroupFact::Current {
        id: Arc::clone(&b.id),
        state: Some(LoggedState {
            stage: LoggedStage::Revoking,
            ..stable(3, 2)
        }),
    };
    let mut script = Script::whole();
    script
        .first_heartbeat(1_000, &a, 2)
        .first_heartbeat(2_000, &b, 3)
        .put(3_000, vec![away])
        .put(48_000, [gone(&a), vec![epoch(4, 7)]].concat())
        .put(49_000, vec![revoking])
        .commits(0, 49_000, 54_000)
        .put(54_100, [gone(&b), vec![epoch(5, 7)]].concat());
    assert_eq!(
        script.causes(),
        [
            "2: joined: i1",
            "3: joined: b@h…0000",
            "4: left: i1",
            "5: fenced (rebalance time-out): b@h…0000",
        ]
    );
    let told = timeline(&script.log, &TimelineSettings::default());
    let evidence = &told.events[2].evidence[0];
    assert!(evidence.contains("45.0 s before"), "{evidence}");
}

#[test]
fn topics_assignors_and_subscriptions_are_named_as_causes() {
    let a = modern("a");
    let mut other = a.clone();
    other.subscribed = vec!["audit".into()];
    let mut choosy = other.clone();
    choosy.assignor = Some("range".into());
    let mut script = Script::whole();
    script
        .first_heartbeat(1_000, &a, 2)
        // Other racks, say: nothing that the assignment shows.
        .put(2_000, vec![epoch(3, 8), GroupFact::TargetEpoch(3)])
        .put(3_000, vec![join(other), epoch(4, 9)])
        .put(4_000, vec![join(choosy)])
        .put(5_000, vec![epoch(5, 9)]);
    assert_eq!(
        script.causes(),
        [
            "2: joined: a@h…0000",
            "3: the topics that it reads changed",
            "4: other topics: a@h…0000",
            "4: assignor the brokers' own → range",
            "5: a member asked for it, or metadata changed",
        ]
    );
    let mut script = Script::default();
    script.classic(1_000, 1, vec![member("a", &[0])]);
    let group = LoggedGroup {
        generation: 2,
        protocol: "sticky".into(),
        leader: "a-0000".into(),
        members: vec![member("a", &[0])],
        joined_at_ms: None,
    };
    script.put(2_000, vec![GroupFact::Classic(Some(group))]);
    assert_eq!(script.causes()[1], "2: assignor range → sticky");
}

#[test]
fn a_group_that_goes_over_to_the_new_protocol_and_back_was_not_deleted() {
    let (old, new) = (member("a", &[0, 1]), modern("a"));
    let mut second = modern("b");
    second.id = "b-0000".into();
    let mut script = Script::whole();
    script.classic(1_000, 1, vec![old.clone()]).put(
        2_000,
        vec![
            GroupFact::Classic(None),
            join(new.clone()),
            epoch(1, 7),
            target(&new, &[0, 1]),
            GroupFact::TargetEpoch(1),
            join(second.clone()),
            epoch(2, 7),
        ],
    );
    let deleted = GroupFact::Epoch {
        epoch: None,
        metadata_hash: 0,
        readiness: None,
    };
    let back = [gone(&new), gone(&second), vec![deleted]].concat();
    script
        .put(3_000, back)
        .classic(3_001, 3, vec![old])
        .put(4_000, vec![GroupFact::Classic(None)]);
    assert_eq!(
        script.causes(),
        [
            "1: joined: a@h…0000",
            "1: went over to the consumer protocol",
            "2: joined: b@h…0000",
            "3: went over to the classic protocol; left: b@h…0000",
            "0: the group was deleted",
        ]
    );
}
