//! What AlterConfigs and IncrementalAlterConfigs have in common: which resources this broker refuses
//! by itself, and how its refusals and the controller's answers come together again in the order of
//! the request.
//!
//! Kafka: `ConfigAdminManager.scala` (4.3).

use std::collections::HashSet;

use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::{ApiError, ErrorCode};

use super::{Broker, message};

/// The resources of a request after this broker has looked at them.
pub(super) struct Judged<R> {
    /// What the controller is asked for.
    pub remaining: Vec<R>,
    /// Every resource in the order of the request; with a refusal, it is not among the remaining.
    pub verdicts: Vec<(ResourceId, Option<ApiError>)>,
}

impl<R> Judged<R> {
    pub(super) fn of(
        resources: Vec<R>,
        id: impl Fn(&R) -> ResourceId,
        check: impl Fn(&R) -> Result<(), ApiError>,
    ) -> Self {
        let ids: Vec<ResourceId> = resources.iter().map(id).collect();
        let refusals: Vec<Option<ApiError>> = resources
            .iter()
            .zip(&ids)
            .map(|(resource, id)| check_once(&ids, id).and_then(|()| check(resource)).err())
            .collect();
        let remaining = resources
            .into_iter()
            .zip(&refusals)
            .filter(|(_, refusal)| refusal.is_none())
            .map(|(resource, _)| resource)
            .collect();
        let verdicts = ids.into_iter().zip(refusals).collect();
        Self {
            remaining,
            verdicts,
        }
    }
}

/// Code and message for a resource of which the controller says nothing: this broker's refusal, if
/// that is why.
pub(super) fn refused(refusal: Option<ApiError>) -> (i16, Option<StrBytes>) {
    match refusal {
        Some(error) => {
            let why = message(error.code, error.message.as_deref());
            (error.code.0, Some(why))
        }
        None => (ErrorCode::UNKNOWN_SERVER_ERROR.0, None),
    }
}

/// Type and name of a resource.
type ResourceId = (i8, String);

pub(super) fn invalid_request(why: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::INVALID_REQUEST, why)
}

/// Refuses a resource that a request names twice.
fn check_once(ids: &[ResourceId], id: &ResourceId) -> Result<(), ApiError> {
    match ids.iter().filter(|other| *other == id).count() {
        0 | 1 => Ok(()),
        _ => Err(invalid_request("Each resource must appear at most once.")),
    }
}

/// Refuses keys that are named twice, and null values where there must be one.
pub(super) fn check_form<'a>(
    configs: impl Iterator<Item = (&'a str, bool)>,
) -> Result<(), ApiError> {
    let mut seen = HashSet::new();
    let mut nulls = Vec::new();
    let mut is_repeated = false;
    for (name, is_null) in configs {
        is_repeated |= !seen.insert(name);
        if is_null {
            nulls.push(name);
        }
    }
    if is_repeated {
        return Err(invalid_request("Error due to duplicate config keys"));
    }
    if !nulls.is_empty() {
        return Err(invalid_request(format!(
            "Null value not supported for : {}",
            nulls.join(", ")
        )));
    }
    Ok(())
}

/// Refuses what is not for this broker or for all.
pub(super) fn check_broker_name(broker: &Broker, name: &str) -> Result<(), ApiError> {
    let own_id = broker.config().node_id;
    match name.parse::<i32>() {
        _ if name.is_empty() => Ok(()),
        Ok(id) if id == own_id => Ok(()),
        Ok(_) => Err(invalid_request(format!(
            "Unexpected broker id, expected {own_id}, but received {name}"
        ))),
        Err(_) => Err(invalid_request(format!(
            "Node id must be an integer, but it is: {name}"
        ))),
    }
}
