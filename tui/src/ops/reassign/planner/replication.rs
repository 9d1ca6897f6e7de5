//! Another number of replicas: as few are added or dropped as it takes.

use std::collections::BTreeSet;

use super::{Planner, WHAT};
use crate::model::Fault;

impl Planner<'_> {
    /// Gives every partition that many replicas. A rack is given up only where there are more racks
    /// than replicas, or where that is allowed.
    pub(super) fn set_replication(&mut self, factor: usize) -> Result<(), Fault> {
        if factor == 0 {
            return Err(Fault::refused(
                WHAT,
                "a partition needs at least one replica",
            ));
        }
        for at in 0..self.slots.len() {
            self.go_on()?;
            let racks_wanted = self.n_racks(&self.slots[at].before).min(factor);
            while self.slots[at].now.len() > factor {
                self.drop_one(at);
            }
            while self.slots[at].now.len() < factor {
                let staying = self.slots[at].now.clone();
                let position = staying.len();
                let to = self
                    .choose(at, position, &staying, usize::MAX)
                    .map_err(|_| {
                        let slot = &self.slots[at];
                        let why = format!(
                            "{}-{} can't have {factor} replicas on {} brokers",
                            slot.topic,
                            slot.partition.id,
                            self.receivers.iter().collect::<BTreeSet<_>>().len()
                        );
                        Fault::refused(WHAT, why).with_hint("allow more brokers")
                    })?;
                self.add(at, to);
            }
            let hint = "the replica of one rack is out of sync: wait for it, or allow fewer racks";
            self.keep_racks(at, racks_wanted, hint)?;
        }
        Ok(())
    }

    /// Drops the replica that is missed least: one that is out of sync, then one whose rack has
    /// another, then one of a full broker; the preferred leader last.
    fn drop_one(&mut self, at: usize) {
        let slot = &self.slots[at];
        let rank = |position: usize| {
            let id = slot.now[position];
            let mut without = slot.now.clone();
            without.remove(position);
            let in_sync = slot.partition.isr.contains(&id);
            let keeps_racks = self.n_racks(&without) == self.n_racks(&slot.now);
            let load = self.loads.get(&id).copied().unwrap_or_default();
            (
                in_sync,
                !keeps_racks,
                position == 0,
                std::cmp::Reverse((load.replicas, load.bytes)),
                std::cmp::Reverse(position),
            )
        };
        let Some(position) = (0..slot.now.len()).min_by_key(|position| rank(*position)) else {
            return;
        };
        let (topic, bytes) = (slot.topic_at, slot.bytes);
        let id = slot.now[position];
        if let Some(count) = self.by_topic.get_mut(&(topic, id)) {
            *count = count.saturating_sub(1);
        }
        let load = self.loads.entry(id).or_default();
        load.replicas = load.replicas.saturating_sub(1);
        load.bytes -= bytes;
        self.slots[at].now.remove(position);
        if position == 0 {
            let load = self.loads.entry(id).or_default();
            load.leaders = load.leaders.saturating_sub(1);
            if let Some(first) = self.slots[at].now.first() {
                self.loads.entry(*first).or_default().leaders += 1;
            }
        }
    }

    fn add(&mut self, at: usize, to: i32) {
        let slot = &mut self.slots[at];
        slot.now.push(to);
        *self.by_topic.entry((slot.topic_at, to)).or_default() += 1;
        let load = self.loads.entry(to).or_default();
        load.replicas += 1;
        load.bytes += slot.bytes;
    }
}
