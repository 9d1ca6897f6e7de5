//! What is left after a crash.

use super::*;

/// Twelve batches of a producer, one to three records each, in segments of about four.
fn written(fixture: &Fixture) -> Vec<u8> {
    let log = fixture.open_clean();
    let mut sequence = 0;
    for i in 0..12 {
        let count = 1 + i % 3;
        append(&log, &producer_batch(77, 0, sequence, count));
        sequence += count as i32;
    }
    let last = fixture.files(".log").pop().unwrap();
    drop(log);
    std::fs::read(fixture.path().join(last)).unwrap()
}

fn fixture() -> Fixture {
    Fixture::with(|config| {
        config.segment_bytes = 330;
        config.index_interval_bytes = 100;
    })
}

/// Checks what must hold of any opened log, and that it goes on working.
fn check_consistent(fixture: &Fixture, log: &Log, end: i64, what: &str) {
    assert_eq!(log.log_end_offset(), end, "{what}");
    let offsets: Vec<_> = read_all(log).iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, (0..end).collect::<Vec<_>>(), "{what}");
    let size =
        std::fs::metadata(fixture.path().join(fixture.files(".log").pop().unwrap())).unwrap();
    assert_eq!(size.len(), log.segments.load().last().size(), "{what}");
    let producers = log.active_producers();
    let next_sequence = producers.first().map_or(0, |p| p.last_sequence() + 1);
    assert_eq!(
        i64::from(next_sequence),
        end,
        "{what}: sequences and offsets go in step"
    );
    let info = append(log, &producer_batch(77, 0, next_sequence, 1));
    assert_eq!(info.first_offset, end, "{what}");
}

#[test]
fn cutting_the_last_segment_anywhere_leaves_all_whole_batches_before_the_cut() {
    let source = fixture();
    let last_segment = written(&source);
    let name = source.files(".log").pop().unwrap();
    let base = names::offset_of(&name).unwrap();
    for cut in 0..=last_segment.len() {
        let fixture = fixture();
        copy_dir(&source.path(), &fixture.path());
        std::fs::write(fixture.path().join(&name), &last_segment[..cut]).unwrap();
        let whole = batches(&last_segment[..cut]).flatten().last();
        let end = whole.map_or(base, |batch| batch.next_offset());
        for clean in [false, true] {
            // Also with a marker: the torn batch is noticed.
            let log = fixture
                .open_with(LogOpenOptions {
                    clean,
                    ..LogOpenOptions::default()
                })
                .unwrap();
            assert_eq!(log.log_end_offset(), end, "cut at {cut}");
            drop(log);
            if !clean {
                std::fs::write(fixture.path().join(&name), &last_segment[..cut]).unwrap();
            }
        }
        let log = fixture.open_after_crash(0);
        check_consistent(&fixture, &log, end, &format!("cut at {cut}"));
    }
}

#[test]
fn damage_anywhere_in_the_last_batch_cuts_it_off() {
    let source = fixture();
    let last_segment = written(&source);
    let name = source.files(".log").pop().unwrap();
    let last = batches(&last_segment).flatten().last().unwrap();
    let start = last_segment.len() - last.size_in_bytes();
    let end = last.base_offset();
    // Offset and leader epoch (bytes 0–7 and 12–15) are outside of the checksum.
    for at in (8..12).chain(16..last.size_in_bytes()) {
        let fixture = fixture();
        copy_dir(&source.path(), &fixture.path());
        let mut damaged = last_segment.clone();
        damaged[start + at] ^= 0x41;
        std::fs::write(fixture.path().join(&name), &damaged).unwrap();
        let log = fixture.open_after_crash(0);
        check_consistent(&fixture, &log, end, &format!("byte {at} damaged"));
    }
}

#[test]
fn a_tail_of_zeros_or_noise_is_cut_off() {
    let source = fixture();
    let last_segment = written(&source);
    let name = source.files(".log").pop().unwrap();
    let end = batches(&last_segment)
        .flatten()
        .last()
        .unwrap()
        .next_offset();
    let noise: Vec<u8> = (0..500u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for tail in [
        vec![0; 1],
        vec![0; 100],
        vec![0; 5000],
        noise,
        last_segment[..90].to_vec(),
    ] {
        let fixture = fixture();
        copy_dir(&source.path(), &fixture.path());
        std::fs::write(
            fixture.path().join(&name),
            [&last_segment[..], &tail].concat(),
        )
        .unwrap();
        let log = fixture.open_after_crash(0);
        check_consistent(
            &fixture,
            &log,
            end,
            &format!("{} bytes of tail", tail.len()),
        );
    }
}

#[test]
fn damage_in_an_early_segment_removes_all_that_follow() {
    let source = fixture();
    written(&source);
    let first = source.path().join(&source.files(".log")[0]);
    let mut bytes = std::fs::read(&first).unwrap();
    let second_batch = batches(&bytes).flatten().next().unwrap().size_in_bytes();
    bytes[second_batch + 70] ^= 1;
    std::fs::write(&first, &bytes).unwrap();
    let log = source.open_after_crash(0);
    assert_eq!(log.number_of_segments(), 1);
    check_consistent(&source, &log, 1, "damage in the first segment");
    assert!(!source.files(".log.deleted").is_empty());
    drop(log);
    source.open_after_crash(0);
    assert!(
        source.files(".deleted").is_empty(),
        "leftovers go at the next start"
    );
}

#[test]
fn what_lies_below_the_recovery_point_is_not_read_again() {
    let source = fixture();
    written(&source);
    let names = source.files(".log");
    let (first, second) = (
        source.path().join(&names[0]),
        names::offset_of(&names[1]).unwrap(),
    );
    let mut bytes = std::fs::read(&first).unwrap();
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    std::fs::write(&first, &bytes).unwrap();
    let log = source.open_after_crash(second);
    assert_eq!((log.log_end_offset(), log.recovery_point()), (24, second));
}

#[test]
fn missing_damaged_or_overlong_indexes_are_made_anew_with_the_same_bytes() {
    let source = fixture();
    written(&source);
    source.open_after_crash(0).close().unwrap();
    let indexes: Vec<String> = [source.files(".index"), source.files(".timeindex")].concat();
    let read = |fixture: &Fixture, name: &str| std::fs::read(fixture.path().join(name)).unwrap();
    assert!(
        indexes
            .iter()
            .any(|name| name.ends_with(".index") && !read(&source, name).is_empty())
    );
    for damage in ["missing", "torn", "zero tail", "empty"] {
        let fixture = fixture();
        copy_dir(&source.path(), &fixture.path());
        for name in &indexes {
            let path = fixture.path().join(name);
            let mut bytes = read(&source, name);
            match damage {
                "missing" => std::fs::remove_file(&path).unwrap(),
                "torn" => bytes.extend([1, 2, 3]),
                "zero tail" => bytes.extend([0; 48]),
                _ => bytes.clear(),
            }
            if damage != "missing" {
                std::fs::write(&path, &bytes).unwrap();
            }
        }
        // A clean start trusts indexes that are there, so only missing ones are rebuilt then.
        let log = if damage == "missing" {
            fixture.open_clean()
        } else {
            fixture.open_after_crash(0)
        };
        assert_eq!(read_all(&log).len(), 24, "{damage}");
        log.close().unwrap();
        for name in &indexes {
            assert_eq!(read(&fixture, name), read(&source, name), "{damage} {name}");
        }
    }
}

/// What is done to a log before its producers send again what they have sent before.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    CleanStop,
    Crash,
    /// The log ends with this segment's last record, so the next one is empty.
    RollAndCrash,
    CutBack,
    /// As a follower whose leader changes again and again.
    CutBackTwice,
    CutBackAndCleanStop,
}

#[test]
fn what_producers_send_again_is_known_however_long_ago_they_sent_it() {
    for before in [
        Before::Nothing,
        Before::CleanStop,
        Before::Crash,
        Before::RollAndCrash,
        Before::CutBack,
        Before::CutBackTwice,
        Before::CutBackAndCleanStop,
    ] {
        let fixture = Fixture::new();
        let mut log = fixture.open_clean();
        // Producer 1 writes two records at a time and producer 2 one, in turn; an old epoch of
        // producer 2 is forgotten.
        append(&log, &producer_batch(2, 6, 0, 1));
        for n in 0..8 {
            append(&log, &producer_batch(1, 0, 2 * n, 2));
            append(&log, &producer_batch(2, 7, n, 1));
            append(&log, &batch(&["of nobody"]));
        }
        let is_cut = !matches!(
            before,
            Before::Nothing | Before::CleanStop | Before::Crash | Before::RollAndCrash
        );
        let cut = |log: &Log| {
            log.truncate_to(1 + 4 * 6).unwrap();
            assert_eq!(log.log_end_offset(), 1 + 4 * 6);
        };
        match before {
            Before::Nothing => {}
            Before::CleanStop => {
                log.close().unwrap();
                log = fixture.open_clean();
            }
            Before::Crash => log = fixture.open_after_crash(0),
            Before::RollAndCrash => {
                log.roll(None).unwrap();
                log = fixture.open_after_crash(0);
            }
            Before::CutBack => cut(&log),
            Before::CutBackTwice => {
                cut(&log);
                append(&log, &producer_batch(1, 0, 12, 2));
                cut(&log);
            }
            Before::CutBackAndCleanStop => {
                cut(&log);
                log.close().unwrap();
                log = fixture.open_clean();
            }
        }
        let count = if is_cut { 6 } else { 8 };
        let end = log.log_end_offset();
        let send = |producer: i64, epoch: i16, n: i32| {
            let records = match producer {
                1 => producer_batch(1, epoch, 2 * n, 2),
                _ => producer_batch(2, epoch, n, 1),
            };
            let answer = log.append_as_leader(&records, 0, AppendOrigin::Client);
            answer
                .map(|info| info.first_offset)
                .map_err(|error| error.code())
        };
        for n in 0..count {
            let base = 1 + 4 * i64::from(n);
            assert_eq!(send(1, 0, n), Ok(base), "{before:?}, batch {n} of 1");
            assert_eq!(send(2, 7, n), Ok(base + 2), "{before:?}, batch {n} of 2");
        }
        // The same numbers in batches of other sizes were never stored.
        let other = producer_batch(1, 0, 0, 3);
        let answer = log.append_as_leader(&other, 0, AppendOrigin::Client);
        assert_eq!(code(answer), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert_eq!(log.log_end_offset(), end, "{before:?}");
        let refused = |code| Err(code);
        let out_of_order = refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert_eq!(send(1, 0, count + 1), out_of_order, "{before:?}: a gap");
        assert_eq!(
            send(2, 8, count),
            out_of_order,
            "{before:?}: a new epoch amid"
        );
        let fenced = refused(ErrorCode::INVALID_PRODUCER_EPOCH);
        assert_eq!(send(2, 6, 0), fenced, "{before:?}: an old epoch");
        assert_eq!(send(1, 0, count), Ok(end), "{before:?}: what comes next");
        assert_eq!(send(2, 8, 0), Ok(end + 2), "{before:?}: a new epoch");
    }
}

#[test]
fn leftovers_of_compaction_are_finished_or_dropped() {
    let source = fixture();
    written(&source);
    let logs = source.files(".log");
    let path = |fixture: &Fixture, name: &str| fixture.path().join(name);

    // A finished compaction of the first segment, whose swap was interrupted.
    let swapped = fixture();
    copy_dir(&source.path(), &swapped.path());
    for suffix in [".log", ".index", ".timeindex"] {
        let name = format!("{:020}{suffix}", 0);
        let target = path(&swapped, &format!("{name}.swap"));
        std::fs::copy(path(&source, &name), target).unwrap();
    }
    std::fs::write(path(&swapped, &logs[0]), b"rubbish that the swap replaces").unwrap();
    assert_eq!(read_all(&swapped.open_after_crash(24)).len(), 24);
    assert!(swapped.files(".swap").is_empty());

    // An unfinished one.
    let cleaned = fixture();
    copy_dir(&source.path(), &cleaned.path());
    for name in [".log.cleaned", ".index.cleaned", ".log.swap"] {
        std::fs::write(path(&cleaned, &format!("{:020}{name}", 0)), b"half").unwrap();
    }
    assert_eq!(read_all(&cleaned.open_after_crash(0)).len(), 24);
    assert!(cleaned.files(".cleaned").is_empty() && cleaned.files(".swap").is_empty());
}

#[test]
fn an_index_without_a_log_goes_and_other_files_stay() {
    let fixture = fixture();
    written(&fixture);
    for name in [
        "00000000000000009999.index",
        "00000000000000009999.txnindex",
        "notes.txt",
    ] {
        std::fs::write(fixture.path().join(name), b"x").unwrap();
    }
    fixture.open_after_crash(0);
    assert!(!fixture.path().join("00000000000000009999.index").exists());
    assert!(
        !fixture
            .path()
            .join("00000000000000009999.txnindex")
            .exists()
    );
    assert!(fixture.path().join("notes.txt").exists());
}

#[test]
fn a_log_that_ends_before_its_start_begins_anew_there() {
    let fixture = fixture();
    written(&fixture);
    let log = fixture
        .open_with(LogOpenOptions {
            log_start_offset: 100,
            ..LogOpenOptions::default()
        })
        .unwrap();
    assert_eq!(
        (log.log_start_offset(), log.log_end_offset(), log.size()),
        (100, 100, 0)
    );
    assert!(log.epoch_entries().is_empty());
}

#[test]
fn whole_records_of_an_old_format_are_not_taken_for_damage() {
    let fixture = fixture();
    std::fs::create_dir_all(fixture.path()).unwrap();
    // One record of format 1: offset, size, crc, magic, attributes, timestamp, null key, value "hi".
    let mut content = vec![1, 0];
    content.extend(NOW_MS.to_be_bytes());
    content.extend((-1i32).to_be_bytes());
    content.extend(2i32.to_be_bytes());
    content.extend(b"hi");
    let mut record = 0i64.to_be_bytes().to_vec();
    record.extend((content.len() as u32 + 4).to_be_bytes());
    record.extend(0x09fd_a8d8u32.to_be_bytes());
    let crc_at = record.len() - 4;
    record.extend(&content);
    let path = fixture.path().join("00000000000000000000.log");
    std::fs::write(&path, &record).unwrap();
    let log = fixture.open_after_crash(0);
    assert_eq!(log.size(), 0, "the checksum is wrong: damage");
    drop(log);
    let crc = flate_crc(&content);
    record[crc_at..crc_at + 4].copy_from_slice(&crc.to_be_bytes());
    std::fs::write(&path, &record).unwrap();
    let error = fixture.open_with(LogOpenOptions::default()).unwrap_err();
    assert!(error.to_string().contains("message format 1"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), record, "nothing was cut");
}

/// CRC-32 by the polynomial division of its definition.
fn flate_crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |i| u32::from(byte >> i & 1)))
    {
        crc = if (crc ^ bit) & 1 == 1 {
            crc >> 1 ^ 0xedb8_8320
        } else {
            crc >> 1
        };
    }
    !crc
}
