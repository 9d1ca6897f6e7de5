//! What is known about each API as a whole: its name, the versions that can be coded here, whether
//! a request of it changes anything.
//!
//! Which versions a broker advertises is the broker's own decision; [`codec_versions`] is the most
//! it can advertise.
//!
//! Kafka: `common/protocol/ApiKeys.java` (4.3).

use std::ops::RangeInclusive;

use kafka_protocol::messages::ApiKey;

use super::codec;

/// The API of a key, if messages of it can be coded here.
pub fn from_key(key: i16) -> Option<ApiKey> {
    ApiKey::try_from(key).ok()
}

/// Kafka's name of an API, as `OffsetForLeaderEpoch`. Also for those of Kafka 4.3 and before that
/// cannot be coded here; `UNKNOWN` for any other key.
pub fn name(key: i16) -> &'static str {
    match key {
        4 => "LeaderAndIsr",
        5 => "StopReplica",
        6 => "UpdateMetadata",
        7 => "ControlledShutdown",
        88 => "StreamsGroupHeartbeat",
        89 => "StreamsGroupDescribe",
        _ => from_key(key).map_or("UNKNOWN", codec::name),
    }
}

/// The versions of an API whose requests and responses can all be both encoded and decoded here.
pub fn codec_versions(key: ApiKey) -> RangeInclusive<i16> {
    codec::versions(key)
}

/// The first version of an API with compact lengths and tagged fields; `i16::MAX` if it has none.
pub fn first_flexible_version(key: ApiKey) -> i16 {
    super::shape::first_flexible_version(key)
}

/// Whether requests of this API change nothing in the cluster, so that one whose answer was lost
/// may be sent again.
pub fn is_read_only(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::Fetch
            | ApiKey::ListOffsets
            | ApiKey::Metadata
            | ApiKey::OffsetFetch
            | ApiKey::FindCoordinator
            | ApiKey::DescribeGroups
            | ApiKey::ListGroups
            | ApiKey::ApiVersions
            | ApiKey::OffsetForLeaderEpoch
            | ApiKey::DescribeAcls
            | ApiKey::DescribeConfigs
            | ApiKey::DescribeLogDirs
            | ApiKey::DescribeDelegationToken
            | ApiKey::ListPartitionReassignments
            | ApiKey::DescribeClientQuotas
            | ApiKey::DescribeUserScramCredentials
            | ApiKey::DescribeQuorum
            | ApiKey::FetchSnapshot
            | ApiKey::DescribeCluster
            | ApiKey::DescribeProducers
            | ApiKey::DescribeTransactions
            | ApiKey::ListTransactions
            | ApiKey::ConsumerGroupDescribe
            | ApiKey::ListConfigResources
            | ApiKey::DescribeTopicPartitions
            | ApiKey::ShareGroupDescribe
            | ApiKey::DescribeShareGroupOffsets
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_kafka_4_3_has_its_name() {
        for (key, expected) in [
            (0, "Produce"),
            (7, "ControlledShutdown"),
            (18, "ApiVersions"),
            (23, "OffsetForLeaderEpoch"),
            (75, "DescribeTopicPartitions"),
            (89, "StreamsGroupDescribe"),
            (92, "DeleteShareGroupOffsets"),
            (93, "UNKNOWN"),
            (-1, "UNKNOWN"),
        ] {
            assert_eq!(name(key), expected);
        }
        assert!((0..=92).all(|key| name(key) != "UNKNOWN"));
    }

    #[test]
    fn the_versions_are_those_of_kafka_4_3_but_for_a_known_few() {
        for (key, versions) in [
            (ApiKey::Produce, 3..=13),
            (ApiKey::Fetch, 4..=18),
            (ApiKey::ListOffsets, 1..=11),
            (ApiKey::OffsetCommit, 2..=10),
            (ApiKey::OffsetFetch, 1..=10),
            (ApiKey::ApiVersions, 0..=4),
            (ApiKey::InitProducerId, 0..=5),
            (ApiKey::DescribeLogDirs, 1..=5),
            (ApiKey::AddRaftVoter, 0..=1),
            (ApiKey::DescribeShareGroupOffsets, 0..=1),
            (ApiKey::WriteTxnMarkers, 1..=1),
        ] {
            assert_eq!(codec_versions(key), versions, "{key:?}");
        }
    }
}
