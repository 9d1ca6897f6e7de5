//! A disk that keeps what was flushed, and of the rest maybe a part.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_shared::schema::metadata::MetadataRecord;

use super::super::machine::Start;
use super::super::quorum_records::{QuorumRecord, QuorumRecords};
use super::super::quorum_state::ElectionState;
use super::super::rpc::{BatchInfo, Fetched, SnapshotId};
use crate::simulation::Rng;

/// A batch of the metadata log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch {
    pub(crate) info: BatchInfo,
    pub(crate) control: Vec<(i64, QuorumRecord)>,
    /// What a client has written.
    pub(crate) value: u64,
    /// The same for a controller.
    pub(crate) records: Arc<[MetadataRecord]>,
    /// Tells all that the log holds up to the end of this batch from anything else.
    pub(crate) chain: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) records: QuorumRecords,
    pub(crate) chain: u64,
    pub(crate) size: i64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) election: ElectionState,
    pub(crate) start_offset: i64,
    /// Of what was before the start.
    start_chain: u64,
    pub(crate) batches: Vec<Batch>,
    /// How many of the batches are flushed.
    pub(crate) flushed: usize,
    pub(crate) snapshots: BTreeMap<SnapshotId, Snapshot>,
    pub(crate) part: Option<(SnapshotId, i64)>,
}

/// Mixes a batch into the chain of what is before it.
pub(crate) fn chain(before: u64, info: BatchInfo, value: u64) -> u64 {
    let mut mixed = before;
    for part in [
        info.base_offset.unsigned_abs(),
        info.next_offset.unsigned_abs(),
        u64::from(info.epoch.unsigned_abs()),
        value,
    ] {
        mixed = (mixed ^ part)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(23);
    }
    mixed
}

impl Disk {
    pub(crate) fn end_offset(&self) -> i64 {
        let last = self.batches.last();
        last.map_or(self.start_offset, |batch| batch.info.next_offset)
    }

    pub(crate) fn flushed_offset(&self) -> i64 {
        match self.flushed.checked_sub(1) {
            Some(last) => self.batches[last].info.next_offset,
            None => self.start_offset,
        }
    }

    pub(crate) fn end_chain(&self) -> u64 {
        self.batches
            .last()
            .map_or(self.start_chain, |batch| batch.chain)
    }

    /// The chain at the end of a batch or snapshot, if there is one that ends at the offset.
    pub(crate) fn chain_at(&self, offset: i64) -> Option<u64> {
        if offset == self.start_offset {
            return Some(self.start_chain);
        }
        let idx = self
            .batches
            .binary_search_by_key(&offset, |batch| batch.info.next_offset)
            .ok()?;
        Some(self.batches[idx].chain)
    }

    pub(crate) fn append(&mut self, batch: Batch) {
        assert_eq!(
            batch.info.base_offset,
            self.end_offset(),
            "appended at the end"
        );
        self.batches.push(batch);
    }

    pub(crate) fn flush(&mut self) {
        self.flushed = self.batches.len();
    }

    pub(crate) fn truncate(&mut self, end_offset: i64) {
        self.batches
            .retain(|batch| batch.info.next_offset <= end_offset);
        assert_eq!(self.end_offset(), end_offset, "cut off between two batches");
        self.flushed = self.flushed.min(self.batches.len());
    }

    /// Batches from the one at this offset on, at most so many.
    pub(crate) fn read(&self, from: i64, count: usize) -> Vec<Batch> {
        let after = |batch: &&Batch| batch.info.base_offset >= from;
        let batches: Vec<_> = self
            .batches
            .iter()
            .filter(after)
            .take(count)
            .cloned()
            .collect();
        assert!(
            batches
                .first()
                .is_none_or(|batch| batch.info.base_offset == from),
            "a fetch starts at a batch"
        );
        batches
    }

    /// Voters and kraft.version below the offset, independently of the machine's own table.
    pub(crate) fn quorum_records(&self, end_offset: i64) -> QuorumRecords {
        let base = self
            .snapshots
            .range(..)
            .rfind(|(id, _)| id.end_offset <= end_offset);
        let mut records = base
            .map(|(_, snapshot)| snapshot.records.clone())
            .unwrap_or_default();
        for (offset, record) in self.batches.iter().flat_map(|batch| &batch.control) {
            if *offset < end_offset {
                match record {
                    QuorumRecord::KRaftVersion(version) => records.kraft_version = *version,
                    QuorumRecord::Voters(voters) => records.voters = voters.clone(),
                }
            }
        }
        records
    }

    /// Makes a snapshot that ends with a batch.
    pub(crate) fn snapshot(&mut self, end_offset: i64, size: i64) -> Option<SnapshotId> {
        let batch = self
            .batches
            .iter()
            .find(|batch| batch.info.next_offset == end_offset)?;
        let id = SnapshotId {
            epoch: batch.info.epoch,
            end_offset,
        };
        let chain = batch.chain;
        if self.snapshots.contains_key(&id) {
            // A snapshot's file never changes: somebody may be fetching it.
            return None;
        }
        let records = self.quorum_records(end_offset);
        let snapshot = Snapshot {
            records,
            chain,
            size,
        };
        self.snapshots.insert(id, snapshot);
        Some(id)
    }

    /// Drops what lies before a snapshot's end.
    pub(crate) fn clean(&mut self, id: SnapshotId) {
        let Some(chain) = self.chain_at(id.end_offset) else {
            return;
        };
        let dropped = self
            .batches
            .iter()
            .take_while(|batch| batch.info.next_offset <= id.end_offset)
            .count();
        self.batches.drain(..dropped);
        self.flushed = self.flushed.saturating_sub(dropped);
        self.start_offset = id.end_offset;
        self.start_chain = chain;
        self.snapshots
            .retain(|snapshot, _| snapshot.end_offset >= id.end_offset);
    }

    /// Puts a downloaded snapshot in the place of the log.
    pub(crate) fn install(&mut self, id: SnapshotId) {
        let chain = self.snapshots[&id].chain;
        self.batches.clear();
        self.flushed = 0;
        self.start_offset = id.end_offset;
        self.start_chain = chain;
        self.snapshots.retain(|snapshot, _| *snapshot >= id);
    }

    /// What a power failure leaves: of what was not flushed, a part from the front.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        let unflushed = self.batches.len() - self.flushed;
        let kept = self.flushed + rng.below(unflushed + 1);
        self.batches.truncate(kept);
        self.part = None;
    }

    /// What a new process finds. All of it is durable then.
    pub(crate) fn start(&mut self) -> Start {
        self.flush();
        let last_epoch = self.batches.last().map_or(0, |batch| batch.info.epoch);
        let latest = self.snapshots.keys().next_back().copied();
        // It was downloaded, and the log was not emptied any more.
        let is_ahead = |id: &SnapshotId| {
            (id.epoch, id.end_offset) > (last_epoch, self.end_offset())
                && id.end_offset > self.start_offset
        };
        if let Some(id) = latest.filter(is_ahead) {
            self.install(id);
        }
        let mut epochs: Vec<(i32, i64)> = Vec::new();
        for batch in &self.batches {
            if epochs
                .last()
                .is_none_or(|(epoch, _)| *epoch < batch.info.epoch)
            {
                epochs.push((batch.info.epoch, batch.info.base_offset));
            }
        }
        let snapshot_end = latest.map_or(0, |id| id.end_offset);
        let control = self.batches.iter().flat_map(|batch| batch.control.clone());
        Start {
            election: self.election,
            log_start_offset: self.start_offset,
            log_end_offset: self.end_offset(),
            epochs,
            snapshots: self.snapshots.keys().copied().collect(),
            snapshot_records: latest
                .map(|id| self.snapshots[&id].records.clone())
                .unwrap_or_default(),
            control: control
                .filter(|(offset, _)| *offset >= snapshot_end)
                .collect(),
        }
    }
}

/// The machine's view of batches.
pub(crate) fn fetched(batches: &[Batch]) -> Fetched {
    Fetched {
        batches: batches.iter().map(|batch| batch.info).collect(),
        control: batches
            .iter()
            .flat_map(|batch| batch.control.clone())
            .collect(),
    }
}
