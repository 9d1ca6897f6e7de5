//! Rules, users and quotas: what they look like and what their keys lead to.

use std::collections::BTreeMap;
use std::sync::Arc;

use insta::assert_snapshot;

use super::{Driver, fixture};
use crate::model::*;
use crate::ops::{Action, Plan, SecurityAction};
use crate::ui::event::Effect;

fn acl(permission: AclPermission, who: &str, operation: AclOperation, topic: &str) -> Acl {
    Acl {
        resource: AclResource::TOPIC,
        name: topic.to_owned(),
        pattern: AclPattern::LITERAL,
        principal: who.to_owned(),
        host: "*".to_owned(),
        operation,
        permission,
    }
}

pub fn updates() -> Vec<Update> {
    let mut acls = vec![
        acl(
            AclPermission::ALLOW,
            "User:alice",
            AclOperation::READ,
            "orders",
        ),
        acl(
            AclPermission::ALLOW,
            "User:alice",
            AclOperation::DESCRIBE,
            "orders",
        ),
        acl(
            AclPermission::ALLOW,
            "User:bob",
            AclOperation::WRITE,
            "gone",
        ),
        acl(AclPermission::DENY, "User:mallory", AclOperation::ALL, "*"),
    ];
    acls.sort();
    let credential = ScramCredential {
        mechanism: ScramMechanism::SHA_512,
        iterations: 8192,
    };
    let user = ScramUser {
        name: "alice".to_owned(),
        credentials: vec![credential],
    };
    let quota = |parts: &[(&str, Option<&str>)], limit: &str, value| Quota {
        entity: QuotaEntity(
            parts
                .iter()
                .map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned)))
                .collect(),
        ),
        limits: BTreeMap::from([(limit.to_owned(), value)]),
    };
    let quotas = vec![
        quota(
            &[("user", Some("alice"))],
            "producer_byte_rate",
            1_048_576.0,
        ),
        quota(&[("user", None)], "request_percentage", 50.0),
        quota(&[("ip", Some("10.0.0.1"))], "connection_creation_rate", 5.0),
    ];
    [
        SecurityUpdate::Acls(Ok(Arc::new(acls))),
        SecurityUpdate::Users(Ok(Arc::new(vec![user]))),
        SecurityUpdate::Quotas(Ok(Arc::new(quotas))),
    ]
    .map(Update::Security)
    .to_vec()
}

fn driver() -> Driver {
    let mut driver = Driver::with(fixture::all());
    driver.feed(updates());
    driver.take_effects();
    driver
}

fn look(keys: &str, width: u16, height: u16) -> String {
    let mut driver = driver();
    driver.keys(keys);
    driver.screen(width, height)
}

/// What a key plans, which `y` would execute.
fn planned(driver: &mut Driver) -> Arc<Plan> {
    driver.keys("y");
    let mut effects = driver.take_effects().into_iter();
    let found = effects.find_map(|effect| match effect {
        Effect::Execute { plan, .. } => Some(plan),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{}", driver.screen(80, 24)))
}

#[test]
fn rules() {
    assert_snapshot!(look(":acls enter", 80, 18), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › ACLs  4 · 2 do nothing ─────────────────────────────────────────────
    PRINCIPAL               OPERATION    ON▲                HOST       STATE
    User:alice       allow  read         topic "orders"     *
    User:alice       allow  describe     topic "orders"     *          superfluous
    User:bob         allow  write        topic "gone"       *          unused
    User:mallory     deny   all          every topic        *







    the selected rule ─────────────────────────────────────────────────────────────
    allow User:alice read on topic "orders"

    ? help  n new  x who may?  o idle only  D delete  enter open  / filter  > sort
    "#);
    assert_snapshot!(look(":acls enter", 40, 10), @r#"
    kafka-tui  b1:9092  controller 1  live
    overview › ACLs  4 · 2 do nothing ─────
    PRINCIPAL        OPERATI… ON▲
    User:al…  allow  read     topic "orde…
    User:al…  allow  descri…  topic "orde…
    User:bob  allow  write    topic "gone"
    User:ma…  deny   all      every topic


    ? help  n new  x who may?  o idle only
    "#);
    assert_snapshot!(look(":acls enter", 160, 8), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1                                                                                       live
    overview › ACLs  4 · 2 do nothing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    PRINCIPAL                        OPERATION              ON▲                                   HOST                STATE
    User:alice                allow  read                   topic "orders"                        *
    User:alice                allow  describe               topic "orders"                        *                   superfluous
    User:bob                  allow  write                  topic "gone"                          *                   unused
    User:mallory              deny   all                    every topic                           *
    ? help  n new  x who may?  o idle only  D delete  enter open  / filter  > sort  : command  ctrl-p jump
    "#);
}

#[test]
fn users_and_quotas() {
    assert_snapshot!(look(":users enter", 80, 8), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › users  1 ───────────────────────────────────────────────────────────
    USER▲                                       MECHANISM       ITERATIONS   RULES
    alice                                       SCRAM-SHA-512        8,192       2



    ? help  n set password  D delete  enter open  / filter  > sort  : command
    "#);
    assert_snapshot!(look(":quotas enter", 80, 8), @r#"
    kafka-tui  b1:9092  cluster-of-the-fixture  3 brokers  controller 1       live
    overview › quotas  3 ──────────────────────────────────────────────────────────
    WHO▲                         LIMIT                                  VALUE
    every other user             request_percentage                      50 %
    ip "10.0.0.1"                connection_creation_rate                 5/s
    user "alice"                 producer_byte_rate                   1 MiB/s

    ? help  n new  x which applies?  D remove  enter open  / filter  > sort
    "#);
    assert_snapshot!(look(":quotas enter", 40, 10), @r#"
    kafka-tui  b1:9092  controller 1  live
    overview › quotas  3 ──────────────────
    WHO▲          LIMIT              VALUE
    every other…  request_p…          50 %
    ip "10.0.0.…  connectio…           5/s
    user "alice"  producer_…       1 MiB/s



    ? help  n new  x which applies?
    "#);
}

#[test]
fn a_cluster_without_rules_says_so_where_they_would_stand() {
    let mut driver = Driver::with(fixture::all());
    let why = "SECURITY_DISABLED: No Authorizer is configured.";
    let fault = Fault::new(FaultKind::Refused, "list the ACL rules", why);
    let update = SecurityUpdate::Acls(Err(Arc::new(fault)));
    driver.feed(vec![Update::Security(update)]);
    driver.keys(":acls enter");
    assert!(driver.screen(80, 24).contains("SECURITY_DISABLED"));
    driver.keys("n");
    assert!(driver.screen(80, 24).contains("SECURITY_DISABLED"));
}

#[test]
fn who_may_do_what_is_answered_with_the_rule() {
    let mut driver = driver();
    driver.keys(":acls enter x ctrl-u User:alice tab ctrl-u read tab tab ctrl-u orders enter");
    let screen = driver.screen(80, 24);
    assert!(
        screen.contains("yes, by the rule: allow User:alice read on topic \"orders\""),
        "{screen}"
    );
    driver.keys("esc esc x ctrl-u User:mallory tab ctrl-u write tab tab ctrl-u orders enter");
    let screen = driver.screen(80, 24);
    assert!(
        screen.contains("no, by the rule: deny User:mallory all on every topic"),
        "{screen}"
    );
    driver.keys("esc ctrl-u * tab tab tab tab enter");
}

#[test]
fn a_rule_is_created_by_a_form_and_marked_ones_are_deleted() {
    let mut driver = driver();
    driver.keys(
        ":acls enter n tab ctrl-u User:zoe tab ctrl-u write,create tab tab ctrl-u clicks enter",
    );
    let plan = planned(&mut driver);
    let Action::Security(SecurityAction::CreateAcls(acls)) = &plan.action else {
        panic!("{plan:?}");
    };
    let texts: Vec<String> = acls.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "allow User:zoe write on topic \"clicks\"",
            "allow User:zoe create on topic \"clicks\""
        ]
    );
    driver.keys("esc esc g space space D");
    let plan = planned(&mut driver);
    assert_eq!(plan.changes.len(), 2);
}

#[test]
fn a_password_is_typed_twice_and_never_shown() {
    let mut driver = driver();
    driver.keys(":users enter n zoe tab tab hunter2 tab hunter3 enter");
    let screen = driver.screen(80, 24);
    assert!(screen.contains("the two are not the same"), "{screen}");
    assert!(
        screen.contains("•••••••") && !screen.contains("hunter"),
        "{screen}"
    );
    driver.keys("backspace 2 enter");
    assert!(!driver.screen(80, 24).contains("hunter"));
    let plan = planned(&mut driver);
    let Action::Security(SecurityAction::SetPassword(set)) = &plan.action else {
        panic!("{plan:?}");
    };
    assert_eq!(
        (set.user.as_str(), set.password.expose()),
        ("zoe", "hunter2")
    );
}

#[test]
fn a_limit_is_set_removed_and_explained() {
    let mut driver = driver();
    driver.keys(":quotas enter x alice tab app enter");
    let screen = driver.screen(80, 24);
    assert!(screen.contains("producer_byte_rate: 1 MiB/s"), "{screen}");
    assert!(
        screen.contains("by the quota of every other user"),
        "{screen}"
    );
    assert!(screen.contains("consumer_byte_rate: no limit"), "{screen}");
    driver.keys("esc esc n bob tab app tab tab tab 2000 enter");
    let screen = driver.screen(80, 24);
    assert!(
        screen.contains("user \"bob\", client-id \"app\""),
        "{screen}"
    );
    assert!(matches!(
        driver.take_effects().last(),
        Some(Effect::Check { .. })
    ));
}
