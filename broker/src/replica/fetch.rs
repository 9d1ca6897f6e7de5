//! Reading for Fetch: one pass over the partitions, and the long poll around it.
//!
//! A pass reads partitions in the given order until the byte limit is used up; the first batch
//! found is read whole even if it exceeds the limits, so that a fetcher always gets on. When a pass
//! finds less than `min_bytes` and nothing that is better told at once, the request waits for its
//! partitions to move on and one more pass answers it, whatever it finds.
//!
//! Records are not read here but returned as ranges of segment files.
//!
//! Kafka: `ReplicaManager.fetchMessages`, `readFromLog`, `DelayedFetch.scala`,
//! `Partition.fetchRecords` (4.3).

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use kafka_shared::error::ErrorCode;
use kafka_shared::time::Clock;

use super::delayed;
use super::fetch_session::{FetchKey, FetchPartition, FetchSummary};
use super::partition::Partition;
use super::partition::state::FollowerFetch;
use super::preferred::ClientPlace;
use super::quota::ReplicationQuotas;
use super::{ReplicaManager, partition::FollowerId};
use crate::log::{AbortedTransaction, FetchIsolation, FileSlice};

/// What a fetch as a whole asks for.
#[derive(Debug, Clone, Copy)]
pub struct FetchParams<'a> {
    /// The follower that fetches; `None` for consumers.
    pub follower: Option<FollowerId>,
    /// Whether only the leader may answer. Consumers that know of preferred replicas (version 11
    /// on) may read from followers too.
    pub requires_leader: bool,
    /// Where a consumer is that may be sent to another replica.
    pub place: Option<&'a ClientPlace>,
    pub isolation: FetchIsolation,
    pub max_wait: Duration,
    pub min_bytes: usize,
    pub max_bytes: usize,
}

/// Records of a partition on their way to the socket.
#[derive(Debug, Clone, Default)]
pub enum Records {
    #[default]
    Empty,
    File(FileSlice),
}

impl Records {
    pub fn size_in_bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::File(slice) => slice.len,
        }
    }
}

/// What a fetch found in one partition. Offsets are −1 when there is an error.
#[derive(Debug, Clone)]
pub struct FetchedPartition {
    pub error: ErrorCode,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// Where the fetcher's log departs from this one: the last common epoch and its end offset.
    pub diverging_epoch: Option<(i32, i64)>,
    /// The leader's id and epoch, to go with `NOT_LEADER_OR_FOLLOWER` and `FENCED_LEADER_EPOCH`.
    pub current_leader: Option<(i32, i32)>,
    /// The aborted transactions among the records, for readers of committed records only.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The replica that the consumer should rather ask, −1 for none.
    pub preferred_read_replica: i32,
    pub records: Records,
}

impl Default for FetchedPartition {
    fn default() -> Self {
        Self {
            error: ErrorCode::NONE,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: Records::Empty,
        }
    }
}

impl FetchedPartition {
    pub fn of_error(error: ErrorCode) -> Self {
        Self {
            error,
            ..Self::default()
        }
    }

    /// What a fetch session has to know.
    pub fn summary(&self) -> FetchSummary {
        FetchSummary {
            has_records: self.records.size_in_bytes() > 0,
            high_watermark: self.high_watermark,
            log_start_offset: self.log_start_offset,
            is_error: self.error != ErrorCode::NONE,
            must_send: self.diverging_epoch.is_some() || self.preferred_read_replica != -1,
        }
    }
}

/// A partition that a request reads: where it is hosted here, or why it can't be read.
#[derive(Debug, Clone)]
struct Target {
    partition: Result<Arc<Partition>, ErrorCode>,
    wanted: FetchPartition,
}

impl Target {
    /// Whether no metadata has the partition. That alone is no reason to answer at once: a fetcher
    /// that still asks for a deleted topic beside others would ask again without a pause.
    fn is_unknown(&self) -> bool {
        let unknown = [
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::UNKNOWN_TOPIC_ID,
        ];
        self.partition
            .as_ref()
            .is_err_and(|error| unknown.contains(error))
    }
}

impl ReplicaManager {
    /// Reads `wanted` in order; waits up to `max_wait` when there is not enough to read.
    pub async fn fetch_records(
        &self,
        params: FetchParams<'_>,
        wanted: &[(FetchKey, FetchPartition)],
    ) -> Vec<FetchedPartition> {
        let targets = self.targets(wanted);
        let pass = self.read_targets(&params, &targets, true);
        if params.max_wait.is_zero()
            || targets.iter().all(Target::is_unknown)
            || pass.n_bytes >= params.min_bytes
            || pass.is_urgent
        {
            return self.counted(&params, &targets, pass);
        }
        drop(pass);
        let waits: Vec<(Arc<Partition>, FetchPartition)> = targets
            .iter()
            .filter_map(|target| Some((target.partition.as_ref().ok()?.clone(), target.wanted)))
            .collect();
        let partitions: Vec<Arc<Partition>> = waits
            .iter()
            .map(|(partition, _)| Arc::clone(partition))
            .collect();
        let throttle = self.throttle_of(&params);
        let watched = FetchParams {
            place: None,
            ..params
        };
        let condition = move |changed| is_satisfied(&watched, throttle.as_ref(), &waits, changed);
        delayed::wait(partitions, params.max_wait, condition).await;
        // Partitions may have come and gone meanwhile.
        let targets = self.targets(wanted);
        let pass = self.read_targets(&params, &targets, false);
        self.counted(&params, &targets, pass)
    }

    /// What may hold records back from a follower; `None` for consumers, and while no replica is
    /// throttled.
    fn throttle_of(&self, params: &FetchParams<'_>) -> Option<Throttle> {
        let follower = params.follower.filter(|_| self.quotas.leader.is_in_use())?;
        Some(Throttle {
            follower,
            quotas: Arc::clone(&self.quotas),
            clock: Arc::clone(&self.clock),
        })
    }

    /// The results, their bytes counted against the replication quota.
    fn counted(
        &self,
        params: &FetchParams<'_>,
        targets: &[Target],
        pass: Pass,
    ) -> Vec<FetchedPartition> {
        if params.follower.is_some() && self.quotas.leader.is_in_use() {
            let n_bytes = targets
                .iter()
                .zip(&pass.partitions)
                .filter(|(target, _)| {
                    target.partition.as_ref().is_ok_and(|partition| {
                        self.quotas.leader.is_throttled(partition.topic_partition())
                    })
                })
                .map(|(_, fetched)| fetched.records.size_in_bytes())
                .sum();
            self.quotas.leader.record(n_bytes, self.clock.wall_ms());
        }
        pass.partitions
    }

    fn targets(&self, wanted: &[(FetchKey, FetchPartition)]) -> Vec<Target> {
        let target = |(key, wanted): &(FetchKey, FetchPartition)| Target {
            partition: self.partition_by_key(key),
            wanted: *wanted,
        };
        wanted.iter().map(target).collect()
    }

    fn read_targets(&self, params: &FetchParams<'_>, targets: &[Target], is_first: bool) -> Pass {
        let mut pass = Pass {
            partitions: Vec::with_capacity(targets.len()),
            n_bytes: 0,
            is_urgent: false,
        };
        let throttle = self.throttle_of(params);
        for target in targets {
            let Target { partition, wanted } = target;
            let limit = params.max_bytes.saturating_sub(pass.n_bytes);
            let read = partition.clone().and_then(|partition| {
                self.read_partition(
                    params,
                    &partition,
                    wanted,
                    limit,
                    pass.n_bytes == 0,
                    is_first,
                )
            });
            let mut fetched = read.unwrap_or_else(FetchedPartition::of_error);
            if let (Some(throttle), Ok(partition)) = (&throttle, partition)
                && throttle.holds_back(partition)
            {
                fetched.records = Records::Empty;
            }
            pass.n_bytes += fetched.records.size_in_bytes();
            let summary = fetched.summary();
            pass.is_urgent |= (summary.is_error || summary.must_send) && !target.is_unknown();
            pass.partitions.push(fetched);
        }
        pass
    }

    fn read_partition(
        &self,
        params: &FetchParams<'_>,
        partition: &Arc<Partition>,
        wanted: &FetchPartition,
        limit: usize,
        min_one: bool,
        is_first: bool,
    ) -> Result<FetchedPartition, ErrorCode> {
        if let (Some(place), None) = (params.place, params.follower)
            && let Some(fetched) = self.refer(partition, place, wanted)?
        {
            return Ok(fetched);
        }
        partition.check_access(wanted.current_leader_epoch, params.requires_leader)?;
        if let Some(follower) = params.follower {
            partition.check_follower(follower.id, wanted.current_leader_epoch.is_some())?;
        }
        let max_bytes = usize::try_from(wanted.max_bytes).unwrap_or(0).min(limit);
        let fetched = partition.read(wanted, params.isolation, max_bytes, min_one)?;
        if let Some(follower) = params.follower
            && is_first
            && fetched.partition.diverging_epoch.is_none()
        {
            self.record_follower_fetch(partition, follower, wanted, fetched.log_end_offset)?;
        }
        Ok(fetched.partition)
    }

    /// The answer that sends a consumer to a replica which is nearer.
    fn refer(
        &self,
        partition: &Partition,
        place: &ClientPlace,
        wanted: &FetchPartition,
    ) -> Result<Option<FetchedPartition>, ErrorCode> {
        let image = self.metadata.image();
        let near = partition.preferred_read_replica(&image, place, wanted.fetch_offset);
        let Some(preferred_read_replica) = near else {
            return Ok(None);
        };
        partition.check_access(wanted.current_leader_epoch, false)?;
        let log = partition.log();
        Ok(Some(FetchedPartition {
            high_watermark: log.high_watermark(),
            last_stable_offset: log.last_stable_offset(),
            log_start_offset: log.log_start_offset(),
            preferred_read_replica,
            ..FetchedPartition::default()
        }))
    }

    fn record_follower_fetch(
        &self,
        partition: &Arc<Partition>,
        follower: FollowerId,
        wanted: &FetchPartition,
        leader_end_offset: i64,
    ) -> Result<(), ErrorCode> {
        let image = self.metadata.image();
        partition.record_follower_fetch(&FollowerFetch {
            replica_id: follower.id,
            replica_epoch: follower.epoch,
            registered_epoch: image
                .cluster
                .alive_broker(follower.id)
                .map(|broker| broker.epoch),
            fetch_offset: wanted.fetch_offset,
            log_start_offset: wanted.log_start_offset,
            leader_end_offset,
            now_ms: self.clock.wall_ms(),
        })
    }
}

/// The results of one pass.
struct Pass {
    partitions: Vec<FetchedPartition>,
    n_bytes: usize,
    /// Something was found that is to be told at once.
    is_urgent: bool,
}

/// Holds back records from followers that are not in sync, as the replication quota asks.
struct Throttle {
    follower: FollowerId,
    quotas: Arc<ReplicationQuotas>,
    clock: Arc<dyn Clock>,
}

impl Throttle {
    fn holds_back(&self, partition: &Partition) -> bool {
        let quota = &self.quotas.leader;
        quota.is_throttled(partition.topic_partition())
            && !partition.with_state(|state| state.isr().contains(&self.follower.id))
            && quota.is_exceeded(self.clock.wall_ms())
    }
}

/// Whether a waiting fetch can be answered. `changed` is the partition that moved: on its own it
/// settles most waits, and the others need not be looked at.
fn is_satisfied(
    params: &FetchParams<'_>,
    throttle: Option<&Throttle>,
    waits: &[(Arc<Partition>, FetchPartition)],
    changed: Option<usize>,
) -> bool {
    let mut n_bytes = 0;
    let mut is_enough = |(partition, wanted): &(Arc<Partition>, FetchPartition)| {
        let Some(available) = available_bytes(params, throttle, partition, wanted) else {
            return true;
        };
        n_bytes += available;
        n_bytes >= params.min_bytes
    };
    if let Some(wait) = changed.and_then(|position| waits.get(position))
        && is_enough(wait)
    {
        return true;
    }
    let mut others = waits
        .iter()
        .enumerate()
        .filter(|(position, _)| changed != Some(*position));
    others.any(|(_, wait)| is_enough(wait))
}

/// How many bytes a fetch would find, `None` when it is to be answered whatever the others have:
/// the partition can no longer be read as asked, its log directory has failed, or the log was cut
/// below the offset or departs from the fetcher's.
fn available_bytes(
    params: &FetchParams<'_>,
    throttle: Option<&Throttle>,
    partition: &Partition,
    wanted: &FetchPartition,
) -> Option<usize> {
    if partition.log().dir().is_offline() {
        return None;
    }
    partition
        .check_access(wanted.current_leader_epoch, params.requires_leader)
        .ok()?;
    if let Some(epoch) = wanted.last_fetched_epoch
        && partition.is_diverging(wanted.fetch_offset, epoch)
    {
        return None;
    }
    if throttle.is_some_and(|throttle| throttle.holds_back(partition)) {
        return Some(0);
    }
    let end_offset = partition.end_offset(params.isolation);
    match wanted.fetch_offset.cmp(&end_offset) {
        Ordering::Greater => None,
        Ordering::Equal => Some(0),
        // Any record satisfies the usual fetch, so its size need not be looked up.
        Ordering::Less if params.min_bytes <= 1 => None,
        Ordering::Less => {
            let max_bytes = usize::try_from(wanted.max_bytes).unwrap_or(0);
            let read = partition
                .read(wanted, params.isolation, max_bytes, true)
                .ok()?;
            Some(read.partition.records.size_in_bytes())
        }
    }
}
