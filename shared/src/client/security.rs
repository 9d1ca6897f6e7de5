//! How a connection is protected: TLS or not, SASL or not, and as whom.
//!
//! Kafka's own properties become a [`Security`] in [`properties`]; who has no file of properties
//! builds one from its parts.

pub mod jaas;
pub mod properties;
mod token;

use std::sync::Arc;

use crate::sasl::scram::ScramHash;
use crate::secret::Secret;
use crate::tls::Tls;

pub use token::{TokenEndpoint, TokenProvider, TokenSource};

/// How every connection to a cluster is protected. Nothing, by default.
#[derive(Clone, Debug, Default)]
pub struct Security {
    pub tls: Option<Tls>,
    pub sasl: Option<Sasl>,
}

impl Security {
    /// Kafka's name of the combination.
    pub fn protocol(&self) -> &'static str {
        match (&self.tls, &self.sasl) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        }
    }
}

/// As whom, and how that is proved.
#[derive(Clone, Debug)]
pub enum Sasl {
    Plain {
        username: String,
        password: Secret,
    },
    Scram {
        hash: ScramHash,
        username: String,
        password: Secret,
        /// The user name is the id of a delegation token.
        is_token: bool,
    },
    OauthBearer(Arc<TokenProvider>),
}

impl Sasl {
    /// The name of the mechanism.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Sasl::Plain { .. } => "PLAIN",
            Sasl::Scram { hash, .. } => hash.mechanism(),
            Sasl::OauthBearer(_) => "OAUTHBEARER",
        }
    }

    /// Whom the broker sees, where this side knows.
    pub fn user(&self) -> Option<&str> {
        match self {
            Sasl::Plain { username, .. } | Sasl::Scram { username, .. } => Some(username),
            Sasl::OauthBearer(_) => None,
        }
    }
}
