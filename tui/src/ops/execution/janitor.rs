//! Finds throttles that were left behind, and what removes them.
//!
//! A throttled replica is left over where its partition is not being reassigned, and a rate where
//! nothing is. Whose it is is known from the runs of this machine; what no run has set may be an
//! operator's own, and is removed only when that is asked for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::cluster::ClusterClient;
use crate::model::{ClusterMetadata, ConfigResource, Fault, Reassignments, TopicPartition};
use crate::ops::{AlterConfigs, ConfigChange};

use super::throttle::without;
use super::{RATES, REPLICAS, Run, Store, ThrottlesSet, shell};

/// One throttle that nothing needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOver {
    /// `topic "t"`, `broker 1`.
    pub resource: String,
    pub setting: String,
    /// The entries of a list, or the rate.
    pub values: Vec<String>,
    /// The run of this machine that set it; `None`: nobody knows.
    pub set_by: Option<String>,
    pub removal: AlterConfigs,
}

/// What is left over; pure.
pub fn left_over(
    set: &ThrottlesSet,
    running: &Reassignments,
    runs: &[Run],
    may_remove_others: bool,
) -> Vec<LeftOver> {
    let mut found = Vec::new();
    let at_work = runs.iter().any(|run| !run.is_over);
    for (topic, throttle) in &set.topics {
        for (name, present) in REPLICAS.iter().zip(&throttle.replicas) {
            let is_needed = |entry: &String| {
                let partition = entry.split(':').next().and_then(|id| id.parse().ok());
                partition.is_some_and(|id| running.contains_key(&TopicPartition::new(topic, id)))
            };
            let idle: Vec<String> = present.iter().filter(|e| !is_needed(e)).cloned().collect();
            let owner = |entry: &String| {
                runs.iter().find(|run| {
                    let lists = run.ours.replicas.get(topic);
                    let list = lists.and_then(|lists| lists.get(*name));
                    list.is_some_and(|list| list.contains(entry))
                })
            };
            let (ours, others): (Vec<String>, Vec<String>) =
                idle.into_iter().partition(|entry| owner(entry).is_some());
            let set_by = ours.first().and_then(owner).map(|run| run.title.clone());
            let is_ours_at_work = at_work && set_by.is_some();
            for (values, set_by) in [(ours, set_by), (others, None)] {
                let may = set_by.is_some() || may_remove_others;
                if values.is_empty() || (is_ours_at_work && set_by.is_some()) || !may {
                    continue;
                }
                let resource = ConfigResource::Topic(topic.clone());
                let changes = without(name, present, &values).into_iter().collect();
                found.push(LeftOver {
                    resource: resource.to_string(),
                    setting: (*name).to_owned(),
                    values,
                    set_by,
                    removal: AlterConfigs { resource, changes },
                });
            }
        }
    }
    if running.is_empty() && !at_work {
        for (id, throttle) in &set.brokers {
            for (name, rate) in RATES.iter().zip(&throttle.rates) {
                let Some(rate) = rate else { continue };
                let owner = runs.iter().find(|run| {
                    let noted = run.ours.rates.get(id).and_then(|rates| rates.get(*name));
                    noted.is_some_and(|noted| {
                        let all = [Some(noted.rate), noted.previous];
                        all.into_iter()
                            .flatten()
                            .any(|ours| ours.to_string() == *rate)
                    })
                });
                if owner.is_none() && !may_remove_others {
                    continue;
                }
                let resource = ConfigResource::Broker(*id);
                found.push(LeftOver {
                    resource: resource.to_string(),
                    setting: (*name).to_owned(),
                    values: vec![rate.clone()],
                    set_by: owner.map(|run| run.title.clone()),
                    removal: AlterConfigs {
                        resource,
                        changes: vec![ConfigChange::Delete {
                            name: (*name).to_owned(),
                        }],
                    },
                });
            }
        }
    }
    found
}

/// Looks through the whole cluster.
///
/// # Errors
/// The cluster can't be read.
pub async fn find(
    client: &ClusterClient,
    metadata: &ClusterMetadata,
    store: &Store,
    may_remove_others: bool,
) -> Result<Vec<LeftOver>, Fault> {
    let topics: BTreeSet<&str> = metadata.topics.iter().map(|topic| &*topic.name).collect();
    let alive = metadata
        .brokers
        .iter()
        .filter(|broker| broker.fenced != Some(true));
    let brokers = alive.map(|broker| broker.id).collect();
    let set = shell::read_throttles(client, &topics, &brokers).await?;
    let running = client.reassignments().await?;
    Ok(left_over(&set, &running, &store.runs(), may_remove_others))
}
