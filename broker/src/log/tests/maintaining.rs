//! Retention, truncation, deletion, flush.

use super::*;

/// Segments of two one-record batches each, `count` batches, 10 ms apart; everything replicated.
fn segmented(fixture: &Fixture, count: i64) -> Arc<Log> {
    let log = fixture.open_clean();
    for i in 0..count {
        append(&log, &batch_at(NOW_MS + 10 * i, &[&format!("{i:02}")]));
    }
    log.update_high_watermark(count);
    log
}

fn two_per_segment(edit: impl FnOnce(&mut LogConfig)) -> Fixture {
    let size = batch(&["00"]).len() as i32;
    Fixture::with(|config| {
        config.segment_bytes = 2 * size;
        edit(config);
    })
}

#[test]
fn retention_removes_segments_renames_their_files_and_deletes_them_later() {
    let fixture = two_per_segment(|config| {
        config.retention_ms = 1000;
        config.file_delete_delay_ms = 500;
    });
    let log = segmented(&fixture, 7);
    assert_eq!(log.delete_old_segments().unwrap(), 0);
    fixture.clock.advance_ms(1031);
    assert_eq!(log.delete_old_segments().unwrap(), 2);
    assert_eq!((log.log_start_offset(), log.number_of_segments()), (4, 2));
    let logs = fixture.files(".log.deleted");
    assert_eq!(
        logs,
        [
            "00000000000000000000.log.deleted",
            "00000000000000000002.log.deleted"
        ]
    );
    assert!(
        !fixture
            .files(".snapshot")
            .contains(&"00000000000000000002.snapshot".to_owned())
    );
    let now = || Clock::wall_ms(&*fixture.clock);
    fixture.clock.advance_ms(499);
    assert_eq!(fixture.context.deletions.remove_due(now()).unwrap(), 0);
    fixture.clock.advance_ms(1);
    assert!(fixture.context.deletions.remove_due(now()).unwrap() >= 6);
    assert!(fixture.files(".deleted").is_empty());
    assert_eq!(
        read_all(&log)
            .iter()
            .map(|(offset, _)| *offset)
            .collect::<Vec<_>>(),
        [4, 5, 6]
    );
}

#[test]
fn when_everything_is_too_old_an_empty_segment_goes_on_at_the_end() {
    let fixture = two_per_segment(|config| config.retention_ms = 10);
    let log = segmented(&fixture, 4);
    fixture.clock.advance_ms(100_000);
    assert_eq!(log.delete_old_segments().unwrap(), 2);
    assert_eq!(
        (log.log_start_offset(), log.log_end_offset(), log.size()),
        (4, 4, 0)
    );
    assert_eq!(append(&log, &batch(&["04"])).first_offset, 4);
    log.close().unwrap();
    assert_eq!(read_all(&fixture.open_clean()), [(4, "04".to_owned())]);
}

#[test]
fn a_compacted_topic_loses_nothing_but_what_lies_below_its_start() {
    let fixture = two_per_segment(|config| {
        (config.compact, config.delete) = (true, false);
        (config.retention_ms, config.retention_bytes) = (0, 0);
    });
    let log = segmented(&fixture, 6);
    fixture.clock.advance_ms(100_000);
    assert_eq!(log.delete_old_segments().unwrap(), 0);
    log.maybe_increment_log_start_offset(3).unwrap();
    assert_eq!(log.delete_old_segments().unwrap(), 1);
    assert_eq!(log.log_start_offset(), 3);
}

#[test]
fn records_cannot_be_deleted_beyond_the_high_watermark() {
    let fixture = two_per_segment(|_| {});
    let log = segmented(&fixture, 4);
    log.append_as_leader(&batch(&["04"]), 0, AppendOrigin::Client)
        .unwrap();
    let error = log.maybe_increment_log_start_offset(5).unwrap_err();
    assert_eq!(error.code(), ErrorCode::OFFSET_OUT_OF_RANGE);
    assert!(log.maybe_increment_log_start_offset(4).unwrap());
    assert!(!log.maybe_increment_log_start_offset(2).unwrap());
    assert_eq!(log.epoch_entries()[0].start_offset, 4);
}

#[test]
fn truncation_keeps_exactly_the_batches_below_the_offset() {
    for target in 0..=13 {
        let size = batch(&["00", "01"]).len() as i32;
        let fixture = Fixture::with(|config| {
            config.segment_bytes = 2 * size;
            config.index_interval_bytes = 0;
        });
        let log = fixture.open_clean();
        for i in 0..6 {
            let values = [format!("{:02}", 2 * i), format!("{:02}", 2 * i + 1)];
            let records = batch_at(NOW_MS + 100 - i, &[&values[0], &values[1]]);
            log.append_as_leader(&records, i as i32 / 2, AppendOrigin::Client)
                .unwrap();
        }
        log.update_high_watermark(12);
        let kept = target.min(12) / 2 * 2;
        assert_eq!(log.truncate_to(target).unwrap(), target < 12, "to {target}");
        assert_eq!(read_all(&log).len() as i64, kept, "to {target}");
        let end = log.log_end_offset();
        // A target inside of a batch takes the whole batch away, as in Kafka, and leaves a gap.
        assert_eq!(end, target.min(12));
        assert!(log.high_watermark() <= end && log.recovery_point() <= end);
        assert!(
            log.epoch_entries()
                .iter()
                .all(|entry| entry.start_offset < end.max(1))
        );
        let info = log
            .append_as_leader(&batch(&["xx"]), 9, AppendOrigin::Client)
            .unwrap();
        assert_eq!(info.first_offset, end);
        let expected = read_all(&log);
        drop(log);
        let recovered = fixture.open_after_crash(0);
        assert_eq!(read_all(&recovered), expected, "to {target}");
        assert_eq!(recovered.log_end_offset(), end + 1);
        if kept > 0 {
            let max = recovered
                .offset_for_timestamp(timestamps::MAX)
                .unwrap()
                .unwrap();
            assert_eq!(max.offset, 0, "the first batch has the latest time");
        }
    }
}

#[test]
fn a_log_can_be_emptied_and_go_on_elsewhere() {
    let fixture = two_per_segment(|_| {});
    let log = segmented(&fixture, 5);
    log.truncate_fully_and_start_at(100, None).unwrap();
    assert_eq!(
        (
            log.log_start_offset(),
            log.high_watermark(),
            log.log_end_offset()
        ),
        (100, 100, 100)
    );
    assert!(log.epoch_entries().is_empty());
    assert_eq!(append(&log, &batch(&["aa"])).first_offset, 100);
    assert!(
        log.truncate_to(40).unwrap(),
        "below the first segment everything goes"
    );
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (40, 40));
    append(&log, &batch(&["bb"]));
    drop(log);
    assert_eq!(
        read_all(&fixture.open_after_crash(0)),
        [(40, "bb".to_owned())]
    );
}

#[test]
fn the_recovery_point_follows_a_flush_and_falls_with_a_truncation() {
    let fixture = two_per_segment(|_| {});
    let log = segmented(&fixture, 5);
    assert_eq!(log.recovery_point(), 0);
    log.flush_up_to(3, false).unwrap();
    assert_eq!(log.recovery_point(), 3);
    log.flush(false).unwrap();
    assert_eq!(log.recovery_point(), 5);
    log.truncate_to(2).unwrap();
    assert_eq!(log.recovery_point(), 2);
}

#[test]
fn flush_ms_is_kept() {
    let fixture = Fixture::with(|config| config.flush_ms = 100);
    let log = fixture.open_clean();
    append(&log, &batch(&["a"]));
    log.flush_if_needed(NOW_MS + 99).unwrap();
    assert_eq!(log.recovery_point(), 0);
    log.flush_if_needed(NOW_MS + 100).unwrap();
    assert_eq!(log.recovery_point(), 1);
}

#[test]
fn rolling_an_empty_segment_changes_nothing() {
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    log.roll(None).unwrap();
    log.roll(None).unwrap();
    assert_eq!(log.number_of_segments(), 1);
    append(&log, &batch(&["a"]));
    log.roll(None).unwrap();
    assert_eq!(
        (log.number_of_segments(), log.active_segment_base_offset()),
        (2, 1)
    );
    assert_eq!(append(&log, &batch(&["b"])).first_offset, 1);
    assert_eq!(read_all(&log).len(), 2);
}

#[test]
fn a_failing_disk_takes_the_folder_out_of_service() {
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    append(&log, &batch(&["a"]));
    std::fs::remove_dir_all(fixture.path()).unwrap();
    assert_eq!(
        log.roll(None).unwrap_err().code(),
        ErrorCode::KAFKA_STORAGE_ERROR
    );
    assert!(fixture.context.dir.is_offline());
    let refused = log.append_as_leader(&batch(&["b"]), 0, AppendOrigin::Client);
    assert_eq!(code(refused), ErrorCode::KAFKA_STORAGE_ERROR);
    let read = log.read(0, 100, FetchIsolation::LogEnd, true);
    assert_eq!(read.unwrap_err().code(), ErrorCode::KAFKA_STORAGE_ERROR);
}
