//! Plans for consumer groups.

use crate::derive::missing_topics;
use crate::model::{ClusterMetadata, ClusterSnapshot, Committed, Fault, GroupKind, GroupState};
use crate::ops::action::Action;
use crate::ops::offsets::{AlterOffsets, CommitAt, OffsetChange};
use crate::ops::plan::{Danger, Plan};

use super::{bootstrap, count, quote};

/// Whether what such a group has committed can be committed for it from outside.
fn can_commit_again(kind: Option<&GroupKind>) -> bool {
    matches!(kind, Some(GroupKind::Classic | GroupKind::Consumer))
}

/// What makes a deleted group anew, with its committed offsets; `None` where it has none, or where
/// not all are known.
fn commit_again(id: &str, commits: &Committed) -> Option<Action> {
    let mut changes = Vec::new();
    for (topic, partitions) in &*commits.topics {
        for commit in partitions {
            if commit.error.is_some() {
                return None;
            }
            let Some(offset) = commit.offset else {
                continue;
            };
            changes.push(OffsetChange {
                topic: topic.to_string(),
                partition: commit.partition,
                from: None,
                to: Some(CommitAt {
                    offset,
                    leader_epoch: commit.leader_epoch,
                    metadata: commit.metadata.as_deref().map(str::to_owned),
                }),
                log_start: None,
                log_end: None,
                record: None,
                asked: None,
            });
        }
    }
    let alter = AlterOffsets {
        group: id.to_owned(),
        changes,
        ..AlterOffsets::default()
    };
    (!alter.changes.is_empty()).then_some(Action::AlterOffsets(alter))
}

pub(super) fn delete(
    ids: Vec<String>,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let title = match &ids[..] {
        [] => return Err(Fault::refused("delete groups", "no group is named")),
        [id] => format!("delete group \"{id}\""),
        ids => format!("delete {} groups", ids.len()),
    };
    let mut plan = Plan::new(
        Action::DeleteGroups(ids.clone()),
        title.clone(),
        Danger::Destructive,
    );
    let listed = snapshot.groups.get();
    for id in &ids {
        let group = listed.and_then(|groups| groups.groups.get(id.as_str()));
        if group.is_none() && listed.is_some_and(|groups| groups.faults.is_empty()) {
            let why = format!("group \"{id}\" does not exist");
            return Err(Fault::not_found(title, why));
        }
        let described = snapshot
            .descriptions
            .get(id.as_str())
            .and_then(|group| group.get());
        let members = described.map_or(0, |group| group.members.len());
        let state = described
            .map(|g| &g.state)
            .or(group.and_then(|g| g.state.as_ref()));
        let is_live = state.is_some_and(|state| {
            !matches!(
                state,
                GroupState::Empty | GroupState::Dead | GroupState::Other(_)
            )
        });
        if members > 0 || is_live {
            let who = if members > 0 {
                count(members, "member")
            } else {
                "members".to_owned()
            };
            let why = format!("group \"{id}\" has {who}: only an empty group can be deleted");
            return Err(Fault::refused(title, why).with_hint("stop its consumers first"));
        }
        let commits = snapshot
            .committed
            .get(id.as_str())
            .and_then(|commits| commits.get());
        let n_commits = commits.map(|c| c.topics.values().map(Vec::len).sum::<usize>());
        let before = n_commits.map_or_else(
            || "its committed offsets".to_owned(),
            |n| count(n, "committed offset"),
        );
        plan.change(format!("group \"{id}\""), Some(before), None);
        let kind = group.map(|group| &group.kind);
        let commits = commits.filter(|_| ids.len() == 1 && can_commit_again(kind));
        plan.inverse = commits.and_then(|commits| commit_again(id, commits));
        if plan.inverse.is_none() {
            plan.irrevocable.push(format!(
                "group \"{id}\" is deleted with its committed offsets"
            ));
        }
        let tool = match group.map(|group| &group.kind) {
            Some(GroupKind::Share) => "kafka-share-groups.sh",
            Some(GroupKind::Streams) => "kafka-streams-groups.sh",
            _ => "kafka-consumer-groups.sh",
        };
        let group = quote(id);
        plan.equivalent.push(format!(
            "{tool} {} --delete --group {group}",
            bootstrap(metadata)
        ));
        // Kafka's tool deletes them too.
        if let Some(topology) = described.and_then(|group| group.topology.as_ref()) {
            let missing = missing_topics(topology, metadata);
            let parts = topology.subtopologies.iter();
            let own = parts.flat_map(|part| {
                let topics = part.repartition_topics.iter().chain(&part.changelog_topics);
                topics.map(|topic| &topic.name)
            });
            let left: Vec<&str> = own
                .filter(|name| !missing.own.contains(name))
                .map(|name| &**name)
                .collect();
            if !left.is_empty() {
                let topics = left.join(", ");
                plan.not_done.push(format!(
                    "the topics of its application stay, which Kafka's tool would delete: {topics}"
                ));
            }
        }
    }
    plan.warnings
        .push("its consumers will start anew, where auto.offset.reset tells them to".to_owned());
    plan.typed_confirmation = Some(match &ids[..] {
        [id] => id.clone(),
        ids => format!("delete {} groups", ids.len()),
    });
    Ok(plan)
}
