use proptest::prelude::*;

use super::*;
use crate::record::golden;
use crate::record::iter::records;

#[test]
fn records_that_kafka_wrote_encode_to_the_same_bytes() {
    let mut states = Vec::new();
    for batch in golden::all_batches(golden::TRANSACTION_STATE) {
        for record in &records(&batch, 1 << 20).unwrap() {
            let record = record.unwrap();
            let (key, value) = (record.key.unwrap(), record.value);
            let version = i16::from_be_bytes(value.unwrap()[..2].try_into().unwrap());
            let decoded = TransactionLogRecord::decode(key, value).unwrap();
            let encoded = decoded.encode(version).unwrap();
            assert_eq!(
                encoded,
                (key.to_vec(), value.map(<[u8]>::to_vec)),
                "{decoded:?}"
            );
            assert_eq!(decoded.transactional_id, "golden-tx");
            let state = decoded.value.unwrap();
            states.push(state);
        }
    }
    let statuses: Vec<_> = states
        .iter()
        .map(|state| state.transaction_status)
        .collect();
    // Empty, then per transaction ongoing, prepare commit, complete commit.
    assert_eq!(statuses[..5], [0, 1, 2, 4, 1]);
    assert_eq!(states[1].client_transaction_version, 2);
    let ongoing = &states[1].transaction_partitions;
    let partition = TransactionPartitions {
        topic: "golden-none".to_owned(),
        partition_ids: vec![0],
    };
    assert_eq!(ongoing, &Some(vec![partition]));
}

#[test]
fn version_0_has_no_tags_and_may_lack_partitions() {
    let mut value = TransactionLogValue {
        transaction_partitions: None,
        ..TransactionLogValue::default()
    };
    let bytes = value.encode_versioned(0).unwrap();
    assert_eq!(bytes.len(), 2 + 8 + 2 + 4 + 1 + 4 + 8 + 8);
    assert_eq!(
        TransactionLogValue::decode_versioned(&bytes),
        Ok((0, value.clone()))
    );
    value.next_producer_epoch = 0;
    assert!(value.encode_versioned(0).is_err());
    assert!(value.encode_versioned(1).is_ok());
}

#[test]
fn a_deleted_transactional_id_has_no_value() {
    let record = TransactionLogRecord {
        transactional_id: "t".to_owned(),
        value: None,
    };
    let (key, value) = record.encode(1).unwrap();
    assert_eq!((key.as_slice(), &value), (&b"\0\0\0\x01t"[..], &None));
    assert_eq!(TransactionLogRecord::decode(&key, None), Ok(record));
    assert!(TransactionLogRecord::decode(b"\0\x01\0\x01t", None).is_err());
}

proptest! {
    #[test]
    fn arbitrary_records_never_panic(key: Vec<u8>, version in 0..3i16, value: Vec<u8>) {
        let _ = TransactionLogRecord::decode(&key, None);
        let value = [&version.to_be_bytes()[..], &value].concat();
        let _ = TransactionLogRecord::decode(b"\0\0\0\x01t", Some(&value));
    }
}
