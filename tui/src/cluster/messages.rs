//! Reads records: a bounded read from the start, the end, an offset or a time, and a live tail.
//!
//! Records of several partitions come merged by timestamp. Within a partition their order is that
//! of the log, whatever their timestamps. Records of aborted transactions and control records are
//! read as what they are; whether they are handed out is the reader's choice.
//!
//! Invariants:
//! - A read ends: by its limits of messages, bytes and time, or at the end offsets of its start.
//! - What was read is reported with the result, and so is what could not be read.
//! - Nothing is held beyond the limits: a tail's queue is bounded, and a slow reader slows it down.

mod at;
mod back;
mod fetch;
mod merge;
mod pages;
mod scan;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_shared::task;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::decode::{Decoder, MessageFilter, SchemaBook};
use crate::model::{Cell, Fault, FaultKind, Message, ReadReport, ReadStop, Topic};

use super::wire::ClusterClient;
use back::Back;
use fetch::Reader;
pub use pages::Pages;
use scan::{Choice, Counts, Scan, prepare};

/// Where a read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The first offset of each partition.
    Start,
    /// So far before the end that the newest messages are read, as many as the limit says.
    End,
    /// This offset in each partition, or the first one after it that there is.
    Offset(i64),
    /// The first message that is not older, in milliseconds since the epoch.
    Time(i64),
}

/// When a read ends at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Messages in all partitions together, exactly.
    pub messages: usize,
    /// Bytes of batches as they came over the wire; the last batch may exceed it.
    pub bytes: u64,
    pub time_ms: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            messages: 500,
            bytes: 32 * 1024 * 1024,
            time_ms: 10_000,
        }
    }
}

/// What is read of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// All records; those of aborted and of open transactions are marked.
    #[default]
    ReadUncommitted,
    /// As consumers with `isolation.level=read_committed` see it.
    ReadCommitted,
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadMessages {
    pub topic: String,
    /// `None`: all.
    pub partitions: Option<Vec<i32>>,
    pub from: ReadFrom,
    /// Partitions that begin elsewhere: where an earlier read ended.
    pub starts: BTreeMap<i32, i64>,
    pub limits: ReadLimits,
    pub isolation: Isolation,
    /// Control records too.
    pub control: bool,
    pub filter: Option<MessageFilter>,
    /// How keys and values are read for the filter.
    pub decoders: (Decoder, Decoder),
}

impl Default for ReadMessages {
    fn default() -> Self {
        Self {
            topic: String::new(),
            partitions: None,
            from: ReadFrom::Start,
            starts: BTreeMap::new(),
            limits: ReadLimits::default(),
            isolation: Isolation::default(),
            control: false,
            filter: None,
            decoders: Default::default(),
        }
    }
}

impl ReadMessages {
    fn choice(&self) -> Choice {
        Choice {
            isolation: self.isolation,
            control: self.control,
            filter: self.filter.clone(),
            decoders: self.decoders,
            decodes: true,
        }
    }
}

/// What to follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailMessages {
    pub topic: String,
    /// `None`: all.
    pub partitions: Option<Vec<i32>>,
    /// Partitions that begin elsewhere than at their end.
    pub starts: BTreeMap<i32, i64>,
    pub isolation: Isolation,
    /// Control records too.
    pub control: bool,
    pub filter: Option<MessageFilter>,
    /// How keys and values are read for the filter.
    pub decoders: (Decoder, Decoder),
}

/// New messages as they come. Dropping it ends the tail.
#[derive(Debug)]
pub struct MessageTail {
    messages: mpsc::Receiver<Result<Message, Fault>>,
    _stop: DropGuard,
}

impl MessageTail {
    /// The next message, or what went wrong meanwhile (the tail goes on). `None` when it is over.
    pub async fn next(&mut self) -> Option<Result<Message, Fault>> {
        self.messages.recv().await
    }

    /// What has come already, up to `max`, without waiting.
    pub fn take_ready(&mut self, max: usize) -> Vec<Result<Message, Fault>> {
        let mut ready = Vec::new();
        while ready.len() < max
            && let Ok(message) = self.messages.try_recv()
        {
            ready.push(message);
        }
        ready
    }
}

/// Messages that wait for a tail's reader.
const TAIL_QUEUE: usize = 1_024;

/// Pause after a failed fetch of a tail.
const TAIL_RETRY_MS: u64 = 1_000;

impl ClusterClient {
    /// Reads messages within limits; see [`ReadMessages`].
    ///
    /// # Errors
    /// `NotFound` for an unknown topic or partition; when nothing at all could be read.
    pub async fn read_messages(
        &self,
        read: &ReadMessages,
    ) -> Result<(Vec<Message>, ReadReport), Fault> {
        let what = format!("read messages of topic \"{}\"", read.topic);
        let (topic, partitions) = self
            .topic_to_read(&what, &read.topic, read.partitions.as_deref())
            .await?;
        let plan = self.read_plan(&what, &topic, &partitions, read).await?;
        if let Some(registry) = self.registry() {
            // What failed some time ago may be there now.
            registry.book().forget_failures();
        }
        let time_ms = i64::try_from(read.limits.time_ms).unwrap_or(i64::MAX);
        let deadline_ms = self.now().monotonic_ms.saturating_add(time_ms);
        let choice = read.choice();
        // Nothing is not looked for.
        let newest =
            read.from == ReadFrom::End && read.starts.is_empty() && read.limits.messages > 0;
        let (messages, mut report) = if newest {
            let back = Back::new(self, &topic, &choice, read.limits, deadline_ms);
            back.read(plan.starts, plan.ranges).await
        } else {
            let mut scan = Scan::new(self, &topic, &plan.ranges, choice);
            let mut messages = Vec::new();
            let want = read.limits.messages;
            let stop = scan
                .run(&mut messages, want, read.limits.bytes, deadline_ms)
                .await;
            let report = report(&scan.counts, stop, scan.position(), scan.failed);
            (messages, report)
        };
        report.messages = messages.len() as u64;
        report.failed.extend(plan.failed);
        report.failed.sort();
        if let (true, Some((id, why))) = (
            report.failed.len() == partitions.len(),
            report.failed.first(),
        ) {
            let why = format!("partition {id}: {why}");
            return Err(Fault::new(FaultKind::Failed, what, why));
        }
        Ok((messages, report))
    }

    /// Follows a topic from its end on. Messages of one fetch come merged by timestamp.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic or partition; when no end offset can be read.
    pub async fn tail_messages(&self, tail: &TailMessages) -> Result<MessageTail, Fault> {
        let what = format!("follow topic \"{}\"", tail.topic);
        let (topic, partitions) = self
            .topic_to_read(&what, &tail.topic, tail.partitions.as_deref())
            .await?;
        let ends = self.ranges(&what, &topic).await?;
        let mut next: BTreeMap<i32, i64> = partitions
            .iter()
            .filter_map(|id| {
                let range = ends.get(id)?.as_ref().ok()?;
                let start = tail.starts.get(id).copied().unwrap_or(range.end);
                Some((*id, start.clamp(range.start, range.end)))
            })
            .collect();
        if next.is_empty() {
            return Err(Fault::new(
                FaultKind::Failed,
                what,
                "no end offset can be read",
            ));
        }
        let (sender, messages) = mpsc::channel(TAIL_QUEUE);
        let stop = CancellationToken::new();
        let (client, cancelled) = (self.clone(), stop.clone());
        let choice = Choice {
            isolation: tail.isolation,
            control: tail.control,
            filter: tail.filter.clone(),
            decoders: tail.decoders,
            decodes: true,
        };
        drop(task::spawn("message-tail", async move {
            let follow = async {
                let is_committed = choice.isolation == Isolation::ReadCommitted;
                let mut reader = Reader::new(&client, &topic)
                    .waiting()
                    .committed(is_committed);
                while follow_once(&what, &client, &choice, &mut reader, &mut next, &sender)
                    .await
                    .is_some()
                {}
            };
            tokio::select! {
                () = follow => {}
                () = cancelled.cancelled() => {}
            }
        }));
        Ok(MessageTail {
            messages,
            _stop: stop.drop_guard(),
        })
    }

    /// Reads on from each offset, about `max` records together, and tells where to go on. The
    /// records themselves are dropped.
    pub(crate) async fn skim(
        &self,
        topic: &str,
        from: &BTreeMap<i32, i64>,
        max: u64,
    ) -> Result<BTreeMap<i32, i64>, Fault> {
        let what = format!("read topic \"{topic}\"");
        let (topic, _) = self.topic_to_read(&what, topic, None).await?;
        // Every partition gets its share, so that none is left behind for good.
        let share = usize::try_from(max.div_ceil(from.len().max(1) as u64)).unwrap_or(usize::MAX);
        let mut next = BTreeMap::new();
        for (id, fetched) in Reader::new(self, &topic).fetch(from, u64::MAX).await {
            let fetched = fetched.map_err(|why| Fault::new(FaultKind::Failed, &what, why))?;
            let take = fetched.messages.len().min(share);
            let position = match fetched.messages.get(take) {
                Some(first_left) => first_left.offset,
                None => fetched.next_offset,
            };
            next.insert(id, position);
        }
        Ok(next)
    }

    async fn topic_to_read(
        &self,
        what: &str,
        name: &str,
        partitions: Option<&[i32]>,
    ) -> Result<(Arc<Topic>, Vec<i32>), Fault> {
        let metadata = self.metadata().await?;
        let topic = metadata
            .topic(name)
            .cloned()
            .ok_or_else(|| Fault::not_found(what, format!("topic \"{name}\" does not exist")))?;
        let all = || {
            topic
                .partitions
                .iter()
                .map(|partition| partition.id)
                .collect()
        };
        let partitions: Vec<i32> = partitions.map_or_else(all, <[i32]>::to_vec);
        if let Some(id) = partitions.iter().find(|id| topic.partition(**id).is_none()) {
            return Err(Fault::not_found(
                what,
                format!("partition {name}-{id} does not exist"),
            ));
        }
        Ok((topic, partitions))
    }

    /// Start and end of each partition, or why they can't be read.
    async fn ranges(
        &self,
        what: &str,
        topic: &Arc<Topic>,
    ) -> Result<BTreeMap<i32, Result<std::ops::Range<i64>, String>>, Fault> {
        let metadata = crate::model::ClusterMetadata {
            topics: vec![Arc::clone(topic)],
            ..Default::default()
        };
        let offsets = self.offsets(&metadata, None).await?;
        let offsets = offsets
            .get(&topic.name)
            .ok_or_else(|| Fault::new(FaultKind::Failed, what, "no offsets were answered"))?;
        let range = |start: Cell<i64>, end: Cell<i64>| match (start, end) {
            (Cell::Known(start), Cell::Known(end)) => Ok(start..end.max(start)),
            (Cell::Failed(error), _) | (_, Cell::Failed(error)) => Err(error.name()),
            _ => Err("its offsets are unknown".to_owned()),
        };
        Ok(offsets
            .partitions
            .iter()
            .map(|p| (p.partition, range(p.start, p.end)))
            .collect())
    }

    async fn read_plan(
        &self,
        what: &str,
        topic: &Arc<Topic>,
        partitions: &[i32],
        read: &ReadMessages,
    ) -> Result<ReadPlan, Fault> {
        let mut ranges = self.ranges(what, topic).await?;
        let times = match read.from {
            ReadFrom::Time(timestamp_ms) => self.offsets_for_time(topic, timestamp_ms).await?,
            _ => BTreeMap::new(),
        };
        let newest = i64::try_from(read.limits.messages).unwrap_or(i64::MAX);
        let mut plan = ReadPlan::default();
        for id in partitions {
            let range = match ranges.remove(id) {
                Some(Ok(range)) => range,
                Some(Err(why)) => {
                    plan.failed.insert(*id, why);
                    continue;
                }
                None => {
                    plan.failed
                        .insert(*id, "its offsets are unknown".to_owned());
                    continue;
                }
            };
            let start = match read.from {
                ReadFrom::Start => range.start,
                ReadFrom::End => range.end.saturating_sub(newest),
                ReadFrom::Offset(offset) => offset,
                ReadFrom::Time(_) => match times.get(id) {
                    Some(Cell::Known(offset)) => *offset,
                    // Every record is older.
                    Some(Cell::Unknown) | None => range.end,
                    Some(Cell::Failed(error)) => {
                        plan.failed.insert(*id, error.name());
                        continue;
                    }
                },
            };
            let start = read.starts.get(id).copied().unwrap_or(start);
            plan.ranges
                .insert(*id, start.clamp(range.start, range.end)..range.end);
            plan.starts.insert(*id, range.start);
        }
        Ok(plan)
    }
}

fn report(
    counts: &Counts,
    stop: ReadStop,
    next: BTreeMap<i32, i64>,
    failed: BTreeMap<i32, String>,
) -> ReadReport {
    ReadReport {
        messages: 0,
        bytes: counts.bytes,
        stop,
        scanned: counts.scanned,
        aborted: counts.aborted,
        control: counts.control,
        missing: counts.missing,
        next: next.into_iter().collect(),
        failed: failed.into_iter().collect(),
    }
}

/// Which offsets to read of each partition.
#[derive(Default)]
struct ReadPlan {
    ranges: BTreeMap<i32, std::ops::Range<i64>>,
    /// The first offset that there is of each.
    starts: BTreeMap<i32, i64>,
    failed: BTreeMap<i32, String>,
}

/// One round of a tail; `None` when nobody listens any more.
async fn follow_once(
    what: &str,
    client: &ClusterClient,
    choice: &Choice,
    reader: &mut Reader<'_>,
    next: &mut BTreeMap<i32, i64>,
    sender: &mpsc::Sender<Result<Message, Fault>>,
) -> Option<()> {
    let mut merged: Vec<Message> = Vec::new();
    let mut failed = None;
    for (id, fetched) in reader.fetch(next, u64::MAX).await {
        match fetched {
            Ok(fetched) => {
                next.insert(id, fetched.next_offset);
                merged.extend(fetched.messages);
            }
            Err(why) => failed = Some(format!("partition {id}: {why}")),
        }
    }
    // A stable sort keeps the order within each partition where timestamps are equal.
    merged.sort_by_key(|message| message.timestamp_ms);
    let schemas = choice.schemas(client, merged.iter());
    prepare(client, schemas).await;
    let none = SchemaBook::default();
    let book = client.registry().map_or(&none, |registry| registry.book());
    let mut counts = Counts::default();
    for message in merged {
        if !choice.takes(&message, &mut counts, book) {
            continue;
        }
        sender.send(Ok(message)).await.ok()?;
    }
    if let Some(why) = failed {
        sender
            .send(Err(Fault::new(FaultKind::Failed, what, why)))
            .await
            .ok()?;
        reader.look_up_leaders_again().await;
        tokio::time::sleep(Duration::from_millis(TAIL_RETRY_MS)).await;
    }
    Some(())
}

#[cfg(test)]
mod tests;
