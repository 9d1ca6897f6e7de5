//! What the brokers' disks hold: DescribeLogDirs to every broker at once.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_shared::client::Undecoded;
use kafka_shared::protocol::messages::DescribeLogDirsResponse;

use crate::model::{ClusterMetadata, Fault, FaultKind, LogDir, LogDirs, PartError, ReplicaSize};

use super::seen::{Digest, Seen};
use super::wire::{ClusterClient, check_code, decoded};

const WHAT: &str = "read the log directories";

impl ClusterClient {
    /// The log directories of every broker, and a fault for each that did not answer.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn log_dirs(&self, metadata: &ClusterMetadata) -> Result<LogDirs, Fault> {
        made_of(metadata, self.ask_log_dirs(metadata).await)
    }

    /// As [`Self::log_dirs`], and whether they are those that were read last.
    ///
    /// # Errors
    /// As [`Self::log_dirs`].
    pub(super) async fn log_dirs_again(
        &self,
        metadata: &ClusterMetadata,
        seen: &Seen<LogDirs>,
    ) -> Result<(Arc<LogDirs>, bool), Fault> {
        let answers = self.ask_log_dirs(metadata).await;
        let mut digest = Some(Digest::NOTHING);
        for (broker, answer) in metadata.brokers.iter().zip(&answers) {
            digest = digest.and_then(|digest| digest.and_answer(broker.id, answer));
        }
        if let Some(same) = seen.of(digest) {
            return Ok((same, true));
        }
        let dirs = Arc::new(made_of(metadata, answers)?);
        // An answer that was a refusal may be explained in another way the next time.
        seen.keep(digest.filter(|_| dirs.faults.is_empty()), &dirs);
        Ok((dirs, false))
    }

    /// The answers in the order of the brokers.
    async fn ask_log_dirs(&self, metadata: &ClusterMetadata) -> Vec<Answer> {
        let answers = metadata.brokers.iter().map(|broker| async {
            if broker.fenced == Some(true) {
                let why = "the broker is fenced";
                return Err(Fault::new(FaultKind::Unreachable, WHAT, why));
            }
            let request = DescribeLogDirsRequest::default().with_topics(None);
            self.ask_part_undecoded(WHAT, broker.id, request, None)
                .await
        });
        join_all(answers).await
    }
}

type Answer = Result<Undecoded<DescribeLogDirsResponse>, Fault>;

fn made_of(metadata: &ClusterMetadata, answers: Vec<Answer>) -> Result<LogDirs, Fault> {
    let mut dirs = LogDirs::default();
    // Names are shared with the metadata instead of being kept once per answer.
    let mut names: HashSet<Arc<str>> = metadata
        .topics
        .iter()
        .map(|topic| Arc::clone(&topic.name))
        .collect();
    for (broker, answer) in metadata.brokers.iter().zip(answers) {
        let answer = answer.and_then(|answer| {
            let response = decoded(WHAT, answer)?;
            check_code(WHAT, response.error_code, None)?;
            Ok(response)
        });
        match answer {
            Ok(response) => take(&mut dirs, broker.id, &response, &mut names),
            Err(fault) => {
                dirs.faults.insert(broker.id, Arc::new(fault));
            }
        }
    }
    for sizes in dirs.replicas.values_mut() {
        sizes.shrink_to_fit();
    }
    match dirs.faults.values().next() {
        Some(fault) if dirs.dirs.is_empty() => Err(Fault::clone(fault)),
        _ => Ok(dirs),
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
