//! The requests that change a cluster. Each goes through the gate in `wire`, which refuses it in a
//! read-only session.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteGroupsRequest, DeleteTopicsRequest, ElectLeadersRequest, GroupId,
    IncrementalAlterConfigsRequest, TopicName,
};
use kafka_shared::client::{CoordinatorType, Route};
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::{Request, StrBytes};
use kafka_shared::types::Uuid;

use crate::model::{ConfigResource, Fault, FaultKind, TopicPartition};
use crate::ops::{AddPartitions, AlterConfigs, ConfigChange, CreateTopic};

use super::wire::{ClusterClient, To, check_code, client_fault};

/// How long the controller may take to do what it is asked for.
const CONTROLLER_TIMEOUT_MS: i32 = 10_000;

/// Topics are deleted by a list of names before version 6, by structs from then on.
const DELETE_TOPICS_BY_STRUCT: i16 = 6;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName::from(text(name))
}

/// What became of a topic that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// In words.
    pub told: String,
    /// Brokers before Kafka 2.8 tell none, and a topic that was there already was not created.
    pub id: Option<Uuid>,
}

fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

/// Partitions by topic.
fn by_topic<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> BTreeMap<Arc<str>, Vec<i32>> {
    let mut topics: BTreeMap<Arc<str>, Vec<i32>> = BTreeMap::new();
    for key in partitions {
        topics
            .entry(Arc::clone(&key.topic))
            .or_default()
            .push(key.partition);
    }
    topics
}

fn nothing(what: &str) -> Fault {
    Fault::new(
        FaultKind::Failed,
        what,
        "the broker's answer does not mention it",
    )
}

/// The replicas that each partition is to have; `None` cancels.
type Targets = BTreeMap<TopicPartition, Option<Vec<i32>>>;

/// Results for partitions, of which each is missing at first.
type PerPartition = BTreeMap<TopicPartition, Result<(), Fault>>;

impl ClusterClient {
    /// Sends a change to the controller, again when it says that it is not the controller.
    pub(super) async fn change<R: Request>(
        &self,
        what: &str,
        request: R,
        error_of: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, Fault> {
        self.may_send::<R>(what)?;
        let error_of = |response: &R::Response| ErrorCode(error_of(response));
        let answer = self
            .client
            .send_to(&Route::Controller, request, error_of)
            .await;
        answer.map_err(|error| client_fault(what, &error))
    }

    /// Creates a topic, or lets the controller check it only. Answers with what it became.
    ///
    /// # Errors
    /// What the controller says against it.
    pub async fn create_topic(
        &self,
        create: &CreateTopic,
        validate_only: bool,
    ) -> Result<CreatedTopic, Fault> {
        let what = format!("create topic \"{}\"", create.name);
        let config = |(name, value): &(String, String)| {
            CreatableTopicConfig::default()
                .with_name(text(name))
                .with_value(Some(text(value)))
        };
        let place = |(at, replicas): (usize, &Vec<i32>)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(i32::try_from(at).unwrap_or(i32::MAX))
                .with_broker_ids(brokers(replicas))
        };
        let assignments = create
            .assignment
            .iter()
            .flatten()
            .enumerate()
            .map(place)
            .collect();
        let topic = CreatableTopic::default()
            .with_name(topic_name(&create.name))
            .with_num_partitions(create.partitions.unwrap_or(-1))
            .with_replication_factor(create.replication_factor.unwrap_or(-1))
            .with_assignments(assignments)
            .with_configs(create.configs.iter().map(config).collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(CONTROLLER_TIMEOUT_MS)
            .with_validate_only(validate_only);
        let response = self
            .change(&what, request, |r| {
                r.topics.first().map_or(0, |topic| topic.error_code)
            })
            .await?;
        let result = response.topics.first().ok_or_else(|| nothing(&what))?;
        let outcome = check_code(&what, result.error_code, result.error_message.as_deref());
        match outcome {
            Err(fault) if fault.kind == FaultKind::AlreadyExists && create.if_not_exists => {
                Ok(CreatedTopic {
                    told: "it exists already".to_owned(),
                    id: None,
                })
            }
            Err(fault) => Err(fault),
            Ok(()) => Ok(CreatedTopic {
                told: match result.num_partitions {
                    ..1 => "created".to_owned(),
                    n => format!(
                        "partitions {n}, replication factor {}",
                        result.replication_factor
                    ),
                },
                id: Some(result.topic_id).filter(|id| !id.is_nil() && !validate_only),
            }),
        }
    }

    /// Deletes topics; a result for each. One whose id is in `ids` is deleted by it where the
    /// cluster can do so (since Kafka 2.8), so that none is taken for another of its name.
    ///
    /// # Errors
    /// When the controller does not answer.
    pub async fn delete_topics(
        &self,
        names: &[String],
        ids: &BTreeMap<String, Uuid>,
    ) -> Result<Vec<(String, Result<(), Fault>)>, Fault> {
        use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
        let what = "delete topics";
        self.may_send::<DeleteTopicsRequest>(what)?;
        let connection = self.connection(what, To::Controller).await?;
        let version = connection.version_of::<DeleteTopicsRequest>();
        let version = version.map_err(|error| client_fault(what, &error))?;
        let request = DeleteTopicsRequest::default().with_timeout_ms(CONTROLLER_TIMEOUT_MS);
        let request = if version >= DELETE_TOPICS_BY_STRUCT {
            let state = |name: &String| match ids.get(name) {
                Some(id) => DeleteTopicState::default()
                    .with_name(None)
                    .with_topic_id(*id),
                None => DeleteTopicState::default().with_name(Some(topic_name(name))),
            };
            request.with_topics(names.iter().map(state).collect())
        } else {
            request.with_topic_names(names.iter().map(|name| topic_name(name)).collect())
        };
        let error_of = |r: &<DeleteTopicsRequest as Request>::Response| {
            r.responses.first().map_or(0, |topic| topic.error_code)
        };
        let response = self.change(what, request, error_of).await?;
        let result = |name: &String| {
            let what = format!("delete topic \"{name}\"");
            let found = response.responses.iter();
            let mut found = found.filter(|result| {
                let named = result.name.as_ref();
                named.is_some_and(|n| n.as_str() == name.as_str())
                    || ids.get(name) == Some(&result.topic_id)
            });
            let outcome = match found.next() {
                Some(r) if ErrorCode(r.error_code) == ErrorCode::UNKNOWN_TOPIC_ID => {
                    let why = "the topic that was to be deleted is gone; one of its name that was \
                               made since then is another one";
                    Err(Fault::not_found(&what, why))
                }
                Some(r) => check_code(&what, r.error_code, r.error_message.as_deref()),
                None => Err(nothing(&what)),
            };
            (name.clone(), outcome)
        };
        Ok(names.iter().map(result).collect())
    }

    /// Adds partitions to a topic, or lets the controller check it only.
    ///
    /// # Errors
    /// What the controller says against it.
    pub async fn create_partitions(
        &self,
        add: &AddPartitions,
        validate_only: bool,
    ) -> Result<String, Fault> {
        let what = format!("add partitions to topic \"{}\"", add.topic);
        let place = |replicas: &Vec<i32>| {
            CreatePartitionsAssignment::default().with_broker_ids(brokers(replicas))
        };
        let assignments = add
            .assignment
            .as_ref()
            .map(|lists| lists.iter().map(place).collect());
        let topic = CreatePartitionsTopic::default()
            .with_name(topic_name(&add.topic))
            .with_count(add.total)
            .with_assignments(assignments);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(CONTROLLER_TIMEOUT_MS)
            .with_validate_only(validate_only);
        let response = self
            .change(&what, request, |r| {
                r.results.first().map_or(0, |topic| topic.error_code)
            })
            .await?;
        let result = response.results.first().ok_or_else(|| nothing(&what))?;
        check_code(&what, result.error_code, result.error_message.as_deref())?;
        Ok(format!("{} partitions", add.total))
    }

    /// Changes single settings of one resource, or lets the broker check it only.
    ///
    /// # Errors
    /// What the broker says against it.
    pub async fn alter_configs(
        &self,
        alter: &AlterConfigs,
        validate_only: bool,
    ) -> Result<String, Fault> {
        let what = format!("change the configuration of {}", alter.resource);
        let setting = |change: &ConfigChange| {
            let (operation, value) = match change {
                ConfigChange::Set { value, .. } => (0, Some(value)),
                ConfigChange::Delete { .. } => (1, None),
                ConfigChange::Append { value, .. } => (2, Some(value)),
                ConfigChange::Subtract { value, .. } => (3, Some(value)),
            };
            AlterableConfig::default()
                .with_name(text(change.name()))
                .with_config_operation(operation)
                .with_value(value.map(|value| text(value)))
        };
        let resource = AlterConfigsResource::default()
            .with_resource_type(alter.resource.type_code())
            .with_resource_name(text(&alter.resource.wire_name()))
            .with_configs(alter.changes.iter().map(setting).collect());
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(vec![resource])
            .with_validate_only(validate_only);
        let response = match alter.resource {
            // A broker's own settings are checked by that broker.
            ConfigResource::Broker(id) => self.ask(&what, To::Node(id), request).await?,
            _ => {
                let error_of = |r: &<IncrementalAlterConfigsRequest as Request>::Response| {
                    r.responses
                        .first()
                        .map_or(0, |resource| resource.error_code)
                };
                self.change(&what, request, error_of).await?
            }
        };
        let result = response.responses.first().ok_or_else(|| nothing(&what))?;
        check_code(&what, result.error_code, result.error_message.as_deref())?;
        Ok("changed".to_owned())
    }

    /// Starts reassignments (`Some(replicas)`) and cancels them (`None`); a result for each. A
    /// running one that a new target can't take the place of is cancelled first.
    ///
    /// # Errors
    /// When the controller does not answer or refuses all of it.
    pub async fn alter_reassignments(&self, mut target: Targets) -> Result<PerPartition, Fault> {
        let mut results = PerPartition::new();
        if target.values().any(Option::is_some) {
            let running = self.reassignments().await?;
            let is_in_the_way = |(key, replicas): &(&TopicPartition, &Option<Vec<i32>>)| {
                let running = running.get(*key).zip(replicas.as_deref());
                running.is_some_and(|(running, target)| running.is_in_the_way_of(target))
            };
            let in_the_way = target.iter().filter(is_in_the_way);
            let in_the_way: Targets = in_the_way.map(|(key, _)| (key.clone(), None)).collect();
            if !in_the_way.is_empty() {
                results = self.send_reassignments(&in_the_way).await?;
                results.retain(|_, outcome| outcome.is_err());
                target.retain(|key, _| !results.contains_key(key));
            }
        }
        if !target.is_empty() {
            results.extend(self.send_reassignments(&target).await?);
        }
        Ok(results)
    }

    async fn send_reassignments(&self, target: &Targets) -> Result<PerPartition, Fault> {
        let what = "reassign partitions";
        let mut topics: BTreeMap<Arc<str>, Vec<ReassignablePartition>> = BTreeMap::new();
        let mut results = PerPartition::new();
        for (key, replicas) in target {
            let partition = ReassignablePartition::default()
                .with_partition_index(key.partition)
                .with_replicas(replicas.as_deref().map(brokers));
            topics
                .entry(Arc::clone(&key.topic))
                .or_default()
                .push(partition);
            results.insert(key.clone(), Err(nothing(what)));
        }
        let topic = |(name, partitions): (Arc<str>, Vec<ReassignablePartition>)| {
            ReassignableTopic::default()
                .with_name(topic_name(&name))
                .with_partitions(partitions)
        };
        let request = AlterPartitionReassignmentsRequest::default()
            .with_timeout_ms(CONTROLLER_TIMEOUT_MS)
            .with_topics(topics.into_iter().map(topic).collect());
        let response = self
            .change(what, request, |response| response.error_code)
            .await?;
        check_code(what, response.error_code, response.error_message.as_deref())?;
        for topic in &response.responses {
            for partition in &topic.partitions {
                let key = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                let what = format!("reassign {key}");
                let message = partition.error_message.as_deref();
                results.insert(key, check_code(&what, partition.error_code, message));
            }
        }
        Ok(results)
    }

    /// Elects the preferred leader of each partition; a result for each. A partition that is led
    /// by it already is a success.
    ///
    /// # Errors
    /// When the controller does not answer or refuses all of it.
    pub async fn elect_preferred_leaders(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<PerPartition, Fault> {
        let what = "elect preferred leaders";
        let topic = |(name, ids): (Arc<str>, Vec<i32>)| {
            TopicPartitions::default()
                .with_topic(topic_name(&name))
                .with_partitions(ids)
        };
        let request = ElectLeadersRequest::default()
            .with_election_type(0)
            .with_topic_partitions(Some(by_topic(partitions).into_iter().map(topic).collect()))
            .with_timeout_ms(CONTROLLER_TIMEOUT_MS);
        let response = self
            .change(what, request, |response| response.error_code)
            .await?;
        check_code(what, response.error_code, None)?;
        // Partitions that need no election are not always mentioned.
        let mut results: PerPartition =
            partitions.iter().map(|key| (key.clone(), Ok(()))).collect();
        for topic in &response.replica_election_results {
            for partition in &topic.partition_result {
                let key = TopicPartition::new(topic.topic.as_str(), partition.partition_id);
                let outcome = match ErrorCode(partition.error_code) {
                    ErrorCode::ELECTION_NOT_NEEDED => Ok(()),
                    ErrorCode(code) => {
                        let what = format!("elect the preferred leader of {key}");
                        check_code(&what, code, partition.error_message.as_deref())
                    }
                };
                results.insert(key, outcome);
            }
        }
        Ok(results)
    }

    /// Deletes groups, each at its coordinator; a result for each.
    ///
    /// # Errors
    /// When the session is read-only.
    pub async fn delete_groups(
        &self,
        ids: &[String],
    ) -> Result<Vec<(String, Result<(), Fault>)>, Fault> {
        self.may_send::<DeleteGroupsRequest>("delete groups")?;
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            let what = format!("delete group \"{id}\"");
            let request =
                DeleteGroupsRequest::default().with_groups_names(vec![GroupId::from(text(id))]);
            let route = Route::Coordinator(CoordinatorType::Group, id.clone());
            let error_of = |r: &<DeleteGroupsRequest as Request>::Response| {
                ErrorCode(r.results.first().map_or(0, |group| group.error_code))
            };
            let answer = self.client.send_to(&route, request, error_of).await;
            let outcome = answer
                .map_err(|error| client_fault(&what, &error))
                .and_then(|answer| {
                    let result = answer.results.first().ok_or_else(|| nothing(&what))?;
                    check_code(&what, result.error_code, None)
                });
            results.push((id.clone(), outcome));
        }
        Ok(results)
    }
}
