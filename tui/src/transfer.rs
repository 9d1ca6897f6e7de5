//! Moves many records: from a topic to a file, from a file to a topic, from topic to topic, also of
//! another cluster. The screens and the commands both do it here.
//!
//! Invariants: what is held is bounded whatever a topic's size is; what is not whole is an error,
//! which says how many records are written.

mod lines;
mod source;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::cluster::{ClusterClient, NewRecord, ReadFrom, ReadMessages, RecordWriter};
use crate::model::{Fault, FaultKind, ReadReport};

pub use source::{Shape, Source};

/// Records that are written together.
const WRITE_RECORDS: usize = 2_000;

/// Bytes of keys and values that are written together, about.
const WRITE_BYTES: usize = 8 * 1024 * 1024;

/// How partitions are chosen for records that had one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PartitionBy {
    /// The same partition
    #[default]
    Same,
    /// By key, as Kafka's producers do
    Key,
}

/// A file that was not there before.
#[derive(Debug)]
pub struct NewFile(BufWriter<File>);

const EXPORT: &str = "write the export";

impl NewFile {
    /// # Errors
    /// It is there already, or can't be made.
    pub fn create(path: &Path) -> Result<Self, Fault> {
        let made = File::options().write(true).create_new(true).open(path);
        let file = made.map_err(|error| {
            let why = format!("{}: {error}", path.display());
            match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    let why = format!("{} is there already", path.display());
                    Fault::new(FaultKind::AlreadyExists, EXPORT, why)
                        .with_hint("choose another name: nothing is written over")
                }
                _ => Fault::new(FaultKind::Failed, EXPORT, why),
            }
        })?;
        Ok(Self(BufWriter::new(file)))
    }

    pub fn put(&mut self, text: &str) -> std::io::Result<()> {
        self.0.write_all(text.as_bytes())
    }

    /// Hands over to the disk what was put.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(mut self) -> Result<(), Fault> {
        let done = self.0.flush().and_then(|()| self.0.get_ref().sync_all());
        done.map_err(|error| Fault::new(FaultKind::Failed, EXPORT, error.to_string()))
    }
}

/// Hands the messages of a topic over as lines of JSON with nothing lost, in pages. `tell` hears how
/// many there are so far.
///
/// # Errors
/// A partition that can't be read, and what `put` says.
pub async fn export(
    client: &ClusterClient,
    read: &ReadMessages,
    mut put: impl FnMut(&str) -> std::io::Result<()>,
    mut tell: impl FnMut(u64),
) -> Result<ReadReport, Fault> {
    refuse_end(read)?;
    let mut pages = client.pages(read).await?;
    while let Some(page) = pages.next().await? {
        let text: String = page.iter().map(lines::write).collect();
        let done = put(&text);
        done.map_err(|error| Fault::new(FaultKind::Failed, EXPORT, error.to_string()))?;
        tell(pages.report().messages);
    }
    Ok(pages.report())
}

fn refuse_end(read: &ReadMessages) -> Result<(), Fault> {
    match read.from {
        ReadFrom::End => Err(Fault::refused(
            "read from the end",
            "messages are taken in their order: the newest ones are named by an offset or a time",
        )),
        _ => Ok(()),
    }
}

/// Writes records to one topic, or only counts them.
#[derive(Debug)]
pub struct Writing<'c> {
    writer: RecordWriter<'c>,
    dry_run: bool,
    counted: u64,
}

impl<'c> Writing<'c> {
    /// # Errors
    /// The session is read-only, or there is no such topic.
    pub async fn new(client: &'c ClusterClient, topic: &str, dry_run: bool) -> Result<Self, Fault> {
        Ok(Self {
            writer: client.record_writer(topic).await?,
            dry_run,
            counted: 0,
        })
    }

    /// # Errors
    /// What a broker says against a record, with how many are written.
    pub async fn write(&mut self, records: Vec<NewRecord>) -> Result<(), Fault> {
        self.counted += records.len() as u64;
        if self.dry_run {
            return Ok(());
        }
        self.writer.write(records).await.map_err(|fault| {
            let written = self.writer.written();
            let why = format!("{}; {written} records are written", fault.why);
            Fault { why, ..fault }
        })
    }

    /// Writes everything that a source has.
    ///
    /// # Errors
    /// As [`Writing::write`], and what can't be read of the source.
    pub async fn write_all(
        &mut self,
        mut source: Source,
        partition_by: PartitionBy,
        mut tell: impl FnMut(u64),
    ) -> Result<(), Fault> {
        while let Some(mut records) = source.next().await? {
            if partition_by == PartitionBy::Key {
                let records = records.iter_mut();
                records.for_each(|record| record.partition = None);
            }
            self.write(records).await?;
            tell(self.messages());
        }
        Ok(())
    }

    /// Records that were written, or would have been.
    pub fn messages(&self) -> u64 {
        match self.dry_run {
            true => self.counted,
            false => self.writer.written(),
        }
    }

    /// Partition and offset of what was acknowledged last.
    pub fn last(&self) -> Option<(i32, i64)> {
        self.writer.last()
    }
}

/// Writes the records of an export to a topic; how many.
///
/// # Errors
/// What can't be read, and what a broker says.
pub async fn import(
    client: &ClusterClient,
    topic: &str,
    source: Source,
    partition_by: PartitionBy,
    dry_run: bool,
    tell: impl FnMut(u64),
) -> Result<u64, Fault> {
    let mut writing = Writing::new(client, topic, dry_run).await?;
    writing.write_all(source, partition_by, tell).await?;
    Ok(writing.messages())
}

/// Copies messages to a topic, of the same cluster or of another; how many, and what was read.
/// Markers of transactions stay.
///
/// # Errors
/// It is copied to itself, a partition can't be read, and what a broker says.
pub async fn copy(
    from: &ClusterClient,
    read: &ReadMessages,
    to: &ClusterClient,
    topic: &str,
    (partition_by, dry_run): (PartitionBy, bool),
    mut tell: impl FnMut(u64),
) -> Result<(u64, ReadReport), Fault> {
    refuse_end(read)?;
    let mut pages = from.pages(read).await?;
    let mut writing = Writing::new(to, topic, dry_run).await?;
    let keeps = partition_by == PartitionBy::Same;
    while let Some(page) = pages.next().await? {
        let records = page.into_iter();
        let records = records.filter(|message| message.facts.control.is_none());
        let records = records
            .map(|message| NewRecord::of(message, keeps))
            .collect();
        writing.write(records).await?;
        tell(writing.messages());
    }
    Ok((writing.messages(), pages.report()))
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferFrom {
    /// An export, or values as a producer takes them.
    File(PathBuf, Shape),
    Topic(Box<ReadMessages>),
}

/// Records that are to be written to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub from: TransferFrom,
    pub to_topic: String,
    /// Another cluster than the one that is looked at: a saved one, or its address.
    pub to_cluster: Option<String>,
    pub partition_by: PartitionBy,
    /// How many records there are, where that was counted; of a filter at most so many.
    pub records: Option<u64>,
}

impl Transfer {
    /// What it is, in a line.
    pub fn title(&self) -> String {
        let to = match &self.to_cluster {
            None => format!("topic \"{}\"", self.to_topic),
            Some(cluster) => format!("topic \"{}\" of {cluster}", self.to_topic),
        };
        match &self.from {
            TransferFrom::File(path, _) => format!("import {} into {to}", path.display()),
            TransferFrom::Topic(read) => format!("copy topic \"{}\" to {to}", read.topic),
        }
    }

    /// Looks at what there is, and writes nothing: how many records, and whether the topic can take
    /// them.
    ///
    /// # Errors
    /// The file can't be read, the other topic is not there or has too few partitions, or nothing
    /// may be written there.
    pub async fn prepare(
        mut self,
        here: &ClusterClient,
        there: &ClusterClient,
    ) -> Result<Self, Fault> {
        let what = self.title();
        there.refuse_if_read_only(&what)?;
        let metadata = there.metadata().await?;
        let Some(topic) = metadata.topic(&self.to_topic) else {
            let why = format!("topic \"{}\" does not exist there", self.to_topic);
            return Err(Fault::not_found(what, why).with_hint("create it first"));
        };
        let n_there = topic.partitions.len();
        let n_wanted = match &self.from {
            TransferFrom::File(path, shape) => {
                let mut source = Source::open(Some(path), shape.clone())?;
                let (mut n, mut partitions) = (0, 0);
                while let Some(records) = source.next().await? {
                    n += records.len() as u64;
                    let most = records.iter().filter_map(|record| record.partition).max();
                    let most = most.and_then(|id| usize::try_from(id).ok());
                    partitions = partitions.max(most.map_or(0, |id| id + 1));
                }
                self.records = Some(n);
                partitions
            }
            TransferFrom::Topic(read) => {
                refuse_end(read)?;
                if self.to_cluster.is_none() && read.topic == self.to_topic {
                    let why = "a topic can't be copied to itself: it would never end";
                    return Err(Fault::refused(what, why));
                }
                let (n, partitions) = records_of(here, read).await?;
                self.records = n;
                partitions
            }
        };
        if self.partition_by == PartitionBy::Same && n_wanted > n_there {
            let why = format!("{n_wanted} partitions don't fit into {n_there}");
            return Err(Fault::refused(what, why).with_hint("let the keys choose the partitions"));
        }
        Ok(self)
    }

    /// Writes the records; how many, in words.
    ///
    /// # Errors
    /// As [`import`] and [`copy`].
    pub async fn run(
        &self,
        here: &ClusterClient,
        there: &ClusterClient,
        tell: impl FnMut(u64),
    ) -> Result<String, Fault> {
        let n = match &self.from {
            TransferFrom::File(path, shape) => {
                let source = Source::open(Some(path), shape.clone())?;
                import(
                    there,
                    &self.to_topic,
                    source,
                    self.partition_by,
                    false,
                    tell,
                )
                .await?
            }
            TransferFrom::Topic(read) => {
                let how = (self.partition_by, false);
                copy(here, read, there, &self.to_topic, how, tell).await?.0
            }
        };
        Ok(format!("{n} records"))
    }
}

/// How many records a read can come to at most, where that can be told, and how many partitions
/// they come from.
async fn records_of(
    client: &ClusterClient,
    read: &ReadMessages,
) -> Result<(Option<u64>, usize), Fault> {
    let metadata = client.metadata().await?;
    let Some(topic) = metadata.topic(&read.topic) else {
        let why = format!("topic \"{}\" does not exist", read.topic);
        return Err(Fault::not_found("copy messages", why));
    };
    let offsets = client
        .offsets(&metadata, Some(std::slice::from_ref(&topic.name)))
        .await?;
    let offsets = offsets.get(&topic.name);
    let is_meant = |id: i32| read.partitions.as_ref().is_none_or(|ids| ids.contains(&id));
    let mut n = Some(0_u64);
    let mut partitions = 0;
    for partition in topic.partitions.iter().filter(|p| is_meant(p.id)) {
        partitions = partitions.max(usize::try_from(partition.id).unwrap_or(0) + 1);
        let offsets = offsets.and_then(|offsets| offsets.partition(partition.id));
        let range = offsets.and_then(|offsets| {
            let (start, end) = (offsets.start.known()?, offsets.end.known()?);
            let start = match read.from {
                ReadFrom::Offset(from) => from.max(start),
                ReadFrom::Start | ReadFrom::End => start,
                ReadFrom::Time(_) => return None,
            };
            u64::try_from(end - start).ok().or(Some(0))
        });
        n = n.zip(range).map(|(n, range)| n + range);
    }
    let most = u64::try_from(read.limits.messages).unwrap_or(u64::MAX);
    Ok((n.map(|n| n.min(most)), partitions))
}
