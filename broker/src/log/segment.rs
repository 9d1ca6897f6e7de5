//! One segment: a `.log` file with its offset, time and transaction index.
//!
//! Invariants:
//! - `size` is published after the bytes are written; readers never look behind it.
//! - The offset and time index of the segment that is written to are in memory and mirrored in their
//!   files entry by entry. Those of all others are searched in their files, so that a broker with many
//!   partitions does not hold their indexes.
//! - Files are opened when they are first needed.
//! - An index is a hint: one that is missing or leads to no batch costs a scan, never an answer.
//!
//! Kafka: `LogSegment`.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use kafka_shared::record::NO_TIMESTAMP;
use kafka_shared::record::batch::Batch;
use kafka_shared::record::iter::records;
use parking_lot::{Mutex, RwLock};

use super::config::LogConfig;
use super::file_records::{self, BatchAt, HeaderScan, LOOKUP_WINDOW, SCAN_WINDOW, ScanError};
use super::offset_index::{self, OffsetEntry};
use super::time_index::{self, TimeEntry};
use super::transaction_index::{self, AbortedTransaction};
use super::validator::MAX_DECOMPRESSED_BATCH_BYTES;
use super::{TimestampAndOffset, fsx, names};

mod writer;

pub(crate) use writer::{IndexBuilder, SegmentWriter};

/// Where a partition's files are; shared by its segments, so that a rename reaches them all.
#[derive(Debug)]
pub(crate) struct PartitionDir {
    path: ArcSwap<PathBuf>,
    /// Counts begun and ended renames together: odd while one is under way.
    renames: AtomicU64,
}

impl PartitionDir {
    pub fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            path: ArcSwap::from_pointee(path),
            renames: AtomicU64::new(0),
        })
    }

    pub fn path(&self) -> Arc<PathBuf> {
        self.path.load_full()
    }

    /// Renames the folder. One rename at a time.
    pub fn rename(
        &self,
        to: PathBuf,
        rename: impl FnOnce(&Path, &Path) -> io::Result<()>,
    ) -> io::Result<()> {
        self.renames.fetch_add(1, Ordering::AcqRel);
        let renamed = rename(&self.path(), &to);
        if renamed.is_ok() {
            self.path.store(Arc::new(to));
        }
        self.renames.fetch_add(1, Ordering::AcqRel);
        renamed
    }

    /// For [`Self::was_renamed_since`].
    pub fn renames(&self) -> u64 {
        self.renames.load(Ordering::Acquire)
    }

    /// Whether a path that was looked up after `renames` were counted may have become wrong.
    pub fn was_renamed_since(&self, renames: u64) -> bool {
        !renames.is_multiple_of(2) || self.renames() != renames
    }
}

/// The largest timestamp of a segment and the last offset of the batch that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LargestTimestamp {
    pub timestamp: i64,
    pub offset: i64,
}

/// Offset and time index in memory.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    pub offset: Vec<OffsetEntry>,
    pub time: Vec<TimeEntry>,
}

impl Indexes {
    /// Adds what belongs to a batch that ends `relative_offset` and starts at `position`.
    pub fn add(&mut self, relative_offset: i32, position: u64, largest: TimeEntry) {
        let position = i32::try_from(position).expect("segments are smaller than 2 GiB");
        self.offset.push(OffsetEntry {
            relative_offset,
            position,
        });
        self.add_time(largest);
    }

    /// Adds a time entry if it is later than the last one.
    pub fn add_time(&mut self, largest: TimeEntry) {
        let newer = largest.timestamp > self.time.last().map_or(NO_TIMESTAMP, |e| e.timestamp);
        if newer {
            self.time.push(largest);
        }
    }
}

/// A segment as readers see it.
#[derive(Debug)]
pub(crate) struct Segment {
    base_offset: i64,
    /// When it was created, or opened after a restart; counts for rolling when records have no timestamps.
    created_ms: i64,
    dir: Arc<PartitionDir>,
    size: AtomicU64,
    file: ArcSwapOption<File>,
    indexes: RwLock<Option<Indexes>>,
    largest: Mutex<Option<LargestTimestamp>>,
    aborted: RwLock<Option<Vec<AbortedTransaction>>>,
    deleted: AtomicBool,
}

impl Segment {
    /// A segment whose files exist.
    pub fn existing(dir: Arc<PartitionDir>, base_offset: i64, size: u64, now_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            base_offset,
            created_ms: now_ms,
            dir,
            size: AtomicU64::new(size),
            file: ArcSwapOption::empty(),
            indexes: RwLock::new(None),
            largest: Mutex::new(None),
            aborted: RwLock::new(None),
            deleted: AtomicBool::new(false),
        })
    }

    /// Makes the files of a new segment; leftovers of that name are replaced.
    pub fn create(dir: Arc<PartitionDir>, base_offset: i64, now_ms: i64) -> io::Result<Arc<Self>> {
        let segment = Self::existing(dir, base_offset, 0, now_ms);
        for suffix in [names::LOG, names::INDEX, names::TIME_INDEX] {
            File::create(segment.path(suffix))?;
        }
        fsx::remove_if_exists(&segment.path(names::TXN_INDEX))?;
        Ok(segment)
    }

    pub fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// Published bytes of the `.log` file.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    pub fn set_size(&self, size: u64) {
        self.size.store(size, Ordering::Release);
    }

    /// Where the file with this suffix is.
    pub fn path(&self, suffix: &str) -> PathBuf {
        let path = names::file(&self.dir.path(), self.base_offset, suffix);
        if self.deleted.load(Ordering::Acquire) {
            fsx::with_suffix(&path, names::DELETED)
        } else {
            path
        }
    }

    /// The `.log` file.
    pub fn file(&self) -> io::Result<Arc<File>> {
        if let Some(file) = self.file.load_full() {
            return Ok(file);
        }
        let open = |path: PathBuf| OpenOptions::new().read(true).write(true).open(path);
        let path = names::file(&self.dir.path(), self.base_offset, names::LOG);
        let file = match open(path.clone()) {
            // It may have been marked for deletion in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                open(fsx::with_suffix(&path, names::DELETED))?
            }
            other => other?,
        };
        let file = Arc::new(file);
        self.file.store(Some(file.clone()));
        Ok(file)
    }

    /// Closes the `.log` file until it is needed again: for partitions that nobody uses.
    pub fn release_file(&self) {
        self.file.store(None);
    }

    /// Whether an offset can be held relative to the base offset.
    pub fn can_hold(&self, offset: i64) -> bool {
        i32::try_from(offset - self.base_offset).is_ok_and(|relative| relative >= 0)
    }

    /// An offset relative to the base; the caller has checked [`Segment::can_hold`].
    pub fn relative(&self, offset: i64) -> i32 {
        i32::try_from(offset - self.base_offset).unwrap_or(i32::MAX)
    }

    /// The batch that holds `offset`, or the first one behind it. `None` when the segment ends before.
    pub fn find(&self, offset: i64) -> io::Result<Option<BatchAt>> {
        let size = self.size();
        if size == 0 {
            return Ok(None);
        }
        let (file, from) = (self.file()?, self.index_position(offset)?);
        match file_records::find_offset(&file, offset, from, size) {
            Err(ScanError::Corrupt { .. }) if from > 0 => {
                Ok(file_records::find_offset(&file, offset, 0, size)?)
            }
            other => Ok(other?),
        }
    }

    /// The position of a batch at or before the one that holds `offset`.
    fn index_position(&self, offset: i64) -> io::Result<u64> {
        let relative = offset - self.base_offset;
        let entry = self.search_offsets(
            |entries| offset_index::lookup(entries, relative),
            |file| offset_index::lookup_in_file(file, relative),
        )?;
        Ok(self.checked_position(entry))
    }

    /// The index entry whose batch starts last at or before `position`.
    pub fn index_entry_before(&self, position: u64) -> io::Result<Option<OffsetEntry>> {
        self.search_offsets(
            |entries| offset_index::lookup_position(entries, position),
            |file| offset_index::lookup_position_in_file(file, position),
        )
    }

    fn checked_position(&self, entry: Option<OffsetEntry>) -> u64 {
        let position = entry
            .and_then(|e| u64::try_from(e.position).ok())
            .unwrap_or(0);
        if position < self.size() { position } else { 0 }
    }

    fn search_offsets(
        &self,
        in_memory: impl FnOnce(&[OffsetEntry]) -> Option<OffsetEntry>,
        in_file: impl FnOnce(&File) -> io::Result<Option<OffsetEntry>>,
    ) -> io::Result<Option<OffsetEntry>> {
        if let Some(indexes) = &*self.indexes.read() {
            return Ok(in_memory(&indexes.offset));
        }
        match File::open(self.path(names::INDEX)) {
            Ok(file) => in_file(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn search_times(
        &self,
        in_memory: impl FnOnce(&[TimeEntry]) -> Option<TimeEntry>,
        in_file: impl FnOnce(&File) -> io::Result<Option<TimeEntry>>,
    ) -> io::Result<Option<TimeEntry>> {
        if let Some(indexes) = &*self.indexes.read() {
            return Ok(in_memory(&indexes.time));
        }
        match File::open(self.path(names::TIME_INDEX)) {
            Ok(file) => in_file(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The largest timestamp; -1 when no record has one.
    pub fn largest(&self) -> io::Result<LargestTimestamp> {
        if let Some(largest) = *self.largest.lock() {
            return Ok(largest);
        }
        let found = self.read_largest()?;
        Ok(*self.largest.lock().get_or_insert(found))
    }

    pub fn set_largest(&self, largest: Option<LargestTimestamp>) {
        *self.largest.lock() = largest;
    }

    /// The last entry of the time index tells, as the file was closed in order; without one the segment is
    /// walked through.
    fn read_largest(&self) -> io::Result<LargestTimestamp> {
        let last =
            self.search_times(|entries| entries.last().copied(), time_index::last_in_file)?;
        match last.filter(|entry| entry.timestamp > 0) {
            Some(entry) => Ok(LargestTimestamp {
                timestamp: entry.timestamp,
                offset: self.base_offset + i64::from(entry.relative_offset),
            }),
            None => self.largest_from(0),
        }
    }

    /// The largest timestamp of the batches from `position` on.
    fn largest_from(&self, position: u64) -> io::Result<LargestTimestamp> {
        let mut largest = LargestTimestamp {
            timestamp: NO_TIMESTAMP,
            offset: self.base_offset,
        };
        if position >= self.size() {
            return Ok(largest);
        }
        let file = self.file()?;
        let mut scan = HeaderScan::new(&file, position, self.size(), SCAN_WINDOW);
        while let Some(batch) = scan.next()? {
            if batch.header.max_timestamp > largest.timestamp {
                let (timestamp, offset) = (batch.header.max_timestamp, batch.header.last_offset());
                largest = LargestTimestamp { timestamp, offset };
            }
        }
        Ok(largest)
    }

    /// The largest timestamp, or the time of the last write when no record has one. For retention.
    pub fn largest_or_modified_ms(&self) -> io::Result<i64> {
        let largest = self.largest()?.timestamp;
        if largest >= 0 {
            return Ok(largest);
        }
        let modified = std::fs::metadata(self.path(names::LOG))?.modified()?;
        let since = modified
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The first record at or behind `starting_offset` whose timestamp is at least `target`.
    pub fn find_by_timestamp(
        &self,
        target: i64,
        starting_offset: i64,
    ) -> io::Result<Option<TimestampAndOffset>> {
        if self.size() == 0 {
            return Ok(None);
        }
        let entry = self.search_times(
            |entries| time_index::lookup(entries, target),
            |file| time_index::lookup_in_file(file, target),
        )?;
        let offset = self.base_offset + entry.map_or(0, |e| i64::from(e.relative_offset));
        let (file, from) = (
            self.file()?,
            self.index_position(offset.max(starting_offset))?,
        );
        let mut scan = HeaderScan::new(&file, from, self.size(), LOOKUP_WINDOW);
        while let Some(batch) = scan.next()? {
            if batch.header.max_timestamp < target {
                continue;
            }
            let found = self.find_record(&file, &batch, |timestamp, offset| {
                timestamp >= target && offset >= starting_offset
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The record that has the largest timestamp of the segment.
    pub fn find_largest_timestamp(&self) -> io::Result<Option<TimestampAndOffset>> {
        let largest = self.largest()?;
        if self.size() == 0 {
            return Ok(None);
        }
        let (file, from) = (self.file()?, self.index_position(largest.offset)?);
        let mut scan = HeaderScan::new(&file, from, self.size(), LOOKUP_WINDOW);
        while let Some(batch) = scan.next()? {
            if batch.header.max_timestamp == largest.timestamp {
                return self
                    .find_record(&file, &batch, |timestamp, _| timestamp == largest.timestamp);
            }
        }
        Ok(None)
    }

    fn find_record(
        &self,
        file: &File,
        at: &BatchAt,
        wanted: impl Fn(i64, i64) -> bool,
    ) -> io::Result<Option<TimestampAndOffset>> {
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
        let bytes = file_records::read_range(file, at.position, at.header.size_in_bytes())?;
        let batch = Batch::parse(&bytes).map_err(|error| invalid(error.to_string()))?;
        let records = records(&batch, MAX_DECOMPRESSED_BATCH_BYTES)
            .map_err(|error| invalid(error.to_string()))?;
        for record in &records {
            let record = record.map_err(|error| invalid(error.to_string()))?;
            if wanted(record.timestamp, record.offset) {
                let epoch = batch.partition_leader_epoch();
                return Ok(Some(TimestampAndOffset {
                    timestamp: record.timestamp,
                    offset: record.offset,
                    leader_epoch: (epoch >= 0).then_some(epoch),
                }));
            }
        }
        Ok(None)
    }

    /// The offset behind the last whole batch, and whether the file ends with that batch.
    pub fn next_offset(&self) -> io::Result<(i64, bool)> {
        let size = self.size();
        if size == 0 {
            return Ok((self.base_offset, true));
        }
        let last = self.index_entry_before(size - 1)?;
        let from = self.checked_position(last);
        let file = self.file()?;
        let mut next_offset = self.base_offset;
        let mut scan = HeaderScan::new(&file, from, size, LOOKUP_WINDOW);
        let complete = loop {
            match scan.next() {
                Ok(Some(batch)) => next_offset = batch.header.next_offset(),
                Ok(None) => break scan.position() == size,
                Err(ScanError::Corrupt { .. }) => break false,
                Err(ScanError::Io(error)) => return Err(error),
            }
        };
        Ok((next_offset, complete))
    }

    /// Timestamp of the first batch; none when there is no batch.
    pub fn first_batch_timestamp(&self) -> io::Result<Option<i64>> {
        if self.size() == 0 {
            return Ok(None);
        }
        let file = self.file()?;
        let first = HeaderScan::new(&file, 0, self.size(), LOOKUP_WINDOW).next()?;
        Ok(first.map(|batch| batch.header.max_timestamp))
    }

    /// Adds the aborted transactions that a reader of `[fetch_offset, upper_bound)` has to know. Returns
    /// whether no later segment can hold another one.
    pub fn collect_aborted(
        &self,
        fetch_offset: i64,
        upper_bound: i64,
        found: &mut Vec<AbortedTransaction>,
    ) -> io::Result<bool> {
        if let Some(entries) = &*self.aborted.read() {
            return Ok(transaction_index::collect(
                entries,
                fetch_offset,
                upper_bound,
                found,
            ));
        }
        let read = self.read_aborted()?;
        let mut entries = self.aborted.write();
        let entries = entries.get_or_insert(read);
        Ok(transaction_index::collect(
            entries,
            fetch_offset,
            upper_bound,
            found,
        ))
    }

    fn read_aborted(&self) -> io::Result<Vec<AbortedTransaction>> {
        match std::fs::read(self.path(names::TXN_INDEX)) {
            Ok(bytes) => transaction_index::decode(&bytes, self.base_offset),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Adds aborted transactions to the file, then to memory.
    fn append_aborted(&self, transactions: &[AbortedTransaction]) -> io::Result<()> {
        if transactions.is_empty() {
            return Ok(());
        }
        if self.aborted.read().is_none() {
            let read = self.read_aborted()?;
            self.aborted.write().get_or_insert(read);
        }
        let count = self.aborted.read().as_ref().map_or(0, Vec::len);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path(names::TXN_INDEX))?;
        let position = (count * transaction_index::ENTRY_SIZE) as u64;
        let bytes: Vec<u8> = transactions
            .iter()
            .flat_map(|entry| entry.to_bytes())
            .collect();
        fsx::write_all_at(&file, &[&bytes], position)?;
        self.aborted
            .write()
            .get_or_insert_default()
            .extend_from_slice(transactions);
        Ok(())
    }

    /// Cuts the transaction index to the entries whose marker lies below `offset`.
    fn truncate_aborted(&self, offset: i64) -> io::Result<()> {
        let entries = self.read_aborted()?;
        let keep = entries.partition_point(|entry| entry.last_offset < offset);
        if keep < entries.len() {
            let file = OpenOptions::new()
                .write(true)
                .open(self.path(names::TXN_INDEX))?;
            file.set_len((keep * transaction_index::ENTRY_SIZE) as u64)?;
        }
        *self.aborted.write() = Some(entries[..keep].to_vec());
        Ok(())
    }

    /// Writes the files of a segment that was read through: index, time index and transaction index.
    pub fn replace_indexes(
        &self,
        indexes: &Indexes,
        aborted: Vec<AbortedTransaction>,
        largest: LargestTimestamp,
    ) -> io::Result<()> {
        let offsets: Vec<u8> = indexes.offset.iter().flat_map(|e| e.to_bytes()).collect();
        let times: Vec<u8> = indexes.time.iter().flat_map(|e| e.to_bytes()).collect();
        fsx::write_file(&self.path(names::INDEX), &offsets, false)?;
        fsx::write_file(&self.path(names::TIME_INDEX), &times, false)?;
        let path = self.path(names::TXN_INDEX);
        if !aborted.is_empty() || path.exists() {
            let bytes: Vec<u8> = aborted.iter().flat_map(|entry| entry.to_bytes()).collect();
            fsx::write_file(&path, &bytes, false)?;
        }
        *self.indexes.write() = None;
        *self.aborted.write() = Some(aborted);
        self.set_largest(Some(largest));
        Ok(())
    }

    /// Makes the written bytes durable; with `everything` also the indexes, as for a segment that is not
    /// written to any more.
    pub fn sync(&self, everything: bool) -> io::Result<()> {
        match self.file() {
            Ok(file) => fsx::sync_data(&file)?,
            // Removed for good; there is nothing left to be made durable.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && self.deleted.load(Ordering::Acquire) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        if everything {
            for suffix in [names::INDEX, names::TIME_INDEX, names::TXN_INDEX] {
                match File::open(self.path(suffix)) {
                    Ok(file) => fsx::sync_all(&file)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Gives all files the `.deleted` suffix. Returns their new names; readers may go on.
    pub fn mark_deleted(&self) -> io::Result<Vec<PathBuf>> {
        let mut renamed = Vec::new();
        for suffix in [
            names::LOG,
            names::INDEX,
            names::TIME_INDEX,
            names::TXN_INDEX,
        ] {
            let path = names::file(&self.dir.path(), self.base_offset, suffix);
            let deleted = fsx::with_suffix(&path, names::DELETED);
            match fsx::rename(&path, &deleted) {
                Ok(()) => renamed.push(deleted),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.deleted.store(true, Ordering::Release);
        Ok(renamed)
    }

    /// Cuts the segment so that it ends before `offset`, a batch that holds `offset` included. The caller
    /// is the writer and opens a new [`SegmentWriter`] afterwards.
    pub fn truncate_to(&self, offset: i64) -> io::Result<()> {
        let mapping = self.find(offset)?;
        let (mut offsets, mut times) = self.read_indexes()?;
        let relative = offset - self.base_offset;
        offsets.truncate(offsets.partition_point(|e| i64::from(e.relative_offset) < relative));
        times.truncate(times.partition_point(|e| i64::from(e.relative_offset) < relative));
        *self.indexes.write() = None;
        for (suffix, len) in [
            (names::INDEX, offsets.len() * offset_index::ENTRY_SIZE),
            (names::TIME_INDEX, times.len() * time_index::ENTRY_SIZE),
        ] {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(self.path(suffix))?;
            file.set_len(len as u64)?;
        }
        self.truncate_aborted(offset)?;
        if let Some(batch) = mapping {
            self.set_size(batch.position);
            self.file()?.set_len(batch.position)?;
        }
        let last = times.last().copied();
        let from = last.map_or(0, |e| {
            self.checked_position(offset_index::lookup(&offsets, i64::from(e.relative_offset)))
        });
        let mut largest = self.largest_from(from)?;
        if let Some(entry) = last.filter(|entry| entry.timestamp >= largest.timestamp) {
            largest = LargestTimestamp {
                timestamp: entry.timestamp,
                offset: self.base_offset + i64::from(entry.relative_offset),
            };
        }
        self.set_largest(Some(largest));
        Ok(())
    }

    /// The entries of both indexes, from memory or from the files. Files that are no index are rebuilt from
    /// the log, as sparse as a new one would be.
    fn read_indexes(&self) -> io::Result<(Vec<OffsetEntry>, Vec<TimeEntry>)> {
        if let Some(indexes) = &*self.indexes.read() {
            return Ok((indexes.offset.clone(), indexes.time.clone()));
        }
        let read = |suffix| match std::fs::read(self.path(suffix)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        };
        let offsets = read(names::INDEX)?.and_then(|bytes| offset_index::decode(&bytes));
        let times = read(names::TIME_INDEX)?.and_then(|bytes| time_index::decode(&bytes));
        let size = self.size();
        if let (Some(offsets), Some(times)) = (offsets, times)
            && offsets
                .last()
                .is_none_or(|entry| (entry.position as u64) < size)
        {
            return Ok((offsets, times));
        }
        let mut indexes = Indexes::default();
        let file = self.file()?;
        let mut scan = HeaderScan::new(&file, 0, size, SCAN_WINDOW);
        let mut builder = IndexBuilder::new(LogConfig::default().index_interval_bytes);
        while let Some(batch) = scan.next()? {
            builder.add(self, &mut indexes, &batch.header, batch.position);
        }
        let offsets: Vec<u8> = indexes.offset.iter().flat_map(|e| e.to_bytes()).collect();
        let times: Vec<u8> = indexes.time.iter().flat_map(|e| e.to_bytes()).collect();
        fsx::write_file(&self.path(names::INDEX), &offsets, false)?;
        fsx::write_file(&self.path(names::TIME_INDEX), &times, false)?;
        Ok((indexes.offset, indexes.time))
    }
}
