//! Keys and values as DescribeConfigs shows them: the value in force, where it comes from, and what
//! stands behind it in the weaker layers (its synonyms).
//!
//! Everything is ordered by name. A sensitive value is never shown, and neither is that of a key
//! that nobody knows, because nobody knows what it is.
//!
//! Kafka: `ConfigHelper.scala` (4.3).

use std::collections::BTreeSet;

use kafka_shared::config::{ConfigError, ConfigKey, ConfigValue, UpdateMode};

use super::{
    definition::Visibility,
    keys,
    values::{BrokerValues, GroupValues, Settings, TopicValues, base_of_listener_key},
};

/// Where a value comes from; the numbers are those of DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigSource {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    ClientMetrics = 7,
    Group = 8,
}

/// A value of a weaker or equal layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    pub name: String,
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// One configuration of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub value: Option<String>,
    pub source: ConfigSource,
    pub is_sensitive: bool,
    pub is_read_only: bool,
    /// The strongest first.
    pub synonyms: Vec<Synonym>,
    /// As in DescribeConfigs; 0 for a key that is not known.
    pub config_type: i8,
    pub documentation: Option<&'static str>,
}

impl Entry {
    fn new(
        key: &ConfigKey,
        value: Option<&ConfigValue>,
        is_read_only: bool,
        synonyms: Vec<Synonym>,
    ) -> Self {
        let is_sensitive = key.is_sensitive();
        Self {
            name: key.name.to_owned(),
            value: value.filter(|_| !is_sensitive).map(ConfigValue::render),
            source: synonyms
                .first()
                .map_or(ConfigSource::Default, |first| first.source),
            is_sensitive,
            is_read_only,
            synonyms,
            config_type: key.config_type.id(),
            documentation: Some(key.doc),
        }
    }
}

/// The configuration of a topic that overrides this much.
///
/// # Errors
/// When an override does not parse.
pub fn topic(values: &BrokerValues, overrides: &Settings) -> Result<Vec<Entry>, ConfigError> {
    let topic = TopicValues::new(values, overrides).map_err(first)?;
    let entry = |(key, value): (&'static super::definition::Key, Option<&ConfigValue>)| {
        let mut synonyms = match keys::broker_synonym_of_topic_key(key.name) {
            Some(synonym) => broker_synonyms(values, synonym, key.is_sensitive()),
            None => Vec::new(),
        };
        if overrides.contains_key(key.name) {
            synonyms.insert(0, own_synonym(key, value, ConfigSource::Topic));
        }
        Entry::new(key, value, false, synonyms)
    };
    Ok(topic.public().map(entry).collect())
}

/// The configuration of a group that overrides this much.
///
/// # Errors
/// When an override does not parse.
pub fn group(values: &BrokerValues, overrides: &Settings) -> Result<Vec<Entry>, ConfigError> {
    let group = GroupValues::new(values, overrides).map_err(first)?;
    let entry = |key: &&'static super::definition::Key| {
        let value = group.get(key.name);
        let mut synonyms = match keys::broker_synonym_of_group_key(key.name) {
            Some(synonym) => broker_synonyms(values, synonym, key.is_sensitive()),
            None => {
                let default = key.default_value();
                vec![own_synonym(key, default.as_ref(), ConfigSource::Default)]
            }
        };
        if overrides.contains_key(key.name) {
            synonyms.insert(0, own_synonym(key, value, ConfigSource::Group));
        }
        Entry::new(key, value, false, synonyms)
    };
    Ok(keys::GROUP.values().map(entry).collect())
}

/// A subscription to client metrics that sets this much.
///
/// # Errors
/// When a value does not parse.
pub fn client_metrics(settings: &Settings) -> Result<Vec<Entry>, ConfigError> {
    keys::CLIENT_METRICS
        .values()
        .map(|key| {
            let set = settings
                .get(key.name)
                .map(|text| key.parse_value(text))
                .transpose()?;
            let synonyms = match &set {
                Some(value) => vec![own_synonym(key, Some(value), ConfigSource::ClientMetrics)],
                None => Vec::new(),
            };
            let value = set.or_else(|| key.default_value());
            Ok(Entry::new(key, value.as_ref(), false, synonyms))
        })
        .collect()
}

/// The configuration of this broker, with keys that are set and not known.
pub fn broker(values: &BrokerValues) -> Vec<Entry> {
    let known = keys::BROKER
        .values()
        .filter(|key| key.visibility == Visibility::Public);
    let mut names: BTreeSet<&str> = known.map(|key| key.name).collect();
    names.extend(values.originals().keys().map(|name| &**name));
    names
        .into_iter()
        .map(|name| broker_entry(values, name, false))
        .collect()
}

/// What is set at run time for all brokers.
pub fn cluster_default(values: &BrokerValues) -> Vec<Entry> {
    let names = values.layers().cluster.keys();
    names.map(|name| broker_entry(values, name, true)).collect()
}

fn broker_entry(values: &BrokerValues, name: &str, is_cluster_default: bool) -> Entry {
    let base = base_of_listener_key(name).unwrap_or(name);
    let Some(key) = keys::BROKER.get(base) else {
        return unknown_entry(values, name, is_cluster_default);
    };
    let set = |text: &std::sync::Arc<str>| key.parse_value(text).ok();
    let value = if is_cluster_default {
        values.layers().cluster.get(name).and_then(set)
    } else if base == name {
        values.get(name).cloned()
    } else {
        values.originals().get(name).and_then(set)
    };
    let mut synonyms = broker_synonyms(values, name, key.is_sensitive());
    if is_cluster_default {
        synonyms.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
    }
    let is_read_only = key.update_mode == UpdateMode::ReadOnly || base != name;
    Entry {
        name: name.to_owned(),
        ..Entry::new(key, value.as_ref(), is_read_only, synonyms)
    }
}

fn unknown_entry(values: &BrokerValues, name: &str, is_cluster_default: bool) -> Entry {
    let mut synonyms = broker_synonyms(values, name, true);
    if is_cluster_default {
        synonyms.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
    }
    Entry {
        name: name.to_owned(),
        value: None,
        source: synonyms
            .first()
            .map_or(ConfigSource::Default, |first| first.source),
        is_sensitive: true,
        is_read_only: true,
        synonyms,
        config_type: 0,
        documentation: None,
    }
}

fn own_synonym(key: &ConfigKey, value: Option<&ConfigValue>, source: ConfigSource) -> Synonym {
    let shown = value
        .filter(|_| !key.is_sensitive())
        .map(ConfigValue::render);
    Synonym {
        name: key.name.to_owned(),
        value: shown,
        source,
    }
}

/// All values behind a broker key, layer by layer; those of keys that yield to it follow it, and
/// without a value of its own it has none.
fn broker_synonyms(values: &BrokerValues, name: &str, is_sensitive: bool) -> Vec<Synonym> {
    let own = [name];
    let names: Vec<&str> = match (keys::broker_synonyms(name), base_of_listener_key(name)) {
        ([], Some(base)) => vec![name, base],
        ([], None) => own.to_vec(),
        (names, _) => names.to_vec(),
    };
    let mut synonyms = Vec::new();
    let mut add = |name: &str, value: String, source| {
        let value = (!is_sensitive).then_some(value);
        synonyms.push(Synonym {
            name: name.to_owned(),
            value,
            source,
        });
    };
    let layers = values.layers();
    for (layer, source) in [
        (&layers.broker, ConfigSource::DynamicBroker),
        (&layers.cluster, ConfigSource::DynamicDefaultBroker),
        (&layers.fixed, ConfigSource::StaticBroker),
    ] {
        for name in &names {
            if let Some(value) = layer.get(*name) {
                add(name, value.to_string(), source);
            }
        }
    }
    for name in &names {
        let key = keys::BROKER
            .get(name)
            .filter(|k| k.visibility != Visibility::DynamicOnly);
        if let Some(value) = key.and_then(|key| key.default_value()) {
            add(name, value.render(), ConfigSource::Default);
        }
    }
    let skip = synonyms
        .iter()
        .take_while(|synonym| synonym.name != name)
        .count();
    synonyms.split_off(skip)
}

fn first(mut errors: Vec<ConfigError>) -> ConfigError {
    errors.swap_remove(0)
}
