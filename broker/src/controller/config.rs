//! Settings of the controller, and what it has to ask of the configuration table.

use kafka_shared::error::ApiError;

use crate::metadata::configs::ConfigMap;
use crate::metadata::{ConfigResource, MetadataImage, ResourceType};

/// Settings of the controller; the fields are Kafka's keys.
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    pub node_id: i32,
    pub cluster_id: String,
    /// The ids in `controller.quorum.voters`; none if the voters are in the log.
    pub static_voters: Vec<i32>,
    /// `num.partitions`: for topics that are created with -1 partitions.
    pub num_partitions: i32,
    /// `default.replication.factor`: for topics that are created with -1 replicas.
    pub default_replication_factor: i16,
    /// `min.insync.replicas`: what a new cluster starts with.
    pub min_insync_replicas: i32,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// `broker.session.timeout.ms`: a broker silent for longer is fenced.
    pub broker_session_timeout_ms: i64,
    /// `leader.imbalance.check.interval.seconds`, in milliseconds; `None` if
    /// `auto.leader.rebalance.enable` is off.
    pub leader_imbalance_check_interval_ms: Option<i64>,
    /// `metadata.max.idle.interval.ms`: a NoOpRecord is written after so long without another
    /// record; 0 for never.
    pub metadata_max_idle_interval_ms: i64,
}

impl Default for ControllerConfig {
    fn default() -> Self {
        Self {
            node_id: 1,
            cluster_id: String::new(),
            static_voters: Vec::new(),
            num_partitions: 1,
            default_replication_factor: 1,
            min_insync_replicas: 1,
            delete_topic_enable: true,
            broker_session_timeout_ms: 9_000,
            leader_imbalance_check_interval_ms: Some(300_000),
            metadata_max_idle_interval_ms: 500,
        }
    }
}

/// One configuration of a topic as it takes effect, for the answer to CreateTopics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveConfig {
    pub name: String,
    /// `None` for a sensitive value.
    pub value: Option<String>,
    pub is_read_only: bool,
    /// As in DescribeConfigs: 1 topic, 2 broker, 3 default of all brokers, 4 static, 5 default.
    pub config_source: i8,
    pub is_sensitive: bool,
}

/// What the controller asks the configuration table.
pub trait ConfigValidator: Send + Sync {
    /// Checks everything that would be set for the resource after a change.
    ///
    /// `existing` is what is set before the change. Whether the resource exists is the
    /// controller's business, the form of its name and of its configurations the validator's.
    ///
    /// # Errors
    /// INVALID_CONFIG or INVALID_REQUEST with Kafka's message.
    fn validate(
        &self,
        resource: &ConfigResource,
        new: &ConfigMap,
        existing: &ConfigMap,
    ) -> Result<(), ApiError>;

    /// Whether the key holds a list, so that APPEND and SUBTRACT make sense.
    fn is_list(&self, resource_type: ResourceType, key: &str) -> bool;

    /// The value of a key that is set nowhere.
    fn default_value(&self, resource_type: ResourceType, key: &str) -> Option<String>;

    /// All configurations of a topic with these overrides, as they take effect, ordered by name.
    fn describe_topic(&self, overrides: &ConfigMap, image: &MetadataImage) -> Vec<EffectiveConfig>;

    /// The value of one topic key (`min.insync.replicas`, `unclean.leader.election.enable`) as it
    /// takes effect: the topic's, the brokers' default, the static one, Kafka's.
    fn effective_topic_value(
        &self,
        topic: &str,
        key: &str,
        image: &MetadataImage,
    ) -> Option<String>;
}
