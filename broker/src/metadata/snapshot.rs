//! Snapshots of the metadata log: `<end offset>-<epoch>.checkpoint`.
//!
//! A snapshot is a sequence of batches with their own offsets from 0 on and the snapshot's epoch:
//! a control batch (SnapshotHeader; with kraft.version 1 KRaftVersion and KRaftVoters), batches of
//! records, a control batch (SnapshotFooter). The name says which part of the log it stands for:
//! all below the end offset (exclusive), which is the end of a batch.
//!
//! A snapshot is complete or not there: it is written to a `.part` file, flushed, made read-only
//! and renamed.
//!
//! `bootstrap.checkpoint` in the log directory has the same form and holds the records for an empty
//! log; `00000000000000000000-0000000000.checkpoint` holds the first voters and no records.
//!
//! Kafka: `snapshot/{Snapshots,FileRawSnapshotWriter,RecordsSnapshotWriter}.java`,
//! `metadata/bootstrap/BootstrapDirectory.java` (4.3), KIP-630.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::record::control::{
    ControlRecord, KRaftVersion, SnapshotFooter, SnapshotHeader, Voters,
};
use kafka_shared::schema::metadata::MetadataRecord;

use super::batches::{
    BATCH_BYTES_MAX, BatchContent, EncodeError, decode_batches, encode_control_batch,
};
use super::delta::MetadataDelta;
use super::image::{MetadataImage, Provenance};
use super::records::record_version;
use crate::log::fsx;

/// Name of the file with the records for an empty log.
pub const BOOTSTRAP_FILE: &str = "bootstrap.checkpoint";

const SUFFIX: &str = ".checkpoint";
const PART_SUFFIX: &str = ".checkpoint.part";
const DELETED_SUFFIX: &str = ".checkpoint.deleted";

/// Which part of the log a snapshot stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    /// Exclusive.
    pub end_offset: i64,
    pub epoch: i32,
}

impl SnapshotId {
    /// The snapshot that `format` writes; it holds the first voters.
    pub const BOOTSTRAP: Self = Self {
        end_offset: 0,
        epoch: 0,
    };

    /// The file's name.
    pub fn file_name(self) -> String {
        format!("{:020}-{:010}{SUFFIX}", self.end_offset, self.epoch)
    }

    /// The id of a snapshot's file; `None` if the name is none of a complete snapshot.
    pub fn parse(file_name: &str) -> Option<Self> {
        let (offset, epoch) = file_name.strip_suffix(SUFFIX)?.split_once('-')?;
        let is_number = |text: &str, digits| {
            text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(offset, 20) || !is_number(epoch, 10) {
            return None;
        }
        Some(Self {
            end_offset: offset.parse().ok()?,
            epoch: epoch.parse().ok()?,
        })
    }
}

/// What Raft keeps in a snapshot beside the records.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KRaftState {
    pub kraft_version: i16,
    pub voters: Option<Voters>,
}

/// A snapshot's content.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Append time of the last batch that is contained, in milliseconds since 1970.
    pub last_contained_log_timestamp_ms: i64,
    pub kraft: KRaftState,
    pub records: Vec<MetadataRecord>,
}

/// Why a snapshot can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Encodes a snapshot of the image.
///
/// # Errors
/// If a record can't be encoded at the image's metadata version.
pub fn encode_image(
    image: &MetadataImage,
    kraft: &KRaftState,
    epoch: i32,
    now_ms: i64,
) -> Result<Vec<u8>, EncodeError> {
    let last_contained = image.provenance.last_contained_log_time_ms;
    let mut encoder = Encoder::new(kraft, epoch, last_contained, now_ms);
    let mut result = Ok(());
    image.write_records(&mut |record| {
        if result.is_ok() {
            result = encoder.append(&record, image.features.metadata_version);
        }
    });
    result?;
    Ok(encoder.finish())
}

/// Encodes a snapshot of these records.
///
/// # Errors
/// If a record can't be encoded at the metadata version.
pub fn encode(
    snapshot: &Snapshot,
    metadata_version: i16,
    epoch: i32,
    now_ms: i64,
) -> Result<Vec<u8>, EncodeError> {
    let last_contained = snapshot.last_contained_log_timestamp_ms;
    let mut encoder = Encoder::new(&snapshot.kraft, epoch, last_contained, now_ms);
    for record in &snapshot.records {
        encoder.append(record, metadata_version)?;
    }
    Ok(encoder.finish())
}

struct Encoder {
    out: Vec<u8>,
    batch: BatchBuilder,
    next_offset: i64,
    epoch: i32,
    now_ms: i64,
}

impl Encoder {
    fn new(kraft: &KRaftState, epoch: i32, last_contained_ms: i64, now_ms: i64) -> Self {
        let header = SnapshotHeader {
            version: 0,
            last_contained_log_timestamp: last_contained_ms,
        };
        let mut control = vec![ControlRecord::SnapshotHeader(header)];
        if kraft.kraft_version > 0 {
            let kraft_version = kraft.kraft_version;
            control.push(ControlRecord::KRaftVersion(KRaftVersion {
                version: 0,
                kraft_version,
            }));
            control.extend(kraft.voters.clone().map(ControlRecord::Voters));
        }
        let next_offset = control.len() as i64;
        let out = encode_control_batch(&control, 0, epoch, now_ms).to_vec();
        Self {
            out,
            batch: Self::builder(next_offset, epoch),
            next_offset,
            epoch,
            now_ms,
        }
    }

    fn builder(offset: i64, epoch: i32) -> BatchBuilder {
        BatchBuilder::new()
            .with_base_offset(offset)
            .with_leader_epoch(epoch)
    }

    fn append(
        &mut self,
        record: &MetadataRecord,
        metadata_version: i16,
    ) -> Result<(), EncodeError> {
        let error = |reason: String| EncodeError {
            record: record.name(),
            reason,
        };
        let version = record_version(record, metadata_version);
        let value = record.encode(version).map_err(|e| error(e.to_string()))?;
        if self.batch.size_after(None, Some(&value)) > BATCH_BYTES_MAX {
            self.flush();
        }
        self.batch
            .append(self.now_ms, None, Some(&value), &[])
            .map_err(|e| error(e.to_string()))?;
        Ok(())
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.next_offset = self.batch.next_offset();
            let next = Self::builder(self.next_offset, self.epoch);
            self.out
                .extend_from_slice(&std::mem::replace(&mut self.batch, next).build());
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.flush();
        let footer = [ControlRecord::SnapshotFooter(SnapshotFooter { version: 0 })];
        let footer = encode_control_batch(&footer, self.next_offset, self.epoch, self.now_ms);
        self.out.extend_from_slice(&footer);
        self.out
    }
}

/// Decodes a snapshot.
///
/// # Errors
/// What is wrong with it, for people. A snapshot without header or footer is not complete.
pub fn decode(bytes: &[u8]) -> Result<Snapshot, String> {
    let mut header = None;
    let mut is_complete = false;
    let mut kraft = KRaftState::default();
    let mut records = Vec::new();
    for batch in decode_batches(bytes) {
        let batch = batch.map_err(|error| error.to_string())?;
        if is_complete {
            return Err("something follows the footer".into());
        }
        match batch.content {
            BatchContent::Records(_) if header.is_none() => return Err("no header".into()),
            BatchContent::Records(batch) => records.extend(batch),
            BatchContent::Control(batch) => {
                for record in batch {
                    match record {
                        ControlRecord::SnapshotHeader(record) => header = Some(record),
                        ControlRecord::KRaftVersion(record) => {
                            kraft.kraft_version = record.kraft_version;
                        }
                        ControlRecord::Voters(record) => kraft.voters = Some(record),
                        ControlRecord::SnapshotFooter(_) => is_complete = true,
                        _ => {}
                    }
                }
            }
        }
    }
    let header = header.ok_or("no header")?;
    if !is_complete {
        return Err("no footer".into());
    }
    let last_contained_log_timestamp_ms = header.last_contained_log_timestamp;
    Ok(Snapshot {
        last_contained_log_timestamp_ms,
        kraft,
        records,
    })
}

/// Builds the image that a snapshot stands for.
///
/// # Errors
/// If a record contradicts those before it.
pub fn image_of(snapshot: &Snapshot, id: SnapshotId) -> Result<MetadataImage, String> {
    let mut delta = MetadataDelta::new(&MetadataImage::default().into());
    for record in &snapshot.records {
        delta.replay(record).map_err(|error| error.to_string())?;
    }
    delta.set_provenance(Provenance {
        last_contained_offset: id.end_offset - 1,
        last_contained_epoch: id.epoch,
        last_contained_log_time_ms: snapshot.last_contained_log_timestamp_ms,
        is_batch_aligned: true,
    });
    Ok(delta.into_next())
}

/// The complete snapshots in a metadata log's folder, by ascending id.
pub fn list(dir: &Path) -> io::Result<Vec<SnapshotId>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(dir)? {
        ids.extend(entry?.file_name().to_str().and_then(SnapshotId::parse));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Reads a snapshot from a metadata log's folder.
///
/// # Errors
/// If it can't be read or is damaged.
pub fn read(dir: &Path, id: SnapshotId) -> Result<Snapshot, SnapshotError> {
    read_file(&dir.join(id.file_name()))
}

/// Reads a file in the form of a snapshot.
///
/// # Errors
/// If it can't be read or is damaged.
pub fn read_file(path: &Path) -> Result<Snapshot, SnapshotError> {
    let bytes = fs::read(path).map_err(|source| SnapshotError::Io {
        path: path.to_path_buf(),
        source,
    })?;
    decode(&bytes).map_err(|reason| SnapshotError::Damaged {
        path: path.to_path_buf(),
        reason,
    })
}

/// Writes a file in the form of a snapshot so that it is complete or not there. `bytes` are those
/// of an encoded snapshot. The file is read-only, as Kafka makes it.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
    let part = path.with_extension("checkpoint.part");
    let write = || {
        let mut file = fs::File::create(&part)?;
        fsx::write_all(&mut file, bytes)?;
        let mut permissions = file.metadata()?.permissions();
        permissions.set_readonly(true);
        fsx::sync_all(&file)?;
        file.set_permissions(permissions)?;
        fsx::rename_durably(&part, path)
    };
    write().map_err(|source| SnapshotError::Io {
        path: path.to_path_buf(),
        source,
    })
}

/// Removes what interrupted work has left in the folder: parts and files marked as deleted.
pub fn clean_up(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        if name.ends_with(PART_SUFFIX) || name.ends_with(DELETED_SUFFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Deletes a snapshot that is no longer needed.
pub fn delete(dir: &Path, id: SnapshotId) -> io::Result<()> {
    fs::remove_file(dir.join(id.file_name()))
}

/// The bytes of a snapshot's file.
pub fn read_bytes(dir: &Path, id: SnapshotId) -> io::Result<Bytes> {
    fs::read(dir.join(id.file_name())).map(Bytes::from)
}
