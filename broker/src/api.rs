//! The API table: which requests are served, in which versions, on which listeners, by whom.
//!
//! ApiVersions answers from this table and from nothing else, and a request that the table does not
//! allow is never decoded: what is advertised is what is served, by construction.
//!
//! Path of a request: [`Broker::dispatch`] → row of the table → body decoded (bounded) → handler →
//! response encoded in the version of the request. A handler answers with its response type; errors
//! stand where Kafka puts them. Only what cannot be answered at all closes the connection: an API or
//! version that was not advertised, and a body that does not decode.
//!
//! Handlers live one per file, named as Kafka names the API. They see the [`Broker`] and the request,
//! and neither files nor sockets.
//!
//! Kafka: `KafkaApis.scala`, `ControllerApis.scala`, `ApiMessageType.java` (4.3).

mod alter_configs;
mod alter_partition_reassignments;
mod api_versions;
mod cluster;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod elect_leaders;
mod fetch;
mod find_coordinator;
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
mod list_partition_reassignments;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
mod unregister_broker;
mod update_features;

#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod tests;

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use bytes::Bytes;
use kafka_protocol::{messages::*, protocol::StrBytes};
use kafka_shared::{
    error::ErrorCode,
    protocol::{
        codec::{self, Request, Response},
        header::response_header_version,
    },
};
use tracing::{debug, error, warn};

use crate::{
    config::{BrokerConfig, DynamicConfig},
    controller::handle::{self, ControllerHandle},
    coordinator::GroupCoordinator,
    metadata::{MetadataHandle, MetadataImage, topic_name},
    network::{Dispatch, FrameBuilder, Reply, RequestContext, ResponseFrame},
    raft::RaftHandle,
    replica::{ReplicaManager, producer_ids::ProducerIds},
};

/// What handlers work with: this broker as the rest of the program sees it.
pub struct Broker {
    pub cluster_id: Arc<str>,
    /// Names of the listeners that belong to the controller; the others are the broker's.
    pub controller_listeners: Vec<String>,
    pub config: Arc<DynamicConfig>,
    pub metadata: MetadataHandle,
    pub controller: ControllerHandle,
    pub raft: RaftHandle,
    pub replicas: Arc<ReplicaManager>,
    pub producer_ids: Arc<ProducerIds>,
    pub groups: Arc<GroupCoordinator>,
}

impl Broker {
    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<BrokerConfig> {
        self.config.current()
    }

    /// The newest metadata.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        self.metadata.image()
    }

    /// Who asks the controller, and until when; none: as long as this node waits for any request.
    pub(crate) fn controller_context(&self, timeout_ms: Option<i32>) -> handle::RequestContext {
        let default_ms = self.config().request_timeout_ms;
        let ms = timeout_ms.map_or(default_ms, i64::from).max(0);
        handle::RequestContext {
            timeout: Duration::from_millis(u64::try_from(ms).unwrap_or(0)),
            ..handle::RequestContext::default()
        }
    }

    fn listener_kind(&self, cx: &RequestContext) -> ListenerKind {
        let listener = &*cx.connection.listener;
        if self
            .controller_listeners
            .iter()
            .any(|name| name == listener)
        {
            ListenerKind::Controller
        } else {
            ListenerKind::Broker
        }
    }
}

/// Which of a node's two roles a listener belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenerKind {
    Broker,
    Controller,
}

/// One row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    pub(crate) versions: RangeInclusive<i16>,
    listeners: &'static [ListenerKind],
}

impl Api {
    fn is_on(&self, listener: ListenerKind) -> bool {
        self.listeners.contains(&listener)
    }

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
        $key:ident $min:literal ..= $max:literal on $($listener:ident)+,
        |$broker:pat_param, $cx:pat_param, $request:ident: $type:ty| $kind:ident $handler:expr;
    )*) => {
        /// All APIs that are served, by key.
        const TABLE: &[Api] = &[$(Api {
            key: ApiKey::$key,
            versions: $min..=$max,
            listeners: &[$(ListenerKind::$listener),+],
        }),*];

        /// Runs the handler of an API that the table allows. Each one is boxed, so that a waiting
        /// connection costs what its own request needs and not what the largest would.
        async fn route(broker: &Broker, cx: &RequestContext, key: ApiKey, body: Bytes) -> Reply {
            match key {
                $(ApiKey::$key => {
                    let Some($request) = decode::<$type>(cx, body) else { return Reply::Close };
                    let ($broker, $cx) = (broker, cx);
                    apis!(@$kind cx, Box::pin(async move { $handler }).await)
                })*
                _ => Reply::Close,
            }
        }
    };
    (@answer $context:ident, $response:expr) => { answer($context, &$response) };
    (@reply $context:ident, $reply:expr) => { $reply };
}

apis! {
    Produce 3..=13 on Broker,
        |b, cx, r: ProduceRequest| reply produce::handle(b, cx, r).await;
    Fetch 4..=18 on Broker,
        |b, cx, r: FetchRequest| reply fetch::handle(b, cx, r).await;
    ListOffsets 1..=11 on Broker,
        |b, cx, r: ListOffsetsRequest| answer list_offsets::handle(b, cx, &r);
    Metadata 0..=13 on Broker,
        |b, cx, r: MetadataRequest| reply metadata::handle(b, cx, r).await;
    OffsetCommit 2..=10 on Broker,
        |b, cx, r: OffsetCommitRequest|
            answer offset_commit::handle(&b.groups, &b.image(), cx, &r).await;
    OffsetFetch 1..=10 on Broker,
        |b, cx, r: OffsetFetchRequest|
            answer offset_fetch::handle(&b.groups, &b.image(), cx, r).await;
    FindCoordinator 0..=6 on Broker,
        |b, cx, r: FindCoordinatorRequest| answer find_coordinator::handle(b, cx, &r).await;
    JoinGroup 0..=9 on Broker,
        |b, cx, r: JoinGroupRequest| answer join_group::handle(&b.groups, cx, &r).await;
    Heartbeat 0..=4 on Broker,
        |b, _, r: HeartbeatRequest| answer heartbeat::handle(&b.groups, &r).await;
    LeaveGroup 0..=5 on Broker,
        |b, cx, r: LeaveGroupRequest| answer leave_group::handle(&b.groups, cx, &r).await;
    SyncGroup 0..=5 on Broker,
        |b, cx, r: SyncGroupRequest| answer sync_group::handle(&b.groups, cx, &r).await;
    DescribeGroups 0..=6 on Broker,
        |b, cx, r: DescribeGroupsRequest| answer describe_groups::handle(&b.groups, cx, &r).await;
    ListGroups 0..=5 on Broker,
        |b, cx, r: ListGroupsRequest| answer list_groups::handle(&b.groups, cx, &r).await;
    ApiVersions 0..=4 on Broker Controller,
        |b, cx, r: ApiVersionsRequest| answer api_versions::handle(b, cx, &r);
    CreateTopics 2..=7 on Broker Controller,
        |b, _, r: CreateTopicsRequest| answer create_topics::handle(b, r).await;
    DeleteTopics 1..=6 on Broker Controller,
        |b, cx, r: DeleteTopicsRequest| answer delete_topics::handle(b, cx, r).await;
    DeleteRecords 0..=2 on Broker,
        |b, _, r: DeleteRecordsRequest| answer delete_records::handle(b, r).await;
    InitProducerId 0..=5 on Broker,
        |b, _, r: InitProducerIdRequest| answer init_producer_id::handle(b, &r).await;
    OffsetForLeaderEpoch 2..=4 on Broker,
        |b, _, r: OffsetForLeaderEpochRequest| answer offset_for_leader_epoch::handle(b, &r);
    DescribeConfigs 1..=4 on Broker Controller,
        |b, _, r: DescribeConfigsRequest| answer describe_configs::handle(b, &r);
    AlterConfigs 0..=2 on Broker Controller,
        |b, _, r: AlterConfigsRequest| answer alter_configs::handle(b, r).await;
    DescribeLogDirs 1..=5 on Broker,
        |b, _, r: DescribeLogDirsRequest| answer describe_log_dirs::handle(b, &r);
    CreatePartitions 0..=3 on Broker Controller,
        |b, _, r: CreatePartitionsRequest| answer create_partitions::handle(b, r).await;
    DeleteGroups 0..=2 on Broker,
        |b, _, r: DeleteGroupsRequest| answer delete_groups::handle(&b.groups, &r).await;
    ElectLeaders 0..=2 on Broker Controller,
        |b, _, r: ElectLeadersRequest| answer elect_leaders::handle(b, r).await;
    IncrementalAlterConfigs 0..=1 on Broker Controller,
        |b, _, r: IncrementalAlterConfigsRequest| answer incremental_alter_configs::handle(b, r).await;
    AlterPartitionReassignments 0..=1 on Broker Controller,
        |b, _, r: AlterPartitionReassignmentsRequest|
            answer alter_partition_reassignments::handle(b, r).await;
    ListPartitionReassignments 0..=0 on Broker Controller,
        |b, _, r: ListPartitionReassignmentsRequest|
            answer list_partition_reassignments::handle(b, r).await;
    OffsetDelete 0..=0 on Broker,
        |b, _, r: OffsetDeleteRequest|
            answer offset_delete::handle(&b.groups, &b.image(), &r).await;
    DescribeQuorum 0..=2 on Broker Controller,
        |b, cx, r: DescribeQuorumRequest| answer describe_quorum::handle(b, cx, &r);
    UpdateFeatures 0..=2 on Broker Controller,
        |b, _, r: UpdateFeaturesRequest| answer update_features::handle(b, r).await;
    DescribeCluster 0..=2 on Broker Controller,
        |b, cx, r: DescribeClusterRequest| answer describe_cluster::handle(b, cx, &r);
    DescribeProducers 0..=0 on Broker,
        |b, _, r: DescribeProducersRequest| answer describe_producers::handle(b, &r);
    UnregisterBroker 0..=0 on Broker Controller,
        |b, _, r: UnregisterBrokerRequest| answer unregister_broker::handle(b, r).await;
    ListConfigResources 0..=1 on Broker,
        |b, cx, r: ListConfigResourcesRequest| answer list_config_resources::handle(b, cx, &r);
    DescribeTopicPartitions 0..=0 on Broker,
        |b, cx, r: DescribeTopicPartitionsRequest| reply describe_topic_partitions::handle(b, cx, &r);
}

/// The rows of a listener's APIs.
pub(crate) fn served_on(listener: ListenerKind) -> impl Iterator<Item = &'static Api> {
    TABLE.iter().filter(move |api| api.is_on(listener))
}

fn find(key: i16, listener: ListenerKind) -> Option<&'static Api> {
    served_on(listener).find(|api| api.key as i16 == key)
}

impl Dispatch for Broker {
    async fn dispatch(&self, cx: RequestContext, body: Bytes) -> Reply {
        let header = &cx.header;
        let Some(api) = find(header.api_key, self.listener_kind(&cx)) else {
            warn!(peer = %cx.connection.peer_addr, listener = %cx.connection.listener,
                "closing connection: API key {} is not served on this listener", header.api_key);
            return Reply::Close;
        };
        if !api.versions.contains(&header.api_version) {
            if api.key == ApiKey::ApiVersions {
                return api_versions::unsupported(&cx, &api.versions);
            }
            warn!(peer = %cx.connection.peer_addr, listener = %cx.connection.listener,
                "closing connection: {:?} version {} is not served", api.key, header.api_version);
            return Reply::Close;
        }
        route(self, &cx, api.key, body).await
    }

    fn is_long_poll(&self, api_key: i16) -> bool {
        [ApiKey::Fetch, ApiKey::JoinGroup, ApiKey::SyncGroup]
            .iter()
            .any(|key| *key as i16 == api_key)
    }
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
