//! What bytes of a record mean: text, numbers, JSON, MessagePack, CBOR, what a schema registry
//! describes, and the records of Kafka's own topics.
//!
//! Everything here is pure: schemas come from a [`SchemaBook`] that somebody else fills
//! (`cluster::registry`), and a payload says which one it needs ([`schema_of`]).
//!
//! Invariants:
//! - A decoder says its name, and one that fails says where and why, and hands the bytes on.
//! - Whatever the bytes are: no panic, no deep recursion, and not more than [`NODES_MAX`] values.
//! - What was guessed is called by the decoder that was guessed, so that it can be doubted.

mod avro;
mod cbor;
mod filter;
mod input;
mod internal;
mod json;
mod msgpack;
mod numbers;
mod path;
mod protobuf;
mod registry;

use serde_json::Value;

use crate::model::{Header, Message};

pub use filter::MessageFilter;
pub use path::JsonPath;
pub use registry::{Compiled, SchemaBook, SchemaKind, SchemaRef, SchemaText};

/// Values within one payload.
pub const NODES_MAX: usize = 200_000;

/// Levels of nesting that are followed.
pub const DEPTH_MAX: usize = 64;

/// Bytes that are shown of what has no better form.
const DUMP_BYTES_MAX: usize = 256 * 1024;

/// Which of the two payloads of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Key,
    Value,
}

macro_rules! decoders {
    ($($variant:ident $name:literal $about:literal,)*) => {
        /// How a payload is read.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum Decoder {
            #[default]
            $($variant,)*
        }

        impl Decoder {
            pub const ALL: &[Decoder] = &[$(Decoder::$variant,)*];

            /// The name on the command line and on the screen.
            pub const fn name(self) -> &'static str {
                match self { $(Decoder::$variant => $name,)* }
            }

            /// What it reads, in a few words.
            pub fn about(self) -> &'static str {
                match self { $(Decoder::$variant => $about,)* }
            }
        }
    };
}

// The first one is the default.
decoders! {
    Auto "auto" "whatever fits, and says which one it was",
    Text "text" "UTF-8",
    Json "json" "JSON, also behind a schema id",
    Hex "hex" "the bytes as they are",
    Base64 "base64" "the bytes in base64",
    Short "short" "an integer of 2 bytes",
    Int "int" "an integer of 4 bytes",
    Long "long" "an integer of 8 bytes",
    Float "float" "a floating-point number of 4 bytes",
    Double "double" "a floating-point number of 8 bytes",
    Uuid "uuid" "a UUID of 16 bytes, or its text",
    MessagePack "msgpack" "MessagePack",
    Cbor "cbor" "CBOR",
    Registry "registry" "Avro, Protobuf or JSON with a schema of the registry",
    Protobuf "protobuf" "Protobuf without a schema: field numbers",
    Offsets "offsets" "a record of __consumer_offsets",
    Transactions "transactions" "a record of __transaction_state",
    Metadata "metadata" "a record of __cluster_metadata",
    ShareState "share_state" "a record of __share_group_state",
}

impl std::str::FromStr for Decoder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|decoder| decoder.name() == text);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|decoder| decoder.name()).collect();
            format!("\"{text}\" is no decoder: {}", names.join(", "))
        })
    }
}

/// What a payload turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// What read it: `json`, `avro, schema 7`.
    pub decoder: String,
    /// For filters and for programs.
    pub value: Value,
    /// For people, with line ends.
    pub text: String,
    /// What went wrong, or what is missing to read more of it.
    pub error: Option<String>,
}

impl Decoded {
    fn new(decoder: impl Into<String>, value: Value) -> Self {
        let text = match &value {
            Value::String(text) => text.clone(),
            value => serde_json::to_string_pretty(value).unwrap_or_default(),
        };
        Self {
            decoder: decoder.into(),
            value,
            text,
            error: None,
        }
    }

    /// The bytes as they are, all of them for programs.
    fn bytes(bytes: &[u8]) -> Self {
        Self {
            decoder: Decoder::Hex.name().to_owned(),
            value: Value::String(hex(bytes)),
            text: dump(bytes),
            error: None,
        }
    }

    fn failed(bytes: &[u8], error: String) -> Self {
        Self {
            error: Some(error),
            ..Self::bytes(bytes)
        }
    }

    /// In one line, of at most about `max` characters.
    pub fn one_line(&self, max: usize) -> String {
        // A pretty text is long because of its indents.
        let cut = |text: &str| match text.char_indices().nth(max) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        };
        match &self.value {
            // Of a large one no more is looked at than is shown.
            Value::String(text) => cut(text),
            value => cut(&serde_json::to_string(value).unwrap_or_default()),
        }
    }
}

/// `0x…`, the form of bytes within decoded values.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Vec::with_capacity(2 + bytes.len() * 2);
    text.extend_from_slice(b"0x");
    for byte in bytes {
        let digit = |nibble: u8| DIGITS[usize::from(nibble & 15)];
        text.extend_from_slice(&[digit(byte >> 4), digit(*byte)]);
    }
    String::from_utf8(text).unwrap_or_default()
}

/// Offsets, bytes and characters, sixteen to a line.
pub fn dump(bytes: &[u8]) -> String {
    let head = bytes.get(..DUMP_BYTES_MAX).unwrap_or(bytes);
    let line = |(at, chunk): (usize, &[u8])| {
        let hex: Vec<String> = chunk.iter().map(|b| format!("{b:02x}")).collect();
        let is_shown = |b: u8| b.is_ascii_graphic() || b == b' ';
        let text: String = chunk
            .iter()
            .map(|b| if is_shown(*b) { char::from(*b) } else { '·' })
            .collect();
        format!("{:06x}  {:<47}  {text}", at * 16, hex.join(" "))
    };
    let mut lines: Vec<String> = head.chunks(16).enumerate().map(line).collect();
    if head.len() < bytes.len() {
        lines.push("… there is more".to_owned());
    }
    lines.join("\n")
}

fn payload(message: &Message, part: Part) -> Option<&[u8]> {
    match part {
        Part::Key => message.key.as_deref(),
        Part::Value => message.value.as_deref(),
    }
}

/// The schema that a payload may need; it is no proof that there is one of that id.
pub fn schema_of(message: &Message, part: Part, chosen: Decoder) -> Option<SchemaRef> {
    if !matches!(chosen, Decoder::Auto | Decoder::Registry | Decoder::Json)
        || (chosen == Decoder::Auto && internal::decoder_of(&message.topic).is_some())
    {
        return None;
    }
    let bytes = payload(message, part)?;
    registry::find(bytes, &message.headers, part).map(|found| found.schema)
}

/// Reads a payload; `None` where it is null.
///
/// What a decoder can't read comes back as bytes with the reason.
pub fn decode(
    message: &Message,
    part: Part,
    chosen: Decoder,
    book: &SchemaBook,
) -> Option<Decoded> {
    let bytes = payload(message, part)?;
    if let Some(control) = &message.facts.control {
        // Its bytes were read when it came.
        return Some(Decoded::new(
            "control record",
            Value::String(control.text()),
        ));
    }
    Some(match chosen {
        Decoder::Auto => guess(message, part, bytes, book),
        Decoder::Registry => with_registry(bytes, &message.headers, part, book),
        Decoder::Json => as_json(bytes, &message.headers, part),
        Decoder::Offsets | Decoder::Transactions | Decoder::Metadata | Decoder::ShareState => {
            internal::decode(chosen, message, part, bytes)
        }
        other => plain(other, bytes),
    })
}

/// The decoders that need nothing but the bytes.
fn plain(decoder: Decoder, bytes: &[u8]) -> Decoded {
    let read = match decoder {
        Decoder::Text => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::String(text.to_owned())),
            Err(error) => Err(format!("byte {}: it is no UTF-8", error.valid_up_to())),
        },
        Decoder::Base64 => Ok(Value::String(kafka_shared::sasl::base64(bytes))),
        Decoder::MessagePack => msgpack::decode(bytes),
        Decoder::Cbor => cbor::decode(bytes),
        Decoder::Protobuf => protobuf::decode_raw(bytes),
        Decoder::Short | Decoder::Int | Decoder::Long | Decoder::Float | Decoder::Double => {
            numbers::decode(decoder, bytes)
        }
        Decoder::Uuid => numbers::uuid(bytes),
        _ => return Decoded::bytes(bytes),
    };
    match read {
        Ok(value) => Decoded::new(decoder.name(), value),
        Err(why) => Decoded::failed(bytes, format!("{}: {why}", decoder.name())),
    }
}

fn as_json(bytes: &[u8], headers: &[Header], part: Part) -> Decoded {
    if let Ok(decoded) = json::decode(bytes) {
        return decoded;
    }
    // JSON Schema serializers put the schema's id before it.
    let found = registry::find(bytes, headers, part);
    let rest = found
        .as_ref()
        .map_or(bytes, |found| &bytes[found.payload_at..]);
    match json::decode(rest) {
        Ok(decoded) => decoded,
        Err(why) => Decoded::failed(bytes, format!("json: {why}")),
    }
}

fn with_registry(bytes: &[u8], headers: &[Header], part: Part, book: &SchemaBook) -> Decoded {
    let Some(found) = registry::find(bytes, headers, part) else {
        let why = "registry: neither the first bytes nor a header name a schema";
        return Decoded::failed(bytes, why.to_owned());
    };
    let schema = found.schema;
    if !book.has_registry() {
        let why = format!("{schema}: no schema registry is named");
        return Decoded::failed(bytes, why);
    }
    match book.get(&schema) {
        Some(Ok(compiled)) => compiled.decode(&schema, &bytes[found.payload_at..], bytes),
        Some(Err(why)) => Decoded::failed(bytes, format!("{schema}: {why}")),
        None => Decoded::failed(bytes, format!("{schema}: it was not read yet")),
    }
}

/// The first reading that fits, from what says itself what it is to what could be anything.
fn guess(message: &Message, part: Part, bytes: &[u8], book: &SchemaBook) -> Decoded {
    if let Some(decoder) = internal::decoder_of(&message.topic) {
        return internal::decode(decoder, message, part, bytes);
    }
    if bytes.is_empty() {
        return Decoded::new("empty", Value::String(String::new()));
    }
    let found = registry::find(bytes, &message.headers, part);
    if let Some(found) = &found
        && book.has_registry()
    {
        match book.get(&found.schema) {
            Some(Ok(_)) => return with_registry(bytes, &message.headers, part, book),
            // The id was right there in a header: nothing is guessed.
            Some(Err(_)) if found.is_certain => {
                return with_registry(bytes, &message.headers, part, book);
            }
            _ => {}
        }
    }
    if matches!(bytes.first(), Some(b'{' | b'['))
        && let Ok(decoded) = json::decode(bytes)
    {
        return decoded;
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        return Decoded::new(Decoder::Text.name(), Value::String(text.to_owned()));
    }
    if let Some(found) = &found
        && let Some(rest) = bytes.get(found.payload_at..)
        && matches!(rest.first(), Some(b'{' | b'['))
        && let Ok(mut decoded) = json::decode(rest)
    {
        decoded.decoder = format!("json behind {}", found.schema);
        return decoded;
    }
    if let Some(value) = msgpack::guess(bytes) {
        return Decoded::new(Decoder::MessagePack.name(), value);
    }
    if let Some(value) = cbor::guess(bytes) {
        return Decoded::new(Decoder::Cbor.name(), value);
    }
    if let Some((decoder, value)) = numbers::guess(bytes) {
        return Decoded::new(decoder.name(), value);
    }
    if let Some(text) = mostly_text(bytes) {
        return Decoded::new(Decoder::Text.name(), Value::String(text.to_owned()));
    }
    match found.filter(|found| found.is_plausible()) {
        Some(found) => {
            let why = match book.get(&found.schema) {
                Some(Err(why)) => format!("{}: {why}", found.schema),
                _ if book.has_registry() => format!("{}: it was not read yet", found.schema),
                _ => format!(
                    "it seems to need {}: name a registry with --registry or in the cluster's settings",
                    found.schema
                ),
            };
            Decoded::failed(bytes, why)
        }
        None => Decoded::bytes(bytes),
    }
}

/// Text with a control character here and there, as programs write it for terminals.
fn mostly_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let n_control = text.chars().filter(|c| c.is_control()).count();
    let is_text = !text.contains('\0') && n_control <= text.chars().count() / 8;
    is_text.then_some(text)
}

#[cfg(test)]
mod tests;
