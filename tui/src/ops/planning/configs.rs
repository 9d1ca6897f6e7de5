//! Plans for changes of configuration.

use std::collections::BTreeSet;

use crate::model::{ClusterMetadata, ClusterSnapshot, ConfigKind, ConfigResource, Configs, Fault};
use crate::ops::action::{Action, AlterConfigs, ConfigChange};
use crate::ops::plan::{Danger, Plan};

use super::{bootstrap, find_topic, quote};

/// Settings whose change can make a topic drop records it holds now.
const DROPS_RECORDS: [&str; 4] = [
    "cleanup.policy",
    "retention.bytes",
    "retention.ms",
    "delete.retention.ms",
];

pub(super) fn alter(
    alter: AlterConfigs,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let title = format!("change the configuration of {}", alter.resource);
    match &alter.resource {
        ConfigResource::Topic(name) => {
            find_topic(metadata, &title, name)?;
        }
        ConfigResource::Broker(id) if metadata.broker(*id).is_none() => {
            return Err(Fault::not_found(
                title,
                format!("broker {id} does not exist"),
            ));
        }
        _ => {}
    }
    let mut seen = BTreeSet::new();
    if let Some(change) = alter
        .changes
        .iter()
        .find(|change| !seen.insert(change.name()))
    {
        let why = format!("{} is changed twice", change.name());
        return Err(Fault::refused(title, why));
    }
    let configs = snapshot
        .configs
        .get(&alter.resource)
        .and_then(|configs| configs.get());
    let mut plan = Plan::new(
        Action::AlterConfigs(alter.clone()),
        title.clone(),
        Danger::Safe,
    );
    let (mut wanted, mut inverse) = (Vec::new(), Vec::new());
    let mut values = Vec::new();
    for change in &alter.changes {
        let Some(outcome) =
            outcome(change, configs, &alter.resource).map_err(|why| Fault::refused(&title, why))?
        else {
            plan.not_done
                .push(format!("{} is so already", change.name()));
            continue;
        };
        let name = change.name();
        if DROPS_RECORDS.contains(&name) {
            plan.danger = Danger::Disruptive;
            plan.warnings
                .push(format!("{name} decides which records are deleted"));
        }
        if let ConfigResource::Topic(topic) = &alter.resource {
            let value = outcome.after.as_deref();
            plan.warnings
                .extend(too_many_in_sync(metadata, topic, name, value));
        }
        values.push(outcome.after.clone().unwrap_or_default());
        plan.change(name, outcome.before, outcome.after);
        if outcome.inverse.is_none() {
            plan.irrevocable.push(format!(
                "{name} can't be set back: what it was is not known"
            ));
        }
        inverse.push(outcome.inverse);
        wanted.push(change.clone());
    }
    if !wanted.is_empty() {
        plan.equivalent
            .push(equivalent(&alter.resource, &wanted, &values, metadata));
    }
    // Only a change of which every part can be undone has an undo.
    let inverse: Option<Vec<ConfigChange>> = inverse.into_iter().collect();
    plan.inverse = inverse
        .filter(|changes| !changes.is_empty())
        .map(|changes| {
            Action::AlterConfigs(AlterConfigs {
                resource: alter.resource.clone(),
                changes,
            })
        });
    plan.action = Action::AlterConfigs(AlterConfigs {
        resource: alter.resource,
        changes: wanted,
    });
    Ok(plan)
}

/// What to say where a topic wants more replicas in sync than it has.
fn too_many_in_sync(
    metadata: &ClusterMetadata,
    topic: &str,
    name: &str,
    value: Option<&str>,
) -> Option<String> {
    let partitions = &metadata.topic(topic)?.partitions;
    let fewest = partitions.iter().map(|p| p.replicas.len()).min()?;
    super::more_in_sync_than_replicas(name, value?, fewest)
}

struct Outcome {
    before: Option<String>,
    after: Option<String>,
    inverse: Option<ConfigChange>,
}

/// Rates of replication that a broker tells only when they are set.
const RATES: [&str; 3] = [
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
];

/// Whether a broker has this setting although it does not tell it.
fn is_told_when_set(name: &str, resource: &ConfigResource) -> bool {
    let is_broker = matches!(
        resource,
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault
    );
    is_broker && RATES.contains(&name)
}

/// What a change does to such a setting while it is not set.
fn first_value(change: &ConfigChange) -> Result<Option<Outcome>, String> {
    match change {
        ConfigChange::Set { name, value } => Ok(Some(Outcome {
            before: None,
            after: Some(value.clone()),
            inverse: Some(ConfigChange::Delete { name: name.clone() }),
        })),
        ConfigChange::Delete { .. } => Ok(None),
        ConfigChange::Append { name, .. } | ConfigChange::Subtract { name, .. } => {
            Err(format!("{name} is no list"))
        }
    }
}

/// What one change does to the present value; `None` when it does nothing.
fn outcome(
    change: &ConfigChange,
    configs: Option<&Configs>,
    resource: &ConfigResource,
) -> Result<Option<Outcome>, String> {
    let name = change.name();
    let Some(configs) = configs else {
        return Ok(Some(Outcome {
            before: None,
            after: blind_value(change),
            inverse: None,
        }));
    };
    let Some(entry) = configs.get(name) else {
        return match is_told_when_set(name, resource) {
            true => first_value(change),
            false => Err(unknown_key(name, configs)),
        };
    };
    if entry.is_read_only {
        return Err(format!("{name} can't be changed while a broker runs"));
    }
    let overridden = entry.is_overridden(resource);
    // A value that stands in hours is none of a setting in milliseconds.
    let unit = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let inherited = entry
        .inherited(resource)
        .filter(|synonym| unit(&synonym.name) == unit(name))
        .and_then(|synonym| synonym.value.clone());
    let items = || -> Vec<String> {
        let value = entry.value.as_deref().unwrap_or_default();
        value
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(Into::into)
            .collect()
    };
    let list_only = || match entry.kind {
        ConfigKind::List => Ok(()),
        kind => Err(format!("{name} is no list but {}", kind.as_str())),
    };
    let after = match change {
        ConfigChange::Set { value, .. } => Some(value.clone()),
        ConfigChange::Delete { .. } if !overridden => return Ok(None),
        ConfigChange::Delete { .. } => inherited.or_else(|| Some("(inherited)".to_owned())),
        ConfigChange::Append { value, .. } => {
            list_only()?;
            let mut items = items();
            if items.contains(value) {
                return Ok(None);
            }
            items.push(value.clone());
            Some(items.join(","))
        }
        ConfigChange::Subtract { value, .. } => {
            list_only()?;
            let mut items = items();
            let before = items.len();
            items.retain(|item| item != value);
            if items.len() == before {
                return Ok(None);
            }
            Some(items.join(","))
        }
    };
    let is_set = matches!(change, ConfigChange::Set { .. });
    if is_set && overridden && !entry.is_sensitive && entry.value == after {
        return Ok(None);
    }
    let name = name.to_owned();
    let inverse = match (overridden, entry.is_sensitive, &entry.value) {
        (false, _, _) => Some(ConfigChange::Delete { name }),
        // What the broker keeps secret can't be put back.
        (true, true, _) | (true, _, None) => None,
        (true, false, Some(value)) => Some(ConfigChange::Set {
            name,
            value: value.clone(),
        }),
    };
    let hide = |value: Option<String>| {
        if entry.is_sensitive {
            Some("(hidden)".to_owned())
        } else {
            value
        }
    };
    Ok(Some(Outcome {
        before: hide(entry.value.clone()),
        after: hide(after),
        inverse,
    }))
}

fn blind_value(change: &ConfigChange) -> Option<String> {
    match change {
        ConfigChange::Set { value, .. } => Some(value.clone()),
        ConfigChange::Delete { .. } => None,
        ConfigChange::Append { value, .. } => Some(format!("+{value}")),
        ConfigChange::Subtract { value, .. } => Some(format!("-{value}")),
    }
}

fn unknown_key(name: &str, configs: &Configs) -> String {
    let nearest = configs
        .entries
        .iter()
        .map(|entry| (distance(&entry.name, name), &entry.name));
    match nearest.min() {
        Some((distance, nearest)) if distance <= 3 => {
            format!("there is no setting {name}; did you mean {nearest}?")
        }
        _ => format!("there is no setting {name}"),
    }
}

/// How many characters to insert, delete or replace to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

fn equivalent(
    resource: &ConfigResource,
    changes: &[ConfigChange],
    values: &[String],
    metadata: &ClusterMetadata,
) -> String {
    let entity = match resource {
        ConfigResource::Topic(name) => {
            format!("--entity-type topics --entity-name {}", quote(name))
        }
        ConfigResource::Broker(id) => format!("--entity-type brokers --entity-name {id}"),
        ConfigResource::BrokerDefault => "--entity-type brokers --entity-default".to_owned(),
        ConfigResource::Group(id) => format!("--entity-type groups --entity-name {}", quote(id)),
    };
    let mut line = format!("kafka-configs.sh {} --alter {entity}", bootstrap(metadata));
    let set = changes.iter().zip(values);
    let set: Vec<String> = set
        .filter_map(|(change, value)| set_argument(change, value))
        .collect();
    if !set.is_empty() {
        line.push_str(&format!(" --add-config {}", quote(&set.join(","))));
    }
    let deleted: Vec<&str> = changes
        .iter()
        .filter(|change| matches!(change, ConfigChange::Delete { .. }))
        .map(ConfigChange::name)
        .collect();
    if !deleted.is_empty() {
        line.push_str(&format!(" --delete-config {}", deleted.join(",")));
    }
    line
}

/// Kafka's tool has no appending and no subtracting; it takes the whole list, in brackets.
fn set_argument(change: &ConfigChange, value: &str) -> Option<String> {
    let name = change.name();
    match change {
        ConfigChange::Delete { .. } => None,
        _ if value.contains(',') => Some(format!("{name}=[{value}]")),
        _ => Some(format!("{name}={value}")),
    }
}
