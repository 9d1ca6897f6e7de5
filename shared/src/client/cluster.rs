//! A client of a whole cluster: one connection to each node, and which node to ask.
//!
//! Nothing is connected before it is needed. A node that could not be reached is not tried again
//! before the back-off is over: callers in between get the same error at once, and don't queue up
//! behind a time-out. An answer that says "not here" makes the client forget what it believed, ask
//! again and repeat the request, until the call's time is over.
//!
//! A request whose answer was lost is sent again only if it changes nothing
//! ([`api::is_read_only`]): whether to repeat a change is the caller's decision.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    FindCoordinatorRequest, MetadataRequest, MetadataResponse, TopicName,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::connection::{Connection, SendOptions, deadline_in};
use super::error::{ClientError, Step};
use super::routing::{Cluster, CoordinatorType, Node, Routing};
use super::{ClientConfig, ConnectionConfig};
use crate::error::{ApiError, ErrorCode};
use crate::protocol::{Request, StrBytes, api};
use crate::types::{Endpoint, TopicPartition};

/// The first version of Metadata in which a request can forbid that topics are created.
const METADATA_WITHOUT_CREATION: i16 = 4;

/// The first version of FindCoordinator that asks for a list of keys.
const FIND_COORDINATOR_BATCHED: i16 = 4;

/// Whom a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Any,
    Node(i32),
    Controller,
    Coordinator(CoordinatorType, String),
    Leader(TopicPartition),
}

impl Route {
    /// Whether this error of a response says that the request went to the wrong node, or came at
    /// a moment when there was no right one.
    pub fn is_routing_error(&self, code: ErrorCode) -> bool {
        let codes: &[ErrorCode] = match self {
            Route::Any | Route::Node(_) => &[],
            Route::Controller => &[ErrorCode::NOT_CONTROLLER],
            Route::Coordinator(..) => &[
                ErrorCode::NOT_COORDINATOR,
                ErrorCode::COORDINATOR_NOT_AVAILABLE,
                ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            ],
            Route::Leader(_) => &[
                ErrorCode::NOT_LEADER_OR_FOLLOWER,
                ErrorCode::LEADER_NOT_AVAILABLE,
                ErrorCode::REPLICA_NOT_AVAILABLE,
                ErrorCode::FENCED_LEADER_EPOCH,
                ErrorCode::UNKNOWN_LEADER_EPOCH,
            ],
        };
        codes.contains(&code)
    }
}

/// A client of one cluster; clones share its connections and its memory.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ClientConfig,
    started: Instant,
    routing: Mutex<Routing>,
    /// Connections by node; those to bootstrap servers are in `bootstrap`.
    slots: Mutex<HashMap<i32, Arc<Slot>>>,
    bootstrap: Vec<Arc<Slot>>,
    /// One refresh at a time: who comes second finds it done.
    refreshing: tokio::sync::Mutex<()>,
}

/// The place of one connection.
#[derive(Debug)]
struct Slot {
    endpoint: Endpoint,
    state: tokio::sync::Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    connection: Option<Connection>,
    /// Until when not to try again, and why.
    failure: Option<(Instant, ClientError)>,
}

impl Slot {
    fn new(endpoint: Endpoint) -> Arc<Slot> {
        Arc::new(Slot {
            endpoint,
            state: tokio::sync::Mutex::default(),
        })
    }

    /// The connection if there is one that can be used right now.
    fn existing(&self) -> Option<Connection> {
        let state = self.state.try_lock().ok()?;
        state.connection.clone().filter(Connection::is_usable)
    }

    /// The connection, made if there is none. Whoever comes while it is being made waits for it,
    /// which takes no longer than the time for connecting.
    async fn get(
        &self,
        config: &ConnectionConfig,
        backoff_ms: u64,
    ) -> Result<Connection, ClientError> {
        let mut state = self.state.lock().await;
        if let Some(connection) = state.connection.as_ref().filter(|each| each.is_usable()) {
            return Ok(connection.clone());
        }
        state.connection = None;
        if let Some((until, error)) = &state.failure
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        match Connection::connect(&self.endpoint, config).await {
            Ok(connection) => {
                *state = SlotState {
                    connection: Some(connection.clone()),
                    failure: None,
                };
                Ok(connection)
            }
            Err(error) => {
                state.failure = Some((deadline_in(backoff_ms), error.clone()));
                Err(error)
            }
        }
    }
}

impl Client {
    /// A client that has done nothing yet.
    pub fn new(config: ClientConfig) -> Client {
        let bootstrap = config.bootstrap.iter().cloned().map(Slot::new).collect();
        let inner = Inner {
            started: Instant::now(),
            routing: Mutex::new(Routing::new(config.metadata_max_age_ms)),
            slots: Mutex::new(HashMap::new()),
            bootstrap,
            refreshing: tokio::sync::Mutex::new(()),
            config,
        };
        Client {
            inner: Arc::new(inner),
        }
    }

    /// A client that has reached a broker and knows the cluster's nodes.
    ///
    /// # Errors
    /// What kept each bootstrap server from answering.
    pub async fn connect(config: ClientConfig) -> Result<Client, ClientError> {
        let client = Client::new(config);
        client.refresh().await?;
        Ok(client)
    }

    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.inner.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A connection to any broker: one that is there already, or else to a node that is known, or
    /// else to the first bootstrap server that answers.
    ///
    /// # Errors
    /// [`ClientError::NoBroker`] with what was wrong with each.
    pub async fn any(&self) -> Result<Connection, ClientError> {
        let config = &self.inner.config;
        let give_up = deadline_in(config.bootstrap_retry_ms);
        let mut backoff = Backoff::new(config);
        loop {
            let failures = match self.any_once().await {
                Ok(connection) => return Ok(connection),
                Err(failures) => failures,
            };
            if failures.is_empty() || !backoff.wait(give_up).await {
                return Err(ClientError::NoBroker { failures });
            }
        }
    }

    async fn any_once(&self) -> Result<Connection, Vec<ClientError>> {
        let mut slots: Vec<Arc<Slot>> = self.inner.slots.lock().values().cloned().collect();
        slots.extend(self.inner.bootstrap.iter().cloned());
        if let Some(connection) = slots.iter().find_map(|slot| slot.existing()) {
            return Ok(connection);
        }
        // A node's address may be one of the bootstrap servers': asking twice tells nothing new.
        slots.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        slots.dedup_by(|a, b| a.endpoint == b.endpoint);
        let order = |slot: &Arc<Slot>| {
            let bootstrap = &self.inner.config.bootstrap;
            bootstrap
                .iter()
                .position(|endpoint| *endpoint == slot.endpoint)
        };
        // Bootstrap servers in their order, then the rest.
        slots.sort_by_key(|slot| order(slot).unwrap_or(usize::MAX));
        let mut failures = Vec::new();
        for slot in slots {
            match self.open(&slot).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failures.push(error),
            }
        }
        Err(failures)
    }

    async fn open(&self, slot: &Slot) -> Result<Connection, ClientError> {
        let config = &self.inner.config;
        slot.get(&config.connection, config.retry_backoff_ms).await
    }

    /// The cluster's nodes; asked for when what is known is too old.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn cluster(&self) -> Result<Arc<Cluster>, ClientError> {
        let known = self.inner.routing.lock().cluster(self.now_ms());
        match known {
            Some(cluster) => Ok(cluster),
            None => self.refresh().await,
        }
    }

    /// The cluster's nodes as they were last seen, without asking anybody.
    pub fn last_cluster(&self) -> Option<Arc<Cluster>> {
        self.inner.routing.lock().last_cluster()
    }

    /// Asks for the cluster's nodes now, whatever is known.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn refresh(&self) -> Result<Arc<Cluster>, ClientError> {
        let asked_ms = self.now_ms();
        let _turn = self.inner.refreshing.lock().await;
        // Somebody else's answer came while this call waited for its turn.
        let known = self.inner.routing.lock().cluster_learned_after(asked_ms);
        if let Some(cluster) = known {
            return Ok(cluster);
        }
        let response = self.metadata(Vec::new()).await?;
        Ok(self.learn_cluster(&response))
    }

    /// Metadata of these topics only; an empty list is the cluster without topics.
    async fn metadata(
        &self,
        topics: Vec<MetadataRequestTopic>,
    ) -> Result<MetadataResponse, ClientError> {
        let connection = self.any().await?;
        let mut request = MetadataRequest::default().with_topics(Some(topics));
        if connection.version_of::<MetadataRequest>()? >= METADATA_WITHOUT_CREATION {
            request.allow_auto_topic_creation = false;
        }
        connection.send(request).await
    }

    fn learn_cluster(&self, response: &MetadataResponse) -> Arc<Cluster> {
        let cluster = Cluster::from_metadata(response);
        let mut slots = self.inner.slots.lock();
        slots.retain(|id, slot| {
            cluster
                .nodes
                .get(id)
                .is_some_and(|node| node.endpoint == slot.endpoint)
        });
        drop(slots);
        self.inner
            .routing
            .lock()
            .learn_cluster(cluster, self.now_ms())
    }

    /// A connection to a node by its id.
    ///
    /// # Errors
    /// The cluster has no such node, or it cannot be reached.
    pub async fn node(&self, id: i32) -> Result<Connection, ClientError> {
        let node = self.find_node(id).await?;
        let slot = self.slot(&node);
        let result = self.open(&slot).await;
        if result.is_err() {
            // It may have come back elsewhere.
            self.inner.routing.lock().forget_cluster();
        }
        result
    }

    /// A connection to a node that nobody else gets, for requests that wait long at the broker.
    ///
    /// # Errors
    /// As [`Client::node`].
    pub async fn dedicated(&self, id: i32) -> Result<Connection, ClientError> {
        let node = self.find_node(id).await?;
        Connection::connect(&node.endpoint, &self.inner.config.connection).await
    }

    async fn find_node(&self, id: i32) -> Result<Node, ClientError> {
        let known = self.cluster().await?;
        if let Some(node) = known.nodes.get(&id) {
            return Ok(node.clone());
        }
        let cluster = self.refresh().await?;
        cluster
            .nodes
            .get(&id)
            .cloned()
            .ok_or(ClientError::UnknownNode { id })
    }

    fn slot(&self, node: &Node) -> Arc<Slot> {
        let mut slots = self.inner.slots.lock();
        let slot = slots
            .entry(node.id)
            .or_insert_with(|| Slot::new(node.endpoint.clone()));
        if slot.endpoint != node.endpoint {
            *slot = Slot::new(node.endpoint.clone());
        }
        slot.clone()
    }

    /// A connection to the controller, or, in a KRaft cluster, to a broker that forwards to it.
    ///
    /// # Errors
    /// No controller is known, or the node cannot be reached.
    pub async fn controller(&self) -> Result<Connection, ClientError> {
        let mut cluster = self.cluster().await?;
        if cluster.controller_id.is_none() {
            cluster = self.refresh().await?;
        }
        let id = cluster.controller_id.ok_or_else(|| ClientError::Api {
            what: "looking for the controller".to_owned(),
            error: ApiError::new(
                ErrorCode::NOT_CONTROLLER,
                "the cluster has no controller now",
            ),
        })?;
        self.node(id).await
    }

    /// A connection to the coordinator of a group, a transactional id or a share partition.
    ///
    /// # Errors
    /// There is none at the moment, or it cannot be reached.
    pub async fn coordinator(
        &self,
        key: &str,
        kind: CoordinatorType,
    ) -> Result<Connection, ClientError> {
        let known = self
            .inner
            .routing
            .lock()
            .coordinator(kind, key, self.now_ms());
        let result = match known {
            Some(id) => self.node(id).await,
            None => {
                let node = self.find_coordinator(key, kind).await?;
                self.open(&self.slot(&node)).await
            }
        };
        if result.is_err() {
            self.inner.routing.lock().forget_coordinator(kind, key);
        }
        result
    }

    async fn find_coordinator(
        &self,
        key: &str,
        kind: CoordinatorType,
    ) -> Result<Node, ClientError> {
        let connection = self.any().await?;
        let version = connection.version_of::<FindCoordinatorRequest>()?;
        let text = StrBytes::from_string(key.to_owned());
        let request = FindCoordinatorRequest::default().with_key_type(kind.key_type());
        let request = if version >= FIND_COORDINATOR_BATCHED {
            request.with_coordinator_keys(vec![text])
        } else {
            request.with_key(text)
        };
        let response = connection.send(request).await?;
        let now_ms = self.now_ms();
        let learned = self
            .inner
            .routing
            .lock()
            .learn_coordinator(kind, key, &response, now_ms);
        let what = format!("looking for the coordinator of {key}");
        learned.map_err(|error| ClientError::Api { what, error })
    }

    /// A connection to the leader of a partition.
    ///
    /// # Errors
    /// The partition is unknown, has no leader, or the leader cannot be reached.
    pub async fn leader(&self, partition: &TopicPartition) -> Result<Connection, ClientError> {
        let known = |client: &Client| {
            let routing = client.inner.routing.lock();
            routing.leader(&partition.topic, partition.partition, client.now_ms())
        };
        let fail = |error: ApiError| {
            let what = format!("looking for the leader of {partition}");
            ClientError::Api { what, error }
        };
        let id = match known(self) {
            Some(Ok(id)) => id,
            // What was learned may have changed since.
            Some(Err(_)) | None => {
                self.learn_leaders(&partition.topic).await?.map_err(fail)?;
                let unknown = Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
                known(self)
                    .unwrap_or(unknown)
                    .map_err(|code| fail(code.into()))?
            }
        };
        let result = self.node(id).await;
        if result.is_err() {
            self.inner.routing.lock().forget_leaders(&partition.topic);
        }
        result
    }

    async fn learn_leaders(&self, topic: &str) -> Result<Result<(), ApiError>, ClientError> {
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let asked = MetadataRequestTopic::default().with_name(Some(name));
        let response = self.metadata(vec![asked]).await?;
        self.learn_cluster(&response);
        Ok(self
            .inner
            .routing
            .lock()
            .learn_leaders(&response, self.now_ms()))
    }

    /// A connection to whom the route leads.
    ///
    /// # Errors
    /// Those of the method for this kind of route.
    pub async fn route(&self, route: &Route) -> Result<Connection, ClientError> {
        match route {
            Route::Any => self.any().await,
            Route::Node(id) => self.node(*id).await,
            Route::Controller => self.controller().await,
            Route::Coordinator(kind, key) => self.coordinator(key, *kind).await,
            Route::Leader(partition) => self.leader(partition).await,
        }
    }

    /// Forgets where a route leads, so that it is asked for at the next use.
    pub fn forget(&self, route: &Route) {
        let mut routing = self.inner.routing.lock();
        match route {
            Route::Any => {}
            Route::Node(_) | Route::Controller => routing.forget_cluster(),
            Route::Coordinator(kind, key) => routing.forget_coordinator(*kind, key),
            Route::Leader(partition) => routing.forget_leaders(&partition.topic),
        }
    }

    /// Sends a request to whom it is for, and again when the answer says that it went to the wrong
    /// node, as long as the time for one request isn't over. `error_of` finds the error code in
    /// the response that would say so; the last response is returned whatever it says.
    ///
    /// # Errors
    /// Nobody could be asked, or no answer came. A request that changes something is not repeated
    /// after an error of which [`ClientError::may_have_been_done`] is true.
    pub async fn send_to<R: Request>(
        &self,
        route: &Route,
        request: R,
        error_of: impl Fn(&R::Response) -> ErrorCode,
    ) -> Result<R::Response, ClientError> {
        self.send_to_with(route, request, SendOptions::default(), error_of)
            .await
    }

    /// As [`Client::send_to`], with other limits. The time is for all attempts together.
    ///
    /// # Errors
    /// As [`Client::send_to`].
    pub async fn send_to_with<R: Request>(
        &self,
        route: &Route,
        request: R,
        options: SendOptions,
        error_of: impl Fn(&R::Response) -> ErrorCode,
    ) -> Result<R::Response, ClientError> {
        let config = &self.inner.config;
        let timeout_ms = options
            .timeout_ms
            .unwrap_or(config.connection.request_timeout_ms);
        let deadline = deadline_in(timeout_ms);
        let mut backoff = Backoff::new(config);
        let mut previous = None;
        loop {
            let step = Step::Request(R::KEY as i16);
            let attempt = self.attempt(route, &request, options, deadline);
            let result = self.until(deadline, step, timeout_ms, attempt).await;
            let again = match &result {
                Ok(response) => route.is_routing_error(error_of(response)),
                Err(error) => {
                    let is_safe = !error.may_have_been_done() || api::is_read_only(R::KEY);
                    is_safe && error.is_retriable()
                }
            };
            if !again {
                return result;
            }
            self.forget(route);
            let is_over = !backoff.wait(deadline).await;
            match (result, previous) {
                // That time ran out says less than what kept it from succeeding before.
                (Err(ClientError::Timeout { .. }), Some(earlier)) if is_over => return earlier,
                (result, _) if is_over => return result,
                (result, _) => previous = Some(result),
            }
        }
    }

    async fn attempt<R: Request>(
        &self,
        route: &Route,
        request: &R,
        options: SendOptions,
        deadline: Instant,
    ) -> Result<R::Response, ClientError> {
        let connection = self.route(route).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        connection
            .send_ref(
                request,
                SendOptions {
                    timeout_ms: Some(timeout_ms),
                    ..options
                },
            )
            .await
    }

    /// Bounds the steps of an attempt that have time-outs of their own.
    async fn until<T>(
        &self,
        deadline: Instant,
        step: Step,
        timeout_ms: u64,
        attempt: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        // Some time more, so that the step that is late can say so itself.
        let deadline = deadline + Duration::from_millis(50);
        timeout_at(deadline, attempt).await.unwrap_or_else(|_| {
            let endpoint = self.inner.config.bootstrap.first().cloned();
            let endpoint = endpoint.unwrap_or_else(|| Endpoint::new("nowhere", 0));
            Err(ClientError::Timeout {
                endpoint,
                step,
                timeout_ms,
            })
        })
    }
}

/// Pauses between attempts, each twice as long as the one before.
struct Backoff {
    next_ms: u64,
    max_ms: u64,
}

impl Backoff {
    fn new(config: &ClientConfig) -> Backoff {
        Backoff {
            next_ms: config.retry_backoff_ms.max(1),
            max_ms: config.retry_backoff_max_ms,
        }
    }

    /// Waits, unless the pause would end after `give_up`; then it returns false at once.
    async fn wait(&mut self, give_up: Instant) -> bool {
        let until = deadline_in(self.next_ms);
        self.next_ms = self.next_ms.saturating_mul(2).min(self.max_ms.max(1));
        if until >= give_up {
            return false;
        }
        sleep_until(until).await;
        true
    }
}
