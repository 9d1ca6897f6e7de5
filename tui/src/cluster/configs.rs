//! Configuration of one resource in full, and the few settings of all topics that lists need.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_shared::client::{SendOptions, Undecoded};
use kafka_shared::protocol::StrBytes;

use crate::model::{
    ClusterMetadata, ConfigEntry, ConfigKind, ConfigResource, ConfigSource, ConfigSynonym, Configs,
    Fault, FaultKind, TopicSettings,
};

use super::seen::{Digest, Seen};
use super::wire::{ClusterClient, To, check_code, decoded};

const OF_TOPICS: &str = "read the settings of the topics";

/// The settings that [`TopicSettings`] holds.
const SETTINGS: [&str; 4] = [
    "min.insync.replicas",
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
];

/// Topics asked for in one request.
const TOPICS_MAX: usize = 2_000;

/// Topics asked in one request for everything that they have.
const WHOLE_TOPICS_MAX: usize = 200;

impl ClusterClient {
    /// Every setting of one resource, with where it comes from and what it means.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic; a broker's own settings need that broker.
    pub async fn configs(&self, resource: &ConfigResource) -> Result<Configs, Fault> {
        let what = format!("read the configuration of {resource}");
        // A broker answers for itself only.
        let to = match resource {
            ConfigResource::Broker(id) => To::Node(*id),
            _ => To::Any,
        };
        let asked = DescribeConfigsResource::default()
            .with_resource_type(resource.type_code())
            .with_resource_name(StrBytes::from_string(resource.wire_name()))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default()
            .with_resources(vec![asked])
            .with_include_synonyms(true)
            .with_include_documentation(true);
        let response = self.ask(&what, to, request).await?;
        let result = response.results.first();
        let result = result
            .ok_or_else(|| Fault::new(FaultKind::Failed, &what, "the broker answered nothing"))?;
        check_code(&what, result.error_code, result.error_message.as_deref())?;
        Ok(from_result(resource.clone(), result))
    }

    /// Every setting of these topics with where it comes from, without documentation.
    ///
    /// # Errors
    /// When no broker answers; what is wrong with one topic is with that topic.
    pub async fn configs_of_topics(
        &self,
        names: &[&str],
    ) -> Result<Vec<Result<Configs, Fault>>, Fault> {
        let what = "read the settings of the topics";
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(WHOLE_TOPICS_MAX) {
            let asked = |name: &&str| {
                DescribeConfigsResource::default()
                    .with_resource_type(ConfigResource::Topic(String::new()).type_code())
                    .with_resource_name(StrBytes::from_string((*name).to_owned()))
                    .with_configuration_keys(None)
            };
            let request = DescribeConfigsRequest::default()
                .with_resources(names.iter().map(asked).collect())
                .with_include_synonyms(true);
            let response = self.ask(what, To::Any, request).await?;
            for result in &response.results {
                let resource = ConfigResource::Topic(result.resource_name.to_string());
                let what = format!("read the configuration of {resource}");
                let read = check_code(&what, result.error_code, result.error_message.as_deref());
                found.push(read.map(|()| from_result(resource, result)));
            }
        }
        Ok(found)
    }

    /// Some settings of a broker, without documentation.
    ///
    /// # Errors
    /// That broker does not answer.
    pub async fn broker_values(&self, id: i32, keys: &[&'static str]) -> Result<Configs, Fault> {
        let resource = ConfigResource::Broker(id);
        let what = format!("read the configuration of {resource}");
        let request = some_values([&resource], keys);
        let response = self.ask(&what, To::Node(id), request).await?;
        let result = response.results.first();
        let result = result
            .ok_or_else(|| Fault::new(FaultKind::Failed, &what, "the broker answered nothing"))?;
        check_code(&what, result.error_code, result.error_message.as_deref())?;
        Ok(from_result(resource, result))
    }

    /// Some settings of topics, without documentation. A topic that can't be asked for is left
    /// out.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn topic_values(
        &self,
        names: &[&str],
        keys: &[&'static str],
    ) -> Result<Vec<Configs>, Fault> {
        let what = "read the settings of the topics";
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(TOPICS_MAX) {
            let topic = |name: &&str| ConfigResource::Topic((*name).to_owned());
            let resources: Vec<ConfigResource> = names.iter().map(topic).collect();
            let request = some_values(&resources, keys);
            let response = self.ask(what, To::Any, request).await?;
            for result in response
                .results
                .iter()
                .filter(|result| result.error_code == 0)
            {
                let resource = ConfigResource::Topic(result.resource_name.to_string());
                found.push(from_result(resource, result));
            }
        }
        Ok(found)
    }

    /// The settings that lists of topics need, of all topics. A topic that can't be asked for is
    /// left out.
    ///
    /// # Errors
    /// When the broker answers nothing.
    pub async fn topic_settings(
        &self,
        metadata: &ClusterMetadata,
    ) -> Result<HashMap<Arc<str>, TopicSettings>, Fault> {
        settings_in(metadata, self.ask_settings(metadata).await?)
    }

    /// As [`Self::topic_settings`]: the same allocation where they are those that were read last.
    ///
    /// # Errors
    /// As [`Self::topic_settings`].
    pub(super) async fn topic_settings_again(
        &self,
        metadata: &ClusterMetadata,
        seen: &Seen<HashMap<Arc<str>, TopicSettings>>,
    ) -> Result<Arc<HashMap<Arc<str>, TopicSettings>>, Fault> {
        let answers = self.ask_settings(metadata).await?;
        let digest = answers
            .iter()
            .fold(Digest::NOTHING, |digest, answer| digest.and(answer.bytes()));
        if let Some(same) = seen.of(Some(digest)) {
            return Ok(same);
        }
        let settings = Arc::new(settings_in(metadata, answers)?);
        seen.keep(Some(digest), &settings);
        Ok(settings)
    }

    async fn ask_settings(
        &self,
        metadata: &ClusterMetadata,
    ) -> Result<Vec<Undecoded<DescribeConfigsResponse>>, Fault> {
        let keys: Vec<StrBytes> = SETTINGS
            .iter()
            .copied()
            .map(StrBytes::from_static_str)
            .collect();
        let mut answers = Vec::new();
        for topics in metadata.topics.chunks(TOPICS_MAX) {
            let resource = |name: &str| {
                DescribeConfigsResource::default()
                    .with_resource_type(ConfigResource::Topic(String::new()).type_code())
                    .with_resource_name(StrBytes::from_string(name.to_owned()))
                    .with_configuration_keys(Some(keys.clone()))
            };
            let resources = topics.iter().map(|topic| resource(&topic.name)).collect();
            let request = DescribeConfigsRequest::default().with_resources(resources);
            let answer = self.ask_undecoded(OF_TOPICS, To::Any, request, SendOptions::default());
            answers.push(answer.await?);
        }
        Ok(answers)
    }
}

fn settings_in(
    metadata: &ClusterMetadata,
    answers: Vec<Undecoded<DescribeConfigsResponse>>,
) -> Result<HashMap<Arc<str>, TopicSettings>, Fault> {
    let mut settings = HashMap::with_capacity(metadata.topics.len());
    // Most topics have the same few.
    let mut policies: HashSet<Arc<str>> = HashSet::new();
    for answer in answers {
        let response = decoded(OF_TOPICS, answer)?;
        for result in response
            .results
            .iter()
            .filter(|result| result.error_code == 0)
        {
            if let Some(topic) = metadata.topic(&result.resource_name) {
                let mut found = settings_of(result);
                if let Some(policy) = &mut found.cleanup_policy {
                    match policies.get(policy) {
                        Some(same) => *policy = Arc::clone(same),
                        None => drop(policies.insert(Arc::clone(policy))),
                    }
                }
                settings.insert(Arc::clone(&topic.name), found);
            }
        }
    }
    Ok(settings)
}

fn some_values<'a>(
    resources: impl IntoIterator<Item = &'a ConfigResource>,
    keys: &[&'static str],
) -> DescribeConfigsRequest {
    let keys: Vec<StrBytes> = keys
        .iter()
        .copied()
        .map(StrBytes::from_static_str)
        .collect();
    let asked = |resource: &ConfigResource| {
        DescribeConfigsResource::default()
            .with_resource_type(resource.type_code())
            .with_resource_name(StrBytes::from_string(resource.wire_name()))
            .with_configuration_keys(Some(keys.clone()))
    };
    DescribeConfigsRequest::default()
        .with_resources(resources.into_iter().map(asked).collect())
        .with_include_synonyms(false)
}

fn settings_of(result: &DescribeConfigsResult) -> TopicSettings {
    let value = |name: &str| {
        let entry = result.configs.iter().find(|entry| &*entry.name == name);
        entry.and_then(|entry| entry.value.as_deref())
    };
    TopicSettings {
        min_insync_replicas: value("min.insync.replicas").and_then(|v| v.parse().ok()),
        cleanup_policy: value("cleanup.policy").map(Arc::from),
        retention_ms: value("retention.ms").and_then(|v| v.parse().ok()),
        retention_bytes: value("retention.bytes").and_then(|v| v.parse().ok()),
    }
}

pub(super) fn from_result(resource: ConfigResource, result: &DescribeConfigsResult) -> Configs {
    let mut entries: Vec<ConfigEntry> = result.configs.iter().map(from_entry).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Configs { resource, entries }
}

fn from_entry(entry: &DescribeConfigsResourceResult) -> ConfigEntry {
    let text = |value: &Option<StrBytes>| value.as_deref().map(str::to_owned);
    ConfigEntry {
        name: entry.name.to_string(),
        value: text(&entry.value),
        source: ConfigSource::from_code(entry.config_source),
        is_read_only: entry.read_only,
        is_sensitive: entry.is_sensitive,
        kind: ConfigKind::from_code(entry.config_type),
        documentation: text(&entry.documentation).filter(|doc| !doc.is_empty()),
        synonyms: entry
            .synonyms
            .iter()
            .map(|synonym| ConfigSynonym {
                name: synonym.name.to_string(),
                value: text(&synonym.value),
                source: ConfigSource::from_code(synonym.source),
            })
            .collect(),
    }
}
