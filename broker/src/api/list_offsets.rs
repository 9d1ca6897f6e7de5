//! ListOffsets, versions 1 to 11: the offset for a point in time, or for one of the ends of the log.
//!
//! | timestamp | asks for | since |
//! | --- | --- | --- |
//! | ≥ 0 | the first record of that time or later | 1 |
//! | −1, −2 | the end, the start | 1 |
//! | −3 | the record with the largest timestamp | 7 |
//! | −4 | the start of what is on this broker's disks | 8 |
//! | −5 | the last offset in tiered storage; there is none here | 9 |
//! | −6 | the first offset that is not yet in tiered storage; none here, as in Kafka without it | 11 |
//!
//! Kafka: `KafkaApis.handleListOffsetRequest`, `ReplicaManager.fetchOffset` (4.3).

use std::collections::HashMap;

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use kafka_shared::error::ErrorCode;

use super::Broker;
use crate::log::{FetchIsolation, TimestampAndOffset, timestamps};
use crate::network::RequestContext;
use crate::replica::ReplicaManager;
use crate::replica::offsets::Asker;

/// The replica id of tools that look at one replica as it is.
const DEBUGGING_REPLICA_ID: i32 = -2;
/// The replica id of clients.
const CLIENT_REPLICA_ID: i32 = -1;
/// From this version on, the response has the leader epoch.
const FIRST_LEADER_EPOCH: i16 = 4;
/// From this version on, clients know `OFFSET_NOT_AVAILABLE`.
const FIRST_OFFSET_NOT_AVAILABLE: i16 = 5;

pub(super) fn handle(
    broker: &Broker,
    cx: &RequestContext,
    request: &ListOffsetsRequest,
) -> ListOffsetsResponse {
    list_offsets(&broker.replicas, cx.header.api_version, request)
}

pub(crate) fn list_offsets(
    replicas: &ReplicaManager,
    version: i16,
    request: &ListOffsetsRequest,
) -> ListOffsetsResponse {
    let asker = match (request.replica_id.0, request.isolation_level) {
        (CLIENT_REPLICA_ID, 1) => Asker::Client(FetchIsolation::TxnCommitted),
        (CLIENT_REPLICA_ID, _) => Asker::Client(FetchIsolation::HighWatermark),
        (DEBUGGING_REPLICA_ID, _) => Asker::Debugger,
        _ => Asker::Follower,
    };
    let mut times_asked: HashMap<(&str, i32), u32> = HashMap::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            *times_asked
                .entry((&topic.name.0, partition.partition_index))
                .or_default() += 1;
        }
    }
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let is_repeated = times_asked[&(&*topic.name.0, partition.partition_index)] > 1;
            let found = if is_repeated {
                Err(ErrorCode::INVALID_REQUEST)
            } else {
                find(replicas, version, asker, &topic.name.0, partition)
            };
            partition_response(partition.partition_index, found, version)
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Whether the version may ask for this timestamp.
fn is_supported(timestamp: i64, version: i16) -> bool {
    match timestamp {
        0.. | timestamps::LATEST | timestamps::EARLIEST => true,
        timestamps::MAX => version >= 7,
        timestamps::EARLIEST_LOCAL => version >= 8,
        timestamps::LATEST_TIERED => version >= 9,
        timestamps::EARLIEST_PENDING_UPLOAD => version >= 11,
        _ => false,
    }
}

fn find(
    replicas: &ReplicaManager,
    version: i16,
    asker: Asker,
    topic: &str,
    wanted: &ListOffsetsPartition,
) -> Result<Option<TimestampAndOffset>, ErrorCode> {
    if !is_supported(wanted.timestamp, version) {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    let epoch = wanted.current_leader_epoch;
    replicas
        .partition(topic, wanted.partition_index)?
        .offset_for_timestamp(wanted.timestamp, asker, (epoch != -1).then_some(epoch))
}

fn partition_response(
    index: i32,
    found: Result<Option<TimestampAndOffset>, ErrorCode>,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default()
        .with_partition_index(index)
        .with_timestamp(-1)
        .with_offset(-1);
    match found {
        Ok(None) => response,
        Ok(Some(found)) => {
            let epoch = found.leader_epoch.filter(|_| version >= FIRST_LEADER_EPOCH);
            response
                .with_timestamp(found.timestamp)
                .with_offset(found.offset)
                .with_leader_epoch(epoch.unwrap_or(-1))
        }
        Err(ErrorCode::OFFSET_NOT_AVAILABLE) if version < FIRST_OFFSET_NOT_AVAILABLE => {
            response.with_error_code(ErrorCode::LEADER_NOT_AVAILABLE.0)
        }
        Err(error) => response.with_error_code(error.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_timestamps_come_with_their_versions() {
        for (timestamp, first_version) in [
            (0, 1),
            (i64::MAX, 1),
            (-1, 1),
            (-2, 1),
            (-3, 7),
            (-4, 8),
            (-5, 9),
            (-6, 11),
            (-7, 99),
        ] {
            for version in 1..=11 {
                let expected = version >= first_version;
                assert_eq!(
                    is_supported(timestamp, version),
                    expected,
                    "{timestamp} v{version}"
                );
            }
        }
    }

    #[test]
    fn errors_are_told_as_the_version_knows_them() {
        let code = |version| {
            partition_response(0, Err(ErrorCode::OFFSET_NOT_AVAILABLE), version).error_code
        };
        assert_eq!(code(4), ErrorCode::LEADER_NOT_AVAILABLE.0);
        assert_eq!(code(5), ErrorCode::OFFSET_NOT_AVAILABLE.0);
        let found = TimestampAndOffset {
            timestamp: 5,
            offset: 6,
            leader_epoch: Some(7),
        };
        assert_eq!(partition_response(0, Ok(Some(found)), 3).leader_epoch, -1);
        assert_eq!(partition_response(0, Ok(Some(found)), 4).leader_epoch, 7);
    }
}
