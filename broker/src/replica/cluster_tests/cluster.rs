//! Several brokers' replicas in one process: real logs, real replica managers, a real controller's
//! decisions; the network between them is function calls that can be cut, and metadata reaches each
//! broker in its own time.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use kafka_protocol::messages::broker_registration_request::{Feature, Listener};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::{
    AlterPartitionRequest, AlterPartitionResponse, AssignReplicasToDirsRequest,
    AssignReplicasToDirsResponse, BrokerHeartbeatRequest, BrokerId, BrokerRegistrationRequest,
    CreateTopicsRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::record::batch::batches;
use kafka_shared::record::iter::records;
use kafka_shared::schema::metadata::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionChangeRecord,
};
use kafka_shared::task;
use kafka_shared::time::{Clock, SystemClock};
use kafka_shared::types::Uuid;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::controller::config::ControllerConfig;
use crate::controller::heartbeat::Heartbeats;
use crate::controller::random::Random;
use crate::controller::state::{Cx, Outcome, QuorumController};
use crate::controller::testing::{CLUSTER_ID, TestValidator};
use crate::log::manager::{LogManager, LogManagerConfig};
use crate::log::{AppendOrigin, LogConfig};
use crate::metadata::features::SUPPORTED;
use crate::metadata::{
    ConfigResource, MetadataDelta, MetadataHandle, MetadataImage, MetadataPublisher,
    PartitionRegistration,
};
use crate::replica::append::{AppendEntry, Appended};
use crate::replica::fetcher::FetcherConfig;
use crate::replica::replication::{Replication, ReplicationChannel};
use crate::replica::{Partition, ReplicaManager, ReplicaManagerConfig, testing};

use super::network::{Hub, LoopLinks};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn directory(node: i32) -> Uuid {
    Uuid::from_u128(5_000 + node.unsigned_abs() as u128)
}

struct ControllerState {
    controller: QuorumController,
    heartbeats: Heartbeats,
    random: RefCell<Random>,
    next_offset: i64,
    now_ms: i64,
    incarnations: u128,
}

/// The active controller, and the metadata log in the form of the newest image.
pub struct TestController {
    state: Mutex<ControllerState>,
    images: watch::Sender<Arc<MetadataImage>>,
    /// Of a hundred answers to AlterPartition, how many get lost.
    lost_answers: Mutex<(Random, usize)>,
}

impl TestController {
    fn new(seed: u64) -> Self {
        let config = ControllerConfig {
            cluster_id: CLUSTER_ID.into(),
            ..Default::default()
        };
        let image = Arc::new(MetadataImage::default());
        let validator = Arc::new(TestValidator);
        let controller = Self {
            state: Mutex::new(ControllerState {
                controller: QuorumController::new(config.into(), validator, Arc::clone(&image)),
                heartbeats: Heartbeats::new(&image, 100, 9_000, 0),
                random: RefCell::new(Random::new(u128::from(seed))),
                next_offset: 0,
                now_ms: 0,
                incarnations: 0,
            }),
            images: watch::Sender::new(image),
            lost_answers: Mutex::new((Random::new(u128::from(seed) + 1), 0)),
        };
        let level = |name: &str, feature_level| {
            let name = name.into();
            MetadataRecord::from(FeatureLevelRecord {
                name,
                feature_level,
            })
        };
        controller.apply(
            &mut controller.state.lock(),
            &[
                level("metadata.version", 30),
                level("eligible.leader.replicas.version", 1),
            ],
        );
        controller
    }

    fn apply(&self, state: &mut ControllerState, records: &[MetadataRecord]) {
        let base_offset = state.next_offset;
        let ControllerState {
            controller,
            heartbeats,
            ..
        } = state;
        controller.replay(base_offset, records, heartbeats).unwrap();
        state.next_offset += records.len() as i64;
        self.images
            .send_replace(Arc::clone(state.controller.image()));
    }

    pub fn decide<T>(
        &self,
        decide: impl FnOnce(&QuorumController, &Cx<'_>, &mut Heartbeats) -> Result<Outcome<T>, ApiError>,
    ) -> Result<T, ApiError> {
        let mut state = self.state.lock();
        let ControllerState {
            controller,
            heartbeats,
            random,
            next_offset,
            now_ms,
            ..
        } = &mut *state;
        let cx = Cx {
            now_ms: *now_ms,
            next_offset: *next_offset,
            random,
            is_forwarded: true,
            kraft_version: 1,
        };
        let outcome = decide(controller, &cx, heartbeats)?;
        self.apply(&mut state, &outcome.records);
        Ok(outcome.response)
    }

    pub fn image(&self) -> Arc<MetadataImage> {
        self.images.borrow().clone()
    }

    pub fn write(&self, record: impl Into<MetadataRecord>) {
        self.apply(&mut self.state.lock(), &[record.into()]);
    }

    /// Registers a broker anew; returns its epoch.
    fn register(&self, id: i32, previous_broker_epoch: i64, rack: Option<&str>) -> i64 {
        let incarnation = {
            let mut state = self.state.lock();
            state.incarnations += 1;
            // The session of its last life is over.
            state.now_ms += 10_000;
            state.incarnations
        };
        let feature = |feature: &crate::metadata::features::Feature| {
            Feature::default()
                .with_name(text(feature.name))
                .with_min_supported_version(feature.supported.min)
                .with_max_supported_version(feature.supported.max)
        };
        let listener = Listener::default()
            .with_name(text("PLAINTEXT"))
            .with_host(text("memory"))
            .with_port(u16::try_from(id).unwrap());
        let request = BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(id))
            .with_cluster_id(text(CLUSTER_ID))
            .with_incarnation_id(Uuid::from_u128(9_000 + incarnation))
            .with_listeners(vec![listener])
            .with_features(SUPPORTED.iter().map(feature).collect())
            .with_rack(rack.map(text))
            .with_log_dirs(vec![directory(id)])
            .with_previous_broker_epoch(previous_broker_epoch);
        self.decide(|controller, cx, heartbeats| {
            controller.register_broker(cx, heartbeats, &request)
        })
        .unwrap()
        .broker_epoch
    }

    fn heartbeat(&self, id: i32, offset: i64, want_fence: bool) -> bool {
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(id))
            .with_broker_epoch(self.image().cluster.broker_epoch(id))
            .with_current_metadata_offset(offset)
            .with_want_fence(want_fence);
        self.decide(|controller, cx, heartbeats| {
            controller.broker_heartbeat(cx, heartbeats, &request)
        })
        .unwrap()
        .is_fenced
    }

    /// Makes one of the replicas the leader, as an election would.
    pub fn elect(&self, topic: &str, partition: i32, leader: i32) {
        let image = self.image();
        let record = PartitionChangeRecord {
            partition_id: partition,
            topic_id: image.topics.id_of(topic).unwrap(),
            leader,
            ..Default::default()
        };
        self.write(record);
    }

    pub fn registration(&self, topic: &str, partition: i32) -> Arc<PartitionRegistration> {
        let image = self.image();
        Arc::clone(image.topics.partition(topic, partition).unwrap())
    }

    pub fn lose_answers(&self, percent: usize) {
        self.lost_answers.lock().1 = percent;
    }
}

struct Channel(Arc<TestController>);

impl ReplicationChannel for Channel {
    fn alter_partition(
        &self,
        request: AlterPartitionRequest,
    ) -> BoxFuture<'_, AlterPartitionResponse> {
        Box::pin(async move {
            let of_error =
                |code: ErrorCode| AlterPartitionResponse::default().with_error_code(code.0);
            tokio::time::sleep(Duration::from_millis(2)).await;
            let answer = self
                .0
                .decide(|controller, _, _| controller.alter_partition(&request));
            let is_lost = {
                let (random, percent) = &mut *self.0.lost_answers.lock();
                random.below(100) < *percent
            };
            match answer {
                _ if is_lost => of_error(ErrorCode::REQUEST_TIMED_OUT),
                Ok(response) => response,
                Err(error) => of_error(error.code),
            }
        })
    }

    fn assign_replicas_to_dirs(
        &self,
        request: AssignReplicasToDirsRequest,
    ) -> BoxFuture<'_, AssignReplicasToDirsResponse> {
        Box::pin(async move {
            self.0
                .decide(|controller, _, _| controller.assign_replicas_to_dirs(&request))
                .unwrap_or_else(|error| {
                    AssignReplicasToDirsResponse::default().with_error_code(error.code.0)
                })
        })
    }
}

/// Tells the replicas of new metadata without keeping them alive.
struct Publisher(std::sync::Weak<ReplicaManager>);

impl MetadataPublisher for Publisher {
    fn name(&self) -> &'static str {
        "replicas"
    }

    fn on_metadata_update(&self, delta: &MetadataDelta, image: &Arc<MetadataImage>) {
        if let Some(replicas) = self.0.upgrade() {
            replicas.on_metadata_update(delta, image);
        }
    }
}

/// A running broker.
struct Node {
    replicas: Arc<ReplicaManager>,
    metadata: MetadataHandle,
    feed: tokio::task::JoinHandle<()>,
    gone: CancellationToken,
}

/// See the module's documentation.
pub struct Cluster {
    pub controller: Arc<TestController>,
    pub hub: Arc<Hub>,
    nodes: Mutex<BTreeMap<i32, Node>>,
    dirs: BTreeMap<i32, tempfile::TempDir>,
    clock: Arc<dyn Clock>,
    fetch_max_bytes: i32,
    log_config: LogConfig,
    lag_max_ms: i64,
    /// The longest time that a change of the metadata takes to a broker.
    metadata_delay_ms: usize,
}

impl Cluster {
    /// Starts nodes 1 to `n_nodes`.
    pub async fn start(n_nodes: i32, seed: u64, log_config: LogConfig) -> Self {
        let clock = Arc::new(SystemClock::new());
        Self::start_with(n_nodes, seed, log_config, clock, 1 << 20).await
    }

    /// Starts nodes that go by the clock and fetch at most so many bytes at once.
    pub async fn start_with(
        n_nodes: i32,
        seed: u64,
        log_config: LogConfig,
        clock: Arc<dyn Clock>,
        fetch_max_bytes: i32,
    ) -> Self {
        let cluster = Self {
            controller: Arc::new(TestController::new(seed)),
            hub: Arc::default(),
            nodes: Mutex::default(),
            dirs: (1..=n_nodes)
                .map(|id| (id, tempfile::tempdir().unwrap()))
                .collect(),
            clock,
            fetch_max_bytes,
            log_config,
            lag_max_ms: 400,
            metadata_delay_ms: 10,
        };
        for id in 1..=n_nodes {
            cluster.start_node(id, -1).await;
        }
        cluster
    }

    pub fn dir(&self, id: i32) -> &Path {
        self.dirs[&id].path()
    }

    /// Starts a node on its folder; it is unfenced when this returns.
    pub async fn start_node(&self, id: i32, previous_broker_epoch: i64) {
        let clock = Arc::clone(&self.clock);
        let logs = {
            let config = LogManagerConfig::new(vec![self.dir(id).to_owned()]);
            let logs = LogManager::open(config, Arc::clone(&clock)).expect("the folder is free");
            logs.load_logs(&|_| Arc::default());
            logs
        };
        let metadata = MetadataHandle::default();
        let log_config = self.log_config.clone();
        let replicas = Arc::new(ReplicaManager::new(
            ReplicaManagerConfig {
                node_id: id,
                replica_lag_time_max_ms: self.lag_max_ms,
                fetcher: FetcherConfig {
                    backoff_ms: 30,
                    wait_max_ms: 50,
                    max_bytes: self.fetch_max_bytes,
                    ..FetcherConfig::default()
                },
                replica_selector: crate::replica::preferred::ReplicaSelector::RackAware,
                ..Default::default()
            },
            logs,
            metadata.clone(),
            Box::new(move |image: &MetadataImage, topic: &str| {
                let key = "min.insync.replicas";
                let set = image.configs.value(&ConfigResource::topic(topic), key);
                LogConfig {
                    min_insync_replicas: set.map_or(1, |value| value.parse().unwrap()),
                    ..log_config.clone()
                }
            }),
            clock,
        ));
        metadata.add_publisher(Arc::new(Publisher(Arc::downgrade(&replicas))));
        let rack = format!("rack{id}");
        let epoch = self
            .controller
            .register(id, previous_broker_epoch, Some(&rack));
        let registered_offset = self.controller.image().offset();
        replicas.start_replication(Replication {
            channel: Arc::new(Channel(Arc::clone(&self.controller))),
            broker_epoch: Arc::new(move || epoch),
            links: Some(Arc::new(LoopLinks {
                hub: Arc::clone(&self.hub),
                from: id,
            })),
        });
        let (images, handle) = (self.controller.images.subscribe(), metadata.clone());
        let delay_ms = self.metadata_delay_ms;
        let random = Random::new(u128::try_from(epoch).unwrap());
        let gone = CancellationToken::new();
        let node = Node {
            replicas: Arc::clone(&replicas),
            metadata: metadata.clone(),
            feed: task::spawn("feed", feed(images, handle, random, delay_ms)),
            gone: gone.clone(),
        };
        self.nodes.lock().insert(id, node);
        metadata
            .wait_for_offset(registered_offset, Duration::from_secs(30))
            .await
            .unwrap();
        self.hub.add(id, replicas, gone);
        assert!(
            !self
                .controller
                .heartbeat(id, metadata.applied_offset(), false)
        );
    }

    /// Ends a node as `kill -9` does: its files stay as they are. The controller fences it.
    pub async fn kill(&self, id: i32) {
        self.hub.remove(id);
        let node = self.nodes.lock().remove(&id).unwrap();
        node.gone.cancel();
        node.feed.abort();
        drop(node.feed.await);
        node.replicas.stop_replication().await;
        let left = Arc::downgrade(&node.replicas);
        drop((node.replicas, node.metadata));
        self.controller.heartbeat(id, 0, true);
        until("nobody uses the killed node", || left.upgrade().is_none()).await;
    }

    /// Ends a node in order, without controlled shutdown; returns its broker epoch.
    pub async fn stop(&self, id: i32) -> i64 {
        let epoch = self.controller.image().cluster.broker_epoch(id);
        let logs = Arc::clone(self.replicas(id).unwrap().logs());
        self.kill(id).await;
        assert!(logs.shutdown(epoch));
        epoch
    }

    pub fn metadata(&self, id: i32) -> MetadataHandle {
        self.nodes.lock()[&id].metadata.clone()
    }

    /// Sets or removes a topic's or broker's setting.
    pub fn configure(&self, resource: &ConfigResource, key: &str, value: Option<&str>) {
        self.controller.write(ConfigRecord {
            resource_type: resource.resource_type.id(),
            resource_name: resource.name.to_string(),
            name: key.to_owned(),
            value: value.map(str::to_owned),
        });
    }

    pub fn ids(&self) -> Vec<i32> {
        self.dirs.keys().copied().collect()
    }

    pub fn replicas(&self, id: i32) -> Option<Arc<ReplicaManager>> {
        self.nodes
            .lock()
            .get(&id)
            .map(|node| Arc::clone(&node.replicas))
    }

    pub fn partition(&self, id: i32, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        self.replicas(id)?.partition(topic, partition).ok()
    }

    /// Creates a topic with one partition per list of replicas.
    pub fn create_topic(&self, name: &str, min_isr: i32, assignments: &[&[i32]]) {
        let assign = |(idx, replicas): (i32, &&[i32])| {
            CreatableReplicaAssignment::default()
                .with_partition_index(idx)
                .with_broker_ids(replicas.iter().copied().map(BrokerId).collect())
        };
        let config = CreatableTopicConfig::default()
            .with_name(text("min.insync.replicas"))
            .with_value(Some(text(&min_isr.to_string())));
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments((0..).zip(assignments).map(assign).collect())
            .with_configs(vec![config]);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let response = self
            .controller
            .decide(|controller, cx, _| controller.create_topics(cx, &request))
            .unwrap();
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
    }

    /// Appends to the replica on one node.
    pub async fn append(
        &self,
        id: i32,
        topic: &str,
        partition: i32,
        acks: i16,
        records: Bytes,
    ) -> Appended {
        let (Some(replicas), Some(gone)) = (
            self.replicas(id),
            self.nodes.lock().get(&id).map(|node| node.gone.clone()),
        ) else {
            return Appended::of_error(ErrorCode::NETWORK_EXCEPTION);
        };
        let entries = [AppendEntry {
            partition: replicas.partition(topic, partition),
            records,
        }];
        let timeout = Duration::from_millis(300);
        tokio::select! {
            mut appended = replicas.append_records(acks, timeout, AppendOrigin::Client, &entries) => {
                appended.remove(0)
            }
            () = gone.cancelled() => Appended::of_error(ErrorCode::NETWORK_EXCEPTION),
        }
    }

    /// Waits until all replicas of a partition run, are in sync and have the same committed log.
    pub async fn settled(&self, topic: &str, partition: i32) {
        let what = || {
            let registration = self.controller.registration(topic, partition);
            let ends = |id: i32| {
                let partition = self.partition(id, topic, partition)?;
                let log = partition.log();
                let state = partition.with_state(|state| format!("{state:?}"));
                Some((id, log.log_end_offset(), log.high_watermark(), state))
            };
            let ends: Vec<_> = self.ids().into_iter().map(ends).collect();
            format!("{topic}-{partition} settles: {registration:?} {ends:#?}")
        };
        until(what, || {
            let registration = self.controller.registration(topic, partition);
            let ends: HashSet<(i64, i64)> = registration
                .replicas
                .iter()
                .map(|id| match self.partition(*id, topic, partition) {
                    Some(partition) => {
                        let log = partition.log();
                        (log.log_end_offset(), log.high_watermark())
                    }
                    None => (-1, -2),
                })
                .collect();
            registration.isr.len() == registration.replicas.len()
                && ends.len() == 1
                && ends.iter().all(|(end, hw)| end == hw)
        })
        .await;
    }

    /// The bytes of all segments of a replica, in order.
    pub fn log_bytes(&self, id: i32, topic: &str, partition: i32) -> Vec<u8> {
        let folder = self.dir(id).join(format!("{topic}-{partition}"));
        let mut segments: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        segments.sort();
        segments
            .iter()
            .flat_map(|path| std::fs::read(path).unwrap())
            .collect()
    }
}

/// Brings the newest metadata to a node, some time after it was decided; steps in between may be
/// left out, as they are when a loader has fallen behind.
async fn feed(
    mut images: watch::Receiver<Arc<MetadataImage>>,
    metadata: MetadataHandle,
    mut random: Random,
    delay_ms: usize,
) {
    images.mark_changed();
    while images.changed().await.is_ok() {
        let delay_ms = random.below(delay_ms + 1) as u64;
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        let next = images.borrow_and_update().clone();
        let base = metadata.image();
        if next.offset() > base.offset() {
            metadata.publish(&MetadataDelta::between(&base, &next), next);
        }
    }
}

/// What is waited for, in words.
pub trait What {
    fn what(&self) -> String;
}

impl What for &str {
    fn what(&self) -> String {
        (*self).to_owned()
    }
}

impl<F: Fn() -> String> What for F {
    fn what(&self) -> String {
        self()
    }
}

/// Waits for a condition, at most for half a minute.
pub async fn until(what: impl What, condition: impl Fn() -> bool) {
    let check = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), check).await;
    assert!(waited.is_ok(), "in time: {}", what.what());
}

/// Offset and value of each record in a log's bytes.
pub fn values(bytes: &[u8]) -> Vec<(i64, String)> {
    let mut values = Vec::new();
    for batch in batches(bytes) {
        let batch = batch.unwrap();
        batch.check_crc().unwrap();
        for record in records(&batch, 1 << 20).unwrap().iter() {
            let record = record.unwrap();
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            values.push((record.offset, value));
        }
    }
    values
}

/// A batch of one record.
pub fn one(value: &str) -> Bytes {
    testing::batch(&[value])
}
