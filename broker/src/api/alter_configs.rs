//! AlterConfigs: replaces everything that is set for a resource. Clients use IncrementalAlterConfigs
//! since Kafka 2.3.
//!
//! Kafka: `ConfigAdminManager.scala` (4.3).

use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, alter_configs_request::AlterConfigsResource,
    alter_configs_response::AlterConfigsResourceResponse,
};
use kafka_shared::error::ApiError;

use super::{
    Broker, answer,
    config_changes::{Judged, check_broker_name, check_form, invalid_request, refused},
    forward::{self, FORWARDING_TIMEOUT},
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
    let id = |r: &AlterConfigsResource| (r.resource_type, r.resource_name.to_string());
    let judged = Judged::of(request.resources, id, |resource| check(broker, resource));
    let mut answered = AlterConfigsResponse::default();
    if !judged.remaining.is_empty() {
        let forwarded = AlterConfigsRequest::default()
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
