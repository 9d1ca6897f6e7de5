//! `brokers metrics`.

use serde::Serialize;

use crate::derive::{self, Total};
use crate::model::{BrokerMetrics, ClusterSnapshot, Flow};
use crate::output::{Printable, Table, bytes_text, or_dash};

/// `brokers metrics`.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerMetricsJson {
    pub cluster_id: Option<String>,
    /// What the rates were measured over.
    pub interval_ms: i64,
    pub brokers: Vec<BrokerMetricsRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct BrokerMetricsRow {
    pub id: i32,
    /// `metrics` where the broker's page was read, else `log_ends`: messages only, of the
    /// partitions that it leads.
    pub source: &'static str,
    /// How old the page is.
    pub age_ms: Option<i64>,
    /// Why the page was not read.
    pub error: Option<String>,
    pub messages_in_per_second: Option<f64>,
    /// Of all brokers that tell.
    pub messages_in_percent: Option<f64>,
    pub bytes_in_per_second: Option<f64>,
    pub bytes_in_percent: Option<f64>,
    pub bytes_out_per_second: Option<f64>,
    pub bytes_out_percent: Option<f64>,
    pub bytes_rejected_per_second: Option<f64>,
    pub failed_produces_per_second: Option<f64>,
    pub failed_fetches_per_second: Option<f64>,
    pub cpu_cores: Option<f64>,
    /// 1 is always.
    pub request_handlers_idle: Option<f64>,
    pub network_processors_idle: Option<f64>,
    pub heap_used_bytes: Option<f64>,
    pub heap_max_bytes: Option<f64>,
    pub under_replicated: Option<f64>,
    pub under_min_isr: Option<f64>,
    pub produce_p99_ms: Option<f64>,
    pub fetch_p99_ms: Option<f64>,
    pub follower_p99_ms: Option<f64>,
    /// Lines of the page that can't be read.
    pub bad_lines: usize,
    /// The topics with most bytes on this broker, the busiest first.
    pub topics: Vec<TopicFlowRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TopicFlowRow {
    pub name: String,
    pub messages_in_per_second: Option<f64>,
    pub bytes_in_per_second: Option<f64>,
    pub bytes_out_per_second: Option<f64>,
}

/// What brokers tell, with no more than `topics` topics of each; `only` one of them if it is named.
pub fn broker_metrics(
    snapshot: &ClusterSnapshot,
    only: Option<i32>,
    interval_ms: i64,
    now_ms: i64,
    topics: usize,
) -> BrokerMetricsJson {
    let metadata = snapshot.metadata.get();
    let by_leader = derive::leader_rates(snapshot);
    let ids = metadata
        .iter()
        .flat_map(|metadata| &metadata.brokers)
        .map(|broker| broker.id);
    let ids = ids.filter(|id| only.is_none_or(|only| only == *id));
    let row = |id: i32| {
        let metrics = snapshot.metrics.get(&id);
        match metrics.filter(|metrics| metrics.reading.get().is_some()) {
            Some(metrics) => told(snapshot, id, metrics, now_ms, topics),
            None => by_log_ends(id, metrics, by_leader.get(&id).copied().unwrap_or_default()),
        }
    };
    BrokerMetricsJson {
        cluster_id: metadata
            .and_then(|metadata| metadata.cluster_id.as_deref())
            .map(str::to_owned),
        interval_ms,
        brokers: ids.map(row).collect(),
    }
}

fn by_log_ends(id: i32, metrics: Option<&BrokerMetrics>, rate: Total<f64>) -> BrokerMetricsRow {
    let fault = metrics.and_then(|metrics| metrics.reading.fault());
    BrokerMetricsRow {
        error: fault.map(ToString::to_string),
        messages_in_per_second: rate.complete(),
        ..empty(id)
    }
}

fn empty(id: i32) -> BrokerMetricsRow {
    BrokerMetricsRow {
        id,
        source: "log_ends",
        age_ms: None,
        error: None,
        messages_in_per_second: None,
        messages_in_percent: None,
        bytes_in_per_second: None,
        bytes_in_percent: None,
        bytes_out_per_second: None,
        bytes_out_percent: None,
        bytes_rejected_per_second: None,
        failed_produces_per_second: None,
        failed_fetches_per_second: None,
        cpu_cores: None,
        request_handlers_idle: None,
        network_processors_idle: None,
        heap_used_bytes: None,
        heap_max_bytes: None,
        under_replicated: None,
        under_min_isr: None,
        produce_p99_ms: None,
        fetch_p99_ms: None,
        follower_p99_ms: None,
        bad_lines: 0,
        topics: Vec::new(),
    }
}

fn told(
    snapshot: &ClusterSnapshot,
    id: i32,
    metrics: &BrokerMetrics,
    now_ms: i64,
    topics: usize,
) -> BrokerMetricsRow {
    let Some(reading) = metrics.reading.get() else {
        return empty(id);
    };
    let flow = |flow| derive::broker_flow(metrics, flow);
    let share = |flow| derive::flow_share_percent(snapshot, id, flow);
    BrokerMetricsRow {
        source: "metrics",
        age_ms: metrics.reading.age_ms(now_ms),
        error: metrics.reading.fault().map(ToString::to_string),
        messages_in_per_second: flow(Flow::MessagesIn),
        messages_in_percent: share(Flow::MessagesIn),
        bytes_in_per_second: flow(Flow::BytesIn),
        bytes_in_percent: share(Flow::BytesIn),
        bytes_out_per_second: flow(Flow::BytesOut),
        bytes_out_percent: share(Flow::BytesOut),
        bytes_rejected_per_second: flow(Flow::BytesRejected),
        failed_produces_per_second: flow(Flow::FailedProduces),
        failed_fetches_per_second: flow(Flow::FailedFetches),
        cpu_cores: flow(Flow::Cpu),
        request_handlers_idle: reading.handlers_idle,
        network_processors_idle: reading.network_idle,
        heap_used_bytes: reading.heap_used_bytes,
        heap_max_bytes: reading.heap_max_bytes,
        under_replicated: reading.under_replicated,
        under_min_isr: reading.under_min_isr,
        produce_p99_ms: reading.produce_p99_ms,
        fetch_p99_ms: reading.fetch_p99_ms,
        follower_p99_ms: reading.follower_p99_ms,
        bad_lines: reading.bad_lines,
        topics: busiest(metrics, topics),
        ..empty(id)
    }
}

fn busiest(metrics: &BrokerMetrics, limit: usize) -> Vec<TopicFlowRow> {
    let topics = metrics
        .reading
        .get()
        .into_iter()
        .flat_map(|reading| &reading.topics);
    let mut rows: Vec<TopicFlowRow> = topics
        .map(|topic| {
            let flow = |flow| derive::broker_topic_flow(metrics, &topic.name, flow);
            TopicFlowRow {
                name: topic.name.to_string(),
                messages_in_per_second: flow(Flow::MessagesIn),
                bytes_in_per_second: flow(Flow::BytesIn),
                bytes_out_per_second: flow(Flow::BytesOut),
            }
        })
        .collect();
    let bytes = |row: &TopicFlowRow| {
        row.bytes_in_per_second.unwrap_or(0.0) + row.bytes_out_per_second.unwrap_or(0.0)
    };
    rows.sort_by(|a, b| bytes(b).total_cmp(&bytes(a)));
    rows.truncate(limit);
    rows
}

fn rate_text(rate: Option<f64>) -> String {
    or_dash(rate.map(|rate| format!("{rate:.1}")))
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a fraction of a byte is not shown"
)]
fn bytes_rate(rate: Option<f64>) -> String {
    or_dash(rate.map(|rate| bytes_text(rate.round() as i64)))
}

fn share_text(share: Option<f64>) -> String {
    or_dash(share.map(|share| format!("{:.0}%", share * 100.0)))
}

impl Printable for BrokerMetricsJson {
    fn table(&self) -> String {
        let columns = [
            ">ID",
            "BY",
            ">MSG/S",
            ">IN/S",
            ">OUT/S",
            ">IDLE",
            ">NET IDLE",
            ">HEAP",
            ">CPU",
            ">URP",
            ">UNDER MIN",
            ">P99 PRODUCE",
            ">P99 FETCH",
        ];
        let mut table = Table::new(&columns);
        let number = |n: Option<f64>, digits: usize| or_dash(n.map(|n| format!("{n:.digits$}")));
        for row in &self.brokers {
            table.row([
                row.id.to_string(),
                row.source.replace('_', " "),
                rate_text(row.messages_in_per_second),
                bytes_rate(row.bytes_in_per_second),
                bytes_rate(row.bytes_out_per_second),
                share_text(row.request_handlers_idle),
                share_text(row.network_processors_idle),
                bytes_rate(row.heap_used_bytes),
                number(row.cpu_cores, 2),
                number(row.under_replicated, 0),
                number(row.under_min_isr, 0),
                number(row.produce_p99_ms, 1),
                number(row.fetch_p99_ms, 1),
            ]);
        }
        let mut text = table.render();
        for row in &self.brokers {
            if let Some(error) = &row.error {
                text.push_str(&format!("! broker {}: {error}\n", row.id));
            }
        }
        if let [row] = &self.brokers[..]
            && !row.topics.is_empty()
        {
            let mut table = Table::new(&["TOPIC", ">MSG/S", ">IN/S", ">OUT/S"]);
            for topic in &row.topics {
                table.row([
                    topic.name.clone(),
                    rate_text(topic.messages_in_per_second),
                    bytes_rate(topic.bytes_in_per_second),
                    bytes_rate(topic.bytes_out_per_second),
                ]);
            }
            text.push('\n');
            text.push_str(&table.render());
        }
        text
    }
}
