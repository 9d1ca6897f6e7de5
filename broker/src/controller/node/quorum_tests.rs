//! Quorums of several whole nodes on real folders and real sockets.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::api_versions_response::{ApiVersion, SupportedFeatureKey};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BeginQuorumEpochRequest, CreateTopicsRequest,
    EndQuorumEpochRequest, FetchRequest, FetchSnapshotRequest, RemoveRaftVoterRequest, TopicName,
    UpdateRaftVoterRequest, VoteRequest,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::codec;
use kafka_shared::protocol::header::response_header_version;
use kafka_shared::protocol::messages::AddRaftVoterRequest;
use kafka_shared::record::batch::batches;
use kafka_shared::schema::metadata::MetadataRecord;
use kafka_shared::task;
use kafka_shared::time::{Clock, SystemClock};
use kafka_shared::types::{Endpoint, Uuid};

use super::super::handle::{ControllerHandle, RequestContext};
use super::super::testing::{CLUSTER_ID, TestValidator};
use super::*;
use crate::api::quorum_rpc::{QuorumCx, QuorumRpc, serve};
use crate::log::LogDir;
use crate::metadata::features::SUPPORTED;
use crate::metadata::snapshot::{KRaftState, Snapshot};
use crate::network::{
    BoundListener, Dispatch, FrameBuilder, ListenerConfig, Network, NetworkConfig, Reply,
};
use crate::raft::rpc::{AddRaftVoterRequest as AddVoter, RemoveRaftVoterRequest as RemoveVoter};
use crate::raft::rpc::{Request, Response};

const DEADLINE: Duration = Duration::from_secs(60);
const LISTENER: &str = "CONTROLLER";

/// Answers what one node of a quorum asks another, and nothing else.
struct QuorumDispatch(RaftHandle);

const SERVED: [(ApiKey, i16, i16); 9] = [
    (ApiKey::Fetch, 4, 18),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::Vote, 0, 2),
    (ApiKey::BeginQuorumEpoch, 0, 1),
    (ApiKey::EndQuorumEpoch, 0, 1),
    (ApiKey::FetchSnapshot, 0, 1),
    (ApiKey::AddRaftVoter, 0, 1),
    (ApiKey::RemoveRaftVoter, 0, 0),
    (ApiKey::UpdateRaftVoter, 0, 0),
];

fn reply<R: codec::Response>(cx: &crate::network::RequestContext, response: &R) -> Reply {
    let header = &cx.header;
    let header_version = response_header_version(header.api_key, header.api_version);
    let mut frame = FrameBuilder::new(header.correlation_id, header_version);
    codec::encode_response(response, header.api_version, frame.buffer()).unwrap();
    Reply::Frame(frame.finish().unwrap())
}

impl QuorumDispatch {
    async fn answer<R: QuorumRpc>(
        &self,
        cx: &crate::network::RequestContext,
        mut body: Bytes,
    ) -> Reply {
        let version = cx.header.api_version;
        let request: R = codec::decode_request(&mut body, version).unwrap();
        let quorum_cx = QuorumCx {
            version,
            listener: &cx.connection.listener,
            raft: &self.0,
        };
        reply(cx, &serve(quorum_cx, request).await)
    }
}

impl Dispatch for QuorumDispatch {
    async fn dispatch(&self, cx: crate::network::RequestContext, body: Bytes) -> Reply {
        let cx = &cx;
        match ApiKey::try_from(cx.header.api_key).unwrap() {
            ApiKey::ApiVersions => {
                let api = |(key, min, max): &(ApiKey, i16, i16)| {
                    ApiVersion::default()
                        .with_api_key(*key as i16)
                        .with_min_version(*min)
                        .with_max_version(*max)
                };
                let kraft = SupportedFeatureKey::default()
                    .with_name(StrBytes::from_static_str("kraft.version"))
                    .with_max_version(1);
                let response = ApiVersionsResponse::default()
                    .with_api_keys(SERVED.iter().map(api).collect())
                    .with_supported_features(vec![kraft]);
                reply(cx, &response)
            }
            ApiKey::Vote => self.answer::<VoteRequest>(cx, body).await,
            ApiKey::BeginQuorumEpoch => self.answer::<BeginQuorumEpochRequest>(cx, body).await,
            ApiKey::EndQuorumEpoch => self.answer::<EndQuorumEpochRequest>(cx, body).await,
            ApiKey::Fetch => self.answer::<FetchRequest>(cx, body).await,
            ApiKey::FetchSnapshot => self.answer::<FetchSnapshotRequest>(cx, body).await,
            ApiKey::AddRaftVoter => self.answer::<AddRaftVoterRequest>(cx, body).await,
            ApiKey::RemoveRaftVoter => self.answer::<RemoveRaftVoterRequest>(cx, body).await,
            ApiKey::UpdateRaftVoter => self.answer::<UpdateRaftVoterRequest>(cx, body).await,
            _ => Reply::Close,
        }
    }
}

struct Running {
    node: Node,
    network: Network,
}

impl Running {
    fn controller(&self) -> &ControllerHandle {
        self.node.controller.as_ref().unwrap()
    }
}

/// Nodes by id; those that are down are not among the running.
struct Quorum {
    dir: tempfile::TempDir,
    ports: BTreeMap<i32, u16>,
    running: BTreeMap<i32, Running>,
    is_static: bool,
    change: fn(&mut NodeConfig),
}

fn directory_id(id: i32) -> Uuid {
    Uuid::from_u128(0x1000 + id.unsigned_abs() as u128)
}

fn bind(port: u16) -> BoundListener {
    let config = ListenerConfig {
        name: LISTENER.into(),
        host: "127.0.0.1".into(),
        port,
        backlog: 50,
    };
    BoundListener::bind(&config, &NetworkConfig::default()).unwrap()
}

impl Quorum {
    /// A quorum of these voters, none of which runs yet.
    fn new(ids: &[i32], is_static: bool, change: fn(&mut NodeConfig)) -> Self {
        let mut quorum = Self {
            dir: tempfile::tempdir().unwrap(),
            ports: BTreeMap::new(),
            running: BTreeMap::new(),
            is_static,
            change,
        };
        for id in ids {
            quorum.add_port(*id);
        }
        let voters = VoterSet::new(ids.iter().map(|id| quorum.voter(*id)));
        for id in ids {
            quorum.format(*id, Some(&voters).filter(|_| !is_static));
        }
        quorum
    }

    fn add_port(&mut self, id: i32) {
        // The port may be taken by another process until the node starts; that is rare enough.
        let port = bind(0).local_addr().port();
        self.ports.insert(id, port);
    }

    fn endpoint(&self, id: i32) -> VoterEndpoint {
        VoterEndpoint {
            name: LISTENER.into(),
            host: "127.0.0.1".into(),
            port: self.ports[&id],
        }
    }

    fn voter(&self, id: i32) -> VoterNode {
        VoterNode {
            key: ReplicaKey {
                id,
                directory_id: directory_id(id),
            },
            endpoints: vec![self.endpoint(id)],
            kraft_version_min: 0,
            kraft_version_max: 1,
        }
    }

    fn path(&self, id: i32) -> PathBuf {
        self.dir.path().join(id.to_string())
    }

    fn log_path(&self, id: i32) -> PathBuf {
        metadata_dir(&self.path(id))
    }

    fn format(&self, id: i32, voters: Option<&VoterSet>) {
        std::fs::create_dir_all(self.log_path(id)).unwrap();
        let Some(voters) = voters else { return };
        let kraft = KRaftState {
            kraft_version: 1,
            voters: Some(voters_record(voters)),
        };
        let content = Snapshot {
            last_contained_log_timestamp_ms: 0,
            kraft,
            records: Vec::new(),
        };
        let bytes = snapshot::encode(&content, 0, 0, 0).unwrap();
        let path = self.log_path(id).join(SnapshotId::BOOTSTRAP.file_name());
        snapshot::write_file(&path, &bytes).unwrap();
    }

    async fn start(&mut self, id: i32) {
        self.start_as(id, true).await;
    }

    async fn start_as(&mut self, id: i32, is_controller: bool) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let controller = ControllerConfig {
            cluster_id: CLUSTER_ID.into(),
            node_id: id,
            metadata_max_idle_interval_ms: 100,
            ..Default::default()
        };
        let mut config = NodeConfig::new(controller, self.path(id), directory_id(id));
        config.is_controller = is_controller;
        if is_controller {
            config.controller_endpoints = vec![self.endpoint(id)];
        }
        let servers = self.ports.iter().filter(|(other, _)| **other != id);
        if self.is_static {
            let voter = |id: &i32| (*id, self.endpoint(*id));
            config.static_voters = self.ports.keys().map(voter).collect();
        } else {
            config.bootstrap_servers = servers
                .map(|(_, port)| Endpoint {
                    host: "127.0.0.1".into(),
                    port: *port,
                })
                .collect();
        }
        config.election_timeout_ms = 300;
        config.fetch_timeout_ms = 800;
        config.request_timeout_ms = 800;
        (self.change)(&mut config);
        let listener = bind(self.ports.get(&id).copied().unwrap_or(0));
        let path = self.path(id);
        let node = task::spawn_blocking("start", move || {
            let context = LogContext::new(Arc::clone(&clock), LogDir::new(&path));
            let metadata = MetadataHandle::default();
            start(config, context, Arc::new(TestValidator), metadata, clock).unwrap()
        })
        .await
        .unwrap();
        let dispatch = Arc::new(QuorumDispatch(node.raft.without_stop()));
        let network = Network::start(vec![listener], NetworkConfig::default(), dispatch);
        self.running.insert(id, Running { node, network });
    }

    /// Stops a node without a word to the others.
    async fn kill(&mut self, id: i32) {
        let running = self.running.remove(&id).unwrap();
        running.network.shutdown(Duration::ZERO).await;
        if let Some(controller) = &running.node.controller {
            controller.shutdown().await;
        }
        let mut status = running.node.raft.status();
        running.node.raft.stop();
        let closed = status.wait_for(|status| status.is_closed);
        assert_eq!(within(closed).await.unwrap().failure, None);
    }

    async fn stop(&mut self, id: i32) {
        let running = self.running.remove(&id).unwrap();
        within(running.node.shutdown()).await;
        running.network.shutdown(Duration::ZERO).await;
    }

    /// The id of the node whose controller is active.
    async fn active(&self) -> i32 {
        within(async {
            loop {
                let mut running = self.running.iter();
                let is_active = |running: &Running| {
                    let controller = running.node.controller.as_ref();
                    controller.is_some_and(ControllerHandle::is_active)
                };
                if let Some((id, _)) = running.find(|(_, running)| is_active(running)) {
                    return *id;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// Creates a topic on the active controller, whichever that is by then.
    async fn create(&self, name: &str) {
        within(async {
            loop {
                let active = self.active().await;
                match self.create_on(active, name, 5_000).await {
                    ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS => return,
                    ErrorCode::NOT_CONTROLLER | ErrorCode::REQUEST_TIMED_OUT => {}
                    code => panic!("{code:?}"),
                }
            }
        })
        .await;
        self.seen_by_all(name).await;
    }

    async fn create_on(&self, id: i32, name: &str, timeout_ms: i32) -> ErrorCode {
        let topic = CreatableTopic::default()
            .with_name(TopicName(StrBytes::from_string(name.to_owned())))
            .with_assignments(Vec::new())
            .with_num_partitions(1)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(timeout_ms);
        let cx = RequestContext::default();
        let controller = self.running[&id].controller();
        let response = controller.create_topics(&cx, request).await;
        ErrorCode(response.topics[0].error_code)
    }

    async fn seen_by_all(&self, name: &str) {
        for running in self.running.values() {
            let seen = |image: &MetadataImage| image.topics.by_name(name).is_some();
            running
                .node
                .metadata
                .wait_until(DEADLINE, seen)
                .await
                .unwrap();
        }
    }

    /// Waits until all running nodes have applied what the active controller has now, and compares
    /// their images.
    async fn assert_same_images(&self) {
        let active = self.active().await;
        let offset = self.running[&active].node.metadata.applied_offset();
        let expected = records(&self.running[&active].node.metadata.image());
        for (id, running) in &self.running {
            let image = running.node.metadata.wait_for_offset(offset, DEADLINE);
            assert_eq!(records(&image.await.unwrap()), expected, "node {id}");
        }
    }

    /// The bytes of the log of a node that is down, from an offset on.
    fn log_bytes(&self, id: i32) -> Vec<u8> {
        let mut segments: Vec<_> = std::fs::read_dir(self.log_path(id))
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

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("in time")
}

fn records(image: &MetadataImage) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    image.write_records(&mut |record| records.push(record));
    records
}

/// Registers a broker that nobody runs, so that topics can be placed.
async fn register_broker(quorum: &Quorum) {
    use kafka_protocol::messages::broker_registration_request::Feature;
    use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerId, BrokerRegistrationRequest};
    let active = quorum.active().await;
    let controller = quorum.running[&active].controller();
    let feature = |feature: &crate::metadata::features::Feature| {
        Feature::default()
            .with_name(StrBytes::from_static_str(feature.name))
            .with_min_supported_version(feature.supported.min)
            .with_max_supported_version(feature.supported.max)
    };
    let request = BrokerRegistrationRequest::default()
        .with_broker_id(BrokerId(100))
        .with_cluster_id(StrBytes::from_static_str(CLUSTER_ID))
        .with_incarnation_id(Uuid::from_u128(0x9000))
        .with_features(SUPPORTED.iter().map(feature).collect())
        .with_log_dirs(vec![Uuid::from_u128(0x9001)])
        .with_previous_broker_epoch(-1);
    let cx = RequestContext::default();
    let response = controller.register_broker(&cx, request).await;
    assert_eq!(ErrorCode(response.error_code), ErrorCode::NONE);
    let request = BrokerHeartbeatRequest::default()
        .with_broker_id(BrokerId(100))
        .with_broker_epoch(response.broker_epoch)
        .with_current_metadata_offset(i64::MAX);
    let response = controller.broker_heartbeat(&cx, request).await;
    assert_eq!(ErrorCode(response.error_code), ErrorCode::NONE);
}

async fn started(ids: &[i32], is_static: bool, change: fn(&mut NodeConfig)) -> Quorum {
    let mut quorum = Quorum::new(ids, is_static, change);
    for id in ids {
        quorum.start(*id).await;
    }
    register_broker(&quorum).await;
    quorum
}

fn sessions_never_end(config: &mut NodeConfig) {
    config.controller.broker_session_timeout_ms = 3_600_000;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_elect_a_leader_and_another_one_when_it_dies() {
    for is_static in [false, true] {
        let mut quorum = started(&[1, 2, 3], is_static, sessions_never_end).await;
        quorum.create("before").await;
        let first = quorum.active().await;
        quorum.kill(first).await;
        quorum.create("without-the-first").await;
        let second = quorum.active().await;
        assert_ne!(second, first);
        quorum.start(first).await;
        quorum.create("again-with-three").await;
        quorum.assert_same_images().await;
        // An orderly end hands over: the next leader is there before any time-out.
        quorum.stop(second).await;
        quorum.create("after").await;
        let ids: Vec<_> = quorum.running.keys().copied().collect();
        for id in ids {
            quorum.kill(id).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_that_no_majority_has_is_cut_off() {
    let mut quorum = started(&[1, 2, 3], false, sessions_never_end).await;
    quorum.create("kept").await;
    let leader = quorum.active().await;
    let others: Vec<_> = [1, 2, 3].into_iter().filter(|id| *id != leader).collect();
    for id in &others {
        quorum.kill(*id).await;
    }
    // In the leader's log, and nowhere else.
    let lost = quorum.create_on(leader, "lost", 100).await;
    assert_eq!(lost, ErrorCode::REQUEST_TIMED_OUT);
    quorum.kill(leader).await;
    for id in &others {
        quorum.start(*id).await;
    }
    quorum.create("instead").await;
    quorum.start(leader).await;
    quorum.create("at-last").await;
    quorum.assert_same_images().await;
    let active = quorum.active().await;
    let image = quorum.running[&active].node.metadata.image();
    assert!(image.topics.by_name("lost").is_none());
    for id in 1..=3 {
        quorum.stop(id).await;
    }
    // Those who stopped later may have more.
    let logs: Vec<_> = (1..=3).map(|id| quorum.log_bytes(id)).collect();
    let common = logs.iter().map(Vec::len).min().unwrap();
    assert!(common > 1_000);
    for log in &logs {
        assert!(log[..common] == logs[0][..common]);
        assert!(batches(log).all(|batch| batch.unwrap().check_crc().is_ok()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_without_anything_gets_a_snapshot_and_then_the_log() {
    let often = |config: &mut NodeConfig| {
        sessions_never_end(config);
        config.snapshot_bytes = 2_000;
        config.metadata_retention_bytes = 3_000;
        // Many slices of a snapshot, many responses for the log.
        config.fetch_snapshot_max_bytes = 700;
        config.fetch_max_bytes = 500;
    };
    let mut quorum = started(&[1], false, often).await;
    for idx in 0..60 {
        quorum.create(&format!("topic-{idx}")).await;
    }
    let has_only_snapshots = async {
        while quorum.running[&1].node.raft.log_start_offset() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(has_only_snapshots).await;
    quorum.format(4, None);
    quorum.start_as(4, false).await;
    quorum.seen_by_all("topic-59").await;
    quorum.assert_same_images().await;
    let observer = &quorum.running[&4].node;
    assert!(observer.controller.is_none());
    assert!(observer.raft.log_start_offset() > 0);
    assert_eq!(observer.raft.voters().ids(), [1]);
    let status = observer.raft.status().borrow().clone();
    assert_eq!((status.leader.leader_id, status.leading_epoch), (1, None));
    let (id, _, port) = observer.raft.leader_endpoint(LISTENER).unwrap();
    assert_eq!((id, port), (1, quorum.ports[&1]));
    // It follows again from where it was, also after a kill.
    quorum.kill(4).await;
    quorum.create("meanwhile").await;
    quorum.start_as(4, false).await;
    quorum.create("together").await;
    quorum.assert_same_images().await;
}

async fn change_voters(quorum: &Quorum, request: Request) {
    within(async {
        loop {
            let active = quorum.active().await;
            let raft = &quorum.running[&active].node.raft;
            let error = match raft.request(request.clone()).await.map(|s| s.response) {
                Ok(Response::AddRaftVoter(answer) | Response::RemoveRaftVoter(answer)) => {
                    answer.error
                }
                other => panic!("{other:?}"),
            };
            match error {
                ErrorCode::NONE | ErrorCode::DUPLICATE_VOTER | ErrorCode::VOTER_NOT_FOUND => return,
                ErrorCode::REQUEST_TIMED_OUT | ErrorCode::NOT_LEADER_OR_FOLLOWER => {}
                error => panic!("{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_come_and_go_until_none_of_the_first_is_left() {
    let mut quorum = started(&[1], false, sessions_never_end).await;
    quorum.create("alone").await;
    for id in [2, 3] {
        quorum.add_port(id);
        quorum.format(id, None);
        quorum.start(id).await;
        quorum.seen_by_all("alone").await;
        let voter = quorum.voter(id);
        let request = AddVoter {
            voter: voter.key,
            endpoints: voter.endpoints,
            ack_when_committed: true,
        };
        change_voters(&quorum, Request::AddRaftVoter(request)).await;
        quorum.create(&format!("with-{id}")).await;
    }
    assert_eq!(quorum.running[&3].node.raft.voters().ids(), [1, 2, 3]);
    let voter = ReplicaKey {
        id: 1,
        directory_id: directory_id(1),
    };
    let request = Request::RemoveRaftVoter(RemoveVoter { voter });
    change_voters(&quorum, request).await;
    quorum.create("without-1").await;
    let active = quorum.active().await;
    assert_ne!(active, 1);
    quorum.kill(1).await;
    // Restarted nodes know the voters from their logs.
    for id in [2, 3] {
        quorum.kill(id).await;
    }
    for id in [2, 3] {
        quorum.start(id).await;
    }
    quorum.create("after-a-restart").await;
    assert_eq!(quorum.running[&2].node.raft.voters().ids(), [2, 3]);
    quorum.assert_same_images().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_may_join_becomes_a_voter_by_itself() {
    let joining = |config: &mut NodeConfig| {
        sessions_never_end(config);
        config.auto_join_enable = true;
    };
    let mut quorum = started(&[1], false, joining).await;
    quorum.create("alone").await;
    quorum.add_port(2);
    quorum.format(2, None);
    quorum.start(2).await;
    within(async {
        while quorum.running[&1].node.raft.voters().ids() != [1, 2] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    quorum.create("both").await;
    quorum.assert_same_images().await;
}
