//! One fetcher: asks its leader, carries out what [`super::state`] decides about the answers.
//!
//! Small answers are appended where the task runs; large ones, and everything that cuts a log, on a
//! blocking thread. An error of one partition, also a panic, ends the fetching of that partition
//! only.
//!
//! Kafka: `server/AbstractFetcherThread.scala`, `server/ReplicaFetcherThread.scala` (4.3).

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use kafka_protocol::messages::fetch_request::{
    FetchPartition, FetchTopic, ForgottenTopic, ReplicaState,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    BrokerId, FetchRequest, FetchResponse, ListOffsetsRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::task::spawn_blocking;
use kafka_shared::types::TopicPartition;

use super::link::{LeaderEndpoint, LeaderLink};
use super::session::{PartitionKey, SessionRequest, SessionVerdict, Wanted};
use super::state::{Answer, FetcherState, LogPosition, Verdict, truncation_offset};
use super::{FetcherContext, Following, Inbox};
use crate::log::{Log, LogError, timestamps};
use crate::replica::partition::{FollowerAppend, FollowerError, FollowerRecords, Partition};

/// Answers with more bytes of records are appended on a blocking thread.
const INLINE_BYTES: usize = 256 * 1024;
/// How often log start offsets and the replication quota are looked at without any other reason.
const REFRESH_MS: i64 = 1000;
/// While a throttled partition waits for its quota.
const THROTTLED_REFRESH_MS: i64 = 100;

/// Fetches from one leader until it is told to stop. What is being done to a log then is ended
/// first. A fetcher that panics begins anew: its partitions must not fall behind for good.
pub(super) async fn run(
    context: Arc<FetcherContext>,
    leader: LeaderEndpoint,
    number: i32,
    inbox: Arc<Inbox>,
) {
    let client_id = format!("broker-{}-fetcher-{number}", context.node_id);
    loop {
        let fetcher = FetcherTask {
            link: context.links.open(&leader, client_id.clone()),
            state: FetcherState::new(context.config.backoff_ms),
            partitions: HashMap::new(),
            refreshed_ms: context.clock.monotonic_ms(),
            context: Arc::clone(&context),
            leader: leader.clone(),
            inbox: Arc::clone(&inbox),
            is_failing: false,
        };
        if AssertUnwindSafe(fetcher.run()).catch_unwind().await.is_ok() {
            return;
        }
        tracing::error!(
            leader = leader.id,
            number,
            "a fetcher panicked and begins anew"
        );
        inbox.tell_all_again();
        let backoff_ms = u64::try_from(context.config.backoff_ms).unwrap_or(0);
        tokio::select! {
            () = inbox.stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(backoff_ms)) => {}
        }
    }
}

/// Records of one partition on their way to its log.
struct Append {
    key: PartitionKey,
    partition: Arc<Partition>,
    wanted: Wanted,
    records: Bytes,
    high_watermark: i64,
    log_start_offset: i64,
}

impl Append {
    fn carry_out(&self, context: &FetcherContext) -> Result<FollowerAppend, FollowerError> {
        let fetched = FollowerRecords {
            leader_epoch: self.wanted.leader_epoch,
            fetch_offset: self.wanted.fetch_offset,
            records: &self.records,
            high_watermark: self.high_watermark,
            log_start_offset: self.log_start_offset,
        };
        let append = || self.partition.append_as_follower(&context.logs, &fetched);
        // The log's locks do not poison, and a log that is half way is found out at the next append.
        catch_unwind(AssertUnwindSafe(append)).unwrap_or_else(|_| {
            let message = "the append panicked";
            Err(FollowerError::Log(LogError::rejected(
                ErrorCode::UNKNOWN_SERVER_ERROR,
                message,
            )))
        })
    }
}

struct FetcherTask {
    context: Arc<FetcherContext>,
    leader: LeaderEndpoint,
    link: Box<dyn LeaderLink>,
    inbox: Arc<Inbox>,
    state: FetcherState,
    partitions: HashMap<PartitionKey, Arc<Partition>>,
    refreshed_ms: i64,
    /// The last request got no answer, as was said already.
    is_failing: bool,
}

impl FetcherTask {
    async fn run(mut self) {
        let inbox = Arc::clone(&self.inbox);
        while !inbox.stop.is_cancelled() {
            self.take_changes();
            self.truncate_new_ones().await;
            self.refresh();
            let now_ms = self.now_ms();
            let quota = &self.context.quotas.follower;
            let wall_ms = self.context.clock.wall_ms();
            let is_held_back = |topic_partition: &TopicPartition| {
                quota.is_throttled(topic_partition) && quota.is_exceeded(wall_ms)
            };
            match self.state.request(now_ms, is_held_back) {
                Some(request) => self.fetch(&request).await,
                None => self.rest().await,
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.context.clock.monotonic_ms()
    }

    fn take_changes(&mut self) {
        let changes = std::mem::take(&mut *self.inbox.changes.lock());
        for (key, following) in changes {
            match following {
                Some(following) => self.add(key, following),
                None => self.remove(key),
            }
        }
    }

    fn add(&mut self, key: PartitionKey, following: Following) {
        let Following {
            partition,
            leader_epoch,
            ..
        } = following;
        let topic_partition = partition.topic_partition().clone();
        let position = position(&partition.log());
        self.state.add(key, topic_partition, leader_epoch, position);
        self.partitions.insert(key, partition);
    }

    fn remove(&mut self, key: PartitionKey) {
        self.state.remove(key);
        self.partitions.remove(&key);
    }

    /// Waits until there may be something to ask.
    async fn rest(&self) {
        let due_ms = self.state.next_due_ms().unwrap_or(i64::MAX);
        let refresh_ms = self.refreshed_ms + self.refresh_interval_ms();
        let wait_ms = due_ms.min(refresh_ms) - self.now_ms();
        let wait = Duration::from_millis(u64::try_from(wait_ms.max(1)).unwrap_or(1));
        tokio::select! {
            () = self.inbox.stop.cancelled() => {}
            () = self.inbox.changed.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    fn refresh_interval_ms(&self) -> i64 {
        match self.context.quotas.follower.is_in_use() {
            true => THROTTLED_REFRESH_MS,
            false => REFRESH_MS,
        }
    }

    fn refresh(&mut self) {
        let now_ms = self.now_ms();
        if now_ms - self.refreshed_ms < self.refresh_interval_ms() {
            return;
        }
        self.refreshed_ms = now_ms;
        let partitions = &self.partitions;
        self.state.refresh(|key| {
            let partition = partitions.get(key)?;
            Some(partition.log().log_start_offset())
        });
    }

    /// Cuts logs without epochs to their high watermarks.
    async fn truncate_new_ones(&mut self) {
        for truncation in self.state.truncations(self.now_ms()) {
            let cut = Cut::To(truncation.offset);
            self.cut(truncation.key, truncation.leader_epoch, cut).await;
        }
    }

    async fn fetch(&mut self, request: &SessionRequest) {
        let version = fetch_version(self.context.metadata.image().features.metadata_version);
        let request = self.request(request, version);
        let answer = tokio::select! {
            () = self.inbox.stop.cancelled() => return,
            answer = self.link.fetch(request, version) => answer,
        };
        match answer {
            Ok(response) => {
                self.is_failing = false;
                self.process(response).await;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(leader = self.leader.id, %error, "can't fetch from the leader");
                }
                self.state.on_failure(self.now_ms());
            }
        }
    }

    fn request(&self, session: &SessionRequest, version: i16) -> FetchRequest {
        let config = &self.context.config;
        let mut topics: Vec<FetchTopic> = Vec::new();
        for (key, wanted) in &session.wanted {
            if topics.last().is_none_or(|t| t.topic_id != key.topic_id) {
                topics.push(FetchTopic::default().with_topic_id(key.topic_id));
            }
            let partition = FetchPartition::default()
                .with_partition(key.partition)
                .with_current_leader_epoch(wanted.leader_epoch)
                .with_fetch_offset(wanted.fetch_offset)
                .with_last_fetched_epoch(wanted.last_fetched_epoch.unwrap_or(-1))
                .with_log_start_offset(wanted.log_start_offset)
                .with_partition_max_bytes(config.max_bytes);
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(partition);
            }
        }
        let mut forgotten: Vec<ForgottenTopic> = Vec::new();
        for key in &session.forgotten {
            if forgotten.last().is_none_or(|t| t.topic_id != key.topic_id) {
                forgotten.push(ForgottenTopic::default().with_topic_id(key.topic_id));
            }
            if let Some(topic) = forgotten.last_mut() {
                topic.partitions.push(key.partition);
            }
        }
        let request = FetchRequest::default()
            .with_max_wait_ms(config.wait_max_ms)
            .with_min_bytes(config.min_bytes)
            .with_max_bytes(config.response_max_bytes)
            .with_session_id(session.session_id)
            .with_session_epoch(session.session_epoch)
            .with_topics(topics)
            .with_forgotten_topics_data(forgotten);
        let node_id = BrokerId(self.context.node_id);
        if version < FIRST_REPLICA_STATE {
            return request.with_replica_id(node_id);
        }
        request.with_replica_state(
            ReplicaState::default()
                .with_replica_id(node_id)
                .with_replica_epoch((self.context.broker_epoch)()),
        )
    }

    async fn process(&mut self, response: FetchResponse) {
        let keys = response.responses.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| PartitionKey {
                topic_id: topic.topic_id,
                partition: partition.partition_index,
            })
        });
        let now_ms = self.now_ms();
        let error = ErrorCode(response.error_code);
        let verdict = self
            .state
            .on_response(error, response.session_id, keys, now_ms);
        if verdict != SessionVerdict::Process {
            tracing::info!(
                leader = self.leader.id,
                error = error.name(),
                "the fetch session begins anew"
            );
            return;
        }
        let (mut appends, mut diverging, mut out_of_range) = (Vec::new(), Vec::new(), Vec::new());
        let mut is_missed = false;
        for topic in response.responses {
            for answered in topic.partitions {
                let key = PartitionKey {
                    topic_id: topic.topic_id,
                    partition: answered.partition_index,
                };
                let end = &answered.diverging_epoch;
                let answer = Answer {
                    error: ErrorCode(answered.error_code),
                    diverging_epoch: (end.epoch >= 0 || end.end_offset >= 0)
                        .then_some((end.epoch, end.end_offset)),
                };
                let verdict = self.state.judge(key, answer, now_ms);
                let Some(partition) = self.partitions.get(&key) else {
                    continue;
                };
                let is_append = matches!(verdict, Verdict::Append(_));
                is_missed |= answer.error == ErrorCode::NONE && !is_append;
                match verdict {
                    Verdict::Nothing => {}
                    Verdict::Append(wanted) => appends.push(Append {
                        key,
                        partition: Arc::clone(partition),
                        wanted,
                        records: answered.records.unwrap_or_default(),
                        high_watermark: answered.high_watermark,
                        log_start_offset: answered.log_start_offset,
                    }),
                    Verdict::Diverging {
                        wanted,
                        leader_epoch_end,
                    } => diverging.push((key, wanted, leader_epoch_end)),
                    Verdict::OutOfRange(wanted) => out_of_range.push((key, wanted)),
                }
            }
        }
        if is_missed {
            self.state.restart_session();
        }
        self.append_all(appends).await;
        for (key, wanted, leader_epoch_end) in diverging {
            self.reconcile(key, wanted, leader_epoch_end).await;
        }
        for (key, wanted) in out_of_range {
            self.reset(key, wanted).await;
        }
    }

    async fn append_all(&mut self, appends: Vec<Append>) {
        let n_bytes: usize = appends.iter().map(|append| append.records.len()).sum();
        let context = Arc::clone(&self.context);
        let carry_out = move |appends: Vec<Append>| -> Vec<_> {
            appends
                .into_iter()
                .map(|append| {
                    let outcome = append.carry_out(&context);
                    (append, outcome)
                })
                .collect()
        };
        let outcomes = if n_bytes <= INLINE_BYTES {
            carry_out(appends)
        } else {
            match spawn_blocking("replica-append", move || carry_out(appends)).await {
                Ok(outcomes) => outcomes,
                // The runtime is shutting down.
                Err(_) => return,
            }
        };
        for (append, outcome) in outcomes {
            self.settle(&append, outcome);
        }
    }

    fn settle(&mut self, append: &Append, outcome: Result<FollowerAppend, FollowerError>) {
        let (key, now_ms) = (append.key, self.now_ms());
        let topic_partition = append.partition.topic_partition();
        let quota = &self.context.quotas.follower;
        if quota.is_throttled(topic_partition) {
            quota.record(append.records.len(), self.context.clock.wall_ms());
        }
        match outcome {
            Ok(appended) => {
                self.state.appended(
                    key,
                    appended.next_offset,
                    appended.last_epoch,
                    append.high_watermark,
                    append.partition.log().log_start_offset(),
                );
                // All of it is of a newer leader than the one that was asked.
                if appended.appended_bytes == 0 && !append.records.is_empty() {
                    self.state.delay(key, now_ms);
                }
            }
            // The change of the metadata is on its way here, too.
            Err(FollowerError::Stale) => self.remove(key),
            Err(error @ FollowerError::Moved { .. }) => {
                tracing::warn!(partition = %topic_partition, %error, "fetching from the log's end");
                self.state.truncated(key, position(&append.partition.log()));
                self.state.delay_fully(key, now_ms);
            }
            Err(error) if error.is_corruption() => {
                tracing::error!(
                    partition = %topic_partition, %error, offset = append.wanted.fetch_offset,
                    "the leader has sent damaged records"
                );
                self.state.delay_fully(key, now_ms);
            }
            // A full disk, which may have room again.
            Err(error @ FollowerError::Log(LogError::Storage { .. }))
                if !append.partition.log().dir().is_offline() =>
            {
                tracing::error!(partition = %topic_partition, %error, "can't append");
                self.state.delay_fully(key, now_ms);
            }
            Err(error) => self.fail(key, &error),
        }
    }

    fn fail(&mut self, key: PartitionKey, error: &FollowerError) {
        if let Some(partition) = self.partitions.remove(&key) {
            tracing::error!(
                partition = %partition.topic_partition(), %error,
                "the partition can't be fetched in this leader epoch"
            );
        }
        self.state.fail(key);
    }

    /// Cuts the log where it departs from the leader's.
    async fn reconcile(&mut self, key: PartitionKey, wanted: Wanted, leader_epoch_end: (i32, i64)) {
        let Some(partition) = self.partitions.get(&key) else {
            return;
        };
        let log = partition.log();
        if leader_epoch_end.1 < 0 {
            self.state.delay_fully(key, self.now_ms());
            return;
        }
        let own_epoch_end = log.end_offset_for_epoch(leader_epoch_end.0);
        let offset = truncation_offset(leader_epoch_end, own_epoch_end, log.log_end_offset());
        tracing::info!(
            partition = %partition.topic_partition(), ?leader_epoch_end, ?own_epoch_end, offset,
            "the log departs from the leader's"
        );
        self.cut(key, wanted.leader_epoch, Cut::To(offset)).await;
    }

    /// Finds out where the leader's log is, after it had nothing at the fetch offset.
    async fn reset(&mut self, key: PartitionKey, wanted: Wanted) {
        let Some(partition) = self.partitions.get(&key).map(Arc::clone) else {
            return;
        };
        let topic_partition = partition.topic_partition();
        let leader_epoch = wanted.leader_epoch;
        let asked = self
            .leader_offset(topic_partition, leader_epoch, timestamps::LATEST)
            .await;
        let leader_end = match asked {
            Ok(offset) => offset,
            Err(error) => return self.not_reset(key, error),
        };
        let log_end_offset = partition.log().log_end_offset();
        if leader_end < log_end_offset {
            tracing::warn!(
                partition = %topic_partition, leader_end, log_end_offset,
                "the leader's log ends before this one"
            );
            return self.cut(key, leader_epoch, Cut::To(leader_end)).await;
        }
        let asked = self
            .leader_offset(topic_partition, leader_epoch, timestamps::EARLIEST)
            .await;
        let leader_start = match asked {
            Ok(offset) => offset,
            Err(error) => return self.not_reset(key, error),
        };
        if leader_start > log_end_offset {
            tracing::warn!(
                partition = %topic_partition, leader_start, log_end_offset,
                "the leader's log starts behind this one"
            );
            return self
                .cut(key, leader_epoch, Cut::Restart(leader_start))
                .await;
        }
        self.state.truncated(key, position(&partition.log()));
        self.state.delay(key, self.now_ms());
    }

    fn not_reset(&mut self, key: PartitionKey, error: ErrorCode) {
        let now_ms = self.now_ms();
        self.state.on_error(key, error, now_ms);
    }

    async fn leader_offset(
        &self,
        topic_partition: &TopicPartition,
        leader_epoch: i32,
        timestamp: i64,
    ) -> Result<i64, ErrorCode> {
        let metadata_version = self.context.metadata.image().features.metadata_version;
        let partition = ListOffsetsPartition::default()
            .with_partition_index(topic_partition.partition)
            .with_current_leader_epoch(leader_epoch)
            .with_timestamp(timestamp);
        let name = StrBytes::from_string(topic_partition.topic.to_string());
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(name))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(self.context.node_id))
            .with_topics(vec![topic]);
        let version = list_offsets_version(metadata_version);
        let answer = tokio::select! {
            () = self.inbox.stop.cancelled() => return Err(ErrorCode::NETWORK_EXCEPTION),
            answer = self.link.list_offsets(request, version) => answer,
        };
        let response = answer.map_err(|error| {
            tracing::info!(leader = self.leader.id, %error, "can't ask the leader for offsets");
            ErrorCode::NETWORK_EXCEPTION
        })?;
        let answered = response
            .topics
            .iter()
            .filter(|topic| *topic.name.0 == *topic_partition.topic)
            .flat_map(|topic| &topic.partitions)
            .find(|answered| answered.partition_index == topic_partition.partition)
            .ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
        match ErrorCode(answered.error_code) {
            ErrorCode::NONE if answered.offset >= 0 => Ok(answered.offset),
            ErrorCode::NONE => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
            error => Err(error),
        }
    }

    /// Cuts a log, and goes on from its end.
    async fn cut(&mut self, key: PartitionKey, leader_epoch: i32, cut: Cut) {
        let Some(partition) = self.partitions.get(&key).map(Arc::clone) else {
            return;
        };
        let (context, cut_one) = (Arc::clone(&self.context), Arc::clone(&partition));
        let carry_out = move || match cut {
            Cut::To(offset) => cut_one.truncate_as_follower(&context.logs, leader_epoch, offset),
            Cut::Restart(offset) => {
                cut_one.restart_as_follower(&context.logs, leader_epoch, offset)
            }
        };
        let Ok(outcome) = spawn_blocking("replica-truncate", carry_out).await else {
            let message = "the truncation panicked";
            let error = LogError::rejected(ErrorCode::UNKNOWN_SERVER_ERROR, message);
            return self.fail(key, &FollowerError::Log(error));
        };
        match outcome {
            Ok(()) => {
                if !self.state.truncated(key, position(&partition.log())) {
                    self.state.delay_fully(key, self.now_ms());
                }
            }
            Err(FollowerError::Stale) => self.remove(key),
            Err(error) => self.fail(key, &error),
        }
    }
}

/// What is to be cut off a log.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Everything from this offset on.
    To(i64),
    /// Everything; the log goes on at this offset.
    Restart(i64),
}

fn position(log: &Log) -> LogPosition {
    LogPosition {
        log_start_offset: log.log_start_offset(),
        high_watermark: log.high_watermark(),
        log_end_offset: log.log_end_offset(),
        latest_epoch: log.latest_epoch(),
    }
}

/// From this version on, followers say who they are in a field of their own.
const FIRST_REPLICA_STATE: i16 = 15;

/// The version in which followers fetch at a metadata version.
fn fetch_version(metadata_version: i16) -> i16 {
    match metadata_version {
        27.. => 18,
        21.. => 17,
        19.. => 16,
        10.. => 15,
        9.. => 14,
        _ => 13,
    }
}

/// The version in which followers ask for offsets at a metadata version.
fn list_offsets_version(metadata_version: i16) -> i16 {
    match metadata_version {
        29.. => 11,
        25.. => 10,
        21.. => 9,
        9.. => 8,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_version_dictates_the_versions_of_requests() {
        for (metadata_version, fetch, list_offsets) in [
            (7, 13, 7),
            (8, 13, 7),
            (9, 14, 8),
            (10, 15, 8),
            (18, 15, 8),
            (19, 16, 8),
            (20, 16, 8),
            (21, 17, 9),
            (24, 17, 9),
            (25, 17, 10),
            (26, 17, 10),
            (27, 18, 10),
            (28, 18, 10),
            (29, 18, 11),
            (30, 18, 11),
        ] {
            assert_eq!(fetch_version(metadata_version), fetch, "{metadata_version}");
            let version = list_offsets_version(metadata_version);
            assert_eq!(version, list_offsets, "{metadata_version}");
        }
    }
}
