//! The machine's requests as Kafka's messages, and Kafka's responses as the machine's.
//!
//! A request goes out in the newest version that both sides speak, without what that version lacks.
//! Of a response only the metadata partition counts; a response without it, or with an error for
//! all of it, is no answer.
//!
//! Kafka: `raft/RaftUtil.java` (4.3) and the schemas of APIs 1, 18, 52–54, 59, 80–82.

use bytes::Bytes;
use kafka_protocol::messages::{
    ApiVersionsRequest, BeginQuorumEpochRequest, BeginQuorumEpochResponse, BrokerId,
    EndQuorumEpochRequest, EndQuorumEpochResponse, FetchRequest, FetchResponse,
    FetchSnapshotRequest, FetchSnapshotResponse, RemoveRaftVoterRequest, TopicName,
    UpdateRaftVoterRequest, UpdateRaftVoterResponse, VoteRequest, VoteResponse,
    begin_quorum_epoch_request, end_quorum_epoch_request, fetch_request, fetch_snapshot_request,
    update_raft_voter_request, vote_request,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{ClientError, Connection, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::messages::{AddRaftVoterListener, AddRaftVoterRequest};
use kafka_shared::protocol::{Request as Message, api};
use kafka_shared::types::{METADATA_TOPIC_ID, METADATA_TOPIC_NAME};

use super::{Answer, TransportConfig};
use crate::raft::quorum_records::fetched;
use crate::raft::rpc::{
    self, ApiVersionsResponse, CurrentLeader, EpochEndOffset, FetchRecords, QuorumEpochResponse,
    Request, Response, SnapshotId, UpdateRaftVoterResponse as UpdateVoterResponse,
    VoterChangeResponse,
};
use crate::raft::voters::VoterEndpoint;

/// The first version of Vote that can ask without being bound.
const PRE_VOTE_SINCE: i16 = 2;

/// Sends one request over the connection and waits for its answer.
pub(super) async fn send(
    connection: &Connection,
    config: &TransportConfig,
    request: &Request,
) -> Answer {
    let none = Bytes::new();
    let response = match request {
        Request::Vote(request) => {
            let version = version_of::<VoteRequest>(connection)?;
            if request.pre_vote && version < PRE_VOTE_SINCE {
                return Err(ErrorCode::UNSUPPORTED_VERSION);
            }
            let response = call(connection, vote(config, request, version)).await?;
            Response::Vote(voted(config, &response)?)
        }
        Request::BeginQuorumEpoch(request) => {
            let version = version_of::<BeginQuorumEpochRequest>(connection)?;
            let response = call(connection, begin_epoch(config, request, version)).await?;
            Response::BeginQuorumEpoch(begun(config, &response)?)
        }
        Request::EndQuorumEpoch(request) => {
            let version = version_of::<EndQuorumEpochRequest>(connection)?;
            let response = call(connection, end_epoch(config, request, version)).await?;
            Response::EndQuorumEpoch(ended(config, &response)?)
        }
        Request::Fetch(request) => {
            let version = version_of::<FetchRequest>(connection)?;
            let response = call(connection, fetch(config, request, version)).await?;
            return fetch_answer(config, request, response);
        }
        Request::FetchSnapshot(request) => {
            let version = version_of::<FetchSnapshotRequest>(connection)?;
            let response = call(connection, fetch_snapshot(config, request, version)).await?;
            return snapshot_answer(config, response);
        }
        Request::AddRaftVoter(request) => {
            let version = version_of::<AddRaftVoterRequest>(connection)?;
            let response = call(connection, add_voter(config, request, version)).await?;
            let message = response.error_message.map(|text| text.to_string());
            Response::AddRaftVoter(VoterChangeResponse {
                error: ErrorCode(response.error_code),
                message,
            })
        }
        Request::RemoveRaftVoter(request) => {
            let message = RemoveRaftVoterRequest::default()
                .with_cluster_id(Some(text(&config.cluster_id)))
                .with_voter_id(request.voter.id)
                .with_voter_directory_id(request.voter.directory_id);
            let response = call(connection, message).await?;
            let message = response.error_message.map(|text| text.to_string());
            Response::RemoveRaftVoter(VoterChangeResponse {
                error: ErrorCode(response.error_code),
                message,
            })
        }
        Request::UpdateRaftVoter(request) => {
            let response = call(connection, update_voter(config, request)).await?;
            Response::UpdateRaftVoter(updated(config, &response))
        }
        Request::ApiVersions => Response::ApiVersions(api_versions(connection).await?),
    };
    Ok((response, none))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(METADATA_TOPIC_NAME))
}

fn version_of<R: Message>(connection: &Connection) -> Result<i16, ErrorCode> {
    connection
        .version_of::<R>()
        .map_err(|_| ErrorCode::UNSUPPORTED_VERSION)
}

async fn call<R: Message>(connection: &Connection, request: R) -> Result<R::Response, ErrorCode> {
    let answer = connection.send_with(request, SendOptions::default()).await;
    answer.map_err(|error| {
        let code = match &error {
            ClientError::Unsupported { .. } => ErrorCode::UNSUPPORTED_VERSION,
            ClientError::Timeout { .. } => ErrorCode::REQUEST_TIMED_OUT,
            ClientError::Encode { .. } | ClientError::Protocol { .. } => {
                tracing::warn!(%error, "{} failed", api::name(R::KEY as i16));
                ErrorCode::INVALID_REQUEST
            }
            _ => ErrorCode::BROKER_NOT_AVAILABLE,
        };
        tracing::debug!(%error, "{} failed", api::name(R::KEY as i16));
        code
    })
}

fn check(error_code: i16) -> Result<(), ErrorCode> {
    match ErrorCode(error_code) {
        ErrorCode::NONE => Ok(()),
        code => Err(code),
    }
}

/// The leader as a response names it; its address is among the endpoints, or not known.
fn current_leader(
    config: &TransportConfig,
    id: i32,
    epoch: i32,
    mut endpoints: impl Iterator<Item = (i32, String, Option<u16>)>,
) -> CurrentLeader {
    let endpoint = endpoints.find_map(|(node, host, port)| {
        let name = config.listener_name.clone();
        let port = port?;
        (node == id && !host.is_empty()).then_some(VoterEndpoint { name, host, port })
    });
    CurrentLeader {
        id: (id >= 0).then_some(id),
        epoch,
        endpoints: endpoint.into_iter().filter(|_| id >= 0).collect(),
    }
}

/// The leader of a response: its id and epoch from the one, its address from the other.
macro_rules! leader {
    ($config:expr, $leader:expr, $endpoints:expr) => {{
        let endpoints = $endpoints.iter().map(|endpoint| {
            let port = u16::try_from(endpoint.port).ok();
            (endpoint.node_id.0, endpoint.host.to_string(), port)
        });
        current_leader(
            $config,
            $leader.leader_id.0,
            $leader.leader_epoch,
            endpoints,
        )
    }};
}

/// The error, the leader and all else of the only partition of a response.
macro_rules! only_partition {
    ($config:expr, $response:expr) => {
        check($response.error_code).and_then(|()| {
            let [topic] = &$response.topics[..] else {
                return Err(ErrorCode::INVALID_REQUEST);
            };
            let [partition] = &topic.partitions[..] else {
                return Err(ErrorCode::INVALID_REQUEST);
            };
            let leader = leader!($config, partition, $response.node_endpoints);
            Ok((ErrorCode(partition.error_code), leader, partition))
        })
    };
}

/// Listeners in the type of a message.
macro_rules! listeners {
    ($endpoints:expr, $listener:path) => {{
        let listeners = $endpoints.iter().map(|endpoint| {
            <$listener>::default()
                .with_name(text(&endpoint.name))
                .with_host(text(&endpoint.host))
                .with_port(endpoint.port)
        });
        listeners.collect()
    }};
}

fn vote(config: &TransportConfig, request: &rpc::VoteRequest, version: i16) -> VoteRequest {
    let mut partition = vote_request::PartitionData::default()
        .with_replica_epoch(request.epoch)
        .with_replica_id(BrokerId(request.candidate.id))
        .with_last_offset_epoch(request.log.last_epoch)
        .with_last_offset(request.log.end_offset);
    let mut message = VoteRequest::default().with_cluster_id(Some(text(&config.cluster_id)));
    if version >= 1 {
        partition.replica_directory_id = request.candidate.directory_id;
        if let Some(voter) = request.voter {
            partition.voter_directory_id = voter.directory_id;
            message.voter_id = BrokerId(voter.id);
        }
    }
    if version >= PRE_VOTE_SINCE {
        partition.pre_vote = request.pre_vote;
    }
    let topic = vote_request::TopicData::default();
    message.with_topics(vec![
        topic
            .with_topic_name(topic_name())
            .with_partitions(vec![partition]),
    ])
}

fn voted(
    config: &TransportConfig,
    response: &VoteResponse,
) -> Result<rpc::VoteResponse, ErrorCode> {
    let (error, leader, partition) = only_partition!(config, response)?;
    Ok(rpc::VoteResponse {
        error,
        leader,
        vote_granted: partition.vote_granted,
    })
}

fn begin_epoch(
    config: &TransportConfig,
    request: &rpc::BeginQuorumEpochRequest,
    version: i16,
) -> BeginQuorumEpochRequest {
    let mut partition = begin_quorum_epoch_request::PartitionData::default()
        .with_leader_id(BrokerId(request.leader_id))
        .with_leader_epoch(request.epoch);
    let mut message =
        BeginQuorumEpochRequest::default().with_cluster_id(Some(text(&config.cluster_id)));
    if version >= 1 {
        if let Some(voter) = request.voter {
            partition.voter_directory_id = voter.directory_id;
            message.voter_id = BrokerId(voter.id);
        }
        message.leader_endpoints = listeners!(
            request.endpoints,
            begin_quorum_epoch_request::LeaderEndpoint
        );
    }
    let topic = begin_quorum_epoch_request::TopicData::default();
    message.with_topics(vec![
        topic
            .with_topic_name(topic_name())
            .with_partitions(vec![partition]),
    ])
}

fn begun(
    config: &TransportConfig,
    response: &BeginQuorumEpochResponse,
) -> Result<QuorumEpochResponse, ErrorCode> {
    let (error, leader, _) = only_partition!(config, response)?;
    Ok(QuorumEpochResponse { error, leader })
}

fn ended(
    config: &TransportConfig,
    response: &EndQuorumEpochResponse,
) -> Result<QuorumEpochResponse, ErrorCode> {
    let (error, leader, _) = only_partition!(config, response)?;
    Ok(QuorumEpochResponse { error, leader })
}

fn end_epoch(
    config: &TransportConfig,
    request: &rpc::EndQuorumEpochRequest,
    version: i16,
) -> EndQuorumEpochRequest {
    let mut partition = end_quorum_epoch_request::PartitionData::default()
        .with_leader_id(BrokerId(request.leader_id))
        .with_leader_epoch(request.epoch);
    let mut message =
        EndQuorumEpochRequest::default().with_cluster_id(Some(text(&config.cluster_id)));
    if version == 0 {
        let ids = request.preferred_candidates.iter().map(|key| key.id);
        partition.preferred_successors = ids.collect();
    } else {
        let candidates = request.preferred_candidates.iter().map(|key| {
            end_quorum_epoch_request::ReplicaInfo::default()
                .with_candidate_id(BrokerId(key.id))
                .with_candidate_directory_id(key.directory_id)
        });
        partition.preferred_candidates = candidates.collect();
        message.leader_endpoints =
            listeners!(request.endpoints, end_quorum_epoch_request::LeaderEndpoint);
    }
    let topic = end_quorum_epoch_request::TopicData::default();
    message.with_topics(vec![
        topic
            .with_topic_name(topic_name())
            .with_partitions(vec![partition]),
    ])
}

fn fetch(config: &TransportConfig, request: &rpc::FetchRequest, version: i16) -> FetchRequest {
    let mut partition = fetch_request::FetchPartition::default()
        .with_current_leader_epoch(request.epoch)
        .with_fetch_offset(request.fetch_offset);
    let mut message = FetchRequest::default()
        .with_max_wait_ms(request.max_wait_ms)
        .with_min_bytes(0)
        .with_max_bytes(request.max_bytes)
        .with_session_epoch(-1);
    let mut topic = fetch_request::FetchTopic::default();
    if version >= 12 {
        message.cluster_id = Some(text(&config.cluster_id));
        partition.last_fetched_epoch = request.last_fetched_epoch;
    }
    if version >= 13 {
        topic.topic_id = METADATA_TOPIC_ID;
    } else {
        topic.topic = topic_name();
    }
    if version >= 15 {
        message.replica_state.replica_id = BrokerId(request.replica.id);
    } else {
        message.replica_id = BrokerId(request.replica.id);
    }
    if version >= 17 {
        partition.replica_directory_id = request.replica.directory_id;
    }
    if version >= 18 {
        partition.high_watermark = request.high_watermark;
    }
    message.with_topics(vec![topic.with_partitions(vec![partition])])
}

fn fetch_answer(
    config: &TransportConfig,
    request: &rpc::FetchRequest,
    response: FetchResponse,
) -> Answer {
    check(response.error_code)?;
    let FetchResponse {
        responses,
        node_endpoints,
        ..
    } = response;
    let Some(partition) = responses
        .into_iter()
        .next()
        .and_then(|topic| topic.partitions.into_iter().next())
        .filter(|partition| partition.partition_index == 0)
    else {
        return Err(ErrorCode::INVALID_REQUEST);
    };
    let leader = leader!(config, partition.current_leader, node_endpoints);
    let diverging = &partition.diverging_epoch;
    let diverging_epoch = (diverging.epoch >= 0).then_some(EpochEndOffset {
        epoch: diverging.epoch,
        end_offset: diverging.end_offset,
    });
    let (end_offset, epoch) = (
        partition.snapshot_id.end_offset,
        partition.snapshot_id.epoch,
    );
    let snapshot_id = match (end_offset >= 0, epoch >= 0) {
        (true, true) => Some(SnapshotId { epoch, end_offset }),
        (false, false) => None,
        _ => return Err(ErrorCode::INVALID_REQUEST),
    };
    let mut bytes = partition.records.unwrap_or_default();
    let records = if bytes.is_empty() {
        FetchRecords::None
    } else {
        let (records, len) = fetched(&bytes, request.fetch_offset, request.epoch);
        if len < bytes.len() {
            // What is cut off here was cut off by the size of the response, or is damaged.
            tracing::debug!(
                len,
                of = bytes.len(),
                "took the good part of a fetch response"
            );
            bytes.truncate(len);
        }
        FetchRecords::Fetched(records)
    };
    let response = rpc::FetchResponse {
        error: ErrorCode(partition.error_code),
        leader,
        high_watermark: partition.high_watermark,
        log_start_offset: partition.log_start_offset,
        diverging_epoch,
        snapshot_id,
        records,
    };
    Ok((Response::Fetch(response), bytes))
}

fn fetch_snapshot(
    config: &TransportConfig,
    request: &rpc::FetchSnapshotRequest,
    version: i16,
) -> FetchSnapshotRequest {
    let snapshot_id = fetch_snapshot_request::SnapshotId::default()
        .with_end_offset(request.snapshot_id.end_offset)
        .with_epoch(request.snapshot_id.epoch);
    let mut partition = fetch_snapshot_request::PartitionSnapshot::default()
        .with_current_leader_epoch(request.epoch)
        .with_snapshot_id(snapshot_id)
        .with_position(request.position);
    if version >= 1 {
        partition.replica_directory_id = request.replica.directory_id;
    }
    let topic = fetch_snapshot_request::TopicSnapshot::default()
        .with_name(topic_name())
        .with_partitions(vec![partition]);
    FetchSnapshotRequest::default()
        .with_cluster_id(Some(text(&config.cluster_id)))
        .with_replica_id(BrokerId(request.replica.id))
        .with_max_bytes(request.max_bytes)
        .with_topics(vec![topic])
}

fn snapshot_answer(config: &TransportConfig, response: FetchSnapshotResponse) -> Answer {
    check(response.error_code)?;
    let FetchSnapshotResponse {
        topics,
        node_endpoints,
        ..
    } = response;
    let Some(partition) = topics
        .into_iter()
        .next()
        .and_then(|topic| topic.partitions.into_iter().next())
        .filter(|partition| partition.index == 0)
    else {
        return Err(ErrorCode::INVALID_REQUEST);
    };
    let (end_offset, epoch) = (
        partition.snapshot_id.end_offset,
        partition.snapshot_id.epoch,
    );
    let bytes = partition.unaligned_records;
    let response = rpc::FetchSnapshotResponse {
        error: ErrorCode(partition.error_code),
        leader: leader!(config, partition.current_leader, node_endpoints),
        snapshot_id: (end_offset >= 0 && epoch >= 0).then_some(SnapshotId { epoch, end_offset }),
        size: partition.size,
        position: partition.position,
        bytes: bytes.len() as i64,
    };
    Ok((Response::FetchSnapshot(response), bytes))
}

fn add_voter(
    config: &TransportConfig,
    request: &rpc::AddRaftVoterRequest,
    version: i16,
) -> AddRaftVoterRequest {
    AddRaftVoterRequest {
        cluster_id: Some(text(&config.cluster_id)),
        timeout_ms: i32::try_from(config.request_timeout_ms).unwrap_or(i32::MAX),
        voter_id: request.voter.id,
        voter_directory_id: request.voter.directory_id,
        listeners: listeners!(request.endpoints, AddRaftVoterListener),
        ack_when_committed: version == 0 || request.ack_when_committed,
    }
}

fn update_voter(
    config: &TransportConfig,
    request: &rpc::UpdateRaftVoterRequest,
) -> UpdateRaftVoterRequest {
    let versions = update_raft_voter_request::KRaftVersionFeature::default()
        .with_min_supported_version(request.kraft_version_min)
        .with_max_supported_version(request.kraft_version_max);
    UpdateRaftVoterRequest::default()
        .with_cluster_id(Some(text(&config.cluster_id)))
        .with_current_leader_epoch(request.epoch)
        .with_voter_id(request.voter.id)
        .with_voter_directory_id(request.voter.directory_id)
        .with_listeners(listeners!(
            request.endpoints,
            update_raft_voter_request::Listener
        ))
        .with_k_raft_version_feature(versions)
}

fn updated(config: &TransportConfig, response: &UpdateRaftVoterResponse) -> UpdateVoterResponse {
    let leader = &response.current_leader;
    let port = u16::try_from(leader.port).ok();
    let endpoint = (leader.leader_id.0, leader.host.to_string(), port);
    UpdateVoterResponse {
        error: ErrorCode(response.error_code),
        leader: current_leader(
            config,
            leader.leader_id.0,
            leader.leader_epoch,
            std::iter::once(endpoint),
        ),
    }
}

/// Asks again for what the connection was told at its start: the features belong to it.
async fn api_versions(connection: &Connection) -> Result<ApiVersionsResponse, ErrorCode> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("kafka-broker"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    let response = call(connection, request).await?;
    let kraft_version = response
        .supported_features
        .iter()
        .find(|feature| feature.name.as_str() == "kraft.version")
        .map(|feature| (feature.min_version, feature.max_version));
    Ok(ApiVersionsResponse {
        error: ErrorCode(response.error_code),
        kraft_version,
    })
}
