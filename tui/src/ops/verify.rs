//! Reads the cluster again and compares it with a plan that was executed.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::cluster::ClusterClient;
use crate::model::{Assignment, ClusterMetadata, Committed, Fault, FaultKind, TopicPartition};

use super::action::{Action, AddPartitions, AlterConfigs, ConfigChange};
use super::offsets::AlterOffsets;
use super::plan::{Plan, Verification};

/// Steps of one change that are looked at together.
const AT_ONCE: usize = 8;

/// How often a cluster that is not as planned is looked at again, and how long before each look:
/// a change is acknowledged by the controller, and each broker hears of it in its own time.
const N_LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// Says whether the cluster is as planned. What differs is looked at for some seconds before it is
/// told; replicas that are being copied are on their way, and not waited for.
///
/// # Errors
/// When the cluster could not be read.
pub async fn verify(client: &ClusterClient, plan: &Plan) -> Result<Verification, Fault> {
    let moves = |step: &Action| matches!(step, Action::Reassign(_));
    let moves = plan.action.steps().iter().any(moves);
    let mut last = verify_now(client, &plan.action).await;
    for _ in 0..N_LOOKS {
        match &last {
            Ok(Verification::Done) => break,
            Ok(Verification::InProgress { .. }) if moves => break,
            _ => tokio::time::sleep(PAUSE).await,
        }
        last = verify_now(client, &plan.action).await;
    }
    last
}

async fn verify_now(client: &ClusterClient, action: &Action) -> Result<Verification, Fault> {
    match action {
        Action::Apply(apply) => verify_steps(client, &apply.steps).await,
        action => verify_one(client, action).await,
    }
}

/// Compares step by step: one that differs is told, else how far those are that are on the way.
async fn verify_steps(client: &ClusterClient, steps: &[Action]) -> Result<Verification, Fault> {
    let verified = steps.iter().map(|step| verify_one(client, step));
    let mut verified = stream::iter(verified.collect::<Vec<_>>()).buffered(AT_ONCE);
    let mut on_the_way = Vec::new();
    while let Some(one) = verified.next().await {
        match one? {
            Verification::Done => {}
            Verification::InProgress { detail } => on_the_way.push(detail),
            differs @ Verification::Differs { .. } => return Ok(differs),
        }
    }
    Ok(match on_the_way.is_empty() {
        true => Verification::Done,
        false => Verification::InProgress {
            detail: on_the_way.join(", "),
        },
    })
}

async fn verify_one(client: &ClusterClient, action: &Action) -> Result<Verification, Fault> {
    match action {
        Action::AlterConfigs(alter) => verify_configs(client, alter).await,
        Action::DeleteGroups(ids) => verify_groups_gone(client, ids).await,
        Action::AlterOffsets(alter) => {
            let now = client.committed_by(&alter.group).await?;
            Ok(compare_offsets(alter, &now))
        }
        Action::Security(action) => client.verify_security(action).await,
        Action::AbortTransaction(abort) => client.verify_abort(abort).await,
        Action::Quorum(action) => client.verify_quorum(action).await,
        // A produced record is verified by its acknowledgement, which names its offset.
        // An order is taken when the run looks next.
        Action::Produce(_) | Action::OrderRun(_) | Action::Transfer(_) => Ok(Verification::Done),
        // Steps have no steps.
        Action::Apply(_) => Ok(Verification::Done),
        // It was acknowledged by the brokers, and a look at all of them takes long.
        Action::ClearThrottles(_) => Ok(Verification::Done),
        // It is written down, and whoever executes it tells how far it is.
        Action::RunReassign(_) => Ok(Verification::Done),
        Action::Reassign(_) | Action::CancelReassignments(_) => {
            let (metadata, running) = tokio::join!(client.metadata(), client.reassignments());
            let (metadata, running) = (metadata?, running?);
            Ok(match action {
                Action::Reassign(reassign) => {
                    let is_running = |key: &TopicPartition| running.contains_key(key);
                    compare_assignment(&reassign.target, &metadata, is_running)
                }
                Action::CancelReassignments(keys) => {
                    let left = keys.iter().filter(|key| running.contains_key(*key)).count();
                    progress(keys.len() - left, keys.len(), "cancelled")
                }
                _ => Verification::Done,
            })
        }
        Action::CreateTopic(_)
        | Action::DeleteTopics(_)
        | Action::AddPartitions(_)
        | Action::AddPartitionsToMany(_)
        | Action::ElectPreferredLeaders(_) => Ok(compare_topics(action, &client.metadata().await?)),
    }
}

fn progress(done: usize, of: usize, word: &str) -> Verification {
    if done == of {
        Verification::Done
    } else {
        Verification::InProgress {
            detail: format!("{done} of {of} {word}"),
        }
    }
}

fn differs(detail: impl Into<String>) -> Verification {
    Verification::Differs {
        detail: detail.into(),
    }
}

/// Compares what a group has committed with what it should have.
fn compare_offsets(alter: &AlterOffsets, now: &Committed) -> Verification {
    for change in alter.changes.iter().filter(|change| change.is_change()) {
        let found = now.partition(&change.topic, change.partition);
        let found = found.and_then(|commit| commit.offset);
        if found != change.to.as_ref().map(|to| to.offset) {
            let found = found.map_or("nothing".to_owned(), |offset| offset.to_string());
            return differs(format!("{found} is committed for {}", change.key()));
        }
    }
    Verification::Done
}

/// Compares topics and leaders with what an action wanted.
fn compare_topics(action: &Action, metadata: &ClusterMetadata) -> Verification {
    match action {
        Action::CreateTopic(create) => match metadata.topic(&create.name) {
            None => differs(format!("topic \"{}\" is not there", create.name)),
            Some(topic) => match create.partitions {
                Some(n) if topic.partitions.len() != n.unsigned_abs() as usize => {
                    differs(format!("it has {} partitions", topic.partitions.len()))
                }
                _ => Verification::Done,
            },
        },
        Action::DeleteTopics(names) => {
            match names.iter().find(|name| metadata.topic(name).is_some()) {
                Some(name) => differs(format!("topic \"{name}\" is still there")),
                None => Verification::Done,
            }
        }
        Action::AddPartitions(add) => match metadata.topic(&add.topic) {
            Some(topic) if topic.partitions.len() == add.total.unsigned_abs() as usize => {
                Verification::Done
            }
            Some(topic) => differs(format!("it has {} partitions", topic.partitions.len())),
            None => differs(format!("topic \"{}\" is gone", add.topic)),
        },
        Action::AddPartitionsToMany(list) => {
            let has = |add: &&AddPartitions| {
                let topic = metadata.topic(&add.topic);
                topic.is_some_and(|t| t.partitions.len() == add.total.unsigned_abs() as usize)
            };
            progress(list.iter().filter(has).count(), list.len(), "grown")
        }
        Action::ElectPreferredLeaders(keys) => {
            let led = |key: &&TopicPartition| {
                let topic = metadata.topic(&key.topic);
                let partition = topic.and_then(|topic| topic.partition(key.partition));
                partition.is_some_and(|p| p.preferred_leader() == Some(p.leader))
            };
            progress(
                keys.iter().filter(led).count(),
                keys.len(),
                "led by their preferred leader",
            )
        }
        _ => Verification::Done,
    }
}

/// Compares replicas with a target: a partition that is still moving is on its way.
fn compare_assignment(
    target: &Assignment,
    metadata: &ClusterMetadata,
    is_running: impl Fn(&TopicPartition) -> bool,
) -> Verification {
    let mut done = 0;
    for (key, replicas) in target {
        let topic = metadata.topic(&key.topic);
        let now = topic.and_then(|topic| topic.partition(key.partition));
        match now {
            _ if is_running(key) => {}
            Some(partition) if *partition.replicas == **replicas => done += 1,
            Some(partition) => {
                return differs(format!("{key} has the replicas {:?}", partition.replicas));
            }
            None => return differs(format!("{key} is gone")),
        }
    }
    progress(done, target.len(), "reassigned")
}

async fn verify_configs(
    client: &ClusterClient,
    alter: &AlterConfigs,
) -> Result<Verification, Fault> {
    let configs = client.configs(&alter.resource).await?;
    for change in &alter.changes {
        let entry = configs.get(change.name());
        let value = entry.and_then(|entry| entry.value.as_deref());
        let has = |item: &str| value.is_some_and(|v| v.split(',').any(|i| i.trim() == item));
        let as_wanted = match change {
            _ if entry.is_some_and(|entry| entry.is_sensitive) => true,
            ConfigChange::Set { value: wanted, .. } => value == Some(wanted),
            ConfigChange::Delete { .. } => !entry.is_some_and(|e| e.is_overridden(&alter.resource)),
            ConfigChange::Append { value: item, .. } => has(item),
            ConfigChange::Subtract { value: item, .. } => !has(item),
        };
        if !as_wanted {
            let value = value.unwrap_or("unset");
            return Ok(differs(format!("{} is {value}", change.name())));
        }
    }
    Ok(Verification::Done)
}

async fn verify_groups_gone(client: &ClusterClient, ids: &[String]) -> Result<Verification, Fault> {
    let groups = client.groups().await?;
    if let Some(fault) = groups.faults.values().next() {
        let why = format!("a broker's list of groups is missing: {}", fault.why);
        return Err(Fault::new(FaultKind::Unreachable, "list groups", why));
    }
    Ok(
        match ids
            .iter()
            .find(|id| groups.groups.contains_key(id.as_str()))
        {
            Some(id) => differs(format!("group \"{id}\" is still there")),
            None => Verification::Done,
        },
    )
}
