//! The active controller, over Raft's leader.

use std::cell::RefCell;
use std::sync::Arc;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionRequest, AlterPartitionResponse, BrokerId,
    CreateTopicsRequest, ElectLeadersRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::schema::metadata::FeatureLevelRecord;

use super::{Answer, Ask, Cluster, Message, TOPIC};
use crate::controller::config::ControllerConfig;
use crate::controller::heartbeat::Heartbeats;
use crate::controller::random::Random;
use crate::controller::state::{Cx, Outcome, QuorumController};
use crate::controller::testing::{CLUSTER_ID, TestValidator};
use crate::metadata::features::{ELR_VERSION, METADATA_VERSION};
use crate::raft::machine::Input;
use crate::raft::simulation::invariants::{Check, Invariants};
use crate::raft::simulation::node::Payload;
use crate::replica::partition::state::isr::AlteredIsr;

const SESSION_TIMEOUT_MS: i64 = 4_000;
const TIMER_MS: i64 = 250;

pub(super) struct Controller {
    pub(super) epoch: i32,
    state: QuorumController,
    heartbeats: Heartbeats,
    random: RefCell<Random>,
    /// Answers that wait for everything below an offset (exclusive) to be committed.
    waiting: Vec<(i64, usize, Message)>,
    end_offset: i64,
    pub(super) next_timer_ms: i64,
}

type Decision<T> = Result<Outcome<T>, ApiError>;

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

impl Cluster {
    /// Becomes active once all of the log is committed and applied; answers what is committed.
    pub(super) fn controller_follows(&mut self, idx: usize) -> Check {
        let node = &self.world.nodes[idx];
        let Some(epoch) = node.leading else {
            self.controllers.remove(&idx);
            return Ok(());
        };
        let applied = &self.applied[idx];
        let high_watermark = applied.end_offset;
        if let Some(controller) = self.controllers.get_mut(&idx) {
            let is_done = |waiting: &mut (i64, usize, Message)| waiting.0 <= high_watermark;
            let done: Vec<_> = controller.waiting.extract_if(.., is_done).collect();
            for (_, to, message) in done {
                self.send(idx, to, message);
            }
            return Ok(());
        }
        let last_epoch = node.disk.batches.last().map_or(0, |batch| batch.info.epoch);
        if high_watermark < node.disk.end_offset() || last_epoch != epoch {
            return Ok(());
        }
        let config = ControllerConfig {
            node_id: super::id(idx),
            cluster_id: CLUSTER_ID.into(),
            broker_session_timeout_ms: SESSION_TIMEOUT_MS,
            ..ControllerConfig::default()
        };
        let image = Arc::clone(&applied.image);
        let now_ms = self.world.now_ms;
        let is_new_cluster = image.features.metadata_version == 0;
        let heartbeats = Heartbeats::new(&image, super::id(idx), SESSION_TIMEOUT_MS, now_ms);
        let controller = Controller {
            epoch,
            heartbeats,
            state: QuorumController::new(config.into(), Arc::new(TestValidator), image),
            random: RefCell::new(Random::new(u128::from(self.rng.next()))),
            waiting: Vec::new(),
            end_offset: high_watermark,
            next_timer_ms: now_ms + TIMER_MS,
        };
        self.controllers.insert(idx, controller);
        if is_new_cluster {
            let level = |name: &str, feature_level| FeatureLevelRecord {
                name: name.into(),
                feature_level,
            };
            let mut records = vec![level(METADATA_VERSION, 30).into()];
            if self.plan.is_elr_enabled {
                records.push(level(ELR_VERSION, 1).into());
            }
            let first = Outcome::atomic(records, ());
            self.decide(idx, |_, _, _| Ok(first), |_| None)?;
        }
        Ok(())
    }

    /// Lets the controller decide; what it answers is sent when it is committed.
    fn decide<T>(
        &mut self,
        idx: usize,
        decide: impl FnOnce(&QuorumController, &Cx<'_>, &mut Heartbeats) -> Decision<T>,
        answer: impl FnOnce(Result<T, ErrorCode>) -> Option<(usize, Message)>,
    ) -> Check {
        let now_ms = self.world.now_ms;
        let Some(controller) = self.controllers.get_mut(&idx) else {
            if let Some((to, message)) = answer(Err(ErrorCode::NOT_CONTROLLER)) {
                self.send(idx, to, message);
            }
            return Ok(());
        };
        let base_offset = controller.end_offset;
        let cx = Cx {
            now_ms,
            next_offset: base_offset,
            random: &controller.random,
            is_forwarded: true,
            kraft_version: 1,
        };
        let (records, answer) = match decide(&controller.state, &cx, &mut controller.heartbeats) {
            Err(error) => (Vec::new(), answer(Err(error.code))),
            Ok(outcome) => (outcome.records, answer(Ok(outcome.response))),
        };
        let is_write = !records.is_empty();
        if is_write {
            let prepared = controller
                .state
                .prepare(base_offset, &records)
                .map_err(|error| format!("the controller contradicts itself: {error}"))?;
            controller
                .state
                .install(prepared, &mut controller.heartbeats);
            controller.end_offset += i64::try_from(records.len()).unwrap();
        }
        let end_offset = controller.end_offset;
        if let Some((to, message)) = answer {
            controller.waiting.push((end_offset, to, message));
        }
        if is_write {
            let value = self.number();
            self.world.nodes[idx].enqueue_records(value, records.into());
            self.world.step(idx, Input::Tick, &Payload::default())?;
            let node = &self.world.nodes[idx];
            assert!(node.leading.is_none() || node.disk.end_offset() == end_offset);
        }
        self.controller_follows(idx)
    }

    pub(super) fn controller_asked(
        &mut self,
        idx: usize,
        from: usize,
        number: u64,
        ask: Ask,
    ) -> Check {
        let reply = move |answer| Some((from, Message::Answer(number, answer)));
        match ask {
            Ask::Register(request) => self.decide(
                idx,
                |controller, cx, heartbeats| controller.register_broker(cx, heartbeats, &request),
                |result| {
                    let epoch = result.map(|response| response.broker_epoch);
                    reply(Answer::Registered(epoch))
                },
            ),
            Ask::Heartbeat(request) => self.decide(
                idx,
                |controller, cx, heartbeats| controller.broker_heartbeat(cx, heartbeats, &request),
                |result| reply(Answer::Heartbeat(result)),
            ),
            Ask::Alter(request) => {
                let is_of_this_life = self.is_of_this_life(idx, &request);
                let mut is_taken = false;
                self.decide(
                    idx,
                    |controller, _, _| controller.alter_partition(&request),
                    |result| {
                        let altered = result.and_then(|response| altered(&response));
                        is_taken = altered.is_ok();
                        reply(Answer::Altered(altered))
                    },
                )?;
                Invariants::holds(
                    is_of_this_life || !is_taken,
                    "an ISR is proposed by the living, of the living",
                    || format!("{request:?}"),
                )
            }
        }
    }

    /// Whether a leader, and all whom it proposes, are the brokers that are registered now.
    fn is_of_this_life(&self, idx: usize, request: &AlterPartitionRequest) -> bool {
        let Some(controller) = self.controllers.get(&idx) else {
            return false;
        };
        let cluster = &controller.state.image().cluster;
        let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
        let members = partitions.flat_map(|partition| &partition.new_isr_with_epochs);
        let mut epochs = members.map(|member| (member.broker_id, member.broker_epoch));
        cluster.broker_epoch(request.broker_id.0) == request.broker_epoch
            && epochs.all(|(id, epoch)| epoch == -1 || cluster.broker_epoch(id.0) == epoch)
    }

    pub(super) fn controller_timer(&mut self, idx: usize) -> Check {
        let Some(controller) = self.controllers.get_mut(&idx) else {
            return Ok(());
        };
        controller.next_timer_ms = self.world.now_ms + TIMER_MS;
        let image = controller.state.image();
        let alive = image.cluster.alive_brokers().count();
        let has_topic = image.topics.by_name(TOPIC).is_some();
        self.decide(
            idx,
            |controller, cx, heartbeats| {
                let fenced = controller.fence_stale_broker(cx, heartbeats);
                fenced.ok_or_else(|| ApiError::from(ErrorCode::NONE))
            },
            |_| None,
        )?;
        if !has_topic && alive >= usize::try_from(self.plan.replication_factor).unwrap() {
            self.create_topic(idx)?;
        }
        if self.rng.percent(5) {
            self.decide(
                idx,
                |controller, _, _| Ok(controller.balance_leaders()),
                |_| None,
            )?;
        }
        if self.plan.is_unclean_configured && self.rng.percent(10) {
            self.decide(
                idx,
                |controller, _, _| Ok(controller.elect_unclean_leaders()),
                |_| None,
            )?;
        }
        Ok(())
    }

    fn create_topic(&mut self, idx: usize) -> Check {
        let config = |name, value: String| {
            CreatableTopicConfig::default()
                .with_name(text(name))
                .with_value(Some(StrBytes::from_string(value)))
        };
        let is_unclean = self.plan.is_unclean_configured;
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(TOPIC)))
            .with_num_partitions(self.plan.partitions)
            .with_replication_factor(self.plan.replication_factor)
            .with_configs(vec![
                config("min.insync.replicas", self.plan.min_isr.to_string()),
                config("unclean.leader.election.enable", is_unclean.to_string()),
            ]);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        self.decide(
            idx,
            |controller, cx, _| controller.create_topics(cx, &request),
            |_| None,
        )
    }

    /// An administrator asks every controller that believes to be active.
    fn administer<T>(&mut self, decide: impl Fn(&QuorumController) -> Decision<T>) -> Check {
        let active: Vec<usize> = self.controllers.keys().copied().collect();
        for idx in active {
            if !self.is_paused(idx) {
                self.decide(idx, |controller, _, _| decide(controller), |_| None)?;
            }
        }
        Ok(())
    }

    fn any_partition(&mut self) -> i32 {
        let partitions = usize::try_from(self.plan.partitions).unwrap();
        i32::try_from(self.rng.below(partitions)).unwrap()
    }

    fn reassign(&mut self, replicas: Option<Vec<i32>>) -> Check {
        let ids = |ids: Vec<i32>| ids.into_iter().map(BrokerId).collect();
        let partition = ReassignablePartition::default()
            .with_partition_index(self.any_partition())
            .with_replicas(replicas.map(ids));
        let topic = ReassignableTopic::default()
            .with_name(TopicName(text(TOPIC)))
            .with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default()
            .with_allow_replication_factor_change(true)
            .with_topics(vec![topic]);
        self.administer(|controller| controller.alter_partition_reassignments(&request))
    }

    /// Moves a partition to other brokers, or only changes their order or number.
    pub(super) fn move_replicas(&mut self) -> Check {
        let mut ids: Vec<i32> = self.brokers.values().map(|broker| broker.id).collect();
        for place in (1..ids.len()).rev() {
            let other = self.rng.below(place + 1);
            ids.swap(place, other);
        }
        let same = usize::try_from(self.plan.replication_factor).unwrap();
        let count = if self.rng.percent(70) {
            same
        } else {
            self.plan.min_isr + self.rng.below(ids.len() + 1 - self.plan.min_isr)
        };
        ids.truncate(count);
        self.reassign(Some(ids))
    }

    pub(super) fn cancel_moves(&mut self) -> Check {
        self.reassign(None)
    }

    /// Elects the preferred leader, or anybody where that is allowed.
    pub(super) fn elect_by_hand(&mut self) -> Check {
        let is_unclean = self.plan.is_unclean_allowed && self.rng.percent(50);
        let topic = TopicPartitions::default()
            .with_topic(TopicName(text(TOPIC)))
            .with_partitions(vec![self.any_partition()]);
        let request = ElectLeadersRequest::default()
            .with_election_type(i8::from(is_unclean))
            .with_topic_partitions(Some(vec![topic]));
        self.administer(|controller| controller.elect_leaders(&request))
    }
}

fn altered(response: &AlterPartitionResponse) -> Result<AlteredIsr, ErrorCode> {
    let partition = &response.topics[0].partitions[0];
    match ErrorCode(partition.error_code) {
        ErrorCode::NONE => Ok(AlteredIsr {
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            isr: partition.isr.iter().map(|id| id.0).collect(),
        }),
        error => Err(error),
    }
}
