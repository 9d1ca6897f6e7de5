//! What happens to a world, and what it has to do once nothing happens any more.

use super::super::machine::Input;
use super::super::rpc::{AddRaftVoterRequest, RemoveRaftVoterRequest, Request};
use super::invariants::{Check, Invariants};
use super::node::Payload;
use super::world::{Counts, Origin, Shape, World};
use crate::simulation::{Rng, Weather};

#[derive(Debug)]
pub(crate) struct Nemesis {
    world: World,
    shape: Shape,
    rng: Rng,
    next_value: u64,
    seed: u64,
}

impl Nemesis {
    pub(crate) fn new(seed: u64, is_traced: bool) -> Self {
        let mut rng = Rng::new(seed ^ 0x00c0_ffee);
        let voters = *rng.pick(&[1, 2, 3, 3, 3, 4, 5, 5]).unwrap_or(&3);
        let is_static = rng.percent(25);
        let shape = Shape {
            voters,
            candidates: rng.below(3),
            observers: rng.below(3),
            is_static,
            auto_join: rng.percent(30),
            has_old: rng.percent(15),
            has_bootstrap: rng.percent(85),
        };
        let weather = Weather {
            latency_min_ms: rng.between(0, 5),
            latency_max_ms: rng.between(5, 80),
            loss_percent: rng.next() % 12,
            duplicate_percent: rng.next() % 8,
        };
        let mut world = World::new(seed, &shape, weather, is_traced);
        world.crash_rate = if rng.percent(60) { rng.next() % 12 } else { 0 };
        Self {
            world,
            shape,
            rng,
            next_value: 0,
            seed,
        }
    }

    fn node(&mut self) -> usize {
        self.rng.below(self.world.nodes.len())
    }

    /// Things go wrong for so long.
    pub(crate) fn storm(&mut self, duration_ms: i64) -> Check {
        for idx in 0..self.world.nodes.len() {
            self.world.start_node(idx)?;
        }
        let end_ms = self.world.now_ms + duration_ms;
        // Some quorums may come to life first.
        let quiet_ms = self.rng.between(0, 4_000);
        self.world.run_until(self.world.now_ms + quiet_ms)?;
        let pause_ms = self.rng.between(20, 400);
        while self.world.now_ms < end_ms {
            let wait_ms = self.rng.between(1, pause_ms);
            self.world.run_until(self.world.now_ms + wait_ms)?;
            self.happen()?;
        }
        Ok(())
    }

    fn happen(&mut self) -> Check {
        match self.rng.below(100) {
            0..50 => self.append(),
            50..56 => {
                let idx = self.node();
                self.world.crash_node(idx);
                Ok(())
            }
            56..66 => self.restart(),
            66..70 => {
                self.partition();
                Ok(())
            }
            70..75 => {
                self.world.network.blocked.clear();
                Ok(())
            }
            75..78 => {
                let idx = self.node();
                let until_ms = self.world.now_ms + self.rng.between(10, 5_000);
                self.world.nodes[idx].paused_until_ms = until_ms;
                Ok(())
            }
            78..80 => {
                let idx = self.node();
                let timeout_ms = self.rng.between(0, 4_000);
                self.give(idx, Input::Shutdown { timeout_ms })
            }
            80..90 => self.snapshot(),
            90..97 => self.change_voters(),
            97..98 => self.upgrade(),
            _ => self.resign(),
        }
    }

    fn give(&mut self, idx: usize, input: Input) -> Check {
        self.world.step(idx, input, &Payload::default())
    }

    /// A client writes to whoever takes it.
    fn append(&mut self) -> Check {
        let leaders = self.world.leaders();
        let Some(idx) = self.rng.pick(&leaders).copied() else {
            return Ok(());
        };
        if self.world.nodes[idx].paused_until_ms > self.world.now_ms {
            return Ok(());
        }
        for _ in 0..self.rng.between(1, 3) {
            self.next_value += 1;
            self.world.nodes[idx].enqueue(self.next_value);
        }
        self.give(idx, Input::Tick)
    }

    fn restart(&mut self) -> Check {
        let idx = self.node();
        if self.world.nodes[idx].raft.is_none() {
            self.world.start_node(idx)?;
        }
        Ok(())
    }

    fn partition(&mut self) {
        let nodes = self.world.nodes.len();
        let is_one_way = self.rng.percent(25);
        let side: Vec<bool> = (0..nodes).map(|_| self.rng.percent(50)).collect();
        for from in 0..nodes {
            for to in 0..nodes {
                if side[from] != side[to] && (!is_one_way || side[from]) {
                    self.world.network.blocked.insert((from, to));
                }
            }
        }
    }

    /// A node makes a snapshot of what is committed, and may let go of what is before one.
    fn snapshot(&mut self) -> Check {
        let idx = self.node();
        let size = self.rng.between(1, 1_000);
        let node = &mut self.world.nodes[idx];
        let Some(raft) = &node.raft else {
            return Ok(());
        };
        let high_watermark = raft.high_watermark();
        let ends = node.disk.batches.iter().map(|batch| batch.info.next_offset);
        let ends: Vec<_> = ends.filter(|end| *end <= high_watermark).collect();
        let Some(end_offset) = self.rng.pick(&ends).copied() else {
            return Ok(());
        };
        let latest = node.disk.snapshots.keys().next_back();
        if latest.is_some_and(|latest| latest.end_offset >= end_offset) {
            return Ok(());
        }
        let records = raft.quorum_records(end_offset);
        let Some(id) = node.disk.snapshot(end_offset, size) else {
            return Ok(());
        };
        let expected = &node.disk.snapshots[&id].records;
        Invariants::holds(records == *expected, "voters at an offset", || {
            format!("node {idx} knows {records:?} at {end_offset} instead of {expected:?}")
        })?;
        self.give(idx, Input::SnapshotCreated(id))?;
        if self.rng.percent(60) {
            self.clean(idx)?;
        }
        Ok(())
    }

    fn clean(&mut self, idx: usize) -> Check {
        let disk = &mut self.world.nodes[idx].disk;
        let ids: Vec<_> = disk.snapshots.keys().copied().collect();
        let Some(id) = self.rng.pick(&ids).copied() else {
            return Ok(());
        };
        if id.end_offset <= disk.start_offset {
            return Ok(());
        }
        // A start within the part that may be lost would be no start.
        disk.flush();
        disk.clean(id);
        let start_offset = id.end_offset;
        self.give(idx, Input::LogStartAdvanced { start_offset })
    }

    /// An administrator adds or removes a voter.
    fn change_voters(&mut self) -> Check {
        let leaders = self.world.leaders();
        let Some(leader) = self.rng.pick(&leaders).copied() else {
            return Ok(());
        };
        let idx = self.rng.below(self.shape.voters + self.shape.candidates);
        let node = &self.world.nodes[idx];
        let voter = node.key();
        let is_voter = self.world.nodes[leader]
            .raft
            .as_ref()
            .is_some_and(|raft| raft.voters().contains(voter));
        let request = if is_voter {
            Request::RemoveRaftVoter(RemoveRaftVoterRequest { voter })
        } else {
            Request::AddRaftVoter(AddRaftVoterRequest {
                voter,
                endpoints: node.config.endpoints.clone(),
                ack_when_committed: self.rng.percent(50),
            })
        };
        self.world.give_request(leader, Origin::default(), request)
    }

    fn upgrade(&mut self) -> Check {
        for leader in self.world.leaders() {
            let Some(epoch) = self.world.nodes[leader].leading else {
                continue;
            };
            let upgrade = Input::UpgradeKRaftVersion {
                token: 0,
                epoch,
                version: 1,
                validate_only: self.rng.percent(20),
            };
            self.give(leader, upgrade)?;
        }
        Ok(())
    }

    fn resign(&mut self) -> Check {
        let leaders = self.world.leaders();
        let Some(leader) = self.rng.pick(&leaders).copied() else {
            return Ok(());
        };
        let epoch = self.world.nodes[leader].leading.unwrap_or(0);
        self.give(leader, Input::Resign { epoch })
    }

    pub(crate) fn counts(&self) -> Counts {
        let committed = self.world.invariants.committed_offset();
        Counts {
            committed: u64::try_from(committed).unwrap_or(0),
            ..self.world.counts
        }
    }

    /// All is well from now on, so all has to become well.
    pub(crate) fn calm(&mut self, limit_ms: i64) -> Check {
        let world = &mut self.world;
        world.crash_rate = 0;
        world.network.weather = Weather::CALM;
        world.network.blocked.clear();
        for idx in 0..world.nodes.len() {
            world.nodes[idx].paused_until_ms = 0;
            if world.nodes[idx].raft.is_none() {
                world.start_node(idx)?;
            }
        }
        let end_ms = world.now_ms + limit_ms;
        let mut target = None;
        while self.world.now_ms < end_ms {
            self.world.run_until(self.world.now_ms + 250)?;
            self.restart_stopped()?;
            match target {
                Some((_, offset)) if self.is_settled(offset) => return Ok(()),
                // The leader may have gone with it, if it was about to.
                Some((epoch, _)) if self.is_led_in(epoch) => {}
                _ => target = self.append_last()?,
            }
        }
        Err(format!("liveness after healing: {self}"))
    }

    /// A shutdown from before may have ended only now.
    fn restart_stopped(&mut self) -> Check {
        for idx in 0..self.world.nodes.len() {
            if self.world.nodes[idx].raft.is_none() {
                self.world.start_node(idx)?;
            }
        }
        Ok(())
    }

    fn is_led_in(&self, epoch: i32) -> bool {
        self.world
            .nodes
            .iter()
            .any(|node| node.leading == Some(epoch))
    }

    /// Writes one more value. Returns the leader's epoch and the offset below which the value is.
    fn append_last(&mut self) -> Result<Option<(i32, i64)>, String> {
        let [leader] = self.world.leaders()[..] else {
            return Ok(None);
        };
        let followers = self.world.nodes.iter().filter(|node| {
            let raft = node.raft.as_ref();
            raft.is_some_and(|raft| raft.leader().id == Some(self.world.nodes[leader].key().id))
        });
        if followers.count() < self.world.nodes.len() {
            return Ok(None);
        }
        let Some(epoch) = self.world.nodes[leader].leading else {
            return Ok(None);
        };
        self.world.nodes[leader].enqueue(u64::MAX);
        self.give(leader, Input::Tick)?;
        Ok(Some((epoch, self.world.nodes[leader].disk.end_offset())))
    }

    /// Whether every node knows that everything below the offset is committed.
    fn is_settled(&self, offset: i64) -> bool {
        self.world.nodes.iter().all(|node| {
            let raft = node.raft.as_ref();
            raft.is_some_and(|raft| raft.high_watermark() >= offset)
        })
    }
}

impl std::fmt::Display for Nemesis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let world = &self.world;
        writeln!(
            f,
            "seed {} {:?}: {:?}",
            self.seed,
            self.shape,
            self.counts(),
        )?;
        for (idx, node) in world.nodes.iter().enumerate() {
            let Some(raft) = &node.raft else {
                writeln!(f, "  node {idx} is down")?;
                continue;
            };
            writeln!(
                f,
                "  node {idx} is {} of {:?}, voters {:?}, end {:?}, high watermark {}",
                raft.role_name(),
                raft.leader(),
                raft.voters().ids(),
                raft.log_end(),
                raft.high_watermark(),
            )?;
        }
        Ok(())
    }
}
