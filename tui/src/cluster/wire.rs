//! The one gate between this program and a cluster: every request passes here, with a deadline,
//! with its failure told in words, and never a changing one in a read-only session.

use std::sync::Arc;
use std::time::Duration;

use kafka_shared::client::{
    Client, ClientConfig, ClientError, ClusterGuard, Connection, ConnectionConfig, Security,
    SendOptions, Undecoded,
};
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::protocol::own::OwnRequest;
use kafka_shared::protocol::{Request, Response, api};
use kafka_shared::time::Clock;
use kafka_shared::types::Endpoint;

use super::metrics::MetricsOptions;
use super::registry::{Registry, RegistryOptions};
use crate::model::{Fault, FaultKind, Taken};

/// How long one broker may take for its part of an answer that is collected from all of them.
const PART_TIMEOUT_MS: u64 = 8_000;

/// How often, and after which pause, a broker is asked again whether it has learned what is new.
pub(super) const VERIFY_ATTEMPTS: usize = 15;
pub(super) const VERIFY_PAUSE: Duration = Duration::from_millis(200);

/// How to reach a cluster and what may be done there.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    pub bootstrap: Vec<Endpoint>,
    /// Refuses every request that changes something.
    pub read_only: bool,
    pub client_id: String,
    /// For resolving, connecting and negotiating, all together.
    pub connect_timeout_ms: u64,
    /// For one request.
    pub request_timeout_ms: u64,
    pub security: Security,
    /// The id that the cluster had when it was saved: no change goes to another one.
    pub saved_cluster_id: Option<String>,
    /// Where schemas of records are.
    pub registry: Option<RegistryOptions>,
    /// Where brokers tell their figures.
    pub metrics: Option<MetricsOptions>,
}

impl ConnectOptions {
    pub fn new(bootstrap: Vec<Endpoint>) -> Self {
        Self {
            bootstrap,
            read_only: false,
            client_id: "kafka-tui".to_owned(),
            connect_timeout_ms: 5_000,
            request_timeout_ms: 15_000,
            security: Security::default(),
            saved_cluster_id: None,
            registry: None,
            metrics: None,
        }
    }
}

/// A session with one cluster. Clones share its connections.
#[derive(Clone, Debug)]
pub struct ClusterClient {
    pub(super) client: Client,
    clock: Arc<dyn Clock>,
    options: Arc<ConnectOptions>,
    guard: Arc<ClusterGuard>,
    registry: Option<Registry>,
}

/// Who is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    /// Any broker that answers.
    Any,
    Controller,
    Node(i32),
}

impl ClusterClient {
    /// Makes a session. Nothing is sent before the first call.
    pub fn new(options: ConnectOptions, clock: Arc<dyn Clock>) -> Self {
        let guard = Arc::new(ClusterGuard::new(options.saved_cluster_id.clone()));
        let connection = ConnectionConfig {
            security: options.security.clone(),
            guard: Some(Arc::clone(&guard)),
            client_id: options.client_id.clone(),
            software_name: env!("CARGO_PKG_NAME").to_owned(),
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            connect_timeout_ms: options.connect_timeout_ms,
            request_timeout_ms: options.request_timeout_ms,
            is_lean: true,
            ..ConnectionConfig::default()
        };
        let config = ClientConfig {
            connection,
            ..ClientConfig::new(options.bootstrap.clone())
        };
        Self {
            client: Client::new(config),
            registry: options.registry.clone().map(Registry::new),
            clock,
            options: Arc::new(options),
            guard,
        }
    }

    /// The connections beneath, for the demo's group members, which are clients of their own.
    pub(crate) fn raw(&self) -> &Client {
        &self.client
    }

    /// Tells which cluster answered: the first one is the one that is meant, if none was saved.
    pub(super) fn see_cluster(&self, id: &str) {
        self.guard.see(id);
    }

    /// Where schemas of records come from, if the cluster has such a place.
    pub fn registry(&self) -> Option<&Registry> {
        self.registry.as_ref()
    }

    pub fn is_read_only(&self) -> bool {
        self.options.read_only
    }

    pub fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// The time of now, as results carry it.
    pub fn now(&self) -> Taken {
        Taken {
            monotonic_ms: self.clock.monotonic_ms(),
            wall_ms: self.clock.wall_ms(),
        }
    }

    /// # Errors
    /// A refusal when this session is read-only.
    pub fn refuse_if_read_only(&self, what: &str) -> Result<(), Fault> {
        if self.options.read_only {
            return Err(Fault::refused(what, "this session is read-only")
                .with_hint("start it again without --read-only, or with --read-write"));
        }
        Ok(())
    }

    pub(super) fn may_send<R: Request>(&self, what: &str) -> Result<(), Fault> {
        if api::is_read_only(R::KEY) {
            Ok(())
        } else {
            self.refuse_if_read_only(what)
        }
    }

    pub(super) async fn connection(&self, what: &str, to: To) -> Result<Connection, Fault> {
        match to {
            To::Any => self.client.any().await,
            To::Controller => self.client.controller().await,
            To::Node(id) => self.client.node(id).await,
        }
        .map_err(|error| client_fault(what, &error))
    }

    /// Sends one request and waits for its answer.
    pub(super) async fn ask<R: Request>(
        &self,
        what: &str,
        to: To,
        request: R,
    ) -> Result<R::Response, Fault> {
        self.ask_with(what, to, request, SendOptions::default())
            .await
    }

    pub(super) async fn ask_with<R: Request>(
        &self,
        what: &str,
        to: To,
        request: R,
        options: SendOptions,
    ) -> Result<R::Response, Fault> {
        decoded(what, self.ask_undecoded(what, to, request, options).await?)
    }

    /// As [`Self::ask_with`], without looking into the answer.
    pub(super) async fn ask_undecoded<R: Request>(
        &self,
        what: &str,
        to: To,
        request: R,
        options: SendOptions,
    ) -> Result<Undecoded<R::Response>, Fault> {
        self.may_send::<R>(what)?;
        let connection = self.connection(what, to).await?;
        // A connection that idled too long is found closed when it is used: worth one more try.
        let again =
            (api::is_read_only(R::KEY) && !matches!(to, To::Node(_))).then(|| request.clone());
        let mut answer = connection.send_undecoded(request, options).await;
        if let (Err(ClientError::Closed { .. }), Some(request)) = (&answer, again) {
            let connection = self.connection(what, to).await?;
            answer = connection.send_undecoded(request, options).await;
        }
        answer.map_err(|error| client_fault(what, &error))
    }

    /// As [`Self::ask`], for one broker's part of an answer that is collected from many: a broker
    /// that hangs does not hold the others up for long.
    pub(super) async fn ask_part<R: Request>(
        &self,
        what: &str,
        node: i32,
        request: R,
        version_max: Option<i16>,
    ) -> Result<R::Response, Fault> {
        let answer = self.ask_part_undecoded(what, node, request, version_max);
        decoded(what, answer.await?)
    }

    /// As [`Self::ask_part`], without looking into the answer.
    pub(super) async fn ask_part_undecoded<R: Request>(
        &self,
        what: &str,
        node: i32,
        request: R,
        version_max: Option<i16>,
    ) -> Result<Undecoded<R::Response>, Fault> {
        let options = SendOptions {
            version_max,
            timeout_ms: Some(PART_TIMEOUT_MS),
        };
        let answer = self.ask_undecoded(what, To::Node(node), request, options);
        within(what, node, answer).await
    }

    /// As [`Self::ask_part`], of an API that kafka-protocol lacks; none of these changes anything.
    pub(super) async fn ask_part_own<R: OwnRequest>(
        &self,
        what: &str,
        node: i32,
        request: &R,
    ) -> Result<R::Response, Fault> {
        let answer = async {
            let connection = self.connection(what, To::Node(node)).await?;
            let answer = connection.send_own(request, Some(PART_TIMEOUT_MS)).await;
            answer.map_err(|error| client_fault(what, &error))
        };
        within(what, node, answer).await
    }
}

/// One broker's part of an answer, or that it did not come.
async fn within<T>(
    what: &str,
    node: i32,
    answer: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(Duration::from_millis(PART_TIMEOUT_MS), answer).await {
        Ok(answer) => answer,
        Err(_) => {
            let why = format!("no answer from broker {node} within {PART_TIMEOUT_MS} ms");
            Err(Fault::new(FaultKind::Unreachable, what, why))
        }
    }
}

/// Looks into an answer.
pub(super) fn decoded<B: Response>(what: &str, answer: Undecoded<B>) -> Result<B, Fault> {
    answer.decode().map_err(|error| client_fault(what, &error))
}

/// Tells what went wrong between a call and its answer.
pub(super) fn client_fault(what: &str, error: &ClientError) -> Fault {
    let kind = kind_of_client(error);
    let mut why = error.to_string();
    if error.may_have_been_done() {
        why.push_str("; the broker may have done it all the same");
    }
    Fault::new(kind, what, why).with_hint(error.hint())
}

fn kind_of_client(error: &ClientError) -> FaultKind {
    match error {
        ClientError::Unsupported { .. } | ClientError::Encode { .. } => FaultKind::Unsupported,
        ClientError::Sasl { .. } | ClientError::Tls { .. } | ClientError::OtherCluster { .. } => {
            FaultKind::Refused
        }
        ClientError::NoBroker { failures } => {
            // What all of them say is what is the matter: a wrong password at each.
            let mut kinds = failures.iter().map(kind_of_client);
            match kinds.next() {
                Some(first) if kinds.all(|kind| kind == first) => first,
                _ => FaultKind::Unreachable,
            }
        }
        ClientError::Api { error, .. } => kind_of(error.code),
        ClientError::UnknownNode { .. } => FaultKind::Unreachable,
        _ => FaultKind::Unreachable,
    }
}

fn kind_of(code: ErrorCode) -> FaultKind {
    match code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::UNKNOWN_TOPIC_ID
        | ErrorCode::GROUP_ID_NOT_FOUND
        | ErrorCode::RESOURCE_NOT_FOUND
        | ErrorCode::NO_REASSIGNMENT_IN_PROGRESS => FaultKind::NotFound,
        ErrorCode::TOPIC_ALREADY_EXISTS => FaultKind::AlreadyExists,
        ErrorCode::UNSUPPORTED_VERSION => FaultKind::Unsupported,
        ErrorCode::REQUEST_TIMED_OUT | ErrorCode::NETWORK_EXCEPTION => FaultKind::Unreachable,
        code if code.is_retriable() => FaultKind::Failed,
        ErrorCode::UNKNOWN_SERVER_ERROR | ErrorCode::KAFKA_STORAGE_ERROR => FaultKind::Failed,
        _ => FaultKind::Refused,
    }
}

/// Checks an error code of an answer; the broker's own words are kept.
pub(super) fn check_code(what: &str, code: i16, message: Option<&str>) -> Result<(), Fault> {
    ApiError::check(code, message.map(said)).map_err(|error| {
        let fault = Fault::new(kind_of(error.code), what, error.to_string());
        match hint_of(error.code) {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        }
    })
}

/// What a broker says, without the request that Apache Kafka prints before the right that is missing
/// (`Request Request(processor=…, …) needs DESCRIBE permission.`).
fn said(message: &str) -> &str {
    match message.rsplit_once(") needs ") {
        Some((request, _)) if request.starts_with("Request Request(") => {
            message.get(request.len() + 2..).unwrap_or(message)
        }
        _ => message,
    }
}

fn hint_of(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => "list the topics to see their names",
        ErrorCode::GROUP_ID_NOT_FOUND => "list the groups to see their names",
        ErrorCode::NON_EMPTY_GROUP => "stop the group's members first",
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => {
            "ask an administrator for the right: kafka-acls --add --allow-principal User:NAME \
             --operation OPERATION --topic TOPIC"
        }
        ErrorCode::GROUP_AUTHORIZATION_FAILED => {
            "ask an administrator for the right: kafka-acls --add --allow-principal User:NAME \
             --operation OPERATION --group GROUP"
        }
        ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => {
            "ask an administrator for the right: kafka-acls --add --allow-principal User:NAME \
             --operation OPERATION --transactional-id ID"
        }
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
            "ask an administrator for the right: kafka-acls --add --allow-principal User:NAME \
             --operation OPERATION --cluster; Describe and DescribeConfigs to see, Alter and \
             AlterConfigs to change"
        }
        ErrorCode::SECURITY_DISABLED => "brokers keep rules where authorizer.class.name is set",
        code if code.is_retriable() => "try again in a moment",
        _ => return None,
    })
}
