//! `topics` and `configs`.

use std::fmt::Write as _;

use kafka_shared::types::uuid_to_base64;
use serde::Serialize;

use crate::derive;
use crate::model::{
    ClusterSnapshot, ConfigEntry, ConfigSource, Configs, LogDirs, Offsets, Partition, Topic,
};
use crate::output::{Printable, Table, bytes_text, or_dash};

use super::{join, yes};

/// `topics list`.
#[derive(Clone, Debug, Serialize)]
pub struct TopicsJson {
    pub topics: Vec<TopicRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TopicRow {
    pub name: String,
    pub id: Option<String>,
    pub internal: bool,
    pub partitions: usize,
    pub replication_factor: usize,
    pub offline: usize,
    pub under_replicated: usize,
    pub reassigning: usize,
    /// Records between the start and the end of each log; offsets count, so gaps count too.
    pub records: Option<i64>,
    /// Bytes of all replicas.
    pub size_bytes: Option<i64>,
    pub balance: BalanceJson,
}

/// How evenly a topic is spread, in percent: CMAK's numbers, and the sounder ones.
#[derive(Clone, Debug, Serialize)]
pub struct BalanceJson {
    /// As CMAK has it, by what is in sync.
    pub cmak: PercentsJson,
    /// By what is placed: a broker that died keeps its share, and what a reassignment adds is not
    /// missed.
    pub placed: PercentsJson,
}

#[derive(Clone, Debug, Serialize)]
pub struct PercentsJson {
    /// Brokers with a part of it, of all.
    pub brokers_spread: u32,
    /// Brokers with more than the average, of those with any.
    pub brokers_skew: u32,
    pub leader_skew: u32,
    /// Partitions that their first replica leads.
    pub preferred_replicas: u32,
    pub under_replicated: u32,
}

fn balance(topic: &Topic, n_brokers: usize) -> BalanceJson {
    let cmak = derive::cmak(topic, n_brokers);
    let better = derive::topic_balance(topic, n_brokers);
    BalanceJson {
        cmak: PercentsJson {
            brokers_spread: cmak.brokers_spread,
            brokers_skew: cmak.brokers_skew,
            leader_skew: cmak.leader_skew,
            preferred_replicas: cmak.preferred_replicas,
            under_replicated: cmak.under_replicated,
        },
        placed: PercentsJson {
            brokers_spread: better.placed.spread_percent,
            brokers_skew: better.placed.skew_percent,
            leader_skew: better.placed.leader_skew_percent,
            preferred_replicas: better.preferred_percent,
            under_replicated: better.under_replicated_percent,
        },
    }
}

fn n_brokers(snapshot: &ClusterSnapshot) -> usize {
    let metadata = snapshot.metadata.get();
    metadata.map_or(0, |metadata| metadata.brokers.len())
}

/// One broker's share of a topic.
#[derive(Clone, Debug, Serialize)]
pub struct ShareRow {
    pub broker: i32,
    /// Partitions that are to have a replica there.
    pub partitions: Vec<i32>,
    /// Those of which that replica is in sync.
    pub in_sync: Vec<i32>,
    pub leaders: usize,
    /// Whether it has more in sync than the average of the brokers with any, as CMAK has it.
    pub skewed: bool,
    pub leader_skewed: bool,
    /// The same, of what is placed.
    pub placed_skewed: bool,
}

impl From<derive::TopicShare> for ShareRow {
    fn from(share: derive::TopicShare) -> Self {
        Self {
            broker: share.broker,
            partitions: share.placed,
            in_sync: share.in_sync,
            leaders: share.leaders,
            skewed: share.is_skewed,
            leader_skewed: share.is_leader_skewed,
            placed_skewed: share.is_placed_skewed,
        }
    }
}

impl ShareRow {
    /// What there is too much of.
    pub(super) fn skews(&self) -> String {
        let words = [
            (self.skewed, "partitions"),
            (self.leader_skewed, "leaders"),
            (self.placed_skewed && !self.skewed, "placed"),
        ];
        let words = words.iter().filter(|(is, _)| *is).map(|(_, word)| *word);
        words.collect::<Vec<_>>().join(", ")
    }
}

/// The records of a topic, when every partition's offsets are known.
fn records(offsets: Option<&Offsets>, topic: &Topic) -> Option<i64> {
    let offsets = offsets?.get(&topic.name)?;
    let parts = topic.partitions.iter().map(|partition| {
        let found = offsets.partition(partition.id)?;
        Some(found.end.known()?.saturating_sub(found.start.known()?))
    });
    parts.collect::<derive::Total<i64>>().complete()
}

fn topic_row(snapshot: &ClusterSnapshot, topic: &Topic) -> TopicRow {
    let health = derive::topic_health(topic, None);
    TopicRow {
        name: topic.name.to_string(),
        id: topic.id.map(uuid_to_base64),
        internal: topic.is_internal,
        partitions: topic.partitions.len(),
        replication_factor: topic.replication_factor(),
        offline: health.offline,
        under_replicated: health.under_replicated,
        reassigning: health.reassigning,
        records: records(snapshot.offsets.get(), topic),
        size_bytes: snapshot
            .log_dirs
            .get()
            .and_then(|dirs| derive::topic_size(dirs, topic).complete()),
        balance: balance(topic, n_brokers(snapshot)),
    }
}

/// The topics that `keep` keeps.
pub fn topics(snapshot: &ClusterSnapshot, keep: impl Fn(&Topic) -> bool) -> TopicsJson {
    let topics = snapshot
        .metadata
        .get()
        .map(|metadata| &metadata.topics[..])
        .unwrap_or_default();
    let rows = topics
        .iter()
        .filter(|topic| keep(topic))
        .map(|topic| topic_row(snapshot, topic));
    TopicsJson {
        topics: rows.collect(),
    }
}

impl Printable for TopicsJson {
    fn table(&self) -> String {
        let mut table = Table::new(&[
            "TOPIC",
            ">PARTITIONS",
            ">REPLICAS",
            ">OFFLINE",
            ">UNDER-REPLICATED",
            ">RECORDS",
            ">SIZE",
        ]);
        for topic in &self.topics {
            table.row([
                topic.name.clone(),
                topic.partitions.to_string(),
                topic.replication_factor.to_string(),
                topic.offline.to_string(),
                topic.under_replicated.to_string(),
                or_dash(topic.records),
                or_dash(topic.size_bytes.map(bytes_text)),
            ]);
        }
        table.render()
    }
}

/// `topics describe`.
#[derive(Clone, Debug, Serialize)]
pub struct TopicJson {
    pub name: String,
    pub id: Option<String>,
    pub internal: bool,
    pub replication_factor: usize,
    pub partitions: Vec<PartitionRow>,
    pub balance: BalanceJson,
    /// Brokers with a part of it.
    pub brokers: Vec<ShareRow>,
    /// The settings of this topic itself, not what it inherits; `null` when they can't be read.
    pub configs: Option<Vec<ConfigRow>>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PartitionRow {
    pub partition: i32,
    /// `null` when there is none.
    pub leader: Option<i32>,
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub offline_replicas: Vec<i32>,
    pub adding_replicas: Vec<i32>,
    pub removing_replicas: Vec<i32>,
    pub start_offset: Option<i64>,
    pub end_offset: Option<i64>,
    /// Bytes of the leader's log.
    pub size_bytes: Option<i64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ConfigRow {
    pub name: String,
    pub value: Option<String>,
    pub source: &'static str,
    pub sensitive: bool,
    pub read_only: bool,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The value where nobody sets one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation: Option<String>,
}

fn config_row(entry: &ConfigEntry) -> ConfigRow {
    let mut synonyms = entry.synonyms.iter();
    let default = synonyms.find(|synonym| synonym.source == ConfigSource::Default);
    ConfigRow {
        name: entry.name.clone(),
        value: entry.value.clone(),
        source: entry.source.as_str(),
        sensitive: entry.is_sensitive,
        read_only: entry.is_read_only,
        kind: entry.kind.as_str(),
        default: default.and_then(|synonym| synonym.value.clone()),
        documentation: entry.documentation.clone(),
    }
}

fn partition_row(
    topic: &Topic,
    partition: &Partition,
    offsets: Option<&Offsets>,
    dirs: Option<&LogDirs>,
) -> PartitionRow {
    let found = offsets.and_then(|all| all.get(&topic.name)?.partition(partition.id).copied());
    PartitionRow {
        partition: partition.id,
        leader: partition.has_leader().then_some(partition.leader),
        leader_epoch: partition.leader_epoch,
        replicas: partition.replicas.to_vec(),
        isr: partition.isr.to_vec(),
        offline_replicas: partition.offline.to_vec(),
        adding_replicas: partition.adding.to_vec(),
        removing_replicas: partition.removing.to_vec(),
        start_offset: found.and_then(|found| found.start.known()),
        end_offset: found.and_then(|found| found.end.known()),
        size_bytes: dirs.and_then(|dirs| derive::leader_size(dirs, &topic.name, partition)),
    }
}

/// One topic with its own settings.
pub fn topic(snapshot: &ClusterSnapshot, topic: &Topic) -> TopicJson {
    let resource = crate::model::ConfigResource::Topic(topic.name.to_string());
    let configs = snapshot
        .configs
        .get(&resource)
        .and_then(|configs| configs.get());
    let (offsets, dirs) = (snapshot.offsets.get(), snapshot.log_dirs.get());
    let partitions = topic.partitions.iter();
    TopicJson {
        name: topic.name.to_string(),
        id: topic.id.map(uuid_to_base64),
        internal: topic.is_internal,
        replication_factor: topic.replication_factor(),
        partitions: partitions
            .map(|p| partition_row(topic, p, offsets, dirs))
            .collect(),
        balance: balance(topic, n_brokers(snapshot)),
        brokers: derive::topic_shares(topic)
            .into_iter()
            .map(ShareRow::from)
            .collect(),
        configs: configs.map(|configs| {
            let own = configs
                .entries
                .iter()
                .filter(|entry| entry.is_overridden(&resource));
            own.map(config_row).collect()
        }),
    }
}

impl Printable for TopicJson {
    fn table(&self) -> String {
        let mut text = format!(
            "Topic {}  id {}  partitions {}  replicas {}{}\n",
            self.name,
            or_dash(self.id.clone()),
            self.partitions.len(),
            self.replication_factor,
            if self.internal { "  internal" } else { "" },
        );
        match &self.configs {
            None => text.push_str("Settings: could not be read\n"),
            Some(configs) if configs.is_empty() => text.push_str("Settings: all inherited\n"),
            Some(configs) => {
                for config in configs {
                    let value = config.value.as_deref().unwrap_or("(hidden)");
                    let _ = writeln!(text, "Setting {} = {value}", config.name);
                }
            }
        }
        text.push('\n');
        let mut table = Table::new(&[
            ">PARTITION",
            ">LEADER",
            "REPLICAS",
            "IN SYNC",
            "OFFLINE",
            ">START",
            ">END",
            ">SIZE",
        ]);
        for partition in &self.partitions {
            table.row([
                partition.partition.to_string(),
                partition
                    .leader
                    .map_or_else(|| "none".to_owned(), |id| id.to_string()),
                join(&partition.replicas),
                join(&partition.isr),
                join(&partition.offline_replicas),
                or_dash(partition.start_offset),
                or_dash(partition.end_offset),
                or_dash(partition.size_bytes.map(bytes_text)),
            ]);
        }
        text.push_str(&table.render());
        let mut table = Table::new(&[">BROKER", ">PARTITIONS", ">IN SYNC", ">LEADS", "TOO MANY"]);
        for share in &self.brokers {
            table.row([
                share.broker.to_string(),
                share.partitions.len().to_string(),
                share.in_sync.len().to_string(),
                share.leaders.to_string(),
                share.skews(),
            ]);
        }
        text.push('\n');
        text.push_str(&table.render());
        text
    }
}

/// `configs describe`.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigsJson {
    pub resource: crate::model::ConfigResource,
    pub configs: Vec<ConfigRow>,
}

/// The settings of a resource; only its own unless `all`.
pub fn configs(configs: &Configs, all: bool) -> ConfigsJson {
    let kept = configs
        .entries
        .iter()
        .filter(|e| all || e.is_overridden(&configs.resource));
    ConfigsJson {
        resource: configs.resource.clone(),
        configs: kept.map(config_row).collect(),
    }
}

impl Printable for ConfigsJson {
    fn table(&self) -> String {
        let mut table = Table::new(&["SETTING", "VALUE", "SOURCE", "TYPE", "READ-ONLY"]);
        for config in &self.configs {
            let hidden = if config.sensitive { "(hidden)" } else { "" };
            table.row([
                config.name.clone(),
                config.value.clone().unwrap_or_else(|| hidden.to_owned()),
                config.source.to_owned(),
                config.kind.to_owned(),
                yes(config.read_only),
            ]);
        }
        table.render()
    }
}
