//! The API tables: which requests are served, in which versions, on which listeners, by whom.
//!
//! There are two, one for each role of a node: the one in this file for a broker's listeners, that
//! of [`controller`] for a controller's. ApiVersions answers from them and from nothing else, and a
//! request that the table does not allow is never decoded: what is advertised is what is served, by
//! construction.
//!
//! Path of a request: [`Broker::dispatch`] → row of the table → body decoded (bounded) → handler →
//! response encoded in the version of the request. A handler answers with its response type; errors
//! stand where Kafka puts them. Only what cannot be answered at all closes the connection: an API or
//! version that was not advertised, and a body that does not decode. What only the active controller
//! can decide goes there as it came ([`forward`]), by the rows of the controller's table if it is
//! the one of this node.
//!
//! Handlers live one per file, named as Kafka names the API. They see the [`Broker`] or, where both
//! roles serve the API, the [`Node`], and the request, and neither files nor sockets.
//!
//! Kafka: `KafkaApis.scala`, `ControllerApis.scala`, `ApiMessageType.java` (4.3).

mod acls;
mod add_raft_voter;
mod alter_configs;
mod alter_replica_log_dirs;
mod api_versions;
mod begin_quorum_epoch;
mod cluster;
mod config_changes;
pub(crate) mod controller;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_user_scram_credentials;
mod end_quorum_epoch;
mod envelope;
mod fetch;
mod fetch_snapshot;
mod find_coordinator;
mod forward;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
pub(crate) mod internal_topics;
mod join_group;
mod leader;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod metadata;
mod metadata_fetch;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
pub(crate) mod quorum_rpc;
mod remove_raft_voter;
mod sync_group;
mod update_raft_voter;
mod vote;

#[cfg(test)]
mod group_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{
    ops::{Deref, RangeInclusive},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use kafka_protocol::{messages::*, protocol::StrBytes};
use kafka_shared::{
    error::ErrorCode,
    protocol::{
        codec::{self, Request, Response},
        header::response_header_version,
        messages::AddRaftVoterRequest,
    },
};
use tracing::{debug, error, warn};

use crate::{
    config::{BrokerConfig, DynamicConfig},
    controller::{self as quorum, ControllerChannel},
    coordinator::GroupCoordinator,
    metadata::{MetadataHandle, MetadataImage, topic_name},
    network::{Dispatch, FrameBuilder, Reply, RequestContext, ResponseFrame},
    raft::RaftHandle,
    replica::{ReplicaManager, producer_ids::ProducerIds},
};

/// What handlers of both roles work with: this node as the rest of the program sees it.
pub struct Node {
    pub cluster_id: Arc<str>,
    pub config: Arc<DynamicConfig>,
    pub metadata: MetadataHandle,
    /// The way to the active controller.
    pub controller: ControllerChannel,
    pub raft: RaftHandle,
}

impl Node {
    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<BrokerConfig> {
        self.config.current()
    }

    /// The newest metadata.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        self.metadata.image()
    }

    /// Who asks the controller, and until when; none: as long as this node waits for any request.
    pub(crate) fn controller_context(&self, timeout_ms: Option<i32>) -> quorum::RequestContext {
        let default_ms = self.config().request_timeout_ms;
        let ms = timeout_ms.map_or(default_ms, i64::from).max(0);
        quorum::RequestContext {
            timeout: Duration::from_millis(u64::try_from(ms).unwrap_or(0)),
            ..quorum::RequestContext::default()
        }
    }
}

/// What handlers of a broker's listeners work with besides.
pub struct Broker {
    pub node: Arc<Node>,
    pub replicas: Arc<ReplicaManager>,
    pub producer_ids: Arc<ProducerIds>,
    pub groups: Arc<GroupCoordinator>,
}

impl Deref for Broker {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

/// Which of a node's two roles a listener belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenerKind {
    Broker,
    Controller,
}

/// One row of a table.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    pub(crate) versions: RangeInclusive<i16>,
    /// Whether it goes on to the active controller.
    pub(crate) is_forwarded: bool,
}

impl Api {
    /// The lowest version to advertise.
    ///
    /// Kafka's own deviation: it serves Produce from version 3 on, but says 0, because librdkafka
    /// takes a missing version 0 for a broker that cannot produce at all (KAFKA-18659).
    pub(crate) fn advertised_min(&self) -> i16 {
        match self.key {
            ApiKey::Produce => 0,
            _ => *self.versions.start(),
        }
    }
}

macro_rules! apis {
    ($(
        $key:ident $min:literal ..= $max:literal,
        |$broker:pat_param, $cx:pat_param, $request:ident: $type:ty| $kind:ident $($handler:expr)?;
    )*) => {
        /// All APIs that a broker serves, by key.
        const TABLE: &[Api] = &[$(Api {
            key: ApiKey::$key,
            versions: $min..=$max,
            is_forwarded: apis!(@is_forwarded $kind),
        }),*];

        /// Runs the handler of an API that the table allows. Each one is boxed, so that a waiting
        /// connection costs what its own request needs and not what the largest would.
        async fn route(broker: &Broker, cx: &RequestContext, key: ApiKey, body: Bytes) -> Reply {
            match key {
                $(ApiKey::$key => {
                    let Some($request) = decode::<$type>(cx, body.clone()) else {
                        return Reply::Close;
                    };
                    apis!(@$kind broker, cx, body, |$broker, $cx, $request| $($handler)?)
                })*
                _ => Reply::Close,
            }
        }
    };
    (@is_forwarded forward) => { true };
    (@is_forwarded through) => { true };
    (@is_forwarded $kind:ident) => { false };
    (@answer $b:ident, $c:ident, $body:ident,
        |$broker:pat_param, $cx:pat_param, $request:ident| $handler:expr) => {{
        drop($body);
        let ($broker, $cx) = ($b, $c);
        answer($c, &Box::pin(async move { $handler }).await)
    }};
    (@reply $b:ident, $c:ident, $body:ident,
        |$broker:pat_param, $cx:pat_param, $request:ident| $handler:expr) => {{
        drop($body);
        let ($broker, $cx) = ($b, $c);
        Box::pin(async move { $handler }).await
    }};
    (@through $b:ident, $c:ident, $body:ident,
        |$broker:pat_param, $cx:pat_param, $request:ident| $handler:expr) => {
        apis!(@reply $b, $c, $body, |$broker, $cx, $request| $handler)
    };
    (@forward $b:ident, $c:ident, $body:ident,
        |$broker:pat_param, $cx:pat_param, $request:ident|) => {
        Box::pin(forward::handle($b, $c, $request, $body)).await
    };
}

apis! {
    Produce 3..=13,
        |b, cx, r: ProduceRequest| reply produce::handle(b, cx, r).await;
    Fetch 4..=18,
        |b, cx, r: FetchRequest| reply fetch::handle(b, cx, r).await;
    ListOffsets 1..=11,
        |b, cx, r: ListOffsetsRequest| answer list_offsets::handle(b, cx, &r);
    Metadata 0..=13,
        |b, cx, r: MetadataRequest| reply metadata::handle(b, cx, r).await;
    OffsetCommit 2..=10,
        |b, cx, r: OffsetCommitRequest|
            answer offset_commit::handle(&b.groups, &b.image(), cx, &r).await;
    OffsetFetch 1..=10,
        |b, cx, r: OffsetFetchRequest|
            answer offset_fetch::handle(&b.groups, &b.image(), cx, r).await;
    FindCoordinator 0..=6,
        |b, cx, r: FindCoordinatorRequest| answer find_coordinator::handle(b, cx, &r).await;
    JoinGroup 0..=9,
        |b, cx, r: JoinGroupRequest| answer join_group::handle(&b.groups, cx, &r).await;
    Heartbeat 0..=4,
        |b, _, r: HeartbeatRequest| answer heartbeat::handle(&b.groups, &r).await;
    LeaveGroup 0..=5,
        |b, cx, r: LeaveGroupRequest| answer leave_group::handle(&b.groups, cx, &r).await;
    SyncGroup 0..=5,
        |b, cx, r: SyncGroupRequest| answer sync_group::handle(&b.groups, cx, &r).await;
    DescribeGroups 0..=6,
        |b, cx, r: DescribeGroupsRequest| answer describe_groups::handle(&b.groups, cx, &r).await;
    ListGroups 0..=5,
        |b, cx, r: ListGroupsRequest| answer list_groups::handle(&b.groups, cx, &r).await;
    ApiVersions 0..=4,
        |b, cx, r: ApiVersionsRequest|
            answer api_versions::handle(b, ListenerKind::Broker, cx, &r);
    CreateTopics 2..=7,
        |b, cx, r: CreateTopicsRequest| through create_topics::handle(b, cx, r).await;
    DeleteTopics 1..=6,
        |_, _, r: DeleteTopicsRequest| forward;
    DeleteRecords 0..=2,
        |b, _, r: DeleteRecordsRequest| answer delete_records::handle(b, r).await;
    InitProducerId 0..=5,
        |b, _, r: InitProducerIdRequest| answer init_producer_id::handle(b, &r).await;
    OffsetForLeaderEpoch 2..=4,
        |b, _, r: OffsetForLeaderEpochRequest| answer offset_for_leader_epoch::handle(b, &r);
    DescribeAcls 1..=3,
        |_, _, r: DescribeAclsRequest| answer acls::describe(&r);
    CreateAcls 1..=3,
        |_, _, r: CreateAclsRequest| forward;
    DeleteAcls 1..=3,
        |_, _, r: DeleteAclsRequest| forward;
    DescribeConfigs 1..=4,
        |b, _, r: DescribeConfigsRequest| answer describe_configs::handle(b, &r);
    AlterConfigs 0..=2,
        |b, cx, r: AlterConfigsRequest| through alter_configs::handle(b, cx, r).await;
    AlterReplicaLogDirs 1..=2,
        |b, _, r: AlterReplicaLogDirsRequest| answer alter_replica_log_dirs::handle(b, r).await;
    DescribeLogDirs 1..=5,
        |b, _, r: DescribeLogDirsRequest| answer describe_log_dirs::handle(b, &r);
    CreatePartitions 0..=3,
        |_, _, r: CreatePartitionsRequest| forward;
    DeleteGroups 0..=2,
        |b, _, r: DeleteGroupsRequest| answer delete_groups::handle(&b.groups, &r).await;
    ElectLeaders 0..=2,
        |_, _, r: ElectLeadersRequest| forward;
    IncrementalAlterConfigs 0..=1,
        |b, cx, r: IncrementalAlterConfigsRequest|
            through incremental_alter_configs::handle(b, cx, r).await;
    AlterPartitionReassignments 0..=1,
        |_, _, r: AlterPartitionReassignmentsRequest| forward;
    ListPartitionReassignments 0..=0,
        |_, _, r: ListPartitionReassignmentsRequest| forward;
    OffsetDelete 0..=0,
        |b, _, r: OffsetDeleteRequest|
            answer offset_delete::handle(&b.groups, &b.image(), &r).await;
    DescribeClientQuotas 0..=1,
        |b, _, r: DescribeClientQuotasRequest| answer describe_client_quotas::handle(&b.image(), &r);
    AlterClientQuotas 0..=1,
        |_, _, r: AlterClientQuotasRequest| forward;
    DescribeUserScramCredentials 0..=0,
        |b, _, r: DescribeUserScramCredentialsRequest|
            answer describe_user_scram_credentials::handle(&b.image(), &r);
    AlterUserScramCredentials 0..=0,
        |_, _, r: AlterUserScramCredentialsRequest| forward;
    DescribeQuorum 0..=2,
        |_, _, r: DescribeQuorumRequest| forward;
    UpdateFeatures 0..=2,
        |_, _, r: UpdateFeaturesRequest| forward;
    DescribeCluster 0..=2,
        |b, cx, r: DescribeClusterRequest|
            answer describe_cluster::handle(b, ListenerKind::Broker, cx, &r);
    DescribeProducers 0..=0,
        |b, _, r: DescribeProducersRequest| answer describe_producers::handle(b, &r);
    UnregisterBroker 0..=0,
        |_, _, r: UnregisterBrokerRequest| forward;
    ListConfigResources 0..=1,
        |b, cx, r: ListConfigResourcesRequest| answer list_config_resources::handle(b, cx, &r);
    DescribeTopicPartitions 0..=0,
        |b, cx, r: DescribeTopicPartitionsRequest| reply describe_topic_partitions::handle(b, cx, &r);
    AddRaftVoter 0..=1,
        |_, _, r: AddRaftVoterRequest| forward;
    RemoveRaftVoter 0..=0,
        |_, _, r: RemoveRaftVoterRequest| forward;
}

/// The row of an API on a broker's listeners.
fn find(key: i16) -> Option<&'static Api> {
    TABLE.iter().find(|api| api.key as i16 == key)
}

impl Dispatch for Broker {
    async fn dispatch(&self, cx: RequestContext, body: Bytes) -> Reply {
        match allowed(find(cx.header.api_key), &cx) {
            Ok(key) => route(self, &cx, key, body).await,
            Err(reply) => reply,
        }
    }

    fn is_long_poll(&self, api_key: i16) -> bool {
        [ApiKey::Fetch, ApiKey::JoinGroup, ApiKey::SyncGroup]
            .iter()
            .any(|key| *key as i16 == api_key)
    }
}

/// The API of a request that a table allows, or what becomes of the request otherwise.
fn allowed(api: Option<&Api>, cx: &RequestContext) -> Result<ApiKey, Reply> {
    let header = &cx.header;
    let Some(api) = api else {
        warn!(peer = %cx.connection.peer_addr, listener = %cx.connection.listener,
            "closing connection: API key {} is not served on this listener", header.api_key);
        return Err(Reply::Close);
    };
    if api.versions.contains(&header.api_version) {
        return Ok(api.key);
    }
    if api.key == ApiKey::ApiVersions {
        return Err(api_versions::unsupported(cx, &api.versions));
    }
    warn!(peer = %cx.connection.peer_addr, listener = %cx.connection.listener,
        "closing connection: {:?} version {} is not served", api.key, header.api_version);
    Err(Reply::Close)
}

fn decode<R: Request>(cx: &RequestContext, mut body: Bytes) -> Option<R> {
    match codec::decode_request(&mut body, cx.header.api_version) {
        Ok(request) => Some(request),
        Err(error) => {
            warn!(peer = %cx.connection.peer_addr, listener = %cx.connection.listener,
                "closing connection: {error}");
            None
        }
    }
}

/// Encodes a response in the version of its request.
pub(crate) fn answer<R: Response>(cx: &RequestContext, response: &R) -> Reply {
    match encode(cx, cx.header.api_version, response) {
        Some(frame) => Reply::Frame(frame),
        None => Reply::Close,
    }
}

fn encode<R: Response>(cx: &RequestContext, version: i16, response: &R) -> Option<ResponseFrame> {
    let header = &cx.header;
    let header_version = response_header_version(header.api_key, version);
    let mut frame = FrameBuilder::new(header.correlation_id, header_version);
    if let Err(error) = codec::encode_response(response, version, frame.buffer()) {
        // A field is set that this version lacks: a mistake of ours, which must not go unseen.
        error!(peer = %cx.connection.peer_addr, "cannot answer: {error}");
        return None;
    }
    let frame = frame.finish();
    if frame.is_none() {
        debug!(peer = %cx.connection.peer_addr, "cannot answer: the response is too long");
    }
    frame
}

/// A string of a response, in memory of its own.
pub(crate) fn own(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// The message that goes with an error code: the given one, else the code's own.
pub(crate) fn message(code: ErrorCode, given: Option<&str>) -> StrBytes {
    own(given.unwrap_or_else(|| code.message()))
}
