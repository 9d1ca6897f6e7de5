//! Fetching: a follower's fetchers, one for each leader, and a leader's answers to them.

mod cuts;

use std::collections::BTreeMap;

use kafka_shared::error::ErrorCode;
use kafka_shared::types::{TopicPartition, Uuid};

use self::cuts::Cut;
use super::broker::TIMEOUT_MS;
use super::log::{Entry, Log};
use super::{Cluster, Message, Outstanding, TOPIC, idx};
use crate::raft::simulation::invariants::{Check, Invariants};
use crate::replica::fetch_session::{
    FetchKey, FetchOutcome, FetchPartition, FetchRequestSession, FetchSummary, FetchTopic,
};
use crate::replica::fetcher::PartitionKey;
use crate::replica::fetcher::session::{SessionRequest, SessionVerdict, Wanted};
use crate::replica::fetcher::state::{Answer as PartitionAnswer, FetcherState, Verdict};
use crate::replica::partition::state::FollowerFetch;
use crate::replica::partition::state::isr::IsrProposal;

const BACKOFF_MS: i64 = 400;
/// Records of a partition in one answer.
const FETCH_ENTRIES: usize = 3;

/// A follower's fetch.
#[derive(Debug, Clone)]
pub(super) struct FetchAsk {
    replica_epoch: i64,
    session: SessionRequest,
}

/// What a leader says of one partition.
#[derive(Debug, Clone)]
struct Fetched {
    error: ErrorCode,
    diverging_epoch: Option<(i32, i64)>,
    entries: Vec<Entry>,
    high_watermark: i64,
    log_start_offset: i64,
    /// Of what was before the start, and before what is fetched: no part of the protocol.
    start_chain: u64,
    chain_before: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct FetchAnswer {
    error: ErrorCode,
    session_id: i32,
    partitions: Vec<(PartitionKey, Fetched)>,
}

/// Where does the leader's log begin and end?
#[derive(Debug, Clone, Copy)]
pub(super) struct OffsetsAsk {
    key: PartitionKey,
    wanted: Wanted,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct OffsetsAnswer {
    ask: OffsetsAsk,
    found: Result<Found, ErrorCode>,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    log_start_offset: i64,
    log_end_offset: i64,
    /// Of what was before the start: no part of the protocol.
    start_chain: u64,
}

/// The partitions that are fetched from one leader.
pub(super) struct Fetcher {
    state: FetcherState,
    /// With their leader epochs.
    partitions: BTreeMap<i32, i32>,
    under_way: Option<Outstanding>,
    /// Partitions of which the leader's offsets are still to be asked.
    out_of_range: Vec<OffsetsAsk>,
    pub(super) next_ms: i64,
}

impl Fetched {
    fn of_error(error: ErrorCode) -> Self {
        Self {
            error,
            diverging_epoch: None,
            entries: Vec::new(),
            high_watermark: -1,
            log_start_offset: -1,
            start_chain: 0,
            chain_before: None,
        }
    }

    fn summary(&self) -> FetchSummary {
        FetchSummary {
            has_records: !self.entries.is_empty(),
            high_watermark: self.high_watermark,
            log_start_offset: self.log_start_offset,
            is_error: self.error != ErrorCode::NONE,
            must_send: self.diverging_epoch.is_some(),
        }
    }
}

fn fetch_key(key: &PartitionKey) -> FetchKey {
    FetchKey {
        topic: FetchTopic::Id(key.topic_id),
        partition: key.partition,
    }
}

impl Fetcher {
    fn forget(&mut self, key: PartitionKey) {
        self.state.remove(key);
        self.partitions.remove(&key.partition);
    }
}

impl Cluster {
    fn topic_id(&mut self, at: usize) -> Option<Uuid> {
        let process = self.broker(at).process.as_ref()?;
        process.image.topics.id_of(TOPIC)
    }

    fn fetcher(&mut self, at: usize, leader: i32) -> Option<&mut Fetcher> {
        let process = self.broker(at).process.as_mut()?;
        process.fetchers.get_mut(&leader)
    }

    pub(super) fn is_following(
        &mut self,
        at: usize,
        partition: i32,
        leader: i32,
        epoch: i32,
    ) -> bool {
        let fetcher = self.fetcher(at, leader);
        fetcher.is_some_and(|fetcher| fetcher.partitions.get(&partition) == Some(&epoch))
    }

    /// Fetches the partition from this leader, and from nobody else.
    pub(super) fn follow(&mut self, at: usize, partition: i32, leader: i32, epoch: i32) {
        let now_ms = self.world.now_ms;
        let Some(topic_id) = self.topic_id(at) else {
            return;
        };
        let key = PartitionKey {
            topic_id,
            partition,
        };
        let is_elsewhere = self
            .fetcher(at, leader)
            .is_none_or(|fetcher| !fetcher.partitions.contains_key(&partition));
        if is_elsewhere {
            self.unfollow(at, partition);
        }
        let broker = self.broker(at);
        let Some(position) = broker.log(partition).map(Log::position) else {
            return;
        };
        let Some(process) = &mut broker.process else {
            return;
        };
        let fetcher = process.fetchers.entry(leader).or_insert_with(|| Fetcher {
            state: FetcherState::new(BACKOFF_MS),
            partitions: BTreeMap::new(),
            under_way: None,
            out_of_range: Vec::new(),
            next_ms: now_ms,
        });
        let topic_partition = TopicPartition::new(TOPIC, partition);
        fetcher.state.add(key, topic_partition, epoch, position);
        fetcher.partitions.insert(partition, epoch);
        fetcher.next_ms = now_ms;
    }

    pub(super) fn unfollow(&mut self, at: usize, partition: i32) {
        let Some(topic_id) = self.topic_id(at) else {
            return;
        };
        let Some(process) = &mut self.broker(at).process else {
            return;
        };
        let key = PartitionKey {
            topic_id,
            partition,
        };
        process.fetchers.values_mut().for_each(|f| f.forget(key));
        process
            .fetchers
            .retain(|_, fetcher| !fetcher.partitions.is_empty());
    }

    pub(super) fn run_fetchers(&mut self, at: usize) -> Check {
        let now_ms = self.world.now_ms;
        let Some(process) = &self.broker(at).process else {
            return Ok(());
        };
        let due = process.fetchers.iter().filter(|(_, f)| f.next_ms <= now_ms);
        let due: Vec<i32> = due.map(|(leader, _)| *leader).collect();
        for leader in due {
            self.run_fetcher(at, leader)?;
        }
        Ok(())
    }

    fn run_fetcher(&mut self, at: usize, leader: i32) -> Check {
        let (now_ms, number) = (self.world.now_ms, self.number());
        let poll_ms = now_ms + self.plan.fetch_ms;
        let Some(fetcher) = self.fetcher(at, leader) else {
            return Ok(());
        };
        let answer = fetcher.under_way.take_if(|ask| ask.until_ms <= now_ms);
        if answer.is_some() {
            fetcher.out_of_range.clear();
            fetcher.state.on_failure(now_ms);
        } else if fetcher.under_way.is_some() {
            fetcher.next_ms = fetcher.under_way.map_or(now_ms, |ask| ask.until_ms);
            return Ok(());
        }
        for truncation in fetcher.state.truncations(now_ms) {
            self.cut(
                at,
                leader,
                truncation.key,
                truncation.leader_epoch,
                Cut::To(truncation.offset),
            )?;
        }
        let until_ms = now_ms + TIMEOUT_MS;
        let outstanding = Outstanding { number, until_ms };
        let broker = self.broker(at);
        let Some(process) = &mut broker.process else {
            return Ok(());
        };
        let replica_epoch = process.epoch;
        let Some(fetcher) = process.fetchers.get_mut(&leader) else {
            return Ok(());
        };
        if let Some(ask) = fetcher.out_of_range.pop() {
            fetcher.under_way = Some(outstanding);
            fetcher.next_ms = outstanding.until_ms;
            self.send(at, idx(leader), Message::Offsets(number, ask));
            return Ok(());
        }
        let Some(session) = fetcher.state.request(now_ms, |_| false) else {
            let due_ms = fetcher.state.next_due_ms().unwrap_or(i64::MAX);
            fetcher.next_ms = due_ms.max(now_ms + 1).min(poll_ms.max(now_ms + 1_000));
            return Ok(());
        };
        fetcher.under_way = Some(outstanding);
        fetcher.next_ms = outstanding.until_ms;
        let ask = FetchAsk {
            replica_epoch,
            session,
        };
        self.send(at, idx(leader), Message::Fetch(number, ask));
        Ok(())
    }

    /// A follower fetches from this broker.
    pub(super) fn broker_fetched_from(
        &mut self,
        at: usize,
        from: usize,
        number: u64,
        ask: FetchAsk,
    ) -> Check {
        let now_ms = self.world.now_ms;
        let Some(process) = &mut self.broker(at).process else {
            return Ok(());
        };
        let wanted = |(key, wanted): &(PartitionKey, Wanted)| {
            let partition = FetchPartition {
                fetch_offset: wanted.fetch_offset,
                log_start_offset: wanted.log_start_offset,
                max_bytes: 1,
                current_leader_epoch: Some(wanted.leader_epoch),
                last_fetched_epoch: wanted.last_fetched_epoch,
            };
            (fetch_key(key), partition)
        };
        let request = FetchRequestSession {
            session_id: ask.session.session_id,
            session_epoch: ask.session.session_epoch,
            uses_topic_ids: true,
            is_from_follower: true,
            wanted: ask.session.wanted.iter().map(wanted).collect(),
            forgotten: ask.session.forgotten.iter().map(fetch_key).collect(),
        };
        let opened = process.sessions.lock().open(request, now_ms);
        let context = match opened {
            Ok(context) => context,
            Err(error) => {
                let answer = FetchAnswer {
                    error,
                    session_id: 0,
                    partitions: Vec::new(),
                };
                self.send(at, from, Message::Fetched(number, answer));
                return Ok(());
            }
        };
        let mut results = Vec::new();
        for (key, wanted) in &context.partitions {
            let read = self.read(at, super::id(from), ask.replica_epoch, key, wanted);
            let fetched = match read {
                Ok((fetched, proposal)) => {
                    // Who is told to cut its log has made no progress, whoever it is.
                    if fetched.diverging_epoch.is_none() {
                        let follower = (super::id(from), ask.replica_epoch);
                        self.counted(at, key.partition, follower, wanted)?;
                    }
                    if let Some(proposal) = proposal {
                        self.alter(at, key.partition, proposal);
                    }
                    self.advance(at, key.partition)?;
                    self.read_again(at, key.partition, fetched)
                }
                Err(error) => Fetched::of_error(error),
            };
            results.push((key.clone(), fetched));
        }
        let proposed = i32::try_from(self.rng.below(1 << 30)).unwrap();
        let Some(process) = &mut self.broker(at).process else {
            return Ok(());
        };
        let outcome = context.close(&process.sessions, results, Fetched::summary, now_ms, || {
            proposed
        });
        let answer = answer(outcome);
        self.send(at, from, Message::Fetched(number, answer));
        Ok(())
    }

    /// As [`crate::replica::partition::Partition`] reads for a follower.
    fn read(
        &mut self,
        at: usize,
        replica_id: i32,
        replica_epoch: i64,
        key: &FetchKey,
        wanted: &FetchPartition,
    ) -> Result<(Fetched, Option<IsrProposal>), ErrorCode> {
        let now_ms = self.world.now_ms;
        let broker = self.broker(at);
        let process = broker.process.as_ref().ok_or(ErrorCode::UNKNOWN_TOPIC_ID)?;
        let registered = process.image.cluster.alive_broker(replica_id);
        let registered_epoch = registered.map(|broker| broker.epoch);
        let active = process.active_epoch(replica_id);
        let epoch = process.epoch;
        let hosted = broker.hosted(key.partition);
        let (replica, log) = hosted.ok_or(ErrorCode::UNKNOWN_TOPIC_ID)?;
        let state = &mut replica.state;
        state.check_access(wanted.current_leader_epoch, true)?;
        state
            .follower(replica_id)
            .ok_or(ErrorCode::UNKNOWN_LEADER_EPOCH)?;
        let mut fetched = Fetched {
            error: ErrorCode::NONE,
            diverging_epoch: None,
            entries: Vec::new(),
            high_watermark: log.high_watermark(),
            log_start_offset: log.start_offset(),
            start_chain: log.start_chain(),
            chain_before: None,
        };
        if let Some(last_epoch) = wanted.last_fetched_epoch {
            let end = log.end_offset_for_epoch(last_epoch);
            let end = end.ok_or(ErrorCode::OFFSET_OUT_OF_RANGE)?;
            if wanted.fetch_offset < log.start_offset() {
                return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
            }
            if end.0 < last_epoch || end.1 < wanted.fetch_offset {
                fetched.diverging_epoch = Some(end);
                return Ok((fetched, None));
            }
        }
        if wanted.fetch_offset < log.start_offset() || wanted.fetch_offset > log.end_offset() {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        fetched.entries = log.read(wanted.fetch_offset, FETCH_ENTRIES);
        fetched.chain_before = log.chain_before(wanted.fetch_offset);
        state.record_follower_fetch(&FollowerFetch {
            replica_id,
            replica_epoch,
            registered_epoch,
            fetch_offset: wanted.fetch_offset,
            log_start_offset: wanted.log_start_offset,
            leader_end_offset: log.end_offset(),
            now_ms,
        })?;
        let proposal = state.expand_isr(replica_id, log.high_watermark(), active, epoch);
        Ok((fetched, proposal))
    }

    /// A leader has taken a fetch for a follower's progress.
    fn counted(
        &mut self,
        at: usize,
        partition: i32,
        (follower, replica_epoch): (i32, i64),
        wanted: &FetchPartition,
    ) -> Check {
        let broker = self.broker(at);
        let Some(process) = &broker.process else {
            return Ok(());
        };
        let registered = process.image.cluster.broker_epoch(follower);
        let is_alive = process.image.cluster.alive_broker(follower).is_some();
        Invariants::holds(
            !is_alive || replica_epoch >= registered,
            "fetches of earlier lives don't count",
            || format!("{follower} fetches as {replica_epoch}, not {registered}"),
        )?;
        let hosted = broker.hosted(partition);
        let epoch = hosted.map(|(replica, _)| replica.state.leader_epoch());
        Invariants::holds(
            wanted.current_leader_epoch == epoch,
            "fetches of other leader epochs don't count",
            || format!("{follower} wants {wanted:?} in {epoch:?}"),
        )
    }

    /// A fetch that has found nothing waits, and tells what is so after that.
    fn read_again(&mut self, at: usize, partition: i32, fetched: Fetched) -> Fetched {
        let is_waiting = fetched.entries.is_empty() && fetched.diverging_epoch.is_none();
        match self.broker(at).hosted(partition) {
            Some((_, log)) if is_waiting => Fetched {
                high_watermark: log.high_watermark(),
                log_start_offset: log.start_offset(),
                start_chain: log.start_chain(),
                ..fetched
            },
            _ => fetched,
        }
    }

    /// A leader has answered.
    pub(super) fn broker_fetched(
        &mut self,
        at: usize,
        from: usize,
        number: u64,
        answer: FetchAnswer,
    ) -> Check {
        let now_ms = self.world.now_ms;
        let (leader, poll_ms) = (super::id(from), now_ms + self.plan.fetch_ms);
        let Some(fetcher) = self.fetcher(at, leader) else {
            return Ok(());
        };
        let is_awaited = |ask: &mut Outstanding| ask.number == number;
        if fetcher.under_way.take_if(is_awaited).is_none() {
            return Ok(());
        }
        let has_news = |(_, fetched): &(_, Fetched)| {
            !fetched.entries.is_empty() || fetched.diverging_epoch.is_some()
        };
        let is_news = answer.partitions.iter().any(has_news);
        fetcher.next_ms = if is_news { now_ms } else { poll_ms };
        let keys = answer.partitions.iter().map(|(key, _)| *key);
        let verdict = fetcher
            .state
            .on_response(answer.error, answer.session_id, keys, now_ms);
        if verdict != SessionVerdict::Process {
            return Ok(());
        }
        let mut is_missed = false;
        let mut verdicts = Vec::new();
        for (key, fetched) in answer.partitions {
            let told = PartitionAnswer {
                error: fetched.error,
                diverging_epoch: fetched.diverging_epoch,
            };
            let verdict = fetcher.state.judge(key, told, now_ms);
            if !fetcher.partitions.contains_key(&key.partition) {
                continue;
            }
            let is_append = matches!(verdict, Verdict::Append(_));
            is_missed |= fetched.error == ErrorCode::NONE && !is_append;
            verdicts.push((key, verdict, fetched));
        }
        if is_missed {
            fetcher.state.restart_session();
        }
        for (key, verdict, fetched) in verdicts {
            match verdict {
                Verdict::Nothing => {}
                Verdict::Append(wanted) => self.append(at, leader, key, wanted, &fetched)?,
                Verdict::Diverging {
                    wanted,
                    leader_epoch_end,
                } => self.reconcile(at, leader, key, wanted, leader_epoch_end)?,
                Verdict::OutOfRange(wanted) => {
                    if let Some(fetcher) = self.fetcher(at, leader) {
                        fetcher.out_of_range.push(OffsetsAsk { key, wanted });
                        fetcher.next_ms = now_ms;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the replica follows in this epoch; a fetcher that is wrong about it forgets it.
    fn is_stale(&mut self, at: usize, leader: i32, key: PartitionKey, epoch: i32) -> bool {
        let is_followed = self.broker(at).hosted(key.partition).is_some_and(|hosted| {
            let state = &hosted.0.state;
            !state.is_leader() && !state.is_retired() && state.leader_epoch() == epoch
        });
        if !is_followed && let Some(fetcher) = self.fetcher(at, leader) {
            fetcher.forget(key);
        }
        !is_followed
    }

    /// A follower takes an answer of a leader over.
    fn answered_in(&mut self, at: usize, partition: i32, leader: i32, epoch: i32) -> Check {
        let current = self
            .fetcher(at, leader)
            .and_then(|fetcher| fetcher.partitions.get(&partition).copied());
        Invariants::holds(
            current == Some(epoch),
            "answers of an earlier epoch don't count",
            || format!("{leader} is followed in {current:?}, not in {epoch}"),
        )
    }

    fn append(
        &mut self,
        at: usize,
        leader: i32,
        key: PartitionKey,
        wanted: Wanted,
        fetched: &Fetched,
    ) -> Check {
        let now_ms = self.world.now_ms;
        let (partition, epoch) = (key.partition, wanted.leader_epoch);
        self.answered_in(at, partition, leader, epoch)?;
        if self.is_stale(at, leader, key, epoch) {
            return Ok(());
        }
        let broker = self.broker(at);
        let id = broker.id;
        let Some((_, log)) = broker.hosted(partition) else {
            return Ok(());
        };
        if log.end_offset() != wanted.fetch_offset {
            let position = log.position();
            if let Some(fetcher) = self.fetcher(at, leader) {
                fetcher.state.truncated(key, position);
                fetcher.state.delay_fully(key, now_ms);
            }
            return Ok(());
        }
        let end = log.end_offset();
        if fetched.log_start_offset == end && log.start_offset() < end {
            log.start_at_end(fetched.start_chain);
        }
        log.begin_empty(fetched.chain_before);
        let mut appended = Vec::new();
        // Nothing of a newer leader than the one that was asked.
        for entry in fetched.entries.iter().take_while(|e| e.epoch <= epoch) {
            let offset = log.end_offset();
            appended.push((offset, log.append(entry.epoch, entry.value)));
        }
        let old = log.raise_high_watermark(fetched.high_watermark);
        if fetched.log_start_offset > log.start_offset() {
            log.raise_start(fetched.log_start_offset);
        }
        let (position, high_watermark) = (log.position(), log.high_watermark());
        for (offset, entry) in &appended {
            self.facts.appended(id, partition, *offset, *entry)?;
        }
        if let Some(old) = old {
            let log = self.brokers[&at].log(partition).expect("it is hosted");
            self.facts
                .learned(id, partition, epoch, log, (old, high_watermark))?;
        }
        if let Some(fetcher) = self.fetcher(at, leader) {
            let last_epoch = appended.last().map(|(_, entry)| entry.epoch);
            fetcher.state.appended(
                key,
                position.log_end_offset,
                last_epoch,
                fetched.high_watermark,
                position.log_start_offset,
            );
            if appended.is_empty() && !fetched.entries.is_empty() {
                fetcher.state.delay(key, now_ms);
            }
        }
        Ok(())
    }
}

fn answer(outcome: FetchOutcome<Fetched>) -> FetchAnswer {
    let key = |key: FetchKey| match key.topic {
        FetchTopic::Id(topic_id) => PartitionKey {
            topic_id,
            partition: key.partition,
        },
        FetchTopic::Name(_) => unreachable!("it was asked for by id"),
    };
    FetchAnswer {
        error: outcome.error,
        session_id: outcome.session_id,
        partitions: outcome
            .results
            .into_iter()
            .map(|(of, fetched)| (key(of), fetched))
            .collect(),
    }
}
