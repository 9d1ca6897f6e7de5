//! A replica manager on a temporary folder, for tests of this module and of the data plane's APIs,
//! and for their benchmark.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::time::MockClock;
use kafka_shared::types::Uuid;
use parking_lot::Mutex;

use super::{Partition, ReplicaManager, ReplicaManagerConfig};
use crate::log::LogConfig;
use crate::log::manager::{LogManager, LogManagerConfig};
use crate::log::meta_properties::MetaProperties;
use crate::metadata::topics::TopicImage;
use crate::metadata::{
    BrokerRegistration, ConfigResource, LeaderRecoveryState, ListenerEndpoint, MetadataDelta,
    MetadataHandle, MetadataImage, PartitionRegistration,
};

/// The broker under test.
pub const NODE: i32 = 1;
/// The wall clock's first reading.
pub const NOW_MS: i64 = 1_700_000_000_000;

/// One broker, its metadata under the test's control.
pub struct World {
    pub replicas: Arc<ReplicaManager>,
    pub metadata: MetadataHandle,
    pub clock: Arc<MockClock>,
    configs: Arc<Mutex<HashMap<String, LogConfig>>>,
    /// The log directories, below the folder; none for the folder itself.
    dirs: Vec<&'static str>,
    dir: tempfile::TempDir,
}

/// The id of a log directory in these tests, counted from 0.
pub fn directory_id(number: usize) -> Uuid {
    Uuid::from_u128(0xd000 + number as u128)
}

/// The id of a topic in these tests.
pub fn topic_id(name: &str) -> Uuid {
    let bytes = name
        .bytes()
        .fold(1000u128, |id, byte| id << 8 | u128::from(byte));
    Uuid::from_u128(bytes)
}

/// One partition's registration: node 1 and perhaps others hold it.
pub fn registration(leader: i32, epoch: i32, replicas: &[i32]) -> PartitionRegistration {
    PartitionRegistration {
        replicas: replicas.into(),
        directories: replicas.iter().map(|_| Uuid::from_u128(1)).collect(),
        isr: [leader].into(),
        removing_replicas: [].into(),
        adding_replicas: [].into(),
        elr: [].into(),
        last_known_elr: [].into(),
        leader,
        leader_recovery_state: LeaderRecoveryState::Recovered,
        leader_epoch: epoch,
        partition_epoch: epoch,
    }
}

impl World {
    pub fn start() -> Self {
        Self::start_on(Vec::new())
    }

    /// On several log directories, with the ids of [`directory_id`].
    pub fn start_on(dirs: Vec<&'static str>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for (number, name) in dirs.iter().enumerate() {
            let path = dir.path().join(name);
            std::fs::create_dir_all(&path).expect("a new folder");
            MetaProperties::new("cluster", NODE, directory_id(number))
                .write(&path)
                .expect("a new file");
        }
        let world = Self::on(dir, dirs, MetadataImage::default());
        world.register_broker(NODE, "kafka1");
        world
    }

    /// Ends the broker as a crash does, lets `change` happen meanwhile, and starts another one.
    pub fn crash(self, change: impl FnOnce(&std::path::Path, &mut MetadataImage)) -> Self {
        let mut image = MetadataImage::clone(&self.metadata.image());
        let Self {
            replicas,
            dir,
            dirs,
            ..
        } = self;
        replicas.logs().abandon();
        change(dir.path(), &mut image);
        Self::on(dir, dirs, image)
    }

    /// Stops the broker in order and starts another one on its folder, under the same metadata.
    pub fn restart(self) -> Self {
        self.restart_after(|_| {})
    }

    /// [`Self::restart`], with a change of the metadata while the broker is down.
    pub fn restart_after(self, change: impl FnOnce(&mut MetadataImage)) -> Self {
        let mut image = MetadataImage::clone(&self.metadata.image());
        change(&mut image);
        let Self {
            replicas,
            dir,
            dirs,
            ..
        } = self;
        replicas.logs().shutdown(1);
        drop(replicas);
        Self::on(dir, dirs, image)
    }

    fn on(dir: tempfile::TempDir, dirs: Vec<&'static str>, image: MetadataImage) -> Self {
        let clock = Arc::new(MockClock::new(NOW_MS));
        let mut log_dirs: Vec<_> = dirs.iter().map(|name| dir.path().join(name)).collect();
        if log_dirs.is_empty() {
            log_dirs.push(dir.path().to_owned());
        }
        let config = LogManagerConfig::new(log_dirs);
        let logs = LogManager::open(config, clock.clone()).expect("a folder that nobody uses");
        logs.load_logs_placed(&|_| Arc::default(), &|tp| {
            image
                .topics
                .partition(&tp.topic, tp.partition)?
                .directory(NODE)
        });
        let metadata = MetadataHandle::new(image);
        let configs: Arc<Mutex<HashMap<String, LogConfig>>> = Arc::default();
        let topic_configs = Arc::clone(&configs);
        let replicas = Arc::new(ReplicaManager::new(
            ReplicaManagerConfig {
                node_id: NODE,
                ..Default::default()
            },
            logs,
            metadata.clone(),
            Box::new(move |_, topic| topic_configs.lock().get(topic).cloned().unwrap_or_default()),
            clock.clone(),
        ));
        metadata.add_publisher(replicas.clone());
        Self {
            replicas,
            metadata,
            clock,
            configs,
            dirs,
            dir,
        }
    }

    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Publishes the image as `change` leaves it.
    pub fn publish(&self, change: impl FnOnce(&mut MetadataImage)) {
        let base = self.metadata.image();
        let mut next = MetadataImage::clone(&base);
        change(&mut next);
        next.provenance.last_contained_offset += 1;
        let delta = MetadataDelta::between(&base, &next);
        self.metadata.publish(&delta, Arc::new(next));
    }

    /// Makes a topic whose partitions node 1 leads alone.
    pub fn create_topic(&self, name: &str, n_partitions: i32) {
        for partition in 0..n_partitions {
            self.register(name, partition, registration(NODE, 0, &[NODE]));
        }
    }

    pub fn register(&self, name: &str, partition: i32, registration: PartitionRegistration) {
        self.publish(|image| {
            let id = topic_id(name);
            let mut topic = match image.topics.by_id(id) {
                Some(topic) => TopicImage::clone(topic),
                None => TopicImage::new(id, name.into()),
            };
            topic.insert(partition, Arc::new(registration));
            image.topics.insert(topic);
        });
    }

    pub fn delete_topic(&self, name: &str) {
        self.publish(|image| {
            image.topics.remove(topic_id(name));
        });
    }

    /// Registers a broker with one listener.
    pub fn register_broker(&self, id: i32, host: &str) {
        self.publish(|image| {
            let broker = BrokerRegistration {
                id,
                epoch: 50,
                incarnation_id: Uuid::from_u128(7000),
                listeners: vec![ListenerEndpoint {
                    name: "PLAINTEXT".into(),
                    host: host.into(),
                    port: 9092,
                    security_protocol: 0,
                }],
                features: Default::default(),
                rack: Some("r1".into()),
                fenced: false,
                in_controlled_shutdown: false,
                directories: Vec::new(),
                cordoned_directories: None,
            };
            image.cluster.brokers.insert(id, Arc::new(broker));
        });
    }

    /// Gives a topic settings, through a change of its configuration.
    pub fn configure(&self, topic: &str, config: LogConfig) {
        self.configs.lock().insert(topic.to_owned(), config);
        self.publish(|image| {
            let value = self.metadata.image().offset().to_string();
            let resource = ConfigResource::topic(topic);
            let old = image
                .configs
                .value(&resource, "test")
                .map(|old| old.len())
                .unwrap_or(0);
            image.configs.set(
                &resource,
                "test",
                Some(&format!("{value}{}", "x".repeat(old + 1))),
            );
        });
    }

    pub fn partition(&self, topic: &str, partition: i32) -> Arc<Partition> {
        self.replicas
            .partition(topic, partition)
            .expect("a partition of this test")
    }
}

/// A batch of records with these values, all of the time [`NOW_MS`].
pub fn batch(values: &[&str]) -> Bytes {
    batch_of(BatchBuilder::new(), values)
}

/// [`batch`] with a builder's settings.
pub fn batch_of(mut builder: BatchBuilder, values: &[&str]) -> Bytes {
    for value in values {
        builder
            .append(NOW_MS, None, Some(value.as_bytes()), &[])
            .expect("a small record");
    }
    builder.build()
}
