//! Produce, versions 3 to 13: appends one batch per partition.
//!
//! | acks | answer |
//! | --- | --- |
//! | 0 | none; any error closes the connection, which is how such a producer learns of it |
//! | 1 | when the leader's log has the batch |
//! | −1 | when all in-sync replicas have it, or the time-out has passed |
//!
//! There is no transaction coordinator yet, so transactional batches are refused with
//! `TRANSACTIONAL_ID_AUTHORIZATION_FAILED`: producers take it as final and tell the user, where a
//! retriable error would keep them waiting for ever.
//!
//! Kafka: `KafkaApis.handleProduceRequest`, `ProduceRequest.validateRecords` (4.3).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::record::batch::{self, BatchError, BatchHeader};
use kafka_shared::record::compression::Compression;
use kafka_shared::types::{TopicPartition, Uuid};

use super::Broker;
use super::leader::{self, Leaders};
use crate::log::AppendOrigin;
use crate::network::{Reply, RequestContext};
use crate::replica::append::{AppendEntry, Appended};
use crate::replica::{Partition, ReplicaManager};

/// From this version on, topics go by their id.
const FIRST_TOPIC_ID: i16 = 13;
/// From this version on, zstd is allowed.
const FIRST_ZSTD: i16 = 7;
/// From this version on, the response says who leads instead.
const FIRST_LEADER: i16 = 10;
/// A client of this name may write to internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// Who sent the request.
#[derive(Debug, Clone, Copy)]
struct Sender<'a> {
    client_id: Option<&'a str>,
    /// The listener's name: endpoints of other brokers are given as they are on it.
    listener: &'a str,
    version: i16,
}

impl<'a> Sender<'a> {
    fn of(cx: &'a RequestContext) -> Self {
        Self {
            client_id: cx.header.client_id.as_deref(),
            listener: &cx.connection.listener,
            version: cx.header.api_version,
        }
    }
}

pub(super) async fn handle(broker: &Broker, cx: &RequestContext, request: ProduceRequest) -> Reply {
    match produce(&broker.replicas, Sender::of(cx), &request).await {
        Ok(response) => super::answer(cx, &response),
        Err(Silence::AllIsWell) => Reply::NoResponse,
        Err(Silence::SomethingFailed) => Reply::Close,
    }
}

/// The outcome of a request with acks=0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    AllIsWell,
    SomethingFailed,
}

async fn produce(
    replicas: &ReplicaManager,
    sender: Sender<'_>,
    request: &ProduceRequest,
) -> Result<ProduceResponse, Silence> {
    let refusal = refusal_of_all(request);
    let mut entries = Vec::new();
    for topic in &request.topic_data {
        for data in &topic.partition_data {
            let checked = match refusal {
                Some(error) => Err(error),
                None => check(replicas, sender, &topic.name.0, topic.topic_id, data),
            };
            let (partition, records) = match checked {
                Ok((partition, records)) => (Ok(partition), records),
                Err(error) => (Err(error), Bytes::new()),
            };
            entries.push(AppendEntry { partition, records });
        }
    }
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let appended = replicas
        .append_records(request.acks, timeout, AppendOrigin::Client, &entries)
        .await;
    if request.acks != 0 {
        return Ok(respond(replicas, sender, request, appended));
    }
    let is_well = appended
        .iter()
        .all(|appended| appended.error == ErrorCode::NONE);
    Err(if is_well {
        Silence::AllIsWell
    } else {
        Silence::SomethingFailed
    })
}

/// The error that concerns the request as a whole.
fn refusal_of_all(request: &ProduceRequest) -> Option<ErrorCode> {
    let is_transactional = |data: &PartitionProduceData| {
        let records = data.records.as_deref().unwrap_or_default();
        BatchHeader::parse(records).is_ok_and(|header| header.is_transactional())
    };
    let mut batches = request
        .topic_data
        .iter()
        .flat_map(|topic| &topic.partition_data);
    if batches.any(is_transactional) {
        return Some(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    (!(-1..=1).contains(&request.acks)).then_some(ErrorCode::INVALID_REQUIRED_ACKS)
}

fn check(
    replicas: &ReplicaManager,
    sender: Sender<'_>,
    name: &str,
    id: Uuid,
    data: &PartitionProduceData,
) -> Result<(Arc<Partition>, Bytes), ErrorCode> {
    let partition = if sender.version >= FIRST_TOPIC_ID {
        replicas.partition_by_id(id, data.index)?
    } else {
        replicas.partition(name, data.index)?
    };
    let records = data.records.clone().ok_or(ErrorCode::INVALID_RECORD)?;
    check_records(&records, sender.version)?;
    let is_admin = sender.client_id == Some(ADMIN_CLIENT_ID);
    if !is_admin && super::topic_name::is_internal(&partition.topic_partition().topic) {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    Ok((partition, records))
}

/// Checks what the version demands of a partition's records: exactly one batch of format 2.
fn check_records(records: &[u8], version: i16) -> Result<(), ErrorCode> {
    let mut batches = batch::batches(records);
    let first = match batches.next() {
        Some(Ok(first)) => first,
        None | Some(Err(BatchError::UnsupportedMagic(_))) => return Err(ErrorCode::INVALID_RECORD),
        Some(Err(BatchError::Truncated { .. })) => return Err(ErrorCode::INVALID_RECORD),
        Some(Err(_)) => return Err(ErrorCode::CORRUPT_MESSAGE),
    };
    if version < FIRST_ZSTD && first.compression() == Ok(Compression::Zstd) {
        return Err(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    }
    match batches.next() {
        Some(Ok(_)) => Err(ErrorCode::INVALID_RECORD),
        _ => Ok(()),
    }
}

fn respond(
    replicas: &ReplicaManager,
    sender: Sender<'_>,
    request: &ProduceRequest,
    appended: Vec<Appended>,
) -> ProduceResponse {
    let mut appended = appended.into_iter();
    let mut leaders = Leaders::new(replicas, sender.listener);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in &request.topic_data {
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for (data, appended) in topic.partition_data.iter().zip(&mut appended) {
            let mut response = partition_response(data.index, appended, sender.version);
            let is_elsewhere = response.error_code == ErrorCode::NOT_LEADER_OR_FOLLOWER.0;
            if is_elsewhere && sender.version >= FIRST_LEADER {
                let name = leader::topic_name(replicas, &topic.name.0, topic.topic_id);
                let (id, epoch) = leaders.leader_of(&TopicPartition::new(name, data.index));
                response.current_leader = LeaderIdAndEpoch::default()
                    .with_leader_id(id.into())
                    .with_leader_epoch(epoch);
            }
            partitions.push(response);
        }
        let response = TopicProduceResponse::default().with_partition_responses(partitions);
        responses.push(if sender.version >= FIRST_TOPIC_ID {
            response.with_topic_id(topic.topic_id)
        } else {
            response.with_name(topic.name.clone())
        });
    }
    let endpoints = leaders.into_endpoints().into_iter().map(|node| {
        NodeEndpoint::default()
            .with_node_id(node.node_id.into())
            .with_host(StrBytes::from_string(node.host))
            .with_port(node.port)
            .with_rack(node.rack.map(StrBytes::from_string))
    });
    ProduceResponse::default()
        .with_responses(responses)
        .with_node_endpoints(endpoints.collect())
}

fn partition_response(index: i32, appended: Appended, version: i16) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(appended.error.0)
        .with_base_offset(appended.base_offset)
        .with_log_append_time_ms(appended.log_append_time_ms)
        .with_log_start_offset(appended.log_start_offset);
    if version < 8 {
        return response;
    }
    let record_errors = appended.record_errors.into_iter().map(|error| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(error.batch_index)
            .with_batch_index_error_message(Some(StrBytes::from_string(error.message)))
    });
    response
        .with_record_errors(record_errors.collect())
        .with_error_message(appended.error_message.map(StrBytes::from_string))
}

#[cfg(test)]
mod tests;
