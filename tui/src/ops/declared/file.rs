//! What a file declares: its tree, checked field by field.
//!
//! ```toml
//! cluster_id = "…"                 # optional: refused on another cluster
//! keep = ["connect-*"]             # optional: never deleted although undeclared
//! [defaults]                       # optional: for the topics of this file
//! replication_factor = 3
//! [topics.orders]
//! partitions = 12
//! configs = { "retention.ms" = 604800000, "cleanup.policy" = ["compact", "delete"] }
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use kafka_shared::config::definition::nearest;

use super::document::{Key, Node, Value};
use super::{Declared, DeclaredTopic, Place, Setting};
use crate::ops::planning::topic_name_fault;

/// Complaints that are told of one file.
const WRONG_MAX: usize = 50;

/// Kafka's own limit is smaller by far.
const PARTITIONS_MAX: i64 = 1_000_000;

/// Settings of one topic: Kafka has some forty.
const SETTINGS_MAX: usize = 1_000;

const FILE_FIELDS: [&str; 5] = ["cluster_id", "defaults", "description", "keep", "topics"];
const TOPIC_FIELDS: [&str; 7] = [
    "brokers",
    "configs",
    "description",
    "name",
    "partitions",
    "replicas",
    "replication_factor",
];

/// Reads the tree of one file into what all files declare.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub(super) fn take(name: &Arc<str>, root: &Node, into: &mut Declared) -> Result<(), Vec<String>> {
    let mut reader = Reader {
        file: Arc::clone(name),
        wrong: Vec::new(),
        n_wrong: 0,
        topic: None,
    };
    reader.file(root, into);
    if reader.n_wrong == 0 {
        return Ok(());
    }
    if reader.n_wrong > WRONG_MAX {
        let more = reader.n_wrong - WRONG_MAX;
        reader.wrong.push(format!("{name}: and {more} more"));
    }
    Err(reader.wrong)
}

/// What a topic has unless it says otherwise.
#[derive(Clone, Default)]
struct Fields {
    partitions: Option<i32>,
    replication_factor: Option<i16>,
    replicas: Option<Vec<Vec<i32>>>,
    brokers: Option<Vec<i32>>,
    settings: Vec<Setting>,
}

struct Reader {
    file: Arc<str>,
    wrong: Vec<String>,
    n_wrong: usize,
    /// The topic that is being read.
    topic: Option<String>,
}

impl Reader {
    fn wrong(&mut self, line: usize, why: impl std::fmt::Display) {
        self.n_wrong += 1;
        if self.wrong.len() >= WRONG_MAX {
            return;
        }
        let at = self.place(line);
        self.wrong.push(match &self.topic {
            Some(topic) => format!("{at}: topic \"{topic}\": {why}"),
            None => format!("{at}: {why}"),
        });
    }

    fn place(&self, line: usize) -> Place {
        Place {
            file: Arc::clone(&self.file),
            line,
        }
    }

    fn file(&mut self, root: &Node, into: &mut Declared) {
        let fields = match &root.value {
            Value::Table(fields) => fields,
            Value::Null => return self.wrong(root.line, "it declares nothing"),
            other => {
                let why = format!(
                    "it has to be a table with \"topics\", and is {}",
                    other.kind()
                );
                return self.wrong(root.line, why);
            }
        };
        let mut defaults = Fields::default();
        for (key, node) in fields {
            match &*key.text {
                "defaults" => defaults = self.fields(node, false),
                "cluster_id" => match &node.value {
                    Value::Text(id) => into.cluster_ids.push((id.clone(), self.place(node.line))),
                    other => self.kind(node.line, "cluster_id", "a text", other),
                },
                "keep" => into.keep.extend(self.texts(node)),
                "topics" | "description" => {}
                other => self.unknown(key.line, other, node, &FILE_FIELDS),
            }
        }
        let topics = fields.iter().find(|(key, _)| key.text == "topics");
        let Some((key, topics)) = topics else {
            return self.wrong(root.line, "it has no \"topics\"");
        };
        match &topics.value {
            Value::Table(topics) => {
                for (key, node) in topics {
                    self.topic(key, node, &defaults, into);
                }
            }
            Value::List(topics) => {
                for node in topics {
                    match named(node) {
                        Some(key) => self.topic(&key, node, &defaults, into),
                        None => self.wrong(node.line, "a topic in a list needs a \"name\""),
                    }
                }
            }
            Value::Null => {}
            other => self.kind(key.line, "topics", "a table of topics by name", other),
        }
    }

    fn topic(&mut self, key: &Key, node: &Node, defaults: &Fields, into: &mut Declared) {
        self.topic = Some(key.text.clone());
        if let Some(why) = topic_name_fault(&key.text) {
            self.wrong(key.line, why);
        }
        let own = self.fields(node, true);
        let replicas = own.replicas;
        let (mut partitions, mut factor) = (own.partitions, own.replication_factor);
        let mut brokers = own.brokers;
        // A placement in full says all about partitions and replicas.
        if replicas.is_none() {
            partitions = partitions.or(defaults.partitions);
            factor = factor.or(defaults.replication_factor);
            brokers = brokers.or_else(|| defaults.brokers.clone());
        }
        if let Some(lists) = &replicas {
            self.check_replicas(key.line, lists, partitions, factor, brokers.as_deref());
        }
        if let (Some(factor), Some(brokers)) = (factor, &brokers)
            && usize::from(factor.unsigned_abs()) > brokers.len()
        {
            let why = format!("{factor} replicas don't fit on {} brokers", brokers.len());
            self.wrong(key.line, why);
        }
        let mut settings = own.settings;
        for setting in &defaults.settings {
            if !settings.iter().any(|own| own.name == setting.name) {
                settings.push(setting.clone());
            }
        }
        into.topics.push(DeclaredTopic {
            name: key.text.clone(),
            at: self.place(key.line),
            partitions,
            replication_factor: factor,
            replicas,
            brokers,
            settings,
        });
        self.topic = None;
    }

    fn check_replicas(
        &mut self,
        line: usize,
        lists: &[Vec<i32>],
        partitions: Option<i32>,
        factor: Option<i16>,
        brokers: Option<&[i32]>,
    ) {
        if lists.is_empty() {
            return self.wrong(line, "replicas has no partition");
        }
        if brokers.is_some() {
            self.wrong(line, "replicas and brokers exclude each other");
        }
        if let Some(n) = partitions.filter(|n| usize::try_from(*n) != Ok(lists.len())) {
            let why = format!(
                "replicas has {} partitions, and partitions is {n}",
                lists.len()
            );
            self.wrong(line, why);
        }
        let n_first = lists.first().map_or(0, Vec::len);
        for (partition, list) in lists.iter().enumerate() {
            let is_twice = |(at, id): (usize, &i32)| list[..at].contains(id);
            if list.is_empty() {
                self.wrong(line, format!("partition {partition} has no replica"));
            } else if list.iter().enumerate().any(is_twice) {
                self.wrong(line, format!("partition {partition} has a broker twice"));
            } else if list.len() != n_first {
                let why = format!("partition {partition} has another number of replicas than 0");
                self.wrong(line, why);
            }
        }
        if let Some(factor) = factor.filter(|n| usize::try_from(*n) != Ok(n_first)) {
            let why = format!("replicas has {n_first}, and replication_factor is {factor}");
            self.wrong(line, why);
        }
    }

    /// The fields of a topic, or of the defaults.
    fn fields(&mut self, node: &Node, is_topic: bool) -> Fields {
        let mut read = Fields::default();
        let fields = match &node.value {
            Value::Table(fields) => fields,
            // `orders:` alone declares that it is there.
            Value::Null => return read,
            other => {
                self.kind(node.line, "it", "a table", other);
                return read;
            }
        };
        for (key, node) in fields {
            let line = key.line.max(node.line);
            match &*key.text {
                "partitions" => {
                    let number = self.number(line, "partitions", node, PARTITIONS_MAX);
                    read.partitions = number.and_then(|n| i32::try_from(n).ok());
                }
                "replication_factor" => {
                    let most = i64::from(i16::MAX);
                    let number = self.number(line, "replication_factor", node, most);
                    read.replication_factor = number.and_then(|n| i16::try_from(n).ok());
                }
                "brokers" => read.brokers = self.brokers(node),
                "configs" => self.settings("", node, &mut read.settings),
                "replicas" if is_topic => read.replicas = self.replicas(node),
                "name" if is_topic => {}
                "description" => {}
                other => self.unknown(key.line, other, node, &TOPIC_FIELDS),
            }
        }
        read
    }

    /// Settings by name. In TOML a name without quotes is a table in a table.
    fn settings(&mut self, before: &str, node: &Node, into: &mut Vec<Setting>) {
        let fields = match &node.value {
            Value::Table(fields) => fields,
            Value::Null => return,
            other => return self.kind(node.line, "configs", "a table", other),
        };
        for (key, node) in fields {
            let name = match before {
                "" => key.text.clone(),
                before => format!("{before}.{}", key.text),
            };
            let value = match &node.value {
                Value::Null => None,
                Value::Text(text) | Value::Plain(text) => Some(text.clone()),
                Value::List(_) => Some(self.texts(node).join(",")),
                Value::Table(_) => {
                    self.settings(&name, node, into);
                    continue;
                }
            };
            let line = key.line.max(node.line);
            if into.len() >= SETTINGS_MAX {
                return self.wrong(line, format!("there are more than {SETTINGS_MAX} settings"));
            }
            if into.iter().any(|setting| setting.name == name) {
                self.wrong(line, format!("the setting {name} is there twice"));
                continue;
            }
            into.push(Setting { name, value, line });
        }
    }

    fn texts(&mut self, node: &Node) -> Vec<String> {
        let items = match &node.value {
            Value::List(items) => &items[..],
            _ => std::slice::from_ref(node),
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match &item.value {
                Value::Text(text) | Value::Plain(text) => texts.push(text.clone()),
                other => self.kind(item.line, "an item of the list", "a text", other),
            }
        }
        texts
    }

    fn number(&mut self, line: usize, name: &str, node: &Node, most: i64) -> Option<i64> {
        let Value::Plain(text) = &node.value else {
            self.kind(line, name, "a number", &node.value);
            return None;
        };
        let number = text.parse().ok().filter(|n| (1..=most).contains(n));
        if number.is_none() {
            self.wrong(
                line,
                format!("{name} is {text}, and has to be from 1 to {most}"),
            );
        }
        number
    }

    fn ids(&mut self, node: &Node) -> Option<Vec<i32>> {
        let Value::List(items) = &node.value else {
            self.kind(node.line, "this", "a list of broker ids", &node.value);
            return None;
        };
        let mut ids = Vec::with_capacity(items.len());
        for item in items {
            let id = match &item.value {
                Value::Plain(text) => text.parse().ok().filter(|id: &i32| *id >= 0),
                _ => None,
            };
            match id {
                Some(id) => ids.push(id),
                None => {
                    self.wrong(item.line, "a broker is named by its id, a number");
                    return None;
                }
            }
        }
        Some(ids)
    }

    fn brokers(&mut self, node: &Node) -> Option<Vec<i32>> {
        let mut ids = self.ids(node)?;
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            self.wrong(node.line, "brokers names none");
            return None;
        }
        Some(ids)
    }

    fn replicas(&mut self, node: &Node) -> Option<Vec<Vec<i32>>> {
        let Value::List(lists) = &node.value else {
            let wanted = "a list with a list of broker ids for each partition";
            self.kind(node.line, "replicas", wanted, &node.value);
            return None;
        };
        lists.iter().map(|list| self.ids(list)).collect()
    }

    fn kind(&mut self, line: usize, name: &str, wanted: &str, is: &Value) {
        self.wrong(
            line,
            format!("{name} has to be {wanted}, and is {}", is.kind()),
        );
    }

    fn unknown(&mut self, line: usize, name: &str, node: &Node, known: &[&str]) {
        let hint = match nearest(name, known.iter().copied()) {
            Some(nearest) => format!("did you mean {nearest}?"),
            // Of `[topics.a.b]` TOML makes a field b of the topic a.
            None if matches!(node.value, Value::Table(_)) && self.topic.is_some() => {
                "a name with dots is written in quotes".to_owned()
            }
            None => format!("there are {}", known.join(", ")),
        };
        self.wrong(line, format!("there is no field \"{name}\": {hint}"));
    }
}

/// The name of a topic in a list.
fn named(node: &Node) -> Option<Key> {
    let Value::Table(fields) = &node.value else {
        return None;
    };
    let (_, name) = fields.iter().find(|(key, _)| key.text == "name")?;
    match &name.value {
        Value::Text(text) | Value::Plain(text) => Some(Key {
            text: text.clone(),
            line: name.line,
        }),
        _ => None,
    }
}

/// Refuses topics that are there twice, in one file or in two.
pub(super) fn twice(declared: &Declared) -> Vec<String> {
    let mut first: HashMap<&str, &Place> = HashMap::new();
    let mut wrong = Vec::new();
    for topic in &declared.topics {
        if let Some(before) = first.insert(&topic.name, &topic.at) {
            let name = &topic.name;
            wrong.push(format!(
                "{}: topic \"{name}\" is declared at {before} too",
                topic.at
            ));
        }
    }
    wrong.truncate(WRONG_MAX);
    wrong
}
