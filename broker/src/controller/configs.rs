//! Dynamic configurations: incremental changes, and the legacy replacement of all of a resource.
//!
//! A resource changes as a whole or not at all; another resource of the same request is another
//! matter. What the values mean is the [`ConfigValidator`]'s business.
//!
//! [`ConfigValidator`]: super::config::ConfigValidator
//!
//! Kafka: `controller/ConfigurationControlManager.java`, `kafka/server/ControllerApis.scala` (4.3).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as LegacyResult;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::schema::metadata::{ClearElrRecord, ConfigRecord, MetadataRecord};

use super::state::{Cx, Outcome, QuorumController, check_record_count};
use super::topics::{error_message, own};
use crate::metadata::configs::ConfigMap;
use crate::metadata::records::CORDONED_DIRECTORIES_SINCE;
use crate::metadata::{ConfigResource, ResourceType};

const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
const CORDONED_LOG_DIRS: &str = "cordoned.log.dirs";

/// Longest value of a configuration, in bytes.
const MAX_VALUE_LENGTH: usize = i16::MAX as usize;

/// How a value is changed; the numbers are those of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlterOp {
    Set,
    Delete,
    Append,
    Subtract,
}

impl AlterOp {
    /// The operation for the request's number; `None` for an unknown one.
    pub fn from_id(id: i8) -> Option<Self> {
        match id {
            0 => Some(Self::Set),
            1 => Some(Self::Delete),
            2 => Some(Self::Append),
            3 => Some(Self::Subtract),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Delete => "DELETE",
            Self::Append => "APPEND",
            Self::Subtract => "SUBTRACT",
        }
    }
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    pub key: String,
    pub op: AlterOp,
    pub value: Option<String>,
}

fn invalid_config(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::INVALID_CONFIG, message)
}

impl QuorumController {
    /// IncrementalAlterConfigs.
    ///
    /// # Errors
    /// POLICY_VIOLATION for too many changes at once; all else is said per resource.
    pub fn incremental_alter_configs(
        &self,
        cx: &Cx<'_>,
        request: &IncrementalAlterConfigsRequest,
    ) -> Result<Outcome<IncrementalAlterConfigsResponse>, ApiError> {
        let mut seen = Resources::default();
        for resource in &request.resources {
            seen.add(resource.resource_type, resource.resource_name.as_str());
        }
        let mut records = Vec::new();
        let mut response = IncrementalAlterConfigsResponse::default();
        for resource in &request.resources {
            let (type_id, name) = (resource.resource_type, resource.resource_name.as_str());
            let Some(checked) = seen.take(type_id, name) else {
                continue;
            };
            let changes = || -> Result<Vec<ConfigChange>, ApiError> {
                let changes = resource.configs.iter().map(|config| {
                    let op = AlterOp::from_id(config.config_operation).ok_or_else(|| {
                        let message =
                            format!("Unknown config operation {}", config.config_operation);
                        ApiError::new(ErrorCode::INVALID_REQUEST, message)
                    })?;
                    let value = config.value.as_ref().map(|value| value.as_str().to_owned());
                    Ok(ConfigChange {
                        key: config.name.as_str().to_owned(),
                        op,
                        value,
                    })
                });
                changes.collect()
            };
            let result = checked.and_then(|checked| {
                self.alter_resource_incrementally(cx, &checked, &changes()?, false)
            });
            let error = take_records(result, &mut records);
            response.responses.push(
                AlterConfigsResourceResponse::default()
                    .with_resource_type(type_id)
                    .with_resource_name(own(name))
                    .with_error_code(error.as_ref().map_or(0, |error| error.code.0))
                    .with_error_message(error.as_ref().and_then(error_message)),
            );
        }
        self.finish_configs(records, response, request.validate_only)
    }

    /// AlterConfigs: what a resource had and the request doesn't name is deleted.
    ///
    /// # Errors
    /// POLICY_VIOLATION for too many changes at once; all else is said per resource.
    pub fn alter_configs(
        &self,
        cx: &Cx<'_>,
        request: &AlterConfigsRequest,
    ) -> Result<Outcome<AlterConfigsResponse>, ApiError> {
        let mut seen = Resources::default();
        for resource in &request.resources {
            seen.add(resource.resource_type, resource.resource_name.as_str());
        }
        let mut records = Vec::new();
        let mut response = AlterConfigsResponse::default();
        for resource in &request.resources {
            let (type_id, name) = (resource.resource_type, resource.resource_name.as_str());
            let Some(checked) = seen.take(type_id, name) else {
                continue;
            };
            let configs: BTreeMap<_, _> = resource
                .configs
                .iter()
                .map(|config| (config.name.as_str(), config.value.as_deref()))
                .collect();
            let result = checked.and_then(|checked| self.replace_resource(cx, &checked, &configs));
            let error = take_records(result, &mut records);
            response.responses.push(
                LegacyResult::default()
                    .with_resource_type(type_id)
                    .with_resource_name(own(name))
                    .with_error_code(error.as_ref().map_or(0, |error| error.code.0))
                    .with_error_message(error.as_ref().and_then(error_message)),
            );
        }
        self.finish_configs(records, response, request.validate_only)
    }

    fn finish_configs<T>(
        &self,
        mut records: Vec<MetadataRecord>,
        response: T,
        is_validate_only: bool,
    ) -> Result<Outcome<T>, ApiError> {
        check_record_count(&records)?;
        let clear_elr = self.clear_elr_records(&records);
        records.extend(clear_elr);
        if is_validate_only {
            records.clear();
        }
        Ok(Outcome::atomic(records, response))
    }

    /// The records of an incremental change of one resource.
    pub(super) fn alter_resource_incrementally(
        &self,
        cx: &Cx<'_>,
        resource: &ConfigResource,
        changes: &[ConfigChange],
        is_new: bool,
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        let existing = self.image.configs.of(resource);
        // Of two changes of the same key the later one counts.
        let changes: BTreeMap<_, _> = changes.iter().map(|change| (&change.key, change)).collect();
        let mut altered = Vec::new();
        for (key, change) in changes {
            let current = existing.get(key.as_str()).map(|value| &**value);
            let value = self.changed_value(resource, change, current)?;
            // Brokers reload what is set again, as a password file that changed (KAFKA-14136).
            if value.as_deref() != current || resource.resource_type == ResourceType::Broker {
                altered.push(config_record(resource, key, value));
            }
        }
        self.validate_alteration(cx, resource, &existing, &altered, is_new)?;
        Ok(altered.into_iter().map(Into::into).collect())
    }

    fn changed_value(
        &self,
        resource: &ConfigResource,
        change: &ConfigChange,
        current: Option<&str>,
    ) -> Result<Option<String>, ApiError> {
        let key = &change.key;
        match change.op {
            AlterOp::Set => return Ok(change.value.clone()),
            AlterOp::Delete => return Ok(None),
            AlterOp::Append | AlterOp::Subtract => {}
        }
        if !self.validator.is_list(resource.resource_type, key) {
            let op = change.op.name();
            return Err(invalid_config(format!(
                "Can't {op} to key {key} because its type is not LIST."
            )));
        }
        let default = || self.validator.default_value(resource.resource_type, key);
        let base = current
            .map(str::to_owned)
            .or_else(default)
            .unwrap_or_default();
        let mut items: Vec<&str> = base.split(',').filter(|item| !item.is_empty()).collect();
        for item in change.value.as_deref().unwrap_or_default().split(',') {
            let position = items.iter().position(|existing| *existing == item);
            match (change.op, position) {
                (AlterOp::Append, None) => items.push(item),
                (AlterOp::Subtract, Some(idx)) => {
                    items.remove(idx);
                }
                _ => {}
            }
        }
        Ok(Some(items.join(",")))
    }

    fn replace_resource(
        &self,
        cx: &Cx<'_>,
        resource: &ConfigResource,
        configs: &BTreeMap<&str, Option<&str>>,
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        let existing = self.image.configs.of(resource);
        let mut altered = Vec::new();
        for (key, value) in configs {
            let current = existing.get(*key).map(|value| &**value);
            if *value != current || resource.resource_type == ResourceType::Broker {
                altered.push(config_record(resource, key, value.map(str::to_owned)));
            }
        }
        for key in existing.keys().filter(|key| !configs.contains_key(&***key)) {
            altered.push(config_record(resource, key, None));
        }
        self.validate_alteration(cx, resource, &existing, &altered, false)?;
        Ok(altered.into_iter().map(Into::into).collect())
    }

    fn validate_alteration(
        &self,
        cx: &Cx<'_>,
        resource: &ConfigResource,
        existing: &ConfigMap,
        altered: &[ConfigRecord],
        is_new: bool,
    ) -> Result<(), ApiError> {
        let mut all = existing.clone();
        for record in altered {
            self.check_record(cx, resource, existing, record)?;
            match &record.value {
                None => {
                    all.remove(record.name.as_str());
                }
                Some(value) if value.len() > MAX_VALUE_LENGTH => {
                    return Err(invalid_config(format!(
                        "The configuration value cannot be added because it exceeds the maximum \
                         value size of {MAX_VALUE_LENGTH} bytes."
                    )));
                }
                Some(value) => {
                    all.insert(record.name.as_str().into(), value.as_str().into());
                }
            }
        }
        self.validator.validate(resource, &all, existing)?;
        if is_new {
            Ok(())
        } else {
            self.check_exists(resource)
        }
    }

    /// Rules about single keys that depend on the cluster rather than on the value.
    fn check_record(
        &self,
        cx: &Cx<'_>,
        resource: &ConfigResource,
        existing: &ConfigMap,
        record: &ConfigRecord,
    ) -> Result<(), ApiError> {
        if resource.resource_type != ResourceType::Broker {
            return Ok(());
        }
        if record.name == MIN_INSYNC_REPLICAS && self.image.features.is_elr_enabled() {
            if !resource.name.is_empty() {
                return Err(invalid_config(format!(
                    "Broker-level {MIN_INSYNC_REPLICAS} cannot be altered while ELR is enabled."
                )));
            }
            if record.value.is_none() {
                return Err(invalid_config(format!(
                    "Cluster-level {MIN_INSYNC_REPLICAS} cannot be removed while ELR is enabled."
                )));
            }
        }
        if record.name == CORDONED_LOG_DIRS {
            if self.metadata_version() < CORDONED_DIRECTORIES_SINCE {
                return Err(invalid_config(format!(
                    "The {CORDONED_LOG_DIRS} configuration value cannot be set because it requires \
                     metadata.version >= 4.3-IV0"
                )));
            }
            if !cx.is_forwarded && !is_subset(record.value.as_deref(), existing) {
                return Err(invalid_config(format!(
                    "When updating {CORDONED_LOG_DIRS} via controllers,  the new value must be a \
                     subset of the current configuration value."
                )));
            }
        }
        Ok(())
    }

    fn check_exists(&self, resource: &ConfigResource) -> Result<(), ApiError> {
        let name = &*resource.name;
        match resource.resource_type {
            ResourceType::Broker | ResourceType::BrokerLogger if !name.is_empty() => {
                let id = name.parse::<i32>().map_err(|_| {
                    let message = format!("Invalid broker name {name}");
                    ApiError::new(ErrorCode::INVALID_REQUEST, message)
                })?;
                // A broker that only registers as a controller has configurations too.
                let cluster = &self.image.cluster;
                if cluster.broker(id).is_none()
                    && !cluster.controllers.contains_key(&id)
                    && id != self.config.node_id
                {
                    let message = format!("No node with id {id} found.");
                    return Err(ApiError::new(ErrorCode::BROKER_ID_NOT_REGISTERED, message));
                }
                Ok(())
            }
            ResourceType::Topic if self.image.topics.id_of(name).is_none() => {
                let message = format!("The topic '{name}' does not exist.");
                Err(ApiError::new(
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    message,
                ))
            }
            _ => Ok(()),
        }
    }

    /// A change of the minimal ISR changes what eligibility means: it starts anew.
    pub(super) fn clear_elr_records(&self, records: &[MetadataRecord]) -> Vec<MetadataRecord> {
        if !self.image.features.is_elr_enabled() {
            return Vec::new();
        }
        let clear = |record: &MetadataRecord| match record {
            MetadataRecord::Config(record) if record.name == MIN_INSYNC_REPLICAS => {
                let is_topic = record.resource_type == ResourceType::Topic.id();
                let topic_name = if is_topic {
                    record.resource_name.clone()
                } else {
                    String::new()
                };
                Some(ClearElrRecord { topic_name }.into())
            }
            _ => None,
        };
        records.iter().filter_map(clear).collect()
    }
}

fn config_record(resource: &ConfigResource, key: &str, value: Option<String>) -> ConfigRecord {
    ConfigRecord {
        resource_type: resource.resource_type.id(),
        resource_name: resource.name.to_string(),
        name: key.to_owned(),
        value,
    }
}

fn is_subset(value: Option<&str>, existing: &ConfigMap) -> bool {
    let split = |list: &str| -> BTreeSet<String> {
        list.trim()
            .split(',')
            .map(|item| item.trim().to_owned())
            .collect()
    };
    let Some(value) = value.filter(|value| !value.trim().is_empty()) else {
        return true;
    };
    let current = existing
        .get(CORDONED_LOG_DIRS)
        .map(|list| split(list))
        .unwrap_or_default();
    split(value).is_subset(&current)
}

fn take_records(
    result: Result<Vec<MetadataRecord>, ApiError>,
    records: &mut Vec<MetadataRecord>,
) -> Option<ApiError> {
    match result {
        Ok(more) => {
            records.extend(more);
            None
        }
        Err(error) => Some(error),
    }
}

/// The resources of a request: which of them are named once.
#[derive(Default)]
struct Resources {
    counts: BTreeMap<(i8, String), usize>,
}

impl Resources {
    fn add(&mut self, type_id: i8, name: &str) {
        *self.counts.entry((type_id, name.to_owned())).or_default() += 1;
    }

    /// The resource if it may be changed, and why not otherwise; `None` if that was said already.
    fn take(&mut self, type_id: i8, name: &str) -> Option<Result<ConfigResource, ApiError>> {
        let count = self.counts.remove(&(type_id, name.to_owned()))?;
        Some(match ResourceType::from_id(type_id) {
            None => Err(ApiError::new(
                ErrorCode::UNSUPPORTED_VERSION,
                format!("Unknown resource type {type_id}."),
            )),
            Some(_) if count > 1 => Err(ApiError::new(
                ErrorCode::INVALID_REQUEST,
                "Duplicate resource.",
            )),
            // Differs from Kafka: its controller changes the levels of its own loggers here. This
            // broker has no loggers by name, and what a request can't do it must not pretend.
            Some(ResourceType::BrokerLogger) => Err(ApiError::new(
                ErrorCode::INVALID_REQUEST,
                "Logger levels of this broker can't be changed at run time.",
            )),
            Some(resource_type) => Ok(ConfigResource::new(resource_type, name)),
        })
    }
}
