//! Compares what nodes have kept: the bytes of their metadata logs, and their snapshots with what
//! the log says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use kafka_broker::metadata::batches::decode_batches;
use kafka_broker::metadata::loader::BatchLoader;
use kafka_broker::metadata::snapshot::{self, SnapshotId};
use kafka_broker::metadata::{ConfigResource, MetadataImage};
use kafka_shared::record::batch::batches;
use kafka_shared::schema::metadata::MetadataRecord;

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
    let mut snapshots = 0;
    for dir in dirs {
        for id in snapshot::list(dir)? {
            if id != SnapshotId::BOOTSTRAP {
                compare_snapshot(dir, id, whole)?;
                snapshots += 1;
            }
        }
    }
    Ok(snapshots)
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
