//! What has to hold after every step, by name.

use std::collections::BTreeMap;

use super::super::voters::{ReplicaKey, VoterSet};
use super::disk::{Batch, Disk};

/// All that has ever happened in a run, as far as the invariants need it.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    leaders: BTreeMap<i32, ReplicaKey>,
    votes: BTreeMap<(ReplicaKey, i32), ReplicaKey>,
    /// Chains by the end offset and epoch of batches.
    batches: BTreeMap<(i64, i32), u64>,
    /// Chains by the offsets that were committed.
    committed: BTreeMap<i64, u64>,
    /// The greatest offset that was committed in an epoch.
    committed_in: BTreeMap<i32, i64>,
}

pub(crate) type Check = Result<(), String>;

fn check(holds: bool, name: &str, detail: impl FnOnce() -> String) -> Check {
    if holds {
        Ok(())
    } else {
        Err(format!("{name}: {}", detail()))
    }
}

impl Invariants {
    /// The greatest offset that any node has ever known to be committed.
    pub(crate) fn committed_offset(&self) -> i64 {
        self.committed
            .last_key_value()
            .map_or(0, |(offset, _)| *offset)
    }

    /// Nobody becomes leader of an epoch that had a leader, not even that one again.
    pub(crate) fn one_leader_per_epoch(&mut self, epoch: i32, node: ReplicaKey) -> Check {
        let other = self.leaders.insert(epoch, node);
        check(other.is_none(), "one leader per epoch", || {
            format!("{node:?} and {other:?} in epoch {epoch}")
        })
    }

    /// A new leader holds everything that was committed in earlier epochs.
    pub(crate) fn leader_completeness(&self, node: ReplicaKey, disk: &Disk, epoch: i32) -> Check {
        let committed = self
            .committed_in
            .range(..epoch)
            .map(|(_, offset)| offset)
            .max();
        let Some((offset, chain)) =
            committed.and_then(|offset| self.committed.get_key_value(offset))
        else {
            return Ok(());
        };
        let has = disk.chain_at(*offset);
        let is_below = disk.start_offset > *offset;
        check(
            has == Some(*chain) || is_below,
            "leader completeness",
            || {
                let end = disk.end_offset();
                format!("{node:?} ends at {end} and lacks what is committed below {offset}")
            },
        )
    }

    /// Two logs with the same batch hold the same before it.
    pub(crate) fn log_matching(&mut self, node: ReplicaKey, batch: &Batch) -> Check {
        let key = (batch.info.next_offset, batch.info.epoch);
        let known = *self.batches.entry(key).or_insert(batch.chain);
        check(known == batch.chain, "log matching", || {
            format!("{node:?} has another log up to {key:?}")
        })
    }

    /// A node gives one vote per epoch, whatever happens to it.
    pub(crate) fn one_vote_per_epoch(
        &mut self,
        node: ReplicaKey,
        epoch: i32,
        candidate: ReplicaKey,
    ) -> Check {
        let first = *self.votes.entry((node, epoch)).or_insert(candidate);
        check(first == candidate, "one vote per epoch", || {
            format!("{node:?} votes for {first:?} and {candidate:?} in {epoch}")
        })
    }

    /// What is committed is the same for everybody, for ever.
    pub(crate) fn no_committed_record_lost(
        &mut self,
        node: ReplicaKey,
        disk: &Disk,
        from: i64,
        to: i64,
        epoch: i32,
    ) -> Check {
        check(disk.end_offset() >= to, "no committed record lost", || {
            format!("{node:?} ends at {} and commits {to}", disk.end_offset())
        })?;
        let (known, chain) = (self.committed.get(&to), disk.chain_at(to));
        let is_same = known.is_none_or(|known| chain == Some(*known));
        check(is_same, "no committed record lost", || {
            format!("{node:?} has something else below {to}")
        })?;
        if known.is_none() {
            let committed = self.committed_in.entry(epoch).or_insert(to);
            *committed = to.max(*committed);
        }
        for batch in &disk.batches {
            let offset = batch.info.next_offset;
            if offset > from && offset <= to {
                let known = *self.committed.entry(offset).or_insert(batch.chain);
                check(known == batch.chain, "no committed record lost", || {
                    format!("{node:?} commits something else below {offset}")
                })?;
            }
        }
        Ok(())
    }

    /// What a leader commits is flushed by a majority of its voters.
    pub(crate) fn high_watermark_durable<'a>(
        &self,
        leader: &Disk,
        offset: i64,
        voters: &VoterSet,
        disks: impl Iterator<Item = (ReplicaKey, &'a Disk)>,
    ) -> Check {
        let chain = leader.chain_at(offset);
        let has = |key: ReplicaKey, disk: &Disk| {
            voters.contains(key)
                && (disk.start_offset > offset
                    || (disk.flushed_offset() >= offset && disk.chain_at(offset) == chain))
        };
        let holders = disks.filter(|(key, disk)| has(*key, disk)).count();
        check(
            chain.is_some() && holders >= voters.majority(),
            "high watermark durable on a majority",
            || {
                format!(
                    "{offset} is flushed by {holders} of the voters {:?}",
                    voters.ids()
                )
            },
        )
    }

    /// A node never takes back what it knows to be committed.
    pub(crate) fn high_watermark_monotone(node: ReplicaKey, old: i64, new: i64) -> Check {
        check(new > old, "high watermark monotone", || {
            format!("{node:?} from {old} to {new}")
        })
    }

    /// Two voter sets that follow each other have a voter in common in any two majorities.
    pub(crate) fn voters_change_one_by_one(old: &VoterSet, new: &VoterSet) -> Check {
        let lacks =
            |a: &VoterSet, b: &VoterSet| a.iter().filter(|voter| !b.contains(voter.key)).count();
        check(
            lacks(old, new) <= 1 && lacks(new, old) <= 1,
            "voters change one by one",
            || format!("from {:?} to {:?}", old.ids(), new.ids()),
        )
    }

    pub(crate) fn holds(holds: bool, name: &str, detail: impl FnOnce() -> String) -> Check {
        check(holds, name, detail)
    }
}
