use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::record::golden;
use crate::record::iter::records;

type KeyValue = (Vec<u8>, Option<Vec<u8>>);

fn kafkas_records() -> Vec<KeyValue> {
    let batches = golden::all_batches(golden::CONSUMER_OFFSETS);
    let pairs = batches.iter().flat_map(|batch| {
        let records = records(batch, 1 << 20).unwrap();
        let pairs = records.iter().map(|record| {
            let record = record.unwrap();
            (
                record.key.unwrap().to_vec(),
                record.value.map(<[u8]>::to_vec),
            )
        });
        pairs.collect::<Vec<_>>()
    });
    pairs.collect()
}

#[test]
fn records_that_kafka_wrote_encode_to_the_same_bytes() {
    let mut seen = BTreeSet::new();
    for (key, value) in kafkas_records() {
        let record = OffsetsRecord::decode(&key, value.as_deref()).unwrap();
        seen.insert((record.key.record_type_id(), record.key.group().to_owned()));
        assert_eq!(record.encode().unwrap(), (key, value), "{record:?}");
    }
    let expect = |types: &[i16], group: &'static str| {
        let found = seen.iter().filter(|(_, g)| g == group).map(|(id, _)| *id);
        assert_eq!(found.collect::<Vec<_>>(), types, "{group}");
    };
    expect(&[1, 2], "golden-classic");
    expect(&[1, 3, 5, 6, 7, 8], "golden-consumer");
    expect(&[10, 11, 12, 13, 14, 15], "golden-share");
}

#[test]
fn kafkas_offset_and_group_are_read() {
    let decoded: Vec<_> = kafkas_records()
        .iter()
        .map(|(key, value)| OffsetsRecord::decode(key, value.as_deref()).unwrap())
        .collect();
    let offset = decoded
        .iter()
        .rev()
        .find_map(|record| match (&record.key, &record.value) {
            (OffsetsKey::OffsetCommit(key), Some(OffsetsValue::OffsetCommit(value)))
                if key.group == "golden-classic" =>
            {
                Some((key.clone(), value.clone()))
            }
            _ => None,
        });
    let (key, value) = offset.unwrap();
    assert_eq!((key.topic.as_str(), key.partition), ("golden-gzip", 0));
    assert_eq!(value.offset, 5);
    assert!(value.commit_timestamp > 1_700_000_000_000);
    assert!(!value.topic_id.is_nil());
    let member = decoded.iter().find_map(|record| match &record.value {
        Some(OffsetsValue::GroupMetadata(group)) => group.members.first(),
        _ => None,
    });
    let member = member.unwrap();
    assert!(member.client_id.starts_with("console-consumer"));
    assert_eq!(
        (member.session_timeout, member.rebalance_timeout),
        (45_000, 300_000)
    );
    assert!(!member.subscription.is_empty() && !member.assignment.is_empty());
}

#[test]
fn offset_values_have_the_bytes_of_their_version() {
    let value = OffsetCommitValue {
        offset: 1,
        leader_epoch: 2,
        metadata: "m".to_owned(),
        commit_timestamp: 3,
        expire_timestamp: -1,
        topic_id: Uuid::from_u128(4),
    };
    let long = |n: u8| [0, 0, 0, 0, 0, 0, 0, n];
    let cases: [(i16, Vec<u8>); 5] = [
        (0, [&long(1)[..], &[0, 1, b'm'], &long(3)].concat()),
        (
            1,
            [&long(1)[..], &[0, 1, b'm'], &long(3), &[0xff; 8]].concat(),
        ),
        (2, [&long(1)[..], &[0, 1, b'm'], &long(3)].concat()),
        (
            3,
            [&long(1)[..], &[0, 0, 0, 2, 0, 1, b'm'], &long(3)].concat(),
        ),
        (
            4,
            [
                &long(1)[..],
                &[0, 0, 0, 2, 2, b'm'],
                &long(3),
                &[1, 0, 16],
                &[0; 15],
                &[4],
            ]
            .concat(),
        ),
    ];
    for (version, expected) in cases {
        let mut out = Vec::new();
        value.encode(&mut out, version).unwrap();
        assert_eq!(out, expected, "version {version}");
    }
}

#[test]
fn group_values_survive_in_every_version_up_to_its_fields() {
    let full = GroupMetadataValue {
        protocol_type: "consumer".to_owned(),
        generation: 7,
        protocol: Some("range".to_owned()),
        leader: None,
        current_state_timestamp: 5,
        members: vec![GroupMetadataMember {
            member_id: "m".to_owned(),
            group_instance_id: Some("i".to_owned()),
            rebalance_timeout: 9,
            session_timeout: 8,
            subscription: Bytes::from_static(b"s"),
            ..GroupMetadataMember::default()
        }],
    };
    for version in 0..=4 {
        let bytes = full.encode_versioned(version).unwrap();
        let mut expected = full.clone();
        let member = &mut expected.members[0];
        if version < 3 {
            member.group_instance_id = None;
        }
        if version < 2 {
            expected.current_state_timestamp = -1;
        }
        if version < 1 {
            expected.members[0].rebalance_timeout = -1;
        }
        assert_eq!(
            GroupMetadataValue::decode_versioned(&bytes),
            Ok((version, expected))
        );
    }
}

#[test]
fn an_offset_with_an_expiry_is_written_at_version_1() {
    let key = OffsetsKey::OffsetCommit(OffsetCommitKey::default());
    let mut value = OffsetCommitValue {
        expire_timestamp: 99,
        ..OffsetCommitValue::default()
    };
    let versions = |value: &OffsetCommitValue| {
        let value = Some(OffsetsValue::OffsetCommit(value.clone()));
        OffsetsRecord {
            key: key.clone(),
            value,
        }
        .encode()
        .unwrap()
        .1
        .unwrap()[..2]
            .to_vec()
    };
    assert_eq!(versions(&value), [0, 1]);
    value.expire_timestamp = -1;
    assert_eq!(versions(&value), [0, 4]);
}

#[test]
fn keys_of_all_types_name_their_group() {
    let mut ids = vec![0, 1, 2];
    ids.extend(
        GroupRecordType::ALL
            .iter()
            .map(|record_type| record_type.id()),
    );
    for id in ids.iter().copied() {
        let mut bytes = id.to_be_bytes().to_vec();
        bytes.extend_from_slice(b"\0\x01g\0\x01p\0\0\0\x01");
        let key = OffsetsKey::decode(&bytes).unwrap();
        assert_eq!((key.group(), key.record_type_id()), ("g", id));
        let encoded = key.encode().unwrap();
        assert_eq!(encoded, bytes[..encoded.len()]);
        let deleted = OffsetsRecord::decode(&bytes, None).unwrap();
        assert_eq!(deleted.encode().unwrap(), (encoded, None));
    }
    assert_eq!(ids.len(), 22);
    let with_part = OffsetsKey::decode(b"\0\x10\0\x01g\0\x02a*").unwrap();
    let expected = OffsetsKey::Group {
        record_type: GroupRecordType::ConsumerGroupRegularExpression,
        group: "g".to_owned(),
        part: Some("a*".to_owned()),
    };
    assert_eq!(with_part, expected);
}

#[test]
fn types_and_versions_of_a_later_kafka_are_told_apart_from_damage() {
    for id in [9i16, 18, 24, -1] {
        let mut key = id.to_be_bytes().to_vec();
        key.extend_from_slice(b"\0\x01g");
        let error = OffsetsKey::decode(&key).unwrap_err();
        assert!(
            matches!(error, SchemaError::UnknownType { .. }),
            "{id}: {error}"
        );
    }
    let key = b"\0\x02\0\x01g";
    let error = OffsetsRecord::decode(key, Some(&[0, 5])).unwrap_err();
    assert!(matches!(
        error,
        SchemaError::UnsupportedVersion { version: 5, .. }
    ));
    let error = OffsetsRecord::decode(key, Some(&[0])).unwrap_err();
    assert!(matches!(error, SchemaError::Truncated { .. }));
}

proptest! {
    #[test]
    fn arbitrary_records_never_panic(id in -1..25i16, key: Vec<u8>, value: Option<Vec<u8>>) {
        let key = [&id.to_be_bytes()[..], &key].concat();
        let _ = OffsetsRecord::decode(&key, value.as_deref());
    }
}
