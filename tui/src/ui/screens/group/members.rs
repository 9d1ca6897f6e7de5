//! Members of a group in words: what they own, what they are called, what changed among them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{GroupDescription, Member, SubtopologyTasks, TaskRole, Tasks, TopicAssignment};
use crate::ui::format;

/// `orders 0-3,5`: the partitions of each topic, runs of them in short.
pub fn owns(assignment: &[TopicAssignment]) -> String {
    let topic = |topic: &TopicAssignment| {
        let mut runs: Vec<(i32, i32)> = Vec::new();
        for id in &topic.partitions {
            match runs.last_mut() {
                Some(run) if run.1 + 1 == *id => run.1 = *id,
                _ => runs.push((*id, *id)),
            }
        }
        let run = |(from, to): &(i32, i32)| {
            if from == to {
                from.to_string()
            } else {
                format!("{from}-{to}")
            }
        };
        let runs: Vec<String> = runs.iter().map(run).collect();
        format!("{} {}", topic.topic, runs.join(","))
    };
    assignment.iter().map(topic).collect::<Vec<_>>().join("; ")
}

/// `active 0_0 0_1, standby 0_2`.
pub fn tasks(tasks: &Tasks) -> String {
    let role = |role: TaskRole| {
        let name = |part: &SubtopologyTasks, id: &i32| format!("{}_{id}", part.subtopology);
        let parts = tasks.of(role).iter();
        let names: Vec<String> = parts
            .flat_map(|part| part.partitions.iter().map(|id| name(part, id)))
            .collect();
        (!names.is_empty()).then(|| format!("{} {}", role.as_str(), names.join(" ")))
    };
    let roles: Vec<String> = TaskRole::ALL.into_iter().filter_map(role).collect();
    roles.join(", ")
}

/// What a member is called: its client and, where it says one, its instance, else its host.
pub fn member_name(member: &Member) -> String {
    match &member.instance_id {
        Some(instance) => format!("{} ({instance})", member.client_id),
        None => format!(
            "{}@{}",
            member.client_id,
            member.host.trim_start_matches('/')
        ),
    }
}

/// What is different between two descriptions, in words.
pub fn differences(before: &GroupDescription, now: &GroupDescription) -> Vec<String> {
    let mut changes = Vec::new();
    if before.state != now.state {
        changes.push(format!("state {} → {}", before.state, now.state));
    }
    if before.coordinator != now.coordinator {
        changes.push(format!(
            "coordinator {} → {}",
            before.coordinator, now.coordinator
        ));
    }
    if before.group_epoch != now.group_epoch
        && let (Some(before), Some(now)) = (before.group_epoch, now.group_epoch)
    {
        changes.push(format!("group epoch {before} → {now}"));
    }
    let by_id = |description: &GroupDescription| -> BTreeMap<Arc<str>, Member> {
        description
            .members
            .iter()
            .map(|m| (Arc::clone(&m.id), m.clone()))
            .collect()
    };
    let (old, new) = (by_id(before), by_id(now));
    for (id, member) in &old {
        if !new.contains_key(id) {
            let n = format::plural(member.n_partitions(), "partition");
            changes.push(format!("{} left with {n}", member_name(member)));
        }
    }
    for (id, member) in &new {
        match old.get(id) {
            None => changes.push(format!("{} joined", member_name(member))),
            Some(before) if before.streams.is_some() && before.streams != member.streams => {
                let told = |member: &Member| member.streams.as_ref().map(|s| tasks(&s.tasks));
                let now = told(member).unwrap_or_default();
                if told(before).as_deref() != Some(now.as_str()) {
                    let now = Some(now).filter(|now| !now.is_empty());
                    let now = now.unwrap_or_else(|| "nothing".to_owned());
                    changes.push(format!("{} now does {now}", member_name(member)));
                }
            }
            Some(before) if before.assignment != member.assignment => {
                let owned = owns(&member.assignment);
                let owned = if owned.is_empty() {
                    "nothing".to_owned()
                } else {
                    owned
                };
                changes.push(format!("{} now owns {owned}", member_name(member)));
            }
            Some(_) => {}
        }
    }
    changes
}

/// How many members a partition is given to: in a share group it may be several.
pub fn owners_of(description: Option<&GroupDescription>, topic: &str, partition: i32) -> usize {
    let members = description.iter().flat_map(|d| d.members.iter());
    let owns = |member: &&Member| {
        let mut topics = member.assignment.iter();
        topics.any(|owned| &*owned.topic == topic && owned.partitions.contains(&partition))
    };
    members.filter(owns).count()
}
