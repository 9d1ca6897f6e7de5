//! How evenly partitions and leaders are spread over brokers.
//!
//! CMAK's percentages are kept as it defines them (`ActorModel.scala`, `TopicIdentity`), because
//! people know them. They group by in-sync set, so that a broker that died vanishes from every
//! number, and count a running move as under-replication; [`TopicBalance`] is what to look at.

use std::collections::BTreeMap;

use crate::model::{ClusterMetadata, Partition, Topic};

/// CMAK's columns of one topic, in percent, rounded down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CmakPercents {
    pub brokers_spread: u32,
    pub brokers_skew: u32,
    pub leader_skew: u32,
    pub preferred_replicas: u32,
    pub under_replicated: u32,
}

/// How one set of replicas (placed or in sync) is spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Brokers with at least one of them.
    pub n_brokers: usize,
    /// Of the cluster's brokers.
    pub spread_percent: u32,
    /// Brokers with more than the average, rounded up, of those with any.
    pub skew_percent: u32,
    /// The same for leaders.
    pub leader_skew_percent: u32,
}

/// The spread of one topic: of what is placed and of what is in sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicBalance {
    /// Over the replicas that are wanted: those that a reassignment adds don't count yet.
    pub placed: Spread,
    pub in_sync: Spread,
    pub preferred_percent: u32,
    /// Replicas that a reassignment adds are not missed.
    pub under_replicated_percent: u32,
}

/// One broker's share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BrokerBalance {
    pub leaders: usize,
    /// Partitions whose first replica is this broker: what it leads after an election.
    pub preferred_leaders: usize,
    pub replicas: usize,
    /// Replicas that are in sync.
    pub in_sync: usize,
    /// Partitions that have a replica here and are under-replicated because of it.
    pub out_of_sync: usize,
    /// Deviation from the average of the brokers that hold any, in percent, one decimal; `None`
    /// for clusters too small for it to mean anything.
    pub replica_skew_percent: Option<f64>,
    pub leader_skew_percent: Option<f64>,
}

/// Below this number of partitions a deviation in percent says nothing.
const SKEW_PARTITIONS_MIN: usize = 50;

fn percent(part: usize, of: usize) -> u32 {
    let percent = (100 * part).checked_div(of).unwrap_or(0);
    u32::try_from(percent).unwrap_or(u32::MAX)
}

/// Partitions and leaders of each broker that occurs in `members` of any partition.
fn shares<'a>(
    partitions: &'a [Partition],
    members: impl Fn(&'a Partition) -> Vec<i32>,
) -> BTreeMap<i32, (usize, usize)> {
    let mut shares: BTreeMap<i32, (usize, usize)> = BTreeMap::new();
    for partition in partitions {
        for broker in members(partition) {
            let share = shares.entry(broker).or_default();
            share.0 += 1;
            share.1 += usize::from(partition.leader == broker);
        }
    }
    shares
}

fn spread_of(
    shares: &BTreeMap<i32, (usize, usize)>,
    average_partitions: usize,
    n_partitions: usize,
    cluster_brokers: usize,
) -> Spread {
    let n_brokers = shares.len();
    let average_leaders = n_partitions.div_ceil(n_brokers.max(1));
    let skewed = shares
        .values()
        .filter(|share| share.0 > average_partitions)
        .count();
    let leader_skewed = shares
        .values()
        .filter(|share| share.1 > average_leaders)
        .count();
    Spread {
        n_brokers,
        spread_percent: if cluster_brokers == 0 {
            100
        } else {
            percent(n_brokers, cluster_brokers)
        },
        skew_percent: percent(skewed, n_brokers),
        leader_skew_percent: percent(leader_skewed, n_brokers),
    }
}

/// CMAK's percentages of a topic in a cluster of `cluster_brokers` known brokers.
pub fn cmak(topic: &Topic, cluster_brokers: usize) -> CmakPercents {
    let n_partitions = topic.partitions.len();
    let shares = shares(&topic.partitions, |partition| partition.isr.to_vec());
    // CMAK takes the replication factor from one partition, here the first.
    let factor = topic
        .partitions
        .first()
        .map_or(0, |partition| partition.replicas.len());
    let average = (n_partitions * factor).div_ceil(shares.len().max(1));
    let spread = spread_of(&shares, average, n_partitions, cluster_brokers);
    let count = |test: fn(&Partition) -> bool| {
        percent(
            topic
                .partitions
                .iter()
                .filter(|partition| test(partition))
                .count(),
            n_partitions,
        )
    };
    CmakPercents {
        brokers_spread: spread.spread_percent,
        brokers_skew: spread.skew_percent,
        leader_skew: spread.leader_skew_percent,
        preferred_replicas: count(|p| p.preferred_leader() == Some(p.leader)),
        under_replicated: count(|p| p.isr.len() != p.replicas.len()),
    }
}

/// One broker's share of one topic: a row of CMAK's tables of a topic by broker, and of a broker by
/// topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicShare {
    pub broker: i32,
    /// Partitions that are to have a replica here: those that a reassignment adds don't count yet.
    pub placed: Vec<i32>,
    /// Partitions that have a replica in sync here: the ones that CMAK counts.
    pub in_sync: Vec<i32>,
    pub leaders: usize,
    /// Whether it has more in sync than CMAK's average of the brokers that have any, rounded up.
    pub is_skewed: bool,
    /// The same for what it leads.
    pub is_leader_skewed: bool,
    /// As `is_skewed`, of what is placed: a broker that died keeps its share.
    pub is_placed_skewed: bool,
}

/// Every broker's share of a topic, by id; brokers that have nothing of it are left out.
pub fn topic_shares(topic: &Topic) -> Vec<TopicShare> {
    let mut shares: BTreeMap<i32, TopicShare> = BTreeMap::new();
    for partition in &topic.partitions {
        let wanted = partition.replicas.iter();
        for id in wanted.filter(|id| !partition.adding.contains(id)) {
            shares.entry(*id).or_default().placed.push(partition.id);
        }
        for id in &*partition.isr {
            let share = shares.entry(*id).or_default();
            share.in_sync.push(partition.id);
            share.leaders += usize::from(partition.leader == *id);
        }
    }
    let n_partitions = topic.partitions.len();
    let first = topic.partitions.first();
    let factor = first.map_or(0, |partition| partition.replicas.len());
    let holders = |holds: fn(&TopicShare) -> bool| shares.values().filter(|s| holds(s)).count();
    let (in_sync, placed) = (
        holders(|share| !share.in_sync.is_empty()),
        holders(|share| !share.placed.is_empty()),
    );
    let all_placed: usize = shares.values().map(|share| share.placed.len()).sum();
    let average = (n_partitions * factor).div_ceil(in_sync.max(1));
    let average_leaders = n_partitions.div_ceil(in_sync.max(1));
    let average_placed = all_placed.div_ceil(placed.max(1));
    let named = |(broker, share): (i32, TopicShare)| TopicShare {
        broker,
        is_skewed: share.in_sync.len() > average,
        is_leader_skewed: share.leaders > average_leaders,
        is_placed_skewed: share.placed.len() > average_placed,
        ..share
    };
    shares.into_iter().map(named).collect()
}

/// The spread of a topic in a cluster of `cluster_brokers` known brokers.
pub fn topic_balance(topic: &Topic, cluster_brokers: usize) -> TopicBalance {
    let n_partitions = topic.partitions.len();
    let spread = |shares: BTreeMap<i32, (usize, usize)>| {
        let members: usize = shares.values().map(|share| share.0).sum();
        let average = members.div_ceil(shares.len().max(1));
        // A broker that died may not be known any more, and still has its replicas.
        let cluster_brokers = cluster_brokers.max(shares.len());
        spread_of(&shares, average, n_partitions, cluster_brokers)
    };
    let count = |test: fn(&Partition) -> bool| {
        percent(
            topic
                .partitions
                .iter()
                .filter(|partition| test(partition))
                .count(),
            n_partitions,
        )
    };
    TopicBalance {
        placed: spread(shares(&topic.partitions, |partition| {
            let wanted = partition
                .replicas
                .iter()
                .filter(|id| !partition.adding.contains(id));
            wanted.copied().collect()
        })),
        in_sync: spread(shares(&topic.partitions, |partition| {
            partition.isr.to_vec()
        })),
        preferred_percent: count(|p| p.preferred_leader() == Some(p.leader)),
        under_replicated_percent: count(|p| p.wanted_replicas() > p.isr.len()),
    }
}

/// Rounds half up to one decimal.
fn one_decimal(value: f64) -> f64 {
    (value * 10.0 + 0.5).floor() / 10.0
}

fn skew(count: usize, sum: usize, holders: usize, n_partitions: usize) -> Option<f64> {
    if n_partitions < SKEW_PARTITIONS_MIN || sum == 0 || holders == 0 {
        return None;
    }
    let average = sum as f64 / holders as f64;
    Some(one_decimal((count as f64 - average) / average * 100.0))
}

/// Each broker's share of all partitions, for every known broker and every one that a partition
/// names.
pub fn broker_balances(metadata: &ClusterMetadata) -> BTreeMap<i32, BrokerBalance> {
    let mut brokers: BTreeMap<i32, BrokerBalance> = metadata
        .brokers
        .iter()
        .map(|broker| (broker.id, BrokerBalance::default()))
        .collect();
    let mut n_partitions = 0;
    for partition in metadata
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter())
    {
        n_partitions += 1;
        for (at, id) in partition.replicas.iter().enumerate() {
            let broker = brokers.entry(*id).or_default();
            let in_sync = partition.isr.contains(id);
            broker.replicas += 1;
            broker.preferred_leaders += usize::from(at == 0);
            broker.leaders += usize::from(partition.leader == *id);
            broker.in_sync += usize::from(in_sync);
            broker.out_of_sync += usize::from(!in_sync && !partition.adding.contains(id));
        }
    }
    let replicas: Vec<usize> = brokers
        .values()
        .map(|b| b.replicas)
        .filter(|n| *n > 0)
        .collect();
    let leaders: Vec<usize> = brokers
        .values()
        .map(|b| b.leaders)
        .filter(|n| *n > 0)
        .collect();
    let (replica_sum, leader_sum) = (replicas.iter().sum(), leaders.iter().sum());
    for broker in brokers.values_mut() {
        broker.replica_skew_percent =
            skew(broker.replicas, replica_sum, replicas.len(), n_partitions);
        broker.leader_skew_percent = skew(broker.leaders, leader_sum, leaders.len(), n_partitions);
    }
    brokers
}

/// The cluster's balance in two numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClusterBalance {
    /// The largest deviation of any broker from the average number of replicas.
    pub worst_replica_skew_percent: Option<f64>,
    pub worst_leader_skew_percent: Option<f64>,
}

pub fn cluster_balance(brokers: &BTreeMap<i32, BrokerBalance>) -> ClusterBalance {
    let worst = |of: fn(&BrokerBalance) -> Option<f64>| {
        brokers
            .values()
            .filter_map(of)
            .map(f64::abs)
            .reduce(f64::max)
    };
    ClusterBalance {
        worst_replica_skew_percent: worst(|broker| broker.replica_skew_percent),
        worst_leader_skew_percent: worst(|broker| broker.leader_skew_percent),
    }
}
