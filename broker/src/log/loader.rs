//! Opening a partition folder.
//!
//! Order: leftovers of interrupted deletions, swaps and compactions → segments → recovery of what is not
//! known to be on disk → leader epochs and producer state cut to what is there.
//! Kafka: `LogLoader`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use kafka_shared::types::TopicPartition;
use parking_lot::{Mutex, RwLock};

use super::config::LogConfig;
use super::error::LogError;
use super::leader_epoch_cache::LeaderEpochs;
use super::producer_snapshot::Snapshots;
use super::producer_state::ProducerStates;
use super::recovery::{self, Source};
use super::segment::{PartitionDir, Segment};
use super::segments::Segments;
use super::{
    Log, LogContext, LogOffsetMetadata, LogOpenOptions, Offsets, Producers, TopicId, Writer, fsx,
    names, partition_metadata,
};

impl Log {
    /// Opens a partition folder, or creates it.
    ///
    /// # Errors
    /// [`LogError::Storage`], and the folder of `log.dirs` goes out of service, when the disk fails;
    /// INCONSISTENT_TOPIC_ID when the folder belongs to another topic.
    pub fn open(
        path: PathBuf,
        topic_partition: TopicPartition,
        config: Arc<LogConfig>,
        context: Arc<LogContext>,
        options: LogOpenOptions,
    ) -> Result<Arc<Log>, LogError> {
        let dir = context.dir.clone();
        let what = format!("cannot open {topic_partition}");
        let log = dir.guard(&what, || {
            Loader {
                path,
                tp: topic_partition,
                config,
                context,
                options,
            }
            .load()
        })?;
        if let Some(topic_id) = options.topic_id {
            log.assign_topic_id(topic_id)?;
            log.write_topic_id(false)?;
        }
        Ok(Arc::new(log))
    }
}

struct Loader {
    path: PathBuf,
    tp: TopicPartition,
    config: Arc<LogConfig>,
    context: Arc<LogContext>,
    options: LogOpenOptions,
}

/// How the segments are to be opened.
enum Start {
    /// Read through from the segment at this place on.
    Recover(usize),
    /// As they are; the log ends here, if there are any.
    Intact(Option<i64>),
}

/// The files of a partition folder.
#[derive(Debug, Default)]
struct Files {
    /// Sizes of the `.log` files by base offset.
    logs: BTreeMap<i64, u64>,
    /// Base offsets that have an offset index, and those that have a time index.
    indexes: Vec<i64>,
    time_indexes: Vec<i64>,
    txn_indexes: Vec<i64>,
    snapshots: Vec<i64>,
}

impl Loader {
    fn load(self) -> io::Result<Log> {
        fs::create_dir_all(&self.path)?;
        finish_interrupted(&self.path)?;
        let files = list_files(&self.path)?;
        remove_orphans(&self.path, &files)?;
        let epochs = LeaderEpochs::load(&self.path)?;
        let folder = PartitionDir::new(self.path.clone());
        let now_ms = self.context.clock.wall_ms();
        let mut segments: Vec<Arc<Segment>> = files
            .logs
            .iter()
            .map(|(base, size)| Segment::existing(folder.clone(), *base, *size, now_ms))
            .collect();
        let snapshots = Snapshots::new(files.snapshots.iter().copied());
        let mut producers = Producers {
            states: ProducerStates::default(),
            snapshots,
        };

        let mut log_end = match self.first_to_recover(&segments, &files)? {
            Start::Recover(first) => {
                Some(self.recover(&mut segments, first, &mut producers, &epochs)?)
            }
            Start::Intact(end) => end,
        };
        let start_checkpoint = self.options.log_start_offset;
        if log_end.is_some_and(|end| end < start_checkpoint) {
            tracing::warn!(
                tp = %self.tp, ?log_end, start_checkpoint,
                "the log ends before its start offset: its files were removed; starting over"
            );
            self.remove(&mut producers, segments.drain(..))?;
            epochs.clear();
            producers.snapshots.clear(&self.path)?;
            log_end = None;
        }
        if segments.is_empty() {
            segments.push(Segment::create(folder.clone(), start_checkpoint, now_ms)?);
        }
        let segments = Segments::new(segments);
        let end = log_end.unwrap_or(start_checkpoint);
        epochs.truncate_from_end(end);
        epochs.truncate_from_start(start_checkpoint);
        let log_start = start_checkpoint.max(segments.first().base_offset());
        self.load_producers(&mut producers, &segments, log_start, end)?;
        let recovery_point = if self.options.clean {
            end
        } else {
            self.options.recovery_point.min(end).max(0)
        };
        self.assemble(
            folder,
            segments,
            epochs,
            producers,
            (log_start, end, recovery_point),
        )
    }

    fn assemble(
        &self,
        folder: Arc<PartitionDir>,
        segments: Segments,
        epochs: LeaderEpochs,
        mut producers: Producers,
        (log_start_offset, end, recovery_point): (i64, i64, i64),
    ) -> io::Result<Log> {
        let active = segments.last();
        let log_end = LogOffsetMetadata {
            message_offset: end,
            segment_base_offset: active.base_offset(),
            relative_position: i64::try_from(active.size()).unwrap_or(-1),
        };
        let high_watermark = if end == log_start_offset {
            log_end
        } else {
            LogOffsetMetadata::offset_only(log_start_offset)
        };
        producers.states.forget_decided_below(log_start_offset);
        let first_unstable = super::append::clip_to_start(
            producers.states.first_unstable_offset(),
            log_start_offset,
        );
        let id = partition_metadata::read(&self.path)?;
        segments.iter().for_each(|segment| segment.release_file());
        Ok(Log {
            topic_partition: self.tp.clone(),
            context: self.context.clone(),
            folder,
            topic_id: RwLock::new(TopicId { id, dirty: false }),
            config: ArcSwap::new(self.config.clone()),
            segments: ArcSwap::from_pointee(segments),
            offsets: RwLock::new(Offsets {
                log_start_offset,
                log_end,
                high_watermark,
                first_unstable,
                recovery_point: recovery_point.max(log_start_offset),
                flush_requested: 0,
                truncations: 0,
                last_flush_ms: self.context.clock.wall_ms(),
            }),
            epochs,
            producers: Mutex::new(producers),
            writer: Mutex::new(Writer::default()),
            retired: AtomicBool::new(false),
        })
    }

    /// After an unclean shutdown the segment that holds the recovery point has to be read through with all that
    /// follow, and always one without indexes or whose last batch is torn.
    fn first_to_recover(&self, segments: &[Arc<Segment>], files: &Files) -> io::Result<Start> {
        let lacks_index = segments.iter().position(|segment| {
            let base = segment.base_offset();
            let has = |list: &[i64]| list.binary_search(&base).is_ok();
            segment.size() > 0 && !(has(&files.indexes) && has(&files.time_indexes))
        });
        let unclean = (!self.options.clean && !segments.is_empty()).then(|| {
            let point = self.options.recovery_point;
            segments
                .partition_point(|s| s.base_offset() <= point)
                .saturating_sub(1)
        });
        if let Some(first) = lacks_index.into_iter().chain(unclean).min() {
            return Ok(Start::Recover(first));
        }
        let Some(last) = segments.last() else {
            return Ok(Start::Intact(None));
        };
        match last.next_offset()? {
            (end, true) => Ok(Start::Intact(Some(end))),
            (_, false) => Ok(Start::Recover(segments.len() - 1)),
        }
    }

    /// Reads segments through from `first` on. Returns the log end offset. Where one has to be cut, all that
    /// follow are removed.
    fn recover(
        &self,
        segments: &mut Vec<Arc<Segment>>,
        first: usize,
        producers: &mut Producers,
        epochs: &LeaderEpochs,
    ) -> io::Result<i64> {
        let base = segments[first].base_offset();
        let source = Source {
            dir: &self.path,
            tp: &self.tp,
            segments: &segments[..first],
        };
        let log_start = self.options.log_start_offset;
        recovery::load_producers(producers, &source, log_start, base, self.expiry())?;
        let mut next_offset = base;
        for index in first..segments.len() {
            let segment = segments[index].clone();
            if segment.base_offset() < next_offset {
                // Two segments that overlap: the later one cannot be trusted.
                self.remove(producers, segments.drain(index..))?;
                break;
            }
            producers.states.set_map_end_offset(segment.base_offset());
            producers
                .snapshots
                .take(&self.path, &producers.states, false)?;
            let recovered = recovery::recover_segment(
                &segment,
                &self.tp,
                &mut producers.states,
                epochs,
                self.config.index_interval_bytes,
            )?;
            next_offset = recovered.next_offset;
            if recovered.truncated > 0 {
                self.remove(producers, segments.drain(index + 1..))?;
                break;
            }
        }
        Ok(next_offset)
    }

    fn remove(
        &self,
        producers: &mut Producers,
        segments: impl Iterator<Item = Arc<Segment>>,
    ) -> io::Result<()> {
        let mut renamed = Vec::new();
        for segment in segments {
            tracing::warn!(tp = %self.tp, segment = segment.base_offset(), "removing a segment");
            renamed.append(&mut segment.mark_deleted()?);
            renamed.extend(
                producers
                    .snapshots
                    .mark_deleted(&self.path, segment.base_offset())?,
            );
        }
        let due_ms = self
            .context
            .clock
            .wall_ms()
            .saturating_add(self.config.file_delete_delay_ms);
        self.context.deletions.add(due_ms, renamed);
        Ok(())
    }

    fn load_producers(
        &self,
        producers: &mut Producers,
        segments: &Segments,
        log_start: i64,
        end: i64,
    ) -> io::Result<()> {
        let bases: Vec<i64> = segments
            .iter()
            .map(|segment| segment.base_offset())
            .collect();
        producers.snapshots.remove_strays(&self.path, &bases)?;
        let known = producers.states.map_end_offset() == end && end > log_start;
        if known {
            // Recovery has just read everything.
        } else if self.options.clean && producers.snapshots.latest().is_none() {
            // A folder that was shut down in order and has no snapshot knows of no producer.
            producers.states.set_map_end_offset(end);
        } else {
            let source = Source {
                dir: &self.path,
                tp: &self.tp,
                segments: segments.from(0),
            };
            recovery::load_producers(producers, &source, log_start, end, self.expiry())?;
        }
        producers
            .snapshots
            .take(&self.path, &producers.states, false)
    }

    /// Now, and how long a silent producer is remembered.
    fn expiry(&self) -> (i64, i64) {
        let expiration_ms = self
            .context
            .producer_id_expiration_ms
            .load(Ordering::Relaxed);
        (self.context.clock.wall_ms(), expiration_ms)
    }
}

/// Brings deletions, swaps and compactions that a crash interrupted to their end.
///
/// `.deleted` files go. `.cleaned` files are an unfinished compaction and go, and with them the `.swap` files at
/// or behind the lowest of them. Other `.swap` files are a finished compaction: they replace the segments whose
/// offsets they cover.
fn finish_interrupted(dir: &Path) -> io::Result<()> {
    let (mut cleaned, mut swaps) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(names::DELETED) && !name.ends_with(".checkpoint.deleted") {
            fsx::remove_if_exists(&entry.path())?;
        } else if let (true, Some(offset)) =
            (name.ends_with(names::CLEANED), names::offset_of(name))
        {
            cleaned.push((offset, entry.path()));
        } else if let (true, Some(offset)) = (name.ends_with(names::SWAP), names::offset_of(name)) {
            swaps.push((offset, entry.path()));
        }
    }
    let lowest_cleaned = cleaned
        .iter()
        .map(|(offset, _)| *offset)
        .min()
        .unwrap_or(i64::MAX);
    for (offset, path) in &swaps {
        if *offset >= lowest_cleaned {
            fsx::remove_if_exists(path)?;
        }
    }
    for (_, path) in &cleaned {
        fsx::remove_if_exists(path)?;
    }
    swaps.retain(|(offset, _)| *offset < lowest_cleaned);
    if swaps.is_empty() {
        Ok(())
    } else {
        finish_swap(dir, &swaps)
    }
}

fn finish_swap(dir: &Path, swaps: &[(i64, PathBuf)]) -> io::Result<()> {
    let mut covered: Option<(i64, i64)> = None;
    for (offset, path) in swaps {
        if !path
            .to_string_lossy()
            .ends_with(&format!("{}{}", names::LOG, names::SWAP))
        {
            continue;
        }
        let end = end_offset_of(path, *offset)?;
        let (low, high) = covered.unwrap_or((*offset, end));
        covered = Some((low.min(*offset), high.max(end)));
    }
    if let Some((low, high)) = covered {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.ends_with(names::SWAP)) else {
                continue;
            };
            if entry.file_type()?.is_file()
                && names::offset_of(name).is_some_and(|offset| offset >= low && offset < high)
            {
                tracing::info!(file = name, "removing a segment file that was compacted");
                fsx::remove_if_exists(&entry.path())?;
            }
        }
    }
    for (_, path) in swaps {
        let name = path.to_string_lossy();
        fsx::rename(path, Path::new(name.trim_end_matches(names::SWAP)))?;
    }
    fsx::fsync_dir(dir)
}

/// The offset behind the last batch of a `.log.swap` file.
fn end_offset_of(path: &Path, base_offset: i64) -> io::Result<i64> {
    let file = fs::File::open(path)?;
    let size = file.metadata()?.len();
    let mut end = base_offset;
    let mut scan =
        super::file_records::HeaderScan::new(&file, 0, size, super::file_records::SCAN_WINDOW);
    while let Some(batch) = scan.next()? {
        end = batch.header.next_offset();
    }
    Ok(end)
}

fn list_files(dir: &Path) -> io::Result<Files> {
    let mut files = Files::default();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let (Some(offset), Some(dot)) = (names::offset_of(name), name.find('.')) else {
            continue;
        };
        match &name[dot..] {
            names::LOG => {
                files.logs.insert(offset, entry.metadata()?.len());
            }
            names::INDEX => files.indexes.push(offset),
            names::TIME_INDEX => files.time_indexes.push(offset),
            names::TXN_INDEX => files.txn_indexes.push(offset),
            names::SNAPSHOT => files.snapshots.push(offset),
            _ => {}
        }
    }
    files.indexes.sort_unstable();
    files.time_indexes.sort_unstable();
    Ok(files)
}

/// Removes index files without a log.
fn remove_orphans(dir: &Path, files: &Files) -> io::Result<()> {
    let kinds = [
        (&files.indexes, names::INDEX),
        (&files.time_indexes, names::TIME_INDEX),
        (&files.txn_indexes, names::TXN_INDEX),
    ];
    for (offsets, suffix) in kinds {
        for offset in offsets
            .iter()
            .filter(|offset| !files.logs.contains_key(offset))
        {
            let path = names::file(dir, *offset, suffix);
            tracing::warn!(path = %path.display(), "removing an index without a log");
            fsx::remove_if_exists(&path)?;
        }
    }
    Ok(())
}
