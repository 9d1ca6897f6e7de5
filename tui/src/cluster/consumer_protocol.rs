//! What consumers of classic groups write into the group protocol, in the model's types.
//!
//! Kafka: clients/consumer/internals/ConsumerProtocol.java (4.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_shared::schema::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolPartitions, ConsumerProtocolSubscription,
};
use kafka_shared::schema::{Schema, SchemaError};

use crate::model::TopicAssignment;

/// The version that every member of every group understands.
const VERSION: i16 = 0;

/// What a member asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    pub topics: Vec<Arc<str>>,
    pub rack: Option<Arc<str>>,
}

/// Reads a subscription.
///
/// # Errors
/// When the bytes are none: any client may write anything there.
pub fn decode_subscription(bytes: &[u8]) -> Result<Subscription, SchemaError> {
    let (_, subscription) = ConsumerProtocolSubscription::parse(bytes)?;
    Ok(Subscription {
        topics: subscription
            .topics
            .iter()
            .map(|topic| Arc::from(topic.as_str()))
            .collect(),
        rack: subscription.rack_id.as_deref().map(Arc::from),
    })
}

/// Reads an assignment: partitions by topic, sorted. No bytes are no partitions, since members
/// that wait for their first assignment have none.
///
/// # Errors
/// When the bytes are none.
pub fn decode_assignment(bytes: &[u8]) -> Result<Vec<TopicAssignment>, SchemaError> {
    let (_, assignment) = ConsumerProtocolAssignment::parse(bytes)?;
    let mut sorted: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for owned in assignment.assigned_partitions {
        sorted
            .entry(owned.topic)
            .or_default()
            .extend(owned.partitions);
    }
    let topics = sorted.into_iter().map(|(topic, mut partitions)| {
        partitions.sort_unstable();
        TopicAssignment {
            topic: Arc::from(topic),
            partitions: partitions.into(),
        }
    });
    Ok(topics.collect())
}

/// Writes a subscription.
///
/// # Errors
/// When a name is too long to be a topic's.
pub fn encode_subscription(topics: &[String]) -> Result<Vec<u8>, SchemaError> {
    let subscription = ConsumerProtocolSubscription {
        topics: topics.to_vec(),
        ..Default::default()
    };
    subscription.encode_versioned(VERSION)
}

/// Writes an assignment.
///
/// # Errors
/// When a name is too long to be a topic's.
pub fn encode_assignment(assignment: &[TopicAssignment]) -> Result<Vec<u8>, SchemaError> {
    let partitions = |owned: &TopicAssignment| ConsumerProtocolPartitions {
        topic: owned.topic.to_string(),
        partitions: owned.partitions.to_vec(),
    };
    let assigned_partitions = assignment.iter().map(partitions).collect();
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions,
        ..Default::default()
    };
    assignment.encode_versioned(VERSION)
}
