//! How partitions and assignments are written in files: lists of objects, a partition a line for
//! whoever compares two of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::TopicPartition;

#[derive(Serialize, Deserialize)]
struct Key {
    topic: String,
    partition: i32,
}

#[derive(Serialize, Deserialize)]
struct Placed {
    topic: String,
    partition: i32,
    replicas: Vec<i32>,
}

pub mod partition {
    use super::*;

    pub fn serialize<S: Serializer>(
        key: &TopicPartition,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let key = Key {
            topic: key.topic.to_string(),
            partition: key.partition,
        };
        key.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<TopicPartition, D::Error> {
        let Key { topic, partition } = Key::deserialize(deserializer)?;
        Ok(TopicPartition::new(topic, partition))
    }
}

pub mod partitions {
    use super::*;

    pub fn serialize<S: Serializer>(
        keys: &[TopicPartition],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(keys.iter().map(|key| Key {
            topic: key.topic.to_string(),
            partition: key.partition,
        }))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<TopicPartition>, D::Error> {
        let keys = Vec::<Key>::deserialize(deserializer)?;
        let key = |key: Key| TopicPartition::new(key.topic, key.partition);
        Ok(keys.into_iter().map(key).collect())
    }
}

pub mod assignment {
    use super::*;
    use crate::model::Assignment;

    pub fn serialize<S: Serializer>(
        assignment: &Assignment,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(assignment.iter().map(|(key, replicas)| Placed {
            topic: key.topic.to_string(),
            partition: key.partition,
            replicas: replicas.clone(),
        }))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Assignment, D::Error> {
        let placed = Vec::<Placed>::deserialize(deserializer)?;
        let entry = |one: Placed| (TopicPartition::new(one.topic, one.partition), one.replicas);
        Ok(placed.into_iter().map(entry).collect())
    }
}
