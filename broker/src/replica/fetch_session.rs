//! Incremental fetch sessions: what a fetcher asked for is remembered, so that its next request
//! carries only what changed, and the answer only what is new.
//!
//! [`FetchSessionCache::open`] turns the session fields of a request into a [`FetchContext`]: the
//! partitions to read, in the order to read them. [`FetchContext::close`] turns the results into
//! those to send, the session id and the error of the response. Sessions are pure state; the cache
//! takes the time and random ids as arguments.
//!
//! | session id, epoch | meaning |
//! | --- | --- |
//! | 0 or S, 0 | full fetch; S ends; a new session is made if there is room |
//! | 0 or S, −1 | full fetch without a session; S ends |
//! | S, n | incremental fetch: n must be what the session expects |
//!
//! Invariants:
//! - a session answers each epoch once: a repeated or skipped one is an error, and the fetcher
//!   begins anew;
//! - a partition that yielded records moves to the end of the order, so none starves behind others
//!   that fill every response;
//! - at most `max_entries` sessions are kept. A session gives way when it has not been used for
//!   `eviction_ms`, or when it is older than that and the newcomer is larger; a follower's also
//!   pushes out any consumer's.
//!
//! Kafka: `server/FetchSession.java`, `FetchSessionCacheShard.java`, `FetchContext.java` (4.3),
//! KIP-227, KIP-516.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use kafka_shared::error::ErrorCode;
use kafka_shared::types::Uuid;
use parking_lot::Mutex;

/// The id of a response without a session.
pub const INVALID_SESSION_ID: i32 = 0;
/// The epoch of a request for a new session.
pub const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants no session.
pub const FINAL_EPOCH: i32 = -1;

/// How a request names a topic: by name up to version 12, by id from version 13 on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FetchTopic {
    Name(Arc<str>),
    Id(Uuid),
}

/// A partition as a request names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FetchKey {
    pub topic: FetchTopic,
    pub partition: i32,
}

/// What a request wants of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPartition {
    pub fetch_offset: i64,
    /// The follower's log start offset; −1 from consumers.
    pub log_start_offset: i64,
    pub max_bytes: i32,
    pub current_leader_epoch: Option<i32>,
    pub last_fetched_epoch: Option<i32>,
}

/// What a session needs to know of a partition's result to tell whether to send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchSummary {
    pub has_records: bool,
    pub high_watermark: i64,
    pub log_start_offset: i64,
    /// An error, a preferred replica or a diverging epoch: always sent.
    pub is_error: bool,
    pub must_send: bool,
}

/// The next epoch that a session expects.
fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[derive(Debug)]
struct CachedPartition {
    key: FetchKey,
    request: FetchPartition,
    /// As last sent; −1 when it is to be sent again whatever it is.
    high_watermark: i64,
    log_start_offset: i64,
}

impl CachedPartition {
    fn is_worth_sending(&mut self, result: &FetchSummary) -> bool {
        let is_changed = self.high_watermark != result.high_watermark
            || self.log_start_offset != result.log_start_offset;
        // Who is to cut its log, or to go elsewhere, takes no notice of the watermark.
        self.high_watermark = if result.is_error || result.must_send {
            -1
        } else {
            result.high_watermark
        };
        self.log_start_offset = result.log_start_offset;
        result.has_records || is_changed || result.is_error || result.must_send
    }
}

/// A session's partitions in the order in which they are read.
#[derive(Debug, Default)]
struct PartitionMap {
    order: BTreeMap<u64, CachedPartition>,
    place: HashMap<FetchKey, u64>,
    next: u64,
}

impl PartitionMap {
    fn push(&mut self, partition: CachedPartition) {
        let place = self.next;
        self.next += 1;
        self.place.insert(partition.key.clone(), place);
        self.order.insert(place, partition);
    }

    fn get_mut(&mut self, key: &FetchKey) -> Option<&mut CachedPartition> {
        self.order.get_mut(self.place.get(key)?)
    }

    fn remove(&mut self, key: &FetchKey) -> Option<CachedPartition> {
        self.order.remove(&self.place.remove(key)?)
    }

    fn move_to_end(&mut self, key: &FetchKey) {
        if let Some(partition) = self.remove(key) {
            self.push(partition);
        }
    }

    fn len(&self) -> usize {
        self.order.len()
    }
}

/// One fetcher's session.
#[derive(Debug)]
pub struct FetchSession {
    uses_topic_ids: bool,
    /// What the next request must carry.
    epoch: i32,
    partitions: PartitionMap,
}

impl FetchSession {
    fn update(&mut self, wanted: Vec<(FetchKey, FetchPartition)>, forgotten: &[FetchKey]) {
        for (key, request) in wanted {
            if let Some(cached) = self.partitions.get_mut(&key) {
                // A follower in a new epoch has dropped what it was answered in the one before.
                let is_same_epoch =
                    cached.request.current_leader_epoch == request.current_leader_epoch;
                if !is_same_epoch || request.fetch_offset < cached.request.fetch_offset {
                    cached.high_watermark = -1;
                }
                cached.request = request;
            } else {
                self.partitions.push(CachedPartition {
                    key,
                    request,
                    high_watermark: -1,
                    log_start_offset: -1,
                });
            }
        }
        for key in forgotten {
            self.partitions.remove(key);
        }
    }

    fn wanted(&self) -> Vec<(FetchKey, FetchPartition)> {
        self.partitions
            .order
            .values()
            .map(|p| (p.key.clone(), p.request))
            .collect()
    }
}

/// What a request is, in terms of sessions.
#[derive(Debug)]
enum Kind {
    Sessionless,
    Full {
        uses_topic_ids: bool,
        is_from_follower: bool,
    },
    Incremental {
        session: Arc<Mutex<FetchSession>>,
        id: i32,
        expected_epoch: i32,
    },
}

/// A request that is being answered.
#[derive(Debug)]
pub struct FetchContext {
    kind: Kind,
    /// What to read, in order; each partition once.
    pub partitions: Vec<(FetchKey, FetchPartition)>,
}

/// The session's part of a response.
#[derive(Debug, PartialEq, Eq)]
pub struct FetchOutcome<R> {
    pub error: ErrorCode,
    pub session_id: i32,
    pub results: Vec<(FetchKey, R)>,
}

impl FetchContext {
    /// Decides what is sent of the `results`, which are in the order of [`Self::partitions`].
    ///
    /// `random` proposes ids for a new session.
    pub fn close<R>(
        self,
        cache: &Mutex<FetchSessionCache>,
        results: Vec<(FetchKey, R)>,
        summarize: impl Fn(&R) -> FetchSummary,
        now_ms: i64,
        random: impl FnMut() -> i32,
    ) -> FetchOutcome<R> {
        let (session, id, expected_epoch) = match self.kind {
            Kind::Sessionless => {
                return FetchOutcome {
                    error: ErrorCode::NONE,
                    session_id: INVALID_SESSION_ID,
                    results,
                };
            }
            Kind::Full {
                uses_topic_ids,
                is_from_follower,
            } => {
                let requests = self.partitions;
                let partitions = || {
                    let mut partitions = PartitionMap::default();
                    for ((key, request), (_, result)) in requests.into_iter().zip(&results) {
                        let FetchSummary {
                            high_watermark,
                            log_start_offset,
                            ..
                        } = summarize(result);
                        partitions.push(CachedPartition {
                            key,
                            request,
                            high_watermark,
                            log_start_offset,
                        });
                    }
                    partitions
                };
                let newcomer = Newcomer {
                    is_privileged: is_from_follower,
                    uses_topic_ids,
                    n_partitions: results.len(),
                };
                let session_id = cache.lock().create(&newcomer, now_ms, partitions, random);
                return FetchOutcome {
                    error: ErrorCode::NONE,
                    session_id,
                    results,
                };
            }
            Kind::Incremental {
                session,
                id,
                expected_epoch,
            } => (session, id, expected_epoch),
        };
        let mut session = session.lock();
        if session.epoch != expected_epoch {
            return FetchOutcome {
                error: ErrorCode::INVALID_FETCH_SESSION_EPOCH,
                session_id: id,
                results: Vec::new(),
            };
        }
        let mut sent = Vec::with_capacity(results.len());
        for (key, result) in results {
            let summary = summarize(&result);
            let Some(cached) = session.partitions.get_mut(&key) else {
                continue;
            };
            if !cached.is_worth_sending(&summary) {
                continue;
            }
            if summary.has_records {
                session.partitions.move_to_end(&key);
            }
            sent.push((key, result));
        }
        FetchOutcome {
            error: ErrorCode::NONE,
            session_id: id,
            results: sent,
        }
    }
}

/// The fields of a request that concern its session.
#[derive(Debug)]
pub struct FetchRequestSession {
    pub session_id: i32,
    pub session_epoch: i32,
    /// Whether topics are named by id (version 13 on).
    pub uses_topic_ids: bool,
    pub is_from_follower: bool,
    pub wanted: Vec<(FetchKey, FetchPartition)>,
    pub forgotten: Vec<FetchKey>,
}

/// Rank of a session as a candidate for eviction; the lowest goes first.
type EvictableKey = (bool, usize, i32);

#[derive(Debug)]
struct Entry {
    session: Arc<Mutex<FetchSession>>,
    is_privileged: bool,
    created_ms: i64,
    last_used_ms: i64,
    n_partitions: usize,
}

impl Entry {
    fn evictable_key(&self, id: i32) -> EvictableKey {
        (self.is_privileged, self.n_partitions, id)
    }
}

struct Newcomer {
    is_privileged: bool,
    uses_topic_ids: bool,
    n_partitions: usize,
}

/// All sessions of a broker. See the module's documentation.
#[derive(Debug)]
pub struct FetchSessionCache {
    max_entries: usize,
    eviction_ms: i64,
    sessions: HashMap<i32, Entry>,
    by_last_use: BTreeSet<(i64, i32)>,
    evictable_by_all: BTreeSet<EvictableKey>,
    evictable_by_privileged: BTreeSet<EvictableKey>,
}

impl FetchSessionCache {
    /// How long a session is safe from newcomers (Kafka's `MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
    pub const EVICTION_MS: i64 = 120_000;

    /// A cache of at most `max_entries` sessions
    /// (`max.incremental.fetch.session.cache.slots`); none are kept when it is 0.
    pub fn new(max_entries: usize) -> Self {
        Self {
            max_entries,
            eviction_ms: Self::EVICTION_MS,
            sessions: HashMap::new(),
            by_last_use: BTreeSet::new(),
            evictable_by_all: BTreeSet::new(),
            evictable_by_privileged: BTreeSet::new(),
        }
    }

    pub fn n_sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Begins to answer a request.
    ///
    /// # Errors
    /// `FETCH_SESSION_ID_NOT_FOUND` when the session has ended, `INVALID_FETCH_SESSION_EPOCH` when
    /// the request is not the next one of the session, `FETCH_SESSION_TOPIC_ID_ERROR` when it names
    /// topics in another way than the session was begun with. The response then carries the error
    /// and no partitions.
    pub fn open(
        &mut self,
        request: FetchRequestSession,
        now_ms: i64,
    ) -> Result<FetchContext, ErrorCode> {
        let FetchRequestSession {
            session_id,
            session_epoch,
            uses_topic_ids,
            ..
        } = request;
        if session_epoch == INITIAL_EPOCH || session_epoch == FINAL_EPOCH {
            if session_id != INVALID_SESSION_ID {
                self.remove(session_id);
            }
            let is_from_follower = request.is_from_follower;
            let kind = match session_epoch {
                FINAL_EPOCH => Kind::Sessionless,
                _ => Kind::Full {
                    uses_topic_ids,
                    is_from_follower,
                },
            };
            return Ok(FetchContext {
                kind,
                partitions: last_of_each(request.wanted),
            });
        }
        let entry = self
            .sessions
            .get(&session_id)
            .ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        let session = Arc::clone(&entry.session);
        let mut locked = session.lock();
        if locked.epoch != session_epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        if locked.uses_topic_ids != uses_topic_ids {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        locked.update(request.wanted, &request.forgotten);
        if locked.partitions.len() == 0 {
            drop(locked);
            self.remove(session_id);
            return Ok(FetchContext {
                kind: Kind::Sessionless,
                partitions: Vec::new(),
            });
        }
        locked.epoch = next_epoch(session_epoch);
        let (expected_epoch, partitions) = (locked.epoch, locked.wanted());
        let n_partitions = locked.partitions.len();
        drop(locked);
        self.touch(session_id, n_partitions, now_ms);
        Ok(FetchContext {
            kind: Kind::Incremental {
                session,
                id: session_id,
                expected_epoch,
            },
            partitions,
        })
    }

    fn create(
        &mut self,
        newcomer: &Newcomer,
        now_ms: i64,
        partitions: impl FnOnce() -> PartitionMap,
        mut random: impl FnMut() -> i32,
    ) -> i32 {
        if self.sessions.len() >= self.max_entries && !self.make_room(newcomer, now_ms) {
            return INVALID_SESSION_ID;
        }
        let mut id = random() & i32::MAX;
        while id == INVALID_SESSION_ID || self.sessions.contains_key(&id) {
            id = id.wrapping_add(1) & i32::MAX;
        }
        let session = FetchSession {
            uses_topic_ids: newcomer.uses_topic_ids,
            epoch: next_epoch(INITIAL_EPOCH),
            partitions: partitions(),
        };
        let n_partitions = session.partitions.len();
        let entry = Entry {
            session: Arc::new(Mutex::new(session)),
            is_privileged: newcomer.is_privileged,
            created_ms: now_ms,
            last_used_ms: now_ms,
            n_partitions,
        };
        self.sessions.insert(id, entry);
        self.touch(id, n_partitions, now_ms);
        id
    }

    /// Ends a session in favour of `newcomer`, if there is one that must yield.
    fn make_room(&mut self, newcomer: &Newcomer, now_ms: i64) -> bool {
        let Some(&(last_used_ms, stalest)) = self.by_last_use.first() else {
            return false;
        };
        if now_ms - last_used_ms > self.eviction_ms {
            self.remove(stalest);
            return true;
        }
        let evictable = match newcomer.is_privileged {
            true => &self.evictable_by_privileged,
            false => &self.evictable_by_all,
        };
        let Some(&weakest) = evictable.first() else {
            return false;
        };
        if (newcomer.is_privileged, newcomer.n_partitions, 0) < weakest {
            return false;
        }
        self.remove(weakest.2);
        true
    }

    fn touch(&mut self, id: i32, n_partitions: usize, now_ms: i64) {
        let Some(entry) = self.sessions.get_mut(&id) else {
            return;
        };
        let old_key = entry.evictable_key(id);
        self.by_last_use.remove(&(entry.last_used_ms, id));
        self.evictable_by_all.remove(&old_key);
        self.evictable_by_privileged.remove(&old_key);
        entry.last_used_ms = now_ms;
        entry.n_partitions = n_partitions;
        let key = entry.evictable_key(id);
        let is_old = now_ms - entry.created_ms > self.eviction_ms;
        self.by_last_use.insert((now_ms, id));
        if is_old {
            self.evictable_by_all.insert(key);
        }
        if is_old || !entry.is_privileged {
            self.evictable_by_privileged.insert(key);
        }
    }

    fn remove(&mut self, id: i32) {
        let Some(entry) = self.sessions.remove(&id) else {
            return;
        };
        let key = entry.evictable_key(id);
        self.by_last_use.remove(&(entry.last_used_ms, id));
        self.evictable_by_all.remove(&key);
        self.evictable_by_privileged.remove(&key);
    }
}

/// Leaves one entry per partition, at the place of the first and with the wishes of the last.
fn last_of_each(wanted: Vec<(FetchKey, FetchPartition)>) -> Vec<(FetchKey, FetchPartition)> {
    let mut seen = HashSet::with_capacity(wanted.len());
    if wanted.len() < 2 || wanted.iter().all(|(key, _)| seen.insert(key)) {
        return wanted;
    }
    let mut place: HashMap<FetchKey, usize> = HashMap::with_capacity(wanted.len());
    let mut unique: Vec<(FetchKey, FetchPartition)> = Vec::with_capacity(wanted.len());
    for (key, request) in wanted {
        if let Some(&at) = place.get(&key) {
            unique[at].1 = request;
        } else {
            place.insert(key.clone(), unique.len());
            unique.push((key, request));
        }
    }
    unique
}

#[cfg(test)]
mod tests;
