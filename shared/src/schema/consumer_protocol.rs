//! What classic consumers put into a group's metadata and assignments (protocol type "consumer").
//!
//! To a broker these are bytes from a client, opaque except for the topics in them. Both start
//! with their version as int16; a later version is read as the last known one, because versions
//! only ever add fields at the end. Follows Kafka's `ConsumerProtocol` and KIP-429, KIP-792,
//! KIP-881.

use super::{Bytes, Reader, Schema, SchemaError};
use crate::schema;

schema! {
    /// What a member wants to consume: its metadata in JoinGroup.
    pub struct ConsumerProtocolSubscription, versions 0..=3, flexible never {
        topics: Vec<String>;
        user_data: Option<Bytes>;
        owned_partitions: Vec<ConsumerProtocolPartitions>, since 1, ignorable true;
        generation_id: i32 = -1, since 2, ignorable true;
        rack_id: Option<String>, since 3, ignorable true;
    }

    /// What a member shall consume: its assignment in SyncGroup.
    pub struct ConsumerProtocolAssignment, versions 0..=3, flexible never {
        assigned_partitions: Vec<ConsumerProtocolPartitions>;
        user_data: Option<Bytes>;
    }

    /// Partitions of one topic.
    pub struct ConsumerProtocolPartitions, versions 0..=3, flexible never {
        topic: String;
        partitions: Vec<i32>;
    }
}

impl ConsumerProtocolSubscription {
    /// Decodes a member's metadata; also returns the version that it names.
    pub fn parse(bytes: &[u8]) -> Result<(i16, ConsumerProtocolSubscription), SchemaError> {
        parse(bytes)
    }
}

impl ConsumerProtocolAssignment {
    /// Decodes a member's assignment; also returns the version that it names. A member without
    /// partitions may have no bytes at all, which is the empty assignment.
    pub fn parse(bytes: &[u8]) -> Result<(i16, ConsumerProtocolAssignment), SchemaError> {
        if bytes.is_empty() {
            Ok((0, ConsumerProtocolAssignment::default()))
        } else {
            parse(bytes)
        }
    }
}

fn parse<T: Schema>(bytes: &[u8]) -> Result<(i16, T), SchemaError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    Ok((
        version,
        T::decode(&mut reader, version.min(*T::VERSIONS.end()))?,
    ))
}

#[cfg(test)]
mod tests;
