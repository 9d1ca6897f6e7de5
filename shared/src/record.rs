//! Kafka's record batches, message format v2: the bytes of the log, of Produce and of Fetch.
//!
//! Owns everything between bytes and records: a checked view of one batch ([`batch`]), a reader
//! of its records ([`iter`]), a writer ([`builder`]), the codecs ([`compression`]) and the records
//! Kafka itself writes into control batches ([`control`]).
//!
//! Invariants: no byte sequence makes a function here panic, loop, or allocate more than the
//! caller's limit; a batch that a producer sent is only ever patched in place, never re-encoded.
//!
//! Behaviour follows Kafka's `DefaultRecordBatch`, `DefaultRecord` and KIP-98; formats v0 and v1
//! were removed from the protocol by KIP-896 and are reported as an error value.

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
#[cfg(test)]
pub(crate) mod golden;
pub mod iter;
pub(crate) mod varint;

/// Who decides the timestamp of a record: bit 3 of a batch's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// The producer's clock; every record has its own timestamp.
    #[default]
    CreateTime,
    /// The broker's clock; every record of the batch has the batch's max_timestamp.
    LogAppendTime,
}

/// Producer id of a batch from a producer that is neither idempotent nor transactional.
pub const NO_PRODUCER_ID: i64 = -1;
/// Producer epoch that goes with [`NO_PRODUCER_ID`].
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Base sequence of a batch that takes no part in de-duplication.
pub const NO_SEQUENCE: i32 = -1;
/// Leader epoch of a batch that no leader has appended yet.
pub const NO_PARTITION_LEADER_EPOCH: i32 = -1;
/// Timestamp of a record that has none.
pub const NO_TIMESTAMP: i64 = -1;
