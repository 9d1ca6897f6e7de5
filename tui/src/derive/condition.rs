//! Conditions over a cluster, as a script waits for them:
//! `urp == 0 and reassignments == 0`, `lag("billing") < 100 or state("billing") == "Empty"`.
//!
//! | word | is |
//! | --- | --- |
//! | `urp`, `offline`, `under_min_isr`, `at_min_isr`, `not_preferred` | partitions in that state |
//! | `reassignments` | partitions on the move |
//! | `brokers`, `fenced` | brokers that serve, and that are fenced |
//! | `topics`, `partitions`, `groups` | how many there are |
//! | `controller` | the id of the active controller |
//! | `exists("t")`, `partitions("t")` | 1 if there is such a topic, its partitions |
//! | `lag("g")`, `members("g")`, `state("g")` | of a group; a state is a text |
//!
//! Joined by `and`, `or`, `not` and parentheses. What is not known makes a comparison neither true
//! nor false, and only a condition that is true ends a wait.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::{cluster_health, lag_in};
use crate::model::ClusterSnapshot;

/// Conditions that nest deeper are refused.
const DEPTH_MAX: usize = 50;

/// What a word stands for now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    Number(f64),
    Text(String),
    Unknown,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => write!(f, "{n}"),
            Self::Text(text) => f.write_str(text),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// What one look at the cluster says.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// `None` while something that it takes is not known.
    pub holds: Option<bool>,
    /// Each word of the condition with its value, in the order of their first mention.
    pub values: Vec<(String, Value)>,
}

/// What has to be read for a condition, besides the metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub settings: bool,
    pub reassignments: bool,
    pub quorum: bool,
    pub groups: bool,
    /// Groups whose members and lag are asked for.
    pub group_ids: BTreeSet<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Health(Health),
    Brokers,
    Fenced,
    Topics,
    Partitions,
    Groups,
    Controller,
    Exists(Arc<str>),
    PartitionsOf(Arc<str>),
    Lag(Arc<str>),
    Members(Arc<str>),
    State(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Health {
    UnderReplicated,
    Offline,
    UnderMinIsr,
    AtMinIsr,
    NotPreferred,
    Reassigning,
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Word(String, Word),
    Fixed(Value),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Compare(Term, Op, Term),
}

/// A condition that was read from a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition(Node);

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// What is wrong with the text, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
        };
        let node = parser.any()?;
        match parser.tokens.get(parser.at) {
            None => Ok(Self(node)),
            Some(token) => Err(format!(
                "{token} is not expected there; `and` and `or` join"
            )),
        }
    }

    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        self.0.each_word(&mut |_, word| match word {
            Word::Health(Health::UnderMinIsr | Health::AtMinIsr) => needs.settings = true,
            // Replicas that are being added are no lack.
            Word::Health(_) => needs.reassignments = true,
            Word::Controller => needs.quorum = true,
            Word::Groups => needs.groups = true,
            Word::Lag(id) | Word::Members(id) | Word::State(id) => {
                needs.groups = true;
                needs.group_ids.insert(Arc::clone(id));
            }
            _ => {}
        });
        needs
    }

    /// What the condition is now.
    pub fn read(&self, snapshot: &ClusterSnapshot) -> Reading {
        let mut values: Vec<(String, Value)> = Vec::new();
        self.0.each_word(&mut |name, word| {
            if !values.iter().any(|(known, _)| known == name) {
                values.push((name.to_owned(), word.value(snapshot)));
            }
        });
        Reading {
            holds: self.0.holds(snapshot),
            values,
        }
    }
}

impl Node {
    fn each_word(&self, call: &mut impl FnMut(&str, &Word)) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => {
                for node in nodes {
                    node.each_word(call);
                }
            }
            Self::Not(node) => node.each_word(call),
            Self::Compare(left, _, right) => {
                for term in [left, right] {
                    if let Term::Word(name, word) = term {
                        call(name, word);
                    }
                }
            }
        }
    }

    fn holds(&self, snapshot: &ClusterSnapshot) -> Option<bool> {
        match self {
            // False is the least that can be said, true the most.
            Self::All(nodes) => {
                let worst = nodes
                    .iter()
                    .map(|node| node.holds(snapshot))
                    .min_by_key(rank);
                worst.unwrap_or(Some(true))
            }
            Self::Any(nodes) => {
                let best = nodes
                    .iter()
                    .map(|node| node.holds(snapshot))
                    .max_by_key(rank);
                best.unwrap_or(Some(false))
            }
            Self::Not(node) => node.holds(snapshot).map(|holds| !holds),
            Self::Compare(left, op, right) => {
                op.holds(&left.value(snapshot), &right.value(snapshot))
            }
        }
    }
}

fn rank(holds: &Option<bool>) -> u8 {
    match holds {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    }
}

impl Term {
    fn value(&self, snapshot: &ClusterSnapshot) -> Value {
        match self {
            Self::Word(_, word) => word.value(snapshot),
            Self::Fixed(value) => value.clone(),
        }
    }
}

impl Op {
    fn holds(self, left: &Value, right: &Value) -> Option<bool> {
        let order = match (left, right) {
            (Value::Number(left), Value::Number(right)) => left.partial_cmp(right)?,
            (Value::Text(left), Value::Text(right)) => {
                left.to_lowercase().cmp(&right.to_lowercase())
            }
            _ => return None,
        };
        Some(match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        })
    }
}

fn number(n: usize) -> Value {
    Value::Number(n as f64)
}

impl Word {
    fn value(&self, snapshot: &ClusterSnapshot) -> Value {
        self.known(snapshot).unwrap_or(Value::Unknown)
    }

    fn known(&self, snapshot: &ClusterSnapshot) -> Option<Value> {
        // An old answer is no answer to what is now.
        if snapshot.metadata.fault().is_some() {
            return None;
        }
        let metadata = snapshot.metadata.get()?;
        Some(match self {
            Self::Health(health) => number(health.count(snapshot)?),
            Self::Brokers => {
                let serving = metadata.brokers.iter().filter(|b| b.fenced != Some(true));
                number(serving.count())
            }
            Self::Fenced => {
                let fenced: Option<usize> = metadata
                    .brokers
                    .iter()
                    .map(|b| b.fenced.map(usize::from))
                    .sum();
                number(fenced?)
            }
            Self::Topics => number(metadata.topics.len()),
            Self::Partitions => number(metadata.n_partitions()),
            Self::Groups => {
                let groups = snapshot
                    .groups
                    .get()
                    .filter(|groups| groups.faults.is_empty())?;
                number(groups.groups.len())
            }
            Self::Controller => Value::Number(f64::from(snapshot.controller_id()?)),
            Self::Exists(name) => number(usize::from(metadata.topic(name).is_some())),
            Self::PartitionsOf(name) => number(
                metadata
                    .topic(name)
                    .map_or(0, |topic| topic.partitions.len()),
            ),
            Self::Lag(id) => Value::Number(lag(snapshot, id)? as f64),
            Self::Members(id) => match description(snapshot, id)? {
                Some(description) => number(description.members.len()),
                None => number(0),
            },
            Self::State(id) => match description(snapshot, id)? {
                Some(description) => Value::Text(description.state.to_string()),
                // As Kafka says of a group that is not there.
                None => Value::Text("Dead".to_owned()),
            },
        })
    }
}

impl Health {
    fn count(self, snapshot: &ClusterSnapshot) -> Option<usize> {
        if self == Self::Reassigning {
            let running = &snapshot.reassignments;
            return running
                .get()
                .filter(|_| running.fault().is_none())
                .map(|all| all.len());
        }
        let counts = cluster_health(snapshot)?;
        match self {
            Self::UnderReplicated => {
                snapshot.reassignments.get()?;
                Some(counts.under_replicated)
            }
            Self::Offline => Some(counts.offline),
            Self::UnderMinIsr => counts.under_min_isr.complete(),
            Self::AtMinIsr => counts.at_min_isr.complete(),
            Self::NotPreferred => Some(counts.not_preferred),
            Self::Reassigning => None,
        }
    }
}

/// A group's description: `None` when it is not known, `Some(None)` when there is no such group.
fn description<'a>(
    snapshot: &'a ClusterSnapshot,
    id: &Arc<str>,
) -> Option<Option<&'a crate::model::GroupDescription>> {
    let groups = snapshot.groups.get()?;
    if !groups.groups.contains_key(id) {
        return groups.faults.is_empty().then_some(None);
    }
    let described = snapshot.descriptions.get(id)?;
    described
        .get()
        .filter(|_| described.fault().is_none())
        .map(Some)
}

fn lag(snapshot: &ClusterSnapshot, id: &Arc<str>) -> Option<i64> {
    let described = description(snapshot, id)?;
    let committed = snapshot.committed.get(id)?;
    let committed = committed.get().filter(|_| committed.fault().is_none())?;
    lag_in(snapshot, committed, described)?.records()
}

/// Pieces of a text.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Number(f64),
    Text(String),
    Op(Op),
    Open,
    Close,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "\"{name}\""),
            Self::Number(n) => write!(f, "{n}"),
            Self::Text(text) => write!(f, "the text \"{text}\""),
            Self::Op(_) => f.write_str("a comparison"),
            Self::Open => f.write_str("\"(\""),
            Self::Close => f.write_str("\")\""),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, n_bytes) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '"' | '\'' => {
                let end = rest[1..].find(first).ok_or("a text does not end")?;
                (Token::Text(rest[1..=end].to_owned()), end + 2)
            }
            '=' | '!' | '<' | '>' => op(rest)
                .ok_or_else(|| format!("\"{first}\" is no comparison: they are == != < <= > >="))?,
            _ => word(rest, first)?,
        };
        tokens.push(token);
        rest = rest[n_bytes..].trim_start();
    }
    Ok(tokens)
}

fn op(text: &str) -> Option<(Token, usize)> {
    let ops = [
        ("==", Op::Equal),
        ("!=", Op::NotEqual),
        ("<=", Op::LessOrEqual),
        (">=", Op::GreaterOrEqual),
        ("<", Op::Less),
        (">", Op::Greater),
        ("=", Op::Equal),
    ];
    let (sign, op) = ops.into_iter().find(|(sign, _)| text.starts_with(sign))?;
    Some((Token::Op(op), sign.len()))
}

fn word(text: &str, first: char) -> Result<(Token, usize), String> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    if end == 0 {
        return Err(format!("\"{first}\" means nothing here"));
    }
    let piece = &text[..end];
    let token = if first.is_ascii_digit() || first == '-' {
        let n = piece
            .parse()
            .map_err(|_| format!("\"{piece}\" is no number"))?;
        Token::Number(n)
    } else {
        Token::Name(piece.to_owned())
    };
    Ok((token, end))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += usize::from(token.is_some());
        token
    }

    /// Whether the next token is this name; if so it is taken.
    fn takes(&mut self, name: &str) -> bool {
        let is_it = matches!(self.tokens.get(self.at), Some(Token::Name(next)) if next == name);
        self.at += usize::from(is_it);
        is_it
    }

    fn any(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.all()?];
        while self.takes("or") {
            nodes.push(self.all()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::Any(nodes)
        })
    }

    fn all(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.one()?];
        while self.takes("and") {
            nodes.push(self.one()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::All(nodes)
        })
    }

    fn one(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("it is nested too deep".to_owned());
        }
        let node = if self.takes("not") {
            Node::Not(Box::new(self.one()?))
        } else if self.tokens.get(self.at) == Some(&Token::Open) {
            self.at += 1;
            let node = self.any()?;
            match self.next() {
                Some(Token::Close) => node,
                _ => return Err("a \")\" is missing".to_owned()),
            }
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Node, String> {
        let left = self.term()?;
        let op = match self.next() {
            Some(Token::Op(op)) => op,
            Some(other) => return Err(format!("a comparison is expected before {other}")),
            None => return Err("a comparison is missing at the end".to_owned()),
        };
        let right = self.term()?;
        if let (Some(left), Some(right)) = (left.is_text(), right.is_text())
            && left != right
        {
            return Err("a text is compared with a number".to_owned());
        }
        Ok(Node::Compare(left, op, right))
    }

    fn term(&mut self) -> Result<Term, String> {
        match self.next() {
            Some(Token::Number(n)) => Ok(Term::Fixed(Value::Number(n))),
            Some(Token::Text(text)) => Ok(Term::Fixed(Value::Text(text))),
            Some(Token::Name(name)) => self.word(name),
            Some(other) => Err(format!("{other} is not expected there")),
            None => Err("something is missing at the end".to_owned()),
        }
    }

    fn word(&mut self, name: String) -> Result<Term, String> {
        let of = self.argument()?;
        let word = match (name.as_str(), of.clone()) {
            ("urp", None) => Word::Health(Health::UnderReplicated),
            ("offline", None) => Word::Health(Health::Offline),
            ("under_min_isr", None) => Word::Health(Health::UnderMinIsr),
            ("at_min_isr", None) => Word::Health(Health::AtMinIsr),
            ("not_preferred", None) => Word::Health(Health::NotPreferred),
            ("reassignments", None) => Word::Health(Health::Reassigning),
            ("brokers", None) => Word::Brokers,
            ("fenced", None) => Word::Fenced,
            ("topics", None) => Word::Topics,
            ("partitions", None) => Word::Partitions,
            ("groups", None) => Word::Groups,
            ("controller", None) => Word::Controller,
            ("exists", Some(topic)) => Word::Exists(topic),
            ("partitions", Some(topic)) => Word::PartitionsOf(topic),
            ("lag", Some(group)) => Word::Lag(group),
            ("members", Some(group)) => Word::Members(group),
            ("state", Some(group)) => Word::State(group),
            ("exists" | "lag" | "members" | "state", None) => {
                return Err(format!("{name} of what? {name}(\"name\")"));
            }
            _ => {
                return Err(format!(
                    "\"{name}\" is not known: urp, offline, under_min_isr, at_min_isr, \
                     not_preferred, reassignments, brokers, fenced, topics, partitions, groups, \
                     controller, exists(t), partitions(t), lag(g), members(g), state(g)"
                ));
            }
        };
        let shown = of.map_or(name.clone(), |of| format!("{name}({of})"));
        Ok(Term::Word(shown, word))
    }

    fn argument(&mut self) -> Result<Option<Arc<str>>, String> {
        if self.tokens.get(self.at) != Some(&Token::Open) {
            return Ok(None);
        }
        self.at += 1;
        let argument = match self.next() {
            Some(Token::Name(name) | Token::Text(name)) => name,
            Some(Token::Number(n)) => n.to_string(),
            _ => return Err("a name is expected in the parentheses".to_owned()),
        };
        match self.next() {
            Some(Token::Close) => Ok(Some(argument.into())),
            _ => Err("a \")\" is missing".to_owned()),
        }
    }
}

impl Term {
    /// Whether it is a text or a number, where that is known before it is read.
    fn is_text(&self) -> Option<bool> {
        Some(match self {
            Self::Word(_, Word::State(_)) | Self::Fixed(Value::Text(_)) => true,
            Self::Fixed(Value::Unknown) => return None,
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests;
