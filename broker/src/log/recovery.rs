//! Reading segments through after an unclean shutdown.
//!
//! A segment is kept up to the first batch that is torn, fails its checksum or breaks the order of offsets;
//! its indexes are made anew on the way, and the producers' state and leader epochs follow along.
//! Kafka: `LogSegment.recover`, `LogLoader`, `UnifiedLog.rebuildProducerState`.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use kafka_shared::record::batch::{Batch, BatchError};
use kafka_shared::types::TopicPartition;

use super::append::update_producers;
use super::file_records::{BatchAt, HeaderScan, SCAN_WINDOW, ScanError, crc_matches, read_range};
use super::leader_epoch_cache::LeaderEpochs;
use super::producer_state::{CompletedTransaction, ProducerStates};
use super::segment::{IndexBuilder, Indexes, Segment};
use super::transaction_index::AbortedTransaction;
use super::{AppendOrigin, LogError, LogOffsetMetadata, Producers};

/// Control batches hold a marker or a few voters; anything longer is not read into memory.
const MAX_CONTROL_BATCH: usize = 1024 * 1024;

/// Segments and where they come from.
pub(crate) struct Source<'a> {
    pub dir: &'a Path,
    pub tp: &'a TopicPartition,
    pub segments: &'a [Arc<Segment>],
}

/// What reading a segment through has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub next_offset: i64,
    /// Bytes cut off the end.
    pub truncated: u64,
}

/// Reads one segment through, cuts it at the first bad batch and makes its indexes anew.
pub(crate) fn recover_segment(
    segment: &Segment,
    tp: &TopicPartition,
    states: &mut ProducerStates,
    epochs: &LeaderEpochs,
    index_interval_bytes: i32,
) -> io::Result<Recovered> {
    let (file, size) = (segment.file()?, segment.size());
    let mut indexes = Indexes::default();
    let mut builder = IndexBuilder::new(index_interval_bytes);
    let (mut aborted, mut buffer) = (Vec::new(), Vec::new());
    let (mut valid, mut next_offset) = (0, segment.base_offset());
    let mut scan = HeaderScan::new(&file, 0, size, SCAN_WINDOW);
    loop {
        let batch = match scan.next() {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(ScanError::Io(error)) => return Err(error),
            Err(ScanError::Corrupt { position, error }) => {
                refuse_old_format(&file, position, size, error)?;
                break;
            }
        };
        let header = &batch.header;
        let in_order = header.base_offset >= next_offset && header.last_offset_delta >= 0;
        if !in_order || !crc_matches(&file, &batch, &mut buffer)? {
            tracing::warn!(%tp, offset = header.base_offset, position = batch.position, "bad batch");
            break;
        }
        if !segment.can_hold(header.last_offset()) {
            return Err(invalid(format!(
                "segment {} of {tp} holds offset {}, too far from its base",
                segment.base_offset(),
                header.last_offset()
            )));
        }
        builder.add(segment, &mut indexes, header, batch.position);
        if header.partition_leader_epoch >= 0
            && epochs
                .latest()
                .is_none_or(|last| header.partition_leader_epoch > last.epoch)
        {
            epochs.assign(header.partition_leader_epoch, header.base_offset);
        }
        if let Some(completed) = replay(&file, &batch, states, tp)? {
            if completed.is_aborted {
                aborted.push(AbortedTransaction {
                    producer_id: completed.producer_id,
                    first_offset: completed.first_offset,
                    last_offset: completed.last_offset,
                    last_stable_offset: states.last_stable_offset(&completed),
                });
            }
            states.complete(&completed);
        }
        valid = batch.end();
        next_offset = header.next_offset();
        states.set_map_end_offset(next_offset);
    }
    if valid < size {
        tracing::warn!(
            %tp, segment = segment.base_offset(), bytes = size - valid,
            "cutting incomplete or damaged records off the end of a segment"
        );
        file.set_len(valid)?;
        segment.set_size(valid);
    }
    let largest_entry = builder.largest(segment);
    if largest_entry.timestamp >= 0 {
        indexes.add_time(super::time_index::TimeEntry {
            timestamp: largest_entry.timestamp,
            relative_offset: segment.relative(largest_entry.offset),
        });
    }
    segment.replace_indexes(&indexes, aborted, largest_entry)?;
    Ok(Recovered {
        next_offset,
        truncated: size - valid,
    })
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// A batch of format 0 or 1 that is whole must not be taken for damage and cut off.
fn refuse_old_format(file: &File, position: u64, end: u64, error: BatchError) -> io::Result<()> {
    let BatchError::UnsupportedMagic(magic @ (0 | 1)) = error else {
        return Ok(());
    };
    let head = read_range(file, position, 16)?;
    let field =
        |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (len, stored) = (u64::from(field(8)), field(12));
    if position + 12 + len > end || len < 4 {
        return Ok(());
    }
    let content = read_range(file, position + 16, usize::try_from(len - 4).unwrap_or(0))?;
    if crc32_ieee(&content) == stored {
        return Err(invalid(format!(
            "records of message format {magic} are not supported"
        )));
    }
    Ok(())
}

fn crc32_ieee(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    };
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), step)
    })
}

/// Applies one batch of the log to the producers' state.
fn replay(
    file: &File,
    at: &BatchAt,
    states: &mut ProducerStates,
    tp: &TopicPartition,
) -> io::Result<Option<CompletedTransaction>> {
    let header = &at.header;
    if !header.has_producer_id() {
        return Ok(None);
    }
    let size = header.size_in_bytes();
    // Of a data batch only the header counts; its bytes stay on disk.
    let bytes = if header.is_control() && size <= MAX_CONTROL_BATCH {
        read_range(file, at.position, size)?
    } else {
        empty_copy(header)
    };
    let batch = Batch::parse(&bytes).map_err(|error| invalid(error.to_string()))?;
    let mut appends = Vec::new();
    let first_offset = LogOffsetMetadata::offset_only(header.base_offset);
    let completed = update_producers(
        states,
        &mut appends,
        (header, &batch),
        first_offset,
        AppendOrigin::Replication,
        None,
        tp,
    );
    match completed {
        Ok(completed) => {
            appends.iter().for_each(|append| states.update(append));
            Ok(completed)
        }
        Err(LogError::Rejected { message, .. }) => {
            // It was accepted when it was appended; the log must open all the same.
            tracing::warn!(%tp, offset = header.base_offset, message, "producer state not updated");
            Ok(None)
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

fn empty_copy(header: &kafka_shared::record::batch::BatchHeader) -> Vec<u8> {
    kafka_shared::record::builder::empty_batch(header).to_vec()
}

/// Loads the state of the producers at `end_offset`: from the newest snapshot, then from the batches behind it.
/// Snapshots that do not fit are removed. `expiry` is (now, expiration) in ms.
pub(crate) fn load_producers(
    producers: &mut Producers,
    source: &Source<'_>,
    log_start_offset: i64,
    end_offset: i64,
    (now_ms, expiration_ms): (i64, i64),
) -> io::Result<()> {
    let Producers { states, snapshots } = producers;
    snapshots.retain_range(source.dir, log_start_offset, end_offset)?;
    states.reset(log_start_offset);
    snapshots.load_latest(source.dir, states, log_start_offset, |entry| {
        !ProducerStates::is_expired(entry, now_ms, expiration_ms)
    })?;
    for segment in source.segments {
        let from = states.map_end_offset();
        if segment.size() == 0 || from >= end_offset {
            continue;
        }
        let Some(first) = segment.find(from)? else {
            continue;
        };
        let file = segment.file()?;
        let mut scan = HeaderScan::new(&file, first.position, segment.size(), SCAN_WINDOW);
        while let Some(batch) = scan.next()? {
            if batch.header.last_offset() >= end_offset {
                break;
            }
            if let Some(completed) = replay(&file, &batch, states, source.tp)? {
                states.complete(&completed);
            }
            states.set_map_end_offset(batch.header.next_offset());
        }
    }
    states.set_map_end_offset(end_offset);
    Ok(())
}
