//! Declared types with all their names resolved.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::parser::{EnumDecl, FieldDecl, File, MessageDecl, parse};

/// The types of google.protobuf that .proto files import without anybody storing them.
const WELL_KNOWN: &str = r"
    package google.protobuf;
    message Timestamp { int64 seconds = 1; int32 nanos = 2; }
    message Duration { int64 seconds = 1; int32 nanos = 2; }
    message Any { string type_url = 1; bytes value = 2; }
    message Empty {}
    message FieldMask { repeated string paths = 1; }
    message Struct { map<string, Value> fields = 1; }
    message ListValue { repeated Value values = 1; }
    enum NullValue { NULL_VALUE = 0; }
    message Value {
        NullValue null_value = 1; double number_value = 2; string string_value = 3;
        bool bool_value = 4; Struct struct_value = 5; ListValue list_value = 6;
    }
    message DoubleValue { double value = 1; }
    message FloatValue { float value = 1; }
    message Int64Value { int64 value = 1; }
    message UInt64Value { uint64 value = 1; }
    message Int32Value { int32 value = 1; }
    message UInt32Value { uint32 value = 1; }
    message BoolValue { bool value = 1; }
    message StringValue { string value = 1; }
    message BytesValue { bytes value = 1; }
";

macro_rules! scalars {
    ($($variant:ident $name:literal $wire:ident,)*) => {
        /// A type that is no message and no enum.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Scalar {
            $($variant,)*
        }

        impl Scalar {
            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Scalar::$variant),)*
                    _ => None,
                }
            }

            /// The wire type of one value.
            pub(super) fn wire(self) -> u64 {
                match self {
                    $(Scalar::$variant => super::$wire,)*
                }
            }
        }
    };
}

scalars! {
    Double "double" FIXED64,
    Float "float" FIXED32,
    Int32 "int32" VARINT,
    Int64 "int64" VARINT,
    Uint32 "uint32" VARINT,
    Uint64 "uint64" VARINT,
    Sint32 "sint32" VARINT,
    Sint64 "sint64" VARINT,
    Fixed32 "fixed32" FIXED32,
    Fixed64 "fixed64" FIXED64,
    Sfixed32 "sfixed32" FIXED32,
    Sfixed64 "sfixed64" FIXED64,
    Bool "bool" VARINT,
    String "string" BYTES,
    Bytes "bytes" BYTES,
}

impl Scalar {
    pub(super) fn is_bytes(self) -> bool {
        self.wire() == super::BYTES
    }

    /// The value that is not written.
    pub(super) fn default(self) -> Value {
        match self {
            Scalar::String => json!(""),
            Scalar::Bytes => json!("0x"),
            Scalar::Bool => json!(false),
            _ => json!(0),
        }
    }
}

/// What a field holds.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    Enum(usize),
    Message(usize),
    Map(Scalar, Box<Kind>),
    /// A type that is nowhere declared.
    Unknown(String),
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub name: String,
    pub is_repeated: bool,
    pub kind: Kind,
}

#[derive(Debug, Default)]
pub(super) struct Message {
    /// With its package.
    pub name: String,
    fields: HashMap<u64, Field>,
    nested: Vec<usize>,
}

impl Message {
    pub(super) fn field(&self, number: u64) -> Option<&Field> {
        self.fields.get(&number)
    }
}

#[derive(Clone, Copy, Debug)]
enum TypeId {
    Message(usize),
    Enum(usize),
}

/// All that one schema declares and imports.
#[derive(Debug, Default)]
pub(in crate::decode) struct Files {
    messages: Vec<Message>,
    enums: Vec<HashMap<i32, String>>,
    by_name: HashMap<String, TypeId>,
    /// Messages of the schema's own file, in their order.
    top: Vec<usize>,
}

impl Files {
    /// Reads a schema with the files that it imports.
    ///
    /// # Errors
    /// One of them is no .proto file.
    pub(in crate::decode) fn parse<'t>(
        references: impl IntoIterator<Item = &'t str>,
        text: &str,
    ) -> Result<Self, String> {
        let mut files = Self::default();
        let mut pending = Vec::new();
        files.add(parse(WELL_KNOWN)?, &mut pending);
        for reference in references {
            files.add(parse(reference)?, &mut pending);
        }
        files.top = files.add(parse(text)?, &mut pending);
        for (id, fields) in pending {
            let scope = files.messages[id].name.clone();
            for field in fields {
                let number = field.number;
                let field = files.resolved(&scope, field);
                files.messages[id].fields.insert(number, field);
            }
        }
        Ok(files)
    }

    fn add(&mut self, file: File, pending: &mut Vec<(usize, Vec<FieldDecl>)>) -> Vec<usize> {
        for one in file.enums {
            self.add_enum(one, &file.package);
        }
        let messages = file.messages.into_iter();
        messages
            .map(|message| self.add_message(message, &file.package, pending))
            .collect()
    }

    fn add_enum(&mut self, one: EnumDecl, scope: &str) {
        let mut names = HashMap::new();
        for (name, number) in one.values {
            // Of aliases the first one is the name.
            names.entry(number).or_insert(name);
        }
        self.enums.push(names);
        let id = TypeId::Enum(self.enums.len() - 1);
        self.by_name.insert(within(scope, &one.name), id);
    }

    fn add_message(
        &mut self,
        message: MessageDecl,
        scope: &str,
        pending: &mut Vec<(usize, Vec<FieldDecl>)>,
    ) -> usize {
        let name = within(scope, &message.name);
        let id = self.messages.len();
        self.messages.push(Message {
            name: name.clone(),
            ..Message::default()
        });
        self.by_name.insert(name.clone(), TypeId::Message(id));
        for one in message.enums {
            self.add_enum(one, &name);
        }
        let nested = message.messages.into_iter();
        self.messages[id].nested = nested
            .map(|nested| self.add_message(nested, &name, pending))
            .collect();
        pending.push((id, message.fields));
        id
    }

    fn resolved(&self, scope: &str, field: FieldDecl) -> Field {
        let mut kind = self.kind(scope, &field.type_name);
        if let Some(key) = field.map_key {
            let key = Scalar::named(&key).unwrap_or(Scalar::String);
            kind = Kind::Map(key, Box::new(kind));
        }
        Field {
            name: field.name,
            is_repeated: field.is_repeated,
            kind,
        }
    }

    /// A name is looked for from the innermost scope outwards.
    fn kind(&self, scope: &str, name: &str) -> Kind {
        if let Some(scalar) = Scalar::named(name) {
            return Kind::Scalar(scalar);
        }
        let found = match name.strip_prefix('.') {
            Some(absolute) => self.by_name.get(absolute),
            None => {
                let mut scope = scope;
                loop {
                    if let Some(found) = self.by_name.get(&within(scope, name)) {
                        break Some(found);
                    }
                    if scope.is_empty() {
                        break None;
                    }
                    scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
                }
            }
        };
        match found {
            Some(TypeId::Message(id)) => Kind::Message(*id),
            Some(TypeId::Enum(id)) => Kind::Enum(*id),
            None => Kind::Unknown(name.to_owned()),
        }
    }

    pub(super) fn message(&self, id: usize) -> &Message {
        &self.messages[id]
    }

    pub(super) fn message_named(&self, name: &str) -> Option<&Message> {
        match self.by_name.get(name)? {
            TypeId::Message(id) => self.messages.get(*id),
            TypeId::Enum(_) => None,
        }
    }

    /// The message that indexes name: among the file's, then among those in it, and so on. None
    /// at all is the first one.
    pub(super) fn message_at(&self, indexes: &[i64]) -> Result<&Message, String> {
        let mut among = &self.top;
        let mut found = None;
        for index in if indexes.is_empty() { &[0] } else { indexes } {
            let id = usize::try_from(*index)
                .ok()
                .and_then(|index| among.get(index));
            let id = id.ok_or_else(|| format!("the schema has no message {indexes:?}"))?;
            let message = &self.messages[*id];
            among = &message.nested;
            found = Some(message);
        }
        found.ok_or_else(|| "the schema has no message".to_owned())
    }

    /// The full name of the message that indexes name.
    pub(in crate::decode) fn name_at(&self, indexes: &[i64]) -> Option<&str> {
        self.message_at(indexes).ok().map(|message| &*message.name)
    }

    /// The name of an enum's value, or its number if it has none.
    pub(super) fn enum_value(&self, id: usize, number: i32) -> Value {
        match self.enums[id].get(&number) {
            Some(name) => name.as_str().into(),
            None => number.into(),
        }
    }
}

fn within(scope: &str, name: &str) -> String {
    match scope.is_empty() {
        true => name.to_owned(),
        false => format!("{scope}.{name}"),
    }
}
