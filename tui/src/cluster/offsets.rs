//! Start and end offsets of many partitions, and offsets by time: ListOffsets to every leader at
//! once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, ListOffsetsResponse, TopicName};
use kafka_shared::client::Undecoded;
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::StrBytes;

use crate::model::{
    Cell, ClusterMetadata, Fault, FaultKind, Offsets, PartError, Partition, PartitionOffsets,
    Taken, Topic, TopicOffsets,
};

use super::seen::{Digest, SeenEach};
use super::wire::{ClusterClient, decoded};

/// Asks for the first offset that can be read.
pub(super) const EARLIEST: i64 = -2;
/// Asks for the offset after the last one that can be read.
pub(super) const LATEST: i64 = -1;

/// Whose end is asked for; the numbers are Kafka's.
#[derive(Clone, Copy)]
enum Isolation {
    /// The high watermark.
    Uncommitted = 0,
    /// The last stable offset.
    Committed = 1,
}

/// Partitions in one request: large enough to be few, small enough to answer soon.
const PARTITIONS_MAX: usize = 10_000;

const WHAT: &str = "read offsets";

/// One partition's answer to a question about a time.
type Found = BTreeMap<i32, Cell<i64>>;

/// What one leader is asked: partitions by topic, in the order of the topics.
type Ask<'a> = Vec<(&'a str, Vec<&'a Partition>)>;

impl ClusterClient {
    /// The start and end offsets of the topics named, or of all of `metadata`. A partition that
    /// can't be read has its error in its cell.
    ///
    /// # Errors
    /// When no leader at all answers.
    pub async fn offsets(
        &self,
        metadata: &ClusterMetadata,
        topics: Option<&[Arc<str>]>,
    ) -> Result<Offsets, Fault> {
        let topics = topics_of(metadata, topics);
        let (starts, ends) = self.ask_both(&topics).await;
        self.offsets_from(&topics, starts, ends)
    }

    /// As [`Self::offsets`], and whether they are those that were read last as an answer to this
    /// question: then they are the same allocations but for their time, as are those that are the
    /// same in `known`.
    ///
    /// # Errors
    /// As [`Self::offsets`].
    pub(super) async fn offsets_again(
        &self,
        metadata: &Arc<ClusterMetadata>,
        names: Option<&[Arc<str>]>,
        (seen, question): (&SeenBatches, Option<Arc<str>>),
        known: Option<Arc<Offsets>>,
    ) -> Result<(Arc<Offsets>, bool), Fault> {
        let topics = topics_of(metadata, names);
        let (starts, ends) = self.ask_both(&topics).await;
        let digest = digest_of(&topics, names.is_none(), &starts, &ends);
        let same = seen.of(question.clone(), digest);
        if let Some(same) = same.filter(|same| Arc::ptr_eq(&same.metadata, metadata)) {
            return Ok((Arc::new(as_of(&same.offsets, self.now())), true));
        }
        let mut offsets = self.offsets_from(&topics, starts, ends)?;
        if let Some(known) = known {
            share(&mut offsets, &known);
        }
        let offsets = Arc::new(offsets);
        let kept = SeenOffsets {
            metadata: Arc::clone(metadata),
            offsets: Arc::clone(&offsets),
        };
        seen.keep(question, digest, &Arc::new(kept));
        Ok((offsets, false))
    }

    /// Asks for the beginning and the end.
    async fn ask_both<'a>(&self, topics: &[&'a Arc<Topic>]) -> (Answers<'a>, Answers<'a>) {
        tokio::join!(
            self.ask_offsets(topics, EARLIEST, Isolation::Uncommitted),
            self.ask_offsets(topics, LATEST, Isolation::Uncommitted)
        )
    }

    fn offsets_from(
        &self,
        topics: &[&Arc<Topic>],
        starts: Answers<'_>,
        ends: Answers<'_>,
    ) -> Result<Offsets, Fault> {
        let taken = self.now();
        let (mut starts, mut ends) = (starts.found()?, ends.found()?);
        let mut offsets = Offsets::with_capacity(topics.len());
        for topic in topics {
            let mut start = starts.remove(&*topic.name).unwrap_or_default();
            let mut end = ends.remove(&*topic.name).unwrap_or_default();
            let partition = |partition: &Partition| PartitionOffsets {
                partition: partition.id,
                start: start.remove(&partition.id).unwrap_or_default(),
                end: end.remove(&partition.id).unwrap_or_default(),
            };
            let partitions = topic.partitions.iter().map(partition).collect();
            let found = TopicOffsets {
                taken,
                topic_id: topic.id,
                partitions,
            };
            offsets.insert(Arc::clone(&topic.name), Arc::new(found));
        }
        Ok(offsets)
    }

    /// For each partition of a topic the first offset whose record is not older than
    /// `timestamp_ms`; unknown in a cell when there is none.
    ///
    /// # Errors
    /// When no leader at all answers.
    pub async fn offsets_for_time(
        &self,
        topic: &Arc<Topic>,
        timestamp_ms: i64,
    ) -> Result<BTreeMap<i32, Cell<i64>>, Fault> {
        let (topics, time) = ([topic], timestamp_ms.max(0));
        let asked = self.offsets_at(&topics, time, Isolation::Uncommitted);
        let mut found = asked.await?;
        let mut cells = found.remove(&*topic.name).unwrap_or_default();
        for cell in cells.values_mut() {
            if *cell == Cell::Known(-1) {
                *cell = Cell::Unknown;
            }
        }
        Ok(cells)
    }

    /// How far readers of committed records get in the topics named, or in all of `metadata`: to
    /// the high watermark, or to the first record of a transaction that is open.
    ///
    /// # Errors
    /// When no leader at all answers.
    pub async fn last_stable_offsets(
        &self,
        metadata: &ClusterMetadata,
        topics: Option<&[Arc<str>]>,
    ) -> Result<HashMap<Arc<str>, BTreeMap<i32, Cell<i64>>>, Fault> {
        let is_asked = |topic: &&Arc<Topic>| topics.is_none_or(|names| names.contains(&topic.name));
        let topics: Vec<&Arc<Topic>> = metadata.topics.iter().filter(is_asked).collect();
        let asked = self.offsets_at(&topics, LATEST, Isolation::Committed);
        let found = asked.await?;
        let own = |(name, cells): (&str, Found)| (Arc::from(name), cells);
        Ok(found.into_iter().map(own).collect())
    }

    /// Of many topics, the offset of the first record that is not older than a time; `Unknown`
    /// where there is none.
    ///
    /// # Errors
    /// When no leader answers.
    pub(super) async fn offsets_for_time_of(
        &self,
        topics: &[Arc<Topic>],
        timestamp_ms: i64,
    ) -> Result<HashMap<Arc<str>, BTreeMap<i32, Cell<i64>>>, Fault> {
        let topics: Vec<&Arc<Topic>> = topics.iter().collect();
        let asked = self.offsets_at(&topics, timestamp_ms.max(0), Isolation::Uncommitted);
        let found = asked.await?.into_iter().map(|(topic, mut cells)| {
            for cell in cells.values_mut() {
                if *cell == Cell::Known(-1) {
                    *cell = Cell::Unknown;
                }
            }
            (Arc::from(topic), cells)
        });
        Ok(found.collect())
    }

    async fn offsets_at<'a>(
        &self,
        topics: &[&'a Arc<Topic>],
        timestamp: i64,
        isolation: Isolation,
    ) -> Result<HashMap<&'a str, Found>, Fault> {
        self.ask_offsets(topics, timestamp, isolation).await.found()
    }

    async fn ask_offsets<'a>(
        &self,
        topics: &[&'a Arc<Topic>],
        timestamp: i64,
        isolation: Isolation,
    ) -> Answers<'a> {
        let mut leaderless = Ask::new();
        let mut asks = Vec::new();
        for (leader, ask) in by_leader(topics) {
            if leader < 0 {
                leaderless.extend(ask);
            } else {
                asks.extend(chunks(ask).into_iter().map(|ask| (leader, ask)));
            }
        }
        let answers = asks.iter().map(|(leader, ask)| {
            let request = request(ask, timestamp, isolation);
            self.ask_part_undecoded(WHAT, *leader, request, None)
        });
        let answers = join_all(answers).await;
        let answers = asks.into_iter().zip(answers);
        Answers {
            leaderless,
            answers: answers.map(|((leader, ask), a)| (leader, ask, a)).collect(),
        }
    }
}

/// What the leaders answered.
struct Answers<'a> {
    leaderless: Ask<'a>,
    answers: Vec<(i32, Ask<'a>, Result<Undecoded<ListOffsetsResponse>, Fault>)>,
}

impl<'a> Answers<'a> {
    /// # Errors
    /// When no leader answered.
    fn found(self) -> Result<HashMap<&'a str, Found>, Fault> {
        let mut found: HashMap<&str, Found> = HashMap::new();
        let error = Cell::Failed(PartError(ErrorCode::LEADER_NOT_AVAILABLE.0));
        fill(&mut found, &self.leaderless, error);
        let n_asked = self.answers.len();
        let mut first_fault = None;
        let mut n_failed = 0;
        for (_, ask, answer) in self.answers {
            match answer.and_then(|answer| decoded(WHAT, answer)) {
                Ok(response) => take(&mut found, &ask, &response),
                Err(fault) => {
                    n_failed += 1;
                    let code = match fault.kind {
                        FaultKind::Unsupported => ErrorCode::UNSUPPORTED_VERSION,
                        _ => ErrorCode::NETWORK_EXCEPTION,
                    };
                    fill(&mut found, &ask, Cell::Failed(PartError(code.0)));
                    first_fault.get_or_insert(fault);
                }
            }
        }
        match first_fault {
            Some(fault) if n_failed == n_asked => Err(fault),
            _ => Ok(found),
        }
    }
}

/// Offsets of each batch of groups, by the first of them; without one, those of a part that asks for
/// one thing only.
pub(crate) type SeenBatches = SeenEach<Option<Arc<str>>, SeenOffsets>;

/// Offsets that were read, and the topics that they were asked for with.
#[derive(Debug)]
pub(crate) struct SeenOffsets {
    metadata: Arc<ClusterMetadata>,
    offsets: Arc<Offsets>,
}

/// Of the names that were asked for and all answers; `None` where one is missing.
fn digest_of(
    topics: &[&Arc<Topic>],
    are_all: bool,
    starts: &Answers<'_>,
    ends: &Answers<'_>,
) -> Option<Digest> {
    let mut digest = Digest::NOTHING.and_number(topics.len() as u64);
    if !are_all {
        for topic in topics {
            digest = digest.and(topic.name.as_bytes());
        }
    }
    for (leader, _, answer) in starts.answers.iter().chain(&ends.answers) {
        digest = digest.and_answer(*leader, answer)?;
    }
    Some(digest)
}

/// Lets what is the same be the same allocation.
fn share(offsets: &mut Offsets, known: &Offsets) {
    for (name, now) in offsets {
        if let (Some(old), Some(now)) = (known.get(name), Arc::get_mut(now))
            && old.partitions == now.partitions
        {
            now.partitions = Arc::clone(&old.partitions);
        }
    }
}

/// The same offsets, read now.
fn as_of(offsets: &Offsets, taken: Taken) -> Offsets {
    let again = |old: &Arc<TopicOffsets>| TopicOffsets {
        taken,
        topic_id: old.topic_id,
        partitions: Arc::clone(&old.partitions),
    };
    let again =
        |(name, old): (&Arc<str>, &Arc<TopicOffsets>)| (Arc::clone(name), Arc::new(again(old)));
    offsets.iter().map(again).collect()
}

fn topics_of<'a>(metadata: &'a ClusterMetadata, names: Option<&[Arc<str>]>) -> Vec<&'a Arc<Topic>> {
    match names {
        None => metadata.topics.iter().collect(),
        Some(names) => {
            let found = names.iter().filter_map(|name| metadata.topic(name));
            found.collect()
        }
    }
}

fn by_leader<'a>(topics: &[&'a Arc<Topic>]) -> BTreeMap<i32, Ask<'a>> {
    let mut asks: BTreeMap<i32, Ask<'a>> = BTreeMap::new();
    for topic in topics {
        for partition in &topic.partitions {
            let ask = asks.entry(partition.leader).or_default();
            match ask.last_mut() {
                Some((name, partitions)) if *name == &*topic.name => partitions.push(partition),
                _ => ask.push((&topic.name, vec![partition])),
            }
        }
    }
    asks
}

/// Splits what a leader is asked so that no request is overlong; a topic stays whole.
fn chunks(ask: Ask<'_>) -> Vec<Ask<'_>> {
    let mut chunks = vec![Ask::new()];
    let mut n_partitions = 0;
    for (topic, partitions) in ask {
        if n_partitions > 0 && n_partitions + partitions.len() > PARTITIONS_MAX {
            chunks.push(Ask::new());
            n_partitions = 0;
        }
        n_partitions += partitions.len();
        if let Some(chunk) = chunks.last_mut() {
            chunk.push((topic, partitions));
        }
    }
    chunks
}

fn request(ask: &Ask<'_>, timestamp: i64, isolation: Isolation) -> ListOffsetsRequest {
    let partition = |partition: &&Partition| {
        ListOffsetsPartition::default()
            .with_partition_index(partition.id)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp)
    };
    let topics = ask.iter().map(|(name, partitions)| {
        ListOffsetsTopic::default()
            .with_name(TopicName::from(StrBytes::from_string((*name).to_owned())))
            .with_partitions(partitions.iter().map(partition).collect())
    });
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(isolation as i8)
        .with_topics(topics.collect())
}

fn fill<'a>(found: &mut HashMap<&'a str, Found>, ask: &Ask<'a>, cell: Cell<i64>) {
    for (topic, partitions) in ask {
        let cells = found.entry(topic).or_default();
        cells.extend(partitions.iter().map(|partition| (partition.id, cell)));
    }
}

/// Takes an answer in; what it does not mention stays unknown, what was not asked is ignored.
fn take<'a>(found: &mut HashMap<&'a str, Found>, ask: &Ask<'a>, response: &ListOffsetsResponse) {
    let mut expected = ask.iter().map(|(name, _)| *name);
    let mut by_name: Option<HashSet<&'a str>> = None;
    for topic in &response.topics {
        // Mostly they are answered in the order in which they were asked for.
        let name = topic.name.as_str();
        let name = match expected.next() {
            Some(next) if next == name => next,
            _ => {
                let names = || ask.iter().map(|(name, _)| *name).collect();
                match by_name.get_or_insert_with(names).get(name) {
                    Some(name) => *name,
                    None => continue,
                }
            }
        };
        let cells = found.entry(name).or_default();
        for partition in &topic.partitions {
            let cell = match partition.error_code {
                0 => Cell::Known(partition.offset),
                code => Cell::Failed(PartError(code)),
            };
            cells.insert(partition.partition_index, cell);
        }
    }
}
