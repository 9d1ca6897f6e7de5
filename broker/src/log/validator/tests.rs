//! Tables of batches and what becomes of them.

use super::*;

const NOW_MS: i64 = 1_700_000_000_000;

fn tp() -> TopicPartition {
    TopicPartition::new("t", 3)
}

/// A batch with these (timestamp, key) pairs.
fn batch_of(codec: Compression, records: &[(i64, Option<&[u8]>)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new().with_compression(codec);
    for (timestamp, key) in records {
        builder
            .append(*timestamp, *key, Some(b"value"), &[])
            .unwrap();
    }
    builder.build().to_vec()
}

fn plain() -> Vec<u8> {
    batch_of(Compression::None, &[(NOW_MS, None), (NOW_MS, None)])
}

/// The batch with its header changed and its checksum right.
fn patched(edit: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    let mut bytes = plain();
    let mut header = BatchHeader::parse(&bytes).unwrap();
    edit(&mut header);
    bytes[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    header.crc = crc32c::crc32c(&bytes[CHECKSUM_FROM..]);
    bytes[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    bytes
}

fn check(records: &[u8], origin: AppendOrigin, config: &LogConfig) -> Result<(), LogError> {
    let tp = tp();
    analyze(records, origin, 0, config, &tp)?;
    let assignment = Assignment {
        tp: &tp,
        config,
        origin,
        leader_epoch: 0,
        next_offset: 100,
        now_ms: NOW_MS,
    };
    assignment.assign(records).map(|_| ())
}

fn code_of(records: &[u8], origin: AppendOrigin, config: &LogConfig) -> Option<ErrorCode> {
    check(records, origin, config)
        .err()
        .map(|error| error.code())
}

#[test]
fn a_clients_batch_has_to_be_whole_and_consistent() {
    let invalid = Some(ErrorCode::INVALID_RECORD);
    let corrupt = Some(ErrorCode::CORRUPT_MESSAGE);
    let mut flipped = plain();
    flipped[70] ^= 1;
    let mut wrong_magic = plain();
    wrong_magic[16] = 1;
    let mut negative_length = plain();
    negative_length[8..12].copy_from_slice(&(-1i32).to_be_bytes());
    let cases: Vec<(&str, Vec<u8>, Option<ErrorCode>)> = vec![
        ("good", plain(), None),
        ("one bit changed", flipped, corrupt),
        ("negative length", negative_length, corrupt),
        (
            "magic 1",
            wrong_magic,
            Some(ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT),
        ),
        ("base offset set", patched(|h| h.base_offset = 5), invalid),
        ("no records", patched(|h| h.record_count = 0), invalid),
        ("negative count", patched(|h| h.record_count = -1), invalid),
        (
            "count above the offsets",
            patched(|h| h.record_count = 3),
            invalid,
        ),
        (
            "offsets above the count",
            patched(|h| h.last_offset_delta = 7),
            invalid,
        ),
        (
            "offsets that run backwards",
            patched(|h| h.last_offset_delta = -1),
            invalid,
        ),
        (
            "one record too few",
            patched(|h| (h.record_count, h.last_offset_delta) = (1, 0)),
            invalid,
        ),
        (
            "one record too many",
            patched(|h| (h.record_count, h.last_offset_delta) = (3, 2)),
            invalid,
        ),
        (
            "a control batch",
            patched(|h| h.attributes |= 1 << 5),
            invalid,
        ),
        (
            "producer without sequence",
            patched(|h| h.producer_id = 9),
            invalid,
        ),
        (
            "codec 5",
            patched(|h| h.attributes |= 5),
            Some(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE),
        ),
        ("zstd that is none", patched(|h| h.attributes |= 4), invalid),
        ("two batches", [plain(), plain()].concat(), invalid),
        (
            "a cut second batch is left out",
            [&plain()[..], &plain()[..50]].concat(),
            None,
        ),
    ];
    for (what, records, expected) in cases {
        let code = code_of(&records, AppendOrigin::Client, &LogConfig::default());
        assert_eq!(code, expected, "{what}");
    }
}

#[test]
fn the_size_limit_counts_the_compressed_batch() {
    let records: Vec<_> = (0..500)
        .map(|_| (NOW_MS, Some(&b"the same key"[..])))
        .collect();
    let compressed = batch_of(Compression::Zstd, &records);
    let limit = i32::try_from(compressed.len()).unwrap();
    let mut config = LogConfig {
        max_message_bytes: limit,
        ..LogConfig::default()
    };
    assert_eq!(code_of(&compressed, AppendOrigin::Client, &config), None);
    let too_large = Some(ErrorCode::MESSAGE_TOO_LARGE);
    config.compression_type = CompressionPolicy::Codec(Compression::None);
    assert_eq!(
        code_of(&compressed, AppendOrigin::Client, &config),
        too_large,
        "after recompression"
    );
    config = LogConfig {
        max_message_bytes: limit - 1,
        ..LogConfig::default()
    };
    assert_eq!(
        code_of(&compressed, AppendOrigin::Client, &config),
        too_large
    );
    assert_eq!(
        code_of(&compressed, AppendOrigin::Coordinator, &config),
        too_large
    );
    let replicated = analyze(&compressed, AppendOrigin::Replication, 0, &config, &tp());
    assert!(replicated.is_ok(), "the leader has accepted it");
}

#[test]
fn timestamps_have_to_lie_in_the_topics_range() {
    let config = LogConfig {
        message_timestamp_before_max_ms: 1000,
        message_timestamp_after_max_ms: 50,
        ..LogConfig::default()
    };
    let bad = Some(ErrorCode::INVALID_TIMESTAMP);
    let cases = [
        (NOW_MS, None),
        (NOW_MS - 1000, None),
        (NOW_MS - 1001, bad),
        (NOW_MS + 50, None),
        (NOW_MS + 51, bad),
        (-1, None),
        (i64::MIN, bad),
        (i64::MAX, bad),
    ];
    for (timestamp, expected) in cases {
        for codec in [Compression::None, Compression::Gzip] {
            let records = batch_of(codec, &[(timestamp, None)]);
            assert_eq!(
                code_of(&records, AppendOrigin::Client, &config),
                expected,
                "{timestamp}"
            );
        }
    }
    let stamped = LogConfig {
        message_timestamp_type: TimestampType::LogAppendTime,
        ..config
    };
    let old = batch_of(Compression::None, &[(5, None)]);
    assert_eq!(code_of(&old, AppendOrigin::Client, &stamped), None);
    let claims = patched(|h| h.attributes |= LOG_APPEND_TIME_BIT);
    assert_eq!(code_of(&claims, AppendOrigin::Client, &stamped), bad);
    assert_eq!(
        code_of(&claims, AppendOrigin::Client, &LogConfig::default()),
        None
    );
}

#[test]
fn refused_records_are_named_by_their_place() {
    let config = LogConfig {
        compact: true,
        ..LogConfig::default()
    };
    let records = [
        (NOW_MS, Some(&b"k"[..])),
        (NOW_MS, None),
        (NOW_MS, Some(b"")),
        (NOW_MS, None),
    ];
    let batch = batch_of(Compression::Snappy, &records);
    let error = check(&batch, AppendOrigin::Client, &config).unwrap_err();
    assert_eq!(error.code(), ErrorCode::INVALID_RECORD);
    let places: Vec<_> = error
        .record_errors()
        .iter()
        .map(|e| e.batch_index)
        .collect();
    assert_eq!(places, [1, 3]);
    assert_eq!(
        error.record_errors()[0].message,
        "Compacted topic cannot accept message without key in topic partition t-3."
    );
}

#[test]
fn the_headers_claim_of_the_largest_timestamp_is_corrected() {
    let tp = tp();
    let config = LogConfig::default();
    let lying = patched(|h| h.max_timestamp = NOW_MS + 1_000_000_000);
    let assignment = Assignment {
        tp: &tp,
        config: &config,
        origin: AppendOrigin::Client,
        leader_epoch: 8,
        next_offset: 100,
        now_ms: NOW_MS,
    };
    let assigned = assignment.assign(&lying).unwrap();
    let stored = [&assigned.header_bytes, assigned.payload.bytes()].concat();
    let stored = Batch::parse(&stored).unwrap();
    stored.check_crc().unwrap();
    assert_eq!(
        (stored.max_timestamp(), assigned.max_timestamp),
        (NOW_MS, NOW_MS)
    );
    assert_eq!(
        (stored.base_offset(), stored.partition_leader_epoch()),
        (100, 8)
    );
}

#[test]
fn batches_of_a_raft_leader_carry_its_epoch_and_ascend() {
    let config = LogConfig::default();
    let batch = |base_offset: i64, epoch: i32| {
        patched(|h| (h.base_offset, h.partition_leader_epoch) = (base_offset, epoch))
    };
    let analyze = |records: &[u8]| {
        analyze(records, AppendOrigin::RaftLeader, 4, &config, &tp())
            .map(|a| (a.first_offset, a.last_offset, a.last_leader_epoch))
            .map_err(|error| error.code())
    };
    assert_eq!(
        analyze(&[batch(10, 4), batch(12, 4)].concat()),
        Ok((10, 13, Some(4)))
    );
    assert_eq!(analyze(&batch(10, 3)), Err(ErrorCode::INVALID_RECORD));
    let backwards = [batch(10, 4), batch(11, 4)].concat();
    assert_eq!(analyze(&backwards), Err(ErrorCode::UNKNOWN_SERVER_ERROR));
}

#[test]
fn random_bytes_never_do_harm() {
    use proptest::prelude::*;
    proptest!(|(mut records in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..120, byte: u8)| {
        let config = LogConfig::default();
        let _ = check(&records, AppendOrigin::Client, &config);
        records = plain();
        let at = at % records.len();
        records[at] = byte;
        let mut header = BatchHeader::parse(&records);
        if let Ok(header) = &mut header && records.len() == header.size_in_bytes() {
            header.crc = crc32c::crc32c(&records[CHECKSUM_FROM..]);
            records[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        }
        for origin in [AppendOrigin::Client, AppendOrigin::Coordinator] {
            let _ = check(&records, origin, &config);
        }
    });
}
