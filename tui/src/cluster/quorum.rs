//! The controllers' quorum, the feature levels, and the reassignments that run.

use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::describe_quorum_response::{Listener, Node, ReplicaState};
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, DescribeQuorumRequest, DescribeQuorumResponse,
    ListPartitionReassignmentsRequest, TopicName,
};
use kafka_shared::protocol::StrBytes;
use kafka_shared::types::{METADATA_TOPIC_NAME, uuid_to_base64};

use crate::model::{
    Fault, FaultKind, FeatureLevel, Features, OngoingReassignment, Quorum, QuorumReplica,
    Reassignments, TopicPartition, VoterListener,
};

use super::wire::{ClusterClient, To, check_code};

/// The controller answers from memory; more than this is no wait but a failure.
const REASSIGNMENTS_TIMEOUT_MS: i32 = 10_000;

impl ClusterClient {
    /// The metadata quorum.
    ///
    /// # Errors
    /// `Unsupported` for a cluster without one.
    pub async fn quorum(&self) -> Result<Quorum, Fault> {
        let what = "describe the quorum";
        let topic = TopicData::default()
            .with_topic_name(TopicName::from(StrBytes::from_static_str(
                METADATA_TOPIC_NAME,
            )))
            .with_partitions(vec![PartitionData::default()]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let response = self.ask(what, To::Any, request).await?;
        from_quorum(what, &response)
    }

    /// The feature levels in effect and those that a broker supports.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn features(&self) -> Result<Features, Fault> {
        let what = "read the feature levels";
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(env!("CARGO_PKG_NAME")))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let response = self.ask(what, To::Any, request).await?;
        check_code(what, response.error_code, None)?;
        // Where the levels are known, what is not among them is at level 0.
        let usual = (response.finalized_features_epoch >= 0).then_some(0);
        let mut levels: Vec<FeatureLevel> = response
            .supported_features
            .iter()
            .map(|supported| {
                let name = supported.name.to_string();
                let finalized = response.finalized_features.iter();
                let finalized = finalized.filter(|level| *level.name == *name);
                FeatureLevel {
                    finalized: finalized
                        .map(|level| level.max_version_level)
                        .next()
                        .or(usual),
                    name,
                    supported_min: supported.min_version,
                    supported_max: supported.max_version,
                    nodes: Vec::new(),
                }
            })
            .collect();
        levels.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Features {
            finalized_epoch: response.finalized_features_epoch,
            levels,
        })
    }

    /// All reassignments that run.
    ///
    /// # Errors
    /// When the controller does not answer.
    pub async fn reassignments(&self) -> Result<Reassignments, Fault> {
        let what = "list the reassignments";
        let request = ListPartitionReassignmentsRequest::default()
            .with_timeout_ms(REASSIGNMENTS_TIMEOUT_MS)
            .with_topics(None);
        let response = self.ask(what, To::Controller, request).await?;
        check_code(what, response.error_code, response.error_message.as_deref())?;
        let list = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
        let mut running = Reassignments::new();
        for topic in &response.topics {
            for partition in &topic.partitions {
                let key = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                let ongoing = OngoingReassignment {
                    replicas: list(&partition.replicas),
                    adding: list(&partition.adding_replicas),
                    removing: list(&partition.removing_replicas),
                };
                running.insert(key, ongoing);
            }
        }
        Ok(running)
    }
}

fn listeners(node: &Node) -> (i32, Vec<VoterListener>) {
    let listener = |listener: &Listener| VoterListener {
        name: listener.name.to_string(),
        host: listener.host.to_string(),
        port: listener.port,
    };
    let listeners = node.listeners.iter().map(listener).collect();
    (node.node_id.0, listeners)
}

fn from_quorum(what: &str, response: &DescribeQuorumResponse) -> Result<Quorum, Fault> {
    check_code(what, response.error_code, response.error_message.as_deref())?;
    let partition = response
        .topics
        .first()
        .and_then(|topic| topic.partitions.first());
    let partition = partition
        .ok_or_else(|| Fault::new(FaultKind::Failed, what, "the answer holds no quorum"))?;
    check_code(
        what,
        partition.error_code,
        partition.error_message.as_deref(),
    )?;
    let everybody = partition.current_voters.iter().chain(&partition.observers);
    let leader = everybody
        .clone()
        .find(|replica| replica.replica_id == partition.leader_id);
    let leader_end = leader
        .map(|leader| leader.log_end_offset)
        .filter(|end| *end >= 0);
    let known = |ms: i64| (ms >= 0).then_some(ms);
    let replica = |replica: &ReplicaState| QuorumReplica {
        id: replica.replica_id.0,
        directory_id: (!replica.replica_directory_id.is_nil())
            .then(|| uuid_to_base64(replica.replica_directory_id)),
        log_end_offset: replica.log_end_offset,
        lag: leader_end
            .filter(|_| replica.log_end_offset >= 0)
            .map(|end| (end - replica.log_end_offset).max(0)),
        last_fetch_ms: known(replica.last_fetch_timestamp),
        last_caught_up_ms: known(replica.last_caught_up_timestamp),
    };
    Ok(Quorum {
        leader_id: partition.leader_id.0,
        leader_epoch: partition.leader_epoch,
        high_watermark: partition.high_watermark,
        voters: partition.current_voters.iter().map(replica).collect(),
        observers: partition.observers.iter().map(replica).collect(),
        listeners: response.nodes.iter().map(listeners).collect(),
    })
}
