//! `quorum describe` and `features list`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::derive::{self, Survival, feature_level_name};
use crate::model::{Features, NodeLevels, Quorum, QuorumReplica};
use crate::output::{Printable, Table, or_dash};
use crate::times::timestamp_ms;

/// `quorum describe`.
#[derive(Clone, Debug, Serialize)]
pub struct QuorumJson {
    #[serde(flatten)]
    pub quorum: Quorum,
    /// How many of the voters may still fail.
    pub survival: Survival,
}

impl From<Quorum> for QuorumJson {
    fn from(quorum: Quorum) -> Self {
        Self {
            survival: derive::survival(&quorum, None, None),
            quorum,
        }
    }
}

impl Printable for QuorumJson {
    fn table(&self) -> String {
        let Quorum {
            leader_id,
            leader_epoch,
            high_watermark,
            ..
        } = &self.quorum;
        let mut text =
            format!("leader {leader_id}, epoch {leader_epoch}, high watermark {high_watermark}\n");
        let Survival {
            n_voters,
            n_live,
            majority,
            spare,
        } = self.survival;
        let _ = writeln!(
            text,
            "{n_live} of {n_voters} voters answer, {majority} have to; {spare} more may fail"
        );
        let mut table = Table::new(&[
            ">NODE",
            "ROLE",
            ">LOG END",
            ">LAG",
            "FETCHED AT",
            "CAUGHT UP AT",
            "DIRECTORY",
            "LISTENERS",
        ]);
        let voters = self.quorum.voters.iter().map(|replica| (replica, "voter"));
        let observers = self
            .quorum
            .observers
            .iter()
            .map(|replica| (replica, "observer"));
        for (replica, role) in voters.chain(observers) {
            let QuorumReplica {
                id,
                directory_id,
                log_end_offset,
                lag,
                last_fetch_ms,
                last_caught_up_ms,
            } = replica;
            let moment = |ms: &Option<i64>| or_dash(ms.filter(|ms| *ms >= 0).map(timestamp_ms));
            let listeners = self.quorum.listeners.get(id).into_iter().flatten();
            let listeners: Vec<String> = listeners.map(ToString::to_string).collect();
            table.row([
                id.to_string(),
                if id == leader_id { "leader" } else { role }.to_owned(),
                or_dash((*log_end_offset >= 0).then_some(*log_end_offset)),
                or_dash(*lag),
                moment(last_fetch_ms),
                moment(last_caught_up_ms),
                or_dash(directory_id.clone()),
                listeners.join(" "),
            ]);
        }
        text + &table.render()
    }
}

/// `features list`.
#[derive(Clone, Debug, Serialize)]
pub struct FeaturesJson {
    pub finalized_epoch: Option<i64>,
    pub features: Vec<FeatureRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct FeatureRow {
    pub name: String,
    pub finalized: Option<i16>,
    /// The release that the level is named after.
    pub finalized_name: Option<&'static str>,
    /// What every broker can do.
    pub supported_min: i16,
    pub supported_max: i16,
    pub supported_max_name: Option<&'static str>,
    pub nodes: Vec<NodeLevels>,
}

impl From<Features> for FeaturesJson {
    fn from(features: Features) -> Self {
        let row = |level: crate::model::FeatureLevel| FeatureRow {
            finalized_name: level
                .finalized
                .and_then(|at| feature_level_name(&level.name, at)),
            supported_max_name: feature_level_name(&level.name, level.supported_max),
            name: level.name,
            finalized: level.finalized,
            supported_min: level.supported_min,
            supported_max: level.supported_max,
            nodes: level.nodes,
        };
        Self {
            finalized_epoch: (features.finalized_epoch >= 0).then_some(features.finalized_epoch),
            features: features.levels.into_iter().map(row).collect(),
        }
    }
}

impl Printable for FeaturesJson {
    fn table(&self) -> String {
        let mut table = Table::new(&["FEATURE", ">LEVEL", "NAME", ">FROM", ">TO", "BROKERS"]);
        for row in &self.features {
            let brokers: Vec<String> = row
                .nodes
                .iter()
                .map(|node| format!("{}:{}-{}", node.node, node.min, node.max))
                .collect();
            table.row([
                row.name.clone(),
                or_dash(row.finalized),
                row.finalized_name.unwrap_or_default().to_owned(),
                row.supported_min.to_string(),
                row.supported_max.to_string(),
                brokers.join(" "),
            ]);
        }
        table.render()
    }
}
