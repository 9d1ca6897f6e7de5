//! Starts what a node needs of the metadata quorum, in order: the log, Raft, the loader, and the
//! controller if the node has that role; and stops it in the opposite order.
//!
//! A node without that role is an observer: it follows the log, and neither votes nor leads.
//!
//! This is the only place where Raft, metadata and controller meet.
//!
//! Kafka: `kafka/server/SharedServer.scala`, `kafka/server/ControllerServer.scala` (4.3).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::time::Clock;
use kafka_shared::types::{Endpoint, Uuid};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::config::{ConfigValidator, ControllerConfig};
use super::driver;
use super::handle::ControllerHandle;
use crate::log::LogContext;
use crate::metadata::format::{self, BootstrapError};
use crate::metadata::loader::{self, Committed, CommittedLog, LoaderConfig};
use crate::metadata::snapshot::{self, KRaftState, SnapshotError, SnapshotId};
use crate::metadata::{MetadataHandle, MetadataImage};
use crate::raft::driver::StartError;
use crate::raft::log_store::{DiskLog, MetadataLogConfig, metadata_dir};
use crate::raft::machine::Config as MachineConfig;
use crate::raft::quorum_records::{QuorumRecords, voter_set, voters_record};
use crate::raft::rpc;
use crate::raft::store::StoreError;
use crate::raft::transport::{NetworkTransport, TransportConfig};
use crate::raft::voters::{VoterNode, VoterSet};
use crate::raft::{RaftConfig, RaftHandle, ReplicaKey, VoterEndpoint};

/// How long the leader may let a fetch of this node wait for something new.
const FETCH_MAX_WAIT_MS: i32 = 500;

/// The levels of kraft.version that a node can work at, both inclusive.
const KRAFT_VERSIONS: (i16, i16) = (0, 1);

/// What a node of the metadata quorum has to know.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    pub controller: ControllerConfig,
    /// `metadata.log.dir`, or the first of `log.dirs`.
    pub metadata_log_dir: PathBuf,
    /// The `directory.id` of that directory.
    pub directory_id: Uuid,
    /// Whether `process.roles` has the controller.
    pub is_controller: bool,
    /// Where other nodes reach this node's controller listeners; empty without that role.
    pub controller_endpoints: Vec<VoterEndpoint>,
    /// The first of `controller.listener.names`.
    pub controller_listener_name: String,
    /// `controller.quorum.voters`: who votes as long as kraft.version is 0.
    pub static_voters: Vec<(i32, VoterEndpoint)>,
    /// `controller.quorum.bootstrap.servers`: who is asked for the leader.
    pub bootstrap_servers: Vec<Endpoint>,
    /// `controller.quorum.auto.join.enable`.
    pub auto_join_enable: bool,
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
    /// `controller.quorum.election.backoff.max.ms`.
    pub election_backoff_max_ms: i64,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout_ms: i64,
    /// `controller.quorum.request.timeout.ms`.
    pub request_timeout_ms: i64,
    /// `controller.quorum.retry.backoff.ms`.
    pub retry_backoff_ms: i64,
    /// `controller.quorum.fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `controller.quorum.fetch.snapshot.max.bytes`.
    pub fetch_snapshot_max_bytes: i32,
}

impl NodeConfig {
    /// Kafka's defaults for a node with this directory.
    pub fn new(controller: ControllerConfig, dir: PathBuf, directory_id: Uuid) -> Self {
        let loader = LoaderConfig::new(PathBuf::new());
        Self {
            controller,
            metadata_log_dir: dir,
            directory_id,
            is_controller: true,
            controller_endpoints: Vec::new(),
            controller_listener_name: "CONTROLLER".to_owned(),
            static_voters: Vec::new(),
            bootstrap_servers: Vec::new(),
            auto_join_enable: false,
            metadata_log: MetadataLogConfig::default(),
            snapshot_bytes: loader.snapshot_bytes,
            snapshot_interval_ms: loader.snapshot_interval_ms,
            metadata_retention_bytes: loader.retention_bytes,
            metadata_retention_ms: loader.retention_ms,
            election_timeout_ms: 1_000,
            election_backoff_max_ms: 1_000,
            fetch_timeout_ms: 2_000,
            request_timeout_ms: 2_000,
            retry_backoff_ms: 20,
            fetch_max_bytes: 1024 * 1024,
            fetch_snapshot_max_bytes: 1024 * 1024,
        }
    }

    /// What Raft has to know.
    fn raft(&self, dir: PathBuf) -> RaftConfig {
        let servers = self.bootstrap_servers.iter();
        let machine = MachineConfig {
            local: ReplicaKey {
                id: self.controller.node_id,
                directory_id: self.directory_id,
            },
            endpoints: self.controller_endpoints.clone(),
            listener_name: self.controller_listener_name.clone(),
            kraft_version_min: KRAFT_VERSIONS.0,
            kraft_version_max: KRAFT_VERSIONS.1,
            can_become_voter: self.is_controller,
            auto_join: self.auto_join_enable,
            bootstrap_servers: servers
                .map(|server| (server.host.clone(), server.port))
                .collect(),
            static_voters: static_voters(&self.static_voters),
            election_timeout_ms: self.election_timeout_ms,
            election_backoff_max_ms: self.election_backoff_max_ms,
            fetch_timeout_ms: self.fetch_timeout_ms,
            request_timeout_ms: self.request_timeout_ms,
            retry_backoff_ms: self.retry_backoff_ms,
            fetch_max_wait_ms: FETCH_MAX_WAIT_MS,
            fetch_max_bytes: self.fetch_max_bytes,
            fetch_snapshot_max_bytes: self.fetch_snapshot_max_bytes,
        };
        RaftConfig {
            machine,
            dir,
            cluster_id: self.controller.cluster_id.clone(),
        }
    }

    fn transport(&self) -> TransportConfig {
        TransportConfig {
            node_id: self.controller.node_id,
            cluster_id: self.controller.cluster_id.clone(),
            listener_name: self.controller_listener_name.clone(),
            request_timeout_ms: self.request_timeout_ms,
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
    /// The controller of this node, active or not; none without that role.
    pub controller: Option<ControllerHandle>,
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
        // Static voters are in no record: every node has them from its settings.
        let is_dynamic = records.kraft_version > 0 && !records.voters.is_empty();
        let voters = is_dynamic.then(|| voters_record(&records.voters));
        KRaftState {
            kraft_version: records.kraft_version,
            voters,
        }
    }

    fn snapshot_written(&self, id: SnapshotId) {
        self.raft.snapshot_created(rpc_id(id));
    }

    fn advance_log_start_offset(&self, offset: i64) -> Result<(), String> {
        self.raft
            .advance_log_start_offset(offset)
            .map_err(|error| error.to_string())
    }
}

fn rpc_id(id: SnapshotId) -> rpc::SnapshotId {
    rpc::SnapshotId {
        epoch: id.epoch,
        end_offset: id.end_offset,
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

/// What the newest snapshot of the folder says, and its image if it is more than the format's.
fn newest_snapshot(
    dir: &Path,
) -> Result<(QuorumRecords, Option<(SnapshotId, MetadataImage)>), NodeError> {
    let prepare = || {
        std::fs::create_dir_all(dir)?;
        snapshot::clean_up(dir)?;
        snapshot::list(dir)
    };
    let ids = prepare().map_err(|source| NodeError::Dir {
        path: dir.to_path_buf(),
        source,
    })?;
    let Some(id) = ids.last().copied() else {
        return Ok((QuorumRecords::default(), None));
    };
    let content = snapshot::read(dir, id)?;
    let voters = content.kraft.voters.as_ref().map(voter_set);
    let records = QuorumRecords {
        kraft_version: content.kraft.kraft_version,
        voters: voters.unwrap_or_default(),
    };
    if id == SnapshotId::BOOTSTRAP {
        return Ok((records, None));
    }
    let image = snapshot::image_of(&content, id).map_err(|reason| SnapshotError::Damaged {
        path: dir.join(id.file_name()),
        reason,
    })?;
    Ok((records, Some((id, image))))
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
    let (quorum_records, newest) = newest_snapshot(&dir)?;
    let snapshot = newest.as_ref().map(|(id, _)| rpc_id(*id));
    let store = Arc::new(DiskLog::open(context, config.metadata_log, snapshot)?);
    let (transport, runtime) = (config.transport(), Handle::current());
    let raft = crate::raft::driver::start(
        config.raft(dir.clone()),
        store,
        quorum_records,
        |deliver| Box::new(NetworkTransport::new(transport, runtime, deliver)),
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
    let controller = if config.is_controller {
        Some(start_controller(
            config, validator, &raft, &metadata, clock,
        )?)
    } else {
        None
    };
    Ok(Node {
        controller,
        metadata,
        raft,
    })
}

fn start_controller(
    config: NodeConfig,
    validator: Arc<dyn ConfigValidator>,
    raft: &RaftHandle,
    metadata: &MetadataHandle,
    clock: Arc<dyn Clock>,
) -> Result<ControllerHandle, NodeError> {
    let bootstrap = format::read_bootstrap(&config.metadata_log_dir)?;
    Ok(driver::start(
        Arc::new(config.controller),
        validator,
        bootstrap,
        raft.clone(),
        metadata.clone(),
        clock,
    ))
}

impl Node {
    /// Stops the controller, then Raft, which closes the log; the loader ends by itself.
    pub async fn shutdown(&self) {
        if let Some(controller) = &self.controller {
            controller.shutdown().await;
        }
        self.raft.shutdown().await;
    }
}

#[cfg(test)]
mod quorum_tests;
#[cfg(test)]
mod tests;
