use proptest::prelude::*;

use super::*;
use crate::record::batch::{Batch, batches};
use crate::record::control::EndTxnMarker;
use crate::record::golden;
use crate::record::iter::records;
use crate::record::{NO_SEQUENCE, TimestampType};

const MAX: usize = 1 << 20;

/// Builds a batch anew from what a batch holds.
fn rebuild(batch: &Batch<'_>) -> Bytes {
    let mut builder = BatchBuilder::new()
        .with_compression(batch.compression().unwrap())
        .with_base_offset(batch.base_offset())
        .with_leader_epoch(batch.partition_leader_epoch())
        .with_producer(
            batch.producer_id(),
            batch.producer_epoch(),
            batch.base_sequence(),
        )
        .with_transactional(batch.is_transactional())
        .with_control(batch.is_control());
    for record in &records(batch, MAX).unwrap() {
        let record = record.unwrap();
        let headers: Vec<_> = record.headers.iter().map(|h| (h.key, h.value)).collect();
        builder
            .append_iter(
                record.offset,
                record.timestamp,
                record.key,
                record.value,
                headers.into_iter(),
            )
            .unwrap();
    }
    builder.build()
}

#[test]
fn uncompressed_batches_of_kafka_are_rebuilt_byte_by_byte() {
    let mut rebuilt = 0;
    for batch in golden::files().flat_map(golden::all_batches) {
        if batch.compression() == Ok(Compression::None) {
            assert_eq!(rebuild(&batch), batch.bytes());
            rebuilt += 1;
        }
    }
    assert!(rebuilt > 100, "{rebuilt}");
}

#[test]
fn compressed_batches_of_kafka_are_rebuilt_with_the_same_records() {
    for batch in golden::RECORDS[1..]
        .iter()
        .flat_map(|(_, file)| golden::all_batches(file))
    {
        let bytes = rebuild(&batch);
        let again = Batch::parse(&bytes).unwrap();
        again.check_crc().unwrap();
        let (a, b) = (batch.header(), again.header());
        assert_eq!(
            BatchHeader {
                crc: 0,
                batch_length: 0,
                ..*a
            },
            BatchHeader {
                crc: 0,
                batch_length: 0,
                ..*b
            }
        );
        let (before, after) = (records(&batch, MAX).unwrap(), records(&again, MAX).unwrap());
        assert_eq!(before.data(), after.data());
        assert!(
            bytes.len() < batch.size_in_bytes() * 3 / 2,
            "{}",
            bytes.len()
        );
    }
}

#[test]
fn a_control_record_makes_a_control_batch() {
    let marker = ControlRecord::Commit(EndTxnMarker {
        coordinator_epoch: 3,
    });
    let mut builder = BatchBuilder::new()
        .with_transactional(true)
        .with_producer(9, 1, NO_SEQUENCE);
    builder.append_control(17, &marker).unwrap();
    let bytes = builder.build();
    let batch = Batch::parse(&bytes).unwrap();
    assert!(batch.is_control() && batch.is_transactional());
    let records = records(&batch, MAX).unwrap();
    let record = records.iter().next().unwrap().unwrap();
    let decoded = ControlRecord::decode(record.key.unwrap(), record.value.unwrap()).unwrap();
    assert_eq!(decoded, marker);
    assert!(builder_error(ControlRecord::Unknown(99)));
}

fn builder_error(record: ControlRecord) -> bool {
    let mut builder = BatchBuilder::new();
    builder.append_control(0, &record).is_err() && builder.is_empty()
}

#[test]
fn an_empty_batch_is_a_header() {
    for codec in Compression::ALL {
        let bytes = BatchBuilder::new()
            .with_compression(codec)
            .with_base_offset(5)
            .build();
        let batch = Batch::parse(&bytes).unwrap();
        batch.check_crc().unwrap();
        assert_eq!((bytes.len(), batch.record_count()), (HEADER_LEN, 0));
        assert_eq!(records(&batch, MAX).unwrap().iter().count(), 0);
    }
}

#[test]
fn what_the_cleaner_leaves_of_a_batch_keeps_offsets_and_sequences() {
    let batch = golden::all_batches(golden::RECORDS[1].1)[1];
    let bytes = empty_batch(batch.header());
    let left = Batch::parse(&bytes).unwrap();
    left.check_crc().unwrap();
    assert_eq!(left.base_offset(), batch.base_offset());
    assert_eq!(left.last_offset(), batch.last_offset());
    assert_eq!(left.last_sequence(), batch.last_sequence());
    assert_eq!(left.producer_id(), batch.producer_id());
    assert_eq!(left.compression(), Ok(Compression::None));
    assert_eq!(left.record_count(), 0);
}

#[test]
fn offsets_rise_and_stay_within_31_bits_of_the_base() {
    let mut builder = BatchBuilder::new().with_base_offset(100);
    let mut at = |offset| builder.append_at(offset, 0, None, None, &[]).is_ok();
    assert!(!at(99));
    assert!(at(100));
    assert!(!at(100));
    assert!(at(105));
    assert!(!at(104));
    assert!(!at(101 + i64::from(i32::MAX)));
    assert!(!at(i64::MIN));
    assert!(at(100 + i64::from(i32::MAX)));
    assert_eq!(builder.record_count(), 3);
}

#[test]
fn timestamps_are_relative_to_the_first_or_to_the_delete_horizon() {
    let mut builder = BatchBuilder::new().with_delete_horizon(5_000);
    builder.append(1_000, None, None, &[]).unwrap();
    builder.append(900, None, None, &[]).unwrap();
    let bytes = builder.build();
    let batch = Batch::parse(&bytes).unwrap();
    assert_eq!(batch.header().delete_horizon_ms(), Some(5_000));
    assert_eq!(
        (batch.base_timestamp(), batch.max_timestamp()),
        (5_000, 1_000)
    );
    let records = records(&batch, MAX).unwrap();
    let timestamps: Vec<_> = records
        .iter()
        .map(|record| record.unwrap().timestamp)
        .collect();
    assert_eq!(timestamps, [1_000, 900]);
}

#[test]
fn the_size_estimate_is_an_upper_bound() {
    let mut builder = BatchBuilder::new();
    for (timestamp, key, value) in [
        (i64::MAX, None, None),
        (i64::MIN, Some(&[7; 300][..]), Some(&[8; 70_000][..])),
        (0, Some(b"k"), None),
    ] {
        let bound = builder.size_after(key, value);
        builder.append(timestamp, key, value, &[]).unwrap();
        assert!(builder.size_in_bytes() <= bound);
    }
    let size = builder.size_in_bytes();
    assert_eq!(builder.build().len(), size);
}

type OwnedHeader = (String, Option<Vec<u8>>);
type OwnedRecord = (u32, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<OwnedHeader>);

fn any_record() -> impl Strategy<Value = OwnedRecord> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200));
    let headers = proptest::collection::vec(("[a-c]{0,2}", bytes()), 0..4);
    let timestamp = prop_oneof![Just(-1), 0..2_000_000_000_000i64, any::<i64>()];
    (1..5u32, timestamp, bytes(), bytes(), headers)
}

proptest! {
    #[test]
    fn what_is_built_reads_back(
        base_offset in 0..i64::MAX / 2,
        codec in 0..5u8,
        level in proptest::option::of(-10..30i32),
        list in proptest::collection::vec(any_record(), 0..20),
    ) {
        let mut builder = BatchBuilder::new()
            .with_compression(Compression::from_id(codec).unwrap())
            .with_base_offset(base_offset);
        if let Some(level) = level {
            builder = builder.with_compression_level(level);
        }
        let mut offset = base_offset;
        for (gap, timestamp, key, value, headers) in &list {
            let headers: Vec<HeaderRef<'_>> =
                headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
            offset += i64::from(*gap);
            let (key, value) = (key.as_deref(), value.as_deref());
            builder.append_at(offset, *timestamp, key, value, &headers).unwrap();
        }
        let bytes = builder.build();
        let mut found = batches(&bytes);
        let batch = found.next().unwrap().unwrap();
        prop_assert!(found.next().is_none());
        batch.check_crc().unwrap();
        prop_assert_eq!(batch.timestamp_type(), TimestampType::CreateTime);
        let max_timestamp = list.iter().map(|record| record.1).max().unwrap_or(-1);
        prop_assert_eq!(batch.max_timestamp(), max_timestamp);
        let read = records(&batch, MAX).unwrap();
        prop_assert_eq!(read.iter().count(), list.len());
        let mut offset = base_offset;
        for (record, (gap, timestamp, key, value, headers)) in read.iter().zip(&list) {
            let record = record.unwrap();
            offset += i64::from(*gap);
            prop_assert_eq!(record.offset, offset);
            prop_assert_eq!(record.timestamp, *timestamp);
            prop_assert_eq!(record.key, key.as_deref());
            prop_assert_eq!(record.value, value.as_deref());
            let found: Vec<OwnedHeader> = record
                .headers
                .iter()
                .map(|h| (h.key_str().into_owned(), h.value.map(<[u8]>::to_vec)))
                .collect();
            prop_assert_eq!(&found, headers);
        }
    }
}
