//! Message structs for which kafka-protocol's own lack a field of Kafka 4.3.
//!
//! DescribeLogDirs 5 says of each directory whether it is cordoned (KIP-1066); AddRaftVoter 1 says
//! when it is to be answered. The structs inside of them are kafka-protocol's.
//!
//! Kafka: `DescribeLogDirsResponse.json`, `AddRaftVoterRequest.json` (4.3).

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::add_raft_voter_request as generated_voter;
use kafka_protocol::messages::describe_log_dirs_response as generated;
use kafka_protocol::messages::{ApiKey, BrokerHeartbeatRequest};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::codec::{self, Body, Malformed};
use super::shape::Direction;
use super::wire::{self, Reader};

pub use generated::{DescribeLogDirsPartition, DescribeLogDirsTopic};
pub use generated_voter::Listener as AddRaftVoterListener;

/// The answer to DescribeLogDirs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeLogDirsResponse {
    pub throttle_time_ms: i32,
    /// Since version 3.
    pub error_code: i16,
    pub results: Vec<DescribeLogDirsResult>,
}

/// One log directory.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribeLogDirsResult {
    pub error_code: i16,
    /// The absolute path.
    pub log_dir: StrBytes,
    pub topics: Vec<DescribeLogDirsTopic>,
    /// The size of the volume in bytes, -1 when unknown; since version 4.
    pub total_bytes: i64,
    /// What can be used of it; since version 4.
    pub usable_bytes: i64,
    /// No new partitions are placed in it; since version 5.
    pub is_cordoned: bool,
}

impl Default for DescribeLogDirsResult {
    fn default() -> DescribeLogDirsResult {
        DescribeLogDirsResult {
            error_code: 0,
            log_dir: StrBytes::new(),
            topics: Vec::new(),
            total_bytes: -1,
            usable_bytes: -1,
            is_cordoned: false,
        }
    }
}

/// The newest version that kafka-protocol codes.
const LAST_GENERATED: i16 = 4;

impl Body for DescribeLogDirsResponse {
    const KEY: ApiKey = ApiKey::DescribeLogDirs;
    const DIRECTION: Direction = Direction::Response;
    const VERSIONS: (i16, i16) = (1, 5);

    fn write(&self, version: i16, buffer: &mut BytesMut) -> Result<(), String> {
        if version <= LAST_GENERATED {
            return codec::write_generated(&self.to_generated(), version, buffer);
        }
        buffer.put_i32(self.throttle_time_ms);
        buffer.put_i16(self.error_code);
        wire::put_compact_array(buffer, &self.results, write_result)
            .map_err(|wire::Failure(text)| text)?;
        wire::put_uvarint(buffer, 0);
        Ok(())
    }

    fn read(version: i16, bytes: &mut Bytes) -> Result<Self, Malformed> {
        if version <= LAST_GENERATED {
            return Ok(DescribeLogDirsResponse::from_generated(
                codec::read_generated(version, bytes)?,
            ));
        }
        let mut reader = Reader::new(bytes);
        let response = DescribeLogDirsResponse {
            throttle_time_ms: reader.int32()?,
            error_code: reader.int16()?,
            results: reader.compact_array(read_result)?,
        };
        reader.skip_tagged_fields()?;
        Ok(response)
    }
}

fn write_result(
    result: &DescribeLogDirsResult,
    buffer: &mut BytesMut,
) -> Result<(), wire::Failure> {
    buffer.put_i16(result.error_code);
    wire::put_compact_string(buffer, &result.log_dir)?;
    wire::put_compact_array(buffer, &result.topics, |topic, buffer| {
        codec::write_generated(topic, LAST_GENERATED, buffer).map_err(wire::Failure)
    })?;
    buffer.put_i64(result.total_bytes);
    buffer.put_i64(result.usable_bytes);
    buffer.put_u8(u8::from(result.is_cordoned));
    wire::put_uvarint(buffer, 0);
    Ok(())
}

fn read_result(reader: &mut Reader<'_>) -> Result<DescribeLogDirsResult, Malformed> {
    let result = DescribeLogDirsResult {
        error_code: reader.int16()?,
        log_dir: reader.compact_string()?,
        topics: reader
            .compact_array(|reader| codec::read_generated(LAST_GENERATED, reader.rest()))?,
        total_bytes: reader.int64()?,
        usable_bytes: reader.int64()?,
        is_cordoned: reader.bool()?,
    };
    reader.skip_tagged_fields()?;
    Ok(result)
}

impl DescribeLogDirsResponse {
    fn to_generated(&self) -> generated::DescribeLogDirsResponse {
        let result = |result: &DescribeLogDirsResult| {
            generated::DescribeLogDirsResult::default()
                .with_error_code(result.error_code)
                .with_log_dir(result.log_dir.clone())
                .with_topics(result.topics.clone())
                .with_total_bytes(result.total_bytes)
                .with_usable_bytes(result.usable_bytes)
        };
        generated::DescribeLogDirsResponse::default()
            .with_throttle_time_ms(self.throttle_time_ms)
            .with_error_code(self.error_code)
            .with_results(self.results.iter().map(result).collect())
    }

    fn from_generated(from: generated::DescribeLogDirsResponse) -> DescribeLogDirsResponse {
        let result = |result: generated::DescribeLogDirsResult| DescribeLogDirsResult {
            error_code: result.error_code,
            log_dir: result.log_dir,
            topics: result.topics,
            total_bytes: result.total_bytes,
            usable_bytes: result.usable_bytes,
            is_cordoned: false,
        };
        DescribeLogDirsResponse {
            throttle_time_ms: from.throttle_time_ms,
            error_code: from.error_code,
            results: from.results.into_iter().map(result).collect(),
        }
    }
}

/// The tag of CordonedLogDirs in BrokerHeartbeat 2.
const CORDONED_LOG_DIRS_TAG: i32 = 1;

/// CordonedLogDirs of BrokerHeartbeat 2 (KIP-1066): the directories that get no new replicas, or
/// nothing as long as the broker doesn't know. It is kept among the unknown fields, because
/// kafka-protocol's struct ends with version 1.
///
/// # Errors
/// If the field is not an array of ids.
pub fn cordoned_log_dirs(
    request: &BrokerHeartbeatRequest,
) -> Result<Option<Vec<Uuid>>, wire::WireError> {
    let Some(field) = request.unknown_tagged_fields.get(&CORDONED_LOG_DIRS_TAG) else {
        return Ok(None);
    };
    Reader::new(&mut field.clone()).compact_nullable_array(|reader| reader.uuid())
}

/// Sets what [`cordoned_log_dirs`] reads, for version 2.
pub fn set_cordoned_log_dirs(request: &mut BrokerHeartbeatRequest, dirs: &[Uuid]) {
    let mut field = BytesMut::with_capacity(5 + dirs.len() * 16);
    // There are no more directories than fit in 32 bits.
    wire::put_uvarint(&mut field, u32::try_from(dirs.len() + 1).unwrap_or(0));
    for dir in dirs {
        field.put_u128(dir.as_u128());
    }
    let fields = &mut request.unknown_tagged_fields;
    fields.insert(CORDONED_LOG_DIRS_TAG, field.freeze());
}

/// A request to make a replica a voter of the metadata quorum.
#[derive(Clone, Debug, PartialEq)]
pub struct AddRaftVoterRequest {
    pub cluster_id: Option<StrBytes>,
    /// How long the answer may take.
    pub timeout_ms: i32,
    pub voter_id: i32,
    pub voter_directory_id: Uuid,
    pub listeners: Vec<AddRaftVoterListener>,
    /// Whether the answer comes when the new voter set is committed, or when it is in the leader's
    /// log; since version 1, before always true.
    pub ack_when_committed: bool,
}

impl Default for AddRaftVoterRequest {
    fn default() -> AddRaftVoterRequest {
        AddRaftVoterRequest {
            cluster_id: None,
            timeout_ms: 0,
            voter_id: 0,
            voter_directory_id: Uuid::nil(),
            listeners: Vec::new(),
            ack_when_committed: true,
        }
    }
}

impl Body for AddRaftVoterRequest {
    const KEY: ApiKey = ApiKey::AddRaftVoter;
    const DIRECTION: Direction = Direction::Request;
    const VERSIONS: (i16, i16) = (0, 1);

    fn write(&self, version: i16, buffer: &mut BytesMut) -> Result<(), String> {
        let text = |error: wire::WireError| error.to_string();
        wire::put_compact_nullable_string(buffer, self.cluster_id.as_deref()).map_err(text)?;
        buffer.put_i32(self.timeout_ms);
        buffer.put_i32(self.voter_id);
        buffer.put_u128(self.voter_directory_id.as_u128());
        wire::put_compact_array(buffer, &self.listeners, |listener, buffer| {
            codec::write_generated(listener, 0, buffer).map_err(wire::Failure)
        })
        .map_err(|wire::Failure(text)| text)?;
        if version >= 1 {
            buffer.put_u8(u8::from(self.ack_when_committed));
        } else if !self.ack_when_committed {
            return Err("ack_when_committed is set, which this version lacks".to_owned());
        }
        wire::put_uvarint(buffer, 0);
        Ok(())
    }

    fn read(version: i16, bytes: &mut Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let request = AddRaftVoterRequest {
            cluster_id: reader.compact_nullable_string()?,
            timeout_ms: reader.int32()?,
            voter_id: reader.int32()?,
            voter_directory_id: reader.uuid()?,
            listeners: reader.compact_array(|reader| codec::read_generated(0, reader.rest()))?,
            ack_when_committed: version == 0 || reader.bool()?,
        };
        reader.skip_tagged_fields()?;
        Ok(request)
    }
}
