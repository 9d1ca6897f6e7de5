//! Whether this node can work on a metadata log, found out before anything is written to it.
//!
//! A folder that Apache Kafka has formatted or worked on may stand at levels of features that this
//! broker does not have. Leading the log's quorum would write to it; so the finalized levels are read
//! from the files first: the newest snapshot, then the log above it, and `bootstrap.checkpoint` where
//! both are empty.
//!
//! Only the records that tell this are decoded: a newer Kafka may have written types that are not
//! known here, and it is its metadata.version that has to be named then, not the first such record.
//! Files are opened for reading only. What is damaged is left to those who read all of it.
//!
//! Kafka: `QuorumFeatures.java`, `MetadataVersionConfigValidator.java` (4.3), which refuse later.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};
use kafka_shared::{
    record::{
        batch::{Batch, LOG_OVERHEAD},
        control::ControlRecord,
        iter::records,
    },
    schema::metadata::{FeatureLevelRecord, MetadataRecord},
};

use crate::{
    log::names,
    metadata::{
        MetadataHandle, MetadataImage,
        batches::BATCH_BYTES_MAX,
        features::{KRAFT_VERSION, METADATA_VERSION, SUPPORTED, metadata_version_name, supported},
        snapshot::{self, BOOTSTRAP_FILE},
    },
    raft::log_store::metadata_dir,
};

/// Types of the records that decide, as in Kafka's schemas.
const FEATURE_LEVEL: i16 = 12;
const BEGIN_TRANSACTION: i16 = 23;
const END_TRANSACTION: i16 = 24;
const ABORT_TRANSACTION: i16 = 25;

/// Refuses a folder with a metadata log that this node cannot lead. Changes nothing.
///
/// # Errors
/// Which features at which levels, and what to do about it.
pub(super) fn check(metadata_log_dir: &Path) -> anyhow::Result<()> {
    let shown = metadata_log_dir.display();
    let found = Found::read(metadata_log_dir)
        .with_context(|| format!("read the metadata log in {shown}"))?;
    if let Some(why) = why_unsupported(&found.all_levels()) {
        bail!("{shown} was left as it is: {why}");
    }
    Ok(())
}

/// Waits until a controller finds the cluster at a level that it cannot lead it at, and says why.
///
/// A controller that comes with an empty folder learns of the levels from the quorum, and before
/// metadata.version 3.7-IV0 nobody asks controllers what they support.
pub(super) async fn outgrown(metadata: &MetadataHandle) -> String {
    let why = |image: &MetadataImage| {
        let levels = image.features.unsupported().into_iter();
        why_unsupported(
            &levels
                .map(|(name, level)| (name.to_string(), level))
                .collect(),
        )
    };
    let outgrown = metadata.wait_until(Duration::MAX, |image| why(image).is_some());
    let Ok(image) = outgrown.await else {
        // The loader has ended: whatever ended it is the reason.
        return std::future::pending().await;
    };
    let why = why(&image).unwrap_or_default();
    format!("this controller cannot be one of its quorum: {why}")
}

/// What the files say.
#[derive(Debug, Default)]
struct Found {
    levels: BTreeMap<String, i16>,
    /// Levels before the metadata transaction that is open.
    before_transaction: Option<BTreeMap<String, i16>>,
    kraft_version: i16,
    has_records: bool,
}

impl Found {
    fn read(metadata_log_dir: &Path) -> anyhow::Result<Self> {
        let mut found = Self::default();
        let dir = metadata_dir(metadata_log_dir);
        let mut end_of_snapshot = 0;
        if dir.is_dir() {
            if let Some(id) = snapshot::list(&dir)?.pop() {
                end_of_snapshot = id.end_offset;
                found.read_file(&dir.join(id.file_name()), i64::MIN)?;
            }
            for segment in segments(&dir, end_of_snapshot)? {
                found.read_file(&names::file(&dir, segment, names::LOG), end_of_snapshot)?;
            }
        }
        let bootstrap = metadata_log_dir.join(BOOTSTRAP_FILE);
        if !found.has_records && bootstrap.is_file() {
            found.read_file(&bootstrap, i64::MIN)?;
        }
        Ok(found)
    }

    /// Takes the batches from offset `from` on, up to the end of the file or the first that is torn.
    fn read_file(&mut self, path: &Path, from: i64) -> anyhow::Result<()> {
        let context = || format!("read {}", path.display());
        let file = File::open(path).with_context(context)?;
        let mut left = file.metadata().with_context(context)?.len();
        let mut file = BufReader::new(file);
        let mut bytes = Vec::new();
        while next_batch(&mut file, &mut left, &mut bytes).with_context(context)? {
            let Ok(batch) = Batch::parse(&bytes) else {
                break;
            };
            if batch.check_crc().is_err() {
                break;
            }
            if batch.last_offset() >= from {
                self.take(&batch).with_context(context)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, batch: &Batch<'_>) -> anyhow::Result<()> {
        let at = || format!("batch at offset {}", batch.base_offset());
        let records = records(batch, 2 * BATCH_BYTES_MAX).with_context(at)?;
        for record in records.iter() {
            let record = record.with_context(at)?;
            let (key, value) = (record.key.unwrap_or_default(), record.value);
            let value = value.unwrap_or_default();
            if batch.is_control() {
                let record = ControlRecord::decode(key, value).with_context(at)?;
                if let ControlRecord::KRaftVersion(record) = record {
                    self.kraft_version = record.kraft_version;
                }
                continue;
            }
            self.has_records = true;
            match MetadataRecord::type_of(value) {
                Some(FEATURE_LEVEL) => {
                    if let (MetadataRecord::FeatureLevel(record), _) =
                        MetadataRecord::decode(value).with_context(at)?
                    {
                        self.set(record);
                    }
                }
                Some(BEGIN_TRANSACTION) => self.before_transaction = Some(self.levels.clone()),
                Some(END_TRANSACTION) => self.before_transaction = None,
                Some(ABORT_TRANSACTION) => {
                    if let Some(before) = self.before_transaction.take() {
                        self.levels = before;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn set(&mut self, record: FeatureLevelRecord) {
        // kraft.version counts in control records only.
        if record.name == KRAFT_VERSION {
            return;
        }
        if record.feature_level == 0 {
            self.levels.remove(&record.name);
        } else {
            self.levels.insert(record.name, record.feature_level);
        }
    }

    fn all_levels(&self) -> BTreeMap<String, i16> {
        let mut levels = self.levels.clone();
        if self.kraft_version > 0 {
            levels.insert(KRAFT_VERSION.to_owned(), self.kraft_version);
        }
        levels
    }
}

/// Base offsets of the segments that hold something at or above `from`.
fn segments(dir: &Path, from: i64) -> io::Result<Vec<i64>> {
    let mut offsets = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_str().unwrap_or_default();
        if name.ends_with(names::LOG) {
            offsets.extend(names::offset_of(name));
        }
    }
    offsets.sort_unstable();
    let below = offsets.partition_point(|base| *base <= from);
    Ok(offsets.split_off(below.saturating_sub(1)))
}

/// Reads the next whole batch of a file with `left` more bytes; false if there is none.
fn next_batch(file: &mut impl Read, left: &mut u64, bytes: &mut Vec<u8>) -> io::Result<bool> {
    if *left < LOG_OVERHEAD as u64 {
        return Ok(false);
    }
    bytes.resize(LOG_OVERHEAD, 0);
    file.read_exact(bytes)?;
    *left -= LOG_OVERHEAD as u64;
    let size = i32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    // A size beyond the end of the file is a torn batch, or the zeros of a file made in advance.
    let Some(size) = u64::try_from(size)
        .ok()
        .filter(|size| *size > 0 && size <= left)
    else {
        return Ok(false);
    };
    *left -= size;
    let size = usize::try_from(size).expect("it was an i32");
    bytes.resize(LOG_OVERHEAD + size, 0);
    file.read_exact(&mut bytes[LOG_OVERHEAD..])?;
    Ok(true)
}

/// What is at a level that this broker cannot work at, and what to do; none if all is well.
fn why_unsupported(levels: &BTreeMap<String, i16>) -> Option<String> {
    let mut problems = Vec::new();
    let mut lowered = Vec::new();
    for (name, level) in levels {
        let range = supported(name).map(|feature| feature.supported);
        let best = match range {
            Some(range) if range.contains(*level) => continue,
            Some(range) => {
                let shown = |level| shown_level(name, level);
                problems.push(match range.max {
                    0 => format!("{name} is at level {level}, which this broker does not have"),
                    max => format!(
                        "{name} is at level {}, this broker works at {} to {}",
                        shown(*level),
                        shown(range.min),
                        shown(max)
                    ),
                });
                range.max
            }
            None => {
                problems.push(format!("{name} is at level {level}, which is unknown here"));
                0
            }
        };
        if *level > best {
            lowered.push(format!("--feature {name}={best}"));
        }
    }
    if problems.is_empty() {
        return None;
    }
    let mut why = format!("its cluster uses {}.", problems.join("; "));
    if !lowered.is_empty() {
        let lowered = lowered.join(" ");
        let disabled: Vec<String> = SUPPORTED
            .iter()
            .filter(|feature| feature.supported.max < feature.known_max)
            .map(|feature| format!("--feature {}={}", feature.name, feature.supported.max))
            .collect();
        why.push_str(&format!(
            "\nTo go on with its data, run there: kafka-features.sh --bootstrap-server HOST:PORT \
             downgrade {lowered}\nTo begin with an empty folder: kafka-broker format, or \
             kafka-storage.sh format {}",
            disabled.join(" ")
        ));
    }
    Some(why)
}

fn shown_level(feature: &str, level: i16) -> String {
    match metadata_version_name(level).filter(|_| feature == METADATA_VERSION) {
        Some(name) => format!("{level} ({name})"),
        None => level.to_string(),
    }
}

#[cfg(test)]
mod tests;
