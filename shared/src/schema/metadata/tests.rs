use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::record::golden;
use crate::record::iter::records;

/// Values of the data records of a metadata log or snapshot.
fn values(file: &[u8]) -> Vec<Vec<u8>> {
    let batches = golden::all_batches(file);
    let data = batches.iter().filter(|batch| !batch.is_control());
    data.flat_map(|batch| {
        let records = records(batch, 1 << 20).unwrap();
        let values = records
            .iter()
            .map(|record| record.unwrap().value.unwrap().to_vec());
        values.collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn every_record_that_kafka_wrote_encodes_to_the_same_bytes() {
    let mut types = BTreeSet::new();
    for (name, file) in golden::METADATA {
        for value in values(file) {
            let (record, version) = MetadataRecord::decode(&value).unwrap();
            assert_eq!(record.encode(version).unwrap(), value, "{name}: {record:?}");
            assert!(record.versions().contains(&version));
            types.insert(record.api_key());
        }
    }
    let seen: Vec<_> = types.into_iter().collect();
    assert_eq!(
        seen,
        [
            0, 2, 3, 4, 5, 9, 11, 12, 14, 15, 17, 18, 19, 20, 22, 23, 24, 27, 28
        ]
    );
}

#[test]
fn records_of_kafka_say_what_was_done() {
    let decoded: Vec<_> = values(golden::METADATA[0].1)
        .iter()
        .map(|value| MetadataRecord::decode(value).unwrap().0)
        .collect();
    let topics: Vec<_> = decoded
        .iter()
        .filter_map(|record| match record {
            MetadataRecord::Topic(topic) => Some(topic.name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(topics[..2], ["golden-none", "golden-gzip"]);
    let retention = MetadataRecord::from(ConfigRecord {
        resource_type: 2,
        resource_name: "golden-none".to_owned(),
        name: "retention.ms".to_owned(),
        value: Some("1234567".to_owned()),
    });
    assert!(decoded.contains(&retention));
    let quota = MetadataRecord::from(ClientQuotaRecord {
        entity: vec![ClientQuotaEntity {
            entity_type: "client-id".to_owned(),
            entity_name: None,
        }],
        key: "request_percentage".to_owned(),
        value: 12.5,
        remove: false,
    });
    assert!(decoded.contains(&quota));
    let partition = decoded.iter().find_map(|record| match record {
        MetadataRecord::Partition(partition) => Some(partition),
        _ => None,
    });
    let partition = partition.unwrap();
    assert_eq!((partition.leader, partition.leader_epoch), (1, 0));
    assert_eq!((&partition.replicas, &partition.isr), (&vec![1], &vec![1]));
    assert_eq!(partition.directories.len(), 1);
}

#[test]
fn all_types_and_versions_of_kafka_exist() {
    let mut count = 0;
    for key in 0..=i16::from(u8::MAX) {
        // A record of zeros long enough for any type's fixed fields; flexible, so no tags.
        let zeros = [0; 128];
        let decoded = MetadataRecord::decode_body(&mut Reader::new(&zeros), key, 0);
        let known = !matches!(decoded, Err(SchemaError::UnknownType { .. }));
        assert_eq!(known, MetadataRecord::TYPES.contains(&key), "{key}");
        count += usize::from(known);
    }
    assert_eq!(count, 26);
    let highest = |record: MetadataRecord| (record.api_key(), *record.versions().end());
    let above_zero = [
        highest(RegisterBrokerRecord::default().into()),
        highest(PartitionRecord::default().into()),
        highest(PartitionChangeRecord::default().into()),
        highest(BrokerRegistrationChangeRecord::default().into()),
    ];
    assert_eq!(above_zero, [(0, 4), (3, 2), (5, 2), (17, 3)]);
}

#[test]
fn a_partition_change_holds_only_what_changed() {
    let change = PartitionChangeRecord {
        partition_id: 1,
        isr: Some(vec![2]),
        leader: 2,
        ..PartitionChangeRecord::default()
    };
    let bytes = MetadataRecord::from(change).encode(2).unwrap();
    let mut expected = vec![1, 5, 2, 0, 0, 0, 1];
    expected.extend_from_slice(&[0; 16]);
    expected.extend_from_slice(&[2, 0, 5, 2, 0, 0, 0, 2, 1, 4, 0, 0, 0, 2]);
    assert_eq!(bytes, expected);
}

#[test]
fn an_older_version_refuses_what_it_cannot_hold() {
    let record = MetadataRecord::from(PartitionChangeRecord {
        directories: Some(vec![Uuid::from_u128(1)]),
        ..PartitionChangeRecord::default()
    });
    assert!(matches!(
        record.encode(0),
        Err(SchemaError::FieldNotInVersion {
            field: "directories",
            version: 0,
            ..
        })
    ));
    assert_eq!(
        MetadataRecord::decode(&record.encode(1).unwrap()).unwrap(),
        (record, 1)
    );
}

#[test]
fn frames_of_other_versions_and_garbage_are_refused() {
    let good = MetadataRecord::from(NoOpRecord {}).encode(0).unwrap();
    assert_eq!(good, [1, 20, 0, 0]);
    let kind = |bytes: &[u8]| match MetadataRecord::decode(bytes) {
        Err(SchemaError::UnknownType { kind, .. }) => kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(&[0, 20, 0, 0]), "metadata frame version");
    assert_eq!(kind(&[2, 20, 0, 0]), "metadata frame version");
    assert_eq!(kind(&[1, 6, 0, 0]), "metadata record type");
    assert_eq!(kind(&[1, 0xff, 0xff, 0x7f, 0, 0]), "metadata record type");
    let error = MetadataRecord::decode(&[1, 20, 1, 0]).unwrap_err();
    assert_eq!(
        error,
        SchemaError::UnsupportedVersion {
            schema: "NoOpRecord",
            version: 1
        }
    );
    let error = MetadataRecord::decode(&[1, 20, 0, 0, 9]).unwrap_err();
    assert_eq!(error, SchemaError::TrailingBytes(1));
    assert!(MetadataRecord::decode(&[]).is_err());
}

proptest! {
    #[test]
    fn arbitrary_records_never_panic(key in 0..30u8, version in 0..5u8, body: Vec<u8>) {
        let mut bytes = vec![1, key, version];
        bytes.extend_from_slice(&body);
        if let Ok((record, version)) = MetadataRecord::decode(&bytes) {
            prop_assert!(record.encode(version).is_ok());
        }
    }
}
