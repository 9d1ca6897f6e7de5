//! What topics and their partitions went through: created, deleted, led by another, out of sync.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Told, ids, named, plural, seconds};
use crate::model::{
    Absences, ClusterMetadata, Partition, Subject, Taken, Topic, TopicPartition, Weight,
};

/// What partitions went through together.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    LeaderLost { from: i32 },
    LeaderMoved { from: i32, to: i32 },
    LeaderFound { to: i32 },
    OutOfSync { replica: i32 },
    InSync { replica: i32 },
    Replicas { from: Vec<i32>, to: Vec<i32> },
}

/// Partitions by turn, with the longest time away where there is one.
type Turns = BTreeMap<Turn, (Vec<TopicPartition>, Option<i64>)>;

pub(super) fn topics(
    before: &ClusterMetadata,
    now: &ClusterMetadata,
    absences: &mut Absences,
    told: &mut Told,
) {
    let mut turns = Turns::new();
    let mut is_changed = false;
    for topic in &now.topics {
        match before.topic(&topic.name) {
            None => {
                let (n, factor) = (topic.partitions.len(), topic.replication_factor());
                let text = format!(
                    "topic {} was created: {}, replication factor {factor}",
                    topic.name,
                    plural(n, "partition")
                );
                told.add(Weight::Info, Subject::Topic(Arc::clone(&topic.name)), text);
            }
            Some(old) if Arc::ptr_eq(old, topic) => {}
            Some(old) => {
                is_changed = true;
                one_topic(old, topic, absences, &mut turns, told);
            }
        }
    }
    for topic in &before.topics {
        if now.topic(&topic.name).is_none() {
            is_changed = true;
            let text = format!("topic {} was deleted", topic.name);
            told.add(
                Weight::Warning,
                Subject::Topic(Arc::clone(&topic.name)),
                text,
            );
        }
    }
    if is_changed {
        absences.retain(|key, replica| {
            let topic = now.topic(&key.topic);
            let partition = topic.and_then(|topic| topic.partition(key.partition));
            partition.is_some_and(|p| p.replicas.contains(&replica) && !p.isr.contains(&replica))
        });
    }
    for (turn, (partitions, away_ms)) in turns {
        tell_turn(&turn, partitions, away_ms, told);
    }
}

fn one_topic(
    old: &Topic,
    new: &Topic,
    absences: &mut Absences,
    turns: &mut Turns,
    told: &mut Told,
) {
    let subject = || Subject::Topic(Arc::clone(&new.name));
    if let (Some(a), Some(b)) = (old.id, new.id)
        && a != b
    {
        let text = format!("topic {} was deleted and created anew", new.name);
        return told.add(Weight::Warning, subject(), text);
    }
    let (n_old, n_new) = (old.partitions.len(), new.partitions.len());
    if n_new > n_old && n_old > 0 {
        let text = format!(
            "topic {}: {n_old} → {}",
            new.name,
            plural(n_new, "partition")
        );
        told.add(Weight::Info, subject(), text);
    }
    for partition in &new.partitions {
        if let Some(before) = old.partition(partition.id)
            && before != partition
        {
            let key = TopicPartition {
                topic: Arc::clone(&new.name),
                partition: partition.id,
            };
            one_partition(&key, before, partition, absences, turns, told.at);
        }
    }
}

fn one_partition(
    key: &TopicPartition,
    old: &Partition,
    new: &Partition,
    absences: &mut Absences,
    turns: &mut Turns,
    at: Taken,
) {
    // An answer that failed for this partition says nothing about its replicas.
    if new.replicas.is_empty() || old.replicas.is_empty() {
        return;
    }
    let mut turn = |turn: Turn, away_ms: Option<i64>| {
        let (partitions, longest) = turns.entry(turn).or_default();
        partitions.push(key.clone());
        *longest = (*longest).max(away_ms);
    };
    match (old.has_leader(), new.has_leader()) {
        (true, false) => turn(Turn::LeaderLost { from: old.leader }, None),
        (false, true) => turn(Turn::LeaderFound { to: new.leader }, None),
        (true, true) if old.leader != new.leader => {
            let (from, to) = (old.leader, new.leader);
            turn(Turn::LeaderMoved { from, to }, None);
        }
        _ => {}
    }
    for replica in &*new.replicas {
        // One that a reassignment adds has never been in sync.
        match (old.isr.contains(replica), new.isr.contains(replica)) {
            (true, false) => {
                absences.begin(key, *replica, at);
                turn(Turn::OutOfSync { replica: *replica }, None);
            }
            (false, true) if old.replicas.contains(replica) && !old.adding.contains(replica) => {
                let away_ms = absences.end(key, *replica, at);
                turn(Turn::InSync { replica: *replica }, away_ms);
            }
            _ => {}
        }
    }
    let is_moving = old.is_reassigning() || new.is_reassigning();
    if old.replicas != new.replicas && !is_moving {
        let (from, to) = (old.replicas.to_vec(), new.replicas.to_vec());
        turn(Turn::Replicas { from, to }, None);
    }
}

fn tell_turn(turn: &Turn, partitions: Vec<TopicPartition>, away_ms: Option<i64>, told: &mut Told) {
    let what = named(&partitions);
    let subject = match &partitions[..] {
        [one] => Some(Subject::Topic(Arc::clone(&one.topic))),
        _ => None,
    };
    let of = |broker: i32| subject.clone().unwrap_or(Subject::Broker(broker));
    let (weight, subject, text) = match turn {
        Turn::LeaderLost { from } => (
            Weight::Bad,
            of(*from),
            format!("{what}: no leader any more, it was {from}"),
        ),
        Turn::LeaderMoved { from, to } => (
            Weight::Info,
            of(*to),
            format!("{what}: leader {from} → {to}"),
        ),
        Turn::LeaderFound { to } => (
            Weight::Good,
            of(*to),
            format!("{what}: has a leader again, {to}"),
        ),
        Turn::OutOfSync { replica } => (
            Weight::Warning,
            of(*replica),
            format!("{what}: replica {replica} fell out of sync"),
        ),
        Turn::InSync { replica } => {
            let after = away_ms.map_or(String::new(), |ms| {
                let most = if partitions.len() > 1 { "up to " } else { "" };
                format!(" after {most}{}", seconds(ms))
            });
            let text = format!("{what}: replica {replica} is back in sync{after}");
            (Weight::Good, of(*replica), text)
        }
        Turn::Replicas { from, to } => (
            Weight::Info,
            of(to.first().copied().unwrap_or(-1)),
            format!("{what}: replicas {} → {}", ids(from), ids(to)),
        ),
    };
    told.add_of(weight, subject, text, partitions);
}
