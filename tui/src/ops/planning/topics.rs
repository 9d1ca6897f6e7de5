//! Plans for whole topics: create, delete, produce.

use std::collections::BTreeSet;

use crate::derive;
use crate::model::{ClusterMetadata, ClusterSnapshot, Fault, FaultKind};
use crate::ops::action::{Action, CreateTopic, ProduceMessage};
use crate::ops::plan::{Danger, Plan};
use crate::units::bytes;

use super::{bootstrap, count, find_topic, join, more_in_sync_than_replicas, quote};

/// The longest name a topic can have: it becomes a folder's name with a partition's number.
const NAME_CHARS_MAX: usize = 249;

/// Why a name can't be a topic's, if it can't.
///
/// Kafka: common/internals/Topic.java (4.3).
pub fn topic_name_fault(name: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        Some("the name is empty".to_owned())
    } else if name == "." || name == ".." {
        Some("the name can't be \".\" or \"..\"".to_owned())
    } else if let Some(bad) = name.chars().find(|c| !legal(*c)) {
        Some(format!(
            "{bad:?} can't be in a name: letters, digits, '.', '_' and '-' can"
        ))
    } else if name.len() > NAME_CHARS_MAX {
        Some(format!(
            "the name has {} characters, {NAME_CHARS_MAX} are allowed",
            name.len()
        ))
    } else {
        None
    }
}

pub(super) fn create(create: CreateTopic, metadata: &ClusterMetadata) -> Result<Plan, Fault> {
    let what = format!("create topic \"{}\"", create.name);
    let refuse = |why: String| Fault::refused(what.clone(), why);
    if let Some(why) = topic_name_fault(&create.name) {
        return Err(refuse(why));
    }
    let mut plan = Plan::new(
        Action::CreateTopic(create.clone()),
        what.clone(),
        Danger::Safe,
    );
    if metadata.topic(&create.name).is_some() {
        if create.if_not_exists {
            plan.not_done.push(format!(
                "topic \"{}\" exists and stays as it is",
                create.name
            ));
            return Ok(plan);
        }
        let why = format!("topic \"{}\" exists already", create.name);
        return Err(Fault::new(FaultKind::AlreadyExists, what, why)
            .with_hint("choose another name, or use --if-not-exists to accept it"));
    }
    check_shape(&create, metadata).map_err(refuse)?;
    plan.equivalent.push(equivalent_create(&create, metadata));
    plan.warnings.extend(colliding_name(&create.name, metadata));
    let or_default = |n: Option<String>| Some(n.unwrap_or_else(|| "broker's default".to_owned()));
    match &create.assignment {
        Some(assignment) => {
            plan.change("partitions", None, Some(assignment.len().to_string()));
            for (partition, replicas) in assignment.iter().enumerate() {
                let subject = format!("partition {partition} replicas");
                plan.change(subject, None, Some(join(replicas)));
            }
        }
        None => {
            let partitions = create.partitions.map(|n| n.to_string());
            let factor = create.replication_factor.map(|n| n.to_string());
            plan.change("partitions", None, or_default(partitions));
            plan.change("replication factor", None, or_default(factor));
        }
    }
    for (name, value) in &create.configs {
        plan.change(name, None, Some(value.clone()));
    }
    if create.replication_factor == Some(1) && metadata.brokers.len() > 1 {
        plan.warnings
            .push("one replica only: a broker's loss is the data's loss".to_owned());
    }
    let lists = create.assignment.iter().flatten().map(Vec::len).min();
    let factor = create
        .replication_factor
        .and_then(|n| usize::try_from(n).ok());
    if let Some(replicas) = lists.or(factor) {
        let told =
            |(name, value): &(String, String)| more_in_sync_than_replicas(name, value, replicas);
        plan.warnings.extend(create.configs.iter().filter_map(told));
    }
    plan.inverse = Some(Action::DeleteTopics(vec![create.name]));
    Ok(plan)
}

fn check_shape(create: &CreateTopic, metadata: &ClusterMetadata) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    if let Some((name, _)) = create.configs.iter().find(|(name, _)| !seen.insert(name)) {
        return Err(format!("the setting {name} is given twice"));
    }
    if let Some(assignment) = &create.assignment {
        if create.partitions.is_some() || create.replication_factor.is_some() {
            return Err("a replica assignment excludes numbers of partitions and replicas".into());
        }
        return check_assignment(assignment, metadata);
    }
    if let Some(n) = create.partitions.filter(|n| *n < 1) {
        return Err(format!("{n} partitions: there must be at least 1"));
    }
    let n_live = metadata
        .brokers
        .iter()
        .filter(|b| b.fenced != Some(true))
        .count();
    match create.replication_factor {
        Some(n) if n < 1 => Err(format!("replication factor {n}: it must be at least 1")),
        Some(n) if usize::from(n.unsigned_abs()) > n_live => Err(format!(
            "replication factor {n} needs {n} live brokers, and there are {n_live}"
        )),
        _ => Ok(()),
    }
}

/// Checks lists of replicas for new partitions: not empty, one length, known brokers, none twice.
pub(super) fn check_assignment(
    assignment: &[Vec<i32>],
    metadata: &ClusterMetadata,
) -> Result<(), String> {
    let factor = assignment.first().map_or(0, Vec::len);
    if factor == 0 {
        return Err("the replica assignment is empty".to_owned());
    }
    for replicas in assignment {
        if replicas.len() != factor {
            return Err("all partitions must have the same number of replicas".to_owned());
        }
        if replicas.iter().collect::<BTreeSet<_>>().len() != factor {
            return Err(format!("a replica is there twice: {}", join(replicas)));
        }
        if let Some(id) = replicas.iter().find(|id| metadata.broker(**id).is_none()) {
            return Err(format!("broker {id} does not exist"));
        }
    }
    Ok(())
}

/// Kafka's metric names can't tell '.' from '_', so its own tool warns too.
fn colliding_name(name: &str, metadata: &ClusterMetadata) -> Option<String> {
    let folded = |name: &str| name.replace('.', "_");
    let mine = folded(name);
    let twin = metadata
        .topics
        .iter()
        .find(|topic| folded(&topic.name) == mine)?;
    Some(format!(
        "\"{name}\" and \"{}\" have the same name in Kafka's metrics",
        twin.name
    ))
}

fn equivalent_create(create: &CreateTopic, metadata: &ClusterMetadata) -> String {
    let mut line = format!(
        "kafka-topics.sh {} --create --topic {}",
        bootstrap(metadata),
        quote(&create.name)
    );
    if let Some(n) = create.partitions {
        line.push_str(&format!(" --partitions {n}"));
    }
    if let Some(n) = create.replication_factor {
        line.push_str(&format!(" --replication-factor {n}"));
    }
    if let Some(assignment) = &create.assignment {
        let partition = |replicas: &Vec<i32>| {
            replicas
                .iter()
                .map(i32::to_string)
                .collect::<Vec<_>>()
                .join(":")
        };
        let lists: Vec<String> = assignment.iter().map(partition).collect();
        line.push_str(&format!(" --replica-assignment {}", lists.join(",")));
    }
    for (name, value) in &create.configs {
        line.push_str(&format!(" --config {}", quote(&format!("{name}={value}"))));
    }
    if create.if_not_exists {
        line.push_str(" --if-not-exists");
    }
    line
}

pub(super) fn delete(
    names: Vec<String>,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let title = match &names[..] {
        [] => return Err(Fault::refused("delete topics", "no topic is named")),
        [name] => format!("delete topic \"{name}\""),
        names => format!("delete {} topics", names.len()),
    };
    let mut plan = Plan::new(
        Action::DeleteTopics(names.clone()),
        title.clone(),
        Danger::Destructive,
    );
    for name in &names {
        let topic = find_topic(metadata, &title, name)?;
        plan.topic_ids.extend(topic.id.map(|id| (name.clone(), id)));
        let size = snapshot
            .log_dirs
            .get()
            .and_then(|dirs| derive::topic_size(dirs, topic).complete())
            .map(bytes);
        let before = count(topic.partitions.len(), "partition");
        plan.change(format!("topic \"{name}\""), Some(before), None);
        // Beside the values: it grows on, and that would not make it another topic.
        if let Some(told) = plan.changes.last_mut() {
            told.note = size;
        }
        plan.irrevocable
            .push(format!("topic \"{name}\" is deleted with its records"));
        if topic.is_internal {
            plan.warnings
                .push(format!("\"{name}\" is one of Kafka's own topics"));
        }
        let groups = derive::topic_groups(snapshot, name);
        if !groups.is_empty() {
            let groups = groups.join(", ");
            plan.warnings
                .push(format!("\"{name}\" is used by: {groups}"));
        }
        plan.equivalent.push(format!(
            "kafka-topics.sh {} --delete --topic {}",
            bootstrap(metadata),
            quote(name)
        ));
    }
    plan.typed_confirmation = Some(match &names[..] {
        [name] => name.clone(),
        names => format!("delete {} topics", names.len()),
    });
    Ok(plan)
}

pub(super) fn produce(message: ProduceMessage, metadata: &ClusterMetadata) -> Result<Plan, Fault> {
    let title = format!("write a record to topic \"{}\"", message.topic);
    let topic = find_topic(metadata, &title, &message.topic)?;
    if let Some(partition) = message.partition
        && topic.partition(partition).is_none()
    {
        let why = format!("partition {}-{partition} does not exist", message.topic);
        return Err(Fault::not_found(title, why));
    }
    let mut plan = Plan::new(Action::Produce(message.clone()), title, Danger::Disruptive);
    let place = match message.partition {
        Some(partition) => format!("{}-{partition}", message.topic),
        None if message.key.is_some() => format!("{} (partition by key)", message.topic),
        None => format!("{} (any partition)", message.topic),
    };
    let bytes = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
    let what = match &message.value {
        None => "1 tombstone".to_owned(),
        Some(_) => format!(
            "1 record, {} bytes",
            bytes(&message.key) + bytes(&message.value)
        ),
    };
    plan.change(place, None, Some(what));
    if topic.is_internal {
        let why = "this is one of Kafka's own topics: a foreign record can break it";
        plan.warnings.push(why.to_owned());
    }
    if message.value.is_none() && message.key.is_none() {
        plan.warnings
            .push("neither key nor value: the record says nothing".to_owned());
    }
    plan.equivalent.push(format!(
        "kafka-console-producer.sh {} --topic {}",
        bootstrap(metadata),
        quote(&message.topic)
    ));
    Ok(plan)
}
