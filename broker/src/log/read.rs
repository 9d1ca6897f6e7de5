//! Reading: fetches, look-ups by timestamp, offsets.
//!
//! Readers take no lock that a writer holds across I/O. A reader that raced with retention (the segment it
//! found was removed) starts over on the new list.
//! Kafka: `UnifiedLog.read`, `LocalLog.read`, `UnifiedLog.fetchOffsetByTimestamp`.

use std::io;
use std::sync::Arc;

use super::error::LogError;
use super::file_records::{BatchAt, FileSlice, HeaderScan, LOOKUP_WINDOW};
use super::segment::Segment;
use super::segments::Segments;
use super::{
    AbortedTransaction, FetchData, FetchIsolation, Log, LogOffsetMetadata, LogOffsetSnapshot,
    Offsets, TimestampAndOffset, timestamps,
};

/// How often a reader that lost its segment to retention starts over.
const ATTEMPTS: usize = 3;

impl Log {
    /// Reads whole batches from `start_offset` on, at most `max_bytes` of them, or the first one whatever its
    /// size with `min_one_batch`. `start_offset` may lie inside of the first batch.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] below the log start or above the log end.
    pub fn read(
        &self,
        start_offset: i64,
        max_bytes: usize,
        isolation: FetchIsolation,
        min_one_batch: bool,
    ) -> Result<FetchData, LogError> {
        self.retry_lost_segment(|| self.try_read(start_offset, max_bytes, isolation, min_one_batch))
    }

    fn try_read(
        &self,
        start_offset: i64,
        max_bytes: usize,
        isolation: FetchIsolation,
        min_one_batch: bool,
    ) -> io::Result<Result<FetchData, LogError>> {
        let mut offsets = *self.offsets.read();
        let log_end = offsets.log_end.message_offset;
        let segments = self.segments.load();
        let floor = segments.floor_index(start_offset);
        let (Some(floor), true) = (
            floor,
            start_offset >= offsets.log_start_offset && start_offset <= log_end,
        ) else {
            return Ok(Err(LogError::OffsetOutOfRange {
                offset: start_offset,
                log_start_offset: offsets.log_start_offset,
                log_end_offset: log_end,
            }));
        };
        let limit = self.resolve_limit(&segments, &mut offsets, isolation)?;
        let committed = isolation == FetchIsolation::TxnCommitted;
        let nothing = |at| fetch_data(&offsets, at, None, committed.then(Vec::new));
        if start_offset >= limit.message_offset {
            let at = if start_offset == limit.message_offset {
                limit
            } else {
                locate(&segments, &offsets, start_offset)?
            };
            return Ok(Ok(nothing(at)));
        }
        for (index, segment) in segments.from(floor).iter().enumerate() {
            let Some(first) = segment.find(start_offset)? else {
                continue;
            };
            let end = readable_end(segment, &limit);
            let at = LogOffsetMetadata {
                message_offset: start_offset,
                segment_base_offset: segment.base_offset(),
                relative_position: i64::try_from(first.position).unwrap_or(-1),
            };
            if end <= first.position {
                return Ok(Ok(nothing(at)));
            }
            let first_size = first.header.size_in_bytes();
            let max_bytes = if min_one_batch {
                max_bytes.max(first_size)
            } else {
                max_bytes
            };
            if max_bytes < first_size {
                let data = nothing(at);
                return Ok(Ok(FetchData {
                    first_entry_incomplete: max_bytes > 0,
                    ..data
                }));
            }
            let next = segments.get(floor + index + 1);
            let cut = cut_at_batch(segment, &first, max_bytes, end, &limit, next)?;
            let slice = FileSlice {
                file: segment.file()?,
                position: first.position,
                len: usize::try_from(cut.end - first.position).unwrap_or(usize::MAX),
            };
            let aborted = match committed {
                true => Some(collect_aborted(
                    segments.from(floor + index),
                    start_offset,
                    cut.next_offset,
                )?),
                false => None,
            };
            return Ok(Ok(fetch_data(&offsets, at, Some(slice), aborted)));
        }
        Ok(Ok(nothing(offsets.log_end)))
    }

    /// The offset up to which may be read, with its place. A place that is not known is looked up and kept.
    fn resolve_limit(
        &self,
        segments: &Segments,
        offsets: &mut Offsets,
        isolation: FetchIsolation,
    ) -> io::Result<LogOffsetMetadata> {
        if isolation == FetchIsolation::LogEnd {
            return Ok(offsets.log_end);
        }
        if offsets.high_watermark.is_offset_only() {
            let found = locate(segments, offsets, offsets.high_watermark.message_offset)?;
            offsets.high_watermark = found;
            let mut current = self.offsets.write();
            if current.high_watermark == LogOffsetMetadata::offset_only(found.message_offset) {
                current.high_watermark = found;
            }
        }
        if isolation == FetchIsolation::HighWatermark {
            return Ok(offsets.high_watermark);
        }
        let stable = offsets.last_stable_offset();
        if !stable.is_offset_only() {
            return Ok(stable);
        }
        let found = locate(segments, offsets, stable.message_offset)?;
        let mut current = self.offsets.write();
        if current.first_unstable == Some(stable) {
            current.first_unstable = Some(found);
        }
        Ok(found)
    }

    /// The offsets of this moment, with their places.
    pub fn fetch_offset_snapshot(&self) -> Result<LogOffsetSnapshot, LogError> {
        self.retry_lost_segment(|| {
            let mut offsets = *self.offsets.read();
            let segments = self.segments.load();
            let last_stable_offset =
                self.resolve_limit(&segments, &mut offsets, FetchIsolation::TxnCommitted)?;
            Ok(Ok(LogOffsetSnapshot {
                log_start_offset: offsets.log_start_offset,
                log_end_offset: offsets.log_end,
                high_watermark: offsets.high_watermark,
                last_stable_offset,
            }))
        })
    }

    /// The place of an offset; without place when it lies outside of the log.
    pub fn maybe_convert_to_offset_metadata(
        &self,
        offset: i64,
    ) -> Result<LogOffsetMetadata, LogError> {
        self.retry_lost_segment(|| {
            let offsets = *self.offsets.read();
            locate(&self.segments.load(), &offsets, offset).map(Ok)
        })
    }

    /// Answers ListOffsets without isolation: the special values of [`timestamps`], or the first record whose
    /// timestamp is at least `target`.
    pub fn offset_for_timestamp(
        &self,
        target: i64,
    ) -> Result<Option<TimestampAndOffset>, LogError> {
        let offsets = *self.offsets.read();
        let special = |offset, leader_epoch| {
            Ok(Some(TimestampAndOffset {
                timestamp: -1,
                offset,
                leader_epoch,
            }))
        };
        match target {
            timestamps::EARLIEST | timestamps::EARLIEST_LOCAL => {
                let start = offsets.log_start_offset;
                let first = self
                    .epochs
                    .earliest()
                    .filter(|entry| entry.start_offset <= start);
                special(start, first.map(|entry| entry.epoch))
            }
            timestamps::LATEST => special(offsets.log_end.message_offset, self.latest_epoch()),
            // Without tiered storage nothing is tiered.
            timestamps::LATEST_TIERED | timestamps::EARLIEST_PENDING_UPLOAD => {
                special(-1, Some(-1))
            }
            timestamps::MAX => self.retry_lost_segment(|| {
                let segments = self.segments.load();
                let mut best: Option<(&Arc<Segment>, i64)> = None;
                for segment in segments.iter() {
                    let timestamp = segment.largest()?.timestamp;
                    if best.is_none_or(|(_, largest)| timestamp > largest) {
                        best = Some((segment, timestamp));
                    }
                }
                best.map_or(Ok(None), |(segment, _)| segment.find_largest_timestamp())
                    .map(Ok)
            }),
            _ => self.retry_lost_segment(|| {
                for segment in self.segments.load().iter() {
                    if segment.largest_or_modified_ms()? >= target {
                        let found = segment.find_by_timestamp(target, offsets.log_start_offset)?;
                        return Ok(Ok(found));
                    }
                }
                Ok(Ok(None))
            }),
        }
    }

    /// The transactions aborted within `[start_offset, upper_bound)`.
    pub fn collect_aborted_transactions(
        &self,
        start_offset: i64,
        upper_bound: i64,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        self.retry_lost_segment(|| {
            let segments = self.segments.load();
            let floor = segments.floor_index(start_offset).unwrap_or(0);
            collect_aborted(segments.from(floor), start_offset, upper_bound).map(Ok)
        })
    }

    /// Runs a read; starts over when a segment vanished under it, and takes the folder out of service when the
    /// disk fails.
    fn retry_lost_segment<T>(
        &self,
        read: impl Fn() -> io::Result<Result<T, LogError>>,
    ) -> Result<T, LogError> {
        self.context.dir.check_online()?;
        let what = format!("cannot read {}", self.topic_partition);
        for attempt in 1.. {
            match read() {
                Ok(result) => return result,
                Err(error) if is_lost_segment(&error) => {
                    if attempt == ATTEMPTS {
                        // The log was truncated or deleted while it was read; that is no fault of the disk.
                        return Err(LogError::storage(&what, &error));
                    }
                }
                // Bytes that are no batch: the disk works, this log is damaged.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::error!(tp = %self.topic_partition, %error, "damaged log");
                    return Err(LogError::rejected(
                        kafka_shared::error::ErrorCode::CORRUPT_MESSAGE,
                        format!("{what}: {error}"),
                    ));
                }
                Err(error) => return Err(self.context.dir.fail(&what, &error)),
            }
        }
        unreachable!("the loop ends by returning")
    }
}

fn is_lost_segment(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
    )
}

fn fetch_data(
    offsets: &Offsets,
    fetch_offset: LogOffsetMetadata,
    records: Option<FileSlice>,
    aborted_transactions: Option<Vec<AbortedTransaction>>,
) -> FetchData {
    FetchData {
        fetch_offset,
        records,
        first_entry_incomplete: false,
        aborted_transactions,
        log_start_offset: offsets.log_start_offset,
        high_watermark: offsets.high_watermark.message_offset,
        last_stable_offset: offsets.last_stable_offset().message_offset,
        log_end_offset: offsets.log_end.message_offset,
    }
}

/// The place of `offset`; without place when it lies outside of the log.
fn locate(segments: &Segments, offsets: &Offsets, offset: i64) -> io::Result<LogOffsetMetadata> {
    if offset == offsets.log_end.message_offset {
        return Ok(offsets.log_end);
    }
    if offset > offsets.log_end.message_offset {
        return Ok(LogOffsetMetadata::offset_only(offset));
    }
    let Some(floor) = segments.floor_index(offset) else {
        return Ok(LogOffsetMetadata::offset_only(offset));
    };
    for segment in segments.from(floor) {
        if let Some(batch) = segment.find(offset)? {
            return Ok(LogOffsetMetadata {
                message_offset: offset,
                segment_base_offset: segment.base_offset(),
                relative_position: i64::try_from(batch.position).unwrap_or(-1),
            });
        }
    }
    Ok(LogOffsetMetadata::offset_only(offset))
}

/// The position in a segment up to which may be read.
fn readable_end(segment: &Segment, limit: &LogOffsetMetadata) -> u64 {
    if segment.base_offset() < limit.segment_base_offset {
        segment.size()
    } else if segment.base_offset() == limit.segment_base_offset {
        u64::try_from(limit.relative_position)
            .unwrap_or(0)
            .min(segment.size())
    } else {
        0
    }
}

/// Where a read ends.
struct Cut {
    end: u64,
    /// At least the offset behind the last batch.
    next_offset: i64,
}

/// The last batch boundary within `max_bytes` of the first batch. The index names a boundary close to it,
/// so that only what follows is walked.
fn cut_at_batch(
    segment: &Segment,
    first: &BatchAt,
    max_bytes: usize,
    readable_end: u64,
    limit: &LogOffsetMetadata,
    next_segment: Option<&Arc<Segment>>,
) -> io::Result<Cut> {
    let wanted_end = first.position.saturating_add(max_bytes as u64);
    if wanted_end >= readable_end {
        let next_offset = if segment.base_offset() == limit.segment_base_offset {
            limit.message_offset
        } else {
            next_segment.map_or(limit.message_offset, |next| next.base_offset())
        };
        return Ok(Cut {
            end: readable_end,
            next_offset,
        });
    }
    let mut cut = Cut {
        end: first.end(),
        next_offset: first.header.next_offset(),
    };
    if let Some(entry) = segment.index_entry_before(wanted_end)?
        && entry.position as u64 > cut.end
    {
        // The entry's batch starts there, so the batch before it ends there.
        cut = Cut {
            end: entry.position as u64,
            next_offset: segment.base_offset() + i64::from(entry.relative_offset),
        };
    }
    let file = segment.file()?;
    let mut scan = HeaderScan::new(&file, cut.end, readable_end, LOOKUP_WINDOW);
    while let Some(batch) = scan.next()? {
        if batch.end() > wanted_end {
            break;
        }
        cut = Cut {
            end: batch.end(),
            next_offset: batch.header.next_offset(),
        };
    }
    Ok(cut)
}

fn collect_aborted(
    segments: &[Arc<Segment>],
    start_offset: i64,
    upper_bound: i64,
) -> io::Result<Vec<AbortedTransaction>> {
    let mut found = Vec::new();
    for segment in segments {
        if segment.collect_aborted(start_offset, upper_bound, &mut found)? {
            break;
        }
    }
    Ok(found)
}
