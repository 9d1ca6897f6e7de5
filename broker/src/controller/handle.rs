//! How the rest of the node talks to its own controller.
//!
//! It answers only while it is the active one; [`super::channel`] finds the active controller
//! wherever it is. Every method answers with the response itself: when the request as a whole fails (this node is
//! not the active controller, the deadline passed), the error stands in every place of the
//! response where Kafka puts it. An answer without error is given when what it says is committed
//! and this node's image holds it.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterClientQuotasRequest,
    AlterClientQuotasResponse, AlterConfigsRequest, AlterConfigsResponse,
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, AlterPartitionRequest,
    AlterPartitionResponse, AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerHeartbeatRequest,
    BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse,
    ControllerRegistrationRequest, ControllerRegistrationResponse, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, ElectLeadersRequest, ElectLeadersResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, UnregisterBrokerRequest,
    UnregisterBrokerResponse, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use kafka_shared::error::{ApiError, ErrorCode};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::driver::{Active, Command, Decided};
use super::error_response::ErrorResponse;
use super::features::{kraft_version_upgrade, update_failed};
use super::heartbeat::Heartbeats;
use super::principal::Principal;
use super::state::{Cx, Outcome, QuorumController};
use crate::metadata::MetadataHandle;
use crate::raft::RaftHandle;
use crate::raft::driver::Status;

/// Who asks, and until when.
#[derive(Debug, Clone)]
pub struct RequestContext {
    pub principal: Arc<Principal>,
    /// How long the caller waits for the answer. Requests with their own time-out use that one.
    pub timeout: Duration,
    /// Whether a broker has checked the request before it came here.
    pub is_forwarded: bool,
}

impl Default for RequestContext {
    fn default() -> Self {
        Self {
            principal: Arc::new(Principal::anonymous()),
            timeout: Duration::from_secs(60),
            is_forwarded: true,
        }
    }
}

/// The controller of this node, which may be the active one. Clones share it.
#[derive(Clone)]
pub struct ControllerHandle {
    commands: mpsc::Sender<Command>,
    metadata: MetadataHandle,
    status: watch::Receiver<Status>,
    raft: RaftHandle,
    active: watch::Receiver<bool>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl std::fmt::Debug for ControllerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControllerHandle")
            .field("is_active", &*self.active.borrow())
            .finish()
    }
}

impl ControllerHandle {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        metadata: MetadataHandle,
        raft: &RaftHandle,
        active: watch::Receiver<bool>,
        task: JoinHandle<()>,
    ) -> Self {
        Self {
            commands,
            metadata,
            status: raft.status(),
            raft: raft.without_stop(),
            active,
            task: Arc::new(Mutex::new(Some(task))),
        }
    }

    /// Whether the controller of this node is the active one.
    pub fn is_active(&self) -> bool {
        *self.active.borrow()
    }

    /// Waits until the controller of this node is the active one; for ever if it never will be.
    pub async fn activated(&self) {
        let mut active = self.active.clone();
        if active.wait_for(|is_active| *is_active).await.is_err() {
            std::future::pending().await
        }
    }

    /// Whether the controller of this node will never be active again.
    pub fn is_stopped(&self) -> bool {
        self.commands.is_closed()
    }

    /// Waits until the controller of this node is the active one; false if it never will be.
    pub async fn wait_until_active(&self, timeout: Duration) -> bool {
        let mut active = self.active.clone();
        let wait = active.wait_for(|is_active| *is_active);
        matches!(tokio::time::timeout(timeout, wait).await, Ok(Ok(_)))
    }

    /// Runs a decision on the controller's task and waits until it is committed and applied.
    async fn call<T: Send + 'static>(
        &self,
        cx: &RequestContext,
        timeout: Duration,
        decide: impl FnOnce(&QuorumController, &Cx<'_>, &mut Heartbeats) -> Result<Outcome<T>, ApiError>
        + Send
        + 'static,
        late: impl FnOnce(&mut Active) + Send + 'static,
    ) -> Result<T, ApiError> {
        let is_forwarded = cx.is_forwarded;
        let (sender, receiver) = oneshot::channel();
        let command: Command = Box::new(move |active| {
            // Nobody waits any more: the deadline has passed while the request was queued.
            if sender.is_closed() {
                if let Ok(active) = active {
                    late(active);
                }
                return;
            }
            let decided = active.and_then(|active| active.decide(is_forwarded, decide));
            // The caller may go away at any moment, which is its own affair.
            drop(sender.send(decided));
        });
        let answer = async {
            self.commands
                .send(command)
                .await
                .map_err(|_| ErrorCode::NOT_CONTROLLER)?;
            let decided = receiver.await.map_err(|_| ErrorCode::NOT_CONTROLLER)??;
            self.committed(decided).await
        };
        match tokio::time::timeout(timeout, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(ErrorCode::REQUEST_TIMED_OUT.into()),
        }
    }

    async fn committed<T>(&self, decided: Decided<T>) -> Result<T, ApiError> {
        let mut status = self.status.clone();
        let is_lost =
            |status: &Status| status.leading_epoch != Some(decided.epoch) || status.is_closed;
        // What a later leader made of the records can't be said: their offsets may be given to
        // others. So the loss of the leadership is looked for first, and once more after the wait.
        tokio::select! {
            biased;
            _ = status.wait_for(is_lost) => Err(ErrorCode::NOT_CONTROLLER.into()),
            applied = self.metadata.wait_for_offset(decided.offset, Duration::MAX) => {
                applied.map_err(|_| ErrorCode::NOT_CONTROLLER)?;
                if is_lost(&self.status.borrow()) {
                    return Err(ErrorCode::NOT_CONTROLLER.into());
                }
                Ok(decided.response)
            }
        }
    }

    /// BrokerHeartbeat. One that has waited for too long still shows that the broker is there.
    pub async fn broker_heartbeat(
        &self,
        cx: &RequestContext,
        request: BrokerHeartbeatRequest,
    ) -> BrokerHeartbeatResponse {
        let request = Arc::new(request);
        let (on_time, late) = (Arc::clone(&request), Arc::clone(&request));
        let decide = move |controller: &QuorumController, cx: &Cx<'_>, hearts: &mut Heartbeats| {
            controller.broker_heartbeat(cx, hearts, &on_time)
        };
        let late = move |active: &mut Active| active.late_heartbeat(&late);
        let answered = self.call(cx, cx.timeout, decide, late).await;
        answered.unwrap_or_else(|error| request.error_response(&error))
    }

    /// UpdateFeatures. `results` names every feature, which versions from 2 on leave out.
    pub async fn update_features(
        &self,
        cx: &RequestContext,
        request: UpdateFeaturesRequest,
    ) -> UpdateFeaturesResponse {
        let Some(level) = kraft_version_upgrade(&request) else {
            return self.update_features_in_log(cx, request).await;
        };
        // Raft keeps this one, so all the others must be fine before it is asked.
        let check = request.clone().with_validate_only(true);
        let checked = self.update_features_in_log(cx, check).await;
        if checked.error_code != ErrorCode::NONE.0 || level <= self.raft.kraft_version() {
            return match request.validate_only || checked.error_code != ErrorCode::NONE.0 {
                true => checked,
                false => self.update_features_in_log(cx, request).await,
            };
        }
        let leading_epoch = self.status.borrow().leading_epoch;
        let Some(epoch) = leading_epoch else {
            return request.error_response(&ErrorCode::NOT_CONTROLLER.into());
        };
        let upgrading = self
            .raft
            .upgrade_kraft_version(epoch, level, request.validate_only);
        match upgrading.await {
            Ok(()) => self.update_features_in_log(cx, request).await,
            Err((ErrorCode::NOT_CONTROLLER, _)) => {
                request.error_response(&ErrorCode::NOT_CONTROLLER.into())
            }
            Err((code, why)) => update_failed(&ApiError::new(
                code,
                why.unwrap_or_else(|| code.message().into()),
            )),
        }
    }

    /// Stops the controller; requests are refused from now on.
    pub async fn shutdown(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.abort();
            // An aborted task ends with an error that says just that.
            drop(task.await);
        }
    }
}

fn request_timeout(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

macro_rules! requests {
    ($(
        $(#[$doc:meta])*
        $name:ident($request:ty) -> $response:ty,
        timeout |$cx:ident, $timed:ident| $timeout:expr,
        decide |$controller:ident, $decide_cx:ident, $heartbeats:ident, $decided:ident| $decide:expr;
    )*) => {
        impl ControllerHandle {
            $($(#[$doc])* pub async fn $name(
                &self,
                cx: &RequestContext,
                request: $request,
            ) -> $response {
                let timeout = {
                    let ($cx, $timed) = (cx, &request);
                    let _ = ($cx, $timed);
                    $timeout
                };
                let request = Arc::new(request);
                let $decided = Arc::clone(&request);
                let decide = move |
                    $controller: &QuorumController,
                    $decide_cx: &Cx<'_>,
                    $heartbeats: &mut Heartbeats,
                | {
                    let _ = (&$decide_cx, &$heartbeats);
                    $decide
                };
                match self.call(cx, timeout, decide, |_| {}).await {
                    Ok(response) => response,
                    Err(error) => request.error_response(&error),
                }
            })*
        }
    };
}

requests! {
    /// CreateTopics, all versions. The configs of the response are filled in.
    create_topics(CreateTopicsRequest) -> CreateTopicsResponse,
        timeout |_cx, request| request_timeout(request.timeout_ms),
        decide |controller, cx, _heartbeats, request| controller.create_topics(cx, &request);
    /// DeleteTopics by name and by id.
    delete_topics(DeleteTopicsRequest) -> DeleteTopicsResponse,
        timeout |_cx, request| request_timeout(request.timeout_ms),
        decide |controller, _cx, _heartbeats, request| controller.delete_topics(&request);
    /// CreatePartitions.
    create_partitions(CreatePartitionsRequest) -> CreatePartitionsResponse,
        timeout |_cx, request| request_timeout(request.timeout_ms),
        decide |controller, cx, _heartbeats, request| controller.create_partitions(cx, &request);
    /// IncrementalAlterConfigs. Resources of loggers are refused.
    incremental_alter_configs(IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse,
        timeout |cx, _request| cx.timeout,
        decide |controller, cx, _heartbeats, request| {
            controller.incremental_alter_configs(cx, &request)
        };
    /// AlterConfigs: replaces all that is set for a resource.
    alter_configs(AlterConfigsRequest) -> AlterConfigsResponse,
        timeout |cx, _request| cx.timeout,
        decide |controller, cx, _heartbeats, request| controller.alter_configs(cx, &request);
    /// AlterClientQuotas.
    alter_client_quotas(AlterClientQuotasRequest) -> AlterClientQuotasResponse,
        timeout |cx, _request| cx.timeout,
        decide |controller, _cx, _heartbeats, request| controller.alter_client_quotas(&request);
    /// AlterUserScramCredentials.
    alter_user_scram_credentials(AlterUserScramCredentialsRequest)
        -> AlterUserScramCredentialsResponse,
        timeout |cx, _request| cx.timeout,
        decide |controller, _cx, _heartbeats, request| {
            Ok(controller.alter_user_scram_credentials(&request))
        };
    /// ElectLeaders.
    elect_leaders(ElectLeadersRequest) -> ElectLeadersResponse,
        timeout |_cx, request| request_timeout(request.timeout_ms),
        decide |controller, _cx, _heartbeats, request| controller.elect_leaders(&request);
    /// AlterPartitionReassignments.
    alter_partition_reassignments(AlterPartitionReassignmentsRequest)
        -> AlterPartitionReassignmentsResponse,
        timeout |_cx, request| request_timeout(request.timeout_ms),
        decide |controller, _cx, _heartbeats, request| {
            controller.alter_partition_reassignments(&request)
        };
    /// ListPartitionReassignments.
    list_partition_reassignments(ListPartitionReassignmentsRequest)
        -> ListPartitionReassignmentsResponse,
        timeout |_cx, request| request_timeout(request.timeout_ms),
        decide |controller, _cx, _heartbeats, request| {
            Ok(Outcome::read(controller.list_partition_reassignments(&request)))
        };
    /// AlterPartition: a leader proposes an ISR.
    alter_partition(AlterPartitionRequest) -> AlterPartitionResponse,
        timeout |cx, _request| cx.timeout,
        decide |controller, _cx, _heartbeats, request| controller.alter_partition(&request);
    /// AllocateProducerIds.
    allocate_producer_ids(AllocateProducerIdsRequest) -> AllocateProducerIdsResponse,
        timeout |cx, _request| cx.timeout,
        decide |controller, _cx, _heartbeats, request| controller.allocate_producer_ids(&request);
    /// AssignReplicasToDirs.
    assign_replicas_to_dirs(AssignReplicasToDirsRequest) -> AssignReplicasToDirsResponse,
        timeout |cx, _request| cx.timeout,
        decide |controller, _cx, _heartbeats, request| {
            controller.assign_replicas_to_dirs(&request)
        };
    /// BrokerRegistration.
    register_broker(BrokerRegistrationRequest) -> BrokerRegistrationResponse,
        timeout |cx, _request| cx.timeout,
        decide |controller, cx, heartbeats, request| {
            controller.register_broker(cx, heartbeats, &request)
        };
    /// ControllerRegistration.
    register_controller(ControllerRegistrationRequest) -> ControllerRegistrationResponse,
        timeout |cx, _request| cx.timeout,
        decide |controller, _cx, _heartbeats, request| controller.register_controller(&request);
    /// UnregisterBroker.
    unregister_broker(UnregisterBrokerRequest) -> UnregisterBrokerResponse,
        timeout |cx, _request| cx.timeout,
        decide |controller, _cx, _heartbeats, request| controller.unregister_broker(&request);
    /// UpdateFeatures, of features that are in the log, or checked only.
    update_features_in_log(UpdateFeaturesRequest) -> UpdateFeaturesResponse,
        timeout |_cx, request| request_timeout(request.timeout_ms),
        decide |controller, cx, _heartbeats, request| Ok(controller.update_features(cx, &request));
}
