//! What producers know to be acknowledged, and whether a log holds it: once each, in order.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use kafka_shared::record::batch::batches;
use kafka_shared::record::iter::records;
use parking_lot::Mutex;

use crate::shell::Stopwatch;

/// The stock producer that is known to send records again under other sequence numbers: when a batch
/// is refused as out of order because the one before it got NOT_LEADER_OR_FOLLOWER, librdkafka raises
/// its producer epoch, and takes what was refused so for not stored, which is wrong when the leader
/// had stored it and lost its office before all replicas had it. No broker can see that these are
/// the same records. Under the same producer epoch nothing may be there twice, from any client.
pub const RENUMBERS: &str = "rdkafka";

/// A record by who sent it, and its number there, which only grows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sent {
    pub producer: String,
    pub number: u64,
}

impl Sent {
    /// Reads `producer-number` or `producer-number-padding`; a bare number is the verifiable
    /// producer's.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.splitn(3, '-');
        let (first, second) = (words.next()?, words.next());
        let (producer, number) = match second {
            Some(number) => (first, number),
            None => ("java", first),
        };
        Some(Self {
            producer: producer.to_owned(),
            number: number.parse().ok()?,
        })
    }
}

#[derive(Debug, Default)]
struct Known {
    by_place: HashMap<(i32, i64), Sent>,
    /// Of which it is only known in what partition: librdkafka takes a batch whose answer was lost
    /// for acknowledged when a later one is, and doesn't know its offset then.
    somewhere: Vec<(i32, Sent)>,
    /// Of each producer: when its last acknowledgement came, and the longest time without one.
    gaps: HashMap<String, (Option<Stopwatch>, Duration)>,
    problems: Vec<String>,
    n_errors: HashMap<String, usize>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Ledger {
    known: Mutex<Known>,
    /// Tells producers to end.
    pub stop: AtomicBool,
}

/// What a partition's log holds.
#[derive(Debug, Default)]
pub struct Contents {
    pub n_records: usize,
    /// The leader epochs that have records, with the offset of the first one.
    pub epochs: Vec<(i32, i64)>,
    /// Records that a client has sent again under other sequence numbers, see [`RENUMBERS`].
    pub n_renumbered: usize,
    /// Behind the last record.
    pub end_offset: i64,
}

impl Ledger {
    /// Notes an acknowledgement, whose offset may not be known.
    pub fn acknowledge(&self, partition: i32, offset: Option<i64>, sent: Sent) {
        let mut known = self.known.lock();
        let (last, longest) = known.gaps.entry(sent.producer.clone()).or_default();
        *longest = (*longest).max(last.map_or(Duration::ZERO, Stopwatch::elapsed));
        *last = Some(Stopwatch::start());
        let Some(offset) = offset else {
            known.somewhere.push((partition, sent));
            return;
        };
        let other = known.by_place.insert((partition, offset), sent.clone());
        if let Some(other) = other.filter(|other| *other != sent) {
            let problem =
                format!("{partition}@{offset} was acknowledged for {other:?} and for {sent:?}");
            known.problems.push(problem);
        }
    }

    /// Notes what must never happen.
    pub fn problem(&self, what: String) {
        self.known.lock().problems.push(what);
    }

    /// Notes an error after which the same was tried again.
    pub fn error(&self, name: &str) {
        let mut known = self.known.lock();
        *known.n_errors.entry(name.to_owned()).or_default() += 1;
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether a producer has something acknowledged on so many partitions.
    pub fn has_begun(&self, producer: &str, n_partitions: usize) -> bool {
        let known = self.known.lock();
        let of_it = known
            .by_place
            .iter()
            .filter(|(_, sent)| sent.producer == producer);
        let partitions: HashSet<i32> = of_it.map(|((partition, _), _)| *partition).collect();
        partitions.len() >= n_partitions
    }

    pub fn n_acknowledged(&self) -> usize {
        let known = self.known.lock();
        known.by_place.len() + known.somewhere.len()
    }

    /// The longest time between two acknowledgements of each producer, sorted by name.
    pub fn gaps_ms(&self) -> Vec<(String, u128)> {
        let known = self.known.lock();
        let mut gaps: Vec<_> = known
            .gaps
            .iter()
            .map(|(name, (_, longest))| (name.clone(), longest.as_millis()))
            .collect();
        gaps.sort();
        gaps
    }

    /// The errors after which producers tried again, sorted by name.
    pub fn errors(&self) -> Vec<(String, usize)> {
        let mut errors: Vec<_> = self.known.lock().n_errors.clone().into_iter().collect();
        errors.sort();
        errors
    }

    /// # Errors
    /// What should never have happened, if something has.
    pub fn no_problems(&self) -> anyhow::Result<()> {
        let known = self.known.lock();
        let shown: Vec<&String> = known.problems.iter().take(10).collect();
        ensure!(
            shown.is_empty(),
            "{} problems: {shown:#?}",
            known.problems.len()
        );
        Ok(())
    }

    /// Checks that a log's bytes are whole batches and nothing else, hold every acknowledged record
    /// at its offset, and no producer's record twice or before an earlier one.
    ///
    /// # Errors
    /// What is missing, damaged, double or out of order.
    pub fn check(&self, partition: i32, log: &[u8]) -> anyhow::Result<Contents> {
        let mut contents = Contents::default();
        let mut stored: HashMap<i64, Sent> = HashMap::new();
        let mut newest: HashMap<String, (u64, i16, String)> = HashMap::new();
        let mut disordered = Vec::new();
        for batch in batches(log) {
            let batch = batch?;
            batch.check_crc()?;
            ensure!(
                batch.base_offset() == contents.end_offset,
                "a batch begins at {}, not at {}",
                batch.base_offset(),
                contents.end_offset
            );
            contents.end_offset = batch.next_offset();
            let epoch = batch.header().partition_leader_epoch;
            let last_epoch = contents.epochs.last().map_or(-1, |(epoch, _)| *epoch);
            ensure!(epoch >= last_epoch, "epoch {epoch} after {last_epoch}");
            if epoch > last_epoch {
                contents.epochs.push((epoch, batch.base_offset()));
            }
            for record in records(&batch, 1 << 24)?.iter() {
                let record = record?;
                let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
                let sent = Sent::parse(&value).with_context(|| format!("a record {value:?}"))?;
                let header = batch.header();
                let place = format!(
                    "{} (leader epoch {epoch}, producer {} epoch {} sequence {} from {})",
                    record.offset,
                    header.producer_id,
                    header.producer_epoch,
                    header.base_sequence,
                    header.base_offset
                );
                let producer_epoch = header.producer_epoch;
                let newer = (sent.number, producer_epoch, place.clone());
                let before = newest.insert(sent.producer.clone(), newer);
                match before.filter(|(before, ..)| *before >= sent.number) {
                    Some((_, epoch, _)) if sent.producer == RENUMBERS && epoch < producer_epoch => {
                        contents.n_renumbered += 1;
                    }
                    Some((before, _, at)) => {
                        disordered.push(format!("{sent:?} at {place} after {before} at {at}"));
                    }
                    None => {}
                }
                stored.insert(record.offset, sent);
            }
        }
        contents.n_records = stored.len();
        let known = self.known.lock();
        let acknowledged = known.by_place.iter().filter(|((p, _), _)| *p == partition);
        let mut lost: Vec<_> = acknowledged
            .filter(|((_, offset), sent)| stored.get(offset) != Some(sent))
            .map(|((_, offset), sent)| (*offset, sent, stored.get(offset)))
            .collect();
        let values: HashSet<&Sent> = stored.values().collect();
        let somewhere = known.somewhere.iter().filter(|(p, _)| *p == partition);
        let nowhere = somewhere.filter(|(_, sent)| !values.contains(sent));
        lost.extend(nowhere.map(|(_, sent)| (-1, sent, None)));
        lost.sort_by_key(|(offset, ..)| *offset);
        ensure!(
            lost.is_empty() && disordered.is_empty(),
            "partition {partition}: {} acknowledged records are not where they were acknowledged \
             (offset, sent, found): {:#?}\n{} are double or out of order: {:#?}",
            lost.len(),
            &lost[..lost.len().min(10)],
            disordered.len(),
            &disordered[..disordered.len().min(10)]
        );
        Ok(contents)
    }
}
