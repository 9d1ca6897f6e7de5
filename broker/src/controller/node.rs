//! Starts what a node needs of the metadata quorum, in order: the log, Raft, the loader, the
//! controller; and stops it in the opposite order.
//!
//! This is the only place where Raft, metadata and controller meet.
//!
//! Kafka: `kafka/server/SharedServer.scala`, `kafka/server/ControllerServer.scala` (4.3).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ControllerRegistrationRequest;
use kafka_protocol::messages::controller_registration_request::{Feature, Listener};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::task;
use kafka_shared::time::Clock;
use kafka_shared::types::{Uuid, random_uuid};
use tokio::sync::watch;

use super::config::{ConfigValidator, ControllerConfig};
use super::driver;
use super::handle::{ControllerHandle, RequestContext};
use crate::log::LogContext;
use crate::metadata::MetadataHandle;
use crate::metadata::features::SUPPORTED;
use crate::metadata::format::{self, BootstrapError};
use crate::metadata::loader::{self, Committed, CommittedLog, LoaderConfig};
use crate::metadata::snapshot::{self, KRaftState, SnapshotError, SnapshotId};
use crate::raft::driver::StartError;
use crate::raft::log_store::{DiskLog, MetadataLogConfig, metadata_dir};
use crate::raft::quorum_records::{QuorumRecords, voter_set, voters_record};
use crate::raft::store::StoreError;
use crate::raft::voters::{VoterNode, VoterSet};
use crate::raft::{RaftConfig, RaftHandle, ReplicaKey, VoterEndpoint};

/// How long to wait before the controller tries again to register.
const REGISTRATION_RETRY: Duration = Duration::from_millis(500);

/// What a node of the metadata quorum has to know.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    pub controller: ControllerConfig,
    /// `metadata.log.dir`, or the first of `log.dirs`.
    pub metadata_log_dir: PathBuf,
    /// The `directory.id` of that directory.
    pub directory_id: Uuid,
    /// Where other nodes reach this node's controller listeners.
    pub controller_endpoints: Vec<VoterEndpoint>,
    /// `controller.quorum.voters`: who votes as long as kraft.version is 0.
    pub static_voters: Vec<(i32, VoterEndpoint)>,
    pub metadata_log: MetadataLogConfig,
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub snapshot_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; 0 for never.
    pub snapshot_interval_ms: i64,
    /// `metadata.max.retention.bytes`.
    pub metadata_retention_bytes: i64,
    /// `metadata.max.retention.ms`.
    pub metadata_retention_ms: i64,
    /// `controller.quorum.election.timeout.ms`.
    pub election_timeout_ms: i64,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout_ms: i64,
}

impl NodeConfig {
    /// Kafka's defaults for a node with this directory.
    pub fn new(controller: ControllerConfig, dir: PathBuf, directory_id: Uuid) -> Self {
        let loader = LoaderConfig::new(PathBuf::new());
        Self {
            controller,
            metadata_log_dir: dir,
            directory_id,
            controller_endpoints: Vec::new(),
            static_voters: Vec::new(),
            metadata_log: MetadataLogConfig::default(),
            snapshot_bytes: loader.snapshot_bytes,
            snapshot_interval_ms: loader.snapshot_interval_ms,
            metadata_retention_bytes: loader.retention_bytes,
            metadata_retention_ms: loader.retention_ms,
            election_timeout_ms: 1_000,
            fetch_timeout_ms: 2_000,
        }
    }
}

/// Why a node can't start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("prepare {}", path.display())]
    Dir {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("read the newest metadata snapshot")]
    Snapshot(#[from] SnapshotError),
    #[error("read bootstrap.checkpoint")]
    Bootstrap(#[from] BootstrapError),
    #[error("open the metadata log")]
    Log(#[from] StoreError),
    #[error("start the metadata quorum")]
    Raft(#[from] StartError),
}

/// A running node of the metadata quorum.
#[derive(Debug, Clone)]
pub struct Node {
    pub controller: ControllerHandle,
    pub metadata: MetadataHandle,
    pub raft: RaftHandle,
}

struct Committing {
    raft: RaftHandle,
    committed: watch::Receiver<Committed>,
}

impl CommittedLog for Committing {
    fn committed(&self) -> watch::Receiver<Committed> {
        self.committed.clone()
    }

    fn read(&self, from: i64, max_bytes: usize) -> Result<Bytes, String> {
        self.raft
            .read_committed(from, max_bytes)
            .map_err(|error| error.to_string())
    }

    fn log_start_offset(&self) -> i64 {
        self.raft.log_start_offset()
    }

    fn log_size_bytes(&self) -> u64 {
        self.raft.log_size_bytes()
    }

    fn kraft_state(&self, end_offset: i64) -> KRaftState {
        let records = self.raft.quorum_records(end_offset);
        // Static voters are in no record: every node has them from its file.
        let is_dynamic = records.kraft_version > 0 && !records.voters.is_empty();
        let voters = is_dynamic.then(|| voters_record(&records.voters));
        KRaftState {
            kraft_version: records.kraft_version,
            voters,
        }
    }

    fn advance_log_start_offset(&self, offset: i64) -> Result<(), String> {
        self.raft
            .advance_log_start_offset(offset)
            .map_err(|error| error.to_string())
    }
}

/// Voters of `controller.quorum.voters`; their directories are not known.
fn static_voters(voters: &[(i32, VoterEndpoint)]) -> VoterSet {
    VoterSet::new(voters.iter().map(|(id, endpoint)| VoterNode {
        key: ReplicaKey {
            id: *id,
            directory_id: Uuid::nil(),
        },
        endpoints: vec![endpoint.clone()],
        kraft_version_min: 0,
        kraft_version_max: 0,
    }))
}

/// Starts the node. `context` is that of the metadata log directory, whose lock the caller holds.
/// Blocks while the newest snapshot and the log are opened. Publishers that have to see every image
/// are added to `metadata` before.
///
/// # Errors
/// If the directory is not formatted for this node, or can't be read.
pub fn start(
    config: NodeConfig,
    context: Arc<LogContext>,
    validator: Arc<dyn ConfigValidator>,
    metadata: MetadataHandle,
    clock: Arc<dyn Clock>,
) -> Result<Node, NodeError> {
    let dir = metadata_dir(&config.metadata_log_dir);
    let prepare = || {
        std::fs::create_dir_all(&dir)?;
        snapshot::clean_up(&dir)?;
        snapshot::list(&dir)
    };
    let ids = prepare().map_err(|source| NodeError::Dir {
        path: dir.clone(),
        source,
    })?;
    let mut quorum_records = QuorumRecords::default();
    let mut newest = None;
    if let Some(id) = ids.last().copied() {
        let content = snapshot::read(&dir, id)?;
        quorum_records.kraft_version = content.kraft.kraft_version;
        quorum_records.voters = content
            .kraft
            .voters
            .as_ref()
            .map(voter_set)
            .unwrap_or_default();
        if id != SnapshotId::BOOTSTRAP {
            let image =
                snapshot::image_of(&content, id).map_err(|reason| SnapshotError::Damaged {
                    path: dir.join(id.file_name()),
                    reason,
                })?;
            newest = Some((id, image));
        }
    }
    if quorum_records.kraft_version == 0 && quorum_records.voters.is_empty() {
        quorum_records.voters = static_voters(&config.static_voters);
    }
    let snapshot_end = newest.as_ref().map_or(0, |(id, _)| id.end_offset);
    let store = Arc::new(DiskLog::open(context, config.metadata_log, snapshot_end)?);
    let bootstrap = format::read_bootstrap(&config.metadata_log_dir)?;
    let raft_config = RaftConfig {
        local: ReplicaKey {
            id: config.controller.node_id,
            directory_id: config.directory_id,
        },
        endpoints: config.controller_endpoints.clone(),
        dir: dir.clone(),
        election_timeout_ms: config.election_timeout_ms,
        fetch_timeout_ms: config.fetch_timeout_ms,
    };
    let raft = crate::raft::driver::start(
        raft_config,
        store,
        (snapshot_end, quorum_records),
        Arc::clone(&clock),
    )?;
    let log = Committing {
        raft: raft.without_stop(),
        committed: raft.committed(),
    };
    let loader_config = LoaderConfig {
        dir,
        snapshot_bytes: config.snapshot_bytes,
        snapshot_interval_ms: config.snapshot_interval_ms,
        retention_bytes: config.metadata_retention_bytes,
        retention_ms: config.metadata_retention_ms,
    };
    loader::start(
        loader_config,
        Arc::new(log),
        newest,
        metadata.clone(),
        Arc::clone(&clock),
    );
    let registration = registration(config.controller.node_id, &config.controller_endpoints);
    let controller_config = ControllerConfig {
        kraft_version: raft.quorum_records(i64::MAX).kraft_version,
        ..config.controller
    };
    let controller = driver::start(
        Arc::new(controller_config),
        validator,
        bootstrap,
        raft.clone(),
        metadata.clone(),
        clock,
    );
    let registering = register(controller.clone(), registration);
    drop(task::spawn("controller-registration", registering));
    Ok(Node {
        controller,
        metadata,
        raft,
    })
}

/// How the controller of this start of the node presents itself.
fn registration(node_id: i32, endpoints: &[VoterEndpoint]) -> ControllerRegistrationRequest {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let listener = |endpoint: &VoterEndpoint| {
        Listener::default()
            .with_name(text(&endpoint.name))
            .with_host(text(&endpoint.host))
            .with_port(endpoint.port)
    };
    let declared = SUPPORTED.iter().filter(|feature| feature.supported.max > 0);
    let features = declared.map(|feature| {
        Feature::default()
            .with_name(text(feature.name))
            .with_min_supported_version(feature.supported.min)
            .with_max_supported_version(feature.supported.max)
    });
    ControllerRegistrationRequest::default()
        .with_controller_id(node_id)
        .with_incarnation_id(random_uuid())
        .with_listeners(endpoints.iter().map(listener).collect())
        .with_features(features.collect())
}

/// Registers the controller, at which the other nodes look before a feature is upgraded.
async fn register(controller: ControllerHandle, registration: ControllerRegistrationRequest) {
    while !controller.is_stopped() {
        if !controller.wait_until_active(REGISTRATION_RETRY).await {
            continue;
        }
        let cx = RequestContext::default();
        let response = controller
            .register_controller(&cx, registration.clone())
            .await;
        match ErrorCode(response.error_code) {
            // An older metadata.version has no such records.
            ErrorCode::NONE | ErrorCode::UNSUPPORTED_VERSION => return,
            code => tracing::debug!(code = code.name(), "the controller can't register yet"),
        }
        tokio::time::sleep(REGISTRATION_RETRY).await;
    }
}

impl Node {
    /// Stops the controller, then Raft, which closes the log; the loader ends by itself.
    pub async fn shutdown(&self) {
        self.controller.shutdown().await;
        self.raft.shutdown().await;
    }
}

#[cfg(test)]
mod tests;
