//! How each of the 26 record types changes an image.
//!
//! Rules that the records don't spell out: a partition change raises the partition epoch by one,
//! and the leader epoch by one exactly if it names a leader, even the same one; a change of a
//! broker's registration holds for its current epoch only; removing a topic removes its
//! configurations.
//!
//! Kafka: `image/*Delta.java`, `metadata/PartitionRegistration.java` (4.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_shared::schema::metadata as records;
use kafka_shared::schema::metadata::MetadataRecord;
use uuid::Uuid;

use super::cluster::{BrokerRegistration, ControllerRegistration, FeatureRange, ListenerEndpoint};
use super::configs::{ConfigResource, ResourceType};
use super::delta::MetadataDelta;
use super::features::KRAFT_VERSION;
use super::security::{
    AccessControlEntry, ClientQuota, DelegationToken, QuotaEntity, ScramCredential,
};
use super::topics::{
    LeaderRecoveryState, NO_LEADER_CHANGE, PartitionRegistration, TopicImage, directory_id,
};

/// A record that can't be applied: the log is damaged or was written by a broken controller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{record}: {reason}")]
pub struct ReplayError {
    /// Kafka's name of the record type.
    pub record: &'static str,
    pub reason: String,
}

impl MetadataDelta {
    /// Applies one record.
    ///
    /// Transaction records change nothing here: whoever reads the log decides what is applied.
    ///
    /// # Errors
    /// If the record contradicts the image; the delta is then of no use any more.
    pub fn replay(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        let applied = match record {
            MetadataRecord::RegisterBroker(record) => self.register_broker(record),
            MetadataRecord::UnregisterBroker(record) => self.unregister_broker(record),
            MetadataRecord::Topic(record) => self.topic(record),
            MetadataRecord::Partition(record) => self.partition(record),
            MetadataRecord::Config(record) => self.config(record),
            MetadataRecord::PartitionChange(record) => self.partition_change(record),
            MetadataRecord::FenceBroker(record) => {
                self.change_broker(record.id, record.epoch, |broker| broker.fenced = true)
            }
            MetadataRecord::UnfenceBroker(record) => {
                self.change_broker(record.id, record.epoch, |broker| broker.fenced = false)
            }
            MetadataRecord::RemoveTopic(record) => self.remove_topic(record.topic_id),
            MetadataRecord::DelegationToken(record) => self.delegation_token(record),
            MetadataRecord::UserScramCredential(record) => self.scram_credential(record),
            MetadataRecord::FeatureLevel(record) => self.feature_level(record),
            MetadataRecord::ClientQuota(record) => self.client_quota(record),
            MetadataRecord::ProducerIds(record) => self.producer_ids(record.next_producer_id),
            MetadataRecord::BrokerRegistrationChange(record) => self.registration_change(record),
            MetadataRecord::AccessControlEntry(record) => self.acl(record),
            MetadataRecord::RemoveAccessControlEntry(record) => self.remove_acl(record.id),
            MetadataRecord::RemoveUserScramCredential(record) => {
                self.touched.scram = true;
                self.next
                    .scram
                    .remove(&(record.mechanism, Arc::from(record.name.as_str())));
                Ok(())
            }
            MetadataRecord::RemoveDelegationToken(record) => {
                self.touched.delegation_tokens = true;
                self.next.delegation_tokens.remove(record.token_id.as_str());
                Ok(())
            }
            MetadataRecord::RegisterController(record) => self.register_controller(record),
            MetadataRecord::ClearElr(record) => self.clear_elr(&record.topic_name),
            MetadataRecord::NoOp(_)
            | MetadataRecord::ZkMigrationState(_)
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => Ok(()),
        };
        applied.map_err(|reason| ReplayError {
            record: record.name(),
            reason,
        })
    }

    fn register_broker(&mut self, record: &records::RegisterBrokerRecord) -> Result<(), String> {
        let mut directories = record.log_dirs.clone();
        directories.sort_unstable();
        let broker = BrokerRegistration {
            id: record.broker_id,
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            listeners: listeners(&record.end_points),
            features: features(&record.features),
            rack: record.rack.as_deref().map(Into::into),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            directories,
            cordoned_directories: record.cordoned_log_dirs.clone(),
        };
        self.touched.brokers.insert(broker.id);
        self.next
            .cluster
            .brokers
            .insert(broker.id, Arc::new(broker));
        Ok(())
    }

    fn unregister_broker(
        &mut self,
        record: &records::UnregisterBrokerRecord,
    ) -> Result<(), String> {
        let id = record.broker_id;
        if self.next.cluster.broker_epoch(id) != record.broker_epoch {
            return Err(format!(
                "broker {id} has no registration of epoch {}",
                record.broker_epoch
            ));
        }
        self.touched.brokers.insert(id);
        self.next.cluster.brokers.remove(&id);
        Ok(())
    }

    fn change_broker(
        &mut self,
        id: i32,
        epoch: i64,
        change: impl FnOnce(&mut BrokerRegistration),
    ) -> Result<(), String> {
        let Some(broker) = self.next.cluster.brokers.get_mut(&id) else {
            return Err(format!("broker {id} is not registered"));
        };
        if broker.epoch != epoch {
            return Err(format!(
                "broker {id} is at epoch {}, not {epoch}",
                broker.epoch
            ));
        }
        change(Arc::make_mut(broker));
        self.touched.brokers.insert(id);
        Ok(())
    }

    fn registration_change(
        &mut self,
        record: &records::BrokerRegistrationChangeRecord,
    ) -> Result<(), String> {
        let fenced = match record.fenced {
            -1 => Some(false),
            0 => None,
            1 => Some(true),
            other => return Err(format!("unknown value {other} of fenced")),
        };
        let in_controlled_shutdown = match record.in_controlled_shutdown {
            0 => false,
            1 => true,
            other => return Err(format!("unknown value {other} of inControlledShutdown")),
        };
        self.change_broker(record.broker_id, record.broker_epoch, |broker| {
            if let Some(fenced) = fenced {
                broker.fenced = fenced;
            }
            broker.in_controlled_shutdown |= in_controlled_shutdown;
            if !record.log_dirs.is_empty() {
                broker.directories.clone_from(&record.log_dirs);
                broker.directories.sort_unstable();
            }
            if record.cordoned_log_dirs.is_some() {
                broker
                    .cordoned_directories
                    .clone_from(&record.cordoned_log_dirs);
            }
        })
    }

    fn register_controller(
        &mut self,
        record: &records::RegisterControllerRecord,
    ) -> Result<(), String> {
        let controller = ControllerRegistration {
            id: record.controller_id,
            incarnation_id: record.incarnation_id,
            zk_migration_ready: record.zk_migration_ready,
            listeners: listeners(&record.end_points),
            features: features(&record.features),
        };
        self.touched.controllers.insert(controller.id);
        self.next
            .cluster
            .controllers
            .insert(controller.id, Arc::new(controller));
        Ok(())
    }

    fn topic(&mut self, record: &records::TopicRecord) -> Result<(), String> {
        if let Some(id) = self.next.topics.id_of(&record.name) {
            return Err(format!("topic {} exists with the id {id}", record.name));
        }
        if self.next.topics.by_id(record.topic_id).is_some() {
            return Err(format!("a topic with the id {} exists", record.topic_id));
        }
        self.touched.topics.entry(record.topic_id).or_default();
        self.next.topics.insert(TopicImage::new(
            record.topic_id,
            record.name.as_str().into(),
        ));
        Ok(())
    }

    fn partition(&mut self, record: &records::PartitionRecord) -> Result<(), String> {
        let partition = Arc::new(partition_from_record(record)?);
        let topic = self.next.topics.get_mut(record.topic_id);
        let topic = topic.ok_or_else(|| format!("there is no topic {}", record.topic_id))?;
        topic.insert(record.partition_id, partition);
        self.touched
            .topics
            .entry(record.topic_id)
            .or_default()
            .insert(record.partition_id);
        Ok(())
    }

    fn partition_change(&mut self, record: &records::PartitionChangeRecord) -> Result<(), String> {
        let (id, idx) = (record.topic_id, record.partition_id);
        let partition = self.next.topics.partition_by_id(id, idx);
        let partition = partition.ok_or_else(|| format!("there is no partition {id}:{idx}"))?;
        let changed = Arc::new(partition.merge(record)?);
        let topic = self
            .next
            .topics
            .get_mut(id)
            .expect("the topic has the partition");
        topic.insert(idx, changed);
        self.touched.topics.entry(id).or_default().insert(idx);
        Ok(())
    }

    fn remove_topic(&mut self, id: Uuid) -> Result<(), String> {
        let topic = self.next.topics.remove(id);
        let topic = topic.ok_or_else(|| format!("there is no topic {id}"))?;
        self.touched.topics.entry(id).or_default();
        let resource = ConfigResource::topic(Arc::clone(&topic.name));
        if self.next.configs.remove(&resource) {
            self.touched.configs.insert(resource);
        }
        Ok(())
    }

    fn clear_elr(&mut self, name: &str) -> Result<(), String> {
        let ids: Vec<_> = if name.is_empty() {
            self.next.topics.iter().map(|topic| topic.id).collect()
        } else {
            let id = self.next.topics.id_of(name);
            vec![id.ok_or_else(|| format!("there is no topic {name}"))?]
        };
        for topic_id in ids {
            let topic = self
                .next
                .topics
                .by_id(topic_id)
                .expect("the id is of a topic");
            let with_elr: Vec<_> = topic
                .partitions()
                .filter(|(_, p)| !p.elr.is_empty() || !p.last_known_elr.is_empty())
                .map(|(idx, _)| idx)
                .collect();
            for partition_id in with_elr {
                self.partition_change(&records::PartitionChangeRecord {
                    partition_id,
                    topic_id,
                    eligible_leader_replicas: Some(Vec::new()),
                    last_known_elr: Some(Vec::new()),
                    ..Default::default()
                })?;
            }
        }
        Ok(())
    }

    fn config(&mut self, record: &records::ConfigRecord) -> Result<(), String> {
        let resource_type = ResourceType::from_id(record.resource_type)
            .ok_or_else(|| format!("unknown resource type {}", record.resource_type))?;
        let resource = ConfigResource::new(resource_type, record.resource_name.as_str());
        self.next
            .configs
            .set(&resource, &record.name, record.value.as_deref());
        self.touched.configs.insert(resource);
        Ok(())
    }

    fn feature_level(&mut self, record: &records::FeatureLevelRecord) -> Result<(), String> {
        // kraft.version lives in control records; a record of it here was once written by mistake
        // (KAFKA-18979).
        if record.name != KRAFT_VERSION {
            self.next.features.set(&record.name, record.feature_level);
            self.touched.features = true;
        }
        Ok(())
    }

    fn client_quota(&mut self, record: &records::ClientQuotaRecord) -> Result<(), String> {
        let part = |part: &records::ClientQuotaEntity| {
            (
                part.entity_type.as_str().into(),
                part.entity_name.as_deref().map(Into::into),
            )
        };
        let entity: QuotaEntity = record.entity.iter().map(part).collect();
        let mut quota = self
            .next
            .client_quotas
            .get(&entity)
            .map_or_else(ClientQuota::default, |quota| (**quota).clone());
        if record.remove {
            quota.0.remove(record.key.as_str());
        } else {
            quota.0.insert(record.key.as_str().into(), record.value);
        }
        if quota.0.is_empty() {
            self.next.client_quotas.remove(&entity);
        } else {
            self.next.client_quotas.insert(entity, Arc::new(quota));
        }
        self.touched.client_quotas = true;
        Ok(())
    }

    fn producer_ids(&mut self, next_producer_id: i64) -> Result<(), String> {
        self.next.next_producer_id = next_producer_id;
        self.touched.producer_ids = true;
        Ok(())
    }

    fn acl(&mut self, record: &records::AccessControlEntryRecord) -> Result<(), String> {
        let entry = AccessControlEntry {
            resource_type: record.resource_type,
            resource_name: record.resource_name.as_str().into(),
            pattern_type: record.pattern_type,
            principal: record.principal.as_str().into(),
            host: record.host.as_str().into(),
            operation: record.operation,
            permission_type: record.permission_type,
        };
        self.next.acls.insert(record.id, Arc::new(entry));
        self.touched.acls = true;
        Ok(())
    }

    fn remove_acl(&mut self, id: Uuid) -> Result<(), String> {
        self.touched.acls = true;
        let removed = self.next.acls.remove(&id);
        removed
            .map(|_| ())
            .ok_or_else(|| format!("there is no access control entry {id}"))
    }

    fn scram_credential(
        &mut self,
        record: &records::UserScramCredentialRecord,
    ) -> Result<(), String> {
        let credential = ScramCredential {
            salt: record.salt.to_vec(),
            stored_key: record.stored_key.to_vec(),
            server_key: record.server_key.to_vec(),
            iterations: record.iterations,
        };
        let key = (record.mechanism, record.name.as_str().into());
        self.next.scram.insert(key, Arc::new(credential));
        self.touched.scram = true;
        Ok(())
    }

    fn delegation_token(&mut self, record: &records::DelegationTokenRecord) -> Result<(), String> {
        let token = DelegationToken {
            owner: record.owner.as_str().into(),
            requester: record.requester.as_str().into(),
            renewers: record
                .renewers
                .iter()
                .map(|renewer| renewer.as_str().into())
                .collect(),
            issue_timestamp_ms: record.issue_timestamp,
            max_timestamp_ms: record.max_timestamp,
            expiration_timestamp_ms: record.expiration_timestamp,
            token_id: record.token_id.as_str().into(),
        };
        self.next
            .delegation_tokens
            .insert(Arc::clone(&token.token_id), Arc::new(token));
        self.touched.delegation_tokens = true;
        Ok(())
    }
}

fn listeners(endpoints: &[records::RegisteredEndpoint]) -> Vec<ListenerEndpoint> {
    let listener = |endpoint: &records::RegisteredEndpoint| ListenerEndpoint {
        name: endpoint.name.as_str().into(),
        host: endpoint.host.as_str().into(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
    };
    endpoints.iter().map(listener).collect()
}

fn features(features: &[records::RegisteredFeature]) -> BTreeMap<Arc<str>, FeatureRange> {
    let range = |feature: &records::RegisteredFeature| FeatureRange {
        min: feature.min_supported_version,
        max: feature.max_supported_version,
    };
    features
        .iter()
        .map(|feature| (feature.name.as_str().into(), range(feature)))
        .collect()
}

/// Shares the allocation of a list that is equal, as replicas and ISR mostly are.
fn share(ids: &[i32], others: &[&Arc<[i32]>]) -> Arc<[i32]> {
    let equal = others.iter().find(|other| other[..] == *ids);
    equal.map_or_else(|| ids.into(), |other| Arc::clone(other))
}

fn directories(ids: &[Uuid], replicas: usize) -> Result<Arc<[Uuid]>, String> {
    if ids.is_empty() {
        return Ok(std::iter::repeat_n(directory_id::MIGRATING, replicas).collect());
    }
    if ids.len() != replicas {
        return Err(format!("{} directories for {replicas} replicas", ids.len()));
    }
    Ok(ids.into())
}

fn partition_from_record(
    record: &records::PartitionRecord,
) -> Result<PartitionRegistration, String> {
    let replicas: Arc<[i32]> = record.replicas.as_slice().into();
    let state = record.leader_recovery_state;
    Ok(PartitionRegistration {
        isr: share(&record.isr, &[&replicas]),
        directories: directories(&record.directories, replicas.len())?,
        replicas,
        removing_replicas: record.removing_replicas.as_slice().into(),
        adding_replicas: record.adding_replicas.as_slice().into(),
        elr: record
            .eligible_leader_replicas
            .as_deref()
            .unwrap_or_default()
            .into(),
        last_known_elr: record.last_known_elr.as_deref().unwrap_or_default().into(),
        leader: record.leader,
        leader_recovery_state: LeaderRecoveryState::from_value(state)
            .ok_or_else(|| format!("unknown leader recovery state {state}"))?,
        leader_epoch: record.leader_epoch,
        partition_epoch: record.partition_epoch,
    })
}

impl PartitionRegistration {
    /// The partition after a change record.
    ///
    /// # Errors
    /// If the record contradicts itself or the partition.
    pub fn merge(&self, record: &records::PartitionChangeRecord) -> Result<Self, String> {
        let mut next = self.clone();
        if let Some(replicas) = &record.replicas {
            next.replicas = share(replicas, &[&self.replicas, &self.isr]);
        }
        // Directories that a change doesn't name stay in their places, also when other replicas
        // come to them: a controller names them unless they are the same ones.
        let ids = record.directories.as_deref().unwrap_or(&self.directories);
        next.directories = if ids.iter().all(|id| *id == directory_id::MIGRATING) {
            directories(&[], next.replicas.len())?
        } else if ids == &*self.directories && ids.len() == next.replicas.len() {
            Arc::clone(&self.directories)
        } else {
            directories(ids, next.replicas.len())?
        };
        if let Some(isr) = &record.isr {
            next.isr = share(isr, &[&next.replicas, &self.isr]);
        }
        let list = |target: &mut Arc<[i32]>, change: &Option<Vec<i32>>| {
            if let Some(ids) = change {
                *target = ids.as_slice().into();
            }
        };
        list(&mut next.removing_replicas, &record.removing_replicas);
        list(&mut next.adding_replicas, &record.adding_replicas);
        list(&mut next.elr, &record.eligible_leader_replicas);
        list(&mut next.last_known_elr, &record.last_known_elr);
        if record.leader != NO_LEADER_CHANGE {
            next.leader = record.leader;
            next.leader_epoch += 1;
        }
        if record.leader_recovery_state != -1 {
            let state = record.leader_recovery_state;
            next.leader_recovery_state = LeaderRecoveryState::from_value(state)
                .ok_or_else(|| format!("unknown leader recovery state {state}"))?;
        }
        next.partition_epoch += 1;
        Ok(next)
    }
}
