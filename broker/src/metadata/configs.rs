//! Dynamic configurations: what was set at run time for topics, brokers and other resources.
//!
//! Kafka: `image/ConfigurationsImage.java` (4.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;

/// What a configuration belongs to; the values are those of requests and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ResourceType {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

impl ResourceType {
    /// The type for a value from a request or record; `None` for an unknown one.
    pub fn from_id(id: i8) -> Option<Self> {
        match id {
            2 => Some(Self::Topic),
            4 => Some(Self::Broker),
            8 => Some(Self::BrokerLogger),
            16 => Some(Self::ClientMetrics),
            32 => Some(Self::Group),
            _ => None,
        }
    }

    /// The value in requests and records.
    pub fn id(self) -> i8 {
        self as i8
    }
}

/// One thing that can have configurations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    pub resource_type: ResourceType,
    /// A topic, a group, a broker's id in decimal, or "" for the default of all brokers.
    pub name: Arc<str>,
}

impl ConfigResource {
    /// The resource of this type and name.
    pub fn new(resource_type: ResourceType, name: impl Into<Arc<str>>) -> Self {
        Self {
            resource_type,
            name: name.into(),
        }
    }

    /// A topic.
    pub fn topic(name: impl Into<Arc<str>>) -> Self {
        Self::new(ResourceType::Topic, name)
    }

    /// One broker.
    pub fn broker(id: i32) -> Self {
        Self::new(ResourceType::Broker, id.to_string())
    }

    /// The default of all brokers.
    pub fn cluster_default() -> Self {
        Self::new(ResourceType::Broker, "")
    }
}

/// The configurations of one resource: key to value.
pub type ConfigMap = BTreeMap<Arc<str>, Arc<str>>;

/// All dynamic configurations. A resource without any has no entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigsImage {
    resources: OrdMap<ConfigResource, Arc<ConfigMap>>,
}

impl ConfigsImage {
    /// What is set for the resource; `None` if nothing is.
    pub fn get(&self, resource: &ConfigResource) -> Option<&Arc<ConfigMap>> {
        self.resources.get(resource)
    }

    /// What is set for the resource; empty if nothing is.
    pub fn of(&self, resource: &ConfigResource) -> Arc<ConfigMap> {
        self.resources.get(resource).cloned().unwrap_or_default()
    }

    /// What is set for the topic; empty if nothing is.
    pub fn of_topic(&self, topic: &str) -> Arc<ConfigMap> {
        self.of(&ConfigResource::topic(topic))
    }

    /// One value that is set for the resource.
    pub fn value(&self, resource: &ConfigResource, key: &str) -> Option<&Arc<str>> {
        self.resources.get(resource)?.get(key)
    }

    /// All resources that have something set, ordered by type and name.
    pub fn iter(&self) -> impl Iterator<Item = (&ConfigResource, &Arc<ConfigMap>)> {
        self.resources.iter()
    }

    pub(crate) fn set(&mut self, resource: &ConfigResource, key: &str, value: Option<&str>) {
        let mut map = self.resources.get(resource).cloned().unwrap_or_default();
        match value {
            Some(value) => {
                Arc::make_mut(&mut map).insert(key.into(), value.into());
            }
            None => {
                Arc::make_mut(&mut map).remove(key);
            }
        }
        if map.is_empty() {
            self.resources.remove(resource);
        } else {
            self.resources.insert(resource.clone(), map);
        }
    }

    pub(crate) fn remove(&mut self, resource: &ConfigResource) -> bool {
        self.resources.remove(resource).is_some()
    }
}
