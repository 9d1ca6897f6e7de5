//! The driver of a quorum of one, over a log that loses what was not flushed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_shared::error::ErrorCode;
use kafka_shared::record::builder::BatchBuilder;
use kafka_shared::time::{Clock, SystemClock};
use kafka_shared::types::Uuid;

use super::{AppendError, RaftConfig, RaftHandle, StartError, start};
use crate::raft::machine::Config;
use crate::raft::quorum_records::QuorumRecords;
use crate::raft::quorum_state::{ElectionState, FILE_NAME};
use crate::raft::rpc::{
    CurrentLeader, FetchRecords, FetchResponse, FetchSnapshotResponse, Request, Response,
    SnapshotId,
};
use crate::raft::store::LogStore;
use crate::raft::store::memory::MemoryLog;
use crate::raft::transport::{Deliver, Outgoing, Transport};
use crate::raft::voters::{ReplicaKey, VoterEndpoint, VoterNode, VoterSet};

fn key(id: i32) -> ReplicaKey {
    ReplicaKey {
        id,
        directory_id: Uuid::from_u128(1_000 + id.unsigned_abs() as u128),
    }
}

fn endpoint(port: u16) -> VoterEndpoint {
    VoterEndpoint {
        name: "CONTROLLER".into(),
        host: "localhost".into(),
        port,
    }
}

fn voters(ids: &[i32]) -> VoterSet {
    VoterSet::new(ids.iter().map(|id| VoterNode {
        key: key(*id),
        endpoints: vec![endpoint(9093)],
        kraft_version_min: 0,
        kraft_version_max: 1,
    }))
}

/// A quorum of one sends nothing.
struct NoTransport;

impl Transport for NoTransport {
    fn send(&self, outgoing: Outgoing) {
        panic!("{outgoing:?}");
    }
}

fn config(dir: &Path) -> RaftConfig {
    let machine = Config {
        local: key(1),
        endpoints: vec![endpoint(9093)],
        listener_name: "CONTROLLER".into(),
        kraft_version_min: 0,
        kraft_version_max: 1,
        can_become_voter: true,
        auto_join: false,
        bootstrap_servers: Vec::new(),
        static_voters: VoterSet::default(),
        election_timeout_ms: 1_000,
        election_backoff_max_ms: 1_000,
        fetch_timeout_ms: 2_000,
        request_timeout_ms: 2_000,
        retry_backoff_ms: 20,
        fetch_max_wait_ms: 500,
        fetch_max_bytes: 1024 * 1024,
        fetch_snapshot_max_bytes: 1024 * 1024,
    };
    RaftConfig {
        machine,
        dir: dir.to_path_buf(),
        cluster_id: "cluster".into(),
    }
}

/// Writes the snapshot 0-0 that a formatted folder has.
fn format(dir: &Path, voters: &VoterSet) {
    use crate::metadata::snapshot::{KRaftState, Snapshot, SnapshotId, encode, write_file};
    let kraft = KRaftState {
        kraft_version: 1,
        voters: Some(crate::raft::quorum_records::voters_record(voters)),
    };
    let content = Snapshot {
        last_contained_log_timestamp_ms: 0,
        kraft,
        records: Vec::new(),
    };
    let path = dir.join(SnapshotId::BOOTSTRAP.file_name());
    if !path.exists() {
        write_file(&path, &encode(&content, 0, 0, 0).unwrap()).unwrap();
    }
}

fn open_with(
    config: RaftConfig,
    log: &Arc<MemoryLog>,
    voters: VoterSet,
) -> Result<RaftHandle, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store: Arc<dyn LogStore> = Arc::clone(log) as Arc<dyn LogStore>;
    if !voters.is_empty() {
        format(&config.dir, &voters);
    }
    let records = QuorumRecords {
        kraft_version: 1,
        voters,
    };
    start(config, store, records, |_| Box::new(NoTransport), clock)
}

fn open(dir: &Path, log: &Arc<MemoryLog>) -> RaftHandle {
    open_with(config(dir), log, voters(&[1])).unwrap()
}

fn one_record(base_offset: i64, epoch: i32) -> Result<Vec<Bytes>, std::convert::Infallible> {
    let mut batch = BatchBuilder::new()
        .with_base_offset(base_offset)
        .with_leader_epoch(epoch);
    batch.append(0, None, Some(b"value"), &[]).unwrap();
    Ok(vec![batch.build()])
}

async fn leading_epoch(raft: &RaftHandle) -> i32 {
    let mut status = raft.status();
    let leading = status.wait_for(|status| status.leading_epoch.is_some());
    let leading = tokio::time::timeout(Duration::from_secs(20), leading);
    leading.await.unwrap().unwrap().leading_epoch.unwrap()
}

async fn committed(raft: &RaftHandle, offset: i64) {
    let mut status = raft.status();
    let wait = status.wait_for(|status| status.high_watermark > offset);
    drop(
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .unwrap()
            .unwrap(),
    );
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_crash_and_offsets_and_epochs_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let raft = open(dir.path(), &log);
    let epoch = leading_epoch(&raft).await;
    let mut last = 0;
    for _ in 0..50 {
        last = raft
            .append(epoch, |offset| one_record(offset, epoch))
            .unwrap();
    }
    committed(&raft, last).await;
    // The crash: what was appended and not flushed is gone, and nobody was told otherwise.
    let after = Arc::new(log.crash());
    let high_watermark = raft.status().borrow().high_watermark;
    assert!(after.end().end_offset >= high_watermark);
    raft.shutdown().await;

    let raft = open(dir.path(), &after);
    let next_epoch = leading_epoch(&raft).await;
    assert_eq!(next_epoch, epoch + 1);
    committed(&raft, last).await;
    let stale = raft.append(epoch, |offset| one_record(offset, epoch));
    assert!(matches!(stale, Err(AppendError::NotLeader(_))));
    // Voters stand in the log once; a new epoch begins with the leader's name only.
    let first = raft
        .append(next_epoch, |offset| one_record(offset, next_epoch))
        .unwrap();
    assert_eq!(first, last + 2);
    raft.shutdown().await;
    let text = std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
    assert_eq!(ElectionState::from_json(&text).unwrap().epoch, next_epoch);
}

#[tokio::test]
async fn nothing_is_committed_when_the_disk_fails_and_the_node_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let raft = open(dir.path(), &log);
    let epoch = leading_epoch(&raft).await;
    let activation_offset = raft.status().borrow().activation_offset;
    committed(&raft, activation_offset).await;
    let before = raft.status().borrow().high_watermark;
    log.fail_flush();
    raft.append(epoch, |offset| one_record(offset, epoch))
        .unwrap();
    let mut status = raft.status();
    let failed = status.wait_for(|status| status.is_closed);
    let failed = tokio::time::timeout(Duration::from_secs(20), failed)
        .await
        .unwrap()
        .unwrap()
        .clone();
    assert!(failed.failure.unwrap().contains("no space left"));
    assert_eq!(
        (failed.high_watermark, failed.leading_epoch),
        (before, None)
    );
    assert!(
        raft.append(epoch, |offset| one_record(offset, epoch))
            .is_err()
    );
}

#[tokio::test]
async fn a_node_that_can_never_find_a_leader_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let refuse = |config: RaftConfig, voters: VoterSet| {
        let log = Arc::new(MemoryLog::default());
        open_with(config, &log, voters).unwrap_err()
    };
    let none = refuse(config(dir.path()), VoterSet::default());
    assert!(matches!(none, StartError::NoVoters(_)));
    let mut other_directory = config(dir.path());
    other_directory.machine.local.directory_id = Uuid::from_u128(77);
    let wiped = refuse(other_directory, voters(&[1]));
    assert!(matches!(wiped, StartError::NotAVoter { .. }));
    let dir = tempfile::tempdir().unwrap();
    let mut not_among = config(dir.path());
    not_among.machine.static_voters = voters(&[2, 3]);
    let missing = refuse(not_among, VoterSet::default());
    assert!(matches!(missing, StartError::NotAVoter { .. }));
    std::fs::write(dir.path().join(FILE_NAME), "{").unwrap();
    let damaged = refuse(config(dir.path()), voters(&[1]));
    assert!(matches!(damaged, StartError::QuorumState { .. }));
}

#[tokio::test]
async fn a_voter_that_has_moved_says_so_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let raft = open(dir.path(), &log);
    leading_epoch(&raft).await;
    raft.shutdown().await;
    let mut moved = config(dir.path());
    moved.machine.endpoints = vec![endpoint(19_093)];
    let raft = open_with(moved, &log, voters(&[1])).unwrap();
    leading_epoch(&raft).await;
    assert_eq!(raft.voters().get(1).unwrap().endpoints, [endpoint(19_093)]);
    // Below the record the old address is in force.
    assert_eq!(raft.quorum_records(3).voters, voters(&[1]));
    raft.shutdown().await;
}

/// A leader that has nothing but a snapshot, which it sends damaged as often as it is told.
struct SnapshotLeader {
    deliver: Deliver,
    snapshot: Vec<u8>,
    damaged: std::sync::atomic::AtomicUsize,
}

impl Transport for SnapshotLeader {
    fn send(&self, outgoing: Outgoing) {
        let leader = CurrentLeader {
            id: Some(2),
            epoch: 5,
            endpoints: vec![endpoint(9093)],
        };
        let id = SnapshotId {
            end_offset: 8,
            epoch: 1,
        };
        let answer = match outgoing.request {
            // A long poll that nothing comes of.
            Request::Fetch(fetch) if fetch.fetch_offset >= 8 => return,
            Request::Fetch(_) => {
                let response = FetchResponse {
                    error: ErrorCode::NONE,
                    leader,
                    high_watermark: 8,
                    log_start_offset: 8,
                    diverging_epoch: None,
                    snapshot_id: Some(id),
                    records: FetchRecords::None,
                };
                Ok((Response::Fetch(response), Bytes::new()))
            }
            Request::FetchSnapshot(_) => {
                let mut bytes = self.snapshot.clone();
                let left = &self.damaged;
                let next = |left: usize| left.checked_sub(1);
                use std::sync::atomic::Ordering::Relaxed;
                if left.fetch_update(Relaxed, Relaxed, next).is_ok() {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                }
                let size = bytes.len() as i64;
                let response = FetchSnapshotResponse {
                    error: ErrorCode::NONE,
                    leader,
                    snapshot_id: Some(id),
                    size,
                    position: 0,
                    bytes: size,
                };
                Ok((Response::FetchSnapshot(response), Bytes::from(bytes)))
            }
            _ => Err(ErrorCode::REQUEST_TIMED_OUT),
        };
        (self.deliver)(outgoing.correlation_id, answer);
    }
}

#[tokio::test]
async fn a_snapshot_that_comes_damaged_is_fetched_anew() {
    use crate::metadata::snapshot::{KRaftState, Snapshot, encode};
    let dir = tempfile::tempdir().unwrap();
    let quorum = voters(&[1, 2]);
    format(dir.path(), &quorum);
    let election = ElectionState {
        epoch: 5,
        leader_id: Some(2),
        ..ElectionState::default()
    };
    std::fs::write(dir.path().join(FILE_NAME), election.to_file(None)).unwrap();
    let kraft = KRaftState {
        kraft_version: 1,
        voters: Some(crate::raft::quorum_records::voters_record(&quorum)),
    };
    let content = Snapshot {
        last_contained_log_timestamp_ms: 0,
        kraft,
        records: Vec::new(),
    };
    let snapshot = encode(&content, 0, 0, 0).unwrap();
    let log = Arc::new(MemoryLog::default());
    let store: Arc<dyn LogStore> = Arc::clone(&log) as Arc<dyn LogStore>;
    let records = QuorumRecords {
        kraft_version: 1,
        voters: quorum,
    };
    let leader = |deliver| {
        Box::new(SnapshotLeader {
            deliver,
            snapshot: snapshot.clone(),
            damaged: 2.into(),
        }) as Box<dyn Transport>
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let raft = start(config(dir.path()), store, records, leader, clock).unwrap();
    committed(&raft, 7).await;
    assert!(raft.status().borrow().failure.is_none());
    assert_eq!(log.start_offset(), 8);
    let name = "00000000000000000008-0000000001.checkpoint";
    assert_eq!(std::fs::read(dir.path().join(name)).unwrap(), snapshot);
    raft.shutdown().await;
}

/// Every change of a file is once the last one before a crash.
#[tokio::test]
async fn what_was_committed_survives_a_crash_after_any_write() {
    use crate::log::fsx::faults::{self, Fault};
    use crate::log::{LogContext, LogDir};
    use crate::raft::log_store::{DiskLog, MetadataLogConfig, metadata_dir};
    let open = |dir: &Path| {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let context = LogContext::new(Arc::clone(&clock), LogDir::new(dir));
        let store = DiskLog::open(context, MetadataLogConfig::default(), None)
            .map_err(|error| error.to_string())?;
        let mut config = config(&metadata_dir(dir));
        config.machine.retry_backoff_ms = 1;
        let records = QuorumRecords {
            kraft_version: 1,
            voters: voters(&[1]),
        };
        start(
            config,
            Arc::new(store),
            records,
            |_| Box::new(NoTransport),
            clock,
        )
        .map_err(|error| error.to_string())
    };
    // Appends until the disk fails, or ten times. Returns the epoch and the last committed offset.
    async fn work(raft: &RaftHandle) -> (i32, i64) {
        let mut status = raft.status();
        let decided = status.wait_for(|now| now.leading_epoch.is_some() || now.is_closed);
        let decided = tokio::time::timeout(Duration::from_secs(20), decided).await;
        let Some(epoch) = decided.unwrap().unwrap().leading_epoch else {
            return (-1, -1);
        };
        for _ in 0..10 {
            let Ok(last) = raft.append(epoch, |offset| one_record(offset, epoch)) else {
                break;
            };
            let done = status.wait_for(|now| now.high_watermark > last || now.is_closed);
            let done = tokio::time::timeout(Duration::from_secs(20), done).await;
            drop(done.unwrap().unwrap());
        }
        (epoch, raft.status().borrow().high_watermark)
    }
    let mut n_crashes = 0;
    for n_changes in 0.. {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(metadata_dir(dir.path())).unwrap();
        format(&metadata_dir(dir.path()), &voters(&[1]));
        faults::set(dir.path(), Some(Fault::BrokenAfter(n_changes)));
        let (mut epoch, mut committed, mut has_failed) = (-1, -1, true);
        if let Ok(raft) = open(dir.path()) {
            (epoch, committed) = work(&raft).await;
            raft.shutdown().await;
            has_failed = raft.status().borrow().failure.is_some();
        }
        faults::set(dir.path(), None);
        let raft = open(dir.path()).unwrap();
        let (next_epoch, _) = work(&raft).await;
        assert!(
            next_epoch > epoch,
            "{n_changes}: epoch {next_epoch} after {epoch}"
        );
        // Ten records and those of the new epoch came after what was there.
        let end = raft.status().borrow().high_watermark;
        assert!(end > committed + 10, "{n_changes}: {end} after {committed}");
        raft.shutdown().await;
        if !has_failed {
            break;
        }
        n_crashes += 1;
    }
    assert!(n_crashes > 15, "{n_crashes}");
}
