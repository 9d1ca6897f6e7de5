//! Plans for partitions: add, reassign, cancel a reassignment, elect.

use std::collections::BTreeMap;

use crate::model::{
    Assignment, ClusterMetadata, ClusterSnapshot, Fault, FaultKind, Partition, TopicPartition,
};
use crate::ops::action::{Action, AddPartitions, Reassign};
use crate::ops::plan::{Danger, Plan};
use crate::ops::reassign::{self, Request};

use super::topics::check_assignment;
use super::{bootstrap, count, find_topic, join, quote};

pub(super) fn add(add: AddPartitions, metadata: &ClusterMetadata) -> Result<Plan, Fault> {
    let title = format!("add partitions to topic \"{}\"", add.topic);
    let topic = find_topic(metadata, &title, &add.topic)?;
    let now = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    if add.total <= now {
        let why = format!(
            "it has {}, and {} is no more",
            count(now as usize, "partition"),
            add.total
        );
        return Err(Fault::refused(title, why)
            .with_hint("the number is that of all partitions afterwards; it can only grow"));
    }
    let new = (add.total - now) as usize;
    if let Some(assignment) = &add.assignment {
        if assignment.len() != new {
            let why = format!(
                "{} lists of replicas for {new} new partitions",
                assignment.len()
            );
            return Err(Fault::refused(title, why));
        }
        check_assignment(assignment, metadata).map_err(|why| Fault::refused(&title, why))?;
    }
    let mut plan = Plan::new(
        Action::AddPartitions(add.clone()),
        title,
        Danger::Disruptive,
    );
    plan.change(
        "partitions",
        Some(now.to_string()),
        Some(add.total.to_string()),
    );
    for (at, replicas) in add.assignment.iter().flatten().enumerate() {
        let partition = now as usize + at;
        plan.change(
            format!("partition {partition} replicas"),
            None,
            Some(join(replicas)),
        );
    }
    plan.irrevocable.push(format!(
        "topic \"{}\" keeps {} partitions: none can be removed",
        add.topic, add.total
    ));
    plan.warnings.push(
        "keys move to other partitions: records of one key are no longer in order across the \
         change"
            .to_owned(),
    );
    if topic.is_internal {
        plan.warnings
            .push("this is one of Kafka's own topics: it must keep its partitions".into());
    }
    plan.equivalent.push(format!(
        "kafka-topics.sh {} --alter --topic {} --partitions {}",
        bootstrap(metadata),
        quote(&add.topic),
        add.total
    ));
    Ok(plan)
}

pub(super) fn reassign(
    wanted: Reassign,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let title = "reassign partitions";
    refuse_if_moved_on(&wanted, metadata)?;
    let dirs = snapshot.log_dirs.get();
    let target = reassign::propose(metadata, dirs, &Request::Explicit(wanted.target.clone()))?;
    let mut preview = reassign::preview(metadata, dirs, &target);
    let pace = reassign::Pace {
        inflow: reassign::inflow(snapshot),
        ..reassign::Pace::default()
    };
    preview.estimate = reassign::estimate(&preview, &pace);
    let title = format!("{title}: {}", count(preview.rows.len(), "partition"));
    let action = Action::Reassign(Reassign {
        target: preview.proposed(),
        based_on: preview.current(),
    });
    let mut plan = Plan::new(action, title, Danger::Disruptive);
    let has_racks = metadata.brokers.iter().any(|broker| broker.rack.is_some());
    let (mut racks, mut factors) = (Vec::new(), Vec::new());
    for row in &preview.rows {
        let after = Some(join(&row.proposed));
        plan.change(row.partition.to_string(), Some(join(&row.current)), after);
        if has_racks && row.racks_after < row.racks_before {
            racks.push(format!(
                "{} will span {} instead of {}",
                row.partition,
                count(row.racks_after, "rack"),
                row.racks_before
            ));
        }
        if row.proposed.len() != row.current.len() {
            factors.push(format!(
                "{} changes from {} to {} replicas",
                row.partition,
                row.current.len(),
                row.proposed.len()
            ));
        }
        plan.warnings
            .extend(warn_of_state(metadata, &row.partition, &row.proposed));
    }
    let racks = few(racks, "will span fewer racks than now");
    let factors = few(factors, "change their number of replicas");
    plan.warnings.extend(racks.chain(factors));
    let untouched = wanted.target.len() - preview.rows.len();
    if untouched > 0 {
        let these = count(untouched, "partition");
        plan.not_done.push(format!("{these} already as wanted"));
    }
    if !preview.rows.is_empty() {
        let tool = format!("kafka-reassign-partitions.sh {}", bootstrap(metadata));
        plan.equivalent.push(format!(
            "{tool} --reassignment-json-file plan.json --execute"
        ));
        let restore = Reassign {
            target: reassign::settled_replicas(metadata, &preview),
            based_on: preview.proposed(),
        };
        plan.inverse = Some(Action::Reassign(restore));
    }
    plan.reassignment = Some(preview);
    Ok(plan)
}

/// Warnings of one kind that are told one by one.
const ALIKE_MAX: usize = 3;

/// The first of many warnings of one kind, and how many more there are.
fn few(mut alike: Vec<String>, what: &str) -> impl Iterator<Item = String> {
    if alike.len() > ALIKE_MAX {
        let more = alike.len() - ALIKE_MAX + 1;
        alike.truncate(ALIKE_MAX - 1);
        alike.push(format!("and {more} more partitions {what}"));
    }
    alike.into_iter()
}

/// Compares the replicas that a proposal was made from with those of now. A partition that is on
/// its way there, or as wanted already, has not moved on.
fn refuse_if_moved_on(wanted: &Reassign, metadata: &ClusterMetadata) -> Result<(), Fault> {
    let mut moved = Vec::new();
    for (key, replicas) in &wanted.based_on {
        let now = metadata
            .topic(&key.topic)
            .and_then(|topic| topic.partition(key.partition));
        let is_so = |partition: &Partition| {
            let settled = reassign::settled(partition);
            *partition.replicas == **replicas
                || settled == *replicas
                || wanted.target.get(key) == Some(&settled)
        };
        if !now.is_some_and(is_so) {
            let now = now.map(|partition| partition.replicas.to_vec());
            let then = join(replicas);
            moved.push(match now {
                None => format!("{key} is gone"),
                Some(now) => format!(
                    "{key} has the replicas {} and not {then} as when this was planned",
                    join(&now)
                ),
            });
        }
    }
    let Some(first) = moved.first() else {
        return Ok(());
    };
    let why = match moved.len() {
        1 => first.clone(),
        n => format!("{first}; and {} more have moved", n - 1),
    };
    Err(Fault::refused("reassign partitions", why).with_hint("plan it again"))
}

fn warn_of_state(
    metadata: &ClusterMetadata,
    key: &TopicPartition,
    proposed: &[i32],
) -> Option<String> {
    let partition = metadata.topic(&key.topic)?.partition(key.partition)?;
    if partition.is_reassigning() {
        Some(format!(
            "{key} is being reassigned already: this replaces that"
        ))
    } else if !partition.has_leader() {
        Some(format!(
            "{key} has no leader: nothing can be copied before it has one"
        ))
    } else if partition.isr.iter().all(|id| !proposed.contains(id)) {
        Some(format!(
            "{key} gets none of the replicas that are in sync now"
        ))
    } else {
        None
    }
}

pub(super) fn cancel(
    partitions: Vec<TopicPartition>,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let title = "cancel reassignments";
    let ongoing = snapshot.reassignments.get().ok_or_else(|| {
        Fault::new(
            FaultKind::Failed,
            title,
            "the running reassignments are not known yet",
        )
    })?;
    let mut plan = Plan::new(
        Action::CancelReassignments(Vec::new()),
        title,
        Danger::Disruptive,
    );
    let mut cancelled = Vec::new();
    let (mut target, mut originals) = (Assignment::new(), Assignment::new());
    for key in partitions {
        let Some(running) = ongoing.get(&key) else {
            plan.not_done.push(format!("{key} is not being reassigned"));
            continue;
        };
        let now = metadata
            .topic(&key.topic)
            .and_then(|topic| topic.partition(key.partition));
        if now.is_some_and(|partition| running.cancel_is_unclean(partition)) {
            plan.not_done.push(format!(
                "{key}: no replica of before is in sync, so going back would lose records"
            ));
            continue;
        }
        let (before, after) = (running.target(), running.original());
        plan.change(key.to_string(), Some(join(&before)), Some(join(&after)));
        target.insert(key.clone(), before);
        originals.insert(key.clone(), after);
        cancelled.push(key);
    }
    plan.title = format!("cancel {}", count(cancelled.len(), "reassignment"));
    if !cancelled.is_empty() {
        plan.warnings
            .push("what has been copied is deleted".to_owned());
        plan.equivalent.push(format!(
            "kafka-reassign-partitions.sh {} --reassignment-json-file plan.json --cancel",
            bootstrap(metadata)
        ));
        plan.inverse = Some(Action::Reassign(Reassign {
            target,
            based_on: originals,
        }));
    }
    plan.action = Action::CancelReassignments(cancelled);
    Ok(plan)
}

pub(super) fn elect(
    partitions: Vec<TopicPartition>,
    metadata: &ClusterMetadata,
) -> Result<Plan, Fault> {
    let what = "elect preferred leaders";
    let mut plan = Plan::new(
        Action::ElectPreferredLeaders(Vec::new()),
        what,
        Danger::Disruptive,
    );
    let mut elected = Vec::new();
    let mut by_topic: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for key in partitions {
        let partition = find_topic(metadata, what, &key.topic)?
            .partition(key.partition)
            .ok_or_else(|| Fault::not_found(what, format!("partition {key} does not exist")))?;
        match preferred(partition) {
            Preferred::LeadsAlready => {}
            Preferred::OutOfSync(id) => {
                plan.not_done
                    .push(format!("{key}: preferred leader {id} is not in sync"));
            }
            Preferred::Electable(id) => {
                let before = partition.has_leader().then(|| partition.leader.to_string());
                plan.change(key.to_string(), before, Some(id.to_string()));
                by_topic
                    .entry(key.topic.to_string())
                    .or_default()
                    .push(key.partition);
                elected.push(key);
            }
        }
    }
    plan.title = format!(
        "elect the preferred leaders of {}",
        count(elected.len(), "partition")
    );
    for (topic, partitions) in &by_topic {
        for partition in partitions {
            plan.equivalent.push(format!(
                "kafka-leader-election.sh {} --election-type preferred --topic {} --partition {partition}",
                bootstrap(metadata),
                quote(topic)
            ));
        }
    }
    plan.action = Action::ElectPreferredLeaders(elected);
    Ok(plan)
}

enum Preferred {
    LeadsAlready,
    OutOfSync(i32),
    Electable(i32),
}

fn preferred(partition: &Partition) -> Preferred {
    match partition.preferred_leader() {
        Some(id) if id == partition.leader => Preferred::LeadsAlready,
        Some(id) if partition.isr.contains(&id) => Preferred::Electable(id),
        Some(id) => Preferred::OutOfSync(id),
        None => Preferred::LeadsAlready,
    }
}
