use std::collections::HashSet;
use std::sync::Arc;

use super::*;
use crate::derive::test_topic;
use crate::model::*;
use crate::ops::undo::Inverse;
use crate::ops::{Action, Danger, plan};

/// One topic with everything that can be said, in each language.
const TOML: &str = r#"
cluster_id = "c"
keep = ["connect-*"]
description = "ours"
[defaults]
replication_factor = 2
configs = { "min.insync.replicas" = 1, "retention.ms" = 5 }
[topics.orders]
partitions = 3
configs = { "retention.ms" = 60_000, "cleanup.policy" = ["compact", "delete"] }
[topics."a.b"]
replicas = [[1, 2], [2, 3]]
[topics."a.b".configs]
preallocate = true
min.cleanable.dirty.ratio = 0.25
"#;

const YAML: &str = r#"
cluster_id: c
keep: connect-*
defaults: &all
  replication_factor: 2
  configs: {min.insync.replicas: 1, "retention.ms": 5}
topics:
  orders:
    <<: *all
    partitions: 3
    configs: # its own
      retention.ms: 60000
      cleanup.policy: [compact, delete]
  - 
"#;

const YAML_LIST: &str = r#"
cluster_id: "c"
keep: [connect-*]
defaults: {replication_factor: 2, configs: {min.insync.replicas: 1, retention.ms: 5}}
topics:
- name: orders
  partitions: 3
  configs: {retention.ms: 60000, cleanup.policy: [compact, delete]}
- name: a.b
  replicas:
  - [1, 2]
  - [2, 3]
  configs: &c
    preallocate: true
    min.cleanable.dirty.ratio: 0.25
"#;

const JSON: &str = "{\n\t\"cluster_id\": \"c\", \"keep\": [\"connect-*\"], \"description\": \"\\ud83d\\ude00\",
\"defaults\": {\"replication_factor\": 2, \"configs\": {\"min.insync.replicas\": 1, \"retention.ms\": 5}},
\"topics\": {\"orders\": {\"partitions\": 3,
  \"configs\": {\"retention.ms\": 60000, \"cleanup.policy\": [\"compact\", \"delete\"]}},
\"a.b\": {\"replicas\": [[1, 2], [2, 3]], \"configs\": {\"preallocate\": true, \"min.cleanable.dirty.ratio\": 0.25}}}}";

/// What is declared, without places.
fn said(declared: &Declared) -> Vec<String> {
    let topic = |topic: &DeclaredTopic| {
        let settings = topic.settings.iter();
        let settings: Vec<String> = settings
            .map(|s| format!("{}={}", s.name, s.value.as_deref().unwrap_or("none")))
            .collect();
        format!(
            "{} {:?} {:?} {:?} {:?} {}",
            topic.name,
            topic.partitions,
            topic.replication_factor,
            topic.replicas,
            topic.brokers,
            settings.join(" ")
        )
    };
    declared.topics.iter().map(topic).collect()
}

#[test]
fn the_same_is_read_in_each_language() {
    let expected = [
        "orders Some(3) Some(2) None None retention.ms=60000 cleanup.policy=compact,delete \
         min.insync.replicas=1",
        "a.b None None Some([[1, 2], [2, 3]]) None preallocate=true \
         min.cleanable.dirty.ratio=0.25 min.insync.replicas=1 retention.ms=5",
    ];
    for (name, text) in [("t.toml", TOML), ("t.yaml", YAML_LIST), ("t.json", JSON)] {
        let declared = parse(name, text).unwrap();
        assert_eq!(said(&declared), expected, "{name}");
        assert_eq!(declared.keep, ["connect-*"], "{name}");
        assert_eq!(declared.cluster_ids[0].0, "c", "{name}");
    }
    let lines = |name: &str, text: &str| -> Vec<usize> {
        let declared = parse(name, text).unwrap();
        declared.topics.iter().map(|topic| topic.at.line).collect()
    };
    assert_eq!(lines("t.toml", TOML), [8, 11]);
    assert_eq!(lines("t.yaml", YAML_LIST), [6, 9]);
    let own = parse("t.yaml", &YAML.replace("  - \n", "")).unwrap();
    assert_eq!(
        said(&own)[0],
        expected[0],
        "merged, and its own settings first"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_topic() {
    for (name, text, wanted) in [
        (
            "t.toml",
            "[topics.a]\npartitons = 3\n",
            "t.toml:2: topic \"a\": there is no field \"partitons\": did you mean partitions?",
        ),
        (
            "t.toml",
            "[topics.a.b]\npartitions = 3\n",
            "t.toml:1: topic \"a\": there is no field \"b\": a name with dots is written in quotes",
        ),
        (
            "t.yaml",
            "topics:\n  a:\n    replicationFactor: 3\n",
            "t.yaml:3: topic \"a\": there is no field \"replicationFactor\": did you mean \
             replication_factor?",
        ),
        (
            "t.yaml",
            "topics:\n  a: {}\n  b: {}\n  a: {}\n",
            "t.yaml:4: \"a\" is there twice",
        ),
        (
            "t.json",
            "{\"topics\": [{\"name\": \"a\"},\n {\"name\": \"a\"}]}",
            "t.json:2: topic \"a\" is declared at t.json:1 too",
        ),
        (
            "t.json",
            "{\"topics\": {\"a\": {\"partitions\": \"3\"}}}",
            "t.json:1: topic \"a\": partitions has to be a number, and is a text",
        ),
        (
            "t.json",
            "{\"topics\": {\n\"a\": {\"partitions\": 0}}}",
            "t.json:2: topic \"a\": partitions is 0, and has to be from 1 to 1000000",
        ),
        (
            "t.json",
            "{\"topics\": {}",
            "t.json:1: EOF while parsing an object",
        ),
        ("t.yaml", "topics:\n\t- a\n", "t.yaml:2: "),
        (
            "t.yaml",
            "a: &a [*a]\ntopics: {}",
            "t.yaml:1: an alias names what contains it",
        ),
        ("t.yaml", "", "t.yaml:1: it declares nothing"),
        (
            "t.yaml",
            "a: 1\n---\nb: 2\n",
            "t.yaml:2: it holds more than one document",
        ),
        (
            "t.toml",
            "[topics.\"a b\"]\n",
            "t.toml:1: topic \"a b\": ' ' can't be in a name",
        ),
        (
            "t.toml",
            "[topics.a]\nreplicas = [[1, 2], [2]]\n",
            "t.toml:1: topic \"a\": partition 1 has another number of replicas than 0",
        ),
        (
            "t.toml",
            "[topics.a]\nreplicas = [[1, 1]]\n",
            "t.toml:1: topic \"a\": partition 0 has a broker twice",
        ),
        (
            "t.toml",
            "[topics.a]\npartitions = 2\nreplicas = [[1]]\n",
            "t.toml:1: topic \"a\": replicas has 1 partitions, and partitions is 2",
        ),
        (
            "t.toml",
            "[topics.a]\nreplication_factor = 3\nbrokers = [1, 2]\n",
            "t.toml:1: topic \"a\": 3 replicas don't fit on 2 brokers",
        ),
        (
            "t.toml",
            "topics = 3\n",
            "t.toml:1: topics has to be a table of topics by name",
        ),
        (
            "t.toml",
            "x = 3\n[topics]\n",
            "t.toml:1: there is no field \"x\": there are cluster_id",
        ),
    ] {
        let fault = parse(name, text).unwrap_err();
        assert!(fault.why.starts_with(wanted), "{text}\n{}", fault.why);
    }
    let many = parse("t.toml", "x = 1\ny = 2\n[topics]\n").unwrap_err().why;
    assert!(many.starts_with("2 mistakes\n  t.toml:1: "), "{many}");
}

#[test]
fn what_repeats_itself_without_end_is_refused() {
    let mut bomb = String::from("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for n in 1..12 {
        let list = format!("*a{}, ", n - 1).repeat(10);
        bomb.push_str(&format!("a{n}: &a{n} [{list}]\n"));
    }
    let why = parse("t.yaml", &bomb).unwrap_err().why;
    assert!(why.contains("more than 1000000 parts"), "{why}");
    let deep = "[".repeat(200);
    assert!(parse("t.yaml", &deep).is_err());
    assert!(parse("t.json", &deep).is_err());
    assert!(parse("t.toml", &format!("a = {deep}")).is_err());
}

#[test]
fn a_folder_is_read_in_the_order_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("b")).unwrap();
    for (name, text) in [
        ("c.toml", "[topics.c]\n"),
        ("a.yaml", "topics: {a: {}}"),
        ("b/b.json", "{\"topics\": {\"b\": null}}"),
        (".d.toml", "nonsense"),
        ("e.txt", "nonsense"),
    ] {
        std::fs::write(path(name), text).unwrap();
    }
    let names = |paths: &[std::path::PathBuf]| -> Result<Vec<String>, Fault> {
        let declared = read(paths)?;
        Ok(declared
            .topics
            .into_iter()
            .map(|topic| topic.name)
            .collect())
    };
    let all = names(&[folder.path().to_owned()]).unwrap();
    assert_eq!(all, ["a", "b", "c"]);
    let twice = names(&[path("c.toml"), path("c.toml")]).unwrap_err();
    assert!(twice.why.contains("topic \"c\" is declared at"), "{twice}");
    assert_eq!(
        names(&[path("none")]).unwrap_err().kind,
        FaultKind::NotFound
    );
    assert!(
        names(&[path("e.txt")])
            .unwrap_err()
            .why
            .contains("none of .toml")
    );
    std::fs::write(path("a.yaml"), "#".repeat(5 << 20)).unwrap();
    assert!(
        names(&[path("a.yaml")])
            .unwrap_err()
            .why
            .contains("longer than")
    );
}

/// Three brokers, two racks; `orders` with two partitions and a setting of its own, and others.
fn snapshot() -> ClusterSnapshot {
    let broker = |(id, rack): (i32, &str)| Broker {
        id,
        host: format!("b{id}"),
        port: 9092,
        rack: Some(rack.to_owned()),
        fenced: Some(false),
    };
    let orders: [(&[i32], &[i32], i32); 2] = [(&[1, 2], &[1, 2], 1), (&[2, 3], &[2, 3], 2)];
    let one: [(&[i32], &[i32], i32); 1] = [(&[1], &[1], 1)];
    let mut internal = test_topic("internal", &one);
    internal.is_internal = true;
    let mut topics = vec![
        test_topic("_schemas", &one),
        test_topic("connect-offsets", &one),
        internal,
        test_topic("orders", &orders),
        test_topic("other", &one),
    ];
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let metadata = ClusterMetadata {
        cluster_id: Some("c".into()),
        brokers: [(1, "a"), (2, "b"), (3, "b")].map(broker).into(),
        topics: topics.into_iter().map(Arc::new).collect(),
        ..ClusterMetadata::default()
    };
    let mut snapshot = ClusterSnapshot::default();
    apply(&mut snapshot, Update::Metadata(Ok(Arc::new(metadata))));
    let own = [(
        "retention.ms",
        ConfigKind::Long,
        "60000",
        ConfigSource::Topic,
    )];
    configs(&mut snapshot, "orders", &own);
    snapshot
}

fn configs(
    snapshot: &mut ClusterSnapshot,
    topic: &str,
    own: &[(&str, ConfigKind, &str, ConfigSource)],
) {
    let throttled = "leader.replication.throttled.replicas";
    let default = |name| (name, ConfigKind::List, "delete", ConfigSource::Default);
    let mut all = vec![
        (throttled, ConfigKind::List, "0:1", ConfigSource::Topic),
        (
            "min.insync.replicas",
            ConfigKind::Int,
            "1",
            ConfigSource::StaticBroker,
        ),
        default("cleanup.policy"),
    ];
    all.extend(own);
    let entry = |(name, kind, value, source): (&str, ConfigKind, &str, ConfigSource)| ConfigEntry {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source,
        is_read_only: false,
        is_sensitive: false,
        kind,
        documentation: None,
        synonyms: vec![ConfigSynonym {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source,
        }],
    };
    let mut entries: Vec<ConfigEntry> = all.into_iter().map(entry).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let resource = ConfigResource::Topic(topic.to_owned());
    let configs = Configs {
        resource: resource.clone(),
        entries,
    };
    apply(snapshot, Update::Configs(resource, Ok(Arc::new(configs))));
}

fn apply(snapshot: &mut ClusterSnapshot, update: Update) {
    let at = Taken {
        monotonic_ms: 1,
        wall_ms: 1,
    };
    snapshot.apply(update, at);
}

fn compared(text: &str, wanted: &Wanted) -> Compared {
    compare(&parse("t.toml", text).unwrap(), &snapshot(), wanted).unwrap()
}

/// What differs, a line each; obstacles after `!`.
fn told(compared: &Compared) -> Vec<String> {
    let mut lines = Vec::new();
    for drift in &compared.topics {
        let head = format!("{} {}", drift.state.as_str(), drift.topic);
        if drift.differences.is_empty() && drift.obstacles.is_empty() {
            lines.push(head.clone());
        }
        for d in &drift.differences {
            let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let mut line = format!("{head} {}: {} -> {}", d.what, or(&d.now), or(&d.declared));
            if let Some(source) = &d.source {
                line.push_str(&format!(" ({source})"));
            }
            lines.push(line);
        }
        lines.extend(drift.obstacles.iter().map(|why| format!("! {why}")));
    }
    lines
}

#[test]
fn each_difference_is_told_from_what_to_what() {
    let none = Wanted::default();
    let table: &[(&str, &[&str])] = &[
        ("[topics.orders]\n", &["same orders"]),
        (
            "[topics.orders]\npartitions = 2\nreplication_factor = 2\n\
             configs = { \"retention.ms\" = 60000 }\n",
            &["same orders"],
        ),
        (
            "[topics.orders]\nreplicas = [[1, 2], [2, 3]]\nconfigs = { \"retention.ms\" = \"60000\" }\n",
            &["same orders"],
        ),
        ("[topics.orders]\nbrokers = [1, 2, 3]\n", &["same orders"]),
        (
            "[topics.orders]\nconfigs = { \"retention.ms\" = 5, \"min.insync.replicas\" = 1, \
             \"cleanup.policy\" = [\"compact\"] }\n",
            &[
                "changed orders retention.ms: 60000 -> 5 (topic)",
                "changed orders min.insync.replicas: 1 -> 1 (broker (file))",
                "changed orders cleanup.policy: delete -> compact (default)",
            ],
        ),
        (
            "[topics.orders]\npartitions = 3\n",
            &["changed orders partitions: 2 -> 3"],
        ),
        (
            "[topics.orders]\npartitions = 1\n",
            &[
                "changed orders partitions: 2 -> 1",
                "! t.toml:1: topic \"orders\": it has 2 partitions, and 1 are declared: none can go",
            ],
        ),
        (
            "[topics.orders]\nreplication_factor = 3\n",
            &["changed orders replication factor: 2 -> 3"],
        ),
        (
            "[topics.orders]\nreplication_factor = 4\n",
            &[
                "! t.toml:1: topic \"orders\": replication_factor 4 needs 4 live brokers, and there \
               are 3",
            ],
        ),
        (
            "[topics.orders]\nreplicas = [[2, 1], [2, 3]]\n",
            &["changed orders replicas of 0: 1,2 -> 2,1"],
        ),
        (
            "[topics.orders]\nreplicas = [[1, 9], [2, 3]]\n",
            &["! t.toml:1: topic \"orders\": broker 9 does not exist"],
        ),
        (
            "[topics.orders]\nbrokers = [1, 2]\n",
            &["changed orders replicas of 1: 2,3 -> 2,1"],
        ),
        (
            "[topics.orders]\nconfigs = { \"retention.mss\" = 5 }\n",
            &[
                "! t.toml:2: topic \"orders\": there is no setting retention.mss; did you mean \
               retention.ms?",
            ],
        ),
        (
            "[topics.new]\npartitions = 2\nconfigs = { \"retention.ms\" = 5 }\n",
            &[
                "new new partitions: - -> 2",
                "new new replication factor: - -> broker's default",
                "new new retention.ms: - -> 5",
            ],
        ),
        (
            "[topics.new]\nbrokers = [1, 2]\npartitions = 1\nreplication_factor = 2\n",
            &[
                "new new partitions: - -> 1",
                "new new replication factor: - -> 2",
                "new new replicas of 0: - -> 2,1",
            ],
        ),
        (
            "[topics.new]\nbrokers = [1, 2]\n",
            &[
                "new new partitions: - -> broker's default",
                "new new replication factor: - -> broker's default",
                "! t.toml:1: topic \"new\": a new topic on named brokers needs partitions and \
                 replication_factor",
            ],
        ),
    ];
    for (text, expected) in table {
        let compared = compared(text, &none);
        assert_eq!(told(&compared), *expected, "{text}");
        let is_same = expected.iter().all(|line| line.starts_with("same"));
        assert_eq!(compared.is_in_agreement(), is_same, "{text}");
        assert_eq!(
            compared.action.is_none(),
            is_same || expected.last().unwrap().starts_with("! "),
            "{text}"
        );
    }
}

#[test]
fn settings_that_are_not_declared_go_only_where_that_is_asked_for() {
    let text = "[topics.orders]\n";
    let prune = Wanted {
        prune: true,
        ..Wanted::default()
    };
    // What a reassignment has set for its time is none of ours.
    assert_eq!(
        told(&compared(text, &prune)),
        ["changed orders retention.ms: 60000 -> - (topic)"]
    );
    let none = parse(
        "t.yaml",
        "topics: {orders: {configs: {retention.ms: null}}}",
    )
    .unwrap();
    let none = compare(&none, &snapshot(), &Wanted::default()).unwrap();
    assert_eq!(
        told(&none),
        ["changed orders retention.ms: 60000 -> - (topic)"]
    );
}

#[test]
fn undeclared_topics_go_only_where_that_is_asked_for_and_internal_ones_never() {
    let text = "keep = [\"connect-*\"]\n[topics.orders]\n";
    let left = compared(text, &Wanted::default());
    assert_eq!(left.undeclared, ["connect-offsets", "other"]);
    assert!(left.is_in_agreement());
    let delete = Wanted {
        delete_undeclared: true,
        ..Wanted::default()
    };
    let gone = compared(text, &delete);
    assert_eq!(
        told(&gone),
        ["same orders", "deleted other topic: 1 partitions -> -"]
    );
    assert!(!gone.is_in_agreement());
    let plan = plan(gone.action.unwrap(), &snapshot()).unwrap();
    assert_eq!(plan.danger, Danger::Destructive);
    assert_eq!(plan.typed_confirmation.as_deref(), Some("other"));
    let empty = parse("t.toml", "[topics]\n").unwrap();
    let refused = compare(&empty, &snapshot(), &delete).unwrap_err();
    assert!(
        refused.why.contains("all others would be deleted"),
        "{refused}"
    );
}

#[test]
fn what_is_for_another_cluster_is_refused() {
    let other = parse("t.toml", "cluster_id = \"d\"\n[topics]\n").unwrap();
    let fault = compare(&other, &snapshot(), &Wanted::default()).unwrap_err();
    assert_eq!(fault.why, "t.toml:1: it is for cluster d, and this is c");
}

/// More partitions and more replicas at once: new partitions are made as the first one is, and
/// moved on with the others; all of it is one plan with one undo.
#[test]
fn one_plan_grows_and_moves_and_changes_and_its_undo_takes_back_what_can_be() {
    let text = "[topics.orders]\npartitions = 3\nreplication_factor = 3\n\
                configs = { \"retention.ms\" = 5 }\n[topics.new]\npartitions = 1\n";
    let compared = compared(text, &Wanted::default());
    let snapshot = snapshot();
    let plan = plan(compared.action.clone().unwrap(), &snapshot).unwrap();
    assert_eq!(
        plan.title,
        "apply declared topics: create 1 topic, change 1 topic"
    );
    let subjects: Vec<&str> = plan.changes.iter().map(|change| &*change.subject).collect();
    assert_eq!(
        subjects,
        [
            "new partitions",
            "new replication factor",
            "orders partitions",
            "orders partition 2 replicas",
            "orders retention.ms",
            "orders-0",
            "orders-1",
            "orders-2",
        ]
    );
    assert_eq!(plan.changes[4].note.as_deref(), Some("from: topic"));
    let Action::Apply(apply) = &plan.action else {
        panic!("{:?}", plan.action);
    };
    let Action::AddPartitions(add) = &apply.steps[1] else {
        panic!("{:?}", apply.steps);
    };
    assert_eq!(
        add.assignment.as_ref().unwrap()[0].len(),
        2,
        "as the first partition has"
    );
    let Action::Reassign(moves) = &apply.steps[3] else {
        panic!("{:?}", apply.steps);
    };
    assert!(moves.target.values().all(|replicas| replicas.len() == 3));
    let Some(Action::Apply(undo)) = &plan.inverse else {
        panic!("{:?}", plan.inverse);
    };
    let kinds: Vec<&str> = undo
        .steps
        .iter()
        .map(|step| match step {
            Action::Reassign(_) => "move back",
            Action::AlterConfigs(_) => "set back",
            Action::DeleteTopics(_) => "delete",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["move back", "set back", "delete"]);
    // It is kept in a file, and read again as it was.
    let inverse = Inverse::of(&plan, 0).unwrap();
    let text = serde_json::to_string(&inverse).unwrap();
    assert_eq!(serde_json::from_str::<Inverse>(&text).unwrap(), inverse);
    // A part of it can be made alone.
    let only: HashSet<&str> = ["new"].into();
    let part = compared.action_for(&only).unwrap();
    assert_eq!(part.steps().len(), 1);
}

/// Many topics of one partition that want one more replica don't all get the same broker.
#[test]
fn new_replicas_of_many_topics_are_spread() {
    let mut snapshot = snapshot();
    let one: [(&[i32], &[i32], i32); 1] = [(&[1], &[1], 1)];
    let mut metadata = snapshot.metadata.get().unwrap().clone();
    metadata.topics = (0..20)
        .map(|n| Arc::new(test_topic(&format!("t{n:02}"), &one)))
        .collect();
    apply(&mut snapshot, Update::Metadata(Ok(Arc::new(metadata))));
    let text: String = (0..20)
        .map(|n| format!("[topics.t{n:02}]\nreplication_factor = 2\n"))
        .collect();
    let declared = parse("t.toml", &text).unwrap();
    let compared = compare(&declared, &snapshot, &Wanted::default()).unwrap();
    let Some(Action::Apply(apply)) = &compared.action else {
        panic!("{compared:?}");
    };
    let Action::Reassign(moves) = &apply.steps[0] else {
        panic!("{apply:?}");
    };
    let on = |id: i32| {
        moves
            .target
            .values()
            .filter(|replicas| replicas.contains(&id))
            .count()
    };
    assert_eq!((on(1), on(2), on(3)), (20, 10, 10));
}

#[test]
fn what_is_exported_declares_the_cluster_as_it_is() {
    let snapshot = snapshot();
    let metadata = snapshot.metadata.get().unwrap();
    let names = ["orders".to_owned()];
    for (format, name) in [
        (ExportFormat::Toml, "t.toml"),
        (ExportFormat::Yaml, "t.yaml"),
        (ExportFormat::Json, "t.json"),
    ] {
        for with_replicas in [false, true] {
            let topics = declare(metadata, &snapshot, &names, with_replicas);
            let text = print(&topics, Some("c"), format);
            let declared = parse(name, &text).unwrap();
            let compared = compare(
                &declared,
                &snapshot,
                &Wanted {
                    prune: true,
                    ..Wanted::default()
                },
            );
            assert_eq!(told(&compared.unwrap()), ["same orders"], "{text}");
        }
    }
    let topics = declare(metadata, &snapshot, &names, false);
    assert_eq!(
        print(&topics, Some("c"), ExportFormat::Toml),
        "cluster_id = \"c\"\n\n[topics.orders]\npartitions = 2\nreplication_factor = 2\n\n\
         [topics.orders.configs]\n\"retention.ms\" = 60000\n"
    );
    assert_eq!(
        print(&topics, None, ExportFormat::Yaml),
        "topics:\n  \"orders\":\n    partitions: 2\n    replication_factor: 2\n    configs:\n      \
         \"retention.ms\": 60000\n"
    );
}
