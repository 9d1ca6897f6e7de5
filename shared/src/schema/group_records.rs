//! Values of the records of share and streams groups in `__consumer_offsets` (KIP-932, KIP-1071),
//! and those of consumer groups that only tools look at; and every such value as JSON, by the type
//! of its record. Their keys are in [`offsets`](super::offsets).
//!
//! Follows Kafka's group-coordinator schemas.

use super::consumer_groups::{
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataValue, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataValue, TargetTopicPartitions,
};
use super::offsets::GroupRecordType;
use super::{Field as _, Schema as _, SchemaError, Uuid, Value};
use crate::schema;

schema! {
    /// What the group reads; before Kafka 4.1, which keeps a hash of it instead.
    pub struct ConsumerGroupPartitionMetadataValue, versions 0..=0, flexible 0 {
        topics: Vec<SubscribedTopic>;
    }

    pub struct SubscribedTopic, versions 0..=0, flexible 0 {
        topic_id: Uuid;
        topic_name: String;
        num_partitions: i32;
        partition_metadata: Vec<PartitionRacks>;
    }

    pub struct PartitionRacks, versions 0..=0, flexible 0 {
        partition: i32;
        racks: Vec<String>;
    }

    /// The topics that a regular expression fits.
    pub struct ConsumerGroupRegularExpressionValue, versions 0..=0, flexible 0 {
        topics: Vec<String>;
        version: i64;
        timestamp: i64;
    }

    /// A member of a share group as it joined.
    pub struct ShareGroupMemberMetadataValue, versions 0..=0, flexible 0 {
        rack_id: Option<String>;
        client_id: String;
        client_host: String;
        subscribed_topic_names: Vec<String>;
    }

    pub struct ShareGroupMetadataValue, versions 0..=0, flexible 0 {
        epoch: i32;
        metadata_hash: i64;
    }

    pub struct ShareGroupTargetAssignmentMetadataValue, versions 0..=0, flexible 0 {
        assignment_epoch: i32;
        assignment_timestamp: i64, since 0, tag 0, ignorable true;
    }

    pub struct ShareGroupTargetAssignmentMemberValue, versions 0..=0, flexible 0 {
        topic_partitions: Vec<TargetTopicPartitions>;
    }

    pub struct ShareGroupCurrentMemberAssignmentValue, versions 0..=0, flexible 0 {
        member_epoch: i32;
        previous_member_epoch: i32;
        state: i8;
        assigned_partitions: Vec<TargetTopicPartitions>;
    }

    /// Whether the share coordinator knows the group's partitions.
    pub struct ShareGroupStatePartitionMetadataValue, versions 0..=0, flexible 0 {
        initializing_topics: Vec<SharedTopic>;
        initialized_topics: Vec<SharedTopic>;
        deleting_topics: Vec<DeletedTopic>;
    }

    pub struct SharedTopic, versions 0..=0, flexible 0 {
        topic_id: Uuid;
        topic_name: String;
        partitions: Vec<i32>;
    }

    pub struct DeletedTopic, versions 0..=0, flexible 0 {
        topic_id: Uuid;
        topic_name: String;
    }

    pub struct StreamsGroupMetadataValue, versions 0..=0, flexible 0 {
        epoch: i32;
        metadata_hash: i64;
        validated_topology_epoch: i32 = -1, since 0, tag 0;
        last_assignment_configs: Option<Vec<StreamsPair>>, since 0, tag 1;
    }

    pub struct StreamsPair, versions 0..=0, flexible 0 {
        key: String;
        value: String;
    }

    /// A member of a streams group as it joined.
    pub struct StreamsGroupMemberMetadataValue, versions 0..=0, flexible 0 {
        instance_id: Option<String>;
        rack_id: Option<String>;
        client_id: String;
        client_host: String;
        rebalance_timeout_ms: i32 = -1;
        topology_epoch: i32;
        process_id: String;
        user_endpoint: Option<StreamsEndpoint>;
        client_tags: Vec<StreamsPair>;
    }

    pub struct StreamsEndpoint, versions 0..=0, flexible 0 {
        host: String;
        port: u16;
    }

    pub struct StreamsGroupTargetAssignmentMetadataValue, versions 0..=0, flexible 0 {
        assignment_epoch: i32;
        assignment_timestamp: i64, since 0, tag 0, ignorable true;
    }

    pub struct StreamsGroupTargetAssignmentMemberValue, versions 0..=0, flexible 0 {
        active_tasks: Vec<TargetTasks>;
        standby_tasks: Vec<TargetTasks>;
        warmup_tasks: Vec<TargetTasks>;
    }

    pub struct TargetTasks, versions 0..=0, flexible 0 {
        subtopology_id: String;
        partitions: Vec<i32>;
    }

    pub struct StreamsGroupCurrentMemberAssignmentValue, versions 0..=0, flexible 0 {
        member_epoch: i32;
        previous_member_epoch: i32;
        state: i8;
        active_tasks: Vec<CurrentTasks>;
        standby_tasks: Vec<CurrentTasks>;
        warmup_tasks: Vec<CurrentTasks>;
        active_tasks_pending_revocation: Vec<CurrentTasks>;
        standby_tasks_pending_revocation: Vec<CurrentTasks>;
        warmup_tasks_pending_revocation: Vec<CurrentTasks>;
    }

    pub struct CurrentTasks, versions 0..=0, flexible 0 {
        subtopology_id: String;
        partitions: Vec<i32>;
        assignment_epochs: Option<Vec<i32>>, since 0, tag 0, ignorable true;
    }

    /// What a streams application is made of.
    pub struct StreamsGroupTopologyValue, versions 0..=0, flexible 0 {
        epoch: i32;
        subtopologies: Vec<Subtopology>;
    }

    pub struct Subtopology, versions 0..=0, flexible 0 {
        subtopology_id: String;
        source_topics: Vec<String>;
        source_topic_regex: Vec<String>;
        state_changelog_topics: Vec<StreamsTopic>;
        repartition_sink_topics: Vec<String>;
        repartition_source_topics: Vec<StreamsTopic>;
        copartition_groups: Vec<CopartitionGroup>;
    }

    pub struct StreamsTopic, versions 0..=0, flexible 0 {
        name: String;
        partitions: i32;
        replication_factor: i16;
        topic_configs: Vec<StreamsPair>;
    }

    /// Topics by their places in the lists of the subtopology.
    pub struct CopartitionGroup, versions 0..=0, flexible 0 {
        source_topics: Vec<i16>;
        source_topic_regex: Vec<i16>;
        repartition_source_topics: Vec<i16>;
    }
}

/// Kafka's names of the state of a member of a consumer or share group.
const MEMBER_STATES: [(i64, &str); 4] = [
    (0, "STABLE"),
    (1, "UNREVOKED_PARTITIONS"),
    (2, "UNRELEASED_PARTITIONS"),
    (127, "UNKNOWN"),
];

/// The same of a streams group, whose numbers are others.
const STREAMS_MEMBER_STATES: [(i64, &str); 4] = [
    (1, "STABLE"),
    (2, "UNREVOKED_TASKS"),
    (3, "UNRELEASED_TASKS"),
    (127, "UNKNOWN"),
];

/// The fields of the value of a record of a consumer, share or streams group, with the version
/// that stands in front of it. The state of a member is told by its name.
///
/// # Errors
/// It is of a later version, or no such value.
pub fn group_value_to_json(
    record_type: GroupRecordType,
    value: &[u8],
) -> Result<(i16, Value), SchemaError> {
    macro_rules! read {
        ($($variant:ident $schema:ident,)*) => {
            match record_type {
                $(GroupRecordType::$variant => {
                    let (version, value) = $schema::decode_versioned(value)?;
                    (version, value.to_json())
                })*
            }
        };
    }
    let (version, mut fields) = read! {
        ConsumerGroupMetadata ConsumerGroupMetadataValue,
        ConsumerGroupPartitionMetadata ConsumerGroupPartitionMetadataValue,
        ConsumerGroupMemberMetadata ConsumerGroupMemberMetadataValue,
        ConsumerGroupTargetAssignmentMetadata ConsumerGroupTargetAssignmentMetadataValue,
        ConsumerGroupTargetAssignmentMember ConsumerGroupTargetAssignmentMemberValue,
        ConsumerGroupCurrentMemberAssignment ConsumerGroupCurrentMemberAssignmentValue,
        ConsumerGroupRegularExpression ConsumerGroupRegularExpressionValue,
        ShareGroupMemberMetadata ShareGroupMemberMetadataValue,
        ShareGroupMetadata ShareGroupMetadataValue,
        ShareGroupTargetAssignmentMetadata ShareGroupTargetAssignmentMetadataValue,
        ShareGroupTargetAssignmentMember ShareGroupTargetAssignmentMemberValue,
        ShareGroupCurrentMemberAssignment ShareGroupCurrentMemberAssignmentValue,
        ShareGroupStatePartitionMetadata ShareGroupStatePartitionMetadataValue,
        StreamsGroupMetadata StreamsGroupMetadataValue,
        StreamsGroupMemberMetadata StreamsGroupMemberMetadataValue,
        StreamsGroupTargetAssignmentMetadata StreamsGroupTargetAssignmentMetadataValue,
        StreamsGroupTargetAssignmentMember StreamsGroupTargetAssignmentMemberValue,
        StreamsGroupCurrentMemberAssignment StreamsGroupCurrentMemberAssignmentValue,
        StreamsGroupTopology StreamsGroupTopologyValue,
    };
    let states = match record_type {
        GroupRecordType::ConsumerGroupCurrentMemberAssignment
        | GroupRecordType::ShareGroupCurrentMemberAssignment => &MEMBER_STATES,
        GroupRecordType::StreamsGroupCurrentMemberAssignment => &STREAMS_MEMBER_STATES,
        _ => return Ok((version, fields)),
    };
    let state = fields.get("state").and_then(Value::as_i64);
    let name = states.iter().find(|(number, _)| Some(*number) == state);
    if let (Some((_, name)), Some(field)) = (name, fields.get_mut("state")) {
        *field = (*name).into();
    }
    Ok((version, fields))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_told_by_the_type_of_their_record() {
        let id = Uuid::from_u128(7);
        // As Kafka writes it: compact lengths are one more, and each struct ends with its tags.
        let mut assignment = vec![0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 1, 2];
        assignment.extend(id.as_bytes());
        assignment.extend([2, 0, 0, 0, 4, 0, 0]);
        let read = group_value_to_json(
            GroupRecordType::ShareGroupCurrentMemberAssignment,
            &assignment,
        );
        let (version, fields) = read.unwrap();
        assert_eq!(version, 0);
        assert_eq!(fields["state"], "UNREVOKED_PARTITIONS");
        assert_eq!(fields["assigned_partitions"][0]["partitions"], json!([4]));

        // Nullable structs outside of tags have a marker: here there is no endpoint.
        let member = StreamsGroupMemberMetadataValue {
            client_id: "app".to_owned(),
            process_id: "p".to_owned(),
            ..StreamsGroupMemberMetadataValue::default()
        };
        let bytes = member.encode_versioned(0).unwrap();
        assert_eq!(bytes[bytes.len() - 3..], [255, 1, 0]);
        let (_, fields) =
            group_value_to_json(GroupRecordType::StreamsGroupMemberMetadata, &bytes).unwrap();
        assert_eq!(fields["user_endpoint"], Value::Null);
        let with = StreamsGroupMemberMetadataValue {
            user_endpoint: Some(StreamsEndpoint {
                host: "h".to_owned(),
                port: 65_000,
            }),
            ..member
        };
        let bytes = with.encode_versioned(0).unwrap();
        assert_eq!(
            StreamsGroupMemberMetadataValue::decode_versioned(&bytes).unwrap(),
            (0, with)
        );
    }

    #[test]
    fn no_value_of_any_type_is_read_from_damaged_bytes() {
        for record_type in GroupRecordType::ALL {
            for bytes in [
                &[][..],
                &[0],
                &[0, 0],
                &[0, 9, 0, 0],
                &[0, 0, 255, 255, 255, 255, 15],
            ] {
                let read = group_value_to_json(*record_type, bytes);
                assert!(read.is_err(), "{record_type:?} {bytes:?}: {read:?}");
            }
        }
    }
}
