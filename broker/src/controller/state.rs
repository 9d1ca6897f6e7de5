//! The controller's hard state, and the frame of all its decisions.
//!
//! The state is the metadata image up to the end of the log, committed or not. Handlers take it by
//! shared reference and return records with a response; only [`QuorumController::replay`] changes
//! it. So what a handler decided and what a restart would read can't differ, and losing the
//! leadership means to drop the state and to start again from the committed image.
//!
//! Kafka: `controller/QuorumController.java` (4.3).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::schema::metadata::MetadataRecord;
use uuid::Uuid;

use super::config::{ConfigValidator, ControllerConfig};
use super::heartbeat::Heartbeats;
use super::partition_change::PartitionCx;
use super::random::Random;
use crate::metadata::delta::MetadataDelta;
use crate::metadata::replay::ReplayError;
use crate::metadata::topics::directory_id;
use crate::metadata::{MetadataImage, PartitionRegistration};

/// Most records that one request of a user may make.
pub const MAX_RECORDS_PER_USER_OP: usize = 10_000;

/// The moment and the chance of a decision.
#[derive(Debug)]
pub struct Cx<'a> {
    /// Milliseconds of a clock that never goes back.
    pub now_ms: i64,
    /// The offset that the next record gets.
    pub next_offset: i64,
    pub random: &'a RefCell<Random>,
    /// Whether a broker has checked the request.
    pub is_forwarded: bool,
    /// The level of kraft.version, which Raft keeps.
    pub kraft_version: i16,
}

/// What a handler decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<T> {
    pub records: Vec<MetadataRecord>,
    pub response: T,
    /// Whether the records have to take effect together or not at all.
    pub is_atomic: bool,
}

impl<T> Outcome<T> {
    /// Records that have to take effect together.
    pub fn atomic(records: Vec<MetadataRecord>, response: T) -> Self {
        Self {
            records,
            response,
            is_atomic: true,
        }
    }

    /// Records that make sense one by one, in their order.
    pub fn sequence(records: Vec<MetadataRecord>, response: T) -> Self {
        Self {
            records,
            response,
            is_atomic: false,
        }
    }

    /// Nothing but a response.
    pub fn read(response: T) -> Self {
        Self::atomic(Vec::new(), response)
    }

    /// The outcome with its response turned into another.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome {
            records: self.records,
            response: f(self.response),
            is_atomic: self.is_atomic,
        }
    }
}

/// Refuses more records than a user's request may make.
pub(super) fn check_record_count(records: &[MetadataRecord]) -> Result<(), ApiError> {
    if records.len() > MAX_RECORDS_PER_USER_OP {
        let message = format!(
            "Unable to perform excessively large batch operation: {} records, the maximum is \
             {MAX_RECORDS_PER_USER_OP}.",
            records.len()
        );
        return Err(ApiError::new(ErrorCode::POLICY_VIOLATION, message));
    }
    Ok(())
}

/// A state that is about to become the controller's.
#[derive(Debug)]
pub struct Prepared {
    image: Arc<MetadataImage>,
    changed_brokers: Vec<i32>,
    register_offsets: Vec<(i32, Option<i64>)>,
}

impl Prepared {
    /// Level of metadata.version, at which the records are to be written.
    pub fn metadata_version(&self) -> i16 {
        self.image.features.metadata_version
    }
}

/// The controller's state while it is active.
#[derive(Clone)]
pub struct QuorumController {
    pub(super) config: Arc<ControllerConfig>,
    pub(super) validator: Arc<dyn ConfigValidator>,
    /// All metadata up to the end of the log.
    pub(super) image: Arc<MetadataImage>,
    /// Offset of the newest registration of each broker, as far as it was seen.
    pub(super) register_offsets: BTreeMap<i32, i64>,
}

impl std::fmt::Debug for QuorumController {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuorumController")
            .field("offset", &self.image.offset())
            .finish_non_exhaustive()
    }
}

impl QuorumController {
    /// The state of a controller that becomes active at this image.
    pub fn new(
        config: Arc<ControllerConfig>,
        validator: Arc<dyn ConfigValidator>,
        image: Arc<MetadataImage>,
    ) -> Self {
        Self {
            config,
            validator,
            image,
            register_offsets: BTreeMap::new(),
        }
    }

    /// All metadata up to the end of the log.
    pub fn image(&self) -> &Arc<MetadataImage> {
        &self.image
    }

    /// The state after records that will stand at consecutive offsets from `base_offset` on. The
    /// state itself doesn't change until [`Self::install`].
    ///
    /// # Errors
    /// If a record contradicts the state.
    pub fn prepare(
        &self,
        base_offset: i64,
        records: &[MetadataRecord],
    ) -> Result<Prepared, ReplayError> {
        let mut delta = MetadataDelta::new(&self.image);
        let mut register_offsets = Vec::new();
        for (offset, record) in (base_offset..).zip(records) {
            delta.replay(record)?;
            match record {
                MetadataRecord::RegisterBroker(record) => {
                    register_offsets.push((record.broker_id, Some(offset)));
                }
                MetadataRecord::UnregisterBroker(record) => {
                    register_offsets.push((record.broker_id, None));
                }
                _ => {}
            }
        }
        let changed_brokers = delta.changed_brokers().collect();
        let mut image = delta.into_next();
        image.provenance.last_contained_offset = base_offset + records.len() as i64 - 1;
        Ok(Prepared {
            image: Arc::new(image),
            changed_brokers,
            register_offsets,
        })
    }

    /// Makes a prepared state the state.
    pub fn install(&mut self, prepared: Prepared, heartbeats: &mut Heartbeats) {
        let old = std::mem::replace(&mut self.image, prepared.image);
        for (id, offset) in prepared.register_offsets {
            match offset {
                Some(offset) => self.register_offsets.insert(id, offset),
                None => self.register_offsets.remove(&id),
            };
        }
        for id in prepared.changed_brokers {
            let before = old.cluster.broker(id).map(|broker| &**broker);
            let after = self.image.cluster.broker(id).map(|broker| &**broker);
            heartbeats.registration_changed(id, before, after);
        }
    }

    /// Applies records that stand at consecutive offsets from `base_offset` on.
    ///
    /// # Errors
    /// If a record contradicts the state, which is then unchanged.
    pub fn replay(
        &mut self,
        base_offset: i64,
        records: &[MetadataRecord],
        heartbeats: &mut Heartbeats,
    ) -> Result<(), ReplayError> {
        let prepared = self.prepare(base_offset, records)?;
        self.install(prepared, heartbeats);
        Ok(())
    }

    /// Level of metadata.version.
    pub(super) fn metadata_version(&self) -> i16 {
        self.image.features.metadata_version
    }

    /// Whether the broker may lead partitions.
    pub(super) fn is_active(&self, broker_id: i32) -> bool {
        self.image
            .cluster
            .broker(broker_id)
            .is_some_and(|broker| broker.is_active())
    }

    /// Refuses a broker that speaks for an old registration, or for none.
    pub(super) fn check_broker_epoch(&self, id: i32, epoch: i64) -> Result<(), ApiError> {
        let stale = |message| Err(ApiError::new(ErrorCode::STALE_BROKER_EPOCH, message));
        match self.image.cluster.broker(id) {
            None => stale(format!("No broker registration found for broker id {id}")),
            Some(broker) if broker.epoch != epoch => stale(format!(
                "Expected broker epoch {}, but got broker epoch {epoch}",
                broker.epoch
            )),
            Some(_) => Ok(()),
        }
    }

    /// Where a broker puts a new replica, as far as the controller can say.
    pub(super) fn default_directory(&self, broker_id: i32) -> Uuid {
        if self.metadata_version() < crate::metadata::records::DIRECTORY_ASSIGNMENT_SINCE {
            return directory_id::MIGRATING;
        }
        let Some(broker) = self.image.cluster.broker(broker_id) else {
            return directory_id::UNASSIGNED;
        };
        match *broker.directories {
            [] => directory_id::MIGRATING,
            [directory] => directory,
            _ => directory_id::UNASSIGNED,
        }
    }

    /// Whether a broker can lead the partition: it is active and its replica's directory is there.
    pub(super) fn is_acceptable_leader(
        &self,
        partition: &PartitionRegistration,
        broker_id: i32,
        is_alive: impl Fn(i32) -> bool,
    ) -> bool {
        if !is_alive(broker_id) {
            return false;
        }
        let Some(broker) = self.image.cluster.broker(broker_id) else {
            return false;
        };
        let directory = partition
            .directory(broker_id)
            .unwrap_or(directory_id::UNASSIGNED);
        broker.has_online_directory(directory)
    }

    /// `min.insync.replicas` of a topic as it takes effect, at most its replication factor.
    pub(super) fn effective_min_isr(&self, topic: &str) -> usize {
        let configured = self
            .validator
            .effective_topic_value(topic, "min.insync.replicas", &self.image)
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(1);
        let first = self.image.topics.partition(topic, 0);
        configured.min(first.map_or(1, |partition| partition.replicas.len()))
    }

    /// Whether the topic may get a leader that isn't in sync.
    pub(super) fn is_unclean_election_enabled(&self, topic: &str) -> bool {
        self.validator
            .effective_topic_value(topic, "unclean.leader.election.enable", &self.image)
            .is_some_and(|value| value.trim() == "true")
    }

    /// Runs `f` with what a change of the partition has to know. `is_alive` says which brokers are
    /// to be taken for active.
    pub(super) fn with_partition_cx<T>(
        &self,
        topic: &str,
        partition: &PartitionRegistration,
        is_alive: &dyn Fn(i32) -> bool,
        f: impl FnOnce(&PartitionCx<'_>) -> T,
    ) -> T {
        f(&PartitionCx {
            is_acceptable_leader: &|id| self.is_acceptable_leader(partition, id, is_alive),
            default_directory: &|id| self.default_directory(id),
            min_isr: self.effective_min_isr(topic),
            is_elr_enabled: self.image.features.is_elr_enabled(),
            metadata_version: self.metadata_version(),
        })
    }
}
