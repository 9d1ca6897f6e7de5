//! Saved clusters on the screen: switching, rights, danger, and a cluster that is another one.

use crate::clusters::{ClustersFile, Colour, Entry, Level};
use crate::model::{ClusterMetadata, Fault, FaultKind};
use crate::ui::event::ClustersAction;
use std::sync::Arc;

use super::*;

fn saved() -> (tempfile::TempDir, ClustersFile) {
    let folder = tempfile::tempdir().unwrap();
    let mut file = ClustersFile::load(&folder.path().join("config.toml")).unwrap();
    let entry = |name: &str, level, read_only| Entry {
        name: name.to_owned(),
        bootstrap: format!("{name}:9092"),
        color: Some(Colour::Red),
        danger: level,
        read_only,
        ..Entry::default()
    };
    file.add(&entry("dev", Level::Low, false), false).unwrap();
    file.add(&entry("prod", Level::High, true), false).unwrap();
    (folder, file)
}

/// What was asked last of the saved clusters.
fn last_asked(driver: &Driver) -> (JobId, ClustersAction) {
    let asked = driver.effects.iter().rev().find_map(|effect| match effect {
        Effect::Clusters { job, action } => Some((*job, action.clone())),
        _ => None,
    });
    asked.unwrap()
}

/// The screen of clusters, read.
fn clusters(driver: &mut Driver) -> tempfile::TempDir {
    driver.keys("8");
    let (folder, file) = saved();
    let (job, asked) = last_asked(driver);
    assert_eq!(asked, ClustersAction::List);
    driver.answer(job, Answer::Clusters(Ok(file)));
    folder
}

fn last_target(driver: &Driver) -> crate::clusters::Target {
    let target = driver.effects.iter().rev().find_map(|effect| match effect {
        Effect::Connect { target, .. } => Some((**target).clone()),
        _ => None,
    });
    target.expect("it connects")
}

fn metadata(cluster_id: &str, may_describe: bool) -> Update {
    Update::Metadata(Ok(Arc::new(ClusterMetadata {
        cluster_id: Some(cluster_id.into()),
        may_describe: Some(may_describe),
        ..ClusterMetadata::default()
    })))
}

#[test]
fn the_list_says_where_one_is_and_enter_switches() {
    let mut driver = Driver::new(None, false);
    let _folder = clusters(&mut driver);
    let screen = driver.screen(100, 8);
    for text in ["prod", "high", "read-only", "dev:9092"] {
        assert!(screen.contains(text), "{screen}");
    }
    driver.keys("enter");
    assert_eq!(last_target(&driver).name.as_deref(), Some("dev"));
    assert!(driver.screen(100, 8).contains("kafka-tui  dev  dev:9092"));
    driver.feed(vec![metadata("one", true)]);
    let learned = driver.effects.iter().any(|effect| {
        let Effect::Clusters { action, .. } = effect else {
            return false;
        };
        *action
            == ClustersAction::Learn {
                name: "dev".to_owned(),
                cluster_id: "one".to_owned(),
            }
    });
    assert!(learned, "its id is kept at the first connection");
}

#[test]
fn a_cluster_saved_as_read_only_refuses_until_its_name_is_typed() {
    let mut driver = Driver::new(None, false);
    let _folder = clusters(&mut driver);
    driver.keys("j enter");
    assert!(last_target(&driver).read_only);
    driver.feed(vec![metadata("one", true)]);
    let screen = driver.screen(100, 8);
    assert!(
        screen.contains("prod !") && screen.contains("READ-ONLY"),
        "{screen}"
    );
    driver.keys("3 n");
    assert!(driver.screen(100, 12).contains("read-only"));
    let _folder = clusters(&mut driver);
    driver.keys("j w");
    driver.keys("enter");
    assert!(
        driver
            .screen(100, 16)
            .contains("type prod, or leave with esc")
    );
    driver.keys("p r o d enter");
    assert!(!last_target(&driver).read_only);
    assert!(!driver.screen(100, 8).contains("READ-ONLY"));
}

#[test]
fn another_cluster_than_the_saved_one_and_missing_rights_are_told_on_every_screen() {
    let mut driver = Driver::new(None, false);
    let _folder = clusters(&mut driver);
    driver.keys("enter");
    driver.feed(vec![metadata("one", false)]);
    let told = "this user may not describe the cluster: no topic is shown to it";
    for key in ["1", "3", "4"] {
        driver.keys(key);
        let screen = driver.screen(100, 20);
        assert!(screen.contains(told), "{screen}");
    }
    driver.feed(vec![metadata("two", true)]);
    let screen = driver.screen(100, 20);
    let told = "this is not the cluster you saved (two, not one): changes are refused";
    assert!(screen.contains(told), "{screen}");
}

#[test]
fn what_keeps_a_cluster_from_being_tried_is_shown_and_not_tried_again_by_itself() {
    let mut driver = Driver::new(Some("b1:9092"), false);
    let session = SessionId(driver.app.session.id);
    let fault = Fault::refused(
        "read the client properties",
        "sasl.jaas.config: it is not set",
    );
    driver.event(Event::Resolved {
        session,
        result: Err(fault),
    });
    let screen = driver.screen(80, 14);
    assert!(
        screen.contains("sasl.jaas.config: it is not set"),
        "{screen}"
    );
    assert!(screen.contains("not tried again by itself"), "{screen}");
}

#[test]
fn a_small_terminal_shows_why_a_connection_failed_before_all_else() {
    let mut driver = Driver::new(
        Some("kafka1.example.com:9093,kafka2.example.com:9093"),
        false,
    );
    driver.now_ms = 3_000;
    driver.event(Event::Tick);
    let screen = driver.screen(40, 10);
    assert!(screen.contains("no answer for 3s yet"), "{screen}");
    let why = "SASL with kafka1.example.com:9093: wrong user name or password (PLAIN as alice)";
    let fault = Fault::refused("read the metadata", why)
        .with_hint("check username and password in sasl.jaas.config");
    driver.feed(vec![Update::Metadata(Err(fault.into()))]);
    let screen = driver.screen(40, 10);
    let screen = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        "wrong user name",
        "(PLAIN as alice)",
        "check username",
        "trying again in",
    ] {
        assert!(screen.contains(text), "{screen}");
    }
}

#[test]
fn the_form_saves_whatever_the_configuration_file_knows() {
    let mut driver = Driver::new(None, false);
    let _folder = clusters(&mut driver);
    driver.keys("n");
    let fields = [
        "lab",
        "b1:9092",
        "",
        "",
        "",
        "",
        "",
        "/ca.pem",
        "blue",
        "",
        "space",
        "",
        "/own.pem",
        "http://r:8081",
        "/r.pem",
        "http://c1:8083,http://c2:8083",
        "me:env:C",
        "/c.pem",
        "http://{host}:7071/m",
        "you:file:/pw",
        "/m.pem",
    ];
    let typed = fields.join(" tab ");
    let typed: Vec<&str> = typed.split_whitespace().collect();
    driver.keys(&typed.join(" "));
    driver.keys("enter");
    let added = driver.effects.iter().find_map(|effect| match effect {
        Effect::Clusters {
            action: ClustersAction::Add { entry, .. },
            ..
        } => Some((**entry).clone()),
        _ => None,
    });
    let entry = added.unwrap_or_else(|| panic!("{}", driver.screen(100, 40)));
    let path = |text: &str| Some(std::path::PathBuf::from(text));
    assert_eq!((&*entry.name, &*entry.bootstrap), ("lab", "b1:9092"));
    assert_eq!(entry.color, Some(Colour::Blue));
    assert_eq!(entry.dry_run, Some(true));
    assert_eq!(entry.settings["security.protocol"], "SSL");
    assert_eq!(entry.settings["ssl.truststore.location"], "/ca.pem");
    assert_eq!(entry.settings["ssl.keystore.location"], "/own.pem");
    assert_eq!(entry.registry.as_deref(), Some("http://r:8081"));
    assert_eq!(entry.registry_ca, path("/r.pem"));
    assert_eq!(entry.connect, ["http://c1:8083", "http://c2:8083"]);
    assert_eq!(entry.connect_login.as_deref(), Some("me:${env:C}"));
    assert_eq!(entry.connect_ca, path("/c.pem"));
    let metrics = entry.metrics.as_ref().map(|metrics| metrics.options());
    assert_eq!(metrics, Some(vec!["http://{host}:7071/m".to_owned()]));
    assert_eq!(entry.metrics_login.as_deref(), Some("you:${file:/pw}"));
    assert_eq!(entry.metrics_ca, path("/m.pem"));
}

#[test]
fn the_form_says_which_field_is_wrong_and_repeats_no_password() {
    for (field, text, why) in [
        (13, "r:8081", "http://"),
        (15, "c1:8083", "http"),
        (16, "me:sesame", "env:NAME"),
        (18, "http://{port}/m", "{port} is neither"),
    ] {
        let mut driver = Driver::new(None, false);
        let _folder = clusters(&mut driver);
        driver.keys("n l a b tab b 1 : 9 0 9 2");
        driver.keys(&"tab ".repeat(field - 1));
        let keys: Vec<String> = text.chars().map(String::from).collect();
        driver.keys(&keys.join(" "));
        driver.keys("enter");
        let screen = driver.screen(100, 40);
        assert!(screen.contains(why), "{text}: {screen}");
        let added = driver.effects.iter().any(|effect| {
            let Effect::Clusters { action, .. } = effect else {
                return false;
            };
            matches!(action, ClustersAction::Add { .. })
        });
        assert!(!added, "{text}");
    }
}

/// Answers what the last form asked for: it could not be saved.
fn refuse(driver: &mut Driver) {
    let (job, tried) = last_asked(driver);
    let fault = Fault::new(
        FaultKind::Unreachable,
        "connect to b1:9092",
        "nobody listens",
    );
    let tried = Box::new(tried);
    driver.answer(job, Answer::ClusterNotSaved { tried, fault });
}

#[test]
fn what_was_typed_outlives_a_connection_that_failed() {
    let mut driver = Driver::new(None, false);
    let _folder = one_with_all(&mut driver);
    driver.keys("n l a b tab b 1 : 9 0 9 2 enter");
    refuse(&mut driver);
    let screen = driver.screen(120, 40);
    assert!(screen.contains("n opens the form as it was"), "{screen}");
    driver.keys("n");
    let screen = driver.screen(100, 40);
    assert!(
        screen.contains("b1:9092") && screen.contains(" lab "),
        "{screen}"
    );
    driver.keys("esc n");
    let screen = driver.screen(100, 40);
    assert!(!screen.contains("b1:9092"), "once: {screen}");
    driver.keys("esc e tab ctrl-u b 2 : 9 enter");
    let first = edited(&mut driver).unwrap();
    refuse(&mut driver);
    driver.effects.clear();
    driver.keys("e");
    let screen = driver.screen(100, 40);
    assert!(screen.contains("b2:9"), "{screen}");
    driver.keys("enter");
    assert_eq!(edited(&mut driver), Some(first), "the same once more");
}

/// What the form of the selected cluster makes of it.
fn edited(driver: &mut Driver) -> Option<(Entry, Entry)> {
    driver.effects.iter().rev().find_map(|effect| match effect {
        Effect::Clusters {
            action: ClustersAction::Edit { before, after },
            ..
        } => Some(((**before).clone(), (**after).clone())),
        _ => None,
    })
}

/// As [`clusters`], with one cluster that says all that can be said.
fn one_with_all(driver: &mut Driver) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let text = r#"[clusters.all]
bootstrap = "k:9093"
properties = "relative.properties"
color = "blue"
danger = "high"
dry_run = false
read_only = true
registry = "http://r:8081"
registry_ca = "r.pem"
cluster_id = "abc"
connect = ["http://c1:8083", "http://c2:8083"]
connect_login = "me:sesame"
connect_ca = "c.pem"
metrics = "http://{host}:7071/m"
metrics_login = "you:${file:/pw}"
metrics_ca = "m.pem"
settings = { "security.protocol" = "SASL_SSL", "sasl.mechanism" = "SCRAM-SHA-256", "sasl.jaas.config" = 'M required username="al" password="${env:PW}";', "ssl.truststore.location" = "ca.jks", "ssl.truststore.password" = "sesame" }
"#;
    std::fs::write(&path, text).unwrap();
    driver.keys("8");
    let (job, _) = last_asked(driver);
    driver.answer(job, Answer::Clusters(ClustersFile::load(&path)));
    folder
}

#[test]
fn a_form_that_is_handed_in_as_it_was_shown_changes_nothing_and_shows_no_secret() {
    let mut driver = Driver::new(None, false);
    let _folder = one_with_all(&mut driver);
    driver.keys("e");
    let screen = driver.screen(100, 40);
    for text in [
        "edit all",
        "k:9093",
        "al",
        "env:PW",
        "ca.jks",
        "blue",
        "you:file:/pw",
        "http://c2:8083",
    ] {
        assert!(screen.contains(text), "{text}: {screen}");
    }
    assert!(!screen.contains("sesame"), "{screen}");
    driver.keys("enter");
    assert!(driver.screen(100, 20).contains("all is as it was"));
    assert_eq!(edited(&mut driver), None);
}

#[test]
fn a_form_changes_only_what_was_changed_in_it() {
    let mut driver = Driver::new(None, false);
    let _folder = one_with_all(&mut driver);
    // The password from elsewhere, and another colour.
    driver.keys("e tab tab tab tab tab ctrl-u file:/p tab tab tab ctrl-u red enter");
    let (before, after) = edited(&mut driver).unwrap();
    let mut expected = before.clone();
    expected.color = Some(Colour::Red);
    let jaas = expected.settings.get_mut("sasl.jaas.config").unwrap();
    *jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"al\" \
             password=\"${file:/p}\";"
        .to_owned();
    assert_eq!(after, expected);
    assert_eq!(after.cluster_id.as_deref(), Some("abc"));
}

#[test]
fn other_addresses_and_whoever_asks_for_it_learn_the_id_anew() {
    for keys in ["e tab ,k2:1 enter", "e up space enter"] {
        let mut driver = Driver::new(None, false);
        let _folder = one_with_all(&mut driver);
        driver.keys(keys);
        let (before, after) = edited(&mut driver).unwrap();
        assert_eq!(after.cluster_id, None, "{keys}");
        assert_eq!(after.connect_login, before.connect_login);
    }
}

#[test]
fn a_password_that_can_not_be_shown_has_to_be_named_before_its_login_is_another() {
    let mut driver = Driver::new(None, false);
    let _folder = one_with_all(&mut driver);
    driver.keys("e tab tab tab tab tab ctrl-u enter");
    let screen = driver.screen(100, 40);
    assert!(screen.contains("say where it is: env:NAME"), "{screen}");
    assert_eq!(edited(&mut driver), None);
}
