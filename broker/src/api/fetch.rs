//! Fetch, versions 4 to 18: reads partitions, waits for records, answers out of files.
//!
//! The session decides what to read and what of it to send ([`crate::replica::fetch_session`]), the
//! replica manager reads and waits ([`crate::replica::fetch`]), and [`encode`] writes the response
//! around the records.
//!
//! Kafka: `KafkaApis.handleFetchRequest` (4.3), KIP-227, KIP-320, KIP-516, KIP-951.

mod encode;

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use kafka_shared::error::ErrorCode;
use kafka_shared::types::{TopicPartition, Uuid};

use self::encode::Response;
use super::Broker;
use super::leader::{self, Leaders};
use crate::log::FetchIsolation;
use crate::network::{Reply, RequestContext, ResponseFrame};
use crate::replica::ReplicaManager;
use crate::replica::fetch::{FetchParams, FetchedPartition};
use crate::replica::fetch_session::{
    FetchKey, FetchPartition, FetchRequestSession, FetchTopic, INVALID_SESSION_ID,
};
use crate::replica::partition::FollowerId;
use crate::replica::preferred::{ClientPlace, ReplicaSelector};

/// From this version on, topics go by their id.
const FIRST_TOPIC_ID: i16 = 13;
/// From this version on, consumers may read from followers.
const FIRST_PREFERRED_REPLICA: i16 = 11;
/// Up to this version, clients don't know `KAFKA_STORAGE_ERROR`.
const LAST_WITHOUT_STORAGE_ERROR: i16 = 5;
/// From this version on, the response says who leads instead.
const FIRST_LEADER: i16 = 16;

/// Who sent the request.
#[derive(Debug, Clone, Copy)]
struct Sender<'a> {
    /// The listener's name: endpoints of other brokers are given as they are on it.
    listener: &'a str,
    version: i16,
    correlation_id: i32,
}

pub(super) async fn handle(broker: &Broker, cx: &RequestContext, request: FetchRequest) -> Reply {
    let sender = Sender {
        listener: &cx.connection.listener,
        version: cx.header.api_version,
        correlation_id: cx.header.correlation_id,
    };
    fetch(&broker.replicas, sender, request)
        .await
        .map_or(Reply::Close, Reply::Frame)
}

/// The response; `None` when it can't be made.
async fn fetch(
    replicas: &ReplicaManager,
    sender: Sender<'_>,
    request: FetchRequest,
) -> Option<ResponseFrame> {
    let place = place(replicas, &request, sender);
    let params = FetchParams {
        place: place.as_ref(),
        ..params(replicas, &request, sender.version)
    };
    let session = session(
        replicas,
        &request,
        sender.version,
        params.follower.is_some(),
    );
    drop(request);
    let opened = replicas
        .fetch_sessions()
        .lock()
        .open(session, replicas.clock().wall_ms());
    let context = match opened {
        Ok(context) => context,
        Err(error) => return respond(sender, error, INVALID_SESSION_ID, Vec::new(), Vec::new()),
    };
    let fetched = replicas.fetch_records(params, &context.partitions).await;
    let mut results: Vec<(FetchKey, FetchedPartition)> = context
        .partitions
        .iter()
        .map(|(key, _)| key.clone())
        .zip(fetched)
        .collect();
    let endpoints = explain_errors(replicas, sender, &mut results);
    let outcome = context.close(
        replicas.fetch_sessions(),
        results,
        FetchedPartition::summary,
        replicas.clock().wall_ms(),
        random_id,
    );
    respond(
        sender,
        outcome.error,
        outcome.session_id,
        outcome.results,
        endpoints,
    )
}

fn respond(
    sender: Sender<'_>,
    error: ErrorCode,
    session_id: i32,
    partitions: Vec<(FetchKey, FetchedPartition)>,
    node_endpoints: Vec<leader::NodeEndpoint>,
) -> Option<ResponseFrame> {
    let response = Response {
        error,
        session_id,
        partitions,
        node_endpoints,
    };
    encode::encode(&response, sender.correlation_id, sender.version)
        .inspect_err(|error| tracing::error!(%error, "a Fetch response could not be made"))
        .ok()
}

/// Where a consumer is that may be sent to a replica near to it.
fn place(
    replicas: &ReplicaManager,
    request: &FetchRequest,
    sender: Sender<'_>,
) -> Option<ClientPlace> {
    let may_refer = replicas.config().replica_selector == ReplicaSelector::RackAware
        && sender.version >= FIRST_PREFERRED_REPLICA
        && !request.rack_id.is_empty();
    may_refer.then(|| ClientPlace {
        rack: request.rack_id.to_string(),
        listener: sender.listener.to_owned(),
    })
}

fn params(replicas: &ReplicaManager, request: &FetchRequest, version: i16) -> FetchParams<'static> {
    let (id, epoch) = match version {
        ..15 => (request.replica_id.0, -1),
        _ => (
            request.replica_state.replica_id.0,
            request.replica_state.replica_epoch,
        ),
    };
    let follower = (id >= 0).then_some(FollowerId { id, epoch });
    let isolation = match (follower, request.isolation_level) {
        (Some(_), _) => FetchIsolation::LogEnd,
        (None, 1) => FetchIsolation::TxnCommitted,
        (None, _) => FetchIsolation::HighWatermark,
    };
    let size = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
    let max_bytes = size(request.max_bytes).min(replicas.config().fetch_max_bytes);
    FetchParams {
        follower,
        requires_leader: follower.is_some() || version < FIRST_PREFERRED_REPLICA,
        place: None,
        isolation,
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        min_bytes: size(request.min_bytes).min(max_bytes),
        max_bytes,
    }
}

fn session(
    replicas: &ReplicaManager,
    request: &FetchRequest,
    version: i16,
    is_from_follower: bool,
) -> FetchRequestSession {
    let uses_topic_ids = version >= FIRST_TOPIC_ID;
    let mut wanted = Vec::new();
    for topic in &request.topics {
        let name = topic_ref(replicas, uses_topic_ids, &topic.topic.0, topic.topic_id);
        for partition in &topic.partitions {
            let key = FetchKey {
                topic: name.clone(),
                partition: partition.partition,
            };
            let epoch = |epoch: i32| (epoch >= 0).then_some(epoch);
            wanted.push((
                key,
                FetchPartition {
                    fetch_offset: partition.fetch_offset,
                    log_start_offset: partition.log_start_offset,
                    max_bytes: partition.partition_max_bytes,
                    current_leader_epoch: epoch(partition.current_leader_epoch),
                    last_fetched_epoch: epoch(partition.last_fetched_epoch),
                },
            ));
        }
    }
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let name = topic_ref(replicas, uses_topic_ids, &topic.topic.0, topic.topic_id);
        let key = |partition: &i32| FetchKey {
            topic: name.clone(),
            partition: *partition,
        };
        forgotten.extend(topic.partitions.iter().map(key));
    }
    FetchRequestSession {
        session_id: request.session_id,
        session_epoch: request.session_epoch,
        uses_topic_ids,
        is_from_follower,
        wanted,
        forgotten,
    }
}

/// The topic as sessions keep it. A name that is known here is shared, not copied.
fn topic_ref(replicas: &ReplicaManager, uses_ids: bool, name: &str, id: Uuid) -> FetchTopic {
    if uses_ids {
        return FetchTopic::Id(id);
    }
    match replicas.topics().by_name(name) {
        Some(topic) => FetchTopic::Name(Arc::clone(&topic.name)),
        None => FetchTopic::Name(name.into()),
    }
}

/// Puts the errors into the terms of the version, and says who leads where another broker does.
fn explain_errors(
    replicas: &ReplicaManager,
    sender: Sender<'_>,
    results: &mut [(FetchKey, FetchedPartition)],
) -> Vec<leader::NodeEndpoint> {
    let mut leaders: Option<Leaders<'_>> = None;
    for (key, fetched) in results {
        match fetched.error {
            ErrorCode::NONE => {}
            ErrorCode::KAFKA_STORAGE_ERROR if sender.version <= LAST_WITHOUT_STORAGE_ERROR => {
                fetched.error = ErrorCode::NOT_LEADER_OR_FOLLOWER;
            }
            ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::FENCED_LEADER_EPOCH
                if sender.version >= FIRST_LEADER =>
            {
                let name = match &key.topic {
                    FetchTopic::Name(name) => Arc::clone(name),
                    FetchTopic::Id(id) => leader::topic_name(replicas, "", *id),
                };
                let leaders =
                    leaders.get_or_insert_with(|| Leaders::new(replicas, sender.listener));
                let topic_partition = TopicPartition {
                    topic: name,
                    partition: key.partition,
                };
                let leader = leaders.leader_of(&topic_partition);
                fetched.current_leader = (leader != (-1, -1)).then_some(leader);
            }
            _ => {}
        }
    }
    leaders.map(Leaders::into_endpoints).unwrap_or_default()
}

/// A number that nobody can guess, for a new session.
fn random_id() -> i32 {
    let bits = Uuid::new_v4().as_u128();
    i32::from_be_bytes([
        bits as u8,
        (bits >> 8) as u8,
        (bits >> 16) as u8,
        (bits >> 24) as u8,
    ])
}

/// A request of a follower without a network, and its decoded response; `None` where the connection
/// would be closed.
#[cfg(test)]
pub(crate) async fn fetch_in_memory(
    replicas: &ReplicaManager,
    version: i16,
    request: FetchRequest,
) -> Option<kafka_protocol::messages::FetchResponse> {
    let sender = Sender {
        listener: "PLAINTEXT",
        version,
        correlation_id: 5,
    };
    // Records that were cut off since they were found end the connection.
    let mut bytes = fetch(replicas, sender, request).await?.to_bytes().ok()?;
    bytes::Buf::advance(&mut bytes, if version >= 12 { 9 } else { 8 });
    let decoded = kafka_shared::protocol::codec::decode_response(&mut bytes, version);
    Some(decoded.expect("a response"))
}

#[cfg(test)]
mod tests;
