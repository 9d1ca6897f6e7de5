//! The records of `__transaction_state`: one key per transactional id.
//!
//! Key and value start with their version as int16; a null value deletes the id. Follows
//! Kafka's `TransactionLogKey/Value.json`; KIP-890 added version 1 with its tagged fields.

use super::{Schema, SchemaError};
use crate::schema;

schema! {
    /// Key: the transactional id.
    pub struct TransactionLogKey, versions 0..=0, flexible never {
        transactional_id: String;
    }

    /// Value: the state of the transactional id.
    pub struct TransactionLogValue, versions 0..=1, flexible 1 {
        producer_id: i64;
        previous_producer_id: i64 = -1, since 1, tag 0;
        next_producer_id: i64 = -1, since 1, tag 1;
        producer_epoch: i16;
        transaction_timeout_ms: i32;
        transaction_status: i8;
        transaction_partitions: Option<Vec<TransactionPartitions>> = Some(Vec::new());
        transaction_last_update_timestamp_ms: i64;
        transaction_start_timestamp_ms: i64;
        client_transaction_version: i16, since 1, tag 2;
        next_producer_epoch: i16 = -1, since 1, tag 3;
    }

    /// Partitions of one topic that take part in a transaction.
    pub struct TransactionPartitions, versions 0..=1, flexible 1 {
        topic: String;
        partition_ids: Vec<i32>;
    }
}

/// One record of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct TransactionLogRecord {
    pub transactional_id: String,
    /// Null deletes the transactional id.
    pub value: Option<TransactionLogValue>,
}

impl TransactionLogRecord {
    /// Decodes key and value of a record; keys and values of a later Kafka are errors.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<TransactionLogRecord, SchemaError> {
        let (_, key) = TransactionLogKey::decode_versioned(key)?;
        let value = value
            .map(TransactionLogValue::decode_versioned)
            .transpose()?;
        let value = value.map(|(_, value)| value);
        Ok(TransactionLogRecord {
            transactional_id: key.transactional_id,
            value,
        })
    }

    /// Key and value of the record, the value at `version`.
    pub fn encode(&self, version: i16) -> Result<(Vec<u8>, Option<Vec<u8>>), SchemaError> {
        let key = TransactionLogKey {
            transactional_id: self.transactional_id.clone(),
        };
        let value = self
            .value
            .as_ref()
            .map(|value| value.encode_versioned(version))
            .transpose()?;
        Ok((key.encode_versioned(0)?, value))
    }
}

#[cfg(test)]
mod tests;
