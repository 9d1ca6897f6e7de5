//! Helpers for tests: a configuration table with a few keys, and a node in a temporary folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerId, BrokerRegistrationRequest,
    broker_registration_request,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::time::{Clock, SystemClock};
use kafka_shared::types::{Uuid, random_uuid};

use super::config::{ConfigValidator, ControllerConfig, EffectiveConfig};
use super::handle::{ControllerHandle, RequestContext};
use super::node::{self, Node, NodeConfig};
use crate::log::{LogContext, LogDir};
use crate::metadata::configs::ConfigMap;
use crate::metadata::features::{Feature, SUPPORTED};
use crate::metadata::format::{FormatOptions, InitialQuorum, InitialVoter, format};
use crate::metadata::{ConfigResource, MetadataHandle, MetadataImage, ResourceType};
use crate::raft::VoterEndpoint;

pub(crate) const CLUSTER_ID: &str = "bXCdYd2BTe2RpH20eEkfFg";

/// Knows three keys.
#[derive(Debug)]
pub(crate) struct TestValidator;

const KEYS: [(&str, &str); 4] = [
    ("cleanup.policy", "delete"),
    ("min.insync.replicas", "1"),
    ("retention.ms", "604800000"),
    ("unclean.leader.election.enable", "false"),
];

impl ConfigValidator for TestValidator {
    fn validate(
        &self,
        resource: &ConfigResource,
        new: &ConfigMap,
        _existing: &ConfigMap,
    ) -> Result<(), ApiError> {
        if resource.resource_type != ResourceType::Topic {
            return Ok(());
        }
        for (key, value) in new {
            if !KEYS.iter().any(|(known, _)| *known == &**key) {
                let message = format!("Unknown topic config name: {key}");
                return Err(ApiError::new(ErrorCode::INVALID_CONFIG, message));
            }
            if &**key == "retention.ms" && value.parse::<i64>().is_err() {
                let message = format!(
                    "Invalid value {value} for configuration {key}: Not a number of type LONG"
                );
                return Err(ApiError::new(ErrorCode::INVALID_CONFIG, message));
            }
        }
        Ok(())
    }

    fn is_list(&self, _resource_type: ResourceType, key: &str) -> bool {
        key == "cleanup.policy"
    }

    fn default_value(&self, _resource_type: ResourceType, key: &str) -> Option<String> {
        KEYS.iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| (*value).to_owned())
    }

    fn describe_topic(
        &self,
        overrides: &ConfigMap,
        _image: &MetadataImage,
    ) -> Vec<EffectiveConfig> {
        let describe = |(key, default): &(&str, &str)| EffectiveConfig {
            name: (*key).to_owned(),
            value: Some(
                overrides
                    .get(*key)
                    .map_or((*default).to_owned(), ToString::to_string),
            ),
            is_read_only: false,
            config_source: if overrides.contains_key(*key) { 1 } else { 5 },
            is_sensitive: false,
        };
        KEYS.iter().map(describe).collect()
    }

    fn effective_topic_value(
        &self,
        topic: &str,
        key: &str,
        image: &MetadataImage,
    ) -> Option<String> {
        let set = image.configs.value(&ConfigResource::topic(topic), key);
        let set = set.or_else(|| image.configs.value(&ConfigResource::cluster_default(), key));
        set.map(ToString::to_string)
            .or_else(|| self.default_value(ResourceType::Topic, key))
    }
}

/// Formats a folder as node 1 of a new cluster.
pub(crate) fn format_dir(dir: &Path) -> Uuid {
    let options = FormatOptions {
        cluster_id: CLUSTER_ID.into(),
        node_id: 1,
        dirs: vec![dir.to_path_buf()],
        metadata_log_dir: dir.to_path_buf(),
        quorum: InitialQuorum::Voters(vec![InitialVoter {
            id: 1,
            host: "localhost".into(),
            port: 9093,
            directory_id: random_uuid(),
        }]),
        release_version: None,
        controller_listener: "CONTROLLER".into(),
        feature_levels: Vec::new(),
        ignore_formatted: false,
    };
    format(&options, SystemClock::new().wall_ms()).unwrap()[0].directory_id
}

/// A node with its registered broker.
pub(crate) struct TestNode {
    pub(crate) node: Node,
    broker_epoch: i64,
}

/// Starts node 1 on a formatted folder; its broker is unfenced.
pub(crate) async fn start_node(
    dir: &Path,
    directory_id: Uuid,
    previous_broker_epoch: i64,
    change: impl FnOnce(&mut NodeConfig),
) -> TestNode {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let controller = ControllerConfig {
        cluster_id: CLUSTER_ID.into(),
        // Nobody sends heartbeats here, and a loaded machine is slow.
        broker_session_timeout_ms: 3_600_000,
        ..Default::default()
    };
    let mut config = NodeConfig::new(controller, dir.to_path_buf(), directory_id);
    config.controller_endpoints = vec![VoterEndpoint {
        name: "CONTROLLER".into(),
        host: "localhost".into(),
        port: 9093,
    }];
    change(&mut config);
    let context = LogContext::new(Arc::clone(&clock), LogDir::new(dir));
    let metadata = MetadataHandle::default();
    let node = node::start(config, context, Arc::new(TestValidator), metadata, clock).unwrap();
    let handle = node.controller.as_ref().unwrap();
    assert!(handle.wait_until_active(Duration::from_secs(30)).await);
    let feature = |feature: &Feature| {
        broker_registration_request::Feature::default()
            .with_name(StrBytes::from_static_str(feature.name))
            .with_min_supported_version(feature.supported.min)
            .with_max_supported_version(feature.supported.max)
    };
    let request = BrokerRegistrationRequest::default()
        .with_broker_id(BrokerId(1))
        .with_cluster_id(StrBytes::from_static_str(CLUSTER_ID))
        .with_incarnation_id(random_uuid())
        .with_features(SUPPORTED.iter().map(feature).collect())
        .with_log_dirs(vec![directory_id])
        .with_previous_broker_epoch(previous_broker_epoch);
    let cx = RequestContext::default();
    let response = handle.register_broker(&cx, request).await;
    assert_eq!(ErrorCode(response.error_code), ErrorCode::NONE);
    let node = TestNode {
        node,
        broker_epoch: response.broker_epoch,
    };
    let unfenced = node.heartbeat(false).await;
    assert!(unfenced.is_caught_up && !unfenced.is_fenced);
    node
}

impl TestNode {
    pub(crate) fn controller(&self) -> &ControllerHandle {
        self.node.controller.as_ref().unwrap()
    }

    async fn heartbeat(&self, want_shut_down: bool) -> BrokerHeartbeatResponse {
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(1))
            .with_broker_epoch(self.broker_epoch)
            .with_current_metadata_offset(self.node.metadata.applied_offset())
            .with_want_shut_down(want_shut_down);
        let cx = RequestContext::default();
        let response = self.controller().broker_heartbeat(&cx, request).await;
        assert_eq!(ErrorCode(response.error_code), ErrorCode::NONE);
        response
    }

    /// Stops as a broker does that is told to; returns its epoch.
    pub(crate) async fn shutdown(self) -> i64 {
        while !self.heartbeat(true).await.should_shut_down {}
        self.node.shutdown().await;
        self.broker_epoch
    }
}
