//! Finds a batch in the log that its producer sends again after it has stored many more.
//!
//! Of each producer only the last five batches are remembered. A Java producer may have more behind
//! one that it believes unanswered: five requests get lost on the way back from a leader that is
//! replaced, and until they time out its successor takes new batches, as it has those five from the
//! leader before. Then they are sent again, and whoever answers that they are out of order makes the
//! producer send them for ever: it starts anew only if the batch is the next one after those that
//! were acknowledged. After a restart, too, a snapshot tells one batch of each producer only.
//!
//! Differs from Kafka: Kafka answers OUT_OF_ORDER_SEQUENCE_NUMBER to all but the last five (and
//! after a restart to all but one), and the producer is stuck until its delivery time-out.
//!
//! How far the log is read back is bounded; nothing is read for a producer that is in order or ahead.

use std::io;
use std::sync::Arc;

use kafka_shared::record::batch::BatchHeader;

use super::file_records::{HeaderScan, LOOKUP_WINDOW};
use super::producer_state::{BatchMetadata, ProducerStateEntry};
use super::segment::Segment;

/// How many bytes of the log are looked through at most.
const SEARCH_BYTES: u64 = 32 << 20;
/// How many records before the remembered ones are looked at first; four times as many each time
/// that follows.
const FIRST_SPAN: i64 = 256;

/// What a stretch of the log says about the wanted batch.
enum Seen {
    Stored(BatchMetadata),
    /// Batches of the producer that come before the wanted one, but not that one.
    Earlier,
    Nothing,
}

/// How many sequence numbers `later` is ahead of `earlier`; negative if it is behind.
fn distance(earlier: i32, later: i32) -> i32 {
    // Sequence numbers have 31 bits and start again at zero.
    (later.wrapping_sub(earlier) << 1) >> 1
}

/// Whether a batch that is not in order is one that came before the last one of its producer.
pub(super) fn is_behind(entry: &ProducerStateEntry, header: &BatchHeader) -> bool {
    entry.producer_epoch == header.producer_epoch
        && header.base_sequence >= 0
        && !entry.batches.as_slice().is_empty()
        && distance(header.last_sequence(), entry.last_sequence()) > 0
}

/// The batch of the log with the producer, epoch and sequence numbers of `wanted`, among those
/// before offset `before` (exclusive).
///
/// # Errors
/// If the log can't be read.
pub(super) fn find(
    segments: &[Arc<Segment>],
    wanted: &BatchHeader,
    before: i64,
) -> io::Result<Option<BatchMetadata>> {
    let mut bytes = SEARCH_BYTES;
    let (mut until, mut span) = (before, FIRST_SPAN);
    for segment in segments.iter().rev() {
        if segment.base_offset() >= until {
            continue;
        }
        let mut end = segment
            .find(until)?
            .map_or(segment.size(), |at| at.position);
        while end > 0 {
            until = until.saturating_sub(span).max(segment.base_offset());
            span = span.saturating_mul(4);
            let start = segment.find(until)?.map_or(0, |at| at.position).min(end);
            match look(segment, start, end, wanted)? {
                Seen::Stored(batch) => return Ok(Some(batch)),
                Seen::Earlier => return Ok(None),
                Seen::Nothing => {}
            }
            let Some(left) = bytes.checked_sub(end - start) else {
                return Ok(None);
            };
            (bytes, end) = (left, start);
        }
        until = segment.base_offset();
    }
    Ok(None)
}

fn look(segment: &Segment, start: u64, end: u64, wanted: &BatchHeader) -> io::Result<Seen> {
    let file = segment.file()?;
    let mut scan = HeaderScan::new(&file, start, end, LOOKUP_WINDOW);
    let mut seen = Seen::Nothing;
    while let Some(at) = scan.next()? {
        let header = &at.header;
        if header.producer_id != wanted.producer_id || header.is_control() {
            continue;
        }
        if header.producer_epoch != wanted.producer_epoch
            || distance(header.base_sequence, wanted.base_sequence) > 0
        {
            seen = Seen::Earlier;
        } else if header.base_sequence == wanted.base_sequence
            && header.last_offset_delta == wanted.last_offset_delta
        {
            return Ok(Seen::Stored(BatchMetadata::of(header)));
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_start_again_at_zero() {
        const MAX: i32 = i32::MAX;
        for (earlier, later, expected) in [
            (0, 5, 5),
            (5, 0, -5),
            (7, 7, 0),
            (MAX, 0, 1),
            (0, MAX, -1),
            (MAX - 2, 3, 6),
        ] {
            assert_eq!(distance(earlier, later), expected, "{earlier} {later}");
        }
    }
}
