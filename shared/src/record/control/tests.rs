use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::record::golden;
use crate::record::iter::records;

fn control_records(file: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let batches = golden::all_batches(file);
    let control = batches.iter().filter(|batch| batch.is_control());
    control
        .flat_map(|batch| {
            let records = records(batch, 1 << 20).unwrap();
            let pairs = records.iter().map(|record| {
                let record = record.unwrap();
                (record.key.unwrap().to_vec(), record.value.unwrap().to_vec())
            });
            pairs.collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn control_records_that_kafka_wrote_encode_to_the_same_bytes() {
    let mut types = BTreeSet::new();
    for (key, value) in golden::files().flat_map(control_records) {
        let record = ControlRecord::decode(&key, &value).unwrap();
        types.insert(record.record_type().id());
        assert_eq!(
            record.encode().unwrap(),
            (key.try_into().unwrap(), value),
            "{record:?}"
        );
    }
    // All but abort, which differs from commit in the key only.
    assert_eq!(types.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn kafkas_first_snapshot_names_the_voters() {
    let decoded: Vec<_> = control_records(golden::METADATA[2].1)
        .iter()
        .map(|(key, value)| ControlRecord::decode(key, value).unwrap())
        .collect();
    let [
        ControlRecord::SnapshotHeader(_),
        ControlRecord::KRaftVersion(version),
        ControlRecord::Voters(voters),
        ControlRecord::SnapshotFooter(_),
    ] = &decoded[..]
    else {
        panic!("{decoded:?}")
    };
    assert_eq!(version.kraft_version, 1);
    let [voter] = &voters.voters[..] else {
        panic!("{voters:?}")
    };
    assert_eq!(voter.voter_id, 1);
    assert!(!voter.voter_directory_id.is_nil());
    let endpoint = VoterEndpoint {
        name: "CONTROLLER".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 30230,
    };
    assert_eq!(voter.endpoints, [endpoint]);
}

#[test]
fn markers_have_a_version_prefix_and_later_ones_are_read_as_the_known() {
    let marker = ControlRecord::Abort(EndTxnMarker {
        coordinator_epoch: 5,
    });
    let (key, mut value) = marker.encode().unwrap();
    assert_eq!((key, value.as_slice()), ([0; 4], &[0, 0, 0, 0, 0, 5][..]));
    value[1] = 9;
    value.push(0);
    assert_eq!(ControlRecord::decode(&key, &value), Ok(marker));
}

#[test]
fn unknown_types_are_kept_apart_and_never_written() {
    let record = ControlRecord::decode(&[0, 0, 0, 99], b"whatever").unwrap();
    assert_eq!(record, ControlRecord::Unknown(99));
    assert!(record.encode().is_err());
    assert_eq!(
        ControlRecordType::from_id(-1),
        ControlRecordType::Unknown(-1)
    );
    assert!(ControlRecordType::parse_key(&[0, 0, 0]).is_err());
    assert!(ControlRecordType::parse_key(&[0xff, 0xff, 0, 1]).is_err());
    assert_eq!(
        ControlRecordType::parse_key(&[0, 7, 0, 1]),
        Ok(ControlRecordType::Commit)
    );
}

proptest! {
    #[test]
    fn arbitrary_values_never_panic(id in 0..8u8, value: Vec<u8>) {
        let _ = ControlRecord::decode(&[0, 0, 0, id], &value);
    }
}
