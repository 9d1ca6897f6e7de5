//! Client quotas: which may be set for whom.
//!
//! An entity of a request changes as a whole or not at all; another entity of the same request is
//! another matter.
//!
//! Kafka: `controller/ClientQuotaControlManager.java`, `server/config/QuotaConfig.java` (4.3).

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::alter_client_quotas_request::{EntryData, OpData};
use kafka_protocol::messages::alter_client_quotas_response::{
    EntityData as AnsweredEntity, EntryData as Answer,
};
use kafka_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::schema::metadata::{ClientQuotaEntity, ClientQuotaRecord, MetadataRecord};

use super::state::{Outcome, QuorumController, check_record_count};
use super::topics::{error_message, own};
use crate::metadata::security::QuotaEntity;

/// Kind of entity: an authenticated user.
pub const USER: &str = "user";
/// Kind of entity: what a client says it is.
pub const CLIENT_ID: &str = "client-id";
/// Kind of entity: the address that a client comes from.
pub const IP: &str = "ip";

/// Remainder from which on a number isn't taken for a whole one.
const FRACTION_MIN: f64 = 1e-6;

#[derive(Debug, Clone, Copy, PartialEq)]
enum QuotaType {
    Double,
    /// A whole number, at most this.
    Whole(&'static str, f64),
}

const INT: QuotaType = QuotaType::Whole("an INT", i32::MAX as f64);
const LONG: QuotaType = QuotaType::Whole("a LONG", i64::MAX as f64);

const USER_AND_CLIENT_KEYS: [(&str, QuotaType); 4] = [
    ("producer_byte_rate", LONG),
    ("consumer_byte_rate", LONG),
    ("request_percentage", QuotaType::Double),
    ("controller_mutation_rate", QuotaType::Double),
];

const IP_KEYS: [(&str, QuotaType); 1] = [("connection_creation_rate", INT)];

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::INVALID_REQUEST, message)
}

impl QuorumController {
    /// AlterClientQuotas.
    ///
    /// # Errors
    /// POLICY_VIOLATION for too many changes at once; all else is said per entity.
    pub fn alter_client_quotas(
        &self,
        request: &AlterClientQuotasRequest,
    ) -> Result<Outcome<AlterClientQuotasResponse>, ApiError> {
        let mut records = Vec::new();
        let mut results: BTreeMap<QuotaEntity, Option<ApiError>> = BTreeMap::new();
        for entry in &request.entries {
            let entity = entity_of(entry);
            // An entity that is named again keeps what its first naming did, and is an error all
            // the same; a key that is named again leaves the entity as it was.
            let result = if results.contains_key(&entity) || has_duplicate_key(&entry.ops) {
                Err(invalid("Ignoring duplicate entity or quota key."))
            } else {
                self.alter_quotas_of(&entity, &entry.ops)
            };
            let error = match result {
                Ok(changes) => {
                    records.extend(changes);
                    None
                }
                Err(error) => Some(error),
            };
            results.insert(entity, error);
        }
        check_record_count(&records)?;
        if request.validate_only {
            records.clear();
        }
        let answers = results.iter().map(|(entity, error)| answer(entity, error));
        let response = AlterClientQuotasResponse::default().with_entries(answers.collect());
        Ok(Outcome::atomic(records, response))
    }

    fn alter_quotas_of(
        &self,
        entity: &QuotaEntity,
        ops: &[OpData],
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        let keys = keys_of(entity)?;
        let current = self.image.client_quotas.get(entity);
        let mut records = Vec::new();
        for op in ops {
            let key = op.key.as_str();
            let old = current.and_then(|quota| quota.0.get(key));
            if op.remove {
                if old.is_some() {
                    records.push(record(entity, key, 0.0, true));
                }
                continue;
            }
            check_value(keys, key, op.value)?;
            // By their bits, so that NaN is equal to itself.
            if old.map(|old| old.to_bits()) != Some(op.value.to_bits()) {
                records.push(record(entity, key, op.value, false));
            }
        }
        Ok(records)
    }
}

/// What a request's entry is about. Of two parts of the same kind the later one counts.
fn entity_of(entry: &EntryData) -> QuotaEntity {
    let part = |part: &kafka_protocol::messages::alter_client_quotas_request::EntityData| {
        let name = part.entity_name.as_ref().map(|name| name.as_str().into());
        (Arc::from(part.entity_type.as_str()), name)
    };
    entry.entity.iter().map(part).collect()
}

fn has_duplicate_key(ops: &[OpData]) -> bool {
    let mut keys: Vec<_> = ops.iter().map(|op| op.key.as_str()).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

/// The quotas that this kind of entity can have.
fn keys_of(entity: &QuotaEntity) -> Result<&'static [(&'static str, QuotaType)], ApiError> {
    if entity.is_empty() {
        return Err(invalid("Invalid empty client quota entity"));
    }
    let unknown = entity
        .keys()
        .find(|kind| ![USER, CLIENT_ID, IP].contains(&&***kind));
    if let Some(kind) = unknown {
        return Err(invalid(format!(
            "Unhandled client quota entity type: {kind}"
        )));
    }
    let is_empty = |name: &Option<Arc<str>>| name.as_deref() == Some("");
    if let Some((kind, _)) = entity.iter().find(|(_, name)| is_empty(name)) {
        return Err(invalid(format!("Empty {kind} not supported")));
    }
    let Some(ip) = entity.get(IP) else {
        return Ok(&USER_AND_CLIENT_KEYS);
    };
    if entity.len() > 1 {
        return Err(invalid(
            "Invalid quota entity combination, an IP can't be combined with user or client id",
        ));
    }
    // Differs from Kafka: it resolves host names too. The controller decides without asking anybody,
    // and what a name stands for on the controller says nothing about the brokers.
    match ip {
        Some(ip) if ip.parse::<IpAddr>().is_err() => {
            Err(invalid(format!("{ip} is not a valid IP address.")))
        }
        _ => Ok(&IP_KEYS),
    }
}

fn check_value(keys: &[(&str, QuotaType)], key: &str, value: f64) -> Result<(), ApiError> {
    let Some((_, quota_type)) = keys.iter().find(|(known, _)| *known == key) else {
        return Err(invalid(format!("Invalid configuration key {key}")));
    };
    if value <= 0.0 {
        return Err(invalid(format!("Quota {key} must be greater than 0")));
    }
    match quota_type {
        QuotaType::Whole(name, max) if value > *max => Err(invalid(format!(
            "Proposed value for {key} is too large for {name}."
        ))),
        QuotaType::Whole(..) if (value % 1.0).abs() > FRACTION_MIN => {
            Err(invalid(format!("{key} cannot be a fractional value.")))
        }
        _ => Ok(()),
    }
}

fn record(entity: &QuotaEntity, key: &str, value: f64, remove: bool) -> MetadataRecord {
    let part = |(kind, name): (&Arc<str>, &Option<Arc<str>>)| ClientQuotaEntity {
        entity_type: kind.to_string(),
        entity_name: name.as_ref().map(ToString::to_string),
    };
    ClientQuotaRecord {
        entity: entity.iter().map(part).collect(),
        key: key.to_owned(),
        value,
        remove,
    }
    .into()
}

fn answer(entity: &QuotaEntity, error: &Option<ApiError>) -> Answer {
    let part = |(kind, name): (&Arc<str>, &Option<Arc<str>>)| {
        AnsweredEntity::default()
            .with_entity_type(own(kind))
            .with_entity_name(name.as_deref().map(own))
    };
    Answer::default()
        .with_error_code(error.as_ref().map_or(0, |error| error.code.0))
        .with_error_message(error.as_ref().and_then(error_message))
        .with_entity(entity.iter().map(part).collect())
}
