//! What is throttled: which replicas and which rates a run wants, compared with what is set.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ConfigResource, Fault};
use crate::ops::{AlterConfigs, ConfigChange};

use super::{Move, OurRate, OurThrottles};

/// A broker's rates: for what it sends, and for what it receives.
pub const RATES: [&str; 2] = [
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
];

/// A topic's lists of `partition:broker` that the rates are for.
pub const REPLICAS: [&str; 2] = [
    "leader.replication.throttled.replicas",
    "follower.replication.throttled.replicas",
];

/// Every replica.
const ALL: &str = "*";

/// The rates of one broker as they are, wherever they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerThrottle {
    pub rates: [Option<String>; 2],
}

/// The lists of one topic as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicThrottle {
    pub replicas: [Vec<String>; 2],
}

/// All throttles that matter to a run. What could not be read is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThrottlesSet {
    pub brokers: BTreeMap<i32, BrokerThrottle>,
    pub topics: BTreeMap<String, TopicThrottle>,
    /// Why brokers are missing.
    pub faults: BTreeMap<i32, Fault>,
}

impl ThrottlesSet {
    /// Reads a list as Kafka writes it.
    pub fn list(value: Option<&str>) -> Vec<String> {
        let items = value.unwrap_or_default().split(',').map(str::trim);
        items
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// The entries that moves want in a topic's two lists: who has it sends, who gets it receives.
fn wanted_replicas<'a>(
    moves: impl Iterator<Item = &'a Move>,
) -> BTreeMap<String, [BTreeSet<String>; 2]> {
    let mut wanted: BTreeMap<String, [BTreeSet<String>; 2]> = BTreeMap::new();
    for one in moves.filter(|one| one.adding().next().is_some()) {
        let [leaders, followers] = wanted.entry(one.topic.clone()).or_default();
        leaders.extend(one.from.iter().map(|id| format!("{}:{id}", one.partition)));
        followers.extend(one.adding().map(|id| format!("{}:{id}", one.partition)));
    }
    wanted
}

/// What is missing before moves are throttled.
#[derive(Debug, Default)]
pub(super) struct Missing {
    pub alters: Vec<AlterConfigs>,
    /// What could not be read, so that nobody knows what it lacks.
    pub unread: Option<ConfigResource>,
}

impl Missing {
    pub fn is_nothing(&self) -> bool {
        self.alters.is_empty() && self.unread.is_none()
    }
}

/// What is to be set so that these moves are throttled; notes what will be ours. A broker that
/// does not live is not throttled: it copies nothing.
pub(super) fn set<'a>(
    moves: impl Iterator<Item = &'a Move> + Clone,
    rate: i64,
    now: &ThrottlesSet,
    ours: &mut OurThrottles,
    lives: impl Fn(i32) -> bool,
) -> Missing {
    let mut alters = Vec::new();
    let copied = moves.clone().filter(|one| one.adding().next().is_some());
    let brokers: BTreeSet<i32> = copied
        .flat_map(|one| one.from.iter().chain(&one.to).copied())
        .collect();
    let mut unread = brokers
        .iter()
        .find(|id| lives(**id) && !now.brokers.contains_key(id))
        .map(|id| ConfigResource::Broker(*id));
    // Rates first: a listed replica without a rate is not throttled, and a rate alone harms nobody.
    for (id, present) in now.brokers.iter().filter(|(id, _)| brokers.contains(id)) {
        let noted = ours.rates.entry(*id).or_default();
        let mut changes = Vec::new();
        for (name, value) in RATES.iter().zip(&present.rates) {
            let is_ours = is_ours(noted.get(*name), value.as_deref());
            let value: Option<i64> = value.as_deref().and_then(|value| value.parse().ok());
            match (value, is_ours) {
                (Some(present), true) if present == rate => {
                    noted.insert(
                        (*name).to_owned(),
                        OurRate {
                            rate,
                            previous: None,
                        },
                    );
                    continue;
                }
                (None, _) | (Some(_), true) => {}
                // An operator's own stays, and is not ours to remove.
                (Some(_), false) => {
                    noted.remove(*name);
                    continue;
                }
            }
            noted.insert(
                (*name).to_owned(),
                OurRate {
                    rate,
                    previous: value,
                },
            );
            changes.push(ConfigChange::Set {
                name: (*name).to_owned(),
                value: rate.to_string(),
            });
        }
        if noted.is_empty() {
            ours.rates.remove(id);
        }
        alters.extend(alter(ConfigResource::Broker(*id), changes));
    }
    for (topic, wanted) in wanted_replicas(moves) {
        let Some(present) = now.topics.get(&topic) else {
            unread.get_or_insert(ConfigResource::Topic(topic));
            continue;
        };
        let mut changes = Vec::new();
        for ((name, wanted), present) in REPLICAS.iter().zip(wanted).zip(&present.replicas) {
            if present.iter().any(|entry| entry == ALL) {
                continue;
            }
            let missing: Vec<String> = wanted
                .into_iter()
                .filter(|entry| !present.contains(entry))
                .collect();
            if missing.is_empty() {
                continue;
            }
            let noted = ours.replicas.entry(topic.clone()).or_default();
            let noted = noted.entry((*name).to_owned()).or_default();
            for entry in &missing {
                if !noted.contains(entry) {
                    noted.push(entry.clone());
                }
            }
            changes.push(ConfigChange::Append {
                name: (*name).to_owned(),
                value: missing.join(","),
            });
        }
        alters.extend(alter(ConfigResource::Topic(topic), changes));
    }
    Missing { alters, unread }
}

/// What removes what is ours and there; forgets what is gone or somebody else's by now. A topic
/// of which `exists` is false is gone with its lists.
pub(super) fn clear(
    now: &ThrottlesSet,
    ours: &mut OurThrottles,
    exists: impl Fn(&str) -> bool,
) -> Vec<AlterConfigs> {
    let mut alters = Vec::new();
    ours.replicas.retain(|topic, lists| {
        let Some(present) = now.topics.get(topic) else {
            return exists(topic);
        };
        let mut changes = Vec::new();
        for (name, present) in REPLICAS.iter().zip(&present.replicas) {
            let Some(noted) = lists.get_mut(*name) else {
                continue;
            };
            noted.retain(|entry| present.contains(entry));
            changes.extend(without(name, present, noted));
        }
        lists.retain(|_, noted| !noted.is_empty());
        alters.extend(alter(ConfigResource::Topic(topic.clone()), changes));
        !lists.is_empty()
    });
    ours.rates.retain(|id, noted| {
        let Some(present) = now.brokers.get(id) else {
            // It can't be asked now.
            return true;
        };
        let mut changes = Vec::new();
        for (name, value) in RATES.iter().zip(&present.rates) {
            if is_ours(noted.get(*name), value.as_deref()) && value.is_some() {
                changes.push(ConfigChange::Delete {
                    name: (*name).to_owned(),
                });
            } else {
                noted.remove(*name);
            }
        }
        alters.extend(alter(ConfigResource::Broker(*id), changes));
        !noted.is_empty()
    });
    alters
}

/// Takes entries away from a list; the last one takes the setting with it.
pub(super) fn without(name: &str, present: &[String], gone: &[String]) -> Option<ConfigChange> {
    let name = name.to_owned();
    if gone.is_empty() {
        None
    } else if present.iter().all(|entry| gone.contains(entry)) {
        Some(ConfigChange::Delete { name })
    } else {
        let value = gone.join(",");
        Some(ConfigChange::Subtract { name, value })
    }
}

fn is_ours(noted: Option<&OurRate>, present: Option<&str>) -> bool {
    let Some(noted) = noted else {
        return false;
    };
    let present: Option<i64> = present.and_then(|value| value.parse().ok());
    present == Some(noted.rate) || (present.is_some() && present == noted.previous)
}

fn alter(resource: ConfigResource, changes: Vec<ConfigChange>) -> Option<AlterConfigs> {
    (!changes.is_empty()).then_some(AlterConfigs { resource, changes })
}
