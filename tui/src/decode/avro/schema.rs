//! An Avro schema as it is written in JSON, with all names resolved.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::decode::DEPTH_MAX;

/// Nodes of one schema with all that it refers to.
const NODES_MAX: usize = 20_000;

/// Digits after the point of a decimal.
const SCALE_MAX: u64 = 1_000;

/// Bytes of one fixed value.
const FIXED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Names a node of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(usize);

/// What a value of bytes or of an integer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logical {
    None,
    Decimal { scale: usize },
    Uuid,
    Duration,
    Date,
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    LocalMillis,
    LocalMicros,
    LocalNanos,
}

/// One type.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Boolean,
    Int(Logical),
    Long(Logical),
    Float,
    Double,
    Bytes(Logical),
    String,
    Fixed { size: usize, logical: Logical },
    Enum(Vec<String>),
    Union(Vec<NodeId>),
    Array(NodeId),
    Map(NodeId),
    Record(Vec<(String, NodeId)>),
}

/// A schema that values can be read with.
#[derive(Debug)]
pub(in crate::decode) struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
    name: Option<String>,
}

impl Schema {
    /// Reads a schema; `references` are the schemas that it names, each after those it names.
    ///
    /// # Errors
    /// It is no schema, or a name in it stands for nothing.
    pub(in crate::decode) fn parse<'t>(
        references: impl IntoIterator<Item = &'t str>,
        text: &str,
    ) -> Result<Self, String> {
        let mut builder = Builder::default();
        for reference in references {
            builder.read(reference)?;
        }
        let root = builder.read(text)?;
        let name = builder.names.iter().find(|(_, id)| **id == root);
        Ok(Self {
            root,
            name: name.map(|(name, _)| name.clone()),
            nodes: builder.nodes,
        })
    }

    /// The full name of the outermost type, where it has one.
    pub(in crate::decode) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    names: HashMap<String, NodeId>,
}

impl Builder {
    fn read(&mut self, text: &str) -> Result<NodeId, String> {
        // A schema that is a mere name may be stored without quotes.
        let json: Value = serde_json::from_str(text)
            .or_else(|error| match text.trim() {
                name if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                    Ok(Value::String(name.to_owned()))
                }
                _ => Err(error),
            })
            .map_err(|error| format!("the schema is no JSON: {error}"))?;
        self.add(&json, "", 0)
    }

    fn push(&mut self, node: Node) -> Result<NodeId, String> {
        if self.nodes.len() >= NODES_MAX {
            return Err(format!("the schema has more than {NODES_MAX} types"));
        }
        self.nodes.push(node);
        Ok(NodeId(self.nodes.len() - 1))
    }

    fn add(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<NodeId, String> {
        if depth > DEPTH_MAX {
            return Err(format!(
                "the schema is nested more than {DEPTH_MAX} levels deep"
            ));
        }
        match json {
            Value::String(name) => self.named(name, namespace),
            Value::Array(branches) => {
                let branches = branches.iter();
                let branches: Result<_, _> = branches
                    .map(|branch| self.add(branch, namespace, depth + 1))
                    .collect();
                self.push(Node::Union(branches?))
            }
            Value::Object(object) => self.object(object, namespace, depth),
            other => Err(format!("the schema has {other} where a type is wanted")),
        }
    }

    /// A primitive type, or one that was declared before.
    fn named(&mut self, name: &str, namespace: &str) -> Result<NodeId, String> {
        let node = match name {
            "null" => Node::Null,
            "boolean" => Node::Boolean,
            "int" => Node::Int(Logical::None),
            "long" => Node::Long(Logical::None),
            "float" => Node::Float,
            "double" => Node::Double,
            "bytes" => Node::Bytes(Logical::None),
            "string" => Node::String,
            _ => {
                let full = full_name(name, namespace);
                let found = self.names.get(&full).or_else(|| self.names.get(name));
                return found
                    .copied()
                    .ok_or_else(|| format!("the schema names {full}, which is nowhere declared"));
            }
        };
        self.push(node)
    }

    fn object(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        depth: usize,
    ) -> Result<NodeId, String> {
        let kind = object
            .get("type")
            .ok_or("a type of the schema has no \"type\"")?;
        let Value::String(kind) = kind else {
            return self.add(kind, namespace, depth + 1);
        };
        let logical = logical(object);
        let inner = |key: &str| {
            let inner = object.get(key);
            inner.ok_or_else(|| format!("a type {kind} of the schema has no \"{key}\""))
        };
        match kind.as_str() {
            "int" => self.push(Node::Int(logical)),
            "long" => self.push(Node::Long(logical)),
            "bytes" => self.push(Node::Bytes(logical)),
            "array" => {
                let items = self.add(inner("items")?, namespace, depth + 1)?;
                self.push(Node::Array(items))
            }
            "map" => {
                let values = self.add(inner("values")?, namespace, depth + 1)?;
                self.push(Node::Map(values))
            }
            "record" | "error" => self.record(object, namespace, depth),
            "enum" => {
                let symbols = inner("symbols")?.as_array().ok_or("symbols are no list")?;
                let symbols = symbols
                    .iter()
                    .map(|s| s.as_str().unwrap_or_default().to_owned());
                let id = self.push(Node::Enum(symbols.collect()))?;
                self.declare(object, namespace, id).map(|_| id)
            }
            "fixed" => {
                let size = inner("size")?
                    .as_u64()
                    .filter(|size| *size <= FIXED_BYTES_MAX);
                let size = size.ok_or("a fixed type of the schema has no possible size")?;
                let size = usize::try_from(size).map_err(|error| error.to_string())?;
                let id = self.push(Node::Fixed { size, logical })?;
                self.declare(object, namespace, id).map(|_| id)
            }
            name => self.named(name, namespace),
        }
    }

    fn record(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        depth: usize,
    ) -> Result<NodeId, String> {
        // Declared before its fields, which may hold records of the same type.
        let id = self.push(Node::Record(Vec::new()))?;
        let full = self.declare(object, namespace, id)?;
        let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace);
        let fields = object.get("fields").and_then(Value::as_array);
        let fields = fields.ok_or_else(|| format!("record {full} has no fields"))?;
        let mut all = Vec::new();
        for field in fields {
            let name = field.get("name").and_then(Value::as_str);
            let kind = field.get("type");
            let (Some(name), Some(kind)) = (name, kind) else {
                return Err(format!("a field of record {full} has no name or no type"));
            };
            // {"name": …, "type": "bytes", "logicalType": …} is a common mistake that means
            // nothing to Avro either.
            all.push((name.to_owned(), self.add(kind, namespace, depth + 1)?));
        }
        self.nodes[id.0] = Node::Record(all);
        Ok(id)
    }

    fn declare(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        id: NodeId,
    ) -> Result<String, String> {
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let name = text("name").ok_or("a type of the schema has no name")?;
        let full = full_name(name, text("namespace").unwrap_or(namespace));
        self.names.insert(full.clone(), id);
        Ok(full)
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    match name.contains('.') || namespace.is_empty() {
        true => name.to_owned(),
        false => format!("{namespace}.{name}"),
    }
}

fn logical(object: &Map<String, Value>) -> Logical {
    match object.get("logicalType").and_then(Value::as_str) {
        Some("decimal") => {
            let scale = object.get("scale").map_or(Some(0), Value::as_u64);
            match scale.filter(|scale| *scale <= SCALE_MAX) {
                Some(scale) => Logical::Decimal {
                    scale: usize::try_from(scale).unwrap_or(0),
                },
                None => Logical::None,
            }
        }
        Some("uuid") => Logical::Uuid,
        Some("duration") => Logical::Duration,
        Some("date") => Logical::Date,
        Some("time-millis") => Logical::TimeMillis,
        Some("time-micros") => Logical::TimeMicros,
        Some("timestamp-millis") => Logical::TimestampMillis,
        Some("timestamp-micros") => Logical::TimestampMicros,
        Some("timestamp-nanos") => Logical::TimestampNanos,
        Some("local-timestamp-millis") => Logical::LocalMillis,
        Some("local-timestamp-micros") => Logical::LocalMicros,
        Some("local-timestamp-nanos") => Logical::LocalNanos,
        _ => Logical::None,
    }
}
