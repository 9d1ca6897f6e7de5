//! Feature levels: what this node can do, and what the cluster has agreed to do.
//!
//! [`SUPPORTED`] is the one table from which format, registration, ApiVersions and UpdateFeatures
//! answer. A feature stands in it with a maximum above 0 only if this broker implements it.
//!
//! Kafka: `server-common/{Feature,MetadataVersion}.java`, `image/FeaturesImage.java` (4.3).

use std::sync::Arc;

use imbl::OrdMap;

use super::cluster::FeatureRange;

pub const METADATA_VERSION: &str = "metadata.version";
pub const KRAFT_VERSION: &str = "kraft.version";
pub const TRANSACTION_VERSION: &str = "transaction.version";
pub const GROUP_VERSION: &str = "group.version";
pub const ELR_VERSION: &str = "eligible.leader.replicas.version";
pub const SHARE_VERSION: &str = "share.version";
pub const STREAMS_VERSION: &str = "streams.version";

/// One feature of this node.
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    pub name: &'static str,
    /// The levels that this node can work at, both inclusive.
    pub supported: FeatureRange,
    /// The level that a newly formatted cluster starts at.
    pub default_level: i16,
    /// The highest level that Apache Kafka 4.3 knows: a higher one is a mistake, one in between
    /// is a feature that this broker doesn't implement.
    pub known_max: i16,
}

/// The features of this node, in the order of their names.
pub const SUPPORTED: [Feature; 7] = [
    // The level decides about the controller's records (KIP-966), which the controller writes.
    feature(ELR_VERSION, 0, 1, 1, 1),
    feature(GROUP_VERSION, 0, 0, 0, 1),
    feature(KRAFT_VERSION, 0, 1, 1, 1),
    feature(METADATA_VERSION, 7, 30, 30, 30),
    feature(SHARE_VERSION, 0, 0, 0, 1),
    feature(STREAMS_VERSION, 0, 0, 0, 1),
    feature(TRANSACTION_VERSION, 0, 0, 0, 2),
];

const fn feature(name: &'static str, min: i16, max: i16, default: i16, known: i16) -> Feature {
    Feature {
        name,
        supported: FeatureRange { min, max },
        default_level: default,
        known_max: known,
    }
}

/// The row of the feature with this name.
pub fn supported(name: &str) -> Option<&'static Feature> {
    SUPPORTED.iter().find(|feature| feature.name == name)
}

/// Names of the metadata versions from level 7 on.
const METADATA_VERSION_NAMES: [&str; 24] = [
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2",
    "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0",
    "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0",
];

/// The name of a metadata version, for example `4.3-IV0` for level 30.
pub fn metadata_version_name(level: i16) -> Option<&'static str> {
    METADATA_VERSION_NAMES
        .get(usize::try_from(level.checked_sub(7)?).ok()?)
        .copied()
}

/// The finalized features: what all nodes of the cluster have to support.
///
/// kraft.version is not among them: it lives in the log's control records and belongs to Raft.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeaturesImage {
    /// Level of metadata.version; 0 while the log has none.
    pub metadata_version: i16,
    /// Levels of all other features; a feature at level 0 has no entry.
    pub finalized: OrdMap<Arc<str>, i16>,
}

impl FeaturesImage {
    /// The finalized level of a feature; 0 if it has none.
    pub fn level(&self, name: &str) -> i16 {
        if name == METADATA_VERSION {
            self.metadata_version
        } else {
            self.finalized.get(name).copied().unwrap_or(0)
        }
    }

    /// All finalized features with a level above 0, in the order of their names.
    pub fn all(&self) -> Vec<(Arc<str>, i16)> {
        let mut all: Vec<_> = self
            .finalized
            .iter()
            .map(|(name, level)| (Arc::clone(name), *level))
            .collect();
        if self.metadata_version > 0 {
            all.push((METADATA_VERSION.into(), self.metadata_version));
        }
        all.sort();
        all
    }

    /// The finalized features that this node cannot work at, with their levels.
    pub fn unsupported(&self) -> Vec<(Arc<str>, i16)> {
        let is_in_range = |name: &str, level| {
            supported(name).is_some_and(|feature| feature.supported.contains(level))
        };
        let mut all = self.all();
        all.retain(|(name, level)| !is_in_range(name, *level));
        all
    }

    /// Whether eligible leader replicas are tracked (KIP-966).
    pub fn is_elr_enabled(&self) -> bool {
        self.level(ELR_VERSION) >= 1
    }

    pub(crate) fn set(&mut self, name: &str, level: i16) {
        if name == METADATA_VERSION {
            self.metadata_version = level;
        } else if level == 0 {
            self.finalized.remove(name);
        } else {
            self.finalized.insert(name.into(), level);
        }
    }
}
