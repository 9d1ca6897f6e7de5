//! Executing a reassignment in batches, under throttles, over a long time.
//!
//! A [`Run`] is what is wanted and how far it is; it is a file at all times. [`Run::decide`] is
//! pure: it compares the run with a view of the cluster and says what to send next. It looks at
//! what is and not at what was sent, so that a run that was killed anywhere goes on where it is.
//! [`shell`] reads the view, saves the run, sends, and begins again a moment later.
//!
//! Invariants:
//! - What is to be set is written into the run before it is sent: nothing that is ours is unknown.
//! - Throttles that somebody else has set are neither changed nor removed, and lists of throttled
//!   replicas are added to and subtracted from.
//! - No partition begins before its throttle is in place, nor while another one has fewer replicas
//!   in sync than it needs.
//! - A run ends with its throttles gone, except on brokers that can't be asked: these are named.
//! - A throttle that can't be set ends a run before it moves anything: it neither waits for ever
//!   nor moves without one.
//!
//! Kafka: tools/reassign/ReassignPartitionsCommand.java (4.3) for what is throttled;
//! KIP-73 for what a throttle does, KIP-455 for reassignments and their cancellation.

mod decide;
pub mod janitor;
pub mod shell;
mod store;
mod throttle;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Fault, TopicPartition};

use super::reassign::Preview;

pub use decide::{Todo, View};
pub use store::{Held, Store};
pub use throttle::{BrokerThrottle, RATES, REPLICAS, ThrottlesSet, TopicThrottle};

/// Of the file's format.
const VERSION: u32 = 1;

/// Partitions at a time where nothing else is said.
pub const BATCH: usize = 10;

/// How often a move is begun before it is given up.
const STARTS_MAX: u32 = 5;

/// One partition's move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    pub topic: String,
    pub partition: i32,
    pub from: Vec<i32>,
    pub to: Vec<i32>,
    /// To be copied; `None` where the size was not known.
    pub bytes: Option<i64>,
    pub state: MoveState,
    /// What there is to say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default)]
    starts: u32,
    /// The cluster has listed it as running.
    #[serde(default)]
    seen: bool,
    /// How often the brokers have told the replicas of before its end since it is no longer listed.
    #[serde(default)]
    behind: u32,
}

impl Move {
    pub fn key(&self) -> TopicPartition {
        TopicPartition::new(&self.topic, self.partition)
    }

    /// Brokers that get a replica.
    pub fn adding(&self) -> impl Iterator<Item = i32> {
        let new = self.to.iter().copied();
        new.filter(|id| !self.from.contains(id))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveState {
    Waiting,
    Moving,
    Done,
    Cancelled,
    /// Given up: the note says why.
    Skipped,
}

impl MoveState {
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Moving)
    }
}

/// What a person wants to happen with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    Run,
    /// Nothing new begins; what is on its way arrives.
    Pause,
    /// Nothing new begins, and what is on its way goes back.
    Cancel,
}

/// How a run is to be executed; may be changed while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    pub wish: Wish,
    /// Bytes per second that each broker may send, and receive; `None`: unlimited.
    pub throttle: Option<i64>,
    /// Partitions on their way at a time.
    pub batch: usize,
}

/// A change of orders from outside; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOrders {
    pub wish: Option<Wish>,
    pub throttle: Option<i64>,
    /// Without a throttle from now on.
    #[serde(default)]
    pub unthrottled: bool,
    pub batch: Option<usize>,
}

impl Orders {
    pub fn take(&mut self, new: &NewOrders) {
        self.wish = match (self.wish, new.wish) {
            // What goes back does not turn round again.
            (Wish::Cancel, _) => Wish::Cancel,
            (now, wish) => wish.unwrap_or(now),
        };
        if new.unthrottled {
            self.throttle = None;
        }
        self.throttle = new.throttle.or(self.throttle);
        self.batch = new.batch.unwrap_or(self.batch).max(1);
    }
}

/// What slows a run down, or holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "brake", content = "why", rename_all = "snake_case")]
pub enum Brake {
    #[default]
    Free,
    /// Some partition has as few replicas in sync as it needs: half the batch, half the rate.
    Slow(String),
    /// Some partition has fewer than it needs: nothing begins.
    Stopped(String),
}

/// What was set by a run, so that it can be removed by whoever comes after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OurThrottles {
    /// By broker and setting.
    #[serde(default)]
    pub rates: BTreeMap<i32, BTreeMap<String, OurRate>>,
    /// By topic and setting: entries of the list.
    #[serde(default)]
    pub replicas: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl OurThrottles {
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty() && self.replicas.is_empty()
    }
}

/// A rate of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OurRate {
    pub rate: i64,
    /// The one it replaces, which may still be there.
    pub previous: Option<i64>,
}

/// A reassignment on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    version: u32,
    pub id: String,
    pub cluster_id: Option<String>,
    pub title: String,
    /// RFC 3339, in UTC.
    pub started_at: String,
    pub orders: Orders,
    #[serde(default)]
    pub brake: Brake,
    /// Brokers that are down and are to get a replica of what is on its way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<i32>,
    /// Partitions on their way that have no leader to be copied from.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leaderless: usize,
    pub ours: OurThrottles,
    /// What undoes it.
    #[serde(default)]
    pub undo_file: Option<std::path::PathBuf>,
    #[serde(default)]
    is_elected: bool,
    #[serde(default)]
    defiance: decide::Defiance,
    /// It has ended; what it could not remove is in `ours`.
    #[serde(default)]
    pub is_over: bool,
    /// The newest failure of reading or changing the cluster.
    #[serde(default)]
    pub trouble: Option<String>,
    pub moves: Vec<Move>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Partitions by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub waiting: usize,
    pub moving: usize,
    pub done: usize,
    pub cancelled: usize,
    pub skipped: usize,
}

impl Run {
    /// A run of what a preview proposes.
    ///
    /// # Errors
    /// Nothing would be moved.
    pub fn of(
        preview: &Preview,
        title: &str,
        cluster_id: Option<&str>,
        orders: Orders,
        wall_ms: i64,
    ) -> Result<Self, Fault> {
        if preview.rows.is_empty() {
            return Err(Fault::refused("reassign partitions", "nothing changes"));
        }
        let one = |row: &super::reassign::PreviewRow| Move {
            topic: row.partition.topic.to_string(),
            partition: row.partition.partition,
            from: row.current.clone(),
            to: row.proposed.clone(),
            bytes: row.bytes,
            state: MoveState::Waiting,
            note: None,
            starts: 0,
            seen: false,
            behind: 0,
        };
        let started_at = super::undo::timestamp(wall_ms);
        Ok(Self {
            version: VERSION,
            id: started_at.replace([':', '-'], ""),
            cluster_id: cluster_id.map(str::to_owned),
            title: title.to_owned(),
            started_at,
            orders,
            brake: Brake::Free,
            waits_for: Vec::new(),
            leaderless: 0,
            ours: OurThrottles::default(),
            undo_file: None,
            is_elected: false,
            defiance: decide::Defiance::default(),
            is_over: false,
            trouble: None,
            moves: preview.rows.iter().map(one).collect(),
        })
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for one in &self.moves {
            *match one.state {
                MoveState::Waiting => &mut counts.waiting,
                MoveState::Moving => &mut counts.moving,
                MoveState::Done => &mut counts.done,
                MoveState::Cancelled => &mut counts.cancelled,
                MoveState::Skipped => &mut counts.skipped,
            } += 1;
        }
        counts
    }

    /// What is to be copied before the end by moves that have not begun; 0 where none will begin,
    /// `None` where a size is not known.
    pub fn waiting_bytes(&self) -> Option<i64> {
        if self.is_over || self.orders.wish != Wish::Run {
            return Some(0);
        }
        let waiting = self.moves.iter();
        let waiting = waiting.filter(|one| one.state == MoveState::Waiting);
        waiting.map(|one| one.bytes).sum()
    }

    /// Where it stands, in a line.
    pub fn line(&self) -> String {
        let counts = self.counts();
        let mut parts = vec![format!("{} of {} moved", counts.done, self.moves.len())];
        for (n, word) in [
            (counts.moving, "on the way"),
            (counts.waiting, "waiting"),
            (counts.cancelled, "cancelled"),
            (counts.skipped, "given up"),
        ] {
            if n > 0 {
                parts.push(format!("{n} {word}"));
            }
        }
        match (&self.orders.wish, &self.brake) {
            _ if self.is_over => parts.push("over".to_owned()),
            (Wish::Pause, _) => parts.push("paused".to_owned()),
            (Wish::Cancel, _) => parts.push("going back".to_owned()),
            (Wish::Run, Brake::Slow(why)) => parts.push(format!("slowed down: {why}")),
            (Wish::Run, Brake::Stopped(why)) => parts.push(format!("held: {why}")),
            (Wish::Run, Brake::Free) => {}
        }
        parts.extend(self.obstacles());
        if let Some(rate) = self.orders.throttle.filter(|_| !self.is_over) {
            parts.push(format!("at most {}", crate::units::byte_rate(rate)));
        }
        if let Some(trouble) = &self.trouble {
            parts.push(trouble.clone());
        }
        let mut given_up = self
            .moves
            .iter()
            .filter(|one| one.state == MoveState::Skipped);
        if let Some(why) = given_up.find_map(|one| one.note.as_deref()) {
            parts.push(why.to_owned());
        }
        if self.is_over && !self.ours.is_empty() {
            parts.push("throttles are left: reassign janitor removes them".to_owned());
        }
        parts.join(", ")
    }
}

impl Run {
    /// Why what is on its way does not arrive, or does not go back.
    fn obstacles(&self) -> Vec<String> {
        let mut told = Vec::new();
        if self.is_over {
            return told;
        }
        let ids: Vec<String> = self.waits_for.iter().map(i32::to_string).collect();
        match ids.len() {
            0 => {}
            1 => told.push(format!("waits for broker {}, which is down", ids[0])),
            _ => told.push(format!(
                "waits for brokers {}, which are down",
                ids.join(",")
            )),
        }
        match self.leaderless {
            0 => {}
            1 => told.push("1 partition has no leader to be copied from".to_owned()),
            n => told.push(format!("{n} partitions have no leader to be copied from")),
        }
        if self.orders.wish == Wish::Cancel {
            let mut moving = self.moves.iter();
            let stays = moving.find(|one| one.state == MoveState::Moving && one.note.is_some());
            told.extend(stays.map(|one| {
                let why = one.note.as_deref().unwrap_or_default();
                format!("{} goes on: {why}", one.key())
            }));
        }
        told
    }
}

/// A rate as it is typed: bytes, or with K, M, G for thousands and KiB, MiB, GiB for 1024s.
///
/// # Errors
/// It is none, in words.
pub fn parse_rate(text: &str) -> Result<i64, String> {
    let text = text.trim().trim_end_matches("/s");
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: i64 = match unit.trim() {
        "" | "B" => 1,
        "K" | "k" | "KB" | "kB" => 1_000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("it must be a number of bytes, as 20000000, 20M or 20MiB".to_owned()),
    };
    let number: i64 = number
        .parse()
        .map_err(|_| "it must begin with a number".to_owned())?;
    match number.checked_mul(unit) {
        Some(rate @ 1..) => Ok(rate),
        _ => Err("it must be at least 1 and not that large".to_owned()),
    }
}

#[cfg(test)]
mod tests;
