//! The one way in which a partition changes: targets in, at most one change record out.
//!
//! The builder ends reassignments that can end, tracks eligible leader replicas (KIP-966), elects a
//! leader where the present one can't stay, and says nothing that is already so. It decides from
//! its arguments only.
//!
//! Elections: the leader comes from the ISR, or if that is empty, from the ELR; then, with ELR, it
//! is the last known leader; then, if the topic allows unclean elections, any live replica. Who is
//! elected from outside ISR and ELR becomes the whole ISR and the partition is RECOVERING.
//!
//! Kafka: `controller/PartitionChangeBuilder.java` (4.3).

use std::collections::BTreeMap;

use kafka_shared::schema::metadata::PartitionChangeRecord;
use uuid::Uuid;

use super::reassignment::Reassignment;
use crate::metadata::topics::{NO_LEADER, NO_LEADER_CHANGE};
use crate::metadata::{LeaderRecoveryState, PartitionRegistration};

/// How a leader is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Election {
    /// The first replica if it can lead, else as `Online`.
    Preferred,
    /// Whoever is in sync; the present leader stays if it can.
    Online,
    /// As `Online`, and if nobody is in sync, any live replica.
    Unclean,
}

/// What the builder has to know beside the partition.
pub struct PartitionCx<'a> {
    /// Whether a broker may lead the partition: it is active and has the replica's directory.
    pub is_acceptable_leader: &'a dyn Fn(i32) -> bool,
    /// Where a broker that gets a replica puts it.
    pub default_directory: &'a dyn Fn(i32) -> Uuid,
    /// `min.insync.replicas` as it takes effect, at most the number of replicas.
    pub min_isr: usize,
    pub is_elr_enabled: bool,
    /// Level of metadata.version.
    pub metadata_version: i16,
}

impl std::fmt::Debug for PartitionCx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionCx")
            .field("min_isr", &self.min_isr)
            .field("is_elr_enabled", &self.is_elr_enabled)
            .finish_non_exhaustive()
    }
}

/// A change of one partition in the making.
#[derive(Debug)]
pub struct PartitionChangeBuilder<'a> {
    cx: &'a PartitionCx<'a>,
    partition: &'a PartitionRegistration,
    record: PartitionChangeRecord,
    election: Election,
    isr: Vec<i32>,
    replicas: Vec<i32>,
    removing: Vec<i32>,
    adding: Vec<i32>,
    elr: Vec<i32>,
    unclean_shutdown_replicas: Vec<i32>,
    directories: BTreeMap<i32, Uuid>,
    leader_recovery_state: LeaderRecoveryState,
}

struct Elected {
    leader: i32,
    is_unclean: bool,
}

/// The metadata version from which on a shrinking ISR needs no new leader epoch (KAFKA-15021).
const NO_EPOCH_BUMP_ON_ISR_SHRINK_SINCE: i16 = 12;

impl<'a> PartitionChangeBuilder<'a> {
    /// A change that leaves the partition as it is, but for a leader that can't stay.
    pub fn new(
        cx: &'a PartitionCx<'a>,
        partition: &'a PartitionRegistration,
        topic_id: Uuid,
        partition_id: i32,
    ) -> Self {
        let directories = partition.replicas.iter().copied();
        Self {
            cx,
            partition,
            record: PartitionChangeRecord {
                topic_id,
                partition_id,
                ..Default::default()
            },
            election: Election::Online,
            isr: partition.isr.to_vec(),
            replicas: partition.replicas.to_vec(),
            removing: partition.removing_replicas.to_vec(),
            adding: partition.adding_replicas.to_vec(),
            elr: partition.elr.to_vec(),
            unclean_shutdown_replicas: Vec::new(),
            directories: directories
                .zip(partition.directories.iter().copied())
                .collect(),
            leader_recovery_state: partition.leader_recovery_state,
        }
    }

    /// How to look for a leader; `Online` if not said.
    pub fn election(mut self, election: Election) -> Self {
        self.election = election;
        self
    }

    /// The ISR to be.
    pub fn isr(mut self, isr: Vec<i32>) -> Self {
        self.isr = isr;
        self
    }

    /// Moves the partition. What is on its way in already stays so, if the new way has nothing of
    /// the kind.
    ///
    // Differs from Kafka: a reassignment in the place of another one leaves no replica of its own
    // target behind that is still to be removed.
    pub fn reassign(mut self, reassignment: Reassignment) -> Self {
        self.replicas = reassignment.replicas;
        self.removing = reassignment.removing;
        if !reassignment.adding.is_empty() {
            self.adding = reassignment.adding;
        }
        self
    }

    /// Ends a reassignment with these replicas, whoever is in sync.
    pub fn revert(mut self, replicas: Vec<i32>) -> Self {
        self.replicas = replicas;
        self.removing.clear();
        self.adding.clear();
        self
    }

    /// Replicas that may have lost acknowledged records: they are not eligible.
    pub fn unclean_shutdown_replicas(mut self, replicas: Vec<i32>) -> Self {
        self.unclean_shutdown_replicas = replicas;
        self
    }

    /// The recovery state to be.
    pub fn leader_recovery_state(mut self, state: LeaderRecoveryState) -> Self {
        self.leader_recovery_state = state;
        self
    }

    /// The directory of one replica.
    pub fn directory(mut self, broker_id: i32, directory: Uuid) -> Self {
        self.directories.insert(broker_id, directory);
        self
    }

    /// The record; `None` if nothing is to be changed.
    pub fn build(mut self) -> Option<PartitionChangeRecord> {
        self.complete_reassignment();
        self.populate_elr();
        self.elect();
        self.bump_leader_epoch_for_removed_replicas();
        self.update_elr();
        let is_isr_known = !self.isr.is_empty() || self.cx.is_elr_enabled;
        if self.record.isr.is_none() && is_isr_known && *self.isr != *self.partition.isr {
            self.record.isr = Some(self.isr.clone());
        }
        self.bump_leader_epoch_for_isr_shrink();
        self.update_last_known_leader();
        self.set_assignment();
        if self.leader_recovery_state != self.partition.leader_recovery_state {
            self.record.leader_recovery_state = self.leader_recovery_state.value();
        }
        let nothing = PartitionChangeRecord {
            topic_id: self.record.topic_id,
            partition_id: self.record.partition_id,
            ..Default::default()
        };
        (self.record != nothing).then_some(self.record)
    }

    fn complete_reassignment(&mut self) {
        let reassignment = Reassignment {
            removing: self.removing.clone(),
            adding: self.adding.clone(),
            replicas: self.replicas.clone(),
        };
        if let Some(completed) = reassignment.complete(&self.isr) {
            self.isr = completed.isr;
            self.replicas = completed.replicas;
            self.removing.clear();
            self.adding.clear();
        }
    }

    /// Below the minimal ISR, who leaves the ISR becomes eligible: it holds all that was committed,
    /// since nothing is committed below the minimal ISR.
    ///
    // Differs from Kafka: who is no replica any more is not eligible. It would keep the last known
    // leader from being elected, and it would be taken for one that holds everything when it becomes a
    // replica again, with an empty log.
    fn populate_elr(&mut self) {
        if !self.cx.is_elr_enabled {
            return;
        }
        if self.isr.len() >= self.cx.min_isr {
            self.elr.clear();
            return;
        }
        self.elr.extend_from_slice(&self.partition.isr);
        self.elr.sort_unstable();
        self.elr.dedup();
        self.elr.retain(|id| {
            self.replicas.contains(id)
                && !self.isr.contains(id)
                && !self.unclean_shutdown_replicas.contains(id)
        });
    }

    fn may_lead(&self, id: i32) -> bool {
        let is_eligible = self.isr.contains(&id) || (self.isr.is_empty() && self.elr.contains(&id));
        is_eligible && (self.cx.is_acceptable_leader)(id)
    }

    fn find_leader(&self) -> Elected {
        let clean = |leader| Elected {
            leader,
            is_unclean: false,
        };
        let unclean = |leader| Elected {
            leader,
            is_unclean: true,
        };
        if self.election == Election::Preferred
            && let Some(preferred) = self.replicas.first().copied()
            && self.may_lead(preferred)
        {
            return clean(preferred);
        }
        if self.may_lead(self.partition.leader) {
            return clean(self.partition.leader);
        }
        if let Some(replica) = self.replicas.iter().copied().find(|id| self.may_lead(*id)) {
            return clean(replica);
        }
        if let Some(last_known) = self.last_known_leader() {
            return unclean(last_known);
        }
        if self.election == Election::Unclean
            && let Some(replica) = self
                .replicas
                .iter()
                .copied()
                .find(|id| (self.cx.is_acceptable_leader)(*id))
        {
            return unclean(replica);
        }
        clean(NO_LEADER)
    }

    /// The leader of before the partition lost its last one, if nobody else is left and it is back.
    ///
    // Differs from Kafka: who is no replica any more can't be elected, and is forgotten. A move that
    // is cancelled may have dropped it, and with it its log.
    fn last_known_leader(&self) -> Option<i32> {
        if !self.cx.is_elr_enabled || !self.elr.is_empty() || !self.isr.is_empty() {
            return None;
        }
        match *self.partition.last_known_elr {
            [leader] if self.replicas.contains(&leader) => {
                Some(leader).filter(|id| (self.cx.is_acceptable_leader)(*id))
            }
            _ => None,
        }
    }

    fn elect(&mut self) {
        let Elected { leader, is_unclean } = self.find_leader();
        if leader == self.partition.leader {
            return;
        }
        if self.elr.contains(&leader) {
            self.isr = vec![leader];
            self.elr.retain(|id| *id != leader);
        }
        self.record.leader = leader;
        if is_unclean {
            // Records that only others hold are given up.
            self.record.isr = Some(vec![leader]);
            if self.partition.leader_recovery_state != LeaderRecoveryState::Recovering {
                self.record.leader_recovery_state = LeaderRecoveryState::Recovering.value();
            }
        }
    }

    /// A new leader epoch makes followers that are no longer replicas stop.
    fn bump_leader_epoch_for_removed_replicas(&mut self) {
        let is_removed = |id: &i32| !self.replicas.contains(id);
        if self.record.leader == NO_LEADER_CHANGE && self.partition.replicas.iter().any(is_removed)
        {
            self.record.leader = self.partition.leader;
        }
    }

    fn bump_leader_epoch_for_isr_shrink(&mut self) {
        if self.cx.metadata_version >= NO_EPOCH_BUMP_ON_ISR_SHRINK_SINCE
            || self.record.leader != NO_LEADER_CHANGE
        {
            return;
        }
        if let Some(isr) = &self.record.isr
            && self.partition.isr.iter().any(|id| !isr.contains(id))
        {
            self.record.leader = self.partition.leader;
        }
    }

    fn update_elr(&mut self) {
        let is_unclean = self.record.isr.is_some();
        if is_unclean || !self.cx.is_elr_enabled {
            self.elr.clear();
        }
        if *self.elr != *self.partition.elr {
            self.record.eligible_leader_replicas = Some(self.elr.clone());
        }
    }

    /// lastKnownElr holds the leader that the partition lost, until it has one again.
    fn update_last_known_leader(&mut self) {
        if !self.cx.is_elr_enabled {
            return;
        }
        let last_known = &self.partition.last_known_elr;
        let is_dropped =
            |id: &i32| self.partition.replicas.contains(id) && !self.replicas.contains(id);
        if last_known.is_empty() {
            if self.record.leader == NO_LEADER && !is_dropped(&self.partition.leader) {
                self.record.last_known_elr = Some(vec![self.partition.leader]);
            }
        } else if self.record.leader >= 0 || last_known.iter().any(is_dropped) {
            self.record.last_known_elr = Some(Vec::new());
        }
    }

    fn set_assignment(&mut self) {
        if !self.replicas.is_empty() {
            if self.cx.metadata_version >= crate::metadata::records::DIRECTORY_ASSIGNMENT_SINCE {
                let known = |id: &i32| self.directories.get(id).copied();
                let directory =
                    |id: &i32| known(id).unwrap_or_else(|| (self.cx.default_directory)(*id));
                let directories: Vec<_> = self.replicas.iter().map(directory).collect();
                if *directories != *self.partition.directories {
                    self.record.directories = Some(directories);
                }
            }
            if *self.replicas != *self.partition.replicas {
                self.record.replicas = Some(self.replicas.clone());
            }
        }
        if *self.removing != *self.partition.removing_replicas {
            self.record.removing_replicas = Some(self.removing.clone());
        }
        if *self.adding != *self.partition.adding_replicas {
            self.record.adding_replicas = Some(self.adding.clone());
        }
    }
}
