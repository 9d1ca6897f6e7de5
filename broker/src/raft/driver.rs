//! Runs the machine: a thread that owns the metadata log and carries out what the machine says, in
//! its order.
//!
//! Appends come from the active controller through [`RaftHandle::append`], which gives them their
//! offsets at once and queues them. The thread takes all that is queued, appends it, answers the
//! fetches that wait for it, and flushes once: while one flush runs, the next group gathers, and
//! the followers flush at the same time. Requests of other nodes come through
//! [`RaftHandle::request`], answers to this node's own from the transport; both wait in the same
//! queue for the thread. Only the machine moves the high watermark. An I/O error ends the thread
//! for good: what the disk holds then is unknown until a restart.
//!
//! Kafka: `raft/KafkaRaftClient.java`, `raft/internals/BatchAccumulator.java` (4.3).

mod handle;
mod start;
#[cfg(test)]
mod tests;
mod thread;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::time::Clock;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};

pub use self::handle::RaftHandle;
pub use self::start::start;
use super::machine::{Config, Raft};
use super::rpc::{Fetched, Request, Response, SnapshotId};
use super::store::{LogStore, StoreError};
use super::transport::{Answer, Transport};
use super::voters::VoterEndpoint;
use crate::metadata::loader::Committed;

/// What the driver has to know to start.
#[derive(Debug, Clone)]
pub struct RaftConfig {
    pub machine: Config,
    /// The folder of the metadata log, with quorum-state and snapshots.
    pub dir: PathBuf,
    pub cluster_id: String,
}

/// Why Raft can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{}: {reason}", path.display())]
    QuorumState { path: PathBuf, reason: String },
    #[error("{}: {source}", path.display())]
    Dir {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("read the metadata log")]
    Store(#[from] StoreError),
    #[error("the metadata log is damaged at offset {offset}: {reason}")]
    Damaged { offset: i64, reason: String },
    #[error(
        "no voters are known: {} holds none, and neither controller.quorum.bootstrap.servers nor \
         controller.quorum.voters names any",
        .0.display()
    )]
    NoVoters(PathBuf),
    #[error("node {node_id} with directory {directory_id} is not among the voters {voters}")]
    NotAVoter {
        node_id: i32,
        directory_id: String,
        voters: String,
    },
}

/// Why records were not appended. Nothing of them is in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError<E> {
    #[error("this node does not lead in epoch {0}")]
    NotLeader(i32),
    #[error("too much waits for the disk")]
    Full,
    #[error(transparent)]
    Encode(E),
}

/// Who leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderAndEpoch {
    /// -1 if unknown.
    pub leader_id: i32,
    pub epoch: i32,
}

/// What everybody may know of Raft's progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub leader: LeaderAndEpoch,
    /// Where the leader is reached by the other nodes, as far as it is known.
    pub leader_endpoints: Vec<VoterEndpoint>,
    /// The epoch in which this node leads and accepts appends.
    pub leading_epoch: Option<i32>,
    /// The last offset that was written when this node became leader (inclusive).
    pub activation_offset: i64,
    /// Everything below this offset is committed.
    pub high_watermark: i64,
    /// Why there will be no progress any more.
    pub failure: Option<String>,
    pub is_closed: bool,
}

/// The answer to a request of another node.
#[derive(Debug)]
pub struct Served {
    pub response: Response,
    /// The record bytes of a fetch; a snapshot's are read by whoever answers.
    pub records: Bytes,
}

/// A batch that waits for the disk.
#[derive(Debug)]
struct Pending {
    bytes: Bytes,
    /// What the machine has to know of it.
    content: Fetched,
}

/// What the thread has to deal with, in order.
enum Command {
    Request {
        request: Request,
        reply: oneshot::Sender<Served>,
    },
    Answered {
        correlation_id: u64,
        answer: Answer,
    },
    UpgradeKRaftVersion {
        epoch: i32,
        version: i16,
        validate_only: bool,
        reply: oneshot::Sender<(ErrorCode, Option<String>)>,
    },
    SnapshotCreated(SnapshotId),
    AdvanceLogStart {
        offset: i64,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    Resign {
        epoch: i32,
    },
}

/// What others have left for the thread.
struct Inbox {
    /// The epoch in which appends are taken; `None` while this node doesn't lead.
    epoch: Option<i32>,
    next_offset: i64,
    batches: VecDeque<Pending>,
    bytes: usize,
    commands: VecDeque<Command>,
    /// The thread has to end; it may take so long to hand over the leadership.
    stop_within_ms: Option<i64>,
    /// Nothing is taken any more.
    is_closed: bool,
}

struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
    status: watch::Sender<Status>,
    committed: watch::Sender<Committed>,
    raft: Mutex<Raft>,
    store: Arc<dyn LogStore>,
    transport: Box<dyn Transport>,
    clock: Arc<dyn Clock>,
    config: RaftConfig,
}

impl Shared {
    /// Leaves a command for the thread; false if it takes none any more.
    fn command(&self, command: Command) -> bool {
        let mut inbox = self.inbox.lock();
        if inbox.is_closed {
            return false;
        }
        inbox.commands.push_back(command);
        drop(inbox);
        self.wake.notify_one();
        true
    }

    fn stop(&self, within_ms: i64) {
        let mut inbox = self.inbox.lock();
        let earlier = inbox.stop_within_ms.unwrap_or(i64::MAX);
        inbox.stop_within_ms = Some(within_ms.min(earlier));
        drop(inbox);
        self.wake.notify_one();
    }
}
