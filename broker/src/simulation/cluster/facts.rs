//! What has to hold for a whole cluster, by name.

use std::collections::BTreeMap;

use super::TOPIC;
use super::broker::Entry;
use crate::metadata::MetadataImage;
use crate::raft::simulation::invariants::{Check, Invariants};

/// All that has ever happened to the partition.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Who led in which epoch.
    leaders: BTreeMap<i32, i32>,
    /// What was below a leader's high watermark, by offset.
    committed: Vec<Entry>,
    /// What a client was told to be safe, by offset.
    acknowledged: BTreeMap<i64, u64>,
    /// Partition epochs with the leader epochs that went with them.
    epochs: BTreeMap<i32, i32>,
}

impl Facts {
    pub(super) fn leaders(&self) -> usize {
        self.leaders.len()
    }

    pub(super) fn changes(&self) -> usize {
        self.epochs.len()
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// A broker leads. It has to hold all that was acknowledged.
    pub(super) fn leads(&mut self, id: i32, epoch: i32, log: &[Entry]) -> Check {
        let first = *self.leaders.entry(epoch).or_insert(id);
        Invariants::holds(first == id, "one partition leader per epoch", || {
            format!("{first} and {id} in epoch {epoch}")
        })?;
        let has = |(offset, value): &(&i64, &u64)| {
            let entry = log.get(usize::try_from(**offset).unwrap());
            entry.is_some_and(|entry| entry.value == **value)
        };
        let lost = self.acknowledged.iter().find(|entry| !has(entry));
        Invariants::holds(lost.is_none(), "no acknowledged record lost", || {
            let end = log.len();
            format!("leader {id} of epoch {epoch} lacks {lost:?}; it ends at {end}")
        })
    }

    /// A leader's high watermark has moved.
    pub(super) fn committed(&mut self, id: i32, log: &[Entry], high_watermark: i64) -> Check {
        let end = usize::try_from(high_watermark).unwrap();
        for (offset, entry) in log.iter().enumerate().take(end) {
            match self.committed.get(offset) {
                Some(known) => {
                    Invariants::holds(known == entry, "committed records are the same", || {
                        format!("{id} has {entry:?} at {offset} instead of {known:?}")
                    })?;
                }
                None => self.committed.push(*entry),
            }
        }
        Ok(())
    }

    pub(super) fn acknowledge(&mut self, offset: i64, value: u64) -> Check {
        let known = self.committed.get(usize::try_from(offset).unwrap());
        let is_committed = known.is_some_and(|entry| entry.value == value);
        self.acknowledged.insert(offset, value);
        Invariants::holds(
            is_committed,
            "only what is committed is acknowledged",
            || format!("{value} at {offset}"),
        )
    }

    /// A node has applied the metadata log up to some offset.
    pub(super) fn image(&mut self, image: &MetadataImage) -> Check {
        let Some(partition) = image.topics.partition(TOPIC, 0) else {
            return Ok(());
        };
        let in_sync = &partition.isr;
        let is_replica = |id: &i32| partition.replicas.contains(id);
        Invariants::holds(
            !in_sync.is_empty() && in_sync.iter().all(is_replica),
            "ISR within replicas",
            || format!("{partition:?}"),
        )?;
        Invariants::holds(
            !partition.has_leader() || in_sync.contains(&partition.leader),
            "the leader is in sync",
            || format!("{partition:?}"),
        )?;
        let (epoch, leader_epoch) = (partition.partition_epoch, partition.leader_epoch);
        let known = *self.epochs.entry(epoch).or_insert(leader_epoch);
        let before = self.epochs.range(..epoch).next_back();
        let is_monotone = before.is_none_or(|(_, before)| *before <= leader_epoch);
        Invariants::holds(
            known == leader_epoch && is_monotone,
            "epochs monotone",
            || format!("{partition:?} after {before:?}"),
        )
    }
}

impl std::fmt::Display for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (leaders, acknowledged) = (self.leaders.len(), self.acknowledged.len());
        write!(
            f,
            "{leaders} partition leaders, {acknowledged} acknowledged"
        )
    }
}
