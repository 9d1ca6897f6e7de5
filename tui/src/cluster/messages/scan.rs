//! A read under way: partitions are fetched, merged, and what is asked for is taken out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::decode::{Decoder, MessageFilter, Part, SchemaBook, SchemaRef, schema_of};
use crate::model::{Fate, Message, ReadStop, Topic};

use super::super::wire::ClusterClient;
use super::Isolation;
use super::fetch::Reader;
use super::merge::Merge;

/// Pause after a fetch that brought nothing although there should be something.
const EMPTY_PAUSE_MS: u64 = 20;

/// Which of the records that come are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub isolation: Isolation,
    pub control: bool,
    pub filter: Option<MessageFilter>,
    pub decoders: (Decoder, Decoder),
    /// Whether somebody reads what is in the records: then their schemas are read too.
    pub decodes: bool,
}

/// What was looked at so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub scanned: u64,
    pub aborted: u64,
    pub control: u64,
    pub missing: u64,
    pub bytes: u64,
}

impl Choice {
    /// Counts a record and says whether it is wanted.
    pub(super) fn takes(&self, message: &Message, counts: &mut Counts, book: &SchemaBook) -> bool {
        let facts = &message.facts;
        counts.scanned += 1;
        counts.aborted += u64::from(facts.transaction == Fate::Aborted);
        counts.control += u64::from(facts.control.is_some());
        counts.missing += facts.gap_before.unsigned_abs();
        if facts.control.is_some() && !self.control {
            return false;
        }
        let is_uncommitted = matches!(facts.transaction, Fate::Aborted | Fate::Open);
        if is_uncommitted && self.isolation == Isolation::ReadCommitted {
            return false;
        }
        let filter = self.filter.as_ref();
        filter.is_none_or(|filter| filter.accepts(message, self.decoders, book))
    }

    /// The schemas that these records need, as far as there is somebody to ask.
    pub(super) fn schemas<'m>(
        &self,
        client: &ClusterClient,
        messages: impl Iterator<Item = &'m Message>,
    ) -> BTreeSet<SchemaRef> {
        let mut wanted = BTreeSet::new();
        if self.decodes && client.registry().is_some() {
            for message in messages {
                wanted.extend(schema_of(message, Part::Key, self.decoders.0));
                wanted.extend(schema_of(message, Part::Value, self.decoders.1));
            }
        }
        wanted
    }
}

/// Reads schemas that records need.
pub(super) async fn prepare(client: &ClusterClient, schemas: BTreeSet<SchemaRef>) {
    if let Some(registry) = client.registry().filter(|_| !schemas.is_empty()) {
        registry.prepare(schemas).await;
    }
}

/// One pass over ranges of offsets, oldest first.
pub(super) struct Scan<'a> {
    client: &'a ClusterClient,
    choice: Choice,
    /// Whether what is at hand is handed out at a limit, in order as far as it goes.
    pub finishes: bool,
    reader: Reader<'a>,
    merge: Merge,
    next: BTreeMap<i32, i64>,
    pub counts: Counts,
    pub failed: BTreeMap<i32, String>,
    /// The timestamp of the first record of each partition.
    pub oldest: BTreeMap<i32, i64>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        client: &'a ClusterClient,
        topic: &Arc<Topic>,
        ranges: &BTreeMap<i32, Range<i64>>,
        choice: Choice,
    ) -> Self {
        let is_committed = choice.isolation == Isolation::ReadCommitted;
        Self {
            client,
            choice,
            finishes: true,
            reader: Reader::new(client, topic).committed(is_committed),
            merge: Merge::new(ranges.iter().map(|(id, range)| (*id, range.end))).without_empty(
                ranges
                    .iter()
                    .filter(|(_, r)| r.is_empty())
                    .map(|(id, _)| *id),
            ),
            next: ranges
                .iter()
                .map(|(id, range)| (*id, range.start))
                .collect(),
            counts: Counts::default(),
            failed: BTreeMap::new(),
            oldest: BTreeMap::new(),
        }
    }

    /// Where each partition would go on.
    pub(super) fn position(&self) -> BTreeMap<i32, i64> {
        let place = |(id, next): (&i32, &i64)| (*id, self.merge.front(*id).unwrap_or(*next));
        self.next.iter().map(place).collect()
    }

    /// Takes wanted records into `out` until it holds `want`, or a limit is reached: bytes
    /// received in this scan, and the client's time in milliseconds. A later call goes on.
    pub(super) async fn run(
        &mut self,
        out: &mut Vec<Message>,
        want: usize,
        bytes_max: u64,
        deadline_ms: i64,
    ) -> ReadStop {
        loop {
            self.take(out, want);
            if out.len() >= want {
                return ReadStop::MessageLimit;
            }
            let is_open = |id: &i32| self.merge.is_open(*id);
            if !self.next.keys().any(is_open) {
                // A partition that failed may have left others waiting for it.
                self.take(out, want);
                return match self.merge.is_done() {
                    true => ReadStop::End,
                    false => ReadStop::MessageLimit,
                };
            }
            if self.counts.bytes >= bytes_max || self.client.now().monotonic_ms >= deadline_ms {
                if self.finishes {
                    self.finish(out, want);
                }
                return match self.counts.bytes >= bytes_max {
                    true => ReadStop::ByteLimit,
                    false => ReadStop::TimeLimit,
                };
            }
            self.fetch(bytes_max).await;
        }
    }

    async fn fetch(&mut self, bytes_max: u64) {
        let wanting: BTreeMap<i32, i64> = self
            .next
            .iter()
            .filter(|(id, _)| self.merge.is_wanting(**id))
            .map(|(id, offset)| (*id, *offset))
            .collect();
        let before = (self.counts.bytes, self.failed.len());
        let results = self
            .reader
            .fetch(&wanting, bytes_max - self.counts.bytes)
            .await;
        let fetched = results
            .iter()
            .filter_map(|(_, fetched)| fetched.as_ref().ok());
        let messages = fetched.flat_map(|fetched| &fetched.messages);
        let schemas = self.choice.schemas(self.client, messages);
        prepare(self.client, schemas).await;
        let mut is_closed = false;
        for (id, fetched) in results {
            match fetched {
                Ok(fetched) => {
                    self.counts.bytes += fetched.bytes;
                    self.next.insert(id, fetched.next_offset);
                    if fetched.is_at_open_transaction {
                        self.merge.close(id);
                        is_closed = true;
                    }
                    self.merge.push(id, fetched.messages, fetched.next_offset);
                }
                Err(why) => {
                    self.failed.insert(id, why);
                    self.merge.close(id);
                }
            }
        }
        if !is_closed && before == (self.counts.bytes, self.failed.len()) {
            // Nothing came and nothing failed for good: don't press the broker.
            tokio::time::sleep(Duration::from_millis(EMPTY_PAUSE_MS)).await;
        }
    }

    fn take(&mut self, out: &mut Vec<Message>, want: usize) {
        while out.len() < want
            && let Some(message) = self.merge.next_ready()
        {
            self.consider(message, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<Message>, want: usize) {
        while out.len() < want
            && let Some(message) = self.merge.next()
        {
            self.consider(message, out);
        }
    }

    fn consider(&mut self, message: Message, out: &mut Vec<Message>) {
        let oldest = self.oldest.entry(message.partition);
        oldest.or_insert(message.timestamp_ms);
        let none = SchemaBook::default();
        let book = self
            .client
            .registry()
            .map_or(&none, |registry| registry.book());
        if self.choice.takes(&message, &mut self.counts, book) {
            out.push(message);
        }
    }
}
