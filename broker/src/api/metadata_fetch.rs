//! Fetch of the metadata log, on a controller's listener: followers and observers of the quorum.
//!
//! The topic goes by its id from version 13 on. Before version 12 there is no epoch to check the
//! fetch against, so such a fetch can't be answered.
//!
//! Kafka: `KafkaRaftClient.handleFetchRequest`, KIP-595, KIP-630, KIP-853, KIP-1166 (4.3).

use kafka_protocol::messages::{
    FetchRequest, FetchResponse,
    fetch_request::{FetchPartition, FetchTopic},
    fetch_response::{
        EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
        SnapshotId,
    },
};
use kafka_shared::{
    error::ErrorCode,
    types::{METADATA_TOPIC_ID, METADATA_TOPIC_NAME},
};

use super::quorum_rpc::{QuorumCx, QuorumRpc, leader_id, metadata_topic_name, node_endpoints};
use crate::raft::{
    ReplicaKey,
    driver::Served,
    rpc::{self, Request, Response},
};

/// The first version with a leader, an epoch and a divergence in it.
const RAFT_SINCE: i16 = 12;
/// From this version on topics go by their ids.
const TOPIC_IDS_SINCE: i16 = 13;
/// From this version on the replica tells what it knows to be committed.
const HIGH_WATERMARK_SINCE: i16 = 18;
/// From this version on Kafka's quorum tells the leader's address, though the field is older.
const ENDPOINTS_SINCE: i16 = 17;

fn partition(request: &FetchRequest, version: i16) -> Option<&FetchPartition> {
    let [topic] = &request.topics[..] else {
        return None;
    };
    let is_metadata = |topic: &FetchTopic| {
        if version < TOPIC_IDS_SINCE {
            topic.topic.as_str() == METADATA_TOPIC_NAME
        } else {
            topic.topic_id == METADATA_TOPIC_ID
        }
    };
    match &topic.partitions[..] {
        [partition] if is_metadata(topic) && partition.partition == 0 => Some(partition),
        _ => None,
    }
}

impl QuorumRpc for FetchRequest {
    fn question(&self, cx: &QuorumCx<'_>) -> Result<Request, ErrorCode> {
        cx.check_cluster(self.cluster_id.as_deref())?;
        let partition = partition(self, cx.version)
            .filter(|_| cx.version >= RAFT_SINCE)
            .ok_or(ErrorCode::INVALID_REQUEST)?;
        let id = match self.replica_id.0 {
            -1 => self.replica_state.replica_id.0,
            id => id,
        };
        Ok(Request::Fetch(rpc::FetchRequest {
            replica: ReplicaKey {
                id,
                directory_id: partition.replica_directory_id,
            },
            epoch: partition.current_leader_epoch,
            fetch_offset: partition.fetch_offset,
            last_fetched_epoch: partition.last_fetched_epoch,
            high_watermark: if cx.version >= HIGH_WATERMARK_SINCE {
                partition.high_watermark
            } else {
                i64::MAX
            },
            max_wait_ms: self.max_wait_ms,
            max_bytes: self.max_bytes,
        }))
    }

    fn answered(&self, cx: &QuorumCx<'_>, served: Served) -> Option<FetchResponse> {
        let Response::Fetch(answer) = served.response else {
            return None;
        };
        let leader = LeaderIdAndEpoch::default()
            .with_leader_id(leader_id(&answer.leader))
            .with_leader_epoch(answer.leader.epoch);
        let mut partition = PartitionData::default()
            .with_error_code(answer.error.0)
            .with_high_watermark(answer.high_watermark)
            .with_log_start_offset(answer.log_start_offset)
            .with_current_leader(leader)
            .with_records(Some(served.records));
        if let Some(diverging) = answer.diverging_epoch {
            partition.diverging_epoch = EpochEndOffset::default()
                .with_epoch(diverging.epoch)
                .with_end_offset(diverging.end_offset);
        }
        if let Some(id) = answer.snapshot_id {
            partition.snapshot_id = SnapshotId::default()
                .with_epoch(id.epoch)
                .with_end_offset(id.end_offset);
        }
        let mut topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
        if cx.version < TOPIC_IDS_SINCE {
            topic.topic = metadata_topic_name();
        } else {
            topic.topic_id = METADATA_TOPIC_ID;
        }
        let mut response = FetchResponse::default().with_responses(vec![topic]);
        if cx.version >= ENDPOINTS_SINCE {
            response.node_endpoints = node_endpoints!(cx, answer.leader, NodeEndpoint);
        }
        Some(response)
    }

    fn failed(&self, cx: &QuorumCx<'_>, code: ErrorCode) -> FetchResponse {
        // Versions before 7 have no error for all of the request.
        let code = if cx.version >= 7 { code.0 } else { 0 };
        FetchResponse::default().with_error_code(code)
    }
}
