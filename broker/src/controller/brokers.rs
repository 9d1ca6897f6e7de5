//! Brokers and controllers: registration, heartbeats, fencing, producer ids.
//!
//! Kafka: `controller/{ClusterControlManager,ReplicationControlManager,ProducerIdControlManager}.java`
//! (4.3), KIP-631, KIP-966.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, BrokerHeartbeatRequest,
    BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse,
    ControllerRegistrationRequest, ControllerRegistrationResponse, ProducerId,
    UnregisterBrokerRequest, UnregisterBrokerResponse,
};
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::protocol::messages::cordoned_log_dirs;
use kafka_shared::schema::metadata::{
    BrokerRegistrationChangeRecord, MetadataRecord, ProducerIdsRecord, RegisterBrokerRecord,
    RegisterControllerRecord, RegisteredEndpoint, RegisteredFeature, UnregisterBrokerRecord,
};
use uuid::Uuid;

use super::heartbeat::{Absence, BrokerState, Heartbeats, Sighting};
use super::partitions::BrokerChange;
use super::state::{Cx, Outcome, QuorumController};
use crate::metadata::cluster::FeatureRange;
use crate::metadata::features::{KRAFT_VERSION, METADATA_VERSION};
use crate::metadata::records::{CORDONED_DIRECTORIES_SINCE, DIRECTORY_ASSIGNMENT_SINCE};
use crate::metadata::topics::directory_id;

/// How many producer ids a broker gets at once.
pub const PRODUCER_ID_BLOCK_SIZE: i32 = 1_000;

/// The metadata version from which on controllers register.
pub(crate) const CONTROLLER_REGISTRATION_SINCE: i16 = 15;

const FENCE: i8 = 1;
const UNFENCE: i8 = -1;
const IN_CONTROLLED_SHUTDOWN: i8 = 1;

impl QuorumController {
    /// BrokerRegistration. The response's epoch stands for this registration from now on.
    ///
    /// # Errors
    /// INCONSISTENT_CLUSTER_ID, DUPLICATE_BROKER_REGISTRATION, INVALID_REGISTRATION,
    /// UNSUPPORTED_VERSION.
    pub fn register_broker(
        &self,
        cx: &Cx<'_>,
        heartbeats: &Heartbeats,
        request: &BrokerRegistrationRequest,
    ) -> Result<Outcome<BrokerRegistrationResponse>, ApiError> {
        let id = request.broker_id.0;
        let cluster_id = request.cluster_id.as_str();
        if cluster_id != self.config.cluster_id {
            let message = format!(
                "Expected cluster ID {}, but got cluster ID {cluster_id}",
                self.config.cluster_id
            );
            return Err(ApiError::new(ErrorCode::INCONSISTENT_CLUSTER_ID, message));
        }
        let existing = self.image.cluster.broker(id);
        let is_same_incarnation =
            existing.is_some_and(|broker| broker.incarnation_id == request.incarnation_id);
        if let Some(broker) = existing
            && !is_same_incarnation
            && heartbeats.has_valid_session(id, broker.epoch, cx.now_ms)
        {
            return Err(ApiError::new(
                ErrorCode::DUPLICATE_BROKER_REGISTRATION,
                "Another broker is registered with that broker id. If the broker was recently \
                 restarted this should self-resolve once the heartbeat manager expires the \
                 broker's session.",
            ));
        }
        if request.is_migrating_zk_broker {
            return Err(ApiError::new(
                ErrorCode::BROKER_ID_NOT_REGISTERED,
                "Controller does not support registering ZK brokers.",
            ));
        }
        self.check_log_dirs(id, &request.log_dirs)?;
        let mut record = RegisterBrokerRecord {
            broker_id: id,
            is_migrating_zk_broker: false,
            incarnation_id: request.incarnation_id,
            broker_epoch: cx.next_offset,
            end_points: endpoints(request)?,
            features: self.check_features(cx, request)?,
            rack: request.rack.as_ref().map(|rack| rack.as_str().to_owned()),
            fenced: true,
            in_controlled_shutdown: false,
            log_dirs: Vec::new(),
            cordoned_log_dirs: None,
        };
        if self.metadata_version() >= DIRECTORY_ASSIGNMENT_SINCE {
            record.log_dirs.clone_from(&request.log_dirs);
        }
        let mut records = Vec::new();
        match existing {
            Some(broker) if is_same_incarnation => {
                record.fenced = broker.fenced;
                record.in_controlled_shutdown = broker.in_controlled_shutdown;
                record.broker_epoch = broker.epoch;
            }
            _ => {
                let stored_epoch = existing.map_or(-2, |broker| broker.epoch);
                let is_clean = stored_epoch == request.previous_broker_epoch;
                self.broker_shut_down(id, is_clean, &mut records);
            }
        }
        let broker_epoch = record.broker_epoch;
        // Last, so that a broker whose clean-up was cut short registers again.
        records.push(record.into());
        let response = BrokerRegistrationResponse::default().with_broker_epoch(broker_epoch);
        Ok(Outcome::sequence(records, response))
    }

    fn check_log_dirs(&self, id: i32, log_dirs: &[Uuid]) -> Result<(), ApiError> {
        if self.metadata_version() < DIRECTORY_ASSIGNMENT_SINCE {
            return Ok(());
        }
        let invalid =
            |message: String| Err(ApiError::new(ErrorCode::INVALID_REGISTRATION, message));
        if log_dirs.is_empty() {
            return invalid("No directories specified in request".into());
        }
        if log_dirs.iter().any(|dir| directory_id::is_reserved(*dir)) {
            return invalid("Reserved directory ID in request".into());
        }
        if log_dirs.iter().collect::<BTreeSet<_>>().len() != log_dirs.len() {
            return invalid("Duplicate directory ID in request".into());
        }
        for other in self
            .image
            .cluster
            .brokers
            .values()
            .filter(|broker| broker.id != id)
        {
            if let Some(dir) = log_dirs.iter().find(|dir| other.directories.contains(dir)) {
                let dir = kafka_shared::types::uuid_to_base64(*dir);
                return invalid(format!(
                    "Broker {} is already registered with directory {dir}",
                    other.id
                ));
            }
        }
        Ok(())
    }

    /// Checks that the broker can work at all finalized levels.
    fn check_features(
        &self,
        cx: &Cx<'_>,
        request: &BrokerRegistrationRequest,
    ) -> Result<Vec<RegisteredFeature>, ApiError> {
        let id = request.broker_id.0;
        let mut declared = BTreeMap::new();
        let mut features = Vec::new();
        for feature in &request.features {
            let range = FeatureRange {
                min: feature.min_supported_version,
                max: feature.max_supported_version,
            };
            declared.insert(feature.name.as_str(), range);
            features.push(RegisteredFeature {
                name: feature.name.as_str().to_owned(),
                min_supported_version: range.min,
                max_supported_version: range.max,
            });
        }
        let finalized = self.image.features.all();
        let undeclared = FeatureRange { min: 0, max: 0 };
        for (name, range) in &declared {
            self.check_feature(cx, id, name, *range)?;
        }
        if !declared.contains_key(METADATA_VERSION) {
            let message = format!("Request features do not contain '{METADATA_VERSION}'");
            return Err(ApiError::new(ErrorCode::INVALID_REGISTRATION, message));
        }
        // kraft.version is finalized too, if not here.
        let finalized = finalized.iter().map(|(name, _)| &**name);
        for name in finalized.chain([KRAFT_VERSION]) {
            if !declared.contains_key(name) {
                self.check_feature(cx, id, name, undeclared)?;
            }
        }
        Ok(features)
    }

    fn check_feature(
        &self,
        cx: &Cx<'_>,
        id: i32,
        name: &str,
        range: FeatureRange,
    ) -> Result<(), ApiError> {
        // kraft.version is in the log's control records.
        let level = match name {
            KRAFT_VERSION => cx.kraft_version,
            _ => self.image.features.level(name),
        };
        if range.contains(level) {
            return Ok(());
        }
        let message = format!(
            "Unable to register because the broker does not support finalized version {level} of \
             {name}. The broker wants a version between {} and {}, inclusive.",
            range.min, range.max
        );
        // The response has no place for the message.
        tracing::warn!(broker = id, "{message}");
        Err(ApiError::new(ErrorCode::UNSUPPORTED_VERSION, message))
    }

    /// What a broker that comes anew has missed: it is in sync no longer, and after an unclean
    /// shutdown it may have lost what it had acknowledged.
    fn broker_shut_down(&self, id: i32, is_clean: bool, records: &mut Vec<MetadataRecord>) {
        if self.image.features.is_elr_enabled() && !is_clean {
            self.leader_and_isr_updates(
                BrokerChange::UncleanShutdown(id),
                |partition| partition.isr.contains(&id) || partition.elr.contains(&id),
                records,
            );
        } else {
            let is_member = |p: &crate::metadata::PartitionRegistration| p.isr.contains(&id);
            self.leader_and_isr_updates(BrokerChange::Removed(id), is_member, records);
        }
    }

    /// The offset from which on a broker knows of its own registration.
    pub fn register_offset(&self, id: i32) -> i64 {
        // The epoch is the offset at which the registration was about to be written, so it will do
        // for registrations of before this controller became active.
        let seen = self.register_offsets.get(&id).copied();
        seen.unwrap_or_else(|| self.image.cluster.broker_epoch(id))
    }

    /// BrokerHeartbeat: fences, unfences, moves leaderships away.
    ///
    /// # Errors
    /// STALE_BROKER_EPOCH.
    pub fn broker_heartbeat(
        &self,
        cx: &Cx<'_>,
        heartbeats: &mut Heartbeats,
        request: &BrokerHeartbeatRequest,
    ) -> Result<Outcome<BrokerHeartbeatResponse>, ApiError> {
        let (id, epoch) = (request.broker_id.0, request.broker_epoch);
        self.check_broker_epoch(id, epoch)?;
        heartbeats.contact(id, epoch, cx.now_ms);
        let register_offset = self.register_offset(id);
        let (current, next) =
            heartbeats.next_state(request, register_offset, || self.has_leaderships(id));
        let mut records = Vec::new();
        if current != next {
            match next {
                BrokerState::Fenced | BrokerState::ShutdownNow => {
                    self.fence_broker(id, epoch, &mut records);
                }
                BrokerState::Unfenced => self.unfence_broker(id, epoch, &mut records),
                BrokerState::ControlledShutdown => {
                    self.start_controlled_shutdown(id, epoch, &mut records);
                }
            }
        }
        heartbeats.touch(id, request.current_metadata_offset);
        if next == BrokerState::ControlledShutdown {
            // All who have applied what is written now know the new leaders.
            let end_offset = cx.next_offset + records.len() as i64 - 1;
            heartbeats.controlled_shutdown(id, end_offset);
        }
        if next == BrokerState::ShutdownNow {
            heartbeats.end_session(id);
        }
        self.log_dirs_offline(id, epoch, &request.offline_log_dirs, &mut records);
        self.log_dirs_cordoned(id, epoch, request, &mut records)?;
        let response = BrokerHeartbeatResponse::default()
            .with_is_caught_up(request.current_metadata_offset >= register_offset)
            .with_is_fenced(next.is_fenced())
            .with_should_shut_down(next == BrokerState::ShutdownNow);
        Ok(Outcome::sequence(records, response))
    }

    fn fence_broker(&self, id: i32, epoch: i64, records: &mut Vec<MetadataRecord>) {
        self.leader_and_isr_updates(
            BrokerChange::Removed(id),
            |partition| partition.isr.contains(&id) || partition.leader == id,
            records,
        );
        records.push(registration_change(id, epoch, |record| {
            record.fenced = FENCE
        }));
    }

    fn unfence_broker(&self, id: i32, epoch: i64, records: &mut Vec<MetadataRecord>) {
        records.push(registration_change(id, epoch, |record| {
            record.fenced = UNFENCE
        }));
        self.leader_and_isr_updates(
            BrokerChange::Added(id),
            |partition| !partition.has_leader(),
            records,
        );
    }

    fn start_controlled_shutdown(&self, id: i32, epoch: i64, records: &mut Vec<MetadataRecord>) {
        let is_known = self
            .image
            .cluster
            .broker(id)
            .is_some_and(|broker| broker.in_controlled_shutdown);
        if !is_known {
            records.push(registration_change(id, epoch, |record| {
                record.in_controlled_shutdown = IN_CONTROLLED_SHUTDOWN;
            }));
        }
        self.leader_and_isr_updates(
            BrokerChange::Removed(id),
            |partition| partition.isr.contains(&id) || partition.leader == id,
            records,
        );
    }

    fn log_dirs_offline(
        &self,
        id: i32,
        epoch: i64,
        offline: &[Uuid],
        records: &mut Vec<MetadataRecord>,
    ) {
        let Some(broker) = self.image.cluster.broker(id) else {
            return;
        };
        let (gone, left): (Vec<_>, Vec<_>) = broker
            .directories
            .iter()
            .copied()
            .partition(|dir| offline.contains(dir));
        if gone.is_empty() || self.metadata_version() < DIRECTORY_ASSIGNMENT_SINCE {
            return;
        }
        self.leader_and_isr_updates(
            BrokerChange::Removed(id),
            |partition| {
                partition
                    .directory(id)
                    .is_some_and(|dir| gone.contains(&dir))
            },
            records,
        );
        records.push(registration_change(id, epoch, |record| {
            record.log_dirs = left
        }));
    }

    fn log_dirs_cordoned(
        &self,
        id: i32,
        epoch: i64,
        request: &BrokerHeartbeatRequest,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), ApiError> {
        let cordoned = cordoned_log_dirs(request)
            .map_err(|error| ApiError::new(ErrorCode::INVALID_REQUEST, error.to_string()))?;
        let (Some(cordoned), Some(broker)) = (cordoned, self.image.cluster.broker(id)) else {
            return Ok(());
        };
        if self.metadata_version() < CORDONED_DIRECTORIES_SINCE {
            return Ok(());
        }
        let set = |dirs: &[Uuid]| dirs.iter().copied().collect::<BTreeSet<_>>();
        let known = broker.cordoned_directories.as_deref().map(set);
        if known != Some(set(&cordoned)) {
            records.push(registration_change(id, epoch, |record| {
                record.cordoned_log_dirs = Some(cordoned);
            }));
        }
        Ok(())
    }

    /// Fences the broker whose session has ended, if there is one.
    pub fn fence_stale_broker(&self, cx: &Cx<'_>, heartbeats: &Heartbeats) -> Option<Outcome<i32>> {
        let id = heartbeats.stale_broker(cx.now_ms)?;
        let broker = self.image.cluster.broker(id)?;
        let mut records = Vec::new();
        self.fence_broker(id, broker.epoch, &mut records);
        Some(Outcome::sequence(records, id))
    }

    /// Fences a broker that is not there, if there is one. `sight` says what is seen of a broker
    /// (id and epoch) beside its heartbeats. A broker that listens nowhere any more may register
    /// again at once.
    pub fn fence_absent_broker(
        &self,
        cx: &Cx<'_>,
        heartbeats: &mut Heartbeats,
        sight: impl Fn(i32, i64) -> Sighting,
    ) -> Option<Outcome<(i32, Absence)>> {
        let (id, absence) = heartbeats.absent_broker(cx.now_ms, sight)?;
        let broker = self.image.cluster.broker(id)?;
        let mut records = Vec::new();
        self.fence_broker(id, broker.epoch, &mut records);
        if absence == Absence::Refused {
            heartbeats.end_session(id);
        }
        Some(Outcome::sequence(records, (id, absence)))
    }

    /// UnregisterBroker.
    ///
    /// # Errors
    /// BROKER_ID_NOT_REGISTERED.
    pub fn unregister_broker(
        &self,
        request: &UnregisterBrokerRequest,
    ) -> Result<Outcome<UnregisterBrokerResponse>, ApiError> {
        let id = request.broker_id.0;
        let broker = self.image.cluster.broker(id).ok_or_else(|| {
            let message = format!("Broker ID {id} is not currently registered");
            ApiError::new(ErrorCode::BROKER_ID_NOT_REGISTERED, message)
        })?;
        let mut records = Vec::new();
        self.leader_and_isr_updates(
            BrokerChange::Removed(id),
            |partition| partition.isr.contains(&id) || partition.elr.contains(&id),
            &mut records,
        );
        let record = UnregisterBrokerRecord {
            broker_id: id,
            broker_epoch: broker.epoch,
        };
        records.push(record.into());
        let response = UnregisterBrokerResponse::default().with_error_message(None);
        Ok(Outcome::sequence(records, response))
    }

    /// ControllerRegistration.
    ///
    /// # Errors
    /// UNSUPPORTED_VERSION.
    pub fn register_controller(
        &self,
        request: &ControllerRegistrationRequest,
    ) -> Result<Outcome<ControllerRegistrationResponse>, ApiError> {
        if self.metadata_version() < CONTROLLER_REGISTRATION_SINCE {
            return Err(ApiError::new(
                ErrorCode::UNSUPPORTED_VERSION,
                "The current MetadataVersion is too old to support controller registrations.",
            ));
        }
        let record = RegisterControllerRecord {
            controller_id: request.controller_id,
            incarnation_id: request.incarnation_id,
            zk_migration_ready: false,
            end_points: request
                .listeners
                .iter()
                .map(|listener| RegisteredEndpoint {
                    name: listener.name.as_str().to_owned(),
                    host: listener.host.as_str().to_owned(),
                    port: listener.port,
                    security_protocol: listener.security_protocol,
                })
                .collect(),
            features: request
                .features
                .iter()
                .map(|feature| RegisteredFeature {
                    name: feature.name.as_str().to_owned(),
                    min_supported_version: feature.min_supported_version,
                    max_supported_version: feature.max_supported_version,
                })
                .collect(),
        };
        let response = ControllerRegistrationResponse::default().with_error_message(None);
        Ok(Outcome::atomic(vec![record.into()], response))
    }

    /// AllocateProducerIds: the next block for a broker.
    ///
    /// # Errors
    /// STALE_BROKER_EPOCH; UNKNOWN_SERVER_ERROR when there are no more ids.
    pub fn allocate_producer_ids(
        &self,
        request: &AllocateProducerIdsRequest,
    ) -> Result<Outcome<AllocateProducerIdsResponse>, ApiError> {
        self.check_broker_epoch(request.broker_id.0, request.broker_epoch)?;
        let first = self.image.next_producer_id;
        let next_producer_id = first
            .checked_add(i64::from(PRODUCER_ID_BLOCK_SIZE))
            .ok_or_else(|| {
                ApiError::new(
                    ErrorCode::UNKNOWN_SERVER_ERROR,
                    "Exhausted all producerIds as the next block's end producerId has exceeded the \
                     int64 type limit",
                )
            })?;
        let record = ProducerIdsRecord {
            broker_id: request.broker_id.0,
            broker_epoch: request.broker_epoch,
            next_producer_id,
        };
        let response = AllocateProducerIdsResponse::default()
            .with_producer_id_start(ProducerId(first))
            .with_producer_id_len(PRODUCER_ID_BLOCK_SIZE);
        Ok(Outcome::atomic(vec![record.into()], response))
    }
}

fn registration_change(
    broker_id: i32,
    broker_epoch: i64,
    change: impl FnOnce(&mut BrokerRegistrationChangeRecord),
) -> MetadataRecord {
    let mut record = BrokerRegistrationChangeRecord {
        broker_id,
        broker_epoch,
        ..Default::default()
    };
    change(&mut record);
    record.into()
}

fn endpoints(request: &BrokerRegistrationRequest) -> Result<Vec<RegisteredEndpoint>, ApiError> {
    let endpoint = |listener: &kafka_protocol::messages::broker_registration_request::Listener| {
        if !(0..=3).contains(&listener.security_protocol) {
            let message = format!(
                "Unknown security protocol {} in listener {}",
                listener.security_protocol,
                listener.name.as_str()
            );
            return Err(ApiError::new(ErrorCode::INVALID_REGISTRATION, message));
        }
        Ok(RegisteredEndpoint {
            name: listener.name.as_str().to_owned(),
            host: listener.host.as_str().to_owned(),
            port: listener.port,
            security_protocol: listener.security_protocol,
        })
    };
    request.listeners.iter().map(endpoint).collect()
}
