//! Access control entries, SCRAM credentials, delegation tokens and client quotas.
//!
//! Kafka: `image/{AclsImage,ScramImage,DelegationTokenImage,ClientQuotasImage}.java` (4.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use uuid::Uuid;

/// One access control entry; the numbers are those of requests and records.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessControlEntry {
    pub resource_type: i8,
    pub resource_name: Arc<str>,
    pub pattern_type: i8,
    pub principal: Arc<str>,
    pub host: Arc<str>,
    pub operation: i8,
    pub permission_type: i8,
}

/// All access control entries by their id.
pub type AclsImage = OrdMap<Uuid, Arc<AccessControlEntry>>;

/// What the cluster keeps of a password for SCRAM.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    pub salt: Vec<u8>,
    pub stored_key: Vec<u8>,
    pub server_key: Vec<u8>,
    pub iterations: i32,
}

impl std::fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The keys let one log in: they must not turn up in logs.
        f.debug_struct("ScramCredential")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// SCRAM credentials by mechanism (1 SHA-256, 2 SHA-512) and user.
pub type ScramImage = OrdMap<(i8, Arc<str>), Arc<ScramCredential>>;

/// One delegation token; times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationToken {
    pub owner: Arc<str>,
    pub requester: Arc<str>,
    pub renewers: Vec<Arc<str>>,
    pub issue_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub expiration_timestamp_ms: i64,
    pub token_id: Arc<str>,
}

/// All delegation tokens by their id.
pub type DelegationTokensImage = OrdMap<Arc<str>, Arc<DelegationToken>>;

/// What a quota is for: entity type (`user`, `client-id`, `ip`) to name, `None` for the default.
pub type QuotaEntity = BTreeMap<Arc<str>, Option<Arc<str>>>;

/// The quotas of one entity: key to value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientQuota(pub BTreeMap<Arc<str>, f64>);

/// All client quotas. An entity without any has no entry.
pub type ClientQuotasImage = OrdMap<QuotaEntity, Arc<ClientQuota>>;
