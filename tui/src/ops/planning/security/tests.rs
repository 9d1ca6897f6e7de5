use std::sync::Arc;

use kafka_shared::secret::Secret;

use super::*;
use crate::model::{
    AclOperation, Broker, FaultKind, ScramCredential, SecurityUpdate, Taken, Update,
};

fn acl(principal: &str, operation: AclOperation, topic: &str) -> Acl {
    Acl {
        resource: AclResource::TOPIC,
        name: topic.to_owned(),
        pattern: AclPattern::LITERAL,
        principal: principal.to_owned(),
        host: "*".to_owned(),
        operation,
        permission: AclPermission::ALLOW,
    }
}

/// One rule, one user, one quota.
fn snapshot() -> ClusterSnapshot {
    let broker = Broker {
        id: 1,
        host: "b1".to_owned(),
        port: 9092,
        rack: None,
        fenced: Some(false),
    };
    let metadata = ClusterMetadata {
        brokers: vec![broker],
        ..ClusterMetadata::default()
    };
    let credential = ScramCredential {
        mechanism: ScramMechanism::SHA_512,
        iterations: 4096,
    };
    let user = ScramUser {
        name: "alice".to_owned(),
        credentials: vec![credential],
    };
    let quota = Quota {
        entity: QuotaEntity::new([("user", Some("alice"))]),
        limits: BTreeMap::from([("producer_byte_rate".to_owned(), 1000.0)]),
    };
    let acls = vec![acl("User:alice", AclOperation::READ, "orders")];
    let mut snapshot = ClusterSnapshot::default();
    for update in [
        Update::Metadata(Ok(Arc::new(metadata))),
        Update::Security(SecurityUpdate::Acls(Ok(Arc::new(acls)))),
        Update::Security(SecurityUpdate::Users(Ok(Arc::new(vec![user])))),
        Update::Security(SecurityUpdate::Quotas(Ok(Arc::new(vec![quota])))),
    ] {
        snapshot.apply(update, Taken::default());
    }
    snapshot
}

fn planned(action: SecurityAction) -> Result<Plan, Fault> {
    crate::ops::plan(Action::Security(action), &snapshot())
}

fn why(action: SecurityAction) -> String {
    planned(action).unwrap_err().why
}

#[test]
fn a_rule_is_created_with_what_undoes_it_and_kafka_s_own_line() {
    let old = acl("User:alice", AclOperation::READ, "orders");
    let new = Acl {
        pattern: AclPattern::PREFIXED,
        host: "10.0.0.1".to_owned(),
        ..acl("User:bob", AclOperation::DESCRIBE_CONFIGS, "or")
    };
    let plan = planned(SecurityAction::CreateAcls(vec![old.clone(), new.clone()])).unwrap();
    assert_eq!(plan.danger, Danger::Safe);
    assert_eq!(plan.changes.len(), 1);
    assert_eq!(
        plan.changes[0].subject,
        "allow User:bob describe_configs on topics that begin with \"or\" from 10.0.0.1"
    );
    assert_eq!(plan.not_done, [format!("there is already: {old}")]);
    assert!(
        plan.warnings[0].contains("has no rule yet"),
        "{:?}",
        plan.warnings
    );
    assert_eq!(
        plan.equivalent,
        [
            "kafka-acls.sh --bootstrap-server b1:9092 --add --allow-principal User:bob \
             --allow-host 10.0.0.1 --operation DescribeConfigs --topic or \
             --resource-pattern-type prefixed"
        ]
    );
    let undo = Action::Security(SecurityAction::DeleteAcls(vec![new]));
    assert_eq!(plan.inverse, Some(undo));
}

#[test]
fn deleting_the_last_rule_of_a_resource_is_warned_of_and_can_be_undone() {
    let rule = acl("User:alice", AclOperation::READ, "orders");
    let plan = planned(SecurityAction::DeleteAcls(vec![rule.clone()])).unwrap();
    assert_eq!(plan.danger, Danger::Disruptive);
    assert!(
        plan.warnings[0].contains("everybody may use it"),
        "{:?}",
        plan.warnings
    );
    let undo = Action::Security(SecurityAction::CreateAcls(vec![rule]));
    assert_eq!(plan.inverse, Some(undo));
    let gone = acl("User:bob", AclOperation::READ, "orders");
    assert!(
        planned(SecurityAction::DeleteAcls(vec![gone]))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn rules_that_no_authorizer_would_take_are_refused_here() {
    let good = acl("User:a", AclOperation::READ, "t");
    for (acl, reason) in [
        (
            Acl {
                principal: "alice".to_owned(),
                ..good.clone()
            },
            "written as User:alice",
        ),
        (
            Acl {
                name: String::new(),
                ..good.clone()
            },
            "no name",
        ),
        (
            Acl {
                host: String::new(),
                ..good.clone()
            },
            "host is empty",
        ),
        (
            Acl {
                operation: AclOperation::CLUSTER_ACTION,
                ..good.clone()
            },
            "has no operation",
        ),
        (
            Acl {
                resource: AclResource::CLUSTER,
                ..good.clone()
            },
            "one cluster",
        ),
    ] {
        let why = why(SecurityAction::CreateAcls(vec![acl]));
        assert!(why.contains(reason), "{why}");
    }
    assert_eq!(
        why(SecurityAction::CreateAcls(Vec::new())),
        "no rule is named"
    );
}

#[test]
fn a_cluster_that_keeps_no_rules_says_so_before_anything_is_tried() {
    let mut snapshot = snapshot();
    let fault = Fault::new(
        FaultKind::Refused,
        "list the ACL rules",
        "SECURITY_DISABLED",
    );
    snapshot.security.acls = Resource::default();
    let update = SecurityUpdate::Acls(Err(Arc::new(fault.clone())));
    snapshot.apply(Update::Security(update), Taken::default());
    let action = SecurityAction::CreateAcls(vec![acl("User:a", AclOperation::READ, "t")]);
    let refused = crate::ops::plan(Action::Security(action), &snapshot).unwrap_err();
    assert_eq!(refused, fault);
}

fn set(user: &str, mechanism: ScramMechanism) -> SetPassword {
    SetPassword {
        user: user.to_owned(),
        mechanism,
        iterations: 8192,
        password: Secret::new("hunter2"),
    }
}

#[test]
fn a_password_is_never_part_of_a_plan_and_a_new_one_of_an_old_user_can_t_be_undone() {
    let plan = planned(SecurityAction::SetPassword(set(
        "bob",
        ScramMechanism::SHA_256,
    )))
    .unwrap();
    assert!(!format!("{plan:?}").contains("hunter2"));
    assert_eq!(plan.danger, Danger::Safe);
    let undo = Action::Security(SecurityAction::DeletePassword {
        user: "bob".to_owned(),
        mechanism: Some(ScramMechanism::SHA_256),
    });
    assert_eq!(plan.inverse, Some(undo));
    let plan = planned(SecurityAction::SetPassword(set(
        "alice",
        ScramMechanism::SHA_512,
    )))
    .unwrap();
    assert_eq!((plan.danger, plan.inverse), (Danger::Disruptive, None));
    assert_eq!(
        plan.changes[0].before.as_deref(),
        Some("a password, 4096 iterations")
    );
    let plan = planned(SecurityAction::SetPassword(set(
        "alice",
        ScramMechanism::SHA_256,
    )))
    .unwrap();
    assert_eq!(
        plan.not_done,
        ["the password for SCRAM-SHA-512 stays as it is"]
    );
    for (change, reason) in [
        (
            SetPassword {
                iterations: 4095,
                ..set("a", ScramMechanism::SHA_256)
            },
            "from 4096",
        ),
        (
            SetPassword {
                iterations: 16_385,
                ..set("a", ScramMechanism::SHA_256)
            },
            "to 16384",
        ),
        (
            SetPassword {
                password: Secret::default(),
                ..set("a", ScramMechanism::SHA_256)
            },
            "empty",
        ),
        (set("", ScramMechanism::SHA_256), "no name"),
    ] {
        let why = why(SecurityAction::SetPassword(change));
        assert!(why.contains(reason), "{why}");
    }
}

#[test]
fn a_password_is_deleted_after_the_user_s_name_was_typed() {
    let delete = |user: &str, mechanism| SecurityAction::DeletePassword {
        user: user.to_owned(),
        mechanism,
    };
    let plan = planned(delete("alice", None)).unwrap();
    assert_eq!(plan.danger, Danger::Destructive);
    assert_eq!(plan.typed_confirmation.as_deref(), Some("alice"));
    assert_eq!(plan.inverse, None);
    assert!(plan.equivalent[0].ends_with("--delete-config SCRAM-SHA-512"));
    let fault = planned(delete("alice", Some(ScramMechanism::SHA_256))).unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotFound);
    assert_eq!(
        planned(delete("bob", None)).unwrap_err().kind,
        FaultKind::NotFound
    );
}

fn quota(parts: &[(&str, Option<&str>)], limits: &[(&str, Option<f64>)]) -> SecurityAction {
    let own = |(kind, name): &(&str, Option<&str>)| ((*kind).to_owned(), name.map(str::to_owned));
    SecurityAction::AlterQuota {
        entity: QuotaEntity(parts.iter().map(own).collect()),
        limits: limits
            .iter()
            .map(|(limit, value)| ((*limit).to_owned(), *value))
            .collect(),
    }
}

#[test]
fn a_quota_is_changed_limit_by_limit_with_its_reverse() {
    let alice = [("user", Some("alice"))];
    let limits = [
        ("producer_byte_rate", Some(500.0)),
        ("request_percentage", Some(20.0)),
    ];
    let plan = planned(quota(&alice, &limits)).unwrap();
    assert_eq!(plan.danger, Danger::Disruptive, "it becomes stricter");
    let told: Vec<_> = plan
        .changes
        .iter()
        .map(|c| (c.before.as_deref(), c.after.as_deref()))
        .collect();
    assert_eq!(told, [(Some("1000"), Some("500")), (None, Some("20"))]);
    let back = [
        ("producer_byte_rate", Some(1000.0)),
        ("request_percentage", None),
    ];
    assert_eq!(plan.inverse, Some(Action::Security(quota(&alice, &back))));
    let plan = planned(quota(&alice, &[("producer_byte_rate", None)])).unwrap();
    assert_eq!(plan.danger, Danger::Safe);
    assert!(
        planned(quota(&alice, &[("producer_byte_rate", Some(1000.0))]))
            .unwrap()
            .is_empty()
    );
    let both = [("user", None), ("client-id", Some("app 1"))];
    let plan = planned(quota(&both, &[("consumer_byte_rate", Some(1.5))])).unwrap();
    assert_eq!(
        plan.equivalent,
        [
            "kafka-configs.sh --bootstrap-server b1:9092 --alter --entity-type users \
             --entity-default --entity-type clients --entity-name 'app 1' --add-config \
             consumer_byte_rate=1.5"
        ]
    );
}

#[test]
fn quotas_that_can_t_be_are_refused_with_what_can() {
    let rate = [("producer_byte_rate", Some(1.0))];
    for (action, reason) in [
        (quota(&[], &rate), "nobody is named"),
        (
            quota(&[("ip", Some("10.0.0.1")), ("user", None)], &rate),
            "an address alone",
        ),
        (
            quota(&[("ip", None)], &rate),
            "there is connection_creation_rate",
        ),
        (
            quota(&[("user", None)], &[("nonsense", None)]),
            "there is producer_byte_rate",
        ),
        (
            quota(&[("user", None)], &[("producer_byte_rate", Some(0.0))]),
            "above 0",
        ),
        (
            quota(&[("user", None)], &[("producer_byte_rate", Some(f64::NAN))]),
            "above 0",
        ),
        (quota(&[("user", None)], &[]), "no limit"),
    ] {
        let why = why(action);
        assert!(why.contains(reason), "{why}");
    }
}

#[test]
fn what_undoes_a_change_survives_being_written_and_fits_what_the_change_left() {
    let new = acl("User:bob", AclOperation(99), "orders");
    let limits = [("producer_byte_rate", Some(500.0))];
    for action in [
        SecurityAction::CreateAcls(vec![new]),
        SecurityAction::DeleteAcls(vec![acl("User:alice", AclOperation::READ, "orders")]),
        SecurityAction::SetPassword(set("bob", ScramMechanism::SHA_256)),
        quota(&[("user", Some("alice"))], &limits),
    ] {
        let told = format!("{action:?}");
        let Ok(plan) = planned(action) else {
            // An operation that only a newer cluster knows can be deleted, not created.
            assert!(told.contains("unknown(99)"), "{told}");
            continue;
        };
        let inverse = plan.inverse.expect("it can be undone");
        let written = serde_json::to_string(&inverse).unwrap();
        assert_eq!(
            serde_json::from_str::<Action>(&written).unwrap(),
            inverse,
            "{told}"
        );
    }
    let unknown = AclOperation(99);
    let written = serde_json::to_string(&unknown).unwrap();
    assert_eq!(
        serde_json::from_str::<AclOperation>(&written).unwrap(),
        unknown
    );
}
