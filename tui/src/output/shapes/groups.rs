//! `groups`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::group_history::ms_text;
use super::streams::{self, StreamsMemberRow, TopologyRow};
use crate::derive::{self, AT_END, ConsumerVerdict, GroupDetail, Lag, TimeBy};
use crate::model::{ClusterSnapshot, Fault, GroupKind, TopicAssignment};
use crate::output::{Printable, Table, or_dash};

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
    /// Records, over all partitions with a commit; null where nothing is committed.
    pub lag: Option<i64>,
    /// How old what waits is, in the partition that is furthest behind; 0 at the end.
    pub lag_ms: Option<i64>,
    /// What `lag_ms` was told from: the record itself, or points in time around it.
    pub lag_ms_by: Option<TimeBy>,
    /// Burrow's, of the worst partition: ok, warning, rewind, stall, stop.
    pub verdict: Option<String>,
    /// The rule that fired.
    pub rule: Option<String>,
    /// Partitions with records that were removed unread.
    pub partitions_with_loss: Option<usize>,
    pub error: Option<String>,
}

fn lag_of(snapshot: &ClusterSnapshot, id: &Arc<str>) -> Option<derive::GroupLag> {
    let committed = snapshot.committed.get(id)?.get()?;
    let description = snapshot
        .descriptions
        .get(id)
        .and_then(|description| description.get());
    derive::lag_in(snapshot, committed, description)
}

/// Every group that was listed; lag in time and verdict of those that were looked at.
pub fn groups(snapshot: &ClusterSnapshot, details: &HashMap<Arc<str>, GroupDetail>) -> GroupsJson {
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
        let lag = lag_of(snapshot, &group.id);
        let detail = details.get(&group.id);
        let judged = detail.and_then(|detail| detail.worst()).map(|(_, j)| j);
        let total = lag.as_ref().and_then(derive::GroupLag::records);
        let lag_ms = match detail {
            Some(detail) => detail.lag_ms(),
            None => total.filter(|lag| *lag == 0).map(|_| (0, TimeBy::Record)),
        };
        // Burrow's first rule, for which nothing else has to be known.
        let is_at_end = total == Some(0) && group.kind != GroupKind::Share;
        let at_end = is_at_end.then_some((ConsumerVerdict::Ok, AT_END));
        let judged = judged
            .map(|judged| (judged.verdict, judged.rule))
            .or(at_end);
        GroupRow {
            id: group.id.to_string(),
            kind: group.kind.to_string(),
            state: state.map(ToString::to_string),
            protocol_type: group.protocol_type.to_string(),
            coordinator: group.coordinator,
            members: description.map(|description| description.members.len()),
            lag: total,
            lag_ms: lag_ms.map(|(ms, _)| ms),
            lag_ms_by: lag_ms.map(|(_, by)| by),
            verdict: judged.map(|(verdict, _)| verdict.as_str().to_owned()),
            rule: judged.map(|(_, rule)| rule.to_owned()),
            partitions_with_loss: lag.map(|lag| lag.with_loss),
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
        let mut table = Table::new(&[
            "GROUP",
            "TYPE",
            "STATE",
            ">COORDINATOR",
            ">MEMBERS",
            ">LAG",
            ">TIME",
            "VERDICT",
        ]);
        for group in &self.groups {
            table.row([
                group.id.clone(),
                group.kind.clone(),
                or_dash(group.state.clone()),
                group.coordinator.to_string(),
                or_dash(group.members),
                or_dash(group.lag),
                or_dash(group.lag_ms.zip(group.lag_ms_by).map(|told| match told {
                    (0, _) => "0s".to_owned(),
                    (ms, TimeBy::Record) => ms_text(ms),
                    (ms, TimeBy::Interpolated) => format!("~{}", ms_text(ms)),
                })),
                or_dash(group.verdict.clone()),
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
    /// Of the group's epoch for which the assignment was made; of the new protocols only.
    pub assignment_epoch: Option<i32>,
    /// Of a streams group: what its application is made of.
    pub topology: Option<TopologyRow>,
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
    /// Of the new protocols only.
    pub epoch: Option<i32>,
    /// Of a streams group: what it reads with its active tasks.
    pub partitions: Vec<String>,
    /// What the coordinator wants it to own; of the new protocols only.
    pub target: Vec<String>,
    /// Of a streams group: its tasks.
    pub streams: Option<StreamsMemberRow>,
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
    let names = |assignment: &[TopicAssignment]| {
        let of = |owned: &TopicAssignment| {
            let topic = Arc::clone(&owned.topic);
            let name = move |id: &i32| format!("{topic}-{id}");
            owned.partitions.iter().map(name).collect::<Vec<_>>()
        };
        assignment.iter().flat_map(of).collect()
    };
    let member = |member: &crate::model::Member| MemberRow {
        id: member.id.to_string(),
        client_id: member.client_id.to_string(),
        host: member.host.to_string(),
        instance_id: member.instance_id.as_deref().map(str::to_owned),
        epoch: member.epoch,
        partitions: names(&member.assignment),
        target: names(&member.target),
        streams: member.streams.as_deref().map(streams::member_row),
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
        assignment_epoch: description.assignment_epoch,
        topology: description
            .topology
            .as_deref()
            .map(|topology| streams::topology_row(snapshot, description, topology)),
        members: description.members.iter().map(member).collect(),
        lag: lag.records(),
        partitions: lag.partitions.iter().map(row).collect(),
    })
}

impl Printable for GroupJson {
    fn table(&self) -> String {
        let mut text = format!(
            "Group {}  type {}  state {}  coordinator {}  assignor {}  lag {}",
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
        if let (Some(group), Some(assigned)) = (self.group_epoch, self.assignment_epoch) {
            let _ = write!(text, "  epoch {group}  assigned {assigned}");
        }
        text.push_str("\n\n");
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
        if let Some(topology) = &self.topology {
            streams::topology_table(topology, &mut text);
            let members = self.members.iter();
            let mut members = members
                .filter_map(|m| Some((m.id.as_str(), m.epoch, m.streams.as_ref()?)))
                .peekable();
            if members.peek().is_some() {
                text.push('\n');
                streams::members_table(members, &mut text);
            }
        }
        text
    }
}
