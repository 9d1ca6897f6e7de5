//! Who is in the cluster and where its partitions are.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_shared::client::{SendOptions, Undecoded};
use kafka_shared::protocol::StrBytes;
use uuid::Uuid;

use crate::model::{Broker, ClusterMetadata, Fault, PartError, Partition, Topic};

use super::probe::may_describe;
use super::seen::{Digest, Seen};
use super::wire::{ClusterClient, To, check_code, client_fault, decoded};

const WHAT: &str = "read the cluster's metadata";
const DESCRIBE: &str = "describe the cluster";

/// Answers of DescribeTopicPartitions that are put together for one topic; each holds up to 2,000
/// partitions.
const PAGES_MAX: usize = 200;

impl ClusterClient {
    /// All brokers and all topics. Only what Metadata itself tells is needed; that brokers are
    /// fenced is added where the cluster can say it.
    ///
    /// # Errors
    /// When no broker answers Metadata.
    pub async fn metadata(&self) -> Result<ClusterMetadata, Fault> {
        let (metadata, described) = self.ask_metadata().await;
        self.made_of(metadata?, described)
    }

    /// As [`Self::metadata`]: the same allocation while the cluster is as it was, and of what has
    /// changed only the topics that did are new.
    ///
    /// # Errors
    /// As [`Self::metadata`].
    pub(super) async fn metadata_again(
        &self,
        seen: &Seen<ClusterMetadata>,
    ) -> Result<Arc<ClusterMetadata>, Fault> {
        let (metadata, described) = self.ask_metadata().await;
        let metadata = metadata?;
        let digest = Digest::NOTHING.and(metadata.bytes());
        // A cluster that doesn't say it is as it was when it didn't say it then.
        let digest = digest.and(described.as_ref().map_or(&[], |answer| answer.bytes()));
        if let Some(same) = seen.of(Some(digest)) {
            return Ok(same);
        }
        let mut made = self.made_of(metadata, described)?;
        if let Some(old) = seen.last() {
            made.share_unchanged(&old);
        }
        let made = Arc::new(made);
        seen.keep(Some(digest), &made);
        Ok(made)
    }

    async fn ask_metadata(
        &self,
    ) -> (
        Result<Undecoded<MetadataResponse>, Fault>,
        Result<Undecoded<DescribeClusterResponse>, Fault>,
    ) {
        let request = MetadataRequest::default()
            .with_topics(None)
            .with_allow_auto_topic_creation(false);
        let metadata = self.ask_undecoded(WHAT, To::Any, request, SendOptions::default());
        tokio::join!(metadata, self.describe_cluster())
    }

    fn made_of(
        &self,
        metadata: Undecoded<MetadataResponse>,
        described: Result<Undecoded<DescribeClusterResponse>, Fault>,
    ) -> Result<ClusterMetadata, Fault> {
        let mut metadata = from_metadata(decoded(WHAT, metadata)?)?;
        if let Some(id) = &metadata.cluster_id {
            self.see_cluster(id);
        }
        let described = described.and_then(|answer| decoded(DESCRIBE, answer));
        if let Ok(described) = described
            && described.error_code == 0
        {
            add_description(&mut metadata, &described);
        }
        Ok(metadata)
    }

    async fn describe_cluster(&self) -> Result<Undecoded<DescribeClusterResponse>, Fault> {
        let connection = self.connection(DESCRIBE, To::Any).await?;
        let version = connection.version_of::<DescribeClusterRequest>();
        let version = version.map_err(|error| client_fault(DESCRIBE, &error))?;
        // Fenced brokers can be asked for since version 2.
        let request = DescribeClusterRequest::default()
            .with_include_cluster_authorized_operations(true)
            .with_include_fenced_brokers(version >= 2);
        let response = connection
            .send_undecoded(request, SendOptions::default())
            .await;
        response.map_err(|error| client_fault(DESCRIBE, &error))
    }

    /// One topic with its eligible leader replicas.
    ///
    /// # Errors
    /// `NotFound`, or `Unsupported` where the cluster lacks DescribeTopicPartitions.
    pub async fn describe_topic(&self, name: &str) -> Result<Topic, Fault> {
        let what = format!("describe topic \"{name}\"");
        let topic_name = TopicName::from(StrBytes::from_string(name.to_owned()));
        let mut cursor = None;
        let mut found: Option<Topic> = None;
        for _ in 0..PAGES_MAX {
            let request = DescribeTopicPartitionsRequest::default()
                .with_topics(vec![TopicRequest::default().with_name(topic_name.clone())])
                .with_cursor(cursor.take());
            let response = self.ask(&what, To::Any, request).await?;
            let next = response
                .next_cursor
                .as_ref()
                .map(|next| next.partition_index);
            let page = from_description(&what, &response)?;
            match &mut found {
                None => found = Some(page),
                Some(topic) => {
                    let partitions = topic.partitions.iter().chain(&page.partitions);
                    topic.partitions = partitions.cloned().collect();
                }
            }
            let Some(partition) = next else { break };
            let next = Cursor::default().with_topic_name(topic_name.clone());
            cursor = Some(next.with_partition_index(partition));
        }
        found.ok_or_else(|| Fault::not_found(what, "the broker described nothing"))
    }
}

fn ids(list: &[BrokerId]) -> Box<[i32]> {
    list.iter().map(|id| id.0).collect()
}

/// Lists of brokers, each kept once: those of many partitions are the same.
#[derive(Default)]
struct Lists {
    all: HashSet<Arc<[i32]>>,
    next: Vec<i32>,
}

impl Lists {
    fn of(&mut self, list: &[BrokerId]) -> Arc<[i32]> {
        self.next.clear();
        self.next.extend(list.iter().map(|id| id.0));
        if let Some(known) = self.all.get(&*self.next) {
            return Arc::clone(known);
        }
        let new: Arc<[i32]> = Arc::from(&*self.next);
        self.all.insert(Arc::clone(&new));
        new
    }
}

fn part_error(code: i16) -> Option<PartError> {
    (code != 0).then_some(PartError(code))
}

fn topic_id(id: Uuid) -> Option<Uuid> {
    (!id.is_nil()).then_some(id)
}

pub(super) fn from_metadata(response: MetadataResponse) -> Result<ClusterMetadata, Fault> {
    check_code(WHAT, response.error_code, None)?;
    let mut brokers: Vec<Broker> = response
        .brokers
        .iter()
        .map(|broker| Broker {
            id: broker.node_id.0,
            host: broker.host.to_string(),
            port: broker.port,
            rack: broker.rack.as_deref().map(str::to_owned),
            fenced: None,
        })
        .collect();
    brokers.sort_by_key(|broker| broker.id);
    brokers.dedup_by_key(|broker| broker.id);
    let mut lists = Lists::default();
    let mut topics: Vec<Arc<Topic>> = response
        .topics
        .iter()
        .filter_map(|topic| from_topic(topic, &mut lists))
        .map(Arc::new)
        .collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics.dedup_by(|a, b| a.name == b.name);
    Ok(ClusterMetadata {
        cluster_id: response.cluster_id.as_deref().map(Arc::from),
        controller_id: (response.controller_id.0 >= 0).then_some(response.controller_id.0),
        brokers,
        may_describe: None,
        topics,
    })
}

/// A topic without a name can't have been asked for; such an entry is dropped.
fn from_topic(topic: &MetadataResponseTopic, lists: &mut Lists) -> Option<Topic> {
    let name = topic.name.as_ref()?;
    let partitions = topic.partitions.iter();
    let mut partitions: Vec<Partition> = partitions.map(|p| from_partition(p, lists)).collect();
    partitions.sort_by_key(|partition| partition.id);
    partitions.dedup_by_key(|partition| partition.id);
    Some(Topic {
        name: Arc::from(name.as_str()),
        id: topic_id(topic.topic_id),
        is_internal: topic.is_internal,
        error: part_error(topic.error_code),
        partitions: partitions.into_boxed_slice(),
    })
}

fn from_partition(partition: &MetadataResponsePartition, lists: &mut Lists) -> Partition {
    Partition {
        id: partition.partition_index,
        leader: partition.leader_id.0,
        leader_epoch: partition.leader_epoch,
        error: part_error(partition.error_code),
        replicas: lists.of(&partition.replica_nodes),
        isr: lists.of(&partition.isr_nodes),
        offline: ids(&partition.offline_replicas),
        ..Partition::default()
    }
}

/// Adds what DescribeCluster knows and Metadata does not: brokers that are fenced.
pub(super) fn add_description(metadata: &mut ClusterMetadata, described: &DescribeClusterResponse) {
    let mut brokers: BTreeMap<i32, Broker> = std::mem::take(&mut metadata.brokers)
        .into_iter()
        .map(|b| (b.id, b))
        .collect();
    for broker in &described.brokers {
        let entry = brokers.entry(broker.broker_id.0).or_insert_with(|| Broker {
            id: broker.broker_id.0,
            host: broker.host.to_string(),
            port: broker.port,
            rack: broker.rack.as_deref().map(str::to_owned),
            fenced: None,
        });
        entry.fenced = Some(broker.is_fenced);
    }
    metadata.brokers = brokers.into_values().collect();
    metadata.may_describe = may_describe(described.cluster_authorized_operations);
}

fn from_description(
    what: &str,
    response: &DescribeTopicPartitionsResponse,
) -> Result<Topic, Fault> {
    let topic = response
        .topics
        .first()
        .ok_or_else(|| Fault::not_found(what, "the broker described nothing"))?;
    check_code(what, topic.error_code, None)?;
    let name = topic.name.as_ref().map_or("", |name| name.as_str());
    let mut lists = Lists::default();
    let optional = |list: &Option<Vec<BrokerId>>| list.as_deref().map(ids);
    let partitions = topic.partitions.iter().map(|partition| Partition {
        id: partition.partition_index,
        leader: partition.leader_id.0,
        leader_epoch: partition.leader_epoch,
        error: part_error(partition.error_code),
        replicas: lists.of(&partition.replica_nodes),
        isr: lists.of(&partition.isr_nodes),
        offline: ids(&partition.offline_replicas),
        elr: optional(&partition.eligible_leader_replicas),
        last_known_elr: optional(&partition.last_known_elr),
        ..Partition::default()
    });
    Ok(Topic {
        name: Arc::from(name),
        id: topic_id(topic.topic_id),
        is_internal: topic.is_internal,
        error: None,
        partitions: partitions.collect(),
    })
}
