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
use super::wire::{ClusterClient, To, check_code, client_fault, decoded};

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
    /// Every setting of one resource, with where it comes from and what it means. Of the default of
    /// all brokers Kafka tells only what is set; what else can be is known from one of the brokers.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic; a broker's own settings need that broker.
    pub async fn configs(&self, resource: &ConfigResource) -> Result<Configs, Fault> {
        let configs = self.told_configs(resource).await?;
        if *resource != ConfigResource::BrokerDefault {
            return Ok(configs);
        }
        // What is set is worth showing without the rest.
        Ok(match self.configs_of_some_broker().await {
            Ok(of_broker) => with_defaults(configs, of_broker),
            Err(_) => configs,
        })
    }

    async fn configs_of_some_broker(&self) -> Result<Configs, Fault> {
        let what = "read the configuration of a broker";
        let cluster = self.client.cluster().await;
        let cluster = cluster.map_err(|error| client_fault(what, &error))?;
        let id = cluster.nodes.keys().copied().min();
        let id =
            id.ok_or_else(|| Fault::new(FaultKind::Unreachable, what, "the cluster names none"))?;
        let resource = ConfigResource::Broker(id);
        self.told_configs(&resource).await
    }

    async fn told_configs(&self, resource: &ConfigResource) -> Result<Configs, Fault> {
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

/// What is set for all brokers, and what would hold for one without settings of its own, by what
/// one broker tells. What needs a restart can't be set for all and is left out.
fn with_defaults(mut set: Configs, of_broker: Configs) -> Configs {
    use ConfigSource::{DynamicBroker, DynamicDefaultBroker};
    let mut more = Vec::new();
    for mut entry in of_broker.entries {
        let is_below =
            |s: &ConfigSynonym| !matches!(s.source, DynamicBroker | DynamicDefaultBroker);
        entry.synonyms.retain(is_below);
        if let Ok(at) = set
            .entries
            .binary_search_by(|known| known.name.cmp(&entry.name))
        {
            let known = &mut set.entries[at];
            if known.synonyms.len() < 2 {
                known.synonyms.append(&mut entry.synonyms);
            }
            continue;
        }
        if entry.is_read_only {
            continue;
        }
        match entry.synonyms.first() {
            Some(holds) => (entry.value, entry.source) = (holds.value.clone(), holds.source),
            None if matches!(entry.source, DynamicBroker | DynamicDefaultBroker) => {
                (entry.value, entry.source) = (None, ConfigSource::Default);
            }
            None => {}
        }
        more.push(entry);
    }
    set.entries.append(&mut more);
    set.entries.sort_by(|a, b| a.name.cmp(&b.name));
    set
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

#[cfg(test)]
mod tests {
    use super::*;
    use ConfigSource::{Default, DynamicBroker, DynamicDefaultBroker, StaticBroker};

    fn entry(name: &str, read_only: bool, from: &[(&str, ConfigSource)]) -> ConfigEntry {
        let synonym = |(value, source): &(&str, ConfigSource)| ConfigSynonym {
            name: name.to_owned(),
            value: Some((*value).to_owned()),
            source: *source,
        };
        ConfigEntry {
            name: name.to_owned(),
            value: Some(from[0].0.to_owned()),
            source: from[0].1,
            is_read_only: read_only,
            is_sensitive: false,
            kind: ConfigKind::Long,
            documentation: None,
            synonyms: from.iter().map(synonym).collect(),
        }
    }

    #[test]
    fn the_default_of_all_brokers_knows_what_could_be_set_and_what_holds_without() {
        let set = Configs {
            resource: ConfigResource::BrokerDefault,
            entries: vec![entry(
                "log.segment.bytes",
                false,
                &[("9", DynamicDefaultBroker)],
            )],
        };
        let of_broker = Configs {
            resource: ConfigResource::Broker(1),
            entries: vec![
                entry(
                    "log.cleaner.threads",
                    false,
                    &[("4", DynamicBroker), ("2", StaticBroker), ("1", Default)],
                ),
                entry("log.dirs", true, &[("/data", StaticBroker)]),
                entry("log.retention.ms", false, &[("7", DynamicBroker)]),
                entry(
                    "log.segment.bytes",
                    false,
                    &[("9", DynamicDefaultBroker), ("5", Default)],
                ),
            ],
        };
        let all = with_defaults(set, of_broker);
        let told = |name: &str| {
            let entry = all.get(name)?;
            let from = entry
                .inherited(&all.resource)
                .and_then(|s| s.value.as_deref());
            Some((entry.value.as_deref(), entry.source, from))
        };
        assert_eq!(
            told("log.segment.bytes"),
            Some((Some("9"), DynamicDefaultBroker, Some("5")))
        );
        assert_eq!(
            told("log.cleaner.threads"),
            Some((Some("2"), StaticBroker, Some("2")))
        );
        assert_eq!(told("log.retention.ms"), Some((None, Default, None)));
        assert_eq!(told("log.dirs"), None, "it takes a restart");
    }
}
