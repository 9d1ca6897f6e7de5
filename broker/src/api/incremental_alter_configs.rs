//! IncrementalAlterConfigs: single changes of configurations.
//!
//! The broker judges changes of brokers' own configuration, because only it knows whether they fit
//! what its file says; everything else is the controller's. The answers come together again in the
//! order of the request.
//!
//! Kafka: `ConfigAdminManager.scala` (4.3).

use std::{collections::HashSet, sync::Arc};

use kafka_protocol::messages::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    incremental_alter_configs_response::AlterConfigsResourceResponse,
};
use kafka_shared::{
    config::ConfigType,
    error::{ApiError, ErrorCode},
};

use super::{
    Broker, answer,
    forward::{self, FORWARDING_TIMEOUT},
    message,
};
use crate::{
    config::{Settings, keys},
    metadata::{ConfigResource, ResourceType},
    network::{Reply, RequestContext},
};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) async fn handle(
    broker: &Broker,
    cx: &RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> Reply {
    let ids: Vec<ResourceId> = request
        .resources
        .iter()
        .map(|r| (r.resource_type, r.resource_name.to_string()))
        .collect();
    let refusals: Vec<Option<ApiError>> = request
        .resources
        .iter()
        .zip(&ids)
        .map(|(resource, id)| {
            check_once(&ids, id)
                .and_then(|()| check(broker, resource))
                .err()
        })
        .collect();
    let remaining: Vec<_> = request
        .resources
        .into_iter()
        .zip(&refusals)
        .filter(|(_, refusal)| refusal.is_none())
        .map(|(resource, _)| resource)
        .collect();
    let mut answered = IncrementalAlterConfigsResponse::default();
    if !remaining.is_empty() {
        let forwarded = IncrementalAlterConfigsRequest::default()
            .with_resources(remaining)
            .with_validate_only(request.validate_only);
        answered = match forward::request(broker, cx, forwarded, FORWARDING_TIMEOUT).await {
            Ok(answered) => answered,
            Err(reply) => return reply,
        };
    }
    let responses = ids.iter().zip(refusals).map(|((kind, name), refusal)| {
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(*kind)
            .with_resource_name(super::own(name));
        if let Some(error) = refusal {
            return response
                .with_error_code(error.code.0)
                .with_error_message(Some(message(error.code, error.message.as_deref())));
        }
        let answer = answered
            .responses
            .iter()
            .find(|r| r.resource_type == *kind && r.resource_name.as_str() == name);
        match answer {
            Some(answer) => answer.clone(),
            None => response.with_error_code(ErrorCode::UNKNOWN_SERVER_ERROR.0),
        }
    });
    let response = IncrementalAlterConfigsResponse::default().with_responses(responses.collect());
    answer(cx, &response)
}

/// Type and name of a resource.
pub(super) type ResourceId = (i8, String);

pub(super) fn invalid_request(why: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::INVALID_REQUEST, why)
}

/// Refuses a resource that a request names twice.
pub(super) fn check_once(ids: &[ResourceId], id: &ResourceId) -> Result<(), ApiError> {
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

fn check(broker: &Broker, resource: &AlterConfigsResource) -> Result<(), ApiError> {
    let needs_value = |config: &AlterableConfig| config.config_operation != DELETE;
    let form = |c: &'_ AlterableConfig| needs_value(c) && c.value.is_none();
    check_form(resource.configs.iter().map(|c| (c.name.as_str(), form(c))))?;
    match ResourceType::from_id(resource.resource_type) {
        Some(ResourceType::Broker) => {
            let name = resource.resource_name.as_str();
            check_broker_name(broker, name)?;
            let changed = changed_settings(broker, resource)?;
            broker
                .config
                .check_broker_change(&changed, !name.is_empty())
        }
        Some(ResourceType::BrokerLogger) => check_loggers(broker, resource),
        Some(_) => Ok(()),
        None => Err(invalid_request(format!(
            "Unknown resource type {}",
            resource.resource_type
        ))),
    }
}

/// Refuses a change of log levels: no logger has a name here, so none of them is known.
// Differs from Kafka: what is logged is chosen with RUST_LOG at the start, and not while it runs.
fn check_loggers(broker: &Broker, resource: &AlterConfigsResource) -> Result<(), ApiError> {
    let own_id = broker.config().node_id;
    let name = resource.resource_name.as_str();
    match name.parse::<i32>() {
        Ok(id) if id == own_id => {}
        Ok(id) => {
            return Err(invalid_request(format!(
                "Unexpected node id. Expected {own_id}, but received {id}"
            )));
        }
        Err(_) => {
            return Err(invalid_request(format!(
                "Node id must be an integer, but it is: {name}"
            )));
        }
    }
    let refused = |operation: &str| {
        Err(invalid_request(format!(
            "{operation} operation is not allowed for the BROKER_LOGGER resource"
        )))
    };
    match resource.configs.first() {
        None => Ok(()),
        Some(config) => match config.config_operation {
            SET | DELETE => Err(ApiError::new(
                ErrorCode::INVALID_CONFIG,
                format!(
                    "Logger {} does not exist! Log levels are chosen with RUST_LOG when this broker \
                     is started",
                    config.name.as_str()
                ),
            )),
            APPEND => refused("APPEND"),
            SUBTRACT => refused("SUBTRACT"),
            other => refused(&format!("Unknown operation type {other}")),
        },
    }
}

/// What would be set for a broker, or for all brokers, after the change.
fn changed_settings(
    broker: &Broker,
    resource: &AlterConfigsResource,
) -> Result<Settings, ApiError> {
    let id = ConfigResource::new(ResourceType::Broker, resource.resource_name.as_str());
    let mut settings = (*broker.image().configs.of(&id)).clone();
    for config in &resource.configs {
        let name = config.name.as_str();
        let value = config.value.as_deref().unwrap_or_default();
        match config.config_operation {
            SET => {
                settings.insert(name.into(), value.into());
            }
            DELETE => {
                settings.remove(name);
            }
            APPEND => {
                let mut list = current_list(&settings, name, "append")?;
                let new = split(value)
                    .filter(|v| !list.contains(v))
                    .collect::<Vec<_>>();
                list.extend(new);
                settings.insert(name.into(), list.join(",").into());
            }
            SUBTRACT => {
                let mut list = current_list(&settings, name, "subtract")?;
                list.retain(|v| !split(value).any(|removed| removed == *v));
                settings.insert(name.into(), list.join(",").into());
            }
            other => return Err(invalid_request(format!("Unknown operations type {other}"))),
        }
    }
    Ok(settings)
}

fn split(list: &str) -> impl Iterator<Item = String> {
    list.split(',').map(str::to_owned)
}

fn current_list(settings: &Settings, name: &str, verb: &str) -> Result<Vec<String>, ApiError> {
    let invalid = |why: String| Err(ApiError::new(ErrorCode::INVALID_CONFIG, why));
    let Some(key) = keys::BROKER.get(name) else {
        return invalid(format!("Unknown config name: {name}"));
    };
    if key.config_type != ConfigType::List {
        return invalid(format!(
            "Config value {verb} is not allowed for config key: {name}"
        ));
    }
    let current: Option<Arc<str>> = settings.get(name).cloned();
    let text = current.map(|text| text.to_string());
    let text = text
        .or_else(|| key.default_value().map(|v| v.render()))
        .unwrap_or_default();
    Ok(split(&text).filter(|v| !v.is_empty()).collect())
}
