//! An image as records, and the version at which each record is written.
//!
//! The order is Kafka's for snapshots: features with metadata.version first, brokers, controllers,
//! topics each followed by its partitions, configurations, quotas, producer ids, access control
//! entries, SCRAM credentials, delegation tokens. Replaying the records on an empty image yields
//! the image again.
//!
//! Kafka: `image/MetadataImage.java` (`write`), `server-common/MetadataVersion.java` (4.3).

use std::sync::Arc;

use kafka_shared::schema::metadata as records;
use kafka_shared::schema::metadata::MetadataRecord;
use uuid::Uuid;

use super::cluster::{BrokerRegistration, ControllerRegistration, FeatureRange, ListenerEndpoint};
use super::features::{FeaturesImage, METADATA_VERSION};
use super::image::MetadataImage;
use super::topics::PartitionRegistration;

/// The metadata version from which on replicas have directories.
pub const DIRECTORY_ASSIGNMENT_SINCE: i16 = 17;
/// The metadata version from which on records of partitions can hold eligible leader replicas.
pub const ELR_SINCE: i16 = 23;
/// The metadata version from which on records may form transactions.
pub const TRANSACTIONS_SINCE: i16 = 13;
/// The metadata version from which on directories can be cordoned.
pub const CORDONED_DIRECTORIES_SINCE: i16 = 30;

/// The version at which a record is written when metadata.version is finalized at this level.
pub fn record_version(record: &MetadataRecord, metadata_version: i16) -> i16 {
    match record {
        MetadataRecord::RegisterBroker(_) => match metadata_version {
            CORDONED_DIRECTORIES_SINCE.. => 4,
            DIRECTORY_ASSIGNMENT_SINCE.. => 3,
            8.. => 2,
            _ => 1,
        },
        MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => match metadata_version
        {
            ELR_SINCE.. => 2,
            DIRECTORY_ASSIGNMENT_SINCE.. => 1,
            _ => 0,
        },
        MetadataRecord::BrokerRegistrationChange(record) => {
            // The lowest version that can say it, so that old readers understand what they can.
            // What changes nothing says that no directory is left.
            if record.cordoned_log_dirs.is_some() {
                3
            } else if !record.log_dirs.is_empty() {
                2
            } else if record.in_controlled_shutdown != 0 {
                1
            } else if record.fenced != 0 {
                0
            } else {
                2
            }
        }
        _ => 0,
    }
}

impl MetadataImage {
    /// Hands all records of the image to `sink`, in Kafka's order.
    pub fn write_records(&self, sink: &mut impl FnMut(MetadataRecord)) {
        self.write_features(sink);
        for broker in self.cluster.brokers.values() {
            sink(broker_record(broker).into());
        }
        for controller in self.cluster.controllers.values() {
            sink(controller_record(controller).into());
        }
        for topic in self.topics.iter() {
            let record = records::TopicRecord {
                name: topic.name.to_string(),
                topic_id: topic.id,
            };
            sink(record.into());
            for (idx, partition) in topic.partitions() {
                sink(partition_record(topic.id, idx, partition, &self.features).into());
            }
        }
        self.write_configs(sink);
        self.write_security(sink);
    }

    fn write_features(&self, sink: &mut impl FnMut(MetadataRecord)) {
        let mut feature = |name: &str, feature_level: i16| {
            let record = records::FeatureLevelRecord {
                name: name.to_string(),
                feature_level,
            };
            sink(record.into());
        };
        if self.features.metadata_version > 0 {
            // It decides how what follows is to be understood.
            feature(METADATA_VERSION, self.features.metadata_version);
        }
        for (name, level) in &self.features.finalized {
            feature(name, *level);
        }
    }

    fn write_configs(&self, sink: &mut impl FnMut(MetadataRecord)) {
        for (resource, configs) in self.configs.iter() {
            for (name, value) in configs.iter() {
                let record = records::ConfigRecord {
                    resource_type: resource.resource_type.id(),
                    resource_name: resource.name.to_string(),
                    name: name.to_string(),
                    value: Some(value.to_string()),
                };
                sink(record.into());
            }
        }
        for (entity, quota) in &self.client_quotas {
            let part =
                |(entity_type, name): (&Arc<str>, &Option<Arc<str>>)| records::ClientQuotaEntity {
                    entity_type: entity_type.to_string(),
                    entity_name: name.as_ref().map(ToString::to_string),
                };
            for (key, value) in &quota.0 {
                let record = records::ClientQuotaRecord {
                    entity: entity.iter().map(part).collect(),
                    key: key.to_string(),
                    value: *value,
                    remove: false,
                };
                sink(record.into());
            }
        }
        if self.next_producer_id > 0 {
            let record = records::ProducerIdsRecord {
                broker_id: -1,
                broker_epoch: -1,
                next_producer_id: self.next_producer_id,
            };
            sink(record.into());
        }
    }

    fn write_security(&self, sink: &mut impl FnMut(MetadataRecord)) {
        for (id, entry) in &self.acls {
            let record = records::AccessControlEntryRecord {
                id: *id,
                resource_type: entry.resource_type,
                resource_name: entry.resource_name.to_string(),
                pattern_type: entry.pattern_type,
                principal: entry.principal.to_string(),
                host: entry.host.to_string(),
                operation: entry.operation,
                permission_type: entry.permission_type,
            };
            sink(record.into());
        }
        for ((mechanism, user), credential) in &self.scram {
            let record = records::UserScramCredentialRecord {
                name: user.to_string(),
                mechanism: *mechanism,
                salt: credential.salt.clone().into(),
                stored_key: credential.stored_key.clone().into(),
                server_key: credential.server_key.clone().into(),
                iterations: credential.iterations,
            };
            sink(record.into());
        }
        for token in self.delegation_tokens.values() {
            let record = records::DelegationTokenRecord {
                owner: token.owner.to_string(),
                requester: token.requester.to_string(),
                renewers: token.renewers.iter().map(ToString::to_string).collect(),
                issue_timestamp: token.issue_timestamp_ms,
                max_timestamp: token.max_timestamp_ms,
                expiration_timestamp: token.expiration_timestamp_ms,
                token_id: token.token_id.to_string(),
            };
            sink(record.into());
        }
    }
}

fn endpoints(listeners: &[ListenerEndpoint]) -> Vec<records::RegisteredEndpoint> {
    let endpoint = |listener: &ListenerEndpoint| records::RegisteredEndpoint {
        name: listener.name.to_string(),
        host: listener.host.to_string(),
        port: listener.port,
        security_protocol: listener.security_protocol,
    };
    listeners.iter().map(endpoint).collect()
}

fn features<'a>(
    features: impl IntoIterator<Item = (&'a Arc<str>, &'a FeatureRange)>,
) -> Vec<records::RegisteredFeature> {
    let feature = |(name, range): (&Arc<str>, &FeatureRange)| records::RegisteredFeature {
        name: name.to_string(),
        min_supported_version: range.min,
        max_supported_version: range.max,
    };
    features.into_iter().map(feature).collect()
}

/// The record that registers the broker as it is.
pub fn broker_record(broker: &BrokerRegistration) -> records::RegisterBrokerRecord {
    records::RegisterBrokerRecord {
        broker_id: broker.id,
        is_migrating_zk_broker: false,
        incarnation_id: broker.incarnation_id,
        broker_epoch: broker.epoch,
        end_points: endpoints(&broker.listeners),
        features: features(&broker.features),
        rack: broker.rack.as_deref().map(Into::into),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: broker.directories.clone(),
        cordoned_log_dirs: broker.cordoned_directories.clone(),
    }
}

fn controller_record(controller: &ControllerRegistration) -> records::RegisterControllerRecord {
    records::RegisterControllerRecord {
        controller_id: controller.id,
        incarnation_id: controller.incarnation_id,
        zk_migration_ready: controller.zk_migration_ready,
        end_points: endpoints(&controller.listeners),
        features: features(&controller.features),
    }
}

/// The record that makes the partition as it is, as far as these features let it be said.
///
/// A partition may still hold the eligible leader replicas of the time before they were turned off.
/// Kafka leaves them out of its snapshots then, so that who reads one and who read the log know
/// different ones once they are turned on again; whoever leads has the say.
pub fn partition_record(
    topic_id: Uuid,
    partition_id: i32,
    partition: &PartitionRegistration,
    features: &FeaturesImage,
) -> records::PartitionRecord {
    // Lists of tagged fields are left out when empty, to save space.
    let is_elr_enabled = features.is_elr_enabled();
    let tagged = |ids: &[i32]| (is_elr_enabled && !ids.is_empty()).then(|| ids.to_vec());
    records::PartitionRecord {
        partition_id,
        topic_id,
        replicas: partition.replicas.to_vec(),
        isr: partition.isr.to_vec(),
        removing_replicas: partition.removing_replicas.to_vec(),
        adding_replicas: partition.adding_replicas.to_vec(),
        leader: partition.leader,
        leader_recovery_state: partition.leader_recovery_state.value(),
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        directories: if features.metadata_version >= DIRECTORY_ASSIGNMENT_SINCE {
            partition.directories.to_vec()
        } else {
            Vec::new()
        },
        eligible_leader_replicas: tagged(&partition.elr),
        last_known_elr: tagged(&partition.last_known_elr),
    }
}

#[cfg(test)]
mod tests;
