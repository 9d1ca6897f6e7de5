//! A node's configuration by key: what is set, what that means, and where each value comes from.
//!
//! Four layers, the strongest first: set for this broker, set for all brokers (both at run time, kept
//! in the metadata log), written in the file or on the command line, default. [`Layers`] holds them,
//! [`BrokerValues`] is what they amount to, and [`TopicValues`] what a topic makes of that.
//!
//! Invariant: a stronger layer that sets any of several keys for one thing (ms, minutes, hours)
//! displaces all of them in the weaker layers, whatever their precedence within a layer.
//!
//! Kafka: `DynamicBrokerConfig.scala`, `KafkaConfig.extractLogConfigMap` (4.3).

use std::{collections::BTreeMap, sync::Arc};

use kafka_shared::config::{ConfigDefault, ConfigError, ConfigValue, UpdateMode};

use super::{
    definition::{Key, Visibility},
    keys::{self, Table},
};

/// Keys with their values as text.
pub type Settings = BTreeMap<Arc<str>, Arc<str>>;

/// What is set for a broker, by layer.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The file and the command line, with unknown keys.
    pub fixed: Arc<Settings>,
    /// Set at run time for all brokers.
    pub cluster: Arc<Settings>,
    /// Set at run time for this broker.
    pub broker: Arc<Settings>,
}

impl Layers {
    /// Layers without anything that was set at run time.
    pub fn fixed(mut fixed: Settings) -> Self {
        // One of the two names of a node's number is enough.
        for (from, to) in [("node.id", "broker.id"), ("broker.id", "node.id")] {
            if let (Some(value), None) = (fixed.get(from).cloned(), fixed.get(to)) {
                fixed.insert(to.into(), value);
            }
        }
        Self {
            fixed: Arc::new(fixed),
            ..Self::default()
        }
    }

    /// The same file with other settings from run time; those that a broker would ignore (read-only
    /// keys, bad values, keys of one broker that are set for all) are left out.
    #[must_use]
    pub fn with_dynamic(&self, cluster: &Settings, broker: &Settings) -> Self {
        Self {
            fixed: Arc::clone(&self.fixed),
            cluster: Arc::new(applicable(cluster, false)),
            broker: Arc::new(applicable(broker, true)),
        }
    }

    /// All layers in one.
    fn merged(&self) -> Settings {
        let mut merged = (*self.fixed).clone();
        for layer in [&self.cluster, &self.broker] {
            for (name, value) in layer.iter() {
                for synonym in keys::broker_synonyms(name) {
                    merged.remove(*synonym);
                }
                merged.insert(Arc::clone(name), Arc::clone(value));
            }
        }
        merged
    }
}

fn applicable(settings: &Settings, is_for_one_broker: bool) -> Settings {
    settings
        .iter()
        .filter(|(name, value)| {
            let base = base_of_listener_key(name).unwrap_or(name);
            let Some(key) = keys::BROKER.get(base) else {
                return true;
            };
            key.parse_value(value).is_ok()
                && match key.update_mode {
                    UpdateMode::ReadOnly => base.len() < name.len(),
                    UpdateMode::PerBroker => is_for_one_broker,
                    UpdateMode::ClusterWide => true,
                }
        })
        .map(|(name, value)| (Arc::clone(name), Arc::clone(value)))
        .collect()
}

/// `ssl.keystore.location` of `listener.name.internal.ssl.keystore.location`.
pub fn base_of_listener_key(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("listener.name.")?;
    rest.split_once('.').map(|(_, base)| base)
}

/// Values of a table's keys; a key that is null has no value.
#[derive(Debug, Clone)]
struct Parsed(BTreeMap<&'static str, Option<ConfigValue>>);

impl Parsed {
    /// Parses every key of the table; `get` gives what is set.
    fn of<'a>(
        table: &Table,
        get: impl Fn(&Key) -> Option<&'a str>,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut values = BTreeMap::new();
        let mut errors = Vec::new();
        for (&name, key) in table {
            match (get(key), key.default) {
                (Some(text), _) => match key.parse_value(text) {
                    Ok(value) => {
                        values.insert(name, Some(value));
                    }
                    Err(error) => errors.push(error),
                },
                (None, ConfigDefault::Required) => errors.push(key.missing()),
                (None, _) => {
                    values.insert(name, key.default_value());
                }
            }
        }
        if errors.is_empty() {
            Ok(Self(values))
        } else {
            Err(errors)
        }
    }

    fn get(&self, name: &str) -> Option<&ConfigValue> {
        self.0.get(name).and_then(Option::as_ref)
    }
}

/// Typed access. The names are those of the tables, which the tests of each reader exercise.
macro_rules! typed_access {
    ($type:ty) => {
        impl $type {
            /// The value of a key; none when it is null.
            pub fn get(&self, name: &str) -> Option<&ConfigValue> {
                self.parsed.get(name)
            }

            /// An Int, Short or Long.
            ///
            /// # Panics
            /// When the key is not of such a type, or null.
            pub fn integer(&self, name: &str) -> i64 {
                self.integer_or_null(name)
                    .unwrap_or_else(|| panic!("configuration {name} has no integer value"))
            }

            pub fn integer_or_null(&self, name: &str) -> Option<i64> {
                self.get(name).and_then(ConfigValue::as_i64)
            }

            /// An Int; the table's type keeps it in range.
            ///
            /// # Panics
            /// When the key is not an Int, or null.
            pub fn int(&self, name: &str) -> i32 {
                i32::try_from(self.integer(name)).expect("an Int was parsed as one")
            }

            /// # Panics
            /// When the key is not a Boolean.
            pub fn boolean(&self, name: &str) -> bool {
                self.get(name)
                    .and_then(ConfigValue::as_bool)
                    .unwrap_or_else(|| panic!("configuration {name} has no boolean value"))
            }

            /// # Panics
            /// When the key is not a Double.
            pub fn double(&self, name: &str) -> f64 {
                self.get(name)
                    .and_then(ConfigValue::as_f64)
                    .unwrap_or_else(|| panic!("configuration {name} has no double value"))
            }

            /// A String or Class; none when it is null.
            pub fn text(&self, name: &str) -> Option<&str> {
                self.get(name).and_then(ConfigValue::as_str)
            }

            /// A List; empty when it is null.
            pub fn list(&self, name: &str) -> &[String] {
                self.get(name)
                    .and_then(ConfigValue::as_list)
                    .unwrap_or_default()
            }
        }
    };
}

/// A broker's configuration with all layers applied.
#[derive(Debug, Clone)]
pub struct BrokerValues {
    layers: Layers,
    parsed: Parsed,
    /// Everything that is set, unknown keys included.
    originals: Arc<Settings>,
}

typed_access!(BrokerValues);

impl BrokerValues {
    /// Applies the layers.
    ///
    /// # Errors
    /// One for every value that is missing or refused.
    pub fn new(layers: Layers) -> Result<Self, Vec<ConfigError>> {
        let originals = layers.merged();
        let parsed = Parsed::of(&keys::BROKER, |key| originals.get(key.name).map(|v| &**v))?;
        Ok(Self {
            layers,
            parsed,
            originals: Arc::new(originals),
        })
    }

    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Everything that is set in any layer, unknown keys included.
    pub fn originals(&self) -> &Settings {
        &self.originals
    }

    /// Whether the key is set in any layer.
    pub fn is_set(&self, name: &str) -> bool {
        self.originals.contains_key(name)
    }

    /// `log.roll.ms`, or `log.roll.hours` in its place.
    pub fn log_roll_ms(&self) -> i64 {
        self.integer_or_null("log.roll.ms")
            .unwrap_or_else(|| self.integer("log.roll.hours") * HOUR_MS)
    }

    /// `log.roll.jitter.ms`, or `log.roll.jitter.hours` in its place.
    pub fn log_roll_jitter_ms(&self) -> i64 {
        self.integer_or_null("log.roll.jitter.ms")
            .unwrap_or_else(|| self.integer("log.roll.jitter.hours") * HOUR_MS)
    }

    /// `log.retention.ms`, or `.minutes`, or `.hours` in its place; every negative value is -1.
    pub fn log_retention_ms(&self) -> i64 {
        self.integer_or_null("log.retention.ms")
            .or_else(|| {
                self.integer_or_null("log.retention.minutes")
                    .map(|m| m * MINUTE_MS)
            })
            .unwrap_or_else(|| self.integer("log.retention.hours") * HOUR_MS)
            .max(-1)
    }

    /// `log.flush.interval.ms`, or `log.flush.scheduler.interval.ms` in its place.
    pub fn log_flush_interval_ms(&self) -> i64 {
        self.integer_or_null("log.flush.interval.ms")
            .unwrap_or_else(|| self.integer("log.flush.scheduler.interval.ms"))
    }

    /// The value that a topic key has when the topic does not set it.
    pub fn topic_default(&self, topic_key: &str) -> Option<ConfigValue> {
        let derived = match topic_key {
            "segment.ms" => self.log_roll_ms(),
            "segment.jitter.ms" => self.log_roll_jitter_ms(),
            "retention.ms" => self.log_retention_ms(),
            "flush.ms" => self.log_flush_interval_ms(),
            _ => {
                return match keys::broker_synonym_of_topic_key(topic_key) {
                    Some(synonym) => self.get(synonym).cloned(),
                    None => keys::TOPIC.get(topic_key)?.default_value(),
                };
            }
        };
        Some(ConfigValue::Long(derived))
    }

    /// The value that a group key has when the group does not set it.
    pub fn group_default(&self, group_key: &str) -> Option<ConfigValue> {
        match keys::broker_synonym_of_group_key(group_key) {
            Some(synonym) => self.get(synonym).cloned(),
            None => keys::GROUP.get(group_key)?.default_value(),
        }
    }
}

const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A topic's configuration with all layers applied.
#[derive(Debug, Clone)]
pub struct TopicValues {
    parsed: Parsed,
}

typed_access!(TopicValues);

impl TopicValues {
    /// What the topic sets, over what the broker has.
    ///
    /// # Errors
    /// One for every value that is refused.
    pub fn new(broker: &BrokerValues, overrides: &Settings) -> Result<Self, Vec<ConfigError>> {
        let mut parsed = Parsed::of(&keys::TOPIC, |key| overrides.get(key.name).map(|v| &**v))?;
        for (name, value) in &mut parsed.0 {
            if !overrides.contains_key(*name) {
                *value = broker.topic_default(name);
            }
        }
        Ok(Self { parsed })
    }

    /// All public keys with their values, in the order of their names.
    pub fn public(&self) -> impl Iterator<Item = (&'static Key, Option<&ConfigValue>)> {
        keys::TOPIC
            .values()
            .filter(|key| key.visibility == Visibility::Public)
            .map(|key| (*key, self.get(key.name)))
    }
}

/// A group's configuration with all layers applied.
#[derive(Debug, Clone)]
pub struct GroupValues {
    parsed: Parsed,
}

typed_access!(GroupValues);

impl GroupValues {
    /// What the group sets, over what the broker has.
    ///
    /// # Errors
    /// One for every value that is refused.
    pub fn new(broker: &BrokerValues, overrides: &Settings) -> Result<Self, Vec<ConfigError>> {
        let mut parsed = Parsed::of(&keys::GROUP, |key| overrides.get(key.name).map(|v| &**v))?;
        for (name, value) in &mut parsed.0 {
            if !overrides.contains_key(*name) {
                *value = broker.group_default(name);
            }
        }
        Ok(Self { parsed })
    }
}
