//! The documents that `--output json` prints, and their tables. Pure: made from a snapshot.

use std::fmt::Write as _;
use std::sync::Arc;

use kafka_shared::types::uuid_to_base64;
use serde::Serialize;

use crate::derive::{self, Lag};
use crate::local::LocalBroker;
use crate::model::{
    ClusterSnapshot, ConfigEntry, Configs, Fault, LogDirs, Offsets, Partition, Topic,
};
use crate::ops::{Change, Danger, Plan, Report, Verification};

use super::{Printable, Table, bytes_text, or_dash};

fn join(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

fn yes(flag: bool) -> String {
    if flag {
        "yes".to_owned()
    } else {
        String::new()
    }
}

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
}

fn config_row(entry: &ConfigEntry) -> ConfigRow {
    ConfigRow {
        name: entry.name.clone(),
        value: entry.value.clone(),
        source: entry.source.as_str(),
        sensitive: entry.is_sensitive,
        read_only: entry.is_read_only,
        kind: entry.kind.as_str(),
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

/// `groups list`.
#[derive(Clone, Debug, Serialize)]
pub struct GroupsJson {
    pub groups: Vec<GroupRow>,
    /// Brokers whose list of groups is missing, with the reason.
    pub missing: Vec<MissingPart>,
}

#[derive(Clone, Debug, Serialize)]
pub struct MissingPart {
    pub broker: i32,
    pub error: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct GroupRow {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub state: Option<String>,
    pub protocol_type: String,
    pub coordinator: i32,
    pub members: Option<usize>,
    /// Records, over all partitions with a commit.
    pub lag: Option<i64>,
    pub error: Option<String>,
}

fn lag_of(snapshot: &ClusterSnapshot, id: &Arc<str>) -> Option<derive::GroupLag> {
    let committed = snapshot.committed.get(id)?.get()?;
    let description = snapshot
        .descriptions
        .get(id)
        .and_then(|description| description.get());
    let metadata = snapshot.metadata.get()?;
    let exists = |topic: &str, partition: i32| {
        metadata
            .topic(topic)
            .is_some_and(|topic| topic.partition(partition).is_some())
    };
    let offsets = snapshot.offsets.value().cloned().unwrap_or_default();
    Some(derive::group_lag(committed, &offsets, description, exists))
}

/// Every group that was listed.
pub fn groups(snapshot: &ClusterSnapshot) -> GroupsJson {
    let Some(listed) = snapshot.groups.get() else {
        return GroupsJson {
            groups: Vec::new(),
            missing: Vec::new(),
        };
    };
    let row = |group: &Arc<crate::model::Group>| {
        let described = snapshot.descriptions.get(&group.id);
        let description = described.and_then(|described| described.get());
        let state = description.map(|d| &d.state).or(group.state.as_ref());
        GroupRow {
            id: group.id.to_string(),
            kind: group.kind.to_string(),
            state: state.map(ToString::to_string),
            protocol_type: group.protocol_type.to_string(),
            coordinator: group.coordinator,
            members: description.map(|description| description.members.len()),
            lag: lag_of(snapshot, &group.id).and_then(|lag| lag.total.complete()),
            error: described
                .and_then(|d| d.fault())
                .map(|fault| fault.to_string()),
        }
    };
    let missing = |(broker, fault): (&i32, &Arc<Fault>)| MissingPart {
        broker: *broker,
        error: fault.to_string(),
    };
    GroupsJson {
        groups: listed.groups.values().map(row).collect(),
        missing: listed.faults.iter().map(missing).collect(),
    }
}

impl Printable for GroupsJson {
    fn table(&self) -> String {
        let mut table = Table::new(&["GROUP", "TYPE", "STATE", ">COORDINATOR", ">MEMBERS", ">LAG"]);
        for group in &self.groups {
            table.row([
                group.id.clone(),
                group.kind.clone(),
                or_dash(group.state.clone()),
                group.coordinator.to_string(),
                or_dash(group.members),
                or_dash(group.lag),
            ]);
        }
        let mut text = table.render();
        for part in &self.missing {
            let _ = writeln!(
                text,
                "missing: the groups of broker {}: {}",
                part.broker, part.error
            );
        }
        text
    }
}

/// `groups describe`.
#[derive(Clone, Debug, Serialize)]
pub struct GroupJson {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub state: String,
    pub protocol_type: String,
    pub assignor: String,
    pub coordinator: i32,
    pub group_epoch: Option<i32>,
    pub members: Vec<MemberRow>,
    pub lag: Option<i64>,
    pub partitions: Vec<LagRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct MemberRow {
    pub id: String,
    pub client_id: String,
    pub host: String,
    pub instance_id: Option<String>,
    pub partitions: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LagRow {
    pub topic: String,
    pub partition: i32,
    pub committed: Option<i64>,
    pub log_start: Option<i64>,
    pub log_end: Option<i64>,
    pub lag: Option<i64>,
    /// Why the lag is not simply a number.
    pub reason: Option<String>,
    /// Records that were removed unread.
    pub lost: Option<i64>,
    pub member: Option<String>,
}

/// One group; `None` when it was not described.
pub fn group(snapshot: &ClusterSnapshot, id: &Arc<str>) -> Option<GroupJson> {
    let description = snapshot.descriptions.get(id)?.get()?;
    let lag = lag_of(snapshot, id).unwrap_or_default();
    let member = |member: &crate::model::Member| MemberRow {
        id: member.id.to_string(),
        client_id: member.client_id.to_string(),
        host: member.host.to_string(),
        instance_id: member.instance_id.as_deref().map(str::to_owned),
        partitions: member
            .assignment
            .iter()
            .flat_map(|owned| {
                owned
                    .partitions
                    .iter()
                    .map(|id| format!("{}-{id}", owned.topic))
            })
            .collect(),
    };
    let row = |row: &derive::PartitionLag| LagRow {
        topic: row.topic.to_string(),
        partition: row.partition,
        committed: row.committed,
        log_start: row.log_start,
        log_end: row.log_end,
        lag: row.lag.records(),
        reason: Lag::reason(row.lag),
        lost: row.lost,
        member: row
            .member
            .and_then(|at| description.members.get(at))
            .map(|member| member.id.to_string()),
    };
    Some(GroupJson {
        id: description.id.to_string(),
        kind: description.kind.to_string(),
        state: description.state.to_string(),
        protocol_type: description.protocol_type.to_string(),
        assignor: description.assignor.to_string(),
        coordinator: description.coordinator,
        group_epoch: description.group_epoch,
        members: description.members.iter().map(member).collect(),
        lag: lag.total.complete(),
        partitions: lag.partitions.iter().map(row).collect(),
    })
}

impl Printable for GroupJson {
    fn table(&self) -> String {
        let mut text = format!(
            "Group {}  type {}  state {}  coordinator {}  assignor {}  lag {}\n\n",
            self.id,
            self.kind,
            self.state,
            self.coordinator,
            if self.assignor.is_empty() {
                "-"
            } else {
                &self.assignor
            },
            or_dash(self.lag),
        );
        let mut table = Table::new(&[
            "TOPIC",
            ">PARTITION",
            ">COMMITTED",
            ">LOG END",
            ">LAG",
            "MEMBER",
            "NOTE",
        ]);
        for row in &self.partitions {
            let lost = row
                .lost
                .map(|lost| format!("{lost} records were removed unread"));
            let notes: Vec<String> = row.reason.clone().into_iter().chain(lost).collect();
            table.row([
                row.topic.clone(),
                row.partition.to_string(),
                or_dash(row.committed),
                or_dash(row.log_end),
                or_dash(row.lag),
                or_dash(row.member.clone()),
                notes.join("; "),
            ]);
        }
        text.push_str(&table.render());
        if !self.members.is_empty() {
            text.push('\n');
            let mut table = Table::new(&["MEMBER", "CLIENT", "HOST", ">PARTITIONS", "OWNS"]);
            for member in &self.members {
                table.row([
                    member.id.clone(),
                    member.client_id.clone(),
                    member.host.clone(),
                    member.partitions.len().to_string(),
                    member.partitions.join(" "),
                ]);
            }
            text.push_str(&table.render());
        }
        text
    }
}

/// A plan, as a dry run prints it.
#[derive(Clone, Debug, Serialize)]
pub struct PlanJson {
    pub title: String,
    pub danger: Danger,
    pub changes: Vec<Change>,
    pub warnings: Vec<String>,
    pub not_done: Vec<String>,
    /// The same with Kafka's own tools.
    pub equivalent: Vec<String>,
    /// Replicas that a reassignment copies, and their bytes.
    pub moves: Option<usize>,
    pub move_bytes: Option<i64>,
}

impl From<&Plan> for PlanJson {
    fn from(plan: &Plan) -> Self {
        let preview = plan.reassignment.as_ref();
        Self {
            title: plan.title.clone(),
            danger: plan.danger,
            changes: plan.changes.clone(),
            warnings: plan.warnings.clone(),
            not_done: plan.not_done.clone(),
            equivalent: plan.equivalent.clone(),
            moves: preview.map(|preview| preview.n_moves()),
            move_bytes: preview.and_then(|preview| preview.bytes.complete()),
        }
    }
}

impl Printable for PlanJson {
    fn table(&self) -> String {
        let mut text = format!("{}\n", self.title);
        if self.changes.is_empty() {
            text.push_str("  nothing to change\n");
        }
        for change in &self.changes {
            let before = change.before.as_deref().unwrap_or("(none)");
            let after = change.after.as_deref().unwrap_or("(none)");
            let _ = match (&change.before, &change.after) {
                (None, Some(after)) => writeln!(text, "  {}: {after}", change.subject),
                (Some(before), None) => writeln!(text, "  {}: {before} -> gone", change.subject),
                _ => writeln!(text, "  {}: {before} -> {after}", change.subject),
            };
        }
        if let Some(moves) = self.moves.filter(|moves| *moves > 0) {
            let bytes = self
                .move_bytes
                .map_or_else(|| "unknown size".to_owned(), bytes_text);
            let _ = writeln!(text, "  copies {moves} replicas, {bytes}");
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "  warning: {warning}");
        }
        for untouched in &self.not_done {
            let _ = writeln!(text, "  left as it is: {untouched}");
        }
        for line in &self.equivalent {
            let _ = writeln!(text, "  same as: {line}");
        }
        text
    }
}

/// What a changing command did.
#[derive(Clone, Debug, Serialize)]
pub struct DoneJson {
    pub dry_run: bool,
    pub plan: PlanJson,
    /// What the broker said of the plan when it was asked to check it only.
    pub check: Option<Report>,
    pub report: Option<Report>,
    pub verification: Option<Verification>,
}

impl Printable for DoneJson {
    fn table(&self) -> String {
        let mut text = self.plan.table();
        if self.dry_run {
            text.push_str("dry run: nothing was changed\n");
        }
        for item in self.report.iter().flat_map(|report| &report.items) {
            let _ = match &item.outcome {
                Ok(done) => writeln!(text, "{}: {done}", item.subject),
                Err(fault) => writeln!(text, "{}: failed: {}", item.subject, fault.why),
            };
        }
        match &self.verification {
            Some(Verification::InProgress { detail }) => {
                let _ = writeln!(text, "in progress: {detail}");
            }
            Some(Verification::Differs { detail }) => {
                let _ = writeln!(text, "not as planned: {detail}");
            }
            Some(Verification::Done) | None => {}
        }
        text
    }
}

/// `reassign status`.
#[derive(Clone, Debug, Serialize)]
pub struct MovesJson {
    pub reassignments: Vec<MoveRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct MoveRow {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<i32>,
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
    pub bytes_done: Option<i64>,
    pub bytes_total: Option<i64>,
    /// Between 0 and 1.
    pub progress: Option<f64>,
}

/// Every reassignment that runs.
pub fn moves(snapshot: &ClusterSnapshot) -> MovesJson {
    let (Some(running), Some(metadata)) = (snapshot.reassignments.get(), snapshot.metadata.get())
    else {
        return MovesJson {
            reassignments: Vec::new(),
        };
    };
    let row = |progress: derive::MoveProgress| MoveRow {
        topic: progress.partition.topic.to_string(),
        partition: progress.partition.partition,
        bytes_done: progress.bytes_done.complete(),
        bytes_total: progress.bytes_total.complete(),
        progress: progress.fraction(),
        replicas: progress.ongoing.replicas,
        adding: progress.ongoing.adding,
        removing: progress.ongoing.removing,
    };
    let moves = derive::moves(running, metadata, snapshot.log_dirs.get());
    MovesJson {
        reassignments: moves.into_iter().map(row).collect(),
    }
}

impl Printable for MovesJson {
    fn table(&self) -> String {
        if self.reassignments.is_empty() {
            return "no reassignment is running\n".to_owned();
        }
        let mut table = Table::new(&[
            "TOPIC",
            ">PARTITION",
            "REPLICAS",
            "ADDING",
            "REMOVING",
            ">COPIED",
            ">OF",
            ">DONE",
        ]);
        for row in &self.reassignments {
            table.row([
                row.topic.clone(),
                row.partition.to_string(),
                join(&row.replicas),
                join(&row.adding),
                join(&row.removing),
                or_dash(row.bytes_done.map(bytes_text)),
                or_dash(row.bytes_total.map(bytes_text)),
                or_dash(row.progress.map(|done| format!("{:.0}%", done * 100.0))),
            ]);
        }
        table.render()
    }
}

/// `local status`.
#[derive(Clone, Debug, Serialize)]
pub struct LocalJson {
    pub brokers: Vec<LocalBroker>,
}

impl Printable for LocalJson {
    fn table(&self) -> String {
        if self.brokers.is_empty() {
            return "there is no local broker; `kafka-tui local start` makes one\n".to_owned();
        }
        let mut table = Table::new(&["NAME", "STATE", ">PID", "ADDRESS", "FOLDER"]);
        for broker in &self.brokers {
            table.row([
                broker.name.clone(),
                broker.status.to_string(),
                or_dash(broker.pid),
                broker.address(),
                broker.folder.display().to_string(),
            ]);
        }
        table.render()
    }
}
