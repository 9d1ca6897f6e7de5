//! `brokers` and `local`.

use serde::Serialize;

use crate::derive;
use crate::local::LocalBroker;
use crate::model::ClusterSnapshot;
use crate::output::{Printable, Table, bytes_text, or_dash};

use super::yes;

/// `brokers list`.
#[derive(Clone, Debug, Serialize)]
pub struct BrokersJson {
    pub cluster_id: Option<String>,
    pub controller_id: Option<i32>,
    pub brokers: Vec<BrokerRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct BrokerRow {
    pub id: i32,
    /// `null` for a broker that partitions name and the cluster does not know.
    pub host: Option<String>,
    pub port: Option<i32>,
    pub rack: Option<String>,
    pub fenced: Option<bool>,
    pub controller: bool,
    pub leaders: usize,
    pub replicas: usize,
    pub in_sync: usize,
    pub leader_skew_percent: Option<f64>,
    pub replica_skew_percent: Option<f64>,
    pub size_bytes: Option<i64>,
    /// Why a part of this line is missing.
    pub error: Option<String>,
}

/// Every broker with its share.
pub fn brokers(snapshot: &ClusterSnapshot) -> BrokersJson {
    let Some(metadata) = snapshot.metadata.get() else {
        return BrokersJson {
            cluster_id: None,
            controller_id: None,
            brokers: Vec::new(),
        };
    };
    let controller_id = snapshot.controller_id();
    let sizes = snapshot
        .log_dirs
        .get()
        .map(derive::broker_sizes)
        .unwrap_or_default();
    let faults = snapshot.broker_faults();
    let row = |(id, balance): (&i32, &derive::BrokerBalance)| {
        let broker = metadata.broker(*id);
        BrokerRow {
            id: *id,
            host: broker.map(|broker| broker.host.clone()),
            port: broker.map(|broker| broker.port),
            rack: broker.and_then(|broker| broker.rack.clone()),
            fenced: broker.and_then(|broker| broker.fenced),
            controller: controller_id == Some(*id),
            leaders: balance.leaders,
            replicas: balance.replicas,
            in_sync: balance.in_sync,
            leader_skew_percent: balance.leader_skew_percent,
            replica_skew_percent: balance.replica_skew_percent,
            size_bytes: sizes.get(id).copied(),
            error: faults.get(id).map(|fault| fault.to_string()),
        }
    };
    BrokersJson {
        cluster_id: metadata.cluster_id.as_deref().map(str::to_owned),
        controller_id,
        brokers: derive::broker_balances(metadata).iter().map(row).collect(),
    }
}

impl Printable for BrokersJson {
    fn table(&self) -> String {
        let mut table = Table::new(&[
            ">ID",
            "ADDRESS",
            "RACK",
            "STATE",
            "CONTROLLER",
            ">LEADERS",
            ">REPLICAS",
            ">IN SYNC",
            ">SIZE",
        ]);
        for broker in &self.brokers {
            let address = match (&broker.host, broker.port) {
                (Some(host), Some(port)) => format!("{host}:{port}"),
                _ => "-".to_owned(),
            };
            let state = match (&broker.host, broker.fenced) {
                (None, _) => "gone",
                (Some(_), Some(true)) => "fenced",
                // The cluster has not noticed yet, or only this program can't reach it.
                (Some(_), _) if broker.error.is_some() => "no answer",
                (Some(_), _) => "up",
            };
            table.row([
                broker.id.to_string(),
                address,
                or_dash(broker.rack.clone()),
                state.to_owned(),
                yes(broker.controller),
                broker.leaders.to_string(),
                broker.replicas.to_string(),
                broker.in_sync.to_string(),
                or_dash(broker.size_bytes.map(bytes_text)),
            ]);
        }
        table.render()
    }
}

/// `local logs`.
#[derive(Clone, Debug, Serialize)]
pub struct LocalLogsJson {
    pub logs: Vec<LocalLog>,
}

/// The last lines of a broker's log, of those that were asked for.
#[derive(Clone, Debug, Serialize)]
pub struct LocalLog {
    pub name: String,
    pub lines: Vec<String>,
}

impl Printable for LocalLogsJson {
    fn table(&self) -> String {
        let mut text = String::new();
        for log in &self.logs {
            if self.logs.len() > 1 {
                text.push_str(&format!("==> {} <==\n", log.name));
            }
            for line in &log.lines {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

/// `local status`, and what became of each broker that something was done with.
#[derive(Clone, Debug, Serialize)]
pub struct LocalJson {
    pub brokers: Vec<LocalBroker>,
}

impl Printable for LocalJson {
    fn table(&self) -> String {
        if self.brokers.is_empty() {
            return "there is no local broker; `kafka-tui local start` makes one\n".to_owned();
        }
        let columns = [
            "NAME", "STATE", ">PID", "ADDRESS", "RACK", ">DATA", "KIND", "FOLDER",
        ];
        let mut table = Table::new(&columns);
        for broker in &self.brokers {
            table.row([
                broker.name.clone(),
                broker.status.to_string(),
                or_dash(broker.pid),
                broker.address(),
                or_dash(broker.rack.as_deref()),
                or_dash(
                    broker
                        .data_bytes
                        .map(|n| bytes_text(i64::try_from(n).unwrap_or(i64::MAX))),
                ),
                match &broker.apache {
                    Some(_) => "apache".to_owned(),
                    None => "built-in".to_owned(),
                },
                broker.folder.display().to_string(),
            ]);
        }
        table.render()
    }
}
