use proptest::prelude::*;

use super::*;
use crate::record::batch::HEADER_LEN;
use crate::record::builder::BatchBuilder;
use crate::record::golden;

const MAX: usize = 1 << 20;

fn text(bytes: Option<&[u8]>) -> Option<&str> {
    bytes.map(|bytes| std::str::from_utf8(bytes).unwrap())
}

/// An uncompressed batch with these record bytes, claiming these numbers.
fn batch_of(payload: &[u8], record_count: i32, last_offset_delta: i32) -> Vec<u8> {
    let built = BatchBuilder::new().with_base_offset(100).build();
    let header = BatchHeader {
        batch_length: (HEADER_LEN - 12 + payload.len()) as i32,
        record_count,
        last_offset_delta,
        base_timestamp: 1000,
        ..*Batch::parse(&built).unwrap().header()
    };
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

fn read(bytes: &[u8]) -> Result<usize, RecordError> {
    let batch = Batch::parse(bytes).unwrap();
    let records = records(&batch, MAX)?;
    records
        .iter()
        .try_fold(0, |count, record| record.map(|_| count + 1))
}

#[test]
fn records_that_kafka_compressed_read_the_same_with_every_codec() {
    for (codec, file) in golden::RECORDS {
        let batches = golden::all_batches(file);
        assert_eq!(batches[0].compression(), Ok(codec));
        let first = records(&batches[0], MAX).unwrap();
        let first: Vec<_> = first
            .iter()
            .map(Result::unwrap)
            .map(|r| {
                assert!(r.headers.is_empty());
                assert!(r.timestamp >= batches[0].base_timestamp());
                assert!(r.timestamp <= batches[0].max_timestamp());
                (
                    r.offset,
                    text(r.key).map(str::to_owned),
                    text(r.value).map(str::to_owned),
                )
            })
            .collect();
        let pair =
            |offset, key: &str, value: &str| (offset, Some(key.to_owned()), Some(value.to_owned()));
        assert_eq!(
            first,
            [
                pair(0, "k1", "first value of the golden batch"),
                pair(1, "k2", "second value of the golden batch"),
                pair(2, "", "empty key"),
                pair(3, "k4", ""),
                pair(4, "h1=v1,h1=v2", "not parsed"),
            ]
        );
        if codec == Compression::None {
            continue;
        }
        let long = records(&batches[1], MAX).unwrap();
        for (record, number) in long.iter().zip(1..) {
            let record = record.unwrap();
            assert_eq!(record.offset, 4 + number);
            assert_eq!(record.key, None);
            let value = text(record.value).unwrap();
            assert!(
                value.starts_with(&format!("line {number} of a longer batch")),
                "{value}"
            );
        }
        assert_eq!(long.iter().count(), 1500);
    }
}

#[test]
fn decompression_stops_at_the_limit() {
    for (codec, file) in golden::RECORDS.into_iter().skip(1) {
        let batch = golden::all_batches(file)[1];
        let size = records(&batch, MAX).unwrap().size_in_bytes();
        assert_eq!(
            records(&batch, size).unwrap().iter().count(),
            1500,
            "{codec}"
        );
        let error = records(&batch, size - 1).unwrap_err();
        let too_large = CompressionError::TooLarge {
            max_bytes: size - 1,
        };
        assert_eq!(error, RecordError::Compression(too_large), "{codec}");
    }
}

#[test]
fn validation_finds_the_latest_timestamp_and_its_first_record() {
    let mut builder = BatchBuilder::new().with_base_offset(50);
    for timestamp in [10, 30, 20, 30] {
        builder.append(timestamp, None, Some(b"v"), &[]).unwrap();
    }
    let bytes = builder.build();
    let mut seen = Vec::new();
    let batch = Batch::parse(&bytes).unwrap();
    let validated = validate(&batch, MAX, |index, record| {
        seen.push((index, record.offset, record.timestamp));
        Ok::<_, RecordError>(())
    })
    .unwrap();
    assert_eq!(seen, [(0, 50, 10), (1, 51, 30), (2, 52, 20), (3, 53, 30)]);
    assert_eq!(
        validated,
        Validated {
            record_count: 4,
            records_size_in_bytes: bytes.len() - HEADER_LEN,
            max_timestamp: 30,
            offset_of_max_timestamp: 51,
        }
    );
}

#[test]
fn validation_refuses_gaps_that_reading_accepts() {
    let mut builder = BatchBuilder::new();
    builder.append_at(0, 1, None, None, &[]).unwrap();
    builder.append_at(2, 1, None, None, &[]).unwrap();
    let bytes = builder.build();
    assert_eq!(read(&bytes), Ok(2));
    let batch = Batch::parse(&bytes).unwrap();
    let refused = validate(&batch, MAX, |_, _| Ok(()));
    assert_eq!(refused, Err(RecordError::InvalidCount(2)));
}

#[test]
fn the_caller_can_refuse_a_record() {
    #[derive(Debug, PartialEq)]
    enum Refusal {
        NoKey(usize),
        Other(RecordError),
    }
    impl From<RecordError> for Refusal {
        fn from(error: RecordError) -> Refusal {
            Refusal::Other(error)
        }
    }
    let mut builder = BatchBuilder::new();
    builder.append(1, Some(b"k"), None, &[]).unwrap();
    builder.append(1, None, None, &[]).unwrap();
    let bytes = builder.build();
    let refused = validate(&Batch::parse(&bytes).unwrap(), MAX, |index, record| {
        record.key.map(|_| ()).ok_or(Refusal::NoKey(index))
    });
    assert_eq!(refused, Err(Refusal::NoKey(1)));
}

#[test]
fn log_append_time_is_the_time_of_every_record() {
    let mut builder = BatchBuilder::new().with_log_append_time(9_000);
    builder.append(10, None, None, &[]).unwrap();
    builder.append(20, None, None, &[]).unwrap();
    let bytes = builder.build();
    let records = records(&Batch::parse(&bytes).unwrap(), MAX).unwrap();
    let timestamps: Vec<_> = records
        .iter()
        .map(|record| record.unwrap().timestamp)
        .collect();
    assert_eq!(timestamps, [9_000, 9_000]);
}

#[test]
fn malformed_records_are_errors() {
    // length 7, attributes, timestamp delta, offset delta, null key, null value, no headers
    let good: &[u8] = &[12, 0, 0, 0, 1, 1, 0];
    let second: &[u8] = &[12, 0, 0, 2, 1, 1, 0];
    let cases: [(&str, Vec<u8>, i32, i32); 16] = [
        ("negative count", good.to_vec(), -1, 0),
        ("count beyond the bytes", good.to_vec(), i32::MAX, i32::MAX),
        ("one record too few", good.to_vec(), 2, 1),
        ("one record too many", [good, second].concat(), 1, 1),
        ("bytes behind the last record", [good, &[0]].concat(), 1, 0),
        ("the same offset twice", [good, good].concat(), 2, 1),
        ("offset beyond the batch", second.to_vec(), 1, 0),
        ("negative offset delta", vec![12, 0, 0, 1, 1, 1, 0], 1, 0),
        ("negative length", vec![1, 0, 0, 0, 1, 1, 0], 1, 0),
        ("length beyond the bytes", vec![14, 0, 0, 0, 1, 1, 0], 1, 0),
        ("length too short", vec![10, 0, 0, 0, 1, 1, 0], 1, 0),
        (
            "bytes behind the headers",
            vec![14, 0, 0, 0, 1, 1, 0, 0],
            1,
            0,
        ),
        ("key beyond the record", vec![12, 0, 0, 0, 126, 1, 0], 1, 0),
        (
            "value beyond the record",
            vec![12, 0, 0, 0, 1, 126, 0],
            1,
            0,
        ),
        (
            "more headers than bytes",
            vec![12, 0, 0, 0, 1, 1, 126],
            1,
            0,
        ),
        ("negative header count", vec![12, 0, 0, 0, 1, 1, 1], 1, 0),
    ];
    assert_eq!(read(&batch_of(&[good, second].concat(), 2, 1)), Ok(2));
    for (name, payload, count, last_offset_delta) in cases {
        assert!(
            read(&batch_of(&payload, count, last_offset_delta)).is_err(),
            "{name}"
        );
    }
    let null_header_key = [16, 0, 0, 0, 1, 1, 2, 1, 1];
    assert!(read(&batch_of(&null_header_key, 1, 0)).is_err());
    let null_header_value = [16, 0, 0, 0, 1, 1, 2, 0, 1];
    assert_eq!(read(&batch_of(&null_header_value, 1, 0)), Ok(1));
}

#[test]
fn iteration_ends_after_an_error() {
    let bytes = batch_of(&[1; 14], 2, 1);
    let records = records(&Batch::parse(&bytes).unwrap(), MAX).unwrap();
    let mut iterator = records.iter();
    assert!(matches!(
        iterator.next(),
        Some(Err(RecordError::Malformed { index: 0, .. }))
    ));
    assert!(iterator.next().is_none());
}

#[test]
fn a_batch_that_compaction_emptied_has_no_records() {
    for (_, file) in golden::RECORDS {
        let batch = golden::all_batches(file)[0];
        let mut header = *batch.header();
        header.record_count = 0;
        header.batch_length = (HEADER_LEN - 12) as i32;
        assert_eq!(read(&header.to_bytes()), Ok(0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_batches_never_panic(
        codec in 0..5usize,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let batch = golden::all_batches(golden::RECORDS[codec].1)[0];
        let mut bytes = batch.bytes().to_vec();
        for (at, bit) in flips {
            // Only records and counts, so that most cases get past the header.
            let at = 57 + at.index(bytes.len() - 57);
            bytes[at] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            bytes.truncate(HEADER_LEN + cut.index(bytes.len() - HEADER_LEN));
            let length = (bytes.len() - 12) as i32;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
        }
        let batch = Batch::parse(&bytes).unwrap();
        if let Ok(records) = records(&batch, 1 << 16) {
            prop_assert!(records.size_in_bytes() <= 1 << 16);
            for record in records.iter().flatten() {
                prop_assert_eq!(record.headers.iter().count(), record.headers.len());
            }
        }
    }

    #[test]
    fn arbitrary_payloads_never_panic(
        payload: Vec<u8>, codec in 0..8i16, count in -1..20i32, delta in -1..20i32,
    ) {
        let mut bytes = batch_of(&payload, count, delta);
        bytes[21..23].copy_from_slice(&codec.to_be_bytes());
        let batch = Batch::parse(&bytes).unwrap();
        if let Ok(records) = records(&batch, 4096) {
            prop_assert!(records.iter().count() as i32 <= count.max(0) + 1);
        }
    }
}
