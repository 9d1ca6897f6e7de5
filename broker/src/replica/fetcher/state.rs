//! What a fetcher knows of the partitions that it copies from one leader, and what is to be done
//! next about each.
//!
//! | state | next | by |
//! | --- | --- | --- |
//! | Truncating (a log without epochs) | Fetching at the high watermark | [`FetcherState::truncated`] |
//! | Fetching, records | Fetching after them | [`FetcherState::appended`] |
//! | Fetching, the log departs from the leader's | Fetching where it was cut | [`FetcherState::truncated`] |
//! | Fetching, outside of the leader's log | Fetching where the leader's log is | [`FetcherState::truncated`] |
//! | any, error | the same after a back-off | [`FetcherState::judge`], [`FetcherState::delay`] |
//! | any, of no use in this epoch | gone until the metadata says more | [`FetcherState::fail`] |
//!
//! An answer counts for a partition only if the partition is still to be fetched from the offset,
//! in the epoch, that was asked for. Nothing here does I/O or knows a clock.
//!
//! Kafka: `server/AbstractFetcherThread.scala`, `server/PartitionFetchState.java` (4.3), KIP-101,
//! KIP-279, KIP-595.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kafka_shared::error::ErrorCode;
use kafka_shared::types::TopicPartition;

use super::session::{LeaderSession, PartitionKey, SessionRequest, SessionVerdict, Wanted};

/// The first pause after an error that is expected while metadata spreads; it doubles up to the
/// configured back-off.
///
/// Differs from Kafka: Kafka always waits for the whole `replica.fetch.backoff.ms`, although most of
/// these errors are over as soon as the new leader has read the same metadata.
const FIRST_BACKOFF_MS: i64 = 25;

/// Where a follower's log begins and ends when the follower is added to a fetcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    pub log_start_offset: i64,
    pub high_watermark: i64,
    pub log_end_offset: i64,
    pub latest_epoch: Option<i32>,
}

#[derive(Debug, Clone)]
struct PartitionFetch {
    topic_partition: TopicPartition,
    leader_epoch: i32,
    /// The log has to be cut to `fetch_offset` first.
    is_truncating: bool,
    fetch_offset: i64,
    last_fetched_epoch: Option<i32>,
    log_start_offset: i64,
    /// No request asks for it before this time.
    delayed_until_ms: Option<i64>,
    next_backoff_ms: i64,
    /// Records between the last fetch and the leader's high watermark; `None` before the first one.
    lag: Option<i64>,
    /// Rank among the partitions of a full request.
    place: u64,
}

/// A log that is to be cut before it can be fetched into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncation {
    pub key: PartitionKey,
    pub leader_epoch: i32,
    pub offset: i64,
}

/// What a leader's answer for a partition is, before its records are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub error: ErrorCode,
    /// The leader's last common epoch and its end offset, when the logs depart.
    pub diverging_epoch: Option<(i32, i64)>,
}

/// What to do about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is out of date, or the error has been taken note of.
    Nothing,
    /// Append the records that were asked for as `wanted`, then tell [`FetcherState::appended`].
    Append(Wanted),
    /// Cut the log to [`truncation_offset`] of this, then tell [`FetcherState::truncated`].
    Diverging {
        wanted: Wanted,
        leader_epoch_end: (i32, i64),
    },
    /// Find out where the leader's log begins and ends.
    OutOfRange(Wanted),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct FetcherState {
    backoff_ms: i64,
    partitions: HashMap<PartitionKey, PartitionFetch>,
    order: BTreeMap<u64, PartitionKey>,
    next_place: u64,
    /// Of whom the leader may have to be told something new.
    changed: BTreeSet<PartitionKey>,
    delays: BTreeSet<(i64, PartitionKey)>,
    session: LeaderSession,
}

impl FetcherState {
    /// A fetcher without partitions. `backoff_ms` is `replica.fetch.backoff.ms`.
    pub fn new(backoff_ms: i64) -> Self {
        Self {
            backoff_ms: backoff_ms.max(1),
            partitions: HashMap::new(),
            order: BTreeMap::new(),
            next_place: 0,
            changed: BTreeSet::new(),
            delays: BTreeSet::new(),
            session: LeaderSession::default(),
        }
    }

    /// Begins to fetch a partition; one that is fetched in the same epoch already goes on as it is.
    pub fn add(
        &mut self,
        key: PartitionKey,
        topic_partition: TopicPartition,
        leader_epoch: i32,
        log: LogPosition,
    ) {
        let known = self.partitions.get(&key);
        if known.is_some_and(|known| known.leader_epoch == leader_epoch) {
            return;
        }
        self.remove(key);
        // Without epochs there is nothing to compare with the leader's, and only what is below the
        // high watermark is known to be the same there.
        let is_truncating = log.latest_epoch.is_none();
        let fetch_offset = match is_truncating {
            true => log.high_watermark,
            false => log.log_end_offset,
        };
        let place = self.take_place(key);
        let partition = PartitionFetch {
            topic_partition,
            leader_epoch,
            is_truncating,
            fetch_offset,
            last_fetched_epoch: log.latest_epoch,
            log_start_offset: log.log_start_offset,
            delayed_until_ms: None,
            next_backoff_ms: FIRST_BACKOFF_MS,
            lag: None,
            place,
        };
        self.partitions.insert(key, partition);
        self.changed.insert(key);
    }

    /// Ends fetching of a partition.
    pub fn remove(&mut self, key: PartitionKey) {
        if let Some(partition) = self.partitions.remove(&key) {
            self.order.remove(&partition.place);
            if let Some(until_ms) = partition.delayed_until_ms {
                self.delays.remove(&(until_ms, key));
            }
            self.changed.insert(key);
        }
    }

    fn take_place(&mut self, key: PartitionKey) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        self.order.insert(place, key);
        place
    }

    /// The logs that have to be cut first.
    pub fn truncations(&self, now_ms: i64) -> Vec<Truncation> {
        let mut truncations: Vec<Truncation> = self
            .partitions
            .iter()
            .filter(|(_, p)| p.is_truncating && p.delayed_until_ms.is_none_or(|t| t <= now_ms))
            .map(|(key, p)| Truncation {
                key: *key,
                leader_epoch: p.leader_epoch,
                offset: p.fetch_offset,
            })
            .collect();
        truncations.sort_by_key(|truncation| truncation.key);
        truncations
    }

    /// Looks at all partitions again: their log start offsets, and whether they are held back.
    pub fn refresh(&mut self, log_start_offset: impl Fn(&PartitionKey) -> Option<i64>) {
        for (key, partition) in &mut self.partitions {
            if let Some(offset) = log_start_offset(key) {
                partition.log_start_offset = offset;
            }
            self.changed.insert(*key);
        }
    }

    /// The next request; `None` when there is nothing to ask for now. `is_held_back` tells whether
    /// a partition that is not in sync has to wait for the replication quota.
    pub fn request(
        &mut self,
        now_ms: i64,
        is_held_back: impl Fn(&TopicPartition) -> bool,
    ) -> Option<SessionRequest> {
        while let Some(&(until_ms, key)) = self.delays.first() {
            if until_ms > now_ms {
                break;
            }
            self.delays.pop_first();
            if let Some(partition) = self.partitions.get_mut(&key) {
                partition.delayed_until_ms = None;
            }
            self.changed.insert(key);
        }
        let changed = std::mem::take(&mut self.changed);
        let wanted = |key: &PartitionKey| {
            let p = self.partitions.get(key)?;
            let is_in_sync = p.lag.is_some_and(|lag| lag <= 0);
            let is_ready = !p.is_truncating
                && p.delayed_until_ms.is_none()
                && (is_in_sync || !is_held_back(&p.topic_partition));
            is_ready.then_some(Wanted {
                fetch_offset: p.fetch_offset,
                log_start_offset: p.log_start_offset,
                leader_epoch: p.leader_epoch,
                last_fetched_epoch: p.last_fetched_epoch,
            })
        };
        let candidates: Vec<_> = if self.session.is_full() {
            let all = self.order.values();
            all.map(|key| (*key, wanted(key))).collect()
        } else {
            changed.iter().map(|key| (*key, wanted(key))).collect()
        };
        self.session.request(candidates)
    }

    /// When the next delayed partition is due.
    pub fn next_due_ms(&self) -> Option<i64> {
        self.delays.first().map(|(until_ms, _)| *until_ms)
    }

    /// The request got no answer: everything waits for the back-off.
    pub fn on_failure(&mut self, now_ms: i64) {
        self.session.on_failure();
        let keys: Vec<PartitionKey> = self.partitions.keys().copied().collect();
        for key in keys {
            self.delay_for(key, now_ms, self.backoff_ms);
        }
    }

    /// Takes note of the answer as a whole. Only if this is [`SessionVerdict::Process`], its
    /// partitions are to be looked at.
    pub fn on_response(
        &mut self,
        error: ErrorCode,
        session_id: i32,
        keys: impl Iterator<Item = PartitionKey> + Clone,
        now_ms: i64,
    ) -> SessionVerdict {
        let verdict = self.session.on_response(error, session_id, keys);
        if verdict == SessionVerdict::BackOff {
            self.on_failure(now_ms);
        }
        verdict
    }

    /// Begins the session anew with the next request: an answer was not taken over, and the leader
    /// would not tell again what it has told, such as the high watermark.
    pub fn restart_session(&mut self) {
        self.session.on_failure();
    }

    /// Looks at the answer for one partition.
    pub fn judge(&mut self, key: PartitionKey, answer: Answer, now_ms: i64) -> Verdict {
        let (Some(partition), Some(&wanted)) = (self.partitions.get(&key), self.session.sent(&key))
        else {
            return Verdict::Nothing;
        };
        let is_current = !partition.is_truncating
            && partition.delayed_until_ms.is_none()
            && partition.fetch_offset == wanted.fetch_offset
            && partition.leader_epoch == wanted.leader_epoch;
        if !is_current {
            return Verdict::Nothing;
        }
        match answer.error {
            ErrorCode::NONE => match answer.diverging_epoch {
                Some(leader_epoch_end) => Verdict::Diverging {
                    wanted,
                    leader_epoch_end,
                },
                None => Verdict::Append(wanted),
            },
            ErrorCode::OFFSET_OUT_OF_RANGE => Verdict::OutOfRange(wanted),
            error => {
                self.on_error(key, error, now_ms);
                Verdict::Nothing
            }
        }
    }

    /// Takes note of an error that the leader has told for a partition.
    pub fn on_error(&mut self, key: PartitionKey, error: ErrorCode, now_ms: i64) {
        let Some(partition) = self.partitions.get(&key) else {
            return;
        };
        let topic_partition = &partition.topic_partition;
        match error {
            // The leader is in a later epoch, of which the metadata log will tell.
            ErrorCode::FENCED_LEADER_EPOCH => {
                tracing::info!(partition = %topic_partition, "fetching awaits a newer leader epoch");
                self.fail(key);
            }
            ErrorCode::UNKNOWN_LEADER_EPOCH
            | ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::INCONSISTENT_TOPIC_ID => {
                tracing::debug!(
                    partition = %topic_partition,
                    error = error.name(),
                    "the leader does not have the partition yet, or no longer"
                );
                self.delay(key, now_ms);
            }
            _ => {
                tracing::warn!(
                    partition = %topic_partition,
                    error = error.name(),
                    "the leader can't be fetched from"
                );
                self.delay_for(key, now_ms, self.backoff_ms);
            }
        }
    }

    /// Lets a partition wait, at first for a short time and longer with every time.
    pub fn delay(&mut self, key: PartitionKey, now_ms: i64) {
        let backoff_ms = self
            .partitions
            .get(&key)
            .map_or(0, |partition| partition.next_backoff_ms);
        self.delay_for(key, now_ms, backoff_ms.min(self.backoff_ms));
    }

    /// Lets a partition wait for the whole back-off.
    pub fn delay_fully(&mut self, key: PartitionKey, now_ms: i64) {
        self.delay_for(key, now_ms, self.backoff_ms);
    }

    fn delay_for(&mut self, key: PartitionKey, now_ms: i64, backoff_ms: i64) {
        let Some(partition) = self.partitions.get_mut(&key) else {
            return;
        };
        if partition.delayed_until_ms.is_some() {
            return;
        }
        let until_ms = now_ms.saturating_add(backoff_ms);
        partition.delayed_until_ms = Some(until_ms);
        partition.next_backoff_ms = partition.next_backoff_ms.saturating_mul(2);
        self.delays.insert((until_ms, key));
        self.changed.insert(key);
    }

    /// Gives a partition up until the metadata says something new about it.
    pub fn fail(&mut self, key: PartitionKey) {
        self.remove(key);
    }

    /// The answer was appended: the log ends at `next_offset`, and its last batch is of
    /// `last_epoch` if there was one in the answer.
    pub fn appended(
        &mut self,
        key: PartitionKey,
        next_offset: i64,
        last_epoch: Option<i32>,
        leader_high_watermark: i64,
        log_start_offset: i64,
    ) {
        let place = self.next_place;
        let Some(partition) = self.partitions.get_mut(&key) else {
            return;
        };
        let had_records = next_offset > partition.fetch_offset;
        partition.lag = Some((leader_high_watermark - next_offset).max(0));
        partition.next_backoff_ms = FIRST_BACKOFF_MS;
        if had_records || partition.log_start_offset != log_start_offset {
            self.changed.insert(key);
        }
        partition.fetch_offset = next_offset;
        partition.log_start_offset = log_start_offset;
        partition.last_fetched_epoch = last_epoch.or(partition.last_fetched_epoch);
        if had_records {
            // Whoever had records gives way to the others.
            self.order.remove(&partition.place);
            partition.place = place;
            self.order.insert(place, key);
            self.next_place += 1;
        }
    }

    /// The log was cut, or found to be good as it is, and goes on from here. Returns false when that
    /// has changed nothing, so that asking again at once would get the same answer.
    pub fn truncated(&mut self, key: PartitionKey, log: LogPosition) -> bool {
        let Some(partition) = self.partitions.get_mut(&key) else {
            return true;
        };
        let is_news = partition.is_truncating
            || partition.fetch_offset != log.log_end_offset
            || partition.last_fetched_epoch != log.latest_epoch;
        partition.is_truncating = false;
        partition.fetch_offset = log.log_end_offset;
        partition.last_fetched_epoch = log.latest_epoch;
        partition.log_start_offset = log.log_start_offset;
        self.changed.insert(key);
        is_news
    }
}

/// Where a follower has to cut its log when the leader's last common epoch ended at another offset
/// than its own. `own_epoch_end` is the follower's greatest epoch at or below the leader's, with its
/// end offset, if the follower knows one.
///
/// When the follower does not know the leader's epoch, it cuts to the end of the epoch before and is
/// told again.
pub fn truncation_offset(
    leader_epoch_end: (i32, i64),
    own_epoch_end: Option<(i32, i64)>,
    log_end_offset: i64,
) -> i64 {
    let (leader_epoch, leader_end) = leader_epoch_end;
    match own_epoch_end {
        Some((epoch, end)) if epoch != leader_epoch => end.min(log_end_offset),
        Some((_, end)) => end.min(leader_end).min(log_end_offset),
        None => leader_end.min(log_end_offset),
    }
}

#[cfg(test)]
mod tests;
