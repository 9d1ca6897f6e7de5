//! What a read returns, and look-ups by timestamp.

use super::*;

/// Ten batches of two records in segments of three batches, one millisecond apart.
fn ten_batches(fixture: &Fixture) -> Arc<Log> {
    let log = fixture.open_clean();
    for i in 0..10 {
        let values = [format!("{:02}", 2 * i), format!("{:02}", 2 * i + 1)];
        append(&log, &batch_at(NOW_MS + i, &[&values[0], &values[1]]));
    }
    log
}

fn fixture() -> Fixture {
    let size = batch(&["00", "01"]).len() as i32;
    Fixture::with(|config| {
        config.segment_bytes = 3 * size;
        config.index_interval_bytes = 0;
    })
}

#[test]
fn every_offset_and_limit_returns_whole_batches_from_the_one_that_holds_the_offset() {
    let fixture = fixture();
    let log = ten_batches(&fixture);
    let size = batch(&["00", "01"]).len();
    for start in 0..20i64 {
        for max_bytes in [
            0,
            1,
            size - 1,
            size,
            size + 1,
            2 * size,
            3 * size,
            100 * size,
        ] {
            let in_segment = (start / 2) % 3;
            let left = if start / 2 == 9 {
                1
            } else {
                3 - in_segment as usize
            };
            let expected = (max_bytes / size).min(left);
            for min_one_batch in [false, true] {
                let expected = if min_one_batch {
                    expected.max(1)
                } else {
                    expected
                };
                let data = log
                    .read(start, max_bytes, FetchIsolation::LogEnd, min_one_batch)
                    .unwrap();
                assert_eq!(
                    data.len(),
                    expected * size,
                    "{start} {max_bytes} {min_one_batch}"
                );
                assert_eq!(data.first_entry_incomplete, max_bytes > 0 && expected == 0);
                if expected > 0 {
                    let bytes = data.read().unwrap();
                    let first = batches(&bytes).next().unwrap().unwrap();
                    assert_eq!(first.base_offset(), start / 2 * 2);
                }
            }
        }
    }
}

#[test]
fn a_sparse_index_or_none_at_all_gives_the_same_reads() {
    let size = batch(&["00", "01"]).len();
    let mut reads = Vec::new();
    for interval in [0, 100, 4096] {
        let fixture = Fixture::with(|config| config.index_interval_bytes = interval);
        let log = ten_batches(&fixture);
        let mut of_this = Vec::new();
        for reopened in [log.clone(), {
            log.close().unwrap();
            fixture.open_clean()
        }] {
            for start in 0..20 {
                for max_bytes in (0..12 * size).step_by(37) {
                    let data = reopened
                        .read(start, max_bytes, FetchIsolation::LogEnd, false)
                        .unwrap();
                    of_this.push((start, data.read().unwrap()));
                }
            }
        }
        reads.push(of_this);
    }
    assert_eq!(reads[0], reads[1]);
    assert_eq!(reads[0], reads[2]);
    assert_eq!(
        reads[0][..reads[0].len() / 2],
        reads[0][reads[0].len() / 2..]
    );
}

#[test]
fn isolation_limits_what_is_seen() {
    let fixture = fixture();
    let log = ten_batches(&fixture);
    let seen = |isolation, start| {
        log.read(start, 1 << 20, isolation, true)
            .map(|data| data.len())
            .map_err(|error| error.code())
    };
    assert_eq!(seen(FetchIsolation::HighWatermark, 0), Ok(0));
    assert_eq!(log.update_high_watermark(4), 4);
    let size = batch(&["00", "01"]).len();
    assert_eq!(seen(FetchIsolation::HighWatermark, 0), Ok(2 * size));
    assert_eq!(seen(FetchIsolation::HighWatermark, 4), Ok(0));
    assert_eq!(seen(FetchIsolation::HighWatermark, 15), Ok(0));
    assert_eq!(seen(FetchIsolation::LogEnd, 20), Ok(0));
    assert_eq!(
        seen(FetchIsolation::LogEnd, 21),
        Err(ErrorCode::OFFSET_OUT_OF_RANGE)
    );
    assert_eq!(log.update_high_watermark(100), 20, "clipped to the log end");
    assert!(log.maybe_increment_log_start_offset(7).unwrap());
    assert_eq!(
        seen(FetchIsolation::HighWatermark, 6),
        Err(ErrorCode::OFFSET_OUT_OF_RANGE)
    );
    assert_eq!(seen(FetchIsolation::HighWatermark, 7), Ok(3 * size));
    let snapshot = log.fetch_offset_snapshot().unwrap();
    assert_eq!(snapshot.high_watermark, snapshot.log_end_offset);
    assert_eq!(snapshot.log_start_offset, 7);
}

#[test]
fn the_high_watermark_gets_its_place_so_that_bytes_can_be_counted() {
    let fixture = fixture();
    let log = ten_batches(&fixture);
    let size = batch(&["00", "01"]).len() as i64;
    log.update_high_watermark(10);
    let snapshot = log.fetch_offset_snapshot().unwrap();
    let place = |offset| log.maybe_convert_to_offset_metadata(offset).unwrap();
    assert_eq!(snapshot.high_watermark, place(10));
    assert_eq!(
        (place(10).segment_base_offset, place(10).relative_position),
        (6, 2 * size)
    );
    assert_eq!(place(10).position_diff(&place(6)), 2 * size);
    assert!(place(4).on_older_segment(&place(6)));
    assert!(place(50).is_offset_only());
    let old = log.maybe_increment_high_watermark(place(12)).unwrap();
    assert_eq!(old.message_offset, 10);
    assert_eq!(log.maybe_increment_high_watermark(place(8)), None);
}

#[test]
fn timestamps_find_the_first_record_that_is_not_older() {
    let fixture = fixture();
    let log = fixture.open_clean();
    // Times go back and forth: 0, 50, 20, 70, 70, 10, then a record without a time.
    for offset in [0, 50, 20, 70, 70, 10] {
        append(&log, &batch_at(NOW_MS + offset, &["00", "01"]));
    }
    append(&log, &batch_at(-1, &["00", "01"]));
    log.update_high_watermark(14);
    let find = |timestamp| {
        log.offset_for_timestamp(timestamp)
            .unwrap()
            .map(|found| found.offset)
    };
    let reopened = |log: &Log| {
        log.close().unwrap();
        fixture.open_clean()
    };
    assert_eq!(find(NOW_MS - 5), Some(0));
    assert_eq!(find(NOW_MS + 1), Some(2));
    assert_eq!(find(NOW_MS + 50), Some(2));
    assert_eq!(find(NOW_MS + 51), Some(6));
    assert_eq!(find(NOW_MS + 71), None);
    assert_eq!(find(timestamps::MAX), Some(6));
    assert_eq!(find(timestamps::EARLIEST), Some(0));
    assert_eq!(find(timestamps::LATEST), Some(14));
    assert_eq!(find(timestamps::EARLIEST_LOCAL), Some(0));
    assert_eq!(find(timestamps::LATEST_TIERED), Some(-1));
    log.maybe_increment_log_start_offset(3).unwrap();
    assert_eq!(find(NOW_MS + 1), Some(3));
    assert_eq!(find(timestamps::EARLIEST), Some(3));
    let log = reopened(&log);
    let find = |timestamp| {
        log.offset_for_timestamp(timestamp)
            .unwrap()
            .map(|found| found.offset)
    };
    assert_eq!((find(NOW_MS + 51), find(NOW_MS + 71)), (Some(6), None));
    let max = log.offset_for_timestamp(timestamps::MAX).unwrap().unwrap();
    assert_eq!(
        (max.offset, max.timestamp, max.leader_epoch),
        (6, NOW_MS + 70, Some(0))
    );
}

#[test]
fn an_empty_log_has_no_timestamps() {
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    assert_eq!(log.offset_for_timestamp(timestamps::MAX).unwrap(), None);
    assert_eq!(log.offset_for_timestamp(0).unwrap(), None);
}

#[test]
fn a_reader_keeps_its_slice_when_retention_removes_the_segment() {
    let fixture = fixture();
    let log = ten_batches(&fixture);
    log.update_high_watermark(20);
    let old = log.read(0, 1 << 20, FetchIsolation::LogEnd, true).unwrap();
    let expected = old.read().unwrap();
    log.maybe_increment_log_start_offset(12).unwrap();
    assert_eq!(log.delete_old_segments().unwrap(), 2);
    assert_eq!(old.read().unwrap(), expected);
    fixture.clock.advance_ms(60_000);
    let now = Clock::wall_ms(&*fixture.clock);
    fixture.context.deletions.remove_due(now).unwrap();
    assert_eq!(
        old.read().unwrap(),
        expected,
        "the open file outlives its name"
    );
    assert_eq!(fixture.files(".deleted").len(), 0);
    assert_eq!(read_all(&log)[0].0, 12);
}
