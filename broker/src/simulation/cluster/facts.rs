//! What has to hold for a whole cluster, by name.
//!
//! What an outage may cost. A record counts as acknowledged once its leader has told a client so,
//! and as committed once a leader's high watermark has passed it. It may be lost only by one of
//! these, and only from the first leader on that is elected after it:
//! - *unclean election*: the topic allows it, or an administrator has asked for it; a move that is
//!   cancelled while nobody is in sync but who was being added counts as one;
//! - *the last in-sync replica lost power* (without ELR): a broker that comes back stays in the ISR
//!   only as its last member; what it had not flushed is gone;
//! - *the last known leader lost power* (with ELR): every member of ISR and ELR came back from an
//!   unclean shutdown, and the last of them to lead is elected as it is.
//!
//! A process that is killed loses nothing, however many are killed at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_shared::schema::metadata::MetadataRecord;

use super::TOPIC;
use super::log::{Entry, Log};
use crate::metadata::delta::MetadataDelta;
use crate::metadata::{LeaderRecoveryState, MetadataImage, PartitionRegistration};
use crate::raft::simulation::invariants::{Check, Invariants};

/// Stands for a record that was deleted before it could be noted; nobody can tell what it was.
const DELETED: Entry = Entry {
    epoch: -1,
    value: 0,
    chain: 0,
};

/// Why records may be lost with the next leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Excuse {
    UncleanElection,
    /// This broker lost power as the last one that could lead.
    LastInSync(i32),
    LastKnownLeader(i32),
}

/// Records that a power failure took.
#[derive(Debug, Clone, Copy)]
struct Loss {
    /// The epoch that the broker was registered with then.
    broker_epoch: i64,
    /// The controller has elected the broker since, as it was: what it has counts as all there
    /// is, also if it stops before it hears of that.
    is_accepted: bool,
}

/// All that has ever happened to one partition.
#[derive(Debug, Default)]
struct History {
    /// Who led in which epoch.
    leaders: BTreeMap<i32, i32>,
    /// What was below a leader's high watermark, by offset, and the first such leader's epoch.
    committed: Vec<(Entry, i32)>,
    /// What a client was told to be safe, by offset.
    acknowledged: BTreeMap<i64, u64>,
    /// Chains by offset and epoch.
    chains: BTreeMap<(i64, i32), u64>,
    /// With the leader epoch from which on it holds.
    excuse: Option<(Excuse, i32)>,
    /// What leaders of older epochs say counts no more.
    oldest_epoch: i32,
    changes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Facts {
    partitions: BTreeMap<i32, History>,
    /// The newest metadata that any node has applied, and where it ends (exclusive).
    image: Arc<MetadataImage>,
    end_offset: i64,
    broker_epochs: BTreeMap<i32, i64>,
    /// Brokers that have lost records of a partition by a power failure, until they lead or join.
    powerless: BTreeMap<(i32, i32), Loss>,
    /// Unclean elections are in order: by configuration, or since an administrator asked.
    is_unclean_allowed: bool,
    is_elr_enabled: bool,
    pub(super) excused: usize,
    /// Who registers with the batch that is being looked at.
    registering: BTreeSet<i32>,
    is_traced: bool,
}

impl Facts {
    pub(super) fn new(is_unclean_allowed: bool, is_elr_enabled: bool, is_traced: bool) -> Self {
        Self {
            is_traced,
            is_unclean_allowed,
            is_elr_enabled,
            ..Self::default()
        }
    }

    pub(super) fn leaders(&self) -> usize {
        self.partitions.values().map(|p| p.leaders.len()).sum()
    }

    pub(super) fn changes(&self) -> usize {
        self.partitions.values().map(|p| p.changes).sum()
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.partitions.values().map(|p| p.acknowledged.len()).sum()
    }

    pub(super) fn acknowledged_of(&self, partition: i32) -> usize {
        self.partitions
            .get(&partition)
            .map_or(0, |history| history.acknowledged.len())
    }

    /// The partition as the newest metadata has it.
    pub(super) fn registration(&self, partition: i32) -> Option<&Arc<PartitionRegistration>> {
        self.image.topics.partition(TOPIC, partition)
    }

    fn history(&mut self, partition: i32) -> &mut History {
        self.partitions.entry(partition).or_default()
    }

    /// A power failure has taken records of this broker's replica.
    pub(super) fn lost_power(&mut self, id: i32, partition: i32) {
        let loss = Loss {
            broker_epoch: self.image.cluster.broker_epoch(id),
            is_accepted: false,
        };
        self.powerless.insert((id, partition), loss);
    }

    /// A record was appended to a replica's log.
    pub(super) fn appended(&mut self, id: i32, partition: i32, offset: i64, entry: Entry) -> Check {
        let key = (offset, entry.epoch);
        let known = *self
            .history(partition)
            .chains
            .entry(key)
            .or_insert(entry.chain);
        Invariants::holds(known == entry.chain, "log matching", || {
            format!("{id} has another log of {partition} up to {key:?}")
        })
    }

    /// A broker leads. It has to hold all that is committed.
    pub(super) fn leads(&mut self, id: i32, partition: i32, epoch: i32, log: &Log) -> Check {
        let powerless = self.powerless.remove(&(id, partition)).is_some();
        let history = self.partitions.entry(partition).or_default();
        let first = *history.leaders.entry(epoch).or_insert(id);
        Invariants::holds(first == id, "one partition leader per epoch", || {
            format!("{first} and {id} in epoch {epoch} of {partition}")
        })?;
        if epoch < history.oldest_epoch {
            return Ok(());
        }
        let start = usize::try_from(log.start_offset()).unwrap();
        let after_start = history.committed.iter().enumerate().skip(start);
        // Who learns late that it leads needn't have what later leaders have committed.
        let lacks = |(offset, (entry, since)): &(usize, &(Entry, i32))| {
            let own = log.entry(i64::try_from(*offset).unwrap());
            let has = own.is_some_and(|own| *entry == DELETED || own == entry);
            *since < epoch && !has
        };
        let lost = after_start
            .into_iter()
            .find(lacks)
            .map(|(offset, _)| offset);
        let excuse = history.excuse.take_if(|(_, since)| *since <= epoch);
        let known = (0, log.high_watermark());
        let is_excused = match excuse {
            None => false,
            Some((Excuse::UncleanElection, _)) => true,
            Some((Excuse::LastInSync(who) | Excuse::LastKnownLeader(who), _)) => {
                who == id && powerless
            }
        };
        if is_excused {
            history.begin_as(log, epoch);
        }
        let Some(lost) = lost else {
            // After a loss, a leader may know of more than was left of it then.
            return self.committed(id, partition, epoch, log, known);
        };
        let end = log.end_offset();
        Invariants::holds(is_excused, "leader completeness", || {
            format!("leader {id} of epoch {epoch} of {partition} lacks {lost}; it ends at {end}")
        })?;
        history.committed.truncate(lost);
        let gone = history
            .acknowledged
            .split_off(&i64::try_from(lost).unwrap());
        self.excused += gone.len();
        history.oldest_epoch = epoch;
        // What it knows to be committed counts as such.
        self.committed(id, partition, epoch, log, known)
    }

    /// A leader's high watermark has moved.
    pub(super) fn committed(
        &mut self,
        id: i32,
        partition: i32,
        epoch: i32,
        log: &Log,
        (from, to): (i64, i64),
    ) -> Check {
        let history = self.history(partition);
        if !history.counts(epoch) {
            return Ok(());
        }
        let known = i64::try_from(history.committed.len()).unwrap();
        for offset in from.min(known).max(log.start_offset())..to {
            let entry = *log.entry(offset).expect("the watermark is within the log");
            let place = usize::try_from(offset).unwrap();
            match history.committed.get(place) {
                Some((known, since)) => {
                    let is_same = *known == entry || *known == DELETED;
                    Invariants::holds(is_same, "committed records are the same", || {
                        format!("{id} has {entry:?} at {offset} of {partition}, not {known:?}")
                    })?;
                    history.committed[place].1 = epoch.min(*since);
                }
                None => {
                    Invariants::holds(place == history.committed.len(), "no gaps", || {
                        format!("{id} commits {offset} of {partition}")
                    })?;
                    history.committed.push((entry, epoch));
                }
            }
        }
        Ok(())
    }

    /// A follower has learned of a high watermark: what is below it is committed.
    pub(super) fn learned(
        &mut self,
        id: i32,
        partition: i32,
        epoch: i32,
        log: &Log,
        (from, to): (i64, i64),
    ) -> Check {
        let history = self.history(partition);
        if !history.counts(epoch) || history.excuse.is_some() {
            return Ok(());
        }
        for offset in from.max(log.start_offset())..to {
            let committed = history.entry(offset);
            let is_committed = committed == Some(&DELETED) || committed == log.entry(offset);
            Invariants::holds(
                is_committed,
                "below a high watermark all is committed",
                || format!("{id} learns of {to} in {partition}, but {offset} is {committed:?}"),
            )?;
        }
        Ok(())
    }

    /// In the end, a replica has all that is committed.
    pub(super) fn all_there(&self, partition: i32, log: &Log) -> Check {
        let committed = self
            .partitions
            .get(&partition)
            .map(|history| &history.committed);
        let known = committed.into_iter().flatten().enumerate();
        let mut known = known.map(|(offset, (entry, _))| (i64::try_from(offset).unwrap(), entry));
        let lost = known.find(|(offset, entry)| {
            let is_kept = *offset >= log.start_offset() && **entry != DELETED;
            is_kept && log.entry(*offset) != Some(*entry)
        });
        Invariants::holds(lost.is_none(), "no acknowledged record lost", || {
            format!("{partition} lacks {lost:?}")
        })
    }

    pub(super) fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// A replica cuts its log as the leader of an epoch has it, which must not hold what is
    /// committed.
    ///
    /// What only later leaders have committed may be cut: a leader that doesn't know yet that it
    /// is none any more needn't have it, and who still follows it isn't in the ISR of the later
    /// ones before it has fetched from them.
    pub(super) fn cuts(
        &mut self,
        id: i32,
        partition: i32,
        epoch: i32,
        offset: i64,
        log: &Log,
    ) -> Check {
        let history = self.history(partition);
        if history.excuse.is_some() {
            return Ok(());
        }
        let is_committed = |(at, entry): &(i64, &Entry)| {
            *at >= offset
                && history
                    .committed_at(*at)
                    .is_some_and(|(known, since)| known == *entry && *since <= epoch)
        };
        let cut = log.entries().find(is_committed);
        Invariants::holds(cut.is_none(), "nothing committed is cut off", || {
            format!("{id} cuts {partition} to {offset}, and with it {cut:?}")
        })
    }

    pub(super) fn acknowledge(
        &mut self,
        partition: i32,
        epoch: i32,
        offset: i64,
        value: u64,
    ) -> Check {
        let history = self.history(partition);
        if !history.counts(epoch) {
            return Ok(());
        }
        let known = history.entry(offset);
        let is_committed = known.is_some_and(|entry| entry.value == value);
        history.acknowledged.insert(offset, value);
        Invariants::holds(
            is_committed,
            "only what is committed is acknowledged",
            || format!("{value} at {offset} of {partition}"),
        )
    }

    /// A node has applied a batch of the metadata log that ends at the offset (exclusive).
    pub(super) fn applied(&mut self, records: &[MetadataRecord], end_offset: i64) -> Check {
        if end_offset <= self.end_offset {
            return Ok(());
        }
        self.end_offset = end_offset;
        if records.is_empty() {
            return Ok(());
        }
        let mut delta = MetadataDelta::new(&self.image);
        for record in records {
            if self.is_traced {
                println!("        {end_offset} {record:?}");
            }
            delta
                .replay(record)
                .map_err(|error| format!("the log replays: {error}"))?;
        }
        let registering = records.iter().filter_map(|record| match record {
            MetadataRecord::RegisterBroker(record) => Some(record.broker_id),
            _ => None,
        });
        self.registering = registering.collect();
        let new = Arc::new(delta.into_next());
        let old = std::mem::replace(&mut self.image, Arc::clone(&new));
        let Some(topic) = new.topics.by_name(TOPIC) else {
            return Ok(());
        };
        for (partition, registration) in topic.partitions() {
            let before = old.topics.partition(TOPIC, partition);
            if before.is_none_or(|before| before != registration) {
                self.partition_changed(partition, before, registration)?;
            }
        }
        for broker in new.cluster.brokers.values() {
            let known = self.broker_epochs.insert(broker.id, broker.epoch);
            Invariants::holds(
                known.is_none_or(|known| known <= broker.epoch),
                "broker epochs monotone",
                || format!("{} has {} after {known:?}", broker.id, broker.epoch),
            )?;
            if known.is_some_and(|known| known < broker.epoch) {
                self.came_back(broker.id)?;
            }
        }
        Ok(())
    }

    fn partition_changed(
        &mut self,
        partition: i32,
        old: Option<&Arc<PartitionRegistration>>,
        new: &Arc<PartitionRegistration>,
    ) -> Check {
        check_registration(partition, new)?;
        let history = self.partitions.entry(partition).or_default();
        history.changes += 1;
        let Some(old) = old else {
            return Ok(());
        };
        Invariants::holds(
            new.partition_epoch > old.partition_epoch
                && new.leader_epoch >= old.leader_epoch
                && (new.leader == old.leader || new.leader_epoch > old.leader_epoch),
            "epochs monotone",
            || format!("{new:?} of {partition} after {old:?}"),
        )?;
        let recovering = LeaderRecoveryState::Recovering;
        // Whom a leader has let in has caught up, unless that was before it lost power.
        let is_let_in = old.has_leader() && new.leader_recovery_state != recovering;
        for id in new.isr.iter().filter(|id| !old.isr.contains(id)) {
            let epoch = self.image.cluster.broker_epoch(*id);
            let known = self.powerless.get(&(*id, partition));
            let is_before = known.is_some_and(|loss| loss.broker_epoch != epoch);
            if (is_let_in || *id != new.leader) && is_before {
                self.powerless.remove(&(*id, partition));
            }
        }
        let was_eligible = (old.isr.contains(&new.leader) || old.elr.contains(&new.leader))
            && !self.registering.contains(&new.leader);
        let is_unclean =
            new.leader_recovery_state == recovering && new.has_leader() && new.leader != old.leader;
        // A state of recovery may be left from the election before.
        let is_reverted = is_reverted_uncleanly(old, new, self.is_unclean_allowed);
        if !is_reverted && (!is_unclean || was_eligible) {
            return Ok(());
        }
        // In the order in which the builder looks.
        let is_last_known = self.is_elr_enabled && *old.last_known_elr == [new.leader];
        let excuse = if is_last_known && !is_reverted {
            let mut others = old.isr.iter().chain(old.elr.iter());
            let are_gone = others.all(|id| self.registering.contains(id));
            Invariants::holds(
                are_gone || self.is_unclean_allowed,
                "the last known leader comes last",
                || format!("{new:?} of {partition} after {old:?}"),
            )?;
            if self.is_unclean_allowed {
                Excuse::UncleanElection
            } else {
                Excuse::LastKnownLeader(new.leader)
            }
        } else {
            Excuse::UncleanElection
        };
        Invariants::holds(
            excuse != Excuse::UncleanElection || self.is_unclean_allowed,
            "unclean elections only where allowed",
            || format!("{new:?} of {partition} after {old:?}"),
        )?;
        history.excuse = Some((excuse, new.leader_epoch));
        history.oldest_epoch = new.leader_epoch;
        let epoch = self.image.cluster.broker_epoch(new.leader);
        if let Some(loss) = self.powerless.get_mut(&(new.leader, partition)) {
            loss.is_accepted = loss.broker_epoch != epoch;
        }
        Ok(())
    }

    /// A broker has a new registration. What it may lack decides what it may lead.
    fn came_back(&mut self, id: i32) -> Check {
        let image = Arc::clone(&self.image);
        let Some(topic) = image.topics.by_name(TOPIC) else {
            return Ok(());
        };
        for (partition, registration) in topic.partitions() {
            let is_last = *registration.isr == [id];
            Invariants::holds(
                is_last || !registration.isr.contains(&id),
                "who comes back is in sync only as the last one",
                || format!("{id} in {registration:?} of {partition}"),
            )?;
            let Some(loss) = self.powerless.get(&(id, partition)) else {
                continue;
            };
            let may_lead = registration.isr.contains(&id) || registration.elr.contains(&id);
            Invariants::holds(
                !self.is_elr_enabled || !may_lead || loss.is_accepted,
                "who lost records is not eligible",
                || format!("{id} in {registration:?} of {partition}"),
            )?;
            if is_last {
                let epoch = registration.leader_epoch;
                let history = self.partitions.entry(partition).or_default();
                history
                    .excuse
                    .get_or_insert((Excuse::LastInSync(id), epoch));
            }
        }
        Ok(())
    }
}

impl History {
    fn committed_at(&self, offset: i64) -> Option<&(Entry, i32)> {
        self.committed.get(usize::try_from(offset).ok()?)
    }

    fn entry(&self, offset: i64) -> Option<&Entry> {
        self.committed_at(offset).map(|(entry, _)| entry)
    }

    /// A leader out of an unclean election begins its log, and with it all there is, where the log
    /// starts. Unless it comes from the same records, nobody can know what it had before that.
    fn begin_as(&mut self, log: &Log, epoch: i32) {
        let before = self.entry(log.start_offset() - 1).map(|entry| entry.chain);
        if log.start_offset() == 0 || before == Some(log.start_chain()) {
            return;
        }
        let start = usize::try_from(log.start_offset()).unwrap();
        let kept = self.committed.len().max(start);
        self.committed.resize(kept, (DELETED, epoch));
        self.committed[..start].fill((DELETED, epoch));
    }

    fn counts(&self, epoch: i32) -> bool {
        epoch >= self.oldest_epoch
    }
}

/// Whether a move was cancelled and nobody in sync was left by that: whoever is in the ISR now is
/// there for want of a better one. A move that adds just those that it removes can't be told from
/// one that has ended.
fn is_reverted_uncleanly(
    old: &PartitionRegistration,
    new: &PartitionRegistration,
    is_allowed: bool,
) -> bool {
    let is_rest_without = |gone: &[i32]| {
        let rest = old.replicas.iter().filter(|id| !gone.contains(id));
        rest.eq(new.replicas.iter())
    };
    !old.adding_replicas.is_empty()
        && is_rest_without(&old.adding_replicas)
        && (is_allowed || !is_rest_without(&old.removing_replicas))
        && !new.isr.is_empty()
        && !new.isr.iter().any(|id| old.isr.contains(id))
}

fn check_registration(partition: i32, registration: &PartitionRegistration) -> Check {
    let says = || format!("{registration:?} of {partition}");
    let replicas = &registration.replicas;
    let are_replicas = |ids: &[i32]| ids.iter().all(|id| replicas.contains(id));
    let (isr, elr) = (&registration.isr, &registration.elr);
    Invariants::holds(are_replicas(isr), "ISR within replicas", says)?;
    let is_disjoint = elr.iter().all(|id| !isr.contains(id));
    Invariants::holds(is_disjoint && are_replicas(elr), "ELR beside the ISR", says)?;
    Invariants::holds(
        !registration.has_leader() || isr.contains(&registration.leader),
        "the leader is in sync",
        says,
    )?;
    Invariants::holds(
        are_replicas(&registration.adding_replicas)
            && are_replicas(&registration.removing_replicas)
            && registration.directories.len() == replicas.len(),
        "reassignment within replicas",
        says,
    )
}

impl std::fmt::Display for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (leaders, acknowledged) = (self.leaders(), self.acknowledged());
        write!(
            f,
            "{leaders} partition leaders, {acknowledged} acknowledged, {} lost with an excuse",
            self.excused
        )
    }
}
