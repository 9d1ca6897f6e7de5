//! What comparing needs of a cluster, read.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use kafka_shared::task;

use super::export::EXPORT;
use super::{Compared, Declared, Exported, WHAT, Wanted, compare, declare, read};
use crate::cluster::ClusterClient;
use crate::model::{ClusterSnapshot, ConfigResource, Fault, FaultKind, Topic, Update};
use crate::ops::Action;

/// What files declare compared with a cluster, and what was read of it for that.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub compared: Compared,
    /// What planning [`Compared::action`] needs.
    pub updates: Vec<Update>,
}

/// Reads files and the cluster, and compares them.
///
/// # Errors
/// What is wrong with the files, or can't be read of the cluster.
pub async fn prepare(
    client: &ClusterClient,
    paths: Vec<PathBuf>,
    wanted: Wanted,
) -> Result<Prepared, Fault> {
    let declared = task::spawn_blocking("read-declared", move || read(&paths)).await;
    let declared =
        declared.unwrap_or_else(|_| Err(Fault::new(FaultKind::Failed, WHAT, "the task broke")))?;
    let metadata = Arc::new(client.metadata().await?);
    let mut snapshot = ClusterSnapshot::default();
    let mut updates = vec![Update::Metadata(Ok(Arc::clone(&metadata)))];
    // Where these can't be read, what moves counts as it is, and sizes are not known.
    let running = client.reassignments().await;
    updates.push(Update::Reassignments(
        running.map(Arc::new).map_err(Arc::new),
    ));
    if declared.places_replicas() {
        let dirs = client.log_dirs(&metadata).await;
        updates.push(Update::LogDirs(dirs.map(Arc::new).map_err(Arc::new)));
    }
    let there = declared.topics.iter().map(|topic| &*topic.name);
    let there: Vec<&str> = there
        .filter(|name| metadata.topic(name).is_some())
        .collect();
    updates.extend(configs_of(client, &there).await?);
    for update in &updates {
        snapshot.apply(update.clone(), client.now());
    }
    let compared = compare(&declared, &snapshot, &wanted)?;
    // Settings that stay are not looked at again.
    let steps = compared.action.iter().flat_map(|action| action.steps());
    let changed: HashSet<&ConfigResource> = steps
        .filter_map(|step| match step {
            Action::AlterConfigs(alter) => Some(&alter.resource),
            _ => None,
        })
        .collect();
    updates.retain(|update| match update {
        Update::Configs(resource, _) => changed.contains(resource),
        _ => true,
    });
    Ok(Prepared { compared, updates })
}

impl Declared {
    fn places_replicas(&self) -> bool {
        self.topics.iter().any(|topic| {
            topic.replication_factor.is_some()
                || topic.replicas.is_some()
                || topic.brokers.is_some()
        })
    }
}

/// The settings of these topics.
///
/// # Errors
/// Those of one of them can't be read.
async fn configs_of(client: &ClusterClient, names: &[&str]) -> Result<Vec<Update>, Fault> {
    let mut updates = Vec::with_capacity(names.len());
    for configs in client.configs_of_topics(names).await? {
        let configs = configs?;
        updates.push(Update::Configs(
            configs.resource.clone(),
            Ok(Arc::new(configs)),
        ));
    }
    Ok(updates)
}

/// Topics as they are; all but internal ones and those that begin with `_` where none is named.
///
/// # Errors
/// One that is named does not exist, or can't be read.
pub async fn export(
    client: &ClusterClient,
    names: &[String],
    internal: bool,
    with_replicas: bool,
) -> Result<Exported, Fault> {
    let metadata = Arc::new(client.metadata().await?);
    let is_meant = |topic: &Topic| internal || !(topic.is_internal || topic.name.starts_with('_'));
    let names = match names {
        [] => {
            let all = metadata.topics.iter().filter(|topic| is_meant(topic));
            all.map(|topic| topic.name.to_string()).collect()
        }
        names => names.to_vec(),
    };
    if let Some(name) = names.iter().find(|name| metadata.topic(name).is_none()) {
        let why = format!("topic \"{name}\" does not exist");
        return Err(Fault::not_found(EXPORT, why));
    }
    let mut snapshot = ClusterSnapshot::default();
    let running = client.reassignments().await;
    let mut updates = vec![
        Update::Metadata(Ok(Arc::clone(&metadata))),
        Update::Reassignments(running.map(Arc::new).map_err(Arc::new)),
    ];
    let texts: Vec<&str> = names.iter().map(String::as_str).collect();
    updates.extend(configs_of(client, &texts).await?);
    for update in updates {
        snapshot.apply(update, client.now());
    }
    let now = snapshot.metadata.get().unwrap_or(&metadata);
    Ok(Exported {
        topics: declare(now, &snapshot, &names, with_replicas),
        cluster_id: metadata.cluster_id.as_deref().map(str::to_owned),
    })
}
