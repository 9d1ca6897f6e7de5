//! A broker: its disk, which outlives the process, its standing with the controller, and how it
//! follows the metadata.
//!
//! A process registers with the epoch that the last clean shutdown left behind, opens its logs once
//! it has caught up (which is the end of that mark), follows the metadata from then on, and wants to
//! be unfenced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::messages::broker_registration_request::Feature;
use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerId, BrokerRegistrationRequest};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::types::Uuid;
use parking_lot::Mutex;

use super::fetcher::Fetcher;
use super::log::Log;
use super::replica::Replica;
use super::{Answer, Ask, Cluster, Message, Outstanding, TOPIC, idx};
use crate::controller::testing::CLUSTER_ID;
use crate::metadata::MetadataImage;
use crate::metadata::delta::MetadataDelta;
use crate::metadata::features::SUPPORTED;
use crate::raft::simulation::invariants::Check;
use crate::replica::fetch_session::FetchSessionCache;
use crate::replica::partition::state::{Change, Registration};
use crate::server::lifecycle::state::{BrokerState, Machine, Next};

const HEARTBEAT_MS: i64 = 500;
pub(super) const TIMEOUT_MS: i64 = 1_000;
pub(super) const LAG_MAX_MS: i64 = 1_500;
const CHECKPOINT_MS: i64 = 1_300;
/// How long a broker asks for leave.
const LEAVE_MS: i64 = 6_000;

/// What is left when the process is gone.
#[derive(Debug, Default)]
struct Disk {
    logs: BTreeMap<i32, Log>,
    /// The epoch that a clean shutdown has left behind.
    clean_epoch: Option<i64>,
}

/// What is gone with the process.
pub(super) struct Process {
    incarnation_id: Uuid,
    previous_epoch: i64,
    machine: Machine,
    pub(super) epoch: i64,
    pub(super) image: Arc<MetadataImage>,
    applied_offset: i64,
    is_loaded: bool,
    pub(super) replicas: BTreeMap<i32, Replica>,
    pub(super) fetchers: BTreeMap<i32, Fetcher>,
    pub(super) sessions: Mutex<FetchSessionCache>,
    ask: Option<Outstanding>,
    ready_at_ms: Option<i64>,
    next_check_ms: i64,
    next_checkpoint_ms: i64,
    leave_by_ms: Option<i64>,
}

pub(super) struct Broker {
    pub(super) id: i32,
    disk: Disk,
    pub(super) process: Option<Process>,
}

/// A replica with its log.
pub(super) type Hosted<'a> = (&'a mut Replica, &'a mut Log);

impl Process {
    fn next_ms(&self) -> i64 {
        let fetchers = self.fetchers.values().map(|fetcher| fetcher.next_ms);
        let replicas = self.replicas.values().filter_map(Replica::next_ms);
        let answer_ms = self.ask.as_ref().map(|ask| ask.until_ms);
        fetchers
            .chain(replicas)
            .chain(answer_ms)
            .chain(self.machine.deadline_ms())
            .chain(self.ready_at_ms)
            .chain(self.leave_by_ms)
            .chain([self.next_check_ms, self.next_checkpoint_ms])
            .min()
            .unwrap_or(i64::MAX)
    }

    /// The epoch of a broker's registration, while the controller would take it into an ISR.
    pub(super) fn active_epoch(&self, id: i32) -> Option<i64> {
        active_epoch(&self.image, id)
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leave_by_ms.is_some()
    }
}

pub(super) fn active_epoch(image: &MetadataImage, id: i32) -> Option<i64> {
    let broker = image.cluster.broker(id)?;
    broker.is_active().then_some(broker.epoch)
}

impl Broker {
    pub(super) fn new(id: i32) -> Self {
        Self {
            id,
            disk: Disk::default(),
            process: None,
        }
    }

    pub(super) fn next_ms(&self) -> i64 {
        self.process.as_ref().map_or(i64::MAX, Process::next_ms)
    }

    pub(super) fn log(&self, partition: i32) -> Option<&Log> {
        self.disk.logs.get(&partition)
    }

    pub(super) fn hosted(&mut self, partition: i32) -> Option<Hosted<'_>> {
        let replica = self.process.as_mut()?.replicas.get_mut(&partition)?;
        Some((replica, self.disk.logs.get_mut(&partition)?))
    }

    pub(super) fn describe(&self) -> String {
        let logs = self.disk.logs.iter().map(|(partition, log)| {
            let position = log.position();
            let state = self.process.as_ref().and_then(|process| {
                let replica = process.replicas.get(partition)?;
                Some(format!("{:?}", replica.state))
            });
            format!("{partition}: {position:?} {state:?}")
        });
        let logs: Vec<_> = logs.collect();
        let state = self.process.as_ref().map(|p| (p.machine.state(), p.epoch));
        format!("{} {state:?} {logs:?}", self.id)
    }

    fn registration(&self, process: &Process) -> BrokerRegistrationRequest {
        let feature = |feature: &crate::metadata::features::Feature| {
            Feature::default()
                .with_name(StrBytes::from_static_str(feature.name))
                .with_min_supported_version(feature.supported.min)
                .with_max_supported_version(feature.supported.max)
        };
        let directory = Uuid::from_u128(5_000 + u128::from(self.id.unsigned_abs()));
        BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(self.id))
            .with_cluster_id(StrBytes::from_static_str(CLUSTER_ID))
            .with_incarnation_id(process.incarnation_id)
            .with_features(SUPPORTED.iter().map(feature).collect())
            .with_log_dirs(vec![directory])
            .with_previous_broker_epoch(process.previous_epoch)
    }
}

impl Cluster {
    pub(super) fn broker(&mut self, at: usize) -> &mut Broker {
        self.brokers.get_mut(&at).expect("the node is a broker")
    }

    pub(super) fn log_of(&self, id: i32, partition: i32) -> Option<&Log> {
        self.brokers.get(&idx(id))?.log(partition)
    }

    /// The process is gone, or the power.
    pub(super) fn broker_crashed(&mut self, at: usize) {
        let percent = self.plan.power_loss_percent;
        let Some(broker) = self.brokers.get_mut(&at) else {
            return;
        };
        if broker.process.take().is_none() {
            return;
        }
        if !self.rng.percent(percent) {
            self.trace(at, || "is killed".into());
            return;
        }
        self.counts.power_losses += 1;
        let broker = self.brokers.get_mut(&at).expect("it was there");
        let id = broker.id;
        for (partition, log) in &mut broker.disk.logs {
            if log.lose_power(&mut self.rng) {
                self.facts.lost_power(id, *partition);
            }
        }
        self.trace(at, || {
            let logs = self.brokers[&at].disk.logs.iter();
            let ends: Vec<_> = logs.map(|(p, log)| (*p, log.end_offset())).collect();
            format!("loses power; what is left ends at {ends:?}")
        });
    }

    pub(super) fn broker_starts(&mut self, at: usize, incarnation: u64) {
        let now_ms = self.world.now_ms;
        let Some(broker) = self.brokers.get_mut(&at) else {
            return;
        };
        let incarnation_id = 1_000_000 * u128::from(broker.id.unsigned_abs());
        broker.process = Some(Process {
            incarnation_id: Uuid::from_u128(incarnation_id + u128::from(incarnation)),
            previous_epoch: broker.disk.clean_epoch.unwrap_or(-1),
            machine: Machine::new(HEARTBEAT_MS, now_ms),
            epoch: -1,
            image: Arc::default(),
            applied_offset: -1,
            is_loaded: false,
            replicas: BTreeMap::new(),
            fetchers: BTreeMap::new(),
            sessions: Mutex::new(FetchSessionCache::new(100)),
            ask: None,
            ready_at_ms: None,
            next_check_ms: now_ms + LAG_MAX_MS / 2,
            next_checkpoint_ms: now_ms + CHECKPOINT_MS,
            leave_by_ms: None,
        });
        self.trace(at, || "starts".into());
    }

    /// Somebody stops the broker in order.
    pub(super) fn broker_leaves(&mut self, at: usize) {
        let now_ms = self.world.now_ms;
        let Some(broker) = self.brokers.get_mut(&at) else {
            return;
        };
        if let Some(process) = &mut broker.process
            && process.machine.state() == BrokerState::Running
        {
            process.leave_by_ms = Some(now_ms + LEAVE_MS);
            process.machine.begin_controlled_shutdown(now_ms);
            self.trace(at, || "wants to leave".into());
        }
    }

    /// The broker's process ends in order.
    fn broker_stops(&mut self, at: usize) {
        let broker = self.broker(at);
        let Some(process) = broker.process.take() else {
            return;
        };
        if process.is_loaded {
            broker.disk.logs.values_mut().for_each(Log::close);
            broker.disk.clean_epoch = Some(process.epoch);
        }
        self.counts.clean_stops += 1;
        self.trace(at, || "has stopped".into());
        self.world.crash_node(at);
    }

    pub(super) fn broker_applies(
        &mut self,
        at: usize,
        delta: &MetadataDelta,
        image: Arc<MetadataImage>,
    ) -> Check {
        let Some(process) = &mut self.broker(at).process else {
            return Ok(());
        };
        process.applied_offset = image.offset();
        process.image = image;
        if process.is_loaded {
            self.publish(at, delta)?;
        }
        Ok(())
    }

    /// Opens the logs, and begins to follow the metadata.
    fn broker_loads(&mut self, at: usize) -> Check {
        let ready_at_ms = self.world.now_ms + self.rng.between(0, 300);
        let broker = self.broker(at);
        broker.disk.clean_epoch = None;
        broker.disk.logs.values_mut().for_each(Log::open);
        let Some(process) = &mut broker.process else {
            return Ok(());
        };
        process.is_loaded = true;
        process.ready_at_ms = Some(ready_at_ms);
        let image = Arc::clone(&process.image);
        let id = broker.id;
        let is_stray = |partition: i32| {
            let registration = image.topics.partition(TOPIC, partition);
            registration.is_none_or(|registration| !registration.replicas.contains(&id))
        };
        broker
            .disk
            .logs
            .retain(|partition, _| !is_stray(*partition));
        let delta = MetadataDelta::between(&Arc::default(), &image);
        self.publish(at, &delta)
    }

    /// As the replica manager follows the metadata.
    fn publish(&mut self, at: usize, delta: &MetadataDelta) -> Check {
        let id = self.broker(at).id;
        if let Some(changes) = delta.local_changes(id) {
            for deleted in changes.deletes.keys() {
                let partition = deleted.partition;
                self.unfollow(at, partition);
                let broker = self.broker(at);
                broker.disk.logs.remove(&partition);
                if let Some(process) = &mut broker.process {
                    process.replicas.remove(&partition);
                }
                self.trace(at, || format!("drops its replica of {partition}"));
            }
            for leading in changes.leaders.keys() {
                self.unfollow(at, leading.partition);
            }
            let changed = changes.leaders.iter().chain(&changes.followers);
            for (partition, replica) in changed {
                let registration = Registration::from(&*replica.partition);
                self.replica_changes(at, partition.partition, &registration)?;
            }
        }
        self.follow_brokers(at, &delta.changed_brokers().collect());
        Ok(())
    }

    fn replica_changes(&mut self, at: usize, partition: i32, new: &Registration) -> Check {
        let now_ms = self.world.now_ms;
        let broker = self.broker(at);
        let id = broker.id;
        let Some(process) = &mut broker.process else {
            return Ok(());
        };
        let log = broker.disk.logs.entry(partition).or_default();
        let replica = process
            .replicas
            .entry(partition)
            .or_insert_with(|| Replica::new(id));
        let change = replica.apply(new, log, now_ms);
        let is_leaving = process.is_leaving();
        let is_known = new
            .leader
            .is_some_and(|id| process.image.cluster.broker(id).is_some());
        match change {
            Change::Leader {
                epoch_start: Some((epoch, _)),
                ..
            } => {
                let log = &self.brokers[&at].disk.logs[&partition];
                self.facts.leads(id, partition, epoch, log)?;
                self.trace(at, || format!("leads {partition}: {new:?}"));
            }
            Change::Follower { is_new_epoch, .. } => {
                let is_in_sync = new.leader.is_some() && new.isr.contains(&id);
                if is_leaving && !is_in_sync || is_new_epoch && !is_known {
                    self.unfollow(at, partition);
                } else if let (true, Some(leader)) = (is_new_epoch, new.leader) {
                    self.follow(at, partition, leader, new.leader_epoch);
                }
            }
            Change::Leader { .. } | Change::Stale => {}
        }
        self.advance(at, partition)
    }

    /// Fetches from leaders that have come without an election.
    fn follow_brokers(&mut self, at: usize, changed: &BTreeSet<i32>) {
        let broker = self.broker(at);
        let id = broker.id;
        let Some(process) = &broker.process else {
            return;
        };
        let followings = process.replicas.iter().filter_map(|(partition, replica)| {
            let leader = replica.state.leader_id()?;
            let is_concerned = leader != id && changed.contains(&leader);
            is_concerned.then_some((*partition, leader, replica.state.leader_epoch()))
        });
        let followings: Vec<_> = followings.collect();
        let is_leaving = process.is_leaving();
        for (partition, leader, epoch) in followings {
            if !is_leaving && !self.is_following(at, partition, leader, epoch) {
                self.follow(at, partition, leader, epoch);
            }
        }
    }

    pub(super) fn ask_controller(&mut self, at: usize, ask: Ask) -> Option<Outstanding> {
        let leader = self.world.nodes[at].raft.as_ref()?.leader().id?;
        let number = self.number();
        self.send(at, idx(leader), Message::Ask(number, ask));
        Some(Outstanding {
            number,
            until_ms: self.world.now_ms + TIMEOUT_MS,
        })
    }

    pub(super) fn broker_timer(&mut self, at: usize) -> Check {
        let now_ms = self.world.now_ms;
        let Some(process) = &mut self.broker(at).process else {
            return Ok(());
        };
        if process
            .ready_at_ms
            .take_if(|at_ms| *at_ms <= now_ms)
            .is_some()
        {
            process.machine.ready_to_unfence(now_ms);
        }
        if process.ask.take_if(|ask| ask.until_ms <= now_ms).is_some() {
            process.machine.timed_out(now_ms);
        }
        let is_over = process.leave_by_ms.is_some_and(|by_ms| by_ms <= now_ms);
        if is_over || process.machine.state() == BrokerState::ShuttingDown {
            self.broker_stops(at);
            return Ok(());
        }
        self.speak(at);
        self.run_fetchers(at)?;
        let broker = self.broker(at);
        let Some(process) = &mut broker.process else {
            return Ok(());
        };
        if process.next_checkpoint_ms <= now_ms {
            process.next_checkpoint_ms = now_ms + CHECKPOINT_MS;
            if process.is_loaded {
                broker
                    .disk
                    .logs
                    .values_mut()
                    .for_each(Log::checkpoint_high_watermark);
            }
        }
        if process.next_check_ms <= now_ms {
            process.next_check_ms = now_ms + LAG_MAX_MS / 2;
            self.shrink_isrs(at)?;
        }
        self.ask_again(at);
        Ok(())
    }

    /// Registers, or sends a heartbeat, when it is time.
    fn speak(&mut self, at: usize) {
        let now_ms = self.world.now_ms;
        let broker = self.broker(at);
        let Some(mut process) = broker.process.take() else {
            return;
        };
        let ask = process.machine.poll(now_ms).map(|next| match next {
            Next::Registration => Ask::Register(Box::new(broker.registration(&process))),
            Next::Heartbeat {
                want_fence,
                want_shut_down,
            } => {
                let heartbeat = BrokerHeartbeatRequest::default()
                    .with_broker_id(BrokerId(broker.id))
                    .with_broker_epoch(process.epoch)
                    .with_current_metadata_offset(process.applied_offset)
                    .with_want_fence(want_fence)
                    .with_want_shut_down(want_shut_down);
                Ask::Heartbeat(Box::new(heartbeat))
            }
        });
        if let Some(ask) = ask {
            process.ask = self.ask_controller(at, ask);
            if process.ask.is_none() {
                process.machine.failed(now_ms);
            }
        }
        self.broker(at).process = Some(process);
    }

    pub(super) fn broker_answered(&mut self, at: usize, number: u64, answer: Answer) -> Check {
        let now_ms = self.world.now_ms;
        if let Answer::Altered(result) = answer {
            return self.isr_answered(at, number, result);
        }
        let Some(process) = &mut self.broker(at).process else {
            return Ok(());
        };
        if process.ask.take_if(|ask| ask.number == number).is_none() {
            return Ok(());
        }
        match answer {
            Answer::Registered(Ok(epoch)) => {
                process.epoch = epoch;
                process.machine.registered(now_ms);
            }
            Answer::Heartbeat(Ok(response)) => {
                process.machine.heartbeat_answered(now_ms, &response);
                if process.machine.state() >= BrokerState::Recovery && !process.is_loaded {
                    return self.broker_loads(at);
                }
            }
            Answer::Heartbeat(Err(error)) => {
                let is_gone = [
                    ErrorCode::BROKER_ID_NOT_REGISTERED,
                    ErrorCode::STALE_BROKER_EPOCH,
                ];
                if is_gone.contains(&error) {
                    process.machine.not_registered(now_ms);
                } else {
                    process.machine.failed(now_ms);
                }
            }
            Answer::Registered(Err(_)) | Answer::Altered(_) => process.machine.failed(now_ms),
        }
        if process.machine.state() == BrokerState::ShuttingDown {
            self.broker_stops(at);
        }
        Ok(())
    }

    /// Some of what a broker has written gets to the disk.
    pub(super) fn flush(&mut self, at: usize) {
        if let Some(broker) = self.brokers.get_mut(&at)
            && broker.process.is_some()
        {
            broker.disk.logs.values_mut().for_each(Log::flush);
        }
    }
}
