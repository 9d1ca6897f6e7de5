use super::*;
use crate::model::{ClusterMetadata, Taken, Update};

/// `allow User:a read topic:orders host` as a rule; a name that ends with `…` is a prefix.
fn rule(text: &str) -> Acl {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (resource, name) = words[3].split_once(':').unwrap();
    let prefix = name.strip_suffix('…');
    Acl {
        permission: words[0].parse().unwrap(),
        principal: words[1].to_owned(),
        operation: words[2].parse().unwrap(),
        resource: resource.parse().unwrap(),
        name: prefix.unwrap_or(name).to_owned(),
        pattern: if prefix.is_some() {
            AclPattern::PREFIXED
        } else {
            AclPattern::LITERAL
        },
        host: words.get(4).unwrap_or(&"*").to_string(),
    }
}

fn rules(texts: &[&str]) -> Vec<Acl> {
    let mut rules: Vec<Acl> = texts.iter().map(|text| rule(text)).collect();
    rules.sort();
    rules
}

fn ask(acls: &[Acl], text: &str) -> AclAnswer {
    let asked = rule(&format!("allow {text}"));
    let question = AclQuestion {
        principal: asked.principal,
        host: Some(asked.host).filter(|host| host != "*"),
        operation: asked.operation,
        resource: asked.resource,
        name: asked.name,
    };
    explain_acl(acls, &question)
}

#[test]
fn rules_are_in_the_order_of_the_authorizer() {
    let sorted = rules(&[
        "allow User:a read group:g",
        "allow User:a read topic:f…",
        "allow User:a read topic:foo…",
        "allow User:a read topic:foob",
        "allow User:a read topic:foobar…",
        "allow User:a read topic:gar…",
        "allow User:a read topic:foo",
    ]);
    let names: Vec<&str> = sorted.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["gar", "foobar", "foob", "foo", "foo", "f", "g"]);
    assert_eq!(sorted[3].pattern, AclPattern::LITERAL);
}

#[test]
fn the_answer_and_the_rule_are_those_of_the_authorizer() {
    use Allowed::{Default, No, Yes};
    let acls = rules(&[
        "allow User:alice read topic:orders",
        "allow User:alice write topic:or…",
        "deny User:alice write topic:orders-secret",
        "allow User:* describe topic:*",
        "deny User:mallory all topic:*",
        "allow User:mallory read topic:orders",
        "allow User:bob all topic:orders 10.0.0.1",
        "deny User:carol read topic:x",
        "allow User:carol alter_configs topic:x",
        "allow User:carol delete topic:x",
        "allow User:dave read topic:*…",
        "allow Group:staff read group:g",
    ]);
    for (question, allowed, by) in [
        (
            "User:alice read topic:orders",
            Yes,
            Some("allow User:alice read topic:orders"),
        ),
        (
            "User:alice write topic:orders",
            Yes,
            Some("allow User:alice write topic:or…"),
        ),
        (
            "User:alice write topic:orders-2",
            Yes,
            Some("allow User:alice write topic:or…"),
        ),
        // A literal name is no prefix.
        ("User:alice read topic:orders-2", No, None),
        // A denial wins over what allows, wherever it stands.
        (
            "User:alice write topic:orders-secret",
            No,
            Some("deny User:alice write topic:orders-secret"),
        ),
        (
            "User:mallory read topic:orders",
            No,
            Some("deny User:mallory all topic:*"),
        ),
        // Of those that allow, the last one that is come to; those for every name are the last.
        (
            "User:alice describe topic:orders",
            Yes,
            Some("allow User:* describe topic:*"),
        ),
        (
            "User:zoe describe topic:new",
            Yes,
            Some("allow User:* describe topic:*"),
        ),
        ("User:zoe read topic:new", No, None),
        // Hosts are compared as they are.
        (
            "User:bob read topic:orders 10.0.0.1",
            Yes,
            Some("allow User:bob all topic:orders 10.0.0.1"),
        ),
        ("User:bob read topic:orders 10.0.0.2", No, None),
        ("User:bob read topic:orders", No, None),
        // What is allowed implies; what is denied does not.
        (
            "User:carol describe_configs topic:x",
            Yes,
            Some("allow User:carol alter_configs topic:x"),
        ),
        (
            "User:carol read topic:x",
            No,
            Some("deny User:carol read topic:x"),
        ),
        (
            "User:carol describe topic:x",
            Yes,
            Some("allow User:* describe topic:*"),
        ),
        // A prefix of one star is that, not every name.
        ("User:dave read topic:orders", No, None),
        // A principal of another type is somebody else, and a type that brokers do not ask about
        // is no wildcard.
        ("User:staff read group:g", No, None),
        (
            "Group:staff read group:g",
            Yes,
            Some("allow Group:staff read group:g"),
        ),
        (
            "Group:staff describe group:g",
            Yes,
            Some("allow Group:staff read group:g"),
        ),
        // Nothing is about these.
        ("User:alice read group:other", Default, None),
        ("User:alice create cluster:kafka-cluster", Default, None),
    ] {
        let answer = ask(&acls, question);
        assert_eq!(
            (answer.allowed, answer.rule),
            (allowed, by.map(rule)),
            "{question}"
        );
    }
    let answer = ask(&acls, "User:carol describe topic:x");
    assert!(
        answer
            .why
            .contains("yes, by the rule: allow User:* describe"),
        "{}",
        answer.why
    );
    let acls = rules(&["allow User:carol delete topic:x"]);
    let answer = ask(&acls, "User:carol describe topic:x");
    assert!(
        answer.why.ends_with("because delete allows describe too"),
        "{}",
        answer.why
    );
}

#[test]
fn what_brokers_ask_besides_is_said() {
    let acls = rules(&[
        "allow User:a create cluster:kafka-cluster",
        "allow User:a read topic:t 10.0.0.9",
    ]);
    let notes = |question: &str| ask(&acls, question).notes.join("; ");
    assert!(notes("User:a create topic:t").contains("may create on the cluster"));
    assert!(notes("User:a read topic:t").contains("from 10.0.0.9 it may be otherwise"));
    assert!(notes("User:a read topic:t").contains("needs read on the group"));
    assert!(notes("User:a read topic:t").contains("super.users"));
    assert!(!notes("User:a read topic:t 10.0.0.9").contains("super.users"));
}

/// Topics `orders` and `clicks`; no groups were read.
fn snapshot() -> ClusterSnapshot {
    let metadata = ClusterMetadata {
        topics: ["clicks", "orders"]
            .map(|name| Arc::new(crate::derive::test_topic(name, &[(&[1], &[1], 1)])))
            .to_vec(),
        ..ClusterMetadata::default()
    };
    let mut snapshot = ClusterSnapshot::default();
    snapshot.apply(Update::Metadata(Ok(Arc::new(metadata))), Taken::default());
    snapshot
}

fn idle(texts: &[&str]) -> Vec<(String, Idle)> {
    let found = idle_acls(&rules(texts), &snapshot());
    let told = |idle: IdleAcl| (idle.rule.to_string(), idle.idle);
    found.into_iter().map(told).collect()
}

#[test]
fn rules_that_do_nothing_are_found() {
    for (texts, wanted) in [
        (&["allow User:a read topic:orders"][..], None),
        (
            &["allow User:a read topic:gone"],
            Some(Idle::NoSuchResource),
        ),
        (
            &["allow User:a read topic:gon…"],
            Some(Idle::NoSuchResource),
        ),
        (&["allow User:a read topic:ord…"], None),
        (&["allow User:a read topic:*"], None),
        // Groups are not known here.
        (&["allow User:a read group:gone"], None),
        (
            &["allow User:a cluster_action topic:orders"],
            Some(Idle::NoSuchOperation),
        ),
        (
            &[
                "allow User:a describe topic:orders",
                "allow User:a read topic:ord…",
            ],
            Some(Idle::Redundant),
        ),
        (
            &["allow User:a read topic:orders", "allow User:* all topic:*"],
            Some(Idle::Redundant),
        ),
        (
            &[
                "allow User:a read topic:orders 10.0.0.1",
                "allow User:a read topic:orders",
            ],
            Some(Idle::Redundant),
        ),
        (
            &[
                "allow User:a read topic:orders",
                "allow User:b read topic:orders",
            ],
            None,
        ),
        (
            &[
                "allow User:a read topic:orders",
                "deny User:a all topic:orders",
            ],
            Some(Idle::Denied),
        ),
        // To describe is still allowed.
        (
            &[
                "allow User:a read topic:orders",
                "deny User:a read topic:orders",
            ],
            None,
        ),
        (
            &[
                "allow User:a read topic:orders",
                "deny User:a read topic:orders",
                "deny User:* describe topic:*",
            ],
            Some(Idle::Denied),
        ),
        (
            &[
                "allow User:a create topic:orders",
                "deny User:a create topic:orders",
            ],
            Some(Idle::Denied),
        ),
        (
            &[
                "allow User:a create topic:orders",
                "deny User:a create topic:orders 10.0.0.1",
            ],
            None,
        ),
        (
            &[
                "deny User:a describe topic:orders",
                "deny User:a read topic:orders",
            ],
            None,
        ),
        (
            &["deny User:a read topic:orders", "deny User:* read topic:o…"],
            Some(Idle::Redundant),
        ),
    ] {
        let found = idle(texts);
        let subject = rule(texts[0]).to_string();
        let kind = found
            .iter()
            .find(|(text, _)| *text == subject)
            .map(|(_, idle)| *idle);
        assert_eq!(kind, wanted, "{texts:?}: {found:?}");
    }
}

#[test]
fn no_two_rules_make_each_other_superfluous() {
    let texts = [
        "allow User:a read topic:orders",
        "allow User:a all topic:orders",
        "allow User:* read topic:orders",
        "allow User:a read topic:ord…",
        "allow User:a read topic:*",
        "allow User:* all topic:*",
    ];
    let found = idle(&texts);
    assert_eq!(found.len(), texts.len() - 1, "{found:?}");
    assert!(
        found
            .iter()
            .all(|(text, _)| *text != rule("allow User:* all topic:*").to_string())
    );
}
