//! A broker: registers, sends heartbeats, leads or follows the partition.

use std::sync::Arc;

use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::broker_registration_request::Feature;
use kafka_protocol::messages::{
    AlterPartitionRequest, BrokerHeartbeatRequest, BrokerId, BrokerRegistrationRequest,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::types::Uuid;

use super::{Answer, Ask, Cluster, Fetch, Fetched, MIN_ISR, Message, TOPIC, idx};
use crate::controller::testing::CLUSTER_ID;
use crate::metadata::MetadataImage;
use crate::metadata::features::SUPPORTED;
use crate::raft::simulation::invariants::Check;
use crate::replica::fetcher::state::truncation_offset;
use crate::replica::partition::state::isr::{IsrOutcome, IsrProposal};
use crate::replica::partition::state::{Change, FollowerFetch, PartitionState, Registration};
use crate::simulation::Rng;

const HEARTBEAT_MS: i64 = 500;
const TIMEOUT_MS: i64 = 1_000;
const RETRY_MS: i64 = 100;
const LAG_MAX_MS: i64 = 1_500;
const FETCH_MS: i64 = 50;
const FETCH_ENTRIES: usize = 3;

/// A record of the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    epoch: i32,
    pub(super) value: u64,
}

/// The partition's log, which outlives the process.
#[derive(Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    /// Leader epochs and their start offsets.
    epochs: Vec<(i32, i64)>,
    high_watermark: i64,
}

impl Log {
    fn end(&self) -> i64 {
        i64::try_from(self.entries.len()).unwrap()
    }

    fn start_epoch(&mut self, epoch: i32, offset: i64) {
        if self.epochs.last().is_none_or(|(last, _)| *last < epoch) {
            self.epochs.retain(|(_, start)| *start < offset);
            self.epochs.push((epoch, offset));
        }
    }

    fn append(&mut self, entry: Entry) {
        self.start_epoch(entry.epoch, self.end());
        self.entries.push(entry);
    }

    fn truncate(&mut self, offset: i64) {
        self.entries.truncate(usize::try_from(offset).unwrap());
        self.epochs.retain(|(_, start)| *start < offset);
        self.high_watermark = self.high_watermark.min(offset);
    }

    /// The greatest epoch at or below this one, and where it ends.
    fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)> {
        let next = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let floor = self.epochs[..next].last()?.0;
        let end = self
            .epochs
            .get(next)
            .map_or(self.end(), |(_, start)| *start);
        Some((floor, end))
    }
}

/// A request that is under way.
#[derive(Debug)]
struct Outstanding {
    number: u64,
    until_ms: i64,
}

#[derive(Debug)]
struct Promise {
    required_offset: i64,
    leading_since_epoch: i32,
    value: u64,
}

#[derive(Debug)]
pub(super) struct Broker {
    id: i32,
    log: Log,
    /// 0 while the process is down.
    life: u64,
    epoch: Option<i64>,
    image: Arc<MetadataImage>,
    applied_offset: i64,
    partition: PartitionState,
    promises: Vec<Promise>,
    ask: Option<Outstanding>,
    alter: Option<(Outstanding, IsrProposal)>,
    fetch: Option<Outstanding>,
    next_heartbeat_ms: i64,
    next_fetch_ms: i64,
    next_check_ms: i64,
    pub(super) wants_to_stop: bool,
}

impl Broker {
    pub(super) fn new(id: i32) -> Self {
        Self {
            id,
            log: Log::default(),
            life: 0,
            epoch: None,
            image: Arc::default(),
            applied_offset: -1,
            partition: PartitionState::new(id),
            promises: Vec::new(),
            ask: None,
            alter: None,
            fetch: None,
            next_heartbeat_ms: 0,
            next_fetch_ms: 0,
            next_check_ms: 0,
            wants_to_stop: false,
        }
    }

    /// The process is gone. Of the high watermark what was written last is left.
    pub(super) fn stop(&mut self, rng: &mut Rng) {
        if self.life == 0 {
            return;
        }
        let mut log = std::mem::take(&mut self.log);
        log.high_watermark = rng.between(0, log.high_watermark);
        *self = Self {
            log,
            ..Self::new(self.id)
        };
    }

    pub(super) fn start(&mut self, life: u64, now_ms: i64) {
        self.life = life;
        self.next_heartbeat_ms = now_ms;
        self.next_fetch_ms = now_ms;
        self.next_check_ms = now_ms;
    }

    pub(super) fn next_ms(&self) -> i64 {
        if self.life == 0 {
            return i64::MAX;
        }
        let fetch_or_heartbeat_ms = self.next_heartbeat_ms.min(self.next_fetch_ms);
        fetch_or_heartbeat_ms.min(self.next_check_ms)
    }

    fn active_epoch(image: &MetadataImage, id: i32) -> Option<i64> {
        let broker = image.cluster.broker(id)?;
        broker.is_active().then_some(broker.epoch)
    }

    fn incarnation(&self) -> Uuid {
        Uuid::from_u128(1_000_000 * u128::from(self.id.unsigned_abs()) + u128::from(self.life))
    }

    fn registration(&self) -> BrokerRegistrationRequest {
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
            .with_incarnation_id(self.incarnation())
            .with_features(SUPPORTED.iter().map(feature).collect())
            .with_log_dirs(vec![directory])
            .with_previous_broker_epoch(-1)
    }

    fn heartbeat(&self, epoch: i64) -> BrokerHeartbeatRequest {
        BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(self.id))
            .with_broker_epoch(epoch)
            .with_current_metadata_offset(self.applied_offset)
            .with_want_fence(false)
            .with_want_shut_down(self.wants_to_stop)
    }

    fn alteration(&self, proposal: &IsrProposal, topic_id: Uuid) -> AlterPartitionRequest {
        let member = |(id, epoch): &(i32, i64)| {
            BrokerState::default()
                .with_broker_id(BrokerId(*id))
                .with_broker_epoch(*epoch)
        };
        let partition = PartitionData::default()
            .with_partition_index(0)
            .with_leader_epoch(proposal.leader_epoch)
            .with_partition_epoch(proposal.partition_epoch)
            .with_new_isr_with_epochs(proposal.isr.iter().map(member).collect());
        let topic = TopicData::default()
            .with_topic_id(topic_id)
            .with_partitions(vec![partition]);
        AlterPartitionRequest::default()
            .with_broker_id(BrokerId(self.id))
            .with_broker_epoch(self.epoch.unwrap_or(-1))
            .with_topics(vec![topic])
    }
}

impl Cluster {
    fn broker(&mut self, at: usize) -> &mut Broker {
        self.brokers.get_mut(&at).expect("the node is a broker")
    }

    pub(super) fn broker_applies(&mut self, at: usize, image: Arc<MetadataImage>) -> Check {
        let now_ms = self.world.now_ms;
        let broker = self.broker(at);
        broker.applied_offset = image.provenance.last_contained_offset;
        broker.image = Arc::clone(&image);
        // What the log says of an earlier life is not for this one.
        let own = image.cluster.broker(broker.id);
        if own.is_none_or(|own| own.incarnation_id != broker.incarnation()) {
            return Ok(());
        }
        let Some(partition) = image.topics.partition(TOPIC, 0) else {
            return Ok(());
        };
        if !partition.replicas.contains(&broker.id) {
            return Ok(());
        }
        let registration = Registration {
            leader: partition.has_leader().then_some(partition.leader),
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            replicas: partition.replicas.to_vec(),
            isr: partition.isr.to_vec(),
            adding_replicas: partition.adding_replicas.to_vec(),
            removing_replicas: partition.removing_replicas.to_vec(),
        };
        let end = broker.log.end();
        match broker.partition.apply(&registration, end, now_ms) {
            Change::Stale => {}
            Change::Follower { .. } => {
                broker.fetch = None;
                broker.next_fetch_ms = now_ms;
            }
            Change::Leader { epoch_start, .. } => {
                broker.fetch = None;
                if let Some((epoch, offset)) = epoch_start {
                    broker.log.start_epoch(epoch, offset);
                    let (id, entries) = (broker.id, broker.log.entries.clone());
                    self.facts.leads(id, epoch, &entries)?;
                }
            }
        }
        let broker = self.broker(at);
        if !broker.partition.is_isr_pending() {
            broker.alter = None;
        }
        self.advance(at)
    }

    /// Raises the leader's high watermark and answers who waits for it.
    fn advance(&mut self, at: usize) -> Check {
        let now_ms = self.world.now_ms;
        let broker = self.broker(at);
        let image = Arc::clone(&broker.image);
        let active = |id| Broker::active_epoch(&image, id);
        let end = broker.log.end();
        let committed = broker
            .partition
            .committed_offset(end, MIN_ISR, now_ms, LAG_MAX_MS, active);
        if let Some(offset) = committed {
            broker.log.high_watermark = broker.log.high_watermark.max(offset);
        }
        let (id, high_watermark) = (broker.id, broker.log.high_watermark);
        let mut acknowledged = Vec::new();
        let partition = &broker.partition;
        broker.promises.retain(|promise| {
            let outcome = partition.acks_all_outcome(
                promise.required_offset,
                promise.leading_since_epoch,
                high_watermark,
                MIN_ISR,
            );
            if outcome == Some(ErrorCode::NONE) {
                acknowledged.push((promise.required_offset - 1, promise.value));
            }
            outcome.is_none()
        });
        if partition.is_leader() {
            let entries = broker.log.entries.clone();
            self.facts.committed(id, &entries, high_watermark)?;
        }
        for (offset, value) in acknowledged {
            self.facts.acknowledge(offset, value)?;
        }
        Ok(())
    }

    /// A client writes to whoever believes to lead.
    pub(super) fn produce(&mut self) -> Check {
        let leaders = self.brokers.iter().filter(|(_, broker)| {
            broker.life > 0
                && broker.partition.is_leader()
                && !broker.partition.is_under_min_isr(MIN_ISR)
        });
        let leaders: Vec<usize> = leaders.map(|(at, _)| *at).collect();
        for at in leaders {
            let value = self.number();
            let broker = self.broker(at);
            let epoch = broker.partition.leader_epoch();
            broker.log.append(Entry { epoch, value });
            broker.promises.push(Promise {
                required_offset: broker.log.end(),
                leading_since_epoch: broker.partition.leading_since_epoch(),
                value,
            });
            self.advance(at)?;
        }
        Ok(())
    }

    fn ask_controller(&mut self, at: usize, ask: Ask) -> Option<Outstanding> {
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
        let is_over =
            |ask: &Option<Outstanding>| ask.as_ref().is_none_or(|ask| ask.until_ms <= now_ms);
        let broker = self.broker(at);
        if broker.next_heartbeat_ms <= now_ms {
            broker.next_heartbeat_ms = now_ms + HEARTBEAT_MS;
            if is_over(&broker.ask) {
                let ask = match broker.epoch {
                    None => Ask::Register(broker.registration()),
                    Some(epoch) => Ask::Heartbeat(broker.heartbeat(epoch)),
                };
                self.broker(at).ask = self.ask_controller(at, ask);
            }
        }
        let broker = self.broker(at);
        if broker.next_fetch_ms <= now_ms {
            broker.next_fetch_ms = now_ms + FETCH_MS;
            if is_over(&broker.fetch) {
                self.fetch(at);
            }
        }
        if self.broker(at).next_check_ms <= now_ms {
            self.check_isr(at)?;
        }
        Ok(())
    }

    /// Puts out who lags, and asks again what was not answered.
    fn check_isr(&mut self, at: usize) -> Check {
        let now_ms = self.world.now_ms;
        let broker = self.broker(at);
        broker.next_check_ms = now_ms + LAG_MAX_MS / 3;
        let epoch = broker.epoch.unwrap_or(-1);
        let end = broker.log.end();
        let shrink = broker.partition.shrink_isr(end, now_ms, LAG_MAX_MS, epoch);
        let unanswered = match &broker.alter {
            Some((outstanding, proposal)) if outstanding.until_ms <= now_ms => {
                Some(proposal.clone())
            }
            _ => None,
        };
        if let Some(proposal) = shrink.or(unanswered) {
            self.alter(at, proposal);
        }
        self.advance(at)
    }

    fn alter(&mut self, at: usize, proposal: IsrProposal) {
        let unsent = Outstanding {
            number: 0,
            until_ms: self.world.now_ms + RETRY_MS,
        };
        let broker = self.broker(at);
        let Some(topic_id) = broker.image.topics.id_of(TOPIC) else {
            return;
        };
        let request = broker.alteration(&proposal, topic_id);
        let asked = self.ask_controller(at, Ask::Alter(request));
        self.broker(at).alter = Some((asked.unwrap_or(unsent), proposal));
    }

    fn fetch(&mut self, at: usize) {
        let until_ms = self.world.now_ms + TIMEOUT_MS;
        let number = self.number();
        let broker = self.broker(at);
        let (Some(leader), Some(broker_epoch)) = (broker.partition.leader_id(), broker.epoch)
        else {
            return;
        };
        if leader == broker.id {
            return;
        }
        let fetch = Fetch {
            broker_epoch,
            leader_epoch: broker.partition.leader_epoch(),
            offset: broker.log.end(),
            last_epoch: broker.log.epochs.last().map(|(epoch, _)| *epoch),
        };
        broker.fetch = Some(Outstanding { number, until_ms });
        self.send(at, idx(leader), Message::Fetch(number, fetch));
    }

    /// A follower fetches from this broker.
    pub(super) fn broker_fetched_from(
        &mut self,
        at: usize,
        from: usize,
        number: u64,
        fetch: Fetch,
    ) -> Check {
        let mut fetched = Fetched {
            fetch,
            error: ErrorCode::NONE,
            diverging: None,
            entries: Vec::new(),
            high_watermark: -1,
        };
        match self.serve(at, super::id(from), fetch, &mut fetched) {
            Ok(proposal) => {
                if let Some(proposal) = proposal {
                    self.alter(at, proposal);
                }
                self.advance(at)?;
                fetched.high_watermark = self.broker(at).log.high_watermark;
            }
            Err(error) => fetched.error = error,
        }
        self.send(at, from, Message::Fetched(number, fetched));
        Ok(())
    }

    fn serve(
        &mut self,
        at: usize,
        replica_id: i32,
        fetch: Fetch,
        fetched: &mut Fetched,
    ) -> Result<Option<IsrProposal>, ErrorCode> {
        let now_ms = self.world.now_ms;
        let broker = self.broker(at);
        broker
            .partition
            .check_access(Some(fetch.leader_epoch), true)?;
        if let Some(last_epoch) = fetch.last_epoch {
            let end = broker.log.epoch_end(last_epoch).unwrap_or((-1, 0));
            if end.0 < last_epoch || end.1 < fetch.offset {
                fetched.diverging = Some(end);
                return Ok(None);
            }
        }
        let leader_end_offset = broker.log.end();
        if fetch.offset > leader_end_offset {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        let rest = &broker.log.entries[usize::try_from(fetch.offset).unwrap()..];
        fetched.entries = rest.iter().take(FETCH_ENTRIES).copied().collect();
        let registered = broker.image.cluster.broker(replica_id);
        broker.partition.record_follower_fetch(&FollowerFetch {
            replica_id,
            replica_epoch: fetch.broker_epoch,
            registered_epoch: registered.map(|broker| broker.epoch),
            fetch_offset: fetch.offset,
            log_start_offset: 0,
            leader_end_offset,
            now_ms,
        })?;
        let active = Broker::active_epoch(&broker.image, replica_id);
        let (high_watermark, epoch) = (broker.log.high_watermark, broker.epoch.unwrap_or(-1));
        let partition = &mut broker.partition;
        Ok(partition.expand_isr(replica_id, high_watermark, active, epoch))
    }

    pub(super) fn broker_fetched(&mut self, at: usize, number: u64, fetched: &Fetched) -> Check {
        let now_ms = self.world.now_ms;
        let broker = self.broker(at);
        let is_expected = broker
            .fetch
            .as_ref()
            .is_some_and(|fetch| fetch.number == number);
        if !is_expected {
            return Ok(());
        }
        broker.fetch = None;
        let fetch = fetched.fetch;
        let is_current = fetch.leader_epoch == broker.partition.leader_epoch()
            && !broker.partition.is_leader()
            && fetch.offset == broker.log.end();
        if !is_current || fetched.error != ErrorCode::NONE {
            return Ok(());
        }
        if let Some(end) = fetched.diverging {
            let own = broker.log.epoch_end(end.0);
            let offset = truncation_offset(end, own, broker.log.end());
            let is_cut = offset < broker.log.end();
            broker.log.truncate(offset.max(0));
            self.truncations += u64::from(is_cut);
        } else {
            for entry in &fetched.entries {
                broker.log.append(*entry);
            }
            let high_watermark = fetched.high_watermark.min(broker.log.end());
            broker.log.high_watermark = broker.log.high_watermark.max(high_watermark);
        }
        if fetched.diverging.is_some() || !fetched.entries.is_empty() {
            self.broker(at).next_fetch_ms = now_ms;
        }
        Ok(())
    }

    pub(super) fn broker_answered(&mut self, at: usize, number: u64, answer: Answer) -> Check {
        let now_ms = self.world.now_ms;
        let broker = self.broker(at);
        if let Answer::Altered(result) = answer {
            let awaited = broker.alter.take_if(|(asked, _)| asked.number == number);
            let Some((_, proposal)) = awaited else {
                return Ok(());
            };
            match broker.partition.on_isr_answer(proposal.number, result) {
                IsrOutcome::Retry(proposal) => {
                    let again = Outstanding {
                        number: 0,
                        until_ms: now_ms + RETRY_MS,
                    };
                    broker.alter = Some((again, proposal));
                }
                IsrOutcome::Committed | IsrOutcome::Reset => return self.advance(at),
                IsrOutcome::Ignored | IsrOutcome::AwaitsMetadata => {}
            }
            return Ok(());
        }
        let awaited = broker.ask.take_if(|asked| asked.number == number);
        if awaited.is_none() {
            return Ok(());
        }
        match answer {
            Answer::Registered(Ok(epoch)) => {
                broker.epoch = Some(epoch);
                broker.next_heartbeat_ms = now_ms + 10;
            }
            Answer::Heartbeat(Ok(response)) if response.should_shut_down => {
                self.world.crash_node(at);
            }
            _ => {}
        }
        Ok(())
    }
}
