//! Plans for several changes of topics as one.
//!
//! Each step is planned on what those before it leave: new partitions with named replicas are there
//! for the reassignment that follows.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{ClusterMetadata, ClusterSnapshot, ConfigResource, Fault, Partition};
use crate::ops::action::{Action, AddPartitions, ApplyTopics};
use crate::ops::plan::{Change, Danger, Plan};
use crate::ops::reassign::Preview;

use super::{count, plan_of};

pub(super) fn apply(
    apply: ApplyTopics,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let nothing = Action::Apply(ApplyTopics::default());
    let mut plan = Plan::new(nothing, "apply declared topics", Danger::Safe);
    let mut now = metadata.clone();
    let (mut steps, mut inverses) = (Vec::new(), Vec::new());
    let mut warned = BTreeSet::new();
    for step in apply.steps {
        if matches!(step, Action::Apply(_)) {
            return Err(Fault::refused(&plan.title, "a step has steps of its own"));
        }
        let mut one = plan_of(step, snapshot, &now)?;
        plan.not_done
            .extend(named(&one.action, one.not_done.drain(..)));
        if one.is_empty() {
            continue;
        }
        plan.danger = plan.danger.max(one.danger);
        plan.typed_confirmation = plan.typed_confirmation.or(one.typed_confirmation.take());
        let changes = one.changes.drain(..);
        let changes = changes.map(|change| told(&one.action, change, snapshot));
        plan.changes.extend(changes);
        let warnings = one.warnings.drain(..);
        plan.warnings
            .extend(warnings.filter(|text| warned.insert(text.clone())));
        plan.equivalent.append(&mut one.equivalent);
        inverses.extend(one.inverse.take());
        plan.irrevocable.append(&mut one.irrevocable);
        plan.topic_ids.append(&mut one.topic_ids);
        plan.warnings.extend(unlimited(&one));
        plan.reassignment = plan.reassignment.or(one.reassignment.take());
        if let Action::AddPartitions(add) = &one.action {
            grow(&mut now, add);
        }
        steps.push(one.action);
    }
    plan.title = title(&steps);
    inverses.reverse();
    plan.inverse = match inverses.len() {
        0 => None,
        1 => inverses.pop(),
        _ => Some(Action::Apply(ApplyTopics { steps: inverses })),
    };
    plan.action = Action::Apply(ApplyTopics { steps });
    Ok(plan)
}

/// What to know of a step that copies as fast as it can.
fn unlimited(step: &Plan) -> Option<String> {
    let copied = step.reassignment.as_ref().map_or(0, Preview::n_moves);
    (matches!(step.action, Action::Reassign(_)) && copied > 0).then(|| {
        let replicas = count(copied, "replica");
        format!("nothing limits how fast {replicas} are copied: a throttle does (t, --throttle)")
    })
}

/// The topic that a step is about, where it is about one.
fn topic_of(action: &Action) -> Option<&str> {
    match action {
        Action::CreateTopic(create) => Some(&create.name),
        Action::AddPartitions(add) => Some(&add.topic),
        Action::AlterConfigs(alter) => match &alter.resource {
            ConfigResource::Topic(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

fn named(action: &Action, texts: impl Iterator<Item = String>) -> Vec<String> {
    let topic = topic_of(action);
    let text = |text: String| match topic {
        Some(topic) => format!("{topic} {text}"),
        None => text,
    };
    texts.map(text).collect()
}

/// A change with its topic, and where the value of before comes from.
fn told(action: &Action, mut change: Change, snapshot: &ClusterSnapshot) -> Change {
    if let Action::AlterConfigs(alter) = action {
        let configs = snapshot.configs.get(&alter.resource);
        let configs = configs.and_then(|configs| configs.get());
        let entry = configs.and_then(|configs| configs.get(&change.subject));
        change.note = entry.map(|entry| format!("from: {}", entry.source.as_str()));
    }
    if let Some(topic) = topic_of(action) {
        change.subject = format!("{topic} {}", change.subject);
    }
    change
}

/// Puts new partitions in whose replicas are named.
fn grow(metadata: &mut ClusterMetadata, add: &AddPartitions) {
    let Ok(at) = metadata
        .topics
        .binary_search_by(|topic| (*topic.name).cmp(&add.topic))
    else {
        return;
    };
    let topic = Arc::make_mut(&mut metadata.topics[at]);
    let mut partitions = std::mem::take(&mut topic.partitions).into_vec();
    for replicas in add.assignment.iter().flatten() {
        partitions.push(Partition {
            id: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
            leader: replicas.first().copied().unwrap_or(-1),
            replicas: replicas.as_slice().into(),
            isr: replicas.as_slice().into(),
            ..Partition::default()
        });
    }
    topic.partitions = partitions.into_boxed_slice();
}

fn title(steps: &[Action]) -> String {
    let n = |is_one: fn(&Action) -> bool| steps.iter().filter(|step| is_one(step)).count();
    let created = n(|step| matches!(step, Action::CreateTopic(_)));
    let mut changed: BTreeSet<&str> = BTreeSet::new();
    let mut deleted = 0;
    for step in steps {
        match step {
            Action::AddPartitions(_) | Action::AlterConfigs(_) => changed.extend(topic_of(step)),
            Action::Reassign(reassign) => {
                changed.extend(reassign.target.keys().map(|key| &*key.topic));
            }
            Action::RunReassign(run) => {
                changed.extend(run.reassign.target.keys().map(|key| &*key.topic));
            }
            Action::DeleteTopics(names) => deleted += names.len(),
            _ => {}
        }
    }
    let parts = [
        ("create", created),
        ("change", changed.len()),
        ("delete", deleted),
    ];
    let parts = parts.iter().filter(|(_, n)| *n > 0);
    let parts: Vec<String> = parts
        .map(|(verb, n)| format!("{verb} {}", count(*n, "topic")))
        .collect();
    match parts.is_empty() {
        true => "apply declared topics".to_owned(),
        false => format!("apply declared topics: {}", parts.join(", ")),
    }
}
