//! The metadata image: everything that the metadata log says, up to one offset.
//!
//! An image is immutable and cheap to clone: its maps are persistent (`imbl`) or behind `Arc`, so
//! that the next image shares all that did not change.
//!
//! Kafka: `image/MetadataImage.java` (4.3).

use super::cluster::ClusterImage;
use super::configs::ConfigsImage;
use super::features::FeaturesImage;
use super::security::{AclsImage, ClientQuotasImage, DelegationTokensImage, ScramImage};
use super::topics::TopicsImage;

/// Which part of the metadata log an image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provenance {
    /// Offset of the last record in the image; -1 for the empty image.
    pub last_contained_offset: i64,
    /// Leader epoch of that record's batch; -1 for the empty image.
    pub last_contained_epoch: i32,
    /// Append time of that record's batch in milliseconds since 1970; -1 for the empty image.
    pub last_contained_log_time_ms: i64,
    /// Whether the image ends where a batch of the log ends. Only then may it become a snapshot.
    pub is_batch_aligned: bool,
}

impl Provenance {
    /// The provenance of an image without any record.
    pub const EMPTY: Self = Self {
        last_contained_offset: -1,
        last_contained_epoch: -1,
        last_contained_log_time_ms: -1,
        is_batch_aligned: true,
    };
}

impl Default for Provenance {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// All metadata up to and including [`Provenance::last_contained_offset`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetadataImage {
    pub provenance: Provenance,
    pub features: FeaturesImage,
    pub cluster: ClusterImage,
    pub topics: TopicsImage,
    pub configs: ConfigsImage,
    pub client_quotas: ClientQuotasImage,
    /// The first producer id that no block has been given out for.
    pub next_producer_id: i64,
    pub acls: AclsImage,
    pub scram: ScramImage,
    pub delegation_tokens: DelegationTokensImage,
}

impl MetadataImage {
    /// Offset of the last record in the image; -1 for the empty image.
    pub fn offset(&self) -> i64 {
        self.provenance.last_contained_offset
    }

    /// Whether both images hold the same metadata, whatever offsets they were read up to.
    pub fn same_content(&self, other: &Self) -> bool {
        self.features == other.features
            && self.cluster == other.cluster
            && self.topics == other.topics
            && self.configs == other.configs
            && self.client_quotas == other.client_quotas
            && self.next_producer_id == other.next_producer_id
            && self.acls == other.acls
            && self.scram == other.scram
            && self.delegation_tokens == other.delegation_tokens
    }
}
