//! A file of TOML, YAML or JSON as one kind of tree, each part with its line.
//!
//! Owned here because a refusal has to say where: deserializers forget it. Depth and number of
//! parts are bounded, also of what YAML's aliases repeat.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use toml_edit::{Item, Value as TomlValue};

/// Nobody nests declared topics deeper.
const DEPTH_MAX: usize = 32;

/// Parts of one file, those that aliases repeat among them.
const NODES_MAX: usize = 1_000_000;

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Toml,
    Yaml,
    Json,
}

/// A part of a file.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// From 1 on; 0 where it is not known.
    pub line: usize,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Text(String),
    /// A number or a boolean, as it was written, in the form that Kafka takes.
    Plain(String),
    List(Vec<Node>),
    /// In the order of the file, no key twice.
    Table(Vec<(Key, Node)>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub text: String,
    pub line: usize,
}

/// What can't be read, with its line.
pub(super) type Wrong = (usize, String);

impl Value {
    /// In words, for a refusal.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "a text",
            Self::Plain(_) => "a number or boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Reads a file's text.
pub(super) fn parse(language: Language, text: &str) -> Result<Node, Wrong> {
    match language {
        Language::Toml => toml(text),
        Language::Yaml => yaml(text),
        Language::Json => {
            let json: serde_json::Value = serde_json::from_str(text)
                .map_err(|error| (error.line(), told_without_place(&error)))?;
            // What is JSON is YAML, nearly: pairs of surrogates are not.
            yaml(text).or_else(|(line, why)| match why.contains("twice") {
                true => Err((line, why)),
                false => from_json(json, &mut 0),
            })
        }
    }
}

/// The message without the line and column that are said another way.
fn told_without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text[..end].to_owned()
}

fn grown(n: &mut usize, by: usize) -> Result<(), String> {
    *n += by;
    match *n > NODES_MAX {
        true => Err(format!("it has more than {NODES_MAX} parts")),
        false => Ok(()),
    }
}

fn from_json(json: serde_json::Value, n: &mut usize) -> Result<Node, Wrong> {
    grown(n, 1).map_err(|why| (0, why))?;
    let value = match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => {
            let items = items.into_iter().map(|item| from_json(item, n));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        serde_json::Value::Object(fields) => {
            let field = |(text, value)| Ok((Key { text, line: 0 }, from_json(value, n)?));
            Value::Table(fields.into_iter().map(field).collect::<Result<_, _>>()?)
        }
        plain => Value::Plain(plain.to_string()),
    };
    Ok(Node { line: 0, value })
}

/// Lines by the places in the text where they begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(
            std::iter::once(0)
                .chain(ends.map(|(at, _)| at + 1))
                .collect(),
        )
    }

    fn line(&self, span: Option<std::ops::Range<usize>>) -> usize {
        span.map_or(0, |span| {
            self.0.partition_point(|start| *start <= span.start)
        })
    }
}

fn toml(text: &str) -> Result<Node, Wrong> {
    let lines = Lines::of(text);
    let document = toml_edit::Document::parse(text)
        .map_err(|error| (lines.line(error.span()), error.message().to_owned()))?;
    from_item(document.as_item(), &lines, &mut 0)
}

fn from_item(item: &Item, lines: &Lines, n: &mut usize) -> Result<Node, Wrong> {
    let line = lines.line(item.span());
    grown(n, 1).map_err(|why| (line, why))?;
    let value = match item {
        Item::None => Value::Null,
        Item::Value(value) => return from_value(value, lines, n),
        Item::Table(table) => {
            let key = |name: &str| lines.line(table.key(name).and_then(toml_edit::Key::span));
            let fields = table.iter().map(|(name, item)| {
                let value = from_item(item, lines, n)?;
                Ok((keyed(name, key(name), &value), value))
            });
            Value::Table(fields.collect::<Result<_, Wrong>>()?)
        }
        Item::ArrayOfTables(tables) => {
            let tables = tables.iter().map(|table| {
                let item = Item::Table(table.clone());
                from_item(&item, lines, n)
            });
            Value::List(tables.collect::<Result<_, Wrong>>()?)
        }
    };
    Ok(Node { line, value })
}

/// A key without a place of its own stands where its value does.
fn keyed(name: &str, line: usize, value: &Node) -> Key {
    Key {
        text: name.to_owned(),
        line: if line == 0 { value.line } else { line },
    }
}

fn from_value(value: &TomlValue, lines: &Lines, n: &mut usize) -> Result<Node, Wrong> {
    let line = lines.line(value.span());
    grown(n, 1).map_err(|why| (line, why))?;
    let value = match value {
        TomlValue::String(text) => Value::Text(text.value().clone()),
        TomlValue::Integer(number) => Value::Plain(number.value().to_string()),
        TomlValue::Float(number) => Value::Plain(number.value().to_string()),
        TomlValue::Boolean(flag) => Value::Plain(flag.value().to_string()),
        TomlValue::Datetime(time) => Value::Text(time.value().to_string()),
        TomlValue::Array(items) => {
            let items = items.iter().map(|item| from_value(item, lines, n));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        TomlValue::InlineTable(table) => {
            let key = |name: &str| lines.line(table.key(name).and_then(toml_edit::Key::span));
            let fields = table.iter().map(|(name, value)| {
                let value = from_value(value, lines, n)?;
                Ok((keyed(name, key(name), &value), value))
            });
            Value::Table(fields.collect::<Result<_, Wrong>>()?)
        }
    };
    Ok(Node { line, value })
}

/// A list or table of YAML that is not at its end yet.
struct Open {
    line: usize,
    anchor: usize,
    is_table: bool,
    items: Vec<Node>,
    fields: Fields,
    key: Option<Key>,
}

/// The fields of a table, with where each name is.
#[derive(Default)]
struct Fields {
    fields: Vec<(Key, Node)>,
    at: HashMap<String, usize>,
}

impl Fields {
    /// Whether a name was said here; what was merged from elsewhere may be said again.
    fn was_said(&self, name: &str) -> bool {
        let at = self.at.get(name).and_then(|at| self.fields.get(*at));
        at.is_some_and(|(key, _)| key.line > 0)
    }

    fn put(&mut self, key: Key, node: Node) {
        match self.at.get(&key.text) {
            Some(at) => self.fields[*at] = (key, node),
            None => {
                self.at.insert(key.text.clone(), self.fields.len());
                self.fields.push((key, node));
            }
        }
    }
}

/// Makes a tree of YAML's events.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    whole: Option<Node>,
    n: usize,
}

fn yaml(text: &str) -> Result<Node, Wrong> {
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| (error.marker().line(), error.info().to_owned()))?;
        let line = span.start.line();
        builder.take(event, span).map_err(|why| (line, why))?;
    }
    Ok(builder.whole.unwrap_or(Node {
        line: 1,
        value: Value::Null,
    }))
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), String> {
        let line = span.start.line();
        match event {
            Event::DocumentStart(_) if self.whole.is_some() => {
                Err("it holds more than one document: put them into files of their own".to_owned())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.is_some_and(|tag| tag.suffix == "str");
                let value = match style == ScalarStyle::Plain && !is_text {
                    true => plain(&text),
                    false => Value::Text(text.into_owned()),
                };
                self.put(Node { line, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, false),
            Event::MappingStart(anchor, _) => self.begin(line, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                None => Ok(()),
                Some(open) => {
                    let value = match open.is_table {
                        true => Value::Table(open.fields.fields),
                        false => Value::List(open.items),
                    };
                    let line = open.line;
                    self.put(Node { line, value }, open.anchor)
                }
            },
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or("an alias names what contains it")?;
                grown(&mut self.n, size(&node))?;
                self.put(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, is_table: bool) -> Result<(), String> {
        if self.open.len() >= DEPTH_MAX {
            return Err(format!("it is nested deeper than {DEPTH_MAX} levels"));
        }
        self.open.push(Open {
            line,
            anchor,
            is_table,
            items: Vec::new(),
            fields: Fields::default(),
            key: None,
        });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        grown(&mut self.n, 1)?;
        if anchor > 0 {
            grown(&mut self.n, size(&node))?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.whole = Some(node);
            return Ok(());
        };
        if !open.is_table {
            open.items.push(node);
            return Ok(());
        }
        match open.key.take() {
            Some(key) if key.text == "<<" => merge(&mut open.fields, node),
            Some(key) => {
                open.fields.put(key, node);
                Ok(())
            }
            None => {
                let text = match node.value {
                    Value::Text(text) | Value::Plain(text) => text,
                    other => return Err(format!("{} can't be a key", other.kind())),
                };
                if open.fields.was_said(&text) {
                    return Err(format!("\"{text}\" is there twice"));
                }
                let line = node.line;
                open.key = Some(Key { text, line });
                Ok(())
            }
        }
    }
}

/// Takes in the fields of other tables, as `<<` asks for; those that are there already stay.
fn merge(fields: &mut Fields, from: Node) -> Result<(), String> {
    match from.value {
        Value::Table(new) => {
            for (key, node) in new {
                if !fields.at.contains_key(&key.text) {
                    fields.put(Key { line: 0, ..key }, node);
                }
            }
            Ok(())
        }
        Value::List(tables) => tables.into_iter().try_for_each(|table| match table.value {
            Value::Table(_) => merge(fields, table),
            other => Err(format!("{} can't be merged", other.kind())),
        }),
        other => Err(format!("{} can't be merged", other.kind())),
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Table(fields) => fields.iter().map(|(_, node)| size(node)).sum(),
        _ => 0,
    }
}

/// What a word without quotes is in YAML 1.2's core schema.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Plain("true".to_owned()),
        "false" | "False" | "FALSE" => Value::Plain("false".to_owned()),
        text if text.parse::<i64>().is_ok() => {
            Value::Plain(text.strip_prefix('+').unwrap_or(text).to_owned())
        }
        text if is_decimal(text) => Value::Plain(text.to_owned()),
        text => Value::Text(text.to_owned()),
    }
}

/// Digits with a point or an exponent; `nan` and the like are texts.
fn is_decimal(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
        && text.parse::<f64>().is_ok()
}
