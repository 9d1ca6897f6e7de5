use std::sync::Arc;

use super::*;
use crate::derive::test_topic;
use crate::model::*;
use crate::ops::*;

/// Three brokers; `orders` has two partitions on them.
fn snapshot() -> ClusterSnapshot {
    let broker = |id: i32| Broker {
        id,
        host: format!("b{id}"),
        port: 9092,
        rack: None,
        fenced: Some(false),
    };
    let topics: [(&[i32], &[i32], i32); 2] = [(&[1, 2], &[1, 2], 2), (&[2, 3], &[2], 2)];
    let metadata = ClusterMetadata {
        brokers: vec![broker(1), broker(2), broker(3)],
        topics: vec![Arc::new(test_topic("orders", &topics))],
        ..ClusterMetadata::default()
    };
    let mut snapshot = ClusterSnapshot::default();
    apply(&mut snapshot, Update::Metadata(Ok(Arc::new(metadata))));
    snapshot
}

fn apply(snapshot: &mut ClusterSnapshot, update: Update) {
    snapshot.apply(
        update,
        Taken {
            monotonic_ms: 1,
            wall_ms: 1,
        },
    );
}

fn why(action: Action) -> String {
    plan(action, &snapshot()).unwrap_err().why
}

fn create() -> CreateTopic {
    CreateTopic {
        name: "new".to_owned(),
        ..CreateTopic::default()
    }
}

/// A plan in a few lines.
fn told(plan: &Plan) -> String {
    let mut text = format!("{} ({:?})\n", plan.title, plan.danger);
    for change in &plan.changes {
        let or = |part: &Option<String>| part.clone().unwrap_or_else(|| "none".to_owned());
        text += &format!(
            "{}: {} -> {}\n",
            change.subject,
            or(&change.before),
            or(&change.after)
        );
    }
    for (word, lines) in [
        ("warning", &plan.warnings),
        ("not done", &plan.not_done),
        ("same as", &plan.equivalent),
    ] {
        for line in lines {
            text += &format!("{word}: {line}\n");
        }
    }
    text
}

#[test]
fn nothing_is_planned_before_the_cluster_answered() {
    let fault = plan(Action::CreateTopic(create()), &ClusterSnapshot::default()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable);
}

#[test]
fn a_topic_is_planned_with_its_undo_and_the_command_that_does_the_same() {
    let create = CreateTopic {
        partitions: Some(3),
        replication_factor: Some(1),
        configs: vec![("cleanup.policy".into(), "compact,delete".into())],
        ..create()
    };
    let plan = plan(Action::CreateTopic(create), &snapshot()).unwrap();
    insta::assert_snapshot!(told(&plan), @r#"
    create topic "new" (Safe)
    partitions: none -> 3
    replication factor: none -> 1
    cleanup.policy: none -> compact,delete
    warning: one replica only: a broker's loss is the data's loss
    same as: kafka-topics.sh --bootstrap-server b1:9092 --create --topic new --partitions 3 --replication-factor 1 --config cleanup.policy=compact,delete
    "#);
    assert_eq!(plan.inverse, Some(Action::DeleteTopics(vec!["new".into()])));
}

#[test]
fn impossible_topics_are_refused_with_the_reason() {
    let cases = [
        (
            CreateTopic {
                name: String::new(),
                ..create()
            },
            "the name is empty",
        ),
        (
            CreateTopic {
                name: "..".into(),
                ..create()
            },
            "can't be \".\" or \"..\"",
        ),
        (
            CreateTopic {
                name: "a/b".into(),
                ..create()
            },
            "'/' can't be in a name",
        ),
        (
            CreateTopic {
                name: "x".repeat(250),
                ..create()
            },
            "250 characters",
        ),
        (
            CreateTopic {
                name: "orders".into(),
                ..create()
            },
            "exists already",
        ),
        (
            CreateTopic {
                partitions: Some(0),
                ..create()
            },
            "at least 1",
        ),
        (
            CreateTopic {
                replication_factor: Some(4),
                ..create()
            },
            "and there are 3",
        ),
        (
            CreateTopic {
                replication_factor: Some(-1),
                ..create()
            },
            "at least 1",
        ),
        (
            CreateTopic {
                assignment: Some(vec![]),
                ..create()
            },
            "is empty",
        ),
        (
            CreateTopic {
                assignment: Some(vec![vec![1], vec![1, 2]]),
                ..create()
            },
            "same number",
        ),
        (
            CreateTopic {
                assignment: Some(vec![vec![1, 1]]),
                ..create()
            },
            "there twice",
        ),
        (
            CreateTopic {
                assignment: Some(vec![vec![9]]),
                ..create()
            },
            "broker 9 does not exist",
        ),
        (
            CreateTopic {
                configs: vec![("a".into(), "1".into()), ("a".into(), "2".into())],
                ..create()
            },
            "a is given twice",
        ),
    ];
    for (create, expected) in cases {
        let why = why(Action::CreateTopic(create.clone()));
        assert!(why.contains(expected), "{create:?}: {why}");
    }
}

#[test]
fn a_topic_that_is_there_is_accepted_when_asked_to() {
    let create = CreateTopic {
        name: "orders".into(),
        if_not_exists: true,
        ..create()
    };
    let plan = plan(Action::CreateTopic(create), &snapshot()).unwrap();
    assert!(plan.is_empty() && plan.not_done.len() == 1);
}

#[test]
fn deleting_needs_the_typed_name() {
    let action = Action::DeleteTopics(vec!["orders".into()]);
    let plan = plan(action, &snapshot()).unwrap();
    assert_eq!(
        (plan.danger, plan.typed_confirmation.as_deref()),
        (Danger::Destructive, Some("orders"))
    );
    assert_eq!(plan.inverse, None);
    assert_eq!(
        why(Action::DeleteTopics(vec!["nope".into()])),
        "topic \"nope\" does not exist"
    );
}

#[test]
fn partitions_only_grow() {
    let add = |total, assignment| {
        Action::AddPartitions(AddPartitions {
            topic: "orders".into(),
            total,
            assignment,
        })
    };
    assert_eq!(why(add(2, None)), "it has 2 partitions, and 2 is no more");
    assert!(why(add(4, Some(vec![vec![1]]))).contains("1 lists of replicas for 2"));
    let plan = plan(add(4, None), &snapshot()).unwrap();
    assert_eq!(plan.changes[0].after.as_deref(), Some("4"));
}

fn entry(name: &str, value: &str, own: bool) -> ConfigEntry {
    let synonym = |name: &str, value: &str, source| ConfigSynonym {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source,
    };
    let inherited = synonym(
        &format!("log.{name}"),
        "inherited",
        ConfigSource::StaticBroker,
    );
    let own_synonym = own.then(|| synonym(name, value, ConfigSource::Topic));
    ConfigEntry {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source: if own {
            ConfigSource::Topic
        } else {
            ConfigSource::StaticBroker
        },
        is_read_only: name == "fixed",
        is_sensitive: name == "secret",
        kind: if value.contains(',') {
            ConfigKind::List
        } else {
            ConfigKind::String
        },
        documentation: None,
        synonyms: own_synonym.into_iter().chain([inherited]).collect(),
    }
}

fn alter(changes: Vec<ConfigChange>) -> Result<Plan, Fault> {
    let resource = ConfigResource::Topic("orders".into());
    let entries = vec![
        entry("fixed", "1", false),
        entry("list", "a,b", true),
        entry("own", "1", true),
        entry("plain", "1", false),
        entry("retention.ms", "5", true),
        entry("secret", "s", true),
    ];
    let mut snapshot = snapshot();
    let configs = Configs {
        resource: resource.clone(),
        entries,
    };
    apply(
        &mut snapshot,
        Update::Configs(resource.clone(), Ok(Arc::new(configs))),
    );
    plan(
        Action::AlterConfigs(AlterConfigs { resource, changes }),
        &snapshot,
    )
}

fn set(name: &str, value: &str) -> ConfigChange {
    ConfigChange::Set {
        name: name.into(),
        value: value.into(),
    }
}

#[test]
fn settings_are_planned_with_before_and_after_and_an_undo() {
    let plan = alter(vec![
        set("own", "2"),
        set("plain", "2"),
        ConfigChange::Append {
            name: "list".into(),
            value: "c".into(),
        },
        ConfigChange::Delete {
            name: "retention.ms".into(),
        },
    ])
    .unwrap();
    insta::assert_snapshot!(told(&plan), @r#"
    change the configuration of topic "orders" (Disruptive)
    own: 1 -> 2
    plain: 1 -> 2
    list: a,b -> a,b,c
    retention.ms: 5 -> inherited
    warning: retention.ms decides which records are deleted
    same as: kafka-configs.sh --bootstrap-server b1:9092 --alter --entity-type topics --entity-name orders --add-config 'own=2,plain=2,list=[a,b,c]' --delete-config retention.ms
    "#);
    let Some(Action::AlterConfigs(undo)) = plan.inverse else {
        panic!("there is an undo")
    };
    let expected = [
        set("own", "1"),
        ConfigChange::Delete {
            name: "plain".into(),
        },
        set("list", "a,b"),
        set("retention.ms", "5"),
    ];
    assert_eq!(undo.changes, expected);
}

#[test]
fn settings_that_are_so_already_are_left_out() {
    let plan = alter(vec![
        set("own", "1"),
        ConfigChange::Delete {
            name: "plain".into(),
        },
        ConfigChange::Append {
            name: "list".into(),
            value: "a".into(),
        },
        ConfigChange::Subtract {
            name: "list".into(),
            value: "z".into(),
        },
    ]);
    // A list can be changed once only in one request.
    assert_eq!(plan.unwrap_err().why, "list is changed twice");
    let plan = alter(vec![
        set("own", "1"),
        ConfigChange::Delete {
            name: "plain".into(),
        },
    ])
    .unwrap();
    assert!(plan.is_empty() && plan.not_done.len() == 2 && plan.inverse.is_none());
}

#[test]
fn bad_settings_are_refused_and_secrets_have_no_undo() {
    let why = |change| alter(vec![change]).unwrap_err().why;
    assert_eq!(
        why(set("plaine", "1")),
        "there is no setting plaine; did you mean plain?"
    );
    assert_eq!(
        why(set("entirely.different", "1")),
        "there is no setting entirely.different"
    );
    assert!(why(set("fixed", "2")).contains("can't be changed"));
    let append = ConfigChange::Append {
        name: "own".into(),
        value: "x".into(),
    };
    assert_eq!(why(append), "own is no list but string");
    let plan = alter(vec![set("secret", "new")]).unwrap();
    assert_eq!(
        (plan.changes[0].after.as_deref(), plan.inverse),
        (Some("(hidden)"), None)
    );
}

fn key(partition: i32) -> TopicPartition {
    TopicPartition::new("orders", partition)
}

#[test]
fn only_leaders_that_can_be_elected_are() {
    let plan = plan(
        Action::ElectPreferredLeaders(vec![key(0), key(1)]),
        &snapshot(),
    )
    .unwrap();
    assert_eq!(plan.action, Action::ElectPreferredLeaders(vec![key(0)]));
    assert_eq!(plan.changes[0].after.as_deref(), Some("1"));
    let mut behind = snapshot();
    let topics: [(&[i32], &[i32], i32); 2] = [(&[1, 2], &[2], 2), (&[2, 3], &[2], 2)];
    let metadata = ClusterMetadata {
        topics: vec![Arc::new(test_topic("orders", &topics))],
        ..ClusterMetadata::clone(behind.metadata.get().unwrap())
    };
    apply(&mut behind, Update::Metadata(Ok(Arc::new(metadata))));
    let plan = super::plan(Action::ElectPreferredLeaders(vec![key(0)]), &behind).unwrap();
    assert!(plan.is_empty());
    assert_eq!(
        plan.not_done,
        ["orders-0: preferred leader 1 is not in sync"]
    );
}

#[test]
fn a_reassignment_is_planned_against_the_present_with_the_way_back() {
    let target = Assignment::from([(key(0), vec![3, 2]), (key(1), vec![2, 3])]);
    let based_on = Assignment::from([(key(0), vec![1, 2])]);
    let wanted = Reassign { target, based_on };
    let plan = plan(Action::Reassign(wanted.clone()), &snapshot()).unwrap();
    insta::assert_snapshot!(told(&plan), @r"
    reassign partitions: 1 partition (Disruptive)
    orders-0: 1,2 -> 3,2
    not done: 1 partition already as wanted
    same as: kafka-reassign-partitions.sh --bootstrap-server b1:9092 --reassignment-json-file plan.json --execute
    ");
    let Some(Action::Reassign(undo)) = &plan.inverse else {
        panic!("there is an undo")
    };
    assert_eq!(undo.target, [(key(0), vec![1, 2])].into());
    let moved_on = Reassign {
        based_on: [(key(0), vec![2, 1])].into(),
        ..wanted
    };
    assert!(why(Action::Reassign(moved_on)).contains("not 2,1 as when this was planned"));
}

#[test]
fn what_a_run_copies_goes_back_as_a_run_and_a_plain_move_is_told_to_be_unlimited() {
    let reassign = Reassign {
        target: [(key(0), vec![3, 2])].into(),
        ..Reassign::default()
    };
    let run = RunReassign {
        reassign: reassign.clone(),
        throttle: Some(5_000),
        batch: 3,
    };
    let planned = plan(Action::RunReassign(run), &snapshot()).unwrap();
    assert!(
        planned.equivalent[0].ends_with("--throttle 5000"),
        "{planned:?}"
    );
    let Some(Action::RunReassign(back)) = &planned.inverse else {
        panic!("{planned:?}")
    };
    assert_eq!((back.throttle, back.batch), (Some(5_000), 3));
    assert_eq!(back.reassign.target, [(key(0), vec![1, 2])].into());
    assert_eq!(back.reassign.based_on, [(key(0), vec![3, 2])].into());

    // Where the change has arrived, undoing it is planned with that pace or another one.
    let mut after = snapshot();
    let topics: [(&[i32], &[i32], i32); 2] = [(&[3, 2], &[3, 2], 3), (&[2, 3], &[2], 2)];
    let metadata = ClusterMetadata {
        topics: vec![Arc::new(test_topic("orders", &topics))],
        ..ClusterMetadata::clone(after.metadata.get().unwrap())
    };
    apply(&mut after, Update::Metadata(Ok(Arc::new(metadata))));
    let mut inverse = undo::Inverse::of(&planned, 0).unwrap();
    let undoing = |inverse: &undo::Inverse| inverse.plan(None, &after).unwrap();
    assert!(
        undoing(&inverse)
            .warnings
            .iter()
            .all(|line| !line.contains("nothing limits"))
    );
    inverse.set_pace(Some(9_000), None).unwrap();
    let Action::RunReassign(run) = undoing(&inverse).action else {
        panic!("a run")
    };
    assert_eq!((run.throttle, run.batch), (Some(9_000), 3));

    let planned = plan(Action::Reassign(reassign), &snapshot()).unwrap();
    let mut inverse = undo::Inverse::of(&planned, 0).unwrap();
    let warned = undoing(&inverse).warnings;
    assert!(
        warned.iter().any(|line| line.contains("undo --throttle")),
        "{warned:?}"
    );
    inverse.set_pace(Some(9_000), None).unwrap();
    assert!(matches!(undoing(&inverse).action, Action::RunReassign(_)));
    let create = plan(Action::CreateTopic(create()), &snapshot()).unwrap();
    let mut inverse = undo::Inverse::of(&create, 0).unwrap();
    assert!(inverse.set_pace(None, None).is_ok());
    let refused = inverse.set_pace(Some(1), None).unwrap_err();
    assert!(refused.why.contains("moves nothing"), "{refused}");
}

#[test]
fn a_cancel_that_would_lose_records_is_not_done() {
    let mut snapshot = snapshot();
    let running = |replicas: &[i32], adding: &[i32], removing: &[i32]| OngoingReassignment {
        replicas: replicas.to_vec(),
        adding: adding.to_vec(),
        removing: removing.to_vec(),
    };
    let ongoing = Reassignments::from([
        (key(0), running(&[3, 1, 2], &[3], &[1])),
        // Only replica 2 is in sync, and it is one that is being added.
        (key(1), running(&[2, 3], &[2], &[3])),
    ]);
    apply(&mut snapshot, Update::Reassignments(Ok(Arc::new(ongoing))));
    let action = Action::CancelReassignments(vec![key(0), key(1), key(7)]);
    let plan = plan(action, &snapshot).unwrap();
    insta::assert_snapshot!(told(&plan), @r"
    cancel 1 reassignment (Disruptive)
    orders-0: 3,2 -> 1,2
    warning: what has been copied is deleted
    not done: orders-1: no replica of before is in sync, so going back would lose records
    not done: orders-7 is not being reassigned
    same as: kafka-reassign-partitions.sh --bootstrap-server b1:9092 --reassignment-json-file plan.json --cancel
    ");
    assert_eq!(plan.action, Action::CancelReassignments(vec![key(0)]));
}

#[test]
fn a_group_with_members_is_not_deleted() {
    let mut snapshot = snapshot();
    let group = |id: &str, state| Group {
        id: id.into(),
        kind: GroupKind::Classic,
        state: Some(state),
        protocol_type: "consumer".into(),
        coordinator: 1,
    };
    let mut groups = Groups::default();
    for group in [
        group("busy", GroupState::Stable),
        group("idle", GroupState::Empty),
    ] {
        groups.groups.insert(Arc::clone(&group.id), Arc::new(group));
    }
    apply(&mut snapshot, Update::Groups(Ok(Arc::new(groups))));
    let ask = |id: &str| plan(Action::DeleteGroups(vec![id.to_owned()]), &snapshot);
    assert!(ask("busy").unwrap_err().why.contains("only an empty group"));
    assert_eq!(ask("gone").unwrap_err().kind, FaultKind::NotFound);
    let idle = ask("idle").unwrap();
    assert_eq!(idle.typed_confirmation.as_deref(), Some("idle"));
    assert_eq!((idle.inverse, idle.irrevocable.len()), (None, 1));

    // Where its commits are known they can be committed again.
    let commit = |partition, offset| CommittedPartition {
        partition,
        offset,
        leader_epoch: Some(4),
        metadata: Some("m".into()),
        ..CommittedPartition::default()
    };
    let committed = Committed {
        taken: Taken::default(),
        topics: Arc::new([("orders".into(), vec![commit(0, Some(7)), commit(1, None)])].into()),
    };
    let committed = vec![("idle".into(), Ok(Arc::new(committed)))];
    apply(&mut snapshot, Update::Committed(committed));
    let known = plan(Action::DeleteGroups(vec!["idle".to_owned()]), &snapshot).unwrap();
    assert!(known.irrevocable.is_empty());
    let Some(Action::AlterOffsets(back)) = known.inverse else {
        panic!("{:?}", known.inverse);
    };
    let to = crate::ops::offsets::CommitAt {
        offset: 7,
        leader_epoch: Some(4),
        metadata: Some("m".to_owned()),
    };
    let changes: Vec<_> = back
        .changes
        .iter()
        .map(|c| (c.key(), &c.from, &c.to))
        .collect();
    assert_eq!(changes, [(key(0), &None, &Some(to))]);

    // And a group that is nowhere has no commits that could be set back from.
    let forget = AlterOffsets {
        group: "gone".to_owned(),
        ..back.inverse()
    };
    let forgotten = plan(Action::AlterOffsets(forget), &snapshot).unwrap();
    assert_eq!(forgotten.changes[0].before, None);
}

#[test]
fn the_line_of_kafkas_tool_names_the_file_that_there_is() {
    let mut plan = plan(
        Action::Reassign(Reassign {
            based_on: Assignment::new(),
            target: Assignment::from([(key(0), vec![1, 3])]),
        }),
        &snapshot(),
    )
    .unwrap();
    assert!(plan.equivalent[0].contains("--reassignment-json-file plan.json --execute"));
    plan.name_file(std::path::Path::new("my plans/a.json"));
    let line = &plan.equivalent[0];
    assert!(
        line.contains("--reassignment-json-file 'my plans/a.json' --execute"),
        "{line}"
    );
}

#[test]
fn more_replicas_in_sync_than_there_are_is_warned_of() {
    let warned = |action: Action| {
        let plan = plan(action, &snapshot()).unwrap();
        plan.warnings.iter().any(|text| text.contains("acks=all"))
    };
    let alter = |value: &str| {
        Action::AlterConfigs(AlterConfigs {
            resource: ConfigResource::Topic("orders".to_owned()),
            changes: vec![ConfigChange::Set {
                name: "min.insync.replicas".to_owned(),
                value: value.to_owned(),
            }],
        })
    };
    assert!(warned(alter("4")) && !warned(alter("1")));
    let create = |factor, value: &str| {
        Action::CreateTopic(CreateTopic {
            name: "new".to_owned(),
            replication_factor: factor,
            configs: vec![("min.insync.replicas".to_owned(), value.to_owned())],
            ..CreateTopic::default()
        })
    };
    assert!(warned(create(Some(1), "2")) && !warned(create(Some(2), "2")));
    assert!(
        !warned(create(None, "2")),
        "the brokers' default is not known"
    );
}

#[test]
fn words_are_quoted_for_the_shell_where_they_must_be() {
    for (word, quoted) in [
        ("plain-1.x", "plain-1.x"),
        ("", "''"),
        ("a b", "'a b'"),
        ("it's", "'it'\\''s'"),
    ] {
        assert_eq!(quote(word), quoted);
    }
}
