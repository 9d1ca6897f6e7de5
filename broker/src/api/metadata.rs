//! Metadata: brokers, topics by name or by id, and the creation of topics that are asked for.
//!
//! Kafka: `KafkaApis.handleTopicMetadataRequest`, `KRaftMetadataCache.java`,
//! `AutoTopicCreationManager.scala` (4.3).

use std::{collections::BTreeSet, time::Duration};

use kafka_protocol::{
    messages::{
        BrokerId, CreateTopicsRequest, MetadataRequest, MetadataResponse, TopicName,
        create_topics_request::CreatableTopic,
        metadata_response::{
            MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
        },
    },
    protocol::StrBytes,
};
use kafka_shared::{error::ErrorCode, types::Uuid};
use tracing::{debug, info};

use super::{
    Broker, answer,
    cluster::{
        CLUSTER_OPERATIONS, TOPIC_OPERATIONS, alive_brokers, controller_id, ids, leader,
        offline_replicas,
    },
    create_topics, forward, own, topic_name,
};
use crate::{
    metadata::{MetadataImage, PartitionRegistration, TopicImage},
    network::{Reply, RequestContext},
};

/// Topic ids in requests.
const TOPIC_IDS_SINCE: i16 = 12;
/// A leader without the client's listener is told from one that is away.
const LISTENER_NOT_FOUND_SINCE: i16 = 6;
const AUTHORIZED_OPERATIONS_SINCE: i16 = 8;
/// The last version with the cluster's authorized operations; DescribeCluster has them since.
const CLUSTER_OPERATIONS_UNTIL: i16 = 10;
/// The version of the requests in which topics are created.
const CREATE_TOPICS_VERSION: i16 = 7;
/// Longest wait of a Metadata request for the topics that it creates.
const AUTO_CREATION_TIMEOUT: Duration = Duration::from_secs(5);

/// What is asked for.
enum Wanted {
    All,
    Names(Vec<StrBytes>),
    Ids(Vec<Uuid>),
}

pub(super) async fn handle(
    broker: &Broker,
    cx: &RequestContext,
    request: MetadataRequest,
) -> Reply {
    let version = cx.header.api_version;
    let Some(wanted) = wanted(&request, version) else {
        debug!(peer = %cx.connection.peer_addr, "closing connection: Metadata {version} names a \
            topic by an id, or not at all");
        return Reply::Close;
    };
    let mut image = broker.image();
    let mut uncreatable = Vec::new();
    if let Wanted::Names(names) = &wanted
        && request.allow_auto_topic_creation
        && broker.config().auto_create_topics_enable
    {
        let missing: BTreeSet<&str> = names
            .iter()
            .map(StrBytes::as_str)
            .filter(|name| image.topics.by_name(name).is_none())
            .filter(|name| topic_name::validate(name).is_ok())
            .collect();
        if !missing.is_empty() {
            uncreatable = create(broker, cx, &missing).await;
            image = broker.image();
        }
    }
    let view = View {
        image: &image,
        listener: &cx.connection.listener,
        version,
    };
    let mut topics = view.topics(&wanted);
    for topic in &mut topics {
        let failed = uncreatable
            .iter()
            .find(|(name, _)| topic.name.as_ref() == Some(name));
        if let Some((_, code)) = failed {
            topic.error_code = code.0;
        }
    }
    if request.include_topic_authorized_operations && version >= AUTHORIZED_OPERATIONS_SINCE {
        for topic in topics.iter_mut().filter(|topic| topic.name.is_some()) {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    let mut response = MetadataResponse::default()
        .with_brokers(view.brokers())
        .with_cluster_id(Some(own(&broker.cluster_id)))
        .with_controller_id(controller_id(&image, broker.config().node_id))
        .with_topics(topics);
    if request.include_cluster_authorized_operations
        && (AUTHORIZED_OPERATIONS_SINCE..=CLUSTER_OPERATIONS_UNTIL).contains(&version)
    {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    answer(cx, &response)
}

/// None when the request is one that Kafka refuses as a whole.
fn wanted(request: &MetadataRequest, version: i16) -> Option<Wanted> {
    let Some(topics) = &request.topics else {
        return Some(Wanted::All);
    };
    if version == 0 && topics.is_empty() {
        return Some(Wanted::All);
    }
    let is_by_id = topics.iter().any(|topic| !topic.topic_id.is_nil());
    if version < TOPIC_IDS_SINCE && (is_by_id || topics.iter().any(|topic| topic.name.is_none())) {
        return None;
    }
    if is_by_id {
        let ids: BTreeSet<Uuid> = topics
            .iter()
            .map(|topic| topic.topic_id)
            .filter(|id| !id.is_nil())
            .collect();
        return Some(Wanted::Ids(ids.into_iter().collect()));
    }
    let names: BTreeSet<StrBytes> = topics
        .iter()
        .filter_map(|topic| topic.name.as_ref().map(|name| name.0.clone()))
        .collect();
    Some(Wanted::Names(names.into_iter().collect()))
}

/// Creates topics with the defaults; answers with those that could not be, and why.
// Differs from Kafka: it answers UNKNOWN_TOPIC_OR_PARTITION and lets the client come back until the
// controller has made the topic. Here the answer waits for the topic, which spares a round.
async fn create(
    broker: &Broker,
    cx: &RequestContext,
    missing: &BTreeSet<&str>,
) -> Vec<(TopicName, ErrorCode)> {
    info!(topics = ?missing, "creating topics that were asked for");
    let config = broker.config();
    let is_set = |key: &str| config.values.is_set(key);
    let topics = missing.iter().map(|name| {
        let topic = CreatableTopic::default().with_name(TopicName(own(name)));
        match *name {
            "__consumer_offsets" => super::internal_topics::offsets_topic(&config),
            _ => topic
                .with_num_partitions(if is_set("num.partitions") {
                    config.num_partitions
                } else {
                    -1
                })
                .with_replication_factor(if is_set("default.replication.factor") {
                    config.default_replication_factor
                } else {
                    -1
                }),
        }
    });
    let request = CreateTopicsRequest::default()
        .with_topics(topics.collect())
        .with_timeout_ms(i32::try_from(AUTO_CREATION_TIMEOUT.as_millis()).unwrap_or(i32::MAX));
    // The client's own wish, so it is the client who asks.
    let asking = forward::in_the_name_of(cx, CREATE_TOPICS_VERSION);
    let Ok(response) = forward::request(broker, &asking, request, AUTO_CREATION_TIMEOUT).await
    else {
        return Vec::new();
    };
    create_topics::wait_until_visible(broker, &response).await;
    response
        .topics
        .into_iter()
        .filter_map(|topic| match ErrorCode(topic.error_code) {
            ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS => None,
            code => {
                let why = topic.error_message.as_deref().unwrap_or_default();
                info!(topic = %topic.name.0, "cannot create the topic: {} {why}", code.name());
                Some((topic.name, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
            }
        })
        .collect()
}

/// The metadata as a client sees it that is connected to one listener and speaks one version.
struct View<'a> {
    image: &'a MetadataImage,
    listener: &'a str,
    version: i16,
}

impl View<'_> {
    fn brokers(&self) -> Vec<MetadataResponseBroker> {
        alive_brokers(self.image, self.listener)
            .map(|(broker, endpoint)| {
                MetadataResponseBroker::default()
                    .with_node_id(BrokerId(broker.id))
                    .with_host(own(&endpoint.host))
                    .with_port(i32::from(endpoint.port))
                    .with_rack(broker.rack.as_deref().map(own))
            })
            .collect()
    }

    fn topics(&self, wanted: &Wanted) -> Vec<MetadataResponseTopic> {
        match wanted {
            Wanted::All => self
                .image
                .topics
                .iter()
                .map(|topic| self.topic(topic))
                .collect(),
            Wanted::Names(names) => names
                .iter()
                .map(|name| match self.image.topics.by_name(name) {
                    Some(topic) => self.topic(topic),
                    None => unknown_name(name),
                })
                .collect(),
            Wanted::Ids(ids) => ids
                .iter()
                .map(|id| match self.image.topics.by_id(*id) {
                    Some(topic) => self.topic(topic),
                    None => MetadataResponseTopic::default()
                        .with_error_code(ErrorCode::UNKNOWN_TOPIC_ID.0)
                        .with_topic_id(*id)
                        .with_name(None),
                })
                .collect(),
        }
    }

    fn topic(&self, topic: &TopicImage) -> MetadataResponseTopic {
        let partitions = topic
            .partitions()
            .map(|(idx, partition)| self.partition(idx, partition));
        MetadataResponseTopic::default()
            .with_name(Some(TopicName(own(&topic.name))))
            .with_topic_id(topic.id)
            .with_is_internal(topic_name::is_internal(&topic.name))
            .with_partitions(partitions.collect())
    }

    fn partition(&self, idx: i32, partition: &PartitionRegistration) -> MetadataResponsePartition {
        let replicas = self.reachable(&partition.replicas);
        let isr = self.reachable(&partition.isr);
        let leader = leader(self.image, partition, self.listener);
        let error = match leader {
            None if self.version >= LISTENER_NOT_FOUND_SINCE
                && self.image.cluster.broker(partition.leader).is_some() =>
            {
                ErrorCode::LISTENER_NOT_FOUND
            }
            None => ErrorCode::LEADER_NOT_AVAILABLE,
            Some(_)
                if replicas.len() < partition.replicas.len() || isr.len() < partition.isr.len() =>
            {
                ErrorCode::REPLICA_NOT_AVAILABLE
            }
            Some(_) => ErrorCode::NONE,
        };
        MetadataResponsePartition::default()
            .with_error_code(error.0)
            .with_partition_index(idx)
            .with_leader_id(leader.unwrap_or(BrokerId(-1)))
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(replicas)
            .with_isr_nodes(isr)
            .with_offline_replicas(offline_replicas(self.image, partition, self.listener))
    }

    /// Version 0 leaves out brokers that are away; later versions name all.
    fn reachable(&self, brokers: &[i32]) -> Vec<BrokerId> {
        let is_reachable = |id: &&i32| {
            self.version > 0
                || self
                    .image
                    .cluster
                    .alive_broker(**id)
                    .is_some_and(|broker| broker.listener(self.listener).is_some())
        };
        ids(brokers.iter().filter(is_reachable))
    }
}

fn unknown_name(name: &StrBytes) -> MetadataResponseTopic {
    let error = match topic_name::validate(name) {
        Ok(()) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        Err(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
    };
    MetadataResponseTopic::default()
        .with_error_code(error.0)
        .with_name(Some(TopicName(name.clone())))
        .with_is_internal(topic_name::is_internal(name))
}
