//! AlterConfigs: replaces everything that is set for a resource. Clients use IncrementalAlterConfigs
//! since Kafka 2.3.
//!
//! Kafka: `ConfigAdminManager.scala` (4.3).

use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, alter_configs_request::AlterConfigsResource,
    alter_configs_response::AlterConfigsResourceResponse,
};
use kafka_shared::error::{ApiError, ErrorCode};

use super::{
    Broker, answer,
    forward::{self, FORWARDING_TIMEOUT},
    incremental_alter_configs::{
        ResourceId, check_broker_name, check_form, check_once, invalid_request,
    },
    message,
};
use crate::{
    config::Settings,
    metadata::ResourceType,
    network::{Reply, RequestContext},
};

pub(super) async fn handle(
    broker: &Broker,
    cx: &RequestContext,
    request: AlterConfigsRequest,
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
    let mut answered = AlterConfigsResponse::default();
    if !remaining.is_empty() {
        let forwarded = AlterConfigsRequest::default()
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
    let response = AlterConfigsResponse::default().with_responses(responses.collect());
    answer(cx, &response)
}

fn check(broker: &Broker, resource: &AlterConfigsResource) -> Result<(), ApiError> {
    check_form(
        resource
            .configs
            .iter()
            .map(|c| (c.name.as_str(), c.value.is_none())),
    )?;
    match ResourceType::from_id(resource.resource_type) {
        Some(ResourceType::Broker) => {
            let name = resource.resource_name.as_str();
            check_broker_name(broker, name)?;
            let settings: Settings = resource
                .configs
                .iter()
                .filter_map(|c| Some((c.name.as_str().into(), c.value.as_deref()?.into())))
                .collect();
            broker
                .config
                .check_broker_change(&settings, !name.is_empty())
        }
        Some(ResourceType::Topic | ResourceType::ClientMetrics | ResourceType::Group) => Ok(()),
        Some(ResourceType::BrokerLogger) | None => Err(invalid_request(format!(
            "Unknown resource type {}",
            resource.resource_type
        ))),
    }
}
