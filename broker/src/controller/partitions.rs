//! Partitions: ISR changes by leaders, elections, reassignments, directories of replicas.
//!
//! Kafka: `controller/ReplicationControlManager.java` (4.3).

use std::sync::Arc;

use kafka_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::alter_partition_request::PartitionData as IsrRequest;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, AlterPartitionRequest,
    AlterPartitionResponse, AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerId,
    ElectLeadersRequest, ElectLeadersResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, alter_partition_response, assign_replicas_to_dirs_response,
};
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::schema::metadata::MetadataRecord;
use uuid::Uuid;

use super::partition_change::{Election, PartitionChangeBuilder};
use super::reassignment::Reassignment;
use super::state::{Outcome, QuorumController, check_record_count};
use super::topics::{error_message, topic_name};
use crate::metadata::records::DIRECTORY_ASSIGNMENT_SINCE;
use crate::metadata::{LeaderRecoveryState, PartitionRegistration, TopicImage};

/// Most elections that one round of balancing makes.
pub const MAX_ELECTIONS_PER_IMBALANCE: usize = 1_000;

/// Which broker's coming or going partitions are adapted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BrokerChange {
    /// The broker leaves all ISRs and leads nothing.
    Removed(i32),
    /// The broker may lead, though the image doesn't say so yet.
    Added(i32),
    /// The broker may have lost records that it had acknowledged.
    UncleanShutdown(i32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ElectionType {
    Preferred,
    Unclean,
}

fn ids(broker_ids: &[i32]) -> Vec<BrokerId> {
    broker_ids.iter().copied().map(BrokerId).collect()
}

impl QuorumController {
    /// All partitions that fulfil the condition, by topic name and partition.
    pub(super) fn partitions_where(
        &self,
        condition: impl Fn(&PartitionRegistration) -> bool,
    ) -> impl Iterator<Item = (&Arc<TopicImage>, i32, &Arc<PartitionRegistration>)> {
        self.image.topics.iter().flat_map(move |topic| {
            let matching: Vec<_> = topic
                .partitions()
                .filter(|(_, partition)| condition(partition))
                .collect();
            matching
                .into_iter()
                .map(move |(idx, partition)| (topic, idx, partition))
        })
    }

    /// Whether the broker leads anything.
    pub(super) fn has_leaderships(&self, broker_id: i32) -> bool {
        self.partitions_where(|partition| partition.leader == broker_id)
            .next()
            .is_some()
    }

    /// Changes that partitions need because of a broker. Only partitions that fulfil the condition
    /// are looked at.
    pub(super) fn leader_and_isr_updates(
        &self,
        change: BrokerChange,
        condition: impl Fn(&PartitionRegistration) -> bool,
        records: &mut Vec<MetadataRecord>,
    ) {
        let is_alive = |id: i32| match change {
            BrokerChange::Removed(gone) | BrokerChange::UncleanShutdown(gone) if gone == id => {
                false
            }
            BrokerChange::Added(added) if added == id => true,
            _ => self.is_active(id),
        };
        for (topic, idx, partition) in self.partitions_where(condition) {
            let isr = match change {
                BrokerChange::Removed(gone) | BrokerChange::UncleanShutdown(gone) => partition
                    .isr
                    .iter()
                    .copied()
                    .filter(|id| *id != gone)
                    .collect(),
                BrokerChange::Added(_) => partition.isr.to_vec(),
            };
            let unclean = match change {
                BrokerChange::UncleanShutdown(id) => vec![id],
                _ => Vec::new(),
            };
            let election = self.online_election(&topic.name);
            let record = self.with_partition_cx(&topic.name, partition, &is_alive, |cx| {
                PartitionChangeBuilder::new(cx, partition, topic.id, idx)
                    .election(election)
                    .unclean_shutdown_replicas(unclean)
                    .isr(isr)
                    .build()
            });
            records.extend(record.map(MetadataRecord::from));
        }
    }

    fn online_election(&self, topic: &str) -> Election {
        if self.is_unclean_election_enabled(topic) {
            Election::Unclean
        } else {
            Election::Online
        }
    }

    /// AlterPartition: a leader proposes an ISR.
    ///
    /// # Errors
    /// STALE_BROKER_EPOCH; all else is said per partition.
    pub fn alter_partition(
        &self,
        request: &AlterPartitionRequest,
    ) -> Result<Outcome<AlterPartitionResponse>, ApiError> {
        let leader = request.broker_id.0;
        self.check_broker_epoch(leader, request.broker_epoch)?;
        let mut records = Vec::new();
        let mut response = AlterPartitionResponse::default();
        for topic in &request.topics {
            let image = self.image.topics.by_id(topic.topic_id);
            let mut result =
                alter_partition_response::TopicData::default().with_topic_id(topic.topic_id);
            for partition in &topic.partitions {
                let altered = match image {
                    None => Err(ErrorCode::UNKNOWN_TOPIC_ID),
                    Some(image) => self.alter_isr(leader, image, partition, &mut records),
                };
                let data = alter_partition_response::PartitionData::default()
                    .with_partition_index(partition.partition_index);
                result.partitions.push(match altered {
                    Err(code) => data.with_error_code(code.0),
                    Ok(altered) => data
                        .with_leader_id(BrokerId(altered.leader))
                        .with_leader_epoch(altered.leader_epoch)
                        .with_isr(ids(&altered.isr))
                        .with_leader_recovery_state(altered.leader_recovery_state.value())
                        .with_partition_epoch(altered.partition_epoch),
                });
            }
            response.topics.push(result);
        }
        Ok(Outcome::sequence(records, response))
    }

    fn alter_isr(
        &self,
        leader: i32,
        topic: &TopicImage,
        request: &IsrRequest,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<PartitionRegistration, ErrorCode> {
        let idx = request.partition_index;
        let partition = topic
            .partition(idx)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        // Requests before version 3 have plain ids; -1 stands for an epoch that isn't checked.
        let mut isr: Vec<_> = request
            .new_isr_with_epochs
            .iter()
            .map(|b| (b.broker_id.0, b.broker_epoch))
            .collect();
        isr.extend(request.new_isr.iter().map(|id| (id.0, -1)));
        let state = self.check_isr(leader, partition, request, &isr)?;
        let target = isr.iter().map(|(id, _)| *id).collect();
        let election = self.online_election(&topic.name);
        let is_alive = |id| self.is_active(id);
        let record = self.with_partition_cx(&topic.name, partition, &is_alive, |cx| {
            PartitionChangeBuilder::new(cx, partition, topic.id, idx)
                .election(election)
                .isr(target)
                .leader_recovery_state(state)
                .build()
        });
        let Some(record) = record else {
            return Ok((**partition).clone());
        };
        let changed = partition
            .merge(&record)
            .map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
        let new_leader = record.leader;
        records.push(record.into());
        if new_leader >= -1 && new_leader != leader {
            // The new ISR has ended a reassignment, and with it this broker's leadership.
            return Err(ErrorCode::NEW_LEADER_ELECTED);
        }
        Ok(changed)
    }

    fn check_isr(
        &self,
        leader: i32,
        partition: &PartitionRegistration,
        request: &IsrRequest,
        isr: &[(i32, i64)],
    ) -> Result<LeaderRecoveryState, ErrorCode> {
        // Who knows more than this controller asks the wrong one.
        if request.leader_epoch > partition.leader_epoch
            || request.partition_epoch > partition.partition_epoch
        {
            return Err(ErrorCode::NOT_CONTROLLER);
        }
        if request.leader_epoch < partition.leader_epoch {
            return Err(ErrorCode::FENCED_LEADER_EPOCH);
        }
        if leader != partition.leader {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if request.partition_epoch < partition.partition_epoch {
            return Err(ErrorCode::INVALID_UPDATE_VERSION);
        }
        let mut members: Vec<_> = isr.iter().map(|(id, _)| *id).collect();
        members.sort_unstable();
        let is_distinct = members.windows(2).all(|pair| pair[0] != pair[1]);
        let are_replicas = members.iter().all(|id| partition.replicas.contains(id));
        if !is_distinct || !are_replicas || !members.contains(&leader) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let state = LeaderRecoveryState::from_value(request.leader_recovery_state)
            .ok_or(ErrorCode::INVALID_REQUEST)?;
        if state == LeaderRecoveryState::Recovering
            && (members.len() > 1
                || partition.leader_recovery_state == LeaderRecoveryState::Recovered)
        {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let is_eligible = |(id, epoch): &(i32, i64)| {
            self.image.cluster.broker(*id).is_some_and(|broker| {
                broker.is_active() && (*epoch == -1 || *epoch == broker.epoch)
            })
        };
        if !isr.iter().all(is_eligible) {
            return Err(ErrorCode::INELIGIBLE_REPLICA);
        }
        Ok(state)
    }

    /// ElectLeaders for the named partitions or for all.
    ///
    /// # Errors
    /// INVALID_REQUEST for an unknown type; all else is said per partition.
    pub fn elect_leaders(
        &self,
        request: &ElectLeadersRequest,
    ) -> Result<Outcome<ElectLeadersResponse>, ApiError> {
        let election = match request.election_type {
            0 => ElectionType::Preferred,
            1 => ElectionType::Unclean,
            other => {
                let message = format!("Unknown election type {other}");
                return Err(ApiError::new(ErrorCode::INVALID_REQUEST, message));
            }
        };
        let mut records = Vec::new();
        let mut results = Vec::new();
        if let Some(topics) = &request.topic_partitions {
            for topic in topics {
                let name = topic.topic.as_str();
                let elected = topic.partitions.iter().map(|idx| {
                    election_result(*idx, self.elect_leader(name, *idx, election, &mut records))
                });
                let elected = elected.collect();
                results.push(election_results(name, elected));
            }
        } else {
            for topic in self.image.topics.iter() {
                let mut elected = Vec::new();
                for (idx, _) in topic.partitions() {
                    let result = self.elect_leader(&topic.name, idx, election, &mut records);
                    // Who asks about all isn't told about those that need nothing.
                    if !matches!(&result, Err(e) if e.code == ErrorCode::ELECTION_NOT_NEEDED) {
                        elected.push(election_result(idx, result));
                    }
                }
                results.push(election_results(&topic.name, elected));
            }
        }
        let response = ElectLeadersResponse::default().with_replica_election_results(results);
        Ok(Outcome::sequence(records, response))
    }

    fn elect_leader(
        &self,
        topic: &str,
        idx: i32,
        election_type: ElectionType,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), ApiError> {
        let unknown = |message| ApiError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message);
        let image = self.image.topics.by_name(topic);
        let image = image.ok_or_else(|| unknown(format!("No such topic as {topic}")))?;
        let partition = image
            .partition(idx)
            .ok_or_else(|| unknown(format!("No such partition as {topic}-{idx}")))?;
        let (is_needless, election, unavailable) = match election_type {
            ElectionType::Preferred => (
                partition.has_preferred_leader(),
                Election::Preferred,
                ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE,
            ),
            ElectionType::Unclean => (
                partition.has_leader(),
                Election::Unclean,
                ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE,
            ),
        };
        if is_needless {
            return Err(ErrorCode::ELECTION_NOT_NEEDED.into());
        }
        let record = self
            .elect(image, idx, partition, election)
            .ok_or(unavailable)?;
        records.push(record);
        Ok(())
    }

    fn elect(
        &self,
        topic: &TopicImage,
        idx: i32,
        partition: &PartitionRegistration,
        election: Election,
    ) -> Option<MetadataRecord> {
        let is_alive = |id| self.is_active(id);
        let record = self.with_partition_cx(&topic.name, partition, &is_alive, |cx| {
            PartitionChangeBuilder::new(cx, partition, topic.id, idx)
                .election(election)
                .build()
        });
        record.map(Into::into)
    }

    /// Elections that give partitions their preferred leaders back, where these are in sync. The
    /// response says whether there may be more to do at once.
    pub fn balance_leaders(&self) -> Outcome<bool> {
        let imbalanced = self.partitions_where(|partition| !partition.has_preferred_leader());
        let elections =
            imbalanced.filter_map(|(topic, idx, p)| self.elect(topic, idx, p, Election::Preferred));
        let records: Vec<_> = elections.take(MAX_ELECTIONS_PER_IMBALANCE).collect();
        let is_more = records.len() >= MAX_ELECTIONS_PER_IMBALANCE;
        Outcome::sequence(records, is_more)
    }

    /// Elections for partitions without a leader whose topics allow unclean leaders. The response
    /// says whether there may be more to do at once.
    pub fn elect_unclean_leaders(&self) -> Outcome<bool> {
        let leaderless = self.partitions_where(|partition| !partition.has_leader());
        let elections = leaderless
            .filter(|(topic, _, _)| self.is_unclean_election_enabled(&topic.name))
            .filter_map(|(topic, idx, p)| self.elect(topic, idx, p, Election::Unclean));
        let records: Vec<_> = elections.take(MAX_ELECTIONS_PER_IMBALANCE).collect();
        let is_more = records.len() >= MAX_ELECTIONS_PER_IMBALANCE;
        Outcome::sequence(records, is_more)
    }

    /// AlterPartitionReassignments: starts and cancels reassignments.
    ///
    /// # Errors
    /// POLICY_VIOLATION for too many at once; all else is said per partition.
    pub fn alter_partition_reassignments(
        &self,
        request: &AlterPartitionReassignmentsRequest,
    ) -> Result<Outcome<AlterPartitionReassignmentsResponse>, ApiError> {
        let allow_factor_change = request.allow_replication_factor_change;
        let mut records = Vec::new();
        let mut response = AlterPartitionReassignmentsResponse::default()
            .with_allow_replication_factor_change(allow_factor_change)
            .with_error_message(None);
        for topic in &request.topics {
            let name = topic.name.as_str();
            let mut result = ReassignableTopicResponse::default().with_name(topic_name(name));
            for partition in &topic.partitions {
                let reassigned = self.reassign(name, partition, allow_factor_change);
                let (record, error) = match reassigned {
                    Ok(record) => (record, None),
                    Err(error) => (None, Some(error)),
                };
                records.extend(record);
                result.partitions.push(
                    ReassignablePartitionResponse::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(error.as_ref().map_or(0, |error| error.code.0))
                        .with_error_message(error.as_ref().and_then(error_message)),
                );
            }
            response.responses.push(result);
        }
        check_record_count(&records)?;
        Ok(Outcome::atomic(records, response))
    }

    fn reassign(
        &self,
        name: &str,
        target: &ReassignablePartition,
        allow_factor_change: bool,
    ) -> Result<Option<MetadataRecord>, ApiError> {
        let unknown = |message| ApiError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message);
        let topic = self.image.topics.by_name(name);
        let topic =
            topic.ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
        let idx = target.partition_index;
        let partition = topic
            .partition(idx)
            .ok_or_else(|| unknown(format!("Unable to find partition {name}:{idx}.")))?;
        match &target.replicas {
            None => self.cancel_reassignment(topic, idx, partition),
            Some(replicas) => {
                let replicas: Vec<_> = replicas.iter().map(|id| id.0).collect();
                self.check_manual_assignment(&replicas, None)?;
                if !allow_factor_change {
                    check_factor_unchanged(partition, &replicas)?;
                }
                let reassignment = Reassignment::new(&partition.replicas, &replicas);
                let is_alive = |id| self.is_active(id);
                let record = self.with_partition_cx(name, partition, &is_alive, |cx| {
                    PartitionChangeBuilder::new(cx, partition, topic.id, idx)
                        .reassign(reassignment)
                        .build()
                });
                Ok(record.map(Into::into))
            }
        }
    }

    fn cancel_reassignment(
        &self,
        topic: &TopicImage,
        idx: i32,
        partition: &PartitionRegistration,
    ) -> Result<Option<MetadataRecord>, ApiError> {
        if !partition.is_reassigning() {
            return Err(ErrorCode::NO_REASSIGNMENT_IN_PROGRESS.into());
        }
        let name = &topic.name;
        let reverted = Reassignment::revert(partition)?;
        if reverted.is_unclean && !self.is_unclean_election_enabled(name) {
            let message = format!(
                "Unable to revert partition assignment for {name}:{idx} because it would require \
                 an unclean leader election."
            );
            return Err(ApiError::new(
                ErrorCode::INVALID_REPLICA_ASSIGNMENT,
                message,
            ));
        }
        let election = self.online_election(name);
        let is_alive = |id| self.is_active(id);
        let record = self.with_partition_cx(name, partition, &is_alive, |cx| {
            PartitionChangeBuilder::new(cx, partition, topic.id, idx)
                .election(election)
                .isr(reverted.isr)
                .revert(reverted.replicas)
                .build()
        });
        Ok(record.map(Into::into))
    }

    /// ListPartitionReassignments of the named partitions or of all.
    pub fn list_partition_reassignments(
        &self,
        request: &ListPartitionReassignmentsRequest,
    ) -> ListPartitionReassignmentsResponse {
        let ongoing = |topic: &TopicImage, idx: i32| {
            let partition = topic
                .partition(idx)
                .filter(|partition| partition.is_reassigning())?;
            Some(
                OngoingPartitionReassignment::default()
                    .with_partition_index(idx)
                    .with_replicas(ids(&partition.replicas))
                    .with_adding_replicas(ids(&partition.adding_replicas))
                    .with_removing_replicas(ids(&partition.removing_replicas)),
            )
        };
        let of_topic = |topic: &Arc<TopicImage>, partitions: &mut dyn Iterator<Item = i32>| {
            let partitions: Vec<_> = partitions.filter_map(|idx| ongoing(topic, idx)).collect();
            (!partitions.is_empty()).then(|| {
                OngoingTopicReassignment::default()
                    .with_name(topic_name(&topic.name))
                    .with_partitions(partitions)
            })
        };
        let topics = match &request.topics {
            Some(topics) => topics
                .iter()
                .filter_map(|topic| {
                    let image = self.image.topics.by_name(topic.name.as_str())?;
                    of_topic(image, &mut topic.partition_indexes.iter().copied())
                })
                .collect(),
            None => {
                let all = self.image.topics.iter();
                all.filter_map(|topic| of_topic(topic, &mut topic.partitions().map(|(idx, _)| idx)))
                    .collect()
            }
        };
        ListPartitionReassignmentsResponse::default()
            .with_error_message(None)
            .with_topics(topics)
    }

    /// AssignReplicasToDirs: a broker says in which directories its replicas are.
    ///
    /// # Errors
    /// STALE_BROKER_EPOCH, UNSUPPORTED_VERSION; all else is said per partition.
    pub fn assign_replicas_to_dirs(
        &self,
        request: &AssignReplicasToDirsRequest,
    ) -> Result<Outcome<AssignReplicasToDirsResponse>, ApiError> {
        use assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData};
        if self.metadata_version() < DIRECTORY_ASSIGNMENT_SINCE {
            let message = "Directory assignment is not supported yet.";
            return Err(ApiError::new(ErrorCode::UNSUPPORTED_VERSION, message));
        }
        let broker_id = request.broker_id.0;
        self.check_broker_epoch(broker_id, request.broker_epoch)?;
        let mut records = Vec::new();
        let mut offline = Vec::new();
        let mut response = AssignReplicasToDirsResponse::default();
        for directory in &request.directories {
            let mut directory_result = DirectoryData::default().with_id(directory.id);
            let is_online = self
                .image
                .cluster
                .broker(broker_id)
                .is_some_and(|broker| broker.has_online_directory(directory.id));
            for topic in &directory.topics {
                let mut topic_result = TopicData::default().with_topic_id(topic.topic_id);
                for partition in &topic.partitions {
                    let idx = partition.partition_index;
                    let assigned =
                        self.assign_replica(broker_id, directory.id, topic.topic_id, idx);
                    let code = match assigned {
                        Err(code) => code,
                        Ok(record) => {
                            records.extend(record);
                            if !is_online {
                                offline.push((topic.topic_id, idx));
                            }
                            ErrorCode::NONE
                        }
                    };
                    topic_result.partitions.push(
                        PartitionData::default()
                            .with_partition_index(idx)
                            .with_error_code(code.0),
                    );
                }
                directory_result.topics.push(topic_result);
            }
            response.directories.push(directory_result);
        }
        for (topic_id, idx) in offline {
            self.take_replica_offline(broker_id, topic_id, idx, &mut records);
        }
        Ok(Outcome::sequence(records, response))
    }

    fn assign_replica(
        &self,
        broker_id: i32,
        directory: Uuid,
        topic_id: Uuid,
        idx: i32,
    ) -> Result<Option<MetadataRecord>, ErrorCode> {
        let topic = self
            .image
            .topics
            .by_id(topic_id)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_ID)?;
        let partition = topic
            .partition(idx)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        if !partition.replicas.contains(&broker_id) {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        let is_alive = |id| self.is_active(id);
        let record = self.with_partition_cx(&topic.name, partition, &is_alive, |cx| {
            PartitionChangeBuilder::new(cx, partition, topic_id, idx)
                .directory(broker_id, directory)
                .build()
        });
        Ok(record.map(Into::into))
    }

    fn take_replica_offline(
        &self,
        broker_id: i32,
        topic_id: Uuid,
        idx: i32,
        records: &mut Vec<MetadataRecord>,
    ) {
        let Some(topic) = self.image.topics.by_id(topic_id) else {
            return;
        };
        let Some(partition) = topic.partition(idx) else {
            return;
        };
        let is_alive = |id| id != broker_id && self.is_active(id);
        let isr = partition
            .isr
            .iter()
            .copied()
            .filter(|id| *id != broker_id)
            .collect();
        let election = self.online_election(&topic.name);
        let record = self.with_partition_cx(&topic.name, partition, &is_alive, |cx| {
            PartitionChangeBuilder::new(cx, partition, topic_id, idx)
                .election(election)
                .isr(isr)
                .build()
        });
        records.extend(record.map(MetadataRecord::from));
    }
}

fn check_factor_unchanged(
    partition: &PartitionRegistration,
    target: &[i32],
) -> Result<(), ApiError> {
    let is_staying = |id: &&i32| !partition.removing_replicas.contains(id);
    let present = partition.replicas.iter().filter(is_staying).count();
    if present == target.len() {
        return Ok(());
    }
    let message = format!(
        "The replication factor is changed from {present} to {}",
        target.len()
    );
    Err(ApiError::new(
        ErrorCode::INVALID_REPLICATION_FACTOR,
        message,
    ))
}

fn election_result(idx: i32, result: Result<(), ApiError>) -> PartitionResult {
    let error = result.err();
    PartitionResult::default()
        .with_partition_id(idx)
        .with_error_code(error.as_ref().map_or(0, |error| error.code.0))
        .with_error_message(error.as_ref().and_then(error_message))
}

fn election_results(topic: &str, partitions: Vec<PartitionResult>) -> ReplicaElectionResult {
    ReplicaElectionResult::default()
        .with_topic(topic_name(topic))
        .with_partition_result(partitions)
}
