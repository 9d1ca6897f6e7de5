//! Changes of rules, passwords and quotas.

use std::collections::BTreeMap;

use kafka_shared::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::model::{Acl, QuotaEntity, ScramMechanism};

/// One change of who may do what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityAction {
    CreateAcls(Vec<Acl>),
    /// Deletes exactly these.
    DeleteAcls(Vec<Acl>),
    /// Never written anywhere: it holds a password.
    #[serde(skip)]
    SetPassword(SetPassword),
    /// Deletes a user's password; `None` is every one that the user has.
    DeletePassword {
        user: String,
        mechanism: Option<ScramMechanism>,
    },
    /// Sets limits, and removes those that are `None`.
    AlterQuota {
        entity: QuotaEntity,
        limits: BTreeMap<String, Option<f64>>,
    },
}

/// A new password, for a new user or another one for an old user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPassword {
    pub user: String,
    pub mechanism: ScramMechanism,
    pub iterations: i32,
    /// Salted on this side: the cluster never sees it.
    pub password: Secret,
}

impl SecurityAction {
    /// Whether a broker can check it without doing it.
    pub fn can_be_checked(&self) -> bool {
        matches!(self, Self::AlterQuota { .. })
    }
}
