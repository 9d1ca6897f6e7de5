//! Writing to the active segment: data, then index entries, then the aborted transactions; all or nothing.

use std::fs::{File, OpenOptions};
use std::io;
use std::sync::Arc;

use kafka_shared::record::NO_TIMESTAMP;
use kafka_shared::record::batch::BatchHeader;

use super::super::config::LogConfig;
use super::super::offset_index;
use super::super::time_index::{self, TimeEntry};
use super::super::transaction_index::{self, AbortedTransaction};
use super::super::{fsx, names};
use super::{Indexes, LargestTimestamp, Segment};

/// Decides which batches get index entries while batches go by.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    interval_bytes: u64,
    bytes_since_entry: u64,
    largest: Option<TimeEntry>,
}

impl IndexBuilder {
    pub fn new(interval_bytes: i32) -> Self {
        let interval_bytes = u64::try_from(interval_bytes).unwrap_or(0);
        Self {
            interval_bytes,
            bytes_since_entry: 0,
            largest: None,
        }
    }

    /// Takes note of the next batch.
    pub fn add(
        &mut self,
        segment: &Segment,
        to: &mut Indexes,
        header: &BatchHeader,
        position: u64,
    ) {
        let relative_offset = segment.relative(header.last_offset());
        let newest = self.largest.map_or(NO_TIMESTAMP, |entry| entry.timestamp);
        if header.max_timestamp > newest || self.largest.is_none() {
            self.largest = Some(TimeEntry {
                timestamp: header.max_timestamp,
                relative_offset,
            });
        }
        if self.bytes_since_entry > self.interval_bytes
            && let Some(largest) = self.largest
        {
            to.add(relative_offset, position, largest);
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.size_in_bytes() as u64;
    }

    /// The largest timestamp that went by.
    pub fn largest(&self, segment: &Segment) -> LargestTimestamp {
        let none = TimeEntry {
            timestamp: NO_TIMESTAMP,
            relative_offset: 0,
        };
        let largest = self
            .largest
            .filter(|entry| entry.timestamp >= 0)
            .unwrap_or(none);
        let offset = segment.base_offset + i64::from(largest.relative_offset);
        LargestTimestamp {
            timestamp: largest.timestamp,
            offset,
        }
    }
}

/// The open files of the segment that is written to.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    segment: Arc<Segment>,
    file: Arc<File>,
    index_file: File,
    time_index_file: File,
    bytes_since_index_entry: u64,
    first_timestamp: Option<i64>,
    roll_jitter_ms: i64,
}

impl SegmentWriter {
    /// Opens the files and takes the indexes into memory.
    pub fn open(segment: Arc<Segment>, config: &LogConfig) -> io::Result<Self> {
        let (offset, time) = segment.read_indexes()?;
        segment.largest()?;
        let open = |suffix| {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(segment.path(suffix))
        };
        let (index_file, time_index_file) = (open(names::INDEX)?, open(names::TIME_INDEX)?);
        *segment.indexes.write() = Some(Indexes { offset, time });
        Ok(Self {
            file: segment.file()?,
            index_file,
            time_index_file,
            bytes_since_index_entry: 0,
            first_timestamp: segment.first_batch_timestamp()?,
            roll_jitter_ms: random_jitter_ms(config),
            segment,
        })
    }

    /// Whether the segment has to be closed before `bytes` more with these largest values.
    pub fn should_roll(
        &self,
        config: &LogConfig,
        bytes: usize,
        max_timestamp: i64,
        last_offset: i64,
        now_ms: i64,
    ) -> bool {
        let size = self.segment.size();
        let waited_ms = match self.first_timestamp.filter(|timestamp| *timestamp >= 0) {
            Some(first) => max_timestamp.saturating_sub(first),
            None => now_ms.saturating_sub(self.segment.created_ms),
        };
        let segment_bytes = u64::try_from(config.segment_bytes).unwrap_or(0);
        size + bytes as u64 > segment_bytes
            || (size > 0 && waited_ms > config.max_segment_ms() - self.roll_jitter_ms)
            || self.indexes_full(config)
            || !self.segment.can_hold(last_offset)
    }

    fn indexes_full(&self, config: &LogConfig) -> bool {
        self.segment.indexes.read().as_ref().is_some_and(|indexes| {
            indexes.offset.len() >= config.max_offset_index_entries()
                || indexes.time.len() >= config.max_time_index_entries().saturating_sub(1)
        })
    }

    /// Appends batches whose bytes are `parts` and whose headers are `headers`, then the aborted
    /// transactions that they complete.
    ///
    /// # Errors
    /// After an error the segment is as before, if [`SegmentWriter::roll_back`] succeeds.
    pub fn append(
        &mut self,
        parts: &[&[u8]],
        headers: impl Iterator<Item = BatchHeader>,
        aborted: &[AbortedTransaction],
        config: &LogConfig,
    ) -> io::Result<()> {
        let start = self.segment.size();
        fsx::write_all_at(&self.file, parts, start)?;

        let old = self.segment.largest()?;
        let mut builder = IndexBuilder {
            bytes_since_entry: self.bytes_since_index_entry,
            largest: (old.timestamp >= 0).then(|| TimeEntry {
                timestamp: old.timestamp,
                relative_offset: self.segment.relative(old.offset),
            }),
            ..IndexBuilder::new(config.index_interval_bytes)
        };
        let (mut added, mut end, mut first_timestamp) =
            (Indexes::default(), start, self.first_timestamp);
        for header in headers {
            first_timestamp = first_timestamp.or(Some(header.max_timestamp));
            builder.add(&self.segment, &mut added, &header, end);
            end += header.size_in_bytes() as u64;
        }
        self.write_index_entries(&mut added)?;
        self.segment.append_aborted(aborted)?;

        self.first_timestamp = first_timestamp;
        self.bytes_since_index_entry = builder.bytes_since_entry;
        if let Some(indexes) = &mut *self.segment.indexes.write() {
            indexes.offset.append(&mut added.offset);
            indexes.time.append(&mut added.time);
        }
        self.segment
            .set_largest(Some(builder.largest(&self.segment)));
        self.segment.set_size(end);
        Ok(())
    }

    /// Writes new entries behind those that the files hold; time entries that are not newer are dropped.
    fn write_index_entries(&self, added: &mut Indexes) -> io::Result<()> {
        if added.offset.is_empty() && added.time.is_empty() {
            return Ok(());
        }
        let (offsets, times, newest) = match &*self.segment.indexes.read() {
            Some(indexes) => (
                indexes.offset.len(),
                indexes.time.len(),
                indexes.time.last().copied(),
            ),
            None => (0, 0, None),
        };
        added
            .time
            .retain(|entry| newest.is_none_or(|last| entry.timestamp > last.timestamp));
        for (index, entry) in added.offset.iter().enumerate() {
            let position = ((offsets + index) * offset_index::ENTRY_SIZE) as u64;
            fsx::write_all_at(&self.index_file, &[&entry.to_bytes()], position)?;
        }
        for (index, entry) in added.time.iter().enumerate() {
            let position = ((times + index) * time_index::ENTRY_SIZE) as u64;
            fsx::write_all_at(&self.time_index_file, &[&entry.to_bytes()], position)?;
        }
        Ok(())
    }

    /// Takes back what a failed append wrote: all files get the lengths that memory knows.
    pub fn roll_back(&self) -> io::Result<()> {
        self.file.set_len(self.segment.size())?;
        let (offsets, times) = match &*self.segment.indexes.read() {
            Some(indexes) => (indexes.offset.len(), indexes.time.len()),
            None => (0, 0),
        };
        self.index_file
            .set_len((offsets * offset_index::ENTRY_SIZE) as u64)?;
        self.time_index_file
            .set_len((times * time_index::ENTRY_SIZE) as u64)?;
        if let Some(aborted) = &*self.segment.aborted.read() {
            let len = (aborted.len() * transaction_index::ENTRY_SIZE) as u64;
            match OpenOptions::new()
                .write(true)
                .open(self.segment.path(names::TXN_INDEX))
            {
                Ok(file) => file.set_len(len)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Closes the segment for writing: its time index ends with its largest timestamp from here on, and
    /// its indexes leave memory.
    pub fn finish(self) -> io::Result<()> {
        self.segment.add_final_time_entry(&self.time_index_file)?;
        *self.segment.indexes.write() = None;
        Ok(())
    }
}

impl Segment {
    fn add_final_time_entry(&self, file: &File) -> io::Result<()> {
        let largest = self.largest()?;
        let (count, newest) = match &*self.indexes.read() {
            Some(indexes) => (
                indexes.time.len(),
                indexes.time.last().map_or(NO_TIMESTAMP, |e| e.timestamp),
            ),
            None => return Ok(()),
        };
        if largest.timestamp <= newest {
            return Ok(());
        }
        let entry = TimeEntry {
            timestamp: largest.timestamp,
            relative_offset: self.relative(largest.offset),
        };
        fsx::write_all_at(
            file,
            &[&entry.to_bytes()],
            (count * time_index::ENTRY_SIZE) as u64,
        )
    }
}

fn random_jitter_ms(config: &LogConfig) -> i64 {
    let bound = config.segment_jitter_ms.min(config.segment_ms);
    if bound <= 0 {
        return 0;
    }
    let random = uuid::Uuid::new_v4().as_u128() as i64 & i64::MAX;
    random % bound
}
