//! From what is on disk to a running thread.

use std::path::Path;
use std::sync::{Arc, Weak};

use kafka_shared::task;
use kafka_shared::time::Clock;
use kafka_shared::types::uuid_to_base64;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::handle::RaftHandle;
use super::thread::Thread;
use super::{Command, Inbox, LeaderAndEpoch, RaftConfig, Shared, StartError, Status};
use crate::metadata::loader::Committed;
use crate::raft::machine::{Raft, Start};
use crate::raft::quorum_records::{QuorumRecord, QuorumRecords, scan};
use crate::raft::quorum_state::{ElectionState, FILE_NAME};
use crate::raft::snapshots;
use crate::raft::store::LogStore;
use crate::raft::transport::{Deliver, Transport};
use crate::raft::voters::VoterSet;

/// Starts Raft on an open log. `snapshot_records` is what the newest snapshot says. `transport` is
/// made with the function that takes the answers.
///
/// # Errors
/// If the log or the quorum-state file can't be read, or this node can never find a leader.
pub fn start(
    config: RaftConfig,
    store: Arc<dyn LogStore>,
    snapshot_records: QuorumRecords,
    transport: impl FnOnce(Deliver) -> Box<dyn Transport>,
    clock: Arc<dyn Clock>,
) -> Result<RaftHandle, StartError> {
    let start = read(&config, &*store, snapshot_records)?;
    check_voters(&config, &start)?;
    // What another process has written may be in the page cache only.
    store.flush()?;
    let snapshot_end = start.snapshots.iter().map(|id| id.end_offset).max();
    let snapshot_end = snapshot_end.unwrap_or(0);
    let local = config.machine.local;
    let seed = u64::try_from(clock.wall_ms()).unwrap_or(0)
        ^ u64::from(local.id.unsigned_abs()) << 48
        ^ local.directory_id.as_u64_pair().0;
    let now_ms = clock.monotonic_ms();
    let raft = Raft::new(config.machine.clone(), start, seed, now_ms);
    let status = Status {
        leader: LeaderAndEpoch {
            leader_id: -1,
            epoch: raft.epoch(),
        },
        leader_endpoints: Vec::new(),
        leading_epoch: None,
        activation_offset: -1,
        high_watermark: snapshot_end,
        failure: None,
        is_closed: false,
    };
    let inbox = Inbox {
        epoch: None,
        next_offset: store.end().end_offset,
        batches: Default::default(),
        bytes: 0,
        commands: Default::default(),
        stop_within_ms: None,
        is_closed: false,
    };
    let shared = Arc::new_cyclic(|weak: &Weak<Shared>| Shared {
        inbox: Mutex::new(inbox),
        wake: Condvar::new(),
        status: watch::Sender::new(status),
        committed: watch::Sender::new(Committed {
            high_watermark: snapshot_end,
            is_closed: false,
        }),
        raft: Mutex::new(raft),
        store,
        transport: transport(deliver(weak.clone())),
        clock,
        config,
    });
    let thread = Thread::new(Arc::clone(&shared));
    drop(task::spawn_blocking("raft", move || thread.run()));
    Ok(RaftHandle::new(shared))
}

/// Gives answers to the thread, as long as there is one.
fn deliver(shared: Weak<Shared>) -> Deliver {
    Arc::new(move |correlation_id, answer| {
        if let Some(shared) = shared.upgrade() {
            shared.command(Command::Answered {
                correlation_id,
                answer,
            });
        }
    })
}

fn read(
    config: &RaftConfig,
    store: &dyn LogStore,
    snapshot_records: QuorumRecords,
) -> Result<Start, StartError> {
    let election = read_election(&config.dir)?;
    let snapshots = snapshots::list(&config.dir).map_err(|source| StartError::Dir {
        path: config.dir.clone(),
        source,
    })?;
    let snapshot_end = snapshots.last().map_or(0, |id| id.end_offset);
    let control = scan(store, snapshot_end)?;
    Ok(Start {
        election,
        log_start_offset: store.start_offset(),
        log_end_offset: store.end().end_offset,
        epochs: store.epochs(),
        snapshots,
        snapshot_records,
        control,
    })
}

fn read_election(dir: &Path) -> Result<ElectionState, StartError> {
    let path = dir.join(FILE_NAME);
    match std::fs::read_to_string(&path) {
        Ok(text) => ElectionState::from_json(&text)
            .map_err(|reason| StartError::QuorumState { path, reason }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ElectionState::default()),
        Err(error) => Err(StartError::QuorumState {
            path,
            reason: error.to_string(),
        }),
    }
}

/// Refuses what could never come to a leader, so that it is seen at once.
fn check_voters(config: &RaftConfig, start: &Start) -> Result<(), StartError> {
    let machine = &config.machine;
    let in_log = start
        .control
        .iter()
        .rev()
        .find_map(|(_, record)| match record {
            QuorumRecord::Voters(voters) => Some(voters),
            QuorumRecord::KRaftVersion(_) => None,
        });
    let dynamic = in_log.unwrap_or(&start.snapshot_records.voters);
    let is_static = dynamic.is_empty();
    let voters = if is_static {
        &machine.static_voters
    } else {
        dynamic
    };
    if voters.is_empty() && machine.bootstrap_servers.is_empty() {
        return Err(StartError::NoVoters(config.dir.clone()));
    }
    let is_missing = !voters.contains(machine.local);
    // Another voter could add this node, or tell it of a change that is not in its log yet.
    let is_alone = voters.len() == 1 && voters.get(machine.local.id).is_some();
    let is_static_controller = is_static && !voters.is_empty() && machine.can_become_voter;
    if is_missing && (is_alone || is_static_controller) {
        return Err(not_a_voter(config, voters));
    }
    Ok(())
}

fn not_a_voter(config: &RaftConfig, voters: &VoterSet) -> StartError {
    let local = config.machine.local;
    let ids: Vec<_> = voters
        .iter()
        .map(|voter| voter.key.id.to_string())
        .collect();
    StartError::NotAVoter {
        node_id: local.id,
        directory_id: uuid_to_base64(local.directory_id),
        voters: ids.join(", "),
    }
}
