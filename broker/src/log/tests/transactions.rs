//! Open and decided transactions, and what readers of committed records see of them.

use kafka_shared::record::control::{ControlRecord, EndTxnMarker};

use super::*;

fn transactional(id: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new()
        .with_producer(id, epoch, sequence)
        .with_transactional(true);
    builder.append(NOW_MS, None, Some(b"t"), &[]).unwrap();
    builder.build()
}

fn marker(id: i64, epoch: i16, commit: bool, coordinator_epoch: i32) -> Bytes {
    let mut builder = BatchBuilder::new()
        .with_producer(id, epoch, -1)
        .with_transactional(true);
    let marker = EndTxnMarker { coordinator_epoch };
    let record = if commit {
        ControlRecord::Commit(marker)
    } else {
        ControlRecord::Abort(marker)
    };
    builder.append_control(NOW_MS, &record).unwrap();
    builder.build()
}

/// Appends a transactional batch after the check that the coordinator would do.
fn write(log: &Log, id: i64, epoch: i16, sequence: i32) -> AppendInfo {
    let verification_guard = log
        .maybe_start_transaction_verification(id, sequence, epoch, true)
        .unwrap();
    let context = AppendContext {
        verification_guard,
        transaction_version: None,
    };
    let records = transactional(id, epoch, sequence);
    log.append_as_leader_with(&records, 0, AppendOrigin::Client, context)
        .unwrap()
}

fn end_with(log: &Log, records: &[u8], version: i16) -> Result<AppendInfo, LogError> {
    let context = AppendContext {
        transaction_version: Some(version),
        ..AppendContext::default()
    };
    log.append_as_leader_with(records, 0, AppendOrigin::Coordinator, context)
}

fn end(log: &Log, id: i64, epoch: i16, commit: bool) -> AppendInfo {
    end_with(log, &marker(id, epoch, commit, 0), 2).unwrap()
}

fn aborted(log: &Log, from: i64) -> Vec<(i64, i64)> {
    let data = log
        .read(from, 1 << 20, FetchIsolation::TxnCommitted, true)
        .unwrap();
    let aborted = data.aborted_transactions.unwrap();
    aborted
        .iter()
        .map(|t| (t.producer_id, t.first_offset))
        .collect()
}

#[test]
fn the_last_stable_offset_waits_for_the_oldest_open_transaction_and_its_replicated_marker() {
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    append(&log, &batch(&["a"]));
    write(&log, 1, 0, 0);
    write(&log, 2, 0, 0);
    write(&log, 1, 0, 1);
    log.update_high_watermark(4);
    assert_eq!(log.last_stable_offset(), 1);
    assert_eq!(aborted(&log, 0), []);
    end(&log, 1, 1, false);
    assert_eq!(
        log.last_stable_offset(),
        1,
        "the marker is not replicated yet"
    );
    log.update_high_watermark(5);
    assert_eq!(log.last_stable_offset(), 2);
    end(&log, 2, 1, true);
    log.update_high_watermark(6);
    assert_eq!(log.last_stable_offset(), 6);
    assert_eq!(aborted(&log, 0), [(1, 1)]);
    assert_eq!(aborted(&log, 5), [], "the marker lies before");
    let index = std::fs::read(fixture.path().join("00000000000000000000.txnindex")).unwrap();
    let expected = AbortedTransaction {
        producer_id: 1,
        first_offset: 1,
        last_offset: 4,
        last_stable_offset: 2,
    };
    assert_eq!(index, expected.to_bytes());
}

#[test]
fn open_and_aborted_transactions_survive_restarts_of_either_kind() {
    let fixture = Fixture::with(|config| config.segment_bytes = 300);
    let log = fixture.open_clean();
    for round in 0..6 {
        write(&log, 1, 2 * round, 0);
        append(&log, &batch(&["plain"]));
        end(&log, 1, 2 * round + 1, round % 2 == 0);
    }
    write(&log, 5, 0, 0);
    assert!(log.number_of_segments() > 3);
    let log_end = log.log_end_offset();
    log.update_high_watermark(log_end);
    let expected = (log.last_stable_offset(), aborted(&log, 0));
    assert_eq!(expected.0, log_end - 1);
    log.close().unwrap();
    drop(log);
    for clean in [true, false, false] {
        let log = fixture
            .open_with(LogOpenOptions {
                clean,
                ..LogOpenOptions::default()
            })
            .unwrap();
        log.update_high_watermark(log_end);
        assert_eq!(
            (log.last_stable_offset(), aborted(&log, 0)),
            expected,
            "clean: {clean}"
        );
        assert!(log.has_ongoing_transaction(5, 0));
    }
    let log = fixture.open_after_crash(0);
    log.truncate_to(5).unwrap();
    log.update_high_watermark(5);
    assert_eq!((log.last_stable_offset(), aborted(&log, 0)), (3, vec![]));
    assert!(!log.has_ongoing_transaction(5, 0));
    assert!(log.has_ongoing_transaction(1, 2), "its marker was cut off");
}

#[test]
fn an_unverified_transactional_write_is_refused() {
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    let refused = log.append_as_leader(&transactional(1, 0, 0), 0, AppendOrigin::Client);
    assert_eq!(code(refused), ErrorCode::INVALID_TXN_STATE);
    write(&log, 1, 0, 0);
    let open = log.append_as_leader(&transactional(1, 0, 1), 0, AppendOrigin::Client);
    assert!(
        open.is_ok(),
        "the transaction is open, so no check is needed"
    );
    assert_eq!(
        log.maybe_start_transaction_verification(1, 2, 0, true)
            .unwrap(),
        VerificationGuard::SENTINEL
    );
    let plain = log.append_as_leader(&producer_batch(1, 0, 2, 1), 0, AppendOrigin::Client);
    assert_eq!(code(plain), ErrorCode::INVALID_TXN_STATE);
    end(&log, 1, 1, true);
    let next = log.append_as_leader(&transactional(1, 1, 0), 0, AppendOrigin::Client);
    assert_eq!(code(next), ErrorCode::INVALID_TXN_STATE);
    let old = log
        .maybe_start_transaction_verification(1, 0, 0, true)
        .unwrap_err();
    assert_eq!(old.code(), ErrorCode::INVALID_PRODUCER_EPOCH);
}

#[test]
fn markers_of_fenced_coordinators_and_producers_are_refused() {
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    write(&log, 1, 5, 0);
    end_with(&log, &marker(1, 6, true, 9), 2).unwrap();
    let cases = [
        (
            marker(1, 7, true, 8),
            2,
            Some(ErrorCode::TRANSACTION_COORDINATOR_FENCED),
        ),
        (
            marker(1, 5, true, 9),
            2,
            Some(ErrorCode::INVALID_PRODUCER_EPOCH),
        ),
        (
            marker(1, 5, true, 9),
            0,
            Some(ErrorCode::INVALID_PRODUCER_EPOCH),
        ),
        // The same marker again: the transaction has ended, so it does no harm.
        (marker(1, 6, true, 9), 2, None),
        (marker(1, 6, true, 9), 0, None),
    ];
    for (records, version, expected) in cases {
        let result = end_with(&log, &records, version);
        assert_eq!(result.err().map(|error| error.code()), expected);
    }
    write(&log, 1, 6, 0);
    let same_epoch = end_with(&log, &marker(1, 6, true, 9), 2);
    assert_eq!(
        code(same_epoch),
        ErrorCode::INVALID_PRODUCER_EPOCH,
        "version 2 bumps the epoch"
    );
    assert!(end_with(&log, &marker(1, 6, true, 9), 1).is_ok());
}

#[test]
fn clients_cannot_write_markers() {
    let fixture = Fixture::new();
    let log = fixture.open_clean();
    let refused = log.append_as_leader(&marker(1, 0, true, 0), 0, AppendOrigin::Client);
    assert_eq!(code(refused), ErrorCode::INVALID_RECORD);
}
