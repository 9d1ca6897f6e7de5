//! A broker's replica of a partition: appends and the in-sync replicas while it leads.

use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::{AlterPartitionRequest, BrokerId};
use kafka_shared::error::ErrorCode;

use super::broker::{LAG_MAX_MS, active_epoch};
use super::log::Log;
use super::{Ask, Cluster, Outstanding, TOPIC};
use crate::raft::simulation::invariants::{Check, Invariants};
use crate::replica::partition::state::isr::{AlteredIsr, IsrOutcome, IsrProposal};
use crate::replica::partition::state::{Change, PartitionState, Registration};

const RETRY_MS: i64 = 50;

/// A client that waits for all in-sync replicas.
#[derive(Debug)]
struct Promise {
    required_offset: i64,
    leading_since_epoch: i32,
    epoch: i32,
    value: u64,
}

#[derive(Debug)]
pub(super) struct Replica {
    pub(super) state: PartitionState,
    promises: Vec<Promise>,
    alter: Option<(Outstanding, IsrProposal)>,
}

impl Replica {
    pub(super) fn new(id: i32) -> Self {
        Self {
            state: PartitionState::new(id),
            promises: Vec::new(),
            alter: None,
        }
    }

    pub(super) fn next_ms(&self) -> Option<i64> {
        self.alter
            .as_ref()
            .map(|(outstanding, _)| outstanding.until_ms)
    }

    pub(super) fn apply(&mut self, new: &Registration, log: &mut Log, now_ms: i64) -> Change {
        let change = self.state.apply(new, log.end_offset(), now_ms);
        if let Change::Leader {
            epoch_start: Some((epoch, offset)),
            ..
        } = change
        {
            log.start_epoch(epoch, offset);
        }
        if !self.state.is_isr_pending() {
            self.alter = None;
        }
        change
    }
}

impl Cluster {
    /// Raises the leader's high watermark and answers who waits for it.
    pub(super) fn advance(&mut self, at: usize, partition: i32) -> Check {
        let (now_ms, min_isr) = (self.world.now_ms, self.plan.min_isr);
        let broker = self.broker(at);
        let Some(image) = broker.process.as_ref().map(|process| process.image.clone()) else {
            return Ok(());
        };
        let Some((replica, log)) = broker.hosted(partition) else {
            return Ok(());
        };
        let active = |id| active_epoch(&image, id);
        let end = log.end_offset();
        let committed = replica
            .state
            .committed_offset(end, min_isr, now_ms, LAG_MAX_MS, active);
        let old = committed.and_then(|offset| log.raise_high_watermark(offset));
        let (epoch, high_watermark) = (replica.state.leader_epoch(), log.high_watermark());
        let is_leader = replica.state.is_leader();
        let mut acknowledged = Vec::new();
        let state = &replica.state;
        replica.promises.retain(|promise| {
            let outcome = state.acks_all_outcome(
                promise.required_offset,
                promise.leading_since_epoch,
                high_watermark,
                min_isr,
            );
            if outcome == Some(ErrorCode::NONE) {
                acknowledged.push((promise.epoch, promise.required_offset - 1, promise.value));
            }
            outcome.is_none()
        });
        if let (Some(old), true) = (old, is_leader) {
            self.committed(at, partition, epoch, (old, high_watermark))?;
        }
        for (epoch, offset, value) in acknowledged {
            self.facts.acknowledge(partition, epoch, offset, value)?;
        }
        Ok(())
    }

    /// What a leader commits is on every replica that the controller has for in sync.
    fn committed(&mut self, at: usize, partition: i32, epoch: i32, range: (i64, i64)) -> Check {
        let id = super::id(at);
        let log = self.brokers[&at].log(partition).expect("it is hosted");
        self.facts.committed(id, partition, epoch, log, range)?;
        let Some(registration) = self.facts.registration(partition) else {
            return Ok(());
        };
        let is_current = registration.leader == id && registration.leader_epoch == epoch;
        if !is_current || self.plan.power_loss_percent > 0 {
            return Ok(());
        }
        let chain = log.chain_before(range.1);
        for member in registration.isr.iter() {
            let has = self.log_of(*member, partition).is_some_and(|log| {
                log.start_offset() > range.1 || log.chain_before(range.1) == chain
            });
            Invariants::holds(has, "what is committed is on all in-sync replicas", || {
                format!(
                    "{id} commits {range:?} of {partition}, which {member} lacks: {registration:?}"
                )
            })?;
        }
        Ok(())
    }

    /// A client writes to whoever believes to lead the partition, or to any partition as it likes.
    pub(super) fn produce(&mut self, partition: Option<i32>) -> Check {
        let any = i32::try_from(self.rng.below(2)).unwrap() % self.plan.partitions;
        let wants_all = partition.is_some() || self.rng.percent(self.plan.acks_all_percent);
        let partition = partition.unwrap_or(any);
        let nodes: Vec<usize> = self.brokers.keys().copied().collect();
        for at in nodes {
            if !self.is_paused(at) {
                self.produce_to(at, partition, wants_all)?;
            }
        }
        Ok(())
    }

    fn produce_to(&mut self, at: usize, partition: i32, wants_all: bool) -> Check {
        let (min_isr, value) = (self.plan.min_isr, self.number());
        let broker = self.broker(at);
        let id = broker.id;
        let Some((replica, log)) = broker.hosted(partition) else {
            return Ok(());
        };
        let state = &replica.state;
        if !state.is_leader() || wants_all && state.is_under_min_isr(min_isr) {
            return Ok(());
        }
        let epoch = state.leader_epoch();
        let offset = log.end_offset();
        let entry = log.append(epoch, value);
        if wants_all {
            replica.promises.push(Promise {
                required_offset: offset + 1,
                leading_since_epoch: state.leading_since_epoch(),
                epoch,
                value,
            });
        }
        self.facts.appended(id, partition, offset, entry)?;
        self.advance(at, partition)
    }

    /// Old records of a leader's log are deleted.
    pub(super) fn delete_old(&mut self, at: usize) {
        for partition in 0..self.plan.partitions {
            let keep = self.rng.between(0, 20);
            let Some(broker) = self.brokers.get_mut(&at) else {
                return;
            };
            if let Some((_, log)) = broker.hosted(partition) {
                let start = log.high_watermark() - keep;
                log.raise_start(start);
            }
        }
    }

    /// Puts out who lags.
    pub(super) fn shrink_isrs(&mut self, at: usize) -> Check {
        let now_ms = self.world.now_ms;
        for partition in 0..self.plan.partitions {
            let broker = self.broker(at);
            let epoch = broker.process.as_ref().map_or(-1, |process| process.epoch);
            let Some((replica, log)) = broker.hosted(partition) else {
                continue;
            };
            let shrink = replica
                .state
                .shrink_isr(log.end_offset(), now_ms, LAG_MAX_MS, epoch);
            if let Some(proposal) = shrink {
                self.alter(at, partition, proposal);
            }
            self.advance(at, partition)?;
        }
        Ok(())
    }

    /// Sends again what was not answered.
    pub(super) fn ask_again(&mut self, at: usize) {
        let now_ms = self.world.now_ms;
        for partition in 0..self.plan.partitions {
            let Some((replica, _)) = self.broker(at).hosted(partition) else {
                continue;
            };
            let unanswered = match &replica.alter {
                Some((outstanding, proposal)) if outstanding.until_ms <= now_ms => proposal.clone(),
                _ => continue,
            };
            self.alter(at, partition, unanswered);
        }
    }

    pub(super) fn alter(&mut self, at: usize, partition: i32, proposal: IsrProposal) {
        let unsent = Outstanding {
            number: 0,
            until_ms: self.world.now_ms + RETRY_MS,
        };
        self.trace(at, || format!("proposes {proposal:?} for {partition}"));
        let request = self.alteration(at, partition, &proposal);
        let asked = request.and_then(|request| self.ask_controller(at, Ask::Alter(request)));
        if let Some((replica, _)) = self.broker(at).hosted(partition) {
            replica.alter = Some((asked.unwrap_or(unsent), proposal));
        }
    }

    fn alteration(
        &mut self,
        at: usize,
        partition: i32,
        proposal: &IsrProposal,
    ) -> Option<AlterPartitionRequest> {
        let broker = self.broker(at);
        let process = broker.process.as_ref()?;
        let topic_id = process.image.topics.id_of(TOPIC)?;
        let member = |(id, epoch): &(i32, i64)| {
            BrokerState::default()
                .with_broker_id(BrokerId(*id))
                .with_broker_epoch(*epoch)
        };
        let data = PartitionData::default()
            .with_partition_index(partition)
            .with_leader_epoch(proposal.leader_epoch)
            .with_partition_epoch(proposal.partition_epoch)
            .with_new_isr_with_epochs(proposal.isr.iter().map(member).collect());
        let topic = TopicData::default()
            .with_topic_id(topic_id)
            .with_partitions(vec![data]);
        let request = AlterPartitionRequest::default()
            .with_broker_id(BrokerId(broker.id))
            .with_broker_epoch(process.epoch)
            .with_topics(vec![topic]);
        Some(request)
    }

    pub(super) fn isr_answered(
        &mut self,
        at: usize,
        number: u64,
        result: Result<AlteredIsr, ErrorCode>,
    ) -> Check {
        let until_ms = self.world.now_ms + RETRY_MS;
        for partition in 0..self.plan.partitions {
            let Some((replica, _)) = self.broker(at).hosted(partition) else {
                continue;
            };
            let awaited = replica.alter.take_if(|(asked, _)| asked.number == number);
            let Some((_, proposal)) = awaited else {
                continue;
            };
            match replica.state.on_isr_answer(proposal.number, result.clone()) {
                IsrOutcome::Retry(proposal) => {
                    let again = Outstanding {
                        number: 0,
                        until_ms,
                    };
                    replica.alter = Some((again, proposal));
                }
                IsrOutcome::Committed | IsrOutcome::Reset => self.advance(at, partition)?,
                IsrOutcome::Ignored | IsrOutcome::AwaitsMetadata => {}
            }
            return Ok(());
        }
        Ok(())
    }
}
