//! DescribeConfigs: what is configured for topics, brokers, groups and client metrics.
//!
//! Kafka: `ConfigHelper.scala` (4.3).

use kafka_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResponse,
    describe_configs_request::DescribeConfigsResource,
    describe_configs_response::{
        DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
    },
};
use kafka_shared::{
    config::ConfigError,
    error::{ApiError, ErrorCode},
};

use super::{Node, message, own, topic_name};
use crate::{
    config::describe::{self, Entry},
    metadata::{ConfigResource, ResourceType},
};

pub(super) fn handle(node: &Node, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match entries(node, resource) {
            Ok(entries) => result.with_configs(
                entries
                    .into_iter()
                    .filter(|entry| is_wanted(resource, &entry.name))
                    .map(|entry| shown(entry, request))
                    .collect(),
            ),
            Err(ApiError {
                code,
                message: None,
            }) => result.with_error_code(code.0),
            Err(error) => result
                .with_error_code(error.code.0)
                .with_error_message(Some(message(error.code, error.message.as_deref()))),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn is_wanted(resource: &DescribeConfigsResource, name: &str) -> bool {
    match &resource.configuration_keys {
        Some(keys) if !keys.is_empty() => keys.iter().any(|key| key.as_str() == name),
        _ => true,
    }
}

fn entries(node: &Node, resource: &DescribeConfigsResource) -> Result<Vec<Entry>, ApiError> {
    let invalid = |why: &str| Err(ApiError::new(ErrorCode::INVALID_REQUEST, why));
    let name = resource.resource_name.as_str();
    let image = node.image();
    let config = node.config();
    let values = &config.values;
    let set = |kind| image.configs.of(&ConfigResource::new(kind, name));
    match ResourceType::from_id(resource.resource_type) {
        Some(ResourceType::Topic) => {
            topic_name::validate(name)
                .map_err(|why| ApiError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, why))?;
            if image.topics.by_name(name).is_none() {
                return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.into());
            }
            describe::topic(values, &set(ResourceType::Topic)).map_err(unparsable)
        }
        Some(ResourceType::Broker) if name.is_empty() => Ok(describe::cluster_default(values)),
        Some(ResourceType::Broker) => {
            check_own_id(name, config.node_id, " or empty string, but")?;
            Ok(describe::broker(values))
        }
        Some(ResourceType::BrokerLogger) if name.is_empty() => {
            invalid("Broker id must not be empty")
        }
        Some(ResourceType::BrokerLogger) => {
            check_own_id(name, config.node_id, " but")?;
            // Differs from Kafka: there are no log4j loggers here whose levels could be shown.
            Ok(Vec::new())
        }
        Some(ResourceType::ClientMetrics) if name.is_empty() => {
            invalid("Client metrics subscription name must not be empty")
        }
        Some(ResourceType::ClientMetrics) => {
            describe::client_metrics(&set(ResourceType::ClientMetrics)).map_err(unparsable)
        }
        Some(ResourceType::Group) if name.is_empty() => invalid("Group name must not be empty"),
        Some(ResourceType::Group) => {
            describe::group(values, &set(ResourceType::Group)).map_err(unparsable)
        }
        None => {
            let kind = resource.resource_type;
            invalid(&format!(
                "Unexpected resource type {kind} for resource {name}"
            ))
        }
    }
}

fn check_own_id(name: &str, own_id: i32, or: &str) -> Result<(), ApiError> {
    let invalid = |why: String| Err(ApiError::new(ErrorCode::INVALID_REQUEST, why));
    match name.parse::<i32>() {
        Ok(id) if id == own_id => Ok(()),
        Ok(_) => invalid(format!(
            "Unexpected broker id, expected {own_id}{or} received {name}"
        )),
        Err(_) => invalid(format!("Broker id must be an integer, but it is: {name}")),
    }
}

fn unparsable(error: ConfigError) -> ApiError {
    ApiError::new(ErrorCode::INVALID_CONFIG, error.message)
}

fn shown(entry: Entry, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let synonyms = match request.include_synonyms {
        true => entry.synonyms,
        false => Vec::new(),
    };
    let documentation = entry
        .documentation
        .filter(|_| request.include_documentation);
    DescribeConfigsResourceResult::default()
        .with_name(own(&entry.name))
        .with_value(entry.value.as_deref().map(own))
        .with_read_only(entry.is_read_only)
        .with_config_source(entry.source as i8)
        .with_is_sensitive(entry.is_sensitive)
        .with_config_type(entry.config_type)
        .with_documentation(documentation.map(own))
        .with_synonyms(
            synonyms
                .into_iter()
                .map(|synonym| {
                    DescribeConfigsSynonym::default()
                        .with_name(own(&synonym.name))
                        .with_value(synonym.value.as_deref().map(own))
                        .with_source(synonym.source as i8)
                })
                .collect(),
        )
}
