//! Appending: the one path by which records enter a log.
//!
//! Order: check without lock → lock the writer → assign → leader epoch → roll → producer state → write →
//! publish. Until the write nothing has changed but for an epoch or an empty segment, so any refusal leaves
//! the log as it was.
//! Kafka: `UnifiedLog.append`.

use std::io;

use kafka_shared::error::ErrorCode;
use kafka_shared::record::batch::{Batch, BatchHeader, batches};
use kafka_shared::record::control::ControlRecord;
use kafka_shared::record::iter::records as read_records;
use parking_lot::MutexGuard;

use super::config::LogConfig;
use super::error::LogError;
use super::producer_state::{
    BatchMetadata, CompletedTransaction, Marker, ProducerAppend, ProducerStateEntry,
    ProducerStates, stale_epoch,
};
use super::resent;
use super::segment::SegmentWriter;
use super::transaction_index::AbortedTransaction;
use super::validator::{self, Analysis, AssignedBatch, Assignment};
use super::{
    AppendContext, AppendInfo, AppendOrigin, Log, LogOffsetMetadata, VerificationGuard, Writer,
};

/// Longest content of a transaction marker that is looked at.
const MAX_MARKER_BYTES: usize = 1024;

/// The batches of one append with what is written of them.
enum Batches<'a> {
    /// One batch whose header was patched.
    Assigned(AssignedBatch<'a>),
    /// Batches that are written as they came.
    Verbatim(&'a [u8]),
}

impl Batches<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Assigned(batch) => batch.header.size_in_bytes(),
            Self::Verbatim(bytes) => bytes.len(),
        }
    }

    fn headers(&self) -> impl Iterator<Item = BatchHeader> {
        let (one, many) = match self {
            Self::Assigned(batch) => (Some(batch.header), &[][..]),
            Self::Verbatim(bytes) => (None, *bytes),
        };
        one.into_iter()
            .chain(batches(many).flatten().map(|batch| *batch.header()))
    }
}

/// On what terms an append is made, the same for every step of it.
struct Terms<'a> {
    origin: AppendOrigin,
    context: AppendContext,
    config: &'a LogConfig,
}

/// What an append does to the producers, decided before the write.
enum ProducerOutcome {
    Duplicate(BatchMetadata),
    New {
        appends: Vec<ProducerAppend>,
        completed: Vec<CompletedTransaction>,
    },
}

impl Log {
    /// Appends the records of a producer, coordinator or Raft leader.
    ///
    /// [`AppendOrigin::Client`] and [`AppendOrigin::Coordinator`]: exactly one batch; offsets, leader epoch and
    /// timestamps are assigned. [`AppendOrigin::RaftLeader`]: batches with offsets and epoch set.
    ///
    /// # Errors
    /// [`LogError::Rejected`] with Kafka's code when the records are refused; storage errors.
    pub fn append_as_leader(
        &self,
        records: &[u8],
        leader_epoch: i32,
        origin: AppendOrigin,
    ) -> Result<AppendInfo, LogError> {
        self.append(records, leader_epoch, origin, AppendContext::default())
    }

    /// Like [`Log::append_as_leader`], for transactional appends and markers.
    pub fn append_as_leader_with(
        &self,
        records: &[u8],
        leader_epoch: i32,
        origin: AppendOrigin,
        context: AppendContext,
    ) -> Result<AppendInfo, LogError> {
        self.append(records, leader_epoch, origin, context)
    }

    /// Appends batches fetched from the leader as they are. Batches of a newer epoch than `leader_epoch` are
    /// left out.
    pub fn append_as_follower(
        &self,
        records: &[u8],
        leader_epoch: i32,
    ) -> Result<AppendInfo, LogError> {
        self.append(
            records,
            leader_epoch,
            AppendOrigin::Replication,
            AppendContext::default(),
        )
    }

    fn append(
        &self,
        records: &[u8],
        leader_epoch: i32,
        origin: AppendOrigin,
        context: AppendContext,
    ) -> Result<AppendInfo, LogError> {
        let config = self.config.load();
        let analysis = validator::analyze(
            records,
            origin,
            leader_epoch,
            &config,
            &self.topic_partition,
        )?;
        let mut info = self.empty_append_info(&analysis);
        if analysis.valid_bytes == 0 {
            return Ok(info);
        }
        let records = &records[..analysis.valid_bytes];
        let mut writer = self.lock_writer()?;
        let now_ms = self.context.clock.wall_ms();
        let next_offset = self.log_end_offset();
        let to_write = if validator::assigns_offsets(origin) {
            let assignment = Assignment {
                tp: &self.topic_partition,
                config: &config,
                origin,
                leader_epoch,
                next_offset,
                now_ms,
            };
            let batch = assignment.assign(records)?;
            info.first_offset = batch.header.base_offset;
            info.last_offset = batch.header.last_offset();
            info.max_timestamp = batch.max_timestamp;
            if config.message_timestamp_type == kafka_shared::record::TimestampType::LogAppendTime {
                info.log_append_time = now_ms;
            }
            Batches::Assigned(batch)
        } else {
            if analysis.first_offset < next_offset {
                return Err(LogError::UnexpectedAppendOffset {
                    first_offset: analysis.first_offset,
                    last_offset: analysis.last_offset,
                    log_end_offset: next_offset,
                });
            }
            Batches::Verbatim(records)
        };
        let terms = Terms {
            origin,
            context,
            config: &config,
        };
        self.append_batches(&mut writer, &to_write, records, &mut info, &terms)?;
        Ok(info)
    }

    fn empty_append_info(&self, analysis: &Analysis) -> AppendInfo {
        AppendInfo {
            first_offset: analysis.first_offset,
            last_offset: analysis.last_offset,
            last_leader_epoch: analysis.last_leader_epoch,
            max_timestamp: analysis.max_timestamp,
            log_append_time: -1,
            log_start_offset: self.log_start_offset(),
            source_compression: analysis.source_compression,
            valid_bytes: analysis.valid_bytes,
            is_duplicate: false,
        }
    }

    pub(super) fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>, LogError> {
        let writer = self.writer.lock();
        self.context.dir.check_online()?;
        if writer.closed {
            let message = format!("the log of {} is closed", self.topic_partition);
            return Err(LogError::Storage { message });
        }
        Ok(writer)
    }

    fn append_batches(
        &self,
        writer: &mut Writer,
        to_write: &Batches<'_>,
        sent: &[u8],
        info: &mut AppendInfo,
        terms: &Terms<'_>,
    ) -> Result<(), LogError> {
        let segment_bytes = usize::try_from(terms.config.segment_bytes).unwrap_or(0);
        if to_write.len() > segment_bytes {
            return Err(LogError::rejected(
                ErrorCode::RECORD_LIST_TOO_LARGE,
                format!(
                    "Message batch size is {} bytes in append to partition {}, which exceeds the maximum \
                     configured segment size of {segment_bytes}.",
                    to_write.len(),
                    self.topic_partition
                ),
            ));
        }
        for header in to_write.headers() {
            self.epochs
                .assign(header.partition_leader_epoch, header.base_offset);
        }
        self.persist_small_files()?;
        let segment = self.maybe_roll(writer, to_write.len(), info, terms.config)?;
        let place = LogOffsetMetadata {
            message_offset: info.first_offset,
            segment_base_offset: segment.base_offset(),
            relative_position: i64::try_from(segment.size()).unwrap_or(-1),
        };
        let (appends, completed) = match self.check_producers(to_write, sent, place, terms)? {
            ProducerOutcome::New { appends, completed } => (appends, completed),
            ProducerOutcome::Duplicate(first) => {
                info.first_offset = first.first_offset();
                info.last_offset = first.last_offset;
                info.log_append_time = first.timestamp;
                info.is_duplicate = true;
                return Ok(());
            }
        };
        self.write_batches(
            writer,
            to_write,
            info.last_offset,
            &appends,
            &completed,
            terms.config,
        )
    }

    /// Decides about duplicates, epochs and sequences. Changes nothing but that a verification has served.
    fn check_producers(
        &self,
        to_write: &Batches<'_>,
        sent: &[u8],
        place: LogOffsetMetadata,
        terms: &Terms<'_>,
    ) -> Result<ProducerOutcome, LogError> {
        let (origin, context) = (terms.origin, &terms.context);
        let (mut appends, mut completed) = (Vec::new(), Vec::new());
        let mut position = u64::try_from(place.relative_position).unwrap_or(0);
        // The records of a patched batch are those that were sent; only its header differs.
        let sent_batches = batches(sent).flatten();
        for (header, batch) in to_write.headers().zip(sent_batches) {
            if header.has_producer_id() {
                let mut producers = self.producers.lock();
                let states = &mut producers.states;
                let known = states.get(header.producer_id);
                let duplicate = known
                    .filter(|_| origin == AppendOrigin::Client)
                    .and_then(|entry| entry.find_duplicate(&header));
                if let Some(first) = duplicate {
                    return Ok(ProducerOutcome::Duplicate(first));
                }
                if known.is_none() && origin == AppendOrigin::Client {
                    self.check_begin(&header)?;
                }
                self.check_verified(states, &header, origin, context.verification_guard)?;
                let known = known.copied();
                let first_offset = validator::place(&header, place.segment_base_offset, position);
                let ended = update_producers(
                    states,
                    &mut appends,
                    (&header, &batch),
                    first_offset,
                    origin,
                    context.transaction_version,
                    &self.topic_partition,
                );
                drop(producers);
                match ended {
                    Ok(ended) => completed.extend(ended),
                    Err(error) => {
                        let is_out_of_order = error.code()
                            == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
                            && origin == AppendOrigin::Client;
                        let known = known.filter(|_| is_out_of_order);
                        let stored = known.and_then(|entry| self.find_resent(&entry, &header));
                        return stored.map(ProducerOutcome::Duplicate).ok_or(error);
                    }
                }
            }
            position += header.size_in_bytes() as u64;
        }
        Ok(ProducerOutcome::New { appends, completed })
    }

    /// The batch of the log that an idempotent producer sends again, though it has stored so many
    /// since that it is no longer remembered.
    fn find_resent(
        &self,
        entry: &ProducerStateEntry,
        header: &BatchHeader,
    ) -> Option<BatchMetadata> {
        if header.is_transactional() || !resent::is_behind(entry, header) {
            return None;
        }
        let first = entry.batches.as_slice().first()?;
        let segments = self.segments.load_full();
        match resent::find(segments.from(0), header, first.first_offset()) {
            Ok(found) => found.filter(|batch| batch.first_offset() >= self.log_start_offset()),
            Err(error) => {
                tracing::warn!(tp = %self.topic_partition, %error, "can't look for a batch");
                None
            }
        }
    }

    /// Checks that an idempotent producer of which nothing is known begins with its first record.
    ///
    /// Differs from Kafka: Kafka takes any sequence number then, as the producer's earlier records may
    /// have been deleted. Where nothing can have been deleted, an earlier batch is missing: a new
    /// leader has got the second of several in flight, as the first one was refused by the leader
    /// before. With the second one stored the first one could never be, and the producer would be
    /// stuck, or give both new numbers and so store the second one twice.
    fn check_begin(&self, header: &BatchHeader) -> Result<(), LogError> {
        let is_begin = header.base_sequence <= 0 || header.is_transactional();
        if is_begin || self.may_have_forgotten_producers() {
            return Ok(());
        }
        Err(LogError::rejected(
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            format!(
                "Out of order sequence number for producer {} in {}: {} (incoming), nothing of it is \
                 there",
                header.producer_id, self.topic_partition, header.base_sequence
            ),
        ))
    }

    /// Whether producers of this log can have been forgotten: their records are deleted, or so old
    /// that `producer.id.expiration.ms` has passed.
    fn may_have_forgotten_producers(&self) -> bool {
        let segments = self.segments.load();
        let first = segments.first();
        if self.log_start_offset() > 0 || first.base_offset() > 0 {
            return true;
        }
        let expiration_ms = &self.context.producer_id_expiration_ms;
        let expiration_ms = expiration_ms.load(std::sync::atomic::Ordering::Relaxed);
        let now_ms = self.context.clock.wall_ms();
        match first.first_batch_timestamp() {
            Ok(Some(timestamp)) => now_ms.saturating_sub(timestamp) >= expiration_ms,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    fn check_verified(
        &self,
        states: &ProducerStates,
        header: &BatchHeader,
        origin: AppendOrigin,
        guard: VerificationGuard,
    ) -> Result<(), LogError> {
        let by_broker = matches!(origin, AppendOrigin::Client | AppendOrigin::Coordinator);
        let (id, epoch) = (header.producer_id, header.producer_epoch);
        if !by_broker || !header.is_transactional() || states.has_ongoing_transaction(id, epoch) {
            return Ok(());
        }
        if let Some(entry) = states.get(id).filter(|entry| epoch < entry.producer_epoch) {
            return Err(stale_epoch(id, epoch, entry.producer_epoch));
        }
        let required = self
            .context
            .transaction_verification_enable
            .load(std::sync::atomic::Ordering::Relaxed)
            && !header.is_control();
        let verified =
            guard != VerificationGuard::SENTINEL && guard == states.verification_guard(id);
        if required && !verified {
            return Err(LogError::rejected(
                ErrorCode::INVALID_TXN_STATE,
                "Record was not part of an ongoing transaction",
            ));
        }
        Ok(())
    }

    fn write_batches(
        &self,
        writer: &mut Writer,
        to_write: &Batches<'_>,
        last_offset: i64,
        appends: &[ProducerAppend],
        completed: &[CompletedTransaction],
        config: &LogConfig,
    ) -> Result<(), LogError> {
        let mut producers = self.producers.lock();
        let aborted = aborted_transactions(&producers.states, appends, completed);
        drop(producers);

        let active = writer
            .active
            .as_mut()
            .expect("maybe_roll opened the active segment");
        let written = match to_write {
            Batches::Assigned(batch) => active.append(
                &[&batch.header_bytes, batch.payload.bytes()],
                to_write.headers(),
                &aborted,
                config,
            ),
            Batches::Verbatim(bytes) => {
                active.append(&[bytes], to_write.headers(), &aborted, config)
            }
        };
        if let Err(error) = written {
            return Err(self.failed_append(active, &error));
        }

        producers = self.producers.lock();
        let states = &mut producers.states;
        appends.iter().for_each(|append| states.update(append));
        completed
            .iter()
            .for_each(|transaction| states.complete(transaction));
        states.set_map_end_offset(last_offset + 1);
        let first_unstable = states.first_unstable_offset();
        {
            let segments = self.segments.load();
            let active = segments.last();
            let mut offsets = self.offsets.write();
            offsets.log_end = LogOffsetMetadata {
                message_offset: last_offset + 1,
                segment_base_offset: active.base_offset(),
                relative_position: i64::try_from(active.size()).unwrap_or(-1),
            };
            offsets.first_unstable = clip_to_start(first_unstable, offsets.log_start_offset);
        }
        drop(producers);
        self.flush_if_due(last_offset + 1, config)
    }

    /// Takes a failed write back. A full disk leaves the log as it was and in service; any other failure, or
    /// a rollback that fails, takes the folder out of service.
    ///
    /// Differs from Kafka: a full disk does not take the folder out of service, so that its records can
    /// still be read, and it works again when there is room.
    fn failed_append(&self, active: &SegmentWriter, error: &io::Error) -> LogError {
        let what = format!("cannot append to {}", self.topic_partition);
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        match active.roll_back() {
            Ok(()) if full => {
                tracing::error!(tp = %self.topic_partition, %error, "append refused");
                LogError::NoSpace {
                    message: format!("{what}: {error}"),
                }
            }
            _ => self.context.dir.fail(&what, error),
        }
    }

    fn flush_if_due(&self, end: i64, config: &LogConfig) -> Result<(), LogError> {
        if end - self.recovery_point() >= config.flush_messages {
            self.flush(false)
        } else {
            Ok(())
        }
    }
}

/// Applies one batch to the change of its producer. Returns the transaction that it ends.
pub(super) fn update_producers(
    states: &mut ProducerStates,
    appends: &mut Vec<ProducerAppend>,
    (header, batch): (&BatchHeader, &Batch<'_>),
    first_offset: LogOffsetMetadata,
    origin: AppendOrigin,
    transaction_version: Option<i16>,
    tp: &kafka_shared::types::TopicPartition,
) -> Result<Option<CompletedTransaction>, LogError> {
    let known = appends
        .iter()
        .position(|append| append.producer_id() == header.producer_id);
    let index = known.unwrap_or_else(|| {
        appends.push(states.prepare(header.producer_id, origin));
        appends.len() - 1
    });
    let append = &mut appends[index];
    let completed = if header.is_control() {
        // A control batch that compaction emptied has nothing to say any more.
        match read_marker(batch)? {
            Some(marker) => append.append_marker(header, marker, transaction_version, tp)?,
            None => None,
        }
    } else {
        append.append_data(header, first_offset, tp)?;
        None
    };
    if header.is_transactional() {
        states.clear_verification_after(header);
    }
    Ok(completed)
}

/// The marker in a control batch; none when the batch is empty or holds something else.
fn read_marker(batch: &Batch<'_>) -> Result<Option<Marker>, LogError> {
    let invalid = |error: String| LogError::rejected(ErrorCode::INVALID_RECORD, error);
    let records =
        read_records(batch, MAX_MARKER_BYTES).map_err(|error| invalid(error.to_string()))?;
    let Some(record) = records.iter().next() else {
        return Ok(None);
    };
    let record = record.map_err(|error| invalid(error.to_string()))?;
    let (Some(key), Some(value)) = (record.key, record.value) else {
        return Err(invalid(
            "a control record needs a key and a value".to_owned(),
        ));
    };
    let control = ControlRecord::decode(key, value).map_err(|error| invalid(error.to_string()))?;
    let (is_abort, marker) = match control {
        ControlRecord::Abort(marker) => (true, marker),
        ControlRecord::Commit(marker) => (false, marker),
        _ => return Ok(None),
    };
    let coordinator_epoch = marker.coordinator_epoch;
    Ok(Some(Marker {
        is_abort,
        coordinator_epoch,
        timestamp: record.timestamp,
    }))
}

/// The index entries for the transactions that an append aborts, as they will be after it.
fn aborted_transactions(
    states: &ProducerStates,
    appends: &[ProducerAppend],
    completed: &[CompletedTransaction],
) -> Vec<AbortedTransaction> {
    if !completed.iter().any(|transaction| transaction.is_aborted) {
        return Vec::new();
    }
    let mut after = states.transactions_after(appends);
    let mut aborted = Vec::new();
    for transaction in completed {
        if transaction.is_aborted {
            aborted.push(AbortedTransaction {
                producer_id: transaction.producer_id,
                first_offset: transaction.first_offset,
                last_offset: transaction.last_offset,
                last_stable_offset: after.last_stable_offset(transaction),
            });
        }
        after.complete(transaction);
    }
    aborted
}

/// Unstable offsets below the log start do not count.
pub(super) fn clip_to_start(
    first_unstable: Option<LogOffsetMetadata>,
    log_start_offset: i64,
) -> Option<LogOffsetMetadata> {
    first_unstable.map(|offset| {
        if offset.message_offset < log_start_offset {
            LogOffsetMetadata::offset_only(log_start_offset)
        } else {
            offset
        }
    })
}
