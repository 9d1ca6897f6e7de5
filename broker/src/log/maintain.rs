//! What keeps a log in shape: flush, roll, retention, truncation, high watermark, log start, close.
//!
//! Invariants:
//! - `recovery_point` moves up only after an fsync of everything below it, and never above the log end.
//! - A segment that is removed gets the `.deleted` suffix first; its files go `file.delete.delay.ms` later.
//! - A new segment list is published before the offsets that point into it.
//!
//! Kafka: `UnifiedLog`, `LocalLog`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::append::clip_to_start;
use super::config::LogConfig;
use super::error::LogError;
use super::partition_metadata;
use super::producer_snapshot::Snapshots;
use super::retention::{self, Limits, SegmentInfo};
use super::segment::{Segment, SegmentWriter};
use super::segments::Segments;
use super::{AppendInfo, Log, LogOffsetMetadata, Writer, fsx};

impl Log {
    /// Sets the high watermark, clipped to [log start, log end]. Returns the value set.
    pub fn update_high_watermark(&self, offset: i64) -> i64 {
        self.set_high_watermark(LogOffsetMetadata::offset_only(offset), false);
        self.high_watermark()
    }

    /// Raises the high watermark. Returns the old one when it moved.
    ///
    /// Also takes a place in a newer segment for the same offset, so that delayed fetches notice a roll.
    pub fn maybe_increment_high_watermark(
        &self,
        offset: LogOffsetMetadata,
    ) -> Option<LogOffsetMetadata> {
        self.set_high_watermark(offset, true)
    }

    /// Returns the old high watermark when it changed.
    fn set_high_watermark(
        &self,
        wanted: LogOffsetMetadata,
        only_raise: bool,
    ) -> Option<LogOffsetMetadata> {
        let mut producers = self.producers.lock();
        let mut offsets = self.offsets.write();
        let old = offsets.high_watermark;
        let new = if wanted.message_offset < offsets.log_start_offset {
            LogOffsetMetadata::offset_only(offsets.log_start_offset)
        } else if wanted.message_offset >= offsets.log_end.message_offset {
            offsets.log_end
        } else {
            wanted
        };
        let raises = old.message_offset < new.message_offset
            || (old.message_offset == new.message_offset && old.on_older_segment(&new));
        let changes = if only_raise { raises } else { old != new };
        if !changes {
            return None;
        }
        offsets.high_watermark = new;
        producers.states.forget_decided_below(new.message_offset);
        let first_unstable = producers.states.first_unstable_offset();
        offsets.first_unstable = clip_to_start(first_unstable, offsets.log_start_offset);
        Some(old)
    }

    /// Raises the log start offset (DeleteRecords, or a follower's leader has raised it). Returns whether it
    /// moved.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] above the high watermark.
    pub fn maybe_increment_log_start_offset(&self, offset: i64) -> Result<bool, LogError> {
        let _writer = self.lock_writer()?;
        self.raise_log_start(offset)
    }

    fn raise_log_start(&self, offset: i64) -> Result<bool, LogError> {
        let mut producers = self.producers.lock();
        {
            let mut offsets = self.offsets.write();
            if offset > offsets.high_watermark.message_offset {
                return Err(LogError::OffsetOutOfRange {
                    offset,
                    log_start_offset: offsets.log_start_offset,
                    log_end_offset: offsets.high_watermark.message_offset,
                });
            }
            if offset <= offsets.log_start_offset {
                return Ok(false);
            }
            offsets.log_start_offset = offset;
            offsets.recovery_point = offsets.recovery_point.max(offset);
            producers.states.forget_decided_below(offset);
            if producers.states.map_end_offset() < offset {
                producers.states.set_map_end_offset(offset);
            }
            let first_unstable = producers.states.first_unstable_offset();
            offsets.first_unstable = clip_to_start(first_unstable, offset);
        }
        producers.snapshots.on_log_start_moved(offset);
        self.epochs.truncate_from_start(offset);
        Ok(true)
    }

    /// Writes `partition.metadata` and the leader epochs durably when they have changed: before records come
    /// that depend on them.
    pub(super) fn persist_small_files(&self) -> Result<(), LogError> {
        self.write_topic_id(true)?;
        if self.epochs.is_dirty() {
            self.guard("cannot write leader epochs", || {
                self.epochs.persist(&self.folder.path())
            })?;
        }
        Ok(())
    }

    /// Writes `partition.metadata` if that is pending. Without `sync` it survives the death of this process but
    /// not a power loss, costs little, and is written again before the first append.
    pub(super) fn write_topic_id(&self, sync: bool) -> Result<(), LogError> {
        let topic_id = *self.topic_id.read();
        if let (true, Some(id)) = (topic_id.dirty, topic_id.id) {
            self.guard("cannot write partition.metadata", || {
                partition_metadata::write(&self.folder.path(), id, sync)
            })?;
            if sync {
                self.topic_id.write().dirty = false;
            }
        }
        Ok(())
    }

    fn guard<T>(
        &self,
        what: &str,
        operation: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, LogError> {
        self.context.dir.check_online()?;
        let renames = self.folder.renames();
        operation().map_err(|error| {
            let what = format!("{what} of {}", self.topic_partition);
            // A file that was looked for where it is not any more.
            let is_moved = self.is_retired() || self.folder.was_renamed_since(renames);
            if error.kind() == io::ErrorKind::NotFound && is_moved {
                return LogError::storage(&what, &error);
            }
            self.context.dir.fail(&what, &error)
        })
    }

    /// Whether the partition is being deleted or set aside.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Opens the active segment for writing, and rolls to a new one when this append needs it. Returns the
    /// segment that takes the append.
    pub(super) fn maybe_roll(
        &self,
        writer: &mut Writer,
        bytes: usize,
        info: &AppendInfo,
        config: &LogConfig,
    ) -> Result<Arc<Segment>, LogError> {
        self.open_active(writer, config)?;
        let active = writer
            .active
            .as_ref()
            .expect("it was opened in the line above");
        let now_ms = self.context.clock.wall_ms();
        if active.should_roll(config, bytes, info.max_timestamp, info.last_offset, now_ms) {
            self.roll_to(writer, info.first_offset, config)?;
        }
        Ok(self.segments.load().last().clone())
    }

    fn open_active(&self, writer: &mut Writer, config: &LogConfig) -> Result<(), LogError> {
        if writer.active.is_none() {
            let segment = self.segments.load().last().clone();
            writer.active = Some(self.guard("cannot open the active segment", || {
                SegmentWriter::open(segment, config)
            })?);
        }
        Ok(())
    }

    /// Starts a new segment at the log end, or at `expected_offset` when that is higher.
    pub fn roll(&self, expected_offset: Option<i64>) -> Result<(), LogError> {
        let mut writer = self.lock_writer()?;
        let config = self.config.load();
        self.open_active(&mut writer, &config)?;
        self.roll_to(&mut writer, expected_offset.unwrap_or(0), &config)
    }

    fn roll_to(
        &self,
        writer: &mut Writer,
        expected_offset: i64,
        config: &LogConfig,
    ) -> Result<(), LogError> {
        let base_offset = expected_offset.max(self.log_end_offset());
        let segments = self.segments.load_full();
        let active = segments.last();
        let is_empty_at_base = active.base_offset() == base_offset && active.size() == 0;
        if base_offset < active.base_offset()
            || (active.base_offset() == base_offset && !is_empty_at_base)
        {
            let message = format!(
                "cannot roll {} to offset {base_offset}: its active segment starts at {}",
                self.topic_partition,
                active.base_offset()
            );
            return Err(LogError::Storage { message });
        }
        let now_ms = self.context.clock.wall_ms();
        let old = writer.active.take();
        self.guard("cannot roll", || {
            old.map_or(Ok(()), SegmentWriter::finish)?;
            let segment = Segment::create(self.folder.clone(), base_offset, now_ms)?;
            writer.active = Some(SegmentWriter::open(segment.clone(), config)?);
            let list = if is_empty_at_base && segments.len() > 1 {
                segments.first_n(segments.len() - 1).with(segment)
            } else if is_empty_at_base {
                Segments::new(vec![segment])
            } else {
                segments.with(segment)
            };
            self.segments.store(Arc::new(list));
            self.producers.lock().states.set_map_end_offset(base_offset);
            self.write_snapshot(false)
        })?;
        let mut offsets = self.offsets.write();
        let old_end = offsets.log_end;
        offsets.log_end = LogOffsetMetadata {
            message_offset: old_end.message_offset,
            segment_base_offset: base_offset,
            relative_position: 0,
        };
        if offsets.high_watermark.message_offset == old_end.message_offset {
            offsets.high_watermark = offsets.log_end;
        }
        offsets.flush_requested = offsets.flush_requested.max(base_offset);
        tracing::debug!(tp = %self.topic_partition, base_offset, "rolled to a new segment");
        Ok(())
    }

    /// Makes everything that is appended so far durable. With `force_active` also the indexes of the active
    /// segment, as before a clean shutdown.
    pub fn flush(&self, force_active: bool) -> Result<(), LogError> {
        self.flush_up_to(self.log_end_offset(), force_active)
    }

    /// Makes everything below `offset` durable and moves the recovery point there. Appends may go on.
    pub fn flush_up_to(&self, offset: i64, force_active: bool) -> Result<(), LogError> {
        let before = *self.offsets.read();
        let offset = offset.min(before.log_end.message_offset);
        if offset <= before.recovery_point && !force_active {
            return Ok(());
        }
        let segments = self.segments.load_full();
        let active_base = segments.last().base_offset();
        let path = self.folder.path();
        self.guard("cannot flush", || {
            let end = if force_active { i64::MAX } else { offset };
            for segment in segments.range(before.recovery_point, end) {
                let everything = force_active || segment.base_offset() < active_base;
                segment.sync(everything)?;
            }
            if segments.last().base_offset() >= before.recovery_point {
                fsx::fsync_dir_if_exists(&path)?;
            }
            if segments.first().base_offset() >= before.recovery_point {
                // The partition folder itself may be new.
                fsx::fsync_dir_if_exists(self.context.dir.path())?;
            }
            Ok(())
        })?;
        let mut offsets = self.offsets.write();
        if offsets.truncations == before.truncations {
            offsets.recovery_point = offsets
                .recovery_point
                .max(offset)
                .min(offsets.log_end.message_offset);
            offsets.last_flush_ms = self.context.clock.wall_ms();
        }
        Ok(())
    }

    /// Flushes what rolling and `flush.ms` ask for. Called about once a second.
    pub fn flush_if_needed(&self, now_ms: i64) -> Result<(), LogError> {
        let offsets = *self.offsets.read();
        // What belongs to a log without records is written with the first ones, or at shutdown.
        if offsets.log_end.message_offset > 0 {
            self.persist_small_files()?;
        }
        if now_ms.saturating_sub(offsets.last_flush_ms) >= self.config.load().flush_ms {
            self.flush(false)
        } else if offsets.flush_requested > offsets.recovery_point {
            self.flush_up_to(offsets.flush_requested, false)
        } else {
            Ok(())
        }
    }

    /// Removes the oldest segments that retention asks for. A topic that is only compacted loses nothing but
    /// what lies below the log start. Returns how many went.
    pub fn delete_old_segments(&self) -> Result<usize, LogError> {
        let config = self.config.load();
        let mut deleted = 0;
        let (first, start) = (self.first_segment_base_offset(), self.log_start_offset());
        if start > first && self.number_of_segments() > 1 {
            deleted += self.delete_oldest(retention::below_log_start)?;
        }
        if config.delete && config.retention_bytes >= 0 && self.size() > 0 {
            deleted += self.delete_oldest(retention::over_size)?;
        }
        if config.delete && config.retention_ms >= 0 && self.size() > 0 {
            deleted += self.delete_oldest(retention::over_age)?;
        }
        Ok(deleted)
    }

    fn delete_oldest(
        &self,
        decide: fn(&[SegmentInfo], &Limits) -> usize,
    ) -> Result<usize, LogError> {
        let mut writer = self.lock_writer()?;
        let config = self.config.load_full();
        let offsets = *self.offsets.read();
        let segments = self.segments.load_full();
        let infos = self.guard("cannot look at segments", || {
            segments
                .iter()
                .map(|segment| {
                    Ok(SegmentInfo {
                        base_offset: segment.base_offset(),
                        size: segment.size(),
                        largest_ms: segment.largest_or_modified_ms()?,
                    })
                })
                .collect::<io::Result<Vec<_>>>()
        })?;
        let limits = Limits {
            log_start_offset: offsets.log_start_offset,
            high_watermark: offsets.high_watermark.message_offset,
            log_end_offset: offsets.log_end.message_offset,
            now_ms: self.context.clock.wall_ms(),
            retention_ms: config.retention_ms,
            retention_bytes: config.retention_bytes,
        };
        let count = decide(&infos, &limits);
        if count == 0 {
            return Ok(0);
        }
        if count == segments.len() {
            self.open_active(&mut writer, &config)?;
            self.roll_to(&mut writer, 0, &config)?;
        }
        let segments = self.segments.load_full();
        let remaining = segments.without_first(count);
        let log_start = remaining.first().base_offset();
        let old = segments.iter().take(count).cloned().collect::<Vec<_>>();
        self.segments.store(Arc::new(remaining));
        self.raise_log_start(log_start)?;
        tracing::info!(
            tp = %self.topic_partition, count, log_start,
            "retention removes the oldest segments"
        );
        self.remove_segments(&old, &config)?;
        Ok(count)
    }

    /// Renames the files of segments that left the list, and their snapshots, for removal later on.
    fn remove_segments(&self, old: &[Arc<Segment>], config: &LogConfig) -> Result<(), LogError> {
        let due_ms = self
            .context
            .clock
            .wall_ms()
            .saturating_add(config.file_delete_delay_ms);
        let path = self.folder.path();
        let renamed = self.guard("cannot remove segments", || {
            let mut producers = self.producers.lock();
            let mut renamed = Vec::new();
            for segment in old {
                renamed.append(&mut segment.mark_deleted()?);
                renamed.extend(
                    producers
                        .snapshots
                        .mark_deleted(&path, segment.base_offset())?,
                );
            }
            Ok(renamed)
        })?;
        self.context.deletions.add(due_ms, renamed);
        Ok(())
    }

    /// Cuts the log so that it ends at `offset`. Returns whether anything was cut. The caller has to write the
    /// recovery point checkpoint before the log grows again beyond it.
    pub fn truncate_to(&self, offset: i64) -> Result<bool, LogError> {
        let mut writer = self.lock_writer()?;
        let offset = offset.max(0);
        if offset >= self.log_end_offset() {
            self.epochs.truncate_from_end(self.log_end_offset());
            return Ok(false);
        }
        let segments = self.segments.load_full();
        if segments.first().base_offset() > offset {
            self.restart_at(&mut writer, offset, offset)?;
            return Ok(true);
        }
        tracing::info!(tp = %self.topic_partition, offset, "truncating");
        let config = self.config.load_full();
        writer.active = None;
        let keep = segments
            .iter()
            .take_while(|s| s.base_offset() <= offset)
            .count();
        let remaining = segments.first_n(keep);
        let active = remaining.last().clone();
        {
            let mut offsets = self.offsets.write();
            offsets.truncations += 1;
            offsets.recovery_point = offsets.recovery_point.min(offset);
        }
        self.segments.store(Arc::new(remaining));
        self.remove_segments(segments.from(keep), &config)?;
        self.guard("cannot truncate", || active.truncate_to(offset))?;
        self.epochs.truncate_from_end(offset);
        {
            let mut offsets = self.offsets.write();
            offsets.log_end = LogOffsetMetadata {
                message_offset: offset,
                segment_base_offset: active.base_offset(),
                relative_position: i64::try_from(active.size()).unwrap_or(-1),
            };
            offsets.log_start_offset = offsets.log_start_offset.min(offset);
            offsets.flush_requested = offsets.flush_requested.min(offset);
            if offsets.high_watermark.message_offset >= offset {
                offsets.high_watermark = offsets.log_end;
            }
        }
        self.rebuild_producers(offset)?;
        self.persist_small_files()?;
        Ok(true)
    }

    /// Drops everything; the log goes on, empty, at `offset`. `log_start_offset` may lie below it.
    pub fn truncate_fully_and_start_at(
        &self,
        offset: i64,
        log_start_offset: Option<i64>,
    ) -> Result<(), LogError> {
        let mut writer = self.lock_writer()?;
        self.restart_at(&mut writer, offset, log_start_offset.unwrap_or(offset))
    }

    fn restart_at(
        &self,
        writer: &mut Writer,
        offset: i64,
        log_start_offset: i64,
    ) -> Result<(), LogError> {
        tracing::info!(tp = %self.topic_partition, offset, "dropping all records");
        let config = self.config.load_full();
        writer.active = None;
        {
            let mut offsets = self.offsets.write();
            offsets.truncations += 1;
            offsets.recovery_point = offsets.recovery_point.min(offset);
        }
        let old = self.segments.load_full();
        self.remove_segments(old.from(0), &config)?;
        let now_ms = self.context.clock.wall_ms();
        let segment = self.guard("cannot create a segment", || {
            Segment::create(self.folder.clone(), offset, now_ms)
        })?;
        self.segments.store(Arc::new(Segments::new(vec![segment])));
        self.epochs.clear();
        let path = self.folder.path();
        let mut producers = self.producers.lock();
        producers.states.reset(offset);
        self.guard("cannot remove snapshots", || {
            producers.snapshots.clear(&path)
        })?;
        {
            let mut offsets = self.offsets.write();
            offsets.log_end = LogOffsetMetadata {
                message_offset: offset,
                segment_base_offset: offset,
                relative_position: 0,
            };
            offsets.high_watermark = offsets.log_end;
            offsets.log_start_offset = log_start_offset;
            offsets.first_unstable = None;
            offsets.flush_requested = 0;
        }
        drop(producers);
        self.persist_small_files()
    }

    /// Reads the producers' state of everything below `end_offset` anew.
    fn rebuild_producers(&self, end_offset: i64) -> Result<(), LogError> {
        let segments = self.segments.load_full();
        let log_start = self.log_start_offset();
        let mut producers = self.producers.lock();
        let producers = &mut *producers;
        let now_ms = self.context.clock.wall_ms();
        let expiration = self
            .context
            .producer_id_expiration_ms
            .load(Ordering::Relaxed);
        self.guard("cannot rebuild producer state", || {
            let path = self.folder.path();
            super::recovery::load_producers(
                producers,
                &super::recovery::Source {
                    dir: &path,
                    tp: &self.topic_partition,
                    segments: segments.from(0),
                },
                log_start,
                end_offset,
                (now_ms, expiration),
            )?;
            producers.take_snapshot(&path)
        })?;
        let mut offsets = self.offsets.write();
        let high_watermark = offsets.high_watermark.message_offset;
        producers.states.forget_decided_below(high_watermark);
        let first_unstable = producers.states.first_unstable_offset();
        offsets.first_unstable = clip_to_start(first_unstable, offsets.log_start_offset);
        Ok(())
    }

    /// Writes a producer snapshot at the log end.
    pub fn take_producer_snapshot(&self) -> Result<(), LogError> {
        let _writer = self.lock_writer()?;
        self.take_snapshot()
    }

    fn take_snapshot(&self) -> Result<(), LogError> {
        self.guard("cannot write a producer snapshot", || {
            self.write_snapshot(true)
        })
    }

    /// Writes a snapshot when the producers' state has moved on. The caller is the writer; the lock on the state
    /// is not held while the file is written.
    fn write_snapshot(&self, sync: bool) -> io::Result<()> {
        let Some((offset, content)) = self.producers.lock().prepare_snapshot() else {
            return Ok(());
        };
        Snapshots::write(&self.folder.path(), offset, &content, sync)?;
        self.producers.lock().snapshots.taken(offset);
        Ok(())
    }

    /// Flushes and closes: after it, all files are as a clean shutdown leaves them. Reads may go on.
    pub fn close(&self) -> Result<(), LogError> {
        let mut writer = self.lock_writer()?;
        if self.log_end_offset() > 0 {
            self.persist_small_files()?;
        } else {
            // The epochs of a log without records are dropped when it is opened.
            self.write_topic_id(false)?;
        }
        if let Some(active) = writer.active.take() {
            self.guard("cannot close the active segment", || active.finish())?;
            self.flush(true)?;
        } else if self.recovery_point() < self.log_end_offset() {
            self.flush(true)?;
        }
        self.take_snapshot()?;
        writer.closed = true;
        Ok(())
    }

    /// Stops all writes without touching the disk: the folder went out of service or is handed over.
    pub fn close_handlers(&self) {
        let mut writer = self.writer.lock();
        writer.active = None;
        writer.closed = true;
    }

    /// Takes back that the log was closed with a rename.
    pub(super) fn reopen(&self) {
        self.writer.lock().closed = false;
        self.retired.store(false, Ordering::Release);
    }

    /// Renames the partition folder within its log folder, and with `close` stops all writes.
    pub(super) fn rename_folder(&self, name: &str, close: bool) -> Result<PathBuf, LogError> {
        self.rename_folder_by(name, close, fsx::rename_durably)
    }

    /// As [`Log::rename_folder`], but the caller has to sync the log folder.
    pub(super) fn rename_folder_unsynced(
        &self,
        name: &str,
        close: bool,
    ) -> Result<PathBuf, LogError> {
        self.rename_folder_by(name, close, fsx::rename)
    }

    fn rename_folder_by(
        &self,
        name: &str,
        close: bool,
        rename: fn(&Path, &Path) -> io::Result<()>,
    ) -> Result<PathBuf, LogError> {
        let mut writer = self.writer.lock();
        let new = self.folder.path().with_file_name(name);
        self.retired.fetch_or(close, Ordering::AcqRel);
        self.guard("cannot rename the folder", || {
            self.folder.rename(new.clone(), rename)
        })?;
        if close {
            writer.active = None;
            writer.closed = true;
        }
        Ok(new)
    }
}
