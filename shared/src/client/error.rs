//! What can go wrong between a call and its answer, by the step at which it did.
//!
//! Errors are cheap to clone, because a lost connection fails every request on it in the same way.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

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
    /// By the key of its API.
    Request(i16),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Resolve => f.write_str("resolving the host name"),
            Step::Connect => f.write_str("connecting"),
            Step::Tls => f.write_str("the TLS handshake"),
            Step::Sasl => f.write_str("the SASL authentication"),
            Step::ApiVersions => f.write_str("asking for the API versions"),
            Step::Request(key) => f.write_str(api::name(*key)),
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
    #[error("TLS with {endpoint}: {reason}")]
    Tls {
        endpoint: Endpoint,
        reason: String,
        advice: String,
    },
    #[error("SASL with {endpoint}: {reason}")]
    Sasl {
        endpoint: Endpoint,
        reason: String,
        advice: String,
    },
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
        api::name(*.key), Range(.theirs), Range(&Some(.ours.clone()))
    )]
    Unsupported {
        endpoint: Endpoint,
        key: i16,
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
    #[error("{}", Joined(.failures))]
    NoBroker { failures: Vec<ClientError> },
    /// A change was not sent, because the broker is not of the cluster that is meant.
    #[error(
        "{endpoint} belongs to cluster {}, not {expected}: this is not the cluster {}",
        .found.as_deref().unwrap_or("unknown"),
        if *.is_saved { "you saved" } else { "this session began with" }
    )]
    OtherCluster {
        endpoint: Endpoint,
        expected: String,
        found: Option<String>,
        is_saved: bool,
    },
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
        match self.0 {
            [] => return f.write_str("no broker can be reached: no bootstrap server was given"),
            // It says itself which step failed.
            [only] => return only.fmt(f),
            _ => f.write_str("no broker can be reached: ")?,
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
    pub fn hint(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            ClientError::Resolve { .. } => "check the spelling of the host name and the DNS",
            ClientError::Connect { .. } => {
                "check that a broker runs there, that the port is right and no firewall is between"
            }
            ClientError::Tls { advice, .. } | ClientError::Sasl { advice, .. } => advice,
            ClientError::OtherCluster { is_saved: true, .. } => {
                "nothing was changed; check the addresses, or remove the cluster and add it again"
            }
            ClientError::OtherCluster { .. } => "nothing was changed; connect again to go on",
            ClientError::ApiVersions { .. } => {
                "check that this is a Kafka broker's port, and that it wants neither TLS nor SASL"
            }
            ClientError::Timeout {
                step: Step::ApiVersions,
                ..
            } => "check that this is a Kafka broker's port, and that it wants neither TLS nor SASL",
            ClientError::Timeout {
                step: Step::Tls, ..
            } => {
                "it accepts connections and does not answer in TLS: check that the port speaks TLS"
            }
            ClientError::Timeout { .. } => "the broker is busy or cut off; try again",
            ClientError::Closed { reason, .. } if reason.ends_with("that wants SASL") => {
                "set security.protocol and sasl.mechanism, for example with --properties FILE"
            }
            ClientError::Closed { .. } => "the broker was stopped, or closes idle connections",
            ClientError::Protocol { .. } => "check that this is a Kafka broker",
            ClientError::Unsupported { .. } => "the broker is too old or too new for this",
            ClientError::Encode { .. } => "the broker is too old for what was asked",
            ClientError::Api { error, .. } if error.code.is_retriable() => "try again later",
            ClientError::Api { .. } => "the broker's log says more",
            ClientError::NoBroker { failures } => match failures.first() {
                Some(first) => return first.hint(),
                None => "give a bootstrap server, as host:port",
            },
            ClientError::UnknownNode { .. } => "the node may be down; list the brokers",
        })
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
            | ClientError::OtherCluster { .. }
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
