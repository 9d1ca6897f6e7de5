//! The language that messages are chosen by, on the screen and by commands.
//!
//! `value.customer.id == 42 and not header.source ~ test`: tests of the key, the value, what is at
//! a path in either, a header, the partition, the offset, the time, the size; joined by `and`,
//! `or`, `not` and parentheses. A word alone is looked for in key, value and headers.
//!
//! Operators: `==` `!=` `<` `<=` `>` `>=`, `~` contains (capitals don't matter), `!~`, `=~` matches a
//! regular expression. Nothing after an operand asks whether it is there and not null.

use std::cell::OnceCell;
use std::cmp::Ordering;

use regex::Regex;
use serde_json::Value;

use crate::model::{Fate, Message};

use super::{Decoded, Decoder, JsonPath, Part, SchemaBook, decode};

/// Tests within one filter.
const TESTS_MAX: usize = 200;

/// Nesting of parentheses and negations.
const DEPTH_MAX: usize = 40;

#[derive(Clone, Debug)]
enum Operand {
    /// Key, value and all headers as texts.
    Anywhere,
    Payload(Part, Option<JsonPath>),
    /// One header, or all.
    Header(Option<String>),
    Partition,
    Offset,
    Time,
    Size,
    Aborted,
    Control,
}

#[derive(Clone, Debug)]
enum Test {
    IsThere,
    Contains(String),
    Lacks(String),
    Matches(Regex),
    Compare(Op, Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Test(Operand, Test),
}

/// A filter that was understood.
#[derive(Clone, Debug)]
pub struct MessageFilter {
    text: String,
    root: Node,
}

impl PartialEq for MessageFilter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for MessageFilter {}

impl MessageFilter {
    /// Reads a filter; `time` reads what is compared with `time`, as milliseconds.
    ///
    /// # Errors
    /// What can't be understood, and where.
    pub fn parse(text: &str, time: &dyn Fn(&str) -> Option<i64>) -> Result<Self, String> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
            n_tests: 0,
            time,
        };
        let root = parser.any(0)?;
        match parser.peek() {
            None => Ok(Self {
                text: text.trim().to_owned(),
                root,
            }),
            Some(token) => Err(format!("\"{}\" is not expected there", token.text)),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a message is chosen; its payloads are read as `decoders` say, key and value.
    pub fn accepts(
        &self,
        message: &Message,
        decoders: (Decoder, Decoder),
        book: &SchemaBook,
    ) -> bool {
        let subject = Subject {
            message,
            decoders,
            book,
            key: OnceCell::new(),
            value: OnceCell::new(),
        };
        holds(&self.root, &subject)
    }
}

/// A message with what was read of it so far.
struct Subject<'a> {
    message: &'a Message,
    decoders: (Decoder, Decoder),
    book: &'a SchemaBook,
    key: OnceCell<Option<Decoded>>,
    value: OnceCell<Option<Decoded>>,
}

impl Subject<'_> {
    fn decoded(&self, part: Part) -> Option<&Decoded> {
        let (cell, decoder) = match part {
            Part::Key => (&self.key, self.decoders.0),
            Part::Value => (&self.value, self.decoders.1),
        };
        cell.get_or_init(|| decode(self.message, part, decoder, self.book))
            .as_ref()
    }
}

fn holds(node: &Node, subject: &Subject<'_>) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().all(|node| holds(node, subject)),
        Node::Any(nodes) => nodes.iter().any(|node| holds(node, subject)),
        Node::Not(node) => !holds(node, subject),
        Node::Test(operand, test) => test_holds(operand, test, subject),
    }
}

fn test_holds(operand: &Operand, test: &Test, subject: &Subject<'_>) -> bool {
    let message = subject.message;
    let number = |n: i64| of_value(test, &Value::from(n));
    match operand {
        Operand::Partition => number(message.partition.into()),
        Operand::Offset => number(message.offset),
        Operand::Time => number(message.timestamp_ms),
        Operand::Size => {
            let of = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
            number((of(&message.key) + of(&message.value)) as i64)
        }
        Operand::Aborted => {
            let is_aborted = message.facts.transaction == Fate::Aborted;
            of_flag(test, is_aborted)
        }
        Operand::Control => of_flag(test, message.facts.control.is_some()),
        Operand::Header(name) => {
            let headers = message.headers.iter();
            let named = headers.filter(|header| name.as_deref().is_none_or(|n| n == &*header.key));
            let values: Vec<Value> = named
                .map(|header| header_value(header.value.as_deref()))
                .collect();
            of_values(test, values.iter())
        }
        Operand::Payload(part, path) => match (subject.decoded(*part), path) {
            (None, None) => of_values(test, std::iter::once(&Value::Null)),
            (None, Some(_)) => of_values(test, std::iter::empty()),
            (Some(decoded), None) => of_whole(test, decoded),
            (Some(decoded), Some(path)) => of_values(test, path.find(&decoded.value).into_iter()),
        },
        Operand::Anywhere => {
            let parts = [Part::Key, Part::Value].into_iter();
            let mut parts = parts.filter_map(|part| subject.decoded(part));
            parts.any(|decoded| of_whole(test, decoded))
                || message.headers.iter().any(|header| {
                    of_value(test, &Value::from(&*header.key))
                        || of_value(test, &header_value(header.value.as_deref()))
                })
        }
    }
}

fn header_value(bytes: Option<&[u8]>) -> Value {
    match bytes {
        None => Value::Null,
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => super::hex(bytes).into(),
        },
    }
}

/// Not equal and lacks hold where nothing is equal and nothing contains.
fn of_values<'v>(test: &Test, mut values: impl Iterator<Item = &'v Value>) -> bool {
    match test {
        Test::Compare(Op::NotEqual, _) | Test::Lacks(_) => {
            values.all(|value| of_value(test, value))
        }
        _ => values.any(|value| of_value(test, value)),
    }
}

/// A whole payload is compared as a value and searched as a text.
fn of_whole(test: &Test, decoded: &Decoded) -> bool {
    match test {
        Test::Contains(_) | Test::Lacks(_) | Test::Matches(_) => match &decoded.value {
            Value::String(_) => of_value(test, &decoded.value),
            value => of_text(test, &value.to_string()),
        },
        _ => of_value(test, &decoded.value),
    }
}

fn of_flag(test: &Test, flag: bool) -> bool {
    match test {
        Test::IsThere => flag,
        test => of_value(test, &Value::Bool(flag)),
    }
}

fn of_value(test: &Test, value: &Value) -> bool {
    match test {
        Test::IsThere => !value.is_null(),
        Test::Compare(op, wanted) => compare(*op, value, wanted),
        test => match value {
            Value::Null => matches!(test, Test::Lacks(_)),
            Value::String(text) => of_text(test, text),
            value => of_text(test, &value.to_string()),
        },
    }
}

fn of_text(test: &Test, text: &str) -> bool {
    match test {
        Test::Contains(part) => contains(text, part),
        Test::Lacks(part) => !contains(text, part),
        Test::Matches(regex) => regex.is_match(text),
        Test::IsThere => true,
        Test::Compare(op, wanted) => compare(*op, &Value::from(text), wanted),
    }
}

/// `part` is in lower case already.
fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(part)
}

fn compare(op: Op, value: &Value, wanted: &Value) -> bool {
    let order = order(value, wanted);
    match op {
        Op::Equal => order == Some(Ordering::Equal),
        Op::NotEqual => order != Some(Ordering::Equal),
        Op::Less => order == Some(Ordering::Less),
        Op::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Op::Greater => order == Some(Ordering::Greater),
        Op::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

/// Numbers by size, also those that stand as texts; texts by their letters.
fn order(value: &Value, wanted: &Value) -> Option<Ordering> {
    match (value, wanted) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) => Some(a.as_str().cmp(b)),
        (Value::String(a), Value::Number(b)) => a.parse::<f64>().ok()?.partial_cmp(&b.as_f64()?),
        (Value::Number(_) | Value::Bool(_), Value::String(b)) => Some(value.to_string().cmp(b)),
        _ => None,
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Token {
    text: String,
    is_quoted: bool,
}

impl Token {
    /// Whether what stands side by side ends before it.
    fn ends_group(&self) -> bool {
        !self.is_quoted && (self.text == ")" || self.text.eq_ignore_ascii_case("or"))
    }
}

const OPERATORS: [&str; 10] = ["==", "!=", "<=", ">=", "!~", "=~", "<", ">", "~", "="];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let plain = |text: &str| Token {
            text: text.to_owned(),
            is_quoted: false,
        };
        if matches!(first, '"' | '\'') {
            let inner = &rest[1..];
            let end = inner.find(first).ok_or("a text does not end")?;
            tokens.push(Token {
                text: inner[..end].to_owned(),
                is_quoted: true,
            });
            rest = &inner[end + 1..];
        } else if matches!(first, '(' | ')') {
            tokens.push(plain(&rest[..1]));
            rest = &rest[1..];
        } else if let Some(operator) = OPERATORS.iter().find(|op| rest.starts_with(**op)) {
            let run = rest.trim_start_matches(['=', '!', '<', '>', '~']);
            let run = &rest[..rest.len() - run.len()];
            if run != *operator {
                let known = OPERATORS.join(" ");
                return Err(format!("\"{run}\" is no operator: there are {known}"));
            }
            tokens.push(plain(operator));
            rest = &rest[operator.len()..];
        } else {
            let end = word_end(rest);
            tokens.push(plain(&rest[..end]));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// A word ends at a blank, a parenthesis or an operator, but not within brackets: `value["a b"]`.
fn word_end(text: &str) -> usize {
    let mut in_brackets = false;
    for (at, c) in text.char_indices() {
        match c {
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            _ if in_brackets => {}
            '(' | ')' | '=' | '<' | '>' | '~' | '!' => return at.max(1),
            c if c.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    n_tests: usize,
    time: &'a dyn Fn(&str) -> Option<i64>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// Takes the next token if it is this word, whatever its capitals are.
    fn word(&mut self, word: &str) -> bool {
        let is_it = self
            .peek()
            .is_some_and(|token| !token.is_quoted && token.text.eq_ignore_ascii_case(word));
        self.at += usize::from(is_it);
        is_it
    }

    fn any(&mut self, depth: usize) -> Result<Node, String> {
        let mut nodes = vec![self.all(depth)?];
        while self.word("or") {
            nodes.push(self.all(depth)?);
        }
        Ok(match nodes.len() {
            1 => nodes.remove(0),
            _ => Node::Any(nodes),
        })
    }

    /// What stands side by side has to hold all.
    fn all(&mut self, depth: usize) -> Result<Node, String> {
        let mut nodes = vec![self.one(depth)?];
        loop {
            let is_joined = self.word("and");
            match self.peek() {
                None if !is_joined => break,
                Some(token) if !is_joined && token.ends_group() => break,
                _ => {}
            }
            nodes.push(self.one(depth)?);
        }
        Ok(match nodes.len() {
            1 => nodes.remove(0),
            _ => Node::All(nodes),
        })
    }

    fn one(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEPTH_MAX {
            return Err("it is nested too deeply".to_owned());
        }
        if self.word("not") {
            return Ok(Node::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.word("(") {
            let inner = self.any(depth + 1)?;
            return match self.word(")") {
                true => Ok(inner),
                false => Err("a parenthesis is not closed".to_owned()),
            };
        }
        self.test()
    }

    fn test(&mut self) -> Result<Node, String> {
        self.n_tests += 1;
        if self.n_tests > TESTS_MAX {
            return Err(format!("it has more than {TESTS_MAX} tests"));
        }
        let token = self
            .peek()
            .cloned()
            .ok_or("it ends where a test is wanted")?;
        if !token.is_quoted && (OPERATORS.contains(&&*token.text) || token.text == ")") {
            return Err(format!("\"{}\" has nothing before it", token.text));
        }
        self.at += 1;
        let operand = match token.is_quoted {
            true => None,
            false => operand(&token.text)?,
        };
        let operator = self.peek().filter(|token| !token.is_quoted);
        let operator = operator.and_then(|token| OPERATORS.iter().find(|op| **op == token.text));
        let Some(operand) = operand else {
            return match operator {
                Some(_) => Err(format!(
                    "\"{}\" is nothing to compare: key, value, value.PATH, header.NAME, partition, \
                     offset, time, size, aborted or control",
                    token.text
                )),
                None => Ok(Node::Test(
                    Operand::Anywhere,
                    Test::Contains(token.text.to_lowercase()),
                )),
            };
        };
        let Some(operator) = operator else {
            return Ok(Node::Test(operand, Test::IsThere));
        };
        self.at += 1;
        let literal = self.peek().cloned();
        let literal = literal.ok_or_else(|| format!("nothing follows \"{operator}\""))?;
        self.at += 1;
        let test = self.comparison(&operand, operator, &literal)?;
        Ok(Node::Test(operand, test))
    }

    fn comparison(
        &self,
        operand: &Operand,
        operator: &str,
        literal: &Token,
    ) -> Result<Test, String> {
        let op = match operator {
            "~" => return Ok(Test::Contains(literal.text.to_lowercase())),
            "!~" => return Ok(Test::Lacks(literal.text.to_lowercase())),
            "=~" => {
                let regex = Regex::new(&literal.text);
                return regex.map(Test::Matches).map_err(|error| error.to_string());
            }
            "==" | "=" => Op::Equal,
            "!=" => Op::NotEqual,
            "<" => Op::Less,
            "<=" => Op::LessOrEqual,
            ">" => Op::Greater,
            _ => Op::GreaterOrEqual,
        };
        let value = match operand {
            Operand::Time => {
                let ms = (self.time)(&literal.text);
                ms.map(Value::from)
                    .ok_or_else(|| format!("\"{}\" is no time", literal.text))?
            }
            Operand::Partition | Operand::Offset | Operand::Size => {
                let number: Result<i64, _> = literal.text.replace([',', '_'], "").parse();
                number
                    .map(Value::from)
                    .map_err(|_| format!("\"{}\" is no number", literal.text))?
            }
            _ => value_of(literal),
        };
        Ok(Test::Compare(op, value))
    }
}

/// A number, true, false, null, or else a text.
fn value_of(literal: &Token) -> Value {
    if literal.is_quoted {
        return literal.text.as_str().into();
    }
    match serde_json::from_str(&literal.text) {
        Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => value,
        _ => literal.text.as_str().into(),
    }
}

/// What a word names; `None` for a word to look for.
fn operand(word: &str) -> Result<Option<Operand>, String> {
    let end = word.find(['.', '[']).unwrap_or(word.len());
    let (name, path) = word.split_at(end);
    let payload = |part| -> Result<Option<Operand>, String> {
        let path = match path {
            "" => None,
            path => Some(JsonPath::parse(path)?),
        };
        Ok(Some(Operand::Payload(part, path)))
    };
    match (name, path) {
        ("key", _) => payload(Part::Key),
        ("value", _) => payload(Part::Value),
        ("header" | "headers", "") => Ok(Some(Operand::Header(None))),
        ("header" | "headers", path) => {
            let inner = path.trim_start_matches('.');
            let inner = inner
                .strip_prefix('[')
                .and_then(|p| p.strip_suffix(']'))
                .unwrap_or(inner);
            let name = inner.trim_matches(['"', '\'']);
            Ok(Some(Operand::Header(Some(name.to_owned()))))
        }
        ("partition", "") => Ok(Some(Operand::Partition)),
        ("offset", "") => Ok(Some(Operand::Offset)),
        ("time" | "timestamp", "") => Ok(Some(Operand::Time)),
        ("size", "") => Ok(Some(Operand::Size)),
        ("aborted", "") => Ok(Some(Operand::Aborted)),
        ("control", "") => Ok(Some(Operand::Control)),
        _ => Ok(None),
    }
}
