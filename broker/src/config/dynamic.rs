//! The configuration in force: the file's, with what the metadata log says on top.
//!
//! [`DynamicConfig`] is told of every metadata image; when something of the brokers' configuration
//! changed, it builds a new [`BrokerConfig`], which readers take without waiting. It also judges
//! changes before they are made: for brokers in [`DynamicConfig::check_broker_change`], for topics,
//! groups and client metrics as the controller's [`ConfigValidator`].
//!
//! Invariant: what is in force is always a valid whole. A change in the log that cannot be applied
//! (written by another version, say) is logged and left out.
//!
//! Kafka: `DynamicBrokerConfig.java`, `ControllerConfigurationValidator.scala`, `GroupConfig.java` (4.3).

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use kafka_shared::{
    config::{ConfigError, ConfigType, ConfigValue, UpdateMode},
    error::{ApiError, ErrorCode},
};
use parking_lot::Mutex;
use tracing::{error, info};

use super::{
    BrokerConfig, describe,
    keys::{self, Table},
    values::{BrokerValues, GroupValues, Layers, Settings, TopicValues, base_of_listener_key},
};
use crate::{
    controller::config::{ConfigValidator, EffectiveConfig},
    metadata::{
        ConfigResource, MetadataDelta, MetadataImage, MetadataPublisher, ResourceType,
        configs::ConfigMap,
    },
};

mod client_metrics;

#[cfg(test)]
mod tests;

/// Shared access to the configuration in force.
pub struct DynamicConfig {
    current: ArcSwap<BrokerConfig>,
    listeners: Mutex<Vec<Listener>>,
}

/// Is told of every new configuration.
type Listener = Box<dyn Fn(&BrokerConfig) + Send>;

impl fmt::Debug for DynamicConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicConfig")
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}

impl DynamicConfig {
    /// Begins with the file's configuration alone.
    pub fn new(config: BrokerConfig) -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::from_pointee(config),
            listeners: Mutex::default(),
        })
    }

    /// The configuration in force.
    pub fn current(&self) -> Arc<BrokerConfig> {
        self.current.load_full()
    }

    /// Calls `listener` with the configuration in force, and with every later one.
    pub fn on_change(&self, listener: impl Fn(&BrokerConfig) + Send + 'static) {
        let mut listeners = self.listeners.lock();
        listener(&self.current());
        listeners.push(Box::new(listener));
    }

    /// A topic's configuration in force.
    ///
    /// Values in the log that do not parse are left out, so that one of them does not take the
    /// topic away.
    pub fn topic_values(&self, image: &MetadataImage, topic: &str) -> TopicValues {
        let overrides = image.configs.of_topic(topic);
        let values = &self.current.load().values;
        TopicValues::new(values, &overrides).unwrap_or_else(|errors| {
            for error in errors {
                error!(topic, "ignoring a configuration of the topic: {error}");
            }
            let fine = parsable(&keys::TOPIC, &overrides);
            TopicValues::new(values, &fine).expect("only values that parse are left")
        })
    }

    /// Checks what would be set for this broker, or for all brokers, after a change.
    ///
    /// # Errors
    /// INVALID_REQUEST with Kafka's message.
    pub fn check_broker_change(
        &self,
        settings: &Settings,
        is_for_one_broker: bool,
    ) -> Result<(), ApiError> {
        self.try_broker_change(settings, is_for_one_broker)
            .map_err(|error| ApiError::new(ErrorCode::INVALID_REQUEST, error.message))
    }

    fn try_broker_change(
        &self,
        settings: &Settings,
        is_for_one_broker: bool,
    ) -> Result<(), ConfigError> {
        let refuse_if_any = |names: Vec<&str>, why: &str| match names.as_slice() {
            [] => Ok(()),
            names => Err(ConfigError::new(
                "",
                format!("{why}: [{}]", names.join(", ")),
            )),
        };
        let with_mode = |mode: UpdateMode| {
            let has_mode = |name: &&Arc<str>| {
                keys::BROKER
                    .get(&***name)
                    .is_some_and(|key| key.update_mode == mode)
            };
            settings
                .keys()
                .filter(has_mode)
                .map(|name| &**name)
                .collect::<Vec<_>>()
        };
        refuse_if_any(
            with_mode(UpdateMode::ReadOnly),
            "Cannot update these configs dynamically",
        )?;
        refuse_if_any(
            settings
                .keys()
                .map(|name| &**name)
                .filter(|name| is_key_store(name))
                .collect(),
            "These security configs can be dynamically updated only per-listener using the \
             listener prefix",
        )?;
        for (name, value) in settings {
            let base = base_of_listener_key(name).unwrap_or(name);
            if let Some(key) = keys::BROKER.get(base) {
                key.parse_value(value)?;
            }
        }
        if !is_for_one_broker {
            let mut names = with_mode(UpdateMode::PerBroker);
            names.extend(
                settings
                    .keys()
                    .map(|n| &**n)
                    .filter(|n| n.starts_with("listener.name.")),
            );
            refuse_if_any(
                names,
                "Cannot update these configs at default cluster level, broker id must be specified",
            )?;
        }
        let current = self.current();
        let layers = current.values.layers();
        let (cluster, broker) = if is_for_one_broker {
            (&*layers.cluster, settings)
        } else {
            (settings, &*layers.broker)
        };
        self.build(&layers.with_dynamic(cluster, broker)).map(drop)
    }

    fn build(&self, layers: &Layers) -> Result<BrokerConfig, ConfigError> {
        BrokerValues::new(layers.clone())
            .and_then(|values| BrokerConfig::new(Arc::new(values)))
            .map_err(|mut errors| errors.swap_remove(0))
    }

    fn apply(&self, image: &MetadataImage) {
        let current = self.current();
        let cluster = image.configs.of(&ConfigResource::cluster_default());
        let broker = image.configs.of(&ConfigResource::broker(current.node_id));
        let layers = current.values.layers().with_dynamic(&cluster, &broker);
        match self.build(&layers) {
            Ok(config) => {
                info!(cluster = ?layers.cluster.keys(), broker = ?layers.broker.keys(),
                    "the brokers' configuration changed");
                let config = Arc::new(config);
                self.current.store(Arc::clone(&config));
                for listener in self.listeners.lock().iter() {
                    listener(&config);
                }
            }
            Err(error) => error!("cannot apply the brokers' new configuration: {error}"),
        }
    }
}

impl MetadataPublisher for DynamicConfig {
    fn name(&self) -> &'static str {
        "dynamic configuration"
    }

    fn on_metadata_update(&self, _delta: &MetadataDelta, image: &Arc<MetadataImage>) {
        let current = self.current();
        let layers = current.values.layers();
        let cluster = image.configs.of(&ConfigResource::cluster_default());
        let broker = image.configs.of(&ConfigResource::broker(current.node_id));
        let next = layers.with_dynamic(&cluster, &broker);
        if next.cluster != layers.cluster || next.broker != layers.broker {
            self.apply(image);
        }
    }
}

/// Keys of key and trust stores, which Kafka changes only for one listener at a time.
fn is_key_store(name: &str) -> bool {
    name == "ssl.key.password"
        || name.starts_with("ssl.keystore.")
        || name.starts_with("ssl.truststore.")
}

fn parsable(table: &Table, settings: &Settings) -> Settings {
    let is_fine = |(name, value): &(&Arc<str>, &Arc<str>)| {
        table
            .get(&***name)
            .is_none_or(|key| key.parse_value(value).is_ok())
    };
    settings
        .iter()
        .filter(is_fine)
        .map(|(name, value)| (Arc::clone(name), Arc::clone(value)))
        .collect()
}

fn table_of(resource_type: ResourceType) -> Option<&'static Table> {
    match resource_type {
        ResourceType::Topic => Some(&keys::TOPIC),
        ResourceType::Broker => Some(&keys::BROKER),
        ResourceType::Group => Some(&keys::GROUP),
        ResourceType::ClientMetrics => Some(&keys::CLIENT_METRICS),
        ResourceType::BrokerLogger => None,
    }
}

impl ConfigValidator for DynamicConfig {
    fn validate(
        &self,
        resource: &ConfigResource,
        new: &ConfigMap,
        existing: &ConfigMap,
    ) -> Result<(), ApiError> {
        let values = &self.current.load().values;
        match resource.resource_type {
            ResourceType::Topic => {
                check_topic_name(&resource.name)?;
                check_topic(values, new, existing)
            }
            ResourceType::Broker => check_broker_name(&resource.name),
            ResourceType::ClientMetrics => client_metrics::check(&resource.name, new),
            ResourceType::Group if resource.name.is_empty() => Err(ApiError::new(
                ErrorCode::INVALID_REQUEST,
                "Default group resources are not allowed.",
            )),
            ResourceType::Group => check_group(values, new),
            ResourceType::BrokerLogger => Err(ApiError::new(
                ErrorCode::INVALID_REQUEST,
                "Unknown resource type BROKER_LOGGER",
            )),
        }
    }

    fn is_list(&self, resource_type: ResourceType, key: &str) -> bool {
        table_of(resource_type)
            .and_then(|table| table.get(key))
            .is_some_and(|key| key.config_type == ConfigType::List)
    }

    fn default_value(&self, resource_type: ResourceType, key: &str) -> Option<String> {
        let values = &self.current.load().values;
        let value = match resource_type {
            ResourceType::Topic => values.topic_default(key),
            ResourceType::Group => values.group_default(key),
            _ => table_of(resource_type)?.get(key)?.default_value(),
        };
        value.map(|value| value.render())
    }

    fn describe_topic(
        &self,
        overrides: &ConfigMap,
        _image: &MetadataImage,
    ) -> Vec<EffectiveConfig> {
        let values = &self.current.load().values;
        describe::topic(values, overrides)
            .unwrap_or_default()
            .into_iter()
            .map(|entry| EffectiveConfig {
                // As it was given: "0" stays "0" where 0.0 is meant.
                value: overrides
                    .get(entry.name.as_str())
                    .map(ToString::to_string)
                    .or(entry.value),
                name: entry.name,
                is_read_only: entry.is_read_only,
                config_source: entry.source as i8,
                is_sensitive: entry.is_sensitive,
            })
            .collect()
    }

    fn effective_topic_value(
        &self,
        topic: &str,
        key: &str,
        image: &MetadataImage,
    ) -> Option<String> {
        self.topic_values(image, topic)
            .get(key)
            .map(ConfigValue::render)
    }
}

fn invalid_config(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::INVALID_CONFIG, message)
}

fn check_topic_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        let why = "Default topic resources are not allowed.";
        return Err(ApiError::new(ErrorCode::INVALID_REQUEST, why));
    }
    crate::metadata::topic_name::validate(name)
        .map_err(|why| ApiError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, why))
}

fn check_broker_name(name: &str) -> Result<(), ApiError> {
    let refuse = |why: &str| Err(ApiError::new(ErrorCode::INVALID_REQUEST, why));
    match name.parse::<i32>() {
        _ if name.is_empty() => Ok(()),
        Ok(id) if id < 0 => refuse("Invalid negative broker ID."),
        Ok(_) => Ok(()),
        Err(_) => refuse("Unable to parse broker name as a base 10 number."),
    }
}

fn check_names(table: &Table, settings: &ConfigMap, kind: &str) -> Result<(), ApiError> {
    match settings.keys().find(|name| !table.contains_key(&***name)) {
        Some(name) => Err(invalid_config(format!(
            "Unknown {kind} config name: {name}"
        ))),
        None => Ok(()),
    }
}

fn check_topic(
    values: &BrokerValues,
    new: &ConfigMap,
    existing: &ConfigMap,
) -> Result<(), ApiError> {
    check_names(&keys::TOPIC, new, "topic")?;
    let first = |mut errors: Vec<ConfigError>| invalid_config(errors.swap_remove(0).message);
    let topic = TopicValues::new(values, new).map_err(first)?;
    let (min, max) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
    let (min_ms, max_ms) = (topic.integer(min), topic.integer(max));
    if min_ms > max_ms {
        return Err(invalid_config(format!(
            "conflict topic config setting {min} ({min_ms}) > {max} ({max_ms})"
        )));
    }
    if topic.boolean("remote.storage.enable") {
        return Err(invalid_config(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured \
             with remote log storage.",
        ));
    }
    let was_remote = existing
        .get("remote.storage.enable")
        .is_some_and(|v| &**v == "true");
    if was_remote && !topic.boolean("remote.log.delete.on.disable") {
        return Err(invalid_config(
            "It is invalid to disable remote storage without deleting remote data. If you want to \
             keep the remote data and turn to read only, please set \
             `remote.storage.enable=true,remote.log.copy.disable=true`. If you want to disable \
             remote storage and delete all remote data, please set \
             `remote.storage.enable=false,remote.log.delete.on.disable=true`.",
        ));
    }
    Ok(())
}

/// Group keys that broker keys bound, as `KIND.KEY` by `group.KIND.min.KEY` and `group.KIND.max.KEY`.
const BOUNDED_GROUP_KEYS: [(&str, &[&str]); 3] = [
    (
        "consumer",
        &[
            "heartbeat.interval.ms",
            "session.timeout.ms",
            "assignment.interval.ms",
        ],
    ),
    (
        "share",
        &[
            "heartbeat.interval.ms",
            "session.timeout.ms",
            "record.lock.duration.ms",
            "delivery.count.limit",
            "partition.max.record.locks",
            "assignment.interval.ms",
        ],
    ),
    (
        "streams",
        &[
            "heartbeat.interval.ms",
            "session.timeout.ms",
            "assignment.interval.ms",
        ],
    ),
];

fn check_group(values: &BrokerValues, new: &ConfigMap) -> Result<(), ApiError> {
    check_names(&keys::GROUP, new, "group")?;
    let first = |mut errors: Vec<ConfigError>| invalid_config(errors.swap_remove(0).message);
    let group = GroupValues::new(values, new).map_err(first)?;
    let at_most = |key: &str, max: &str| {
        if group.integer(key) <= values.integer(max) {
            return Ok(());
        }
        Err(invalid_config(format!(
            "{key} must be less than or equal to {max}"
        )))
    };
    for (kind, suffixes) in BOUNDED_GROUP_KEYS {
        for suffix in suffixes {
            let key = format!("{kind}.{suffix}");
            let min = format!("group.{kind}.min.{suffix}");
            if group.integer(&key) < values.integer(&min) {
                return Err(invalid_config(format!(
                    "{key} must be greater than or equal to {min}"
                )));
            }
            at_most(&key, &format!("group.{kind}.max.{suffix}"))?;
        }
    }
    at_most(
        "streams.num.standby.replicas",
        "group.streams.max.standby.replicas",
    )?;
    for (kind, _) in BOUNDED_GROUP_KEYS {
        let session = format!("{kind}.session.timeout.ms");
        let heartbeat = format!("{kind}.heartbeat.interval.ms");
        if group.integer(&session) <= group.integer(&heartbeat) {
            return Err(invalid_config(format!(
                "{session} must be greater than {heartbeat}"
            )));
        }
    }
    Ok(())
}
