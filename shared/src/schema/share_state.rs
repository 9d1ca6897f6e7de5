//! The records of `__share_group_state` (KIP-932): how far a share group is in a partition.
//!
//! A key starts with the record type as int16, a value with the version of its type; a null value
//! deletes the key. Follows Kafka's share-coordinator schemas.

use super::{Field as _, Reader, Schema as _, SchemaError, Uuid, Value};
use crate::schema;

schema! {
    /// Key of both types of records.
    pub struct SharePartitionKey, versions 0..=0, flexible never {
        group_id: String;
        topic_id: Uuid;
        partition: i32;
    }

    /// All that is known of a partition.
    pub struct ShareSnapshotValue, versions 0..=0, flexible 0 {
        snapshot_epoch: i32;
        state_epoch: i32;
        leader_epoch: i32;
        start_offset: i64;
        delivery_complete_count: i32 = -1, since 0, tag 0;
        create_timestamp: i64;
        write_timestamp: i64;
        state_batches: Vec<ShareStateBatch>;
    }

    /// What is other than in the snapshot before.
    pub struct ShareUpdateValue, versions 0..=0, flexible 0 {
        snapshot_epoch: i32;
        leader_epoch: i32;
        start_offset: i64;
        delivery_complete_count: i32 = -1, since 0, tag 0;
        state_batches: Vec<ShareStateBatch>;
    }

    pub struct ShareStateBatch, versions 0..=0, flexible 0 {
        first_offset: i64;
        last_offset: i64;
        delivery_state: i8;
        delivery_count: i16;
    }
}

const SNAPSHOT: i16 = 0;
const UPDATE: i16 = 1;

/// Kafka's names of the states of records.
const DELIVERY_STATES: [(i64, &str); 3] = [(0, "AVAILABLE"), (2, "ACKNOWLEDGED"), (4, "ARCHIVED")];

fn unknown(id: i16) -> SchemaError {
    SchemaError::UnknownType {
        kind: "share state record type",
        id: i32::from(id),
    }
}

/// The name of the type of a record, and the fields of its key.
///
/// # Errors
/// It is of a later Kafka, or no such key.
pub fn share_key_to_json(key: &[u8]) -> Result<(&'static str, Value), SchemaError> {
    let mut reader = Reader::new(key);
    let name = match reader.i16()? {
        SNAPSHOT => "ShareSnapshot",
        UPDATE => "ShareUpdate",
        other => return Err(unknown(other)),
    };
    let key = SharePartitionKey::decode(&mut reader, 0)?;
    Ok((name, key.to_json()))
}

/// The name of the type of a record, and the fields of its value. The state of records is told by
/// its name.
///
/// # Errors
/// It is of a later Kafka, or no such value.
pub fn share_value_to_json(key: &[u8], value: &[u8]) -> Result<(&'static str, Value), SchemaError> {
    let (name, mut fields) = match Reader::new(key).i16()? {
        SNAPSHOT => {
            let (_, value) = ShareSnapshotValue::decode_versioned(value)?;
            ("ShareSnapshot", value.to_json())
        }
        UPDATE => {
            let (_, value) = ShareUpdateValue::decode_versioned(value)?;
            ("ShareUpdate", value.to_json())
        }
        other => return Err(unknown(other)),
    };
    if let Some(Value::Array(batches)) = fields.get_mut("state_batches") {
        for batch in batches {
            let Some(state) = batch.get_mut("delivery_state") else {
                continue;
            };
            let number = state.as_i64();
            let named = DELIVERY_STATES.iter().find(|(id, _)| Some(*id) == number);
            if let Some((_, name)) = named {
                *state = (*name).into();
            }
        }
    }
    Ok((name, fields))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_are_told_by_their_type() {
        let mut key = vec![0, 0, 0, 1, b'g'];
        key.extend(Uuid::from_u128(7).as_bytes());
        key.extend([0, 0, 0, 3]);
        let (name, fields) = share_key_to_json(&key).unwrap();
        assert_eq!((name, &fields["group_id"]), ("ShareSnapshot", &json!("g")));
        assert_eq!(fields["partition"], 3);
        let value = ShareSnapshotValue {
            start_offset: 5,
            state_batches: vec![ShareStateBatch {
                first_offset: 5,
                last_offset: 9,
                delivery_state: 2,
                delivery_count: 1,
            }],
            ..ShareSnapshotValue::default()
        };
        let bytes = value.encode_versioned(0).unwrap();
        let (_, fields) = share_value_to_json(&key, &bytes).unwrap();
        assert_eq!(fields["state_batches"][0]["delivery_state"], "ACKNOWLEDGED");
        assert_eq!(fields["delivery_complete_count"], -1);
        key[1] = 9;
        assert!(share_key_to_json(&key).is_err());
        assert!(share_value_to_json(&key, &bytes).is_err());
        assert!(share_value_to_json(&[0, 0], &bytes[..5]).is_err());
    }
}
