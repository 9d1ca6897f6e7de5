//! Tests of changes while a broker runs.

use super::*;
use crate::config::tests::{config, settings};

fn dynamic(pairs: &[(&str, &str)]) -> Arc<DynamicConfig> {
    DynamicConfig::new(config(pairs).unwrap())
}

#[test]
fn changes_of_brokers_are_judged_by_their_mode_and_against_the_file() {
    let dynamic = dynamic(&[]);
    let check = |pairs: &[(&str, &str)], one: bool| {
        let checked = dynamic.check_broker_change(&settings(pairs), one);
        checked.map_err(|error| {
            assert_eq!(error.code, ErrorCode::INVALID_REQUEST);
            error.message.unwrap()
        })
    };
    for (pairs, one, why) in [
        (
            &[("node.id", "2")][..],
            true,
            "Cannot update these configs dynamically: [node.id]",
        ),
        (
            &[("listeners", "PLAINTEXT://:1")],
            false,
            "Cannot update these configs at default cluster level, broker id must be specified: [listeners]",
        ),
        (
            &[("ssl.keystore.location", "/k")],
            true,
            "These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.location]",
        ),
        (
            &[("message.max.bytes", "x")],
            false,
            "Invalid value x for configuration message.max.bytes: Not a number of type INT",
        ),
        (
            &[("log.retention.ms", "0")],
            false,
            "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
        ),
    ] {
        assert_eq!(check(pairs, one).unwrap_err(), why, "{pairs:?}");
    }
    for pairs in [&[("message.max.bytes", "5")][..], &[("my.key", "x")], &[]] {
        assert_eq!(check(pairs, false), Ok(()));
        assert_eq!(check(pairs, true), Ok(()));
    }
}

#[test]
fn a_change_in_the_metadata_takes_effect_and_is_told() {
    let dynamic = dynamic(&[]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_by_listener = Arc::clone(&seen);
    dynamic.on_change(move |config| {
        seen_by_listener.lock().push(config.network.max_connections);
    });
    let mut image = MetadataImage::default();
    let mut publish = |resource: ConfigResource, name: &str, value: Option<&str>| {
        let base = Arc::new(image.clone());
        image.configs.set(&resource, name, value);
        let next = Arc::new(image.clone());
        dynamic.on_metadata_update(&MetadataDelta::between(&base, &next), &next);
        image.clone()
    };
    publish(
        ConfigResource::cluster_default(),
        "max.connections",
        Some("10"),
    );
    publish(ConfigResource::broker(1), "max.connections", Some("20"));
    publish(ConfigResource::broker(2), "max.connections", Some("30"));
    publish(ConfigResource::topic("t"), "retention.ms", Some("5"));
    publish(ConfigResource::broker(1), "max.connections", None);
    // What another version may have written is left out.
    publish(ConfigResource::broker(1), "max.connections", Some("-1"));
    publish(
        ConfigResource::cluster_default(),
        "log.retention.ms",
        Some("0"),
    );
    let image = publish(
        ConfigResource::cluster_default(),
        "message.max.bytes",
        Some("7"),
    );
    assert_eq!(*seen.lock(), [i32::MAX as usize, 10, 20, 10]);
    let topic = dynamic.topic_values(&image, "t");
    assert_eq!(topic.integer("retention.ms"), 5);
}

#[test]
fn the_controller_gets_kafkas_judgement_of_changes() {
    let dynamic = dynamic(&[]);
    let check = |kind, name: &str, pairs: &[(&str, &str)]| {
        let new: ConfigMap = settings(pairs);
        let resource = ConfigResource::new(kind, name);
        let checked = dynamic.validate(&resource, &new, &ConfigMap::new());
        checked.map_err(|error| (error.code, error.message.unwrap()))
    };
    let (topic, group) = (ResourceType::Topic, ResourceType::Group);
    for (kind, name, pairs, code, why) in [
        (
            topic,
            "",
            &[][..],
            ErrorCode::INVALID_REQUEST,
            "Default topic resources are not allowed.",
        ),
        (
            topic,
            "a b",
            &[],
            ErrorCode::INVALID_TOPIC_EXCEPTION,
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
        (
            topic,
            "t",
            &[("foo", "1")],
            ErrorCode::INVALID_CONFIG,
            "Unknown topic config name: foo",
        ),
        (
            topic,
            "t",
            &[("segment.bytes", "10")],
            ErrorCode::INVALID_CONFIG,
            "Invalid value 10 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            topic,
            "t",
            &[
                ("min.compaction.lag.ms", "10"),
                ("max.compaction.lag.ms", "5"),
            ],
            ErrorCode::INVALID_CONFIG,
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
        ),
        (
            topic,
            "t",
            &[("remote.storage.enable", "true")],
            ErrorCode::INVALID_CONFIG,
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
        ),
        (
            ResourceType::Broker,
            "x",
            &[],
            ErrorCode::INVALID_REQUEST,
            "Unable to parse broker name as a base 10 number.",
        ),
        (
            ResourceType::Broker,
            "-1",
            &[],
            ErrorCode::INVALID_REQUEST,
            "Invalid negative broker ID.",
        ),
        (
            group,
            "",
            &[],
            ErrorCode::INVALID_REQUEST,
            "Default group resources are not allowed.",
        ),
        (
            group,
            "g",
            &[("foo", "1")],
            ErrorCode::INVALID_CONFIG,
            "Unknown group config name: foo",
        ),
        (
            group,
            "g",
            &[("consumer.session.timeout.ms", "1000")],
            ErrorCode::INVALID_CONFIG,
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
        ),
        (
            group,
            "g",
            &[("streams.num.standby.replicas", "9")],
            ErrorCode::INVALID_CONFIG,
            "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas",
        ),
        (
            group,
            "g",
            &[("share.auto.offset.reset", "by_duration:P1X")],
            ErrorCode::INVALID_CONFIG,
            "Invalid value by_duration:P1X for configuration share.auto.offset.reset: must be `earliest`, `latest` or of the format `by_duration:PnDTnHnMn.nS`.",
        ),
        (
            ResourceType::ClientMetrics,
            "m",
            &[("interval.ms", "5")],
            ErrorCode::INVALID_REQUEST,
            "Invalid value 5 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
        ),
        (
            ResourceType::BrokerLogger,
            "1",
            &[],
            ErrorCode::INVALID_REQUEST,
            "Unknown resource type BROKER_LOGGER",
        ),
    ] {
        assert_eq!(
            check(kind, name, pairs),
            Err((code, why.to_owned())),
            "{name} {pairs:?}"
        );
    }
    for (kind, name, pairs) in [
        (
            topic,
            "t",
            &[("retention.ms", "-1"), ("cleanup.policy", "compact,delete")][..],
        ),
        (
            topic,
            "t",
            &[("leader.replication.throttled.replicas", "0:1,1:2")],
        ),
        (
            topic,
            "t",
            &[("leader.replication.throttled.replicas", "*")],
        ),
        (ResourceType::Broker, "", &[("message.max.bytes", "1")]),
        (ResourceType::Broker, "7", &[]),
        (
            group,
            "g",
            &[("share.auto.offset.reset", "by_duration:P1DT2H3M4.5S")],
        ),
        (ResourceType::ClientMetrics, "m", &[("interval.ms", "100")]),
    ] {
        assert_eq!(check(kind, name, pairs), Ok(()), "{name} {pairs:?}");
    }
    assert!(dynamic.is_list(topic, "cleanup.policy") && !dynamic.is_list(topic, "retention.ms"));
    assert_eq!(
        dynamic.default_value(topic, "retention.ms").as_deref(),
        Some("604800000")
    );
    let given = ConfigMap::from([("min.cleanable.dirty.ratio".into(), "0".into())]);
    let told = dynamic.describe_topic(&given, &MetadataImage::default());
    assert_eq!(told.len(), 33);
    let value = |name: &str| {
        let config = told.iter().find(|config| config.name == name);
        config.and_then(|config| config.value.as_deref())
    };
    assert_eq!(value("min.cleanable.dirty.ratio"), Some("0"), "as given");
    assert_eq!(value("retention.ms"), Some("604800000"));
}
