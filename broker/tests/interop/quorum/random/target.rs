//! Carries out operations at a controller, and tells the answers in a form that two controllers'
//! can be compared in.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use kafka_broker::metadata::MetadataImage;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_configs_request as legacy;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::assign_replicas_to_dirs_request as dirs;
use kafka_protocol::messages::broker_registration_request::{Feature, Listener};
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request as incremental;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Connection, ConnectionConfig};
use kafka_shared::error::ErrorCode;
use kafka_shared::types::{Endpoint, Uuid};

use super::ops::{BROKERS, NewTopic, Op, Partition, Registration, Resource};
use crate::shell::Stopwatch;

/// A metadata offset that no log here reaches: the brokers that the test plays know everything.
const EVERYTHING: i64 = 1 << 50;
const TIMEOUT_MS: i32 = 30_000;

/// The controllers of a quorum, of which one is asked.
pub struct Target {
    endpoints: Vec<Endpoint>,
    current: usize,
    connection: Option<Connection>,
    cluster_id: String,
    /// The brokers' ports, in their order.
    ports: Vec<u16>,
    /// How often each broker was started.
    incarnations: BTreeMap<i32, u128>,
    /// How often an operation had to be sent again, because its answer never came.
    pub repeated: usize,
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(*id)).collect()
}

fn code(code: i16) -> &'static str {
    ErrorCode(code).name()
}

/// Partitions of a topic with where they are to go.
type Moves = Vec<(i32, Option<Vec<i32>>)>;

/// Partitions by topic, each topic once.
fn by_topic<T: Clone>(partitions: &[(Partition, T)]) -> BTreeMap<&str, Vec<(i32, T)>> {
    let mut topics: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for ((topic, idx), rest) in partitions {
        topics.entry(topic).or_default().push((*idx, rest.clone()));
    }
    topics
}

fn indexes(partitions: &[Partition]) -> BTreeMap<&str, Vec<i32>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, idx) in partitions {
        topics.entry(topic).or_default().push(*idx);
    }
    topics
}

pub fn directory(broker: i32, idx: usize) -> Uuid {
    Uuid::from_u128((0xD1 << 100) + (broker.unsigned_abs() as u128) * 10 + idx as u128)
}

/// Brokers with an even id have two folders.
fn directories(broker: i32) -> Vec<Uuid> {
    let count = 1 + usize::from(broker % 2 == 0);
    (0..count).map(|idx| directory(broker, idx)).collect()
}

impl Target {
    pub fn new(endpoints: Vec<Endpoint>, cluster_id: &str, ports: &[u16]) -> Self {
        Self {
            endpoints,
            current: 0,
            connection: None,
            cluster_id: cluster_id.to_owned(),
            ports: ports.to_vec(),
            incarnations: BTreeMap::new(),
            repeated: 0,
        }
    }

    /// Sends to the active controller; `is_not_controller` says that it isn't.
    async fn send<R: kafka_shared::protocol::Request>(
        &mut self,
        request: R,
        codes: impl Fn(&R::Response) -> Vec<i16>,
    ) -> anyhow::Result<R::Response> {
        let watch = Stopwatch::start();
        let mut is_repeated = false;
        loop {
            let outcome = self.try_send(&request).await;
            let error = match outcome {
                Ok(response) if !codes(&response).contains(&ErrorCode::NOT_CONTROLLER.0) => {
                    self.repeated += usize::from(is_repeated);
                    return Ok(response);
                }
                Ok(_) => "not the controller".to_owned(),
                Err(error) => {
                    is_repeated = true;
                    format!("{error:#}")
                }
            };
            if watch.elapsed() > Duration::from_secs(60) {
                bail!("{}: {error}", std::any::type_name::<R>());
            }
            self.connection = None;
            self.current = (self.current + 1) % self.endpoints.len();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn try_send<R: kafka_shared::protocol::Request>(
        &mut self,
        request: &R,
    ) -> anyhow::Result<R::Response> {
        let connection = match &self.connection {
            Some(connection) => connection,
            None => {
                let config = ConnectionConfig {
                    connect_timeout_ms: 1_000,
                    // A controller that is paused never answers.
                    request_timeout_ms: if self.endpoints.len() > 1 {
                        4_000
                    } else {
                        30_000
                    },
                    ..ConnectionConfig::default()
                };
                let endpoint = &self.endpoints[self.current];
                let connection = Connection::connect(endpoint, &config).await?;
                self.connection.insert(connection)
            }
        };
        Ok(connection.send(request.clone()).await?)
    }

    /// Does it, and returns what was answered, sorted.
    pub async fn perform(&mut self, op: &Op, image: &MetadataImage) -> anyhow::Result<Vec<String>> {
        let mut answers = match op {
            Op::CreateTopics {
                topics,
                validate_only,
            } => self.create_topics(topics, *validate_only).await?,
            Op::PassingTopic {
                partitions,
                replication_factor,
            } => self.passing_topic(*partitions, *replication_factor).await?,
            Op::DeleteTopics(names) => {
                let states = names
                    .iter()
                    .map(|name| DeleteTopicState::default().with_name(Some(topic(name))));
                self.delete_topics(states.collect(), image).await?
            }
            Op::DeleteTopicsById(names) => {
                let unknown = Uuid::from_u128(1 << 90);
                let states = names.iter().map(|name| {
                    let id = image.topics.id_of(name).unwrap_or(unknown);
                    DeleteTopicState::default()
                        .with_name(None)
                        .with_topic_id(id)
                });
                self.delete_topics(states.collect(), image).await?
            }
            Op::CreatePartitions {
                topic,
                count,
                assignments,
                validate_only,
            } => {
                let assignments = assignments.as_deref();
                self.create_partitions(topic, *count, assignments, *validate_only)
                    .await?
            }
            Op::AlterConfigs {
                resources,
                validate_only,
                is_legacy,
            } if *is_legacy => self.alter_configs(resources, *validate_only).await?,
            Op::AlterConfigs {
                resources,
                validate_only,
                ..
            } => {
                self.incremental_alter_configs(resources, *validate_only)
                    .await?
            }
            Op::ElectLeaders(election, partitions) => {
                self.elect_leaders(*election, partitions.as_deref()).await?
            }
            Op::Reassign {
                moves,
                allow_factor_change,
            } => self.reassign(moves, *allow_factor_change).await?,
            Op::ListReassignments(partitions) => {
                self.list_reassignments(partitions.as_deref()).await?
            }
            Op::Quotas {
                entries,
                validate_only,
            } => self.quotas(entries, *validate_only).await?,
            Op::Scram {
                deletions,
                upsertions,
                seed,
            } => self.scram(deletions, upsertions, *seed).await?,
            Op::Register { broker, kind } => self.register(*broker, *kind, image).await?,
            Op::Heartbeat { .. } => self.heartbeat(op, image).await?,
            Op::Unregister(broker) => self.unregister(*broker).await?,
            Op::UpdateFeatures {
                updates,
                validate_only,
            } => self.update_features(updates, *validate_only).await?,
            Op::AlterPartition { .. } => self.alter_partition(op, image).await?,
            Op::ProducerIds { broker, is_stale } => {
                self.producer_ids(*broker, *is_stale, image).await?
            }
            Op::AssignDirs {
                broker,
                partition,
                dir,
            } => self.assign_dirs(*broker, partition, *dir, image).await?,
        };
        answers.sort();
        Ok(answers)
    }

    async fn create_topics(
        &mut self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> anyhow::Result<Vec<String>> {
        let new = |new: &NewTopic| {
            let assignment = |(idx, replicas): &(i32, Vec<i32>)| {
                CreatableReplicaAssignment::default()
                    .with_partition_index(*idx)
                    .with_broker_ids(ids(replicas))
            };
            let config = |(key, value): &(String, Option<String>)| {
                CreatableTopicConfig::default()
                    .with_name(text(key))
                    .with_value(value.as_deref().map(text))
            };
            CreatableTopic::default()
                .with_name(topic(&new.name))
                .with_num_partitions(new.partitions)
                .with_replication_factor(new.replication_factor)
                .with_assignments(new.assignments.iter().map(assignment).collect())
                .with_configs(new.configs.iter().map(config).collect())
        };
        let request = CreateTopicsRequest::default()
            .with_topics(topics.iter().map(new).collect())
            .with_validate_only(validate_only)
            .with_timeout_ms(TIMEOUT_MS);
        let codes = |r: &CreateTopicsResponse| r.topics.iter().map(|t| t.error_code).collect();
        let response = self.send(request, codes).await?;
        let told = |result: &create_topics_response::CreatableTopicResult| {
            let mut configs: Vec<_> = result
                .configs
                .iter()
                .flatten()
                .map(|config| {
                    let (name, value) = (config.name.as_str(), config.value.as_deref());
                    format!("{name}={value:?} from {}", config.config_source)
                })
                .collect();
            configs.sort();
            format!(
                "{} {} partitions={} factor={} {configs:?}",
                result.name.as_str(),
                code(result.error_code),
                result.num_partitions,
                result.replication_factor,
            )
        };
        Ok(response.topics.iter().map(told).collect())
    }

    async fn passing_topic(
        &mut self,
        partitions: i32,
        replication_factor: i16,
    ) -> anyhow::Result<Vec<String>> {
        let name = "passing";
        let new = NewTopic {
            name: name.to_owned(),
            partitions,
            replication_factor,
            assignments: Vec::new(),
            configs: Vec::new(),
        };
        let mut answers = self.create_topics(&[new], false).await?;
        answers.extend(self.create_partitions(name, 6, None, false).await?);
        let state = DeleteTopicState::default().with_name(Some(topic(name)));
        let image = MetadataImage::default();
        answers.extend(self.delete_topics(vec![state], &image).await?);
        Ok(answers)
    }

    async fn delete_topics(
        &mut self,
        states: Vec<DeleteTopicState>,
        image: &MetadataImage,
    ) -> anyhow::Result<Vec<String>> {
        let request = DeleteTopicsRequest::default()
            .with_topics(states)
            .with_timeout_ms(TIMEOUT_MS);
        let codes = |r: &DeleteTopicsResponse| r.responses.iter().map(|t| t.error_code).collect();
        let response = self.send(request, codes).await?;
        let told = |result: &delete_topics_response::DeletableTopicResult| {
            let name = result.name.as_ref().map(|name| name.as_str());
            let is_right = name.is_none_or(|name| {
                image
                    .topics
                    .id_of(name)
                    .is_none_or(|id| id == result.topic_id)
            });
            format!("{name:?} {} id={is_right}", code(result.error_code))
        };
        Ok(response.responses.iter().map(told).collect())
    }

    async fn create_partitions(
        &mut self,
        name: &str,
        count: i32,
        assignments: Option<&[Vec<i32>]>,
        validate_only: bool,
    ) -> anyhow::Result<Vec<String>> {
        let assignment = |replicas: &Vec<i32>| {
            CreatePartitionsAssignment::default().with_broker_ids(ids(replicas))
        };
        let more = CreatePartitionsTopic::default()
            .with_name(topic(name))
            .with_count(count)
            .with_assignments(assignments.map(|all| all.iter().map(assignment).collect()));
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![more])
            .with_validate_only(validate_only)
            .with_timeout_ms(TIMEOUT_MS);
        let codes = |r: &CreatePartitionsResponse| r.results.iter().map(|t| t.error_code).collect();
        let response = self.send(request, codes).await?;
        let results = response.results.iter();
        Ok(results
            .map(|r| format!("{} {}", r.name.as_str(), code(r.error_code)))
            .collect())
    }

    async fn incremental_alter_configs(
        &mut self,
        resources: &[Resource],
        validate_only: bool,
    ) -> anyhow::Result<Vec<String>> {
        let resource = |resource: &Resource| {
            let change = |(op, key, value): &(i8, String, Option<String>)| {
                incremental::AlterableConfig::default()
                    .with_name(text(key))
                    .with_config_operation(*op)
                    .with_value(value.as_deref().map(text))
            };
            incremental::AlterConfigsResource::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(text(&resource.name))
                .with_configs(resource.changes.iter().map(change).collect())
        };
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(resources.iter().map(resource).collect())
            .with_validate_only(validate_only);
        let codes = |r: &IncrementalAlterConfigsResponse| {
            r.responses.iter().map(|t| t.error_code).collect()
        };
        let response = self.send(request, codes).await?;
        let told = |r: &incremental_alter_configs_response::AlterConfigsResourceResponse| {
            let (kind, name) = (r.resource_type, r.resource_name.as_str());
            format!("{kind}/{name} {}", code(r.error_code))
        };
        Ok(response.responses.iter().map(told).collect())
    }

    async fn alter_configs(
        &mut self,
        resources: &[Resource],
        validate_only: bool,
    ) -> anyhow::Result<Vec<String>> {
        let resource = |resource: &Resource| {
            let change = |(_, key, value): &(i8, String, Option<String>)| {
                legacy::AlterableConfig::default()
                    .with_name(text(key))
                    .with_value(value.as_deref().map(text))
            };
            legacy::AlterConfigsResource::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(text(&resource.name))
                .with_configs(resource.changes.iter().map(change).collect())
        };
        let request = AlterConfigsRequest::default()
            .with_resources(resources.iter().map(resource).collect())
            .with_validate_only(validate_only);
        let codes = |r: &AlterConfigsResponse| r.responses.iter().map(|t| t.error_code).collect();
        let response = self.send(request, codes).await?;
        let told = |r: &alter_configs_response::AlterConfigsResourceResponse| {
            let (kind, name) = (r.resource_type, r.resource_name.as_str());
            format!("{kind}/{name} {}", code(r.error_code))
        };
        Ok(response.responses.iter().map(told).collect())
    }

    async fn elect_leaders(
        &mut self,
        election_type: i8,
        partitions: Option<&[Partition]>,
    ) -> anyhow::Result<Vec<String>> {
        let all = |partitions: &[Partition]| {
            let named = |(name, indexes): (&str, Vec<i32>)| {
                TopicPartitions::default()
                    .with_topic(topic(name))
                    .with_partitions(indexes)
            };
            indexes(partitions).into_iter().map(named).collect()
        };
        let request = ElectLeadersRequest::default()
            .with_election_type(election_type)
            .with_topic_partitions(partitions.map(all))
            .with_timeout_ms(TIMEOUT_MS);
        let response = self
            .send(request, |r: &ElectLeadersResponse| vec![r.error_code])
            .await?;
        let mut answers = vec![code(response.error_code).to_owned()];
        for result in &response.replica_election_results {
            let partitions = result.partition_result.iter();
            answers.extend(partitions.map(|p| {
                let (name, idx) = (result.topic.as_str(), p.partition_id);
                format!("{name}-{idx} {}", code(p.error_code))
            }));
        }
        Ok(answers)
    }

    async fn reassign(
        &mut self,
        moves: &[(Partition, Option<Vec<i32>>)],
        allow_factor_change: bool,
    ) -> anyhow::Result<Vec<String>> {
        let named = |(name, moves): (&str, Moves)| {
            let partition = |(idx, replicas): (i32, Option<Vec<i32>>)| {
                ReassignablePartition::default()
                    .with_partition_index(idx)
                    .with_replicas(replicas.as_deref().map(ids))
            };
            ReassignableTopic::default()
                .with_name(topic(name))
                .with_partitions(moves.into_iter().map(partition).collect())
        };
        let request = AlterPartitionReassignmentsRequest::default()
            .with_topics(by_topic(moves).into_iter().map(named).collect())
            .with_allow_replication_factor_change(allow_factor_change)
            .with_timeout_ms(TIMEOUT_MS);
        let codes = |r: &AlterPartitionReassignmentsResponse| vec![r.error_code];
        let response = self.send(request, codes).await?;
        let mut answers = vec![code(response.error_code).to_owned()];
        for result in &response.responses {
            answers.extend(result.partitions.iter().map(|p| {
                let (name, idx) = (result.name.as_str(), p.partition_index);
                format!("{name}-{idx} {}", code(p.error_code))
            }));
        }
        Ok(answers)
    }

    async fn list_reassignments(
        &mut self,
        partitions: Option<&[Partition]>,
    ) -> anyhow::Result<Vec<String>> {
        let all = |partitions: &[Partition]| {
            let named = |(name, indexes): (&str, Vec<i32>)| {
                ListPartitionReassignmentsTopics::default()
                    .with_name(topic(name))
                    .with_partition_indexes(indexes)
            };
            indexes(partitions).into_iter().map(named).collect()
        };
        let request = ListPartitionReassignmentsRequest::default()
            .with_topics(partitions.map(all))
            .with_timeout_ms(TIMEOUT_MS);
        let codes = |r: &ListPartitionReassignmentsResponse| vec![r.error_code];
        let response = self.send(request, codes).await?;
        let mut answers = vec![code(response.error_code).to_owned()];
        for result in &response.topics {
            answers.extend(result.partitions.iter().map(|p| {
                let (name, idx) = (result.name.as_str(), p.partition_index);
                let (all, adding) = (&p.replicas, &p.adding_replicas);
                format!(
                    "{name}-{idx} {all:?} +{adding:?} -{:?}",
                    p.removing_replicas
                )
            }));
        }
        Ok(answers)
    }

    async fn quotas(
        &mut self,
        entries: &[super::ops::QuotaChange],
        validate_only: bool,
    ) -> anyhow::Result<Vec<String>> {
        let entry = |(entity, ops): &super::ops::QuotaChange| {
            let part = |(kind, name): &(String, Option<String>)| {
                EntityData::default()
                    .with_entity_type(text(kind))
                    .with_entity_name(name.as_deref().map(text))
            };
            let op = |(key, value): &(String, Option<f64>)| {
                OpData::default()
                    .with_key(text(key))
                    .with_value(value.unwrap_or(0.0))
                    .with_remove(value.is_none())
            };
            EntryData::default()
                .with_entity(entity.iter().map(part).collect())
                .with_ops(ops.iter().map(op).collect())
        };
        let request = AlterClientQuotasRequest::default()
            .with_entries(entries.iter().map(entry).collect())
            .with_validate_only(validate_only);
        let codes =
            |r: &AlterClientQuotasResponse| r.entries.iter().map(|e| e.error_code).collect();
        let response = self.send(request, codes).await?;
        let told = |entry: &alter_client_quotas_response::EntryData| {
            let mut entity: Vec<_> = (entry.entity.iter())
                .map(|part| (part.entity_type.to_string(), part.entity_name.clone()))
                .collect();
            entity.sort();
            format!("{entity:?} {}", code(entry.error_code))
        };
        Ok(response.entries.iter().map(told).collect())
    }

    async fn scram(
        &mut self,
        deletions: &[(String, i8)],
        upsertions: &[(String, i8, i32)],
        seed: u8,
    ) -> anyhow::Result<Vec<String>> {
        let deletion = |(name, mechanism): &(String, i8)| {
            ScramCredentialDeletion::default()
                .with_name(text(name))
                .with_mechanism(*mechanism)
        };
        let upsertion = |(name, mechanism, iterations): &(String, i8, i32)| {
            // An empty password is a mistake of its own.
            let password = vec![seed; usize::from(seed % 40)];
            ScramCredentialUpsertion::default()
                .with_name(text(name))
                .with_mechanism(*mechanism)
                .with_iterations(*iterations)
                .with_salt(vec![seed; 8].into())
                .with_salted_password(password.into())
        };
        let request = AlterUserScramCredentialsRequest::default()
            .with_deletions(deletions.iter().map(deletion).collect())
            .with_upsertions(upsertions.iter().map(upsertion).collect());
        let codes = |r: &AlterUserScramCredentialsResponse| {
            r.results.iter().map(|e| e.error_code).collect()
        };
        let response = self.send(request, codes).await?;
        let results = response.results.iter();
        Ok(results
            .map(|r| format!("{} {}", r.user.as_str(), code(r.error_code)))
            .collect())
    }

    async fn register(
        &mut self,
        broker: i32,
        kind: Registration,
        image: &MetadataImage,
    ) -> anyhow::Result<Vec<String>> {
        let incarnation = self.incarnations.entry(broker).or_default();
        if !matches!(kind, Registration::Again) {
            *incarnation += 1;
        }
        let mut incarnation = Uuid::from_u128(
            (0x1_0000 << 80) + (u128::from(broker.unsigned_abs()) << 40) + *incarnation,
        );
        if kind == Registration::Again
            && let Some(registered) = image.cluster.broker(broker)
        {
            incarnation = registered.incarnation_id;
        }
        let log_dirs = match kind {
            Registration::NoDirs => Vec::new(),
            Registration::ReservedDir => vec![Uuid::from_u128(1)],
            _ => directories(broker),
        };
        let is_clean = !matches!(kind, Registration::Restart { is_clean: false });
        let mut features = vec![
            ("eligible.leader.replicas.version", 0, 1),
            ("group.version", 0, 1),
            ("kraft.version", 0, 1),
            ("metadata.version", 7, 30),
            ("share.version", 0, 1),
            ("streams.version", 0, 1),
            ("transaction.version", 0, 2),
        ];
        match kind {
            Registration::TooOld => features[3].2 = 21,
            Registration::NoMetadataVersion => {
                features.remove(3);
            }
            _ => {}
        }
        let feature = |(name, min, max): &(&'static str, i16, i16)| {
            Feature::default()
                .with_name(StrBytes::from_static_str(name))
                .with_min_supported_version(*min)
                .with_max_supported_version(*max)
        };
        let place = BROKERS.iter().position(|id| *id == broker);
        let port = place.map_or(1, |place| self.ports[place]);
        let listener = Listener::default()
            .with_name(text("PLAINTEXT"))
            .with_host(text("127.0.0.1"))
            .with_port(port);
        let cluster_id = match kind {
            Registration::ForeignCluster => "4L6g3nShT-eMCtK--X86sw",
            _ => &self.cluster_id,
        };
        let request = BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(broker))
            .with_cluster_id(text(cluster_id))
            .with_incarnation_id(incarnation)
            .with_listeners(vec![listener])
            .with_features(features.iter().map(feature).collect())
            .with_rack((broker % 3 > 0).then(|| text(&format!("r{}", broker % 3))))
            .with_log_dirs(log_dirs)
            .with_previous_broker_epoch(if is_clean {
                image.cluster.broker_epoch(broker)
            } else {
                -1
            });
        let codes = |r: &BrokerRegistrationResponse| vec![r.error_code];
        let response = self.send(request, codes).await?;
        Ok(vec![code(response.error_code).to_owned()])
    }

    async fn heartbeat(&mut self, op: &Op, image: &MetadataImage) -> anyhow::Result<Vec<String>> {
        let Op::Heartbeat {
            broker,
            fence,
            shut_down,
            is_first_dir_offline,
            is_stale,
        } = op
        else {
            bail!("{op:?} is no heartbeat");
        };
        let offline = is_first_dir_offline.then(|| directory(*broker, 0));
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(*broker))
            .with_broker_epoch(image.cluster.broker_epoch(*broker) - i64::from(*is_stale))
            .with_current_metadata_offset(EVERYTHING)
            .with_want_fence(*fence)
            .with_want_shut_down(*shut_down)
            .with_offline_log_dirs(offline.into_iter().collect());
        let codes = |r: &BrokerHeartbeatResponse| vec![r.error_code];
        let r = self.send(request, codes).await?;
        let (caught_up, fenced, stop) = (r.is_caught_up, r.is_fenced, r.should_shut_down);
        let code = code(r.error_code);
        Ok(vec![format!(
            "{code} caught_up={caught_up} fenced={fenced} stop={stop}"
        )])
    }

    async fn unregister(&mut self, broker: i32) -> anyhow::Result<Vec<String>> {
        let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(broker));
        let codes = |r: &UnregisterBrokerResponse| vec![r.error_code];
        let response = self.send(request, codes).await?;
        Ok(vec![code(response.error_code).to_owned()])
    }

    async fn update_features(
        &mut self,
        updates: &[(String, i16, i8)],
        validate_only: bool,
    ) -> anyhow::Result<Vec<String>> {
        let update = |(name, level, kind): &(String, i16, i8)| {
            FeatureUpdateKey::default()
                .with_feature(text(name))
                .with_max_version_level(*level)
                .with_upgrade_type(*kind)
        };
        let request = UpdateFeaturesRequest::default()
            .with_feature_updates(updates.iter().map(update).collect())
            .with_validate_only(validate_only)
            .with_timeout_ms(TIMEOUT_MS);
        let codes = |r: &UpdateFeaturesResponse| vec![r.error_code];
        let response = self.send(request, codes).await?;
        let mut answers = vec![code(response.error_code).to_owned()];
        let results = response.results.iter();
        answers.extend(results.map(|r| format!("{} {}", r.feature.as_str(), code(r.error_code))));
        Ok(answers)
    }

    async fn alter_partition(
        &mut self,
        op: &Op,
        image: &MetadataImage,
    ) -> anyhow::Result<Vec<String>> {
        let Op::AlterPartition {
            partition: (name, idx),
            by,
            isr,
            leader_epoch_change,
            partition_epoch_change,
            knows_epochs,
            recovery,
        } = op
        else {
            bail!("{op:?} is no AlterPartition");
        };
        let now = image.topics.partition(name, *idx);
        let member = |id: &i32| {
            let epoch = if *knows_epochs {
                image.cluster.broker_epoch(*id)
            } else {
                -1
            };
            BrokerState::default()
                .with_broker_id(BrokerId(*id))
                .with_broker_epoch(epoch)
        };
        let partition = PartitionData::default()
            .with_partition_index(*idx)
            .with_leader_epoch(now.map_or(0, |now| now.leader_epoch) + leader_epoch_change)
            .with_partition_epoch(now.map_or(0, |now| now.partition_epoch) + partition_epoch_change)
            .with_leader_recovery_state(*recovery)
            .with_new_isr_with_epochs(isr.iter().map(member).collect());
        let topic_id = image.topics.id_of(name).unwrap_or(Uuid::from_u128(1 << 90));
        let data = TopicData::default()
            .with_topic_id(topic_id)
            .with_partitions(vec![partition]);
        let request = AlterPartitionRequest::default()
            .with_broker_id(BrokerId(*by))
            .with_broker_epoch(image.cluster.broker_epoch(*by))
            .with_topics(vec![data]);
        // A partition whose epoch is ahead of the controller's is answered so, too.
        let codes = |r: &AlterPartitionResponse| vec![r.error_code];
        let response = self.send(request, codes).await?;
        let mut answers = vec![code(response.error_code).to_owned()];
        for p in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let (leader, isr) = (p.leader_id, &p.isr);
            let epochs = (p.leader_epoch, p.partition_epoch, p.leader_recovery_state);
            let code = code(p.error_code);
            answers.push(format!("{code} leader={leader:?} isr={isr:?} {epochs:?}"));
        }
        Ok(answers)
    }

    async fn producer_ids(
        &mut self,
        broker: i32,
        is_stale: bool,
        image: &MetadataImage,
    ) -> anyhow::Result<Vec<String>> {
        let request = AllocateProducerIdsRequest::default()
            .with_broker_id(BrokerId(broker))
            .with_broker_epoch(image.cluster.broker_epoch(broker) - i64::from(is_stale));
        let codes = |r: &AllocateProducerIdsResponse| vec![r.error_code];
        let r = self.send(request, codes).await?;
        let (start, len) = (r.producer_id_start.0, r.producer_id_len);
        Ok(vec![format!("{} {start}+{len}", code(r.error_code))])
    }

    async fn assign_dirs(
        &mut self,
        broker: i32,
        (name, idx): &Partition,
        dir: usize,
        image: &MetadataImage,
    ) -> anyhow::Result<Vec<String>> {
        let topic_id = image.topics.id_of(name).unwrap_or(Uuid::from_u128(1 << 90));
        let partition = dirs::PartitionData::default().with_partition_index(*idx);
        let topic = dirs::TopicData::default()
            .with_topic_id(topic_id)
            .with_partitions(vec![partition]);
        let data = dirs::DirectoryData::default()
            .with_id(directory(broker, dir))
            .with_topics(vec![topic]);
        let request = AssignReplicasToDirsRequest::default()
            .with_broker_id(BrokerId(broker))
            .with_broker_epoch(image.cluster.broker_epoch(broker))
            .with_directories(vec![data]);
        let codes = |r: &AssignReplicasToDirsResponse| vec![r.error_code];
        let response = self.send(request, codes).await?;
        let mut answers = vec![code(response.error_code).to_owned()];
        let topics = response.directories.iter().flat_map(|dir| &dir.topics);
        let partitions = topics.flat_map(|topic| &topic.partitions);
        answers.extend(partitions.map(|p| code(p.error_code).to_owned()));
        Ok(answers)
    }
}
