//! Topics: create, add partitions.
//!
//! Kafka: `controller/ReplicationControlManager.java`, `kafka/server/ControllerApis.scala`,
//! `common/internals/Topic.java` (4.3).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::schema::metadata::{MetadataRecord, TopicRecord};
use kafka_shared::types::METADATA_TOPIC_NAME;

use super::configs::{AlterOp, ConfigChange};
use super::placement::{self, UsableBroker};
use super::state::{Cx, Outcome, QuorumController, check_record_count};
use crate::metadata::configs::ConfigMap;
use crate::metadata::records::partition_record;
use crate::metadata::{ConfigResource, LeaderRecoveryState, PartitionRegistration, TopicImage};

/// Longest name of a topic.
pub const MAX_NAME_LENGTH: usize = 249;

/// Most partitions that one CreateTopics may make.
const MAX_PARTITIONS_PER_BATCH: i64 = 10_000;

/// A deep copy, which doesn't keep the request's frame in memory.
pub(super) fn own(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(own(name))
}

/// Most bytes of a message in a response; the protocol has room for no more in a string.
const MESSAGE_BYTES_MAX: usize = i16::MAX as usize;

/// The message of an error as it goes into a response.
///
// Differs from Kafka: where a message quotes a value of the request and is too long with it, Kafka
// fails to answer and closes the connection. Here the end of the message is cut off.
pub(super) fn error_message(error: &ApiError) -> Option<StrBytes> {
    let message = error.message.as_deref()?;
    let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
    Some(own(&message[..end]))
}

#[cfg(test)]
#[test]
fn a_message_that_quotes_too_much_is_cut_at_a_character() {
    let long = "ä".repeat(20_000);
    let error = ApiError::new(ErrorCode::INVALID_CONFIG, long);
    let message = error_message(&error).unwrap();
    assert_eq!(message.len(), MESSAGE_BYTES_MAX - 1);
}

/// Checks the form of a topic's name.
///
/// # Errors
/// INVALID_TOPIC_EXCEPTION with Kafka's message.
pub fn validate_topic_name(name: &str) -> Result<(), ApiError> {
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." {
        "'.' is not allowed".to_owned()
    } else if name == ".." {
        "'..' is not allowed".to_owned()
    } else if name.len() > MAX_NAME_LENGTH {
        format!("the length of '{name}' is longer than the max allowed length {MAX_NAME_LENGTH}")
    } else if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' \
             and '-'"
        )
    } else {
        return Ok(());
    };
    let message = format!("Topic name is invalid: {reason}");
    Err(ApiError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, message))
}

/// Whether metrics of both topics would have the same name, as '.' becomes '_' there.
fn collide(a: &str, b: &str) -> bool {
    let unified = |byte: u8| if byte == b'.' { b'_' } else { byte };
    a.len() == b.len() && a.bytes().map(unified).eq(b.bytes().map(unified))
}

fn invalid_assignment(message: String) -> ApiError {
    ApiError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message)
}

impl QuorumController {
    /// CreateTopics.
    ///
    /// # Errors
    /// POLICY_VIOLATION for too many partitions at once; all else is said per topic.
    pub fn create_topics(
        &self,
        cx: &Cx<'_>,
        request: &CreateTopicsRequest,
    ) -> Result<Outcome<CreateTopicsResponse>, ApiError> {
        self.check_partition_total(request)?;
        let mut seen = BTreeSet::new();
        let mut duplicates = BTreeSet::new();
        for topic in &request.topics {
            if !seen.insert(topic.name.as_str()) {
                duplicates.insert(topic.name.as_str());
            }
        }
        let mut records = Vec::new();
        let mut response = CreateTopicsResponse::default();
        for topic in &request.topics {
            let name = topic.name.as_str();
            if duplicates.contains(name) || name == METADATA_TOPIC_NAME {
                continue;
            }
            let result = self
                .check_new_name(name)
                .and_then(|()| self.create_topic(cx, topic, &mut records));
            response
                .topics
                .push(result.unwrap_or_else(|error| create_error(name, &error)));
        }
        let refuse = |name: &str, message: String| {
            create_error(name, &ApiError::new(ErrorCode::INVALID_REQUEST, message))
        };
        for name in duplicates {
            response
                .topics
                .push(refuse(name, "Duplicate topic name.".into()));
            seen.remove(name);
        }
        if seen.contains(METADATA_TOPIC_NAME) {
            let message =
                format!("Creation of internal topic {METADATA_TOPIC_NAME} is prohibited.");
            response.topics.push(refuse(METADATA_TOPIC_NAME, message));
        }
        if request.validate_only {
            records.clear();
        }
        // Kafka's bound counts topics and configurations too. A request within the partitions'
        // bound may well exceed it.
        check_record_count(&records)?;
        Ok(Outcome::atomic(records, response))
    }

    /// Before any work: memory for the records of a mistaken request would be large.
    fn check_partition_total(&self, request: &CreateTopicsRequest) -> Result<(), ApiError> {
        let count = |topic: &CreatableTopic| match topic.num_partitions {
            _ if !topic.assignments.is_empty() => topic.assignments.len() as i64,
            -1 => i64::from(self.config.num_partitions),
            count => i64::from(count.max(0)),
        };
        if request.topics.iter().map(count).sum::<i64>() > MAX_PARTITIONS_PER_BATCH {
            let message = "Excessively large number of partitions per request.";
            return Err(ApiError::new(ErrorCode::POLICY_VIOLATION, message));
        }
        Ok(())
    }

    /// Checks form, existence and collisions.
    fn check_new_name(&self, name: &str) -> Result<(), ApiError> {
        validate_topic_name(name)?;
        let topics = &self.image.topics;
        if topics.id_of(name).is_some() {
            let message = format!("Topic '{name}' already exists.");
            return Err(ApiError::new(ErrorCode::TOPIC_ALREADY_EXISTS, message));
        }
        if name.contains(['.', '_'])
            && let Some(other) = topics.names_from("").find(|other| collide(name, other))
        {
            let message = format!("Topic '{name}' collides with existing topic: {other}");
            return Err(ApiError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, message));
        }
        Ok(())
    }

    fn create_topic(
        &self,
        cx: &Cx<'_>,
        topic: &CreatableTopic,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<CreatableTopicResult, ApiError> {
        let (config_records, configs) = self.creation_configs(cx, topic)?;
        let partitions = if topic.assignments.is_empty() {
            self.place_new_topic(cx, topic)?
        } else {
            self.assign_new_topic(topic)?
        };
        let topic_id = cx.random.borrow_mut().id();
        let name = topic.name.as_str();
        let replication_factor = partitions.first().map_or(0, |p| p.replicas.len());
        let result = CreatableTopicResult::default()
            .with_name(topic_name(name))
            .with_topic_id(topic_id)
            .with_error_message(None)
            .with_num_partitions(i32::try_from(partitions.len()).unwrap_or(i32::MAX))
            .with_replication_factor(i16::try_from(replication_factor).unwrap_or(i16::MAX))
            .with_configs(Some(self.creation_config_results(&configs)));
        records.push(
            TopicRecord {
                name: name.to_owned(),
                topic_id,
            }
            .into(),
        );
        let clear_elr = self.clear_elr_records(&config_records);
        records.extend(config_records);
        records.extend(clear_elr);
        for (idx, partition) in (0..).zip(&partitions) {
            records.push(partition_record(topic_id, idx, partition, &self.image.features).into());
        }
        Ok(result)
    }

    fn creation_configs(
        &self,
        cx: &Cx<'_>,
        topic: &CreatableTopic,
    ) -> Result<(Vec<MetadataRecord>, ConfigMap), ApiError> {
        let nulls: Vec<_> = topic
            .configs
            .iter()
            .filter(|c| c.value.is_none())
            .map(|c| c.name.as_str())
            .collect();
        if !nulls.is_empty() {
            let message = format!(
                "Null value not supported for topic configs: {}",
                nulls.join(",")
            );
            return Err(ApiError::new(ErrorCode::INVALID_CONFIG, message));
        }
        if topic.configs.is_empty() {
            return Ok(Default::default());
        }
        let mut map = ConfigMap::new();
        for config in &topic.configs {
            let value = config.value.as_deref().unwrap_or_default();
            map.insert(config.name.as_str().into(), value.into());
        }
        let changes: Vec<_> = map
            .iter()
            .map(|(key, value)| ConfigChange {
                key: key.to_string(),
                op: AlterOp::Set,
                value: Some(value.to_string()),
            })
            .collect();
        let resource = ConfigResource::topic(topic.name.as_str());
        let records = self.alter_resource_incrementally(cx, &resource, &changes, true)?;
        Ok((records, map))
    }

    fn creation_config_results(&self, configs: &ConfigMap) -> Vec<CreatableTopicConfigs> {
        let described = self.validator.describe_topic(configs, &self.image);
        let mut results: Vec<_> = described
            .into_iter()
            .map(|config| {
                let value = config.value.filter(|_| !config.is_sensitive);
                CreatableTopicConfigs::default()
                    .with_name(StrBytes::from_string(config.name))
                    .with_value(value.map(StrBytes::from_string))
                    .with_read_only(config.is_read_only)
                    .with_config_source(config.config_source)
                    .with_is_sensitive(config.is_sensitive)
            })
            .collect();
        results.sort_by(|a, b| a.name.cmp(&b.name));
        results
    }

    fn assign_new_topic(
        &self,
        topic: &CreatableTopic,
    ) -> Result<Vec<PartitionRegistration>, ApiError> {
        let invalid = |message: &str| ApiError::new(ErrorCode::INVALID_REQUEST, message);
        if topic.replication_factor != -1 {
            return Err(invalid(
                "A manual partition assignment was specified, but replication factor was not set \
                 to -1.",
            ));
        }
        if topic.num_partitions != -1 {
            return Err(invalid(
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            ));
        }
        let mut partitions = BTreeMap::new();
        let mut replication_factor = None;
        for assignment in &topic.assignments {
            let idx = assignment.partition_index;
            if partitions.contains_key(&idx) {
                return Err(invalid_assignment(format!(
                    "Found multiple manual partition assignments for partition {idx}"
                )));
            }
            let replicas: Vec<_> = assignment.broker_ids.iter().map(|id| id.0).collect();
            self.check_manual_assignment(&replicas, replication_factor)?;
            replication_factor = Some(replicas.len());
            partitions.insert(idx, self.new_assigned_partition(idx, replicas)?);
        }
        if !(0..)
            .zip(partitions.keys())
            .all(|(expected, idx)| expected == *idx)
        {
            return Err(invalid_assignment(
                "partitions should be a consecutive 0-based integer sequence".into(),
            ));
        }
        Ok(partitions.into_values().collect())
    }

    fn new_assigned_partition(
        &self,
        idx: i32,
        replicas: Vec<i32>,
    ) -> Result<PartitionRegistration, ApiError> {
        self.new_partition(replicas).ok_or_else(|| {
            invalid_assignment(format!(
                "All brokers specified in the manual partition assignment for partition {idx} are \
                 fenced or in controlled shutdown."
            ))
        })
    }

    fn place_new_topic(
        &self,
        cx: &Cx<'_>,
        topic: &CreatableTopic,
    ) -> Result<Vec<PartitionRegistration>, ApiError> {
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            return Err(ApiError::new(
                ErrorCode::INVALID_REPLICATION_FACTOR,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ));
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            return Err(ApiError::new(
                ErrorCode::INVALID_PARTITIONS,
                "Number of partitions was set to an invalid non-positive value.",
            ));
        }
        let count = match topic.num_partitions {
            -1 => self.config.num_partitions,
            count => count,
        };
        let replication_factor = match topic.replication_factor {
            -1 => self.config.default_replication_factor,
            factor => factor,
        };
        let prefix = format!("Unable to replicate the partition {replication_factor} time(s): ");
        let invalid = |reason: &str| {
            let message = format!("{prefix}{reason}");
            ApiError::new(ErrorCode::INVALID_REPLICATION_FACTOR, message)
        };
        let placed = self
            .place(cx, usize::try_from(count).unwrap_or(0), replication_factor)
            .map_err(|error| invalid(error.message()))?;
        placed
            .into_iter()
            .map(|replicas| {
                self.new_partition(replicas).ok_or_else(|| {
                    invalid("All brokers are currently fenced or in controlled shutdown.")
                })
            })
            .collect()
    }

    fn place(
        &self,
        cx: &Cx<'_>,
        partitions: usize,
        replication_factor: i16,
    ) -> Result<Vec<Vec<i32>>, ApiError> {
        // A broker that is about to go gets nothing; once it is gone, it counts as fenced.
        // Differs from Kafka: it counts as leaving also right after a change of controllers, when
        // Kafka's new one may choose it to lead and then answer INVALID_REPLICATION_FACTOR.
        let usable = |broker: &&std::sync::Arc<crate::metadata::BrokerRegistration>| {
            let is_leaving = broker.in_controlled_shutdown && !broker.fenced;
            !is_leaving && broker.has_uncordoned_directory()
        };
        let brokers: Vec<_> = self
            .image
            .cluster
            .brokers
            .values()
            .filter(usable)
            .map(|broker| UsableBroker {
                id: broker.id,
                rack: broker.rack.clone(),
                fenced: broker.fenced,
            })
            .collect();
        placement::place(
            &mut cx.random.borrow_mut(),
            &brokers,
            partitions,
            replication_factor,
        )
    }

    /// A partition that its first active replica leads; `None` if no replica is active.
    fn new_partition(&self, replicas: Vec<i32>) -> Option<PartitionRegistration> {
        let isr: Vec<_> = replicas
            .iter()
            .copied()
            .filter(|id| self.is_active(*id))
            .collect();
        let leader = *isr.first()?;
        Some(PartitionRegistration {
            directories: replicas
                .iter()
                .map(|id| self.default_directory(*id))
                .collect(),
            replicas: replicas.into(),
            isr: isr.into(),
            removing_replicas: Default::default(),
            adding_replicas: Default::default(),
            elr: Default::default(),
            last_known_elr: Default::default(),
            leader,
            leader_recovery_state: LeaderRecoveryState::Recovered,
            leader_epoch: 0,
            partition_epoch: 0,
        })
    }

    /// Checks replicas that a user has chosen.
    ///
    /// # Errors
    /// INVALID_REPLICA_ASSIGNMENT.
    pub(super) fn check_manual_assignment(
        &self,
        replicas: &[i32],
        replication_factor: Option<usize>,
    ) -> Result<(), ApiError> {
        let invalid = |message: String| Err(invalid_assignment(message));
        if replicas.is_empty() {
            return invalid(
                "The manual partition assignment includes an empty replica list.".into(),
            );
        }
        let mut sorted = replicas.to_vec();
        sorted.sort_unstable();
        let mut previous = None;
        for id in sorted {
            if self.image.cluster.broker(id).is_none() {
                return invalid(format!(
                    "The manual partition assignment includes broker {id}, but no such broker is \
                     registered."
                ));
            }
            if previous == Some(id) {
                return invalid(format!(
                    "The manual partition assignment includes the broker {id} more than once."
                ));
            }
            previous = Some(id);
        }
        match replication_factor {
            Some(factor) if factor != replicas.len() => invalid(format!(
                "The manual partition assignment includes a partition with {} replica(s), but \
                 this is not consistent with previous partitions, which have {factor} replica(s).",
                replicas.len()
            )),
            _ => Ok(()),
        }
    }

    /// CreatePartitions.
    ///
    /// # Errors
    /// POLICY_VIOLATION for too many partitions at once; all else is said per topic.
    pub fn create_partitions(
        &self,
        cx: &Cx<'_>,
        request: &CreatePartitionsRequest,
    ) -> Result<Outcome<CreatePartitionsResponse>, ApiError> {
        let mut seen = BTreeSet::new();
        let mut duplicates = BTreeSet::new();
        for topic in &request.topics {
            if !seen.insert(topic.name.as_str()) {
                duplicates.insert(topic.name.as_str());
            }
        }
        let mut records = Vec::new();
        let mut response = CreatePartitionsResponse::default();
        let duplicate = ApiError::new(ErrorCode::INVALID_REQUEST, "Duplicate topic name.");
        response.results.extend(
            duplicates
                .iter()
                .map(|name| partitions_result(name, Some(&duplicate))),
        );
        for topic in &request.topics {
            let name = topic.name.as_str();
            if duplicates.contains(name) {
                continue;
            }
            let error = self.add_partitions(cx, topic, &mut records).err();
            response
                .results
                .push(partitions_result(name, error.as_ref()));
            check_record_count(&records)?;
        }
        if request.validate_only {
            records.clear();
        }
        Ok(Outcome::atomic(records, response))
    }

    fn add_partitions(
        &self,
        cx: &Cx<'_>,
        request: &CreatePartitionsTopic,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), ApiError> {
        let name = request.name.as_str();
        let topic = self.image.topics.by_name(name);
        let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let present = i32::try_from(topic.partition_count()).unwrap_or(i32::MAX);
        let invalid = |message: String| ApiError::new(ErrorCode::INVALID_PARTITIONS, message);
        if request.count == present {
            return Err(invalid(format!(
                "Topic already has {present} partition(s)."
            )));
        }
        if request.count < present {
            return Err(invalid(format!(
                "The topic {name} currently has {present} partition(s); {} would not be an \
                 increase.",
                request.count
            )));
        }
        let additional = usize::try_from(request.count - present).unwrap_or(0);
        if additional as i64 > MAX_PARTITIONS_PER_BATCH {
            let message = "Excessively large number of partitions per request.";
            return Err(ApiError::new(ErrorCode::POLICY_VIOLATION, message));
        }
        let partitions = self.new_partitions(cx, request, topic, present, additional)?;
        for (idx, partition) in (present..).zip(&partitions) {
            records.push(partition_record(topic.id, idx, partition, &self.image.features).into());
        }
        Ok(())
    }

    fn new_partitions(
        &self,
        cx: &Cx<'_>,
        request: &CreatePartitionsTopic,
        topic: &TopicImage,
        present: i32,
        additional: usize,
    ) -> Result<Vec<PartitionRegistration>, ApiError> {
        let first = topic
            .partitions()
            .next()
            .map(|(_, partition)| partition.replicas.len());
        let factor = first.ok_or_else(|| {
            let name = &topic.name;
            let message = format!("Invalid state: topic {name} appears to have no partitions.");
            ApiError::new(ErrorCode::UNKNOWN_SERVER_ERROR, message)
        })?;
        let Some(assignments) = &request.assignments else {
            let factor = i16::try_from(factor).unwrap_or(i16::MAX);
            let placed = self.place(cx, additional, factor)?;
            let new_partition = |replicas| {
                self.new_partition(replicas).ok_or_else(|| {
                    let message = format!(
                        "Unable to replicate the partition {factor} time(s): All brokers are \
                         currently fenced or in controlled shutdown."
                    );
                    ApiError::new(ErrorCode::INVALID_REPLICATION_FACTOR, message)
                })
            };
            return placed.into_iter().map(new_partition).collect();
        };
        if assignments.len() != additional {
            return Err(invalid_assignment(format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) \
                 were specified.",
                assignments.len()
            )));
        }
        (present..)
            .zip(assignments)
            .map(|(idx, assignment)| {
                let replicas: Vec<_> = assignment.broker_ids.iter().map(|id| id.0).collect();
                self.check_manual_assignment(&replicas, Some(factor))?;
                self.new_assigned_partition(idx, replicas)
            })
            .collect()
    }
}

fn create_error(name: &str, error: &ApiError) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(topic_name(name))
        .with_error_code(error.code.0)
        .with_error_message(error_message(error))
}

fn partitions_result(name: &str, error: Option<&ApiError>) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default()
        .with_name(topic_name(name))
        .with_error_code(error.map_or(0, |error| error.code.0))
        .with_error_message(error.and_then(error_message))
}
