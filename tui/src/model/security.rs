//! Who may do what: ACL rules, SCRAM credentials and client quotas as a cluster keeps them.
//!
//! Invariants:
//! - A code that this program does not know stays what it is: a rule of a newer cluster is shown
//!   and can be deleted.
//! - The order of [`Acl`]s is that in which Kafka's authorizer looks through them
//!   (`StandardAcl.compareTo`, 4.3).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::resource::Resource;

/// A number of Kafka's with names for those that are known.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident, $what:literal, { $($constant:ident = $code:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i8);

        impl $name {
            $(pub const $constant: Self = Self($code);)*

            /// Those that a rule can have.
            pub const KNOWN: &[Self] = &[$(Self($code)),*];

            /// As Kafka's tools write it, in small letters.
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($code => $text,)*
                    _ => "unknown",
                }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let plain = |text: &str| -> String {
                    let letters = text.chars().filter(|c| !matches!(c, '-' | '_' | ' '));
                    letters.flat_map(char::to_lowercase).collect()
                };
                let wanted = plain(text);
                if let Some(code) = wanted.strip_prefix("unknown").and_then(|c| c.parse().ok()) {
                    return Ok(Self(code));
                }
                let found = Self::KNOWN.iter().find(|known| plain(known.name()) == wanted);
                found.copied().ok_or_else(|| {
                    let names: Vec<&str> = Self::KNOWN.iter().map(|known| known.name()).collect();
                    format!("\"{text}\" is no {}: {}", $what, names.join(", "))
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", self.name(), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if Self::KNOWN.contains(self) {
                    serializer.serialize_str(self.name())
                } else {
                    serializer.collect_str(&format_args!("unknown_{}", self.0))
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

codes!(
    /// What a rule is about.
    AclResource, "kind of resource", {
    TOPIC = 2 "topic",
    GROUP = 3 "group",
    CLUSTER = 4 "cluster",
    TRANSACTIONAL_ID = 5 "transactional_id",
    DELEGATION_TOKEN = 6 "delegation_token",
    USER = 7 "user",
});

codes!(
    /// How the name of a resource is meant.
    AclPattern, "kind of pattern", {
    LITERAL = 3 "literal",
    PREFIXED = 4 "prefixed",
});

codes!(
    /// What is allowed or denied.
    AclOperation, "operation", {
    ALL = 2 "all",
    READ = 3 "read",
    WRITE = 4 "write",
    CREATE = 5 "create",
    DELETE = 6 "delete",
    ALTER = 7 "alter",
    DESCRIBE = 8 "describe",
    CLUSTER_ACTION = 9 "cluster_action",
    DESCRIBE_CONFIGS = 10 "describe_configs",
    ALTER_CONFIGS = 11 "alter_configs",
    IDEMPOTENT_WRITE = 12 "idempotent_write",
    CREATE_TOKENS = 13 "create_tokens",
    DESCRIBE_TOKENS = 14 "describe_tokens",
    TWO_PHASE_COMMIT = 15 "two_phase_commit",
});

codes!(
    /// Whether a rule allows or denies.
    AclPermission, "permission", {
    DENY = 2 "deny",
    ALLOW = 3 "allow",
});

codes!(
    /// How a password is kept.
    ScramMechanism, "mechanism", {
    SHA_256 = 1 "SCRAM-SHA-256",
    SHA_512 = 2 "SCRAM-SHA-512",
});

/// The name of the one resource of kind `cluster`.
pub const CLUSTER_RESOURCE: &str = "kafka-cluster";

/// Stands for every name of a resource (literal patterns only) and for every host.
pub const WILDCARD: &str = "*";

/// Stands for everybody.
pub const EVERYBODY: &str = "User:*";

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Acl {
    pub resource: AclResource,
    pub name: String,
    pub pattern: AclPattern,
    /// Type and name, `User:alice`; `User:*` is everybody.
    pub principal: String,
    /// An address, or `*`.
    pub host: String,
    pub operation: AclOperation,
    pub permission: AclPermission,
}

impl Acl {
    /// The resource as people read it: `topic "orders"`, `topics "or…"`, `every group`.
    pub fn resource_text(&self) -> String {
        let kind = self.resource.name().replace('_', " ");
        match (self.pattern, &*self.name) {
            _ if self.resource == AclResource::CLUSTER => "the cluster".to_owned(),
            (AclPattern::LITERAL, WILDCARD) => format!("every {kind}"),
            (AclPattern::PREFIXED, name) => format!("{kind}s that begin with \"{name}\""),
            (_, name) => format!("{kind} \"{name}\""),
        }
    }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            principal,
            operation,
            permission,
            ..
        } = self;
        write!(
            f,
            "{permission} {principal} {operation} on {}",
            self.resource_text()
        )?;
        if self.host != WILDCARD {
            write!(f, " from {}", self.host)?;
        }
        Ok(())
    }
}

impl Ord for Acl {
    fn cmp(&self, other: &Self) -> Ordering {
        // Names backwards: what a name begins with comes after the name.
        (self.resource.cmp(&other.resource))
            .then_with(|| other.name.cmp(&self.name))
            .then_with(|| self.pattern.cmp(&other.pattern))
            .then_with(|| self.operation.cmp(&other.operation))
            .then_with(|| self.principal.cmp(&other.principal))
            .then_with(|| self.host.cmp(&other.host))
            .then_with(|| self.permission.cmp(&other.permission))
    }
}

impl PartialOrd for Acl {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A user with passwords that the cluster keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScramUser {
    pub name: String,
    pub credentials: Vec<ScramCredential>,
}

/// One password: never more than how it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ScramCredential {
    pub mechanism: ScramMechanism,
    pub iterations: i32,
}

/// Whom a quota is for: `user`, `client-id`, both, or `ip`; `None` is the default of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuotaEntity(pub BTreeMap<String, Option<String>>);

impl QuotaEntity {
    pub const USER: &'static str = "user";
    pub const CLIENT_ID: &'static str = "client-id";
    pub const IP: &'static str = "ip";

    pub fn new<const N: usize>(parts: [(&str, Option<&str>); N]) -> Self {
        let own = |(kind, name): (&str, Option<&str>)| (kind.to_owned(), name.map(str::to_owned));
        Self(parts.into_iter().map(own).collect())
    }
}

impl fmt::Display for QuotaEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Users first, as Kafka's tools have it.
        for (at, (kind, name)) in self.0.iter().rev().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            match name {
                Some(name) => write!(f, "{comma}{kind} \"{name}\"")?,
                None => write!(f, "{comma}every other {kind}")?,
            }
        }
        Ok(())
    }
}

/// The limits of one entity.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Quota {
    pub entity: QuotaEntity,
    pub limits: BTreeMap<String, f64>,
}

/// What a quota can limit: for users and clients, and for addresses.
pub const CLIENT_LIMITS: [&str; 4] = [
    "producer_byte_rate",
    "consumer_byte_rate",
    "request_percentage",
    "controller_mutation_rate",
];
pub const IP_LIMITS: [&str; 1] = ["connection_creation_rate"];

/// All that is known of a cluster's security.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// In the order of Kafka's authorizer.
    pub acls: Resource<Vec<Acl>>,
    /// By name.
    pub users: Resource<Vec<ScramUser>>,
    /// By entity.
    pub quotas: Resource<Vec<Quota>>,
}

/// The result of reading one part of it.
#[derive(Clone, Debug)]
pub enum SecurityUpdate {
    Acls(super::Read<Vec<Acl>>),
    Users(super::Read<Vec<ScramUser>>),
    Quotas(super::Read<Vec<Quota>>),
}

impl SecurityUpdate {
    /// Whether the cluster told, if only that it has no such thing.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Acls(result) => result.is_err(),
            Self::Users(result) => result.is_err(),
            Self::Quotas(result) => result.is_err(),
        }
    }
}

impl Security {
    pub(super) fn apply(&mut self, update: SecurityUpdate, at: super::Taken) {
        match update {
            SecurityUpdate::Acls(result) => self.acls.apply(result, at),
            SecurityUpdate::Users(result) => self.users.apply(result, at),
            SecurityUpdate::Quotas(result) => self.quotas.apply(result, at),
        }
    }
}
