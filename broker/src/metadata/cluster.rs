//! The registered brokers and controllers.
//!
//! Kafka: `image/ClusterImage.java`, `metadata/BrokerRegistration.java` (4.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use uuid::Uuid;

use super::topics::directory_id;

/// Where a node can be reached through one of its listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerEndpoint {
    /// The listener's name, for example `PLAINTEXT`.
    pub name: Arc<str>,
    pub host: Arc<str>,
    pub port: u16,
    /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// An inclusive range of levels of one feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureRange {
    pub min: i16,
    pub max: i16,
}

impl FeatureRange {
    /// Whether the level lies in the range.
    pub fn contains(self, level: i16) -> bool {
        (self.min..=self.max).contains(&level)
    }
}

/// One broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRegistration {
    pub id: i32,
    /// The controller's number for this registration; greater for every later one.
    pub epoch: i64,
    /// Made anew by every start of the broker's process.
    pub incarnation_id: Uuid,
    /// In the order in which the broker declared them.
    pub listeners: Vec<ListenerEndpoint>,
    pub features: BTreeMap<Arc<str>, FeatureRange>,
    pub rack: Option<Arc<str>>,
    /// A fenced broker leads nothing and is not shown to clients.
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    /// The ids of its online log directories, ascending.
    pub directories: Vec<Uuid>,
    /// Directories that get no new replicas; `None` until the broker has told.
    pub cordoned_directories: Option<Vec<Uuid>>,
}

impl BrokerRegistration {
    /// The endpoint of the listener with this name.
    pub fn listener(&self, name: &str) -> Option<&ListenerEndpoint> {
        self.listeners
            .iter()
            .find(|listener| &*listener.name == name)
    }

    /// Whether the broker may lead: neither fenced nor about to go.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether some directory may get new replicas.
    pub fn has_uncordoned_directory(&self) -> bool {
        match &self.cordoned_directories {
            None => true,
            Some(cordoned) => {
                self.directories.is_empty()
                    || self
                        .directories
                        .iter()
                        .any(|directory| !cordoned.contains(directory))
            }
        }
    }

    /// Whether the directory is one of the broker's, or can't be judged yet.
    pub fn has_online_directory(&self, id: Uuid) -> bool {
        match id {
            directory_id::UNASSIGNED | directory_id::MIGRATING => true,
            directory_id::LOST => false,
            _ => self.directories.is_empty() || self.directories.contains(&id),
        }
    }
}

/// One controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerRegistration {
    pub id: i32,
    pub incarnation_id: Uuid,
    pub zk_migration_ready: bool,
    pub listeners: Vec<ListenerEndpoint>,
    pub features: BTreeMap<Arc<str>, FeatureRange>,
}

/// All registered nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterImage {
    pub brokers: OrdMap<i32, Arc<BrokerRegistration>>,
    pub controllers: OrdMap<i32, Arc<ControllerRegistration>>,
}

impl ClusterImage {
    /// The broker with this id, fenced or not.
    pub fn broker(&self, id: i32) -> Option<&Arc<BrokerRegistration>> {
        self.brokers.get(&id)
    }

    /// The broker with this id if clients may use it.
    pub fn alive_broker(&self, id: i32) -> Option<&Arc<BrokerRegistration>> {
        self.broker(id).filter(|broker| !broker.fenced)
    }

    /// All brokers that clients may use, by ascending id.
    pub fn alive_brokers(&self) -> impl Iterator<Item = &Arc<BrokerRegistration>> {
        self.brokers.values().filter(|broker| !broker.fenced)
    }

    /// The epoch of the broker's registration; -1 if it has none.
    pub fn broker_epoch(&self, id: i32) -> i64 {
        self.broker(id).map_or(-1, |broker| broker.epoch)
    }
}
