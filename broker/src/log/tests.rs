//! Tests of a whole log against files in a temporary folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::record::batch::batches;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::iter::records;
use kafka_shared::time::MockClock;
use kafka_shared::types::TopicPartition;

use super::*;

mod appending;
mod failing;
mod golden;
mod maintaining;
mod model;
mod reading;
mod recovering;
mod transactions;

const NOW_MS: i64 = 1_700_000_000_000;

/// A partition folder with what is needed to open it again and again.
pub(super) struct Fixture {
    pub root: tempfile::TempDir,
    pub clock: Arc<MockClock>,
    pub context: Arc<LogContext>,
    pub config: LogConfig,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(edit: impl FnOnce(&mut LogConfig)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(MockClock::new(NOW_MS));
        let context = LogContext::new(clock.clone(), LogDir::new(root.path()));
        let mut config = LogConfig::default();
        edit(&mut config);
        Self {
            root,
            clock,
            context,
            config,
        }
    }

    pub fn path(&self) -> PathBuf {
        self.root.path().join("t-0")
    }

    pub fn open_with(&self, options: LogOpenOptions) -> Result<Arc<Log>, LogError> {
        let tp = TopicPartition::new("t", 0);
        Log::open(
            self.path(),
            tp,
            Arc::new(self.config.clone()),
            self.context.clone(),
            options,
        )
    }

    pub fn open_clean(&self) -> Arc<Log> {
        self.open_with(LogOpenOptions {
            clean: true,
            ..LogOpenOptions::default()
        })
        .unwrap()
    }

    /// As after a crash, with this recovery point checkpoint.
    pub fn open_after_crash(&self, recovery_point: i64) -> Arc<Log> {
        self.open_with(LogOpenOptions {
            recovery_point,
            ..LogOpenOptions::default()
        })
        .unwrap()
    }

    /// Names of the files with this suffix, sorted.
    pub fn files(&self, suffix: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(suffix))
            .collect();
        names.sort();
        names
    }
}

/// A batch of records with these values, stamped with the fixture's time.
pub(super) fn batch(values: &[&str]) -> Bytes {
    batch_at(NOW_MS, values)
}

pub(super) fn batch_at(timestamp: i64, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder
            .append(timestamp, Some(b"k"), Some(value.as_bytes()), &[])
            .unwrap();
    }
    builder.build()
}

/// A batch of `count` records of an idempotent producer.
pub(super) fn producer_batch(id: i64, epoch: i16, sequence: i32, count: usize) -> Bytes {
    let mut builder = BatchBuilder::new().with_producer(id, epoch, sequence);
    for _ in 0..count {
        builder.append(NOW_MS, None, Some(b"v"), &[]).unwrap();
    }
    builder.build()
}

pub(super) fn append(log: &Log, records: &[u8]) -> AppendInfo {
    log.append_as_leader(records, 0, AppendOrigin::Client)
        .unwrap()
}

pub(super) fn code(result: Result<AppendInfo, LogError>) -> ErrorCode {
    result.unwrap_err().code()
}

/// All records from `start` on as (offset, value), read in pieces of `max_bytes`.
pub(super) fn read_from(log: &Log, start: i64, max_bytes: usize) -> Vec<(i64, String)> {
    let (mut found, mut next) = (Vec::new(), start);
    loop {
        let data = log
            .read(next, max_bytes, FetchIsolation::LogEnd, true)
            .unwrap();
        let bytes = data.read().unwrap();
        if bytes.is_empty() {
            return found;
        }
        for batch in batches(&bytes) {
            let batch = batch.expect("reads are cut at whole batches");
            batch.check_crc().unwrap();
            for record in &records(&batch, 1 << 20).unwrap() {
                let record = record.unwrap();
                let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
                if record.offset >= start {
                    found.push((record.offset, value));
                }
            }
            next = batch.next_offset();
        }
    }
}

pub(super) fn read_all(log: &Log) -> Vec<(i64, String)> {
    read_from(log, log.log_start_offset(), 1 << 20)
}

/// Copies a folder and everything in it.
pub(super) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
