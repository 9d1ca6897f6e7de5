//! The controllers' quorum and the cluster's feature levels.

use serde::{Deserialize, Serialize};

/// One voter or observer of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumReplica {
    pub id: i32,
    /// Kafka's text form; `None` when unknown.
    pub directory_id: Option<String>,
    /// -1 when unknown.
    pub log_end_offset: i64,
    /// Records behind the leader's log end.
    pub lag: Option<i64>,
    pub last_fetch_ms: Option<i64>,
    pub last_caught_up_ms: Option<i64>,
}

/// The metadata quorum as its leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub voters: Vec<QuorumReplica>,
    pub observers: Vec<QuorumReplica>,
}

/// One feature: what is in effect and what this broker could do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureLevel {
    pub name: String,
    pub finalized: Option<i16>,
    pub supported_min: i16,
    pub supported_max: i16,
}

/// The feature levels of a cluster, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// -1 when there are none.
    pub finalized_epoch: i64,
    pub levels: Vec<FeatureLevel>,
}
