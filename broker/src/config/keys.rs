//! Every configuration key of Apache Kafka 4.3.1, one row each: the only place that knows them.
//!
//! Columns: name, type, default (`null`, `required` or a value), which values it takes, importance,
//! how it changes at run time, where it is visible, whether it has an effect here, and what it is.
//! Parsing, DescribeConfigs, validation of changes and `kafka-broker config` all read these rows.
//!
//! Kafka: `AbstractKafkaConfig.CONFIG_DEF`, `LogConfig`, `GroupConfig`, `ClientMetricsConfigs`,
//! `DynamicBrokerConfig` (4.3.1).

use std::{collections::BTreeMap, sync::LazyLock};

use super::definition::Key;

/// Turns rows into a slice of [`Key`]s.
macro_rules! keys {
    ($list:ident: $(
        $name:literal $kind:ident $default:tt $validator:tt $importance:ident $mode:ident
        $visibility:ident $effect:ident $doc:literal;
    )*) => {
        pub(super) const $list: &[$crate::config::definition::Key] = &[$(
            $crate::config::definition::Key {
                key: kafka_shared::config::ConfigKey {
                    name: $name,
                    config_type: kafka_shared::config::ConfigType::$kind,
                    default: keys!(@default $default),
                    validator: keys!(@validator $validator),
                    importance: kafka_shared::config::Importance::$importance,
                    update_mode: kafka_shared::config::UpdateMode::$mode,
                    doc: $doc,
                },
                visibility: keys!(@visibility $visibility),
                is_honoured: keys!(@effect $effect),
            },
        )*];
    };
    (@default null) => { kafka_shared::config::ConfigDefault::Null };
    (@default required) => { kafka_shared::config::ConfigDefault::Required };
    (@default $value:literal) => { kafka_shared::config::ConfigDefault::Value($value) };
    (@visibility public) => { $crate::config::definition::Visibility::Public };
    (@visibility internal) => { $crate::config::definition::Visibility::Internal };
    (@visibility dynamic_only) => { $crate::config::definition::Visibility::DynamicOnly };
    (@effect honoured) => { true };
    (@effect ignored) => { false };
    (@validator any) => { kafka_shared::config::Validator::Any };
    (@validator non_empty) => { kafka_shared::config::Validator::NonEmpty };
    (@validator (custom $check:ident)) => {
        kafka_shared::config::Validator::Custom($crate::config::definition::$check)
    };
    (@validator [$min:literal ..]) => { kafka_shared::config::Validator::AtLeast($min) };
    (@validator [$min:literal .. $max:literal]) => {
        kafka_shared::config::Validator::Between($min, $max)
    };
    (@validator (between_doubles $min:literal $max:literal)) => {
        kafka_shared::config::Validator::BetweenDoubles($min, $max)
    };
    (@validator (one_of [$($valid:literal),*])) => {
        kafka_shared::config::Validator::OneOf(&[$($valid),*])
    };
    (@validator (one_of_ignore_case [$($valid:literal),*])) => {
        kafka_shared::config::Validator::OneOfIgnoringCase(&[$($valid),*])
    };
    (@validator (list [])) => {
        kafka_shared::config::Validator::UniqueList { non_empty: true }
    };
    (@validator (list empty [])) => {
        kafka_shared::config::Validator::UniqueList { non_empty: false }
    };
    (@validator (list [$($valid:literal),*])) => {
        kafka_shared::config::Validator::NonEmptyListOf(&[$($valid),*])
    };
    (@validator (list empty [$($valid:literal),*])) => {
        kafka_shared::config::Validator::ListOf(&[$($valid),*])
    };
}

mod client_metrics;
mod group;
mod groups;
mod listeners;
mod logs;
mod quorum;
mod remote;
mod replication;
mod security;
mod topic;

/// A table of keys by name.
pub type Table = BTreeMap<&'static str, &'static Key>;

fn table(parts: &[&'static [Key]]) -> Table {
    parts
        .iter()
        .flat_map(|part| part.iter())
        .map(|key| (key.name, key))
        .collect()
}

/// Keys of brokers and controllers.
pub static BROKER: LazyLock<Table> = LazyLock::new(|| {
    table(&[
        quorum::KEYS,
        listeners::KEYS,
        security::KEYS,
        remote::KEYS,
        groups::KEYS,
        logs::KEYS,
        replication::KEYS,
    ])
});

/// Keys of topics.
pub static TOPIC: LazyLock<Table> = LazyLock::new(|| table(&[topic::KEYS]));

/// Keys of groups.
pub static GROUP: LazyLock<Table> = LazyLock::new(|| table(&[group::KEYS]));

/// Keys of client metrics subscriptions.
pub static CLIENT_METRICS: LazyLock<Table> = LazyLock::new(|| table(&[client_metrics::KEYS]));

/// The broker key of which a topic key is the override; the unit of both is the same.
///
/// Where several broker keys stand behind a topic key (ms, minutes and hours), it is the first.
pub fn broker_synonym_of_topic_key(topic_key: &str) -> Option<&'static str> {
    let name = match topic_key {
        "segment.ms" => "log.roll.ms",
        "segment.jitter.ms" => "log.roll.jitter.ms",
        "segment.index.bytes" => "log.index.size.max.bytes",
        "flush.messages" => "log.flush.interval.messages",
        "flush.ms" => "log.flush.interval.ms",
        "max.message.bytes" => "message.max.bytes",
        "delete.retention.ms" => "log.cleaner.delete.retention.ms",
        "min.compaction.lag.ms" => "log.cleaner.min.compaction.lag.ms",
        "max.compaction.lag.ms" => "log.cleaner.max.compaction.lag.ms",
        "file.delete.delay.ms" => "log.segment.delete.delay.ms",
        "min.cleanable.dirty.ratio" => "log.cleaner.min.cleanable.ratio",
        "segment.bytes" => "log.segment.bytes",
        "retention.bytes" => "log.retention.bytes",
        "retention.ms" => "log.retention.ms",
        "index.interval.bytes" => "log.index.interval.bytes",
        "cleanup.policy" => "log.cleanup.policy",
        "preallocate" => "log.preallocate",
        "message.timestamp.type" => "log.message.timestamp.type",
        "message.timestamp.before.max.ms" => "log.message.timestamp.before.max.ms",
        "message.timestamp.after.max.ms" => "log.message.timestamp.after.max.ms",
        "local.retention.ms" => "log.local.retention.ms",
        "local.retention.bytes" => "log.local.retention.bytes",
        "unclean.leader.election.enable" => "unclean.leader.election.enable",
        "min.insync.replicas" => "min.insync.replicas",
        "compression.type" => "compression.type",
        "compression.gzip.level" => "compression.gzip.level",
        "compression.lz4.level" => "compression.lz4.level",
        "compression.zstd.level" => "compression.zstd.level",
        _ => return None,
    };
    Some(name)
}

/// The broker key that is the default of a group key.
pub fn broker_synonym_of_group_key(group_key: &str) -> Option<&'static str> {
    let name = match group_key {
        "consumer.assignment.interval.ms" => "group.consumer.assignment.interval.ms",
        "consumer.heartbeat.interval.ms" => "group.consumer.heartbeat.interval.ms",
        "consumer.session.timeout.ms" => "group.consumer.session.timeout.ms",
        "share.assignment.interval.ms" => "group.share.assignment.interval.ms",
        "share.delivery.count.limit" => "group.share.delivery.count.limit",
        "share.heartbeat.interval.ms" => "group.share.heartbeat.interval.ms",
        "share.partition.max.record.locks" => "group.share.partition.max.record.locks",
        "share.record.lock.duration.ms" => "group.share.record.lock.duration.ms",
        "share.session.timeout.ms" => "group.share.session.timeout.ms",
        "streams.assignment.interval.ms" => "group.streams.assignment.interval.ms",
        "streams.heartbeat.interval.ms" => "group.streams.heartbeat.interval.ms",
        "streams.initial.rebalance.delay.ms" => "group.streams.initial.rebalance.delay.ms",
        "streams.num.standby.replicas" => "group.streams.num.standby.replicas",
        "streams.session.timeout.ms" => "group.streams.session.timeout.ms",
        _ => return None,
    };
    Some(name)
}

/// A broker key with those that it takes precedence over or yields to, the strongest first.
pub fn broker_synonyms(name: &str) -> &'static [&'static str] {
    match name {
        "log.roll.ms" | "log.roll.hours" => &["log.roll.ms", "log.roll.hours"],
        "log.roll.jitter.ms" | "log.roll.jitter.hours" => {
            &["log.roll.jitter.ms", "log.roll.jitter.hours"]
        }
        "log.flush.interval.ms" => &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" => &[
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
        ],
        _ => BROKER
            .get(name)
            .map_or(&[], |key| std::slice::from_ref(&key.key.name)),
    }
}
