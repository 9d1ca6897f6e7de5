//! Formatting of log directories, and the records with which an empty metadata log begins.
//!
//! A formatted directory holds `meta.properties` (cluster, node and directory id) and
//! `bootstrap.checkpoint` (feature levels). Where the first voters are named, the metadata log
//! directory also holds `__cluster_metadata-0/00000000000000000000-0000000000.checkpoint` with the
//! voter set: what `kafka-storage format --standalone` and `--initial-controllers` make. With
//! `controller.quorum.voters` the voters are in no file, and kraft.version is 0.
//!
//! Kafka: `metadata/storage/Formatter.java`, `metadata/bootstrap/BootstrapDirectory.java` (4.3).

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use kafka_shared::record::control::{KRaftVersionFeature, Voter, VoterEndpoint, Voters};
use kafka_shared::schema::metadata::{FeatureLevelRecord, MetadataRecord};
use kafka_shared::types::{Endpoint, METADATA_TOPIC_NAME, Uuid, random_uuid, uuid_from_base64};

use super::features::{
    ELR_VERSION, KRAFT_VERSION, METADATA_VERSION, SUPPORTED, metadata_version_name, supported,
};
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
    /// The first of `controller.listener.names`, for the voter set.
    pub controller_listener: String,
    pub quorum: InitialQuorum,
    /// The metadata.version to start with; the newest if not given.
    pub release_version: Option<i16>,
    /// Levels that differ from the defaults.
    pub feature_levels: Vec<(String, i16)>,
    /// Leave directories alone that are formatted already.
    pub ignore_formatted: bool,
}

/// Who votes first in the metadata quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitialQuorum {
    /// `controller.quorum.voters`, for good: kraft.version 0.
    Static,
    /// It is not known here: the node joins a quorum that there is or will be.
    Unknown,
    /// These, to begin with. Every one of them is to be formatted with the same list.
    Voters(Vec<InitialVoter>),
}

/// A first voter, as `id@host:port:directory-id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialVoter {
    pub id: i32,
    pub host: String,
    pub port: u16,
    pub directory_id: Uuid,
}

impl FromStr for InitialVoter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (id, rest) = text
            .split_once('@')
            .ok_or("No @ found in dynamic voter string.")?;
        let id: i32 = id
            .parse()
            .map_err(|_| "Failed to parse node id in dynamic voter string.")?;
        if id < 0 {
            return Err(format!(
                "Invalid negative node id {id} in dynamic voter string."
            ));
        }
        let (endpoint, directory_id) = rest
            .rsplit_once(':')
            .ok_or("No colon following port could be found.")?;
        let endpoint: Endpoint = endpoint
            .parse()
            .map_err(|_| format!("{endpoint} is not host:port in dynamic voter string."))?;
        let directory_id = uuid_from_base64(directory_id)
            .ok_or("Failed to parse directory ID in dynamic voter string.")?;
        Ok(Self {
            id,
            host: endpoint.host,
            port: endpoint.port,
            directory_id,
        })
    }
}

/// Reads `--initial-controllers`.
///
/// # Errors
/// What is wrong with it, in Kafka's words.
pub fn initial_voters(text: &str) -> Result<Vec<InitialVoter>, String> {
    let entries = text.trim().split(',').filter(|entry| !entry.is_empty());
    let voters: Vec<InitialVoter> = entries.map(str::parse).collect::<Result<_, _>>()?;
    if voters.is_empty() {
        return Err("No voters given.".to_owned());
    }
    let mut ids = BTreeSet::new();
    match voters.iter().find(|voter| !ids.insert(voter.id)) {
        Some(voter) => Err(format!(
            "Node id {} was specified more than once.",
            voter.id
        )),
        None => Ok(voters),
    }
}

/// What was formatted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formatted {
    pub dir: PathBuf,
    pub directory_id: Uuid,
    pub kind: DirectoryKind,
    /// Name of the metadata.version.
    pub metadata_version: &'static str,
}

/// What a directory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryKind {
    Data,
    Metadata,
    /// It holds the first voters, of which this node is none.
    DynamicMetadata,
    DynamicMetadataVoter,
}

impl DirectoryKind {
    /// In Kafka's words.
    pub fn description(self) -> &'static str {
        match self {
            Self::Data => "data directory",
            Self::Metadata => "metadata directory",
            Self::DynamicMetadata => "dynamic metadata directory",
            Self::DynamicMetadataVoter => "dynamic metadata voter directory",
        }
    }

    fn holds_voters(self) -> bool {
        matches!(self, Self::DynamicMetadata | Self::DynamicMetadataVoter)
    }
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
    #[error("metadata.version is given as a release and as a feature: give the release only")]
    TwoReleases,
    #[error(
        "kraft.version 0 is for a quorum of controller.quorum.voters; the quorum of this node is \
         dynamic"
    )]
    StaticLevel,
    #[error(
        "kraft.version {0} needs a dynamic quorum: remove controller.quorum.voters, and name the \
         first controllers"
    )]
    DynamicLevel(i16),
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
        let default = if metadata_version >= default_since(feature.name) {
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
        ELR_VERSION => super::records::ELR_SINCE,
        _ => 0,
    }
}

/// From which metadata.version on a new cluster has the feature unless it is told otherwise.
fn default_since(feature: &str) -> i16 {
    match feature {
        ELR_VERSION => 26,
        _ => 0,
    }
}

/// The level of kraft.version that goes with the quorum.
fn kraft_version(options: &FormatOptions) -> Result<i16, FormatError> {
    let is_static = options.quorum == InitialQuorum::Static;
    let levels = options.feature_levels.iter().rev();
    let given = levels.into_iter().find(|(name, _)| name == KRAFT_VERSION);
    match given.map(|(_, level)| *level) {
        Some(0) if !is_static => Err(FormatError::StaticLevel),
        Some(level) if level > 0 && is_static => Err(FormatError::DynamicLevel(level)),
        Some(level) => Ok(level),
        None => Ok(i16::from(!is_static)),
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
    let mut levels = options.feature_levels.clone();
    if let Some(release) = options.release_version {
        if levels.iter().any(|(name, _)| name == METADATA_VERSION) {
            return Err(FormatError::TwoReleases);
        }
        levels.push((METADATA_VERSION.to_owned(), release));
    }
    let records = feature_records(&levels)?;
    let metadata_version = bootstrap_level(&records, METADATA_VERSION);
    let metadata_version = metadata_version_name(metadata_version).unwrap_or_default();
    let kraft_version = kraft_version(options)?;
    let mut empty = Vec::new();
    for dir in &options.dirs {
        if !is_formatted(options, dir)? {
            empty.push(dir);
        }
    }
    let mut formatted = Vec::new();
    for dir in empty {
        let (kind, directory_id) = kind_and_id(options, dir);
        let io = |source| FormatError::Io {
            dir: dir.clone(),
            source,
        };
        std::fs::create_dir_all(dir).map_err(io)?;
        write_bootstrap(dir, &records, now_ms)?;
        if let InitialQuorum::Voters(voters) = &options.quorum
            && kind.holds_voters()
        {
            write_first_voters(options, voters, kraft_version, dir, now_ms)?;
        }
        // Last: without it the directory doesn't count as formatted.
        MetaProperties::new(options.cluster_id.clone(), options.node_id, directory_id)
            .write(dir)
            .map_err(io)?;
        formatted.push(Formatted {
            dir: dir.clone(),
            directory_id,
            kind,
            metadata_version,
        });
    }
    Ok(formatted)
}

fn kind_and_id(options: &FormatOptions, dir: &Path) -> (DirectoryKind, Uuid) {
    if dir != options.metadata_log_dir {
        return (DirectoryKind::Data, random_uuid());
    }
    let InitialQuorum::Voters(voters) = &options.quorum else {
        return (DirectoryKind::Metadata, random_uuid());
    };
    match voters.iter().find(|voter| voter.id == options.node_id) {
        Some(voter) => (DirectoryKind::DynamicMetadataVoter, voter.directory_id),
        None => (DirectoryKind::DynamicMetadata, random_uuid()),
    }
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

fn write_first_voters(
    options: &FormatOptions,
    voters: &[InitialVoter],
    kraft_version: i16,
    dir: &Path,
    now_ms: i64,
) -> Result<(), FormatError> {
    let range = supported(KRAFT_VERSION)
        .expect("it is in the table")
        .supported;
    let voter = |voter: &InitialVoter| Voter {
        voter_id: voter.id,
        voter_directory_id: voter.directory_id,
        endpoints: vec![VoterEndpoint {
            name: options.controller_listener.clone(),
            host: voter.host.clone(),
            port: voter.port,
        }],
        kraft_version_feature: KRaftVersionFeature {
            min_supported_version: range.min,
            max_supported_version: range.max,
        },
    };
    let mut voters: Vec<_> = voters.iter().map(voter).collect();
    voters.sort_by_key(|voter| voter.voter_id);
    let content = Snapshot {
        last_contained_log_timestamp_ms: now_ms,
        kraft: KRaftState {
            kraft_version,
            voters: Some(Voters { version: 0, voters }),
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

#[cfg(test)]
mod tests;
