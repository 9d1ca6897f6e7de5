//! Tests of the configuration as a whole; what they expect was seen on Apache Kafka 4.3.1.

use std::path::PathBuf;

use kafka_shared::config::{ConfigDefault, ConfigType, UpdateMode};

use super::{
    definition::Visibility,
    describe::{self, ConfigSource},
    load::{LoadError, load},
    values::GroupValues,
    *,
};

/// What every node has to set.
const NODE: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("controller.quorum.voters", "1@localhost:9093"),
    (
        "listeners",
        "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
    ),
];

pub(super) fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

/// A node's settings with some of them replaced or added.
fn node(pairs: &[(&str, &str)]) -> Settings {
    let mut all = settings(NODE);
    all.extend(settings(pairs));
    all
}

fn values(pairs: &[(&str, &str)]) -> BrokerValues {
    BrokerValues::new(Layers::fixed(node(pairs))).unwrap()
}

pub(super) fn config(pairs: &[(&str, &str)]) -> Result<BrokerConfig, String> {
    let values = BrokerValues::new(Layers::fixed(node(pairs)));
    let config = values.and_then(|values| BrokerConfig::new(values.into()));
    config.map_err(|errors| {
        errors
            .iter()
            .map(|e| e.message.clone())
            .collect::<Vec<_>>()
            .join("; ")
    })
}

#[test]
fn the_tables_hold_as_many_keys_as_kafka_and_every_row_makes_sense() {
    let count = |table: &keys::Table, visibility| {
        table
            .values()
            .filter(|key| key.visibility == visibility)
            .count()
    };
    assert_eq!(count(&keys::BROKER, Visibility::Public), 340);
    assert_eq!(count(&keys::BROKER, Visibility::Internal), 20);
    assert_eq!(count(&keys::BROKER, Visibility::DynamicOnly), 3);
    assert_eq!(count(&keys::TOPIC, Visibility::Public), 33);
    assert_eq!(count(&keys::GROUP, Visibility::Public), 17);
    assert_eq!(count(&keys::CLIENT_METRICS, Visibility::Public), 3);
    let dynamic = |key: &&&definition::Key| key.update_mode != UpdateMode::ReadOnly;
    assert_eq!(keys::BROKER.values().filter(dynamic).count(), 102);
    for table in [
        &keys::BROKER,
        &keys::TOPIC,
        &keys::GROUP,
        &keys::CLIENT_METRICS,
    ] {
        for (name, key) in table.iter() {
            assert_eq!(*name, key.name);
            assert!(
                key.doc.ends_with('.') && !key.doc.contains('\n'),
                "{name}: {}",
                key.doc
            );
            if let ConfigDefault::Value(text) = key.default {
                let value = key
                    .default_value()
                    .unwrap_or_else(|| panic!("{name}: {text}"));
                assert_eq!(value.render(), text, "{name}");
                // Kafka's own two defaults that its validators would refuse.
                if !matches!(
                    *name,
                    "controller.quorum.voters" | "controller.quorum.bootstrap.servers"
                ) {
                    assert!(key.parse_value(text).is_ok(), "{name}: {text}");
                }
            }
        }
    }
    for name in keys::TOPIC.keys() {
        if let Some(synonym) = keys::broker_synonym_of_topic_key(name) {
            let (topic, broker) = (keys::TOPIC[name], keys::BROKER[synonym]);
            assert_eq!(topic.config_type, broker.config_type, "{name}");
        }
    }
    for name in keys::GROUP.keys() {
        if let Some(synonym) = keys::broker_synonym_of_group_key(name) {
            assert_eq!(
                keys::GROUP[name].config_type,
                keys::BROKER[synonym].config_type,
                "{name}"
            );
        }
    }
}

#[test]
fn bad_values_are_refused_in_kafkas_words() {
    for (name, value, why) in [
        (
            "num.partitions",
            "x",
            "Invalid value x for configuration num.partitions: Not a number of type INT",
        ),
        (
            "num.partitions",
            "0",
            "Invalid value 0 for configuration num.partitions: Value must be at least 1",
        ),
        (
            "num.partitions",
            "3000000000",
            "Invalid value 3000000000 for configuration num.partitions: Not a number of type INT",
        ),
        (
            "auto.create.topics.enable",
            "yes",
            "Invalid value yes for configuration auto.create.topics.enable: Expected value to be either true or false",
        ),
        (
            "compression.lz4.level",
            "18",
            "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17",
        ),
        (
            "compression.gzip.level",
            "0",
            "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        ),
        (
            "compression.type",
            "rar",
            "Invalid value rar for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        (
            "log.cleanup.policy",
            "keep",
            "Invalid value keep for configuration log.cleanup.policy: String must be one of: compact, delete",
        ),
        (
            "process.roles",
            "",
            "Configuration 'process.roles' must not be empty. Valid values include: [broker, controller]",
        ),
        (
            "log.dirs",
            "/a,,/b",
            "Configuration 'log.dirs' values must not be empty.",
        ),
        (
            "log.cleaner.min.cleanable.ratio",
            "1.5",
            "Invalid value 1.5 for configuration log.cleaner.min.cleanable.ratio: Value must be no more than 1",
        ),
        (
            "log.index.interval.bytes",
            "-1",
            "Invalid value -1 for configuration log.index.interval.bytes: Value must be at least 0",
        ),
    ] {
        let error = config(&[(name, value)]).unwrap_err();
        assert_eq!(error, why, "{name}={value}");
    }
    for (name, value) in [
        ("num.partitions", " 7 "),
        ("auto.create.topics.enable", "FALSE"),
        ("log.dirs", " /a , /b , /a "),
        ("group.consumer.migration.policy", "Upgrade"),
        ("log.cleanup.policy", "compact, delete"),
        ("log.cleanup.policy", ""),
    ] {
        assert!(config(&[(name, value)]).is_ok(), "{name}={value}");
    }
}

#[test]
fn what_does_not_go_together_is_refused_with_every_reason() {
    for (pairs, why) in [
        (
            &[("broker.id", "2")][..],
            "You must set `node.id` to the same value as `broker.id`.",
        ),
        (
            &[("controller.quorum.voters", "2@a:1")],
            "must be included in the set of voters",
        ),
        (
            &[("controller.quorum.voters", "")],
            "either controller.quorum.bootstrap.servers must contain",
        ),
        (
            &[("controller.quorum.voters", "1:a:1")],
            "each voter has the form id@host:port",
        ),
        (
            &[("log.retention.ms", "0")],
            "log.retention.ms must be unlimited (-1) or",
        ),
        (
            &[("queued.max.request.bytes", "10")],
            "queued.max.request.bytes must be larger or equal",
        ),
        (
            &[("max.connections.per.ip", "0")],
            "can be set to zero only if",
        ),
        (
            &[("max.connections.per.ip.overrides", "a")],
            "expected host:number",
        ),
        (
            &[(
                "authorizer.class.name",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            )],
            "cannot authorize",
        ),
        (
            &[("group.coordinator.rebalance.protocols", "consumer")],
            "Disabling the 'CLASSIC' protocol",
        ),
        (
            &[("log.cleaner.dedupe.buffer.size", "1000")],
            "at least 1MB per cleaner thread",
        ),
        (
            &[("replica.fetch.wait.max.ms", "40000")],
            "replica.socket.timeout.ms should always be at least",
        ),
        (
            &[("broker.id", "2"), ("log.retention.ms", "0")],
            "; log.retention.ms must be",
        ),
    ] {
        let error = config(pairs).unwrap_err();
        assert!(error.contains(why), "{pairs:?}: {error}");
    }
    let missing = BrokerValues::new(Layers::fixed(settings(&[]))).unwrap_err();
    let names: Vec<_> = missing.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(
        names,
        ["controller.listener.names", "node.id", "process.roles"]
    );
}

#[test]
fn the_typed_configuration_has_the_values_of_its_keys() {
    let config = config(&[
        ("log.dirs", "/a,/b"),
        ("offsets.retention.minutes", "2"),
        ("connections.max.idle.ms", "-1"),
        ("socket.send.buffer.bytes", "-1"),
        ("max.connections.per.ip.overrides", "127.0.0.1:3,[::1]:4"),
        ("queued.max.request.bytes", "209715200"),
        ("broker.rack", "r1"),
    ])
    .unwrap();
    assert_eq!(config.log_dirs, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!(config.metadata_log_dir, PathBuf::from("/a"));
    assert_eq!(config.offsets_retention_ms, 120_000);
    assert!(config.network.connections_max_idle.as_secs() > 1_000_000);
    assert_eq!(config.network.socket_send_buffer_bytes, None);
    assert_eq!(config.network.max_connections_per_ip_overrides.len(), 2);
    assert_eq!(config.network.queued_max_request_bytes, 200 * 1024 * 1024);
    assert_eq!(config.broker_rack.as_deref(), Some("r1"));
    assert_eq!(
        config.controller_quorum_voters[0].1.to_string(),
        "localhost:9093"
    );
    assert!(config.is_broker && config.is_controller);
}

#[test]
fn a_smaller_unit_has_precedence_within_a_layer() {
    for (pairs, retention_ms) in [
        (&[][..], 7 * 24 * 3_600_000),
        (&[("log.retention.hours", "1")], 3_600_000),
        (
            &[("log.retention.hours", "1"), ("log.retention.minutes", "2")],
            120_000,
        ),
        (
            &[("log.retention.minutes", "2"), ("log.retention.ms", "5")],
            5,
        ),
        (&[("log.retention.hours", "-1")], -1),
    ] {
        assert_eq!(values(pairs).log_retention_ms(), retention_ms, "{pairs:?}");
    }
    let rolled = values(&[("log.roll.hours", "2"), ("log.roll.jitter.hours", "1")]);
    assert_eq!(
        (rolled.log_roll_ms(), rolled.log_roll_jitter_ms()),
        (7_200_000, 3_600_000)
    );
    assert_eq!(
        values(&[("log.flush.scheduler.interval.ms", "9")]).log_flush_interval_ms(),
        9
    );
}

#[test]
fn stronger_layers_displace_every_unit_of_the_weaker_ones() {
    let fixed = Layers::fixed(node(&[("log.retention.ms", "1000"), ("log.roll.ms", "77")]));
    let cluster = settings(&[("log.retention.ms", "2000"), ("min.insync.replicas", "2")]);
    let broker = settings(&[("log.retention.ms", "3000")]);
    for (cluster, broker, retention_ms) in [
        (&settings(&[]), &settings(&[]), 1000),
        (&cluster, &settings(&[]), 2000),
        (&cluster, &broker, 3000),
        (&settings(&[]), &broker, 3000),
    ] {
        let values = BrokerValues::new(fixed.with_dynamic(cluster, broker)).unwrap();
        assert_eq!(values.log_retention_ms(), retention_ms);
        assert_eq!(values.log_roll_ms(), 77);
    }
}

#[test]
fn what_cannot_be_dynamic_is_left_out_of_the_dynamic_layers() {
    let layers = Layers::fixed(node(&[]));
    let set = settings(&[
        ("node.id", "9"),
        ("log.retention.ms", "nonsense"),
        ("listeners", "PLAINTEXT://:1"),
        ("message.max.bytes", "5"),
        ("listener.name.internal.ssl.keystore.type", "PEM"),
        ("unknown.key", "kept"),
    ]);
    let layers = layers.with_dynamic(&set, &set);
    let names = |layer: &Settings| {
        layer
            .keys()
            .map(|name| name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&layers.cluster), ["message.max.bytes", "unknown.key"]);
    assert_eq!(
        names(&layers.broker),
        [
            "listener.name.internal.ssl.keystore.type",
            "listeners",
            "message.max.bytes",
            "unknown.key"
        ]
    );
}

#[test]
fn topics_and_groups_inherit_from_the_broker_and_override_it() {
    let broker = values(&[
        ("log.retention.hours", "1"),
        ("message.max.bytes", "2000"),
        ("log.cleanup.policy", "compact"),
        ("group.consumer.session.timeout.ms", "50000"),
    ]);
    let topic = TopicValues::new(&broker, &settings(&[("segment.bytes", "2000000")])).unwrap();
    assert_eq!(topic.integer("retention.ms"), 3_600_000);
    assert_eq!(topic.int("max.message.bytes"), 2000);
    assert_eq!(topic.int("segment.bytes"), 2_000_000);
    assert_eq!(topic.list("cleanup.policy"), ["compact"]);
    assert!(!topic.boolean("remote.storage.enable"));
    assert!((topic.double("min.cleanable.dirty.ratio") - 0.5).abs() < f64::EPSILON);
    assert!(TopicValues::new(&broker, &settings(&[("segment.bytes", "1")])).is_err());
    let group = GroupValues::new(&broker, &settings(&[])).unwrap();
    assert_eq!(group.int("consumer.session.timeout.ms"), 50_000);
    assert_eq!(
        group.text("share.isolation.level"),
        Some("read_uncommitted")
    );
}

#[test]
fn a_file_and_assignments_come_together_with_warnings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.properties");
    std::fs::write(
        &path,
        "# comment\nnode.id = 7\nlog.dirs=/a,\\\n   /b\nnum.patritions=3\nnum.io.threads=8\n\
         zookeeper.connect=x\nlistener.name.internal.ssl.keystore.location=/k\n\
         rsm.config.bucket=b\nnum.partitions=4\n",
    )
    .unwrap();
    let assignments = [
        "num.partitions=5".to_owned(),
        "quota.window.num = 3".to_owned(),
    ];
    let defaults = [
        ("node.id", "1".to_owned()),
        ("process.roles", "broker".to_owned()),
    ];
    let loaded = load(Some(&path), &assignments, &defaults).unwrap();
    let get = |name: &str| {
        loaded
            .settings
            .get(name)
            .map(|v| v.to_string())
            .unwrap_or_default()
    };
    assert_eq!(get("node.id"), "7");
    assert_eq!(get("log.dirs"), "/a,/b");
    assert_eq!(get("num.partitions"), "5");
    assert_eq!(get("process.roles"), "broker");
    assert_eq!(get("zookeeper.connect"), "x");
    assert_eq!(
        loaded.warnings,
        [
            "listener.name.internal.ssl.keystore.location has no effect here",
            "num.io.threads has no effect here",
            "unknown configuration key num.patritions; did you mean num.partitions?",
            "quota.window.num has no effect here",
            "rsm.config.bucket has no effect here",
            "unknown configuration key zookeeper.connect",
        ]
    );
}

#[test]
fn what_cannot_be_loaded_says_why() {
    let nothing: &[(&str, String)] = &[];
    let error = load(Some("/does/not/exist".as_ref()), &[], nothing).unwrap_err();
    assert!(matches!(error, LoadError::Read { .. }), "{error}");
    let error = load(None, &["no assignment".to_owned()], nothing).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"no assignment\" is not of the form key=value"
    );
}

fn synonyms(entry: &describe::Entry) -> String {
    let one = |s: &describe::Synonym| {
        format!(
            "{:?}:{}={}",
            s.source,
            s.name,
            s.value.as_deref().unwrap_or("null")
        )
    };
    entry.synonyms.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn find<'a>(entries: &'a [describe::Entry], name: &str) -> &'a describe::Entry {
    entries.iter().find(|entry| entry.name == name).unwrap()
}

#[test]
fn topics_are_described_with_the_layers_behind_each_value() {
    let layers = Layers::fixed(node(&[
        ("log.roll.hours", "2"),
        ("log.retention.ms", "9000"),
    ]))
    .with_dynamic(&settings(&[("min.insync.replicas", "1")]), &settings(&[]));
    let values = BrokerValues::new(layers).unwrap();
    let entries = describe::topic(&values, &settings(&[("retention.ms", "1234567")])).unwrap();
    assert_eq!(entries.len(), 33);
    for (name, value, source, behind) in [
        (
            "cleanup.policy",
            "delete",
            ConfigSource::Default,
            "Default:log.cleanup.policy=delete",
        ),
        (
            "retention.ms",
            "1234567",
            ConfigSource::Topic,
            "Topic:retention.ms=1234567 StaticBroker:log.retention.ms=9000 Default:log.retention.hours=168",
        ),
        ("segment.ms", "7200000", ConfigSource::Default, ""),
        ("flush.ms", "9223372036854775807", ConfigSource::Default, ""),
        (
            "min.insync.replicas",
            "1",
            ConfigSource::DynamicDefaultBroker,
            "DynamicDefaultBroker:min.insync.replicas=1 Default:min.insync.replicas=1",
        ),
        ("remote.storage.enable", "false", ConfigSource::Default, ""),
    ] {
        let entry = find(&entries, name);
        assert_eq!(entry.value.as_deref(), Some(value), "{name}");
        assert_eq!(
            (entry.source, synonyms(entry)),
            (source, behind.to_owned()),
            "{name}"
        );
        assert!(!entry.is_read_only && !entry.is_sensitive);
    }
}

#[test]
fn brokers_are_described_with_unknown_keys_and_without_secrets() {
    let values = values(&[
        ("ssl.key.password", "hunter2"),
        ("my.own.key", "hunter2"),
        ("log.retention.hours", "3"),
        ("internal.metadata.log.segment.bytes", "8388608"),
    ]);
    let entries = describe::broker(&values);
    assert_eq!(entries.len(), 342);
    for entry in &entries {
        assert!(!format!("{entry:?}").contains("hunter2"), "{}", entry.name);
    }
    let password = find(&entries, "ssl.key.password");
    assert!(password.is_sensitive && password.value.is_none() && !password.is_read_only);
    let unknown = find(&entries, "my.own.key");
    assert_eq!((unknown.config_type, unknown.value.is_none()), (0, true));
    let hours = find(&entries, "log.retention.hours");
    assert_eq!(hours.value.as_deref(), Some("3"));
    assert!(hours.is_read_only);
    assert_eq!(
        synonyms(hours),
        "StaticBroker:log.retention.hours=3 Default:log.retention.hours=168"
    );
    let id = find(&entries, "broker.id");
    assert_eq!(
        synonyms(id),
        "StaticBroker:broker.id=1 Default:broker.id=-1"
    );
    assert_eq!(find(&entries, "node.id").config_type, ConfigType::Int.id());
    assert!(describe::cluster_default(&values).is_empty());
}

#[test]
fn groups_and_client_metrics_are_described_from_their_own_tables() {
    let broker = values(&[]);
    let set = settings(&[("consumer.session.timeout.ms", "46000")]);
    let entries = describe::group(&broker, &set).unwrap();
    assert_eq!(entries.len(), 17);
    assert_eq!(
        synonyms(find(&entries, "consumer.session.timeout.ms")),
        "Group:consumer.session.timeout.ms=46000 Default:group.consumer.session.timeout.ms=45000"
    );
    assert_eq!(
        synonyms(find(&entries, "share.auto.offset.reset")),
        "Default:share.auto.offset.reset=latest"
    );
    let entries = describe::client_metrics(&settings(&[("metrics", "a,b")])).unwrap();
    assert_eq!(
        synonyms(find(&entries, "metrics")),
        "ClientMetrics:metrics=a,b"
    );
    assert_eq!(
        find(&entries, "interval.ms").value.as_deref(),
        Some("300000")
    );
}

#[test]
fn the_file_that_comes_with_apache_kafka_is_taken_and_what_does_nothing_is_named() {
    let file = std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/it/server.properties"
    ));
    let loaded = load(Some(file), &[], &[]).unwrap();
    let no_effect: Vec<_> = (loaded.warnings.iter())
        .map(|warning| warning.strip_suffix(" has no effect here").unwrap())
        .collect();
    assert_eq!(
        no_effect,
        [
            "num.io.threads",
            "num.network.threads",
            "share.coordinator.state.topic.min.isr",
            "share.coordinator.state.topic.replication.factor",
            "transaction.state.log.min.isr",
            "transaction.state.log.replication.factor",
        ]
    );
    let values = BrokerValues::new(Layers::fixed(loaded.settings)).unwrap();
    let config = BrokerConfig::new(values.into()).unwrap();
    let bound: Vec<_> = (config.listeners.bound.iter())
        .map(|l| (l.name.as_str(), l.port))
        .collect();
    assert_eq!(bound, [("PLAINTEXT", 9092), ("CONTROLLER", 9093)]);
    let advertised = &config.listeners.advertised;
    assert_eq!(advertised.len(), 1);
    assert_eq!(
        (&*advertised[0].host, advertised[0].port),
        ("localhost", 9092)
    );
    assert_eq!(config.log_dirs, [PathBuf::from("/tmp/kraft-combined-logs")]);
    assert_eq!(config.values.integer("log.retention.bytes"), 1 << 30);
}

#[test]
fn keys_of_kafkas_authorizer_are_known_though_nobody_reads_them() {
    for name in ["super.users", "allow.everyone.if.no.acl.found"] {
        let warnings = load::warnings(&settings(&[(name, "User:a")]));
        assert_eq!(warnings, [format!("{name} has no effect here")]);
    }
}
