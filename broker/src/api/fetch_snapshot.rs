//! FetchSnapshot: a slice of a snapshot of the metadata log, which may cut a batch.
//!
//! The machine says whether the snapshot may be sent; its bytes come from the file here, as a
//! snapshot never changes. One that was deleted meanwhile is not found.
//!
//! Kafka: `KafkaRaftClient.handleFetchSnapshotRequest`, KIP-630 (4.3).

use bytes::Bytes;
use kafka_protocol::messages::{
    FetchSnapshotRequest, FetchSnapshotResponse,
    fetch_snapshot_response::{
        LeaderIdAndEpoch, NodeEndpoint, PartitionSnapshot, SnapshotId, TopicSnapshot,
    },
};
use kafka_shared::error::ErrorCode;

use super::quorum_rpc::{
    QuorumCx, QuorumRpc, leader_id, metadata_partition, metadata_topic_name, node_endpoints,
};
use crate::raft::{
    ReplicaKey,
    driver::Served,
    rpc::{self, Request, Response},
    snapshots::{self, Slice},
};

impl QuorumRpc for FetchSnapshotRequest {
    fn question(&self, cx: &QuorumCx<'_>) -> Result<Request, ErrorCode> {
        cx.check_cluster(self.cluster_id.as_deref())?;
        let partition = metadata_partition!(self.topics, name, partition)?;
        Ok(Request::FetchSnapshot(rpc::FetchSnapshotRequest {
            replica: ReplicaKey {
                id: self.replica_id.0,
                directory_id: partition.replica_directory_id,
            },
            epoch: partition.current_leader_epoch,
            snapshot_id: rpc::SnapshotId {
                epoch: partition.snapshot_id.epoch,
                end_offset: partition.snapshot_id.end_offset,
            },
            position: partition.position,
            max_bytes: self.max_bytes,
        }))
    }

    fn answered(&self, cx: &QuorumCx<'_>, served: Served) -> Option<FetchSnapshotResponse> {
        let Response::FetchSnapshot(mut answer) = served.response else {
            return None;
        };
        let mut bytes = Bytes::new();
        if answer.error == ErrorCode::NONE
            && let Some(id) = answer.snapshot_id
        {
            match slice(cx, id, &answer) {
                Ok(slice) => {
                    answer.size = slice.size;
                    bytes = slice.bytes;
                }
                Err(code) => {
                    answer.error = code;
                    answer.snapshot_id = None;
                }
            }
        }
        let mut partition = PartitionSnapshot::default()
            .with_error_code(answer.error.0)
            .with_current_leader(
                LeaderIdAndEpoch::default()
                    .with_leader_id(leader_id(&answer.leader))
                    .with_leader_epoch(answer.leader.epoch),
            );
        if let Some(id) = answer.snapshot_id {
            partition = partition
                .with_snapshot_id(
                    SnapshotId::default()
                        .with_epoch(id.epoch)
                        .with_end_offset(id.end_offset),
                )
                .with_size(answer.size)
                .with_position(answer.position)
                .with_unaligned_records(bytes);
        }
        let topic = TopicSnapshot::default()
            .with_name(metadata_topic_name())
            .with_partitions(vec![partition]);
        let mut response = FetchSnapshotResponse::default().with_topics(vec![topic]);
        if cx.version >= 1 {
            response.node_endpoints = node_endpoints!(cx, answer.leader, NodeEndpoint);
        }
        Some(response)
    }

    fn failed(&self, _cx: &QuorumCx<'_>, code: ErrorCode) -> FetchSnapshotResponse {
        FetchSnapshotResponse::default().with_error_code(code.0)
    }
}

fn slice(
    cx: &QuorumCx<'_>,
    id: rpc::SnapshotId,
    answer: &rpc::FetchSnapshotResponse,
) -> Result<Slice, ErrorCode> {
    let slice = snapshots::read_slice(cx.raft.dir(), id, answer.position, answer.bytes);
    let slice = slice.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ErrorCode::SNAPSHOT_NOT_FOUND,
        _ => {
            tracing::error!(%error, "a metadata snapshot can't be read");
            ErrorCode::UNKNOWN_SERVER_ERROR
        }
    })?;
    if slice.bytes.is_empty() {
        return Err(ErrorCode::POSITION_OUT_OF_RANGE);
    }
    Ok(slice)
}
