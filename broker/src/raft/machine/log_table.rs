//! What the machine knows of the log: where it starts and ends, its epochs, its snapshots, and the
//! voters and kraft.version by the offsets from which on they are in force.
//!
//! Voters and kraft.version are in force from their append on, committed or not, and a truncation
//! takes them back.
//!
//! Kafka: `raft/RaftLog.java`, `raft/internals/KRaftControlRecordStateMachine.java`,
//! `storage/internals/epoch/LeaderEpochFileCache.java` (4.3).

use std::collections::BTreeSet;

use super::super::quorum_records::{QuorumRecord, QuorumRecords};
use super::super::rpc::{BatchInfo, EpochEndOffset, Fetched, LogEnd, SnapshotId};
use super::super::voters::VoterSet;
use super::Start;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct LogTable {
    pub(super) start_offset: i64,
    pub(super) end_offset: i64,
    pub(super) flushed_offset: i64,
    /// Epochs and their start offsets, both ascending.
    epochs: Vec<(i32, i64)>,
    snapshots: BTreeSet<SnapshotId>,
    static_voters: VoterSet,
    voters: Vec<(i64, VoterSet)>,
    kraft_versions: Vec<(i64, i16)>,
}

/// Whether a replica whose log ends at some offset and epoch can go on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    Valid,
    Diverging(EpochEndOffset),
    Snapshot(SnapshotId),
}

impl LogTable {
    pub(super) fn new(start: &Start, static_voters: VoterSet) -> Self {
        let mut table = Self {
            start_offset: start.log_start_offset,
            end_offset: start.log_end_offset,
            flushed_offset: start.log_end_offset,
            epochs: start.epochs.clone(),
            snapshots: start.snapshots.iter().copied().collect(),
            static_voters,
            voters: Vec::new(),
            kraft_versions: Vec::new(),
        };
        if let Some(snapshot) = table.latest_snapshot() {
            table.load(snapshot, &start.snapshot_records);
        }
        for (offset, record) in &start.control {
            table.note(*offset, record);
        }
        table
    }

    /// Takes what a snapshot says of voters and kraft.version.
    fn load(&mut self, snapshot: SnapshotId, records: &QuorumRecords) {
        let offset = snapshot.end_offset - 1;
        self.voters.clear();
        self.kraft_versions = vec![(offset, records.kraft_version)];
        if !records.voters.is_empty() {
            self.voters.push((offset, records.voters.clone()));
        }
    }

    fn note(&mut self, offset: i64, record: &QuorumRecord) {
        match record {
            QuorumRecord::KRaftVersion(version) => self.kraft_versions.push((offset, *version)),
            QuorumRecord::Voters(voters) => self.voters.push((offset, voters.clone())),
        }
    }

    pub(super) fn end(&self) -> LogEnd {
        let snapshot_epoch = || self.latest_snapshot().map(|snapshot| snapshot.epoch);
        LogEnd {
            end_offset: self.end_offset,
            last_epoch: self
                .epochs
                .last()
                .map(|(epoch, _)| *epoch)
                .or_else(snapshot_epoch)
                .unwrap_or(0),
        }
    }

    pub(super) fn voters(&self) -> &VoterSet {
        let last = self.voters.last().map(|(_, voters)| voters);
        last.unwrap_or(&self.static_voters)
    }

    /// The voters in force, and those that come back if what may be uncommitted is cut off.
    pub(super) fn possible_voters(&self, high_watermark: i64) -> impl Iterator<Item = &VoterSet> {
        let first = self
            .voters
            .iter()
            .rposition(|(offset, _)| *offset < high_watermark)
            .unwrap_or(0);
        let is_static = self.voters.is_empty().then_some(&self.static_voters);
        let sets = self.voters[first.min(self.voters.len())..].iter();
        sets.map(|(_, voters)| voters).chain(is_static)
    }

    /// Where the voters in force are written; `None` if they are the static ones, -1 if they come
    /// from the formatting.
    pub(super) fn voters_offset(&self) -> Option<i64> {
        self.voters.last().map(|(offset, _)| *offset)
    }

    pub(super) fn kraft_version(&self) -> i16 {
        self.kraft_versions
            .last()
            .map_or(0, |(_, version)| *version)
    }

    /// What was in force below an offset (exclusive).
    pub(super) fn quorum_records(&self, end_offset: i64) -> QuorumRecords {
        let voters = self.voters.iter().rfind(|(at, _)| *at < end_offset);
        let version = self.kraft_versions.iter().rfind(|(at, _)| *at < end_offset);
        QuorumRecords {
            kraft_version: version.map_or(0, |(_, version)| *version),
            voters: voters.map(|(_, voters)| voters.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn has_snapshot(&self, id: SnapshotId) -> bool {
        self.snapshots.contains(&id)
    }

    pub(super) fn latest_snapshot(&self) -> Option<SnapshotId> {
        self.snapshots.last().copied()
    }

    /// Takes the longest run of batches that follows on the log; `epoch` is the greatest that they
    /// may have. Returns whether there was any.
    pub(super) fn append(&mut self, fetched: &Fetched, epoch: i32) -> bool {
        let old_end = self.end_offset;
        for batch in &fetched.batches {
            let follows =
                batch.base_offset == self.end_offset && batch.next_offset > self.end_offset;
            if !follows || batch.epoch > epoch || batch.epoch < self.last_epoch_entry() {
                break;
            }
            self.append_batch(*batch);
        }
        for (offset, record) in &fetched.control {
            if (old_end..self.end_offset).contains(offset) {
                self.note(*offset, record);
            }
        }
        self.end_offset > old_end
    }

    fn append_batch(&mut self, batch: BatchInfo) {
        if batch.epoch > self.last_epoch_entry() {
            self.epochs.retain(|(_, start)| *start < batch.base_offset);
            self.epochs.push((batch.epoch, batch.base_offset));
        }
        self.end_offset = batch.next_offset;
    }

    fn last_epoch_entry(&self) -> i32 {
        self.epochs.last().map_or(-1, |(epoch, _)| *epoch)
    }

    /// An epoch starts at the end of the log, even if it should never get a record.
    pub(super) fn start_epoch(&mut self, epoch: i32) {
        // An epoch without records leaves no trace when the next one starts.
        self.epochs.retain(|(_, start)| *start < self.end_offset);
        self.epochs.push((epoch, self.end_offset));
    }

    pub(super) fn truncate(&mut self, end_offset: i64) {
        self.end_offset = self.end_offset.min(end_offset);
        self.flushed_offset = self.flushed_offset.min(end_offset);
        self.epochs.retain(|(_, start)| *start < end_offset);
        self.voters.retain(|(offset, _)| *offset < end_offset);
        self.kraft_versions
            .retain(|(offset, _)| *offset < end_offset);
    }

    pub(super) fn add_snapshot(&mut self, id: SnapshotId) {
        self.snapshots.insert(id);
        // Differs from Kafka, which lets an entry right at the end of the snapshot take the place of
        // the one before it: a truncation to that end would leave no voters at all.
        forget_before(&mut self.voters, id.end_offset);
        forget_before(&mut self.kraft_versions, id.end_offset);
    }

    pub(super) fn advance_start(&mut self, start_offset: i64) {
        if start_offset <= self.start_offset {
            return;
        }
        self.start_offset = start_offset;
        self.snapshots
            .retain(|snapshot| snapshot.end_offset >= start_offset);
        let keep_from = self
            .epochs
            .iter()
            .rposition(|(_, start)| *start <= start_offset);
        if let Some(first) = keep_from {
            self.epochs.drain(..first);
            self.epochs[0].1 = start_offset;
        }
    }

    /// The log is empty and starts at the snapshot's end.
    pub(super) fn install(&mut self, id: SnapshotId, records: &QuorumRecords) {
        self.start_offset = id.end_offset;
        self.end_offset = id.end_offset;
        self.flushed_offset = id.end_offset;
        self.epochs.clear();
        self.snapshots.retain(|snapshot| *snapshot >= id);
        self.snapshots.insert(id);
        self.load(id, records);
    }

    /// The greatest epoch that is not beyond the given one, and where it ends.
    fn end_offset_for_epoch(&self, epoch: i32) -> EpochEndOffset {
        let of = |epoch, end_offset| EpochEndOffset { epoch, end_offset };
        let end = self.end();
        if self.last_epoch_entry() == epoch {
            return of(epoch, end.end_offset);
        }
        let next = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let Some((_, next_start)) = self.epochs.get(next).copied() else {
            return of(end.last_epoch, end.end_offset);
        };
        let floor = next.checked_sub(1).map_or(epoch, |idx| self.epochs[idx].0);
        match self.snapshots.first() {
            // What lies before the first epoch of the log is the oldest snapshot.
            Some(oldest) if oldest.end_offset == next_start && floor == epoch => {
                of(oldest.epoch, oldest.end_offset)
            }
            _ => of(floor, next_start),
        }
    }

    /// Whether a replica with this end of its log can fetch from there.
    pub(super) fn validate(&self, offset: i64, epoch: i32) -> Validity {
        let latest = self.latest_snapshot();
        if let Some(latest) = latest.filter(|id| *id != SnapshotId::BOOTSTRAP && offset == 0) {
            return Validity::Snapshot(latest);
        }
        if self.start_offset == 0 && offset == 0 {
            return Validity::Valid;
        }
        if let (Some(oldest), Some(latest)) = (self.snapshots.first(), latest) {
            let is_before = offset < self.start_offset
                || (offset == self.start_offset && epoch != oldest.epoch)
                || epoch < oldest.epoch;
            if is_before {
                return Validity::Snapshot(latest);
            }
        }
        let end = self.end_offset_for_epoch(epoch);
        if end.epoch != epoch || end.end_offset < offset {
            Validity::Diverging(end)
        } else {
            Validity::Valid
        }
    }

    /// Where to cut the log off when the leader's log ends an epoch here.
    pub(super) fn truncation_offset(&self, leader: EpochEndOffset) -> i64 {
        let local = self.end_offset_for_epoch(leader.epoch);
        if leader.epoch == 0 {
            leader.end_offset.min(self.end_offset)
        } else if local.epoch == leader.epoch {
            leader.end_offset.min(local.end_offset)
        } else {
            local.end_offset
        }
    }
}

/// Drops all entries below the offset but the last one of them.
fn forget_before<T>(entries: &mut Vec<(i64, T)>, offset: i64) {
    if let Some(first) = entries.iter().rposition(|(at, _)| *at < offset) {
        entries.drain(..first);
    }
}
