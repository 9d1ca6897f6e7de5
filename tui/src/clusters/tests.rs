//! The configuration file through what people do with it, and what entries turn into.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::ops::{Action, Danger, Plan};

use super::*;

const FILE: &str = r#"# my clusters
default = "dev"

[clusters.dev]   # on this machine
bootstrap = "localhost:9092"
danger = "low"

[clusters.prod]
bootstrap = "k1:9093, k2:9093"
properties = "prod.properties"
color = "red"
danger = "high"
dry_run = false
read_only = true
registry = "https://r:8081"
registry_ca = "registry.pem"
cluster_id = "abc"

[clusters.prod.settings]
"client.id" = "me"
"sasl.jaas.config" = 'M required username="u" password="sesame";'
"ssl.key.password" = "${env:KEY}"
"#;

fn file(text: &str) -> (tempfile::TempDir, ClustersFile) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    let file = ClustersFile::load(&path).unwrap();
    (folder, file)
}

#[test]
fn what_people_write_is_read() {
    let (folder, file) = file(FILE);
    let names: Vec<&str> = file.entries().iter().map(|entry| &*entry.name).collect();
    assert_eq!(
        (names, file.default_name()),
        (vec!["dev", "prod"], Some("dev"))
    );
    let prod = file.find("prod").unwrap();
    assert_eq!((prod.color, prod.danger), (Some(Colour::Red), Level::High));
    let target = Target::of(prod, file.path()).unwrap();
    assert_eq!(target.address(), "k1:9093,k2:9093");
    assert_eq!(
        target.properties,
        Some(folder.path().join("prod.properties"))
    );
    assert_eq!(target.registry_ca, Some(folder.path().join("registry.pem")));
    assert_eq!(
        (target.dry_run, target.is_dry_by_default()),
        (Some(false), false)
    );
    assert!(target.read_only && target.cluster_id.as_deref() == Some("abc"));
    let shown = prod.shown_settings();
    assert_eq!(shown["sasl.jaas.config"], "[hidden]");
    assert_eq!(
        (&*shown["ssl.key.password"], &*shown["client.id"]),
        ("${env:KEY}", "me")
    );
    let json = serde_json::to_string(prod).unwrap();
    assert!(!json.contains("sesame"), "{json}");
    let fault = file.find("test").unwrap_err();
    assert_eq!(fault.hint.as_deref(), Some("there are dev, prod"));
}

#[test]
fn mistakes_are_told_with_their_place_and_the_file_stays() {
    for (text, told) in [
        (
            "[clusters.a]\nbootstrp = \"x:1\"",
            "clusters.a: unknown field `bootstrp`",
        ),
        (
            "[clusters.a]\ndanger = \"very\"",
            "clusters.a: unknown variant `very`",
        ),
        (
            "[clusters.'a b']\nbootstrap = \"x:1\"",
            "no name for a cluster",
        ),
        ("clusters = 3", "clusters is no table"),
        ("[clusters", "unclosed table"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, text).unwrap();
        let fault = ClustersFile::load(&path).unwrap_err();
        assert!(fault.why.contains(told), "{text}: {fault}");
    }
}

#[test]
fn clusters_come_and_go_and_comments_stay() {
    let (folder, mut file) = file(FILE);
    let login = Login {
        mechanism: "SCRAM-SHA-512".to_owned(),
        username: "al\"ice".to_owned(),
        password: "env:TEST_PASSWORD".parse().unwrap(),
    };
    let entry = Entry {
        name: "test".to_owned(),
        bootstrap: "t:9092".to_owned(),
        settings: login.settings().into(),
        ..Entry::default()
    };
    file.add(&entry, false).unwrap();
    let taken = file.add(&entry, false).unwrap_err();
    assert_eq!(taken.kind, crate::model::FaultKind::AlreadyExists);
    file.remove("dev").unwrap();
    assert!(file.remove("dev").is_err());
    assert!(file.learn_cluster_id("test", "xyz"));
    assert!(
        !file.learn_cluster_id("test", "other"),
        "the first one counts"
    );
    file.save().unwrap();
    let path = folder.path().join("config.toml");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only its owner reads it");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# my clusters\n"), "{text}");
    let again = ClustersFile::load(&path).unwrap();
    let expected = Entry {
        cluster_id: Some("xyz".to_owned()),
        ..entry
    };
    assert_eq!(again.get("test"), Some(&expected));
    assert_eq!(again.entries(), file.entries());
    assert_eq!(again.default_name(), None, "it was removed");
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "nothing else is left behind");
}

#[test]
fn a_file_that_is_not_there_is_empty_and_made_when_there_is_something_to_save() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/config.toml");
    let mut file = ClustersFile::load(&path).unwrap();
    assert!(file.entries().is_empty() && !path.exists());
    let entry = Entry {
        name: "a".to_owned(),
        bootstrap: "h:1".to_owned(),
        ..Entry::default()
    };
    file.add(&entry, false).unwrap();
    file.save().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, "[clusters.a]\nbootstrap = \"h:1\"\n");
}

#[test]
fn a_password_is_referred_to_and_never_taken_itself() {
    for text in ["env:X", "file:/a b", "command:pass show x"] {
        assert!(text.parse::<SecretFrom>().is_ok(), "{text}");
    }
    let error = "sesame".parse::<SecretFrom>().unwrap_err();
    assert!(!error.contains("sesame"), "{error}");
}

#[tokio::test]
async fn a_target_is_resolved_with_its_secrets_and_says_what_it_lacks() {
    let (folder, file) = file(
        "[clusters.a]\nproperties = \"c.properties\"\n[clusters.a.settings]\n\"client.id\" = \"me\"",
    );
    let target = Target::of(&file.entries()[0], file.path()).unwrap();
    let fault = target.options().await.unwrap_err();
    assert!(fault.why.contains("c.properties"), "{fault}");
    fs::write(
        folder.path().join("c.properties"),
        "bootstrap.servers=k:1\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
         client.id=other\nrequest.timeout.ms=7\n\
         sasl.jaas.config=M required username=\"u\" password=\"${file:secret}\";",
    )
    .unwrap();
    let fault = target.options().await.unwrap_err();
    assert!(
        fault.why.contains("option password: cannot read the file"),
        "{fault}"
    );
    fs::write(folder.path().join("secret"), "sesame").unwrap();
    let options = target.options().await.unwrap();
    assert_eq!(options.security.protocol(), "SASL_PLAINTEXT");
    assert_eq!((&*options.client_id, options.request_timeout_ms), ("me", 7));
    assert_eq!(options.bootstrap[0].to_string(), "k:1");
    assert!(!format!("{options:?}").contains("sesame"));
    let fault = Target::default().options().await.unwrap_err();
    assert!(fault.hint.unwrap().contains("--bootstrap"));
}

#[test]
fn the_danger_of_a_cluster_decides_what_is_typed() {
    let plan = |danger, typed: Option<&str>| Plan {
        action: Action::DeleteTopics(Vec::new()),
        title: String::new(),
        danger,
        typed_confirmation: typed.map(str::to_owned),
        changes: Vec::new(),
        warnings: Vec::new(),
        not_done: Vec::new(),
        equivalent: Vec::new(),
        inverse: None,
        irrevocable: Vec::new(),
        cluster_id: None,
        undoes: None,
        reassignment: None,
        topic_ids: BTreeMap::new(),
    };
    let safe = plan(Danger::Safe, None);
    let moves = plan(Danger::Disruptive, None);
    let deletes = plan(Danger::Destructive, Some("orders"));
    for (level, expected) in [
        (Level::Low, [None, None, None]),
        (Level::Normal, [None, None, Some("orders")]),
        (Level::High, [None, Some("prod"), Some("orders")]),
    ] {
        let typed = [&safe, &moves, &deletes].map(|plan| confirmation(plan, level, Some("prod")));
        assert_eq!(
            typed.each_ref().map(Option::as_deref),
            expected,
            "{level:?}"
        );
    }
    assert_eq!(
        confirmation(&moves, Level::High, None),
        None,
        "it has no name to type"
    );
}

#[tokio::test]
async fn the_truststore_of_the_brokers_is_not_taken_for_the_registry_s() {
    let (folder, file) = file(
        "[clusters.a]\nbootstrap = \"k:1\"\n[clusters.a.settings]\n\"security.protocol\" = \"SSL\"\n\
         \"ssl.truststore.location\" = \"missing.pem\"\n\
         \"schema.registry.ssl.truststore.location\" = \"other.pem\"",
    );
    let target = Target::of(&file.entries()[0], file.path()).unwrap();
    let fault = target.options().await.unwrap_err();
    let read = folder.path().join("missing.pem").display().to_string();
    assert!(fault.why.contains(&read), "{fault}");
}

const COMMENTED: &str = r#"# my clusters
default = "prod"   # mostly

[clusters.dev]   # on this machine
bootstrap = 'localhost:9092'

# handle with care
[clusters.prod]
# the old name of the key
colour = "red"   # as blood
bootstrap = "k1:9093"   # behind the balancer
danger = "normal"
properties = "prod.properties"
metrics = { 1 = "http://m1/metrics", 2 = "http://m2/metrics" }
cluster_id = "abc"

[clusters.prod.settings]
# who I am
"client.id" = "me"   # and nobody else
"security.protocol" = "SASL_SSL"
"sasl.mechanism" = "OAUTHBEARER"
"sasl.oauthbearer.client.secret" = "sesame"
"#;

#[test]
fn an_edit_changes_what_is_different_and_leaves_the_rest_as_a_person_wrote_it() {
    let (folder, mut file) = file(COMMENTED);
    let path = folder.path().join("config.toml");
    let before = file.find("prod").unwrap().clone();
    let mut after = before.clone();
    after.name = "live".to_owned();
    after.color = Some(Colour::Green);
    after.bootstrap = "k1:9093,k2:9093".to_owned();
    after.danger = Level::High;
    after.registry = Some("http://r:8081".to_owned());
    after
        .settings
        .insert("client.id".to_owned(), "you".to_owned());
    // Somebody else was quicker with something else.
    assert!(!file.learn_cluster_id("prod", "other"));
    let other = Entry {
        read_only: true,
        ..before.clone()
    };
    file.edit(&before, &other).unwrap();
    file.edit(&before, &after).unwrap();
    file.save().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let expected = COMMENTED
        .replace("default = \"prod\"", "default = \"live\"")
        .replace("clusters.prod", "clusters.live")
        .replace("\"red\"", "\"green\"")
        .replace("\"k1:9093\"", "\"k1:9093,k2:9093\"")
        .replace("danger = \"normal\"", "danger = \"high\"")
        .replace(
            "\"abc\"\n",
            "\"abc\"\nread_only = true\nregistry = \"http://r:8081\"\n",
        )
        .replace("\"me\"", "\"you\"");
    assert_eq!(text, expected);
    let again = ClustersFile::load(&path).unwrap();
    let expected = Entry {
        read_only: true,
        ..after.clone()
    };
    assert_eq!(again.get("live"), Some(&expected));
    assert_eq!(again.entries(), file.entries());
    assert_eq!(again.default_name(), Some("live"));
    // What is as usual, or is taken away, is not written; what is left stays.
    let plain = Entry {
        color: None,
        metrics: None,
        danger: Level::Normal,
        settings: [("a".to_owned(), "b".to_owned())].into(),
        ..expected.clone()
    };
    file.edit(&expected, &plain).unwrap();
    assert_eq!(file.get("live"), Some(&plain));
    let none = Entry {
        settings: BTreeMap::new(),
        ..plain.clone()
    };
    file.edit(&plain, &none).unwrap();
    file.save().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        !text.contains("settings") && !text.contains("colour"),
        "{text}"
    );
    assert!(
        text.contains("# handle with care\n[clusters.live]"),
        "{text}"
    );
    assert_eq!(ClustersFile::load(&path).unwrap().get("live"), Some(&none));
}

#[test]
fn an_edit_that_can_not_be_leaves_everything_as_it_is() {
    let (_folder, mut file) = file(COMMENTED);
    let before = file.find("prod").unwrap().clone();
    let entries = file.entries().to_vec();
    for (name, of, told) in [
        ("dev", "prod", "there is a cluster \"dev\" already"),
        ("a b", "prod", "no name for a cluster"),
        ("new", "gone", "no cluster \"gone\" is saved"),
    ] {
        let before = Entry {
            name: of.to_owned(),
            ..before.clone()
        };
        let after = Entry {
            name: name.to_owned(),
            ..before.clone()
        };
        let fault = file.edit(&before, &after).unwrap_err();
        assert!(fault.why.contains(told), "{fault}");
        assert_eq!(file.entries(), entries);
    }
}

#[test]
fn entries_that_are_written_inline_are_edited_too() {
    let (folder, mut file) = file(
        "[clusters]\na = { bootstrap = \"h:1\", settings = { \"client.id\" = \"me\" } }\nb.bootstrap = \"h:2\"\n",
    );
    for name in ["a", "b"] {
        let before = file.find(name).unwrap().clone();
        let mut after = before.clone();
        after.name = format!("{name}{name}");
        after.read_only = true;
        after.settings.insert("x".to_owned(), "y".to_owned());
        file.edit(&before, &after).unwrap();
        file.save().unwrap();
        let again = ClustersFile::load(&folder.path().join("config.toml")).unwrap();
        assert_eq!(again.get(&after.name), Some(&after));
        assert_eq!(again.entries(), file.entries());
    }
}

#[test]
fn the_learned_id_stays_as_long_as_the_addresses_do() {
    let (_folder, file) = file(COMMENTED);
    let before = file.find("prod").unwrap();
    let id = |change: &dyn Fn(&mut Entry), learn| {
        let mut after = before.clone();
        change(&mut after);
        after.in_place_of(before, learn).cluster_id
    };
    let abc = Some("abc".to_owned());
    assert_eq!(id(&|entry| entry.danger = Level::High, false), abc);
    assert_eq!(id(&|entry| entry.set_login(None), false), abc);
    assert_eq!(id(&|entry| entry.name = "x".to_owned(), true), None);
    assert_eq!(
        id(&|entry| entry.bootstrap = "k9:1".to_owned(), false),
        None
    );
    assert_eq!(id(&|entry| entry.properties = None, false), None);
    let mut tls = before.clone();
    assert!(tls.is_reached_as(before));
    tls.set_tls(false);
    assert!(!tls.is_reached_as(before));
}

#[test]
fn how_brokers_are_reached_is_changed_part_by_part() {
    let mut entry = Entry::default();
    let protocol = |entry: &Entry| entry.settings.get("security.protocol").cloned();
    let login = Login {
        mechanism: "PLAIN".to_owned(),
        username: "al\"ice".to_owned(),
        password: "env:PW".parse().unwrap(),
    };
    entry.set_login(Some(&login));
    assert_eq!(protocol(&entry).as_deref(), Some("SASL_PLAINTEXT"));
    entry.set_store(Store::Trusted, Some(std::path::Path::new("/ca.pem")));
    assert_eq!(protocol(&entry).as_deref(), Some("SASL_SSL"));
    let shown = ShownLogin {
        mechanism: "PLAIN".to_owned(),
        user: "al\"ice".to_owned(),
        password_from: Some("env:PW".to_owned()),
    };
    assert_eq!(entry.login(), Some(shown));
    assert_eq!(entry.store(Store::Trusted), Some("/ca.pem"));
    entry.set_login(None);
    assert_eq!(
        (protocol(&entry).as_deref(), entry.login()),
        (Some("SSL"), None)
    );
    entry.set_store(Store::Trusted, None);
    entry.set_tls(false);
    assert_eq!(entry, Entry::default());
    // A password that stands there itself is not read out.
    let (_folder, file) = file(FILE);
    let mut prod = file.find("prod").unwrap().clone();
    prod.settings
        .insert("sasl.mechanism".to_owned(), "PLAIN".to_owned());
    let shown = prod.login().unwrap();
    assert_eq!((&*shown.user, &shown.password_from), ("u", &None));
    assert_eq!(shown_login("me:${env:X}").as_deref(), Some("me:env:X"));
    assert_eq!(shown_login("me:sesame"), None);
    assert!(!login_reference("me:sesame").unwrap_err().contains("sesame"));
    assert_eq!(login_reference("me:file:/x").unwrap(), "me:${file:/x}");
}
