//! What the brokers' disks hold: DescribeLogDirs to every broker at once.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_shared::protocol::messages::DescribeLogDirsResponse;

use crate::model::{ClusterMetadata, Fault, FaultKind, LogDir, LogDirs, PartError, ReplicaSize};

use super::wire::{ClusterClient, check_code};

const WHAT: &str = "read the log directories";

impl ClusterClient {
    /// The log directories of every broker, and a fault for each that did not answer.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn log_dirs(&self, metadata: &ClusterMetadata) -> Result<LogDirs, Fault> {
        let ask = async |id: i32| {
            let request = DescribeLogDirsRequest::default().with_topics(None);
            let response = self.ask_part(WHAT, id, request, None).await?;
            check_code(WHAT, response.error_code, None)?;
            Ok::<_, Fault>(response)
        };
        let answers = join_all(metadata.brokers.iter().map(|broker| async {
            match broker.fenced {
                Some(true) => Err(Fault::new(
                    FaultKind::Unreachable,
                    WHAT,
                    "the broker is fenced",
                )),
                _ => ask(broker.id).await,
            }
        }));
        let mut dirs = LogDirs::default();
        // Names are shared with the metadata instead of being kept once per answer.
        let mut names: HashSet<Arc<str>> = metadata
            .topics
            .iter()
            .map(|topic| Arc::clone(&topic.name))
            .collect();
        for (broker, answer) in metadata.brokers.iter().zip(answers.await) {
            match answer {
                Ok(response) => take(&mut dirs, broker.id, &response, &mut names),
                Err(fault) => {
                    dirs.faults.insert(broker.id, Arc::new(fault));
                }
            }
        }
        match dirs.faults.values().next() {
            Some(fault) if dirs.dirs.is_empty() => Err(Fault::clone(fault)),
            _ => Ok(dirs),
        }
    }
}

fn take(
    dirs: &mut LogDirs,
    broker: i32,
    response: &DescribeLogDirsResponse,
    names: &mut HashSet<Arc<str>>,
) {
    let known = |bytes: i64| (bytes >= 0).then_some(bytes);
    let list = dirs.dirs.entry(broker).or_default();
    for (at, result) in response.results.iter().enumerate() {
        let mut dir = LogDir {
            path: result.log_dir.to_string(),
            error: (result.error_code != 0).then_some(PartError(result.error_code)),
            total_bytes: known(result.total_bytes),
            usable_bytes: known(result.usable_bytes),
            cordoned: result.is_cordoned,
            replicas: 0,
            size_bytes: 0,
        };
        for topic in &result.topics {
            let name = match names.get(topic.name.as_str()) {
                Some(name) => Arc::clone(name),
                None => {
                    let name: Arc<str> = Arc::from(topic.name.as_str());
                    names.insert(Arc::clone(&name));
                    name
                }
            };
            for partition in &topic.partitions {
                let size = ReplicaSize {
                    size_bytes: partition.partition_size,
                    offset_lag: partition.offset_lag,
                    is_future: partition.is_future_key,
                    dir: u16::try_from(at).unwrap_or(u16::MAX),
                };
                dir.size_bytes = dir.size_bytes.saturating_add(size.size_bytes);
                dir.replicas += u32::from(!size.is_future);
                let sizes = if size.is_future {
                    &mut dirs.future
                } else {
                    &mut dirs.replicas
                };
                let sizes = sizes.entry(Arc::clone(&name)).or_default();
                sizes.insert((partition.partition_index, broker), size);
            }
        }
        list.push(dir);
    }
}
