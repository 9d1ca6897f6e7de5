//! What Raft itself remembers in the log: kraft.version and the voter set, in control records.
//!
//! Both are in force from the offset at which they stand, committed or not.
//!
//! Kafka: `raft/internals/KRaftControlRecordStateMachine.java` (4.3), KIP-853.

use kafka_shared::record::batch::{Batch, batches};
use kafka_shared::record::control::{
    ControlRecord, KRaftVersionFeature, Voter, VoterEndpoint as EndpointRecord, Voters,
};
use kafka_shared::record::iter::records;

use super::driver::StartError;
use super::rpc::{BatchInfo, Fetched};
use super::store::LogStore;
use super::voters::{ReplicaKey, VoterEndpoint, VoterNode, VoterSet};

/// How much is read at once while the log is scanned for control records.
const SCAN_BYTES: usize = 4 * 1024 * 1024;

/// One of Raft's own records.
#[derive(Debug, Clone, PartialEq)]
pub enum QuorumRecord {
    KRaftVersion(i16),
    Voters(VoterSet),
}

impl QuorumRecord {
    /// What a control record says, if it is one of Raft's own.
    pub fn of(record: &ControlRecord) -> Option<Self> {
        match record {
            ControlRecord::KRaftVersion(record) => Some(Self::KRaftVersion(record.kraft_version)),
            ControlRecord::Voters(record) => Some(Self::Voters(voter_set(record))),
            _ => None,
        }
    }
}

/// What Raft itself remembers: from a snapshot, then from the log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QuorumRecords {
    pub kraft_version: i16,
    pub voters: VoterSet,
}

/// Collects Raft's own records from the log, from an offset on, with their offsets.
pub(super) fn scan(
    store: &dyn LogStore,
    from: i64,
) -> Result<Vec<(i64, QuorumRecord)>, StartError> {
    let end = store.end().end_offset;
    let mut offset = from.max(store.start_offset());
    let mut found = Vec::new();
    while offset < end {
        let bytes = store.read(offset, end, SCAN_BYTES)?;
        let damaged = |reason: String| StartError::Damaged { offset, reason };
        let mut next = offset;
        for batch in batches(&bytes) {
            let batch = batch.map_err(|error| damaged(error.to_string()))?;
            next = batch.next_offset();
            let control = control_records(&batch);
            found.extend(control.ok_or_else(|| damaged("a control record is broken".into()))?);
        }
        if next == offset {
            return Err(damaged("the log ends within a batch".into()));
        }
        offset = next;
    }
    found.retain(|(offset, _)| *offset >= from);
    Ok(found)
}

/// What the bytes of a fetch response hold, from `from` (the local log's end) on, and the length of
/// those bytes that are worth appending. It ends before the first batch that is damaged, doesn't
/// follow on the one before, or has an epoch that is less than the one before or greater than
/// `epoch`, the one of the fetch.
pub fn fetched(bytes: &[u8], from: i64, epoch: i32) -> (Fetched, usize) {
    let mut fetched = Fetched::default();
    let mut len = 0;
    let mut next_offset = from;
    let mut last_epoch = 0;
    for batch in batches(bytes) {
        let Ok(batch) = batch else { break };
        let info = BatchInfo {
            base_offset: batch.base_offset(),
            next_offset: batch.next_offset(),
            epoch: batch.header().partition_leader_epoch,
        };
        let follows = info.base_offset == next_offset && info.next_offset > info.base_offset;
        if !follows || info.epoch < last_epoch || info.epoch > epoch || batch.check_crc().is_err() {
            break;
        }
        let Some(control) = control_records(&batch) else {
            break;
        };
        fetched.control.extend(control);
        fetched.batches.push(info);
        len += batch.size_in_bytes();
        next_offset = info.next_offset;
        last_epoch = info.epoch;
    }
    (fetched, len)
}

/// Raft's own records in a batch by offset; `None` if it can't be read.
fn control_records(batch: &Batch<'_>) -> Option<Vec<(i64, QuorumRecord)>> {
    if !batch.is_control() {
        return Some(Vec::new());
    }
    let mut found = Vec::new();
    for record in records(batch, SCAN_BYTES).ok()?.iter() {
        let record = record.ok()?;
        let control = ControlRecord::decode(record.key?, record.value?).ok()?;
        found.extend(QuorumRecord::of(&control).map(|control| (record.offset, control)));
    }
    Some(found)
}

/// The voter set of a control record.
pub fn voter_set(record: &Voters) -> VoterSet {
    let endpoint = |endpoint: &EndpointRecord| VoterEndpoint {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    };
    VoterSet::new(record.voters.iter().map(|voter| VoterNode {
        key: ReplicaKey {
            id: voter.voter_id,
            directory_id: voter.voter_directory_id,
        },
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        kraft_version_min: voter.kraft_version_feature.min_supported_version,
        kraft_version_max: voter.kraft_version_feature.max_supported_version,
    }))
}

/// The control record of a voter set.
pub fn voters_record(voters: &VoterSet) -> Voters {
    let endpoint = |endpoint: &VoterEndpoint| EndpointRecord {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    };
    let voter = |voter: &VoterNode| Voter {
        voter_id: voter.key.id,
        voter_directory_id: voter.key.directory_id,
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        kraft_version_feature: KRaftVersionFeature {
            min_supported_version: voter.kraft_version_min,
            max_supported_version: voter.kraft_version_max,
        },
    };
    Voters {
        version: 0,
        voters: voters.iter().map(voter).collect(),
    }
}
