use proptest::prelude::*;

use super::*;
use crate::record::golden;

/// The batch of one record in a Produce request of Kafka's own producer.
const CAPTURED: &str = "00000000000000000000009effffffff02c323fb37000000000000000001a1fb6df2160000\
01a1fb6df216000000000000000100000000000000000001d60100000001c801595148484e4542534550444e534549464741\
4d53554a584b4f4c545853504c474844494f595a4a464e4944535057485a4d4b564a415844425a46434f58594b59524a4f47\
594b444553534a4d4f49494f57564b59554156574a4c58534550504645494c5600";

fn captured() -> Vec<u8> {
    let nibble = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    CAPTURED
        .as_bytes()
        .chunks(2)
        .map(|pair| nibble(pair[0]) << 4 | nibble(pair[1]))
        .collect()
}

#[test]
fn a_captured_batch_has_the_fields_that_the_producer_set() {
    let bytes = captured();
    let batch = Batch::parse(&bytes).unwrap();
    batch.check_crc().unwrap();
    assert_eq!(
        *batch.header(),
        BatchHeader {
            base_offset: 0,
            batch_length: 158,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0xc323_fb37,
            attributes: 0,
            last_offset_delta: 0,
            base_timestamp: 0x01a1_fb6d_f216,
            max_timestamp: 0x01a1_fb6d_f216,
            producer_id: 1,
            producer_epoch: 0,
            base_sequence: 0,
            record_count: 1,
        }
    );
    assert_eq!(batch.size_in_bytes(), 170);
    assert_eq!(
        (
            batch.last_offset(),
            batch.next_offset(),
            batch.last_sequence()
        ),
        (0, 1, 0)
    );
    assert_eq!(batch.compression(), Ok(Compression::None));
    assert_eq!(batch.timestamp_type(), TimestampType::CreateTime);
    assert!(!batch.is_control() && !batch.is_transactional() && batch.has_producer_id());
    assert_eq!(batch.header().delete_horizon_ms(), None);
}

#[test]
fn logs_of_kafka_are_batches_one_behind_the_other() {
    for file in golden::files() {
        let mut iterator = batches(file);
        let mut next_offset = None;
        while let Some(batch) = iterator.next() {
            let batch = batch.unwrap();
            batch.check_crc().unwrap();
            assert!(batch.base_offset() >= next_offset.unwrap_or(0));
            assert_eq!(batch.header().to_bytes(), batch.bytes()[..HEADER_LEN]);
            assert_eq!(iterator.position(), {
                let start = batch.bytes().as_ptr() as usize - file.as_ptr() as usize;
                start + batch.size_in_bytes()
            });
            next_offset = Some(batch.next_offset());
        }
        assert_eq!(iterator.position(), file.len());
        assert!(next_offset.is_some());
    }
}

#[test]
fn attributes_of_a_transaction_are_told_apart() {
    let batches = golden::all_batches(golden::RECORDS[0].1);
    let (data, marker) = (batches[1], batches[11]);
    assert!(data.is_transactional() && !data.is_control());
    assert_eq!(
        (data.base_offset(), data.producer_id(), data.base_sequence()),
        (5, 9, 0)
    );
    assert!(marker.is_transactional() && marker.is_control());
    assert_eq!(
        (marker.base_sequence(), marker.last_sequence()),
        (NO_SEQUENCE, NO_SEQUENCE)
    );
    let pair = batches[12];
    assert_eq!(
        (pair.last_offset(), pair.next_offset(), pair.last_sequence()),
        (17, 18, 1)
    );
}

#[test]
fn offset_and_epoch_change_outside_of_the_checksum() {
    let mut bytes = captured();
    let before = bytes.clone();
    set_base_offset(&mut bytes, 1 << 40).unwrap();
    set_partition_leader_epoch(&mut bytes, 77).unwrap();
    let batch = Batch::parse(&bytes).unwrap();
    assert_eq!(
        (batch.base_offset(), batch.partition_leader_epoch()),
        (1 << 40, 77)
    );
    batch.check_crc().unwrap();
    assert_eq!(bytes[16..], before[16..]);
    assert_eq!(bytes[8..12], before[8..12]);
}

#[test]
fn a_new_timestamp_renews_the_checksum_of_that_batch_only() {
    let mut bytes = captured();
    bytes.extend_from_slice(b"next batch");
    set_max_timestamp(&mut bytes, TimestampType::LogAppendTime, 1234).unwrap();
    let batch = Batch::parse(&bytes).unwrap();
    assert_eq!(batch.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(batch.max_timestamp(), 1234);
    batch.check_crc().unwrap();
    assert!(bytes.ends_with(b"next batch"));
    set_max_timestamp(&mut bytes, TimestampType::CreateTime, 0x01a1_fb6d_f216).unwrap();
    assert_eq!(bytes[..170], captured());
}

#[test]
fn an_unchanged_timestamp_leaves_a_wrong_checksum_wrong() {
    let mut bytes = captured();
    bytes[100] ^= 1;
    set_max_timestamp(&mut bytes, TimestampType::CreateTime, 0x01a1_fb6d_f216).unwrap();
    assert!(Batch::parse(&bytes).unwrap().check_crc().is_err());
}

#[test]
fn cut_batches_are_truncated_and_patches_refuse_them() {
    let bytes = captured();
    for len in 0..bytes.len() {
        let mut cut = bytes[..len].to_vec();
        let error = Batch::parse(&cut).unwrap_err();
        assert!(
            matches!(error, BatchError::Truncated { available_bytes, needed_bytes }
                if available_bytes == len && needed_bytes > len),
            "{len}: {error}"
        );
        assert!(set_base_offset(&mut cut, 1).is_err());
        assert!(set_partition_leader_epoch(&mut cut, 1).is_err());
        assert!(set_max_timestamp(&mut cut, TimestampType::LogAppendTime, 1).is_err());
        assert_eq!(cut, bytes[..len]);
    }
}

#[test]
fn impossible_headers_are_named() {
    let with = |at: usize, value: &[u8]| {
        let mut bytes = captured();
        bytes[at..at + value.len()].copy_from_slice(value);
        Batch::parse(&bytes).unwrap_err()
    };
    for length in [i32::MIN, -1, 0, 13, 14, 48] {
        let error = with(LENGTH_AT, &length.to_be_bytes());
        assert_eq!(error, BatchError::InvalidLength(length), "{length}");
    }
    let error = with(LENGTH_AT, &i32::MAX.to_be_bytes());
    assert!(matches!(
        error,
        BatchError::Truncated {
            needed_bytes: 2_147_483_659,
            ..
        }
    ));
    for magic in [0, 1, 3, -1i8] {
        assert_eq!(
            with(MAGIC_AT, &magic.to_be_bytes()),
            BatchError::UnsupportedMagic(magic)
        );
    }
}

#[test]
fn iteration_ends_after_the_first_error_and_says_where() {
    let mut bytes = captured();
    bytes.extend_from_slice(&captured()[..60]);
    let mut iterator = batches(&bytes);
    assert!(iterator.next().unwrap().is_ok());
    assert!(matches!(
        iterator.next(),
        Some(Err(BatchError::Truncated { .. }))
    ));
    assert!(iterator.next().is_none());
    assert_eq!(iterator.position(), 170);
    assert!(batches(&[]).next().is_none());
}

#[test]
fn codec_ids_without_a_codec_are_an_error_value() {
    let mut bytes = captured();
    for id in 0..8u8 {
        bytes[ATTRIBUTES_AT + 1] = id;
        let found = Batch::parse(&bytes).unwrap().compression();
        match Compression::from_id(id) {
            Some(codec) => assert_eq!(found, Ok(codec)),
            None => assert_eq!(found, Err(UnknownCodec(id))),
        }
    }
}

#[test]
fn sequences_count_in_a_ring() {
    for (sequence, increment, sum) in [
        (0, 0, 0),
        (5, 7, 12),
        (i32::MAX, 0, i32::MAX),
        (i32::MAX, 1, 0),
        (i32::MAX - 1, 5, 3),
    ] {
        assert_eq!(increment_sequence(sequence, increment), sum);
        assert_eq!(decrement_sequence(sum, increment), sequence);
    }
}

#[test]
fn offsets_at_the_end_of_the_range_saturate() {
    let mut bytes = captured();
    set_base_offset(&mut bytes, i64::MAX).unwrap();
    bytes[LAST_OFFSET_DELTA_AT..LAST_OFFSET_DELTA_AT + 4].copy_from_slice(&5i32.to_be_bytes());
    let batch = Batch::parse(&bytes).unwrap();
    assert_eq!(
        (batch.last_offset(), batch.next_offset()),
        (i64::MAX, i64::MAX)
    );
}

proptest! {
    #[test]
    fn every_damaged_bit_behind_the_checksum_is_noticed(bit in 0..(170 - ATTRIBUTES_AT) * 8) {
        let mut bytes = captured();
        bytes[ATTRIBUTES_AT + bit / 8] ^= 1 << (bit % 8);
        let batch = Batch::parse(&bytes).unwrap();
        let noticed = matches!(batch.check_crc(), Err(BatchError::CrcMismatch { .. }));
        prop_assert!(noticed);
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes: Vec<u8>, magic: bool) {
        if magic && bytes.len() > MAGIC_AT {
            bytes[MAGIC_AT] = 2;
            bytes[LENGTH_AT..LENGTH_AT + 3].fill(0);
        }
        for batch in batches(&bytes).flatten() {
            let _ = (batch.last_offset(), batch.last_sequence(), batch.compression());
            let _ = batch.check_crc();
        }
    }
}
