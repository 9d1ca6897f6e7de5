//! The figures of the screens in Prometheus' text format.
//!
//! Names end in their unit, as Prometheus wants it; a figure that is not known has no sample, and
//! every part of the cluster's state has its age. Fields are added in later versions, never
//! renamed or removed; [`METRICS`] lists them.

mod metrics;

use std::fmt::Write as _;
use std::sync::Arc;

pub use self::metrics::METRICS;
use crate::derive::{self, CommitHistory, EndHistory, HealthCounts, Total};
use crate::model::{
    BrokerReading, ClusterSnapshot, Committed, Flow, GroupDescription, GroupKind, PerGroup,
    Resource, Taken, TaskRole,
};

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// A sample for each partition of each group: many, in a large cluster.
    pub partitions: bool,
}

/// What was seen while the exporter ran: from it lag is told in time, and verdicts.
#[derive(Debug, Default)]
pub struct Histories {
    pub ends: EndHistory,
    pub commits: CommitHistory,
}

impl Histories {
    /// Takes in what the snapshot holds since an update, and the commits that it read.
    pub fn note(&mut self, read: &PerGroup<Committed>, snapshot: &ClusterSnapshot, at: Taken) {
        self.ends.note(snapshot, at);
        self.commits.note(read, snapshot);
        if read.is_empty() {
            self.commits.retain(snapshot);
        }
    }
}

/// A family of samples: its name's end, and the value of one thing.
type Family<T, V> = (&'static str, fn(&T) -> V);

/// A text under construction.
struct Page {
    text: String,
}

impl Page {
    /// Begins a family of samples.
    fn family(&mut self, name: &str) {
        let metric = METRICS.iter().find(|metric| metric.name == name);
        debug_assert!(metric.is_some(), "{name} is not in the table");
        let help = metric.map_or("", |metric| metric.help);
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    /// One sample; none where the value is not known.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: Option<f64>) {
        let Some(value) = value else { return };
        self.text.push_str(name);
        for (at, (label, content)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{label}=\"");
            escape(content, &mut self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// A family of one sample without labels.
    fn gauge(&mut self, name: &str, value: Option<f64>) {
        if value.is_some() {
            self.family(name);
            self.sample(name, &[], value);
        }
    }
}

/// Backslash, quote and line end are what a label's value may not hold as they are.
fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => into.push_str("\\\\"),
            '"' => into.push_str("\\\""),
            '\n' => into.push_str("\\n"),
            c => into.push(c),
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "Prometheus knows no other numbers"
)]
fn float(n: i64) -> f64 {
    n as f64
}

fn size(n: usize) -> f64 {
    n as f64
}

/// Everything that is known, at a moment of the clocks that the snapshot was taken by.
pub fn metrics(
    snapshot: &ClusterSnapshot,
    history: &Histories,
    detail: Detail,
    now: Taken,
) -> String {
    let now_ms = now.monotonic_ms;
    let mut page = Page {
        text: String::with_capacity(16 * 1024),
    };
    ages(&mut page, snapshot, now_ms);
    cluster(&mut page, snapshot);
    brokers(&mut page, snapshot);
    told(&mut page, snapshot, now_ms);
    topics(&mut page, snapshot);
    groups(&mut page, snapshot, history, detail, now);
    page.text
}

fn ages(page: &mut Page, snapshot: &ClusterSnapshot, now_ms: i64) {
    fn part<T>(part: &Resource<T>, now_ms: i64) -> (Option<f64>, bool) {
        let age = part.age_ms(now_ms).map(|ms| float(ms) / 1_000.0);
        (age, part.fault().is_some())
    }
    let parts = [
        ("metadata", part(&snapshot.metadata, now_ms)),
        ("offsets", part(&snapshot.offsets, now_ms)),
        ("settings", part(&snapshot.settings, now_ms)),
        ("log_dirs", part(&snapshot.log_dirs, now_ms)),
        ("groups", part(&snapshot.groups, now_ms)),
        ("quorum", part(&snapshot.quorum, now_ms)),
        ("reassignments", part(&snapshot.reassignments, now_ms)),
    ];
    let is_up = snapshot.metadata.get().is_some() && snapshot.metadata.fault().is_none();
    page.gauge("kafka_up", Some(f64::from(u8::from(is_up))));
    let name = "kafka_age_seconds";
    page.family(name);
    for (part, (age, _)) in &parts {
        page.sample(name, &[("part", part)], *age);
    }
    let name = "kafka_read_failed";
    page.family(name);
    for (part, (_, failed)) in &parts {
        page.sample(name, &[("part", part)], Some(f64::from(u8::from(*failed))));
    }
}

fn cluster(page: &mut Page, snapshot: &ClusterSnapshot) {
    let Some(metadata) = snapshot.metadata.get() else {
        return;
    };
    if let Some(id) = &metadata.cluster_id {
        page.family("kafka_cluster_info");
        page.sample("kafka_cluster_info", &[("cluster_id", id)], Some(1.0));
    }
    let check = derive::cluster_check(snapshot);
    let is_healthy = check.verdict == derive::Verdict::Healthy;
    page.gauge(
        "kafka_cluster_healthy",
        Some(f64::from(u8::from(is_healthy))),
    );
    page.gauge(
        "kafka_controller_id",
        snapshot.controller_id().map(f64::from),
    );
    page.gauge("kafka_brokers", Some(size(metadata.brokers.len())));
    let fenced = metadata.brokers.iter().map(|b| b.fenced.map(usize::from));
    let fenced: Option<usize> = fenced.sum();
    page.gauge("kafka_brokers_fenced", fenced.map(size));
    page.gauge("kafka_topics", Some(size(metadata.topics.len())));
    let counts = derive::cluster_health(snapshot).unwrap_or_default();
    let of = [
        ("partitions", Some(counts.partitions)),
        ("partitions_offline", Some(counts.offline)),
        ("partitions_under_replicated", Some(counts.under_replicated)),
        ("partitions_under_min_isr", counts.under_min_isr.complete()),
        ("partitions_at_min_isr", counts.at_min_isr.complete()),
        ("partitions_not_preferred", Some(counts.not_preferred)),
        (
            "partitions_reassigning",
            snapshot.reassignments.get().map(|running| running.len()),
        ),
        ("replicas_offline", Some(counts.offline_replicas)),
    ];
    for (name, value) in of {
        page.gauge(&format!("kafka_{name}"), value.map(size));
    }
    page.gauge(
        "kafka_records_per_second",
        derive::cluster_rate(snapshot).complete(),
    );
}

fn brokers(page: &mut Page, snapshot: &ClusterSnapshot) {
    let Some(metadata) = snapshot.metadata.get() else {
        return;
    };
    let balances = derive::broker_balances(metadata);
    let sizes = snapshot.log_dirs.get().map(derive::broker_sizes);
    let of: [Family<derive::BrokerBalance, usize>; 4] = [
        ("leaders", |b| b.leaders),
        ("replicas", |b| b.replicas),
        ("in_sync_replicas", |b| b.in_sync),
        ("out_of_sync_replicas", |b| b.out_of_sync),
    ];
    for (name, value) in of {
        let name = format!("kafka_broker_{name}");
        page.family(&name);
        for (id, balance) in &balances {
            let id = id.to_string();
            page.sample(&name, &[("broker", &id)], Some(size(value(balance))));
        }
    }
    let name = "kafka_broker_up";
    page.family(name);
    for id in balances.keys() {
        let broker = metadata.broker(*id);
        let is_up = broker.is_some_and(|broker| broker.fenced != Some(true));
        let id = id.to_string();
        page.sample(name, &[("broker", &id)], Some(f64::from(u8::from(is_up))));
    }
    if let Some(sizes) = sizes {
        let name = "kafka_broker_log_bytes";
        page.family(name);
        for (id, bytes) in &sizes {
            let id = id.to_string();
            page.sample(name, &[("broker", &id)], Some(float(*bytes)));
        }
    }
}

/// What brokers with a metrics endpoint tell of themselves.
fn told(page: &mut Page, snapshot: &ClusterSnapshot, now_ms: i64) {
    if snapshot.metrics.is_empty() {
        return;
    }
    let all = || snapshot.metrics.iter().map(|(id, of)| (id.to_string(), of));
    let name = "kafka_broker_metrics_age_seconds";
    page.family(name);
    for (id, of) in all() {
        let age = of.reading.age_ms(now_ms).map(|ms| float(ms) / 1_000.0);
        page.sample(name, &[("broker", &id)], age);
    }
    let name = "kafka_broker_metrics_failed";
    page.family(name);
    for (id, of) in all() {
        let failed = f64::from(u8::from(of.reading.fault().is_some()));
        page.sample(name, &[("broker", &id)], Some(failed));
    }
    for (name, flow) in [
        ("messages_in_per_second", Flow::MessagesIn),
        ("bytes_in_per_second", Flow::BytesIn),
        ("bytes_out_per_second", Flow::BytesOut),
        ("bytes_rejected_per_second", Flow::BytesRejected),
        ("failed_produces_per_second", Flow::FailedProduces),
        ("failed_fetches_per_second", Flow::FailedFetches),
        ("cpu_cores", Flow::Cpu),
    ] {
        let name = format!("kafka_broker_{name}");
        page.family(&name);
        for (id, of) in all() {
            page.sample(&name, &[("broker", &id)], derive::broker_flow(of, flow));
        }
    }
    let gauges: [Family<BrokerReading, Option<f64>>; 9] = [
        ("request_handlers_idle_ratio", |of| of.handlers_idle),
        ("network_processors_idle_ratio", |of| of.network_idle),
        ("heap_used_bytes", |of| of.heap_used_bytes),
        ("heap_max_bytes", |of| of.heap_max_bytes),
        ("told_under_replicated", |of| of.under_replicated),
        ("told_under_min_isr", |of| of.under_min_isr),
        ("produce_p99_seconds", |of| Some(of.produce_p99_ms? / 1e3)),
        ("fetch_p99_seconds", |of| Some(of.fetch_p99_ms? / 1e3)),
        ("follower_p99_seconds", |of| Some(of.follower_p99_ms? / 1e3)),
    ];
    for (name, value) in gauges {
        let name = format!("kafka_broker_{name}");
        page.family(&name);
        for (id, of) in all() {
            let value = of.reading.get().and_then(&value);
            page.sample(&name, &[("broker", &id)], value);
        }
    }
    let Some(metadata) = snapshot.metadata.get() else {
        return;
    };
    for (name, flow) in [
        ("kafka_topic_bytes_in_per_second", Flow::BytesIn),
        ("kafka_topic_bytes_out_per_second", Flow::BytesOut),
    ] {
        page.family(name);
        for topic in &metadata.topics {
            let rate = derive::topic_flow(snapshot, topic, flow).complete();
            page.sample(name, &[("topic", &topic.name)], rate);
        }
    }
}

fn topics(page: &mut Page, snapshot: &ClusterSnapshot) {
    let Some(metadata) = snapshot.metadata.get() else {
        return;
    };
    let min_isr = |name: &str| snapshot.settings.get()?.get(name)?.min_insync_replicas;
    let counts: Vec<HealthCounts> = metadata
        .topics
        .iter()
        .map(|topic| derive::topic_health(topic, min_isr(&topic.name)))
        .collect();
    let of: [Family<HealthCounts, Option<usize>>; 4] = [
        ("partitions", |c| Some(c.partitions)),
        ("partitions_offline", |c| Some(c.offline)),
        ("partitions_under_replicated", |c| Some(c.under_replicated)),
        ("partitions_under_min_isr", |c| c.under_min_isr.complete()),
    ];
    for (name, value) in of {
        let name = format!("kafka_topic_{name}");
        page.family(&name);
        for (topic, counts) in metadata.topics.iter().zip(&counts) {
            page.sample(&name, &[("topic", &topic.name)], value(counts).map(size));
        }
    }
    let name = "kafka_topic_records_per_second";
    page.family(name);
    for topic in &metadata.topics {
        let rate = derive::topic_rate(snapshot, &topic.name).complete();
        page.sample(name, &[("topic", &topic.name)], rate);
    }
    let name = "kafka_topic_end_offset_sum";
    page.family(name);
    for topic in &metadata.topics {
        let offsets = snapshot.offsets.get().and_then(|all| all.get(&topic.name));
        let end = |partition: i32| offsets?.partition(partition)?.end.known();
        let ends: Total<i64> = topic.partitions.iter().map(|p| end(p.id)).collect();
        page.sample(name, &[("topic", &topic.name)], ends.complete().map(float));
    }
    if let Some(dirs) = snapshot.log_dirs.get() {
        let name = "kafka_topic_log_bytes";
        page.family(name);
        for topic in &metadata.topics {
            let bytes = derive::topic_size(dirs, topic).complete();
            page.sample(name, &[("topic", &topic.name)], bytes.map(float));
        }
    }
}

/// Epochs of groups of the new protocols, and tasks of streams groups.
fn streams(page: &mut Page, snapshot: &ClusterSnapshot) {
    let listed = snapshot.groups.get();
    let described = |id: &Arc<str>| snapshot.descriptions.get(id)?.get();
    let groups = listed.iter().flat_map(|groups| groups.groups.keys());
    let groups: Vec<&GroupDescription> = groups.filter_map(described).collect();
    let of: [Family<GroupDescription, Option<i32>>; 2] = [
        ("kafka_group_epoch", |group| group.group_epoch),
        ("kafka_group_assignment_epoch", |group| {
            group.assignment_epoch
        }),
    ];
    for (name, value) in of {
        page.family(name);
        for group in &groups {
            if let Some(epoch) = value(group) {
                page.sample(name, &[("group", &group.id)], Some(f64::from(epoch)));
            }
        }
    }
    let tasks: Vec<_> = (groups.iter())
        .filter(|group| group.kind == GroupKind::Streams)
        .map(|group| (*group, derive::streams_tasks(group)))
        .collect();
    let of: [Family<derive::StreamsTask, usize>; 2] = [
        ("kafka_streams_group_tasks", |task| task.owners.len()),
        ("kafka_streams_group_target_tasks", |task| {
            task.targets.len()
        }),
    ];
    for (name, value) in of {
        page.family(name);
        for (group, tasks) in &tasks {
            for role in TaskRole::ALL {
                let of_role = tasks.iter().filter(|task| task.role == role);
                let labels = [("group", &*group.id), ("role", role.as_str())];
                page.sample(name, &labels, Some(size(of_role.map(value).sum())));
            }
        }
    }
    let name = "kafka_streams_group_missing_topics";
    page.family(name);
    for (group, _) in &tasks {
        let missing = (group.topology.as_ref().zip(snapshot.metadata.get()))
            .map(|(topology, metadata)| derive::missing_topics(topology, metadata).len());
        page.sample(name, &[("group", &group.id)], missing.map(size));
    }
}

fn groups(
    page: &mut Page,
    snapshot: &ClusterSnapshot,
    history: &Histories,
    detail: Detail,
    now: Taken,
) {
    let Some(listed) = snapshot.groups.get() else {
        return;
    };
    page.gauge("kafka_groups", Some(size(listed.groups.len())));
    let all = derive::all_group_totals(snapshot);
    let of: [Family<derive::LaggingGroup, Option<f64>>; 4] = [
        ("lag_records", |group| group.totals.records().map(float)),
        ("lag_records_max", |group| group.totals.max.map(float)),
        ("members", |group| group.members.map(size)),
        ("partitions_with_loss", |group| {
            Some(size(group.totals.with_loss))
        }),
    ];
    for (name, value) in of {
        let name = format!("kafka_group_{name}");
        page.family(&name);
        for group in &all {
            page.sample(&name, &[("group", &group.id)], value(group));
        }
    }
    let name = "kafka_group_state";
    page.family(name);
    for group in &all {
        if let Some(state) = &group.state {
            let labels = [("group", &*group.id), ("state", state.as_str())];
            page.sample(name, &labels, Some(1.0));
        }
    }
    let name = "kafka_group_age_seconds";
    page.family(name);
    for group in &all {
        let committed = snapshot.committed.get(&group.id);
        let age = committed.and_then(|committed| committed.age_ms(now.monotonic_ms));
        let age = age.map(|ms| float(ms) / 1_000.0);
        page.sample(name, &[("group", &group.id)], age);
    }
    in_time(page, snapshot, history, &all, now);
    streams(page, snapshot);
    if detail.partitions {
        partitions(page, snapshot, &all);
        partitions_in_time(page, snapshot, history, &all, now);
    }
}

/// What is told from the time that the exporter has been running.
fn in_time(
    page: &mut Page,
    snapshot: &ClusterSnapshot,
    history: &Histories,
    all: &[derive::LaggingGroup],
    now: Taken,
) {
    let name = "kafka_group_lag_seconds";
    page.family(name);
    for group in all {
        let committed = snapshot.committed.get(&group.id).and_then(|c| c.get());
        let ms = committed.and_then(|c| history.ends.group_lag_ms(c, now.wall_ms));
        let seconds = ms.map(|ms| float(ms) / 1_000.0);
        page.sample(name, &[("group", &group.id)], seconds);
    }
    let name = "kafka_group_verdict";
    page.family(name);
    for group in all {
        let judged = history.commits.verdict(&group.id, snapshot);
        if let Some(judged) = judged {
            let labels = [("group", &*group.id), ("verdict", judged.verdict.as_str())];
            page.sample(name, &labels, Some(1.0));
        }
    }
}

fn partitions_in_time(
    page: &mut Page,
    snapshot: &ClusterSnapshot,
    history: &Histories,
    all: &[derive::LaggingGroup],
    now: Taken,
) {
    let name = "kafka_group_partition_lag_seconds";
    page.family(name);
    for group in all {
        let committed = snapshot.committed.get(&group.id).and_then(|c| c.get());
        for (topic, commits) in committed.iter().flat_map(|c| &*c.topics) {
            for commit in commits {
                let Some(at) = commit.offset else { continue };
                let ends = &history.ends;
                let ms = ends.lag_ms(topic, commit.partition, at, now.wall_ms);
                let partition = commit.partition.to_string();
                let labels = [
                    ("group", &*group.id),
                    ("topic", &**topic),
                    ("partition", &*partition),
                ];
                page.sample(name, &labels, ms.map(|ms| float(ms) / 1_000.0));
            }
        }
    }
}

fn partitions(page: &mut Page, snapshot: &ClusterSnapshot, all: &[derive::LaggingGroup]) {
    let name = "kafka_group_partition_lag_records";
    page.family(name);
    for group in all {
        let committed = snapshot.committed.get(&group.id).and_then(|c| c.get());
        let described = snapshot.descriptions.get(&group.id).and_then(|d| d.get());
        let lag = committed.and_then(|commits| derive::lag_in(snapshot, commits, described));
        for row in lag.iter().flat_map(|lag| &lag.partitions) {
            let partition = row.partition.to_string();
            let labels = [
                ("group", &*group.id),
                ("topic", &*row.topic),
                ("partition", &*partition),
            ];
            page.sample(name, &labels, row.lag.records().map(float));
        }
    }
}
