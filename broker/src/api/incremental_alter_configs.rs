//! IncrementalAlterConfigs: single changes of configurations.
//!
//! The broker judges changes of brokers' own configuration, because only it knows whether they fit
//! what its file says; everything else is the controller's. The answers come together again in the
//! order of the request.
//!
//! Kafka: `ConfigAdminManager.scala` (4.3).

use std::sync::Arc;

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
    config_changes::{Judged, check_broker_name, check_form, invalid_request, refused},
    forward::{self, FORWARDING_TIMEOUT},
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
    let id = |r: &AlterConfigsResource| (r.resource_type, r.resource_name.to_string());
    let judged = Judged::of(request.resources, id, |resource| check(broker, resource));
    let mut answered = IncrementalAlterConfigsResponse::default();
    if !judged.remaining.is_empty() {
        let forwarded = IncrementalAlterConfigsRequest::default()
            .with_resources(judged.remaining)
            .with_validate_only(request.validate_only);
        answered = match forward::request(broker, cx, forwarded, FORWARDING_TIMEOUT).await {
            Ok(answered) => answered,
            Err(reply) => return reply,
        };
    }
    let responses = judged.verdicts.into_iter().map(|((kind, name), refusal)| {
        let of_controller = answered
            .responses
            .iter()
            .find(|r| refusal.is_none() && r.resource_type == kind && *r.resource_name == *name);
        of_controller.cloned().unwrap_or_else(|| {
            let (code, why) = refused(refusal);
            AlterConfigsResourceResponse::default()
                .with_resource_type(kind)
                .with_resource_name(super::own(&name))
                .with_error_code(code)
                .with_error_message(why)
        })
    });
    let response = IncrementalAlterConfigsResponse::default().with_responses(responses.collect());
    answer(cx, &response)
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
