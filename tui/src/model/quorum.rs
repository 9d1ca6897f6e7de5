//! The controllers' quorum and the cluster's feature levels.

use std::collections::BTreeMap;

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
    /// Where voters are reached by each other; nobody in it where the cluster does not tell.
    #[serde(default)]
    pub listeners: BTreeMap<i32, Vec<VoterListener>>,
}

/// A listener of a voter, `CONTROLLER://host:9093`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoterListener {
    pub name: String,
    pub host: String,
    pub port: u16,
}

impl std::str::FromStr for VoterListener {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("\"{text}\" is no listener: it is written as CONTROLLER://host:9093");
        let (name, address) = text.split_once("://").ok_or_else(wrong)?;
        let endpoint: kafka_shared::types::Endpoint = address.parse().map_err(|_| wrong())?;
        if name.is_empty() || endpoint.host.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            name: name.to_owned(),
            host: endpoint.host,
            port: endpoint.port,
        })
    }
}

impl std::fmt::Display for VoterListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", self.name, self.host, self.port)
    }
}

/// One feature: what is in effect and what could be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureLevel {
    pub name: String,
    pub finalized: Option<i16>,
    /// What every broker that answered can do.
    pub supported_min: i16,
    pub supported_max: i16,
    /// By broker; empty where only one was asked.
    #[serde(default)]
    pub nodes: Vec<NodeLevels>,
}

/// The levels of a feature that one broker can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLevels {
    pub node: i32,
    pub min: i16,
    pub max: i16,
}

/// The feature levels of a cluster, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// -1 when there are none.
    pub finalized_epoch: i64,
    pub levels: Vec<FeatureLevel>,
}
