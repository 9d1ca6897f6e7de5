//! The table of the partitions that this broker hosts.
//!
//! A table is immutable; the next one shares what did not change. A topic is looked up once per
//! request by its name or id, its partitions by index.

use std::sync::Arc;

use imbl::HashMap;
use kafka_shared::error::ErrorCode;
use kafka_shared::types::Uuid;

use super::partition::Partition;

/// A place in the table.
#[derive(Debug, Clone)]
pub enum Hosted {
    Online(Arc<Partition>),
    /// The replica is assigned to this broker, but its log directory is out of service.
    Offline,
}

impl Hosted {
    /// The partition.
    ///
    /// # Errors
    /// `KAFKA_STORAGE_ERROR` when it is offline, or its log directory has failed meanwhile.
    pub fn online(&self) -> Result<Arc<Partition>, ErrorCode> {
        match self {
            Self::Online(partition) if !partition.log().dir().is_offline() => {
                Ok(Arc::clone(partition))
            }
            Self::Online(_) | Self::Offline => Err(ErrorCode::KAFKA_STORAGE_ERROR),
        }
    }
}

/// The partitions of one topic that are here.
#[derive(Debug, Clone)]
pub struct HostedTopic {
    pub id: Uuid,
    pub name: Arc<str>,
    /// Ascending by partition.
    partitions: Vec<(i32, Hosted)>,
}

impl HostedTopic {
    fn position(&self, partition: i32) -> Result<usize, usize> {
        // Where all partitions are here, a partition is its own index.
        let guess = usize::try_from(partition).unwrap_or(usize::MAX);
        match self.partitions.get(guess) {
            Some((found, _)) if *found == partition => Ok(guess),
            _ => self
                .partitions
                .binary_search_by_key(&partition, |(found, _)| *found),
        }
    }

    pub fn partition(&self, partition: i32) -> Option<&Hosted> {
        let position = self.position(partition).ok()?;
        self.partitions.get(position).map(|(_, hosted)| hosted)
    }

    /// Ascending by partition.
    pub fn partitions(&self) -> impl Iterator<Item = (i32, &Hosted)> {
        self.partitions
            .iter()
            .map(|(partition, hosted)| (*partition, hosted))
    }
}

/// See the module's documentation.
#[derive(Debug, Clone, Default)]
pub struct HostedTopics {
    by_id: HashMap<Uuid, Arc<HostedTopic>>,
    by_name: HashMap<Arc<str>, Arc<HostedTopic>>,
}

impl HostedTopics {
    pub fn by_name(&self, name: &str) -> Option<&Arc<HostedTopic>> {
        self.by_name.get(name)
    }

    pub fn by_id(&self, id: Uuid) -> Option<&Arc<HostedTopic>> {
        self.by_id.get(&id)
    }

    /// In no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<HostedTopic>> {
        self.by_id.values()
    }

    /// The partitions that are online, in no particular order.
    pub fn online_partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.iter()
            .flat_map(|topic| topic.partitions.iter())
            .filter_map(|(_, hosted)| match hosted {
                Hosted::Online(partition) => Some(partition),
                Hosted::Offline => None,
            })
    }

    /// Puts partitions of a topic into the table, in place of those with the same numbers.
    pub fn put(&mut self, id: Uuid, name: &Arc<str>, partitions: Vec<(i32, Hosted)>) {
        let mut topic = match self.by_id.get(&id) {
            Some(topic) => HostedTopic::clone(topic),
            None => HostedTopic {
                id,
                name: Arc::clone(name),
                partitions: Vec::new(),
            },
        };
        for (partition, hosted) in partitions {
            match topic.position(partition) {
                Ok(position) => topic.partitions[position].1 = hosted,
                Err(position) => topic.partitions.insert(position, (partition, hosted)),
            }
        }
        self.set(topic, true);
    }

    /// Takes a partition out; a topic without partitions goes with it.
    pub fn remove(&mut self, id: Uuid, partition: i32) -> Option<Hosted> {
        let mut topic = HostedTopic::clone(self.by_id.get(&id)?);
        let position = topic.position(partition).ok()?;
        let (_, hosted) = topic.partitions.remove(position);
        // The name may belong to a newer topic by now.
        let owns_name = self
            .by_name
            .get(&topic.name)
            .is_some_and(|named| named.id == id);
        if topic.partitions.is_empty() {
            self.by_id.remove(&id);
            if owns_name {
                self.by_name.remove(&topic.name);
            }
        } else {
            self.set(topic, owns_name);
        }
        Some(hosted)
    }

    fn set(&mut self, topic: HostedTopic, owns_name: bool) {
        let topic = Arc::new(topic);
        self.by_id.insert(topic.id, Arc::clone(&topic));
        if owns_name {
            self.by_name.insert(Arc::clone(&topic.name), topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(topic: &HostedTopic) -> Vec<i32> {
        topic.partitions().map(|(partition, _)| partition).collect()
    }

    #[test]
    fn partitions_are_found_with_and_without_gaps() {
        let (id, name) = (Uuid::from_u128(1000), Arc::from("t"));
        let mut table = HostedTopics::default();
        let offline = |numbers: &[i32]| numbers.iter().map(|n| (*n, Hosted::Offline)).collect();
        table.put(id, &name, offline(&[3, 0]));
        table.put(id, &name, offline(&[1, 3]));
        let topic = table.by_name("t").unwrap();
        assert_eq!(numbers(topic), [0, 1, 3]);
        for (partition, is_there) in [(0, true), (1, true), (2, false), (3, true), (-1, false)] {
            assert_eq!(
                topic.partition(partition).is_some(),
                is_there,
                "{partition}"
            );
        }
    }

    #[test]
    fn a_topic_leaves_with_its_last_partition_and_not_a_newer_one_of_its_name() {
        let (old, new) = (Uuid::from_u128(1000), Uuid::from_u128(2000));
        let name = Arc::from("t");
        let mut table = HostedTopics::default();
        table.put(old, &name, vec![(0, Hosted::Offline), (1, Hosted::Offline)]);
        let before = table.clone();
        table.put(new, &name, vec![(0, Hosted::Offline)]);
        assert!(table.remove(old, 0).is_some() && table.remove(old, 1).is_some());
        assert!(table.remove(old, 1).is_none() && table.by_id(old).is_none());
        assert_eq!(table.by_name("t").unwrap().id, new);
        assert_eq!(numbers(before.by_name("t").unwrap()), [0, 1]);
    }
}
