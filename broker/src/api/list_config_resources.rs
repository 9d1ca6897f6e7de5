//! ListConfigResources: names of everything that can be configured.
//!
//! Kafka: `KafkaApis.handleListConfigResources`, KIP-1142 (4.3). Version 0 was
//! ListClientMetricsResources.

use kafka_protocol::messages::{
    ListConfigResourcesRequest, ListConfigResourcesResponse,
    list_config_resources_response::ConfigResource,
};
use kafka_shared::error::ErrorCode;

use super::{Broker, own};
use crate::{
    metadata::{MetadataImage, ResourceType},
    network::RequestContext,
};

/// In the order of Kafka's answer.
const ALL: [ResourceType; 5] = [
    ResourceType::Group,
    ResourceType::ClientMetrics,
    ResourceType::BrokerLogger,
    ResourceType::Broker,
    ResourceType::Topic,
];

pub(super) fn handle(
    broker: &Broker,
    cx: &RequestContext,
    request: &ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let supported: &[ResourceType] = match cx.header.api_version {
        0 => &[ResourceType::ClientMetrics],
        _ => &ALL,
    };
    let is_wanted = |kind: ResourceType| {
        request.resource_types.is_empty() || request.resource_types.contains(&kind.id())
    };
    let is_known = |id: &i8| supported.iter().any(|kind| kind.id() == *id);
    if !request.resource_types.iter().all(is_known) {
        return ListConfigResourcesResponse::default()
            .with_error_code(ErrorCode::UNSUPPORTED_VERSION.0);
    }
    let image = broker.image();
    let resources = supported
        .iter()
        .filter(|kind| is_wanted(**kind))
        .flat_map(|kind| resources(&image, &cx.connection.listener, *kind));
    ListConfigResourcesResponse::default().with_config_resources(resources.collect())
}

fn resources(image: &MetadataImage, listener: &str, kind: ResourceType) -> Vec<ConfigResource> {
    let names: Vec<String> = match kind {
        ResourceType::Topic => image
            .topics
            .iter()
            .map(|topic| topic.name.to_string())
            .collect(),
        ResourceType::Broker | ResourceType::BrokerLogger => image
            .cluster
            .brokers
            .values()
            .filter(|broker| broker.listener(listener).is_some())
            .map(|broker| broker.id.to_string())
            .collect(),
        ResourceType::Group | ResourceType::ClientMetrics => image
            .configs
            .iter()
            .filter(|(resource, _)| resource.resource_type == kind)
            .map(|(resource, _)| resource.name.to_string())
            .collect(),
    };
    names
        .iter()
        .map(|name| {
            ConfigResource::default()
                .with_resource_name(own(name))
                .with_resource_type(kind.id())
        })
        .collect()
}
