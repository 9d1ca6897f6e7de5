//! What `groups describe` says of a streams group beyond other groups.

use std::fmt::Write as _;

use serde::Serialize;

use crate::derive::{StreamsTask, missing_topics, streams_complaints, streams_tasks};
use crate::model::{
    ClusterSnapshot, GroupDescription, OwnTopic, StreamsMember, TaskRole, Tasks, Topology,
};
use crate::output::{Table, or_dash};

/// What the application of a streams group is made of.
#[derive(Clone, Debug, Serialize)]
pub struct TopologyRow {
    /// Goes up when the application is made otherwise.
    pub epoch: i32,
    pub subtopologies: Vec<SubtopologyRow>,
    /// Topics that it reads and that the cluster has not got, or does not show.
    pub missing_source_topics: Vec<String>,
    /// Its own topics that are not there.
    pub missing_internal_topics: Vec<String>,
    /// Why it does not run as it should, in words.
    pub complaints: Vec<String>,
    /// Tasks that are not where they shall be.
    pub moving_tasks: usize,
}

/// A part of an application that runs by itself.
#[derive(Clone, Debug, Serialize)]
pub struct SubtopologyRow {
    pub id: String,
    pub source_topics: Vec<String>,
    /// Topics of the application that it reads.
    pub repartition_topics: Vec<String>,
    /// Topics of the application that keep its stores.
    pub changelog_topics: Vec<String>,
    /// Topics of the application that it writes.
    pub sink_topics: Vec<String>,
    /// Tasks that somebody does, by role.
    pub active: usize,
    pub standby: usize,
    pub warmup: usize,
}

/// What a member of a streams group is and does.
#[derive(Clone, Debug, Serialize)]
pub struct StreamsMemberRow {
    /// Members of one process share its state folder.
    pub process_id: String,
    /// Of the topology that it runs.
    pub topology_epoch: i32,
    /// Where it answers queries of its stores.
    pub endpoint: Option<String>,
    /// Whether it has not yet gone over from the classic protocol.
    pub classic: bool,
    /// What it does, as `SUBTOPOLOGY_PARTITION`.
    pub active: Vec<String>,
    pub standby: Vec<String>,
    pub warmup: Vec<String>,
    /// What it shall do.
    pub target_active: Vec<String>,
    pub target_standby: Vec<String>,
    pub target_warmup: Vec<String>,
}

pub(super) fn member_row(member: &StreamsMember) -> StreamsMemberRow {
    let list = |tasks: &Tasks, role| {
        let parts = tasks.of(role).iter();
        let names = |part: &crate::model::SubtopologyTasks| {
            let id = part.subtopology.to_string();
            let name = move |partition: &i32| format!("{id}_{partition}");
            part.partitions.iter().map(name).collect::<Vec<_>>()
        };
        parts.flat_map(names).collect::<Vec<String>>()
    };
    let (now, target) = (&member.tasks, &member.target);
    StreamsMemberRow {
        process_id: member.process_id.to_string(),
        topology_epoch: member.topology_epoch,
        endpoint: member.endpoint.as_deref().map(str::to_owned),
        classic: member.is_classic,
        active: list(now, TaskRole::Active),
        standby: list(now, TaskRole::Standby),
        warmup: list(now, TaskRole::Warmup),
        target_active: list(target, TaskRole::Active),
        target_standby: list(target, TaskRole::Standby),
        target_warmup: list(target, TaskRole::Warmup),
    }
}

pub(super) fn topology_row(
    snapshot: &ClusterSnapshot,
    group: &GroupDescription,
    topology: &Topology,
) -> TopologyRow {
    let metadata = snapshot.metadata.get();
    let missing = metadata.map(|metadata| missing_topics(topology, metadata));
    let missing = missing.unwrap_or_default();
    let tasks = streams_tasks(group);
    let names = |names: &[std::sync::Arc<str>]| names.iter().map(|n| n.to_string()).collect();
    let own = |topics: &[OwnTopic]| topics.iter().map(|topic| topic.name.to_string()).collect();
    let part = |part: &crate::model::Subtopology| {
        let count = |role| {
            let is_it = |task: &&StreamsTask| task.subtopology == part.id && task.role == role;
            tasks
                .iter()
                .filter(is_it)
                .map(|task| task.owners.len())
                .sum()
        };
        SubtopologyRow {
            id: part.id.to_string(),
            source_topics: names(&part.source_topics),
            repartition_topics: own(&part.repartition_topics),
            changelog_topics: own(&part.changelog_topics),
            sink_topics: names(&part.sink_topics),
            active: count(TaskRole::Active),
            standby: count(TaskRole::Standby),
            warmup: count(TaskRole::Warmup),
        }
    };
    TopologyRow {
        epoch: topology.epoch,
        subtopologies: topology.subtopologies.iter().map(part).collect(),
        missing_source_topics: names(&missing.source),
        missing_internal_topics: names(&missing.own),
        complaints: metadata
            .map(|metadata| streams_complaints(group, metadata))
            .unwrap_or_default(),
        moving_tasks: tasks.iter().filter(|task| task.is_moving()).count(),
    }
}

/// The parts of the application and what is wrong with it, as a table.
pub(super) fn topology_table(topology: &TopologyRow, text: &mut String) {
    let _ = writeln!(
        text,
        "\nTopology epoch {}  moving tasks {}",
        topology.epoch, topology.moving_tasks
    );
    for complaint in &topology.complaints {
        let _ = writeln!(text, "! {complaint}");
    }
    let mut table = Table::new(&[
        "SUBTOPOLOGY",
        ">ACTIVE",
        ">STANDBY",
        ">WARMUP",
        "READS",
        "OWN TOPICS",
    ]);
    for part in &topology.subtopologies {
        let own = part.repartition_topics.iter().chain(&part.changelog_topics);
        table.row([
            part.id.clone(),
            part.active.to_string(),
            part.standby.to_string(),
            part.warmup.to_string(),
            part.source_topics.join(" "),
            own.cloned().collect::<Vec<_>>().join(" "),
        ]);
    }
    text.push_str(&table.render());
}

/// Members with their tasks, now and as they shall be.
pub(super) fn members_table<'a>(
    members: impl Iterator<Item = (&'a str, Option<i32>, &'a StreamsMemberRow)>,
    text: &mut String,
) {
    let mut table = Table::new(&[
        "MEMBER", ">EPOCH", "PROCESS", "ACTIVE", "STANDBY", "WARMUP", "SHALL DO",
    ]);
    for (id, epoch, member) in members {
        let now = [&member.active, &member.standby, &member.warmup];
        let target = [
            &member.target_active,
            &member.target_standby,
            &member.target_warmup,
        ];
        let words = ["active", "standby", "warmup"];
        let differs = words.iter().zip(now.iter().zip(target));
        let shall: Vec<String> = differs
            .filter(|(_, (now, target))| **now != *target)
            .map(|(word, (_, target))| format!("{word}: {}", or_dash(joined(target))))
            .collect();
        table.row([
            id.to_owned(),
            or_dash(epoch),
            member.process_id.clone(),
            or_dash(joined(&member.active)),
            or_dash(joined(&member.standby)),
            or_dash(joined(&member.warmup)),
            if shall.is_empty() {
                "the same".to_owned()
            } else {
                shall.join("; ")
            },
        ]);
    }
    text.push_str(&table.render());
}

fn joined(tasks: &[String]) -> Option<String> {
    (!tasks.is_empty()).then(|| tasks.join(" "))
}
