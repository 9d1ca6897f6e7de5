//! Formatting of log directories, and the records with which an empty metadata log begins.
//!
//! A formatted directory holds `meta.properties` (cluster, node and directory id) and
//! `bootstrap.checkpoint` (feature levels). The metadata log directory of a node that is to be the
//! first voter also holds `__cluster_metadata-0/00000000000000000000-0000000000.checkpoint` with
//! the voter set: what `kafka-storage format --standalone` makes.
//!
//! Kafka: `metadata/storage/Formatter.java`, `metadata/bootstrap/BootstrapDirectory.java` (4.3).

use std::io;
use std::path::{Path, PathBuf};

use kafka_shared::record::control::{KRaftVersionFeature, Voter, VoterEndpoint, Voters};
use kafka_shared::schema::metadata::{FeatureLevelRecord, MetadataRecord};
use kafka_shared::types::{METADATA_TOPIC_NAME, Uuid, random_uuid};

use super::features::{ELR_VERSION, KRAFT_VERSION, METADATA_VERSION, SUPPORTED, supported};
use super::snapshot::{self, BOOTSTRAP_FILE, KRaftState, Snapshot, SnapshotError, SnapshotId};
use crate::log::fsx;
use crate::log::meta_properties::MetaProperties;

/// What to format.
#[derive(Debug, Clone)]
pub struct FormatOptions {
    pub cluster_id: String,
    pub node_id: i32,
    /// All of `log.dirs` and `metadata.log.dir`.
    pub dirs: Vec<PathBuf>,
    pub metadata_log_dir: PathBuf,
    /// Name, host and port of the controller listener, for the voter set.
    pub controller_endpoint: (String, String, u16),
    /// Levels that differ from the defaults.
    pub feature_levels: Vec<(String, i16)>,
    /// Leave directories alone that are formatted already.
    pub ignore_formatted: bool,
}

/// What was formatted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formatted {
    pub dir: PathBuf,
    pub directory_id: Uuid,
    pub is_metadata_dir: bool,
}

/// Why nothing, or not everything, was formatted.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("there is no directory to format")]
    NoDirectories,
    #[error("node id {0} is negative")]
    NodeId(i32),
    #[error("log directory {} is already formatted", .0.display())]
    AlreadyFormatted(PathBuf),
    #[error(
        "log directory {} belongs to cluster {cluster_id:?} and node {node_id:?}",
        dir.display()
    )]
    OtherNode {
        dir: PathBuf,
        cluster_id: Option<String>,
        node_id: Option<i32>,
    },
    #[error("unsupported feature {name:?}; supported are {supported}")]
    UnknownFeature { name: String, supported: String },
    #[error("level {level} of feature {name} is not supported; supported are {min} to {max}")]
    Level {
        name: String,
        level: i16,
        min: i16,
        max: i16,
    },
    #[error("feature {name} at level {level} needs metadata.version {needed}")]
    Dependency {
        name: String,
        level: i16,
        needed: i16,
    },
    #[error("format {}", dir.display())]
    Io { dir: PathBuf, source: io::Error },
    #[error("write the first records")]
    Snapshot(#[from] SnapshotError),
}

/// Feature levels for a new cluster, in the order in which Kafka writes them: metadata.version
/// first, the others by name. Features at level 0 are left out.
///
/// # Errors
/// If a level is not supported.
pub fn feature_records(levels: &[(String, i16)]) -> Result<Vec<MetadataRecord>, FormatError> {
    for (name, level) in levels {
        let Some(feature) = supported(name) else {
            let supported: Vec<_> = SUPPORTED.iter().map(|feature| feature.name).collect();
            let supported = supported.join(", ");
            return Err(FormatError::UnknownFeature {
                name: name.clone(),
                supported,
            });
        };
        let range = feature.supported;
        if !range.contains(*level) {
            let (min, max) = (range.min, range.max);
            return Err(FormatError::Level {
                name: name.clone(),
                level: *level,
                min,
                max,
            });
        }
    }
    let chosen = |name: &str| {
        let chosen = levels.iter().rev().find(|(chosen, _)| chosen == name);
        chosen.map(|(_, level)| *level)
    };
    let metadata_version = chosen(METADATA_VERSION).unwrap_or(
        supported(METADATA_VERSION)
            .expect("it is in the table")
            .default_level,
    );
    let mut records = vec![feature_record(METADATA_VERSION, metadata_version)];
    for feature in SUPPORTED
        .iter()
        .filter(|feature| feature.name != METADATA_VERSION)
    {
        let needed = needed_metadata_version(feature.name);
        let default = if metadata_version >= needed {
            feature.default_level
        } else {
            0
        };
        let level = chosen(feature.name).unwrap_or(default);
        if level > 0 && metadata_version < needed {
            let name = feature.name.to_owned();
            return Err(FormatError::Dependency {
                name,
                level,
                needed,
            });
        }
        // kraft.version is in control records.
        if level > 0 && feature.name != KRAFT_VERSION {
            records.push(feature_record(feature.name, level));
        }
    }
    Ok(records)
}

fn needed_metadata_version(feature: &str) -> i16 {
    match feature {
        KRAFT_VERSION => 21,
        ELR_VERSION => super::records::ELR_SINCE,
        _ => 0,
    }
}

fn feature_record(name: &str, feature_level: i16) -> MetadataRecord {
    FeatureLevelRecord {
        name: name.to_owned(),
        feature_level,
    }
    .into()
}

/// Formats all directories that are not formatted yet.
///
/// # Errors
/// If one of them belongs to another cluster or node, is formatted already and that isn't to be
/// ignored, or can't be written. Directories before it are formatted then.
pub fn format(options: &FormatOptions, now_ms: i64) -> Result<Vec<Formatted>, FormatError> {
    if options.node_id < 0 {
        return Err(FormatError::NodeId(options.node_id));
    }
    if options.dirs.is_empty() {
        return Err(FormatError::NoDirectories);
    }
    let records = feature_records(&options.feature_levels)?;
    let mut empty = Vec::new();
    for dir in &options.dirs {
        if !is_formatted(options, dir)? {
            empty.push(dir);
        }
    }
    let mut formatted = Vec::new();
    for dir in empty {
        let is_metadata_dir = *dir == options.metadata_log_dir;
        let directory_id = random_uuid();
        let io = |source| FormatError::Io {
            dir: dir.clone(),
            source,
        };
        std::fs::create_dir_all(dir).map_err(io)?;
        write_bootstrap(dir, &records, now_ms)?;
        if is_metadata_dir {
            write_first_voter(options, dir, directory_id, now_ms)?;
        }
        // Last: without it the directory doesn't count as formatted.
        MetaProperties::new(options.cluster_id.clone(), options.node_id, directory_id)
            .write(dir)
            .map_err(io)?;
        formatted.push(Formatted {
            dir: dir.clone(),
            directory_id,
            is_metadata_dir,
        });
    }
    Ok(formatted)
}

fn is_formatted(options: &FormatOptions, dir: &Path) -> Result<bool, FormatError> {
    let properties = MetaProperties::read(dir).map_err(|source| FormatError::Io {
        dir: dir.to_path_buf(),
        source,
    })?;
    let Some(properties) = properties else {
        return Ok(false);
    };
    let is_ours = properties.cluster_id.as_deref() == Some(&options.cluster_id)
        && properties.node_id == Some(options.node_id);
    if !is_ours {
        return Err(FormatError::OtherNode {
            dir: dir.to_path_buf(),
            cluster_id: properties.cluster_id,
            node_id: properties.node_id,
        });
    }
    if !options.ignore_formatted {
        return Err(FormatError::AlreadyFormatted(dir.to_path_buf()));
    }
    Ok(true)
}

fn write_bootstrap(
    dir: &Path,
    records: &[MetadataRecord],
    now_ms: i64,
) -> Result<(), SnapshotError> {
    let content = Snapshot {
        last_contained_log_timestamp_ms: 0,
        kraft: KRaftState::default(),
        records: records.to_vec(),
    };
    let level = bootstrap_level(records, METADATA_VERSION);
    let bytes = snapshot::encode(&content, level, 0, now_ms)?;
    let path = dir.join(BOOTSTRAP_FILE);
    fsx::write_atomically(&path, &bytes).map_err(|source| SnapshotError::Io { path, source })
}

fn write_first_voter(
    options: &FormatOptions,
    dir: &Path,
    directory_id: Uuid,
    now_ms: i64,
) -> Result<(), FormatError> {
    let (name, host, port) = options.controller_endpoint.clone();
    let range = supported(KRAFT_VERSION)
        .expect("it is in the table")
        .supported;
    let voter = Voter {
        voter_id: options.node_id,
        voter_directory_id: directory_id,
        endpoints: vec![VoterEndpoint { name, host, port }],
        kraft_version_feature: KRaftVersionFeature {
            min_supported_version: range.min,
            max_supported_version: range.max,
        },
    };
    let voters = Some(Voters {
        version: 0,
        voters: vec![voter],
    });
    let content = Snapshot {
        last_contained_log_timestamp_ms: now_ms,
        kraft: KRaftState {
            kraft_version: 1,
            voters,
        },
        records: Vec::new(),
    };
    let bytes = snapshot::encode(&content, 0, 0, now_ms).map_err(SnapshotError::from)?;
    let metadata_dir = dir.join(format!("{METADATA_TOPIC_NAME}-0"));
    std::fs::create_dir_all(&metadata_dir).map_err(|source| FormatError::Io {
        dir: dir.to_path_buf(),
        source,
    })?;
    snapshot::write_file(
        &metadata_dir.join(SnapshotId::BOOTSTRAP.file_name()),
        &bytes,
    )?;
    Ok(())
}

/// Why bootstrap.checkpoint can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("{} has no level of metadata.version", .0.display())]
    NoMetadataVersion(PathBuf),
}

/// The records with which an empty metadata log begins: those of bootstrap.checkpoint, or if the
/// directory has none, the default levels.
///
/// # Errors
/// If the file is damaged.
pub fn read_bootstrap(dir: &Path) -> Result<Vec<MetadataRecord>, BootstrapError> {
    let path = dir.join(BOOTSTRAP_FILE);
    if !path.exists() {
        return Ok(feature_records(&[]).expect("the default levels are supported"));
    }
    let records = snapshot::read_file(&path)?.records;
    if bootstrap_level(&records, METADATA_VERSION) == 0 {
        return Err(BootstrapError::NoMetadataVersion(path));
    }
    Ok(records)
}

/// The level of a feature in bootstrap records; 0 if it has none.
pub fn bootstrap_level(records: &[MetadataRecord], feature: &str) -> i16 {
    let level = |record: &MetadataRecord| match record {
        MetadataRecord::FeatureLevel(record) if record.name == feature => {
            Some(record.feature_level)
        }
        _ => None,
    };
    records.iter().rev().find_map(level).unwrap_or(0)
}
