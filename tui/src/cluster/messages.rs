//! Reads records: a bounded read from the start, the end, an offset or a time, and a live tail.
//!
//! Records of several partitions come merged by timestamp. Within a partition their order is that
//! of the log, whatever their timestamps. Control records are not shown.
//!
//! Invariants:
//! - A read ends: by its limits of messages, bytes and time, or at the end offsets of its start.
//! - What was read is reported with the result, and so is what could not be read.
//! - Nothing is held beyond the limits: a tail's queue is bounded, and a slow reader slows it down.

mod at;
mod fetch;
mod merge;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_shared::task;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::model::{Cell, Fault, FaultKind, Message, ReadReport, ReadStop, Topic};

use super::wire::ClusterClient;
use fetch::Reader;
use merge::Merge;

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

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadMessages {
    pub topic: String,
    /// `None`: all.
    pub partitions: Option<Vec<i32>>,
    pub from: ReadFrom,
    pub limits: ReadLimits,
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

/// Pause after a fetch that brought nothing although there should be something.
const EMPTY_PAUSE_MS: u64 = 20;

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
        let deadline = self
            .now()
            .monotonic_ms
            .saturating_add(i64::try_from(read.limits.time_ms).unwrap_or(0));
        let wanted = match read.from {
            // The newest are known only when everything from there on was seen.
            ReadFrom::End => usize::MAX,
            _ => read.limits.messages,
        };
        let mut reader = Reader::new(self, &topic);
        let mut merge = Merge::new(plan.ranges.iter().map(|(id, range)| (*id, range.end)));
        let mut next: BTreeMap<i32, i64> = plan
            .ranges
            .iter()
            .map(|(id, range)| (*id, range.start))
            .collect();
        let mut failed: BTreeMap<i32, String> = plan.failed;
        let mut messages = Vec::new();
        let mut bytes = 0;
        let stop = loop {
            merge.drain(&mut messages, wanted);
            if messages.len() >= wanted {
                break ReadStop::MessageLimit;
            }
            let open: BTreeMap<i32, i64> = next
                .iter()
                .filter(|(id, _)| merge.is_open(**id))
                .map(|(i, o)| (*i, *o))
                .collect();
            if open.is_empty() {
                break ReadStop::End;
            }
            if bytes >= read.limits.bytes {
                break ReadStop::ByteLimit;
            }
            if self.now().monotonic_ms >= deadline {
                break ReadStop::TimeLimit;
            }
            let wanting: BTreeMap<i32, i64> = open
                .iter()
                .filter(|(id, _)| merge.is_wanting(**id))
                .map(|(i, o)| (*i, *o))
                .collect();
            let budget = read.limits.bytes - bytes;
            let before = bytes;
            for (id, fetched) in reader.fetch(&wanting, budget).await {
                match fetched {
                    Ok(fetched) => {
                        bytes += fetched.bytes;
                        next.insert(id, fetched.next_offset);
                        merge.push(id, fetched.messages, fetched.next_offset);
                    }
                    Err(why) => {
                        failed.insert(id, why);
                        merge.close(id);
                    }
                }
            }
            if bytes == before {
                // Nothing came and nothing failed for good: don't press the broker.
                tokio::time::sleep(Duration::from_millis(EMPTY_PAUSE_MS)).await;
            }
        };
        // What is at hand is in order as far as it goes.
        merge.finish(&mut messages, wanted);
        if read.from == ReadFrom::End && messages.len() > read.limits.messages {
            messages.drain(..messages.len() - read.limits.messages);
        }
        if let (true, Some((id, why))) = (failed.len() == partitions.len(), failed.iter().next()) {
            let why = format!("partition {id}: {why}");
            return Err(Fault::new(FaultKind::Failed, what, why));
        }
        let report = ReadReport {
            messages: messages.len() as u64,
            bytes,
            stop,
            failed: failed.into_iter().collect(),
        };
        Ok((messages, report))
    }

    /// Follows a topic from its end on. Messages of one fetch come merged by timestamp.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic or partition; when no end offset can be read.
    pub async fn tail_messages(
        &self,
        topic: &str,
        partitions: Option<&[i32]>,
    ) -> Result<MessageTail, Fault> {
        let what = format!("follow topic \"{topic}\"");
        let (topic, partitions) = self.topic_to_read(&what, topic, partitions).await?;
        let ends = self.ranges(&what, &topic).await?;
        let mut next: BTreeMap<i32, i64> = partitions
            .iter()
            .filter_map(|id| Some((*id, ends.get(id)?.as_ref().ok()?.end)))
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
        drop(task::spawn("message-tail", async move {
            let follow = async {
                let mut reader = Reader::new(&client, &topic).waiting();
                while follow_once(&what, &mut reader, &mut next, &sender)
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
            plan.ranges
                .insert(*id, start.clamp(range.start, range.end)..range.end);
        }
        Ok(plan)
    }
}

/// Which offsets to read of each partition.
#[derive(Default)]
struct ReadPlan {
    ranges: BTreeMap<i32, std::ops::Range<i64>>,
    failed: BTreeMap<i32, String>,
}

/// One round of a tail; `None` when nobody listens any more.
async fn follow_once(
    what: &str,
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
    for message in merged {
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
