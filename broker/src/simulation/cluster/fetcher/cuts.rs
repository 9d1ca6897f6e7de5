//! Where a follower's log departs from its leader's: what is cut, and where it goes on.

use kafka_shared::error::ErrorCode;

use super::super::id;
use super::{Cluster, Found, Log, OffsetsAnswer, OffsetsAsk, Outstanding, PartitionKey, Wanted};
use crate::raft::simulation::invariants::Check;
use crate::replica::fetcher::state::truncation_offset;

/// What is to be cut off a log.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    To(i64),
    /// All of it; the chain is that of what was before the new start.
    Restart(i64, u64),
}

impl Cluster {
    /// Cuts the log where it departs from the leader's.
    pub(super) fn reconcile(
        &mut self,
        at: usize,
        leader: i32,
        key: PartitionKey,
        wanted: Wanted,
        leader_epoch_end: (i32, i64),
    ) -> Check {
        let Some((_, log)) = self.broker(at).hosted(key.partition) else {
            return Ok(());
        };
        let own = log.end_offset_for_epoch(leader_epoch_end.0);
        let offset = truncation_offset(leader_epoch_end, own, log.end_offset());
        self.cut(at, leader, key, wanted.leader_epoch, Cut::To(offset))
    }

    pub(super) fn cut(
        &mut self,
        at: usize,
        leader: i32,
        key: PartitionKey,
        epoch: i32,
        cut: Cut,
    ) -> Check {
        let (now_ms, partition) = (self.world.now_ms, key.partition);
        if self.is_stale(at, leader, key, epoch) {
            return Ok(());
        }
        let own_id = id(at);
        let offset = match cut {
            Cut::To(offset) => offset,
            // What it has is older than all that is left.
            Cut::Restart(..) => i64::MAX,
        };
        if let Some(log) = self.brokers[&at].log(partition) {
            self.counts.truncations += u64::from(offset < log.end_offset());
            self.facts.cuts(own_id, partition, epoch, offset, log)?;
        }
        self.trace(at, || {
            let position = self.brokers[&at].log(partition).map(Log::position);
            format!("cuts {partition}: {cut:?}, in epoch {epoch} of {leader}, before: {position:?}")
        });
        let leaders_chain = self
            .log_of(leader, partition)
            .and_then(|log| log.chain_before(offset));
        let Some((_, log)) = self.broker(at).hosted(partition) else {
            return Ok(());
        };
        match cut {
            Cut::To(offset) if offset < log.start_offset() => {
                log.restart(offset, leaders_chain.unwrap_or(0));
            }
            Cut::To(offset) => log.truncate(offset),
            Cut::Restart(offset, chain) => log.restart(offset, chain),
        }
        let position = log.position();
        if let Some(fetcher) = self.fetcher(at, leader)
            && !fetcher.state.truncated(key, position)
        {
            fetcher.state.delay_fully(key, now_ms);
        }
        Ok(())
    }

    /// A follower asks where the log begins and ends.
    pub(in super::super) fn broker_offsets(&mut self, at: usize, ask: OffsetsAsk) -> OffsetsAnswer {
        let found = match self.broker(at).hosted(ask.key.partition) {
            None => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            Some((replica, log)) => {
                let epoch = Some(ask.wanted.leader_epoch);
                replica.state.check_access(epoch, true).map(|()| Found {
                    log_start_offset: log.start_offset(),
                    log_end_offset: log.end_offset(),
                    start_chain: log.start_chain(),
                })
            }
        };
        OffsetsAnswer { ask, found }
    }

    pub(in super::super) fn broker_found_offsets(
        &mut self,
        at: usize,
        from: usize,
        number: u64,
        answer: OffsetsAnswer,
    ) -> Check {
        let (now_ms, leader) = (self.world.now_ms, id(from));
        let OffsetsAsk { key, wanted } = answer.ask;
        let Some(fetcher) = self.fetcher(at, leader) else {
            return Ok(());
        };
        let is_awaited = |ask: &mut Outstanding| ask.number == number;
        if fetcher.under_way.take_if(is_awaited).is_none() {
            return Ok(());
        }
        fetcher.next_ms = now_ms;
        // The task takes over a newer epoch only after it has dealt with the answer.
        if fetcher.partitions.get(&key.partition) != Some(&wanted.leader_epoch) {
            return Ok(());
        }
        let found = match answer.found {
            Ok(found) => found,
            Err(error) => {
                fetcher.state.on_error(key, error, now_ms);
                return Ok(());
            }
        };
        let Some((_, log)) = self.broker(at).hosted(key.partition) else {
            return Ok(());
        };
        let position = log.position();
        let end = position.log_end_offset;
        let epoch = wanted.leader_epoch;
        if found.log_end_offset < end {
            return self.cut(at, leader, key, epoch, Cut::To(found.log_end_offset));
        }
        if found.log_start_offset > end {
            let restart = Cut::Restart(found.log_start_offset, found.start_chain);
            return self.cut(at, leader, key, epoch, restart);
        }
        if let Some(fetcher) = self.fetcher(at, leader) {
            fetcher.state.truncated(key, position);
            fetcher.state.delay(key, now_ms);
        }
        Ok(())
    }
}
