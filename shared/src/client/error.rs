//! What can go wrong between a call and its answer, by the step at which it did.
//!
//! Errors are cheap to clone, because a lost connection fails every request on it in the same way.

use std::fmt;
use std::ops::RangeInclusive;

use kafka_protocol::messages::ApiKey;

use crate::error::ApiError;
use crate::protocol::api;
use crate::types::Endpoint;

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Resolve,
    Connect,
    Tls,
    Sasl,
    ApiVersions,
    Request(ApiKey),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Resolve => f.write_str("resolving the host name"),
            Step::Connect => f.write_str("connecting"),
            Step::Tls => f.write_str("the TLS handshake"),
            Step::Sasl => f.write_str("the SASL authentication"),
            Step::ApiVersions => f.write_str("asking for the API versions"),
            Step::Request(key) => f.write_str(api::name(*key as i16)),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    #[error("cannot resolve the host of {endpoint}: {reason}")]
    Resolve { endpoint: Endpoint, reason: String },
    #[error("cannot connect to {endpoint}: {reason}")]
    Connect { endpoint: Endpoint, reason: String },
    #[error("the TLS handshake with {endpoint} failed: {reason}")]
    Tls { endpoint: Endpoint, reason: String },
    #[error("{endpoint} refused the authentication: {reason}")]
    Sasl { endpoint: Endpoint, reason: String },
    #[error("{endpoint} did not tell which API versions it speaks: {reason}")]
    ApiVersions { endpoint: Endpoint, reason: String },
    #[error("no answer from {endpoint} within {timeout_ms} ms ({step})")]
    Timeout {
        endpoint: Endpoint,
        step: Step,
        timeout_ms: u64,
    },
    /// `was_sent`: the broker may have seen the request.
    #[error("the connection to {endpoint} was lost: {reason}")]
    Closed {
        endpoint: Endpoint,
        reason: String,
        was_sent: bool,
    },
    #[error("{endpoint} broke the protocol: {reason}")]
    Protocol { endpoint: Endpoint, reason: String },
    #[error(
        "{endpoint} and this program have no common version of {}: it offers {}, this is {}",
        api::name(*.key as i16), Range(.theirs), Range(&Some(.ours.clone()))
    )]
    Unsupported {
        endpoint: Endpoint,
        key: ApiKey,
        ours: RangeInclusive<i16>,
        theirs: Option<RangeInclusive<i16>>,
    },
    /// The request itself cannot be written in the version that the broker speaks.
    #[error("{reason}")]
    Encode { reason: String },
    /// The broker answered with an error, in a step that the client took by itself.
    #[error("{what}: {error}")]
    Api { what: String, error: ApiError },
    /// No server that is known can be reached; what was wrong with each.
    #[error("no broker can be reached: {}", Joined(.failures))]
    NoBroker { failures: Vec<ClientError> },
    #[error("the cluster has no node {id}")]
    UnknownNode { id: i32 },
}

struct Range<'a>(&'a Option<RangeInclusive<i16>>);

impl fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(range) => write!(f, "{} to {}", range.start(), range.end()),
        }
    }
}

struct Joined<'a>(&'a [ClientError]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no bootstrap server was given");
        }
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl ClientError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            ClientError::Resolve { .. } => "check the spelling of the host name and the DNS",
            ClientError::Connect { .. } => {
                "check that a broker runs there, that the port is right and no firewall is between"
            }
            ClientError::Tls { .. } => "check the certificates, and that the port is a TLS one",
            ClientError::Sasl { .. } => "check the mechanism, the user name and the password",
            ClientError::ApiVersions { .. } => {
                "check that this is a Kafka broker's port, and that it wants neither TLS nor SASL"
            }
            ClientError::Timeout {
                step: Step::ApiVersions,
                ..
            } => "check that this is a Kafka broker's port, and that it wants neither TLS nor SASL",
            ClientError::Timeout { .. } => "the broker is busy or cut off; try again",
            ClientError::Closed { .. } => "the broker was stopped, or closes idle connections",
            ClientError::Protocol { .. } => "check that this is a Kafka broker",
            ClientError::Unsupported { .. } => "the broker is too old or too new for this",
            ClientError::Encode { .. } => "the broker is too old for what was asked",
            ClientError::Api { error, .. } if error.code.is_retriable() => "try again later",
            ClientError::Api { .. } => "the broker's log says more",
            ClientError::NoBroker { failures } => failures
                .first()
                .map_or("give a bootstrap server, as host:port", ClientError::hint),
            ClientError::UnknownNode { .. } => "the node may be down; list the brokers",
        }
    }

    /// Whether the same may succeed when it is tried again, with no change by anybody.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Resolve { .. }
            | ClientError::Connect { .. }
            | ClientError::Timeout { .. }
            | ClientError::Closed { .. }
            | ClientError::UnknownNode { .. } => true,
            ClientError::Api { error, .. } => error.code.is_retriable(),
            ClientError::NoBroker { failures } => failures.iter().any(ClientError::is_retriable),
            ClientError::Tls { .. }
            | ClientError::Sasl { .. }
            | ClientError::ApiVersions { .. }
            | ClientError::Protocol { .. }
            | ClientError::Unsupported { .. }
            | ClientError::Encode { .. } => false,
        }
    }

    /// Whether the broker may have got the request, and so may have done what it asks for.
    pub fn may_have_been_done(&self) -> bool {
        match self {
            ClientError::Timeout {
                step: Step::Request(_),
                ..
            } => true,
            ClientError::Closed { was_sent, .. } => *was_sent,
            ClientError::Protocol { .. } => true,
            _ => false,
        }
    }
}
