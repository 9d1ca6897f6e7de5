//! The records of control batches: transaction markers and KRaft's own records.
//!
//! A control record's key is two int16: key version 0 and the record type. Values of KRaft
//! records start with their own `version` field; a transaction marker's value has a version
//! prefix instead. Follows Kafka's `ControlRecordType`, `ControlRecordUtils`,
//! `EndTransactionMarker` and KIP-595, KIP-630, KIP-853.

use crate::schema;
use crate::schema::{Reader, Schema, SchemaError, Uuid};

const KEY_VERSION: i16 = 0;

/// What a control record is, by the second int16 of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlRecordType {
    Abort,
    Commit,
    LeaderChange,
    SnapshotHeader,
    SnapshotFooter,
    KRaftVersion,
    KRaftVoters,
    /// A type of a later Kafka, to be skipped.
    Unknown(i16),
}

impl ControlRecordType {
    pub fn id(self) -> i16 {
        match self {
            ControlRecordType::Abort => 0,
            ControlRecordType::Commit => 1,
            ControlRecordType::LeaderChange => 2,
            ControlRecordType::SnapshotHeader => 3,
            ControlRecordType::SnapshotFooter => 4,
            ControlRecordType::KRaftVersion => 5,
            ControlRecordType::KRaftVoters => 6,
            ControlRecordType::Unknown(id) => id,
        }
    }

    pub fn from_id(id: i16) -> ControlRecordType {
        match id {
            0 => ControlRecordType::Abort,
            1 => ControlRecordType::Commit,
            2 => ControlRecordType::LeaderChange,
            3 => ControlRecordType::SnapshotHeader,
            4 => ControlRecordType::SnapshotFooter,
            5 => ControlRecordType::KRaftVersion,
            6 => ControlRecordType::KRaftVoters,
            id => ControlRecordType::Unknown(id),
        }
    }

    /// The key of a control record. Key versions above 0 are read as version 0, as Kafka does.
    pub fn parse_key(key: &[u8]) -> Result<ControlRecordType, SchemaError> {
        let mut reader = Reader::new(key);
        let version = reader.i16()?;
        if version < KEY_VERSION {
            return Err(SchemaError::UnsupportedVersion {
                schema: "ControlRecordKey",
                version,
            });
        }
        Ok(ControlRecordType::from_id(reader.i16()?))
    }

    pub fn to_key(self) -> [u8; 4] {
        let ([a, b], [c, d]) = (KEY_VERSION.to_be_bytes(), self.id().to_be_bytes());
        [a, b, c, d]
    }
}

schema! {
    /// Value of a commit or abort marker, after the version prefix.
    pub struct EndTxnMarker, versions 0..=0, flexible never {
        coordinator_epoch: i32;
    }

    /// First record of a KRaft leader's epoch.
    pub struct LeaderChange, versions 0..=1, flexible 0 {
        version: i16;
        leader_id: i32;
        voters: Vec<LeaderChangeVoter>;
        granting_voters: Vec<LeaderChangeVoter>;
    }

    /// A voter named by [`LeaderChange`].
    pub struct LeaderChangeVoter, versions 0..=1, flexible 0 {
        voter_id: i32;
        voter_directory_id: Uuid, since 1;
    }

    /// The finalized kraft.version.
    pub struct KRaftVersion, versions 0..=0, flexible 0 {
        version: i16;
        kraft_version: i16;
    }

    /// The voter set from this offset on.
    pub struct Voters, versions 0..=0, flexible 0 {
        version: i16;
        voters: Vec<Voter>;
    }

    /// One member of [`Voters`].
    pub struct Voter, versions 0..=0, flexible 0 {
        voter_id: i32;
        voter_directory_id: Uuid;
        endpoints: Vec<VoterEndpoint>;
        kraft_version_feature: KRaftVersionFeature;
    }

    /// Where a voter listens.
    pub struct VoterEndpoint, versions 0..=0, flexible 0 {
        name: String;
        host: String;
        port: u16;
    }

    /// The kraft.version range that a voter supports, both ends inclusive.
    pub struct KRaftVersionFeature, versions 0..=0, flexible 0 {
        min_supported_version: i16;
        max_supported_version: i16;
    }

    /// First record of a snapshot file.
    pub struct SnapshotHeader, versions 0..=0, flexible 0 {
        version: i16;
        last_contained_log_timestamp: i64;
    }

    /// Last record of a snapshot file.
    pub struct SnapshotFooter, versions 0..=0, flexible 0 {
        version: i16;
    }
}

/// A control record with its value decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum ControlRecord {
    Abort(EndTxnMarker),
    Commit(EndTxnMarker),
    LeaderChange(LeaderChange),
    SnapshotHeader(SnapshotHeader),
    SnapshotFooter(SnapshotFooter),
    KRaftVersion(KRaftVersion),
    Voters(Voters),
    /// A type of a later Kafka; the value is not looked at.
    Unknown(i16),
}

impl ControlRecord {
    /// Decodes key and value of a record of a control batch.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<ControlRecord, SchemaError> {
        Ok(match ControlRecordType::parse_key(key)? {
            ControlRecordType::Abort => ControlRecord::Abort(decode_marker(value)?),
            ControlRecordType::Commit => ControlRecord::Commit(decode_marker(value)?),
            ControlRecordType::LeaderChange => ControlRecord::LeaderChange(decode_kraft(value)?),
            ControlRecordType::SnapshotHeader => {
                ControlRecord::SnapshotHeader(decode_kraft(value)?)
            }
            ControlRecordType::SnapshotFooter => {
                ControlRecord::SnapshotFooter(decode_kraft(value)?)
            }
            ControlRecordType::KRaftVersion => ControlRecord::KRaftVersion(decode_kraft(value)?),
            ControlRecordType::KRaftVoters => ControlRecord::Voters(decode_kraft(value)?),
            ControlRecordType::Unknown(id) => ControlRecord::Unknown(id),
        })
    }

    pub fn record_type(&self) -> ControlRecordType {
        match self {
            ControlRecord::Abort(_) => ControlRecordType::Abort,
            ControlRecord::Commit(_) => ControlRecordType::Commit,
            ControlRecord::LeaderChange(_) => ControlRecordType::LeaderChange,
            ControlRecord::SnapshotHeader(_) => ControlRecordType::SnapshotHeader,
            ControlRecord::SnapshotFooter(_) => ControlRecordType::SnapshotFooter,
            ControlRecord::KRaftVersion(_) => ControlRecordType::KRaftVersion,
            ControlRecord::Voters(_) => ControlRecordType::KRaftVoters,
            ControlRecord::Unknown(id) => ControlRecordType::Unknown(*id),
        }
    }

    /// Key and value of the record. KRaft records are encoded at the version that their
    /// `version` field names. An unknown record has no encoding.
    pub fn encode(&self) -> Result<([u8; 4], Vec<u8>), SchemaError> {
        let mut value = Vec::new();
        match self {
            ControlRecord::Abort(marker) | ControlRecord::Commit(marker) => {
                value = marker.encode_versioned(0)?;
            }
            ControlRecord::LeaderChange(change) => change.encode(&mut value, change.version)?,
            ControlRecord::SnapshotHeader(header) => header.encode(&mut value, header.version)?,
            ControlRecord::SnapshotFooter(footer) => footer.encode(&mut value, footer.version)?,
            ControlRecord::KRaftVersion(record) => record.encode(&mut value, record.version)?,
            ControlRecord::Voters(voters) => voters.encode(&mut value, voters.version)?,
            ControlRecord::Unknown(id) => {
                return Err(SchemaError::UnknownType {
                    kind: "control record",
                    id: i32::from(*id),
                });
            }
        }
        Ok((self.record_type().to_key(), value))
    }
}

/// A marker of a later version starts with the fields of the last one that we know.
fn decode_marker(value: &[u8]) -> Result<EndTxnMarker, SchemaError> {
    let mut reader = Reader::new(value);
    let version = reader.i16()?.min(*EndTxnMarker::VERSIONS.end());
    EndTxnMarker::decode(&mut reader, version)
}

/// The version is the first field of the value itself.
fn decode_kraft<T: Schema>(value: &[u8]) -> Result<T, SchemaError> {
    let version = Reader::new(value).i16()?;
    T::decode(&mut Reader::new(value), version)
}

#[cfg(test)]
mod tests;
