//! Configuration of topics, brokers and groups, with where each value comes from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", content = "name", rename_all = "snake_case")]
pub enum ConfigResource {
    Topic(String),
    Broker(i32),
    /// The default of all brokers of the cluster.
    BrokerDefault,
    Group(String),
}

impl ConfigResource {
    /// Kafka's number of the resource type.
    pub fn type_code(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) | Self::BrokerDefault => 4,
            Self::Group(_) => 32,
        }
    }

    /// The resource's name on the wire; the default of all brokers is the empty name.
    pub fn wire_name(&self) -> String {
        match self {
            Self::Topic(name) | Self::Group(name) => name.clone(),
            Self::Broker(id) => id.to_string(),
            Self::BrokerDefault => String::new(),
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic \"{name}\""),
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::BrokerDefault => f.write_str("the default of all brokers"),
            Self::Group(name) => write!(f, "group \"{name}\""),
        }
    }
}

/// Where a value comes from, strongest first in a resource's synonyms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigSource {
    Topic,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
    DynamicBrokerLogger,
    ClientMetrics,
    Group,
    Unknown,
}

impl ConfigSource {
    pub fn from_code(code: i8) -> Self {
        match code {
            1 => Self::Topic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            6 => Self::DynamicBrokerLogger,
            7 => Self::ClientMetrics,
            8 => Self::Group,
            _ => Self::Unknown,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::DynamicBroker => "broker (dynamic)",
            Self::DynamicDefaultBroker => "all brokers (dynamic)",
            Self::StaticBroker => "broker (file)",
            Self::Default => "default",
            Self::DynamicBrokerLogger => "broker logger",
            Self::ClientMetrics => "client metrics",
            Self::Group => "group",
            Self::Unknown => "unknown",
        }
    }
}

/// Kafka's type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigKind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
    Unknown,
}

impl ConfigKind {
    pub fn from_code(code: i8) -> Self {
        match code {
            1 => Self::Boolean,
            2 => Self::String,
            3 => Self::Int,
            4 => Self::Short,
            5 => Self::Long,
            6 => Self::Double,
            7 => Self::List,
            8 => Self::Class,
            9 => Self::Password,
            _ => Self::Unknown,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Int => "int",
            Self::Short => "short",
            Self::Long => "long",
            Self::Double => "double",
            Self::List => "list",
            Self::Class => "class",
            Self::Password => "password",
            Self::Unknown => "unknown",
        }
    }
}

/// One place a value could come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSynonym {
    pub name: String,
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` when the broker keeps it secret or there is no value.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub is_read_only: bool,
    pub is_sensitive: bool,
    #[serde(rename = "type")]
    pub kind: ConfigKind,
    pub documentation: Option<String>,
    /// Strongest first; the first one is in effect.
    pub synonyms: Vec<ConfigSynonym>,
}

impl ConfigEntry {
    /// Whether somebody set it for this very resource.
    pub fn is_overridden(&self, resource: &ConfigResource) -> bool {
        match resource {
            ConfigResource::Topic(_) => self.source == ConfigSource::Topic,
            ConfigResource::Broker(_) => self.source == ConfigSource::DynamicBroker,
            ConfigResource::BrokerDefault => self.source == ConfigSource::DynamicDefaultBroker,
            ConfigResource::Group(_) => self.source == ConfigSource::Group,
        }
    }

    /// What the value would be without this resource's own override, if the broker told.
    pub fn inherited(&self, resource: &ConfigResource) -> Option<&ConfigSynonym> {
        if self.is_overridden(resource) {
            self.synonyms.get(1)
        } else {
            self.synonyms.first()
        }
    }
}

/// The configuration of one resource, sorted by key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configs {
    pub resource: ConfigResource,
    pub entries: Vec<ConfigEntry>,
}

impl Configs {
    pub fn get(&self, name: &str) -> Option<&ConfigEntry> {
        let at = self
            .entries
            .binary_search_by(|entry| entry.name.as_str().cmp(name))
            .ok()?;
        self.entries.get(at)
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name)?.value.as_deref()
    }
}
