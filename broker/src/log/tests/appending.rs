//! What an append assigns, answers and leaves in the files.

use kafka_shared::record::TimestampType;
use kafka_shared::record::batch::Batch;
use kafka_shared::record::compression::Compression;

use super::*;

#[test]
fn offsets_and_epochs_are_assigned_and_the_producers_bytes_are_kept() {
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    let sent = batch(&["a", "b", "c"]);
    let first = log
        .append_as_leader(&sent, 3, AppendOrigin::Client)
        .unwrap();
    let second = log
        .append_as_leader(&batch(&["d"]), 5, AppendOrigin::Client)
        .unwrap();
    assert_eq!((first.first_offset, first.last_offset), (0, 2));
    assert_eq!((second.first_offset, second.last_offset), (3, 3));
    assert_eq!(
        (
            first.log_append_time,
            first.max_timestamp,
            first.is_duplicate
        ),
        (-1, NOW_MS, false)
    );
    let stored = std::fs::read(fixture.path().join("00000000000000000000.log")).unwrap();
    let mut expected = sent.to_vec();
    expected[12..16].copy_from_slice(&3i32.to_be_bytes());
    assert_eq!(stored[..expected.len()], expected);
    let epochs: Vec<_> = log
        .epoch_entries()
        .iter()
        .map(|e| (e.epoch, e.start_offset))
        .collect();
    assert_eq!(epochs, [(3, 0), (5, 3)]);
    assert_eq!(log.end_offset_for_epoch(3), Some((3, 3)));
    assert_eq!(log.end_offset_for_epoch(5), Some((5, 4)));
    let file = std::fs::read_to_string(fixture.path().join("leader-epoch-checkpoint")).unwrap();
    assert_eq!(file, "0\n2\n3 0\n5 3\n");
}

#[test]
fn log_append_time_replaces_the_producers_time_and_keeps_the_checksum_right() {
    let fixture = Fixture::with(|config| {
        config.message_timestamp_type = TimestampType::LogAppendTime;
    });
    let log = fixture.open_clean();
    fixture.clock.advance_ms(500);
    let info = append(&log, &batch_at(5, &["a", "b"]));
    assert_eq!(
        (info.log_append_time, info.max_timestamp),
        (NOW_MS + 500, NOW_MS + 500)
    );
    let stored = log
        .read(0, 1000, FetchIsolation::LogEnd, true)
        .unwrap()
        .read()
        .unwrap();
    let stored = Batch::parse(&stored).unwrap();
    stored.check_crc().unwrap();
    assert_eq!(stored.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(
        (stored.max_timestamp(), stored.base_timestamp()),
        (NOW_MS + 500, 5)
    );
}

#[test]
fn another_codec_of_the_topic_recompresses_and_its_own_does_not() {
    let records = || {
        let mut builder = BatchBuilder::new()
            .with_producer(7, 0, 0)
            .with_compression(Compression::Gzip);
        for i in 0..20 {
            let headers = [("h", Some(&b"x"[..])), ("h", None)];
            builder
                .append(
                    NOW_MS + i,
                    Some(b"key"),
                    Some(b"value value value"),
                    &headers,
                )
                .unwrap();
        }
        builder.build()
    };
    for (policy, codec) in [
        (CompressionPolicy::Producer, Compression::Gzip),
        (
            CompressionPolicy::Codec(Compression::Gzip),
            Compression::Gzip,
        ),
        (CompressionPolicy::Codec(Compression::Lz4), Compression::Lz4),
        (
            CompressionPolicy::Codec(Compression::None),
            Compression::None,
        ),
    ] {
        let fixture = Fixture::with(|config| config.compression_type = policy);
        let log = fixture.open_clean();
        append(&log, &batch(&["before"]));
        let info = append(&log, &records());
        assert_eq!(
            (info.first_offset, info.last_offset, info.max_timestamp),
            (1, 20, NOW_MS + 19)
        );
        assert_eq!(info.source_compression, Compression::Gzip);
        let stored = log
            .read(1, 1 << 20, FetchIsolation::LogEnd, true)
            .unwrap()
            .read()
            .unwrap();
        let stored = Batch::parse(&stored).unwrap();
        stored.check_crc().unwrap();
        assert_eq!(stored.compression(), Ok(codec));
        assert_eq!(
            (
                stored.producer_id(),
                stored.base_sequence(),
                stored.record_count()
            ),
            (7, 0, 20)
        );
        if policy == CompressionPolicy::Producer {
            assert_eq!(
                stored.payload(),
                Batch::parse(&records()).unwrap().payload()
            );
        }
        for (i, record) in
            (0..).zip(&kafka_shared::record::iter::records(&stored, 1 << 20).unwrap())
        {
            let record = record.unwrap();
            assert_eq!((record.offset, record.timestamp), (1 + i, NOW_MS + i));
            let headers: Vec<_> = record.headers.iter().map(|h| (h.key, h.value)).collect();
            assert_eq!(headers, [(&b"h"[..], Some(&b"x"[..])), (b"h", None)]);
        }
    }
}

#[test]
fn a_repeated_batch_is_answered_with_the_first_offsets_also_after_a_restart() {
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    let sent = producer_batch(9, 0, 0, 3);
    append(&log, &sent);
    append(&log, &producer_batch(9, 0, 3, 2));
    let repeated = append(&log, &sent);
    assert_eq!(
        (
            repeated.first_offset,
            repeated.last_offset,
            repeated.is_duplicate
        ),
        (0, 2, true)
    );
    assert_eq!(log.log_end_offset(), 5);
    log.close().unwrap();
    for log in [fixture.open_clean(), fixture.open_after_crash(0)] {
        let repeated = append(&log, &producer_batch(9, 0, 3, 2));
        assert_eq!((repeated.first_offset, repeated.is_duplicate), (3, true));
        let gap = log.append_as_leader(&producer_batch(9, 0, 6, 1), 0, AppendOrigin::Client);
        assert_eq!(code(gap), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert_eq!(log.log_end_offset(), 5);
    }
}

#[test]
fn a_follower_appends_what_continues_its_log_and_nothing_of_a_newer_leader() {
    let fixture = Fixture::new();
    let of_leader = Fixture::new();
    let leader = of_leader.open_clean();
    let follower = fixture.open_clean();
    for (epoch, value) in [(1, "a"), (1, "b"), (2, "c")] {
        leader
            .append_as_leader(&batch(&[value]), epoch, AppendOrigin::Client)
            .unwrap();
    }
    let fetched = leader
        .read(0, 1 << 20, FetchIsolation::LogEnd, true)
        .unwrap()
        .read()
        .unwrap();
    let info = follower.append_as_follower(&fetched, 1).unwrap();
    assert_eq!(
        (info.first_offset, info.last_offset, info.last_leader_epoch),
        (0, 1, Some(1))
    );
    let again = follower.append_as_follower(&fetched, 2).unwrap_err();
    assert!(matches!(
        again,
        LogError::UnexpectedAppendOffset {
            first_offset: 0,
            log_end_offset: 2,
            ..
        }
    ));
    let torn = &fetched[..fetched.len() - 1];
    let nothing = follower.append_as_follower(&torn[..40], 2).unwrap();
    assert_eq!((nothing.first_offset, nothing.valid_bytes), (-1, 0));
    let rest = leader
        .read(2, 1 << 20, FetchIsolation::LogEnd, true)
        .unwrap()
        .read()
        .unwrap();
    follower.append_as_follower(&rest, 2).unwrap();
    assert_eq!(read_all(&follower), read_all(&leader));
    assert_eq!(follower.epoch_entries(), leader.epoch_entries());
}

#[test]
fn segments_roll_by_size_age_and_full_indexes() {
    let size = batch(&["0123456789"]).len() as i32;
    type Case = (&'static str, fn(&mut LogConfig, i32), u64, usize);
    let cases: [Case; 5] = [
        ("room for three", |c, size| c.segment_bytes = 3 * size, 0, 4),
        (
            "one byte short of three",
            |c, size| c.segment_bytes = 3 * size - 1,
            0,
            5,
        ),
        ("old by the records' time", |c, _| c.segment_ms = 100, 51, 5),
        ("young enough", |c, _| c.segment_ms = 10_000, 51, 1),
        (
            "time index of one entry",
            |c, _| (c.segment_index_bytes, c.index_interval_bytes) = (24, 0),
            0,
            5,
        ),
    ];
    for (what, edit, step_ms, expected) in cases {
        let fixture = Fixture::with(|config| edit(config, size));
        let log = fixture.open_clean();
        for _ in 0..10 {
            let now = Clock::wall_ms(&*fixture.clock);
            append(&log, &batch_at(now, &["0123456789"]));
            fixture.clock.advance_ms(step_ms);
        }
        assert_eq!(log.number_of_segments(), expected, "{what}");
        assert_eq!(read_all(&log).len(), 10, "{what}");
    }
}

#[test]
fn a_roll_takes_a_snapshot_and_gives_the_closed_segment_its_last_time_entry() {
    let fixture = Fixture::with(|config| config.segment_bytes = 100);
    let log = fixture.open_clean();
    append(&log, &batch_at(NOW_MS + 7, &["a"]));
    append(&log, &batch_at(NOW_MS + 9, &["b"]));
    assert_eq!(
        fixture.files(".snapshot"),
        ["00000000000000000001.snapshot"]
    );
    let times = std::fs::read(fixture.path().join("00000000000000000000.timeindex")).unwrap();
    let entry = time_index::TimeEntry {
        timestamp: NOW_MS + 7,
        relative_offset: 0,
    };
    assert_eq!(times, entry.to_bytes());
    assert_eq!(log.recovery_point(), 0);
    log.flush_if_needed(NOW_MS).unwrap();
    assert_eq!(
        log.recovery_point(),
        1,
        "the closed segment is flushed soon after"
    );
}

#[test]
fn flush_messages_makes_appends_durable() {
    let fixture = Fixture::with(|config| config.flush_messages = 3);
    let log = fixture.open_clean();
    append(&log, &batch(&["a", "b"]));
    assert_eq!(log.recovery_point(), 0);
    append(&log, &batch(&["c"]));
    assert_eq!(log.recovery_point(), 3);
}

#[test]
fn a_refused_batch_leaves_no_trace() {
    let fixture = Fixture::with(|config| config.max_message_bytes = 120);
    let log = fixture.open_clean();
    append(&log, &producer_batch(1, 4, 0, 1));
    let size = log.size();
    let too_large = batch(&["x".repeat(100).as_str()]);
    let refused = [
        (too_large.to_vec(), ErrorCode::MESSAGE_TOO_LARGE),
        (
            producer_batch(1, 3, 1, 1).to_vec(),
            ErrorCode::INVALID_PRODUCER_EPOCH,
        ),
        (
            producer_batch(1, 4, 2, 1).to_vec(),
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        ),
        (
            [batch(&["a"]), batch(&["b"])].concat(),
            ErrorCode::INVALID_RECORD,
        ),
    ];
    for (records, expected) in refused {
        let result = log.append_as_leader(&records, 0, AppendOrigin::Client);
        assert_eq!(code(result), expected);
        assert_eq!((log.size(), log.log_end_offset()), (size, 1));
    }
    assert_eq!(append(&log, &producer_batch(1, 4, 1, 1)).first_offset, 1);
}

#[test]
fn a_log_of_another_topic_id_is_refused() {
    let fixture = Fixture::new();
    let id = |bits| Some(Uuid::from_u128(bits));
    let options = |topic_id| LogOpenOptions {
        topic_id,
        clean: true,
        ..LogOpenOptions::default()
    };
    let log = fixture.open_with(options(id(500))).unwrap();
    append(&log, &batch(&["a"]));
    log.close().unwrap();
    assert_eq!(fixture.open_clean().topic_id(), id(500));
    let error = fixture.open_with(options(id(501))).unwrap_err();
    assert_eq!(error.code(), ErrorCode::INCONSISTENT_TOPIC_ID);
}

#[test]
fn a_closed_log_refuses_appends_and_still_reads() {
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    append(&log, &batch(&["a"]));
    log.close().unwrap();
    let refused = log.append_as_leader(&batch(&["b"]), 0, AppendOrigin::Client);
    assert_eq!(code(refused), ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(read_all(&log).len(), 1);
}

#[test]
fn an_unknown_producer_begins_at_zero_where_nothing_can_be_forgotten() {
    let send = |log: &Log, sequence| {
        let records = producer_batch(9, 0, sequence, 1);
        let sent = log.append_as_leader(&records, 0, AppendOrigin::Client);
        sent.map_or_else(|error| error.code(), |_| ErrorCode::NONE)
    };
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    let refused = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    assert_eq!(send(&log, 4), refused, "an empty log");
    append(&log, &batch(&["by another one"]));
    assert_eq!(send(&log, 4), refused, "a young log");
    assert_eq!(send(&log, 0), ErrorCode::NONE, "the first batch");
    assert_eq!(send(&log, 1), ErrorCode::NONE, "the one after it");

    // After a day the producer's records may be there, and what was known of it gone.
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    append(&log, &batch(&["old"]));
    fixture.clock.advance_ms(86_400_000);
    assert_eq!(send(&log, 4), ErrorCode::NONE, "an old log");

    // Records were deleted.
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    log.truncate_fully_and_start_at(10, None).unwrap();
    assert_eq!(send(&log, 4), ErrorCode::NONE, "a log without its begin");

    // Whoever follows takes what the leader has.
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    log.append_as_follower(&producer_batch(9, 0, 4, 1), 0)
        .unwrap();
    assert_eq!(log.log_end_offset(), 1);
}
