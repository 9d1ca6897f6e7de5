use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::{
    Cell, ClusterMetadata, CommittedPartition, FaultKind, GroupDescription, GroupKind, GroupState,
    Member, PartError, Partition, PartitionOffsets, Taken, Topic, TopicOffsets,
};

fn key(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

/// `orders` with three partitions, of which the last has no leader, and `audit` with one.
fn metadata() -> ClusterMetadata {
    let topic = |name: &str, leaders: &[i32]| {
        let partition = |(id, leader): (usize, &i32)| Partition {
            id: id as i32,
            leader: *leader,
            ..Partition::default()
        };
        Arc::new(Topic {
            name: name.into(),
            id: None,
            is_internal: false,
            error: None,
            partitions: leaders.iter().enumerate().map(partition).collect(),
        })
    };
    ClusterMetadata {
        topics: vec![topic("audit", &[1]), topic("orders", &[1, 2, -1])],
        ..ClusterMetadata::default()
    }
}

fn offsets_of(ranges: &[(i64, i64)]) -> Arc<TopicOffsets> {
    let partition = |(id, (start, end)): (usize, &(i64, i64))| PartitionOffsets {
        partition: id as i32,
        start: Cell::Known(*start),
        end: Cell::Known(*end),
    };
    Arc::new(TopicOffsets {
        taken: Taken::default(),
        topic_id: None,
        partitions: ranges.iter().enumerate().map(partition).collect(),
    })
}

fn commits(list: &[(&str, i32, i64)]) -> Committed {
    let mut committed = Committed::default();
    for (topic, partition, offset) in list {
        let commit = CommittedPartition {
            partition: *partition,
            offset: Some(*offset),
            leader_epoch: Some(4),
            metadata: Some("kept".into()),
            ..CommittedPartition::default()
        };
        let topics = Arc::make_mut(&mut committed.topics);
        let topic = topics.entry(Arc::from(*topic)).or_default();
        topic.push(commit);
    }
    committed
}

/// audit-0: 0 to 50, at 50. orders-0: 100 to 1,000, at 400. orders-1: 0 to 2,000, at nothing.
fn facts() -> ResetFacts {
    ResetFacts {
        committed: commits(&[("audit", 0, 50), ("orders", 0, 400)]),
        offsets: HashMap::from([
            (Arc::from("audit"), offsets_of(&[(0, 50)])),
            (
                Arc::from("orders"),
                offsets_of(&[(100, 1_000), (0, 2_000), (0, 0)]),
            ),
        ]),
        at_time: BTreeMap::from([
            (key("orders", 0), Ok(Some(700))),
            (key("orders", 1), Ok(None)),
            (key("audit", 0), Err("NOT_LEADER_OR_FOLLOWER".to_owned())),
        ]),
        other: Some(commits(&[("orders", 0, 5_000), ("orders", 1, 30)])),
    }
}

fn ask(scope: &str, to: ResetTo) -> Result<AlterOffsets, Fault> {
    let request = ResetRequest {
        group: "g".to_owned(),
        scope: parse_scope([scope]).unwrap(),
        to,
    };
    propose(&request, &metadata(), &facts())
}

/// `topic-partition from>to` of each change.
fn told(alter: &AlterOffsets) -> Vec<String> {
    let word = |commit: &Option<CommitAt>| match commit {
        Some(commit) => commit.offset.to_string(),
        None => "-".to_owned(),
    };
    let line = |c: &OffsetChange| format!("{} {}>{}", c.key(), word(&c.from), word(&c.to));
    alter.changes.iter().map(line).collect()
}

#[test]
fn each_way_leads_where_kafka_s_tool_would() {
    for (scope, to, wanted) in [
        (
            "",
            ResetTo::Earliest,
            &["audit-0 50>0", "orders-0 400>100"][..],
        ),
        ("", ResetTo::Latest, &["audit-0 50>50", "orders-0 400>1000"]),
        (
            "orders:0,1",
            ResetTo::Current,
            &["orders-0 400>400", "orders-1 ->2000"],
        ),
        ("orders:0", ResetTo::Offset(123), &["orders-0 400>123"]),
        ("orders:0", ResetTo::Offset(5), &["orders-0 400>100"]),
        ("orders:0", ResetTo::Offset(5_000), &["orders-0 400>1000"]),
        (
            "",
            ResetTo::Shift(10),
            &["audit-0 50>50", "orders-0 400>410"],
        ),
        (
            "",
            ResetTo::Shift(-350),
            &["audit-0 50>0", "orders-0 400>100"],
        ),
        (
            "",
            ResetTo::Shift(i64::MIN),
            &["audit-0 50>0", "orders-0 400>100"],
        ),
        (
            "orders:0,1",
            ResetTo::Time(1),
            &["orders-0 400>700", "orders-1 ->2000"],
        ),
        (
            "orders:0,1",
            ResetTo::Ago(1),
            &["orders-0 400>700", "orders-1 ->2000"],
        ),
        (
            "",
            ResetTo::File(BTreeMap::from([
                (key("orders", 1), 7),
                (key("audit", 0), 9),
            ])),
            &["audit-0 50>9", "orders-1 ->7"],
        ),
        (
            "",
            ResetTo::Group("other".to_owned()),
            &["orders-0 400>1000", "orders-1 ->30"],
        ),
    ] {
        let alter = ask(scope, to.clone()).unwrap();
        assert_eq!(told(&alter), wanted, "{scope} {to:?}");
    }
}

#[test]
fn what_can_t_be_set_is_left_out_with_its_reason_and_spoils_nothing_else() {
    let alter = ask("orders", ResetTo::Latest).unwrap();
    assert_eq!(told(&alter), ["orders-0 400>1000", "orders-1 ->2000"]);
    assert_eq!(alter.left, ["orders-2: it has no leader"]);
    let alter = ask("orders:0 audit", ResetTo::Time(1)).unwrap();
    assert_eq!(alter.left, ["audit-0: NOT_LEADER_OR_FOLLOWER"]);
    let file = BTreeMap::from([
        (key("orders", 9), 1),
        (key("gone", 0), 1),
        (key("audit", 0), 3),
    ]);
    let alter = ask("", ResetTo::File(file)).unwrap();
    assert_eq!(told(&alter), ["audit-0 50>3"]);
    assert_eq!(
        alter.left,
        ["gone-0: it does not exist", "orders-9: it does not exist"]
    );
}

#[test]
fn refusals_say_why() {
    for (scope, to, why) in [
        (
            "orders:1",
            ResetTo::Shift(1),
            "nothing is committed for orders-1",
        ),
        (
            "nowhere",
            ResetTo::Latest,
            "topic \"nowhere\" does not exist",
        ),
        (
            "orders:7",
            ResetTo::Latest,
            "partition orders-7 does not exist",
        ),
        (
            "orders:2",
            ResetTo::Latest,
            "no partition can be set: orders-2",
        ),
    ] {
        let fault = ask(scope, to).unwrap_err();
        assert!(fault.why.contains(why), "{fault}");
    }
    let request = ResetRequest {
        group: "new".to_owned(),
        scope: ResetScope::All,
        to: ResetTo::Latest,
    };
    let fault = propose(&request, &metadata(), &ResetFacts::default()).unwrap_err();
    assert!(fault.why.contains("has committed nothing"), "{fault}");
}

#[test]
fn an_end_that_can_t_be_read_costs_its_own_partition() {
    let mut facts = facts();
    let mut broken = TopicOffsets::clone(&facts.offsets["orders"]);
    Arc::make_mut(&mut broken.partitions)[0].end = Cell::Failed(PartError(6));
    facts.offsets.insert(Arc::from("orders"), Arc::new(broken));
    let request = ResetRequest {
        group: "g".to_owned(),
        scope: ResetScope::All,
        to: ResetTo::Latest,
    };
    let alter = propose(&request, &metadata(), &facts).unwrap();
    assert_eq!(told(&alter), ["audit-0 50>50"]);
    assert_eq!(alter.left, ["orders-0: NOT_LEADER_OR_FOLLOWER"]);
}

#[test]
fn records_passed_over_and_read_again_are_counted_from_where_there_are_records() {
    let change = |from: Option<i64>, to: Option<i64>| OffsetChange {
        topic: "t".to_owned(),
        partition: 0,
        from: from.map(CommitAt::plain),
        to: to.map(CommitAt::plain),
        log_start: Some(100),
        log_end: Some(1_000),
        record: None,
        asked: None,
    };
    assert_eq!(change(Some(400), Some(1_000)).moved(), Some(600));
    assert_eq!(change(Some(400), Some(100)).moved(), Some(-300));
    let was_lost = change(Some(20), Some(100));
    assert_eq!(was_lost.moved(), Some(0), "retention took them already");
    assert_eq!(change(None, Some(100)).moved(), None);
    assert_eq!(change(Some(400), None).moved(), None);
}

#[test]
fn the_inverse_puts_everything_back_as_it_was() {
    let alter = ask("orders:0,1", ResetTo::Latest).unwrap();
    let back = alter.inverse();
    assert_eq!(told(&back), ["orders-0 1000>400", "orders-1 2000>-"]);
    let to = back.changes[0].to.as_ref().unwrap();
    assert_eq!(to.leader_epoch, Some(4));
    assert_eq!(to.metadata.as_deref(), Some("kept"));
    let kept = ask("orders:0", ResetTo::Current).unwrap();
    assert!(kept.inverse().changes.is_empty(), "nothing changes");
    let text = serde_json::to_string(&back).unwrap();
    assert_eq!(serde_json::from_str::<AlterOffsets>(&text).unwrap(), back);
}

#[test]
fn commits_of_a_topic_are_forgotten_and_no_others() {
    let committed = commits(&[("a", 0, 1), ("a", 1, 2), ("b", 0, 3)]);
    let forget = |scope: &str| forget_offsets("g", &parse_scope([scope]).unwrap(), &committed);
    assert_eq!(told(&forget("a").unwrap()), ["a-0 1>-", "a-1 2>-"]);
    assert_eq!(told(&forget("a:1 b").unwrap()), ["a-1 2>-", "b-0 3>-"]);
    assert!(forget("a").unwrap().only_forgets());
    assert_eq!(forget("c").unwrap_err().kind, FaultKind::NotFound);
}

#[test]
fn scopes_times_and_durations_are_read_as_kafka_s_tool_takes_them() {
    let topics = |text: &str| parse_scope([text]);
    assert_eq!(topics("").unwrap(), ResetScope::All);
    let ResetScope::Topics(read) = topics("a b:0,2;c").unwrap() else {
        panic!("three topics")
    };
    let ids: Vec<_> = read
        .iter()
        .map(|t| (&*t.topic, t.partitions.clone()))
        .collect();
    assert_eq!(ids, [("a", None), ("b", Some(vec![0, 2])), ("c", None)]);
    for wrong in ["a:", "a:x", ":1", "a:-1", "a:1,"] {
        assert!(topics(wrong).is_err(), "{wrong}");
    }
    let ms = 1_795_269_600_123; // 2026-11-21T14:00:00.123Z
    for text in [
        "2026-11-21T14:00:00.123",
        "2026-11-21T14:00:00.123Z",
        "2026-11-21T15:00:00.123+01:00",
        "1795269600123",
    ] {
        assert_eq!(parse_datetime(text), Some(ms), "{text}");
    }
    for wrong in ["", "-5", "tomorrow", "2026-13-01T00:00:00"] {
        assert_eq!(parse_datetime(wrong), None, "{wrong}");
    }
    for (text, ms) in [
        ("PT1H30M", Some(5_400_000)),
        ("P1DT1S", Some(86_401_000)),
        ("90m", Some(5_400_000)),
        ("2h 30m", Some(9_000_000)),
        ("PT0S", Some(0)),
        ("-PT1H", None),
        ("soon", None),
        ("", None),
    ] {
        assert_eq!(parse_duration(text), ms, "{text}");
    }
}

#[test]
fn the_same_is_said_to_kafka_s_tool() {
    let words = |scope: &str, to| ask(scope, to).unwrap().arguments.join(" ");
    assert_eq!(
        words("", ResetTo::Earliest),
        "--reset-offsets --to-earliest --all-topics"
    );
    assert_eq!(
        words("orders:0 orders:1 audit", ResetTo::Offset(7)),
        "--reset-offsets --to-offset 7 --topic orders:0 --topic orders:1 --topic audit"
    );
    assert_eq!(
        words("orders:0", ResetTo::Time(1_795_269_600_123)),
        "--reset-offsets --to-datetime 2026-11-21T14:00:00.123Z --topic orders:0"
    );
    assert_eq!(words("", ResetTo::Group("o".to_owned())), "");
}

#[test]
fn a_file_is_read_as_it_was_written_and_as_kafka_s_tool_writes_it() {
    let alter = ask("orders:0,1 audit", ResetTo::Current).unwrap();
    let text = write_csv(&alter);
    assert_eq!(text, "audit,0,50\norders,0,400\norders,1,2000\n");
    let read = parse_csv(&text, "g").unwrap();
    assert_eq!(read[&key("orders", 0)], 400);
    let grouped = "other,orders,0,1\ng,\"or,\"\"ders\",0,2\r\n\n";
    let read = parse_csv(grouped, "g").unwrap();
    assert_eq!(read, BTreeMap::from([(key("or,\"ders", 0), 2)]));
    for (text, why) in [
        ("", "it is empty"),
        ("other,t,0,1", "none of its 1 lines is of group \"g\""),
        ("t,0", "line 1: it has not three or four fields"),
        ("t,0,1\nt,x,1", "line 2: the partition is no number"),
        ("t,0,1.5", "the offset is no number"),
        ("t,0,1\nt,0,2", "line 2: this partition stands there twice"),
        ("t,-1,1", "it names no partition"),
        ("\"t,0,1", "a quote is not closed"),
    ] {
        let fault = parse_csv(text, "g").unwrap_err();
        assert!(fault.why.contains(why), "{text}: {fault}");
    }
}

fn group(state: GroupState, clients: &[&str]) -> GroupDescription {
    let member = |client: &&str| Member {
        id: format!("{client}-id").into(),
        client_id: (*client).into(),
        host: "/10.0.0.1".into(),
        instance_id: None,
        rack: None,
        epoch: None,
        subscribed: vec!["orders".into()],
        assignment: Vec::new(),
        target: Vec::new(),
        undecoded: None,
        streams: None,
    };
    GroupDescription {
        id: "g".into(),
        kind: GroupKind::Classic,
        state,
        protocol_type: "consumer".into(),
        assignor: "range".into(),
        coordinator: 1,
        group_epoch: None,
        assignment_epoch: None,
        topology: None,
        members: clients.iter().map(member).collect(),
    }
}

#[test]
fn a_live_group_is_refused_with_who_has_to_stop() {
    let quiet = |state| live_group("reset", &group(state, &[]));
    assert_eq!(quiet(GroupState::Empty), None);
    assert_eq!(quiet(GroupState::Dead), None);
    let fault = live_group("reset", &group(GroupState::Stable, &["app-1", "app-2"])).unwrap();
    assert!(fault.why.contains("it is Stable with 2 members"), "{fault}");
    let hint = fault.hint.unwrap();
    assert!(hint.ends_with("app-1@10.0.0.1, app-2@10.0.0.1"), "{hint}");
    assert!(quiet(GroupState::PreparingRebalance).is_some());
    let mut share = group(GroupState::Empty, &[]);
    share.kind = GroupKind::Share;
    let fault = live_group("reset", &share).unwrap();
    assert!(fault.why.contains("share group"), "{fault}");
}

proptest! {
    #[test]
    fn a_new_offset_is_always_within_the_log(start in 0..1_000_i64, length in 0..1_000_i64,
        at in any::<Option<i64>>(), to in any::<i64>(), kind in 0..3) {
        let end = start + length;
        let mut facts = ResetFacts::default();
        if let Some(at) = at {
            facts.committed = commits(&[("audit", 0, at)]);
        }
        facts.offsets = HashMap::from([(Arc::from("audit"), offsets_of(&[(start, end)]))]);
        let to = match (kind, at) {
            (0, Some(_)) => ResetTo::Shift(to),
            (1, _) => ResetTo::Current,
            _ => ResetTo::Offset(to),
        };
        let request = ResetRequest {
            group: "g".to_owned(),
            scope: parse_scope(["audit"]).unwrap(),
            to,
        };
        let alter = propose(&request, &metadata(), &facts).unwrap();
        let to = alter.changes[0].to.as_ref().unwrap().offset;
        prop_assert!((start..=end).contains(&to));
    }

    #[test]
    fn no_file_breaks_the_reader(text in "[a-z0-9,\"\n\r. -]{0,60}") {
        let _ = parse_csv(&text, "g");
    }
}
