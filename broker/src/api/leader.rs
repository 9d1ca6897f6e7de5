//! Who leads a partition instead, for clients that asked the wrong broker (KIP-951).
//!
//! Kafka: `KafkaApis.getCurrentLeader` (4.3).

use std::sync::Arc;

use kafka_shared::types::{TopicPartition, Uuid};

use crate::metadata::MetadataImage;
use crate::replica::ReplicaManager;

/// A broker that leads a partition which the client asked another one for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

/// Collects the leaders that one response tells of, each endpoint once.
#[derive(Debug)]
pub(crate) struct Leaders<'a> {
    image: Arc<MetadataImage>,
    listener: &'a str,
    endpoints: Vec<NodeEndpoint>,
}

impl<'a> Leaders<'a> {
    /// `listener` is the one that the client is connected to; endpoints are given for it.
    pub(crate) fn new(replicas: &ReplicaManager, listener: &'a str) -> Self {
        Self {
            image: replicas.metadata().image(),
            listener,
            endpoints: Vec::new(),
        }
    }

    /// The leader's id and epoch, −1 and −1 when they are not known.
    pub(crate) fn leader_of(&mut self, topic_partition: &TopicPartition) -> (i32, i32) {
        let TopicPartition { topic, partition } = topic_partition;
        let Some(registration) = self.image.topics.partition(topic, *partition) else {
            return (-1, -1);
        };
        let leader = registration.leader;
        let is_told = self
            .endpoints
            .iter()
            .any(|endpoint| endpoint.node_id == leader);
        let broker = self.image.cluster.alive_broker(leader).filter(|_| !is_told);
        if let Some(broker) = broker
            && let Some(endpoint) = broker.listener(self.listener)
        {
            self.endpoints.push(NodeEndpoint {
                node_id: leader,
                host: endpoint.host.to_string(),
                port: i32::from(endpoint.port),
                rack: broker.rack.as_ref().map(ToString::to_string),
            });
        }
        (leader, registration.leader_epoch)
    }

    pub(crate) fn into_endpoints(self) -> Vec<NodeEndpoint> {
        self.endpoints
    }
}

/// The name of a topic that a request names by `name` or, when that is empty, by `id`.
pub(crate) fn topic_name(replicas: &ReplicaManager, name: &str, id: Uuid) -> Arc<str> {
    if !name.is_empty() {
        return name.into();
    }
    replicas
        .metadata()
        .image()
        .topics
        .name_of(id)
        .cloned()
        .unwrap_or_default()
}
