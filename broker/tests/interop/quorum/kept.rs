//! Compares what nodes have kept: the bytes of their metadata logs, and their snapshots with what
//! the log says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use kafka_broker::metadata::batches::{BatchContent, MetadataBatch, decode_batches};
use kafka_broker::metadata::loader::BatchLoader;
use kafka_broker::metadata::snapshot::{self, KRaftState, SnapshotId};
use kafka_broker::metadata::{ConfigResource, MetadataImage};
use kafka_shared::record::batch::batches;
use kafka_shared::schema::metadata::{ConfigRecord, MetadataRecord};
use kafka_shared::types::Uuid;

use super::random::mirror::{framed, ordered};

/// The bytes of a metadata log and the offset that it starts at.
fn read_log(dir: &Path) -> anyhow::Result<(i64, Vec<u8>)> {
    let mut segments: Vec<_> = std::fs::read_dir(dir)
        .with_context(|| dir.display().to_string())?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    segments.sort();
    let first = segments.first().context("no log")?;
    let name = first.file_stem().unwrap_or_default().to_string_lossy();
    let start = name.parse().context("a segment's name")?;
    let mut bytes = Vec::new();
    for path in segments {
        bytes.extend(std::fs::read(path)?);
    }
    Ok((start, bytes))
}

/// Compares the logs of all folders, and their snapshots with the log. Returns the number of
/// snapshots.
pub fn compare(dirs: &[PathBuf]) -> anyhow::Result<usize> {
    let whole = compare_logs(dirs)?;
    let mut snapshots = 0;
    for dir in dirs {
        for id in snapshot::list(dir)? {
            if id != SnapshotId::BOOTSTRAP {
                compare_snapshot(dir, id, &whole)?;
                snapshots += 1;
            }
        }
    }
    Ok(snapshots)
}

/// Compares the logs of all folders. Returns the longest one that is whole.
pub fn compare_logs(dirs: &[PathBuf]) -> anyhow::Result<Vec<u8>> {
    let logs = dirs
        .iter()
        .map(|dir| read_log(dir))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let whole = logs.iter().filter(|(start, _)| *start == 0);
    let (_, whole) = whole
        .max_by_key(|(_, log)| log.len())
        .context("no log is whole")?;
    for ((start, log), dir) in logs.iter().zip(dirs) {
        // What a node fetched after a snapshot begins at that.
        let mut position = 0;
        for batch in batches(whole) {
            let batch = batch?;
            if batch.base_offset() >= *start {
                break;
            }
            position += batch.size_in_bytes();
        }
        let same = &whole[position..];
        let common = log.len().min(same.len());
        ensure!(log[..common] == same[..common], "{} differs", dir.display());
    }
    Ok(whole.clone())
}

fn compare_snapshot(dir: &Path, id: SnapshotId, log: &[u8]) -> anyhow::Result<()> {
    let content = snapshot::read(dir, id)?;
    let from_snapshot = snapshot::image_of(&content, id).map_err(anyhow::Error::msg)?;
    let mut loader = BatchLoader::new(&MetadataImage::default());
    let mut publications = Vec::new();
    let mut epoch = 0;
    for batch in decode_batches(log) {
        let batch = batch?;
        if batch.last_offset >= id.end_offset {
            break;
        }
        epoch = batch.epoch;
        loader
            .load(&batch, &mut publications)
            .map_err(anyhow::Error::msg)?;
        publications.extend(loader.flush());
    }
    let from_log = publications.pop().map(|publication| publication.image);
    let from_log = from_log.unwrap_or_else(|| Arc::new(MetadataImage::default()));
    let path = dir.join(id.file_name());
    ensure!(
        id.epoch == epoch,
        "{}: the log has epoch {epoch}",
        path.display()
    );
    let (log, snapshot) = (records(&from_log), records(&from_snapshot));
    if log != snapshot {
        let only = |some: &[String], other: &[String]| {
            let missing = some.iter().filter(|record| !other.contains(record));
            missing.cloned().collect::<Vec<_>>().join("\n")
        };
        let (in_log, in_snapshot) = (only(&log, &snapshot), only(&snapshot, &log));
        let path = path.display();
        bail!("{path}: only in the log:\n{in_log}\nonly in the snapshot:\n{in_snapshot}");
    }
    Ok(())
}

/// What an image holds. Settings of topics that are gone don't count: when Apache Kafka 4.3 reads
/// the setting and the deletion of its topic at one go, as after a restart, it keeps the setting.
fn records(image: &MetadataImage) -> Vec<String> {
    let mut records = Vec::new();
    image.write_records(&mut |record| {
        let is_left_over = match &record {
            MetadataRecord::Config(config) => {
                let topic_type = ConfigResource::topic("").resource_type.id();
                config.resource_type == topic_type
                    && image.topics.by_name(&config.resource_name).is_none()
            }
            _ => false,
        };
        if !is_left_over {
            records.push(format!("{record:?}"));
        }
    });
    records
}

/// What was compared record by record.
#[derive(Debug, Default)]
pub struct Kept {
    /// Snapshots of Apache Kafka's nodes.
    pub apache: usize,
    /// Snapshots of ours.
    pub ours: usize,
    /// Ends of the log at which both kinds wrote one.
    pub at_the_same_offset: usize,
    /// Records in all of them.
    pub records: usize,
    /// Settings of deleted topics that Apache Kafka kept.
    pub left_over: usize,
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} snapshots of Apache's and {} of ours ({} of them at the same offset) with {} records \
             equal ours of the log, {} settings left over",
            self.apache, self.ours, self.at_the_same_offset, self.records, self.left_over
        )
    }
}

/// Compares every snapshot of every node with the one that our program writes of the log up to the
/// same offset: the same records in the same versions, in whatever order. Of each folder it is told
/// whether it is an Apache node's.
///
/// Apache Kafka 4.3 forgets to drop a topic's settings when it reads a change of them and the
/// deletion of the topic at one go, which it does when it catches up (`ConfigurationsDelta` applies
/// the deletion first). Such settings, as they once were, may be left over in its snapshots, and
/// nothing else.
pub fn compare_strictly(nodes: &[(PathBuf, bool)]) -> anyhow::Result<Kept> {
    let logs = nodes.iter().map(|(dir, _)| read_log(dir));
    let logs = logs.collect::<anyhow::Result<Vec<_>>>()?;
    let whole = logs.iter().filter(|(start, _)| *start == 0);
    let whole = whole.max_by_key(|(_, log)| log.len());
    let (_, whole) = whole.context("no log is whole")?;
    let mut wanted: BTreeMap<SnapshotId, Vec<(&Path, bool)>> = BTreeMap::new();
    for (dir, is_apache) in nodes {
        for id in snapshot::list(dir)? {
            if id != SnapshotId::BOOTSTRAP {
                wanted.entry(id).or_default().push((dir, *is_apache));
            }
        }
    }
    let mut kept = Kept::default();
    let mut loader = BatchLoader::new(&MetadataImage::default());
    let mut left_over = LeftOver::default();
    let mut image = Arc::new(MetadataImage::default());
    let mut log = decode_batches(whole).peekable();
    for (id, places) in wanted {
        while let Some(batch) = log.peek() {
            let batch = batch.as_ref().map_err(Clone::clone)?;
            if batch.last_offset >= id.end_offset {
                break;
            }
            left_over.note(batch);
            let mut publications = Vec::new();
            let loaded = loader.load(batch, &mut publications);
            loaded.map_err(anyhow::Error::msg)?;
            publications.extend(loader.flush());
            if let Some(last) = publications.pop() {
                image = last.image;
            }
            log.next();
        }
        let bytes = snapshot::encode_image(&image, &KRaftState::default(), id.epoch, 0)?;
        let own = lines(&bytes)?;
        let kinds = [true, false].map(|kind| places.iter().any(|(_, is)| *is == kind));
        kept.at_the_same_offset += usize::from(kinds == [true, true]);
        for (dir, is_apache) in places {
            let path = dir.join(id.file_name());
            let read = lines(&std::fs::read(&path)?)?;
            let difference = |from: &[Line], other: &[Line]| {
                let missing = from
                    .iter()
                    .filter(|line| other.binary_search(line).is_err());
                missing.cloned().collect::<Vec<_>>()
            };
            let lost = difference(&own, &read);
            let mut more = difference(&read, &own);
            if is_apache {
                let count = more.len();
                more.retain(|line| !left_over.lines.contains(line));
                kept.left_over += count - more.len();
                kept.apache += 1;
            } else {
                kept.ours += 1;
            }
            kept.records += read.len();
            if !lost.is_empty() || !more.is_empty() {
                let path = path.display();
                bail!("{path}: only in the log:\n{lost:#?}\nonly in the snapshot:\n{more:#?}");
            }
        }
    }
    Ok(kept)
}

/// A record as text, with its version.
type Line = String;

fn line(record: MetadataRecord, version: i16) -> Line {
    format!("v{version} {:?}", ordered(record))
}

/// The records of a snapshot, sorted.
fn lines(bytes: &[u8]) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for batch in batches(bytes) {
        let batch = batch?;
        if !batch.is_control() {
            let framed = framed(&batch)?.into_iter();
            lines.extend(framed.map(|(record, version)| line(record, version)));
        }
    }
    lines.sort();
    let count = lines.len();
    lines.dedup();
    ensure!(lines.len() == count, "a snapshot holds a record twice");
    Ok(lines)
}

/// Settings that topics once had which were deleted then.
#[derive(Default)]
struct LeftOver {
    names: BTreeMap<Uuid, String>,
    set: BTreeMap<String, Vec<ConfigRecord>>,
    lines: BTreeSet<Line>,
}

impl LeftOver {
    fn note(&mut self, batch: &MetadataBatch) {
        let BatchContent::Records(records) = &batch.content else {
            return;
        };
        let topic_type = ConfigResource::topic("").resource_type.id();
        for record in records {
            match record {
                MetadataRecord::Topic(topic) => {
                    self.names.insert(topic.topic_id, topic.name.clone());
                }
                MetadataRecord::Config(config) if config.resource_type == topic_type => {
                    let set = self.set.entry(config.resource_name.clone()).or_default();
                    set.push(config.clone());
                }
                MetadataRecord::RemoveTopic(topic) => {
                    let name = self.names.remove(&topic.topic_id).unwrap_or_default();
                    let set = self.set.remove(&name).unwrap_or_default();
                    let lines = set.into_iter().map(|config| line(config.into(), 0));
                    self.lines.extend(lines);
                }
                _ => {}
            }
        }
    }
}
