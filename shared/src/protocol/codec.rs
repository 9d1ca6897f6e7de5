//! One message body at one version, to bytes and back.
//!
//! Decoding first lets [`shape`](super::shape) check the bytes: the generated decoders of
//! kafka-protocol reserve memory by lengths from the wire, and a hostile one would abort the
//! process. Nothing else in the workspace decodes a request or a response.
//!
//! Bytes after a request are accepted, as Kafka accepts them: a client may know tagged fields or
//! padding that we don't. [`decode_request`] leaves them in the buffer.
//!
//! kafka-protocol 0.18 is generated from Kafka 4.1. What Kafka 4.3 has beyond it and is spoken
//! here is coded in `codec/newer.rs`, [`messages`](super::messages) and
//! [`share_offsets`](super::share_offsets); [`versions`] is the truth
//! about what works, and a test proves it.

mod newer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::RangeInclusive;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, Message};

use super::api;
use super::frame::LENGTH_BYTES;
use super::header;
use super::messages::{AddRaftVoterRequest, DescribeLogDirsResponse};
use super::shape::{self, Direction, ShapeError};
use super::share_offsets::DescribeShareGroupOffsetsResponse;
use super::wire::WireError;

/// Why a body could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{} version {version} cannot be read", api::name(*.key as i16))]
    UnsupportedVersion { key: ApiKey, version: i16 },
    #[error("{} version {version} is malformed: {reason}", api::name(*.key as i16))]
    Malformed {
        key: ApiKey,
        version: i16,
        reason: Malformed,
    },
}

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error(transparent)]
    Shape(#[from] ShapeError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("{0}")]
    Field(String),
}

/// Why a body could not be encoded: as good as always, a field is set that the version lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} version {version} cannot be written: {reason}", api::name(*.key as i16))]
pub struct EncodeError {
    pub key: ApiKey,
    pub version: i16,
    pub reason: String,
}

/// A request or a response.
pub trait Body: Sized + Default + Clone + PartialEq + fmt::Debug + Send + Sync + 'static {
    const KEY: ApiKey;
    const DIRECTION: Direction;
    /// The oldest and the newest version that both directions of coding work for.
    const VERSIONS: (i16, i16);

    /// Writes the fields; the version is one of [`Body::VERSIONS`].
    #[doc(hidden)]
    fn write(&self, version: i16, buffer: &mut BytesMut) -> Result<(), String>;

    /// Reads the fields from bytes whose shape has been checked.
    #[doc(hidden)]
    fn read(version: i16, bytes: &mut Bytes) -> Result<Self, Malformed>;
}

/// A request, which knows its response.
pub trait Request: Body {
    type Response: Response;
}

/// A response.
pub trait Response: Body {}

pub(super) fn write_generated(
    body: &impl Encodable,
    version: i16,
    buffer: &mut BytesMut,
) -> Result<(), String> {
    body.encode(buffer, version)
        .map_err(|error| error.to_string())
}

pub(super) fn read_generated<T: Decodable>(
    version: i16,
    bytes: &mut Bytes,
) -> Result<T, Malformed> {
    T::decode(bytes, version).map_err(|error| Malformed::Field(error.to_string()))
}

macro_rules! generated_body {
    ($key:ident, $direction:ident, $body:ty) => {
        impl Body for $body {
            const KEY: ApiKey = ApiKey::$key;
            const DIRECTION: Direction = Direction::$direction;
            const VERSIONS: (i16, i16) = (
                <$body as Message>::VERSIONS.min,
                <$body as Message>::VERSIONS.max,
            );

            fn write(&self, version: i16, buffer: &mut BytesMut) -> Result<(), String> {
                write_generated(self, version, buffer)
            }

            fn read(version: i16, bytes: &mut Bytes) -> Result<Self, Malformed> {
                read_generated(version, bytes)
            }
        }
    };
}

/// Every API, with its two messages and which of them are coded by kafka-protocol alone.
macro_rules! apis {
    (
        generated { $($both:ident: $both_request:ident, $both_response:ident;)* }
        own_request { $($half:ident: $half_request:ident, $half_response:ident;)* }
        own { $($own:ident: $own_request:ident, $own_response:ident;)* }
    ) => {
        $(
            generated_body!($both, Request, $both_request);
            generated_body!($both, Response, $both_response);
        )*
        $(generated_body!($half, Response, $half_response);)*
        apis!(@pairs $($both_request $both_response)* $($half_request $half_response)*
            $($own_request $own_response)*);

        pub(super) fn name(key: ApiKey) -> &'static str {
            match key {
                $(ApiKey::$both => stringify!($both),)*
                $(ApiKey::$half => stringify!($half),)*
                $(ApiKey::$own => stringify!($own),)*
            }
        }

        /// The versions in which both messages of an API can be coded.
        pub(super) fn versions(key: ApiKey) -> RangeInclusive<i16> {
            match key {
                $(ApiKey::$both => common::<$both_request>(),)*
                $(ApiKey::$half => common::<$half_request>(),)*
                $(ApiKey::$own => common::<$own_request>(),)*
            }
        }

        /// Runs `visit` for every request type.
        #[cfg(test)]
        fn each_api(visit: &mut impl tests::Visit) {
            $(visit.api::<$both_request>();)*
            $(visit.api::<$half_request>();)*
            $(visit.api::<$own_request>();)*
        }
    };
    (@pairs $($request:ident $response:ident)*) => {
        $(
            impl Request for $request {
                type Response = $response;
            }
            impl Response for $response {}
        )*
    };
}

fn common<R: Request>() -> RangeInclusive<i16> {
    let (request, response) = (R::VERSIONS, <R::Response as Body>::VERSIONS);
    request.0.max(response.0)..=request.1.min(response.1)
}

apis! {
    generated {
        Produce: ProduceRequest, ProduceResponse;
        Fetch: FetchRequest, FetchResponse;
        Metadata: MetadataRequest, MetadataResponse;
        FindCoordinator: FindCoordinatorRequest, FindCoordinatorResponse;
        JoinGroup: JoinGroupRequest, JoinGroupResponse;
        Heartbeat: HeartbeatRequest, HeartbeatResponse;
        LeaveGroup: LeaveGroupRequest, LeaveGroupResponse;
        SyncGroup: SyncGroupRequest, SyncGroupResponse;
        DescribeGroups: DescribeGroupsRequest, DescribeGroupsResponse;
        ListGroups: ListGroupsRequest, ListGroupsResponse;
        SaslHandshake: SaslHandshakeRequest, SaslHandshakeResponse;
        ApiVersions: ApiVersionsRequest, ApiVersionsResponse;
        CreateTopics: CreateTopicsRequest, CreateTopicsResponse;
        DeleteTopics: DeleteTopicsRequest, DeleteTopicsResponse;
        DeleteRecords: DeleteRecordsRequest, DeleteRecordsResponse;
        InitProducerId: InitProducerIdRequest, InitProducerIdResponse;
        OffsetForLeaderEpoch: OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse;
        AddPartitionsToTxn: AddPartitionsToTxnRequest, AddPartitionsToTxnResponse;
        AddOffsetsToTxn: AddOffsetsToTxnRequest, AddOffsetsToTxnResponse;
        EndTxn: EndTxnRequest, EndTxnResponse;
        WriteTxnMarkers: WriteTxnMarkersRequest, WriteTxnMarkersResponse;
        TxnOffsetCommit: TxnOffsetCommitRequest, TxnOffsetCommitResponse;
        DescribeAcls: DescribeAclsRequest, DescribeAclsResponse;
        CreateAcls: CreateAclsRequest, CreateAclsResponse;
        DeleteAcls: DeleteAclsRequest, DeleteAclsResponse;
        DescribeConfigs: DescribeConfigsRequest, DescribeConfigsResponse;
        AlterConfigs: AlterConfigsRequest, AlterConfigsResponse;
        AlterReplicaLogDirs: AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse;
        SaslAuthenticate: SaslAuthenticateRequest, SaslAuthenticateResponse;
        CreatePartitions: CreatePartitionsRequest, CreatePartitionsResponse;
        CreateDelegationToken: CreateDelegationTokenRequest, CreateDelegationTokenResponse;
        RenewDelegationToken: RenewDelegationTokenRequest, RenewDelegationTokenResponse;
        ExpireDelegationToken: ExpireDelegationTokenRequest, ExpireDelegationTokenResponse;
        DescribeDelegationToken: DescribeDelegationTokenRequest, DescribeDelegationTokenResponse;
        DeleteGroups: DeleteGroupsRequest, DeleteGroupsResponse;
        ElectLeaders: ElectLeadersRequest, ElectLeadersResponse;
        IncrementalAlterConfigs: IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse;
        AlterPartitionReassignments: AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse;
        ListPartitionReassignments: ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse;
        OffsetDelete: OffsetDeleteRequest, OffsetDeleteResponse;
        DescribeClientQuotas: DescribeClientQuotasRequest, DescribeClientQuotasResponse;
        AlterClientQuotas: AlterClientQuotasRequest, AlterClientQuotasResponse;
        DescribeUserScramCredentials: DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse;
        AlterUserScramCredentials: AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse;
        Vote: VoteRequest, VoteResponse;
        BeginQuorumEpoch: BeginQuorumEpochRequest, BeginQuorumEpochResponse;
        EndQuorumEpoch: EndQuorumEpochRequest, EndQuorumEpochResponse;
        DescribeQuorum: DescribeQuorumRequest, DescribeQuorumResponse;
        AlterPartition: AlterPartitionRequest, AlterPartitionResponse;
        UpdateFeatures: UpdateFeaturesRequest, UpdateFeaturesResponse;
        Envelope: EnvelopeRequest, EnvelopeResponse;
        FetchSnapshot: FetchSnapshotRequest, FetchSnapshotResponse;
        DescribeCluster: DescribeClusterRequest, DescribeClusterResponse;
        DescribeProducers: DescribeProducersRequest, DescribeProducersResponse;
        BrokerRegistration: BrokerRegistrationRequest, BrokerRegistrationResponse;
        UnregisterBroker: UnregisterBrokerRequest, UnregisterBrokerResponse;
        DescribeTransactions: DescribeTransactionsRequest, DescribeTransactionsResponse;
        ListTransactions: ListTransactionsRequest, ListTransactionsResponse;
        AllocateProducerIds: AllocateProducerIdsRequest, AllocateProducerIdsResponse;
        ConsumerGroupHeartbeat: ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse;
        ConsumerGroupDescribe: ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse;
        ControllerRegistration: ControllerRegistrationRequest, ControllerRegistrationResponse;
        GetTelemetrySubscriptions: GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse;
        PushTelemetry: PushTelemetryRequest, PushTelemetryResponse;
        AssignReplicasToDirs: AssignReplicasToDirsRequest, AssignReplicasToDirsResponse;
        ListConfigResources: ListConfigResourcesRequest, ListConfigResourcesResponse;
        DescribeTopicPartitions: DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse;
        ShareGroupHeartbeat: ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse;
        ShareGroupDescribe: ShareGroupDescribeRequest, ShareGroupDescribeResponse;
        ShareFetch: ShareFetchRequest, ShareFetchResponse;
        ShareAcknowledge: ShareAcknowledgeRequest, ShareAcknowledgeResponse;
        RemoveRaftVoter: RemoveRaftVoterRequest, RemoveRaftVoterResponse;
        UpdateRaftVoter: UpdateRaftVoterRequest, UpdateRaftVoterResponse;
        InitializeShareGroupState: InitializeShareGroupStateRequest, InitializeShareGroupStateResponse;
        ReadShareGroupState: ReadShareGroupStateRequest, ReadShareGroupStateResponse;
        WriteShareGroupState: WriteShareGroupStateRequest, WriteShareGroupStateResponse;
        DeleteShareGroupState: DeleteShareGroupStateRequest, DeleteShareGroupStateResponse;
        ReadShareGroupStateSummary: ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse;
        AlterShareGroupOffsets: AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse;
        DeleteShareGroupOffsets: DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse;
    }
    own_request {
        OffsetCommit: OffsetCommitRequest, OffsetCommitResponse;
        OffsetFetch: OffsetFetchRequest, OffsetFetchResponse;
    }
    own {
        AddRaftVoter: AddRaftVoterRequest, AddRaftVoterResponse;
        BrokerHeartbeat: BrokerHeartbeatRequest, BrokerHeartbeatResponse;
        ListOffsets: ListOffsetsRequest, ListOffsetsResponse;
        DescribeLogDirs: DescribeLogDirsRequest, DescribeLogDirsResponse;
        DescribeShareGroupOffsets: DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse;
    }
}

/// Takes a request from the front of `bytes`. Its strings and byte sequences are slices of them.
///
/// # Errors
/// A version that cannot be coded, or bytes that are no such request.
pub fn decode_request<R: Request>(bytes: &mut Bytes, version: i16) -> Result<R, DecodeError> {
    decode(bytes, version)
}

/// Takes a response (without its header) from the front of `bytes`. Its strings and byte sequences
/// are slices of them.
///
/// # Errors
/// As [`decode_request`].
pub fn decode_response<B: Response>(bytes: &mut Bytes, version: i16) -> Result<B, DecodeError> {
    decode(bytes, version)
}

fn decode<B: Body>(bytes: &mut Bytes, version: i16) -> Result<B, DecodeError> {
    let key = B::KEY;
    let malformed = |reason| DecodeError::Malformed {
        key,
        version,
        reason,
    };
    match shape::check(key, B::DIRECTION, version, bytes) {
        None => Err(DecodeError::UnsupportedVersion { key, version }),
        Some(Err(error)) => Err(malformed(error.into())),
        Some(Ok(_)) => B::read(version, bytes).map_err(malformed),
    }
}

/// Appends a request's body.
///
/// # Errors
/// A version that cannot be coded, or a field that the version lacks; then nothing is appended.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    buffer: &mut BytesMut,
) -> Result<(), EncodeError> {
    encode(request, version, buffer)
}

/// Appends a response's body.
///
/// # Errors
/// As [`encode_request`].
pub fn encode_response<B: Response>(
    response: &B,
    version: i16,
    buffer: &mut BytesMut,
) -> Result<(), EncodeError> {
    encode(response, version, buffer)
}

fn encode<B: Body>(body: &B, version: i16, buffer: &mut BytesMut) -> Result<(), EncodeError> {
    let fail = |reason| EncodeError {
        key: B::KEY,
        version,
        reason,
    };
    if !versions(B::KEY).contains(&version) {
        return Err(fail("this version is not spoken here".to_owned()));
    }
    let start = buffer.len();
    body.write(version, buffer).map_err(|reason| {
        buffer.truncate(start);
        fail(reason)
    })
}

/// A whole request as it goes over the wire: length, header, body.
///
/// # Errors
/// As [`encode_request`]; or a client id or a body that is too long.
pub fn encode_request_frame<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<BytesMut, EncodeError> {
    let fail = |reason: String| EncodeError {
        key: R::KEY,
        version,
        reason,
    };
    framed(|buffer| {
        header::encode_request_header(R::KEY, version, correlation_id, client_id, buffer)
            .map_err(|error| fail(error.to_string()))?;
        encode(request, version, buffer)
    })
    .and_then(|frame| frame.ok_or_else(|| fail("it is longer than a frame can be".to_owned())))
}

/// A whole response as it goes over the wire: length, header, body.
///
/// # Errors
/// As [`encode_response`]; or a body that is too long.
pub fn encode_response_frame<B: Response>(
    response: &B,
    version: i16,
    correlation_id: i32,
) -> Result<BytesMut, EncodeError> {
    let too_long = "it is longer than a frame can be".to_owned();
    framed(|buffer| {
        header::encode_response_header(B::KEY, version, correlation_id, buffer);
        encode(response, version, buffer)
    })?
    .ok_or(EncodeError {
        key: B::KEY,
        version,
        reason: too_long,
    })
}

/// Puts the length in front of what `write` appends; None when it doesn't fit into the length.
fn framed(
    write: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
) -> Result<Option<BytesMut>, EncodeError> {
    let mut buffer = BytesMut::with_capacity(256);
    buffer.put_i32(0);
    write(&mut buffer)?;
    let Ok(length) = i32::try_from(buffer.len() - LENGTH_BYTES) else {
        return Ok(None);
    };
    buffer[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(Some(buffer))
}
