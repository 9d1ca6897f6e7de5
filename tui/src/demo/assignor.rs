//! Kafka's range assignor: each topic's partitions in consecutive ranges over the members that
//! subscribe to it, sorted by id; the first ones get one more where it does not come out even.
//!
//! Kafka: clients/consumer/RangeAssignor.java (4.3), without racks.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::TopicAssignment;

/// Assigns partitions to members by what they subscribe to. A topic that is not in `partitions`
/// does not exist and is assigned to nobody. Every member is in the result.
pub fn range_assignment(
    subscriptions: &BTreeMap<String, Vec<Arc<str>>>,
    partitions: &BTreeMap<Arc<str>, Vec<i32>>,
) -> BTreeMap<String, Vec<TopicAssignment>> {
    let mut assignment: BTreeMap<String, Vec<TopicAssignment>> = subscriptions
        .keys()
        .map(|member| (member.clone(), Vec::new()))
        .collect();
    for (topic, ids) in partitions {
        let members: Vec<&String> = subscriptions
            .iter()
            .filter(|(_, topics)| topics.contains(topic))
            .map(|(member, _)| member)
            .collect();
        if members.is_empty() {
            continue;
        }
        let (each, more) = (ids.len() / members.len(), ids.len() % members.len());
        let mut rest = &ids[..];
        for (at, member) in members.into_iter().enumerate() {
            let (own, others) = rest.split_at(each + usize::from(at < more));
            rest = others;
            if !own.is_empty()
                && let Some(list) = assignment.get_mut(member)
            {
                list.push(TopicAssignment {
                    topic: Arc::clone(topic),
                    partitions: own.into(),
                });
            }
        }
    }
    assignment
}
