//! Disks that are full or broken.

use super::super::fsx::faults;
use super::*;

/// A log whose appends write to all kinds of files: data and both indexes.
fn fixture() -> Fixture {
    Fixture::with(|config| config.index_interval_bytes = 0)
}

fn file_sizes(fixture: &Fixture) -> Vec<(String, u64)> {
    let suffixes = [".log", ".index", ".timeindex"];
    let names = suffixes.iter().flat_map(|suffix| fixture.files(suffix));
    names
        .map(|name| {
            let size = std::fs::metadata(fixture.path().join(&name)).unwrap().len();
            (name, size)
        })
        .collect()
}

#[test]
fn a_full_disk_refuses_an_append_whole_and_the_log_goes_on_when_there_is_room() {
    let needed = producer_batch(1, 0, 0, 1).len() + 8 + 12;
    for room in 0..needed {
        let fixture = fixture();
        let log = fixture.open_clean();
        append(&log, &producer_batch(1, 0, 0, 1));
        append(&log, &producer_batch(1, 0, 1, 1));
        let before = (file_sizes(&fixture), read_all(&log), log.log_end_offset());
        faults::set_room(Some(room));
        let mut records = BatchBuilder::new().with_producer(1, 0, 2);
        records.append(NOW_MS + 1, None, Some(b"v"), &[]).unwrap();
        let records = records.build();
        let refused = log.append_as_leader(&records, 0, AppendOrigin::Client);
        faults::set_room(None);
        assert_eq!(
            code(refused),
            ErrorCode::KAFKA_STORAGE_ERROR,
            "room for {room}"
        );
        let after = (file_sizes(&fixture), read_all(&log), log.log_end_offset());
        assert_eq!(after, before, "room for {room}");
        assert!(!fixture.context.dir.is_offline());
        let info = append(&log, &records);
        assert_eq!(
            (info.first_offset, info.is_duplicate),
            (2, false),
            "the producer tries again"
        );
        let expected = read_all(&log);
        drop(log);
        assert_eq!(read_all(&fixture.open_after_crash(0)), expected);
    }
}

#[test]
fn a_failed_fsync_is_not_tried_again() {
    let fixture = fixture();
    let log = fixture.open_clean();
    append(&log, &batch(&["a"]));
    faults::set_sync_fails(true);
    let error = log.flush(false).unwrap_err();
    faults::set_sync_fails(false);
    assert_eq!(error.code(), ErrorCode::KAFKA_STORAGE_ERROR);
    assert!(fixture.context.dir.is_offline());
    assert_eq!(log.recovery_point(), 0);
    assert!(log.flush(false).is_err(), "what was written may be gone");
}
