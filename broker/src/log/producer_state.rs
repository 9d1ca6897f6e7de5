//! What a log remembers of its producers: epochs, the last batches, open transactions. Pure: no I/O.
//!
//! Invariants:
//! - Of each producer the last five batches of its current epoch are kept; a batch with the same epoch and
//!   the same sequence range is a duplicate and is answered with the offsets of the first one.
//! - Nothing changes before the append has succeeded: a [`ProducerAppend`] is prepared against the state
//!   and merged by [`ProducerStates::update`] afterwards.
//! - `map_end_offset` is the offset up to which batches are reflected; a snapshot is named by it.
//! - The first unstable offset is the start of the oldest transaction that is undecided, or decided by a
//!   marker that the high watermark has not passed.
//!
//! Kafka: `ProducerStateManager`, `ProducerAppendInfo`, `ProducerStateEntry`, `VerificationStateEntry`.

use std::collections::{BTreeMap, HashMap};

use kafka_shared::error::ErrorCode;
use kafka_shared::record::batch::{BatchHeader, decrement_sequence};
use kafka_shared::types::TopicPartition;

use super::error::LogError;
use super::{AppendOrigin, LogOffsetMetadata, VerificationGuard};

/// Batches remembered of each producer.
pub const BATCHES_TO_RETAIN: usize = 5;
/// No producer epoch.
pub const NO_PRODUCER_EPOCH: i16 = -1;
const NO_SEQUENCE: i32 = -1;

/// One appended batch of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchMetadata {
    pub last_sequence: i32,
    pub last_offset: i64,
    pub offset_delta: i32,
    pub timestamp: i64,
}

impl BatchMetadata {
    /// What is remembered of a batch.
    pub fn of(header: &BatchHeader) -> Self {
        Self {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }

    pub fn first_sequence(&self) -> i32 {
        decrement_sequence(self.last_sequence, self.offset_delta)
    }

    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// The newest batches of a producer, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecentBatches {
    len: u8,
    items: [BatchMetadata; BATCHES_TO_RETAIN],
}

impl RecentBatches {
    fn push(&mut self, batch: BatchMetadata) {
        let len = usize::from(self.len);
        if len == BATCHES_TO_RETAIN {
            self.items.rotate_left(1);
            self.items[len - 1] = batch;
        } else {
            self.items[len] = batch;
            self.len += 1;
        }
    }

    pub fn as_slice(&self) -> &[BatchMetadata] {
        &self.items[..usize::from(self.len)]
    }
}

/// What is known of one producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerStateEntry {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub coordinator_epoch: i32,
    pub last_timestamp: i64,
    pub current_txn_first_offset: Option<i64>,
    pub batches: RecentBatches,
}

impl ProducerStateEntry {
    pub fn new(producer_id: i64) -> Self {
        Self {
            producer_id,
            producer_epoch: NO_PRODUCER_EPOCH,
            coordinator_epoch: -1,
            last_timestamp: -1,
            current_txn_first_offset: None,
            batches: RecentBatches::default(),
        }
    }

    /// Sequence of the last record, -1 when no batch is known.
    pub fn last_sequence(&self) -> i32 {
        self.batches
            .as_slice()
            .last()
            .map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    /// Offset of the last record, -1 when no batch is known.
    pub fn last_data_offset(&self) -> i64 {
        self.batches
            .as_slice()
            .last()
            .map_or(-1, |batch| batch.last_offset)
    }

    /// Offset of the last batch's last record minus that of its first.
    pub fn last_offset_delta(&self) -> i32 {
        self.batches
            .as_slice()
            .last()
            .map_or(0, |batch| batch.offset_delta)
    }

    /// Adds a batch; one of another epoch forgets the batches before it.
    pub fn add_batch(&mut self, producer_epoch: i16, batch: BatchMetadata) {
        self.set_epoch(producer_epoch);
        self.batches.push(batch);
        self.last_timestamp = batch.timestamp;
    }

    fn set_epoch(&mut self, producer_epoch: i16) {
        if self.producer_epoch != producer_epoch {
            self.batches = RecentBatches::default();
            self.producer_epoch = producer_epoch;
        }
    }

    fn merge(&mut self, newer: &ProducerStateEntry) {
        self.set_epoch(newer.producer_epoch);
        for batch in newer.batches.as_slice() {
            self.batches.push(*batch);
        }
        self.coordinator_epoch = newer.coordinator_epoch;
        self.current_txn_first_offset = newer.current_txn_first_offset;
        self.last_timestamp = newer.last_timestamp;
    }

    /// The remembered batch with the same epoch and sequence range.
    pub fn find_duplicate(&self, header: &BatchHeader) -> Option<BatchMetadata> {
        if header.producer_epoch != self.producer_epoch {
            return None;
        }
        let (first, last) = (header.base_sequence, header.last_sequence());
        let mut batches = self.batches.as_slice().iter();
        batches
            .find(|b| b.first_sequence() == first && b.last_sequence == last)
            .copied()
    }
}

/// A transaction of this partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Transaction {
    producer_id: i64,
    first_offset: LogOffsetMetadata,
    last_offset: Option<i64>,
}

/// A transaction that a marker has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
    /// Offset of the marker.
    pub last_offset: i64,
    pub is_aborted: bool,
}

/// The content of a transaction marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    pub is_abort: bool,
    pub coordinator_epoch: i32,
    pub timestamp: i64,
}

#[derive(Debug, Clone, Copy)]
struct Verification {
    guard: VerificationGuard,
    created_ms: i64,
    lowest_sequence: i32,
    epoch: i16,
    supports_epoch_bump: bool,
}

/// The change that one append makes to one producer, checked batch by batch.
#[derive(Debug, Clone)]
pub struct ProducerAppend {
    origin: AppendOrigin,
    current_is_empty: bool,
    current: ProducerStateEntry,
    updated: ProducerStateEntry,
    verification: Option<Verification>,
    started: Vec<Transaction>,
}

impl ProducerAppend {
    pub fn producer_id(&self) -> i64 {
        self.updated.producer_id
    }

    /// Checks a batch of records and adds it.
    pub fn append_data(
        &mut self,
        header: &BatchHeader,
        first_offset: LogOffsetMetadata,
        tp: &TopicPartition,
    ) -> Result<(), LogError> {
        let offset = header.base_offset;
        self.check_epoch(header.producer_epoch, offset, None, tp)?;
        if self.origin == AppendOrigin::Client {
            self.check_sequence(header.producer_epoch, header.base_sequence, offset, tp)?;
        }
        self.updated
            .add_batch(header.producer_epoch, BatchMetadata::of(header));
        match (
            self.updated.current_txn_first_offset,
            header.is_transactional(),
        ) {
            (Some(_), false) => Err(LogError::rejected(
                ErrorCode::INVALID_TXN_STATE,
                format!(
                    "Expected a transactional write from producer {} at offset {offset} in {tp}",
                    header.producer_id
                ),
            )),
            (None, true) => {
                self.updated.current_txn_first_offset = Some(offset);
                self.started.push(Transaction {
                    producer_id: header.producer_id,
                    first_offset,
                    last_offset: None,
                });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Checks a transaction marker and applies it. Returns the transaction that it ends, if one was open.
    ///
    /// `transaction_version` is the one of the WriteTxnMarkers request; `None` where it is not known
    /// (replication, recovery), which checks by the rule of version 0.
    pub fn append_marker(
        &mut self,
        header: &BatchHeader,
        marker: Marker,
        transaction_version: Option<i16>,
        tp: &TopicPartition,
    ) -> Result<Option<CompletedTransaction>, LogError> {
        let offset = header.base_offset;
        let version = transaction_version.unwrap_or(0);
        self.check_epoch(header.producer_epoch, offset, Some(version), tp)?;
        self.check_coordinator_epoch(marker.coordinator_epoch, offset, tp)?;
        let completed =
            self.updated
                .current_txn_first_offset
                .map(|first_offset| CompletedTransaction {
                    producer_id: header.producer_id,
                    first_offset,
                    last_offset: offset,
                    is_aborted: marker.is_abort,
                });
        self.updated.set_epoch(header.producer_epoch);
        self.updated.coordinator_epoch = marker.coordinator_epoch;
        self.updated.current_txn_first_offset = None;
        self.updated.last_timestamp = marker.timestamp;
        Ok(completed)
    }

    fn check_epoch(
        &self,
        epoch: i16,
        offset: i64,
        marker_version: Option<i16>,
        tp: &TopicPartition,
    ) -> Result<(), LogError> {
        let current = self.updated.producer_epoch;
        let strict = marker_version.is_some_and(|version| version >= 2);
        let invalid = if strict {
            epoch <= current
        } else {
            epoch < current
        };
        // A marker that comes a second time, when the transaction has ended already, does no harm.
        let repeated_marker = strict
            && epoch == current
            && (self.updated.current_txn_first_offset.is_none() || epoch == i16::MAX);
        if !invalid || repeated_marker {
            return Ok(());
        }
        let message = format!(
            "Epoch of producer {} at offset {offset} in {tp} is {epoch}, but the last seen epoch is {current}",
            self.updated.producer_id
        );
        if self.origin == AppendOrigin::Replication {
            // The leader has accepted it, so a follower has to follow.
            tracing::warn!("{message}");
            return Ok(());
        }
        Err(LogError::rejected(
            ErrorCode::INVALID_PRODUCER_EPOCH,
            message,
        ))
    }

    fn check_sequence(
        &self,
        epoch: i16,
        first_sequence: i32,
        offset: i64,
        tp: &TopicPartition,
    ) -> Result<(), LogError> {
        let out_of_order = |what: String| {
            let id = self.updated.producer_id;
            Err(LogError::rejected(
                ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
                format!(
                    "Out of order sequence number for producer {id} at offset {offset} in {tp}: {what}"
                ),
            ))
        };
        if let Some(verification) = &self.verification {
            if verification.supports_epoch_bump && first_sequence != 0 && self.current_is_empty {
                return out_of_order(format!(
                    "{first_sequence} (incoming), expected 0 without existing state"
                ));
            }
            if first_sequence > verification.lowest_sequence {
                let lowest = verification.lowest_sequence;
                return out_of_order(format!(
                    "{first_sequence} (incoming), {lowest} (earliest seen)"
                ));
            }
        }
        let known_epoch = self.updated.producer_epoch;
        if epoch != known_epoch {
            if first_sequence != 0 && known_epoch != NO_PRODUCER_EPOCH {
                return out_of_order(format!(
                    "{first_sequence} (incoming) is the first of epoch {epoch}, the last seen epoch is {known_epoch}"
                ));
            }
            return Ok(());
        }
        let last_sequence = if !self.updated.batches.as_slice().is_empty() {
            self.updated.last_sequence()
        } else if epoch == self.current.producer_epoch {
            self.current.last_sequence()
        } else {
            NO_SEQUENCE
        };
        // Without a known epoch the producer's records are gone through retention: anything continues them.
        let in_sequence = i64::from(first_sequence) == i64::from(last_sequence) + 1
            || (first_sequence == 0 && last_sequence == i32::MAX);
        if self.current.producer_epoch == NO_PRODUCER_EPOCH || in_sequence {
            return Ok(());
        }
        out_of_order(format!(
            "{first_sequence} (incoming), {last_sequence} (current end)"
        ))
    }

    fn check_coordinator_epoch(
        &self,
        epoch: i32,
        offset: i64,
        tp: &TopicPartition,
    ) -> Result<(), LogError> {
        let current = self.updated.coordinator_epoch;
        if current <= epoch || self.origin == AppendOrigin::Replication {
            return Ok(());
        }
        Err(LogError::rejected(
            ErrorCode::TRANSACTION_COORDINATOR_FENCED,
            format!(
                "Marker for producer {} at offset {offset} in {tp} has coordinator epoch {epoch}, \
                 but epoch {current} was seen",
                self.updated.producer_id
            ),
        ))
    }
}

/// All producers of one log.
#[derive(Debug, Default)]
pub struct ProducerStates {
    producers: HashMap<i64, ProducerStateEntry>,
    verifications: HashMap<i64, Verification>,
    /// Undecided transactions by first offset.
    ongoing: BTreeMap<i64, Transaction>,
    /// Decided transactions, by first offset, whose marker the high watermark has not passed.
    unreplicated: BTreeMap<i64, Transaction>,
    map_end_offset: i64,
    last_guard: u64,
}

impl ProducerStates {
    /// The offset up to which batches are reflected (exclusive).
    pub fn map_end_offset(&self) -> i64 {
        self.map_end_offset
    }

    pub fn set_map_end_offset(&mut self, offset: i64) {
        self.map_end_offset = offset;
    }

    /// What is known of a producer.
    pub fn get(&self, producer_id: i64) -> Option<&ProducerStateEntry> {
        self.producers.get(&producer_id)
    }

    /// All known producers, in no order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &ProducerStateEntry> {
        self.producers.values()
    }

    /// Forgets everything and starts at `offset`.
    pub fn reset(&mut self, offset: i64) {
        self.producers.clear();
        self.ongoing.clear();
        self.unreplicated.clear();
        self.map_end_offset = offset;
    }

    /// Takes over an entry of a snapshot.
    pub fn load(&mut self, entry: ProducerStateEntry) {
        let producer_id = entry.producer_id;
        if let Some(first) = entry.current_txn_first_offset {
            let first_offset = LogOffsetMetadata::offset_only(first);
            self.ongoing.insert(
                first,
                Transaction {
                    producer_id,
                    first_offset,
                    last_offset: None,
                },
            );
        }
        self.producers.insert(producer_id, entry);
    }

    /// Whether an entry is old enough to be forgotten.
    pub fn is_expired(entry: &ProducerStateEntry, now_ms: i64, expiration_ms: i64) -> bool {
        entry.current_txn_first_offset.is_none()
            && now_ms.saturating_sub(entry.last_timestamp) >= expiration_ms
    }

    /// Forgets producers that wrote nothing for `expiration_ms` and have no open transaction.
    pub fn remove_expired(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers
            .retain(|_, entry| !Self::is_expired(entry, now_ms, expiration_ms));
        self.verifications
            .retain(|_, entry| now_ms.saturating_sub(entry.created_ms) < expiration_ms);
    }

    /// Starts the change of one append.
    pub fn prepare(&self, producer_id: i64, origin: AppendOrigin) -> ProducerAppend {
        let current = self
            .get(producer_id)
            .copied()
            .unwrap_or_else(|| ProducerStateEntry::new(producer_id));
        let updated = ProducerStateEntry {
            batches: RecentBatches::default(),
            ..current
        };
        ProducerAppend {
            origin,
            current_is_empty: current.batches.as_slice().is_empty(),
            current,
            updated,
            verification: self.verifications.get(&producer_id).copied(),
            started: Vec::new(),
        }
    }

    /// Merges the change of an append that succeeded.
    pub fn update(&mut self, append: &ProducerAppend) {
        let id = append.producer_id();
        self.producers
            .entry(id)
            .and_modify(|entry| entry.merge(&append.updated))
            .or_insert(append.updated);
        for transaction in &append.started {
            self.ongoing
                .insert(transaction.first_offset.message_offset, *transaction);
        }
    }

    /// The open transactions as they are after these appends: enough to ask for last stable offsets.
    pub fn transactions_after(&self, appends: &[ProducerAppend]) -> ProducerStates {
        let mut after = ProducerStates {
            ongoing: self.ongoing.clone(),
            ..Self::default()
        };
        for transaction in appends.iter().flat_map(|append| &append.started) {
            after
                .ongoing
                .insert(transaction.first_offset.message_offset, *transaction);
        }
        after
    }

    /// The last stable offset right after the marker of `completed`.
    pub fn last_stable_offset(&self, completed: &CompletedTransaction) -> i64 {
        self.ongoing
            .values()
            .find(|transaction| transaction.producer_id != completed.producer_id)
            .map_or(completed.last_offset + 1, |t| t.first_offset.message_offset)
    }

    /// Moves a transaction from the undecided to the decided ones.
    pub fn complete(&mut self, completed: &CompletedTransaction) {
        if let Some(mut transaction) = self.ongoing.remove(&completed.first_offset) {
            transaction.last_offset = Some(completed.last_offset);
            self.unreplicated
                .insert(completed.first_offset, transaction);
        }
    }

    /// Forgets decided transactions whose marker lies below `offset` (the high watermark or log start).
    pub fn forget_decided_below(&mut self, offset: i64) {
        if !self.unreplicated.is_empty() {
            self.unreplicated
                .retain(|_, t| t.last_offset.is_none_or(|last| last >= offset));
        }
    }

    /// The offset that readers of committed records must not pass.
    pub fn first_unstable_offset(&self) -> Option<LogOffsetMetadata> {
        let first = |map: &BTreeMap<i64, Transaction>| map.values().next().map(|t| t.first_offset);
        match (first(&self.ongoing), first(&self.unreplicated)) {
            (Some(a), Some(b)) => Some(if a.message_offset < b.message_offset {
                a
            } else {
                b
            }),
            (a, b) => a.or(b),
        }
    }

    /// Whether the producer has a transaction open in this epoch.
    pub fn has_ongoing_transaction(&self, producer_id: i64, producer_epoch: i16) -> bool {
        self.get(producer_id).is_some_and(|entry| {
            entry.current_txn_first_offset.is_some() && entry.producer_epoch == producer_epoch
        })
    }

    /// The guard that a transactional append has to carry after the coordinator confirmed the transaction;
    /// [`VerificationGuard::SENTINEL`] when none is needed because the transaction is open here already.
    pub fn start_verification(
        &mut self,
        producer_id: i64,
        sequence: i32,
        epoch: i16,
        supports_epoch_bump: bool,
        now_ms: i64,
    ) -> Result<VerificationGuard, LogError> {
        if let Some(entry) = self
            .get(producer_id)
            .filter(|entry| epoch < entry.producer_epoch)
        {
            return Err(stale_epoch(producer_id, epoch, entry.producer_epoch));
        }
        if self.has_ongoing_transaction(producer_id, epoch) {
            return Ok(VerificationGuard::SENTINEL);
        }
        let last_guard = &mut self.last_guard;
        let entry = self.verifications.entry(producer_id).or_insert_with(|| {
            *last_guard += 1;
            Verification {
                guard: VerificationGuard(*last_guard),
                created_ms: now_ms,
                lowest_sequence: sequence,
                epoch,
                supports_epoch_bump,
            }
        });
        if epoch > entry.epoch {
            entry.epoch = epoch;
            entry.lowest_sequence = sequence;
        } else if epoch == entry.epoch {
            entry.lowest_sequence = entry.lowest_sequence.min(sequence);
        }
        Ok(entry.guard)
    }

    /// The guard that is pending for a producer, or the sentinel.
    pub fn verification_guard(&self, producer_id: i64) -> VerificationGuard {
        self.verifications
            .get(&producer_id)
            .map_or(VerificationGuard::SENTINEL, |v| v.guard)
    }

    /// After a transactional batch the guard has served, unless the batch is the marker of an epoch whose
    /// next transaction has begun to verify (transactions version 2).
    pub fn clear_verification_after(&mut self, header: &BatchHeader) {
        let next_started = self
            .verifications
            .get(&header.producer_id)
            .is_some_and(|entry| {
                entry.supports_epoch_bump
                    && header.is_control()
                    && header.producer_epoch == entry.epoch
            });
        if !next_started {
            self.verifications.remove(&header.producer_id);
        }
    }
}

/// A transactional write whose epoch was overtaken.
pub(super) fn stale_epoch(producer_id: i64, epoch: i16, current: i16) -> LogError {
    LogError::rejected(
        ErrorCode::INVALID_PRODUCER_EPOCH,
        format!(
            "Epoch of producer {producer_id} is {epoch}, which is smaller than the last seen epoch {current}"
        ),
    )
}

#[cfg(test)]
mod tests;
