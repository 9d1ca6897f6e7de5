//! What a client remembers of who is who: nodes, leaders and coordinators, each with the time at
//! which it was learned, in bounded maps.
//!
//! Without a socket: it is told what a Metadata or FindCoordinator response said, and asked later.
//! What is too old counts as unknown. Times are milliseconds of any clock that doesn't go back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};

use crate::error::{ApiError, ErrorCode};
use crate::types::Endpoint;

/// Leaders are remembered of so many topics, and so many coordinators.
const REMEMBERED_MAX: usize = 10_000;

/// One node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub id: i32,
    pub endpoint: Endpoint,
    pub rack: Option<String>,
}

/// What one Metadata response said of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    pub cluster_id: Option<String>,
    /// Where requests for the controller go. In a KRaft cluster this is any broker, which forwards
    /// them.
    pub controller_id: Option<i32>,
    pub nodes: BTreeMap<i32, Node>,
}

impl Cluster {
    pub(super) fn from_metadata(response: &MetadataResponse) -> Cluster {
        let node =
            |broker: &kafka_protocol::messages::metadata_response::MetadataResponseBroker| {
                let id = broker.node_id.0;
                let endpoint = endpoint(&broker.host, broker.port)?;
                Some((
                    id,
                    Node {
                        id,
                        endpoint,
                        rack: broker.rack.as_deref().map(str::to_owned),
                    },
                ))
            };
        let controller_id = response.controller_id.0;
        Cluster {
            cluster_id: response.cluster_id.as_deref().map(str::to_owned),
            controller_id: (controller_id >= 0).then_some(controller_id),
            nodes: response.brokers.iter().filter_map(node).collect(),
        }
    }
}

/// None for a port that cannot be: such a node cannot be reached.
fn endpoint(host: &str, port: i32) -> Option<Endpoint> {
    Some(Endpoint::new(
        host,
        u16::try_from(port).ok().filter(|port| *port != 0)?,
    ))
}

/// What a key is coordinated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CoordinatorType {
    Group,
    Transaction,
    /// The key is `group:topic id:partition`.
    Share,
}

impl CoordinatorType {
    /// The number in FindCoordinator.
    pub fn key_type(self) -> i8 {
        match self {
            CoordinatorType::Group => 0,
            CoordinatorType::Transaction => 1,
            CoordinatorType::Share => 2,
        }
    }
}

/// A value, when it was learned and until when it is believed.
#[derive(Debug)]
struct Learned<T> {
    at_ms: u64,
    until_ms: u64,
    value: T,
}

impl<T> Learned<T> {
    fn fresh(&self, now_ms: u64) -> Option<&T> {
        (now_ms < self.until_ms).then_some(&self.value)
    }
}

/// The memory.
#[derive(Debug)]
pub(super) struct Routing {
    age_max_ms: u64,
    cluster: Option<Learned<Arc<Cluster>>>,
    /// By topic: the leader of each partition, -1 where there is none.
    leaders: HashMap<Arc<str>, Learned<HashMap<i32, i32>>>,
    coordinators: HashMap<(CoordinatorType, Arc<str>), Learned<i32>>,
}

impl Routing {
    pub(super) fn new(age_max_ms: u64) -> Routing {
        let (leaders, coordinators) = (HashMap::new(), HashMap::new());
        Routing {
            age_max_ms,
            cluster: None,
            leaders,
            coordinators,
        }
    }

    fn learned<T>(&self, value: T, now_ms: u64) -> Learned<T> {
        Learned {
            at_ms: now_ms,
            until_ms: now_ms.saturating_add(self.age_max_ms),
            value,
        }
    }

    /// The cluster, unless what is known is too old.
    pub(super) fn cluster(&self, now_ms: u64) -> Option<Arc<Cluster>> {
        self.cluster.as_ref()?.fresh(now_ms).cloned()
    }

    /// The cluster as it was last seen, however long ago.
    pub(super) fn last_cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.as_ref().map(|learned| learned.value.clone())
    }

    /// The cluster if it was learned after `asked_ms`.
    pub(super) fn cluster_learned_after(&self, asked_ms: u64) -> Option<Arc<Cluster>> {
        let learned = self
            .cluster
            .as_ref()
            .filter(|learned| learned.at_ms > asked_ms)?;
        Some(learned.value.clone())
    }

    pub(super) fn learn_cluster(&mut self, cluster: Cluster, now_ms: u64) -> Arc<Cluster> {
        let cluster = Arc::new(cluster);
        self.cluster = Some(self.learned(cluster.clone(), now_ms));
        cluster
    }

    /// The cluster is asked for again at the next use.
    pub(super) fn forget_cluster(&mut self) {
        if let Some(learned) = &mut self.cluster {
            learned.until_ms = 0;
        }
    }

    /// The leader of a partition: `Some(Ok)` is its node, `Some(Err)` why there is none, None when
    /// the topic has to be asked for.
    pub(super) fn leader(
        &self,
        topic: &str,
        partition: i32,
        now_ms: u64,
    ) -> Option<Result<i32, ErrorCode>> {
        let leaders = self.leaders.get(topic)?.fresh(now_ms)?;
        Some(match leaders.get(&partition) {
            None => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            Some(-1) => Err(ErrorCode::LEADER_NOT_AVAILABLE),
            Some(leader) => Ok(*leader),
        })
    }

    /// Takes the leaders of the topics of a response that was asked for topics by name.
    ///
    /// # Errors
    /// The error of the first topic that has one.
    pub(super) fn learn_leaders(
        &mut self,
        response: &MetadataResponse,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        let mut result = Ok(());
        for topic in &response.topics {
            let Some(name) = &topic.name else { continue };
            let failed = ErrorCode(topic.error_code).ok();
            if failed.is_err() {
                self.leaders.remove(&***name);
                result = result.and(failed);
                continue;
            }
            make_room(&mut self.leaders);
            let partitions = topic.partitions.iter();
            let leaders = partitions
                .map(|each| (each.partition_index, each.leader_id.0))
                .collect();
            let learned = self.learned(leaders, now_ms);
            self.leaders.insert(Arc::from(&***name), learned);
        }
        result
    }

    pub(super) fn forget_leaders(&mut self, topic: &str) {
        self.leaders.remove(topic);
    }

    pub(super) fn coordinator(&self, kind: CoordinatorType, key: &str, now_ms: u64) -> Option<i32> {
        let learned = self.coordinators.get(&(kind, Arc::from(key)))?;
        learned.fresh(now_ms).copied()
    }

    /// Takes the coordinator of `key` from a response in any version, and remembers where it is.
    ///
    /// # Errors
    /// The error of the response.
    pub(super) fn learn_coordinator(
        &mut self,
        kind: CoordinatorType,
        key: &str,
        response: &FindCoordinatorResponse,
        now_ms: u64,
    ) -> Result<Node, ApiError> {
        // Since version 4 there is a list; before it, the same fields stand in the response.
        let only;
        let found = match response.coordinators.iter().find(|each| &*each.key == key) {
            Some(found) => found,
            None if !response.coordinators.is_empty() => {
                let message = format!("the answer says nothing of {key}");
                return Err(ApiError::new(ErrorCode::UNKNOWN_SERVER_ERROR, message));
            }
            None => {
                only = Coordinator::default()
                    .with_node_id(response.node_id)
                    .with_host(response.host.clone())
                    .with_port(response.port)
                    .with_error_code(response.error_code)
                    .with_error_message(response.error_message.clone());
                &only
            }
        };
        ApiError::check(found.error_code, found.error_message.as_deref())?;
        let id = found.node_id.0;
        let endpoint = endpoint(&found.host, found.port)
            .ok_or_else(|| ApiError::from(ErrorCode::COORDINATOR_NOT_AVAILABLE))?;
        make_room(&mut self.coordinators);
        let learned = self.learned(id, now_ms);
        self.coordinators.insert((kind, Arc::from(key)), learned);
        Ok(Node {
            id,
            endpoint,
            rack: None,
        })
    }

    pub(super) fn forget_coordinator(&mut self, kind: CoordinatorType, key: &str) {
        self.coordinators.remove(&(kind, Arc::from(key)));
    }
}

/// Starts anew when there is no room: everything can be asked for again.
fn make_room<K, V>(map: &mut HashMap<K, V>) {
    if map.len() >= REMEMBERED_MAX {
        map.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::StrBytes;
    use kafka_protocol::messages::metadata_response::{
        MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
    };
    use kafka_protocol::messages::{BrokerId, TopicName};

    fn text(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    fn topic(name: String, error_code: i16, leaders: &[i32]) -> MetadataResponseTopic {
        let partition = |(index, leader): (usize, &i32)| {
            MetadataResponsePartition::default()
                .with_partition_index(index as i32)
                .with_leader_id(BrokerId(*leader))
        };
        MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_string(name))))
            .with_error_code(error_code)
            .with_partitions(leaders.iter().enumerate().map(partition).collect())
    }

    #[test]
    fn a_cluster_is_believed_until_it_is_old_or_forgotten_and_never_lost() {
        let broker = |id: i32, port| {
            let broker = MetadataResponseBroker::default().with_node_id(BrokerId(id));
            broker.with_host(text("h")).with_port(port)
        };
        let response = MetadataResponse::default()
            .with_controller_id(BrokerId(2))
            .with_cluster_id(Some(text("c")))
            .with_brokers(vec![broker(2, 9092), broker(1, 70_000), broker(3, -1)]);
        let mut routing = Routing::new(10);
        routing.learn_cluster(Cluster::from_metadata(&response), 5);
        let cluster = routing.cluster(14).unwrap();
        assert_eq!(cluster.controller_id, Some(2));
        assert_eq!(cluster.cluster_id.as_deref(), Some("c"));
        assert_eq!(
            cluster.nodes.keys().collect::<Vec<_>>(),
            [&2],
            "impossible ports are left out"
        );
        assert_eq!(routing.cluster(15), None);
        routing.learn_cluster(Cluster::default(), 15);
        routing.forget_cluster();
        assert_eq!(routing.cluster(15), None);
        assert_eq!(routing.last_cluster().as_deref(), Some(&Cluster::default()));
    }

    #[test]
    fn leaders_are_known_by_topic() {
        let mut routing = Routing::new(10);
        let topics = vec![topic("a".into(), 0, &[7, -1]), topic("b".into(), 3, &[])];
        let response = MetadataResponse::default().with_topics(topics);
        let result = routing.learn_leaders(&response, 0);
        assert_eq!(result, Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.into()));
        assert_eq!(routing.leader("a", 0, 0), Some(Ok(7)));
        assert_eq!(
            routing.leader("a", 1, 0),
            Some(Err(ErrorCode::LEADER_NOT_AVAILABLE))
        );
        assert_eq!(
            routing.leader("a", 2, 0),
            Some(Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
        );
        assert_eq!(routing.leader("b", 0, 0), None);
        assert_eq!(routing.leader("a", 0, 10), None, "too old");
        routing.forget_leaders("a");
        assert_eq!(routing.leader("a", 0, 0), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut routing = Routing::new(10);
        let topics = (0..=REMEMBERED_MAX)
            .map(|index| topic(index.to_string(), 0, &[1]))
            .collect();
        routing
            .learn_leaders(&MetadataResponse::default().with_topics(topics), 0)
            .unwrap();
        assert!(routing.leaders.len() <= REMEMBERED_MAX);
        assert_eq!(
            routing.leader(&REMEMBERED_MAX.to_string(), 0, 0),
            Some(Ok(1))
        );
    }

    #[test]
    fn a_coordinator_is_read_from_old_and_new_answers() {
        let mut routing = Routing::new(10);
        let kind = CoordinatorType::Group;
        let old = FindCoordinatorResponse::default()
            .with_node_id(BrokerId(3))
            .with_host(text("h"))
            .with_port(1);
        let node = routing.learn_coordinator(kind, "g", &old, 0).unwrap();
        assert_eq!((node.id, node.endpoint), (3, Endpoint::new("h", 1)));
        assert_eq!(routing.coordinator(kind, "g", 9), Some(3));
        assert_eq!(
            routing.coordinator(CoordinatorType::Transaction, "g", 9),
            None
        );
        let found = Coordinator::default()
            .with_key(text("g"))
            .with_node_id(BrokerId(4));
        let found = found.with_host(text("h")).with_port(2);
        let new = FindCoordinatorResponse::default().with_coordinators(vec![found]);
        assert_eq!(routing.learn_coordinator(kind, "g", &new, 0).unwrap().id, 4);
        assert!(routing.learn_coordinator(kind, "other", &new, 0).is_err());
        routing.forget_coordinator(kind, "g");
        assert_eq!(routing.coordinator(kind, "g", 0), None);
        let failed = FindCoordinatorResponse::default().with_error_code(15);
        let error = routing
            .learn_coordinator(kind, "g", &failed, 0)
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    }
}
