//! Values of the records of consumer groups in `__consumer_offsets` (KIP-848); their keys are in
//! [`offsets`](super::offsets).
//!
//! Follows Kafka's group-coordinator schemas.

use super::{Bytes, Uuid};
use crate::schema;

schema! {
    /// The group's epoch: it goes up whenever its members or what they subscribe to change.
    pub struct ConsumerGroupMetadataValue, versions 0..=0, flexible 0 {
        epoch: i32;
        metadata_hash: i64, since 0, tag 0;
    }

    /// A member as it joined.
    pub struct ConsumerGroupMemberMetadataValue, versions 0..=0, flexible 0 {
        instance_id: Option<String>;
        rack_id: Option<String>;
        client_id: String;
        client_host: String;
        subscribed_topic_names: Vec<String>;
        subscribed_topic_regex: Option<String>;
        rebalance_timeout_ms: i32 = -1;
        server_assignor: Option<String>;
        classic_member_metadata: Option<ClassicMemberMetadata>, since 0, tag 0;
    }

    /// What a member brings that speaks the classic protocol.
    pub struct ClassicMemberMetadata, versions 0..=0, flexible 0 {
        session_timeout_ms: i32;
        supported_protocols: Vec<ClassicMemberProtocol>;
    }

    pub struct ClassicMemberProtocol, versions 0..=0, flexible 0 {
        name: String;
        metadata: Bytes;
    }

    /// The epoch of the group that the target assignment was made for.
    pub struct ConsumerGroupTargetAssignmentMetadataValue, versions 0..=0, flexible 0 {
        assignment_epoch: i32;
        assignment_timestamp: i64, since 0, tag 0, ignorable true;
    }

    /// What a member shall own.
    pub struct ConsumerGroupTargetAssignmentMemberValue, versions 0..=0, flexible 0 {
        topic_partitions: Vec<TargetTopicPartitions>;
    }

    pub struct TargetTopicPartitions, versions 0..=0, flexible 0 {
        topic_id: Uuid;
        partitions: Vec<i32>;
    }

    /// What a member owns, and what it has yet to give away.
    pub struct ConsumerGroupCurrentMemberAssignmentValue, versions 0..=0, flexible 0 {
        member_epoch: i32;
        previous_member_epoch: i32;
        state: i8;
        assigned_partitions: Vec<CurrentTopicPartitions>;
        partitions_pending_revocation: Vec<CurrentTopicPartitions>;
    }

    pub struct CurrentTopicPartitions, versions 0..=0, flexible 0 {
        topic_id: Uuid;
        partitions: Vec<i32>;
        assignment_epochs: Option<Vec<i32>>, since 0, tag 0, ignorable true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema as _;

    #[test]
    fn values_are_what_kafka_writes() {
        // Version 0, epoch 7, no tagged fields: an epoch as Kafka 4.0 wrote it.
        let (version, epoch) =
            ConsumerGroupMetadataValue::decode_versioned(&[0, 0, 0, 0, 0, 7, 0]).unwrap();
        assert_eq!((version, epoch.epoch, epoch.metadata_hash), (0, 7, 0));
        let mut current = vec![0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 2];
        current.extend([9; 16]);
        current.extend([3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0]);
        let (_, value) =
            ConsumerGroupCurrentMemberAssignmentValue::decode_versioned(&current).unwrap();
        assert_eq!((value.member_epoch, value.state), (3, 0));
        assert_eq!(value.assigned_partitions[0].partitions, [0, 4]);
        assert_eq!(value.partitions_pending_revocation, []);
        assert_eq!(value.encode_versioned(0).unwrap(), current);
    }

    #[test]
    fn a_member_of_the_classic_protocol_keeps_its_protocols() {
        let value = ConsumerGroupMemberMetadataValue {
            client_id: "app".to_owned(),
            classic_member_metadata: Some(ClassicMemberMetadata {
                session_timeout_ms: 6_000,
                supported_protocols: vec![ClassicMemberProtocol {
                    name: "range".to_owned(),
                    metadata: Bytes::from_static(&[0, 1]),
                }],
            }),
            ..ConsumerGroupMemberMetadataValue::default()
        };
        let bytes = value.encode_versioned(0).unwrap();
        let read = ConsumerGroupMemberMetadataValue::decode_versioned(&bytes).unwrap();
        assert_eq!(read, (0, value));
    }
}
