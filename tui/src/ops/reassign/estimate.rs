//! How long a reassignment takes, as a range, and whether it would ever end.
//!
//! Every broker receives what is put on it and the leaders send it. The broker with the most to
//! receive or to send at its rate is the bottleneck: it can't be faster than that. Slower it is
//! where only a few partitions are copied at a time, and where new records take a part of the
//! rate: a replica that is being copied has to keep up with what is written meanwhile.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::model::{ClusterSnapshot, TopicPartition};
use crate::{derive, units};

use super::{Preview, PreviewRow};

/// Bytes per second of a broker where nothing is throttled and nothing was measured: a busy disk
/// and a network shared with others, and a fast disk and a network for itself.
const UNTHROTTLED: (f64, f64) = (25e6, 250e6);

/// Of the throttle, what a broker reaches in the worst case: its quota is kept in windows.
const REACHED: f64 = 0.8;

/// A batch begins and ends: replicas have to be made, to join the in-sync set, and to be noticed.
const PER_BATCH_MS: f64 = 1_500.0;

/// How a reassignment is to be executed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pace {
    /// Bytes per second that a broker may send, and receive, for it; `None`: as fast as it can.
    pub throttle: Option<i64>,
    /// Partitions that are moved at a time; `None`: all.
    pub batch: Option<usize>,
    /// Bytes per second that are written to partitions, where it is known.
    pub inflow: BTreeMap<TopicPartition, f64>,
}

/// How long it takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The broker that takes longest.
    pub bottleneck: i32,
    /// Whether it is for what it receives, or for what it sends.
    pub receives: bool,
    pub bytes: i64,
    pub least_ms: i64,
    /// `None`: it would never end.
    pub most_ms: Option<i64>,
    /// Nothing limits the rate, so that the range assumes one.
    pub is_assumed: bool,
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.receives { "receives" } else { "sends" };
        let most = match self.most_ms {
            Some(ms) => format!("to {}", time_text(ms)),
            None => "or for ever".to_owned(),
        };
        let (least, bytes) = (time_text(self.least_ms), units::bytes(self.bytes));
        write!(
            f,
            "{least} {most}: broker {} {verb} {bytes}",
            self.bottleneck
        )?;
        if self.is_assumed {
            f.write_str("; nothing limits it, 25 to 250 MB/s are assumed")?;
        }
        Ok(())
    }
}

/// A length of time in two units at most.
pub fn time_text(ms: i64) -> String {
    let s = (ms + 500) / 1_000;
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
    }
}

/// Bytes in and out of each broker.
#[derive(Default)]
struct Flows(BTreeMap<(i32, bool), f64>);

impl Flows {
    fn add(&mut self, row: &PreviewRow, amount: f64) {
        for broker in &row.adding {
            *self.0.entry((*broker, true)).or_default() += amount;
        }
        if !row.adding.is_empty() {
            let sent = amount * row.adding.len() as f64;
            *self.0.entry((row.leader, false)).or_default() += sent;
        }
    }

    /// Who has most.
    fn most(&self) -> Option<((i32, bool), f64)> {
        let mut flows = self.0.iter().map(|(key, amount)| (*key, *amount));
        let first = flows.next()?;
        Some(flows.fold(
            first,
            |most, next| if next.1 > most.1 { next } else { most },
        ))
    }
}

fn size_of_one(row: &PreviewRow) -> Option<f64> {
    let bytes = row.bytes? as f64;
    Some(bytes / row.adding.len().max(1) as f64)
}

/// The range; `None` where sizes are missing or nothing is copied.
pub fn estimate(preview: &Preview, pace: &Pace) -> Option<Estimate> {
    let copied: Vec<&PreviewRow> = preview
        .rows
        .iter()
        .filter(|r| !r.adding.is_empty())
        .collect();
    let mut all = Flows::default();
    for row in &copied {
        all.add(row, size_of_one(row)?);
    }
    let ((bottleneck, receives), bytes) = all.most()?;
    let (slow, fast) = match pace.throttle {
        Some(rate) => (rate.max(1) as f64 * REACHED, rate.max(1) as f64),
        None => UNTHROTTLED,
    };
    let batch = pace.batch.unwrap_or(usize::MAX).max(1);
    let mut most_ms = Some(0.0);
    for rows in copied.chunks(batch.min(copied.len())) {
        let (mut flows, mut need) = (Flows::default(), Flows::default());
        for row in rows {
            flows.add(row, size_of_one(row)?);
            need.add(row, pace.inflow.get(&row.partition).copied().unwrap_or(0.0));
        }
        let mut slowest = flows.0.iter().map(|(key, bytes)| {
            let left = slow - need.0.get(key).copied().unwrap_or(0.0);
            (left > 0.0).then(|| bytes * 1_000.0 / left)
        });
        let slowest = slowest.try_fold(0.0, |most: f64, next| Some(most.max(next?)));
        most_ms = most_ms
            .zip(slowest)
            .map(|(sum, next)| sum + next + PER_BATCH_MS);
    }
    Some(Estimate {
        bottleneck,
        receives,
        bytes: bytes as i64,
        least_ms: (bytes * 1_000.0 / fast) as i64,
        most_ms: most_ms.map(|ms| ms as i64),
        is_assumed: pace.throttle.is_none(),
    })
}

/// A warning for each broker whose share of the writes is not below the throttle: it would never
/// catch up.
pub fn never_ends(preview: &Preview, pace: &Pace) -> Vec<String> {
    let Some(throttle) = pace.throttle else {
        return Vec::new();
    };
    let mut need = Flows::default();
    for row in &preview.rows {
        need.add(row, pace.inflow.get(&row.partition).copied().unwrap_or(0.0));
    }
    let too_much = need
        .0
        .iter()
        .filter(|(_, rate)| throttle as f64 <= **rate * 1.1);
    too_much
        .map(|((broker, receives), rate)| {
            let verb = if *receives { "receive" } else { "send" };
            format!(
                "broker {broker} has to {verb} {}/s of new records alone, and the throttle is \
                 {}: it would never end; take {:.0} or more",
                units::bytes(*rate as i64),
                units::byte_rate(throttle),
                rate * 2.0
            )
        })
        .collect()
}

/// Bytes per second that are written to each partition, from two reads of the offsets and the
/// average size of a record; partitions of which less is known are left out.
pub fn inflow(snapshot: &ClusterSnapshot) -> BTreeMap<TopicPartition, f64> {
    let (Some(metadata), Some(offsets), Some(dirs)) = (
        snapshot.metadata.get(),
        snapshot.offsets.get(),
        snapshot.log_dirs.get(),
    ) else {
        return BTreeMap::new();
    };
    let mut inflow = BTreeMap::new();
    for topic in &metadata.topics {
        let now = offsets.get(&topic.name);
        let before = snapshot.offsets_before.get(&topic.name);
        let (Some(now), Some(before)) = (now, before) else {
            continue;
        };
        let elapsed_ms = now.taken.monotonic_ms - before.taken.monotonic_ms;
        for partition in &topic.partitions {
            let rate = before
                .partition(partition.id)
                .zip(now.partition(partition.id));
            let rate = rate.and_then(|(old, new)| derive::partition_rate(old, new, elapsed_ms));
            let size = derive::leader_size(dirs, &topic.name, partition);
            let records = now
                .partition(partition.id)
                .and_then(|offsets| offsets.end.known()?.checked_sub(offsets.start.known()?));
            if let (Some(rate), Some(size), Some(records @ 1..)) = (rate, size, records) {
                let key = TopicPartition {
                    topic: topic.name.clone(),
                    partition: partition.id,
                };
                inflow.insert(key, rate * size as f64 / records as f64);
            }
        }
    }
    inflow
}
