//! The records of Kafka's own topics, through `kafka_shared::schema`.

use kafka_shared::schema::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};
use kafka_shared::schema::group_records::group_value_to_json;
use kafka_shared::schema::metadata::MetadataRecord;
use kafka_shared::schema::offsets::{GroupMetadataValue, OffsetsKey, OffsetsRecord, OffsetsValue};
use kafka_shared::schema::share_state::{share_key_to_json, share_value_to_json};
use kafka_shared::schema::transaction::{TransactionLogKey, TransactionLogRecord};
use kafka_shared::schema::{Field as _, Schema as _, SchemaError};
use kafka_shared::secret::HIDDEN;
use serde_json::{Map, Value, json};

use crate::model::Message;

use super::{Decoded, Decoder, Part, hex};

/// The states of a transaction by their numbers in the log.
const TRANSACTION_STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

/// Fields that nobody shows.
const SECRETS: [&str; 4] = ["salt", "stored_key", "server_key", "hmac"];

/// What reads the records of this topic.
pub(super) fn decoder_of(topic: &str) -> Option<Decoder> {
    match topic {
        "__consumer_offsets" => Some(Decoder::Offsets),
        "__transaction_state" => Some(Decoder::Transactions),
        "__cluster_metadata" => Some(Decoder::Metadata),
        "__share_group_state" => Some(Decoder::ShareState),
        _ => None,
    }
}

pub(super) fn decode(decoder: Decoder, message: &Message, part: Part, bytes: &[u8]) -> Decoded {
    let key = message.key.as_deref().unwrap_or_default();
    let read = match (decoder, part) {
        (Decoder::Offsets, Part::Key) => OffsetsKey::decode(bytes).map(|key| offsets_key(&key)),
        (Decoder::Offsets, Part::Value) => {
            let record = OffsetsRecord::decode(key, Some(bytes));
            record.map(|record| offsets_value(&record))
        }
        (Decoder::Transactions, Part::Key) => {
            TransactionLogKey::decode_versioned(bytes).map(|(_, key)| key.to_json())
        }
        (Decoder::Transactions, Part::Value) => {
            let record = TransactionLogRecord::decode(key, Some(bytes));
            record.map(transaction)
        }
        (Decoder::ShareState, Part::Key) => {
            share_key_to_json(bytes).map(|(name, fields)| tagged(name, fields))
        }
        (Decoder::ShareState, Part::Value) => {
            share_value_to_json(key, bytes).map(|(name, mut fields)| {
                for name in ["create_timestamp", "write_timestamp"] {
                    add_time(&mut fields, name);
                }
                tagged(name, fields)
            })
        }
        (_, Part::Value) => MetadataRecord::decode(bytes).map(|(record, version)| {
            let mut fields = record.to_json();
            hide(&mut fields);
            json!({ "record": record.name(), "version": version, "fields": fields })
        }),
        (_, Part::Key) => return Decoded::bytes(bytes),
    };
    match read {
        Ok(value) => Decoded::new(decoder.name(), value),
        Err(error) => failed(decoder, bytes, &error),
    }
}

fn failed(decoder: Decoder, bytes: &[u8], error: &SchemaError) -> Decoded {
    Decoded::failed(bytes, format!("{}: {error}", decoder.name()))
}

fn offsets_key(key: &OffsetsKey) -> Value {
    match key {
        OffsetsKey::LegacyOffsetCommit(at) | OffsetsKey::OffsetCommit(at) => {
            tagged("OffsetCommit", at.to_json())
        }
        OffsetsKey::GroupMetadata(at) => tagged("GroupMetadata", at.to_json()),
        OffsetsKey::Group {
            record_type,
            group,
            part,
        } => {
            let mut fields = json!({ "group": group });
            if let (Some(part), Value::Object(fields)) = (part, &mut fields) {
                fields.insert("part".to_owned(), part.as_str().into());
            }
            tagged(record_type.name(), fields)
        }
    }
}

/// The fields after the name of the record's type.
fn tagged(name: &str, fields: Value) -> Value {
    let mut all = Map::new();
    all.insert("record".to_owned(), name.into());
    if let Value::Object(fields) = fields {
        all.extend(fields);
    }
    all.into()
}

fn offsets_value(record: &OffsetsRecord) -> Value {
    match &record.value {
        None => Value::Null,
        Some(OffsetsValue::OffsetCommit(value)) => {
            let mut fields = value.to_json();
            for name in ["commit_timestamp", "expire_timestamp"] {
                add_time(&mut fields, name);
            }
            fields
        }
        Some(OffsetsValue::GroupMetadata(value)) => group(value),
        Some(OffsetsValue::Group(bytes)) => {
            if let OffsetsKey::Group { record_type, .. } = &record.key
                && let Ok((_, mut fields)) = group_value_to_json(*record_type, bytes)
            {
                for name in ["assignment_timestamp", "timestamp"] {
                    add_time(&mut fields, name);
                }
                return tagged(record_type.name(), fields);
            }
            // A later Kafka's; what can be told is its version.
            let version = bytes.first_chunk().map(|first| i16::from_be_bytes(*first));
            json!({ "version": version, "bytes": hex(bytes.get(2..).unwrap_or_default()) })
        }
    }
}

/// Members of groups of consumers say what they subscribe to and what they got.
fn group(value: &GroupMetadataValue) -> Value {
    let mut fields = value.to_json();
    if value.protocol_type == "consumer"
        && let Some(Value::Array(members)) = fields.get_mut("members")
    {
        for (shown, member) in members.iter_mut().zip(&value.members) {
            let Value::Object(shown) = shown else {
                continue;
            };
            if let Ok((_, subscription)) = ConsumerProtocolSubscription::parse(&member.subscription)
            {
                shown.insert("subscription".to_owned(), subscription.to_json());
            }
            if let Ok((_, assignment)) = ConsumerProtocolAssignment::parse(&member.assignment) {
                shown.insert("assignment".to_owned(), assignment.to_json());
            }
        }
    }
    add_time(&mut fields, "current_state_timestamp");
    fields
}

fn transaction(record: TransactionLogRecord) -> Value {
    let Some(value) = record.value else {
        return Value::Null;
    };
    let mut fields = value.to_json();
    let state = usize::try_from(value.transaction_status).ok();
    if let (Some(state), Value::Object(fields)) = (
        state.and_then(|state| TRANSACTION_STATES.get(state)),
        &mut fields,
    ) {
        fields.insert("transaction_status".to_owned(), (*state).into());
    }
    for name in [
        "transaction_last_update_timestamp_ms",
        "transaction_start_timestamp_ms",
    ] {
        add_time(&mut fields, name);
    }
    fields
}

/// A timestamp is followed by the time that it is.
fn add_time(fields: &mut Value, name: &str) {
    let Value::Object(fields) = fields else {
        return;
    };
    let ms = fields
        .get(name)
        .and_then(Value::as_i64)
        .filter(|ms| *ms >= 0);
    if let Some(time) = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()) {
        fields.insert(format!("{name}_text"), time.to_string().into());
    }
}

fn hide(value: &mut Value) {
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            if SECRETS.contains(&name.as_str()) {
                *value = HIDDEN.into();
            }
        }
    }
}
