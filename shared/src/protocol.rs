//! Kafka's wire protocol: frames, headers, and message bodies that can be decoded without fear.
//!
//! - [`frame`]: the four-byte length around every message, without a socket.
//! - [`header`]: request and response headers, also of APIs and versions that nobody knows.
//! - [`api`]: names, versions that can be coded, what is read-only.
//! - [`shape`]: checks the bytes of a body against its layout before anything is allocated.
//! - [`codec`]: one body at one version to bytes and back.
//! - [`messages`]: message structs where kafka-protocol's own lack a field of Kafka 4.3.
//! - [`own`]: APIs that kafka-protocol lacks, declared by schemas.
//!
//! The message structs are those of the kafka-protocol crate. Strings and bytes that are decoded
//! from a frame are slices of it and keep it alive: copy what you keep for longer than a request.

pub mod api;
pub mod codec;
pub mod frame;
pub mod header;
pub mod messages;
pub mod own;
pub mod shape;
pub mod share_offsets;
pub mod streams_groups;
mod wire;

pub use codec::{Body, DecodeError, EncodeError, Request, Response};
pub use kafka_protocol::messages::ApiKey;
pub use kafka_protocol::protocol::StrBytes;
