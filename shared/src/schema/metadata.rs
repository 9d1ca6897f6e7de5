//! The records of the metadata log (`__cluster_metadata`) and of its snapshots.
//!
//! Every record is framed: uvarint frame version (1), uvarint type, uvarint record version, then
//! the record. All types of Kafka 4.3 are here, at all their versions; which version to write
//! follows from the finalized metadata.version and is the writer's choice.
//!
//! Follows Kafka's `metadata/*Record.json`, `MetadataRecordSerde` and `MetadataRecordType`.

use super::{Bytes, Field, Reader, Schema, SchemaError, Uuid, put_unsigned_varint};
use crate::schema;

const FRAME_VERSION: u32 = 1;

schema! {
    /// A broker (re)registered, with a new epoch.
    pub struct RegisterBrokerRecord, versions 0..=4, flexible 0 {
        broker_id: i32;
        is_migrating_zk_broker: bool, since 2;
        incarnation_id: Uuid;
        broker_epoch: i64;
        end_points: Vec<RegisteredEndpoint>;
        features: Vec<RegisteredFeature>;
        rack: Option<String>;
        fenced: bool = true;
        in_controlled_shutdown: bool, since 1;
        log_dirs: Vec<Uuid>, since 3, tag 0;
        cordoned_log_dirs: Option<Vec<Uuid>>, since 4, tag 1;
    }

    /// A listener of a broker or a controller.
    pub struct RegisteredEndpoint, versions 0..=4, flexible 0 {
        name: String;
        host: String;
        port: u16;
        security_protocol: i16;
    }

    /// The levels of a feature that a node supports, both ends inclusive.
    pub struct RegisteredFeature, versions 0..=4, flexible 0 {
        name: String;
        min_supported_version: i16;
        max_supported_version: i16;
    }

    /// A broker is gone for good.
    pub struct UnregisterBrokerRecord, versions 0..=0, flexible 0 {
        broker_id: i32;
        broker_epoch: i64;
    }

    /// A topic exists; its partitions follow.
    pub struct TopicRecord, versions 0..=0, flexible 0 {
        name: String;
        topic_id: Uuid;
    }

    /// The whole state of a partition.
    pub struct PartitionRecord, versions 0..=2, flexible 0 {
        partition_id: i32 = -1;
        topic_id: Uuid;
        replicas: Vec<i32>;
        isr: Vec<i32>;
        removing_replicas: Vec<i32>;
        adding_replicas: Vec<i32>;
        leader: i32 = -1;
        leader_recovery_state: i8, tag 0;
        leader_epoch: i32 = -1;
        partition_epoch: i32 = -1;
        directories: Vec<Uuid>, since 1;
        eligible_leader_replicas: Option<Vec<i32>>, since 2, tag 1;
        last_known_elr: Option<Vec<i32>>, since 2, tag 2;
    }

    /// A configuration key of a resource was set, or with a null value deleted.
    pub struct ConfigRecord, versions 0..=0, flexible 0 {
        resource_type: i8;
        resource_name: String;
        name: String;
        value: Option<String>;
    }

    /// What changed about a partition; null or the default means unchanged.
    pub struct PartitionChangeRecord, versions 0..=2, flexible 0 {
        partition_id: i32 = -1;
        topic_id: Uuid;
        isr: Option<Vec<i32>>, tag 0;
        leader: i32 = -2, tag 1;
        replicas: Option<Vec<i32>>, tag 2;
        removing_replicas: Option<Vec<i32>>, tag 3;
        adding_replicas: Option<Vec<i32>>, tag 4;
        leader_recovery_state: i8 = -1, tag 5;
        eligible_leader_replicas: Option<Vec<i32>>, since 2, tag 6;
        last_known_elr: Option<Vec<i32>>, since 2, tag 7;
        directories: Option<Vec<Uuid>>, since 1, tag 8;
    }

    /// A broker was fenced (before BrokerRegistrationChangeRecord existed).
    pub struct FenceBrokerRecord, versions 0..=0, flexible 0 {
        id: i32;
        epoch: i64;
    }

    /// A broker was unfenced (before BrokerRegistrationChangeRecord existed).
    pub struct UnfenceBrokerRecord, versions 0..=0, flexible 0 {
        id: i32;
        epoch: i64;
    }

    /// A topic and all its partitions are gone.
    pub struct RemoveTopicRecord, versions 0..=0, flexible 0 {
        topic_id: Uuid;
    }

    /// A delegation token, new or renewed.
    pub struct DelegationTokenRecord, versions 0..=0, flexible 0 {
        owner: String;
        requester: String;
        renewers: Vec<String>;
        issue_timestamp: i64;
        max_timestamp: i64;
        expiration_timestamp: i64;
        token_id: String;
    }

    /// A user's SCRAM credential for one mechanism.
    pub struct UserScramCredentialRecord, versions 0..=0, flexible 0 {
        name: String;
        mechanism: i8;
        salt: Bytes;
        stored_key: Bytes;
        server_key: Bytes;
        iterations: i32;
    }

    /// The finalized level of a feature; 0 removes the feature.
    pub struct FeatureLevelRecord, versions 0..=0, flexible 0 {
        name: String;
        feature_level: i16;
    }

    /// A client quota was set or removed.
    pub struct ClientQuotaRecord, versions 0..=0, flexible 0 {
        entity: Vec<ClientQuotaEntity>;
        key: String;
        value: f64;
        remove: bool;
    }

    /// One part of what a quota applies to; a null name is the default entity.
    pub struct ClientQuotaEntity, versions 0..=0, flexible 0 {
        entity_type: String;
        entity_name: Option<String>;
    }

    /// A block of producer ids was given away; the next one starts here.
    pub struct ProducerIdsRecord, versions 0..=0, flexible 0 {
        broker_id: i32;
        broker_epoch: i64 = -1;
        next_producer_id: i64;
    }

    /// A change of a broker's state: −1, 0, 1 as in [`BrokerRegistrationChangeRecord::fenced`].
    pub struct BrokerRegistrationChangeRecord, versions 0..=3, flexible 0 {
        broker_id: i32;
        broker_epoch: i64;
        /// −1 unfenced, 0 unchanged, 1 fenced.
        fenced: i8, tag 0;
        /// 0 unchanged, 1 in controlled shutdown.
        in_controlled_shutdown: i8, since 1, tag 1;
        log_dirs: Vec<Uuid>, since 2, tag 2;
        /// Null if unchanged.
        cordoned_log_dirs: Option<Vec<Uuid>>, since 3, tag 3;
    }

    /// An ACL exists.
    pub struct AccessControlEntryRecord, versions 0..=0, flexible 0 {
        id: Uuid;
        resource_type: i8;
        resource_name: String;
        pattern_type: i8;
        principal: String;
        host: String;
        operation: i8;
        permission_type: i8;
    }

    /// An ACL is gone.
    pub struct RemoveAccessControlEntryRecord, versions 0..=0, flexible 0 {
        id: Uuid;
    }

    /// Nothing; keeps the high watermark moving.
    pub struct NoOpRecord, versions 0..=0, flexible 0 {}

    /// How far a migration from ZooKeeper got; only in old logs.
    pub struct ZkMigrationStateRecord, versions 0..=0, flexible 0 {
        zk_migration_state: i8;
    }

    /// A user's SCRAM credential for one mechanism is gone.
    pub struct RemoveUserScramCredentialRecord, versions 0..=0, flexible 0 {
        name: String;
        mechanism: i8;
    }

    /// The records up to the end of the transaction take effect together (KIP-868).
    pub struct BeginTransactionRecord, versions 0..=0, flexible 0 {
        name: Option<String>, tag 0;
    }

    /// The records since the beginning of the transaction take effect.
    pub struct EndTransactionRecord, versions 0..=0, flexible 0 {}

    /// The records since the beginning of the transaction never take effect.
    pub struct AbortTransactionRecord, versions 0..=0, flexible 0 {
        reason: Option<String>, tag 0;
    }

    /// A delegation token is gone.
    pub struct RemoveDelegationTokenRecord, versions 0..=0, flexible 0 {
        token_id: String;
    }

    /// A controller registered.
    pub struct RegisterControllerRecord, versions 0..=0, flexible 0 {
        controller_id: i32;
        incarnation_id: Uuid;
        zk_migration_ready: bool;
        end_points: Vec<RegisteredEndpoint>;
        features: Vec<RegisteredFeature>;
    }

    /// The eligible leader replicas of a topic, or with an empty name of all, are cleared.
    pub struct ClearElrRecord, versions 0..=0, flexible 0 {
        topic_name: String;
    }
}

macro_rules! metadata_records {
    ($($key:literal $variant:ident($record:ident),)*) => {
        /// Any record of the metadata log. `From` makes one of each record type.
        #[derive(Debug, Clone, PartialEq)]
        pub enum MetadataRecord {
            $($variant($record),)*
        }

        impl MetadataRecord {
            /// The ids of all types.
            pub const TYPES: &[i16] = &[$($key,)*];

            /// The type's id: the api key in Kafka's schema.
            pub fn api_key(&self) -> i16 {
                match self {
                    $(MetadataRecord::$variant(_) => $key,)*
                }
            }

            /// Kafka's name of the record type.
            pub fn name(&self) -> &'static str {
                match self {
                    $(MetadataRecord::$variant(_) => $record::NAME,)*
                }
            }

            /// The record's fields, see [`Field::to_json`].
            pub fn to_json(&self) -> super::Value {
                match self {
                    $(MetadataRecord::$variant(record) => record.to_json(),)*
                }
            }

            /// The versions of the record type, both ends inclusive.
            pub fn versions(&self) -> std::ops::RangeInclusive<i16> {
                match self {
                    $(MetadataRecord::$variant(_) => $record::VERSIONS,)*
                }
            }

            fn encode_body(&self, out: &mut Vec<u8>, version: i16) -> Result<(), SchemaError> {
                match self {
                    $(MetadataRecord::$variant(record) => record.encode(out, version),)*
                }
            }

            fn decode_body(
                reader: &mut Reader<'_>,
                key: i16,
                version: i16,
            ) -> Result<MetadataRecord, SchemaError> {
                match key {
                    $($key => $record::decode(reader, version).map(MetadataRecord::$variant),)*
                    _ => Err(SchemaError::UnknownType {
                        kind: "metadata record type",
                        id: i32::from(key),
                    }),
                }
            }
        }

        $(
            impl From<$record> for MetadataRecord {
                fn from(record: $record) -> MetadataRecord {
                    MetadataRecord::$variant(record)
                }
            }
        )*
    };
}

metadata_records! {
    0 RegisterBroker(RegisterBrokerRecord),
    1 UnregisterBroker(UnregisterBrokerRecord),
    2 Topic(TopicRecord),
    3 Partition(PartitionRecord),
    4 Config(ConfigRecord),
    5 PartitionChange(PartitionChangeRecord),
    7 FenceBroker(FenceBrokerRecord),
    8 UnfenceBroker(UnfenceBrokerRecord),
    9 RemoveTopic(RemoveTopicRecord),
    10 DelegationToken(DelegationTokenRecord),
    11 UserScramCredential(UserScramCredentialRecord),
    12 FeatureLevel(FeatureLevelRecord),
    14 ClientQuota(ClientQuotaRecord),
    15 ProducerIds(ProducerIdsRecord),
    17 BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    18 AccessControlEntry(AccessControlEntryRecord),
    19 RemoveAccessControlEntry(RemoveAccessControlEntryRecord),
    20 NoOp(NoOpRecord),
    21 ZkMigrationState(ZkMigrationStateRecord),
    22 RemoveUserScramCredential(RemoveUserScramCredentialRecord),
    23 BeginTransaction(BeginTransactionRecord),
    24 EndTransaction(EndTransactionRecord),
    25 AbortTransaction(AbortTransactionRecord),
    26 RemoveDelegationToken(RemoveDelegationTokenRecord),
    27 RegisterController(RegisterControllerRecord),
    28 ClearElr(ClearElrRecord),
}

impl MetadataRecord {
    /// The value of the log record: frame and record, at `version` of the record type.
    pub fn encode(&self, version: i16) -> Result<Vec<u8>, SchemaError> {
        let mut out = Vec::with_capacity(64);
        put_unsigned_varint(&mut out, FRAME_VERSION);
        put_unsigned_varint(&mut out, self.api_key().unsigned_abs().into());
        put_unsigned_varint(&mut out, version.unsigned_abs().into());
        self.encode_body(&mut out, version)?;
        Ok(out)
    }

    /// The id of the record type in the value of a log record, also of types that are not known
    /// here; `None` if the value has no frame of a known version.
    pub fn type_of(value: &[u8]) -> Option<i16> {
        let mut reader = Reader::new(value);
        let frame_version = reader.unsigned_varint().ok()?;
        let key = reader.unsigned_varint().ok()?;
        (frame_version == FRAME_VERSION).then_some(i16::try_from(key).ok()?)
    }

    /// Decodes the value of a log record; also returns the record's version. Bytes left over
    /// are an error.
    pub fn decode(value: &[u8]) -> Result<(MetadataRecord, i16), SchemaError> {
        let mut reader = Reader::new(value);
        let frame_version = reader.unsigned_varint()?;
        if frame_version != FRAME_VERSION {
            let id = i32::try_from(frame_version).unwrap_or(i32::MAX);
            return Err(SchemaError::UnknownType {
                kind: "metadata frame version",
                id,
            });
        }
        let key = small(&mut reader, "metadata record type")?;
        let version = small(&mut reader, "metadata record version")?;
        let record = MetadataRecord::decode_body(&mut reader, key, version)?;
        reader.finish()?;
        Ok((record, version))
    }
}

fn small(reader: &mut Reader<'_>, kind: &'static str) -> Result<i16, SchemaError> {
    let value = reader.unsigned_varint()?;
    i16::try_from(value).map_err(|_| SchemaError::UnknownType {
        kind,
        id: i32::try_from(value).unwrap_or(i32::MAX),
    })
}

#[cfg(test)]
mod tests;
