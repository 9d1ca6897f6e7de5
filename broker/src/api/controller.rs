//! The table of a controller's listeners: what brokers, other controllers and administrators ask of
//! a controller itself.
//!
//! The same rows answer what a broker passes on for its clients, in an Envelope or within this node.
//! A controller that is not the active one says NOT_CONTROLLER; what becomes of that is the
//! asker's affair ([`Routed::is_not_controller`]).
//!
//! Kafka: `ControllerApis.scala` (4.3).

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_shared::protocol::messages::AddRaftVoterRequest;

use super::{
    Api, ListenerKind, Node, acls, add_raft_voter, allowed, answer, api_versions, decode,
    delete_topics, describe_cluster, describe_configs, describe_quorum, envelope,
    quorum_rpc::{QuorumCx, QuorumRpc, serve},
};
use crate::{
    controller::{
        ControllerHandle, Principal, RequestContext as Asker, not_controller::NotController,
    },
    network::{Dispatch, Reply, RequestContext},
};

/// The controller of this node, as its listeners serve it.
pub struct Controller {
    pub node: Arc<Node>,
    pub controller: ControllerHandle,
}

/// A request to a controller.
pub(crate) struct ControllerCx<'a> {
    /// Of a request that was passed on, the header is the client's own.
    pub(crate) request: &'a RequestContext,
    pub(crate) controller: &'a ControllerHandle,
    pub(crate) principal: Arc<Principal>,
    /// Whether a broker has passed it on for one of its clients.
    pub(crate) is_forwarded: bool,
}

impl ControllerCx<'_> {
    /// Who asks, and until when; none: as long as this node waits for any request.
    pub(super) fn asker(&self, node: &Node, timeout_ms: Option<i32>) -> Asker {
        Asker {
            principal: Arc::clone(&self.principal),
            is_forwarded: self.is_forwarded,
            ..node.controller_context(timeout_ms)
        }
    }
}

/// A request that is being answered.
type Routing<'a> = Pin<Box<dyn Future<Output = Routed> + Send + 'a>>;

/// What a row of the table answered.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) reply: Reply,
    /// The reply says that this controller is not the active one.
    pub(crate) is_not_controller: bool,
}

impl From<Reply> for Routed {
    fn from(reply: Reply) -> Self {
        Self {
            reply,
            is_not_controller: false,
        }
    }
}

macro_rules! controller_apis {
    ($(
        $key:ident $min:literal ..= $max:literal $($is_forwardable:ident)?,
        |$node:pat_param, $cx:pat_param, $request:ident: $type:ty| $kind:ident $handler:expr;
    )*) => {
        /// All APIs that a controller serves, by key.
        pub(super) const TABLE: &[Api] = &[$(Api {
            key: ApiKey::$key,
            versions: $min..=$max,
            is_forwarded: controller_apis!(@is_forwarded $($is_forwardable)?),
        }),*];

        /// Runs the handler of an API that the table allows. Each one is boxed, as large as itself
        /// only; an Envelope leads here again.
        pub(super) fn route<'a>(
            node: &'a Node,
            cx: &'a ControllerCx<'a>,
            key: ApiKey,
            body: Bytes,
        ) -> Routing<'a> {
            match key {
                $(ApiKey::$key => {
                    let Some($request) = decode::<$type>(cx.request, body) else {
                        return Box::pin(std::future::ready(Reply::Close.into()));
                    };
                    Box::pin(async move {
                        let answered = {
                            let ($node, $cx) = (node, cx);
                            $handler
                        };
                        controller_apis!(@$kind cx, answered)
                    })
                })*
                _ => Box::pin(std::future::ready(Reply::Close.into())),
            }
        }
    };
    (@is_forwarded forwardable) => { true };
    (@is_forwarded) => { false };
    (@answer $context:ident, $response:ident) => {
        Routed {
            reply: answer($context.request, &$response),
            is_not_controller: $response.is_not_controller(),
        }
    };
    (@reply $context:ident, $reply:ident) => { Routed::from($reply) };
}

controller_apis! {
    Fetch 4..=18,
        |n, cx, r: FetchRequest| reply quorum(n, cx, r).await;
    ApiVersions 0..=4,
        |n, cx, r: ApiVersionsRequest|
            answer api_versions::handle(n, ListenerKind::Controller, cx.request, &r);
    CreateTopics 2..=7 forwardable,
        |n, cx, r: CreateTopicsRequest|
            answer cx.controller.create_topics(&cx.asker(n, Some(r.timeout_ms)), r).await;
    DeleteTopics 1..=6 forwardable,
        |n, cx, r: DeleteTopicsRequest| answer delete_topics::handle(n, cx, r).await;
    DescribeAcls 1..=3,
        |_, _, r: DescribeAclsRequest| answer acls::describe(&r);
    CreateAcls 1..=3 forwardable,
        |_, _, r: CreateAclsRequest| answer acls::alter(&r);
    DeleteAcls 1..=3 forwardable,
        |_, _, r: DeleteAclsRequest| answer acls::alter(&r);
    DescribeConfigs 1..=4,
        |n, _, r: DescribeConfigsRequest| answer describe_configs::handle(n, &r);
    AlterConfigs 0..=2 forwardable,
        |n, cx, r: AlterConfigsRequest|
            answer cx.controller.alter_configs(&cx.asker(n, None), r).await;
    CreatePartitions 0..=3 forwardable,
        |n, cx, r: CreatePartitionsRequest|
            answer cx.controller.create_partitions(&cx.asker(n, Some(r.timeout_ms)), r).await;
    ElectLeaders 0..=2 forwardable,
        |n, cx, r: ElectLeadersRequest|
            answer cx.controller.elect_leaders(&cx.asker(n, Some(r.timeout_ms)), r).await;
    IncrementalAlterConfigs 0..=1 forwardable,
        |n, cx, r: IncrementalAlterConfigsRequest|
            answer cx.controller.incremental_alter_configs(&cx.asker(n, None), r).await;
    AlterPartitionReassignments 0..=1 forwardable,
        |n, cx, r: AlterPartitionReassignmentsRequest| answer cx
            .controller
            .alter_partition_reassignments(&cx.asker(n, Some(r.timeout_ms)), r)
            .await;
    ListPartitionReassignments 0..=0 forwardable,
        |n, cx, r: ListPartitionReassignmentsRequest| answer cx
            .controller
            .list_partition_reassignments(&cx.asker(n, Some(r.timeout_ms)), r)
            .await;
    AlterClientQuotas 0..=1 forwardable,
        |n, cx, r: AlterClientQuotasRequest|
            answer cx.controller.alter_client_quotas(&cx.asker(n, None), r).await;
    AlterUserScramCredentials 0..=0 forwardable,
        |n, cx, r: AlterUserScramCredentialsRequest|
            answer cx.controller.alter_user_scram_credentials(&cx.asker(n, None), r).await;
    Vote 0..=2,
        |n, cx, r: VoteRequest| reply quorum(n, cx, r).await;
    BeginQuorumEpoch 0..=1,
        |n, cx, r: BeginQuorumEpochRequest| reply quorum(n, cx, r).await;
    EndQuorumEpoch 0..=1,
        |n, cx, r: EndQuorumEpochRequest| reply quorum(n, cx, r).await;
    DescribeQuorum 0..=2 forwardable,
        |n, cx, r: DescribeQuorumRequest| answer describe_quorum::handle(n, cx.request, &r);
    AlterPartition 2..=3,
        |n, cx, r: AlterPartitionRequest|
            answer cx.controller.alter_partition(&cx.asker(n, None), r).await;
    UpdateFeatures 0..=2 forwardable,
        |n, cx, r: UpdateFeaturesRequest|
            answer cx.controller.update_features(&cx.asker(n, Some(r.timeout_ms)), r).await;
    Envelope 0..=0,
        |n, cx, r: EnvelopeRequest| answer envelope::handle(n, cx, r).await;
    FetchSnapshot 0..=1,
        |n, cx, r: FetchSnapshotRequest| reply quorum(n, cx, r).await;
    DescribeCluster 0..=2,
        |n, cx, r: DescribeClusterRequest|
            answer describe_cluster::handle(n, ListenerKind::Controller, cx.request, &r);
    BrokerRegistration 0..=4,
        |n, cx, r: BrokerRegistrationRequest|
            answer cx.controller.register_broker(&cx.asker(n, None), r).await;
    BrokerHeartbeat 0..=2,
        |n, cx, r: BrokerHeartbeatRequest|
            answer cx.controller.broker_heartbeat(&heartbeat_asker(n, cx), r).await;
    UnregisterBroker 0..=0 forwardable,
        |n, cx, r: UnregisterBrokerRequest|
            answer cx.controller.unregister_broker(&cx.asker(n, None), r).await;
    AllocateProducerIds 0..=0 forwardable,
        |n, cx, r: AllocateProducerIdsRequest|
            answer cx.controller.allocate_producer_ids(&cx.asker(n, None), r).await;
    ControllerRegistration 0..=0,
        |n, cx, r: ControllerRegistrationRequest|
            answer cx.controller.register_controller(&cx.asker(n, None), r).await;
    AssignReplicasToDirs 0..=0,
        |n, cx, r: AssignReplicasToDirsRequest|
            answer cx.controller.assign_replicas_to_dirs(&cx.asker(n, None), r).await;
    AddRaftVoter 0..=1 forwardable,
        |n, cx, r: AddRaftVoterRequest| reply {
            let response = add_raft_voter::handle(quorum_cx(n, cx), r).await;
            answer(cx.request, &response)
        };
    RemoveRaftVoter 0..=0 forwardable,
        |n, cx, r: RemoveRaftVoterRequest| reply quorum(n, cx, r).await;
    UpdateRaftVoter 0..=0,
        |n, cx, r: UpdateRaftVoterRequest| reply quorum(n, cx, r).await;
}

fn quorum_cx<'a>(node: &'a Node, cx: &'a ControllerCx<'_>) -> QuorumCx<'a> {
    QuorumCx {
        version: cx.request.header.api_version,
        listener: &cx.request.connection.listener,
        raft: &node.raft,
    }
}

/// Answers what a node of the quorum asks; a fetch waits as long as it says.
async fn quorum<R: QuorumRpc>(node: &Node, cx: &ControllerCx<'_>, request: R) -> Reply {
    answer(cx.request, &serve(quorum_cx(node, cx), request).await)
}

/// A heartbeat is answered before the broker sends the next one, or not at all.
fn heartbeat_asker(node: &Node, cx: &ControllerCx<'_>) -> Asker {
    let interval_ms = u64::try_from(node.config().broker_heartbeat_interval_ms).unwrap_or(0);
    Asker {
        timeout: Duration::from_millis(interval_ms / 2),
        ..cx.asker(node, None)
    }
}

/// The row of an API on a controller's listeners.
pub(super) fn find(key: i16) -> Option<&'static Api> {
    TABLE.iter().find(|api| api.key as i16 == key)
}

impl Dispatch for Controller {
    async fn dispatch(&self, request: RequestContext, body: Bytes) -> Reply {
        let key = match allowed(find(request.header.api_key), &request) {
            Ok(key) => key,
            Err(reply) => return reply,
        };
        let cx = ControllerCx {
            request: &request,
            controller: &self.controller,
            principal: Arc::new(Principal::anonymous()),
            is_forwarded: false,
        };
        route(&self.node, &cx, key, body).await.reply
    }
}
