//! `top`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::derive::{self, Verdict};
use crate::model::ClusterSnapshot;
use crate::output::{Printable, Table, or_dash};

/// `top`.
#[derive(Clone, Debug, Serialize)]
pub struct TopJson {
    pub cluster_id: Option<String>,
    pub verdict: Verdict,
    /// What is not well.
    pub reasons: Vec<String>,
    /// What could not be looked at.
    pub unknown: Vec<String>,
    pub controller: Option<i32>,
    pub brokers: usize,
    pub brokers_fenced: Option<usize>,
    pub topics: usize,
    pub partitions: usize,
    pub offline: usize,
    pub under_replicated: usize,
    pub under_min_isr: Option<usize>,
    pub at_min_isr: Option<usize>,
    pub not_preferred: usize,
    pub offline_replicas: usize,
    pub reassignments: Option<usize>,
    pub groups: Option<usize>,
    /// Records, over all groups.
    pub lag: Option<i64>,
    pub records_per_second: Option<f64>,
    /// What the rates were measured over.
    pub interval_ms: i64,
    /// With a lag or with records that were removed unread, the furthest behind first.
    pub worst_groups: Vec<TopGroupRow>,
    /// The busiest first.
    pub busiest_topics: Vec<TopTopicRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TopGroupRow {
    pub id: String,
    pub state: Option<String>,
    pub members: Option<usize>,
    pub lag: Option<i64>,
    /// Of the partition that is furthest behind.
    pub max_lag: Option<i64>,
    /// Partitions with records that were removed unread.
    pub partitions_with_loss: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct TopTopicRow {
    pub name: String,
    pub partitions: usize,
    pub records_per_second: Option<f64>,
}

/// A cluster at a glance, with no more than `limit` groups and topics.
pub fn top(snapshot: &ClusterSnapshot, interval_ms: i64, limit: usize) -> TopJson {
    let check = derive::cluster_check(snapshot);
    let counts = derive::cluster_health(snapshot).unwrap_or_default();
    let metadata = snapshot.metadata.get();
    let brokers = metadata.map_or(&[][..], |metadata| &metadata.brokers);
    let fenced = brokers.iter().map(|b| b.fenced.map(usize::from)).sum();
    let all = derive::all_group_totals(snapshot);
    let mut lag = derive::Total::new();
    for group in &all {
        lag.merge(group.totals.total);
    }
    let groups = snapshot.groups.get().map(|groups| groups.groups.len());
    // A group that was not read is missing in the sum.
    for _ in all.len()..groups.unwrap_or(all.len() + 1) {
        lag.add(None);
    }
    let group = |group: derive::LaggingGroup| TopGroupRow {
        id: group.id.to_string(),
        state: group.state.map(|state| state.to_string()),
        members: group.members,
        lag: group.totals.records(),
        max_lag: group.totals.max,
        partitions_with_loss: group.totals.with_loss,
    };
    let topic = |busy: derive::BusyTopic| TopTopicRow {
        name: busy.topic.name.to_string(),
        partitions: busy.topic.partitions.len(),
        records_per_second: busy.rate.complete(),
    };
    let worst = derive::lagging_groups(snapshot, limit).into_iter();
    let busiest = derive::busiest_topics(snapshot, limit).into_iter();
    TopJson {
        cluster_id: metadata
            .and_then(|metadata| metadata.cluster_id.as_deref())
            .map(str::to_owned),
        verdict: check.verdict,
        reasons: check.bad,
        unknown: check.unknown,
        controller: snapshot.controller_id(),
        brokers: brokers.len(),
        brokers_fenced: fenced,
        topics: metadata.map_or(0, |metadata| metadata.topics.len()),
        partitions: counts.partitions,
        offline: counts.offline,
        under_replicated: counts.under_replicated,
        under_min_isr: counts.under_min_isr.complete(),
        at_min_isr: counts.at_min_isr.complete(),
        not_preferred: counts.not_preferred,
        offline_replicas: counts.offline_replicas,
        reassignments: snapshot.reassignments.get().map(|running| running.len()),
        groups,
        lag: lag.complete(),
        records_per_second: derive::cluster_rate(snapshot).complete(),
        interval_ms,
        worst_groups: worst.map(group).collect(),
        busiest_topics: busiest.map(topic).collect(),
    }
}

fn rate_text(rate: Option<f64>) -> String {
    or_dash(rate.map(|rate| format!("{rate:.1}")))
}

impl Printable for TopJson {
    fn table(&self) -> String {
        let mut text = match self.verdict {
            Verdict::Healthy => "healthy\n".to_owned(),
            Verdict::Unhealthy => format!("unhealthy: {}\n", self.reasons.join(", ")),
            Verdict::Unknown => "whether it is healthy is not known\n".to_owned(),
        };
        for what in &self.unknown {
            let _ = writeln!(text, "not known: {what}");
        }
        let _ = writeln!(
            text,
            "cluster {}  controller {}  brokers {}  fenced {}",
            or_dash(self.cluster_id.clone()),
            or_dash(self.controller),
            self.brokers,
            or_dash(self.brokers_fenced),
        );
        let _ = writeln!(
            text,
            "topics {}  partitions {}  offline {}  under-replicated {}  under min ISR {}  at min \
             ISR {}  not preferred {}  moving {}",
            self.topics,
            self.partitions,
            self.offline,
            self.under_replicated,
            or_dash(self.under_min_isr),
            or_dash(self.at_min_isr),
            self.not_preferred,
            or_dash(self.reassignments),
        );
        let _ = writeln!(
            text,
            "groups {}  lag {}  records/s {} over {:.1} s",
            or_dash(self.groups),
            or_dash(self.lag),
            rate_text(self.records_per_second),
            self.interval_ms as f64 / 1_000.0,
        );
        if !self.worst_groups.is_empty() {
            let columns = ["GROUP", "STATE", ">MEMBERS", ">LAG", ">MAX LAG", ">LOSS IN"];
            let mut table = Table::new(&columns);
            for group in &self.worst_groups {
                table.row([
                    group.id.clone(),
                    or_dash(group.state.clone()),
                    or_dash(group.members),
                    or_dash(group.lag),
                    or_dash(group.max_lag),
                    group.partitions_with_loss.to_string(),
                ]);
            }
            let _ = write!(text, "\n{}", table.render());
        }
        if !self.busiest_topics.is_empty() {
            let mut table = Table::new(&["TOPIC", ">PARTITIONS", ">RECORDS/S"]);
            for topic in &self.busiest_topics {
                table.row([
                    topic.name.clone(),
                    topic.partitions.to_string(),
                    rate_text(topic.records_per_second),
                ]);
            }
            let _ = write!(text, "\n{}", table.render());
        }
        text
    }
}
