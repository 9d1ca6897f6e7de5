//! `brokers` and `local`.

use serde::Serialize;

use crate::derive;
use crate::local::LocalBroker;
use crate::model::ClusterSnapshot;
use crate::output::{Printable, Table, bytes_text, or_dash};

use super::{ShareRow, yes};

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

/// `brokers describe`: one broker with its folders and its share of each topic.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerJson {
    pub broker: BrokerRow,
    /// `null` where they can't be read.
    pub log_dirs: Option<Vec<LogDirRow>>,
    pub topics: Vec<BrokerTopicRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LogDirRow {
    pub path: String,
    pub size_bytes: i64,
    pub total_bytes: Option<i64>,
    pub usable_bytes: Option<i64>,
    pub replicas: u32,
    pub cordoned: bool,
    pub error: Option<String>,
}

/// A broker's share of one topic.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerTopicRow {
    pub topic: String,
    pub replication_factor: usize,
    /// Of the whole topic.
    pub n_partitions: usize,
    /// Bytes of its replicas here.
    pub size_bytes: Option<i64>,
    #[serde(flatten)]
    pub share: ShareRow,
}

/// One broker; `None` where nobody knows it.
pub fn broker(snapshot: &ClusterSnapshot, id: i32) -> Option<BrokerJson> {
    let metadata = snapshot.metadata.get()?;
    let broker = brokers(snapshot)
        .brokers
        .into_iter()
        .find(|row| row.id == id)?;
    let all_dirs = snapshot.log_dirs.get();
    let row = |topic: &crate::model::Topic| {
        let mut shares = derive::topic_shares(topic).into_iter();
        let share = shares.rfind(|share| share.broker == id)?;
        let size = |partition: &i32| {
            let replica = all_dirs?.replica(&topic.name, *partition, id);
            Some(replica?.size_bytes)
        };
        Some(BrokerTopicRow {
            topic: topic.name.to_string(),
            replication_factor: topic.replication_factor(),
            n_partitions: topic.partitions.len(),
            size_bytes: share.placed.iter().map(size).sum(),
            share: share.into(),
        })
    };
    let dirs = all_dirs.and_then(|dirs| dirs.dirs.get(&id));
    let dir = |dir: &crate::model::LogDir| LogDirRow {
        path: dir.path.clone(),
        size_bytes: dir.size_bytes,
        total_bytes: dir.total_bytes,
        usable_bytes: dir.usable_bytes,
        replicas: dir.replicas,
        cordoned: dir.cordoned,
        error: dir.error.map(|error| error.name()),
    };
    Some(BrokerJson {
        broker,
        log_dirs: dirs.map(|dirs| dirs.iter().map(dir).collect()),
        topics: metadata
            .topics
            .iter()
            .filter_map(|topic| row(topic))
            .collect(),
    })
}

impl Printable for BrokerJson {
    fn table(&self) -> String {
        let list = BrokersJson {
            cluster_id: None,
            controller_id: None,
            brokers: vec![self.broker.clone()],
        };
        let mut text = list.table();
        for dir in self.log_dirs.iter().flatten() {
            let free = dir.usable_bytes.map(bytes_text);
            let free = free.map_or_else(String::new, |free| format!(", {free} free"));
            let error = dir.error.as_ref();
            let error = error.map_or_else(String::new, |error| format!(", {error}"));
            let size = bytes_text(dir.size_bytes);
            text.push_str(&format!("Log dir {}: {size}{free}{error}\n", dir.path));
        }
        text.push('\n');
        let mut table = Table::new(&[
            "TOPIC", ">RF", ">OF", ">HERE", ">IN SYNC", ">LEADS", ">SIZE", "TOO MANY",
        ]);
        for row in &self.topics {
            table.row([
                row.topic.clone(),
                row.replication_factor.to_string(),
                row.n_partitions.to_string(),
                row.share.partitions.len().to_string(),
                row.share.in_sync.len().to_string(),
                row.share.leaders.to_string(),
                or_dash(row.size_bytes.map(bytes_text)),
                row.share.skews(),
            ]);
        }
        text.push_str(&table.render());
        text
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
