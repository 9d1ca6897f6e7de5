//! Payloads that name a schema of a registry, and the schemas that were read from one.
//!
//! Confluent's wire format: a zero byte and the schema's id before the payload, in Protobuf also
//! the path to the message; or, of newer clients, a header `__key_schema_id` or
//! `__value_schema_id` with a one and the schema's GUID.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;
use uuid::Uuid;

use crate::model::Header;

use super::input::Input;
use super::{Decoded, Part, avro, json, protobuf};

/// Schemas that are kept.
const SCHEMAS_MAX: usize = 2_000;

/// Steps to a message within messages.
const INDEXES_MAX: usize = 32;

/// Ids beyond this come from bytes that are no id.
const ID_LIKELY: i32 = 10_000_000;

/// Names a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaRef {
    Id(i32),
    Guid(Uuid),
}

impl fmt::Display for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaRef::Id(id) => write!(f, "schema {id}"),
            SchemaRef::Guid(guid) => write!(f, "schema {guid}"),
        }
    }
}

/// Where a payload names its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub schema: SchemaRef,
    /// Where the payload itself begins; in Protobuf with the path to the message.
    pub payload_at: usize,
    /// Named by a header, not only by bytes that could be anything.
    pub is_certain: bool,
}

impl Found {
    pub(super) fn is_plausible(&self) -> bool {
        match self.schema {
            SchemaRef::Id(id) => id < ID_LIKELY,
            SchemaRef::Guid(_) => true,
        }
    }
}

/// The schema that a header or the first bytes name, if they do.
pub(super) fn find(bytes: &[u8], headers: &[Header], part: Part) -> Option<Found> {
    let name = match part {
        Part::Key => "__key_schema_id",
        Part::Value => "__value_schema_id",
    };
    // As in Kafka's clients the last header of a name counts.
    let header = headers.iter().rev().find(|header| &*header.key == name);
    let header = header.and_then(|header| header.value.as_deref());
    if let Some(found) = header.and_then(|value| named(value, 0)) {
        return Some(Found {
            is_certain: true,
            ..found
        });
    }
    let found = named(bytes, bytes.len().min(5))?;
    matches!(found.schema, SchemaRef::Id(_)).then_some(found)
}

fn named(bytes: &[u8], payload_at: usize) -> Option<Found> {
    let (magic, rest) = bytes.split_first()?;
    let schema = match magic {
        0 => {
            let id = i32::from_be_bytes(rest.first_chunk().copied()?);
            SchemaRef::Id(Some(id).filter(|id| *id > 0)?)
        }
        1 => SchemaRef::Guid(Uuid::from_bytes(rest.first_chunk().copied()?)),
        _ => return None,
    };
    Some(Found {
        schema,
        payload_at,
        is_certain: false,
    })
}

/// What a schema is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaKind {
    Avro,
    Protobuf,
    Json,
}

/// A schema as a registry hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaText {
    pub kind: SchemaKind,
    pub text: String,
    /// Name, subject and version of each schema that it names.
    pub references: Vec<(String, String, i64)>,
}

impl SchemaText {
    /// Reads the registry's answer.
    ///
    /// # Errors
    /// It is not what a registry answers.
    pub fn parse(answer: &Value) -> Result<Self, String> {
        let text = answer.get("schema").and_then(Value::as_str);
        let text = text.ok_or("the registry's answer has no schema")?;
        let kind = match answer.get("schemaType").and_then(Value::as_str) {
            None | Some("AVRO") => SchemaKind::Avro,
            Some("PROTOBUF") => SchemaKind::Protobuf,
            Some("JSON") => SchemaKind::Json,
            Some(other) => return Err(format!("its type \"{other}\" is not known here")),
        };
        let none = Vec::new();
        let references = answer.get("references").and_then(Value::as_array);
        let reference = |reference: &Value| {
            let text = |key: &str| {
                reference
                    .get(key)
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            };
            let version = reference.get("version").and_then(Value::as_i64);
            match (text("name"), text("subject"), version) {
                (Some(name), Some(subject), Some(version)) => Ok((name, subject, version)),
                _ => Err("a reference lacks its name, subject or version".to_owned()),
            }
        };
        let references = references.unwrap_or(&none).iter().map(reference);
        Ok(Self {
            kind,
            text: text.to_owned(),
            references: references.collect::<Result<_, _>>()?,
        })
    }
}

/// A schema that payloads can be read with.
#[derive(Debug)]
pub struct Compiled {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Avro(avro::Schema),
    Protobuf(protobuf::Files),
    /// A JSON Schema with its title; the payload tells everything itself.
    Json(Option<String>),
}

impl Compiled {
    /// Makes a schema ready; `references` are the texts that it names, each after those it names
    /// itself.
    ///
    /// # Errors
    /// What is wrong with its text.
    pub fn new(schema: &SchemaText, references: &[String]) -> Result<Self, String> {
        let references = references.iter().map(String::as_str);
        let inner = match schema.kind {
            SchemaKind::Avro => Inner::Avro(avro::Schema::parse(references, &schema.text)?),
            SchemaKind::Protobuf => {
                Inner::Protobuf(protobuf::Files::parse(references, &schema.text)?)
            }
            SchemaKind::Json => {
                let json: Value = serde_json::from_str(&schema.text)
                    .map_err(|error| format!("the schema is no JSON: {error}"))?;
                let title = json.get("title").and_then(Value::as_str);
                Inner::Json(title.map(str::to_owned))
            }
        };
        Ok(Self { inner })
    }

    /// Reads what follows the schema's id; `whole` is shown where that fails.
    pub(super) fn decode(&self, schema: &SchemaRef, bytes: &[u8], whole: &[u8]) -> Decoded {
        let call = |kind: &str, name: Option<&str>| match name {
            Some(name) => format!("{kind} {name}, {schema}"),
            None => format!("{kind}, {schema}"),
        };
        let (decoder, read) = match &self.inner {
            Inner::Avro(avro) => (call("avro", avro.name()), avro::decode(avro, bytes)),
            Inner::Protobuf(files) => {
                let mut input = Input::new(bytes);
                match indexes(&mut input) {
                    Ok(indexes) => (
                        call("protobuf", files.name_at(&indexes)),
                        protobuf::decode(files, &indexes, input.rest()),
                    ),
                    Err(why) => (call("protobuf", None), Err(why)),
                }
            }
            Inner::Json(title) => {
                let decoder = call("json", title.as_deref());
                return match json::decode(bytes) {
                    Ok(decoded) => Decoded { decoder, ..decoded },
                    Err(why) => Decoded::failed(whole, format!("{decoder}: {why}")),
                };
            }
        };
        match read {
            Ok(value) => Decoded::new(decoder, value),
            Err(why) => Decoded::failed(whole, format!("{decoder}: {why}")),
        }
    }
}

/// The path to a message: how many steps, and the place at each; no steps are the first message.
fn indexes(input: &mut Input<'_>) -> Result<Vec<i64>, String> {
    let n = input.zigzag()?;
    match usize::try_from(n) {
        Ok(n) if n <= INDEXES_MAX => (0..n).map(|_| input.zigzag()).collect(),
        _ => input.fail(format_args!("{n} is no number of steps to a message")),
    }
}

type Kept = Result<Arc<Compiled>, String>;

/// The schemas that were read, shared between who reads them and who uses them.
#[derive(Clone, Debug, Default)]
pub struct SchemaBook {
    schemas: Arc<RwLock<HashMap<SchemaRef, Kept>>>,
    has_registry: bool,
}

impl SchemaBook {
    /// A book that a registry fills.
    pub fn of_registry() -> Self {
        Self {
            has_registry: true,
            ..Self::default()
        }
    }

    /// Whether there is somebody to ask for schemas.
    pub fn has_registry(&self) -> bool {
        self.has_registry
    }

    /// A schema, or why there is none; `None` if nobody has asked for it yet.
    pub fn get(&self, schema: &SchemaRef) -> Option<Result<Arc<Compiled>, String>> {
        self.schemas.read().get(schema).cloned()
    }

    /// Keeps what the registry said. A full book is begun anew: what is needed is read again.
    pub fn put(&self, schema: SchemaRef, said: Result<Arc<Compiled>, String>) {
        let mut schemas = self.schemas.write();
        if schemas.len() >= SCHEMAS_MAX {
            schemas.clear();
        }
        schemas.insert(schema, said);
    }

    /// Forgets failures, so that they are asked for again.
    pub fn forget_failures(&self) {
        self.schemas.write().retain(|_, said| said.is_ok());
    }
}
