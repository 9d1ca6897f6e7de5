//! Turns the committed log into images: batches in, publications out, in order.
//!
//! [`BatchLoader`] is the pure part. Batches gather in a delta that is published when the caller
//! has reached the end of what is committed, so that a start with a long log publishes once. What
//! lies within a metadata transaction is published when it ends, and dropped when it is aborted;
//! what precedes its beginning is published before.
//!
//! [`start`] runs it on a thread of its own: newest snapshot, then the log as the high watermark
//! moves. When the log no longer holds what comes next, because the node has fetched a snapshot
//! from the leader, the loader goes on from that, and what is different is published as one delta.
//! It also decides when a new snapshot is due, and what of the log may go after it.
//!
//! Kafka: `image/loader/{MetadataLoader,MetadataBatchLoader}.java`,
//! `image/publisher/SnapshotGenerator.java` (4.3), KIP-868.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::schema::metadata::MetadataRecord;
use kafka_shared::task;
use kafka_shared::time::Clock;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::batches::{BatchContent, MetadataBatch, decode_batches};
use super::delta::MetadataDelta;
use super::handle::MetadataHandle;
use super::image::{MetadataImage, Provenance};
use super::snapshot::{self, KRaftState, SnapshotId};

/// How much of the log is read at once.
const READ_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    Open { start_offset: i64 },
}

/// An image to be published, with what is different from the one before it.
#[derive(Debug)]
pub struct Publication {
    pub delta: MetadataDelta,
    pub image: Arc<MetadataImage>,
}

/// The pure part of the loader; see the module.
#[derive(Debug)]
pub struct BatchLoader {
    delta: MetadataDelta,
    transaction: Transaction,
    provenance: Provenance,
    has_batches: bool,
}

impl BatchLoader {
    /// A loader that goes on from this image, which nobody has seen: the first publication has all
    /// of it as new.
    pub fn new(image: &MetadataImage) -> Self {
        Self {
            delta: MetadataDelta::between(&Arc::new(MetadataImage::default()), image),
            transaction: Transaction::None,
            provenance: image.provenance,
            has_batches: false,
        }
    }

    /// A loader that goes on from this image, where `base` is what was published last: the next
    /// publication has as new what is different.
    pub fn replacing(base: &Arc<MetadataImage>, image: &MetadataImage) -> Self {
        Self {
            delta: MetadataDelta::between(base, image),
            transaction: Transaction::None,
            provenance: image.provenance,
            has_batches: true,
        }
    }

    /// Takes the next batch. What has to be published at once is appended to `publications`.
    ///
    /// # Errors
    /// For people, if a record contradicts the image: the log is damaged.
    pub fn load(
        &mut self,
        batch: &MetadataBatch,
        publications: &mut Vec<Publication>,
    ) -> Result<(), String> {
        self.provenance.last_contained_epoch = batch.epoch;
        self.provenance.last_contained_log_time_ms = batch.append_time_ms;
        if let BatchContent::Records(records) = &batch.content {
            for (idx, (offset, record)) in (batch.base_offset..).zip(records).enumerate() {
                if let MetadataRecord::BeginTransaction(_) = record
                    && (idx > 0 || self.has_batches)
                    && self.transaction == Transaction::None
                {
                    self.provenance.is_batch_aligned = idx == 0;
                    publications.extend(self.publish());
                }
                self.replay(offset, record)
                    .map_err(|reason| format!("offset {offset}: {reason}"))?;
                self.provenance.last_contained_offset = offset;
            }
        }
        self.provenance.last_contained_offset = batch.last_offset;
        self.has_batches = true;
        Ok(())
    }

    fn replay(&mut self, offset: i64, record: &MetadataRecord) -> Result<(), String> {
        let is_open = matches!(self.transaction, Transaction::Open { .. });
        match record {
            MetadataRecord::BeginTransaction(_) if is_open => {
                return Err("a transaction begins within a transaction".into());
            }
            MetadataRecord::BeginTransaction(_) => {
                self.transaction = Transaction::Open {
                    start_offset: offset,
                };
            }
            MetadataRecord::EndTransaction(_) | MetadataRecord::AbortTransaction(_) if !is_open => {
                return Err("a transaction ends that has not begun".into());
            }
            MetadataRecord::EndTransaction(_) => self.transaction = Transaction::None,
            MetadataRecord::AbortTransaction(_) => {
                self.transaction = Transaction::None;
                let base = Arc::clone(self.delta.base());
                self.delta = MetadataDelta::new(&base);
            }
            _ => self
                .delta
                .replay(record)
                .map_err(|error| error.to_string())?,
        }
        Ok(())
    }

    /// Publishes what was loaded, unless a transaction is open. The last batch is complete.
    pub fn flush(&mut self) -> Option<Publication> {
        if self.transaction_start_offset().is_some() || !self.has_batches {
            return None;
        }
        self.provenance.is_batch_aligned = true;
        self.publish()
    }

    fn publish(&mut self) -> Option<Publication> {
        self.has_batches = false;
        self.delta.set_provenance(self.provenance);
        let image = Arc::new(self.delta.next().clone());
        let delta = std::mem::replace(&mut self.delta, MetadataDelta::new(&image));
        Some(Publication { delta, image })
    }

    /// Where the open transaction begins; `None` if there is none.
    pub fn transaction_start_offset(&self) -> Option<i64> {
        match self.transaction {
            Transaction::Open { start_offset } => Some(start_offset),
            Transaction::None => None,
        }
    }

    /// The offset of the last record that was loaded, published or not.
    pub fn last_offset(&self) -> i64 {
        self.provenance.last_contained_offset
    }
}

/// All of the publications, the first of which has everything as new, as one. Whoever is told of an
/// image for the first time may take for deleted what is not in it: a start must not show parts.
pub fn joined(publications: Vec<Publication>) -> Option<Publication> {
    let image = publications.into_iter().next_back()?.image;
    let delta = MetadataDelta::between(&Arc::new(MetadataImage::default()), &image);
    Some(Publication { delta, image })
}

/// How far a log is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Exclusive.
    pub high_watermark: i64,
    /// Whether no more will come.
    pub is_closed: bool,
}

/// The committed log, as the loader reads it.
pub trait CommittedLog: Send + Sync + 'static {
    /// How far the log is committed.
    fn committed(&self) -> watch::Receiver<Committed>;

    /// Whole committed batches from `from` on, about `max_bytes`.
    ///
    /// # Errors
    /// For people.
    fn read(&self, from: i64, max_bytes: usize) -> Result<Bytes, String>;

    /// The first offset that is kept.
    fn log_start_offset(&self) -> i64;

    /// Bytes of the log on disk.
    fn log_size_bytes(&self) -> u64;

    /// Raft's state at this offset (exclusive), for a snapshot.
    fn kraft_state(&self, end_offset: i64) -> KRaftState;

    /// A snapshot of committed records was written.
    fn snapshot_written(&self, id: SnapshotId);

    /// Lets go of the log below this offset.
    ///
    /// # Errors
    /// For people.
    fn advance_log_start_offset(&self, offset: i64) -> Result<(), String>;
}

/// Settings of the loader.
#[derive(Debug, Clone)]
pub struct LoaderConfig {
    /// The folder of the metadata log, with the snapshots.
    pub dir: PathBuf,
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub snapshot_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; 0 for never.
    pub snapshot_interval_ms: i64,
    /// `metadata.max.retention.bytes`.
    pub retention_bytes: i64,
    /// `metadata.max.retention.ms`.
    pub retention_ms: i64,
}

impl LoaderConfig {
    /// Kafka's defaults for this folder.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            snapshot_bytes: 20 * 1024 * 1024,
            snapshot_interval_ms: 60 * 60 * 1000,
            retention_bytes: 100 * 1024 * 1024,
            retention_ms: 7 * 24 * 60 * 60 * 1000,
        }
    }
}

/// Starts the loader from the newest snapshot. Every image goes to the handle. The first one is
/// there when something beyond the snapshot is committed: it then holds all that was committed when
/// the node stopped, so that nobody takes for deleted what is only not read yet.
pub fn start(
    config: LoaderConfig,
    log: Arc<dyn CommittedLog>,
    snapshot: Option<(SnapshotId, MetadataImage)>,
    handle: MetadataHandle,
    clock: Arc<dyn Clock>,
) {
    let runtime = Handle::current();
    let work = move || {
        let image = snapshot
            .as_ref()
            .map(|(_, image)| image.clone())
            .unwrap_or_default();
        let mut thread = Thread {
            loader: BatchLoader::new(&image),
            last_snapshot_ms: clock.wall_ms(),
            last_snapshot_offset: snapshot.map_or(0, |(id, _)| id.end_offset),
            config,
            log,
            handle: handle.clone(),
            clock,
            runtime,
            bytes_since_snapshot: 0,
            writing: None,
        };
        if let Err(reason) = thread.run() {
            tracing::error!(%reason, "the metadata log can't be loaded; this node can't go on");
        }
        handle.close();
    };
    drop(task::spawn_blocking("metadata-loader", work));
}

struct Thread {
    config: LoaderConfig,
    log: Arc<dyn CommittedLog>,
    handle: MetadataHandle,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    loader: BatchLoader,
    bytes_since_snapshot: u64,
    last_snapshot_ms: i64,
    last_snapshot_offset: i64,
    /// A snapshot that is being written.
    writing: Option<tokio::task::JoinHandle<()>>,
}

impl Thread {
    fn run(&mut self) -> Result<(), String> {
        let mut committed = self.log.committed();
        loop {
            let now = *committed.borrow_and_update();
            self.load_up_to(now.high_watermark)?;
            self.maybe_write_snapshot();
            if now.is_closed || self.runtime.block_on(committed.changed()).is_err() {
                return Ok(());
            }
        }
    }

    fn load_up_to(&mut self, end_offset: i64) -> Result<(), String> {
        let mut publications = Vec::new();
        while self.loader.last_offset() + 1 < end_offset {
            let from = self.loader.last_offset() + 1;
            if from < self.log.log_start_offset() {
                self.load_snapshot()?;
                // The snapshot holds what they say.
                publications.clear();
                continue;
            }
            let bytes = match self.log.read(from, READ_BYTES) {
                Ok(bytes) => bytes,
                // A snapshot has taken the log's place meanwhile.
                Err(_) if from < self.log.log_start_offset() => continue,
                Err(reason) => return Err(reason),
            };
            for batch in decode_batches(&bytes) {
                let batch = batch.map_err(|error| error.to_string())?;
                if batch.last_offset < from {
                    continue;
                }
                self.bytes_since_snapshot += batch.size_bytes as u64;
                self.loader.load(&batch, &mut publications)?;
            }
            if self.loader.last_offset() < from {
                return Err(format!("nothing can be read at offset {from}"));
            }
        }
        publications.extend(self.loader.flush());
        if self.handle.image().offset() < 0 {
            publications = joined(publications).into_iter().collect();
        }
        for publication in publications {
            self.handle.publish(&publication.delta, publication.image);
        }
        let transaction = self.loader.transaction_start_offset();
        self.handle
            .set_loaded(self.loader.last_offset(), transaction);
        Ok(())
    }

    /// Goes on from the newest snapshot.
    fn load_snapshot(&mut self) -> Result<(), String> {
        let ids = snapshot::list(&self.config.dir).map_err(|error| error.to_string())?;
        let id = ids.last().copied().unwrap_or(SnapshotId::BOOTSTRAP);
        if id.end_offset <= self.loader.last_offset() + 1 {
            return Err(format!(
                "the log begins at offset {} and no snapshot leads there",
                self.log.log_start_offset()
            ));
        }
        let content = snapshot::read(&self.config.dir, id).map_err(|error| error.to_string())?;
        let image = snapshot::image_of(&content, id)?;
        self.loader = BatchLoader::replacing(&self.handle.image(), &image);
        self.bytes_since_snapshot = 0;
        self.last_snapshot_ms = self.clock.wall_ms();
        self.last_snapshot_offset = id.end_offset;
        Ok(())
    }

    fn maybe_write_snapshot(&mut self) {
        let now_ms = self.clock.wall_ms();
        let image = self.handle.image();
        let end_offset = image.offset() + 1;
        let is_due = self.bytes_since_snapshot >= self.config.snapshot_bytes
            || (self.config.snapshot_interval_ms > 0
                && now_ms - self.last_snapshot_ms >= self.config.snapshot_interval_ms);
        let is_busy = self
            .writing
            .as_ref()
            .is_some_and(|writing| !writing.is_finished());
        if !is_due
            || is_busy
            || !image.provenance.is_batch_aligned
            || end_offset <= self.last_snapshot_offset
        {
            return;
        }
        self.bytes_since_snapshot = 0;
        self.last_snapshot_ms = now_ms;
        self.last_snapshot_offset = end_offset;
        let (config, log) = (self.config.clone(), Arc::clone(&self.log));
        let _entered = self.runtime.enter();
        self.writing = Some(task::spawn_blocking("metadata-snapshot", move || {
            if let Err(reason) = write_snapshot(&config, &*log, &image, now_ms) {
                tracing::error!(%reason, "a metadata snapshot could not be written");
            }
        }));
    }
}

/// Writes a snapshot of the image and lets go of what it makes needless.
///
/// # Errors
/// For people. The log and earlier snapshots are then as before.
pub fn write_snapshot(
    config: &LoaderConfig,
    log: &dyn CommittedLog,
    image: &MetadataImage,
    now_ms: i64,
) -> Result<(), String> {
    let id = SnapshotId {
        end_offset: image.offset() + 1,
        epoch: image.provenance.last_contained_epoch,
    };
    let kraft = log.kraft_state(id.end_offset);
    let bytes =
        snapshot::encode_image(image, &kraft, id.epoch, now_ms).map_err(|e| e.to_string())?;
    snapshot::write_file(&config.dir.join(id.file_name()), &bytes).map_err(|e| e.to_string())?;
    tracing::info!(
        end_offset = id.end_offset,
        bytes = bytes.len(),
        "wrote a metadata snapshot"
    );
    log.snapshot_written(id);
    clean(config, log, now_ms)
}

/// Deletes the oldest snapshots, and the log below the oldest that stays, while log and snapshots
/// are larger than the bound, or the oldest but one is older than the bound. One always stays.
fn clean(config: &LoaderConfig, log: &dyn CommittedLog, now_ms: i64) -> Result<(), String> {
    let mut ids = snapshot::list(&config.dir).map_err(|error| error.to_string())?;
    while let [oldest, next, ..] = ids[..] {
        let size = |id: &SnapshotId| {
            std::fs::metadata(config.dir.join(id.file_name())).map_or(0, |file| file.len())
        };
        let total = ids.iter().map(size).sum::<u64>() + log.log_size_bytes();
        let is_too_large =
            config.retention_bytes >= 0 && total > config.retention_bytes.unsigned_abs();
        let is_too_old = config.retention_ms >= 0 && {
            let snapshot = snapshot::read(&config.dir, oldest).map_err(|e| e.to_string())?;
            now_ms - snapshot.last_contained_log_timestamp_ms > config.retention_ms
        };
        if !is_too_large && !is_too_old {
            break;
        }
        log.advance_log_start_offset(next.end_offset)?;
        snapshot::delete(&config.dir, oldest).map_err(|error| error.to_string())?;
        ids.remove(0);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
