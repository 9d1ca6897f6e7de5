use proptest::prelude::*;

use super::*;
use crate::record::golden;
use crate::record::iter::records;
use crate::schema::offsets::{GroupMetadataMember, OffsetsRecord, OffsetsValue};

/// The first member of a classic group in Kafka's own log.
fn kafkas_member() -> GroupMetadataMember {
    for batch in golden::all_batches(golden::CONSUMER_OFFSETS) {
        for record in &records(&batch, 1 << 20).unwrap() {
            let record = record.unwrap();
            let record = OffsetsRecord::decode(record.key.unwrap(), record.value).unwrap();
            if let Some(OffsetsValue::GroupMetadata(group)) = record.value
                && let Some(member) = group.members.into_iter().next()
            {
                return member;
            }
        }
    }
    panic!("the log has a classic group with a member");
}

#[test]
fn what_a_java_consumer_sent_encodes_to_the_same_bytes() {
    let member = kafkas_member();
    let (version, subscription) =
        ConsumerProtocolSubscription::parse(&member.subscription).unwrap();
    assert_eq!(subscription.topics, ["golden-gzip"]);
    assert_eq!((version, subscription.generation_id), (3, -1));
    assert_eq!(
        subscription.encode_versioned(version).unwrap(),
        member.subscription
    );

    let (version, assignment) = ConsumerProtocolAssignment::parse(&member.assignment).unwrap();
    let partitions = ConsumerProtocolPartitions {
        topic: "golden-gzip".to_owned(),
        partitions: vec![0],
    };
    assert_eq!(assignment.assigned_partitions, [partitions]);
    assert_eq!(
        assignment.encode_versioned(version).unwrap(),
        member.assignment
    );
}

#[test]
fn later_versions_are_read_as_the_last_known() {
    let subscription = ConsumerProtocolSubscription {
        topics: vec!["t".to_owned()],
        rack_id: Some("r".to_owned()),
        ..ConsumerProtocolSubscription::default()
    };
    let mut bytes = subscription.encode_versioned(3).unwrap();
    bytes[1] = 9;
    bytes.extend_from_slice(b"fields of the future");
    assert_eq!(
        ConsumerProtocolSubscription::parse(&bytes),
        Ok((9, subscription))
    );
    bytes[0] = 0xff;
    assert!(ConsumerProtocolSubscription::parse(&bytes).is_err());
}

#[test]
fn an_assignment_without_bytes_is_empty() {
    let empty = ConsumerProtocolAssignment::default();
    assert_eq!(ConsumerProtocolAssignment::parse(&[]), Ok((0, empty)));
    assert!(ConsumerProtocolSubscription::parse(&[]).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(version in -1..5i16, bytes: Vec<u8>) {
        let bytes = [&version.to_be_bytes()[..], &bytes].concat();
        let _ = ConsumerProtocolSubscription::parse(&bytes);
        let _ = ConsumerProtocolAssignment::parse(&bytes);
    }
}
