//! DescribeLogDirs, versions 1 to 5: what lies in each log directory, and how full its volume is.
//!
//! Kafka: `KafkaApis.handleDescribeLogDirsRequest`, `ReplicaManager.describeLogDirs` (4.3), KIP-113.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use kafka_protocol::messages::{DescribeLogDirsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::messages::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_shared::types::TopicPartition;

use super::Broker;
use crate::log::Log;
use crate::metadata::records::CORDONED_DIRECTORIES_SINCE;
use crate::replica::ReplicaManager;

pub(super) fn handle(broker: &Broker, request: &DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    describe_log_dirs(&broker.replicas, request)
}

/// Sizes come from memory, space from the file system; nothing is read from a disk.
fn describe_log_dirs(
    replicas: &ReplicaManager,
    request: &DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let wanted: Option<HashMap<&str, HashSet<i32>>> = request.topics.as_ref().map(|topics| {
        let mut wanted: HashMap<&str, HashSet<i32>> = HashMap::new();
        for topic in topics {
            wanted
                .entry(&topic.topic.0)
                .or_default()
                .extend(&topic.partitions);
        }
        wanted
    });
    let is_wanted = |tp: &TopicPartition| {
        wanted.as_ref().is_none_or(|wanted| {
            wanted
                .get(&*tp.topic)
                .is_some_and(|partitions| partitions.contains(&tp.partition))
        })
    };
    let mut logs = replicas.logs().logs();
    logs.extend(replicas.logs().future_logs());
    let tells_cordoned =
        replicas.metadata().image().features.metadata_version >= CORDONED_DIRECTORIES_SINCE;
    let results = replicas.logs().dirs().into_iter().map(|dir| {
        let path = std::path::absolute(&dir.path).unwrap_or_else(|_| dir.path.clone());
        let result = DescribeLogDirsResult {
            log_dir: StrBytes::from_string(path.to_string_lossy().into_owned()),
            ..DescribeLogDirsResult::default()
        };
        if dir.is_offline {
            return DescribeLogDirsResult {
                error_code: ErrorCode::KAFKA_STORAGE_ERROR.0,
                ..result
            };
        }
        let here = logs
            .iter()
            .filter(|log| log.dir().path() == dir.path && is_wanted(log.topic_partition()));
        DescribeLogDirsResult {
            is_cordoned: tells_cordoned && replicas.logs().is_cordoned(&dir.path),
            topics: topics(replicas, here),
            total_bytes: dir.total_bytes,
            usable_bytes: dir.usable_bytes,
            ..result
        }
    });
    DescribeLogDirsResponse {
        results: results.collect(),
        ..DescribeLogDirsResponse::default()
    }
}

fn topics<'a>(
    replicas: &ReplicaManager,
    logs: impl Iterator<Item = &'a Arc<Log>>,
) -> Vec<DescribeLogDirsTopic> {
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for log in logs {
        let TopicPartition { topic, partition } = log.topic_partition();
        let size = i64::try_from(log.size()).unwrap_or(i64::MAX);
        let lag = offset_lag(replicas, log);
        topics.entry(topic).or_default().push(
            DescribeLogDirsPartition::default()
                .with_partition_index(*partition)
                .with_partition_size(size)
                .with_offset_lag(lag)
                .with_is_future_key(log.is_future()),
        );
    }
    let topic = |(name, mut partitions): (&str, Vec<DescribeLogDirsPartition>)| {
        partitions.sort_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic::default()
            .with_name(TopicName(StrBytes::from_string(name.to_owned())))
            .with_partitions(partitions)
    };
    topics.into_iter().map(topic).collect()
}

/// How far a copy is behind its log, or a log behind what is committed; −1 when its replica is not in service.
fn offset_lag(replicas: &ReplicaManager, log: &Log) -> i64 {
    let TopicPartition { topic, partition } = log.topic_partition();
    match replicas.partition(topic, *partition) {
        Ok(replica) if log.is_future() => replica.log().log_end_offset() - log.log_end_offset(),
        Ok(replica) => (replica.log().high_watermark() - log.log_end_offset()).max(0),
        Err(_) => -1,
    }
}
