//! What the requests between the nodes of a metadata quorum have in common: the way from Kafka's
//! message to the machine's request and back.
//!
//! The cluster id, if a request names one, and the topic are checked here; everything else is the
//! machine's. A response names the leader's address on the listener by which the request came.
//!
//! Kafka: `raft/KafkaRaftClient.java`, `raft/RaftUtil.java` (4.3).

use kafka_protocol::{
    messages::{BrokerId, TopicName},
    protocol::StrBytes,
};
use kafka_shared::{
    error::ErrorCode,
    protocol::Request,
    types::{METADATA_TOPIC_NAME, Uuid},
};

use crate::raft::{
    RaftHandle, ReplicaKey,
    driver::Served,
    rpc::{self, CurrentLeader},
    voters::address,
};

/// The circumstances of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QuorumCx<'a> {
    pub(crate) version: i16,
    /// By which the request came.
    pub(crate) listener: &'a str,
    pub(crate) raft: &'a RaftHandle,
}

impl QuorumCx<'_> {
    /// Whether the request belongs to this cluster; one that names none does.
    pub(crate) fn check_cluster(&self, cluster_id: Option<&str>) -> Result<(), ErrorCode> {
        match cluster_id {
            Some(id) if id != self.raft.cluster_id() => Err(ErrorCode::INCONSISTENT_CLUSTER_ID),
            _ => Ok(()),
        }
    }

    /// Host and port of the leader on the listener of the request.
    pub(crate) fn address(&self, leader: &CurrentLeader) -> Option<(i32, String, u16)> {
        let (host, port) = address(&leader.endpoints, self.listener)?;
        Some((leader.id?, host, port))
    }
}

/// A request of another node of the quorum.
pub(crate) trait QuorumRpc: Request {
    /// What the machine is asked.
    ///
    /// # Errors
    /// The error for the request as a whole.
    fn question(&self, cx: &QuorumCx<'_>) -> Result<rpc::Request, ErrorCode>;

    /// The response with what the machine has answered. `None` if it has answered something else.
    fn answered(&self, cx: &QuorumCx<'_>, served: Served) -> Option<Self::Response>;

    /// The response with an error for the request as a whole.
    fn failed(&self, cx: &QuorumCx<'_>, code: ErrorCode) -> Self::Response;
}

/// Answers a request of another node. A fetch waits as long as it says.
pub(crate) async fn serve<R: QuorumRpc>(cx: QuorumCx<'_>, request: R) -> R::Response {
    let question = match request.question(&cx) {
        Ok(question) => question,
        Err(code) => return request.failed(&cx, code),
    };
    match cx.raft.request(question).await {
        Ok(served) => request
            .answered(&cx, served)
            .unwrap_or_else(|| request.failed(&cx, ErrorCode::UNKNOWN_SERVER_ERROR)),
        Err(code) => request.failed(&cx, code),
    }
}

/// The only partition of the only topic, if that is the metadata log; the topic's name and the
/// partition's index are in the given fields.
///
/// # Errors
/// INVALID_REQUEST
macro_rules! metadata_partition {
    ($topics:expr, $name:ident, $index:ident) => {{
        let partition = match &$topics[..] {
            [topic] if topic.$name == $crate::api::quorum_rpc::metadata_topic_name() => {
                match &topic.partitions[..] {
                    [partition] if partition.$index == 0 => Some(partition),
                    _ => None,
                }
            }
            _ => None,
        };
        partition.ok_or(kafka_shared::error::ErrorCode::INVALID_REQUEST)
    }};
}
pub(crate) use metadata_partition;

/// The voter that a request is meant for, if it says so.
pub(crate) fn voter_key(id: i32, directory_id: Uuid) -> Option<ReplicaKey> {
    (id >= 0).then_some(ReplicaKey { id, directory_id })
}

/// Listeners of a message as the machine has them.
macro_rules! endpoints {
    ($listeners:expr) => {
        $listeners
            .iter()
            .map(|listener| $crate::raft::VoterEndpoint {
                name: listener.name.to_string(),
                host: listener.host.to_string(),
                port: listener.port,
            })
            .collect::<Vec<$crate::raft::VoterEndpoint>>()
    };
}
pub(crate) use endpoints;

/// The leader's address as a response has it, in its own type; none if it isn't known.
macro_rules! node_endpoints {
    ($cx:expr, $leader:expr, $endpoint:path) => {{
        let endpoint = $cx.address(&$leader).map(|(id, host, port)| {
            <$endpoint>::default()
                .with_node_id(id.into())
                .with_host($crate::api::own(&host))
                .with_port(port.into())
        });
        endpoint.into_iter().collect::<Vec<_>>()
    }};
}
pub(crate) use node_endpoints;

/// A response that names the error and the leader in its only partition, and since version 1 the
/// leader's address.
macro_rules! leader_response {
    ($cx:expr, $answer:expr, $response:ident, $module:ident, $partition:expr) => {{
        let partition = $partition
            .with_error_code($answer.error.0)
            .with_leader_id($crate::api::quorum_rpc::leader_id(&$answer.leader))
            .with_leader_epoch($answer.leader.epoch);
        let topic = kafka_protocol::messages::$module::TopicData::default()
            .with_topic_name($crate::api::quorum_rpc::metadata_topic_name())
            .with_partitions(vec![partition]);
        let mut response = kafka_protocol::messages::$response::default().with_topics(vec![topic]);
        if $cx.version >= 1 {
            response.node_endpoints = $crate::api::quorum_rpc::node_endpoints!(
                $cx,
                $answer.leader,
                kafka_protocol::messages::$module::NodeEndpoint
            );
        }
        response
    }};
}
pub(crate) use leader_response;

/// The name of the metadata log as messages have it.
pub(crate) fn metadata_topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(METADATA_TOPIC_NAME))
}

/// The leader's id as messages have it.
pub(crate) fn leader_id(leader: &CurrentLeader) -> BrokerId {
    BrokerId(leader.id.unwrap_or(-1))
}
